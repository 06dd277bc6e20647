"""The debiased loss: negatives that are positives by chance are taken off the sum, down to a floor."""

import math
from functools import partial

import torch
from torch import Tensor

from labkit.grading.a5.common import alike, crowded, hot_mistake, raw_rows_mistake, square, views
from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise
from labkit.losses import debiased as official


def flawed(
    z1: Tensor,
    z2: Tensor,
    temperature: float,
    tau_plus: float,
    *,
    floor: str = "right",
    forgets: bool = False,
    whole: bool = False,
    adds: bool = False,
    extra: int = 0,
    exp_first: bool = False,
    hot: bool = False,
    raw: bool = False,
    decoupled: bool = False,
) -> Tensor:
    cosines, own, pair = square(z1, z2, raw=raw)
    logits = cosines * temperature if hot else cosines / temperature
    count = 2 * len(z1) - 2 + extra
    largest = torch.zeros(len(own), 1, dtype=logits.dtype)
    if not exp_first:
        largest = logits.masked_fill(own, -math.inf).amax(1, keepdim=True).detach()
    terms = (logits - largest).exp()
    positive, negatives = terms[pair], (terms * ~(own | pair)).sum(1)
    expected = tau_plus * positive * (1 if forgets else count)
    left = negatives + expected if adds else negatives - expected
    lowest = (-1 / temperature - largest[:, 0]).exp()
    if floor == "early":
        left = torch.maximum(left, count * lowest)
    left = left if whole else left / (1 - tau_plus)
    if floor == "right":
        left = torch.maximum(left, count * lowest)
    elif floor == "one":
        left = torch.maximum(left, lowest)
    elif floor not in ("none", "early"):
        left = left.clamp(min=float(floor))
    below = left if decoupled else positive + left
    return (below.log() - positive.log()).mean()


def left_over(z1: Tensor, z2: Tensor, temperature: float, tau_plus: float) -> Tensor:
    """Of each anchor, what the correction leaves of the sum over its negatives, over the floor."""
    cosines, own, pair = square(z1.double(), z2.double())
    terms, count = (cosines / temperature).exp(), 2 * len(z1) - 2
    left = ((terms * ~(own | pair)).sum(1) - tau_plus * count * terms[pair]) / (1 - tau_plus)
    return left / (count * math.exp(-1 / temperature))


def floored(z1: Tensor, z2: Tensor, temperature: float, tau_plus: float) -> int:
    """How many anchors expect so many positives that the floor holds."""
    return int((left_over(z1, z2, temperature, tau_plus) < 1).sum())


def above(draw: Draw, dtype: torch.dtype, temperature: float, tau_plus: float) -> dict[str, object]:
    """Inputs on which the floor holds for nobody."""
    for _ in range(1000):
        found = {**views(draw, 5, 3, dtype), "temperature": temperature, "tau_plus": tau_plus}
        if left_over(**found).min() > 1.05:  # type: ignore[arg-type]
            return found
    raise AssertionError("no input above the floor")


def close(draw: Draw, temperature: float, tau_plus: float) -> dict[str, object]:
    """Inputs for a low temperature on which the floor holds for nobody."""
    for _ in range(1000):
        found = {**crowded(draw), "temperature": temperature, "tau_plus": tau_plus}
        if left_over(**found).min() > 1.05:  # type: ignore[arg-type]
            return found
    raise AssertionError("no input above the floor")


def at_floor(draw: Draw, temperature: float) -> dict[str, object]:
    """Inputs on which the floor saves some from a negative sum, holds for some not at all, and is just cleared by one.

    The share is tried from 0.15 up: the larger it is, the more anchors reach the floor.
    """
    for _ in range(1000):
        rows = alike(draw, 5, 4, 0.5)
        for share in range(15, 50):
            found = {**rows, "temperature": temperature, "tau_plus": share / 100}
            left = left_over(**found)  # type: ignore[arg-type]
            if left.min() < -0.05 and left.max() > 1.2 and ((left > 1.02) & (left < 0.98 / (1 - share / 100))).any():
                return found
    raise AssertionError("no input at the floor")


def cases(draw: Draw) -> list[Case]:
    grads = ("z1", "z2")
    warm, share = (lambda: draw.numbers(0.4, 0.8)), (lambda: draw.numbers(0.02, 0.05))
    some = "the floor holds for some anchors"
    return [
        Case("value", above(draw, torch.float64, warm(), share()), tolerance=1e-6),
        Case("value", above(draw, torch.float32, warm(), share()), tolerance=1e-4, says="float32"),
        Case("gradient", above(draw, torch.float64, warm(), share()), grads, tolerance=1e-6),
        Case("gradient", above(draw, torch.float64, warm(), share()), grads, tolerance=1e-6),
        Case("floor", at_floor(draw, draw.numbers(0.5, 0.9)), grads, tolerance=1e-6, says=some),
        Case("floor", at_floor(draw, draw.numbers(0.4, 0.7)), grads, tolerance=1e-6, says=some),
        Case("cold", close(draw, 0.01, 0.04), tolerance=1e-4, says="temperature 0.01, float32"),
    ]


