"""Right answers to a1, as different people write them."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from labkit.grading import given


def similarity_normalize(z1, z2):
    z = F.normalize(torch.cat([z1, z2]), dim=1)
    return z @ z.T


def similarity_broadcast(z1, z2):
    z = torch.vstack((z1, z2))
    return F.cosine_similarity(z[:, None], z[None], dim=-1)


def similarity_loop(z1, z2):
    rows = [*z1, *z2]
    return torch.tensor([[float(a @ b / (a.norm() * b.norm())) for b in rows] for a in rows], dtype=z1.dtype)


def similarity_numpy(first, second):
    z = np.concatenate([first.numpy(), second.numpy()])
    z = z / np.sqrt((z**2).sum(axis=1, keepdims=True))
    return np.einsum("id,jd->ij", z, z)


def loss_cross_entropy(z1, z2, temperature):
    logits = similarity_normalize(z1, z2) / temperature
    logits.fill_diagonal_(float("-inf"))
    n = len(z1)
    return F.cross_entropy(logits, torch.cat([torch.arange(n, 2 * n), torch.arange(n)]))


def loss_two_blocks(a, b, tau):
    a, b = F.normalize(a, dim=-1), F.normalize(b, dim=-1)
    aa, ab, bb = a @ a.t() / tau, a @ b.t() / tau, b @ b.t() / tau
    hide = torch.diag(torch.full((len(a),), torch.inf, dtype=a.dtype))
    first = torch.log_softmax(torch.hstack([ab, aa - hide]), dim=1).diagonal()
    second = torch.log_softmax(torch.hstack([ab.T, bb - hide]), dim=1).diagonal()
    return -(first.mean() + second.mean()) / 2


def loss_by_hand(z1, z2, *, temperature):
    z = torch.cat([z1, z2])
    z = z / z.pow(2).sum(1, keepdim=True).sqrt()
    s = torch.einsum("id,jd->ij", z, z).div(temperature)
    m = len(s)
    others = s[~torch.eye(m, dtype=torch.bool)].view(m, m - 1)
    top = others.max(dim=1, keepdim=True).values
    partition = top.squeeze(1) + (others - top).exp().sum(1).log()
    return (partition - s.diagonal(m // 2).repeat(2)).mean()


def loss_loop(z1, z2, temperature):
    rows, total = [*z1, *z2], 0.0
    n = len(z1)
    for i, anchor in enumerate(rows):
        s = {j: F.cosine_similarity(anchor, row, dim=0) / temperature for j, row in enumerate(rows) if j != i}
        total = total - s[(i + n) % (2 * n)] + torch.logsumexp(torch.stack([*s.values()]), 0)
    return total / (2 * n)


def loop_of_floats(z1, z2, temperature):
    z, n, total = similarity_loop(z1, z2).tolist(), len(z1), 0.0
    for i in range(2 * n):
        below = sum(math.exp(z[i][k] / temperature) for k in range(2 * n) if k != i)
        total += -math.log(math.exp(z[i][(i + n) % (2 * n)] / temperature) / below)
    return total / (2 * n)


def gradient_softmax(similarity, temperature):
    m = len(similarity)
    p = torch.softmax((similarity / temperature).fill_diagonal_(-torch.inf), dim=1)
    p[torch.arange(m), (torch.arange(m) + m // 2) % m] -= 1
    return p / (m * temperature)


def gradient_autograd(similarity, temperature):
    s = similarity.clone().requires_grad_()
    m = len(s)
    off = s / temperature - torch.diag(torch.full((m,), torch.inf, dtype=s.dtype))
    with torch.enable_grad():
        F.cross_entropy(off, torch.arange(m).roll(m // 2)).backward()
    return s.grad


def gradient_loop(similarity, temperature):
    m = len(similarity)
    out = np.zeros((m, m))
    s = similarity.double().numpy() / temperature
    for i in range(m):
        others = [j for j in range(m) if j != i]
        e = np.exp(s[i, others] - s[i, others].max())
        out[i, others] = e / e.sum()
        out[i, (i + m // 2) % m] -= 1
    return out / m / temperature


def mine(loss):
    def of(variant):
        own = given("a1", variant)
        return loss(own.z1, own.z2, temperature=own.temperature)

    return of


RIGHT = {
    "a1.similarity": (similarity_normalize, similarity_broadcast, similarity_loop, similarity_numpy),
    "a1.chance": (
        lambda n: math.log(2 * n - 1),
        lambda n: np.log(2 * n - 1),
        lambda n: torch.logsumexp(torch.zeros(2 * n - 1), 0),
    ),
    "a1.loop": (loss_loop, loop_of_floats, loss_cross_entropy),
    "a1.nt_xent": (loss_cross_entropy, loss_two_blocks, loss_by_hand, loss_loop),
    "a1.similarity_gradient": (gradient_softmax, gradient_autograd, gradient_loop),
    "a1.my_loss": (mine(loss_loop), mine(loss_cross_entropy), lambda variant: round(float(mine(loss_by_hand)(variant)), 4)),
}
