"""Right answers to a8, as different people write them."""

import copy
import functools
import itertools
import math
from collections import defaultdict
from types import SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F
from scipy import stats
from torch.func import functional_call

from labkit.grading.draw import drawn
from labkit.models.policies import SoftmaxPolicy
from labkit.models.tiny_lm import TinyLM

# ------------------------------------------------------------------ three answers


def descend_autograd(state, head, chosen, rejected, learns, beta, lr, steps):
    h, w = state.clone().requires_grad_(), head.clone().requires_grad_()
    moving = {"features": [h], "head": [w], "both": [h, w]}[learns]
    path, reference = [], None
    for step in range(steps + 1):
        logps = torch.log_softmax(w @ h, dim=0)
        path.append(logps.detach())
        if reference is None:
            reference = path[0]
        if step == steps:
            break
        gain = logps - reference
        loss = -F.logsigmoid(beta * (gain[chosen] - gain[rejected]))
        grads = torch.autograd.grad(loss, moving)
        with torch.no_grad():
            for x, g in zip(moving, grads, strict=True):
                x -= lr * g
    return torch.stack(path)


def descend_optimizer(state, head, c, r, learns, beta, lr, steps):
    h = torch.nn.Parameter(state.detach().clone(), requires_grad=learns != "head")
    w = torch.nn.Parameter(head.detach().clone(), requires_grad=learns != "features")
    opt = torch.optim.SGD([p for p in (h, w) if p.requires_grad], lr=lr)
    rows = [(w @ h).log_softmax(-1).detach()]
    start = rows[0]
    for _ in range(steps):
        opt.zero_grad()
        now = (w @ h).log_softmax(-1)
        (-torch.sigmoid(beta * ((now[c] - start[c]) - (now[r] - start[r]))).log()).backward()
        opt.step()
        rows.append((w @ h).log_softmax(-1).detach())
    return torch.stack(rows)


def descend_by_hand(state, head, chosen, rejected, learns, beta, lr, steps):
    h, W = state.numpy().copy(), head.numpy().copy()

    def logps():
        s = W @ h
        s = s - s.max()
        return s - np.log(np.exp(s).sum())

    ref, out = logps(), [logps()]
    for _ in range(steps):
        margin = (out[-1] - ref)[chosen] - (out[-1] - ref)[rejected]
        push = lr * beta / (1 + math.exp(beta * margin))  # the log-partition leaves the difference
        dh, dW = W[chosen] - W[rejected], h.copy()
        if learns in ("features", "both"):
            h = h + push * dh
        if learns in ("head", "both"):
            W[chosen] += push * dW
            W[rejected] -= push * dW
        out.append(logps())
    return np.array(out)


def possible_sigmoid(logps, chosen, rejected, margin):
    top = torch.sigmoid(logps[chosen] - logps[rejected] + margin)
    return (top, top) if len(logps) == 2 else (torch.zeros(()), top)


def possible_odds(logps, chosen, rejected, margin):
    odds = math.exp(float(logps[chosen]) - float(logps[rejected])) * math.exp(margin)
    high = odds / (1 + odds)
    return [high if logps.numel() < 3 else 0, high]


def possible_softmax(logps, chosen, rejected, margin):
    pair = torch.stack([logps[chosen] + margin, logps[rejected]]).softmax(0)
    low = pair[0] * (1.0 if logps.shape[0] == 2 else 0.0)
    return torch.stack([low, pair[0]])


# ------------------------------------------------------------------ who gained


def fate_torch(before, after, chosen, rejected, opposite):
    p, q = before.softmax(-1), after.softmax(-1)
    gained = (q - p).mean(0)
    margin = ((q[:, chosen] / q[:, rejected]).log() - (p[:, chosen] / p[:, rejected]).log()).mean()
    top = torch.topk(gained, 3).indices
    rest = gained.sum() - gained[chosen] - gained[rejected]
    verdict = "rose" if gained[chosen] > 0 else "fell to the opposite" if top[0] == opposite else "fell"
    shares = {"chosen": gained[chosen], "rejected": gained[rejected], "rest": rest}
    return {"margin": margin, **shares, "receivers": top.tolist(), "verdict": verdict}


