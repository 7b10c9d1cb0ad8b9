"""Sums of Gaussians over the images of pairs of atoms, differentiable in their widths and in the positions.

Pairs are those of `lattice_sums.all_pairs`: all ordered pairs of each crystal, by target and then source. For heads H,

    Z = sum_n exp(-r_n^2 / 2 s^2),    psi_k = 1/Z sum_n exp(-r_n^2 / 2 s^2) b_k(r_n).

log Z is added to the logits of the attention, and psi, through a linear map, to the values.

Source: Taniai et al. 2024 (Crystalformer), arXiv:2403.11686, equations 6 to 9, and its appendix on reciprocal space.
"""

from __future__ import annotations

from math import pi

import torch
from torch import Tensor

from euhedral.core.batch import CrystalBatch
from euhedral.representations.gaussian_images import Waves
from euhedral.representations.graphs import Graph
from euhedral.representations.lattice_sums import all_pairs


def pair_of_edge(batch: CrystalBatch, *, graph: Graph) -> Tensor:
    """Number the pair that each edge is an image of.

    Returns:
        (E,) int64, positions in `all_pairs`.
    """
    crystal = batch.crystal_idx[graph.target]
    n = batch.n_atoms[crystal]
    squares = batch.n_atoms.square()
    first = (torch.cumsum(squares, 0) - squares)[crystal]
    atom = batch.offsets[crystal]
    return first + (graph.target - atom) * n + graph.source - atom


def log_gaussian_sums(
    squared: Tensor, *, pair: Tensor, width: Tensor, count: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Sum Gaussians over the images of each pair, in logarithms, so that far pairs and narrow widths do not underflow.

    Args:
        squared: (E,) Angstrom^2, squared distances of the images.
        pair: (E,) int64 from `pair_of_edge`; every pair must have an image.
        width: (P, H) Angstrom, s of each pair and head; that of an atom's own query is `width[target]`.
        count: (E,) how many equal images each stands for; one where not given.

    Returns:
        log Z (P, H), and (E, H) the share of each image, or of those it stands for, in its pair's sum, which adds up to 1.
    """
    with torch.no_grad():  # a shift drops out of the result and of its gradient
        nearest = squared.new_full((width.shape[0],), torch.inf).scatter_reduce(0, pair, squared, reduce="amin")
    half_precision = 0.5 / width.square()
    terms = torch.exp((nearest[pair] - squared)[:, None] * half_precision.index_select(0, pair))
    if count is not None:
        terms = terms * count[:, None]
    total = torch.zeros_like(width).index_add(0, pair, terms)
    return torch.log(total) - nearest[:, None] * half_precision, terms / total.index_select(0, pair)


def image_shares(squared: Tensor, *, pair: Tensor, width: Tensor, total: Tensor) -> Tensor:
    """Divide each image's Gaussian by its pair's sum as it is known from waves.

    Args:
        squared: (E,) Angstrom^2, squared distances of the images within reach.
        pair: (E,) int64 from `pair_of_edge`.
        width: (P, H) Angstrom.
        total: (P, H) from `gaussian_wave_sums`.

    Returns:
        (E, H); those of a pair add up to 1 less the share of images out of reach.
    """
    return torch.exp(-squared[:, None] * (0.5 / width.square())[pair]) / total[pair]


def weighted_image_sums(share: Tensor, *, basis: Tensor, pair: Tensor, n_pairs: int) -> Tensor:
    """Average functions of the distance over the images of each pair: psi.

    Pairs with about as many images are multiplied together, so that no more than half of any product is filling.

    Args:
        share: (E, H) from `log_gaussian_sums` or `image_shares`.
        basis: (E, K) functions of the distance of each image, such as radial basis functions.
        pair: (E,) int64, rising.
        n_pairs: P.

    Returns:
        (P, H, K); nothing where a pair has no image.
    """
    sizes = torch.bincount(pair, minlength=n_pairs)
    begin = torch.cumsum(sizes, 0) - sizes
    room, parts, places = 1, [], []
    longest = int(sizes.max()) if n_pairs else 0
    while room < 2 * longest:
        chosen = torch.nonzero((sizes <= room) & (sizes > room // 2)).squeeze(1)
        if chosen.numel():
            within = torch.arange(room, device=pair.device)[None]
            real = within < sizes[chosen, None]
            edge = torch.where(real, begin[chosen, None] + within, begin[chosen, None])
            weight = share[edge] * real[:, :, None].to(share.dtype)
            parts.append(weight.transpose(1, 2) @ basis[edge])
            places.append(chosen)
        room *= 2
    out = share.new_zeros(n_pairs, share.shape[1], basis.shape[1])
    return out.index_copy(0, torch.cat(places), torch.cat(parts)) if parts else out


def gaussian_wave_sums(batch: CrystalBatch, *, waves: Waves, width: Tensor) -> Tensor:
    """Sum Gaussians over all images of each pair in reciprocal space, where wide ones need few terms.

    Z = (2 pi s^2)^(3/2) / V sum_k exp(-s^2 k^2 / 2) cos(k r), by Poisson's summation. Memory is that of (P, H, K) numbers.

    Args:
        batch: the crystals, with P pairs in all.
        waves: from `gaussian_waves`, for a narrowest width that no width is below.
        width: (P, H) Angstrom.

    Returns:
        Z (P, H), which carries the absolute error of the waves; differentiable in widths, positions and cells.
    """
    source, target = all_pairs(batch)
    crystal = batch.crystal_idx[target]
    index = waves.index.to(batch.dtype)
    vectors = 2.0 * pi * index @ torch.linalg.inv(batch.cell).transpose(1, 2)
    squared = vectors.square().sum(2)
    turns = torch.einsum("pi,pki->pk", batch.frac[source] - batch.frac[target], index[crystal])
    cosines = torch.cos(2.0 * pi * turns) * waves.counts[crystal].to(batch.dtype)
    decay = torch.exp(-0.5 * width.square()[:, :, None] * squared[crystal][:, None])
    scale = (2.0 * pi * width.square()) ** 1.5 / batch.volume[crystal, None]
    return scale * (1.0 + 2.0 * torch.einsum("phk,pk->ph", decay, cosines))
