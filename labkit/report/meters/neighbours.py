"""Neighbours and hubs: how unevenly rows are shared out as somebody's nearest, beside random directions."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from labkit.metrics import Estimate
from labkit.metrics.neighbours import hoover, skewness, times
from labkit.report.drawing import halves
from labkit.report.meters.neighbourhood import Neighbourhood, kin, neighbourhood
from labkit.report.meters.shares import about, share
from labkit.report.pieces import Measured, Missing, Null, Number, Sample, card

K = 10  # Radovanovic et al. 2010
SOURCES = ("radovanovic2010",)

card(
    "hubness",
    "hubness",
    "neighbours",
    means="skewness of how often a row is among somebody's 10 nearest: 0 is fair, above 2 a few rows are near everybody",
    implies_not="no fault by itself: where rows share a direction those near it are hubs, more so at larger n; take the mean "
    "away before you blame them",
    sources=SOURCES,
)
card(
    "antihubs",
    "rows nobody finds",
    "neighbours",
    unit="of the rows",
    means="the share of rows that are among nobody's 10 nearest: a search by neighbours never returns them",
    implies_not="not rows to throw away: they lie further from the middle than others, which makes them rare, not wrong",
    sources=SOURCES,
)
card(
    "robin_hood",
    "Robin Hood index",
    "neighbours",
    unit="of the places",
    means="the share of places among somebody's 10 nearest that would have to move for every row to have equally many",
    implies_not="not 0 for random directions; unlike the skewness it does not change much with one giant hub",
    sources=("feldbauer2018",),
)

# How often the largest hub is chosen has no honest interval (halves tell little of a maximum): it is in the histogram.
METERS: dict[str, Callable[[Tensor], Tensor]] = {
    "hubness": skewness,
    "antihubs": lambda counts: (counts == 0).double().mean(),
    "robin_hood": hoover,
}
SHARES = ("antihubs", "robin_hood")


def measure(sample: Sample) -> Measured:
    """Hubness and its companions of z1, of z2, and of each among the other; k = 10, by cosine."""
    drawn = halves(len(sample), kin(sample), seed=sample.seed)
    if reason := too_few(sample, drawn):
        return Measured(missing=tuple(Missing(meter, reason) for meter in METERS))
    numbers, missing, arrays = list[Number](), list[Missing](), dict[str, np.ndarray]()
    for of, beside in compared(sample).items():
        if neighbourhood(sample, of).collapsed:
            missing += [Missing(meter, f"rows that differ: those of {of} all point the same way") for meter in METERS]
            continue
        counts = {name: counted(neighbourhood(sample, name), drawn) for name in (of, *beside)}
        for meter in METERS:
            nulls = tuple(Null(*said, read(meter, *counts[name])) for name, said in beside.items())
            numbers.append(Number(meter, of, read(meter, *counts[of]), len(sample), nulls))
        for null, name in (("", of), (" isotropic", next(iter(beside)))):
            arrays[f"{of}.k_occurrence{null}"] = histogram(counts[name][0])
    if widths := unequal(sample):
        missing.append(Missing("hubness", f"z1 and z2 of one width to ask across, got {widths}"))
    return Measured(tuple(numbers), tuple(missing), arrays)


def too_few(sample: Sample, drawn: list[Tensor]) -> str:
    """What the smallest half lacks to have 10 neighbours of every row."""
    if (least := min(map(len, drawn))) > K:
        return ""
    if (groups := kin(sample)) is None:
        return f"at least {2 * K + 2} rows, got {len(sample)}"
    return f"more groups: of {len(groups.unique())}, some half has {least} rows, and {K} neighbours need {K + 1}"


def read(meter: str, full: Tensor, parts: list[Tensor]) -> Estimate:
    """The meter with its interval; a share ends at 0 and 1, and no row is chosen less than never."""
    value, found = float(METERS[meter](full)), [float(METERS[meter](part)) for part in parts]
    estimate = share(value, found, len(full)) if meter in SHARES else about(value, found)
    assert estimate is not None, "all halves have counts"
    return estimate


def compared(sample: Sample) -> dict[str, dict[str, tuple[str, str]]]:
    """What is measured, and beside what: the cloud's name, and the name and words of the null."""
    n, random = len(sample), {}
    for of in ("z1", "z2"):
        if (z := getattr(sample, of)) is not None:
            d = z.shape[1]
            random[of] = {f"isotropic {d}": ("isotropic", f"random directions, n = {n:,}, d = {d:,}")}
    if sample.untrained is not None:
        random["z1"]["untrained"] = ("untrained", "the same inputs before training")
    if sample.z2 is not None and not unequal(sample):
        d = sample.z1.shape[1]
        said = ("isotropic", f"two sets of random directions, n = {n:,}, d = {d:,}")
        random |= {f"{a} among {b}": {f"another {d} among isotropic {d}": said} for a, b in (("z1", "z2"), ("z2", "z1"))}
    return random


def unequal(sample: Sample) -> str:
    """The two widths, if they differ: a cosine between the clouds means nothing then."""
    if sample.z2 is None or sample.z1.shape[1] == sample.z2.shape[1]:
        return ""
    return f"{sample.z1.shape[1]:,} and {sample.z2.shape[1]:,}"


def counted(cloud: Neighbourhood, drawn: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """How often each row is among somebody's K nearest: in the sample, and in each half of it."""
    full = times(cloud.near.rows[:, :K], len(cloud.points))
    return full.double(), [times(cloud.halved(rows, K).rows, len(rows)).double() for rows in drawn]


def histogram(counts: Tensor) -> np.ndarray:
    """How many rows are chosen 0, 1, 2 ... times."""
    return torch.bincount(counts.long()).numpy()
