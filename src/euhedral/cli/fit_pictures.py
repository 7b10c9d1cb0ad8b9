"""How well a model fits: parity, confusion, spectra, and how it came to that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from euhedral.cli.drawing import ACCENT, FAINT, INK, dress, new_figure, save_figure, wrapped

FORMS: Final = ("png", "svg")
# Points up to which each is drawn, with its interval up to the second number; more are counted in hexagons.
_DOTS: Final = 500
_BARS: Final = 150
_NAMED_CLASSES: Final = 12
_FEW_EPOCHS: Final = 10


def draw_parity(
    path: Path, *, truth: NDArray[np.float64], value: NDArray[np.float64], bars: tuple[NDArray[np.float64], NDArray[np.float64]] | None,
    name: str, unit: str, title: str,
) -> list[Path]:  # fmt: skip
    """Draw predictions against labels; many of them as a density.

    Args:
        path: its ending is replaced.
        truth: (M,) labels, all known.
        value: (M,) predictions.
        bars: (M,) lower and upper ends of intervals, drawn where there are few points.
        name: of the property.
        unit: of it.
        title: above the picture.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        RunFolderError: a file cannot be written.
    """
    figure = new_figure(width=4.8, height=4.6)
    axes = figure.add_subplot()
    low, high = _limits(np.concatenate([truth, value]))
    axes.plot([low, high], [low, high], color=FAINT, linewidth=1.0, linestyle=(0, (4, 3)), zorder=0)
    if len(truth) > _DOTS:
        drawn = axes.hexbin(
            truth,
            value,
            gridsize=60,
            extent=(low, high, low, high),
            bins="log",
            mincnt=1,
            cmap="viridis",
            linewidths=0.1,
        )
        figure.colorbar(drawn, ax=axes, label="count in a cell", shrink=0.7, aspect=25)
    else:
        if bars is not None and len(truth) <= _BARS and all(np.isfinite(end).all() for end in bars):
            axes.vlines(truth, np.maximum(bars[0], low), np.minimum(bars[1], high), color=INK, alpha=0.2, linewidth=0.9)
        axes.scatter(truth, value, s=14, color=INK, alpha=0.6, edgecolors="white", linewidths=0.3)
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.set_aspect("equal")
    ending = f" ({unit})" if unit else ""
    dress(axes, x=f"label of {name}{ending}", y=f"predicted {name}{ending}", title=title)
    return save_figure(figure, path, forms=FORMS)


def _limits(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    margin = 0.04 * (high - low) or 0.5 * max(abs(high), 1.0)
    return low - margin, high + margin


def draw_confusion(
    path: Path, *, truth: NDArray[np.int64], value: NDArray[np.int64], classes: Sequence[str], name: str, title: str
) -> list[Path]:
    """Draw how often each class is taken for each.

    Args:
        path: its ending is replaced.
        truth: (M,) positions of the true classes.
        value: (M,) positions of the likeliest.
        classes: their names.
        name: of the property.
        title: above the picture.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        RunFolderError: a file cannot be written.
    """
    n = len(classes)
    counts = np.zeros((n, n), dtype=np.int64)
    np.add.at(counts, (truth, value), 1)
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = min(2.6 + 0.5 * n, 9.0)
    figure = new_figure(width=side + 1.0, height=side)
    axes = figure.add_subplot()
    drawn = axes.imshow(share, cmap="Blues", vmin=0.0, vmax=1.0)
    figure.colorbar(drawn, ax=axes, label="share of the true class", shrink=0.7, aspect=25)
    if n <= _NAMED_CLASSES:
        for i in range(n):
            for j in range(n):
                dark = share[i, j] > 0.55
                axes.text(
                    j, i, f"{counts[i, j]:,}", ha="center", va="center", fontsize=8, color="white" if dark else INK
                )
    size = 8 if n <= _NAMED_CLASSES else 5
    axes.set_xticks(range(n), classes, rotation=45, ha="right", fontsize=size)
    axes.set_yticks(
        range(n), [f"{one} ({total:,})" for one, total in zip(classes, counts.sum(1), strict=True)], fontsize=size
    )
    dress(axes, x=f"predicted {name}", y=f"true {name} (how many)", title=title)
    return save_figure(figure, path, forms=FORMS)


def draw_spectra(
    path: Path, *, truth: NDArray[np.float64], value: NDArray[np.float64], error: NDArray[np.float64], ids: Sequence[str],
    grid: NDArray[np.float64], labels: tuple[str, str], title: str,
) -> list[Path]:  # fmt: skip
    """Draw the best, the median and the worst spectra, three of each.

    Args:
        path: its ending is replaced.
        truth: (M, G) labels.
        value: (M, G) predictions.
        error: (M,) of each spectrum; NaN where not known.
        ids: (M,) names.
        grid: (G,) where the values are.
        labels: of both axes, with units.
        title: above the page.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        RunFolderError: a file cannot be written.
    """
    order = np.argsort(error, kind="stable")[: int(np.isfinite(error).sum())]
    middle = max(len(order) // 2 - 1, 0)
    groups = {"best": order[:3], "median": order[middle : middle + 3], "worst": order[-3:]}
    figure = new_figure(width=8.4, height=6.0)
    panels = figure.subplots(3, 3, sharex=True, sharey="row", squeeze=False)
    for row, (what, chosen) in enumerate(groups.items()):
        for column, axes in enumerate(panels[row]):
            if column >= len(chosen):
                axes.set_visible(False)
                continue
            i = int(chosen[column])
            axes.fill_between(grid, truth[i], color=INK, alpha=0.18, linewidth=0.0)
            axes.plot(grid, truth[i], color=INK, linewidth=0.8, label="label")
            axes.plot(grid, value[i], color=ACCENT, linewidth=1.2, label="predicted")
            axes.set_xlim(grid[0], grid[-1])
            dress(
                axes,
                x=labels[0] if row == 2 else "",
                y=labels[1] if column == 0 else "",
                title=f"{what}: {ids[i]}, {error[i]:.3g}",
            )
    panels[0][0].legend(frameon=False, fontsize=7)
    figure.suptitle(wrapped(title, width=figure.get_figwidth()), fontsize=9, x=0.01, ha="left")
    return save_figure(figure, path, forms=FORMS)


def draw_learning(
    path: Path, *, history: Sequence[Mapping[str, str]], units: Mapping[str, str], title: str
) -> list[Path]:
    """Draw the loss and the validation errors of each network by epoch.

    Args:
        path: its ending is replaced.
        history: rows of `training.loggers.HISTORY`.
        units: of the targets.
        title: above the picture.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        RunFolderError: a file cannot be written.
    """
    columns = list(dict.fromkeys(name for row in history for name in row if name.startswith("validation ")))
    panels = ["loss", *columns]
    figure = new_figure(width=3.3 * len(panels), height=3.1)
    last = max(int(row["epoch"]) for row in history)
    networks = sorted({int(row["network"]) for row in history})
    for axes, column in zip(figure.subplots(1, len(panels), squeeze=False, sharex=True)[0], panels, strict=True):
        top = 0.0
        for network in networks:
            rows = [row for row in history if int(row["network"]) == network and row.get(column)]
            epochs, values = [int(row["epoch"]) for row in rows], [float(row[column]) for row in rows]
            few = {"marker": "o", "markersize": 3.0} if len(rows) <= 25 else {}
            axes.plot(
                epochs,
                values,
                linewidth=1.2,
                color=_shade(network, len(networks)),
                label=f"network {network + 1}",
                **few,
            )
            top = max([top, *(value for value in values if np.isfinite(value))])
        if column == "loss":
            axes.set_yscale("log")
        elif top > 0.0:
            axes.set_ylim(-0.03 * top, 1.05 * top)
        axes.set_xlim(*((0.5, last + 0.5) if last <= _FEW_EPOCHS else (0.0, 1.02 * last)))
        _whole_epochs(axes)
        target = column.removeprefix("validation ")
        unit = units.get(target, "")
        dress(
            axes,
            x="epoch",
            y=f"error ({unit})" if unit else ("training loss" if column == "loss" else "error"),
            title=column,
        )
        if column == "loss" and len(networks) > 1:
            axes.legend(frameon=False, fontsize=7)
    figure.suptitle(wrapped(title, width=figure.get_figwidth()), fontsize=9, x=0.01, ha="left")
    return save_figure(figure, path, forms=FORMS)


def _shade(index: int, n: int) -> Any:
    from matplotlib import colormaps

    return colormaps["viridis"](0.85 * index / max(n - 1, 1))


def _whole_epochs(axes: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
