"""Whole-image classes of a scanning electron microscope: particles, powder, fibres, nanowires, sponges and patterns.

Six of the ten classes of Modarres et al. 2017 (doi:10.1038/s41598-017-13565-z), imitated by their looks. What is high or
steep is bright.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from euhedral.errors import unknown_name
from euhedral.representations.images.image import Image, checked_size
from euhedral.representations.images.microstructure import Section, taken
from euhedral.representations.images.textures import clouds

#: The classes that `scene` draws.
SCENES: Final = ("particles", "powder", "fibres", "nanowires", "porous sponge", "patterned surface")


def scene(
    label: str, *, rng: np.random.Generator, size: int | Sequence[int] = 256, section: Section | None = None,
    pixel_size: float = 10.0,
) -> Image:  # fmt: skip
    """Draw one image of a class; scale, density and lighting are drawn too.

    Args:
        label: one of `SCENES`.
        rng: where the randomness comes from.
        size: pixels, one number or height and width.
        section: how it is taken; None takes the usual.
        pixel_size: nm.

    Returns:
        (H, W) grey levels from 0 to 1, with the class as `label` and a mask of ground and object.

    Raises:
        UnknownNameError: no such class.
        InvalidRequestError: no pixels.
    """
    shape = checked_size(size)
    if label not in SCENES:
        raise unknown_name("scene", label, SCENES, where="euhedral.representations.images.sem_scenes.SCENES")
    mask = np.zeros(shape, np.int32)
    ground = 0.12 + 0.03 * clouds(shape, scale=min(shape) / 12.0, rng=rng)
    if label == "particles":
        level = _particles(ground, mask=mask, rng=rng)
    elif label == "powder":
        level = _powder(ground, mask=mask, rng=rng)
    elif label == "fibres":
        level = _fibres(ground, mask=mask, rng=rng)
    elif label == "nanowires":
        level = _nanowires(ground, mask=mask, rng=rng)
    elif label == "porous sponge":
        level = _sponge(mask=mask, rng=rng)
    else:
        level = _pattern(ground, mask=mask, rng=rng)
    pixels = taken(level, section=Section() if section is None else section, rng=rng)
    return Image(pixels, pixel_size=pixel_size, unit="nm", mask=mask, classes=("ground", "object"), label=label)


def _particles(
    ground: NDArray[np.float64], *, mask: NDArray[np.int32], rng: np.random.Generator
) -> NDArray[np.float64]:
    from euhedral.representations.images.texture_kernels import draw_tubes

    height, width = ground.shape
    typical = min(ground.shape) * rng.uniform(0.02, 0.06)
    count = int(rng.uniform(0.15, 0.6) * height * width / (np.pi * typical**2)) + 1
    radius = typical * np.exp(rng.normal(0.0, 0.2, count))
    draw_tubes(
        rng.uniform(0, width, count), rng.uniform(0, height, count), np.zeros(count), np.zeros(count), radius,
        rng.uniform(0.75, 0.95, count), radius, ground, mask, 1,
    )  # fmt: skip
    return ground


def _fibres(ground: NDArray[np.float64], *, mask: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.float64]:
    from euhedral.representations.images.texture_kernels import draw_tubes

    height, width = ground.shape
    radius = min(ground.shape) * rng.uniform(0.008, 0.025)
    count = int(rng.uniform(0.4, 1.0) * min(ground.shape) / (2.0 * radius)) + 2
    depth = np.sort(rng.uniform(0.0, 1.0, count))
    draw_tubes(
        rng.uniform(0, width, count), rng.uniform(0, height, count), rng.uniform(0.0, np.pi, count),
        np.hypot(height, width) * rng.uniform(0.6, 2.0, count), radius * rng.uniform(0.7, 1.3, count),
        0.35 + 0.6 * depth, 10.0 * min(ground.shape) * depth, ground, mask, 1,
    )  # fmt: skip
    return ground


def _nanowires(
    ground: NDArray[np.float64], *, mask: NDArray[np.int32], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Thin wires grown side by side, seen aslant: nearly parallel, of nearly one length, with a bright tip."""
    from euhedral.representations.images.texture_kernels import draw_tubes

    height, width = ground.shape
    radius = min(ground.shape) * rng.uniform(0.006, 0.012)
    length = min(ground.shape) * rng.uniform(0.15, 0.4)
    count = int(rng.uniform(0.4, 0.9) * height * width / (2.0 * radius * length)) + 4
    angle = rng.uniform(0.25, 0.75) * np.pi + rng.normal(0.0, 0.06, count)
    x, y = (
        rng.uniform(0, width, count),
        np.sort(rng.uniform(0, height + length, count)),
    )  # the lower stand before the upper
    long = length * rng.uniform(0.8, 1.2, count)
    level, rise = rng.uniform(0.55, 0.85, count), y * 10.0
    draw_tubes(x, y, angle, long, np.full(count, radius), level, rise, ground, mask, 1)
    tip = (x - np.cos(angle) * long / 2.0, y - np.sin(angle) * long / 2.0)
    draw_tubes(*tip, angle, np.zeros(count), np.full(count, 1.4 * radius), np.full(count, 1.0), rise, ground, mask, 1)
    return ground


