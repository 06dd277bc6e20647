"""Between chance and floor: what a value of the loss means at its temperature."""

import math
from functools import partial

import torch
from torch import Tensor

from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise


def bounds(n: int, temperature: float) -> tuple[float, float]:
    """NT-Xent of n pairs: all embeddings the same, and the corners of a simplex with both views of an image on one."""
    return math.log(2 * n - 1), math.log1p((2 * n - 2) * math.exp(-n / (n - 1) / temperature))


def cases(draw: Draw) -> list[Case]:
    few, many = draw.integer(3, 6), draw.integer(60, 300)

    def one(n: int, temperature: float) -> Case:
        chance, floor = bounds(n, temperature)
        loss = floor + (chance - floor) * draw.numbers(0.1, 0.9)
        inputs = {"loss": loss, "n": n, "temperature": temperature}
        return Case("value", inputs, tolerance=1e-6, says=f"{n} pairs, temperature {temperature:g}")

    def curve(n: int, temperature: float) -> Case:
        chance, floor = bounds(n, temperature)
        along = torch.tensor(sorted(draw.rng.uniform(0, 1, 5)), dtype=torch.float64)
        inputs = {"loss": chance + (floor - chance) * along, "n": n, "temperature": temperature}
        return Case("curve", inputs, tolerance=1e-6, says=f"five losses, {n} pairs, temperature {temperature:g}")

    return [
        one(few, draw.numbers(0.4, 1.5)),
        one(many, draw.numbers(0.3, 1.5)),
        one(2, draw.numbers(0.05, 0.07)),
        curve(few + 1, draw.numbers(0.5, 2)),
        curve(many, draw.numbers(0.3, 1)),
    ]


def flawed(
    loss: float | Tensor,
    n: int,
    temperature: float,
    *,
    no_floor: bool = False,
    chance_of: int = 0,
    corners: int = 0,
    negatives: int = 0,
    opposite: bool = False,
    orthogonal: bool = False,
    no_positive: bool = False,
) -> float | Tensor:
    """The way from chance to floor with switches for what goes wrong."""
    k = 2 * n if corners else n
    apart = 1.0 if orthogonal else k / (k - 1)
    pushes = ((n - 1) if negatives else (2 * n - 2)) * math.exp(-apart / temperature)
    floor = 0.0 if no_floor else math.log(pushes) if no_positive else math.log(1 + pushes)
    chance = math.log({0: 2 * n - 1, 1: 2 * n, 2: n}[chance_of])
    return (loss - floor) / (chance - floor) if opposite else (chance - loss) / (chance - floor)


EVERY = ("value", "curve")
MISTAKES = (
    Mistake(
        "floor-is-zero",
        "you count as if the loss could fall to 0 at any temperature; at a high one it cannot come near",
        (
            "At temperature 2, what is the smallest loss that any arrangement of embeddings can have?",
            "Let all positives coincide and all negatives be opposite: cosines 1 and -1. Is the loss 0 at temperature 2?",
            "Even the best arrangement leaves each negative a logit, and its exponential stays in the sum.",
        ),
        (partial(flawed, no_floor=True),),
        EVERY,
        7,
    ),
    Mistake(
        "chance-counts-wrong",
        "your line of chance counts the wrong number of candidates",
        (
            "If all embeddings are the same, every candidate is as likely as every other. How many are there?",
            "Write down the candidates of one anchor for two images. Is the anchor among them? Is the positive?",
            "Of all the embeddings of both views, exactly one is no candidate.",
        ),
        (partial(flawed, chance_of=1), partial(flawed, chance_of=2)),
        EVERY,
        1,
    ),
    Mistake(
        "too-many-corners",
        "you spread both views of an image apart: the floor has one corner for each image, not one for each view",
        (
            "Where do the two views of an image lie in the best arrangement?",
            "For two images: where are the four embeddings when the loss is lowest? What is the cosine of different images?",
            "In a simplex of k corners the cosine is -1/(k-1). Which k?",
        ),
        (partial(flawed, corners=1),),
        EVERY,
    ),
    Mistake(
        "too-few-negatives",
        "your floor counts only one view of the other images as negatives",
        (
            "How many negatives does an anchor have, in two views of n images?",
            "For two images, list the negatives of the first view of the first.",
            "Every other image is there twice.",
        ),
        (partial(flawed, negatives=1),),
        EVERY,
    ),
    Mistake(
        "wrong-way-round",
        "your measure is 1 at chance and 0 at the floor: it should be the other way round",
        (
            "What do you say of a loss of log(2n-1)?",
            "A run that has learned nothing has come no part of the way. What do you say of it?",
            "Ask how far below chance the loss lies, compared with how far it can.",
        ),
        (partial(flawed, opposite=True),),
        EVERY,
    ),
    Mistake(
        "right-angles",
        "you put different images at right angles; they can be further apart than that",
        (
            "Three points on a circle, as far from each other as can be. What is the cosine?",
            "Add up n unit vectors and square the length of the sum: it cannot be negative. What follows for the mean cosine?",
            "For two images the best cosine is -1, for three it is -1/2. For n?",
        ),
        (partial(flawed, orthogonal=True),),
        EVERY,
    ),
    Mistake(
        "floor-without-positive",
        "your floor leaves the positive out of the denominator: that is the floor of another loss",
        (
            "Which candidates does the sum of exponentials run over?",
            "Lower the temperature to 0.05. Your floor falls below zero. Can the loss?",
            "At the floor, the positive's logit cancels against itself and leaves something in the logarithm.",
        ),
        (partial(flawed, no_positive=True),),
        EVERY,
    ),
)


@exercise("a2.progress", parts={"value": 2, "curve": 1}, cases=cases, mistakes=MISTAKES)
def progress(loss: float | Tensor, n: int, temperature: float) -> float | Tensor:
    """How far a loss (or each of a curve) has come from chance, 0, to the lowest value that n pairs allow, 1."""
    chance, floor = bounds(n, temperature)
    return (chance - loss) / (chance - floor)
