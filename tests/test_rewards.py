"""Objectives of reward models, and rewards that nobody trained: slow loops, official numbers, identities."""

import json
import math

import cases
import pytest
import torch

from labkit import preferences
from labkit.registry import ENTRIES

LOOPS = cases.loops("rewards_loops")
STORED = json.loads((cases.ORACLES / "rewards.json").read_text(encoding="utf-8"))
# What a loop is tried with beside its defaults.
OPTIONS = {
    "bradley_terry": [{"label_smoothing": 0.2, "center": 0.3}],
    "reward_chain": [{"near": 0.7, "shrink": 0.2}],
    "contrastive_reward": [{"form": "differences", "weight": 2.0}, {"temperature": 0.5}],
    "info_nca": [{"temperature": 0.3}],
    "goal_conditioned": [{"weight": 2.0}],
    "pal": [{"form": "angle", "temperature": 0.07}, {"temperature": 0.5}],
    "weak_to_strong": [{"confidence": 1.0}, {"progress": 0.05}, {"progress": 0.5, "warmup": 0.6}],
    "kl_penalized_reward": [{"beta": 1.0}],
    "relevance_reward": [{"longest": 100}],
    "preference_strength": [{"form": "std"}],
    "logits_finetuning": [{"alpha": 0.3}, {"alpha": 0.3, "progress": 0.25}, {"progress": 0.0}],
    "dckd": [{"weight": 0.3}],
}
CASES = [
    (name, options, optional)
    for name in vars(LOOPS)
    if name in ENTRIES
    for options in [{}, *OPTIONS.get(name, [])]
    for optional in ([False, True] if len(cases.inputs(ENTRIES[name], optional=True)) > len(ENTRIES[name].tensors) else [False])
]


def close(got, want, tolerance=1e-12):
    torch.testing.assert_close(got, torch.as_tensor(want, dtype=torch.float64), rtol=0, atol=tolerance)


def draw(*shape):
    return torch.randn(*shape, dtype=torch.float64)


@pytest.mark.parametrize(("name", "options", "optional"), CASES)
def test_values_are_those_of_a_slow_loop(name, options, optional):
    entry = ENTRIES[name]
    given = cases.inputs(entry, optional=optional)
    want = getattr(LOOPS, name)(**{k: x.tolist() for k, x in given.items()}, **options)
    close(cases.unreduced(entry, given, **options), want)


def test_every_loop_is_tried():
    assert {name for name, _, _ in CASES} == {n for n in vars(LOOPS) if n in {e.name for e in cases.ENTRIES}}
    assert len({name for name, _, _ in CASES}) >= 20


@pytest.mark.parametrize("row", STORED["values"], ids=lambda r: f"{r['entry']}: {r['function']} {r['options']}")
def test_values_and_gradients_are_those_of_the_official_code(row):
    given = {}
    for argument, name in row["arguments"].items():
        value = torch.tensor(STORED["inputs"][name])
        given[argument] = torch.tensor(STORED["inputs"][name], dtype=torch.float64) if value.is_floating_point() else value
    leaves = {n: given[n].requires_grad_() for n in row.get("gradient", {})}
    reduction = {"reduction": "none"} if isinstance(row["value"], list) and "reduction" in parameters(row) else {}
    value = ENTRIES[row["entry"]].fn(**given, **row["options"], **reduction)
    close(value.detach(), row["value"], 1e-11)
    if leaves:
        value.mean().backward()
        for name, want in row["gradient"].items():
            close(leaves[name].grad, want, 1e-11)


def parameters(row):
    return ENTRIES[row["entry"]].checker.parameters


# ---------------------------------------------------------------- comparisons


def test_smoothed_labels_and_a_level_are_what_they_say():
    w, bad = draw(8), draw(8)
    wrong = preferences.bradley_terry(bad, w, reduction="none")
    right = preferences.bradley_terry(w, bad, reduction="none")
    close(preferences.bradley_terry(w, bad, label_smoothing=0.2, reduction="none"), 0.8 * right + 0.2 * wrong)
    shifted = preferences.bradley_terry(w + 3, bad + 3, reduction="none")
    close(shifted, right)  # comparisons do not see the level
    level = preferences.bradley_terry(w + 3, bad + 3, center=0.1, reduction="none") - shifted
    close(level, 0.1 * (w + bad + 6).square())


def test_a_margin_moves_the_target_of_the_gap():
    gap = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    margin = torch.tensor([0.0, 1.0, 2.0, -1.0], dtype=torch.float64)
    (push,) = torch.autograd.grad(preferences.bradley_terry(gap, torch.zeros_like(gap), margin, reduction="sum"), gap)
    close(push, -torch.sigmoid(margin))  # wider margins push harder; one below 0 asks for less


