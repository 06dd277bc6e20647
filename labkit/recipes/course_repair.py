"""One small run with five settings, each of which can make it ill: a linear map whose views disagree ever more, by VICReg."""

import functools
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.contrast import off_diagonal
from labkit.metrics import effective_rank

HEALTHY = {"alignment": 1.0, "variance": 1.0, "covariance": 1.0, "weight_decay": 0.03, "lr": 0.08}
# What a run has to have to be called well. Healthy ones have more: variance 0.67 and more, rank 7.7 of 8, agreement 0.75.
NEEDED = {"variance": 0.5, "rank": 7.0, "agreement": 0.7}
INPUTS, OUTPUTS, BATCH, STEPS, PROBE = 16, 8, 96, 80, 512


def train(settings: Mapping[str, float], seed: int = 0) -> dict[str, float]:
    """Train the map with these settings; what came of it, on points that it has not seen. A tenth of a second.

    Returns:
        "loss" at the end; "variance" of an output, on average; effective "rank" of the eight outputs, about their mean;
        "agreement", the mean cosine between two views of a point.

    Raises:
        ValueError: a setting is missing, or there is no such setting, or it is no number >= 0.
    """
    if set(settings) != set(HEALTHY):
        raise ValueError(f"settings must be {', '.join(HEALTHY)}; got {', '.join(map(str, settings))}")
    wrong = [name for name, value in settings.items() if isinstance(value, bool) or not 0 <= value < float("inf")]
    if wrong:
        raise ValueError(f"{wrong[0]} must be a number >= 0, got {settings[wrong[0]]!r}")
    return dict(trained(*(float(settings[name]) for name in HEALTHY), seed))


@functools.lru_cache(256)
def trained(
    alignment: float, variance: float, covariance: float, weight_decay: float, lr: float, seed: int
) -> dict[str, float]:
    draw = torch.Generator().manual_seed(seed)
    weight = (torch.randn(INPUTS, OUTPUTS, generator=draw) / INPUTS**0.5).requires_grad_()
    optimizer = torch.optim.AdamW([weight], lr=lr, weight_decay=weight_decay)
    for _ in range(STEPS):
        _, first, second = views(BATCH, draw)
        z1, z2 = first @ weight, second @ weight
        lacking, covaried = zip(*map(terms, (z1, z2)), strict=True)
        loss = alignment * F.mse_loss(z1, z2) + variance * sum(lacking) + covariance * sum(covaried)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        clean, z1, z2 = (x @ weight for x in views(PROBE, draw))
        found = {"loss": loss.item(), "variance": float("nan"), "rank": float("nan"), "agreement": float("nan")}
        if clean.isfinite().all():
            found["variance"] = float(clean.var(0).mean())
            found["rank"] = float(effective_rank(clean, center=True))
            found["agreement"] = float(F.cosine_similarity(z1, z2).mean())
    return found


def views(n: int, draw: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Gaussian points, and two views of each that disagree more and more from the first dimension to the last."""
    noise = 2 * torch.arange(INPUTS) / INPUTS
    x, a, b = (torch.randn(n, INPUTS, generator=draw) for _ in range(3))
    return x, x + noise * a, x + noise * b


def terms(z: Tensor) -> tuple[Tensor, Tensor]:
    """What the dimensions lack of a standard deviation of 1, and how much they covary."""
    centered = z - z.mean(0)
    matrix = centered.T @ centered / (len(z) - 1)
    lacking = F.relu(1 - (matrix.diagonal() + 1e-4).sqrt()).mean()
    return lacking, matrix[off_diagonal(OUTPUTS, z)].square().sum() / OUTPUTS


def lacks(found: Mapping[str, float]) -> str:
    """What a run lacks of being well, in words; empty if nothing."""
    return ", ".join(
        f"{name} {found[name]:.2f} (needed: {needed:g})" for name, needed in NEEDED.items() if not found[name] >= needed
    )
