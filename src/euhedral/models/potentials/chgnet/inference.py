"""CHGNet on processors without automatic differentiation: the network of `network`, forwards and backwards, by hand.

Crystals are taken a few at a time, so that what the backward pass needs is still in the cache, and each thread has its own.
The products that dominate are those of the hidden layers, one a directed edge or angle; everything that depends on an atom,
a bond or an unordered pair of bonds alone is computed once for each.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from euhedral.core.batch import CrystalBatch
from euhedral.nn.bases_kernels import bessel_and_slope, fourier_and_slope, pull_angles, pull_lengths, unit_vectors
from euhedral.nn.gated_kernels import message_backward, message_forward, update_backward, update_forward
from euhedral.nn.kernels import add_at, add_product, product, take
from euhedral.representations.graphs import Graph
from euhedral.representations.line_graph_kernels import local_indices

if TYPE_CHECKING:
    from euhedral.models.potentials.chgnet.network import CHGNet, GatedMLP

Array = NDArray[Any]

_EACH = np.empty(0, dtype=np.int32)  # instead of an index: each row has its own
_ROWS_AT_A_TIME = 6000  # edges and angles of one group of crystals: some 6 MB a block of layers


def _array(tensor: Tensor) -> Array:
    return np.ascontiguousarray(tensor.detach().numpy())


def _matrix(*linears: nn.Linear) -> Array:
    """The (input, output) matrix of a chain of linear maps."""
    matrix = linears[0].weight.detach().double().T
    for linear in linears[1:]:
        matrix = matrix @ linear.weight.detach().double().T
    return _array(matrix.float())


class _Map:
    """A matrix and its transpose."""

    def __init__(self, *linears: nn.Linear) -> None:
        self.forth = _matrix(*linears)
        self.back = np.ascontiguousarray(self.forth.T)

    def __call__(self, values: Array) -> Array:
        out = np.empty((values.shape[0], self.forth.shape[1]), dtype=np.float32)
        product(values, self.forth, out)
        return out

    def add(self, values: Array, out: Array) -> Array:
        add_product(values, self.forth, out)
        return out

    def pull(self, gradient: Array) -> Array:
        out = np.empty((gradient.shape[0], self.back.shape[1]), dtype=np.float32)
        product(gradient, self.back, out)
        return out

    def add_pull(self, gradient: Array, out: Array) -> Array:
        add_product(gradient, self.back, out)
        return out


class _Gate:
    """The matrices of one gated perceptron."""

    def __init__(self, message: GatedMLP, *, out: nn.Linear | None, **chains: tuple[nn.Linear, ...]) -> None:
        self.parts = {name: _Map(linear) for name, linear in message.parts.items()}
        self.chains = {name: _Map(*linears) for name, linears in chains.items()}
        self.bias = _array(message.bias)
        self.gain = _array(torch.cat([message.core_norm.weight, message.gate_norm.weight]))
        self.offset = _array(torch.cat([message.core_norm.bias, message.gate_norm.bias]))
        if message.core is not None and message.gate is not None and out is not None:
            self.core, self.gate, self.out = _Map(message.core), _Map(message.gate), _Map(out)
            self.hidden_bias = _array(torch.cat([message.core.bias, message.gate.bias]))


@dataclass
class _Tape:
    """What one layer's forward pass leaves for its backward pass."""

    rows: Array
    scale: Array
    normal: Array | None = None
    summed: Array | None = None


@dataclass
class _Part:
    """A few whole crystals of a batch, with indices counted from its own first atom, edge and bond."""

    atoms: slice
    edges: slice
    bond_edge: Array
    source: Array
    target: Array
    bond: Array
    short_edge: Array
    short_bond: Array
    short_atom: Array
    first: Array
    second_bond: Array
    pair: Array
    pair_first: Array
    pair_second: Array


