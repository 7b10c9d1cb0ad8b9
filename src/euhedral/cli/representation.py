"""`euhedral represent`."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from euhedral.cli.output import exit_code, file_stems, progress, report_failures, show_table
from euhedral.cli.reading import crystals_from
from euhedral.errors import InvalidRequestError, unknown_name

if TYPE_CHECKING:
    from euhedral.cli.representation_kinds import Product
    from euhedral.core.crystal import Crystal

# spelt out so that --help needs no science; a test holds it equal to the table of kinds
_CURVE = ("csv", "npz", "json", "png")
_KINDS = {
    "graph": ("npz", "csv", "json", "png"), "slices": ("txt", "json", "npz"), "wyckoff": ("txt", "csv", "json", "npz"),
    "cif-text": ("txt", "json", "npz", "csv"), "xrd": _CURVE, "neutron": _CURVE, "electron": _CURVE, "pdf": _CURVE,
    "diffraction": ("png",), "stem": ("png",),
}  # fmt: skip


def _formats_by_kind() -> str:
    kinds: dict[tuple[str, ...], list[str]] = {}
    for kind, formats in _KINDS.items():
        kinds.setdefault(formats, []).append(kind)
    return "; ".join(f"{', '.join(of)}: {', '.join(formats)}" for formats, of in kinds.items())


# Faint spots show beside strong ones.
_DIFFRACTION_GAMMA = 0.35


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(represent)


def represent(
    files: Annotated[
        list[str], typer.Argument(help="Structure files, folders, quoted patterns, tables, or data sets.")
    ],
    kind: Annotated[str, typer.Option("--as", help=f"One of {', '.join(_KINDS)}.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the files.")] = Path("represented"),
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            "-f",
            help=f"{_formats_by_kind()}. The first when not given; images come with their arrays. May be repeated.",
        ),
    ] = None,
    edges: Annotated[str, typer.Option(help="graph: nearest, exact, radius or dense.")] = "nearest",
    k: Annotated[int, typer.Option("-k", help="graph: neighbours of each atom.", min=1)] = 12,
    cutoff: Annotated[float, typer.Option(help="graph: longest edge, Å.", min=0.0)] = 5.0,
    wavelength: Annotated[str | None, typer.Option(help="xrd, neutron: Å, or a line such as MoKa.")] = None,
    kilovolts: Annotated[float, typer.Option(help="electron, diffraction: voltage.")] = 200.0,
    span: Annotated[
        tuple[float, float] | None, typer.Option("--range", help="From and to: degrees of 2θ; pdf: Å.")
    ] = None,
    width: Annotated[float | None, typer.Option(help="xrd, neutron, electron: width of peaks, degrees.")] = None,
    step: Annotated[
        float | None, typer.Option(help="Between points: degrees; pdf: Å; diffraction: 1/Å; stem: Å.")
    ] = None,
    zone_axis: Annotated[
        list[str] | None, typer.Option(help="diffraction, stem: such as 0,0,1. diffraction: may be repeated.")
    ] = None,
    size: Annotated[int, typer.Option(help="diffraction, stem: pixels.", min=1)] = 256,
    atoms: Annotated[int, typer.Option(help="diffraction: atoms of the block, at least.", min=1)] = 4000,
    thickness: Annotated[float, typer.Option(help="stem: of the slab, Å.")] = 50.0,
    sheet: Annotated[bool, typer.Option("--sheet", help="stem: a layer, not repeated along c.")] = False,
    dose: Annotated[float, typer.Option(help="stem: electrons per Å^2; 0 for no noise.", min=0.0)] = 0.0,
    seed: Annotated[int, typer.Option(help="stem: of the noise.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Turn crystals into graphs, texts, spectra or pictures; each is written as soon as it is made."""
    from euhedral.cli.representation_kinds import KINDS, Options
    from euhedral.core.composition import formula
    from euhedral.core.failure import Failure
    from euhedral.errors import EuhedralError

    if kind not in KINDS:
        raise unknown_name("kind of representation", kind, KINDS, where="euhedral represent --help")
    chosen = tuple(dict.fromkeys(formats or KINDS[kind].formats[:1]))
    for name in chosen:
        if name not in KINDS[kind].formats:
            raise InvalidRequestError(f"--as {kind} is written as {', '.join(KINDS[kind].formats)}, not as {name!r}")
    options = Options(
        edges=edges, k=k, cutoff=cutoff, wavelength=wavelength, kilovolts=kilovolts, span=span, width=width, step=step,
        zone_axes=tuple(_zone_axis(text) for text in zone_axis or ("0,0,1",)), size=size, atoms=atoms,
        thickness=thickness, sheet=sheet, dose=dose, seed=seed,
    )  # fmt: skip
    rows: list[dict[str, Any]] = []
    with progress(quiet=quiet) as advance:
        crystals, failures = crystals_from(files, advance=advance)
        stems = file_stems([crystal.id for crystal in crystals])
        for done, crystal in enumerate(crystals):
            advance(f"representing as {kind}", done, len(crystals))
            try:
                product = KINDS[kind].make(crystal, options)
            except EuhedralError as error:
                failures.append(Failure(reason=str(error), id=crystal.id, stage="represent"))
                continue
            written = write_product(
                product, crystal=crystal, base=output / f"{stems[crystal.id]}.{kind}", formats=chosen
            )
            files_of = " ".join(path.name for path in written)
            rows.append({"id": crystal.id, "formula": formula(crystal.numbers), **product.summary, "files": files_of})
    if rows:
        show_table(list(rows[0]), rows=[list(row.values()) for row in rows], title=f"{kind}, {output}")
    report_failures(failures)
    raise typer.Exit(exit_code(done=len(rows), failures=len(failures)))


def _zone_axis(text: str) -> tuple[int, int, int]:
    numbers = re.fullmatch(r"\s*\[?\s*(-?\d+)[,\s]+(-?\d+)[,\s]+(-?\d+)\s*\]?\s*", text)
    if numbers is None:
        raise InvalidRequestError(f"a zone axis is three whole numbers such as 1,1,0, got {text!r}")
    u, v, w = (int(number) for number in numbers.groups())
    return u, v, w


def write_product(product: Product, *, crystal: Crystal, base: Path, formats: Sequence[str]) -> list[Path]:
    """Write a product in each format; the arrays of an image come with its picture."""
    if product.image is not None:
        from euhedral.representations.images.image import write_image

        gamma = _DIFFRACTION_GAMMA if product.image.unit == "1/Å" else 1.0
        return write_image(base, image=product.image, gamma=gamma)
    return [path for name in formats for path in _write_as(name, product, crystal=crystal, base=base)]


def _write_as(name: str, product: Product, *, crystal: Crystal, base: Path) -> list[Path]:
    import numpy as np

    from euhedral.core.writing import write_atomically

    path = base.with_name(f"{base.name}.{name}")
    if name == "png" and product.draw is not None:
        product.draw(path)
        return [path]
    if name == "txt":
        return [write_atomically(path, content=product.text)]
    if name == "json":
        content = {"id": crystal.id, **{key: array.tolist() for key, array in product.arrays.items()}}
        return [write_atomically(path, content=json.dumps(content) + "\n")]
    if name == "csv":
        return [
            write_atomically(base.with_name(f"{base.name}{'.' if part else ''}{part}.csv"), content=_csv(columns))
            for part, columns in product.tables.items()
        ]
    buffer = io.BytesIO()
    arrays: dict[str, Any] = dict(product.arrays)
    np.savez_compressed(buffer, **arrays)
    return [write_atomically(path, content=buffer.getvalue())]


def _csv(columns: Any) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))
    return text.getvalue()
