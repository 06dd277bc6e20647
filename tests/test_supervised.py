"""Token-level objectives and what they stand on: log-probabilities of answers, and CHES on what real models return."""

import math

import cases
import pytest
import torch

from labkit.metrics.movement import ches, predicting
from labkit.preferences import adpa, dckd, dft, logits_finetuning, sequence_logps, token_logps


def close(got, want, tolerance=1e-12):
    torch.testing.assert_close(got, torch.as_tensor(want, dtype=torch.float64), rtol=0, atol=tolerance)


def draw(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def answers(n=3, t=6, vocabulary=5):
    """Logits, labels and masks of answers of different lengths."""
    mask = torch.tensor([[0, 0, 1, 1, 1, 1], [0, 1, 1, 0, 0, 0], [0, 0, 0, 0, 0, 1]]).bool()[:n, :t]
    return draw(n, t, vocabulary), torch.randint(0, vocabulary, (n, t)), mask


# ---------------------------------------------------------------- DFT


def test_dft_has_the_gradient_of_probability_where_sft_has_that_of_log_probability():
    logits, labels, mask = answers()
    logits.requires_grad_()
    (got,) = torch.autograd.grad(dft(logits, labels, mask), logits)
    logps = token_logps(logits, labels, mask)
    (want,) = torch.autograd.grad(-(logps.exp() * mask).sum() / mask.sum(), logits)
    close(got, want)


def test_dft_lets_go_of_a_token_that_the_model_finds_impossible():
    labels, mask = torch.tensor([[0, 1]]), torch.tensor([[False, True]])
    pushes = []
    for logit in (0.0, -5.0, -20.0, -200.0):
        logits = torch.tensor([[[0.0, logit], [0.0, 0.0]]], dtype=torch.float64, requires_grad=True)
        (push,) = torch.autograd.grad(dft(logits, labels, mask), logits)
        pushes.append(push[0, 0, 1].abs().item())
    assert pushes == sorted(pushes, reverse=True) and pushes[-1] < 1e-80  # SFT's push rises to 1


def test_dft_counts_every_token_once_however_long_its_answer():
    logits, labels, mask = answers()
    each = dft(logits, labels, mask, reduction="none")
    logps = token_logps(logits, labels, mask)
    flat = (-logps.exp() * logps)[mask]
    close(each.mean(), flat.mean())
    close(each * mask.sum() / len(mask), torch.stack([(-x.exp() * x)[m].sum() for x, m in zip(logps, mask, strict=True)]))


# ---------------------------------------------------------------- with a teacher


def test_a_teacher_as_sure_as_the_labels_adds_its_cross_entropy():
    logits, labels, mask = answers()
    sure = labels[..., None], torch.zeros(3, 6, 1, dtype=torch.float64)
    plain = logits_finetuning(logits, labels, mask, *sure, alpha=1.0)
    close(logits_finetuning(logits, labels, mask, *sure, alpha=0.3), plain)
    close(plain, -token_logps(logits, labels, mask)[mask].mean())


def test_a_student_that_is_its_teacher_has_no_divergence_left():
    logits, labels, mask = answers()
    ids = torch.arange(5).expand(3, 6, 5)
    told = torch.zeros_like(logits)
    told[:, 1:] = logits[:, :-1].log_softmax(-1)  # in the place of the token that is predicted
    close(logits_finetuning(logits, labels, mask, ids, told.clamp(max=0), alpha=0.0), 0.0)
    close(
        logits_finetuning(logits, labels, mask, ids, -draw(3, 6, 5).abs(), alpha=0.0, progress=0.0), 0.0
    )  # trusts no teacher yet


def test_the_kept_tokens_need_not_add_up_to_one():
    logits, labels, mask = answers()
    ids, top = torch.rand(3, 6, 5).argsort(-1)[..., :3], -draw(3, 6, 3).abs()
    close(logits_finetuning(logits, labels, mask, ids, top - 2.0), logits_finetuning(logits, labels, mask, ids, top))


def test_what_stands_outside_the_mask_may_be_anything():
    logits, labels, mask = answers()
    ids, top = torch.rand(3, 6, 5).argsort(-1)[..., :3], -draw(3, 6, 3).abs()
    before = logits_finetuning(logits, labels, mask, ids, top)
    spoiled = torch.where(mask, labels, -100), torch.where(mask[..., None], ids, -7), torch.where(mask[..., None], top, -50.0)
    close(logits_finetuning(logits, spoiled[0], mask, *spoiled[1:]), before)
    close(dft(logits, spoiled[0], mask), dft(logits, labels, mask))


def test_distillation_vanishes_at_the_teacher_and_nowhere_else():
    student, bad = draw(3, 6, 5), draw(3, 6, 5)
    mask = answers()[2]
    close(dckd(student, bad, student + 2.0, bad - 1.0, mask, mask), 0.0)  # logits have no level
    assert dckd(student, bad, draw(3, 6, 5), bad, mask, mask) > 1e-3 < dckd(student, bad, student, draw(3, 6, 5), mask, mask)
    half = dckd(student, bad, student, -bad, mask, mask, weight=0.5)
    close(half, dckd(student, bad, student, -bad, mask, mask) / 2)


def test_the_advantage_is_a_policy_gradient_without_sampling():
    """Its gradient is the mean over all next tokens of advantage times the gradient of the log-probability, by enumeration."""
    logits, after, before = draw(1, 2, 4).requires_grad_(), draw(1, 2, 4), draw(1, 2, 4)
    mask = torch.tensor([[False, True]])
    (got,) = torch.autograd.grad(adpa(logits, after, before, mask), logits)
    advantage = after[0, 0].log_softmax(-1) - before[0, 0].log_softmax(-1)
    logp = logits[0, 0].log_softmax(-1)
    want = torch.zeros_like(got)
    for token in range(4):
        (one,) = torch.autograd.grad(logp[token], logits, retain_graph=True)
        want -= logp[token].exp().detach() * advantage[token] * one
    close(got, want)


def test_the_advantage_alone_leads_to_the_token_that_gained_most():
    after, before, mask = draw(1, 2, 6), draw(1, 2, 6), torch.tensor([[False, True]])
    gain = (after[0, 0].log_softmax(-1) - before[0, 0].log_softmax(-1)).max()
    student = torch.zeros(1, 2, 6, dtype=torch.float64, requires_grad=True)
    for _ in range(400):
        (slope,) = torch.autograd.grad(adpa(student, after, before, mask), student)
        with torch.no_grad():
            student -= 5.0 * slope
    value = adpa(student, after, before, mask).item()
    assert -gain.item() <= value < -gain.item() + 0.05
    close(adpa(student, after, after + 3.0, mask), 0.0)  # a teacher that did not change has no advantage


# ---------------------------------------------------------------- log-probabilities of answers


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_long_answers_with_wild_logits_in_half_precision(dtype):
    """2,000 tokens of a vocabulary of 50, logits up to the limit of the format: computed in single, finite, with a gradient."""
    wild = (torch.randn(2, 2001, 50) * 30).to(dtype)
    wild[:, ::100] = torch.where(torch.arange(50) == 7, 60000.0, -60000.0).to(dtype)
    labels, mask = torch.randint(0, 50, (2, 2001)), torch.ones(2, 2001, dtype=torch.bool)
    leaf = wild.clone().requires_grad_()
    got = sequence_logps(leaf, labels, mask)
    exact = sequence_logps(wild.double(), labels, mask)
    assert got.dtype == torch.float32 and got.isfinite().all()
    torch.testing.assert_close(got.double(), exact, rtol=1e-5, atol=0)
    got.sum().backward()
    assert leaf.grad.dtype == dtype and leaf.grad.isfinite().all()
    average = sequence_logps(wild, labels, mask, average=True)
    torch.testing.assert_close(average, got.detach() / 2000, rtol=1e-6, atol=0)


def test_the_mean_does_not_depend_on_the_length_where_the_sum_does():
    labels, mask = torch.zeros(2, 9, dtype=torch.long), torch.arange(9) > torch.tensor([[0], [4]])
    logits = torch.zeros(2, 9, 4, dtype=torch.float64)
    close(sequence_logps(logits, labels, mask), [8 * math.log(1 / 4), 4 * math.log(1 / 4)])
    close(sequence_logps(logits, labels, mask, average=True), [math.log(1 / 4)] * 2)


@pytest.mark.parametrize("name", ["dft", "logits_finetuning", "adpa", "dckd"])
def test_an_answer_without_tokens_is_refused_by_every_objective(name):
    entry = next(e for e in cases.ENTRIES if e.name == name)
    for argument in [n for n in entry.tensors if n.endswith("mask")]:
        for spoiled in (
            torch.zeros,
            lambda *s: torch.arange(s[1]).expand(*s) == 0,
        ):  # nothing marked; only what nothing predicts
            given = cases.inputs(entry)
            mask = given[argument].clone()
            mask[2] = spoiled(*mask.shape)[2].bool()
            with pytest.raises(ValueError, match=rf"{argument} marks no (response )?token.* in row \[2\]"):
                entry.fn(**{**given, argument: mask})


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda x, y, m: dft(x, y + 5, m), r"labels at marked positions must be in \[0, 5\)"),
        (lambda x, y, m: dft(x, y, m[:2]), "mask has n = 2, but logits has n = 3"),
        (lambda x, y, m: dft(x[:, :1], y[:, :1], m[:, :1]), "needs t >= 2"),
        (
            lambda x, y, m: logits_finetuning(x, y, m, y[..., None] + 9, x[..., :1] - 99),
            "top_ids at marked positions must be in",
        ),
        (lambda x, y, m: logits_finetuning(x, y, m, y[..., None], x[..., :1] + 99), "top_logps must be <= 0"),
        (lambda x, y, m: logits_finetuning(x, y, m, y[..., None], x[..., :1] - 99, alpha=2.0), r"alpha must be in \[0, 1\]"),
        (lambda x, y, m: adpa(x, x[..., :3], x, m), "teacher_logits has vocab = 3, but logits has vocab = 5"),
        (lambda x, y, m: adpa(x, x, x / 0, m), "ref_teacher_logits holds .* NaN or infinite"),
        (lambda x, y, m: dckd(x, x, x, x, m, m, weight=-1.0), "weight must be >= 0"),
    ],
)
def test_bad_input_is_named(act, message):
    with pytest.raises(ValueError, match=message):
        act(*answers())


