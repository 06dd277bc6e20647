"""The table of cosines that NT-Xent is made of, and what it costs to know nothing."""

import math
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import normalize

from labkit.contrast import two_views
from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise


def flawed(
    z1: Tensor, z2: Tensor, *, raw: bool = False, columns: bool = False, woven: bool = False, across: bool = False
) -> Tensor:
    z = torch.stack([z1, z2], 1).flatten(0, 1) if woven else torch.cat([z1, z2])
    if columns:
        z = normalize(z, dim=0)
    elif not raw:
        z = normalize(z, dim=1)
    return z[: len(z1)] @ z[len(z1) :].T if across else z @ z.T


def cases(draw: Draw) -> list[Case]:
    n, d = draw.integer(3, 6), draw.integer(3, 5)
    once = {"z1": 3 * draw.rows(n, d), "z2": draw.rows(n, d)}
    twice = {"z1": draw.rows(n + 1, d, torch.float64), "z2": 0.2 * draw.rows(n + 1, d, torch.float64)}
    return [
        Case("cosines", once, says=f"{n} images, {d} dimensions"),
        Case("cosines", twice, tolerance=1e-6, says=f"{n + 1} images, {d} dimensions, float64"),
    ]


MISTAKES = (
    Mistake(
        "not-normalised",
        "your table holds dot products, not cosines: long rows count more than short ones",
        (
            "Look at the diagonal of your table. What is the cosine between a row and itself?",
            "Multiply z1 by ten and call your function again. Directions did not change; did the table?",
            "Every row has to have length one before rows are multiplied with each other.",
        ),
        (partial(flawed, raw=True),),
        ("cosines",),
        5,
    ),
    Mistake(
        "normalised-columns",
        "you made each column one long instead of each row: the vectors of different images were mixed",
        (
            "Look at the diagonal of your table: is it one everywhere?",
            "Add a third image to the batch. Does the cosine between the first two change? It should not.",
            "A vector is a row here. Along which dimension do you have to add up its squares?",
        ),
        (partial(flawed, columns=True),),
        ("cosines",),
        5,
    ),
    Mistake(
        "views-woven",
        "your rows are ordered image by image; asked for are all first views, then all second ones",
        (
            "Call it on two images and write down which row belongs to which view of which image.",
            "With n images, the partner of row 0 should stand in row n. Where does yours stand?",
            "The order of the rows follows from how the two views are joined: one below the other, not in turns.",
        ),
        (partial(flawed, woven=True),),
        ("cosines",),
    ),
    Mistake(
        "only-across-views",
        "your table compares first views with second ones only; all 2N rows are compared with all 2N",
        (
            "What shape does your table have, and what shape is asked for?",
            "Another image's first view is a negative for my first view, too. Where is that pair in your table?",
            "Join the two views to one set of 2N rows before you compare.",
        ),
        (partial(flawed, across=True),),
        ("cosines",),
    ),
)


@exercise("a1.similarity", parts={"cosines": 3}, cases=cases, mistakes=MISTAKES)
def similarity(z1: Tensor, z2: Tensor) -> Tensor:
    """The cosines between all 2N rows, first views first."""
    return two_views(z1, z2).similarity


def sizes(draw: Draw) -> list[Case]:
    return [Case("chance", {"n": n}, says=f"{n} images") for n in (2, draw.integer(3, 20), draw.integer(100, 1000))]


def counted(says: str, first: str, second: str, third: str, name: str, wrong: object) -> Mistake:
    return Mistake(name, says, (first, second, third), (wrong,), ("chance",), 1)  # type: ignore[arg-type]


@exercise(
    "a1.chance",
    parts={"chance": 1},
    cases=sizes,
    mistakes=(
        counted(
            "you counted the anchor among its own candidates",
            "How many rows does one anchor choose from?",
            "Take two images: four rows. Write down what row 0 is compared with.",
            "An anchor never chooses itself, so one of the 2N rows is out.",
            "anchor-counted",
            lambda n: math.log(2 * n),
        ),
        counted(
            "you counted images, not views: both views of every other image are candidates",
            "How many rows does one anchor choose from?",
            "Take two images: four rows. Write down what row 0 is compared with.",
            "The partner is one candidate, and every other image brings two.",
            "images-counted",
            lambda n: math.log(n),
        ),
        counted(
            "you left the positive out of the candidates: the anchor has to find it among the others",
            "How many rows does one anchor choose from?",
            "If only negatives were candidates, which answer would be the right one?",
            "The partner is one of the candidates, besides both views of every other image.",
            "positive-not-counted",
            lambda n: math.log(2 * n - 2),
        ),
    ),
)
def chance(n: int) -> float:
    """The loss when all embeddings are the same, so that every candidate looks alike."""
    return math.log(2 * n - 1)
