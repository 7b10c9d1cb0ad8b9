import torch
import torch.nn.functional as F

from euhedral.nn.periodic_egnn import CrystalEGNN, Edges, Message, time_features


def test_a_message_is_the_two_layers_on_both_atoms_and_the_length():
    torch.manual_seed(0)
    layer = Message(4, basis_size=3).double()
    atoms, basis = torch.randn(3, 4, dtype=torch.float64), torch.randn(2, 3, dtype=torch.float64)
    source, target = torch.tensor([2, 0]), torch.tensor([0, 1])
    edges = Edges.of(source, target, distance=torch.ones(2, dtype=torch.float64), n=3)
    joined = torch.cat([atoms[target], atoms[source], basis], dim=1)
    assert torch.allclose(layer(atoms, basis, edges), F.silu(layer.second(F.silu(layer.first(joined)))))


def test_an_edge_counted_twice_is_two_equal_edges():
    torch.manual_seed(0)
    network = CrystalEGNN(8, n_layers=2, reach=6.0).double()
    numbers, time = torch.tensor([3, 8]), torch.zeros(2, dtype=torch.float64)
    target, source = torch.tensor([0, 0, 0, 1]), torch.tensor([1, 1, 0, 0])
    length = torch.tensor([2.0, 2.0, 3.0, 2.5], dtype=torch.float64)
    whole, _ = network(numbers, edges=Edges.of(source, target, distance=length, n=2), time=time)
    merged = Edges.of(
        source[1:], target[1:], distance=length[1:], n=2, count=torch.tensor([2.0, 1.0, 1.0], dtype=torch.float64)
    )
    less, _ = network(numbers, edges=merged, time=time)
    assert torch.allclose(whole, less)


def test_times_are_told_apart_near_both_ends():
    found = time_features(torch.tensor([0.0, 0.001, 0.999, 1.0], dtype=torch.float64))
    assert found.shape == (4, 64)
    assert (found[0] - found[1]).norm() > 0.5
    assert (found[2] - found[3]).norm() > 0.5
    assert (found[0] - found[3]).norm() > 1.0
