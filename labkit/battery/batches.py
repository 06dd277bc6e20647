"""The same batch told otherwise: what the value depends on, and what it does not."""

from collections.abc import Callable

import torch
from torch import Tensor

from labkit.battery.inputs import along, shuffled, size, stretched, swapped, turned
from labkit.battery.trials import EMBEDDED, PAIRED, Bench, Found, trial

SIGN = 'is a sign missing? If it is meant to push apart only, say expect={"pairing": False}'
SAME = 1e-6  # an epsilon in a norm or a distance is seen, and allowed


@trial("permutation", "the order of rows does not matter")
def permutation(bench: Bench) -> Found:
    change = bench.change(shuffled(bench.entry, bench.given))
    if change <= bench.rounding:
        return Found("passed", change, "rows may come in any order")
    says = f"another order changes the value by {change:.2g}"
    if bench.subject.kind in PAIRED and stays(bench, lambda x: x.roll(1, 0)):
        what = "moving all rows on by one does not: a row's stranger is a neighbour in the batch, as z.roll(1, 0) gives it"
        return Found("differs", change, f"{says}, {what}")
    if bench.subject.kind in PAIRED and stays(bench, lambda x: x.flip(0)):
        what = "turning the batch upside down does not: is a row's stranger z.flip(0)? With odd n the middle row meets itself"
        return Found("look", change, f"{says}, {what}; z.roll(1, 0) has no such row")
    return Found(
        "failed", change, f"the same rows in another order change the value by {change:.2g}: a target or mask counts on places"
    )


def stays(bench: Bench, move: Callable[[Tensor], Tensor]) -> bool:
    """Whether the value is the same when all tensors are moved like this."""
    return bench.change({n: move(x) for n, x in bench.given.items()}) <= bench.rounding


@trial("pairing", "a partner is told from a stranger", kinds=(*PAIRED, "labels", "preference"))
def pairing(bench: Bench) -> Found:
    if bench.subject.kind == "preference":
        return direction(bench)
    right, wrong = matched(bench)
    gap = bench.value(wrong) - bench.value(right)
    if abs(gap) <= bench.rounding:
        return Found("look", gap, "right and wrong pairs have the same value: it does not know who belongs to whom")
    if gap < 0:
        return Found("failed", gap, f"right pairs cost {-gap:.3g} more than wrong ones: {SIGN}")
    return Found("passed", gap, f"wrong pairs cost {gap:.3g} more than right ones")


def matched(bench: Bench) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """A batch whose partners coincide, nearly, and the same batch with each partner one row further."""
    given = bench.given
    n, d = (size(bench.entry, given, letter) for letter in "nd")
    noise = torch.randn(n, d, generator=torch.Generator().manual_seed(5))
    if bench.subject.kind == "labels":
        near = given["z"][::2].repeat_interleave(2, 0)[:n] + 0.1 * noise
        return {**given, "z": near}, {**given, "z": near, "labels": given["labels"].roll(1)}
    if bench.subject.kind == "views":
        near = given["views"][:, :1].expand_as(given["views"]) + 0.1 * noise[:, None]
        rolled = torch.stack([near[:, k].roll(k, 0) for k in range(near.shape[1])], 1)
        return {"views": near}, {"views": rolled}
    first, second = given
    near = given[first] + 0.1 * noise
    return {**given, second: near}, {**given, second: near.roll(1, 0)}


def direction(bench: Bench) -> Found:
    """Whether raising the chosen answer lowers the loss, and raising the rejected one raises it."""
    _, found = bench.slopes(bench.given)
    chosen, rejected = (found[f"{side}_logps"] for side in ("chosen", "rejected"))
    if chosen is None or rejected is None:
        return Found("not applicable", None, "no gradient to look at")
    push = float(chosen.sum() - rejected.sum())
    if push > 0:
        return Found("failed", push, "a step down lowers the chosen answers against the rejected ones: are the two swapped?")
    return Found("passed", push, "a step down raises the chosen answers against the rejected ones")


@trial("rotation", "a rotation does not matter", kinds=EMBEDDED)
def rotation(bench: Bench) -> Found:
    change = bench.change(turned(bench.entry, bench.given))
    if change <= max(SAME, bench.rounding):
        return Found("passed", change, "only distances or angles between rows count")
    says = f"a common rotation changes the value by {change:.2g}: dimensions count one by one, as in Barlow Twins and VICReg"
    return Found("differs", change, says)


@trial("view swap", "the order of views does not matter", kinds=PAIRED)
def view_swap(bench: Bench) -> Found:
    change = bench.change(swapped(bench.entry, dict(sorted(bench.given.items()))))
    if change <= bench.rounding:
        return Found("passed", change, "both views are treated alike")
    says = f"swapping the views changes the value by {change:.2g}: one is the anchor; the mean of both ways treats them alike"
    return Found("differs", change, says)


@trial("scale", "the length of a row does not matter", kinds=EMBEDDED)
def scale(bench: Bench) -> Found:
    change = bench.change(stretched(bench.entry, bench.given, decades=2))
    if change <= max(SAME, bench.rounding):
        return Found("passed", change, "rows are normalised inside")
    says = f"rows of other lengths change the value by {change:.2g}: they are not normalised inside"
    return Found("differs", change, f"{says}; where only directions count: z = F.normalize(z, dim=-1)")


@trial("columns", "nothing is normalised along the batch", kinds=EMBEDDED)
def columns(bench: Bench) -> Found:
    """A length of its own for every dimension leaves a loss alone that normalises along the batch."""
    d = size(bench.entry, bench.given, "d")
    lengths = torch.logspace(-1, 1, d, dtype=torch.float64)
    wide = along(bench.entry, bench.given, "d", lambda x, axis: x * lengths.to(x.dtype))
    change = bench.change(wide)
    if not change <= max(SAME, bench.rounding):
        return Found("passed", change, "a row's value is its own, whatever the lengths of columns")
    if bench.change(along(bench.entry, bench.given, "d", lambda x, axis: x + lengths.to(x.dtype))) <= max(SAME, bench.rounding):
        return Found("differs", change, "every dimension is standardised over the batch, as in Barlow Twins")
    if bench.change(stretched(bench.entry, bench.given, decades=2)) <= max(SAME, bench.rounding):
        return Found("differs", change, "the value sees neither the lengths of rows nor those of columns")
    says = "every dimension is divided by its length over the batch: normalize(dim=0)?"
    return Found("look", change, f"{says} For cosines between rows it is F.normalize(z, dim=-1)")
