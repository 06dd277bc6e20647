"""The preference simplex: its flow against autograd, its region against steps of training, its paths against a stiff solver.

What the browser computes from links and what goes into them is compared with labkit's own losses.
"""

import dataclasses
import itertools
import random

import javascript
import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from labkit import explorers, link, preferences
from labkit.explorers.simplex import CONTROLS, Simplex, begins, flow, show
from labkit.explorers.simplex_terms import LOSSES
from labkit.recipes import simplex as flows
from labkit.recipes import simplex_paths as paths
from labkit.recipes import simplex_plane as plane
from labkit.recipes.simplex import CHOSEN, REJECTED, Flow, gathered, kernel, margin_of, opening, spread
from labkit.training import call

CALLS = {
    "DPO": call("dpo", beta=0.3),
    "IPO": call("ipo", beta=0.2),
    "KTO": call("kto", beta=0.7, kl=0.4, desirable_weight=1.5, undesirable_weight=0.5),
    "SimPO": call("simpo", beta=2.0, gamma=0.5, chosen_lengths=2, rejected_lengths=5),
    "DPOP": call("dpop", beta=0.5, lambda_=3.0),
    "RPO": call("rpo", beta=0.2, eta=0.1),
}
MARGIN_ALONE = (call("dpo", beta=0.1), call("dpo", beta=2.0), call("ipo", beta=0.1), call("simpo", beta=2.0, gamma=0.5))
EXPLORER = explorers.simplex()


def policies(n, answers, seed=0):
    return np.random.default_rng(seed).dirichlet(np.ones(answers), n)


def trained(loss, logps, reference):
    """A loss called as a user calls it, on log-probabilities `(answers,)`."""
    one = [logps[None, k] for k in (CHOSEN, REJECTED)]
    options = dict(loss.kwargs)
    if loss.name == "simpo":
        rest = [torch.tensor([float(options.pop(f"{side}_lengths", 1))]) for side in ("chosen", "rejected")]
    else:
        rest = [reference[None, k] for k in (CHOSEN, REJECTED)]
    return getattr(preferences, loss.name)(*one, *rest, **options)


class Policy:
    """A softmax policy of features and output vectors, with a bias that puts it where it starts."""

    def __init__(self, geometry, p):
        answers = len(p)
        self.logits = torch.tensor(np.log(p)).requires_grad_()
        if geometry == "independent":
            self.learns, self.read = [self.logits], lambda: self.logits
            return
        head = torch.tensor(flows.vectors(geometry, answers)).requires_grad_()
        state = torch.tensor([-0.4, 0.0], dtype=torch.float64, requires_grad=True)
        bias = (self.logits - head @ state).detach()
        self.learns = [state, head] if geometry == "both" else [state]
        self.read = lambda: head @ state + bias

    def moved(self, loss, reference, lr):
        """The policy after one step of gradient descent."""
        value = trained(loss, self.read().log_softmax(-1), reference)
        with torch.no_grad():
            for x, g in zip(self.learns, torch.autograd.grad(value, self.learns), strict=True):
                x -= lr * g
            return self.read().softmax(-1).numpy()


# ---------------------------------------------------------------- the flow


@pytest.mark.parametrize("answers", [3, 4, 5])
@pytest.mark.parametrize("geometry", flows.GEOMETRIES)
@pytest.mark.parametrize("name", CALLS)
def test_the_flow_is_a_small_step_of_training(name, geometry, answers):
    """Through the whole network: features, output vectors, softmax, and labkit's own loss."""
    reference = policies(1, answers, seed=9)[0]
    here = policies(6, answers)
    found = Flow(CALLS[name], kernel(geometry, answers), np.log(reference)).field(here)
    step = 1e-5
    for p, dp in zip(here, found, strict=True):
        ahead, back = (Policy(geometry, p).moved(CALLS[name], torch.tensor(np.log(reference)), lr) for lr in (step, -step))
        assert np.allclose((ahead - back) / (2 * step), dp, rtol=1e-6, atol=1e-8 * max(1, abs(dp).max()))


