"""The temperature explorer without a browser: what it shows is exact, what it says is true, both views draw the same."""

import copy
import dataclasses
import itertools
import json

import numpy as np
import pytest
import torch

from labkit import reader, results
from labkit.explorers import recompute, temperature
from labkit.explorers.changes import leaves
from labkit.explorers.core import jsonable
from labkit.explorers.grids import Grid, available, stored, turn
from labkit.explorers.recompute import button as recompute_button
from labkit.explorers.temperature import WEIGHTS, Models, Temperature
from labkit.explorers.view import Live
from labkit.recipes.temperature import METERS, TEMPERATURES, recipe

DATA = available()
on_each = pytest.mark.parametrize("data", DATA)
EMBEDDINGS = ("plane", "labels", "negatives_same", "negatives_other", "positives")


@pytest.fixture(scope="module")
def explorer():
    return temperature()


@pytest.fixture(scope="module")
def mine():
    z = torch.randn(3, 40, 5, generator=torch.Generator().manual_seed(0))
    return temperature(z[0], z[0] + 0.1 * z[1], torch.arange(40) % 4, temperature=0.1)


def states(explorer, data):
    for mode in ("re-train", "re-weigh"):
        start = explorer.settle(Temperature(data, mode, 0.5, 0.5), "")
        yield from explorer.frames("temperature", start)


# ---------------------------------------------------------------- what is shown


def test_the_shipped_grids_are_there():
    assert DATA == ["circle", "digits", "fashion"]


@on_each
def test_show_is_pure_and_jsonable(explorer, data):
    state = explorer.settle(Temperature(data, "re-weigh", 0.1, 0.5), "")
    first = explorer.show(state)
    text = json.dumps(jsonable(first))
    for name, value in first.items():
        if isinstance(value, np.ndarray):
            value[...] = 0  # whoever draws may do as they like with what they were given
        assert name in text
    assert json.dumps(jsonable(explorer.show(state))) == text


@on_each
def test_shares_add_up_to_one(explorer, data):
    for state in states(explorer, data):
        shown = explorer.seen(state)
        assert shown["push"].sum() == pytest.approx(1, abs=1e-4) and shown["push"][shown["anchor"]] == 0
        for kind in ("negatives", "push_by"):
            assert shown[f"{kind}_same"].sum() + shown[f"{kind}_other"].sum() == pytest.approx(1, abs=1e-4)
        assert shown["push_by_same"].sum() == pytest.approx(shown["push_same_now"], abs=1e-4)


@on_each
def test_reweighing_moves_no_point_and_gathers_the_push(explorer, data):
    start = explorer.settle(Temperature(data, "re-weigh", 0.5, 0.5), "")
    shown = [explorer.seen(state) for state in explorer.frames("temperature", start)]
    assert [s["temperature"] for s in shown] == list(WEIGHTS)
    for name in (*EMBEDDINGS, "uniformity_now", "alignment_now", "same_class_now", "mean_norm_now"):
        assert all(np.array_equal(s[name], shown[0][name]) for s in shown), name
    near = [s["push_near_now"] for s in shown]
    assert all(low >= high for low, high in itertools.pairwise(near)), "the theorem: it never falls as temperature does"
    assert near[0] > 2 * near[-1]


@on_each
def test_retraining_shows_another_model(explorer, data):
    start = explorer.settle(Temperature(data, "re-train", 0.5, 0.5), "")
    shown = [explorer.seen(state) for state in explorer.frames("temperature", start)]
    assert [s["trained"] for s in shown] == [s["temperature"] for s in shown] == list(TEMPERATURES[data])
    assert len({s["plane"].tobytes() for s in shown}) == len(shown)
    assert all(np.array_equal(s["uniformity"], shown[0]["uniformity"]) for s in shown), "the curve is that of all models"


@on_each
def test_the_loss_stays_above_its_floor(explorer, data):
    for state in states(explorer, data):
        shown = explorer.seen(state)
        assert (shown["loss"] > shown["floor"]).all() and (shown["chance"] == shown["chance"][0]).all()
        assert shown["chance"][0] == pytest.approx(np.log(2 * 256 - 1))


