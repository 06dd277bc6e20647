"""Right answers to a2, as different people write them."""

import math
from itertools import groupby
from operator import itemgetter

import numpy as np
import torch
import torch.nn.functional as F

from labkit.grading import given, reference

nt_xent = reference("a1.nt_xent")


# ---------------------------------------------------------------- shares


def shares_softmax(similarities, negatives, temperature):
    return torch.softmax(torch.where(negatives, similarities / temperature, float("-inf")), dim=1)


def shares_loop(s, mask, tau):
    rows = []
    for cosines, mine in zip(s, mask, strict=True):
        top = cosines[mine].max()
        weights = [math.exp((c - top) / tau) if m else 0.0 for c, m in zip(cosines.tolist(), mine.tolist(), strict=True)]
        rows.append([w / sum(weights) for w in weights])
    return rows


def shares_numpy(similarities, negatives, temperature):
    s = np.where(negatives.numpy(), similarities.numpy(), -np.inf) / temperature
    e = np.exp(s - s.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def shares_autograd(similarities, negatives, temperature):
    logits = (similarities / temperature).masked_fill(~negatives, -torch.inf).requires_grad_()
    (gradient,) = torch.autograd.grad(logits.logsumexp(-1).sum(), logits)
    return gradient


# ---------------------------------------------------------------- limit


def limit_branches(similarities, negatives, towards):
    if towards == "infinity":
        return negatives / negatives.sum(1, keepdim=True)
    s = similarities.masked_fill(~negatives, -torch.inf)
    nearest = s == s.max(1, keepdim=True).values
    return nearest / nearest.sum(1, keepdim=True)


def limit_small_temperature(similarities, negatives, towards):
    return shares_softmax(similarities.double(), negatives, 1e-6 if towards == "zero" else 1e7)


def limit_loop(similarities, negatives, towards):
    table = np.zeros(tuple(similarities.shape))
    for i, row in enumerate(similarities.tolist()):
        mine = [j for j in range(len(row)) if negatives[i, j]]
        best = max(row[j] for j in mine)
        chosen = [j for j in mine if row[j] == best] if towards == "zero" else mine
        table[i, chosen] = 1 / len(chosen)
    return table


# ---------------------------------------------------------------- push


def push_softmax(z1, z2, temperature):
    z, n = F.normalize(torch.cat([z1, z2]), dim=1), len(z1)
    logits = z @ z.T / temperature
    logits.fill_diagonal_(-torch.inf)
    p = logits.softmax(dim=1)
    i = torch.arange(2 * n)
    p[i, (i + n) % (2 * n)] = 0
    return p / temperature


def push_strength_times_shares(z1, z2, temperature):
    z, n = F.normalize(torch.cat([z1, z2]), dim=1), len(z1)
    s = z @ z.T
    i = torch.arange(2 * n)
    partner = (i + n) % (2 * n)
    negatives = (i[:, None] != i) & (partner[:, None] != i)
    shares = shares_softmax(s, negatives, temperature)
    others = (s / temperature).masked_fill(~negatives, -torch.inf).logsumexp(1)
    strength = torch.sigmoid(others - s[i, partner] / temperature) / temperature
    return strength[:, None] * shares


def push_autograd(z1, z2, temperature):
    z, n = F.normalize(torch.cat([z1, z2]), dim=1), len(z1)
    s = (z @ z.T).detach().requires_grad_()
    logits = (s / temperature).masked_fill(torch.eye(2 * n, dtype=torch.bool), -torch.inf)
    targets = torch.arange(2 * n).roll(n)
    F.cross_entropy(logits, targets, reduction="sum").backward()
    return s.grad * (1 - F.one_hot(targets, 2 * n))


def push_loop(z1, z2, *, temperature):
    z = [row / row.norm() for row in (*z1, *z2)]
    m = len(z)
    table = torch.zeros(m, m, dtype=z1.dtype)
    for i in range(m):
        partner = (i + m // 2) % m
        logits = torch.stack([z[i] @ z[j] / temperature for j in range(m)])
        logits[i] = -torch.inf
        p = (logits - logits.logsumexp(0)).exp()
        for j in range(m):
            if j not in (i, partner):
                table[i, j] = p[j] / temperature
    return table


# ---------------------------------------------------------------- progress


def progress_formula(loss, n, temperature):
    chance = math.log(2 * n - 1)
    floor = math.log(1 + (2 * n - 2) * math.exp(-n / ((n - 1) * temperature)))
    return (chance - loss) / (chance - floor)


def progress_by_simplex(loss, n, temperature):
    """No formula for the floor: build the corners and ask the loss."""
    corners = torch.eye(n, dtype=torch.float64) - 1 / n
    lowest = float(nt_xent(corners, corners, temperature))
    same = torch.ones(n, 2, dtype=torch.float64)
    chance = float(nt_xent(same, same, temperature))
    return (chance - loss) / (chance - lowest)


def progress_numpy(loss, n, temperature):
    losses = np.asarray(loss, dtype=float)
    floor = np.logaddexp(0, np.log(2 * n - 2) - n / (n - 1) / temperature)
    return 1 - (losses - floor) / (np.log(2 * n - 1) - floor)


# ---------------------------------------------------------------- learn_temperature


def learn_log_temperature(z1, z2, start, steps, lr, weight_decay):
    log_t = torch.tensor(math.log(start), requires_grad=True)
    weights = torch.eye(z1.shape[1], dtype=z1.dtype).requires_grad_()
    groups = [{"params": [weights]}, {"params": [log_t], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=lr, weight_decay=weight_decay)
    for _ in range(steps):
        loss = nt_xent(z1 @ weights, z2 @ weights, log_t.exp())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            log_t.clamp_(min=math.log(0.01))
    return log_t.exp().item()


def learn_logit_scale(z1, z2, start, steps, lr, weight_decay):
    head = torch.nn.Linear(z1.shape[1], z1.shape[1], bias=False, dtype=z1.dtype)
    torch.nn.init.eye_(head.weight)
    logit_scale = torch.nn.Parameter(torch.tensor(np.log(1 / start)))
    optimizer = torch.optim.AdamW(
        [{"params": head.parameters(), "weight_decay": weight_decay}, {"params": [logit_scale], "weight_decay": 0}], lr=lr
    )
    for _ in range(steps):
        optimizer.zero_grad()
        nt_xent(head(z1), head(z2), 1 / logit_scale.exp().clamp(max=100)).backward()
        optimizer.step()
    return (1 / logit_scale.exp().clamp(max=100)).item()


def learn_two_optimisers(z1, z2, start, steps, lr, weight_decay):
    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.map = torch.nn.Parameter(torch.eye(z1.size(1), dtype=z1.dtype))
            self.log_t = torch.nn.Parameter(torch.tensor(start, dtype=z1.dtype).log())

        def forward(self):
            return nt_xent(z1 @ self.map.T, z2 @ self.map.T, self.log_t.clamp(min=math.log(0.01)).exp())

    model = Model()
    optimizers = [
        torch.optim.AdamW([model.map], lr=lr, weight_decay=weight_decay),
        torch.optim.AdamW([model.log_t], lr=lr, weight_decay=0.0),
    ]
    for _ in range(steps):
        for each in optimizers:
            each.zero_grad()
        model().backward()
        for each in optimizers:
            each.step()
        model.log_t.data.clamp_(min=math.log(0.01))
    return model.log_t.detach().exp()


# ---------------------------------------------------------------- own_push


def own_push_shares(runs, how):
    found = []
    for run in runs:
        source = run if how == "re-train" else runs[0]
        z, labels = F.normalize(source["z"], dim=1), source["labels"]
        others = ~torch.eye(len(z), dtype=torch.bool)
        weights = shares_softmax(z @ z.T, others, run["temperature"])
        found.append((weights * (labels[:, None] == labels)).sum(1).mean())
    return torch.stack(found)


def own_push_numpy(runs, how):
    found = []
    for run in runs:
        z, y = (runs[0] if how == "re-weigh" else run)["z"].numpy(), run["labels"].numpy()
        z = z / np.linalg.norm(z, axis=1)[:, None]
        logits = z @ z.T / run["temperature"]
        np.fill_diagonal(logits, -np.inf)
        e = np.exp(logits - logits.max(1, keepdims=True))
        found.append(((e / e.sum(1, keepdims=True)) * (y == y[:, None])).sum() / len(z))
    return found


def own_push_loop(runs, how):
    def share(z, labels, temperature):
        total = 0.0
        for i in range(len(z)):
            rest = [j for j in range(len(z)) if j != i]
            logits = torch.stack([F.cosine_similarity(z[i], z[j], dim=0) for j in rest]) / temperature
            total += float(logits.softmax(0)[labels[rest] == labels[i]].sum())
        return total / len(z)

    first = runs[0]
    if how == "re-weigh":
        return [share(first["z"], first["labels"], run["temperature"]) for run in runs]
    return [share(run["z"], run["labels"], run["temperature"]) for run in runs]


# ---------------------------------------------------------------- choose_temperature


def accuracy(z, labels, labelled):
    z, found = F.normalize(z, dim=1), []
    for rows in labelled:
        rest = torch.tensor([i for i in range(len(z)) if i not in rows.tolist()])
        guessed = labels[rows][(z[rest] @ z[rows].T).argmax(1)]
        found.append(float((guessed == labels[rest]).double().mean()))
    return sum(found) / len(found)


def choose_dicts(runs):
    scores = {}
    for run in runs:
        scores.setdefault(run["temperature"], []).append(accuracy(run["z"], run["labels"], run["labelled"]))
    return max(scores, key=lambda t: np.mean(scores[t]))


def choose_table(runs):
    temperatures = sorted({run["temperature"] for run in runs}, reverse=True)
    seeds = sorted({run["seed"] for run in runs})
    table = torch.full((len(temperatures), len(seeds)), math.nan, dtype=torch.float64)
    for run in runs:
        cell = temperatures.index(run["temperature"]), seeds.index(run["seed"])
        table[cell] = accuracy(run["z"], run["labels"], run["labelled"])
    return torch.tensor(temperatures)[table.nanmean(1).argmax()]


def choose_sorted(runs):
    scored = [(run["temperature"], accuracy(run["z"], run["labels"], run["labelled"])) for run in runs]
    rows = []
    for temperature, group in groupby(sorted(scored), key=itemgetter(0)):
        mine = [a for _, a in group]
        rows.append((sum(mine) / len(mine), temperature))
    return sorted(rows)[-1][1]


# ---------------------------------------------------------------- evidence


def evidence_by(choose):
    def numbers(variant):
        mine = given("a2", variant)
        runs, found = {"digits": mine.digits, "nested": mine.nested}, {}
        for kind, other in (("digits", "nested"), ("nested", "digits")):

            def mean(temperature, kind=kind):
                rows = [r for r in runs[kind] if r["temperature"] == temperature]
                return np.mean([accuracy(r["z"], r["labels"], r["labelled"]) for r in rows])

            chosen, swap = float(choose(runs[kind])), float(choose(runs[other]))
            chosen, swap = (min((r["temperature"] for r in runs[kind]), key=lambda t: abs(t - x)) for x in (chosen, swap))
            found[kind] = {"temperature": chosen, "accuracy": mean(chosen), "swapped": mean(swap)}
        return found

    return numbers


RIGHT = {
    "a2.shares": (shares_softmax, shares_loop, shares_numpy, shares_autograd),
    "a2.limit": (limit_branches, limit_small_temperature, limit_loop),
    "a2.push": (push_softmax, push_strength_times_shares, push_autograd, push_loop),
    "a2.progress": (progress_formula, progress_by_simplex, progress_numpy),
    "a2.learn_temperature": (learn_log_temperature, learn_logit_scale, learn_two_optimisers),
    "a2.own_push": (own_push_shares, own_push_numpy, own_push_loop),
    "a2.choose_temperature": (choose_dicts, choose_table, choose_sorted),
    "a2.evidence": tuple(map(evidence_by, (choose_dicts, choose_table, choose_sorted))),
}
