"""The displacement doctor: its sums are exact, its runs are those of the lessons, and it takes the reader's own."""

import itertools
import re

import numpy as np
import pytest
import torch

from labkit import explorers, results
from labkit.data.preferences import load
from labkit.explorers import cases
from labkit.explorers.displacement import Displacement
from labkit.explorers.displacement_scene import ROWS
from labkit.recipes import displacement as recipe
from labkit.recipes import likelihood_displacement as small
from labkit.training import fit
from labkit.training.account import Account, gradients, inner


@pytest.fixture(scope="module")
def explorer():
    return explorers.displacement()


# ------------------------------------------------------------------ exact sums


def test_the_numbers_of_the_tokens_add_up_to_the_margin(explorer):
    for state in explorer.states():
        shown = explorer.seen(state)
        total = shown["chosen_values"].sum() + shown["rejected_values"].sum()
        if state.color == "contribution":
            assert total == pytest.approx(shown["margin"], abs=1e-6)
        else:
            assert shown["chosen_values"].sum() - shown["rejected_values"].sum() == pytest.approx(shown["margin"], abs=1e-6)


def test_both_sums_of_the_bars_are_exact(explorer):
    for state in explorer.states():
        shown = explorer.seen(state)
        change, margin = shown["parts"][ROWS], shown["parts"][-1]
        assert shown["parts"][:ROWS].sum() == pytest.approx(change, abs=1e-6)
        assert change == pytest.approx(shown["gained"], abs=1e-9)
        assert shown["parts"][ROWS + 1 : -1].sum() == pytest.approx(margin, abs=1e-6)
        assert margin == shown["margin"]


def number(words):
    return round(float(words.replace("−", "-").replace("\u2009", "") or 0), 2)


def test_what_is_printed_adds_up_as_printed(explorer):
    """To the last digit, and no number is more than a hundredth from what it is."""
    for state in explorer.states():
        shown = explorer.seen(state)
        *parts, change, even, uneven, margin = map(number, shown["part_numbers"])
        assert round(sum(parts) - change, 4) == 0 == round(even + uneven - margin, 4), state
        assert np.nanmax(np.abs(shown["parts"] - [*parts, change, even, uneven, margin])) < 0.0101
        chosen, rejected = (sum(map(number, shown[f"{side}_numbers"])) for side in ("chosen", "rejected"))
        told = [number(re.search(r"[+−]?\d[\d.\u2009]*", words.split(" ", 2)[2])[0]) for words in shown["heading"]]
        assert [round(chosen, 2), round(rejected, 2)] == told
        total = chosen + rejected if state.color == "contribution" else chosen - rejected
        assert round(total - margin, 4) == 0 and f"margin {margin:.2f}".replace("-", "−") in shown["sum"]
        if "leaves" in shown["verdict"]:
            assert f"adds up to {shown['part_numbers'][0]};" in shown["verdict"]


def test_what_the_alternative_text_says_holds(explorer):
    ends = [explorer.seen(explorer.moved(explorer.start, pair=pair)) for pair in range(4)]
    assert explorer.start.policy == "same ending, Adam" and len({shown["gained"] > 0 for shown in ends}) == 2
    assert all(abs(shown["parts"][:2].sum()) < 0.02 * shown["parts"][0] for shown in ends)
    assert "rises or falls" in explorer.alt


def test_every_bar_says_what_it_means(explorer):
    shown = explorer.seen(explorer.start)
    assert all(shown["part_meanings"])
    even, uneven = shown["parts"][-3], shown["parts"][-2]
    w, lo = shown["chosen_values"], shown["rejected_values"]
    assert even == pytest.approx((w.mean() - lo.mean()) * (len(w) + len(lo)) / 2)
    assert uneven == pytest.approx((len(w) - len(lo)) * (w.mean() + lo.mean()) / 2)


def test_unequal_lengths_count_only_where_there_are_any(explorer):
    for state in explorer.states():
        shown = explorer.seen(state)
        even = len(shown["chosen_words"]) == len(shown["rejected_words"])
        assert (shown["parts"][-2] == 0) == (even or shown["step"] == 0)


def test_what_is_lost_is_gained(explorer):
    for state in explorer.states():
        shown = explorer.seen(state)
        assert shown["gains"].sum() == pytest.approx(0, abs=1e-12)
        assert (np.diff(shown["gains"][1:-1]) <= 1e-12).all()
        assert shown["low"] < shown["gains"].min() and shown["gains"].max() < shown["reach"]