@on_each
def test_the_picture_is_true_to_the_embeddings(data):
    grid = stored(data)
    radius = np.linalg.norm(grid.plane, axis=-1)
    assert radius.max() < 1.001
    if data == "circle":
        assert radius.min() > 0.999
    distances = [np.linalg.norm(z[:, None] - z[None], axis=-1) for z in (grid.z1[0, :50].astype(float), grid.plane[0, :50])]
    assert (distances[1] <= distances[0] + 1e-9).all(), "a projection brings nothing further apart"


def test_a_turn_is_a_rotation_or_reflection():
    rng = np.random.default_rng(0)
    points = rng.standard_normal((30, 2))
    given = np.linalg.qr(rng.standard_normal((2, 2)))[0]
    assert np.allclose(turn(points, points @ given), given)


# ---------------------------------------------------------------- how it moves


def test_in_retrain_mode_the_model_follows_the_slider(explorer):
    state = explorer.moved(Temperature("circle", "re-train", 0.5, 0.5), "temperature", 0.1)
    assert state == Temperature("circle", "re-train", 0.1, 0.1)


def test_in_reweigh_mode_the_model_stays(explorer):
    state = explorer.moved(Temperature("circle", "re-train", 0.1, 0.1), "mode", "re-weigh")
    state = explorer.moved(state, "temperature", 1.0)
    assert state == Temperature("circle", "re-weigh", 1.0, 0.1)
    assert explorer.moved(state, "mode", "re-train") == Temperature("circle", "re-train", 1.0, 1.0)


def test_other_data_takes_the_nearest_temperature_it_has(explorer):
    state = explorer.moved(Temperature("circle", "re-train", 1.4, 1.4), "data", "digits")
    assert state == Temperature("digits", "re-train", 1.0, 1.0)


@on_each
def test_every_state_is_one_of_its_controls_options(explorer, data):
    for state in states(explorer, data):
        for control in explorer.controls:
            assert getattr(state, control.name) in control.options(state)


def test_a_state_code_restores_the_state(explorer):
    for data in DATA:
        for state in states(explorer, data):
            assert explorer.restore(explorer.code(state)) == state
    code = explorer.code(Temperature("digits", "re-weigh", 0.1, 2.0))
    assert code == "temperature?data=digits&mode=re-weigh&temperature=0.1&trained=2.0"
    assert explorer.opened(code).start == Temperature("digits", "re-weigh", 0.1, 2.0)


@pytest.mark.parametrize("code", ["", "temperature?", "collapse?data=circle", "temperature?data=circle&mode=re-weigh"])
def test_a_code_that_is_not_one_is_refused(explorer, code):
    with pytest.raises(ValueError, match="code must look like 'temperature"):
        explorer.restore(code)


# ---------------------------------------------------------------- what is said


def test_each_change_is_told_with_its_numbers(explorer):
    base = Temperature("digits", "re-weigh", 0.5, 0.5)
    low = dataclasses.replace(base, temperature=0.1)
    now, then = explorer.seen(low), explorer.seen(base)
    said = explorer.explain(base, low)
    assert "no point moved" in said and "gathers on the nearest" in said
    assert f"{then['push_same_now']:.0%} → {now['push_same_now']:.0%}" in said
    assert "spreads over all" in explorer.explain(low, base)
    said = explorer.explain(Temperature("digits", "re-train", 0.5, 0.5), Temperature("digits", "re-train", 0.1, 0.1))
    assert "Another model, trained at 0.1 instead of 0.5" in said and "spread out" in said
    said = explorer.explain(Temperature("digits", "re-train", 0.2, 0.2), Temperature("digits", "re-train", 0.03, 0.03))
    assert "draw together" in said and "lean to one side" in said, "the reversal at low temperatures is told, not hidden"
    assert "stays" in explorer.explain(Temperature("digits", "re-train", 0.5, 0.5), base)
    assert "model of its own" in explorer.explain(base, Temperature("digits", "re-train", 0.5, 0.5))


@on_each
def test_what_is_seen_is_told_against_an_even_share(explorer, data):
    state = explorer.settle(Temperature(data), "")
    counts = np.bincount(stored(data).labels)
    even = (counts * (counts - 1)).sum() / (256 * 255)
    assert f"{even:.0%} of the other points" in explorer.explain(state, state)


# ---------------------------------------------------------------- both views


