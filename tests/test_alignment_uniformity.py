"""What lesson 01 rests on: free points, the recipes behind its stored results, and its figures."""

import numpy as np
import pytest
import torch

from labkit import metrics, results
from labkit.figures import geometry, theme
from labkit.recipes import alignment_uniformity as recipe
from labkit.training import call, descend


def test_descent_keeps_every_step_on_the_sphere():
    start = torch.randn(2, 5, 3)
    path = descend(start, lambda z: metrics.alignment(z[0], z[1]), steps=7)
    assert path.shape == (8, 2, 5, 3)
    torch.testing.assert_close(path.norm(dim=-1), torch.ones(8, 2, 5))
    torch.testing.assert_close(path[0], torch.nn.functional.normalize(start, dim=-1))
    gaps = [metrics.alignment(*z).item() for z in path]
    assert gaps[-1] < gaps[0]
    assert not start.requires_grad


def test_free_points_reach_the_bound_of_the_simplex():
    ends = descend(torch.randn(4, 3), metrics.uniformity, steps=300)[-1]
    assert metrics.uniformity(ends).item() == pytest.approx(metrics.uniform_bound(4, 3), abs=1e-4)


def test_a_lookup_table_is_perfect_and_knows_nothing():
    found = recipe.lookup_table("digits", seed=3)
    assert found["alignment"] == 0
    assert found["uniformity"] == pytest.approx(metrics.uniform_limit(32), abs=0.01)
    assert found["kNN"] < 0.16
    assert found["probe"] < 0.16
    assert found == recipe.lookup_table("digits", seed=3) != recipe.lookup_table("digits", seed=4)


def test_stored_plane_is_what_its_recipe_makes():
    """One of its 88 runs again, the shortest; other processors round otherwise, and 100 steps let that grow a little."""
    stored = results.load("alignment_uniformity_plane")
    assert len(stored["seed"]) == 88
    loss = call("nt_xent", temperature=0.5)
    made = results.compute("alignment_uniformity_plane", losses=[loss], settings=[(1.0, 100)], seeds=[0])
    row = (stored["loss"] == "nt_xent") & (stored["option"] == 0.5) & (stored["steps"] == 100) & (stored["seed"] == 0)
    assert row.sum() == 1
    for meter in recipe.METERS:
        assert made[meter][0] == pytest.approx(stored[meter][row][0], abs=0.02), meter


def test_stored_real_images_are_what_their_recipe_makes():
    stored = results.load("alignment_uniformity_real")
    assert len(stored["seed"]) == 2 * 5 * 3
    made = results.compute(
        "alignment_uniformity_real", names=["digits"], kinds=["lookup table", "untrained network"], seeds=[1]
    )
    for i, kind in enumerate(made["kind"]):
        row = (stored["data"] == "digits") & (stored["kind"] == kind) & (stored["seed"] == 1)
        for meter in recipe.METERS:
            assert made[meter][i] == pytest.approx(stored[meter][row][0], abs=0.01), (kind, meter)


# ---------------------------------------------------------------- figures


def draw(figure):
    figure.canvas.draw()
    assert figure.get_facecolor() == theme_color()
    return figure


def theme_color():
    from matplotlib.colors import to_rgba

    return to_rgba(theme.PAPER)


def test_circles_draw_a_chord_for_every_picture():
    points = np.random.default_rng(0).normal(size=(2, 6, 2))
    points /= np.linalg.norm(points, axis=-1, keepdims=True)
    figure = draw(geometry.circles({"row": {"a": points, "b": points}}, {"row": {"a": "x", "b": "y"}}, {"row": np.arange(6)}))
    assert [len(ax.lines) for ax in figure.axes] == [7, 7]  # the circle and six chords


def test_dots_on_each_other_fan_out_and_lone_dots_do_not():
    same = np.tile([[1.0, 0.0]], (4, 1))
    out = geometry.heap(same)
    assert out[0] == 1
    assert (np.diff(out) > 0).all()
    around = np.linspace(0, 2 * np.pi, 10, endpoint=False)
    assert geometry.heap(np.stack([np.cos(around), np.sin(around)], 1)).tolist() == [1] * 10


def test_the_moving_circles_have_a_frame_for_every_stop_and_open_at_the_last():
    path = descend(torch.randn(2, 5, 2), lambda z: metrics.alignment(z[0], z[1]), steps=8).numpy()
    figure = geometry.descents({"one": path, "two": path}, [0, 4, 8])
    assert [frame.name for frame in figure.frames] == ["0", "4", "8"]
    assert figure.layout.sliders[0].active == 2
    np.testing.assert_allclose(figure.data[1].x, path[8, ..., 0].reshape(-1))
    np.testing.assert_allclose(figure.frames[1].data[3].y, path[4, ..., 1].reshape(-1))
    assert np.isnan(figure.data[0].x[2::3]).all()  # a gap after every chord


def test_scoreboard_plane_rankings_and_bound():
    score = {"one": {"alignment": 0.1, "kNN": 0.9}, "two": {"alignment": 0.2, "kNN": 0.4}}
    draw(geometry.scoreboard(score, {"alignment": (0, "best"), "kNN": (0.1, "chance")}, title="digits"))
    a, u, q = np.random.default_rng(0).uniform(size=(3, 12))
    groups = ["nt_xent"] * 6 + ["align_uniform"] * 6
    plain = draw(geometry.plane(a, -u, q, name="kNN", groups=groups))
    ringed = draw(geometry.plane(a, -u, q, name="kNN", groups=groups, live={"alignment": a[:2], "uniformity": -u[:2]}))
    assert len(ringed.axes[0].collections) == len(plain.axes[0].collections) + 1
    draw(geometry.rankings({"left": (a, q, [1] * 12), "right": (a, q, groups)}, "score"))
    n = np.arange(3, 100)
    curve = np.array([metrics.uniform_bound(int(k), 4) for k in n])
    dots = (np.array([5, 20, 80]), np.array([-3.0, -2.8, -2.7]), np.array([-2.5, -2.6, -2.65]))
    draw(geometry.finite({"d = 4": (n, curve, metrics.uniform_limit(4))}, {"d = 4": dots}))
