"""The symmetries of Box 1 of the review, tested on anything that maps crystals to features: models and representations.

    report = check_invariances(fingerprint, crystals, expected=Invariant(), rng=np.random.default_rng(0))
    print(report)
    report.raise_if_failed()

Models need no `expected`: their contract says it (`subject_of`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.errors import EuhedralError, InvalidRequestError
from euhedral.tasks.potential import Potential
from euhedral.tasks.property import PropertyModel
from euhedral.tasks.targets import CartesianTensor as TensorTarget
from euhedral.tasks.targets import Target, kinds_of
from euhedral.testing.behaviours import Behaviour, CartesianTensor, Extensive, Invariant, PerAtom
from euhedral.testing.chiral import chiral_crystals
from euhedral.testing.transforms import SYMMETRIES, Change, Mirror, Rotation, Transform

#: Features of one crystal, or several by name.
Featuriser = Callable[[Crystal], Any]
Expected = Behaviour | Mapping[str, Behaviour]

# What features without a name are called in a report.
_UNNAMED: Final = "features"


@dataclass(frozen=True, eq=False)
class OnBatch:
    """A featuriser that takes batches, so that coordinates outside the cell reach it as they are.

    Args:
        function: from a float64 batch of one crystal to its features.
    """

    function: Callable[[CrystalBatch], Any]

    def __call__(self, crystal: Crystal) -> Any:
        """Compute the features of a crystal."""
        return self.function(CrystalBatch.from_crystals([crystal], dtype=torch.float64))

    def of_images(self, crystal: Crystal, *, images: np.ndarray) -> Any:
        """Compute the features of a crystal whose atoms are given by other images, shifted by (n, 3) lattice vectors."""
        batch = CrystalBatch.from_crystals([crystal], dtype=torch.float64)
        return self.function(batch.replace(frac=batch.frac + torch.from_numpy(images)))


@dataclass(frozen=True)
class Finding:
    """What one change did to one output of one crystal.

    Args:
        transform: the change.
        output: the name of the features.
        crystal: its id.
        deviation: from what was expected; over one plus the largest number expected.
        passed: whether it is within the tolerance, or visible where it shall be.
        note: what went wrong when there is no number.
    """

    transform: str
    output: str
    crystal: str
    deviation: float
    passed: bool
    note: str = ""


@dataclass(frozen=True)
class InvarianceReport:
    """What every change did to every output of every crystal.

    Args:
        findings: in the order of changes, then crystals, then outputs.
        tolerance: the largest deviation that is rounding.
        seen: the changes that features shall tell apart.
    """

    findings: tuple[Finding, ...]
    tolerance: float
    seen: frozenset[str] = frozenset()

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return all(finding.passed for finding in self.findings)

    @property
    def failures(self) -> tuple[Finding, ...]:
        """The findings that failed."""
        return tuple(finding for finding in self.findings if not finding.passed)

    @property
    def symmetries(self) -> frozenset[str]:
        """The changes after which every output of every crystal was as expected, whether or not that was wanted."""
        broken = {finding.transform for finding in self.findings if not finding.deviation <= self.tolerance}
        return frozenset(finding.transform for finding in self.findings) - broken

    def largest(self, transform: str, *, crystal: str) -> float:
        """Return the largest deviation of any output after a change of a crystal."""
        found = [f.deviation for f in self.findings if (f.transform, f.crystal) == (transform, crystal)]
        return float(np.max(found))  # a NaN is the largest

    def __str__(self) -> str:
        """Draw a table of the largest deviations, changes down and crystals across, and a line for each failure."""
        transforms = list(dict.fromkeys(finding.transform for finding in self.findings))
        crystals = list(dict.fromkeys(finding.crystal for finding in self.findings))
        head = ["", *crystals, ""]
        table = [head] + [self._row(transform, crystals) for transform in transforms]
        widths = [max(len(row[i]) for row in table) for i in range(len(head))]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
        ]
        return "\n".join([*lines, *(self._line(finding) for finding in self.failures)])

    def raise_if_failed(self) -> None:
        """Raise when anything failed.

        Raises:
            AssertionError: with the failures, the first ones in full.
        """
        if self.passed:
            return
        lines = [self._line(finding) for finding in self.failures]
        more = f"\nand {len(lines) - 10} more" if len(lines) > 10 else ""
        raise AssertionError("\n".join(lines[:10]) + more)

    def _row(self, transform: str, crystals: Sequence[str]) -> list[str]:
        cells = [f"{self.largest(transform, crystal=crystal):.1e}" for crystal in crystals]
        good = all(finding.passed for finding in self.findings if finding.transform == transform)
        verdict = ("seen" if good else "NOT SEEN") if transform in self.seen else ("ok" if good else "FAILED")
        return [transform, *cells, verdict]

    def _line(self, finding: Finding) -> str:
        whose = f"{finding.crystal}: {finding.output} after {finding.transform}"
        if finding.note:
            return f"{whose}: {finding.note}"
        if finding.transform in self.seen:
            return f"{whose} changes by {finding.deviation:.1e} only: the features do not tell the two crystals apart"
        return f"{whose} is off by {finding.deviation:.2e} (tolerance {self.tolerance:.1e})"


def check_invariances(
    featuriser: Featuriser | PropertyModel | Potential,
    crystals: Mapping[str, Crystal] | Sequence[Crystal],
    *,
    expected: Expected | None = None,
    transforms: Sequence[Transform] = SYMMETRIES,
    seen: Sequence[Transform] = (),
    tolerance: float = 1e-7,
    visible: float = 1e-5,
    rng: np.random.Generator,
) -> InvarianceReport:
    """Change crystals in ways that must not matter, or must matter in a known way, and compare their features.

    Args:
        featuriser: a function from a crystal to features (array, tensor, text, or several by name), a property model or a
            potential in float64.
        crystals: what to test it on.
        expected: how the features behave, one or by name; None for models, whose contract says it.
        transforms: the changes that the features must follow as expected.
        seen: the changes that must alter every output of every crystal beyond what is expected: mirror images of chiral
            crystals where only SE(3) is claimed, other elements, other distances.
        tolerance: the largest deviation that is rounding, over one plus the largest number expected.
        visible: the smallest deviation that is no rounding.
        rng: draws rotations, origins, orders and images.

    Raises:
        InvalidRequestError: nothing says how the features behave, or what is declared does not fit their shape or names.
    """
    function, behaviours = _subject(featuriser, expected)
    named = (
        list(crystals.items())
        if isinstance(crystals, Mapping)
        else [(crystal.id or f"crystal {i}", crystal) for i, crystal in enumerate(crystals)]
    )
    before = [_by_name(function(crystal), behaviours) for _, crystal in named]
    findings: list[Finding] = []
    for transform in (*transforms, *seen):
        wanted = transform in seen
        for (name, crystal), features in zip(named, before, strict=True):
            change = transform.apply(crystal, rng=rng)
            try:
                after = _by_name(_after(function, change), behaviours)
            except EuhedralError as error:
                findings.append(Finding(transform.name, _UNNAMED, name, float("inf"), passed=False, note=str(error)))
                continue
            for output, value in features.items():
                behaviour = behaviours[output]
                deviation = behaviour.deviation(after[output], behaviour.expected(value, change))
                passed = deviation > visible if wanted else deviation <= tolerance
                findings.append(Finding(transform.name, output, name, deviation, passed=passed))
    return InvarianceReport(tuple(findings), tolerance=tolerance, seen=frozenset(t.name for t in seen))


def check_chirality(
    featuriser: Featuriser | PropertyModel | Potential, *, expected: Expected | None = None, tolerance: float = 1e-7,
    visible: float = 1e-5, rng: np.random.Generator,
) -> InvarianceReport:  # fmt: skip
    """Demand that the mirror images of chiral crystals have other features, and the same crystals turned have the same.

    What claims E(3) fails here, as it must: it gives quartz of either hand the same features.

    Args:
        featuriser: as in `check_invariances`.
        expected: as in `check_invariances`.
        tolerance: the largest deviation that is rounding.
        visible: the smallest deviation that is no rounding.
        rng: draws rotations.

    Raises:
        InvalidRequestError: as in `check_invariances`.
    """
    return check_invariances(
        featuriser, chiral_crystals(), expected=expected, transforms=(Rotation(),), seen=(Mirror(),),
        tolerance=tolerance, visible=visible, rng=rng,
    )  # fmt: skip


def subject_of(model: PropertyModel | Potential) -> tuple[Featuriser, dict[str, Behaviour]]:
    """Turn a model into a featuriser, with how its outputs must behave.

    A property is invariant or extensive as its model says; one of each atom is permuted with them, and a tensor turns with the
    crystal. Conditions that a model is given (`inputs`, `site_inputs`) and that a crystal lacks are filled in. A potential's energy is extensive, forces are a vector an atom,
    stress is a tensor of rank 2, and its other values of atoms are invariant.
    """
    if isinstance(model, Potential):
        outputs: dict[str, Behaviour] = {
            "energy": Extensive(), "forces": PerAtom(CartesianTensor(rank=1)), "stress": CartesianTensor(rank=2),
        }  # fmt: skip
        probe = next(iter(chiral_crystals().values()))
        known = probe.replace(numbers=[min(model.elements)] * len(probe))
        site = model.evaluate(CrystalBatch.from_crystals([known], dtype=torch.float64), forces=False, stress=False).site
        return OnBatch(lambda batch: _of_potential(model, batch)), outputs | {n: PerAtom(Invariant()) for n in site}
    return _PropertyOnBatch(lambda batch: _of_property(model, batch), model=model), {
        name: _behaviour(kind, scale=model.scale) for name, kind in kinds_of(model).items()
    }


@dataclass(frozen=True, eq=False)
class _PropertyOnBatch(OnBatch):
    model: PropertyModel

    def __call__(self, crystal: Crystal) -> Any:
        return self.function(batch_for(self.model, [crystal]))

    def of_images(self, crystal: Crystal, *, images: np.ndarray) -> Any:
        batch = batch_for(self.model, [crystal])
        return self.function(batch.replace(frac=batch.frac + torch.from_numpy(images)))


def batch_for(model: PropertyModel, crystals: Sequence[Crystal]) -> CrystalBatch:
    """Stack crystals in float64 for a property model, with made-up values of conditions that they lack."""
    inputs, site_inputs = tuple(getattr(model, "inputs", ())), tuple(getattr(model, "site_inputs", ()))

    def completed(crystal: Crystal) -> Crystal:
        props = {name: 0.3 + 0.2 * i for i, name in enumerate(inputs)}
        site = dict.fromkeys(site_inputs, crystal.numbers % 2)
        return crystal.replace(props=props | dict(crystal.props), site=site | dict(crystal.site))

    given = [completed(crystal) for crystal in crystals]
    return CrystalBatch.from_crystals(given, dtype=torch.float64, inputs=inputs + site_inputs)


def _behaviour(kind: Target, *, scale: str) -> Behaviour:
    whole: Behaviour = Extensive() if scale == "extensive" and not kind.per_atom else Invariant()
    if isinstance(kind, TensorTarget):
        whole = CartesianTensor(rank=kind.rank)
    return PerAtom(whole) if kind.per_atom else whole


def _of_potential(model: Potential, batch: CrystalBatch) -> dict[str, Any]:
    result = model.evaluate(batch)
    if result.forces is None or result.stress is None:
        raise InvalidRequestError(f"{type(model).__name__} gave no forces or no stress")
    return {"energy": result.energy[0], "forces": result.forces, "stress": result.stress[0], **result.site}


@torch.no_grad()
def _of_property(model: PropertyModel, batch: CrystalBatch) -> dict[str, Any]:
    kinds = kinds_of(model)
    values = model(batch, model.graph.build(batch))
    return {name: value if kinds[name].per_atom else value[0] for name, value in values.items()}


def _subject(
    featuriser: Featuriser | PropertyModel | Potential, expected: Expected | None
) -> tuple[Featuriser, dict[str, Behaviour]]:
    if isinstance(featuriser, Potential | PropertyModel):
        function, behaviours = subject_of(featuriser)
        if expected is None:
            return function, behaviours
        featuriser = function
    if expected is None:
        raise InvalidRequestError("nothing says how these features behave; give `expected`, such as Invariant()")
    return featuriser, dict(expected) if isinstance(expected, Mapping) else {_UNNAMED: expected}


def _after(function: Featuriser, change: Change) -> Any:
    if change.images is not None and isinstance(function, OnBatch):
        return function.of_images(change.crystal, images=change.images)
    return function(change.crystal)


def _by_name(features: Any, names: Collection[str]) -> Mapping[str, Any]:
    found = features if isinstance(features, Mapping) else {_UNNAMED: features}
    if set(found) != set(names):
        raise InvalidRequestError(f"expected the outputs {sorted(names)}, got {sorted(found)}")
    return found
