"""From logits to the log-probability of an answer: what counts, and what does not."""

import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.grading.a7.inputs import answers, everything, labels, logits
from labkit.grading.a7.logps_mistakes import MISTAKES
from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, exercise

IGNORED = -100


def cases(draw: Draw) -> list[Case]:
    found = []
    for dtype in (torch.float32, torch.float64):
        n, t, v = 4, draw.integer(7, 9), draw.integer(11, 17)
        found.append(case("shift", logits(draw, n, t, v, dtype), labels(draw, n, t, v), everything(n, t)))
    for _ in range(2):
        n, t, v = 6, draw.integer(11, 13), draw.integer(11, 17)
        x, y, mask = logits(draw, n, t, v), labels(draw, n, t, v), answers(draw, n, t)
        says = "prompts, padding on both sides, unequal lengths"
        found.append(case("masks", x, y, mask, says=says))
        found.append(case("average", x, y, mask, average=True, says=f"average=True, {says}"))
        found.append(
            case("ignored", x, y.masked_fill(~mask, IGNORED), mask, says="the label is -100 wherever it does not count")
        )
    for dtype in (torch.float16, torch.bfloat16):
        x, y = logits(draw, 5, 25, 40, dtype), labels(draw, 5, 25, 40)
        found.append(case("half", x, y, everything(5, 25), tolerance=3e-6, says=str(dtype).removeprefix("torch.")))
    x, y = logits(draw, 4, 6, 9, scale=80.0), labels(draw, 4, 6, 9)
    found.append(
        case("confident", x, y, everything(4, 6), says="a policy so sure that other words have probability 0 in float32")
    )
    x, y, mask = logits(draw, 6, 12, 11), labels(draw, 6, 12, 11), answers(draw, 6, 12)
    found.append(case("gradient", x, y, mask, grads=("logits",), says="prompts, padding on both sides, unequal lengths"))
    return found


def case(
    part: str,
    logits: Tensor,
    labels: Tensor,
    mask: Tensor,
    average: bool = False,
    grads: tuple[str, ...] = (),
    tolerance: float = 1e-5,
    says: str = "",
) -> Case:
    inputs = {"logits": logits, "labels": labels, "mask": mask, "average": average}
    return Case(part, inputs, grads, tolerance, says=says)


@exercise(
    "a7.sequence_logps",
    parts={"shift": 2, "masks": 2, "ignored": 1, "average": 1, "half": 1, "confident": 1, "gradient": 1},
    cases=cases,
    mistakes=MISTAKES,
)
def sequence_logps(logits: Tensor, labels: Tensor, mask: Tensor, average: bool = False) -> Tensor:
    """The log-probability of each row's answer: the sum over its tokens or, with `average`, their mean."""
    exact = logits if logits.dtype == torch.float64 else logits.float()
    kept = mask[:, 1:].bool()
    words = labels[:, 1:].masked_fill(~kept, 0).long()
    logps = -F.cross_entropy(exact[:, :-1].transpose(1, 2), words, reduction="none").masked_fill(~kept, 0)
    return logps.sum(-1) / kept.sum(-1) if average else logps.sum(-1)
