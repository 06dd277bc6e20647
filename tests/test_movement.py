"""What moved, against the official CHES numbers and against steps that were really taken."""

import json
from pathlib import Path

import cases
import pytest
import torch

from labkit import metrics, preferences
from labkit.metrics import sign_entanglement, three_parts, token_attribution
from labkit.metrics.movement import ches, displacement, entanglement, first_order, predicting, receivers
from labkit.registry import ENTRIES

ORACLE = json.loads((Path(__file__).parent / "oracles" / "preference.json").read_text(encoding="utf-8"))["ches"]


def official(which):
    hidden = torch.tensor(ORACLE[f"{which}_hidden"], dtype=torch.float64)
    answer = torch.arange(hidden.shape[1]).expand(hidden.shape[:2]) > ORACLE["last_prompt_index"]
    return hidden, predicting(answer)


@pytest.mark.parametrize(("normalized", "key"), [(False, "raw"), (True, "length_normalized")])
def test_ches_is_the_official_number(normalized, key):
    chosen, chosen_mask = official("chosen")
    rejected, rejected_mask = official("rejected")
    got = ches(chosen, rejected, chosen_mask, rejected_mask, length_normalized=normalized)
    torch.testing.assert_close(got, torch.tensor(ORACLE[key], dtype=torch.float64), rtol=0, atol=1e-9)


def test_the_other_published_convention_adds_the_last_state():
    chosen, _ = official("chosen")
    answer = torch.arange(9).expand(12, 9) >= 3
    assert predicting(answer).sum(-1).eq(6).all() and predicting(answer, last=True).sum(-1).eq(7).all()
    one, other = (ches(chosen, -chosen, predicting(answer, last=last), predicting(answer, last=last)) for last in (False, True))
    summed = chosen[:, 2:].sum(1)
    torch.testing.assert_close(other, -2 * summed.square().sum(-1))
    assert not torch.allclose(one, other)


def test_ches_says_nothing_about_single_tokens():
    prompt = torch.randn(5, 3, 8, dtype=torch.float64)  # the state that predicts the answer is the prompt's last one
    mask = predicting(torch.tensor([[False, False, True]]).expand(5, 3))
    other = torch.cat([prompt[:, :2], torch.randn(5, 1, 8, dtype=torch.float64)], dim=1)
    assert (ches(prompt, other, mask, mask) == 0).all()


def test_padding_on_either_side_does_not_enter_ches():
    hidden = torch.randn(2, 4, 8, dtype=torch.float64)
    mask = torch.ones(2, 4, dtype=torch.bool)
    rejected, pad = torch.randn(2, 3, 8, dtype=torch.float64), torch.full((2, 2, 8), 7.0, dtype=torch.float64)
    plain = ches(hidden, rejected, mask, mask[:, :3], length_normalized=True)
    none = torch.zeros(2, 2, dtype=torch.bool)
    left = ches(torch.cat([pad, hidden], 1), rejected, torch.cat([none, mask], 1), mask[:, :3], length_normalized=True)
    right = ches(torch.cat([hidden, pad], 1), rejected, torch.cat([mask, none], 1), mask[:, :3], length_normalized=True)
    torch.testing.assert_close(left, plain, rtol=0, atol=1e-12)
    torch.testing.assert_close(right, plain, rtol=0, atol=1e-12)


def test_long_sums_in_half_precision_stay_finite_and_exact():
    generator = torch.Generator().manual_seed(0)
    chosen, rejected = ((torch.randn(1, 300, 4096, generator=generator) * 20 + 50).half() for _ in range(2))
    mask = torch.ones(1, 300, dtype=torch.bool)
    got = ches(chosen, rejected, mask, mask)
    exact = ches(chosen.double(), rejected.double(), mask, mask)
    assert got.isfinite().all()
    torch.testing.assert_close(got.double(), exact, rtol=1e-6, atol=0)
    near = chosen.clone()
    near[0, 0, 0] += 1  # almost the same answer: |score| is 1e-11 of the terms it is a difference of
    size = near[0, 0, 0].double() - chosen[0, 0, 0].double()
    torch.testing.assert_close(
        ches(chosen, near, mask, mask).double()[0], size * chosen[0, :, 0].double().sum(), rtol=1e-6, atol=0
    )


