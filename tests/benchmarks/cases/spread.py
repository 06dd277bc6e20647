"""Losses with labels, without the positive among the others, and of points that spread, forward and backward."""

import torch
import torch.nn.functional as F

from benchmarks import sources
from benchmarks.cases.embeddings import T, labelled, rows, two_views, unit
from benchmarks.registry import OURS, Case, Target
from labkit import losses, metrics

NAIVE, LIGHTLY, PML = "naive torch", "lightly", "pytorch-metric-learning"


sup_con = Case(
    "sup_con", "SupCon, embeddings", labelled, (512, 4096), 512,
    targets=(Target("seconds", 0.35, NAIVE, 4096), Target("mib", 0.1, NAIVE, 4096)),
)  # fmt: skip


@sup_con.by(OURS)
def _(z, labels):
    return losses.sup_con(z, labels, temperature=T)


@sup_con.by(NAIVE)
def naive_sup_con(z, labels):
    z = F.normalize(z, dim=-1)
    itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
    log_p = (z @ z.T / T).masked_fill(itself, float("-inf")).log_softmax(-1)
    same = (labels[:, None] == labels) & ~itself
    return (-log_p.masked_fill(~same, 0).sum(-1) / same.sum(-1).clamp(min=1)).mean()


@sup_con.by("SupContrast")
def _(z, labels):
    return sources.module("SupContrast").SupConLoss(temperature=T, base_temperature=T)(unit(z)[0][:, None], labels)


@sup_con.by(PML)
def _(z, labels):
    from pytorch_metric_learning.losses import SupConLoss

    return SupConLoss(temperature=T)(z, labels)


dcl = Case("dcl", "DCL, pairs", two_views, (4096,), 512)


@dcl.by(OURS)
def _(z1, z2):
    return losses.dcl(z1, z2, temperature=T)


@dcl.by(NAIVE)
def naive_dcl(z1, z2):
    z, n = F.normalize(torch.cat([z1, z2]), dim=-1), len(z1)
    logits, me = z @ z.T / T, torch.arange(2 * n, device=z1.device)
    positive = logits[me, me.roll(n)]
    apart = (me[:, None] - me) % n == 0  # itself, or its partner
    return (logits.masked_fill(apart, float("-inf")).logsumexp(-1) - positive).mean()


@dcl.by(LIGHTLY)
def _(z1, z2):
    from lightly.loss import DCLLoss

    return DCLLoss(temperature=T)(z1, z2)


# ------------------------------------------------------------------------------------------------------------ uniformity

LIKE_IT = (Target("seconds", 0.2, "align_uniform", 8192), Target("mib", 0.05, "align_uniform", 8192))
uniformity = Case("uniformity", "Uniformity, embeddings", rows, (1024, 8192), 512, targets=LIKE_IT)
align_uniform = Case(
    "align_uniform", "Alignment and uniformity as a loss, pairs", two_views, (1024, 8192), 512, targets=LIKE_IT
)


@uniformity.by(OURS)
def _(z):
    return metrics.uniformity(z)


@uniformity.by("naive torch, by products")
def naive_uniformity(z):
    z = F.normalize(z, dim=-1)
    pairs = torch.ones(len(z), len(z), dtype=torch.bool, device=z.device).triu(1)
    return ((2 - 2 * z @ z.T)[pairs] * -2).exp().mean().log()


@uniformity.by("align_uniform")
def _(z):
    return sources.module("align_uniform").uniform_loss(F.normalize(z, dim=-1))


@align_uniform.by(OURS)
def _(z1, z2):
    return losses.align_uniform(z1, z2)


@align_uniform.by("align_uniform")
def _(z1, z2):
    code = sources.module("align_uniform")
    z1, z2 = unit(z1, z2)
    return code.align_loss(z1, z2) + (code.uniform_loss(z1) + code.uniform_loss(z2)) / 2


CASES = (sup_con, dcl, uniformity, align_uniform)
