"""Games, policy gradients and distillation as slow loops over plain Python numbers; a list of one value per example."""

from math import exp, log


def log_sigmoid(x):
    return -log(1 + exp(-x)) if x > 0 else x - log(1 + exp(x))


def dno(cw, cl, ow, ol, rw, rl, eta=0.1):
    values = []
    for a, b, c, d, r, s in zip(cw, cl, ow, ol, rw, rl, strict=True):
        label = 1 / (1 + exp(-(r - s)))
        z = eta * (a - c) - eta * (b - d)
        values.append(-label * log_sigmoid(z) - (1 - label) * log_sigmoid(-z))
    return values


def inpo(cw, cl, rw, rl, ow, ol, eta=7.5e-3, tau=2.5e-3):
    values = []
    for a, b, c, d, e, f in zip(cw, cl, rw, rl, ow, ol, strict=True):
        h = (a - b) - tau / eta * (c - d) - (eta - tau) / eta * (e - f)
        values.append((h - 1 / (2 * eta)) ** 2)
    return values


def gpo(logps, old, scores, log_z=None, beta=0.1):
    return [(a - b - (s / beta - z)) ** 2 for a, b, s, z in zip(logps, old, scores, log_z or [0.0] * len(logps), strict=True)]


def reinforce(logps, rewards):
    return [-r * a for a, r in zip(logps, rewards, strict=True)]


def rwr(logps, rewards, beta=1.0):
    values = []
    for row, r in zip(logps, rewards, strict=True):
        total = sum(exp(x / beta) for x in r)
        values.append(-sum(exp(x / beta) / total * a for a, x in zip(row, r, strict=True)))
    return values


def copg(cw, cl, rw, rl, reward_w, reward_l, beta=0.1):
    """The paper's eq. 7 to 9, negated and times beta, plus the half square of the rewards' difference."""
    values = []
    for a, b, c, d, r, s in zip(cw, cl, rw, rl, reward_w, reward_l, strict=True):
        mine, other = r - beta / 2 * (a - c), s - beta / 2 * (b - d)
        paper = (mine - other) * (a - c) + (other - mine) * (b - d)
        values.append(-beta * paper + (r - s) ** 2 / 2)
    return values


def p3o(cw, cl, ow, ol, reward_w, reward_l, epsilon=0.2, clip="separate"):
    def surrogate(ratio, advantage):
        return -min(ratio * advantage, min(max(ratio, 1 - epsilon), 1 + epsilon) * advantage)

    values = []
    for a, b, c, d, r, s in zip(cw, cl, ow, ol, reward_w, reward_l, strict=True):
        first, second = exp(a - c), exp(b - d)
        if clip == "joint":
            u = log(first / second)
            values.append(-first * second * min((r - s) * u, (r - s) * min(max(u, -epsilon), epsilon)) / 2)
        else:
            values.append((second * surrogate(first, r - s) + first * surrogate(second, s - r)) / 2)
    return values


def sharpening(logps, base):
    return [-row[others.index(max(others))] for row, others in zip(logps, base, strict=True)]


def regret_loss(logits, losses, smoothing=0.0):
    values = []
    for game, costs in zip(logits, losses, strict=True):
        suffered = 0.0
        for z, cost in zip(game, costs, strict=True):
            total = sum(exp(x) for x in z)
            suffered += sum(exp(x) / total * c for x, c in zip(z, cost, strict=True))
        sums = [sum(cost[a] for cost in costs) for a in range(len(costs[0]))]
        best = min(sums) if not smoothing else -smoothing * log(sum(exp(-s / smoothing) for s in sums))
        values.append(suffered - best)
    return values


def rltf_sd(logps, rewards, first):
    values = []
    for row, r, r0 in zip(logps, rewards, first, strict=True):
        baseline = sum(r0) / len(r0)
        values.append(-sum((x - baseline) * a for a, x in zip(row, r, strict=True)) / len(row))
    return values


def rltf_fm(logps, advantages, feedback, lengths=None, weight=0.1):
    lengths = lengths or [1] * len(logps)
    return [-a * x - weight * c / n for x, a, c, n in zip(logps, advantages, feedback, lengths, strict=True)]


def pi_distill(teacher, student, rewards, alpha=0.5, beta=0.1):
    values = []
    for t, s, r in zip(teacher, student, rewards, strict=True):
        first = (r - beta * (t - s)) * t
        second = exp(s) / exp(t) * r + beta * s
        values.append(-alpha * first - (1 - alpha) * second)
    return values


def opsd(student, teacher, rewards, beta=0.1):
    return [-(r - beta * (s - t)) * s for s, t, r in zip(student, teacher, rewards, strict=True)]


def disco(logps, old, correct, mask, score="logp", tau=10.0, beta=1e3, delta=1e-4, kl="k1"):
    """The paper's objective itself, where the official code has another value with the same gradient."""
    objective, drift, tokens = 0.0, 0.0, 0
    for group, group_old, marks, group_mask in zip(logps, old, correct, mask, strict=True):
        scores = []
        for row, row_old, row_mask in zip(group, group_old, group_mask, strict=True):
            pairs = [(a, b) for a, b, m in zip(row, row_old, row_mask, strict=True) if m]
            scores.append(sum(a if score == "logp" else exp(a - b) for a, b in pairs) / len(pairs))
            drift += sum(b - a if kl == "k1" else exp(a - b) - (a - b) - 1 for a, b in pairs)
            tokens += len(pairs)
        right = [s for s, m in zip(scores, marks, strict=True) if m]
        wrong = [s for s, m in zip(scores, marks, strict=True) if not m]
        if right and wrong:
            soft = sum(wrong) / len(wrong) if tau is None else tau * log(sum(exp(s / tau) for s in wrong) / len(wrong))
            objective += sum(right) / len(right) - soft
    drift /= tokens
    return max(0.0, beta * (drift - delta)) * drift - objective / len(logps)
