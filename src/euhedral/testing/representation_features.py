"""What is tested of each representation: all that a network would read of it, as arrays or text."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.geometry.cells import supercell
from euhedral.geometry.wyckoff_form import from_crystal
from euhedral.representations.bonds import BondRule
from euhedral.representations.composition_graph import CompositionGraph
from euhedral.representations.gaussian_images import GaussianImages
from euhedral.representations.gaussian_sums import log_gaussian_sums, pair_of_edge
from euhedral.representations.graphs import Graph, GraphSpec, Nearest
from euhedral.representations.images.diffraction_image import diffraction_image
from euhedral.representations.images.scan import Scan
from euhedral.representations.images.specimen import slab, whole
from euhedral.representations.images.stem import stem_image
from euhedral.representations.labelled_quotient import labelled_quotient_graph
from euhedral.representations.lattice_edges import (
    LATTICE_EDGE,
    LatticeEdges,
    LatticeFrame,
    frame_cosines,
)
from euhedral.representations.lattice_sums import POTENTIAL_SUMS, PotentialSums, all_pairs
from euhedral.representations.line_graph import LineGraph
from euhedral.representations.probe_patches import PATCH, PATCH_VOLUME, SITE_SHARE, VOID_FRACTION, WithProbePatches
from euhedral.representations.quotient import DISTANCE, MULTIPLICITY, quotient
from euhedral.representations.spectra.diffraction import powder_pattern
from euhedral.representations.spectra.pair_distribution import pair_distribution
from euhedral.representations.spectra.profiles import ConstantShape, profile
from euhedral.representations.spectra.radiation import Radiation
from euhedral.representations.triplets import (
    PAIR_FIRST,
    PAIR_SECOND,
    PATH_FIRST,
    PATH_SECOND,
    EdgePairs,
    EdgePaths,
    pair_cosines,
    path_cosines,
)
from euhedral.testing.invariance import Featuriser, OnBatch


def edges(spec: GraphSpec) -> Featuriser:
    """Features of a graph: the vectors of its edges with the elements at both ends, their lengths, neighbours of each atom."""

    def features(batch: CrystalBatch) -> dict[str, Any]:
        graph = spec.build(batch)
        vectors = graph.vectors(batch)
        ends = _ends(batch, graph)
        return {
            "vectors": vectors,
            "lengths": torch.cat([vectors.norm(dim=1, keepdim=True), ends], 1),
            "neighbours": torch.bincount(graph.target, minlength=len(batch.frac)),
        }

    return OnBatch(features)


def lengths(spec: GraphSpec) -> Featuriser:
    """Features of a graph of which only the lengths of edges are meant."""

    def features(batch: CrystalBatch) -> dict[str, Any]:
        graph = spec.build(batch)
        return {"lengths": graph.vectors(batch).norm(dim=1)}

    return OnBatch(features)


def angles(spec: LineGraph) -> Featuriser:
    """Features of a line graph: for each pair of bonds at an atom both lengths, the cosine between them and the three elements."""

    def features(batch: CrystalBatch) -> dict[str, Any]:
        graph = spec.build(batch)
        vectors = graph.vectors(batch)[graph.extra["short_edge"]]
        source, target = (side[graph.extra["short_edge"]] for side in (graph.source, graph.target))
        first, second = graph.extra["angle_first"], graph.extra["angle_second"]
        length = vectors.norm(dim=1)
        cosine = (vectors[first] * vectors[second]).sum(1) / (length[first] * length[second])
        elements = batch.numbers[torch.stack([source[first], target[first], source[second]], 1)]
        return {"angles": torch.cat([torch.stack([length[first], length[second], cosine], 1), elements.double()], 1)}

    return OnBatch(features)


def lattice_edges(batch: CrystalBatch) -> dict[str, Any]:
    """Features of Matformer's graph: length, elements and kind of each edge."""
    graph = LatticeEdges().build(batch)
    ends = torch.stack([batch.numbers[graph.source], batch.numbers[graph.target], graph.extra[LATTICE_EDGE]], 1)
    return {"edges": torch.cat([graph.vectors(batch).norm(dim=1, keepdim=True), ends.double()], 1)}


