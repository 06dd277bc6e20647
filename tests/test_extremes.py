"""Where exponentials overflow and arguments mean nothing: values stay finite, gradients too, and errors name what is wrong."""

import math

import pytest
import torch

from labkit import link, preferences
from labkit.preferences.divergences import SLOPES
from labkit.preferences.groups import k3

FLOATS = (torch.float32, torch.float64)
TOKENWISE = ("grpo", "dr_grpo", "dapo", "gspo", "luspo", "sapo", "cispo", "vespo")


def gradients(value, *trained):
    assert torch.isfinite(value), value
    found = torch.autograd.grad(value, trained)
    assert all(torch.isfinite(g).all() for g in found), found
    return found


def answers(log_ratio, dtype=torch.float32):
    """Two answers whose first token is that much likelier than before; no log-probability is above 0."""
    logps = torch.tensor([[-0.5, -1.0, -2.0], [-1.0, -0.5, -3.0]], dtype=dtype)
    moved = torch.zeros_like(logps)
    moved[0, 0] = log_ratio
    logps = logps - moved.clamp(max=0).abs()
    return logps.requires_grad_(), (logps - moved).detach(), torch.tensor([-1.0, 0.5], dtype=dtype), torch.ones(2, 3).bool()


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("log_ratio", [-1e3, -100.0, 60.0, 100.0, 1e3])
@pytest.mark.parametrize("name", TOKENWISE)
def test_one_token_far_off_spoils_no_gradient(name, log_ratio, dtype):
    """exp(100) times 0 is NaN, and so was the gradient of a token that the clip had dropped, beside a finite value."""
    logps, old, advantages, mask = answers(log_ratio, dtype)
    for signed in (advantages, -advantages):
        for options in ({"beta": 0.0}, {"beta": 0.1, "ref_logps": old}):
            (slope,) = gradients(getattr(preferences, name)(logps, old, signed, mask, **options), logps)
            assert slope[1].abs().max() > 0


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_the_estimate_of_the_kl_stays_finite_and_below_the_cut_is_what_it_was(dtype):
    logps, old, _, mask = answers(-1e3, dtype)
    gradients(k3(logps, old, mask).sum(), logps)
    logps, old, _, mask = answers(-60.0, dtype)
    assert k3(logps, old, mask).max().item() == pytest.approx(math.exp(60) - 61, rel=1e-5)


def test_exponents_are_cut_off_only_where_they_would_overflow():
    for dtype, most in ((torch.float32, 80), (torch.float64, 700)):
        x = torch.tensor([-1e4, 0.0, most - 1.0, most + 1.0, 1e4], dtype=dtype)
        assert link.capped(x).tolist() == [-1e4, 0, most - 1, most, most]
        assert torch.isfinite(link.capped(x).exp()).all()
        assert torch.isfinite(link.capped(x, 2).exp().square()).all()


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("clip", ["separate", "joint"])
@pytest.mark.parametrize("moved", [(50.0, 50.0), (-50.0, 50.0), (50.0, -50.0), (500.0, 500.0), (500.0, -500.0)])
def test_p3o_survives_ratios_whose_product_overflows(moved, clip, dtype):
    chosen, rejected = (torch.tensor([-1.0], dtype=dtype, requires_grad=True) for _ in range(2))
    old = [x.detach() - m for x, m in zip((chosen, rejected), moved, strict=True)]
    old = [x.clamp(max=0) for x in old]
    for gap in (1.0, -1.0):
        reward = torch.tensor([gap], dtype=dtype)
        gradients(preferences.p3o(chosen, rejected, *old, reward, -reward, clip=clip), chosen, rejected)


def test_p3o_joins_the_exponents_and_not_the_ratios():
    """At log-ratios of 110 and -109 the product of the ratios is e, while one of them is infinite in float32 and one is 0."""
    chosen, rejected, reward = torch.tensor([-1.0]), torch.tensor([-110.0]), torch.tensor([0.5])
    old = torch.tensor([-111.0]), torch.tensor([-1.0])
    got = preferences.p3o(chosen, rejected, *old, reward, -reward, clip="joint")
    assert got.item() == pytest.approx(-math.e * 0.2 / 2, rel=1e-5)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("score", ["logp", "ratio"])
@pytest.mark.parametrize("kl", ["k1", "k3"])
@pytest.mark.parametrize("tau", [None, 10.0, 1.0])
@pytest.mark.parametrize("u", [-500.0, -90.0, 50.0, 90.0, 500.0])
def test_disco_stays_finite(u, tau, kl, score, dtype):
    logps = torch.full((1, 2, 3), -1.0 + min(u, 0), dtype=dtype, requires_grad=True)
    right, mask = torch.tensor([[True, False]]), torch.ones(1, 2, 3).bool()
    gradients(preferences.disco(logps, logps.detach() - u, right, mask, score=score, kl=kl, tau=tau), logps)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("divergence", SLOPES)
