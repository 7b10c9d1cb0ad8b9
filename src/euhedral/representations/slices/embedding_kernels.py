"""Compiled energy of an embedding: bonds want their expected length, everything else wants to be farther away."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, error_model="numpy")
def strain_energy(
    place, stretch, first, second, shift, length, weight, bonded, slope, weak, wide, place_gradient, stretch_gradient
):
    """Sum the energy of pairs and fill in its gradients.

    A bond of relative length s = d / length has (s - 1)^2, continued by a straight line above 1 + slope; another pair has
    (s - 1)^2 when s < 1, and weak (1 - s / wide)^2 when s < wide.

    Args:
        place: (n, 3) Angstrom, in the reference cell.
        stretch: (3, 3) what vectors of the reference cell are multiplied by, from the right.
        first: (P,) atoms.
        second: (P,) atoms.
        shift: (P, 3) Angstrom, lattice translation of the second atom in the reference cell.
        length: (P,) Angstrom, expected for bonds, least for others.
        weight: (P,) what the energy of a bond is multiplied by.
        bonded: (P,) whether the pair is a bond.
        slope: a bond stretched by more than this pulls no harder.
        weak: strength of the long repulsion.
        wide: reach of the long repulsion.
        place_gradient: (n, 3) out.
        stretch_gradient: (3, 3) out.
    """
    place_gradient[:] = 0.0
    stretch_gradient[:] = 0.0
    energy = 0.0
    w = np.empty(3)
    v = np.empty(3)
    for p in range(len(first)):
        i, j = first[p], second[p]
        for c in range(3):
            w[c] = place[j, c] - place[i, c] + shift[p, c]
        for c in range(3):
            v[c] = w[0] * stretch[0, c] + w[1] * stretch[1, c] + w[2] * stretch[2, c]
        d = np.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]) + 1e-12
        s = d / length[p] - 1.0
        if not bonded[p]:
            if s >= wide - 1.0:
                continue
            far = 1.0 - (s + 1.0) / wide
            energy += weak * far * far
            pull = -2.0 * weak * far / wide
            if s < 0.0:
                energy += s * s
                pull += 2.0 * s
        elif s > slope:
            energy += weight[p] * slope * (2.0 * s - slope)
            pull = 2.0 * weight[p] * slope
        else:
            energy += weight[p] * s * s
            pull = 2.0 * weight[p] * s
        pull /= length[p] * d
        for c in range(3):
            g = pull * v[c]
            for b in range(3):
                stretch_gradient[b, c] += w[b] * g
                place_gradient[j, b] += stretch[b, c] * g
                place_gradient[i, b] -= stretch[b, c] * g
    return energy


@njit(cache=True, error_model="numpy")
def close_pairs(cell, frac, reach, bond_first, bond_second, bond_label, reached, first, second, label):
    """Collect pairs that are not bonds and are closer than their reach; returns their number, or -1 when the lists are full.

    Args:
        cell: (3, 3) Angstrom.
        frac: (n, 3) not wrapped.
        reach: (n, n) Angstrom.
        bond_first: (E,) sorted with bond_second and bond_label.
        bond_second: (E,) atoms.
        bond_label: (E, 3) cells.
        reached: (3,) how many cells away to look along each vector.
        first: (P,) out.
        second: (P,) out.
        label: (P, 3) out.
    """
    n = len(frac)
    starts = np.zeros(n + 1, np.int64)
    for e in range(len(bond_first)):
        starts[bond_first[e] + 1] += 1
    for i in range(n):
        starts[i + 1] += starts[i]
    count = 0
    for i in range(n):
        for j in range(i, n):
            x0, y0, z0 = frac[j, 0] - frac[i, 0], frac[j, 1] - frac[i, 1], frac[j, 2] - frac[i, 2]
            limit = reach[i, j] ** 2
            for a in range(-reached[0] - int(np.round(x0)), reached[0] - int(np.round(x0)) + 1):
                for b in range(-reached[1] - int(np.round(y0)), reached[1] - int(np.round(y0)) + 1):
                    for c in range(-reached[2] - int(np.round(z0)), reached[2] - int(np.round(z0)) + 1):
                        if i == j and (a < 0 or (a == 0 and (b < 0 or (b == 0 and c <= 0)))):
                            continue
                        p, q, r = x0 + a, y0 + b, z0 + c
                        x = p * cell[0, 0] + q * cell[1, 0] + r * cell[2, 0]
                        y = p * cell[0, 1] + q * cell[1, 1] + r * cell[2, 1]
                        z = p * cell[0, 2] + q * cell[1, 2] + r * cell[2, 2]
                        if x * x + y * y + z * z > limit:
                            continue
                        known = False
                        for e in range(starts[i], starts[i + 1]):
                            if (
                                bond_second[e] == j
                                and bond_label[e, 0] == a
                                and bond_label[e, 1] == b
                                and bond_label[e, 2] == c
                            ):
                                known = True
                                break
                        if known:
                            continue
                        if count == len(first):
                            return -1
                        first[count], second[count] = i, j
                        label[count, 0], label[count, 1], label[count, 2] = a, b, c
                        count += 1
    return count
