"""Pairwise preference objectives as slow loops over plain Python numbers, written from the papers; one value per example."""

from math import exp, log, log1p


def log_sigmoid(x):
    return -log1p(exp(-x)) if x > 0 else x - log1p(exp(x))


def rows(*columns):
    return zip(*columns, strict=True)


def ipo_norm(cw, cl, rw, rl, nw, nl, beta=0.1):
    return [((a - c) / n - (b - d) / m - 1 / (2 * beta)) ** 2 for a, b, c, d, n, m in rows(cw, cl, rw, rl, nw, nl)]


def dpo_norm(cw, cl, rw, rl, nw, nl, beta=0.1):
    return [-log_sigmoid(beta * ((a - c) / n - (b - d) / m)) for a, b, c, d, n, m in rows(cw, cl, rw, rl, nw, nl)]


def r_dpo(cw, cl, rw, rl, nw, nl, beta=0.1, alpha=0.2):
    """From the penalised reward: what explains a pair is `beta h` plus what the answer's length was charged."""

    def rating(logp, ref, length):
        return beta * (logp - ref) + alpha * length

    return [-log_sigmoid(rating(a, c, n) - rating(b, d, m)) for a, b, c, d, n, m in rows(cw, cl, rw, rl, nw, nl)]


def flex_dpo(cw, cl, rw, rl, beta_w=0.1, beta_l=0.08):
    return [-log_sigmoid(beta_w * (a - c) - beta_l * (b - d)) for a, b, c, d in rows(cw, cl, rw, rl)]


def alpha_scaled_dpo(cw, cl, rw, rl, beta=0.1, alpha=0.1):
    return [-log_sigmoid(beta * (a - b) - beta * alpha * (c - d)) for a, b, c, d in rows(cw, cl, rw, rl)]


def mm_dpo(cw, cl, rw, rl, margins, beta=0.1, weight=0.5, k=0.5):
    values = []
    for a, b, c, d, margin in rows(cw, cl, rw, rl, margins):
        used = max(1e-3, beta * (1 + weight * (1 - exp(-k * margin))))
        values.append(-log_sigmoid(used * (a - c - b + d)))
    return values


def f_dpo(cw, cl, rw, rl, beta=0.1, divergence="reverse_kl", alpha=0.5):
    """`f'` of the ratio itself, as the divergences are defined."""

    def derivative(h):
        u = exp(h)
        return {
            "reverse_kl": log(u),
            "forward_kl": 1 - 1 / u,
            "js": log(2 * u / (1 + u)),
            "alpha": h if alpha == 1 else (u ** (alpha - 1) - 1) / (alpha - 1),
        }[divergence]

    return [-log_sigmoid(beta * (derivative(a - c) - derivative(b - d))) for a, b, c, d in rows(cw, cl, rw, rl)]


def wpo(cw, cl, rw, rl, ww, wl, beta=0.1, label_smoothing=0.0, most=1.0):
    values = []
    for a, b, c, d, v, w in rows(cw, cl, rw, rl, ww, wl):
        z = beta * (a - c - b + d)
        clean = -(1 - label_smoothing) * log_sigmoid(z) - label_smoothing * log_sigmoid(-z)
        values.append((v * w if most is None else min(most, v * w)) * clean)
    return values


def ld_dpo(cw, cl, rw, rl, mw, ml, beta=0.1, alpha=0.5):
    def tokens(logps, refs, mask):
        return [a - c for a, c, m in rows(logps, refs, mask) if m]

    values = []
    for a, b, c, d, v, w in rows(cw, cl, rw, rl, mw, ml):
        good, bad = tokens(a, c, v), tokens(b, d, w)
        public = min(len(good), len(bad))
        h = [sum(x[:public]) + alpha * sum(x[public:]) for x in (good, bad)]
        values.append(-log_sigmoid(beta * (h[0] - h[1])))
    return values


def sparse_po(cw, cl, rw, rl, ww, wl, kw=None, kl=None, vw=None, vl=None, beta=0.1):
    values = []
    for i in range(len(cw)):
        u = sum(m * (a - c) for m, a, c in rows(ww[i], cw[i], rw[i])) - sum(
            m * (b - d) for m, b, d in rows(wl[i], cl[i], rl[i])
        )
        moved = 0.0
        if kw is not None:
            moved += sum(m * x for m, x in rows((vw or ww)[i], kw[i])) - sum(m * x for m, x in rows((vl or wl)[i], kl[i]))
        values.append(-log_sigmoid(beta * (u + moved)))
    return values


def fdpo(logps, refs, labels, beta=0.1):
    return [0.0 if c > 1 else -log_sigmoid(beta * (a - r) * (1 if c else -1)) for a, r, c in rows(logps, refs, labels)]


def selm(cw, cl, rw, rl, sampled, ref_sampled, beta=0.1, alpha=0.001):
    return [
        -log_sigmoid(beta * (a - c - b + d)) + alpha * beta * (s - t)
        for a, b, c, d, s, t in rows(cw, cl, rw, rl, sampled, ref_sampled)
    ]


def xpo(cw, cl, rw, rl, sampled, beta=0.1, alpha=1e-5):
    return [-log_sigmoid(beta * (a - c - b + d)) + alpha * s for a, b, c, d, s in rows(cw, cl, rw, rl, sampled)]


