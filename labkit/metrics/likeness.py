"""How alike two models see the same inputs, whatever their widths: CKA and shared neighbours. In float64."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from labkit.directions import unit
from labkit.registry import EMBEDDINGS, meter

BLOCK = 2**23  # cosines at a time: 64 MiB
SYMMETRIC = EMBEDDINGS | {"view swap", "scale"}


@meter("1905.00414", oracle="float64 loop", raw=True, sizes={"n": 4}, invariant=SYMMETRIC)
def linear_cka(a: Float[Tensor, "n d"], b: Float[Tensor, "n s"]) -> Float[Tensor, ""]:
    r"""Whether the same pairs of rows are alike in `a` and in `b`: 1 where every centred dot product is, up to one factor.

    .. math:: \frac{h(A, B)}{\sqrt{h(A, A) \, h(B, B)}}, \qquad
        h(A, B) = \lVert A^\top B \rVert_F^2 - \frac{n}{n-2} \sum_i \lVert a_i \rVert^2 \lVert b_i \rVert^2
        + \frac{\lVert A \rVert_F^2 \lVert B \rVert_F^2}{(n-1)(n-2)}

    with the means of A and B taken away. Turning or scaling either changes nothing, and the widths may differ. Wide directions
    decide: two models can agree on one large direction, score near 1, and share nothing else.

    Args:
        a, b: embeddings of the same n inputs by two models, row by row; rows as given.

    Raises:
        ValueError, TypeError: numbers of rows that differ, fewer than four, NaN, integers; rows that are all alike.

    Source: Kornblith et al. 2019 (arXiv 1905.00414), with the unbiased estimate of HSIC (Song et al. 2012, as in Nguyen et al.
    2020, arXiv 2010.15327, eq. 3). The biased one is large for unrelated models as soon as they are wide: about d / (n + d).
    This one is 0 on average there, so that it may be a little below 0.

    >>> z = torch.tensor([[1.0, 0.0], [2.0, 1.0], [0.0, 3.0], [4.0, 4.0], [1.0, 2.0]])
    >>> linear_cka(z, 3 * z.flip(1)), linear_cka(z, z[[1, 2, 3, 4, 0]])
    (tensor(1.), tensor(-0.1000))
    """
    dtype, (a, b) = a.dtype, (centred(a.double()), centred(b.double()))
    own = shared_products(a, a), shared_products(b, b)
    for name, h in zip(("a", "b"), own, strict=True):
        if not h > 0:
            raise ValueError(f"{name} has rows that are all alike, or too few to tell: there is nothing to compare")
    return (shared_products(a, b) / (own[0] * own[1]).sqrt()).to(dtype)


def centred(z: Tensor) -> Tensor:
    """Without the mean; zero where nothing is left but how the mean was rounded."""
    off = z - z.mean(0)
    return torch.where(off.abs().max() > 1e-14 * z.abs().max(), off, 0.0)


def shared_products(a: Tensor, b: Tensor) -> Tensor:
    """`h` of centred rows, through products of rows or of columns, whichever are fewer; 0 where only rounding is left."""
    n, lengths = len(a), (a.square().sum(1), b.square().sum(1))
    dot = (a.T @ b).square().sum() if a.shape[1] * b.shape[1] <= n * n else ((a @ a.T) * (b @ b.T)).sum()
    alone, both = n / (n - 2) * (lengths[0] @ lengths[1]), lengths[0].sum() * lengths[1].sum() / ((n - 1) * (n - 2))
    h, size = dot - alone + both, dot + alone + both
    return torch.where(h.abs() > 1e-13 * size, h, 0.0)


@meter("2405.07987", oracle="float64 loop", invariant=SYMMETRIC, ranges={"k": "[1, inf)"})
def neighbour_overlap(a: Float[Tensor, "n d"], b: Float[Tensor, "n s"], *, k: int = 10) -> Float[Tensor, ""]:
    r"""Of the k nearest neighbours that an input has in `a`, the share that are among its k nearest in `b`, too.

    .. math:: \frac1n \sum_i \frac{|N_k(a_i) \cap N_k(b_i)|}{k}

    1 where both have the same neighbours, and `k / (n - 1)` where they have nothing in common. Only the nearest count, so a
    large common direction does not help; but it depends on n: neighbours among fewer rows lie further away.

    Args:
        a, b: embeddings of the same n inputs by two models, row by row; L2-normalised inside.
        k: 1 to n - 1 neighbours, by cosine.

    Raises:
        ValueError, TypeError: numbers of rows that differ, a row of zeros, NaN, integers, k too large.

    Source: Huh et al. 2024 (arXiv 2405.07987), "mutual k-nearest neighbours", with their k = 10.

    >>> square = torch.tensor([[1.0, 0.1], [1.0, -0.1], [-1.0, 0.1], [-1.0, -0.1]])
    >>> neighbour_overlap(square, square, k=1), neighbour_overlap(square, square[:, [1, 0]] * torch.tensor([9.0, 0.1]), k=1)
    (tensor(1.), tensor(0.))
    """
    if k > len(a) - 1:
        raise ValueError(f"k must be at most {len(a) - 1}, the other rows of a, got {k}")
    return shared_share(neighbours(unit(a.double()), k), neighbours(unit(b.double()), k)).to(a.dtype)


def neighbours(z: Tensor, k: int) -> Int[Tensor, "n k"]:
    """Of each unit row, the k others nearest to it."""
    found = []
    for rows in torch.arange(len(z)).split(max(BLOCK // len(z), 1)):
        cosines = z[rows] @ z.T
        cosines[torch.arange(len(rows)), rows] = -torch.inf
        found.append(cosines.topk(k).indices)
    return torch.cat(found)


def shared_share(near: Tensor, other: Tensor) -> Tensor:
    """How many of the neighbours are among the other ones, as a share."""
    return (near[:, :, None] == other[:, None, :]).any(2).double().mean()
