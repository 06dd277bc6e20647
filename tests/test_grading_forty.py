"""Over all assignments: each of the forty misconceptions has its name, hints keep the house rules, and new mutants lose points.

The new mutants are made from the right answers by changing their source in one place (`source_mutants`). A sample is tried;
`LABKIT_MUTANTS=all` tries them all. One that keeps its points is right all the same, or else a case is missing: it is asked
on inputs that no case has, near those that the cases have, and where it differs there, the test fails.
"""

import contextlib
import importlib
import os
import random
import re
import signal
from itertools import combinations

import pytest
import torch
from grading_cases import CODE, SEEDS, graded
from source_mutants import changes

from labkit import pairs
from labkit.grading import EXERCISES, draw
from labkit.grading.asking import answer
from labkit.grading.compare import difference
from labkit.grading.exercise import Case
from labkit.grading.judge import mistaken, prepared, sort

ASSIGNMENTS = [name for name in draw.ASSIGNMENTS if name != "capstone"]
for assignment in ASSIGNMENTS:
    draw.load(assignment)
OURS = [each for name, each in EXERCISES.items() if name.partition(".")[0] in ASSIGNMENTS]
EVERY = os.environ.get("LABKIT_MUTANTS") == "all"
SAMPLE, SEED, VARIANT = 4, SEEDS[0], "2031"
QUICK = 10  # seconds that a student has for one call; where it is more, answers train
each_exercise = pytest.mark.parametrize("exercise", OURS, ids=lambda each: each.name)


def test_each_of_the_forty_has_a_name():
    known = {mistake.number for exercise in OURS for mistake in exercise.mistakes}
    assert not set(range(1, 41)) - known, "nobody recognises these"
    assert known <= set(range(41))


# ---------------------------------------------------------------- words


# An equation (a number may be named: "at z = 0"), mathematics as it is typeset, a name from PyTorch.
FORMULA = re.compile(r"=(?! *-?\d)|[\^\\Σ∑√∂{}$]|\b(logsumexp|matmul|einsum|unsqueeze|keepdim|masked_fill)\b")


ASKS = re.compile(r"\?|\b(Look|Print|Take|Compare|Count|Compute|Write|Move|Put|Draw|Check|Shift|Add|Plot|Give|Let|Set)\b")


@each_exercise
def test_a_hint_speaks_to_the_reader_and_gives_nothing_away(exercise):
    for mistake in exercise.mistakes:
        spoken = " ".join((mistake.says, *mistake.hints))
        assert re.search(r"\b[Yy]ou", spoken) or ASKS.search(spoken), f"{mistake.name} speaks to nobody"
        assert not re.search(r"\bstudents?\b|\bI\b|\bwe\b", spoken), f"{mistake.name} speaks about somebody else"
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", mistake.name), mistake.name
        for words in (mistake.says, *mistake.hints):
            found = FORMULA.search(re.sub("`[^`]*`", "", words)) or CODE.search(
                words
            )  # in ticks stands the name of an argument
            assert not found, f"{exercise.name}, {mistake.name}: {found[0]!r} in {words!r}"


def answers(source):
    """The lines of the answers in an assignment's source, without blanks."""
    for block in re.findall(r"### BEGIN SOLUTION\n(.*?)### END SOLUTION", source.read_text(encoding="utf-8"), re.DOTALL):
        yield from (re.sub(r"^# |\s+", "", line) for line in block.splitlines() if len(line.strip()) > 12)


def test_no_line_of_an_answer_stands_in_a_hint():
    sources = [p for p in pairs.scripts() if p.parent.name != "notebooks"]
    lines = {line for source in sources for line in answers(source)}
    assert len(lines) > 100
    for exercise in OURS:
        for mistake in exercise.mistakes:
            text = re.sub(r"\s+", "", " ".join((mistake.says, *mistake.hints)))
            assert not [line for line in lines if line in text], f"{exercise.name}, {mistake.name}"


# ---------------------------------------------------------------- behaviour


def same(a, b, tolerance):
    """Whether nobody could tell these two outcomes apart."""
    if sort(a) != sort(b) or sort(a) != "numbers":
        return sort(a) == sort(b)
    return not difference(a.value, b.value, tolerance) and not any(
        difference(a.grads[name], gradient, tolerance) for name, gradient in b.grads.items()
    )


