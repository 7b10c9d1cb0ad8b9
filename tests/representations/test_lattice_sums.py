"""Sums of potentials over the lattice, against brute force, closed values and each other."""

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.spatial.transform import Rotation
from scipy.special import gamma

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidCrystalError, InvalidRequestError
from euhedral.geometry.cells import supercell, with_cell
from euhedral.representations.graphs import GraphSpec
from euhedral.representations.lattice_sums import POTENTIAL_SUMS, PotentialSums, lattice_sums
from euhedral.representations.potentials import POTNET, POTNET_PROGRAM, Exponential, Power, Screened
from euhedral.training.graph_set import GraphSet

SMALL = ("triclinic", "fcc", "heusler", "hexagonal", "one_atom", "vacuum")
MANY = (
    Power(1.0), Power(2.0), Power(2.5), Power(4.0), Power(4.5), Power(6.0), Power(7.0), Power(12.0),
    Screened(0.4), Screened(1.5), Screened(9.0), Exponential(0.2), Exponential(1.0), Exponential(3.0), Exponential(20.0),
)  # fmt: skip

CUBE = Crystal(cell=np.eye(3), frac=[[0, 0, 0]], numbers=[1])


def sums(crystal, potentials, accuracy=1e-10):
    return lattice_sums(crystal, potentials=potentials, accuracy=accuracy)


def broken_batch():
    batch = CrystalBatch.from_crystals([CUBE], dtype=torch.float64)
    return batch.replace(frac=batch.frac * torch.nan)


def skewed(crystal):
    return with_cell(crystal, matrix=[[1, 3, -2], [0, 1, 4], [0, 0, 1]])


def brute(crystal, function, radius):
    """Sum over all images within a radius of each atom."""
    reach = np.ceil(radius * np.linalg.norm(np.linalg.inv(crystal.cell), axis=0)).astype(int) + 1
    axes = [np.arange(-m, m + 1) for m in reach]
    lattice = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3) @ crystal.cell
    n = len(crystal)
    out = np.zeros((n, n))
    for i in range(n):
        for j in range(i, n):
            distance = np.linalg.norm(lattice + (crystal.frac[j] - crystal.frac[i]) @ crystal.cell, axis=1)
            out[i, j] = out[j, i] = function(distance[(distance <= radius) & (distance > 1e-9)]).sum()
    return out


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("change", [lambda crystal: crystal, skewed], ids=["as_given", "skewed"])
def test_sums_are_those_of_brute_force(crystals, name, change):
    crystal = change(crystals[name])
    decaying = {
        Screened(0.4): lambda r: np.exp(-r / 0.4) / r,
        Screened(1.5): lambda r: np.exp(-r / 1.5) / r,
        Exponential(1.0): lambda r: np.exp(-r),
        Exponential(3.0): lambda r: np.exp(-3.0 * r),
    }
    powers = {Power(n): lambda r, n=n: r**-n for n in (6.0, 6.5, 9.0)}
    radius = 36.0
    result = sums(crystals[name] if change is not skewed else crystal, (*decaying, *powers))
    for place, (potential, function) in enumerate((decaying | powers).items()):
        expected = brute(crystals[name], function, radius)
        if isinstance(potential, Power):  # beyond the radius: atoms as if spread evenly
            n = potential.exponent
            expected += 4.0 * np.pi / crystal.volume * radius ** (3.0 - n) / (n - 3.0)
        np.testing.assert_allclose(result[:, :, place], expected, atol=1e-6, rtol=0, err_msg=str(potential))


@pytest.mark.parametrize("accuracy", [1e-2, 1e-4, 1e-6, 1e-8])
@pytest.mark.parametrize("name", [*SMALL, "isolated"])
def test_error_is_below_the_accuracy_asked_for(crystals, name, accuracy):
    # alone, so that each potential's own bound decides how far the sums reach
    for potential in MANY:
        exact = sums(crystals[name], (potential,), 1e-13)
        error = np.abs(sums(crystals[name], (potential,), accuracy) - exact).max()
        assert error <= accuracy + 1e-13 * np.abs(exact).max(), potential


def test_bound_is_not_far_from_the_error(crystals):
    # a bound that were not used would let the sums run on to full precision
    crystal = crystals["triclinic"]
    exact = sums(crystal, (Power(1.0),), 1e-13)
    assert np.abs(sums(crystal, (Power(1.0),), 1e-3) - exact).max() > 1e-9


@pytest.mark.parametrize(
    ("exponent", "value"),
    [(1.0, -2.837297479480619), (2.0, -8.913632917585152), (6.0, 8.401923974827540), (12.0, 6.202149045047518)],
)
def test_simple_cubic_sums_have_the_known_values(exponent, value):
    """Wigner's constant, the zeta function of Luscher, and the sums of Lennard-Jones and Ingham."""
    result = lattice_sums(CUBE, potentials=(Power(exponent),), accuracy=1e-13)
    assert result.item() == pytest.approx(value, abs=1e-11)


