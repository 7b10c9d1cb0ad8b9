"""CHGNet: a graph network potential that also predicts magnetic moments.

Deng et al. 2023, "CHGNet as a pretrained universal neural network potential for charge-informed atomistic modelling",
Nature Machine Intelligence 5, 1031, doi:10.1038/s42256-023-00716-3; as changed in the authors' release 0.3.0 (6 Angstrom
neighbours, layer norms inside the gates, no bias after a sum of messages).

Notation: v_i is `atoms`, e_ij is `bonds` (one for both directions), a_ijk is `angles`; the weights e^a and e^b that fade
messages out are `atom_weight` and `bond_weight`; phi is `GatedMLP`.

The paper's layers act on joined features (equations 4 to 6). A linear map of joined features is the sum of linear maps of
the parts, so here each part has its own matrix, applied once per atom or bond before the sum is taken per message.

Departures: the authors also update angles after the last use of an angle; that layer reaches no output and is left out.
An atom without neighbours is an ordinary input, with the energy of its embedding alone; the authors' code refuses it.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from euhedral.core.batch import CrystalBatch
from euhedral.errors import FileFormatError
from euhedral.nn.bases import BesselBasis, FourierBasis
from euhedral.representations.graphs import Graph
from euhedral.representations.line_graph import LineGraph
from euhedral.tasks.potential import Energy, Potential
from euhedral.tasks.weights import Weights, load_weights

if TYPE_CHECKING:
    from euhedral.models.potentials.chgnet.inference import Inference

_SHIPPED = "chgnet-0.3.0"


class GatedMLP(nn.Module):
    """phi: silu of one branch times the sigmoid of another, of features that were projected part by part (equation 3).

    Args:
        width: of every part and of the output.
        parts: the names of the parts.
        hidden: whether a hidden layer stands between the parts and the norms.
    """

    def __init__(self, width: int, *, parts: Sequence[str], hidden: bool) -> None:
        super().__init__()
        self.width = width
        # the rows of both branches stand in one matrix, core first
        self.parts = nn.ModuleDict({name: nn.Linear(width, 2 * width, bias=False) for name in parts})
        self.bias = nn.Parameter(torch.zeros(2 * width))
        self.core = nn.Linear(width, width) if hidden else None
        self.gate = nn.Linear(width, width) if hidden else None
        self.core_norm = nn.LayerNorm(width)
        self.gate_norm = nn.LayerNorm(width)

    def forward(self, projected: Tensor) -> Tensor:
        """Map the (M, 2 width) sum of the projected parts to (M, width)."""
        core, gate = (projected + self.bias).split(self.width, dim=1)
        if self.core is not None and self.gate is not None:
            core, gate = self.core(F.silu(core)), self.gate(F.silu(gate))
        return F.silu(self.core_norm(core)) * torch.sigmoid(self.gate_norm(gate))


class AtomConvolution(nn.Module):
    """Messages along edges, summed at the centre (equation 4)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.message = GatedMLP(width, parts=("centre", "bond", "neighbour"), hidden=True)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, atoms: Tensor, bonds: Tensor, atom_weight: Tensor, graph: Graph) -> Tensor:
        """Return the new (N, width) atoms."""
        parts, bond = self.message.parts, graph.extra["bond"]
        projected = (
            parts["centre"](atoms)[graph.target] + parts["neighbour"](atoms)[graph.source] + parts["bond"](bonds)[bond]
        )
        messages = self.message(projected) * atom_weight[bond]
        return atoms + self.out(torch.zeros_like(atoms).index_add(0, graph.target, messages))


