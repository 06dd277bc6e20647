"""What the exercises of a5 share: inputs on which wrong answers show, and two views the way a notebook writes them."""

import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.grading.compare import difference
from labkit.grading.draw import Draw
from labkit.grading.exercise import Answerer, Mistake


def views(draw: Draw, n: int = 5, d: int = 3, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    """Two views that have little in common, of all lengths, with two rows of the same direction."""
    z1, z2 = draw.rows(n, d, dtype), 3 * draw.rows(n, d, dtype)
    z1[1] = 2 * z1[0]
    return {"z1": z1, "z2": z2}


def alike(draw: Draw, n: int, d: int, noise: float, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    """Two views that differ by a little noise."""
    z1 = draw.rows(n, d, dtype)
    return {"z1": z1, "z2": 2 * z1 + noise * draw.rows(n, d, dtype)}


def apart(draw: Draw, n: int, noise: float, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """Two views of instances as far from each other as they can be: the corners of a simplex."""
    corners = torch.eye(n, dtype=torch.float64)[torch.tensor(draw.permutation(n))] - 1 / n
    near = [corners + noise * draw.rows(n, n, torch.float64) for _ in range(2)]
    return {"z1": near[0].to(dtype), "z2": 3 * near[1].to(dtype)}


def crowded(draw: Draw, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """Two tight groups of three: even at a very low temperature a partner has others beside it."""
    middle = 2 * F.normalize(draw.rows(2, 4, dtype)).repeat(3, 1)
    return {"z1": middle + 0.2 * draw.rows(6, 4, dtype), "z2": 2 * middle + 0.4 * draw.rows(6, 4, dtype)}


def square(z1: Tensor, z2: Tensor, *, raw: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """All cosines of two views, and the masks of the diagonal and of the partners."""
    z = torch.cat([z1, z2])
    z = z if raw else F.normalize(z, dim=-1)
    itself = torch.eye(len(z), dtype=torch.bool)
    return z @ z.T, itself, itself.roll(len(z1), 0)


def agrees(key: str, right: dict[str, Tensor], tolerance: float):  # type: ignore[no-untyped-def]
    """Accept an answer whose entry of this name is right, whatever the others are."""

    def accepts(got: object) -> bool | str:
        entry = {key: got[key]} if isinstance(got, dict) and key in got else got
        return difference(entry, {key: right[key]}, tolerance) or True

    return accepts


def hot_mistake(mutants: tuple[Answerer, ...], loses: tuple[str, ...]) -> Mistake:
    """Misconception 3, wherever there is a temperature."""
    hints = (
        "Look at what the temperature does to the cosines.",
        "Lower the temperature towards zero. Does the nearest negative of yours take more and more of the push, or less?",
        "A low temperature stretches the differences between cosines until the nearest candidate has everything. In your "
        "answer it shrinks them. The two agree at temperature 1 and nowhere else.",
    )
    return Mistake("temperature-multiplies", "the temperature multiplies in your answer", hints, mutants, loses, 3)


def raw_rows_mistake(mutants: tuple[Answerer, ...], loses: tuple[str, ...]) -> Mistake:
    """Misconception 13, wherever there are embeddings."""
    hints = (
        "Look at what goes into the matrix of similarities.",
        "Multiply one row of the input by ten. Should the loss change?",
        "The length of an embedding means nothing here: the loss looks at directions. Rows have to have length one "
        "before they are compared.",
    )
    return Mistake("rows-not-normalised", "you compared inner products of raw rows and not cosines", hints, mutants, loses, 13)
