"""What is wrong with single rows: not finite, zero, equal, nearly equal, far too long."""

import math
from collections.abc import Iterator

from torch import Tensor, isin

from labkit.report.faults.look import Look, View
from labkit.report.faults.words import counted, listed, median, percent, times
from labkit.report.pieces import Finding
from labkit.report.rows import Scan
from labkit.report.rows.scanning import HUGE, TINY

SOME = 0.05  # share of repeated rows that moves the meters: uniformity, neighbours, probes that find the copy
CLOSE = 0.1  # of the distance to the second neighbour: what is nearer is a copy with noise
CHANCE = 0.002  # of all rows of smooth data may be that close
LIKE = 0.05  # of the length: a copy is as long as the row it was taken from
LONG = 10.0  # times the usual length, and
ALONE = 4.0  # times the third longest
DROWNS = 0.2  # of the squared length of all rows


def broken(look: Look) -> Iterator[Finding]:
    """Rows that no meter can read."""
    for name, scan in look.given.scans.items():
        yield from out_of_reach(name, scan)
        bad = without(scan.bad_rows, scan.huge_rows)
        if len(bad):
            yield Finding(
                "bad-rows",
                True,
                name,
                "sanity",
                f"{counted(len(bad), 'row')} of {scan.n:,} with NaN or infinity: {listed('row', bad)}. "
                "Left out, with their partners.",
                "Find where the first one comes from: a division by a length of 0, an overflow in half precision, a log of 0.",
                {"rows": len(bad), "share": len(bad) / scan.n},
            )
        zeros = without(scan.zero_rows, scan.tiny_rows)
        zero = len(zeros)
        if zero:
            sparse = bool((scan.low >= 0).all()) and zero <= SOME * scan.n
            yield Finding(
                "zero-rows",
                not sparse,
                name,
                "sanity",
                f"{counted(zero, 'row')} of {scan.n:,} with nothing but zeros: {listed('row', zeros)}. They point "
                "nowhere, and were left out.",
                "Look for padding, empty texts or a buffer that was never filled" + (", or dead units." if sparse else "."),
                {"rows": zero, "share": zero / scan.n},
            )


def out_of_reach(name: str, scan: Scan) -> Iterator[Finding]:
    """Rows of numbers whose squares float64 does not hold."""
    for code, rows, words, verb in (
        ("bad-rows", scan.huge_rows, f"so large (longer than {HUGE:g}) that their squares overflow", "divide"),
        ("zero-rows", scan.tiny_rows, f"so small (shorter than {TINY:g}) that their squares vanish", "multiply"),
    ):
        if len(rows):
            yield Finding(
                code,
                True,
                name,
                "sanity",
                f"{counted(len(rows), 'row')} of {scan.n:,} with finite numbers {words} in float64: {listed('row', rows)}. "
                "Left out, with their partners.",
                f"Where all rows are like this, {verb} them by one number: no direction changes. Where a few are, look for a "
                "mark of missing values, or an overflow, where they come from.",
                {"rows": len(rows), "share": len(rows) / scan.n},
            )


def without(rows: Tensor, others: Tensor) -> Tensor:
    return rows[~isin(rows, others)]


def repeated(look: Look) -> Iterator[Finding]:
    """Rows that are equal, or nearly."""
    for name, scan in look.given.scans.items():
        if len(scan.duplicates) and name != "untrained":
            yield equal(name, scan)
    for view in look.apart:
        if len(view.distinct) >= 16:
            yield from nearly(look, view)


def equal(name: str, scan: Scan) -> Finding:
    many, first = scan.largest_group
    share = len(scan.duplicates) / scan.n
    return Finding(
        "duplicate-rows",
        share > SOME and len(scan.duplicates) > 2,
        name,
        "sanity",
        f"{counted(len(scan.duplicates), 'exact repeat')} of an earlier row among {scan.n:,} ({percent(share)}): "
        f"{listed('row', scan.duplicates)}; row {first:,} is there {many:,} times.",
        "Drop the repeats (numpy.unique(z1, axis=0)) and read the report again: copies sit at distance 0, which pulls "
        "uniformity up and lets neighbours and probes find the answer.",
        {"rows": len(scan.duplicates), "share": share, "largest": many},
    )


def nearly(look: Look, view: View) -> Iterator[Finding]:
    """Rows whose nearest neighbour is far nearer than the next ones, or than is usual here."""
    copies = near_copies(view, look.share)
    count, share = len(copies), min(len(copies) / len(view.distinct) / look.share, 1.0)
    if count < 4 or share < 0.01:
        return
    of_sample = "" if look.share == 1 else f", {percent(share)} of all rows if the rest is like the sample"
    which = f": {listed('row', look.sample.rows[copies])}" if look.in_order(view) else ""
    yield Finding(
        "duplicate-rows",
        share > 2 * SOME,  # a pair counts twice: row and copy
        view.name,
        "sanity",
        f"{counted(count, 'row')} of {len(view.distinct):,} different ones with a near copy, ten times closer than their "
        f"other neighbours{of_sample}{which}.",
        "Look at these rows' inputs: the same item saved twice, or crops and paraphrases that count as different. "
        "Keep one of each.",
        {"rows": count, "share": share},
    )


