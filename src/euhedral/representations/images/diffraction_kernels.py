"""Compiled loop of diffraction images; `images.diffraction_image` is its door."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True, error_model="numpy", fastmath=True)
def amplitude_at(cart: NDArray, weight: NDArray, q: NDArray) -> NDArray:
    """Sum weight exp(2 pi i q.r) over atoms, for each scattering vector.

    Args:
        cart: (n, 3) Angstrom.
        weight: (n,) amplitude of the beam at each atom.
        q: (m, 3) 1/Angstrom.

    Returns:
        (m,) complex128.
    """
    result = np.empty(len(q), np.complex128)
    for pixel in range(len(q)):
        qx, qy, qz = 2.0 * np.pi * q[pixel, 0], 2.0 * np.pi * q[pixel, 1], 2.0 * np.pi * q[pixel, 2]
        real, imaginary = 0.0, 0.0
        for atom in range(len(cart)):
            phase = qx * cart[atom, 0] + qy * cart[atom, 1] + qz * cart[atom, 2]
            real += weight[atom] * np.cos(phase)
            imaginary += weight[atom] * np.sin(phase)
        result[pixel] = complex(real, imaginary)
    return result
