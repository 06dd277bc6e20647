"""The temperature explorer without a browser: shares are autograd's, the browser's numbers are Python's, sentences are true."""

import dataclasses
import itertools
import json

import javascript
import numpy as np
import pytest
import torch

from labkit import metrics, results
from labkit.directions import unit
from labkit.explorers import temperature
from labkit.explorers.core import jsonable
from labkit.explorers.page import payload
from labkit.explorers.temperature import LOSSES, MOST, Temperature, stored
from labkit.explorers.weighing import SEEDS_SD, Models, histogram, turn
from labkit.losses import dcl, dhel, nt_xent, sup_con
from labkit.recipes import pushes
from labkit.recipes.temperature_grid import DATA, PROBE, TEMPERATURES, recipe, restored, rounded

on_each = pytest.mark.parametrize("data", DATA)
on_losses = pytest.mark.parametrize("loss", list(LOSSES))
SOME = (0.02, 0.045, 0.1, 0.5, 2.0)


def embeddings(n=30, d=5, classes=3, seed=0, dtype=torch.float64):
    draw = torch.Generator().manual_seed(seed)
    z1 = torch.randn(n, d, generator=draw, dtype=dtype)
    z2 = z1 + 0.4 * torch.randn(n, d, generator=draw, dtype=dtype)
    return z1, z2, torch.randint(classes, (n,), generator=draw)


@pytest.fixture(scope="module")
def explorer():
    return temperature()


@pytest.fixture(scope="module")
def mine():
    return temperature(*embeddings(41, 6, 4, dtype=torch.float32), temperature=0.1)


def anchors_value(loss, z1, z2, labels, t, anchor):
    """The registered loss of one anchor of the first view, through the library's own code."""
    if loss == "sup_con":
        z = torch.stack([z1, z2], 1)
        return sup_con(z, labels, temperature=t, reduction="none")[2 * anchor]
    return {"nt_xent": nt_xent, "dcl": dcl, "dhel": dhel}[loss](z1, z2, temperature=t, reduction="none")[anchor]


# ---------------------------------------------------------------- who is pushed


