"""Alignment and uniformity: how close pairs lie, and how evenly the rows cover the sphere, beside what random rows do."""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from labkit.metrics import Estimate, uniform_bound, uniform_limit
from labkit.report.drawing import Folds, exact, jackknife, predicted
from labkit.report.meters.sphere import Cloud, at_random, clouds, isotropic, parts, too_few, untrained, without
from labkit.report.pieces import Measured, Missing, Null, Number, Sample, card

T = 2.0  # of uniformity
BLOCK = 512  # rows whose distances to all others are in memory at once
SHUFFLES = 10
NORMAL = 1.959964  # two-sided 95 %

card(
    "alignment",
    "alignment",
    "geometry",
    means="mean squared distance between the two unit rows of a pair: 0 when they coincide, 2 for random directions",
    implies_not="near 0 is no success by itself: a collapsed model has it, and so has a table that remembers every instance",
    sources=("2005.10242",),
)
card(
    "uniformity",
    "uniformity",
    "geometry",
    means="log of the mean Gaussian potential (t = 2) of different unit rows: 0 when all coincide, lower is more evenly spread",
    implies_not="not quality, as random rows score nearly the best; not full rank, as half of 512 dimensions can die unseen",
    sources=("2005.10242",),
)


def measure(sample: Sample) -> Measured:
    """Alignment of the pairs, uniformity of z1 and of z2, and cosines of some pairs of rows."""
    lacking = pairless(sample)
    if needs := too_few(sample):
        return Measured(missing=(Missing("alignment", lacking or needs), Missing("uniformity", needs)))
    drawn, found = parts(sample), clouds(sample)
    before = found.pop("untrained", None)
    numbers, missing = list[Number](), tuple[Missing, ...]()
    if lacking:
        missing = (Missing("alignment", lacking),)
    else:
        numbers.append(aligned(found["z1"], found["z2"], drawn, sample.seed))
    for name, cloud in found.items():
        nulls = evenness(*cloud.points.shape)
        nulls += [untrained(uniformity(before, drawn))] if before and name == "z1" else []
        numbers.append(Number("uniformity", name, uniformity(cloud, drawn), len(sample), tuple(nulls)))
    return Measured(tuple(numbers), missing, cosines(found, sample.seed, paired=not lacking))


def pairless(sample: Sample) -> str:
    """What alignment would need, or "" where it is there."""
    if sample.z2 is None:
        return "z2 or pairs"
    widths = sample.z1.shape[1], sample.z2.shape[1]
    return "" if widths[0] == widths[1] else f"z1 and z2 of one width, got {widths[0]:,} and {widths[1]:,}"


# ---------------------------------------------------------------- pairs


def aligned(one: Cloud, other: Cloud, drawn: Folds, seed: int) -> Number:
    """Alignment, beside that of strangers and of random directions."""
    n, d = one.points.shape
    gaps = distances(one.points, other.points)
    left = [float(total) / (n - len(fold)) for total, fold in zip(without(gaps, drawn), drawn.rows, strict=True)]
    estimate = jackknife(float(gaps.mean()), left, drawn.stretch, least=0, most=4)
    strangers = [float(distances(one.points, other.points[partners(n, seed + k)]).mean()) for k in range(1, SHUFFLES + 1)]
    reach = NORMAL * 2 / math.sqrt(n * d)  # 2 - 2 cos, and the cosine of random directions has variance 1 / d
    random = Estimate(2.0, max(2 - reach, 0.0), min(2 + reach, 4.0))
    shuffled = Null("shuffled pairs", f"each row with the partner of another, {SHUFFLES} times", predicted(strangers))
    return Number("alignment", "z1, z2", estimate, n, (shuffled, at_random(n, d, random)))


def distances(a: Float[Tensor, "n d"], b: Float[Tensor, "n d"]) -> Float[Tensor, "n"]:
    """Squared, row by row."""
    return (a - b).square().sum(1)


def partners(n: int, seed: int) -> Tensor:
    """For each row another one, drawn at random; nobody is their own partner, and nobody has two."""
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    return torch.empty_like(order).scatter_(0, order, order.roll(1))


# ---------------------------------------------------------------- evenness


def uniformity(cloud: Cloud, drawn: Folds) -> Estimate:
    """Uniformity with its interval: every pair of rows is looked at once, whatever the number of folds."""
    n, points = len(cloud.points), cloud.centred  # centred, so that distances keep their digits after a collapse
    kept = torch.ones(n, 1 + len(drawn.rows), dtype=torch.float64)
    for k, fold in enumerate(drawn.rows, start=1):
        kept[fold, k] = 0
    lengths, sums = points.square().sum(1), torch.zeros(kept.shape[1], dtype=torch.float64)
    for start in range(0, n, BLOCK):
        rows, ahead = slice(start, start + BLOCK), slice(start, None)
        near = (points[rows] @ points[ahead].T).mul_(2).sub_(lengths[rows, None]).sub_(lengths[ahead])
        energy = near.clamp_(max=0).mul_(T).expm1_()  # less 1, which would drown what is left after a collapse
        energy[:, : len(energy)].triu_(1)  # each pair once, and none with itself
        sums += (kept[rows] * (energy @ kept[ahead])).sum(0)
    many = kept.sum(0)
    full, *left = (2 * sums / (many * (many - 1))).log1p().tolist()
    return jackknife(full, left, drawn.stretch, most=0)


def evenness(n: int, d: int) -> list[Null]:
    """Random directions, in closed form; one point; and the least value that there is."""
    bound = uniform_bound(n, d, T)
    says = f"no {n:,} rows in {d:,} dimensions lie lower"
    one = Null("one point", "rows that all point one way", exact(0))
    return [at_random(n, d, evenly(n, d, bound)), one, Null("bound", says, exact(bound))]


def evenly(n: int, d: int, bound: float) -> Estimate:
    """Uniformity of random directions. The potentials of two pairs that share a row are uncorrelated, as on the sphere no place
    is special: the mean over pairs varies as if they were independent. To second order for the logarithm.
    """
    mean, square = math.exp(uniform_limit(d, T)), math.exp(uniform_limit(d, 2 * T))
    variance = 2 / (n * (n - 1)) * (square / mean**2 - 1)
    value, reach = math.log(mean) - variance / 2, NORMAL * math.sqrt(variance)
    return Estimate(max(value, bound), max(value - reach, bound), min(value + reach, 0.0))


# ---------------------------------------------------------------- for the figure


def cosines(found: dict[str, Cloud], seed: int, *, paired: bool) -> dict[str, np.ndarray]:
    """A cosine for each row: with its partner, with the partner of another, with another of z1, and of random directions."""
    z1 = found["z1"].points
    n, d = z1.shape
    other = partners(n, seed)
    arrays = {"strangers": z1 * z1[other], "isotropic": isotropic(n, d, seed)[:, :1]}
    if paired:
        z2 = found["z2"].points
        arrays = {"pairs": z1 * z2, "shuffled pairs": z1 * z2[other], **arrays}
    return {f"cosines.{name}": products.sum(1).clamp(-1, 1).numpy() for name, products in arrays.items()}
