"""The capstone: a sound study has all ten points, and each thing that is missing costs its own and says what to do."""

import copy
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import matplotlib
import numpy as np
import pytest
from grading_cases import everything

from labkit.grading import find, given, judge
from labkit.grading.asking import answer
from labkit.grading.capstone import Study
from labkit.grading.capstone.checklist import ITEMS
from labkit.grading.capstone.example import QUESTION, example
from labkit.metrics import interval
from labkit.training import Config

matplotlib.use("Agg")
VARIANT = "2031"


def with_more_seeds(variant):
    """Five seeds, a second metric, tuples in the place of lists."""
    study = example(variant)
    first = given("capstone", variant).seed
    for name in ("one draw", "mean of 16"):
        for k in (3, 4):
            run = next(r for r in study["runs"] if r["condition"] == name)
            study["runs"].append({**run, "seed": first + k, "name": f"{k}{run['name'][1:]}"})
    study["claims"] = tuple({**c, "values": [*c["values"], c["values"][0]]} for c in study["claims"])
    return study


def predicted_twice_in_time(variant):
    study = example(variant)
    study["predictions"].append({"words": "Between 3.8 and 4.2 times less.", "date": "2026-11-02T09:30:00Z"})
    study["threats"] += ["A fourth thing that could go wrong here, and it would not matter much."]
    return study


globals().update(everything("capstone", {"capstone.checklist": [example, with_more_seeds, predicted_twice_in_time]}))


def judged(study, variant=VARIANT):
    return judge(find("capstone.checklist"), lambda case: answer(study, case), seed=0, variant=variant)


def change(path, value):
    """The example with one thing changed; `path` leads there."""

    def made():
        study = copy.deepcopy(example(VARIANT))
        place = study
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value
        return study

    return made


def one_seed():
    study = example(VARIANT)
    study["runs"] = [r for r in study["runs"] if r["seed"] == given("capstone", VARIANT).seed]
    return study


