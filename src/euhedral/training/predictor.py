"""From crystals to calibrated predictions: an ensemble, its intervals, and its warning when a crystal is unlike its training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from euhedral.core.batch import input_fault
from euhedral.core.crystal import Crystal
from euhedral.core.failure import Failure
from euhedral.errors import FileFormatError, InvalidRequestError, MissingDataError, unknown_name
from euhedral.models.registry import ROWS
from euhedral.tasks.property import Prediction
from euhedral.tasks.targets import Category
from euhedral.tasks.weights import Weights, load_weights, save_weights
from euhedral.training.conformal import Conformal, ConformalByPrediction
from euhedral.training.ensemble import Ensemble
from euhedral.training.fingerprint import fingerprint
from euhedral.training.graph_set import GraphSet
from euhedral.training.network import inputs_of, network_of
from euhedral.training.novelty import Novelty
from euhedral.training.stand_in import stand_in

# Letters of a torch error that are shown.
_LONGEST = 300


@dataclass(frozen=True, eq=False)
class Answer:
    """What an ensemble says of B crystals, before calibration.

    Args:
        mean: {target: (B, ...) or (N, ...)} in the target's unit.
        spread: the same; standard deviation over the members, and their own where they have one.
        features: (B, F) what novelty is looked for in (`training.fingerprint`).
    """

    mean: Mapping[str, Tensor]
    spread: Mapping[str, Tensor]
    features: Tensor


@torch.no_grad()
def ask(ensemble: Ensemble, data: GraphSet, *, batch_size: int = 256) -> Answer:
    """Run an ensemble over a whole set, in evaluation mode.

    Args:
        ensemble: the networks.
        data: crystals on the networks' device.
        batch_size: crystals at a time.
    """
    ensemble.eval()
    order = torch.arange(len(data), device=data.batch.device)
    opinions, features = [], []
    for batch in data.batches(order, size=batch_size):
        opinions.append(ensemble.opinion(*batch))
        features.append(fingerprint(*batch, structure=ensemble.sees_structure))
    return Answer(
        mean={name: torch.cat([opinion.mean[name] for opinion in opinions]).cpu() for name in ensemble.targets},
        spread={name: torch.cat([opinion.spread[name] for opinion in opinions]).cpu() for name in ensemble.targets},
        features=torch.cat(features).cpu(),
    )


@dataclass(frozen=True, eq=False)
class Predictor:
    """A trained, calibrated ensemble.

    Args:
        system: the registry's name of the networks.
        config: the networks' constructor arguments, as `training.network.network_of` takes them.
        ensemble: the networks.
        conformal: half-widths by target.
        novelty: distance to the training data.
        card: what it was trained on and how well it does.
        trained_on: (M,) keys of the materials that it learnt from (`training.seen`), those of its pre-training among them.
    """

    system: str
    config: Mapping[str, Any]
    ensemble: Ensemble
    conformal: Mapping[str, ConformalByPrediction]
    novelty: Novelty
    card: Mapping[str, Any]
    trained_on: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of what it predicts."""
        return self.ensemble.targets

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the conditions that every crystal must carry: its own (a temperature), then those of its atoms."""
        return inputs_of(self.ensemble)

    @property
    def sees_structure(self) -> bool:
        """Whether the structure matters; where it does not, formulas are enough."""
        return self.ensemble.sees_structure

    def predict_formulas(
        self, formulas: Sequence[str], *, coverage: float = 0.9, batch_size: int = 256,
    ) -> dict[str, Prediction]:  # fmt: skip
        """Predict every target of every composition.

        Args:
            formulas: at least one, as "Ca(OH)2" or "Li0.5CoO2".
            coverage: as in `predict`.
            batch_size: as in `predict`.

        Raises:
            FileFormatError: a text is no formula.
            InvalidRequestError: the networks look at the structure, or an element is beyond them.
        """
        if self.sees_structure:
            raise InvalidRequestError(f"{self.system} predicts from structures, not from formulas; give crystals")
        return self.predict([stand_in(text) for text in formulas], coverage=coverage, batch_size=batch_size)

    def predict(
        self, crystals: Sequence[Crystal], *, coverage: float = 0.9, batch_size: int = 256,
    ) -> dict[str, Prediction]:  # fmt: skip
        """Predict every target of every crystal.

        Args:
            crystals: at least one; results keep their order.
            coverage: share of truths that the intervals shall hold, on crystals like those of the calibration.
            batch_size: crystals at a time.

        Raises:
            InvalidRequestError: a crystal holds an element that the networks cannot represent, or lacks a condition (`refusals` finds
                them first).
        """
        for crystal in crystals:
            if not isinstance(crystal, Crystal):
                raise InvalidRequestError(
                    f"got a {type(crystal).__module__.split('.')[0]} {type(crystal).__name__}, expected a Crystal; convert it with "
                    "core.bridges.from_pymatgen or from_ase"
                )
        refused = [failure for failure in self.refusals(crystals) if failure is not None]
        if refused:
            raise InvalidRequestError(str(refused[0]))
        data = GraphSet.from_crystals(
            crystals,
            spec=self.ensemble.graph,
            inputs=self.inputs,
            merge_equal=self.ensemble.merges_equal,
        )
        answer = ask(self.ensemble, data, batch_size=batch_size)
        numbers = torch.as_tensor(np.concatenate([crystal.numbers for crystal in crystals]))
        owner = torch.repeat_interleave(torch.tensor([len(crystal) for crystal in crystals]))
        novelty = self.novelty.of(answer.features, numbers=numbers, crystal_idx=owner).double().numpy()
        return {
            name: self._prediction(name, answer=answer, coverage=coverage, novelty=novelty) for name in self.targets
        }

    def _prediction(self, name: str, *, answer: Answer, coverage: float, novelty: NDArray) -> Prediction:
        value = answer.mean[name].double().numpy()
        kind = self.ensemble.kinds[name]
        if isinstance(kind, Category):
            chance = np.exp(value)
            likely = 1.0 - chance <= self.conformal[name].half_width(
                chance, spread=np.zeros_like(chance), coverage=coverage
            )
            likely[np.arange(len(chance)), chance.argmax(1)] = True  # an empty set helps nobody
            return Prediction(
                target=name, value=chance, lower=chance, upper=chance, coverage=coverage, novelty=novelty,
                classes=kind.classes, plausible=likely,
            )  # fmt: skip
        half = self.conformal[name].half_width(value, spread=answer.spread[name].double().numpy(), coverage=coverage)
        low, high = self.ensemble.bounds.get(name, (-np.inf, np.inf))
        return Prediction(
            target=name, value=value, lower=np.maximum(value - half, low), upper=np.minimum(value + half, high),
            coverage=coverage, novelty=novelty,
        )  # fmt: skip

    def refusals(self, crystals: Sequence[Crystal]) -> list[Failure | None]:
        """For each crystal, why it cannot be predicted, or None when it can."""
        from euhedral.core.elements import SYMBOLS

        table = getattr(self.ensemble.members[0], "elements", None)
        known = table.shape[0] - 1 if isinstance(table, Tensor) else 118
        found: list[Failure | None] = []
        for crystal in crystals:
            reason = next((fault for name in self.inputs if (fault := input_fault(crystal, name=name))), "")
            if int(crystal.numbers.max()) > known:
                reason = (
                    f"{self.system} knows the elements H to {SYMBOLS[known]}, got {SYMBOLS[int(crystal.numbers.max())]}"
                )
            found.append(Failure(reason=reason, id=crystal.id, stage="predict") if reason else None)
        return found

    def save(self, folder: str | Path) -> Path:
        """Write the predictor as a folder of weights.

        Raises:
            RunFolderError: the folder cannot be written.
        """
        tensors: dict[str, Tensor] = {}
        for index, member in enumerate(self.ensemble.members):
            tensors |= {f"members.{index}.{name}": value for name, value in member.state_dict().items()}
        for name, conformal in self.conformal.items():
            for group, part in enumerate(conformal.groups):
                tensors[f"conformal.{name}.{group}.scores"] = torch.from_numpy(part.scores).float()
                tensors[f"conformal.{name}.{group}.floor"] = torch.tensor(part.floor, dtype=torch.float64)
            tensors[f"conformal.{name}.edges"] = torch.from_numpy(conformal.edges)
        for name, (low, high) in self.ensemble.bounds.items():
            tensors[f"bounds.{name}"] = torch.tensor([low, high], dtype=torch.float64)
        novelty = self.novelty
        tensors |= {
            "novelty.centre": novelty.centre, "novelty.axes": novelty.axes, "novelty.elements": novelty.elements,
            "novelty.references": novelty.references.half(), "novelty.unit": torch.tensor(novelty.unit, dtype=torch.float64),
            "trained_on": self.trained_on,
        }  # fmt: skip
        weights = Weights(system=self.system, config=self.config, tensors=tensors, card=self.card)
        return save_weights(folder, weights=weights)

    @classmethod
    def load(cls, name: str | Path) -> Predictor:
        """Read a shipped predictor by name, or any from its folder.

        Raises:
            UnknownNameError: it is neither a folder nor the name of a shipped one.
            MissingDataError: the folder holds no weights.
            FileFormatError: the weights are not those of a calibrated ensemble.
        """
        folder = weights_folder(name)
        weights = load_weights(folder)
        tensors = weights.tensors
        count = len({key.split(".")[1] for key in tensors if key.startswith("members.")})
        if not count:
            raise FileFormatError(
                f"{folder} holds weights of {weights.system}, not a predictor of properties; choose another --model"
            )
        try:
            members: list[nn.Module] = []
            for index in range(count):
                member = network_of(weights.system, config=weights.config)
                member.load_state_dict(_under(tensors, f"members.{index}."))
                members.append(member.eval().requires_grad_(requires_grad=False))
            bounds = {key.removeprefix("bounds."): (float(v[0]), float(v[1])) for key, v in tensors.items() if key.startswith("bounds.")}  # fmt: skip
            ensemble = Ensemble(members, bounds=bounds).eval()
            conformal = {target: _calibrated(_under(tensors, f"conformal.{target}.")) for target in ensemble.targets}
            stored = _under(tensors, "novelty.")
            novelty = Novelty(
                centre=stored["centre"], axes=stored["axes"], references=stored["references"].float(),
                unit=float(stored["unit"]), elements=stored["elements"],
            )  # fmt: skip
        except (KeyError, RuntimeError, TypeError, InvalidRequestError) as error:
            why = " ".join(str(error).split())  # torch names every tensor, on lines of their own
            raise FileFormatError(
                f"{folder} does not hold a calibrated ensemble of {weights.system}: {why[:_LONGEST]}{'...' * (len(why) > _LONGEST)}"
            ) from error
        return cls(
            system=weights.system, config=weights.config, ensemble=ensemble, conformal=conformal, novelty=novelty,
            card=weights.card, trained_on=tensors.get("trained_on", torch.zeros(0, dtype=torch.int64)),
        )  # fmt: skip


def _calibrated(tensors: Mapping[str, Tensor]) -> ConformalByPrediction:
    if "scores" in tensors:  # weights of before predictions were told apart
        return ConformalByPrediction.alike(
            Conformal(scores=tensors["scores"].double().numpy(), floor=float(tensors["floor"]))
        )
    edges = tensors["edges"].double().numpy()
    groups = (
        Conformal(scores=tensors[f"{group}.scores"].double().numpy(), floor=float(tensors[f"{group}.floor"]))
        for group in range(len(edges) + 1)
    )
    return ConformalByPrediction(edges=edges, groups=tuple(groups))


def weights_folder(name: str | Path) -> Path:
    """Find weights by the name of shipped ones or by their folder.

    Raises:
        UnknownNameError: it is neither.
        MissingDataError: there is no such folder, or it is the name of a system.
    """
    path = Path(name)
    if path.is_dir():
        return path
    shipped = Path(str(files("euhedral.models"))) / "weights" / path.name
    if path.name == str(name) and shipped.is_dir():
        return shipped
    if path.name != str(name):
        raise MissingDataError(f"no weights in {path}: there is no such folder")
    systems = {candidate.name: candidate for candidate in ROWS if candidate.wing == "property"}
    if path.name in systems:
        name = path.name
        if systems[name].weights:
            raise MissingDataError(
                f"{name} is a system; name its shipped weights: {' or '.join(systems[name].weights)}"
            )
        raise MissingDataError(
            f"{name} is a system without shipped weights; train it first: euhedral train {name} --data FILES --labels labels.csv "
            "--out trained, then give the folder trained"
        )
    known = [weights for candidate in systems.values() for weights in candidate.weights]
    raise unknown_name("trained property model", str(name), known, where="euhedral predict --list")


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
