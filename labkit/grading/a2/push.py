"""The push itself: how much the loss of an anchor changes with its cosine to each negative."""

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from labkit.contrast import two_views
from labkit.grading.a2.shares import views
from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise


def cases(draw: Draw) -> list[Case]:
    warm, cool = draw.numbers(0.3, 0.7), draw.numbers(3, 10)

    def case(part: str, temperature: float, dtype: torch.dtype, tolerance: float = 1e-5, *, hard: bool = False) -> Case:
        z1, z2 = views(draw, dtype, hard=hard)
        says = f"temperature {temperature:g}, {str(dtype).removeprefix('torch.')}"
        return Case(part, {"z1": z1, "z2": z2, "temperature": temperature}, tolerance=tolerance, says=says)

    return [
        case("value", warm, torch.float64),
        case("value", cool, torch.float32),
        case("value", draw.numbers(0.1, 0.2), torch.float64, hard=True),
        case("cold", 0.01, torch.float32, 1e-3, hard=True),
        case("cold", 0.001, torch.float64, hard=True),
    ]


def flawed(
    z1: Tensor,
    z2: Tensor,
    temperature: float,
    *,
    no_tau: bool = False,
    no_strength: bool = False,
    positive: str = "",
    averaged: bool = False,
    own: str = "",
    multiplied: bool = False,
    early: bool = False,
    both: bool = False,
    raw: bool = False,
    pairs: bool = False,
) -> Tensor:
    """The push with switches for what goes wrong."""
    n = len(z1)
    z = torch.cat([z1, z2]) if raw else normalize(torch.cat([z1, z2]), dim=1)
    logits = z @ z.T * temperature if multiplied else z @ z.T / temperature
    itself = torch.eye(2 * n, dtype=torch.bool)
    partner = itself.roll(n, 1)
    left_out = itself & (own == "")
    if no_strength:
        left_out = left_out | partner
    candidates = logits.masked_fill(left_out, -math.inf)
    if early:
        p = candidates.exp() / candidates.exp().sum(1, keepdim=True)
    else:
        p = candidates.softmax(1)
    p = p.masked_fill(itself, 0)
    if positive == "kept":
        push = p
    elif positive == "pull":
        push = p - partner.to(p.dtype)
    else:
        push = p.masked_fill(partner, 0)
    push = push if no_tau else push / temperature
    push = push / len(z) if averaged else push
    push = push + push.T if both else push
    return push[:n] if pairs else push


