"""Singular values by the smaller Gram matrix: where it is as exact as an SVD, in float64."""

from contextlib import AbstractContextManager
from functools import cache

import numpy as np
import torch
from scipy import linalg
from threadpoolctl import ThreadpoolController
from torch import Tensor
from torch.nn.functional import pad

NOISE = 4 * np.finfo(float).eps  # of the largest eigenvalue of a Gram matrix: how it is rounded
EXACT = 1e-10  # of the sum of the singular values: what rounding may do to them
SQUARED = 1e100  # a square of it is a number, and a product of some; so are those of 1 / SQUARED


def singular_values(z: Tensor, center: bool) -> Tensor:
    """All min(n, d) of them, the largest first, in float64 and on z's device.

    A Gram matrix takes a third of an SVD's time, but it holds squares, rounded to 1e-16 of the largest: singular values below
    1e-8 of the largest are lost. An SVD is made after all where that matters, where a gradient is wanted, and off the CPU.
    """
    z = z.double()
    if not z.requires_grad and z.device.type == "cpu" and 1 / SQUARED < max(map(abs, z.aminmax())) < SQUARED:
        sigma = by_gram(centred(z, center), center)
        if (NOISE * sigma[0] ** 2 / sigma).sum() < EXACT * sigma.sum():
            return pad(sigma, (0, min(z.shape) - len(sigma)))
    return torch.linalg.svdvals(centred(z, center))


def by_gram(z: Tensor, center: bool) -> Tensor:
    """Those that are not 0 by centring alone."""
    if center and len(z) <= z.shape[1]:  # a reflection that takes (1 ... 1) to the first row: that row is 0 now and can go
        z = z[1:] + z[:1] / (len(z) ** 0.5 - 1)
    a = (z if len(z) >= z.shape[1] else z.T).numpy()
    return torch.from_numpy(np.sqrt(eigenvalues(a.T @ a).clip(min=0))[::-1].copy())


def eigenvalues(gram: np.ndarray) -> np.ndarray:
    """Of a symmetric matrix given by its upper half, the least first."""
    with one_thread():
        return linalg.eigh(gram, eigvals_only=True, lower=False, check_finite=False, driver="evr")


def one_thread() -> AbstractContextManager[object]:
    """Threads wait for each other in thousands of small steps here: on busy cores two took ten times as long as one."""
    return controller().limit(limits=1, user_api="blas")


@cache
def controller() -> ThreadpoolController:
    return ThreadpoolController()


def centred(z: Tensor, center: bool) -> Tensor:
    return z - z.mean(0) if center else z