def near_copies(view: View, sampled: float) -> Tensor:
    """Rows of the sample, the distinct ones, that have a copy with noise among them.

    Smooth data of k dimensions have a first neighbour closer than x times the distance to a later one with probability x^k,
    so x is chosen such that a share of `CHANCE` of all rows may be that close, and at most `CLOSE`.
    """
    near = view.near.distances
    if near.shape[1] < NEEDED or float(near[:, -1].max()) == 0:
        return view.distinct[:0]
    far = near[:, [5]] / near[:, [9]].clamp(min=1e-300)
    dimension = math.log(5.5 / 9.5) / min(math.log(max(median(far.squeeze(1)), 1e-9)), -1e-3)
    x = min(CLOSE, (CHANCE * sampled) ** (1 / max(dimension, 0.5)))
    beside = near[:, 0] < x * near[:, [1, 2, 4]].amax(1)
    usual = near[:, 0].quantile(0.9)
    lengths = view.rows[view.distinct].norm(dim=1)  # on the sphere alone, all rows with one live unit are copies
    as_long = (lengths[view.near.who[:, 0]] / lengths - 1).abs() < LIKE
    flagged = (beside | (near[:, 0] < 0.2 * x * usual)) & as_long
    return view.distinct[flagged]


NEEDED = 10


def lengths(look: Look) -> Iterator[Finding]:
    """A row that drowns the others, and rows that are not of length one."""
    for view in look.apart:
        norms = view.scan.norms[view.scan.good]
        if len(norms) < 4:
            continue
        squares = (norms / norms.max()).square()
        share, ratio = 1 / float(squares.sum()), float(norms.max()) / median(norms)
        longest = int(view.scan.norms.nan_to_num(-1).argmax())
        alone = float(norms.max()) > ALONE * float(norms.topk(min(3, len(norms))).values[-1])
        if ratio > LONG and alone:
            yield Finding(
                "dominating-row",
                share > max(DROWNS, 4 / len(norms)),
                view.name,
                "sanity",
                f"Row {longest:,} is {times(ratio)} times as long as the median row and holds {percent(share)} of the squared "
                f"length of all {len(norms):,} rows.",
                "Look at this row's input; on rows as given it pulls the spectrum, the mean and dot products its way. "
                "Meters here use unit rows.",
                {"row": longest, "share": share, "ratio": ratio},
            )
        else:
            yield from heavy(view, squares)
        yield from unnormalised(view)
    yield from half_normalised(look)


def heavy(view: View, squares: Tensor) -> Iterator[Finding]:
    """Few rows, such as the first tokens of texts, that hold most of the squared length."""
    few = max(len(squares) // 50, 1)
    share = float(squares.topk(few).values.sum() / squares.sum())
    if share > 0.5 and len(squares) >= 100:
        yield Finding(
            "dominating-row",
            False,
            view.name,
            "sanity",
            f"{counted(few, 'row')} of {len(squares):,} hold {percent(share)} of all squared length.",
            "Usual for the first token of a text in a language model. On rows as given the spectrum is these rows: "
            "look at them apart.",
            {"rows": few, "share": share},
        )


def is_unit(scan: Scan) -> bool:
    """Whether all rows have length one, as well as half precision can say it."""
    norms = scan.norms[scan.good]
    return len(norms) > 0 and float((norms - 1).abs().max()) < 0.01


def unnormalised(view: View) -> Iterator[Finding]:
    norms = view.scan.norms[view.scan.good]
    if is_unit(view.scan):
        return
    mean, spread = float(norms.mean()), float(norms.std() / norms.mean())
    even = (
        f"all rows have length {mean:.4g}"
        if spread < 0.005
        else f"lengths {float(norms.min()):.3g} to {float(norms.max()):.3g}"
    )
    yield Finding(
        "unnormalised",
        False,
        view.name,
        "sanity",
        f"Rows are not of length one: {even}, mean {mean:.4g}, coefficient of variation {spread:.2g}.",
        "Meters that speak of the sphere normalise the rows themselves. Do the same (torch.nn.functional.normalize) wherever "
        "your code takes a dot product for a cosine.",
        {"mean": mean, "spread": spread},
    )


def half_normalised(look: Look) -> Iterator[Finding]:
    """One view on the sphere, the other not."""
    if len(look.apart) < 2:
        return
    one, other = look.apart
    if is_unit(one.scan) != is_unit(other.scan):
        on, off = (one, other) if is_unit(one.scan) else (other, one)
        mean = float(off.scan.norms[off.scan.good].mean())
        yield Finding(
            "unnormalised",
            False,
            "z1, z2",
            "sanity",
            f"Rows of {on.name} have length one, rows of {off.name} do not (mean length {mean:.4g}).",
            f"Normalise {off.name} as {on.name} was, or find the step that only one of them went through.",
            {"mean": mean},
        )
