"""How the shipped property predictors are made: an ensemble is trained, calibrated, and judged on the test split."""

from __future__ import annotations

import logging
import math
import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidRequestError
from euhedral.tasks.property import Prediction
from euhedral.tasks.targets import KINDS, Category, TargetLike, plain, read_targets, target_of
from euhedral.tasks.transfer import TransferReport, freeze, output_layer, take_over
from euhedral.tasks.weights import Weights, load_weights
from euhedral.training.conformal import Conformal, ConformalByPrediction, coverage_of
from euhedral.training.dropout import DropoutNetwork
from euhedral.training.ensemble import Ensemble
from euhedral.training.fingerprint import fingerprint
from euhedral.training.graph_set import GraphSet
from euhedral.training.loggers import Journal
from euhedral.training.loop import Epoch, fit
from euhedral.training.network import inputs_of, network_of
from euhedral.training.novelty import Novelty
from euhedral.training.predictor import Predictor, ask, weights_folder
from euhedral.training.seen import joined, material_keys
from euhedral.training.settings import TrainingSettings

_LOG = logging.getLogger(__name__)

#: Crystals with which nothing can be said of how unlike others are (`Novelty.fit` with its default axes).
FEWEST: Final = 16

#: Values that a property cannot leave, for those that have such.
BOUNDS: Final[Mapping[str, tuple[float, float]]] = {"band_gap": (0.0, math.inf)}


@dataclass(frozen=True)
class EnsembleRecipe:
    """What to train.

    Args:
        system: the registry's name of the networks.
        targets: what is learnt; one network predicts all of them.
        config: further constructor arguments.
        members: how many networks.
        seed: member k is started and trained from seed + k.
        settings: how to train each.
        compiled: let torch compile the convolutions for training; pays for itself in some ten epochs of MP-20 and needs a C++
            compiler. Results differ in the last digits.
        start: weights to begin from: a shipped name or a folder, of this system or of a pre-training of it; none when empty.
        freeze: patterns of parameter names that stay as they are.
        leave: patterns of names of the weights to begin from that are not taken over. None leaves the last layer and the target
            scaling where the targets are others, and where they are the same leaves nothing and keeps the scaling.
        draws: how often each network is asked with dropout, for a spread of its own (`training.dropout`); 0 for never.
        evidence: where given, each network learns its spread (`training.evidential`), with this weight of wrong evidence; the
            loss of the settings is not looked at.
    """

    system: str = "cgcnn"
    targets: tuple[TargetLike, ...] = ("formation_energy_per_atom", "band_gap")
    config: Mapping[str, Any] = field(default_factory=dict)
    members: int = 4
    seed: int = 0
    settings: TrainingSettings = field(default_factory=lambda: TrainingSettings(epochs=100, validate_every=10))
    compiled: bool = False
    start: str = ""
    freeze: tuple[str, ...] = ()
    leave: tuple[str, ...] | None = None
    draws: int = 0
    evidence: float | None = None


