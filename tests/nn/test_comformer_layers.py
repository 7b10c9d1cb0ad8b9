from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from euhedral.nn.comformer_layers import NodeTransformer


def test_a_layer_is_the_paper_s_attention_edge_by_edge():
    torch.manual_seed(0)
    layer = NodeTransformer(5, edge_width=3).double().eval()
    layer.attention_norm.running_var.uniform_(0.5, 2.0)
    layer.norm.running_mean.normal_()
    atoms, edges = torch.randn(4, 5, dtype=torch.float64), torch.randn(6, 3, dtype=torch.float64)
    source, target = torch.tensor([1, 2, 3, 0, 0, 2]), torch.tensor([0, 0, 0, 1, 2, 2])
    query, key, value = layer.query(atoms), layer.key(atoms), layer.value(atoms)
    total = torch.zeros(4, 5, dtype=torch.float64)
    for e, (j, i) in enumerate(zip(source.tolist(), target.tolist(), strict=True)):
        edge = layer.edge(edges[e])
        k = layer.key_last(F.silu(layer.key_first(torch.cat([key[i], key[j], edge]))))
        v = layer.message_last(F.silu(layer.message_first(torch.cat([value[i], value[j], edge]))))
        total[i] += torch.sigmoid(layer.attention_norm((query[i] * k / math.sqrt(5))[None])[0]) * v
    expected = F.softplus(atoms + layer.norm(layer.joined(total)))
    assert torch.allclose(layer(atoms, edges, source=source, target=target), expected, atol=1e-12)


def test_an_atom_without_neighbours_keeps_its_features_up_to_the_activation():
    torch.manual_seed(0)
    layer = NodeTransformer(5, edge_width=3, normalise=False).double()
    atoms, none = torch.randn(1, 5, dtype=torch.float64), torch.zeros(0, dtype=torch.int64)
    found = layer(atoms, torch.zeros(0, 3, dtype=torch.float64), source=none, target=none)
    assert torch.allclose(found, F.softplus(atoms + layer.joined.bias))
