"""From a policy's logits to the log-probability of what it answered."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from labkit.checks import Scalar
from labkit.registry import checked

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

    Raises:
        ValueError, TypeError: shapes that differ, NaN, a row without a marked token after position 0, a marked id outside
            the vocabulary or of probability 0.

    Source: Rafailov et al. 2023 (arXiv 2305.18290), as `_get_batch_logps` of eric-mitchell/direct-preference-optimization.

    >>> logits = torch.zeros(1, 4, 8)                 # every token has probability 1/8
    >>> labels, mask = torch.tensor([[5, 3, 1, 0]]), torch.tensor([[False, True, True, False]])
    >>> sequence_logps(logits, labels, mask)          # 2 log(1/8)
    tensor([-4.1589])
    """
    marked = mask[:, 1:].bool()
    logps = token_logps(logits, labels, mask).sum(-1)
    return logps / marked.sum(-1) if average else logps


@checked(sizes={"t": 2, "v": 2}, ranges={"logits": "[-inf, inf)"})
def token_logps(
    logits: Float[Tensor, "n t v"], labels: Int[Tensor, "n t"], mask: Bool[Tensor, "n t"] | Int[Tensor, "n t"]
) -> Float[Tensor, "n t"]:
    """The log-probability of every marked token, in its own place; 0 at the others. `sequence_logps` adds them up."""
    logits, labels, marked = logits[:, :-1], labels[:, 1:], mask[:, 1:].bool()
    answered(labels, marked, logits.shape[-1])
    # the chosen logit minus the log-partition: no second tensor as large as the logits is kept for the backward pass
    chosen = logits.gather(-1, labels.masked_fill(~marked, 0).long()[..., None]).squeeze(-1)
    total = logits.logsumexp(-1)
    if torch.isneginf(chosen[marked]).any() or torch.isneginf(total).any():
        raise ValueError("logits are -inf at marked labels, or at all words: what is suppressed has no log-probability")
    return F.pad((chosen - total).masked_fill(~marked, 0.0), (1, 0))


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
