"""Properties of the elements as a network reads them: the 92 binary features that came with CGCNN, which many systems share."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Final

import torch
from torch import Tensor

WIDTH: Final = 92


def element_properties() -> Tensor:
    """(101, 92) one-hot group, period, electronegativity, radius and so on by atomic number; row 0 is empty.

    La and Ce, Sm and Gd, Ho and Er, Th and Np have the same row, and so have some elements after Pu.

    Source: Xie and Grossman 2018, doi:10.1103/PhysRevLett.120.145301, `atom_init.json` of the released code.
    """
    text = files("euhedral.nn").joinpath("element_properties.json").read_text(encoding="utf-8")
    columns = json.loads(text)["ones"]
    table = torch.zeros(len(columns) + 1, WIDTH)
    for number, ones in enumerate(columns, start=1):
        table[number, ones] = 1.0
    return table
