"""Deep ensembles: several networks that differ in their random start; their spread says where they guess.

A member may have a spread of its own (`training.dropout`, `training.evidential`).

Source: Lakshminarayanan et al. 2017, arXiv:1612.01474.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from euhedral.core.batch import CrystalBatch
from euhedral.errors import InvalidRequestError
from euhedral.representations.graphs import Graph, GraphSpec
from euhedral.tasks.targets import kinds_of
from euhedral.training.opinion import Opinion, Opinionated


class Ensemble(nn.Module):
    """K networks of one system; itself a property model that predicts their mean.

    Args:
        members: at least one; they share graph, targets and scale.
        bounds: lowest and highest possible value of a target that has such; the mean is cut there.

    Raises:
        InvalidRequestError: there is no member, or the members predict different targets.
    """

    def __init__(
        self, members: Sequence[nn.Module], *, bounds: Mapping[str, tuple[float, float]] | None = None
    ) -> None:
        super().__init__()
        if not members or len({tuple(member.targets) for member in members}) != 1:  # type: ignore[arg-type]
            raise InvalidRequestError(f"an ensemble needs members with the same targets, got {len(members)} members")
        self.members = nn.ModuleList(members)
        self.bounds = dict(bounds or {})
        self.targets: tuple[str, ...] = tuple(members[0].targets)  # type: ignore[arg-type]
        self.graph: GraphSpec = members[0].graph  # type: ignore[assignment]
        self.scale: Literal["intensive", "extensive"] = members[0].scale  # type: ignore[assignment]
        self.kinds = kinds_of(members[0])
        self.inputs: tuple[str, ...] = tuple(getattr(members[0], "inputs", ()))
        self.site_inputs: tuple[str, ...] = tuple(getattr(members[0], "site_inputs", ()))
        self.sees_structure = bool(getattr(members[0], "sees_structure", True))
        self.merges_equal = bool(getattr(members[0], "merges_equal", False))

    def forward(self, batch: CrystalBatch, graph: Graph) -> dict[str, Tensor]:
        """Predict what the members say together."""
        return dict(self.opinion(batch, graph).mean)

    def opinion(self, batch: CrystalBatch, graph: Graph) -> Opinion:
        """Ask every member.

        The spread is that between the members. Where they have one of their own, the variances add up (Lakshminarayanan et al.
        2017, section 2.4: the variance of a mixture).
        """
        opinions = [
            member.opinion(batch, graph) if isinstance(member, Opinionated) else None for member in self.members
        ]
        values = [
            member(batch, graph) if opinion is None else opinion.mean
            for member, opinion in zip(self.members, opinions, strict=True)
        ]
        mean, spread = {}, {}
        for name in self.targets:
            stacked = torch.stack([value[name] for value in values])
            mean[name] = self.kinds[name].combined(stacked).clamp(*self.bounds.get(name, (-math.inf, math.inf)))
            spread[name] = stacked.std(0, correction=1) if len(values) > 1 else torch.zeros_like(stacked[0])
            own = [opinion.spread[name].square() for opinion in opinions if opinion is not None]
            if own:
                spread[name] = (spread[name].square() + torch.stack(own).sum(0) / len(values)).sqrt()
        return Opinion(mean=mean, spread=spread)
