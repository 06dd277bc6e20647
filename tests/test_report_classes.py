"""Classes in a report: against scikit-learn and numpy, with groups that may not vote for themselves, and with few rows."""

import math

import numpy as np
import pytest
import torch
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import cosine_distances, cosine_similarity
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from labkit import metrics
from labkit.metrics.classes import within
from labkit.metrics.discriminant import discriminant, shrinkage
from labkit.report.meters import classes
from labkit.report.meters.labelled import labelled, shuffled
from labkit.report.meters.members import Members
from labkit.report.meters.probing import ENOUGH, FEW, few_folds, two_folds
from labkit.report.meters.voting import Votes
from labkit.report.pieces import CARDS, Sample


def load(loader, n=300):
    z, y = loader(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))[:n]
    z = z if loader is load_digits else (z - z.mean(0)) / z.std(0)
    return torch.from_numpy(z[order]).double(), torch.from_numpy(y[order]).long()


DATA = {loader.__name__: load(loader) for loader in (load_digits, load_wine, load_breast_cancer)}


def double(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def unit(z):
    return z / z.norm(dim=1, keepdim=True)


def blobs(n, k=4, d=12, noise=1.0, seed=0):
    y = torch.arange(n) % k
    return 2 * torch.eye(k, d, dtype=torch.float64)[y] + noise * double(n, d, seed=seed), y


def drawn(z, y=None, *, groups=None, untrained=None, names=(), seed=0):
    return Sample(z, None, y, groups, untrained, torch.arange(len(z)), len(z), seed, names, False)


def by_name(measured):
    return {number.name: number for number in measured.numbers}


def told_by_others(z, y, groups, k=20):
    """scikit-learn's vote with weights exp(cosine / 0.07), where rows of a group are further apart than any others are."""
    model = KNeighborsClassifier(k, metric="precomputed", weights=lambda d: np.exp((1 - d) / 0.07))
    apart = np.where(groups[:, None] == groups, 3.0, cosine_distances(z))
    return model.fit(apart, y).predict(apart)


# ---------------------------------------------------------------- the meters


@pytest.mark.parametrize("name", DATA)
def test_leave_one_out_is_scikit_learns(name):
    """Leaving out a row is leaving out a group of one."""
    z, y = (part[:150] for part in DATA[name])
    groups = torch.arange(150) // 3
    model = KNeighborsClassifier(20, metric="cosine", algorithm="brute", weights=lambda d: np.exp((1 - d) / 0.07))
    assert (told_by_others(z, y, groups) == cross_val_predict(model, z, y, groups=groups, cv=LeaveOneGroupOut())).all()
    for of in (torch.arange(150), groups):
        told = told_by_others(z, y, of)
        assert metrics.knn_leave_one_out(z, y, of).item() == pytest.approx((told == y.numpy()).mean(), abs=1e-12)
    assert metrics.knn_leave_one_out(z, y).item() == metrics.knn_leave_one_out(z, y, torch.arange(150)).item()


@pytest.mark.parametrize("name", DATA)
def test_discriminant_probe_is_scikit_learns(name):
    z, y = DATA[name]
    half = len(z) // 2
    for fit in (slice(0, half), slice(0, 60 if name == "load_digits" else 25)):  # more rows than columns, and fewer
        rows, labels = z[fit].numpy(), y[fit].numpy()
        inside = rows - np.stack([rows[labels == c].mean(0) for c in range(labels.max() + 1)])[labels]
        share = ledoit_wolf_shrinkage(inside, assume_centered=True)
        x = torch.from_numpy(inside)
        for moment in (x.T @ x, x @ x.T):
            assert shrinkage(x, moment)[0].item() == pytest.approx(share, rel=1e-9)
        model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=share).fit(rows, labels)
        got = metrics.discriminant_probe(z[fit], y[fit], z[half:], y[half:]).item()
        assert got == pytest.approx(model.score(z[half:], y[half:]), abs=1e-12)
        weights, offset = discriminant(z[fit], y[fit], int(y.max()) + 1)
        scores, want = z[half:] @ weights + offset, torch.from_numpy(model.decision_function(z[half:].numpy()))
        scores = scores[:, 1] - scores[:, 0] if want.ndim == 1 else scores - scores[:, :1]
        np.testing.assert_allclose(scores, want if want.ndim == 1 else want - want[:, :1], rtol=1e-6, atol=1e-6)