class ByHand(torch.autograd.Function):
    """Energies of atoms from vectors of edges, with the derivative that was worked out on the way."""

    @staticmethod
    def forward(
        ctx: Any, vectors: Tensor, inference: Inference, batch: CrystalBatch, graph: Graph
    ) -> tuple[Tensor, Tensor]:
        """Return (B,) energies, eV, and (N,) magnetic moments, mu_B, which carry no derivative."""
        site, moments, pull = inference(batch, graph, vectors.detach().numpy(), pull=ctx.needs_input_grad[0])
        owner = batch.crystal_idx
        total = torch.zeros(len(batch), dtype=torch.float64).index_add_(0, owner, torch.from_numpy(site))
        moments = torch.from_numpy(moments).to(vectors.dtype)
        ctx.mark_non_differentiable(moments)
        if pull is not None:
            ctx.save_for_backward(torch.from_numpy(pull).to(vectors.dtype), owner[graph.target])
        return total.to(vectors.dtype), moments

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_total: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        """Scale each crystal's derivative."""
        pull, owner = ctx.saved_tensors
        return pull * d_total[owner].unsqueeze(1), None, None, None


class Inference:
    """The packed parameters of a CHGNet, single precision, and the two passes."""

    def __init__(self, model: CHGNet) -> None:
        self.cutoffs = (model.graph.cutoff, model.graph.bond_cutoff)
        self.exponent = model.atom_basis.exponent
        self.frequencies = [
            _array(basis.frequencies.double()) for basis in (model.atom_basis, model.bond_basis, model.angle_basis)
        ]
        self.embedding = _array(model.embedding.weight)
        self.width = self.embedding.shape[1]
        self.reference_energy = _array(model.reference_energy.double())
        self.bond_embedding, self.atom_weight = _Map(model.bond_embedding), _Map(model.atom_weight)
        self.bond_weight, self.angle_embedding = _Map(model.bond_weight), _Map(model.angle_embedding)
        self.atom_gates = [
            _Gate(layer.message, out=layer.out, radial=(model.bond_embedding, layer.message.parts["bond"]))
            for layer in model.atom_convolutions
        ]
        fourier = model.angle_embedding
        self.bond_gates = [
            _Gate(layer.message, out=layer.out, fourier=(fourier, layer.message.parts["angle"]))
            for layer in model.bond_convolutions
        ]
        self.angle_gates = [
            _Gate(layer.message, out=None, fourier=(fourier, layer.message.parts["angle"]))
            for layer in model.angle_updates
        ]
        self.magmom = _Map(model.magmom), _array(model.magmom.bias)
        self.norm = _array(model.norm.weight), _array(model.norm.bias), model.norm.eps
        linears = [layer for layer in model.readout if isinstance(layer, nn.Linear)]
        self.readout = [(_Map(linear), _array(linear.bias)) for linear in linears]

    def __call__(
        self, batch: CrystalBatch, graph: Graph, vectors: Array, *, pull: bool
    ) -> tuple[Array, Array, Array | None]:
        """Compute (N,) energies of atoms in eV, (N,) moments in mu_B and, when asked, the (E, 3) derivative by vectors."""
        n_atoms = int(batch.n_atoms.sum())
        energy, moment = np.empty(n_atoms), np.empty(n_atoms, dtype=np.float32)
        pulls = np.zeros((vectors.shape[0], 3), dtype=np.float32) if pull else None
        species = batch.numbers.numpy() - 1

        def run(part: _Part) -> None:
            state = _State(self, part, species[part.atoms], vectors[part.edges])
            energy[part.atoms], moment[part.atoms], d_atoms = state.forward(pull=pull)
            if pulls is not None:
                state.backward(d_atoms, pulls[part.edges])

        parts = _split(batch, graph)
        threads = min(torch.get_num_threads(), len(parts))
        if threads == 1:
            for part in parts:
                run(part)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(run, parts))
        return energy + self.reference_energy[species], moment, pulls

    def read_out(self, atoms: Array, *, pull: bool) -> tuple[Array, Array]:
        """Map (N, W) atoms to (N,) energies, and the derivative of their sum."""
        gain, offset, epsilon = self.norm
        scale = 1.0 / np.sqrt(atoms.var(axis=1, keepdims=True) + np.float32(epsilon))
        normal = (atoms - atoms.mean(axis=1, keepdims=True)) * scale
        values, slopes = gain * normal + offset, []
        for matrix, bias in self.readout[:-1]:
            values = matrix(values) + bias
            gate = 1.0 / (1.0 + np.exp(np.minimum(-values, np.float32(80.0))))
            slopes.append(gate * (1.0 + values * (1.0 - gate)))
            values = values * gate
        last, bias = self.readout[-1]
        energy = (last(values) + bias)[:, 0]
        if not pull:
            return energy, atoms
        gradient = np.repeat(last.back, atoms.shape[0], axis=0)
        for (matrix, _), slope in zip(reversed(self.readout[:-1]), reversed(slopes), strict=True):
            gradient = matrix.pull(gradient * slope)
        gradient = gradient * gain
        along = (gradient * normal).mean(axis=1, keepdims=True)
        return energy, scale * (gradient - gradient.mean(axis=1, keepdims=True) - normal * along)


