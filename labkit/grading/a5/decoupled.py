"""DCL: InfoNCE without the positive among those that an anchor is compared with."""

import math
from functools import partial

import torch
from torch import Tensor

from labkit.grading.a5.common import alike, apart, hot_mistake, raw_rows_mistake, square, views
from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise
from labkit.losses import dcl as official


def flawed(
    z1: Tensor,
    z2: Tensor,
    temperature: float,
    *,
    whole: bool = False,
    no_pull: bool = False,
    divided: bool = False,
    oneself: bool = False,
    zeros: bool = False,
    exp_first: bool = False,
    epsilon: float = 0.0,
    leaks: float = 0.0,
    hot: bool = False,
    raw: bool = False,
    first_only: bool = False,
    across: bool = False,
    total: bool = False,
    clipped: bool = False,
) -> Tensor:
    cosines, own, pair = square(z1, z2, raw=raw)
    logits = cosines * temperature if hot else cosines / temperature
    out = (torch.zeros_like(own) if oneself else own) | (torch.zeros_like(own) if whole else pair)
    if across:
        first = torch.arange(len(own)) < len(z1)
        out = out | (first[:, None] == first)
    if zeros:
        against = (logits * ~out).logsumexp(1)
    elif exp_first:
        against = ((logits.exp() * ~out).sum(1) + epsilon).log()
    elif leaks:
        against = (logits - leaks * out).logsumexp(1)
    else:
        against = logits.masked_fill(out, -math.inf).logsumexp(1)
    loss = against - (0 if no_pull else logits[pair])
    if divided:
        every = logits.masked_fill(own, -math.inf).logsumexp(1)
        loss = (every - logits[pair]) / (against - every).exp().detach()
    loss = loss[: len(z1)] if first_only else loss
    loss = loss.clamp(min=0) if clipped else loss
    return loss.sum() if total else loss.mean()


def cases(draw: Draw) -> list[Case]:
    grads = ("z1", "z2")
    cold, near = apart(draw, 4, 0.01), [{**apart(draw, 4, 0.1, torch.float64), "temperature": 0.2} for _ in range(2)]
    return [
        Case("value", near[0], tolerance=1e-6, says="positives that have been found, negatives far away"),
        Case("gradient", near[1], grads, tolerance=1e-6, says="positives that have been found, negatives far away"),
        Case("value", {**views(draw), "temperature": draw.numbers(0.2, 0.8)}, tolerance=1e-6),
        Case(
            "value", {**views(draw, 4, 3, torch.float32), "temperature": draw.numbers(0.1, 0.7)}, tolerance=1e-4, says="float32"
        ),
        Case("gradient", {**views(draw), "temperature": draw.numbers(0.2, 0.8)}, grads, tolerance=1e-6),
        Case(
            "gradient",
            {**alike(draw, 5, 4, 0.1), "temperature": 0.07},
            grads,
            tolerance=1e-6,
            says="positives that have been found",
        ),
        Case("cold", {**views(draw, dtype=torch.float32), "temperature": 0.01}, grads, 1e-3, says="temperature 0.01, float32"),
        Case("cold", {**cold, "temperature": 0.01}, grads, 1e-3, says="temperature 0.01, negatives far away, float32"),
    ]


