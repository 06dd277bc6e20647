"""What `kto` and `bco` compare an answer with: measured on mismatched answers, on past batches, on other prompts."""

import math

import pytest
import torch
from torch.nn.functional import logsigmoid

from labkit import preferences


def close(got, want, tolerance=1e-12):
    torch.testing.assert_close(got, torch.as_tensor(want, dtype=torch.float64), rtol=0, atol=tolerance)


def draw(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def test_the_reference_point_of_kto_is_measured_on_mismatched_answers_and_never_below_0():
    logps, ref = -draw(7).abs() - 1, -draw(7).abs() - 1
    kl = preferences.kl_estimate(logps.requires_grad_(), ref)
    close(kl, (logps - ref).mean().clamp(min=0).detach())
    assert not kl.requires_grad and preferences.kl_estimate(ref - 1, ref) == 0
    preferences.kto(logps.detach(), logps.detach(), ref, ref, kl=kl)  # it is what kto takes


def test_mismatched_answers_keep_their_prompts_apart():
    tokens = torch.tensor([[1, 2, 3, 4, 5], [6, 7, 8, 0, 0], [9, 9, 9, 9, 2]])
    mask = torch.tensor([[0, 0, 1, 1, 1], [0, 1, 1, 0, 0], [0, 0, 0, 0, 1]])
    got, answers = preferences.mismatched(tokens, mask, padding=77)
    assert got.tolist() == [[1, 2, 2, 77, 77, 77], [6, 3, 4, 5, 77, 77], [9, 9, 9, 9, 7, 8]]
    assert answers.int().tolist() == [[0, 0, 1, 0, 0, 0], [0, 1, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1]]
    with pytest.raises(ValueError, match="n >= 2"):
        preferences.mismatched(tokens[:1], mask[:1])
    with pytest.raises(ValueError, match=r"mask marks no token in row \[1\]"):
        preferences.mismatched(tokens, mask * torch.tensor([[1], [0], [1]]))


def test_a_policy_that_ignores_its_prompt_has_the_same_point_on_matched_answers():
    """Then the log-ratio of an answer does not depend on what it is paired with, and cycling only reorders the mean."""
    policy, reference = draw(9), draw(9)
    tokens, mask = torch.randint(1, 9, (4, 6)), torch.arange(6).expand(4, 6) >= 2

    def logps(table, ids, where):
        return preferences.sequence_logps(table.expand(*ids.shape, 9), ids, where)

    pairs, ratio = preferences.mismatched(tokens, mask), (logps(policy, tokens, mask) - logps(reference, tokens, mask)).mean()
    assert ratio != 0
    for one, other, sign in ((policy, reference, 1), (reference, policy, -1)):  # one of the two is above 0
        close(preferences.kl_estimate(logps(one, *pairs), logps(other, *pairs)), (sign * ratio).clamp(min=0))


def batch(n=4):
    return {name: -draw(n).abs() - 0.1 for name in ("chosen_logps", "rejected_logps", "ref_chosen_logps", "ref_rejected_logps")}


def test_the_running_shift_is_the_mean_of_the_batches_means():
    shift, means = preferences.RunningShift(beta=0.2), []
    assert shift.read()["shift"] == 0
    for n in (4, 2, 9):
        b = batch(n)
        before = preferences.bco(**b, **shift.read())
        assert preferences.bco(**b, **shift.read()) == before  # reading and calling change nothing
        shift.write(b)
        means.append(0.1 * (b["chosen_logps"] - b["ref_chosen_logps"] + b["rejected_logps"] - b["ref_rejected_logps"]).mean())
        close(shift.read()["shift"].double(), sum(means) / len(means), 1e-6)


def test_the_running_shift_is_saved_and_restored():
    one, other = preferences.RunningShift(), preferences.RunningShift()
    one.write(batch())
    other.load_state_dict(one.state_dict())
    b = batch()
    one.write(b), other.write(b)
    assert one.read() == other.read() and one.read()["shift"] != 0
    with pytest.raises(ValueError, match="batch holds log-probabilities that are NaN"):
        one.write({**b, "chosen_logps": b["chosen_logps"] * math.nan})


def test_bco_bounds_dpo_at_any_shift():
    q = [-torch.rand(20_000, dtype=torch.float64) * 60 for _ in range(4)]
    dpo = preferences.dpo(*q, reduction="none")
    for shift in (-3.0, -0.5, 0.0, 0.7, 4.0):
        assert (preferences.bco(*q, shift=shift, reduction="none") >= dpo).all()


def test_density_ratios_make_one_set_of_prompts_stand_for_another():
    """Prompts of rejected answers from another population: weighted, a mean over them is the mean over the chosen ones'."""
    x = torch.linspace(-3, 3, 601, dtype=torch.float64)
    good, bad = torch.exp(-((x - 0.5) ** 2) / 2), torch.exp(-((x + 0.5) ** 2) / 2)
    weights = preferences.desirability_weights(good.log() - bad.log(), low=0.0, high=1e9)  # the ideal classifier's logit
    close((bad * weights * x).sum() / (bad * weights).sum(), (good * x).sum() / good.sum())
    bounded = preferences.desirability_weights(torch.tensor([-90.0, 90.0]))
    assert bounded.tolist() == [0.5, 10.0]
    b = batch(2)
    plain = preferences.bco(**b, reduction="none")
    weighted = preferences.bco(**b, rejected_weights=torch.tensor([1.0, 0.0], dtype=torch.float64), reduction="none")
    assert weighted[0] == plain[0]
    close(weighted[1], -logsigmoid(0.1 * (b["chosen_logps"] - b["ref_chosen_logps"]))[1])