@pytest.mark.parametrize("geometry", flows.GEOMETRIES)
@pytest.mark.parametrize("name", CALLS)
def test_nothing_is_won_that_nobody_lost(name, geometry):
    made = Flow(CALLS[name], kernel(geometry, 5), np.log(policies(1, 5, seed=3)[0]))
    moved = made.field(policies(50, 5))
    assert abs(moved.sum(-1)).max() < 1e-12 * abs(moved).max() and abs(moved).max() > 0
    assert abs(made.drive(np.log(policies(50, 5))).sum(-1)).max() < 1e-12


def test_slopes_are_those_of_the_loss_of_one_pair():
    """KTO's loss of a pair is the mean over its two answers, as its function gives it."""
    one = torch.tensor([-1.0, -2.0, -1.5], dtype=torch.float64).log_softmax(-1)
    for name, loss in CALLS.items():
        reference = torch.tensor([0.3, 0.5, 0.2], dtype=torch.float64).log()
        logps = one.clone().requires_grad_()
        slopes = -torch.autograd.grad(trained(loss, logps, reference), logps)[0][[CHOSEN, REJECTED]].numpy()
        made = Flow(loss, kernel("alike"), reference.numpy())
        assert np.allclose(made.slopes(one.numpy()), slopes, rtol=1e-12), name
        value = made.value(one[None, CHOSEN], one[None, REJECTED])
        assert value.sum().item() == pytest.approx(trained(loss, one, reference).item())


def test_own_logits_and_the_margin_alone_always_raise_the_chosen_answer():
    here = policies(500, 4)
    for loss in MARGIN_ALONE[:2] + MARGIN_ALONE[3:]:
        rates = Flow(loss, kernel("independent", 4), np.log(here[0])).rates(np.log(here))
        assert (rates[:, CHOSEN] > 0).all()
    torn = Flow(call("kto", beta=5.0), kernel("independent", 4), np.log(here[0])).falling(here)
    assert (torn < 0).any()  # a loss that lets go of one answer and not of the other can lower both


@pytest.mark.parametrize("geometry", flows.GEOMETRIES)
def test_imitation_never_lowers_what_is_imitated(geometry):
    here, reference = policies(500, 5), np.log(policies(1, 5, seed=1)[0])
    more, less = (
        Flow(call("rpo", eta=eta), kernel(geometry, 5), reference).rates(np.log(here))[:, CHOSEN] for eta in (1.0, 0.0)
    )
    assert (more >= less - 1e-12).all() and (more > less + 1e-6).any()


def test_unknown_geometries_are_refused():
    with pytest.raises(ValueError, match="geometry must be one of independent, alike, both, apart; got 'near'"):
        kernel("near")


# ---------------------------------------------------------------- the region


def states(n, seed=0, **fixed):
    """States that a reader may reach."""
    draw, found = random.Random(seed), []
    for _ in range(n):
        values = {c.name: draw.choice(c.options) for c in CONTROLS}
        moved = (0, round(draw.uniform(-0.1, 1.1), 3), round(draw.uniform(-0.1, 0.9), 3)) if draw.random() < 0.7 else None
        found.append(EXPLORER.moved(EXPLORER.start, **{**values, **fixed, "moved": moved}))
    return found


@pytest.mark.parametrize("state", states(12, seed=1), ids=lambda s: f"{s.loss}-{s.geometry}")
def test_shaded_is_where_a_small_step_lowers_both(state):
    f = flow(state)
    low, high = plane.region(f)
    x, height = plane.columns()
    reference, step = torch.tensor(f.reference), 1e-4 / max(1, abs(f.slopes(f.reference, 1)).max())
    draw = np.random.default_rng(0)
    seen = set()
    for column, share in zip(draw.integers(0, plane.COLUMNS, 40), draw.uniform(0.01, 0.99, 40), strict=True):
        y = share * height[column]
        edges = np.concatenate([low[:, column], high[:, column]])
        p = spread(plane.mixture(x[column], y), state.answers)
        if abs(edges - y).min() < 1e-2 or (f.bent and abs(np.log(p) - f.reference)[CHOSEN] < 1e-2):
            continue  # on the edge a small step decides nothing
        after = Policy(state.geometry, p).moved(f.loss, reference, step)
        both = bool(((after < p)[[CHOSEN, REJECTED]]).all())
        assert both == bool(((low[:, column] < y) & (y < high[:, column])).any())
        seen.add(both)
    assert seen


