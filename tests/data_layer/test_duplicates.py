"""The same structure under two names."""

from __future__ import annotations

import numpy as np
import pytest

from euhedral.core.crystal import Crystal
from euhedral.data import load
from euhedral.data.dataset import Dataset
from euhedral.data.duplicates import duplicate_of, fingerprints, mark_duplicates, shared_structures
from euhedral.errors import InvalidCrystalError
from euhedral.geometry.matching import Matcher
from euhedral.testing.dataset import disjoint_splits


def disguised(crystal: Crystal, *, name: str) -> Crystal:
    """The same structure in another cell, with other axes, origin and order, 1% larger."""
    change = np.array([[1, 1, 0], [0, 1, 0], [0, 1, 1]])
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))
    frac = crystal.frac @ np.linalg.inv(change) + 0.137
    order = np.random.default_rng(2).permutation(len(crystal))
    return Crystal(cell=1.01 * change @ crystal.cell @ turn, frac=frac[order], numbers=crystal.numbers[order], id=name)


@pytest.fixture(scope="module")
def few() -> list[Crystal]:
    sample = load("mp-20-sample")
    return [sample[i] for i in range(0, 60, 2)]


def test_the_fingerprint_does_not_know_the_cell(few):
    same = fingerprints([disguised(crystal, name="x") for crystal in few])
    for mine, other in zip(fingerprints(few), same, strict=True):
        assert np.allclose(mine, other, atol=1e-9)


def test_the_fingerprint_of_a_supercell_is_the_same(few):
    crystal = few[0]
    double = Crystal(
        cell=crystal.cell * np.array([[2.0], [1.0], [1.0]]),
        frac=np.concatenate([crystal.frac * [0.5, 1, 1], crystal.frac * [0.5, 1, 1] + [0.5, 0, 0]]),
        numbers=np.tile(crystal.numbers, 2),
    )
    assert np.allclose(fingerprints([crystal])[0], fingerprints([double])[0], atol=1e-9)


def test_a_moved_atom_changes_the_fingerprint_smoothly(few):
    crystal = next(c for c in few if len(c) > 3)
    shift = np.zeros_like(crystal.frac)
    shift[0] = 1.0 / crystal.lengths
    changes = [
        np.abs(fingerprints([crystal])[0] - fingerprints([crystal.replace(frac=crystal.frac + step * shift)])[0]).max()
        for step in (1e-4, 1e-2)
    ]
    assert 0 < 10 * changes[0] < changes[1] < 1


def test_disguised_copies_are_found_and_nothing_else(few):
    crystals = [*few, *(disguised(crystal, name=f"copy-{i}") for i, crystal in enumerate(few))]
    first = duplicate_of(crystals, reach=0.05)
    assert first[len(few) :].tolist() == first[: len(few)].tolist()
    assert len(set(first.tolist())) == len(few)


def test_crystals_shared_by_two_sets_are_found_whatever_their_ids(few):
    other = [disguised(few[7], name="x"), disguised(few[3], name="y")]
    assert shared_structures(few, other) == [(3, 1), (7, 0)]


def test_marked_duplicates_stay_in_one_part_of_a_random_split(few, tmp_path):
    crystals = [*few, *(disguised(crystal, name=f"copy-{i}") for i, crystal in enumerate(few))]
    marked = mark_duplicates(Dataset.from_crystals(crystals), reach=0.05)
    assert marked.column("duplicate_of")[len(few) :].tolist() == [crystal.id for crystal in few]
    disjoint_splits(marked)
    for part in marked.split("random-5").values():
        assert len(part) % 2 == 0
    again = marked.write(tmp_path / "marked.parquet")
    assert again.column("duplicate_of").tolist() == marked.column("duplicate_of").tolist()


def test_a_crystal_that_the_matcher_cannot_handle_counts_as_new_and_is_named_once(few, caplog):
    class Picky(Matcher):
        def matches(self, first, second):
            if "bad" in (first.id, second.id):
                raise InvalidCrystalError("no primitive cell")
            return super().matches(first, second)

    crystals = [few[0], few[0].replace(id="bad"), few[0].replace(id="good"), few[0].replace(id="better")]
    assert duplicate_of(crystals, matcher=Picky()).tolist() == [0, 1, 0, 0]
    assert caplog.text.count("bad cannot be compared") == 1
