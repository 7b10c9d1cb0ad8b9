"""All pairs of atoms of a crystal, each by its shortest image: what generators look at.

Atoms move while a crystal is generated, so that the shortest image of a pair changes while the pairs stay. Pairs are flat,
(P,) over a batch, or padded to the largest crystal, (B, M, M). Everything but the reduction of the cells, nine numbers a crystal,
is done where the batch lives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from euhedral.core.batch import CrystalBatch
from euhedral.errors import InvalidRequestError
from euhedral.representations.graphs import Graph

# A crystal of 7,000 atoms, 7 GB; more is a matter for a radius.
_MOST_PAIRS: Final = 50_000_000
# Pairs worked on at once, so that what is between fits the processor's cache.
_CHUNK: Final = 100_000


@dataclass(frozen=True)
class Dense:
    """An edge between every two atoms of a crystal, by the shortest image: generators' complete graph.

    Of a pair whose shortest images tie (atoms half a cell apart) one is taken; its length is that of the others. Edges are
    ordered by target and source.

    Args:
        loops: an edge from each atom to itself, of length zero, as DiffCSP's network has it (Jiao et al. 2023,
            arXiv:2309.04475).
    """

    loops: bool = False

    def build(self, batch: CrystalBatch) -> Graph:
        """Find the edges of a batch.

        Raises:
            InvalidRequestError: there are so many pairs that they would not fit, or a cell or coordinate is not finite.
        """
        source, target = all_pairs(batch.n_atoms, loops=self.loops)
        with torch.no_grad():
            crystal = batch.crystal_idx[target]
            image = shortest_images(batch.frac[source] - batch.frac[target], cell=batch.cell, crystal=crystal)
        return Graph(source=source, target=target, image=image)


def all_pairs(n_atoms: Tensor, *, loops: bool = False) -> tuple[Tensor, Tensor]:
    """List every ordered pair of atoms of each crystal.

    Args:
        n_atoms: (B,) int64.
        loops: pair each atom with itself too.

    Returns:
        (P,) sources and (P,) targets, ordered by target and source.

    Raises:
        InvalidRequestError: there are so many pairs that they would not fit.
    """
    total = int(n_atoms.square().sum())
    if total > _MOST_PAIRS:
        raise InvalidRequestError(
            f"all pairs of {int(n_atoms.sum())} atoms are {total:.1e}, at most {_MOST_PAIRS:.0e} fit; take fewer crystals at a time"
        )
    starts = n_atoms.cumsum(0) - n_atoms
    size = torch.repeat_interleave(n_atoms, n_atoms)  # of each atom's crystal
    target = torch.repeat_interleave(torch.arange(len(size), device=n_atoms.device), size)
    begins = size.cumsum(0) - size
    within = torch.arange(len(target), device=n_atoms.device) - torch.repeat_interleave(begins, size)
    source = within + torch.repeat_interleave(torch.repeat_interleave(starts, n_atoms), size)
    if loops:
        return source, target
    apart = source != target
    return source[apart], target[apart]


def shortest_images(difference: Tensor, *, cell: Tensor, crystal: Tensor) -> Tensor:
    """Find the whole numbers to add to fractional differences so that their vectors are as short as can be.

    Exact for a cell of any shape: the cell is Minkowski-reduced, the difference is brought next to the origin in it, and of the 27
    images around it the shortest is taken; of images that tie within rounding, the first
    in a fixed order of steps, which need not be the opposite one's of the reversed pair.

    Args:
        difference: (P, 3) fractional, of any size.
        cell: (B, 3, 3) Angstrom, rows.
        crystal: (P,) int64 the crystal of each pair.

    Returns:
        (P, 3) int64.

    Raises:
        InvalidRequestError: a cell or difference is NaN or infinite.
    """
    from euhedral.representations.dense_kernels import reduced_cells

    cells = cell.detach().cpu().double()
    if not (torch.isfinite(cells).all() and torch.isfinite(difference).all()):
        raise InvalidRequestError("a cell or coordinate is NaN or infinite; no shortest images can be found")
    short, change = (torch.from_numpy(array) for array in reduced_cells(cells.contiguous().numpy()))
    short = short.to(device=difference.device, dtype=difference.dtype)
    change = change.round().to(device=difference.device, dtype=difference.dtype)
    back = torch.linalg.inv(change.double()).round().to(difference.dtype)
    steps = torch.arange(-1, 2, device=difference.device, dtype=difference.dtype)
    half = torch.cartesian_prod(steps, steps, steps)[14:]  # one of each two opposite steps to a neighbouring cell
    vectors = _rows_times(half, short[:, None])  # (B, 13, 3)
    images = []
    for part in torch.arange(len(difference), device=difference.device).split(_CHUNK):
        own = crystal[part]
        inside = _rows_times(difference[part].detach(), back[own])
        whole = -inside.round()
        vector = _rows_times(inside + whole, short[own])
        gain, best = torch.zeros_like(vector[:, 0]), torch.zeros_like(whole)
        for step, lattice in zip(half, vectors.unbind(1), strict=True):
            along = (vector * lattice[own]).sum(1)
            length2 = lattice.square().sum(1)[own]
            # |x -+ v|^2 = |x|^2 -+ 2 x.v + |v|^2; a step is worth taking when it shortens by more than rounding
            shorter = 2.0 * along.abs() - length2
            better = shorter > gain + length2 * 64.0 * torch.finfo(length2.dtype).eps
            gain = torch.where(better, shorter, gain)
            best = torch.where(better[:, None], -along.sign()[:, None] * step, best)
        images.append(_rows_times(whole + best, change[own]).round().long())
    return torch.cat(images) if images else crystal.new_zeros((0, 3))


def padded_pairs(batch: CrystalBatch) -> tuple[Tensor, Tensor]:
    """Displacements between all atoms by their shortest images, padded to the largest crystal.

    Args:
        batch: B crystals, the largest of M atoms.

    Returns:
        (B, M, M, 3) Angstrom, from the first atom to the second, differentiable in `frac` and `cell`, 0 where there is no pair;
        and (B, M, M) bool, where there is one, atoms with themselves included.

    Raises:
        InvalidRequestError: there are so many pairs that they would not fit, or a cell or coordinate is not finite.
    """
    widest = int(batch.n_atoms.max())
    if len(batch) * widest * widest > _MOST_PAIRS:
        raise InvalidRequestError(
            f"{len(batch)} crystals padded to {widest} atoms have too many pairs; take fewer or more equal crystals at a time"
        )
    graph = Dense(loops=True).build(batch)
    place = _places(batch)
    crystal = batch.crystal_idx[graph.target]
    row = (crystal * widest + place[graph.target]) * widest + place[graph.source]
    vectors = batch.frac.new_zeros((len(batch) * widest * widest, 3)).index_put((row,), graph.vectors(batch))
    there = torch.zeros(len(vectors), dtype=torch.bool, device=batch.device)
    there[row] = True
    return vectors.view(len(batch), widest, widest, 3), there.view(len(batch), widest, widest)


def padded_atoms(values: Tensor, *, batch: CrystalBatch) -> tuple[Tensor, Tensor]:
    """Pad values of atoms to the largest crystal.

    Args:
        values: (N, ...) of each atom.
        batch: B crystals, the largest of M atoms.

    Returns:
        (B, M, ...) with 0 where there is no atom, differentiable in the values; and (B, M) bool, where there is one, so that
        `padded[mask]` is the values again.
    """
    widest = int(batch.n_atoms.max())
    row = batch.crystal_idx * widest + _places(batch)
    padded = values.new_zeros((len(batch) * widest, *values.shape[1:])).index_put((row,), values)
    there = torch.zeros(len(padded), dtype=torch.bool, device=batch.device)
    there[row] = True
    return padded.view(len(batch), widest, *values.shape[1:]), there.view(len(batch), widest)


def _places(batch: CrystalBatch) -> Tensor:
    """(N,) position of each atom in its crystal."""
    return torch.arange(batch.numbers.shape[0], device=batch.device) - batch.offsets[:-1][batch.crystal_idx]


def _rows_times(rows: Tensor, matrix: Tensor) -> Tensor:
    """(..., 3) rows times (..., 3, 3); not a matrix product, which may run in low precision and lose whole numbers."""
    return (rows[..., None] * matrix).sum(-2)