def test_the_region_of_alike_answers_has_a_closed_form():
    """Chosen falls where its output vector lies below the mean: where Yes has more than a fifth of Never's probability."""
    low, high = plane.region(Flow(call("dpo"), kernel("alike"), np.log(np.full(3, 1 / 3))))
    x, height = plane.columns()
    x, height, low_, high_ = x[:65], height[:65], low[0, :65], high[0, :65]  # further right nothing is shaded
    rest = low_ / plane.TOP
    assert np.allclose(rest, 0.2 * (x - rest / 2), atol=1e-5) and np.allclose(high_, height)
    exact = 1 - 0.2 / 1.2  # the triangle below the line from No to where Yes : Never is 1 : 5
    assert plane.share_of(low, high) == pytest.approx(exact, abs=2e-3)


@pytest.mark.parametrize("name", CALLS)
def test_two_answers_cannot_both_fall(name):
    share = np.linspace(0.01, 0.99, 50)
    edge = spread(np.stack([share, 1 - share, np.full(50, 1e-9)], -1) / (1 + 1e-9))
    for geometry in flows.GEOMETRIES:
        assert (Flow(CALLS[name], kernel(geometry), np.log(np.full(3, 1 / 3))).falling(edge) > -1e-6).all()


def test_places_and_policies_are_one():
    here = plane.grid()
    assert np.allclose(plane.mixture(*plane.place(here)), here) and len(here) == 153
    assert np.allclose(gathered(spread(here, 5)), here) and np.allclose(spread(here, 5).sum(-1), 1)
    assert np.allclose(plane.inside(np.array([1.5, -0.2, -0.3])), np.array([1.5, 0.01, 0.01]) / 1.52)


# ---------------------------------------------------------------- paths


def stiffly(f, start, won):
    """The end of the path by a stiff solver in time, until this margin."""

    def speed(_, x):
        return f.logits(paths.normal(x))

    def arrived(_, x):
        return margin_of(x) - margin_of(np.log(start)) - won

    arrived.terminal = True
    pace = margin_of(speed(0, np.log(start)))
    done = solve_ivp(speed, (0, 1e4 * abs(won / pace)), np.log(start), "LSODA", events=arrived, rtol=1e-9, atol=1e-11)
    assert done.status == 1
    return np.exp(paths.normal(done.y[:, -1]))


@pytest.mark.parametrize(
    "loss, geometry, margin",
    [
        (call("kto", beta=1.0), "both", 1.0),
        (call("kto", beta=0.5, kl=0.5), "independent", 4.0),
        (call("rpo", beta=0.1, eta=0.05), "both", 1.0),
        (call("rpo", beta=0.1, eta=0.2), "apart", 0.5),
        (call("simpo", beta=2.0, chosen_lengths=1, rejected_lengths=4), "independent", 2.0),
        (call("simpo", beta=2.0, chosen_lengths=4, rejected_lengths=1), "both", 0.5),
        (call("dpop", beta=0.5, lambda_=5.0), "independent", 1.0),
    ],
    ids=str,
)
@pytest.mark.parametrize("answers", [3, 5])
def test_paths_are_those_of_a_stiff_solver(loss, geometry, margin, answers):
    start = spread(np.array([0.3, 0.35, 0.35]), answers)
    f = Flow(loss, kernel(geometry, answers), np.log(np.full(answers, 1 / answers)))
    path = paths.walk(f, start, margin)
    assert path.end == "reached" and path.won[-1] == pytest.approx(margin, abs=1e-8)
    assert np.allclose(np.exp(path.logps[-1]), stiffly(f, start, margin), atol=2e-6)


