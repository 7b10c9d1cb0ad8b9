import math

import numpy as np
import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.models.property.cgcnn import CGCNN
from euhedral.models.property.comformer.equivariant import EComFormer, EquivariantUpdate
from euhedral.models.property.comformer.invariant import IComFormer
from euhedral.nn.comformer_layers import NodeTransformer
from euhedral.nn.irreps import spherical_harmonics
from euhedral.testing.chiral import alpha_quartz, chiral_crystals

SMALL = {"width": 16, "neighbours": 12}
SYSTEMS = {"icomformer": IComFormer, "ecomformer": EComFormer}


def small(system, **changes):
    torch.manual_seed(0)
    return SYSTEMS[system](**(SMALL | changes)).double().eval()


def batch_of(*chosen):
    return CrystalBatch.from_crystals(chosen, dtype=torch.float64)


@torch.no_grad()
def latent(model, *crystals):
    batch = batch_of(*crystals)
    return model.latent(batch, model.graph.build(batch))


def stacked(word, *, numbers=None):
    """Close-packed layers of magnesium in the order of a word of A, B and C, in one hexagonal cell."""
    places = {"A": (0.0, 0.0), "B": (1 / 3, 2 / 3), "C": (2 / 3, 1 / 3)}
    height = len(word) * math.sqrt(2 / 3)
    cell = 3.2 * np.array([[1.0, 0.0, 0.0], [-0.5, math.sqrt(0.75), 0.0], [0.0, 0.0, height]])
    frac = np.array([[*places[layer], i / len(word)] for i, layer in enumerate(word)])
    return Crystal(cell=cell, frac=frac, numbers=np.array(numbers or [12] * len(word)), id=word)


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_same_distances_under_different_angles_are_told_apart(system):
    """Six layers in the same cell: alternating as in hexagonal packing, or with two cubic layers, of two elements."""
    pair = [stacked(word, numbers=[12, 13] * 3) for word in ("ABABAB", "ABCACB")]
    torch.manual_seed(0)
    blind = CGCNN(neighbours=12).double().eval()
    assert (latent(blind, pair[0]) - latent(blind, pair[1])).abs().max() < 1e-12
    model = small(system)
    assert (latent(model, pair[0]) - latent(model, pair[1])).abs().max() > 1e-7


def test_angles_to_the_lattice_are_what_tells_stackings_apart():
    """One element, one lattice, twelve neighbours at one distance: only what the edges' angles bring differs."""
    pair = [stacked(word) for word in ("ABABAC", "ABCACB")]
    model = small("icomformer")
    assert (latent(model, pair[0]) - latent(model, pair[1])).abs().max() > 1e-9
    with torch.no_grad():
        model.update.cosine.weight.zero_()
    assert (latent(model, pair[0]) - latent(model, pair[1])).abs().max() < 1e-12


def test_normalisation_makes_the_hand_of_a_crystal_plain():
    """Before it has seen data the hand is an effect of high order; in training both hands are far apart, and stay so if turned."""
    model = small("icomformer").train()
    hands = list(chiral_crystals().values())
    values = latent(model, *hands)
    for one, other in ((0, 1), (2, 3)):
        assert (values[one] - values[other]).abs().max() > 1e-4


def test_the_products_of_the_equivariant_layers_leave_a_mirror_unseen():
    model = small("ecomformer").train()
    values = latent(model, alpha_quartz(152), alpha_quartz(154))
    assert torch.allclose(values[0], values[1], rtol=0.0, atol=1e-9)


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("name", ["triclinic", "heusler", "hexagonal"])
def test_the_boundary_of_the_cell_may_be_anywhere(crystals, system, name):
    crystal, model = crystals[name], small(system)
    before = latent(model, crystal)
    for shift in ([0.31, 0.0, 0.0], [0.47, 0.71, 0.93]):
        assert torch.allclose(latent(model, crystal.replace(frac=crystal.frac + shift)), before, rtol=0.0, atol=1e-8)


