"""Graphs that know the lattice: Matformer's self-connecting edges and ComFormer's lattice vectors.

Both hold for any cell of a crystal, supercells included (`lattice_vectors`). The published graphs take the vectors of the cell
as given (Matformer) or the first that a search meets among equally short ones (ComFormer). Here, where a choice is left, it
falls on what the network itself can tell apart, and on nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from euhedral.core.batch import CrystalBatch
from euhedral.errors import InvalidRequestError
from euhedral.representations.graphs import ExtraKind, Graph, GraphSpec, Nearest
from euhedral.representations.lattice_vectors import Translations, class_vectors, frames, shortest_basis

#: Names in `Graph.extra`.
LATTICE_EDGE: Final = "lattice_edge"
LATTICE_FRAME: Final = "lattice_frame"

_SELF_EDGES: Final = 6
# Numbers held at once while frames are compared, about 30 MB.
_CHUNK: Final = 4_000_000


@dataclass(frozen=True)
class LatticeEdges:
    """Neighbours, and six edges from each atom to its own translated copies: the lattice as Matformer sees it.

    The copies are those by the shortest vectors of the six shortest classes of the lattice modulo 2, which in an orthogonal
    cell are a, b, c, a + b, a + c and b + c, as published. Matformer reads lengths, and the six lengths do not depend on the cell
    or on how ties are broken; a vector and its opposite, and tied vectors of one class, are an arbitrary choice.

    Of each target, the neighbours come first and the six edges after them, shortest first; `extra` holds "lattice_edge" (E,),
    bool. An edge that is also a neighbour is there twice.

    Source: Yan et al. 2022, arXiv:2209.11807; its neighbours are those within the k-th distance of each atom, which is
    what `Nearest` finds.

    Args:
        edges: which atoms are neighbours.
    """

    edges: GraphSpec = field(default_factory=Nearest)

    def build(self, batch: CrystalBatch) -> Graph:
        """Find the edges of a batch.

        Raises:
            InvalidRequestError: the neighbours' graph has extra tensors, which new edges would disorder.
            InvalidCrystalError: a crystal repeats too roughly within its cell.
        """
        graph = self.edges.build(batch)
        found = _translations(batch)
        vectors = [class_vectors(each.basis)[:_SELF_EDGES] for each in found]
        return with_self_edges(graph, batch=batch, translations=found, vectors=vectors)


@dataclass(frozen=True)
class LatticeFrame:
    """Any graph together with one frame of lattice vectors a crystal: the crystal graph of ComFormer.

    A frame is the three shortest independent lattice vectors by rising length, right-handed, the second and third not obtuse to
    the first. `extra` holds "lattice_frame" (B, 3, 3), the coefficients of its rows in the cell, so that `frame_vectors` is
    differentiable in the cell. iComFormer reads the lengths of edges and `frame_cosines`, eComFormer the edges' and the
    frame's vectors.

    Of several frames that ties allow (24 in a cubic, up to 144 in a face-centred lattice) the one is taken under which a
    fixed message-passing function of the graph, its elements, lengths and `frame_cosines`, is largest. It depends on no
    cell, orientation or order of atoms; frames that it cannot tell apart are images of each other under the crystal's own
    rotations, and a network that reads the same quantities gives the same answer with any of them. As with any choice of this
    kind, a small strain can move a crystal from one frame to another.

    Source: Yan et al. 2024, arXiv:2403.11857.

    Args:
        edges: which atoms are neighbours.
        self_edges: join each atom with its copies along the frame's vectors and their opposites, six edges, as the published
            graph does; "lattice_edge" (E,) tells them.
    """

    edges: GraphSpec = field(default_factory=Nearest)
    self_edges: bool = True

    def build(self, batch: CrystalBatch) -> Graph:
        """Find the edges and the frames of a batch.

        Raises:
            InvalidRequestError: self edges are asked for and the neighbours' graph has extra tensors.
            InvalidCrystalError: a crystal repeats too roughly within its cell.
        """
        graph = self.edges.build(batch)
        found = _translations(batch)
        chosen = _chosen_frames(graph, batch=batch, translations=found)
        if self.self_edges:
            vectors = [np.concatenate([frame, -frame]) for frame in chosen]
            graph = with_self_edges(graph, batch=batch, translations=found, vectors=vectors)
        cells = batch.cell.detach().cpu().double().numpy()
        coefficients = np.stack([frame @ np.linalg.inv(cell) for frame, cell in zip(chosen, cells, strict=True)])
        extra = {**graph.extra, LATTICE_FRAME: torch.as_tensor(coefficients, dtype=batch.dtype, device=batch.device)}
        return replace(graph, extra=extra, kinds={**graph.kinds, LATTICE_FRAME: ExtraKind(of="crystal")})


def frame_vectors(graph: Graph, batch: CrystalBatch) -> Tensor:
    """(B, 3, 3) Angstrom, rows are the lattice vectors of each crystal's frame; differentiable in the cell."""
    return graph.extra[LATTICE_FRAME] @ batch.cell


def frame_cosines(graph: Graph, batch: CrystalBatch) -> Tensor:
    """(E, 3) cosines of the angles between each edge and the lattice vectors of its crystal's frame; differentiable."""
    axes = torch.nn.functional.normalize(frame_vectors(graph, batch), dim=2)
    edges = torch.nn.functional.normalize(graph.vectors(batch), dim=1)
    return torch.einsum("eki,ei->ek", axes[batch.crystal_idx[graph.target]], edges)


