"""Right answers to a7, as different people write them."""

import copy
import math

import numpy as np
import torch
import torch.nn.functional as F

from labkit.grading import given
from labkit.models.tiny_lm import TinyLM

# ---------------------------------------------------------------- sequence_logps


def logps_gather(logits, labels, mask, average=False):
    logits = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
    logps = logits[:, :-1].log_softmax(-1)
    keep = mask[:, 1:].bool()
    labels = labels[:, 1:].masked_fill(~keep, 0)
    per_token = logps.gather(2, labels.unsqueeze(-1)).squeeze(-1) * keep
    return per_token.sum(-1) / keep.sum(-1) if average else per_token.sum(-1)


def logps_loop(logits, labels, mask, average):
    rows = []
    for row in range(len(labels)):
        total, count = 0.0, 0
        for place in range(1, labels.shape[1]):
            if mask[row, place]:
                scores = logits[row, place - 1].double()
                total = total + scores[labels[row, place]] - torch.logsumexp(scores, 0)
                count += 1
        rows.append(total / count if average else total)
    return torch.stack(rows)


def logps_cross_entropy(logits, labels, mask, *, average=False):
    wanted = labels.clone()
    wanted[~mask] = -100
    n, t, v = logits.shape
    losses = F.cross_entropy(
        logits[:, :-1].float().reshape(-1, v), wanted[:, 1:].reshape(-1), ignore_index=-100, reduction="none"
    )
    summed = -losses.view(n, t - 1).sum(dim=1)
    return summed / (wanted[:, 1:] != -100).sum(dim=1) if average else summed


def logps_where(logits, labels, mask, average=False):
    """Shift by rolling the labels, score everything, and keep what counts."""
    x = logits.to(torch.promote_types(logits.dtype, torch.float32))
    nxt, kept = labels.roll(-1, 1).clamp(min=0), mask.roll(-1, 1).clone()
    kept[:, -1] = False
    picked = torch.take_along_dim(x, nxt[..., None], dim=-1)[..., 0] - x.logsumexp(-1)
    picked = torch.where(kept, picked, torch.zeros_like(picked))
    return picked.sum(1) / (kept.sum(1) if average else 1)


def logps_indexed(logits, labels, mask, average=False):
    row, place = mask[:, 1:].nonzero(as_tuple=True)
    scores = logits[row, place].float()
    found = scores[torch.arange(len(row)), labels[row, place + 1]] - scores.logsumexp(1)
    summed = torch.zeros(len(labels)).index_add(0, row, found)
    return summed / torch.bincount(row, minlength=len(labels)) if average else summed


# ---------------------------------------------------------------- optimal_policy


def optimum_log_softmax(ref_logps, rewards, beta):
    return torch.log_softmax(ref_logps + rewards / beta, dim=-1)


def optimum_constant(ref, r, beta):
    scores = ref + r / beta
    return scores - torch.logsumexp(scores, dim=1, keepdim=True)


def optimum_numpy(ref_logps, rewards, beta):
    scores = ref_logps.numpy().astype(np.float64) + rewards.numpy().astype(np.float64) / beta
    scores -= scores.max(axis=1, keepdims=True)
    return scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))


def optimum_rows(ref_logps, rewards, beta):
    found = []
    for start, reward in zip(ref_logps.double(), rewards.double(), strict=True):
        tilted = [float(a + b / beta) for a, b in zip(start, reward, strict=True)]
        top = max(tilted)
        total = top + math.log(sum(math.exp(x - top) for x in tilted))
        found.append([x - total for x in tilted])
    return found


# ---------------------------------------------------------------- dpo


def dpo_logsigmoid(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps, beta=0.1, label_smoothing=0.0):
    logits = (chosen_logps - rejected_logps) - (ref_chosen_logps - ref_rejected_logps)
    losses = -F.logsigmoid(beta * logits) * (1 - label_smoothing) - F.logsigmoid(-beta * logits) * label_smoothing
    return losses.mean()


def dpo_softplus(a, b, ra, rb, beta, e):
    rewards = beta * (a - ra), beta * (b - rb)
    z = rewards[0] - rewards[1]
    return torch.mean(F.softplus(-z) + e * z)


def dpo_two_classes(chosen, rejected, ref_chosen, ref_rejected, *, beta, label_smoothing=0):
    scores = beta * torch.stack([chosen - ref_chosen, rejected - ref_rejected], dim=1)
    return F.cross_entropy(scores, torch.zeros(len(chosen), dtype=torch.long), reduction="mean") + label_smoothing * torch.mean(
        scores[:, 0] - scores[:, 1]
    )


