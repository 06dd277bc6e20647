"""How low uniformity can be: for infinitely many points, and for n."""

import math
from functools import partial

import numpy as np
from scipy import special

from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise
from labkit.metrics.geometry import uniform_limit


def limit_cases(draw: Draw) -> list[Case]:
    def case(part: str, d: int, t: float) -> Case:
        return Case(part, {"d": d, "t": t}, tolerance=1e-5 if t < 100 else 1e-3, says=f"d = {d}, t = {t:g}")

    return [
        case("value", 2, 2.0),
        case("value", draw.integer(3, 7), draw.numbers(0.4, 0.9)),
        case("value", draw.integer(20, 130), draw.numbers(1.5, 4)),
        case("large t", draw.integer(3, 6), draw.numbers(400, 500)),
        case("large t", 2, draw.numbers(400, 500)),
    ]


def flawed_limit(
    d: int,
    t: float,
    *,
    half: bool = True,
    square: bool = True,
    factor: bool = True,
    log: bool = True,
    early: bool = False,
    infinite: bool = False,
    terms: int = 0,
) -> float:
    """The limit with switches for what goes wrong."""
    if infinite:
        return -2.0 * t
    order, x = (d / 2 if half else float(d)), (t**2 if square else t)
    k = np.arange(terms or int(3 * t) + 64)
    series = k * math.log(x) - special.gammaln(k + 1) - special.gammaln(k + order) + special.gammaln(order)
    if early:  # the function first, then its logarithm
        with np.errstate(all="ignore"):
            return float(np.log(np.exp(-2 * t) * np.exp(series).sum()))
    value = float(special.logsumexp(series)) - (2 * t if factor else 0.0)
    return value if log else math.exp(value)


EVERY = ("value", "large t")
LIMIT_MISTAKES = (
    Mistake(
        "whole-dimension",
        "your formula has the dimension where half of it belongs",
        (
            "Check it on a case that you can do otherwise: in three dimensions the mean of exp(c x) is sinh(c) over c.",
            "Draw ten thousand random directions and measure their uniformity. Is that your number?",
            "Look at the first argument of the function in the formula once more.",
        ),
        (partial(flawed_limit, half=False),),
        EVERY,
    ),
    Mistake(
        "t-not-squared",
        "your formula has t where its square belongs",
        (
            "Which of your checks was at a t other than 1?",
            "Draw ten thousand random directions and measure their uniformity, at t of 3.",
            "Look at the second argument of the function in the formula once more.",
        ),
        (partial(flawed_limit, square=False),),
        EVERY,
    ),
    Mistake(
        "factor-forgotten",
        "your number is positive: the constant part of the squared distance is missing",
        (
            "Can a mean of potentials be larger than 1?",
            "Expand the squared distance of two unit vectors. Which part of it does not depend on their angle?",
            "Three times the cosine is not all that stands in the exponent: there is a constant as well.",
        ),
        (partial(flawed_limit, factor=False),),
        EVERY,
    ),
    Mistake(
        "infinite-dimension",
        "you took all points to be at right angles; in few dimensions many are near each other",
        (
            "Does your limit depend on the dimension?",
            "On a circle, how far is a random point from another? Is the mean potential the potential of the mean?",
            "As the dimension grows you become right. At 2 you are far off.",
        ),
        (partial(flawed_limit, infinite=True),),
        EVERY,
        11,
    ),
    Mistake(
        "log-missing",
        "you gave the mean potential, not its logarithm",
        (
            "Is your number between 0 and 1?",
            "Which sign does uniformity have?",
            "One function is missing, the last.",
        ),
        (partial(flawed_limit, log=False),),
        EVERY,
    ),
    Mistake(
        "overflow",
        "at large t one factor of your product overflows while the other rounds to zero",
        (
            "Print both factors at t of 400.",
            "In three dimensions the answer is about minus the log of 4t. What do you have?",
            "Add logarithms instead of multiplying. All terms of the series are positive, so that their logarithms exist.",
        ),
        (partial(flawed_limit, early=True),),
        ("large t",),
        4,
    ),
    Mistake(
        "series-cut-short",
        "you cut the series off before its largest terms, when t is large",
        (
            "At which k is the term of the series largest, for t of 400?",
            "Double the number of terms. Does your answer move?",
            "The largest term comes at about k of t.",
        ),
        (partial(flawed_limit, terms=40),),
        ("large t",),
    ),
)


@exercise("a3.limit", parts={"value": 2, "large t": 1}, cases=limit_cases, mistakes=LIMIT_MISTAKES)
def limit(d: int, t: float) -> float:
    """The uniformity of infinitely many points, spread evenly over the sphere of d dimensions."""
    return uniform_limit(d, t)


# ---------------------------------------------------------------- and for n points