def test_margin_alone_is_one_line_and_the_numbers_of_lesson_04():
    start = spread(opening())
    for geometry, loss in itertools.product(("alike", "both"), MARGIN_ALONE):
        path = paths.walk(Flow(loss, kernel(geometry), np.log(start)), start, 0.5)
        line = flows.margin_alone(kernel(geometry), np.log(start), path.won)
        assert path.end == "reached" and np.allclose(path.logps, line, atol=1e-9)
    end = np.exp(flows.margin_alone(kernel("alike"), np.log(start), np.array(0.5)))
    assert end.round(3).tolist() == [0.762, 0.139, 0.099]


def test_alike_answers_leave_one_line_on_which_losses_stop_or_turn():
    start = spread(opening())
    ends = {}
    for name, loss in {"RPO": call("rpo", eta=0.05), "more": call("rpo", eta=0.2), "DPOP": call("dpop", lambda_=5.0)}.items():
        path = paths.walk(Flow(loss, kernel("alike"), np.log(start)), start, 0.5)
        assert np.allclose(path.logps, flows.margin_alone(kernel("alike"), np.log(start), path.won), atol=1e-9)
        ends[name] = path
    assert {path.end for path in ends.values()} == {"stalls"}
    assert ends["RPO"].won[-1] == pytest.approx(0.108, abs=5e-4) and ends["DPOP"].won[-1] == pytest.approx(0, abs=1e-9)
    assert ends["more"].won[-1] < -0.01 and ends["more"].logps[-1, CHOSEN] > np.log(start[CHOSEN])
    rest = Flow(call("rpo", eta=0.05), kernel("alike"), np.log(start)).field(np.exp(ends["RPO"].logps[-1]))
    assert abs(rest).max() < 1e-8  # it stops because nothing pushes


def test_ipo_stops_at_its_target():
    start = spread(opening())
    path = paths.walk(Flow(call("ipo", beta=1.0), kernel("both"), np.log(start)), start, 2.0)
    assert path.end == "stalls" and path.won[-1] == pytest.approx(0.5, abs=1e-8)


def test_dpop_slides_along_its_kink_as_small_steps_zigzag_about_it():
    start = spread(np.array([0.25, 0.25, 0.5]))
    loss = call("dpop", beta=0.5, lambda_=5.0)
    f = Flow(loss, kernel("both"), np.log(start))
    assert f.rates(np.log(start), 1)[CHOSEN] < 0 < f.rates(np.log(start), -1)[CHOSEN]
    path = paths.walk(f, start, 0.1)
    assert path.end == "reached" and abs(path.logps[:, CHOSEN] - np.log(start[CHOSEN])).max() < 1e-6
    logits = np.log(start)
    while margin_of(logits) - margin_of(np.log(start)) < 0.1:
        logits = logits + 0.006 * f.logits(paths.normal(logits))
    assert np.allclose(np.exp(paths.normal(logits)), np.exp(path.logps[-1]), atol=2.5e-3)


def test_a_path_that_starts_below_the_kink_goes_on_beyond_it():
    start, uniform = spread(np.array([0.2, 0.4, 0.4])), np.log(np.full(3, 1 / 3))
    path = paths.walk(Flow(call("dpop", lambda_=50.0), kernel("independent"), uniform), start, 2.0)
    assert path.end == "reached" and path.logps[0, CHOSEN] < uniform[0] < path.logps[-1, CHOSEN]


# ---------------------------------------------------------------- what is shown and said

SAMPLE = [state for state in states(60, seed=4) if not (state.geometry == "apart" and state.loss in ("KTO", "SimPO", "RPO"))][
    :30
]


