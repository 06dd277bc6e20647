"""Direct preference optimisation, as a function of four log-probabilities."""

import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.grading.a7.dpo_mistakes import MISTAKES
from labkit.grading.a7.inputs import FOUR, four, still
from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, exercise


def cases(draw: Draw) -> list[Case]:
    def case(
        part: str, rows: dict[str, Tensor], beta: float, smoothing: float = 0.0, says: str = "", grads: tuple = ()
    ) -> Case:
        return Case(part, rows | {"beta": beta, "label_smoothing": smoothing}, grads, says=says)

    found = []
    for dtype in (torch.float32, torch.float64):
        beta = draw.numbers(0.05, 0.5)
        found.append(case("value", four(draw, 5, dtype), beta, says=f"beta {beta:g}"))
    found.append(case("start", still(draw, 4), draw.numbers(0.05, 0.5), says="the policy is still its reference"))
    for sign in (1, -1):
        rows = four(draw, 5)
        rows["chosen_logps"] = rows["ref_chosen_logps"] - (500 + 400 * sign)
        rows["rejected_logps"] = rows["ref_rejected_logps"] - (500 - 400 * sign)
        beta = draw.numbers(0.3, 0.6)
        found.append(case("extreme", rows, beta, says=f"margins of {-800 * sign} nats, float32"))
    for _ in range(2):
        beta, share = draw.numbers(0.05, 0.5), draw.numbers(0.05, 0.4)
        found.append(case("smoothing", four(draw, 5), beta, share, says=f"label_smoothing {share:g}"))
    for dtype in (torch.float32, torch.float64):
        found.append(case("gradient", four(draw, 5, dtype), draw.numbers(0.05, 0.5), grads=FOUR[:2]))
    return found


@exercise(
    "a7.dpo",
    parts={"value": 2, "start": 1, "extreme": 1, "smoothing": 1, "gradient": 2},
    cases=cases,
    mistakes=MISTAKES,
)
def dpo(
    chosen_logps: Tensor,
    rejected_logps: Tensor,
    ref_chosen_logps: Tensor,
    ref_rejected_logps: Tensor,
    beta: float = 0.1,
    label_smoothing: float = 0.0,
) -> Tensor:
    """The DPO loss, a mean over pairs; with `label_smoothing`, that share of the labels is believed to be false."""
    z = beta * ((chosen_logps - ref_chosen_logps) - (rejected_logps - ref_rejected_logps))
    return ((1 - label_smoothing) * F.softplus(-z) + label_smoothing * F.softplus(z)).mean()
