"""A map of runs: which sentence about the plane of both meters do they support?"""

from functools import partial
from typing import Any

import numpy as np
from scipy.stats import rankdata

from labkit import results
from labkit.directions import unit
from labkit.grading.a3.places import embeddings
from labkit.grading.draw import Draw, given, givens
from labkit.grading.exercise import Case, Mistake, exercise

METERS = ("alignment", "uniformity", "sum")
QUALITIES = ("kNN", "probe")
SUPPORTED = 0.4
SENTENCES = {  # meter, quality, and which of the two numbers the sentence is about
    "sum, kNN, pooled": ("sum", "kNN", "pooled"),
    "sum, kNN, any views": ("sum", "kNN", "lowest"),
    "sum, probe, pooled": ("sum", "probe", "pooled"),
    "alignment, kNN, pooled": ("alignment", "kNN", "pooled"),
    "uniformity, kNN, pooled": ("uniformity", "kNN", "pooled"),
}

Run = dict[str, Any]


def held_back(draw: Draw, each: int = 13) -> list[Run]:
    """Some of the stored runs, equally many of each strength of views, in an order of their own."""
    stored = results.load("course_plane")
    chosen = []
    for strength in sorted(set(stored["strength"].tolist())):
        here = np.flatnonzero(stored["strength"] == strength)
        chosen += [int(here[k]) for k in draw.permutation(len(here))[:each]]
    names = ("alignment", "uniformity", *QUALITIES, "strength")
    return [{name: round(float(stored[name][chosen[k]]), 5) for name in names} for k in draw.permutation(len(chosen))]


@givens("a3")
def data(draw: Draw) -> dict[str, Any]:
    start = unit(draw.rows(draw.integer(10, 16), 2).double())
    return {"start": start, "runs": held_back(draw), "places": embeddings(draw.variant)[0]}


# ---------------------------------------------------------------- what ranks what


def cases(draw: Draw) -> list[Case]:
    def made(slope: float) -> list[Run]:
        """Two strengths of views: within each the sum ranks the quality one way, and pooled it does so the other way."""
        runs = []
        for strength, shift in ((0.5, 0.0), (1.5, slope)):
            for k in range(6):
                total = shift + 0.1 * k + 0.02 * draw.rng.uniform()
                alignment = draw.rng.uniform(0, 1)
                quality = round(np.sign(slope) * (2 * shift - 0.1 * k) + 0.03 * draw.rng.uniform(), 1)
                values = {"alignment": alignment, "uniformity": total - alignment - 2, "kNN": -quality, "probe": quality}
                runs.append({**{name: float(value) for name, value in values.items()}, "strength": strength})
        return [runs[k] for k in draw.permutation(len(runs))]

    def one_strength(meter: str, quality: str) -> list[Run]:
        """Runs with the same views, among which equals are in an order that shows if they are ranked by it."""
        while True:
            stored = held_back(draw, 16)
            strength = draw.pick(sorted({run["strength"] for run in stored}))
            runs = [run for run in stored if run["strength"] == strength]
            if quality != "kNN" or tied(runs, meter, quality):  # a probe hardly ever says the same of two runs
                return runs

    def case(part: str, runs: list[Run], meter: str, quality: str, says: str) -> Case:
        return Case(part, {"runs": runs, "meter": meter, "quality": quality}, says=f"{meter}, {quality}, {says}")

    return [
        *(
            case("one strength", one_strength(meter, quality), meter, quality, "held-back runs with the same views")
            for meter, quality in (("sum", "kNN"), ("alignment", "probe"), ("uniformity", "probe"))
        ),
        case("several strengths", held_back(draw), "sum", "kNN", "held-back runs"),
        case("several strengths", held_back(draw), "sum", "probe", "held-back runs"),
        case("several strengths", made(2.0), "sum", "probe", "another collection"),
        case("several strengths", middling(draw), "sum", "probe", "a collection whose middle strength is the worst"),
    ]


def middling(draw: Draw) -> list[Run]:
    """Three strengths of views: gentle and hard ones rank well, those between do not, nor does the list begin with them."""
    runs: list[Run] = []
    for strength, flips in ((0.5, ()), (1.0, (0, 2, 4)), (1.5, (2,))):
        places = list(range(6))
        for k in flips:  # neighbours change places
            places[k : k + 2] = places[k + 1], places[k]
        for k, place in enumerate(places):
            alignment = draw.rng.uniform(0, 1)
            total = strength + 0.1 * k + 0.02 * draw.rng.uniform()
            quality = 0.9 - 0.1 * strength - 0.05 * place
            values = {"alignment": alignment, "uniformity": total - alignment - 2, "kNN": 1 - quality, "probe": quality}
            runs.append({**{name: float(value) for name, value in values.items()}, "strength": strength})
    order = draw.permutation(len(runs))
    while runs[order[0]]["strength"] == 1.0 or runs[order[-1]]["strength"] == 1.0:
        order = draw.permutation(len(runs))
    return [runs[k] for k in order]


def tied(runs: list[Run], meter: str, quality: str) -> bool:
    right = flawed(runs, meter, quality)["pooled"]
    return all(abs(flawed(runs, meter, quality, order=order)["pooled"] - right) > 1e-4 for order in ("stable", "any"))


def correlation(x: np.ndarray, y: np.ndarray, *, pearson: bool = False, order: str = "") -> float:
    """Spearman's, unless a switch says otherwise; `order` is that of equals."""
    if order == "any":
        x, y = (np.argsort(np.argsort(each)) for each in (x, y))
    elif not pearson:
        x, y = (rankdata(each, "ordinal" if order else "average") for each in (x, y))
    return float(np.corrcoef(x, y)[0, 1])


