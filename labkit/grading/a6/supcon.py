"""SupCon two ways: the mean over an anchor's positives outside the logarithm, or inside it."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.grading.a6.flawed import sup_con as flawed
from labkit.grading.a6.mistakes import common
from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise

OUT = {"value": 2.0, "unequal classes": 2.0, "lonely anchors": 1.0, "gradient": 1.0, "cold": 2.0}
IN = {"value": 1.0, "unequal classes": 1.0, "lonely anchors": 1.0, "cold": 1.0}


def cold(draw: Draw, labels: Tensor, dtype: torch.dtype) -> Tensor:
    """Two alike, a third of their class far from them and beside a stranger; nobody opposite to anybody.

    So some shares are tiny, but none that matters is below what float32 can hold.
    """
    mine, others = (labels == labels[0]).nonzero()[:, 0], (labels != labels[0]).nonzero()[:, 0]
    z = 0.3 * draw.rows(len(labels), 3, dtype) / 3**0.5 + torch.tensor([0.8, 0.6, 0.0], dtype=dtype)
    z[mine[:3]] = torch.tensor([[1.5, 0, 0], [3.0, 0, 0], [0.5, 0.75**0.5, 0]], dtype=dtype)
    z[others[0]] = z[mine[2]] + 0.1 * draw.rows(1, 3, dtype)[0]
    return z


def cases(draw: Draw, parts: tuple[str, ...]) -> list[Case]:
    """Few rows of any length; equal classes, unequal ones, classes of one; a pair of equal rows and opposite ones, cold."""

    def rows(sizes: tuple[int, ...], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        labels = 3 * draw.labels(sizes) + 1
        return draw.rows(len(labels), 3, dtype) * (0.2 + draw.rows(len(labels), 1, dtype).abs()), labels

    def case(part: str, sizes: tuple[int, ...], temperature: float, dtype: torch.dtype = torch.float64) -> Case:
        z, labels = rows(sizes, dtype)
        if part == "cold":
            z = cold(draw, labels, dtype)
        words = f"classes of {', '.join(map(str, sizes))}; temperature {temperature:g}, {str(dtype).removeprefix('torch.')}"
        tolerance = 1e-5 if dtype == torch.float64 else 1e-4
        inputs = {"z": z, "labels": labels, "temperature": temperature}
        return Case(part, inputs, ("z",) if part == "gradient" else (), tolerance, says=words)

    warm = draw.numbers(0.2, 0.6)
    every = [
        case("value", (3, 3, 3), warm),
        case("value", (2, 2, 2, 2), draw.numbers(0.1, 0.3), torch.float32),
        case("unequal classes", (2, 5), warm),
        case("unequal classes", (2, 3, 4), draw.numbers(0.15, 0.5), torch.float32),
        case("lonely anchors", (1, 3, 3), warm),
        case("lonely anchors", (1, 1, 2, 2), draw.numbers(0.15, 0.5), torch.float32),
        case("gradient", (3, 3), draw.numbers(0.2, 0.6)),
        case("cold", (3, 3, 3), 0.01, torch.float32),
        case("cold", (3, 3), draw.numbers(0.009, 0.012), torch.float32),
    ]
    return [case for case in every if case.part in parts]


def out_cases(draw: Draw) -> list[Case]:
    return cases(draw, tuple(OUT))


def in_cases(draw: Draw) -> list[Case]:
    return cases(draw, tuple(IN))


@exercise(
    "a6.sup_con_out",
    parts=OUT,
    cases=out_cases,
    mistakes=(
        Mistake(
            "inside-for-outside",
            "you take the mean over the positives inside the logarithm; here it stands outside",
            (
                "In which order do your logarithm and your mean over positives come?",
                "Take an anchor with a near positive and a far one. Does the far one matter to your loss?",
                "Outside: every positive has a loss of its own, and their mean is taken.",
            ),
            (partial(flawed, form="in"),),
            tuple(OUT),
            number=26,
        ),
        Mistake(
            "divided-by-the-batch",
            "you divide by the size of the batch, not by the number of the anchor's positives",
            (
                "By which factor are you off for classes of equal size? Is it the same for two classes as for four?",
                "Let an anchor's positives all have the same cosine. Should it matter how many strangers there are?",
                "Each anchor has a number of its own to divide by.",
            ),
            (partial(flawed, divide="batch"), partial(flawed, divide="nothing")),
            tuple(OUT),
            number=27,
        ),
        Mistake(
            "mean-over-pairs",
            "you take one mean over all pairs, so that anchors of large classes count more",
            (
                "Your loss is right where classes have equal sizes.",
                "A class of five has twenty ordered pairs, a class of two has two. How much should each anchor count?",
                "First every anchor by itself, over its positives; then the anchors.",
            ),
            (partial(flawed, divide="pairs"),),
            ("unequal classes",),
            number=27,
        ),
        Mistake(
            "gradient-to-anchors-only",
            "the gradient reaches the anchors, and not the rows that they are compared with",
            (
                "The value is right and the gradient is not. What did you detach?",
                "Every row is an anchor once, and a candidate of all others. Which of the two moves it in yours?",
                "Nothing stands still in this loss.",
            ),
            (partial(flawed, constant=True),),
            ("gradient",),
        ),
        *common(partial(flawed), tuple(OUT)),
    ),
)
def sup_con_out(z: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """SupCon with the mean over positives outside the logarithm: the mean over anchors that have a positive."""
    log_p, positive = shares(z, labels, temperature)
    found = positive.any(1)
    each = -(log_p.masked_fill(~positive, 0.0)).sum(1)[found] / positive.sum(1)[found]
    return each.mean()


@exercise(
    "a6.sup_con_in",
    parts=IN,
    cases=in_cases,
    mistakes=(
        Mistake(
            "outside-for-inside",
            "you take the mean over the positives outside the logarithm; here it stands inside",
            (
                "In which order do your logarithm and your mean over positives come?",
                "Take an anchor with a near positive and a far one. Inside, the far one should hardly matter. Does it?",
                "Inside: the positives' shares are averaged, and one logarithm is taken of that.",
            ),
            (partial(flawed),),
            tuple(IN),
            number=26,
        ),
        Mistake(
            "sum-inside",
            "inside the logarithm you add up the positives' shares where their mean is asked for",
            (
                "By how much are you off for classes of three? Of what is that the logarithm?",
                "Can your loss be 0? With several positives, shares of a whole, their mean cannot be 1.",
                "Each anchor has a number of its own to divide by.",
            ),
            (partial(flawed, form="in", divide="nothing"),),
            tuple(IN),
            number=27,
        ),
        *common(partial(flawed, form="in"), tuple(IN)),
    ),
)
def sup_con_in(z: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """SupCon with the mean over positives inside the logarithm: the mean over anchors that have a positive."""
    log_p, positive = shares(z, labels, temperature)
    found = positive.any(1)
    each = positive.sum(1)[found].log() - log_p.masked_fill(~positive, -torch.inf)[found].logsumexp(1)
    return each.mean()


def shares(z: Tensor, labels: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """The logarithm of each candidate's share in the choice of each anchor, and which of them are positives."""
    z = F.normalize(z, dim=1)
    itself = torch.eye(len(z), dtype=torch.bool)
    logits = (z @ z.T / temperature).masked_fill(itself, -torch.inf)
    return logits - logits.logsumexp(1, keepdim=True), (labels[:, None] == labels) & ~itself