def hypo(cw, cl, rw, rl, sampled, ref_sampled, beta=0.1, lambda_=0.01):
    """The values alone; the gradient is the test's."""
    return [
        -log_sigmoid(beta * (a - c - b + d)) + lambda_ * sum(x - y for x, y in rows(s, t)) / len(s)
        for a, b, c, d, s, t in rows(cw, cl, rw, rl, sampled, ref_sampled)
    ]


def cream(cw, cl, rw, rl, consistency, beta=0.1):
    values = []
    for a, b, c, d, sure in rows(cw, cl, rw, rl, consistency):
        z = beta * (a - c - b + d)
        values.append(-sure * log_sigmoid(z) - (1 - sure) * log_sigmoid(-z))
    return values


def harmonic_rpo(ew, el, rw, rl, preferred, sft=1.0):
    values = []
    for a, b, c, d, p in rows(ew, el, rw, rl, preferred):
        z = (c - a) - (d - b)
        values.append(sft * a - p * log_sigmoid(z) - (1 - p) * log_sigmoid(-z))
    return values


def spo(cw, cl, rw, rl, logits, degrees, beta=0.1, gamma=0.1):
    values = []
    for a, b, c, d, q, degree in rows(cw, cl, rw, rl, logits, degrees):
        told = exp(q[degree]) / sum(exp(x) for x in q)
        values.append(-log_sigmoid(beta * (a - c - b + d)) - gamma * log(told))
    return values


def self_contrast(cw, cl, rw, rl, beta=0.1):
    return [
        sum(-log_sigmoid(beta * (a - c - b + d)) for b, d in rows(bs, ds)) / len(bs) for a, bs, c, ds in rows(cw, cl, rw, rl)
    ]


def pu_distillation(logps, refs, scores, beta=0.1):
    values = []
    for a, r, s in rows(logps, refs, scores):
        h = [x - y for x, y in rows(a, r)]
        pairs = [(i, j) for i in range(len(h)) for j in range(len(h)) if s[i] > s[j]]
        values.append(sum(-log_sigmoid(beta * (h[i] - h[j])) for i, j in pairs) / max(len(pairs), 1))
    return values


def dove(cw, cl, rw, rl, pw, pl, qw, ql, beta=0.1):
    return [
        -log_sigmoid(beta * ((a + p - c - q) - (b + o - d - s)))
        for a, b, c, d, p, o, q, s in rows(cw, cl, rw, rl, pw, pl, qw, ql)
    ]


def mapl(cw, cl, rw, rl, crossed, ref_crossed, beta=0.1, gamma=1.0):
    return [
        -log_sigmoid(beta * (a - c - b + d)) - gamma * log_sigmoid(beta * (a - c - x + y))
        for a, b, c, d, x, y in rows(cw, cl, rw, rl, crossed, ref_crossed)
    ]


def reward_augmented_dpo(cw, cl, rw, rl, lw, ll, sw, sl, beta=0.1):
    return [
        -log_sigmoid(beta * (a - c - b + d)) / 2 - log_sigmoid(beta * (f - s - e + r)) / 2
        for a, b, c, d, e, f, r, s in rows(cw, cl, rw, rl, lw, ll, sw, sl)
    ]


def coipo(matched, mismatched, form="code"):
    return [a - b if form == "paper" else exp(min(0.0, a - b)) for a, b in rows(matched, mismatched)]


def rrhf(cw, cl, nw, nl, sft=1.0):
    return [max(0.0, b / m - a / n) - sft * a for a, b, n, m in rows(cw, cl, nw, nl)]


def alpha_po(cw, cl, nw, nl, beta=2.5, gamma=0.1, alpha=0.25):
    def reward(logp, length):
        return (1 - exp(logp / length) ** -alpha) / alpha if alpha else logp / length

    return [-log_sigmoid(beta * (reward(a, n) - reward(b, m)) - gamma) for a, b, n, m in rows(cw, cl, nw, nl)]


def cpl(aw, al, lambda_=0.5):
    """As the paper writes it: a softmax of the two, the other's share inside."""
    return [-log(exp(a) / (exp(a) + exp(lambda_ * b))) for a, b in rows(aw, al)]


def aot_unpaired(cw, cl, rw, rl, beta=0.1, label_smoothing=0.0):
    good, bad = sorted(a - c for a, c in rows(cw, rw)), sorted(b - d for b, d in rows(cl, rl))
    return [
        -(1 - label_smoothing) * log_sigmoid(beta * (x - y)) - label_smoothing * log_sigmoid(-beta * (x - y))
        for x, y in rows(good, bad)
    ]


def slopes(z, smoothing=0.1, tau=0.05):
    """What each link's derivative is on paper, at one margin."""
    s, m = 1 / (1 + exp(-z)), 1 / (1 + exp(-z / tau))
    return {
        "logistic": s - 1 + smoothing,
        "robust": s - 1 - smoothing / (1 - 2 * smoothing),
        "hinge": -1.0 if z < 1 else 0.0,
        "squared": 2 * (z - 5),
        "exo": s * (1 - s) * (z - log((1 - smoothing) / smoothing)),
        "discopop": -(1 - m) * (1 - s) - m * exp(-z) + m * (1 - m) * (exp(-z) + log_sigmoid(z)) / tau,
        "falling": -s * (1 - s),
        "forward_kl": exp(-z),
        "js": 1 - s,
        "alpha": exp(-z / 2),
    }
