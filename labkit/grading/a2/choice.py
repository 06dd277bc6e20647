"""Choose a temperature from held-back runs, and defend it: by the task, over seeds, not by the loss and not from one model."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from labkit.grading.a2.reweigh import own_push
from labkit.grading.a2.runs import KINDS, SHOTS, Run, few_label_accuracy, found, held_back, shots
from labkit.grading.draw import Draw, given
from labkit.grading.exercise import Case, Mistake, exercise
from labkit.metrics.geometry import uniformity

Score = Callable[[Run], float]


def synthetic(draw: Draw) -> list[Run]:
    """Points about three centres. The tighter the clusters the better; here the middle temperature has the tightest.

    Losses rise with the temperature, and the best single run is at a temperature that is otherwise bad.
    """
    labels = torch.tensor(draw.permutation(24)) % 3
    labelled = shots(draw, labels, SHOTS)
    centers, runs = torch.linalg.qr(draw.rows(5, 5, torch.float64)).Q[:3], []
    noises = (0.8, 0.55, 0.3, 0.6, 0.9)
    temperatures = [draw.numbers(low, 1.5 * low) for low in (0.04, 0.1, 0.2, 0.4, 0.8)]
    for k, (temperature, noise) in enumerate(zip(temperatures, noises, strict=True)):
        for seed in range(3):
            lucky = k == 3 and seed == 1
            z = centers[labels] + (0.01 if lucky else noise) * draw.rows(24, 5, torch.float64)
            loss = round(3 + k + 0.1 * seed, 2)
            run = {"temperature": temperature, "seed": seed, "loss": loss, "z": z, "labels": labels, "labelled": labelled}
            runs.append(run)
    return [runs[i] for i in draw.permutation(len(runs))]


def cases(draw: Draw) -> list[Case]:
    return [
        Case("digits", {"runs": held_back(draw, "digits")}, says="held-back runs on digits"),
        Case("digits", {"runs": held_back(draw, "digits", 4)}, says="held-back runs on digits, four seeds"),
        Case("nested", {"runs": held_back(draw, "nested")}, says="held-back runs on classes within classes"),
        Case("nested", {"runs": held_back(draw, "nested", 4)}, says="held-back runs on classes within classes, four seeds"),
        Case("other", {"runs": synthetic(draw)}, says="runs on a third data set"),
        Case("other", {"runs": synthetic(draw)}, says="runs on a fourth data set"),
    ]


def accuracy(run: Run) -> float:
    return few_label_accuracy(run["z"], run["labels"], run["labelled"])


def everywhere(z: Tensor, labels: Tensor, labelled: Tensor) -> float:
    """Accuracy that counts labelled points as well."""
    return float(found(z, labels, labelled).double().mean())


def flawed(
    runs: list[Run],
    *,
    by: str = "accuracy",
    single: bool = False,
    inflated: bool = False,
    one_seed: bool = False,
) -> dict[str, Any]:
    """The choice with switches for what goes wrong."""
    score: Score = (lambda run: everywhere(run["z"], run["labels"], run["labelled"])) if inflated else accuracy
    if one_seed:
        runs = [run for run in runs if run["seed"] == runs[0]["seed"]]
    table: dict[float, dict[int, float]] = {}
    for run in runs:
        table.setdefault(run["temperature"], {})[run["seed"]] = score(run)
    means = {t: max(row.values()) if single else sum(row.values()) / len(row) for t, row in table.items()}
    if by == "re-weigh":  # one embedding, weighed anew at each temperature
        means = dict.fromkeys(means, score(runs[0]))
        pushes = own_push([{**runs[0], "temperature": t} for t in means], "re-weigh")
        best = min(zip(pushes, means, strict=True))[1]
        return {"temperature": best, "accuracy": means[best], "seeds": len(table[best])}
    best = min(means, key=lambda t: average(runs, t, by)) if by != "accuracy" else max(means, key=lambda t: means[t])
    wins = sum(all(table[best][s] >= row[s] for row in table.values()) for s in table[best])
    return {"temperature": best, "accuracy": means[best], "seeds": wins}


def average(runs: list[Run], temperature: float, by: str) -> float:
    """The mean loss, or the mean uniformity, of the runs at a temperature."""
    mine = [run for run in runs if run["temperature"] == temperature]
    return sum(run["loss"] if by == "loss" else float(uniformity(run["z"])) for run in mine) / len(mine)


MISTAKES = (
    Mistake(
        "lowest-loss",
        "you chose the temperature with the lowest loss; losses at different temperatures have different floors",
        (
            "What is the lowest loss that is possible at temperature 1, and at 0.05?",
            "Print loss and accuracy beside each other for every run. Does the one follow the other?",
            "A choice is defended by what the embedding is to be used for.",
        ),
        (partial(flawed, by="loss"),),
        ("digits", "other"),
        7,
    ),
    Mistake(
        "reweighed-to-choose",
        "you judged every temperature on one and the same embedding; what training at it does, you never looked at",
        (
            "How many of the runs did your choice depend on?",
            "Mix the embeddings of all runs but one. Your choice should change with that. Does it?",
            "There is a run for each temperature and seed; each has to be asked for itself.",
        ),
        (partial(flawed, by="re-weigh"),),
        ("digits", "nested", "other"),
        6,
    ),
    Mistake(
        "best-single-run",
        "you took the best run instead of the temperature that is best over its seeds",
        (
            "On how many runs does your accuracy rest?",
            "Give one run of a bad temperature a lucky embedding. Does your choice follow it?",
            "Runs at one temperature speak together, each as loud as the others.",
        ),
        (partial(flawed, single=True),),
        ("digits", "nested", "other"),
    ),
    Mistake(
        "one-seed",
        "you looked at the runs of one seed only",
        (
            "How many runs did you use, and how many were you given?",
            "Leave out all runs but those of the first seed: your answer does not change. Should it not?",
            "Seeds are there to tell a difference from luck.",
        ),
        (partial(flawed, one_seed=True),),
        ("digits", "nested", "other"),
    ),
    Mistake(
        "labelled-points-tested",
        "your accuracy counts the labelled points too, and each of them finds itself",
        (
            "Who is nearest to a labelled point?",
            "Label every point. What would your accuracy be, and what would it mean?",
            "Test only on points whose label was not shown.",
        ),
        (partial(flawed, inflated=True),),
        ("digits", "nested", "other"),
    ),
    Mistake(
        "most-even-is-best",
        "you chose the most even embedding; evenness is bought by pushing class mates apart",
        (
            "Where in the table of runs is uniformity lowest, and where is accuracy highest?",
            "Which of the two was asked for?",
            "A meter of the embedding is not the task. Measure the task itself.",
        ),
        (partial(flawed, by="uniformity"),),
        ("digits", "nested", "other"),
    ),
)


@exercise("a2.choose_temperature", parts={"digits": 2, "nested": 1, "other": 1}, cases=cases, mistakes=MISTAKES, seconds=30)
def choose_temperature(runs: list[Run]) -> dict[str, Any]:
    """The temperature of the best mean accuracy from one label a class, that accuracy, and at how many seeds none is better."""
    return flawed(runs)


# ---------------------------------------------------------------- the numbers of a reader's own defence


def mine(draw: Draw) -> list[Case]:
    return [Case("your runs", {}, tolerance=1e-4, says="your variant's runs")]


def numbers(variant: str, **switches: Any) -> dict[str, Any]:
    """What one's own choice costs on the other data set."""
    runs = vars(given("a2", variant))
    chosen = {kind: flawed(runs[kind], **switches)["temperature"] for kind in KINDS}
    table = {}
    for kind, other in (KINDS, KINDS[::-1]):
        at = {t: [accuracy(run) for run in runs[kind] if run["temperature"] == t] for t in chosen.values()}
        kept, swapped = (sum(at[chosen[k]]) / len(at[chosen[k]]) for k in (kind, other))
        table[kind] = {"temperature": chosen[kind], "accuracy": kept, "swapped": swapped}
    return table


@exercise(
    "a2.evidence",
    parts={"your runs": 2},
    cases=mine,
    mistakes=tuple(
        Mistake(
            each.name,
            each.says,
            each.hints,
            tuple(partial(numbers, **m.keywords) for m in each.mutants if isinstance(m, partial)),
            ("your runs",),
            each.number,
        )
        for each in MISTAKES
        if each.name in ("lowest-loss", "reweighed-to-choose", "most-even-is-best")
    ),
)
def evidence(variant: str) -> dict[str, Any]:
    """For each of your data sets: the temperature, its accuracy, and the accuracy at the other's temperature."""
    return numbers(variant)
