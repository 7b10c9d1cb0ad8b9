from __future__ import annotations

import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidRequestError
from euhedral.models.property.e3nn_phonon import E3NN
from euhedral.nn.cutoff import cosine_envelope

SPECTRUM = {"kind": "spectrum", "name": "phonon_dos", "size": 12}


def tiny(**changes) -> E3NN:
    torch.manual_seed(0)
    settings = {"targets": [SPECTRUM], "width": 8, "channels": 6, "radial": [8]}
    return E3NN(**{**settings, **changes}).double().eval()


def run(model: E3NN, crystals: list[Crystal]) -> torch.Tensor:
    batch = CrystalBatch.from_crystals(crystals, dtype=torch.float64)
    with torch.no_grad():
        return model(batch, model.graph.build(batch))[model.targets[0]]


def test_published_hyperparameters_are_the_defaults():
    model = E3NN()
    assert model.embedding.weight.shape == (64, 118)
    assert [str(gate.kind_out) for gate in model.gates] == ["32x0e+32x1o", "32x0e+32x1o"]
    assert str(model.convolutions[-1].itself.kind_out) == "51x0e"
    assert len(model.convolutions) == 3
    assert [tuple(weight.shape) for weight in model.convolutions[0].product.radial.weights] == [(10, 100), (100, 128)]
    assert (model.graph.edges.cutoff, model.convolutions[0].neighbours) == (5.0, 40.0)


def test_spectra_are_not_negative_and_their_maximum_is_one(crystals):
    spectra = run(tiny(), [crystals["triclinic"], crystals["hexagonal"], crystals["isolated"]])
    assert (spectra >= 0.0).all()
    assert torch.allclose(spectra.amax(1), torch.ones(3, dtype=torch.float64))
    assert (spectra == 0.0).any()


def test_spectra_of_another_scale_are_not_divided(crystals):
    model = tiny(normalise=False)
    model.scaling.set(mean=torch.zeros(12), std=torch.full((12,), 5.0))
    before = run(model, [crystals["hexagonal"]])
    model.scaling.set(mean=torch.zeros(12), std=torch.full((12,), 10.0))
    assert torch.allclose(run(model, [crystals["hexagonal"]]), 2.0 * before)


def test_a_spectrum_that_is_nowhere_positive_is_zero_and_not_a_division_by_zero():
    found = tiny()._as_spectrum(torch.tensor([[-1.0, -2.0], [-1.0, 4.0]]))
    assert found.tolist() == [[0.0, 0.0], [0.0, 1.0]]


def test_atoms_start_from_their_mass_in_the_place_of_their_element(crystals):
    """Of two isotopes of one element the network sees the mass, and it sees the element beside the mass."""
    model, crystal = tiny(), crystals["hexagonal"]
    before = run(model, [crystal])
    model.masses[8] = 18.0
    heavy = run(model, [crystal])
    assert (heavy - before).abs().max() > 1e-3
    model.masses[8] = float(model.masses[16])
    sulphur = crystal.replace(numbers=[30, 30, 16, 16])
    assert (run(model, [crystal]) - run(model, [sulphur])).abs().max() > 1e-3


def test_convolutions_see_directions_that_distances_alone_do_not_tell():
    """The centre of a chain bent or straight, with the same neighbours at the same distances within the cutoff."""

    def chain(end: tuple[float, float, float]) -> Crystal:
        places = [[0.0, 0.0, 0.0], [1.6, 0.0, 0.0], end]
        return Crystal(
            cell=torch.eye(3).numpy() * 30.0, frac=torch.tensor(places).numpy() / 30.0 + 0.3, numbers=[8, 6, 7]
        )

    straight, bent = chain((3.2, 0.0, 0.0)), chain((1.6, 1.6, 0.0))
    for lmax, differ in ((0, False), (1, True)):
        model = tiny(cutoff=2.2, lmax=lmax, neighbours=1.0)
        change = (run(model, [straight]) - run(model, [bent])).abs().max()
        assert bool(change > 1e-4) == differ, lmax


def test_the_cutoff_function_takes_edges_smoothly_to_zero():
    ratio = torch.tensor([0.0, 0.5, 0.75, 1.0, 1.2], dtype=torch.float64)
    assert torch.allclose(
        cosine_envelope(ratio), torch.tensor([1.0, 1.0, 0.5, 0.0, 0.0], dtype=torch.float64), atol=1e-12
    )


def test_latent_features_are_scalars_of_the_last_hidden_layer(crystals):
    model = tiny()
    batch = CrystalBatch.from_crystals([crystals["triclinic"], crystals["fcc"]], dtype=torch.float64)
    assert model.latent(batch, model.graph.build(batch)).shape == (2, 6)


def test_a_tensor_is_refused():
    with pytest.raises(InvalidRequestError, match="cannot learn 'dielectric'"):
        E3NN(targets=[{"kind": "tensor", "name": "dielectric", "rank": 2}])


def test_it_learns_spectra_and_beats_their_mean(crystals):
    chosen = [crystals[name] for name in ("triclinic", "fcc", "heusler", "hexagonal")]
    labels = torch.rand(4, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    labels = labels / labels.amax(1, keepdim=True)
    model = tiny(neighbours=12.0).train()
    batch = CrystalBatch.from_crystals(chosen, dtype=torch.float64)
    graph = model.graph.build(batch)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        loss = (model(batch, graph)["phonon_dos"] - labels).square().mean()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.5 * float((labels - labels.mean(0)).square().mean())
