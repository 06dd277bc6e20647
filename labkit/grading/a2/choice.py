"""Choose a temperature from held-back runs, and defend it: by the task, over seeds, not by the loss and not from one model."""

import statistics
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from labkit.grading.a2.designed import first_draw, unequal
from labkit.grading.a2.reweigh import own_push
from labkit.grading.a2.runs import KINDS, SHOTS, Run, best, decided, found, held_back, shots, table
from labkit.grading.draw import Draw, given
from labkit.grading.exercise import Case, Mistake, exercise
from labkit.metrics.geometry import uniformity


def temperatures(runs: list[Run]) -> list[float]:
    return sorted({run["temperature"] for run in runs})


def agreed(draw: Draw, kind: str, seeds: int) -> list[Run]:
    """Held-back runs of which every seed says the same, and not the highest temperature, which bad reasons name as well.

    The labelled points that are drawn first say the same, too: in these parts it costs nothing to look at them only.
    """
    while True:
        runs = held_back(draw, kind, seeds)
        accuracies = table(runs)
        each = {max(accuracies, key=lambda t: accuracies[t][seed]) for seed in next(iter(accuracies.values()))}
        alone = table(first_labelled(runs))
        if len(each) == 1 and max(accuracies) not in each and decided(alone) and {best(alone)} == each:
            return runs


def synthetic(draw: Draw) -> list[Run]:
    """Points about three centres. Over its seeds the middle temperature has the tightest clusters, and losses rise.

    At each seed one other temperature was lucky; the luckiest run of all is not of the seed that comes first in the list.
    """
    labels = torch.tensor(draw.permutation(24)) % 3
    labelled = shots(draw, labels, SHOTS)
    centers = torch.linalg.qr(draw.rows(5, 5, torch.float64)).Q[:3]
    known = [draw.numbers(low, 1.5 * low) for low in (0.04, 0.1, 0.2, 0.4, 0.8)]
    while True:
        lucky = dict(zip(draw.permutation(3), (0, 3, 4), strict=True))  # of each seed, which temperature
        luck = dict(zip(lucky, (0.02, 0.2, 0.22), strict=True))
        runs = []
        for k, noise in enumerate((0.9, 0.7, 0.4, 0.75, 0.95)):
            for seed in range(3):
                z = centers[labels] + (luck[seed] if lucky[seed] == k else noise) * draw.rows(24, 5, torch.float64)
                about = {"temperature": known[k], "seed": seed, "loss": round(3 + k + 0.1 * seed, 2)}
                runs.append({**about, "z": z, "labels": labels, "labelled": labelled})
        runs = [runs[i] for i in draw.permutation(len(runs))]
        accuracies = table(runs)
        winners = {seed: max(known, key=lambda t: accuracies[t][seed]) for seed in lucky}
        top = max(lucky, key=lambda seed: accuracies[winners[seed]][seed])
        misled = all(winners[seed] == known[k] for seed, k in lucky.items())
        if decided(accuracies) and best(accuracies) == known[2] and misled and runs[0]["seed"] != top and lone(accuracies):
            return runs


def first_labelled(runs: list[Run]) -> list[Run]:
    """The same runs with one draw of labelled points."""
    return [{**run, "labelled": run["labelled"][:1]} for run in runs]


def lone(accuracies: dict[float, dict[int, float]]) -> bool:
    """Whether a single run is better than all others."""
    ordered = sorted(value for row in accuracies.values() for value in row.values())
    return ordered[-1] > ordered[-2] + 1e-6


def cases(draw: Draw) -> list[Case]:
    return [
        Case("digits", {"runs": agreed(draw, "digits", 3)}, says="held-back runs on digits"),
        Case("digits", {"runs": agreed(draw, "digits", 4)}, says="held-back runs on digits, four seeds"),
        Case("nested", {"runs": agreed(draw, "nested", 3)}, says="held-back runs on classes within classes"),
        Case("nested", {"runs": agreed(draw, "nested", 4)}, says="held-back runs on classes within classes, four seeds"),
        *(Case("other", {"runs": synthetic(draw)}, says="runs on another data set") for _ in range(3)),
        *(Case("other", {"runs": unequal(draw)}, says="a temperature has a run less than the others") for _ in range(2)),
        Case("other", {"runs": first_draw(draw)}, says="the points that are labelled first are in the wrong place"),
    ]


def everywhere(run: Run) -> float:
    """Accuracy that counts labelled points as well."""
    return float(found(run["z"], run["labels"], run["labelled"]).double().mean())


