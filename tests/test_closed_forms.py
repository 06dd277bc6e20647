"""Values that are known without running anybody's code: at chance, at the floor, at the ends of the temperature."""

import math
from math import exp, log

import cases
import pytest
import torch
from forms import DOUBLE, close, randn

from labkit import losses
from labkit.contrast import two_views
from labkit.registry import ENTRIES, simplex

# The value at which every embedding is the same, for n instances (two views, four dimensions or prototypes) at the defaults.
CHANCE = {
    "info_nce": lambda n: log(n),
    "clip_loss": lambda n: log(n),
    "nt_xent": lambda n: log(2 * n - 1),
    "debiased": lambda n: log(2 * n - 1),
    "hard_negative": lambda n: log(2 * n - 1),
    "mv_info_nce": lambda n: log(2 * n - 1),
    "macl": lambda n: log(2 * n - 1) * (2 * n - 1) / (2 * n - 2),
    "dcl": lambda n: log(2 * n - 2),
    "dclw": lambda n: log(2 * n - 2),
    "dhel": lambda n: 10 + 2 * log(n - 1),
    "mv_dhel": lambda n: 10 + 2 * log(n - 1),
    "sup_con": lambda n: log(n - 1),
    "siglip": lambda n: n * log(2),
    "align_uniform": lambda n: 0,
    "decoupled_uniformity": lambda n: 0,
    "barlow_twins": lambda n: 4,
    "vicreg": lambda n: 24.75,
    "spectral": lambda n: -1,
    "simsiam": lambda n: -1,
    "swav": lambda n: log(4),
}


# The smallest value of n instances, with e the most that a pair's similarity can stand out at the simplex: exp(-n/((n-1)t)).
def stand_out(n, t):
    return exp(-n / ((n - 1) * t))


FLOOR = {
    "info_nce": lambda n, t: log(1 + (n - 1) * stand_out(n, t)),
    "clip_loss": lambda n, t: log(1 + (n - 1) * stand_out(n, t)),
    "nt_xent": lambda n, t: log(1 + (2 * n - 2) * stand_out(n, t)),
    "mv_info_nce": lambda n, t: log(1 + (2 * n - 2) * stand_out(n, t)),
    "dcl": lambda n, t: log((2 * n - 2) * stand_out(n, t)),
    "dhel": lambda n, t: -1 / t + 2 * (log(n - 1) - 1 / ((n - 1) * t)),
    "mv_dhel": lambda n, t: -1 / t + 2 * (log(n - 1) - 1 / ((n - 1) * t)),
    "align_uniform": lambda n, t: -4 * n / (n - 1),
    "decoupled_uniformity": lambda n, t: -4 * n / (n - 1),
    "barlow_twins": lambda n, t: 0,
    "vicreg": lambda n, t: 0,
    "spectral": lambda n, t: -2,
    "simsiam": lambda n, t: -1,
    "swav": lambda n, t: 0,
}


@pytest.mark.parametrize("name", CHANCE)
@pytest.mark.parametrize("n", [4, 9])
def test_chance(name, n):
    """An odd number leaves sup_con's last row without a partner: it counts as 0."""
    expected = CHANCE[name](n) * (8 / 9 if (name, n) == ("sup_con", 9) else 1)
    assert ENTRIES[name].chance(n) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", FLOOR)
@pytest.mark.parametrize(("n", "t"), [(3, 0.1), (8, 0.5), (2, 1.0)])
def test_floor(name, n, t):
    takes = {"temperature": t} if "temperature" in ENTRIES[name].checker.parameters else {}
    assert ENTRIES[name].floor(n, **takes) == pytest.approx(FLOOR[name](n, t), abs=1e-9)


@pytest.mark.parametrize("name", ["info_nce", "clip_loss", "nt_xent", "dcl", "dhel", "mv_info_nce", "mv_dhel", "align_uniform"])
def test_descent_reaches_the_floor_and_goes_no_further(name):
    entry = ENTRIES[name]
    leaves = cases.leaves(entry, cases.inputs(entry, n=4, d=3, v=2))
    optimizer = torch.optim.LBFGS(leaves.values(), max_iter=200, line_search_fn="strong_wolfe")

    def step():
        optimizer.zero_grad()
        loss = entry.fn(**leaves)
        loss.backward()
        return loss

    optimizer.step(step)
    floor = entry.floor(4)
    assert floor - 1e-9 <= entry.fn(**leaves).item() <= floor + 1e-4


def test_floors_that_are_not_the_simplex_are_reached():
    corners = torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], dtype=DOUBLE)
    assert losses.barlow_twins(corners, corners).item() == pytest.approx(0, abs=1e-9)
    assert losses.vicreg(corners, corners) == 0
    eye = torch.eye(4, dtype=DOUBLE)
    for mu in (1, 3):
        assert losses.spectral(9 * eye, 9 * eye, mu=mu).item() == pytest.approx(-2)
    assert losses.swav(20 * eye, 20 * eye).item() == pytest.approx(0, abs=1e-9)


def test_the_simplex_is_what_the_floor_is_taken_at():
    corners = simplex(5)
    close(corners @ corners.T, torch.full((5, 5), -0.25, dtype=DOUBLE).fill_diagonal_(1))


def test_a_floor_that_is_claimed_is_in_the_table():
    assert {e.name for e in cases.LOSSES if e.floor(4) is not None} == set(FLOOR)


# ---------------------------------------------------------------- limits of the temperature


def test_a_hot_softmax_only_compares_with_the_mean():
    z1, z2 = randn(5, 3), randn(5, 3)
    pairs = two_views(z1, z2)
    mean = pairs.similarity.masked_fill(pairs.similarity > 1 - 1e-12, 0.0).sum(-1) / 9
    slope = 1e5 * (losses.nt_xent(z1, z2, temperature=1e5, reduction="none") - log(9))
    close(slope, mean - pairs.positive.squeeze(-1), 1e-4)


def test_a_cold_softmax_only_sees_the_hardest_negative():
    z1, z2 = randn(5, 3), randn(5, 3)
    pairs = two_views(z1, z2)
    hardest = pairs.similarity.masked_fill(~pairs.others, -math.inf).amax(-1)
    margin = hardest - pairs.positive.squeeze(-1)
    close(1e-5 * losses.dcl(z1, z2, temperature=1e-5, reduction="none"), margin, 1e-4)
    close(1e-5 * losses.nt_xent(z1, z2, temperature=1e-5, reduction="none"), margin.clamp(min=0), 1e-4)
