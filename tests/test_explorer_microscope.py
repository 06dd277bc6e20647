"""The force microscope: forces and shares against autograd, the browser's model against Python, and what is said of them."""

import dataclasses
import itertools
import math
import random

import javascript
import numpy as np
import pytest
import torch

from labkit import losses, metrics
from labkit.contrast import off_diagonal, two_views
from labkit.directions import unit
from labkit.explorers import microscope
from labkit.explorers.forces import LOSSES, couplings, forces, push_shares
from labkit.explorers.ladder import APART
from labkit.explorers.microscope import LABELS, LONGEST, NAMES, SCENES, SEEDS, TEMPERATURES, Microscope, placed, places, show
from labkit.explorers.microscope_scene import SEEN
from labkit.losses.temperature import followed

EXPLORER = microscope()
SIDES = ("left", "right")
# The losses as anyone would call them.
CALLED = {
    "InfoNCE": lambda a, b, y, t: losses.nt_xent(a, b, temperature=t),
    "DCL": lambda a, b, y, t: losses.dcl(a, b, temperature=t),
    "DHEL": lambda a, b, y, t: losses.dhel(a, b, temperature=t),
    "SupCon": lambda a, b, y, t: losses.sup_con(torch.stack([a, b], 1), y, temperature=t),
    "MACL": lambda a, b, y, t: losses.macl(a, b, temperature=t),
    "HCL": lambda a, b, y, t: losses.hard_negative(a, b, temperature=t),
    "align + uniform": lambda a, b, y, t: losses.align_uniform(a, b, t=0.5 / t),
}
on_each_loss = pytest.mark.parametrize("name", list(LOSSES))
INPUTS = [(3, 2, 0.05), (6, 2, 0.5), (4, 3, 0.02), (7, 5, 1.5)]
on_inputs = pytest.mark.parametrize(("half", "d", "temperature"), INPUTS)


def embeddings(half, d, seed=1):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(2 * half, d, dtype=torch.float64, generator=draw), torch.arange(half) % 2


def random_states(n, seed=0):
    draw = random.Random(seed)
    for k in range(n):
        state = Microscope(**{c.name: draw.choice(c.options) for c in EXPLORER.controls})
        moved = (draw.randrange(12), round(draw.uniform(-2, 2), 3), round(draw.uniform(-2, 2), 3))
        yield dataclasses.replace(state, moved=moved) if k % 2 else state


# ---------------------------------------------------------------- forces


@on_each_loss
@on_inputs
def test_forces_add_up_to_minus_the_gradient(name, half, d, temperature):
    """Of the loss as it is called, at points that are not of length one."""
    z, labels = embeddings(half, d)
    rows = unit(z).requires_grad_()
    (gradient,) = torch.autograd.grad(CALLED[name](*rows.chunk(2), labels, temperature), rows)
    found = forces(LOSSES[name], 3 * z, labels, temperature).sum(1)
    assert (found + gradient).abs().max() <= 1e-10 * max(1.0, gradient.abs().max().item())


@on_each_loss
@on_inputs
def test_forces_run_along_the_sphere_and_come_back(name, half, d, temperature):
    """No force on oneself, none along the radius; and j pushes i as hard as i pushes j."""
    z, labels = embeddings(half, d)
    found = forces(LOSSES[name], z, labels, temperature)
    scale = found.abs().max().item()
    assert (found * unit(z)[:, None]).sum(-1).abs().max() <= 1e-12 * scale
    assert found.norm(dim=-1).diagonal().max() == 0
    assert (found.norm(dim=-1) - found.norm(dim=-1).T).abs().max() <= 1e-12 * scale


@on_inputs
def test_each_force_is_the_derivative_through_the_cosines_of_its_pair(half, d, temperature):
    """NT-Xent by hand: the softmax in both rows of a pair, less one where they are partners."""
    z, labels = embeddings(half, d)
    pairs = two_views(*z.chunk(2))
    softmax = (pairs.similarity / temperature).masked_fill(~off_diagonal(2 * half, z), -math.inf).softmax(-1)
    by_row = (softmax - pairs.partner.double()) / temperature / (2 * half)
    found = couplings(LOSSES["InfoNCE"], z, labels, temperature)
    assert torch.allclose(found, by_row + by_row.T, rtol=1e-9, atol=1e-12)


