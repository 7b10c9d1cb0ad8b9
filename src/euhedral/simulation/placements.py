"""Where a molecule may stand on a surface: sites by triangulation, random points, random turns, and down to contact.

The surface is the upper side of a slab: its normal is that of the first two lattice vectors, and there is vacuum along the third.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from euhedral.core.crystal import Crystal
from euhedral.core.elements import elements
from euhedral.errors import InvalidRequestError

#: Names of the site values that a placed molecule's crystal carries.
ADSORBATE: Final = "adsorbate"
FIXED: Final = "fixed"

# Angstrom; sites closer than this are one.
_SAME_SITE: Final = 0.05
_LEAST_VACUUM: Final = 5.0
# How many atoms a site is told by, and Angstrom by which their distances may differ between sites that are alike.
_VIEW: Final = 16
_SAME_VIEW: Final = 0.05


@dataclass(frozen=True, eq=False)
class Molecule:
    """A molecule to be adsorbed.

    Args:
        numbers: (m,) atomic numbers.
        positions: (m, 3) Angstrom.
        binding: the atom that is put on a site; the others begin above it.

    Raises:
        InvalidRequestError: the shapes do not fit, or there is no such atom.
    """

    numbers: NDArray[np.int64]
    positions: NDArray[np.float64]
    binding: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "numbers", np.asarray(self.numbers, dtype=np.int64))
        object.__setattr__(self, "positions", np.asarray(self.positions, dtype=np.float64))
        if not len(self.numbers) or self.positions.shape != (len(self.numbers), 3):
            raise InvalidRequestError(
                f"a molecule of {len(self.numbers)} atoms has positions {self.positions.shape}, expected (m, 3)"
            )
        if not 0 <= self.binding < len(self.numbers):
            raise InvalidRequestError(
                f"a molecule of {len(self.numbers)} atoms has no atom {self.binding} to bind with"
            )


@dataclass(frozen=True, eq=False)
class Surface:
    """The upper side of a slab.

    Args:
        slab: the slab, its atoms moved so that the vacuum is at the top of the cell.
        positions: (n, 3) Angstrom.
        normal: (3,) unit vector.
        top: (k,) int64 atoms of the uppermost layer.
    """

    slab: Crystal
    positions: NDArray[np.float64]
    normal: NDArray[np.float64]
    top: NDArray[np.int64]

    @classmethod
    def of(cls, slab: Crystal, *, layer: float = 1.0) -> Surface:
        """Find the upper side of a slab.

        Args:
            slab: with vacuum along its third lattice vector.
            layer: Angstrom below the highest atom that still count as the uppermost layer.

        Raises:
            InvalidRequestError: there is no vacuum.
        """
        normal = np.cross(slab.cell[0], slab.cell[1])
        normal /= np.linalg.norm(normal) * np.sign(normal @ slab.cell[2])
        order = np.sort(slab.frac[:, 2])
        gaps = np.diff(np.append(order, order[0] + 1.0))
        widest = int(np.argmax(gaps))
        vacuum = gaps[widest] * float(slab.cell[2] @ normal)
        if vacuum < _LEAST_VACUUM:
            raise InvalidRequestError(
                f"slab {slab.id!r}: the vacuum along its third vector is {vacuum:.1f} Å, expected at least {_LEAST_VACUUM:g}"
            )
        bottom = order[(widest + 1) % len(order)]
        frac = slab.frac.copy()
        # a little below the lowest atom, so that rounding does not lift it to the top
        margin = 0.1 * gaps[widest]
        frac[:, 2] = (frac[:, 2] - bottom + margin) % 1.0
        positions = frac @ slab.cell
        height = positions @ normal
        top = np.flatnonzero(height > height.max() - layer)
        return cls(slab=slab.replace(frac=frac), positions=positions, normal=normal, top=top)

    @property
    def height(self) -> NDArray[np.float64]:
        """(n,) Angstrom along the normal."""
        return self.positions @ self.normal

    def triangles(self) -> NDArray[np.float64]:
        """(T, 3, 3) Angstrom corners of the Delaunay triangles of the uppermost layer, one of each of its periodic images."""
        from scipy.spatial import Delaunay

        plane = self.slab.cell[:2]
        steps = np.arange(-2, 3)
        shifts = np.stack(np.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 2) @ plane
        points = (self.positions[self.top][None] + shifts[:, None]).reshape(-1, 3)
        along = plane[0] / np.linalg.norm(plane[0])
        flat = points @ np.stack([along, np.cross(self.normal, along)], axis=1)
        corners = points[Delaunay(flat).simplices]
        place = self._in_plane(corners.mean(1))
        return corners[((place > -1e-6) & (place < 1.0 - 1e-6)).all(1)]

    def sites(self, *, alike: bool = False) -> list[tuple[str, NDArray[np.float64]]]:
        """List (kind, (3,) Angstrom) of on-top, bridge and hollow sites: corners, edges and middles of the triangles.

        Args:
            alike: list also those sites that see the slab as another one does: the nearest atoms of each element as far away.
        """
        corners = self.triangles()
        kinds = (
            ("on-top", corners.reshape(-1, 3)),
            ("bridge", (0.5 * (corners + np.roll(corners, 1, axis=1))).reshape(-1, 3)),
            ("hollow", corners.mean(1)),
        )
        found: list[tuple[str, NDArray[np.float64]]] = []
        for kind, points in kinds:
            for point in points:
                others = [other for _, other in found]
                if not others or self._distance(point, np.array(others)).min() > _SAME_SITE:
                    found.append((kind, point))
        if alike:
            return found
        unlike: list[tuple[str, NDArray[np.float64]]] = []
        seen: list[NDArray[np.float64]] = []
        for kind, point in found:
            view = self._view(point)
            if not any(np.abs(view - other).max() < _SAME_VIEW for other in seen):
                unlike.append((kind, point))
                seen.append(view)
        return unlike

    def _view(self, point: NDArray[np.float64]) -> NDArray[np.float64]:
        """Angstrom from a point of the surface to the nearest atoms of each element of the slab."""
        steps = np.arange(-2, 3)
        shifts = np.stack(np.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 2) @ self.slab.cell[:2]
        images = (self.positions[None] + shifts[:, None]) - point
        length = np.sqrt((images**2).sum(-1))
        return np.concatenate(
            [np.sort(length[:, self.slab.numbers == z].ravel())[:_VIEW] for z in np.unique(self.slab.numbers)]
        )

    def _in_plane(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        basis = np.stack([self.slab.cell[0], self.slab.cell[1], self.normal])
        return np.asarray(np.linalg.solve(basis.T, points.T).T[:, :2], dtype=np.float64)

    def _distance(self, point: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
        apart = self._in_plane(others - point)
        vectors = (apart - np.round(apart)) @ self.slab.cell[:2]
        return np.sqrt((vectors**2).sum(1))

    def placed(
        self, molecule: Molecule, *, at: NDArray[np.float64], turn: NDArray[np.float64], contact: float
    ) -> Crystal:
        """Put a molecule above a point and let it down until it touches.

        Args:
            molecule: its binding atom comes over the point.
            at: (3,) Angstrom.
            turn: (3, 3) rotation.
            contact: times the sum of two covalent radii, at which atoms touch.

        Returns:
            The slab and then the molecule, marked in `site` by `ADSORBATE`.
        """
        own = (molecule.positions - molecule.positions[molecule.binding]) @ turn.T + at
        radius = np.array([np.nan, *(element.covalent_radius for element in elements())])
        plane = self.slab.cell[:2]
        steps = np.arange(-2, 3)
        shifts = np.stack(np.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 2) @ plane
        images = (self.positions[None] + shifts[:, None]).reshape(-1, 3)
        reach = contact * (radius[molecule.numbers][:, None] + np.tile(radius[self.slab.numbers], len(shifts))[None])
        apart = own[:, None] - images[None]
        along = apart @ self.normal
        across = np.maximum((apart**2).sum(-1) - along**2, 0.0)
        # along + lift >= sqrt(reach^2 - across^2) for every pair that is near enough to meet
        lift = np.where(across < reach**2, np.sqrt(np.maximum(reach**2 - across, 0.0)) - along, -np.inf).max()
        own = own + lift * self.normal
        frac = np.concatenate([self.slab.frac, own @ np.linalg.inv(self.slab.cell)])
        numbers = np.concatenate([self.slab.numbers, molecule.numbers])
        mark = np.arange(len(numbers)) >= len(self.slab)
        return Crystal(cell=self.slab.cell, frac=frac, numbers=numbers, site={ADSORBATE: mark.astype(float)})


def placements(
    surface: Surface, molecule: Molecule, *, n_random: int, turns_per_site: int, contact: float, rng: np.random.Generator,
) -> Iterator[tuple[str, Crystal]]:  # fmt: skip
    """Yield (kind of site, crystal): all unlike sites, each with the molecule upright and lying, then random points and turns.

    Upright, its binding atom stands on the site and the others above it; lying, its flattest side faces the surface and its
    middle is over the site, as rings and chains mostly adsorb. Both are turned about the normal at random.

    Args:
        surface: the slab's.
        molecule: what is put on it.
        n_random: random points, uniform on the triangulated surface.
        turns_per_site: of each of the two on each on-top, bridge and hollow site; an atom is put there once.
        contact: as in `Surface.placed`.
        rng: draws points and turns.
    """
    upright = _upright(molecule, surface.normal)
    middle = molecule.positions.mean(0) - molecule.positions[molecule.binding]
    for kind, point in surface.sites():
        if len(molecule.numbers) == 1:
            yield kind, surface.placed(molecule, at=point, turn=np.eye(3), contact=contact)
            continue
        for _ in range(turns_per_site):
            turn = _about(surface.normal, rng.uniform(0.0, 2.0 * np.pi)) @ upright
            yield kind, surface.placed(molecule, at=point, turn=turn, contact=contact)
        for _ in range(turns_per_site):
            turn = _about(surface.normal, rng.uniform(0.0, 2.0 * np.pi)) @ _lying(molecule, surface.normal, rng=rng)
            yield kind, surface.placed(molecule, at=point - turn @ middle, turn=turn, contact=contact)
    corners = surface.triangles()
    edges = corners[:, 1:] - corners[:, :1]
    area = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1)
    for _ in range(n_random):
        chosen = corners[rng.choice(len(corners), p=area / area.sum())]
        point = rng.dirichlet(np.ones(3)) @ chosen
        turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        yield "random", surface.placed(molecule, at=point, turn=turn * np.sign(np.linalg.det(turn)), contact=contact)


def _upright(molecule: Molecule, normal: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, 3) rotation that brings the middle of the other atoms right above the binding atom."""
    axis = molecule.positions.mean(0) - molecule.positions[molecule.binding]
    length = float(np.linalg.norm(axis))
    return np.eye(3) if length < 1e-8 else _onto(axis / length, normal)


