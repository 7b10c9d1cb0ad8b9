"""Compiled loops over the energy of a probe in crystals; `representations.probe_patches` is their door.

Points on which a crystal is looked at must be the same wherever its cell begins and however it is cut: around every atom stand
the points of the lattice divided by a whole number n, r_i + (1/n) L. Such a set is that of the primitive cell's lattice, not of the
vectors chosen to span it.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from euhedral.geometry.primitive_kernels import shrunk
from euhedral.representations.lattice_bounds_kernels import half_diagonal, inside_cell, inverse, reduced

# A point belongs to atoms whose squared distance is at most this many times 2 s^2 above the least: exp(-36) is rounding.
_FAINTEST = 36.0
# Pairs nearer than this share of sigma count as this near; energies are thousands of wells deep there already.
_CORE = 0.5
# Of overlap, in shares of sigma: the border of the void is this wide, so that no point sits on a step.
_BORDER = 0.1


@njit(cache=True, nogil=True, error_model="numpy")
def images_around(cell, inside, near, far):
    """List the atoms and images that are within a distance of any point of a cell.

    Args:
        cell: (3, 3) Angstrom.
        inside: (n, 3) fractional, in [0, 1).
        near: Angstrom.
        far: Angstrom, at least `near`; images within it are listed after those that are near.

    Returns:
        (3, M) Angstrom, (M,) which atom each is of, and how many are near.
    """
    undo, _ = inverse(cell)
    across = np.empty(3)  # of the cell per Angstrom, at right angles to its faces
    for axis in range(3):
        across[axis] = math.sqrt(undo[0, axis] ** 2 + undo[1, axis] ** 2 + undo[2, axis] ** 2)
    n = inside.shape[0]
    room = n
    for axis in range(3):
        room *= 2 * math.ceil(far * across[axis]) + 2
    place, owner = np.empty((3, room)), np.empty(room, np.int64)
    count, n_near = 0, 0
    for outer in range(2):
        for i in range(n):
            first, last = np.empty(3, np.int64), np.empty(3, np.int64)
            for axis in range(3):
                first[axis] = math.ceil(-far * across[axis] - inside[i, axis] - 1e-9)
                last[axis] = math.floor(1.0 + far * across[axis] - inside[i, axis] + 1e-9)
            for a in range(first[0], last[0] + 1):
                for b in range(first[1], last[1] + 1):
                    for c in range(first[2], last[2] + 1):
                        u, v, w = inside[i, 0] + a, inside[i, 1] + b, inside[i, 2] + c
                        apart = max(-u, u - 1.0) / across[0]
                        apart = max(apart, max(-v, v - 1.0) / across[1])
                        apart = max(apart, max(-w, w - 1.0) / across[2])
                        if (apart <= near + 1e-9) != (outer == 0):
                            continue
                        for axis in range(3):
                            place[axis, count] = u * cell[0, axis] + v * cell[1, axis] + w * cell[2, axis]
                        owner[count] = i
                        count += 1
        if outer == 0:
            n_near = count
    return place[:, :count].copy(), owner[:count].copy(), n_near


@njit(cache=True, nogil=True, error_model="numpy")
def pair_table(sigma, epsilon, cutoff):
    """(3, n) of atoms: sigma^2 in Angstrom^2, 4 epsilon in eV, and the energy at the cutoff in units of 4 epsilon."""
    out = np.empty((3, sigma.size))
    for i in range(sigma.size):
        edge = (sigma[i] / cutoff) ** 6
        out[0, i], out[1, i], out[2, i] = sigma[i] ** 2, 4.0 * epsilon[i], edge * (edge - 1.0)
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def energy_at(x, y, z, place, owner, n_near, pairs, cutoff2, squared):
    """Sum truncated and shifted Lennard-Jones energies at a point.

    Args:
        x: Angstrom.
        y: Angstrom.
        z: Angstrom.
        place: (3, M) Angstrom of the images.
        owner: (M,) the atom of each.
        n_near: how many may be within the cutoff.
        pairs: (3, n) from `pair_table`.
        cutoff2: Angstrom^2.
        squared: (M,) to fill with the squared distances of the near ones, Angstrom^2.

    Returns:
        eV; the least squared distance, Angstrom^2; the least distance in units of sigma.
    """
    # a loop without branches first: it is done on several numbers at a time
    for m in range(n_near):
        dx, dy, dz = place[0, m] - x, place[1, m] - y, place[2, m] - z
        squared[m] = dx * dx + dy * dy + dz * dz
    energy, least, most = 0.0, np.inf, 0.0
    for m in range(n_near):
        d2 = squared[m]
        if d2 < cutoff2:
            i = owner[m]
            least = min(least, d2)
            ratio = pairs[0, i] / max(d2, _CORE * _CORE * pairs[0, i])
            most = max(most, ratio)
            s6 = ratio * ratio * ratio
            energy += pairs[1, i] * (s6 * (s6 - 1.0) - pairs[2, i])
    return energy, least, 1.0 / math.sqrt(most)


@njit(cache=True, nogil=True, error_model="numpy")
def energies_at(points, cell, frac, sigma, epsilon, cutoff):
    """Sum truncated and shifted Lennard-Jones energies at (P, 3) fractional points of a cell: (P,) eV."""
    short, _ = reduced(cell)
    undo, _ = inverse(short)
    inside = inside_cell(frac, cell, undo)
    inside -= np.floor(inside)
    asked = inside_cell(points, cell, undo)
    asked -= np.floor(asked)
    place, owner, n_near = images_around(short, inside, cutoff, cutoff)
    squared, pairs = np.empty(len(owner)), pair_table(sigma, epsilon, cutoff)
    out = np.empty(points.shape[0])
    for p in range(points.shape[0]):
        x, y, z = 0.0, 0.0, 0.0
        for m in range(3):
            x += asked[p, m] * short[m, 0]
            y += asked[p, m] * short[m, 1]
            z += asked[p, m] * short[m, 2]
        out[p], _, _ = energy_at(x, y, z, place, owner, n_near, pairs, cutoff * cutoff, squared)
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def bracket(value, nodes):
    """Find the node below a value and the share of the one above it; values outside count as at the ends."""
    last = nodes.size - 1
    if value <= nodes[0]:
        return 0, 0.0
    if value >= nodes[last]:
        return last - 1, 1.0
    k = 0
    while nodes[k + 1] < value:
        k += 1
    return k, (value - nodes[k]) / (nodes[k + 1] - nodes[k])


@njit(cache=True, nogil=True, error_model="numpy")
def divisions(cell, n_atoms, spacing, most):
    """Choose how often lattice vectors are divided, so that the points of all atoms are about as far apart as wished."""
    longest = 0.0
    for i in range(3):
        longest = max(longest, math.sqrt(cell[i, 0] ** 2 + cell[i, 1] ** 2 + cell[i, 2] ** 2))
    # a hair less than the ratio, so that rounding does not decide at whole numbers
    wanted = max(math.ceil(longest / (spacing * n_atoms ** (1.0 / 3.0)) - 1e-6), 4)
    n = 2
    while n < wanted and (n + 1) ** 3 * n_atoms <= most:
        n += 1
    return n


@njit(cache=True, nogil=True, error_model="numpy")
def patches_of_one(cell, inside, sigma, epsilon, cutoff, spread, n, radii, energies, patch):
    """Cut the space of a cell into patches, one of each atom, and count energies in them.

    A point belongs to atoms in proportion to exp(-d^2 / 2 s^2): with a small width s to the nearest.

    Args:
        cell: (3, 3) Angstrom, reduced.
        inside: (m, 3) fractional, in [0, 1).
        sigma: (m,) Angstrom, of the pairs of probe and atom.
        epsilon: (m,) eV.
        cutoff: Angstrom.
        spread: Angstrom, s.
        n: divisions of the lattice vectors.
        radii: (R,) Angstrom, nodes.
        energies: (K,) eV, nodes.
        patch: (m, R, K) of zeros, to fill with volumes, Angstrom^3.

    Returns:
        The share of the cell in which the probe overlaps with no atom.
    """
    m = inside.shape[0]
    _, volume = inverse(cell)
    quantum = abs(volume) / (m * n**3)
    band = 2.0 * spread * spread * _FAINTEST
    far = math.sqrt(half_diagonal(cell) ** 2 + band)
    place, owner, n_near = images_around(cell, inside, cutoff, max(far, cutoff))
    squared = np.empty(len(owner))
    weight = np.empty(len(owner))
    chosen = np.empty(len(owner), np.int64)
    pairs, cutoff2 = pair_table(sigma, epsilon, cutoff), cutoff * cutoff
    void = 0.0
    for i in range(m):
        for step in range(n**3):
            u = inside[i, 0] + (step // (n * n)) / n
            v = inside[i, 1] + (step // n % n) / n
            w = inside[i, 2] + (step % n) / n
            u, v, w = u - math.floor(u), v - math.floor(v), w - math.floor(w)
            x = u * cell[0, 0] + v * cell[1, 0] + w * cell[2, 0]
            y = u * cell[0, 1] + v * cell[1, 1] + w * cell[2, 1]
            z = u * cell[0, 2] + v * cell[1, 2] + w * cell[2, 2]
            energy, least, closest = energy_at(x, y, z, place, owner, n_near, pairs, cutoff2, squared)
            void += min(max((closest - 1.0) / _BORDER + 0.5, 0.0), 1.0)
            listed = n_near
            if not least + band < cutoff2:
                # the nearest atom may be beyond the cutoff, or some that share the point
                listed = len(owner)
                for k in range(n_near, listed):
                    squared[k] = (place[0, k] - x) ** 2 + (place[1, k] - y) ** 2 + (place[2, k] - z) ** 2
                for k in range(listed):
                    least = min(least, squared[k])
            total, found = 0.0, 0
            for k in range(listed):
                above = squared[k] - least
                if above <= band:
                    weight[found] = math.exp(-0.5 * above / (spread * spread))
                    chosen[found] = k
                    total += weight[found]
                    found += 1
            low, share = bracket(energy, energies)
            for k in range(found):
                part = quantum * weight[k] / total
                inner, outwards = bracket(math.sqrt(squared[chosen[k]]), radii)
                j = owner[chosen[k]]
                patch[j, inner, low] += part * (1.0 - outwards) * (1.0 - share)
                patch[j, inner, low + 1] += part * (1.0 - outwards) * share
                patch[j, inner + 1, low] += part * outwards * (1.0 - share)
                patch[j, inner + 1, low + 1] += part * outwards * share
    return void / (m * n**3)


@njit(cache=True, nogil=True, error_model="numpy")
def patches_of_all(
    cell, frac, numbers, offsets, sigma, epsilon, cutoff, spread, spacing, most, tolerance, radii, energies, patch, void
):
    """Fill in the patches of all atoms of all crystals, and the void of each crystal.

    Args:
        cell: (B, 3, 3) Angstrom.
        frac: (N, 3).
        numbers: (N,).
        offsets: (B + 1,).
        sigma: (119,) Angstrom, of the pairs of probe and element.
        epsilon: (119,) eV.
        cutoff: Angstrom.
        spread: Angstrom.
        spacing: Angstrom.
        most: points of a crystal.
        tolerance: Angstrom, within which a cell repeats a smaller one.
        radii: (R,) Angstrom.
        energies: (K,) eV.
        patch: (N, R, K) to fill, Angstrom^3.
        void: (B,) to fill.
    """
    for b in range(cell.shape[0]):
        first, last = offsets[b], offsets[b + 1]
        smaller, sites, kinds = shrunk(cell[b], frac[first:last], numbers[first:last], tolerance)
        short, _ = reduced(smaller)
        undo, _ = inverse(short)
        inside = inside_cell(sites, smaller, undo)
        inside -= np.floor(inside)
        pair_sigma, pair_epsilon = np.empty(len(kinds)), np.empty(len(kinds))
        for i in range(len(kinds)):
            pair_sigma[i], pair_epsilon[i] = sigma[kinds[i]], epsilon[kinds[i]]
        of_site = np.zeros((len(kinds), radii.size, energies.size))
        n = divisions(short, len(kinds), spacing, most)
        void[b] = patches_of_one(short, inside, pair_sigma, pair_epsilon, cutoff, spread, n, radii, energies, of_site)
        given = inside_cell(frac[first:last], cell[b], undo)
        for i in range(last - first):
            best, at = np.inf, 0
            for j in range(len(kinds)):
                if kinds[j] != numbers[first + i]:
                    continue
                d2 = 0.0
                p, q, r = given[i, 0] - inside[j, 0], given[i, 1] - inside[j, 1], given[i, 2] - inside[j, 2]
                p, q, r = p - np.round(p), q - np.round(q), r - np.round(r)
                for axis in range(3):
                    d2 += (p * short[0, axis] + q * short[1, axis] + r * short[2, axis]) ** 2
                if d2 < best:
                    best, at = d2, j
            patch[first + i] = of_site[at]
