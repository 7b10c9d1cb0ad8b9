"""A protocol's results as a page: one table for each target, which differences are more than chance, and two drawings."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from euhedral.benchmarks.protocol import Protocol, in_print
from euhedral.errors import MissingDependencyError
from euhedral.models.registry import ROWS

Row = Mapping[str, Any]

# Differences with a larger probability by chance alone are not called differences.
_LEVEL: Final = 0.05
_NETWORK, _BASELINE, _LINE = "#1f3a4d", "#b5532a", "0.6"


def page(
    asked: Protocol, *, results: Sequence[Row], pairs: Sequence[Row], failures: Iterable[tuple[str, str]] = (),
    machine: str = "",
) -> dict[str, str]:  # fmt: skip
    """Write a page: {file name: text}, "index.md" first and the SVG drawings that it shows.

    Args:
        asked: the protocol.
        results: rows of `leaderboard.rows`.
        pairs: rows of `leaderboard.pair_rows`.
        failures: jobs that failed, with the reason.
        machine: what it was measured on, in words.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    first = results[0]
    sizes = f"{first.get('train', 0):,.0f} crystals to train on, " if first.get("train") else ""
    budget = _budget(asked, results)
    lines = [
        f"# {asked.title}", "", asked.note, "",
        (f"Data set `{asked.dataset}`, split {', '.join(asked.splits)}; {sizes}{first['crystals']:,} test crystals. "
        f"Training: {budget} for each system and fold on {asked.threads} core{'s' if asked.threads > 1 else ''}, of processor time; "
        f"seeds {', '.join(map(str, asked.seeds))}. Widths and depths are the published ones; the column *epochs* says how much of "
        "the published training that was."), "",
        "```", f"euhedral benchmark {asked.task} --protocol {asked.name}", "```", "",
    ]  # fmt: skip
    special = {
        name: one["source"]
        for name, one in asked.hyperparameters.items()
        if any(row["system"] == name for row in results)
    }
    if special:
        told = "; ".join(f"{name}: {source}" for name, source in special.items())
        lines += [
            f"Hyperparameters that were published for these data, instead of those of the system's paper: {told}.",
            "",
        ]
    tuned_here = [
        row.name
        for row in ROWS
        if not row.training and row.name not in special and any(result["system"] == row.name for result in results)
    ]
    if tuned_here:
        lines += [
            f"**{', '.join(tuned_here)}: trained as was found good on MP-20 here, not as published**; *epochs* counts these.",
            "",
        ]
    begun = dict.fromkeys((row["system"], row["start"]) for row in results if row.get("start"))
    for name, start in begun:
        lines += [f"{name} begins from {start}; no test material is among them.", ""]
    runs = len(asked.splits) * len(asked.seeds)
    partly = {row["system"]: row["folds"] for row in results if row.get("folds", runs) < runs}
    if partly:
        told = ", ".join(f"{system} {done}" for system, done in partly.items())
        lines += [
            f"**Not all of the {runs} folds and seeds are finished**, and scores are over those that are: {told}.",
            "",
        ]
    if machine:
        lines += [machine, ""]
    files = {"index.md": ""}
    for place, target in enumerate(asked.kinds):
        own = sorted((row for row in results if row["target"] == target), key=lambda row: row["error"])
        unit = own[0].get("unit") or ""
        name = f"{asked.name}-{target}"
        lines += [f"## {target}", "", f"![Errors]({name}.svg)", ""]
        printed = {
            row["system"]: in_print(asked, name=row["system"], splits=_splits(row, asked)) for row in own if place == 0
        }
        partial = {row["system"] for row in own if len(_splits(row, asked)) < len(asked.splits)}
        own = [
            {**row, "shown": f"{row['system']} ({row['splits']} only)" if row["system"] in partial else row["system"]}
            for row in own
        ]
        lines += _table(own, pairs=[pair for pair in pairs if pair["target"] == target], printed=printed, unit=unit)
        files[f"{name}.svg"] = _errors(own, title=f"{target}{f' ({unit})' if unit else ''}")
    networks = [row for row in results if row["target"] == next(iter(asked.kinds)) and row.get("seconds_per_epoch")]
    if networks:
        lines += ["## Cost", "", f"![Error and cost]({asked.name}-cost.svg)", "", *_costs(networks)]
        files[f"{asked.name}-cost.svg"] = _against_cost(networks)
    if asked.published:
        lines += [_all_in_print(asked, results), ""]
    for job, why in failures:
        lines += [f"- failed: {job}: {why}"]
    files["index.md"] = "\n".join(lines).rstrip() + "\n"
    return files


def _budget(asked: Protocol, rows: Sequence[Row]) -> str:
    """How long was trained, in words; what was asked for instead of the protocol's time is said."""
    own = "as long as published" if asked.minutes is None else f"{asked.minutes:g} minutes"
    given = sorted(
        {row["minutes"] for row in rows if row.get("minutes") is not None and row["minutes"] != asked.minutes}
    )
    if not given:
        return own
    return f"**{', '.join(f'{minutes:g}' for minutes in given)} minutes for some systems, which is not the protocol's time** ({own}),"


def _splits(row: Row, asked: Protocol) -> Sequence[str]:
    return row["splits"].split(", ") if row.get("splits") else asked.splits


def _all_in_print(asked: Protocol, rows: Sequence[Row]) -> str:
    """What is in print, over all splits and over those that are finished here."""
    done = [split for split in asked.splits if any(split in _splits(row, asked) for row in rows)]
    told = []
    for name in asked.published:
        whole, here = (in_print(asked, name=name, splits=splits) for splits in (asked.splits, done))
        told.append(f"{name} {whole:.4g}" + (f" ({here:.4g} on {', '.join(done)})" if here != whole else ""))
    where = f", from {asked.published_in}" if asked.published_in else ""
    return (
        f"In print for these data, first target, with the training that each paper gives: {', '.join(told)}{where}. "
        "The column *in print* is of the same splits as the score beside it, where print tells them apart."
    )