def test_an_exact_duplicate_has_a_share_and_no_force():
    z, labels = embeddings(6, 2)
    z[3] = 2 * z[0]
    negatives = torch.ones(12, dtype=torch.bool)
    negatives[[0, 6]] = False
    for name, loss in LOSSES.items():
        found = forces(loss, z, labels, 0.2)
        assert found.isfinite().all()
        assert found[0, 3].norm() < 1e-8, name
        if name != "SupCon":
            share = push_shares(loss, z, labels, 0.2, 0, negatives)
            assert share[3] == share.max() > 0, name


# ---------------------------------------------------------------- shares


def negatives_of(anchor, labels, name):
    half = len(labels)
    found = torch.ones(2 * half, dtype=torch.bool)
    found[anchor] = found[(anchor + half) % (2 * half)] = False
    return found & (labels.repeat(2) != labels.repeat(2)[anchor]) if name == "SupCon" else found


@on_each_loss
@on_inputs
@pytest.mark.parametrize("anchor", [0, -1])
def test_shares_are_a_softmax_of_the_cosines(name, half, d, temperature, anchor):
    z, labels = embeddings(half, d)
    anchor, z = anchor % (2 * half), unit(z)
    negatives = negatives_of(anchor, labels, name)
    found = push_shares(LOSSES[name], z, labels, temperature, anchor, negatives)
    counted = negatives.clone()
    if name in ("DHEL", "align + uniform"):
        counted &= torch.arange(2 * half) // half == anchor // half
    if name == "MACL":
        temperature = float(followed((z[:half] * z[half:]).sum(1).mean(), temperature, 0.5, 0.0))
    cosines = (z @ z[anchor]).masked_fill(~counted, -math.inf)
    expected = metrics.hardness(cosines, temperature)
    if name == "HCL":
        expected = 2 * metrics.hardness(2 * cosines, temperature) - expected
    assert found.sum() == pytest.approx(1)
    assert torch.allclose(found, expected, rtol=1e-6, atol=1e-9)


# ---------------------------------------------------------------- the browser's model


def compare(found, expected, state):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if isinstance(value, str) or (isinstance(value, list) and isinstance(value[0], str)):
            assert found[name] == value, (name, state)
        else:
            near = 1e-5 if name == "angle" else 1e-7  # degrees of an arc cosine at 1
            assert np.allclose(np.array(found[name], float), value, rtol=1e-6, atol=near, equal_nan=True), (name, state)


def test_the_browser_computes_the_same():
    states = [EXPLORER.start, *random_states(120)]
    for state, found in zip(states, javascript.shown(EXPLORER, states), strict=True):
        compare(found, show(state), state)


@on_each_loss
def test_the_browser_computes_every_loss_in_every_scene(name):
    states = [Microscope(scene, name, name, t, anchor=a) for scene in SCENES for t in (0.02, 0.2, 2.0) for a in (0, 9)]
    for state, found in zip(states, javascript.shown(EXPLORER, states), strict=True):
        compare(found, show(state), state)


# ---------------------------------------------------------------- what is shown


def test_every_state_shows_the_same_names():
    names = set(show(EXPLORER.start))
    assert all(set(show(state)) == names for state in random_states(40, seed=2))


@pytest.mark.parametrize("scene", SCENES)
def test_places_lie_on_the_sphere_and_a_seed_moves_them(scene):
    for seed in SEEDS:
        z = places(scene, seed)
        assert np.allclose(np.linalg.norm(z, axis=1), 1)
        assert seed == 0 or np.abs(z - places(scene, 0)).max() > 0.05
    assert z.shape == (12, 3 if "sphere" in scene else 2)


def test_a_moved_point_stays_on_the_circle_and_on_its_half_of_the_sphere():
    z = placed(Microscope(moved=(4, 0.3, -0.4)))
    assert np.allclose(z[4], [0.6, -0.8]) and np.allclose(np.delete(z, 4, 0), np.delete(places("a hard negative", 0), 4, 0))
    assert np.array_equal(placed(Microscope(moved=(4, 0.0, 0.0))), places("a hard negative", 0))
    ball = "random, on a sphere"
    for point in range(12):
        front = places(ball, 0)[point, 2] > 0
        inside, outside = (placed(Microscope(ball, moved=(point, *xy)))[point] for xy in ((0.6, 0.0), (0.0, -1.7)))
        assert np.allclose(inside, [0.6, 0, 0.8 if front else -0.8]) and np.allclose(outside, [0, -1, 0])