@pytest.mark.parametrize("which", ["chosen_mask", "rejected_mask"])
def test_a_row_without_states_is_refused(which):
    hidden = torch.randn(2, 3, 4)
    masks = {name: torch.ones(2, 3, dtype=torch.bool) for name in ("chosen_mask", "rejected_mask")}
    masks[which] = torch.tensor([[True] * 3, [False] * 3])
    with pytest.raises(ValueError, match=f"{which} marks no state in row 1"):
        ches(hidden, hidden, masks["chosen_mask"], masks["rejected_mask"])


def gradients(weights, features, chosen, rejected):
    def logp(w, token):
        return (w @ features).log_softmax(0)[token]

    return tuple(torch.autograd.functional.jacobian(lambda w, t=t: logp(w, t), weights).flatten() for t in (chosen, rejected))


def test_entanglement_tells_the_sign_of_a_small_plain_step():
    signs = []
    for _ in range(60):
        weights = torch.randn(4, 2, dtype=torch.float64)
        heads = torch.randn(4, 2, dtype=torch.float64) * 3  # features train: logits are heads @ h
        hidden = weights[0].clone()

        def logp(h, token, heads=heads):
            return (heads @ h).log_softmax(0)[token]

        up, down = (torch.autograd.functional.jacobian(lambda h, t=t: logp(h, t), hidden) for t in (0, 1))
        moved = displacement(logp(hidden, 0)[None], logp(hidden + 1e-6 * (up - down), 0)[None]).item()
        ratio = entanglement(up, down).item()
        signs.append(ratio > 1)
        assert (moved < 0) == (ratio > 1)
        torch.testing.assert_close(moved, 1e-6 * (1 - ratio) * up.square().sum().item(), rtol=1e-3, atol=1e-12)
    assert 3 < sum(signs) < 57  # both cases were met


def test_a_softmax_layer_alone_is_never_entangled_beyond_1():
    for _ in range(50):
        up, down = gradients(torch.randn(5, 3, dtype=torch.float64), torch.randn(3, dtype=torch.float64), 0, 1)
        assert entanglement(up, down) < 1


def test_entanglement_of_many_pairs_is_that_of_each():
    up, down = torch.randn(4, 7), torch.randn(4, 7)
    each = torch.stack([entanglement(a, b) for a, b in zip(up, down, strict=True)])
    torch.testing.assert_close(entanglement(up, down), each)
    with pytest.raises(ValueError, match="grad_chosen is 0"):
        entanglement(torch.zeros(3), torch.ones(3))


def test_first_order_of_short_steps_adds_up_to_the_change():
    weights, features = torch.randn(4, 3, dtype=torch.float64), torch.randn(3, dtype=torch.float64)
    told, start = 0.0, (weights @ features).log_softmax(0)[0].item()
    for _ in range(200):
        up, down = gradients(weights, features, 0, 1)
        update = 1e-3 * torch.sign(up - down)  # no plain gradient descent
        told += first_order(up, update).item()
        weights = weights + update.view_as(weights)
    true = (weights @ features).log_softmax(0)[0].item() - start
    assert abs(true) > 0.05 and told == pytest.approx(true, rel=0.02)


def test_receivers_account_for_all_the_probability():
    before, after = torch.randn(3, 6, dtype=torch.float64), torch.randn(3, 6, dtype=torch.float64)
    everyone = receivers(before, after, k=99)
    assert everyone.tokens.shape == (3, 6)
    torch.testing.assert_close(everyone.gained.sum(-1), torch.zeros(3, dtype=torch.float64))
    assert (everyone.gained.diff(dim=-1) <= 0).all()
    exact = after.softmax(-1) - before.softmax(-1)
    torch.testing.assert_close(exact.gather(1, everyone.tokens), everyone.gained)


# ---------------------------------------------------------------- meters of a run


LOOPS = cases.loops("movement_loops")
METERS = [n for n in vars(LOOPS) if n in ENTRIES]


@pytest.mark.parametrize("name", METERS)
@pytest.mark.parametrize("seed", range(4))
def test_meters_are_those_of_a_slow_loop(name, seed):
    given = cases.inputs(ENTRIES[name], optional=True, seed=seed)
    want = getattr(LOOPS, name)(**{n: x.tolist() for n, x in given.items()})
    got = getattr(metrics, name)(**given)
    torch.testing.assert_close(got.double(), torch.tensor(want, dtype=torch.float64), rtol=1e-6, atol=1e-6)
    if name.startswith("top_k"):
        want = getattr(LOOPS, name)(given["logps"].tolist(), k=2)
        torch.testing.assert_close(getattr(metrics, name)(given["logps"], k=2), torch.tensor(want, dtype=torch.float64))


def test_a_loop_stands_for_every_new_meter():
    assert len(METERS) == 9


