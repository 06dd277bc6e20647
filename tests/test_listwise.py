"""Lists of answers: where the listwise objectives meet each other, InfoNCE and DPO."""

import math

import cases
import pytest
import torch

from labkit import link, losses, preferences

LOOPS = cases.loops("rewards_loops")


def close(got, want, tolerance=1e-12):
    torch.testing.assert_close(got, torch.as_tensor(want, dtype=torch.float64), rtol=0, atol=tolerance)


def pairs(n=6):
    """Scores of two answers, as `beta` times log-ratios, and DPO's value for them."""
    logps = [-torch.rand(n, dtype=torch.float64) * 5 - 0.1 for _ in range(4)]
    r = link.ratios(*logps)
    return 0.1 * r.chosen, 0.1 * r.rejected, preferences.dpo(*logps, reduction="none")


@pytest.mark.parametrize(
    ("name", "options"), [("info_nca", {}), ("info_nca", {"temperature": 0.3}), ("softmax_dpo", {})], ids=str
)
def test_values_are_those_of_a_slow_loop(name, options):
    given = cases.inputs(preferences_entry(name))
    want = getattr(LOOPS, name)(**{k: x.tolist() for k, x in given.items()}, **options)
    close(getattr(preferences, name)(**given, **options, reduction="none"), want)


def preferences_entry(name):
    return next(e for e in cases.ENTRIES if e.name == name)


def test_every_list_of_two_is_dpo():
    chosen, rejected, dpo = pairs()
    scores, labels = torch.stack([chosen, rejected], 1), torch.tensor([[1, 0]]).expand(6, 2)
    weight = 1 / math.log(2) - 1 / math.log(3)
    same = {
        "lipo": preferences.lipo(scores, labels, reduction="none") / weight,
        "plackett_luce": preferences.plackett_luce(scores, 1 - labels, reduction="none"),
        "softmax_dpo": preferences.softmax_dpo(chosen, rejected[:, None], reduction="none"),
        "info_nca, cold": preferences.info_nca(scores, labels, temperature=1e-3, reduction="none"),
    }
    for name, got in same.items():
        torch.testing.assert_close(got, dpo, rtol=0, atol=1e-12, msg=name)


def test_two_answers_of_unsure_rewards_are_dpo_with_smoothed_labels():
    logps = [-torch.rand(6, dtype=torch.float64) * 5 - 0.1 for _ in range(4)]
    r = link.ratios(*logps)
    rewards = torch.tensor([[1.2, 0.0]], dtype=torch.float64).expand(6, 2)
    share = 1 / (1 + math.exp(1.2))
    got = preferences.info_nca(0.1 * torch.stack([r.chosen, r.rejected], 1), rewards, reduction="none")
    close(got, preferences.dpo(*logps, label_smoothing=share, reduction="none"))


def test_softmax_dpo_is_info_nce_with_implicit_rewards_for_similarities():
    anchors, positives = torch.randn(5, 8, dtype=torch.float64), torch.randn(5, 8, dtype=torch.float64)
    negatives = torch.randn(5, 3, 8, dtype=torch.float64)
    unit = torch.nn.functional.normalize
    chosen = (unit(anchors, dim=-1) * unit(positives, dim=-1)).sum(-1) / 0.2
    rejected = torch.einsum("nd,nkd->nk", unit(anchors, dim=-1), unit(negatives, dim=-1)) / 0.2
    got = preferences.softmax_dpo(chosen, rejected, reduction="none")
    close(got, losses.info_nce(anchors, positives, negatives, temperature=0.2, reduction="none"))


def test_softmax_dpo_is_the_first_step_of_plackett_luce_and_cold_info_nca():
    scores = torch.randn(6, 4, dtype=torch.float64)
    first = preferences.softmax_dpo(scores[:, 0], scores[:, 1:], reduction="none")
    close(preferences.info_nca(scores, torch.tensor([[2, 1, 1, 0]]).expand(6, 4), temperature=1e-3, reduction="none"), first)
    ranking = torch.arange(4).expand(6, 4)
    rest = preferences.plackett_luce(scores[:, 1:], ranking[:, :3], reduction="none")
    close(preferences.plackett_luce(scores, ranking, reduction="none"), first + rest)


def test_the_smallest_value_is_the_entropy_of_the_rewards_choice():
    labels = torch.randn(5, 4, dtype=torch.float64)
    choice = (labels / 0.5).softmax(-1)
    entropy = -(choice * choice.log()).sum(-1)
    at = preferences.info_nca(labels / 0.5 + 3.0, labels, temperature=0.5, reduction="none")  # any level will do
    close(at, entropy)
    for _ in range(50):
        assert (preferences.info_nca(torch.randn(5, 4).double(), labels, temperature=0.5, reduction="none") >= entropy).all()


def test_what_a_candidate_feels_is_how_much_more_often_it_is_chosen_than_it_should_be():
    scores, labels = torch.randn(5, 4, dtype=torch.float64, requires_grad=True), torch.randn(5, 4, dtype=torch.float64)
    (slope,) = torch.autograd.grad(preferences.info_nca(scores, labels, reduction="sum"), scores)
    close(slope, scores.detach().softmax(-1) - labels.softmax(-1))


def test_hopeless_lists_stay_finite():
    chosen = torch.tensor([-2000.0], requires_grad=True)
    loss = preferences.softmax_dpo(chosen, torch.zeros(1, 3))
    loss.backward()
    assert loss.isfinite() and chosen.grad.item() == pytest.approx(-1.0)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda x: preferences.info_nca(x, x[:, :2]), "labels has k = 2, but scores has k = 3"),
        (lambda x: preferences.info_nca(x[:, :1], x[:, :1]), "k >= 2"),
        (lambda x: preferences.info_nca(x, x, temperature=0.0), "temperature must be > 0"),
        (lambda x: preferences.softmax_dpo(x[:, 0], x[:1]), "rejected_scores has n = 1, but chosen_scores has n = 2"),
        (lambda x: preferences.softmax_dpo(x[:, 0], x[:, 0]), r"rejected_scores must have shape \(n, k\), got \(2,\)"),
    ],
)
def test_bad_input_is_named(act, message):
    with pytest.raises(ValueError, match=message):
        act(torch.randn(2, 3))