def test_the_margin_is_that_of_whole_answers_and_not_a_sum_of_ours():
    data = load("grammar")
    model = fit(small.language(0, steps=30), progress=False).model()
    tokens_w, tokens_l, whole, spoken = recipe.look(model, data, [0, 3])
    assert torch.allclose(whole, torch.stack([tokens_w.sum(-1), tokens_l.sum(-1)], -1), atol=1e-12, rtol=0)
    assert spoken.shape == (2, 7, 63) and torch.allclose(spoken.exp().sum(-1), torch.ones(2, 7), atol=1e-5)


# ------------------------------------------------------------------ whose push


def test_the_pushes_of_all_answers_make_the_account():
    """Split by answer instead of by side, and the same in all; Adam, so that the moments matter."""
    config, data = small.preferring(1, learned=30), load("grammar", seed=1)
    books = []
    for kind in (recipe.Ledger, Account):
        model, _ = recipe.beginning(config, data)
        parameters = list(model.parameters())
        optimizer = torch.optim.Adam(parameters, lr=3e-4)
        book = recipe.Ledger(parameters, optimizer, len(data)) if kind is recipe.Ledger else Account(parameters, optimizer)
        for _ in range(3):
            now = recipe.answers(model, data, torch.arange(len(data)))
            loss = -torch.nn.functional.logsigmoid(0.1 * (now["chosen_logps"] - now["rejected_logps"])).mean()
            if kind is Account:
                watched = now["chosen_logps"][5], now["rejected_logps"][5]
                line = book.step(now["chosen_logps"], now["rejected_logps"], loss, watched=watched).chosen
                books.append([line.total, line.own, line.entangled])
            else:
                made = book.moved(now, loss, [5])[0]
                books.append([made.sum(), made[:8].sum(), made[8:].sum()])
    np.testing.assert_allclose(books[:3], books[3:], rtol=1e-3, atol=1e-4)


def test_one_step_of_gradient_descent_is_split_as_the_gradients_say():
    data = load("grammar")
    config = small.preferring(0, "same suffix", "SGD", learned=30).replace(steps=2, until=None)
    model, _ = recipe.beginning(config, data)
    now = recipe.answers(model, data, torch.arange(len(data)))
    slopes = [gradients(x, list(model.parameters())) for side in ("chosen_logps", "rejected_logps") for x in now[side]]
    made = recipe.walk(config, data, [2]).pushes[1, 0]
    pull = 0.05 * 0.1 * 0.5 / len(data)  # lr, beta, the slope of DPO at the start, the mean over pairs
    expected = [pull * (1 if i < len(data) else -1) * inner(slopes[2], slope) for i, slope in enumerate(slopes)]
    np.testing.assert_allclose(made, expected, rtol=1e-4, atol=1e-9)


def test_the_walk_is_the_run_of_the_lesson():
    config = small.preferring(0, "other suffix", "SGD", learned=30).replace(steps=40)
    history, data = fit(config, progress=False).history, load("grammar", part="other suffix")
    walked = recipe.walk(config, data, list(range(len(data))))
    assert len(walked.margin) == len(history["margin"])
    np.testing.assert_allclose(walked.margin.mean(-1), history["margin"], atol=1e-4)
    np.testing.assert_allclose(walked.chosen.sum(-1).mean(-1), history["chosen_gain"], atol=1e-4)


def test_frames_are_spread_over_the_margin():
    margin = np.concatenate([np.linspace(0, 1, 50), np.linspace(1.5, 4, 6)])
    for frames in (2, 7, 13):
        steps = recipe.spread(margin, frames)
        assert steps[0] == 0 and steps[-1] == 55 and len(steps) == frames
        assert all(a < b for a, b in itertools.pairwise(steps))
    assert recipe.spread(np.arange(3.0), 5) == [0, 1, 2, 2, 2]


# ------------------------------------------------------------------ what is stored