def test_a_pair_is_ranked_rightly_exactly_when_its_loss_is_below_the_difficulty():
    draw = torch.Generator().manual_seed(0)
    w, lo, rw, rl = (-10 * torch.rand(5000, generator=draw, dtype=torch.float64) for _ in range(4))
    loss = preferences.dpo(w, lo, rw, rl, beta=0.3, reduction="none")
    assert torch.equal(w > lo, loss < metrics.ranking_difficulty(rw, rl, beta=0.3))
    assert 1000 < (w > lo).sum() < 4000


@pytest.mark.parametrize("name", ["dpo", "ipo", "hinge", "exo"])
def test_the_imbalance_is_that_of_the_losss_gradients_in_the_probabilities(name):
    p = torch.tensor([0.3, 0.05, 0.65], dtype=torch.float64, requires_grad=True)
    logps = p.log()
    loss = getattr(preferences, name)(logps[:1], logps[1:2], logps[:1].detach() + 0.1, logps[1:2].detach())
    (slope,) = torch.autograd.grad(loss, p)
    got = metrics.gradient_imbalance(logps[:1].detach(), logps[1:2].detach())
    assert got.item() == pytest.approx(torch.log(slope[1] / -slope[0]).item(), abs=1e-12)


def test_sign_entanglement_tells_the_sign_of_a_small_sign_step():
    signs = []
    for _ in range(60):
        heads, hidden = torch.randn(4, 3, dtype=torch.float64), torch.randn(3, dtype=torch.float64)

        def logp(h, token, heads=heads):
            return (heads @ h).log_softmax(0)[token]

        up, down = (torch.autograd.functional.jacobian(lambda h, t=t: logp(h, t), hidden) for t in (0, 1))
        moved = logp(hidden + 1e-7 * torch.sign(up - down), 0) - logp(hidden, 0)
        signs.append(sign_entanglement(up, down).item() > 1)
        assert (moved.item() < 0) == signs[-1]
    assert 3 < sum(signs) < 57
    with pytest.raises(ValueError, match="grad_chosen is 0"):
        sign_entanglement(torch.zeros(3), torch.ones(3))


def test_three_parts_are_everything():
    logps = torch.randn(50, 6, dtype=torch.float64).log_softmax(-1)
    parts = three_parts(logps[:, 0], logps[:, 1])
    torch.testing.assert_close(parts.rest, logps[:, 2:].logsumexp(-1), rtol=1e-10, atol=1e-12)
    tiny = three_parts(torch.tensor([-800.0]), torch.tensor([-700.0]))
    assert tiny.rest.item() == 0
    only = torch.randn(1, 2, dtype=torch.float64).log_softmax(-1)
    assert three_parts(only[:, 0], only[:, 1]).rest.item() < -30  # nothing else can be said
    with pytest.raises(ValueError, match="above 1 together"):
        three_parts(torch.tensor([-0.1]), torch.tensor([-0.1]))


def test_tokens_add_up_to_the_margin():
    logits, tokens = torch.randn(2, 3, 5, 7, dtype=torch.float64), torch.randint(7, (3, 5))
    mask = torch.tensor([[False, True, True, True, False]] * 3)
    now, then = (preferences.token_logps(x, tokens, mask) for x in logits)
    each = token_attribution(now, then, then, now)
    margin = (now - then).sum(-1) - (then - now).sum(-1)
    torch.testing.assert_close(each.chosen.sum(-1) + each.rejected.sum(-1), margin, rtol=0, atol=1e-14)
    assert (each.chosen[:, 0] == 0).all() and (each.chosen[:, 4] == 0).all()


def test_edit_distances_of_words():
    def ids(word):
        return torch.tensor([[ord(c) for c in word]])

    for a, b, want in (("kitten", "sitting", 3 / 7), ("abc", "abc", 0), ("abc", "xyz", 1), ("abc", "ab", 1 / 3)):
        x, y = ids(a), ids(b)
        got = metrics.edit_distance(x, y, torch.ones_like(x).bool(), torch.ones_like(y).bool())
        assert got.item() == pytest.approx(want)
    with pytest.raises(ValueError, match="rejected_mask marks no token in row 0"):
        metrics.edit_distance(ids("a"), ids("b"), torch.ones(1, 1).bool(), torch.zeros(1, 1).bool())


def test_lengths_come_in_twos():
    x = torch.tensor([-1.0])
    with pytest.raises(ValueError, match="chosen_lengths and rejected_lengths must both be given"):
        metrics.ranking_accuracy(x, x, torch.tensor([1]))