@each_exercise
def test_no_two_mistakes_of_an_exercise_behave_alike(exercise):
    if exercise.seconds > QUICK:
        pytest.skip("trains: its own tests know its mistakes apart")
    worked = prepared(exercise, SEED, VARIANT)
    for one, other in combinations(exercise.mistakes, 2):
        for a, b in ((a, b) for a in one.mutants for b in other.mutants):
            outcomes = zip(worked, mistaken(exercise, a, SEED, VARIANT), mistaken(exercise, b, SEED, VARIANT), strict=True)
            assert not all(same(x, y, case.tolerance) for (case, _), x, y in outcomes), f"{one.name} is {other.name}"


# ---------------------------------------------------------------- new mutants


class TooSlow(BaseException):
    """A changed answer runs on and on; not an error of its own, which would be judged."""


@contextlib.contextmanager
def patience(seconds):
    def stop(*_):
        raise TooSlow

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def right_answers(exercise):
    module = importlib.import_module(f"right.{exercise.assignment}")
    return module.RIGHT.get(exercise.name, ())


def shaken(value, generator):
    """Something near an input of a case: other numbers, and the same shapes, words and signs."""
    if isinstance(value, torch.Tensor) and value.is_floating_point():
        return value * (1 + 0.3 * torch.rand(value.shape, generator=generator, dtype=torch.float64)).to(value.dtype)
    if isinstance(value, float):
        return value * (0.8 + 0.4 * torch.rand((), generator=generator).item())
    if isinstance(value, (list, tuple)):
        return type(value)(shaken(item, generator) for item in value)
    return {key: shaken(item, generator) for key, item in value.items()} if isinstance(value, dict) else value


def wordless(value):
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return not isinstance(value, str) and all(map(wordless, inside))


def nearby(exercise):
    """Cases at other seeds, and cases near them: what a right answer may be asked as well. A word is not asked for near a case:
    there the right one may be another."""
    generator = torch.Generator().manual_seed(0)
    for seed in ("one", "two", "three"):
        for case in exercise.cases(seed, VARIANT):
            if case.inputs and case.accepts is None:
                yield case
                if wordless(answer(exercise.right, case).value):
                    inputs = {name: shaken(value, generator) for name, value in case.inputs.items()}
                    yield Case(case.part, inputs, case.grads, max(case.tolerance, 1e-4), says="and near it")


def wrong(exercise, change):
    """Where a changed answer differs from the right one and from what it was, on inputs that no case has."""
    for case in nearby(exercise):
        right = answer(exercise.right, case)
        if sort(right) == "numbers" and not same(answer(change.function, case), right, 10 * case.tolerance):
            before = answer(change.right, case)
            if same(before, right, case.tolerance):  # else this is no input for the exercise
                return case
    return None


def keeps(exercise, function):
    """Whether a changed answer keeps every point. Where a value is asked for, making it may fail, and then there is none."""
    try:
        return graded(exercise, function, SEED).earned == exercise.points
    except Exception:
        return False


def survivors(exercise):
    """Changed answers that keep every point and are wrong, in words; and how many were tried."""
    made = [change for function in right_answers(exercise) for change in changes(function)]
    random.Random(exercise.name).shuffle(made)
    chosen, found = made if EVERY else made[:SAMPLE], []
    for change in chosen:
        with contextlib.suppress(TooSlow), patience(5):
            if keeps(exercise, change.function) and (case := wrong(exercise, change)):
                found.append(f"{change.says}   (differs at: {case.part}, {case.says})")
    return found, len(chosen)


@pytest.mark.filterwarnings("ignore")  # of changed answers; they would be errors, and lose their points for that
@each_exercise
def test_new_mutants_lose_points(exercise):
    if exercise.seconds > QUICK:
        pytest.skip("trains: too slow to be tried again and again")
    found, tried = survivors(exercise)
    assert not found, f"{len(found)} of {tried} wrong answers keep all points:\n" + "\n".join(found)


def test_the_changes_are_changes():
    """What is tried above is no copy, and enough of it there is."""
    few = [exercise for exercise in OURS if exercise.assignment in ("a1", "a5")]
    made = [change for exercise in few for function in right_answers(exercise) for change in changes(function)]
    assert len(made) > 1000
    kinds = (
        "another operator",
        "only the left",
        "sum for mean",
        "no detach",
        "no masked_fill",
        "detached",
        "the opposite",
        "0 for 1",
    )
    assert all(any(f": {kind}" in change.says for change in made) for kind in kinds)