def _table(rows: Sequence[Row], *, pairs: Sequence[Row], printed: Mapping[str, float | None], unit: str) -> list[str]:
    best = rows[0]["system"]
    beside = {pair["second"]: pair["p"] for pair in pairs if pair["first"] == best}
    lines = [
        f"| system | error{f', {unit}' if unit else ''} | 95% interval | R2 | in print | worse than the best | beats composition alone | in 90% intervals | epochs |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        p = beside.get(row["system"])
        worse = "-" if p is None else f"yes (p {_p(p)})" if p < _LEVEL else f"not shown (p {_p(p)})"
        coverage = row["coverage"]
        r2 = "-" if row.get("r2") is None else f"{row['r2']:.3f}"
        known = printed.get(row["system"])
        epochs = f"{row['epochs']:.3g} of {row['published_epochs']:.0f}" if row.get("epochs") else "-"
        lines.append(
            f"| {row['shown']} | {row['error']:.4g} | {row['low']:.4g} to {row['high']:.4g} | {r2} | {'-' if known is None else f'{known:.4g}'} | {worse} | "
            f"{_beats(row)} | {'-' if math.isnan(coverage) else f'{coverage:.1%}'} | {epochs} |"
        )
    return [
        *lines, "",
        ("*Worse than the best*: Wilcoxon signed-rank test on the same crystals, p raised for all pairs (Holm). *Beats composition alone*: the "
        "95% interval of the difference to the best of `roost` and the baselines lies below zero. *R2*: over all numbers of all test crystals."), "",
    ]  # fmt: skip


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.2g}"


def _beats(row: Row) -> str:
    answer = row.get("beats_composition")
    return "-" if answer is None else "yes" if answer else "no"


def _costs(rows: Sequence[Row]) -> list[str]:
    lines = [
        "| system | parameters | an epoch, s | a prediction, ms | memory, MB | graphs, s |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['system']} | {row['parameters']:,.0f} | {row['seconds_per_epoch']:.3g} | {row['inference_ms_per_crystal']:.3g} | "
        f"{row['peak_memory_mb']:,.0f} | {row.get('graph_seconds', math.nan):.3g} |"
        for row in sorted(rows, key=lambda row: row["seconds_per_epoch"])
    ]
    return [
        *lines,
        "",
        "Processor seconds. Graphs are built once a run and not in each epoch; memory is that of the whole process at its highest.",
        "",
    ]


def _errors(rows: Sequence[Row], *, title: str) -> str:
    figure, axes = _figure(width=7.0, height=0.6 + 0.26 * len(rows))
    places = np.arange(len(rows))[::-1]
    for place, row in zip(places, rows, strict=True):
        colour = _BASELINE if row.get("beats_composition") is None else _NETWORK
        axes.plot(
            [row["low"], row["high"]], [place, place], color=colour, linewidth=2.2, solid_capstyle="butt", alpha=0.45
        )
        axes.plot(row["error"], place, "o", color=colour, markersize=5)
    composition = [row["error"] for row in rows if row.get("beats_composition") is None]
    if composition:
        axes.axvline(min(composition), color=_BASELINE, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.set_yticks(places, [row["shown"] for row in rows], fontsize=8)
    if rows[-1]["high"] > 4.0 * rows[0]["low"] > 0.0:
        _logarithmic(axes.xaxis, scale=axes.set_xscale)
    axes.set_xlabel(f"error: {title}\nbrown: sees the composition alone; dashed: the best of these", fontsize=8)
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.grid(axis="x", which="both", color=_LINE, alpha=0.25, linewidth=0.5)
    return _svg(figure)


def _against_cost(rows: Sequence[Row]) -> str:
    figure, axes = _figure(width=7.0, height=4.4)
    for row in rows:
        axes.plot(row["seconds_per_epoch"], row["error"], "o", color=_NETWORK, markersize=5)
        axes.annotate(
            row["system"],
            (row["seconds_per_epoch"], row["error"]),
            xytext=(4, 3),
            textcoords="offset points",
            fontsize=7,
        )
    _logarithmic(axes.xaxis, scale=axes.set_xscale)
    _logarithmic(axes.yaxis, scale=axes.set_yscale)
    axes.margins(x=0.12)
    axes.set_xlabel("processor seconds for an epoch", fontsize=8)
    axes.set_ylabel(f"error: {rows[0]['target']}", fontsize=8)
    axes.grid(which="both", color=_LINE, alpha=0.25, linewidth=0.5)
    return _svg(figure)


def _logarithmic(axis: Any, *, scale: Any) -> None:
    """A few ticks in each decade, as plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    scale("log")
    axis.set_major_locator(LogLocator(subs=(1.0, 1.5, 2.0, 3.0, 5.0, 7.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _figure(*, width: float, height: float) -> tuple[Any, Any]:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError(
            "a page of results needs matplotlib; run: pip install 'euhedral[plots]'"
        ) from error
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(labelsize=8)
    return figure, axes


def _svg(figure: Any) -> str:
    from matplotlib import rc_context

    kept = io.StringIO()
    with rc_context({"svg.hashsalt": "euhedral", "svg.fonttype": "none"}):  # the same bytes for the same numbers
        figure.savefig(kept, format="svg", metadata={"Date": None})
    return kept.getvalue()
