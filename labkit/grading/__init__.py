"""Instant help with the assignments: `labkit.grading.check("a1.nt_xent", my_function)` says what is right and what went wrong.

It works offline, knows the usual mistakes by name, and never shows the answer. The grade itself comes from the same judge, at
inputs nobody has seen, with the answer shut away in a process of its own (`labkit.course`).
"""

from collections.abc import Callable
from typing import Any

from labkit.grading import draw
from labkit.grading.asking import answer as ask
from labkit.grading.draw import given
from labkit.grading.exercise import EXERCISES, Case, Exercise, Mistake, find
from labkit.grading.judge import judge
from labkit.grading.report import Report

__all__ = [
    "EXERCISES",
    "REPORTS",
    "Case",
    "Exercise",
    "Mistake",
    "Report",
    "check",
    "example",
    "find",
    "given",
    "judge",
    "reference",
]

REPORTS: list[Report] = []  # every check of this process, in order


def check(name: str, answer: Any, *, seed: int | str = 0, variant: str | None = None) -> Report:
    """Try an answer, say which parts of it are right, and name the mistake if it is a known one.

    Args:
        name: of the exercise, such as "a1.nt_xent".
        answer: your function; or, where a value is asked for, the value.
        seed: draws the inputs; another number tries others. The grade comes from inputs that nobody has seen.
        variant: of the assignment (default: the one this notebook asked for with `given`).

    Returns:
        A report; shown in a notebook it opens its hints step by step, and as a number it is the points earned.

    Raises:
        ValueError: there is no such exercise.
    """
    exercise = find(name)
    chosen = variant or draw.current.get(exercise.assignment, draw.PRACTICE)
    report = judge(exercise, lambda case: ask(answer, case), seed=seed, variant=chosen, graded=False)
    REPORTS.append(report)
    return report


def example(name: str, part: str = "", *, seed: int | str = 0, variant: str | None = None) -> dict[str, Any]:
    """The first input that `check` tries, to work through by hand: arguments by name.

    Args:
        name: of the exercise, such as "a1.nt_xent".
        part: of the exercise; default: the first.
        seed, variant: as in `check`.

    Raises:
        ValueError: there is no such exercise, or no such part.
    """
    exercise = find(name)
    cases = exercise.cases(seed, variant or draw.current.get(exercise.assignment, draw.PRACTICE))
    for case in cases:
        if part in ("", case.part):
            return case.inputs
    raise ValueError(f"part must be one of {', '.join(exercise.parts)}; got {part!r}")


def reference(name: str) -> Callable[..., Any]:
    """The right answer to an exercise of an earlier assignment, to build on when your own was not.

    Raises:
        ValueError: there is no such exercise.
    """
    return find(name).right
