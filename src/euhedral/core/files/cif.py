"""Crystals from CIF and back.

Positions that symmetry generates closer than `SAME_SITE` are one atom, moved onto the exact special position, so that
coordinates rounded to 0.3333 do no harm. Partial or mixed occupancy is reported, never resolved.

Source: the core CIF dictionary (doi:10.1107/97809553602060000107); magnetic tags of magCIF.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from euhedral.core.composition import formula
from euhedral.core.crystal import Crystal, cell_from_parameters
from euhedral.core.elements import atomic_number
from euhedral.core.files import cif_symmetry as symmetry
from euhedral.core.files.cif_sites import Sites, read_sites
from euhedral.core.files.cif_symmetry import Operations
from euhedral.core.files.cif_syntax import Block, parse_blocks
from euhedral.core.files.text import number
from euhedral.errors import (
    DisorderedCrystalError,
    EuhedralError,
    FileFormatError,
    InvalidCrystalError,
    UnknownNameError,
)

#: Angstrom; images of one atom closer than this are the same atom on a special position.
SAME_SITE = 0.1

# Images of sites that are held at once.
_CHUNK = 200_000

_OPERATIONS = (
    "_space_group_symop_magn_operation_xyz", "_space_group_symop_operation_xyz", "_symmetry_equiv_pos_as_xyz",
)  # fmt: skip
_CENTERINGS = "_space_group_symop_magn_centering_xyz"
_HALL = ("_space_group_name_hall", "_symmetry_space_group_name_hall")
_NAMES = ("_space_group_name_h-m_alt", "_symmetry_space_group_name_h-m", "_space_group_name_h-m_full")
_NUMBERS = ("_space_group_it_number", "_symmetry_int_tables_number")
_FORMULA = re.compile(r"([A-Z][a-z]?)\s*(\d*\.?\d*)")
_CELL = (
    "_cell_length_a", "_cell_length_b", "_cell_length_c", "_cell_angle_alpha", "_cell_angle_beta", "_cell_angle_gamma",
)  # fmt: skip


def crystals_from_cif(text: str, *, name: str, stem: str) -> Iterator[Crystal | EuhedralError]:
    """Yield the crystal of each data block that holds one, or the error that it has.

    Args:
        text: the file's text.
        name: what errors call the file.
        stem: id of a lone crystal; the block's name follows it when there are several.

    Raises:
        FileFormatError: the text as a whole is not a CIF with a structure.
    """
    blocks = [block for block in parse_blocks(text, name=name) if _holds_structure(block)]
    if not blocks:
        raise FileFormatError(
            f"{name}: no data block has a unit cell and atoms (_cell_length_a, _atom_site_fract_x); is it a crystal's CIF?"
        )
    for position, block in enumerate(blocks):
        label = stem if len(blocks) == 1 else f"{stem}_{block.name or position}"
        try:
            yield _crystal(block, where=name, label=label)
        except EuhedralError as error:
            yield error if str(error).startswith(name) else type(error)(f"{name}: {error}")


def _holds_structure(block: Block) -> bool:
    has_cell = "_cell_length_a" in block.items or block.loop("_cell_length_a") is not None
    return has_cell or block.loop("_atom_site_fract_x", "_atom_site_cartn_x") is not None


def _crystal(block: Block, *, where: str, label: str) -> Crystal:
    sites = read_sites(block, where=where)
    cell = read_cell(block, where=where)
    operations = _operations(block, cell=cell, sites=sites, where=where)
    frac, source, image_of = sites.frac, None, None
    if operations is not None:
        frac, source, image_of = expand(sites.frac, operations=operations, cell=cell)
    kept = _without_repeats(frac, source=source, sites=sites, cell=cell, where=where)
    if kept is not None:
        frac = frac[kept]
        source = kept if source is None else source[kept]
        image_of = None if image_of is None else image_of[kept]
    numbers = sites.numbers if source is None else sites.numbers[source]
    _check_formula(block, numbers=numbers, where=where)
    site = dict(sites.values) if source is None else {key: values[source] for key, values in sites.values.items()}
    if sites.moments is not None:
        moments = sites.moments if source is None else sites.moments[source]
        site["magmom"] = _moments(moments, operations=operations, image_of=image_of, cell=cell)
    return Crystal(cell=cell, frac=frac, numbers=numbers, id=label, site=site, props=_props(block))


def read_cell(block: Block, *, where: str) -> NDArray[np.float64]:
    """Read the (3, 3) lattice vectors of a block, Angstrom.

    Args:
        block: the data block.
        where: what errors call the file.

    Raises:
        FileFormatError: a length or an angle is missing or no number.
        InvalidCrystalError: no cell has these parameters.
    """
    values = []
    for tag in _CELL:
        text = block.get(tag)
        line = block.item_lines.get(tag, block.line)
        if text is None:
            raise FileFormatError(f"{where}, line {line}: {tag} has no value; add it")
        values.append(number(text, what=tag, where=f"{where}, line {line}"))
    line = block.item_lines.get("_cell_length_a", block.line)
    try:
        return cell_from_parameters(values[:3], values[3:])
    except InvalidCrystalError as error:
        raise InvalidCrystalError(f"{where}, line {line}: {error}; correct the cell") from None


def _operations(block: Block, *, cell: NDArray, sites: Sites, where: str) -> Operations | None:
    """Find the operations, or None when there is only the identity."""
    for tag in _OPERATIONS:
        loop = block.loop(tag)
        if loop is not None:
            texts = loop.column(tag)
            if len(loop.values) % len(loop.tags) or any(text.count(",") < 2 for text in texts):
                # unquoted operations with spaces: one a line, perhaps after a number
                texts = [re.sub(r"^\d+\s+", "", " ".join(words)) for _, words in loop.lines()]
            line = loop.line
        elif block.get(tag) is not None:
            texts, line = [str(block.get(tag))], block.item_lines[tag]
        else:
            continue
        centering = block.loop(_CENTERINGS)
        if centering is not None and "magn" in tag:
            texts = _centred(texts, centering.column(_CENTERINGS))
        if len(texts) == 1 and symmetry.is_identity(texts[0]):
            return None
        if texts:
            try:
                return symmetry.operations_from_text(tuple(texts))
            except FileFormatError as error:
                raise FileFormatError(f"{where}, line {line}: {error}") from None
    return _named_operations(block, cell=cell, sites=sites, where=where)


def _centred(texts: list[str], centerings: list[str]) -> list[str]:
    """Join magnetic operations and centring translations, which magCIF lists apart."""
    joined = []
    for centering in centerings:
        _, shift, flip = symmetry.parse_operation(centering)
        for text in texts:
            parts = text.replace(" ", "").split(",")
            reversal = flip * (float(parts.pop()) if len(parts) == 4 else 1.0)
            moved = [f"{part}+{value!r}" if value else part for part, value in zip(parts, shift, strict=True)]
            joined.append(",".join([*moved, f"{reversal:+.0f}"]))
    return joined


def _named_operations(block: Block, *, cell: NDArray, sites: Sites, where: str) -> Operations | None:
    hall, name, group = block.get(*_HALL), block.get(*_NAMES), block.get(*_NUMBERS)
    candidates: list[int] = []
    given = ""
    if hall is not None:
        candidates, given = symmetry.settings_of_hall(hall), f"Hall symbol {hall!r}"
    if not candidates and name is not None:
        candidates, given = symmetry.settings_of_name(name), f"space-group symbol {name!r}"
    if not candidates and group is not None and name is None:
        given = f"space group number {group}"
        code = block.get("_space_group_it_coordinate_system_code") or ""
        if group.isdecimal() and 1 <= int(group) <= 230:
            candidates = symmetry.settings_of_number(int(group), setting=code)
    if not given:
        return None  # the dictionary's default is the identity alone
    cure = "add the symmetry operations (_space_group_symop_operation_xyz)"
    if not candidates:
        raise FileFormatError(f"{where}, line {block.line}: {given} is not one of the known settings; {cure}")
    metric = cell @ cell.T
    fitting = [h for h in candidates if symmetry.fits_cell(symmetry.operations_from_hall_number(h), metric=metric)]
    if not fitting:
        raise FileFormatError(f"{where}, line {block.line}: {given} does not fit the cell's lengths and angles; {cure}")
    if len(fitting) > 1:
        fitting = _agreeing_with_formula(fitting, block=block, cell=cell, sites=sites)
    if len(fitting) != 1:
        raise FileFormatError(
            f"{where}, line {block.line}: {given} leaves the axes or the origin open and the formula does not decide; {cure}"
        )
    operations = symmetry.operations_from_hall_number(fitting[0])
    return None if len(operations) == 1 else operations


def _agreeing_with_formula(candidates: list[int], *, block: Block, cell: NDArray, sites: Sites) -> list[int]:
    """Keep the settings whose atoms have the proportions of the file's formula."""
    stated = _stated_formula(block)
    if not stated:
        return candidates
    agreeing = []
    for hall_number in candidates:
        operations = symmetry.operations_from_hall_number(hall_number)
        _, source, _ = expand(sites.frac, operations=operations, cell=cell)
        if _same_proportions(stated, sites.numbers[source]):
            agreeing.append(hall_number)
    return agreeing


