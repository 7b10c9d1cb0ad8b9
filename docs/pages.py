"""Pages that are made, not written: one for each system, from its row; the tutorial, from a script that runs here."""

from __future__ import annotations

import contextlib
import inspect
import io
import json
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files
from property import property_pages
from representations import representations_page

from euhedral.models.registry import ROWS, Row

DOCS = Path(__file__).parent
RESULTS = DOCS.parent / "benchmarks" / "results"


def on_files(files: Files, *, config: Any) -> Files:
    """Add the made pages to the site."""
    pages = {
        "index.md": landing_page(),
        "systems/index.md": systems_index(),
        "benchmarks.md": benchmarks_page(),
        "command_line.md": command_line_page(),
    }
    pages |= {f"systems/{row.name}.md": system_page(row) for row in ROWS}
    pages |= {f"tutorials/{path.stem}.md": tutorial_page(path) for path in sorted((DOCS / "tutorials").glob("*.py"))}
    pages |= property_pages()
    pages["datasets.md"] = datasets_page()
    pages["representations.md"], pictures = representations_page()
    for name, content in [*pages.items(), *pictures.items()]:
        files.append(File.generated(config, name, content=content))
    return files


def systems_index() -> str:
    """List every row with its status."""
    lines = ["# Systems", "", "| system | wing | paper | symmetry | status |", "|---|---|---|---|---|"]
    lines += [
        f"| [{row.name}]({row.name}.md) | {row.wing} | {row.authors} {row.year} | {row.symmetry} | {row.status} |"
        for row in ROWS
    ]
    return "\n".join(lines) + "\n"


def system_page(row: Row) -> str:
    """Describe one system from its row, its module's docstring, its constructor and the cards of its weights."""
    cls = row.load()
    module = import_module(cls.__module__)
    fields = [
        ("Paper", f"{row.authors}, *{row.title}* ({row.year}), {reference(row.doi)}"),
        ("Data representation", row.representation),
        ("Fundamental model", row.model),
        ("Physical knowledge", row.physics),
        ("Predicts", row.predicts),
        ("Symmetry claimed", row.symmetry),
        ("Status", row.status + (f" (`{row.evidence}`)" if row.evidence else "")),
        ("Licence of the weights", row.licence),
    ]
    lines = [f"# {row.name}", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in fields if value]
    lines += ["", inspect.cleandoc(module.__doc__ or ""), "", "## Configuration", "", "```python"]
    lines += [f"{cls.__name__}{inspect.signature(cls)}", "```", "", inspect.getdoc(cls) or ""]
    for name in row.weights:
        for card in sorted((DOCS.parent / "src/euhedral/models/weights" / name).rglob("card.json")):
            text = json.dumps(json.loads(card.read_text(encoding="utf-8")), indent=2)
            lines += ["", f"## Weights: {name}", "", "```json", text, "```"]
    return "\n".join(lines) + "\n"


def reference(doi: str) -> str:
    """Link a DOI or an arXiv identifier."""
    if doi.lower().startswith("arxiv:"):
        return f"[{doi}](https://arxiv.org/abs/{doi[6:]})"
    return f"[doi:{doi}](https://doi.org/{doi})"


def tutorial_page(path: Path) -> str:
    """Run a tutorial cell by cell; a line `# %%` opens a cell, comments before its code are its text."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    lines: list[str] = []
    for cell in re.split(r"^# %%.*\n", path.read_text(encoding="utf-8"), flags=re.MULTILINE):
        text, code = split_cell(cell)
        lines += [*text, ""]
        if not code.strip():
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, str(path), "exec"), namespace)  # noqa: S102 - the project's own tutorial
        lines += ["```python", code.strip(), "```", ""]
        if printed.getvalue().strip():
            lines += ["```text", printed.getvalue().rstrip(), "```", ""]
    return "\n".join(lines) + "\n"


def split_cell(cell: str) -> tuple[list[str], str]:
    """Part the leading comment lines, without their hash, from the code."""
    rows = cell.splitlines()
    first_code = next((i for i, row in enumerate(rows) if row and not row.startswith("#")), len(rows))
    return [row.removeprefix("#").removeprefix(" ") for row in rows[:first_code]], "\n".join(rows[first_code:])


def benchmarks_page() -> str:
    """Show every recorded result as it was written."""
    lines = [
        "# Benchmarks",
        "",
        "Each table is a file under `benchmarks/results/`, written by the script of the same name.",
        "",
    ]
    for path in sorted(RESULTS.glob("*.json")):
        lines += [f"## {path.stem}", "", "```json", path.read_text(encoding="utf-8").strip(), "```", ""]
    return "\n".join(lines)


def landing_page() -> str:
    """Show the README, with its links as the site has them."""
    text = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    text = text.replace("(docs/images/", "(images/").replace("(docs/architecture.md", "(architecture.md")
    return re.sub(r"\[([^\]]+)\]\((?:CONTRIBUTING.md|LICENSE|benchmarks/[^)]*)\)", r"\1", text)


def command_line_page() -> str:
    """Print the help of every command."""
    from typer.testing import CliRunner

    from euhedral.cli import app

    runner = CliRunner(env={"COLUMNS": "110", "NO_COLOR": "1", "TERM": "dumb"})
    names = [command.callback.__name__ for command in app.registered_commands if command.callback is not None]
    lines = ["# Command line", ""]
    for name in sorted(names):
        text = re.sub(r"\x1b\[[0-9;]*m", "", runner.invoke(app, [name, "--help"]).output)
        lines += [f"## euhedral {name}", "", "```text", text.strip(), "```", ""]
    return "\n".join(lines)


def datasets_page() -> str:
    """List the data sets with licence and citation."""
    from euhedral.data.catalogue import SHIPPED, open_shipped
    from euhedral.data.sources import sources

    lines = [
        "# Data sets",
        "",
        "`euhedral datasets` lists them with where they are; `euhedral fetch NAME` downloads one.",
        "",
    ]
    described = {name: open_shipped(name).card for name in SHIPPED} | dict(sources())
    for name, entry in described.items():
        targets = ", ".join(
            f"`{target}`" for target in (getattr(entry, "targets", None) or getattr(entry, "units", ()))
        )
        lines += [f"## {name}", "", entry.description, "", f"{entry.count:,} crystals. Targets: {targets}.", ""]
        lines += [f"Licence: {entry.licence}. {reference(entry.doi) if entry.doi else ''}", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    for tutorial in sys.argv[1:]:
        sys.stdout.write(tutorial_page(Path(tutorial)))