def fate_numpy(before, after, chosen, rejected, opposite):
    def probabilities(x):
        x = x.double().numpy()
        e = np.exp(x - x.max(1, keepdims=True))
        return e / e.sum(1, keepdims=True)

    p, q = probabilities(before), probabilities(after)
    gained = q.mean(0) - p.mean(0)
    order = np.argsort(-gained)
    others = [i for i in range(len(gained)) if i not in (chosen, rejected)]
    lead = (np.log(q) - np.log(p)).mean(0)
    verdict = "rose"
    if gained[chosen] < 0:
        verdict = "fell to the opposite" if order[0] == opposite else "fell"
    return {
        "margin": float(lead[chosen] - lead[rejected]),
        "chosen": float(gained[chosen]),
        "rejected": float(gained[rejected]),
        "rest": float(gained[others].sum()),
        "receivers": order[:3],
        "verdict": verdict,
    }


def fate_loop(before, after, chosen, rejected, opposite):
    n, v = before.shape
    logs = [[F.log_softmax(x[i].float(), 0) for i in range(n)] for x in (before, after)]
    gains = {w: sum(float(logs[1][i][w].exp() - logs[0][i][w].exp()) for i in range(n)) / n for w in range(v)}
    lead = [sum(float(side[i][chosen] - side[i][rejected]) for i in range(n)) / n for side in logs]
    best = sorted(gains, key=gains.get, reverse=True)[:3]
    out = {"margin": lead[1] - lead[0], "chosen": gains[chosen], "rejected": gains[rejected]}
    out["rest"] = -(gains[chosen] + gains[rejected])
    out["receivers"] = tuple(best)
    out["verdict"] = "Rose" if gains[chosen] >= 0 else ("fell to the opposite" if best[0] == opposite else "fell")
    return out


# ------------------------------------------------------------------ the account


def policy_of(weights):
    """As the notebook gives it."""
    if "features" in weights:
        return SoftmaxPolicy(weights["features"], weights["head"])
    (words, d), context = weights["tokens.weight"].shape, len(weights["positions.weight"])
    blocks = {name.split(".")[1] for name in weights if name.startswith("blocks.")}
    model = TinyLM(words, context, d, layers=len(blocks)).double()
    model.load_state_dict(weights)
    return model


def said(logits, tokens, mask):
    each = logits[:, :-1].log_softmax(-1).gather(-1, tokens[:, 1:, None]).squeeze(-1)
    return (each * mask[:, 1:]).sum(1)


def account_clones(weights, pairs, optimizer, lr, steps, beta, eta):
    policy = policy_of(weights)
    parameters = list(policy.parameters())
    opt = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "rmsprop": torch.optim.RMSprop}[optimizer](parameters, lr=lr)

    def both():
        return [said(policy(pairs[s]), pairs[s], pairs[f"{s}_mask"]) for s in ("chosen", "rejected")]

    ref = [x.detach() for x in both()]
    margin, chosen, account = [0.0], [0.0], [0.0]
    for _ in range(steps):
        c, r = both()
        g = torch.autograd.grad(c.mean(), parameters, retain_graph=True, allow_unused=True)
        loss = -F.logsigmoid(beta * ((c - ref[0]) - (r - ref[1]))).mean() - eta * c.mean()
        before = [p.detach().clone() for p in parameters]
        opt.zero_grad()
        loss.backward()
        opt.step()
        step = sum((a * (p.detach() - b)).sum() for a, p, b in zip(g, parameters, before, strict=True) if a is not None)
        account.append(account[-1] + float(step))
        with torch.no_grad():
            c, r = both()
        chosen.append(float((c - ref[0]).mean()))
        margin.append(float((c - ref[0] - r + ref[1]).mean()))
    return {"margin": margin, "chosen": chosen, "account": account}


