"""Losses on pairs of embeddings, forward and backward.

The naive forms are what one writes down first, dense and stable. Libraries that do not normalise are handed normalised rows.
"""

import sys

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks import sources
from benchmarks.cases.embeddings import T, two_views, unit
from benchmarks.registry import OURS, Case, Skip, Target
from labkit import losses

NAIVE, ST, LIGHTLY, OPEN_CLIP = "naive torch", "sentence-transformers", "lightly", "open_clip"


def of_ranking(**options) -> nn.Module:
    """sentence-transformers' loss, to be called with embeddings: its model is never asked."""
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    return MultipleNegativesRankingLoss(nn.Identity(), scale=1 / T, **options)


def cached(z1: Tensor, z2: Tensor, rows: int) -> Tensor:
    """The loss part of sentence-transformers' cached form: embeddings in mini-batches, chunk by chunk."""
    from sentence_transformers.sentence_transformer.losses import CachedMultipleNegativesRankingLoss

    loss = CachedMultipleNegativesRankingLoss(nn.Sequential(nn.Identity()), scale=1 / T, mini_batch_size=rows)
    return loss.calculate_loss([list(z1.split(rows)), list(z2.split(rows))], None, with_backward=True)


# -------------------------------------------------------------------------------------------------------------- NT-Xent

nt_xent = Case(
    "nt_xent", "NT-Xent (SimCLR), pairs", two_views, (256, 512, 1024, 4096, 8192, 16384), 512, large=(65536,), growth=True,
    targets=(
        Target("seconds", 1.1, NAIVE, 256), Target("seconds", 1.1, NAIVE, 512),
        Target("seconds", 0.30, NAIVE, 8192), Target("mib", 100, size=8192),
        Target("seconds", 1 / 3.5, ST, 8192), Target("seconds", 1 / 5, LIGHTLY, 8192),
        Target("mib", 200, size=16384), Target("mib", 600, size=65536),
    ),
)  # fmt: skip


@nt_xent.by(OURS)
def _(z1, z2):
    return losses.nt_xent(z1, z2, temperature=T)


@nt_xent.by(NAIVE, up_to=16384)
def naive_nt_xent(z1, z2):
    z = F.normalize(torch.cat([z1, z2]), dim=-1)
    itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
    logits = (z @ z.T / T).masked_fill(itself, float("-inf"))
    return F.cross_entropy(logits, torch.arange(len(z), device=z.device).roll(len(z1)))


@nt_xent.by(ST, up_to=16384)
def _(z1, z2):
    """Two calls, each view in turn as the queries; the gradient of one is made before the other begins."""
    loss, total = of_ranking(directions=("query_to_doc", "query_to_query")), 0.0
    for pair in ([z1, z2], [z2, z1]):
        half = loss.compute_loss_from_embeddings(pair, None) / 2
        half.backward()
        total += half.detach()
    return total


@nt_xent.by(LIGHTLY, up_to=16384)
def _(z1, z2):
    from lightly.loss import NTXentLoss

    return NTXentLoss(temperature=T)(z1, z2)


@nt_xent.by("SupContrast", up_to=16384)
def _(z1, z2):
    return sources.module("SupContrast").SupConLoss(temperature=T, base_temperature=T)(torch.stack(unit(z1, z2), 1))


@nt_xent.by("pytorch-metric-learning SupConLoss", up_to=8192)
def _(z1, z2):
    from pytorch_metric_learning.losses import SupConLoss

    return SupConLoss(temperature=T)(torch.cat([z1, z2]), torch.arange(len(z1), device=z1.device).repeat(2))


@nt_xent.by("pytorch-metric-learning NTXentLoss", up_to=256)
def _(z1, z2):
    from pytorch_metric_learning.losses import NTXentLoss

    return NTXentLoss(temperature=T)(torch.cat([z1, z2]), torch.arange(len(z1), device=z1.device).repeat(2))


