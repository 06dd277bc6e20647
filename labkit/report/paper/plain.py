"""A report as plain data: JSON with a versioned schema, and a tidy table of every number."""

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from labkit.metrics import Estimate
from labkit.report.drawing import DRAWS, FOLDS
from labkit.report.paper.methods import versions
from labkit.report.paper.words import COUNTED, meters
from labkit.report.pieces import CARDS, LEVEL, Finding, Number
from labkit.report.result import Report, Section

SCHEMA = "labkit-report/1"
DIGITS = 10  # significant ones: what lies below is how sums were rounded
COLUMNS = ("section", "meter", "title", "unit", "of", "row", "role", "value", "low", "high", "n", "says")


def rounded(x: float) -> float | None:
    """
    >>> rounded(1 / 3), rounded(4096.0), rounded(float("nan"))
    (0.3333333333, 4096.0, None)
    """
    return float(f"{x:.{DIGITS}g}") + 0.0 if math.isfinite(x) else None


def as_json(report: Report, files: Mapping[str, str] | None = None) -> str:
    """The whole report, keys sorted: the same report gives the same bytes.

    Args:
        files: name -> sha256 of what was saved beside it.
    """
    return json.dumps(plain(report, files), indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"


def plain(report: Report, files: Mapping[str, str] | None = None) -> dict[str, Any]:
    """As JSON takes it: no time, no path, none of the data."""
    sampled = report.sampled
    return {
        "schema": SCHEMA,
        "name": report.name,
        "versions": versions(),
        "device": "cpu",
        "seed": report.seed,
        "sample": {"n": sampled.n, "total": sampled.total, "seed": sampled.seed, "unit": sampled.unit},
        "options": {"level": LEVEL, "halves": DRAWS, "folds": FOLDS, "precision": "float64"},
        "inputs": [
            {"name": g.name, "source": g.source, "shape": list(g.shape), "dtype": g.dtype, "sha256": g.sha256}
            for g in report.given
        ],
        "findings": [finding(f) for f in report.findings],
        "sections": [section(s) for s in report.sections],
        "meters": {key: meter(key) for key in meters(report)},
        "files": dict(files or {}),
    }


def finding(found: Finding) -> dict[str, Any]:
    words = {name: getattr(found, name) for name in ("code", "alarm", "of", "section", "says", "try_next")}
    return words | {"evidence": {key: rounded(float(value)) for key, value in found.evidence.items()}}


def section(found: Section) -> dict[str, Any]:
    missing = [{"meter": each.meter, "needs": each.needs} for each in found.missing]
    return {"key": found.key, "title": found.title, "numbers": [number(n) for n in found.numbers], "missing": missing}


def number(found: Number) -> dict[str, Any]:
    nulls = [{"name": null.name, "says": null.says, **estimate(null.estimate)} for null in found.nulls]
    return {"name": found.name, "meter": found.meter, "of": found.of, "n": found.n, **estimate(found.estimate), "nulls": nulls}


def estimate(found: Estimate) -> dict[str, float | None]:
    return {name: rounded(float(value)) for name, value in found._asdict().items()}


def meter(key: str) -> dict[str, Any]:
    card = CARDS[key]
    words = {name: getattr(card, name) for name in ("title", "section", "unit", "means", "implies_not")}
    return words | {"sources": list(card.sources)}


# ---------------------------------------------------------------- tables


def as_csv(columns: Mapping[str, Sequence[Any] | np.ndarray]) -> str:
    """Columns of equal length as a table; numbers as in the JSON, gaps where a number is not finite."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(map(cell, values) for values in columns.values()), strict=True))
    return text.getvalue()


def cell(value: Any) -> Any:
    if isinstance(value, (bool, np.bool_)):
        return int(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        exact = rounded(float(value))
        return "" if exact is None else f"{exact:.{DIGITS}g}"
    return value


def tidy(report: Report) -> dict[str, list[Any]]:
    """A row for each number and each of its null rows; `role` says which: "measured", "floor" or "null"."""
    rows = [row for section in report.sections for number in section.numbers for row in told(number)]
    return {name: [row[k] for row in rows] for k, name in enumerate(COLUMNS)}


def told(number: Number) -> Iterable[tuple[Any, ...]]:
    card = number.card
    about = (card.section, number.meter, card.title, card.unit, number.of)
    yield *about, "measured", "measured", *number.estimate, number.n, "counted" if number.floor.name == COUNTED else ""
    for k, null in enumerate(number.nulls):
        yield *about, null.name, "null" if k else "floor", *null.estimate, number.n, null.says
