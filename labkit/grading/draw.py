"""What an exercise is checked on: numbers drawn from a seed; and what a variant of an assignment gives to its reader."""

import functools
import hashlib
import importlib
import os
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

T = TypeVar("T")
PRACTICE = "practice"
GIVENS: dict[str, Callable[["Draw"], dict[str, Any]]] = {}
current: dict[str, str] = {}  # the variant that a notebook asked for last, by assignment


class Draw:
    """Everything random about an exercise. The same seed and name draw the same; a new name does not disturb another.

    Args:
        seed: a number, or an instructor's secret words.
        name: of the exercise or assignment that draws.
        variant: of the assignment, such as "2026"; it draws nothing by itself.
    """

    def __init__(self, seed: int | str, name: str, variant: str = PRACTICE):
        digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
        self.rng = np.random.default_rng(list(digest))
        self.variant = variant

    def rows(self, n: int, d: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Standard normal rows, not normalised."""
        return torch.from_numpy(self.rng.standard_normal((n, d))).to(dtype)

    def numbers(self, low: float, high: float) -> float:
        """A number between two positive ones, evenly in its logarithm, with three digits."""
        return float(f"{np.exp(self.rng.uniform(np.log(low), np.log(high))):.3g}")

    def integer(self, low: int, high: int) -> int:
        """A whole number; both ends can come up."""
        return int(self.rng.integers(low, high + 1))

    def pick(self, options: Sequence[T]) -> T:
        return options[int(self.rng.integers(len(options)))]

    def permutation(self, n: int) -> list[int]:
        return [int(i) for i in self.rng.permutation(n)]

    def labels(self, sizes: Sequence[int] = (1, 2, 4)) -> Tensor:
        """Shuffled labels of classes of these sizes."""
        labels = np.repeat(np.arange(len(sizes)), sizes)
        return torch.from_numpy(self.rng.permutation(labels))


def givens(assignment: str) -> Callable[[Callable[[Draw], dict[str, Any]]], Callable[[Draw], dict[str, Any]]]:
    """Register the function that draws what an assignment gives: `@givens("a1")` above `def given(draw): return {...}`."""

    def register(function: Callable[[Draw], dict[str, Any]]) -> Callable[[Draw], dict[str, Any]]:
        GIVENS[assignment] = function
        return function

    return register


def given(assignment: str, variant: str = PRACTICE) -> SimpleNamespace:
    """The data and parameters of one variant of an assignment, the same wherever it is asked for.

    A course draws one variant a year, or one for each student; under grading `LABKIT_VARIANT` says which, whatever the
    notebook says.

    Args:
        assignment: such as "a1".
        variant: any words; "practice" is the one in the repository.

    Raises:
        ValueError: no such assignment, or `variant` is not a word.
    """
    if not isinstance(variant, str) or not variant:
        raise ValueError(f"variant must be a word such as '2026', got {variant!r}")
    current[assignment] = os.environ.get("LABKIT_VARIANT") or variant
    return SimpleNamespace(**drawn(assignment, current[assignment]))


@functools.lru_cache(64)
def drawn(assignment: str, variant: str) -> dict[str, Any]:
    load(assignment)
    return GIVENS[assignment](Draw(variant, f"given/{assignment}", variant)) if assignment in GIVENS else {}


ASSIGNMENTS = ("a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "capstone")


def load(assignment: str) -> None:
    """Import the exercises of an assignment."""
    if assignment not in ASSIGNMENTS:
        raise ValueError(f"there is no assignment {assignment!r}; there are {', '.join(ASSIGNMENTS)}")
    importlib.import_module(f"labkit.grading.{assignment}")
