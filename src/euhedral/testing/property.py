"""What every property model must satisfy, whatever its weights: each check takes a float64 model and raises `AssertionError`.

@pytest.mark.parametrize("check", PROPERTY_CHECKS)
def test_my_model(check):
    check(MyModel().double(), crystals)
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from tempfile import TemporaryDirectory
from typing import Final, cast

import numpy as np
import torch
from torch import Tensor, nn

from euhedral.core.crystal import Crystal
from euhedral.tasks.property import PropertyModel
from euhedral.tasks.targets import kinds_of
from euhedral.tasks.weights import Weights, load_weights, save_weights
from euhedral.testing.invariance import batch_for, check_chirality, check_invariances
from euhedral.testing.transforms import (
    Images,
    Mirror,
    NiggliCell,
    OtherCell,
    OtherElements,
    Permutation,
    Rotation,
    Strain,
    Supercell,
    Transform,
    Translation,
)

PropertyCheck = Callable[[PropertyModel, Mapping[str, Crystal]], None]

_SEED: Final = 3
# Networks with random weights may depend on something only weakly; rounding is below this.
_VISIBLE: Final = 1e-9


def outputs_are_named(model: PropertyModel, crystals: Mapping[str, Crystal]) -> None:
    """Every target has one finite value a crystal or atom, of the form that its kind says; none is asked for as a condition."""
    asked = {*getattr(model, "inputs", ()), *getattr(model, "site_inputs", ())} & set(model.targets)
    assert not asked, f"the model wants to be given what it predicts: {', '.join(sorted(asked))}"
    chosen = _small(crystals)
    values = _predict(model, chosen)
    assert set(values) == set(model.targets), f"the model promises {model.targets} and gives {tuple(values)}"
    for name, kind in kinds_of(model).items():
        value = values[name]
        rows = sum(len(crystal) for crystal in chosen) if kind.per_atom else len(chosen)
        form = kind.shaped(torch.zeros(rows, kind.outputs)).shape
        assert value.shape == form, f"{name} has shape {tuple(value.shape)}, expected {tuple(form)}"
        assert torch.isfinite(value).all(), f"{name} is not finite"


def batch_independence(model: PropertyModel, crystals: Mapping[str, Crystal]) -> None:
    """A crystal's values do not depend on what else is in the batch."""
    chosen = _small(crystals)
    together, kinds = _predict(model, chosen), kinds_of(model)
    first = 0
    for i, crystal in enumerate(chosen):
        for name, value in _predict(model, [crystal]).items():
            rows = slice(first, first + len(crystal)) if kinds[name].per_atom else slice(i, i + 1)
            _close(together[name][rows], value, crystal, f"{name} in a batch")
        first += len(crystal)


def permutation(model: PropertyModel, crystals: Mapping[str, Crystal]) -> None:
    """The order of atoms does not matter."""
    _follows(model, crystals, Permutation())


def translation(model: PropertyModel, crystals: Mapping[str, Crystal]) -> None:
    """The origin does not matter, nor which image of an atom is given."""
    _follows(model, crystals, Translation(), Images())


def rotation(model: PropertyModel, crystals: Mapping[str, Crystal]) -> None:
    """Scalars stay when the crystal is turned."""
    _follows(model, crystals, Rotation())


def mirror(model: PropertyModel, crystals: Mapping[str, Crystal]) -> None:
    """Scalars stay when the crystal is mirrored."""
    _follows(model, crystals, Mirror())


def chirality(model: PropertyModel, crystals: Mapping[str, Crystal]) -> None:  # noqa: ARG001 - it needs chiral crystals
    """Mirror images of chiral crystals have other values: what SE(3) claims beyond E(3)."""
    report = check_chirality(model, visible=_VISIBLE, rng=np.random.default_rng(_SEED))
    report.raise_if_failed()


def unimodular_cell_change(model: PropertyModel, crystals: Mapping[str, Crystal]) -> None:
    """The choice of lattice vectors does not matter."""
    _follows(model, crystals, OtherCell(), NiggliCell())


def supercell(model: PropertyModel, crystals: Mapping[str, Crystal]) -> None:
    """A supercell of n cells has the same intensive value and n times the extensive one."""
    _follows(model, crystals, Supercell())