def train_ensemble(
    recipe: EnsembleRecipe, *, train: Sequence[Crystal], validation: Sequence[Crystal], work: str | Path,
    card: Mapping[str, Any] | None = None, on_epoch: Callable[[int, Epoch], None] | None = None,
    device: torch.device | str = "cpu", journal: Journal | None = None,
) -> Predictor:  # fmt: skip
    """Train the members one after another and calibrate them; goes on where a killed run stopped.

    Args:
        recipe: what to train.
        train: crystals to learn from; a label may be missing, and a crystal without any is left out.
        validation: crystals to calibrate intervals and novelty on; they decide nothing about the weights.
        work: folder for the members' checkpoints.
        card: what shall be known of the weights; how they were trained is added.
        on_epoch: called with the member's number and its epoch, for progress.
        device: where to train and calibrate; the predictor that is returned is on the CPU.
        journal: takes down every epoch.

    Raises:
        InvalidRequestError: there are no crystals, or none has a label, or the networks cannot have the spread that is asked for.
        DivergedError: a loss is not finite.
        RunFolderError: the folder cannot be written or holds another run.
    """
    targets = read_targets(recipe.targets, kinds=tuple(KINDS.values()), per_atom=True)
    config: dict[str, Any] = {"targets": [plain(target) for target in targets.values()], **recipe.config}
    if recipe.evidence is not None:
        config["evidence"] = recipe.evidence
        if recipe.start:
            raise InvalidRequestError(
                "an evidential network cannot begin from weights of another; leave start or evidence out"
            )
    trained_config, config = config, config | ({"draws": recipe.draws} if recipe.draws else {})
    for crystals, what in ((train, "training"), (validation, "validation")):
        _check_labels(crystals, targets, what=what)
    members: list[nn.Module] = []
    pattern: Any = network_of(recipe.system, config=config)
    began = time.perf_counter()
    labelled = [crystal for crystal in train if any(_has_label(crystal, name) for name in targets)]
    if len(labelled) <= FEWEST:  # said before hours of training, not after
        raise InvalidRequestError(
            f"training needs more than {FEWEST} crystals with labels, got {len(labelled)}; add or label some"
        )
    sets = [
        GraphSet.from_crystals(
            crystals, spec=pattern.graph, targets=tuple(targets), inputs=inputs_of(pattern),
            merge_equal=getattr(pattern, "merges_equal", False),
        ).to(device)
        for crystals in (labelled, validation)
    ]  # fmt: skip
    _LOG.info("graphs of %d crystals in %.1f s", len(labelled) + len(validation), time.perf_counter() - began)
    seconds = 0.0
    for index in range(recipe.members):
        rng = torch.Generator().manual_seed(recipe.seed + index)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed + index)
            member = network_of(recipe.system, config=trained_config).to(device)
            trained = network_of(recipe.system, config=config).to(device)
        taken, goes_on = begin_from(recipe, member, index=index)
        if recipe.compiled and hasattr(member, "convolutions"):
            for layer in member.get_submodule("convolutions").children():
                layer.compile(dynamic=True)
        checkpoint = Path(work) / f"{recipe.system}-member-{index}.safetensors"
        done = fit(
            member, train=sets[0], validation=sets[1], settings=recipe.settings, rng=rng, checkpoint=checkpoint,
            on_epoch=lambda epoch, index=index: _told(epoch, index=index, on_epoch=on_epoch, journal=journal),
            keep_scaling=goes_on,
        )  # fmt: skip
        if journal is not None:
            journal.complete(done.history, network=index)
        seconds += sum(epoch.seconds for epoch in done.history)
        inner = trained.network if isinstance(trained, DropoutNetwork) else trained
        inner.load_state_dict(member.state_dict())  # into layers that are not compiled
        members.append(trained.eval().requires_grad_(requires_grad=False))
    how = {
        "members": recipe.members, "seed": recipe.seed, "start": str(taken or "random"), "settings": str(recipe.settings), "training_crystals": len(labelled),
        "validation_crystals": len(validation), "training_seconds": round(seconds), "threads": torch.get_num_threads(),
        "machine": f"{platform.machine()}, torch {torch.__version__.split('+')[0]}, {sets[0].batch.device.type}",
    }  # fmt: skip
    before = targets_learnt(recipe.start)
    if before is not None:
        how["targets"] = sorted({*before, *targets})
    ensemble = Ensemble(members, bounds={name: BOUNDS[name] for name in targets if name in BOUNDS})
    conformal, novelty = calibrate(
        ensemble, train=sets[0], validation=sets[1], rng=torch.Generator().manual_seed(recipe.seed)
    )
    ensemble.cpu()
    return Predictor(
        system=recipe.system, config=config, ensemble=ensemble, conformal=conformal, novelty=novelty,
        card={**(card or {}), "training": how}, trained_on=joined(learnt_from(recipe.start), material_keys(labelled)),
    )  # fmt: skip