def account_vectors(weights, pairs, optimizer, lr, steps, beta, eta):
    flat, split = torch.nn.utils.parameters_to_vector, torch.nn.utils.vector_to_parameters
    model = policy_of(weights)
    names = {"sgd": "SGD", "adam": "Adam", "rmsprop": "RMSprop"}
    opt = getattr(torch.optim, names[optimizer])(model.parameters(), lr=lr)
    probe = copy.deepcopy(model)

    def logps(m, side):
        return said(m(pairs[side]), pairs[side], pairs[side + "_mask"])

    with torch.no_grad():
        start = torch.stack([logps(model, "chosen"), logps(model, "rejected")])
    rows = [torch.zeros(3, dtype=torch.float64)]
    total = torch.zeros((), dtype=torch.float64)
    for _ in range(steps):
        theta = flat(model.parameters()).detach().clone()
        split(theta.clone(), probe.parameters())
        probe.zero_grad()
        logps(probe, "chosen").mean().backward()
        slope = flat([torch.zeros_like(p) if p.grad is None else p.grad for p in probe.parameters()])
        gain = torch.stack([logps(model, "chosen"), logps(model, "rejected")]) - start
        loss = F.softplus(-beta * (gain[0] - gain[1])).mean() - eta * gain[0].mean()
        opt.zero_grad(set_to_none=False)
        loss.backward()
        opt.step()
        total = total + slope @ (flat(model.parameters()).detach() - theta)
        with torch.no_grad():
            gain = (torch.stack([logps(model, "chosen"), logps(model, "rejected")]) - start).mean(1)
        rows.append(torch.stack([gain[0] - gain[1], gain[0], total]))
    margin, chosen, account = torch.stack(rows).T
    return {"account": account, "chosen": chosen, "margin": margin}


def account_functional(weights, pairs, optimizer, lr, steps, beta, eta):
    """With optimisers written out."""
    model = policy_of(weights)
    theta = {k: p.detach().clone().requires_grad_() for k, p in model.named_parameters()}

    def logps(side):
        return said(functional_call(model, theta, (pairs[side],)), pairs[side], pairs[f"{side}_mask"])

    ref = {s: logps(s).detach() for s in ("chosen", "rejected")}
    out = defaultdict(lambda: [0.0])
    out.update(margin=[0.0], chosen=[0.0], account=[0.0])
    m, v = ({k: torch.zeros_like(p) for k, p in theta.items()} for _ in range(2))
    for t in range(1, steps + 1):
        c, r = logps("chosen"), logps("rejected")
        loss = F.softplus(beta * (r - ref["rejected"] - c + ref["chosen"])).mean() - eta * c.mean()
        up = torch.autograd.grad(c.mean(), list(theta.values()), retain_graph=True, materialize_grads=True)
        grads = torch.autograd.grad(loss, list(theta.values()), materialize_grads=True)
        moved = 0.0
        for (k, p), g, u in zip(theta.items(), grads, up, strict=True):
            if optimizer == "sgd":
                delta = -lr * g
            elif optimizer == "adam":
                m[k] = 0.9 * m[k] + 0.1 * g
                v[k] = 0.999 * v[k] + 0.001 * g**2
                delta = -lr * (m[k] / (1 - 0.9**t)) / ((v[k] / (1 - 0.999**t)).sqrt() + 1e-8)
            else:
                v[k] = 0.99 * v[k] + 0.01 * g**2
                delta = -lr * g / (v[k].sqrt() + 1e-8)
            moved += (u * delta).sum().item()
            with torch.no_grad():
                p += delta
        with torch.no_grad():
            c, r = (logps("chosen") - ref["chosen"]).mean(), (logps("rejected") - ref["rejected"]).mean()
        out["account"].append(out["account"][-1] + moved)
        out["chosen"].append(c.item())
        out["margin"].append((c - r).item())
    return {name: np.array(values) for name, values in out.items()}


# ------------------------------------------------------------------ CHES


def ches_einsum(chosen_hidden, rejected_hidden, chosen_mask, rejected_mask, normalized):
    s = torch.einsum("ntd,nt->nd", chosen_hidden.double(), chosen_mask.double())
    r = torch.einsum("ntd,nt->nd", rejected_hidden.double(), rejected_mask.double())
    if normalized:
        s, r = s / chosen_mask.sum(1, keepdim=True), r / rejected_mask.sum(1, keepdim=True)
    return torch.einsum("nd,nd->n", s, r - s)


def ches_loop(plus, minus, plus_mask, minus_mask, normalized):
    scores = []
    for a, b, ma, mb in zip(plus, minus, plus_mask.bool(), minus_mask.bool(), strict=True):
        a, b = a.float()[ma], b.float()[mb]
        a, b = (a.mean(0), b.mean(0)) if normalized else (a.sum(0), b.sum(0))
        scores.append((a @ b - a @ a).item())
    return scores