def test_a_discriminant_does_not_see_shift_scale_or_rotation():
    (z, y), (t, u) = blobs(60), blobs(60, seed=1)
    turn = torch.linalg.qr(double(12, 12)).Q
    want = metrics.discriminant_probe(z, y, t, u)
    for change in (lambda x: 7 * x + 3, lambda x: x @ turn, lambda x: 1e-8 * x):
        assert metrics.discriminant_probe(change(z), y, change(t), u) == want
    with pytest.raises(ValueError, match="single class"):
        metrics.discriminant_probe(z, torch.zeros_like(y), t, u)


def test_a_discriminant_of_points_that_coincide():
    weights, offset = discriminant(torch.ones(6, 3).double(), torch.tensor([0, 0, 0, 0, 1, 1]), 3)
    assert weights.abs().max() == 0
    assert offset.exp().tolist() == pytest.approx([4 / 6, 2 / 6, 0])  # all rows are one: the share of each class
    points = torch.eye(3).double()[torch.arange(9) % 3]
    assert metrics.discriminant_probe(points, torch.arange(9) % 3, points, torch.arange(9) % 3) == 1


def test_even_embeddings_do_not_leave_the_larger_class_to_win():
    """The more even the rows, the stronger the shrinkage: it must not shrink what tells the classes apart."""
    y = torch.randint(4, (400,), generator=torch.Generator().manual_seed(0))
    z = 1.5 * torch.eye(4, 12, dtype=torch.float64)[y] + double(400, 12)
    found = by_name(classes.measure(drawn(z, y)))["z1.linear_probe"].value
    best = LogisticRegression(C=1).fit(unit(z)[::2], y[::2]).score(unit(z)[1::2], y[1::2])
    assert found > best - 0.04


def test_neural_collapse_is_the_papers_formula():
    z, y = blobs(57, k=5, d=8)
    p, labels = unit(z).numpy(), y.numpy()
    centres = np.stack([p[labels == c].mean(0) for c in range(5)])
    inside = (p - centres[labels]).T @ (p - centres[labels]) / len(p)
    away = centres - centres.mean(0)
    want = np.trace(inside @ np.linalg.pinv(away.T @ away / 5)) / 5
    assert metrics.neural_collapse(z, y).item() == pytest.approx(want, rel=1e-9)
    assert metrics.neural_collapse(torch.eye(3)[torch.arange(9) % 3], torch.arange(9) % 3).item() == pytest.approx(0, abs=1e-12)
    with pytest.raises(ValueError, match="centres are the same"):
        metrics.neural_collapse(z, torch.zeros_like(y))
    rows = torch.arange(0, 57, 2)
    sums, sizes = Members(unit(z), y, torch.arange(57), 5).of(rows).sums, torch.bincount(y[rows], minlength=5).double()
    assert within(unit(z), y, sums, sizes, rows).item() == pytest.approx(metrics.neural_collapse(z[rows], y[rows]).item())


@pytest.mark.parametrize("name", DATA)
def test_class_separation_is_one_minus_what_is_inside(name):
    z, y = DATA[name]
    p = unit(z).numpy()
    inside = sum(((p[y == c] - p[y == c].mean(0)) ** 2).sum() for c in np.unique(y))
    want = 1 - inside / ((p - p.mean(0)) ** 2).sum()
    assert metrics.class_separation(z, y).item() == pytest.approx(want, abs=1e-12)
    lots = [
        metrics.class_separation(z, y[torch.randperm(len(y), generator=torch.Generator().manual_seed(s))]) for s in range(300)
    ]
    assert np.mean(lots) == pytest.approx((len(y.unique()) - 1) / (len(y) - 1), rel=0.25)  # what the docstring says
    with pytest.raises(ValueError, match="all point the same way"):
        metrics.class_separation(torch.ones(4, 2), torch.tensor([0, 0, 1, 1]))


# ---------------------------------------------------------------- the section


