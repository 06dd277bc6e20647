"""`report.check(uniformity="<-2")`: numbers against bounds, for somebody's own tests."""

import operator
import re
from collections.abc import Callable
from typing import NamedTuple

from labkit.metrics import Estimate
from labkit.report.paper.words import counted, measured, of_class, shown
from labkit.report.pieces import Number
from labkit.report.result import Report

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le, ">=": operator.ge, "==": operator.eq, "<": operator.lt, ">": operator.gt,
}  # fmt: skip
NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
SIDE = re.compile(rf"\s*(<=|>=|==|<|>)\s*({NUMBER})\s*")
RANGE = re.compile(rf"\s*({NUMBER})\s*\.\.\s*({NUMBER})\s*")
COUNTS = ("alarms", "notices")


class CheckFailed(AssertionError):
    """A number of a report does not hold its bound."""


class Bound(NamedTuple):
    """What a value must be, as written; its parts are operators and limits."""

    written: str
    parts: tuple[tuple[str, float], ...]

    def holds(self, value: float) -> bool:
        return all(OPERATORS[sign](value, limit) for sign, limit in self.parts)

    def crosses(self, estimate: Estimate) -> bool:
        """Whether a limit lies inside the interval: another sample might fall on the other side."""
        return not counted(estimate) and any(estimate.low <= limit <= estimate.high for _, limit in self.parts)


def check(report: Report, **bounds: str) -> Report:
    """The report itself where every number holds its bound; see `Report.check`."""
    if not bounds:
        raise ValueError(f"say what must hold, for example check({example(report)})")
    failed = []
    for name, written in bounds.items():
        bound = parsed(name, written)
        for label, estimate, n in values(report, name):
            if not bound.holds(estimate.value):
                failed.append(told(label, estimate, n, bound))
    if failed:
        many = "one bound does not hold" if len(failed) == 1 else f"{len(failed)} bounds do not hold"
        raise CheckFailed("\n".join([f"{report.name}: {many}", *failed]))
    return report


def parsed(name: str, written: str) -> Bound:
    """
    >>> parsed("uniformity", "<-2").parts, parsed("tolerance", "0.2..0.5").parts
    ((('<', -2.0),), (('>=', 0.2), ('<=', 0.5)))
    """
    if isinstance(written, str):
        if side := SIDE.fullmatch(written):
            return Bound(written.strip(), ((side[1], float(side[2])),))
        span = RANGE.fullmatch(written)
        if span and float(span[1]) <= float(span[2]):
            return Bound(written.strip(), ((">=", float(span[1])), ("<=", float(span[2]))))
    raise ValueError(f'the bound of {name} must be like "<-2", "<=0.5", ">20", ">=20", "==0" or "0.2..0.5", got {written!r}')


def values(report: Report, name: str) -> list[tuple[str, Estimate, int]]:
    """What `name` means here: one number by its full name, or everything that has that meter. Single classes only where
    nothing else has it.
    """
    if name in COUNTS:
        found = getattr(report, name)
        value = float(len(found))
        return [(f"{name} ({', '.join(f.code for f in found) or 'none'})", Estimate(value, value, value), report.sampled.total)]
    numbers = [number for number in report.numbers if number.name == name]
    if not numbers:
        every = [number for number in report.numbers if number.meter == name]
        numbers = [number for number in every if not of_class(number)] or every
    if not numbers:
        raise ValueError(unknown(report, name))
    return [(number.name, number.estimate, number.n) for number in numbers]


def unknown(report: Report, name: str) -> str:
    """Why there is no such number, and what there is."""
    lacking = [each.needs for each in report.missing if each.meter == name]
    if lacking:
        return f"{name} could not be measured here: it needs {lacking[0]}"
    there = [*dict.fromkeys(number.meter for number in report.numbers), *COUNTS]
    return f"this report has no {name!r}; there are {', '.join(there)}, or one of them alone as **{{{one(report)!r}: ...}}"


def one(report: Report) -> str:
    names = [number.name for number in report.numbers]
    return next((name for name in names if name.endswith(".uniformity")), names[0] if names else "z1.uniformity")


def example(report: Report) -> str:
    meters: dict[str, Number] = {number.meter: number for number in report.numbers}
    return ", ".join([*(f'{m}="<{shown(meters[m].value)}"' for m in ("uniformity",) if m in meters), 'alarms="==0"'])


def told(label: str, estimate: Estimate, n: int, bound: Bound) -> str:
    """One line of the message.

    >>> told("z1.uniformity", Estimate(-1.5, -2.1, -0.9), 64, parsed("uniformity", "<-2"))
    '  z1.uniformity is -1.50 [-2.10, -0.90] (n = 64), must be < -2: the interval crosses the bound, so another sample may hold'
    """
    limits = " and ".join(f"{sign} {limit:g}" for sign, limit in bound.parts)
    if counted(estimate):
        return f"  {label} is {shown(estimate.value)}, must be {limits}"
    where = "crosses the bound, so another sample may hold" if bound.crosses(estimate) else "lies wholly outside"
    return f"  {label} is {measured(estimate)} (n = {n:,}), must be {limits}: the interval {where}"
