"""Right answers to a5, as different people write them."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from labkit.grading import given
from labkit.grading.a5.boxes import faults as boxes_faults


def table(z1, z2):
    z = F.normalize(torch.cat([z1, z2]), dim=1)
    return z @ z.T


def not_negatives(n):
    return torch.eye(n).repeat(2, 2).bool()


# ---------------------------------------------------------------- false negatives


def counting_masks(z1, z2, labels, temperature):
    logits = (table(z1, z2) / temperature).masked_fill(not_negatives(len(z1)), -math.inf)
    y = labels.repeat(2)
    same = (y[:, None] == y[None]) & ~not_negatives(len(z1))
    weights = logits.softmax(1)
    other = logits.masked_fill(same, -math.inf)
    m = 2 * len(z1) - 2
    bias = torch.logsumexp(logits, 1) - torch.logsumexp(other, 1) - torch.log(m / (m - same.sum(1)))
    return {"share": same.float().sum(1).mean() / m, "push": weights[same].sum() / len(y), "bias": bias.mean()}


def counting_loop(a, b, y, t):
    z, y = [v / v.norm() for v in [*a.double(), *b.double()]], [*y.tolist(), *y.tolist()]
    n, shares, pushes, biases = len(a), [], [], []
    for i in range(2 * n):
        others = [j for j in range(2 * n) if j % n != i % n]
        s = torch.stack([z[i] @ z[j] / t for j in others])
        false = torch.tensor([y[j] == y[i] for j in others])
        e = (s - s.max()).exp()
        shares.append(false.double().mean())
        pushes.append(e[false].sum() / e.sum())
        biases.append(torch.log(e.mean()) - (torch.logsumexp(s[~false], 0) - s.max() - math.log((~false).sum())))
    return {
        name: sum(values) / len(values)
        for name, values in zip(("share", "push", "bias"), (shares, pushes, biases), strict=True)
    }


def counting_numpy(z1, z2, labels, temperature):
    z = np.concatenate([z1.numpy(), z2.numpy()]).astype(np.float64)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    n = len(z1)
    s = np.einsum("id,jd->ij", z, z) / temperature
    keep = np.tile(~np.eye(n, dtype=bool), (2, 2))
    s = s[keep].reshape(2 * n, -1)
    y = np.tile(labels.numpy(), 2)
    same = (y[:, None] == y)[keep].reshape(2 * n, -1)
    lse = np.logaddexp.reduce
    bias = lse(s, 1) - lse(np.where(same, -np.inf, s), 1) - np.log(s.shape[1] / (~same).sum(1))
    push = np.exp(s - lse(s, 1)[:, None])
    return {"share": same.mean(), "push": (push * same).sum(1).mean(), "bias": bias.mean()}


# ---------------------------------------------------------------- the coupling factor


def coupling_logsumexp(z1, z2, temperature):
    s = table(z1, z2) / temperature
    negatives = s.masked_fill(not_negatives(len(z1)), -torch.inf)
    everybody = s.masked_fill(torch.eye(len(s), dtype=torch.bool), -torch.inf)
    return negatives.logsumexp(1) - everybody.logsumexp(1)


def coupling_sigmoid(z1, z2, tau):
    s = table(z1, z2) / tau
    n = len(z1)
    positive = torch.cat([s.diagonal(n), s.diagonal(-n)])
    rest = torch.logsumexp(s[~not_negatives(n)].view(2 * n, -1), dim=1)
    return F.logsigmoid(rest - positive)


def coupling_numpy(z1, z2, temperature):
    z = torch.cat([z1, z2]).double().numpy()
    z = z / np.sqrt((z * z).sum(1))[:, None]
    out, n = [], len(z1)
    for i, row in enumerate(z):
        s = z @ row / temperature
        against = np.logaddexp.reduce(np.delete(s, [i, (i + n) % (2 * n)]))
        out.append(against - np.logaddexp(against, s[(i + n) % (2 * n)]))
    return np.array(out)


# ---------------------------------------------------------------- DCL


def dcl_masks(z1, z2, temperature):
    s = table(z1, z2) / temperature
    n = len(z1)
    positive = torch.cat([torch.diag(s, n), torch.diag(s, -n)])
    return (s.masked_fill(not_negatives(n), float("-inf")).logsumexp(1) - positive).mean()


def dcl_two_views(z1, z2, temperature):
    a, b = F.normalize(z1, dim=-1), F.normalize(z2, dim=-1)
    off = torch.diag(torch.full((len(a),), -torch.inf, dtype=a.dtype))
    across = a @ b.T / temperature
    first = torch.cat([across + off, a @ a.T / temperature + off], 1).logsumexp(1)
    second = torch.cat([across.T + off, b @ b.T / temperature + off], 1).logsumexp(1)
    return (first + second).mean() / 2 - across.diagonal().mean()


def dcl_loop(first, second, tau):
    z = [v / v.norm() for v in [*first, *second]]
    total, n = 0, len(first)
    for i in range(2 * n):
        s = torch.stack([z[i] @ z[j] / tau for j in range(2 * n) if j % n != i % n])
        total = total + s.max() + (s - s.max()).exp().sum().log() - z[i] @ z[(i + n) % (2 * n)] / tau
    return total / (2 * n)


def dcl_deep_mask(z1, z2, temperature):
    s = table(z1, z2) / temperature - 1e9 * not_negatives(len(z1)).to(z1.dtype)
    return torch.logsumexp(s, 1).mean() - F.cosine_similarity(z1, z2).mean() / temperature


# ---------------------------------------------------------------- debiased


def debiased_shift(z1, z2, temperature, tau_plus):
    s = table(z1, z2) / temperature
    n, count = len(z1), 2 * len(z1) - 2
    positive = torch.cat([s.diagonal(n), s.diagonal(-n)])
    top = s.masked_fill(torch.eye(2 * n, dtype=torch.bool), -torch.inf).max(1).values.detach()
    e = (s - top[:, None]).exp().masked_fill(not_negatives(n), 0).sum(1)
    p = (positive - top).exp()
    g = (e - tau_plus * count * p) / (1 - tau_plus)
    g = torch.maximum(g, count * (-1 / temperature - top).exp())
    return ((p + g).log() - (positive - top)).mean()


def debiased_ratio(z1, z2, temperature, tau_plus):
    """Everything relative to the positive."""
    z = F.normalize(torch.cat([z1, z2]), dim=1).double()
    n = len(z1)
    s = z @ z.T / temperature
    positive = s.gather(1, (torch.arange(2 * n)[:, None] + n) % (2 * n))
    rest = (s[~not_negatives(n)].view(2 * n, -1) - positive).exp().sum(1)
    count = 2 * n - 2
    floor = count * torch.exp(-1 / temperature - positive[:, 0])
    return torch.log1p(
        torch.where(rest - tau_plus * count > floor * (1 - tau_plus), (rest - tau_plus * count) / (1 - tau_plus), floor)
    ).mean()


def debiased_loop(z1, z2, t, share):
    z = F.normalize(torch.cat([z1, z2]).double())
    n = len(z1)
    losses = []
    for i in range(2 * n):
        s = z @ z[i] / t
        negatives = torch.stack([s[j] for j in range(2 * n) if j % n != i % n])
        p, count = s[(i + n) % (2 * n)].exp(), len(negatives)
        g = ((negatives.exp().sum() - share * count * p) / (1 - share)).clamp(min=count * math.exp(-1 / t))
        losses.append(-torch.log(p / (p + g)))
    return torch.stack(losses).mean()


# ---------------------------------------------------------------- hard negatives


def hard_log(z1, z2, temperature, beta, through):
    s = table(z1, z2) / temperature
    n = len(z1)
    positive = torch.cat([s.diagonal(n), s.diagonal(-n)])
    s = s[~not_negatives(n)].view(2 * n, -1)
    w = torch.log_softmax(beta * s, 1) + math.log(2 * n - 2)
    if not through:
        w = w.detach()
    return (torch.logaddexp((s + w).logsumexp(1), positive) - positive).mean()


def hard_softmax(z1, z2, temperature, beta, through):
    s = table(z1, z2) / temperature
    n, mask = len(z1), not_negatives(len(z1))
    w = F.softmax((beta * s).masked_fill(mask, -torch.inf), dim=1) * (2 * n - 2)
    w = w if through else w.data
    positive = (F.normalize(z1) * F.normalize(z2)).sum(1).repeat(2) / temperature
    ratio = (s - positive[:, None]).masked_fill(mask, -torch.inf).clamp(max=80).exp()
    return torch.log1p((w * ratio).sum(1)).mean()


def hard_moments(a, b, temperature, *, beta, through):
    """The weighed sum as a quotient of two sums of powers."""
    s = table(a, b) / temperature
    n = len(a)
    positive = torch.cat([s.diagonal(n), s.diagonal(-n)])
    s = s.masked_fill(not_negatives(n), -torch.inf)
    if through:
        weighed = ((1 + beta) * s).logsumexp(1) - (beta * s).logsumexp(1)
    else:
        weighed = (s + beta * s.detach()).logsumexp(1) - (beta * s.detach()).logsumexp(1)
    return F.softplus(weighed + math.log(2 * n - 2) - positive).mean()


# ---------------------------------------------------------------- queue


def queue_cross_entropy(queries, keys, queue, temperature):
    q = F.normalize(queries, dim=1)
    with torch.no_grad():
        k = F.normalize(keys, dim=1)
    logits = torch.cat([torch.einsum("nd,nd->n", q, k)[:, None], q @ queue.detach().T], 1) / temperature
    loss = F.cross_entropy(logits, torch.zeros(len(q), dtype=torch.long))
    return {"loss": loss, "queue": torch.cat([queue.detach(), k])[len(k) :] if len(k) <= len(queue) else k[-len(queue) :]}


def queue_deque(queries, keys, queue, temperature):
    from collections import deque

    q, k, places = F.normalize(queries), F.normalize(keys.detach()), deque(queue.detach().clone(), maxlen=len(queue))
    old = torch.stack(list(places))
    positive = F.cosine_similarity(q, k) / temperature
    loss = (torch.logaddexp(positive, (q @ old.T / temperature).logsumexp(1)) - positive).mean()
    places.extend(k)
    return {"queue": torch.stack(list(places)), "loss": loss}


def queue_loop(queries, keys, queue, temperature):
    keys = keys.clone().detach()  # the queue holds no history anyway
    keys = keys / keys.norm(dim=1, keepdim=True)
    losses = []
    for q, k in zip(queries, keys, strict=True):
        q = q / q.norm()
        losses.append(-torch.log_softmax(torch.stack([q @ k, *(q @ old for old in queue)]) / temperature, 0)[0])
    after = torch.stack([*queue, *keys][-len(queue) :])
    return {"loss": sum(losses) / len(losses), "queue": after}


# ---------------------------------------------------------------- machines


def gathered_where(a, b, machines, temperature, with_gradient, own_anchors):
    a, b = F.normalize(a), F.normalize(b)
    n, total = len(a), 0.0
    for rows in torch.arange(n).split(n // machines):
        mine = torch.zeros(n, 1, dtype=torch.bool)
        mine[rows] = True
        x, y = (a, b) if with_gradient else (torch.where(mine, a, a.detach()), torch.where(mine, b, b.detach()))
        loss = F.cross_entropy(x @ y.T / temperature, torch.arange(n), reduction="none")
        total += (loss[rows] if own_anchors else loss).mean() / machines
    return total


def gathered_pieces(a, b, machines, temperature, with_gradient, own_anchors):
    """As the code on each machine does it: a list of everybody's rows, the own ones put back."""
    parts = list(zip(a.chunk(machines), b.chunk(machines), strict=True))
    losses = []
    for rank in range(machines):
        everybody = [p if with_gradient or r == rank else (p[0].detach(), p[1].detach()) for r, p in enumerate(parts)]
        x = F.normalize(torch.cat([p[0] for p in everybody]), dim=1)
        y = F.normalize(torch.cat([p[1] for p in everybody]), dim=1)
        targets = torch.arange(len(x))
        if own_anchors:
            x, targets = F.normalize(parts[rank][0], dim=1), targets.chunk(machines)[rank]
        losses.append(F.cross_entropy(x @ y.T / temperature, targets))
    return torch.stack(losses).mean()