@pytest.mark.parametrize("state", SAMPLE, ids=lambda s: f"{s.loss}-{s.geometry}-{s.answers}")
def test_what_is_said_of_the_end_is_so(state):
    shown, start = EXPLORER.seen(state), begins(state)
    assert shown["ended"] in EXPLORER.explain(state, state)
    assert abs(sum(shown["gain"])) < 1e-9 and abs(shown["flow"].sum(-1)).max() < 1e-9 * (1e-9 + abs(shown["flow"]).max())
    fell, outcome = shown["chosen_fall"], shown["outcome"]
    assert shown["chosen_end"] == pytest.approx(start[CHOSEN] * np.exp(fell))
    if outcome in ("fell", "rose", "held"):
        assert shown["margin_won"] == pytest.approx(state.margin, abs=1e-6)
    if outcome == "fell":
        assert fell < 0 and shown["rejected_fall"] < 0 and shown["winner"] not in ("No", "Never") and shown["winner_gain"] > 0
    if outcome in ("rose", "held"):
        assert fell > -1e-6
    if outcome == "stalls":
        assert 0 < shown["margin_won"] < state.margin
    if outcome == "backwards":
        assert shown["margin_won"] == pytest.approx(-state.margin, abs=1e-6)
    if outcome == "rests":
        assert -state.margin < shown["margin_won"] < 0 and shown["end"] == "stalls"
    if outcome == "stays":
        assert state.loss == "DPOP" and fell == pytest.approx(0, abs=1e-6) and state.lambda_ > 0
    assert outcome != "cut" or len(shown["won"]) == paths.MOST


def test_every_change_is_given_its_reason():
    start = EXPLORER.start
    said = set()
    for control in CONTROLS:
        for loss in control.when[1][:1] if control.when and control.when[0] == "loss" else ["DPO"]:
            here = EXPLORER.moved(start, loss=loss)
            option = next(o for o in reversed(control.options) if o != getattr(here, control.name))
            after = EXPLORER.moved(here, **{control.name: option})
            words = EXPLORER.explain(here, after)
            assert words.endswith(EXPLORER.seen(after)["ended"]) and "{" not in words
            said.add(words.removesuffix(EXPLORER.seen(after)["ended"]))
    assert len(said) == len(CONTROLS) and "Another start." in EXPLORER.explain(
        start, EXPLORER.moved(start, moved=(0, 0.5, 0.2))
    )


@pytest.mark.parametrize("loss", ["DPO", "SimPO", "DPOP"])
def test_beta_changes_when_and_not_where(loss):
    """As it says, also where the lengths differ and where DPOP slides."""
    for geometry, moved in (("both", (0, 0.5, 0.5)), ("independent", None)):
        made = [
            show(
                Simplex(loss=loss, geometry=geometry, beta=beta, chosen_lengths=2, reference="start", margin=0.25, moved=moved)
            )
            for beta in (0.05, 1.0)
        ]
        assert np.allclose(made[0]["gain"], made[1]["gain"], atol=1e-7) and made[0]["pace"] != pytest.approx(made[1]["pace"])


BACKWARDS = {"loss": "IPO", "beta": 5.0, "reference": "uniform", "moved": (0, 0.1, 0.05)}


def test_where_the_walk_stops_is_not_where_the_flow_does():
    """IPO gives margin away towards its target: as far as one walks, and then to rest."""
    near, far, whole = (dataclasses.replace(EXPLORER.start, **BACKWARDS, margin=margin) for margin in (0.5, 2.0, 4.0))
    assert "the walk stops at −0.5" in EXPLORER.explain(near, near) and "the walk stops at −2" in EXPLORER.explain(far, far)
    assert "comes to rest at −2.4" in EXPLORER.explain(whole, whole) and "walk stops" not in EXPLORER.explain(whole, whole)
    assert "from margin −0.5 to −2." in EXPLORER.explain(near, far) and "instead of −2.4" in EXPLORER.explain(whole, near)


