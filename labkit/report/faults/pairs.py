"""Whether row i of one view belongs to row i of the other."""

from collections.abc import Iterator

import torch
from torch import Tensor

from labkit.directions import unit
from labkit.report.faults import matching, order
from labkit.report.faults.look import Look, View
from labkit.report.faults.words import counted, percent, ranges
from labkit.report.pieces import Finding
from labkit.report.rows import usable

SURE = 5.0  # standard deviations above shuffled pairs: the pairs are no accident
SOME = 0.05  # of the rows belong elsewhere
ROWS = 64  # from which on a likeness of two clouds is believed
WIDTH = 32  # random directions in which shifts are looked for
SAME_SHAPE = 0.8  # likeness of two covariances from which on they are of one space
NEARER = ", although rows of z1 come closer to rows of z2 than to other rows of z1: partners seem to lie at other rows."
SHAPED = (
    ", although z1 and z2 stretch along the same directions (covariances alike to {:.2f}): both are of one space, and partners "
    "lie at other rows, or are not there."
)
CLOSER = 0.03, 1.0  # of the way to a perfect match that rows come closer across views than within: a + b / sqrt(n)


def paired(look: Look) -> Iterator[Finding]:
    """The same array twice, or pairs that are shifted, shuffled or at chance."""
    if len(look.views) < 2 or len(look) < 16:
        return
    one, other = look.views
    if min(one.variance, other.variance) < 1e-12:
        return
    wide_alike = one.rows.shape[1] == other.rows.shape[1]
    if wide_alike and (same := twice(one, other)):
        yield same
        return
    moved = shifted(look, one, other) if wide_alike else None
    if moved:
        yield moved
        return
    yield from matched(look, one, other, wide_alike)


def twice(one: View, other: View) -> Finding | None:
    """z2 is z1, or z1 at other lengths."""
    gap = float((one.unit - other.unit).square().sum(1).max()) / one.variance
    if gap > 1e-10:
        return None
    what = "the same numbers" if torch.equal(one.rows, other.rows) else "the same directions at other lengths"
    return Finding(
        "same-array-twice",
        True,
        "z1, z2",
        "sanity",
        f"{other.name} holds {what} as z1, row by row: alignment is 0 because nothing was compared.",
        "Pass another view of the same inputs (another augmentation, dropout mask or modality), or leave z2 out.",
        {"gap": gap},
    )


def shifted(look: Look, one: View, other: View) -> Finding | None:
    """Pairs that match some rows further on."""
    first, second = (index[: order.WINDOW] for index in usable(look.given))
    n, d = len(first), one.rows.shape[1]
    basis = torch.randn(d, min(d, WIDTH), generator=look.generator(), dtype=torch.float64)
    a, b = projected(one, first, basis), projected(other, second, basis)
    own = (a * b).sum(1)

    def found(b: Tensor, also: list[int]) -> order.Shift | None:
        def won(by: int) -> Tensor:
            return (a * b.roll(-by, 0)).sum(1) - own

        shifts = list(dict.fromkeys([*also, *order.candidates(order.correlation(a, b))]))
        return order.best_shift(n, shifts, won, lambda by, rows: weaker(a, b, by, rows))

    straight, backwards = found(b, []), found(b.flip(0), [0])
    if backwards and (not straight or backwards.gain > straight.gain) and backwards.stop - backwards.start > 0.9 * n:
        return moved_pairs(other.name, backwards, n, look.sample.total, reverse=True)
    return moved_pairs(other.name, straight, n, look.sample.total) if straight else None


def weaker(a: Tensor, b: Tensor, by: int, rows: slice) -> Tensor:
    """Of two measures of the match the one that is less sure: likeness itself, and what of it is not a matter of the place."""
    return min((a * b.roll(-by, 0)).sum(1)[rows], beyond(a, b, by)[rows], key=order.sureness)


def beyond(a: Tensor, b: Tensor, by: int) -> Tensor:
    """How much more each row is like the row `by` further on than like that one's neighbours: not a matter of the place."""
    return (a * (b.roll(-by, 0) - (b.roll(-by - 1, 0) + b.roll(-by + 1, 0)) / 2)).sum(1)


def projected(view: View, index: Tensor, basis: Tensor) -> Tensor:
    """Directions of these rows about the sample's mean, on the unit sphere of few random axes."""
    return unit(view.along(index, basis / view.scale[:, None]))


def moved_pairs(name: str, shift: order.Shift, n: int, total: int, reverse: bool = False) -> Finding:
    rows = shift.stop - shift.start
    seen = "" if n == total else f" of the first {n:,}"
    where = "" if rows > 0.95 * n else f" for {rows:,} of {n:,} rows, from row {shift.start:,} to {shift.stop - 1:,},"
    says = (
        f"{name} runs backwards: row i of z1 matches row n - 1 - i of {name}, not row i."
        if reverse
        else f"Row i of z1 matches row i {shift.by:+,} of {name}, not row i,{where or f' all through the rows{seen}.'}"
    )
    return Finding(
        "shifted-pairs",
        True,
        "z1, z2",
        "sanity",
        says if reverse or not where else says.rstrip(",") + ".",
        f"Look for a header, a dropped row or another order of files; try {name}.roll({-shift.by}, 0)."
        if not reverse
        else f"Flip {name}, or write both in one pass over the data.",
        {"by": shift.by, "from": shift.start, "rows": rows},
    )


