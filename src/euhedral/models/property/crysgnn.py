"""CrysGNN: a deep graph network pre-trained on crystals without labels, and a property network that learns from it.

Das, Samanta, Goyal, Lee, Bhattacharjee and Ganguly 2023, "CrysGNN: Distilling Pre-trained Knowledge to Enhance Property
Prediction for Crystalline Materials", doi:10.1609/aaai.v37i6.25892, arXiv:2301.05852.

`CrysGNNAutoencoder`, the teacher, makes vectors of atoms from which it must tell, of each atom, the properties of its element;
of each two atoms of a cell, by how many edges they are joined; and of each crystal, from their mean, the space group, crystals
of one crystal system being alike (`Reconstruction`). `CrysGNN`, the student, is a shallower network of the same layers with dense
layers for a property; while it learns the property its vectors of atoms are drawn to the teacher's
(`training.distillation.Distillation`):

    fit(teacher, train=unlabelled, settings=settings, rng=rng, objective=Reconstruction())
    fit_scaling(student, labels=labelled.labels(student.targets))
    fit(student, train=labelled, settings=settings, rng=rng, objective=Distillation(teacher, loss=AbsoluteLoss()))

Weights of a teacher may also be fine-tuned, which the paper compares with: `tasks.transfer.take_over`, or `start` of a recipe; of a
deeper teacher its first layers fit. Trained on labels alone the student is CGCNN.

| paper and released code | here |
|---|---|
| `atom_fea_len`, `n_conv` of the pre-training | `CrysGNNAutoencoder(width, n_convolutions)` |
| `atom_fea_len`, `n_conv`, `h_fea_len`, `n_h` | `CrysGNN(width, n_convolutions, hidden_width, n_hidden)` |
| L_FR, L_CR, L_SG, L_NTXent; alpha, beta, gamma, lambda | parts of `Reconstruction`, `weights` |
| weight 0.1 of absent edges | `absent` |
| delta, `alpha` of the distillation | `share` |
| NTXent on crystal systems, temperature 0.07 | `temperature` |

Departures:

- All atoms of the last shell are neighbours; the released code takes exactly twelve within 8 Angstrom, which cuts shells.
- Each element has a learnt vector beside its table of properties (`nn.element_embedding`), for elements that the table does
  not tell apart or does not hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from euhedral.core.batch import CrystalBatch
from euhedral.nn.dense import MLP
from euhedral.nn.element_embedding import ElementEmbedding
from euhedral.nn.gated_convolution import CountedEdges, GatedConvolution
from euhedral.nn.gaussian import GaussianBasis
from euhedral.nn.row_index import RowIndex
from euhedral.nn.scaling import TargetScaling
from euhedral.representations.dense import all_pairs
from euhedral.representations.graphs import Graph, GraphSpec, Nearest
from euhedral.representations.quotient import DISTANCE, MULTIPLICITY, ORBIT_SIZE
from euhedral.representations.space_groups import CRYSTAL_SYSTEM, SPACE_GROUP, WithSpaceGroup
from euhedral.tasks.pretraining import PretrainingTask
from euhedral.tasks.targets import TargetLike, read_targets, split_outputs

#: Classes of a pair of atoms: joined by 0 to 4 edges, or by more.
N_EDGE_CLASSES: Final = 6
_N_SPACE_GROUPS: Final = 230


class CrysGNN(nn.Module):
    """Predict properties of crystals, with vectors of atoms that a pre-trained network may teach.

    Args:
        targets: what is predicted of a crystal: numbers, classes or spectra.
        width: features of an atom; the teacher's.
        n_convolutions: message-passing layers.
        hidden_width: features of a crystal after pooling.
        n_hidden: dense layers after pooling.
        reach: Angstrom, the longest length that the Gaussians tell apart.
        neighbours: how many, at the least; whole shells.
        step: Angstrom, between the Gaussians of the distance expansion.
    """

    scale: Literal["intensive", "extensive"] = "intensive"
    #: equal atoms and edges may be given once, with their number
    merges_equal = True

    def __init__(
        self, *, targets: Sequence[TargetLike] = ("formation_energy_per_atom",), width: int = 64, n_convolutions: int = 3,
        hidden_width: int = 128, n_hidden: int = 1, reach: float = 8.0, neighbours: int = 12, step: float = 0.2,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kinds = read_targets(targets, system="CrysGNN")
        self.targets = tuple(self.kinds)
        n_outputs = sum(kind.outputs for kind in self.kinds.values())
        self.graph: GraphSpec = Nearest(k=neighbours)
        self.encoder = AtomEncoder(width, n_convolutions=n_convolutions, reach=reach, step=step)
        self.hidden = MLP([width] + [hidden_width] * n_hidden, activation=F.softplus, last=True)
        self.output = nn.Linear(hidden_width if n_hidden else width, n_outputs)
        self.scaling = TargetScaling(n_outputs)

    def forward(self, batch: CrystalBatch, graph: Graph) -> dict[str, Tensor]:
        """Predict {target: (B, ...)} in the target's unit."""
        return self.from_atoms(self.atom_features(batch, graph), batch=batch, graph=graph)

    def latent(self, batch: CrystalBatch, graph: Graph) -> Tensor:
        """(B, hidden_width) the crystals as the last layer sees them."""
        return self._dense(self.atom_features(batch, graph), batch=batch, graph=graph)

    def atom_features(self, batch: CrystalBatch, graph: Graph) -> Tensor:
        """(N, width) vectors of the atoms."""
        return self.encoder(batch, graph)

    def from_atoms(self, atoms: Tensor, *, batch: CrystalBatch, graph: Graph) -> dict[str, Tensor]:
        """Predict {target: (B, ...)} from (N, width) features of the atoms."""
        latent = self._dense(atoms, batch=batch, graph=graph)
        return split_outputs(self.scaling(self.output(latent)), kinds=self.kinds)

    def _dense(self, atoms: Tensor, *, batch: CrystalBatch, graph: Graph) -> Tensor:
        return self.hidden(F.softplus(_mean(atoms, batch=batch, graph=graph)))