class BondConvolution(nn.Module):
    """Messages from angles, summed at the first bond (equation 5)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.message = GatedMLP(width, parts=("first", "second", "angle", "centre"), hidden=True)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, atoms: Tensor, bonds: Tensor, bond_weight: Tensor, angles: Tensor, triplets: _Triplets) -> Tensor:
        """Return the new (S, width) short bonds."""
        messages = self.message(_project(self.message, atoms, bonds, angles, triplets))
        messages = messages * bond_weight[triplets.first] * bond_weight[triplets.second]
        return bonds + self.out(torch.zeros_like(bonds).index_add(0, triplets.first, messages))


class AngleUpdate(nn.Module):
    """A step of every angle (equation 6)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.message = GatedMLP(width, parts=("first", "second", "angle", "centre"), hidden=False)

    def forward(self, atoms: Tensor, bonds: Tensor, angles: Tensor, triplets: _Triplets) -> Tensor:
        """Return the new (A, width) angles."""
        return angles + self.message(_project(self.message, atoms, bonds, angles, triplets))


class _Triplets:
    """The two bonds and the atom of each angle, as indices."""

    def __init__(self, graph: Graph) -> None:
        extra = graph.extra
        first = extra["short_edge"][extra["angle_first"]]
        self.first = extra["bond"][first]
        self.second = extra["bond"][extra["short_edge"][extra["angle_second"]]]
        self.centre = graph.target[first]


def _project(message: GatedMLP, atoms: Tensor, bonds: Tensor, angles: Tensor, triplets: _Triplets) -> Tensor:
    parts = message.parts
    return (
        parts["first"](bonds)[triplets.first]
        + parts["second"](bonds)[triplets.second]
        + parts["centre"](atoms)[triplets.centre]
        + parts["angle"](angles)
    )


