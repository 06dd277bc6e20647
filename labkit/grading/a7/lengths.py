"""Sum or mean over tokens: what changes on pairs of unequal lengths, counted on a set of one's own."""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from labkit.grading.a7.inputs import agrees
from labkit.grading.compare import numbers
from labkit.grading.draw import Draw, given, givens
from labkit.grading.exercise import Case, Mistake, exercise

PAIRS, LONGEST = 12, 24


@givens("a7")
def gave(draw: Draw) -> dict[str, Any]:
    """Pairs as a model scored them, token by token: prompts and padding have numbers as well."""
    while True:
        chosen, rejected = spoken(draw), spoken(draw)
        right, flat, lost = (counted(*chosen, *rejected, **switch) for switch in ({}, {"unmasked": True}, {"listed": "lost"}))
        sums, means, flipped = right.values()
        apart = all(right[key] != flat[key] for key in right) and sums != means and 0.5 not in (sums, means) and sums > 0.5
        if apart and 3 <= len(flipped) <= 6 and 0 < len(lost["flipped"]) < len(flipped):
            names = ("chosen_tokens", "chosen_mask", "rejected_tokens", "rejected_mask")
            return dict(zip(names, (*chosen, *rejected), strict=True)) | {"beta": draw.pick((0.05, 0.1, 0.2))}


def spoken(draw: Draw) -> tuple[Tensor, Tensor]:
    """Log-probabilities `(pairs, tokens)` and the mask of the answers, of 2 to 18 tokens, after prompts of 2 to 4."""
    tokens = -draw.rows(PAIRS, LONGEST).abs() - 0.3
    tokens = (
        tokens * torch.tensor([draw.numbers(0.6, 1.6) for _ in range(PAIRS)])[:, None]
    )  # some answers are likelier throughout
    first = torch.tensor([draw.integer(2, 4) for _ in range(PAIRS)])[:, None]
    length = torch.tensor([draw.integer(2, 18) for _ in range(PAIRS)])[:, None]
    place = torch.arange(LONGEST)
    return tokens, (place >= first) & (place < first + length)


def counted(
    chosen_tokens: Tensor,
    chosen_mask: Tensor,
    rejected_tokens: Tensor,
    rejected_mask: Tensor,
    *,
    unmasked: bool = False,
    divided: str = "",
    swapped: bool = False,
    listed: str = "",
) -> dict[str, Any]:
    """The right answer, and every usual mistake, each behind a switch."""
    sums, means = [], []
    for tokens, mask in ((chosen_tokens, chosen_mask), (rejected_tokens, rejected_mask)):
        mask = torch.ones_like(mask) if unmasked else mask
        sums.append((tokens * mask).sum(-1))
        means.append(sums[-1] / (mask.shape[-1] if divided == "by all places" else mask.sum(-1)))
    by_sum, by_mean = (x[1] > x[0] if swapped else x[0] > x[1] for x in (sums, means))
    changed = by_sum == by_mean if listed == "kept" else by_sum & ~by_mean if listed == "lost" else by_sum != by_mean
    flipped = [int(k) + (listed == "from one") for k in changed.nonzero().flatten()]
    return {"by_sum": by_sum.double().mean().item(), "by_mean": by_mean.double().mean().item(), "flipped": flipped}


def cases(draw: Draw) -> list[Case]:
    right = answered(draw.variant)

    def flips(got: Any) -> bool | str:
        found = numbers(got.get("flipped")) if isinstance(got, dict) else None
        if found is None or found.ndim > 1:
            return "'flipped' should be a list of the numbers of pairs"
        pairs = sorted(found.flatten().tolist())
        return pairs == right["flipped"] or f"'flipped' names {len(pairs)} pairs, and these are not the ones"

    shares = [Case(part, {}, accepts=agrees(right, key)) for part, key in (("by sum", "by_sum"), ("by mean", "by_mean"))]
    return [*shares, Case("flipped", {}, accepts=flips)]


def answered(variant: str, **switches: Any) -> dict[str, Any]:
    mine = given("a7", variant)
    return counted(mine.chosen_tokens, mine.chosen_mask, mine.rejected_tokens, mine.rejected_mask, **switches)


MISTAKES = (
    Mistake(
        "prompt-and-pads-counted",
        "your numbers count prompts and padding: they are no part of the answers",
        (
            "Which places of your tensors belong to answers?",
            "Add 100 to the numbers under the padding. What becomes of your shares?",
            "Every place outside an answer has a number as well, and it must not enter.",
        ),
        (partial(answered, unmasked=True),),
        ("by sum", "by mean", "flipped"),
        32,
    ),
    Mistake(
        "divided-by-the-same",
        "you divide all answers by the same length: then a mean ranks exactly as a sum does",
        (
            "By what do you divide, and is it the same number for every answer?",
            "Dividing both sides of a comparison by one positive number changes nothing. Does your mean change anything?",
            "Each answer has its own number of tokens. Its mask knows how many.",
        ),
        (partial(answered, divided="by all places"),),
        ("by mean", "flipped"),
        33,
    ),
    Mistake(
        "swapped",
        "your shares count the pairs that are ranked wrongly",
        (
            "When is a pair ranked rightly?",
            "Is the chosen answer the larger or the smaller one in the pairs that you count?",
            "Turn the comparison round.",
        ),
        (partial(answered, swapped=True),),
        ("by sum", "by mean"),
        35,
    ),
    Mistake(
        "flipped-from-one",
        "your list counts pairs from one: the first pair is number 0",
        (
            "Which number has the first pair?",
            "Look the pairs of your list up in the tensors. Do their orders differ?",
            "Rows are counted as everywhere in Python.",
        ),
        (partial(answered, listed="from one"),),
        ("flipped",),
    ),
    Mistake(
        "flipped-inside-out",
        "your list does not hold the pairs whose order changes: it holds those that keep it, or only one of the two directions",
        (
            "In which two ways can sum and mean disagree about a pair?",
            "Take one pair of your list. Which answer wins by the sum, which by the mean?",
            "A pair belongs to the list when exactly one of the two ways ranks it rightly.",
        ),
        (partial(answered, listed="kept"), partial(answered, listed="lost")),
        ("flipped",),
    ),
)


@exercise("a7.lengths", parts={"by sum": 1, "by mean": 1, "flipped": 2}, cases=cases, mistakes=MISTAKES)
def lengths(variant: str) -> dict[str, Any]:
    """Of your own pairs: the shares ranked rightly by summed and by mean log-probability, and where the two disagree."""
    return answered(variant)
