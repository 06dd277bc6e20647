"""Ways to lose directions: noise in the views, alignment without anything against it, labels without views; and spectra."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit import data
from labkit.data import augment
from labkit.directions import unit
from labkit.metrics import effective_rank, few_label_probe, linear_probe, mean_norm, singular_spectrum, uniformity
from labkit.progress import bar
from labkit.registry import ENTRIES, Entry, catalog
from labkit.results import result
from labkit.training import Config, Run, call, fit

ROWS = 1400  # ranks are compared at equal n only, so this many training images of every data set
METERS = ("rank_h", "rank_z", "uniformity", "mean_norm", "probe")
# ---------------------------------------------------------------- dead dimensions, exactly


def isometric(z: Tensor, width: int, *, seed: int = 0) -> Tensor:
    """The same points in a wider space: zeros beside them, then one random rotation of everything, so every cosine is kept."""
    turn = torch.linalg.qr(torch.randn(width, width, dtype=z.dtype, generator=torch.Generator().manual_seed(seed))).Q
    return z @ turn[: z.shape[-1]]


def blindness(views: Tensor, labels: Tensor, width: int, *, seed: int = 0) -> dict[str, float]:
    """By how much every embedding loss, and the meters of cosines, change when two views `(n, 2, d)` move into R^width."""
    wide = isometric(views, width, seed=seed)
    losses = [e for e in catalog() if e.kind == "loss" and set(e.tensors) <= set(by_name(views, labels))]
    meters = [ENTRIES[name] for name in ("alignment", "uniformity", "tolerance")]

    def value(entry: Entry, z: Tensor) -> float:
        return float(entry.fn(**{n: t for n, t in by_name(z, labels).items() if n in entry.tensors}))

    return {e.name: abs(value(e, wide) - value(e, views)) for e in (*losses, *meters)}


def by_name(views: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Two views under every name that an entry may call them."""
    first, second = views.unbind(1)
    names = {
        "z1": second,
        "z2": second,
        "a": first,
        "b": second,
        "anchors": first,
        "positives": second,
        "p1": first,
        "p2": first,
    }
    return {**names, "z1": first, "z": first, "views": views, "labels": labels}


