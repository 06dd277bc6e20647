"""A linear probe by least squares: fitted on some rows, asked about others."""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise

PARTS = {"accuracy": 2.0, "any labels": 1.0}
OTHERS: tuple[dict[str, Any], ...] = (
    {"free": True},
    {"changed": "standardised"},
    {"changed": "normalised"},
    {"penalty": 1.0},
    {"penalty": 1e-9},
    {"per_row": True},
)


def clusters(draw: Draw, names: list[int]) -> dict[str, Tensor]:
    """Noisy clusters, two of them in line with the origin; few rows to fit on, in columns of unequal scale."""
    d, fit, ask, spread = 14, 8 * len(names) if len(names) == 2 else 6 * len(names), 150, 1.6
    scale = torch.tensor([draw.numbers(0.1, 1) for _ in range(d)], dtype=torch.float64)
    if len(names) == 2:  # one behind the other, seen from the origin
        centers = draw.rows(1, d, torch.float64) * torch.tensor([[1.0], [3.0]])
    else:
        centers = draw.rows(len(names), d, torch.float64) + 2
    sets: list[Tensor] = []
    for n in (fit, ask):
        places = torch.tensor(draw.permutation(n)) % len(names)
        sets += [((centers[places] + spread * draw.rows(n, d, torch.float64)) * scale).float(), torch.tensor(names)[places]]
    return dict(zip(("train_z", "train_y", "test_z", "test_y"), sets, strict=True))


def telling(inputs: dict[str, Tensor], apart: bool) -> bool:
    """Whether every other model (`apart`: and each in its own way) is right on another number of rows; and none is close."""
    told = [float(flawed(*inputs.values(), **switches)) for switches in ({}, *OTHERS)]
    rows = torch.tensor(told, dtype=torch.float64) * len(inputs["test_y"])
    differ = (rows[:, None] - rows).abs().fill_diagonal_(torch.inf)
    differ[4, 6] = differ[6, 4] = torch.inf  # two sizes of a penalty: one mistake
    enough = (differ[0] > 1.5).all() and (not apart or (differ > 2.5).all())
    return bool(enough) and float(flawed(*inputs.values(), closeness=True)) > 2e-4


def cases(draw: Draw) -> list[Case]:
    """Clusters on which it matters what is asked for: drawn until it does. And labels that are names, not places."""

    def case(part: str, names: list[int]) -> Case:
        inputs = clusters(draw, names)
        while not telling(inputs, apart=len(names) == 2):
            inputs = clusters(draw, names)
        says = f"labels {', '.join(map(str, names))}; {len(inputs['train_y'])} rows to fit on"
        return Case(part, dict(inputs), tolerance=0.008, says=says)

    return [
        case("accuracy", [0, 1]),
        case("accuracy", [0, 1, 2]),
        case("any labels", [3, 7, 8]),
        case("any labels", [12, 5]),
    ]


def flawed(
    train_z: Tensor,
    train_y: Tensor,
    test_z: Tensor,
    test_y: Tensor,
    *,
    asked: str = "test",
    fitted: str = "train",
    bias: bool = True,
    places: bool = False,
    penalty: float = 0.1,
    percent: bool = False,
    numbers: bool = False,
    free: bool = False,
    changed: str = "",
    per_row: bool = False,
    closeness: bool = False,
) -> Any:
    """The probe with its usual mistakes as switches."""

    def wide(z: Tensor) -> Tensor:
        z = z.double()
        if changed == "standardised":
            z = (z - train_z.double().mean(0)) / train_z.double().std(0)
        elif changed == "normalised":
            z = F.normalize(z, dim=1)
        return torch.cat([z, torch.ones(len(z), bias, dtype=torch.float64)], 1)

    fit_z, fit_y = (train_z, train_y) if fitted == "train" else (test_z, test_y)
    ask_z, ask_y = (test_z, test_y) if asked == "test" else (train_z, train_y)
    names = torch.arange(int(fit_y.max()) + 1) if places else fit_y.unique()
    target = fit_y[:, None].double() if numbers else (fit_y[:, None] == names).double()
    a = wide(fit_z)
    penalties = torch.full((a.shape[1],), penalty * (len(a) if per_row else 1), dtype=a.dtype)
    if free:
        penalties[-1] = 0
    weight = torch.linalg.solve(a.T @ a + penalties.diag(), a.T @ target)
    scores = wide(ask_z) @ weight
    if closeness:
        best = scores.topk(2, 1).values
        return (best[:, 0] - best[:, 1]).min()
    said = scores.round()[:, 0] if numbers else scores.argmax(1) if places or len(names) == 0 else names[scores.argmax(1)]
    return (said == ask_y).double().mean() * (100 if percent else 1)


