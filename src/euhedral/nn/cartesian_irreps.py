"""Cartesian tensors as irreps, and back, with equal index orders taken into account."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor, nn

from euhedral.errors import InvalidRequestError
from euhedral.nn.irreps import coupling, irreps

if TYPE_CHECKING:
    from e3nn.o3 import Irreps

# A projector's columns are zero or of order one; anything between is rounding.
_ZERO = 1e-9
# Index symmetries that tensors of a rank may have, those of more equal orders first.
_SYMMETRIES: Final = {
    2: ("ij=ji",),
    3: ("ijk=jik=ikj", "ijk=ikj", "ijk=jik", "ijk=kji"),
    4: ("ijkl=jikl=jkli", "ijkl=jikl=klij", "ijkl=jikl=ijlk", "ijkl=klij", "ijkl=jikl", "ijkl=ijlk"),
}
# What an exchange of indices may change in a label; of calculated dielectric tensors it changes up to 0.9%.
_TOLERANCE: Final = 0.02


class CartesianIrreps(nn.Module):
    """An orthonormal basis of the Cartesian tensors of a rank and symmetry, sorted into irreps.

    A symmetric tensor of rank 2 is 0e+2e, a piezoelectric one 2x1o+2o+3o, an elastic one 2x0e+2x2e+4e.

    Indices are coupled one after another, and of each degree the part that the symmetry keeps is spanned in a fixed order, so that
    the basis is the same everywhere.

    Args:
        rank: number of indices.
        symmetry: equal index orders, as "ij=ji" or "ijkl=jikl=klij"; empty for none.

    Raises:
        InvalidRequestError: the symmetry does not speak of that many indices.
    """

    basis: Tensor

    def __init__(self, rank: int, *, symmetry: str = "") -> None:
        super().__init__()
        self.rank = rank
        keep = _symmetriser(index_orders(rank, symmetry=symmetry))
        rows, parts = [], []
        for degree, tensors in sorted(_coupled(rank).items()):
            found = _kept(tensors, keep)
            if len(found):
                rows.append(found.transpose(0, 1).flatten(0, 1))  # components first, then channels
                parts.append(f"{len(found)}x{degree}{'e' if rank % 2 == 0 else 'o'}")
        self.kind: Irreps = irreps("+".join(parts))
        self.register_buffer("basis", torch.cat(rows), persistent=False)

    def to_cartesian(self, features: Tensor) -> Tensor:
        """Write (M, kind.dim) features as (M, 3, ..., 3) tensors."""
        return (features @ self.basis.to(features.dtype)).unflatten(1, (3,) * self.rank)

    def from_cartesian(self, tensors: Tensor) -> Tensor:
        """Write (M, 3, ..., 3) tensors as (M, kind.dim) features; what breaks the symmetry is lost."""
        return tensors.flatten(1) @ self.basis.to(tensors.dtype).T


def index_orders(rank: int, *, symmetry: str) -> list[tuple[int, ...]]:
    """List all orders of the indices of a tensor that a symmetry makes equal, the given one first.

    Args:
        rank: number of indices.
        symmetry: some of them, as "ijkl=jikl=klij"; the others follow.

    Raises:
        InvalidRequestError: the symmetry does not speak of that many indices.
    """
    names = symmetry.split("=") if symmetry else ["ijkl"[:rank]]
    if any(len(name) != rank or sorted(name) != sorted(names[0]) for name in names) or len(set(names[0])) != rank:
        raise InvalidRequestError(f"the symmetry {symmetry!r} does not name {rank} indices; 'ij=ji' is one of rank 2")
    generators = [tuple(names[0].index(letter) for letter in name) for name in names]
    found = {tuple(range(rank))}
    while True:
        more = {tuple(one[i] for i in other) for one, other in itertools.product(found, generators)} - found
        if not more:
            return sorted(found)
        found |= more


def symmetry_of(tensors: Tensor) -> str:
    """Find the index symmetry that all of some tensors have, within 2% of a tensor's norm.

    Where a tensor is smaller than a tenth of the mean, that counts.

    Args:
        tensors: (M, 3, ..., 3), without NaN.

    Returns:
        Equal index orders, as "ij=ji"; empty for none.
    """
    rank = tensors.ndim - 1
    size = tensors.flatten(1).norm(dim=1)
    allowed = _TOLERANCE * torch.maximum(size, 0.1 * size.mean())
    for symmetry in _SYMMETRIES.get(rank, ()):
        orders = index_orders(rank, symmetry=symmetry)
        changes = ((tensors - tensors.permute(0, *(1 + i for i in order))).flatten(1).norm(dim=1) for order in orders)
        if all(bool((change <= allowed).all()) for change in changes):
            return symmetry
    return ""


def _symmetriser(orders: list[tuple[int, ...]]) -> Tensor:
    """(3^rank, 3^rank) mean over the orders of a flattened tensor's indices."""
    rank = len(orders[0])
    places = torch.arange(3**rank).view((3,) * rank)
    matrix = torch.zeros(3**rank, 3**rank, dtype=torch.float64)
    for order in orders:
        matrix[torch.arange(3**rank), places.permute(order).flatten()] += 1.0 / len(orders)
    return matrix


def _coupled(rank: int) -> dict[int, Tensor]:
    """{degree: (n, 2l + 1, 3^rank)} an orthonormal basis of all tensors of a rank."""
    found: dict[int, list[Tensor]] = {1: [torch.eye(3, dtype=torch.float64)]}
    for _ in range(rank - 1):
        longer: dict[int, list[Tensor]] = {}
        for degree, tensors in sorted(found.items()):
            for total in range(abs(degree - 1), degree + 2):
                factor = (2 * total + 1) ** 0.5 * coupling(degree, 1, total)
                longer.setdefault(total, []).extend(
                    torch.einsum("ijm,ic->mcj", factor, tensor).flatten(1) for tensor in tensors
                )
        found = longer
    return {degree: torch.stack(tensors) for degree, tensors in found.items()}


def _kept(tensors: Tensor, keep: Tensor) -> Tensor:
    """Span what a projector keeps of (n, 2l + 1, D) tensors, by pivots in order: (n', 2l + 1, D), orthonormal."""
    # the projector commutes with rotations and so acts on the channels alone
    mixing = torch.einsum("amc,cd,bmd->ab", tensors, keep, tensors) / tensors.shape[1]
    chosen: list[Tensor] = []
    for column in mixing.T:
        rest = column.clone()
        for other in chosen:
            rest = rest - (rest @ other) * other
        if float(rest.norm()) > _ZERO:
            chosen.append(rest / rest.norm())
    if not chosen:
        return tensors[:0]
    return torch.einsum("na,amc->nmc", torch.stack(chosen), tensors)
