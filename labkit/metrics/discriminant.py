"""A linear probe without iterations: the linear discriminant with a shrunken covariance. In float64."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from labkit.registry import EMBEDDINGS, meter

FLOOR = 1e-6  # the least part of the variance that is spread evenly over all directions


@meter(
    "ledoit2004",
    oracle="sklearn.discriminant_analysis.LinearDiscriminantAnalysis",
    raw=True,
    invariant=EMBEDDINGS | {"scale"},
)
def discriminant_probe(
    train_z: Float[Tensor, "n d"],
    train_y: Int[Tensor, "n"],
    test_z: Float[Tensor, "m d"],
    test_y: Int[Tensor, "m"],
) -> Float[Tensor, ""]:
    r"""Test accuracy of the linear discriminant of frozen embeddings: a linear probe that needs no iterations and no tuning.

    .. math:: \hat y = \arg\max_c \; z^\top \Sigma^{-1} \mu_c - \tfrac12 \mu_c^\top \Sigma^{-1} \mu_c + \log \pi_c, \qquad
        \Sigma = (1 - s) \, \Sigma_W + s \, \tfrac{\operatorname{tr} \Sigma_W}{d} \, I

    with the classes' centres and shares among the training rows, :math:`\Sigma_W` the covariance within them, and s the
    shrinkage of Ledoit and Wolf: near 1 with few rows, where the nearest centre decides, near 0 with many. Shift, scale and
    rotation change nothing. Close to `linear_probe` in accuracy, not equal to it: compare like with like.

    Args:
        train_z, train_y: what the probe is fitted on, rows as given; at least two classes.
        test_z, test_y: what it is measured on.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, integer embeddings, float labels, a single class.

    Source: Fisher's discriminant as in scikit-learn (LinearDiscriminantAnalysis, solver lsqr, shrinkage s); the shrinkage by
    Ledoit and Wolf 2004 (J. Multivariate Analysis 88, 365-411), of all rows about their classes' centres.

    >>> z = torch.tensor([[1.0, 0.0], [0.8, 0.1], [0.0, 1.0], [0.1, 0.7]])
    >>> discriminant_probe(z, torch.tensor([0, 0, 1, 1]), z, torch.tensor([0, 0, 1, 1]))
    tensor(1.)
    """
    classes, y = train_y.unique(return_inverse=True)
    if len(classes) < 2:
        raise ValueError("train_y holds a single class: a probe needs two")
    weights, offset = discriminant(train_z.double(), y, len(classes))
    told = classes[(test_z.double() @ weights + offset).argmax(1)]
    return (told == test_y).double().mean().to(train_z.dtype)


def discriminant(
    train: Float[Tensor, "n d"], y: Int[Tensor, "n"], classes: int
) -> tuple[Float[Tensor, "d c"], Float[Tensor, "c"]]:
    """The map `z @ W + b` to the scores of the classes; a class without training rows scores -inf."""
    sizes, middle = torch.bincount(y, minlength=classes).to(train), train.mean(0)
    x = train - middle
    centres = x.new_zeros(classes, x.shape[1]).index_add(0, y, x) / sizes.clamp(min=1)[:, None]
    weights = solved(x - centres[y], centres.T, FLOOR * x.square().mean())
    offset = -(centres * weights.T).sum(1) / 2 - middle @ weights
    return weights, offset + (sizes / len(y)).log()


def solved(x: Float[Tensor, "n d"], right: Float[Tensor, "d c"], least: Tensor) -> Float[Tensor, "d c"]:
    """The shrunken covariance of centred rows, inverted, times `right`, by products of rows or columns, whichever are fewer."""
    n, d = x.shape
    moment = x @ x.T if n <= d else x.T @ x
    share, variance = shrinkage(x, moment)
    even, rest = (share * variance).clamp(min=least), (1 - share).clamp(min=FLOOR) / n
    moment.diagonal().add_(even / rest)
    factor, problem = torch.linalg.cholesky_ex(moment)
    if problem:  # all rows are one
        return torch.zeros_like(right)
    if n > d:
        return torch.cholesky_solve(right, factor) / rest
    return (right - x.T @ torch.cholesky_solve(x @ right, factor)) / even


def shrinkage(x: Float[Tensor, "n d"], moment: Tensor) -> tuple[Tensor, Tensor]:
    """Ledoit and Wolf's share for rows about 0, and their mean variance; `moment` is x x' or x' x."""
    n, d = x.shape
    variance = moment.trace() / (n * d)
    spread = moment.square().sum() / (n * n * d)
    strays = (x.square().sum(1).square().sum() / n - spread * d) / (n * d)
    return (strays / (spread - variance.square()).clamp(min=strays)).nan_to_num(0.0).clamp(0, 1), variance
