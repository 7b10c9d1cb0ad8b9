"""Drawings of graphs and spectra, by matplotlib."""

from __future__ import annotations

import colorsys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from euhedral.cli.drawing import ACCENT, INK, dress, new_figure, save_figure
from euhedral.core.crystal import Crystal
from euhedral.core.elements import SYMBOLS

if TYPE_CHECKING:
    from euhedral.representations.spectra.diffraction import PowderPattern

# Degrees: from where a cell is looked at, a little above the ab plane and beside the a axis.
_AZIMUTH, _ELEVATION = 20.0, 18.0
_LABELLED: Final = 8
_GOLDEN: Final = 0.6180339887498949


def draw_graph(path: Path, *, crystal: Crystal, target: NDArray[np.int64], vectors: NDArray[np.float64]) -> None:
    """Draw the atoms of a cell, and their edges with the neighbours at the other end, which are paler.

    Args:
        path: a .png file.
        crystal: n atoms.
        target: (E,) the atom at the centre of each edge.
        vectors: (E, 3) Angstrom, from it to the neighbour.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        RunFolderError: the file cannot be written.
    """
    figure, axes = _figure(width=5.0, height=5.0)
    view = _view(crystal.cell)
    centres, ends = crystal.cart[target] @ view, (crystal.cart[target] + vectors) @ view
    for edge in _cell_edges(crystal.cell):
        line = edge @ view
        axes.plot(line[:, 0], line[:, 1], color="0.6", linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
    for start, end in zip(centres, ends, strict=True):
        axes.plot(*np.stack([start, end]).T[:2], color=INK, linewidth=0.9, alpha=0.35, zorder=1)
    # the neighbour's element: the atom of the crystal that it is an image of
    inverse = np.linalg.inv(crystal.cell)
    away = ((crystal.cart[target] + vectors) @ inverse)[:, None] - crystal.frac[None]
    kind = crystal.numbers[np.abs(away - np.round(away)).sum(2).argmin(1)] if len(vectors) else np.zeros(0, np.int64)
    _, first = np.unique(np.round(crystal.cart[target] + vectors, 3) + 0.0, axis=0, return_index=True)
    at_home = crystal.cart @ view
    _draw_atoms(axes, places=at_home, numbers=crystal.numbers, alpha=1.0, order=3)
    _draw_atoms(axes, places=ends[first], numbers=kind[first], alpha=0.4, order=2)
    for number in np.unique(crystal.numbers).tolist():
        axes.scatter([], [], s=80, color=_colour(number), edgecolors="white", label=SYMBOLS[number])
    axes.legend(loc="upper left", frameon=False, borderaxespad=0.0, handletextpad=0.3)
    axes.set_aspect("equal")
    axes.axis("off")
    save_figure(figure, path)


def draw_powder(path: Path, *, pattern: PowderPattern, grid: NDArray[np.float64], curve: NDArray[np.float64]) -> None:
    """Draw a powder pattern: its profile, a stick for each peak below it, indices at the strongest.

    Args:
        path: a .png file.
        pattern: peaks.
        grid: (G,) degrees.
        curve: (G,) percent of the highest point.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        RunFolderError: the file cannot be written.
    """
    figure, axes = _figure(width=7.0, height=3.2)
    axes.plot(grid, curve, color=INK, linewidth=1.0)
    axes.vlines(pattern.two_theta, -6.0, -2.0, color=ACCENT, linewidth=0.8)
    taken: list[float] = []
    for i in np.argsort(-pattern.intensity, kind="stable")[:_LABELLED].tolist():
        angle = float(pattern.two_theta[i])
        if all(abs(angle - other) > 0.04 * (grid[-1] - grid[0]) for other in taken):
            height = float(np.interp(angle, grid, curve))
            name = "".join(f"{index}" if index >= 0 else f"{-index}\u0305" for index in pattern.hkl[i].tolist())
            axes.annotate(name, (angle, height + 2.0), ha="center", fontsize=7, color=ACCENT)
            taken.append(angle)
    axes.set_xlim(grid[0], grid[-1])
    axes.set_ylim(-8.0, 112.0)
    _finish(figure, axes, labels=("2θ (degrees)", "intensity (%)"), title=pattern.id, path=path)


def draw_curve(
    path: Path, *, x: NDArray[np.float64], y: NDArray[np.float64], labels: tuple[str, str], title: str = ""
) -> None:
    """Draw one curve.

    Args:
        path: a .png file.
        x: (N,) rising.
        y: (N,).
        labels: of both axes, with units.
        title: above it.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        RunFolderError: the file cannot be written.
    """
    figure, axes = _figure(width=7.0, height=3.2)
    axes.axhline(0.0, color="0.8", linewidth=0.8)
    axes.plot(x, y, color=INK, linewidth=1.0)
    axes.set_xlim(x[0], x[-1])
    _finish(figure, axes, labels=labels, title=title, path=path)


def _figure(*, width: float, height: float) -> tuple[Any, Any]:
    figure = new_figure(width=width, height=height, otherwise="choose another --format")
    return figure, figure.add_subplot()


def _finish(figure: Any, axes: Any, *, labels: tuple[str, str], title: str, path: Path) -> None:
    dress(axes, x=labels[0], y=labels[1], title=title)
    save_figure(figure, path)


def _draw_atoms(axes: Any, *, places: NDArray, numbers: NDArray[np.int64], alpha: float, order: int) -> None:
    if not len(places):
        return
    colours = [_colour(number) for number in numbers.tolist()]
    size = 60.0 + 2.0 * numbers
    axes.scatter(*places.T[:2], s=size, color=colours, alpha=alpha, edgecolors="white", linewidths=0.7, zorder=order)


def _colour(number: int) -> tuple[float, float, float]:
    """Turn the hue by the golden angle from element to element, so that any few of them differ."""
    return colorsys.hsv_to_rgb(number * _GOLDEN % 1.0, 0.62, 0.80)


def _view(cell: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, 2) projection: c points upwards, a towards the one who looks and to the left of it."""
    up = cell[2] / np.linalg.norm(cell[2])
    front = cell[0] - (cell[0] @ up) * up
    front /= np.linalg.norm(front)
    right = np.cross(up, front)
    azimuth, elevation = np.radians(_AZIMUTH), np.radians(_ELEVATION)
    toward = np.cos(azimuth) * front + np.sin(azimuth) * right
    across = np.cross(up, toward)
    return np.stack([across, np.cos(elevation) * up - np.sin(elevation) * toward], axis=1)


def _cell_edges(cell: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    corners = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij"), -1).reshape(-1, 3)
    pairs = [(a, b) for a in corners for b in corners if (b - a).sum() == 1 and np.abs(b - a).sum() == 1]
    return [np.stack([a, b]) @ cell for a, b in pairs]
