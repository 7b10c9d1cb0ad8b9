"""Compiled loops that tell atoms and edges apart by what reaches them; `representations.condensed_angles` is their door."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def scrambled(value: np.uint64) -> np.uint64:
    """Spread a whole number over 64 bits (the finaliser of SplitMix64; Steele et al. 2014)."""
    value = (value + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@njit(cache=True, nogil=True)
def split_gaps(value, group, tolerance: float, widest: float, label, mean) -> int:
    """Label runs of nearly equal values, and replace each by its run's mean.

    A run ends where the next value is farther than the tolerance. Runs wider than `widest` are chains of different values: of
    these only equal ones stay together.

    Args:
        value: (M,) sorted within each group.
        group: (M,) sorted.
        tolerance: largest gap within a run.
        widest: largest width of a run.
        label: (M,) int64, written.
        mean: (M,) written.

    Returns:
        How many labels there are.
    """
    count = 0
    begin = 0
    while begin < value.size:
        end = begin + 1
        while end < value.size and group[end] == group[begin] and value[end] - value[end - 1] <= tolerance:
            end += 1
        chain = value[end - 1] - value[begin] > widest
        first = begin
        while first < end:
            last = first + 1
            while last < end and not (chain and value[last] - value[last - 1] > 1e-9):
                last += 1
            total = 0.0
            for i in range(first, last):
                total += value[i]
            for i in range(first, last):
                label[i] = count
                mean[i] = total / (last - first)
            count += 1
            first = last
        begin = end
    return count


@njit(cache=True, nogil=True)
def refine(source, target, first, second, angle, atom, edge, new_atom, new_edge) -> None:
    """Colour atoms by the edges that arrive, and edges by their ends and by their angles.

    Args:
        source: (E,).
        target: (E,).
        first: (T,) edge that sends.
        second: (T,) edge that receives.
        angle: (T,) label of the angle between them.
        atom: (N,) uint64 colours.
        edge: (E,) uint64 colours.
        new_atom: (N,) written.
        new_edge: (E,) written.
    """
    new_edge[:] = np.uint64(0)
    new_atom[:] = np.uint64(0)
    for t in range(first.size):
        # a sum of scrambled numbers wraps around and does not depend on the order of the angles
        new_edge[second[t]] += scrambled(edge[first[t]] ^ scrambled(np.uint64(angle[t])))
    for e in range(source.size):
        ends = scrambled(atom[source[e]]) ^ (atom[target[e]] << np.uint64(1))
        new_edge[e] = scrambled(scrambled(edge[e] ^ ends) ^ new_edge[e])
        new_atom[target[e]] += scrambled(edge[e] ^ scrambled(atom[source[e]]))
    for a in range(atom.size):
        new_atom[a] = scrambled(atom[a] ^ new_atom[a])


@njit(cache=True, nogil=True)
def merge_angles(first, angle, edge_class, place, start, kept_first, kept_second, kept_label, count) -> int:
    """Keep one of all angles of a kept edge with edges of one class and with one label.

    Args:
        first: (T,) edge that sends; angles are sorted by the edge that receives.
        angle: (T,) labels.
        edge_class: (E,) class of each edge.
        place: (E,) position of the edge among those kept, -1 for the others.
        start: (E + 1,) first angle of each edge that receives.
        kept_first: (T,) class of the edge that sends, written.
        kept_second: (T,) position of the edge that receives, written.
        kept_label: (T,) label, written.
        count: (T,) how many each kept one stands for, written.

    Returns:
        How many are kept.
    """
    total = 0
    for e in range(place.size):
        if place[e] < 0:
            continue
        begin = total
        for t in range(start[e], start[e + 1]):
            found = -1
            for i in range(begin, total):
                if kept_first[i] == edge_class[first[t]] and kept_label[i] == angle[t]:
                    found = i
                    break
            if found < 0:
                kept_first[total] = edge_class[first[t]]
                kept_second[total] = place[e]
                kept_label[total] = angle[t]
                count[total] = 1
                total += 1
            else:
                count[found] += 1
    return total
