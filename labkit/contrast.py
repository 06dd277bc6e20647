"""The primitive behind nearly every contrastive objective: what an anchor is compared with, minus its positives."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from labkit.checks import Reduction


def reduce(loss: Tensor, reduction: Reduction) -> Tensor:
    return loss if reduction == "none" else loss.mean() if reduction == "mean" else loss.sum()


def unit(z: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
    """Rows of length one."""
    tiny = torch.finfo(z.dtype).tiny
    largest = z.detach().abs().amax(-1, keepdim=True).clamp(min=tiny)  # so that no square over- or underflows
    return F.normalize(z / largest, dim=-1, eps=tiny)


def log_partition(logits: Float[Tensor, "*n m"], weights: Tensor) -> Float[Tensor, "*n 1"]:
    """What each anchor is compared with, as a column: `log sum_j w_ij exp(L_ij)`.

    `weights` is a mask, or LOG-weights. Never weights themselves: log(0) has a NaN gradient.
    """
    chosen = logits.masked_fill(~weights, -math.inf) if weights.dtype == torch.bool else logits + weights
    return torch.logsumexp(chosen, dim=-1, keepdim=True)


def contrast(
    logits: Float[Tensor, "n m"],
    positives: Tensor,
    partition: Float[Tensor, "n _"],
    *,
    inside: bool = False,
    reduction: Reduction = "mean",
) -> Tensor:
    """The partition minus the positives, one value per anchor, reduced last.

    `sum_j P_ij (D_ij - L_ij)`, or with `inside=True` `D_i - log sum_j P_ij exp(L_ij)`. `positives` P is a mask or constants
    >= 0 and is used as given; `partition` D is a column, or one value per pair. Anchors without positives give 0.
    """
    if inside:
        paired = (positives > 0).any(-1, keepdim=True)
        weights = torch.where(paired, positives.to(logits.dtype).log(), 0.0)  # a row of log(0) alone has a NaN gradient
        loss = (partition - log_partition(logits, weights)).masked_fill(~paired, 0.0).squeeze(-1)
    else:
        loss = (positives * (partition - logits)).sum(-1)
    return reduce(loss, reduction)


def share(mask: Bool[Tensor, "n m"], like: Tensor) -> Float[Tensor, "n m"]:
    """Each row's marked entries share a weight of 1; a row without any stays 0."""
    mask = mask.to(like.dtype)
    return mask / mask.sum(-1, keepdim=True).clamp(min=1)


def off_diagonal(n: int, like: Tensor) -> Bool[Tensor, "n n"]:
    return ~torch.eye(n, dtype=torch.bool, device=like.device)


class Pairs(NamedTuple):
    """Anchors of two views against all 2n embeddings: cosines, who is the partner, who are the others (neither of the two)."""

    similarity: Float[Tensor, "m 2n"]
    partner: Bool[Tensor, "m 2n"]
    others: Bool[Tensor, "m 2n"]

    @property
    def positive(self) -> Float[Tensor, "m 1"]:
        """Each anchor's cosine to its partner, as a column."""
        return self.similarity[self.partner][:, None]


def two_views(z1: Float[Tensor, "n d"], z2: Float[Tensor, "n d"], anchors: slice = slice(None)) -> Pairs:
    """All pairs among two views, `z1`'s rows first; `anchors` picks a block of them."""
    z, n = unit(torch.cat([z1, z2])), len(z1)
    everyone = torch.arange(2 * n, device=z.device)
    mine = everyone[anchors, None]
    partner, itself = everyone == (mine + n) % (2 * n), everyone == mine
    return Pairs(z[anchors] @ z.T, partner, ~(itself | partner))