OVER_SEEDS: dict[str, Callable[[list[float]], float]] = {
    "mean": lambda values: sum(values) / len(values),
    "sum": sum,
    "highest": max,
    "lowest": min,
    "median": statistics.median,
    "lower median": lambda values: float(torch.tensor(values).median()),
}


def flawed(
    runs: list[Run], *, by: str = "accuracy", over: str = "mean", one_seed: bool = False, one_draw: bool = False
) -> float:
    """The choice with switches for what goes wrong."""
    if one_draw:
        runs = first_labelled(runs)
    if one_seed:
        runs = [run for run in runs if run["seed"] == runs[0]["seed"]]
    if by == "re-weigh":  # one embedding, weighed anew at each temperature
        pushes = own_push([{**runs[0], "temperature": t} for t in temperatures(runs)], "re-weigh")
        return min(zip(pushes, temperatures(runs), strict=True))[1]
    if by != "accuracy":
        return min(temperatures(runs), key=lambda t: average(runs, t, by))
    accuracies = table(runs)
    return max(accuracies, key=lambda t: OVER_SEEDS[over](list(accuracies[t].values())))


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
        (partial(flawed, over="highest"),),
        ("other",),
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
        ("other",),
    ),
    Mistake(
        "sum-over-seeds",
        "you added accuracies up, so that a temperature with fewer runs has less",
        (
            "Does every temperature have the same number of runs?",
            "Leave one run of the best temperature out, a middling one. Should that cost it the first place?",
            "On average means that the number of runs does not count.",
        ),
        (partial(flawed, over="sum"),),
        ("other",),
    ),
    Mistake(
        "worst-or-middle-run",
        "you let one run of each temperature speak for it, the worst or the middle one, where the average was asked for",
        (
            "On how many runs of a temperature does its score depend?",
            "Make the best run of a temperature better still. Does anything change in your score? On average it should.",
            "The worst and the middle run are answers to other questions. Which one was asked?",
        ),
        (partial(flawed, over="lowest"), partial(flawed, over="median"), partial(flawed, over="lower median")),
        ("other",),
    ),
    Mistake(
        "one-draw-of-labels",
        "you used one draw of labelled points and left the others",
        (
            "How many rows does the table of labelled points have, and how many did you use?",
            "Compute the accuracy of one run with each draw of labelled points. How far apart are they?",
            "A point that is labelled by chance can lie badly. That is why there are several draws.",
        ),
        (partial(flawed, one_draw=True),),
        ("other",),
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


@exercise("a2.choose_temperature", parts={"digits": 1, "nested": 1, "other": 2}, cases=cases, mistakes=MISTAKES, seconds=30)
def choose_temperature(runs: list[Run]) -> float:
    """The temperature whose runs have the best accuracy from one label a class, on average over their seeds."""
    return best(table(runs))


# ---------------------------------------------------------------- the numbers of a reader's own defence


def mine(draw: Draw) -> list[Case]:
    return [Case("your runs", {}, tolerance=1e-4, says="your variant's runs")]


def numbers(variant: str, *, inflated: bool = False, **switches: Any) -> dict[str, Any]:
    """What one's own choice costs on the other data set."""
    runs = vars(given("a2", variant))
    chosen = {kind: flawed(runs[kind], **switches) for kind in KINDS}

    def mean(kind: str, temperature: float) -> float:
        mine = [run for run in runs[kind] if run["temperature"] == temperature]
        accuracies = list(map(everywhere, mine)) if inflated else list(table(mine)[temperature].values())
        return sum(accuracies) / len(mine)

    return {
        kind: {"temperature": chosen[kind], "accuracy": mean(kind, chosen[kind]), "swapped": mean(kind, chosen[other])}
        for kind, other in (KINDS, KINDS[::-1])
    }


@exercise(
    "a2.evidence",
    parts={"your runs": 2},
    cases=mine,
    mistakes=(
        *(
            replace(each, mutants=tuple(partial(numbers, **m.keywords) for m in each.mutants), loses=("your runs",))  # type: ignore[attr-defined]
            for each in MISTAKES
            if each.name in ("lowest-loss", "reweighed-to-choose", "most-even-is-best")
        ),
        Mistake(
            "labelled-points-tested",
            "your accuracy counts the labelled points too, and each of them finds itself",
            (
                "Who is nearest to a labelled point?",
                "Label every point. What would your accuracy be, and what would it mean?",
                "Test only on points whose label was not shown.",
            ),
            (partial(numbers, inflated=True),),
            ("your runs",),
        ),
    ),
)
def evidence(variant: str) -> dict[str, Any]:
    """For each of your data sets: the temperature, its accuracy, and the accuracy at the other's temperature."""
    return numbers(variant)
