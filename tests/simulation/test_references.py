"""The hull of the shipped reference phases: one method at a time, recognised, cached, and named for what it is."""

from __future__ import annotations

import json

import numpy as np
import pytest

from euhedral.core.crystal import Crystal
from euhedral.data.references import reference_phases
from euhedral.errors import InvalidRequestError, MissingDataError, RunFolderError
from euhedral.simulation.phase_index import PhaseIndex
from euhedral.simulation.reference_energies import fingerprint, reference_energies, shipped_energies
from euhedral.simulation.references import MP_METHOD, Entry, FormationScheme, ReferenceHull


@pytest.fixture(scope="module")
def phases():
    return reference_phases()


@pytest.fixture(scope="module")
def hull():
    return ReferenceHull.shipped()


@pytest.fixture
def own_hull():
    """A hull of its own, to add entries to."""
    return ReferenceHull.shipped()


def test_a_reference_phase_lies_where_its_system_says(hull):
    for phase in hull.system(["Na", "Cl"])[:3]:
        energy = hull.energies.energy_per_atom[phase.id]
        assert hull.distances([phase.composition], energies_per_atom=[energy])[0] == pytest.approx(
            phase.distance, abs=1e-6
        )
    assert hull.system(["Na", "Cl"])[0].distance == 0.0


def test_salt_is_stable_and_decomposes_into_itself(hull):
    placed = hull.place([{"Na": 1, "Cl": 1}], energies_per_atom=[0.0])[0]
    assert set(placed.competing) == {"mp-22862"}
    dft = hull.place_dft([{"Na": 4, "Cl": 4}], formation_energies=[-2.0])[0]
    assert set(dft.competing) == {"mp-22862"}
    assert 0.0 < dft.distance < 0.3


def test_the_dft_distance_of_stable_phases_is_the_materials_projects(hull, phases):
    chosen = phases.within(["Li", "Fe", "P", "O"]).labelled("e_above_hull")
    formation = chosen.column("formation_energy_per_atom")
    stable = np.flatnonzero((chosen.column("e_above_hull") < 1e-6) & np.isfinite(formation))
    found = hull.distances_dft([chosen[int(row)] for row in stable], formation_energies=formation[stable])
    assert len(stable) > 5
    assert found == pytest.approx(np.zeros(len(stable)), abs=1e-6)


def test_formation_energies_are_relative_to_the_most_stable_elements(hull):
    elements = [hull.system([symbol])[0] for symbol in ("Li", "O")]
    energies = [hull.energies.energy_per_atom[phase.id] for phase in elements]
    mixture = hull.formation_energies([{"Li": 2, "O": 1}], energies_per_atom=[(2 * energies[0] + energies[1]) / 3])
    assert mixture == pytest.approx([0.0], abs=1e-9)


def test_crystals_and_compositions_of_many_systems_are_placed_in_order(hull, crystals):
    mixed = [crystals["heusler"], {"O": 1.0}, crystals["triclinic"], {"Mn": 2, "Al": 2, "Cu": 4}]
    together = hull.distances(mixed, energies_per_atom=[-4.0, -4.0, -7.0, np.nan])
    alone = [
        hull.distances([one], energies_per_atom=[e])[0]
        for one, e in zip(mixed, (-4.0, -4.0, -7.0, np.nan), strict=True)
    ]
    np.testing.assert_allclose(together, alone)
    assert np.isnan(together[3])


def test_a_system_left_out_is_missing_while_its_subsystems_stay(hull):
    without = ReferenceHull.shipped(exclude_systems=["O-Mn-Li"])
    names = {phase.id for phase in hull.system(["Li", "Mn", "O"])}
    left = {phase.id for phase in without.system(["Li", "Mn", "O"])}
    ternary = {phase.id for phase in hull.system(["Li", "Mn", "O"]) if len(phase.composition) == 3}
    assert ternary
    assert names - left == ternary
    assert "Li-Mn-O" in without.description
    with pytest.raises(InvalidRequestError, match="two or more symbols"):
        ReferenceHull.shipped(exclude_systems=["O"])