class CHGNet(Potential):
    """The network; energies in eV, magnetic moments in mu_B as the site value "magmom".

    Args:
        width: of atom, bond and angle features.
        n_blocks: atom convolutions; bonds and angles are updated between them.
        n_radial: Bessel functions of a bond length.
        n_angular: Fourier functions of an angle; odd.
        cutoff: Angstrom, of neighbours.
        bond_cutoff: Angstrom, of bonds that form angles.
        exponent: of the envelope of both.
        readout: widths of the hidden layers that give an atom's energy.
        elements: atomic numbers that it was trained on.
    """

    def __init__(
        self,
        *,
        width: int = 64,
        n_blocks: int = 4,
        n_radial: int = 31,
        n_angular: int = 31,
        cutoff: float = 6.0,
        bond_cutoff: float = 3.0,
        exponent: int = 8,
        readout: Sequence[int] = (64, 64, 64),
        elements: Sequence[int] = tuple(range(1, 95)),
    ) -> None:
        super().__init__()
        self._packed: tuple[object, Inference] | None = None
        self.graph = LineGraph(cutoff=cutoff, bond_cutoff=bond_cutoff)
        self.elements = frozenset(elements)
        self.reference_energy = nn.Parameter(torch.zeros(max(elements)))
        self.embedding = nn.Embedding(max(elements), width)
        self.atom_basis = BesselBasis(size=n_radial, cutoff=cutoff, exponent=exponent)
        self.bond_basis = BesselBasis(size=n_radial, cutoff=bond_cutoff, exponent=exponent)
        self.angle_basis = FourierBasis(size=n_angular)
        self.bond_embedding = nn.Linear(n_radial, width, bias=False)
        self.atom_weight = nn.Linear(n_radial, width, bias=False)
        self.bond_weight = nn.Linear(n_radial, width, bias=False)
        self.angle_embedding = nn.Linear(n_angular, width, bias=False)
        self.atom_convolutions = nn.ModuleList(AtomConvolution(width) for _ in range(n_blocks))
        self.bond_convolutions = nn.ModuleList(BondConvolution(width) for _ in range(n_blocks - 1))
        self.angle_updates = nn.ModuleList(AngleUpdate(width) for _ in range(n_blocks - 2))
        self.magmom = nn.Linear(width, 1)
        self.norm = nn.LayerNorm(width)
        widths = [width, *readout]
        layers = [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.SiLU())]
        self.readout = nn.Sequential(*layers, nn.Linear(widths[-1], 1))

    @classmethod
    def load(cls, folder: str | Path | None = None) -> Self:
        """Load weights; those of the authors' release 0.3.0, which are shipped, when no folder is given.

        The parameters take no gradient, since a potential in use needs none; `requires_grad_` turns that on for training.

        Raises:
            MissingDataError: the folder holds no weights.
            FileFormatError: the weights are another system's.
        """
        weights = load_weights(Path(str(files("euhedral.models"))) / "weights" / _SHIPPED if folder is None else folder)
        return cls.from_weights(weights)

    @classmethod
    def from_weights(cls, weights: Weights) -> Self:
        """Build from weights in memory.

        Raises:
            FileFormatError: the weights are another system's.
        """
        if weights.system != "chgnet":
            raise FileFormatError(f"expected weights of chgnet, got those of {weights.system}; choose another folder")
        model = cls(**weights.config)
        try:
            model.load_state_dict(dict(weights.tensors))
        except RuntimeError as error:
            raise FileFormatError(f"the weights do not fit chgnet: {' '.join(str(error).split())}") from error
        return model.requires_grad_(requires_grad=False).eval()

    def energy(self, batch: CrystalBatch, graph: Graph, *, vectors: Tensor) -> Energy:
        """Compute (B,) energies, eV, and (N,) magnetic moments, mu_B.

        Parameters in single precision on a processor that take no gradient are used by compiled kernels, whose result can be
        differentiated once, and whose moments carry no derivative. Vectors in double precision are worth giving even then:
        the derivative of an angle that is nearly straight magnifies their rounding.
        """
        parameters = list(self.parameters())
        dtype = self.embedding.weight.dtype
        learning = any(parameter.requires_grad for parameter in parameters)
        if learning or dtype != torch.float32 or vectors.device.type != "cpu":
            return self._energy(batch, graph, vectors.to(dtype))
        from euhedral.models.potentials.chgnet.inference import ByHand, Inference

        state = tuple((parameter.data_ptr(), parameter._version) for parameter in parameters)  # noqa: SLF001
        if self._packed is None or self._packed[0] != state:
            self._packed = (state, Inference(self))
        total, moments = ByHand.apply(vectors, self._packed[1], batch, graph)
        return Energy(total=total, site={"magmom": moments})

    def _energy(self, batch: CrystalBatch, graph: Graph, vectors: Tensor) -> Energy:
        atoms, moments = self._interact(self.embedding(batch.numbers - 1), vectors, graph)
        energies = self.readout(self.norm(atoms)).squeeze(1) + self.reference_energy[batch.numbers - 1]
        total = energies.new_zeros(len(batch)).index_add(0, batch.crystal_idx, energies)
        return Energy(total=total, site={"magmom": moments})

    def _interact(self, atoms: Tensor, vectors: Tensor, graph: Graph) -> tuple[Tensor, Tensor]:
        extra = graph.extra
        lengths = vectors[extra["bond_edge"]].norm(dim=1)
        n_short = extra["short_edge"].numel() // 2
        radial = self.atom_basis(lengths)
        bonds, atom_weight = self.bond_embedding(radial), self.atom_weight(radial)
        bond_weight = self.bond_weight(self.bond_basis(lengths[:n_short]))
        short = F.normalize(vectors[extra["short_edge"]], dim=1)
        cosine = (short[extra["angle_first"]] * short[extra["angle_second"]]).sum(1)
        # as the authors: keeps the derivative of the arc cosine finite for straight angles
        angles = self.angle_embedding(self.angle_basis(torch.acos((1.0 - 1e-6) * cosine)))
        triplets = _Triplets(graph)
        for block, convolution in enumerate(self.bond_convolutions):
            atoms = self.atom_convolutions[block](atoms, bonds, atom_weight, graph)
            near = convolution(atoms, bonds[:n_short], bond_weight, angles, triplets)
            bonds = torch.cat([near, bonds[n_short:]])
            if block < len(self.angle_updates):
                angles = self.angle_updates[block](atoms, near, angles, triplets)
        moments = self.magmom(atoms).squeeze(1).abs()
        return self.atom_convolutions[-1](atoms, bonds, atom_weight, graph), moments