def learnt_from(start: str) -> Tensor:
    """(M,) keys of the materials that weights learnt from; none when there are no weights, or when they do not tell."""
    nothing = torch.zeros(0, dtype=torch.int64)
    return load_weights(weights_folder(start)).tensors.get("trained_on", nothing) if start else nothing


def targets_learnt(start: str) -> tuple[str, ...] | None:
    """Names of all targets that weights learnt, and those that they began from; None where they do not tell."""
    if not start:
        return ()
    weights = load_weights(weights_folder(start))
    how = weights.card.get("training", {})
    if "targets" in how:
        return tuple(how["targets"])
    if how.get("start", "random") != "random":  # written before the targets were
        return None
    return tuple(one if isinstance(one, str) else one["name"] for one in weights.config.get("targets", ()))


def _told(
    epoch: Epoch, *, index: int, on_epoch: Callable[[int, Epoch], None] | None, journal: Journal | None
) -> None:  # fmt: skip
    if journal is not None:
        journal.write(epoch, network=index)
    if on_epoch is not None:
        on_epoch(index, epoch)


def size_of(weights: Weights) -> dict[str, Any]:
    """Constructor arguments of a network into which weights fit, whatever its targets and its spread."""
    return {name: value for name, value in weights.config.items() if name not in ("targets", "draws", "evidence")}


def begin_from(recipe: EnsembleRecipe, member: nn.Module, *, index: int) -> tuple[TransferReport | None, bool]:
    """Take over weights and freeze parameters as a recipe says.

    Args:
        recipe: its `start`, `freeze`, `leave` and targets are looked at.
        member: changed in place.
        index: which of the networks it is; a start with several networks gives each its own.

    Returns:
        What was taken, and whether the target scaling was: the network then goes on with its own targets.
    """
    taken, goes_on = None, False
    if recipe.start:
        weights = load_weights(weights_folder(recipe.start))
        networks = {name.split(".")[1] for name in weights.tensors if name.startswith("members.")}
        prefix = f"members.{sorted(networks, key=int)[index % len(networks)]}." if networks else ""
        same = [target_of(one) for one in weights.config.get("targets", ())] == [
            target_of(one) for one in recipe.targets
        ]
        leave = (() if same else ("scaling.*", *output_layer(member))) if recipe.leave is None else recipe.leave
        taken = take_over(member, tensors=weights.tensors, prefix=prefix, leave=leave)
        goes_on = any(name.startswith("scaling.") for name in taken.loaded)
        _LOG.info("network %d, from %s: %s", index + 1, recipe.start, taken)
    if recipe.freeze:
        count = freeze(member, patterns=recipe.freeze)
        _LOG.info("network %d: %d numbers stay as they are", index + 1, count)
    return taken, goes_on


def calibrate(
    ensemble: Ensemble, *, train: GraphSet, validation: GraphSet, rng: torch.Generator,
) -> tuple[dict[str, ConformalByPrediction], Novelty]:  # fmt: skip
    """Take interval scores and the unit of novelty from crystals that were not trained on.

    Args:
        ensemble: trained networks.
        train: what they were trained on.
        validation: crystals with labels that they were not trained on.
        rng: draws the reference crystals of the novelty, and those that choose the shape of the intervals.
    """
    answer = ask(ensemble, validation)
    features = _fingerprints(train, structure=ensemble.sees_structure)
    novelty = Novelty.fit(features, validation=answer.features, elements=train.batch.numbers, rng=rng)
    draws = np.random.default_rng(int(torch.randint(2**62, (), generator=rng)))
    conformal = {}
    for name, kind in ensemble.kinds.items():
        truth = validation.batch.targets[name].cpu().double()
        if isinstance(kind, Category):
            conformal[name] = ConformalByPrediction.alike(_of_classes(answer.mean[name].double().exp(), truth))
            continue
        conformal[name] = ConformalByPrediction.narrowest(
            predicted=answer.mean[name].double().numpy(), spread=answer.spread[name].double().numpy(), truth=truth.numpy(), rng=draws,
            bounds=ensemble.bounds.get(name, (-math.inf, math.inf)),
        )  # fmt: skip
    return conformal, novelty