@pytest.mark.parametrize(("exponent", "value"), [(4.0, 16.5323), (5.0, 10.3775), (7.0, 7.4670), (8.0, 6.9458)])
def test_simple_cubic_sums_are_those_of_the_table_of_lennard_jones_and_ingham(exponent, value):
    result = lattice_sums(CUBE, potentials=(Power(exponent),))
    assert result.item() == pytest.approx(value, abs=6e-5)


def test_sums_are_continuous_in_the_exponent(crystals):
    # whole and other exponents take different series
    whole = sums(crystals["triclinic"], (Power(5.0), Power(4.0), Power(1.0)))
    for sign in (-1.0, 1.0):
        near = sums(
            crystals["triclinic"], (Power(5.0 + 0.01 * sign), Power(4.0 + 0.01 * sign), Power(1.0 + 0.01 * sign))
        )
        further = sums(
            crystals["triclinic"], (Power(5.0 + 0.02 * sign), Power(4.0 + 0.02 * sign), Power(1.0 + 0.02 * sign))
        )
        np.testing.assert_allclose(2.0 * near - further, whole, rtol=2e-2, atol=2e-3)


def test_weakly_screened_coulomb_is_coulomb_and_its_mean(crystals):
    crystal = crystals["triclinic"]
    coulomb = sums(crystal, (Power(1.0),))
    differences = []
    for length in (100.0, 200.0):
        screened = sums(crystal, (Screened(length),)) - 4.0 * np.pi * length**2 / crystal.volume
        differences.append(np.abs(screened - coulomb).max())
    # exp(-r/l)/r = 1/r - 1/l + ...; the constant is that of the term left out at r = 0
    assert differences[0] == pytest.approx(1e-2, rel=0.1)
    assert differences[1] == pytest.approx(5e-3, rel=0.1)


def test_coulomb_has_zero_mean_over_the_cell():
    # a grid of points sums the potential of one atom exactly but for waves finer than the grid
    size = 6
    grid = np.stack(np.meshgrid(*[np.arange(size) / size] * 3, indexing="ij"), -1).reshape(-1, 3)
    cell = np.array([[3.0, 0.2, 0.1], [0.4, 3.3, 0.3], [0.1, -0.5, 2.8]])
    row = sums(Crystal(cell=cell, frac=grid, numbers=np.ones(len(grid))), (Power(1.0),))[0, :, 0]
    own = sums(Crystal(cell=cell / size, frac=[[0, 0, 0]], numbers=[1]), (Power(1.0),)).item()
    # all grid points together are the lattice of the fine cell
    assert row.sum() == pytest.approx(own, abs=1e-6)


@pytest.mark.parametrize("name", ["triclinic", "heusler", "hexagonal", "vacuum"])
def test_copies_in_a_supercell_add_up_to_the_cell(crystals, name):
    crystal = crystals[name]
    matrix = np.array([[2, 0, 0], [1, 2, 0], [0, -1, 1]])
    large = supercell(crystal, matrix=matrix)
    copies = round(abs(np.linalg.det(matrix)))
    whole = sums(large, MANY)
    folded = whole.reshape(len(large), len(crystal), copies, -1).sum(2)[::copies]
    exact = sums(crystal, MANY)
    np.testing.assert_allclose(folded, exact, atol=1e-8, rtol=1e-11)


def test_the_authors_program_depends_on_the_cell(crystals):
    crystal = crystals["triclinic"]
    large = supercell(crystal, matrix=[2, 1, 1])
    copies = sums(large, POTNET_PROGRAM)[0].reshape(len(crystal), 2, 3).sum(1)
    difference = copies - sums(crystal, POTNET_PROGRAM)[0]
    assert np.abs(difference[:, :2]).max() < 1e-8
    assert np.abs(difference[:, 2]).max() > 1e-3


def incomplete_bessel(order, x, y=0.0):
    """int_1^inf t^(-order - 1) exp(-x t - y / t) dt, of which PotNet's program makes its sums."""
    if x > 40.0:
        return 0.0
    return quad(lambda t: t ** (-order - 1.0) * np.exp(-x * t - y / t), 1.0, np.inf, epsabs=1e-14)[0]