class _State:
    """The features of one part on their way through the network and back."""

    def __init__(self, net: Inference, part: _Part, species: Array, vectors: Array) -> None:
        self.net, self.part = net, part
        self.atoms = net.embedding[species]
        n_bonds, n_edges, n_pairs = part.bond_edge.size, part.short_edge.size, part.pair_first.size
        self.n_short = n_edges // 2
        self.unit, length = np.empty((n_bonds, 3)), np.empty(n_bonds)
        unit_vectors(vectors, part.bond_edge, self.unit, length)
        self.short_unit, self.short_length = np.empty((n_edges, 3)), np.empty(n_edges)
        unit_vectors(vectors, part.short_edge, self.short_unit, self.short_length)
        radial, near, fourier = net.frequencies
        self.radial, self.radial_slope = _zeros(n_bonds, net.atom_weight), _zeros(n_bonds, net.atom_weight)
        bessel_and_slope(length, radial, net.cutoffs[0], net.exponent, self.radial, self.radial_slope)
        near_values, self.near_slope = _zeros(self.n_short, net.bond_weight), _zeros(self.n_short, net.bond_weight)
        bessel_and_slope(length[: self.n_short], near, net.cutoffs[1], net.exponent, near_values, self.near_slope)
        self.fourier, self.fourier_slope = _zeros(n_pairs, net.angle_embedding), _zeros(n_pairs, net.angle_embedding)
        self.sine = np.empty(n_pairs)
        fourier_and_slope(
            self.short_unit, part.pair_first, part.pair_second, fourier, self.fourier, self.fourier_slope, self.sine
        )
        self.atom_weight = net.atom_weight(self.radial)
        self.bond_weight = net.bond_weight(near_values)
        self.near_start = net.bond_embedding(self.radial[: self.n_short])
        self.change = np.zeros_like(self.near_start)  # of the short bonds' features since the start
        self.atom_tapes: list[_Tape] = []
        self.bond_tapes: list[_Tape] = []
        self.angle_tapes: list[_Tape] = []

    def forward(self, *, pull: bool) -> tuple[Array, Array, Array]:
        """Return (N,) energies, (N,) moments and, if asked, the (N, W) derivative by the last atom features."""
        net = self.net
        angles: Array | None = None
        last = len(net.atom_gates) - 1
        for block, gate in enumerate(net.atom_gates):
            if block == last:
                matrix, bias = net.magmom
                moment = np.abs(matrix(self.atoms) + bias)[:, 0]
            self._convolve_atoms(gate, block)
            if block < last:
                self._convolve_bonds(net.bond_gates[block], angles)
                if block < len(net.angle_gates):
                    angles = self._update_angles(net.angle_gates[block], angles)
        energy, slope = net.read_out(self.atoms, pull=pull)
        return energy, moment, slope

    def backward(self, d_atoms: Array, pulls: Array) -> None:
        """Add the derivative by vectors to `pulls`."""
        net, part, n_short = self.net, self.part, self.n_short
        self.d_atoms = d_atoms
        self.d_radial, self.d_fourier = np.zeros_like(self.radial), np.zeros_like(self.fourier)
        self.d_atom_weight, self.d_bond_weight = np.zeros_like(self.atom_weight), np.zeros_like(self.bond_weight)
        self.d_start, self.d_change = np.zeros_like(self.near_start), np.zeros_like(self.change)
        d_angles: Array | None = None
        for block in reversed(range(len(net.atom_gates))):
            if block < len(net.angle_gates):
                d_angles = self._pull_angles(net.angle_gates[block], self.angle_tapes[block], d_angles, block)
            if block < len(net.bond_gates):
                d_angles = self._pull_bonds(net.bond_gates[block], self.bond_tapes[block], d_angles, block)
            self._pull_atoms(net.atom_gates[block], self.atom_tapes[block], block)
        net.bond_embedding.add_pull(self.d_start, self.d_radial[:n_short])
        net.atom_weight.add_pull(self.d_atom_weight, self.d_radial)
        pull_lengths(self.d_radial, self.radial_slope, self.unit, part.bond_edge, pulls)
        d_near = net.bond_weight.pull(self.d_bond_weight)
        pull_lengths(d_near, self.near_slope, self.unit, part.bond_edge, pulls)
        pull_angles(
            self.d_fourier, self.fourier_slope, self.sine, self.short_unit, self.short_length,
            part.pair_first, part.pair_second, part.short_edge, pulls,
        )  # fmt: skip

    def _convolve_atoms(self, gate: _Gate, block: int) -> None:
        part = self.part
        first = gate.parts["centre"](self.atoms) + gate.bias
        second = gate.parts["neighbour"](self.atoms)
        projected = gate.chains["radial"](self.radial)
        if block:
            gate.parts["bond"].add(self.change, projected[: self.n_short])
        tape = self._message(
            gate, projected, part.bond, first, part.target, second, part.source, self.atom_weight, part.bond
        )
        self.atoms = self.atoms + gate.out(tape.summed)
        self.atom_tapes.append(tape)

    def _convolve_bonds(self, gate: _Gate, angles: Array | None) -> None:
        part = self.part
        first, second = self._ends(gate)
        own, idx = (
            (gate.chains["fourier"](self.fourier), part.pair)
            if angles is None
            else (gate.parts["angle"](angles), _EACH)
        )
        tape = self._message(
            gate, own, idx, first, part.first, second, part.second_bond, self.bond_weight, part.second_bond
        )
        folded = np.zeros_like(self.change)
        add_at(folded, part.short_bond, tape.summed)
        tape.summed = folded
        self.change = self.change + gate.out(folded * self.bond_weight)
        self.bond_tapes.append(tape)

    def _update_angles(self, gate: _Gate, angles: Array | None) -> Array:
        part = self.part
        first, second = self._ends(gate)
        if angles is None:
            rows = _taken(gate.chains["fourier"](self.fourier), part.pair)
            state = _taken(self.net.angle_embedding(self.fourier), part.pair)
        else:
            rows, state = gate.parts["angle"](angles), angles  # the old angles are not needed again
        scale = np.empty((rows.shape[0], 2), dtype=np.float32)
        update_forward(rows, first, part.first, second, part.second_bond, gate.gain, gate.offset, state, scale)
        self.angle_tapes.append(_Tape(rows=rows, scale=scale))
        return state

    def _ends(self, gate: _Gate) -> tuple[Array, Array]:
        """Project the two bonds of an angle: the first with the atom, for short edges; the second, for short bonds."""
        part = self.part
        near = self.near_start + self.change
        first = _taken(gate.parts["first"](near), part.short_bond)
        first += _taken(gate.parts["centre"](self.atoms) + gate.bias, part.short_atom)
        return first, gate.parts["second"](near)

    def _message(  # noqa: PLR0917  # as the kernel takes them
        self, gate: _Gate, own: Array, own_idx: Array, first: Array, first_idx: Array, second: Array, second_idx: Array,
        weight: Array, weight_idx: Array,
    ) -> _Tape:  # fmt: skip
        rows = np.empty((first_idx.size, own.shape[1]), dtype=np.float32) if own_idx.size else own
        summed = np.zeros((first.shape[0], self.net.width), dtype=np.float32)
        normal, scale = np.empty_like(rows), np.empty((rows.shape[0], 2), dtype=np.float32)
        message_forward(
            own, own_idx, rows, first, first_idx, second, second_idx, gate.core.forth, gate.gate.forth, gate.hidden_bias,
            gate.gain, gate.offset, weight, weight_idx, summed, normal, scale,
        )  # fmt: skip
        return _Tape(rows=rows, scale=scale, normal=normal, summed=summed)

    def _pull_message(  # noqa: PLR0917  # as the kernel takes them
        self, gate: _Gate, tape: _Tape, d_summed: Array, own_idx: Array, d_own: Array, first_idx: Array, second_idx: Array,
        d_second: Array, weight: Array, weight_idx: Array, d_weight: Array,
    ) -> Array:  # fmt: skip
        d_first = np.zeros((d_summed.shape[0], 2 * self.net.width), dtype=np.float32)
        message_backward(
            d_summed, own_idx, tape.rows, first_idx, second_idx, gate.core.back, gate.gate.back, gate.gain, gate.offset,
            weight, weight_idx, tape.normal, tape.scale, d_own, d_first, d_second, d_weight,
        )  # fmt: skip
        return d_first

    def _pull_atoms(self, gate: _Gate, tape: _Tape, block: int) -> None:
        part, width = self.part, 2 * self.net.width
        d_second = np.zeros((self.atoms.shape[0], width), dtype=np.float32)
        d_own = np.zeros((part.bond_edge.size, width), dtype=np.float32)
        d_first = self._pull_message(
            gate, tape, gate.out.pull(self.d_atoms), part.bond, d_own, part.target, part.source, d_second,
            self.atom_weight, part.bond, self.d_atom_weight,
        )  # fmt: skip
        gate.chains["radial"].add_pull(d_own, self.d_radial)
        if block:
            gate.parts["bond"].add_pull(d_own[: self.n_short], self.d_change)
            self.d_atoms = gate.parts["centre"].pull(d_first) + self.d_atoms  # the embeddings need no derivative
            gate.parts["neighbour"].add_pull(d_second, self.d_atoms)

    def _pull_bonds(self, gate: _Gate, tape: _Tape, d_angles: Array | None, block: int) -> Array | None:
        part, width = self.part, 2 * self.net.width
        d_folded = gate.out.pull(self.d_change)
        self.d_bond_weight += d_folded * tape.summed
        d_summed = _taken(d_folded * self.bond_weight, part.short_bond)
        d_second = np.zeros((self.n_short, width), dtype=np.float32)
        d_own, own_idx = (
            (tape.rows, _EACH) if block else (np.zeros((part.pair_first.size, width), dtype=np.float32), part.pair)
        )
        d_first = self._pull_message(
            gate, tape, d_summed, own_idx, d_own, part.first, part.second_bond, d_second,
            self.bond_weight, part.second_bond, self.d_bond_weight,
        )  # fmt: skip
        self._pull_ends(gate, d_first, d_second)
        if not block:
            gate.chains["fourier"].add_pull(d_own, self.d_fourier)
            return None
        return gate.parts["angle"].pull(d_own) if d_angles is None else gate.parts["angle"].add_pull(d_own, d_angles)

    def _pull_angles(self, gate: _Gate, tape: _Tape, d_angles: Array | None, block: int) -> Array | None:
        part = self.part
        if d_angles is None:
            return None
        d_first = np.zeros((part.short_edge.size, tape.rows.shape[1]), dtype=np.float32)
        d_second = np.zeros((self.n_short, tape.rows.shape[1]), dtype=np.float32)
        update_backward(
            d_angles, tape.rows, part.first, part.second_bond, gate.gain, gate.offset, tape.scale, d_first, d_second
        )
        self._pull_ends(gate, d_first, d_second)
        if block == 0:
            self.net.angle_embedding.add_pull(self._folded(d_angles), self.d_fourier)
            gate.chains["fourier"].add_pull(self._folded(tape.rows), self.d_fourier)
            return None
        return gate.parts["angle"].add_pull(tape.rows, d_angles)

    def _pull_ends(self, gate: _Gate, d_first: Array, d_second: Array) -> None:
        part = self.part
        d_atom = np.zeros((self.atoms.shape[0], d_first.shape[1]), dtype=np.float32)
        add_at(d_atom, part.short_atom, d_first)
        self.d_atoms = gate.parts["centre"].pull(d_atom) + self.d_atoms
        d_bond = np.zeros_like(d_second)
        add_at(d_bond, part.short_bond, d_first)
        d_near = gate.parts["second"].add_pull(d_second, gate.parts["first"].pull(d_bond))
        self.d_start += d_near
        self.d_change += d_near

    def _folded(self, rows: Array) -> Array:
        """Sum the rows of the two orders of each pair of bonds."""
        out = np.zeros((self.part.pair_first.size, rows.shape[1]), dtype=np.float32)
        add_at(out, self.part.pair, rows)
        return out