@pytest.mark.parametrize("name", DATA)
def test_numbers_of_a_report_against_independent_code(name):
    z, y = DATA[name]
    numbers = by_name(classes.measure(drawn(z, y)))
    told = labelled(drawn(z, y))
    votes = told_by_others(z, y, torch.arange(len(y)), told.k)
    assert numbers["z1.knn_accuracy"].value == pytest.approx((votes == y.numpy()).mean(), abs=1e-12)
    assert numbers["z1.tolerance"].value == pytest.approx(metrics.tolerance(z, y).item(), abs=1e-12)
    assert numbers["z1.class_separation"].value == pytest.approx(metrics.class_separation(z, y).item(), abs=1e-12)
    assert numbers["z1.neural_collapse"].value == pytest.approx(metrics.neural_collapse(z, y).item(), rel=1e-9)
    folds = two_folds(told, torch.arange(len(y)), 0)
    right = [metrics.discriminant_probe(unit(z)[a], y[a], unit(z)[b], y[b]).item() * len(b) for a, b in folds]
    assert numbers["z1.linear_probe"].value == pytest.approx(sum(right) / len(y), abs=1e-12)
    logistic = [LogisticRegression(C=100, max_iter=3000).fit(unit(z)[a], y[a]).score(unit(z)[b], y[b]) for a, b in folds]
    assert numbers["z1.linear_probe"].value == pytest.approx(np.mean(logistic), abs=0.05)  # another probe, not far off
    cosines = cosine_similarity(z)
    for c in y.unique().tolist():
        mine = (y == c).numpy()
        n, block = mine.sum(), cosines[np.ix_(mine, mine)]
        assert numbers[f"z1, class {c}.class_cosine"].value == pytest.approx((block.sum() - n) / (n * (n - 1)), abs=1e-12)
        assert numbers[f"z1, class {c}.class_recall"].value == pytest.approx((votes[mine] == c).mean(), abs=1e-12)
        across = {o: cosines[np.ix_(mine, (y == o).numpy())].mean() for o in y.unique().tolist() if o != c}
        nearest = numbers[f"z1, class {c}.class_cosine"].nulls[1]
        assert nearest.estimate.value == pytest.approx(max(across.values()), abs=1e-12)
        assert nearest.says.endswith(f" {max(across, key=across.get)}")


def test_every_number_stands_beside_labels_that_mean_nothing():
    z, y = DATA["load_digits"]
    found = classes.measure(drawn(z, y, untrained=double(300, 20), names=tuple("abcdefghij")))
    numbers = by_name(found)
    assert all(number.floor.name == "permuted labels" for number in found.numbers)
    assert [null.name for null in numbers["z1.knn_accuracy"].nulls] == [
        "permuted labels",
        "largest class",
        "isotropic",
        "untrained",
    ]
    for meter in ("knn_accuracy", "linear_probe", "few_label_probe"):
        number = numbers[f"z1.{meter}"]
        assert number.estimate.low > 0.6
        assert all(0.05 < null.estimate.value < 0.16 for null in number.nulls), meter  # ten classes: chance
    assert numbers["z1.linear_probe"].value > numbers["z1.few_label_probe"].value
    assert numbers["z1, class a.class_recall"].n == int((y == 0).sum())
    assert not found.missing
    assert {n.meter for n in found.numbers} == {*classes.WHOLE, *classes.EACH} <= set(CARDS)


def test_random_features_tell_digits_too():
    """What the card warns of."""
    z, y = load(load_digits, 1797)
    features = torch.relu(z / 16 @ double(64, 256) / 8)
    number = by_name(classes.measure(drawn(double(1797, 8), y, untrained=features)))["z1.knn_accuracy"]
    assert number.nulls[-1].name == "untrained" and 0.94 < number.nulls[-1].estimate.value < 0.98
    assert number.value < 0.2


