"""IPO: the same margin in another link, one that asks for a certain width."""

from functools import partial

import torch
from torch import Tensor

from labkit.grading.a7.inputs import FOUR, four, still
from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise


def cases(draw: Draw) -> list[Case]:
    def case(part: str, rows: dict[str, Tensor], beta: float, grads: tuple[str, ...] = ()) -> Case:
        return Case(part, rows | {"beta": beta}, grads, says=f"beta {beta:g}")

    found = []
    for dtype in (torch.float32, torch.float64):
        rows = four(draw, 5, dtype)
        found.append(case("value", rows, asking_for(draw.numbers(1.2, 2), rows)))
    found.append(case("start", still(draw, 4), draw.numbers(0.03, 0.4)))
    for _ in range(2):
        rows = four(draw, 5)
        found.append(case("beyond", rows, asking_for(draw.numbers(0.3, 0.8), rows)))
    rows = four(draw, 5)
    return [*found, case("gradient", rows, asking_for(draw.numbers(1.2, 2), rows), FOUR[:2])]


def asking_for(times: float, rows: dict[str, Tensor]) -> float:
    """The beta whose target is so many times the widest margin in the batch, with three digits."""
    chosen, rejected, ref_chosen, ref_rejected = rows.values()
    widest = float((chosen - ref_chosen - rejected + ref_rejected).max())
    return float(f"{1 / (2 * times * widest):.3g}")


def flawed(
    chosen_logps: Tensor,
    rejected_logps: Tensor,
    ref_chosen_logps: Tensor,
    ref_rejected_logps: Tensor,
    beta: float = 0.1,
    *,
    target: str = "",
    distance: str = "",
    reference: bool = True,
    swapped: bool = False,
    mean_first: bool = False,
    total: bool = False,
) -> Tensor:
    """Every usual mistake, each behind a switch."""
    margin = chosen_logps - rejected_logps - (ref_chosen_logps - ref_rejected_logps if reference else 0)
    margin = -margin if swapped else margin
    margin = margin.mean(0, keepdim=True) if mean_first else margin
    wanted = {"double": 1 / beta, "1 / 2 * beta": 1 / 2 * beta, "beta": beta, "none": 0.0}.get(target, 1 / (2 * beta))
    gap = beta * margin - 0.5 if target == "inside" else beta * margin - wanted if target == "scaled" else margin - wanted
    gap = gap.clamp(max=0) if distance == "hinge" else gap
    losses = gap.abs() if distance == "absolute" else gap.square() / 2 if distance == "half" else gap.square()
    return losses.sum() if total else losses.mean()


EVERY = ("value", "start", "beyond", "gradient")
MOVED = ("value", "beyond", "gradient")
MISTAKES = (
    Mistake(
        "target-wrong",
        "the margin that you ask for is not one over twice beta",
        (
            "Which margin makes your loss 0?",
            "At beta 0.1 a margin of 5 nats should cost nothing. What does it cost in your function?",
            "Write the target down by itself and print it at beta 0.1 and 0.01. Python divides and multiplies from left to "
            "right.",
        ),
        tuple(partial(flawed, target=target) for target in ("double", "1 / 2 * beta", "beta")),
        EVERY,
        35,
    ),
    Mistake(
        "no-target",
        "nothing asks for a margin: your loss is smallest where the policy has learned nothing",
        (
            "Which margin makes your loss 0?",
            "Let the policy be its reference. Is there anything left to gain, by your loss?",
            "The square is a distance from a width that beta sets.",
        ),
        (partial(flawed, target="none"),),
        EVERY,
    ),
    Mistake(
        "beta-inside",
        "beta scales the whole distance inside the square: the loss is 0 at the right margin, but its size is not the paper's",
        (
            "In which units is the number that you square: nats, or nats times beta?",
            "With the policy at its reference and beta 0.1 the loss should be 25. What is yours?",
            "In this loss beta appears only in the width that is asked for.",
        ),
        (partial(flawed, target="inside"),),
        EVERY,
        35,
    ),
    Mistake(
        "margin-scaled",
        "you scale the margin by beta, as in DPO: here beta comes in twice, in the margin and in the width",
        (
            "Where does beta enter in this loss, and where in DPO?",
            "At beta 0.1, at which margin is your loss 0? It should be at 5 nats.",
            "The width is asked of the log-ratios themselves, in nats.",
        ),
        (partial(flawed, target="scaled"),),
        MOVED,
        35,
    ),
    Mistake(
        "one-sided",
        "you let go of pairs beyond the target: that is a hinge, and this loss pulls them back",
        (
            "What should happen to a margin that is too wide?",
            "Draw your loss for one pair against its margin. Is it a parabola on both sides?",
            "A square has no preferred side.",
        ),
        (partial(flawed, distance="hinge"),),
        ("beyond",),
    ),
    Mistake(
        "not-the-square",
        "the distance from the target is not squared, or it is halved",
        (
            "How does your loss grow when the distance from the target doubles?",
            "With the policy at its reference and beta 0.1 the loss should be 25. What is yours?",
            "There is no factor in front of it, and no root.",
        ),
        (partial(flawed, distance="absolute"), partial(flawed, distance="half")),
        EVERY,
    ),
    Mistake(
        "mean-margin",
        "you average the margins first: pairs that are too wide make up for pairs that are too narrow",
        (
            "Where do you average: over margins, or over losses?",
            "Two pairs, one 10 nats too wide and one 10 nats too narrow. Is this batch fine?",
            "Every pair by itself shall reach the width. Reduce last.",
        ),
        (partial(flawed, mean_first=True),),
        MOVED,
    ),
    Mistake(
        "no-reference",
        "the reference does not enter: the width is asked of the log-probabilities, not of what changed",
        (
            "Do all four log-probabilities enter?",
            "Let the policy be its reference. The loss should be the same for every pair. Is it?",
            "The margin is a difference of two log-ratios, as in DPO.",
        ),
        (partial(flawed, reference=False),),
        EVERY,
        34,
    ),
    Mistake(
        "chosen-rejected-swapped",
        "chosen and rejected are the wrong way round: the width is asked for in the wrong direction",
        (
            "In which direction does your loss go when the chosen answer becomes likelier?",
            "Start at the reference, raise the chosen log-probability by 1 nat and compare.",
            "The chosen answer's log-ratio comes first.",
        ),
        (partial(flawed, swapped=True),),
        MOVED,
        35,
    ),
    Mistake(
        "sum-over-batch",
        "you add the pairs up where their mean is asked for",
        (
            "Should the loss of a batch grow when you put each pair into it twice?",
            "At the start every pair has the same loss. What is it for 1 pair, and for 4?",
            "Look at the very last thing you do.",
        ),
        (partial(flawed, total=True),),
        EVERY,
    ),
)


@exercise("a7.ipo", parts={"value": 1, "start": 1, "beyond": 1, "gradient": 1}, cases=cases, mistakes=MISTAKES)
def ipo(
    chosen_logps: Tensor, rejected_logps: Tensor, ref_chosen_logps: Tensor, ref_rejected_logps: Tensor, beta: float = 0.1
) -> Tensor:
    """The IPO loss, a mean over pairs: the squared distance of each pair's margin from the width that beta asks for."""
    margin = (chosen_logps - ref_chosen_logps) - (rejected_logps - ref_rejected_logps)
    return (margin - 1 / (2 * beta)).square().mean()
