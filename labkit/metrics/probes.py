"""What can be read off the embeddings with labels: nearest neighbours, linear probes, clusters. Accuracies lie in [0, 1]."""

import warnings

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from labkit.checks import Scalar
from labkit.directions import unit
from labkit.metrics.neighbours import BLOCK
from labkit.registry import EMBEDDINGS, meter

RANGES = {"C": "(0, inf)", "per_class": "[1, inf)", "draws": "[1, inf)"}


@meter("1805.01978", oracle="sklearn.neighbors.KNeighborsClassifier", invariant=EMBEDDINGS | {"scale"})
def knn_accuracy(
    train_z: Float[Tensor, "n d"],
    train_y: Int[Tensor, "n"],
    test_z: Float[Tensor, "m d"],
    test_y: Int[Tensor, "m"],
    *,
    k: int = 20,
    temperature: Scalar = 0.07,
) -> Float[Tensor, ""]:
    r"""The share of test rows whose class their k nearest training rows vote for, near ones more than far ones.

    .. math:: \hat y = \arg\max_c \sum_{j \in N_k(z)} e^{z^\top z_j / \tau} \, [y_j = c]

    Computed in blocks of test rows. Plain kNN is high for random features too (0.96 on digits): show the untrained row.

    Args:
        train_z, train_y: the rows that vote, and their classes; L2-normalised inside.
        test_z, test_y: the rows to be told, which must not be among those that vote.
        k: 1 to n neighbours.
        temperature: > 0; small lets the nearest decide, large is a plain majority.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, integer embeddings, float labels, `k` above the number of training
            rows, `temperature <= 0`.

    Source: Wu et al. 2018 (arXiv 1805.01978); official code of solo-learn (`utils/knn.py`), which returns
    percentages and lowers k silently.

    >>> line = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> knn_accuracy(line, torch.tensor([0, 1]), torch.tensor([[2.0, 1.0]]), torch.tensor([0]), k=1)
    tensor(1.)
    """
    if k > len(train_z):
        raise ValueError(f"k must be at most the {len(train_z)} rows of train_z, got {k}")
    train, test = unit(train_z.double()), unit(test_z.double())
    classes, voters = train_y.unique(return_inverse=True)
    right = torch.zeros((), dtype=train.dtype, device=train.device)
    for rows in torch.arange(len(test), device=test.device).split(max(BLOCK // len(train), 1)):
        near = (test[rows] @ train.T).topk(k)
        weights = ((near.values - near.values[:, :1]) / temperature).exp()  # the nearest weighs 1: nothing overflows
        votes = weights.new_zeros(len(rows), len(classes)).scatter_add(1, voters[near.indices], weights)
        right += (classes[votes.argmax(1)] == test_y[rows]).sum()
    return (right / len(test)).to(train_z.dtype)


@meter(
    "1610.01644", oracle="sklearn.linear_model.LogisticRegression", raw=True, ranges=RANGES, invariant=EMBEDDINGS | {"scale"}
)
def linear_probe(
    train_z: Float[Tensor, "n d"],
    train_y: Int[Tensor, "n"],
    test_z: Float[Tensor, "m d"],
    test_y: Int[Tensor, "m"],
    *,
    C: Scalar = 100.0,
) -> Float[Tensor, ""]:
    r"""Test accuracy of a multinomial logistic regression on frozen embeddings.

    .. math:: \min_{W, b} \; \tfrac12 \lVert W \rVert_F^2 - C \sum_i \log \operatorname{softmax}(W x_i + b)_{y_i}

    Rows are used as given, save that the training mean is taken away and all of them are divided by one number, the root
    mean square length of the centred training rows. So shift, scale, rotation and padding with zeros change nothing; a
    scaler for each column would not keep that, and would blow dead directions up.

    Args:
        train_z, train_y: what the probe is fitted on; at least two classes.
        test_z, test_y: what it is measured on.
        C: > 0, inverse strength of the penalty.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, integer embeddings, float labels, a single class, `C <= 0`.

    Source: Alain & Bengio 2016 (arXiv 1610.01644) for the idea; scikit-learn's LogisticRegression (lbfgs).

    >>> z = torch.tensor([[1.0, 0.0], [0.8, 0.1], [0.0, 1.0], [0.1, 0.7]])
    >>> linear_probe(z, torch.tensor([0, 0, 1, 1]), z, torch.tensor([0, 0, 1, 1]))
    tensor(1.)
    """
    from sklearn.linear_model import LogisticRegression

    if train_y.unique().numel() < 2:
        raise ValueError("train_y holds a single class: a probe needs two")
    train, test = centred(train_z, test_z)
    probe = LogisticRegression(C=float(C), max_iter=5000).fit(train, train_y.cpu().numpy())
    return torch.tensor(probe.score(test, test_y.cpu().numpy()), dtype=train_z.dtype)


@meter(
    "1610.01644", oracle="sklearn.linear_model.LogisticRegression", raw=True, ranges=RANGES, invariant=frozenset({"rotation"})
)
def few_label_probe(
    train_z: Float[Tensor, "n d"],
    train_y: Int[Tensor, "n"],
    test_z: Float[Tensor, "m d"],
    test_y: Int[Tensor, "m"],
    *,
    per_class: int = 2,
    draws: int = 5,
    seed: int = 0,
    C: Scalar = 100.0,
) -> Float[Tensor, ""]:
    r"""`linear_probe` with only a few labels of each class, averaged over several draws of which ones.

    .. math:: \frac1R \sum_{r=1}^R \operatorname{accuracy} \big( \text{probe fitted on } S_r \big), \qquad |S_r \cap c| = m

    With all labels almost any features look good; with a few, those win whose classes are already together.

    Args:
        train_z, train_y: where the labelled rows are drawn from.
        test_z, test_y: what the probes are measured on.
        per_class: labels of each class.
        draws: how many sets of labelled rows.
        seed: of the draws; equal seeds give equal rows for equal labels, so that two models see the same ones.
        C: > 0, inverse strength of the penalty.

    Raises:
        ValueError, TypeError: as `linear_probe`; a class with fewer than `per_class` rows.

    Source: `linear_probe` of labkit on seeded subsets.

    >>> z = torch.cat([torch.eye(2), torch.eye(2)])
    >>> few_label_probe(z, torch.tensor([0, 1, 0, 1]), z, torch.tensor([0, 1, 0, 1]), per_class=1)
    tensor(1.)
    """
    picks = [few_labels(train_y, per_class, seed=seed, draw=i) for i in range(draws)]
    scores = [linear_probe(train_z[rows], train_y[rows], test_z, test_y, C=C) for rows in picks]
    return torch.stack(scores).mean()


def few_labels(labels: Int[Tensor, "n"], per_class: int, *, seed: int = 0, draw: int = 0) -> Int[Tensor, "m"]:
    """Row numbers of `per_class` randomly drawn rows of every class.

    Raises:
        ValueError: a class has fewer rows than that.

    >>> few_labels(torch.tensor([5, 7, 5, 7]), 2)
    tensor([0, 2, 1, 3])
    """
    order = torch.from_numpy(np.random.default_rng([seed, draw]).permutation(len(labels))).to(labels.device)
    picks = []
    for c in labels.unique():
        mine = order[labels[order] == c]
        if len(mine) < per_class:
            raise ValueError(f"per_class is {per_class}, but class {int(c)} has {len(mine)} rows")
        picks.append(mine[:per_class].sort().values)
    return torch.cat(picks)


def centred(train: Tensor, test: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Both without the training mean and over one length, as float64 arrays."""
    mean = train.double().mean(0)
    train, test = train.double() - mean, test.double() - mean
    length = train.square().sum(1).mean().sqrt().clamp(min=torch.finfo(train.dtype).tiny)
    return (train / length).cpu().numpy(), (test / length).cpu().numpy()


@meter("1511.06335", oracle="sklearn.cluster.KMeans", ranges={"seed": "[0, inf)"}, invariant=frozenset({"scale"}))
def clustering_accuracy(z: Float[Tensor, "n d"], labels: Int[Tensor, "n"], *, seed: int = 0) -> Float[Tensor, ""]:
    r"""The share of rows in the right cluster, after k-means clusters are matched with classes as well as they can be.

    .. math:: \max_\pi \frac1n \sum_i [y_i = \pi(c_i)], \qquad \pi \text{ one-to-one}

    Args:
        z: embeddings; L2-normalised inside.
        labels: classes; their number is the number of clusters.
        seed: of k-means (ten starts, the best kept).

    Raises:
        ValueError, TypeError: shapes that differ, a row of zeros, NaN, integer embeddings, float labels.

    Source: Xie et al. 2015 (arXiv 1511.06335), by scipy's `linear_sum_assignment`.

    >>> clustering_accuracy(torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]]), torch.tensor([3, 3, 1]))
    tensor(1.)
    """
    from scipy.optimize import linear_sum_assignment
    from sklearn.metrics.cluster import contingency_matrix

    table = contingency_matrix(labels.cpu().numpy(), clusters(z, labels, seed))
    return torch.tensor(table[linear_sum_assignment(-table)].sum() / len(z), dtype=z.dtype)


@meter("1807.05520", oracle="sklearn.metrics.normalized_mutual_info_score", invariant=frozenset({"scale"}))
def clustering_nmi(z: Float[Tensor, "n d"], labels: Int[Tensor, "n"], *, seed: int = 0) -> Float[Tensor, ""]:
    r"""Mutual information of k-means clusters and classes, over the mean of their entropies: 1 is a perfect match.

    .. math:: \frac{2 \, I(c; y)}{H(c) + H(y)}

    Args:
        z: embeddings; L2-normalised inside.
        labels: classes; their number is the number of clusters.
        seed: of k-means (ten starts, the best kept).

    Raises:
        ValueError, TypeError: shapes that differ, a row of zeros, NaN, integer embeddings, float labels.

    Source: Caron et al. 2018 (arXiv 1807.05520), who divide by the geometric mean of the entropies;
    scikit-learn's arithmetic mean is used here.

    >>> clustering_nmi(torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]]), torch.tensor([3, 3, 1]))
    tensor(1.)
    """
    from sklearn.metrics import normalized_mutual_info_score

    return torch.tensor(normalized_mutual_info_score(labels.cpu().numpy(), clusters(z, labels, seed)), dtype=z.dtype)


def clusters(z: Tensor, labels: Tensor, seed: int) -> np.ndarray:
    """k-means on the unit rows, as many clusters as there are classes."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    points, count = unit(z.double()).cpu().numpy(), labels.unique().numel()
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ConvergenceWarning
        )  # fewer different points than classes: collapsed, and worth a number
        return KMeans(count, n_init=10, random_state=seed).fit_predict(points)
