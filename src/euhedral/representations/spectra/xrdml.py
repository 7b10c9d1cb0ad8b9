"""PANalytical's XRDML: scans as XML, read without following what XML could be made to expand or fetch.

Schema: XRDMeasurement 1.0 to 2.x; points are spread evenly from startPosition to endPosition, or listed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from xml.etree import ElementTree as ET
from xml.parsers import expat

import numpy as np
from numpy.typing import NDArray

from euhedral.errors import FileFormatError

_METADATA: Final = {
    "k_alpha_1": "usedWavelength/kAlpha1",
    "k_alpha_2": "usedWavelength/kAlpha2",
    "ratio_k_alpha_2": "usedWavelength/ratioKAlpha2KAlpha1",
    "anode": "incidentBeamPath/xRayTube/anodeMaterial",
    "kilovolts": "incidentBeamPath/xRayTube/tension",
}


@dataclass(frozen=True)
class Scan:
    """One scan.

    Args:
        x: (N,) degrees of 2 theta.
        y: (N,) counts, corrected for what attenuated the beam.
        metadata: wavelengths in Angstrom, anode, seconds a point, sample.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    metadata: dict[str, Any]


def scans_from_xrdml(text: str, *, name: str) -> list[Scan]:
    """Read all scans of a file.

    Args:
        text: the file's.
        name: its name.

    Raises:
        FileFormatError: not XML, XML with a document type (which could define entities), no scan, or points that do not fit.
    """
    root = _parse(text, name=name)
    sample = _text(root, "sample/id") or _text(root, "sample/name")
    scans = []
    for measurement in _all(root, "xrdMeasurement"):
        common = {key: _text(measurement, path) for key, path in _METADATA.items()}
        for scan in _all(measurement, "scan"):
            for points in _all(scan, "dataPoints"):
                where = f"{name}, scan {len(scans) + 1}"
                metadata = {key: value for key, value in common.items() if value}
                if sample:
                    metadata["sample"] = sample
                axis = scan.get("scanAxis")
                if axis:
                    metadata["scan_axis"] = axis
                seconds = _text(points, "commonCountingTime")
                if seconds:
                    metadata["seconds_per_point"] = seconds
                y = _intensities(points, where=where)
                scans.append(Scan(_angles(points, count=len(y), where=where), y, metadata))
    if not scans:
        raise FileFormatError(f"{name}: no scan with data points was found; expected PANalytical XRDML")
    return scans


def _parse(text: str, *, name: str) -> ET.Element:
    def refuse(*_: object) -> None:
        raise FileFormatError(f"{name}: XML with a document type is not read, since it may expand without end")

    guard = expat.ParserCreate()
    guard.StartDoctypeDeclHandler = refuse
    text = text.lstrip()
    if text.startswith("<?xml"):
        # the text is decoded already; what the declaration says of its encoding no longer holds
        text = text.partition("?>")[2].lstrip()
    try:
        guard.Parse(text.encode(), True)
        return ET.fromstring(text.encode())  # noqa: S314  the guard has refused document types
    except (expat.ExpatError, ET.ParseError) as error:
        raise FileFormatError(f"{name}: not valid XML ({error}); export it again") from error
    except UnicodeEncodeError as error:
        raise FileFormatError(f"{name}: not text that XML may hold ({error.reason}); export it again") from error


def _all(parent: ET.Element, tag: str) -> list[ET.Element]:
    """Children of a name, in whatever version of the namespace."""
    return [child for child in parent if child.tag.rpartition("}")[2] == tag]


def _text(parent: ET.Element, path: str) -> str:
    for tag in path.split("/"):
        found = _all(parent, tag)
        if not found:
            return ""
        parent = found[0]
    return (parent.text or "").strip()


def _numbers(text: str, *, what: str, where: str) -> NDArray[np.float64]:
    try:
        return np.array([float(word) for word in text.split()])
    except ValueError as error:
        raise FileFormatError(f"{where}: the {what} are not all numbers ({error}); export the file again") from error


def _intensities(points: ET.Element, *, where: str) -> NDArray[np.float64]:
    """Intensities are corrected for attenuation by the instrument; counts are not."""
    corrected = _text(points, "intensities")
    if corrected:
        return _numbers(corrected, what="intensities", where=where)
    counts = _numbers(_text(points, "counts"), what="counts", where=where)
    if not counts.size:
        raise FileFormatError(f"{where}: it has neither intensities nor counts")
    factors = _text(points, "beamAttenuationFactors")
    if not factors:
        return counts
    attenuation = _numbers(factors, what="attenuation factors", where=where)
    if attenuation.size != counts.size:
        raise FileFormatError(f"{where}: {counts.size} counts have {attenuation.size} attenuation factors")
    return counts * attenuation


def _angles(points: ET.Element, *, count: int, where: str) -> NDArray[np.float64]:
    for positions in _all(points, "positions"):
        if positions.get("axis") != "2Theta":
            continue
        listed = _text(positions, "listPositions")
        if listed:
            angles = _numbers(listed, what="positions", where=where)
            if angles.size != count:
                raise FileFormatError(f"{where}: {count} intensities have {angles.size} positions")
            return angles
        ends = [
            _numbers(_text(positions, tag), what="positions", where=where) for tag in ("startPosition", "endPosition")
        ]
        if all(end.size == 1 for end in ends):
            return np.linspace(ends[0][0], ends[1][0], count)
    raise FileFormatError(f"{where}: no 2Theta axis with positions that move; only scans over 2 theta are read")
