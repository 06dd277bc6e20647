"""False negatives: how many there are, what part of the push they take, and by how much they swell the denominator."""

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor

from labkit.contrast import log_partition, two_views
from labkit.grading.a5.common import agrees, crowded, square, views
from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise


def counted(z1: Tensor, z2: Tensor, labels: Tensor, temperature: float) -> dict[str, Tensor]:
    pairs = two_views(z1, z2)
    logits = pairs.similarity / temperature
    false = pairs.others & (labels.repeat(2)[:, None] == labels.repeat(2))
    true = pairs.others & ~false
    every, rest = log_partition(logits, pairs.others), log_partition(logits, true)
    among = (logits - every).exp()
    excess = math.log(2 * len(z1) - 2) - true.sum(1, keepdim=True).to(logits.dtype).log()
    return {
        "share": (false.sum(1) / pairs.others.sum(1)).mean(),
        "push": (among * false).sum(1).mean(),
        "bias": (every - rest - excess).mean(),
    }


def cases(draw: Draw) -> list[Case]:
    found = []
    for part, temperature, dtype, words in (
        ("share", draw.numbers(0.2, 0.8), torch.float64, ""),
        ("share", draw.numbers(0.1, 0.5), torch.float32, "float32"),
        ("push", draw.numbers(0.2, 0.8), torch.float64, ""),
        ("push", draw.numbers(0.08, 0.2), torch.float64, "a low temperature"),
        ("bias", draw.numbers(0.2, 0.8), torch.float64, ""),
        ("bias", draw.numbers(0.3, 0.9), torch.float32, "float32"),
    ):
        found.append(case(draw, part, temperature, dtype, words))
    cold = case(draw, "cold", 0.01, torch.float32, "temperature 0.01, float32")
    return [*found, cold]


def case(draw: Draw, part: str, temperature: float, dtype: torch.dtype, words: str) -> Case:
    cold = part == "cold"
    labels = draw.labels((1, 2, 3) if cold else draw.pick([(1, 2, 4), (1, 1, 2, 3), (2, 1, 4)]))
    rows = crowded(draw) if cold else views(draw, len(labels), 3, dtype)
    inputs: dict[str, Any] = {**rows, "labels": labels, "temperature": temperature}
    tolerance = 1e-6 if dtype == torch.float64 else 1e-4  # counts are float32 in many a right answer
    if cold:
        return Case(part, inputs, tolerance=1e-3, says=words)
    return Case(part, inputs, accepts=agrees(part, counted(*inputs.values()), tolerance), tolerance=tolerance, says=words)


def flawed(
    z1: Tensor,
    z2: Tensor,
    labels: Tensor,
    temperature: float,
    *,
    partner: bool = False,
    oneself: bool = False,
    one_view: bool = False,
    even: bool = False,
    hot: bool = False,
    raw: bool = False,
    sums: bool = False,
    flipped: bool = False,
    without: bool = False,
    among_all: bool = False,
    exp_first: bool = False,
) -> dict[str, Tensor]:
    cosines, own, pair = square(z1, z2, raw=raw)
    logits = cosines * temperature if hot else cosines / temperature
    negatives = ~(own & (not oneself) | pair & (not partner))
    if one_view:
        negatives = negatives & (torch.arange(len(own)) < len(z1))[:, None].logical_xor(torch.arange(len(own)) < len(z1))
    both = torch.cat([labels, labels])
    false = negatives & (both[:, None] == both)
    true = negatives & ~false
    weights = logits.exp() * negatives if exp_first else logits.masked_fill(~negatives, -math.inf).softmax(1)
    weights = weights / weights.sum(1, keepdim=True)
    share = false.sum(1) / (true if without else negatives).sum(1)
    if among_all:
        weights = logits.masked_fill(own, -math.inf).softmax(1)
    push = share if even else (weights * false).sum(1)
    if exp_first:
        every, rest = ((logits.exp() * mask).sum(1).log() for mask in (negatives, true))
    else:
        every, rest = (logits.masked_fill(~mask, -math.inf).logsumexp(1) for mask in (negatives, true))
    bias = every - rest - (0 if sums else (negatives.sum(1) / true.sum(1)).log())
    return {"share": share.mean(), "push": push.mean(), "bias": -bias.mean() if flipped else bias.mean()}