def flawed(
    runs: list[Run],
    meter: str,
    quality: str,
    *,
    up: bool = False,
    difference: bool = False,
    strengths: str = "lowest",
    **kind: Any,
) -> dict[str, float]:
    """Both rank correlations with switches for what goes wrong."""

    def among(some: list[Run]) -> float:
        a, u = (np.array([run[name] for run in some]) for name in ("alignment", "uniformity"))
        values = {"alignment": a, "uniformity": u, "sum": a - u if difference else a + u}[meter]
        return correlation(values if up else -values, np.array([run[quality] for run in some]), **kind)

    pooled = among(runs)
    each = [among([run for run in runs if run["strength"] == s]) for s in sorted({run["strength"] for run in runs})]
    one = {"gentlest": each[0], "hardest": each[-1], "highest": max(each), "lowest": min(each)}
    return {"pooled": pooled, "lowest": {**one, "mean": sum(each) / len(each), "pooled": pooled}[strengths]}


EVERY = ("one strength", "several strengths")
MISTAKES = (
    Mistake(
        "larger-is-better",
        "you count a meter as better when it is larger; both are better when smaller",
        (
            "What is the uniformity of a collapsed network, and of points all over the sphere?",
            "Two runs, the first better by kNN and lower by uniformity: which sign should come out?",
            "A positive number should mean: the lower the meter, the better the quality.",
        ),
        (partial(flawed, up=True),),
        EVERY,
        15,
    ),
    Mistake(
        "strengths-mixed",
        "you mixed runs with different views where a sentence about the same views was to be tested",
        (
            "Runs with gentle views and with hard views: do they differ in more than the meter?",
            "Draw meter against quality, and give each strength a colour. Does each colour tell what all together tell?",
            "A statement about any strength of views has to hold within each of them.",
        ),
        (partial(flawed, strengths="pooled"),),
        ("several strengths",),
        15,
    ),
    Mistake(
        "strengths-averaged",
        "you averaged over the strengths: a sentence that fails for one of them still passes",
        (
            "What was asked for, the mean or the worst case?",
            "One strength says +1, the other -1. Does the sentence hold whatever the views?",
            "A single strength at which it fails is enough.",
        ),
        (partial(flawed, strengths="mean"),),
        ("several strengths",),
    ),
    Mistake(
        "best-strength",
        "you kept the strength at which the sentence does best",
        (
            "Which strength speaks in your number, and who chose it?",
            "One strength says +1, the other -1. Does the sentence hold whatever the views?",
            "A single strength at which it fails is enough.",
        ),
        (partial(flawed, strengths="highest"),),
        ("several strengths",),
    ),
    Mistake(
        "one-strength-for-all",
        "you looked at one strength of views, always the same one, whichever is the lowest",
        (
            "Which strength speaks in your number? Is it the worst one in every collection?",
            "Print the correlation of each strength beside its name, for runs with three strengths.",
            "Gentle views are not always those at which a sentence fails. Ask every strength.",
        ),
        (partial(flawed, strengths="gentlest"), partial(flawed, strengths="hardest")),
        ("several strengths",),
    ),
    Mistake(
        "values-not-ranks",
        "you correlated values, not ranks: a single collapsed run decides",
        (
            "Does your number change when every accuracy is squared? Ranks do not.",
            "Take one run out, the one with the worst uniformity. How much does your number move?",
            "Replace every value by its place in the order before anything else.",
        ),
        (partial(flawed, pearson=True),),
        EVERY,
    ),
    Mistake(
        "ties-in-order",
        "equal values get different ranks, by their place in the list",
        (
            "How many runs have the same accuracy? What are their ranks?",
            "Shuffle the runs. Your number should not change.",
            "Equals share the mean of the places that they take up.",
        ),
        (partial(flawed, order="stable"), partial(flawed, order="any")),
        EVERY,
    ),
    Mistake(
        "difference-for-sum",
        "you took one meter from the other: yours is low where alignment is good and points are heaped",
        (
            "What is your number for a collapsed network? And for one that is good on both meters?",
            "Which sign does uniformity have?",
            "Both are better when smaller, so they are simply added.",
        ),
        (partial(flawed, difference=True),),
        EVERY,
        15,
    ),
)


@exercise("a3.ranked", parts={"one strength": 1, "several strengths": 2}, cases=cases, mistakes=MISTAKES)
def ranked(runs: list[Run], meter: str, quality: str) -> dict[str, float]:
    """How well a low meter foretells a high quality: over all runs, and the lowest over the strengths of their views."""
    return flawed(runs, meter, quality)


# ---------------------------------------------------------------- the sentences, for a reader's own runs


def yours(draw: Draw) -> list[Case]:
    return [Case("your runs", {}, tolerance=1e-4, says="your variant's runs")]


def judged(variant: str, **switches: Any) -> dict[str, Any]:
    """Each sentence: its number, and whether the runs support it."""
    runs = given("a3", variant).runs
    found = {}
    for sentence, (meter, quality, which) in SENTENCES.items():
        number = flawed(runs, meter, quality, **switches)[which]
        found[sentence] = {"number": number, "supported": number > SUPPORTED}
    return found


@exercise(
    "a3.sentences",
    parts={"your runs": 2},
    cases=yours,
    mistakes=tuple(
        Mistake(
            each.name,
            each.says,
            each.hints,
            tuple(partial(judged, **m.keywords) for m in each.mutants if isinstance(m, partial)),
            ("your runs",),
            each.number,
        )
        for each in MISTAKES
        if each.name in ("larger-is-better", "strengths-mixed", "values-not-ranks", "difference-for-sum")
    ),
)
def sentences(variant: str) -> dict[str, Any]:
    """Five sentences about your runs: the number behind each, and whether the runs support it."""
    return judged(variant)