@on_losses
@pytest.mark.parametrize("t", [0.05, 0.3, 2.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_shares_are_the_gradient_of_the_registered_loss(loss, t, seed):
    """Of one anchor's loss, autograd gives `dL/ds_ij u_i` at every candidate u_j, less what lies along u_j."""
    z1, z2, labels = embeddings(seed=seed)
    n, both = len(z1), unit(torch.cat([z1, z2])).requires_grad_()
    push = pushes.push(pushes.cosines(z1, z2), pushes.terms(loss, labels), t)
    assert torch.allclose(push.sum(1), torch.ones(n, dtype=torch.float64))
    for anchor in (0, 7, 19):
        value = anchors_value(loss, both[:n], both[n:], labels, t, anchor)
        (slope,) = torch.autograd.grad(value, both)
        u, v = both.detach()[anchor], both.detach()
        across = u - (v @ u)[:, None] * v  # the gradient of a cosine at a unit row
        found = (slope * across).sum(1) / across.square().sum(1).clamp(min=1e-30)
        if loss == "dhel":
            found[n:] = 0  # the other view's own partition: another anchor's push
        found[anchor] = 0  # the anchor itself moves with everybody
        driving = found.clamp(min=0)
        assert torch.allclose(push[anchor], driving / driving.sum(), atol=1e-9)


def test_on_views_alone_the_shares_are_the_softmax_of_the_lesson():
    z1, z2, labels = embeddings()
    cosines, n = pushes.cosines(z1, z2), len(z1)
    push = pushes.push(cosines, pushes.terms("dhel", labels), 0.2)[:, :n]
    assert torch.allclose(push, metrics.hardness(cosines[:, :n].fill_diagonal_(-torch.inf), 0.2))
    assert float((push * (labels[:, None] == labels)).sum(1).mean()) == pytest.approx(
        float(metrics.push_share(z1, labels, temperature=0.2))
    )


def test_temperatures_far_below_the_slider_give_numbers():
    z1, z2, labels = embeddings()
    for loss in LOSSES:
        push = pushes.push(pushes.cosines(z1, z2), pushes.terms(loss, labels), 0.001)
        assert torch.isfinite(push).all() and torch.allclose(push.sum(1), torch.ones(len(z1), dtype=torch.float64))


@on_losses
@pytest.mark.parametrize("classes", [1, 3, 5])
def test_no_loss_falls_below_its_floor(loss, classes):
    """By descent, in more dimensions than the floor needs."""
    labels = torch.arange(10) % classes
    low = pushes.floor(loss, labels, 0.5)
    z = torch.randn(2, 10, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    optimizer = torch.optim.Adam([z], lr=0.05)
    for _ in range(400):
        optimizer.zero_grad()
        value = {"nt_xent": nt_xent, "dcl": dcl, "dhel": dhel}.get(loss)
        found = value(*z, temperature=0.5) if value else sup_con(torch.stack([*z], 1), labels, temperature=0.5)
        assert found.item() > low - 1e-9
        found.backward()
        optimizer.step()
    assert found.item() - low < (0.01 if classes != 3 else 0.2), "the floor of unequal classes is a bound only"


def test_chance_is_the_loss_of_one_point():
    labels = torch.arange(12) % 3
    for loss, value in {"nt_xent": np.log(23), "dcl": np.log(22), "dhel": 10 + 2 * np.log(11), "sup_con": np.log(23)}.items():
        assert pushes.chance(loss, labels, 0.1) == pytest.approx(value)


# ---------------------------------------------------------------- the browser


def differences(explorer, states):
    """The largest difference between Python's and the browser's numbers, relative to the size of the array; by name."""
    worst = {}
    for state, found in zip(states, javascript.shown(explorer, states), strict=True):
        shown = jsonable(explorer.show(state))
        assert shown.keys() == found.keys()
        for name, value in shown.items():
            if isinstance(value, str):
                assert found[name] == value
                continue
            ours, theirs = np.asarray(value, float), np.asarray(found[name], float)
            assert ours.shape == theirs.shape and np.array_equal(np.isnan(ours), np.isnan(theirs)), name
            ours, theirs = np.nan_to_num(ours), np.nan_to_num(theirs)
            off = np.abs(ours - theirs).max() / max(1.0, np.abs(ours).max())
            worst[name] = max(worst.get(name, 0.0), float(off))
    return worst


@on_each
def test_the_browser_shows_what_python_shows(explorer, data):
    at = [Temperature(data, loss, "re-train", t, t, 3) for loss in LOSSES for t in SOME]
    at += [Temperature(data, loss, "re-weigh", t, 0.1, 139) for loss in LOSSES for t in SOME]
    worst = differences(explorer, [explorer.settled(state) for state in at])
    assert max(worst.values()) < 1e-4, worst


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_browser_shows_the_same_of_random_tensors(seed):
    n, d = [(7, 2), (40, 3), (64, 17)][seed]
    own = temperature(*embeddings(n, d, classes=[1, 4, 9][seed], seed=seed, dtype=torch.float32))
    at = [dataclasses.replace(own.start, loss=loss, temperature=t, anchor=n - 1) for loss in LOSSES for t in SOME]
    worst = differences(own, at)
    assert max(worst.values()) < 1e-4, worst


def test_what_the_browser_is_told_is_small(explorer, mine):
    assert len(json.dumps(payload(explorer))) < 2_200_000
    assert len(json.dumps(payload(mine))) < 200_000


# ---------------------------------------------------------------- what is shown


def walk(explorer, **start):
    """Along the slider."""
    first = explorer.moved(explorer.start, **start)
    return [explorer.moved(first, temperature=t) for t in TEMPERATURES]


@on_each
@on_losses
def test_reweighing_moves_no_point_and_gathers_the_push(explorer, data, loss):
    shown = [explorer.show(s) for s in walk(explorer, data=data, loss=loss, mode="re-weigh", trained=0.5)]
    for name in ("x", "y", "cosine", "ridge_same", "uniformity", "alignment", "mean_norm", "spectrum", "knn", "loss_all"):
        assert all(np.array_equal(s[name], shown[0][name]) for s in shown), name
    if loss != "sup_con":  # which pulls some of those that are near
        near = [s["push_near"] for s in shown]
        assert all(low >= high - 1e-6 for low, high in itertools.pairwise(near)), "the theorem"
        assert near[0] > 2 * near[-1]


@on_each
@on_losses
def test_retraining_shows_another_model(explorer, data, loss):
    states = walk(explorer, data=data, loss=loss, mode="re-train")
    shown = [explorer.show(s) for s in states]
    assert [s.trained for s in states] == [s.temperature for s in states] == list(TEMPERATURES)
    assert len({s["x"].tobytes() for s in shown}) == len(shown)
    assert all(np.array_equal(s["uniformity_all"], shown[0]["uniformity_all"]) for s in shown)
    for at, s in enumerate(shown):
        assert s["loss_all"][at] == pytest.approx(s["value"]) and s["knn_all"][at] == pytest.approx(s["knn"])


def test_what_is_shown_has_other_names_than_the_state(explorer, mine):
    for one in (explorer, mine):
        assert not one.seen().keys() & dataclasses.asdict(one.start).keys(), "a sentence could mean either"


@on_each
@on_losses
def test_shares_add_up_and_agree_with_what_is_stored(explorer, data, loss):
    for s in walk(explorer, data=data, loss=loss, mode="re-weigh", trained=0.1)[::6]:
        shown = explorer.show(s)
        assert shown["share"].sum() == pytest.approx(1) and shown["push_by_all"].sum() == pytest.approx(1)
        assert shown["push_by_same"].sum() == pytest.approx(shown["push_same"], abs=1e-5)
        own = shown["labels"] == shown["anchor_class"]
        assert shown["share"][own].sum() == pytest.approx(shown["anchor_same"])
        assert (shown["push_by_all"] >= shown["push_by_same"] - 1e-12).all()


@on_each
@on_losses
def test_the_loss_lies_between_its_floor_and_the_top_of_the_panel(explorer, data, loss):
    for mode in ("re-train", "re-weigh"):
        for s in walk(explorer, data=data, loss=loss, mode=mode, trained=0.2)[::6]:
            shown = explorer.show(s)
            assert (shown["loss_all"] > shown["floor_all"] - 1e-5).all() and shown["loss_low"] <= shown["floor"]
            if mode == "re-train":
                assert (shown["loss_all"] <= shown["loss_high"]).all()


def test_the_picture_is_true_to_the_embeddings():
    for name, models in stored().sets.items():
        z = restored(models.z[0, 12, 0]).numpy()
        flat = z @ models.directions[0, 12]
        assert np.allclose(models.directions[0, 12].T @ models.directions[0, 12], np.eye(2), atol=1e-6)
        if name == "circle":
            assert np.allclose(np.linalg.norm(flat, axis=1), 1, atol=1e-6)
        apart = [np.linalg.norm(rows[:, None] - rows, axis=-1) for rows in (z, flat)]
        assert (apart[1] <= apart[0] + 1e-6).all(), "a projection brings nothing further apart"


def test_neighbours_on_the_slider_are_turned_alike():
    models = stored().sets["digits"]
    places = [restored(models.z[0, i, 0]).numpy() @ models.directions[0, i] for i in range(len(TEMPERATURES))]
    for a, b in itertools.pairwise(places):
        assert np.allclose(turn(a, b), np.eye(2), atol=1e-4), "no further turn brings them closer"


def test_a_histogram_divides_every_weight_between_two_marks():
    found = histogram(torch.tensor([[1.0, 0.0, -1.0, 0.5]], dtype=torch.float64), torch.ones(1, 4, dtype=torch.float64))
    assert found.sum() == pytest.approx(4) and found[0] == found[18] == found[36] == pytest.approx(1)
    assert found[12] == pytest.approx(1), "60 degrees"


# ---------------------------------------------------------------- what is said


def said(explorer, before, after):
    line = explorer.explain(before, after)
    assert line and "{" not in line and "nan" not in line.lower()
    return line, explorer.seen(before), explorer.seen(after)


@on_each
@on_losses
@pytest.mark.parametrize("mode", ["re-train", "re-weigh"])
def test_a_moved_slider_is_told_with_its_numbers(explorer, data, loss, mode):
    walked = walk(explorer, data=data, loss=loss, mode=mode, trained=0.2)
    for before, after in [(walked[16], s) for s in walked if s != walked[16]] + [
        (walked[0], walked[8]),
        (walked[8], walked[0]),
    ]:
        line, old, new = said(explorer, before, after)
        same = f"{old['push_same']:.1%} → {new['push_same']:.1%}"
        assert same in line
        if mode == "re-weigh":
            assert "no point moved" in line and np.array_equal(old["x"], new["x"])
            assert f"{old['push_near']:.1%} → {new['push_near']:.1%}" in line
            assert ("gathers" not in line) or (new["push_near"] > old["push_near"] and after.temperature < before.temperature)
            assert ("spreads out" not in line) or (
                new["push_near"] < old["push_near"] and after.temperature > before.temperature
            )
            continue
        assert f"trained at {after.temperature:g} instead of {before.temperature:g}" in line
        change = new["same_class"] - old["same_class"]
        assert ("classes spread out" in line) <= (change < -0.04), line
        assert ("classes draw together" in line) <= (change > 0.04), line
        assert ("hardly move" in line) <= (abs(change) < 0.08), line
        assert abs(change) < 0.08 or loss == "sup_con" or "spread out" in line or "draw together" in line, line


def test_no_trend_is_told_that_seeds_may_make(explorer):
    """Of each step of the slider on models that are not told the classes; and the band is as wide as the seeds' scatter."""
    for data, loss in itertools.product(DATA, list(LOSSES)[:3]):
        for pair in itertools.pairwise(walk(explorer, data=data, loss=loss, mode="re-train")):
            for before, after in (pair, pair[::-1]):
                line, old, new = said(explorer, before, after)
                trend = "spread out" in line or "draw together" in line
                assert not trend or abs(new["same_class"] - old["same_class"]) > SEEDS_SD, line
    scatter = [results.load(f"temperature_{name}")["same_class"][:, :-1].std(0, ddof=1).max() for name in (*DATA, "fashion")]
    assert 0.03 < max(scatter) < SEEDS_SD


def test_told_the_classes_is_said_of_supcon_alone(explorer):
    for loss in LOSSES:
        for other in LOSSES:
            if loss != other:
                before = explorer.moved(explorer.start, loss=other)
                line = explorer.explain(before, explorer.moved(before, loss=loss))
                assert ("told the classes" in line) == (loss == "sup_con") and f"trained with {LOSSES[loss]}" in line


def test_each_control_has_its_sentence(explorer):
    again = explorer.moved(explorer.start, mode="re-weigh")
    assert "no point moves" in explorer.explain(explorer.start, again)
    assert "another model" in explorer.explain(again, explorer.start)
    assert "weighed at the same 0.5" in explorer.explain(again, explorer.moved(again, trained=0.1))
    digits = explorer.moved(explorer.start, data="digits")
    assert "NT-Xent on the digits data, trained at 0.5" in explorer.explain(explorer.start, digits)
    line = explorer.explain(digits, explorer.moved(digits, anchor=17))
    assert f"of class {stored().sets['digits'].labels[17]}" in line


@on_each
def test_an_even_share_is_the_part_of_the_class(explorer, data):
    labels = stored().sets[data].labels
    own = np.mean([2 * ((labels == y).sum() - 1) / (2 * PROBE - 2) for y in labels])
    line = explorer.explain(*[explorer.moved(explorer.start, data=data)] * 2)
    assert f"which is {own:.0%} of those" in line


# ---------------------------------------------------------------- your own embeddings


def test_your_own_embeddings_are_only_reweighed(mine):
    assert mine.start == Temperature("yours", "nt_xent", "re-weigh", 0.1, 0.1, 0)
    assert [c.name for c in mine.controls if not c.hidden] == ["loss", "temperature", "anchor"]
    assert "not re-trained" in mine.explain(mine.start, mine.start)
    assert "not re-trained" in mine.explain(mine.start, mine.moved(mine.start, temperature=0.5))
    assert mine.moved(mine.start, mode="re-weigh", trained=2.0).mode == "re-weigh"


def test_what_is_shown_of_your_own_embeddings_is_theirs(mine):
    z1, z2, labels = embeddings(41, 6, 4, dtype=torch.float32)
    shown = mine.show(mine.start)
    assert shown["value"] == pytest.approx(float(nt_xent(z1, z2, temperature=0.1)), abs=1e-5)
    assert shown["alignment"] == pytest.approx(float(metrics.alignment(z1, z2)), abs=1e-5)
    assert shown["uniformity"] == pytest.approx(float(metrics.uniformity(z1)), abs=1e-5)
    assert shown["mean_norm"] == pytest.approx(float(metrics.mean_norm(z1)), abs=1e-5)
    assert shown["labels"].tolist() == labels.tolist()
    cosines = unit(z1)[0] @ unit(torch.cat([z1, z2])).T
    share = (cosines / 0.1).masked_fill(torch.arange(82) % 41 == 0, -torch.inf).softmax(0)
    assert np.allclose(shown["share"], (share[:41] + share[41:]).numpy(), atol=1e-6)


def test_many_rows_are_drawn_from_with_a_seed():
    z1, z2, labels = embeddings(900, 4, 6, dtype=torch.float32)
    own = temperature(z1, z2, labels, seed=3)
    assert f"{MOST} of 900 rows, drawn with seed 3" in own.explain(own.start, own.start)
    shown, other = own.show(own.start), temperature(z1, z2, labels, seed=4)
    assert len(shown["x"]) == MOST and not np.array_equal(shown["labels"], other.show(other.start)["labels"])
    again = temperature(z1, z2, labels, seed=3)
    assert own.code() == again.code() and np.array_equal(shown["x"], again.show(again.start)["x"])


def test_half_precision_and_double_are_taken():
    z1, z2, labels = embeddings(12, 4, 3)
    for kind in (torch.float16, torch.bfloat16, torch.float64):
        own = temperature(z1.to(kind), z2.to(kind), labels)
        assert np.isfinite(own.show(own.start)["share"]).all()


def test_labels_all_different_or_all_alike():
    z1, z2, _ = embeddings(12, 4, 3)
    for labels in (torch.arange(12) * 10, torch.zeros(12, dtype=torch.long)):
        own = temperature(z1, z2, labels)
        for loss in LOSSES:
            shown = own.show(dataclasses.replace(own.start, loss=loss))
            assert np.isfinite(shown["share"]).all() and np.isfinite(shown["loss_all"]).all(), loss
            assert np.isfinite(shown["floor_all"]).all() and (shown["loss_all"] > shown["floor_all"] - 1e-5).all()


def test_rows_with_a_gradient_equal_views_and_equal_rows_are_shown():
    z1, z2, labels = embeddings(12, 4, 3, dtype=torch.float32)
    learnt = temperature(z1.clone().requires_grad_(), z2, labels)
    assert learnt.seen()["value"] == temperature(z1, z2, labels).seen()["value"]
    same = temperature(z1, z1, labels)
    assert same.seen()["alignment"] == 0 < same.seen()["far"] and same.seen()["no_width"] == ""
    point = temperature(z1[:1].repeat(12, 1), z1[:1].repeat(12, 1), labels)
    assert not point.seen()["spectrum"].any() and "equal" in point.seen()["no_width"] and point.seen()["rank"] == 0
    for one in (same, point):
        one.figure().canvas.draw()  # warnings are errors
        found = differences(one, [one.start])
        assert max(found.values()) < 1e-4, found


def test_what_the_alternative_text_says_of_the_modes_holds(explorer):
    """And it tells no trend over temperatures: on the digits, the lowest temperature lies closer than the middle ones."""
    assert "no point moves" in explorer.alt and "no point moves" in temperature(*embeddings(dtype=torch.float32)).alt
    close = stored().sets["digits"].meters["same_class"][0]
    assert close[0] > close[8] + 0.3 and close[-1] > close[8] + 0.3 and "spread" not in explorer.alt


def test_bad_arguments_are_named():
    z1, z2, labels = embeddings(12, 4, 3)
    with pytest.raises(ValueError, match="z1, z2 and labels belong together"):
        temperature(z1)
    with pytest.raises(ValueError, match="mode must be one of 're-train', 're-weigh'; got 'train'"):
        temperature(mode="train")
    with pytest.raises(ValueError, match="data must be one of 'circle', 'digits'; got 'fashion'"):
        temperature(data="fashion")
    with pytest.raises(ValueError, match="loss must be one of 'nt_xent', 'dcl', 'dhel', 'sup_con'; got 'macl'"):
        temperature(loss="macl")
    with pytest.raises(ValueError, match=r"temperature must be a number from 0\.02 to 2"):
        temperature(temperature=0)
    with pytest.raises(ValueError, match="trained needs mode='re-weigh'"):
        temperature(temperature=1.0, trained=0.1)
    with pytest.raises(ValueError, match="mode must be 're-weigh' for your own"):
        temperature(z1, z2, labels, mode="re-train")
    with pytest.raises(ValueError, match="trained is of the models that ship"):
        temperature(z1, z2, labels, trained=0.1)
    with pytest.raises(ValueError, match="mode must be one of 're-weigh'; got 'train'"):
        temperature(z1, z2, labels, mode="train")
    with pytest.raises(ValueError, match="temperature must be a number"):
        temperature(temperature=True)
    with pytest.raises(ValueError, match="hide must name controls"):
        temperature(hide=("batch_size",))
    with pytest.raises(ValueError, match="z2"):
        temperature(z1, z2[:5], labels)
    with pytest.raises(ValueError, match="labels"):
        temperature(z1, z2, labels[:5])
    with pytest.raises(ValueError, match="z1"):
        temperature(z1 * 0, z2, labels)
    with pytest.raises(ValueError, match="z2"):
        temperature(z1, z2 * torch.nan, labels)
    with pytest.raises((ValueError, TypeError), match="labels"):
        temperature(z1, z2, labels.double())


def test_the_nearest_temperature_there_is_is_taken():
    assert temperature(temperature=0.07).start.temperature == 0.067
    opened = temperature(mode="re-weigh", temperature=1.0, trained=0.1)
    assert (opened.start.temperature, opened.start.trained) == (1.0, 0.1)
    assert temperature(temperature=np.float32(0.5)).start.temperature == temperature(temperature=0.5).start.trained == 0.5


# ---------------------------------------------------------------- the stored grid


def test_the_temperatures_are_what_was_asked_for():
    assert len(set(TEMPERATURES)) == 25 and list(TEMPERATURES) == sorted(TEMPERATURES)
    assert {0.02, 0.1, 0.2, 0.5, 1.0, 2.0} <= set(TEMPERATURES)
    assert all(t == float(f"{t:.2g}") for t in TEMPERATURES)
    steps = np.diff(np.log(TEMPERATURES))
    assert np.abs(steps - np.log(100) / 24).max() < 0.06, "evenly, in the logarithm"


@on_each
def test_the_grid_holds_what_its_recipe_says(data):
    kept = results.load("temperature_grid")
    assert tuple(kept["temperatures"]) == TEMPERATURES and tuple(kept["losses"]) == tuple(LOSSES)
    assert kept[f"{data}_z"].shape[:4] == (4, 25, 2, PROBE)
    assert len(set(np.unique(kept[f"{data}_labels"], return_counts=True)[1])) == 1, "each class equally often"
    assert kept[f"{data}_rounding"].max() < 0.01
    assert recipe(data, "dcl", 0.2).loss.kwargs == {"temperature": 0.2}
    assert (results.shipped("results") / "temperature_grid.npz").stat().st_size < 3_000_000


@on_each
def test_stored_meters_are_those_of_the_stored_rows(data):
    kept = results.load("temperature_grid")
    labels = torch.tensor(kept[f"{data}_labels"], dtype=torch.long)
    for loss, name in enumerate(LOSSES):
        for model in (0, 8, 24):
            z1, z2 = restored(kept[f"{data}_z"][loss, model])
            assert kept[f"{data}_uniformity"][loss, model] == pytest.approx(float(metrics.uniformity(z1)), abs=1e-5)
            assert kept[f"{data}_alignment"][loss, model] == pytest.approx(float(metrics.alignment(z1, z2)), abs=1e-5)
            assert kept[f"{data}_mean_norm"][loss, model] == pytest.approx(float(metrics.mean_norm(z1)), abs=1e-5)
            found = pushes.weighed(name, z1, z2, labels, [0.1])
            for meter, (value,) in found.items():
                assert kept[f"{data}_{meter}"][loss, model, 8] == pytest.approx(value, abs=1e-5), meter


def test_rounding_keeps_directions():
    z = unit(torch.randn(50, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    back = restored(rounded(z, "digits"))
    assert float((z @ z.T - back @ back.T).abs().max()) < 0.01


@pytest.mark.parametrize(("data", "loss"), [("circle", "dcl"), ("circle", "sup_con"), ("digits", "dhel")])
def test_a_slice_of_the_grid_is_found_again(data, loss):
    """Another processor rounds differently, and hundreds of steps make something of it: the tolerance is for that."""
    made = results.compute("temperature_grid", temperatures=[0.5], names=[data], losses=[loss])
    kept, at = results.load("temperature_grid"), list(LOSSES).index(loss)
    assert np.array_equal(made[f"{data}_labels"], kept[f"{data}_labels"])
    for meter in ("uniformity", "alignment", "same_class", "mean_norm", "knn", "few_label"):
        old, new = kept[f"{data}_{meter}"][at], made[f"{data}_{meter}"][0]
        assert new[0] == pytest.approx(float(old[TEMPERATURES.index(0.5)]), abs=0.03), meter
        assert new[-1] == pytest.approx(float(old[-1]), abs=1e-3), meter  # untrained


def test_own_models_have_every_part_that_stored_ones_have(mine):
    own = mine.model.data["sets"]["yours"]
    assert own.keys() == stored().sets["circle"].plain().keys() and isinstance(stored().sets["circle"], Models)


def test_a_code_made_on_other_embeddings_is_refused():
    z = torch.randn(3, 20, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(20) % 4
    mine, other = temperature(z[0], z[1], labels), temperature(z[0], z[2], labels)
    assert mine.opened(mine.code()).start == mine.start
    with pytest.raises(ValueError, match="options or data"):
        other.opened(mine.code())
