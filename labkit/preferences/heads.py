"""From a policy's last hidden states to the log-probability of what it answered: the logits are never all there."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from labkit.preferences.chosen import plain_chosen
from labkit.preferences.logps import asked
from labkit.registry import checked
from labkit.tiled import in_tiles, once

BASE = math.log2(math.e)  # exponentials are taken to the base 2, in a third of the time


@checked(sizes={"t": 2, "v": 2}, ranges={"softcap": "(0, inf)"})
def head_logps(
    hidden: Float[Tensor, "n t d"],
    head: Float[Tensor, "v d"],
    labels: Int[Tensor, "n t"],
    mask: Bool[Tensor, "n t"] | Int[Tensor, "n t"],
    *,
    bias: Float[Tensor, "v"] | None = None,
    temperature: float = 1.0,
    softcap: float | None = None,
    average: bool = False,
    block_size: int | None = None,
) -> Float[Tensor, "n"]:
    r"""`sequence_logps` of the logits that a head makes of hidden states, without the logits.

    .. math:: \sum_{t:\, m_{t+1} = 1} \log \mathrm{softmax}(\ell_t)_{y_{t+1}}, \qquad
        \ell_t = c \tanh \big( (W h_t + b) / c \big) / \tau

    With a vocabulary of 32,000 the logits of a batch are a hundred times as large as its hidden states. Here a tile of them is
    made at a time, for marked places only, and made again for the gradients of `hidden`, `head` and `bias`.

    Args:
        hidden: what the head reads, after the last norm; `hidden[:, t]` predicts `labels[:, t + 1]`.
        head: the unembedding, one row for each word.
        labels, mask: as in `sequence_logps`.
        bias: added to the logits.
        temperature: > 0, divides the logits at last.
        softcap: c > 0, as some models bound their logits; None does not.
        average: divide by the number of counted tokens.
        block_size: places and words of a tile; None makes up to 2^20 logits at once, and tiles of 2,048 above, which have
            no second derivative.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, a row without a marked token after position 0, a marked id outside
            the vocabulary.

    Source: `sequence_logps`, by blocks as in Wijmans et al. 2024 (arXiv 2411.09009) and in liger-kernel.

    >>> hidden, head = torch.zeros(1, 4, 2), torch.ones(8, 2)       # every token has probability 1/8
    >>> labels, mask = torch.tensor([[5, 3, 1, 0]]), torch.tensor([[False, True, True, False]])
    >>> head_logps(hidden, head, labels, mask)                      # 2 log(1/8)
    tensor([-4.1589])
    """
    ids, marked = asked(labels, mask, len(head))
    temperature = float(temperature)
    states, said = hidden[marked.roll(-1, 1)] / temperature, ids[marked]
    bias = None if bias is None else bias / temperature
    softcap = None if softcap is None else float(softcap) / temperature
    size = in_tiles(len(states), len(head), states, block_size)
    if size is None:
        logits = capped(states @ head.T if bias is None else torch.addmm(bias, states, head.T), softcap)
        found = plain_chosen(logits[None], said[None], torch.ones_like(said[None], dtype=torch.bool))[0]
    else:
        size = size if block_size else 2 * size  # nothing here is symmetric, and threads wait for each other at every tile
        found = Headed.apply(states, head, bias, said, Cut(size, softcap))
    logps = found.new_zeros(marked.shape).masked_scatter(marked, found).sum(-1)
    return logps / marked.sum(-1) if average else logps


def capped(logits: Tensor, softcap: float | None) -> Tensor:
    return logits if softcap is None else softcap * torch.tanh(logits / softcap)


class Cut(NamedTuple):
    """How the logits are gone through: places and words of a tile, and the cap on them."""

    size: int
    softcap: float | None = None

    def over(self, states: Tensor, head: Tensor, bias: Tensor | None) -> Iterator[tuple[slice, slice, Tensor]]:
        """Places, words and logits of every tile, to the base 2, in one buffer."""
        buffer = states.new_empty(min(self.size, len(states)) * min(self.size, len(head)))
        for i in range(0, len(states), self.size):
            for j in range(0, len(head), self.size):
                r, c = slice(i, min(i + self.size, len(states))), slice(j, min(j + self.size, len(head)))
                tile = buffer[: (r.stop - i) * (c.stop - j)].view(r.stop - i, c.stop - j)
                torch.addmm(tile, states[r], head[c].T, beta=0, alpha=BASE, out=tile)
                yield r, c, tile if bias is None else tile.add_(bias[c], alpha=BASE)

    def cap(self, tile: Tensor) -> Tensor | None:
        """The cap, in place; what its slope is."""
        if self.softcap is None:
            return None
        limit = BASE * self.softcap
        tile.div_(limit).tanh_()
        slope = 1 - tile.square()
        tile.mul_(limit)
        return slope


class Headed(torch.autograd.Function):
    """`log_softmax(states @ head.T + bias)` of the words said, in tiles, with an online maximum and a hand-written gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        states: Float[Tensor, "k d"],
        head: Float[Tensor, "v d"],
        bias: Tensor | None,
        said: Int[Tensor, "k"],
        cut: Cut,
    ) -> Float[Tensor, "k"]:
        own, total = (states.new_zeros(len(states), 1) for _ in range(2))
        top = states.new_full((len(states), 1), -torch.inf)
        for r, c, tile in cut.over(states, head, bias):
            cut.cap(tile)
            place, word = among(said[r], c)
            own[r][place, 0] = tile[place, word]
            higher = torch.maximum(top[r], tile.amax(1, keepdim=True))
            total[r] *= (top[r] - higher).exp2_()
            total[r] += tile.sub_(higher).exp2_().sum(1, keepdim=True)
            top[r] = higher
        ctx.save_for_backward(states, head, bias, said, top, total)
        ctx.cut = cut
        return (own - top - total.log2()).squeeze(1) / BASE

    @staticmethod
    def backward(ctx: Any, *given: Tensor) -> tuple[Tensor | None, ...]:
        """`given (onehot - softmax)` of every tile, times the head for `states`, and times `states` for the head."""
        saved: Any = (x if x is None else x.detach() for x in ctx.saved_tensors)
        states, head, bias, said, top, total = saved
        for_states, for_head, for_bias = (
            torch.zeros_like(x) if wanted else None
            for x, wanted in zip((states, head, bias), ctx.needs_input_grad[:3], strict=True)
        )
        share = -given[0].detach()[:, None] / total  # what an exponential of this row counts: put into the thin factors
        weighted = share * states
        for r, c, tile in ctx.cut.over(states, head, bias):
            bent = ctx.cut.cap(tile)
            tile.sub_(top[r]).exp2_()
            place, word = among(said[r], c)
            tile[place, word] -= total[r][place, 0]
            if bent is not None:
                tile.mul_(bent)
            if for_states is not None:
                for_states[r].addmm_(tile, head[c])
            if for_head is not None:
                for_head[c].addmm_(tile.T, weighted[r])
            if for_bias is not None:
                for_bias[c].addmv_(tile.T, share[r, 0])
        if for_states is not None:
            for_states *= share
        return *once(for_states, for_head, for_bias), None, None


def among(said: Int[Tensor, "k"], words: slice) -> tuple[Int[Tensor, "here"], Int[Tensor, "here"]]:
    """The places whose word is one of these, and which of these."""
    place = ((said >= words.start) & (said < words.stop)).nonzero().squeeze(1)
    return place, said[place] - words.start