# ------------------------------------------------------------------------------------------------- one row, one column

clip = Case(
    "clip", "CLIP, pairs", two_views, (512, 4096), 512,
    targets=(Target("seconds", 0.45, OPEN_CLIP, 4096), Target("mib", 0.1, OPEN_CLIP, 4096)),
)  # fmt: skip


@clip.by(OURS)
def _(a, b):
    return losses.clip_loss(a, b, temperature=T)


@clip.by(NAIVE)
def naive_clip(a, b):
    a, b = unit(a, b)
    logits, own = a @ b.T / T, torch.arange(len(a), device=a.device)
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2


@clip.by(OPEN_CLIP)
def _(a, b):
    from open_clip.loss import ClipLoss

    return ClipLoss()(*unit(a, b), torch.tensor(1 / T, device=a.device))


@clip.by("Inf-CL")
def _(a, b):
    """One direction after the other, as the paper does."""
    if a.device.type != "cuda":
        raise Skip("its kernels are written in Triton, for GPUs")
    from inf_cl import cal_flash_loss

    a, b = unit(a, b)
    return (cal_flash_loss(a, b, scale=1 / T).mean() + cal_flash_loss(b, a, scale=1 / T).mean()) / 2


siglip = Case("siglip", "SigLIP, pairs", two_views, (4096,), 512)
BIAS = -10.0


@siglip.by(OURS)
def _(a, b):
    return losses.siglip(a, b, temperature=T, bias=BIAS)


@siglip.by(NAIVE)
def naive_siglip(a, b):
    a, b = unit(a, b)
    sign = 2 * torch.eye(len(a), device=a.device) - 1
    return -F.logsigmoid(sign * (a @ b.T / T + BIAS)).sum() / len(a)


@siglip.by(OPEN_CLIP)
def _(a, b):
    from open_clip.loss import SigLipLoss

    return SigLipLoss()(*unit(a, b), torch.tensor(1 / T, device=a.device), torch.tensor(BIAS, device=a.device))


CHUNKED, SMALL = f"{ST} cached, 512 rows", f"{ST} cached, 32 rows"
info_nce = Case(
    "info_nce", "InfoNCE, pairs", two_views, (512, 4096), 512,
    targets=(Target("seconds", 0.5, CHUNKED, 4096), Target("seconds", 0.5, SMALL, 4096), Target("mib", 38, size=4096)),
)  # fmt: skip


@info_nce.by(OURS)
def _(z1, z2):
    return losses.info_nce(z1, z2, temperature=T)


@info_nce.by(NAIVE)
def naive_info_nce(z1, z2):
    z1, z2 = unit(z1, z2)
    return F.cross_entropy(z1 @ z2.T / T, torch.arange(len(z1), device=z1.device))


@info_nce.by(ST)
def _(z1, z2):
    return of_ranking().compute_loss_from_embeddings([z1, z2], None)


@info_nce.by(CHUNKED)
def _(z1, z2):
    return cached(z1, z2, 512)


@info_nce.by(SMALL)
def _(z1, z2):
    return cached(z1, z2, 32)


class Unit(nn.Module):
    """An encoder that only normalises."""

    def forward(self, z: Tensor) -> Tensor:
        return F.normalize(z, dim=-1)


@info_nce.by("GradCache, 512 rows")
def _(z1, z2):
    """Its chunks are the encoders'; the loss on the cached embeddings is dense."""
    import gradcache

    sys.modules.setdefault("grad_cache", gradcache)  # the package calls itself by another name than it was published under
    from gradcache.grad_cache import GradCache
    from gradcache.loss import SimpleContrastiveLoss

    loss = SimpleContrastiveLoss()
    step = GradCache(models=[Unit(), Unit()], chunk_sizes=512, loss_fn=lambda x, y: loss(x / T, y))
    return step.cache_step(z1, z2)


CASES = (nt_xent, clip, siglip, info_nce)
