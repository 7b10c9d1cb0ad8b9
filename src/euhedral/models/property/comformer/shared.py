"""What both variants of ComFormer begin and end with."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from euhedral.nn.gaussian import GaussianBasis
from euhedral.nn.segments import segment_mean

#: Lengths in Angstrom that differ by less are equal, and so are cosines at one length.
TOLERANCE = 1e-4


class LengthFeatures(nn.Module):
    """softplus(W G(-0.75 / d)), G Gaussians from -span to 0.

    Args:
        width: how many features and Gaussians.
        span: 1/Angstrom.
    """

    def __init__(self, width: int, *, span: float) -> None:
        super().__init__()
        step = span / (width - 1)
        self.basis = GaussianBasis(start=-span, stop=0.0, step=step, gamma=1.0 / step)
        self.linear = nn.Linear(width, width)

    def forward(self, lengths: Tensor) -> Tensor:
        """Expand (M,) lengths in Angstrom into (M, width)."""
        return F.softplus(self.linear(self.basis(-0.75 / lengths)))


class Readout(nn.Module):
    """The mean over the atoms, and a dense layer with SiLU.

    Args:
        width: features of an atom.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, width)

    def forward(self, atoms: Tensor, *, owner: Tensor, n: int) -> Tensor:
        """(n, width) crystals from (N, width) atoms."""
        return F.silu(self.hidden(segment_mean(atoms, owner=owner, n=n)))
