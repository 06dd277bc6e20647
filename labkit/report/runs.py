"""A run of `labkit.fit` as the input of a report: two views of its probe, their labels, and the same rows before training."""

from typing import Any

import torch
from torch import Tensor

from labkit.training import Run
from labkit.training.given import made
from labkit.training.run import embed, probe_inputs


def of_run(run: Run) -> dict[str, Any]:
    """Arguments of `report`.

    Raises:
        ValueError: a run that was made of numbers, or stopped before anything was kept.
    """
    if run.folder is None or not run.snapshots:
        raise ValueError("z1 is a run that keeps no model: give the embeddings themselves")
    given, trained, fresh = run.given or made(run.config), run.model(), run.start()
    first, second = views(run, trained)
    known = {"labels": run.labels[: len(first)]} if given.labelled else {}
    known |= {} if second is None else {"z2": embed(trained, second)}
    return {"z1": embed(trained, first), "untrained": embed(fresh, first), "name": str(run.config.loss), **known}


def views(run: Run, model: torch.nn.Module) -> tuple[Tensor, Tensor | None]:
    """Two views of the probe, as training draws them; without a second one where there is none that differs."""
    given = run.given or made(run.config)
    if given.pair is not None:
        return given.pair[0], given.pair[1]
    x = probe_inputs(model, run.data, run.probe)
    if getattr(model, "by_index", False) or given.augment is None:
        return x, None
    draw = torch.Generator().manual_seed(0)
    first, second = (given.augment(x, draw) for _ in range(2))
    return (x, None) if torch.equal(first, second) else (first, second)
