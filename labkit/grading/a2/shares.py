"""How the push on an anchor is shared out among its negatives."""

import math
from functools import partial

import torch
from torch import Tensor

from labkit.directions import unit
from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise
from labkit.metrics.hardness import hardness


def views(draw: Draw, dtype: torch.dtype = torch.float32, *, hard: bool = False) -> tuple[Tensor, Tensor]:
    """Two views of five rows, one of them twice. Hard: all in one corner, but for one row that nobody resembles."""
    z1, z2 = 2 * draw.rows(5, 3, dtype), draw.rows(5, 3, dtype)
    if hard:
        z1 = z1.abs() + 0.1
        z2 = (z1 + 0.3 * z2).abs()
        z2[2] = -z2[2]
    z1[4] = z1[0]
    return z1, z2


def batch(draw: Draw, dtype: torch.dtype, *, hard: bool = False) -> tuple[Tensor, Tensor]:
    """Cosines among two views, and who is a negative of whom."""
    z = unit(torch.cat(views(draw, dtype, hard=hard)))
    everyone = torch.arange(10)
    apart = (everyone[:, None] - everyone).abs()
    return z @ z.T, (apart != 0) & (apart != 5)


def queue(draw: Draw, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Four anchors before nine candidates, of whom 2 to 8 are negatives; the nearest candidate is none."""
    similarities = unit(draw.rows(4, 3, dtype)) @ unit(draw.rows(9, 3, dtype)).T
    negatives = torch.zeros(4, 9, dtype=torch.bool)
    for row, count in enumerate((2, 4, 6, 8)):
        far = similarities[row].argsort()[:8]
        negatives[row, far[draw.permutation(8)[:count]]] = True
    return similarities, negatives


def cases(draw: Draw) -> list[Case]:
    def case(part: str, made: tuple[Tensor, Tensor], temperature: float, says: str) -> Case:
        inputs = {"similarities": made[0], "negatives": made[1], "temperature": temperature}
        return Case(part, inputs, says=f"temperature {temperature:g}, {says}")

    return [
        case("value", batch(draw, torch.float64), 0.5, "two views of five rows"),
        case("value", batch(draw, torch.float32), draw.numbers(0.1, 0.4), "two views of five rows"),
        case("value", batch(draw, torch.float64), draw.numbers(5, 20), "two views of five rows"),
        case("value", queue(draw, torch.float64), draw.numbers(0.15, 0.4), "four anchors, nine candidates, unequal negatives"),
        case("cold", batch(draw, torch.float32, hard=True), 0.01, "float32"),
        case("cold", batch(draw, torch.float64, hard=True), 0.001, "float64"),
    ]


def flawed(
    similarities: Tensor,
    negatives: Tensor,
    temperature: float,
    *,
    multiply: bool = False,
    ignore: float | None = None,
    everyone: str = "",
    early: bool = False,
    dim: int | None = -1,
    sign: int = 1,
    no_temperature: bool = False,
) -> Tensor:
    """The shares with switches for what goes wrong."""
    s = sign * similarities
    logits = s if no_temperature else s * temperature if multiply else s / temperature
    if everyone == "all":
        return torch.softmax(logits, -1)
    if everyone == "then mask":
        return torch.softmax(logits, -1) * negatives
    if early:
        weights = torch.exp(logits) * negatives
        return weights / (weights.sum(-1, keepdim=True) + 1e-12)
    logits = logits * negatives if ignore == 0 else logits.masked_fill(~negatives, -math.inf)
    if dim is None:
        return torch.softmax(logits.flatten(), 0).reshape(logits.shape)
    return torch.softmax(logits, dim)


MISTAKES = (
    Mistake(
        "temperature-multiplies",
        "your temperature works backwards: a lower one spreads the push instead of gathering it on the nearest",
        (
            "Compare your shares at temperature 2 and at 0.1. Which row should be closer to even?",
            "Take cosines 0.9 and 0.1. Shares compare exponentials; by hand, how large is their ratio at temperature 0.1?",
            "The temperature is a unit in which cosines are measured. A small unit makes the same difference a large number.",
        ),
        (partial(flawed, multiply=True),),
        ("value", "cold"),
        8,
    ),
    Mistake(
        "others-kept",
        "candidates that are no negatives (the anchor itself, its positive) take part of the push",
        (
            "Add up each row of your shares over the negatives only. What should that be?",
            "Give a candidate that is no negative a cosine of 1. The shares of all others should not change at all. Do yours?",
            "The sum below the fraction runs over negatives and nobody else; setting entries to zero afterwards is too late.",
        ),
        (partial(flawed, everyone="all"), partial(flawed, everyone="then mask")),
        ("value", "cold"),
        9,
    ),
    Mistake(
        "masked-by-zero",
        "a candidate that you struck out still counts as if its cosine were 0",
        (
            "Which number have the logits of those who are no negatives, and what is the exponential of it?",
            "Set all cosines to -1, with one negative for each anchor. Its share must be 1. Who has the rest of yours?",
            "To leave a term out of a sum of exponentials the exponential has to be 0. For which exponent is it?",
        ),
        (partial(flawed, ignore=0.0),),
        ("value", "cold"),
        2,
    ),
    Mistake(
        "exp-before-maximum",
        "exp before the maximum is subtracted: NaN or zeros at low temperature",
        (
            "Look at the largest exponent at temperature 0.01, and at the largest number that float32 can hold.",
            "Add 1 to every cosine in a row: the shares do not change. Do yours, at temperature 0.01?",
            "A common factor cancels between numerator and sum. Choose it so that no exponential can "
            "overflow; the library has a function that does so.",
        ),
        (partial(flawed, early=True),),
        ("cold",),
        4,
    ),
    Mistake(
        "wrong-axis",
        "your shares add up to 1 for the candidates, or for the whole batch, instead of for each anchor",
        (
            "Over what do your shares add up to 1? Print the sums of rows and of columns.",
            "With one anchor and three negatives: what do the three shares add up to? And the share of each candidate alone?",
            "Rows are anchors. Every anchor shares out its own push.",
        ),
        (partial(flawed, dim=0), partial(flawed, dim=None)),
        ("value", "cold"),
    ),
    Mistake(
        "far-pushed-hardest",
        "your push falls on the farthest negatives, not on the nearest",
        (
            "Which negative does the loss want to get rid of: the one at cosine 0.9, or the one at -0.9?",
            "Raise one negative's cosine a little. Does the loss rise more where that cosine was high, or where it was low?",
            "The loss grows with the exponential of each negative's cosine; and its slope does too.",
        ),
        (partial(flawed, sign=-1),),
        ("value", "cold"),
    ),
    Mistake(
        "temperature-unused",
        "your shares do not depend on the temperature",
        (
            "Print your shares at two temperatures.",
            "At temperature 0.01 the nearest negative should have nearly all. Does it?",
            "Cosines are divided by something before they go into the exponential.",
        ),
        (partial(flawed, no_temperature=True),),
        ("value", "cold"),
    ),
)


@exercise("a2.shares", parts={"value": 2, "cold": 1}, cases=cases, mistakes=MISTAKES)
def shares(similarities: Tensor, negatives: Tensor, temperature: float) -> Tensor:
    """Each negative's share of the push of its anchor: rows add up to 1, and who is no negative has 0."""
    return hardness(similarities.masked_fill(~negatives, -math.inf), temperature)