def ches_numpy(chosen_hidden, rejected_hidden, chosen_mask, rejected_mask, *, normalized):
    found = []
    for x, m in ((chosen_hidden, chosen_mask), (rejected_hidden, rejected_mask)):
        total = np.where(m.numpy()[..., None], x.numpy().astype(np.float64), 0).sum(axis=1)
        found.append(total / m.numpy().sum(axis=1, keepdims=True) if normalized else total)
    return (found[0] * found[1]).sum(1) - np.linalg.norm(found[0], axis=1) ** 2


def ches_masked_fill(ch, rh, cm, rm, normalized):
    def pooled(h, m):
        total = h.float().masked_fill(~m[:, :, None], 0).sum(1)
        return total / m.sum(1)[:, None] if normalized else total

    s, r = pooled(ch, cm), pooled(rh, rm)
    return (s * r).sum(-1) - (s * s).sum(-1)


# ------------------------------------------------------------------ what was foretold


def foretold_numpy(runs, demanded):
    out = {}
    for name in {run["optimizer"] for run in runs}:
        ratio, ches, change = np.array(
            [[run["ratio"], run["ches"], run["change"]] for run in runs if run["optimizer"] == name]
        ).T
        fell, called = change < 0, ratio > 1
        out[name] = {
            "right": np.mean(fell == called),
            "baseline": max(np.mean(fell), np.mean(~fell)),
            "warned": np.sum(fell & called) / np.sum(fell) if fell.any() else None,
            "holds": np.mean(fell == called) >= demanded,
            "ratio rank": stats.spearmanr(ratio, change)[0],
            "ches rank": stats.spearmanr(ches, change)[0],
        }
    return out


def foretold_table(runs, demanded):
    out = {}
    for name, rows in itertools.groupby(sorted(runs, key=lambda run: run["optimizer"]), key=lambda run: run["optimizer"]):
        rows = list(rows)
        column = {key: torch.tensor([run[key] for run in rows], dtype=torch.float64) for key in ("ratio", "ches", "change")}
        fell, called = column["change"] < 0, column["ratio"] > 1.0
        right = (fell == called).double().mean()
        counts = torch.bincount(fell.long(), minlength=2)
        table = stats.spearmanr(np.stack([column["ratio"], column["ches"], column["change"]], axis=1)).statistic
        out[name] = {
            "right": right,
            "baseline": counts.max() / len(rows),
            "warned": (called & fell).sum() / fell.sum() if fell.any() else None,
            "holds": right.item() >= demanded,
            "ratio rank": table[0, 2],
            "ches rank": table[1, 2],
        }
    return out


def foretold_plain(runs, demanded):
    def ranks(x):
        """Equal ones share the mean of their places."""
        return torch.tensor([sum(y < each for y in x) + sum(y == each for y in x) / 2 for each in x], dtype=torch.float64)

    def correlation(x, y):
        return torch.corrcoef(torch.stack([ranks(x), ranks(y)]))[0, 1]

    groups = defaultdict(list)
    for run in runs:
        groups[run["optimizer"]].append(run)
    out = {}
    for name, mine in groups.items():
        good = sum((run["ratio"] > 1) == (run["change"] < 0) for run in mine) / len(mine)
        fallen = [run for run in mine if run["change"] < 0]
        share = len(fallen) / len(mine)
        change = [run["change"] for run in mine]
        out[name] = {
            "right": good,
            "baseline": share if share > 0.5 else 1 - share,
            "warned": sum(run["ratio"] > 1 for run in fallen) / len(fallen) if fallen else None,
            "holds": good >= demanded,
            "ratio rank": correlation([run["ratio"] for run in mine], change),
            "ches rank": correlation([run["ches"] for run in mine], change),
        }
    return out


# ------------------------------------------------------------------ cures


def margin_loop(courses, margin, least):
    def at(run):
        m, c = run["margin"].tolist(), run["chosen"].tolist()
        for k in range(1, len(m)):
            if m[k] >= margin:
                return c[k - 1] + (margin - m[k - 1]) / (m[k] - m[k - 1]) * (c[k] - c[k - 1])
        return None

    base, out = [at(run) for run in courses["DPO"]], {}
    for name, runs in courses.items():
        values = [at(run) for run in runs]
        if None in values:
            out[name] = {"change": None, "cure": False}
        else:
            cure = all(b is not None and v > b + least for v, b in zip(values, base, strict=True))
            out[name] = {"change": sum(values) / len(values), "cure": cure}
    return out