def dpo_with_logits(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps, beta, label_smoothing):
    z = beta * (chosen_logps - ref_chosen_logps.detach() - rejected_logps + ref_rejected_logps.detach())
    return F.binary_cross_entropy_with_logits(z, torch.full_like(z, 1 - label_smoothing))


def dpo_loop(chosen, rejected, ref_chosen, ref_rejected, beta, label_smoothing):
    total = 0
    for a, b, c, d in zip(chosen, rejected, ref_chosen, ref_rejected, strict=True):
        z = beta * (a - c) - beta * (b - d)
        total = total + (1 - label_smoothing) * torch.logaddexp(torch.zeros_like(z), -z)
        total = total + label_smoothing * torch.logaddexp(torch.zeros_like(z), z)
    return total / len(chosen)


# ---------------------------------------------------------------- implicit_rewards


def rewards_plain(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps, beta):
    chosen, rejected = beta * (chosen_logps - ref_chosen_logps), beta * (rejected_logps - ref_rejected_logps)
    return {"chosen": chosen, "rejected": rejected, "accuracy": (chosen > rejected).float().mean()}


def rewards_numpy(a, b, ra, rb, beta):
    rows = np.array([[(x - r) * beta for x, r in zip(x, r, strict=True)] for x, r in ((a, ra), (b, rb))], dtype=np.float64)
    return {"accuracy": np.mean(rows[0] - rows[1] > 0), "rejected": rows[1], "chosen": rows[0]}


def rewards_counted(chosen, rejected, ref_chosen, ref_rejected, beta=0.1):
    good = [beta * float(x - r) for x, r in zip(chosen, ref_chosen, strict=True)]
    bad = [beta * float(x - r) for x, r in zip(rejected, ref_rejected, strict=True)]
    return {"chosen": good, "rejected": bad, "accuracy": sum(g > b for g, b in zip(good, bad, strict=True)) / len(good)}


# ---------------------------------------------------------------- ipo


def ipo_square(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps, beta):
    return ((chosen_logps - rejected_logps - ref_chosen_logps + ref_rejected_logps - 1 / (2 * beta)) ** 2).mean()


def ipo_mse(chosen, rejected, ref_chosen, ref_rejected, beta):
    h = (chosen - ref_chosen) - (rejected - ref_rejected)
    return F.mse_loss(h, torch.full_like(h, 0.5 / beta))


def ipo_loop(a, b, ra, rb, beta):
    terms = [torch.pow((w - rw) - (x - rx) - 0.5 * beta**-1, 2) for w, x, rw, rx in zip(a, b, ra, rb, strict=True)]
    return sum(terms) / len(terms)


# ---------------------------------------------------------------- kto


def kto_split(
    logps, ref_logps, desirable, mismatched_logps, ref_mismatched_logps, beta=0.1, desirable_weight=1.0, undesirable_weight=1.0
):
    kl = (mismatched_logps - ref_mismatched_logps).mean().detach().clamp(min=0)
    ratios = logps - ref_logps
    good = desirable_weight * (1 - torch.sigmoid(beta * (ratios[desirable] - kl)))
    bad = undesirable_weight * (1 - torch.sigmoid(beta * (kl - ratios[~desirable])))
    return torch.cat([good, bad]).mean()


def kto_values(logps, ref, good, other, ref_other, beta, up, down):
    with torch.no_grad():
        z0 = torch.relu(torch.mean(other - ref_other))
    h = logps - ref
    value = torch.where(good, up * torch.sigmoid(beta * (h - z0)), down * torch.sigmoid(beta * (z0 - h)))
    most = torch.where(good, torch.full_like(h, up), torch.full_like(h, down))
    return (most - value).mean()


def kto_loop(logps, ref_logps, desirable, mismatched, ref_mismatched, beta, *, desirable_weight, undesirable_weight):
    z0 = max(0.0, float((mismatched - ref_mismatched).detach().sum()) / len(mismatched))
    total = 0
    for now, before, good in zip(logps, ref_logps, desirable.tolist(), strict=True):
        gap = beta * (now - before - z0)
        total = total + (desirable_weight / (1 + gap.exp()) if good else undesirable_weight / (1 + (-gap).exp()))
    return total / len(logps)


# ---------------------------------------------------------------- dpo_steps