@pytest.mark.parametrize("u", [-800.0, -90.0, -50.0, 50.0, 90.0, 800.0])
def test_f_dpg_stays_finite(u, divergence, dtype):
    logps = torch.tensor([-1.0 + min(u, 0)], dtype=dtype, requires_grad=True)
    target = logps.detach() - u
    for proposal in (None, target, torch.tensor([-1000.0], dtype=dtype)):
        gradients(preferences.f_dpg(logps, target, proposal, divergence=divergence), logps)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("u", [-800.0, 90.0, 800.0])
def test_pi_distill_stays_finite(u, dtype):
    student = torch.tensor([-1.0 + min(u, 0)], dtype=dtype, requires_grad=True)
    teacher = (student - u).detach().requires_grad_()
    gradients(preferences.pi_distill(teacher, student, torch.tensor([1.0], dtype=dtype)), teacher, student)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_lipo_takes_grades_up_to_a_hundred(dtype):
    scores, low = torch.tensor([[0.0, 50.0, -50.0]], dtype=dtype, requires_grad=True), [0.0, 1.0, -300.0]
    gradients(preferences.lipo(scores, torch.tensor([[*low[:2], 100.0]], dtype=dtype)), scores)
    gradients(preferences.lipo(scores, torch.tensor([low], dtype=dtype)), scores)
    with pytest.raises(ValueError, match="labels must be <= 100, got 128"):
        preferences.lipo(scores, torch.tensor([[0, 1, 128]]))


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_odds_of_what_rounds_to_certainty_are_finite(dtype):
    least = 5e-324 if dtype == torch.float64 else 1e-44
    logp = torch.tensor([-least, -1e-30, -1.0], dtype=dtype, requires_grad=True)
    gradients(link.log_odds(logp / 60).sum(), logp)
    one, long = torch.tensor([-least], dtype=dtype), torch.tensor([60])
    assert torch.isfinite(preferences.orpo(one, torch.tensor([-2.0], dtype=dtype), long, long))


# ---------------------------------------------------------------- masks, switches, whole numbers, shares


@pytest.mark.parametrize("name", TOKENWISE)
@pytest.mark.parametrize("value", [-1, 2, -100])
def test_a_mask_is_of_ones_and_zeros(name, value):
    logps, old, advantages, mask = answers(0.0)
    marks = mask.long()
    plain = getattr(preferences, name)(logps, old, advantages, mask)
    for kind in (torch.int8, torch.int32, torch.int64):
        torch.testing.assert_close(getattr(preferences, name)(logps, old, advantages, mask.to(kind)), plain)
    marks[1, 2] = value
    with pytest.raises(ValueError, match=rf"mask must be in \[0, 1\], got {value}"):
        getattr(preferences, name)(logps, old, advantages, marks)


def test_a_label_of_minus_100_is_no_mask():
    logits, labels = torch.zeros(1, 3, 4), torch.tensor([[1, 2, 3]])
    with pytest.raises(ValueError, match=r"mask must be in \[0, 1\], got -1; True or 1 marks"):
        preferences.sequence_logps(logits, labels, torch.tensor([[0, -1, 1]]))


def test_a_switch_is_true_or_false():
    logits, labels, mask = torch.zeros(1, 3, 4), torch.tensor([[1, 2, 3]]), torch.ones(1, 3).bool()
    for wrong in ("no", 0, None, torch.tensor(True)):
        with pytest.raises(TypeError, match="average must be True or False"):
            preferences.sequence_logps(logits, labels, mask, average=wrong)
        with pytest.raises(TypeError, match="scaled must be True or False"):
            preferences.group_advantages(torch.tensor([[1.0, 0.0]]), scaled=wrong)


def test_a_whole_number_may_come_as_a_tensor():
    given = answers(0.0)
    for name, option in (("dapo", "batch_tokens"), ("cispo", "batch_tokens"), ("dr_grpo", "budget")):
        fn = getattr(preferences, name)
        assert fn(*given, **{option: torch.tensor(4)}) == fn(*given, **{option: 4})
        for wrong in (torch.tensor(4.0), torch.tensor(True), 4.0):
            with pytest.raises(TypeError, match=f"{option} must be a whole number, got"):
                fn(*given, **{option: wrong})
        with pytest.raises(ValueError, match=f"{option} must be >= 1, got 0"):
            fn(*given, **{option: torch.tensor(0)})


