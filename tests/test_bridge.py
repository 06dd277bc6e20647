"""Lesson 04a: lists of answers and what is taught with them, the stored policies, and the explorer that moves both at once."""

import dataclasses
import itertools
import json
import math

import javascript
import numpy as np
import pytest
import torch

from labkit import losses, preferences, results
from labkit.explorers import bridge as explorer
from labkit.explorers.bridge import MANY, SIDES, STRENGTHS, Bridge, digits, policy, scores
from labkit.explorers.core import jsonable
from labkit.figures import preference_bridge
from labkit.recipes import bridge as recipe
from labkit.tour import walk

DOUBLE = torch.float64


@pytest.fixture(scope="module")
def made():
    return explorer()


def states(made):
    for k, strength in itertools.product((1, 8, 32), STRENGTHS):
        yield Bridge(k, strength)


# ---------------------------------------------------------------- lists


def test_lists_are_draws_of_plackett_luce():
    tokens = recipe.lists(20_000, seed=1, k=1).tokens
    gap = recipe.worth(tokens).double().diff(dim=1)[:, 0].neg()  # of the chosen over the rejected one
    assert (gap >= 0).double().mean() > 0.5
    for size in (1, 2, 3):
        won = (gap == size).sum() / (gap.abs() == size).sum()
        assert won.item() == pytest.approx(1 / (1 + math.exp(-size)), abs=0.02), "Bradley-Terry's share for this difference"


def test_half_of_a_list_is_near_duplicates():
    words = recipe.lists(400, seed=2).tokens[..., 2:]
    shared = (words[:, :, None] == words[:, None]).sum(-1)
    near = (shared >= 3).double().mean((1, 2)) - 1 / words.shape[1]  # not with itself
    assert 0.05 < near.mean() < 0.4


def test_a_shorter_list_keeps_its_order():
    long = recipe.lists(50, seed=3)
    places = recipe.cut(50, recipe.MOST + 1, 3, torch.Generator().manual_seed(0))
    short = long.cut(3, torch.Generator().manual_seed(0)).tokens
    assert (places.diff(dim=1) > 0).all() and short.shape == (50, 4, 7) and len(places.unique()) == recipe.MOST + 1
    assert all(torch.equal(short[row], long.tokens[row, places[row]]) for row in range(50))
    assert torch.equal(long.cut(recipe.MOST, torch.Generator()).tokens, long.tokens)


def test_worth_counts_liked_words():
    tokens = torch.tensor([[3, 1, *(recipe.FIRST_WORD + 10 * slot + word for slot, word in enumerate((0, 4, 5, 9, 2)))]])
    assert recipe.worth(tokens).tolist() == [3]


def test_objectives_agree_on_a_pair():
    pair = torch.randn(9, 2, dtype=DOUBLE)
    values = [objective(pair) for objective in recipe.OBJECTIVES.values()]
    assert max(values) - min(values) < 1e-12


def test_the_bridge_is_an_identity_of_the_catalogs_functions():
    s = torch.rand(5, 4, dtype=DOUBLE) * 2 - 1
    vectors = torch.stack([s, (1 - s.square()).sqrt()], dim=-1)
    anchors = torch.tensor([[1.0, 0.0]], dtype=DOUBLE).expand(5, 2)
    one = losses.info_nce(anchors, vectors[:, 0], vectors[:, 1:], temperature=0.2)
    torch.testing.assert_close(one, preferences.softmax_dpo(s[:, 0] / 0.2, s[:, 1:] / 0.2), rtol=0, atol=1e-12)


# ---------------------------------------------------------------- stored policies


def test_a_slice_of_the_stored_policies_is_taught_again():
    stored = results.load("bridge")
    made = results.compute("bridge", numbers=[2], objectives=["one softmax"], seeds=[0])
    assert np.array_equal(made["words"], stored["words"]) and np.array_equal(made["worths"], stored["worths"])
    for name in ("worth", "ordered", "kl"):  # another machine rounds otherwise
        assert made[name][0, 0, 0] == pytest.approx(stored[name][0, 1, 0], abs=0.05), name
    assert np.abs(made["ratios"][0] - stored["ratios"][1]).mean() < 0.05


# ---------------------------------------------------------------- the explorer


def test_show_is_pure_and_jsonable(made):
    first = made.show(made.start)
    text = json.dumps(jsonable(first))
    for value in first.values():
        if isinstance(value, np.ndarray):
            value[...] = 0
    assert json.dumps(jsonable(made.show(made.start))) == text


