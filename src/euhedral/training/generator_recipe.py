"""How the shipped generators are made: crystals are written in Wyckoff form once, then learnt by likelihood."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from euhedral.core.crystal import Crystal
from euhedral.core.writing import write_atomically
from euhedral.errors import InvalidCrystalError, InvalidRequestError, RunFolderError
from euhedral.geometry.wyckoff_form import from_crystal
from euhedral.models.generation.crystalformer import CrystalFormer
from euhedral.representations.wyckoff_sequences import WyckoffSequences, encode
from euhedral.representations.wyckoff_tokens import count_tokens
from euhedral.training.likelihood import Progress, Schedule, fit_likelihood, mean_log_prob

_LOG = logging.getLogger(__name__)
_FIELDS = ("group", "letters", "numbers", "frac", "lattice")


@dataclass(frozen=True)
class GeneratorRecipe:
    """What to train.

    Args:
        config: constructor arguments of `CrystalFormer`.
        schedule: how long and how fast.
        symprec: Angstrom, tolerance with which the symmetry of training crystals is found.
    """

    config: Mapping[str, Any] = field(default_factory=dict)
    schedule: Schedule = field(default_factory=lambda: Schedule(seconds=5400.0))
    symprec: float = 0.01


#: What fits one CPU core and an hour and a half; the constructor's defaults are the paper's, made for days on a GPU.
SMALL = {
    "layers": 4, "heads": 5, "key_size": 32, "model_size": 160, "embed_size": 64, "dropout": 0.1, "attention_dropout": 0.0,
}  # fmt: skip


def train_crystalformer(
    recipe: GeneratorRecipe, *, train: Sequence[Crystal], validation: Sequence[Crystal], work: str | Path,
    card: Mapping[str, Any] | None = None, on_validation: Callable[[Progress], None] | None = None,
) -> tuple[CrystalFormer, dict[str, Any]]:  # fmt: skip
    """Train CrystalFormer; goes on where a killed run stopped.

    Args:
        recipe: what to train.
        train: crystals to learn from.
        validation: crystals that the kept weights are chosen by.
        work: folder for the encoded sets and checkpoints.
        card: what shall be known of the weights; how they were trained is added.
        on_validation: called after each validation.

    Returns:
        The model and its card.

    Raises:
        InvalidRequestError: no crystal can be encoded.
        DivergedError: the loss is not finite.
        RunFolderError: the folder cannot be written or holds another run.
    """
    work = Path(work)
    model = CrystalFormer(**recipe.config)
    sets = [
        encoded(crystals, cache=work / f"{name}.safetensors", n_max=model.n_max, symprec=recipe.symprec)
        for name, crystals in (("train", train), ("validation", validation))
    ]
    model.observe(sets[0])
    lengths = [count_tokens(each) for each in sets]
    progress = fit_likelihood(
        model, sets[0], lengths=lengths[0], validation=sets[1], validation_lengths=lengths[1],
        schedule=recipe.schedule, folder=work, on_validation=on_validation,
    )  # fmt: skip
    scores = mean_log_prob(model, sets[1], lengths=lengths[1])
    how = {
        "training_crystals": len(sets[0]), "left_out_of_training": len(train) - len(sets[0]),
        "validation_crystals": len(sets[1]), "epochs": progress.epoch + 1, "steps": progress.step,
        "seconds": round(progress.seconds), "schedule": asdict(recipe.schedule), "symprec": recipe.symprec,
        "validation_nll_nats_per_crystal": {slot: round(-value, 4) for slot, value in scores.items()},
        "threads": torch.get_num_threads(), "history": progress.history,
        "machine": f"{platform.machine()}, torch {torch.__version__.split('+')[0]}, CPU",
    }  # fmt: skip
    return model, {**(card or {}), "training": how}


def encoded(crystals: Sequence[Crystal], *, cache: Path, n_max: int, symprec: float) -> WyckoffSequences:
    """Write crystals as Wyckoff sequences, kept in a file for the next time; those that do not fit are left out.

    Args:
        crystals: what to encode.
        cache: the file.
        n_max: most sites, the end counted.
        symprec: Angstrom.

    Raises:
        InvalidRequestError: none fits.
        RunFolderError: the file was made from another set of crystals.
    """
    from safetensors import safe_open
    from safetensors.torch import save

    made_from = {
        "crystals": str(len(crystals)),
        "first": crystals[0].id,
        "last": crystals[-1].id,
        "symprec": str(symprec),
    }
    if cache.exists():
        with safe_open(cache, framework="pt") as file:
            if file.metadata() != made_from:
                raise RunFolderError(f"{cache} was made from other crystals; choose an empty folder")
            return WyckoffSequences(**{name: file.get_tensor(name) for name in _FIELDS})
    forms = []
    for crystal in crystals:
        try:
            form = from_crystal(crystal, symprec=symprec)
        except InvalidCrystalError as error:
            _LOG.warning("left out: %s", error)
            continue
        if len(form.letters) < n_max:
            forms.append(form)
    if not forms:
        raise InvalidRequestError(f"none of {len(crystals)} crystals has fewer than {n_max} occupied positions")
    _LOG.info("encoded %d of %d crystals", len(forms), len(crystals))
    sequences = encode(forms)
    tensors = {name: getattr(sequences, name).contiguous() for name in _FIELDS}
    write_atomically(cache, content=save(tensors, metadata=made_from))
    return sequences