MISTAKES = (
    Mistake(
        "denominator-left-whole",
        "your positive is still in the denominator: this is InfoNCE",
        (
            "Look at what an anchor of yours is compared with.",
            "Put all 2n embeddings in one point. What does your loss say there, and how many candidates is that the "
            "logarithm of?",
            "Decoupled means that the positive is not among those that the anchor is compared with. It still pulls, but it "
            "does so in one of the two terms only.",
        ),
        (partial(flawed, whole=True),),
        ("value", "gradient", "cold"),
        21,
    ),
    Mistake(
        "positive-does-not-pull",
        "your positive went out of the numerator: nothing pulls the two views together any more",
        (
            "Look at what happens to your loss when the two views of an instance come nearer to each other.",
            "Take views that agree perfectly, then turn one of them round. Does your loss notice?",
            "The positive stands in two places in InfoNCE: once it pulls, once it is among those compared with. DCL drops it "
            "from the second place. You dropped it from the first one too, and what is left only spreads.",
        ),
        (partial(flawed, no_pull=True), partial(flawed, no_pull=True, whole=True)),
        ("value", "gradient", "cold"),
        21,
    ),
    Mistake(
        "factor-divided-out",
        "you divided InfoNCE by the coupling factor: the gradient is that of DCL, the value is not",
        (
            "Look at the value, not at the gradient, of an anchor that has found its positive.",
            "Let a positive come nearer and nearer while the negatives stay. How far down can the value of DCL go? And yours?",
            "Two losses can have one gradient where constants are held fixed, and still be different losses. DCL is the one "
            "whose value is a partition over the negatives less the positive, and it goes below zero; yours never does.",
        ),
        (partial(flawed, divided=True),),
        ("value", "gradient", "cold"),
    ),
    Mistake(
        "anchor-in-denominator",
        "your denominator includes the anchor itself",
        (
            "Look at the diagonal of your matrix of cosines.",
            "Put all 2n embeddings in one point. What does your loss say there, and how many candidates is that the "
            "logarithm of?",
            "Nothing is as near to an anchor as the anchor, so at low temperatures it is the largest term in your sum. "
            "Neither the anchor nor its partner is a negative: 2n less two are.",
        ),
        (partial(flawed, oneself=True), partial(flawed, oneself=True, whole=True)),
        ("value", "gradient", "cold"),
        1,
    ),
    Mistake(
        "masked-by-multiplication",
        "you masked logits by multiplying them with zero, and what is masked still counts",
        (
            "Look at what stands in your sum in the place of a masked candidate.",
            "Give a single anchor no negatives but masked ones. What should the sum of their exponentials be, and what is it?",
            "A logit of zero is that of a candidate at a right angle: its exponential is one, and it pushes. To take a "
            "candidate out of a sum of exponentials, its exponential has to be zero.",
        ),
        (partial(flawed, zeros=True),),
        ("value", "gradient", "cold"),
        2,
    ),
    Mistake(
        "exp-first",
        "you take the exponential before the largest is taken off, and at temperature 0.01 that is infinite",
        (
            "Look at the largest number that your code ever holds.",
            "What is the exponential of 100 in float32? And of minus 100, and then the logarithm of that?",
            "The logarithm of a sum of exponentials can be had without any of the exponentials: lower all logits of a row by "
            "the largest first, and add it back at the end. There is a function that does so.",
        ),
        (
            partial(flawed, exp_first=True),
            partial(flawed, exp_first=True, epsilon=1e-8),
        ),
        ("cold",),
        4,
    ),
    Mistake(
        "mask-not-deep-enough",
        "you took a number off the masked logits that is not large enough at temperature 0.01",
        (
            "Look at what is left of a masked logit when the temperature is very low.",
            "At temperature 0.01 the cosine of an anchor with itself becomes a logit of 100. How much is left after your "
            "mask, and how does that compare with a negative on the far side of the sphere?",
            "A finite amount taken off is a mask only as long as logits are small beside it; published code has this, with "
            "the logarithm of 1e-45, about minus 104. What is masked should have no weight at any temperature.",
        ),
        (partial(flawed, leaks=-math.log(1e-45)), partial(flawed, leaks=100.0)),
        ("cold",),
        2,
    ),
    hot_mistake((partial(flawed, hot=True),), ("value", "gradient", "cold")),
    Mistake(
        "only-one-view-anchors",
        "only the rows of the first view are anchors in your answer",
        (
            "Look at how many anchors your mean is over.",
            "Swap the two views. Does your loss change? Should it?",
            "Every one of the 2n rows asks for its partner once. Your mean goes over half of them, and which half depends on "
            "which view was handed in first.",
        ),
        (partial(flawed, first_only=True),),
        ("value", "gradient", "cold"),
        5,
    ),
    Mistake(
        "negatives-of-one-view",
        "your negatives are those of the other view only",
        (
            "Look at how many negatives one anchor has in your answer.",
            "Take one instance beside a few others, and work out by hand which rows its anchor is compared with.",
            "Of 2n rows, two are no negatives: the anchor and its partner. You leave out the rest of the anchor's own view "
            "as well.",
        ),
        (partial(flawed, across=True),),
        ("value", "gradient", "cold"),
        5,
    ),
    Mistake(
        "clipped-at-zero",
        "you do not let the loss go below zero, where anchors that have found their positives still learn",
        (
            "Look at the inputs whose positives have been found and whose negatives are far away.",
            "A logarithm of a sum over the negatives, less the positive: is there a reason that it should be positive?",
            "InfoNCE is a cross-entropy and stays above zero. Without the positive among the candidates this is none.",
        ),
        (partial(flawed, clipped=True),),
        ("value", "gradient", "cold"),
        21,
    ),
    Mistake(
        "sum-for-mean",
        "you added the anchors up where their mean is asked for",
        (
            "Look at the last thing your code does.",
            "Hand in every instance twice as often. Which of the two grows with the number of anchors, and which is asked for?",
            "A sum makes the step of the optimiser grow with the batch. What is asked for is the loss of an anchor on average.",
        ),
        (partial(flawed, total=True),),
        ("value", "gradient", "cold"),
    ),
    raw_rows_mistake((partial(flawed, raw=True),), ("value", "gradient", "cold")),
)


@exercise("a5.dcl", parts={"value": 2, "gradient": 1, "cold": 1}, cases=cases, mistakes=MISTAKES, seconds=10)
def dcl(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    """The decoupled contrastive loss of two views, the mean over all 2n anchors."""
    return official(z1, z2, temperature=temperature)
