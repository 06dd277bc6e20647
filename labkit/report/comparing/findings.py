"""What must be known before two models are compared: other rows, the same array twice, modalities exchanged, other widths."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from labkit.directions import unit
from labkit.report.comparing.likeness import overlap, table
from labkit.report.comparing.models import Drawn, alike, as_report, widths
from labkit.report.comparing.profile import K, Near
from labkit.report.comparing.profiles import Profile, estimated
from labkit.report.paper.words import measured, shown
from labkit.report.pieces import Finding, Number
from labkit.report.rows import Classes

TURNED = 1e-6  # cosines that differ by less are those of the same points, turned
LITTLE, FAR = 0.25, 3.0  # of the neighbours are shared, and how many times as many are a row further: then rows have moved
ROWS = "rows-do-not-correspond"


def find(profiles: Sequence[Profile], likeness: Sequence[Number], labels: Classes | None, seed: int) -> list[Finding]:
    """All of two models."""
    a, b = profiles
    found = different_numbers(a.drawn, b.drawn) or the_same(a, b) or exchanged(a, b) or unrelated(a, b, likeness)
    return [*found, *other_widths(a, b), *(f for each in (a, b) for f in of_input(each.drawn, labels, seed))]


def of_layers(profiles: Sequence[Profile]) -> list[Finding]:
    """The narrowest beside the widest."""
    ordered = sorted(profiles, key=lambda each: widths(each.drawn)["z1"])
    return other_widths(ordered[0], ordered[-1])


# ---------------------------------------------------------------- which rows


def different_numbers(one: Drawn, other: Drawn) -> list[Finding]:
    a, b = one.model, other.model
    if a.n == b.n:
        return []
    says = (
        f"{a.name} has {a.n:,} rows and {b.name} {b.n:,}: they cannot be the same rows in the same order. {len(one):,} rows of "
        "each were drawn on their own, so that the intervals are wider, and what the two have in common cannot be told."
    )
    return [finding("different-rows", True, a, b, says, "embed the same inputs, in the same order, with both models")]


def the_same(a: Profile, b: Profile) -> list[Finding]:
    """The same numbers, the same rows in another order, or the same points turned."""
    if all(alike(a.drawn.views[key], b.drawn.views[key]) for key in a.drawn.views if key in b.drawn.views):
        says = f"{a.name} and {b.name} hold the same numbers: there is nothing to compare."
        return [finding("same-array-twice", True, a, b, says, "check that the second file or tensor is the other model's")]
    one, other = (each.drawn.model.scans["z1"] for each in (a, b))
    moments = one.d == other.d and all(
        torch.allclose(getattr(one, name), getattr(other, name), rtol=1e-7, atol=1e-12)
        for name in ("mean", "variance", "low", "high")
    )
    if moments and not turned(a, b):
        says = f"every column of {b.name} has the mean, variance and extremes of {a.name}'s: the same rows, in another order."
        return [finding(ROWS, True, a, b, says, "sort both by the same key")]
    if turned(a, b):
        says = (
            f"every cosine between rows is the same in both to {TURNED:g}: {b.name} is {a.name}, turned, mirrored, scaled or "
            "padded. No meter of cosines can tell them apart."
        )
        return [finding("only-turned", False, a, b, says, "compare single dimensions, if these matter to you")]
    return []


def turned(a: Profile, b: Profile) -> bool:
    return bool((a.seen["z1"].gram - b.seen["z1"].gram).abs().max() < TURNED)


def unrelated(a: Profile, b: Profile, likeness: Sequence[Number]) -> list[Finding]:
    """Whatever is in common is what shuffled rows have in common."""
    mine = [number for number in likeness if number.of == f"{a.name}, {b.name}"]
    if not mine:
        return []
    if any(number.estimate.low > number.floor.estimate.high for number in mine):
        return moved(a, b, mine)
    told = " and ".join(f"{n.card.title} {measured(n.estimate)} (shuffled rows {measured(n.floor.estimate)})" for n in mine)
    step = shift(a, b)
    why = (
        f"Row i of {a.name} seems to belong to row i {'+' if step > 0 else '−'} 1 of {b.name}."
        if step
        else "Row i of one does not seem to belong to row i of the other; or the two see nothing alike."
    )
    says = f"{a.name} and {b.name} have nothing in common: {told}. {why}"
    return [
        finding(ROWS, True, a, b, says, "embed the same inputs, in the same order, with both; look for a shuffling data loader")
    ]


def moved(a: Profile, b: Profile, mine: Sequence[Number]) -> list[Finding]:
    """Little in common where rows are, and far more a row further: classes in turn hide a shift."""
    straight = next((n.value for n in mine if n.meter == "neighbour_overlap"), 1.0)
    step = shift(a, b, FAR * straight) if straight < LITTLE else 0
    if not step:
        return []
    sign = "+" if step > 0 else "−"
    says = (
        f"row i of {a.name} shares {shown(straight)} of its neighbours with row i of {b.name}, and more than {FAR:g} times as "
        f"many with row i {sign} 1."
    )
    return [finding(ROWS, True, a, b, says, "look for a row that one file lacks, or a header that was read as a row")]


def shift(a: Profile, b: Profile, least: float = 0.0) -> int:
    """1 or −1 where more than `least` of the neighbours are shared with the row after or before, 0 where they are not."""
    rows, source = a.drawn.rows, b.drawn.model.views["z1"]
    least = max(least, 4 * K / len(rows) + 0.02)
    for by in (1, -1):
        at = rows + by
        inside = (at >= 0) & (at < source.n)
        z = source.take(at.clamp(0, source.n - 1))
        z[~inside | ~(torch.linalg.vector_norm(z, dim=1) > 0)] = 1.0
        if a.marks.least > 2 * K and overlap(a.seen["z1"].near, nearest(z), replace(a.marks, on=a.marks.on[:, :1]))[0] > least:
            return by
    return 0


def nearest(z: Tensor) -> Near:
    u = unit(torch.nan_to_num(z, nan=1.0, posinf=1.0, neginf=1.0))
    return Near.of(u @ u.T, None)


def exchanged(a: Profile, b: Profile) -> list[Finding]:
    """Each view of one shares more neighbours with the other's other view, beyond noise."""
    if not {"z1", "z2"} <= a.seen.keys() & b.seen.keys() or a.marks.least <= 2 * K:
        return []

    def shared(mine: str, other: str) -> np.ndarray:
        return np.array(overlap(a.seen[mine].near, b.seen[other].near, a.marks))

    straight, crossed = [shared("z1", "z1"), shared("z2", "z2")], [shared("z1", "z2"), shared("z2", "z1")]
    if min(estimated(c - s).low for c, s in zip(crossed, straight, strict=True)) <= 0:
        return []
    told = [
        f"{mine} of {a.name} shares {shown(c[0])} of its neighbours with {other} of {b.name} and {shown(s[0])} with its {mine}"
        for mine, other, c, s in (("z1", "z2", crossed[0], straight[0]), ("z2", "z1", crossed[1], straight[1]))
    ]
    says = f"{'; '.join(told)}: {b.name} looks like {a.name} with the two modalities exchanged."
    return [finding("swapped-modalities", True, a, b, says, f"give {b.name} as (z2, z1)")]