FAULTY = {
    "the example's own question": (change(("question",), QUESTION), "question", "one of your own"),
    "no question": (change(("question",), "Temperature."), "question", "question mark"),
    "no number": (change(("predictions", 0, "words"), "It will be better."), "prediction first", "number"),
    "after the runs": (change(("predictions", 0, "date"), "2026-11-03T11:00:00Z"), "prediction first", "is older than"),
    "one seed": (one_seed, "three seeds", "3 seeds or more"),
    "somebody else's seeds": (change(("runs", 0, "seed"), 7), "three seeds", "first seed of your variant"),
    "no hash": (change(("runs", 0, "name"), "run-1"), "runs noted", "hash"),
    "no settings": (change(("runs", 0, "config"), " "), "runs noted", "settings"),
    "no baseline": (change(("measures", 0, "values"), {"one draw": [1.0] * 3}), "baseline and chance", "to beat"),
    "impossible chance": (change(("measures", 0, "chance"), 50.0), "baseline and chance", "guessing"),
    "no unit": (change(("measures", 0, "unit"), ""), "baseline and chance", "unit"),
    "a claim on one value": (change(("claims", 0, "values"), [0.7]), "claims hold", "one for each seed"),
    "a seed that fails": (change(("claims", 0, "values"), [0.7, 0.7, 0.4]), "claims hold", "every seed"),
    "within the noise": (change(("claims", 0, "values"), [0.51, 0.9, 1.4]), "claims hold", "two standard deviations"),
    "true of nothing": (change(("claims", 0, "bound"), -0.5), "claims could fail", "nothing were going on"),
    "no null": (change(("claims", 1, "null"), None), "claims could fail", "nothing were going on"),
    "no width": (change(("intervals", 0, "high"), 0.0), "intervals", "two ends"),
    "no interval": (change(("intervals",), []), "intervals", "interval"),
    "no unit on an axis": (change(("figures", 0, "axes", 0, "y"), "spread"), "figures", "unit in brackets"),
    "no chance line": (change(("figures", 0, "axes", 0, "lines"), ["one draw"]), "figures", "chance"),
    "no words": (change(("figures", 0, "alt"), "a figure"), "figures", "sentence"),
    "two threats": (change(("threats",), ["Draws are normal by construction, nothing else."] * 2), "threats", "three"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTY)
def test_what_is_missing_costs_its_point_and_is_told(fault):
    study, item, says = FAULTY[fault]
    report = judged(study())
    lost = {part.name: " ".join(part.why) for part in report.parts if not part.passed}
    assert set(lost) == {item} and says in lost[item], lost


def test_every_item_has_a_fault_that_costs_it():
    assert {item for _, item, _ in FAULTY.values()} == set(ITEMS)


EMPTY = {name: [{}] for name in ("predictions", "runs", "claims", "measures", "figures", "intervals")}


@pytest.mark.parametrize("study", [None, 3, "x", [], {}, {"runs": 3}, EMPTY | {"threats": 7, "question": None}])
def test_whatever_is_handed_in_is_judged(study):
    assert judged(study).earned == 0


def test_last_years_study_loses_points():
    lost = {part.name for part in judged(example("2030"), "2031").parts if not part.passed}
    assert lost == {"three seeds"}


@dataclass
class Claimed:
    text: str
    values: tuple
    op: str = ">"
    bound: float = 0.5
    kind: str = "ordering"


def test_the_log_notes_what_the_checklist_reads(tmp_path):
    """From a loop of one's own to ten points."""
    from matplotlib.figure import Figure

    study, first = Study(tmp_path / "results.json"), given("capstone", VARIANT).seed
    study.predict("4 times less.")
    seeds = [first, first + 1, first + 2]
    found = {
        name: [float(np.random.default_rng(s).standard_normal((500, n)).mean(1).std()) for s in seeds]
        for name, n in (("one", 1), ("many", 16))
    }
    for name, values in found.items():
        for seed, value in zip(seeds, values, strict=True):
            study.ran(name, seed=seed, values=[value])
    study.measure("spread", found, unit="standard deviations", chance=1.0, baseline="one", range=(0, 5))
    figure = Figure()
    ax = figure.subplots()
    ax.scatter([1, 16], [1, 0.25], label="one")
    ax.axhline(1, label="chance")
    ax.set(xlabel="draws (number)", ylabel="spread (standard deviations)")
    assert study.figure(figure, "The spread falls from one to a quarter with sixteen draws.") is figure
    less = tuple(a - b for a, b in zip(found["one"], found["many"], strict=True))
    study.claims([Claimed("less", less), Claimed("positive", tuple(found["one"]))], null={"less": 0.0, "positive": 0.0})
    import torch

    study.interval(
        "spread", interval(lambda x: x.std(), torch.from_numpy(np.random.default_rng(0).standard_normal(500)), draws=20), 500
    )
    words = {"question": "How much less does a mean of sixteen spread?", "threats": example(VARIANT)["threats"]}
    report = judged(json.loads((tmp_path / "results.json").read_text()) | words)
    assert report.passed, str(report)


def test_the_log_keeps_the_first_prediction_and_what_was_there(tmp_path):
    study = Study(tmp_path / "results.json")
    study.predict("At least 3.")
    noted = study.notes["predictions"][0]["date"]
    study.ran("a", seed=1, values=[3.0])
    again = Study(tmp_path / "results.json")
    again.predict("At least 3.")
    assert again.notes["predictions"] == [{"words": "At least 3.", "date": noted}]
    again.predict("At least 2.")
    assert [p["words"] for p in again.notes["predictions"]] == ["At least 3.", "At least 2."] and len(again.notes["runs"]) == 1


def test_a_run_bears_the_date_on_which_it_was_trained(tmp_path):
    """A prediction after the fact is seen, also if the run is opened from the cache."""
    config = Config(steps=0, seed=987_654)
    study = Study(tmp_path / "results.json")
    run = study.run(config, "untrained")
    old = (datetime.now(UTC) - timedelta(days=30)).timestamp()
    for file in run.folder.iterdir():
        os.utime(file, (old, old))
    (tmp_path / "results.json").unlink()
    later = Study(tmp_path / "results.json")
    later.predict("It will be 7.")
    later.run(config, "untrained")
    (noted,) = later.notes["runs"]
    assert noted["date"] < later.notes["predictions"][0]["date"] and noted["name"] == run.folder.name
