"""What lesson 09 rests on: links, lengths, bandits, coverage, cycles, logic and divergences, on policies known exactly."""

import itertools
import math

import numpy as np
import pytest
import torch

from labkit import preferences
from labkit.figures import preference_links, preference_policies
from labkit.recipes import bandits
from labkit.recipes import preference_landscape as recipe

DOUBLE = torch.float64

# ---------------------------------------------------------------- links and lengths


def test_a_margin_drifts_by_the_slope_of_its_link():
    path = recipe.drift("squared (IPO)", torch.tensor([3.0], dtype=DOUBLE), steps=2, lr=0.1)
    assert path[:, 0].tolist() == pytest.approx([3.0, 3 - 0.1 * 2 * 2.5, 2.5 - 0.1 * 2 * 2.0])


@pytest.mark.parametrize("name", recipe.SCORES)
def test_the_push_on_a_token_is_a_finite_difference(name):
    lengths = torch.tensor([7.0], dtype=DOUBLE), torch.tensor([3.0], dtype=DOUBLE)
    up, down = recipe.token_push(name, *lengths)
    ref = -lengths[0], -lengths[1]

    def loss(a, b):
        return recipe.scored(name, (ref[0] + a, ref[1] + b), ref, lengths).item()

    step = 1e-6  # on one token of one answer
    assert up.item() == pytest.approx((loss(-step, 0) - loss(step, 0)) / (2 * step), rel=1e-6)
    assert down.item() == pytest.approx((loss(0, step) - loss(0, -step)) / (2 * step), rel=1e-6)


def test_an_unknown_way_of_counting_length_is_refused():
    with pytest.raises(ValueError, match="name must be one of sum, no reference"):
        recipe.scored("median", (torch.zeros(1),) * 2, (torch.zeros(1),) * 2, (torch.ones(1),) * 2)


@pytest.mark.parametrize("words", [1, 3])
def test_equal_means_make_an_end_as_likely_as_a_word(words):
    path = recipe.lengths_after("mean, no reference", words=words, start=8.0, longest=80, steps=300)
    assert path[0].item() == pytest.approx(8) and path[-1].item() == pytest.approx(words + 1, abs=1e-2)


# ---------------------------------------------------------------- bandits


def test_nothing_beats_the_tilted_reference_at_its_distance():
    reward, reference = bandits.bandit()
    generator = torch.Generator().manual_seed(0)
    for beta in (0.05, 0.3):
        best = bandits.tilted(reference, reward, beta)
        others = (best + 0.3 * torch.randn(50, bandits.ARMS, generator=generator, dtype=DOUBLE)).log_softmax(-1)
        value = others.exp() @ reward - beta * bandits.kl(others, reference)
        assert (value < best.exp() @ reward - beta * bandits.kl(best, reference)).all()


def test_population_dpo_has_the_optimum_of_the_policy_gradient():
    reward, reference = torch.tensor([0.1, 0.9, 0.4, 0.0], dtype=DOUBLE), torch.tensor([0.4, 0.1, 0.2, 0.3], dtype=DOUBLE).log()
    found = bandits.solved(reference, bandits.population_dpo(reward, 0.5))
    best = bandits.tilted(reference, reward, 0.5)
    assert bandits.kl(found, best).abs() < 1e-14 and (found - best).abs().max() < 1e-7  # L-BFGS stops where the loss is flat


def test_pairs_are_ranked_and_differ():
    reward, reference = bandits.bandit()
    w, lose = bandits.sampled_pairs(reference, reward, 300, seed=1)
    assert (w != lose).all() and (reward[w] >= reward[lose]).all() and 250 < len(w) <= 300
    w, lose = bandits.every_pair(torch.tensor([0.0, 1.0, 1.0, 2.0]))
    assert sorted(zip(w.tolist(), lose.tolist(), strict=True)) == [(1, 0), (2, 0), (3, 0), (3, 1), (3, 2)]


def test_offline_pairs_leave_arms_they_do_not_have():
    reward, reference = bandits.bandit()
    w, lose = bandits.sampled_pairs(reference, reward, 100)
    seen = torch.zeros(bandits.ARMS, dtype=torch.bool)
    seen[torch.cat([w, lose])] = True
    for name, loss in bandits.offline(reward, w, lose).items():
        logits = reference.clone().requires_grad_()
        loss(logits.log_softmax(-1), reference).backward()
        unseen = logits.grad[~seen]
        if name in ("DPO", "IPO"):
            assert unseen.abs().max() < 1e-12, "what no pair holds is not pushed"
        else:
            assert (unseen > 0).all(), "imitation takes from all that it does not see"


def test_the_exact_gradient_is_what_draws_estimate():
    reward, reference = torch.tensor([0.0, 1.0, 0.5], dtype=DOUBLE), torch.tensor([0.5, 0.2, 0.3], dtype=DOUBLE).log()
    losses = bandits.online(reward, beta=0.1, draws=200_000)
    grads = []
    for name in ("policy gradient, exact", "policy gradient, 200000 draws"):
        logits = (reference + torch.tensor([0.3, 0.0, 0.0])).requires_grad_()
        losses[name](logits.log_softmax(-1), reference).backward()
        grads.append(logits.grad)
    torch.testing.assert_close(*grads, rtol=0, atol=3e-3)


# ---------------------------------------------------------------- coverage, cycles


