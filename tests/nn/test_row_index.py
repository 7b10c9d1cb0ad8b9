import pytest
import torch

from euhedral.nn.row_index import RowIndex


@pytest.fixture
def owners():
    return RowIndex(torch.tensor([3, 0, 3, 1, 3, 0]), n=5)


def test_taking_and_adding_are_what_indexing_and_index_add_do(owners):
    rows = torch.randn(5, 4, dtype=torch.float64)
    values = torch.randn(6, 4, dtype=torch.float64)
    assert torch.equal(owners.take(rows), rows[owners.index])
    expected = torch.zeros(5, 4, dtype=torch.float64).index_add(0, owners.index, values)
    assert torch.allclose(owners.add(values), expected)
    assert not owners.add(values)[[2, 4]].any()


def test_derivatives_hold_to_second_order(owners):
    rows = torch.randn(5, 2, dtype=torch.float64, requires_grad=True)
    values = torch.randn(6, 2, dtype=torch.float64, requires_grad=True)
    for check in (torch.autograd.gradcheck, torch.autograd.gradgradcheck):
        assert check(lambda x: owners.take(x).sin(), (rows,))
        assert check(lambda x: owners.add(x).sin(), (values,))


def test_nothing_is_added_up_to_zeros():
    owners = RowIndex(torch.empty(0, dtype=torch.int64), n=3)
    rows = torch.ones(3, 2, requires_grad=True)
    assert torch.equal(owners.add(owners.take(rows)), torch.zeros(3, 2))
    owners.add(owners.take(rows)).sum().backward()
    assert torch.equal(rows.grad, torch.zeros(3, 2))
