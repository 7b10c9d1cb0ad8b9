"""The convex hull: against hand-worked binaries and against pymatgen on real phases."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from euhedral.errors import InvalidRequestError
from euhedral.metrics.hull import LowerHull, hull_distance

ELEMENTS = ["Fe", "Li", "O", "P", "S"]


def rows(amounts):
    array = np.asarray(amounts, dtype=float)
    return array / array.sum(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def phases():
    """(n, 5) fractions, formation energies and e_above_hull of the MP-20 phases of Fe-Li-O-P-S."""
    table = json.loads((Path(__file__).parents[1] / "data" / "mp20_li_fe_o_p_s_energies.json").read_text())["phases"]
    fractions = rows([[row["composition"].get(symbol, 0) for symbol in ELEMENTS] for row in table])
    return (
        fractions,
        np.array([row["formation_energy"] for row in table]),
        np.array([row["e_above_hull"] for row in table]),
    )


def oracle(fractions, energies):
    diagrams = pytest.importorskip("pymatgen.analysis.phase_diagram")
    from pymatgen.core import Composition

    entries = [
        diagrams.PDEntry(Composition(dict(zip(ELEMENTS, row, strict=True))), energy)
        for row, energy in zip(fractions, energies, strict=True)
    ]
    return diagrams.PhaseDiagram(entries)


def queries(rng, count, n_elements=5):
    """Random compositions, half of them on faces and edges of the simplex."""
    fractions = rng.dirichlet(np.ones(n_elements), count)
    fractions[::2] = np.where(fractions[::2] < 0.2, 0.0, fractions[::2])
    return rows(fractions[fractions.sum(axis=1) > 0])


def test_a_binary_worked_by_hand():
    # A at 0, B at 1, AB at -1 eV/atom: at A3B the hull is half way between A (0) and AB (-1)
    references = rows([[1, 0], [0, 1], [1, 1], [1, 1]])
    found = hull_distance(
        rows([[3, 1], [3, 1], [1, 1], [1, 0]]),
        energies=[-0.4, -0.6, -1.25, 0.0],
        references=references,
        reference_energies=[0.0, 0.0, -1.0, -0.2],
    )
    assert found.distance == pytest.approx([0.1, -0.1, -0.25, 0.0])
    assert found.decomposition(0) == pytest.approx({0: 0.5, 2: 0.5})
    assert found.decomposition(3) == {0: 1.0}


def test_total_energies_and_formation_energies_give_one_distance(phases):
    fractions, energies, _ = phases
    shift = np.array([-8.3, -1.9, -4.9, -5.4, -4.1])
    asked = queries(np.random.default_rng(1), 100)
    plain = LowerHull(compositions=fractions, energies=energies).distance(asked, energies=np.zeros(len(asked)))
    total = LowerHull(compositions=fractions, energies=energies + fractions @ shift)
    assert total.distance(asked, energies=asked @ shift).distance == pytest.approx(plain.distance, abs=1e-9)


def test_agrees_with_pymatgen_on_real_phases_of_five_elements(phases):
    from pymatgen.core import Composition

    fractions, energies, _ = phases
    asked = np.concatenate([queries(np.random.default_rng(2), 150), fractions])
    ours = LowerHull(compositions=fractions, energies=energies, elements=ELEMENTS)
    diagram = oracle(fractions, energies)
    expected = [diagram.get_hull_energy_per_atom(Composition(dict(zip(ELEMENTS, row, strict=True)))) for row in asked]
    found = ours.distance(asked, energies=np.zeros(len(asked)))
    assert found.hull_energy == pytest.approx(expected, abs=1e-6)
    assert len(ours.stable) == len(diagram.stable_entries)


def test_the_decomposition_has_the_querys_composition_and_the_hulls_energy(phases):
    fractions, energies, _ = phases
    asked = np.concatenate([queries(np.random.default_rng(3), 200), fractions])
    found = LowerHull(compositions=fractions, energies=energies).distance(asked, energies=np.zeros(len(asked)))
    for i in range(len(asked)):
        parts = found.decomposition(i)
        assert sum(share * energies[phase] for phase, share in parts.items()) == pytest.approx(
            found.hull_energy[i], abs=1e-8
        )
        assert np.sum([share * fractions[phase] for phase, share in parts.items()], axis=0) == pytest.approx(
            asked[i], abs=1e-8
        )


def test_the_linear_programme_and_the_facets_agree(phases):
    fractions, energies, _ = phases
    hull = LowerHull(compositions=fractions, energies=energies)
    asked = queries(np.random.default_rng(4), 40)
    by_facets, by_programme = hull._from_facets(asked)[0], hull._from_programme(asked)[0]
    assert by_facets == pytest.approx(by_programme, abs=1e-9)


def test_nine_elements_are_no_harder_to_ask():
    rng = np.random.default_rng(5)
    compounds = rng.dirichlet(np.ones(9), 60)
    energies = np.concatenate([np.zeros(9), rng.normal(-0.5, 0.3, 60)])
    hull = LowerHull(compositions=np.concatenate([np.eye(9), compounds]), energies=energies)
    found = hull.distance(compounds, energies=energies[9:])
    assert found.distance.min() >= -1e-9
    assert (found.distance < 1e-9).any()


def test_leaving_a_stable_phase_out_puts_it_below_the_hull(phases):
    fractions, energies, _ = phases
    stable = LowerHull(compositions=fractions, energies=energies).stable
    compound = next(phase for phase in stable if fractions[phase].max() < 0.99)
    others = np.delete(np.arange(len(energies)), compound)
    hull = LowerHull(compositions=fractions[others], energies=energies[others])
    assert hull.distance(fractions[[compound]], energies=energies[[compound]]).distance[0] < 0.0


def test_one_element_is_a_hull_of_one_point():
    found = hull_distance(
        [[1.0], [1.0]], energies=[-3.0, -3.6], references=[[1.0]] * 2, reference_energies=[-3.5, -3.4]
    )
    assert found.distance == pytest.approx([0.5, -0.1])
    assert found.decomposition(0) == {0: 1.0}


def test_no_compounds_at_all_means_the_plane_of_the_elements():
    found = hull_distance(rows([[1, 1, 1]]), energies=[0.3], references=np.eye(3), reference_energies=[0.0, 0.0, 0.0])
    assert found.distance == pytest.approx([0.3])


def test_compounds_barely_below_the_elements_do_not_break_the_hull():
    references = np.concatenate([np.eye(3), rows([[1, 1, 0], [0, 1, 1], [1, 1, 1]])])
    energies = np.array([0, 0, 0, -1e-9, -3e-9, -2e-8])
    found = hull_distance(rows([[1, 1, 1]]), energies=[0.0], references=references, reference_energies=energies)
    assert found.distance == pytest.approx([0.0], abs=1e-7)


def test_an_energy_that_is_not_known_gives_no_distance_and_spoils_no_other():
    found = hull_distance(
        rows([[1, 1], [1, 3]]), energies=[np.nan, 0.1], references=np.eye(2), reference_energies=[0.0, 0.0]
    )
    assert np.isnan(found.distance[0])
    assert found.distance[1] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"references": rows([[1, 0], [1, 1]]), "reference_energies": [0.0, -1.0]}, "pure element O"),
        ({"reference_energies": [0.0, np.nan]}, "the energy is nan"),
        ({"compositions": [[2.0, 1.0]]}, "add up to 3"),
        ({"compositions": [[1.0, 0.0, 0.0]]}, "3 elements"),
        ({"energies": [0.0, 1.0]}, "expected"),
        ({"compositions": [[-0.5, 1.5]]}, "negative"),
    ],
)
def test_what_cannot_be_placed_is_refused_with_the_cause(changes, message):
    good = {
        "compositions": [[0.5, 0.5]], "energies": [0.0], "references": np.eye(2), "reference_energies": [0.0, 0.0],
        "elements": ["Li", "O"],
    }  # fmt: skip
    given = good | changes
    with pytest.raises(InvalidRequestError, match=message):
        hull_distance(given.pop("compositions"), **given)