def alive(k: int, width: int, *, n: int = 2000, seed: int = 0) -> Tensor:
    """Points of a Gaussian of which only the first `k` of `width` dimensions live."""
    z = torch.zeros(n, width, dtype=torch.float64)
    z[:, :k] = torch.randn(n, k, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return z


# ---------------------------------------------------------------- a linear map

SIGMAS = (0.1, 0.5, 1.0, 1.5, 2.0)


def linear(sigma: float, *, seed: int = 0, steps: int = 400) -> Config:
    """A 16 x 16 matrix on a unit Gaussian whose last eight dimensions are noisy in every view; InfoNCE on cosines."""
    return Config(
        data=call("gaussian", n=8192, seed=seed),
        model=call("linear"),
        augment=call("dim_noise", sigma=sigma, first=8),
        loss=call("info_nce", temperature=0.1),
        optimizer=call("sgd", lr=0.5),
        steps=steps,
        seed=seed,
    )


def gains(run: Run) -> np.ndarray:
    """The singular values of the trained matrix over the largest: how much of each direction it lets through."""
    return shares(run.model().backbone[1].weight.detach())  # type: ignore[index,union-attr]


def unfolding(run: Run) -> np.ndarray:
    """The same at every snapshot `(snapshots, 16)`: the matrix that takes the probe's points to where they were."""
    x = run.data.x[run.probe]
    return np.stack([shares(torch.linalg.lstsq(x, torch.from_numpy(s["z"])).solution) for s in run.snapshots.values()])


def shares(matrix: Tensor) -> np.ndarray:
    sigma = torch.linalg.svdvals(matrix.double())
    return (sigma / sigma[0]).numpy()


# ---------------------------------------------------------------- digits and clothes

VIEWS = {"digits": call("digits"), "fashion-mnist": call("fashion")}
MODELS = {"digits": "mlp", "fashion-mnist": "conv"}
STEPS = {"digits": 300, "fashion-mnist": 200}
SEEDS = {"digits": (0, 1, 2), "fashion-mnist": (0, 1)}
LOSSES = {
    "InfoNCE": call("nt_xent", temperature=0.5),
    "DHEL": call("dhel", temperature=0.5),
    "Barlow Twins": call("barlow_twins"),
    "VICReg": call("vicreg"),
    "untrained": call("nt_xent", temperature=0.5),  # for no step at all
}


def encoder(name: str, loss: str, *, projector: bool = True, seed: int = 0, steps: int | None = None) -> Config:
    """An encoder of real images trained by one of LOSSES, with a projector 128-32 or with the loss right on its features."""
    most = 0 if loss == "untrained" else STEPS[name]
    return Config(
        data=call(name),
        model=call(MODELS[name], projector=projector),
        augment=VIEWS[name],
        loss=LOSSES[loss],
        steps=most if steps is None else min(most, steps),
        seed=seed,
    )


def together(*, seed: int = 0, steps: int = 200, wish: str = "alignment only") -> Config:
    """Digits under plain gradient descent, which leaves what the loss does not touch: alignment alone, or InfoNCE."""
    losses = {"alignment only": call("align_uniform", weight=0.0), "InfoNCE": LOSSES["InfoNCE"]}
    return Config(
        data=call("digits"), augment=VIEWS["digits"], loss=losses[wish], optimizer=call("sgd", lr=0.1), seed=seed
    ).replace(steps=steps)


def lies(z: Tensor) -> tuple[float, float]:
    """Where a model lies on the map: the variance of its unit rows in all, and the share of dimensions that they use."""
    return 1 - float(mean_norm(z.double())) ** 2, float(effective_rank(unit(z.double()), center=True)) / z.shape[1]


def measured(run: Run) -> dict[str, Any]:
    """Spectrum and rank of h, rank and scale of z, on the first ROWS training images without augmentation."""
    x = run.data.x[:ROWS]
    h, z = run.embed(x, features=True), run.embed(x)
    return {
        "rank_h": float(effective_rank(h, center=True)),
        "rank_z": float(effective_rank(unit(z), center=True)),
        "uniformity": float(uniformity(z)),
        "mean_norm": float(mean_norm(z)),
        "spectrum": singular_spectrum(h).numpy(),
    }


def probe(run: Run) -> float:
    """Accuracy on unseen images of a linear probe of h with two labels of each class, the mean of ten draws of labels."""
    train, test = run.data, data.load(run.config.data.name, "test").subset(slice(0, 2000))
    h, there = run.embed(train.x[:ROWS], features=True), run.embed(test.x, features=True)
    return float(few_label_probe(h, train.y[:ROWS], there, test.y, per_class=2, draws=10))


@result("collapse_spectra")
def spectra(
    names: Sequence[str] = ("digits", "fashion-mnist"),
    losses: Sequence[str] = tuple(LOSSES),
    projectors: Sequence[bool] = (True, False),
    seeds: Sequence[int] | None = None,
) -> dict[str, np.ndarray]:
    """Five encoders of digits (three seeds) and of clothes (two), with and without a projector. Half an hour on two cores."""
    cells = [
        cell
        for name in names
        for cell in itertools.product([name], SEEDS[name] if seeds is None else seeds, losses, projectors)
    ]
    rows = []
    for name, seed, loss, projector in bar(iterable=cells, desc="spectra"):
        run = fit(encoder(name, loss, projector=projector, seed=seed), progress=False)
        about = {"data": name, "loss": loss, "projector": projector, "seed": seed}
        rows.append({**about, **measured(run), "probe": probe(run)})
    width = max(len(row["spectrum"]) for row in rows)
    for row in rows:
        row["spectrum"] = np.pad(row["spectrum"], (0, width - len(row["spectrum"])))  # zeros where there is no direction
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


# ---------------------------------------------------------------- classes of subclasses

SUPERVISED = {
    "untrained": call("sup_con", temperature=0.1),  # for no step at all
    "SupCon": call("sup_con", temperature=0.1),
    "joint": call("joint", share=0.5, temperature=0.1),
    "InfoNCE": call("nt_xent", temperature=0.1),
}
NESTED = {"n": 2048, "classes": 2, "subclasses": 4, "spread": 0.25}
VIEW_NOISE = 0.35


def nested(kind: str, *, seed: int = 0, steps: int = 100) -> Config:
    """Two classes of four subclasses each, through a small MLP onto the sphere of R^8, by one of SUPERVISED."""
    return Config(
        data=call("nested", **NESTED, seed=seed),
        model=call("mlp", width=128, out=8),
        augment=call("noise", sigma=VIEW_NOISE),
        loss=SUPERVISED[kind],
        steps=0 if kind == "untrained" else steps,
        seed=seed,
    )


def kept(run: Run) -> dict[str, Any]:
    """What is left of class and subclass in unseen views: accuracies of probes on z and h, and how far a class spreads."""
    change, draw = augment.build("noise", sigma=VIEW_NOISE), torch.Generator().manual_seed(0)
    splits = [data.load("nested", split, **run.config.data.kwargs) for split in ("train", "test")]  # type: ignore[arg-type]
    views = [change(part.x, draw) for part in splits]
    classes, subclasses = [part.y for part in splits], [part.factors["subclass"] for part in splits]
    z = [unit(run.embed(x)) for x in views]
    h = [run.embed(x, features=True) for x in views]
    within = torch.stack([z[1][classes[1] == k].var(0).sum() for k in classes[1].unique()])
    return {
        "class": float(linear_probe(z[0], classes[0], z[1], classes[1])),
        "subclass of z": float(few_label_probe(z[0], subclasses[0], z[1], subclasses[1], per_class=2)),
        "subclass of h": float(few_label_probe(h[0], subclasses[0], h[1], subclasses[1], per_class=2)),
        "spread within a class": float(within.mean()),
        "z": z[1],
        "subclasses": subclasses[1],
    }
