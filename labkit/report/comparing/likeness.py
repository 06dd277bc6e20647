"""How much two models have in common on the same rows: linear CKA and shared neighbours, on the sample and on its halves."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from labkit.report.comparing.profile import K, Marks, Near, Readings, Seen
from labkit.report.pieces import card

card(
    "linear_cka",
    "linear CKA",
    "geometry",
    means="Whether the same pairs of rows are alike in both: 1 where all their centred products agree up to one factor, about "
    "0 where nothing does.",
    implies_not="One wide direction that both share brings it near 1; it does not say that the two are equally good, nor that "
    "the near neighbours agree.",
    sources=("1905.00414", "2010.15327"),
)
card(
    "neighbour_overlap",
    "shared neighbours",
    "neighbours",
    means=f"Of a row's {K} nearest neighbours in one, the share that are among its {K} nearest in the other.",
    implies_not="It depends on n, so it compares at one n only; a low value does not say which of the two has the better "
    "neighbours.",
    sources=("2405.07987",),
)


@dataclass(frozen=True, eq=False)
class Kernel:
    """Centred products of rows without their diagonal, and their sums over each set: what the unbiased HSIC is made of."""

    k: Tensor
    sums: Tensor  # (n, 1 + b): of each row, over the rows of each set

    @classmethod
    def of(cls, gram: Tensor, marks: Marks) -> "Kernel":
        means = gram.mean(0)
        k = (gram - means - means[:, None] + means.mean()).fill_diagonal_(0)  # the set's own mean is taken away by `hsic`
        return cls(k, k @ marks.on)

    def shuffled(self, order: Tensor, marks: Marks) -> "Kernel":
        k = self.k[order][:, order]
        return Kernel(k, k @ marks.on)


def hsic(a: Kernel, b: Kernel, marks: Marks) -> Tensor:
    """The unbiased estimate on each set, times m (m - 3)."""
    on, m = marks.on, marks.sizes
    whole = (a.sums * on).sum(0) * (b.sums * on).sum(0) / ((m - 1) * (m - 2))
    return marks.pairs(a.k * b.k) + whole - 2 / (m - 2) * (a.sums * b.sums * on).sum(0)


def cka(a: Kernel, b: Kernel, marks: Marks) -> Tensor | None:
    """Linear CKA of each set; None where the rows of one are all alike."""
    own = hsic(a, a, marks), hsic(b, b, marks)
    if not all(bool((h > 1e-20 * marks.sizes.square()).all()) for h in own):
        return None
    return hsic(a, b, marks) / (own[0] * own[1]).sqrt()


def overlap(a: Near, b: Near, marks: Marks, k: int = K) -> list[float]:
    """The share of the k nearest that are the same, of each set."""
    found = []
    for place in range(marks.on.shape[1]):
        mine, other = (picked(each, marks, place, k, gap) for each, gap in ((a, -1), (b, -2)))
        found.append(float((mine[:, :, None] == other[:, None, :]).any(2).double().mean()))
    return found


def picked(near: Near, marks: Marks, place: int, k: int, gap: int) -> Tensor:
    """`(m, k)`: the k nearest rows inside the set, `gap` where a row has fewer."""
    rows, chosen = near.within(marks, place, k)
    first = chosen.byte().topk(min(k, chosen.shape[1]), sorted=False).indices
    return near.index[rows].masked_fill(~chosen, gap).gather(1, first)


def shuffled(near: Near, order: Tensor) -> Near:
    """The same neighbours after row `order[i]` took the place of row i."""
    back = torch.empty_like(order)
    back[order] = torch.arange(len(order))
    return replace(near, index=back[near.index[order]], cosine=near.cosine[order])


@dataclass(frozen=True, eq=False)
class Likeness:
    """What two models have in common, and what is left of it when the rows of one are shuffled."""

    found: Readings
    shuffled: Readings


def likeness(a: Seen, b: Seen, marks: Marks, *, seed: int) -> Likeness:
    """Both meters of two sets of embeddings of the same rows; a meter that cannot be read is left out."""
    order = torch.randperm(len(marks), generator=torch.Generator().manual_seed(seed))
    left, right = Kernel.of(a.gram, marks), Kernel.of(b.gram, marks)
    found = {"linear_cka": cka(left, right, marks)}
    null = {"linear_cka": cka(left, right.shuffled(order, marks), marks)}
    if marks.least > 2 * K:
        found["neighbour_overlap"] = torch.tensor(overlap(a.near, b.near, marks))
        null["neighbour_overlap"] = torch.tensor(overlap(a.near, shuffled(b.near, order), marks))
    kept = [{name: np.asarray(v) for name, v in each.items() if v is not None} for each in (found, null)]
    return Likeness(*kept)


def table(seen: dict[str, Tensor], rows: int = 1024) -> np.ndarray:
    """`(m, m)`: CKA of every two models on the first so many rows, for a picture; NaN where rows are all alike."""
    few = Marks.of(min(rows, len(next(iter(seen.values())))), [])
    kernels = [Kernel.of(u[: len(few)] @ u[: len(few)].T, few) for u in seen.values()]
    h = np.array([[float(hsic(a, b, few)[0]) for b in kernels] for a in kernels])
    own = np.where(np.diagonal(h) > 1e-20 * len(few) ** 2, np.diagonal(h), np.nan)
    return h / np.sqrt(own[:, None] * own)