def matched(look: Look, one: View, other: View, wide_alike: bool) -> Iterator[Finding]:
    a, b, generator = one.directions, other.directions, look.generator()
    score = matching.rank_score(a, b) if wide_alike else 0.0
    moved = matching.elsewhere(a, b) if wide_alike else None
    if moved is not None and belongs_elsewhere(moved, look):
        yield shuffled(look, other.name, moved, score)
        return
    if score > SURE:
        yield from some_strangers(look, one, other, wide_alike)
        return
    kernel = matching.kernel_score(a, b, generator)
    if kernel > SURE:
        if wide_alike and len(look.apart) > 1:
            yield unaligned(other.name, kernel)
        return
    across, within = matching.alike(one, other, usable(look.given), generator) if wide_alike else (0.0, 0.0)
    closer = across - within > CLOSER[0] + CLOSER[1] / min(len(look), 2 * matching.ROWS) ** 0.5
    shape = matching.one_shape(a, b) if wide_alike else 0.0
    clue = "" if len(look) < ROWS else NEARER if closer else SHAPED.format(shape) if shape > SAME_SHAPE else ""
    yield at_chance(other.name, clue, max(score, kernel), {"together": across - within, "shape": shape})


def some_strangers(look: Look, one: View, other: View, wide_alike: bool) -> Iterator[Finding]:
    """A few pairs among good ones that are as unlike as shuffled pairs: by their cosines, or by the partners' places."""
    rows = look.sample.rows[matching.strangers(one.directions, other.directions)]
    share = len(rows) / len(look)
    if share > SOME:
        says = (
            f"{counted(len(rows), 'pair')} of {len(look):,} ({percent(share)}) are as unlike as shuffled pairs, all others far "
        )
        yield some_shuffled(f"{says}closer: {ranges(rows)}.", len(rows), share)
    elif wide_alike and not look.alarms & {"swapped-modalities"}:
        lengths = one.rows.norm(dim=1), other.rows.norm(dim=1)
        some = matching.lost(one.directions, other.directions, lengths)
        share = min(2 * len(some) / min(len(look), matching.ROWS), 1.0)  # the better half of the candidates has as many
        if len(some):
            says = f"about {percent(share)} of the partners are anywhere among the candidates, all others among the nearest"
            yield some_shuffled(f"{says}: {ranges(look.sample.rows[some])}.", round(share * len(look)), share)


def some_shuffled(says: str, rows: int, share: float) -> Finding:
    return Finding(
        "shuffled-pairs",
        True,
        "z1, z2",
        "sanity",
        f"Part of the pairs is shuffled: {says}",
        "Look at the inputs of these pairs: partners that were lost and replaced, or a part of one file in another order.",
        {"rows": rows, "share": share},
    )


def belongs_elsewhere(moved: matching.Elsewhere, look: Look) -> bool:
    """Whether more rows than accident would allow have their match at another row."""
    n = len(look.sample)
    return len(moved.rows) >= 5 and len(moved.rows) > SOME * max(look.share, 0.05) * n


def shuffled(look: Look, name: str, moved: matching.Elsewhere, score: float) -> Finding:
    rows, partners = look.sample.rows[moved.rows], look.sample.rows[moved.matches]
    examples = ", ".join(f"{int(r):,} and {int(p):,}" for r, p in zip(rows[:3], partners[:3], strict=True))
    all_of_them = score < SURE
    what = "All pairs seem shuffled" if all_of_them else "Part of the pairs is shuffled"
    exact = f" ({percent(moved.exact)} of these matches are the very same point)" if moved.exact > 0.5 else ""
    chance = "Partners are no closer than shuffled pairs, yet" if all_of_them else "Most partners match, but"
    return Finding(
        "shuffled-pairs",
        True,
        "z1, z2",
        "sanity",
        f"{what}. {chance} {counted(len(rows), 'row')} of {len(look.sample):,} have an unmistakable match at another "
        f"row{exact}: rows {examples} of z1 and {name}.",
        "Write both files in one pass without shuffling (DataLoader(shuffle=False)), or pass pairs= with the row numbers.",
        {"rows": len(rows), "share": len(rows) / len(look.sample), "score": score},
    )


def unaligned(name: str, kernel: float) -> Finding:
    return Finding(
        "unaligned-spaces",
        False,
        "z1, z2",
        "sanity",
        f"Rows match by their neighbourhoods ({kernel:.0f} standard deviations above shuffled pairs), but not by their "
        f"directions: z1 and {name} are two spaces that were never aligned.",
        "Alignment and retrieval between them say nothing; compare them with labkit.compare, or fit a linear map first.",
        {"score": kernel},
    )


def at_chance(name: str, clue: str, score: float, evidence: dict[str, float]) -> Finding:
    says = f"Pairs are at chance: partners are no closer than shuffled pairs ({score:.1f} standard deviations)"
    more = (
        clue.replace("z2", name)
        or f". No other matching of the rows is better: by these numbers z1 and {name} have nothing to do with each other."
    )
    return Finding(
        "shuffled-pairs",
        bool(clue),
        "z1, z2",
        "sanity",
        says + more,
        "If row i of both should be the same item, one of them was shuffled or comes from other inputs: write both in one "
        "pass, or pass pairs=. If not, leave z2 out.",
        {"score": score, **evidence},
    )
