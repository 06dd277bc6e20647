"""a7: right answers keep their points, wrong ones lose theirs and are known by name."""

import math
import subprocess
import sys

import pytest
import torch
from grading_cases import SEEDS, everything, exercises
from right.a7 import RIGHT

from labkit import grading, preferences
from labkit.grading.a7.lengths import answered
from labkit.grading.a7.train_loop import trained

globals().update(everything("a7", RIGHT))


def cases(name, part=None):
    exercise = grading.find(f"a7.{name}")
    return [case.inputs for seed in SEEDS for case in exercise.cases(seed) if part in (None, case.part)]


def ours(inputs):
    return {name: x for name, x in inputs.items() if isinstance(x, torch.Tensor)}


@pytest.mark.parametrize("name", ["dpo", "ipo"])
def test_the_judge_and_the_library_agree_on_pairs(name):
    for inputs in cases(name):
        options = {key: x for key, x in inputs.items() if not isinstance(x, torch.Tensor)}
        expected = getattr(preferences, name)(**ours(inputs), **options)
        torch.testing.assert_close(grading.reference(f"a7.{name}")(*inputs.values()), expected, rtol=1e-5, atol=1e-6)


def test_the_judge_and_the_library_agree_on_answers():
    for inputs in cases("sequence_logps"):
        expected = preferences.sequence_logps(*ours(inputs).values(), average=inputs["average"])
        torch.testing.assert_close(grading.reference("a7.sequence_logps")(*inputs.values()), expected, rtol=2e-6, atol=1e-5)


def test_the_judge_and_the_library_agree_on_kto():
    for inputs in cases("kto"):
        logps, ref, good, other, ref_other, beta, *weights = inputs.values()
        expected = preferences.kto(
            *(logps[good], logps[~good], ref[good], ref[~good]),
            beta=beta,
            kl=preferences.kl_estimate(other, ref_other),
            desirable_weight=weights[0],
            undesirable_weight=weights[1],
        )
        torch.testing.assert_close(grading.reference("a7.kto")(*inputs.values()), expected, rtol=1e-5, atol=1e-6)


def test_dpo_of_the_optimal_policy_says_what_bradley_and_terry_say():
    """The reward that the policy is best for comes back as its implicit reward, but for a constant of the prompt."""
    torch.manual_seed(0)
    reference, reward = torch.randn(6, 4, dtype=torch.float64).log_softmax(-1), torch.randn(6, 4, dtype=torch.float64)
    best = grading.reference("a7.optimal_policy")(reference, reward, 0.2)
    loss = grading.reference("a7.dpo")(best[:, 0], best[:, 1], reference[:, 0], reference[:, 1], 0.2)
    torch.testing.assert_close(loss, preferences.bradley_terry(reward[:, 0], reward[:, 1]))


def test_a_reference_that_is_the_policy_leaves_the_loss_at_log_2():
    inputs = cases("train")[0]
    for stuck in ("policy", "policy, with gradient"):
        losses = trained(**inputs, reference=stuck)["losses"]
        torch.testing.assert_close(losses, torch.full_like(losses, math.log(2)))
    right = trained(**inputs)
    assert right["losses"][0].item() == pytest.approx(math.log(2)) and right["losses"][-1] < 0.6 and right["margin"] > 0.5


@pytest.mark.parametrize("variant", ["practice", "2026", "2031", "somebody"])
def test_where_sum_and_mean_disagree_the_mean_prefers_the_longer(variant):
    mine, flipped = grading.given("a7", variant), answered(variant)["flipped"]
    assert len(flipped) >= 3
    for k in flipped:
        longer = mine.chosen_mask[k].sum() > mine.rejected_mask[k].sum()
        means = [
            x[k][m[k]].mean() for x, m in ((mine.chosen_tokens, mine.chosen_mask), (mine.rejected_tokens, mine.rejected_mask))
        ]
        assert bool(means[0] > means[1]) == bool(longer)


def test_every_variant_has_numbers_of_its_own():
    assert len({str(answered(f"student {k}")) for k in range(20)}) > 15


def test_it_needs_no_other_assignment():
    """A course on language models goes from a1 to a7."""
    code = (
        "import sys; from labkit import grading; grading.find('a7.dpo'); print(*[m for m in sys.modules if '.grading.a' in m])"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    others = {name.split(".")[2] for name in loaded} - {"a7", "asking"}
    assert not others, others
    assert sum(exercise.points for exercise in exercises("a7")) == 50
