"""What every lesson is made of: a guess before the reveal, a figure, and a sentence with a number that is asserted."""

import html
import json
import math
import operator
import os
import statistics
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal, TypeVar

from labkit.reader import Html, display, log, predict, show

__all__ = ["CLAIMS", "Claim", "ClaimError", "claim", "guesses", "predict", "scaled", "seed", "seeds", "show", "smoke"]

T = TypeVar("T")
Kind = Literal["exact", "ordering", "size"]
OPERATORS = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
}
CLAIMS: list["Claim"] = []  # every claim of this process, in order


def smoke() -> bool:
    """Whether the lesson only has to show that it runs: `LABKIT_SMOKE=1`."""
    return os.environ.get("LABKIT_SMOKE", "0") not in ("", "0")


def seed(k: int = 0) -> int:
    """The k-th seed of a lesson: `LABKIT_SEED` (0 unless it is set) plus k."""
    base = os.environ.get("LABKIT_SEED") or "0"
    if not base.lstrip("-").isdigit():
        raise ValueError(f"LABKIT_SEED must be a whole number, got {base!r}")
    return int(base) + k


def seeds(n: int) -> list[int]:
    """The first `n` seeds of a lesson."""
    return [seed(k) for k in range(n)]


def scaled(full: T, smoke_value: T) -> T:
    """`full`, or in smoke mode the second value: `steps = scaled(1200, 60)`."""
    return smoke_value if smoke() else full


class ClaimError(AssertionError):
    """A sentence of a lesson did not come true."""


@dataclass(frozen=True)
class Claim:
    """A sentence, the numbers that were to carry it, and whether they did."""

    text: str
    values: tuple[float, ...]
    op: str
    bound: float
    kind: Kind
    seeds: tuple[int, ...]
    smoke: bool = False

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @property
    def sd(self) -> float:
        return statistics.stdev(self.values) if len(self.values) > 1 else 0.0

    @property
    def held(self) -> tuple[bool, ...]:
        return tuple(OPERATORS[self.op](v, self.bound) for v in self.values)

    @property
    def clear(self) -> bool:
        """The mean lies at least two standard deviations from the bound."""
        return abs(self.mean - self.bound) >= 2 * self.sd

    @property
    def passed(self) -> bool:
        return all(self.held) and self.clear

    @property
    def asserted(self) -> bool:
        """A size is only measured in smoke mode, where training is too short for it."""
        return not (self.smoke and self.kind == "size")

    @property
    def number(self) -> str:
        spread = f" ± {self.sd:.2g} ({len(self.values)} seeds)" if len(self.values) > 1 else ""
        return f"{self.mean:.4g}{spread}"

    @property
    def verdict(self) -> str:
        return "measured only: smoke mode is too short for sizes" if not self.asserted else "holds" if self.passed else "fails"

    def why(self) -> str:
        """What went wrong, with values and seeds."""
        pairs = ", ".join(f"seed {s}: {v:.6g}" for s, v in zip(self.seeds, self.values, strict=True))
        if not all(self.held):
            return f"{self.held.count(False)} of {len(self.values)} values are not {self.op} {self.bound:g} ({pairs})"
        return f"the mean {self.mean:.6g} is within two standard deviations ({2 * self.sd:.3g}) of {self.bound:g} ({pairs})"

    def __str__(self) -> str:
        mark = "·" if not self.asserted else "✓" if self.passed else "✗"
        return f"{mark} {self.text}: {self.number} {self.op} {self.bound:.4g} [{self.kind}; {self.verdict}]"

    def _repr_html_(self) -> str:
        mark, color = ("·", "#5F6470") if not self.asserted else ("✓", "#009E73") if self.passed else ("✗", "#D55E00")
        return (
            f'<div class="labkit-claim" style="border-left:4px solid {color};padding:.35em .8em;margin:.4em 0">'
            f'<b style="color:{color}">{mark}</b> {html.escape(self.text)} '
            f"<b>{self.number}</b> {html.escape(self.op)} {self.bound:.4g} "
            f'<span style="opacity:.7">({self.kind}; {self.verdict})</span></div>'
        )

    def record(self) -> dict[str, Any]:
        """The claim as it is written to the file that `LABKIT_CLAIMS` names."""
        lesson = os.environ.get("LABKIT_LESSON", "")
        found = {"mean": self.mean, "sd": self.sd, "number": self.number, "passed": self.passed, "asserted": self.asserted}
        return {**asdict(self), **found, "lesson": lesson, "date": date.today().isoformat()}


def claim(text: str, value: Any, op: str, bound: float, *, kind: Kind = "ordering") -> None:
    """Assert a sentence that carries a number, show it, and remember it in `CLAIMS`.

    Over several seeds every seed must pass, and the mean must lie at least two standard deviations from the bound.

    Args:
        text: the sentence, as the reader is told it.
        value: one number, or one for each of `seeds(n)`; numbers, tensors or arrays.
        op: one of `< <= > >= ==`.
        bound: what the value is compared with.
        kind: "exact" is an identity; "ordering" says which is larger; "size" says how large, and smoke mode only measures it.

    Raises:
        ClaimError: the claim does not hold; the message names values and seeds.
        ValueError, TypeError: unknown `op` or `kind`, no value, NaN or infinite numbers.

    >>> claim("half of the push falls on the nearest", [0.61, 0.64, 0.62], ">", 0.5)
    ✓ half of the push falls on the nearest: 0.6233 ± 0.015 (3 seeds) > 0.5 [ordering; holds]
    """
    if op not in OPERATORS:
        raise ValueError(f"op must be one of {' '.join(OPERATORS)}, got {op!r}")
    if kind not in ("exact", "ordering", "size"):
        raise ValueError(f"kind must be 'exact', 'ordering' or 'size', got {kind!r}")
    values = numbers("value", value)
    stated = Claim(text, values, op, numbers("bound", bound)[0], kind, tuple(seeds(len(values))), smoke())
    CLAIMS.append(stated)
    if path := os.environ.get("LABKIT_CLAIMS"):
        with Path(path).open("a", encoding="utf-8") as file:  # one short write, appended: lessons may run side by side
            file.write(json.dumps(stated.record(), ensure_ascii=False) + "\n")
    display(stated, str(stated))
    if stated.asserted and not stated.passed:
        raise ClaimError(f"{text}: {stated.why()}")


def guesses(*paths: str | Path) -> log.Counts:
    """Show how many readers chose each answer to each question; of each reader the last guess counts.

    Args:
        paths: files that readers handed in (`guesses.jsonl` of their `LABKIT_HOME`), one each or put one after the other;
            without any, the guesses made on this machine.

    Returns:
        For each question, the number of readers for each option.

    Raises:
        FileNotFoundError: there is no such file.
    """
    counted = log.count(*paths)
    display(Html(counted.html()), counted.text())
    return counted


def numbers(name: str, value: Any) -> tuple[float, ...]:
    """One or several finite numbers, whatever they came in."""
    value = value.tolist() if hasattr(value, "tolist") else value
    items = list(value) if isinstance(value, Iterable) and not isinstance(value, str) else [value]
    try:
        found = tuple(float(v) for v in items)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number or a list of numbers, one per seed, got {value!r}") from None
    if not found:
        raise ValueError(f"{name} is empty: a claim needs at least one number")
    if not all(map(math.isfinite, found)):
        raise ValueError(f"{name} must be finite, got {found}")
    return found
