"""From a policy's logits to the log-probability of what it answered."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from labkit.checks import Scalar
from labkit.preferences.chosen import Chosen, plain_chosen
from labkit.registry import checked
from labkit.tiled import DENSE

Lengths = Float[Tensor, "n"] | Int[Tensor, "n"]


@checked(sizes={"t": 2, "v": 2}, ranges={"logits": "[-inf, inf)"})
def sequence_logps(
    logits: Float[Tensor, "n t v"],
    labels: Int[Tensor, "n t"],
    mask: Bool[Tensor, "n t"] | Int[Tensor, "n t"],
    *,
    average: bool = False,
) -> Float[Tensor, "n"]:
    r"""The log-probability of each response: the sum over its tokens, or their mean.

    .. math:: \sum_{t:\, m_{t+1} = 1} \log \mathrm{softmax}(\ell_t)_{y_{t+1}}

    Only marked tokens count, so the prompt and the padding may lie on either side and hold anything, -100 included. Nothing
    predicts the token at position 0, so it never counts.

    Args:
        logits: what the policy returns; `logits[:, t]` predicts `labels[:, t + 1]`. Half precision is computed in float32.
            Suppressed words may have -inf, but no marked label.
        labels: the token ids that went in, prompt, response and padding together.
        mask: True (or 1) at the response tokens of `labels`.
        average: divide by the number of counted tokens, as SimPO and ORPO need it.

    More than 2^20 logits are gone through in parts: one tensor of their size is made, their gradient, and none without one.
    They have no second derivative then. From hidden states, with no logits at all: `head_logps`.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, a row without a marked token after position 0, a marked id outside
            the vocabulary or of probability 0.

    Source: Rafailov et al. 2023 (arXiv 2305.18290), as `_get_batch_logps` of eric-mitchell/direct-preference-optimization.

    >>> logits = torch.zeros(1, 4, 8)                 # every token has probability 1/8
    >>> labels, mask = torch.tensor([[5, 3, 1, 0]]), torch.tensor([[False, True, True, False]])
    >>> sequence_logps(logits, labels, mask)          # 2 log(1/8)
    tensor([-4.1589])
    """
    logps = words(logits, labels, mask).sum(-1)
    return logps / mask[:, 1:].bool().sum(-1) if average else logps


@checked(sizes={"t": 2, "v": 2}, ranges={"logits": "[-inf, inf)"})
def token_logps(
    logits: Float[Tensor, "n t v"], labels: Int[Tensor, "n t"], mask: Bool[Tensor, "n t"] | Int[Tensor, "n t"]
) -> Float[Tensor, "n t"]:
    """The log-probability of every marked token, in its own place; 0 at the others. `sequence_logps` adds them up."""
    return words(logits, labels, mask)


def words(logits: Float[Tensor, "n t v"], labels: Int[Tensor, "n t"], mask: Tensor) -> Float[Tensor, "n t"]:
    """`token_logps` of checked arguments: few logits as anybody would write it, many in parts."""
    ids, marked = asked(labels, mask, logits.shape[-1])
    if logits.numel() <= DENSE:
        logps = plain_chosen(logits[:, :-1], ids[:, 1:], marked[:, 1:])
    else:  # `logits[:, t]` predicts `ids[:, t + 1]`; a slice of the logits would need a gradient as large once more
        logps = Chosen.apply(logits, ids.roll(-1, 1), marked.roll(-1, 1))[:, :-1]
    if not torch.isfinite(logps).all() or torch.isneginf(logits[:, :-1].detach().amax(-1)).any():
        raise ValueError("logits are -inf at marked labels, or at all words: what is suppressed has no log-probability")
    return F.pad(logps, (1, 0))


def asked(labels: Int[Tensor, "n t"], mask: Tensor, vocabulary: int) -> tuple[Int[Tensor, "n t"], Bool[Tensor, "n t"]]:
    """The ids at marked places, 0 elsewhere, and the places: nothing predicts the first."""
    marked = mask.bool().clone()
    marked[:, 0] = False
    answered(labels, marked, vocabulary)
    return labels.masked_fill(~marked, 0).long(), marked


def answered(labels: Int[Tensor, "n t"], marked: Bool[Tensor, "n t"], vocabulary: int) -> None:
    """Every row has something to score, and only ids that the logits know."""
    empty = (~marked.any(-1)).nonzero().flatten().tolist()
    if empty:
        raise ValueError(f"mask marks no response token after position 0 in row{'s' * (len(empty) > 1)} {empty[:5]}")
    ids = labels[marked]
    if ids.min() < 0 or ids.max() >= vocabulary:
        raise ValueError(f"labels at marked positions must be in [0, {vocabulary}), got {ids.min()} to {ids.max()}")


def per_token(logps: Float[Tensor, "n"], lengths: Tensor | None) -> Float[Tensor, "n"]:
    """Summed log-probabilities divided by the number of tokens, if that is given."""
    return logps if lengths is None else logps / lengths.to(logps)


def marked(mask: Tensor, name: str) -> Bool[Tensor, "n t"]:
    """The mask as one of True and False, if every row marks something."""
    empty = (~mask.bool().any(-1)).nonzero().flatten().tolist()
    if empty:
        raise ValueError(f"{name} marks no token in row{'s' * (len(empty) > 1)} {empty[:5]}")
    return mask.bool()


@checked(ranges={"gamma": "[0, 1]"})
def discounted_sum(
    token_logps: Float[Tensor, "n t"],
    mask: Bool[Tensor, "n t"] | Int[Tensor, "n t"],
    *,
    alpha: Scalar = 0.1,
    gamma: Scalar = 1.0,
) -> Float[Tensor, "n"]:
    r"""`alpha * sum_t gamma^t log pi_t` over the marked places, the first of which has t = 0: the advantage in `cpl`.

    >>> discounted_sum(torch.tensor([[-5.0, -1.0, -2.0]]), torch.tensor([[0, 1, 1]]), alpha=1.0, gamma=0.5)    # 1 + 2 / 2
    tensor([-2.])
    """
    tokens = marked(mask, "mask")
    steps = (tokens.cumsum(-1) - 1).clamp(min=0).to(token_logps)
    return (alpha * gamma**steps * token_logps).masked_fill(~tokens, 0.0).sum(-1)
