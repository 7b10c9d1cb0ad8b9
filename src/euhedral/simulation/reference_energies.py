"""Energies of the reference phases by one potential: shipped for CHGNet, relaxed once and kept for any other."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

import numpy as np
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.data.cache import cache_folder
from euhedral.data.dataset import Dataset
from euhedral.errors import FileFormatError, MissingDataError, RunFolderError
from euhedral.simulation.relax import relax_stream
from euhedral.tasks.potential import Potential

_LOGGER = logging.getLogger(__name__)

TABLE_FORMAT: Final = 1
#: eV/Angstrom; reference phases start from DFT geometries, so that this leaves less than 1 meV/atom
REFERENCE_FMAX: Final = 0.05
REFERENCE_STEPS: Final = 60
_SHIPPED: Final = ("chgnet-0.3.0",)
# eV/atom; the same weights agree to 1e-5 on any machine, other weights differ by far more
_SAME_POTENTIAL = 1e-3


@dataclass(frozen=True, eq=False)
class ReferenceEnergies:
    """What one potential says of the reference phases.

    Args:
        potential: its name, as printed.
        energy_per_atom: eV/atom by the phase's id.
        relaxed: ids of the phases that were relaxed; the others were evaluated at their DFT geometry.
        fmax: eV/Angstrom, the limit of the relaxations.
        probes: eV/atom of a few phases at their DFT geometry, by which the potential is recognised.
        references: sha256 of the table of phases.
    """

    potential: str
    energy_per_atom: Mapping[str, float]
    relaxed: frozenset[str]
    fmax: float
    probes: Mapping[str, float]
    references: str

    def are_of(self, potential: Potential, *, phases: Dataset) -> bool:
        """Tell whether a potential gives the energies that this table was made with."""
        if phases.card.sha256 != self.references:
            return False
        place = {name: row for row, name in enumerate(phases.ids.tolist())}
        crystals = [phases[place[name]] for name in self.probes]
        if not {int(number) for crystal in crystals for number in crystal.numbers} <= potential.elements:
            return False
        parameter = next(potential.parameters(), torch.zeros(()))
        batch = CrystalBatch.from_crystals(crystals, dtype=parameter.dtype).to(parameter.device)
        energies = potential.evaluate(batch, forces=False, stress=False).energy / batch.n_atoms
        expected = torch.as_tensor(list(self.probes.values()), dtype=energies.dtype, device=energies.device)
        return bool((energies - expected).abs().max() < _SAME_POTENTIAL)


def shipped_energies(name: str) -> ReferenceEnergies:
    """Open the shipped energies of a potential.

    Raises:
        MissingDataError: none are shipped under this name.
        FileFormatError: the file is not what it should be.
    """
    import pyarrow.parquet as pq

    if name not in _SHIPPED:
        raise MissingDataError(
            f"no reference energies are shipped for {name!r}, only for {', '.join(_SHIPPED)}; "
            "others are relaxed when `ReferenceHull.of` is given the potential"
        )
    with as_file(files("euhedral.data") / "references" / f"{name}.parquet") as path:
        table = pq.read_table(path)
    head = json.loads((table.schema.metadata or {}).get(b"euhedral", b"{}"))
    if head.get("format") != TABLE_FORMAT:
        raise FileFormatError(
            f"{path}: expected format {TABLE_FORMAT}, got {head.get('format')}; install the package anew"
        )
    ids = table.column("id").to_pylist()
    energies = table.column("energy_per_atom").to_numpy().astype(float).tolist()
    relaxed = table.column("relaxed").to_pylist()
    return ReferenceEnergies(
        potential=head["potential"],
        energy_per_atom=dict(zip(ids, energies, strict=True)),
        relaxed=frozenset(name for name, done in zip(ids, relaxed, strict=True) if done),
        fmax=head["fmax"],
        probes=head["probes"],
        references=head["references"],
    )


def reference_energies(
    potential: Potential,
    *,
    phases: Dataset,
    rows: Sequence[int],
    fmax: float = REFERENCE_FMAX,
    folder: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ReferenceEnergies:
    """Relax reference phases with a potential, or take what an earlier call has left on disk.

    Every finished phase is a line in a file that is named after the potential's weights, the table of phases and `fmax`, so
    that a kill loses nothing and a changed potential starts anew.

    Args:
        potential: relaxes the phases.
        phases: the table of reference phases.
        rows: positions of the phases that are needed.
        fmax: eV/Angstrom.
        folder: where the energies are kept; the user's cache when None.
        progress: called with (finished, needed).

    Raises:
        RunFolderError: the folder cannot be written.
    """
    name = f"{type(potential).__name__}-{fingerprint(potential)}"
    base = cache_folder() / "references" if folder is None else Path(folder)
    path = base / f"{name}-{phases.card.sha256[:12]}-fmax{fmax:g}.jsonl"
    done = _kept(path)
    ids = phases.ids
    todo = [int(row) for row in rows if ids[row] not in done]
    finished = len(rows) - len(todo)
    if todo:
        _LOGGER.info("relaxing %d reference phases with %s", len(todo), name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8") as file:
                stream = relax_stream(potential, (phases[row] for row in todo), fmax=fmax, steps=REFERENCE_STEPS)
                for _, result in stream:
                    done[result.crystal.id] = (result.energy_per_atom, result.converged)
                    file.write(json.dumps([result.crystal.id, result.energy_per_atom, result.converged]) + "\n")
                    file.flush()
                    finished += 1
                    if progress is not None:
                        progress(finished, len(rows))
        except OSError as error:
            raise RunFolderError(f"cannot write {path}: {error.strerror}; choose another folder") from error
    needed = [str(ids[row]) for row in rows]
    return ReferenceEnergies(
        potential=name,
        energy_per_atom={key: done[key][0] for key in needed if np.isfinite(done[key][0])},
        relaxed=frozenset(key for key in needed if done[key][1]),
        fmax=fmax,
        probes={},
        references=phases.card.sha256,
    )


def fingerprint(potential: Potential) -> str:
    """Twelve hexadecimal digits of the hash of a potential's class and weights."""
    digest = hashlib.sha256(f"{type(potential).__module__}.{type(potential).__qualname__}".encode())
    for name, tensor in sorted(potential.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().double().numpy().tobytes())
    return digest.hexdigest()[:12]


def _kept(path: Path) -> dict[str, tuple[float, bool]]:
    found: dict[str, tuple[float, bool]] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            name, energy, converged = json.loads(line)
        except ValueError:
            continue  # the line that a kill cut short
        found[name] = (float(energy), bool(converged))
    return found
