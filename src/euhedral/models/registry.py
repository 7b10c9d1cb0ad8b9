"""The table of systems: strings only, so that nothing is imported until it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from types import MappingProxyType
from typing import Any, Final, Literal

from euhedral.errors import unknown_name

Status = Literal["implemented", "parity", "reproduced"]
Wing = Literal["property", "generation", "characterization", "potential", "electronic"]


@dataclass(frozen=True)
class Row:
    """One published system.

    Args:
        name: what the command line calls it.
        wing: the task whose contract it keeps.
        where: "module:Class".
        title: the paper's title.
        authors: first author and "et al.", or all.
        year: of publication.
        doi: the paper's DOI or arXiv identifier.
        representation: the review's column "data representation".
        model: the review's column "fundamental model".
        physics: the review's column "physical knowledge".
        predicts: the review's column "predicted property".
        symmetry: the symmetry that it claims.
        tiny: constructor arguments for a small instance, for tests.
        weights: names of shipped weight folders, the default first.
        status: what has been shown.
        evidence: the committed file that shows it (a test or benchmark result).
        licence: of the weights.
    """

    name: str
    wing: Wing
    where: str
    title: str
    authors: str
    year: int
    doi: str
    representation: str
    model: str
    physics: str
    predicts: str
    symmetry: Literal["E(3)", "SE(3)", "space group"]
    tiny: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    weights: tuple[str, ...] = ()
    status: Status = "implemented"
    evidence: str = ""
    licence: str = ""

    def load(self) -> type:
        """Import the system's class."""
        module, _, attribute = self.where.partition(":")
        return getattr(import_module(module), attribute)


ROWS: Final[tuple[Row, ...]] = (
    Row(
        name="chgnet",
        wing="potential",
        where="euhedral.models.potentials.chgnet:CHGNet",
        title="CHGNet as a pretrained universal neural network potential for charge-informed atomistic modelling",
        authors="Deng et al.",
        year=2023,
        doi="10.1038/s42256-023-00716-3",
        representation="crystal graph and line graph",
        model="graph neural network",
        physics="invariance, smooth cutoff, magnetic moments",
        predicts="energy, forces, stress, magnetic moments",
        symmetry="E(3)",
        tiny=MappingProxyType({"width": 8, "n_blocks": 3, "n_radial": 5, "n_angular": 5, "readout": (8,)}),
        weights=("chgnet-0.3.0",),
        status="parity",
        evidence="tests/models/potentials/test_chgnet.py",
        licence="modified BSD (Lawrence Berkeley National Laboratory)",
    ),
    Row(
        name="cgcnn",
        wing="property",
        where="euhedral.models.property.cgcnn:CGCNN",
        title="Crystal Graph Convolutional Neural Networks for an Accurate and Interpretable Prediction of Material Properties",
        authors="Xie and Grossman",
        year=2018,
        doi="10.1103/PhysRevLett.120.145301",
        representation="crystal graph",
        model="graph neural network",
        physics="invariance, periodicity",
        predicts="formation energy, band gap",
        symmetry="E(3)",
        tiny=MappingProxyType({"atom_width": 8, "n_convolutions": 2, "hidden_width": 12}),
        weights=("cgcnn-mp20",),
        status="parity",
        evidence="tests/models/property/test_cgcnn.py",
        licence="CC BY 4.0 (trained on Materials Project data)",
    ),
    Row(
        name="substitution",
        wing="generation",
        where="euhedral.models.generation.substitution:Substitution",
        title="Data Mined Ionic Substitutions for the Discovery of New Compounds",
        authors="Hautier et al.",
        year=2011,
        doi="10.1021/ic102031h",
        representation="prototype: space group, Wyckoff letters, shape",
        model="substitution likeness mined from isotypic crystals",
        physics="space group symmetry, chemical likeness, charge balance",
        predicts="structure",
        symmetry="space group",
        tiny=MappingProxyType({"splits": ("val",)}),
        status="implemented",
    ),
    Row(
        name="crystalformer",
        wing="generation",
        where="euhedral.models.generation.crystalformer:CrystalFormer",
        title="Space Group Informed Transformer for Crystalline Materials Generation",
        authors="Cao et al.",
        year=2024,
        doi="arXiv:2403.15734",
        representation="Wyckoff positions, free coordinates, lattice parameters",
        model="autoregressive transformer",
        physics="space group symmetry",
        predicts="structure",
        symmetry="space group",
        tiny=MappingProxyType(
            {"layers": 1, "heads": 2, "key_size": 8, "model_size": 16, "embed_size": 8, "h0_size": 16, "dropout": 0.0}
        ),
        weights=("crystalformer-mp20",),
        licence="CC BY 4.0 (trained on Materials Project data)",
    ),
)


def row(name: str) -> Row:
    """Return one system's row.

    Raises:
        UnknownNameError: no system has this name.
    """
    for candidate in ROWS:
        if candidate.name == name:
            return candidate
    raise unknown_name("system", name, (candidate.name for candidate in ROWS), where="euhedral systems")


def load_trained(name: str, *, wing: Wing) -> Any:
    """Load a system with the weights that it ships with.

    Args:
        name: of the system.
        wing: the task that it must serve.

    Raises:
        UnknownNameError: no system of this wing has this name.
    """
    known = [candidate for candidate in ROWS if candidate.wing == wing]
    for candidate in known:
        if candidate.name == name:
            return candidate.load().load()
    raise unknown_name(f"{wing} system", name, (candidate.name for candidate in known), where="euhedral systems")
