"""The lookup table: an embedding that has seen nothing but the number of each image."""

from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import normalize

from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise


def cases(draw: Draw) -> list[Case]:
    def case(part: str, n: int, d: int, m: int, dtype: torch.dtype) -> Case:
        images = torch.tensor([draw.integer(0, n - 1) for _ in range(m - 2)] + [n - 1, n - 1])
        return Case(part, {"images": images, "directions": 3 * draw.rows(n, d, dtype)}, says=f"{m} views of {n} images")

    return [
        case("table", 5, 3, 9, torch.float64),
        case("table", 7, 4, 5, torch.float32),
        case("table", 6, 3, 6, torch.float64),
    ]


def flawed(
    images: Tensor, directions: Tensor, *, raw: bool = False, order: bool = False, same: bool = False, dim: int = 1
) -> Tensor:
    """The table with switches for what goes wrong."""
    z = directions if raw else normalize(directions, dim=dim)
    where = torch.arange(len(images)) % len(z) if order else torch.zeros_like(images) if same else images
    return z[where]


MISTAKES = (
    Mistake(
        "views-apart",
        "two views of one image get different directions: your table looks at the row, not at the image",
        (
            "Give it the same image twice. Are the two rows the same?",
            "What is the alignment of your two views? It should be 0.",
            "Who decides which direction a view gets: its place in the batch, or the image it shows?",
        ),
        (partial(flawed, order=True),),
        ("table",),
        14,
    ),
    Mistake(
        "off-the-sphere",
        "your rows are not of length one",
        (
            "Print the lengths of your rows.",
            "Which of the two meters changes when a direction is ten times as long?",
            "A direction has no length: make it one.",
        ),
        (partial(flawed, raw=True), partial(flawed, dim=0)),
        ("table",),
        13,
    ),
    Mistake(
        "collapsed",
        "all images get the same direction: aligned, and not even at all",
        (
            "What is the uniformity of your embedding?",
            "Give it two different images. Are the two rows the same?",
            "Each image has a direction of its own.",
        ),
        (partial(flawed, same=True),),
        ("table",),
    ),
)


@exercise("a3.lookup_table", parts={"table": 2}, cases=cases, mistakes=MISTAKES)
def lookup_table(images: Tensor, directions: Tensor) -> Tensor:
    """Each view's embedding: the direction of the image that it shows, of length one."""
    return normalize(directions[images], dim=1)
