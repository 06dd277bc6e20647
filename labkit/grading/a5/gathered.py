"""Embeddings from other machines: one value of the loss, and four gradients."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.grading.a5.common import hot_mistake, raw_rows_mistake, views
from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise


def flawed(
    a: Tensor,
    b: Tensor,
    machines: int,
    temperature: float,
    with_gradient: bool,
    own_anchors: bool,
    *,
    gather: str = "as asked",
    summed: bool = False,
    first_rows: bool = False,
    local: bool = False,
    anchors: str = "as asked",
    hot: bool = False,
    raw: bool = False,
) -> Tensor:
    a, b = (a, b) if raw else (F.normalize(a, dim=1), F.normalize(b, dim=1))
    flows = {"as asked": with_gradient, "never": False, "always": True, "nowhere": with_gradient}[gather]
    own_only = {"as asked": own_anchors, "own": True, "all": False}[anchors]
    everyone, each = torch.arange(len(a)), len(a) // machines
    total = torch.zeros((), dtype=a.dtype)
    for machine in range(machines):
        rows = everyone[machine * each : (machine + 1) * each]
        mine = torch.isin(everyone, rows)[:, None]
        x, y = (z if flows else z.detach() if gather == "nowhere" else torch.where(mine, z, z.detach()) for z in (a, b))
        if local:
            x, y = x[rows], y[rows]
        logits = x @ y.T * (temperature if hot else 1 / temperature)
        targets = torch.arange(len(x))
        if own_only and not local:
            logits, targets = logits[rows], everyone[:each] if first_rows else rows
        total = total + F.cross_entropy(logits, targets)
    return total if summed else total / machines


def cases(draw: Draw) -> list[Case]:
    def case(part: str, with_gradient: bool, own: bool, dtype: torch.dtype = torch.float64) -> Case:
        machines = draw.pick((2, 3))
        z = views(draw, 2 * machines, 4, dtype)
        says = f"gather {'with' if with_gradient else 'without'} gradient, {'own' if own else 'all'} anchors"
        grads = () if part == "value" else ("a", "b")
        inputs = {"a": z["z1"], "b": z["z2"], "machines": machines, "temperature": draw.numbers(0.2, 0.7)}
        inputs |= {"with_gradient": with_gradient, "own_anchors": own}
        return Case(part, inputs, grads, 1e-6 if dtype == torch.float64 else 1e-4, says=says)

    return [
        case("value", True, True),
        case("value", False, False, torch.float32),
        case("with", True, True),
        case("with", True, False),
        case("without", False, True),
        case("without", False, False),
    ]


EVERYTHING = ("value", "with", "without")
MISTAKES = (
    Mistake(
        "gather-cuts-the-gradient",
        "your machines get no gradient from each other, even where the gathering was to carry it",
        (
            "Look at what your two settings of the gathering have in common.",
            "Take an embedding of the first machine that is a hard negative for an anchor of the second. Who tells it to "
            "move away?",
            "An embedding is pushed twice: as an anchor by its own machine, and as a candidate by all the others. Where "
            "gathered rows are mere numbers, the second push is lost, and the value of the loss does not show it.",
        ),
        (partial(flawed, gather="never"),),
        ("with",),
        25,
    ),
    Mistake(
        "gradient-where-none-comes",
        "your machines get a gradient from each other where the gathering carries none",
        (
            "Look at the rows that a machine did not compute itself.",
            "If a row arrives as mere numbers, over the network, can the backward pass of this machine find its way back to "
            "the encoder of another?",
            "Gathering without gradient means that each machine takes the rows of the others for constants and knows the "
            "history of its own rows only. You let it know everybody's.",
        ),
        (partial(flawed, gather="always"),),
        ("without",),
        25,
    ),
    Mistake(
        "own-rows-cut-off",
        "you cut the machine's own rows off as well",
        (
            "Look at which rows are constants for a machine, and which are not.",
            "Count the embeddings that get any gradient at all from your answer without gradient. How would it learn?",
            "The gathering returns numbers for everybody, the own rows included, and they have to be replaced by the rows "
            "that the machine has computed itself.",
        ),
        (partial(flawed, gather="nowhere"),),
        ("without",),
        25,
    ),
    Mistake(
        "world-size-factor",
        "you added the machines up where their mean is asked for",
        (
            "Look at what is done with the gradients of several machines.",
            "Take the same batch on one machine and on four. Should a step be four times as long on four?",
            "The wrapper around the model averages the machines' gradients. Whoever forgets that, or divides once more, "
            "trains with another learning rate, and a different one for each number of machines.",
        ),
        (partial(flawed, summed=True),),
        EVERYTHING,
        25,
    ),
    Mistake(
        "targets-of-the-first-machine",
        "your second machine looks for its positives among the rows of the first",
        (
            "Look at where the positive of the second machine's first anchor stands.",
            "Give every instance two equal views, far from all the others. The loss should be nearly zero; which machines "
            "agree?",
            "Everybody's candidates stand in one long row, in the order of the machines. The anchors of a machine begin at "
            "zero, and their positives do not, save on the first one.",
        ),
        (partial(flawed, first_rows=True),),
        EVERYTHING,
        5,
    ),
    Mistake(
        "no-gathering",
        "your machines compare their anchors with their own rows only",
        (
            "Look at how many candidates one anchor has in your answer.",
            "Put all embeddings in one point. The loss is the logarithm of the number of candidates; is that the whole batch?",
            "Gathering is there so that an anchor meets the negatives of all machines. Yours meets those of its own machine, "
            "as if the others did not exist.",
        ),
        (partial(flawed, local=True),),
        EVERYTHING,
    ),
    Mistake(
        "always-own-anchors",
        "each of your machines takes its own anchors only, where it was to take everybody's",
        (
            "Look at what the last argument changes in your answer.",
            "Without gradient from outside, can a machine that takes everybody's anchors tell its own rows what others' "
            "anchors want of them?",
            "The two settings have one value and not one gradient. With everybody's anchors a row of the machine's own is a "
            "candidate for all of them; with its own anchors it hears only of those.",
        ),
        (partial(flawed, anchors="own"),),
        ("without",),
    ),
    Mistake(
        "always-all-anchors",
        "each of your machines takes everybody's anchors, where it was to take its own only",
        (
            "Look at what the last argument changes in your answer.",
            "Four machines that all compute the whole loss do the same work four times. What does each of them compute, if "
            "it takes its own anchors only?",
            "The two settings have one value and not one gradient, unless the gathering carries it. With its own anchors "
            "only, a machine hears nothing of what the others' anchors want of its rows.",
        ),
        (partial(flawed, anchors="all"),),
        ("without",),
    ),
    hot_mistake((partial(flawed, hot=True),), EVERYTHING),
    raw_rows_mistake((partial(flawed, raw=True),), EVERYTHING),
)


@exercise("a5.gathered", parts={"value": 1, "with": 2, "without": 2}, cases=cases, mistakes=MISTAKES, seconds=10)
def gathered(a: Tensor, b: Tensor, machines: int, temperature: float, with_gradient: bool, own_anchors: bool) -> Tensor:
    """InfoNCE from a to b as several machines compute it together: the mean of what each of them calls backward on."""
    a, b = F.normalize(a, dim=1), F.normalize(b, dim=1)
    total, everyone = a.new_zeros(()), torch.arange(len(a))
    for rows in everyone.chunk(machines):
        mine = torch.isin(everyone, rows)[:, None]
        x, y = (z if with_gradient else torch.where(mine, z, z.detach()) for z in (a, b))
        logits = x @ y.T / temperature
        total = total + F.cross_entropy(logits[rows] if own_anchors else logits, rows if own_anchors else everyone)
    return total / machines
