"""Collapse as a whole: one point, one direction, two clusters; and too few rows to tell."""

from collections.abc import Iterator

from torch import Tensor

from labkit.report.faults.clumps import Clumps, clumps
from labkit.report.faults.look import Look, View
from labkit.report.faults.words import percent
from labkit.report.pieces import Finding

POINT = 1e-3  # variance of unit rows below which they are one point for any meter on the sphere
CONE = 0.5  # squared length of the mean direction, which is the mean cosine
AGREE = 0.75  # of the rows: two classes are the two clusters, some wrong labels among them
TIGHT = 0.1  # of the squared distance between two clusters: the variance within either
APART = 4.0  # pooled standard deviations; a Gaussian cut in half shows 2.6
ROWS = 2048
AXES = 32


def collapsed(look: Look) -> Iterator[Finding]:
    """All rows one point, or all in a cone."""
    for view in look.apart:
        cosine = float(view.mean.square().sum())
        if view.variance < POINT:
            yield Finding(
                "complete-collapse",
                True,
                view.name,
                "scale",
                f"All rows point the same way: the unit rows' variance is {view.variance:.2g}, their mean cosine {cosine:.6f}.",
                "Read no rank, probe or neighbour here: what is left is a tiny residue. In training, look for a loss without "
                "negatives, variance term or stop-gradient; otherwise for a mean that was added to all rows.",
                {"variance": view.variance},
            )
        elif cosine > CONE:
            yield Finding(
                "narrow-cone",
                False,
                view.name,
                "scale",
                f"Rows lie in a narrow cone: the mean cosine of two rows is {cosine:.3f}, the variance of the unit rows "
                f"{view.variance:.3g} of 1.",
                "Usual for states of language models. Take the mean away before you compare cosines, and read alignment "
                "against shuffled pairs, not against 2.",
                {"cosine": cosine, "variance": view.variance},
            )


def few(look: Look) -> Iterator[Finding]:
    """Fewer rows than the width can be judged by."""
    for view in look.apart[:1]:
        n, d = look.sample.total, view.scan.d
        if n <= d or n < 100:
            rank = f": no rank can be above {n - 1:,}" if n <= d else ""
            yield Finding(
                "too-few-rows",
                False,
                view.name,
                "sanity",
                f"{n:,} usable rows for {d:,} dimensions{rank}; intervals are wide.",
                f"Compare only with inputs of the same n; for ranks take at least {4 * d:,} rows.",
                {"n": n, "d": d},
            )


def two_clusters(look: Look) -> Iterator[Finding]:
    """Nearly all variance between two tight clusters; two modalities in one array are named as such."""
    if "swapped-modalities" in look.alarms:
        return
    for view in look.apart:
        if len(view.rows) < 16 or view.variance < POINT:
            continue
        step = max(-(-len(view.rows) // ROWS), 1)
        x = view.coordinates(AXES)[::step]
        found = clumps(x, 2, look.generator())
        rest = view.variance - float(view.coordinates(AXES).square().sum(1).mean())
        if not tight(x, found, max(rest, 0.0)) or not apart(view.rows[::step], found.member):
            continue
        labels = None if look.sample.labels is None else look.sample.labels[::step]
        yield named(view, found, labels)


def tight(x: Tensor, found: Clumps, rest: float) -> bool:
    """Whether both clusters are small beside the distance between them; `rest` is variance on the axes left out."""
    if int(found.sizes.min()) < 2:
        return False
    distance = float((found.centres[0] - found.centres[1]).square().sum())
    within = [float((x[found.member == c] - found.centres[c]).square().sum(1).mean()) + rest for c in (0, 1)]
    return max(within) < TIGHT * distance


def apart(rows: Tensor, member: Tensor) -> bool:
    """Whether the clusters are there in the rows as given, too: on the sphere one long direction looks like two points."""
    a, b = rows[member == 0], rows[member == 1]
    line = a.mean(0) - b.mean(0)
    a, b = a @ line, b @ line
    return float((a.mean() - b.mean()) / ((a.var() + b.var()) / 2).sqrt().clamp(min=1e-300)) > APART


def named(view: View, found: Clumps, labels: Tensor | None) -> Finding:
    share = int(found.sizes.min()) / len(found.member)
    agree = labels is not None and int(labels.max()) + 1 >= 2 and matches(found.member, labels)
    by_labels = "; the two classes of the labels are these two clusters" if agree else ""
    return Finding(
        "two-clusters",
        not agree,
        view.name,
        "scale",
        f"Nearly everything is two tight clusters, of {percent(1 - share)} and {percent(share)} of the rows: "
        f"{percent(found.between)} of the variance on the leading axes lies between their centres{by_labels}.",
        "Read the meters within one cluster: ranks, cosines and uniformity over all rows speak of the gap between the two."
        if agree
        else "Find what tells the clusters apart (source, modality, length, a unit that saturates); then read each by itself.",
        {"between": found.between, "share": share},
    )


def matches(member: Tensor, labels: Tensor) -> bool:
    """Whether two classes are the two clusters, but for some rows."""
    if len(labels.unique()) != 2:
        return False
    same = float((member == (labels == labels.max()).long()).double().mean())
    return max(same, 1 - same) > AGREE
