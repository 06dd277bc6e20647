"""The time machine: films of runs, a plane that does not spin, one cursor for everything, and anybody's runs."""

import numpy as np
import pytest
import torch
from explored import check_sentences, check_size

from labkit import metrics, results
from labkit.data import augment
from labkit.directions import unit
from labkit.explorers.time_machine import time_machine
from labkit.recipes import planes
from labkit.recipes import time_machine as recipe
from labkit.training import Config, Run, call, fit

SMALL = Config(augment=call("digits"), loss=call("nt_xent", temperature=0.3), model=call("mlp", width=16, out=8), batch=32)


@pytest.fixture
def own_home(monkeypatch, tmp_path):
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))


# ---------------------------------------------------------------- planes


def test_a_turned_picture_is_turned_back():
    points = np.random.default_rng(0).standard_normal((30, 2))
    turned = points @ np.array([[0.0, -1.0], [1.0, 0.0]])
    np.testing.assert_allclose(turned @ planes.turn(turned, points), points, atol=1e-12)


def test_frames_do_not_spin_and_keep_their_distances():
    draw = np.random.default_rng(1)
    still = draw.standard_normal((40, 2))
    angles = draw.uniform(0, 2 * np.pi, 6)
    spun = np.stack([still @ np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) for a in angles])
    flat = planes.plane(spun, np.zeros(40))
    np.testing.assert_allclose(flat, np.broadcast_to(flat[-1], flat.shape), atol=1e-9)
    np.testing.assert_allclose(flat[-1], spun[-1])


def test_the_plane_is_where_the_classes_lie_apart_or_the_points():
    draw = np.random.default_rng(2)
    labels = np.arange(60) % 3
    z = 0.01 * draw.standard_normal((60, 5))
    z[:, 4] += np.repeat(3 * draw.standard_normal(20), 3)  # wide, but alike in each class
    z[:, 0] += labels == 1
    z[:, 1] += labels == 2
    assert abs(planes.widest(z, labels)[4, :2]).max() < 0.1 < 0.9 < abs(planes.widest(z, np.zeros(60))[4, 0])
    narrow = planes.plane(z[None], np.zeros(60), axes=(0, -1))[0]
    assert narrow[:, 0].std() > 50 * narrow[:, 1].std()


# ---------------------------------------------------------------- snapshots and films


def test_a_snapshot_keeps_two_views_always_the_same_two(own_home):
    run = fit(SMALL.replace(steps=2), progress=False)
    x, draw = run.data.x[run.probe[:256]], torch.Generator().manual_seed(0)
    change = augment.build(run.config.augment)
    expected = torch.stack([run.embed(change(x, draw)) for _ in range(2)])
    torch.testing.assert_close(torch.from_numpy(run.snapshots[2]["views"]), expected)
    assert not torch.equal(expected[0], expected[1])


def test_a_film_says_what_the_meters_say(own_home):
    run = fit(SMALL.replace(steps=3), progress=False)
    film = recipe.film(run)
    assert film.steps.tolist() == list(run.snapshots) == [0, 1, 2, 3]
    z, views = (torch.from_numpy(run.snapshots[2][name]) for name in ("z", "views"))
    z = z[: recipe.ROWS]
    assert film.meters["alignment"][2] == pytest.approx(float(metrics.alignment(views[0], views[1])), rel=1e-5)
    assert film.meters["uniformity"][2] == pytest.approx(float(metrics.uniformity(z)), rel=1e-5)
    assert film.meters["mean_norm"][2] == pytest.approx(float(metrics.mean_norm(z)), rel=1e-5)
    assert film.meters["rank"][2] == pytest.approx(float(metrics.effective_rank(unit(z), center=True)), rel=1e-4)
    rows = unit(z).double().numpy()
    np.testing.assert_allclose((film.spectrum[2] ** 2).sum(), rows.var(0).sum(), rtol=1e-5)
    assert film.loss[:, 1].tolist() == run.history["loss"]
    assert (film.chance, film.floor) == (run.chance, run.floor)


