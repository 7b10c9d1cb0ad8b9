"""Crystals that differ from their mirror images: what claims SE(3) and not E(3) must tell the two apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from euhedral.core.crystal import Crystal, cell_from_parameters
from euhedral.geometry.wyckoff import WyckoffCrystal, to_crystal

#: P3_121 and P3_221: screw axes of either hand, mirror images of each other.
Group = Literal[152, 154]


def alpha_quartz(space_group: Group) -> Crystal:
    """Build low quartz, SiO2, 9 atoms.

    Source: Levien, Prewitt and Weidner 1980 (Am. Mineral. 65, 920), at 1 bar.

    Args:
        space_group: 152 for P3_121, 154 for P3_221.
    """
    points = [(0.4697, 0.0, 0.0), (0.4135, 0.2669, 0.1191)]
    return _trigonal("quartz", space_group=space_group, lengths=(4.9160, 5.4054), numbers=[14, 8], points=points)


def tellurium(space_group: Group) -> Crystal:
    """Build tellurium, helices of 3 atoms.

    Source: Cherin and Unger 1967 (doi:10.1107/S0365110X6700338X).

    Args:
        space_group: 152 for P3_121, 154 for P3_221.
    """
    points = [(0.2633, 0.0, 0.0)]
    return _trigonal("tellurium", space_group=space_group, lengths=(4.4572, 5.929), numbers=[52], points=points)


def chiral_crystals() -> dict[str, Crystal]:
    """Build both hands of quartz and tellurium, by name."""
    groups: tuple[Group, ...] = (152, 154)
    made = [build(group) for build in (alpha_quartz, tellurium) for group in groups]
    return {crystal.id: crystal for crystal in made}


def _trigonal(
    name: str, *, space_group: Group, lengths: tuple[float, float], numbers: Sequence[int],
    points: Sequence[tuple[float, float, float]],
) -> Crystal:  # fmt: skip
    """Write out atoms whose heights count from a twofold axis, at 2c/3 in P3_221 and, mirrored, at c/3 in P3_121."""
    a, c = lengths
    frac = np.array(points)
    frac[:, 2] += 2.0 / 3.0
    if space_group == 152:
        frac[:, 2] = 1.0 - frac[:, 2]
    described = WyckoffCrystal(
        space_group=space_group,
        cell=cell_from_parameters([a, a, c], [90.0, 90.0, 120.0]),
        letters=("a", "c")[: len(numbers)],
        numbers=np.array(numbers),
        frac=frac,
        id=f"{name}-{'P3_121' if space_group == 152 else 'P3_221'}",
    )
    return to_crystal(described)
