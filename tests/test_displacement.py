"""What lesson 04 rests on: exact flows, the recipes behind its stored results, and its figures."""

import numpy as np
import pytest
import torch

from labkit import metrics, results
from labkit.figures import answers, preference
from labkit.models.policies import SoftmaxPolicy, answer_gradients
from labkit.recipes import likelihood_displacement as recipe
from labkit.recipes.likelihood_displacement import NEVER, NO, YES, prefer
from labkit.training import call
from labkit.training.flow import flow


def test_flow_is_gradient_descent_on_the_policy_itself():
    features, head = torch.randn(1, 2, 3, dtype=torch.float64), torch.randn(1, 4, 3, dtype=torch.float64)
    policy = SoftmaxPolicy(features[0], head[0])
    optimizer, path = torch.optim.SGD(policy.parameters(), lr=0.3), []
    loss = prefer(0, 1, loss=call("dpo", beta=0.5))
    reference = None
    for _ in range(5):
        logps = policy(torch.arange(2)).log_softmax(-1)[None]
        path.append(logps.detach())
        reference = path[0]
        optimizer.zero_grad()
        loss(logps, reference).backward()
        optimizer.step()
    torch.testing.assert_close(flow(features, head, loss, lr=0.3, steps=4), torch.stack(path), rtol=0, atol=1e-14)


def test_problems_of_a_flow_share_nothing():
    h, w = recipe.geometry(5, jitter=0.5, seed=1)
    together = flow(h, w, prefer(), train="features", steps=20)
    alone = torch.cat([flow(h[i : i + 1], w[i : i + 1], prefer(), train="features", steps=20) for i in range(5)], dim=1)
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-14)


def test_two_answers_cannot_both_fall_and_three_can():
    two = flow(torch.randn(50, 1, 3), torch.randn(50, 2, 3), prefer(0, 1))[:, :, 0]
    assert (two[:, :, 0].diff(dim=0) >= -1e-6).all()
    three = flow(*recipe.geometry(), prefer(), train="features")[:, 0, 0]
    assert three[-1, NO] < three[0, NO] and three[-1, NEVER] < three[0, NEVER] and three[-1, YES] > three[0, YES]


@pytest.mark.parametrize("name", ["dpo", "ipo", "simpo", "dpop", "rpo"])
def test_every_remedy_pushes_the_margin_it_was_given(name):
    path = flow(*recipe.geometry(), prefer(loss=call(name)), train="head", lr=0.001, steps=30)
    assert recipe.margins(path)[-1, 0, 0] > 0


def test_two_token_answers_are_scored_from_their_states():
    states = recipe.two_tokens(scales=(2.0,), cosines=(1.0, -1.0))
    assert torch.equal(states[0, 2], 2 * states[0, 1]) and torch.equal(states[1, 2], -2 * states[1, 1])
    logps = torch.arange(9.0).view(1, 3, 3)
    assert [x.item() for x in recipe.two_token_scores(logps)] == [0 + 5, 1 + 8]


def test_gradients_of_answers_are_those_of_each():
    policy = SoftmaxPolicy(torch.randn(4, 2), torch.randn(3, 2), train="head")
    tokens, mask = torch.tensor([[3, 0], [3, 2]]), torch.tensor([[False, True]] * 2)
    rows = answer_gradients(policy, tokens, mask)
    assert rows.shape == (2, 6)
    p = policy(tokens)[0, 0].softmax(-1).detach()
    exact = (torch.eye(3)[[0, 2]] - p)[:, :, None] * policy.features[3].detach()
    torch.testing.assert_close(rows.view(2, 3, 2), exact)
    assert metrics.entanglement(rows[0], rows[1]) < 1


# ---------------------------------------------------------------- stored runs


def test_a_slice_of_the_stored_runs_comes_out_again():
    stored = results.load("likelihood_displacement")
    slice_ = results.compute("likelihood_displacement", seeds=[0], suffixes=["other suffix"], parts=["head"])
    assert slice_.keys() == stored.keys() and len(slice_["seed"]) == 2
    for row in range(2):
        same = (stored["seed"] == 0) & (stored["suffix"] == "other suffix") & (stored["part"] == "head")
        (i,) = (same & (stored["optimizer"] == slice_["optimizer"][row])).nonzero()[0]
        for name in ("entanglement", "ches", "change"):
            assert slice_[name][row] == pytest.approx(stored[name][i], abs=0.05), name  # another machine rounds otherwise
    assert (stored["margin"] >= 4).all()


# ---------------------------------------------------------------- figures


def words(figure):
    return {t.get_text() for ax in figure.axes for t in [*ax.texts, ax.title, ax._left_title, ax.xaxis.label]}


def test_labels_that_would_cover_each_other_move_apart():
    points = [(1.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 0.0)]
    placed = preference.spaced(points, 0.0, 2.0, 0.0, 1.0)
    heights = [y for _, y in placed]
    assert min(abs(heights[i] - heights[j]) for i in range(3) for j in range(i)) >= 0.07 - 1e-6
    assert all(0 <= y <= 1 for y in heights) and [x for x, _ in placed] == [1.0, 1.0, 1.0, 0.0]


def test_figures_name_what_they_show():
    x, p = np.linspace(0, 1, 5), np.full((5, 3), 1 / 3)
    assert {"a", "No 0.33", "margin won so far (nats)"} <= words(answers.answers({"a": (x, p)}))
    assert {"hidden state", "Never"} <= words(answers.arrows({"a": {"head": np.ones((2, 3)), "state": np.array([0.0, 1.0])}}))
    assert {"Yes", "No", "Never"} <= words(answers.triangles({"a": np.stack([p, p])}))
    assert {"Yes  +0.50", "a"} <= words(answers.gains({"a": {"Yes": 0.5, "No": -0.5}}))
    assert {"b", "a"} <= words(preference.movements({"a": {"b": [(x, x)]}}))
    assert {"DPO"} <= {ax.get_title(loc="center") for ax in preference.links(x, {"DPO": (x, x), "IPO": (x, x)}).axes}
    coloured = preference.tokens([("run", ["Q", "No"], np.array([np.nan, -0.5]))])
    assert {"run", "Q", "prompt", "No", "-0.50", "= -0.50"} <= words(coloured)
    assert {"ratio", "a"} <= words(preference.foretold({"a": ("ratio", {"Adam": (x, x)})}, line=1.0))


def test_corners_of_the_triangle_are_certain_answers():
    corners = answers.ternary(np.eye(3))
    assert np.allclose(np.linalg.norm(corners - np.roll(corners, 1, axis=0), axis=1), 1)
    assert np.allclose(answers.ternary(np.full(3, 1 / 3)), corners.mean(0))


def test_the_slider_has_a_frame_for_every_angle():
    angles, head = np.array([0, 90]), np.zeros((2, 3, 2))
    lines = {"one": (np.ones((2, 4)), np.full((2, 4), 0.25)), "two": (np.ones((2, 4)), np.full((2, 4), 0.75))}
    figure = answers.turning(angles, head, lines, start=1)
    assert [f.name for f in figure.frames] == ["0", "90"] and figure.layout.sliders[0].active == 1
    assert len(figure.data) == len(figure.frames[0].data) == 5
