"""What two answers look like beside each other, and which of their tokens made the margin."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from labkit.registry import checked, meter

Mask = Bool[Tensor, "n t"] | Int[Tensor, "n t"]


@meter("2410.08847", unit="pair", invariant=frozenset(), sizes={"n": 1})
def edit_distance(
    chosen: Int[Tensor, "n t"],
    rejected: Int[Tensor, "n s"],
    chosen_mask: Mask,
    rejected_mask: Bool[Tensor, "n s"] | Int[Tensor, "n s"],
) -> Float[Tensor, "n"]:
    r"""How many tokens must be changed to turn one answer into the other, as a share of the longer one.

    .. math:: \frac{\mathrm{Levenshtein}(y^+, y^-)}{\max(|y^+|, |y^-|)}

    0 for equal answers, 1 for answers without a common token in order. Near-duplicates are the pairs to look at first.

    Args:
        chosen, rejected: token ids, prompt and padding included.
        chosen_mask, rejected_mask: True (or 1) at the answers' tokens.

    Raises:
        ValueError, TypeError: shapes that differ, fractions, a row without a marked token.

    Source: Levenshtein 1966; a baseline beside CHES in the code of Razin et al. 2024 (arXiv 2410.08847).

    >>> chosen, rejected, one = torch.tensor([[5, 6, 7]]), torch.tensor([[5, 7]]), torch.ones(1, 3)
    >>> edit_distance(chosen, rejected, one.bool(), one[:, :2].bool())
    tensor([0.3333])
    """
    sides = [
        answer(ids, mask, name) for ids, mask, name in ((chosen, chosen_mask, "chosen"), (rejected, rejected_mask, "rejected"))
    ]
    shares = [levenshtein(a, b) / max(len(a), len(b)) for a, b in zip(*sides, strict=True)]
    return torch.tensor(shares, device=chosen.device)


def answer(ids: Tensor, mask: Tensor, name: str) -> list[list[int]]:
    rows = [row[marked].tolist() for row, marked in zip(ids, mask.bool(), strict=True)]
    empty = [i for i, row in enumerate(rows) if not row]
    if empty:
        raise ValueError(f"{name}_mask marks no token in row {empty[0]}")
    return rows


def levenshtein(a: list[int], b: list[int]) -> int:
    """Insertions, deletions and replacements; one row of the table at a time."""
    above = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row = [i]
        for j, y in enumerate(b, 1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (x != y)))
        above = row
    return above[-1]


Lengths = Float[Tensor, "n"] | Int[Tensor, "n"]


@checked(sizes={"n": 1})
def length_gap(chosen_lengths: Lengths, rejected_lengths: Lengths) -> Lengths:
    """How many tokens the chosen answers are longer by: summed log-probabilities compare answers of one length only.

    >>> length_gap(torch.tensor([5, 3]), torch.tensor([3, 7]))
    tensor([ 2, -4])
    """
    return chosen_lengths - rejected_lengths


class Attribution(NamedTuple):
    """Nats that each token adds to the margin; all of them together are the margin."""

    chosen: Float[Tensor, "n t"]
    rejected: Float[Tensor, "n s"]


@checked()
def token_attribution(
    chosen_token_logps: Float[Tensor, "n t"],
    rejected_token_logps: Float[Tensor, "n s"],
    ref_chosen_token_logps: Float[Tensor, "n t"],
    ref_rejected_token_logps: Float[Tensor, "n s"],
) -> Attribution:
    """Which tokens made the margin: what each chosen token gained over the reference, what each rejected one lost.

    Takes what `preferences.token_logps` returns, 0 at the prompt. The two sums over all tokens add up to the margin, exactly:
    a chosen token below 0 was displaced.

    >>> now, then = torch.tensor([[0.0, -1.0, -3.0]]), torch.tensor([[0.0, -2.0, -1.0]])
    >>> token_attribution(now, now[:, :2], then, then[:, :2])
    Attribution(chosen=tensor([[ 0.,  1., -2.]]), rejected=tensor([[ 0., -1.]]))
    """
    return Attribution(chosen_token_logps - ref_chosen_token_logps, ref_rejected_token_logps - rejected_token_logps)