def test_what_the_distance_is_stands_in_one_sentence(hull):
    assert "chgnet-0.3.0" in hull.description
    assert "MP-20" in hull.description
    assert "not a DFT distance" in hull.description
    assert MP_METHOD in hull.description_dft


def test_an_element_without_reference_is_named(hull):
    with pytest.raises(InvalidRequestError, match="pure element Po"):
        hull.distances([{"Po": 1, "O": 1}], energies_per_atom=[-1.0])


def test_own_entries_of_the_same_method_join_the_dft_hull(own_hull):
    salt = {"Na": 1, "Cl": 1}
    before = own_hull.distances_dft([salt], formation_energies=[-2.2])[0]
    own_hull.add([Entry(composition=salt, energy_per_atom=-2.5, method=MP_METHOD, id="mine")])
    placed = own_hull.place_dft([salt], formation_energies=[-2.2])[0]
    assert placed.distance == pytest.approx(0.3)
    assert placed.distance > before
    assert placed.competing == {"mine": 1.0}
    assert "1 entries of your own" in own_hull.description_dft


def test_energies_of_another_method_are_never_mixed_silently(own_hull):
    entry = Entry(composition={"Na": 1, "Cl": 1}, energy_per_atom=-3.9, method="PBE, no corrections", id="mine")
    with pytest.raises(InvalidRequestError, match="not mixed"):
        own_hull.add([entry])
    scheme = FormationScheme(method="PBE, no corrections", elements={"Na": -1.3, "Cl": -1.8})
    own_hull.add([entry], scheme=scheme)
    assert own_hull.place_dft([{"Na": 1, "Cl": 1}], formation_energies=[0.0])[0].distance == pytest.approx(2.35)
    assert "PBE, no corrections" in own_hull.description_dft


@pytest.mark.parametrize(
    ("method", "elements", "message"),
    [("PBE+U", {"Na": -1.3, "Cl": -1.8}, "one scheme a method"), ("PBE", {"Na": -1.3}, "no energy of the element Cl")],
)
def test_a_scheme_that_does_not_fit_is_refused(own_hull, method, elements, message):
    entry = Entry(composition={"Na": 1, "Cl": 1}, energy_per_atom=-3.9, method="PBE", id="mine")
    with pytest.raises(InvalidRequestError, match=message):
        own_hull.add([entry], scheme=FormationScheme(method=method, elements=elements))


def test_the_shipped_energies_are_recognised_as_chgnets_and_no_other_potentials(phases, potential):
    from euhedral.models.potentials.chgnet import CHGNet

    shipped = shipped_energies("chgnet-0.3.0")
    assert set(shipped.energy_per_atom) == set(phases.ids.tolist())
    assert shipped.are_of(CHGNet.load(), phases=phases)
    assert not shipped.are_of(potential, phases=phases)
    with pytest.raises(MissingDataError, match="only for chgnet"):
        shipped_energies("chgnet-9")


def test_shipped_energies_are_those_of_relaxed_phases(phases):
    from euhedral.models.potentials.chgnet import CHGNet
    from euhedral.simulation.relax import relax

    shipped = shipped_energies("chgnet-0.3.0")
    names = ["mp-22862", "mp-149", "mp-2534"]
    place = {name: row for row, name in enumerate(phases.ids.tolist())}
    crystals = [phases[place[name]] for name in names]
    for result in relax(CHGNet.load(), crystals, fmax=shipped.fmax):
        assert result.crystal.id in shipped.relaxed
        assert result.energy_per_atom == pytest.approx(shipped.energy_per_atom[result.crystal.id], abs=5e-4)


