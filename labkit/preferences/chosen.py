"""The words that were said, among all that could have been: log-probabilities from many logits, a part of them at a time."""

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from labkit.tiled import once

PART = 2**20  # logits at a time: 4 MiB, which a processor's cache holds
ON_GPU = 2**26  # the same there, where every part has to be started: 256 MiB
ONCE = (
    "log-probabilities of this many logits have no second derivative; ask for fewer sequences at a time, or write "
    "logits.log_softmax(-1).gather(-1, ids)"
)


class Chosen(torch.autograd.Function):
    """`plain_chosen`, of which the backward pass keeps nothing but the logits, and writes their gradient once."""

    @staticmethod
    def forward(
        ctx: Any, logits: Float[Tensor, "n t v"], ids: Int[Tensor, "n t"], marked: Bool[Tensor, "n t"]
    ) -> Float[Tensor, "n t"]:
        ctx.save_for_backward(logits, ids, marked)
        found, buffer = logits.new_zeros(ids.shape), rows_of_a_part(logits)
        for part, _ in parts(logits, marked):
            here = marked[part]
            logps = torch.log_softmax(rows(logits[part], here), -1, out=buffer[: int(here.sum())])
            found[part][here] = logps.gather(-1, ids[part][here][:, None]).squeeze(-1)
        return found

    @staticmethod
    def backward(ctx: Any, *given: Tensor) -> tuple[Tensor | None, ...]:
        """`given (onehot - softmax)`, 0 where nothing is marked."""
        logits, ids, marked = (x.detach() for x in ctx.saved_tensors)
        slope = logits.new_empty(logits.shape)
        done, buffer = torch.zeros_like(marked), rows_of_a_part(logits)
        for part, all_of_it in parts(logits, marked):
            here, out = marked[part], slope[part].flatten(0, 1)
            target = out if all_of_it else buffer[: int(here.sum())]
            g, said = given[0].detach()[part][here][:, None], ids[part][here][:, None]
            torch.softmax(rows(logits[part], here), -1, out=target).mul_(-g).scatter_add_(-1, said, g)
            if not all_of_it:
                out.zero_()[here.flatten()] = target
            done[part] = True
        if not done.all():
            slope[~done] = 0.0
        return *once(slope, why=ONCE), None, None


def plain_chosen(logits: Float[Tensor, "n t v"], ids: Int[Tensor, "n t"], marked: Bool[Tensor, "n t"]) -> Float[Tensor, "n t"]:
    """`log_softmax(logits)` of `ids` where they are marked, 0 elsewhere: the chosen logit minus the log-partition."""
    chosen = logits.gather(-1, ids[..., None]).squeeze(-1)
    return (chosen - logits.logsumexp(-1)).masked_fill(~marked, 0.0)


def parts(logits: Tensor, marked: Tensor) -> Iterator[tuple[tuple[slice, slice], bool]]:
    """Some sequences, or some places of one, at a time, if anything is marked there; and whether everything is."""
    (n, t, _), places = logits.shape, at_a_time(logits)
    some, marks = max(1, places // t), marked.cpu()
    for i in range(0, n, some):
        for j in range(0, t, places):
            part = slice(i, i + some), slice(j, j + places)
            if marks[part].any():
                yield part, bool(marks[part].all())


def at_a_time(logits: Float[Tensor, "n t v"]) -> int:
    """How many places."""
    return max(1, (PART if logits.device.type == "cpu" else ON_GPU) // logits.shape[-1])


def rows_of_a_part(logits: Float[Tensor, "n t v"]) -> Float[Tensor, "rows v"]:
    n, t, v = logits.shape
    return logits.new_empty(min(n * t, at_a_time(logits)), v)


def rows(part: Float[Tensor, "k s v"], marked: Bool[Tensor, "k s"]) -> Float[Tensor, "rows v"]:
    """The marked ones, without a copy if all are."""
    return part.flatten(0, 1) if marked.all() else part[marked]
