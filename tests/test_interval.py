"""Intervals: they hold the value, they hold the truth as often as they say, and a bootstrap would not."""

import math

import pytest
import torch

from labkit.metrics import Estimate, alignment, effective_rank, interval, knn_accuracy, tolerance, uniformity

CENTERS = 1.5 * torch.eye(4, 8)


def cone(n, g):
    """Points that are not evenly spread."""
    return (torch.randn(n, 8, generator=g) + 2 * torch.eye(8)[0],)


def even(n, g):
    return (torch.randn(n, 8, generator=g),)


def views(n, g):
    z = torch.randn(n, 8, generator=g)
    return z, z + 0.5 * torch.randn(n, 8, generator=g)


def clusters(n, g):
    y = torch.randint(4, (n,), generator=g)
    return CENTERS[y] + 0.9 * torch.randn(n, 8, generator=g), y


def neighbours(n, g):
    return (*clusters(2 * n, g), *clusters(n, g))


METERS = {
    "uniformity": (uniformity, cone),
    "uniformity of even points": (uniformity, even),
    "alignment": (alignment, views),
    "tolerance": (tolerance, clusters),
    "knn": (knn_accuracy, neighbours),
    "effective rank": (effective_rank, cone),
}


def coverage(meter, sample, *, n, truth_from, samples, draws):
    """How often the interval holds the meter's mean over many samples of this size."""
    g = torch.Generator().manual_seed(0)
    truth = sum(meter(*sample(n, g)).item() for _ in range(truth_from)) / truth_from
    found = [interval(meter, *sample(n, g), seed=i, draws=draws) for i in range(samples)]
    return sum(e.low <= truth <= e.high for e in found) / samples


def test_an_interval_holds_the_truth_about_as_often_as_it_says():
    assert 0.85 <= coverage(alignment, views, n=64, truth_from=400, samples=80, draws=60) <= 1


@pytest.mark.thorough
@pytest.mark.parametrize("name", METERS)
def test_coverage_of_every_kind_of_meter(name):
    meter, sample = METERS[name]
    held = coverage(meter, sample, n=128, truth_from=1000, samples=200, draws=200)
    print(f"{name}: {held}")
    # two standard errors of 200 samples are 0.03; halves of 128 rows are a little too confident, even points too careful
    assert held >= 0.88


def test_a_bootstrap_of_uniformity_misses_its_own_value_and_the_interval_does_not():
    g = torch.Generator().manual_seed(0)
    z = torch.randn(128, 32, generator=g)
    resampled = torch.stack([uniformity(z[torch.randint(128, (128,), generator=g)]) for _ in range(200)])
    found = interval(uniformity, z)
    assert found.low < found.value < found.high < resampled.quantile(0.025)
    assert found.value == uniformity(z).item()


@pytest.mark.parametrize("name", METERS)
def test_the_interval_holds_the_value_and_narrows_with_n_and_level(name):
    meter, sample = METERS[name]
    small, large = (sample(n, torch.Generator().manual_seed(1)) for n in (40, 1000))
    wide, narrow = interval(meter, *small, draws=60), interval(meter, *large, draws=60)
    assert wide.low <= wide.value <= wide.high
    assert narrow.high - narrow.low < 0.5 * (wide.high - wide.low)  # a fifth is expected, less for even points
    sure = interval(meter, *small, level=0.5, draws=60)
    assert sure.high - sure.low < wide.high - wide.low


def test_of_a_mean_the_interval_is_the_textbooks():
    x = torch.randn(400, generator=torch.Generator().manual_seed(2)).double()
    found = interval(lambda t: t.mean(), x, draws=2000)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * x.std().item() / math.sqrt(400), rel=0.05)


def test_rows_of_equal_length_stay_together_and_options_reach_the_meter():
    seen = []

    def meter(z, y, other, *, power):
        assert torch.equal(z[:, 0].long(), y)
        assert len(set(y.tolist())) == len(y)
        seen.append((len(y), len(other), power))
        return z.mean()

    y = torch.arange(10)
    interval(meter, y[:, None].float(), y, torch.arange(7.0), draws=2, power=3)
    assert seen == [(10, 7, 3), (5, 3, 3), (5, 3, 3)]


def test_seeds():
    z = torch.randn(20, 4)
    assert interval(uniformity, z, seed=1) == interval(uniformity, z, seed=1) != interval(uniformity, z, seed=2)
    assert str(Estimate(-3.7404, -3.772, -3.707)) == "-3.74 [-3.772, -3.707]"


@pytest.mark.parametrize(
    ("arguments", "options", "says"),
    [
        ((torch.randn(3, 2),), {}, "at least four rows"),
        ((), {}, "at least four rows"),
        ((torch.randn(9, 2),), {"level": 1.0}, "level"),
        ((torch.randn(9, 2),), {"draws": 1}, "draws"),
        ((torch.randn(9, 2),), {"t": 0.0}, "t must be > 0"),
    ],
)
def test_bad_input(arguments, options, says):
    with pytest.raises(ValueError, match=says):
        interval(uniformity, *arguments, **options)


def test_a_k_too_large_for_half_of_the_rows_is_refused():
    z, y = clusters(30, torch.Generator().manual_seed(0))
    assert knn_accuracy(z, y, z[:10], y[:10], k=20) > 0
    with pytest.raises(ValueError, match="k must be at most the 15 rows"):
        interval(knn_accuracy, z, y, z[:10], y[:10], k=20)
