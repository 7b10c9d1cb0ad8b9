"""Joining graphs of batches into one, and cutting the graph of some crystals out, extra tensors included.

Edges are built once for each crystal and kept; a training batch is then cut out by indexing. Every extra tensor says what its
rows are and what its values point to (`graphs.ExtraKind`), so that any graph can be joined and cut alike. The rows of an axis
stand in the order of the crystals; an axis with a major tensor is two such runs, one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import torch
from torch import Tensor

from euhedral.core.batch import CrystalBatch
from euhedral.errors import InvalidRequestError
from euhedral.representations.graphs import ExtraKind, Graph

_BUILT_IN: Final = ("crystal", "atom", "edge")


@dataclass(frozen=True, eq=False)
class Axis:
    """Rows that some tensors of a graph have in common.

    Args:
        starts: (R, B + 1) int64 first row of each crystal in each of the R runs, and the end of the run.
    """

    starts: Tensor

    @property
    def counts(self) -> Tensor:
        """(R, B) rows of each crystal in each run."""
        return self.starts.diff(dim=1)

    def run_of(self, rows: Tensor) -> Tensor | int:
        """Tell the run of each row."""
        if len(self.starts) == 1:
            return 0
        return torch.bucketize(rows, self.starts[1:, 0].contiguous(), right=True)

    @cached_property
    def n_rows(self) -> int:
        """Rows of all crystals."""
        return int(self.starts[-1, -1])


@dataclass(frozen=True, eq=False)
class GraphRows:
    """A graph of B crystals whose rows are known, from which the graphs of some can be cut.

    Args:
        graph: the graph.
        axes: its axes, "crystal", "atom" and "edge" among them.
    """

    graph: Graph
    axes: Mapping[str, Axis]

    @classmethod
    def of(cls, graph: Graph, *, batch: CrystalBatch) -> GraphRows:
        """Find the axes of a graph.

        Args:
            graph: the graph.
            batch: its crystals.

        Raises:
            InvalidRequestError: an extra tensor does not say what its rows are, its rows belong to no crystal, or they do not
                stand in the order of the crystals.
        """
        _demand_kinds(graph)
        crystals = torch.arange(len(batch), device=batch.device)
        owners = {"crystal": crystals, "atom": batch.crystal_idx, "edge": batch.crystal_idx[graph.target]}
        unknown = {kind.of for kind in graph.kinds.values()} - set(_BUILT_IN)
        while unknown:
            found = {}
            for name, kind in graph.kinds.items():
                if kind.of in unknown and kind.to in owners:
                    to = graph.extra[name].flatten(1)[:, 0] if graph.extra[name].dim() > 1 else graph.extra[name]
                    if not (to < 0).any():
                        found[kind.of] = owners[kind.to][to]
            if not found:
                raise InvalidRequestError(
                    f"graph: rows of {', '.join(sorted(unknown))} belong to no crystal; one of their tensors must point to atoms or edges"
                )
            owners |= found
            unknown -= set(found)
        major = {kind.of: graph.extra[name] for name, kind in graph.kinds.items() if kind.major}
        n = len(batch)
        axes = {name: _axis(name, owner, major=major.get(name), n_crystals=n) for name, owner in owners.items()}
        for name, kind in graph.kinds.items():
            if graph.extra[name].shape[0] != axes[kind.of].n_rows:
                raise InvalidRequestError(
                    f"graph: extra {name!r} has {graph.extra[name].shape[0]} rows, expected {axes[kind.of].n_rows} ({kind.of})"
                )
        return cls(graph=graph, axes=axes)

    def to(self, device: torch.device | str) -> GraphRows:
        """Move everything to a device."""
        axes = {name: Axis(axis.starts.to(device)) for name, axis in self.axes.items()}
        return GraphRows(graph=self.graph.to(device), axes=axes)

    def select(self, crystals: Tensor) -> Graph:
        """Cut out the graph of some crystals, in the order given.

        Args:
            crystals: (M,) int64 positions; one may occur more than once.
        """
        rows, shifts, slots = {}, {}, {}
        for name, axis in self.axes.items():
            counts = axis.counts[:, crystals].flatten()  # run by run
            begins = axis.starts[:, :-1][:, crystals].flatten()
            ends = counts.cumsum(0)
            within = torch.arange(int(ends[-1]) if len(ends) else 0, device=crystals.device)
            place = torch.repeat_interleave(torch.arange(len(counts), device=crystals.device), counts)
            shift = begins - (ends - counts)
            rows[name] = within + shift[place]
            shifts[name] = -shift.view(-1, len(crystals))
            slots[name] = place % max(len(crystals), 1)

        def moved(tensor: Tensor, kind: ExtraKind) -> Tensor:
            taken = tensor[rows[kind.of]]
            if not kind.to:
                return taken
            slot = slots[kind.of].view(-1, *[1] * (taken.dim() - 1)).expand_as(taken)
            shift = shifts[kind.to][self.axes[kind.to].run_of(taken.clamp_min(0)), slot]
            return torch.where(taken < 0, taken, taken + shift)

        edges, shift = rows["edge"], shifts["atom"][0][slots["edge"]]
        return Graph(
            source=self.graph.source[edges] + shift,
            target=self.graph.target[edges] + shift,
            image=self.graph.image[edges],
            extra={name: moved(self.graph.extra[name], kind) for name, kind in self.graph.kinds.items()},
            kinds=self.graph.kinds,
        )


def join_graphs(parts: Sequence[GraphRows]) -> GraphRows:
    """Join the graphs of batches into one of all their crystals, in order.

    Args:
        parts: at least one, all of one spec.

    Raises:
        InvalidRequestError: there are no parts, or they carry different extra tensors.
    """
    if not parts:
        raise InvalidRequestError("joining graphs needs at least one graph, got none")
    kinds = parts[0].graph.kinds
    if any(part.graph.kinds != kinds for part in parts):
        raise InvalidRequestError("only graphs with the same extra tensors can be joined; build them with one spec")
    axes, shifts = {}, {}
    for name in parts[0].axes:
        counts = torch.cat([part.axes[name].counts for part in parts], dim=1)
        ends = counts.flatten().cumsum(0).view_as(counts)
        starts = torch.cat([ends - counts, ends[:, -1:]], dim=1)
        axes[name] = Axis(starts)
        first = 0
        shifts[name] = []
        for part in parts:
            shifts[name].append(starts[:, first] - part.axes[name].starts[:, 0])
            first += part.axes[name].counts.shape[1]

    def joined(tensors: Sequence[Tensor], kind: ExtraKind) -> Tensor:
        moved = []
        for place, (part, tensor) in enumerate(zip(parts, tensors, strict=True)):
            value = tensor
            if kind.to:
                shift = shifts[kind.to][place][part.axes[kind.to].run_of(value.clamp_min(0))]
                value = torch.where(value < 0, value, value + shift)
            moved.append(value)
        runs = []
        for run in range(axes[kind.of].starts.shape[0]):
            for part, value in zip(parts, moved, strict=True):
                ends = part.axes[kind.of].starts[run]
                runs.append(value[int(ends[0]) : int(ends[-1])])
        return torch.cat(runs)

    to_atom, plain = ExtraKind(of="edge", to="atom"), ExtraKind(of="edge")
    graph = Graph(
        source=joined([part.graph.source for part in parts], to_atom),
        target=joined([part.graph.target for part in parts], to_atom),
        image=joined([part.graph.image for part in parts], plain),
        extra={name: joined([part.graph.extra[name] for part in parts], kind) for name, kind in kinds.items()},
        kinds=kinds,
    )
    return GraphRows(graph=graph, axes=axes)


def _demand_kinds(graph: Graph) -> None:
    known = {*_BUILT_IN, *(kind.of for kind in graph.kinds.values())}
    for name, tensor in graph.extra.items():
        kind = graph.kinds.get(name)
        if kind is None:
            raise InvalidRequestError(f"graph: extra {name!r} does not say what its rows are; name it in `Graph.kinds`")
        if kind.to and (kind.to not in known or tensor.is_floating_point() or tensor.dtype == torch.bool):
            raise InvalidRequestError(
                f"graph: extra {name!r} ({tensor.dtype}) should point to {kind.to!r}; expected whole numbers and one of {sorted(known)}"
            )
        if kind.major and tensor.dtype != torch.bool:
            raise InvalidRequestError(f"graph: extra {name!r} is major and must be bool, got {tensor.dtype}")
    if missing := set(graph.kinds) - set(graph.extra):
        raise InvalidRequestError(f"graph: {', '.join(sorted(missing))} is declared but not there")


def _axis(name: str, owner: Tensor, *, major: Tensor | None, n_crystals: int) -> Axis:
    key = owner if major is None else owner + n_crystals * major.to(owner.dtype)
    if (key.diff() < 0).any():
        raise InvalidRequestError(f"graph: rows of {name!r} do not stand in the order of the crystals")
    runs = 1 if major is None else 2
    counts = torch.bincount(key, minlength=runs * n_crystals).view(runs, n_crystals)
    ends = counts.flatten().cumsum(0).view_as(counts)
    return Axis(torch.cat([ends - counts, ends[:, -1:]], dim=1))
