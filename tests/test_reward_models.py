"""Reward models with a structure, and constrained RLHF: each on a problem whose answer is known."""

import math

import pytest
import torch

from labkit import preferences


def close(got, want, tolerance=1e-12):
    torch.testing.assert_close(got, torch.as_tensor(want, dtype=torch.float64), rtol=0, atol=tolerance)


def draw(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def tastes(n, generator):
    """Answers in the plane and users of two opposite tastes: one group likes the right, the other the left."""
    first, second = torch.randn(2, n, 2, generator=generator, dtype=torch.float64)
    likes = torch.where(torch.arange(n) % 2 == 0, 1.0, -1.0).double()
    right = (first[:, 0] - second[:, 0]) * likes > 0
    return torch.where(right[:, None], first, second), torch.where(right[:, None], second, first), torch.arange(n) % 2


def taught(k, form, seed):
    """Share of new comparisons that a PAL model with k prototypes gets right, after training on 400 of them."""
    generator = torch.Generator().manual_seed(seed)
    prototypes = torch.randn(k, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    users = torch.randn(2, k, generator=generator, dtype=torch.float64, requires_grad=True)
    chosen, rejected, user = tastes(400, generator)
    optimizer = torch.optim.Adam([prototypes, users], lr=0.1)
    for _ in range(200):
        optimizer.zero_grad()
        preferences.pal(chosen, rejected, users[user], prototypes, form=form, temperature=0.5).backward()
        optimizer.step()
    chosen, rejected, user = tastes(1000, generator)
    each = preferences.pal(chosen, rejected, users[user], prototypes, form=form, temperature=0.5, reduction="none")
    return (each < math.log(2)).double().mean().item()


@pytest.mark.parametrize("form", ["distance", "angle"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_two_prototypes_learn_opposite_tastes_and_one_cannot(form, seed):
    assert taught(2, form, seed) > (0.9 if form == "distance" else 0.75)  # an angle forgets how far an answer is
    assert taught(1, form, seed) < 0.6


def test_one_prototype_is_right_on_exactly_half_of_what_opposite_users_say():
    chosen, rejected = draw(50, 3), draw(50, 3)
    for form in ("distance", "angle"):
        for _ in range(20):
            ideal, user = draw(1, 3), torch.zeros(50, 1, dtype=torch.float64)
            one = preferences.pal(chosen, rejected, user, ideal, form=form, reduction="none") < math.log(2)
            other = preferences.pal(rejected, chosen, user, ideal, form=form, reduction="none") < math.log(2)
            assert (one ^ other).all()


def test_prototypes_may_depend_on_the_prompt():
    chosen, rejected, user, prototypes = draw(5, 3), draw(5, 3), draw(5, 2), draw(2, 3)
    shared = preferences.pal(chosen, rejected, user, prototypes, form="angle", reduction="none")
    close(preferences.pal(chosen, rejected, user, prototypes.expand(5, 2, 3), form="angle", reduction="none"), shared)


def test_an_answer_at_the_ideal_point_has_a_finite_gradient():
    point = torch.ones(1, 2, requires_grad=True)
    preferences.pal(point, torch.zeros(1, 2), torch.zeros(1, 1), torch.ones(1, 2)).backward()
    assert point.grad.isfinite().all()


def test_a_goal_pulls_its_own_answer_and_pushes_the_other():
    zero, h = torch.zeros(2, dtype=torch.float64), draw(2, 3, 4)
    best = preferences.goal_conditioned(zero, zero, h[:, :1], h[:, :1], -h[:, :1], weight=1.0)
    close(best, math.log(2) + 2 * math.log(1 + math.exp(-1)))  # cosines 1 and -1: as low as it gets
    for _ in range(50):
        assert preferences.goal_conditioned(zero, zero, h, draw(2, 2, 4), draw(2, 5, 4), weight=1.0) >= best


def test_a_strong_student_with_confidence_outgrows_weak_labels():
    """A weak teacher mislabels a quarter at random; the student's own hardened answers are the better target."""
    truth = torch.rand(400) < 0.5
    weak = torch.where(truth ^ (torch.rand(400) < 0.25), 3.0, -3.0).double()
    student = torch.where(truth, 1.0, -1.0) * (0.5 + torch.rand(400))
    student = student.double().requires_grad_()
    for confidence, right in ((0.0, 0.75), (1.0, 1.0)):
        (push,) = torch.autograd.grad(preferences.weak_to_strong(student, weak, confidence=confidence), student)
        agree = ((push < 0) == truth).double().mean().item()  # the student is pushed to the truth
        assert agree == pytest.approx(right, abs=0.08)


def test_confidence_warms_up_in_one_step():
    z, w = draw(9), draw(9)
    at = {p: preferences.weak_to_strong(z, w, progress=p, reduction="none") for p in (0.0, 0.1, 0.1000001, 1.0)}
    close(at[0.0], preferences.weak_to_strong(z, w, confidence=0.0, reduction="none"))
    close(at[0.1], preferences.weak_to_strong(z, w, confidence=0.05, reduction="none"))
    close(at[0.1000001], at[1.0])


# ---------------------------------------------------------------- constrained RLHF


def test_the_constrained_mixture_rests_at_the_kkt_point_of_a_tabular_problem():
    """Twelve answers, two rewards: least KL to the reference such that both rewards sit at their thresholds.

    By Lagrange the optimum is the reference tilted by mu_1 r_1 + mu_2 r_2 with E r_i = theta_i, solved here by Newton's method;
    the policy and its multipliers are found by gradient steps on the two functions alone.
    """
    generator = torch.Generator().manual_seed(3)
    reference = torch.randn(12, generator=generator, dtype=torch.float64).log_softmax(0)
    rewards = torch.randn(12, 2, generator=generator, dtype=torch.float64)
    thresholds = reference.exp() @ rewards + torch.tensor([0.3, 0.2], dtype=torch.float64)

    mu = torch.zeros(2, dtype=torch.float64)
    for _ in range(50):
        tilted = (reference + rewards @ mu).softmax(0)
        excess = tilted @ rewards - thresholds
        spread = (rewards * tilted[:, None]).T @ rewards - torch.outer(tilted @ rewards, tilted @ rewards)
        mu = mu - torch.linalg.solve(spread, excess)
    assert excess.abs().max() < 1e-12 and (mu > 0).all()

    logits, multipliers = reference.clone().requires_grad_(), torch.zeros(2, dtype=torch.float64, requires_grad=True)
    for _ in range(700):
        logp = logits.log_softmax(0)
        p = logp.exp().detach()
        price = -(logp - reference).detach()
        advantages = rewards - p @ rewards
        mixed = preferences.mixed_advantage(price - p @ price, advantages, multipliers)
        step = torch.autograd.grad(-(p * mixed * logp).sum(), logits)[0]
        own = torch.autograd.grad(preferences.multiplier_loss(multipliers, (p @ rewards)[None], thresholds), multipliers)[0]
        with torch.no_grad():
            logits -= 2.0 * step
            multipliers -= 2.0 * own
    share = torch.sigmoid(multipliers.detach())
    close(logits.detach().softmax(0) @ rewards, thresholds, 1e-6)
    close(share / (2 - share.sum()), mu, 1e-5)
    close(logits.detach().softmax(0), tilted, 1e-6)


def test_multipliers_move_against_the_violation_and_rewards_do_not_move():
    multipliers = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    rewards = torch.tensor([[2.0, 0.0], [4.0, 0.0]], dtype=torch.float64, requires_grad=True)
    preferences.multiplier_loss(multipliers, rewards, torch.tensor([1.0, 1.0], dtype=torch.float64)).backward()
    assert rewards.grad is None
    close(multipliers.grad, [0.25 * 2.0, 0.25 * -1.0])  # above its threshold: falls; below: rises
    shares = preferences.mixed_advantage(draw(3), draw(3, 2), multipliers)
    assert not shares.requires_grad
