"""The pages on the benchmark of property systems: one for each protocol with recorded results, and one that says what is best for what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from euhedral.benchmarks.page import page
from euhedral.benchmarks.protocol import protocols

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results" / "property"


def property_pages() -> dict[str, str]:
    """Make {path: content} from the tables under benchmarks/results/property."""
    pages: dict[str, str] = {}
    lines = [
        "# Which system for what", "",
        ("Every system on the same data, the same split and the same budget of training; one page for each protocol. A result is the mean error "
        "over the test crystals; *not shown to be worse* lists what a paired test (Wilcoxon, Holm) cannot tell from the best."), "",
        "| protocol | target | best | error | not shown to be worse | best by composition alone |", "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name, asked in protocols().items():
        folder = RESULTS / name
        if not (folder / "results.parquet").exists():
            continue
        results, pairs = (pq.read_table(folder / f"{kind}.parquet").to_pylist() for kind in ("results", "pairs"))
        described = json.loads((folder / "machine.json").read_text(encoding="utf-8"))
        made = page(asked, results=results, pairs=pairs, failures=described["failures"], machine=described["machine"])
        pages |= {f"property/{name}/{file}": text for file, text in made.items()}
        lines += [_best(name, target, results=results, pairs=pairs) for target in asked.kinds]
    pages["property/index.md"] = "\n".join(lines) + "\n"
    return pages


def _best(name: str, target: str, *, results: list[dict[str, Any]], pairs: list[dict[str, Any]]) -> str:
    rows = sorted((row for row in results if row["target"] == target), key=lambda row: row["error"])
    best = rows[0]
    alike = [
        pair["second"]
        for pair in pairs
        if pair["target"] == target and pair["first"] == best["system"] and pair["p"] >= 0.05
    ]
    composition = next((row for row in rows if row["beats_composition"] is None), None)
    shown = f"{composition['system']} {composition['error']:.4g}" if composition else "-"
    return f"| [{name}]({name}/index.md) | {target} | {best['system']} | {best['error']:.4g} {best['unit']} | {', '.join(alike) or '-'} | {shown} |"
