"""How well computed powder patterns place the peaks of measured ones: twelve pure minerals of the RockJock library.

    EUHEDRAL_DATA=... python benchmarks/powder_measured.py

Cu K alpha, 5 to 65 degrees in steps of 0.02 (patterns shipped with powdR, USGS data). Cells and positions are those that
mineralogy's tables give for the pure mineral at room temperature, not fitted. Background is taken off by clipping, peaks
are found on the smoothed rest; the strong computed K alpha 1 peaks are each given the nearest found one. A zero shift and a
width, the same for all peaks of a pattern, are chosen by the cosine with the measured pattern.
"""

from __future__ import annotations

import gzip
import json
import os
import warnings
from itertools import product
from pathlib import Path

import numpy as np
from pymatgen.core import Lattice, Structure

from euhedral.core.bridges import from_pymatgen
from euhedral.core.writing import write_atomically
from euhedral.representations.spectra.baseline import snip, subtract
from euhedral.representations.spectra.diffraction import powder_pattern
from euhedral.representations.spectra.peaks import find_peaks
from euhedral.representations.spectra.profiles import ConstantShape, Shift, profile
from euhedral.representations.spectra.radiation import TUBES, XRays
from euhedral.representations.spectra.similarity import cosine
from euhedral.representations.spectra.spectrum import Spectrum, smooth

TARGET = Path(__file__).parent / "results" / "powder_measured.json"
STRONG = 4.0  # percent
NEAR = 0.25  # degrees
MINERALS = {
    "QUARTZ": ("P3_221", Lattice.hexagonal(4.9134, 5.4052), {"Si": [0.4697, 0, 2 / 3], "O": [0.4135, 0.2669, 0.7858]}),
    "CORUNDUM": ("R-3c", Lattice.hexagonal(4.7592, 12.992), {"Al": [0, 0, 0.35216], "O": [0.30624, 0, 0.25]}),
    "HALITE": ("Fm-3m", Lattice.cubic(5.6402), {"Na": [0, 0, 0], "Cl": [0.5, 0.5, 0.5]}),
    "FLUORITE": ("Fm-3m", Lattice.cubic(5.4638), {"Ca": [0, 0, 0], "F": [0.25, 0.25, 0.25]}),
    "CALCITE": ("R-3c", Lattice.hexagonal(4.9896, 17.061), {"Ca": [0, 0, 0], "C": [0, 0, 0.25], "O": [0.2568, 0, 0.25]}),
    "PYRITE": ("Pa-3", Lattice.cubic(5.4179), {"Fe": [0, 0, 0], "S": [0.3848, 0.3848, 0.3848]}),
    "RUTILE": ("P4_2/mnm", Lattice.tetragonal(4.5937, 2.9587), {"Ti": [0, 0, 0], "O": [0.3053, 0.3053, 0]}),
    "ANATASE": ("I4_1/amd", Lattice.tetragonal(3.7852, 9.5139), {"Ti": [0, 0, 0], "O": [0, 0, 0.2081]}),
    "MAGNETITE": (
        "Fd-3m:2", Lattice.cubic(8.3958), {"Fe": [0.125, 0.125, 0.125], "Fe2+": [0.5, 0.5, 0.5], "O": [0.2549, 0.2549, 0.2549]},
    ),
    "HEMATITE": ("R-3c", Lattice.hexagonal(5.0356, 13.7489), {"Fe": [0, 0, 0.3553], "O": [0.3059, 0, 0.25]}),
    "ZINCITE": ("P6_3mc", Lattice.hexagonal(3.2498, 5.2066), {"Zn": [1 / 3, 2 / 3, 0], "O": [1 / 3, 2 / 3, 0.3825]}),
    "SYLVITE": ("Fm-3m", Lattice.cubic(6.2931), {"K": [0, 0, 0], "Cl": [0.5, 0.5, 0.5]}),
}  # fmt: skip


def measured_patterns():
    path = Path(os.environ["EUHEDRAL_DATA"]) / "xrd_experimental" / "patterns.jsonl.gz"
    with gzip.open(path, "rt") as lines:
        for line in lines:
            row = json.loads(line)
            if row["source"] == "RockJock(powdR)" and row["name"] in MINERALS:
                first, last, count = row["x"]
                yield Spectrum(
                    np.linspace(first, last, count), row["y"], kind="powder pattern", x_unit="degree", id=row["name"]
                )


def compare(spectrum):
    group, lattice, sites = MINERALS[spectrum.id]
    structure = Structure.from_spacegroup(group, lattice, list(sites), list(sites.values()))
    structure.remove_oxidation_states()
    pattern = powder_pattern(
        from_pymatgen(structure), radiation=XRays.doublet("Cu"), two_theta=(5.0, 65.0), thermal=0.5
    )
    net = subtract(spectrum, baseline=snip(spectrum))
    found = find_peaks(smooth(net, window=7, order=2), prominence=0.01)
    strong = pattern.two_theta[(pattern.intensity > STRONG) & (pattern.wavelength == TUBES["Cu"][0])]
    away = np.array([found.x[np.abs(found.x - angle).argmin()] - angle for angle in strong])
    matched = np.abs(away) < NEAR

    def score(width, zero):
        drawn = profile(pattern, grid=net.x, shape=ConstantShape(width, 0.6), shift=Shift(zero=zero))
        return cosine(net, net.replace(y=drawn))

    best = max((score(w, z), w, z) for w, z in product((0.1, 0.13, 0.16, 0.2, 0.25), np.arange(-0.1, 0.101, 0.01)))
    return {
        "strong_peaks": len(strong), "found": int(matched.sum()),
        "median_shift_degrees": float(np.median(away[matched])),
        "scatter_about_it_degrees": float(np.sqrt(np.mean((away[matched] - np.median(away[matched])) ** 2))),
        "cosine": best[0], "width_degrees": best[1], "zero_degrees": float(best[2]),
    }  # fmt: skip


def main() -> None:
    warnings.filterwarnings("ignore")
    rows = {spectrum.id: compare(spectrum) for spectrum in measured_patterns()}
    for name, row in rows.items():
        print(name, json.dumps(row))
    result = {
        "what": __doc__.splitlines()[0],
        "minerals": rows,
        "strong_peaks": sum(row["strong_peaks"] for row in rows.values()),
        "found_within_0.25_degrees": sum(row["found"] for row in rows.values()),
        "median_scatter_degrees": float(np.median([row["scatter_about_it_degrees"] for row in rows.values()])),
        "median_shift_degrees": float(np.median([row["median_shift_degrees"] for row in rows.values()])),
        "median_cosine": float(np.median([row["cosine"] for row in rows.values()])),
        "note": "the shift is of found maxima, which hold K alpha 2 beside K alpha 1, and of each sample's height; cells are not fitted",
    }
    print(json.dumps({key: value for key, value in result.items() if key != "minerals"}, indent=1))
    write_atomically(TARGET, content=json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