def _stated_formula(block: Block) -> dict[int, float]:
    amounts: dict[int, float] = {}
    for symbol, count in _FORMULA.findall(block.get("_chemical_formula_sum") or ""):
        try:
            key = atomic_number(symbol)
        except UnknownNameError:
            return {}  # a moiety or a placeholder, which says nothing of the atoms
        amounts[key] = amounts.get(key, 0.0) + float(count or 1)
    return amounts


def _same_proportions(stated: dict[int, float], numbers: NDArray) -> bool:
    found = Counter(numbers.tolist())
    total = sum(stated.values())
    return found.keys() == stated.keys() and all(
        abs(amount / total - found[key] / len(numbers)) < 0.01 for key, amount in stated.items()
    )


def _check_formula(block: Block, *, numbers: NDArray, where: str) -> None:
    stated = _stated_formula(block)
    if stated and not _same_proportions(stated, numbers):
        text = block.get("_chemical_formula_sum")
        raise InvalidCrystalError(
            f"{where}: the atoms make {formula(numbers)} but _chemical_formula_sum says {text}: atoms are missing or the "
            "symmetry is wrong; complete the file, or delete that line to use the atoms as they are"
        )


def expand(
    frac: NDArray[np.float64], *, operations: Operations, cell: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:  # fmt: skip
    """Apply symmetry operations; images of an atom closer than `SAME_SITE` become one atom on the special position.

    Args:
        frac: (S, 3) the atoms of the asymmetric unit.
        operations: M operations.
        cell: (3, 3) Angstrom.

    Returns:
        (n, 3) fractional coordinates, (n,) the site each comes from, and (n,) the operation that made it.
    """
    count = len(operations)
    positions, source, made_by = [], [], []
    for start in range(0, len(frac), max(1, _CHUNK // count)):
        part = frac[start : start + max(1, _CHUNK // count)]
        images = _images(part, operations)
        away = images - part[:, None]
        away -= np.rint(away)
        cartesian = away @ cell
        fixed = np.einsum("smk,smk->sm", cartesian, cartesian) < SAME_SITE**2
        stabilizers = np.count_nonzero(fixed, axis=1)
        if stabilizers.max() > 1:
            # the mean over the operations that bring an atom back is the exact special position
            part = part + np.einsum("smk,sm->sk", away, fixed) / np.maximum(stabilizers, 1)[:, None]
            images = _images(part, operations)
        for index, (orbit, stabilizer) in enumerate(zip(images, stabilizers.tolist(), strict=True)):
            first = np.arange(count) if stabilizer <= 1 else _distinct(orbit, expected=count // stabilizer, cell=cell)
            positions.append(orbit[first])
            source.append(np.full(len(first), start + index))
            made_by.append(first)
    return np.concatenate(positions), np.concatenate(source), np.concatenate(made_by)


def _images(frac: NDArray, operations: Operations) -> NDArray[np.float64]:
    """(S, M, 3) every image of every site."""
    return np.einsum("mij,sj->smi", operations.rotations, frac) + operations.translations


def _distinct(images: NDArray, *, expected: int, cell: NDArray) -> NDArray[np.int64]:
    """Positions in `images` of one image each place."""
    grid = np.rint(images * 1e5).astype(np.int64) % 100_000
    _, first = np.unique(grid @ np.array([1, 100_000, 10_000_000_000]), return_index=True)
    if len(first) == expected:
        return np.sort(first)
    # a coordinate on the edge of the grid, or a site that is only nearly special: compare all with all
    apart = images[:, None, :] - images
    apart -= np.rint(apart)
    apart = apart @ cell
    same = np.einsum("ijk,ijk->ij", apart, apart) < SAME_SITE**2
    return np.unique(same.argmax(axis=1))


def _without_repeats(
    frac: NDArray, *, source: NDArray | None, sites: Sites, cell: NDArray, where: str
) -> NDArray[np.int64] | None:
    """Drop atoms listed twice; two elements on one place are disorder."""
    repeated: set[int] = set()
    for i, j in _same_places(frac, cell=cell):
        one, other = (i, j) if source is None else (int(source[i]), int(source[j]))
        if sites.numbers[one] != sites.numbers[other]:
            raise DisorderedCrystalError(
                f"{where}: sites {sites.labels[one]!r} and {sites.labels[other]!r} hold different elements at one place; choose an ordered model"
            )
        repeated.add(max(i, j))
    if not repeated:
        return None
    return np.array([i for i in range(len(frac)) if i not in repeated], dtype=np.int64)


def _same_places(frac: NDArray, *, cell: NDArray) -> list[tuple[int, int]]:
    """Pairs of atoms closer than `SAME_SITE`."""
    count = len(frac)
    if count == 1:
        return []
    if count <= 64:
        away = frac[:, None, :] - frac
        away -= np.rint(away)
        away = away @ cell
        close = np.einsum("ijk,ijk->ij", away, away) < SAME_SITE**2
        if np.count_nonzero(close) == count:
            return []
        return [(i, j) for i, j in np.argwhere(close).tolist() if i < j]
    # sweep along a: only atoms within a thin slab of each other are compared
    wrapped = frac - np.floor(frac)
    order = np.argsort(wrapped[:, 0])
    wrapped = wrapped[order]
    reach = min(0.5, SAME_SITE * float(np.linalg.norm(np.linalg.inv(cell)[:, 0])))
    pairs: list[tuple[int, int]] = []
    for shift in range(1, count):
        later = (np.arange(count) + shift) % count
        along = wrapped[later, 0] - wrapped[:, 0]
        near = np.flatnonzero(along - np.floor(along) <= reach)
        if not near.size:
            break
        away = wrapped[later[near]] - wrapped[near]
        away -= np.rint(away)
        near = near[np.linalg.norm(away @ cell, axis=1) < SAME_SITE]
        pairs += zip(order[near].tolist(), order[later[near]].tolist(), strict=True)
    return pairs


def _moments(
    moments: NDArray, *, operations: Operations | None, image_of: NDArray | None, cell: NDArray
) -> NDArray[np.float64]:
    """Carry moments along: axial vectors, given along the unit cell vectors, mu_B; returned Cartesian."""
    along = moments / np.linalg.norm(cell, axis=1)
    if operations is not None and image_of is not None:
        rotations = operations.rotations[image_of]
        signs = np.linalg.det(rotations) * operations.time_reversal[image_of]
        along = np.einsum("nij,nj->ni", rotations, along) * signs[:, None]
    return along @ cell


def _props(block: Block) -> dict[str, float]:
    prefix = "_euhedral_property_"
    return {
        tag.removeprefix(prefix): float("nan") if value in {"?", "."} else number(value, what=tag, where=block.name)
        for tag, value in block.items.items()
        if tag.startswith(prefix)
    }