def potnet_program(crystal, i, j, reach):
    """PotNet's formulae for one pair, with its scaling of lengths and its grid of images: Coulomb, dispersion, Pauli."""
    scale = crystal.volume ** (1.0 / 3.0)
    cell, shift = crystal.cell / scale, (crystal.frac[i] - crystal.frac[j]) @ crystal.cell / scale
    axes = [np.arange(-reach, reach + 1)] * 3
    steps = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    squared = ((steps @ cell + shift) ** 2).sum(1)
    dual = steps @ np.linalg.inv(cell).T
    dual2, cosine = (dual**2).sum(1), np.cos(2 * np.pi * dual @ shift)
    result = []
    for p in (0.5, 3.0):
        total = -(np.pi**1.5) / (1.5 - p) - (1.0 / p if i == j else 0.0)
        total += sum(incomplete_bessel(-p, x) for x in squared if x > 1e-12)
        total += np.pi**1.5 * sum(
            c * incomplete_bessel(p - 1.5, np.pi**2 * x) for x, c in zip(dual2, cosine, strict=True) if x > 0
        )
        result.append(total * scale ** (-2 * p) / gamma(p))
    decay = 3.0 * np.sqrt(scale)
    b = decay**2 / (4 * np.pi)
    total = sum(c * incomplete_bessel(-2.0, b + np.pi * x) for x, c in zip(dual2, cosine, strict=True))
    total += sum(incomplete_bessel(0.5, np.pi * x, b) for x in squared)
    return np.array([*result, total * decay / (2 * np.pi)])


@pytest.mark.parametrize("pair", [(0, 0), (0, 1), (2, 1)])
def test_sums_are_those_of_the_formulae_in_the_authors_program(crystals, pair):
    crystal = crystals["triclinic"]
    ours = sums(crystal, POTNET_PROGRAM)[pair]
    np.testing.assert_allclose(ours, potnet_program(crystal, *pair, reach=5), atol=1e-7)
    # the grid of their configuration ends too soon for this cell
    assert np.abs(ours - potnet_program(crystal, *pair, reach=3))[0] > 1e-6
    # the paper's exp(-3 r) is another number
    assert abs(ours[2] - sums(crystal, POTNET)[pair][2]) > 1e-2


def test_the_authors_program_counts_an_atom_itself_and_shrinks_the_decay(crystals):
    crystal = crystals["triclinic"]
    theirs = sums(crystal, POTNET_PROGRAM)[:, :, 2]
    decay = 3.0 / crystal.volume ** (1.0 / 6.0)
    np.testing.assert_allclose(theirs, sums(crystal, (Exponential(decay),))[:, :, 0] + np.eye(3), atol=1e-9)


@pytest.mark.parametrize("name", ["triclinic", "heusler", "vacuum"])
def test_sums_do_not_see_cell_orientation_origin_or_order(crystals, name):
    crystal = crystals[name]
    exact = sums(crystal, MANY)
    turn = Rotation.random(random_state=3).as_matrix()
    order = np.random.default_rng(1).permutation(len(crystal))
    others = {
        "cell": (skewed(crystal), np.arange(len(crystal))),
        "left-handed": (with_cell(crystal, matrix=[[0, 1, 0], [1, 0, 0], [0, 0, 1]]), np.arange(len(crystal))),
        "rotation": (crystal.replace(cell=crystal.cell @ turn), np.arange(len(crystal))),
        "origin": (crystal.replace(frac=crystal.frac + np.array([0.3, 0.9, 0.4])), np.arange(len(crystal))),
        "order": (crystal.replace(frac=crystal.frac[order], numbers=crystal.numbers[order]), order),
    }
    for what, (other, places) in others.items():
        np.testing.assert_allclose(sums(other, MANY), exact[places][:, places], atol=1e-9, rtol=1e-11, err_msg=what)


def test_several_potentials_together_are_each_alone(crystals):
    crystal = crystals["hexagonal"]
    together = sums(crystal, MANY)
    for place, potential in enumerate(MANY):
        np.testing.assert_allclose(together[:, :, place], sums(crystal, (potential,))[:, :, 0], atol=3e-10, rtol=1e-12)


def test_graph_holds_all_ordered_pairs_with_their_sums(crystals):
    chosen = [crystals[name] for name in ("triclinic", "one_atom", "heusler")]
    batch = CrystalBatch.from_crystals(chosen, dtype=torch.float64)
    spec = PotentialSums(accuracy=1e-10)
    assert isinstance(spec, GraphSpec)
    graph = spec.build(batch)
    assert graph.target.tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] + [i for i in range(4, 8) for _ in range(4)]
    assert graph.source.tolist() == [0, 1, 2] * 3 + [3] + [4, 5, 6, 7] * 4
    begin = 0
    for crystal in chosen:
        part = graph.extra[POTENTIAL_SUMS][begin : begin + len(crystal) ** 2]
        expected = sums(crystal, POTNET).reshape(-1, 3)
        np.testing.assert_allclose(part.numpy(), expected, atol=1e-12)
        begin += len(crystal) ** 2
    assert begin == graph.extra[POTENTIAL_SUMS].shape[0]


