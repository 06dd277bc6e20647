"""Right answers to a6, as different people write them."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from labkit.grading import given

# ---------------------------------------------------------------- the mean outside


def out_loop(z, labels, temperature):
    z = z / z.norm(dim=1, keepdim=True)
    n, losses = len(z), []
    for i in range(n):
        others = [j for j in range(n) if j != i]
        positives = [j for j in others if labels[j] == labels[i]]
        if not positives:
            continue
        partition = torch.logsumexp(torch.stack([z[i] @ z[j] / temperature for j in others]), 0)
        losses.append(torch.stack([partition - z[i] @ z[p] / temperature for p in positives]).mean())
    return torch.stack(losses).mean()


def out_official(features, labels, tau):
    """In the manner of the published code: the maximum is taken away, and the anchor multiplied out."""
    features = F.normalize(features, dim=1)
    mask = torch.eq(labels.view(-1, 1), labels.view(1, -1)).to(features.dtype)
    contrast = features @ features.T / tau
    contrast = contrast - (contrast - 1e9 * torch.eye(len(features), dtype=features.dtype)).max(1, keepdim=True).values.detach()
    logits_mask = 1 - torch.eye(len(features), dtype=features.dtype)
    mask = mask * logits_mask
    contrast = contrast * logits_mask
    log_prob = contrast - (contrast.exp() * logits_mask).sum(1, keepdim=True).log()
    mean_log_prob = (mask * log_prob).sum(1) / torch.where(mask.sum(1) > 0, mask.sum(1), 1)
    return -mean_log_prob.sum() / (mask.sum(1) > 0).sum()


def out_cross_entropy(z, labels, temperature):
    """Cross-entropy with soft targets."""
    z = F.normalize(z, dim=-1)
    logits = (z @ z.T / temperature).fill_diagonal_(-1e9)
    target = (labels[:, None] == labels).to(z.dtype).fill_diagonal_(0)
    kept = target.sum(1) > 0
    return F.cross_entropy(logits[kept], target[kept] / target[kept].sum(1, keepdim=True))


def out_without_itself(z, labels, temperature):
    """Every row's others in a table of n - 1 columns."""
    n, z = len(z), F.normalize(z)
    other = ~torch.eye(n, dtype=torch.bool)
    logits = torch.einsum("id,jd->ij", z, z)[other].view(n, n - 1).div(temperature)
    same = (labels[:, None] == labels)[other].view(n, n - 1)
    log_p = logits.log_softmax(1)
    per_anchor = [-log_p[i][same[i]].mean() for i in range(n) if same[i].any()]
    return sum(per_anchor) / len(per_anchor)


# ---------------------------------------------------------------- the mean inside


def in_loop(z, labels, temperature):
    z = F.normalize(z, dim=1)
    losses = []
    for i in range(len(z)):
        mine = [j for j in range(len(z)) if j != i]
        share = torch.softmax((z[mine] @ z[i]) / temperature, 0)
        same = labels[mine] == labels[i]
        if same.any():
            losses.append(
                -share[same].mean().clamp(min=1e-37).log() if share[same].mean() > 1e-30 else in_log(z, labels, temperature, i)
            )
    return torch.stack(losses).mean()


def in_log(z, labels, temperature, i):
    mine = [j for j in range(len(z)) if j != i]
    log_p = torch.log_softmax(z[mine] @ z[i] / temperature, 0)[labels[mine] == labels[i]]
    return math.log(len(log_p)) - torch.logsumexp(log_p, 0)


def in_two_partitions(z, labels, temperature):
    z = F.normalize(z, dim=1)
    logits = z @ z.T / temperature
    eye = torch.eye(len(z), dtype=torch.bool)
    same = (labels.unsqueeze(0) == labels.unsqueeze(1)) & ~eye
    has = same.sum(1) > 0
    everyone = logits.masked_fill(eye, float("-inf"))[has].logsumexp(1)
    friends = logits.masked_fill(~same, float("-inf"))[has].logsumexp(1)
    return (everyone - friends + same.sum(1)[has].log()).mean()


def in_numpy(z, labels, temperature):
    x, y = z.double().numpy(), labels.numpy()
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    s, losses = x @ x.T / temperature, []
    for i in range(len(x)):
        others = np.arange(len(x)) != i
        mine = others & (y == y[i])
        if mine.any():
            top = s[i][others].max()
            losses.append(np.log(np.exp(s[i][others] - top).sum()) - np.log(np.exp(s[i][mine] - top).mean()))
    return float(np.mean(losses))


# ---------------------------------------------------------------- the collapsed loss


def collapsed_formula(classes, size, temperature):
    gap = (1 + 1 / (classes - 1)) / temperature
    return math.log(size - 1 + size * (classes - 1) * math.exp(-gap))


def collapsed_logsumexp(C, m, tau):
    logits = torch.cat([torch.full((m - 1,), 1.0), torch.full(((C - 1) * m,), -1 / (C - 1))]).double() / tau
    return torch.logsumexp(logits, 0) - 1 / tau