def test_a_shorter_run_is_the_beginning_of_a_longer_one(own_home):
    run, shots = recipe.shots(SMALL, (0, 3, 6))
    assert 3 not in run.snapshots and list(shots) == [0, 3, 6]
    np.testing.assert_array_equal(shots[6]["z"], run.snapshots[6]["z"])
    begun = fit(SMALL.replace(steps=3), progress=False)
    assert begun.history["loss"] == run.history["loss"][:3]


def test_stored_films_are_what_their_recipe_makes():
    """The beginning of three of the seven again; the plane is turned to a later frame, so it is compared by its distances."""
    stored, steps = recipe.films(), (0, 1, 4, 12)
    names = ("InfoNCE, temperature 0.2", "alignment only", "toy, noise kills directions")
    made = results.compute("time_machine", names=names, steps=steps)
    at = [recipe.STEPS.index(step) for step in steps]
    for place, name in enumerate(names):
        film = stored[name]
        assert film.steps.tolist() == list(recipe.STEPS)
        for meter in recipe.METERS:
            np.testing.assert_allclose(made[f"meter_{meter}_{place}"], film.meters[meter][at], rtol=0.02, atol=0.01)
        np.testing.assert_allclose(made[f"spectrum_{place}"], film.spectrum[at], rtol=0.05, atol=2e-3)
        np.testing.assert_allclose(made[f"loss_{place}"], film.loss[: steps[-1]], rtol=0.02, atol=0.01)
        lengths = [np.linalg.norm(plane.astype(float), axis=-1) for plane in (made[f"plane_{place}"], film.plane[at])]
        np.testing.assert_allclose(*lengths, atol=0.05)


# ---------------------------------------------------------------- the explorer


@pytest.fixture(scope="module")
def machine():
    return time_machine()


def test_every_state_shows_the_same_names_in_a_small_page(machine):
    assert len({tuple(machine.seen(state)) for state in machine.states()}) == 1
    check_size(machine)


def test_everything_follows_one_cursor(machine):
    names = {panel.cursor for panel in machine.scene.panels}
    assert names == {"", "frame"}
    early, late = (machine.moved(machine.start, frame=frame) for frame in (2, 17))
    assert machine.seen(early)["step"] == 2 and machine.seen(late)["step"] == 384
    film = recipe.films()[machine.start.run]
    for meter in recipe.METERS:
        assert machine.seen(early)[f"a_{meter}_now"] == film.meters[meter][2]
        assert machine.seen(late)[f"a_{meter}_now"] == film.meters[meter][17]
    assert machine.seen(early)["a_loss_at"][384 - 1] == pytest.approx(17, abs=0.02)


def test_something_true_is_said_of_every_change(machine):
    said = check_sentences(machine)
    assert any("nearly coincide" in words for words in said["frame"])
    last = machine.moved(machine.start, run="toy, noise kills directions", other="alignment only", frame=17)
    assert machine.seen(last)["a_word"] == "8 of 16 directions have less than 1 % of the widest one's spread"
    assert machine.seen(last)["b_word"].startswith("all rows nearly coincide")
    first = machine.moved(last, run="InfoNCE, temperature 0.2", frame=0)
    assert "cone" in machine.seen(first)["a_word"]
    assert machine.seen(machine.moved(first, frame=17))["a_word"].startswith("the rows are spread out")
    assert "Back from" in machine.explain(last, machine.moved(last, frame=16))


def test_a_film_of_points_says_of_each_class_where_it_lies(machine):
    shown = machine.seen()
    film = recipe.films()[machine.start.run]
    for group, digits in ((0, range(5)), (1, range(5, 10))):
        assert set(shown[f"a_k{group}"]) == set(digits)
    three = film.plane[-1][film.labels == 3].astype(float)
    np.testing.assert_array_equal(shown["a_x0"][shown["a_k0"] == 3], np.rint(1000 * three[:, 0]))


