"""What lesson 13 rests on: counted bytes, gradients of several processes, a toy of known information, and its figures."""

import math

import numpy as np
import pytest
import torch

from labkit import results
from labkit.figures import large_batches as figures
from labkit.figures import theme
from labkit.recipes import large_batches as recipe

# ---------------------------------------------------------------- costs


def test_bytes_are_those_of_the_logits():
    whole, _ = recipe.cost(512, whole=True)
    assert 2 * 1024**2 * 4 <= whole <= 6 * 1024**2 * 4  # two to six matrices of float32
    (tiled, seconds), (whole, _) = (recipe.cost(1024, whole=kept) for kept in (False, True))
    assert tiled < whole / 2
    assert seconds > 0


def test_stored_costs_are_what_is_counted_here_or_a_little_more():
    """The losses may get leaner before the numbers are made again, but never fatter."""
    stored = results.load("large_batches_cost")
    assert set(stored["pairs"][stored["whole"]]) == set(recipe.WHOLE)
    assert set(stored["pairs"][~stored["whole"]]) == set(recipe.TILED)
    made = results.compute("large_batches_cost", whole=[256, 512], tiled=[256, 1024])
    for pairs, whole, counted in zip(made["pairs"], made["whole"], made["bytes"], strict=True):
        same = (stored["pairs"] == pairs) & (stored["whole"] == whole)
        assert 0.5 < counted / stored["bytes"][same].item() < 1.05, (pairs, whole)


# ---------------------------------------------------------------- gradients


def test_a_gradient_is_compared_by_direction_and_length():
    x = torch.tensor([3.0, 4.0], requires_grad=True)
    g = recipe.gradient(x.square().sum(), [x])
    assert g.tolist() == [6.0, 8.0]
    assert recipe.against(2 * g, g) == pytest.approx((1, 2))
    assert recipe.against(torch.tensor([-8.0, 6.0]), g) == pytest.approx((0, 1))


def test_processes_know_who_they_are_and_the_first_one_answers():
    script = (
        "import json, os, sys\nprint('hello')\nprint(json.dumps([os.environ['RANK'], os.environ['WORLD_SIZE'], *sys.argv[1:]]))"
    )
    assert recipe.processes(script, 7, workers=2) == ["0", "2", "7"]


def test_a_process_that_fails_says_why():
    script = "import os\nif os.environ['RANK'] == '1': raise ValueError('of no use')\nprint(1)"
    with pytest.raises(RuntimeError, match="of no use"):
        recipe.processes(script, workers=2)


# ---------------------------------------------------------------- a toy of known information


@pytest.mark.parametrize("temperature", [0.005, 0.1, 2.0])
def test_information_is_the_integral(temperature):
    """By quadrature over the cosine, which is uniform on the sphere of R^3 (Archimedes)."""
    fine = -1 + 2 * (np.arange(400_000) + 0.5) / 400_000
    weights = np.exp((fine - 1) / temperature)
    assert recipe.log_mean(temperature) == pytest.approx(math.log(weights.mean()) + 1 / temperature, abs=1e-6)
    density = weights / weights.mean()
    assert recipe.information(temperature) == pytest.approx((density * np.log(density)).mean(), abs=1e-5)


@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_partners_lie_as_their_density_says(temperature):
    draw = torch.Generator().manual_seed(0)
    x = recipe.sphere(20_000, draw)
    y = recipe.partners(x, temperature, draw)
    torch.testing.assert_close(y.norm(dim=1), torch.ones(20_000, dtype=torch.float64))
    cosine = (x * y).sum(1)
    assert cosine.mean().item() == pytest.approx(
        1 / math.tanh(1 / temperature) - temperature, abs=4 * cosine.std().item() / 141
    )
    assert y.mean(0).norm() < 0.03  # seen by themselves, partners are spread evenly


def test_the_loss_is_a_lower_bound_on_the_information():
    from labkit.losses import info_nce

    def once(draw):
        x = recipe.sphere(256, draw)
        return math.log(256) - info_nce(x, recipe.partners(x, 0.1, draw), temperature=0.1)

    assert recipe.repeated(once, 40, 0) == pytest.approx(recipe.information(0.1), abs=0.05)


# ---------------------------------------------------------------- trained models


def test_every_run_sees_equally_many_images():
    assert {recipe.training(b).steps * b for b in recipe.BATCHES} == {recipe.SEEN}


