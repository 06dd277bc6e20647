"""Meters against the obvious code for them."""

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.registry import OURS, Case, Target
from labkit import metrics

WIDTH = 128
SVD, WIDE_SVD = "svdvals", "svdvals in float64"


def faded(n: int, draw: torch.Generator) -> tuple[Tensor]:
    """Rows whose directions fade: neither flat nor of few directions."""
    return (torch.randn(n, WIDTH, generator=draw) * torch.logspace(0, -2, WIDTH),)


def split(n: int, draw: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """n rows that vote and n / 5 to be told, of ten classes with a centre each."""
    centres = torch.randn(10, WIDTH, generator=draw)
    y = torch.randint(10, (n + n // 5,), generator=draw)
    z = centres[y] + 3 * torch.randn(len(y), WIDTH, generator=draw)
    return z[:n], y[:n], z[n:], y[n:]


def answers(n: int, draw: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Hidden states of n pairs of answers, 256 tokens of width 1,024, and masks of half of them."""
    hidden = [torch.randn(n, 256, 1024, generator=draw) for _ in range(2)]
    masks = [torch.rand(n, 256, generator=draw) < 0.5 for _ in range(2)]
    return *hidden, *masks


effective_rank = Case("effective_rank", "Effective rank, rows of 128", faded, (20000,), 2000, targets=(
    Target("seconds", 0.35, WIDE_SVD, 20000), Target("seconds", 0.35, SVD, 20000),
))  # fmt: skip


@effective_rank.by(OURS)
def _(z):
    return metrics.effective_rank(z)


@effective_rank.by(SVD)
def naive_effective_rank(z):
    p = torch.linalg.svdvals(z)
    p = p / p.sum()
    return torch.special.entr(p).sum().exp()


@effective_rank.by(WIDE_SVD)
def _(z):
    """In the precision that ours has."""
    return naive_effective_rank(z.double())


knn = Case("knn", "kNN accuracy, rows that vote (a fifth as many are told)", split, (20000,), 2000)


@knn.by(OURS)
def _(train, classes, test, truth):
    return metrics.knn_accuracy(train, classes, test, truth, k=20)


@knn.by("naive torch")
def naive_knn(train, classes, test, truth):
    near = (F.normalize(test, dim=-1) @ F.normalize(train, dim=-1).T).topk(20)
    votes = torch.zeros(len(test), 10, device=test.device).scatter_add_(1, classes[near.indices], (near.values / 0.07).exp())
    return (votes.argmax(1) == truth).float().mean()


ches = Case("ches", "CHES, pairs of answers of 256 tokens, width 1,024", answers, (64,), 8, warm=2)


@ches.by(OURS)
def _(chosen, rejected, chosen_mask, rejected_mask):
    return metrics.ches(chosen, rejected, chosen_mask, rejected_mask).mean()


@ches.by("naive torch")
def naive_ches(chosen, rejected, chosen_mask, rejected_mask):
    up, down = ((h * mask[..., None]).sum(1) for h, mask in ((chosen, chosen_mask), (rejected, rejected_mask)))
    return ((up * down).sum(-1) - up.square().sum(-1)).mean()


CASES = (effective_rank, knn, ches)
