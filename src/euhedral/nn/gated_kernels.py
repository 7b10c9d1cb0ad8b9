"""Messages through a gated perceptron, and their derivatives, a cache-sized block of rows at a time.

A row's input is the sum of its own projection and those of two neighbours that many rows share; the projections of both
branches stand side by side, core first. A branch is normalised over its features (layer norm), and the message is
silu(core) * sigmoid(gate). The forward pass keeps, in place, what the backward pass needs: inputs and normalised outputs.

Source: Deng et al. 2023, doi:10.1038/s42256-023-00716-3, equation 3; the derivatives are worked out here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from euhedral.nn.kernels import ROWS, compiled, f32, sigmoid

_EPSILON = f32(1e-5)


@compiled
def deviations(core: Any, gate: Any, bias: Any) -> tuple[f32, f32, f32, f32]:
    """The mean of each branch plus its bias, and one over its deviation."""
    width = core.size
    # sums about the first value: one pass, and no cancellation unless that value is far out
    first_c, first_g = core[0] + bias[0], gate[0] + bias[width]
    sum_c, sum_g, square_c, square_g = f32(0.0), f32(0.0), f32(0.0), f32(0.0)
    for j in range(width):
        c, g = core[j] + bias[j] - first_c, gate[j] + bias[width + j] - first_g
        sum_c += c
        sum_g += g
        square_c += c * c
        square_g += g * g
    one = f32(1.0) / f32(width)
    sum_c *= one
    sum_g *= one
    scale_c = f32(1.0) / np.sqrt(square_c * one - sum_c * sum_c + _EPSILON)
    scale_g = f32(1.0) / np.sqrt(square_g * one - sum_g * sum_g + _EPSILON)
    return first_c + sum_c, first_g + sum_g, scale_c, scale_g


@compiled
def message_forward(
    own: Any, own_idx: Any, rows: Any, first: Any, first_idx: Any, second: Any, second_idx: Any, core: Any, gate: Any, bias: Any,
    gain: Any, offset: Any, weight: Any, weight_idx: Any, total: Any, normal: Any, scale: Any,
) -> None:  # fmt: skip
    """Sum weighted messages with a hidden layer: total[first_idx] += weight[weight_idx] * message(row).

    Args:
        own: (., 2 W) projections of the row's own features.
        own_idx: (M,) row of `own`; empty where each row has its own.
        rows: (M, 2 W) inputs of the hidden layer, written; may be `own` where each row has its own.
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
    hidden_core, hidden_gate = np.empty((ROWS, width), dtype=np.float32), np.empty((ROWS, width), dtype=np.float32)
    out_core, out_gate = np.empty((ROWS, width), dtype=np.float32), np.empty((ROWS, width), dtype=np.float32)
    for begin in range(0, rows.shape[0], ROWS):
        size = min(ROWS, rows.shape[0] - begin)
        for i in range(size):
            m = begin + i
            row, x, y = rows[m], first[first_idx[m]], second[second_idx[m]]
            p = own[own_idx[m]] if own_idx.size else own[m]
            hc, hg = hidden_core[i], hidden_gate[i]
            for j in range(2 * width):
                row[j] = p[j] + x[j] + y[j]
            for j in range(width):
                hc[j] = row[j] * sigmoid(row[j])
                hg[j] = row[width + j] * sigmoid(row[width + j])
        np.dot(hidden_core[:size], core, out_core[:size])
        np.dot(hidden_gate[:size], gate, out_gate[:size])
        for i in range(size):
            m = begin + i
            z = normal[m]
            oc, og = out_core[i], out_gate[i]
            mean_c, mean_g, scale_c, scale_g = deviations(oc, og, bias)
            scale[m, 0], scale[m, 1] = scale_c, scale_g
            t, w = total[first_idx[m]], weight[weight_idx[m]]
            for j in range(width):
                c = (oc[j] + bias[j] - mean_c) * scale_c
                g = (og[j] + bias[width + j] - mean_g) * scale_g
                z[j], z[width + j] = c, g
            for j in range(width):
                c = gain[j] * z[j] + offset[j]
                g = gain[width + j] * z[width + j] + offset[width + j]
                t[j] += c * sigmoid(c) * sigmoid(g) * w[j]