def with_self_edges(
    graph: Graph, *, batch: CrystalBatch, translations: list[Translations], vectors: list[NDArray[np.float64]]
) -> Graph:
    """Add edges from each atom to its copies, after the other edges of each target.

    Args:
        graph: without extra tensors.
        batch: B crystals.
        translations: of each crystal.
        vectors: (S, 3) Angstrom of each crystal, the same S for all.

    Raises:
        InvalidRequestError: the graph has extra tensors.
        InvalidCrystalError: a crystal repeats too roughly within its cell.
    """
    if graph.extra:
        raise InvalidRequestError(
            f"lattice edges cannot be added to a graph with extra tensors ({', '.join(graph.extra)}); add those afterwards"
        )
    cells, frac = batch.cell.detach().cpu().double().numpy(), batch.frac.detach().cpu().double().numpy()
    offsets = batch.offsets.tolist()
    source, image = [], []
    for i, (found, moves) in enumerate(zip(translations, vectors, strict=True)):
        name = batch.ids[i] if batch.ids else ""
        copy = found.copies(moves, crystal_id=name).T  # (n, S)
        own = frac[offsets[i] : offsets[i + 1]]
        coefficients = moves @ np.linalg.inv(cells[i])
        image.append(np.round(own[:, None] + coefficients - own[copy]).astype(np.int64).reshape(-1, 3))
        source.append(copy.reshape(-1) + offsets[i])
    per_atom = len(vectors[0])
    n_atoms = offsets[-1]
    added = torch.arange(n_atoms, device=batch.device).repeat_interleave(per_atom)
    target = torch.cat([graph.target, added])
    order = torch.sort(target, stable=True).indices
    is_new = torch.zeros(len(target), dtype=torch.bool, device=batch.device)
    is_new[len(graph.target) :] = True
    return Graph(
        source=torch.cat([graph.source, torch.from_numpy(np.concatenate(source)).to(batch.device)])[order],
        target=target[order],
        image=torch.cat([graph.image, torch.from_numpy(np.concatenate(image)).to(batch.device)])[order],
        extra={LATTICE_EDGE: is_new[order]},
        kinds={LATTICE_EDGE: ExtraKind(of="edge")},
    )


def _translations(batch: CrystalBatch) -> list[Translations]:
    cells, frac = batch.cell.detach().cpu().double().numpy(), batch.frac.detach().cpu().double().numpy()
    numbers, offsets = batch.numbers.cpu().numpy(), batch.offsets.tolist()
    return [
        shortest_basis(cell, frac=frac[start:stop], numbers=numbers[start:stop])
        for cell, start, stop in zip(cells, offsets[:-1], offsets[1:], strict=True)
    ]


def _chosen_frames(graph: Graph, *, batch: CrystalBatch, translations: list[Translations]) -> list[NDArray[np.float64]]:
    with torch.no_grad():
        vectors = graph.vectors(batch).cpu().double().numpy()
    source, target, numbers = graph.source.cpu().numpy(), graph.target.cpu().numpy(), batch.numbers.cpu().numpy()
    offsets = batch.offsets.tolist()
    first_edge = np.searchsorted(target, offsets)
    chosen = []
    for i, found in enumerate(translations):
        candidates = frames(found.basis)
        if len(candidates) > 1:
            edges = slice(first_edge[i], first_edge[i + 1])
            scores = _score(
                candidates, vectors=vectors[edges], source=source[edges] - offsets[i], target=target[edges] - offsets[i],
                numbers=numbers[offsets[i] : offsets[i + 1]],
            )  # fmt: skip
            candidates = candidates[[int(scores.argmax())]]
        chosen.append(candidates[0])
    return chosen


def _score(
    candidates: NDArray[np.float64], *, vectors: NDArray[np.float64], source: NDArray[np.int64],
    target: NDArray[np.int64], numbers: NDArray[np.int64],
) -> NDArray[np.float64]:  # fmt: skip
    """(F,) a fixed message-passing function of two rounds under each frame; its constants have no meaning."""
    n_edges, n_atoms = len(source), len(numbers)
    length = np.linalg.norm(vectors, axis=1)
    axes = candidates / np.linalg.norm(candidates, axis=2, keepdims=True)
    plain = np.stack([0.7 * numbers[source] + 0.9 * length + phase for phase in (0.3, 1.1, 2.3)])  # (3, E)
    mix = np.array([[1.3, -2.1, 0.8], [0.6, 1.7, -2.9], [-1.9, 0.5, 2.2]])
    starts = np.searchsorted(target, np.arange(n_atoms))
    filled = np.flatnonzero(np.bincount(target, minlength=n_atoms))
    scores = np.zeros(len(candidates))
    if n_edges == 0:
        return scores
    step = max(1, _CHUNK // (8 * n_edges))
    for begin in range(0, len(candidates), step):
        cosines = np.einsum("ei,fki->fke", vectors / length[:, None], axes[begin : begin + step])
        messages = np.sin(np.einsum("qk,fke->fqe", mix, cosines) + plain)
        state = np.zeros((*messages.shape[:2], n_atoms))
        state[:, :, filled] = np.add.reduceat(messages, starts[filled], axis=2)
        flow = np.einsum("q,fqn->fn", [0.5, -0.8, 0.3], state)
        answer = np.sin(flow[:, source] + 0.6 * state[:, 1, target] + 0.4 * numbers[target] + messages.sum(1))
        scores[begin : begin + step] = answer.mean(1)
    return scores
