"""Clusters without labels: k-means on the leading axes, and how far apart it finds them."""

from typing import NamedTuple

import torch
from torch import Tensor

STEPS = 30


class Clumps(NamedTuple):
    """centres (k, p); member (n,) cluster of each row; between: share of the variance that lies between the centres."""

    centres: Tensor
    member: Tensor
    between: float

    @property
    def sizes(self) -> Tensor:
        return self.member.bincount(minlength=len(self.centres))


def clumps(x: Tensor, k: int, generator: torch.Generator, starts: int = 3) -> Clumps:
    """The best of several starts of k-means."""
    found = [lloyd(x, seeds(x, k, generator)) for _ in range(starts)]
    return max(found, key=lambda each: each.between)


def seeds(x: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """Rows far from those already taken (k-means++), so that small clusters get one too."""
    chosen = [int(torch.randint(len(x), (1,), generator=generator))]
    gaps = (x - x[chosen[0]]).square().sum(1)
    for _ in range(k - 1):
        at = int(torch.multinomial(gaps, 1, generator=generator)) if float(gaps.sum()) > 0 else 0
        chosen.append(at)
        gaps = torch.minimum(gaps, (x - x[at]).square().sum(1))
    return x[chosen]


def lloyd(x: Tensor, centres: Tensor) -> Clumps:
    member = torch.zeros(len(x), dtype=torch.long)
    for _ in range(STEPS):
        before, member = member, assigned(x, centres)
        counts = member.bincount(minlength=len(centres))[:, None]
        sums = torch.zeros_like(centres).index_add_(0, member, x)
        centres = torch.where(counts > 0, sums / counts.clamp(min=1), centres)
        if torch.equal(before, member):
            break
    within = (x - centres[member]).square().sum()
    total = (x - x.mean(0)).square().sum()
    return Clumps(centres, member, 1 - float(within / total) if float(total) > 0 else 0.0)


def assigned(x: Tensor, centres: Tensor) -> Tensor:
    return (centres.square().sum(1) - 2 * x @ centres.T).argmin(1)


def separations(x: Tensor, centres: Tensor) -> Tensor:
    """Of each cluster and the one whose centre is nearest: how far apart fresh rows lie on the line between the centres.

    In pooled standard deviations. A Gaussian cut in half shows 2.6, a cut into many slices 3.5 at most, whatever its
    covariance: more means that fewer rows lie between the clusters than in them. NaN where a cluster got fewer than two rows.
    """
    member, gaps = assigned(x, centres), torch.cdist(centres, centres).fill_diagonal_(torch.inf)
    found = []
    for one, other in enumerate(gaps.argmin(1).tolist()):
        line = centres[other] - centres[one]
        a, b = x[member == one] @ line, x[member == other] @ line
        if min(len(a), len(b)) < 2:
            found.append(torch.tensor(torch.nan))
            continue
        pooled = ((a.var() * (len(a) - 1) + b.var() * (len(b) - 1)) / max(len(a) + len(b) - 2, 1)).sqrt()
        found.append((b.mean() - a.mean()) / pooled.clamp(min=1e-300))
    return torch.stack(found).double()


def separation(x: Tensor, k: int, generator: torch.Generator) -> float:
    """`separations` of clusters found on half of the rows and measured on the other half: their median."""
    order = torch.randperm(len(x), generator=generator)
    centres = clumps(x[order[::2]], k, generator).centres
    return float(separations(x[order[1::2]], centres).nanmedian())
