"""The convex hull of energy over composition: how far a compound lies above what it could decompose into.

The lower hull is convex and made of flat pieces, so its energy at a composition is the largest of the planes of its
lower facets: `E_hull(x) = max_f (a_f . x + b_f)`. Once the facets of a chemical system are known, the distances of
thousands of candidates are one matrix product.

Source of the construction: Ong et al. 2008, doi:10.1021/cm702327g. The signed distance below the hull is the "energy
of decomposition" of Bartel 2022, doi:10.1007/s10853-022-06915-4, when the references leave the phase itself out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from euhedral.errors import InvalidRequestError

# A reference this close (eV/atom) to its own hull is on it; facets and planes agree to about 1e-12.
_ON_HULL = 1e-9
# A facet whose unit normal points down by less than this is a side of the simplex, not part of the lower hull.
_VERTICAL = 1e-10
# A compound less stable than this (eV/atom) against the elements cannot move the hull by more.
_NEGLIGIBLE = 1e-8
# The number of facets grows exponentially with the elements. Up to the first number they cost next to nothing; above the
# second, a linear programme for each query is always faster; between them it depends on the number of queries.
_FEW_ELEMENTS, _MANY_ELEMENTS = 5, 7
_MANY_QUERIES = 100
_FRACTION_TOLERANCE = 1e-6
_QUERIES_AT_ONCE = 4096


@dataclass(frozen=True, eq=False)
class HullDistances:
    """Where the queries lie relative to the hull of the references.

    Args:
        distance: (m,) eV/atom above the hull; negative below it (the references are then unstable against the query).
        hull_energy: (m,) eV/atom of the hull at the query's composition.
        phases: (m, k) int64 positions of the competing references, -1 where fewer than k compete.
        amounts: (m, k) fraction of the atoms in each competing reference; rows add up to 1.
    """

    distance: NDArray[np.float64]
    hull_energy: NDArray[np.float64]
    phases: NDArray[np.int64]
    amounts: NDArray[np.float64]

    def __len__(self) -> int:
        return int(self.distance.size)

    def decomposition(self, query: int) -> dict[int, float]:
        """Return {position of a reference: fraction of the atoms in it} for one query."""
        pairs = zip(self.phases[query].tolist(), self.amounts[query].tolist(), strict=True)
        return {phase: amount for phase, amount in pairs if phase >= 0}


@dataclass(frozen=True, eq=False)
class LowerHull:
    """The lower hull of reference phases over one chemical system; built once, asked many times.

    Args:
        compositions: (n, k) atomic fractions of the k elements; rows add up to 1.
        energies: (n,) eV/atom, total or formation energies of one method.
        elements: k names of the elements, for errors.

    Raises:
        InvalidRequestError: shapes that do not fit, a number that is not finite, fractions that do not add up to 1, or
            an element without a reference of the pure element.
    """

    compositions: NDArray[np.float64]
    energies: NDArray[np.float64]
    elements: Sequence[str] = ()

    def __post_init__(self) -> None:
        compositions, energies = checked(self.compositions, self.energies, what="reference")
        object.__setattr__(self, "compositions", compositions)
        object.__setattr__(self, "energies", energies)
        pure = compositions > 1.0 - _FRACTION_TOLERANCE
        missing = np.flatnonzero(~pure.any(axis=0))
        if missing.size:
            names = ", ".join(self._name(int(column)) for column in missing)
            raise InvalidRequestError(
                f"no reference of the pure element {names} among {len(energies)} phases; the hull needs one of each"
            )

    def _name(self, column: int) -> str:
        return self.elements[column] if len(self.elements) > column else f"number {column + 1}"

    @cached_property
    def _corners(self) -> NDArray[np.int64]:
        """(k,) the most stable reference of each pure element."""
        pure = self.compositions > 1.0 - _FRACTION_TOLERANCE
        return np.argmin(np.where(pure, self.energies[:, None], np.inf), axis=0)

    @cached_property
    def _above_corners(self) -> NDArray[np.float64]:
        """(n,) eV/atom relative to the most stable pure elements."""
        return self.energies - self.compositions @ self.energies[self._corners]

    @cached_property
    def _competing(self) -> NDArray[np.int64]:
        """References that can be on the hull: the elements, and the lowest of each composition below their plane."""
        order = np.lexsort((np.arange(len(self.energies)), self._above_corners))
        order = order[self._above_corners[order] < -_NEGLIGIBLE]
        _, first = np.unique(np.round(self.compositions[order], 8), axis=0, return_index=True)
        compounds = order[np.sort(first)]
        return np.concatenate([self._corners, compounds[~np.isin(compounds, self._corners)]])

    @cached_property
    def _facets(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """(f, k) energies of the facets' planes at the pure elements, and (f, k) the references that span them."""
        from scipy.spatial import ConvexHull

        n_elements = self.compositions.shape[1]
        competing = self._competing
        if len(competing) == n_elements:
            return np.zeros((1, n_elements)), competing[None]
        points = np.column_stack([self.compositions[competing, 1:], self._above_corners[competing]])
        hull = ConvexHull(points, qhull_options="Qt" if n_elements <= 4 else "Qt Qx")
        lower = hull.equations[:, -2] < -_VERTICAL
        equations, simplices = hull.equations[lower], competing[hull.simplices[lower]]
        # n . x + n_z z + c = 0 gives z at the k corners of the simplex (the first corner is the origin)
        at_origin = -equations[:, -1:] / equations[:, -2:-1]
        slopes = -equations[:, :-2] / equations[:, -2:-1]
        return np.concatenate([at_origin, at_origin + slopes], axis=1), simplices

    @cached_property
    def stable(self) -> NDArray[np.int64]:
        """Positions of the references on the hull, in their own order; one of those that tie in composition and energy."""
        on_hull = self.distance(self.compositions[self._competing], energies=self.energies[self._competing])
        return np.sort(self._competing[on_hull.distance < _ON_HULL])

    def distance(self, compositions: ArrayLike, *, energies: ArrayLike) -> HullDistances:
        """Place queries relative to the hull.

        Args:
            compositions: (m, k) atomic fractions.
            energies: (m,) eV/atom, of the same method as the references.

        Raises:
            InvalidRequestError: shapes that do not fit or fractions that do not add up to 1.
        """
        queries, query_energies = checked(compositions, energies, what="query", allow_nan_energies=True)
        n_elements = self.compositions.shape[1]
        if queries.shape[1] != n_elements:
            raise InvalidRequestError(
                f"queries have {queries.shape[1]} elements and the references have {n_elements}; give the same columns"
            )
        corner_plane = queries @ self.energies[self._corners]
        phases = np.full((len(queries), n_elements), -1, dtype=np.int64)
        amounts = np.zeros((len(queries), n_elements))
        height = np.empty(len(queries))
        worth_it = len(queries) >= _MANY_QUERIES or "_facets" in self.__dict__
        by_facets = n_elements <= _FEW_ELEMENTS or (n_elements <= _MANY_ELEMENTS and worth_it)
        solve = self._from_facets if by_facets else self._from_programme
        for start in range(0, len(queries), _QUERIES_AT_ONCE):
            part = slice(start, start + _QUERIES_AT_ONCE)
            height[part], phases[part], amounts[part] = solve(queries[part])
        hull_energy = corner_plane + height
        return HullDistances(
            distance=query_energies - hull_energy, hull_energy=hull_energy, phases=phases, amounts=amounts
        )

    def _from_facets(
        self, queries: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
        planes, simplices = self._facets
        heights = queries @ planes.T
        best = np.argmax(heights, axis=1)
        corners = simplices[best]
        # qhull cuts a facet with many corners into simplices of one plane; only one of those holds the query
        weights = _barycentric(self.compositions[corners], queries)
        for query in np.flatnonzero(weights.min(axis=1) < -1e-7):
            tied = np.flatnonzero(heights[query] > heights[query, best[query]] - 1e-9)
            tried = _barycentric(self.compositions[simplices[tied]], np.repeat(queries[query][None], len(tied), axis=0))
            pick = int(np.argmax(tried.min(axis=1)))
            corners[query], weights[query] = simplices[tied[pick]], tried[pick]
        weights = np.where(weights > 1e-9, weights, 0.0)
        phases = np.where(weights > 0.0, corners, -1)
        return heights[np.arange(len(queries)), best], phases, weights / weights.sum(axis=1, keepdims=True)

    def _from_programme(
        self, queries: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
        """Minimise the energy of a mixture of references that has the query's composition, query by query."""
        from scipy.optimize import linprog

        n_elements = queries.shape[1]
        competing = self._competing
        energies, compositions = self._above_corners[competing], self.compositions[competing]
        height = np.empty(len(queries))
        phases = np.full((len(queries), n_elements), -1, dtype=np.int64)
        amounts = np.zeros((len(queries), n_elements))
        for row, query in enumerate(queries):
            absent = query < _FRACTION_TOLERANCE
            usable = np.flatnonzero(~(compositions[:, absent] > _FRACTION_TOLERANCE).any(axis=1))
            solution = linprog(
                energies[usable], A_eq=compositions[usable][:, ~absent].T, b_eq=query[~absent], method="highs-ds"
            )
            if solution.status != 0:
                raise InvalidRequestError(f"no mixture of references has the composition {query}: {solution.message}")
            chosen = np.argsort(-solution.x, kind="stable")[:n_elements]
            chosen = chosen[solution.x[chosen] > 1e-9]
            height[row] = solution.fun
            phases[row, : len(chosen)] = competing[usable[chosen]]
            amounts[row, : len(chosen)] = solution.x[chosen] / solution.x[chosen].sum()
        return height, phases, amounts


def hull_distance(
    compositions: ArrayLike,
    *,
    energies: ArrayLike,
    references: ArrayLike,
    reference_energies: ArrayLike,
    elements: Sequence[str] = (),
) -> HullDistances:
    """Place queries relative to the convex hull of reference phases.

    Args:
        compositions: (m, k) atomic fractions of the queries.
        energies: (m,) eV/atom of the queries; NaN gives a NaN distance.
        references: (n, k) atomic fractions of the references; every pure element must be among them.
        reference_energies: (n,) eV/atom, of the same method.
        elements: k names of the elements, for errors.

    Raises:
        InvalidRequestError: shapes that do not fit, fractions that do not add up to 1, a reference energy that is not
            finite, or an element without a reference of the pure element.
    """
    hull = LowerHull(
        compositions=np.asarray(references, dtype=np.float64),
        energies=np.asarray(reference_energies, dtype=np.float64),
        elements=elements,
    )
    return hull.distance(compositions, energies=energies)


def _barycentric(corners: NDArray[np.float64], queries: NDArray[np.float64]) -> NDArray[np.float64]:
    """Solve w @ corners = query; a flat facet gives weights of minus infinity instead.

    Args:
        corners: (m, k, k) compositions of the corners.
        queries: (m, k) compositions.

    Returns:
        (m, k) weights.
    """
    flat = np.abs(np.linalg.det(corners)) < 1e-14
    safe = np.where(flat[:, None, None], np.eye(queries.shape[1]), corners)
    weights = np.linalg.solve(safe.transpose(0, 2, 1), queries[:, :, None])[:, :, 0]
    return np.where(flat[:, None], -np.inf, weights)


def checked(
    compositions: ArrayLike, energies: ArrayLike, *, what: str, allow_nan_energies: bool = False,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # fmt: skip
    """Check fractions and energies, and return them as arrays.

    Raises:
        InvalidRequestError: shapes that do not fit, a number that is not finite, or fractions that do not add up to 1.
    """
    fractions = np.asarray(compositions, dtype=np.float64)
    values = np.asarray(energies, dtype=np.float64)
    if fractions.ndim != 2 or values.shape != fractions.shape[:1] or fractions.shape[1] == 0:
        raise InvalidRequestError(
            f"{what} compositions have shape {fractions.shape} and energies {values.shape}; expected (n, k) and (n,)"
        )
    if not np.isfinite(fractions).all() or fractions.min(initial=0.0) < 0.0:
        raise InvalidRequestError(f"a {what} composition is negative, NaN or infinite; expected fractions from 0 to 1")
    off = np.flatnonzero(np.abs(fractions.sum(axis=1) - 1.0) > _FRACTION_TOLERANCE)
    if off.size:
        raise InvalidRequestError(
            f"{what} {off[0]}: the fractions add up to {fractions[off[0]].sum():.6f}, expected 1; divide by the number of atoms"
        )
    if not allow_nan_energies and not np.isfinite(values).all():
        bad = int(np.flatnonzero(~np.isfinite(values))[0])
        raise InvalidRequestError(f"{what} {bad}: the energy is {values[bad]}; leave the phase out")
    return fractions, values
