"""What of the user's own words may stand in a saved report."""

import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from labkit.report.pieces import Finding, Number
from labkit.report.result import Report, Section

BEFORE = "|".join(f"(?<={word} )" for word in ("class", "always", "those of", "labels are"))
NOTE = (
    "Classes are numbered in the order of their sorted names. The names are part of the data and were left out; "
    "save(..., include_data=True) keeps them."
)


def public(report: Report) -> tuple[Report, str]:
    """The report as it may be passed on, and what to say about that. Classes named in words become numbers, from 0 in the
    order of their sorted names; classes that are whole numbers stay as they are, which says nothing that the labels' hash and
    sizes would not.
    """
    names = report.rows.class_names if report.rows is not None else ()
    if all(re.fullmatch(r"[+-]?\d+", name) for name in names):
        return report, ""
    numbers = {name: str(k) for k, name in enumerate(names)}
    return replace(report, sections=tuple(section(each, numbers) for each in report.sections)), NOTE


def section(found: Section, numbers: Mapping[str, str]) -> Section:
    return replace(
        found,
        numbers=tuple(number(each, numbers) for each in found.numbers),
        findings=tuple(finding(each, numbers) for each in found.findings),
        missing=tuple(replace(each, needs=without(each.needs, numbers)) for each in found.missing),
        arrays={name: array(values, numbers) for name, values in found.arrays.items()},
    )


def number(found: Number, numbers: Mapping[str, str]) -> Number:
    cloud, _, name = found.of.partition(", class ")
    of = f"{cloud}, class {numbers.get(name, name)}" if name else found.of
    return replace(found, of=of, nulls=tuple(replace(null, says=without(null.says, numbers)) for null in found.nulls))


def array(values: np.ndarray, numbers: Mapping[str, str]) -> np.ndarray:
    values = np.asarray(values)
    return np.array([numbers.get(str(v), str(v)) for v in values.ravel()]) if values.dtype.kind in "UO" else values


def finding(found: Finding, numbers: Mapping[str, str]) -> Finding:
    of, says, try_next = (without(words, numbers) for words in (found.of, found.says, found.try_next))
    return replace(found, of=of, says=says, try_next=try_next)


def without(words: str, numbers: Mapping[str, str]) -> str:
    """Names of classes in a sentence as numbers: in quotation marks, or after one of the words that introduce them.

    >>> without("all rows are of class 'cat', and cats are few", {"cat": "0"})
    'all rows are of class 0, and cats are few'
    """
    for name in sorted(numbers, key=len, reverse=True):
        quoted = re.escape(name)
        words = re.sub(rf"(['\"“]){quoted}['\"”]|\b(?:{BEFORE}){quoted}(?!\w)", numbers[name], words)
    return words
