"""Complete collapse: how much the directions of the rows differ at all, which no rank can say."""

import math

from scipy import special

from labkit.metrics import Estimate
from labkit.report.drawing import Folds, exact, jackknife
from labkit.report.meters.sphere import Cloud, at_random, clouds, parts, too_few, untrained, without
from labkit.report.pieces import LEVEL, Measured, Missing, Null, Number, Sample, card

card(
    "variance",
    "variance of unit rows",
    "scale",
    means="mean squared distance of the unit rows from their mean: 0 when all point one way, 1 when they cancel out",
    implies_not="not how many directions are used: two opposite points have variance 1; read the spectrum for that",
)
card(
    "mean_norm",
    "length of the mean unit row",
    "scale",
    means="1 when all rows point one way, about 1 / sqrt(n) for random directions; its square is 1 minus the variance",
    implies_not="not how many directions are used: rows in a narrow cone may differ in all of them",
    sources=("1909.00512",),
)
card(
    "mean_cosine",
    "mean cosine of different rows",
    "scale",
    means="how alike two rows drawn at random are: 1 when all point one way, 0 for random directions at every n",
    implies_not="0 is not 'evenly spread', two opposite clusters have it too; high is usual in language models, not a fault",
    sources=("1909.00512",),
)
METERS = {"variance": (0.0, 1.0), "mean_norm": (0.0, 1.0), "mean_cosine": (-1.0, 1.0)}  # and their ranges
POINT = {"variance": exact(0), "mean_norm": exact(1), "mean_cosine": exact(1)}


def measure(sample: Sample) -> Measured:
    """Variance, mean norm and mean cosine of z1 and of z2."""
    if needs := too_few(sample):
        return Measured(missing=tuple(Missing(meter, needs) for meter in METERS))
    drawn = parts(sample)
    found = {name: read(cloud, drawn) for name, cloud in clouds(sample).items()}
    before = found.pop("untrained", None)
    numbers = []
    for of, estimates in found.items():
        n, d = getattr(sample, of).shape
        for meter, chance in random_directions(n, d).items():
            nulls = [at_random(n, d, chance), Null("one point", "rows that all point one way", POINT[meter])]
            nulls += [untrained(before[meter])] if before and of == "z1" else []
            numbers.append(Number(meter, of, estimates[meter], n, tuple(nulls)))
    return Measured(tuple(numbers))


def read(cloud: Cloud, drawn: Folds) -> dict[str, Estimate]:
    """The three meters with their intervals."""
    points, n = cloud.centred, len(cloud.points)  # by differences: what is left after a collapse keeps its digits
    squares = without(points, drawn, lambda rows: rows.square().sum())
    sums, left = without(points, drawn), [n - len(rows) for rows in drawn.rows]
    full = follow(float(points.square().sum() / n), n)
    found = [follow(float(s / m - (total / m).square().sum()), m) for s, total, m in zip(squares, sums, left, strict=True)]
    return {
        meter: jackknife(full[meter], [each[meter] for each in found], drawn.stretch, least=least, most=most)
        for meter, (least, most) in METERS.items()
    }


def follow(variance: float, n: int) -> dict[str, float]:
    """All three, as the length of a mean of unit rows and their variance are bound: its square is 1 minus the variance."""
    variance = min(max(variance, 0.0), 1.0)
    return {"variance": variance, "mean_norm": math.sqrt(1 - variance), "mean_cosine": 1 - n * variance / (n - 1)}


def random_directions(n: int, d: int) -> dict[str, Estimate]:
    """Means over random directions, exact; intervals from n d |mean|^2 as chi-squared with d degrees of freedom, its limit."""
    low, high = (min(special.chdtri(d, 1 - p) / (n * d), 1.0) for p in ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    ends = [follow(1 - square, n) for square in (low, high)]
    length = math.sqrt(2 / (n * d)) * math.exp(special.gammaln((d + 1) / 2) - special.gammaln(d / 2))  # the chi's mean
    means = {"variance": 1 - 1 / n, "mean_norm": length, "mean_cosine": 0.0}
    return {meter: Estimate(mean, *sorted(end[meter] for end in ends)) for meter, mean in means.items()}
