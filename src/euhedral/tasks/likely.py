"""The most likely of many samples: a generator that draws a pool and gives its best first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Protocol

import torch

from euhedral.core.crystal import Crystal
from euhedral.core.failure import Failure
from euhedral.tasks.generation import Request, check_capable


@dataclass(frozen=True, eq=False)
class Scored:
    """One sample with what a model thinks of it.

    Args:
        crystal: the sample.
        score: higher is likelier.
        kind: equal for samples that differ only in continuous parameters.
    """

    crystal: Crystal
    score: float
    kind: Hashable


class ScoringGenerator(Protocol):
    """A generator that can say how likely its samples are."""

    capabilities: frozenset[str]

    def sample_scored(self, request: Request, *, rng: torch.Generator) -> list[Scored | Failure]:
        """Generate exactly `request.n` results with scores."""
        ...


class MostLikely:
    """Gives the likeliest of a pool of samples, best first; the same seed gives the same order for every n.

    Crystals that have every element asked for come before those that lack one.

    Args:
        generator: draws and scores.
        pool: samples drawn for a request, or as many as are asked for when that is more.
        per_kind: most samples of one kind that are given.
    """

    def __init__(self, generator: ScoringGenerator, *, pool: int = 1024, per_kind: int = 2) -> None:
        self.generator, self.pool, self.per_kind = generator, pool, per_kind
        self.capabilities = generator.capabilities
        self._last: tuple[Hashable, list[Scored | Failure], torch.Tensor] | None = None

    def sample(self, request: Request, *, rng: torch.Generator) -> list[Crystal | Failure]:
        """Generate exactly `request.n` results; failures fill up when the pool holds fewer kinds.

        Raises:
            InvalidRequestError: the request asks for a condition that is not among the capabilities.
        """
        check_capable(self, request)
        drawn = self._draw(replace(request, n=max(self.pool, request.n)), rng=rng)
        samples = [result for result in drawn if isinstance(result, Scored)]
        wanted = len(request.chemical_system or ())
        samples.sort(key=lambda each: (len(set(each.crystal.numbers.tolist())) < wanted, -each.score))
        given: list[Crystal | Failure] = []
        seen: Counter[Hashable] = Counter()
        for each in samples:
            seen[each.kind] += 1
            if seen[each.kind] <= self.per_kind:
                given.append(each.crystal)
        lacking = Failure(reason=f"{len(drawn)} samples hold only {len(given)} of different kinds", stage="sample")
        return (given + [lacking] * request.n)[: request.n]

    def _draw(self, request: Request, *, rng: torch.Generator) -> list[Scored | Failure]:
        """Draw a pool, or take the last one again when the request and the state of the rng are the same."""
        key = (repr(request), bytes(rng.get_state().tolist()))
        if self._last is None or self._last[0] != key:
            drawn = self.generator.sample_scored(request, rng=rng)
            self._last = key, drawn, rng.get_state()
        rng.set_state(self._last[2])  # as if it had been drawn
        return self._last[1]
