"""Who proposes candidates, and how the budget between them follows what each yields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from euhedral.campaign.question import Question
from euhedral.core.crystal import Crystal
from euhedral.core.failure import Failure
from euhedral.tasks.generation import Generator, Request


@dataclass(frozen=True, eq=False)
class Proposer:
    """A generator under a name, asked for one batch after another.

    Args:
        name: as the ledger and the report call it.
        generator: makes the crystals.
        ordered: whether it gives its results best first and the same each time, so that the next batch is what follows.
    """

    name: str
    generator: Generator
    ordered: bool = False

    def batch(self, question: Question, *, start: int, n: int) -> list[Crystal | Failure]:
        """Propose n candidates after the first `start`.

        The same question, start and n give the same batch in any process.

        Args:
            question: elements, space group and size are obeyed.
            start: how many it has proposed before in this run.
            n: how many now.
        """
        rng = torch.Generator().manual_seed(seed_of(question.seed, name=self.name, start=0 if self.ordered else start))
        asked = Request(
            n=start + n if self.ordered else n,
            chemical_system=question.elements,
            space_group=question.space_group,
            n_atoms=question.max_atoms,
        )
        results = self.generator.sample(asked, rng=rng)
        return results[start:] if self.ordered else results


def seed_of(seed: int, *, name: str, start: int) -> int:
    """Derive the seed of one batch from that of the run; the same in every process."""
    from hashlib import blake2b

    digest = blake2b(f"{seed}/{name}/{start}".encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big")


@dataclass(frozen=True)
class Yield:
    """What a proposer has brought so far.

    Args:
        proposed: candidates that it proposed.
        relaxed: those that were new and valid, and so were relaxed.
        good: those that ended near or below the hull.
    """

    proposed: int = 0
    relaxed: int = 0
    good: int = 0


def shares(yields: Mapping[str, Yield], *, n: int, least: float = 0.125) -> dict[str, int]:
    """Divide the next n relaxations between proposers.

    Each gets a share in proportion to the posterior mean of its success rate, (good + 1) / (relaxed + 2), but never less
    than a floor: what a proposer finds in the next wave may not be what it found in the last.

    Args:
        yields: by proposer.
        n: relaxations to divide.
        least: smallest share of a proposer.

    Returns:
        Whole numbers that add up to n.
    """
    rates = {name: (y.good + 1) / (y.relaxed + 2) for name, y in yields.items()}
    total = sum(rates.values())
    floor = min(least, 1.0 / len(rates))
    exact = {name: n * (floor + (1.0 - floor * len(rates)) * rate / total) for name, rate in rates.items()}
    whole = {name: int(value) for name, value in exact.items()}
    # what rounding left goes to the largest remainders; ties to the earlier name
    order = sorted(exact, key=lambda name: (whole[name] - exact[name], name))
    for name in order[: n - sum(whole.values())]:
        whole[name] += 1
    return whole


def default_proposers() -> Sequence[Proposer]:
    """Build the two that ship: element substitution into known prototypes, and CrystalFormer, its likeliest samples first."""
    from euhedral.models.registry import load_trained
    from euhedral.tasks.likely import MostLikely

    return (
        Proposer("substitution", load_trained("substitution", wing="generation"), ordered=True),
        Proposer("crystalformer", MostLikely(load_trained("crystalformer", wing="generation")), ordered=True),
    )