def _zeros(rows: int, linear: _Map) -> Array:
    return np.zeros((rows, linear.forth.shape[0]), dtype=np.float32)


def _taken(source: Array, index: Array) -> Array:
    out = np.empty((index.size, source.shape[1]), dtype=np.float32)
    take(source, index, out)
    return out


def _split(batch: CrystalBatch, graph: Graph) -> list[_Part]:
    """Cut a batch into runs of whole crystals of some thousand edges and angles."""
    extra = {name: tensor.numpy() for name, tensor in graph.extra.items()}
    source, target = graph.source.numpy(), graph.target.numpy()
    atom = batch.offsets.numpy()
    n_short = extra["short_edge"].size // 2
    edge = np.searchsorted(target, atom)
    short_edge = np.searchsorted(extra["short_edge"], edge)
    angle = np.searchsorted(extra["angle_first"], short_edge)
    short = np.searchsorted(extra["bond_edge"][:n_short], edge)
    long = n_short + np.searchsorted(extra["bond_edge"][n_short:], edge)
    group = (edge[1:] + angle[1:] - 1) // _ROWS_AT_A_TIME
    cuts = np.concatenate([[0], np.flatnonzero(np.diff(group)) + 1, [len(batch)]])
    parts = []
    for begin, end in pairwise(cuts):
        edges, angles = slice(edge[begin], edge[end]), slice(angle[begin], angle[end])
        ends = slice(short_edge[begin], short_edge[end])
        near, far = slice(short[begin], short[end]), slice(long[begin], long[end])
        indices = local_indices(
            source[edges], target[edges], extra["bond"][edges], extra["short_edge"][ends],
            extra["angle_first"][angles], extra["angle_second"][angles], extra["angle_swap"][angles],
            atom[begin], edges.start, ends.start, angles.start, near.start, near.stop, far.start,
        )  # fmt: skip
        bond_edge = np.concatenate([extra["bond_edge"][near], extra["bond_edge"][far]]) - edges.start
        parts.append(_Part(slice(atom[begin], atom[end]), edges, bond_edge.astype(np.int32), *indices))
    return parts
