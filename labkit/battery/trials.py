"""What a check is, how it is registered, and how all of them are run on a function."""

import functools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from labkit.battery.inputs import inputs, leaves
from labkit.battery.subject import Subject
from labkit.registry import Entry

Verdict = Literal["passed", "failed", "differs", "look", "not applicable"]
PAIRED = ("two_views", "modalities", "views")
EMBEDDED = (*PAIRED, "labels", "meter")
TRAINED = (*PAIRED, "labels", "preference")
ANY = (*EMBEDDED, "preference")


@dataclass(frozen=True)
class Check:
    """One check of the battery.

    key: "gradient". title: what is asked, in words.
    verdict: "passed"; "failed", wrong whatever the loss; "differs", a fact that some losses are meant to have; "look", usually
        a mistake, though it may be meant; "not applicable".
    measured: the number that decided, where there is one. says: what it means, and how to mend it.
    """

    key: str
    title: str
    verdict: Verdict
    measured: float | None
    says: str


class Found(NamedTuple):
    """What a check says of a function."""

    verdict: Verdict
    measured: float | None
    says: str


class Trial(NamedTuple):
    key: str
    title: str
    kinds: tuple[str, ...]
    fixed: bool  # compares two calls, so that a function that draws random numbers cannot be asked
    run: Callable[["Bench"], Found]


TRIALS: dict[str, Trial] = {}


def trial(key: str, title: str, *, kinds: tuple[str, ...] = ANY, fixed: bool = True) -> Callable[[Any], Any]:
    """Register a check; they run and are read in the order of registration."""

    def register(run: Callable[["Bench"], Found]) -> Callable[["Bench"], Found]:
        TRIALS[key] = Trial(key, title, kinds, fixed, run)
        return run

    return register


def absent(why: str) -> Found:
    return Found("not applicable", None, why)


@dataclass(eq=False)
class Bench:
    """A function on the bench, with one batch that all checks share."""

    subject: Subject
    like: Entry | None = None  # the objective of the catalog that it was found to be

    @functools.cached_property
    def entry(self) -> Entry:
        return self.subject.entry

    @functools.cached_property
    def given(self) -> dict[str, Tensor]:
        return self.batch()

    def batch(self, *, dtype: torch.dtype = torch.float64, seed: int = 0, **sizes: int) -> dict[str, Tensor]:
        """A random batch of these sizes, where the function is not made for one size alone."""
        every: Any = {**sizes, **self.subject.sizes}
        return inputs(self.entry, dtype=dtype, seed=seed, **every)

    @property
    def trained(self) -> list[str]:
        """The tensors that a model is trained through: not the reference's."""
        return [n for n in leaves(self.entry, self.given) if not n.startswith("ref_")]

    def value(self, given: Mapping[str, Tensor] | None = None, **options: Any) -> float:
        """The number that the function gives, without gradients."""
        with torch.no_grad():
            return float(self.entry.fn(**(self.given if given is None else given), **options))

    def slopes(self, given: Mapping[str, Tensor], **options: Any) -> tuple[float, dict[str, Tensor | None]]:
        """Value and gradients with respect to what is trained; None where no gradient arrives."""
        x = {n: t.detach().clone().requires_grad_(n in self.trained) for n, t in given.items()}
        value = self.entry.fn(**x, **options)
        if not value.requires_grad:
            return float(value), dict.fromkeys(self.trained)
        found = torch.autograd.grad(value, [x[n] for n in self.trained], allow_unused=True)
        return float(value.detach()), dict(zip(self.trained, found, strict=True))

    def finite(self, given: Mapping[str, Tensor], **options: Any) -> str:
        """What is not finite about the function here: "" if nothing is, else "the value is inf" or "the gradient has NaN"."""
        found: dict[str, Tensor | None] = {}
        if self.subject.kind == "meter":
            value = self.value(given, **options)
        else:
            value, found = self.slopes(given, **options)
        if not math.isfinite(value):
            return f"the value is {value}"
        bad = [n for n, g in found.items() if g is not None and not torch.isfinite(g).all()]
        return f"the gradient of {' and '.join(bad)} is not finite" if bad else ""

    @functools.cached_property
    def base(self) -> float:
        return self.value()

    def change(self, given: Mapping[str, Tensor] | None) -> float:
        """How far the value moves when it is asked of this instead, in units of the value where that is above 1."""
        return math.nan if given is None else abs(self.value(given) - self.base) / max(1.0, abs(self.base))

    @functools.cached_property
    def rounding(self) -> float:
        """A change that is not more than rounding: single precision inside is allowed."""
        return 1e-9 if self.precision == "double" else 1e-4

    @functools.cached_property
    def precision(self) -> str:
        """In which precision it computes float64 inputs: "double", "single" or "half", by how finely its value moves."""
        for name, step in (("double", 1e-10), ("single", 3e-5)):
            if any(len({self.value(self.nudged(which, at, k * step)) for k in range(8)}) > 4 for which, at in self.spots()):
                return name
        return "half"

    def spots(self) -> list[tuple[str, int]]:
        """Two numbers of each floating argument."""
        return [(n, at) for n, x in self.given.items() if x.is_floating_point() for at in (0, 1)]

    def nudged(self, which: str, at: int, by: float) -> dict[str, Tensor]:
        """The batch with one number moved a little."""
        moved = self.given[which].clone()
        moved.view(-1)[at] -= by
        return {**self.given, which: moved}


def run(bench: Bench, expect: Mapping[str, bool]) -> tuple[Check, ...]:
    """Every check that this kind of function has, in order."""
    found, steady, works = [], True, True
    for each in TRIALS.values():
        if bench.subject.kind not in each.kinds:
            continue
        if not works:
            said = absent("there is no number to look at")
        elif each.fixed and not steady:
            said = absent("two calls are not alike even on the same input")
        else:
            said = tried(each, bench)
        works = works and not (each.key == "result" and said.measured is None)
        steady = steady and not (each.key == "deterministic" and said.verdict == "failed")
        found.append(judged(Check(each.key, each.title, *said), expect))
    return tuple(found)


def tried(each: Trial, bench: Bench) -> Found:
    """What it says; an error inside the function is a finding, not a crash."""
    try:
        return each.run(bench)
    except NotImplementedError as error:
        return absent(str(error) or "not implemented")
    except Exception as error:
        if "not implemented for" in str(error):
            return absent(f"torch has this on the CPU in other precisions only: {error}")
        return Found("failed", None, f"it raised {type(error).__name__}: {short(error)}")


def short(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 160 else f"{text[:157]}..."


def judged(check: Check, expect: Mapping[str, bool]) -> Check:
    """The check, held to what was expected of it."""
    if check.key not in expect or check.verdict == "not applicable":
        return check
    holds, wanted = check.verdict == "passed", expect[check.key]
    if holds == wanted:
        return check if holds else replace(check, verdict="passed", says=f"as expected: {check.says}")
    wish = "expected to hold" if wanted else "expected not to hold"
    return replace(check, verdict="failed", says=f"{wish}: {check.says}")


def known_keys(expect: Iterable[str]) -> None:
    """
    Raises:
        ValueError: something that is no check.
    """
    if unknown := sorted(set(expect) - set(TRIALS)):
        raise ValueError(f"expect names {', '.join(unknown)}; the checks are {', '.join(TRIALS)}")
