"""Spectra as a few numbers: an autoencoder of dense layers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from euhedral.nn.dense import MLP


class SpectrumDecoder(nn.Module):
    """From codes to spectra between 0 and a height: dense layers with ReLU, then a sigmoid.

    Args:
        size: points of a spectrum.
        widths: of the hidden layers, the one next to the spectrum first, as the encoder has them.
        code: numbers of a code.
        height: the largest value.
    """

    def __init__(self, size: int, *, widths: Sequence[int], code: int, height: float) -> None:
        super().__init__()
        self.height = height
        self.layers = MLP([code, *reversed(widths), size], activation=F.relu)

    def forward(self, codes: Tensor) -> Tensor:
        """Map (M, code) to (M, size)."""
        return self.height * torch.sigmoid(self.layers(codes))


class SpectrumAutoencoder(nn.Module):
    """Spectra to codes and back, each through dense layers with ReLU.

    Source: Kaundinya, Choudhary and Kalidindi 2022, doi:10.1007/s11837-022-05199-y, figure 3.

    Args:
        size: points of a spectrum.
        widths: of the hidden layers, the one next to the spectrum first.
        code: numbers of a code.
        height: the largest value of a spectrum.
    """

    def __init__(self, size: int, *, widths: Sequence[int], code: int, height: float = 1.0) -> None:
        super().__init__()
        self.height = height
        self.encoder = MLP([size, *widths, code], activation=F.relu)
        self.decoder = SpectrumDecoder(size, widths=widths, code=code, height=height)

    def encode(self, spectra: Tensor) -> Tensor:
        """Map (M, size) to (M, code)."""
        return self.encoder(spectra / self.height)

    def forward(self, spectra: Tensor) -> Tensor:
        """Map (M, size) to what is left of them, (M, size)."""
        return self.decoder(self.encode(spectra))
