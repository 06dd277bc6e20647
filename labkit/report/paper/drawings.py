"""Which figures a report has: from the arrays that its sections bring along, whichever of them are there.

A section's arrays: "z1.norms" and "z1.norms_edges", counts and what lies between them; "spectrum.z1", "spectrum.z1.isotropic"
(k,), how far the cloud reaches along its axes; "cosines.pairs", "cosines.shuffled pairs", "cosines.strangers" (n,);
"z1.k_occurrence" and "z1.k_occurrence isotropic" (c,), how many rows are 0, 1, 2 ... times among the nearest of others;
"along_gap.z1", "along_gap.z2" and "along_gap.edges", where both sides lie on the line between their centres; "classes.across"
(c, c), mean cosines, with "classes.name" and "classes.shown", which classes these are.
"""

import io
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from labkit.figures import report as drawing
from labkit.report.paper.words import grouped, is_clean, measured, of_class, shown, title
from labkit.report.pieces import Number
from labkit.report.result import Report

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NULLS = ("isotropic", "shuffled", "strangers", "untrained", "permuted", "chance", "random", "null")
BINS = 48
SHOWN = (  # in the overview
    "norm", "alignment_gap", "variance", "mean_cosine", "effective_rank", "participation_ratio", "alignment", "uniformity",
    "hubness", "modality_gap", "pair_margin", "retrieval", "tolerance", "knn_accuracy", "linear_probe",
)  # fmt: skip
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
    """Name of a curve -> its values, for all arrays that are called `what.OF`, `what.OF.NULL`, `OF.what` or `OF.what NULL`."""
    found = {}
    for section in report.sections:
        for key, values in section.arrays.items():
            first, _, rest = key.partition(".")
            kind, _, null = rest.partition(" ")
            name = rest.replace(".", ", ") if first == what else f"{first}, {null}".strip(", ") if kind == what else ""
            if name and np.size(values):
                found[name] = np.asarray(values, dtype=float)
    return found