def collapsed_points(classes, size, temperature):
    """Place the classes, and ask the loss."""
    corners = F.normalize(torch.eye(classes, dtype=torch.float64) - 1 / classes, dim=1)
    labels = torch.arange(classes).repeat_interleave(size)
    return out_loop(corners[labels], labels, temperature).item()


# ---------------------------------------------------------------- a probe


def probe_solve(train_z, train_y, test_z, test_y):
    names = torch.unique(train_y)
    a, b = (torch.cat([z, torch.ones(len(z), 1)], dim=1) for z in (train_z, test_z))
    y = (train_y[:, None] == names[None]).float()
    w = torch.linalg.solve(a.T @ a + 0.1 * torch.eye(a.shape[1]), a.T @ y)
    return (names[(b @ w).argmax(1)] == test_y).float().mean().item()


def probe_stacked(train_z, train_y, test_z, test_y):
    """The penalty as further rows of an ordinary least-squares problem."""
    a = np.c_[train_z.numpy(), np.ones(len(train_z))].astype(float)
    names, places = np.unique(train_y.numpy(), return_inverse=True)
    wide = np.vstack([a, np.sqrt(0.1) * np.eye(a.shape[1])])
    target = np.vstack([np.eye(len(names))[places], np.zeros((a.shape[1], len(names)))])
    w = np.linalg.lstsq(wide, target, rcond=None)[0]
    said = names[np.argmax(np.c_[test_z.numpy(), np.ones(len(test_z))] @ w, axis=1)]
    return (said == test_y.numpy()).mean()


def probe_dual(train_z, train_y, test_z, test_y):
    """By products of rows."""
    k = train_z.double() @ train_z.double().T + 1
    names, places = train_y.unique(return_inverse=True)
    alpha = torch.linalg.inv(k + 0.1 * torch.eye(len(k))) @ F.one_hot(places).double()
    scores = (test_z.double() @ train_z.double().T + 1) @ alpha
    return sum(int(names[row.argmax()]) == int(y) for row, y in zip(scores, test_y, strict=True)) / len(test_y)


# ---------------------------------------------------------------- the fate of a factor


def fate_with(probe):
    def fate(train_x, train_z, train_y, test_x, test_z, test_y):
        chance = 1 / train_y.unique().numel()
        there = probe(train_x, train_y, test_x, test_y) - chance
        if there < (1 - chance) / 2:
            return "absent"
        return "lost" if probe(train_z, train_y, test_z, test_y) - chance < there / 2 else "kept"

    return fate


# ---------------------------------------------------------------- the joint objective


def joint_flat(views, labels, temperature, share):
    n, v, d = views.shape
    z, rows = views.reshape(n * v, d), torch.arange(n)
    supervised = out_cross_entropy(z, labels.repeat_interleave(v), temperature)
    return (1 - share) * supervised + share * out_cross_entropy(z, rows.repeat_interleave(v), temperature)


def joint_views_first(views, labels, temperature, share):
    z = torch.cat(list(views.unbind(1)))
    y = torch.cat([labels] * views.shape[1])
    own = torch.cat([torch.arange(len(labels))] * views.shape[1])
    return torch.lerp(out_loop(z, y, temperature), out_loop(z, own, temperature), share)


def joint_one_table(views, labels, temperature, share):
    """One softmax, two kinds of targets."""
    n, v, _ = views.shape
    z = F.normalize(views, dim=-1).flatten(0, 1)
    log_p = (z @ z.T / temperature).fill_diagonal_(-1e9).log_softmax(1)
    off = 1 - torch.eye(n * v, dtype=z.dtype)
    total = 0
    for weight, ids in ((1 - share, labels), (share, torch.arange(n))):
        ids = ids[:, None].expand(n, v).flatten()
        target = (ids[:, None] == ids) * off
        total = total - weight * (target * log_p).sum(1).div(target.sum(1)).mean()
    return total


# ---------------------------------------------------------------- the choice


def choose_with(probe):
    def choose(runs):
        best, found = -1.0, None
        for run in runs:
            train, test = run["train"], run["test"]
            both = [probe(train["z"], train[name], test["z"], test[name]) for name in ("class", "colour")]
            if min(both) > best:
                best, found = min(both), run["share"]
        return found

    return choose


def evidence_with(probe):
    def evidence(variant):
        runs = given("a6", variant).runs
        share = choose_with(probe)(runs)
        run = next(each for each in runs if each["share"] == share)
        train, test = run["train"], run["test"]
        return {"share": share, **{n: probe(train["z"], train[n], test["z"], test[n]) for n in ("colour", "class")}}

    return evidence


PROBES = (probe_solve, probe_stacked, probe_dual)
RIGHT = {
    "a6.sup_con_out": (out_loop, out_official, out_cross_entropy, out_without_itself),
    "a6.sup_con_in": (in_loop, in_two_partitions, in_numpy),
    "a6.collapsed_loss": (collapsed_formula, collapsed_logsumexp, collapsed_points),
    "a6.probe": PROBES,
    "a6.fate": tuple(map(fate_with, PROBES)),
    "a6.joint_loss": (joint_flat, joint_views_first, joint_one_table),
    "a6.choose_share": tuple(map(choose_with, PROBES)),
    "a6.evidence": tuple(map(evidence_with, PROBES)),
}