def _powder(ground: NDArray[np.float64], *, mask: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.float64]:
    """A heap of lumps of all sizes with rough faces, which leaves hardly any ground to be seen."""
    from euhedral.representations.images.texture_kernels import draw_tubes

    height, width = ground.shape
    typical = min(ground.shape) * rng.uniform(0.02, 0.04)
    count = int(rng.uniform(1.2, 2.0) * height * width / (np.pi * typical**2)) + 1
    radius = typical * np.exp(rng.normal(-0.2, 0.5, count))
    heights = rng.uniform(0.0, 4.0 * typical, count)
    draw_tubes(
        rng.uniform(0, width, count), rng.uniform(0, height, count), rng.uniform(0.0, np.pi, count),
        radius * rng.uniform(0.0, 2.0, count), radius, 0.45 + 0.45 * heights / heights.max(), heights, ground, mask, 1,
    )  # fmt: skip
    rough = clouds(ground.shape, scale=typical / 4.0, rng=rng)
    return np.where(mask == 1, ground * (1.0 + 0.12 * rough), ground)


def _sponge(*, mask: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.float64]:
    relief = clouds(mask.shape, scale=min(mask.shape) * rng.uniform(0.012, 0.03), rng=rng)
    pore = np.quantile(relief, rng.uniform(0.3, 0.55))
    mask[relief >= pore] = 1
    above = relief - pore
    # pores are dark the deeper they are; their rims shine
    return np.where(above < 0.0, 0.25 * np.exp(1.5 * above), 0.45 + 0.45 * np.exp(-4.0 * above))


def _pattern(ground: NDArray[np.float64], *, mask: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.float64]:
    y, x = np.indices(mask.shape, dtype=np.float64)
    pitch = min(mask.shape) * rng.uniform(0.08, 0.2)
    angle, offset = rng.uniform(0.0, np.pi / 2.0), rng.random(2)
    u = (x * np.cos(angle) + y * np.sin(angle)) / pitch + offset[0]
    v = (y * np.cos(angle) - x * np.sin(angle)) / pitch + offset[1]
    u, v = np.abs(u % 1.0 - 0.5), np.abs(v % 1.0 - 0.5)  # distance from the middle of each cell
    half = rng.uniform(0.2, 0.35)
    shape = rng.integers(3)
    out = (np.hypot(u, v) if shape == 0 else np.maximum(u, v) if shape == 1 else u) - half
    mask[out <= 0.0] = 1
    rim = 0.35 * np.exp(-((out * pitch / 1.5) ** 2))
    return np.where(out <= 0.0, 0.55, ground + 0.08) + rim
