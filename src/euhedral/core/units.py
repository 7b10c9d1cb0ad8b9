"""Conversion factors; the house units are Angstrom, eV, fs, K, amu, mu_B and THz (GPa for moduli)."""

from __future__ import annotations

from typing import Final

#: 1 eV/Angstrom^3 in GPa (CODATA 2018, exact).
GPA_PER_EV_PER_A3: Final = 160.21766208
#: 1 eV/Angstrom^3 in kbar.
KBAR_PER_EV_PER_A3: Final = 1602.1766208
#: 1 amu/Angstrom^3 in g/cm^3.
G_PER_CM3_PER_AMU_PER_A3: Final = 1.66053906660