def across(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    """First views against second ones, and nobody else."""
    a, b = normalize(z1, dim=1), normalize(z2, dim=1)
    p = (a @ b.T / temperature).softmax(1)
    return p.masked_fill(torch.eye(len(a), dtype=torch.bool), 0) / temperature


EVERY = ("value", "cold")
MISTAKES = (
    Mistake(
        "lost-temperature",
        "your push is too weak by the factor that the chain rule brings: the cosine was divided by the temperature",
        (
            "Compare your table with autograd's at two temperatures. By which factor are you off, each time?",
            "Halve the temperature and leave the probabilities as they are. What happens to the slope of the loss in a cosine?",
            "The softmax is the slope with respect to a logit. You were asked for the slope with respect to a cosine.",
        ),
        (partial(flawed, no_tau=True),),
        EVERY,
        9,
    ),
    Mistake(
        "shares-for-push",
        "your anchors all push equally hard: an anchor that has found its positive should hardly push at all",
        (
            "Add up each row of your table, times the temperature. Are all rows alike?",
            "Let both views of an image be the same and all other images far away. How large can the gradient of its loss be?",
            "The positive stands below the fraction, too. The larger its probability, the less is left for the negatives.",
        ),
        (partial(flawed, no_strength=True),),
        EVERY,
        9,
    ),
    Mistake(
        "positive-among-negatives",
        "the positive has an entry among the pushes: your rows do not add up to what the negatives get",
        (
            "Look at the entry of an anchor and its own positive. What was asked for there?",
            "Add up a row, times the temperature. It should be one minus the probability of the positive. Is it 1, or 0?",
            "What you computed at the positive's place is right for another question: it pulls. Only negatives are asked for.",
        ),
        (partial(flawed, positive="kept"), partial(flawed, positive="pull")),
        EVERY,
        9,
    ),
    Mistake(
        "averaged-over-anchors",
        "your push is the one in the mean over all anchors, so it gets weaker with the size of the batch",
        (
            "Put more images into the batch, far away from the others. Does the push among the first ones change much?",
            "By which factor do you differ from autograd on the loss of one single anchor?",
            "Each row is about the loss of its own anchor, before anything is averaged.",
        ),
        (partial(flawed, averaged=True),),
        EVERY,
    ),
    Mistake(
        "anchor-in-partition",
        "the anchor is its own candidate, and takes nearly all of the probability at low temperature",
        (
            "Whom is an anchor compared with? Is it in the list itself?",
            "Add up a row, times the temperature, and the probability of the positive. What is missing to 1?",
            "The largest cosine in every row is the one on the diagonal. It belongs to nobody's alternatives.",
        ),
        (partial(flawed, own="kept"),),
        EVERY,
        1,
    ),
    Mistake(
        "temperature-multiplies",
        "your temperature works backwards: a lower one makes the probabilities more even",
        (
            "Print one row at temperatures 2 and 0.1. Which is the more even one?",
            "Take cosines 0.9 and 0.1. How large is the ratio of their probabilities at temperature 0.1?",
            "A small temperature makes a small difference between cosines a large difference between logits.",
        ),
        (partial(flawed, multiplied=True),),
        EVERY,
        8,
    ),
    Mistake(
        "exp-before-maximum",
        "exp before the maximum is subtracted: NaN at temperature 0.01",
        (
            "How large is the largest logit at temperature 0.01, and the exponential of that in float32?",
            "Subtract the same number from all logits of a row: nothing should change. When does it, on a computer?",
            "The ratio of two exponentials is fine even where each of them overflows. Let a function take the ratio.",
        ),
        (partial(flawed, early=True),),
        ("cold",),
        4,
    ),
    Mistake(
        "both-anchors-added",
        "your entry for a pair adds what both of them do as anchors",
        (
            "Is your table symmetric? Should it be?",
            "One image in a crowd, one far away: does each of them push the other with the same part of its softmax?",
            "Row i is about the loss of anchor i alone; the same pair comes again in another row.",
        ),
        (partial(flawed, both=True),),
        EVERY,
    ),
    Mistake(
        "not-normalised",
        "your logits are dot products, not cosines: long embeddings push harder",
        (
            "Multiply all embeddings by ten. Does your table change? Should it?",
            "What is the largest entry of the table that you divide by the temperature?",
            "Bring rows to length one before they meet.",
        ),
        (partial(flawed, raw=True),),
        EVERY,
        5,
    ),
    Mistake(
        "other-view-only",
        "your anchors see only the other view; the other images of their own view are negatives as well",
        (
            "How many candidates does an anchor have, in two views of N images?",
            "Move an image's first view next to another image's first view. Which entry of your table notices?",
            "All embeddings of both views stand in one list, and everybody meets everybody else.",
        ),
        (across,),
        EVERY,
    ),
    Mistake(
        "first-view-only",
        "only the first view's rows are anchors in your table",
        (
            "How many rows does your table have, and how many embeddings are there?",
            "Swap the views. Which half of the table do you get now?",
            "Second views look for their partners as well.",
        ),
        (partial(flawed, pairs=True),),
        EVERY,
        5,
    ),
)


@exercise("a2.push", parts={"value": 3, "cold": 1}, cases=cases, mistakes=MISTAKES)
def push(z1: Tensor, z2: Tensor, temperature: float) -> Any:
    """How much each anchor's own loss changes with its cosine to each negative; 0 for the anchor and its positive."""
    pairs = two_views(z1, z2)
    p = (pairs.similarity / temperature).masked_fill(~(pairs.others | pairs.partner), -math.inf).softmax(1)
    return (p * pairs.others) / temperature
