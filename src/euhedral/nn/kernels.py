"""Compiled arithmetic for inference on processors: functions that vectorise, and products of small matrices.

A call from Python costs microseconds and releases the interpreter lock, so threads can work on different crystals. Single
precision; polynomials were fitted to the last bits of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

f32 = np.float32

#: Rows of one product. SciPy's BLAS runs 32 x 64 x 128 on the calling thread; larger ones it would spread over all cores,
#: where other threads of ours are at work. Blocks of this size also stay in the level-2 cache from one step to the next.
ROWS = 32


def compiled(function: Any) -> Any:
    """Compile with the settings under which the loops of these kernels become vector instructions."""
    # division as NumPy does it: a test for zero in a loop would keep it scalar
    return njit(cache=True, nogil=True, fastmath=True, error_model="numpy")(function)


@compiled
def sigmoid(x: f32) -> f32:
    """1 / (1 + exp(-x)); error below 1e-7."""
    t = x * f32(-1.4426950408889634)
    # 2**40 is infinity enough, and the product of three such denominators, which the compiler may form, still is finite
    t = t if t < f32(40.0) else f32(40.0)
    t = t if t > f32(-40.0) else f32(-40.0)
    whole = np.floor(t + f32(0.5))
    r = t - whole
    # 2**r for |r| <= 1/2
    p = f32(0.0013276451558543463)
    p = p * r + f32(0.009675541171213477)
    p = p * r + f32(0.055507133367061805)
    p = p * r + f32(0.24022119727903868)
    p = p * r + f32(0.6931469670260627)
    p = p * r + f32(1.0000000716534303)
    power = np.int32((np.int32(whole) + np.int32(127)) << np.int32(23)).view(np.float32)
    return f32(1.0) / (f32(1.0) + p * power)


@compiled
def sine_of_turns(q: float) -> float:
    """sin(2 pi q) for |q| <= 1/2; error below 1e-10."""
    z = q * q
    p = -0.6150971275827442
    p = p * z + 3.775992225966002
    p = p * z - 15.084567689686748
    p = p * z + 42.05737251930991
    p = p * z - 76.70576119981968
    p = p * z + 81.60524537317751
    p = p * z - 41.34170217095388
    p = p * z + 6.283185306819067
    return p * q


@compiled
def cosine_of_turns(q: float) -> float:
    """cos(2 pi q) for |q| <= 1/2; error below 1e-11."""
    z = q * q
    p = 0.2437758982364989
    p = p * z - 1.696888197676023
    p = p * z + 7.899165382477432
    p = p * z - 26.425617674070466
    p = p * z + 60.244586356098445
    p = p * z - 85.45681454317975
    p = p * z + 64.9393939580292
    p = p * z - 19.739208801574556
    return p * z + 0.9999999999990699


@compiled
def product(a: Any, b: Any, out: Any) -> None:
    """Out = a @ b, a block of rows at a time."""
    for begin in range(0, a.shape[0], ROWS):
        end = min(begin + ROWS, a.shape[0])
        np.dot(a[begin:end], b, out[begin:end])


@compiled
def add_product(a: Any, b: Any, out: Any) -> None:
    """out[: M] += a @ b for a (M, K)."""
    block = np.empty((ROWS, b.shape[1]), dtype=a.dtype)
    for begin in range(0, a.shape[0], ROWS):
        size = min(ROWS, a.shape[0] - begin)
        np.dot(a[begin : begin + size], b, block[:size])
        for i in range(size):
            row, values = out[begin + i], block[i]
            for j in range(values.size):
                row[j] += values[j]


@compiled
def take(source: Any, index: Any, out: Any) -> None:
    """Out = source[index], by rows."""
    for row in range(index.size):
        for j in range(source.shape[1]):
            out[row, j] = source[index[row], j]


@compiled
def add_at(target: Any, index: Any, values: Any) -> None:
    """target[index] += values, by rows; an index may occur often."""
    for row in range(index.size):
        for j in range(values.shape[1]):
            target[index[row], j] += values[row, j]