@pytest.mark.parametrize("share", [0.2, 1e-3])
def test_the_unmentioned_answer_takes_all_and_a_kl_stops_it(share):
    alone, held = (bandits.unmentioned(share, weight) for weight in (0.0, 0.1))
    assert alone[-1, 2].exp() > 0.99 and bandits.kl(alone[-1], alone[0]).item() == pytest.approx(-math.log(share), abs=0.02)
    assert held[-1, 2].exp() < 2 * share + 0.05
    assert preferences.dpo(*alone[-1, :2, None], *alone[0, :2, None]) < preferences.dpo(*held[-1, :2, None], *held[0, :2, None])


def test_hypo_estimates_the_kl_that_stops_it():
    sampled, exact = bandits.unmentioned(0.01, 0.1, draws=256, seed=1), bandits.unmentioned(0.01, 0.1)
    assert (sampled[-200:].exp().mean(0) - exact[-1].exp()).abs().max() < 0.05


def test_a_cycle_is_a_tournament_without_a_winner():
    pairs = bandits.cycle(5)
    assert len(pairs) == 10 and all((pairs[:, 0] == k).sum() == 2 for k in range(5))
    best = max(sum(o.index(a) < o.index(b) for a, b in bandits.cycle(3).tolist()) for o in itertools.permutations(range(3)))
    assert best == 2


@pytest.mark.parametrize("n", [3, 5])
def test_rewards_say_nothing_of_a_cycle_and_planes_all(n):
    pairs = bandits.cycle(n)
    rewards, loss, _ = bandits.fitted(pairs, 1, seed=3)
    assert loss[-1].item() == pytest.approx(math.log(2), abs=1e-6) and rewards.std() < 1e-3
    _, loss, right = bandits.fitted(pairs, 2, seed=3)
    assert loss[-1] < 0.01 and right[-1] == 1


# ---------------------------------------------------------------- logic, divergences


def test_counted_cases_add_up_to_one():
    p, q = torch.rand(20, dtype=DOUBLE), torch.rand(20, dtype=DOUBLE)
    torch.testing.assert_close(recipe.counted((0, 1, 2, 3), p, q), torch.ones(20, dtype=DOUBLE))
    torch.testing.assert_close(recipe.counted((0, 1), p, q), p)
    torch.testing.assert_close(recipe.counted((0, 2), p, q), q)


def test_orpo_is_the_odds_of_two_cases():
    p, q = torch.rand(20, dtype=DOUBLE) * 0.98 + 0.01, torch.rand(20, dtype=DOUBLE) * 0.98 + 0.01
    named = recipe.LOGIC["ORPO: w and not l, against l and not w"]
    one = torch.ones(20)
    official = preferences.orpo(p.log(), q.log(), one, one, beta=1.0, sft=0.0, reduction="none")
    torch.testing.assert_close(recipe.semantic(*named, p, q), official, rtol=1e-12, atol=1e-12)


def test_there_are_225_losses_and_each_is_there_once():
    losses = recipe.every_loss()
    assert len(losses) == len(set(losses)) == (2**4 - 1) ** 2


def test_divergences_vanish_at_the_target_alone():
    target = bandits.two_peaks()
    other = bandits.one_peak(torch.tensor([40.0]), torch.tensor([10.0]))[0].double()
    for name, divergence in bandits.DIVERGENCES.items():
        assert abs(divergence(target, target)) < 1e-12 < divergence(other, target), name
    nearest = bandits.closest(target)
    covering, seeking = (nearest[f"KL({a})"].exp() for a in ("target, policy", "policy, target"))
    assert covering[50:60].sum() > 10 * seeking[50:60].sum()


# ---------------------------------------------------------------- figures


def words(figure):
    texts = [t for ax in figure.axes for t in [*ax.texts, ax.title, ax._left_title, ax.xaxis.label, ax.yaxis.label]]
    return {t.get_text() for t in texts}


def test_figures_name_what_they_show():
    x = np.linspace(0.1, 1, 9)
    atlas = preference_links.atlas(x, {"logistic (DPO)": (x, -x), "EXO": (x, -x)}, {"logistic (DPO)": x, "EXO": x}, x)
    assert {"logistic\n(DPO)", "push on the margin", "margin z"} <= words(atlas)
    assert {"sum", "tokens of the chosen answer"} <= words(
        preference_links.tokens_pushed(x, {"sum": (x, x), "b": (x, x), "c": (x, x)}, 10)
    )
    assert {"sum", "mean length, tokens"} <= words(preference_links.lengths({"sum": 10 * x, "mean": 5 * x}, 5.0))
    assert {"a", "nats"} <= words(preference_links.strengths({"a": {"b": (x, x)}}, [("nats", "y")]))
    grid = np.ones((9, 9))
    assert {"CPO", "chosen: log-odds"} <= words(preference_links.logic({"CPO": (grid, grid, grid), "b": (grid, grid, grid)}, x))
    p = np.full(9, 1 / 9)
    assert {"DPO", "reward 0.55"} <= words(preference_policies.arms(p, x, {"DPO": p, "b": p}, x < 0.5))
    assert {"DPO", "KL from the reference, nats"} <= words(preference_policies.frontier((x, x), {"DPO": (x, x / 2)}))
    assert {"alone"} <= words(preference_policies.coverage({"alone": {"0.1": (x, x)}, "held": {"0.1": (x, x)}}))
    assert {"rock", "a reward: 1.00"} <= words(preference_policies.cycle(np.eye(2), ["rock", "paper"], {"a reward": x}, 0.69))
    assert {"KL"} <= words(preference_policies.peaks(p, {"KL": p, "b": p}))
