"""What the detectors look at: the sampled rows of one array, and what more than one of them asks, computed once."""

from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from labkit.directions import unit
from labkit.report.pieces import Given, Sample
from labkit.report.rows import Rows, Scan
from labkit.report.rows.equal import fingerprints

NEIGHBOURS = 10
WIDE = 1024  # above this width the spectrum is read from so many rows


class Near(NamedTuple):
    """distances, who: (m, k) nearest other rows of the distinct rows, and how far they are, about the mean on the sphere."""

    distances: Tensor
    who: Tensor


class View:
    """One array: `rows` as given, `unit` on the sphere, `centred` about the mean there; `columns` standardised."""

    def __init__(self, name: str, rows: Tensor, source: Rows, scan: Scan, seed: int):
        self.name, self.rows, self.source, self.scan, self.seed = name, rows, source, scan, seed

    @cached_property
    def unit(self) -> Tensor:
        return unit(self.rows)

    @cached_property
    def mean(self) -> Tensor:
        return self.unit.mean(0)

    @cached_property
    def centred(self) -> Tensor:
        return self.unit - self.mean

    @cached_property
    def variance(self) -> float:
        """Of the unit rows: 1 - mean_norm^2."""
        return float(self.centred.square().sum(1).mean())

    @cached_property
    def scale(self) -> Tensor:
        """Spread of each column of the unit rows, none of them below a hundredth of what is usual."""
        spread = self.centred.square().mean(0).sqrt()
        alive = spread[spread > 0]
        return spread.clamp(min=max(0.01 * float(alive.median()), 1e-300)) if len(alive) else torch.ones_like(spread)

    @cached_property
    def directions(self) -> Tensor:
        """Where each row points from the mean, when no column outshouts the others."""
        return unit(self.centred / self.scale)

    @cached_property
    def distinct(self) -> Tensor:
        """Row numbers, within the sample, of rows that are not equal to an earlier one."""
        _, group = torch.unique(fingerprints(self.rows), dim=0, return_inverse=True)
        first = torch.full((int(group.max()) + 1,), len(group)).scatter_reduce(0, group, torch.arange(len(group)), "amin")
        return first.sort().values

    @cached_property
    def spectrum(self) -> tuple[Tensor, Tensor]:
        """Eigenvalues of the covariance of the distinct unit rows, the largest first, and the axes (d, k)."""
        some = self.distinct if self.rows.shape[1] <= WIDE else self.distinct[:: -(-len(self.distinct) // WIDE)]
        x = self.unit[some] - self.unit[some].mean(0)
        m, d = x.shape
        values, vectors = torch.linalg.eigh((x.T @ x if m >= d else x @ x.T) / m)
        values, vectors = values.flip(0).clamp(min=0), vectors.flip(1)
        if m < d:
            keep = values > 1e-14 * values[0]
            values = torch.where(keep, values, 0.0)
            vectors = torch.where(keep, x.T @ vectors / (m * values).clamp(min=1e-300).sqrt(), 0.0)
        return values, vectors

    def coordinates(self, k: int) -> Tensor:
        """(m, k) along the first k axes, as long as they are."""
        return self.centred @ self.spectrum[1][:, :k]

    def along(self, index: Tensor, basis: Tensor, block: int = 4096) -> Tensor:
        """(k, p) these rows of the whole input on the sphere, about the sample's mean, along the columns of `basis`."""
        parts = []
        for some in index.split(block):
            rows = self.source.take(some)
            parts.append(rows @ basis / torch.linalg.vector_norm(rows, dim=1, keepdim=True))
        return torch.cat(parts) - self.mean @ basis

    def pool(self, index: Tensor, size: int) -> Tensor:
        """Directions, as above, of more rows of the input than the sample holds: up to `size` of these."""
        if len(index) <= len(self.rows):
            return self.directions
        some = index[torch.linspace(0, len(index) - 1, min(size, len(index))).long()]
        parts = [unit((unit(self.source.take(rows)) - self.mean) / self.scale) for rows in some.split(2048)]
        return torch.cat(parts)

    @cached_property
    def near(self) -> Near:
        return nearest(self.centred[self.distinct], NEIGHBOURS)


EXACT = 3  # of the neighbours are measured in float64


def nearest(points: Tensor, k: int, block: int = 1024) -> Near:
    """Each point's nearest others: found in float32, the very nearest measured in float64."""
    size = points.square().sum(1).mean().sqrt().clamp(min=1e-300)
    quick = (points / size).float()
    lengths, k = quick.square().sum(1), min(k, len(points) - 1)
    found, measured = [], []
    for start in range(0, len(points), block):
        rows = quick[start : start + block]
        far = lengths - 2 * rows @ quick.T
        far[torch.arange(len(rows)), torch.arange(start, start + len(rows))] = torch.inf
        gaps, index = far.topk(k, largest=False)
        gaps = (gaps.double() + lengths[start : start + block, None]).clamp(min=0) * size**2
        for j in range(min(EXACT, k)):
            gaps[:, j] = (points[start : start + block] - points[index[:, j]]).square().sum(1)
        distances, order = gaps.sqrt().sort(1)
        found.append(index.gather(1, order))
        measured.append(distances)
    return Near(torch.cat(measured), torch.cat(found))


class Look:
    """Everything that was given, and the sample, as the detectors use them."""

    def __init__(self, given: Given, sample: Sample):
        self.given, self.sample = given, sample
        self.seed = sample.seed
        self.alarms: set[str] = set()  # codes of what was found so far: one fault may explain another
        self.named: set[str] = set()  # the same with what is only a fact
        self.views = [View("z1", sample.z1, given.z1, given.scans["z1"], sample.seed)] if len(sample) else []
        if sample.z2 is not None and len(sample):
            second = given.z2 or given.z1
            name = "z2" if given.z2 is not None else "z1's partners"
            self.views.append(View(name, sample.z2, second, given.scans[second.name], sample.seed))

    def __len__(self) -> int:
        return len(self.sample)

    @classmethod
    def of(cls, given: Given, sample: Sample, *, keep: bool = False) -> "Look":
        """The same for findings and for counts: what one computed the other need not, and then it is let go."""
        look = vars(sample).pop("_look", None) or cls(given, sample)
        if keep:
            vars(sample)["_look"] = look
        return look

    @property
    def apart(self) -> list[View]:
        """The views that are arrays of their own: partners within z1 are rows of z1."""
        return [v for v in self.views if v.name in ("z1", "z2")]

    def in_order(self, view: View) -> bool:
        """Whether row i of the view's sample is row `sample.rows[i]` of the array it came from."""
        return view.name == "z1" or self.given.pairs is None

    def generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed)

    @property
    def share(self) -> float:
        """Of all usable rows or pairs, those in the sample."""
        return len(self.sample) / max(self.sample.total, 1)
