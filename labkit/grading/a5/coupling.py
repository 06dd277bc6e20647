"""The factor by which InfoNCE silences an anchor that has found its positive."""

import math
from functools import partial

import torch
from torch import Tensor

from labkit.contrast import log_partition, two_views
from labkit.grading.a5.common import alike, square, views
from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise


def flawed(
    z1: Tensor,
    z2: Tensor,
    temperature: float,
    *,
    complement: bool = False,
    digits: bool = False,
    oneself: bool = False,
    one_view: bool = False,
    hot: bool = False,
    raw: bool = False,
    over_temperature: bool = False,
    odds: bool = False,
) -> Tensor:
    cosines, own, pair = square(z1, z2, raw=raw)
    logits = cosines * temperature if hot else cosines / temperature
    against = torch.ones_like(own) if oneself else ~own
    if one_view:
        first = torch.arange(len(own)) < len(z1)
        against = against & (first[:, None] != first)
    logits = logits.masked_fill(~against, -math.inf)
    every, rest = logits.logsumexp(1), logits.masked_fill(pair, -math.inf).logsumexp(1)
    found = logits[pair] - every
    answer = torch.log(1 - found.exp()) if digits else rest - every
    answer = (found.exp().log() if digits else found) if complement else answer
    answer = rest - logits[pair] if odds else answer
    return answer - math.log(temperature) if over_temperature else answer


def cases(draw: Draw) -> list[Case]:
    near = alike(draw, 5, 6, 0.02, torch.float32)
    return [
        Case("value", {**views(draw), "temperature": draw.numbers(0.2, 0.8)}, tolerance=1e-6),
        Case("value", {**views(draw, 6, 4, torch.float32), "temperature": draw.numbers(0.2, 0.7)}, tolerance=1e-4),
        Case("easy", {**near, "temperature": 0.03}, tolerance=1e-3, says="positives that have been found, float32"),
        Case(
            "easy", {**views(draw, dtype=torch.float32), "temperature": 0.01}, tolerance=1e-3, says="temperature 0.01, float32"
        ),
    ]


MISTAKES = (
    Mistake(
        "coupling-is-what-was-found",
        "you returned how much of the softmax the positive has, where what is left of it was asked for",
        (
            "Look at what your number does for an anchor that lies right on its positive.",
            "Such an anchor has nothing more to learn from InfoNCE. Should the factor on its gradient be near one, or near "
            "zero?",
            "The gradient of InfoNCE vanishes when the positive has all of the softmax. So the factor is the part that the "
            "positive does not have: the part of all the negatives together.",
        ),
        (partial(flawed, complement=True), partial(flawed, complement=True, digits=True)),
        ("value", "easy"),
    ),
    Mistake(
        "one-minus-loses-digits",
        "one minus a number close to one keeps no digits: for positives that have been found your factor is zero",
        (
            "Look at the inputs on which your answer is infinite.",
            "In float32, what is one minus 0.99999999? How small can a factor get before your code calls it zero?",
            "What you want is small, and you get it as the difference of two large things. It is also a sum over the "
            "negatives, over a sum over everybody, and the logarithm of each of these sums can be had without any rounding "
            "to zero.",
        ),
        (partial(flawed, digits=True),),
        ("easy",),
    ),
    Mistake(
        "coupling-with-the-anchor",
        "your softmax includes the anchor itself",
        (
            "Look at the diagonal of your matrix of cosines.",
            "Put all embeddings in one point. How many candidates have an equal part of the softmax then?",
            "Nothing is as near to an anchor as the anchor. As long as it stands among its own candidates, it takes the "
            "largest part of the softmax, and the positive can never have all of it.",
        ),
        (partial(flawed, oneself=True),),
        ("value", "easy"),
        1,
    ),
    Mistake(
        "coupling-one-view",
        "you left the rows of the anchor's own view out of its candidates",
        (
            "Look at how many candidates one anchor has in your answer.",
            "Take one instance beside a few others, and work out by hand which rows its anchor is compared with.",
            "Of 2n rows, an anchor is compared with all but itself. In your answer it is compared with n of them, those of "
            "the other view; the rest of its own view are negatives as well.",
        ),
        (partial(flawed, one_view=True),),
        ("value", "easy"),
        5,
    ),
    Mistake(
        "coupling-temperature-multiplies",
        "the temperature multiplies in your answer",
        (
            "Look at what the temperature does to the cosines.",
            "Lower the temperature towards zero for an anchor whose positive is the nearest. Where should the factor go, and "
            "where does yours go?",
            "A low temperature stretches the differences between cosines until the nearest candidate has everything. In your "
            "answer it shrinks them. The two agree at temperature 1 and nowhere else.",
        ),
        (partial(flawed, hot=True),),
        ("value", "easy"),
        3,
    ),
    Mistake(
        "coupling-rows-raw",
        "you compared inner products of raw rows and not cosines",
        (
            "Look at what goes into the matrix of similarities.",
            "Multiply one row of the input by ten. Should its factor change?",
            "The length of an embedding means nothing here: the loss looks at directions. Rows have to have length one "
            "before they are compared.",
        ),
        (partial(flawed, raw=True),),
        ("value", "easy"),
        13,
    ),
    Mistake(
        "coupling-as-odds",
        "you compared the negatives with the positive alone, and not with all candidates",
        (
            "Look at what your factor is a part of.",
            "Move all negatives far away, then all of them very near. Between which two numbers does a factor on a gradient "
            "go, and between which does yours?",
            "You have the odds, negatives to positive. They agree with the factor where the positive has nearly everything, "
            "and grow without limit where it has little; a part of a softmax never exceeds one, so its logarithm is never "
            "positive.",
        ),
        (partial(flawed, odds=True),),
        ("value", "easy"),
    ),
    Mistake(
        "coupling-over-temperature",
        "you left the one over temperature of the chain rule in the factor",
        (
            "Look at what changes between the gradient of InfoNCE and that of DCL, and what both have.",
            "Put all n instances in one point. Does the part of the softmax that the negatives have depend on the "
            "temperature there?",
            "Both gradients are divided by the temperature, because both losses look at cosines over the temperature. The "
            "factor is only what one of them has and the other has not.",
        ),
        (partial(flawed, over_temperature=True),),
        ("value", "easy"),
        9,
    ),
)


@exercise("a5.log_coupling", parts={"value": 2, "easy": 1}, cases=cases, mistakes=MISTAKES, seconds=10)
def log_coupling(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    """The logarithm of the factor that the positive puts on each anchor's gradient in InfoNCE, 2n of them, z1's first."""
    pairs = two_views(z1, z2)
    logits = pairs.similarity / temperature
    return (log_partition(logits, pairs.others) - log_partition(logits, pairs.others | pairs.partner)).squeeze(1)