EVERYTHING = ("value", "gradient", "floor", "cold")
MISTAKES = (
    Mistake(
        "floor-at-zero",
        "you stop the corrected sum at zero, which is lower than it can ever be",
        (
            "Look at the least that your corrected sum may be.",
            "A cosine is never below minus one. How small can the sum over N negatives become, at this temperature, wherever "
            "they are?",
            "A sum of exponentials is not just positive: each of its terms has a smallest value, that of a negative on the "
            "other side of the sphere, and there are N of them. A correction that goes below that subtracts negatives that "
            "were not there. With zero as the floor the loss of such an anchor is exactly zero, and it learns nothing.",
        ),
        (partial(flawed, floor="0"), partial(flawed, floor="1e-8")),
        ("floor",),
        22,
    ),
    Mistake(
        "no-floor",
        "your corrected sum can become negative, and its logarithm is then no number",
        (
            "Look at what your code takes the logarithm of when a positive is very near.",
            "Let the positive of one anchor have cosine one and its negatives be far off, with a large share to take away. "
            "Which is larger, the sum or what you take off?",
            "The correction is right on average and not for each anchor, so it can take off more than there is. The least "
            "that a sum over N negatives can be at this temperature is known, because a cosine has a smallest value; the "
            "correction stops there.",
        ),
        (partial(flawed, floor="none"),),
        ("floor",),
        22,
    ),
    Mistake(
        "floor-of-one-negative",
        "your floor is that of a single negative",
        (
            "Look at how many negatives your floor is made for.",
            "Put all N negatives of an anchor on the far side of the sphere. What is their sum, and what is your floor?",
            "The floor stands for a sum, and the sum has N terms. Where all of them are as small as they can be, floor and "
            "sum should be the same.",
        ),
        (partial(flawed, floor="one"),),
        ("floor",),
        22,
    ),
    Mistake(
        "floor-before-the-scaling",
        "you put the floor in too early, and then stretch it along with the rest",
        (
            "Look at the order of the last two steps of your correction.",
            "What is the least that your corrected sum can be in the end? Is that the sum of N negatives on the far side of "
            "the sphere?",
            "The floor is what N negatives add up to at least, and the corrected sum stands for N negatives only when the "
            "correction is complete. A floor below something that is still to be stretched comes out too high.",
        ),
        (partial(flawed, floor="early"),),
        ("floor",),
        22,
    ),
    Mistake(
        "share-forgets-how-many",
        "you took off the share of one negative, and not of all of them",
        (
            "Look at what you take off, and from how many terms.",
            "Let every negative coincide with the positive, in a batch of four and in a batch of four thousand. How many of "
            "them are expected to be false, and how many do you take off?",
            "The share says what part of the negatives has the anchor's class. How many those are depends on how many "
            "negatives there are: the sum grows with N, and what comes off it has to grow with it.",
        ),
        (partial(flawed, forgets=True),),
        EVERYTHING,
        23,
    ),
    Mistake(
        "remainder-not-scaled-up",
        "you took the false negatives off and did not bring the rest back to N",
        (
            "Look at how many negatives are left in your sum.",
            "Put all embeddings in one point. Before the correction there are N equal terms. How many should there be after "
            "it, and how many have you?",
            "What is estimated is the sum that N true negatives would give. After the expected false ones have gone, the sum "
            "stands for fewer than N; it still has to be stretched by the part that remained.",
        ),
        (partial(flawed, whole=True),),
        EVERYTHING,
        23,
    ),
    Mistake(
        "correction-added",
        "you added the expected false negatives where they should come off",
        (
            "Look at whether your correction makes the denominator larger or smaller.",
            "Some of the negatives are positives. Are they nearer than the others, and is the sum then too large or too small?",
            "False negatives swell the denominator, so the correction takes away. Yours pushes the anchor from its "
            "class-mates even harder.",
        ),
        (partial(flawed, adds=True),),
        EVERYTHING,
    ),
    Mistake(
        "wrong-number-of-negatives",
        "your number of negatives is not that of the rows that are neither the anchor nor its partner",
        (
            "Look at the number you multiply the share by, and at the number of terms in your sum.",
            "Put all embeddings in one point and count the terms of the sum before the correction. Is that your N?",
            "There are 2n rows. The anchor is one of them and its partner is another; neither is in the sum, so neither may "
            "be in its count.",
        ),
        (partial(flawed, extra=1), partial(flawed, extra=2)),
        EVERYTHING,
        23,
    ),
    Mistake(
        "positive-left-out",
        "your positive is missing from the denominator",
        (
            "Look at what an anchor of yours is compared with, once the correction is done.",
            "Set the share to zero. Which loss should be left, and which is yours?",
            "Debiasing corrects the sum over the negatives. The positive stands beside that sum, as it does in InfoNCE; "
            "dropping it is another idea, that of DCL.",
        ),
        (partial(flawed, decoupled=True),),
        EVERYTHING,
        21,
    ),
    Mistake(
        "exp-first",
        "you take the exponential before the largest is taken off, and at temperature 0.01 that is infinite",
        (
            "Look at the largest number that your code ever holds.",
            "What is the exponential of 100 in float32? The paper's own code takes it; why did its authors never see this?",
            "The ratio of the denominator to the positive does not change when all logits of an anchor are lowered together. "
            "Lower them by the largest before any exponential is taken, and do not forget that the floor is one of the "
            "things to lower.",
        ),
        (partial(flawed, exp_first=True),),
        ("cold",),
        4,
    ),
    hot_mistake((partial(flawed, hot=True),), EVERYTHING),
    raw_rows_mistake((partial(flawed, raw=True),), EVERYTHING),
)


@exercise("a5.debiased", parts={"value": 2, "gradient": 1, "floor": 2, "cold": 1}, cases=cases, mistakes=MISTAKES, seconds=10)
def debiased(z1: Tensor, z2: Tensor, temperature: float, tau_plus: float) -> Tensor:
    """NT-Xent with the share tau_plus of expected positives taken off its negatives, down to a floor; mean over 2n anchors."""
    return official(z1, z2, temperature=temperature, tau_plus=tau_plus)
