"""What the pairwise losses are for: over all pairs of a handful of answers, their optimum is the policy on paper."""

import math
from itertools import permutations

import pytest
import torch
from torch.nn.functional import logsigmoid

from labkit import preferences

DOUBLE = torch.float64
REWARD = torch.tensor([1.2, 0.3, -0.4, -1.1], dtype=DOUBLE)
REFERENCE = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=DOUBLE).log()
LENGTHS = torch.tensor([7, 3, 5, 2])
PAIRS = torch.tensor(list(permutations(range(4), 2)))
BETA = 2.0


def normalised(ratio):
    """The policy `reference * ratio(c)` for the constant c at which it adds up to 1, by bisection; ratio grows with c."""
    low, high = -30.0, 30.0
    for _ in range(200):
        c = (low + high) / 2
        total = (REFERENCE.exp() * ratio(c)).sum()
        low, high = (c, high) if total < 1 else (low, c)
    return REFERENCE + ratio(c).log()


def up_to(values, end):
    """Held below where an inverse has its pole, so that bisection can look beyond."""
    return values.clamp(max=end - 1e-9)


def gradient(name, policy, flipped=0.0, lengths=False, **options):
    """Of the loss over every pair, each as often as Bradley-Terry labels it so, with respect to the policy's logits."""
    logits = policy.clone().requires_grad_()
    logps = logits.log_softmax(-1)
    i, j = PAIRS.T
    preferred = (REWARD[i] - REWARD[j]).sigmoid()
    often = (1 - flipped) * preferred + flipped * (1 - preferred)
    more = (LENGTHS[i], LENGTHS[j]) if lengths else ()
    values = getattr(preferences, name)(
        logps[i], logps[j], REFERENCE[i], REFERENCE[j], *more, **{"beta": BETA, **options}, reduction="none"
    )
    return torch.autograd.grad((often * values).sum(), logits)[0]


def tilted(scale=1.0, price=0.0):
    return (scale * REFERENCE + (REWARD - price * LENGTHS.double()) / BETA).log_softmax(-1)


OPTIMA = {
    "dpo": (tilted(), {}),
    "robust_dpo": (tilted(), {"flipped": 0.3, "label_smoothing": 0.3}),
    "alpha_scaled_dpo": (tilted(scale=0.4), {"alpha": 0.4}),
    "r_dpo": (tilted(price=0.1), {"lengths": True, "alpha": 0.1}),
    "dpo_norm": (normalised(lambda c: (LENGTHS * (REWARD + c) / BETA).exp()), {"lengths": True}),
    "f_dpo forward_kl": (normalised(lambda c: 1 / (1 - up_to((REWARD + c) / BETA, 1))), {"divergence": "forward_kl"}),
    "f_dpo js": (normalised(lambda c: 1 / (2 * (-up_to((REWARD + c) / BETA, math.log(2))).exp() - 1)), {"divergence": "js"}),
    "f_dpo alpha": (normalised(lambda c: (1 - up_to((REWARD + c) / BETA, 2) / 2) ** -2.0), {"divergence": "alpha"}),
}


@pytest.mark.parametrize("name", OPTIMA)
def test_the_policy_on_paper_is_where_the_loss_is_smallest(name):
    policy, options = OPTIMA[name]
    assert policy.exp().sum().item() == pytest.approx(1, abs=1e-12)
    torch.testing.assert_close(gradient(name.split()[0], policy, **options), torch.zeros(4, dtype=DOUBLE), rtol=0, atol=1e-10)
    others = [p for other, (p, _) in OPTIMA.items() if other.split()[0] not in (name.split()[0], "robust_dpo", "dpo")]
    assert all(gradient(name.split()[0], other, **options).abs().max() > 1e-3 for other in [REFERENCE, *others])


def test_robust_dpo_is_dpo_on_clean_labels_when_a_share_is_flipped():
    q = [-torch.rand(50, dtype=DOUBLE) * 9 for _ in range(4)]
    turned = [q[1], q[0], q[3], q[2]]
    kept, flipped = (preferences.robust_dpo(*x, label_smoothing=0.2, reduction="none") for x in (q, turned))
    torch.testing.assert_close(0.8 * kept + 0.2 * flipped, preferences.dpo(*q, reduction="none"), rtol=1e-12, atol=1e-12)


def test_a_smoothed_pair_comes_to_rest():
    """cDPO and CREAM want a margin at which the policy prefers as often as the label is right; plain DPO wants more."""
    rest = math.log(0.8 / 0.2) / 0.1
    chosen = torch.tensor([-1.0], dtype=DOUBLE, requires_grad=True)
    fixed = torch.tensor([-1.0 - rest], dtype=DOUBLE)
    reference = torch.tensor([-1.0], dtype=DOUBLE)
    sure = torch.tensor([0.8], dtype=DOUBLE)
    for loss in (
        preferences.dpo(chosen, fixed, reference, reference, label_smoothing=0.2),
        preferences.cream(chosen, fixed, reference, reference, sure),
    ):
        (slope,) = torch.autograd.grad(loss, chosen)
        assert slope.abs().item() < 1e-12
    (slope,) = torch.autograd.grad(preferences.dpo(chosen, fixed, reference, reference), chosen)
    assert slope.item() == pytest.approx(-0.1 * 0.2, rel=1e-9)


@pytest.mark.parametrize(("name", "ratio"), [("dpo", 1.0), ("flex_dpo", 0.8), ("alpha_scaled_dpo", 1.0)])
def test_the_less_likely_answer_is_pushed_harder_by_as_much(name, ratio):
    """Per unit of probability the two gradients stand to each other inversely as the probabilities; Flex-DPO lowers that."""
    p = torch.tensor([0.3], dtype=DOUBLE, requires_grad=True)
    q = torch.tensor([0.002], dtype=DOUBLE, requires_grad=True)
    reference = torch.tensor([-1.0], dtype=DOUBLE)
    getattr(preferences, name)(p.log(), q.log(), reference, reference).backward()
    assert -(q.grad / p.grad).item() == pytest.approx(ratio * 0.3 / 0.002, rel=1e-12)


def test_ipo_wants_the_same_margin_of_every_pair_and_squares_the_rest():
    rest = 1 / (2 * 0.1)
    at = [torch.tensor([x], dtype=DOUBLE) for x in (-1.0, -1.0 - rest, -1.0, -1.0)]
    assert preferences.ipo(*at).item() == 0
    three = torch.tensor([3])
    per_token = [torch.tensor([x], dtype=DOUBLE) for x in (-1.0, -1.0 - 3 * rest, -1.0, -1.0)]
    assert preferences.ipo_norm(*per_token, three, three).item() == pytest.approx(0, abs=1e-24)


def test_a_link_of_a_hopeless_pair():
    """Far below 0 DPO's push tends to beta, EXO's and APO's to nothing, IPO's grows without end."""
    chosen = torch.tensor([-300.0], dtype=DOUBLE, requires_grad=True)
    low = torch.tensor([-1.0], dtype=DOUBLE)
    push = {
        name: torch.autograd.grad(getattr(preferences, name)(chosen, low, low, low), chosen)[0].item()
        for name in ("dpo", "exo", "apo_zero", "ipo", "hinge")
    }
    assert push["dpo"] == pytest.approx(-0.1, rel=1e-9) and push["hinge"] == pytest.approx(-0.1, rel=1e-9)
    assert abs(push["exo"]) < 1e-10 and abs(push["apo_zero"]) < 1e-10
    assert push["ipo"] == pytest.approx(2 * (-299 - 5), rel=1e-9)
    assert logsigmoid(torch.tensor(0.1 * -299.0)) < -29
