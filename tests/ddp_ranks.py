"""The same runs in one process and in several: `ddp_ranks.py FOLDER` trains them all and keeps their weights there."""

import os
import sys
from pathlib import Path

import torch
from torch import nn

from labkit.training import Config, call, fit, parallel

PLAIN = call("sgd", lr=0.1)
BATCH = 31  # of 2 processes 16 and 15 are theirs, of 3 processes 11, 10 and 10
INTERRUPTED = Config(data=call("digits"), batch=BATCH, steps=40, augment=call("digits"), optimizer=call("sgd", lr=0.01), seed=7)


def configs():
    """Losses made in tiles and not, labels, a moving target, momentum; pairs of answers."""
    base = Config(data=call("digits"), augment=call("digits"), batch=BATCH, steps=4, optimizer=PLAIN)
    return {
        "tiles": base,
        "labels": base.replace(loss=call("sup_con", form="in"), target=call("ema", decay=0.5)),
        "moments": base.replace(loss=call("vicreg"), optimizer=call("sgd", lr=0.01, momentum=0.9)),
        "pairs": base.replace(
            data=call("grammar", part="same suffix"),
            model=call("tiny_lm", d=8, heads=2, layers=1),
            loss=call("dpo"),
            augment=call("none"),
            batch=7,
        ),
    }


class Normed(nn.Module):
    """An encoder with batch statistics."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 4))

    def forward(self, x):
        return self.layers(x)


def mine(z, labels):
    """Rows as one would write it: one view after the other."""
    first, second = nn.functional.normalize(z, dim=-1).chunk(2)
    return nn.functional.cross_entropy(first @ second.T / 0.2, torch.arange(len(first))) + 0 * labels.sum()


def own():
    x = torch.rand(60, 8, 8, generator=torch.Generator().manual_seed(0))
    return fit(
        encoder=Normed(),
        data=(x, torch.arange(60) % 3),
        loss=mine,
        augment="noise",
        optimizer=PLAIN,
        steps=4,
        batch=BATCH,
        progress=False,
        name="own",
    )


def all_runs():
    return {name: fit(config, progress=False) for name, config in configs().items()} | {"own": own()}


def dies(after):
    """A checkpoint at every step; after so many the last process is gone at once, as if killed."""
    from labkit.training import loop

    loop.CHECKPOINT_SECONDS, loop.CHECKPOINT_SHARE = -1.0, -1.0
    inner, steps = parallel.average, []

    def average(parameters):
        steps.append(1)
        if len(steps) > after and os.environ["RANK"] == "1":
            os._exit(9)
        inner(parameters)

    parallel.average = average
    fit(INTERRUPTED, progress=False)


if __name__ == "__main__":
    runs = all_runs()
    if parallel.first():
        kept = {n: {"loss": run.history["loss"], "weights": run.model().state_dict()} for n, run in runs.items()}
        torch.save(kept, Path(sys.argv[1]) / "runs.pt")
    dies(6)
