"""What a batch costs, what a batch split among workers computes, and what a large one buys."""

import itertools
import json
import math
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit import data, metrics
from labkit.data import augment
from labkit.forecast import Allocations
from labkit.losses import nt_xent
from labkit.progress import bar
from labkit.results import result
from labkit.training import Config, Run, call, fit

# ---------------------------------------------------------------- memory and time of the loss

WHOLE = (256, 512, 1024, 2048, 4096, 8192)  # pairs; of 16,384 one matrix of logits takes 4 GiB, and three are held
TILED = (*WHOLE, 16384, 32768, 65536)


def cost(pairs: int, *, whole: bool, width: int = 128) -> tuple[int, float]:
    """Bytes at the peak, beside the embeddings, and CPU seconds of NT-Xent and its gradient: whole, or in tiles."""
    draw = torch.Generator().manual_seed(0)
    z1, z2 = (torch.randn(pairs, width, generator=draw).requires_grad_() for _ in range(2))
    begun = time.process_time()
    with Allocations() as held:
        nt_xent(z1, z2, temperature=0.1, block_size=2 * pairs if whole else None).backward()
    return held.peak, time.process_time() - begun


@result("large_batches_cost")
def costs(whole: Sequence[int] = WHOLE, tiled: Sequence[int] = TILED) -> dict[str, np.ndarray]:
    """NT-Xent on ever more pairs, 128 wide, whole and in tiles; four minutes, and 5 GiB at the most."""
    cost(256, whole=True)  # the first call pays for what torch sets up
    cells = [*((n, True) for n in whole), *((n, False) for n in tiled)]
    rows = [(n, kept, *cost(n, whole=kept)) for n, kept in bar(iterable=cells, desc="cost", unit="batch")]
    names = ("pairs", "whole", "bytes", "seconds")
    return {name: np.array(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


# ---------------------------------------------------------------- gradients, compared


def gradient(loss: Tensor, of: Iterable[Tensor]) -> Tensor:
    """The gradient of all these as one long vector; the graph stays for another loss."""
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(of), retain_graph=True)])


def against(g: Tensor, truth: Tensor) -> tuple[float, float]:
    """Cosine of a gradient with the true one, and its length over the true one's."""
    return float(g.flatten() @ truth.flatten() / (g.norm() * truth.norm())), float(g.norm() / truth.norm())


def trained(steps: int, *, seed: int = 0, n: int = 1024) -> tuple[torch.nn.Module, list[Tensor]]:
    """An encoder of digits after so many steps with batches of 256, and two views of `n` images."""
    run = fit(training(256, seed=seed, seen=256 * steps), progress=False)
    draw = torch.Generator().manual_seed(seed)
    x = run.data.x[torch.randperm(len(run.data.x), generator=draw)[:n]]
    change = augment.digits()
    return run.model().requires_grad_(), [change(x, draw) for _ in range(2)]


# ---------------------------------------------------------------- really several processes


def processes(script: str, *arguments: object, workers: int = 2) -> Any:
    """Run a script in `workers` processes as torchrun does, each told by its environment which of them it is.

    Returns:
        What process 0 printed last, read as JSON.

    Raises:
        RuntimeError: one of them failed; the message holds what it said.
    """
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        path = Path(folder) / "worker.py"
        path.write_text(script, encoding="utf-8")
        free.bind(("127.0.0.1", 0))
        told = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": str(workers)}
        free.close()
        command = [sys.executable, str(path), *map(str, arguments)]
        environments = [{**os.environ, **told, "RANK": str(rank), "OMP_NUM_THREADS": "1"} for rank in range(workers)]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started = [subprocess.Popen(command, env=environment, **pipes) for environment in environments]
        try:
            said = [process.communicate(timeout=120) for process in started]
        finally:
            for process in started:
                process.kill()
    for process, (_, errors) in zip(started, said, strict=True):
        if process.returncode:
            raise RuntimeError(f"a worker failed:\n{errors[-2000:]}")
    return json.loads(said[0][0].splitlines()[-1])


# ---------------------------------------------------------------- a toy whose information is known


def sphere(n: int, draw: torch.Generator) -> Tensor:
    """Points spread evenly over the sphere of R^3."""
    z = torch.randn(n, 3, dtype=torch.float64, generator=draw)
    return z / z.norm(dim=1, keepdim=True)


