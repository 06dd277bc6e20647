"""Two modalities: rows that were exchanged between them."""

from collections.abc import Iterator
from typing import NamedTuple

from torch import Tensor

from labkit.report.faults.look import Look, View
from labkit.report.faults.words import counted, percent, ranges
from labkit.report.pieces import Finding

APART = 4.0  # pooled standard deviations between two modalities along their gap
STEADY = 2.0  # mean over spread of the distance to the middle, on the minority's side: 1 for the tail of one mode
MEETS = 0.25  # squared distance of an exchanged cloud to the other modality's, over the squared gap


class Sides(NamedTuple):
    """On which side of the middle z1 - z2 lies for each pair; `fewer` marks the minority."""

    along: Tensor
    fewer: Tensor
    meets: float


def sides(one: View, other: View) -> Sides:
    """Pairs' differences along their first direction, uncentred: with a gap all of one sign."""
    gaps = one.unit - other.unit
    along = gaps @ leading(gaps)
    fewer = along < 0 if int((along < 0).sum()) * 2 <= len(along) else along >= 0
    if not fewer.any() or fewer.all():
        return Sides(along, fewer, 1.0)
    # an exchanged row of z1 lies where z2 lies, and the other way round
    usual = (one.unit[~fewer].mean(0), other.unit[~fewer].mean(0))
    swapped = (one.unit[fewer].mean(0), other.unit[fewer].mean(0))
    gap = float((usual[0] - usual[1]).square().sum())
    crossed = float((swapped[0] - usual[1]).square().sum() + (swapped[1] - usual[0]).square().sum())
    noise = float((one.variance + other.variance) / max(int(fewer.sum()), 1))
    return Sides(along, fewer, max(crossed - noise, 0.0) / 2 / max(gap, 1e-300))


def leading(x: Tensor, rows: int = 1024) -> Tensor:
    """Direction of the first uncentred axis: by powers, from the longest row."""
    some = x[:: -(-len(x) // rows)]
    axis = some[int(some.square().sum(1).argmax())]
    for _ in range(50):
        axis = some.T @ (some @ axis)
        axis = axis / axis.norm().clamp(min=1e-300)
    return axis


def exchanged(look: Look) -> Iterator[Finding]:
    """Rows of z1 that lie with z2's modality, and their partners with z1's; else a gap that cannot tell which is which."""
    if not look.sample.modal or len(look.views) < 2 or len(look) < 16:
        return
    one, other = look.views
    if one.rows.shape[1] != other.rows.shape[1]:
        return
    found = sides(one, other)
    if swapped(found):
        yield swap(look, found)
    elif apart(one, other) > APART:
        yield gap(look, one, other)


def swapped(found: Sides) -> bool:
    """Whether the differences have two modes of opposite sign, not one with a tail, and the clouds change places."""
    few = int(found.fewer.sum())
    if few < max(3, 0.005 * len(found.along)):
        return False
    size = found.along.abs()
    most, least = size[~found.fewer], size[found.fewer]
    steady = min(float(part.mean() / part.std().clamp(min=1e-300)) for part in (most, least))
    return steady > STEADY and float(least.mean()) > 0.5 * float(most.mean()) and found.meets < MEETS


def swap(look: Look, found: Sides) -> Finding:
    rows = look.sample.rows[found.fewer]
    share, sampled = len(rows) / len(found.along), "" if look.share == 1 else " in the sample"
    return Finding(
        "swapped-modalities",
        True,
        "z1, z2",
        "modalities",
        f"The two modalities are exchanged in {counted(len(rows), 'pair')} of {len(found.along):,}{sampled} "
        f"({percent(share)}): {ranges(rows)}. There z1 - z2 points the opposite way and each row lies in the other's cloud "
        "(or it is the rest that is exchanged: the numbers cannot say).",
        "Look at the inputs of these pairs, and exchange them back where z1 and z2 were filled; the gap, retrieval and every "
        "mean of z1 mix two modalities now.",
        {"rows": len(rows), "share": share},
    )


def apart(one: View, other: View) -> float:
    """Pooled standard deviations between the modalities along the line between their centres."""
    line = one.mean - other.mean
    a, b = one.unit @ line, other.unit @ line
    return float((a.mean() - b.mean()) / ((a.var() + b.var()) / 2).sqrt().clamp(min=1e-300))


def gap(look: Look, one: View, other: View) -> Finding:
    length = float((one.mean - other.mean).norm())
    names = [view.source.source for view in (one, other)]
    files = f" z1 was read from {names[0]} and z2 from {names[1]}." if all("." in name for name in names) else ""
    return Finding(
        "modality-gap",
        False,
        "z1, z2",
        "modalities",
        f"z1 and z2 lie apart: the distance of their centres is {length:.3g}, and hardly a row lies between them.{files}",
        "Usual for two encoders trained together (image and text). Which of them is which the numbers cannot say: check that "
        "z1 and z2 as a whole were not exchanged.",
        {"gap": length},
    )
