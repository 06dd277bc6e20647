"""The checklist that runs: ten things that a study needs before anybody should believe it, and what to do about each."""

import re
import statistics
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from labkit.grading.capstone.example import QUESTION, example
from labkit.grading.draw import PRACTICE, Draw, given, givens
from labkit.grading.exercise import Case, exercise

Found = dict[str, Any]
HOLDS: dict[str, Callable[[float, float], bool]] = {
    "<": lambda v, b: v < b,
    "<=": lambda v, b: v <= b,
    ">": lambda v, b: v > b,
    ">=": lambda v, b: v >= b,
    "==": lambda v, b: v == b,
}
SEEDS = 3


@givens("capstone")
def given_seeds(draw: Draw) -> dict[str, Any]:
    """The first seed of every study of this variant: whoever copies last year's numbers has other ones."""
    return {"seed": 1000 * draw.integer(1, 999)}


def question(study: Found, variant: str) -> bool | str:
    words = str(study["question"]).strip()
    if not words.endswith("?") or len(words.split()) < 8:
        return "write the question as one sentence that ends with a question mark: what is compared, on what, measured how"
    if variant != PRACTICE and plain(words) == plain(QUESTION):
        return "this is the example's question; ask one of your own"
    return True


def prediction(study: Found, variant: str) -> bool | str:
    made = study["predictions"]
    if not made or not re.search(r"\d", made[0]["words"]):
        return "write down what you expect, with a number: how large, from where on would you say that you were wrong"
    first = min((moment(run["date"]) for run in study["runs"]), default=None)
    if first is None:
        return "there is no run yet that it could come before"
    if moment(made[0]["date"]) > first:
        return "the first run is older than the prediction: say so under threats, and predict a new condition before you run it"
    if moment(made[-1]["date"]) > first:
        return "the prediction changed after the first run: keep the first one, and tell what you learnt in the conclusion"
    return True


def seeds(study: Found, variant: str) -> bool | str:
    found: dict[str, set[int]] = {}
    for run in study["runs"]:
        found.setdefault(run["condition"], set()).add(int(run["seed"]))
    few = [name for name, each in found.items() if len(each) < SEEDS]
    if not found or few:
        return f"every condition needs {SEEDS} seeds or more{': too few for ' + ', '.join(few) if few else ''}"
    own = given("capstone", variant).seed
    if not all(own in each for each in found.values()):
        return f"begin every condition with the first seed of your variant, {own}"
    return True


def runs(study: Found, variant: str) -> bool | str:
    names = [run["name"] for run in study["runs"]]
    if not names or len(set(names)) < len(names):
        return "every run needs a name of its own"
    for run in study["runs"]:
        if not re.fullmatch(r"[0-9a-f]{16}", run["name"]) or not str(run["config"]).strip() or not moment(run["date"]):
            return "every run is noted with its hash, its settings and its date: train through the study's log"
    return True


def baseline(study: Found, variant: str) -> bool | str:
    for measure in study["measures"]:
        low, high = measure["range"]
        if measure["baseline"] not in measure["values"] or len(measure["values"]) < 2:
            return f"{measure['metric']}: name the condition to beat, and measure it as you measure the others"
        if not low <= measure["chance"] <= high or not str(measure["unit"]).strip():
            return f"{measure['metric']}: say what guessing would give, and in which unit"
        if any(len(each) < SEEDS for each in measure["values"].values()):
            return f"{measure['metric']}: one number for each seed, for the baseline as well"
    return bool(study["measures"]) or "measure something: a number for each condition and seed, a baseline, and chance"


def claims(study: Found, variant: str) -> bool | str:
    if len(study["claims"]) < 2:
        return "make two claims or more: sentences with a number, a direction and a bound"
    for claim in study["claims"]:
        values, bound = claim["values"], claim["bound"]
        if len(values) < SEEDS:
            return f"“{claim['text']}” rests on {len(values)} value(s): give one for each seed"
        if not all(HOLDS[claim["op"]](v, bound) for v in values):
            return f"“{claim['text']}” does not hold for every seed: claim less, or say that it failed"
        if claim["kind"] != "exact" and abs(statistics.fmean(values) - bound) < 2 * statistics.stdev(values):
            return f"“{claim['text']}”: the mean is within two standard deviations of the bound; another seed could break it"
    return True


def not_vacuous(study: Found, variant: str) -> bool | str:
    """A claim has to be able to fail: where nothing is going on, it must be false."""
    if not study["claims"]:
        return "there is no claim yet"
    for claim in study["claims"]:
        if claim["null"] is None:
            return f"“{claim['text']}”: say what its number would be if nothing were going on (0 for a difference, or chance)"
        if HOLDS[claim["op"]](claim["null"], claim["bound"]):
            return f"“{claim['text']}” would hold even if nothing were going on: choose a bound that could fail"
    return True


def intervals(study: Found, variant: str) -> bool | str:
    for each in study["intervals"]:
        if not each["low"] <= each["value"] <= each["high"] or each["low"] == each["high"] or each["n"] < 4:
            return f"{each['what']}: an interval has two ends with the value between them, and comes from rows"
    return bool(study["intervals"]) or "give your main number with an interval (labkit.metrics has one that suits it)"


def figures(study: Found, variant: str) -> bool | str:
    for figure in study["figures"]:
        if len(str(figure["alt"]).split()) < 8:
            return "say in a sentence what each figure shows, for those who cannot see it"
        for ax in figure["axes"]:
            if not all(re.search(r"\S+ *\(.+\)", ax[side]) for side in ("x", "y")):
                return f"label both axes with what is drawn and its unit in brackets; there is {ax['x']!r} and {ax['y']!r}"
        words = " ".join(line for ax in figure["axes"] for line in ax["lines"]).lower()
        names = [str(measure["baseline"]).lower() for measure in study["measures"]]
        if "chance" not in words or not any(name in words for name in names):
            return "draw chance and the baseline into the figure, and label them"
    return bool(study["figures"]) or "draw your result, and note the figure in the study's log"


def threats(study: Found, variant: str) -> bool | str:
    found = [str(each).strip() for each in study.get("threats", ())]
    if len({plain(each) for each in found}) < 3 or any(len(each.split()) < 8 for each in found):
        return (
            "name three things or more that could make your conclusion wrong, a sentence each: what, and what you did about it"
        )
    return True


ITEMS: dict[str, Callable[[Found, str], bool | str]] = {
    "question": question,
    "prediction first": prediction,
    "three seeds": seeds,
    "runs noted": runs,
    "baseline and chance": baseline,
    "claims hold": claims,
    "claims could fail": not_vacuous,
    "intervals": intervals,
    "figures": figures,
    "threats": threats,
}


def plain(words: str) -> str:
    return " ".join(re.findall(r"\w+", words.lower()))


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def asked(item: Callable[[Found, str], bool | str], variant: str, study: Any) -> bool | str:
    """Whether an item holds; what is missing altogether is told in words."""
    try:
        return item(study, variant)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, statistics.StatisticsError) as error:
        return f"this cannot be read from the study's log ({type(error).__name__}: {error}); run all cells from the top"


def cases(draw: Draw) -> list[Case]:
    return [Case(name, {}, accepts=partial(asked, item, draw.variant)) for name, item in ITEMS.items()]


@exercise("capstone.checklist", parts=dict.fromkeys(ITEMS, 1.0), cases=cases)
def checklist(variant: str) -> Found:
    """Ten things that a study needs before anybody should believe it."""
    return example(variant)
