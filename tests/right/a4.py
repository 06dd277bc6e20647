"""Right answers to a4, as different people write them."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from labkit.grading import given

# ---------------------------------------------------------------- spectrum


def spectrum_svd(z, centered, variances):
    if centered:
        z = z - z.mean(dim=0, keepdim=True)
    _, s, _ = torch.linalg.svd(z, full_matrices=False)
    return s**2 / z.shape[0] if variances else s


def spectrum_numpy(points, centered, variances):
    x = points.numpy().astype(float)
    x = x - x.mean(0) * centered
    s = np.linalg.svd(x, compute_uv=False)
    return (s**2 / len(x)).tolist() if variances else s


def spectrum_eigenvalues(z, centered, variances):
    z = z.double() - (z.double().mean(0) if centered else 0)
    gram = z @ z.T if len(z) < z.shape[1] else z.T @ z
    squares = torch.linalg.eigvalsh(gram).flip(0).clamp(min=0)
    return squares / len(z) if variances else squares.sqrt()


def spectrum_covariance(z, centered, variances):
    z = z - z.mean(0) if centered else z
    values = torch.linalg.eigvalsh(torch.einsum("ni,nj->ij", z.double(), z.double()) / len(z))
    values = values.clamp_min(0).sort(descending=True).values[: min(z.shape)]
    return values if variances else (values * len(z)).sqrt()


# ---------------------------------------------------------------- effective rank


def rank_entropy(z, centered):
    s = torch.linalg.svdvals(z.double() - z.double().mean(0) if centered else z.double())
    if s.sum() == 0:
        return 0
    p = s / s.sum()
    return torch.exp(-torch.xlogy(p, p).sum()).item()


def rank_positive_only(z, centered):
    z = z - int(centered) * z.mean(0)
    s = [v for v in torch.linalg.svdvals(z).tolist() if v > 0]
    p = [v / sum(s) for v in s]
    return math.exp(-sum(q * math.log(q) for q in p)) if p else 0.0


def rank_numpy(z, centered):
    x = z.numpy()
    s = np.linalg.svd(x - x.mean(0) if centered else x, compute_uv=False)
    p = s / max(s.sum(), np.finfo(x.dtype).tiny)
    return 0.0 if s[0] == 0 else np.exp(-(p * np.log(p + 1e-12)).sum())


def rank_categorical(z, centered):
    s = torch.linalg.svdvals(z - z.mean(0)) if centered else torch.linalg.svdvals(z)
    return torch.distributions.Categorical(probs=s).entropy().exp() if bool(s.any()) else torch.tensor(0.0)


# ---------------------------------------------------------------- verdict


def unit_rows(z):
    return z / z.norm(dim=1, keepdim=True)


def verdict_three_questions(z, healthy):
    def spread(x):
        x = unit_rows(x)
        return ((x - x.mean(0)) ** 2).sum(1).mean()

    def rank(x, rows):
        return rank_entropy(unit_rows(x)[:rows], True)

    if spread(z) < 0.1 * spread(healthy):
        return "complete"
    n = min(z.shape[0], healthy.shape[0])
    if rank(z, n) < 0.5 * rank(healthy, n):
        return "dimensional"
    return "neither"


def verdict_numpy(z, healthy):
    a, b = (x.numpy() / np.linalg.norm(x.numpy(), axis=1, keepdims=True) for x in (z, healthy))
    if a.var(axis=0).sum() * 10 < b.var(axis=0).sum():
        return "Complete"
    n = min(len(a), len(b))
    ranks = [rank_positive_only(torch.from_numpy(x[:n]), True) for x in (a, b)]
    return "Dimensional" if 2 * ranks[0] < ranks[1] else "Neither"


def verdict_gram(z, healthy):
    """From cosines alone."""

    def spread(x):
        return 1 - (F.normalize(x) @ F.normalize(x).T).mean()

    def rank(x):
        n = len(x)
        middle = torch.eye(n, dtype=x.dtype) - 1 / n
        cosines = F.normalize(x) @ F.normalize(x).T
        s = torch.linalg.eigvalsh(middle @ cosines @ middle).clamp(min=0).sqrt()
        p = s / s.sum()
        return torch.special.entr(p).sum().exp()

    n = min(len(z), len(healthy))
    dimensional = rank(z[:n]) / rank(healthy[:n]) < 0.5
    return "complete" if spread(z) < spread(healthy) / 10 else ("neither", "dimensional")[int(dimensional)]


# ---------------------------------------------------------------- sides


def simsiam_cosine(p1, z2, p2, z1):
    D = torch.nn.CosineSimilarity(dim=1)
    return -0.5 * (D(p1, z2.detach()).mean() + D(p2, z1.detach()).mean())


def simsiam_no_grad(p1, z2, p2, z1):
    with torch.no_grad():
        t1, t2 = (F.normalize(z, dim=-1) for z in (z1, z2))
    return -((F.normalize(p1, dim=-1) * t2).sum(-1) + (F.normalize(p2, dim=-1) * t1).sum(-1)).mean() / 2


def simsiam_loop(p1, z2, p2, z1):
    total = 0
    for p, z in ((p1, z2.clone().detach()), (p2, z1.clone().detach())):
        for a, b in zip(p, z, strict=True):
            total = total - (a @ b) / (a.norm() * b.norm())
    return total / (2 * len(p1))


def variance_std(z, floor):
    std = torch.sqrt(z.var(dim=0) + 0.0001)
    return torch.mean(F.relu(floor - std))


def variance_clamp(z, floor):
    centered = z - z.mean(0)
    var = (centered**2).sum(0) / (z.shape[0] - 1)
    return (floor - (var + 1e-4).pow(0.5)).clamp(min=0).mean()


def variance_loop(z, floor):
    lacking = []
    for column in z.unbind(1):
        width = (column.var() + 1e-4).sqrt()
        lacking.append(torch.maximum(floor - width, torch.zeros_like(width)))
    return torch.stack(lacking).mean()


# ---------------------------------------------------------------- the ward


def diagnosis_rules(bed, run):
    """Read in an order in which each rule need not fear those before it."""
    end = {name: values[-1].item() for name, values in run.items() if isinstance(values, torch.Tensor)}
    low, high = ({name: values[-1].item() for name, values in run[side].items()} for side in ("low", "high"))
    kind, small = run["objective"], end["spread"] < low["spread"] / 2
    rules = {
        "half precision": not math.isfinite(end["loss"]),
        "weight decay too high": end["weights"] < 0.7 * low["weights"],
        "learning rate too high": end["weights"] > 1.5 * high["weights"],
        "identical augmentations": run["partner"][0] > 0.999,
        "projector removed": end["rank_h"] < low["rank_h"] and abs(end["rank_z"] - end["rank_h"]) < 0.02,
        "normalisation forgotten": kind == "InfoNCE" and end["loss"] < -0.02,
        "no stop-gradient": kind == "SimSiam" and small,
        "variance term removed": kind == "VICReg" and end["length"] < low["length"] / 2,
        "label leak": end["knn_seen"] - end["knn_unseen"] > 0.08,
        "temperature far too low": small,
        "false negatives": end["loss"] > 1.1 * high["loss"] and end["knn_seen"] < low["knn_seen"] - 0.05,
        "batch of duplicates": kind == "InfoNCE" and end["nearest"] > high["nearest"],
        "healthy": True,
    }
    return next(label for label, fits in rules.items() if fits)


def diagnosis_table(bed, run):
    return {
        1: "projector removed",
        2: "variance term removed",
        3: "half precision",
        4: "temperature far too low",
        5: "weight decay too high",
        6: "normalisation forgotten",
        7: "batch of duplicates",
        8: "learning rate too high",
        9: "label leak",
        10: "healthy",
        11: "identical augmentations",
        12: "false negatives",
    }[bed]


def diagnosis_list(bed, run):
    ward = """Projector removed, Variance term removed, Half precision, Temperature far too low, Weight decay too high,
        Normalisation forgotten, Batch of duplicates, Learning rate too high, Label leak, Healthy, Identical augmentations,
        False negatives"""
    return ward.split(",")[bed - 1].strip()


# ---------------------------------------------------------------- repair


def repair_healthy_value(variant):
    sick = given("a4", variant).sick
    far = max(sick, key=lambda name: abs(math.log(sick[name] / {"weight_decay": 0.03, "lr": 0.08}.get(name, 1.0))))
    return {far: 0 if far == "weight_decay" else 1}


def repair_another_value(variant):
    sick = given("a4", variant).sick
    if sick["weight_decay"] > 1:
        return {"weight_decay": 0.5}
    if sick["alignment"] > 10:
        return {"alignment": 1.7}
    return {"variance": 4} if sick["variance"] < 0.5 else {"covariance": 0.8}


def repair_tensor(variant):
    ((name, value),) = repair_healthy_value(variant).items()
    return {name: torch.tensor(float(value))}


RIGHT = {
    "a4.spectrum": (spectrum_svd, spectrum_numpy, spectrum_eigenvalues, spectrum_covariance),
    "a4.effective_rank": (rank_entropy, rank_positive_only, rank_numpy, rank_categorical),
    "a4.verdict": (verdict_three_questions, verdict_numpy, verdict_gram),
    "a4.simsiam_loss": (simsiam_cosine, simsiam_no_grad, simsiam_loop),
    "a4.variance_term": (variance_std, variance_clamp, variance_loop),
    "a4.diagnosis": (diagnosis_rules, diagnosis_table, diagnosis_list),
    "a4.repair": (repair_healthy_value, repair_another_value, repair_tensor),
}