@compiled
def message_backward(
    d_total: Any, own_idx: Any, rows: Any, first_idx: Any, second_idx: Any, core_t: Any, gate_t: Any, gain: Any, offset: Any,
    weight: Any, weight_idx: Any, normal: Any, scale: Any, d_own: Any, d_first: Any, d_second: Any, d_weight: Any,
) -> None:  # fmt: skip
    """Derivatives of `message_forward`; `rows` becomes the derivative by the inputs of the hidden layer.

    Args:
        d_total: (., W) derivative by the sums.
        own_idx: as before.
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
        d_own: (., 2 W) added to, unless each row has its own, which is then in `rows`.
        d_first: (., 2 W) added to.
        d_second: (., 2 W) added to.
        d_weight: (., W) added to.
    """
    width = core_t.shape[0]
    one = f32(1.0) / f32(width)
    hidden_core, hidden_gate = np.empty((ROWS, width), dtype=np.float32), np.empty((ROWS, width), dtype=np.float32)
    out_core, out_gate = np.empty((ROWS, width), dtype=np.float32), np.empty((ROWS, width), dtype=np.float32)
    for begin in range(0, rows.shape[0], ROWS):
        size = min(ROWS, rows.shape[0] - begin)
        for i in range(size):
            m = begin + i
            z, oc, og = normal[m], out_core[i], out_gate[i]
            d, w, dw = d_total[first_idx[m]], weight[weight_idx[m]], d_weight[weight_idx[m]]
            plain_c, plain_g, along_c, along_g = f32(0.0), f32(0.0), f32(0.0), f32(0.0)
            for j in range(width):
                c = gain[j] * z[j] + offset[j]
                g = gain[width + j] * z[width + j] + offset[width + j]
                s, t = sigmoid(c), sigmoid(g)
                dw[j] += d[j] * c * s * t
                dm = d[j] * w[j] * t
                dc = dm * s * (f32(1.0) + c * (f32(1.0) - s)) * gain[j]
                dg = dm * c * s * (f32(1.0) - t) * gain[width + j]
                oc[j], og[j] = dc, dg
                plain_c += dc
                plain_g += dg
                along_c += dc * z[j]
                along_g += dg * z[width + j]
            scale_c, scale_g = scale[m, 0], scale[m, 1]
            plain_c, plain_g, along_c, along_g = plain_c * one, plain_g * one, along_c * one, along_g * one
            for j in range(width):
                oc[j] = scale_c * (oc[j] - plain_c - z[j] * along_c)
                og[j] = scale_g * (og[j] - plain_g - z[width + j] * along_g)
        np.dot(out_core[:size], core_t, hidden_core[:size])
        np.dot(out_gate[:size], gate_t, hidden_gate[:size])
        for i in range(size):
            m = begin + i
            row, hc, hg = rows[m], hidden_core[i], hidden_gate[i]
            dx, dy = d_first[first_idx[m]], d_second[second_idx[m]]
            for j in range(width):
                c, g = row[j], row[width + j]
                s, t = sigmoid(c), sigmoid(g)
                c = hc[j] * s * (f32(1.0) + c * (f32(1.0) - s))
                g = hg[j] * t * (f32(1.0) + g * (f32(1.0) - t))
                row[j], row[width + j] = c, g
                dx[j] += c
                dx[width + j] += g
                dy[j] += c
                dy[width + j] += g
            if own_idx.size:
                dp = d_own[own_idx[m]]
                for j in range(2 * width):
                    dp[j] += row[j]


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
    no_bias = np.zeros(2 * width, dtype=np.float32)
    for m in range(rows.shape[0]):
        row, x, y, s = rows[m], first[first_idx[m]], second[second_idx[m]], state[m]
        for j in range(2 * width):
            row[j] += x[j] + y[j]
        mean_c, mean_g, scale_c, scale_g = deviations(row[:width], row[width:], no_bias)
        scale[m, 0], scale[m, 1] = scale_c, scale_g
        for j in range(width):
            c = (row[j] - mean_c) * scale_c
            g = (row[width + j] - mean_g) * scale_g
            row[j], row[width + j] = c, g
            c = gain[j] * c + offset[j]
            g = gain[width + j] * g + offset[width + j]
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
    one = f32(1.0) / f32(width)
    core, gate = np.empty(width, dtype=np.float32), np.empty(width, dtype=np.float32)
    for m in range(rows.shape[0]):
        row, d, dx, dy = rows[m], d_state[m], d_first[first_idx[m]], d_second[second_idx[m]]
        plain_c, plain_g, along_c, along_g = f32(0.0), f32(0.0), f32(0.0), f32(0.0)
        for j in range(width):
            c = gain[j] * row[j] + offset[j]
            g = gain[width + j] * row[width + j] + offset[width + j]
            s, t = sigmoid(c), sigmoid(g)
            dc = d[j] * t * s * (f32(1.0) + c * (f32(1.0) - s)) * gain[j]
            dg = d[j] * c * s * t * (f32(1.0) - t) * gain[width + j]
            core[j], gate[j] = dc, dg
            plain_c += dc
            plain_g += dg
            along_c += dc * row[j]
            along_g += dg * row[width + j]
        scale_c, scale_g = scale[m, 0], scale[m, 1]
        plain_c, plain_g, along_c, along_g = plain_c * one, plain_g * one, along_c * one, along_g * one
        for j in range(width):
            c = scale_c * (core[j] - plain_c - row[j] * along_c)
            g = scale_g * (gate[j] - plain_g - row[width + j] * along_g)
            row[j], row[width + j] = c, g
            dx[j] += c
            dx[width + j] += g
            dy[j] += c
            dy[width + j] += g
