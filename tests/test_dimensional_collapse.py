"""What lesson 03 rests on: spaces with dead dimensions, the recipes behind its results, and its figures."""

import numpy as np
import pytest
import torch

from labkit import metrics, results
from labkit.figures import spectrum, theme
from labkit.recipes import dimensional_collapse as recipe
from labkit.training import fit


def test_a_wider_space_keeps_every_distance_and_no_coordinate_looks_dead():
    z = torch.randn(20, 2, 3, dtype=torch.float64)
    wide = recipe.isometric(z, 50)
    assert wide.shape == (20, 2, 50)
    torch.testing.assert_close(torch.cdist(wide[:, 0], wide[:, 1]), torch.cdist(z[:, 0], z[:, 1]), rtol=0, atol=1e-12)
    assert wide.abs().amax((0, 1)).min() > 1e-3
    assert metrics.effective_rank(wide[:, 0]) == pytest.approx(metrics.effective_rank(z[:, 0]).item(), abs=1e-9)


def test_only_losses_that_look_at_dimensions_see_dead_ones():
    views, labels = torch.randn(30, 2, 4, dtype=torch.float64), torch.arange(30) % 3
    changes = recipe.blindness(views, labels, 64)
    seen = {name for name, change in changes.items() if change > 1e-12}
    assert seen == {"barlow_twins", "vicreg"}
    assert {"info_nce", "nt_xent", "sup_con", "simsiam", "mv_dhel", "uniformity"} <= set(changes)


def test_the_living_dimensions_are_as_many_as_asked_for():
    assert metrics.effective_rank(recipe.alive(3, 10, n=5000)).item() == pytest.approx(3, abs=0.01)


def test_the_map_says_point_cone_and_sphere():
    point = torch.ones(100, 5) + 1e-3 * torch.randn(100, 5)
    sphere = torch.randn(4000, 5)
    spread, rank = recipe.lies(point)
    assert spread < 1e-5
    assert rank > 0.75  # four of the five directions: what is left of a point lies across it
    spread, rank = recipe.lies(sphere)
    assert spread > 0.99
    assert rank > 0.99


def test_the_matrix_and_its_embeddings_tell_the_same():
    run = fit(recipe.linear(2.0, steps=40), progress=False)
    assert recipe.gains(run).shape == (16,)
    path = recipe.unfolding(run)
    assert path.shape == (len(run.snapshots), 16)
    np.testing.assert_allclose(path[-1], recipe.gains(run), atol=1e-5)
    assert path[-1][8] < path[0][8]  # on its way to nothing


def test_stored_spectra_are_what_their_recipe_makes():
    """Three of the 50 runs again, all on digits; other processors round otherwise, and 300 steps let that grow a little."""
    stored = results.load("collapse_spectra")
    assert len(stored["seed"]) == 5 * 2 * (3 + 2)
    for loss, projectors in (("untrained", (True, False)), ("InfoNCE", (False,))):
        made = results.compute("collapse_spectra", names=["digits"], losses=[loss], projectors=projectors, seeds=[1])
        for i, on in enumerate(projectors):
            same = (stored["data"] == "digits") & (stored["loss"] == loss) & (stored["projector"] == on) & (stored["seed"] == 1)
            assert same.sum() == 1
            for meter in recipe.METERS:
                assert made[meter][i] == pytest.approx(stored[meter][same][0], rel=0.03, abs=0.02), (loss, on, meter)
            np.testing.assert_allclose(made["spectrum"][i][:20], stored["spectrum"][same][0][:20], rtol=0.05)


def test_what_is_kept_of_nested_classes_is_measured_on_unseen_views():
    found = recipe.kept(fit(recipe.nested("untrained"), progress=False))
    assert found["class"] > 0.9
    assert 1 / 8 < found["subclass of z"] < found["subclass of h"] < 1
    assert found["z"].shape == (2048, 8)
    assert found["subclasses"].bincount().tolist() == [256] * 8


# ---------------------------------------------------------------- figures


def drawn(figure):
    from matplotlib.colors import to_rgba

    figure.canvas.draw()
    assert figure.get_facecolor() == to_rgba(theme.PAPER)
    return figure


def words(figure):
    return {t.get_text() for ax in figure.axes for t in ax.texts} | {
        ax.get_title(loc) for ax in figure.axes for loc in ("left", "center")
    }


def test_blindness_colours_what_can_see():
    figure = drawn(spectrum.blindness({"cosine": 1e-16, "exactly": 0.0, "moments": 3.5}))
    assert "3.5" in words(figure)
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["exactly", "cosine", "moments"]


def test_dying_and_growth_print_their_numbers():
    assert {"-3.98", "247"} <= words(
        drawn(spectrum.dying(np.array([512, 256]), np.array([-3.98, -3.97]), np.array([473, 247.0]), 512))
    )
    assert {"58", "128", "the truth "} <= words(drawn(spectrum.growth(np.array([64, 8192]), np.array([58.2, 128.0]), 128)))


def test_thresholds_draw_a_line_for_every_noise():
    figure = drawn(spectrum.thresholds({s: np.linspace(1, 0, 16)[None].repeat(2, 0) for s in (0.1, 1.0, 2.0)}, 8))
    assert len(figure.axes[0].lines) == 3 + 1
    assert {"number 8", "number 9"} <= words(figure)


def test_the_film_has_a_frame_for_every_step_and_opens_at_the_last():
    paths = {"a": np.random.rand(3, 16), "b": np.random.rand(3, 16)}
    figure = spectrum.film(paths, [0, 1, 600])
    assert [f.name for f in figure.frames] == ["0", "1", "600"]
    np.testing.assert_array_equal(figure.data[1].y, paths["b"][-1])
    np.testing.assert_array_equal(figure.frames[0].data[1].y, paths["b"][0])
    assert figure.layout.sliders[0].active == 2


def test_decisions_name_every_model():
    assert {"here", "there"} <= words(drawn(spectrum.decisions({"here": (0.001, 0.8), "there": (0.9, 0.2)})))


def test_spectra_and_arrows_have_a_panel_for_each_title():
    curves = {"InfoNCE": np.linspace(2, 0.1, 9)[None], "untrained": np.linspace(1, 0, 9)[None]}
    assert {"one", "two"} <= words(drawn(spectrum.spectra({"one": curves, "two": curves})))
    rows = {"InfoNCE": np.random.rand(2, 3, 2), "untrained": np.random.rand(2, 3, 2)}
    figure = drawn(spectrum.arrows({"one": rows}))
    assert "one" in words(figure)
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["InfoNCE", "untrained"]


def test_subclasses_draw_every_point():
    z, labels = np.random.rand(80, 5), np.arange(80) % 8
    figure = drawn(spectrum.subclasses({"SupCon": (z, labels, "class 1.00")}))
    assert len(figure.axes[0].collections[0].get_offsets()) == 80
