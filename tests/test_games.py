"""Preferences without a reward, on tables: rock-paper-scissors, even and lopsided."""

import itertools
import math

import pytest
import torch
from scipy.linalg import schur
from scipy.optimize import linprog

from labkit import preferences
from labkit.preferences.games import turn

RPS = torch.tensor([[0.5, 0.0, 1.0], [1.0, 0.5, 0.0], [0.0, 1.0, 0.5]], dtype=torch.float64)  # rock loses to paper, ...
LOPSIDED = torch.tensor([[0.5, 0.1, 0.7], [0.9, 0.5, 0.2], [0.3, 0.8, 0.5]], dtype=torch.float64)
REF = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64).log()


def close(got, want, tolerance=1e-12):
    torch.testing.assert_close(got, want, rtol=tolerance, atol=tolerance)


def pairs(x):
    k = len(x)
    return x[:, None].expand(k, k).flatten(), x[None, :].expand(k, k).flatten()


def gradient(value, logits):
    return torch.autograd.grad(value, logits, retain_graph=True)[0]


def nash(wins):
    """The policy that no other beats, by linear programming: maximise v with p @ wins >= v."""
    k = len(wins)
    found = linprog(
        [0.0] * k + [-1.0],
        A_ub=[[-float(wins[i, j]) for i in range(k)] + [1.0] for j in range(k)],
        b_ub=[0.0] * k,
        A_eq=[[1.0] * k + [0.0]],
        b_eq=[1.0],
    )
    return torch.tensor(found.x[:k], dtype=torch.float64)


def regularised_nash(wins, tau=0.2, eta=2.0, rounds=4000):
    """By mirror descent: its fixed point is ref exp(P(y beats it) / tau)."""
    policy = REF
    for _ in range(rounds):
        policy = mirror_step(policy, wins, tau, eta)
    return policy


def mirror_step(old, wins, tau, eta):
    return ((wins @ old.exp()) / eta + tau / eta * REF + (1 - tau / eta) * old).log_softmax(-1)


def test_the_regularised_nash_policy_is_a_fixed_point():
    best = regularised_nash(LOPSIDED)
    left = best - REF - LOPSIDED @ best.exp() / 0.2
    close(left, left.mean().expand(3), 1e-10)


# ---------------------------------------------------------------- INPO


def inpo_round(logits, old, wins, tau, eta):
    """INPO's loss over all pairs that the old policy draws, each labelled either way as often as it would be."""
    logps = logits.log_softmax(-1)
    first, second = [torch.stack(z) for z in zip(*(pairs(x) for x in (logps, REF, old)), strict=True)]
    columns = [x for both in zip(first, second, strict=True) for x in both]
    flipped = [x for both in zip(second, first, strict=True) for x in both]
    weight = torch.outer(old.exp(), old.exp()).flatten()
    chosen, other = (preferences.inpo(*c, eta=eta, tau=tau, reduction="none") for c in (columns, flipped))
    return (weight * (wins.flatten() * chosen + (1 - wins.flatten()) * other)).sum()


@pytest.mark.parametrize("wins", [RPS, LOPSIDED], ids=["even", "lopsided"])
def test_inpo_is_smallest_at_a_step_of_mirror_descent(wins):
    old = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64).log()
    step = mirror_step(old, wins, 0.1, 0.4).requires_grad_()
    close(gradient(inpo_round(step, old, wins, 0.1, 0.4), step), torch.zeros(3, dtype=torch.float64))
    elsewhere = (step + torch.tensor([0.3, 0.0, -0.1])).detach().requires_grad_()
    assert gradient(inpo_round(elsewhere, old, wins, 0.1, 0.4), elsewhere).abs().max() > 0.01


