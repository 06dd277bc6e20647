"""Small runs on digits that go wrong in a known way, and the meters that are read off them while they do.

A `Run` of the clinic is a loop of its own, not a `Config`: most of its diseases are mistakes that `fit` does not let one make.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from labkit import models
from labkit.contrast import off_diagonal, two_views
from labkit.data import Dataset, augment, load
from labkit.directions import unit
from labkit.losses import barlow_twins, nt_xent, simsiam, vicreg
from labkit.losses.regression import cosines
from labkit.metrics import effective_rank, knn_accuracy, mean_norm
from labkit.registry import ENTRIES
from labkit.training import call

SNAPSHOTS = (0, 2, 5, 10, 16, 24, 36, 50, 70, 95, 120, 150)  # steps
PROBE, MEMORY = 256, 1000  # images that are embedded; images whose labels the nearest neighbours may use
METERS = ("loss", "spread", "rank_z", "rank_h", "partner", "nearest", "knn_seen", "knn_unseen", "length", "weights", "gradient")


@dataclass(frozen=True)
class Patient:
    """How a run was made. The defaults are healthy; a disease is what differs from them.

    Args:
        objective: "simclr", "simsiam", "vicreg" or "barlow".
        batch: images in a batch; `loader` says which: "shuffled", "copies" (few images, again and again) or "one class".
        views: how strongly each view is changed on its own; 0 shows the same view twice.
        head: "plain", "batch norm" (in the middle of the projector) or "none" (the loss sees h).
        leak: the class of every training image is written into its first and last row of pixels.
        half: the similarities, their exponentials and the sum are computed in float16, just as the formula stands.
    """

    objective: str = "simclr"
    seed: int = 0
    temperature: float = 0.3
    batch: int = 128
    lr: float = 2e-3
    weight_decay: float = 0.01
    loader: str = "shuffled"
    views: float = 1.0
    head: str = "plain"
    stop_gradient: bool = True
    variance: float = 25.0
    normalize: bool = True
    leak: bool = False
    half: bool = False


# ---------------------------------------------------------------- what the network is shown


@functools.cache
def digits(split: str) -> Dataset:
    return load("digits", split)  # type: ignore[arg-type]


def seen(images: Tensor, labels: Tensor, leak: bool) -> Tensor:
    """Images as the run's training sees them: with a leak, bright pixels in the first and last row tell the class."""
    if not leak:
        return images
    marked = images.clone()
    marked[:, 0, 0, :] = 255 * F.one_hot(labels % 8, 8).to(images.dtype)
    marked[:, 0, 7, :] = 255 * F.one_hot(labels // 8, 8).to(images.dtype)
    return marked


def drawn(patient: Patient, draw: torch.Generator) -> Tensor:
    """The rows of one batch."""
    labels, n = digits("train").y, patient.batch
    if patient.loader == "one class":
        rows = (labels == torch.randint(10, (), generator=draw)).nonzero()[:, 0]
        return rows[torch.randperm(len(rows), generator=draw)[:n]]
    few = torch.randperm(len(labels), generator=draw)[: n if patient.loader == "shuffled" else n // 16]
    return few.repeat(-(-n // len(few)))[:n]


def pairs(patient: Patient, rows: Tensor, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two views of each of these images."""
    train = digits("train")
    change = augment.build("digits", strength=patient.views or 1.0)
    x = seen(train.x[rows], train.y[rows], patient.leak)
    first = change(x, draw)
    return first, change(x, draw) if patient.views else first


# ---------------------------------------------------------------- what it learns


def network(patient: Patient) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(patient.seed)
        model: Any = models.build(
            call("mlp", width=96, projector=patient.head != "none", predictor=patient.objective == "simsiam"), digits("train")
        )
        if patient.head == "batch norm":
            hidden, relu, last = model.projector
            norm = nn.BatchNorm1d(hidden.out_features, affine=False, track_running_stats=False)  # of the images it is shown
            model.projector = nn.Sequential(hidden, norm, relu, last)
    return model


def naive(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    """NT-Xent as its formula stands, in float16: exp of every similarity, their sum, the logarithm of that."""
    sides = two_views(z1, z2)
    others = off_diagonal(len(sides.similarity), z1)
    exps = (sides.similarity.half() / temperature).masked_fill(~others, -torch.inf).exp()
    return (exps.sum(1).log() - exps[sides.partner].log()).float().mean()


def unnormalized(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    """NT-Xent of dot products instead of cosines."""
    z, n = torch.cat([z1, z2]), len(z1)
    logits = (z @ z.T / temperature).masked_fill(~off_diagonal(2 * n, z), -torch.inf)
    return F.cross_entropy(logits, (torch.arange(2 * n) + n) % (2 * n))


def loss_of(patient: Patient, model: Any, z1: Tensor, z2: Tensor) -> Tensor:
    if patient.objective == "simsiam":
        p1, p2 = model.predict(z1), model.predict(z2)
        if patient.stop_gradient:
            return simsiam(p1, z2, p2, z1)
        return -(cosines(p1, z2) + cosines(p2, z1)).mean() / 2
    if patient.objective == "vicreg":
        return vicreg(z1, z2, variance=patient.variance)
    if patient.objective == "barlow":
        return barlow_twins(z1, z2)
    if patient.half:
        return naive(z1, z2, patient.temperature)
    return (nt_xent if patient.normalize else unnormalized)(z1, z2, temperature=patient.temperature)


@functools.cache
def scale(objective: str, batch: int, temperature: float) -> tuple[float, float]:
    """The floor of a healthy run's loss, and what it is where nothing is told apart (SimSiam: where predictions are random)."""
    if objective == "simsiam":
        return -1.0, 0.0
    if objective == "simclr":
        entry = ENTRIES["nt_xent"]
        return float(entry.floor(batch, temperature) or 0.0), entry.chance(batch, temperature=temperature)
    return 0.0, ENTRIES["vicreg"].chance(batch) if objective == "vicreg" else ENTRIES["barlow_twins"].chance(batch, 32)


# ---------------------------------------------------------------- the run


def train(patient: Patient, snapshots: tuple[int, ...] = SNAPSHOTS) -> Iterator[dict[str, Any]]:
    """The run, as the snapshots that were taken of it: the meters, and the probe's embeddings."""
    model, draw = network(patient).train(), torch.Generator().manual_seed(patient.seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=patient.lr, weight_decay=patient.weight_decay)
    born = size(model.parameters())
    for step in range(snapshots[-1] + 1):
        first, second = pairs(patient, drawn(patient, draw), draw)
        z1, z2 = model(torch.cat([first, second])).chunk(2)
        loss = loss_of(patient, model, z1, z2)
        optimizer.zero_grad()
        loss.backward()
        if step in snapshots:
            grown = {"weights": size(model.parameters()) / born, "gradient": size(p.grad for p in model.parameters())}
            yield {**batch_meters(patient, loss, z1, z2), **grown, **probe_meters(patient, model)}
        optimizer.step()


def size(tensors: Any) -> float:
    return float(torch.stack([t.detach().norm() for t in tensors if t is not None]).norm())


def batch_meters(patient: Patient, loss: Tensor, z1: Tensor, z2: Tensor) -> dict[str, float]:
    """What the batch itself shows: the loss between floor (0) and chance (1), the partner and the nearest other image."""
    floor, chance = scale(patient.objective, len(z1), patient.temperature)
    sides = two_views(z1.detach(), z2.detach())
    others = sides.similarity.masked_fill(~sides.others, -torch.inf)
    return {
        "loss": (loss.item() - floor) / (chance - floor),
        "partner": float(sides.positive.mean()),
        "nearest": float(others.max(1).values.mean()),
    }


@torch.no_grad()
def probe_meters(patient: Patient, model: Any) -> dict[str, Any]:
    """What fixed images look like through the network: without views, and as they are seen in training."""
    train, test = digits("train"), digits("test")
    model.eval()
    inputs = augment.to_float(torch.cat([seen(train.x, train.y, patient.leak), test.x]))
    h = model.features(inputs)
    z = model.project(h)
    model.train()
    found = {"z": unit(z[:PROBE]), "length": float(z[:PROBE].norm(dim=1).median())}
    if not z.isfinite().all():
        return found | dict.fromkeys(("spread", "rank_z", "rank_h", "knn_seen", "knn_unseen"), float("nan"))
    memory, n = slice(MEMORY), len(train)
    found |= {
        "spread": 1 - float(mean_norm(z[:PROBE].double())) ** 2,
        "rank_z": float(effective_rank(unit(z[:PROBE].double()), center=True)) / z.shape[1],
        "rank_h": float(effective_rank(h[:PROBE].double(), center=True)) / h.shape[1],
        "knn_seen": float(knn_accuracy(z[memory], train.y[memory], z[MEMORY:n], train.y[MEMORY:])),
        "knn_unseen": float(knn_accuracy(z[memory], train.y[memory], z[n:], test.y)),
    }
    return found
