"""Messages through a gated perceptron, and their derivatives, a cache-sized block of rows at a time.

A row's input is the sum of its own projection and those of two neighbours that many rows share; the projections of both
branches stand side by side, core first. A branch is normalised over its features (layer norm), and the message is
silu(core) * sigmoid(gate). The forward pass keeps, in place, what the backward pass needs: inputs and normalised outputs.

Source: Deng et al. 2023, doi:10.1038/s42256-023-00716-3, equation 3; the derivatives are worked out here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from euhedral.nn.kernels import compiled, f32, multiply_block, sigmoid

_ROWS = 32  # two blocks of 32 x 128 single-precision numbers and two 64 x 64 matrices: half a level-2 cache at most
_EPSILON = f32(1e-5)


@compiled
def normalise(values: Any, start: int, width: int, normal: Any) -> f32:
    """Write (values - mean) / deviation to `normal`, both from `start`, and return 1 / deviation."""
    total = f32(0.0)
    for j in range(start, start + width):
        total += values[j]
    mean = total / f32(width)
    square = f32(0.0)
    for j in range(start, start + width):
        square += (values[j] - mean) * (values[j] - mean)
    scale = f32(1.0) / np.sqrt(square / f32(width) + _EPSILON)
    for j in range(start, start + width):
        normal[j] = (values[j] - mean) * scale
    return scale


@compiled
def denormalise(gradient: Any, start: int, width: int, normal: Any, scale: f32) -> None:
    """Turn the derivative by the normalised values into that by the values, in place."""
    plain = f32(0.0)
    along = f32(0.0)
    for j in range(start, start + width):
        plain += gradient[j]
        along += gradient[j] * normal[j]
    plain /= f32(width)
    along /= f32(width)
    for j in range(start, start + width):
        gradient[j] = scale * (gradient[j] - plain - normal[j] * along)


@compiled
def message_forward(
    rows: Any, first: Any, first_idx: Any, second: Any, second_idx: Any, core: Any, gate: Any, bias: Any,
    gain: Any, offset: Any, weight: Any, weight_idx: Any, total: Any, normal: Any, scale: Any,
) -> None:  # fmt: skip
    """Sum weighted messages with a hidden layer: total[first_idx] += weight[weight_idx] * message(row).

    Args:
        rows: (M, 2 W) own projections; becomes the input of the hidden layer.
        first: (., 2 W) projections that rows share, with the bias; rows of one `first_idx` share a sum.
        first_idx: (M,) row of `first` and of `total`.
        second: (., 2 W) projections that rows share.
        second_idx: (M,) row of `second`.
        core: (W, W) matrix of the core branch, input by output.
        gate: (W, W) matrix of the gate branch.
        bias: (2 W,) of both.
        gain: (2 W,) of the norms.
        offset: (2 W,) of the norms.
        weight: (., W) factors of messages.
        weight_idx: (M,) row of `weight`.
        total: (., W) sums, added to.
        normal: (M, 2 W) normalised outputs, written.
        scale: (M, 2) one over their deviations, written.
    """
    width = core.shape[0]
    hidden = np.empty((_ROWS, 2 * width), dtype=np.float32)
    out = np.empty((_ROWS, 2 * width), dtype=np.float32)
    for begin in range(0, rows.shape[0], _ROWS):
        size = min(_ROWS, rows.shape[0] - begin)
        for i in range(size):
            row, x, y = rows[begin + i], first[first_idx[begin + i]], second[second_idx[begin + i]]
            h, o = hidden[i], out[i]
            for j in range(2 * width):
                value = row[j] + x[j] + y[j]
                row[j] = value
                h[j] = value * sigmoid(value)
                o[j] = bias[j]
        multiply_block(hidden, 0, core, out, 0, size)
        multiply_block(hidden, width, gate, out, width, size)
        for i in range(size):
            m = begin + i
            z = normal[m]
            scale[m, 0] = normalise(out[i], 0, width, z)
            scale[m, 1] = normalise(out[i], width, width, z)
            t, w = total[first_idx[m]], weight[weight_idx[m]]
            for j in range(width):
                c = gain[j] * z[j] + offset[j]
                g = gain[width + j] * z[width + j] + offset[width + j]
                t[j] += c * sigmoid(c) * sigmoid(g) * w[j]


@compiled
def message_backward(
    d_total: Any, rows: Any, first_idx: Any, second_idx: Any, core_t: Any, gate_t: Any, gain: Any, offset: Any,
    weight: Any, weight_idx: Any, normal: Any, scale: Any, d_first: Any, d_second: Any, d_weight: Any,
) -> None:  # fmt: skip
    """Derivatives of `message_forward`; `rows` becomes the derivative by the own projections.

    Args:
        d_total: (., W) derivative by the sums.
        rows: (M, 2 W) as the forward pass left it; overwritten.
        first_idx: as before.
        second_idx: as before.
        core_t: (W, W) output by input.
        gate_t: (W, W) output by input.
        gain: as before.
        offset: as before.
        weight: as before.
        weight_idx: as before.
        normal: as the forward pass left it.
        scale: as the forward pass left it.
        d_first: (., 2 W) added to.
        d_second: (., 2 W) added to.
        d_weight: (., W) added to.
    """
    width = core_t.shape[0]
    hidden = np.empty((_ROWS, 2 * width), dtype=np.float32)
    out = np.empty((_ROWS, 2 * width), dtype=np.float32)
    for begin in range(0, rows.shape[0], _ROWS):
        size = min(_ROWS, rows.shape[0] - begin)
        for i in range(size):
            m = begin + i
            z, o = normal[m], out[i]
            d, w, dw = d_total[first_idx[m]], weight[weight_idx[m]], d_weight[weight_idx[m]]
            for j in range(width):
                c = gain[j] * z[j] + offset[j]
                g = gain[width + j] * z[width + j] + offset[width + j]
                s, t = sigmoid(c), sigmoid(g)
                dw[j] += d[j] * c * s * t
                dm = d[j] * w[j] * t
                o[j] = dm * s * (f32(1.0) + c * (f32(1.0) - s)) * gain[j]
                o[width + j] = dm * c * s * (f32(1.0) - t) * gain[width + j]
            denormalise(o, 0, width, z, scale[m, 0])
            denormalise(o, width, width, z, scale[m, 1])
            h = hidden[i]
            for j in range(2 * width):
                h[j] = f32(0.0)
        multiply_block(out, 0, core_t, hidden, 0, size)
        multiply_block(out, width, gate_t, hidden, width, size)
        for i in range(size):
            m = begin + i
            row, h, dx, dy = rows[m], hidden[i], d_first[first_idx[m]], d_second[second_idx[m]]
            for j in range(2 * width):
                s = sigmoid(row[j])
                value = h[j] * s * (f32(1.0) + row[j] * (f32(1.0) - s))
                row[j] = value
                dx[j] += value
                dy[j] += value


@compiled
def update_forward(
    rows: Any, first: Any, first_idx: Any, second: Any, second_idx: Any, gain: Any, offset: Any, state: Any, scale: Any,
) -> None:  # fmt: skip
    """Add to each row's state a message without a hidden layer; `rows` becomes its normalised input.

    Args:
        rows: (M, 2 W) own projections.
        first: (., 2 W) projections that rows share, with the bias.
        first_idx: (M,) row of `first`.
        second: (., 2 W) projections that rows share.
        second_idx: (M,) row of `second`.
        gain: (2 W,) of the norms.
        offset: (2 W,) of the norms.
        state: (M, W) added to.
        scale: (M, 2) one over the deviations, written.
    """
    width = state.shape[1]
    for m in range(rows.shape[0]):
        row, x, y, s = rows[m], first[first_idx[m]], second[second_idx[m]], state[m]
        for j in range(2 * width):
            row[j] += x[j] + y[j]
        scale[m, 0] = normalise(row, 0, width, row)
        scale[m, 1] = normalise(row, width, width, row)
        for j in range(width):
            c = gain[j] * row[j] + offset[j]
            g = gain[width + j] * row[width + j] + offset[width + j]
            s[j] += c * sigmoid(c) * sigmoid(g)


@compiled
def update_backward(
    d_state: Any, rows: Any, first_idx: Any, second_idx: Any, gain: Any, offset: Any, scale: Any, d_first: Any, d_second: Any,
) -> None:  # fmt: skip
    """Derivatives of `update_forward`; `rows` becomes the derivative by the own projections.

    Args:
        d_state: (M, W) derivative by the new state, which is also that by the old one but for the message.
        rows: (M, 2 W) as the forward pass left it; overwritten.
        first_idx: as before.
        second_idx: as before.
        gain: as before.
        offset: as before.
        scale: as the forward pass left it.
        d_first: (., 2 W) added to.
        d_second: (., 2 W) added to.
    """
    width = d_state.shape[1]
    out = np.empty(2 * width, dtype=np.float32)
    for m in range(rows.shape[0]):
        row, d, dx, dy = rows[m], d_state[m], d_first[first_idx[m]], d_second[second_idx[m]]
        for j in range(width):
            c = gain[j] * row[j] + offset[j]
            g = gain[width + j] * row[width + j] + offset[width + j]
            s, t = sigmoid(c), sigmoid(g)
            out[j] = d[j] * t * s * (f32(1.0) + c * (f32(1.0) - s)) * gain[j]
            out[width + j] = d[j] * c * s * t * (f32(1.0) - t) * gain[width + j]
        denormalise(out, 0, width, row, scale[m, 0])
        denormalise(out, width, width, row, scale[m, 1])
        for j in range(2 * width):
            row[j] = out[j]
            dx[j] += out[j]
            dy[j] += out[j]
