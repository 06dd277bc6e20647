"""What the meters say of one model, on the whole sample and on each of its halves: two profiles on the same halves are paired.

Almost every meter is a sum over rows or over pairs of rows, so that all halves are one product with the matrix that marks them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import linalg
from torch import Tensor

from labkit.directions import unit
from labkit.progress import bar

K = 10  # neighbours whose hubs are counted, and that two models may share
VOTERS, WARMTH = 20, 0.07  # of the kNN vote, as in `metrics.knn_accuracy`
KEPT = 64  # nearest rows that are remembered: about half of them are in any half of the sample
SPECTRA = 20  # halves whose spectrum is taken: it is the one meter that no product gives
Readings = dict[str, np.ndarray]  # meter -> its value on the whole sample, then on each half


@dataclass(frozen=True, eq=False)
class Marks:
    """`(n, 1 + b)`: which rows are in the whole sample (all), and in each of b halves."""

    on: Tensor

    @classmethod
    def of(cls, n: int, halves: Sequence[Tensor]) -> "Marks":
        on = torch.zeros(n, 1 + len(halves), dtype=torch.float64)
        on[:, 0] = 1
        for place, rows in enumerate(halves):
            on[rows, 1 + place] = 1
        return cls(on)

    @property
    def sizes(self) -> Tensor:
        return self.on.sum(0)

    @property
    def least(self) -> int:
        return int(self.sizes.min())

    def __len__(self) -> int:
        return len(self.on)

    def mean(self, rows: Tensor) -> Tensor:
        """Of one number (or row) for each row, its mean over each set: `(1 + b,)` or `(1 + b, d)`."""
        found = self.on.T @ rows
        return found / (self.sizes if rows.ndim == 1 else self.sizes[:, None])

    def pairs(self, matrix: Tensor) -> Tensor:
        """Of a number for each pair of rows, the sum over the pairs of each set."""
        return (self.on * (matrix @ self.on)).sum(0)

    def rows(self, place: int) -> Tensor:
        return self.on[:, place].nonzero().squeeze(1)


@dataclass(frozen=True, eq=False)
class Seen:
    """One set of embeddings as the meters see it: unit rows, their cosines, and who is nearest to whom."""

    u: Tensor
    gram: Tensor
    near: "Near"

    @classmethod
    def of(cls, z: Tensor, groups: Tensor | None = None) -> "Seen":
        u = unit(z)
        gram = u @ u.T
        return cls(u, gram, Near.of(gram, groups))


def alone(seen: Seen, marks: Marks, labels: Tensor | None = None, progress: bool = True) -> Readings:
    """Every meter of one set of embeddings, in the order in which they are read."""
    norms = torch.linalg.vector_norm(marks.mean(seen.u), dim=1)
    found = {"variance": 1 - norms.square(), "mean_norm": norms, **spectra(seen.u, marks, progress)}
    found["uniformity"] = even(seen.gram, marks)
    if marks.least > 2 * K:
        found["hubness"] = seen.near.hubs(marks)
    if labels is not None:
        found |= of_classes(seen, marks, labels)
    return {name: np.asarray(values, np.float64) for name, values in found.items()}


def paired(u1: Tensor, u2: Tensor, marks: Marks) -> Readings:
    """Every meter of two views or modalities of the same rows, where it is of one side with its name; none at two widths."""
    if u1.shape[1] != u2.shape[1]:
        return {}
    found = {
        "alignment": marks.mean((u1 - u2).square().sum(1)),
        "modality_gap": torch.linalg.vector_norm(marks.mean(u1 - u2), dim=1),
        "z1 among z2.retrieval": found_again(u1, u2, marks),
        "z2 among z1.retrieval": found_again(u2, u1, marks),
    }
    return {name: np.asarray(values, np.float64) for name, values in found.items()}


def even(gram: Tensor, marks: Marks, t: float = 2.0) -> Tensor:
    """Uniformity of each set."""
    potential = (2 * t * (gram.clamp(max=1) - 1)).exp_().fill_diagonal_(0)
    return (marks.pairs(potential) / (marks.sizes * (marks.sizes - 1))).log()


def spectra(u: Tensor, marks: Marks, progress: bool) -> dict[str, list[float]]:
    """Effective rank of the centred unit rows, and the share of their variance along the widest direction."""
    rank, top = [], []
    for place in bar(iterable=range(min(marks.on.shape[1], 1 + SPECTRA)), desc="spectra", disable=not progress):
        rows = u[marks.rows(place)]
        rows = rows - rows.mean(0)
        square = (rows.T @ rows if rows.shape[1] <= len(rows) else rows @ rows.T).numpy()
        variances = linalg.eigvalsh(square, check_finite=False)[::-1]
        variances = np.where(variances > 1e-14 * len(square) * max(variances[0], 0), variances, 0)
        sigma = np.sqrt(variances)
        p = sigma[sigma > 0] / max(sigma.sum(), np.finfo(float).tiny)
        alive = square.trace() > 1e-20 * len(rows)  # else what is left is how equal rows were rounded
        rank.append(float(np.exp(-(p * np.log(p)).sum())) if alive else 0.0)
        top.append(float(variances[0] / variances.sum()) if alive else 1.0)
    return {"effective_rank": rank, "top_share": top}


def found_again(u1: Tensor, u2: Tensor, marks: Marks) -> Tensor:
    """The share of rows of u1 whose own row of u2 is nearer than all others of the set."""
    cosines = u1 @ u2.T
    as_near = (cosines >= cosines.diagonal()[:, None] - 1e-12).double().fill_diagonal_(0)  # a tie is not found
    return (((as_near @ marks.on) == 0) * marks.on).sum(0) / marks.sizes


@dataclass(frozen=True, eq=False)
class Near:
    """The nearest rows of each row, the nearest first, and their cosines; rows of one group are never neighbours."""

    index: Tensor
    cosine: Tensor

    @classmethod
    def of(cls, gram: Tensor, groups: Tensor | None) -> "Near":
        itself = torch.eye(len(gram), dtype=torch.bool) if groups is None else groups[:, None] == groups
        cosine, index = gram.masked_fill(itself, -torch.inf).topk(min(KEPT, len(gram) - 1))
        return cls(index, cosine)

    def within(self, marks: Marks, place: int, k: int) -> tuple[Tensor, Tensor]:
        """Of the rows of a set `(m,)`, which of their remembered neighbours `(m, kept)` are its k nearest inside the set.

        About one row in 10^9 has fewer than ten of its 64 nearest in a half; it then has a neighbour less.
        """
        rows = marks.rows(place)
        inside = (marks.on[self.index[rows], place] > 0) & torch.isfinite(self.cosine[rows])
        return rows, inside & (inside.cumsum(1) <= k)

    def hubs(self, marks: Marks) -> list[float]:
        """How skewed the counts are of how often each row is among the K nearest of others."""
        found = []
        for place in range(marks.on.shape[1]):
            rows, chosen = self.within(marks, place, K)
            counts = torch.bincount(self.index[rows][chosen], minlength=len(marks))[rows].double()
            off = counts - counts.mean()
            spread = off.square().mean().sqrt()
            found.append(float((off**3).mean() / spread**3) if spread > 0 else 0.0)
        return found

    def votes(self, marks: Marks, classes: Tensor) -> list[float]:
        """The share of rows whose class their nearest vote for, each row left out of its own vote."""
        found, many = [], int(classes.max()) + 1
        for place in range(marks.on.shape[1]):
            rows, chosen = self.within(marks, place, VOTERS)
            cosine = self.cosine[rows].masked_fill(~chosen, -torch.inf)
            weights = ((cosine - cosine.amax(1, keepdim=True).clamp(min=-1)) / WARMTH).exp()
            votes = weights.new_zeros(len(rows), many).scatter_add_(1, classes[self.index[rows]], weights)
            found.append(float((votes.argmax(1) == classes[rows]).double().mean()))
        return found


def of_classes(seen: Seen, marks: Marks, labels: Tensor) -> Readings:
    """Tolerance and the kNN vote; nothing where there is a single class, or too few rows to vote."""
    known, classes = labels.unique(return_inverse=True)
    if len(known) < 2:
        return {}
    same = (classes[:, None] == classes).double().fill_diagonal_(0)
    pairs = marks.pairs(same)
    found: Readings = {}
    if bool((pairs > 0).all()):
        found["tolerance"] = (marks.pairs(same * seen.gram) / pairs).numpy()
    if marks.least > 2 * VOTERS:
        found["knn_accuracy"] = np.array(seen.near.votes(marks, classes))
    return found
