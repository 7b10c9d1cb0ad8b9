"""To and from pymatgen's Structure and ASE's Atoms; both packages stay optional.

Site values go by these names: `magmom` (mu_B) and `oxidation_state` here; pymatgen keeps charges in its species and ASE
moments as initial moments.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from euhedral.core.crystal import Crystal
from euhedral.core.elements import SYMBOLS
from euhedral.errors import DisorderedCrystalError, InvalidCrystalError, MissingDependencyError

if TYPE_CHECKING:
    from ase import Atoms
    from pymatgen.core import Structure


def to_pymatgen(crystal: Crystal) -> Structure:
    """Convert to a pymatgen Structure with charges, site properties and, as properties, the props.

    Raises:
        MissingDependencyError: pymatgen is not installed.
    """
    try:
        from pymatgen.core import Lattice, Species, Structure
    except ImportError as error:
        raise _missing("pymatgen") from error
    charges = crystal.site.get("oxidation_state")
    symbols = [SYMBOLS[number] for number in crystal.numbers.tolist()]
    species: list[Any] = list(symbols)
    if charges is not None:
        pairs = zip(symbols, charges.astype(float).tolist(), strict=True)
        species = [Species(symbol, charge) if np.isfinite(charge) else symbol for symbol, charge in pairs]
    site = {key: values.tolist() for key, values in crystal.site.items() if key != "oxidation_state"}
    return Structure(
        Lattice(crystal.cell),
        species,
        crystal.frac,
        site_properties=site,
        properties={**crystal.props, "id": crystal.id},
    )


def from_pymatgen(structure: Structure, *, id: str = "") -> Crystal:  # noqa: A002  the field's name in Crystal
    """Convert from a pymatgen Structure; numeric site properties and charges are kept.

    Args:
        structure: an ordered structure.
        id: name of the crystal; the structure's own "id" property when empty.

    Raises:
        DisorderedCrystalError: a site is partly or mixed occupied.
        InvalidCrystalError: the structure cannot be used.
    """
    name = id or str(structure.properties.get("id", ""))
    for position, site in enumerate(structure):
        if not site.is_ordered:
            raise DisorderedCrystalError(
                f"crystal {name!r}: site {position} holds {site.species}; choose an ordered model, "
                "for example with pymatgen's OrderDisorderedStructureTransformation"
            )
    values: dict[str, np.ndarray] = {}
    for key, column in structure.site_properties.items():
        array = _numeric(column)
        if array is not None:
            values[key] = array
    charges = [getattr(site.specie, "oxi_state", None) for site in structure]
    if any(charge is not None for charge in charges):
        values["oxidation_state"] = np.array([np.nan if charge is None else charge for charge in charges], dtype=float)
    props = {key: value for key, value in structure.properties.items() if key != "id" and _is_number(value)}
    numbers = np.array([site.specie.Z for site in structure])
    return Crystal(
        cell=structure.lattice.matrix, frac=structure.frac_coords, numbers=numbers, id=name, props=props, site=values
    )


def to_ase(crystal: Crystal) -> Atoms:
    """Convert to periodic ASE Atoms; moments become initial moments, other site values arrays, props `info`.

    Raises:
        MissingDependencyError: ASE is not installed.
    """
    try:
        from ase import Atoms
    except ImportError as error:
        raise _missing("ase") from error
    atoms = Atoms(
        numbers=crystal.numbers, cell=crystal.cell, scaled_positions=crystal.frac, pbc=True, info=dict(crystal.props)
    )
    if crystal.id:
        atoms.info["id"] = crystal.id
    for key, values in crystal.site.items():
        if key == "magmom":
            atoms.set_initial_magnetic_moments(values)
        else:
            atoms.set_array(key, np.array(values))
    return atoms


def from_ase(atoms: Atoms, *, id: str = "") -> Crystal:  # noqa: A002  the field's name in Crystal
    """Convert from ASE Atoms that are periodic in all three directions.

    Args:
        atoms: with a cell; constraints and calculators are left behind.
        id: name of the crystal; `atoms.info["id"]` when empty.

    Raises:
        InvalidCrystalError: there is no cell, a direction is not periodic, or the structure cannot be used.
    """
    name = id or str(atoms.info.get("id", ""))
    if atoms.cell.rank < 3:
        raise InvalidCrystalError(
            f"crystal {name!r}: the Atoms have no three-dimensional cell; set one, as with atoms.center(vacuum=10)"
        )
    if not atoms.pbc.all():
        raise InvalidCrystalError(
            f"crystal {name!r}: the Atoms are not periodic in all directions (pbc={atoms.pbc.tolist()}); "
            "pad with vacuum and set atoms.pbc = True"
        )
    values: dict[str, np.ndarray] = {}
    for key, column in atoms.arrays.items():
        array = None if key in {"numbers", "positions", "initial_magmoms"} else _numeric(column)
        if array is not None:
            values[key] = array
    if atoms.has("initial_magmoms"):
        values["magmom"] = np.array(atoms.get_initial_magnetic_moments(), dtype=float)
    props = {key: value for key, value in atoms.info.items() if key != "id" and _is_number(value)}
    made = Crystal.from_cart(atoms.cell.array, cart=atoms.positions, numbers=atoms.numbers, id=name, props=props)
    return made.replace(site=values) if values else made


def _missing(package: str) -> MissingDependencyError:
    return MissingDependencyError(f"{package} is not installed; run: pip install {package}")


def _numeric(column: Any) -> np.ndarray | None:
    """An array of numbers, None replaced by NaN; or None when the column is something else."""
    rows = list(column)
    if any(isinstance(row, Mapping | str) for row in rows):
        return None
    width = next((np.shape(row) for row in rows if row is not None), ())
    try:
        array = np.array([np.full(width, np.nan) if row is None else row for row in rows])
    except ValueError:
        return None  # ragged
    return array if array.dtype.kind in "fiub" else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number | np.ndarray) and np.asarray(value).dtype.kind in "fiub"