def test_the_longest_arrow_has_a_fixed_length_and_one_scale_is_one():
    for state in random_states(30, seed=3):
        shown = show(state)
        longest, factors = [], []
        for side in SIDES:
            arrows = np.hypot(shown[f"{side}_dx"], shown[f"{side}_dy"])
            net = math.hypot(shown[f"{side}_net_dx"], shown[f"{side}_net_dy"])
            longest.append(max(arrows.max(), net))
            factors.append(LONGEST / max(shown[f"{side}_longest"], 1e-4))
        if "sphere" in state.scene:
            continue  # seen from in front, arrows that run towards the reader are shorter
        if state.scale == "each its own":
            expected = [min(LONGEST, f * shown[f"{s}_longest"]) for f, s in zip(factors, SIDES, strict=True)]
        else:
            expected = [min(factors) * shown[f"{s}_longest"] for s in SIDES]
        assert np.allclose(longest, expected, atol=1e-9)


def test_the_forces_that_are_shown_are_those_of_the_loss():
    state = Microscope("random", "HCL", "SupCon", 0.3, anchor=5)
    z, shown = torch.tensor(placed(state)), show(state)
    for side, name in (("left", "HCL"), ("right", "SupCon")):
        exact = forces(LOSSES[name], z, LABELS, 0.3)[5]
        arrows = np.stack([shown[f"{side}_dx"], shown[f"{side}_dy"]], 1)
        factor = LONGEST / max(shown["left_longest"], shown["right_longest"])
        assert np.allclose(arrows, factor * exact.numpy())
        assert shown[f"{side}_net"] == pytest.approx(exact.sum(0).norm().item())


# ---------------------------------------------------------------- what is said


def said(state, **changes):
    return EXPLORER.explain(state, EXPLORER.moved(state, **changes) if changes else state)


def test_something_is_said_of_every_change_and_every_number_is_filled_in():
    for state in random_states(12, seed=4):
        for control in EXPLORER.controls:
            words = said(state, **{control.name: control.options[-1]})
            assert len(words) > 40 and "{" not in words and "nan" not in words.lower(), words
        words = said(state, moved=(2, -0.5, 0.5))
        assert len(words) > 40 and "{" not in words


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_said_of_each_scene_is_so(seed):
    def degrees(scene, i, j):
        z = places(scene, seed)
        return math.degrees(math.acos(np.clip(z[i] @ z[j], -1, 1)))

    a, b, x, positive = 0, 1, 3, 6
    assert degrees("a hard negative", a, x) < degrees("a hard negative", a, positive)
    assert degrees("a false negative", a, b) < degrees("a false negative", a, positive)
    assert degrees("an easy positive", a, positive) < min(
        degrees("an easy positive", a, k) for k in range(1, 12) if k != positive
    )
    assert degrees("a hard positive", a, positive) > 120
    assert sum(degrees("a hard positive", a, k) < 120 for k in range(1, 12)) >= 4
    assert np.allclose(places("a duplicate", seed)[x], places("a duplicate", seed)[a], atol=1e-12)
    for temperature in TEMPERATURES[::6]:
        for name in LOSSES:
            shown = show(Microscope("a duplicate", name, name, temperature, seed=seed))
            assert shown["left_share"][x] == shown["left_top"] and shown["left_force"][x] < 1e-6
        assert show(Microscope("a hard positive", temperature=temperature, seed=seed))["rest"] > 0.9
    assert set(SEEN) < set(SCENES)


@pytest.mark.parametrize("state", list(random_states(12, seed=5)))
def test_one_minus_p_is_the_factor_between_the_anchors_own_losses(state):
    """And the shares of the two are the same: what is said when InfoNCE stands beside DCL."""
    z, i = torch.tensor(placed(state)), state.anchor
    own = [couplings(LOSSES[name], z, LABELS, state.temperature, i)[i] for name in ("InfoNCE", "DCL")]
    assert torch.allclose(own[0], show(state)["rest"] * own[1], rtol=1e-9, atol=1e-12)
    shown = show(dataclasses.replace(state, left="InfoNCE", right="DCL"))
    assert np.allclose(shown["left_share"], shown["right_share"], atol=1e-9)


