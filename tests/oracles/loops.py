"""Embedding objectives as slow loops over plain Python numbers, written from the papers; a list of one value per anchor.

Nothing is shared with labkit, and nothing is clever: exponentials are exponentials. Objectives on a whole batch give a number.
"""

from math import exp, log, log1p, sqrt


def dot(u, v):
    return sum(x * y for x, y in zip(u, v, strict=True))


def cos(u, v):
    return dot(u, v) / sqrt(dot(u, u) * dot(v, v))


def unit(u):
    return [x / sqrt(dot(u, u)) for x in u]


def distance(u, v):
    return sqrt(sum((x - y) ** 2 for x, y in zip(u, v, strict=True)))


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def info_nce(anchors, positives, negatives=None, temperature=0.1):
    losses = []
    for i, anchor in enumerate(anchors):
        own = exp(cos(anchor, positives[i]) / temperature)
        if negatives is None:
            others = [p for j, p in enumerate(positives) if j != i]
        else:
            others = negatives[i] if isinstance(negatives[0][0], list) else negatives
        losses.append(-log(own / (own + sum(exp(cos(anchor, o) / temperature) for o in others))))
    return losses


def clip_loss(a, b, temperature=0.07):
    return info_nce(a, b, temperature=temperature) + info_nce(b, a, temperature=temperature)


def siglip(a, b, temperature=0.1, bias=-10.0):
    def rows(x, y):
        sign = lambda i, j: 1 if i == j else -1  # noqa: E731
        return [
            sum(log1p(exp(-sign(i, j) * (cos(x[i], y[j]) / temperature + bias))) for j in range(len(y))) for i in range(len(x))
        ]

    return rows(a, b) + rows(b, a)


def cosines(z1, z2):
    """All pairs of the 2n embeddings, and everyone's partner."""
    z, n = z1 + z2, len(z1)
    return [[cos(u, v) for v in z] for u in z], [(i + n) % (2 * n) for i in range(2 * n)]


def nt_xent(z1, z2, temperature=0.5):
    s, partner = cosines(z1, z2)
    return [
        -log(exp(s[i][partner[i]] / temperature) / sum(exp(s[i][k] / temperature) for k in range(len(s)) if k != i))
        for i in range(len(s))
    ]


def dcl(z1, z2, temperature=0.1, weights=None):
    s, partner = cosines(z1, z2)
    losses = []
    for i in range(len(s)):
        others = sum(exp(s[i][k] / temperature) for k in range(len(s)) if k not in (i, partner[i]))
        pull = 1 if weights is None else weights[i % len(z1)]
        losses.append(-pull * s[i][partner[i]] / temperature + log(others))
    return losses


def dclw(z1, z2, temperature=0.1, sigma=0.5):
    alike = [exp(cos(u, v) / sigma) for u, v in zip(z1, z2, strict=True)]
    return dcl(z1, z2, temperature, [2 - a / mean(alike) for a in alike])


def dhel(z1, z2, temperature=0.1):
    def energy(z, i):
        return sum(exp(cos(z[i], z[j]) / temperature) for j in range(len(z)) if j != i)

    return [-log(exp(cos(z1[i], z2[i]) / temperature) / (energy(z1, i) * energy(z2, i))) for i in range(len(z1))]


def mv_info_nce(views, temperature=0.1):
    n, v = len(views), len(views[0])
    losses = []
    for i in range(n):
        mine = everything = 0.0
        for k in range(v):
            for j in range(n):
                for m in range(v):
                    e = exp(cos(views[i][k], views[j][m]) / temperature)
                    everything += e * ((j, m) != (i, k))
                    mine += e * (j == i and m != k)
        losses.append(-log(mine / everything))
    return losses


def mv_dhel(views, temperature=0.1):
    n, v = len(views), len(views[0])
    losses = []
    for i in range(n):
        mine = sum(exp(cos(views[i][k], views[i][m]) / temperature) for k in range(v) for m in range(k))
        product = 1.0
        for k in range(v):
            product *= sum(exp(cos(views[i][k], views[j][k]) / temperature) for j in range(n) if j != i)
        losses.append(-log(mine / product))
    return losses


def sup_con(z, labels, temperature=0.1, form="out"):
    if isinstance(z[0][0], list):
        labels, z = [y for y, views in zip(labels, z, strict=True) for _ in views], [u for views in z for u in views]
    losses = []
    for i in range(len(z)):
        positives = [j for j in range(len(z)) if j != i and labels[j] == labels[i]]
        everyone = sum(exp(cos(z[i], z[a]) / temperature) for a in range(len(z)) if a != i)
        shares = [exp(cos(z[i], z[p]) / temperature) / everyone for p in positives]
        if not positives:
            losses.append(0.0)
        elif form == "out":
            losses.append(-mean(log(share) for share in shares))
        else:
            losses.append(-log(mean(shares)))
    return losses


