"""Encoders small enough for two cores: a free table of points, a linear map, an MLP.

All take `heads`: `projector`, `predictor` and `prototypes` as in `labkit.models.heads.Encoder`.
"""

import itertools
from typing import Any

from torch import nn

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

    Without a projector z is h: the last layer's `width` features, or, where `out` is given, a linear map of them to `out`.
    """
    sizes = [data.x[0].numel()] + [width] * depth
    layers: list[nn.Module] = [nn.Flatten()]
    for a, b in itertools.pairwise(sizes):
        layers += [nn.Linear(a, b), nn.ReLU()]
    if not projector and out:
        layers, width = [*layers, nn.Linear(sizes[-1], out)], out
    return Encoder(nn.Sequential(*layers), width, out=out, projector=projector, **heads)
