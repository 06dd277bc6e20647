"""The first-order account against finite differences, on policies and optimisers drawn at random."""

import itertools

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, RMSprop

from labkit import preferences
from labkit.training import Config, call, fit
from labkit.training.account import Account, Line, Parts
from labkit.training.loop import Trainer

# name: from parameters and a learning rate to an optimiser, and whether its update has parts that no gradient drives
OPTIMIZERS = {
    "sgd": (lambda p, lr: SGD(p, lr=lr), False),
    "sgd momentum": (lambda p, lr: SGD(p, lr=lr, momentum=0.9, dampening=0.3), False),
    "sgd nesterov": (lambda p, lr: SGD(p, lr=lr, momentum=0.8, nesterov=True), False),
    "sgd maximize": (lambda p, lr: SGD(p, lr=lr, momentum=0.5, maximize=True), False),
    "sgd decay": (lambda p, lr: SGD(p, lr=lr, weight_decay=0.1), True),
    "adam": (lambda p, lr: Adam(p, lr=lr), False),
    "adam amsgrad": (lambda p, lr: Adam(p, lr=lr, betas=(0.5, 0.7), eps=1e-3, amsgrad=True), False),
    "adam maximize": (lambda p, lr: Adam(p, lr=lr, maximize=True), False),
    "adamw": (lambda p, lr: AdamW(p, lr=lr, weight_decay=0.1), True),
    "rmsprop": (lambda p, lr: RMSprop(p, lr=lr), False),
    "rmsprop centered": (lambda p, lr: RMSprop(p, lr=lr, centered=True, momentum=0.9, eps=1e-4), False),
    "two groups": (lambda p, lr: Adam([{"params": p[:2]}, {"params": p[2:], "lr": lr / 10}], lr=lr), False),
}
MARGIN_LOSSES = ("dpo", "ipo", "hinge", "robust_dpo", "exo")