def lattice_frame(batch: CrystalBatch) -> dict[str, Any]:
    """Features of ComFormer's graph: length, angles to the three lattice vectors and elements of edges, as a set and by atom."""
    graph = LatticeFrame().build(batch)
    ends = _ends(batch, graph)
    length, cosines = graph.vectors(batch).norm(dim=1), frame_cosines(graph, batch)
    # as a set the edges of one element and their mirror images are the same; gathered by atom they are not
    mixed = cosines @ torch.tensor([[1.3, -2.1, 0.8], [0.6, 1.7, -2.9]], dtype=torch.float64).T
    message = torch.sin(mixed + length[:, None]) * torch.exp(-length[:, None])
    empty = torch.zeros(len(batch.frac), 2, dtype=torch.float64)
    return {
        "edges": torch.cat([length[:, None], cosines, ends], 1),
        "atoms": empty.index_add_(0, graph.target, message * ends[:, :1]),
    }


def composition(batch: CrystalBatch) -> dict[str, Any]:
    """Features of a composition: each element and its share."""
    extra = CompositionGraph().build(batch).extra
    return {"elements": torch.stack([extra["element_number"].double(), extra["element_share"]], 1)}


def gaussian_sums(batch: CrystalBatch) -> dict[str, Any]:
    """Features of Crystalformer's sums of Gaussians: what each atom gathers from all others; copies share a sum."""
    graph = GaussianImages(error=1e-10).build(batch)
    pair, (source, target) = pair_of_edge(batch, graph=graph), all_pairs(batch)
    width = torch.full((len(source), 1), 1.4, dtype=torch.float64)
    logarithm, _ = log_gaussian_sums(graph.vectors(batch).square().sum(1), pair=pair, width=width)
    gathered = logarithm[:, 0].exp() * batch.numbers[source].sqrt()
    return {"gathered": torch.zeros(len(batch.frac), dtype=torch.float64).index_add_(0, target, gathered)}


def orbits(batch: CrystalBatch) -> dict[str, Any]:
    """Features of a quotient graph: elements, multiplicity and length of each of its edges."""
    reduced, graph = quotient(batch, Nearest().build(batch))
    ends = torch.stack([reduced.numbers[graph.source], reduced.numbers[graph.target]], 1).double()
    return {"edges": torch.cat([ends, torch.stack([graph.extra[MULTIPLICITY], graph.extra[DISTANCE]], 1)], 1)}


def sums(spec: PotentialSums) -> Featuriser:
    """Features of lattice sums: what each atom feels of all others, by potential; copies in a supercell share a sum."""

    def features(batch: CrystalBatch) -> dict[str, Any]:
        graph = spec.build(batch)
        felt = graph.extra[POTENTIAL_SUMS] * batch.numbers[graph.source, None].sqrt()
        empty = torch.zeros(len(batch.frac), felt.shape[1], dtype=torch.float64)
        return {"felt": empty.index_add_(0, graph.target, felt)}

    return OnBatch(features)


def wyckoff(crystal: Crystal) -> dict[str, Any]:
    """Features of a crystal as occupied Wyckoff positions: group, letters, elements, coordinates, metric of the cell."""
    form = from_crystal(crystal)
    return {
        "group": np.array(form.space_group),
        "letters": form.letters,
        "elements": form.numbers,
        "coordinates": _on_circle(form.frac),
        "cell": form.cell @ form.cell.T,
    }


def lengths_with_elements(spec: GraphSpec) -> Featuriser:
    """Features of a graph of which lengths of edges and the elements at both ends are meant, not directions."""

    def features(batch: CrystalBatch) -> dict[str, Any]:
        graph = spec.build(batch)
        return {"edges": torch.cat([graph.vectors(batch).norm(dim=1, keepdim=True), _ends(batch, graph)], 1)}

    return OnBatch(features)


