"""Annular-dark-field images of a scanning transmission electron microscope, with the truth about every column.

Incoherent imaging (Pennycook and Jesson 1991, doi:10.1016/0304-3991(91)90004-P): the signal is the object convolved with the
probe's intensity, and the object is each atom's cross section at its place, so that columns add up. Thermal diffuse scattering
makes the cross section c Z^n, with n between the 2 of Rutherford and 4/3; 1.7 is usual at large angles (Krivanek et al. 2010,
doi:10.1038/nature08879, fitted 1.64). No channelling: thick columns are brighter in proportion to their atoms, without end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from euhedral.errors import InvalidRequestError
from euhedral.representations.images.columns import Columns, distinct, find_columns
from euhedral.representations.images.defects import Defect, DefectRecord, with_defects
from euhedral.representations.images.image import Image, checked_size
from euhedral.representations.images.probe import GaussianProbe, Probe
from euhedral.representations.images.scan import Scan
from euhedral.representations.images.specimen import Specimen, zone_frame

#: Angstrom^2 of a hydrogen atom: gold then scatters about 0.025 Angstrom^2 into the detector, the order of what is measured.
CROSS_SECTION: Final = 1.5e-5
# Angstrom between tabulated points of the probe, at most this part of its reach.
_TABLE = 2000


def stem_image(
    specimen: Specimen, *, scan: Scan, zone_axis: Sequence[int] = (0, 0, 1), probe: Probe | None = None,
    defects: Sequence[Defect] | DefectRecord = (), dose: float | None = None, background: float = 0.0,
    exponent: float = 1.7, cross_section: float = CROSS_SECTION, disc: float = 0.5, tolerance: float = 0.3,
    classes: Sequence[str] | None = None, right: Sequence[int] | None = None, rng: np.random.Generator | None = None,
) -> Image:  # fmt: skip
    """Draw the annular-dark-field image of a slab or sheet.

    Args:
        specimen: the perfect specimen; it should reach over the edges of the scan by the probe's reach and the drift.
        scan: pixels and motion.
        zone_axis: [uvw] along the beam, the one that the specimen was cut for.
        probe: what the object is blurred by; None takes a Gaussian one.
        defects: what to draw at random, or the record of what was.
        dose: electrons per Angstrom^2; None gives the signal without noise.
        background: fraction of the electrons that reaches the detector from elsewhere, the same everywhere.
        exponent: n of Z^n.
        cross_section: Angstrom^2, c of c Z^n.
        disc: Angstrom, radius of each column in the mask; where two overlap the nearer one counts.
        tolerance: Angstrom, atoms nearer than this in projection are one column.
        classes: see `find_columns`; give them where several images must be numbered alike.
        right: see `zone_frame`.
        rng: where defects, motion and noise come from; may be None where there are none.

    Returns:
        (H, W): with a dose, numbers of electrons; without, the fraction scattered. The mask and the labels number the columns'
        classes, and `positions` are where the columns are seen, drift and all.

    Raises:
        InvalidRequestError: an impossible zone axis, a dose or other number out of range, randomness without a generator, no
            atom in the view, or a column of a class that is not among those given.
    """
    height, width = checked_size(scan.size)
    name = f"STEM image of {specimen.id!r}"
    _check(name, dose=dose, background=background, exponent=exponent, cross_section=cross_section, disc=disc)
    probe = GaussianProbe() if probe is None else probe
    frame = zone_frame(specimen.cell, zone_axis=zone_axis, right=right, id=specimen.id)
    record = _record(specimen, defects=defects, rng=rng, name=name)
    shift = scan.shifts(rng=rng)
    left, top = -(width - 1) / 2.0 * scan.pixel_size, (height - 1) / 2.0 * scan.pixel_size
    seen = (specimen.cart @ frame.T)[:, :2]
    where = (seen + record.shift @ frame[:2].T)[record.kept]
    weight = cross_section * record.after[record.kept].astype(np.float64) ** exponent
    signal = _signal(where, weight=weight, shift=shift, corner=(left, top), pixel=scan.pixel_size, probe=probe, size=(height, width))  # fmt: skip
    if not signal.any():
        raise InvalidRequestError(
            f"{name}: no atom is in the view of {scan.width:g} by {scan.height:g} Å; move or enlarge it"
        )
    columns = find_columns(seen, record=record, frame=frame, tolerance=tolerance, classes=classes, id=specimen.id)
    mask = _mask(columns, shift=shift, corner=(left, top), pixel=scan.pixel_size, radius=disc, size=(height, width))
    positions = _as_seen(columns.place, shift=shift, corner=(left, top), pixel=scan.pixel_size)
    on = (positions > -0.5).all(1) & (positions[:, 0] < height - 0.5) & (positions[:, 1] < width - 0.5)
    pixels = signal + background
    if dose is not None:
        if rng is None:
            raise InvalidRequestError(f"{name}: a dose makes noise and needs a random generator; pass rng")
        pixels = np.asarray(rng.poisson(dose * scan.pixel_size**2 * pixels), dtype=np.float64)
    return Image(
        pixels.astype(np.float32), pixel_size=scan.pixel_size, unit="Å", mask=mask, classes=columns.classes, positions=positions[on],
        labels=columns.label[on],
    )  # fmt: skip


def _signal(
    where: NDArray[np.float64], *, weight: NDArray[np.float64], shift: NDArray[np.float64], corner: tuple[float, float],
    pixel: float, probe: Probe, size: tuple[int, int],
) -> NDArray[np.float64]:  # fmt: skip
    from euhedral.representations.images.stem_kernels import add_spots

    step = probe.reach / _TABLE
    table = probe.profile(np.arange(_TABLE + 1, dtype=np.float64) * step)
    table[-1] = 0.0
    image = np.zeros(size)
    places, which = distinct(where)  # atoms exactly behind one another are drawn once
    weights = np.bincount(which, weights=weight)
    x, y = np.ascontiguousarray(places.T)
    add_spots(x, y, weights, shift, *corner, pixel, table, step, image)
    return image


def _mask(
    columns: Columns, *, shift: NDArray[np.float64], corner: tuple[float, float], pixel: float, radius: float,
    size: tuple[int, int],
) -> NDArray[np.int32]:  # fmt: skip
    from euhedral.representations.images.stem_kernels import label_discs

    mask = np.zeros(size, np.int32)
    x, y = np.ascontiguousarray(columns.place.T)
    label_discs(x, y, columns.label, shift, *corner, pixel, radius, mask, np.full(size, np.inf))
    return mask


def _as_seen(
    place: NDArray[np.float64], *, shift: NDArray[np.float64], corner: tuple[float, float], pixel: float
) -> NDArray[np.float64]:
    """Row and column at which each place is taken; between lines their shifts are joined by straight lines."""
    lines = np.arange(len(shift), dtype=np.float64)
    row = (corner[1] - place[:, 1]) / pixel
    for _ in range(30):  # a contraction as long as the drift of a line is less than a pixel
        row = (corner[1] + np.interp(row, lines, shift[:, 1]) - place[:, 1]) / pixel
    return np.column_stack([row, (place[:, 0] - corner[0] - np.interp(row, lines, shift[:, 0])) / pixel])


def _record(
    specimen: Specimen, *, defects: Sequence[Defect] | DefectRecord, rng: np.random.Generator | None, name: str
) -> DefectRecord:
    if isinstance(defects, DefectRecord):
        if len(defects.kept) != len(specimen):
            raise InvalidRequestError(
                f"{name}: the record is of {len(defects.kept)} atoms and the specimen has {len(specimen)}; pass the perfect one"
            )
        return defects
    if not defects:
        numbers = np.array(specimen.numbers)
        return DefectRecord(np.ones(len(specimen), bool), numbers, numbers, np.zeros((len(specimen), 3)))
    if rng is None:
        raise InvalidRequestError(f"{name}: defects are drawn at random and need a generator; pass rng")
    return with_defects(specimen, defects=defects, rng=rng)[1]


def _check(
    name: str, *, dose: float | None, background: float, exponent: float, cross_section: float, disc: float
) -> None:
    if dose is not None and not (np.isfinite(dose) and dose >= 0.0):
        raise InvalidRequestError(f"{name}: the dose must be 0 electrons per Å^2 or more, got {dose}")
    if not (np.isfinite(background) and background >= 0.0):
        raise InvalidRequestError(f"{name}: the background must be a fraction of 0 or more, got {background}")
    if not (np.isfinite(exponent) and cross_section > 0.0 and disc > 0.0):
        raise InvalidRequestError(
            f"{name}: expected a finite exponent, and a cross section and disc that are positive, got {exponent}, {cross_section} and {disc}"
        )