def policy(seed=0):
    """An MLP policy over six answers, in float64, and five pairs of answers to random prompts."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 6)).double()
    prompts = torch.randn(5, 3, dtype=torch.float64)
    chosen, rejected = torch.randint(6, (5,)), torch.randint(6, (5,))
    rejected = torch.where(rejected == chosen, (rejected + 1) % 6, rejected)

    def logps():
        every = net(prompts).log_softmax(-1)
        return [every.gather(1, which[:, None]).squeeze(1) for which in (chosen, rejected)]

    return net, logps


def loss_of(logps, name="dpo", reference=None):
    return getattr(preferences, name)(*logps, *(reference or [x.detach() + 0.1 for x in logps]))


def means(logps):
    with torch.no_grad():
        return [x.mean().item() for x in logps()]


def moved_along(net, vector, logps, size=1e-6):
    """The change of both means along a direction, by central differences."""
    ends = []
    start = nn.utils.parameters_to_vector(net.parameters()).detach()
    for sign in (1, -1):
        nn.utils.vector_to_parameters(start + sign * size * vector, net.parameters())
        ends.append(means(logps))
    nn.utils.vector_to_parameters(start, net.parameters())
    return [(a - b) / (2 * size) for a, b in zip(*ends, strict=True)]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_step_is_what_finite_differences_say(name):
    make, has_rest = OPTIMIZERS[name]
    net, logps = policy(seed=3)
    account = Account(net.parameters(), make(list(net.parameters()), 1e-2))
    for step in range(4):
        now = logps()
        before = nn.utils.parameters_to_vector(net.parameters()).detach().clone()
        line = account.step(*now, loss_of(now))
        after = nn.utils.parameters_to_vector(net.parameters()).detach().clone()
        nn.utils.vector_to_parameters(before, net.parameters())
        slopes = moved_along(net, after - before, logps)
        nn.utils.vector_to_parameters(after, net.parameters())
        assert line.chosen.total == pytest.approx(slopes[0], rel=1e-5, abs=1e-10), step
        assert line.rejected.total == pytest.approx(slopes[1], rel=1e-5, abs=1e-10), step
        for parts in (line.chosen, line.rejected):
            assert parts.own + parts.entangled + parts.rest == pytest.approx(parts.total, abs=1e-12)
            assert (abs(parts.rest) > 1e-6) == has_rest, step  # the split leaves nothing out, though nothing forces it to


@pytest.mark.parametrize("name", ["sgd momentum", "sgd nesterov", "sgd decay"])
def test_the_parts_are_what_each_side_does_alone(name):
    """Without second moments the update is linear: replay the same gradients with one side switched off."""
    make, _ = OPTIMIZERS[name]
    net, logps = policy(seed=1)
    start = nn.utils.parameters_to_vector(net.parameters()).detach().clone()
    parameters = list(net.parameters())
    account = Account(parameters, make(parameters, 1e-2))
    twins = [[p.detach().clone().requires_grad_() for p in parameters] for _ in range(2)]
    alone = [make(twin, 1e-2) for twin in twins]
    for group in itertools.chain(*(o.param_groups for o in alone)):
        group["weight_decay"] = 0.0
    told = [[0.0, 0.0], [0.0, 0.0]]
    for _ in range(5):
        now = logps()
        slopes = [torch.autograd.grad(x.mean(), parameters, retain_graph=True) for x in now]
        loss = loss_of(now)
        weights = torch.autograd.grad(loss, now, retain_graph=True)
        for side, (twin, optimizer) in enumerate(zip(twins, alone, strict=True)):
            pushes = torch.autograd.grad(now[side], parameters, weights[side], retain_graph=True)
            old = [p.detach().clone() for p in twin]
            for p, g in zip(twin, pushes, strict=True):
                p.grad = g
            optimizer.step()
            for i in range(2):
                moved = (p.detach() - o for p, o in zip(twin, old, strict=True))
                told[i][side] += sum(float((s * m).sum()) for s, m in zip(slopes[i], moved, strict=True))
        account.step(*now, loss)
    total = account.total
    assert [total.chosen.own, total.chosen.entangled] == pytest.approx(told[0], rel=1e-9)
    assert [total.rejected.entangled, total.rejected.own] == pytest.approx(told[1], rel=1e-9)
    assert not torch.equal(start, nn.utils.parameters_to_vector(net.parameters()))


def moving(history, decay):
    """The exponential average of a list of tensors, written out as its sum."""
    t = len(history)
    return sum((1 - decay) * decay ** (t - 1 - k) * x for k, x in enumerate(history))


def adam_by_hand(whole, side, lr, first=0.9, second=0.999, eps=1e-8, amsgrad=False):
    """Adam's update for one side's gradients, from the histories of both: the moments as sums."""
    t = len(whole)
    v = [moving([g * g for g in whole[: k + 1]], second) for k in range(t)]
    v = torch.stack(v).amax(0) if amsgrad else v[-1]
    return -lr * moving(side, first) / (1 - first**t) / ((v / (1 - second**t)).sqrt() + eps)


def rmsprop_by_hand(whole, side, lr, alpha=0.99, eps=1e-8, centered=False, momentum=0.0):
    made = 0.0
    for k in range(len(whole)):
        v = moving([g * g for g in whole[: k + 1]], alpha) - (moving(whole[: k + 1], alpha) ** 2 if centered else 0)
        made = momentum * made + side[k] / (v.sqrt() + eps)
    return -lr * made


BY_HAND = {
    "adam": (adam_by_hand, {}),
    "adamw": (adam_by_hand, {}),
    "adam amsgrad": (adam_by_hand, {"first": 0.5, "second": 0.7, "eps": 1e-3, "amsgrad": True}),
    "rmsprop": (rmsprop_by_hand, {}),
    "rmsprop centered": (rmsprop_by_hand, {"centered": True, "momentum": 0.9, "eps": 1e-4}),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_the_parts_are_each_sides_share_of_the_moments(name):
    formula, options = BY_HAND[name]
    net, logps = policy(seed=2)
    parameters = list(net.parameters())
    account = Account(parameters, OPTIMIZERS[name][0](parameters, 1e-2))
    sides: list[list] = [[], []]
    told = torch.zeros(2, 2, dtype=torch.float64)
    for _ in range(6):
        now = logps()
        loss = loss_of(now)
        weights = torch.autograd.grad(loss, now, retain_graph=True)
        for side in range(2):
            pushes = torch.autograd.grad(now[side], parameters, weights[side], retain_graph=True)
            sides[side].append(nn.utils.parameters_to_vector(pushes))
        whole = [a + b for a, b in zip(*sides, strict=True)]
        made = [formula(whole, side, 1e-2, **options) for side in sides]
        for i, x in enumerate(now):
            slope = nn.utils.parameters_to_vector(torch.autograd.grad(x.mean(), parameters, retain_graph=True))
            told[i] += torch.stack([slope @ m for m in made])
        account.step(*now, loss)
    total = account.total
    assert [total.chosen.own, total.chosen.entangled] == pytest.approx(told[0].tolist(), rel=1e-8)
    assert [total.rejected.entangled, total.rejected.own] == pytest.approx(told[1].tolist(), rel=1e-8)


@pytest.mark.parametrize("name", ["sgd momentum", "adam", "adamw", "rmsprop"])
def test_the_sum_converges_to_the_true_change(name):
    """The gap of the sum is of first order in the learning rate: a tenth of the steps' length, a tenth of the gap."""
    gaps = []
    for shorter in (1, 10):
        net, logps = policy(seed=5)
        account = Account(net.parameters(), OPTIMIZERS[name][0](list(net.parameters()), 1e-2 / shorter))
        reference = [x.detach() for x in logps()]
        begin = means(logps)
        for _ in range(30 * shorter):
            now = logps()
            account.step(*now, loss_of(now, reference=reference))
        change = [b - a for a, b in zip(begin, means(logps), strict=True)]
        told = [account.total.chosen.total, account.total.rejected.total]
        assert abs(change[1]) > 0.02
        gaps.append([abs(t - c) for t, c in zip(told, change, strict=True)])
    assert all(small < 0.25 * large for large, small in zip(*gaps, strict=True)), gaps
    assert gaps[1][1] < 0.01