def gathered_known(a, b, machines, temperature, with_gradient, own_anchors):
    """Value and gradient put together from what is known about them."""
    whole = F.cross_entropy(F.normalize(a) @ F.normalize(b).T / temperature, torch.arange(len(a)))
    if with_gradient:
        return whole
    if not own_anchors:
        return whole / machines + (whole - whole / machines).detach()
    total = 0
    for part, rows in zip(a.chunk(machines), torch.arange(len(a)).chunk(machines), strict=True):
        others = b.detach().clone()
        others[rows] = b[rows]
        logits = F.normalize(part) @ F.normalize(others).T / temperature
        total = total + (logits.logsumexp(1) - logits[torch.arange(len(rows)), rows]).sum()
    return total / len(a)


# ---------------------------------------------------------------- boxes


def captions_masks(images, captions, keep, temperature):
    n, k = len(images), len(captions) // len(images)
    s = (F.normalize(images) @ F.normalize(captions).T / temperature).masked_fill(~keep, -torch.inf)
    own = torch.arange(n).repeat_interleave(k)
    there = -s.log_softmax(1)[own, torch.arange(n * k)].view(n, k).mean(1).mean()
    return (there + F.cross_entropy(s.T, own)) / 2


def captions_loop(images, captions, keep, t):
    k, losses = len(captions) // len(images), ([], [])
    a, b = [v / v.norm() for v in images], [v / v.norm() for v in captions]
    for j, c in enumerate(b):
        i = j // k
        row = torch.stack([a[i] @ b[m] / t for m in range(len(b)) if keep[i, m]]).logsumexp(0)
        column = torch.stack([a[m] @ c / t for m in range(len(a)) if keep[m, j]]).logsumexp(0)
        losses[0].append(row - a[i] @ c / t)
        losses[1].append(column - a[i] @ c / t)
    return (sum(losses[0]) / len(b) + sum(losses[1]) / len(b)) / 2


