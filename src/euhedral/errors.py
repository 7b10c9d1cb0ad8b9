"""One exception tree; every error that a user can cause derives from `EuhedralError`.

    EuhedralError
    ├── InvalidCrystalError      a structure that no method can use (degenerate cell, NaN, unknown element)
    │   └── DisorderedCrystalError   partial or mixed occupancy
    ├── FileFormatError          a file that cannot be read as what it claims to be
    ├── MissingDataError         a data set or weight file that has not been fetched
    ├── UnknownNameError         a system, data set, target or option that does not exist
    ├── InvalidRequestError      a request or option that contradicts itself or the model
    ├── DivergedError            numbers that stopped being finite
    ├── RunFolderError           a run folder that cannot be written or belongs to another run
    └── MissingDependencyError   an optional package that is not installed

The command line prints the message of any of these as one line and exits with 2; anything else is a defect.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class EuhedralError(Exception):
    """Base of every error that names its cure."""


class InvalidCrystalError(EuhedralError):
    """A structure that no method can use."""


class DisorderedCrystalError(InvalidCrystalError):
    """A structure with partial or mixed site occupancy."""


class FileFormatError(EuhedralError):
    """A file that cannot be read as what it claims to be."""


class MissingDataError(EuhedralError):
    """A data set or weight file that is not on this machine."""


class UnknownNameError(EuhedralError):
    """A name that nothing answers to."""


class InvalidRequestError(EuhedralError):
    """A request or option that contradicts itself or the model."""


class DivergedError(EuhedralError):
    """A computation whose numbers stopped being finite."""


class RunFolderError(EuhedralError):
    """A run folder that cannot be written or belongs to another run."""


class MissingDependencyError(EuhedralError):
    """An optional package that is not installed."""


def unknown_name(kind: str, name: str, known: Iterable[str], *, where: str) -> UnknownNameError:
    """Build the error for a name that is not known, with the closest known ones.

    Args:
        kind: what was looked for, in the user's words ("model", "data set").
        name: the name as given.
        known: every name that would have been accepted.
        where: the command that lists them.
    """
    known = list(known)
    close = get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    return UnknownNameError(f"no {kind} named {name!r}; {hint}`{where}` lists all {len(known)}")
