"""Gaussian potentials between points: what uniformity is made of, as a loss and as a meter."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def squared_distances(z: Float[Tensor, "n d"]) -> Float[Tensor, "pairs"]:
    """`||z_i - z_j||^2` for i < j by differences, not products: exact for near duplicates, gradient 0 at duplicates."""
    return F.pdist(z).square()


def log_mean_potential(z: Float[Tensor, "n d"], t: float | Tensor) -> Float[Tensor, ""]:
    """`log mean_{i<j} exp(-t ||z_i - z_j||^2)`, by logsumexp: it does not underflow at large t."""
    energies = -t * squared_distances(z)
    return torch.logsumexp(energies, 0) - math.log(len(energies))