def _of_classes(chance: Tensor, truth: Tensor) -> Conformal:
    """Score the true class by what its probability lacks to one (Sadinle et al. 2019, arXiv:1609.00451)."""
    known = ~torch.isnan(truth)
    own = chance[known].gather(1, truth[known].long()[:, None])[:, 0].numpy()
    ones = own * 0.0 + 1.0
    return Conformal.calibrate(predicted=own, spread=ones * 0.0, truth=ones, floor=1.0)


def _fingerprints(data: GraphSet, *, structure: bool) -> Tensor:
    order = torch.arange(len(data), device=data.batch.device)
    return torch.cat([fingerprint(*batch, structure=structure) for batch in data.batches(order, size=1024)]).cpu()


def judge(predictor: Predictor, crystals: Sequence[Crystal], *, coverage: float = 0.9) -> dict[str, dict[str, float]]:
    """Compare predictions with labels: {target: mean and median error, root mean square, coverage, width, share novel}.

    An error is counted as the target's kind counts it: that of a class is 1 where the likeliest is wrong, that of a spectrum
    the mean over its grid, that of a tensor a Frobenius norm. Coverage is that of single components.

    Args:
        predictor: what to judge.
        crystals: with labels, neither trained nor calibrated on.
        coverage: of the intervals.
    """
    return report_on(predictor, crystals, predictions=predictor.predict(crystals, coverage=coverage))


def report_on(
    predictor: Predictor, crystals: Sequence[Crystal], *, predictions: Mapping[str, Prediction]
) -> dict[str, dict[str, float]]:  # fmt: skip
    """Compare predictions that were made already with labels, as `judge` does.

    Args:
        predictor: what made them.
        crystals: with labels.
        predictions: of these crystals, by target.
    """
    report = {}
    labels = CrystalBatch.from_crystals(crystals, dtype=torch.float64, targets=tuple(predictions)).targets
    for name, prediction in predictions.items():
        truth = labels[name]
        error = predictor.ensemble.kinds[name].error(torch.from_numpy(prediction.value), truth)
        report[name] = {
            "crystals": int((~torch.isnan(error)).sum()),
            "mae": float(error.nanmean()),
            "median_absolute_error": float(error.nanmedian()),
            "rmse": float(error.square().nanmean().sqrt()),
            "interval_goal": prediction.coverage,
            "interval_coverage": _coverage(prediction, truth.numpy()),
            "interval_mean_width": _width(prediction),
            "share_unlike_training": float(prediction.unlike_training.mean()),
        }
    return report


def _coverage(prediction: Prediction, truth: NDArray[np.float64]) -> float:
    if prediction.plausible is None:
        if not np.isfinite(prediction.upper - prediction.lower).any():
            return math.nan  # what holds every number holds no truth
        return coverage_of(truth=truth, lower=prediction.lower, upper=prediction.upper)
    known = ~np.isnan(truth)
    return float(prediction.plausible[known, truth[known].astype(int)].mean())


def _width(prediction: Prediction) -> float:
    """Mean width of the intervals; of classes the mean number of plausible ones."""
    if prediction.plausible is not None:
        return float(prediction.plausible.sum(1).mean())
    return float((prediction.upper - prediction.lower).mean())


def _has_label(crystal: Crystal, name: str) -> bool:
    value = crystal.props.get(name, crystal.site.get(name))
    return value is not None and bool(np.isfinite(np.asarray(value, dtype=float)).any())


def _check_labels(crystals: Sequence[Crystal], targets: Iterable[str], *, what: str) -> None:
    for name in targets:
        if not any(_has_label(crystal, name) for crystal in crystals):
            raise InvalidRequestError(
                f"no crystal of the {what} set has a label {name!r}; choose another target or set"
            )
