"""Encoders small enough for two cores: a free table of points, a linear map, an MLP, two convolutional nets.

The convolutional ones normalise by groups of channels, not by batches: what an image's embedding is never depends on the
images beside it, and a gradient between two instances is one between two instances. All take `heads`: `projector`,
`predictor` and `prototypes` as in `labkit.models.heads.Encoder`.
"""

import itertools
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from labkit.data import Dataset
from labkit.models.heads import Encoder


class Points(Encoder):
    """An embedding of its own for every instance: no inductive bias at all. Called with row numbers."""

    by_index = True


def points(data: Dataset, *, out: int = 2, **heads: Any) -> Points:
    """A free point of R^out for each row of `data`, drawn from a Gaussian."""
    return Points(nn.Embedding(len(data), out), out, **heads)


def linear(data: Dataset, *, out: int | None = None, bias: bool = False, **heads: Any) -> Encoder:
    """One matrix, as many outputs as inputs unless `out` says otherwise."""
    inputs = data.x[0].numel()
    width = out or inputs
    return Encoder(nn.Sequential(nn.Flatten(), nn.Linear(inputs, width, bias=bias)), width, **heads)


def mlp(
    data: Dataset,
    *,
    width: int = 256,
    depth: int = 2,
    out: int | None = None,
    projector: bool | int = True,
    **heads: Any,
) -> Encoder:
    """`depth` layers of `width` with ReLU are the features; a projector (one hidden layer of 128) takes them to `out` = 32.

    Without a projector z is h, and its numbers may have either sign: where `out` is given a linear map to `out` comes last,
    where it is not the last ReLU is left out.
    """
    sizes = [data.x[0].numel()] + [width] * depth
    layers: list[nn.Module] = [nn.Flatten()]
    for a, b in itertools.pairwise(sizes):
        layers += [nn.Linear(a, b), nn.ReLU()]
    if not (projector or out):
        layers.pop()
    return encoder(layers, width, out, projector, **heads)


def conv(
    data: Dataset,
    *,
    widths: tuple[int, ...] = (32, 64, 128),
    out: int | None = None,
    projector: bool | int = True,
    **heads: Any,
) -> Encoder:
    """Three convolutions of 3 x 3, each of stride 2 while there are 8 pixels or more; features are means over places.

    Without a projector z is these means of ReLUs, all >= 0; with `out` as well, a linear map of them.
    """
    channels, size, *_ = data.x.shape[1:]
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise((channels, *widths)):
        stride = 2 if size >= 8 else 1
        layers, size = [*layers, convolution(a, b, stride), nn.ReLU(inplace=True)], size // stride
    return encoder([*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()], widths[-1], out, projector, **heads)


def resnet(
    data: Dataset,
    *,
    width: int = 16,
    blocks: int = 1,
    out: int | None = None,
    projector: bool | int = True,
    **heads: Any,
) -> Encoder:
    """Three stages of `blocks` residual blocks, of width, 2 width and 4 width channels; the last two stages halve the image.

    Two cores take about a second for a step with 256 pairs of Fashion-MNIST; `width=64` is meant for a GPU.
    """
    layers: list[nn.Module] = [convolution(data.x.shape[1], width), nn.ReLU(inplace=True)]
    for stage in range(3):
        for block in range(blocks):
            halves = stage > 0 and block == 0
            layers.append(Residual((width << stage) // (2 if halves else 1), width << stage, stride=2 if halves else 1))
    return encoder([*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()], 4 * width, out, projector, **heads)


def encoder(layers: list[nn.Module], width: int, out: int | None, projector: bool | int, **heads: Any) -> Encoder:
    """Without a projector, `out` asks for a linear map to so many dimensions, and these are the features."""
    if not projector and out:
        layers, width = [*layers, nn.Linear(width, out)], out
    return Encoder(nn.Sequential(*layers), width, out=out, projector=projector, **heads)


def convolution(a: int, b: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(a, b, 3, stride, padding=1, bias=False), nn.GroupNorm(min(8, b), b))


class Residual(nn.Module):
    """Two convolutions beside a shortcut (He et al. 2015, arXiv 1512.03385)."""

    def __init__(self, a: int, b: int, stride: int):
        super().__init__()
        self.first, self.second = convolution(a, b, stride), convolution(b, b)
        self.shortcut = nn.Identity() if (a, stride) == (b, 1) else nn.Conv2d(a, b, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu_(self.shortcut(x) + self.second(F.relu_(self.first(x))))