@on_each
def test_every_state_draws_the_same_traces_with_the_same_keys(explorer, data):
    drawn = [explorer.drawn(state) for state in states(explorer, data)]
    assert len({tuple(leaves(d["data"])) for d in drawn}) == 1
    assert all(len(d["layout"]["annotations"]) == len(drawn[0]["layout"]["annotations"]) for d in drawn)


@pytest.mark.parametrize("mode", ["re-train", "re-weigh"])
def test_the_frames_of_the_static_figure_are_the_states(mode):
    explorer = temperature(data="digits", mode=mode)
    figure = explorer.static()
    frames = {frame.name: frame for frame in figure.frames}
    base, fresh = explorer.drawn(explorer.start), None
    for number, track in enumerate(explorer.tracks):
        for place, state in enumerate(explorer.frames(track.name, track.start)):
            frame = frames[f"{number}/{place}"]
            fresh = copy.deepcopy(base["data"])
            for trace, change in zip(frame.traces, frame.to_plotly_json()["data"], strict=True):
                for path, value in leaves([change]).items():
                    inner = fresh[trace]
                    for key in path[1:-1]:
                        inner = inner[key]
                    inner[path[-1]] = value
            expected = leaves(explorer.drawn(state)["data"])
            for path, value in leaves(fresh).items():
                assert np.array_equal(decoded(value), expected[path]), (frame.name, path)
            assert explorer.explain(track.start, state)[:40] in frame.layout.annotations[-1].text.replace("<br>", " ")


def decoded(value):
    """An array as plotly writes it into JSON."""
    if not (isinstance(value, dict) and "bdata" in value):
        return value
    import base64

    flat = np.frombuffer(base64.b64decode(value["bdata"]), np.dtype(value["dtype"]))
    return flat.reshape([int(n) for n in value["shape"].split(",")]) if "shape" in value else flat


def test_the_static_figure_opens_in_the_mode_that_was_asked_for():
    for mode in ("re-train", "re-weigh"):
        explorer = temperature(data="circle", mode=mode, temperature=0.2)
        figure = explorer.static()
        assert [s.visible for s in figure.layout.sliders] == [True, False]
        assert figure.layout.updatemenus[0].buttons[0].label.startswith(mode)
        first = figure.layout.sliders[0]
        assert first.steps[first.active].label == "0.2"
        assert explorer.explain(explorer.start, explorer.start)[:40] in figure.layout.annotations[-1].text
        assert len(figure.to_json()) < 1_000_000


def test_the_live_view_follows_its_controls(explorer):
    live = Live(explorer)
    assert [w.description for w in live.controls.values()] == ["data", "mode", "temperature"]
    said = live.line.value
    live.controls["temperature"].value = 0.1
    assert live.state == Temperature("circle", "re-train", 0.1, 0.1) and live.line.value != said
    live.controls["mode"].value = "re-weigh"
    live.controls["temperature"].value = 0.025
    assert live.state == Temperature("circle", "re-weigh", 0.025, 0.1)
    live.controls["data"].value = "digits"
    assert live.state == Temperature("digits", "re-weigh", 0.025, 0.1) and live.controls["temperature"].value == 0.025
    expected = explorer.drawn(live.state)
    for path, value in leaves(expected["data"]).items():
        inner = live.figure.data[path[0]]
        for key in path[1:]:
            inner = inner[key]
        assert np.array_equal(inner, value), path
    assert [a.text for a in live.figure.layout.annotations] == [a["text"] for a in expected["layout"]["annotations"]]


def test_the_slider_of_the_live_view_keeps_up_when_its_options_change(explorer):
    live = Live(explorer)
    live.controls["mode"].value = "re-weigh"
    live.controls["temperature"].value = 0.85  # no model was trained with it
    live.controls["mode"].value = "re-train"
    assert live.state.temperature == live.state.trained == live.controls["temperature"].value
    assert live.state.trained in TEMPERATURES["circle"]


def test_a_plain_display_shows_it(explorer, monkeypatch):
    shown = []
    monkeypatch.setattr(reader, "show", shown.append)
    explorer._ipython_display_()
    assert shown == [explorer]


# ---------------------------------------------------------------- stored numbers, computed again


