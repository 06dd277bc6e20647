"""Where the pairs are and where the push is, by the angle between the two embeddings."""

import numpy as np
import torch
from torch import Tensor

BINS = 36  # of 5 degrees


def pairs(cosines: Tensor, positives: Tensor, push: Tensor, labels: Tensor) -> dict[str, np.ndarray]:
    """Shares of all pairs, and of all push, in bins of the angle between the two; each kind adds up with the other to 1.

    Angles, because cosines crowd at 1 on a circle. Of the positives, the 10th, 50th and 90th percentile.
    """
    same, other = labels[:, None] == labels, ~torch.eye(len(labels), dtype=torch.bool)
    bins, n = (degrees(cosines) / 180 * BINS).long().clamp(max=BINS - 1), len(labels)
    even = torch.full_like(push, 1 / (n * (n - 1)))

    def histogram(mask: Tensor, weight: Tensor) -> np.ndarray:
        return torch.bincount(bins[mask], weights=weight[mask], minlength=BINS).numpy()

    return {
        "angles": (np.arange(BINS) + 0.5) * 180 / BINS,
        "positives": np.quantile(degrees(positives).numpy(), [0.1, 0.5, 0.9]),
        "negatives_same": histogram(same & other, even),
        "negatives_other": histogram(~same, even),
        "push_by_same": histogram(same & other, push / n),
        "push_by_other": histogram(~same, push / n),
    }


def degrees(cosines: Tensor) -> Tensor:
    return torch.rad2deg(cosines.clamp(-1, 1).acos())
