"""How embeddings stand to their classes: leave-one-out neighbours, between-class variance, neural collapse."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from labkit.checks import Scalar
from labkit.directions import unit
from labkit.metrics.neighbours import BLOCK, Nearest, nearest
from labkit.registry import EMBEDDINGS, meter


@meter("1805.01978", oracle="sklearn.neighbors.KNeighborsClassifier", invariant=EMBEDDINGS | {"scale"})
def knn_leave_one_out(
    z: Float[Tensor, "n d"],
    labels: Int[Tensor, "n"],
    groups: Int[Tensor, "n"] | None = None,
    *,
    k: int = 20,
    temperature: Scalar = 0.07,
) -> Float[Tensor, ""]:
    r"""The share of rows whose class their k nearest *other* rows vote for, near ones more than far ones.

    .. math:: \hat y_i = \arg\max_c \sum_{j \in N_k(i)} e^{z_i^\top z_j / \tau} \, [y_j = c], \qquad
        N_k(i) \subset \{ j : g_j \ne g_i \}

    `knn_accuracy` without a test set. Without groups every row is a group of its own. Frames of one video, crops of one image
    or copies of one row know each other: unless they are one group, they vote for each other, and the share is too high.

    Args:
        z: embeddings; L2-normalised inside.
        labels: classes.
        groups: rows of one group do not vote for each other.
        k: 1 to n - 1 neighbours; a row with fewer outside its group is judged by those, and wrong if there are none.
        temperature: > 0; small lets the nearest decide, large is a plain majority.

    Raises:
        ValueError, TypeError: shapes that differ, a row of zeros, NaN, integer embeddings, float labels, `k` too large.

    Source: Wu et al. 2018 (arXiv 1805.01978), leaving out the row itself, and its group.

    >>> z = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    >>> knn_leave_one_out(z, torch.tensor([0, 0, 1, 1]), k=1)
    tensor(1.)
    """
    if k > len(z) - 1:
        raise ValueError(f"k must be at most {len(z) - 1}, the other rows of z, got {k}")
    _, y = labels.unique(return_inverse=True)  # numbered from 0, so that -1 is no class
    told = winners(nearest(unit(z.double()), k=k, groups=groups), y, float(temperature))
    return (told == y).double().mean().to(z.dtype)


def winners(near: Nearest, labels: Tensor, temperature: float = 0.07) -> Tensor:
    """The class that each query's neighbours vote for; -1 where it has none. Only the k classes in sight are counted."""
    size = max(BLOCK // near.rows.shape[1] ** 2, 1)
    return torch.cat([won(Nearest(*part), labels, temperature) for part in zip(*(x.split(size) for x in near), strict=True)])


def won(near: Nearest, labels: Tensor, temperature: float) -> Tensor:
    found = near.cosines > -torch.inf
    closest = near.cosines.amax(1, keepdim=True).nan_to_num(neginf=0.0)
    weights = torch.where(found, ((near.cosines - closest) / temperature).exp(), 0.0)
    classes = labels[near.rows]
    votes = (weights[:, None, :] * (classes[:, :, None] == classes[:, None, :])).sum(2)
    return torch.where(found.any(1), classes.gather(1, votes.argmax(1, keepdim=True)).squeeze(1), -1)


@meter("pearson1905", oracle="float64 loop", invariant=EMBEDDINGS | {"scale"})
def class_separation(z: Float[Tensor, "n d"], labels: Int[Tensor, "n"]) -> Float[Tensor, ""]:
    r"""The share of the variance of the unit rows that lies between the classes; the rest lies within them.

    .. math:: \eta^2 = \frac{\sum_c n_c \lVert \bar z_c - \bar z \rVert^2}{\sum_i \lVert z_i - \bar z \rVert^2}

    In [0, 1]. With labels that mean nothing it is (C - 1) / (n - 1) on average, which is large where classes are small.

    Args:
        z: embeddings; L2-normalised inside.
        labels: classes, at least two.

    Raises:
        ValueError, TypeError: shapes that differ, a row of zeros, NaN, integer embeddings, float labels, a single class, rows
            that all point the same way.

    Source: Pearson's correlation ratio (1905), the F test's sums of squares, over all dimensions together.

    >>> class_separation(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]), torch.tensor([0, 0, 1, 1]))
    tensor(0.3333)
    """
    _, y = labels.unique(return_inverse=True)
    share = between(*class_sums(unit(z.double()), y))
    if not torch.isfinite(share):
        raise ValueError("z has rows that all point the same way: no variance to share out")
    return share.to(z.dtype)


def class_sums(points: Tensor, y: Tensor, classes: int | None = None) -> tuple[Float[Tensor, "c d"], Float[Tensor, "c"]]:
    """The sum and the number of rows of each class."""
    many = classes or int(y.max()) + 1
    sums = points.new_zeros(many, points.shape[1]).index_add(0, y, points)
    return sums, torch.bincount(y, minlength=many).to(points)


def between(sums: Tensor, sizes: Tensor) -> Tensor:
    """Eta squared of unit rows from `class_sums`; NaN where the rows do not differ."""
    return share_between(sums.square().sum(1), sizes, sums.sum(0).square().sum())


def share_between(squares: Tensor, sizes: Tensor, total: Tensor) -> Tensor:
    """The same from the squared lengths of the sums, and of the sum of all."""
    n = sizes.sum()
    whole, inside = n - total / n, (squares / sizes.clamp(min=1)).sum() - total / n
    return torch.where(whole > 1e-12 * n, inside.clamp(min=0) / whole, torch.nan)


@meter("2008.08186", oracle="numpy.linalg.pinv", invariant=EMBEDDINGS | {"scale"})
def neural_collapse(z: Float[Tensor, "n d"], labels: Int[Tensor, "n"]) -> Float[Tensor, ""]:
    r"""How wide classes are, seen along the directions in which their centres differ: 0 when every class is one point.

    .. math:: \frac1C \operatorname{tr} \big( \Sigma_W \Sigma_B^{\dagger} \big), \qquad
        \Sigma_W = \frac1n \sum_i (z_i - \mu_{y_i})(z_i - \mu_{y_i})^\top, \quad
        \Sigma_B = \frac1C \sum_c (\mu_c - \mu)(\mu_c - \mu)^\top

    with the classes' centres and their mean. Labels that mean nothing have centres, too, by chance: permute them and look.

    Args:
        z: embeddings; L2-normalised inside.
        labels: classes, at least two.

    Raises:
        ValueError, TypeError: shapes that differ, a row of zeros, NaN, integer embeddings, float labels; a single class, or
            classes whose centres are the same.

    Source: Papyan, Han and Donoho 2020 (arXiv 2008.08186), NC1; there of the rows as given, here of unit rows.

    >>> z = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    >>> neural_collapse(z, torch.tensor([0, 0, 1, 1]))
    tensor(1.)
    """
    _, y = labels.unique(return_inverse=True)
    points = unit(z.double())
    spread = within(points, y, *class_sums(points, y))
    if not torch.isfinite(spread):
        raise ValueError("labels hold classes whose centres are the same, or a single one: no direction to look along")
    return spread.to(z.dtype)


def within(points: Tensor, y: Tensor, sums: Tensor, sizes: Tensor, rows: Tensor | None = None) -> Tensor:
    """NC1 of the rows (all of them, or some) through products of the centres, which are few; NaN where they do not differ."""
    there = sizes > 0
    centres = sums / sizes.clamp(min=1)[:, None]
    away = (centres - centres[there].mean(0)) * there[:, None]
    values, vectors = torch.linalg.eigh(away @ away.T)
    kept = values > 1e-10 * values[-1].clamp(min=1e-12)
    axes = away.T @ vectors[:, kept]  # where centres differ, and by how much
    along = points @ axes - (centres @ axes)[y]
    along = along if rows is None else along[rows]
    return torch.where(kept.any(), (along.square().mean(0) / values[kept].square()).sum(), torch.nan)