def triplets(spec: EdgePaths | EdgePairs) -> Featuriser:
    """Features of a graph's triplets: both lengths, the cosine between them and the elements at their ends."""
    paths = isinstance(spec, EdgePaths)
    names = (PATH_FIRST, PATH_SECOND) if paths else (PAIR_FIRST, PAIR_SECOND)

    def features(batch: CrystalBatch) -> dict[str, Any]:
        graph = spec.build(batch)
        first, second = (graph.extra[name] for name in names)
        cosine = path_cosines(graph, batch) if paths else pair_cosines(graph, batch)
        length, ends = graph.vectors(batch).norm(dim=1), _ends(batch, graph)
        geometry = torch.stack([length[first], length[second], cosine], 1)
        return {"triplets": torch.cat([geometry, ends[first], ends[second]], 1)}

    return OnBatch(features)


def bonds(rule: BondRule) -> Featuriser:
    """Features of a labelled quotient graph: bonds of each atom, elements at both ends, dimensions in which bonds go on."""

    def features(crystal: Crystal) -> dict[str, Any]:
        graph = labelled_quotient_graph(crystal, bonds=rule)
        ends = np.sort(graph.numbers[np.stack([graph.source, graph.target], 1)], axis=1)
        count = np.bincount(np.concatenate([graph.source, graph.target]), minlength=len(crystal))
        return {"bonds": ends, "coordination": count}

    return features


def powder(radiation: Radiation) -> Featuriser:
    """Features of a powder pattern: its profile over the usual range, percent of the highest point."""
    low, high = radiation.usual_range
    grid = np.linspace(low, high, 1000)
    shape = ConstantShape(width=(high - low) / 400.0)

    def features(crystal: Crystal) -> dict[str, Any]:
        return {"profile": profile(powder_pattern(crystal, radiation=radiation), grid=grid, shape=shape)}

    return features


def distribution(crystal: Crystal) -> dict[str, Any]:
    """Features of a pair distribution: G(r) up to 10 Angstrom."""
    return {"reduced": pair_distribution(crystal, r=np.linspace(0.02, 10.0, 500)).reduced}


def diffraction_of_block(crystal: Crystal) -> dict[str, Any]:
    """Features of single-crystal diffraction: the image of four cells by four by four, along [001]."""
    specimen = whole(supercell(crystal, matrix=(4, 4, 4)), cell=crystal.cell)
    return {"pixels": _scaled(diffraction_image(specimen, size=64, step=0.02).pixels)}


def stem_of_slab(crystal: Crystal) -> dict[str, Any]:
    """Features of a STEM image: the noiseless micrograph of a slab along [001]."""
    specimen = slab(crystal, zone_axis=(0, 0, 1), width=24.0, height=24.0, thickness=50.0)
    return {"pixels": _scaled(stem_image(specimen, scan=Scan(size=64, pixel_size=0.25)).pixels)}


def _scaled(pixels: NDArray[np.float32]) -> NDArray[np.float64]:
    return pixels.astype(np.float64) / pixels.max()


def _ends(batch: CrystalBatch, graph: Graph) -> Tensor:
    """(E, 2) atomic numbers of the neighbour and of the centre."""
    return torch.stack([batch.numbers[graph.source], batch.numbers[graph.target]], 1).double()


def _on_circle(frac: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Write coordinates so that 0 and 1 are one point."""
    return np.exp(2j * np.pi * frac)


def probe(batch: CrystalBatch) -> dict[str, Any]:
    """Features of the probe's patches: what all of them hold together, and the void fraction, of one crystal."""
    extra = WithProbePatches().build(batch).extra
    return {"held": (extra[SITE_SHARE] * extra[PATCH_VOLUME]) @ extra[PATCH], "void": extra[VOID_FRACTION][0]}
