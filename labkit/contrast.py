"""The primitive behind nearly every contrastive objective: what an anchor is compared with, minus its positives."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from labkit import gather
from labkit.checks import Reduction, Scalar
from labkit.directions import unit
from labkit.energy import log_mean_potential, with_heights
from labkit.tiled import Kinship, Recognised, Tiles, in_tiles, log_partitions, softplus_sums, whole_partitions


def reduce(loss: Tensor, reduction: Reduction) -> Tensor:
    if gather.active():
        return gather.reduced(loss, reduction)
    return loss if reduction == "none" else loss.mean() if reduction == "mean" else loss.sum()


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


def partitions(
    a: Float[Tensor, "n d"],
    b: Float[Tensor, "m d"] | None = None,
    *,
    temperature: Scalar,
    skip: tuple[int, ...] = (),
    ids: Int[Tensor, "n"] | None = None,
    apart: bool = False,
    block_size: int | None = None,
) -> tuple[Float[Tensor, "n"], Float[Tensor, "m"]]:
    """`log sum_j exp(a_i . b_j / temperature)` of every row, and `log sum_i exp(a_i . b_j / temperature)` of every column.

    Without `b` the rows of `a` are compared among themselves. The logits are made in tiles where they are many.

    Args:
        skip: row i is not compared with columns `i + s` modulo m, for every s of these: 0 is itself, n its partner.
        ids: without `b`, ascending: only rows with the same id are compared, or with `apart` those with another; -inf where
            there are none.
        block_size: rows and columns of a tile; None takes all at once up to 2^20 logits. The tiles have no second derivative.
    """
    size, made = in_tiles(len(a), len(a if b is None else b), a, block_size), log_partitions
    if gather.active():
        size, made = size or whole(a, b), gather.log_partitions
    x, y = sharpened(a, b, temperature)
    if size is None:
        size, made = whole(a, b), whole_partitions
    return made(x, y, Tiles(size, skip, ids, apart=apart))


def parted(
    x: Float[Tensor, "n d"], ids: Int[Tensor, "n"], *, like: Tensor, block_size: int | None = None
) -> tuple[Float[Tensor, "n"], Float[Tensor, "n"]]:
    """The log-partition of each row over the others with the same id, and over those with another; `ids` ascend.

    Rows in float64, whose products are logits. Those with another id are compared in the precision of `like`, and off the
    CPU, whose float64 can be slow, all of them.
    """
    rough = x.to(like.dtype)
    others, _ = partitions(rough, temperature=1, ids=ids, apart=True, block_size=block_size)
    near = x if x.device.type == "cpu" else rough
    return partitions(near, temperature=1, skip=(0,), ids=ids, block_size=block_size)[0], others


def against_others(
    u: Float[Tensor, "n d"], v: Float[Tensor, "n d"], *, temperature: Scalar, block_size: int | None = None
) -> Float[Tensor, "2n"]:
    """The log-partition of each unit row of two views over all that are neither itself nor its partner, `u`'s rows first."""
    return partitions(torch.cat([u, v]), temperature=temperature, skip=(0, len(u)), block_size=block_size)[0]


def potential(z: Float[Tensor, "n d"], t: Scalar, *, block_size: int | None = None) -> Float[Tensor, ""]:
    """`log mean_{i<j} exp(-t ||z_i - z_j||^2)`, over all processes' rows inside `across()`."""
    if not gather.active():
        return log_mean_potential(z, t, block_size=block_size)
    n = many(z)
    rows, _ = partitions(*with_heights(z * (2 * t) ** 0.5), temperature=1.0, skip=(0,), block_size=block_size)
    return everyone(rows).logsumexp(0) - math.log(n * (n - 1))


