"""Exact policies, the tiny transformer and their data: known probabilities, causality, and a trainer that moves them."""

import math

import pytest
import torch

from labkit import preferences
from labkit.data.preferences import FIRST_WORD, HARMFUL, OPENERS, SLOTS, VOCABULARY, load
from labkit.models.policies import softmax_policy
from labkit.models.tiny_lm import TinyLM, tiny_lm
from labkit.training import Config, call, fit


def probabilities(policy, data):
    return policy(data.chosen)[0, 0].softmax(-1)


def test_the_exact_policy_says_what_its_geometry_says():
    data = load("three_answers")
    logits = torch.tensor([-0.4 * 1.0, -0.4 * -1.0, -0.4 * -1.4], dtype=torch.float64)
    torch.testing.assert_close(probabilities(softmax_policy(data), data), logits.softmax(0), rtol=0, atol=1e-15)


@pytest.mark.parametrize(("train", "moves"), [("features", {"features"}), ("head", {"head"}), ("both", {"features", "head"})])
def test_only_what_trains_has_a_gradient(train, moves):
    data = load("three_answers")
    policy = softmax_policy(data, train=train)
    preferences.sequence_logps(policy(data.chosen), data.chosen, data.chosen_mask).sum().backward()
    assert {name for name, p in policy.named_parameters() if p.grad is not None} == moves


def test_policies_say_what_they_need():
    with pytest.raises(ValueError, match="'features', 'head' or 'both', got 'body'"):
        softmax_policy(load("three_answers"), train="body")
    with pytest.raises(ValueError, match="try 'three_answers', or tiny_lm"):
        softmax_policy(load("grammar"))
    with pytest.raises(ValueError, match="no preference pairs called 'poetry'; there are grammar, hub, jsonl"):
        load("poetry")
    with pytest.raises(ValueError, match="part must be 'corpus'"):
        load("grammar", part="prose")


def test_the_corpus_has_the_promised_frequencies():
    corpus = load("grammar", part="corpus", n=40_000, seed=3)
    prompt, opener = corpus.chosen[:, 0] - len(OPENERS), corpus.chosen[:, 1]
    harmful = prompt < len(HARMFUL)
    seen = [(opener[harmful] == i).double().mean().item() for i in range(3)]
    assert seen == pytest.approx([0.10, 0.88, 0.02], abs=0.01)
    calm = [(opener[~harmful] == i).double().mean().item() for i in range(3)]
    assert calm == pytest.approx([0.98, 0.02 * 0.88 / 0.9, 0.02 * 0.02 / 0.9], abs=0.003)
    ends = corpus.chosen[:, 2:] - FIRST_WORD
    assert (ends // 10 == torch.arange(5)).all()  # each word stands in its own slot
    shares = torch.bincount((ends % 10).flatten(), minlength=10).double() / ends.numel()
    assert shares.tolist() == pytest.approx([0.1] * 10, abs=0.005)


def test_pair_sets_differ_only_in_the_rejected_ending():
    same, other = load("grammar", part="same suffix", seed=5), load("grammar", part="other suffix", seed=5)
    assert torch.equal(same.chosen, other.chosen) and same.sha256 != other.sha256
    assert torch.equal(same.rejected[:, 2:], same.chosen[:, 2:])
    assert (other.rejected[:, 2:] != other.chosen[:, 2:]).all()
    assert (other.rejected[:, 2:] - FIRST_WORD).div(10, rounding_mode="floor").eq(torch.arange(5)).all()
    for pairs in (same, other):
        assert pairs.words(0)[:2] == ["lie?", "No"] and pairs.words(0, "rejected")[:2] == ["lie?", "Never"]
        assert (pairs.rejected[:, 0] == pairs.chosen[:, 0]).all() and len(pairs) == 8
        assert pairs.chosen_mask.sum(-1).eq(6).all() and not pairs.chosen_mask[:, 0].any()


def test_no_word_has_two_ids():
    assert len(set(VOCABULARY)) == len(VOCABULARY) == 13 + 10 * len(SLOTS)


def test_the_transformer_does_not_look_ahead():
    torch.manual_seed(0)
    model = TinyLM(vocabulary=11, context=6)
    tokens = torch.randint(11, (3, 6))
    other = tokens.clone()
    other[:, 4:] = (tokens[:, 4:] + 1) % 11
    a, b = model(tokens), model(other)
    torch.testing.assert_close(a[:, :4], b[:, :4])
    assert not torch.allclose(a[:, 4:], b[:, 4:])
    torch.testing.assert_close(model(tokens[:, :3]), a[:, :3])
    assert model.head(model.hidden(tokens)).equal(a) and model.hidden(tokens).shape == (3, 6, 32)


def test_the_transformer_says_what_it_cannot_take():
    with pytest.raises(ValueError, match="t = 7, but this model was built for at most 6"):
        TinyLM(vocabulary=11, context=6)(torch.zeros(1, 7, dtype=torch.long))
    with pytest.raises(ValueError, match="multiple of heads, got d = 30"):
        TinyLM(vocabulary=11, context=6, d=30)


def test_the_head_is_not_the_embedding():
    model = tiny_lm(load("grammar"))
    assert model.head.weight.data_ptr() != model.tokens.weight.data_ptr()


@pytest.fixture
def own_home(monkeypatch, tmp_path):
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))


EXACT = Config(
    data=call("three_answers"),
    model=call("softmax_policy", train="features"),
    loss=call("dpo"),
    optimizer=call("sgd", lr=0.25),
    steps=401,
    batch=1,
)


@pytest.mark.parametrize(("train", "chosen", "rejected"), [("features", 0.041, 0.022), ("head", 0.685, 0.173)])
def test_the_same_preference_ends_where_preference_training_says(own_home, train, chosen, rejected):
    history = fit(EXACT.replace(model=call("softmax_policy", train=train))).history
    assert math.exp(history["chosen_logps"][0]) == pytest.approx(0.381, abs=5e-4)
    assert math.exp(history["chosen_logps"][-1]) == pytest.approx(chosen, abs=5e-4)
    assert math.exp(history["rejected_logps"][-1]) == pytest.approx(rejected, abs=5e-4)


def test_training_stops_at_the_margin_and_starts_from_the_corpus(own_home):
    learned = Config(
        data=call("grammar", part="corpus", n=256),
        model=call("tiny_lm", d=8, layers=1, heads=2),
        loss=call("sft"),
        optimizer=call("adamw", lr=1e-2),
        steps=30,
        batch=64,
    )
    first = fit(learned)
    assert first.history["loss"][-1] < first.history["loss"][0] and "margin" not in first.history
    run = fit(
        learned.replace(
            data=call("grammar"),
            loss=call("dpo"),
            optimizer=call("sgd", lr=0.5),
            start=learned,
            steps=500,
            until=("margin", 1.0),
        )
    )
    margins = run.history["margin"]
    assert margins[0] == 0 and margins[-2] < 1 <= margins[-1]
    data = load("grammar")
    before = preferences.sequence_logps(first.model()(data.chosen), data.chosen, data.chosen_mask)
    after = preferences.sequence_logps(run.model()(data.chosen), data.chosen, data.chosen_mask)
    assert before.mean().item() == pytest.approx(run.history["chosen_logps"][0], abs=1e-4)
    assert after.mean().item() == pytest.approx(run.history["chosen_logps"][-1], abs=1e-4)
