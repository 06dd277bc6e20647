"""The section "sanity": what was counted over all rows, how long the rows are, and whether pairs beat shuffled pairs."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from labkit.metrics import Estimate
from labkit.report.drawing import around, exact, halves
from labkit.report.faults.columns import column_spread, columns
from labkit.report.faults.lines import NEEDED, near_copies
from labkit.report.faults.look import Look, View
from labkit.report.pieces import Given, Measured, Missing, Null, Number, Sample, card
from labkit.report.rows import Scan

BARS = 40
CLEAN = Null("clean", "a clean input", exact(0))

card(
    "bad_rows",
    "rows that are not finite or overflow",
    "sanity",
    unit="rows",
    means="Rows that hold NaN or infinity, or are longer than 1e150 (squares overflow); they were left out of everything else.",
    implies_not="0 does not say that the numbers are right: a clipped overflow, or NaN replaced by 0, is not seen here.",
)
card(
    "zero_rows",
    "rows of length 0",
    "sanity",
    unit="rows",
    means="Rows of zeros (or shorter than 1e-150: squares vanish), which have no direction; left out of everything else.",
    implies_not="0 does not say that no input was empty: an encoder gives an empty text a row, too.",
)
card(
    "duplicate_rows",
    "repeated rows",
    "sanity",
    unit="rows",
    means="Rows equal, bit for bit, to an earlier row.",
    implies_not="Repeats need not be a mistake (inputs may be equal), but neighbours and probes find the copy all the same.",
)
card(
    "near_duplicates",
    "rows with a near copy",
    "sanity",
    unit="rows of the sample",
    means="Different rows whose nearest neighbour is at least ten times closer than their next ones.",
    implies_not="It does not say that their inputs are the same; and copies of rows that were not drawn are not seen.",
)
card(
    "constant_dimensions",
    "constant columns",
    "sanity",
    unit="of d columns",
    means="Columns that hold one value, not 0, in every row.",
    implies_not="0 does not say that all directions are used: columns may move together. The spectrum tells.",
)
card(
    "dead_dimensions",
    "dead columns",
    "sanity",
    unit="of d columns",
    means="Columns that are 0 in every row, or vary a thousand times less than the others.",
    implies_not="0 does not rule dimensional collapse out: after a rotation no column is dead and as many directions are.",
)
card(
    "norm",
    "mean length of a row",
    "sanity",
    means="How long rows are before they are normalised.",
    implies_not="Length is not confidence or quality, unless the model was trained to make it so; cosines do not see it.",
)
card(
    "norm_spread",
    "spread of the lengths",
    "sanity",
    unit="of their mean",
    means="Coefficient of variation of the rows' lengths: 0 when all are equally long.",
    implies_not="A small spread does not say that lengths are 1.",
)
card(
    "largest_share",
    "share of the longest row",
    "sanity",
    unit="of all squared length",
    means="How much of the squared length of all rows the longest has; 1/n when all are equally long.",
    implies_not="A small share does not say that no column dominates, nor that no group of rows does.",
)
card(
    "alignment_gap",
    "paired against shuffled",
    "sanity",
    means="How much closer partners lie than random pairs, in squared distance on the sphere: 0 when pairing is at chance.",
    implies_not="A gap above 0 does not say that every pair is right: with half of them shuffled, half of it is left.",
    sources=("2005.10242",),
)


def counts(given: Given, sample: Sample) -> Measured:
    """Counts over all rows, of each array that was given; lengths; paired against shuffled alignment."""
    look = Look.of(given, sample)
    numbers: list[Number] = []
    arrays: dict[str, np.ndarray] = {}
    missing: list[Missing] = []
    for name in ("z1", "z2"):
        if (scan := given.scans.get(name)) is not None:
            numbers += broken(name, scan)
            if len(scan.good) >= 2:
                numbers += lengths(name, scan)
                arrays |= histogram(name, scan)
    for view in look.apart:
        numbers += shapes(view)
        arrays[f"{view.name}.column_spread"] = column_spread(view).numpy()
        if len(view.distinct) <= NEEDED:
            missing.append(Missing("near_duplicates", f"more than {NEEDED} different usable rows of {view.name}"))
    if not look.views:
        missing += [Missing(key, "usable rows, and there are none") for key in ("constant_dimensions", "dead_dimensions")]
    gap = aligned(look)
    return Measured(
        tuple(numbers) + ((gap,) if isinstance(gap, Number) else ()),
        tuple(missing) + ((gap,) if isinstance(gap, Missing) else ()),
        arrays,
    )


def broken(name: str, scan: Scan) -> Iterator[Number]:
    found = {"bad_rows": scan.bad_count, "zero_rows": len(scan.zero_rows), "duplicate_rows": len(scan.duplicates)}
    for meter, count in found.items():
        yield Number(meter, name, exact(count), scan.n, (CLEAN,))


def lengths(name: str, scan: Scan) -> Iterator[Number]:
    norms = scan.norms[scan.good]
    mean, n = float(norms.mean()), len(norms)
    unit_rows = "rows of length one"
    yield Number("norm", name, exact(mean), n, (Null("normalised", unit_rows, exact(1)),))
    yield Number(
        "norm_spread", name, exact(float(norms.std()) / mean), n, (Null("normalised", unit_rows, exact(0)), gaussian(scan))
    )
    share = 1 / float((norms / norms.max()).square().sum())
    yield Number("largest_share", name, exact(share), n, (Null("even", f"{n:,} rows of one length", exact(1 / n)),))


def gaussian(scan: Scan) -> Null:
    """Lengths of standard normal rows in d dimensions vary by about 1 / sqrt(2 d)."""
    from math import exp, lgamma

    mean = 2**0.5 * exp(lgamma((scan.d + 1) / 2) - lgamma(scan.d / 2))  # of a chi with d degrees of freedom
    return Null("isotropic", f"standard normal rows, d = {scan.d:,}", exact((max(scan.d - mean**2, 0.0)) ** 0.5 / mean))


def shapes(view: View) -> Iterator[Number]:
    found = columns(view.scan, column_spread(view))
    yield Number("constant_dimensions", view.name, exact(len(found.constant)), view.scan.n, (CLEAN,))
    yield Number("dead_dimensions", view.name, exact(len(found.dead)), view.scan.n, (CLEAN,))
    if len(view.distinct) > NEEDED:
        count = len(near_copies(view, 1.0))
        yield Number("near_duplicates", view.name, exact(count), len(view.distinct), (CLEAN,))


def histogram(name: str, scan: Scan) -> dict[str, np.ndarray]:
    """Rows of each length: counts, and the edges between them. Lengths that differ by rounding alone are drawn as one."""
    lengths = scan.norms[scan.good].double().numpy()
    low, high = (float(lengths.min()), float(lengths.max())) if len(lengths) else (0.0, 1.0)
    room = max(high - low, 1e-3 * high, np.finfo(np.float64).tiny ** 0.5)
    count, edges = np.histogram(lengths, BARS, (high - room, high))
    return {f"{name}.norms": count, f"{name}.norms_edges": edges}


def aligned(look: Look) -> Number | Missing:
    """Shuffled minus paired alignment; under shuffling every row meets every other as often."""
    if look.sample.z2 is None:
        return Missing("alignment_gap", "z2 or pairs")
    if len(look.views) < 2 or len(look) < 16:
        return Missing("alignment_gap", "at least 16 usable pairs")
    one, other = look.views
    if one.unit.shape[1] != other.unit.shape[1]:
        return Missing("alignment_gap", f"two views of one width, not {one.unit.shape[1]} and {other.unit.shape[1]}")
    order = torch.randperm(len(look), generator=look.generator())
    value, chance = (gap_with_interval(look, one.unit, b) for b in (other.unit, other.unit[order]))
    null = Null("shuffled pairs", f"the same rows, paired at random, n = {len(look):,}", chance)
    return Number("alignment_gap", "z1, z2", value, len(look), (null,))


def gap_with_interval(look: Look, a: Tensor, b: Tensor) -> Estimate:
    r"""Shuffled minus paired alignment, and the interval about it by halves of the sample; all of them are one product.

    .. math:: \frac2n \sum_i a_i^\top b_i - \frac2{n(n-1)} \sum_{i \ne j} a_i^\top b_j
    """
    drawn = halves(len(a), look.sample.groups, seed=look.seed)
    member = torch.stack([torch.ones(len(a)), *(torch.zeros(len(a)).index_fill(0, rows, 1.0) for rows in drawn)]).double()
    n, own = member.sum(1), member @ (a * b).sum(1)
    everyone = ((member @ a) * (member @ b)).sum(1)
    value, *found = (2 * (own / n - (everyone - own) / (n * (n - 1)))).tolist()
    return around(value, found)