class CrysGNNAutoencoder(nn.Module):
    """Vectors of atoms, and what can be told from them: elements, edges, space groups.

    Args:
        width: features of an atom.
        n_convolutions: message-passing layers.
        reach: Angstrom, the longest length that the Gaussians tell apart.
        neighbours: how many, at the least; whole shells.
        step: Angstrom, between the Gaussians of the distance expansion.
        symprec: Angstrom, within which space groups are found.
    """

    def __init__(
        self, *, width: int = 64, n_convolutions: int = 5, reach: float = 8.0, neighbours: int = 12, step: float = 0.2,
        symprec: float = 0.01,
    ) -> None:  # fmt: skip
        super().__init__()
        self.graph: GraphSpec = WithSpaceGroup(Nearest(k=neighbours), symprec=symprec)
        self.encoder = AtomEncoder(width, n_convolutions=n_convolutions, reach=reach, step=step)
        self.pair = nn.Bilinear(width, width, N_EDGE_CLASSES)
        self.pair_output = nn.Linear(N_EDGE_CLASSES, N_EDGE_CLASSES)
        self.element = nn.Linear(width, self.encoder.embedding.properties.shape[1])
        self.space_group = nn.Linear(width, _N_SPACE_GROUPS)

    def forward(self, batch: CrystalBatch, graph: Graph) -> Tensor:
        """(N, width) vectors of length one of the atoms."""
        return F.normalize(self.atom_features(batch, graph), dim=1)

    def atom_features(self, batch: CrystalBatch, graph: Graph) -> Tensor:
        """(N, width) vectors of the atoms, of any length."""
        return self.encoder(batch, graph)

    def edge_logits(self, atoms: Tensor, *, batch: CrystalBatch) -> Tensor:
        """(P, N_EDGE_CLASSES) for every ordered pair of atoms of each crystal, itself too, ordered by target and source."""
        source, target = all_pairs(batch.n_atoms, loops=True)
        # one side once an atom: the layer's own way makes (P, classes, width, width) numbers
        half = torch.einsum("ni,kij->nkj", atoms, self.pair.weight).index_select(0, target)
        whole = torch.bmm(half, atoms.index_select(0, source)[:, :, None])[:, :, 0] + self.pair.bias
        return self.pair_output(whole)


@dataclass(frozen=True)
class Reconstruction:
    """What a teacher learns: elements and edges of its atoms, space groups, and that crystals of one system are alike.

    Args:
        weights: of elements, edges, space groups and likeness.
        absent: weight of pairs without an edge, which are most, in the loss of edges.
        temperature: of the likeness.
    """

    weights: tuple[float, float, float, float] = (0.25, 0.25, 0.25, 0.25)
    absent: float = 0.1
    temperature: float = 0.07

    def __call__(self, model: CrysGNNAutoencoder, batch: CrystalBatch, graph: Graph) -> Tensor:
        """Return one number to make small."""
        parts = self.parts(model, batch, graph)
        return torch.stack([weight * part for weight, part in zip(self.weights, parts.values(), strict=True)]).sum()

    def parts(self, model: CrysGNNAutoencoder, batch: CrystalBatch, graph: Graph) -> Mapping[str, Tensor]:
        """The four losses, by name."""
        atoms = model(batch, graph)
        crystals = _mean(atoms, batch=batch, graph=graph)
        properties = model.encoder.embedding.properties.to(atoms.dtype).index_select(0, batch.numbers)
        by_class = atoms.new_ones(N_EDGE_CLASSES)
        by_class[0] = self.absent
        return {
            "elements": F.binary_cross_entropy_with_logits(model.element(atoms), properties),
            "edges": F.cross_entropy(
                model.edge_logits(atoms, batch=batch), edge_classes(batch, graph), weight=by_class
            ),
            "space_groups": F.cross_entropy(model.space_group(crystals), graph.extra[SPACE_GROUP] - 1),
            "likeness": likeness_loss(crystals, graph.extra[CRYSTAL_SYSTEM], temperature=self.temperature),
        }


