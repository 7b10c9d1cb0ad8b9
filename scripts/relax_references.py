"""Relax the shipped reference phases with the shipped CHGNet, and write the table of their energies.

    python scripts/relax_references.py --work WORK_FOLDER [--fmax 0.05] [--stop-after SECONDS] [--ship]

Three stages, each resumable after a kill at any moment, since every result is a line in a file of the work folder:

1. `static`: the energy of every phase as the Materials Project has it.
2. `relaxed`: atoms and cell relaxed, those on or near the hull of the static energies first, small cells first.
3. `--ship`: what is there so far becomes `src/euhedral/data/references/chgnet-0.3.0.parquet`.

A phase that was not reached keeps its static energy and is marked so; it is a few meV/atom too high.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.data.dataset import Dataset
from euhedral.data.references import reference_phases
from euhedral.models.potentials.chgnet import CHGNet
from euhedral.simulation.phase_index import PhaseIndex
from euhedral.simulation.reference_energies import REFERENCE_FMAX, REFERENCE_STEPS, TABLE_FORMAT
from euhedral.simulation.relax import relax_stream

ATOMS_AT_ONCE = 512
#: phases (Si, NaCl, Fe, MgO) by whose energies the potential is recognised
PROBES = ("mp-149", "mp-22862", "mp-13", "mp-1265")
#: eV/atom above the static hull; phases are relaxed in this order
NEARNESS = (0.0, 0.01, 0.03)


def lines(path: Path) -> dict[str, list]:
    """Read what an earlier run left; a last line cut short by a kill is dropped."""
    found: dict[str, list] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            name, *values = json.loads(line)
        except json.JSONDecodeError:
            continue
        found[name] = values
    return found


def static(potential: CHGNet, phases: Dataset, path: Path) -> dict[str, list]:
    """Evaluate every phase where it is; returns {id: [eV/atom]}."""
    done = lines(path)
    ids = phases.ids
    todo = [row for row in range(len(phases)) if ids[row] not in done]
    with path.open("a", encoding="utf-8") as file:
        for start in range(0, len(todo), 64):
            crystals = [phases[row] for row in todo[start : start + 64]]
            batch = CrystalBatch.from_crystals(crystals)
            energies = (potential.evaluate(batch, forces=False, stress=False).energy / batch.n_atoms).tolist()
            for crystal, energy in zip(crystals, energies, strict=True):
                done[crystal.id] = [energy]
                file.write(json.dumps([crystal.id, energy]) + "\n")
            file.flush()
    return done


def relaxed(potential: CHGNet, phases: Dataset, path: Path, *, order: np.ndarray, fmax: float, seconds: float) -> None:
    """Relax in the order given until the time is up; appends [id, eV/atom, converged, steps, A^3/atom]."""
    done = lines(path)
    ids = phases.ids
    todo = [int(row) for row in order if ids[row] not in done]
    begun = time.monotonic()
    stream = relax_stream(
        potential, (phases[row] for row in todo), fmax=fmax, steps=REFERENCE_STEPS, atoms_at_once=ATOMS_AT_ONCE
    )
    with path.open("a", encoding="utf-8") as file:
        for count, (_, result) in enumerate(stream, start=1):
            volume = result.crystal.volume / len(result.crystal)
            row = [result.crystal.id, result.energy_per_atom, result.converged, result.steps, volume]
            file.write(json.dumps(row) + "\n")
            if count % 200 == 0:
                file.flush()
                spent = time.monotonic() - begun
                print(f"{len(done) + count:6d} of {len(phases)}  {spent:7.0f} s", flush=True)
                if spent > seconds:
                    return


def ship(phases: Dataset, work: Path, *, fmax: float) -> Path:
    """Write the table: id, energy_per_atom, relaxed, volume_per_atom."""
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    import euhedral.data
    from euhedral.core.writing import write_atomically

    at_rest, moved = lines(work / "static.jsonl"), lines(work / "relaxed.jsonl")
    ids = phases.ids.tolist()
    energy, is_relaxed, volume = [], [], []
    for name in ids:
        found = moved.get(name)
        good = found is not None and np.isfinite(found[0]) and bool(found[1])
        energy.append(found[0] if good else at_rest[name][0])
        is_relaxed.append(good)
        volume.append(found[3] if good else float("nan"))
    table = pa.table(
        {
            "id": pa.array(ids),
            "energy_per_atom": pa.array(np.round(energy, 5), pa.float32()),
            "relaxed": pa.array(is_relaxed),
            "volume_per_atom": pa.array(np.round(volume, 3), pa.float32()),
        }
    )
    head = {
        "format": TABLE_FORMAT, "potential": "chgnet-0.3.0", "references": phases.card.sha256, "fmax": fmax,
        "probes": {name: at_rest[name][0] for name in PROBES}, "relaxed": int(np.sum(is_relaxed)), "static": int(len(ids) - np.sum(is_relaxed)),
    }  # fmt: skip
    table = table.replace_schema_metadata({"euhedral": json.dumps(head)})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", compression_level=19)
    folder = Path(euhedral.data.__path__[0]) / "references"
    print(head)
    return write_atomically(folder / "chgnet-0.3.0.parquet", content=buffer.getvalue())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--fmax", type=float, default=REFERENCE_FMAX)
    parser.add_argument("--stop-after", type=float, default=float("inf"))
    parser.add_argument("--ship", action="store_true")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    phases = reference_phases()
    if options.ship:
        print(ship(phases, options.work, fmax=options.fmax))
        return
    potential = CHGNet.load()
    at_rest = static(potential, phases, options.work / "static.jsonl")
    energies = np.array([at_rest[name][0] for name in phases.ids])
    height = np.nan_to_num(PhaseIndex(phases).heights(energies, leave_out_itself=False), nan=np.inf)
    nearness = np.searchsorted(NEARNESS, height, side="left")
    size = np.array([len(crystal) for crystal in phases])
    order = np.lexsort((size, nearness))
    print("phases by nearness to the hull:", np.bincount(nearness).tolist(), flush=True)
    relaxed(
        potential, phases, options.work / "relaxed.jsonl", order=order, fmax=options.fmax, seconds=options.stop_after
    )


if __name__ == "__main__":
    main()