@pytest.fixture
def counted(monkeypatch):
    """A stored result that comes out the same, and one that does not."""
    monkeypatch.setattr(results, "RESULTS", {"same": lambda: {"x": np.arange(5.0)}, "other": lambda: {"x": np.arange(5.0) * 2}})
    monkeypatch.setattr(results, "TOPICS", ())
    monkeypatch.setattr(results, "load", lambda name: {"x": np.arange(5.0), "words": np.array(["a"])})


def test_the_button_says_how_far_apart_the_numbers_lie(counted, monkeypatch):
    shown = []
    monkeypatch.setattr(reader, "live", lambda: True)
    monkeypatch.setattr(reader, "display", lambda item, text: shown.append(item))
    for name, says in (("same", "to within 1 % of their range"), ("other", "x differs from the stored numbers by up to 100 %")):
        recompute(name)
        press, said = shown[-1].children
        press.click()
        assert says in said.value and not press.disabled


def test_the_button_tells_of_a_failure(counted, monkeypatch):
    monkeypatch.setitem(results.RESULTS, "same", lambda: 1 / 0)
    press, said = recompute_button("same").children
    press.click()
    assert said.value == "ZeroDivisionError: division by zero" and not press.disabled


def test_where_nobody_can_press_the_command_is_told(counted, capsys):
    recompute("same")
    assert "python -m labkit results same" in capsys.readouterr().out
    with pytest.raises(ValueError, match="name must be one of other, same; got 'none'"):
        recompute("none")


# ---------------------------------------------------------------- your own embeddings


def test_your_own_embeddings_are_only_reweighed(mine):
    assert mine.start == Temperature("yours", "re-weigh", 0.1, 0.0)
    assert [c.options(mine.start) for c in mine.controls[:2]] == [("yours",), ("re-weigh",)]
    assert "not re-trained" in mine.explain(mine.start, mine.start)
    assert mine.moved(mine.start, "mode", "re-train").mode == "re-weigh"
    shown = mine.seen(mine.start)
    assert shown["push_same"].shape == (len(WEIGHTS),) and len(shown["plane"]) == 40
    assert len(mine.static().layout.sliders) == 1 and len(mine.static().layout.updatemenus) == 0


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="z1, z2 and labels belong together"):
        temperature(torch.eye(3))
    with pytest.raises(ValueError, match="mode must be 're-train' or 're-weigh', got 'train'"):
        temperature(mode="train")
    with pytest.raises(ValueError, match="data must be one of circle, digits, fashion, got 'mnist'"):
        temperature(data="mnist")


# ---------------------------------------------------------------- the stored grids


@on_each
def test_stored_meters_are_those_of_the_stored_embeddings(data):
    grid = stored(data)
    models = Models({data: grid})
    for column, t in enumerate(grid.temperatures.tolist()):
        found = models.meters(Temperature(data, "re-train", t, t), t)
        for meter in METERS:
            assert found[meter] == pytest.approx(float(grid.meters[meter][0, column]), abs=0.02), (t, meter)


@pytest.mark.parametrize("data", ["circle", "digits"])
def test_a_slice_of_the_grid_is_found_again(data):
    """Another processor rounds differently, and 300 steps of training make something of it: the tolerance is for that."""
    column = TEMPERATURES[data].index(0.5)
    made = results.compute(f"temperature_{data}", temperatures=[0.5], seeds=[0])
    kept = results.load(f"temperature_{data}")
    assert np.array_equal(made["labels"], kept["labels"])
    for meter in (*METERS, "probe"):
        for new, old in ((0, column), (-1, -1)):  # the model trained at 0.5, and the untrained one
            assert made[meter][0, new] == pytest.approx(float(kept[meter][0, old]), abs=0.03), meter


@on_each
def test_the_grid_holds_what_its_recipe_says(data):
    grid = stored(data)
    assert tuple(grid.temperatures) == TEMPERATURES[data]
    assert grid.z1.shape == grid.z2.shape == (len(grid.temperatures), 256, grid.z1.shape[2])
    assert recipe(data, 0.2).loss.kwargs == {"temperature": 0.2}
    assert (results.shipped("results") / f"temperature_{data}.npz").stat().st_size < 500_000


def test_a_grid_without_a_three_takes_its_last_class():
    z = np.zeros((1, 4, 2))
    assert Grid("g", np.ones(1), z, z, np.array([0, 1, 0, 1]), {}).anchor == 1
