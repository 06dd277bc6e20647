"""A class that was graded, made from the exercises' own right answers and mistakes: what the tests of the page look at."""

import random
from dataclasses import replace

from labkit.course.records import Answer, Part, Record
from labkit.grading import EXERCISES, find, judge
from labkit.grading.asking import answer as ask
from labkit.grading.draw import load

NAMES = (
    "ada anders bianca chidi chloe dmitri elif emeka farah goran hana hugo imani ines jonas kavya keiko leila liam lin maja "
    "mateo nadia noor oskar priya quentin rosa samir yusuf"
).split()
SOURCE = """def nt_xent({a}, {b}, temperature):
    {z} = torch.nn.functional.normalize(torch.cat([{a}, {b}]), dim=1)
    {s} = torch.einsum("id,jd->ij", {z}, {z}).div(temperature)
    {s}.fill_diagonal_(float("-inf"))
    partner = torch.arange(len({z})).roll(len({a}))
    return {s}.logsumexp(1).sub({s}[torch.arange(len({z})), partner]).mean()
"""


def judged(name, function, seed="secret"):
    report = judge(find(name), lambda case: ask(function, case), seed=seed)
    parts = tuple(Part(p.name, p.earned, p.points, p.why) for p in report.parts)
    mistakes, says = zip(*((m.name, m.says) for m in report.mistakes), strict=True) if report.mistakes else ((), ())
    cell = find(name).grade_id
    return Answer(cell, name, report.earned, report.points, f"def {name.partition('.')[2]}(): ...", True, parts, mistakes, says)


def graded_class(assignment="a1", names=NAMES, seed=0):
    """Most are right or have one mistake in some exercise; a few are late, hostile, damaged, alike."""
    load(assignment)
    draw = random.Random(seed)
    exercises = [n for n in EXERCISES if n.startswith(f"{assignment}.")]
    options = {n: [judged(n, find(n))] * 3 + [judged(n, m.mutants[0]) for m in find(n).mistakes] for n in exercises}
    records = []
    for k, name in enumerate(names):
        answers = [draw.choice(options[n][: 3 if draw.random() < 0.55 else None]) for n in exercises]
        answers.append(Answer("essay", "", None, 3.0, "Because the floor falls.", by_hand=True))
        when = f"2026-10-{11 + (k % 7 == 0)} {8 + k % 12:02d}:{k:02d}:00 UTC"
        records.append(
            Record(name, f"{assignment}_infonce", "2026", "a1_infonce.ipynb", "", when, tuple(answers),
                   isolation="bubblewrap", seconds=3 + draw.random() * 4)
        )  # fmt: skip
    return special(records)


def special(records):
    """The ones that an instructor must not miss."""
    found = list(records)
    blank = tuple(replace(a, earned=0.0, changed=False, parts=(), mistakes=(), says=()) for a in found[3].answers)
    found[3] = replace(found[3], answers=blank)
    slow = replace(found[7].answers[0], timeouts=2, earned=0.0, seconds=20.4)
    found[7] = replace(found[7], answers=(slow, *found[7].answers[1:]), seconds=27.9)
    flags = ("the cell of nt_xent tried to open a file outside its folder", "it replaced labkit.grading.check")
    killed = replace(found[9].answers[0], kills=1, earned=0.0)
    found[9] = replace(found[9], flags=flags, errors=("sys.exit() in cell 12",), answers=(killed, *found[9].answers[1:]))
    mended = ("2 grade cells were gone and came back from the release", "Windows line endings were changed to plain ones")
    found[12] = replace(found[12], repairs=mended)
    found[15] = replace(found[15], repairs=("the notebook was called solution-final(3).ipynb",))
    for k, names in ((5, {"a": "u", "b": "v", "z": "both", "s": "cos"}), (21, {"a": "x", "b": "y", "z": "w", "s": "m"})):
        mine = [replace(a, source=SOURCE.format(**names)) if a.exercise == "a1.nt_xent" else a for a in found[k].answers]
        found[k] = replace(found[k], answers=tuple(mine))
    return found
