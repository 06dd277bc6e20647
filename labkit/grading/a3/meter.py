"""The meter of evenness: the log of a mean over pairs, where every word of this can go wrong."""

import math
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import normalize

from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise
from labkit.metrics.geometry import uniformity as meter


def cloud(draw: Draw, dtype: torch.dtype = torch.float64, n: int = 5, d: int = 3) -> Tensor:
    """Rows of all lengths, the last a duplicate of the first."""
    z = 2 * draw.rows(n, d, dtype)
    z[-1] = z[0]
    return z


def corners(draw: Draw, dtype: torch.dtype) -> Tensor:
    """Four rows that are all far from each other, of all lengths."""
    z = torch.linalg.qr(draw.rows(4, 4, torch.float64)).Q + 0.1 * draw.rows(4, 4, torch.float64)
    return (z * (0.5 + draw.rows(4, 1, torch.float64).abs())).to(dtype)


def cases(draw: Draw) -> list[Case]:
    small = draw.numbers(0.5, 1.5)
    return [
        Case("value", {"z": cloud(draw), "t": 2.0}, says="t = 2, float64"),
        Case("value", {"z": cloud(draw, torch.float32, 6), "t": small}, says=f"t = {small:g}, float32"),
        Case("gradient", {"z": cloud(draw), "t": 2.0}, ("z",), says="t = 2, one row twice"),
        Case("gradient", {"z": cloud(draw, n=7, d=2), "t": small}, ("z",), says=f"t = {small:g}, one row twice"),
        Case("large t", {"z": corners(draw, torch.float32), "t": 200.0}, tolerance=1e-4, says="t = 200, float32"),
        Case("large t", {"z": corners(draw, torch.float64), "t": 2000.0}, says="t = 2000, float64"),
    ]


def flawed(
    z: Tensor,
    t: float,
    *,
    inside: str = "exp",
    pairs: str = "i < j",
    squared: bool = True,
    norm: int | None = 1,
    early: float | None = None,
    root: bool = False,
    sign: int = 1,
    total: bool = False,
    ordered: bool = False,
    no_t: bool = False,
) -> Tensor:
    """Uniformity with switches for what goes wrong."""
    z = z if norm is None else normalize(z, dim=norm)
    square = (z[:, None] - z).square().sum(-1)
    if root:
        square = square.sqrt().square()
    n = len(z)
    chosen = torch.ones(n, n, dtype=torch.bool) if pairs == "all" else torch.ones(n, n, dtype=torch.bool).triu(1)
    if pairs == "i <= j":
        chosen = torch.ones(n, n, dtype=torch.bool).triu(0)
    distances = square[chosen]
    distances = distances if squared else (distances + 1e-12).sqrt()
    energies = -(1.0 if no_t else t) * distances
    if inside == "log":  # the mean of the logs
        return sign * energies.mean()
    if inside == "no log":
        return sign * energies.exp().mean()
    if early is not None:
        return sign * torch.log(energies.exp().mean() + early)
    return sign * (energies.logsumexp(0) - (0.0 if total else math.log(len(energies) * (1 + ordered))))


