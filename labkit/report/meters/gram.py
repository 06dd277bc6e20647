"""Spectra of a cloud, of all rows and without each fold, from one Gram matrix on the smaller side."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from labkit.metrics.singular import eigenvalues, singular_values
from labkit.report.drawing import Folds
from labkit.report.meters.sphere import Cloud, without

RESOLVED = 1e-14  # of the largest eigenvalue: what a Gram matrix tells from 0


class Spectra(NamedTuple):
    """Singular values, the largest first: of the centred unit rows, and of the rows as given.

    n: rows.
    """

    unit: Float[Tensor, "k"]
    given: Float[Tensor, "k2"]
    n: int


def spectra(cloud: Cloud) -> Spectra:
    """Of all rows, each value to its last digits."""
    return Spectra(singular_values(cloud.points, True), singular_values(cloud.given, False), len(cloud.points))


def left_out(cloud: Cloud, drawn: Folds) -> list[Spectra]:
    """Without each fold; singular values below 1e-7 of the largest are 0."""
    rows = [len(cloud.points) - len(fold) for fold in drawn.rows]
    unit = [roots(gram) for gram in grams(cloud.centred, drawn, center=True)]
    given = [roots(gram) for gram in grams(cloud.given / cloud.given.abs().max(), drawn, center=False)]
    most = min(cloud.points.shape)
    return [Spectra(pad(a, (0, most - len(a))), b[:n], n) for a, b, n in zip(unit, given, rows, strict=True)]


def grams(rows: Float[Tensor, "n d"], drawn: Folds, *, center: bool) -> Iterator[Tensor]:
    """Products of columns, or of rows where these are fewer, without each fold."""
    n, d = rows.shape
    if d <= n:
        columns = without(rows, drawn, products)
        for gram, total, fold in zip(columns, without(rows, drawn), drawn.rows, strict=True):
            yield gram - torch.outer(total, total) / (n - len(fold)) if center else gram
        return
    both = products(rows.T)
    for fold in drawn.rows:
        kept = torch.ones(n, dtype=torch.bool)
        kept[fold] = False
        gram = both[kept][:, kept]
        yield gram - gram.mean(0) - gram.mean(1, keepdim=True) + gram.mean() if center else gram


def products(some: Float[Tensor, "m k"]) -> Float[Tensor, "k k"]:
    """Of every two columns; NumPy knows that half of them are the other half."""
    a = some.numpy()
    return torch.from_numpy(a.T @ a)


def roots(gram: Float[Tensor, "k k"]) -> Float[Tensor, "k"]:
    """Singular values from a Gram matrix, the largest first."""
    values = torch.from_numpy(eigenvalues(gram.numpy())).flip(0)
    return torch.where(values > RESOLVED * values[0], values, 0.0).sqrt()
