"""The causal transformer sees no future, and reads step by step what it reads at once."""

from __future__ import annotations

import torch

from euhedral.nn.causal_transformer import CausalTransformer


def make() -> CausalTransformer:
    torch.manual_seed(0)
    return CausalTransformer(
        layers=2, heads=3, key_size=4, model_size=8, widening=2, dropout=0.3, attention_dropout=0.2
    ).double().eval()  # fmt: skip


def test_an_output_depends_on_no_later_token():
    model = make()
    x = torch.randn(2, 6, 8, dtype=torch.float64)
    changed = x.clone()
    changed[:, 4:] += torch.randn(2, 2, 8, dtype=torch.float64)
    before, after = model(x), model(changed)
    assert torch.allclose(before[:, :4], after[:, :4])
    assert not torch.allclose(before[:, 4], after[:, 4])


def test_an_output_depends_on_every_earlier_token():
    model = make()
    x = torch.randn(1, 5, 8, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(model(x)[0, 4, 0], x)
    assert (gradient[0].abs().sum(-1) > 1e-9).all()


def test_reading_token_by_token_gives_what_reading_at_once_gives_for_ragged_batches():
    model = make()
    lengths = [5, 2, 4]
    x = torch.randn(3, 5, 8, dtype=torch.float64)
    together = model(x)
    memory = model.memory(batch=3, capacity=5)
    order = [[0, 1, 2], [0, 2], [0, 1], [2, 0], [0, 2]]  # sequences advance at their own pace
    done = [0, 0, 0]
    with torch.no_grad():
        for rows in order:
            place = torch.tensor([done[row] for row in rows])
            given = model.step(x[torch.tensor(rows), place], rows=torch.tensor(rows), memory=memory)
            assert torch.allclose(given, together[torch.tensor(rows), place], atol=1e-10)
            for row in rows:
                done[row] += 1
    assert done == lengths
    assert memory.length.tolist() == lengths


def test_dropout_acts_in_training_only():
    model = make()
    x = torch.randn(1, 4, 8, dtype=torch.float64)
    assert torch.equal(model(x), model(x))
    model.train()
    assert not torch.equal(model(x), model(x))
