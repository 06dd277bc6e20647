"""Directions that are used: the spectrum of the centred unit rows, and what is made of it, beside random directions."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from math import inf
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from labkit.metrics import Estimate
from labkit.metrics.spectrum import entropy_rank, participation, shares, slope, softly_counted
from labkit.report.drawing import Folds, jackknife, predicted
from labkit.report.meters.gram import Spectra, left_out, spectra
from labkit.report.meters.sphere import Cloud, at_random, clouds, collapsed, isotropic, parts, too_few, untrained
from labkit.report.pieces import Measured, Missing, Number, Sample, card

SIDE = 1024  # a spectrum costs the cube of n or d, whichever is less: where both are more, so many rows are looked at
BELOW = 0.01  # of the widest direction's spread: dead
FIRST, LAST = 11, 100  # directions that the power law is drawn through
ROWS, WIDTH = 1000, 128  # below, random directions seem to follow a power law as well: 0.84 at n = 256, d = 128

card(
    "effective_rank",
    "effective rank",
    "spectrum",
    unit="directions",
    means="directions used, softly counted: exp of the entropy of the singular values (not squared) of the centred unit rows",
    implies_not="not quality, and not health: it grows with n, sees no scale, and the noise left after a collapse scores high",
    sources=("roy2007", "2210.02885"),
)
card(
    "rank_me",
    "RankMe",
    "spectrum",
    unit="directions",
    means="the same entropy as published: of the rows as given, neither centred nor normalised, 1e-7 added to every share",
    implies_not="not accuracy; and a common direction or a few long rows bring it down, whatever the others do",
    sources=("2210.02885",),
)
card(
    "participation_ratio",
    "participation ratio",
    "spectrum",
    unit="directions",
    means="(sum of eigenvalues)^2 / (sum of their squares), covariance of the unit rows: directions that carry the variance",
    implies_not="not how many directions hold information: faint ones hardly count, and few rows bring it down",
    sources=("10.1101/214262",),
)
card(
    "top_share",
    "variance in the first direction",
    "spectrum",
    unit="of the variance",
    means="share of the variance of the unit rows along their widest direction: 1 on a line, about 1 / d for many random rows",
    implies_not="not a common direction, which centring takes away; and two far clusters give a large one without any collapse",
    sources=("1909.00512",),
)
card(
    "dead_directions",
    "dead directions",
    "spectrum",
    unit="directions",
    means="how many of the min(n - 1, d) directions of the centred unit rows have at most 1 % of the widest one's spread",
    implies_not="not columns that are constant: directions may lie askew; and where n is near d random rows have some, too",
    sources=("2110.09348",),
)
card(
    "spectrum_decay",
    "exponent of the spectrum",
    "spectrum",
    means="alpha of eigenvalue k ~ k^-alpha, drawn through directions 11 to 100 of the centred unit rows: larger falls faster",
    implies_not="not that the spectrum is a power law: a line goes through any; and that alpha near 1 is best is no rule",
    sources=("2202.05808",),
)


METERS: dict[str, Callable[[Spectra], Tensor]] = {
    "effective_rank": lambda s: softly_counted(s.unit),
    "rank_me": lambda s: entropy_rank(shares(s.given) + 1e-7),
    "participation_ratio": lambda s: participation(s.unit),
    "top_share": lambda s: shares(s.unit.square())[0],
    "dead_directions": lambda s: (s.unit[: s.n - 1] <= BELOW * s.unit[0]).sum(),
    "spectrum_decay": lambda s: slope(s.unit.clamp(min=1e-7 * s.unit[0].item()), FIRST, LAST),
}
RANGES: dict[str, tuple[float, float]] = {
    "effective_rank": (1, inf),
    "rank_me": (0, inf),
    "participation_ratio": (1, inf),
    "top_share": (0, 1),
}
RANGES |= {"dead_directions": (0, inf), "spectrum_decay": (-inf, inf)}


class Found(NamedTuple):
    """What a cloud's spectrum says, what it cannot say and why, and the spread along each direction."""

    estimates: Mapping[str, Estimate]
    lacking: Mapping[str, str]
    spread: np.ndarray


