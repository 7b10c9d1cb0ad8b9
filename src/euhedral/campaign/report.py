"""The report of a run: one HTML file that needs neither a network nor anything else beside it.

The table is in the HTML itself; the scripts sort and filter it and draw the hull, each crystal and its powder pattern. They
are our own, some hundred lines on a plain canvas and SVG, so that a report weighs kilobytes, not the megabytes of a
plotting library, and draws where there is no WebGL.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from euhedral.campaign.report_data import Candidate, Interval, ReportData
from euhedral.campaign.report_payload import METASTABLE, label, payload, stability
from euhedral.core.composition import formula
from euhedral.core.writing import write_atomically

_SCRIPTS = ("report_viewer.js", "report_plots.js", "report_page.js")
_CLASS_WORDS = {
    "stable": "on or below the hull",
    "near": f"within {METASTABLE:g} eV/atom of the hull",
    "far": f"more than {METASTABLE:g} eV/atom above the hull",
    "unknown": "distance to the hull not known",
}


def write_report(path: str | Path, *, data: ReportData) -> Path:
    """Write the report; an older one at `path` is replaced only by a whole new one.

    Args:
        path: of the HTML file.
        data: what to show.

    Raises:
        RunFolderError: the file cannot be written.
    """
    return write_atomically(path, content=render(data))


def render(data: ReportData) -> str:
    """Return the report as one HTML text; everything that came from a user or a file is escaped.

    Args:
        data: what to show.
    """
    embedded = json.dumps(payload(data), allow_nan=False, separators=(",", ":"))
    # nothing inside may end the script element or start a comment
    embedded = embedded.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    parts = {
        "title": _text(f"{'-'.join(data.elements)}: {data.question}"),
        "style": _asset("report.css"),
        "script": "\n".join(_asset(name) for name in _SCRIPTS),
        "data": embedded,
        "header": _header(data),
        "cards": _cards(data),
        "caveats": _caveats(data),
        "filters": _filters(data),
        "table": _table(data),
        "funnel": _funnel(data),
        "provenance": _provenance(data),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], _asset("report.html"))


def _asset(name: str) -> str:
    return files("euhedral.campaign").joinpath(name).read_text(encoding="utf-8")


def _text(value: object) -> str:
    return html.escape(str(value), quote=True)


def _header(data: ReportData) -> str:
    stopped = '<p class="stopped">The run was stopped before its end; what was finished by then is below.</p>'
    meta = " · ".join(_text(item) for item in (data.run, data.created) if item)
    return (
        f'<p class="kicker">euhedral · {_text("-".join(data.elements))}</p><h1>{_text(data.question)}</h1>'
        f'<p class="meta">{meta}</p>{stopped if data.interrupted else ""}'
        f'<p class="command"><span>Run it again</span> <code>{_text(data.command)}</code></p>'
    )


def _cards(data: ReportData) -> str:
    rows = data.candidates
    stable = sum(stability(row.hull_distance) == "stable" for row in rows)
    near = sum(stability(row.hull_distance) in {"stable", "near"} for row in rows)
    cards = [
        (len(rows), "candidates ranked", "relaxed and placed on the hull"),
        (sum(not row.known for row in rows), "not known", "unlike every known phase that was searched"),
        (stable, "on or below the hull", "predicted stable against the references, at 0 K"),
        (near, f"within {METASTABLE:g} eV/atom", "may exist as metastable phases"),
    ]
    if data.targets:
        goal = ", ".join(f"{label(name)} {target}" for name, target in data.targets.items())
        cards.append((sum(_meets(row, data) for row in rows), "meet the target", f"predicted {goal}"))
    return "".join(
        f'<div class="card"><strong>{number}</strong><span>{_text(what)}</span><small>{_text(note)}</small></div>'
        for number, what, note in cards
    )


def _meets(row: Candidate, data: ReportData) -> bool:
    return all(name in row.predictions and bool(row.predictions[name].meets_target) for name in data.targets)


def _caveats(data: ReportData) -> str:
    items = [_text(data.hull_method)] if data.hull_method else []
    items += [
        f"<b>{_text(label(q.name).capitalize())}</b> ({_text(q.unit)}): {_text(q.method)}; {_text(q.note)}."
        for q in data.quantities
    ]
    items += [_text(caveat) for caveat in data.caveats]
    return "".join(f"<li>{item}</li>" for item in items)


def _filters(data: ReportData) -> str:
    boxes = [("new", "not known"), ("balanced", "charges balance"), ("like", "like the training data")]
    if data.targets:
        boxes.append(("meets", "meets the target"))
    checks = "".join(
        f'<label><input type="checkbox" data-filter="{key}"> {_text(words)}</label>' for key, words in boxes
    )
    return (
        '<label>search <input type="search" id="search" placeholder="formula, group ..."></label>'
        f'<label>within <input type="number" id="within" min="0" step="0.05" placeholder="any"> eV/atom</label>{checks}'
    )


def _table(data: ReportData) -> str:
    heads = [
        ("rank", "#", "rank"),
        ("formula", "formula", ""),
        ("group", "space group", ""),
        ("hull", "above hull", "eV/atom"),
    ]
    heads += [("score", "score", "estimated chance")] if _scored(data) else []
    heads += [(f"q-{q.name}", label(q.name), q.unit) for q in data.quantities]
    heads += [("status", "status", ""), ("proposer", "proposed by", "")]
    head = "".join(
        f'<th scope="col" data-key="{_text(key)}"><button type="button">{_text(words)}'
        f"{f'<small>{_text(unit)}</small>' if unit else ''}</button></th>"
        for key, words, unit in heads
    )
    return f"<thead><tr>{head}</tr></thead><tbody>{''.join(_row(row, data) for row in data.candidates)}</tbody>"


def _scored(data: ReportData) -> bool:
    return any(row.score is not None for row in data.candidates)


def _row(row: Candidate, data: ReportData) -> str:
    kind = stability(row.hull_distance)
    written = formula(row.crystal.numbers)
    distance = "not known" if row.hull_distance is None or kind == "unknown" else _signed(row.hull_distance)
    cells = [
        _cell(row.rank, str(row.rank)),
        _cell(written, f"<button type='button' class='pick'>{_formula(written)}</button>", head=True),
        _cell(row.space_group, f"{_group(row.space_group_symbol)} <small>{row.space_group}</small>"),
        _cell(
            row.hull_distance if kind != "unknown" else "",
            f'<span class="mark {kind}" title="{_text(_CLASS_WORDS[kind])}"></span>{distance}',
        ),
    ]
    if _scored(data):
        cells.append(_cell("" if row.score is None else row.score, "" if row.score is None else f"{row.score:.2f}"))
    cells += [_prediction(row.predictions.get(q.name)) for q in data.quantities]
    flags = _flags(row)
    cells += [
        _cell(len(flags), "".join(f'<span class="flag {kind}">{_text(words)}</span>' for kind, words in flags)),
        _cell(row.proposer, _text(row.proposer)),
    ]
    unlike = any(p.unlike_training for p in row.predictions.values())
    traits = {
        "new": not row.known,
        "balanced": row.charge_balanced is not False,
        "like": not unlike,
        "meets": _meets(row, data),
    }
    held = " ".join(name for name, holds in traits.items() if holds)
    where = "" if kind == "unknown" else f"{row.hull_distance:.6f}"
    return f'<tr data-rank="{row.rank}" data-traits="{held}" data-hull="{where}">{"".join(cells)}</tr>'


def _cell(value: object, shown: str, *, head: bool = False) -> str:
    tag = 'th scope="row"' if head else "td"
    return f'<{tag} data-v="{_text(value)}">{shown}</{tag.split(maxsplit=1)[0]}>'


def _prediction(interval: Interval | None) -> str:
    if interval is None:
        return _cell("", '<span class="none">none</span>')
    mark = {True: '<span class="meets" title="meets the target">✓</span>', False: "", None: ""}[interval.meets_target]
    doubt = '<span class="doubt" title="unlike the training data: the interval may not hold">?</span>'
    return _cell(
        interval.value,
        f"{_plain(interval.value)}{mark}{doubt if interval.unlike_training else ''}"
        f"<small>{_plain(interval.lower)} to {_plain(interval.upper)}</small>",
    )


def _flags(row: Candidate) -> list[tuple[str, str]]:
    flags = [("known", f"known: {row.known}") if row.known else ("new", "new")]
    if row.charge_balanced is False:
        flags.append(("warn", "charges do not balance"))
    if row.implausible_oxidation:
        flags.append(("warn", "unusual oxidation state"))
    if any(p.unlike_training for p in row.predictions.values()):
        flags.append(("warn", "unlike training data"))
    return flags + [("note", note) for note in row.notes if len(note) <= 60]


def _formula(text: str) -> str:
    return re.sub(r"(\d+)", r"<sub>\1</sub>", _text(text))


def _group(symbol: str) -> str:
    shown = re.sub(r"-(\d)", r'<span class="bar">\1</span>', _text(symbol))
    return re.sub(r"_(\d)", r"<sub>\1</sub>", shown)


def _funnel(data: ReportData) -> str:
    most = max((stage.kept + sum(stage.dropped.values()) for stage in data.funnel), default=1) or 1
    stages = []
    for stage in data.funnel:
        lost = "; ".join(f"{count} {reason}" for reason, count in stage.dropped.items())
        stages.append(
            f'<li><span class="what">{_text(stage.name)}</span><span class="track"><span style="width:{100 * stage.kept / most:.1f}%">'
            f"</span></span><b>{stage.kept}</b><small>{_text(lost)}</small></li>"
        )
    columns = list(dict.fromkeys(column for row in data.proposers.values() for column in row))
    head = "".join(f'<th scope="col">{_text(column)}</th>' for column in columns)
    rows = "".join(
        f'<tr><th scope="row">{_text(name)}</th>'
        + "".join(f"<td>{_number(row[column]) if column in row else ''}</td>" for column in columns)
        + "</tr>"
        for name, row in data.proposers.items()
    )
    table = (
        f'<table class="plain"><thead><tr><th scope="col">proposer</th>{head}</tr></thead><tbody>{rows}</tbody></table>'
    )
    return f'<ol class="funnel">{"".join(stages)}</ol>{table if data.proposers else ""}'


def _provenance(data: ReportData) -> str:
    seconds = {name: f"{value:.1f} s" for name, value in data.timings.items()}
    groups: list[tuple[str, Mapping[str, object]]] = [
        ("Machine", data.machine), ("Versions", data.versions), ("Seeds", data.seeds), ("Time", seconds),
    ]  # fmt: skip
    return "".join(
        f"<div><h3>{title}</h3><dl>"
        + "".join(f"<dt>{_text(key)}</dt><dd>{_text(value)}</dd>" for key, value in rows.items())
        + "</dl></div>"
        for title, rows in groups
        if rows
    )


def _signed(value: float) -> str:
    shown = f"{value:+.3f}".replace("-", "−")
    return "0.000" if float(f"{value:.3f}") == 0.0 else shown


def _plain(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def _number(value: float) -> str:
    return f"{value:g}" if float(value).is_integer() else f"{value:.3g}"