def test_inpo_repeated_ends_at_the_regularised_nash_policy():
    old = REF
    for _ in range(30):
        logits = old.clone().requires_grad_()
        search = torch.optim.LBFGS([logits], lr=1, max_iter=50, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

        def loss(logits=logits, old=old, search=search):
            search.zero_grad()
            value = inpo_round(logits, old, LOPSIDED, 0.2, 0.4)
            value.backward()
            return value

        search.step(loss)
        old = logits.detach().log_softmax(-1)
    close(old, regularised_nash(LOPSIDED), 1e-5)


def test_inpo_is_ipo_where_tau_is_eta():
    six = [-3 * torch.rand(6, dtype=torch.float64) for _ in range(6)]
    close(preferences.inpo(*six, eta=0.2, tau=0.2), preferences.ipo(*six[:4], beta=0.2))
    close(preferences.inpo(*six, eta=0.2, tau=0.0), preferences.ipo(*six[:2], *six[4:], beta=0.2))


def test_a_tau_above_eta_is_refused():
    six = [-torch.ones(2) for _ in range(6)]
    with pytest.raises(ValueError, match="tau must be <= eta, got tau = 0"):
        preferences.inpo(*six, eta=0.1, tau=0.5)


# ---------------------------------------------------------------- DNO


def dno_round(logits, old, wins, eta):
    rates, weight = wins @ old.exp(), torch.outer(old.exp(), old.exp()).flatten()
    given = [*pairs(logits.log_softmax(-1)), *pairs(old), *pairs(rates)]
    return (weight * preferences.dno(*given, eta=eta, reduction="none")).sum()


@pytest.mark.parametrize("wins", [RPS, LOPSIDED], ids=["even", "lopsided"])
def test_dno_is_smallest_at_soft_policy_iteration(wins):
    old = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64).log()
    step = (old + wins @ old.exp() / 0.4).log_softmax(-1).requires_grad_()
    close(gradient(dno_round(step, old, wins, 0.4), step), torch.zeros(3, dtype=torch.float64))
    elsewhere = (step + torch.tensor([0.3, 0.0, -0.1])).detach().requires_grad_()
    assert gradient(dno_round(elsewhere, old, wins, 0.4), elsewhere).abs().max() > 1e-4


@pytest.mark.parametrize("wins", [RPS, LOPSIDED], ids=["even", "lopsided"])
def test_the_mean_of_dnos_rounds_approaches_nash_and_its_last_round_does_not(wins):
    old, total = REF, torch.zeros(3, dtype=torch.float64)
    for _ in range(4000):
        total += old.exp()
        old = (old + wins @ old.exp() / 5.0).log_softmax(-1)
    close(total / 4000, nash(wins), 0.03)
    assert (old.exp() - nash(wins)).abs().max() > 0.1
    assert (wins.T @ nash(wins)).max() <= 0.5 + 1e-9  # nothing beats it


def test_dno_of_a_certain_win_would_be_dpo():
    """Win rates lie in [0, 1], so the label never reaches 1: DNO-Prct sets it, and is DPO against the last round."""
    four = [-3 * torch.rand(6, dtype=torch.float64) for _ in range(4)]
    one, zero = torch.ones(6, dtype=torch.float64), torch.zeros(6, dtype=torch.float64)
    label = 1 / (1 + math.exp(-1))
    want = preferences.dpo(*four, beta=0.3, label_smoothing=1 - label)
    close(preferences.dno(*four, one, zero, eta=0.3), want)


# ---------------------------------------------------------------- GPM and GPO

CYCLE = torch.tensor([[0, 1], [1, 2], [2, 0]])  # each beats the next


def test_no_reward_fits_more_than_two_thirds_of_a_cycle():
    best = max(sum(r[i] > r[j] for i, j in CYCLE.tolist()) for r in itertools.permutations(range(3)))
    assert best == 2


@pytest.mark.parametrize("seed", range(3))
def test_two_coordinates_learn_the_cycle_that_one_reward_cannot(seed):
    torch.manual_seed(seed)
    for d, fit in ((1, False), (2, True)):
        v = torch.randn(3, d, dtype=torch.float64, requires_grad=True)
        search = torch.optim.Adam([v], lr=0.05)
        for _ in range(500):
            search.zero_grad()
            first, second = v[CYCLE[:, 0]], v[CYCLE[:, 1]]
            loss = (
                preferences.gpm(first, second, temperature=1.0) if fit else preferences.bradley_terry(first[:, 0], second[:, 0])
            )
            loss.backward()
            search.step()
        first, second = v.detach()[CYCLE[:, 0]], v.detach()[CYCLE[:, 1]]
        right = (preferences.preference_scores(first, second) if fit else (first - second)[:, 0]) > 1e-6
        assert right.all() if fit else right.double().mean() <= 2 / 3
        assert loss < 0.1 if fit else loss > math.log(2) - 1e-6  # a reward model is left guessing


def test_scores_change_sign_with_the_order_and_are_zero_against_oneself():
    v, w = torch.randn(2, 6, 4, dtype=torch.float64)
    close(preferences.preference_scores(v, w), -preferences.preference_scores(w, v))
    close(preferences.preference_scores(v, v), torch.zeros(6, dtype=torch.float64))
    close(turn(v).norm(dim=-1), v.norm(dim=-1))


def test_with_a_constant_second_coordinate_it_is_bradley_terry():
    rewards = torch.randn(2, 6, dtype=torch.float64)
    first, second = (torch.stack([r, torch.full_like(r, 2.0)], -1) for r in rewards)
    close(preferences.gpm(first, second, temperature=1.0), preferences.bradley_terry(2 * rewards[0], 2 * rewards[1]))


