import numpy as np
import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.errors import InvalidRequestError
from euhedral.geometry.cells import supercell
from euhedral.representations.lattice_sums import POTENTIAL_SUMS, PotentialSums
from euhedral.representations.merged_sums import PAIR_SHARE, PAIR_SOURCE, PAIR_TARGET, WithMergedSums


def batch_of(*chosen):
    return CrystalBatch.from_crystals(chosen, dtype=torch.float64)


def test_a_supercell_has_the_sums_and_weights_of_its_primitive_cell(crystals):
    crystal = crystals["hexagonal"]
    spec = WithMergedSums()
    one, many = batch_of(crystal), batch_of(supercell(crystal, matrix=(2, 1, 3)))
    own, merged = spec.build(one).extra, spec.build(many).extra
    origin = torch.arange(len(crystal)).repeat_interleave(6)
    pair = origin[merged[PAIR_TARGET]] * len(crystal) + origin[merged[PAIR_SOURCE]]
    assert torch.allclose(merged[POTENTIAL_SUMS], own[POTENTIAL_SUMS][pair], atol=1e-8)
    shares = torch.zeros(len(origin), dtype=torch.float64).index_add(0, merged[PAIR_TARGET], merged[PAIR_SHARE])
    assert torch.allclose(shares, torch.full_like(shares, len(crystal)))
    # what the network would see otherwise
    unmerged = PotentialSums().build(many).extra[POTENTIAL_SUMS]
    assert (unmerged - own[POTENTIAL_SUMS][pair]).abs().max() > 0.1


def test_atoms_that_only_look_like_copies_keep_their_own_sums(crystals):
    doubled = supercell(crystals["fcc"], matrix=(2, 1, 1))
    bent = doubled.replace(frac=doubled.frac + np.array([[0.0, 0.0, 0.0], [0.02, 0.0, 0.0]]))
    assert WithMergedSums().build(batch_of(doubled)).extra[PAIR_SHARE].tolist() == [0.5] * 4
    assert WithMergedSums().build(batch_of(bent)).extra[PAIR_SHARE].tolist() == [1.0] * 4


def test_crystals_keep_their_own_pairs_in_a_batch(crystals):
    chosen = [crystals["hexagonal"], supercell(crystals["fcc"], matrix=(3, 1, 1)), crystals["triclinic"]]
    together = WithMergedSums().build(batch_of(*chosen)).extra
    alone = [WithMergedSums().build(batch_of(crystal)).extra for crystal in chosen]
    for name in (POTENTIAL_SUMS, PAIR_SHARE):
        assert torch.allclose(together[name], torch.cat([extra[name] for extra in alone]), atol=1e-12)


def test_pairs_are_not_added_twice(crystals):
    with pytest.raises(InvalidRequestError, match="has pairs already"):
        WithMergedSums(edges=WithMergedSums()).build(batch_of(crystals["fcc"]))
