"""What becomes of each row of a source: a crystal, or a reject with its reason; decided once, when a set is made."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from euhedral.core.crystal import Crystal
from euhedral.core.writing import write_atomically
from euhedral.data.card import Audit
from euhedral.data.labels import LabelError
from euhedral.data.quantities import quantities
from euhedral.data.tensors import full_tensor, symmetry_error
from euhedral.errors import DisorderedCrystalError, EuhedralError, InvalidCrystalError
from euhedral.geometry.point_group import cartesian_point_group

#: Angstrom; no two atoms of a crystal are so near (H2 has 0.74).
TOO_CLOSE: Final = 0.5
#: Relative departure of a tensor from the symmetry of its crystal that is remarked upon.
ASYMMETRIC: Final = 0.01


@dataclass(frozen=True)
class Reject:
    """A row that is not in the data set.

    Args:
        file: the source file.
        row: its number there, from 0.
        id: its name.
        kind: the class of reason, for counting.
        reason: one line.
    """

    file: str
    row: int
    id: str
    kind: str
    reason: str


@dataclass
class Auditor:
    """Counts what was read, kept and rejected while a data set is made.

    Args:
        targets: names of the values that crystals may carry.
    """

    targets: Sequence[str]
    read: int = 0
    kept: int = 0
    rejects: list[Reject] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)
    _unlabelled: Counter[str] = field(default_factory=Counter)
    _strange: Counter[str] = field(default_factory=Counter)
    _asymmetric: Counter[str] = field(default_factory=Counter)

    def keep(self, crystal: Crystal, *, file: str, row: int) -> bool:
        """Decide about a crystal that could be read; a second one of the same id is rejected."""
        self.read += 1
        if crystal.id in self._seen:
            self._reject(Reject(file, row, crystal.id, "repeated id", "an earlier row has the same id"))
            return False
        self._seen.add(crystal.id)
        self.kept += 1
        known = quantities()
        for target in self.targets:
            value = crystal.props.get(target, crystal.site.get(target))
            if value is None:
                self._unlabelled[target] += 1
            elif target in known:
                low, high = known[target].plausible
                if not low <= np.nanmin(value) <= np.nanmax(value) <= high:
                    self._strange[target] += 1
        self._check_tensors(crystal, [name for name in self.targets if name in known and known[name].frame])
        return True

    def _check_tensors(self, crystal: Crystal, targets: Sequence[str]) -> None:
        tensors = {name: crystal.props[name] for name in targets if name in crystal.props}
        if not tensors:
            return
        try:
            group = cartesian_point_group(crystal)
        except InvalidCrystalError:
            self._asymmetric.update(tensors.keys())  # cannot be said to obey what is not found
            return
        for name, tensor in tensors.items():
            self._asymmetric[name] += symmetry_error(full_tensor(tensor), group=group) > ASYMMETRIC

    def unusable(self, error: EuhedralError, *, file: str, row: int, id: str) -> None:  # noqa: A002
        """Record a row that gave no crystal."""
        self.read += 1
        self._reject(Reject(file, row, id, _kind(error), str(error)))

    def _reject(self, reject: Reject) -> None:
        self.rejects.append(reject)

    def summary(self) -> Audit:
        """Return the counts for the card."""
        known = quantities()
        remarks = [
            f"{self._unlabelled[name]:,} crystals have no {name}" for name in self.targets if self._unlabelled[name]
        ]
        for name, count in self._strange.items():
            low, high = known[name].plausible
            remarks.append(f"{count:,} crystals have a {name} outside {low:g} to {high:g} {known[name].unit}".rstrip())
        remarks += [
            f"{count:,} crystals have a {name} that departs by more than {ASYMMETRIC:.0%} from the crystal's symmetry"
            for name, count in self._asymmetric.items()
            if count
        ]
        kinds = Counter(reject.kind for reject in self.rejects)
        return Audit(read=self.read, kept=self.kept, rejects=dict(sorted(kinds.items())), remarks=tuple(remarks))

    def write_rejects(self, path: Path) -> None:
        """Write every reject with its reason as CSV; the file exists also when there are none.

        Raises:
            RunFolderError: the folder cannot be written.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["file", "row", "id", "kind", "reason"])
        writer.writerows([r.file, r.row, r.id, r.kind, r.reason] for r in self.rejects)
        write_atomically(path, content=text.getvalue())


def check_apart(crystal: Crystal) -> None:
    """Refuse a structure with two atoms closer than `TOO_CLOSE`.

    Raises:
        InvalidCrystalError: two atoms overlap.
    """
    from euhedral.geometry.neighbours import neighbours_within

    pairs = neighbours_within(crystal.cell[None], frac=crystal.frac, n_atoms=[len(crystal)], cutoff=TOO_CLOSE)
    if len(pairs):
        raise InvalidCrystalError(
            f"{crystal.id}: two atoms are {pairs.distance.min():.3f} Å apart, closer than {TOO_CLOSE} Å; they overlap"
        )


def _kind(error: EuhedralError) -> str:
    if isinstance(error, DisorderedCrystalError):
        return "disordered"
    if isinstance(error, InvalidCrystalError):
        return "invalid structure"
    if isinstance(error, LabelError):
        return "wrong label"
    return "unreadable"
