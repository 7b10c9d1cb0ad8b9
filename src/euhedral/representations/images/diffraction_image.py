"""Single-crystal diffraction images: the kinematic intensity that a finite piece of crystal sends on to a flat detector.

I(q) = |sum_j w_j f_j(|q|) exp(-B |q|^2 / 4) exp(2 pi i q.r_j)|^2, where q runs over the Ewald sphere
q_z = 1/lambda - sqrt(1/lambda^2 - q_x^2 - q_y^2), z to the observer. Single scattering, no absorption, polarisation or solid
angle. The sum is over the atoms as they stand, so that vacancies, substitutions and displacements need no further theory.

On the parabola q_z = lambda q^2 / 2 each exponential is a product of one of q_x and one of q_y, and the whole image is one matrix
product. The little by which the sphere departs from it is a power series in z, one product a term, in layers so thin that a
few terms reach single precision. So the sum is exact at any angle, and takes no sine for each pixel and atom.

`fingerprint` is the descriptor of Ziletti et al. 2018, doi:10.1038/s41467-018-05169-6.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from euhedral.errors import InvalidRequestError
from euhedral.representations.images.form_factors import form_factor
from euhedral.representations.images.image import Image, checked_size
from euhedral.representations.images.specimen import Specimen, zone_frame
from euhedral.representations.spectra.radiation import Electrons, Line, Radiation, XRays

#: The source of Ziletti et al.: short enough that the Ewald sphere is nearly a plane.
ZILETTI_SOURCE: Final = XRays((Line(0.05),))
#: Their detector: 0.4 mm pixels at 0.1 m, in 1/Angstrom a pixel at that wavelength.
ZILETTI_STEP: Final = 0.08

# Radians: a layer is so thin that within it the sphere departs from the parabola by no more than this.
_LAYER = 0.5
# The terms left out of the power series are smaller than this.
_SERIES = 1e-7


def diffraction_image(
    specimen: Specimen, *, zone_axes: Sequence[Sequence[int]] = ((0, 0, 1),), size: int | Sequence[int] = 256,
    step: float = 0.01, radiation: Radiation | None = None, b_factor: float = 0.0, beam: float | None = None,
    beam_stop: float = 0.0, flat: bool = False, right: Sequence[int] | None = None,
) -> Image:  # fmt: skip
    """Draw the diffraction of a specimen along one or several zone axes.

    Args:
        specimen: the atoms; their lattice is what the zone axes refer to.
        zone_axes: [uvw] each.
        size: pixels, one number or height and width; the direct beam meets the middle of the image.
        step: 1/Angstrom a pixel, across the beam.
        radiation: X-rays, electrons or neutrons; None takes electrons of the usual voltage. Several lines add.
        b_factor: Angstrom^2, isotropic thermal motion of all atoms.
        beam: Angstrom, standard deviation of a coherent Gaussian beam's amplitude; None lights the specimen evenly, so
            that its shape gives each spot its fringes.
        beam_stop: 1/Angstrom, radius around the direct beam within which the image is zero.
        flat: take the Ewald sphere for a plane; then every image has an inversion centre.
        right: see `zone_frame`.

    Returns:
        (H, W) for one zone axis, (C, H, W) for more; intensities in squared units of the form factor. With one zone axis
        `positions` are the lattice points of the zero-order Laue zone, see `zero_layer`.

    Raises:
        InvalidRequestError: an impossible zone axis, size, step, B, beam or stop; a corner beyond the Ewald sphere; an
            element without a scattering factor.
    """
    height, width = checked_size(size)
    radiation = Electrons() if radiation is None else radiation
    name = f"diffraction image of {specimen.id!r}"
    if not len(zone_axes):
        raise InvalidRequestError(f"{name}: expected at least one zone axis [uvw]")
    if b_factor < 0.0 or beam_stop < 0.0 or (beam is not None and not beam > 0.0):
        raise InvalidRequestError(
            f"{name}: B factor and beam stop must not be negative and the beam positive, got {b_factor}, {beam_stop} and {beam}"
        )
    layers = []
    for zone_axis in zone_axes:
        frame = zone_frame(specimen.cell, zone_axis=zone_axis, right=right, id=specimen.id)
        seen = specimen.cart @ frame.T
        weight = np.ones(len(seen)) if beam is None else np.exp(-(seen[:, :2] ** 2).sum(1) / (2.0 * beam**2))
        intensity = _intensity(
            seen, numbers=specimen.numbers, weight=weight, size=(height, width), step=step, radiation=radiation,
            b_factor=b_factor, flat=flat, name=specimen.id,
        )  # fmt: skip
        layers.append(intensity)
    x, y = _axes((height, width), step=step, name=specimen.id)
    pixels = np.stack(layers)
    pixels[:, x[None, :] ** 2 + y[:, None] ** 2 < beam_stop**2] = 0.0
    if len(layers) > 1:
        return Image(pixels, pixel_size=step, unit="1/Å")
    _, positions = zero_layer(specimen.cell, zone_axis=zone_axes[0], size=(height, width), step=step, right=right)
    return Image(pixels[0], pixel_size=step, unit="1/Å", positions=positions)


def fingerprint(
    specimen: Specimen, *, angles: Sequence[float] = (-45.0, 45.0), size: int = 64, step: float = ZILETTI_STEP,
    radiation: Radiation = ZILETTI_SOURCE, ring: tuple[float, float] | None = None,
) -> Image:  # fmt: skip
    """Draw the two-dimensional diffraction fingerprint: three channels, one for each axis of rotation.

    The specimen is scaled so that the mean distance to the nearest atom is 1 Angstrom. It is turned about x by each of the
    angles, with the beam along z, and the intensities are added: the red channel; about y gives green and about z blue. Outside a
    ring around the direct beam the image is zero; the three channels are scaled together to 0 to 1.

    Args:
        specimen: the atoms, usually a `block` of some 250.
        angles: degrees.
        size: pixels of height and width.
        step: 1/Angstrom a pixel of the scaled specimen.
        radiation: the beam.
        ring: inner and outer radius in pixels; None takes the authors' 5/32 of the size and 15/32 of it.

    Returns:
        (3, size, size), between 0 and 1.

    Raises:
        InvalidRequestError: fewer than two atoms, no angle, an empty ring, or as `diffraction_image`.

    Source: Ziletti et al. 2018, equations 1 and 2, and the settings that the authors published with their code. The factor of
    solid angle, at most 2.5 % within the ring, is left out, and the detector is even in q rather than in angle.
    """
    height, width = checked_size(size)
    inner, outer = ring if ring is not None else (5.0 / 32.0 * size, 15.0 / 32.0 * size)
    if len(specimen) < 2 or not len(angles) or not 0.0 <= inner < outer:
        raise InvalidRequestError(
            f"fingerprint of {specimen.id!r}: expected two atoms, an angle and a ring 0 <= inner < outer, "
            f"got {len(specimen)}, {list(angles)} and {(inner, outer)}"
        )
    cart = specimen.cart / _nearest_distance(specimen)
    layers = np.zeros((3, height, width))
    for axis in range(3):
        for angle in angles:
            turned = cart @ _rotation(axis, angle=angle).T
            layers[axis] += _intensity(
                turned, numbers=specimen.numbers, weight=np.ones(len(cart)), size=(height, width), step=step,
                radiation=radiation, b_factor=0.0, flat=False, name=specimen.id,
            )  # fmt: skip
    x, y = _axes((height, width), step=1.0, name=specimen.id)
    radius = np.hypot(x[None, :], y[:, None])
    layers[:, (radius <= inner) | (radius >= outer)] = 0.0
    layers -= layers.min()
    highest = layers.max()
    if not highest > 0.0:
        raise InvalidRequestError(
            f"fingerprint of {specimen.id!r}: nothing falls into the ring {(inner, outer)}; widen it"
        )
    return Image(layers / highest, pixel_size=step, unit="1/Å")


def zero_layer(
    cell: NDArray[np.float64], *, zone_axis: Sequence[int], size: int | Sequence[int], step: float,
    right: Sequence[int] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:  # fmt: skip
    """List the reciprocal lattice points of the zero-order Laue zone, hu + kv + lw = 0, that fall on the detector.

    Args:
        cell: (3, 3) Angstrom; points that a centred cell makes extinct are listed too.
        zone_axis: [uvw].
        size: pixels.
        step: 1/Angstrom a pixel.
        right: see `zone_frame`.

    Returns:
        (m, 3) hkl and (m, 2) row and column in the image, by rising distance from the direct beam.

    Raises:
        InvalidRequestError: an impossible zone axis, size or step.
    """
    height, width = checked_size(size)
    x, y = _axes((height, width), step=step, name="")
    frame = zone_frame(cell, zone_axis=zone_axis, right=right)
    longest = float(np.hypot(x[-1], y[0])) + step
    # the indices of a vector g are its products with a, b and c, so that |h| is at most |g| |a|
    limits = np.floor(longest * np.linalg.norm(cell, axis=1) + 1e-9).astype(int)
    axes = [np.arange(-limit, limit + 1) for limit in limits]
    hkl = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    hkl = hkl[hkl @ np.asarray(zone_axis, dtype=np.int64) == 0]
    g = hkl @ np.linalg.inv(cell).T @ frame.T
    positions = np.column_stack([(height - 1) / 2.0 - g[:, 1] / step, (width - 1) / 2.0 + g[:, 0] / step])
    on = (positions > -0.5).all(1) & (positions[:, 0] < height - 0.5) & (positions[:, 1] < width - 0.5)
    order = np.flatnonzero(on)[np.argsort(np.round(np.hypot(g[on, 0], g[on, 1]), 9), kind="stable")]
    return hkl[order], positions[order]


def _intensity(
    cart: NDArray[np.float64], *, numbers: NDArray[np.int64], weight: NDArray[np.float64], size: tuple[int, int],
    step: float, radiation: Radiation, b_factor: float, flat: bool, name: str,
) -> NDArray[np.float64]:  # fmt: skip
    """|F|^2 on the detector, for atoms in the frame of the picture (beam along -z)."""
    x, y = _axes(size, step=step, name=name)
    across = x[None, :] ** 2 + y[:, None] ** 2
    table = radiation.table()
    image = np.zeros(size)
    for line in radiation.lines:
        inverse = 1.0 / line.wavelength
        if not across.max() < inverse**2:
            raise InvalidRequestError(
                f"diffraction image of {name!r}: its corner, {np.sqrt(across.max()):.3g} 1/Å, lies beyond the Ewald sphere of "
                f"radius {inverse:.3g} 1/Å; take a smaller step, fewer pixels or a shorter wavelength"
            )
        along = np.zeros_like(across) if flat else across / (inverse + np.sqrt(inverse**2 - across))
        length = np.sqrt(across + along**2)
        bend = 0.0 if flat else line.wavelength / 2.0
        departs = 2.0 * np.pi * (along - bend * across)
        total = np.zeros(size, dtype=np.complex128)
        for number in np.unique(numbers).tolist():
            own = numbers == number
            factor = form_factor(table, number=number, q=length, id=name)
            total += factor * _amplitude(cart[own], weight=weight[own], x=x, y=y, bend=bend, departs=departs)
        image += line.weight * np.abs(total * np.exp(-b_factor * length**2 / 4.0)) ** 2
    return image / sum(line.weight for line in radiation.lines)


def _amplitude(
    cart: NDArray[np.float64], *, weight: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64], bend: float,
    departs: NDArray[np.float64],
) -> NDArray[np.complex128]:  # fmt: skip
    """Sum weight exp(2 pi i (x X + y Y + bend (x^2 + y^2) Z) + i departs Z) over atoms at (X, Y, Z)."""
    total = np.zeros(departs.shape, dtype=np.complex128)
    steepest = float(np.abs(departs).max())
    low, high = float(cart[:, 2].min()), float(cart[:, 2].max())
    n_layers = max(1, int(np.ceil(steepest * (high - low) / (2.0 * _LAYER))))
    layer = np.minimum((cart[:, 2] - low) * (n_layers / max(high - low, 1e-9)), n_layers - 1).astype(np.int64)
    for number in np.unique(layer).tolist():
        own = layer == number
        a, b, z = cart[own].T
        middle = (z.min() + z.max()) / 2.0
        # phases in double, products in single precision: an image has no more, and they take nearly all the time
        rows = (np.exp(2j * np.pi * (np.outer(y, b) + np.outer(bend * y**2, z))) * weight[own]).astype(np.complex64)
        columns = np.exp(2j * np.pi * (np.outer(x, a) + np.outer(bend * x**2, z))).astype(np.complex64).T
        largest = steepest * float(np.abs(z - middle).max())
        part = (rows @ columns).astype(np.complex128)
        power, size_of_term, term = 1, largest, np.ones(1)
        while size_of_term > _SERIES:
            rows *= (z - middle).astype(np.float32)
            term = term * (1j * departs / power)
            part += term * (rows @ columns)
            power += 1
            size_of_term *= largest / power
        total += part * np.exp(1j * departs * middle) if steepest * abs(middle) > 0.0 else part
    return total


def _axes(size: tuple[int, int], *, step: float, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return x of the columns and y of the rows; the first row is the topmost."""
    if not (np.isfinite(step) and step > 0.0):
        raise InvalidRequestError(
            f"diffraction image of {name!r}: the step must be a positive number of 1/Å, got {step}"
        )
    rows, columns = (np.arange(n, dtype=np.float64) - (n - 1) / 2.0 for n in size)
    return columns * step, -rows * step


def _rotation(axis: int, *, angle: float) -> NDArray[np.float64]:
    """Turn about x, y or z, counter-clockwise for one who looks against the axis."""
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    matrix = np.eye(3)
    first, second = (axis + 1) % 3, (axis + 2) % 3
    matrix[first, first] = matrix[second, second] = cosine
    matrix[second, first], matrix[first, second] = sine, -sine
    return matrix


def _nearest_distance(specimen: Specimen) -> float:
    from scipy.spatial import KDTree

    distances, _ = KDTree(specimen.cart).query(specimen.cart, k=2)
    mean = float(np.mean(distances[:, 1]))
    if not mean > 0.0:
        raise InvalidRequestError(f"specimen of {specimen.id!r}: its atoms are at one place; correct the structure")
    return mean