@pytest.mark.parametrize("name", MARGIN_LOSSES)
def test_plain_gradient_descent_is_the_papers_condition(name):
    """own : entangled = |g+|^2 : -<g+, g-> when every pair has the same weight, whatever the link."""
    net, logps = policy(seed=7)
    account = Account(net.parameters(), SGD(net.parameters(), lr=1e-3))
    now = [x[:1] for x in logps()]
    line = account.step(*now, loss_of(now, name))
    assert line.chosen.entangled / line.chosen.own == pytest.approx(-line.ratio, rel=1e-9)
    assert line.chosen.rest == pytest.approx(0, abs=1e-12)
    assert (line.chosen.total < 0) == (line.ratio > 1)


def test_a_term_of_its_own_is_the_rest():
    net, logps = policy()
    account = Account(net.parameters(), SGD(net.parameters(), lr=1e-2))
    now = logps()
    line = account.step(*now, loss_of(now) + sum(p.square().sum() for p in net.parameters()))
    assert abs(line.chosen.rest) > 1e-5
    plain_net, logps = policy()
    account = Account(plain_net.parameters(), SGD(plain_net.parameters(), lr=1e-2))
    now = logps()
    plain = account.step(*now, loss_of(now))
    assert (plain.chosen.own, plain.chosen.entangled) == pytest.approx((line.chosen.own, line.chosen.entangled), rel=1e-9)


def test_clipping_shortens_both_pushes():
    lines = []
    for clip in (None, 1e-3):
        net, logps = policy()
        account = Account(net.parameters(), SGD(net.parameters(), lr=1e-2), clip=clip)
        now = logps()
        norm = torch.cat([g.flatten() for g in torch.autograd.grad(loss_of(now), list(net.parameters()))]).norm().item()
        now = logps()
        lines.append(account.step(*now, loss_of(now)))
    factor = 1e-3 / norm
    assert factor < 0.5
    assert tuple(lines[1].chosen) == pytest.approx([factor * x for x in lines[0].chosen], rel=1e-3, abs=1e-12)


