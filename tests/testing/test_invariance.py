"""The harness catches each way to break a symmetry, and only that one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from euhedral.core.crystal import Crystal
from euhedral.errors import DivergedError, InvalidRequestError
from euhedral.geometry.neighbours import neighbours_within
from euhedral.geometry.symmetry import symmetry
from euhedral.representations.graphs import Radius
from euhedral.testing.behaviours import CartesianTensor, Extensive, Invariant, PerAtom, Text, Unordered
from euhedral.testing.chiral import alpha_quartz, chiral_crystals, tellurium
from euhedral.testing.invariance import OnBatch, check_chirality, check_invariances
from euhedral.testing.transforms import (
    SYMMETRIES,
    Images,
    Mirror,
    OtherElements,
    Permutation,
    Rotation,
    Strain,
    Supercell,
)

EXPECTED = {
    "energy": Extensive(),
    "forces": PerAtom(CartesianTensor(rank=1)),
    "stress": CartesianTensor(rank=2),
    "magmoms": PerAtom(Invariant()),
    "mean": Invariant(),
    "bonds": Unordered(CartesianTensor(rank=1)),
    "formula": Text(),
    "handedness": CartesianTensor(rank=0, parity="axial"),
}


def features(batch):
    """A pair potential that is right in every way, with a pseudoscalar of each atom's surroundings."""
    graph = Radius(cutoff=4.5).build(batch)
    vectors = graph.vectors(batch)
    length = vectors.norm(dim=1)
    weight = batch.numbers.double()[graph.source] * torch.exp(-length)
    forces = torch.zeros_like(batch.frac).index_add_(0, graph.target, weight[:, None] * vectors)
    quadrupole = _quadrupole(batch, graph.target, vectors, weight)
    # the antisymmetric part of a product of two quadrupoles is an axial vector; along a polar one it is a handedness
    product = quadrupole @ _quadrupole(batch, graph.target, vectors, weight * torch.exp(-length))
    axial = torch.stack([product[:, j, k] - product[:, k, j] for j, k in ((1, 2), (2, 0), (0, 1))], 1)
    counts = np.unique(batch.numbers.numpy(), return_counts=True)
    reduced = counts[1] // np.gcd.reduce(counts[1])
    return {
        "energy": weight.sum(),
        "forces": forces,
        "stress": quadrupole.mean(0),
        "magmoms": torch.zeros_like(batch.frac[:, 0]).index_add_(0, graph.target, weight),
        "mean": weight.sum() / len(batch.frac),
        "bonds": vectors,
        "formula": " ".join(f"{number}:{count}" for number, count in zip(counts[0], reduced, strict=True)),
        "handedness": (forces * axial).sum(1).mean() / (1.0 + quadrupole.square().mean()),
    }


def _quadrupole(batch, target, vectors, weight):
    empty = torch.zeros(len(batch.frac), 3, 3, dtype=torch.float64)
    return empty.index_add_(0, target, weight[:, None, None] * vectors[:, :, None] * vectors[:, None, :])


def _distinct(rows):
    return np.unique(np.round(rows.numpy(), 5) + 0.0, axis=0, return_index=True)[1]


@pytest.fixture(scope="module")
def some(crystals):
    chosen = {name: crystals[name] for name in ("triclinic", "hexagonal", "vacuum")}
    return {**chosen, "quartz": alpha_quartz(154)}


def rng():
    return np.random.default_rng(0)


def test_what_is_right_in_every_way_passes(some):
    report = check_invariances(OnBatch(features), some, expected=EXPECTED, rng=rng())
    report.raise_if_failed()
    assert report.passed
    assert report.symmetries == {transform.name for transform in SYMMETRIES}
    assert len(report.findings) == len(SYMMETRIES) * len(some) * len(EXPECTED)


def sum_of(function):
    return lambda batch: {**features(batch), "mean": features(batch)["mean"] + function(batch)}