EVERY = ("value", "gradient", "large t")
MISTAKES = (
    Mistake(
        "mean-of-logs",
        "you averaged the logs, where the log of the average is asked for: yours is the mean squared distance, times -t",
        (
            "In which order do mean and logarithm stand in the formula?",
            "Two pairs of points, one at distance 0 and one at distance 2. Work out both orders by hand, for t of 2.",
            "An average of potentials is ruled by near pairs. Which pairs rule your average?",
        ),
        (partial(flawed, inside="log"),),
        EVERY,
        11,
    ),
    Mistake(
        "diagonal-counted",
        "every point counts as its own neighbour: pairs of a point with itself have potential 1 and pull the meter towards 0",
        (
            "How many pairs do five points form? How many do you average over?",
            "Two opposite points, t of 2: the meter should say -8. What does yours say?",
            "A point is at distance 0 from itself, always; that says nothing about evenness.",
        ),
        (partial(flawed, pairs="all"), partial(flawed, pairs="i <= j")),
        EVERY,
        12,
    ),
    Mistake(
        "distance-not-squared",
        "the distance in your exponent is not squared",
        (
            "Two opposite points are at distance 2. What stands in the exponent, for t of 2?",
            "Compute the meter of two opposite points by hand, and compare.",
            "Library functions for distances give the root of what you need.",
        ),
        (partial(flawed, squared=False),),
        EVERY,
        13,
    ),
    Mistake(
        "not-normalised",
        "your points are not on the sphere: long rows are far from everything, and that looks like evenness",
        (
            "Multiply the embeddings by ten. Does the meter change? Should it?",
            "What is the largest distance that two points on the sphere can have? Print yours.",
            "Directions are compared, so every row has to have length one first.",
        ),
        (partial(flawed, norm=None),),
        EVERY,
        13,
    ),
    Mistake(
        "columns-normalised",
        "you normalised columns, not rows",
        (
            "Print the length of every row before you take distances.",
            "Add one more point. Do the distances between the others change?",
            "A point is a row. Which dimension runs along it?",
        ),
        (partial(flawed, norm=0),),
        EVERY,
        5,
    ),
    Mistake(
        "underflow",
        "at large t all your potentials round to zero before the log is taken: minus infinity, or whatever you added inside",
        (
            "What is the exponential of -300 in float32?",
            "Two points at a right angle: the meter is -2t. Raise t step by step. Where do you stop being right?",
            "Factor the largest potential out of the sum before anything is exponentiated; there is a function that does so.",
        ),
        (partial(flawed, early=0.0), partial(flawed, early=1e-8)),
        ("large t",),
        4,
    ),
    Mistake(
        "root-of-zero",
        "two points at the same place make your gradient NaN",
        (
            "Value right, gradient NaN: at which pair does it arise?",
            "What is the slope of the square root at 0?",
            "You need squared distances. Is there any reason to take a root on the way?",
        ),
        (partial(flawed, root=True),),
        ("gradient",),
    ),
    Mistake(
        "sign-turned",
        "your meter is larger for more even points; uniformity is smaller, the more evenly points lie",
        (
            "Compare points spread about the circle with points in a heap. Which should have the lower value?",
            "What is the meter of points that all coincide? Move them apart: which way does it go?",
            "Potentials lie between 0 and 1. What sign has the log of such a number?",
        ),
        (partial(flawed, sign=-1),),
        EVERY,
        15,
    ),
    Mistake(
        "sum-for-mean",
        "you added the potentials up: the meter grows with the number of points",
        (
            "What is the meter of points that all coincide? It should not depend on how many there are.",
            "Put every point in twice. The meter should hardly move.",
            "The log of a mean differs from the log of a sum by the log of a count.",
        ),
        (partial(flawed, total=True),),
        EVERY,
    ),
    Mistake(
        "pairs-counted-twice",
        "you added every pair once and divided as if each had been there twice: the log of 2 too low",
        (
            "What is your meter of points that all coincide? It should be 0.",
            "How many pairs do five points form? By how many do you divide?",
            "What is added up and what it is divided by must count pairs in the same way.",
        ),
        (partial(flawed, ordered=True),),
        EVERY,
        12,
    ),
    Mistake(
        "log-missing",
        "you stopped before the logarithm",
        (
            "Is your number between 0 and 1?",
            "What should the meter be for two opposite points?",
            "The mean potential is nearly there: one function is missing.",
        ),
        (partial(flawed, inside="no log"),),
        EVERY,
    ),
    Mistake(
        "t-unused",
        "your meter does not depend on t",
        (
            "Call it at two values of t.",
            "Two opposite points: -4t. And yours?",
            "t says how fast the potential falls with the squared distance.",
        ),
        (partial(flawed, no_t=True),),
        EVERY,
    ),
)


@exercise("a3.uniformity", parts={"value": 2, "gradient": 1, "large t": 1}, cases=cases, mistakes=MISTAKES)
def uniformity(z: Tensor, t: float) -> Tensor:
    """The log of the mean Gaussian potential between different points on the sphere."""
    return meter(z, t=t)
