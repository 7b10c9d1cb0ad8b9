"""A spectrum: values over an axis, valid from the moment it exists, and what is done to every kind of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from euhedral.errors import InvalidRequestError, unknown_name

#: What may be below zero: differences, absorbances after correction, G(r). Counts, intensities and densities of states may not.
KINDS: Final[Mapping[str, bool]] = MappingProxyType(
    {
        "powder pattern": False, "raman": False, "phonon dos": False, "electron dos": False, "infrared": True,
        "pair distribution": True, "other": True,
    }
)  # fmt: skip


@dataclass(frozen=True)
class Repair:
    """What may be done to points that make no spectrum; nothing, unless it is asked for.

    Args:
        unordered: sort by x and average points of equal x, or refuse.
        missing: drop points of which x or y is not finite, or refuse.
        negative: raise negative values to zero, or refuse where the kind has none.
    """

    unordered: Literal["refuse", "sort"] = "refuse"
    missing: Literal["refuse", "drop"] = "refuse"
    negative: Literal["refuse", "clip"] = "refuse"


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Values over a rising axis; immutable.

    Args:
        x: (N,) rising, in x_unit.
        y: (N,) in y_unit.
        kind: one of `KINDS`, which says whether a value may be negative.
        x_unit: "degree", "1/cm", "eV", "THz", "Angstrom" ...
        y_unit: "counts" or any other; empty for arbitrary ones.
        id: a name; every error about this spectrum carries it.
        metadata: what else is known: instrument, wavelength, the mineral.

    Raises:
        InvalidRequestError: no points, lengths that differ, a value that is missing or not finite, an axis that does not rise,
            or a negative value where the kind has none. `from_points` does what a `Repair` allows.
        UnknownNameError: no such kind.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    kind: str = "other"
    x_unit: str = ""
    y_unit: str = ""
    id: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        name = f"spectrum {self.id!r}"
        if self.kind not in KINDS:
            raise unknown_name("kind of spectrum", self.kind, KINDS, where="spectrum.KINDS")
        x, y = (_numbers(values, what=what, name=name) for values, what in ((self.x, "x"), (self.y, "y")))
        if x.ndim != 1 or x.shape != y.shape or not x.size:
            raise InvalidRequestError(
                f"{name}: expected as many x as y, at least one, got shapes {x.shape} and {y.shape}"
            )
        for values, what in ((x, "x"), (y, "y")):
            bad = ~np.isfinite(values)
            if bad.any():
                raise InvalidRequestError(
                    f"{name}: {int(bad.sum())} of {x.size} values of {what} are missing or infinite, the first at point "
                    f"{int(bad.argmax())}; Repair(missing='drop') leaves them out"
                )
        back = np.diff(x) <= 0.0
        if back.any():
            at = int(back.argmax())
            raise InvalidRequestError(
                f"{name}: x must rise, but {x[at]:g} is followed by {x[at + 1]:g} at point {at + 1}; "
                f"Repair(unordered='sort') sorts and averages repeated points"
            )
        if not KINDS[self.kind] and y.min() < 0.0:
            raise InvalidRequestError(
                f"{name}: a {self.kind} has no negative values, but y is {y.min():g} at x = {x[y.argmin()]:g}; "
                f"Repair(negative='clip') makes them zero"
            )
        x.setflags(write=False)
        y.setflags(write=False)
        object.__setattr__(self, "x", x)
        object.__setattr__(self, "y", y)
        object.__setattr__(self, "metadata", MappingProxyType(dict(self.metadata)))

    def __len__(self) -> int:
        return int(self.x.size)

    def __repr__(self) -> str:
        unit = f" {self.x_unit}" if self.x_unit else ""
        return f"<Spectrum {self.id!r} {self.kind}, {len(self)} points, {self.x[0]:g} to {self.x[-1]:g}{unit}>"

    def __getstate__(self) -> dict[str, Any]:
        # mappingproxy has no copy protocol; worker processes and copy.copy need one
        return {name: getattr(self, name) for name in ("x", "y", "kind", "x_unit", "y_unit", "id")} | {
            "metadata": dict(self.metadata)
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        for key, value in state.items():
            object.__setattr__(self, key, value)
        self.__post_init__()

    @classmethod
    def from_points(
        cls, x: ArrayLike, y: ArrayLike, *, kind: str = "other", x_unit: str = "", y_unit: str = "", id: str = "",  # noqa: A002
        metadata: Mapping[str, Any] | None = None, repair: Repair | None = None,
    ) -> Spectrum:  # fmt: skip
        """Build a spectrum from points as they come, repairing only what is asked for.

        Args:
            x: (N,) in x_unit.
            y: (N,) in y_unit.
            kind: one of `KINDS`.
            x_unit: of the axis.
            y_unit: of the values.
            id: a name.
            metadata: what else is known.
            repair: what may be done to points that make no spectrum.

        Raises:
            InvalidRequestError: as the constructor, for what is not repaired.
        """
        name, repair = f"spectrum {id!r}", repair or Repair()
        xs, ys = _numbers(x, what="x", name=name), _numbers(y, what="y", name=name)
        if xs.shape == ys.shape and xs.ndim == 1:
            if repair.missing == "drop":
                kept = np.isfinite(xs) & np.isfinite(ys)
                xs, ys = xs[kept], ys[kept]
            if repair.unordered == "sort" and not np.isnan(xs).any():
                xs, place = np.unique(xs, return_inverse=True)
                ys = np.bincount(place, weights=ys) / np.bincount(place) if xs.size else ys
            if repair.negative == "clip":
                ys = np.where(ys < 0.0, 0.0, ys)
        return cls(xs, ys, kind=kind, x_unit=x_unit, y_unit=y_unit, id=id, metadata=metadata or {})

    def replace(self, **changes: Any) -> Spectrum:
        """Return a copy with the named fields changed; checked like a new one."""
        return replace(self, **changes)


def crop(spectrum: Spectrum, *, low: float = -np.inf, high: float = np.inf) -> Spectrum:
    """Keep the points from `low` to `high`, in the unit of x.

    Raises:
        InvalidRequestError: no point lies there.
    """
    kept = (spectrum.x >= low) & (spectrum.x <= high)
    if not kept.any():
        raise InvalidRequestError(
            f"spectrum {spectrum.id!r}: no point lies in {low:g} to {high:g}; it covers {spectrum.x[0]:g} to {spectrum.x[-1]:g}"
        )
    return spectrum.replace(x=spectrum.x[kept], y=spectrum.y[kept])


def resample(spectrum: Spectrum, *, grid: ArrayLike, outside: float | None = None) -> Spectrum:
    """Read the values at other points, linearly between those that are known.

    Args:
        spectrum: any.
        grid: (G,) rising, in the unit of x.
        outside: the value beyond the ends; None refuses points there.

    Raises:
        InvalidRequestError: a point lies outside and no value is given for it.
    """
    points = np.asarray(grid, dtype=np.float64)
    if outside is None and points.size and (points.min() < spectrum.x[0] or points.max() > spectrum.x[-1]):
        raise InvalidRequestError(
            f"spectrum {spectrum.id!r} covers {spectrum.x[0]:g} to {spectrum.x[-1]:g}, but points from {points.min():g} to "
            f"{points.max():g} were asked for; give outside=0.0 if it is zero there"
        )
    return spectrum.replace(x=points, y=np.interp(points, spectrum.x, spectrum.y, left=outside, right=outside))


def rebin(spectrum: Spectrum, *, edges: ArrayLike) -> Spectrum:
    """Average over bins so that the area between any two edges is kept; x becomes the bins' centres.

    The spectrum is taken as straight lines between its points and as zero beyond them.

    Args:
        spectrum: any; a density of states above all, whose area counts states.
        edges: (G + 1,) rising, in the unit of x.

    Raises:
        InvalidRequestError: fewer than two edges, or edges that do not rise.
    """
    cuts = np.asarray(edges, dtype=np.float64)
    if cuts.ndim != 1 or cuts.size < 2 or not np.isfinite(cuts).all() or (np.diff(cuts) <= 0.0).any():
        raise InvalidRequestError(f"bins need at least two edges that rise, got an array of shape {cuts.shape}")
    areas = np.diff([area(spectrum, high=cut) for cut in cuts])
    if not KINDS[spectrum.kind]:
        areas = np.maximum(areas, 0.0)  # differences of sums round to -1e-17
    return spectrum.replace(x=(cuts[1:] + cuts[:-1]) / 2.0, y=areas / np.diff(cuts))


def area(spectrum: Spectrum, *, low: float = -np.inf, high: float = np.inf) -> float:
    """Integrate from `low` to `high`, straight lines between the points and zero beyond them."""
    x, y = spectrum.x, spectrum.y
    start, stop = max(low, float(x[0])), min(high, float(x[-1]))
    if stop <= start:
        return 0.0
    inside = (x > start) & (x < stop)
    points = np.concatenate([[start], x[inside], [stop]])
    return float(np.trapezoid(np.interp(points, x, y), points))


def normalize(spectrum: Spectrum, *, to: Literal["maximum", "area"] = "maximum", value: float = 1.0) -> Spectrum:
    """Scale so that the highest value, or the area, is as given.

    Raises:
        InvalidRequestError: what should be scaled is zero or negative.
    """
    measure: Callable[[Spectrum], float] = area if to == "area" else lambda s: float(s.y.max())
    size = measure(spectrum)
    if not size > 0.0:
        raise InvalidRequestError(f"spectrum {spectrum.id!r}: its {to} is {size:g} and cannot be scaled to {value:g}")
    return spectrum.replace(y=spectrum.y * (value / size))


def smooth(spectrum: Spectrum, *, window: int = 11, order: int = 3) -> Spectrum:
    """Fit a polynomial to the points around each (Savitzky and Golay 1964, doi:10.1021/ac60214a047).

    Negative values that the fit makes where the kind has none become zero.

    Args:
        spectrum: with evenly spaced points.
        window: points, odd, more than the order.
        order: of the polynomial.

    Raises:
        InvalidRequestError: the points are not evenly spaced, or the window does not fit.
    """
    from scipy.signal import savgol_filter

    steps = np.diff(spectrum.x)
    if not (order >= 0 and window % 2 == 1 and order < window <= len(spectrum)):
        raise InvalidRequestError(
            f"spectrum {spectrum.id!r}: smoothing needs an odd window above the order {order} and of at most {len(spectrum)} points, got {window}"
        )
    if steps.size and steps.max() - steps.min() > 0.01 * steps.mean():
        raise InvalidRequestError(
            f"spectrum {spectrum.id!r}: its points are not evenly spaced ({steps.min():g} to {steps.max():g}); resample it first"
        )
    y = np.asarray(savgol_filter(spectrum.y, window, order))
    return spectrum.replace(y=y if KINDS[spectrum.kind] else np.maximum(y, 0.0))


def _numbers(values: ArrayLike, *, what: str, name: str) -> NDArray[np.float64]:
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidRequestError(f"{name}: {what} must be numbers ({error})") from error
