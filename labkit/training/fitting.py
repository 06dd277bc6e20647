"""`fit`: a Config, or one's own encoder, data and loss, to a Run; trained once."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock
from torch import Tensor, nn

from labkit.paths import home
from labkit.registry import ENTRIES, catalog
from labkit.training import parallel
from labkit.training.config import Call, Config
from labkit.training.given import Given, made
from labkit.training.loop import OPTIMIZERS, Trainer
from labkit.training.own import own
from labkit.training.run import Run

USUAL = {"augment": None, "optimizer": "adam", "lr": None, "steps": 300, "batch": 256, "views": 2, "seed": 0, "device": "auto"}


def fit(
    config: Config | None = None,
    *,
    encoder: nn.Module | str | Call | None = None,
    data: Any = None,
    loss: Callable | str | Call | None = None,
    augment: Callable[[Tensor], Tensor] | str | Call | None = None,
    optimizer: str | Call = "adam",
    lr: float | None = None,
    steps: int = 300,
    batch: int = 256,
    views: int = 2,
    seed: int = 0,
    device: str = "auto",
    name: str = "",
    progress: bool = True,
) -> Run:
    """Train what the Config says, or your own encoder on your own data; or return the run at once if it was trained before.

    On the CPU the same Config gives the same numbers, bit for bit, for the same torch version and number of threads: also when
    the process was killed half-way and `fit` is called again, and when two processes ask for the same run at once. So do the
    same encoder, data and loss of your own: the run is named after the encoder's weights and code, the data and the loss's code
    with all that it refers to. Where that cannot be read, it is trained anew at every call, and says so; `name` then says it.

    Among several processes (`torchrun`), which must all call it alike, every one takes its part of each batch, and the numbers
    are those of one process up to rounding, not bit for bit: such a run is kept beside the other (`labkit.training.parallel`).

    Args:
        config: what to train; see `Config`. Or instead of it:
        encoder: an nn.Module that maps a batch of inputs to `(n, d)`, or a name of `labkit.models`. A copy is trained: yours
            stays as it is, `run.model()` is the trained one. Methods `features(x)`, `predict(z)` and `scores(z)` are used.
        data: arrays or tensors `x` or `(x, y)`; a Dataset of labkit or torch; an iterable of `(view1, view2[, label])`. Items
            of a torch Dataset are `x`, `(x, label)`, `(view1, view2)`, `(view1, view2, label)` or `((view1, view2), label)`;
            where its transform draws at random, two readings are the two views. Fractions become float32, and uint8 images
            numbers of [0, 1]. Without labels all are of class 0.
        loss: a function or nn.Module that takes what it needs by these names: `z1, z2` (or `a, b`) each `(n, d)`, `views`
            `(n, v, d)`, `z` all rows `(v n, d)`, `labels` (of `z` one for each row), `p1, p2`; or of any two names, which are
            then the two views. What a module learns (a temperature) is trained along, and kept in the history. Or a name of
            the catalog, or `functools.partial` of anything.
        augment: a name of `labkit.data.augment`, or a function of a batch; its draws of torch, numpy and random are seeded.
            None where the data yields its own views, or where the loss asks for `z` alone.
        optimizer: "sgd", "adam", "adamw", "rmsprop", or a call of them with options. lr: its learning rate, 1e-3.
        steps, batch: optimiser steps, instances per step. views: drawn of each instance by `augment`.
        seed: of the order of the data, the augmentations and dropout; an encoder of your own brings its weights.
        device: "auto" (CUDA, then Apple's MPS, then the CPU), or a torch device.
        name: stands for what cannot be read from your objects, so that the run can be found again: change it when they change.
        progress: a bar with the loss, its chance line where it is known, and the time left, after two seconds.

    Returns:
        The Run, kept under `LABKIT_HOME` (default: the platform's cache folder).

    Raises:
        ValueError: an unknown loss, optimizer, data set or model; the message lists what there is. Arguments that do not fit.
        TypeError: an argument of the wrong kind; a Config together with others.
        FloatingPointError: the loss became NaN or infinite; the message says at which step and what to try.

    >>> import torch.nn.functional as F
    >>> def mine(z1, z2):
    ...     return F.cross_entropy(F.normalize(z1, dim=-1) @ F.normalize(z2, dim=-1).T / 0.2, torch.arange(len(z1)))
    >>> x, encoder = torch.randn(200, 8), torch.nn.Linear(8, 4)
    >>> run = fit(encoder=encoder, data=x, loss=mine, augment="noise", steps=20, batch=64, lr=0.01)
    >>> run.history["loss"][-1] < run.history["loss"][0]
    True
    >>> run.embeddings.shape
    torch.Size([200, 4])
    """
    given = None
    asked: dict[str, Any] = {"augment": augment, "optimizer": optimizer, "lr": lr, "steps": steps, "batch": batch}
    asked |= {"views": views, "seed": seed, "device": device}
    if config is None:
        config, given = own(encoder, data, loss, name=name, **asked)
    else:
        others = {"encoder": encoder, "data": data, "loss": loss, "name": name or None}
        changed = [n for n, value in {**asked, **others}.items() if value is not USUAL.get(n) and value != USUAL.get(n)]
        if not isinstance(config, Config) or changed:
            got = f"a Config and {', '.join(changed)}" if isinstance(config, Config) else type(config).__name__
            raise TypeError(f"fit takes a Config, or encoder=, data= and loss= with their options; got {got}")
    if not ENTRIES.get(config.loss.name):
        catalog()  # importing the rooms registers their objectives
    if given is None:
        known(config.loss.name, "loss", [e.name for e in ENTRIES.values() if e.kind in ("loss", "preference")])
    known(config.optimizer.name, "optimizer", list(OPTIMIZERS))
    parts = given or made(config)
    if parallel.several(config.device):
        return parallel.share(config, parts, given, place(config, parts, "-shared") if parallel.first() else None, progress)
    folder = place(config, parts)
    with FileLock(folder / "lock"):
        if not (folder / "history.json").exists():
            Trainer(config, parts, folder).train(progress)
    return Run.open(config, folder, given)


def place(config: Config, parts: Given, mark: str = "") -> Path:
    """The folder of this run; a new one for a run whose name does not say all that decides its numbers."""
    runs = home() / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    if not parts.kept:
        return Path(tempfile.mkdtemp(prefix="own-", dir=runs))
    folder = runs / (config.key(parts.data.sha256) + mark)
    folder.mkdir(exist_ok=True)
    return folder


def known(name: str, what: str, names: list[str]) -> None:
    if name not in names:
        raise ValueError(f"unknown {what} {name!r}; there are {', '.join(sorted(names))}")
