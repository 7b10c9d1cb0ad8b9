"""BibTeX for exactly what was used."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from euhedral.errors import UnknownNameError
from euhedral.models.registry import ROWS, Row

_PACKAGE: Final = """@software{euhedral,
  title = {euhedral: machine learning on crystals, in one package},
  author = {{The euhedral developers}},
  year = {2026}
}"""

#: What every run folder used besides its proposers.
_RUN_SYSTEMS: Final = ("chgnet", "cgcnn")
_RUN_DATA: Final = ("mp-20",)


def bibtex(names: Sequence[str]) -> str:
    """Return BibTeX entries of systems, data sets and run folders.

    Args:
        names: of systems, weights, data sets or paths of run folders and of folders of weights; every system when empty.

    Raises:
        UnknownNameError: a name is none of these.
    """
    from euhedral.data.catalogue import SHIPPED, open_shipped
    from euhedral.data.sources import sources

    rows = {row.name: row for row in ROWS}
    entries = [_PACKAGE]
    for name in _expanded(names or list(rows)):
        if name in rows:
            entries.append(_of_row(rows[name]))
        elif name in SHIPPED:
            entries.append(open_shipped(name).card.citation)
        elif name in sources():
            entries.append(sources()[name].citation)
        else:
            raise UnknownNameError(
                f"{name!r} is no system, weights, data set or run folder; `euhedral systems` and `euhedral datasets` list the names"
            )
    return "\n\n".join(dict.fromkeys(entry.strip() for entry in entries))


def _expanded(names: Sequence[str]) -> list[str]:
    from euhedral.data.catalogue import SHIPPED
    from euhedral.data.sources import sources

    weights = {name for row in ROWS for name in row.weights}
    expanded: list[str] = []
    for name in names:
        if (Path(name) / "run.json").is_file():
            proposers = [row.name for row in ROWS if row.wing == "generation"]
            expanded += [*_RUN_SYSTEMS, *proposers, *_RUN_DATA]
        elif name in weights or (Path(name) / "card.json").is_file():
            from euhedral.tasks.weights import load_weights  # imports torch
            from euhedral.training.predictor import weights_folder

            found = load_weights(weights_folder(name))
            data = str(found.card.get("dataset", found.card.get("data", "")))
            expanded += [found.system, *(known for known in (*SHIPPED, *sources()) if known == data)]
        else:
            expanded.append(name)
    return expanded


def _of_row(row: Row) -> str:
    family = re.split(r"\s+(?:et al\.|and)|,", row.authors, maxsplit=1)[0].split()[-1]
    authors = re.sub(r",\s*(?:and\s+)?", " and ", row.authors.replace(" et al.", " and others"))
    where = (
        f"  eprint = {{{row.doi[6:]}}},\n  archiveprefix = {{arXiv}}"
        if row.doi.startswith("arXiv:")
        else f"  doi = {{{row.doi}}}"
    )
    return (
        f"@article{{{family.lower()}{row.year}{row.name},\n  title = {{{{{row.title}}}}},\n  author = {{{authors}}},\n"
        f"  year = {{{row.year}}},\n{where}\n}}"
    )
