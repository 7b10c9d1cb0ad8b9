"""Figures by matplotlib, without a window and without its global state."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any, Final

from euhedral.core.writing import replacing
from euhedral.errors import MissingDependencyError

INK: Final = "#1f3a4d"
ACCENT: Final = "#b5532a"
FAINT: Final = "0.75"


def new_figure(*, width: float, height: float, otherwise: str = "") -> Any:
    """Make an empty figure.

    Args:
        width: inches.
        height: inches.
        otherwise: what one can do without matplotlib, for the error.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError(
            f"pictures need matplotlib; install it with: pip install 'euhedral[plots]'{otherwise and f', or {otherwise}'}"
        ) from error
    return Figure(figsize=(width, height), dpi=150, layout="constrained")


def dress(axes: Any, *, x: str, y: str, title: str = "") -> None:
    """Label axes and leave out the lines that say nothing."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    place = axes.get_subplotspec()
    columns = place.get_gridspec().ncols if place is not None else 1
    axes.set_title(wrapped(title, width=0.8 * axes.figure.get_figwidth() / columns), fontsize=9, loc="left")
    axes.spines[["top", "right"]].set_visible(False)


def wrapped(title: str, *, width: float) -> str:
    """Break the lines of a title that is longer than a picture is wide, as one with a path may be.

    Args:
        title: of 9 points.
        width: inches.
    """
    letters = max(12, round(15.0 * width))
    return "\n".join(part for line in title.split("\n") for part in (textwrap.wrap(line, letters) or [""]))


def save_figure(figure: Any, path: Path, *, forms: tuple[str, ...] = ("png",)) -> list[Path]:
    """Write a figure in each form; each file appears whole or not at all.

    Args:
        figure: of `new_figure`.
        path: with or without .png; each form's ending comes in its place.
        forms: png, svg.

    Returns:
        The files.

    Raises:
        RunFolderError: a file cannot be written.
    """
    from matplotlib import rc_context

    written = []
    for form in forms:
        file = path.with_name(f"{path.name.removesuffix('.png')}.{form}")
        metadata = {"Software": None} if form == "png" else {"Date": None, "Creator": None}
        # text stays text, and the same picture has the same bytes
        with replacing(file) as temporary, rc_context({"svg.fonttype": "none", "svg.hashsalt": "euhedral"}):
            figure.savefig(temporary, format=form, bbox_inches="tight", metadata=metadata)
        written.append(file)
    return written
