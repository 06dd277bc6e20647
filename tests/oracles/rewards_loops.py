"""Rewards, lists and supervised objectives as slow loops over plain Python numbers, written from the papers and their code."""

from math import exp, log, sqrt


def log_sigmoid(x):
    return -log(1 + exp(-x)) if x > 0 else x - log(1 + exp(x))


def sigmoid(x):
    return exp(log_sigmoid(x))


def mean(values):
    return sum(values) / len(values)


def cosine(u, v):
    return sum(a * b for a, b in zip(u, v, strict=True)) / sqrt(sum(a * a for a in u) * sum(b * b for b in v))


def softmax(x):
    total = sum(exp(v - max(x)) for v in x)
    return [exp(v - max(x)) / total for v in x]


# ---------------------------------------------------------------- comparisons


def bradley_terry(chosen_rewards, rejected_rewards, margin=None, label_smoothing=0.0, center=0.0):
    values = []
    for i, (a, b) in enumerate(zip(chosen_rewards, rejected_rewards, strict=True)):
        gap = a - b - (margin[i] if margin else 0.0)
        values.append(-(1 - label_smoothing) * log_sigmoid(gap) - label_smoothing * log_sigmoid(-gap) + center * (a + b) ** 2)
    return values


def reward_chain(best_rewards, middle_rewards, worst_rewards, near=0.3, shrink=0.01):
    values = []
    for chain in zip(best_rewards, middle_rewards, worst_rewards, strict=True):
        total = 0.0
        for weight, (a, b) in zip((near, 1.0, near), ((0, 1), (0, 2), (1, 2)), strict=True):
            total += weight * (-log_sigmoid(chain[a] - chain[b]) + shrink * 0.5 * (chain[a] ** 2 + chain[b] ** 2))
        values.append(total / 3)
    return values


def contrastive_reward(
    chosen_rewards,
    rejected_rewards,
    chosen_features,
    rejected_features,
    chosen_again,
    rejected_again,
    form="answers",
    temperature=0.05,
    weight=0.1,
):
    def minus(u, v):
        return [[a - b for a, b in zip(x, y, strict=True)] for x, y in zip(u, v, strict=True)]

    if form == "answers":
        once, again = chosen_features + rejected_features, chosen_again + rejected_again
    else:
        once = minus(chosen_features, rejected_features) + minus(rejected_features, chosen_features)
        again = minus(chosen_again, rejected_again) + minus(rejected_again, chosen_again)
    apart = []
    for i, h in enumerate(once):
        similar = [exp(cosine(h, other) / temperature) for other in again]
        apart.append(-log(similar[i] / sum(similar)))
    n = len(chosen_rewards)
    return [-log_sigmoid(chosen_rewards[i] - rejected_rewards[i]) + weight * (apart[i] + apart[n + i]) / 2 for i in range(n)]


def context_reward(chosen_rewards, rejected_rewards, context_logits):
    values = []
    for good, bad, c in zip(chosen_rewards, rejected_rewards, context_logits, strict=True):
        values.append(-log(sum(p * sigmoid(a - b) for p, a, b in zip(softmax(c), good, bad, strict=True))))
    return values


# ---------------------------------------------------------------- lists


def info_nca(scores, labels, temperature=1.0):
    values = []
    for s, psi in zip(scores, labels, strict=True):
        target, mine = softmax([x / temperature for x in psi]), softmax(s)
        values.append(-sum(t * log(m) for t, m in zip(target, mine, strict=True)))
    return values


def softmax_dpo(chosen_scores, rejected_scores):
    return [
        -log_sigmoid(-log(sum(exp(other - s) for other in rejected)))
        for s, rejected in zip(chosen_scores, rejected_scores, strict=True)
    ]
