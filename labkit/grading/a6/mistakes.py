"""Mistakes that both forms of SupCon share."""

from functools import partial
from typing import Any, NamedTuple

from torch import Tensor

from labkit.grading.exercise import Mistake

LONELY = (
    "Which anchors of the part `lonely anchors` have nobody of their class?",
    "An anchor without a positive is asked for a partner that is not there. What could its answer be?",
    "Such anchors stay among the candidates of the others, and are left out of the mean.",
)


class Shared(NamedTuple):
    """A mistake as `Mistake` has it, but for its mutants: switches of the one flawed function."""

    name: str
    says: str
    hints: tuple[str, str, str]
    switches: tuple[dict[str, Any], ...]
    loses: str  # a part, "all" of them, or all but the cold one: "warm"
    number: int = 0


SHARED = (
    Shared(
        "lonely-anchor-is-nan",
        "an anchor without any positive makes the whole loss NaN",
        LONELY,
        ({"lonely": "nan"},),
        "lonely anchors",
        number=28,
    ),
    Shared(
        "lonely-anchor-as-zero",
        "an anchor without any positive counts as a loss of 0, and the mean comes out too low",
        LONELY,
        ({"lonely": "zero"},),
        "lonely anchors",
        number=28,
    ),
    Shared(
        "anchor-among-its-positives",
        "the anchor is among its own positives",
        (
            "How many positives has an anchor in a class of three?",
            "With whom has everybody a cosine of 1 for nothing?",
            "The same label is not enough: a positive is somebody else.",
        ),
        ({"own": True},),
        "all",
        number=29,
    ),
    Shared(
        "anchor-in-denominator",
        "your denominator includes the anchor itself",
        (
            "How many candidates has an anchor in a batch of nine?",
            "Set all rows equal. The loss of n rows should be the logarithm of n - 1.",
            "The anchor never competes with others for itself.",
        ),
        ({"candidates": "everyone"},),
        "all",
        number=1,
    ),
    Shared(
        "masked-by-multiplication",
        "you multiply the anchor's own logit by 0, and a logit of 0 still counts in the sum",
        (
            "Let everybody be far away. Is there still somebody in your denominator?",
            "The exponential of 0 is 1, and no probability at all.",
            "Which logit makes a candidate impossible?",
        ),
        ({"candidates": "zeroed"},),
        "warm",
        number=2,
    ),
    Shared(
        "positives-not-in-denominator",
        "only other classes are in your denominator; the positives belong there as well",
        (
            "Can your loss be negative? Try two tight classes far apart.",
            "A share of a whole is at most 1. Of which whole are the positives a share?",
            "Everybody but the anchor is a candidate.",
        ),
        ({"candidates": "strangers"},),
        "all",
    ),
    Shared(
        "other-positives-left-out",
        "each positive competes with the other classes alone; the anchor's other positives are missing beside it",
        (
            "Is your loss right for classes of two, and wrong for larger ones?",
            "Three equal rows and nobody else: an anchor chooses between two partners. What does that cost, and what in yours?",
            "Everybody but the anchor is a candidate, whichever positive is asked about.",
        ),
        ({"candidates": "strangers and one"},),
        "all",
    ),
    Shared(
        "temperature-multiplies",
        "the temperature multiplies the cosines instead of dividing them",
        (
            "Compare your loss at a low and at a high temperature.",
            "A cold softmax picks the nearest. Does yours, as the temperature falls?",
            "Low temperatures make differences between cosines larger.",
        ),
        ({"multiplied": True},),
        "all",
        number=3,
    ),
    Shared(
        "exp-before-maximum",
        "exponentials overflow: infinite or NaN at a temperature of 0.01",
        (
            "What is the exponential of 100 in float32?",
            "A small number added inside a logarithm does not help when the sum is infinite.",
            "A quotient of exponentials does not change when all exponents are lowered by the same number.",
        ),
        ({"stable": False}, {"stable": False, "floor": 1e-12}),
        "cold",
        number=4,
    ),
    Shared(
        "small-number-in-the-logarithm",
        "a small number added inside the logarithm caps the loss of positives that are far away",
        (
            "Take a far positive at a low temperature, and move it farther. Does your loss still rise?",
            "How large is the logarithm of your small number? No loss can get beyond that.",
            "If you never leave the logarithms, nothing has to be guarded.",
        ),
        ({"capped": 1e-12}, {"capped": 1e-10}),
        "cold",
        number=4,
    ),
    Shared(
        "rescaled",
        "your loss carries a factor that is not in the formula: the temperature over a base temperature",
        (
            "By which factor are you off? Look at two temperatures.",
            "Published code has such a factor, so that learning rates carry over. Is it in the formula here?",
            "The mean over anchors is the last step.",
        ),
        ({"scaled": True},),
        "all",
    ),
    Shared(
        "sum-over-anchors",
        "you add up the anchors where their mean is asked for",
        (
            "By which factor are you off?",
            "Put every row twice. Should the loss double?",
            "How many anchors have a positive?",
        ),
        ({"total": True},),
        "all",
    ),
    Shared(
        "not-normalised",
        "longer rows change your loss: these are dot products, not cosines",
        (
            "Double one row. Does the loss change?",
            "The rows come in any length.",
            "Compare directions.",
        ),
        ({"unit": False},),
        "all",
        number=13,
    ),
)


def common(flawed: partial[Tensor], parts: tuple[str, ...]) -> tuple[Mistake, ...]:
    """The mistakes of one form, which has these parts."""
    loses = {"all": parts, "warm": tuple(part for part in parts if part != "cold")}
    return tuple(
        Mistake(
            each.name,
            each.says,
            each.hints,
            tuple(partial(flawed.func, **{**flawed.keywords, **switches}) for switches in each.switches),
            loses.get(each.loses, (each.loses,)),
            each.number,
        )
        for each in SHARED
    )
