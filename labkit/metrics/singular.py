"""Singular values by the smaller Gram matrix: where it is as exact as an SVD, in float64."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
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
STRIP = 2**17  # numbers at a time: 1 MiB in float64, which a cache holds
THIN = 1024  # rows or columns at a time at least
LONG = 1e10  # products from which two threads are worth their waiting for each other


def singular_values(z: Tensor, center: bool) -> Tensor:
    """All min(n, d) of them, the largest first, in float64 and on z's device.

    A Gram matrix takes a third of an SVD's time, but it holds squares, rounded to 1e-16 of the largest: singular values below
    1e-8 of the largest are lost. An SVD is made after all where that matters, where a gradient is wanted, and off the CPU.
    """
    if not z.requires_grad and z.device.type == "cpu" and 1 / SQUARED < max(map(abs, z.aminmax())) < SQUARED:
        sigma = by_gram(z, center)
        if (NOISE * sigma[0] ** 2 / sigma).sum() < EXACT * sigma.sum():
            return pad(sigma, (0, min(z.shape) - len(sigma)))
    return torch.linalg.svdvals(centred(z.double(), center))


def by_gram(z: Tensor, center: bool) -> Tensor:
    """Those that are not 0 by centring alone."""
    with one_thread() if z.numel() * min(z.shape) < LONG else nullcontext():
        gram = sum(a.T @ a for a in strips(z.numpy(), center))  # of which numpy computes only one half
    return torch.from_numpy(np.sqrt(eigenvalues(gram).clip(min=0))[::-1].copy())


def strips(z: np.ndarray, center: bool) -> Iterator[np.ndarray]:
    """Parts of z, or of its transpose, in float64: their Gram matrices add up to the smaller one, without a copy of all rows.

    By numpy, in one thread: torch's would wait for each other at every part.
    """
    n, d = z.shape
    if n > d or (n == d and not center):
        mean = z.mean(0, dtype=float) if center else None
        for i in range(0, n, height := max(THIN, STRIP // d)):
            part = z[i : i + height].astype(float)
            yield part if mean is None else part - mean
        return
    for j in range(0, d, width := max(THIN, STRIP // n)):
        part = z[:, j : j + width].astype(float)
        if center:  # a reflection that takes (1 ... 1) to the first row: that row is 0 now and can go
            part -= part.mean(0)
            part = part[1:] + part[:1] / (n**0.5 - 1)
        yield part.T


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
