"""The pictures that training and evaluation leave in their folder."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import typer
from numpy.typing import NDArray

from euhedral.cli.output import file_stem
from euhedral.cli.units import UNSTATED, headed, quantity_of
from euhedral.errors import MissingDependencyError

if TYPE_CHECKING:
    from euhedral.core.crystal import Crystal
    from euhedral.tasks.property import Prediction
    from euhedral.training.predictor import Predictor

#: Where they are, in a run's folder.
PICTURES: Final = "pictures"


def leave_pictures(
    folder: Path, *, predictor: Predictor, crystals: Sequence[Crystal], predictions: Mapping[str, Prediction],
    report: Mapping[str, Mapping[str, float]], what: str, history: Path | None = None,
) -> None:  # fmt: skip
    """Draw parity or confusion or spectra, errors by element, and the learning curve; says where, or why not.

    Args:
        folder: of the run.
        predictor: what predicted.
        crystals: with labels.
        predictions: of these crystals.
        report: `training.recipes.judge`'s.
        what: whose results they are, for titles.
        history: table of epochs, where there was a training.

    Raises:
        RunFolderError: a file cannot be written.
    """
    try:
        written = _draw(
            folder / PICTURES, predictor=predictor, crystals=crystals, predictions=predictions, report=report, what=what,
            history=history,
        )  # fmt: skip
    except MissingDependencyError as error:
        typer.echo(f"no pictures: {error}", err=True)
        return
    names = ", ".join(sorted({path.stem for path in written}))
    typer.echo(f"pictures in {folder / PICTURES} (PNG and SVG): {names}", err=True)


@dataclass(frozen=True, eq=False)
class _Result:
    """What one target's pictures are drawn from; arrays are (M, ...), of crystals or of atoms."""

    name: str
    unit: str
    what: str
    kind: Any
    prediction: Prediction
    truth: NDArray[np.float64]
    error: NDArray[np.float64]
    numbers: Mapping[str, float]
    ids: Sequence[str]

    @property
    def title(self) -> str:
        """Two lines: what it is, and the figures that matter."""
        numbers = self.numbers
        unit = f" {self.unit}" if self.unit not in ("", UNSTATED) else ""
        if self.prediction.classes:
            figures = f"right {1.0 - numbers['mae']:.1%}; {numbers['interval_goal']:.0%} sets hold {numbers['interval_coverage']:.1%}"
        else:
            held = (
                "intervals have no end" if np.isnan(numbers["interval_coverage"])
                else f"{numbers['interval_goal']:.0%} intervals hold {numbers['interval_coverage']:.1%}"
            )  # fmt: skip
            figures = (
                f"mean {'norm of the ' if np.ndim(self.truth) > 2 else ''}error {numbers['mae']:.3g}{unit}; {held}"
            )
        return f"{self.what}: {self.name}, {numbers['crystals']:,} known\n{figures}"


def _draw(
    folder: Path, *, predictor: Predictor, crystals: Sequence[Crystal], predictions: Mapping[str, Prediction],
    report: Mapping[str, Mapping[str, float]], what: str, history: Path | None,
) -> list[Path]:  # fmt: skip
    import torch

    from euhedral.cli.element_picture import draw_elements
    from euhedral.cli.fit_pictures import draw_learning
    from euhedral.core.batch import CrystalBatch
    from euhedral.metrics.by_element import error_by_element

    batch = CrystalBatch.from_crystals(crystals, dtype=torch.float64, targets=tuple(predictions))
    units = {name: quantity_of(name, card=predictor.card).unit for name in predictions}
    written: list[Path] = []
    for name, prediction in predictions.items():
        kind = predictor.ensemble.kinds[name]
        labels = batch.targets[name]
        error = kind.error(torch.from_numpy(prediction.value), labels).numpy()
        result = _Result(
            name, units[name], what, kind, prediction, labels.numpy(), error, report[name],
            [batch.ids[i] for i in batch.crystal_idx.tolist()] if kind.per_atom else batch.ids,
        )  # fmt: skip
        if not np.isfinite(error).any():
            continue
        written += _fit(folder, result)
        mean, count = error_by_element(error, numbers=batch.numbers.numpy(), crystal=batch.crystal_idx.numpy())
        of = "atoms" if kind.per_atom else "crystals"
        unit = "share that is wrong" if prediction.classes else units[name]
        written += draw_elements(
            folder / f"elements-{file_stem(name)}", mean=mean, count=count, unit=unit, title=result.title, of=of
        )
    if history is not None and history.is_file():
        with history.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        if rows:
            shares = {name: "share that is wrong" for name, one in predictions.items() if one.classes}
            written += draw_learning(
                folder / "learning_curve", history=rows, units=units | shares, title=predictor.system
            )
    return written


def _fit(folder: Path, result: _Result) -> list[Path]:
    from euhedral.cli.fit_pictures import draw_confusion, draw_parity, draw_spectra
    from euhedral.data.quantities import quantities
    from euhedral.tasks.targets import CartesianTensor, Spectrum

    prediction, truth, name = result.prediction, result.truth, result.name
    known = np.isfinite(result.error)
    if prediction.classes:
        return draw_confusion(
            folder / f"confusion-{file_stem(name)}", truth=truth[known].astype(np.int64), value=prediction.value[known].argmax(1),
            classes=prediction.classes, name=name, title=result.title,
        )  # fmt: skip
    if isinstance(result.kind, Spectrum):
        axis = quantities()[name].axis if name in quantities() else None
        fits = axis is not None and len(axis.values) == truth.shape[1]
        grid = np.array(axis.values) if axis is not None and fits else np.arange(truth.shape[1], dtype=np.float64)
        along = headed(axis.name, axis.unit) if axis is not None and fits else "point of the grid"
        return draw_spectra(
            folder / f"spectra-{file_stem(name)}", truth=truth, value=prediction.value, error=result.error, ids=result.ids, grid=grid,
            labels=(along, headed(name, result.unit)), title=result.title,
        )  # fmt: skip
    flat, value = truth.ravel(), prediction.value.ravel()
    labelled = np.isfinite(flat)
    return draw_parity(
        folder / f"parity-{file_stem(name)}", truth=flat[labelled], value=value[labelled],
        bars=(prediction.lower.ravel()[labelled], prediction.upper.ravel()[labelled]),
        name=f"components of {name}" if isinstance(result.kind, CartesianTensor) else name, unit=result.unit,
        title=result.title,
    )  # fmt: skip