def pretraining(config: Mapping[str, Any]) -> PretrainingTask:
    """What the teacher of a `CrysGNN` with these arguments learns; it has the paper's depth, whatever the student's."""
    shared = {name: config[name] for name in ("width", "reach", "neighbours", "step") if name in config}
    teacher = CrysGNNAutoencoder(**shared)
    return PretrainingTask(teacher, graph=teacher.graph, objective=Reconstruction(), config=dict(config))


class AtomEncoder(nn.Module):
    """Elements, and gated convolutions over the nearest neighbours.

    Args:
        width: features of an atom.
        n_convolutions: layers.
        reach: Angstrom, the longest length that the Gaussians tell apart.
        step: Angstrom, between two Gaussians.
    """

    def __init__(self, width: int, *, n_convolutions: int, reach: float, step: float) -> None:
        super().__init__()
        self.embedding = ElementEmbedding(width)
        self.basis = GaussianBasis(start=0.0, stop=reach, step=step)
        self.convolutions = nn.ModuleList(
            GatedConvolution(width, edge_width=self.basis.size) for _ in range(n_convolutions)
        )

    def forward(self, batch: CrystalBatch, graph: Graph) -> Tensor:
        """(N, width) features of the atoms."""
        atoms = self.embedding(batch.numbers)
        extra = graph.extra
        distance = extra[DISTANCE] if DISTANCE in extra else graph.vectors(batch).norm(dim=1)
        edges = self.basis(distance.to(atoms.dtype))
        between = CountedEdges(
            source=RowIndex(graph.source, n=len(atoms)), target=RowIndex(graph.target, n=len(atoms)),
            of_edge=extra.get(MULTIPLICITY), of_atom=extra.get(ORBIT_SIZE),
        )  # fmt: skip
        for convolution in self.convolutions:
            atoms = convolution(atoms, edges, between)
        return atoms


def edge_classes(batch: CrystalBatch, graph: Graph) -> Tensor:
    """(P,) int64 edges that join each ordered pair of atoms, more than the last class counts taken for that; pairs as `all_pairs`."""
    sizes = batch.n_atoms.square()
    local = graph.target - batch.offsets[batch.crystal_idx[graph.target]]
    n = batch.n_atoms[batch.crystal_idx[graph.target]]
    first = (sizes.cumsum(0) - sizes)[batch.crystal_idx[graph.target]]
    place = first + local * n + graph.source - batch.offsets[batch.crystal_idx[graph.source]]
    return torch.bincount(place, minlength=int(sizes.sum())).clamp(max=N_EDGE_CLASSES - 1)


def likeness_loss(vectors: Tensor, classes: Tensor, *, temperature: float) -> Tensor:
    """Mean over pairs of one class of -log of their likeness beside that of the first with every one of another class.

    Args:
        vectors: (B, F); their cosines are compared.
        classes: (B,).
        temperature: divides the cosines.

    Returns:
        A number; zero where no two are of one class.

    Source: Chen et al. 2020, arXiv:2002.05709, equation 1 (NT-Xent), for labels.
    """
    unit = F.normalize(vectors, dim=1)
    logits = unit @ unit.T / temperature
    same = classes[:, None] == classes
    # finite, so that a crystal without others has a gradient
    others = torch.logsumexp(logits.masked_fill(same, -1e4), dim=1, keepdim=True)
    pairs = same & ~torch.eye(len(classes), dtype=torch.bool, device=classes.device)
    loss = torch.logaddexp(logits, others) - logits
    return torch.where(pairs, loss, torch.zeros_like(loss)).sum() / pairs.sum().clamp(min=1)


def _mean(atoms: Tensor, *, batch: CrystalBatch, graph: Graph) -> Tensor:
    """(B, F) average of (N, F) over the atoms of each crystal."""
    count = graph.extra.get(ORBIT_SIZE, atoms.new_ones(len(atoms)))[:, None].to(atoms.dtype)
    total = RowIndex(batch.crystal_idx, n=len(batch)).add(torch.cat([atoms * count, count], dim=1))
    return total[:, :-1] / total[:, -1:]
