"""Held-back runs for the assignment on alignment and uniformity: a plane of small runs, and who lies where in it.

The same kinds of run as in the lesson's plane, at seeds that no lesson shows.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from labkit import data
from labkit.data import augment
from labkit.progress import bar
from labkit.recipes.alignment_uniformity import REAL, measured, real, small
from labkit.recipes.temperature_grid import balanced, rounded
from labkit.results import result
from labkit.training import Call, call, fit

LOSSES = (
    *(call("nt_xent", temperature=t) for t in (0.05, 0.1, 0.2, 0.5, 1.0)),
    *(call("align_uniform", weight=w) for w in (0.1, 0.3, 1.0, 3.0)),
)
STRENGTHS = (0.3, 1.0, 2.0)  # how hard the two views are changed
POINTS = 60  # test points whose two views are kept, each class equally often


@result("course_plane")
def course_plane(
    losses: Sequence[Call] = LOSSES, strengths: Sequence[float] = STRENGTHS, seeds: Sequence[int] = (100, 101)
) -> dict[str, Any]:
    """54 runs on digits: nine losses, three strengths of views, two seeds; about eight minutes of one core."""
    cells = list(itertools.product(strengths, losses, seeds))
    rows = []
    for strength, loss, seed in bar(iterable=cells, desc="plane", unit="model"):
        run = fit(small(loss, strength=strength, seed=seed), progress=False)
        rows.append({"loss": loss.name, "option": loss.options[0][1], "strength": strength, "seed": seed, **measured(run)})
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


@result("course_places")
def course_places(kinds: Sequence[str] = tuple(REAL), seeds: Sequence[int] = (100, 101, 102)) -> dict[str, Any]:
    """Two views of test digits through four networks, three seeds each; about two minutes of one core.

    Points `(kinds, seeds, 2, points, d)`, as bytes of which only the direction counts; labels `(points,)`.
    """
    test = data.load("digits", "test")
    chosen, kept = balanced(test.y, POINTS), []
    for kind, seed in bar(iterable=list(itertools.product(kinds, seeds)), desc="places", unit="model"):
        run = fit(real("digits", kind, seed=seed), progress=False)
        change, generator = augment.build(run.config.augment), torch.Generator().manual_seed(0)
        kept.append(np.stack([rounded(run.embed(change(test.x[chosen], generator)), "digits") for _ in range(2)]))
    z = np.stack(kept).reshape(len(kinds), len(seeds), *kept[0].shape)
    return {"kinds": np.array(kinds), "seeds": np.array(seeds), "labels": test.y[chosen].numpy().astype(np.uint8), "z": z}