# ---------------------------------------------------------------- CHES on what real models return


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("length_normalized", [False, True])
def test_ches_of_long_half_precision_states_is_finite_and_right(dtype, length_normalized):
    """States of norm 300 along one direction, 6,000 of them: sums reach 1.8e6, far above what half precision can hold."""
    generator = torch.Generator().manual_seed(0)
    direction = torch.nn.functional.normalize(torch.randn(512, generator=generator), dim=0)
    chosen = (300 * direction + torch.randn(1, 6000, 512, generator=generator)).to(dtype)
    rejected = (300 * direction + torch.randn(1, 5000, 512, generator=generator)).to(dtype)
    assert 280 < chosen[0, 0].float().norm() < 320
    masks = torch.ones(1, 6000, dtype=torch.bool), torch.ones(1, 5000, dtype=torch.bool)
    got = ches(chosen, rejected, *masks, length_normalized=length_normalized)
    exact = ches(chosen.double(), rejected.double(), *masks, length_normalized=length_normalized)
    assert got.dtype == torch.float32 and got.isfinite().all()
    torch.testing.assert_close(got.double(), exact, rtol=1e-6, atol=0)
    assert length_normalized or got.item() < -1e11  # raw, the shorter rejected answer alone makes it hugely negative


def test_both_conventions_of_ches_drop_the_prompt_and_the_padding():
    """`predicting(mask)` marks the states that predict the answer; `last=True` adds its last one, as the script does."""
    states = draw(1, 6, 3)
    answer = torch.tensor([[False, False, True, True, False, False]])  # two tokens of prompt, two of answer, two of padding
    official, script = states[:, 1:3].sum(1), states[:, 1:4].sum(1)
    for last, summed in ((False, official), (True, script)):
        mask = predicting(answer, last=last)
        close(ches(states, -states, mask, mask), -2 * summed.square().sum(-1))
        mean = summed / mask.sum()
        close(ches(states, -states, mask, mask, length_normalized=True), -2 * mean.square().sum(-1))
