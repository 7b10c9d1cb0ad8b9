"""The prototype of every crystal of a set; finding them takes a while, so they are kept in the cache folder."""

from __future__ import annotations

import hashlib
import json
import logging
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from euhedral.core.writing import write_atomically
from euhedral.data.cache import cache_folder
from euhedral.errors import InvalidCrystalError, RunFolderError, UnknownNameError

if TYPE_CHECKING:
    from euhedral.data.splits import Divisible

_log = logging.getLogger(__name__)


def prototype_labels(dataset: Divisible) -> NDArray[np.str_]:
    """Name the prototype of each crystal, as `geometry.prototype` does.

    About a hundred crystals a second; a set whose contents have a checksum is worked through once and then found in
    the cache folder.

    Args:
        dataset: of crystals.

    Returns:
        (n,) labels; empty where no space group is found.

    Raises:
        UnknownNameError: the set has no structures.
    """
    crystals = dataset.crystals()
    if crystals is None:
        raise UnknownNameError(f"{dataset.card.name!r} has compositions only, which have no prototypes")
    key = hashlib.sha256(json.dumps([dataset.card.sha256, dataset.ids.tolist()]).encode()).hexdigest()
    path = cache_folder() / "prototypes" / f"{key}.json"
    if dataset.card.sha256 and path.is_file():
        try:
            kept = np.array(json.loads(path.read_text(encoding="utf-8")), dtype=str)
        except (OSError, ValueError):
            kept = np.array([], dtype=str)  # damaged: found again and written anew
        if kept.shape == (len(dataset),):
            return kept
    labels = _find(dataset)
    if dataset.card.sha256:
        try:
            write_atomically(path, content=json.dumps(labels))
        except RunFolderError as error:
            _log.warning("prototypes of %s are found anew each time: %s", dataset.card.name, error)
    return np.array(labels, dtype=str)


def _find(dataset: Divisible) -> list[str]:
    from euhedral.geometry.prototype import prototype

    labels = []
    for crystal in dataset.crystals() or ():
        try:
            labels.append(str(prototype(crystal)))
        except InvalidCrystalError as error:
            _log.info("no prototype: %s", error)
            labels.append("")
    return labels