def explicit_update(layer, atoms, edges, harmonics, *, rows, source, target):
    """The equivariant update edge by edge, with couplings written out."""
    ns, nv = layer.scalars, layer.channels
    n_edges = torch.bincount(target, minlength=len(atoms))
    x = layer.enter(atoms)
    made = [torch.zeros(len(atoms), size, k, dtype=x.dtype) for size, k in ((ns, 1), (nv, 3), (nv, 5))]
    parts = [slice(0, 1), slice(1, 4), slice(4, 9)]
    for e in range(len(source)):
        weights = layer.out_weights(edges[rows[e]]).reshape(ns, ns + 2 * nv) / math.sqrt(ns)
        for degree, columns in enumerate((slice(0, ns), slice(ns, ns + nv), slice(ns + nv, ns + 2 * nv))):
            value = (x[source[e]] @ weights[:, columns])[:, None] * harmonics[e, parts[degree]]
            made[degree][target[e]] += value / n_edges[target[e]]
    scalar = made[0][:, :, 0] + x
    found = torch.zeros(len(atoms), ns, dtype=x.dtype)
    for e in range(len(source)):
        weights = layer.back_weights(edges[rows[e]]).reshape(ns + 2 * nv, ns) / math.sqrt(ns + 2 * nv)
        dots = [(made[d][source[e]] * harmonics[e, parts[d]]).sum(1) / math.sqrt(2 * d + 1) for d in (1, 2)]
        found[target[e]] += torch.cat([scalar[source[e]], *dots]) @ weights / n_edges[target[e]]
    softplus = torch.nn.functional.softplus
    return softplus(layer.leave(softplus(layer.norm(found)))) + layer.skip(atoms)


def some_edges():
    torch.manual_seed(1)
    source, target = torch.randint(4, (2, 20))
    rows = torch.randint(3, (20,))
    atoms, edges = torch.randn(4, 8, dtype=torch.float64), torch.randn(3, 8, dtype=torch.float64)
    return atoms, edges, torch.randn(20, 3, dtype=torch.float64), rows, source, target


def test_adding_neighbours_of_one_length_first_changes_nothing():
    atoms, edges, vectors, rows, source, target = some_edges()
    layer = EquivariantUpdate(8, scalars=5, channels=2).double().eval()
    harmonics = spherical_harmonics(vectors, lmax=2)
    with torch.no_grad():
        ends = {"rows": rows, "source": source, "target": target}
        found = layer(atoms, edges, harmonics, **ends)
        assert torch.allclose(found, explicit_update(layer, atoms, edges, harmonics, **ends))


def test_the_equivariant_update_sees_directions_and_no_rotation():
    atoms, edges, vectors, rows, source, target = some_edges()
    layer = EquivariantUpdate(8, scalars=5, channels=2).double().eval()
    turn = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64)).Q
    with torch.no_grad():
        values = [
            layer(atoms, edges, spherical_harmonics(given, lmax=2), rows=rows, source=source, target=target)
            for given in (vectors, vectors @ turn, vectors.flip(0))
        ]
    assert torch.allclose(values[0], values[1])
    assert (values[0] - values[2]).abs().max() > 1e-3


def test_equal_edges_given_once_with_their_number_change_nothing():
    atoms, edges, _, rows, source, target = some_edges()
    layer = NodeTransformer(8, edge_width=8).double().train()
    source, target, rows = (torch.cat([one, one[:7], one[:7]]) for one in (source, target, rows))
    keys, count = torch.unique(torch.stack([source, target, rows]), dim=1, return_counts=True)
    with torch.no_grad():
        whole = layer(atoms, edges, source=source, target=target, rows=rows)
        once = layer(atoms, edges, source=keys[0], target=keys[1], rows=keys[2], count=count.double())
    assert torch.allclose(whole, once)


def test_published_sizes_are_the_defaults():
    assert len(IComFormer().layers) == 4
    assert len(EComFormer().layers) == 3
    assert IComFormer().layers[0].query.weight.shape == (256, 256)
    assert EComFormer().update.out_weights[2].out_features == 64 * (64 + 8 + 8)