def test_links_refuse_shares_that_they_have_no_value_for():
    z = torch.linspace(-2, 2, 5)
    for wrong in (0.5, 0.7, -0.1, torch.tensor([0.1, 0.2, 0.5, 0.3, 0.4])):
        with pytest.raises(ValueError, match=r"smoothing must be in \[0, 0.5\), got"):
            link.robust(z, wrong)
    for wrong in (0.0, 1.0, -0.1, torch.tensor(0.0)):
        with pytest.raises(ValueError, match=r"smoothing must be in \(0, 1\), got"):
            link.exo(z, wrong)
    assert torch.isfinite(link.robust(z, 0.0)).all() and torch.isfinite(link.exo(z, torch.full((5,), 0.1))).all()


def test_kls_are_not_negative_but_may_be_rounded():
    logps, weights, kl = -torch.ones(1, 2), torch.ones(1, 2), torch.zeros(1, 2)
    four = (logps, logps, logps, logps, weights, weights)
    preferences.sparse_po(*four, kl - 1e-7, kl)
    for name, given in (("chosen_kl", (kl - 1, kl)), ("rejected_kl", (kl, kl - 1))):
        with pytest.raises(ValueError, match=f"{name} must be >= -0.001, got -1"):
            preferences.sparse_po(*four, *given)
    with pytest.raises(ValueError, match="chosen_kl_weights must be >= 0, got -1"):
        preferences.sparse_po(*four, kl, kl, -weights, weights)


# ---------------------------------------------------------------- one side alone, suppressed words


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_kto_takes_desirable_answers_alone_or_undesirable_ones(dtype):
    """As TRL and HALOs do: a batch is drawn from single answers, and may happen to hold one kind."""
    draw = torch.Generator().manual_seed(0)
    c, r, rc, rr = (-4 * torch.rand(n, generator=draw, dtype=dtype) for n in (3, 2, 3, 2))
    none, options = c[:0], {"kl": 0.3, "desirable_weight": 1.2}
    good, bad = preferences.kto(c, r, rc, rr, **options, reduction="none").split([3, 2])
    torch.testing.assert_close(preferences.kto(c, none, rc, none, **options), good.mean())
    torch.testing.assert_close(preferences.kto(none, r, none, rr, **options), bad.mean())
    c.requires_grad_()
    gradients(preferences.kto(c, none, rc, none, **options), c)
    with pytest.raises(ValueError, match="chosen_logps and rejected_logps are empty"):
        preferences.kto(none, none, none, none)
    with pytest.raises(ValueError, match="ref_chosen_logps has n = 3, but chosen_logps has n = 0"):
        preferences.kto(none, r, rc, rr)
    with pytest.raises(ValueError, match="chosen_logps is empty"):
        preferences.dpo(none, none, none, none)


def test_a_suppressed_word_may_have_logits_of_minus_infinity_unless_it_was_said():
    logits = torch.randn(2, 4, 6, dtype=torch.float64)
    labels, mask = torch.tensor([[0, 1, 2, 3], [1, 1, 0, 4]]), torch.tensor([[0, 0, 1, 1], [0, 1, 0, 1]])
    suppressed, low = logits.clone(), logits.clone()
    suppressed[..., 5], low[..., 5] = -math.inf, -1e4
    suppressed[1, 1, 0], low[1, 1, 0] = -math.inf, -1e4  # a label, but not a marked one
    for average in (False, True):
        suppressed, low = suppressed.detach().requires_grad_(), low.detach().requires_grad_()
        got = preferences.sequence_logps(suppressed, labels, mask, average=average)
        want = preferences.sequence_logps(low, labels, mask, average=average)
        torch.testing.assert_close(got, want)
        torch.testing.assert_close(*gradients(got.sum(), suppressed), *gradients(want.sum(), low))
    for place in ((0, 2, 3), (0, 0)):
        said = suppressed.detach().clone()
        said[place] = -math.inf
        with pytest.raises(ValueError, match="logits are -inf at marked labels, or at all words"):
            preferences.sequence_logps(said, labels, mask)
    said = suppressed.detach().clone()
    for wrong in (math.nan, math.inf):
        said[0, 2, 3] = wrong
        with pytest.raises(ValueError, match="logits holds 1 NaN or infinite value of 48"):
            preferences.sequence_logps(said, labels, mask)


def test_what_rests_on_summaries_says_so():
    from labkit import catalog

    status = {entry.name: entry.status for entry in catalog()}
    assert status["fdpo"] == status["contrastive_reward"] == "reconstructed"
