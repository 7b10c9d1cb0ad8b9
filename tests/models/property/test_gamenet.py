import numpy as np
import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidRequestError
from euhedral.models.property.gamenet import GAMENet
from euhedral.representations.contacts import NODE_ATOM, NODE_SOURCE, NODE_TARGET, Contacts
from euhedral.representations.graph_rows import GraphRows, join_graphs

SPACING = 2.56


def methoxide_on_copper(*, layers=3, lift=0.0):
    """Oxygen in the hollow of fcc Cu(111) with CH3 above it, on a (3 x 3) slab."""
    across = SPACING * np.array([[1, 0, 0], [0.5, np.sqrt(3) / 2, 0]])
    down = (across[0] + across[1]) / 3
    metal = []
    for layer in range(layers):
        origin = -layer * np.array([0, 0, SPACING * np.sqrt(2 / 3)]) + layer * down
        metal += [origin + i * across[0] + j * across[1] for i in range(3) for j in range(3)]
    above = 2 * down + across[0]
    height = np.sqrt(2.0**2 - SPACING**2 / 3) + lift
    oxygen = above + np.array([0, 0, height])
    carbon = oxygen + np.array([0, 0, 1.42])
    turns = np.deg2rad([0, 120, 240])
    hydrogen = [carbon + np.array([1.03 * np.cos(t), 1.03 * np.sin(t), 0.36]) for t in turns]
    positions = np.array([*metal, oxygen, carbon, *hydrogen])
    cell = np.array([3 * across[0], 3 * across[1], [0, 0, 30.0]])
    numbers = [29] * len(metal) + [8, 6, 1, 1, 1]
    return Crystal(
        cell=cell, frac=positions @ np.linalg.inv(cell), numbers=numbers, id=f"methoxide on {layers} layers",
        site={"adsorbate": np.array([0.0] * len(metal) + [1.0] * 5)},
    )  # fmt: skip


def predict(model, crystal):
    batch = CrystalBatch.from_crystals([crystal], dtype=torch.float64, inputs=("adsorbate",))
    return float(model(batch, model.graph.build(batch))["adsorption_energy"].detach())


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return GAMENet(width=16).double().eval()


def test_the_graph_is_the_molecule_and_the_three_atoms_of_its_hollow():
    crystal = methoxide_on_copper()
    batch = CrystalBatch.from_crystals([crystal], dtype=torch.float64, inputs=("adsorbate",))
    graph = Contacts().build(batch)
    assert batch.numbers[graph.extra[NODE_ATOM]].tolist() == [29, 29, 29, 8, 6, 1, 1, 1]
    pairs = set(zip(graph.extra[NODE_SOURCE].tolist(), graph.extra[NODE_TARGET].tolist(), strict=True))
    metal = {(i, j) for i in range(3) for j in range(3) if i != j}
    one_way = {(i, 3) for i in range(3)} | {(3, 4), (4, 5), (4, 6), (4, 7)}
    assert pairs == metal | one_way | {(j, i) for i, j in one_way}


def test_metal_that_the_molecule_does_not_touch_does_not_matter(model):
    thin, thick = methoxide_on_copper(layers=3), methoxide_on_copper(layers=5)
    assert predict(model, thick) == pytest.approx(predict(model, thin), abs=1e-12)
    numbers = thick.numbers.copy()
    numbers[18:45] = 79
    assert predict(model, thick.replace(numbers=numbers)) == pytest.approx(predict(model, thick), abs=1e-12)
    numbers[:9] = 79
    assert abs(predict(model, thick.replace(numbers=numbers)) - predict(model, thick)) > 1e-4


def test_what_counts_as_the_adsorbate_decides(model):
    crystal = methoxide_on_copper()
    mask = crystal.site["adsorbate"].copy()
    mask[-3:] = 0.0
    without_hydrogen = predict(model, crystal.replace(site={"adsorbate": mask}))
    mask[:] = 0.0
    mask[0] = 1.0
    metal_atom = predict(model, crystal.replace(site={"adsorbate": mask}))
    whole = predict(model, crystal)
    # the hydrogen atoms still touch carbon, which is marked
    assert without_hydrogen == pytest.approx(whole, abs=1e-12)
    assert abs(metal_atom - whole) > 1e-4


def test_only_who_touches_whom_is_seen_of_the_geometry(model):
    nearer, farther, away = (methoxide_on_copper(lift=lift) for lift in (0.0, 0.15, 3.0))
    assert predict(model, farther) == pytest.approx(predict(model, nearer), abs=1e-12)
    assert abs(predict(model, away) - predict(model, nearer)) > 1e-4


def test_a_molecule_far_from_the_slab_is_a_graph_of_itself(model):
    away = methoxide_on_copper(lift=6.0)
    molecule = away.replace(frac=away.frac[-5:], numbers=away.numbers[-5:], site={"adsorbate": np.ones(5)})
    assert predict(model, away) == pytest.approx(predict(model, molecule), abs=1e-12)


def test_graphs_are_joined_and_cut_like_any_other(model):
    crystals = [methoxide_on_copper(), methoxide_on_copper(lift=6.0), methoxide_on_copper(layers=4)]
    batches = [CrystalBatch.from_crystals([c], dtype=torch.float64, inputs=("adsorbate",)) for c in crystals]
    rows = join_graphs([GraphRows.of(model.graph.build(batch), batch=batch) for batch in batches])
    order = torch.tensor([2, 0, 1])
    together = CrystalBatch.from_crystals(crystals, dtype=torch.float64, inputs=("adsorbate",)).select(order)
    values = model(together, rows.select(order))["adsorption_energy"]
    assert values.tolist() == pytest.approx([predict(model, crystals[i]) for i in order], abs=1e-12)


def test_an_unmarked_batch_is_refused_by_the_name_of_what_it_lacks(model):
    batch = CrystalBatch.from_crystals([methoxide_on_copper()])
    with pytest.raises(InvalidRequestError, match="adsorbate"):
        model.graph.build(batch)
