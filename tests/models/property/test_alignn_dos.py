import os

import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.data import load
from euhedral.errors import InvalidRequestError, MissingDataError
from euhedral.models.property.alignn_dos import AEALIGNN, DALIGNN, fit_autoencoder
from euhedral.training.graph_set import GraphSet
from euhedral.training.loop import Preparable, fit
from euhedral.training.settings import Adam, TrainingSettings

DOS = {"kind": "spectrum", "name": "dos", "size": 40}
SMALL = {"width": 12, "n_angle_layers": 1, "embedding_width": 8, "n_dense": 2}


def seeded():
    return torch.Generator().manual_seed(0)


def small(**changes):
    torch.manual_seed(0)
    return AEALIGNN(**({"targets": [DOS], "code": 4, "decoder_widths": (64, 32)} | SMALL | changes))


def moving_peaks(count, *, seed):
    """Spectra of one peak: two numbers, its place and its width."""
    rng = torch.Generator().manual_seed(seed)
    place, width = 0.15 + 0.7 * torch.rand(count, 1, generator=rng), 0.04 + 0.06 * torch.rand(count, 1, generator=rng)
    return torch.exp(-0.5 * ((torch.linspace(0.0, 1.0, 40) - place) / width).square())


def components(train, spectra, *, code):
    """What principal components leave of spectra."""
    mean = train.mean(0)
    axes = torch.linalg.svd(train - mean, full_matrices=False).Vh[:code]
    return ((spectra - mean) @ axes.T @ axes + mean).clamp(0.0, 1.0)


def errors(train, test, *, code, widths, steps):
    autoencoder = fit_autoencoder(train, widths=widths, code=code, rng=seeded(), steps=steps)
    linear = components(train, test, code=code)
    return [(found - test).square().mean().item() for found in (autoencoder(test), linear)]


def test_codes_hold_more_of_moving_peaks_than_as_many_principal_components():
    ours, linear = errors(moving_peaks(600, seed=1), moving_peaks(200, seed=2), code=4, widths=(64, 32), steps=800)
    assert ours < 0.25 * linear


@pytest.mark.slow
@pytest.mark.skipif("EUHEDRAL_DATA" not in os.environ, reason="needs the data set phonon-dos")
@pytest.mark.parametrize("code", [8, 12, 16])
def test_codes_hold_more_of_phonon_spectra_than_as_many_principal_components(code):
    try:
        data = load("phonon-dos")
    except MissingDataError as error:
        pytest.skip(str(error))
    parts = data.split("official")
    train, test = (
        torch.stack([torch.as_tensor(crystal.props["phonon_dos"], dtype=torch.float32) for crystal in parts[name]])
        for name in ("train", "test")
    )
    ours, linear = errors(train, test, code=code, widths=(256, 128), steps=6000)
    assert ours < linear


def labelled(crystals):
    names, spectra = ("triclinic", "fcc", "heusler", "hexagonal", "one_atom", "vacuum"), moving_peaks(6, seed=3)
    return [crystals[name].replace(props={"dos": spectra[i].numpy()}) for i, name in enumerate(names)]


class Quick(AEALIGNN):
    """With a short preparation."""

    def prepare(self, labels, *, rng, steps=300):
        return super().prepare(labels, rng=rng, steps=steps)


def quick(seed=0):
    torch.manual_seed(seed)
    return Quick(targets=[DOS], code=4, decoder_widths=(64, 32), **SMALL)


def test_what_is_learnt_are_codes_and_what_is_given_are_spectra(crystals):
    model = quick()
    assert isinstance(model, Preparable)
    data = GraphSet.from_crystals(labelled(crystals), spec=model.graph, targets=["dos"])
    decoders = []
    settings = TrainingSettings(epochs=150, batch_size=6, optimizer=Adam(learning_rate=1e-2))
    done = fit(
        model, train=data, validation=data, settings=settings, rng=seeded(),
        on_epoch=lambda _: decoders.append([value.clone() for value in model.decoder.state_dict().values()]),
    )  # fmt: skip
    assert done.history[-1].loss < 0.05 * done.history[0].loss
    assert done.history[-1].validation["dos"] < 0.06  # of the spectra, not of the codes
    assert all(torch.equal(*pair) for pair in zip(decoders[0], decoders[-1], strict=True))


