from __future__ import annotations

import numpy as np

from euhedral.cli.reading import crystals_from
from euhedral.core.crystal import Crystal
from euhedral.core.files import write


def test_overlapping_atoms_are_set_aside_with_the_cure(tmp_path, crystals):
    write(tmp_path / "good.cif", crystals=crystals["heusler"])
    overlapping = Crystal(cell=np.eye(3) * 4, frac=[[0, 0, 0], [0.05, 0, 0]], numbers=[11, 17])
    write(tmp_path / "overlapping.cif", crystals=overlapping)
    (tmp_path / "broken.cif").write_text("data_x\n_cell_length_a 3\n")
    read, failures = crystals_from([tmp_path], advance=lambda *_: None)
    assert [crystal.id for crystal in read] == ["good"]
    assert len(failures) == 2
    (failure,) = [failure for failure in failures if failure.id == "overlapping"]
    assert (
        failure.reason
        == "Na (atom 1) and Cl (atom 2) are 0.200 Å apart, less than 0.5 Å; separate the atoms or remove one"
    )
