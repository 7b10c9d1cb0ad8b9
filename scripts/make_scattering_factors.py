"""Write src/euhedral/representations/xray_scattering_factors.json from pymatgen's table (MIT).

Run after `pip install pymatgen`: python scripts/make_scattering_factors.py
"""

from __future__ import annotations

import json
from pathlib import Path

from pymatgen.analysis.diffraction.xrd import ATOMIC_SCATTERING_PARAMS
from pymatgen.core import Element

symbols = sorted(
    (symbol for symbol in ATOMIC_SCATTERING_PARAMS if Element.is_valid_symbol(symbol) and symbol != "D"),
    key=lambda s: Element(s).Z,
)
rows = [f'"{symbol}": {json.dumps(ATOMIC_SCATTERING_PARAMS[symbol])}' for symbol in symbols]
head = {
    "source": "M. De Graef and M. E. McHenry, Structure of Materials (Cambridge, 2007), table 12.1, after P. A. Doyle and "
    "P. S. Turner, Acta Cryst. A24, 390 (1968) and G. H. Smith and R. E. Burge, Acta Cryst. 15, 182 (1962); as in pymatgen",
    "licence": "MIT (pymatgen)",
    "formula": "f(s) = Z - 41.78214 s^2 sum_i a_i exp(-b_i s^2), s = sin(theta) / wavelength in 1/Angstrom; rows are [a_i, b_i]",
}
path = Path(__file__).parents[1] / "src/euhedral/representations/xray_scattering_factors.json"
lines = [f'"{key}": {json.dumps(value)}' for key, value in head.items()]
path.write_text("{\n" + ",\n".join(lines) + ',\n"elements": {\n' + ",\n".join(rows) + "\n}\n}\n")
