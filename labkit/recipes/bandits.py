"""Policies with one logit for each answer: bandits, answers that no pair mentions, cycles, and which mode is covered."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from labkit import preferences
from labkit.preferences.games import preference_scores

Loss = Callable[[Tensor, Tensor], Tensor]  # from log-probabilities, now and of the reference, to one number


def descend(reference: Tensor, loss: Loss, *, steps: int = 400, lr: float = 0.05) -> Tensor:
    """Log-probabilities `(steps + 1, answers)` of a policy with one free logit per answer, by Adam on the exact loss."""
    logits = reference.clone().requires_grad_()
    optimizer, path = torch.optim.Adam([logits], lr=lr), []
    for _ in range(steps):
        now = logits.log_softmax(-1)
        path.append(now.detach())
        optimizer.zero_grad()
        loss(now, reference).backward()
        optimizer.step()
    return torch.stack([*path, logits.detach().log_softmax(-1)])


def kl(p: Tensor, q: Tensor) -> Tensor:
    """`KL(p || q)` of log-probabilities, along the last axis."""
    return (p.exp() * (p - q)).sum(-1)


def tilted(reference: Tensor, reward: Tensor, beta: float) -> Tensor:
    """The policy that nothing beats at its distance from the reference: `ref exp(reward / beta)`, as log-probabilities."""
    return (reference + reward / beta).log_softmax(-1)


ARMS, PEAK, HOME = 100, 70.0, 20.0


def bandit(width: float = 30.0, spread: float = 10.0) -> tuple[Tensor, Tensor]:
    """Rewards, and the reference's log-probabilities, of 100 arms in a row: the reward peaks far from the reference."""
    arm = torch.arange(ARMS, dtype=torch.float64)
    return torch.exp(-(((arm - PEAK) / width) ** 2)), (-(((arm - HOME) / spread) ** 2) / 2).log_softmax(-1)


