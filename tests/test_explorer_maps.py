"""UMAP honesty: what maps keep, layouts that are the same tomorrow, and a first picture at once."""

import importlib.util

import numpy as np
import pytest
import torch
from explored import check_sentences, check_size
from sklearn.manifold import trustworthiness

from labkit import reader, results
from labkit.explorers.maps import maps
from labkit.recipes import maps as recipe


@pytest.fixture
def own_home(monkeypatch, tmp_path):
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def counted(monkeypatch):
    """Every map is PCA's, and how many were made is counted: nothing here waits for UMAP."""
    made, real = [], recipe.layout
    monkeypatch.setattr(recipe, "layout", lambda z, method, *setting: made.append(method) or real(z, "PCA", *setting))
    return made


def rows(n=80, d=5, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


# ---------------------------------------------------------------- what a map keeps


def test_a_plane_keeps_everything():
    z, labels = rows(d=2), np.arange(80) % 4
    z[:, 0] += 5 * labels
    found = recipe.measured(z, z @ np.array([[0.0, 2.0], [-2.0, 0.0]]), labels)
    assert [found[name] for name in ("trustworthiness", "continuity", "distances", "sizes")] == pytest.approx([1, 1, 1, 1])
    assert found["vote"] == recipe.vote(z, labels) > 0.8


def test_continuity_is_trustworthiness_the_other_way_round():
    z, flat = rows(), rows(d=2, seed=1)
    found = recipe.measured(z, flat, np.zeros(80))
    assert found["trustworthiness"] == trustworthiness(z, flat, n_neighbors=10)
    assert found["continuity"] == pytest.approx(continuity(z, flat, 10), abs=1e-12)
    assert np.isnan([found[name] for name in ("vote", "distances", "sizes")]).all()


def continuity(z, flat, k):
    """By its definition: neighbours in space that the map tears away, weighed by how far away they end (Venna & Kaski 2001)."""
    n, lost = len(z), 0
    far = [np.linalg.norm(points[:, None] - points, axis=-1) for points in (z, flat)]
    for i in range(n):
        near = np.argsort(far[0][i])[1 : k + 1]
        rank = np.argsort(np.argsort(far[1][i]))
        lost += sum(max(rank[j] - k, 0) for j in near)
    return 1 - 2 * lost / (n * k * (2 * n - 3 * k - 1))


def test_the_vote_leaves_the_voter_out():
    labels = np.array([0, 1] * 30)
    places = np.repeat(rows(30, 2), 2, axis=0)  # each row twice, once in each class, so that its twin is of the other class
    assert recipe.vote(np.arange(60.0)[:, None] // 30, np.arange(60) // 30) == 1.0
    assert 0 <= recipe.vote(places, labels) < 0.8


def test_smoothness_is_one_for_a_cloud_and_less_for_clumps():
    cloud = rows(400, 2)
    assert recipe.smoothness(cloud) == pytest.approx(1, abs=0.08)
    assert recipe.smoothness(np.round(cloud) + 0.05 * rows(400, 2, seed=1)) < 0.5


def test_blobs_are_as_wide_as_it_is_said():
    z, labels = recipe.points("blobs")
    radii = recipe.radii(z, labels)
    assert 6 < radii[4] / radii[0] < 7 and radii[2] > 2 * radii[0]
    gaps = recipe.between(z, labels)
    assert gaps[0] == gaps.min() < 0.5 * np.sort(gaps)[1]


# ---------------------------------------------------------------- stored layouts


def test_stored_maps_of_pca_and_tsne_are_what_their_recipe_makes(monkeypatch):
    """Of noise, which needs no network. t-SNE is chaotic: on another processor its map may be another, not what it keeps."""
    kept = results.load("maps")
    assert set(kept["names"]) == set(recipe.POINTS) and list(kept["methods"]) == list(recipe.METHODS)
    monkeypatch.setattr(recipe, "settings", lambda method: [(3, 0)] if method == "PCA" else [(15, 0)])
    z, labels = recipe.points("noise")
    pca = recipe.layout(z, "PCA", 3, 0)
    np.testing.assert_allclose(np.abs(pca), np.abs(kept["noise_layouts"][0, 0, 0].astype(float)), atol=2e-3)
    found = recipe.measured(z, recipe.layout(z, "t-SNE", 15, 0), labels)
    for meter in ("trustworthiness", "continuity", "smoothness"):
        assert found[meter] == pytest.approx(kept[f"noise_{meter}"][1, 1, 0], abs=0.04), meter


def test_stored_meters_are_those_of_the_stored_maps():
    kept = results.load("maps")
    z, labels = recipe.points("blobs")
    for method, k, s in ((0, 0, 0), (1, 2, 1), (2, 0, 2), (2, 1, 0)):
        found = recipe.measured(z, kept["blobs_layouts"][method, k, s].astype(float), labels)
        for meter in recipe.METERS:
            assert found[meter] == pytest.approx(kept[f"blobs_{meter}"][method, k, s], abs=0.02), (method, k, s, meter)


@pytest.mark.thorough
def test_umap_makes_the_stored_map_again():
    kept = results.load("maps")
    z, labels = recipe.points("noise")
    found = recipe.measured(z, recipe.layout(z, "UMAP", 15, 0), labels)
    for meter in ("trustworthiness", "continuity", "smoothness"):
        assert found[meter] == pytest.approx(kept[f"noise_{meter}"][2, 1, 0], abs=0.04), meter


def test_without_umap_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="pip install umap-learn"):
        recipe.layout(rows(), "UMAP", 3, 0)


# ---------------------------------------------------------------- the explorer


@pytest.fixture(scope="module")
def shipped():
    return maps()


def test_every_state_shows_the_same_names_in_a_small_page(shipped):
    assert len({tuple(shipped.seen(state)) for state in shipped.states()}) == 1
    check_size(shipped)


def test_something_is_said_of_every_change(shipped):
    said = check_sentences(shipped)
    assert all("What moves with the seed is not in the data" in words for words in said["seed"])


def test_the_large_map_is_the_framed_small_one(shipped):
    state = shipped.moved(shipped.start, method="UMAP", neighbours=50, seed=2)
    shown = shipped.seen(state)
    n, cell = len(shown["u_x0"]), 3 * 2 + 2  # neighbours first, then seeds
    np.testing.assert_allclose(shown["g_x0"][n * cell : n * (cell + 1)] - 2 * 2300, shown["u_x0"], atol=1)
    np.testing.assert_allclose(shown["g_y0"][n * cell : n * (cell + 1)] + 2 * 2300, shown["u_y0"], atol=1)
    assert (shown["left"] + shown["right"]) / 2 == 2 * 2300 and (shown["bottom"] + shown["top"]) / 2 == -2 * 2300


def test_bars_are_the_stored_numbers_and_missing_ones_are_named(shipped):
    kept = results.load("maps")
    shown = shipped.seen(shipped.moved(shipped.start, data="noise", neighbours=3, seed=1))
    assert shown["u_smoothness"] == pytest.approx(float(kept["noise_smoothness"][2, 0, 1]))
    assert shown["missing"] == ["", "", "no classes", "no classes", "no classes", ""]
    assert shown["u_bars"].tolist()[2:5] == [0, 0, 0]


# ---------------------------------------------------------------- the reader's own


def test_your_own_are_laid_out_once(own_home, counted):
    z, labels = rows(90), np.arange(90) % 3
    own = maps(torch.tensor(z), torch.tensor(labels))
    assert sorted(set(counted)) == ["PCA", "UMAP", "t-SNE"] and len(counted) == 1 + 9 + 9
    check_sentences(own)
    counted.clear()
    again = maps(z, labels.tolist())
    assert counted == []
    np.testing.assert_array_equal(again.seen()["u_x0"], own.seen()["u_x0"])
    assert len(list((own_home / "maps").glob("*.npy"))) == 19 and not list((own_home / "maps").glob(".*"))
    maps(z + 0.1, labels)
    assert len(counted) == 19


def test_at_most_so_many_rows_and_always_the_same(own_home, counted):
    z = rows(200)
    own = maps(z, rows=70)
    assert len(own.seen()["u_x0"]) == 70
    assert own.seen()["missing"][2] == "no classes"
    assert {c.name for c in own.controls if c.hidden} == {"data"}


@pytest.mark.parametrize(
    ("z", "labels", "said"),
    [
        (rows(20), None, "n >= 60"),
        (rows(80, 1), None, "d >= 2"),
        (np.zeros((80, 3)), None, "row of zeros"),
        (np.full((80, 3), np.nan), None, "NaN"),
        (rows(), np.zeros(3), "one for each of the 80 rows"),
        ("foo", None, "z must be a tensor or an array of numbers, got str"),
        ([[1.0, 2.0], [3.0]], None, "z must be a tensor or an array, got list of uneven rows"),
        (None, np.zeros(80), "labels are those of z"),
    ],
)
def test_what_cannot_be_mapped_is_refused(z, labels, said):
    with pytest.raises((ValueError, TypeError), match=said):
        maps(z, labels)


@pytest.mark.parametrize(
    ("many", "said"), [(0, "60 or more, got 0"), (-3, "60 or more"), (70.5, "whole number"), ("a", "whole")]
)
def test_how_many_rows_is_a_whole_number(many, said):
    with pytest.raises((ValueError, TypeError), match=f"rows must be .*{said}"):
        maps(rows(), rows=many)


def test_tensors_of_any_kind_are_taken(own_home, counted):
    z = torch.tensor(rows(), dtype=torch.bfloat16, requires_grad=True)
    assert len(maps(z, torch.arange(80) % 3).seen()["u_x0"]) == 80


def test_what_the_alternative_text_says_of_seeds_holds(shipped):
    assert "the same for every seed" in shipped.alt
    kept = results.load("maps")
    for name in recipe.POINTS:
        seeds = kept[f"{name}_layouts"].astype(float)  # methods, neighbours, seeds
        gaps = [np.abs(seeds[:, :, 0] - seeds[:, :, k]).max((-1, -2)) for k in (1, 2)]
        assert all((gap[0] == 0).all() and (gap[1:] > 0.5).all() for gap in gaps)


def test_in_a_notebook_pca_is_there_before_umap_begins(own_home, monkeypatch):
    events, real = [], recipe.layout

    class Handle:
        def update(self, item):
            events.append(("update", str(item)))

    def display(bundle, *, metadata, raw, display_id):
        assert raw and display_id and "image/png" in bundle and metadata["image/png"]["alt"]
        events.append(("display", bundle["text/plain"]))
        return Handle()

    monkeypatch.setattr(reader, "live", lambda: True)
    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.setattr(recipe, "layout", lambda z, m, *s: events.append(("layout", m)) or real(z, "PCA", *s))
    maps(rows(), np.arange(80) % 3)
    kinds = [kind for kind, _ in events]
    assert events[0] == ("layout", "PCA")  # for the first picture
    assert kinds[1] == "display" and "PCA" in events[1][1]
    assert {m for kind, m in events[2:-1]} == {"t-SNE", "UMAP"}
    assert events[-1] == ("update", "")
