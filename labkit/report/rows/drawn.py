"""The rows that the meters see: drawn once, without replacement, from those that can be measured."""

import torch
from torch import Tensor

from labkit.report.pieces import Given, Sample
from labkit.report.rows.scanning import scan


def usable(given: Given) -> tuple[Tensor, Tensor]:
    """(rows of z1, their partners) of all that are finite and not zero in both views, in order.

    Partners are rows of z2, or of z1 where only pairs were given; the rows themselves where there is no second view.

    Raises:
        ValueError: z1 and z2 of different lengths, and no pairs to say which belong together.
    """
    if given.pairs is not None:
        first, second = given.pairs[:, 0], given.pairs[:, 1]
    else:
        if given.z2 is not None and given.z2.n != given.z1.n:
            raise ValueError(
                f"z1 has {given.z1.n} rows and z2 {given.z2.n}: row i of one must belong to row i of the other; "
                f"pass pairs=(m, 2) row numbers to say which do"
            )
        first = second = torch.arange(given.z1.n)
    good = _good(given, "z1")[first] & _good(given, "z1" if given.z2 is None else "z2")[second]
    if given.untrained is not None:
        good &= _good(given, "untrained")[first]
    return first[good], second[good]


def draw(given: Given, size: int) -> Sample:
    """`size` of the usable rows or pairs, all where there are fewer, sorted; the same for the same seed.

    Of pairs that share a row of z1 one is kept, drawn at random: else the row would be there twice, at distance 0 of itself.
    Where groups are given all pairs are kept, for then it is said which of them are one observation.

    Raises:
        ValueError: see `usable`; labels, groups or untrained of another length than z1.
    """
    for other in ("labels", "groups", "untrained"):
        value = getattr(given, other)
        if value is not None and len(value) != given.z1.n:
            raise ValueError(f"{other} must be one for each of {given.z1.n} rows of z1, got {len(value)}")
    first, second = usable(given)
    if given.pairs is not None and given.groups is None:
        once = one_of_each(first, given.seed)
        first, second = first[once], second[once]
    total = len(first)
    if total > size:
        chosen = torch.randperm(total, generator=torch.Generator().manual_seed(given.seed))[:size].sort().values
        first, second = first[chosen], second[chosen]
    paired = given.z2 is not None or given.pairs is not None
    return Sample(
        z1=given.z1.take(first),
        z2=(given.z2 or given.z1).take(second) if paired else None,
        labels=given.labels.values[first] if given.labels else None,
        groups=torch.unique(given.groups.values[first], return_inverse=True)[1] if given.groups else None,
        untrained=given.untrained.take(first) if given.untrained else None,
        rows=first,
        total=total,
        seed=given.seed,
        class_names=given.labels.names if given.labels else (),
        modal=given.z2 is not None,
    )


def one_of_each(rows: Tensor, seed: int) -> Tensor:
    """Places, in order, at which each number of `rows` stands once; which of several places is drawn."""
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
    found, place = rows[order].sort(stable=True)
    begins = torch.ones(len(rows), dtype=torch.bool)
    begins[1:] = found[1:] != found[:-1]
    return order[place[begins]].sort().values


def shared(given: Given) -> str | None:
    """What a reader must be told of pairs of which not all are seen, and what to do; None where every pair may be drawn."""
    if given.pairs is None or given.groups is not None:
        return None
    pairs, rows = len(given.pairs), len(given.pairs[:, 0].unique())
    if pairs == rows:
        return None
    return f"{pairs:,} pairs name {rows:,} rows of z1: one pair of each row is seen, drawn at random"


def _good(given: Given, which: str) -> Tensor:
    found = given.scans.get(which) or scan(getattr(given, which))
    return found.norms > 0
