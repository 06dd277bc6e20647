"""SupCon two ways: the mean over an anchor's positives outside the logarithm, or inside it."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.grading.a6.flawed import sup_con as flawed
from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise

OUT = {"value": 2.0, "unequal classes": 2.0, "lonely anchors": 1.0, "gradient": 1.0, "cold": 2.0}
IN = {"value": 1.0, "unequal classes": 1.0, "lonely anchors": 1.0, "cold": 1.0}


def cases(draw: Draw, parts: tuple[str, ...]) -> list[Case]:
    """Few rows of any length; equal classes, unequal ones, classes of one; a pair of equal rows and opposite ones, cold."""

    def rows(sizes: tuple[int, ...], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        labels = 3 * draw.labels(sizes) + 1
        return draw.rows(len(labels), 3, dtype) * (0.2 + draw.rows(len(labels), 1, dtype).abs()), labels

    def case(part: str, sizes: tuple[int, ...], temperature: float, dtype: torch.dtype = torch.float64) -> Case:
        z, labels = rows(sizes, dtype)
        if part == "cold":
            first, second = (labels == labels[0]).nonzero()[:2, 0]
            z[second] = 2 * z[first]
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
        case("cold", (2, 2, 2), draw.numbers(0.005, 0.008), torch.float32),
    ]
    return [case for case in every if case.part in parts]


LONELY = (
    "Which anchors of the part `lonely anchors` have nobody of their class?",
    "An anchor without a positive is asked for a partner that is not there. What could its answer be?",
    "Such anchors stay among the candidates of the others, and are left out of the mean.",
)


def common(flawed: partial[Tensor], parts: tuple[str, ...]) -> tuple[Mistake, ...]:
    """Mistakes that both forms share."""

    def mutant(**switches: object) -> partial[Tensor]:
        return partial(flawed.func, **{**flawed.keywords, **switches})

    return (
        Mistake(
            "lonely-anchor-is-nan",
            "an anchor without any positive makes the whole loss NaN",
            LONELY,
            (mutant(lonely="nan"),),
            ("lonely anchors",),
            number=28,
        ),
        Mistake(
            "lonely-anchor-as-zero",
            "an anchor without any positive counts as a loss of 0, and the mean comes out too low",
            LONELY,
            (mutant(lonely="zero"),),
            ("lonely anchors",),
            number=28,
        ),
        Mistake(
            "anchor-among-its-positives",
            "the anchor is among its own positives",
            (
                "How many positives has an anchor in a class of three?",
                "With whom has everybody a cosine of 1 for nothing?",
                "The same label is not enough: a positive is somebody else.",
            ),
            (mutant(own=True),),
            parts,
            number=29,
        ),
        Mistake(
            "anchor-in-denominator",
            "your denominator includes the anchor itself",
            (
                "How many candidates has an anchor in a batch of nine?",
                "Set all rows equal. The loss of n rows should be the logarithm of n - 1.",
                "The anchor never competes with others for itself.",
            ),
            (mutant(candidates="everyone"),),
            parts,
            number=1,
        ),
        Mistake(
            "positives-not-in-denominator",
            "only other classes are in your denominator; the positives belong there as well",
            (
                "Can your loss be negative? Try two tight classes far apart.",
                "A share of a whole is at most 1. Of which whole are the positives a share?",
                "Everybody but the anchor is a candidate.",
            ),
            (mutant(candidates="strangers"),),
            parts,
        ),
        Mistake(
            "temperature-multiplies",
            "the temperature multiplies the cosines instead of dividing them",
            (
                "Compare your loss at a low and at a high temperature.",
                "A cold softmax picks the nearest. Does yours, as the temperature falls?",
                "Low temperatures make differences between cosines larger.",
            ),
            (mutant(multiplied=True),),
            parts,
            number=3,
        ),
        Mistake(
            "exp-before-maximum",
            "exponentials overflow: infinite or NaN at a temperature of 0.01",
            (
                "What is the exponential of 100 in float32?",
                "A small number added inside a logarithm does not help when the sum is infinite.",
                "A quotient of exponentials does not change when all exponents are lowered by the same number.",
            ),
            (mutant(stable=False), mutant(stable=False, floor=1e-12)),
            ("cold",),
            number=4,
        ),
        Mistake(
            "rescaled",
            "your loss carries a factor that is not in the formula: the temperature over a base temperature",
            (
                "By which factor are you off? Look at two temperatures.",
                "Published code has such a factor, so that learning rates carry over. Is it in the formula here?",
                "The mean over anchors is the last step.",
            ),
            (mutant(scaled=True),),
            parts,
        ),
        Mistake(
            "sum-over-anchors",
            "you add up the anchors where their mean is asked for",
            (
                "By which factor are you off?",
                "Put every row twice. Should the loss double?",
                "How many anchors have a positive?",
            ),
            (mutant(total=True),),
            parts,
        ),
        Mistake(
            "not-normalised",
            "longer rows change your loss: these are dot products, not cosines",
            (
                "Double one row. Does the loss change?",
                "The rows come in any length.",
                "Compare directions.",
            ),
            (mutant(unit=False),),
            parts,
            number=13,
        ),
    )


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