def joint(views, labels, share=0.5, temperature=0.1):
    n, v = len(views), len(views[0])
    supervised, alone = (sup_con(views, y, temperature) for y in (labels, list(range(n))))
    return [mean((1 - share) * supervised[v * i + k] + share * alone[v * i + k] for k in range(v)) for i in range(n)]


def align_uniform(z1, z2, alpha=2, t=2, weight=1):
    z1, z2 = [unit(u) for u in z1], [unit(u) for u in z2]
    align = mean(distance(u, v) ** alpha for u, v in zip(z1, z2, strict=True))
    return align + weight * (potential(z1, t) + potential(z2, t)) / 2


def decoupled_uniformity(views, t=2):
    return potential([[mean(column) for column in zip(*map(unit, v), strict=True)] for v in views], t)


def potential(z, t):
    return log(mean(exp(-t * distance(z[i], z[j]) ** 2) for i in range(len(z)) for j in range(i)))


def debiased(z1, z2, temperature=0.5, tau_plus=0.1):
    return hard_negative(z1, z2, temperature, 0.0, tau_plus)


def hard_negative(z1, z2, temperature=0.5, beta=1.0, tau_plus=0.0):
    s, partner = cosines(z1, z2)
    count, losses = len(s) - 2, []
    for i in range(len(s)):
        positive = exp(s[i][partner[i]] / temperature)
        negatives = [exp(s[i][k] / temperature) for k in range(len(s)) if k not in (i, partner[i])]
        hardness = [x**beta for x in negatives]
        harder = sum(w / mean(hardness) * x for w, x in zip(hardness, negatives, strict=True))
        left = max((harder - tau_plus * count * positive) / (1 - tau_plus), count * exp(-1 / temperature))
        losses.append(-log(positive / (positive + left)))
    return losses


def macl(z1, z2, temperature=0.1, alpha=0.5, a0=0.0):
    alignment = mean(cos(u, v) for u, v in zip(z1, z2, strict=True))
    losses = nt_xent(z1, z2, temperature * (1 + alpha * (alignment - a0)))
    return [x / (1 - exp(-x)) for x in losses]


def moments(columns):
    means = [mean(c) for c in columns]
    return [[x - m for x in c] for c, m in zip(columns, means, strict=True)]


def barlow_twins(z1, z2, lambda_=0.005):
    def standard(z):
        return [[x / sqrt(dot(c, c) / len(c) + 1e-5) for x in c] for c in moments(list(zip(*z, strict=True)))]

    first, second = standard(z1), standard(z2)
    total = 0.0
    for a in range(len(first)):
        for b in range(len(second)):
            c = dot(first[a], second[b]) / len(z1)
            total += (1 - c) ** 2 if a == b else lambda_ * c**2
    return total


def vicreg(z1, z2, similarity=25, variance=25, covariance=1):
    n, d = len(z1), len(z1[0])
    total = similarity * sum(distance(u, v) ** 2 for u, v in zip(z1, z2, strict=True)) / (n * d)
    for z in (z1, z2):
        columns = moments(list(zip(*z, strict=True)))
        cov = [[dot(a, b) / (n - 1) for b in columns] for a in columns]
        total += variance / 2 * mean(max(0.0, 1 - sqrt(cov[a][a] + 1e-4)) for a in range(d))
        total += covariance / d * sum(cov[a][b] ** 2 for a in range(d) for b in range(d) if a != b)
    return total


def spectral(z1, z2, mu=1.0):
    def cut(u):
        return [x * min(1.0, sqrt(mu / dot(u, u))) for x in u]

    z1, z2 = [cut(u) for u in z1], [cut(u) for u in z2]
    n = len(z1)
    return [(-2 * dot(z1[i], z2[i]) + sum(dot(z1[i], z2[j]) ** 2 for j in range(n) if j != i) / (n - 1)) / mu for i in range(n)]


def simsiam(p1, z2, p2, z1):
    return [-cos(a, b) / 2 - cos(c, d) / 2 for a, b, c, d in zip(p1, z2, p2, z1, strict=True)]


def swav(scores1, scores2, temperature=0.1, epsilon=0.05, iterations=3):
    def codes(scores):
        q = [[exp(x / epsilon) for x in row] for row in scores]
        for _ in range(iterations):
            totals = [sum(column) for column in zip(*q, strict=True)]
            q = [[x / total for x, total in zip(row, totals, strict=True)] for row in q]
            q = [[x / sum(row) for x in row] for row in q]
        return q

    def predicted(code, scores):
        shares = [exp(x / temperature) for x in scores]
        return -sum(q * log(p / sum(shares)) for q, p in zip(code, shares, strict=True))

    q1, q2 = codes(scores1), codes(scores2)
    return [(predicted(q2[i], scores1[i]) + predicted(q1[i], scores2[i])) / 2 for i in range(len(scores1))]