def test_any_table_of_log_odds_has_embeddings():
    """The paper's theorem: the real Schur form of a skew-symmetric table gives them."""
    table = torch.randn(6, 6, dtype=torch.float64)
    table = table - table.T
    blocks, turned = schur(table.numpy(), output="real")
    v = torch.tensor(turned).clone()
    for i in range(0, 6, 2):
        size = float(blocks[i, i + 1])
        v[:, i : i + 2] *= math.sqrt(abs(size))
        if size < 0:
            v[:, [i, i + 1]] = v[:, [i + 1, i]]
    first, second = (torch.stack(x) for x in zip(*((v[i], v[j]) for i in range(6) for j in range(6)), strict=True))
    close(preferences.preference_scores(first, second), table.flatten(), 1e-10)


def test_an_odd_number_of_dimensions_is_refused():
    with pytest.raises(ValueError, match="embeddings must have an even number of dimensions"):
        preferences.gpm(torch.randn(2, 3), torch.randn(2, 3))


def test_gpo_is_zero_at_the_tilted_policy_and_mean_scores_are_those_of_all_pairs():
    v = torch.randn(1, 5, 4, dtype=torch.float64)
    scores = preferences.mean_scores(v)
    each = torch.stack([preferences.preference_scores(v[0, i].expand(5, 4), v[0]).mean() for i in range(5)])
    close(scores[0], each)
    old = torch.randn(5, dtype=torch.float64).log_softmax(-1)
    tilted, log_z = old + scores[0] / 0.5, torch.logsumexp(old + scores[0] / 0.5, -1)
    value = preferences.gpo(tilted - log_z, old, scores[0], log_z.expand(5), beta=0.5, reduction="none")
    close(value, torch.zeros(5, dtype=torch.float64))


# ---------------------------------------------------------------- Nash-MD


def nash_md_gradient(logits, wins, coefficient, tau):
    """On average over the policy's own one-token answers, against the mixture."""
    logps = logits.log_softmax(-1)
    other = preferences.geometric_mixture(logps[None].detach(), REF[None], coefficient=coefficient).softmax(-1).squeeze(0)
    each = preferences.nash_md(logps[:, None], REF[:, None], wins @ other, beta=tau, reduction="none")
    return gradient((logps.exp().detach() * each).sum(), logits), other


@pytest.mark.parametrize("wins", [RPS, LOPSIDED], ids=["even", "lopsided"])
def test_nash_md_climbs_the_win_rate_less_the_distance_to_the_reference(wins):
    logits = torch.randn(3, dtype=torch.float64, requires_grad=True)
    got, other = nash_md_gradient(logits, wins, 0.5, 0.2)
    logps = logits.log_softmax(-1)
    close(got, -gradient((logps.exp() * (wins @ other - 0.2 * (logps - REF))).sum(), logits))


def test_nash_md_rests_at_the_regularised_nash_policy_against_itself_only():
    """Against a mixture halfway to the reference, TRL's default, it rests elsewhere."""
    best = regularised_nash(LOPSIDED).requires_grad_()
    assert nash_md_gradient(best, LOPSIDED, 0.0, 0.2)[0].abs().max() < 1e-8
    assert nash_md_gradient(best, LOPSIDED, 0.5, 0.2)[0].abs().max() > 0.005


def test_nash_mds_price_of_two_tokens_is_not_the_gradient_of_their_kl():
    """Token by token, as TRL has it, the first token does not pay for what the second one costs after it."""
    torch.manual_seed(0)
    first, second, ref_first, ref_second = (torch.randn(s, dtype=torch.float64) for s in (2, (2, 2), 2, (2, 2)))
    first.requires_grad_()
    lp, lp2 = first.log_softmax(-1), second.log_softmax(-1)
    ref, ref2 = ref_first.log_softmax(-1), ref_second.log_softmax(-1)
    logps = torch.stack([torch.stack([lp[a], lp2[a, b]]) for a in range(2) for b in range(2)])
    refs = torch.stack([torch.stack([ref[a], ref2[a, b]]) for a in range(2) for b in range(2)])
    drawn = logps.sum(-1).exp()
    half = torch.full((4,), 0.5, dtype=torch.float64)
    priced = (drawn.detach() * preferences.nash_md(logps, refs, half, beta=1.0, reduction="none")).sum()
    whole = (drawn * (logps - refs).sum(-1)).sum()
    assert (gradient(priced, first) - gradient(whole, first)).abs().max() > 0.01
