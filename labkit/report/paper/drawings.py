"""Which figures a report has: from the arrays that its sections bring along, whichever of them are there.

A section's arrays are named `what.of` or `what.of.null`. norms (n,): lengths of rows. spectrum (k,): singular values. cosines
(m,): "cosines.pairs", "cosines.shuffled pairs", "cosines.strangers". occurrences (n,): how often each row is a neighbour.
similarity (c, c): mean cosines between classes.
"""

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from labkit.figures import report as drawing
from labkit.report.paper.words import is_clean, measured, of_class, shown, title
from labkit.report.pieces import Number
from labkit.report.result import Report

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NULLS = ("isotropic", "shuffled", "strangers", "untrained", "permuted", "chance", "random", "null")
BINS = 48
MOST = 40  # classes in one figure


class Drawn(NamedTuple):
    """A figure, the numbers in it as columns of equal length, and what it shows in words.

    section: where it belongs; "" where it is about the whole report.
    """

    figure: "Figure"
    data: Mapping[str, Any]
    alt: str
    section: str = ""


def figures(report: Report) -> dict[str, Drawn]:
    """name -> what is drawn; a figure whose arrays are not there is left out."""
    found = {name: make(report) for name, make in FIGURES.items()}
    return {name: drawn for name, drawn in found.items() if drawn is not None}


def svg(drawn: Drawn) -> bytes:
    """The figure without a date: the same bytes each time."""
    import matplotlib

    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "labkit"}):
        drawn.figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


# ---------------------------------------------------------------- arrays


def curves(report: Report, what: str) -> dict[str, np.ndarray]:
    """Name of a curve -> its values, for all arrays that are called `what.NAME`."""
    found = {}
    for section in report.sections:
        for key, values in section.arrays.items():
            kind, _, rest = key.partition(".")
            if kind == what and np.size(values):
                found[rest.replace(".", ", ")] = np.asarray(values, dtype=float)
    return found


def beside(names: Mapping[str, Any]) -> list[str]:
    """Which of them are null rows, by their names."""
    return [name for name in names if any(word in name for word in NULLS)]


def binned(found: Mapping[str, np.ndarray], edges: np.ndarray) -> dict[str, np.ndarray]:
    """Shares in each bin; what lies outside is counted at the ends."""
    inside = {name: np.clip(values, edges[0], edges[-1]) for name, values in found.items()}
    return {name: np.histogram(values, edges)[0] / len(values) for name, values in inside.items()}


def bins(edges: np.ndarray, shares: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"from": edges[:-1], "to": edges[1:], **shares}


def spread(values: np.ndarray) -> str:
    low, middle, high = np.quantile(values, [0.025, 0.5, 0.975])
    return f"{shown(middle)} (95 % lie in {shown(low)} to {shown(high)})"


# ---------------------------------------------------------------- figures


def overview(report: Report) -> Drawn | None:
    """A row for each number but counts of faults that are 0 and single classes."""
    numbers = [n for n in report.numbers if not is_clean(n) and not of_class(n)]
    if not numbers:
        return None
    rows = [as_row(n) for n in numbers]
    alt = f"{len(rows)} numbers, each on an axis of its own with its interval and its null rows. "
    alt += "; ".join(f"{row.label} {row.said}, {row.nulls[0][0]} {shown(row.nulls[0][1])}" for row in rows) + "."
    data = {
        "number": [row.label for row in rows],
        "value": [row.value for row in rows],
        "low": [row.low for row in rows],
        "high": [row.high for row in rows],
        "floor": [row.nulls[0][0] for row in rows],
        "floor_value": [row.nulls[0][1] for row in rows],
    }
    return Drawn(drawing.overview(rows), data, alt)


def as_row(number: Number) -> drawing.Row:
    nulls = tuple((null.name, float(null.estimate.value)) for null in number.nulls)
    value, low, high = map(float, number.estimate)
    return drawing.Row(f"{title(number.meter)}, {number.of}", measured(number.estimate), value, low, high, nulls)


def norms(report: Report) -> Drawn | None:
    found = curves(report, "norms")
    if not found:
        return None
    every = np.concatenate(list(found.values()))
    low, high = float(every.min()), float(np.quantile(every, 0.999))
    if high - low < 1e-3 * max(high, 1e-300):  # all of one length: a spike, with room around it
        low, high = 0.9 * low, 1.1 * high
    edges = np.linspace(low, high, BINS + 1)
    shares = binned(found, edges)
    figure = drawing.histogram(edges, shares, xlabel="length of a row", beside=beside(found))
    alt = "How long the rows are. " + " ".join(f"{name}: half are longer than {spread(v)}." for name, v in found.items())
    return Drawn(figure, bins(edges, shares), alt, "sanity")


