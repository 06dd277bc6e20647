"""Meters again as slow float64 loops, written from the papers: nothing shared with labkit."""

import math


def unit(row):
    length = math.sqrt(math.fsum(x * x for x in row))
    return [x / length for x in row]


def dot(u, v):
    return math.fsum(x * y for x, y in zip(u, v, strict=True))


def squared_distance(u, v):
    return math.fsum((x - y) ** 2 for x, y in zip(u, v, strict=True))


def alignment(z1, z2, alpha=2):
    gaps = [math.sqrt(squared_distance(unit(u), unit(v))) ** alpha for u, v in zip(z1, z2, strict=True)]
    return math.fsum(gaps) / len(gaps)


def uniformity(z, t=2):
    z = [unit(row) for row in z]
    n = len(z)
    total = math.fsum(math.exp(-t * squared_distance(z[i], z[j])) for i in range(n) for j in range(i))
    return math.log(total / (n * (n - 1) / 2))


def tolerance(z, labels):
    z = [unit(row) for row in z]
    cosines = [dot(z[i], z[j]) for i in range(len(z)) for j in range(len(z)) if i != j and labels[i] == labels[j]]
    return math.fsum(cosines) / len(cosines)


def mean_row(z):
    z = [unit(row) for row in z]
    return [math.fsum(column) / len(z) for column in zip(*z, strict=True)]


def mean_norm(z):
    return math.sqrt(dot(mean_row(z), mean_row(z)))


def modality_gap(a, b):
    return math.sqrt(squared_distance(mean_row(a), mean_row(b)))


def push_share(z, labels=None, temperature=0.1, fraction=0.05):
    z = [unit(row) for row in z]
    n, shares = len(z), []
    for i in range(n):
        pushes = {j: math.exp(dot(z[i], z[j]) / temperature) for j in range(n) if j != i}
        if labels is None:
            chosen = sorted(pushes, key=pushes.get, reverse=True)[: math.ceil(fraction * (n - 1))]
        else:
            chosen = [j for j in pushes if labels[j] == labels[i]]
        shares.append(math.fsum(pushes[j] for j in chosen) / math.fsum(pushes.values()))
    return math.fsum(shares) / n


def effective_rank(singular_values, epsilon=0.0):
    total = math.fsum(singular_values)
    parts = [s / total + epsilon for s in singular_values]
    return math.exp(-math.fsum(p * math.log(p) for p in parts if p > 0))


def participation_ratio(eigenvalues):
    return math.fsum(eigenvalues) ** 2 / math.fsum(x * x for x in eigenvalues)


def top_share(eigenvalues):
    return max(eigenvalues) / math.fsum(eigenvalues)


def dead_directions(singular_values, below=0.01):
    return sum(s <= below * max(singular_values) for s in singular_values)


def spectrum_decay(eigenvalues, first=11, last=100):
    found = [(math.log(k), math.log(eigenvalues[k - 1])) for k in range(first, last + 1)]
    middle = [math.fsum(column) / len(found) for column in zip(*found, strict=True)]
    up = math.fsum((x - middle[0]) * (y - middle[1]) for x, y in found)
    return -up / math.fsum((x - middle[0]) ** 2 for x, _ in found)


def mean_cosine(z):
    z = [unit(row) for row in z]
    cosines = [dot(z[i], z[j]) for i in range(len(z)) for j in range(len(z)) if i != j]
    return math.fsum(cosines) / len(cosines)


def knn_accuracy(train_z, train_y, test_z, test_y, k=20, temperature=0.07):
    train_z, right = [unit(row) for row in train_z], 0
    for row, label in zip(test_z, test_y, strict=True):
        near = sorted(((dot(unit(row), other), y) for other, y in zip(train_z, train_y, strict=True)), reverse=True)[:k]
        votes = {c: math.fsum(math.exp(s / temperature) for s, y in near if y == c) for c in set(train_y)}
        right += max(votes, key=votes.get) == label
    return right / len(test_y)


def linear_cka(a, b):
    """The unbiased estimate of HSIC in its first form: kernels without their diagonals."""
    n = len(a)

    def kernel(z):
        return [[dot(z[i], z[j]) * (i != j) for j in range(n)] for i in range(n)]

    def hsic(k, q):
        trace = math.fsum(k[i][j] * q[j][i] for i in range(n) for j in range(n))
        sums = [[math.fsum(row) for row in m] for m in (k, q)]
        whole = math.fsum(sums[0]) * math.fsum(sums[1]) / ((n - 1) * (n - 2))
        return (trace + whole - 2 / (n - 2) * dot(*sums)) / (n * (n - 3))

    k, q = kernel(a), kernel(b)
    return hsic(k, q) / math.sqrt(hsic(k, k) * hsic(q, q))


def neighbour_overlap(a, b, k=10):
    a, b, n = [unit(row) for row in a], [unit(row) for row in b], len(a)

    def nearest(z, i):
        return set(sorted((j for j in range(n) if j != i), key=lambda j: -dot(z[i], z[j]))[:k])

    return math.fsum(len(nearest(a, i) & nearest(b, i)) / k for i in range(n)) / n


def k_occurrence(z, queries=None, k=10):
    z, alone = [unit(row) for row in z], queries is None
    asked = z if alone else [unit(row) for row in queries]
    counts = [0] * len(z)
    for i, q in enumerate(asked):
        for j in sorted((j for j in range(len(z)) if not (alone and j == i)), key=lambda j: -dot(q, z[j]))[:k]:
            counts[j] += 1
    return counts


def hubness(z, queries=None, k=10):
    counts = k_occurrence(z, queries, k)
    mean = math.fsum(counts) / len(counts)
    second, third = (math.fsum((c - mean) ** p for c in counts) / len(counts) for p in (2, 3))
    return third / second**1.5 if second else 0.0


def antihubs(z, queries=None, k=10):
    return k_occurrence(z, queries, k).count(0) / len(z)


def robin_hood(z, queries=None, k=10):
    """What the rows above the mean would have to give away."""
    counts = k_occurrence(z, queries, k)
    mean = math.fsum(counts) / len(counts)
    return math.fsum(c - mean for c in counts if c > mean) / math.fsum(counts)


def knn_leave_one_out(z, labels, groups=None, k=20, temperature=0.07):
    groups, right = groups or list(range(len(z))), 0
    for i in range(len(z)):
        others = [j for j in range(len(z)) if groups[j] != groups[i]]
        if others:
            train_z, train_y = [z[j] for j in others], [labels[j] for j in others]
            right += knn_accuracy(train_z, train_y, [z[i]], [labels[i]], min(k, len(others)), temperature)
    return right / len(z)


def class_separation(z, labels):
    z = [unit(row) for row in z]

    def squares(rows):
        middle = [math.fsum(column) / len(rows) for column in zip(*rows, strict=True)]
        return math.fsum(squared_distance(row, middle) for row in rows)

    inside = math.fsum(squares([row for row, y in zip(z, labels, strict=True) if y == c]) for c in set(labels))
    return 1 - inside / squares(z)


def recall_at_k(a, b, groups=None, k=1):
    a, b, groups = [unit(row) for row in a], [unit(row) for row in b], groups or list(range(len(a)))
    ranks = [sum(groups[j] != groups[i] and dot(a[i], b[j]) > dot(a[i], b[i]) for j in range(len(b))) for i in range(len(a))]
    return sum(rank < k for rank in ranks) / len(a)
