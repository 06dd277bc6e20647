"""What is left of the shares of the push at either end of the temperature."""

import math
from functools import partial

import torch
from torch import Tensor

from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise


def cases(draw: Draw) -> list[Case]:
    def table(ties: bool, close: bool = False) -> dict[str, Tensor]:
        """Cosines in steps of 1/16, all different in a row but for the ties; the highest candidate is no negative.

        If `close`, one negative lies just below the nearest: far enough to tell, too near for any small temperature.
        """
        n, m = 4, 9
        levels = torch.stack([torch.tensor(draw.permutation(15)[:m]) for _ in range(n)]).double() / 16 - 0.5
        negatives = torch.zeros(n, m, dtype=torch.bool)
        for row in range(n):
            order = levels[row].argsort(descending=True)
            count = (3, 4, 6, 8)[row]
            mine = order[1:][torch.tensor(draw.permutation(m - 1)[:count])]
            negatives[row, mine] = True
            mine = mine[levels[row, mine].argsort(descending=True)]
            equal = 2 + row % 2 if ties else 1
            levels[row, mine[:equal]] = levels[row, mine[0]].item()
            if close:
                levels[row, mine[equal]] = levels[row, mine[0]].item() - 1 / 1024
        return {"similarities": levels, "negatives": negatives}

    return [
        Case("cold", {**table(False), "towards": "zero"}, says="towards zero, all cosines different"),
        Case("cold", {**table(False, close=True), "towards": "zero"}, says="towards zero, two negatives nearly equally near"),
        Case("ties", {**table(True, close=True), "towards": "zero"}, says="towards zero, where several negatives are nearest"),
        Case("hot", {**table(False), "towards": "infinity"}, says="towards infinity"),
        Case("hot", {**table(True), "towards": "infinity"}, says="towards infinity"),
    ]


def nearly(similarities: Tensor, negatives: Tensor, towards: str, *, small: float, large: float) -> Tensor:
    """The shares at a small and at a large temperature, in place of the limits."""
    temperature = small if towards == "zero" else large
    return (similarities / temperature).masked_fill(~negatives, -math.inf).softmax(-1)


def flawed(
    similarities: Tensor,
    negatives: Tensor,
    towards: str,
    *,
    swapped: bool = False,
    first: bool = False,
    all_candidates: bool = False,
    unmasked: bool = False,
    farthest: bool = False,
    counted: bool = False,
    late: bool = False,
    over_all: bool = False,
    slack: float = 0.0,
) -> Tensor:
    """The limits with switches for what goes wrong."""
    cold = (towards == "zero") != swapped
    who = torch.ones_like(negatives) if (unmasked and cold) or (all_candidates and not cold) else negatives
    if not cold:
        return who.to(similarities.dtype) / (who.shape[-1] if over_all else who.sum(-1, keepdim=True))
    if farthest:
        similarities = -similarities
    s = similarities.masked_fill(~who, -math.inf)
    if first:
        return torch.nn.functional.one_hot(s.argmax(-1), s.shape[-1]).to(s.dtype)
    nearest = (s >= s.amax(-1, keepdim=True) - slack).to(s.dtype)
    nearest = nearest * negatives if late else nearest
    return nearest if counted else nearest / nearest.sum(-1, keepdim=True).clamp(min=1)


MISTAKES = (
    Mistake(
        "limits-swapped",
        "your two limits are the wrong way round",
        (
            "Compute your shares at temperature 0.01 and at 100, and lay them beside your limits.",
            "Two negatives at cosine 0.8 and 0.7. How do their shares compare at 0.01, and at 100?",
            "As the temperature falls, differences between cosines count for more and more.",
        ),
        (partial(flawed, swapped=True),),
        ("cold", "ties", "hot"),
        8,
    ),
    Mistake(
        "first-of-equals",
        "where several negatives are equally near, you give all of the push to one of them",
        (
            "What are the shares of two negatives with the same cosine, at any temperature?",
            "Put an image into a batch twice: two negatives at the same place. Compute the shares at 0.1, 0.01, 0.001.",
            "A maximum can be reached more than once, and the share has no way to prefer the first in the list.",
        ),
        (partial(flawed, first=True),),
        ("ties",),
    ),
    Mistake(
        "even-over-everyone",
        "at infinite temperature you divide by the number of all candidates, negatives or not",
        (
            "Who shares the push? Count them in one row.",
            "Compute the shares at temperature 1000 and look at a candidate that is no negative.",
            "The number that you divide by differs from row to row.",
        ),
        (partial(flawed, all_candidates=True), partial(flawed, over_all=True)),
        ("hot",),
    ),
    Mistake(
        "nearest-of-everyone",
        "your nearest candidate is not always a negative",
        (
            "Who is the most similar candidate of all? Is it pushed?",
            "In two views the most similar candidate of an anchor is the anchor. What does your limit say about it?",
            "First strike out who is no negative, then look for the nearest.",
        ),
        (partial(flawed, unmasked=True), partial(flawed, unmasked=True, late=True)),
        ("cold", "ties"),
    ),
    Mistake(
        "not-yet-there",
        "you put in a small and a large temperature: that is on the way to the limits, and not yet there",
        (
            "How far is your number from the limit, where two negatives are nearly equally near?",
            "Negatives at cosines 0.50 and 0.49. How small must a temperature be for the second to have no share left?",
            "In the limit nothing is computed with a temperature: who is left, and how many are they?",
        ),
        tuple(partial(nearly, small=small, large=1 / small) for small in (0.05, 0.1, 0.01, 0.001)),
        ("cold", "ties", "hot"),
        8,
    ),
    Mistake(
        "nearly-nearest",
        "you count a negative among the nearest that is only nearly as near",
        (
            "Look at a row in which the second negative is nearly as near as the first.",
            "Cosines 0.500 and 0.499. Compute the two shares at temperatures 0.01, 0.001 and 0.0001.",
            "However small a difference is, a small enough temperature makes it large. Only an exact tie is left in the limit.",
        ),
        (partial(flawed, slack=1e-2), partial(flawed, slack=1e-3)),
        ("cold", "ties"),
        8,
    ),
    Mistake(
        "farthest-at-zero",
        "at temperature zero you push the farthest negative",
        (
            "Compute the shares at 0.01 of negatives at cosines 0.9 and -0.9.",
            "Which of two negatives adds more to the loss?",
            "Low temperature means hard negatives; hard means easy to confuse with the anchor.",
        ),
        (partial(flawed, farthest=True),),
        ("cold", "ties"),
    ),
    Mistake(
        "more-than-all",
        "where several negatives are equally near, each of them gets all of the push",
        (
            "What do your shares add up to, in each row?",
            "Two negatives at the same place: can both have a share of 1?",
            "What one negative would have, equals must divide among them.",
        ),
        (partial(flawed, counted=True),),
        ("ties",),
    ),
)


@exercise("a2.limit", parts={"cold": 1, "ties": 1, "hot": 1}, cases=cases, mistakes=MISTAKES)
def limit(similarities: Tensor, negatives: Tensor, towards: str) -> Tensor:
    """What the shares tend to as the temperature goes towards "zero" or towards "infinity"."""
    cosines = similarities.masked_fill(~negatives, -math.inf)
    pushed = cosines == cosines.amax(-1, keepdim=True) if towards == "zero" else negatives
    return pushed.to(similarities.dtype) / pushed.sum(-1, keepdim=True)