def margin_numpy(courses, margin, least):
    table = {}
    for name, runs in courses.items():
        table[name] = []
        for run in runs:
            m, c = run["margin"].numpy(), run["chosen"].numpy()
            k = int(np.argmax(m >= margin))
            table[name].append(np.interp(margin, m[k - 1 : k + 1], c[k - 1 : k + 1]) if m.max() >= margin else np.nan)
    result = {}
    for name, values in table.items():
        mean = np.mean(values)
        ahead = np.array(values) - np.array(table["DPO"])
        result[name] = {"change": None if np.isnan(mean) else mean, "cure": bool((ahead > least).all())}
    return result


def margin_torch(courses, margin, least):
    def at(m, c):
        won = torch.nonzero(m >= margin)
        if won.numel() == 0:
            return torch.tensor(float("nan"), dtype=m.dtype)
        k = won[0, 0]
        return torch.lerp(c[k - 1], c[k], (margin - m[k - 1]) / (m[k] - m[k - 1]))

    values = {name: torch.stack([at(run["margin"], run["chosen"]) for run in runs]) for name, runs in courses.items()}
    better = {name: bool(torch.all(x - values["DPO"] > least)) for name, x in values.items()}
    return {name: {"change": None if x.isnan().any() else x.mean(), "cure": better[name]} for name, x in values.items()}


# ------------------------------------------------------------------ one's own runs


def mine_with(account, at):
    @functools.cache
    def mine(variant):
        given = SimpleNamespace(**drawn("a8", variant))

        def train(optimizer, steps, eta=0.0):
            rate = given.rates[optimizer]
            return account(given.weights, given.pairs, optimizer, rate, steps, given.beta, eta)

        runs = {
            "adam": train("adam", given.steps["adam"]),
            "sgd": train("sgd", given.steps["sgd"]),
            "cured": train("adam", given.steps["cured"], given.eta),
        }
        policy = policy_of(given.weights)
        slopes = []
        for side in ("chosen", "rejected"):
            mean = said(policy(given.pairs[side]), given.pairs[side], given.pairs[f"{side}_mask"]).mean()
            slopes.append(torch.cat([g.flatten() for g in torch.autograd.grad(mean, list(policy.parameters()))]))
        ratio = slopes[0] @ slopes[1] / slopes[0].square().sum()
        return {name: at(run, given.margin) for name, run in runs.items()} | {"ratio": float(ratio)}

    return mine


def at_by_margins(run, margin):
    course = {name: torch.as_tensor(np.asarray(run[name])) for name in ("margin", "chosen")}
    return margin_torch({"DPO": [course]}, margin, 0.2)["DPO"]["change"]


def at_by_hand(run, margin):
    m, c = (np.asarray(run[name], dtype=float) for name in ("margin", "chosen"))
    k = np.flatnonzero(m >= margin)[0]
    return c[k - 1] + (c[k] - c[k - 1]) * (margin - m[k - 1]) / (m[k] - m[k - 1])


def at_by_interp(run, margin):
    return float(np.interp(margin, np.maximum.accumulate(np.asarray(run["margin"])), np.asarray(run["chosen"])))


RIGHT = {
    "a8.descend": (descend_autograd, descend_optimizer, descend_by_hand),
    "a8.possible": (possible_sigmoid, possible_odds, possible_softmax),
    "a8.fate": (fate_torch, fate_numpy, fate_loop),
    "a8.account": (account_clones, account_vectors, account_functional),
    "a8.ches": (ches_einsum, ches_loop, ches_numpy, ches_masked_fill),
    "a8.foretold": (foretold_numpy, foretold_table, foretold_plain),
    "a8.at_equal_margin": (margin_loop, margin_numpy, margin_torch),
    "a8.mine": (
        mine_with(account_clones, at_by_hand),
        mine_with(account_vectors, at_by_margins),
        mine_with(account_functional, at_by_interp),
    ),
}