def captions_einsum(images, captions, keep, temperature):
    n = len(images)
    owner = torch.eye(n, dtype=images.dtype).repeat_interleave(len(captions) // n, dim=1)
    s = torch.einsum("id,jd->ij", F.normalize(images, dim=-1), F.normalize(captions, dim=-1)).div(temperature)
    s = torch.where(keep, s, torch.tensor(-1e30, dtype=s.dtype))
    total = 0
    for logits, mine in ((s, owner), (s.T, owner.T)):
        weights = mine / mine.sum(1, keepdim=True)
        total = total - (weights * torch.log_softmax(logits, 1)).sum(1).mean()
    return total / 2


def probe_counts(fault):
    if fault == "mask":
        x = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
        return x, x, torch.eye(2) == 1, 1.0, 0.0
    k = 1 if fault == "softmax" else 3
    n = 3
    return torch.ones(n, 2), torch.ones(n * k, 2), torch.ones(n, n * k).bool(), 0.7, 0.5 * math.log(n * k) + 0.5 * math.log(n)


def probe_numpy(fault):
    rows = {"mask": 2, "softmax": 5, "reduction": 2}[fault]
    k = 2 if fault == "reduction" else 1
    images = np.tile([[0.6, 0.8]], (rows, 1))
    captions = np.tile([[0.3, -0.4]], (rows * k, 1))
    keep = np.ones((rows, rows * k), dtype=bool)
    expected = np.log(rows) + np.log(k) / 2
    if fault == "mask":
        keep[0, 1], expected = False, 0.5 * np.log(2)
    return [images, captions, keep, 0.2, expected]


def probe_worked_out(fault):
    """Cosines of one and minus one, so that every softmax can be written down."""
    if fault == "mask":
        images, captions = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([[3.0, 0.0], [-1.0, 0.0]])
        keep = torch.tensor([[True, False], [True, True]])
        cosines = torch.tensor([[1.0, -1.0], [0.0, 0.0]]) / 0.5
        expected = float((cosines[1].logsumexp(0) - cosines[1, 1] + cosines[:, 0].logsumexp(0) - cosines[0, 0]) / 4)
        return images, captions, keep, 0.5, expected
    n, k = (4, 1) if fault == "softmax" else (2, 4)
    images = torch.eye(n)
    captions = images.repeat_interleave(k, 0)
    each = -1 + math.log(k * (math.e + n - 1))
    back = -1 + math.log(math.e + n - 1)
    return images, captions, torch.full((n, n * k), True), torch.tensor(1.0), torch.tensor((each + back) / 2)


def faults_plain(variant):
    return {box: fault for box, (fault, _) in boxes_faults(variant).items()}


def faults_loud(variant):
    return {box: f" {fault.upper()} " for box, fault in faults_plain(variant).items()}


def faults_tested(variant):
    """Found with tests, as the assignment wants it."""
    found = {}
    for name, box in given("a5", variant).boxes.items():
        fails = []
        for fault in ("mask", "softmax", "reduction"):
            *inputs, expected = probe_worked_out(fault)
            if abs(float(box(*inputs)) - float(expected)) > 1e-3:
                fails.append(fault)
        found[name] = fails[0]
    return found


def numbers(variant, counting, coupling, digits=None):
    mine = given("a5", variant)
    found = {key: float(value) for key, value in counting(mine.z1, mine.z2, mine.labels, mine.temperature).items()}
    factor = np.exp(np.asarray(coupling(mine.z1, mine.z2, mine.temperature)))
    z = table(mine.z1, mine.z2).double() / mine.temperature
    n = len(mine.z1)
    left = z.exp().masked_fill(not_negatives(n), 0).sum(1) - mine.tau_plus * (2 * n - 2) * z.diagonal(n).repeat(2).exp()
    held = int((left / (1 - mine.tau_plus) < (2 * n - 2) * math.exp(-1 / mine.temperature)).sum())
    answer = {"share": found["share"], "push": found["push"], "coupling": factor.mean(), "floored": held}
    return {key: round(float(value), digits) if digits else value for key, value in answer.items()}


def mine_masks(variant):
    return numbers(variant, counting_masks, coupling_logsumexp)


def mine_rounded(variant):
    return numbers(variant, counting_loop, coupling_sigmoid, 4)


def mine_numpy(variant):
    return numbers(variant, counting_numpy, coupling_numpy)


RIGHT = {
    "a5.false_negatives": (counting_masks, counting_loop, counting_numpy),
    "a5.log_coupling": (coupling_logsumexp, coupling_sigmoid, coupling_numpy),
    "a5.dcl": (dcl_masks, dcl_two_views, dcl_loop, dcl_deep_mask),
    "a5.debiased": (debiased_shift, debiased_ratio, debiased_loop),
    "a5.hard_negative": (hard_log, hard_softmax, hard_moments),
    "a5.queue_step": (queue_cross_entropy, queue_deque, queue_loop),
    "a5.gathered": (gathered_where, gathered_pieces, gathered_known),
    "a5.caption_loss": (captions_masks, captions_loop, captions_einsum),
    "a5.probe": (probe_counts, probe_numpy, probe_worked_out),
    "a5.faults": (faults_plain, faults_loud, faults_tested),
    "a5.my_batch": (mine_masks, mine_rounded, mine_numpy),
}
