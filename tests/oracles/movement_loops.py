"""Meters of preference training, one number at a time."""

import functools
import math


def ranking_accuracy(chosen_logps, rejected_logps, chosen_lengths=None, rejected_lengths=None):
    right = 0
    for i, (w, lo) in enumerate(zip(chosen_logps, rejected_logps, strict=True)):
        if chosen_lengths is not None:
            w, lo = w / chosen_lengths[i], lo / rejected_lengths[i]
        right += w > lo
    return right / len(chosen_logps)


def implicit_accuracy(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps):
    pairs = zip(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps, strict=True)
    return sum(w - rw > lo - rl for w, lo, rw, rl in pairs) / len(chosen_logps)


def reward_accuracy(chosen_rewards, rejected_rewards):
    return sum(w > lo for w, lo in zip(chosen_rewards, rejected_rewards, strict=True)) / len(chosen_rewards)


def ranking_difficulty(ref_chosen_logps, ref_rejected_logps, beta=0.1):
    return [math.log1p(math.exp(-beta * (lo - w))) for w, lo in zip(ref_chosen_logps, ref_rejected_logps, strict=True)]


def top_k_mass(logps, k=10):
    made = []
    for row in logps:
        whole = sum(math.exp(x) for x in row)
        made.append(sum(sorted((math.exp(x) / whole for x in row), reverse=True)[:k]))
    return made


def top_k_entropy(logps, k=10):
    made = []
    for row in logps:
        top = sorted((math.exp(x) for x in row), reverse=True)[:k]
        shares = [p / sum(top) for p in top]
        made.append(-sum(p * math.log(p) for p in shares))
    return made


def gradient_imbalance(chosen_logps, rejected_logps):
    return [math.log(math.exp(w) / math.exp(lo)) for w, lo in zip(chosen_logps, rejected_logps, strict=True)]


def sign_entanglement(grad_chosen, grad_rejected):
    told = sum(a * ((a > b) - (a < b)) for a, b in zip(grad_chosen, grad_rejected, strict=True))
    return 1 - told / sum(abs(a) for a in grad_chosen)


def edit_distance(chosen, rejected, chosen_mask, rejected_mask):
    made = []
    for a, b, m, n in zip(chosen, rejected, chosen_mask, rejected_mask, strict=True):
        a, b = [x for x, on in zip(a, m, strict=True) if on], [x for x, on in zip(b, n, strict=True) if on]
        made.append(changes(tuple(a), tuple(b)) / max(len(a), len(b)))
    return made


@functools.cache
def changes(a, b):
    """As it is defined, from the end."""
    if not a or not b:
        return len(a) + len(b)
    return min(changes(a[:-1], b) + 1, changes(a, b[:-1]) + 1, changes(a[:-1], b[:-1]) + (a[-1] != b[-1]))
