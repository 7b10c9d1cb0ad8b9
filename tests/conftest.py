"""Fixed crystals that every part must handle."""

from __future__ import annotations

import os

os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # small networks on a busy machine: threads that wait for each other cost minutes

import numpy as np
import pytest

from euhedral.core.crystal import Crystal, cell_from_parameters


def make_crystals() -> dict[str, Crystal]:
    rng = np.random.default_rng(7)
    side = 8
    grid = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), -1).reshape(-1, 3)[:500] / side
    return {
        "triclinic": Crystal(
            cell=cell_from_parameters([4.1, 5.3, 6.7], [81.0, 97.0, 112.0]),
            frac=[[0.11, 0.23, 0.37], [0.52, 0.61, 0.83], [0.78, 0.05, 0.64]],
            numbers=[3, 25, 8],
            id="triclinic",
        ),
        "fcc": Crystal(
            cell=2.025 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0.0]]), frac=[[0, 0, 0]], numbers=[13], id="fcc"
        ),
        "heusler": Crystal(
            cell=2.975 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0.0]]),
            frac=[[0, 0, 0], [0.5, 0.5, 0.5], [0.25, 0.25, 0.25], [0.75, 0.75, 0.75]],
            numbers=[25, 13, 29, 29],
            id="heusler",
        ),
        "hexagonal": Crystal(
            cell=cell_from_parameters([3.25, 3.25, 5.21], [90, 90, 120]),
            frac=[[1 / 3, 2 / 3, 0], [2 / 3, 1 / 3, 0.5], [1 / 3, 2 / 3, 0.382], [2 / 3, 1 / 3, 0.882]],
            numbers=[30, 30, 8, 8],
            id="hexagonal",
        ),
        "one_atom": Crystal(cell=np.eye(3) * 3.35, frac=[[0, 0, 0]], numbers=[84], id="one_atom"),
        "isolated": Crystal(cell=np.eye(3) * 40.0, frac=[[0.5, 0.5, 0.5]], numbers=[10], id="isolated"),
        "vacuum": Crystal(
            cell=cell_from_parameters([2.46, 2.46, 40.0], [90, 90, 120]),
            frac=[[1 / 3, 2 / 3, 0.5], [2 / 3, 1 / 3, 0.5]],
            numbers=[6, 6],
            id="vacuum",
        ),
        "large": Crystal(
            cell=cell_from_parameters([23.0, 22.0, 24.0], [88, 93, 91]),
            frac=grid + rng.uniform(-0.01, 0.01, grid.shape),
            numbers=np.tile([11, 17], 250),
            id="large",
        ),
    }


CRYSTALS = make_crystals()


@pytest.fixture(scope="session")
def crystals() -> dict[str, Crystal]:
    """One triclinic, fcc, Heusler, hexagonal, one-atom, isolated-atom, 40 Angstrom vacuum and 500-atom cell."""
    return CRYSTALS


@pytest.fixture(params=list(CRYSTALS))
def crystal(request: pytest.FixtureRequest) -> Crystal:
    """Each of the fixed crystals in turn."""
    return CRYSTALS[request.param]