def test_rows_of_a_group_do_not_vote_for_each_other():
    """100 random directions with random labels, each three times, a little moved: there is nothing to be known of a group."""
    groups = torch.arange(100).repeat_interleave(3)
    points = double(100, 96)[groups] + 0.1 * double(300, 96, seed=1)
    y = torch.randint(4, (100,), generator=torch.Generator().manual_seed(0))[groups]
    blind, fair = (by_name(classes.measure(drawn(points, y, groups=g))) for g in (None, groups))
    for meter in ("knn_accuracy", "linear_probe"):
        assert blind[f"z1.{meter}"].value > 0.55
        chance = {null.name: null.estimate for null in fair[f"z1.{meter}"].nulls}["largest class"]
        assert fair[f"z1.{meter}"].estimate.low < chance.high and fair[f"z1.{meter}"].value < 0.45
        assert fair[f"z1.{meter}"].floor.says.startswith("the same 4 classes on the wrong groups")
    assert blind["z1.tolerance"].value > fair["z1.tolerance"].value + 0.02
    cosines, apart = cosine_similarity(points), (groups[:, None] != groups) & (y[:, None] == y)
    assert fair["z1.tolerance"].value == pytest.approx(cosines[apart.numpy()].mean(), abs=1e-12)


def test_no_group_is_on_both_sides_of_a_probe():
    z, y = blobs(240, k=3)
    groups = torch.randperm(240, generator=torch.Generator().manual_seed(0)) // 4
    told = labelled(drawn(z, y, groups=groups))
    for rows in (torch.arange(240), told.drawn[0]):
        for fit, test in (*two_folds(told, rows, 1), *few_folds(told, rows, 1)):
            assert not set(told.groups[fit].tolist()) & set(told.groups[test].tolist())
            assert set(fit.tolist()) <= set(rows.tolist()) and len(test)
    for fit, test in few_folds(told, torch.arange(240), 0):
        assert torch.bincount(told.y[fit]).tolist() == [FEW] * 3
        assert not set(fit.tolist()) & set(test.tolist())


def test_permuted_labels_stay_together_where_a_group_has_one_label():
    groups = torch.arange(60) // 3
    y = shuffled(groups % 4, groups, 0)
    assert all(len(y[groups == g].unique()) == 1 for g in range(20))
    assert y.bincount().tolist() == (groups % 4).bincount().tolist() and (y != groups % 4).any()
    mixed = shuffled(torch.arange(60) % 4, groups, 0)
    assert mixed.bincount().tolist() == [15] * 4


def test_votes_in_a_half_are_those_of_the_half_alone():
    z, y = blobs(160, noise=2.0)
    told = labelled(drawn(z, y))
    votes = Votes(told, told.clouds["z1"], told.y)
    for i in (0, 7):
        rows = told.drawn[i]
        want = metrics.knn_leave_one_out(z[rows], y[rows], k=told.k).item()
        assert votes.right[1 + i].mean().item() == pytest.approx(want, abs=1e-12)
    assert votes.confusion().sum() == 160 and votes.confusion()[:, -1].sum() == 0
    assert votes.confusion().diag().sum() / 160 == pytest.approx(votes.accuracy().value)


def test_the_largest_classes_have_numbers_and_the_others_are_counted():
    sizes = [50 - c for c in range(40)]
    y = torch.repeat_interleave(torch.arange(40), torch.tensor(sizes))
    found = classes.measure(drawn(double(len(y), 6), y))
    of = {n.of for n in found.numbers if ", class" in n.of}
    assert of == {f"z1, class {c}" for c in range(30)}
    assert {m.meter for m in found.missing if "10 of 40 are left out" in m.needs} == set(classes.EACH)
    assert found.arrays["classes.recall"].shape == (40,) and found.arrays["classes.confusion"].shape == (30, 30)
    assert np.allclose(found.arrays["classes.across"], found.arrays["classes.across"].T)


def test_classes_of_one_row_are_left_out_and_said():
    z, y = blobs(80, k=2)
    lonely = torch.cat([y, torch.tensor([7, 8, 9])])
    found = classes.measure(drawn(torch.cat([z, double(3, 12)]), lonely))
    assert by_name(found)["z1.knn_accuracy"].n == 80
    assert by_name(found)["z1.knn_accuracy"].value == metrics.knn_leave_one_out(z, y).item()
    assert [m.needs for m in found.missing] == ["two rows of every class: 3 with a single row are left out of this section"]


