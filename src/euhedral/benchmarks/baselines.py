"""What every system must beat: a constant, the crystal with the nearest composition, and a random forest on the composition.

Roost, a network on the composition, is a system of its own.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from euhedral.benchmarks.protocol import Parts
from euhedral.core.crystal import Crystal
from euhedral.core.elements import MAX_NUMBER, elements
from euhedral.errors import InvalidRequestError, MissingDependencyError
from euhedral.tasks.targets import Category, Scalar, Target

CONSTANT: Final = "constant"
NEAREST: Final = "nearest-composition"
FOREST: Final = "random-forest"
BASELINES: Final = (CONSTANT, NEAREST, FOREST)
_TREES: Final = 200


def predict_baseline(
    name: str, *, parts: Parts, kinds: Mapping[str, Target], seed: int,
) -> tuple[dict[str, NDArray], dict[str, NDArray], dict[str, NDArray], dict[str, Any]]:  # fmt: skip
    """Fit a baseline: predictions, no intervals, and its costs.

    Args:
        name: one of `BASELINES`.
        parts: the crystals.
        kinds: the targets.
        seed: of the forest.

    Raises:
        InvalidRequestError: the baseline cannot learn such a target.
        MissingDependencyError: scikit-learn is not installed.
    """
    began = time.perf_counter()
    train, test = list(parts.train), list(parts.test)
    predicted = {}
    for target, kind in kinds.items():
        if kind.per_atom:
            raise InvalidRequestError(f"the baseline {name} learns nothing of single atoms, such as {target!r}")
        labels = np.array([np.asarray(crystal.props.get(target, np.full(kind.shape, np.nan))) for crystal in train])
        known = ~np.isnan(labels.reshape(len(labels), -1)).any(axis=1)
        chosen = [crystal for crystal, is_known in zip(train, known, strict=True) if is_known]
        if name == CONSTANT:
            predicted[target] = np.repeat(_centre(labels[known], kind)[None], len(test), axis=0)
        elif name == NEAREST:
            predicted[target] = _nearest(chosen, labels[known], test, kind=kind)
        else:
            predicted[target] = _forest(chosen, labels[known], test, kind=kind, seed=seed)
    return predicted, {}, {}, {"parameters": 0, "training_seconds": round(time.perf_counter() - began, 1)}


def composition_features(crystals: Sequence[Crystal]) -> NDArray[np.float64]:
    """(M, F) share of each element; mean, spread, least and most of elemental properties; number of elements."""
    rows = [
        (e.number, e.row, e.group, e.electronegativity or 0.0, e.covalent_radius, e.mass, e.mendeleev or 0.0)
        for e in elements()
    ]
    table = np.array([[0.0] * len(rows[0]), *rows])
    table = (table - table[1:].mean(0)) / table[1:].std(0)
    features = []
    for crystal in crystals:
        share = np.bincount(crystal.numbers, minlength=MAX_NUMBER + 1) / len(crystal)
        present = table[np.unique(crystal.numbers)]
        mean = share @ table
        spread = np.sqrt(np.maximum(share @ table**2 - mean**2, 0.0))
        features.append(np.concatenate([share, mean, spread, present.min(0), present.max(0), [len(present)]]))
    return np.array(features)


def _centre(labels: NDArray, kind: Target) -> NDArray:
    """The constant with the least error: the median of numbers, the shares of classes, the mean of spectra and tensors."""
    if isinstance(kind, Category):
        return np.bincount(labels.astype(int), minlength=len(kind.classes)) / len(labels)
    return np.median(labels, axis=0) if isinstance(kind, Scalar) else labels.mean(axis=0)


def _nearest(train: Sequence[Crystal], labels: NDArray, test: Sequence[Crystal], *, kind: Target) -> NDArray:
    """The label of the training crystal whose features, each in its own standard deviations, are nearest."""
    from scipy.spatial import cKDTree

    x, x_test = composition_features(train), composition_features(test)
    spread = x.std(0)
    varies = spread > 0.0
    _, nearest = cKDTree(x[:, varies] / spread[varies]).query(x_test[:, varies] / spread[varies])
    if isinstance(kind, Category):
        return np.eye(len(kind.classes))[labels[nearest].astype(int)]
    return labels[nearest]


def _forest(train: Sequence[Crystal], labels: NDArray, test: Sequence[Crystal], *, kind: Target, seed: int) -> NDArray:
    try:
        from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
    except ImportError as error:
        raise MissingDependencyError(
            "the random forest needs scikit-learn; run: pip install 'euhedral[benchmark]'"
        ) from error
    x, x_test = composition_features(train), composition_features(test)
    if isinstance(kind, Category):
        forest = RandomForestClassifier(n_estimators=_TREES, random_state=seed, n_jobs=2).fit(x, labels.astype(int))
        chance = np.zeros((len(test), len(kind.classes)))
        chance[:, forest.classes_] = forest.predict_proba(x_test)
        return chance
    forest = RandomForestRegressor(n_estimators=_TREES, random_state=seed, n_jobs=2, max_features=1.0 / 3.0)
    flat = labels.reshape(len(labels), -1)
    forest.fit(x, flat[:, 0] if flat.shape[1] == 1 else flat)
    return forest.predict(x_test).reshape(len(test), *kind.shape)
