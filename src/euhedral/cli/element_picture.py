"""The periodic table as a map of errors."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from euhedral.cli.drawing import FAINT, INK, new_figure, save_figure, wrapped
from euhedral.cli.fit_pictures import FORMS
from euhedral.core.elements import MAX_NUMBER, SYMBOLS, element

_LANTHANUM, _LUTETIUM, _ACTINIUM, _LAWRENCIUM = 57, 71, 89, 103
# The colours end where 95% of the elements are, so that one bad element does not make all others look alike.
_QUANTILE: Final = 0.95


def place_of(number: int) -> tuple[float, float]:
    """Column and row of an element in the drawn table; the f elements stand below it."""
    if _LANTHANUM <= number <= _LUTETIUM:
        return 3.0 + number - _LANTHANUM, 8.4
    if _ACTINIUM <= number <= _LAWRENCIUM:
        return 3.0 + number - _ACTINIUM, 9.4
    return float(element(number).group), float(element(number).row)


def draw_elements(
    path: Path, *, mean: NDArray[np.float64], count: NDArray[np.int64], unit: str, title: str, of: str = "crystals"
) -> list[Path]:
    """Colour each element by a mean error.

    Args:
        path: its ending is replaced.
        mean: (119,) by atomic number; NaN where nothing is known.
        count: (119,) of how many.
        unit: of the error.
        title: above the picture.
        of: what was counted.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        RunFolderError: a file cannot be written.
    """
    figure = new_figure(width=10.0, height=5.6)
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.patches import Rectangle

    axes = figure.add_subplot()
    known = mean[np.isfinite(mean)]
    top = float(np.quantile(known, _QUANTILE)) if len(known) else 1.0
    digits = int(np.clip(2 - np.floor(np.log10(top or 1.0)), 0, 6))  # three of the largest
    scale = ScalarMappable(Normalize(0.0, top or 1.0), colormaps["YlOrRd"])
    for number in range(1, MAX_NUMBER + 1):
        x, y = place_of(number)
        has = bool(np.isfinite(mean[number]))
        colour = scale.to_rgba(mean[number]) if has else (1.0, 1.0, 1.0, 0.0)
        axes.add_patch(Rectangle((x - 0.46, y - 0.46), 0.92, 0.92, facecolor=colour, edgecolor=FAINT, linewidth=0.6))
        bright = has and sum(w * c for w, c in zip((0.299, 0.587, 0.114), colour[:3], strict=True)) < 0.55
        ink = "white" if bright else INK if has else FAINT
        axes.text(x, y - 0.12 if has else y, SYMBOLS[number], ha="center", va="center", fontsize=9, color=ink)
        if has:
            axes.text(x, y + 0.14, f"{mean[number]:.{digits}f}", ha="center", va="center", fontsize=6, color=ink)
            axes.text(x, y + 0.33, f"{count[number]:,}", ha="center", va="center", fontsize=4.5, color=ink)
    for y, text in ((8.4, "57-71"), (9.4, "89-103")):
        axes.text(2.0, y, text, ha="center", va="center", fontsize=6, color="0.5")
    axes.set_xlim(0.4, 18.6)
    axes.set_ylim(10.0, 0.4)
    axes.set_aspect("equal")
    axes.axis("off")
    label = f"mean error{f' ({unit})' if unit else ''}"
    figure.colorbar(scale, ax=axes, label=label, shrink=0.6, aspect=25, extend="max")
    told = wrapped(f"{title}\nin each cell: mean error, and of how many {of}", width=8.0)
    axes.set_title(told, fontsize=9, loc="left")
    return save_figure(figure, path, forms=FORMS)
