"""Crystals with their graphs, flattened once, from which batches are cut by indexing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from euhedral.core.batch import CrystalBatch, value_shapes
from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidRequestError
from euhedral.representations.graph_rows import GraphRows, join_graphs
from euhedral.representations.graphs import Graph, GraphSpec
from euhedral.representations.quotient import quotient


@dataclass(frozen=True, eq=False)
class GraphSet:
    """A whole data set as one batch and one graph; nothing about it is computed twice.

    Args:
        batch: all crystals, with their targets.
        rows: the graph of all, extra tensors included, with what belongs to which crystal.
    """

    batch: CrystalBatch
    rows: GraphRows

    @property
    def graph(self) -> Graph:
        """All edges, those of one crystal together, in the order of the crystals."""
        return self.rows.graph

    @classmethod
    def from_crystals(
        cls, crystals: Sequence[Crystal], *, spec: GraphSpec, targets: Sequence[str] = (),
        inputs: Sequence[str] = (), dtype: torch.dtype = torch.float32, merge_equal: bool = False, chunk: int = 1024,
    ) -> GraphSet:  # fmt: skip
        """Find the edges of all crystals.

        Args:
            crystals: at least one.
            spec: which atoms are neighbours.
            targets: names of values to learn; NaN where a crystal has none.
            inputs: names of conditions that every crystal must have.
            dtype: floating-point type of the result; edges are found in double precision.
            merge_equal: keep one of all equal atoms and edges, with their number (`representations.quotient`); only for
                models that honour these numbers.
            chunk: crystals to work on at a time.

        Raises:
            InvalidRequestError: there are no crystals, or an extra tensor of the graph does not say what it is about.
        """
        if not crystals:
            raise InvalidRequestError("a training set needs at least one crystal, got none")
        parts = []
        shapes = value_shapes(crystals, names=[*targets, *inputs])
        for start in range(0, len(crystals), chunk):
            batch = CrystalBatch.from_crystals(
                crystals[start : start + chunk], dtype=torch.float64, targets=targets, inputs=inputs, shapes=shapes
            )
            graph = spec.build(batch)
            if merge_equal:
                batch, graph = quotient(batch, graph)
            parts.append((batch, GraphRows.of(graph, batch=batch)))
        return cls._joined(parts, dtype=dtype)

    @classmethod
    def _joined(cls, parts: Sequence[tuple[CrystalBatch, GraphRows]], *, dtype: torch.dtype) -> GraphSet:
        batches = [batch for batch, _ in parts]
        batch = CrystalBatch(
            cell=torch.cat([part.cell for part in batches]),
            frac=torch.cat([part.frac for part in batches]),
            numbers=torch.cat([part.numbers for part in batches]),
            n_atoms=torch.cat([part.n_atoms for part in batches]),
            targets={name: torch.cat([part.targets[name] for part in batches]) for name in batches[0].targets},
            ids=tuple(name for part in batches for name in part.ids),
            inputs={name: torch.cat([part.inputs[name] for part in batches]) for name in batches[0].inputs},
        ).to(dtype=dtype)
        rows = join_graphs([rows for _, rows in parts])
        extra = {
            name: value.to(dtype) if value.is_floating_point() else value for name, value in rows.graph.extra.items()
        }
        return cls(batch=batch, rows=replace(rows, graph=replace(rows.graph, extra=extra)))

    def __len__(self) -> int:
        return len(self.batch)

    def to(self, device: torch.device | str) -> GraphSet:
        """Move everything to a device."""
        return replace(self, batch=self.batch.to(device), rows=self.rows.to(device))

    def select(self, crystals: Tensor) -> tuple[CrystalBatch, Graph]:
        """Cut out a batch and its graph.

        Args:
            crystals: (M,) int64 positions in the set.
        """
        return self.batch.select(crystals), self.rows.select(crystals)

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
