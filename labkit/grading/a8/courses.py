"""Courses of runs to compare: ours, and made-up ones in which a careless comparison goes wrong."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from labkit import results
from labkit.grading.draw import Draw

Course = dict[str, Tensor]
Courses = dict[str, list[Course]]


def ours(draw: Draw, seeds: int = 3) -> Courses:
    """Courses of the stored runs, cut where each ends."""
    kept = results.load("course_displacement")
    picked = draw.permutation(kept["courses"].shape[1])[:seeds]
    return {str(name): [cut(kept["courses"][i, k]) for k in picked] for i, name in enumerate(kept["losses"])}


def cut(both: np.ndarray) -> Course:
    margin, chosen = torch.tensor(both[:, np.isfinite(both[0])], dtype=torch.float64)
    return {"margin": margin, "chosen": chosen}


def course(speed: float, fate: Callable[[Tensor], Tensor], steps: int, ceiling: float = 9.0) -> Course:
    """A margin that grows at this speed, up to a ceiling, and a chosen answer whose fate hangs on the margin alone."""
    margin = ceiling * (1 - torch.exp(-speed / ceiling * torch.arange(steps, dtype=torch.float64)))
    return {"margin": margin, "chosen": fate(margin)}


def made_up(draw: Draw, runs: int = 3) -> Courses:
    """IPO is DPO at two thirds of its speed, SimPO twice as fast; DPOP will not move; RPO falls as well, but by far less."""
    found: Courses = {name: [] for name in ("DPO", "IPO", "SimPO", "DPOP", "RPO", "hinge")}
    for k in range(runs):
        steps, speed, fall = draw.integer(28, 34), draw.numbers(0.11, 0.13), draw.numbers(0.5, 0.7)

        def falls(m: Tensor, fall: float = fall) -> Tensor:
            return -fall * m**1.3

        found["DPO"].append(course(speed, falls, steps))
        found["IPO"].append(course(0.65 * speed, falls, steps))
        found["SimPO"].append(course(2 * speed, falls, steps))
        found["DPOP"].append(course(speed, lambda m: 0.05 * m, steps, ceiling=0.3))
        found["RPO"].append(course(speed, lambda m: -0.1 * m, steps))
        found["hinge"].append(course(speed if k else 0.2 * speed, falls, steps))  # the first run does not get there
    return found


def uneven(draw: Draw, least: float) -> Courses:
    """All rise. KTO is far above DPO in two runs and a little below it in one; NCA helps by too little, EXO by enough.

    The runs differ more than that: even the worst of EXO's runs is no better than the best of DPO's.
    """
    found: Courses = {name: [] for name in ("KTO", "NCA", "DPO", "EXO")}
    odd, ranks = draw.integer(0, 2), draw.permutation(3)
    for k in range(3):
        steps, speed, rise = draw.integer(30, 36), draw.numbers(0.12, 0.15), draw.numbers(0.3, 0.34) + 0.45 * ranks[k]

        def rises(speed: float, more: float = 0.0, extra: float = 0.0, rise: float = rise, steps: int = steps) -> Course:
            return course(speed, lambda m: (rise + more) * m + extra, steps)

        found["DPO"].append(rises(speed))
        found["KTO"].append(rises(speed, more=-0.2 if k == odd else 2.0))
        found["NCA"].append(rises(1.5 * speed, extra=0.7 * least))
        found["EXO"].append(rises(speed, extra=1.4 * least))
    return found


def wobbling(draw: Draw) -> Courses:
    """The margin passes 2, falls back below it for a while, and passes it again, more slowly than the first time."""
    found: Courses = {"DPO": [], "IPO": []}
    rise, dip = [1.7 * k / 12 for k in range(13)], [1.4 + 0.52 * k / 15 for k in range(16)]
    for name, runs in found.items():
        for _ in range(2):
            lead = torch.tensor([*rise, 2.6, *dip, 2.2, 2.9, 3.5], dtype=torch.float64)
            fate = -(torch.linspace(0, 1 if name == "DPO" else 0.8, len(lead), dtype=torch.float64) ** 1.5)
            noise = 0.02 * draw.rows(2, len(lead), torch.float64).clamp(-3, 3)
            noise[:, 0] = 0
            runs.append({"margin": lead + noise[0], "chosen": fate + noise[1]})
    return found
