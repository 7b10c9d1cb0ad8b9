from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.core.elements import element
from euhedral.models.property.cgcnn import CGCNN
from euhedral.representations.quotient import quotient
from euhedral.training.fingerprint import fingerprint

SPEC = CGCNN().graph


def of(crystals, merged=False):
    batch = CrystalBatch.from_crystals(crystals, dtype=torch.float64)
    graph = SPEC.build(batch)
    return fingerprint(*quotient(batch, graph)) if merged else fingerprint(batch, graph)


def test_numbers_of_fcc_aluminium_are_worked_out_by_hand(crystals):
    values = of([crystals["fcc"]])[0].tolist()
    aluminium = element("Al")
    reduced = 2.025 * math.sqrt(2) / (2 * aluminium.covalent_radius)
    packing = math.log(2 * 2.025**3 / aluminium.covalent_radius**3)
    expected = [reduced, packing, reduced, reduced, 0.0, 1.61, aluminium.covalent_radius, 3, 13, 0, 0, 0, 0]
    assert values == pytest.approx(expected, abs=1e-6)


def test_merged_graphs_have_the_fingerprint_of_whole_ones(crystals):
    chosen = [crystal for crystal in crystals.values() if len(crystal) < 50]
    assert torch.allclose(of(chosen), of(chosen, merged=True), atol=1e-4)


def test_overlapping_atoms_have_a_short_shortest_distance():
    crystal = Crystal(cell=np.eye(3) * 5, frac=[[0, 0, 0], [0.02, 0, 0]], numbers=[11, 17])
    assert of([crystal])[0, 0] < 0.05


def test_an_atom_without_neighbours_has_finite_numbers(crystals):
    assert torch.isfinite(of([crystals["isolated"]])).all()


def test_exchanged_elements_change_packing_and_composition(crystals):
    one = crystals["hexagonal"]
    changed = of([one, one.replace(numbers=[55, 55, 8, 8])])
    assert ((changed[0] - changed[1]).abs() > 1e-3).sum() >= 10