def steps_scatter(logits, chosen, rejected, beta, lr, steps):
    table, losses, n = logits.clone(), [], len(logits)
    for _ in range(steps):
        gain = table - logits
        margin = gain.gather(1, chosen[:, None]) - gain.gather(1, rejected[:, None])
        losses.append(float(-F.logsigmoid(beta * margin).mean()))
        push = beta * torch.sigmoid(-beta * margin) / n
        table = table.scatter_add(1, chosen[:, None], lr * push).scatter_add(1, rejected[:, None], -lr * push)
    return {"logits": table, "losses": losses}


def steps_loop(logits, chosen, rejected, beta, lr, steps):
    theta, start, losses = logits.double().tolist(), logits.double().tolist(), []
    for _ in range(steps):
        total = 0.0
        for row, first, w, x in zip(theta, start, chosen.tolist(), rejected.tolist(), strict=True):
            z = beta * ((row[w] - first[w]) - (row[x] - first[x]))
            total += math.log1p(math.exp(-z))
            move = lr * beta / (1 + math.exp(z)) / len(theta)
            row[w], row[x] = row[w] + move, row[x] - move
        losses.append(total / len(theta))
    return {"losses": losses, "logits": theta}


def steps_autograd(logits, chosen, rejected, beta, lr, steps):
    theta = logits.clone().requires_grad_()
    rows, start = torch.arange(len(logits)), logits.log_softmax(-1)
    optimizer, losses = torch.optim.SGD([theta], lr=lr), []
    for _ in range(steps):
        with torch.enable_grad():
            now = theta.log_softmax(-1)
            loss = dpo_logsigmoid(now[rows, chosen], now[rows, rejected], start[rows, chosen], start[rows, rejected], beta)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return {"logits": theta.detach(), "losses": losses}


def steps_numpy(logits, chosen, rejected, beta, lr, steps):
    eye = np.eye(logits.shape[1])
    turn = eye[chosen.numpy()] - eye[rejected.numpy()]
    moved, losses = np.zeros(tuple(logits.shape)), []
    for _ in range(steps):
        z = beta * (moved * turn).sum(1)
        losses.append(np.logaddexp(0, -z).mean())
        moved += lr * beta / len(z) * (np.exp(-np.logaddexp(0, z))[:, None] * turn)
    return {"logits": logits.numpy() + moved, "losses": np.array(losses)}


# ---------------------------------------------------------------- train


def model_of(weights):
    model = TinyLM(*weights["head.weight"].shape[:1], len(weights["positions.weight"]))
    model.load_state_dict(weights)
    return model


def train_two_models(start, chosen, chosen_mask, rejected, rejected_mask, beta, lr, steps):
    policy, reference = model_of(start), model_of(start)
    reference.requires_grad_(False)
    optimizer = torch.optim.SGD(policy.parameters(), lr=lr)

    def four():
        sides = ((chosen, chosen_mask), (rejected, rejected_mask))
        return [logps_gather(model(x), x, m) for model in (policy, reference) for x, m in sides]

    losses = []
    for _ in range(steps):
        loss = dpo_logsigmoid(*four(), beta)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    with torch.no_grad():
        a, b, ra, rb = four()
    return {
        "losses": losses,
        "chosen_logps": a,
        "rejected_logps": b,
        "ref_chosen_logps": ra,
        "ref_rejected_logps": rb,
        "margin": ((a - ra) - (b - rb)).mean(),
        "accuracy": ((a - ra) > (b - rb)).float().mean(),
    }


def train_at_once(start, chosen, chosen_mask, rejected, rejected_mask, beta, lr, steps):
    """One batch of both answers, the reference asked once, steps without an optimiser."""
    policy = model_of(start)
    frozen = copy.deepcopy(policy).eval()
    tokens, masks, n = torch.cat([chosen, rejected]), torch.cat([chosen_mask, rejected_mask]), len(chosen)
    with torch.no_grad():
        before = logps_where(frozen(tokens), tokens, masks)
    losses = torch.zeros(steps)
    for step in range(steps):
        gains = logps_where(policy(tokens), tokens, masks) - before
        loss = F.softplus(beta * (gains[n:] - gains[:n])).mean()
        losses[step] = loss.detach()
        policy.zero_grad()
        loss.backward()
        with torch.no_grad():
            for parameter in policy.parameters():
                parameter.sub_(lr * parameter.grad)
    with torch.no_grad():
        now, before = logps_where(policy(tokens), tokens, masks), logps_where(frozen(tokens), tokens, masks)
    margins = (now - before)[:n] - (now - before)[n:]
    found = {
        "chosen_logps": now[:n],
        "rejected_logps": now[n:],
        "ref_chosen_logps": before[:n],
        "ref_rejected_logps": before[n:],
    }
    return {**found, "losses": losses, "margin": margins.mean(), "accuracy": (margins > 0).double().mean()}