def test_shares_add_up_to_one_and_fall_with_rank(made):
    for state, side in itertools.product(states(made), SIDES):
        shown = made.seen(state)
        share = shown[f"{side}_alike"] + shown[f"{side}_other"]
        assert share.sum() == pytest.approx(1) and (share[state.k :] == 0).all() and (np.diff(share) < 1e-12).all()
        assert share[0] == pytest.approx(shown[f"{side}_hardest"])


@pytest.mark.parametrize("side", SIDES)
def test_the_push_gathers_as_scores_count_more(side):
    hardest = [scores(side, 16, strength).share().max(1).values for strength in STRENGTHS]
    assert all((low <= high + 1e-12).all() for low, high in itertools.pairwise(hardest))


@pytest.mark.parametrize("side", SIDES)
def test_losses_stay_below_chance_and_one_pair_is_dpo(made, side):
    shown = made.seen(made.start)
    assert (shown[f"{side}_loss"] < shown["chance"]).all() and shown["chance"][0] == pytest.approx(math.log(2))
    pair = scores(side, 1, 1.0).values
    zero = torch.zeros(len(pair), dtype=DOUBLE)
    below = pair.max() + 1  # log-probabilities are not positive
    dpo = preferences.dpo(pair[:, 0] - below, pair[:, 1] - below, zero - below, zero - below, beta=1.0)
    assert shown[f"{side}_loss"][0] == pytest.approx(dpo.item())


def test_no_digit_is_its_own_negative():
    found = digits(32)
    assert found.values.shape == (256, 33) and (found.values[:, 1:] < 10 - 1e-6).all()
    assert torch.equal(digits(4).values, found.values[:, :5]), "fewer negatives are the first of the many"


def test_the_policy_is_judged_on_whole_lists_at_the_most():
    stored, found = results.load("bridge"), policy(recipe.MOST, draws=1)
    ratios = stored["ratios"][recipe.NUMBERS.index(8)]
    assert np.allclose(found.values.numpy(), recipe.BETA * ratios)


def test_each_change_is_told_with_its_numbers(made):
    said = made.explain(made.start, made.start)
    assert "K = 8: chance is log 9 = 2.20" in said and "an even share is 13%" in said
    assert "this is DPO" in made.explain(Bridge(8), Bridge(1))
    assert "no model changed" in made.explain(Bridge(8), Bridge(32))
    assert "gathers on the hardest" in made.explain(Bridge(8), Bridge(8, 4.0))
    assert "spreads over all" in made.explain(Bridge(8), Bridge(8, 0.25))


def test_a_code_brings_the_state_back(made):
    assert made.opened(made.code(Bridge(16, 0.5))).start == Bridge(16, 0.5)
    assert [s.k for s in made.states()][:: len(STRENGTHS)] == list(MANY)


def test_the_page_looks_up_what_python_shows(made):
    every = list(made.states())
    for state, shown in zip(every, javascript.shown(made, every), strict=True):
        for name, value in made.seen(state).items():
            assert np.allclose(shown[name], value, atol=1e-6), (name, state)
    assert "log(K + 1)" in made.alt and len(made.alt) > 200


@pytest.mark.parametrize("wrong", [{"k": 5}, {"strength": 3.0}])
def test_bad_arguments_are_named(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be one of"):
        explorer(**wrong)


def test_it_opens_where_it_is_told():
    assert explorer(k=2, strength=0.5).start == dataclasses.replace(Bridge(), k=2, strength=0.5)


def test_a_lesson_between_two_numbers_is_found_in_its_place():
    names = [script.stem for script in walk.lessons()]
    at = names.index("04a_bridge")
    assert names[at - 1] == "04_likelihood_displacement" and names[at + 1] == "05_maps"
    assert [script.stem for script in walk.lessons(["04a"])] == ["04a_bridge"]


# ---------------------------------------------------------------- figures


def test_figures_name_what_they_show():
    k, x = np.array([1, 2, 4]), np.ones((3, 2))
    figure = preference_bridge.bought(k, {"one softmax": (x, x), "K pairs": (x, x)}, 2.5)
    assert {"one softmax", "K pairs", "untaught"} <= {t.get_text() for t in figure.axes[0].texts}
    figure = preference_bridge.chance_lines(k, {"digits": np.ones(3)})
    assert {"chance, log(K + 1)", "digits"} <= {t.get_text() for t in figure.axes[0].texts}
