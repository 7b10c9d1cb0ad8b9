import numpy as np
import pytest

from euhedral.errors import InvalidRequestError
from euhedral.metrics.by_element import error_by_element


def test_a_crystal_counts_once_for_each_of_its_elements_and_unknown_errors_do_not():
    numbers, crystal = [11, 17, 17, 11, 8, 8], [0, 0, 0, 1, 1, 2]
    mean, count = error_by_element([1.0, 3.0, np.nan], numbers=numbers, crystal=crystal)
    assert (mean[11], count[11]) == (2.0, 2)
    assert (mean[17], count[17]) == (1.0, 1)
    assert (mean[8], count[8]) == (3.0, 1)
    assert np.isnan(mean[26])


def test_errors_of_atoms_go_to_their_own_elements():
    mean, count = error_by_element([1.0, 2.0, 4.0], numbers=[11, 17, 17], crystal=[0, 0, 0])
    assert (mean[11], mean[17], count[17]) == (1.0, 3.0, 2)


def test_errors_of_neither_atoms_nor_crystals_are_refused():
    with pytest.raises(InvalidRequestError, match="or of each crystal"):
        error_by_element([1.0, 2.0], numbers=[1, 1, 1], crystal=[0, 0, 0])