@pytest.mark.parametrize(
    ("sample", "why"),
    [
        (drawn(double(40, 4)), "labels"),
        (drawn(double(40, 4), torch.zeros(40).long(), names=("cat",)), "two classes: all 40 labels are cat"),
        (drawn(double(40, 4), torch.arange(40)), "two classes of at least two rows, got 0 of 40"),
        (drawn(torch.ones(40, 4).double(), torch.arange(40) % 2), "all point the same way"),
        (drawn(double(40, 4), torch.arange(40) % 2, groups=torch.arange(40) // 10), "at least 8 groups of such classes, got 4"),
        (
            drawn(double(40, 4), torch.arange(40) // 8, groups=torch.arange(40) // 8),
            "two classes of at least two groups, got 0",
        ),
    ],
    ids=["none", "single", "all different", "collapsed", "few groups", "groups are classes"],
)
def test_what_classes_need_is_said(sample, why):
    found = classes.measure(sample)
    assert not found.numbers
    assert {m.meter for m in found.missing} == {*classes.WHOLE, *classes.EACH}
    assert all(why in m.needs for m in found.missing)


def test_meters_that_need_larger_classes_say_so():
    y = torch.arange(60) // 6
    found = classes.measure(drawn(double(60, 4), y))
    needs = {m.meter: m.needs for m in found.missing}
    assert needs["neural_collapse"] == "at least 16 rows of a class on average, got 6.0"
    assert needs["few_label_probe"] == f"two classes of at least {ENOUGH} rows in the sample"
    assert set(needs) == {"neural_collapse", "few_label_probe", *classes.EACH}
    assert by_name(found)["z1.knn_accuracy"].floor.says.endswith("k = 5")


SMALL = torch.arange(24)
ODD = {
    "two rows of each": (double(24, 3), SMALL // 2, None),
    "one large group": (double(200, 3), torch.arange(200) % 3, torch.cat([torch.zeros(192).long(), torch.arange(1, 9)])),
    "copies": (double(2, 3)[SMALL % 2], SMALL % 3, None),
    "classes are points": (torch.eye(3).double()[SMALL % 3], SMALL % 3, None),
    "opposite": (((SMALL % 2) * 2.0 - 1)[:, None].double().repeat(1, 3), SMALL % 2, None),
    "one dimension": (double(24, 1), SMALL % 2, None),
    "far and near": (torch.cat([1e150 * double(12, 3), 1e-150 * double(12, 3)]), SMALL % 2, None),
    "a class of two": (double(24, 3), (SMALL < 2).long(), None),
    "labels below 0": (double(24, 3), SMALL % 3 - 5, None),
    "groups of two": (double(24, 3), SMALL % 3, SMALL // 2),
}


@pytest.mark.parametrize("odd", ODD)
def test_nothing_is_ever_undefined(odd):
    z, y, groups = ODD[odd]
    found = classes.measure(drawn(z, y, groups=groups))
    for number in found.numbers:
        for estimate in (number.estimate, *(null.estimate for null in number.nulls)):
            assert all(map(math.isfinite, estimate)), number
            assert estimate.low <= estimate.value + 1e-12 and estimate.value <= estimate.high + 1e-12, number
    assert {n.meter for n in found.numbers} | {m.meter for m in found.missing} == {*classes.WHOLE, *classes.EACH}
    assert len({n.name for n in found.numbers}) == len(found.numbers)
    assert all(np.isfinite(a).all() for name, a in found.arrays.items() if name != "classes.name")


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["tolerance", "class_separation", "knn_accuracy", "linear_probe", "few_label_probe"])
def test_intervals_hold_what_another_sample_says_on_average(name):
    found = []
    for seed in range(60):
        y = torch.randint(4, (200,), generator=torch.Generator().manual_seed(seed))
        z = 1.2 * torch.eye(4, 12, dtype=torch.float64)[y] + double(200, 12, seed=seed)
        found.append(by_name(classes.measure(drawn(z, y, seed=seed)))[f"z1.{name}"].estimate)
    truth = np.mean([e.value for e in found])
    held = np.mean([e.low <= truth <= e.high for e in found])
    print(f"{name}: {held}, width {np.mean([e.high - e.low for e in found]):.3f}, sd {np.std([e.value for e in found]):.4f}")
    assert held >= 0.85
