"""Lennard-Jones parameters of all elements, of the universal force field.

Rappe, Casewit, Colwell, Goddard and Skiff 1992, "UFF, a full periodic table force field for molecular mechanics and molecular
dynamics simulations", doi:10.1021/ja00051a040, table 1. The types of one element differ in bonds and angles and share these two.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from euhedral.core.elements import MAX_NUMBER

_KCAL_PER_MOL: Final = 0.0433641  # eV
# Distance of the well, Angstrom, and its depth, kcal/mol: H to Lr.
_WELLS: Final = (
    (2.886, 0.044), (2.362, 0.056), (2.451, 0.025), (2.745, 0.085), (4.083, 0.180), (3.851, 0.105), (3.660, 0.069),  # H-N
    (3.500, 0.060), (3.364, 0.050), (3.243, 0.042), (2.983, 0.030), (3.021, 0.111), (4.499, 0.505), (4.295, 0.402),  # O-Si
    (4.147, 0.305), (4.035, 0.274), (3.947, 0.227), (3.868, 0.185), (3.812, 0.035), (3.399, 0.238), (3.295, 0.019),  # P-Sc
    (3.175, 0.017), (3.144, 0.016), (3.023, 0.015), (2.961, 0.013), (2.912, 0.013), (2.872, 0.014), (2.834, 0.015),  # Ti-Ni
    (3.495, 0.005), (2.763, 0.124), (4.383, 0.415), (4.280, 0.379), (4.230, 0.309), (4.205, 0.291), (4.189, 0.251),  # Cu-Br
    (4.141, 0.220), (4.114, 0.040), (3.641, 0.235), (3.345, 0.072), (3.124, 0.069), (3.165, 0.059), (3.052, 0.056),  # Kr-Mo
    (2.998, 0.048), (2.963, 0.056), (2.929, 0.053), (2.899, 0.048), (3.148, 0.036), (2.848, 0.228), (4.463, 0.599),  # Tc-In
    (4.392, 0.567), (4.420, 0.449), (4.470, 0.398), (4.500, 0.339), (4.404, 0.332), (4.517, 0.045), (3.703, 0.364),  # Sn-Ba
    (3.522, 0.017), (3.556, 0.013), (3.606, 0.010), (3.575, 0.010), (3.547, 0.009), (3.520, 0.008), (3.493, 0.008),  # La-Eu
    (3.368, 0.009), (3.451, 0.007), (3.428, 0.007), (3.409, 0.007), (3.391, 0.007), (3.374, 0.006), (3.355, 0.228),  # Gd-Yb
    (3.640, 0.041), (3.141, 0.072), (3.170, 0.081), (3.069, 0.067), (2.954, 0.066), (3.120, 0.037), (2.840, 0.073),  # Lu-Ir
    (2.754, 0.080), (3.293, 0.039), (2.705, 0.385), (4.347, 0.680), (4.297, 0.663), (4.370, 0.518), (4.709, 0.325),  # Pt-Po
    (4.750, 0.284), (4.765, 0.248), (4.900, 0.050), (3.677, 0.404), (3.478, 0.033), (3.396, 0.026), (3.424, 0.022),  # At-Pa
    (3.395, 0.022), (3.424, 0.019), (3.424, 0.016), (3.381, 0.014), (3.326, 0.013), (3.339, 0.013), (3.313, 0.013),  # U-Cf
    (3.299, 0.012), (3.286, 0.012), (3.274, 0.011), (3.248, 0.011), (3.236, 0.011),  # Es-Lr
)  # fmt: skip


def uff_lennard_jones() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Look up 4 epsilon ((sigma / r)^12 - (sigma / r)^6) between two atoms of an element.

    Returns:
        (119,) sigma in Angstrom and (119,) epsilon in eV by atomic number; row 0 is empty, and elements after Lr, which the
        table does not hold, are given the values of Lr.
    """
    table = np.zeros((MAX_NUMBER + 1, 2))
    table[1 : len(_WELLS) + 1] = _WELLS
    table[len(_WELLS) + 1 :] = _WELLS[-1]
    return table[:, 0] / 2.0 ** (1.0 / 6.0), table[:, 1] * _KCAL_PER_MOL
