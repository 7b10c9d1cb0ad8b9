"""Quotient graphs: atoms that no message-passing network on distances can tell apart become one node.

In a crystal most atoms are images of each other under its space group, and many neighbours sit at the same distance. A
network whose messages depend on elements and distances alone gives all of them the same features in every layer, so it is
enough to keep one of each with its multiplicity. Which atoms these are is found by colour refinement (Weisfeiler and Leman
1968): no symmetry analysis is needed, and the result is exact whether or not the graph respects the space group.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from euhedral.core.batch import CrystalBatch
from euhedral.errors import InvalidRequestError
from euhedral.representations.graphs import ExtraKind, Graph

#: Names in `Graph.extra` of a quotient graph; the last one counts atoms, the others describe edges.
DISTANCE: Final = "distance"
MULTIPLICITY: Final = "multiplicity"
ORBIT_SIZE: Final = "orbit_size"
KINDS: Final = {DISTANCE: ExtraKind(of="edge"), MULTIPLICITY: ExtraKind(of="edge"), ORBIT_SIZE: ExtraKind(of="atom")}

_ODD: Final = np.uint64(0x9E3779B97F4A7C15)


def quotient(batch: CrystalBatch, graph: Graph, *, tolerance: float = 1e-3) -> tuple[CrystalBatch, Graph]:
    """Merge atoms, and edges between them, that distances and elements cannot tell apart.

    Args:
        batch: the crystals.
        graph: their edges, those of one target together.
        tolerance: Angstrom; distances of one crystal that differ by less count as equal.

    Returns:
        A batch with one atom for each orbit (the first of it), and a graph between them with the extra tensors
        "distance" (E,) in Angstrom, "multiplicity" (E,), how many neighbours of an atom the edge stands for, and
        "orbit_size" (N,), how many atoms the node stands for. Images are those of one edge among the merged ones, so that
        `Graph.vectors` is not meaningful: use "distance".

    Raises:
        InvalidRequestError: the graph has extra tensors, which may tell more apart than distances and elements do.
    """
    if graph.extra:
        raise InvalidRequestError(
            f"a graph with extra tensors ({', '.join(graph.extra)}) cannot be merged; keep it whole"
        )
    with torch.no_grad():
        distance = graph.vectors(batch).norm(dim=1)
    source, target = graph.source.cpu().numpy(), graph.target.cpu().numpy()
    crystal = batch.crystal_idx.cpu().numpy()
    shell, shell_distance = distinct_values(distance.double().cpu().numpy(), crystal[target], tolerance=tolerance)
    node = colour_classes(batch.numbers.cpu().numpy(), crystal, source, target, shell)

    first, size = np.unique(node, return_index=True, return_counts=True)[1:]
    kept = first[node[target]] == target
    triple = np.stack([node[target[kept]], shell[kept], node[source[kept]]])
    merged, edge, multiplicity = np.unique(triple, axis=1, return_index=True, return_counts=True)
    device, dtype = batch.device, batch.dtype

    def floats(array: NDArray) -> torch.Tensor:
        return torch.as_tensor(array, dtype=dtype, device=device)

    atoms = torch.as_tensor(first, device=device)
    reduced = CrystalBatch(
        cell=batch.cell,
        frac=batch.frac[atoms],
        numbers=batch.numbers[atoms],
        n_atoms=torch.as_tensor(np.bincount(crystal[first], minlength=len(batch)), device=device),
        targets={name: value for name, value in batch.targets.items() if value.shape[0] == len(batch)},
        ids=batch.ids,
        inputs={name: value for name, value in batch.inputs.items() if value.shape[0] == len(batch)},
    )
    image = graph.image[torch.as_tensor(np.flatnonzero(kept)[edge], device=device)]
    extra = {
        DISTANCE: floats(shell_distance[merged[1]]),
        MULTIPLICITY: floats(multiplicity),
        ORBIT_SIZE: floats(size),
    }
    return reduced, Graph(
        source=torch.as_tensor(merged[2], device=device),
        target=torch.as_tensor(merged[0], device=device),
        image=image,
        extra=extra,
        kinds=KINDS,
    )


def distinct_values(
    values: NDArray[np.float64], crystal: NDArray[np.int64], *, tolerance: float,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:  # fmt: skip
    """Number the distinct values of each crystal, rising, and give the mean of each.

    Args:
        values: (E,).
        crystal: (E,) the crystal of each.
        tolerance: values with no larger gap between them are one.

    Returns:
        (E,) numbers and (S,) means.
    """
    order = np.lexsort((values, crystal))
    ordered = values[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (np.diff(ordered) > tolerance) | (np.diff(crystal[order]) != 0)
    label = np.cumsum(new) - 1
    shell = np.empty(len(order), dtype=np.int64)
    shell[order] = label
    members = np.bincount(label) if len(label) else np.empty(0)
    return shell, np.bincount(label, weights=ordered) / members if len(label) else np.empty(0)


def colour_classes(
    numbers: NDArray[np.int64], crystal: NDArray[np.int64], source: NDArray[np.int64], target: NDArray[np.int64],
    shell: NDArray[np.int64],
) -> NDArray[np.int64]:  # fmt: skip
    """Refine the classes of atoms by the messages that they get, for as many rounds as still split a class.

    Args:
        numbers: (N,) atomic numbers.
        crystal: (N,) the crystal of each atom.
        source: (E,) atoms that send.
        target: (E,) atoms that receive.
        shell: (E,) what is sent beside the source's class.

    Returns:
        (N,) the class of each atom, numbered in the order of crystals.
    """
    node = np.unique(np.stack([crystal, numbers]), axis=1, return_inverse=True)[1].reshape(-1)
    n_classes = int(node.max()) + 1
    shell_hash = _scramble(shell.astype(np.uint64))
    while True:
        message = _scramble(_scramble(node.astype(np.uint64))[source] ^ shell_hash)
        total = np.zeros(len(numbers), dtype=np.uint64)
        np.add.at(total, target, message)  # wraps around; a sum of hashes does not depend on the order of the edges
        refined = np.unique(np.stack([node.astype(np.uint64), total]), axis=1, return_inverse=True)[1].reshape(-1)
        count = int(refined.max()) + 1
        node = refined.astype(np.int64)
        if count == n_classes:
            return node
        n_classes = count


def _scramble(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spread whole numbers over 64 bits (the finaliser of SplitMix64; Steele et al. 2014)."""
    value = (value + np.uint64(1)) * _ODD
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))