def test_preference_strength_finds_the_flipped_labels():
    """Ten reward models that agree up to noise: the mean margin of a wrongly labelled pair is below 0."""
    truth = draw(400).abs() + 0.3
    flipped = torch.rand(400) < 0.25
    gaps = torch.where(flipped, -truth, truth)[:, None] + 0.4 * draw(400, 10)
    strength = preferences.preference_strength(gaps, torch.zeros_like(gaps))
    assert ((strength < 0) == flipped).double().mean() > 0.99
    one = preferences.preference_strength(gaps[:, :1], torch.zeros_like(gaps[:, :1]))
    assert ((one < 0) == flipped).double().mean() < ((strength < 0) == flipped).double().mean()  # one model alone errs more


def test_a_chain_of_three_is_three_comparisons():
    a, b, c = draw(5), draw(5), draw(5)
    pairs = [preferences.bradley_terry(x, y, reduction="none") for x, y in ((a, b), (a, c), (b, c))]
    close(preferences.reward_chain(a, b, c, near=1.0, shrink=0.0, reduction="none"), sum(pairs) / 3)


def test_contrast_parts_features_that_ranking_leaves_together():
    """Two answers with equal features rank at chance whatever the head; the contrast is largest there."""
    r, h = torch.zeros(4, dtype=torch.float64), draw(4, 6)
    same = preferences.contrastive_reward(r, r, h, h, h, h, weight=1.0)
    apart = preferences.contrastive_reward(r, r, h, draw(4, 6), h, draw(4, 6), weight=1.0)
    ranked = preferences.bradley_terry(r, r)
    assert same - ranked >= math.log(2) - 1e-12  # each answer has a double that it cannot be told from
    good, bad = torch.eye(8, dtype=torch.float64).split(4)
    assert preferences.contrastive_reward(r, r, good, bad, good, bad, weight=1.0) - ranked < 1e-6 < apart


def test_differences_are_contrasted_with_their_own_opposites():
    r, w, bad = torch.zeros(1, dtype=torch.float64), draw(1, 5), draw(1, 5)
    got = preferences.contrastive_reward(r, r, w, bad, w, bad, form="differences", temperature=1.0, weight=1.0)
    close(got, math.log(2) + math.log(1 + math.exp(-2)))  # cosines 1 and -1


def test_contexts_reduce_to_bradley_terry_and_forgive_reversals():
    w, bad = draw(6, 3), draw(6, 3)
    one = preferences.context_reward(w[:, :1], bad[:, :1], draw(6, 1), reduction="none")
    close(one, preferences.bradley_terry(w[:, 0], bad[:, 0], reduction="none"))
    known = torch.tensor([[0.0, -1000.0, -1000.0]], dtype=torch.float64).expand(6, 3)
    close(
        preferences.context_reward(w, bad, known, reduction="none"),
        preferences.bradley_terry(w[:, 0], bad[:, 0], reduction="none"),
    )
    gap = torch.tensor([[30.0, -30.0]], dtype=torch.float64)
    even = torch.zeros(1, 2, dtype=torch.float64)
    both = preferences.context_reward(gap, -gap, even) + preferences.context_reward(-gap, gap, even)
    close(both, 2 * math.log(2), 1e-9)  # a pair preferred either way: log 2 each, which no single reward beats
    flat = torch.linspace(-5, 5, 101, dtype=torch.float64)
    assert (
        preferences.bradley_terry(flat, 0 * flat, reduction="none")
        + preferences.bradley_terry(0 * flat, flat, reduction="none")
    ).min() == pytest.approx(2 * math.log(2))
    certain = torch.tensor([[1000.0, 0.0]], dtype=torch.float64)  # and told the context, it is settled
    assert preferences.context_reward(gap, -gap, certain) < 1e-9


# ---------------------------------------------------------------- rewards nobody trained


def test_the_penalised_reward_is_best_at_the_tilted_reference_where_all_answers_earn_the_same():
    reference, rewards = draw(9).log_softmax(0), draw(9)
    best = (reference + rewards / 0.5).log_softmax(0)
    earned = preferences.kl_penalized_reward(rewards, best, reference, beta=0.5)
    close(earned, (0.5 * torch.logsumexp(reference + rewards / 0.5, 0)).expand(9))
    for _ in range(50):
        other = (best + 0.3 * draw(9)).log_softmax(0)
        assert (other.exp() * preferences.kl_penalized_reward(rewards, other, reference, beta=0.5)).sum() < earned[0]


def test_transformed_rewards_are_the_logarithm_of_being_good_in_every_respect():
    rewards, at = draw(6, 3), draw(6, 3)
    got = preferences.log_sigmoid_reward(rewards, at)
    close(got.exp(), torch.sigmoid(rewards - at).prod(-1))
    poor, fine = torch.tensor([[-3.0, 3.0], [0.0, 0.0]], dtype=torch.float64).split(1)
    zero = torch.zeros(1, 2, dtype=torch.float64)
    assert preferences.log_sigmoid_reward(poor, zero) < preferences.log_sigmoid_reward(fine, zero)  # their plain sums are equal
    assert preferences.log_sigmoid_reward(torch.full((1, 2), 1e6), torch.zeros(1, 2)) == 0  # no exploit pays without end