def partners(x: Tensor, temperature: float, draw: torch.Generator) -> Tensor:
    """One partner of each point, with density proportional to exp(cosine / temperature): von Mises-Fisher.

    The cosine's distribution is inverted exactly; the direction around the point is even.
    """
    u = torch.rand(len(x), dtype=x.dtype, generator=draw)
    cosine = 1 + temperature * torch.log(u + (1 - u) * math.exp(-2 / temperature))
    aside = sphere(len(x), draw)
    aside = aside - (aside * x).sum(1, keepdim=True) * x
    aside = aside / aside.norm(dim=1, keepdim=True)
    return cosine[:, None] * x + (1 - cosine.square()).clamp(min=0).sqrt()[:, None] * aside


def log_mean(temperature: float) -> float:
    """The logarithm of the mean of exp(cosine / temperature) over the sphere: log(sinh k / k) with k = 1 / temperature."""
    k = 1 / temperature
    return k + math.log1p(-math.exp(-2 * k)) - math.log(2 * k)


def information(temperature: float) -> float:
    """Nats that a point and its partner tell of each other: the mean of cosine / temperature, minus `log_mean`."""
    k = 1 / temperature
    return k / math.tanh(k) - 1 - log_mean(temperature)


def repeated(one: Callable[[torch.Generator], Tensor], times: int, seed: int) -> float:
    """The mean of so many draws."""
    draw = torch.Generator().manual_seed(seed)
    return float(torch.stack([one(draw) for _ in range(times)]).mean())


# ---------------------------------------------------------------- batches of several sizes, really trained

SEEN = 65536  # images that every run sees, whatever its batch: 46 times the 1,437 of digits
BATCHES = (16, 64, 256, 1024)
RATES = (2.5e-4, 5e-4, 1e-3, 2e-3, 4e-3, 8e-3)
LOSSES = ("nt_xent", "dcl")
METERS = ("knn", "probe", "recall")


def training(batch: int, rate: float = 1e-3, *, loss: str = "nt_xent", seed: int = 0, seen: int = SEEN) -> Config:
    """Digits through an MLP; the larger the batch, the fewer the steps."""
    return Config(
        data=call("digits"),
        augment=call("digits"),
        loss=call(loss, temperature=0.1),
        optimizer=call("adam", lr=rate),
        steps=seen // batch,
        batch=batch,
        seed=seed,
    )


def measured(run: Run) -> dict[str, float]:
    """Of 360 unseen digits: right by their neighbours, right by a probe that knows two labels of each class (both on h), and
    how many find their other view among all (on z, which the loss itself sees; the mean of ten draws of views)."""
    test = data.load("digits", "test")
    h, there = run.embed(run.data.x, features=True), run.embed(test.x, features=True)
    change, draw = augment.build("digits"), torch.Generator().manual_seed(0)
    found = [metrics.recall_at_k(*(run.embed(change(test.x, draw)) for _ in range(2))) for _ in range(10)]
    return {
        "knn": float(metrics.knn_accuracy(h, run.data.y, there, test.y)),
        "probe": float(metrics.few_label_probe(h, run.data.y, there, test.y)),
        "recall": float(torch.stack(found).mean()),
    }


@result("large_batches")
def grid(
    batches: Sequence[int] = BATCHES,
    rates: Sequence[float] = RATES,
    losses: Sequence[str] = LOSSES,
    seeds: Sequence[int] = (1, 2, 3),
) -> dict[str, np.ndarray]:
    """Digits in batches of 16 to 1,024; a quarter of an hour on two cores.

    Seed 0 is there to choose the learning rate of each batch and loss, by recall, among all `rates`; the others are trained
    with the chosen one alone, so that what is reported was not chosen for being high. The untrained model is batch 0.
    """
    rows: list[dict[str, Any]] = []

    def add(batch: int, rate: float, loss: str, seed: int) -> float:
        config = training(batch, rate, loss=loss, seed=seed) if batch else training(256, seed=seed, seen=0)
        found = measured(fit(config, progress=False))
        rows.append({"batch": batch, "rate": rate, "loss": loss, "seed": seed, **found})
        shown.update()
        return found["recall"]

    pairs = [*itertools.product(losses, sorted(batches, reverse=True))]
    with bar(total=len(pairs) * (len(rates) + len(seeds)) + len(seeds), desc="large batches", unit="model") as shown:
        best = {(loss, batch): max(rates, key=lambda r: add(batch, r, loss, 0)) for loss, batch in pairs}
        for seed in seeds:
            add(0, 0.0, "", seed)
            for loss, batch in pairs:
                add(batch, best[loss, batch], loss, seed)
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}
