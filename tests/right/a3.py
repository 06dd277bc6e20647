"""Right answers to a3, as different people write them."""

import math
from itertools import combinations

import numpy as np
import torch
import torch.nn.functional as F
from scipy import integrate, special, stats

from labkit.grading import given
from labkit.grading.a3.places import embeddings

# ---------------------------------------------------------------- uniformity


def uniformity_pdist(z, t):
    energies = -t * F.pdist(F.normalize(z, dim=1)) ** 2
    return energies.logsumexp(0) - math.log(len(energies))


def uniformity_products(z, t):
    z = F.normalize(z, dim=-1)
    i, j = torch.triu_indices(len(z), len(z), offset=1)
    square = 2 - 2 * (z @ z.T)[i, j]
    smallest = square.min().detach()
    return torch.log(torch.exp(-t * (square - smallest)).mean()) - t * smallest


def uniformity_off_diagonal(z, *, t):
    z = z / z.norm(dim=1, keepdim=True)
    n = len(z)
    energies = -t * (z.unsqueeze(0) - z.unsqueeze(1)).pow(2).sum(2)
    energies = energies.masked_fill(torch.eye(n, dtype=torch.bool), -torch.inf)
    return torch.logsumexp(energies.flatten(), dim=0) - np.log(n * (n - 1))


def uniformity_loop(z, t):
    rows = [row / torch.sqrt((row * row).sum()) for row in z]
    energies = torch.stack([-t * ((a - b) ** 2).sum() for a, b in combinations(rows, 2)])
    top = energies.max()
    return top + (energies - top).exp().mean().log()


# ---------------------------------------------------------------- align_uniform


def both_pdist(z1, z2, weight, t):
    a, b = F.normalize(z1, dim=1), F.normalize(z2, dim=1)
    return (a - b).norm(dim=1).pow(2).mean() + weight * (uniformity_pdist(a, t) + uniformity_pdist(b, t)) / 2


def both_products(x, y, lam, t):
    cosines = F.cosine_similarity(x, y, dim=1)
    even = torch.stack([uniformity_products(x, t), uniformity_products(y, t)]).mean()
    return torch.mean(2 - 2 * cosines) + lam * even


def both_loop(z1, z2, weight, t):
    gaps = [((a / a.norm() - b / b.norm()) ** 2).sum() for a, b in zip(z1, z2, strict=True)]
    return sum(gaps) / len(gaps) + 0.5 * weight * (uniformity_loop(z1, t) + uniformity_loop(z2, t))


# ---------------------------------------------------------------- descend


def descend_autograd(z, steps, lr, t):
    z = z.clone()
    for _ in range(steps):
        z.requires_grad_()
        (gradient,) = torch.autograd.grad(uniformity_pdist(z, t), z)
        z = F.normalize(z.detach() - lr * gradient, dim=1)
    return z


