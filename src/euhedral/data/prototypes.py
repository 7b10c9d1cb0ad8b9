"""The prototype of each reference phase: space group, occupied Wyckoff letters by element, and shape.

`references/prototypes.parquet` was made by `scripts/make_prototypes.py`; its rows are those of `references/mp20.parquet`.
The same script fitted the volume that an atom of each element fills, `references/element_volumes.json`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files

import numpy as np
from numpy.typing import NDArray

from euhedral.core.elements import MAX_NUMBER, atomic_number
from euhedral.errors import FileFormatError


@dataclass(frozen=True, eq=False)
class Prototypes:
    """Prototypes of n crystals.

    A slot is what one element of a crystal occupies: the letters of its orbits. The slots of a crystal are in the order of
    their letters, and from electropositive to electronegative among slots with equal letters. Two crystals have the same
    prototype when space group and slots agree and when, with elements renamed after their slots, they match.

    Args:
        ids: (n,) names of the crystals.
        prototype: (n,) number of the prototype.
        space_group: (n,) 1 to 230.
        letters: the letters of each slot of each crystal ("a", "bb").
        slots: atomic number in each slot of each crystal.
        amounts: atoms of each slot in the crystal's cell.
    """

    ids: NDArray[np.str_]
    prototype: NDArray[np.int64]
    space_group: NDArray[np.int64]
    letters: tuple[tuple[str, ...], ...]
    slots: tuple[tuple[int, ...], ...]
    amounts: tuple[tuple[int, ...], ...]

    def __len__(self) -> int:
        return len(self.ids)


@cache
def reference_prototypes() -> Prototypes:
    """Read the prototypes of the shipped reference phases, row by row those of `reference_phases()`.

    Raises:
        FileFormatError: the file is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with as_file(files("euhedral.data") / "references" / "prototypes.parquet") as path:
        try:
            table = pq.read_table(path).to_pydict()
        except (pa.ArrowException, OSError) as error:
            raise FileFormatError(f"{path} is damaged ({error}); install euhedral again") from error
    labels = [label.split(" ") for label in table["label"]]
    return Prototypes(
        ids=np.array(table["id"]),
        prototype=np.array(table["prototype"], dtype=np.int64),
        space_group=np.array([int(label[0]) for label in labels], dtype=np.int64),
        letters=tuple(tuple(label[1:]) for label in labels),
        slots=tuple(map(tuple, table["slots"])),
        amounts=tuple(map(tuple, table["amounts"])),
    )


@cache
def element_volumes() -> NDArray[np.float64]:
    """Return (119,) the volume that an atom fills on average, Angstrom^3, by atomic number."""
    text = files("euhedral.data").joinpath("references/element_volumes.json").read_text(encoding="utf-8")
    volumes = np.ones(MAX_NUMBER + 1)
    for symbol, volume in json.loads(text).items():
        volumes[atomic_number(symbol)] = volume
    volumes.setflags(write=False)
    return volumes
