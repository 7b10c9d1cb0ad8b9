"""An EGNN over neighbours in all images of a crystal: features of atoms and messages that no rotation changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from euhedral.core.elements import MAX_NUMBER
from euhedral.nn.dense import MLP
from euhedral.nn.gaussian import GaussianBasis
from euhedral.nn.row_index import RowIndex

#: Numbers that `time_features` makes of a time.
TIME_WIDTH: Final = 64


@dataclass(frozen=True, eq=False)
class Edges:
    """Edges between atoms, with their lengths and their shares in the mean of the messages to an atom.

    Args:
        source: the neighbours.
        target: the centres.
        distance: (E,) Angstrom.
        share: (E,) that add up to one for each atom.
    """

    source: RowIndex
    target: RowIndex
    distance: Tensor
    share: Tensor

    @classmethod
    def of(cls, source: Tensor, target: Tensor, *, distance: Tensor, n: int, count: Tensor | None = None) -> Edges:
        """Find the shares of (E,) edges among n atoms, each counted once, or as often as it says."""
        to, often = RowIndex(target, n=n), torch.ones_like(distance) if count is None else count
        share = often / to.take(to.add(often[:, None]))[:, 0]
        return cls(source=RowIndex(source, n=n), target=to, distance=distance, share=share)


class CrystalEGNN(nn.Module):
    """Elements and time, and messages m_ij = f(h_i, h_j, |r_ij|), whose mean updates each atom.

    Source: Satorras, Hoogeboom and Welling 2021, arXiv:2102.09844, equations 3 and 6, with neighbours in all images.

    Args:
        width: features of an atom.
        n_layers: updates.
        reach: Angstrom, the longest length that the Gaussians tell apart.
    """

    def __init__(self, width: int, *, n_layers: int, reach: float) -> None:
        super().__init__()
        self.elements = nn.Embedding(MAX_NUMBER + 1, width)
        self.time = nn.Linear(TIME_WIDTH, width)
        self.basis = GaussianBasis(start=0.0, stop=reach, step=0.2)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(n_layers))
        self.messages = nn.ModuleList(Message(width, basis_size=self.basis.size) for _ in range(n_layers))
        self.updates = nn.ModuleList(MLP([2 * width, width, width], activation=F.silu) for _ in range(n_layers))

    def forward(self, numbers: Tensor, *, edges: Edges, time: Tensor) -> tuple[Tensor, Tensor]:
        """Give (N, width) features of the atoms and (E, width) last messages, from numbers and times (N,)."""
        atoms = self.elements(numbers) + self.time(time_features(time.to(self.elements.weight.dtype)))
        basis = self.basis(edges.distance)
        messages = basis
        for norm, message, update in zip(self.norms, self.messages, self.updates, strict=True):
            rows = norm(atoms)
            messages = message(rows, basis, edges)
            mean = edges.target.add(messages * edges.share[:, None])
            atoms = atoms + update(torch.cat([rows, mean], dim=1))
        return atoms, messages


class Message(nn.Module):
    """m_ij = silu(W' silu(W [h_i, h_j, basis of |r_ij|])).

    Args:
        width: features of an atom and of a message.
        basis_size: functions of a length.
    """

    def __init__(self, width: int, *, basis_size: int) -> None:
        super().__init__()
        self.width = width
        self.first = nn.Linear(2 * width + basis_size, width)
        self.second = nn.Linear(width, width)

    def forward(self, atoms: Tensor, basis: Tensor, edges: Edges) -> Tensor:
        """Give (E, width) messages from (N, width) atoms and (E, basis_size) lengths."""
        # the products with atoms once an atom instead of once an edge
        centre, neighbour, length = self.first.weight.split([self.width, self.width, basis.shape[1]], dim=1)
        mixed = F.linear(basis, length, self.first.bias) + edges.target.take(F.linear(atoms, centre))
        return F.silu(self.second(F.silu(mixed + edges.source.take(F.linear(atoms, neighbour)))))


def time_features(time: Tensor) -> Tensor:
    """(M, 64) sines and cosines of (M,) times from 0 to 1, with periods from 2 pi / 1000 up to 2 pi.

    Source: Ho, Jain and Abbeel 2020, arXiv:2006.11239, after Vaswani et al. 2017, arXiv:1706.03762, section 3.5.
    """
    rate = 1000.0 ** torch.linspace(0.0, 1.0, TIME_WIDTH // 2, dtype=time.dtype, device=time.device)
    angle = time[:, None] * rate
    return torch.cat([angle.sin(), angle.cos()], dim=1)