def indexed(train_z: Tensor, train_y: Tensor, test_z: Tensor, test_y: Tensor) -> Any:
    """Places of classes compared with their names."""
    names = train_y.unique()
    renamed = torch.searchsorted(names, train_y)
    return flawed(train_z, renamed, test_z, test_y)


@exercise(
    "a6.probe",
    parts=PARTS,
    cases=cases,
    mistakes=(
        Mistake(
            "asked-about-what-it-was-fitted-on",
            "you ask the probe about the rows that it was fitted on, or fit it on those that it is asked about",
            (
                "Which of the four inputs does your answer not use?",
                "Give the training rows random labels. A probe with many weights looks well all the same: when?",
                "Fit on one set, count on the other.",
            ),
            (partial(flawed, asked="train"), partial(flawed, fitted="test"), partial(flawed, asked="train", fitted="test")),
            ("accuracy", "any labels"),
        ),
        Mistake(
            "no-constant",
            "your probe has no constant, and the points lie far from the origin",
            (
                "Shift all points by the same vector. Does your accuracy change?",
                "A line through the origin cannot part two clusters on the same side of it.",
                "One more column, the same number in every row.",
            ),
            (partial(flawed, bias=False),),
            ("accuracy", "any labels"),
        ),
        Mistake(
            "constant-not-penalised",
            "your penalty leaves the constant out; here it is on the constant as well",
            (
                "Many libraries fit this so, and it is not the formula above.",
                "How many ones are on the diagonal of the matrix that the penalty multiplies, and in how many columns of A?",
                "The constant's column is a column like any other here.",
            ),
            (partial(flawed, free=True),),
            ("accuracy", "any labels"),
        ),
        Mistake(
            "rows-not-as-given",
            "you change the rows before you fit; rows are taken as given here",
            (
                "What happens to a row between the argument and your least squares?",
                "Multiply a column by a hundred. With a penalty that changes the fit, unless you undo it first.",
                "Scaling is often wise and here not asked for: other probes would be compared than everybody else's.",
            ),
            (partial(flawed, changed="standardised"), partial(flawed, changed="normalised")),
            ("accuracy", "any labels"),
        ),
        Mistake(
            "another-penalty",
            "your penalty has another size than the one asked for",
            (
                "Which number multiplies the identity in yours?",
                "Let the penalty grow: the scores shrink and classes are exchanged. What if it vanishes?",
                "The penalty is the same however many rows there are.",
            ),
            (partial(flawed, penalty=1.0), partial(flawed, penalty=1e-9), partial(flawed, per_row=True)),
            ("accuracy", "any labels"),
        ),
        Mistake(
            "labels-as-numbers",
            "you fit the label as if it were a quantity",
            (
                "Is class 2 twice as much as class 1?",
                "Exchange the names of two classes. Should the accuracy change?",
                "One column for each class: is it this one, yes or no?",
            ),
            (partial(flawed, numbers=True),),
            ("accuracy", "any labels"),
        ),
        Mistake(
            "places-for-names",
            "you compare the number of a column with a label; labels are names and need not start at 0",
            (
                "What are the labels in the part `any labels`?",
                "Which column stands for the label 7 in yours?",
                "From the winning column back to the name that it stands for.",
            ),
            (indexed,),
            ("any labels",),
        ),
        Mistake(
            "percent",
            "this is in per cent; a share between 0 and 1 is asked for",
            (
                "How large is your largest number?",
                "All of them right should be 1.",
                "Counted over the number of rows, and nothing more.",
            ),
            (partial(flawed, percent=True),),
            ("accuracy", "any labels"),
        ),
    ),
)
def probe(train_z: Tensor, train_y: Tensor, test_z: Tensor, test_y: Tensor) -> Any:
    """The accuracy on the test rows of a linear probe, fitted on the training rows by least squares with a small penalty."""
    return flawed(train_z, train_y, test_z, test_y)