def test_stored_models_are_what_their_recipe_makes():
    """One of them again, and the untrained; other processors round otherwise, and 64 steps let that grow a little."""
    stored = results.load("large_batches")
    own = (stored["seed"] == 1) & (stored["batch"] == 1024) & (stored["loss"] == "nt_xent")
    rate = stored["rate"][own].item()
    made = results.compute("large_batches", batches=[1024], rates=[rate], losses=["nt_xent"], seeds=[1])
    assert made["batch"].tolist() == [1024, 0, 1024]
    for i, same in ((1, (stored["seed"] == 1) & (stored["batch"] == 0)), (2, own)):
        for measure in recipe.METERS:
            assert made[measure][i] == pytest.approx(stored[measure][same].item(), abs=0.03), measure


def test_the_learning_rate_was_chosen_on_a_seed_of_its_own():
    stored = results.load("large_batches")
    for loss in recipe.LOSSES:
        for batch in recipe.BATCHES:
            cell = (stored["loss"] == loss) & (stored["batch"] == batch)
            first = cell & (stored["seed"] == 0)
            assert sorted(stored["rate"][first]) == sorted(recipe.RATES)
            chosen = stored["rate"][first][stored["recall"][first].argmax()]
            assert set(stored["rate"][cell & (stored["seed"] > 0)]) == {chosen}


# ---------------------------------------------------------------- figures


def drawn(figure):
    from matplotlib.colors import to_rgba

    figure.canvas.draw()
    assert figure.get_facecolor() == to_rgba(theme.PAPER)
    return figure


def words(figure):
    return {t.get_text() for ax in figure.axes for t in ax.texts} | {ax.get_title("left") for ax in figure.axes}


def test_costs_show_both_ways_and_two_slopes():
    pairs = np.array([256, 512, 1024, 2048])
    ways = {"whole": (pairs, 64.0 * pairs**2, 1e-6 * pairs**2), "in tiles": (pairs, 4096.0 * pairs, 1e-6 * pairs**2)}
    figure = drawn(figures.costs(ways, {name: (pairs[:2], held[:2]) for name, (_, held, _) in ways.items()}))
    assert {"memory", "time", "slope 1", "slope 2"} <= words(figure)
    assert all("MiB" in ax.get_ylabel() or "seconds" in ax.get_ylabel() for ax in figure.axes)


def test_the_circle_marks_the_points_that_go_the_wrong_way():
    angles = np.linspace(0, 5, 6)
    points, along = np.stack([np.cos(angles), np.sin(angles)], 1), np.stack([-np.sin(angles), np.cos(angles)], 1)
    wrong = along * np.array([1, 1, -1, 1, -0.5, 1])[:, None]
    figure = drawn(figures.circle(points, np.arange(6) // 2, {"truth": (along, "right"), "other": (wrong, "off")}))
    assert [t.get_text() for t in figure.axes[1].texts].count("✗") == 2
    assert [t.get_text() for t in figure.axes[1].get_yticklabels()] == ["truth", "other"]


def test_gradients_lie_at_their_angle():
    values = {"right": np.array([[1.0, 1.0]]), "across": np.array([[0.0, 0.5]])}
    figure = drawn(figures.seen_from_the_truth({"here": values}))
    tips = {line.get_label(): line.get_xydata()[0].tolist() for line in figure.axes[0].lines if line.get_label() in values}
    assert tips == {"right": pytest.approx([1, 0]), "across": pytest.approx([0, 0.5])}


def test_curves_name_their_sizes():
    sizes, flat = np.array([16, 64, 256]), np.ones((2, 3))
    figure = drawn(figures.accumulated(sizes, {"one piece": flat, "added up": flat, "cached": flat}, 256))
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["16", "64", "256"]
    curves = {0.1: flat[0], 0.02: 2 * flat[0]}
    figure = drawn(figures.bound(sizes, curves, {0.1: 1.0, 0.02: 2.0}, curves))
    assert {"τ = 0.1", "what it misses"} <= words(figure)
    panel = {"recall": {"nt_xent": flat * [0.3, 0.4, 0.35], "dcl": flat * [0.3, 0.41, 0.35]}}
    figure = drawn(figures.bought(sizes, panel, {"recall": 0.3}))
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["nt_xent", "dcl", "untrained"]
