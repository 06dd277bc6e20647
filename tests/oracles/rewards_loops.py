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


# ---------------------------------------------------------------- reward models


def goal_conditioned(chosen_rewards, rejected_rewards, states, goals, rejected_goals, weight=0.5):
    values = []
    for w, bad, h, g, other in zip(chosen_rewards, rejected_rewards, states, goals, rejected_goals, strict=True):
        own = mean([sigmoid(cosine(a, b)) for a in h for b in g])
        foreign = mean([sigmoid(cosine(a, b)) for a in h for b in other])
        values.append(-log_sigmoid(w - bad) - weight * (log(own) + log(1 - foreign)))
    return values


def pal(chosen_features, rejected_features, user_logits, prototypes, form="distance", temperature=1.0):
    values = []
    for w, bad, user in zip(chosen_features, rejected_features, user_logits, strict=True):
        ideal = [sum(s * p[i] for s, p in zip(softmax(user), prototypes, strict=True)) for i in range(len(w))]
        if form == "distance":
            near = [-sqrt(sum((a - b) ** 2 for a, b in zip(x, ideal, strict=True))) for x in (w, bad)]
        else:
            near = [cosine(x, ideal) for x in (w, bad)]
        values.append(-log_sigmoid((near[0] - near[1]) / temperature))
    return values


def weak_to_strong(logits, weak_logits, confidence=0.5, progress=1.0, warmup=0.1):
    strong, weak = [sigmoid(z) for z in logits], [sigmoid(w) for w in weak_logits]
    ordered, place = sorted(strong), (1 - mean(weak)) * (len(strong) - 1)
    low = int(place)
    above = ordered[min(low + 1, len(ordered) - 1)]
    threshold = ordered[low] + (place - low) * (above - ordered[low])
    own = confidence * (1.0 if progress > warmup else progress)
    values = []
    for z, p, w in zip(logits, strong, weak, strict=True):
        target = (1 - own) * w + own * (p >= threshold)
        values.append(-target * log_sigmoid(z) - (1 - target) * log_sigmoid(-z))
    return values


def mixed_advantage(kl_advantages, advantages, multipliers):
    share = [sigmoid(x) for x in multipliers]
    left = len(share) - sum(share)
    return [
        left * k + sum(s * a for s, a in zip(share, row, strict=True)) for k, row in zip(kl_advantages, advantages, strict=True)
    ]


def multiplier_loss(multipliers, rewards, thresholds):
    return [sum(sigmoid(x) * (r - t) for x, r, t in zip(multipliers, row, thresholds, strict=True)) for row in rewards]


# ---------------------------------------------------------------- rewards nobody trained


def kl_penalized_reward(rewards, logps, ref_logps, beta=0.05):
    return [r - beta * log(exp(a) / exp(b)) for r, a, b in zip(rewards, logps, ref_logps, strict=True)]


def log_sigmoid_reward(rewards, reference_rewards):
    values = []
    for row, reference in zip(rewards, reference_rewards, strict=True):
        probability = 1.0
        for r, at in zip(row, reference, strict=True):
            probability *= sigmoid(r - at)
        values.append(log(probability))
    return values


def density_ratio_reward(strong_logps, weak_logps, lengths=None):
    return [
        log(exp(a / n) / exp(b / n))
        for a, b, n in zip(strong_logps, weak_logps, lengths or [1] * len(strong_logps), strict=True)
    ]


def follow_up_reward(positive_logps, negative_logps):
    return [mean(a) - mean(b) for a, b in zip(positive_logps, negative_logps, strict=True)]


def relevance_reward(relevance, lengths, diversity, factual_mask=None, longest=512):
    factual = factual_mask or [False] * len(lengths)
    values = []
    for r, n, d, one_answer in zip(relevance, lengths, diversity, factual, strict=True):
        values.append(d * (r / 3.5 * longest / 100 if one_answer else r * n / 100))
    return values


def preference_strength(chosen_rewards, rejected_rewards, form="mean"):
    values = []
    for chosen, rejected in zip(chosen_rewards, rejected_rewards, strict=True):
        d = [a - b for a, b in zip(chosen, rejected, strict=True)]
        values.append(mean(d) if form == "mean" else sqrt(mean([(x - mean(d)) ** 2 for x in d])))
    return values


# ---------------------------------------------------------------- token by token


def per_answer(mask, value):
    """`value(i, t)` summed over the marked tokens of answer i, in units whose mean over answers is the mean over tokens."""
    marked = [[t for t in range(1, len(row)) if row[t]] for row in mask]
    tokens = sum(len(row) for row in marked)
    return [sum(value(i, t) for t in row) * len(mask) / tokens for i, row in enumerate(marked)]


def dft(logits, labels, mask):
    def value(i, t):
        p = softmax(logits[i][t - 1])[labels[i][t]]
        return -p * log(p)

    return per_answer(mask, value)


def logits_finetuning(logits, labels, mask, top_ids, top_logps, alpha=0.9, progress=1.0):
    def value(i, t):
        p = softmax(logits[i][t - 1])
        kept = [exp(x) for x in top_logps[i][t]]
        q = [0.0] * len(p)
        for token, share in zip(top_ids[i][t], kept, strict=True):
            q[token] += share / sum(kept)
        target = [progress * a + (1 - progress) * b for a, b in zip(q, p, strict=True)]
        divergence = sum(a * log(a / b) for a, b in zip(target, p, strict=True) if a > 0)
        return -alpha * log(p[labels[i][t]]) + (1 - alpha) * divergence

    return per_answer(mask, value)


def dckd(
    chosen_logits,
    rejected_logits,
    teacher_chosen_logits,
    teacher_rejected_logits,
    chosen_mask,
    rejected_mask,
    weight=1.0,
):
    def divergence(teacher, student):
        def value(i, t):
            q, p = softmax(teacher[i][t - 1]), softmax(student[i][t - 1])
            return sum(a * log(a / b) for a, b in zip(q, p, strict=True))

        return value

    good = per_answer(chosen_mask, divergence(teacher_chosen_logits, chosen_logits))
    bad = per_answer(rejected_mask, divergence(teacher_rejected_logits, rejected_logits))
    return [a + weight * b for a, b in zip(good, bad, strict=True)]


def adpa(logits, teacher_logits, ref_teacher_logits, mask):
    def value(i, t):
        p, after, before = (softmax(x[i][t - 1]) for x in (logits, teacher_logits, ref_teacher_logits))
        return -sum(a * log(b / c) for a, b, c in zip(p, after, before, strict=True))

    return per_answer(mask, value)
