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