def test_a_tilted_reference_by_transformed_rewards_is_the_reference_given_that_the_answer_is_good():
    reference, rewards, at = draw(8).log_softmax(0), draw(8, 2), draw(8, 2)
    tilted = (reference + preferences.log_sigmoid_reward(rewards, at)).softmax(0)
    joint = reference.exp() * torch.sigmoid(rewards - at).prod(-1)
    close(tilted, joint / joint.sum())


def test_the_density_ratio_is_dpos_implicit_reward():
    strong, weak = -draw(5).abs(), -draw(5).abs()
    chosen, rejected = -draw(5).abs(), -draw(5).abs()
    dpo = preferences.dpo(strong, chosen, weak, rejected, beta=1.0, reduction="none")
    rewards = preferences.density_ratio_reward(strong, weak), preferences.density_ratio_reward(chosen, rejected)
    close(preferences.bradley_terry(*rewards, reduction="none"), dpo)


def test_repeated_runs_count_once():
    tokens = torch.tensor([[1, 2, 3, 1, 2, 3], [5, 5, 5, 5, 9, 9], [1, 2, 3, 4, 5, 6], [7, 7, 9, 9, 9, 9]])
    mask = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1], [1, 1, 0, 0, 0, 0]])
    close(preferences.distinct_ngrams(tokens, mask).double(), [0.75, 0.5, 1.0, 1.0], 1e-7)
    padded = torch.cat([torch.full((4, 2), 99), tokens], 1)
    left = preferences.distinct_ngrams(padded, torch.cat([torch.zeros(4, 2, dtype=torch.long), mask], 1))
    assert torch.equal(left, preferences.distinct_ngrams(tokens, mask))


def test_length_pays_only_where_the_question_is_open():
    relevance, diversity = torch.ones(2), torch.ones(2)
    for factual, pays in ((torch.zeros(2).bool(), True), (torch.ones(2).bool(), False)):
        short, long = preferences.relevance_reward(relevance, torch.tensor([10, 300]), diversity, factual)
        assert (long > short) == pays


@pytest.mark.parametrize("entry", [e for e in cases.ENTRIES if e.family == "reward_signals"], ids=lambda e: e.name)
def test_a_reward_can_be_differentiated(entry):
    given = cases.inputs(entry)
    names = list(cases.leaves(entry, given))
    leaves = tuple(cases.leaves(entry, given).values())
    assert torch.autograd.gradcheck(lambda *x: entry.fn(**{**given, **dict(zip(names, x, strict=True))}), leaves)


@pytest.mark.parametrize("level", [-2000.0, -100.0, 100.0, 2000.0])
def test_hopeless_and_settled_comparisons_stay_finite(level):
    a, zero = torch.tensor([level], requires_grad=True), torch.zeros(1)
    total = preferences.bradley_terry(a, zero, label_smoothing=0.1, center=0.01) + preferences.reward_chain(a, zero, -a)
    total = total + preferences.context_reward(a[:, None], zero[:, None], zero[:, None])
    total = total + preferences.weak_to_strong(a, -a) - preferences.log_sigmoid_reward(a[:, None], zero[:, None]).sum()
    total.backward()
    assert total.isfinite() and a.grad.isfinite().all()


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda x: preferences.bradley_terry(x, x, label_smoothing=0.5), "label_smoothing must be in"),
        (lambda x: preferences.bradley_terry(x, x, center=-1.0), "center must be >= 0"),
        (lambda x: preferences.reward_chain(x, x, x[:1]), "worst_rewards has n = 1"),
        (lambda x: preferences.pal(x[:, None], x[:, None], x[:, None], torch.ones(2, 1)), "prototypes has k = 2"),
        (
            lambda x: preferences.pal(x[:, None], x[:, None], x[:, None], torch.ones(1, 1), form="cosine"),
            "form must be 'distance'",
        ),
        (lambda x: preferences.weak_to_strong(x, x, confidence=1.5), r"confidence must be in \[0, 1\]"),
        (lambda x: preferences.kl_penalized_reward(x, -x, x.abs()), "ref_logps must be <= 0"),
        (lambda x: preferences.density_ratio_reward(-x.abs(), -x.abs(), torch.tensor([2, 0])), "lengths must be > 0, got 0"),
        (lambda x: preferences.relevance_reward(x, torch.ones(2), 2 + 0 * x), r"diversity must be in \[0, 1\]"),
        (lambda x: preferences.bco(-x, -x, -x, -x, -x), "rejected_weights must be >= 0"),
        (lambda x: preferences.desirability_weights(x, low=3.0, high=1.0), "low must not be above high"),
        (lambda x: preferences.kl_estimate(x, -x), "logps must be <= 0"),
        (
            lambda x: preferences.multiplier_loss(x[:1], x[:, None].expand(2, 2), x),
            "rewards has k = 2, but multipliers has k = 1",
        ),
    ],
)
def test_bad_input_is_named(act, message):
    with pytest.raises(ValueError, match=message):
        act(torch.tensor([1.0, 2.0]))
