"""Hubs, retrieval and the modality gap: against scikit-learn, scipy and slow loops, and what a report says of them."""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.metrics import roc_auc_score
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.neighbors import NearestNeighbors

from labkit import metrics
from labkit.metrics.neighbours import both_ways, nearest
from labkit.report.meters import classes, modalities, neighbours
from labkit.report.meters.neighbourhood import Neighbourhood, neighbourhood
from labkit.report.meters.shares import about, share, wilson
from labkit.report.pieces import CARDS, Sample

SPEC = importlib.util.spec_from_file_location("metric_loops", Path(__file__).parent / "oracles" / "metric_loops.py")
loops = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(loops)
DATA = {load.__name__: torch.from_numpy(load().data[:600]).double() for load in (load_digits, load_wine, load_breast_cancer)}
DATA["load_wine"] = (DATA["load_wine"] - DATA["load_wine"].mean(0)) / DATA["load_wine"].std(0)


def double(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def unit(z):
    return z / z.norm(dim=1, keepdim=True)


def drawn(z1, z2=None, *, groups=None, untrained=None, modal=True, seed=0):
    """A sample as the report hands it over."""
    rows = torch.arange(len(z1))
    return Sample(z1, z2, None, groups, untrained, rows, len(z1), seed, (), modal)


def two(n, d=16, *, noise=0.5, offset=0.0, seed=0):
    """Two sides of the same rows, the second moved by an offset that all share."""
    z = double(n, d, seed=seed)
    return z + noise * double(n, d, seed=seed + 1), z + noise * double(n, d, seed=seed + 2) + offset * torch.eye(d)[0]


def by_name(measured):
    return {number.name: number for number in measured.numbers}


# ---------------------------------------------------------------- neighbours


@pytest.mark.parametrize("name", DATA)
def test_hubness_is_scipys_skewness_of_scikit_learns_neighbours(name):
    z = DATA[name]
    found = NearestNeighbors(n_neighbors=10, metric="cosine", algorithm="brute").fit(z).kneighbors(return_distance=False)
    counts = np.bincount(found.ravel(), minlength=len(z))
    assert metrics.k_occurrence(z).tolist() == counts.tolist()
    measured = neighbours.measure(drawn(z))
    numbers = by_name(measured)
    # the formulas of scikit-hubness: k_skewness, antihub_occurrence, robinhood_index
    want = {
        "hubness": stats.skew(counts),
        "antihubs": (counts == 0).mean(),
        "robin_hood": 0.5 * np.abs(counts - counts.mean()).sum() / counts.sum(),
    }
    assert measured.arrays["z1.k_occurrence"].tolist() == np.bincount(counts).tolist()
    for meter, value in want.items():
        assert numbers[f"z1.{meter}"].value == pytest.approx(value, abs=1e-12), meter
    assert metrics.hubness(z).item() == pytest.approx(want["hubness"], abs=1e-12)
    assert metrics.robin_hood(z).item() == pytest.approx(want["robin_hood"], abs=1e-12)


@pytest.mark.parametrize("queries", [None, double(9, 4, seed=2)], ids=["among themselves", "queries"])
@pytest.mark.parametrize("meter", ["hubness", "antihubs", "robin_hood", "k_occurrence"])
def test_hubs_are_those_of_a_slow_loop(meter, queries):
    z, k = double(14, 4), 3
    asked = None if queries is None else queries.tolist()
    got = getattr(metrics, meter)(z, queries, k=k)
    assert got.tolist() == pytest.approx(getattr(loops, meter)(z.tolist(), asked, k), abs=1e-12)


def test_a_k_that_is_too_large_is_named():
    with pytest.raises(ValueError, match="k must be at most 4"):
        metrics.hubness(double(5, 3), k=5)
    assert metrics.k_occurrence(double(5, 3), k=4).tolist() == [4] * 5
    assert metrics.hubness(double(5, 3), k=4) == 0  # all equally often: no skewness, and no 0 / 0


def test_equal_rows_are_no_hubs():
    """The first ten of 300 copies would be everybody's neighbours if equal cosines kept their order."""
    z = torch.cat([torch.ones(300, 4, dtype=torch.float64), double(100, 4)])
    naive = (unit(z) @ unit(z).T).fill_diagonal_(-torch.inf).topk(10).indices
    assert metrics.k_occurrence(z)[:300].max() < 60 < torch.bincount(naive.flatten()).max()


def test_both_ways_from_one_product():
    a, b = unit(double(30, 5)), unit(double(30, 5, seed=1))
    forth, back = both_ways(a, b, k=7)
    assert torch.equal(forth.rows, nearest(a, b, k=7).rows)
    assert torch.equal(back.rows, nearest(b, a, k=7).rows)


@pytest.mark.parametrize("k", [1, 10, 30])
@pytest.mark.parametrize("kind", ["alone", "queries", "groups"])
def test_neighbours_in_a_half_are_those_of_the_half_alone(kind, k, monkeypatch):
    """From the long list of the whole, or from all rows where the list is too short (k = 30 of 4 k > 80)."""
    points, asking = unit(double(200, 6)), unit(double(200, 6, seed=1)) if kind == "queries" else None
    groups = torch.arange(200) // 4 if kind == "groups" else None
    rows = torch.arange(200)[torch.isin(torch.arange(200) // 4, torch.randperm(50)[:25])]
    found = Neighbourhood(points, asking, groups).halved(rows, k)
    if kind == "queries":
        want = nearest(asking[rows], points[rows], k=k)
    else:
        want = nearest(points[rows], k=k, groups=None if groups is None else groups[rows])
    assert torch.equal(found.rows, want.rows)
    np.testing.assert_allclose(found.cosines, want.cosines, rtol=1e-7, atol=1e-7)


def test_random_directions_have_few_hubs_and_rows_about_one_direction_more_the_larger_n():
    """What the card says of both."""
    assert all(abs(metrics.hubness(double(1000, d))) < 0.8 for d in (3, 32, 256))
    few, many = (metrics.hubness(double(n, 256) + 1).item() for n in (200, 2000))
    assert 1 < few < many - 1
    assert abs(metrics.hubness(double(2000, 256))) < 0.8  # the same rows without their mean
    cone = double(1000, 64) + 1
    near, counts = unit(cone) @ unit(cone).mean(0), metrics.k_occurrence(cone)
    assert near[counts == 0].mean() < near.mean() < near[counts > 50].mean()  # nobody's neighbours lie outside, hubs inside


def test_a_report_says_hubs_beside_random_directions_and_untrained_rows():
    z1, z2 = two(120, 8)
    found = neighbours.measure(drawn(z1, z2, untrained=double(120, 5, seed=9)))
    numbers = by_name(found)
    assert {n.of for n in found.numbers} == {"z1", "z2", "z1 among z2", "z2 among z1"}
    assert [null.name for null in numbers["z1.hubness"].nulls] == ["isotropic", "untrained"]
    assert [null.name for null in numbers["z1 among z2.hubness"].nulls] == ["isotropic"]
    assert numbers["z1 among z2.hubness"].value == pytest.approx(metrics.hubness(z2, z1).item())
    assert numbers["z1.hubness"].nulls[1].estimate.value == pytest.approx(metrics.hubness(double(120, 5, seed=9)).item())
    counts = found.arrays["z1.k_occurrence"]
    assert counts.sum() == 120 and counts @ np.arange(len(counts)) == 1200
    assert all(n.estimate.low <= n.value <= n.estimate.high and n.n == 120 for n in found.numbers)
    assert {n.meter for n in found.numbers} <= set(CARDS)


def test_the_same_sample_gives_the_same_numbers():
    z1, z2 = two(60)
    once, again = (neighbours.measure(drawn(z1.clone(), z2.clone(), seed=3)).numbers for _ in range(2))
    assert once == again
    other = neighbours.measure(drawn(z1, z2, seed=4)).numbers
    assert [n.value for n in once] == [n.value for n in other]
    assert once != other  # other halves, other random directions


@pytest.mark.parametrize(
    ("sample", "why"),
    [
        (drawn(double(16, 4)), "at least 22 rows, got 16"),
        (drawn(double(40, 4), groups=torch.arange(40) // 20), None),
        (drawn(double(40, 4), groups=(torch.arange(40) > 36).long()), "more groups"),
        (drawn(torch.ones(40, 4, dtype=torch.float64)), "all point the same way"),
    ],
    ids=["few rows", "two groups", "uneven groups", "collapsed"],
)
def test_what_hubs_need_is_said(sample, why):
    found = neighbours.measure(sample)
    assert bool(found.numbers) == (why is None)
    assert all(why in missing.needs for missing in found.missing)
    assert {missing.meter for missing in found.missing} == (set() if why is None else set(neighbours.METERS))


def test_clouds_are_found_once_and_let_go_with_their_sample():
    from labkit.report.meters.neighbourhood import KEPT

    sample = drawn(double(30, 4))
    assert neighbourhood(sample, "z1") is neighbourhood(sample, "z1")
    before = len(KEPT)
    del sample
    assert len(KEPT) == before - 1


# ---------------------------------------------------------------- two sides


@pytest.mark.parametrize("groups", [None, torch.tensor([0, 0, 1, 2, 2, 3, 4])], ids=["alone", "groups"])
@pytest.mark.parametrize("k", [1, 3])
def test_recall_is_that_of_a_slow_loop(k, groups):
    a, b = double(7, 3), double(7, 3, seed=1)
    want = loops.recall_at_k(a.tolist(), b.tolist(), None if groups is None else groups.tolist(), k)
    assert metrics.recall_at_k(a, b, groups, k=k).item() == pytest.approx(want, abs=1e-12)


def test_recall_of_points_that_are_all_the_same_is_chance():
    one = torch.ones(20, 3)
    assert metrics.recall_at_k(one, one, k=1).item() == pytest.approx(1 / 20)
    assert metrics.recall_at_k(one, one, k=5).item() == pytest.approx(5 / 20)
    # five copies of each of four: the partner is one of five that are as near
    z = double(4, 3).repeat(5, 1)
    assert metrics.recall_at_k(z, z).item() == pytest.approx(1 / 5)
    assert metrics.recall_at_k(z, z, torch.arange(4).repeat(5)).item() == 1


def test_modality_auc_is_that_of_scipy_and_scikit_learn():
    a, b = two(81, 6, noise=2, offset=1.5)
    order = torch.randperm(81, generator=torch.Generator().manual_seed(0))
    halves, areas = (order[:40], order[40:]), []
    for fit, test in (halves, halves[::-1]):
        line = unit(a)[fit].mean(0) - unit(b)[fit].mean(0)
        along = [(unit(side)[test] @ line).numpy() for side in (a, b)]
        areas.append(stats.mannwhitneyu(*along).statistic / len(test) ** 2)
        assert areas[-1] == pytest.approx(roc_auc_score([1] * len(test) + [0] * len(test), np.concatenate(along)))
    assert metrics.modality_auc(a, b).item() == pytest.approx(np.mean(areas), abs=1e-12)


def test_two_sides_of_a_report_against_independent_code():
    z1, z2 = two(150, 12, noise=1.0, offset=2.0)
    sample = drawn(z1, z2)
    numbers = by_name(modalities.measure(sample))
    cosines = cosine_similarity(z1, z2)
    own = np.diag(cosines)
    strangers = (cosines.sum() - own.sum()) / (150 * 149)
    assert numbers["z1, z2.pair_margin"].value == pytest.approx(own.mean() - strangers, abs=1e-12)
    assert numbers["z1, z2.modality_gap"].value == pytest.approx(metrics.modality_gap(z1, z2).item(), abs=1e-12)
    for of, table in (("z1 among z2", cosines), ("z2 among z1", cosines.T)):
        ranks = (table > np.diag(table)[:, None]).sum(1)
        for meter, k in modalities.RECALLS.items():
            assert numbers[f"{of}.{meter}"].value == pytest.approx((ranks < k).mean(), abs=1e-12)
            assert numbers[f"{of}.{meter}"].floor.estimate.value == pytest.approx(k / 150)
            assert numbers[f"{of}.{meter}"].value == pytest.approx(
                metrics.recall_at_k(*((z1, z2) if of.startswith("z1") else (z2, z1)), k=k).item()
            )


def test_intervals_of_recall_come_from_recall_in_the_halves():
    z1, z2 = two(60, 6, noise=1.5)
    sides = modalities.Sides(drawn(z1, z2))
    above, equal = modalities.ranked(sides)["z2 among z1"]
    rows = sides.drawn[3]
    hits = modalities.found_within(above[rows, 4].double(), equal[rows, 4].double(), 5).mean().item()
    assert hits == pytest.approx(metrics.recall_at_k(z2[rows], z1[rows], k=5).item())


def test_a_gap_stands_out_and_its_absence_does_not():
    apart = by_name(modalities.measure(drawn(*two(300, 16, offset=1.0))))
    gap, told = apart["z1, z2.modality_gap"], apart["z1, z2.modality_auc"]
    assert gap.estimate.low > max(null.estimate.high for null in gap.nulls)
    assert told.estimate.low > told.floor.estimate.high
    within = 0
    for seed in range(20):  # two views of one kind lie at the floor
        found = by_name(modalities.measure(drawn(*two(120, 8, seed=10 * seed), seed=seed)))
        gap, told = found["z1, z2.modality_gap"], found["z1, z2.modality_auc"]
        within += gap.floor.estimate.low <= gap.value <= gap.floor.estimate.high
        assert abs(told.value - 0.5) < 0.1
    assert within >= 17


def test_an_offset_shared_by_all_pairs_need_not_hurt_retrieval():
    """What the card says: the sides can be told apart, and every row still finds its partner."""
    numbers = by_name(modalities.measure(drawn(*two(200, 32, noise=0.2, offset=3.0))))
    assert numbers["z1, z2.modality_auc"].value > 0.95
    assert numbers["z1 among z2.retrieval"].value > 0.99


def test_pairs_of_one_group_are_no_strangers_and_no_rivals():
    z1, z2 = two(40, 8, noise=0.3)
    copies, groups = (z1.repeat_interleave(6, 0), z2.repeat_interleave(6, 0)), torch.arange(40).repeat_interleave(6)
    once, more = by_name(modalities.measure(drawn(z1, z2))), by_name(modalities.measure(drawn(*copies, groups=groups)))
    blind = by_name(modalities.measure(drawn(*copies)))
    for name in ("z1, z2.pair_margin", "z1, z2.modality_gap", "z1 among z2.retrieval"):
        assert more[name].value == pytest.approx(once[name].value, abs=1e-9), name
    assert blind["z1 among z2.retrieval"].value < 0.4  # one of six copies, by lot
    assert more["z1, z2.pair_margin"].estimate.high - more["z1, z2.pair_margin"].estimate.low > 1.5 * (
        blind["z1, z2.pair_margin"].estimate.high - blind["z1, z2.pair_margin"].estimate.low
    )


def test_margin_with_groups_is_the_mean_over_rows_of_different_groups():
    z1, z2 = two(30, 5)
    groups = torch.arange(30) // 3
    cosines, other = cosine_similarity(z1, z2), (groups[:, None] != groups).numpy()
    want = np.diag(cosines).mean() - cosines[other].mean()
    found = by_name(modalities.measure(drawn(z1, z2, groups=groups)))
    assert found["z1, z2.pair_margin"].value == pytest.approx(want, abs=1e-12)


@pytest.mark.parametrize(
    ("sample", "why"),
    [
        (drawn(double(30, 4)), "z2 or pairs"),
        (drawn(double(30, 4), double(30, 6)), "one width, got 4 and 6"),
        (drawn(double(30, 4), torch.ones(30, 4).double()), "point the same way"),
        (drawn(double(30, 4), double(30, 4), groups=torch.arange(30) // 6), "at least 8 groups"),
    ],
    ids=["alone", "widths", "collapsed", "groups"],
)
def test_what_two_sides_need_is_said(sample, why):
    found = modalities.measure(sample)
    assert not found.numbers
    assert {missing.meter for missing in found.missing} == {"modality_gap", "modality_auc", "pair_margin", *modalities.RECALLS}
    assert all(why in missing.needs for missing in found.missing)


def test_arrays_for_the_figures():
    arrays = modalities.measure(drawn(*two(200, 8, offset=2.0))).arrays
    assert arrays["along_gap.z1"].sum() == arrays["along_gap.z2"].sum() == 100
    curve = arrays["z1 among z2.recall"]
    assert len(curve) == 100 and (np.diff(curve) >= 0).all() and curve[0] > 0.1


def test_pairs_that_share_a_row_of_z1_belong_together():
    """Five captions of each image: the image is not its own neighbour, and finding another of its captions is no miss."""
    images, rows = double(40, 8), torch.arange(40).repeat_interleave(5)
    captions = images[rows] + 0.2 * double(200, 8, seed=1)
    sample = Sample(images[rows], captions, rows % 2, None, None, rows, 200, 0, (), True)
    found = by_name(modalities.measure(sample))
    assert found["z2 among z1.retrieval"].value > 0.9  # 1 / 5 if its copies were rivals
    assert not (rows[neighbourhood(sample, "z1").near.rows[:, :20]] == rows[:, None]).any()
    assert by_name(classes.measure(sample))["z1.knn_accuracy"].value < 0.8  # labels are drawn by lot, for an image


# ---------------------------------------------------------------- intervals


def test_shares_end_at_nothing_and_everything():
    assert share(1.0, [1.0] * 40, 100) == pytest.approx((1, 0.963, 1), abs=1e-4)  # Wilson's limit, not [1, 1]
    assert share(0.99, [0.9 + 0.01 * i for i in range(20)], 100).high == 1
    assert about(0.5, [0.1, math.nan, math.nan]) is None
    assert wilson(0.3, 50)[1:] == pytest.approx(stats.binomtest(15, 50).proportion_ci(method="wilson"), abs=1e-12)


@pytest.mark.thorough
@pytest.mark.parametrize(
    "name", ["z1.hubness", "z1.antihubs", "z1.robin_hood", "z1 among z2.retrieval", "z1, z2.modality_gap", "z1, z2.pair_margin"]
)
def test_intervals_hold_what_another_sample_says_on_average(name):
    """Samples of 200 of the same source; the mean over 100 stands for the truth at this n."""
    section = modalities if name.startswith(("z1, z2", "z1 among z2.r")) else neighbours
    found = [by_name(section.measure(drawn(*two(200, 8, offset=1, seed=10 * s), seed=s)))[name].estimate for s in range(100)]
    truth = np.mean([e.value for e in found])
    held = np.mean([e.low <= truth <= e.high for e in found])
    print(f"{name}: {held}")
    assert held >= 0.85