def test_a_slice_of_the_stored_runs_comes_out_again():
    stored = results.load("displacement_doctor")
    made = results.compute("displacement_doctor", policies=["other ending, SGD"])
    rows = np.flatnonzero(stored["policy"] == "other ending, SGD")
    assert len(rows) == 4 and made.keys() == stored.keys()
    for name in ("margin", "chosen", "rejected", "parts"):
        np.testing.assert_allclose(made[name][:, -1], stored[name][rows, -1], atol=0.05, err_msg=name)
    assert (made["chosen_words"] == stored["chosen_words"][rows]).all()


def test_what_is_stored_tells_the_story_of_the_lessons():
    ends = {}
    for case in cases.stored():
        ends.setdefault(case.policy, []).append(float(case.chosen[-1].sum()))
        assert case.margin[-1] > 2 and case.steps[0] == 0 and not case.chosen[0].any()
    assert all(len(changes) == 4 for changes in ends.values()) and len(ends) == 7
    assert np.mean(ends["same ending, Adam"]) < -0.1 < 0 < min(ends["same ending, SGD"])
    assert min(ends["other ending, Adam"] + ends["other ending, SGD"]) > 0.3
    near = ends["SmolLM2, near-duplicate"]
    assert near[0] < -0.3 and min(near[1:]) > 0.1 and min(ends["SmolLM2, opposite"]) > 0.5


# ------------------------------------------------------------------ what is said


def test_what_is_said_of_the_chosen_answer_holds(explorer):
    for state in explorer.states():
        said, shown = explorer.explain(state, state), explorer.seen(state)
        change = shown["gained"]
        assert ("answer falls by" in said) == (shown["step"] > 0 and change < -0.005)
        assert ("answer rises by" in said) == (shown["step"] > 0 and change > 0.005)
        if "leaves" in said:
            own, against = shown["parts"][:2]
            assert own > 0 and abs(own + against) < 0.1 * own


def test_a_change_is_named(explorer):
    start = explorer.start
    back = explorer.moved(start, frame=2)
    assert "higher than at step" in explorer.explain(start, back) and "lower than at step" in explorer.explain(back, start)
    assert "add up to the margin" in explorer.explain(start, explorer.moved(start, color="contribution"))
    assert "Another policy" in explorer.explain(start, explorer.moved(start, policy="same ending, SGD"))
    assert "Another pair" in explorer.explain(start, explorer.moved(start, pair=2))


def test_a_start_that_does_not_exist():
    with pytest.raises(ValueError, match="policy must be one of 'same ending, Adam', 'same ending, SGD'"):
        explorers.displacement(policy="PPO")
    with pytest.raises(ValueError, match="pair must be a whole number from 1 to 4"):
        explorers.displacement(pair=0)
    assert explorers.displacement(pair=4, color="contribution").start == Displacement(
        "same ending, Adam", 3, recipe.FRAMES - 1, "contribution"
    )


# ------------------------------------------------------------------ the reader's own


@pytest.fixture(scope="module")
def examined():
    pytest.importorskip("transformers")
    import llamas

    from labkit.diagnose.checkpoints import examine

    return examine(llamas.llama(0), llamas.llama(1), llamas.records(same=False), tokenizer=llamas.tokenizer())


def test_it_takes_what_examine_returns(examined):
    explorer = explorers.displacement(examined)
    assert [c.name for c in explorer.controls if c.hidden] == ["policy"]
    changes = []
    for pair in range(9):
        shown = explorer.seen(explorer.moved(explorer.start, pair=pair, color="contribution"))
        assert shown["chosen_values"].sum() + shown["rejected_values"].sum() == pytest.approx(shown["margin"], abs=1e-6)
        assert np.nansum(shown["parts"][:2]) == pytest.approx(shown["gained"], abs=1e-9)
        assert shown["gains"].sum() == pytest.approx(0, abs=1e-6)
        assert shown["chosen_words"][:2] == ["No", ","]
        changes.append(shown["gained"])
    assert changes == sorted(changes)  # those that fell most come first
    assert np.mean(changes) == pytest.approx(examined.diagnosis.chosen.value, abs=1e-5)
    assert "up to the fork" in explorer.explain(explorer.start, explorer.start)


def test_of_anything_else_it_says_what_is_missing(examined):
    with pytest.raises(ValueError, match=r"no log-probabilities of tokens: hand over what .*examine.* got Diagnosis"):
        explorers.displacement(examined.diagnosis)
    with pytest.raises(ValueError, match="no log-probabilities of tokens"):
        explorers.displacement(examined._replace(looked=None))
