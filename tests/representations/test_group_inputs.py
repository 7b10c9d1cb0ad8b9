from __future__ import annotations

import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.errors import InvalidRequestError
from euhedral.geometry.cells import supercell
from euhedral.geometry.space_groups import space_group
from euhedral.representations.condensed import Condensed
from euhedral.representations.graph_rows import GraphRows
from euhedral.representations.graphs import Nearest, Radius
from euhedral.representations.space_groups import CRYSTAL_SYSTEM, CRYSTAL_SYSTEMS, SPACE_GROUP, WithSpaceGroup

NAMES = ("triclinic", "fcc", "heusler", "hexagonal", "one_atom")


def test_groups_of_the_fixed_crystals(crystals):
    batch = CrystalBatch.from_crystals([crystals[name] for name in NAMES], dtype=torch.float64)
    graph = WithSpaceGroup().build(batch)
    assert graph.extra[SPACE_GROUP].tolist() == [1, 225, 225, 186, 221]
    assert [CRYSTAL_SYSTEMS[i] for i in graph.extra[CRYSTAL_SYSTEM].tolist()] == [
        "triclinic", "cubic", "cubic", "hexagonal", "cubic",
    ]  # fmt: skip


def test_a_supercell_has_the_group_of_its_cell(crystals):
    large = supercell(crystals["hexagonal"], matrix=[2, 1, 1])
    batch = CrystalBatch.from_crystals([large], dtype=torch.float64)
    assert WithSpaceGroup().build(batch).extra[SPACE_GROUP].tolist() == [186]


def test_every_group_is_put_into_its_system():
    import numpy as np

    from euhedral.representations.space_groups import _ENDS

    found = [CRYSTAL_SYSTEMS[i] for i in np.searchsorted(_ENDS, np.arange(1, 231))]
    assert found == [space_group(number).crystal_system.lower() for number in range(1, 231)]


def test_groups_follow_their_crystals_when_a_batch_is_cut(crystals):
    batch = CrystalBatch.from_crystals([crystals[name] for name in NAMES], dtype=torch.float64)
    spec = WithSpaceGroup(Condensed(Radius(cutoff=4.0)))
    rows = GraphRows.of(spec.build(batch), batch=batch)
    assert rows.select(torch.tensor([3, 0])).extra[SPACE_GROUP].tolist() == [186, 1]


def test_groups_are_found_once(crystals):
    with pytest.raises(InvalidRequestError, match="already"):
        WithSpaceGroup(WithSpaceGroup(Nearest())).build(CrystalBatch.from_crystals([crystals["fcc"]]))
