import torch
from torch import nn

from euhedral.nn.normalisation import RowBatchNorm


def test_several_rows_are_normalised_as_torch_does():
    rows = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    ours, theirs = RowBatchNorm(3), nn.BatchNorm1d(3)
    assert torch.equal(ours(rows), theirs(rows))
    assert torch.equal(ours.running_var, theirs.running_var)
    assert torch.allclose(ours.eval()(rows[:2]), theirs.eval()(rows[:2]))


def test_one_row_or_none_is_normalised_by_what_was_seen_before():
    norm = RowBatchNorm(3)
    norm(torch.randn(5, 3, generator=torch.Generator().manual_seed(0)))
    seen = norm.running_mean.clone()
    row = torch.tensor([[1.0, 2.0, 3.0]])
    value = norm(row)
    assert torch.equal(norm.running_mean, seen)
    assert torch.allclose(value, norm.eval()(row))
    assert norm.train()(torch.empty(0, 3)).shape == (0, 3)


def test_a_row_counts_as_often_as_it_says():
    rows = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    count = torch.tensor([1, 3, 2, 5])
    once, repeated = RowBatchNorm(3).double(), nn.BatchNorm1d(3).double()
    assert torch.allclose(
        once(rows, count.double()).repeat_interleave(count, 0), repeated(rows.repeat_interleave(count, 0))
    )
    assert torch.allclose(once.running_mean, repeated.running_mean)
    assert torch.allclose(once.running_var, repeated.running_var)
    assert torch.equal(once.eval()(rows, count.double()), once(rows))