def spectrum(report: Report) -> Drawn | None:
    found = curves(report, "spectrum")
    if not found:
        return None
    figure = drawing.spectrum(found, beside(found))
    longest = max(map(len, found.values()))
    data = {"direction": np.arange(1, longest + 1)}
    data |= {name: np.pad(values, (0, longest - len(values)), constant_values=np.nan) for name, values in found.items()}
    told = " ".join(f"{name}: the middle one is {shown(middle(v))} of the largest." for name, v in found.items())
    return Drawn(figure, data, f"Singular values of the centred unit rows, each over its largest, falling. {told}", "spectrum")


def middle(values: np.ndarray) -> float:
    return float(values[len(values) // 2] / values[0]) if values[0] > 0 else 0.0


def cosines(report: Report) -> Drawn | None:
    found = curves(report, "cosines")
    if not found:
        return None
    lowest = min(float(values.min()) for values in found.values())
    edges = np.linspace(max(-1.0, np.floor(10 * lowest) / 10), 1.0, BINS + 1)
    shares = binned(found, edges)
    figure = drawing.histogram(edges, shares, xlabel="cosine", ylabel="share of the pairs", beside=beside(found))
    alt = "How alike two rows are. " + " ".join(f"{name}: half above {spread(v)}." for name, v in found.items())
    return Drawn(figure, bins(edges, shares), alt, "geometry")


def hubness(report: Report) -> Drawn | None:
    found = curves(report, "occurrences")
    if not found:
        return None
    most = max(float(values.max()) for values in found.values())
    step = max(1, int(np.ceil((most + 1) / 60)))
    edges = np.arange(0, most + 1 + step, step) - 0.5
    shares = binned(found, edges)
    figure = drawing.histogram(
        edges, shares, xlabel="how often a row is among the 10 nearest of another", beside=beside(found), log=True
    )
    told = " ".join(
        f"{name}: {shown(100 * float((v == 0).mean()))} % never, the most frequent {shown(v.max())} times."
        for name, v in found.items()
    )
    return Drawn(
        figure, bins(edges, shares), f"How often each row is a neighbour, which shows hubs on the right. {told}", "neighbours"
    )


def classes(report: Report) -> Drawn | None:
    """Class against class where there are such means; else the first meter that has single classes."""
    for name, values in curves(report, "similarity").items():
        if values.ndim == 2 and 2 <= len(values) <= 10 * MOST:
            return similarity(name, values, called(report, len(values)))
    return by_class(report)


def called(report: Report, count: int) -> list[str]:
    """Classes by their numbers; names are the user's data."""
    return [str(k) for k in range(count)]


def similarity(name: str, values: np.ndarray, names: list[str]) -> Drawn:
    figure = drawing.matrix(values, names, f"mean cosine of unit rows, {name}")
    rows, columns = np.indices(values.shape)
    data = {"class": [names[k] for k in rows.ravel()], "with": [names[k] for k in columns.ravel()], "cosine": values.ravel()}
    own, others = np.diag(values).mean(), values[~np.eye(len(values), dtype=bool)].mean()
    alt = f"Mean cosine between {len(values)} classes of {name}: {shown(own)} within a class, {shown(others)} between classes."
    return Drawn(figure, data, alt, "classes")


def by_class(report: Report) -> Drawn | None:
    single = [n for n in report.numbers if of_class(n)]
    numbers = [n for n in single if n.meter == single[0].meter][:MOST]
    if not numbers:
        return None
    card, floor = numbers[0].card, numbers[0].floor
    names = {n.of.partition(", class ")[2]: n.estimate for n in numbers}
    figure = drawing.bars(names, f"{card.title}{f' ({card.unit})' if card.unit else ''}", (floor.name, floor.estimate.value))
    low, high = (f(numbers, key=lambda n: n.value) for f in (min, max))
    alt = f"{card.title} of single classes: from {shown(low.value)} ({low.of}) to {shown(high.value)} ({high.of})."
    columns = {name: [e[k] for e in names.values()] for k, name in enumerate(("value", "low", "high"))}
    return Drawn(figure, {"class": list(names), **columns}, alt, "classes")


FIGURES = {
    "overview": overview,
    "norms": norms,
    "spectrum": spectrum,
    "cosines": cosines,
    "hubness": hubness,
    "classes": classes,
}
