"""Importing the package is quick and changes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys

SEALED = """
import json, os, socket, sys, time, warnings
before = dict(os.environ), list(warnings.filters), sorted(os.listdir("."))
def refuse(*args, **kwargs):
    raise AssertionError("the network was touched")
socket.socket.connect = refuse
start = time.perf_counter()
import euhedral
seconds = time.perf_counter() - start
after = dict(os.environ), list(warnings.filters), sorted(os.listdir("."))
print(json.dumps({"same": before == after, "heavy": sorted({"torch", "numpy", "numba", "pyarrow", "sqlalchemy", "plotly"} & set(sys.modules))}))
"""


def run(code: str, tmp_path) -> str:
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout


def test_importing_euhedral_changes_nothing_and_loads_nothing_heavy(tmp_path):
    result = json.loads(run(SEALED, tmp_path))
    assert result == {"same": True, "heavy": []}
    assert list(tmp_path.iterdir()) == []


def test_help_answers_without_loading_torch(tmp_path):
    code = (
        "import sys\nfrom euhedral.cli import main\nsys.argv = ['euhedral', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(sorted({'torch', 'numba', 'pyarrow', 'sqlalchemy'} & set(sys.modules)))"
    )
    assert run(code, tmp_path).strip().endswith("[]")


def test_importing_every_module_leaves_torch_as_it_was(tmp_path):
    code = (
        "import importlib, pkgutil, torch, warnings\n"
        "before = torch.get_default_dtype(), torch.get_num_threads(), torch.initial_seed(), len(warnings.filters)\n"
        "import euhedral\n"
        "for module in pkgutil.walk_packages(euhedral.__path__, 'euhedral.'):\n"
        "    if not module.name.endswith('__main__') and not module.name.startswith('euhedral.testing'):\n"
        "        importlib.import_module(module.name)\n"
        "after = torch.get_default_dtype(), torch.get_num_threads(), torch.initial_seed()\n"
        "print(before[:3] == after)"
    )
    assert run(code, tmp_path).strip() == "True"
