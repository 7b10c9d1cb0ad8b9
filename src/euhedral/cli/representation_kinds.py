"""What `euhedral represent` can make of a crystal: for each kind its arrays, tables, text and picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidRequestError, unknown_name

if TYPE_CHECKING:
    from euhedral.representations.graphs import GraphSpec
    from euhedral.representations.images.image import Image
    from euhedral.representations.spectra.radiation import Radiation

Columns = Mapping[str, NDArray]


@dataclass(frozen=True)
class Options:
    """What a user may ask for; a kind reads what concerns it.

    Args:
        edges: "nearest", "exact", "radius" or "dense".
        k: neighbours.
        cutoff: Angstrom, of edges.
        wavelength: Angstrom, or the name of an X-ray line.
        kilovolts: of electrons.
        span: from and to: degrees, or Angstrom of a pair distribution.
        width: of peaks, degrees.
        step: between points: degrees, Angstrom, or 1/Angstrom a pixel.
        zone_axes: [uvw] each.
        size: pixels.
        atoms: of the block that diffracts, at least.
        thickness: Angstrom, of the slab under the microscope.
        sheet: the crystal is a layer; it is not repeated along c.
        dose: electrons per square Angstrom; 0 for no noise.
        seed: of noise.
    """

    edges: str = "nearest"
    k: int = 12
    cutoff: float = 5.0
    wavelength: str | None = None
    kilovolts: float = 200.0
    span: tuple[float, float] | None = None
    width: float | None = None
    step: float | None = None
    zone_axes: tuple[tuple[int, int, int], ...] = ((0, 0, 1),)
    size: int = 256
    atoms: int = 4000
    thickness: float = 50.0
    sheet: bool = False
    dose: float = 0.0
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Product:
    """What was made of one crystal.

    Args:
        summary: what is shown of it, by column.
        arrays: for .npz and .json.
        tables: for .csv, by ending; one without a name is the only one.
        text: for .txt.
        image: pixels and ground truth, instead of a drawing.
        draw: puts the picture into a file.
    """

    summary: Mapping[str, Any]
    arrays: Columns = field(default_factory=dict)
    tables: Mapping[str, Columns] = field(default_factory=dict)
    text: str = ""
    image: Image | None = None
    draw: Callable[[Path], None] | None = None


@dataclass(frozen=True)
class Kind:
    """One thing to make.

    Args:
        make: from a crystal and the options.
        formats: what it can be written as, the usual one first.
    """

    make: Callable[[Crystal, Options], Product]
    formats: tuple[str, ...]


def graph(crystal: Crystal, options: Options) -> Product:
    """Find the edges of a crystal graph."""
    import torch

    from euhedral.cli.pictures import draw_graph
    from euhedral.core.batch import CrystalBatch

    batch = CrystalBatch.from_crystals([crystal], dtype=torch.float64)
    found = graph_spec(options).build(batch)
    vectors = found.vectors(batch).numpy()
    source, target, image = (tensor.numpy() for tensor in (found.source, found.target, found.image))
    length = np.linalg.norm(vectors, axis=1)
    table = {"target": target, "source": source, "image_a": image[:, 0], "image_b": image[:, 1], "image_c": image[:, 2]}
    return Product(
        summary={
            "atoms": len(crystal), "edges": len(source), "shortest (Å)": _rounded(length.min(initial=np.inf)),
            "longest (Å)": _rounded(length.max(initial=0.0)),
        },
        arrays={
            "numbers": crystal.numbers, "cell": crystal.cell, "frac": crystal.frac, "source": source, "target": target,
            "image": image, "vector": vectors, "length": length,
        },
        tables={"": {**table, "length": length}},
        draw=lambda path: draw_graph(path, crystal=crystal, target=target, vectors=vectors),
    )  # fmt: skip


def graph_spec(options: Options) -> GraphSpec:
    """Choose the kind of graph.

    Raises:
        UnknownNameError: there is no such kind.
    """
    from euhedral.representations.dense import Dense
    from euhedral.representations.graphs import Nearest, Radius, StrictNearest

    specs: dict[str, Callable[[], GraphSpec]] = {
        "nearest": lambda: Nearest(k=options.k),
        "exact": lambda: StrictNearest(k=options.k, cutoff=options.cutoff),
        "radius": lambda: Radius(cutoff=options.cutoff),
        "dense": Dense,
    }
    if options.edges not in specs:
        raise unknown_name("kind of edges", options.edges, specs, where="euhedral represent --help")
    return specs[options.edges]()


def slices(crystal: Crystal, options: Options) -> Product:  # noqa: ARG001 - it has no options
    """Write a crystal as a SLICES string."""
    from euhedral.representations.slices import encode

    text = encode(crystal)
    return Product(summary={"SLICES": text}, text=text + "\n", arrays={"slices": np.array(text)})


def wyckoff(crystal: Crystal, options: Options) -> Product:  # noqa: ARG001 - it has no options
    """Write a crystal as occupied Wyckoff positions."""
    from euhedral.core.elements import SYMBOLS
    from euhedral.geometry.space_groups import space_group
    from euhedral.geometry.wyckoff_form import from_crystal

    form = from_crystal(crystal)
    group = space_group(form.space_group)
    sites = {
        "element": np.array([SYMBOLS[number] for number in form.numbers.tolist()]),
        "multiplicity": np.array([position.multiplicity for position in form.positions]),
        "letter": np.array(form.letters),
        "site_symmetry": np.array([position.site_symmetry for position in form.positions]),
        **dict(zip("xyz", form.frac.T, strict=True)),
        "free": np.array([position.n_free for position in form.positions]),
    }
    rows = zip(*(column.tolist() for column in sites.values()), strict=True)
    lines = [
        f"{e:<3}{m:>4}{letter:<3}{symmetry:<8}{x:9.5f}{y:9.5f}{z:9.5f}" for e, m, letter, symmetry, x, y, z, _ in rows
    ]
    occupied = " ".join(f"{e}:{m}{w}" for e, m, w in zip(sites["element"], sites["multiplicity"], form.letters, strict=True))  # fmt: skip
    return Product(
        summary={"space group": f"{group.symbol} ({group.number})", "sites": len(form.letters), "occupied": occupied},
        arrays={"space_group": np.array(group.number), "cell": form.cell, **sites},
        tables={"": sites},
        text="\n".join([f"{group.symbol} ({group.number})", *lines]) + "\n",
    )


def cif_text(crystal: Crystal, options: Options) -> Product:  # noqa: ARG001 - it has no options
    """Write a crystal as the CIF that a language model reads, with its tokens."""
    from euhedral.representations.cif_text.cif_format import CifFormat
    from euhedral.representations.cif_text.tokenisers import cif_tokeniser

    text = CifFormat().write(crystal)
    tokens = np.array(cif_tokeniser().encode(text), dtype=np.int64)
    return Product(
        summary={"characters": len(text), "tokens": len(tokens)},
        arrays={"text": np.array(text), "tokens": tokens},
        tables={"": {"token": tokens}},
        text=text,
    )


def xrd(crystal: Crystal, options: Options) -> Product:
    """Compute the powder pattern of X-rays."""
    from euhedral.representations.spectra.radiation import XRays

    wavelength = "CuKa" if options.wavelength is None else _wavelength(options.wavelength)
    return _powder(crystal, options, radiation=XRays.of(wavelength))


def neutron(crystal: Crystal, options: Options) -> Product:
    """Compute the powder pattern of neutrons."""
    from euhedral.representations.spectra.radiation import Neutrons

    if options.wavelength is None:
        return _powder(crystal, options, radiation=Neutrons())
    wavelength = _wavelength(options.wavelength)
    if isinstance(wavelength, str):
        raise InvalidRequestError(f"neutrons need a wavelength in Å, got {wavelength!r}")
    return _powder(crystal, options, radiation=Neutrons(wavelength))


def electron(crystal: Crystal, options: Options) -> Product:
    """Compute the powder pattern of fast electrons."""
    from euhedral.representations.spectra.radiation import Electrons

    return _powder(crystal, options, radiation=Electrons(options.kilovolts))


def pdf(crystal: Crystal, options: Options) -> Product:
    """Compute the pair distribution function."""
    from euhedral.cli.pictures import draw_curve
    from euhedral.representations.spectra.pair_distribution import pair_distribution

    low, high = options.span or (0.5, 20.0)
    r = _grid(low, high, step=options.step or 0.01, id=crystal.id)
    found = pair_distribution(crystal, r=r)
    columns = {"r": r, "G": found.reduced, "g": found.relative, "R": found.radial}
    return Product(
        summary={"points": len(r), "highest at (Å)": _rounded(r[int(found.reduced.argmax())])},
        arrays=columns,
        tables={"": columns},
        draw=lambda path: draw_curve(path, x=r, y=found.reduced, labels=("r (Å)", "G(r) (Å⁻²)"), title=crystal.id),
    )


def diffraction(crystal: Crystal, options: Options) -> Product:
    """Draw single-crystal diffraction along the zone axes."""
    from euhedral.representations.images.diffraction_image import diffraction_image
    from euhedral.representations.images.specimen import block
    from euhedral.representations.spectra.radiation import Electrons

    specimen = block(crystal, n_atoms=options.atoms)
    image = diffraction_image(
        specimen, zone_axes=options.zone_axes, size=options.size, step=options.step or 2.56 / options.size,
        radiation=Electrons(options.kilovolts), beam=float(np.ptp(specimen.cart, axis=0).min()) / 5.0,
    )  # fmt: skip
    axes = " ".join("[" + " ".join(map(str, axis)) + "]" for axis in options.zone_axes)
    return Product(summary={"atoms": len(specimen), "zone axes": axes, "pixels": options.size}, image=image)


def stem(crystal: Crystal, options: Options) -> Product:
    """Draw an annular-dark-field micrograph, with the class of each column."""
    from euhedral.representations.images.scan import Scan
    from euhedral.representations.images.specimen import sheet, slab
    from euhedral.representations.images.stem import stem_image

    if len(options.zone_axes) != 1:
        raise InvalidRequestError(f"a micrograph has one zone axis, got {len(options.zone_axes)}")
    axis = options.zone_axes[0]
    scan = Scan(size=options.size, pixel_size=options.step or 25.6 / options.size)
    side = scan.width + 6.0  # the probe reaches in from atoms beyond the edge
    if options.sheet:
        specimen = sheet(crystal, width=side, height=side, zone_axis=axis)
    else:
        specimen = slab(crystal, zone_axis=axis, width=side, height=side, thickness=options.thickness)
    image = stem_image(
        specimen, scan=scan, zone_axis=axis, dose=options.dose or None, rng=np.random.default_rng(options.seed)
    )
    columns = 0 if image.positions is None else len(image.positions)
    return Product(summary={"atoms": len(specimen), "columns": columns, "classes": len(image.classes)}, image=image)


_ARRAYS, _TEXT = ("npz", "csv", "json", "png"), ("txt", "json", "npz")
_CURVE, _PIXELS = ("csv", "npz", "json", "png"), ("png",)  # the arrays of an image always come with its picture

#: Every kind, by the name that the command line has for it.
KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "graph": Kind(graph, _ARRAYS),
        "slices": Kind(slices, _TEXT),
        "wyckoff": Kind(wyckoff, ("txt", "csv", "json", "npz")),
        "cif-text": Kind(cif_text, (*_TEXT, "csv")),
        "xrd": Kind(xrd, _CURVE),
        "neutron": Kind(neutron, _CURVE),
        "electron": Kind(electron, _CURVE),
        "pdf": Kind(pdf, _CURVE),
        "diffraction": Kind(diffraction, _PIXELS),
        "stem": Kind(stem, _PIXELS),
    }
)


def _powder(crystal: Crystal, options: Options, *, radiation: Radiation) -> Product:
    from euhedral.cli.pictures import draw_powder
    from euhedral.representations.spectra.diffraction import powder_pattern
    from euhedral.representations.spectra.profiles import ConstantShape, profile

    low, high = options.span or radiation.usual_range
    pattern = powder_pattern(crystal, radiation=radiation, two_theta=(low, high))
    grid = _grid(low, high, step=options.step or (high - low) / 4250.0, id=crystal.id)
    curve = profile(pattern, grid=grid, shape=ConstantShape(width=options.width or (high - low) / 500.0))
    peaks = {
        "two_theta": pattern.two_theta, "intensity": pattern.intensity, "spacing": pattern.spacing,
        **dict(zip("hkl", pattern.hkl.T, strict=True)), "multiplicity": pattern.multiplicity, "wavelength": pattern.wavelength,
    }  # fmt: skip
    strongest = int(pattern.intensity.argmax()) if len(pattern) else -1
    return Product(
        summary={
            "peaks": len(pattern),
            "strongest at (°)": _rounded(pattern.two_theta[strongest]) if len(pattern) else "-",
            "hkl": " ".join(map(str, pattern.hkl[strongest].tolist())) if len(pattern) else "-",
        },
        arrays={**peaks, "profile_two_theta": grid, "profile_intensity": curve},
        tables={"peaks": peaks, "profile": {"two_theta": grid, "intensity": curve}},
        draw=lambda path: draw_powder(path, pattern=pattern, grid=grid, curve=curve),
    )


def _grid(low: float, high: float, *, step: float, id: str) -> NDArray[np.float64]:  # noqa: A002
    if not (0.0 < step < high - low) or (high - low) / step > 1e6:
        raise InvalidRequestError(
            f"crystal {id!r}: from {low:g} to {high:g} in steps of {step:g} is no grid of 2 to 1,000,000 points"
        )
    return np.linspace(low, high, round((high - low) / step) + 1)


def _wavelength(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _rounded(value: float) -> float:
    return round(float(value), 4)