def sampled_pairs(reference: Tensor, reward: Tensor, n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Better and worse arm of n pairs that the reference drew; pairs of the same arm are left out."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.multinomial(reference.exp(), 2 * n, replacement=True, generator=generator).view(n, 2)
    drawn = drawn[drawn[:, 0] != drawn[:, 1]]
    better = reward[drawn].argmax(1, keepdim=True)
    return drawn.gather(1, better).squeeze(1), drawn.gather(1, 1 - better).squeeze(1)


def offline(reward: Tensor, w: Tensor, lose: Tensor, temperature: float = 0.1) -> dict[str, Loss]:
    """Losses on the same fixed pairs."""
    drawn = torch.cat([w, lose])
    share = (reward[drawn] / temperature).softmax(0)
    return {
        "imitate the chosen": lambda p, q: -p[w].mean(),
        "reward-weighted (RWR)": lambda p, q: -(share * p[drawn]).sum(),
        "DPO": lambda p, q: preferences.dpo(p[w], p[lose], q[w], q[lose]),
        "IPO": lambda p, q: preferences.ipo(p[w], p[lose], q[w], q[lose]),
    }


def online(reward: Tensor, beta: float = 0.02, draws: int = 200, seed: int = 0) -> dict[str, Loss]:
    """Losses on what the policy itself says, anew in every step: in exact expectation, and from so many draws."""
    generator = torch.Generator().manual_seed(seed)
    w, lose = every_pair(reward)

    def sampled(p: Tensor, q: Tensor) -> Tensor:
        arms = torch.multinomial(p.detach().exp(), draws, replacement=True, generator=generator)
        gain = (reward[arms] - beta * (p - q)[arms]).detach()
        return -((gain - gain.mean()) * p[arms]).mean()

    def dpo(p: Tensor, q: Tensor) -> Tensor:
        drawn = 2 * (p[w] + p[lose]).detach().exp()  # how often the policy would draw this pair
        return (drawn * preferences.dpo(p[w], p[lose], q[w], q[lose], reduction="none")).sum()

    return {
        "policy gradient, exact": lambda p, q: -(p.exp() @ reward) + beta * kl(p, q),
        "on-policy DPO, exact": dpo,
        f"policy gradient, {draws} draws": sampled,
    }


def every_pair(reward: Tensor) -> tuple[Tensor, Tensor]:
    """Better and worse of all pairs of arms that differ."""
    i, j = torch.triu_indices(len(reward), len(reward), 1)
    differ = reward[i] != reward[j]
    i, j = i[differ], j[differ]
    better = torch.where(reward[i] > reward[j], i, j)
    return better, i + j - better


def solved(reference: Tensor, loss: Loss, *, steps: int = 1000) -> Tensor:
    """The policy at the minimum of an exact loss, by L-BFGS."""
    logits = reference.clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [logits], max_iter=steps, tolerance_grad=1e-13, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss(logits.log_softmax(-1), reference)
        value.backward()
        return value

    optimizer.step(closure)  # type: ignore[arg-type]
    return logits.detach().log_softmax(-1)


def population_dpo(reward: Tensor, beta: float) -> Loss:
    """DPO on every pair of arms, each labelled as Bradley-Terry would: both ways, in their shares."""
    i, j = torch.triu_indices(len(reward), len(reward), 1)
    chance = (reward[i] - reward[j]).sigmoid()

    def loss(p: Tensor, q: Tensor) -> Tensor:
        one, other = (preferences.dpo(p[a], p[b], q[a], q[b], beta=beta, reduction="none") for a, b in ((i, j), (j, i)))
        return (chance * one + (1 - chance) * other).mean()

    return loss


# ---------------------------------------------------------------- an answer that no pair mentions


def unmentioned(
    share: float, weight: float = 0.0, *, draws: int = 0, steps: int = 800, lr: float = 0.5, beta: float = 0.1, seed: int = 0
) -> Tensor:
    """Log-probabilities `(steps + 1, 3)` of chosen, rejected and a third answer that no pair mentions, by gradient descent.

    All three share one feature, which alone learns: the third answer points the other way, as Yes does to No and Never.

    Args:
        share: the third answer's probability at the start; the other two share the rest.
        weight: of the KL from policy to reference, over all answers.
        draws: so many answers of the policy estimate that KL in each step, as HyPO does; 0 takes it exactly.
    """
    generator = torch.Generator().manual_seed(seed)
    direction = torch.tensor([-1.0, -1.4, 1.0], dtype=torch.float64)
    start = torch.tensor([(1 - share) / 2, (1 - share) / 2, share], dtype=torch.float64).log()
    h, path = torch.zeros((), dtype=torch.float64, requires_grad=True), []
    for _ in range(steps + 1):
        now = (start + h * direction).log_softmax(-1)
        path.append(now.detach())
        pair = now[:1], now[1:2], start[:1], start[1:2]
        if draws:
            said = torch.multinomial(now.detach().exp(), draws, replacement=True, generator=generator)
            loss = preferences.hypo(*pair, now[None, said], start[None, said], beta=beta, lambda_=weight)
        else:
            loss = preferences.dpo(*pair, beta=beta) + weight * kl(now, start)
        (slope,) = torch.autograd.grad(loss, h)
        with torch.no_grad():
            h -= lr / beta * slope
    return torch.stack(path)


# ---------------------------------------------------------------- cycles


def cycle(n: int = 3) -> Tensor:
    """Winner and loser of each pair `(pairs, 2)`, n odd: each answer beats the (n - 1) / 2 that follow it on the circle."""
    return torch.tensor([(i, (i + step) % n) for i in range(n) for step in range(1, (n - 1) // 2 + 1)])


def fitted(
    pairs: Tensor, dimensions: int, seed: int = 0, *, steps: int = 300, lr: float = 0.05
) -> tuple[Tensor, Tensor, Tensor]:
    """Fit these pairs with one reward per answer (`dimensions=1`: Bradley-Terry) or with points in planes (an even number).

    Returns the parameters, and for each step the loss and the share of pairs that are ordered rightly.
    """
    n = int(pairs.max()) + 1
    generator = torch.Generator().manual_seed(seed)
    shape = (n,) if dimensions == 1 else (n, dimensions)
    v = (0.5 * torch.randn(shape, generator=generator, dtype=torch.float64)).requires_grad_()
    optimizer, losses, right = torch.optim.Adam([v], lr=lr), [], []
    for _ in range(steps):
        winner, loser = v[pairs[:, 0]], v[pairs[:, 1]]
        if dimensions == 1:
            loss, score = preferences.bradley_terry(winner, loser), winner - loser
        else:
            loss, score = preferences.gpm(winner, loser, temperature=1.0), preference_scores(winner, loser)
        losses.append(loss.detach())
        right.append((score.detach() > 0).double().mean())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return v.detach(), torch.stack(losses), torch.stack(right)


# ---------------------------------------------------------------- divergences

DIVERGENCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {  # of policy p and target t, as log-probabilities
    "KL(target, policy)": lambda p, t: kl(t, p),
    "Jensen-Shannon": lambda p, t: (kl(p, middle(p, t)) + kl(t, middle(p, t))) / 2,
    "total variation": lambda p, t: (p.exp() - t.exp()).abs().sum(-1) / 2,
    "KL(policy, target)": lambda p, t: kl(p, t),
}


def middle(p: Tensor, t: Tensor) -> Tensor:
    return torch.logaddexp(p, t) - math.log(2)


def two_peaks(right: float = 0.3) -> Tensor:
    """A target over 100 answers: a broad peak on the left, and a narrower one with this share on the right."""
    x = torch.arange(ARMS, dtype=torch.float64)
    peaks = [(-(((x - at) / width) ** 2) / 2).log_softmax(-1) for at, width in ((30.0, 8.0), (72.0, 5.0))]
    return torch.logaddexp(peaks[0] + math.log(1 - right), peaks[1] + math.log(right))


def one_peak(mean: Tensor, width: Tensor) -> Tensor:
    """Policies that can only say "about here, this broad": log-probabilities `(n, answers)`."""
    x = torch.arange(ARMS, dtype=torch.float64)
    return (-(((x - mean[:, None]) / width[:, None]) ** 2) / 2).log_softmax(-1)


def closest(target: Tensor) -> dict[str, Tensor]:
    """Of all one-peaked policies on a fine grid, the one that each divergence likes best."""
    means, widths = torch.arange(0, 100, 0.5, dtype=torch.float64), torch.arange(1, 40, 0.5, dtype=torch.float64)
    grid = torch.cartesian_prod(means, widths)
    policies = one_peak(*grid.T)
    return {name: policies[divergence(policies, target).argmin()] for name, divergence in DIVERGENCES.items()}


def pulled(logits: Tensor, target: Tensor, name: str) -> Tensor:
    """The gradient on the logits that `f_dpg` has on average over answers that the policy gives: a sum over all of them."""
    logits = logits.clone().requires_grad_()
    now = logits.log_softmax(-1)
    each = preferences.f_dpg(now, target, divergence=name, reduction="none")  # type: ignore[arg-type]
    return torch.autograd.grad((now.detach().exp() * each).sum(), logits)[0]