def _lying(molecule: Molecule, normal: NDArray[np.float64], *, rng: np.random.Generator) -> NDArray[np.float64]:
    """(3, 3) rotation that brings the direction in which the molecule is thinnest to the normal, either side down."""
    centred = molecule.positions - molecule.positions.mean(0)
    _, extent, axes = np.linalg.svd(centred.T @ centred)
    axis = axes[2]
    if extent[1] < 1e-8 * extent[0]:  # a line is as thin in all directions across
        axis = _about(axes[0], rng.uniform(0.0, 2.0 * np.pi)) @ axis
    return _onto(axis * rng.choice([-1.0, 1.0]), normal)


def _onto(axis: NDArray[np.float64], normal: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, 3) the shortest rotation of one unit vector to another."""
    across = np.asarray(np.cross(axis, normal), dtype=np.float64)
    sine = float(np.linalg.norm(across))
    if sine < 1e-8:  # along the normal or against it: about any axis across
        if axis @ normal > 0.0:
            return np.eye(3)
        across = np.cross(normal, np.eye(3)[np.argmin(np.abs(normal))])
        return _about(np.asarray(across / np.linalg.norm(across), dtype=np.float64), np.pi)
    return _about(across / sine, float(np.arctan2(sine, axis @ normal)))


def _about(axis: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * cross @ cross
