"""How fast crystals are read and written, beside pymatgen and ASE, in one run: python benchmarks/files.py [--mirror FOLDER]

Times are CPU time of one thread over the same texts in memory. Without a mirror the shipped sample is used; with one, also
CIF files as found in the wild (COD and IZA), whose results are compared with pymatgen's.
"""

from __future__ import annotations

import argparse
import io
import json
import tarfile
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

from euhedral.core.bridges import to_ase, to_pymatgen
from euhedral.core.composition import formula
from euhedral.core.files import parse
from euhedral.core.files.cif_writer import cif_from_crystals
from euhedral.core.files.extxyz import extxyz_from_crystals
from euhedral.errors import EuhedralError

REPEATS = 3


def best(function) -> float:
    """Shortest CPU time of several runs, seconds."""
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


def sample(count: int):
    from euhedral.data.references import reference_phases

    phases = list(reference_phases())
    return [phases[i] for i in np.random.default_rng(0).permutation(len(phases))[:count]]


def p1_cifs(crystals) -> list[str]:
    """As pymatgen writes them, which is what MP-20 holds."""
    from pymatgen.io.cif import CifWriter

    return [str(CifWriter(to_pymatgen(crystal.replace(props={}, site={})))) for crystal in crystals]


def symmetric_cifs(crystals) -> list[str]:
    from pymatgen.io.cif import CifWriter

    return [str(CifWriter(to_pymatgen(c.replace(props={}, site={})), symprec=0.01)) for c in crystals]


def compare_cif(texts: list[str], crystals) -> dict[str, float]:
    from pymatgen.io.cif import CifParser

    ours = best(lambda: [parse(text, format="cif") for text in texts])
    theirs = best(lambda: [CifParser.from_str(text).parse_structures(primitive=False) for text in texts])
    same = sum(
        formula(parse(text, format="cif")[0].numbers) == formula(crystal.numbers)
        for text, crystal in zip(texts, crystals, strict=True)
    )
    return {
        "files": len(texts),
        "euhedral_ms": 1e3 * ours / len(texts),
        "pymatgen_ms": 1e3 * theirs / len(texts),
        "ratio": theirs / ours,
        "formula_as_written": same,
    }


def compare_extxyz(crystals) -> dict[str, float]:
    from ase.io import read

    text = extxyz_from_crystals([c.replace(site={"forces": np.ones((len(c), 3))}) for c in crystals])
    ours = best(lambda: parse(text, format="extxyz"))
    theirs = best(lambda: read(io.StringIO(text), ":", format="extxyz"))
    count = len(crystals)
    return {"frames": count, "euhedral_ms": 1e3 * ours / count, "ase_ms": 1e3 * theirs / count, "ratio": theirs / ours}


def compare_writing(crystals) -> dict[str, float]:
    from pymatgen.io.cif import CifWriter

    structures = [to_pymatgen(crystal.replace(props={}, site={})) for crystal in crystals]
    ours = best(lambda: [cif_from_crystals([crystal]) for crystal in crystals])
    theirs = best(lambda: [str(CifWriter(structure)) for structure in structures])
    count = len(crystals)
    return {
        "files": count,
        "euhedral_ms": 1e3 * ours / count,
        "pymatgen_ms": 1e3 * theirs / count,
        "ratio": theirs / ours,
    }


def wild(archive: Path) -> dict:
    """Outcomes on files that nobody cleaned: ours against pymatgen's."""
    from pymatgen.io.cif import CifParser

    outcomes: Counter[str] = Counter()
    with tarfile.open(archive) as files:
        members = sorted((m for m in files.getmembers() if m.name.endswith(".cif")), key=lambda m: m.name)
        for member in members:
            text = files.extractfile(member).read().decode("utf-8", "replace")
            try:
                ours = [formula(crystal.numbers, reduced=False) for crystal in parse(text, format="cif")]
                kind = "read"
            except EuhedralError as error:
                ours, kind = None, type(error).__name__
            try:
                structures = CifParser(io.StringIO(text)).parse_structures(primitive=False)
                ordered = all(structure.is_ordered for structure in structures)
                theirs = (
                    [formula([site.specie.Z for site in s], reduced=False) for s in structures]
                    if ordered
                    else "disordered"
                )
            except Exception as error:  # any of a peer's errors is an outcome here
                theirs = type(error).__name__
            if not isinstance(theirs, list):
                outcomes[f"{kind}; pymatgen: {theirs}"] += 1
            elif ours is None:
                outcomes[f"{kind}; pymatgen reads it"] += 1
            else:
                outcomes[f"read; pymatgen {'agrees' if ours == theirs else 'finds other atoms'}"] += 1
    return {"files": len(members), "outcomes": dict(outcomes.most_common())}


def machine() -> dict:
    import platform

    import ase
    import pymatgen.core

    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        "",
    )
    versions = {"numpy": np.__version__, "pymatgen": pymatgen.core.__version__, "ase": ase.__version__}
    return {"cpu": cpu, "system": platform.system(), "python": platform.python_version(), "threads": 1, **versions}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mirror", type=Path)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "files.json")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    crystals = sample(options.count)
    to_ase(crystals[0])
    result = {
        "machine": machine(),
        "cif_p1_read": compare_cif(p1_cifs(crystals), crystals),
        "cif_with_symmetry_read": compare_cif(symmetric_cifs(crystals[:100]), crystals[:100]),
        "cif_write": compare_writing(crystals),
        "extxyz_read": compare_extxyz(crystals),
    }
    if options.mirror:
        result["cif_wild"] = wild(options.mirror / "cif_collections" / "openchemistry_crystals.tar.xz")
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
