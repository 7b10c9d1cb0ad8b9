"""The functions of `bases` with their slopes, compiled for inference; phases are taken in double precision."""

from __future__ import annotations

from typing import Any

import numpy as np

from euhedral.nn.kernels import compiled, cosine_of_turns, f32, sine_of_turns

_TURNS = 0.5 / np.pi


@compiled
def bessel_and_slope(length: Any, frequencies: Any, cutoff: float, exponent: int, values: Any, slopes: Any) -> None:
    """Fill `values` and `slopes` (M, >= size) with the Bessel basis of (M,) lengths in Angstrom and its derivative."""
    p = exponent
    norm = np.sqrt(2.0 / cutoff)
    for m in range(length.size):
        r = float(length[m])
        x = r / cutoff
        if x >= 1.0:
            for k in range(frequencies.size):
                values[m, k] = f32(0.0)
                slopes[m, k] = f32(0.0)
            continue
        power = x ** (p - 1)
        a, b, c = -0.5 * (p + 1) * (p + 2), p * (p + 2), -0.5 * p * (p + 1)
        envelope = 1.0 + power * x * (a + x * (b + x * c))
        slope = power * (a * p + x * (b * (p + 1) + x * c * (p + 2))) / cutoff
        factor = norm * envelope / r
        factor_slope = norm * (slope / r - envelope / (r * r))
        for k in range(frequencies.size):
            turns = frequencies[k] * x * _TURNS
            turns -= np.floor(turns + 0.5)
            sine = sine_of_turns(turns)
            values[m, k] = factor * sine
            slopes[m, k] = factor_slope * sine + factor * cosine_of_turns(turns) * frequencies[k] / cutoff


@compiled
def fourier_and_slope(
    unit: Any, first: Any, second: Any, frequencies: Any, values: Any, slopes: Any, sine_angle: Any
) -> None:
    """Fill `values` and `slopes` (M, >= size) with the Fourier basis of angles between unit vectors and its derivative.

    Args:
        unit: (D, 3) float64 unit vectors.
        first: (M,) row of `unit`.
        second: (M,) row of `unit`.
        frequencies: (K,) float64.
        values: written.
        slopes: written.
        sine_angle: (M,) float64, minus the derivative of the cosine by the angle, written.
    """
    count = frequencies.size
    norm = 1.0 / np.sqrt(np.pi)
    shrink = 1.0 - 1e-6
    for m in range(first.size):
        u, v = unit[first[m]], unit[second[m]]
        cosine = shrink * (u[0] * v[0] + u[1] * v[1] + u[2] * v[2])
        angle = np.arccos(cosine)
        sine_angle[m] = np.sqrt(1.0 - cosine * cosine) / shrink
        values[m, 0] = norm * np.sqrt(0.5)
        slopes[m, 0] = f32(0.0)
        for k in range(count):
            turns = frequencies[k] * angle * _TURNS
            turns -= np.floor(turns + 0.5)
            sine, cosine_k = norm * sine_of_turns(turns), norm * cosine_of_turns(turns)
            values[m, 1 + k] = sine
            slopes[m, 1 + k] = frequencies[k] * cosine_k
            values[m, 1 + count + k] = cosine_k
            slopes[m, 1 + count + k] = -frequencies[k] * sine


@compiled
def unit_vectors(vectors: Any, edges: Any, unit: Any, length: Any) -> None:
    """Write the directions (M, 3) and lengths (M,), float64, of the vectors of some edges."""
    for m in range(edges.size):
        x, y, z = float(vectors[edges[m], 0]), float(vectors[edges[m], 1]), float(vectors[edges[m], 2])
        r = np.sqrt(x * x + y * y + z * z)
        length[m] = r
        unit[m, 0], unit[m, 1], unit[m, 2] = x / r, y / r, z / r


@compiled
def pull_lengths(gradient: Any, slopes: Any, unit: Any, edges: Any, pull: Any) -> None:
    """Add to the vectors of edges the derivative that comes through basis functions of their lengths."""
    for m in range(gradient.shape[0]):
        total = f32(0.0)
        for k in range(gradient.shape[1]):
            total += gradient[m, k] * slopes[m, k]
        for axis in range(3):
            pull[edges[m], axis] += total * unit[m, axis]


@compiled
def pull_angles(
    gradient: Any, slopes: Any, sine_angle: Any, unit: Any, length: Any, first: Any, second: Any, edges: Any, pull: Any,
) -> None:  # fmt: skip
    """Add to the vectors of two edges the derivative that comes through basis functions of their angle."""
    for m in range(gradient.shape[0]):
        total = f32(0.0)
        for k in range(gradient.shape[1]):
            total += gradient[m, k] * slopes[m, k]
        by_cosine = -total / sine_angle[m]
        i, j = first[m], second[m]
        cosine = unit[i, 0] * unit[j, 0] + unit[i, 1] * unit[j, 1] + unit[i, 2] * unit[j, 2]
        for axis in range(3):
            pull[edges[i], axis] += by_cosine * (unit[j, axis] - cosine * unit[i, axis]) / length[i]
            pull[edges[j], axis] += by_cosine * (unit[i, axis] - cosine * unit[j, axis]) / length[j]