def test_a_run_goes_on_with_the_codes_that_it_began_with(crystals, tmp_path):
    data = GraphSet.from_crystals(labelled(crystals), spec=quick().graph, targets=["dos"])
    settings = TrainingSettings(epochs=4, batch_size=3)
    whole = quick()
    fit(whole, train=data, settings=settings, rng=seeded())

    def kill(epoch):
        if epoch.epoch == 2:
            raise KeyboardInterrupt

    path = tmp_path / "run.safetensors"
    with pytest.raises(KeyboardInterrupt):
        fit(quick(), train=data, settings=settings, rng=seeded(), checkpoint=path, on_epoch=kill)
    resumed = quick(seed=9)
    fit(resumed, train=data, settings=settings, rng=torch.Generator().manual_seed(77), checkpoint=path)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_crystals_whose_spectrum_is_not_known_take_no_part(crystals):
    model = small()
    chosen = labelled(crystals)[:2]
    objective = model.prepare({"dos": moving_peaks(50, seed=4)}, rng=seeded(), steps=2)
    losses = []
    for added in ([], [crystals["hexagonal"]]):
        data = GraphSet.from_crystals([*chosen, *added], spec=model.graph, targets=["dos"])
        losses.append(objective(model, data.batch, data.graph).item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_the_same_seed_gives_the_same_autoencoder():
    spectra = moving_peaks(50, seed=1)
    one, other = (fit_autoencoder(spectra, widths=(16,), code=2, rng=seeded(), steps=20) for _ in range(2))
    assert torch.equal(one(spectra), other(spectra))


def test_spectra_lie_between_zero_and_the_height(crystals):
    batch = CrystalBatch.from_crystals([crystals["hexagonal"], crystals["fcc"]])
    for height in (1.0, 5.0):
        model = small(height=height)
        found = model(batch, model.graph.build(batch))["dos"]
        assert found.shape == (2, 40)
        assert found.min() > 0.0
        assert found.max() < height


@pytest.mark.parametrize(
    ("spectra", "message"),
    [
        (-moving_peaks(3, seed=1), "between 0 and 1, got from -0.999 to"),
        (torch.full((2, 40), torch.nan), "none that is known"),
    ],
)
def test_spectra_out_of_range_and_missing_ones_are_refused(spectra, message):
    with pytest.raises(InvalidRequestError, match=message):
        small().prepare({"dos": spectra}, rng=seeded(), steps=1)


def test_only_one_spectrum_can_be_coded():
    with pytest.raises(InvalidRequestError, match="one spectrum, got a, b"):
        small(targets=[{**DOS, "name": "a"}, {**DOS, "name": "b"}])
    with pytest.raises(InvalidRequestError, match="AE-ALIGNN cannot learn 'gap'"):
        small(targets=["gap"])


def test_the_direct_variant_gives_every_point(crystals):
    torch.manual_seed(0)
    model = DALIGNN(targets=[DOS, "gap"], **SMALL)
    batch = CrystalBatch.from_crystals([crystals["hexagonal"], crystals["fcc"]])
    found = model(batch, model.graph.build(batch))
    assert found["dos"].shape == (2, 40)
    assert found["gap"].shape == (2,)


def test_published_sizes_are_the_defaults():
    direct, coded = DALIGNN(), AEALIGNN()
    assert [layer.out_features for layer in direct.output.layers][-1] == 300
    assert len(direct.output.layers) == len(coded.to_code.layers) == 4
    assert coded.to_code.layers[-1].out_features == 12
    assert direct.graph.angles.edges.edges.k == 16