def test_it_opens_where_it_is_told(machine):
    opened = time_machine("SupCon, with labels", "SimSiam without batch norm", step=50, hide=("other",))
    assert (opened.start.run, opened.start.other) == ("SupCon, with labels", "SimSiam without batch norm")
    assert opened.seen()["step"] == 48
    assert opened.code() == machine.code(opened.start)
    with pytest.raises(ValueError, match=r"run must be a Run or one of InfoNCE.*got 'SimCLR'"):
        time_machine("SimCLR")
    with pytest.raises(ValueError, match="step must be 0 or more"):
        time_machine(step=-1)
    for step in ("a", 2.5, float("nan"), True):
        with pytest.raises(TypeError, match="step must be a whole number"):
            time_machine(step=step)
    for names in (("a",), "ab", None, ("a", "b", "c"), ("a", "a"), ("a", 3)):
        with pytest.raises((ValueError, TypeError), match="names must be"):
            time_machine(names=names)


def test_it_takes_your_own_run(own_home):
    run = fit(SMALL.replace(steps=5), progress=False)
    own = time_machine(run)
    assert [s for s, c in zip(own.controls[2].words, own.controls[2].options, strict=True)] == ["0", "1", "2", "4", "5"]
    assert {c.name for c in own.controls if c.hidden} == {"run", "other"}
    assert not any(name.startswith("b_") for name in own.seen())
    check_sentences(own)
    own.figure().canvas.draw()


def test_free_points_of_the_plane_are_shown_as_they_are(own_home):
    config = Config(data=call("circle", n=64), model=call("points"), loss=call("nt_xent", temperature=0.5), batch=64, steps=4)
    run = fit(config, progress=False)
    own = time_machine(run)
    film = recipe.film(run)
    assert film.axes == "the plane itself" and film.spectrum.shape == (4, 2)
    np.testing.assert_allclose(film.plane[-1], unit(torch.from_numpy(run.snapshots[4]["z"])).numpy(), atol=1e-6)
    assert own.seen()["alignment_said"] == "not kept"  # a point has no views
    own.figure().canvas.draw()


def test_it_compares_two_runs_of_different_lengths(own_home):
    short, long = (fit(SMALL.replace(steps=n, seed=n), progress=False) for n in (3, 6))
    both = time_machine(short, long, names=("short", "long"))
    assert both.controls[2].words == ("0", "1", "2", "3", "4", "6")
    shown = both.seen()
    assert np.isnan(shown["a_uniformity"]).tolist() == [False] * 4 + [True] * 2  # it ended
    assert shown["a_uniformity_now"] == pytest.approx(
        float(metrics.uniformity(torch.from_numpy(short.snapshots[3]["z"])[:256]))
    )
    mixed = time_machine(short, "alignment only")
    assert (mixed.start.run, mixed.start.other) == ("your run", "alignment only")
    assert mixed.seen()["step"] == 384


def test_a_run_without_views_has_no_alignment(own_home, monkeypatch):
    run = fit(SMALL.replace(steps=1), progress=False)
    bare = {step: {"z": shot["z"]} for step, shot in run.snapshots.items()}
    monkeypatch.setitem(run.__dict__, "snapshots", bare)
    assert time_machine(run).seen()["alignment_said"] == "not kept"


def test_what_has_no_snapshots_is_refused(own_home, monkeypatch):
    with pytest.raises(ValueError, match="run has no snapshots: it was made of somebody's numbers"):
        time_machine(Run.from_logs([{"step": 1, "loss": 0.5}]))
    run = fit(SMALL.replace(steps=0), progress=False)
    with pytest.raises(TypeError, match="other must be a labkit Run"):
        time_machine(run, 3)
    monkeypatch.setitem(run.__dict__, "snapshots", {0: {"chosen_token_logps": np.zeros(3)}})
    with pytest.raises(ValueError, match="encoders, not policies"):
        time_machine(run)


def test_a_picture_for_a_slide_keeps_its_names_in_place(machine):
    places = []
    for dpi in (100, 300):
        figure = machine.figure()
        figure.set_dpi(dpi)
        figure.canvas.draw()
        names = [t for axes in figure.axes for t in axes.texts if t.get_text() in ("A", "B")]
        places.append([t.get_window_extent().p0 / figure.bbox.size for t in names])
    assert len(places[0]) == 10
    np.testing.assert_allclose(*places, atol=0.005)
    assert np.ptp(np.array(places[0])[:, 1]) > 0.2  # each beside its own line
