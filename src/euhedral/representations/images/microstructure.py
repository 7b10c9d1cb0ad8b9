"""Microstructures of several phases as a scanning electron microscope shows them, with the phase of every pixel.

Grains from a tessellation, a texture for each phase, etched boundaries, uneven lighting and noise. They imitate the looks of polished
and etched sections, as training pictures for segmentation (Azimi et al. 2018, doi:10.1038/s41598-018-20037-5); no physics of
phase transformations or of electron emission is in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from euhedral.errors import InvalidRequestError
from euhedral.representations.images.image import Image, checked_size
from euhedral.representations.images.tessellation import assign_phases, grains
from euhedral.representations.images.textures import (
    Lamellar,
    Laths,
    Particles,
    Smooth,
    Tempered,
    Texture,
    clouds,
)


@dataclass(frozen=True)
class Phase:
    """One phase.

    Args:
        name: its class.
        fraction: share of the area; those of all phases add up to 1.
        texture: what its grains look like.
    """

    name: str
    fraction: float
    texture: Texture


@dataclass(frozen=True)
class Section:
    """How a section was prepared and taken.

    Args:
        etching: how much darker the middle of a grain boundary is, in grey levels.
        boundary: pixels, standard deviation of the boundary's profile.
        shading: how much the lighting varies across the image, relative.
        noise: standard deviation of the grey level of a pixel.
        blur: pixels, standard deviation of the beam.
    """

    etching: float = 0.35
    boundary: float = 0.8
    shading: float = 0.1
    noise: float = 0.04
    blur: float = 0.6

    def __post_init__(self) -> None:
        values = [self.etching, self.boundary, self.shading, self.noise, self.blur]
        if not (np.isfinite(values).all() and min(values) >= 0.0):
            raise InvalidRequestError(f"the numbers of a section must be 0 or more, got {self}")


def steel(
    *,
    ferrite: float = 0.4,
    pearlite: float = 0.15,
    martensite: float = 0.15,
    tempered: float = 0.15,
    bainite: float = 0.15,
) -> tuple[Phase, ...]:
    """Return the constituents of a low-carbon steel, with the shares given: a ground of ferrite and the four of Azimi et al."""
    return (
        Phase("ferrite", ferrite, Smooth()),
        Phase("pearlite", pearlite, Lamellar()),
        Phase("martensite", martensite, Laths()),
        Phase("tempered martensite", tempered, Tempered()),
        Phase("bainite", bainite, Particles(aligned=4.0, radius=1.5)),
    )


def microstructure(
    *, rng: np.random.Generator, size: int | Sequence[int] = 512, phases: Sequence[Phase] | None = None, n_grains: int = 80,
    spread: float = 0.3, relaxations: int = 1, section: Section | None = None, pixel_size: float = 25.0,
) -> Image:  # fmt: skip
    """Draw a section through a material of several phases.

    Args:
        rng: where the randomness comes from.
        size: pixels, one number or height and width.
        phases: what there is; None takes `steel`.
        n_grains: see `grains`.
        spread: see `grains`.
        relaxations: see `grains`.
        section: how it was prepared and taken; None takes the usual.
        pixel_size: nm.

    Returns:
        (H, W) grey levels from 0 to 1; the mask numbers the phases in their order, whose shares are met as nearly as whole
        grains allow.

    Raises:
        InvalidRequestError: no pixels, two phases of one name, fractions that do not add up to 1, or as `grains`.
    """
    shape = checked_size(size)
    phases = steel() if phases is None else tuple(phases)
    section = Section() if section is None else section
    names = tuple(phase.name for phase in phases)
    if len(set(names)) != len(names):
        raise InvalidRequestError(f"each phase needs a name of its own, got {list(names)}")
    owner = grains(shape, n_grains=n_grains, rng=rng, spread=spread, relaxations=relaxations)
    phase_of = assign_phases(owner, fractions=[phase.fraction for phase in phases], rng=rng)
    level = _filled(owner, phase_of=phase_of, phases=phases, rng=rng)
    pixels = taken(_etched(level, owner=owner, section=section), section=section, rng=rng)
    return Image(pixels, pixel_size=pixel_size, unit="nm", mask=phase_of[owner].astype(np.int32), classes=names)


def taken(level: NDArray[np.float64], *, section: Section, rng: np.random.Generator) -> NDArray[np.float32]:
    """Take a picture of grey levels: beam, uneven lighting, noise, and the limits of 0 and 1.

    Args:
        level: (H, W).
        section: how it is taken.
        rng: where the randomness comes from.
    """
    from scipy.ndimage import gaussian_filter

    seen = gaussian_filter(level, section.blur) if section.blur > 0.0 else level
    height, width = level.shape
    y, x = np.linspace(-0.5, 0.5, height)[:, None], np.linspace(-0.5, 0.5, width)[None, :]
    angle = rng.uniform(0.0, 2.0 * np.pi)
    slope = x * np.cos(angle) + y * np.sin(angle)
    light = 1.0 + section.shading * (slope + 0.3 * clouds((height, width), scale=max(height, width) / 4.0, rng=rng))
    return np.clip(seen * light + rng.normal(0.0, section.noise, level.shape), 0.0, 1.0).astype(np.float32)


def _filled(
    owner: NDArray[np.int32], *, phase_of: NDArray[np.int64], phases: Sequence[Phase], rng: np.random.Generator
) -> NDArray[np.float64]:
    from scipy.ndimage import find_objects

    level = np.zeros(owner.shape)
    for grain, box in enumerate(find_objects(owner + 1)):
        if box is None:  # a seed without a pixel
            continue
        inside = owner[box] == grain
        level[box][inside] = phases[phase_of[grain]].texture.draw(inside.shape, rng=rng)[inside]
    return level


def _etched(level: NDArray[np.float64], *, owner: NDArray[np.int32], section: Section) -> NDArray[np.float64]:
    from scipy.ndimage import gaussian_filter

    edge = np.zeros(owner.shape)
    edge[:-1][owner[:-1] != owner[1:]] = 1.0
    edge[:, :-1][owner[:, :-1] != owner[:, 1:]] = 1.0
    if section.boundary > 0.0:
        # a straight line of one pixel has this height after smoothing
        edge = np.minimum(
            gaussian_filter(edge, section.boundary) * max(1.0, np.sqrt(2.0 * np.pi) * section.boundary), 1.0
        )
    return level - section.etching * edge