def measure(sample: Sample) -> Measured:
    """Six numbers for z1 and for z2, and the spectra themselves."""
    sample = thinned(sample)
    if needs := too_few(sample):
        return Measured(missing=tuple(Missing(meter, needs) for meter in METERS))
    drawn = parts(sample)
    found = {name: read(name, cloud, drawn) for name, cloud in clouds(sample).items()}
    chance = {name: at_chance(*getattr(sample, name).shape, sample.seed) for name in found}
    before = found.pop("untrained", None)
    numbers, missing, arrays = [], [], dict[str, np.ndarray]()
    for name, (estimates, lacking, spread) in found.items():
        n, d = getattr(sample, name).shape
        for meter, estimate in estimates.items():
            nulls = [at_random(n, d, chance[name].estimates[meter])]
            nulls += [untrained(before.estimates[meter])] if before and name == "z1" and meter in before.estimates else []
            numbers.append(Number(meter, name, estimate, n, tuple(nulls)))
        missing += [Missing(meter, needs) for meter, needs in lacking.items()]
        arrays |= {f"spectrum.{name}": spread, f"spectrum.{name}.isotropic": chance[name].spread}
    arrays |= {"spectrum.untrained": before.spread} if before else {}
    return Measured(tuple(numbers), tuple(dict.fromkeys(missing)), arrays)


def read(name: str, cloud: Cloud, drawn: Folds) -> Found:
    """The meters with their intervals, as many as can be read."""
    full = spectra(cloud)
    lacking = unread(name, cloud, full)
    found = left_out(cloud, drawn)
    estimates = {
        meter: jackknife(float(says(full)), [float(says(each)) for each in found], drawn.stretch, least=least, most=most)
        for meter, says in METERS.items()
        if meter not in lacking
        for least, most in (RANGES[meter],)
    }
    return Found(estimates, lacking, spread(full))


def unread(name: str, cloud: Cloud, found: Spectra) -> dict[str, str]:
    """Which meters say nothing of this cloud, and what they would need."""
    n, d = cloud.points.shape
    if collapsed(cloud):
        needs = f"rows that differ: those of {name} all point the same way"
        return {meter: needs for meter in METERS if meter != "rank_me"}
    if n < ROWS or d < WIDTH:
        return {"spectrum_decay": f"at least {ROWS:,} rows and {WIDTH} dimensions, got {n:,} and {d:,}"}
    if found.unit[LAST - 1] <= 1e-6 * found.unit[0]:
        return {"spectrum_decay": f"variance in each of the {LAST} widest directions of {name}"}
    return {}


def spread(found: Spectra) -> np.ndarray:
    """Standard deviation along each direction."""
    return (found.unit / found.n**0.5).numpy()


@lru_cache(maxsize=16)
def at_chance(n: int, d: int, seed: int) -> Found:
    """What random directions give: five draws of them, more where they are cheap."""
    draws = int(min(max(4e8 / (n * d * min(n, d)), 5), 20))
    found = [spectra(Cloud(z, z)) for z in (isotropic(n, d, seed + k) for k in range(1, draws + 1))]
    wide = {"spectrum_decay"} if n < ROWS or d < WIDTH else set()
    estimates = {m: predicted([float(says(each)) for each in found]) for m, says in METERS.items() if m not in wide}
    return Found(estimates, {}, np.mean([spread(each) for each in found], axis=0))


def thinned(sample: Sample) -> Sample:
    """As many rows as a spectrum can be had of in seconds: all of them where either n or d is at most SIDE."""
    widths = [z.shape[1] for z in (sample.z1, sample.z2, sample.untrained) if z is not None]
    if min(len(sample), max(widths)) <= SIDE:
        return sample
    rows = torch.randperm(len(sample), generator=torch.Generator().manual_seed(sample.seed))[:SIDE].sort().values
    fields = ("z1", "z2", "labels", "groups", "untrained", "rows")
    some: dict[str, Any] = {name: None if (x := getattr(sample, name)) is None else x[rows] for name in fields}
    return replace(sample, **some)
