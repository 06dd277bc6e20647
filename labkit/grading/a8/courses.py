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


def uneven(draw: Draw) -> Courses:
    """KTO is far above DPO in two runs and a little below it in one; in all, both rise. NCA rises by less than asked for."""
    found: Courses = {name: [] for name in ("KTO", "NCA", "DPO")}
    odd = draw.integer(0, 2)
    for k in range(3):
        steps, speed, rise = draw.integer(30, 36), draw.numbers(0.12, 0.15), draw.numbers(0.3, 0.4)
        found["DPO"].append(course(speed, lambda m, r=rise: r * m, steps))  # type: ignore[misc]
        found["KTO"].append(course(speed, lambda m, r=rise, k=k: (r + (-0.2 if k == odd else 1.5)) * m, steps))  # type: ignore
        found["NCA"].append(course(1.5 * speed, lambda m, r=rise: r * m + 0.05, steps))  # type: ignore[misc]
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
