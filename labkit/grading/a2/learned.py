"""A temperature that is learned: which number the optimiser holds, what it must not do to it, and where it has to stop."""

import math
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import normalize

from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise

LOWEST = 0.01


def cases(draw: Draw) -> list[Case]:
    def case(part: str, apart: float, start: float, steps: int, weight_decay: float, cone: float = 0) -> Case:
        z1 = draw.rows(6, 4, torch.float64) + cone
        z2 = z1 + apart * draw.rows(6, 4, torch.float64)
        numbers = {"start": start, "steps": steps, "lr": draw.numbers(0.02, 0.04), "weight_decay": weight_decay}
        says = f"from {start:g}, {steps} steps, weight decay {weight_decay:g}"
        return Case(part, {"z1": z1, "z2": z2, **numbers}, tolerance=1e-5, says=says)

    return [
        case("learns", 0.5, draw.numbers(0.3, 0.5), 5, 0.0),
        case("learns", 1.5, draw.numbers(0.1, 0.2), 7, 0.0),
        case("no drift", 0.7, draw.numbers(0.2, 0.4), 6, draw.numbers(4, 8)),
        case("no drift", 0.7, draw.numbers(3, 5), 7, draw.numbers(4, 8)),
        case("bounded", 0.0, 0.0105, 6, 0.0, cone=4.0),  # views alike, images nearly so: the colder the better
    ]


def loss(z1: Tensor, z2: Tensor, temperature: Tensor | float) -> Tensor:
    n = len(z1)
    z = normalize(torch.cat([z1, z2]), dim=1)
    logits = (z @ z.T / temperature).masked_fill(torch.eye(2 * n, dtype=torch.bool), -math.inf)
    return torch.nn.functional.cross_entropy(logits, torch.arange(2 * n).roll(n))


def flawed(
    z1: Tensor,
    z2: Tensor,
    start: float,
    steps: int,
    lr: float,
    weight_decay: float,
    *,
    raw: bool = False,
    decayed: bool = False,
    head_decay: bool = True,
    clamped: bool = True,
    fixed: bool = False,
    head: bool = True,
    coupled: bool = False,
    scale: bool = False,
) -> float:
    """A learned temperature with switches for what goes wrong."""
    w = torch.eye(z1.shape[1], dtype=z1.dtype, requires_grad=head)
    p = torch.tensor(start if raw else math.log(start), dtype=z1.dtype, requires_grad=True)
    groups = [
        {"params": [w], "weight_decay": weight_decay * head_decay},
        {"params": [p], "weight_decay": weight_decay * decayed},
    ][not head :]
    optimizer = (torch.optim.Adam if coupled else torch.optim.AdamW)(groups, lr=lr)
    for _ in range(steps):
        temperature = p if raw else p.exp()
        optimizer.zero_grad()
        loss(z1 @ w, z2 @ w, temperature.detach() if fixed else temperature).backward()
        optimizer.step()
        if clamped and not raw:
            p.data.clamp_(min=math.log(LOWEST))
    last = p.item() if raw else math.exp(p.item())
    return 1 / last if scale else last


EVERY = ("learns", "no drift", "bounded")
MISTAKES = (
    Mistake(
        "temperature-is-the-parameter",
        "the optimiser holds the temperature itself: a step of fixed size can carry it through zero, and then the loss flips",
        (
            "How large is one step of Adam, whatever the gradient? How far is it from 0.02 to zero?",
            "Start at 0.02 with learning rate 0.05 and print the temperature after every step.",
            "Hold a number that may be anything, and make a positive one of it. Equal steps should be equal ratios.",
        ),
        (partial(flawed, raw=True),),
        EVERY,
        10,
    ),
    Mistake(
        "temperature-decays",
        "weight decay pulls your temperature towards 1, whatever the data say",
        (
            "What does weight decay pull a parameter towards? Which temperature is that?",
            "Multiply the loss by 0: only weight decay is left. Does your temperature stay where it was?",
            "Weights and temperature can be in one optimiser without being treated alike.",
        ),
        (partial(flawed, decayed=True),),
        ("no drift",),
        10,
    ),
    Mistake(
        "nothing-decays",
        "your weights are not decayed at all; only the temperature should be spared",
        (
            "To whom does the weight decay apply, in your optimiser?",
            "Multiply the loss by 0 and train: the weights should shrink, the temperature should not.",
            "The optimiser takes options for each group of parameters.",
        ),
        (partial(flawed, head_decay=False),),
        ("no drift",),
    ),
    Mistake(
        "no-lower-end",
        "nothing stops your temperature from falling: on easy pairs it goes below 0.01, where gradients explode",
        (
            "Give it pairs whose two views are all but the same. Where does the temperature go?",
            "A lower temperature always helps where every positive is nearest of all. How low would it go with more steps?",
            "Published code bounds the learned number after every step.",
        ),
        (partial(flawed, clamped=False),),
        ("bounded",),
        10,
    ),
    Mistake(
        "temperature-detached",
        "no gradient reaches your temperature: it does not learn",
        (
            "Is the temperature that comes out the one you started from?",
            "Look at the gradient of your parameter after one backward pass.",
            "On the way from the parameter to the loss it has to stay a tensor.",
        ),
        (partial(flawed, fixed=True),),
        ("learns", "no drift", "bounded"),
    ),
    Mistake(
        "weights-frozen",
        "only your temperature is trained; the weights stay where they are",
        (
            "Which parameters does the optimiser hold?",
            "Print the weights before and after.",
            "Both learn in the same steps, from the same loss.",
        ),
        (partial(flawed, head=False),),
        ("learns", "no drift"),
    ),
    Mistake(
        "decay-in-the-gradient",
        "your weight decay goes through Adam's gradient, where it is rescaled away; it should act on the weights directly",
        (
            "Which optimiser was asked for? Its name has one letter more than its neighbour's.",
            "Double the weight decay. In one optimiser the weights shrink twice as fast, in the other hardly so.",
            "The decay should be decoupled from the gradient.",
        ),
        (partial(flawed, coupled=True),),
        ("no drift",),
    ),
    Mistake(
        "scale-for-temperature",
        "you give back the scale that logits are multiplied by: the temperature is its inverse",
        (
            "Which is usual for a temperature: 14, or 0.07?",
            "After no steps at all it should be what you started from. Is it?",
            "Published code often learns the logarithm of the inverse temperature. That is fine inside.",
        ),
        (partial(flawed, scale=True),),
        EVERY,
    ),
)


@exercise(
    "a2.learn_temperature",
    parts={"learns": 1, "no drift": 2, "bounded": 1},
    cases=cases,
    mistakes=MISTAKES,
    seconds=60,
)
def learn_temperature(z1: Tensor, z2: Tensor, start: float, steps: int, lr: float, weight_decay: float) -> float:
    """The temperature after training it, and a matrix of weights, for some steps."""
    return flawed(z1, z2, start, steps, lr, weight_decay)
