import numpy as np
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.models.property.schnet import SchNet
from euhedral.nn.activations import shifted_softplus


def small(**changes):
    torch.manual_seed(0)
    return SchNet(**({"width": 12, "n_interactions": 2} | changes)).double().eval()


def built(model, *crystals):
    batch = CrystalBatch.from_crystals(crystals, dtype=torch.float64)
    return batch, model.graph.build(batch)


@torch.no_grad()
def value(model, crystal):
    return float(model(*built(model, crystal))["formation_energy_per_atom"])


@torch.no_grad()
def by_hand(model, crystal, *, images):
    """Equation by equation, over every image of every atom in a block of cells."""
    steps = np.arange(-images, images + 1)
    lattice = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3) @ crystal.cell
    cartesian = crystal.frac @ crystal.cell
    atoms = model.embedding(torch.tensor(crystal.numbers))
    for block in model.interactions:
        inward, new = block.inward(atoms), []
        for i, place in enumerate(cartesian):
            total = torch.zeros(atoms.shape[1], dtype=torch.float64)
            for j, other in enumerate(cartesian):
                distance = np.linalg.norm(lattice + other - place, axis=1)
                distance = torch.as_tensor(distance[(distance > 1e-6) & (distance < model.cutoff)])
                centres = torch.arange(0.0, model.cutoff + 1e-9, 0.1, dtype=torch.float64)
                filters = block.filter(torch.exp(-10.0 * (distance[:, None] - centres) ** 2))
                fade = 0.5 * (1.0 + torch.cos(torch.pi * distance / model.cutoff))
                total = total + (filters * fade[:, None]).sum(0) * inward[j]
            new.append(atoms[i] + block.outward(total))
        atoms = torch.stack(new)
    shares = model.output(shifted_softplus(model.share.layers[0](atoms)))
    return float(shares.mean())


def test_filters_are_summed_over_all_periodic_images_within_the_cutoff(crystals):
    model = small()
    for name in ("triclinic", "hexagonal", "one_atom"):
        near, all_images = by_hand(model, crystals[name], images=0), by_hand(model, crystals[name], images=3)
        assert abs(value(model, crystals[name]) - all_images) < 1e-10
        assert abs(near - all_images) > 1e-4  # the images within the cell alone give another value


def test_filters_are_continuous_in_the_distance_and_vanish_at_the_cutoff():
    model = small()

    def chain(distance):
        return Crystal(cell=np.diag([distance, 30.0, 30.0]), frac=[[0, 0, 0]], numbers=[8], id="chain")

    alone = value(model, chain(30.0))
    assert value(model, chain(5.0 + 1e-6)) == alone
    assert abs(value(model, chain(5.0 - 1e-4)) - alone) < 1e-6 < abs(value(model, chain(4.0)) - alone)
    assert abs(value(model, chain(2.5)) - value(model, chain(2.5 + 1e-6))) < 1e-5


def test_without_a_filter_distances_do_not_matter(crystals):
    model = small()
    with torch.no_grad():
        for block in model.interactions:
            block.filter.layers[0].weight.zero_()  # a filter that knows no distance; only the fade is left
    distance = [2.4, 2.5]
    chains = [Crystal(cell=np.diag([d, 30.0, 30.0]), frac=[[0, 0, 0]], numbers=[8], id="chain") for d in distance]
    flat = abs(value(model, chains[0]) - value(model, chains[1]))
    learnt = abs(value(small(), chains[0]) - value(small(), chains[1]))
    assert flat < learnt