def yes_or_no(
    a: Float[Tensor, "n d"], b: Float[Tensor, "n d"], *, temperature: Scalar, bias: Scalar, block_size: int | None = None
) -> tuple[Float[Tensor, "n"], Float[Tensor, "n"]]:
    """`sum_{j != i} log(1 + exp(a_i . b_j / temperature + bias))` of every row, and of every column: pairs that are none."""
    size, made = in_tiles(len(a), len(b), a, block_size), softplus_sums
    if gather.active():
        size, made = size or whole(a, b), gather.softplus_sums
    if size is None:
        logits = a @ b.T / temperature + bias
        losses = (-F.logsigmoid(-logits)).masked_fill(~who_counts(logits, (0,)), 0.0)
        return losses.sum(1), losses.sum(0)
    one = a.new_ones(len(a), 1)
    return made(torch.cat([a / temperature, bias * one], 1), torch.cat([b, one], 1), Tiles(size, (0,)))


def recognised_among(
    own: Float[Tensor, "n"],
    a: Float[Tensor, "n d"],
    b: Float[Tensor, "m d"],
    *,
    temperature: Scalar,
    skip: tuple[int, ...] = (),
    block_size: int | None = None,
) -> Float[Tensor, "n"]:
    """`recognised`, of each row of `a` among the rows of `b`."""
    size = in_tiles(len(a), len(b), a, block_size)
    if size is not None and a.device.type == "cpu" and not gather.active():
        return Recognised.apply(*sharpened(a, b, temperature), own, Tiles(size, skip))
    return recognised(own, partitions(a, b, temperature=temperature, skip=skip, block_size=block_size)[0])


def recognised(positive: Float[Tensor, "n"], others: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
    """`log(e^positive + e^others) - positive`, exact also where the positive is nearly certain."""
    return -F.logsigmoid(positive - others)


def everyone(x: Float[Tensor, "n"]) -> Float[Tensor, "N"]:
    """One number for each row: those of all processes, inside `gather.across`."""
    return gather.rows(x, group.group) if (group := gather.active()) else x


def many(x: Tensor) -> int:
    """How many rows there are, in all processes."""
    return sum(gather.sizes(x, group)) if (group := gather.active()) else len(x)


def numbered(x: Tensor) -> Int[Tensor, "n"]:
    """A number for each row, no two the same in all processes."""
    before = sum(gather.sizes(x, group)[: group.rank]) if (group := gather.active()) else 0
    return torch.arange(before, before + len(x), device=x.device)


def kinship(x: Float[Tensor, "n d"], ids: Int[Tensor, "n"]) -> tuple[Float[Tensor, "n"], Float[Tensor, "n"]]:
    """For every row the sum of its products with the rows that have the same id, itself among them, and how many they are."""
    if gather.active():
        found = gather.alike(torch.cat([x, x.new_ones(len(x), 1)], 1), ids)
        return torch.linalg.vecdot(x, found[:, :-1]), found[:, -1].detach()
    mine = ids.unique(return_inverse=True)[1]
    return Kinship.apply(x, mine), torch.bincount(mine)[mine].to(x.dtype)


def whole(a: Tensor, b: Tensor | None) -> int:
    """The size of one tile that holds all."""
    return max(len(a), 0 if b is None else len(b), 1)


def sharpened(a: Tensor, b: Tensor | None, temperature: Scalar) -> tuple[Tensor, Tensor | None]:
    """Rows whose products are logits: autograd then carries the gradient on to the temperature."""
    if not isinstance(temperature, Tensor) and temperature == 1:
        return a, b
    return (a * temperature**-0.5, None) if b is None else (a / temperature, b)


def who_counts(logits: Float[Tensor, "n m"], skip: tuple[int, ...], ids: Tensor | None = None) -> Bool[Tensor, "n m"]:
    """Pairs that are compared: not those with columns `i + s`, and only those with the same id."""
    n, m = logits.shape
    me, column = torch.arange(n, device=logits.device)[:, None], torch.arange(m, device=logits.device)
    counted = torch.ones_like(logits, dtype=torch.bool) if ids is None else ids[:, None] == ids
    for offset in skip:
        counted = counted & (column != (me + offset) % m)
    return counted


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