def bound_cases(draw: Draw) -> list[Case]:
    def case(part: str, n: int, d: int, t: float) -> Case:
        return Case(part, {"n": n, "limit": uniform_limit(d, t), "t": t}, tolerance=1e-6, says=f"{n} points in {d} dimensions")

    return [
        case("many", draw.integer(12, 40), 2, 2.0),
        case("many", draw.integer(150, 400), draw.integer(5, 8), draw.numbers(1.5, 2)),
        case("few", draw.integer(3, 6), 16, 2.0),  # few enough that n times the potential stays below 1
        case("few", math.ceil(1.05 * math.exp(-uniform_limit(8, 2.0))), 8, 2.0),  # just above 1: the simplex says more
        case("few", 2, draw.integer(2, 4), draw.numbers(1.5, 3)),
    ]


def flawed_bound(
    n: int,
    limit: float,
    t: float,
    *,
    same: bool = False,
    logs: bool = False,
    never: str = "",
    apart: bool = True,
    over: str = "n - 1",
    least: bool = False,
) -> float:
    """The bound with switches for what goes wrong."""
    if same:
        return limit
    if logs:  # n times a negative number, less 1: nothing to take the logarithm of
        return math.nan
    excess = n * math.exp(limit) - 1
    simplex = -2 * t * (n / (n - 1) if apart else 1)
    if never == "kernel":
        return simplex
    if excess <= 0:
        return math.nan if never == "simplex" else simplex
    kernel = math.log(excess / (n if over == "n" else n - 1))
    return kernel if never == "simplex" else min(kernel, simplex) if least else max(kernel, simplex)


BOUND_MISTAKES = (
    Mistake(
        "limit-for-bound",
        "you took the value of infinitely many points as a bound for n of them; a few points can lie below it",
        (
            "Two opposite points: which uniformity do they have? And what is your bound?",
            "Descend with 16 points on a circle. Where do they stop, above or below your bound?",
            "Of the n times n pairs, how many does the meter leave out? The limit is about all of them.",
        ),
        (partial(flawed_bound, same=True),),
        ("many", "few"),
    ),
    Mistake(
        "log-for-potential",
        "you put the logarithm of the mean potential where the potential itself belongs",
        (
            "What does your function take in: a potential, or its logarithm?",
            "A mean potential lies between 0 and 1. Does the number in your formula?",
            "Undo the logarithm first.",
        ),
        (partial(flawed_bound, logs=True),),
        ("many", "few"),
    ),
    Mistake(
        "few-points-forgotten",
        "for few points your logarithm has nothing to work on: there the other bound is the one that holds",
        (
            "What is n times M for three points in sixteen dimensions?",
            "Compare both bounds for 23 points in 8 dimensions. Which one says more?",
            "Both are true wherever they exist, so the larger of them is.",
        ),
        (partial(flawed_bound, never="simplex"),),
        ("few",),
    ),
    Mistake(
        "simplex-only",
        "your bound is that of a simplex; many points in few dimensions cannot all be that far apart",
        (
            "Does your bound know the dimension?",
            "Can 100 points on a circle all be at right angles or further apart?",
            "There are two bounds, and the second one uses the limit.",
        ),
        (partial(flawed_bound, never="kernel"),),
        ("many",),
    ),
    Mistake(
        "right-angles",
        "you let different points be at right angles at best; a few points can be further apart",
        (
            "What is the uniformity of two opposite points, and what is your bound?",
            "Three points on a circle, 120 degrees apart: their squared distance?",
            "Squared distances of n points average at most a little more than 2.",
        ),
        (partial(flawed_bound, apart=False),),
        ("few",),
    ),
    Mistake(
        "pairs-counted-wrong",
        "after taking the diagonal away you still divide by all pairs",
        (
            "How many pairs of different points are there among n times n?",
            "Let all points coincide, so that M is 1: the bound should be 0. And yours?",
            "Take the n ones away above the line and below it.",
        ),
        (partial(flawed_bound, over="n"),),
        ("many",),
    ),
    Mistake(
        "weaker-of-the-two",
        "you give the weaker of the two bounds",
        (
            "Two statements: at least 3, and at least 5. Which one do you keep?",
            "Compare with what descent finds for 16 points on a circle: is there a gap?",
            "The better lower bound is the higher one.",
        ),
        (partial(flawed_bound, least=True),),
        ("many", "few"),
    ),
)


@exercise("a3.bound", parts={"many": 2, "few": 1}, cases=bound_cases, mistakes=BOUND_MISTAKES)
def bound(n: int, limit: float, t: float) -> float:
    """What the uniformity of n points can never fall below, given the limit for infinitely many."""
    simplex, excess = -2 * t * n / (n - 1), n * math.exp(limit) - 1
    return max(simplex, math.log(excess / (n - 1))) if excess > 0 else simplex
