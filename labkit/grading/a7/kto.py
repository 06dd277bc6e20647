"""KTO: no pairs; each answer is good or bad by itself, and is compared with a point that everything is compared with."""

import torch
from torch import Tensor

from labkit.grading.a7.kto_mistakes import MISTAKES
from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, exercise


def cases(draw: Draw) -> list[Case]:
    found = []
    for dtype in (torch.float32, torch.float64):
        found.append(case(draw, "value", 0.0, dtype=dtype, says="the mismatched answers have not moved"))
    for _ in range(2):
        found.append(case(draw, "point", draw.numbers(2, 5), says="the mismatched answers have become likelier"))
        found.append(case(draw, "clamp", -draw.numbers(2, 5), says="the mismatched answers have become less likely"))
        weights = draw.numbers(1.2, 2), draw.numbers(0.4, 0.8)
        says = f"weights {weights[0]:g} and {weights[1]:g}"
        found.append(case(draw, "weights", 0.0, weights if draw.integer(0, 1) else weights[::-1], says=says))
    found.append(
        case(draw, "gradient", draw.numbers(2, 5), grads=("logps", "mismatched_logps"), says="through all log-probabilities")
    )
    return found


def case(
    draw: Draw,
    part: str,
    moved: float,
    weights: tuple[float, float] = (1.0, 1.0),
    dtype: torch.dtype = torch.float32,
    grads: tuple[str, ...] = (),
    says: str = "",
) -> Case:
    """Three good and five bad answers; the mismatched ones have moved by `moved` on average, and not all the same way."""
    good = torch.zeros(8, dtype=torch.bool)
    good[draw.permutation(8)[:3]] = True
    ref, other = (-30 - 5 * draw.rows(8, 1, torch.float64)[:, 0].abs() for _ in range(2))
    gains = 2 + 4 * draw.rows(8, 1, torch.float64)[:, 0]
    gains = gains + (1 - gains.mean()).clamp(min=0)  # the answers themselves have gained on average: not the point asked for
    spread = torch.from_numpy(draw.rng.uniform(0.8, 1.2, 8)) * torch.tensor([1.0, -1.0] * 4, dtype=torch.float64)
    apart = 0.0 if moved == 0 else moved + 2 * abs(moved) * (spread - spread.mean())
    inputs = {
        "logps": (ref + gains).to(dtype),
        "ref_logps": ref.to(dtype),
        "desirable": good,
        "mismatched_logps": (other + apart).to(dtype),
        "ref_mismatched_logps": other.to(dtype),
        "beta": draw.numbers(0.1, 0.5),
        "desirable_weight": weights[0],
        "undesirable_weight": weights[1],
    }
    return Case(part, inputs, grads, says=says)


@exercise(
    "a7.kto",
    parts={"value": 2, "point": 1, "clamp": 1, "weights": 1, "gradient": 2},
    cases=cases,
    mistakes=MISTAKES,
)
def kto(
    logps: Tensor,
    ref_logps: Tensor,
    desirable: Tensor,
    mismatched_logps: Tensor,
    ref_mismatched_logps: Tensor,
    beta: float = 0.1,
    desirable_weight: float = 1.0,
    undesirable_weight: float = 1.0,
) -> Tensor:
    """The KTO loss, a mean over answers, each of them good or bad by itself."""
    point = (mismatched_logps - ref_mismatched_logps).mean().clamp(min=0).detach()
    sign = torch.where(desirable.bool(), 1.0, -1.0).to(logps)
    weights = torch.where(desirable.bool(), desirable_weight, undesirable_weight).to(logps)
    return (weights * torch.sigmoid(-sign * beta * (logps - ref_logps - point))).mean()
