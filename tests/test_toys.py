"""Toys must be what their factors say."""

import math

import numpy as np
import pytest
import torch
from scipy.special import ive

from labkit import data

TOYS = ["circle", "nested", "gaussian", "long-tailed", "xor"]


@pytest.mark.parametrize("name", TOYS)
def test_a_toy_is_its_seed_and_nothing_else(name):
    made = data.load(name, n=200, seed=3)
    assert made.sha256 == data.load(name, n=200, seed=3).sha256
    assert made.sha256 not in {data.load(name, n=200, seed=4).sha256, data.load(name, "test", n=200, seed=3).sha256}
    assert len(made) == 200 and made.x.dtype == torch.float32 and made.y.dtype == torch.int64
    assert all(len(rows) == 200 for rows in made.factors.values()) and made.license
    assert len(data.load(name, "all", n=200)) == 400


@pytest.mark.parametrize("dim, concentration", [(2, 1.0), (2, 20.0), (3, 10.0), (5, 10.0)])
def test_von_mises_fisher_clusters_have_the_concentration_asked_for(dim, concentration):
    made = data.load("circle", n=8000, classes=2, dim=dim, concentration=concentration)
    toward = (made.x * made.factors["center"]).sum(1)
    expected = ive(dim / 2, concentration) / ive(dim / 2 - 1, concentration)  # the mean resultant length
    assert toward.mean().item() == pytest.approx(expected, abs=5 * toward.std().item() / math.sqrt(8000))
    assert torch.allclose(made.x.norm(dim=1), torch.ones(8000), atol=1e-6)


def test_the_circle_returns_its_angles_and_both_splits_share_their_centres():
    train, test = (data.load("circle", split, n=100, dim=4, classes=3) for split in ("train", "test"))
    for k in range(3):
        rows = torch.cat([d.factors["center"][d.y == k] for d in (train, test)])
        assert torch.equal(rows, rows[:1].expand_as(rows))
    flat = data.load("circle", n=100)
    angle = flat.factors["angle"]
    assert torch.allclose(torch.stack([angle.cos(), angle.sin()], 1), flat.x, atol=1e-6)


def test_a_bent_circle_can_be_bent_back():
    made = data.load("circle", n=400, ambient=16)
    assert made.x.shape == (400, 16)
    solution = torch.linalg.lstsq(made.x.double(), made.factors["point"].double())
    assert (made.x.double() @ solution.solution - made.factors["point"]).abs().max() < 1e-5
    singular = torch.linalg.svdvals(made.x - made.x.mean(0))
    assert singular[5] > 1e-2 * singular[0]  # it is no flat circle any more
    with pytest.raises(ValueError, match="ambient must be > dim"):
        data.load("circle", ambient=2)


def test_nested_classes_are_the_sum_of_their_factors():
    made = data.load("nested", n=6400, styles=3, spread=0.5, noise=0.15, style_size=2.0)
    f = made.factors
    assert torch.equal(made.y, f["subclass"] // 4) and f["subclass"].bincount().tolist() == [400] * 16
    clean = made.x - f["noise"]
    for subclass, style in [(0, 0), (5, 2), (15, 1)]:
        rows = clean[(f["subclass"] == subclass) & (f["style"] == style)]
        assert torch.allclose(rows, rows[:1].expand_as(rows), atol=1e-5)
    assert f["noise"].std().item() == pytest.approx(0.15, rel=0.02)
    assert abs(np.corrcoef(f["style"], made.y)[0, 1]) < 0.05


def test_nested_without_styles_has_the_spread_of_its_recipe():
    clean = [data.load("nested", n=64, seed=s) for s in range(40)]
    within = []
    for d in clean:
        x = d.x - d.factors["noise"]
        for k in range(4):
            offsets = torch.stack([x[d.factors["subclass"] == s][0] for s in range(4 * k, 4 * k + 4)])
            within.append(offsets.var(0).mean().item())
    assert np.mean(within) == pytest.approx(0.25, rel=0.05)


def test_the_gaussian_prefers_no_direction():
    singular = torch.linalg.svdvals(data.load("gaussian", n=20_000).x) / math.sqrt(20_000)
    assert singular.min() > 0.95 and singular.max() < 1.05


def test_the_long_tail_is_as_long_as_asked_and_the_test_split_is_balanced():
    train, test = (data.load("long-tailed", split, n=5000, imbalance=100.0) for split in ("train", "test"))
    sizes = train.y.bincount()
    assert sizes[0] / sizes[-1] == pytest.approx(100, rel=0.1) and (sizes[:-1] > sizes[1:]).all()
    assert test.y.bincount().tolist() == [500] * 10
    assert torch.allclose(sizes / 5000, torch.stack([train.factors["share"][train.y == k][0] for k in range(10)]), atol=2e-3)


def test_any_two_of_the_three_bits_are_independent_and_the_three_are_not():
    made = data.load("xor", n=4000)
    bits = made.factors["bits"]
    assert torch.equal(bits[:, 2], bits[:, 0] ^ bits[:, 1])
    for i, j in [(0, 1), (0, 2), (1, 2)]:
        assert (2 * bits[:, i] + bits[:, j]).bincount().tolist() == [1000] * 4
    views = made.factors["views"]
    assert torch.equal(made.x, views.reshape(4000, -1))
    centred = views - views.mean(0)
    across = torch.einsum("nad,nbe->abde", centred, centred) / 4000
    assert max(across[i, j].abs().max().item() for i, j in [(0, 1), (0, 2), (1, 2)]) < 0.06  # no linear trace between pairs
    for k in range(3):  # each modality shows its own bit
        axis = centred[bits[:, k] == 1, k].mean(0)
        assert ((centred[:, k] @ axis > 0) == (bits[:, k] == 1)).float().mean() > 0.95