def no_mutation(model: PropertyModel, crystals: Mapping[str, Crystal]) -> None:
    """The batch and the graph are left as they were."""
    batch = batch_for(model, _small(crystals))
    graph = model.graph.build(batch)
    tensors = [
        batch.cell, batch.frac, batch.numbers, batch.n_atoms, *batch.inputs.values(), graph.source, graph.target, graph.image,
        *graph.extra.values(),
    ]  # fmt: skip
    before = [tensor.clone() for tensor in tensors]
    model(batch, graph)
    for old, new in zip(before, tensors, strict=True):
        assert torch.equal(old, new), "the model changed its input"
        assert not new.requires_grad, "the model left a gradient on its input"


def structure_matters(model: PropertyModel, crystals: Mapping[str, Crystal]) -> None:
    """Elements and distances both change every target; a model of the composition alone says so (`sees_structure`)."""
    sees_structure = bool(getattr(model, "sees_structure", True))
    report = check_invariances(
        model, [crystals["hexagonal"]], transforms=() if sees_structure else (Strain(),),
        seen=(OtherElements(), Strain()) if sees_structure else (OtherElements(),), visible=_VISIBLE,
        rng=np.random.default_rng(_SEED),
    )  # fmt: skip
    report.raise_if_failed()


def gradient_reaches_every_parameter(model: PropertyModel, crystals: Mapping[str, Crystal]) -> None:
    """No parameter is left out of the prediction."""
    trained = cast("nn.Module", copy.deepcopy(model)).requires_grad_(requires_grad=True)
    batch = batch_for(model, _small(crystals))
    values = trained(batch, cast("PropertyModel", trained).graph.build(batch))
    torch.stack([value.square().sum() for value in values.values()]).sum().backward()
    for name, parameter in trained.named_parameters():
        assert parameter.grad is not None, f"no gradient reaches {name}"
        assert bool(parameter.grad.any()), f"the gradient of {name} is zero"


def save_and_load(model: PropertyModel, crystals: Mapping[str, Crystal]) -> None:
    """Weights written and read again give the same values, to the bit."""
    chosen = _small(crystals)
    module = cast("nn.Module", model)
    other = copy.deepcopy(module)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1.0)
    with TemporaryDirectory() as folder:
        save_weights(folder, weights=Weights(system="test", config={}, tensors=module.state_dict()))
        other.load_state_dict(load_weights(folder).tensors)
    before, after = _predict(model, chosen), _predict(cast("PropertyModel", other), chosen)
    for name in model.targets:
        assert torch.equal(before[name], after[name]), f"{name} differs after saving and loading"


def isolated_atom(model: PropertyModel, crystals: Mapping[str, Crystal]) -> None:
    """An atom alone in its cell has finite values, and so has its neighbour in the batch."""
    for name, value in _predict(model, [crystals["isolated"], crystals["fcc"]]).items():
        assert torch.isfinite(value).all(), f"{name} of an isolated atom is not finite"


#: Every check of a model that claims E(3), in the order of what one would want to know first.
PROPERTY_CHECKS: Final[tuple[PropertyCheck, ...]] = (
    outputs_are_named, batch_independence, permutation, translation, rotation, mirror, supercell, unimodular_cell_change,
    no_mutation, structure_matters, gradient_reaches_every_parameter, save_and_load, isolated_atom,
)  # fmt: skip


def property_checks(symmetry: str) -> tuple[PropertyCheck, ...]:
    """List the checks of a model by the symmetry that its row claims: what claims SE(3) must tell mirror images apart."""
    return tuple(chirality if check is mirror and symmetry == "SE(3)" else check for check in PROPERTY_CHECKS)


@torch.no_grad()
def _predict(model: PropertyModel, crystals: Sequence[Crystal]) -> Mapping[str, Tensor]:
    batch = batch_for(model, crystals)
    return model(batch, model.graph.build(batch))


def _small(crystals: Mapping[str, Crystal]) -> list[Crystal]:
    return [crystal for crystal in crystals.values() if len(crystal) < 50]


def _follows(model: PropertyModel, crystals: Mapping[str, Crystal], *transforms: Transform) -> None:
    rng = np.random.default_rng(_SEED)
    check_invariances(model, _small(crystals), transforms=transforms, rng=rng).raise_if_failed()


def _close(got: Tensor, expected: Tensor, crystal: Crystal, what: str, *, tolerance: float = 1e-7) -> None:
    scale = 1.0 + float(expected.abs().max())
    error = float((got - expected).abs().max())
    assert error <= tolerance * scale, f"{crystal.id}: {what} is off by {error:.2e} (tolerance {tolerance * scale:.1e})"