def test_another_potentials_references_are_relaxed_once_and_survive_a_kill(phases, potential, tmp_path):
    hull = ReferenceHull.of(potential, elements=["Na"], folder=tmp_path)
    needed = PhaseIndex(phases).within(["Na"])
    assert set(hull.energies.energy_per_atom) == set(phases.ids[needed])
    assert "LennardJones" in hull.description
    spent = potential.evaluations
    ReferenceHull.of(potential, elements=["Na"], folder=tmp_path)
    assert potential.evaluations == spent + len(shipped_energies("chgnet-0.3.0").probes)  # the rest is on disk

    file = next(tmp_path.iterdir())
    lines = file.read_text().splitlines()
    file.write_text("\n".join(lines[:-1]) + "\n" + lines[-1][:9])  # a kill in the middle of a line
    again = ReferenceHull.of(potential, elements=["Na"], folder=tmp_path)
    assert potential.evaluations > spent
    assert again.energies.energy_per_atom == pytest.approx(hull.energies.energy_per_atom)
    assert again.distances([{"Na": 1}], energies_per_atom=[hull.system(["Na"])[0].formation_energy]).shape == (1,)


def test_energies_of_other_weights_or_limits_are_not_taken(phases, lennard_jones, tmp_path):
    rows = PhaseIndex(phases).within(["Na"])[:2].tolist()
    weak, strong = lennard_jones(well=0.3), lennard_jones(well=0.5)
    assert fingerprint(weak) != fingerprint(strong)
    first = reference_energies(weak, phases=phases, rows=rows, folder=tmp_path)
    second = reference_energies(strong, phases=phases, rows=rows, folder=tmp_path)
    assert first.energy_per_atom != second.energy_per_atom
    reference_energies(weak, phases=phases, rows=rows, folder=tmp_path, fmax=0.2)
    assert len(list(tmp_path.iterdir())) == 3


def test_a_reference_that_cannot_be_evaluated_is_left_out(phases, lennard_jones, tmp_path):
    rows = PhaseIndex(phases).within(["Na", "Cl"]).tolist()
    found = reference_energies(lennard_jones(elements=[11]), phases=phases, rows=rows, folder=tmp_path)
    assert set(found.energy_per_atom) == set(phases.ids[PhaseIndex(phases).within(["Na"])])


def test_a_folder_that_cannot_be_written_is_named(phases, potential, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(RunFolderError, match="choose another folder"):
        reference_energies(potential, phases=phases, rows=[0], folder=blocked / "inner")


def test_leaving_each_phase_out_puts_stable_ones_below_the_others():
    from euhedral.data.dataset import Dataset

    def phase(numbers, name):
        n = len(numbers)
        return Crystal(cell=np.eye(3) * 4 * n, frac=np.arange(n)[:, None] * np.ones(3) / n, numbers=numbers, id=name)

    table = Dataset.from_crystals([phase([11], "Na"), phase([17], "Cl"), phase([11, 17], "a"), phase([11, 17], "b")])
    energies = np.array([-1.0, -2.0, -3.0, -2.9])
    index = PhaseIndex(table)
    assert index.heights(energies, leave_out_itself=False) == pytest.approx([0.0, 0.0, 0.0, 0.1])
    alone = index.heights(energies, leave_out_itself=True)
    assert alone[2:] == pytest.approx([-0.1, 0.1])
    assert np.isnan(alone[:2]).all()  # without itself there is no hull of its element


def test_the_index_finds_subsystems_whatever_the_number_of_elements(phases):
    index = PhaseIndex(phases)
    few = index.within(["Li", "Mn", "O"])
    assert few.tolist() == np.flatnonzero(np.isin(phases.ids, phases.within(["Li", "Mn", "O"]).ids)).tolist()
    many = ["Li", "Mn", "O", "Na", "Cl", "K", "Br", "F", "Mg", "Ca", "S", "P", "Fe"]
    assert index.within(many).tolist() == np.flatnonzero(np.isin(phases.ids, phases.within(many).ids)).tolist()


def test_kept_energies_are_plain_lines(phases, potential, tmp_path):
    reference_energies(potential, phases=phases, rows=[int(PhaseIndex(phases).within(["Na"])[0])], folder=tmp_path)
    name, energy, converged = json.loads(next(tmp_path.iterdir()).read_text().splitlines()[0])
    assert isinstance(name, str)
    assert np.isfinite(energy)
    assert converged in (True, False)
