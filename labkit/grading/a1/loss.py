"""NT-Xent: once as a loop, once in one go, and once on a reader's own numbers."""

from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from labkit.grading.a1.mistakes import MISTAKES, flawed
from labkit.grading.draw import Draw, given, givens
from labkit.grading.exercise import Case, exercise
from labkit.losses import nt_xent as loss


def cases(draw: Draw) -> list[Case]:
    n, d = draw.integer(4, 6), 3
    warm, cool, cold = draw.numbers(0.4, 0.7), draw.numbers(1.5, 3), draw.numbers(0.006, 0.01)

    def pair(dtype: torch.dtype = torch.float32, rows: int = n) -> dict[str, Any]:
        z1, z2 = 2 * draw.rows(rows, d, dtype), draw.rows(rows, d, dtype)
        return {"z1": z1, "z2": z2}

    def hard(dtype: torch.dtype = torch.float32) -> dict[str, Any]:
        """All in one corner, but one row that nobody resembles; and an image twice: cosine one, and no partner."""
        z1 = draw.rows(n, d, dtype).abs() + 0.1
        z2 = (z1 + 0.3 * draw.rows(n, d, dtype)).abs()
        z1[1], z2[-1] = z1[0], -z2[-1]
        return {"z1": z1, "z2": z2}

    return [
        Case("value", {**pair(), "temperature": warm}, says=f"n={n}, temperature {warm:g}, float32"),
        Case("value", {**pair(torch.float64, n + 1), "temperature": cool}, says=f"n={n + 1}, temperature {cool:g}, float64"),
        Case("gradient", {**pair(torch.float64), "temperature": warm}, ("z1", "z2"), says=f"n={n}, temperature {warm:g}"),
        Case("gradient", {**pair(), "temperature": cool}, ("z1", "z2"), says=f"n={n}, temperature {cool:g}"),
        Case("cold", {**hard(), "temperature": cold}, tolerance=1e-4, says=f"temperature {cold:g}, float32"),
        Case("cold", {**hard(torch.float64), "temperature": 0.001}, says="temperature 0.001, float64"),
        Case(
            "cold gradient",
            {**hard(), "temperature": cold},
            ("z1", "z2"),
            tolerance=1e-3,
            says=f"temperature {cold:g}, float32",
        ),
    ]


@exercise("a1.nt_xent", parts={"value": 3, "gradient": 2, "cold": 2, "cold gradient": 1}, cases=cases, mistakes=MISTAKES)
def nt_xent(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    """NT-Xent in one go, finite at any temperature."""
    return loss(z1, z2, temperature=temperature)


def warm_cases(draw: Draw) -> list[Case]:
    return [replace(case, part="value") for case in cases(draw) if case.part == "value"]


@exercise(
    "a1.loop",
    parts={"value": 3},
    cases=warm_cases,
    mistakes=tuple(replace(mistake, loses=("value",)) for mistake in MISTAKES if "value" in mistake.loses),
)
def loop(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    """NT-Xent as its formula reads, anchor by anchor."""
    return loss(z1, z2, temperature=temperature)


@givens("a1")
def data(draw: Draw) -> dict[str, Any]:
    """A small batch on which the two directions cost differently, so that who takes one only is found out."""
    while True:
        n, d, temperature = draw.integer(6, 12), draw.integer(4, 8), draw.numbers(0.2, 0.6)
        z1 = draw.rows(n, d)
        z2 = z1 + 0.7 * draw.rows(n, d)
        each = loss(z1, z2, temperature=temperature, reduction="none")
        if abs(each[:n].mean() - each[n:].mean()) > 0.02:
            return {"z1": z1, "z2": z2, "temperature": temperature}


def yours(draw: Draw) -> list[Case]:
    return [Case("your number", {}, tolerance=1e-4)]


def number(variant: str, **switches: Any) -> float:
    mine = given("a1", variant)
    return flawed(mine.z1, mine.z2, mine.temperature, **switches).item()


@exercise(
    "a1.my_loss",
    parts={"your number": 1},
    cases=yours,
    mistakes=tuple(
        replace(mistake, mutants=(partial(number, **mistake.mutants[0].keywords),), loses=("your number",))  # type: ignore[attr-defined]
        for mistake in MISTAKES
        if "value" in mistake.loses
    ),
)
def my_loss(variant: str) -> float:
    """The loss of your own data at your own temperature."""
    mine = given("a1", variant)
    return loss(mine.z1, mine.z2, temperature=mine.temperature).item()