def test_a_longer_walk_is_told_by_the_margin_that_is_won():
    ipo, dpo = EXPLORER.moved(EXPLORER.start, loss="IPO", beta=5.0), EXPLORER.start
    assert "Walked on, from margin 0.5 to 4." in EXPLORER.explain(dpo, EXPLORER.moved(dpo, margin=4.0))
    words = EXPLORER.explain(ipo, EXPLORER.moved(ipo, margin=4.0))
    assert "the path is the same. The margin stops at 0.1, short of 4" in words and "Walked" not in words


def test_nothing_has_no_sign_and_once_is_not_a_number_of_times():
    still = EXPLORER.seen(EXPLORER.moved(EXPLORER.start, loss="DPOP"))
    assert still["outcome"] == "stays" and still["gain_words"] == ["0%"] * 3
    kto = EXPLORER.moved(EXPLORER.start, loss="KTO")
    assert "No is pushed as hard as Never" in EXPLORER.explain(EXPLORER.start, kto)
    assert "2 times as hard" in EXPLORER.explain(kto, EXPLORER.moved(kto, desirable_weight=2.0))


def test_simpo_pushes_as_the_lengths_are():
    assert show(Simplex(loss="SimPO", chosen_lengths=2, rejected_lengths=8))["pull"] == pytest.approx(4)
    assert show(Simplex(loss="KTO", desirable_weight=2.0))["pull"] == pytest.approx(2)


# ---------------------------------------------------------------- in the browser

LINKS = {
    "logistic": (link.logistic, {"smoothing": 0.2}),
    "robust": (link.robust, {"smoothing": 0.2}),
    "hinge": (link.hinge, {"at": 0.7}),
    "squared": (link.squared, {"target": 0.5}),
    "exo": (link.exo, {"smoothing": 0.01}),
    "falling": (link.falling, {}),
    "discopop": (link.discopop, {"tau": 0.2}),
}


def test_slopes_of_links_in_the_browser():
    z = torch.linspace(-30, 30, 241, dtype=torch.float64) + 0.01
    told = {name: options for name, (_, options) in LINKS.items()}
    body = "const [z, told] = given; return Object.entries(told).map(([f, options]) => z.map((x) => slope(f, x, options)));"
    found = dict(zip(told, javascript.run(body, z.tolist(), told), strict=True))
    for name, (f, options) in LINKS.items():
        assert np.allclose(found[name], link.slope(f, z, **options).numpy(), rtol=1e-9, atol=1e-12), name
    assert javascript.run("return slope('linear', 3)") == 1


def test_the_browser_shows_the_same():
    backwards = [dataclasses.replace(EXPLORER.start, **BACKWARDS, margin=margin) for margin in (0.5, 4.0)]
    some = [
        *SAMPLE[::3],
        *backwards,
        EXPLORER.moved(EXPLORER.start, loss="DPOP"),
        *(EXPLORER.moved(EXPLORER.start, loss=loss, geometry="both", answers=4) for loss in LOSSES),
    ]
    for state, there in zip(some, javascript.shown(EXPLORER, some), strict=True):
        here = EXPLORER.seen(state)
        assert here.keys() == there.keys()
        for name, value in here.items():
            if isinstance(value, (str, list)):
                assert there[name] == value, (name, state)
            else:
                assert np.shape(there[name]) == np.shape(value), (name, state)
                size = max(1.0, float(np.abs(value).max()))
                assert np.abs(np.asarray(there[name]) - value).max() < 1e-9 * size, (name, state)


def test_moving_a_point_puts_the_start_there():
    state = dataclasses.replace(EXPLORER.start, moved=(0, 0.4, 0.3))
    shown = EXPLORER.seen(state)
    assert (shown["start_x"], shown["start_y"]) == pytest.approx((0.4, 0.3))
    assert EXPLORER.opened(EXPLORER.code(state)).start == state


def test_start_values_are_checked():
    with pytest.raises(ValueError, match="loss must be one of 'DPO', 'IPO', 'KTO', 'SimPO', 'DPOP', 'RPO'; got 'PPO'"):
        explorers.simplex(loss="PPO")
    assert [c.name for c in explorers.simplex(hide=("beta",)).controls if c.hidden] == ["beta"]