def test_what_is_said_of_the_losses_is_so():
    hcl = show(Microscope("random", "HCL", temperature=0.7))
    assert hcl["left_share"].min() < 0
    dhel = show(Microscope("random", "DHEL"))
    assert all(dhel["left_share"][NAMES.index(name)] == 0 for name in NAMES if "′" in name)
    macl = show(Microscope("two classes", "MACL"))
    assert macl["left_temperature"] > 0.2
    pushed = couplings(LOSSES["SupCon"], torch.tensor(places("a false negative", 0)), LABELS, 0.02, 0)[0]
    assert pushed[1] > 0  # b, of the class, much nearer than the other positives


def test_colder_gathers_and_warmer_spreads():
    for state, name in zip(random_states(14, seed=6), [*LOSSES, *LOSSES], strict=True):
        colder, warmer = (show(dataclasses.replace(state, left=name, temperature=t)) for t in (0.1, 0.5))
        words = said(dataclasses.replace(state, left=name, temperature=0.5), temperature=0.1)
        assert words.startswith("Colder") == (colder["left_top"] > warmer["left_top"])
        assert name == "HCL" or colder["left_top"] >= warmer["left_top"] - 1e-12


@pytest.mark.parametrize("state", [s for s in random_states(60, seed=7) if s.moved])
def test_a_drag_is_told_of_the_point_that_moved(state):
    """And of a change only where the numbers that are told differ."""
    state = dataclasses.replace(state, left="InfoNCE", right="DCL")
    before = dataclasses.replace(state, moved=None)
    words, (old, new) = EXPLORER.explain(before, state), (show(before), show(state))
    name, partner = NAMES[state.moved[0]], NAMES[(state.anchor + 6) % 12]
    harder, easier = ("positive" in words and f"{how} than before" in words for how in ("harder", "easier"))
    assert (harder, easier) == (new["rest_told"] > old["rest_told"], new["rest_told"] < old["rest_told"])
    if harder or easier:
        assert words.startswith(f"The positive {name} was moved") == (name == partner)
        assert words.startswith(f"The anchor {name} was moved") == (name == NAMES[state.anchor])
        was, now = words.split("1 − p+ was ")[1].split(". InfoNCE's")[0].split(" and is ")
        assert was != now
    else:
        assert words.startswith(f"With {name} moved")


def test_a_drag_that_changes_nothing_is_not_told_as_a_change():
    here = dataclasses.replace(EXPLORER.start, moved=(3, 0.9, -0.4))
    words = EXPLORER.explain(here, dataclasses.replace(here, moved=(3, 0.9, -0.401)))
    assert words.startswith("With x moved, the largest share of the push under InfoNCE is as before.")


def test_more_than_all_of_the_push_fits_and_is_explained():
    over = 0
    for scene, temperature, anchor in itertools.product(SCENES, TEMPERATURES, (0, 5, 9)):
        state = Microscope(scene, "HCL", temperature=temperature, anchor=anchor)
        shown = show(state)
        assert shown["share_low"] < shown["left_share"].min() and shown["left_share"].max() < shown["share_high"]
        assert (shown["left_more"] != "") == (shown["left_top"] > 1.005)
        if shown["left_more"]:
            over += 1
            words = EXPLORER.explain(state, state)
            assert shown["left_share"].min() < 0 and (" of the push" not in words or shown["left_more"] in words)
    assert over > 10


def test_names_of_arrows_do_not_lie_on_each_other():
    for state in random_states(60, seed=8):
        shown = show(state)
        for side in SIDES:
            at = np.stack([shown[f"{side}_name_x"], shown[f"{side}_name_y"]], 1)[[bool(t) for t in shown[f"{side}_told"]]]
            apart = np.linalg.norm(at[:, None] - at[None], axis=-1) + 9 * np.eye(len(at))
            assert len(at) < 2 or apart.min() >= APART
    assert {"x", "a′"} <= set(show(EXPLORER.start)["left_told"])


def test_what_may_be_chosen_is_checked():
    with pytest.raises(ValueError, match=r"scene must be one of 'a hard negative', .*'random, on a sphere', .*; got 'torus'"):
        microscope(scene="torus")
    with pytest.raises(ValueError, match="left must be one of 'InfoNCE', 'DCL'"):
        microscope(left="triplet")
    hidden = microscope(hide=("seed",))
    assert [c.name for c in hidden.controls if c.hidden] == ["seed"]