FLAWS = {
    "rotation": sum_of(lambda b: torch.linalg.det(b.cell[0]).abs() ** (1 / 3) * b.cell[0, 0, 0].abs()),
    "mirror": sum_of(lambda b: features(b)["handedness"]),
    "translation": sum_of(lambda b: (2 * torch.pi * b.frac[:, 0]).cos().mean()),
    "permutation": sum_of(lambda b: b.numbers[0]),
    "images": sum_of(lambda b: ((b.frac < 0.0) | (b.frac >= 1.0)).any().double()),
    "cell": sum_of(lambda b: b.cell.norm(dim=2).sum() / torch.linalg.det(b.cell[0]).abs() ** (1 / 3)),
    "supercell": sum_of(lambda b: b.n_atoms[0]),
}
CAUGHT_BY = {
    # the first axis of the laboratory, the first atom, the axes of the cell: what breaks one may break its neighbours too
    "rotation": {"rotation", "mirror", "other cell", "Niggli cell", "supercell"},
    "mirror": {"mirror"},
    "translation": {"translation", "other cell", "Niggli cell", "supercell"},
    "permutation": {"permutation"},
    "images": {"images"},
    "cell": {"other cell", "Niggli cell", "supercell"},
    "supercell": {"supercell"},
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_each_flaw_is_caught_by_its_own_check(flaw, some):
    report = check_invariances(OnBatch(FLAWS[flaw]), some, expected=EXPECTED, rng=rng())
    broken = {transform.name for transform in SYMMETRIES} - report.symmetries
    assert broken
    assert broken <= CAUGHT_BY[flaw]
    assert flaw in broken or flaw == "cell"
    assert {finding.output for finding in report.failures} == {"mean"}
    with pytest.raises(AssertionError, match="mean after"):
        report.raise_if_failed()


@pytest.mark.parametrize(
    ("output", "wrong", "caught"),
    [
        ("forces", lambda f: f["forces"].norm(dim=1)[:, None] * torch.ones(3), {"rotation", "mirror"}),
        ("forces", lambda f: f["forces"].flip(0), {"permutation", "supercell"}),
        ("stress", lambda f: f["stress"].diagonal().diag(), {"rotation", "mirror"}),
        ("energy", lambda f: f["mean"], {"supercell"}),
        ("magmoms", lambda f: f["magmoms"].sort().values, {"permutation", "supercell"}),
        ("bonds", lambda f: f["bonds"] * torch.tensor([1.0, 1.0, -1.0]), {"rotation", "mirror"}),
        ("bonds", lambda f: f["bonds"][_distinct(f["bonds"])], {"supercell"}),
        ("handedness", lambda f: f["handedness"].abs(), {"mirror"}),
    ],
)
def test_an_output_that_follows_the_wrong_law_is_caught(output, wrong, caught, some):
    def flawed(batch):
        found = features(batch)
        return {**found, output: wrong(found)}

    report = check_invariances(OnBatch(flawed), some, expected=EXPECTED, rng=rng())
    assert {finding.output for finding in report.failures} == {output}
    broken = {transform.name for transform in SYMMETRIES} - report.symmetries
    assert broken <= caught
    assert broken & caught


def test_text_that_lists_the_atoms_in_order_is_caught(some):
    report = check_invariances(lambda crystal: str(crystal.numbers), some, expected=Text(), rng=rng())
    assert {finding.transform for finding in report.failures} == {"permutation", "supercell"}


def test_a_featuriser_of_crystals_gets_wrapped_coordinates_and_one_of_batches_does_not(some):
    def outside(frac):
        return float(((frac < 0.0) | (frac >= 1.0)).any())

    of_crystals = check_invariances(
        lambda crystal: outside(crystal.frac), some, expected=Invariant(), transforms=(Images(),), rng=rng()
    )
    of_batches = check_invariances(
        OnBatch(lambda batch: outside(batch.frac)), some, expected=Invariant(), transforms=(Images(),), rng=rng()
    )
    assert of_crystals.passed
    assert not of_batches.passed


def test_features_that_ignore_the_crystal_are_not_taken_for_symmetric_ones(some):
    def constant(crystal):
        return np.ones(3)

    changes = (OtherElements(), Strain())
    report = check_invariances(constant, some, expected=Invariant(), seen=changes, rng=rng())
    assert {finding.transform for finding in report.failures} == {"elements", "distances"}
    assert "NOT SEEN" in str(report)
    assert "do not tell the two crystals apart" in str(report)
    names = ("energy", "magmoms", "mean")  # forces in graphene vanish, whatever the elements
    check_invariances(
        OnBatch(lambda batch: {name: features(batch)[name] for name in names}), some,
        expected={name: EXPECTED[name] for name in names}, transforms=(), seen=changes, rng=rng(),
    ).raise_if_failed()  # fmt: skip


def test_nan_and_other_shapes_fail(some):
    for value in (np.nan, np.inf):
        report = check_invariances(lambda crystal, value=value: value, some, expected=Invariant(), rng=rng())
        assert not report.symmetries
    report = check_invariances(lambda crystal: crystal.numbers * 0.0, some, expected=Invariant(), rng=rng())
    assert {finding.transform for finding in report.failures} == {"supercell"}
    assert all(finding.deviation == np.inf for finding in report.failures)


def test_a_crystal_that_is_refused_after_a_change_is_a_finding_of_its_own(some):
    def small_only(crystal):
        if len(crystal) > 9:
            raise DivergedError("too large")
        return 0.0

    report = check_invariances(small_only, some, expected=Invariant(), rng=rng())
    assert {finding.transform for finding in report.failures} == {"supercell"}
    assert "after supercell: too large" in str(report)


def test_what_is_declared_must_fit(some):
    with pytest.raises(InvalidRequestError, match="nothing says"):
        check_invariances(lambda crystal: 0.0, some, rng=rng())
    with pytest.raises(InvalidRequestError, match="per atom"):
        check_invariances(lambda crystal: np.ones(1000), some, expected=PerAtom(Invariant()), rng=rng())
    with pytest.raises(InvalidRequestError, match="rank 2"):
        check_invariances(lambda crystal: np.ones(3), some, expected=CartesianTensor(rank=2), rng=rng())
    with pytest.raises(InvalidRequestError, match="'a'"):
        check_invariances(lambda crystal: {"b": 1.0}, some, expected={"a": Invariant()}, rng=rng())


def test_the_report_is_a_table_of_changes_and_crystals(some):
    lines = str(check_invariances(OnBatch(FLAWS["supercell"]), some, expected=EXPECTED, rng=rng())).splitlines()
    assert lines[0].split() == list(some)
    assert len(lines) == 1 + len(SYMMETRIES) + len(some)
    assert lines[1].startswith("rotation")
    assert lines[1].endswith("ok")
    assert lines[len(SYMMETRIES)].endswith("FAILED")


def test_mirror_images_of_quartz_and_tellurium_are_separated():
    expected = {"handedness": Invariant()}
    check_chirality(
        OnBatch(lambda batch: {"handedness": features(batch)["handedness"]}), expected=expected, visible=1e-3, rng=rng()
    ).raise_if_failed()
    report = check_chirality(
        OnBatch(lambda batch: {"handedness": features(batch)["mean"]}), expected=expected, rng=rng()
    )
    assert len(report.failures) == 4
    assert {finding.transform for finding in report.failures} == {"mirror"}


@pytest.mark.parametrize(("build", "bond", "count"), [(alpha_quartz, 1.61, 4), (tellurium, 2.835, 2)])
def test_the_chiral_crystals_are_the_measured_ones(build, bond, count):
    crystal = build(154)
    assert symmetry(crystal).number == 154
    assert symmetry(build(152)).number == 152
    found = neighbours_within(crystal.cell[None], frac=crystal.frac, n_atoms=[len(crystal)], cutoff=3.0)
    first = found.distance[(found.target == 0) & (found.distance < bond * 1.03)]
    assert len(first) == count
    assert first.mean() == pytest.approx(bond, abs=0.005)


def test_one_hand_mirrored_is_the_other():
    made = chiral_crystals()
    mirrored = Mirror().apply(made["quartz-P3_121"], rng=rng()).crystal
    assert symmetry(mirrored).number == 154


def test_changes_say_which_atom_is_which(crystals):
    crystal = crystals["triclinic"]
    for transform in SYMMETRIES:
        change = transform.apply(crystal, rng=rng())
        assert (crystal.numbers[change.atoms] == change.crystal.numbers).all()
        # atoms that belong together have the same neighbours
        before, after = (
            neighbours_within(c.cell[None], frac=c.frac, n_atoms=[len(c)], cutoff=5.0)
            for c in (crystal, change.crystal)
        )
        for atom, old in enumerate(change.atoms):
            assert np.allclose(
                np.sort(after.distance[after.target == atom]), np.sort(before.distance[before.target == old]), atol=1e-9
            )
    for transform, determinant in ((Rotation(), 1.0), (Mirror(), -1.0)):
        turn = transform.apply(crystal, rng=rng()).turn
        assert np.linalg.det(turn) == pytest.approx(determinant)
        assert np.allclose(turn @ turn.T, np.eye(3))
    assert Permutation().apply(crystal, rng=rng()).atoms[0] != 0
    assert len(Supercell().apply(crystal, rng=rng()).crystal) == 6 * len(crystal)


def test_rows_without_order_are_matched_where_sorting_fails():
    rows = np.array([[0.0, np.sqrt(3.0)], [np.sqrt(2.0), 0.0], [5.0, 5.0]])
    change = Rotation().apply(Crystal(cell=np.eye(3), frac=[[0, 0, 0]], numbers=[1]), rng=rng())
    behaviour = Unordered(Invariant())
    noisy = rows[[1, 2, 0]] + 1e-12 * np.array([[1, -1], [0, 0], [-1, 1]])
    assert behaviour.deviation(noisy, behaviour.expected(rows, change)) < 1e-11
    rows[2, 1] += 0.6
    assert behaviour.deviation(noisy, rows) == pytest.approx(0.6 / 6.6)