# ---------------------------------------------------------------- what the numbers can say


def other_widths(a: Profile, b: Profile) -> list[Finding]:
    """Effective ranks of other widths are counts out of different totals."""
    wide = [widths(each.drawn)["z1"] for each in (a, b)]
    ranks = [each.numbers.get(("z1", "effective_rank")) for each in (a, b)]
    if wide[0] == wide[1] or None in ranks:
        return []
    told = [
        f"{each.name} {shown(rank.value)} of {d:,} ({rank.value / d:.0%}; random directions {shown(rank.floor.estimate.value)})"
        for each, rank, d in zip((a, b), ranks, wide, strict=True)
        if rank is not None
    ]
    says = (
        f"the widths differ: effective rank counts directions, so a wider model can have more of them and use a smaller share. "
        f"{told[0]}; {told[1]}. Uniformity has other limits in other dimensions, too: read each beside its own null row."
    )
    return [finding("different-widths", False, a, b, says, "say rank and share of the width together")]


def of_input(seen: Drawn, labels: Classes | None, seed: int) -> list[Finding]:
    """The alarms that a report would raise of this input; its notices are for the report."""
    from labkit.report import faults

    found = faults.find(*as_report(seen, labels, seed))
    return [replace(f, of=seen.model.name if f.of == "z1" else f"{seen.model.name} {f.of}") for f in found if f.alarm]


def finding(code: str, alarm: bool, a: object, b: object, says: str, try_next: str) -> Finding:
    return Finding(code, alarm, f"{getattr(a, 'name', a)}, {getattr(b, 'name', b)}", "sanity", says, try_next)


def cka_of(profiles: Sequence[Profile]) -> np.ndarray:
    """Of every two layers."""
    return table({each.name: each.head for each in profiles})
