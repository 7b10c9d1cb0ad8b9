"""What the inside of a grain looks like after polishing and etching: grey levels from 0 to 1 by phase.

Each texture draws one grain in its own orientation. The length scales are in pixels, so that the pixel size says what they are on
the specimen. They imitate what Azimi et al. 2018 (doi:10.1038/s41598-018-20037-5) tell apart in steels, by its looks: nothing is
simulated of how it forms.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from euhedral.errors import InvalidRequestError

# Standard deviation of the logarithm of particles' radii.
_RADII: Final = 0.3


class Texture(Protocol):
    """The inside of grains of one phase."""

    def draw(self, size: tuple[int, int], *, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw (H, W) grey levels; every call is another orientation and another place."""
        ...


@dataclass(frozen=True)
class Smooth:
    """One grey level, as of polygonal ferrite; from grain to grain it differs by channelling contrast.

    Args:
        level: mean grey level.
        contrast: standard deviation between grains.
    """

    level: float = 0.45
    contrast: float = 0.05

    def draw(self, size: tuple[int, int], *, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw one grey level everywhere."""
        return np.full(size, self.level + rng.normal(0.0, self.contrast))


@dataclass(frozen=True)
class Lamellar:
    """Parallel bright and dark plates, as of pearlite.

    Args:
        spacing: pixels from plate to plate, across the plates; the section cuts most grains aslant, which widens it.
        fraction: share of the bright plates (cementite stands out when ferrite is etched).
        bright: grey level of the bright plates.
        dark: grey level of the others.
        bending: pixels by which plates wander from straight lines.
    """

    spacing: float = 6.0
    fraction: float = 0.35
    bright: float = 0.75
    dark: float = 0.3
    bending: float = 5.0

    def __post_init__(self) -> None:
        if not (self.spacing > 0.0 and 0.0 < self.fraction < 1.0 and self.bending >= 0.0):
            raise InvalidRequestError(
                f"lamellae need a positive spacing, a fraction within 0 to 1 and bending of 0 or more, got {self}"
            )

    def draw(self, size: tuple[int, int], *, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw plates across a random direction, their edges one pixel soft."""
        y, x = np.indices(size, dtype=np.float64)
        angle = rng.uniform(0.0, np.pi)
        # plates of random direction: the sine of their slant has an even cosine; a very flat cut would show no plates at all
        spacing = self.spacing / np.sqrt(1.0 - rng.uniform(0.0, 0.9) ** 2)
        bent = clouds(size, scale=3.0 * spacing, rng=rng)
        across = x * np.cos(angle) + y * np.sin(angle) + self.bending * bent
        phase = np.abs((across / spacing + rng.random()) % 1.0 - 0.5)  # 0 in the middle of a bright plate
        edge = (self.fraction / 2.0 - phase) * spacing
        return self.dark + (self.bright - self.dark) * np.clip(edge + 0.5, 0.0, 1.0)


@dataclass(frozen=True)
class Laths:
    """Needles in a few directions, as of martensite.

    Args:
        length: pixels.
        width: pixels.
        directions: how many variants one grain has.
        bright: mean grey level of the needles that stand out.
        dark: grey level of the ground.
        density: needles drawn, as the area that they would cover side by side, in areas of the image.
    """

    length: float = 40.0
    width: float = 3.0
    directions: int = 3
    bright: float = 0.75
    dark: float = 0.3
    density: float = 1.5

    def __post_init__(self) -> None:
        if not (self.length > 0.0 and self.width > 0.0 and self.directions > 0 and self.density > 0.0):
            raise InvalidRequestError(
                f"laths need a positive length, width, number of directions and density, got {self}"
            )

    def draw(self, size: tuple[int, int], *, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw needles over one another, each of its own grey level."""
        from euhedral.representations.images.texture_kernels import draw_needles

        count = max(1, round(self.density * size[0] * size[1] / (self.length * self.width)))
        angles = rng.uniform(0.0, np.pi) + np.pi * rng.integers(0, self.directions, count) / self.directions
        image = np.full(size, self.dark)
        draw_needles(
            rng.uniform(0, size[1], count), rng.uniform(0, size[0], count), angles + rng.normal(0.0, 0.05, count),
            self.length * rng.uniform(0.5, 1.5, count), self.width * rng.uniform(0.5, 1.5, count),
            self.dark + (self.bright - self.dark) * rng.uniform(0.2, 1.2, count), image,
        )  # fmt: skip
        return image


@dataclass(frozen=True)
class Particles:
    """Round particles in a ground, as of carbides in tempered martensite or bainite.

    Args:
        radius: pixels, the median.
        fraction: share of the area, while particles do not overlap.
        bright: grey level of the particles.
        dark: grey level of the ground.
        aligned: how much longer than wide, in the one direction of the grain.
    """

    radius: float = 2.0
    fraction: float = 0.15
    bright: float = 0.85
    dark: float = 0.35
    aligned: float = 1.0

    def __post_init__(self) -> None:
        if not (self.radius > 0.0 and 0.0 < self.fraction < 1.0 and self.aligned >= 1.0):
            raise InvalidRequestError(
                f"particles need a positive radius, a fraction within 0 to 1 and an elongation of 1 or more, got {self}"
            )

    def draw(self, size: tuple[int, int], *, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw ellipses with soft edges."""
        image = np.full(size, self.dark)
        self.lay_over(image, rng=rng)
        return image

    def lay_over(self, image: NDArray[np.float64], *, rng: np.random.Generator) -> None:
        """Draw the particles on to a ground that is there already."""
        from euhedral.representations.images.texture_kernels import draw_needles

        height, width = image.shape
        # log-normal radii have the mean square radius^2 exp(2 sigma^2); the share that overlapping discs cover is 1 - exp(-n area)
        area = np.pi * self.radius**2 * self.aligned * np.exp(2.0 * _RADII**2)
        # drawn beyond the edges too, so that these are covered as the middle is
        margin = 4.0 * self.radius * self.aligned
        count = rng.poisson(-np.log1p(-self.fraction) * (height + 2.0 * margin) * (width + 2.0 * margin) / area)
        radius = self.radius * np.exp(rng.normal(0.0, _RADII, count))
        x, y = rng.uniform(-margin, width + margin, count), rng.uniform(-margin, height + margin, count)
        angle = np.full(count, rng.uniform(0.0, np.pi))
        draw_needles(x, y, angle, 2.0 * radius * self.aligned, 2.0 * radius, np.full(count, self.bright), image)


@dataclass(frozen=True)
class Tempered:
    """Needles that have lost their contrast, sown with fine particles, as of tempered martensite.

    Args:
        laths: the needles.
        carbides: the particles on them; their ground is not drawn.
    """

    laths: Laths = field(default_factory=lambda: Laths(bright=0.5, dark=0.32, width=4.0))
    carbides: Particles = field(default_factory=lambda: Particles(radius=1.0, fraction=0.08))

    def draw(self, size: tuple[int, int], *, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw the needles, and the particles over them."""
        image = self.laths.draw(size, rng=rng)
        self.carbides.lay_over(image, rng=rng)
        return image


def clouds(size: tuple[int, int], *, scale: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw smooth noise: white noise under a Gaussian, of mean 0 and expected variance 1; opposite edges fit together.

    Args:
        size: height and width in pixels.
        scale: pixels, standard deviation of the Gaussian.
        rng: where the randomness comes from.
    """
    white = np.fft.rfft2(rng.normal(0.0, 1.0, size))
    squares = np.fft.fftfreq(size[0])[:, None] ** 2 + np.fft.rfftfreq(size[1])[None, :] ** 2
    transfer = np.exp(-2.0 * np.pi**2 * scale**2 * squares)
    # by Parseval each pixel has the mean of the squared transfer as its variance, over both halves of the spectrum
    twice = np.full(transfer.shape[1], 2.0)
    twice[0] = 1.0
    if size[1] % 2 == 0:
        twice[-1] = 1.0
    variance = (transfer**2 * twice).sum() / (size[0] * size[1])
    return np.fft.irfft2(white * transfer, s=size) / np.sqrt(variance)