def descend_sgd(z, steps, lr, t):
    z = torch.nn.Parameter(z.clone())
    optimizer = torch.optim.SGD([z], lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        uniformity_products(z, t).backward()
        optimizer.step()
        with torch.no_grad():
            z /= z.norm(dim=1, keepdim=True)
    return z


def descend_by_hand(z, steps, lr, t):
    """The gradient worked out: a softmax over pairs, and its part along the sphere."""
    z = z.numpy()
    for _ in range(steps):
        cosines = z @ z.T
        weights = np.exp(2 * t * cosines)
        np.fill_diagonal(weights, 0)
        gradient = 4 * t * weights @ z / weights.sum()
        gradient -= (gradient * z).sum(1, keepdims=True) * z
        z = z - lr * gradient
        z = z / np.linalg.norm(z, axis=1, keepdims=True)
    return z


# ---------------------------------------------------------------- limit


def limit_bessel(d, t):
    """0F1 is a Bessel function; its scaled version does not overflow."""
    v = d / 2 - 1
    return math.log(special.ive(v, 2 * t)) + special.gammaln(d / 2) - v * math.log(t)


def limit_series(d, t):
    terms, k = [], 0
    while k <= 4 * t + 100:
        terms.append(2 * k * math.log(t) - math.lgamma(k + 1) - math.lgamma(k + d / 2) + math.lgamma(d / 2))
        k += 1
    return float(torch.tensor(terms, dtype=torch.float64).logsumexp(0)) - 2 * t


def limit_integral(d, t):
    """The cosine of two random directions has a density on (-1, 1); with angles there is no pole."""

    def density(angle):
        return math.sin(angle) ** (d - 2)

    def potential(angle):
        return math.exp(-2 * t * (1 - math.cos(angle))) * density(angle)

    marks = [a for a in (0.02, 0.1, 0.5, 1.5) if a < math.pi]
    above = integrate.quad(potential, 0, math.pi, points=marks, epsabs=0, epsrel=1e-11, limit=400)[0]
    return math.log(above / integrate.quad(density, 0, math.pi, epsabs=0, epsrel=1e-11)[0])


# ---------------------------------------------------------------- bound


def bound_branches(n, limit, t):
    simplex = -2 * t * n / (n - 1)
    potential = math.exp(limit)
    if n * potential > 1:
        return max(simplex, math.log((n * potential - 1) / (n - 1)))
    return simplex


def bound_numpy(n, limit, t):
    with np.errstate(invalid="ignore", divide="ignore"):
        kernel = np.log((n * np.exp(limit) - 1) / (n - 1))
    return np.fmax(kernel, -2 * t * (1 + 1 / (n - 1)))


def bound_torch(n, limit, t):
    inside = torch.tensor((n * math.exp(limit) - 1) / (n - 1), dtype=torch.float64).clamp(min=0)
    return torch.maximum(inside.log(), torch.tensor(-2 * t * n / (n - 1), dtype=torch.float64))


# ---------------------------------------------------------------- lookup_table


def table_index(images, directions):
    return F.normalize(directions, dim=1)[images]


def table_embedding(images, directions):
    return F.normalize(F.embedding(images, directions), dim=-1)


def table_loop(images, directions):
    return torch.stack([directions[int(i)] / directions[int(i)].norm() for i in images])


def table_one_hot(images, directions):
    unit = directions / directions.square().sum(1, keepdim=True).sqrt()
    return F.one_hot(images, len(directions)).to(unit.dtype) @ unit


# ---------------------------------------------------------------- ranked


def spearman(x, y):
    return stats.spearmanr(x, y).statistic


def spearman_by_ranks(x, y):
    def ranks(values):
        values = torch.tensor(values, dtype=torch.float64)
        below = (values[:, None] > values).sum(1) + ((values[:, None] == values).sum(1) + 1) / 2
        return below - below.mean()

    a, b = ranks(x), ranks(y)
    return float((a * b).sum() / (a.norm() * b.norm()))


def ranked_scipy(runs, meter, quality):
    def value(run):
        return run["alignment"] + run["uniformity"] if meter == "sum" else run[meter]

    def among(some):
        return -spearman([value(run) for run in some], [run[quality] for run in some])

    strengths = {run["strength"] for run in runs}
    return {"pooled": among(runs), "lowest": min(among([r for r in runs if r["strength"] == s]) for s in strengths)}


def ranked_numpy(runs, meter, quality):
    table = np.array([[r["alignment"], r["uniformity"], r[quality], r["strength"]] for r in runs])
    low = -{"alignment": table[:, 0], "uniformity": table[:, 1], "sum": table[:, :2].sum(1)}[meter]
    lowest = [spearman_by_ranks(low[table[:, 3] == s], table[table[:, 3] == s, 2]) for s in np.unique(table[:, 3])]
    return {"lowest": np.min(lowest), "pooled": spearman_by_ranks(low, table[:, 2])}


def ranked_groups(runs, meter, quality):
    groups = {"pooled": runs}
    for run in runs:
        groups.setdefault(run["strength"], []).append(run)
    found = {}
    for key, some in groups.items():
        x = [sum(run[m] for m in (("alignment", "uniformity") if meter == "sum" else (meter,))) for run in some]
        ranks = [stats.rankdata(v) for v in (x, [-run[quality] for run in some])]
        found[key] = float(np.corrcoef(*ranks)[0, 1])
    pooled = found.pop("pooled")
    return {"pooled": torch.tensor(pooled), "lowest": min(found.values())}


def sentences_by(function):
    about = {
        "sum, kNN, pooled": ("sum", "kNN", "pooled"),
        "sum, kNN, any views": ("sum", "kNN", "lowest"),
        "sum, probe, pooled": ("sum", "probe", "pooled"),
        "alignment, kNN, pooled": ("alignment", "kNN", "pooled"),
        "uniformity, kNN, pooled": ("uniformity", "kNN", "pooled"),
    }

    def found(variant):
        runs = given("a3", variant).runs
        numbers = {name: function(runs, meter, quality)[which] for name, (meter, quality, which) in about.items()}
        return {name: {"number": number, "supported": bool(number > 0.4)} for name, number in numbers.items()}

    return found


# ---------------------------------------------------------------- places


def nearest_neighbour(z, labels):
    cosines = (z @ z.T).fill_diagonal_(-2)
    return float((labels[cosines.argmax(1)] == labels).double().mean())


def places_by_meters(variant):
    """Told apart by what can be measured, without knowing what was drawn."""
    found, rows = {}, {}
    for letter, each in given("a3", variant).places.items():
        align = float((each["z1"] - each["z2"]).square().sum(1).mean())
        rows[letter] = align, float(uniformity_pdist(each["z1"], 2))
    for letter, (align, even) in rows.items():
        if even > -1:
            found[letter] = "alignment only" if align == min(a for a, u in rows.values() if u > -1) else "untrained"
        else:
            found[letter] = "lookup table" if align < 1e-9 else "both" if align < 0.8 else "uniformity only"
    return found


def places_by_hand(variant):
    return {letter.lower(): f" {name.capitalize()}" for letter, name in embeddings(variant)[1].items()}


def places_by_neighbours(variant):
    answer = places_by_meters(variant)
    mine = given("a3", variant).places
    chance = min(
        (nearest_neighbour(each["z1"], each["labels"]), k) for k, each in mine.items() if answer[k] != "alignment only"
    )[1]
    assert answer[chance] == "lookup table"
    return answer


RIGHT = {
    "a3.uniformity": (uniformity_pdist, uniformity_products, uniformity_off_diagonal, uniformity_loop),
    "a3.align_uniform": (both_pdist, both_products, both_loop),
    "a3.descend": (descend_autograd, descend_sgd, descend_by_hand),
    "a3.limit": (limit_bessel, limit_series, limit_integral),
    "a3.bound": (bound_branches, bound_numpy, bound_torch),
    "a3.lookup_table": (table_index, table_embedding, table_loop, table_one_hot),
    "a3.ranked": (ranked_scipy, ranked_numpy, ranked_groups),
    "a3.sentences": tuple(map(sentences_by, (ranked_scipy, ranked_numpy, ranked_groups))),
    "a3.places": (places_by_meters, places_by_hand, places_by_neighbours),
}