def train_pair_by_pair(start, chosen, chosen_mask, rejected, rejected_mask, beta, lr, steps):
    """Gradients of single pairs, added up."""
    policy = model_of(start).train()
    optimizer = torch.optim.SGD(policy.parameters(), lr=lr)
    pairs = range(len(chosen))

    def said(model, tokens, mask, k):
        return logps_loop(model(tokens[k : k + 1]), tokens[k : k + 1], mask[k : k + 1], False)

    def every(model):
        with torch.no_grad():
            sides = ((chosen, chosen_mask), (rejected, rejected_mask))
            return [torch.cat([said(model, x, m, k) for k in pairs]) for x, m in sides]

    old, history = every(model_of(start)), []
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for k in pairs:
            now = said(policy, chosen, chosen_mask, k), said(policy, rejected, rejected_mask, k)
            loss = dpo_two_classes(*now, old[0][k : k + 1], old[1][k : k + 1], beta=beta) / len(chosen)
            loss.backward()
            total += loss.item()
        history.append(total)
        optimizer.step()
    new, old = every(policy), every(model_of(start))
    gains = new[0] - old[0] - new[1] + old[1]
    found = dict(zip(("chosen_logps", "rejected_logps", "ref_chosen_logps", "ref_rejected_logps"), (*new, *old), strict=True))
    return found | {"losses": history, "margin": gains.mean().item(), "accuracy": (gains > 0).float().mean().item()}


# ---------------------------------------------------------------- lengths


def lengths_tensors(variant):
    mine = given("a7", variant)
    sums = [(x * m).sum(1) for x, m in ((mine.chosen_tokens, mine.chosen_mask), (mine.rejected_tokens, mine.rejected_mask))]
    means = [s / m.sum(1) for s, m in zip(sums, (mine.chosen_mask, mine.rejected_mask), strict=True)]
    a, b = sums[0] > sums[1], means[0] > means[1]
    return {"by_sum": a.float().mean(), "by_mean": b.float().mean(), "flipped": (a != b).nonzero().flatten()}


def lengths_loop(variant):
    mine, rows = given("a7", variant), []
    for pair in zip(mine.chosen_tokens, mine.chosen_mask, mine.rejected_tokens, mine.rejected_mask, strict=True):
        good, bad = pair[0][pair[1]].tolist(), pair[2][pair[3]].tolist()
        rows.append((sum(good) > sum(bad), sum(good) / len(good) > sum(bad) / len(bad)))
    flipped = {k for k, (by_sum, by_mean) in enumerate(rows) if by_sum ^ by_mean}
    return {"flipped": sorted(flipped, reverse=True)} | {
        name: round(sum(row[k] for row in rows) / len(rows), 6) for k, name in enumerate(("by_sum", "by_mean"))
    }


def lengths_numpy(variant):
    mine = given("a7", variant)
    good, bad = (np.ma.array(getattr(mine, f"{s}_tokens"), mask=~getattr(mine, f"{s}_mask")) for s in ("chosen", "rejected"))
    a, b = np.asarray(good.sum(1) > bad.sum(1)), np.asarray(good.mean(1) > bad.mean(1))
    return {"by_sum": a.mean(), "by_mean": b.mean(), "flipped": np.flatnonzero(a != b)}


RIGHT = {
    "a7.sequence_logps": (logps_gather, logps_loop, logps_cross_entropy, logps_where, logps_indexed),
    "a7.optimal_policy": (optimum_log_softmax, optimum_constant, optimum_numpy, optimum_rows),
    "a7.dpo": (dpo_logsigmoid, dpo_softplus, dpo_two_classes, dpo_with_logits, dpo_loop),
    "a7.implicit_rewards": (rewards_plain, rewards_numpy, rewards_counted),
    "a7.ipo": (ipo_square, ipo_mse, ipo_loop),
    "a7.kto": (kto_split, kto_values, kto_loop),
    "a7.dpo_steps": (steps_scatter, steps_loop, steps_autograd, steps_numpy),
    "a7.train": (train_two_models, train_at_once, train_pair_by_pair),
    "a7.lengths": (lengths_tensors, lengths_loop, lengths_numpy),
}