MISTAKES = (
    Mistake(
        "every-negative-pushes-alike",
        "you took it that every negative pushes with the same strength",
        (
            "Look at your number for the push, next to your number for the share.",
            "Bring one false negative of your batch closer to its anchor and leave the rest where it is. Should the push on "
            "it stay?",
            "The gradient of the loss hands its force out among the negatives, and the near ones get most of it. How it is "
            "handed out depends on the cosines and on the temperature; a count depends on neither.",
        ),
        (partial(flawed, even=True),),
        ("push", "cold"),
    ),
    Mistake(
        "positive-shares-the-push",
        "your softmax has the positive in it, and what the negatives get does not add up to one",
        (
            "Look at who takes part in your softmax.",
            "Add up your weights over the negatives of one anchor. What should come out if they are parts of the push, and "
            "what comes out?",
            "How strong the whole push is depends on the positive; how it is handed out does not. You mixed the two: the "
            "question was which part of the push on negatives goes to the false ones.",
        ),
        (partial(flawed, among_all=True),),
        ("push", "cold"),
        9,
    ),
    Mistake(
        "partner-counted-false",
        "you counted the anchor's own partner among its negatives",
        (
            "Look at who is among your negatives, for one anchor.",
            "Give every instance a class of its own. How many false negatives should there be, and how many do you find?",
            "An anchor's other view has the same label as the anchor, but it is the positive. It belongs neither to the "
            "false negatives nor to the number you divide by: of 2n rows, two are not negatives.",
        ),
        (partial(flawed, partner=True),),
        ("share", "push", "bias", "cold"),
    ),
    Mistake(
        "anchor-counted-false",
        "you counted the anchor itself among its negatives",
        (
            "Look at the diagonal of your matrix of cosines.",
            "Give every instance a class of its own. How many false negatives should there be, and how many do you find?",
            "A row is of its own class and nearer to itself than anything else is, so at low temperatures it takes nearly "
            "all of the push. It is no negative: of 2n rows, two are not.",
        ),
        (partial(flawed, oneself=True), partial(flawed, oneself=True, partner=True)),
        ("share", "push", "bias", "cold"),
        1,
    ),
    Mistake(
        "one-view-only",
        "you compared each anchor with the rows of the other view only",
        (
            "Look at how many negatives one anchor has in your answer.",
            "With three instances in two views there are six rows. Take the first: which rows are neither it nor its partner?",
            "The other rows of the anchor's own view are candidates too. The share may come out the same without them, "
            "because both views have the same labels; who is pushed does not.",
        ),
        (partial(flawed, one_view=True),),
        ("push", "bias", "cold"),
        5,
    ),
    Mistake(
        "temperature-multiplies",
        "the temperature multiplies in your answer",
        (
            "Look at what the temperature does to the cosines.",
            "Lower the temperature towards zero. Do your weights become more even, or do they gather on the nearest negative?",
            "A low temperature stretches the differences between cosines, so that the nearest negative takes all. In your "
            "answer it shrinks them. The two agree at temperature 1 and nowhere else.",
        ),
        (partial(flawed, hot=True),),
        ("push", "bias", "cold"),
        3,
    ),
    Mistake(
        "rows-not-normalised",
        "you compared inner products of raw rows and not cosines",
        (
            "Look at what goes into the matrix of similarities.",
            "Multiply one row of the input by ten. Which of your three numbers change, and which should?",
            "The length of an embedding means nothing here: the loss looks at directions. Rows have to have length one "
            "before they are compared.",
        ),
        (partial(flawed, raw=True),),
        ("push", "bias", "cold"),
        13,
    ),
    Mistake(
        "sums-of-different-length",
        "you compared two sums that have different numbers of terms",
        (
            "Look at how many terms stand in each of the two sums of your bias.",
            "Put all embeddings in one point. False and true negatives are then the same, so what should the bias be?",
            "Leaving terms out makes a sum smaller even where the terms left out are like all the others. The question was "
            "what the denominator would be with the same number of negatives, all of them true; so bring both to the same "
            "number first.",
        ),
        (partial(flawed, sums=True),),
        ("bias", "cold"),
    ),
    Mistake(
        "bias-of-wrong-sign",
        "your bias has the wrong sign",
        (
            "Look at which of the two denominators you subtract.",
            "Move the class-mates of an anchor next to it. Does the denominator of the loss grow or shrink? And your bias?",
            "False negatives lie nearer than others as soon as a model has learnt anything, and so the denominator of the "
            "loss is larger than one with true negatives alone. The bias says by how much, so it is positive there.",
        ),
        (partial(flawed, flipped=True),),
        ("bias", "cold"),
    ),
    Mistake(
        "false-over-true",
        "you divided the number of false negatives by that of the true ones",
        (
            "Look at what your share is a share of.",
            "Take a batch in which all but one of an anchor's negatives are false. Can a share be larger than one?",
            "Odds and shares agree while there are few of a thing. The question was which part of all the negatives is false.",
        ),
        (partial(flawed, without=True),),
        ("share", "cold"),
    ),
    Mistake(
        "exp-first",
        "you take the exponential before the largest is taken off, and at temperature 0.01 that is infinite",
        (
            "Look at the largest number that your code ever holds.",
            "What is the exponential of 100 in float32? And infinity divided by infinity?",
            "Neither the weights nor the bias needs the exponentials themselves: weights come out the same when all logits "
            "of a row are lowered together, and for logarithms of sums there is a function that does the lowering for you.",
        ),
        (partial(flawed, exp_first=True),),
        ("cold",),
        4,
    ),
)


@exercise("a5.false_negatives", parts={"share": 1, "push": 2, "bias": 1, "cold": 1}, cases=cases, mistakes=MISTAKES, seconds=10)
def false_negatives(z1: Tensor, z2: Tensor, labels: Tensor, temperature: float) -> dict[str, Tensor]:
    """How many negatives are false, what part of the push they take, and the bias of the denominator; means over anchors."""
    return counted(z1, z2, labels, temperature)
