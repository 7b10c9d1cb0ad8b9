"""Crystals with their graphs, flattened once, from which batches are cut by indexing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidRequestError
from euhedral.representations.graphs import Graph, GraphSpec
from euhedral.representations.quotient import ORBIT_SIZE, quotient


@dataclass(frozen=True, eq=False)
class GraphSet:
    """A whole data set as one batch and one graph; nothing about it is computed twice.

    Args:
        batch: all crystals, with their targets.
        graph: all edges, those of one crystal together, in the order of the crystals.
        first_edge: (B + 1,) int64, first edge of each crystal, and E at the end.
    """

    batch: CrystalBatch
    graph: Graph
    first_edge: Tensor

    @classmethod
    def from_crystals(
        cls, crystals: Sequence[Crystal], *, spec: GraphSpec, targets: Sequence[str] = (),
        dtype: torch.dtype = torch.float32, merge_equal: bool = False, chunk: int = 1024,
    ) -> GraphSet:  # fmt: skip
        """Find the edges of all crystals.

        Args:
            crystals: at least one.
            spec: which atoms are neighbours.
            targets: names of `props` to learn; NaN where a crystal has none.
            dtype: floating-point type of the result; edges are found in double precision.
            merge_equal: keep one of all equal atoms and edges, with their number (`representations.quotient`); only for
                models that honour these numbers.
            chunk: crystals to work on at a time.

        Raises:
            InvalidRequestError: there are no crystals.
        """
        if not crystals:
            raise InvalidRequestError("a training set needs at least one crystal, got none")
        parts = []
        for start in range(0, len(crystals), chunk):
            batch = CrystalBatch.from_crystals(crystals[start : start + chunk], dtype=torch.float64, targets=targets)
            graph = spec.build(batch)
            if merge_equal:
                batch, graph = quotient(batch, graph)
            parts.append((batch, graph))
        return cls._joined(parts, dtype=dtype)

    @classmethod
    def _joined(cls, parts: Sequence[tuple[CrystalBatch, Graph]], *, dtype: torch.dtype) -> GraphSet:
        batches = [batch for batch, _ in parts]
        graphs = [graph for _, graph in parts]
        batch = CrystalBatch(
            cell=torch.cat([part.cell for part in batches]),
            frac=torch.cat([part.frac for part in batches]),
            numbers=torch.cat([part.numbers for part in batches]),
            n_atoms=torch.cat([part.n_atoms for part in batches]),
            targets={name: torch.cat([part.targets[name] for part in batches]) for name in batches[0].targets},
            ids=tuple(name for part in batches for name in part.ids),
        ).to(dtype=dtype)
        shifts = [0]
        for part in batches:
            shifts.append(shifts[-1] + part.numbers.shape[0])
        target = torch.cat([graph.target + shift for graph, shift in zip(graphs, shifts[:-1], strict=True)])
        extra = {
            name: torch.cat([graph.extra[name] for graph in graphs])
            for name in graphs[0].extra
            if graphs[0].extra[name].is_floating_point()
        }
        graph = Graph(
            source=torch.cat([graph.source + shift for graph, shift in zip(graphs, shifts[:-1], strict=True)]),
            target=target,
            image=torch.cat([graph.image for graph in graphs]),
            extra={name: value.to(dtype) for name, value in extra.items()},
        )
        edges = torch.bincount(batch.crystal_idx[target], minlength=len(batch))
        return cls(batch=batch, graph=graph, first_edge=torch.cat([edges.new_zeros(1), edges.cumsum(0)]))

    def __len__(self) -> int:
        return len(self.batch)

    def to(self, device: torch.device | str) -> GraphSet:
        """Move everything to a device."""
        graph = self.graph
        moved = Graph(
            source=graph.source.to(device), target=graph.target.to(device), image=graph.image.to(device),
            extra={name: value.to(device) for name, value in graph.extra.items()},
        )  # fmt: skip
        return replace(self, batch=self.batch.to(device), graph=moved, first_edge=self.first_edge.to(device))

    def select(self, crystals: Tensor) -> tuple[CrystalBatch, Graph]:
        """Cut out a batch and its graph.

        Args:
            crystals: (M,) int64 positions in the set.
        """
        batch = self.batch.select(crystals)
        shift = batch.offsets[:-1] - self.batch.offsets[crystals]
        count = self.first_edge[crystals + 1] - self.first_edge[crystals]
        ends = count.cumsum(0)
        total = int(ends[-1])
        within = torch.arange(total, device=batch.device) - torch.repeat_interleave(ends - count, count)
        edges = torch.repeat_interleave(self.first_edge[crystals], count) + within
        moved = torch.repeat_interleave(shift, count)
        atoms = None
        extra = {}
        for name, value in self.graph.extra.items():
            if name == ORBIT_SIZE:
                if atoms is None:
                    atoms = torch.repeat_interleave(-shift, batch.n_atoms) + torch.arange(
                        batch.numbers.shape[0], device=batch.device
                    )
                extra[name] = value[atoms]
            else:
                extra[name] = value[edges]
        graph = Graph(
            source=self.graph.source[edges] + moved,
            target=self.graph.target[edges] + moved,
            image=self.graph.image[edges],
            extra=extra,
        )
        return batch, graph

    def batches(self, order: Tensor, *, size: int) -> Iterator[tuple[CrystalBatch, Graph]]:
        """Go through the set in the order given, `size` crystals at a time; the last batch may be smaller."""
        for start in range(0, order.numel(), size):
            yield self.select(order[start : start + size])

    def labels(self, targets: Sequence[str]) -> dict[str, Tensor]:
        """{target: (B, ...) or (N, ...)} values to learn; NaN where one is not known.

        Raises:
            InvalidRequestError: the set carries no such target.
        """
        missing = [name for name in targets if name not in self.batch.targets]
        if missing:
            raise InvalidRequestError(
                f"the training set has no labels {', '.join(missing)}; it has {', '.join(self.batch.targets) or 'none'}"
            )
        return {name: self.batch.targets[name] for name in targets}
