import torch

from euhedral.nn.gated_convolution import CountedEdges, GatedConvolution
from euhedral.nn.row_index import RowIndex


def test_it_is_the_equation_written_out_edge_by_edge():
    torch.manual_seed(0)
    layer = GatedConvolution(3, edge_width=2).double().eval()
    atoms, edges = torch.randn(4, 3, dtype=torch.float64), torch.randn(5, 2, dtype=torch.float64)
    source, target = torch.tensor([1, 2, 0, 3, 0]), torch.tensor([0, 0, 1, 2, 3])
    expected = atoms.clone()
    scale = (1.0 + layer.edge_norm.eps) ** -0.5
    for s, t, edge in zip(source, target, edges, strict=True):
        z = layer.gate_and_core(torch.cat([atoms[t], atoms[s], edge])) * scale
        expected[t] += torch.sigmoid(z[:3]) * torch.nn.functional.softplus(z[3:]) * scale
    found = layer(atoms, edges, CountedEdges(source=RowIndex(source, n=4), target=RowIndex(target, n=4)))
    assert torch.allclose(found, torch.nn.functional.softplus(expected))


def test_an_edge_counted_twice_is_two_equal_edges():
    torch.manual_seed(0)
    layer = GatedConvolution(3, edge_width=2).double()
    atoms, edge = torch.randn(2, 3, dtype=torch.float64), torch.randn(1, 2, dtype=torch.float64)
    there, back = torch.tensor([0]), torch.tensor([1])
    twice = CountedEdges(source=RowIndex(there.repeat(2), n=2), target=RowIndex(back.repeat(2), n=2))
    once = CountedEdges(
        source=RowIndex(there, n=2), target=RowIndex(back, n=2),
        of_edge=torch.tensor([2.0], dtype=torch.float64), of_atom=torch.ones(2, dtype=torch.float64),
    )  # fmt: skip
    whole = layer.eval()(atoms, edge.repeat(2, 1), twice)
    assert torch.allclose(whole, layer(atoms, edge, once))
