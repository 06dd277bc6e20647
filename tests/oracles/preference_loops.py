"""Preference objectives as slow loops over plain Python numbers, written from the papers; a list of one value per example."""

from math import exp, log


def log_sigmoid(x):
    return -log(1 + exp(-x)) if x > 0 else x - log(1 + exp(x))


def dpop(cw, cl, rw, rl, beta=0.1, lambda_=50.0):
    return [
        -log_sigmoid(beta * ((a - c) - (b - d) - lambda_ * max(0.0, c - a))) for a, b, c, d in zip(cw, cl, rw, rl, strict=True)
    ]


def rpo(cw, cl, rw, rl, lengths=None, beta=0.1, eta=0.005):
    lengths = lengths or [1] * len(cw)
    return [
        -log_sigmoid(beta * ((a - c) - (b - d))) - eta * a / n for a, b, c, d, n in zip(cw, cl, rw, rl, lengths, strict=True)
    ]


def kto(cw, cl, rw, rl, beta=0.1, kl=0.0, desirable_weight=1.0, undesirable_weight=1.0):
    def sigmoid(x):
        return 1 / (1 + exp(-x))

    good = [desirable_weight * (1 - sigmoid(beta * (a - c - kl))) for a, c in zip(cw, rw, strict=True)]
    return good + [undesirable_weight * (1 - sigmoid(beta * (kl - (b - d)))) for b, d in zip(cl, rl, strict=True)]


def bco(cw, cl, rw, rl, beta=0.1, shift=0.0):
    return [
        -log_sigmoid(beta * (a - c) - shift) - log_sigmoid(-(beta * (b - d) - shift))
        for a, b, c, d in zip(cw, cl, rw, rl, strict=True)
    ]


def discopop(cw, cl, rw, rl, beta=0.1, tau=0.05):
    values = []
    for a, b, c, d in zip(cw, cl, rw, rl, strict=True):
        z = beta * ((a - c) - (b - d))
        m = 1 / (1 + exp(-z / tau))
        values.append((1 - m) * -log_sigmoid(z) + m * exp(-z))
    return values


def aot(cw, cl, rw, rl, beta=0.1):
    policy = sorted(a - b for a, b in zip(cw, cl, strict=True))
    reference = sorted(c - d for c, d in zip(rw, rl, strict=True))
    return [-log_sigmoid(beta * (x - y)) for x, y in zip(policy, reference, strict=True)]


def simpo(cw, cl, nw, nl, beta=2.0, gamma=1.0):
    return [-log_sigmoid(beta * (a / n - b / m) - gamma) for a, b, n, m in zip(cw, cl, nw, nl, strict=True)]


def orpo(cw, cl, nw, nl, beta=0.1, sft=1.0):
    def odds(x):
        return exp(x) / (1 - exp(x))

    return [
        -sft * a / n - beta * log_sigmoid(log(odds(a / n) / odds(b / m))) for a, b, n, m in zip(cw, cl, nw, nl, strict=True)
    ]


def cpo(cw, cl, beta=0.1, sft=1.0):
    return [-log_sigmoid(beta * (a - b)) - sft * a for a, b in zip(cw, cl, strict=True)]


def slic(cw, cl, margin=1.0, sft=0.0):
    return [max(0.0, margin - a + b) - sft * a for a, b in zip(cw, cl, strict=True)]


def sft(cw, lengths=None):
    return [-a / n for a, n in zip(cw, lengths or [1] * len(cw), strict=True)]


def bradley_terry(cw, cl, margin=None):
    return [-log_sigmoid(a - b - m) for a, b, m in zip(cw, cl, margin or [0.0] * len(cw), strict=True)]


def lipo(scores, labels):
    totals = []
    for s, psi in zip(scores, labels, strict=True):
        rank = [1 + sum(other > mine for other in s) for mine in s]
        total = 0.0
        for i in range(len(s)):
            for j in range(len(s)):
                if psi[i] > psi[j]:
                    gain = abs(2 ** psi[i] - 2 ** psi[j])
                    discount = abs(1 / log(1 + rank[i]) - 1 / log(1 + rank[j]))
                    total -= gain * discount * log_sigmoid(s[i] - s[j])
        totals.append(total)
    return totals


def plackett_luce(scores, ranking):
    totals = []
    for s, order in zip(scores, ranking, strict=True):
        probability = 1.0
        for place, best in enumerate(order):
            probability *= exp(s[best]) / sum(exp(s[i]) for i in order[place:])
        totals.append(-log(probability))
    return totals


def sequence_logps(logits, labels, mask, average=False):
    totals = []
    for rows, ids, marks in zip(logits, labels, mask, strict=True):
        parts = [log(exp(rows[t - 1][ids[t]]) / sum(exp(x) for x in rows[t - 1])) for t in range(1, len(ids)) if marks[t]]
        totals.append(sum(parts) / len(parts) if average else sum(parts))
    return totals
