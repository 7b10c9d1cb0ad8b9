"""Which symmetries of Box 1 of the review each representation has: one literal table, which the tests hold to be true.

A card names what a representation does not have, and why; all other symmetries it has, on every test crystal, and what it is
said to lack is really missing on at least one of them. The same holds of changes that it does not see. The page on representations is made from the same table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from euhedral.representations.bonds import EffectiveCoordination
from euhedral.representations.cif_text.cif_format import CifFormat
from euhedral.representations.cif_text.plain_formats import CoordinateFormat, PlainFormat
from euhedral.representations.dense import Dense
from euhedral.representations.graphs import Nearest, Radius, StrictNearest
from euhedral.representations.labelled_quotient import BondGraph
from euhedral.representations.lattice_sums import PotentialSums
from euhedral.representations.line_graph import LineGraph
from euhedral.representations.potentials import POTNET_PROGRAM
from euhedral.representations.slices import encode
from euhedral.representations.spectra.radiation import Electrons, Neutrons, XRays
from euhedral.representations.triplets import EdgePairs, EdgePaths
from euhedral.representations.undirected import Undirected
from euhedral.testing import representation_features as features_of
from euhedral.testing.behaviours import Behaviour, CartesianTensor, Invariant, PerAtom, Text, Unordered
from euhedral.testing.invariance import Featuriser, OnBatch

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, eq=False)
class Card:
    """One representation and how it follows changes of a crystal.

    Args:
        name: what the page calls it.
        where: "module:name", relative to `euhedral`.
        features: what is tested: all that a network would read of it.
        expected: how each feature behaves.
        lacks: the symmetries that it does not have, by the name of the change, with the reason.
        blind: changes of the crystal itself that it does not see, with the reason.
        tolerance: the largest deviation that is rounding.
    """

    name: str
    where: str
    features: Featuriser
    expected: Mapping[str, Behaviour]
    lacks: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    blind: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    tolerance: float = 1e-7


_EDGES: Final[Mapping[str, Behaviour]] = MappingProxyType(
    {
        "vectors": Unordered(CartesianTensor(rank=1)),
        "lengths": Unordered(Invariant()),
        "neighbours": PerAtom(Invariant()),
    }
)
_BY_LENGTH: Final[Mapping[str, Behaviour]] = MappingProxyType({"lengths": Unordered(Invariant())})
_WYCKOFF: Final[Mapping[str, Behaviour]] = MappingProxyType(
    {
        "group": Invariant(), "letters": Text(), "elements": Invariant(), "coordinates": Invariant(), "cell": Invariant(),
    }
)  # fmt: skip
_TRIPLETS: Final[Mapping[str, Behaviour]] = MappingProxyType({"triplets": Unordered(Invariant())})
_SPECTRUM: Final[Mapping[str, Behaviour]] = MappingProxyType({"profile": Invariant()})
_PIXELS: Final[Mapping[str, Behaviour]] = MappingProxyType({"pixels": Invariant()})
# What a text or picture of the atoms as they stand follows, and what it does not.
_AS_WRITTEN: Final = MappingProxyType(
    {
        "translation": "coordinates count from the origin of the cell",
        "permutation": "atoms keep their order",
        "other cell": "the cell is written as it is",
        "Niggli cell": "the cell is written as it is",
        "supercell": "the cell is written as it is",
    }
)
_PICTURE: Final = MappingProxyType(
    {
        "mirror": "the picture of the mirror image is the mirrored picture",
        "translation": "a finite piece is cut elsewhere",
        "other cell": "the zone axis [001] is another direction",
        "Niggli cell": "the zone axis [001] is another direction",
    }
)
_HAND: Final = "the mirror image of a chiral crystal has another group or other coordinates"

#: Every representation.
CARDS: Final[tuple[Card, ...]] = (
    Card("radius graph", "representations.graphs:Radius", features_of.edges(Radius(cutoff=4.5)), _EDGES),
    Card("k nearest, whole shells", "representations.graphs:Nearest", features_of.edges(Nearest(k=12)), _EDGES),
    Card(
        "k nearest, exactly", "representations.graphs:StrictNearest", features_of.lengths(StrictNearest(k=12)), _BY_LENGTH,
        blind={"elements": "only lengths are tested: which neighbour of a cut shell is kept is arbitrary"},
    ),
    Card("bonds", "representations.labelled_quotient:BondGraph", features_of.edges(BondGraph()), _EDGES),
    Card(
        "dense graph", "representations.dense:Dense", features_of.lengths_with_elements(Dense(loops=True)),
        {"edges": Unordered(Invariant())},
        lacks={"supercell": "one edge for each pair of atoms of the cell, so that pairs grow with its square"},
        blind={"distances": "an atom alone in its cell has no pair"},
    ),
    Card(
        "line graph (CHGNet)", "representations.line_graph:LineGraph",
        features_of.angles(LineGraph(cutoff=5.0, bond_cutoff=3.2)), {"angles": Unordered(Invariant())},
    ),
    Card(
        "paths of edges (DimeNet)", "representations.triplets:EdgePaths", features_of.triplets(EdgePaths(Radius(cutoff=3.2))),
        _TRIPLETS,
    ),
    Card(
        "line graph (ALIGNN)", "representations.undirected:Undirected",
        features_of.triplets(EdgePaths(Undirected(Nearest(k=4)), backtracking=True)), _TRIPLETS,
    ),
    Card(
        "pairs of edges (M3GNet)", "representations.triplets:EdgePairs",
        features_of.triplets(EdgePairs(Radius(cutoff=5.0), cutoff=3.2)), _TRIPLETS,
    ),
    Card(
        "lattice edges (Matformer)", "representations.lattice_edges:LatticeEdges", OnBatch(features_of.lattice_edges),
        {"edges": Unordered(Invariant())},
    ),
    Card(
        "lattice vectors (ComFormer)", "representations.lattice_edges:LatticeFrame", OnBatch(features_of.lattice_frame),
        # equally good frames are images under the crystal's own rotations, which permute its atoms
        {"edges": Unordered(Invariant()), "atoms": Unordered(Invariant())},
        lacks={"mirror": "the frame is right-handed, so that angles to it tell a crystal from its mirror image: SE(3)"},
    ),
    Card(
        "lattice sums (PotNet)", "representations.lattice_sums:PotentialSums", features_of.sums(PotentialSums()),
        {"felt": PerAtom(Invariant())}, tolerance=1e-6,
    ),
    Card(
        "lattice sums (PotNet's program)", "representations.potentials:POTNET_PROGRAM",
        features_of.sums(PotentialSums(potentials=POTNET_PROGRAM)), {"felt": PerAtom(Invariant())}, tolerance=1e-6,
        lacks={"supercell": "the decay of the Pauli term depends on the volume of the cell"},
    ),
    Card(
        "sums of Gaussians (Crystalformer)", "representations.gaussian_images:GaussianImages",
        OnBatch(features_of.gaussian_sums), {"gathered": PerAtom(Invariant())},
    ),
    Card(
        "orbits of a graph", "representations.quotient:quotient", OnBatch(features_of.orbits),
        {"edges": Unordered(Invariant(), repeated=False)},
    ),
    Card(
        "labelled quotient graph", "representations.labelled_quotient:labelled_quotient_graph",
        features_of.bonds(EffectiveCoordination()),
        {"bonds": Unordered(Invariant()), "coordination": PerAtom(Invariant())},
        blind={"distances": "bonds are judged by ratios of lengths"},
    ),
    Card(
        "composition", "representations.composition_graph:CompositionGraph", OnBatch(features_of.composition),
        {"elements": Unordered(Invariant(), repeated=False)}, blind={"distances": "only the elements are read"},
    ),
    Card(
        "SLICES", "representations.slices:encode", lambda crystal: {"text": encode(crystal)}, {"text": Text()},
        blind={"distances": "it says which atoms are bonded, not how long bonds are"}, tolerance=0.0,
    ),
    Card(
        "Wyckoff positions", "geometry.wyckoff_form:from_crystal", features_of.wyckoff, _WYCKOFF, tolerance=1e-6,
        lacks={"mirror": _HAND},
    ),
    Card(
        "CIF text (CrystaLLM)", "representations.cif_text.cif_format:CifFormat",
        lambda crystal: {"text": CifFormat().write(crystal)}, {"text": Text()}, lacks={"mirror": _HAND}, tolerance=0.0,
    ),
    Card(
        "coordinates as text (LM-CM, LM-AC)", "representations.cif_text.plain_formats:CoordinateFormat",
        lambda crystal: {"text": CoordinateFormat().write(crystal)}, {"text": Text()}, lacks=_AS_WRITTEN, tolerance=0.0,
    ),
    Card(
        "coordinates as text (Gruver)", "representations.cif_text.plain_formats:PlainFormat",
        lambda crystal: {"text": PlainFormat().write(crystal)}, {"text": Text()}, lacks=_AS_WRITTEN, tolerance=0.0,
    ),
    Card(
        "energy of a probe", "representations.probe_patches:WithProbePatches", OnBatch(features_of.probe),
        {"held": Invariant(), "void": Invariant()},
        blind={"elements": "in a close packing every point is inside an atom, whatever it is"},
    ),
    Card(
        "powder pattern, X-rays", "representations.spectra.diffraction:powder_pattern", features_of.powder(XRays()), _SPECTRUM,
    ),
    Card(
        "powder pattern, neutrons", "representations.spectra.radiation:Neutrons", features_of.powder(Neutrons()), _SPECTRUM,
        blind={"elements": "where all atoms are of one element, its scattering length only scales the pattern"},
    ),
    Card(
        "powder pattern, electrons", "representations.spectra.radiation:Electrons", features_of.powder(Electrons()), _SPECTRUM,
        tolerance=1e-4,  # at small angles peaks that are one within 1e-5 degrees need not be the same in a supercell
    ),
    Card(
        "pair distribution", "representations.spectra.pair_distribution:pair_distribution", features_of.distribution,
        {"reduced": Invariant()},
        blind={"elements": "where all atoms are of one element, its scattering factor cancels"},
    ),
    Card(
        "diffraction image", "representations.images.diffraction_image:diffraction_image", features_of.diffraction_of_block,
        _PIXELS, lacks={**_PICTURE, "supercell": "a block of as many repeats is larger"}, tolerance=1e-4,
    ),
    Card(
        "STEM image", "representations.images.stem:stem_image", features_of.stem_of_slab, _PIXELS, lacks=_PICTURE,
        blind={"elements": "relative to its brightest column; where all atoms are of one element, it only grows brighter"},
        tolerance=1e-4,
    ),
)  # fmt: skip
