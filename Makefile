# `make discover` and `make test` need only Python (3.11 or newer) and a package index.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
RUN    ?= runs/li-mn-o

.PHONY: discover test slow lint docs wheel clean

discover: $(VENV)/.installed  ## from a clean clone to a ranked list of new crystals
	$(BIN)/euhedral discover --elements Li,Mn,O --target "band_gap > 1" --candidates 64 --run $(RUN)

test: $(VENV)/.installed-test  ## everything but the tests marked slow
	$(BIN)/python -m pytest -n 2 --dist worksteal

slow: $(VENV)/.installed-test  ## the tests marked slow
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/.installed-test $(VENV)/.installed-lint  ## style, types, the layers of the house
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright

docs: $(VENV)/.installed $(VENV)/.installed-docs  ## the site, under site/; runs the tutorial
	$(BIN)/mkdocs build --strict

wheel: $(VENV)/.installed  ## everything under src/ that git tracks is in what users install
	rm -rf build/wheel && $(BIN)/python -m pip --disable-pip-version-check wheel --quiet --no-deps --wheel-dir build/wheel .
	$(BIN)/python scripts/check_wheel.py build/wheel

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is older than 3.11; call: make PYTHON=python3.11 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# torch first and alone: an index that offers a CPU build gives it to this call only
$(VENV)/.installed: $(VENV)/.created pyproject.toml constraints.txt
	@echo "installing euhedral and its dependencies into $(VENV)"
	$(PIP) torch
	$(PIP) --editable .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(PIP) --editable ".[test]"
	@touch $@

$(VENV)/.installed-lint: $(VENV)/.installed
	$(PIP) --editable ".[lint]"
	@touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(PIP) --editable ".[docs]"
	@touch $@

clean:
	rm -rf $(VENV) site
