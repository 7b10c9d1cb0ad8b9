from pathlib import Path

import numpy as np
import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.core.units import GPA_PER_EV_PER_A3
from euhedral.errors import FileFormatError
from euhedral.models.potentials.chgnet import CHGNet
from euhedral.tasks.weights import Weights

TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def model():
    return CHGNet.load()


@pytest.fixture(scope="module")
def published():
    """Fifteen crystals of the Materials Project with what the `chgnet` package gives for them, in double precision."""
    with np.load(Path(__file__).parents[2] / "data" / "chgnet_0.3.0.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def real(published):
    bounds = np.cumsum(published["n_atoms"])[:-1]
    return [
        Crystal(cell=cell, frac=frac, numbers=numbers, id=str(name))
        for cell, frac, numbers, name in zip(
            published["cell"],
            np.split(published["frac"], bounds),
            np.split(published["numbers"], bounds),
            published["ids"],
            strict=True,
        )
    ]


def compare(result, expected, n_atoms, *, tolerance=TOLERANCE):
    """Energies per atom, forces, stresses in eV/A^3 and moments."""
    energy = expected["energy"] / n_atoms
    np.testing.assert_allclose(result.energy.numpy() / n_atoms, energy, rtol=0, atol=tolerance)
    np.testing.assert_allclose(result.forces.numpy(), expected["forces"], rtol=0, atol=tolerance)
    stress = (expected["stress_gpa"] + np.swapaxes(expected["stress_gpa"], 1, 2)) / 2 / GPA_PER_EV_PER_A3
    np.testing.assert_allclose(result.stress.numpy(), stress, rtol=0, atol=tolerance)
    np.testing.assert_allclose(result.site["magmom"].numpy(), expected["magmom"], rtol=0, atol=tolerance)


def test_recorded_outputs_of_the_authors_package_are_reproduced(model, real, published):
    result = model.evaluate(CrystalBatch.from_crystals(real))
    compare(result, published, published["n_atoms"])


def test_double_precision_reproduces_them_to_a_millionth(real, published):
    result = CHGNet.load().double().evaluate(CrystalBatch.from_crystals(real, dtype=torch.float64))
    compare(result, published, published["n_atoms"], tolerance=1e-6)


def test_authors_package_agrees_live_on_the_fixed_crystals(model, crystals):
    pymatgen = pytest.importorskip("pymatgen.core")
    theirs = pytest.importorskip("chgnet.model").CHGNet.load(use_device="cpu", verbose=False)
    # their package refuses an isolated atom, and has no trained row for polonium
    chosen = [crystal for name, crystal in crystals.items() if name not in ("isolated", "one_atom", "large")]
    one_atom = crystals["one_atom"]
    chosen.append(one_atom.replace(numbers=[83]))
    structures = [pymatgen.Structure(c.cell, c.numbers.tolist(), c.frac) for c in chosen]
    results = [theirs.predict_structure(structure) for structure in structures]
    n_atoms = np.array([len(crystal) for crystal in chosen])
    expected = {
        "energy": np.array([float(result["e"]) for result in results]) * n_atoms,
        "forces": np.concatenate([result["f"] for result in results]),
        "stress_gpa": np.stack([result["s"] for result in results]),
        "magmom": np.concatenate([result["m"] for result in results]),
    }
    compare(model.evaluate(CrystalBatch.from_crystals(chosen)), expected, n_atoms)


def test_double_precision_geometry_sharpens_single_precision_parameters(model, real, published):
    result = model.evaluate(CrystalBatch.from_crystals(real, dtype=torch.float64))
    assert result.forces.dtype == torch.float64
    compare(result, published, published["n_atoms"], tolerance=2e-5)


@pytest.mark.parametrize("n_blocks", [1, 2, 3, 4])
def test_hand_made_derivatives_are_those_of_automatic_differentiation(n_blocks, crystals):
    torch.manual_seed(n_blocks)
    model = CHGNet(width=12, n_blocks=n_blocks, n_radial=7, n_angular=5, readout=(8,)).requires_grad_(
        requires_grad=False
    )
    chosen = [c for c in crystals.values() if len(c) < 50]
    by_hand = model.evaluate(CrystalBatch.from_crystals(chosen))
    automatic = model.double().evaluate(CrystalBatch.from_crystals(chosen, dtype=torch.float64))
    for name in ("energy", "forces", "stress"):
        torch.testing.assert_close(getattr(by_hand, name).double(), getattr(automatic, name), rtol=1e-4, atol=2e-5)
    torch.testing.assert_close(by_hand.site["magmom"].double(), automatic.site["magmom"], rtol=1e-4, atol=1e-5)


def test_results_do_not_depend_on_the_number_of_threads_or_the_company(model, real):
    alone = [model.evaluate(CrystalBatch.from_crystals([crystal])) for crystal in real]
    threads = torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            together = model.evaluate(CrystalBatch.from_crystals(real * 4))
            assert torch.equal(together.energy[: len(real)], torch.cat([single.energy for single in alone]))
            assert torch.equal(together.energy[-len(real) :], together.energy[: len(real)])
            n_atoms = sum(len(crystal) for crystal in real)
            torch.testing.assert_close(
                together.forces[:n_atoms], torch.cat([single.forces for single in alone]), rtol=0, atol=1e-6
            )
    finally:
        torch.set_num_threads(threads)


def test_changed_parameters_change_the_result(crystals):
    model = CHGNet.load()
    batch = CrystalBatch.from_crystals([crystals["fcc"]])
    before = float(model.evaluate(batch).energy[0])
    with torch.no_grad():
        model.reference_energy[12] += 1.0
    assert float(model.evaluate(batch).energy[0]) == pytest.approx(before + 1.0, abs=1e-4)


def test_second_derivative_in_single_precision_is_refused(model, crystals):
    batch = CrystalBatch.from_crystals([crystals["heusler"]])
    graph = model.graph.build(batch)
    vectors = graph.vectors(batch).requires_grad_()
    (pull,) = torch.autograd.grad(model.energy(batch, graph, vectors=vectors).total.sum(), vectors, create_graph=True)
    with pytest.raises(RuntimeError, match="does not require grad"):
        torch.autograd.grad(pull.sum(), vectors)


def test_untrained_elements_are_not_offered(model):
    assert not model.elements & {84, 85, 86, 87, 88}
    assert len(model.elements) == 89


def test_loaded_parameters_ask_for_no_gradient(model):
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_training_reaches_every_parameter(crystals):
    torch.manual_seed(0)
    model = CHGNet(width=8, n_blocks=3, n_radial=5, n_angular=5, readout=(8,))
    batch = CrystalBatch.from_crystals([crystals["triclinic"], crystals["heusler"]])
    graph = model.graph.build(batch)
    vectors = graph.vectors(batch).requires_grad_()
    energy = model.energy(batch, graph, vectors=vectors)
    (pull,) = torch.autograd.grad(energy.total.sum(), vectors, create_graph=True)
    (energy.total.sum() + pull.square().sum() + energy.site["magmom"].sum()).backward()
    missing = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert not missing


def test_weights_of_another_system_are_refused():
    with pytest.raises(FileFormatError, match="cgcnn"):
        CHGNet.from_weights(Weights(system="cgcnn", config={}, tensors={}))


def test_weights_that_do_not_fit_are_refused(model):
    tensors = {name: tensor for name, tensor in model.state_dict().items() if name != "norm.weight"}
    with pytest.raises(FileFormatError, match=r"norm\.weight"):
        CHGNet.from_weights(Weights(system="chgnet", config={}, tensors=tensors))
