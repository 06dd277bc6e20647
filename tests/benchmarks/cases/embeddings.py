"""Embeddings to compare losses on: 128 numbers each, the same for all contenders of a case."""

import torch
import torch.nn.functional as F
from torch import Tensor

WIDTH, CLASSES = 128, 100
T = 0.1  # the temperature, everywhere


def two_views(n: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    z = torch.randn(n, WIDTH, generator=draw)
    return z.requires_grad_(), (z.detach() + 0.5 * torch.randn(n, WIDTH, generator=draw)).requires_grad_()


def labelled(n: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    return torch.randn(n, WIDTH, generator=draw).requires_grad_(), torch.randint(CLASSES, (n,), generator=draw)


def rows(n: int, draw: torch.Generator) -> tuple[Tensor]:
    return (torch.randn(n, WIDTH, generator=draw).requires_grad_(),)


def unit(*z: Tensor) -> list[Tensor]:
    return [F.normalize(x, dim=-1) for x in z]