def merged(found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Null rows that are the same for z1 and z2 (random directions of one n and d) once, by the null's name alone."""
    kept: dict[str, np.ndarray] = {}
    for name, values in found.items():
        null = name.rpartition(", ")[2] if name in beside(found) else name
        alike = [k for k in kept if k.rpartition(", ")[2] == null and np.array_equal(kept[k], values)]
        if alike:
            kept = {null if k == alike[0] else k: v for k, v in kept.items()}
        else:
            kept[name] = values
    return kept


def beside(names: Mapping[str, Any]) -> list[str]:
    """Which of them are null rows, by their names."""
    return [name for name in names if any(word in name for word in NULLS)]


def array(report: Report, name: str) -> np.ndarray | None:
    return next((np.asarray(s.arrays[name]) for s in report.sections if name in s.arrays), None)


def shares(counts: np.ndarray) -> np.ndarray:
    return counts / max(counts.sum(), 1)


def bins(edges: np.ndarray, found: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"from": edges[:-1], "to": edges[1:], **found}


def quantiles(edges: np.ndarray, counts: np.ndarray) -> str:
    """Where the middle and 95 % lie, to a bin."""
    part = np.cumsum(counts) / counts.sum()
    low, middle, high = ((edges[:-1] + edges[1:])[np.searchsorted(part, q)] / 2 for q in (0.025, 0.5, 0.975))
    return f"half above {shown(middle)}, 95 % from {shown(low)} to {shown(high)}"


# ---------------------------------------------------------------- figures


def overview(report: Report) -> Drawn | None:
    """A row for each number that one looks at first; all of them where none of these is there."""
    every = [n for n in report.numbers if not is_clean(n) and not of_class(n)]
    numbers = [n for n in every if n.meter in SHOWN and (n.meter == "retrieval" or " among " not in n.of)] or every
    numbers = [n for these in grouped(numbers).values() for n in these]
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
    """A panel for each view, as their lengths may differ by orders."""
    found = {of: (array(report, f"{of}.norms_edges"), counts) for of, counts in curves(report, "norms").items()}
    panels = {of: (edges, shares(counts)) for of, (edges, counts) in found.items() if edges is not None}
    if not panels:
        return None
    figure = drawing.histograms(panels, xlabel="length of a row")
    told = "; ".join(f"{of}: {quantiles(*panel)}" for of, panel in panels.items())
    rows = [(of, *row) for of, (edges, values) in panels.items() for row in zip(edges[:-1], edges[1:], values, strict=True)]
    data = {name: [row[k] for row in rows] for k, name in enumerate(("of", "from", "to", "share"))}
    return Drawn(figure, data, f"How long rows are before they are normalised. {told}.", "sanity")


def spectrum(report: Report) -> Drawn | None:
    found = merged(curves(report, "spectrum"))
    if not found:
        return None
    figure = drawing.spectrum(found, beside(found))
    longest = max(map(len, found.values()))
    data = {"direction": np.arange(1, longest + 1)}
    data |= {name: np.pad(values, (0, longest - len(values)), constant_values=np.nan) for name, values in found.items()}
    told = " ".join(f"{name}: the middle one of {len(v):,} has {shown(middle(v))}." for name, v in found.items())
    alt = f"How far the centred unit rows reach along each of their own axes, over the widest (singular values). {told}"
    return Drawn(figure, data, alt, "spectrum")


def middle(values: np.ndarray) -> float:
    return float(values[len(values) // 2] / values[0]) if values[0] > 0 else 0.0


def cosines(report: Report) -> Drawn | None:
    every = curves(report, "cosines")
    if not every:
        return None
    least = min(float(values.min()) for values in every.values())
    edges = np.linspace(max(-1.0, math.floor(20 * least) / 20), 1.0, BINS + 1)
    found = {name: shares(np.histogram(np.clip(values, -1, 1), edges)[0]) for name, values in every.items()}
    figure = drawing.histogram(
        edges, found, xlabel="cosine", ylabel="share of the pairs, over its highest", beside=beside(found), peaks=True
    )
    told = "; ".join(f"{name}: half above {shown(float(np.median(values)))}" for name, values in every.items())
    return Drawn(figure, bins(edges, found), f"Cosines of two rows, each curve over its own highest. {told}.", "geometry")


def hubness(report: Report) -> Drawn | None:
    every = {name: counts for name, counts in curves(report, "k_occurrence").items() if " among " not in name}
    found = merged({name: counts[::-1].cumsum()[::-1] / counts.sum() for name, counts in every.items() if counts.sum()})
    if not found:
        return None
    figure = drawing.tails(found, "how often a row is among the 10 nearest of others", beside(found))
    longest = max(map(len, found.values()))
    data = {"at least": np.arange(longest)} | {name: np.pad(v, (0, longest - len(v))) for name, v in found.items()}
    told = "; ".join(
        f"{name}: never {shown(100 * (1 - v[1]) if len(v) > 1 else 100)} % of the rows, most often {len(v) - 1:,}"
        for name, v in found.items()
    )
    return Drawn(figure, data, f"How often rows are among the nearest of others; a long tail is hubs. {told}.", "neighbours")


def modalities(report: Report) -> Drawn | None:
    edges, sides = array(report, "along_gap.edges"), {of: array(report, f"along_gap.{of}") for of in ("z1", "z2")}
    found = {of: shares(counts) for of, counts in sides.items() if counts is not None}
    if edges is None or not found:
        return None
    figure = drawing.histogram(edges, found, xlabel="along the line between the centres of z1 and z2")
    told = "; ".join(f"{of}: {quantiles(edges, values)}" for of, values in found.items())
    alt = f"Where the unit rows of both sides lie along the line between their centres: apart where there is a gap. {told}."
    return Drawn(figure, bins(edges, found), alt, "modalities")


def classes(report: Report) -> Drawn | None:
    """Class against class where there are such means; else the first meter that has single classes."""
    across, names, which = (array(report, f"classes.{what}") for what in ("across", "name", "shown"))
    if across is None or names is None or which is None or len(across) < 2:
        return by_class(report)
    return similarity(across[:MOST, :MOST].astype(float), [str(name) for name in names[which][:MOST]])


def similarity(values: np.ndarray, names: list[str]) -> Drawn:
    figure = drawing.matrix(values, names, "mean cosine of unit rows")
    rows, columns = np.indices(values.shape)
    data = {"class": [names[k] for k in rows.ravel()], "with": [names[k] for k in columns.ravel()], "cosine": values.ravel()}
    apart = np.where(np.eye(len(values), dtype=bool), -np.inf, values)
    one, other = np.unravel_index(apart.argmax(), apart.shape)
    own, others = np.diag(values).mean(), apart[np.isfinite(apart)].mean()
    alt = (
        f"Mean cosine between {len(values)} classes: {shown(own)} within a class, {shown(others)} between classes; nearest to "
        f"each other are {names[one]} and {names[other]} with {shown(apart.max())}."
    )
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
    "modalities": modalities,
    "classes": classes,
}
