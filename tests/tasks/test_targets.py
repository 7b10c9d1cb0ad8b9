import math

import pytest
import torch

from euhedral.errors import InvalidRequestError, UnknownNameError
from euhedral.tasks.targets import (
    CartesianTensor,
    Category,
    Scalar,
    Spectrum,
    plain,
    read_targets,
    split_outputs,
    target_of,
)

NAN = math.nan


def absolute(error):
    return error.abs()


@pytest.mark.parametrize(
    "target",
    [
        Scalar("band_gap"), Scalar("charge", per_atom=True), Category("metal"), Category("site", classes=("a", "b", "c"), per_atom=True),
        Spectrum("dos", size=51), CartesianTensor("dielectric", rank=2, symmetry="ij=ji"),
    ],
    ids=lambda target: target.name,
)  # fmt: skip
def test_a_target_survives_a_configuration_file(target):
    import json

    assert target_of(json.loads(json.dumps(plain(target)))) == target


def test_a_plain_name_is_a_scalar_of_the_crystal():
    assert target_of("band_gap") == Scalar("band_gap")
    assert plain(Scalar("band_gap")) == "band_gap"


def test_a_scalar_is_scaled_by_mean_and_deviation_of_what_is_known():
    mean, std = Scalar("x").scale(torch.tensor([1.0, NAN, 3.0]))
    assert (mean.item(), std.item()) == (2.0, 1.0)
    assert Scalar("x").scale(torch.tensor([5.0, 5.0]))[1].item() == 1.0  # a constant is not divided by zero


def test_a_spectrum_and_a_tensor_are_scaled_by_one_number_without_a_shift():
    labels = torch.tensor([[3.0, 4.0], [NAN, NAN]])
    mean, std = Spectrum("x", size=2).scale(labels)
    assert mean.tolist() == [0.0, 0.0]
    assert std.tolist() == pytest.approx([12.5**0.5] * 2)
    tensor = torch.diag(torch.tensor([1.0, 2.0, 3.0])).expand(4, 3, 3)
    mean, std = CartesianTensor("e", rank=2).scale(tensor)
    assert mean.abs().max() == 0.0
    assert std.tolist() == pytest.approx([(14 / 9) ** 0.5] * 9)


def test_unknown_labels_count_neither_in_penalty_nor_in_error():
    labels = torch.tensor([1.0, NAN, 4.0])
    predicted = torch.zeros(3, requires_grad=True)
    penalty = Scalar("x").penalty(predicted, labels, scale=torch.tensor([2.0]), loss=absolute)
    penalty.backward()
    assert penalty.item() == pytest.approx(1.25)
    assert predicted.grad.tolist() == [-0.25, 0.0, -0.25]
    assert Scalar("x").error(predicted, labels).nanmean().item() == pytest.approx(2.5)


def test_a_network_that_gives_nan_is_not_hidden():
    predicted = torch.tensor([NAN, 0.0])
    assert torch.isnan(Scalar("x").penalty(predicted, torch.tensor([1.0, 1.0]), scale=torch.ones(1), loss=absolute))


def test_cross_entropy_of_equal_logits_is_the_logarithm_of_the_number_of_classes():
    kind = Category("system", classes=("a", "b", "c"))
    labels = torch.tensor([2.0, NAN, 0.0])
    penalty = kind.penalty(torch.zeros(3, 3), labels, scale=torch.ones(3), loss=absolute)
    assert penalty.item() == pytest.approx(math.log(3))
    sure = torch.eye(3)[[2, 1, 1]] * 9.0
    assert kind.error(sure, labels).nan_to_num(-1).tolist() == [0.0, -1.0, 1.0]


def test_a_batch_without_any_known_class_gives_no_gradient():
    logits = torch.randn(2, 2, requires_grad=True)
    Category("metal").penalty(logits, torch.full((2,), NAN), scale=torch.ones(2), loss=absolute).backward()
    assert logits.grad.abs().max() == 0.0


def test_networks_that_disagree_on_a_class_are_less_sure_together():
    two = torch.tensor([[[8.0, 0.0]], [[0.0, 8.0]]])
    assert Category("metal").combined(two).exp().tolist()[0] == pytest.approx([0.5, 0.5])


def test_a_label_that_is_no_class_is_named():
    with pytest.raises(InvalidRequestError, match="3 is no class; expected 0 to 1"):
        Category("metal").scale(torch.tensor([0.0, 3.0]))


def test_the_error_of_a_tensor_is_a_frobenius_norm_and_turns_with_the_crystal():
    kind = CartesianTensor("e", rank=2)
    error = kind.error(torch.zeros(1, 3, 3), torch.ones(1, 3, 3))
    assert error.item() == pytest.approx(3.0)


def test_outputs_are_parted_among_targets_in_order():
    kinds = read_targets(["gap", {"kind": "category", "name": "metal"}, Spectrum("dos", size=3)])
    parts = split_outputs(torch.arange(12.0).reshape(2, 6), kinds=kinds)
    assert parts["gap"].tolist() == [0.0, 6.0]
    assert parts["metal"].tolist() == [[1.0, 2.0], [7.0, 8.0]]
    assert parts["dos"].shape == (2, 3)


def test_what_cannot_be_learnt_is_refused_in_one_line():
    with pytest.raises(InvalidRequestError, match="cannot learn 'e', a CartesianTensor"):
        read_targets([CartesianTensor("e", rank=2)], system="CGCNN")
    with pytest.raises(InvalidRequestError, match="of each atom"):
        read_targets([Scalar("q", per_atom=True)], system="CGCNN")
    with pytest.raises(InvalidRequestError, match="different names"):
        read_targets(["a", "a"])
    with pytest.raises(UnknownNameError, match="kind of target"):
        target_of({"kind": "vector", "name": "x"})
    with pytest.raises(InvalidRequestError, match="unexpected keyword"):
        target_of({"kind": "scalar", "name": "x", "unit": "eV"})
    with pytest.raises(InvalidRequestError, match="rank from 1 to 4"):
        CartesianTensor("e", rank=7)
    with pytest.raises(InvalidRequestError, match="does not name 2 indices"):
        CartesianTensor("e", rank=2, symmetry="ijk=kji")