def test_an_account_of_a_fixed_set_and_of_means():
    net, logps = policy()
    account = Account(net.parameters(), SGD(net.parameters(), lr=1e-2))
    batch, watched = [x[:2] for x in logps()], tuple(x[-1] for x in logps())
    line = account.step(*batch, loss_of(batch), watched=watched)
    net2, logps = policy()
    account = Account(net2.parameters(), SGD(net2.parameters(), lr=1e-2))
    chosen, rejected = (x[:2].mean() for x in logps())
    means_line = account.step(chosen, rejected, -torch.nn.functional.logsigmoid(chosen - rejected))
    assert line.chosen.total != pytest.approx(means_line.chosen.total)
    assert means_line.chosen.rest == pytest.approx(0, abs=1e-12)


def test_what_cannot_be_accounted_for_is_refused():
    net, logps = policy()
    with pytest.raises(TypeError, match="got Adagrad"):
        Account(net.parameters(), torch.optim.Adagrad(net.parameters()))
    with pytest.raises(ValueError, match="nothing that learns"):
        Account([torch.zeros(2)], SGD(net.parameters(), lr=1))
    account = Account(net.parameters(), SGD(net.parameters(), lr=1))
    chosen, rejected = logps()
    with pytest.raises(ValueError, match="chosen has no gradient"):
        account.step(chosen.detach(), rejected, rejected.sum())
    with pytest.raises(ValueError, match="does not depend on chosen or rejected"):
        account.step(chosen.mean(), rejected.mean(), loss_of([chosen, rejected]))  # the loss saw the pairs, not their means


# ---------------------------------------------------------------- in the trainer

PAIRS = Config(
    data=call("grammar", part="same suffix"),
    model=call("tiny_lm", d=8, heads=2, layers=1),
    loss=call("dpo"),
    optimizer=call("adam", lr=3e-3),
    steps=12,
    batch=64,
)


def test_a_run_with_its_account_has_the_same_numbers(monkeypatch, tmp_path):
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    assert "account" not in PAIRS.text and "account=True" in PAIRS.replace(account=True).text
    plain, booked = fit(PAIRS), fit(PAIRS.replace(account=True))
    for column, values in plain.history.items():
        assert booked.history[column] == values, column
    h = booked.history
    assert sum(h["account_chosen"][:-1]) == pytest.approx(h["chosen_logps"][-1] - h["chosen_logps"][0], abs=0.05)
    for step in range(11):  # the batch is the whole data: what the step did is the difference of two rows
        assert h["chosen_change"][step] == pytest.approx(h["chosen_logps"][step + 1] - h["chosen_logps"][step], abs=1e-5)
    parts = zip(*(h[f"account_chosen{p}"] for p in ("", "_own", "_entangled", "_rest")), strict=True)
    assert all(a + b + c == pytest.approx(total, abs=1e-9) for total, a, b, c in parts)
    stopped = fit(PAIRS.replace(account=True, until=("margin", h["margin"][6])))
    assert {len(column) for column in stopped.history.values()} == {7} and stopped.history["account_chosen"][-1] == 0


def test_an_interrupted_account_goes_on_where_it_was(monkeypatch, tmp_path):
    config = PAIRS.replace(account=True)
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path / "whole"))
    whole = fit(config).history
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path / "broken"))
    advance = Trainer.advance

    def killed(self):
        if self.step == 6 and not (tmp_path / "again").exists():
            self.save()
            (tmp_path / "again").touch()
            raise KeyboardInterrupt
        return advance(self)

    monkeypatch.setattr(Trainer, "advance", killed)
    with pytest.raises(KeyboardInterrupt):
        fit(config)
    again = fit(config).history
    assert {k: v[:-1] for k, v in again.items()} == {k: v[:-1] for k, v in whole.items()}


def test_lines_add_up():
    assert Parts(1, 2, 3, 4) + Parts(1, 1, 1, 1) == Parts(2, 3, 4, 5)
    assert set(Line().row) == {f"account_{s}{p}" for s in ("chosen", "rejected") for p in ("", "_own", "_entangled", "_rest")}
