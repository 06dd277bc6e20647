"""Meters against official numbers, slow loops, other libraries, closed forms, and inputs on which peers return NaN."""

import importlib.util
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist
from scipy.stats import special_ortho_group
from torch.nn.functional import normalize

from labkit import metrics
from labkit.metrics import effective_rank, knn_accuracy, linear_probe, push_share, rank_me, singular_spectrum, uniformity
from labkit.registry import simplex

HERE = Path(__file__).parent / "oracles"
ORACLE = json.loads((HERE / "metrics.json").read_text(encoding="utf-8"))
SPEC = importlib.util.spec_from_file_location("metric_loops", HERE / "metric_loops.py")
loops = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(loops)

N, D = 12, 5


def double(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def read(name):
    return torch.tensor(ORACLE["inputs"][name], dtype=torch.int64 if name.endswith("_y") else torch.float64)


def classes(n, k=3):
    return torch.arange(n) % k


def blobs(n, k=3, d=4, noise=0.8, seed=1):
    """Points about k orthogonal centres, and their classes."""
    y = classes(n, k)
    return 3 * torch.eye(k, d, dtype=torch.float64)[y] + noise * double(n, d, seed=seed), y


def rotation(d):
    return torch.from_numpy(special_ortho_group.rvs(d, random_state=0))


def of_spectrum(sigma, n=20, d=9):
    """A matrix with these singular values."""
    u, v = torch.linalg.qr(double(n, d, seed=3))[0], rotation(d)
    return u * torch.tensor(sigma + [0.0] * (d - len(sigma)), dtype=torch.float64) @ v


# name, its tensors (the first is the one with rows to permute or rotate), options
TWO = (double(N, D), double(N, D, seed=1))
CASES = {
    "alignment": (TWO, {"alpha": 1.5}),
    "uniformity": (TWO[:1], {"t": 3.0}),
    "tolerance": ((TWO[0], classes(N)), {}),
    "modality_gap": ((TWO[0], double(7, D, seed=2)), {}),
    "mean_norm": (TWO[:1], {}),
    "push_share": (TWO[:1], {"temperature": 0.3, "fraction": 0.2}),
    "push_share of a class": ((TWO[0], classes(N)), {"temperature": 0.3}),
}


# ---------------------------------------------------------------- values


@pytest.mark.parametrize("row", ORACLE["values"], ids=lambda row: f"{row['meter']} {row['options']}: {row['source']}")
def test_values_are_those_of_the_official_code(row):
    tensors = [read(name) for name in row["tensors"]]
    got = getattr(metrics, row["meter"])(*tensors, **row["options"])
    assert got.item() == pytest.approx(row["value"], rel=0, abs=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_values_are_those_of_a_slow_loop(case):
    name = case.split()[0]
    tensors, options = CASES[case]
    want = getattr(loops, name)(*(t.tolist() for t in tensors), **options)
    got = getattr(metrics, name)(*tensors, **options)
    assert got.item() == pytest.approx(want, rel=0, abs=1e-12)
    single = [t.float() if t.is_floating_point() else t for t in tensors]
    low = getattr(metrics, name)(*single, **options)
    assert low.dtype == torch.float32
    assert low.item() == pytest.approx(want, abs=1e-6)


def test_uniformity_against_scipy():
    z = normalize(double(50, 6))
    want = math.log(np.exp(-2 * pdist(z.numpy(), "sqeuclidean")).mean())
    assert uniformity(z).item() == pytest.approx(want, abs=1e-12)


@pytest.mark.parametrize("normalize", [True, False])
def test_uniformity_in_tiles_is_uniformity(monkeypatch, normalize):
    z = double(300, 6).requires_grad_()
    dense = uniformity(z, t=1.5, normalize=normalize)
    (want,) = torch.autograd.grad(dense, z)
    monkeypatch.setattr("labkit.tiled.plan.DENSE", 100)
    monkeypatch.setattr("labkit.tiled.plan.TILE", 64)
    tiled = uniformity(z, t=1.5, normalize=normalize)
    (got,) = torch.autograd.grad(tiled, z)
    assert tiled.item() == pytest.approx(dense.item(), abs=1e-12)
    torch.testing.assert_close(got, want, rtol=0, atol=1e-12)


@pytest.mark.parametrize("t", [0.5, 2.0, 8.0, 60.0])
@pytest.mark.parametrize("spread", [1e-3, 0.1, 10.0])
def test_uniformity_of_many_rows_in_float32_is_that_in_float64(t, spread):
    """In 32 dimensions, between rows that all but coincide and rows that point everywhere."""
    z = (1 + spread * torch.randn(1100, 32, generator=torch.Generator().manual_seed(0))).requires_grad_()
    exact = z.detach().double().requires_grad_()
    low, want = uniformity(z, t=t), torch.pdist(normalize(exact)).square().mul(-t).logsumexp(0) - math.log(1100 * 1099 / 2)
    assert low.dtype == torch.float32
    assert low.item() == pytest.approx(want.item(), rel=1e-6, abs=1e-6)
    (got,), (slope,) = torch.autograd.grad(low, z), torch.autograd.grad(want, exact)
    torch.testing.assert_close(got.double(), slope, rtol=0, atol=2e-5 * slope.abs().max().item())


# ---------------------------------------------------------------- closed forms


def test_uniformity_at_the_simplex_is_the_bound():
    for n in (2, 3, 5):
        assert uniformity(simplex(n)).item() == pytest.approx(-4 * n / (n - 1), abs=1e-12)
        assert metrics.uniform_bound(n, n) == pytest.approx(-4 * n / (n - 1), abs=1e-12)


@pytest.mark.parametrize(("d", "t"), [(1, 400.0), (2, 2.0), (3, 355.0), (32, 2.0), (300, 400.0), (2048, 2.0), (4096, 0.001)])
def test_uniform_limit_against_arbitrary_precision(d, t):
    import mpmath

    want = mpmath.log(mpmath.hyp0f1(mpmath.mpf(d) / 2, mpmath.mpf(t) ** 2)) - 2 * t
    assert metrics.uniform_limit(d, t) == pytest.approx(float(want), rel=1e-12, abs=1e-12)


def test_uniform_limit_is_what_many_even_points_reach():
    """Regular polygons are the even points of the circle; in 8 dimensions a large random sample has to do."""
    angles = torch.arange(500, dtype=torch.float64) * 2 * math.pi / 500
    circle = torch.stack([angles.cos(), angles.sin()], 1)
    n, m = 500, math.exp(metrics.uniform_limit(2))
    # the mean over all pairs, the diagonal included, is the integral (equal weights are exact on the circle)
    assert uniformity(circle).item() == pytest.approx(math.log((n * m - 1) / (n - 1)), abs=1e-12)
    assert metrics.uniform_bound(n, 2) == pytest.approx(uniformity(circle).item(), abs=1e-12)
    assert uniformity(double(2000, 8)).item() == pytest.approx(metrics.uniform_limit(8), abs=0.01)


@pytest.mark.parametrize(("n", "d", "want"), [(16, 2, -1.870), (256, 8, -3.168), (64, 8, -3.484)])
def test_uniform_bound_lies_below_what_descent_finds(n, d, want):
    assert metrics.uniform_bound(n, d) == pytest.approx(want, abs=5e-4)
    assert metrics.uniform_bound(n, d) < metrics.uniform_limit(d)
    if n == 64:
        z = double(n, d).requires_grad_()
        descent = torch.optim.Adam([z], lr=0.05)
        for _ in range(300):
            descent.zero_grad()
            uniformity(z).backward()
            descent.step()
        assert metrics.uniform_bound(n, d) < uniformity(z).item() < metrics.uniform_limit(d)


def test_identical_and_opposite_points():
    same = torch.ones(6, 3, dtype=torch.float64)
    assert uniformity(same) == 0
    assert metrics.alignment(same, 5 * same) == 0
    assert metrics.mean_norm(same).item() == pytest.approx(1)
    assert metrics.tolerance(same, classes(6)).item() == pytest.approx(1)
    assert metrics.alignment(same, -same, alpha=1).item() == pytest.approx(2)
    assert metrics.modality_gap(same, -same).item() == pytest.approx(2)
    assert push_share(same, fraction=0.4).item() == pytest.approx(0.4)


def test_tolerance_is_the_papers_value_over_the_share_of_same_class_pairs():
    z, y = blobs(15)
    cosines = normalize(z) @ normalize(z).T
    same = (y[:, None] == y) & ~torch.eye(15, dtype=torch.bool)
    paper = (cosines * same).sum() / (15 * 14)
    assert metrics.tolerance(z, y).item() == pytest.approx(paper.item() / (same.sum().item() / (15 * 14)), abs=1e-12)


# ---------------------------------------------------------------- spectra


@pytest.mark.parametrize("sigma", [[1.0], [3.0, 3.0], [5.0, 2.0, 1.0, 0.5], [1.0] * 9, [1e6, 1.0, 1e-3]])
def test_ranks_of_known_spectra(sigma):
    z = of_spectrum(sigma)
    torch.testing.assert_close(
        singular_spectrum(z, center=False)[: len(sigma)], torch.tensor(sigma, dtype=torch.float64), rtol=1e-9, atol=0
    )
    assert effective_rank(z).item() == pytest.approx(loops.effective_rank(sigma), abs=1e-9)
    padded = sigma + [0.0] * (9 - len(sigma))
    assert rank_me(z).item() == pytest.approx(loops.effective_rank(padded, 1e-7), abs=1e-9)
    assert rank_me(z, epsilon=1e-3).item() == pytest.approx(loops.effective_rank(padded, 1e-3), abs=1e-9)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("d", [2, 512, 8192])
def test_one_direction_scores_one_at_any_width(d, dtype):
    z = double(32, 1).to(dtype) @ double(1, d, seed=1).to(dtype)
    assert effective_rank(z).item() == pytest.approx(1, abs=1e-9)


def test_what_epsilon_does_to_a_dead_spectrum():
    """The numbers in the docstring of rank_me."""
    for width, epsilon, want in [(2048, 1e-7, 1.003), (2048, 1e-5, 1.266), (8192, 1e-7, 1.013), (8192, 1e-5, 2.568)]:
        assert loops.effective_rank([1.0] + [0.0] * (width - 1), epsilon) == pytest.approx(want, abs=6e-4)
    assert rank_me(torch.ones(256, 256), epsilon=1e-5).item() == pytest.approx(
        loops.effective_rank([1.0] + [0.0] * 255, 1e-5), abs=1e-5
    )


def test_centring_takes_the_common_direction_away():
    z = double(200, 6) + 50
    assert effective_rank(z).item() < 1.5 < 5.5 < effective_rank(z, center=True).item()
    torch.testing.assert_close(singular_spectrum(z).square() / 200, torch.linalg.eigvalsh(z.T.cov(correction=0)).flip(0))
    assert singular_spectrum(z, center=False)[0] > 50 * math.sqrt(200)


def test_collapse_that_rank_does_not_see():
    """All but one point: the mean norm says so, the centred rank does not."""
    z = torch.ones(400, 16, dtype=torch.float64) + 1e-4 * double(400, 16)
    assert effective_rank(z, center=True) > 15
    assert metrics.mean_norm(z) > 0.999
    assert uniformity(z) > -1e-6


def test_a_matrix_of_zeros_has_rank_zero():
    assert effective_rank(torch.zeros(4, 3)) == 0
    assert effective_rank(torch.ones(4, 3), center=True) == 0
    assert singular_spectrum(torch.zeros(4, 3)).tolist() == [0, 0, 0]


# ---------------------------------------------------------------- probes


@pytest.mark.parametrize("k", [1, 5, 17])
def test_knn_is_scikit_learns_with_these_weights(k):
    from sklearn.neighbors import KNeighborsClassifier

    (train, y), (test, test_y) = blobs(60, noise=3.0), blobs(40, noise=3.0, seed=2)
    # on the sphere d^2 = 2 - 2s: the same neighbours, and exp(s / T) up to a factor
    theirs = KNeighborsClassifier(k, algorithm="brute", weights=lambda d: np.exp(-(d**2) / 2 / 0.07))
    theirs.fit(normalize(train).numpy(), y.numpy())
    want = theirs.score(normalize(test).numpy(), test_y.numpy())
    got = knn_accuracy(train, y, test, test_y, k=k)
    assert got.item() == pytest.approx(want)
    assert 0.4 < want < 1
    inputs = [t.tolist() for t in (train, y, test, test_y)]
    assert got.item() == pytest.approx(loops.knn_accuracy(*inputs, k=k))


def test_knn_in_blocks_and_at_the_edge(monkeypatch):
    (train, y), (test, test_y) = blobs(60, noise=3.0), blobs(40, noise=3.0, seed=2)
    want = knn_accuracy(train, y, test, test_y, k=60, temperature=0.002)  # exp(1 / T) would overflow
    assert want == knn_accuracy(train, y, test, test_y, k=1)  # so cold that the nearest decides
    monkeypatch.setattr("labkit.metrics.probes.BLOCK", 7 * 60)
    assert knn_accuracy(train, y, test, test_y, k=60, temperature=0.002) == want
    with pytest.raises(ValueError, match="k must be at most the 60 rows of train_z, got 61"):
        knn_accuracy(train, y, test, test_y, k=61)


def test_knn_knows_labels_of_any_name_and_those_it_never_saw():
    z = torch.eye(3, dtype=torch.float64)
    got = knn_accuracy(z[:2], torch.tensor([-7, 1000]), z, torch.tensor([-7, 1000, 5]), k=1)
    assert got.item() == pytest.approx(2 / 3)


def test_linear_probe_is_scikit_learns_and_does_not_see_scale_rotation_or_dead_columns():
    from sklearn.linear_model import LogisticRegression

    (train, y), (test, test_y) = blobs(90, noise=3.0), blobs(300, noise=3.0, seed=2)
    length = (train - train.mean(0)).square().sum(1).mean().sqrt()
    theirs = LogisticRegression(C=100.0, max_iter=5000).fit(((train - train.mean(0)) / length).numpy(), y.numpy())
    want = theirs.score(((test - train.mean(0)) / length).numpy(), test_y.numpy())
    assert 0.4 < want < 0.95
    assert linear_probe(train, y, test, test_y).item() == pytest.approx(want)
    turn = torch.block_diag(rotation(4), torch.eye(3, dtype=torch.float64))
    moved = [1e-3 * torch.nn.functional.pad(z, (0, 3)) @ turn + 5 for z in (train, test)]
    assert linear_probe(moved[0], y, moved[1], test_y).item() == pytest.approx(want)
    assert linear_probe(train, y, test, test_y, C=1e-6).item() != pytest.approx(want)


def test_few_labels_are_few_of_every_class_and_the_same_for_every_model():
    y = torch.tensor([2, 2, 0, 0, 1, 1, 2, 0, 1, 2])
    rows = metrics.few_labels(y, 2, seed=4)
    assert sorted(y[rows].tolist()) == [0, 0, 1, 1, 2, 2]
    assert len(set(rows.tolist())) == 6
    assert torch.equal(rows, metrics.few_labels(y, 2, seed=4))
    draws = {tuple(metrics.few_labels(y, 2, seed=4, draw=i).tolist()) for i in range(8)}
    assert len(draws) > 1
    with pytest.raises(ValueError, match="per_class is 4, but class 0 has 3 rows"):
        metrics.few_labels(y, 4)


def test_few_label_probe_is_the_mean_over_draws():
    (train, y), (test, test_y) = blobs(90, noise=2.0), blobs(90, noise=2.0, seed=2)
    scores = [
        linear_probe(train[rows], y[rows], test, test_y)
        for rows in (metrics.few_labels(y, 3, seed=1, draw=i) for i in range(4))
    ]
    got = metrics.few_label_probe(train, y, test, test_y, per_class=3, draws=4, seed=1)
    assert got.item() == pytest.approx(torch.stack(scores).mean().item())
    assert got < linear_probe(train, y, test, test_y)


def test_clusters_and_classes():
    z, y = blobs(60, noise=0.1)
    assert metrics.clustering_accuracy(z, y) == 1
    assert metrics.clustering_nmi(z, y).item() == pytest.approx(1)
    swapped = y.clone()
    swapped[:6] = (y[:6] + 1) % 3  # six rows carry another class's label
    assert metrics.clustering_accuracy(z, swapped).item() == pytest.approx(0.9)
    assert metrics.clustering_accuracy(torch.ones(6, 2), classes(6)).item() == pytest.approx(1 / 3)  # collapsed
    assert metrics.clustering_nmi(torch.ones(6, 2), classes(6)).item() == 0


# ---------------------------------------------------------------- who is pushed


def test_hardness_is_the_gradient_share_of_infonce():
    s = double(9).requires_grad_()
    (push,) = torch.autograd.grad(torch.logaddexp(double(1, seed=5) / 0.3, torch.logsumexp(s / 0.3, 0)), s)
    torch.testing.assert_close(metrics.hardness(s, 0.3), push / push.sum(), rtol=0, atol=1e-12)
    assert metrics.hardness(torch.tensor([0.5, -math.inf]), 0.1).tolist() == [1, 0]


def test_the_share_of_the_nearest_never_falls_as_the_temperature_does():
    z = double(40, 6)
    temperatures = [3.0, 1.0, 0.5, 0.2, 0.1, 0.05, 0.01, 0.001]
    shares = torch.stack([push_share(z, temperature=t, fraction=0.1) for t in temperatures])
    assert (shares.diff() >= 0).all()
    assert push_share(z, temperature=1e4, fraction=0.1).item() == pytest.approx(math.ceil(3.9) / 39, abs=1e-3)
    assert shares[-1] > 0.99


def test_even_shares_fall_on_the_class_as_its_part_of_the_rows():
    z, y = double(30, 6), classes(30)
    assert push_share(z, y, temperature=1e6).item() == pytest.approx(9 / 29, abs=1e-6)
    near, y = blobs(30, noise=0.1)
    assert push_share(near, y, temperature=0.1) > 0.99


# ---------------------------------------------------------------- invariances


RANKS = ["effective_rank", "effective_rank centred", "rank_me", "singular_spectrum"]


@pytest.mark.parametrize("case", [*CASES, *RANKS])
def test_rotation_permutation_scale_and_padding(case):
    name = case.split()[0]
    tensors, options = CASES.get(case, (TWO[:1], {"center": True} if "centred" in case else {}))
    meter = getattr(metrics, name)
    want = meter(*tensors, **options)
    turn, wide, order = rotation(D), rotation(64), torch.randperm(N)

    def unmoved_by(change):
        torch.testing.assert_close(meter(*map(change, tensors), **options), want, rtol=0, atol=1e-12)

    unmoved_by(lambda t: t @ turn if t.ndim == 2 else t)
    unmoved_by(lambda t: t[order] if len(t) == N else t)
    if name != "singular_spectrum":
        unmoved_by(lambda t: 37.0 * t if t.ndim == 2 else t)
    if name not in ("singular_spectrum", "rank_me"):  # 59 dead directions: RankMe adds an epsilon for some of them
        unmoved_by(lambda t: torch.nn.functional.pad(t, (0, 64 - D)) @ wide if t.ndim == 2 else t)


# ---------------------------------------------------------------- where peers return NaN or -inf


@pytest.mark.parametrize("n", [2, 5])
@pytest.mark.parametrize("t", [2.0, 100.0, 1e4])
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_uniformity_is_finite(n, t, scale):
    z = scale * double(n, 3).float()
    assert torch.isfinite(uniformity(z, t=t))


def test_uniformity_of_raw_rows_far_apart():
    z = torch.tensor([[1.0, 0.0], [31.0, 40.0]])
    assert uniformity(z, normalize=False).item() == -2 * 50**2  # exp(-5000) is 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_read_and_not_computed_in(dtype):
    z, labels = double(N, D).to(dtype), classes(N)
    for name, tensors in [("uniformity", (z,)), ("tolerance", (z, labels)), ("effective_rank", (z,)), ("push_share", (z,))]:
        meter = getattr(metrics, name)
        got, want = meter(*tensors), meter(z.double(), *tensors[1:])
        assert got.dtype == torch.float32
        assert got.item() == pytest.approx(want.item(), abs=1e-5)


@pytest.mark.parametrize("temperature", [1e-3, 1e3])
def test_push_share_is_finite_at_extreme_temperatures(temperature):
    assert 0 <= push_share(double(2, 3), temperature=temperature) <= 1
    assert 0 <= push_share(double(9, 3), classes(9), temperature=temperature) <= 1


# ---------------------------------------------------------------- bad input


Z, Y = torch.randn(6, 3), classes(6)


@pytest.mark.parametrize(
    ("name", "arguments", "error", "says"),
    [
        ("alignment", (Z, Z[:5]), ValueError, "z2"),
        ("alignment", (Z, Z.double()), ValueError, "z2"),
        ("uniformity", (Z[:1],), ValueError, "z"),
        ("uniformity", (torch.zeros(3, 2),), ValueError, "row of zeros"),
        ("uniformity", (Z * math.nan,), ValueError, "NaN"),
        ("uniformity", (Y,), (TypeError, ValueError), "z"),
        ("uniformity", (Z.numpy(),), TypeError, "torch tensor"),
        ("tolerance", (Z, torch.arange(6)), ValueError, "labels are all different"),
        ("tolerance", (Z, Y.float()), TypeError, "labels"),
        ("tolerance", (Z, Y[:4]), ValueError, "labels"),
        ("modality_gap", (Z, Z[:, :2]), ValueError, "b"),
        ("effective_rank", (Z[0],), ValueError, "z"),
        ("rank_me", (Z[:0],), ValueError, "z"),
        ("knn_accuracy", (Z, Y, Z[:, :2], Y), ValueError, "test_z"),
        ("knn_accuracy", (Z, Y[:3], Z, Y), ValueError, "train_y"),
        ("knn_accuracy", (Z, Y, 0 * Z, Y), ValueError, "test_z has a row of zeros"),
        ("linear_probe", (Z, 0 * Y, Z, Y), ValueError, "train_y holds a single class"),
    ],
)
def test_bad_tensors_are_named(name, arguments, error, says):
    with pytest.raises(error, match=says):
        getattr(metrics, name)(*arguments)


@pytest.mark.parametrize(
    ("name", "tensors", "options", "says"),
    [
        ("uniformity", (Z,), {"t": 0.0}, "t must be > 0"),
        ("alignment", (Z, Z), {"alpha": -1}, "alpha"),
        ("rank_me", (Z,), {"epsilon": 0.0}, "epsilon"),
        ("push_share", (Z,), {"temperature": 0.0}, "temperature must be > 0"),
        ("push_share", (Z,), {"fraction": 0.0}, "fraction"),
        ("knn_accuracy", (Z, Y, Z, Y), {"k": 0}, "k must be >= 1"),
        ("knn_accuracy", (Z, Y, Z, Y), {"temperature": 0.0}, "temperature must be > 0"),
        ("linear_probe", (Z, Y, Z, Y), {"C": 0.0}, "C must be > 0"),
        ("few_label_probe", (Z, Y, Z, Y), {"per_class": 0}, "per_class"),
    ],
)
def test_bad_numbers_are_named(name, tensors, options, says):
    with pytest.raises(ValueError, match=says):
        getattr(metrics, name)(*tensors, **options)


@pytest.mark.parametrize(("call", "says"), [((1, 2), "n must be"), ((4, 0), "d must be"), ((4, 2, -1.0), "t > 0")])
def test_bounds_refuse_what_has_no_meaning(call, says):
    with pytest.raises(ValueError, match=says):
        metrics.uniform_bound(*call)
