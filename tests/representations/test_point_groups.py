from __future__ import annotations

import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.errors import InvalidRequestError
from euhedral.representations.graph_rows import GraphRows, join_graphs
from euhedral.representations.graphs import Nearest
from euhedral.representations.point_groups import OPERATION, OPERATION_CRYSTAL, WithPointGroup


def test_every_crystal_has_its_operations_and_keeps_them_when_cut_out(crystals):
    chosen = [crystals[name] for name in ("triclinic", "fcc", "hexagonal")]
    spec = WithPointGroup(Nearest(k=6))
    batches = [CrystalBatch.from_crystals([one], dtype=torch.float64) for one in chosen]
    rows = join_graphs([GraphRows.of(spec.build(batch), batch=batch) for batch in batches])
    assert torch.bincount(rows.graph.extra[OPERATION_CRYSTAL]).tolist() == [1, 48, 12]
    cut = rows.select(torch.tensor([2, 0]))
    anew = spec.build(CrystalBatch.from_crystals([chosen[2], chosen[0]], dtype=torch.float64))
    assert torch.equal(cut.extra[OPERATION_CRYSTAL], anew.extra[OPERATION_CRYSTAL])
    assert torch.equal(cut.extra[OPERATION], anew.extra[OPERATION])


def test_operations_are_found_once(crystals):
    batch = CrystalBatch.from_crystals([crystals["fcc"]])
    with pytest.raises(InvalidRequestError, match="already"):
        WithPointGroup(WithPointGroup()).build(batch)
