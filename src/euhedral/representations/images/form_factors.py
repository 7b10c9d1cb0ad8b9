"""Scattering factors on a detector, read off the tables that powder patterns use."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from euhedral.core.elements import SYMBOLS
from euhedral.errors import InvalidRequestError
from euhedral.representations.spectra.scattering import ScatteringTable


def form_factor(table: ScatteringTable, *, number: int, q: NDArray[np.float64], id: str = "") -> NDArray[np.complex128]:  # noqa: A002
    """Tell how strongly an isolated atom scatters, by cubic Hermite interpolation in s^2 = |q|^2 / 4.

    Args:
        table: the factors of all elements.
        number: atomic number.
        q: lengths of scattering vectors 2 sin(theta) / lambda, 1/Angstrom; any shape.
        id: the crystal's name, for errors.

    Returns:
        Of q's shape, in the table's unit.

    Raises:
        InvalidRequestError: the element is not tabulated, or q goes beyond the table.
    """
    if not table.known[number]:
        raise InvalidRequestError(
            f"crystal {id!r}: no {table.kind} scattering factor is tabulated for {SYMBOLS[number]}; replace it"
        )
    squares = (q / 2.0) ** 2
    if squares.max(initial=0.0) > table.largest_s**2:
        raise InvalidRequestError(
            f"crystal {id!r}: {table.kind} scattering factors are known up to q = {2.0 * table.largest_s:g} 1/Å and the image "
            f"reaches {q.max():.3g} 1/Å; take a smaller step or fewer pixels"
        )
    samples = table.samples[number]
    place = np.clip(squares / table.step, 0.0, len(samples) - 1.0)
    lower = np.minimum(place.astype(np.int64), len(samples) - 2)
    t = place - lower
    y0, d0 = np.moveaxis(samples[lower], -1, 0)
    y1, d1 = np.moveaxis(samples[lower + 1], -1, 0)
    real = y0 + t * (d0 + t * ((3.0 * (y1 - y0) - 2.0 * d0 - d1) + t * (2.0 * (y0 - y1) + d0 + d1)))
    return real + 1j * table.imaginary[number]
