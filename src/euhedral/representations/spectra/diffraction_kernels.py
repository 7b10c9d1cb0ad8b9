"""Compiled loops of powder diffraction; `spectra.diffraction` is their door.

Reflections stand in rows that share two of three indices, so that the phase of an atom along a row is one product of tabulated
powers of exp(2 pi i x), exp(2 pi i y) and exp(2 pi i z): no sine is computed for a reflection. Scattering factors are read off a
table by cubic Hermite interpolation.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from euhedral.geometry.neighbour_kernels import triangular
from euhedral.representations.spectra.reflection_kernels import (
    ROUNDING,
    list_rows,
    reciprocal_cell,
    sorted_places,
)

# Atoms whose tables of phases are in use at once; more would not stay in the cache.
_BLOCK = 64


@njit(cache=True, nogil=True, error_model="numpy")
def _powers(fraction, real, imaginary):
    """Fill e^(2 pi i n x) for n = 0, 1, 2 ..."""
    step_real, step_imaginary = np.cos(2.0 * np.pi * fraction), np.sin(2.0 * np.pi * fraction)
    real[0], imaginary[0] = 1.0, 0.0
    for n in range(1, len(real)):
        real[n] = real[n - 1] * step_real - imaginary[n - 1] * step_imaginary
        imaginary[n] = real[n - 1] * step_imaginary + imaginary[n - 1] * step_real


@njit(cache=True, nogil=True, error_model="numpy")
def _sum_phases(rows, members, frac, order, most, total_real, total_imaginary):
    """Add up e^(2 pi i h.x) of some atoms over all rows."""
    outermost, widest = 0, 0
    for r in range(len(rows)):
        outermost, widest = max(outermost, rows[r, 0]), max(widest, rows[r, 1], -rows[r, 1])
    size = min(_BLOCK, len(members))
    outer_real, outer_imaginary = np.empty((size, outermost + 1)), np.empty((size, outermost + 1))
    middle_real, middle_imaginary = np.empty((size, widest + 1)), np.empty((size, widest + 1))
    row_real, row_imaginary = np.empty((size, 2 * most + 1)), np.empty((size, 2 * most + 1))
    for start in range(0, len(members), _BLOCK):
        stop = min(start + _BLOCK, len(members))
        for m in range(start, stop):
            atom, j = members[m], m - start
            _powers(frac[atom, order[2]], outer_real[j], outer_imaginary[j])
            _powers(frac[atom, order[1]], middle_real[j], middle_imaginary[j])
            _powers(frac[atom, order[0]], row_real[j, most:], row_imaginary[j, most:])
            for n in range(1, most + 1):
                row_real[j, most - n], row_imaginary[j, most - n] = row_real[j, most + n], -row_imaginary[j, most + n]
        for r in range(len(rows)):
            outer, middle = rows[r, 0], rows[r, 1]
            sign = 1.0 if middle >= 0 else -1.0
            low, length, place = most + rows[r, 2], rows[r, 3] - rows[r, 2] + 1, rows[r, 4]
            into_real, into_imaginary = total_real[place : place + length], total_imaginary[place : place + length]
            for j in range(stop - start):
                middle_re, middle_im = middle_real[j, abs(middle)], sign * middle_imaginary[j, abs(middle)]
                re = outer_real[j, outer] * middle_re - outer_imaginary[j, outer] * middle_im
                im = outer_real[j, outer] * middle_im + outer_imaginary[j, outer] * middle_re
                along_real, along_imaginary = row_real[j, low : low + length], row_imaginary[j, low : low + length]
                for n in range(length):
                    into_real[n] += re * along_real[n] - im * along_imaginary[n]
                    into_imaginary[n] += re * along_imaginary[n] + im * along_real[n]


@njit(cache=True, nogil=True, error_model="numpy")
def _group_by_kind(numbers, thermal):
    """Sort atoms by element and thermal parameter; return them and where each kind begins."""
    n = len(numbers)
    kind = np.empty(n, np.int64)
    first = np.empty(n, np.int64)
    n_kinds = 0
    for i in range(n):
        kind[i] = n_kinds
        for k in range(n_kinds):
            if numbers[first[k]] == numbers[i] and thermal[first[k]] == thermal[i]:
                kind[i] = k
                break
        if kind[i] == n_kinds:
            first[n_kinds] = i
            n_kinds += 1
    starts = np.zeros(n_kinds + 1, np.int64)
    for i in range(n):
        starts[kind[i] + 1] += 1
    for k in range(n_kinds):
        starts[k + 1] += starts[k]
    members, filled = np.empty(n, np.int64), starts[:-1].copy()
    for i in range(n):
        members[filled[kind[i]]] = i
        filled[kind[i]] += 1
    return members, starts


@njit(cache=True, nogil=True, error_model="numpy")
def _factor(table, step, s2):
    """Read a scattering factor off its table: the cubic with the values and slopes at both ends of a step."""
    at = s2 / step
    cell = min(int(at), len(table) - 2)
    t = at - cell
    u = 1.0 - t
    return u * u * ((1.0 + 2.0 * t) * table[cell, 0] + t * table[cell, 1]) + t * t * (
        (1.0 + 2.0 * u) * table[cell + 1, 0] - u * table[cell + 1, 1]
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _intensities(rows, squares, most, order, frac, numbers, thermal, samples, imaginary, step):
    """|F|^2, the mean of both members of a Friedel pair.

    With complex factors b' + i b'' the mean of |F(h)|^2 and |F(-h)|^2 is that of the b' plus that of the b''.
    """
    n = len(squares)
    members, starts = _group_by_kind(numbers, thermal)
    total = np.zeros((4, n))
    real, imag = np.empty(n), np.empty(n)
    absorbing = False
    for kind in range(len(starts) - 1):
        real[:] = 0.0
        imag[:] = 0.0
        group = members[starts[kind] : starts[kind + 1]]
        _sum_phases(rows, group, frac, order, most, real, imag)
        number, damping = numbers[group[0]], thermal[group[0]]
        table, absorption = samples[number], imaginary[number]
        for i in range(n):
            factor = _factor(table, step, 0.25 * squares[i])
            if damping != 0.0:
                factor *= np.exp(-0.25 * damping * squares[i])
            total[0, i] += factor * real[i]
            total[1, i] += factor * imag[i]
        if absorption != 0.0:
            absorbing = True
            for i in range(n):
                factor = absorption * np.exp(-0.25 * damping * squares[i])
                total[2, i] += factor * real[i]
                total[3, i] += factor * imag[i]
    for i in range(n):
        real[i] = total[0, i] * total[0, i] + total[1, i] * total[1, i]
    if absorbing:
        for i in range(n):
            real[i] += total[2, i] * total[2, i] + total[3, i] * total[3, i]
    return real


@njit(cache=True, nogil=True, error_model="numpy")
def _weigh_by_texture(intensities, squares, rows, order, reciprocal, axis, march):
    """Multiply by the share of grains that reflect: (r^2 cos^2 a + sin^2 a / r)^(-3/2), a from the preferred axis."""
    along = np.zeros(3)
    for x in range(3):
        along[x] = axis[0] * reciprocal[0, x] + axis[1] * reciprocal[1, x] + axis[2] * reciprocal[2, x]
    length = np.sqrt(along[0] * along[0] + along[1] * along[1] + along[2] * along[2])
    projections = np.empty(3)
    for i in range(3):
        row = reciprocal[order[i]]
        projections[i] = (row[0] * along[0] + row[1] * along[1] + row[2] * along[2]) / length
    for r in range(len(rows)):
        fixed = rows[r, 0] * projections[2] + rows[r, 1] * projections[1]
        for place in range(rows[r, 4], rows[r, 4] + rows[r, 3] - rows[r, 2] + 1):
            component = fixed + (rows[r, 2] + place - rows[r, 4]) * projections[0]
            cosine2 = min(1.0, component * component / squares[place])
            intensities[place] *= (march * march * cosine2 + (1.0 - cosine2) / march) ** -1.5


@njit(cache=True, nogil=True, error_model="numpy")
def _merge(places, squares, intensities, rows, order, wavelength, tolerance, square, strength, multiplicity, hkl):
    """Add up reflections that fall together; fill one entry for each peak and return how many there are."""
    row_of = np.empty(len(squares), np.int64)
    for r in range(len(rows)):
        row_of[rows[r, 4] : rows[r, 4] + rows[r, 3] - rows[r, 2] + 1] = r
    indices = np.empty(3, np.int64)
    found, previous, angle = 0, -1.0, -1.0
    for place in places:
        if squares[place] > previous * (1.0 + ROUNDING):
            last = angle
            angle = 2.0 * np.arcsin(min(1.0, 0.5 * wavelength * np.sqrt(squares[place])))
            if previous < 0.0 or angle - last > tolerance:
                square[found], strength[found], multiplicity[found] = squares[place], 0.0, 0
                hkl[found, 0] = -1
                found += 1
            previous = squares[place]
        # by Friedel's law the other half is as strong
        strength[found - 1] += 2.0 * intensities[place]
        multiplicity[found - 1] += 2
        row = row_of[place]
        indices[order[2]], indices[order[1]] = rows[row, 0], rows[row, 1]
        indices[order[0]] = rows[row, 2] + place - rows[row, 4]
        h, k, l = indices[0], indices[1], indices[2]  # noqa: E741
        if h < 0 or (h == 0 and (k < 0 or (k == 0 and l < 0))):
            h, k, l = -h, -k, -l  # noqa: E741
        # the largest indices name the peak: (111), not (1-1-1)
        own = hkl[found - 1]
        if h > own[0] or (h == own[0] and (k > own[1] or (k == own[1] and l > own[2]))):
            own[0], own[1], own[2] = h, k, l
    return found


@njit(cache=True, nogil=True, error_model="numpy")
def _expose(
    square, strength, multiplicity, hkl, lines, polarized, shortest, longest, faintest,
    two_theta, percent, spacing, out_hkl, out_multiplicity, out_line,
):  # fmt: skip
    """Turn peaks of a crystal into peaks of a measurement; return how many, and the height of the highest."""
    n = len(square)
    n_lines = len(lines)
    angles, heights = np.empty(n * n_lines), np.empty(n * n_lines)
    highest, count = 0.0, 0
    for line in range(n_lines):
        for i in range(n):
            at = line * n + i
            half = 0.5 * lines[line, 0] * np.sqrt(square[i])
            angles[at] = np.inf
            # the shell is that of all lines together; of each line what lies in the range of angles
            if half * (1.0 + ROUNDING) < shortest or half > longest * (1.0 + ROUNDING):
                continue
            sine = min(1.0, half)
            cosine = np.sqrt(1.0 - sine * sine)
            double = 1.0 - 2.0 * sine * sine
            angles[at] = 2.0 * np.arcsin(sine)
            heights[at] = strength[i] * lines[line, 1] * (1.0 + polarized * double * double) / (sine * sine * cosine)
            highest = max(highest, heights[at])
    order = np.arange(n * n_lines) if n_lines == 1 else np.argsort(angles)
    for at in order:
        if angles[at] == np.inf or highest <= 0.0:
            continue
        share = 100.0 * heights[at] / highest if highest < np.inf else (100.0 if heights[at] == np.inf else 0.0)
        if share > faintest:
            i = at % n
            two_theta[count], percent[count] = np.degrees(angles[at]), share
            spacing[count], out_multiplicity[count] = 1.0 / np.sqrt(square[i]), multiplicity[i]
            out_hkl[count, 0], out_hkl[count, 1], out_hkl[count, 2] = hkl[i, 0], hkl[i, 1], hkl[i, 2]
            out_line[count] = at // n
            count += 1
    return count, highest


@njit(cache=True, nogil=True, error_model="numpy")
def powder(
    cells, frac, numbers, thermal, offsets, n_rows, n_reflections, lines, sines, samples, imaginary, step, polarized,
    axis, march, tolerance, faintest, masses, two_theta, percent, spacing, hkl, multiplicity, line, n_peaks, brightness,
):  # fmt: skip
    """Compute the peaks of each crystal's powder; a crystal's begin where those of the one before end.

    Args:
        cells: (B, 3, 3) Angstrom.
        frac: (N, 3).
        numbers: (N,) atomic numbers.
        thermal: (N,) B in Angstrom^2.
        offsets: (B + 1,) the first atom of each crystal.
        n_rows: (B,) from `count_reflections`.
        n_reflections: (B,) from `count_reflections`.
        lines: (L, 2) wavelength in Angstrom, weight.
        sines: (2,) sine of theta, from and to.
        samples: (119, G, 2) scattering factors on a grid of (g / 2)^2, and their derivative times the step.
        imaginary: (119,) imaginary parts.
        step: of that grid, 1/Angstrom^2.
        polarized: how much of cos^2(2 theta) is in the polarization factor.
        axis: (3,) Miller indices of the preferred orientation.
        march: the March-Dollase parameter.
        tolerance: radians of 2 theta of the first line; closer reflections are one peak.
        faintest: percent of the strongest peak; weaker ones are left out.
        masses: (119,) amu by atomic number.
        two_theta: (P,) to fill, degrees.
        percent: (P,) to fill, of the strongest peak.
        spacing: (P,) to fill, Angstrom.
        hkl: (P, 3) to fill.
        multiplicity: (P,) to fill.
        line: (P,) to fill, which of the lines.
        n_peaks: (B,) to fill.
        brightness: (B,) to fill, strength of the strongest peak over volume and mass.
    """
    shortest = longest = 0.0
    for i in range(len(lines)):
        shortest = 2.0 * sines[0] / lines[i, 0] if i == 0 else min(shortest, 2.0 * sines[0] / lines[i, 0])
        longest = max(longest, 2.0 * sines[1] / lines[i, 0])
    found = 0
    for b in range(len(cells)):
        n_peaks[b], brightness[b] = 0, 0.0
        if n_reflections[b] == 0:
            continue
        reciprocal, volume = reciprocal_cell(cells[b])
        lower, order = triangular(reciprocal)
        rows, squares = np.empty((n_rows[b], 5), np.int64), np.empty(n_reflections[b])
        most = list_rows(lower, longest, rows, squares)
        places = sorted_places(squares, shortest, longest)
        n = len(places)
        atoms = slice(offsets[b], offsets[b + 1])
        intensities = _intensities(
            rows, squares, most, order, frac[atoms], numbers[atoms], thermal[atoms], samples, imaginary, step
        )
        if march != 1.0:
            _weigh_by_texture(intensities, squares, rows, order, reciprocal, axis, march)
        square, strength = np.empty(n), np.empty(n)
        members, indices = np.empty(n, np.int64), np.empty((n, 3), np.int64)
        merged = _merge(
            places, squares, intensities, rows, order, lines[0, 0], tolerance, square, strength, members, indices
        )
        n_peaks[b], highest = _expose(
            square[:merged], strength[:merged], members, indices, lines, polarized, sines[0], sines[1], faintest,
            two_theta[found:], percent[found:], spacing[found:], hkl[found:], multiplicity[found:], line[found:],
        )  # fmt: skip
        found += n_peaks[b]
        mass = 0.0
        for i in range(offsets[b], offsets[b + 1]):
            mass += masses[numbers[i]]
        brightness[b] = highest / (volume * mass)