def test_image_of_an_edge_is_the_nearest(crystals):
    batch = CrystalBatch.from_crystals([skewed(crystals["triclinic"]), crystals["vacuum"]], dtype=torch.float64)
    graph = PotentialSums(potentials=(Exponential(3.0),)).build(batch)
    length = graph.vectors(batch).norm(dim=1)
    shifts = torch.cartesian_prod(*[torch.arange(-8, 9)] * 3)
    for edge in range(len(length)):
        i, j = graph.target[edge], graph.source[edge]
        offset = batch.frac[j] - batch.frac[i] + shifts.double()
        nearest = (offset @ batch.cell[batch.crystal_idx[i]]).norm(dim=1).min()
        assert length[edge].item() == pytest.approx(nearest.item(), abs=1e-9)
    assert (graph.image[graph.source == graph.target] == 0).all()


def test_sums_are_kept_with_a_data_set_and_cut_with_its_batches(crystals):
    chosen = [crystals[name] for name in ("triclinic", "one_atom", "heusler", "vacuum")]
    spec = PotentialSums()
    kept = GraphSet.from_crystals(chosen, spec=spec, dtype=torch.float64)
    batch, graph = kept.select(torch.tensor([3, 0]))
    expected = spec.build(CrystalBatch.from_crystals([chosen[3], chosen[0]], dtype=torch.float64))
    assert torch.equal(graph.source, expected.source)
    torch.testing.assert_close(graph.extra[POTENTIAL_SUMS], expected.extra[POTENTIAL_SUMS])
    torch.testing.assert_close(graph.vectors(batch), expected.vectors(batch))


def test_single_precision_batch_gets_single_precision_sums(crystals):
    graph = PotentialSums().build(CrystalBatch.from_crystals([crystals["fcc"]]))
    assert graph.extra[POTENTIAL_SUMS].dtype == torch.float32


def test_isolated_atom_feels_only_its_images(crystals):
    result = sums(crystals["isolated"], (Power(1.0), Power(6.0), Exponential(3.0)), 1e-13)[0, 0]
    assert result[0] == pytest.approx(-2.837297479480619 / 40.0, abs=1e-12)
    assert result[1] == pytest.approx(8.401923974827540 / 40.0**6, abs=1e-13)
    assert result[2] < 1e-13


def test_five_hundred_atoms_agree_with_pairs_taken_alone(crystals):
    large = crystals["large"]
    every = sums(large, POTNET, 1e-8)
    few = large.replace(frac=large.frac[[3, 250, 499]], numbers=large.numbers[[3, 250, 499]])
    np.testing.assert_allclose(every[np.ix_([3, 250, 499], [3, 250, 499])], sums(few, POTNET, 1e-10), atol=1e-8)


def test_needle_and_plate_cells_are_summed():
    for cell in (np.diag([2.0, 2.0, 200.0]), np.diag([1.5, 90.0, 90.0])):
        crystal = Crystal(cell=cell, frac=[[0, 0, 0], [0.4, 0.1, 0.45]], numbers=[1, 2])
        expected = brute(crystal, lambda r: np.exp(-r / 1.5) / r, 40.0)
        np.testing.assert_allclose(sums(crystal, (Screened(1.5),))[:, :, 0], expected, atol=1e-9)


def test_two_atoms_at_one_place_are_named():
    crystal = Crystal(
        cell=np.eye(3) * 4, frac=[[0, 0, 0], [0.5, 0.5, 0.5], [0.9999, 0, 0]], numbers=[1, 1, 1], id="twice"
    )
    with pytest.raises(InvalidCrystalError, match=r"crystal 'twice': atoms 1 and 3 are 4.0e-04 Å apart"):
        PotentialSums().build(CrystalBatch.from_crystals([crystal], dtype=torch.float64))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Power(3.0), "no value"),
        (lambda: Power(0.0), "from 0.01 to 30"),
        (lambda: Power(200.0), "from 0.01 to 30"),
        (lambda: Power(6.001), "too near a whole number"),
        (lambda: Power(float("nan")), "finite number"),
        (lambda: Power("6"), "finite number"),
        (lambda: Screened(-1.0), "screening length"),
        (lambda: Screened(1e9), "screening length"),
        (lambda: Exponential(0.0), "decay"),
        (lambda: PotentialSums(potentials=()), "at least one potential"),
        (lambda: PotentialSums(potentials=("coulomb",)), "'coulomb' is no potential"),
        (lambda: PotentialSums(accuracy=0.0), "accuracy"),
        (lambda: PotentialSums(accuracy=1e-30), "accuracy"),
        (lambda: PotentialSums().build(broken_batch()), "NaN"),
    ],
)
def test_what_cannot_be_summed_is_refused_in_one_line(make, message):
    with pytest.raises(InvalidRequestError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
