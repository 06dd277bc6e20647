"""What every exercise is held to: `everything("a1", RIGHT)` makes the tests of an assignment."""

import functools
import re
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from labkit.grading import EXERCISES, Exercise, Mistake, draw
from labkit.grading.asking import answer
from labkit.grading.judge import judge, stated

SEEDS = ("a secret", "another secret", 7)
CODE = re.compile(r"torch|\w\(\w*(, |=)\w*\)|\w\[[:\w]|==|\bdim=|\.\w+\(|@|\bdef\b|\breturn\b|\blambda\b|\*\*")


def exercises(assignment: str) -> list[Exercise]:
    draw.load(assignment)
    return [each for name, each in EXERCISES.items() if name.startswith(f"{assignment}.")]


@functools.lru_cache(None)  # several tests look at the same report
def graded(exercise: Exercise, function: Callable[..., Any], seed: Any, variant: str = "2031") -> Any:
    """The report on a function as the machine would grade it; without a sandbox."""
    return judge(exercise, lambda case: stated(function, case, variant), seed=seed, variant=variant)


def pairs(assignment: str) -> list[Any]:
    """Every mistake with every mutant of its own, of all exercises."""
    return [
        pytest.param(exercise, mistake, mutant, id=f"{exercise.name}-{mistake.name}-{k}")
        for exercise in exercises(assignment)
        for mistake in exercise.mistakes
        for k, mutant in enumerate(mistake.mutants)
    ]


def styles(assignment: str, right: dict[str, Iterable[Callable[..., Any]]]) -> list[Any]:
    return [
        pytest.param(exercise, function, id=f"{exercise.name}-{k}")
        for exercise in exercises(assignment)
        for k, function in enumerate(right.get(exercise.name, ()))
    ]


def everything(assignment: str, right: dict[str, Iterable[Callable[..., Any]]], seeds: Iterable[Any] = SEEDS) -> dict[str, Any]:
    """Tests by name, for `globals().update(everything(...))`."""

    def test_there_are_three_right_answers_in_different_styles():
        few = [each.name for each in exercises(assignment) if len(set(right.get(each.name, ()))) < 3]
        assert not few, f"fewer than three right answers: {few}"

    @pytest.mark.parametrize(("exercise", "function"), styles(assignment, right))
    def test_right_answers_keep_every_point(exercise: Exercise, function: Callable[..., Any]):
        for seed in seeds:
            report = graded(exercise, function, seed)
            assert report.earned == report.points, f"seed {seed!r}\n{report}"

    @pytest.mark.parametrize(("exercise", "mistake", "mutant"), pairs(assignment))
    def test_a_mutant_loses_exactly_its_points(exercise: Exercise, mistake: Mistake, mutant: Callable[..., Any]):
        for seed in seeds:
            report = graded(exercise, mutant, seed)
            lost = tuple(part.name for part in report.parts if not part.passed)
            assert set(lost) == set(mistake.loses) and lost, f"seed {seed!r}\n{report}"

    @pytest.mark.parametrize(("exercise", "mistake", "mutant"), pairs(assignment))
    def test_a_mutant_is_recognised_as_its_mistake(exercise: Exercise, mistake: Mistake, mutant: Callable[..., Any]):
        for seed in seeds:
            report = graded(exercise, mutant, seed)
            assert report.mistakes and report.mistakes[0].name == mistake.name, f"seed {seed!r}\n{report}"

    @pytest.mark.parametrize("exercise", exercises(assignment), ids=lambda each: each.name)
    def test_nothing_earns_nothing(exercise: Exercise):
        for blank in (lambda *inputs: None, lambda *inputs: 0, lambda *inputs: "", 3, None):
            report = judge(exercise, lambda case, blank=blank: answer(blank, case), seed="a secret", variant="2031")
            assert report.earned < report.points, f"{blank}\n{report}"
        assert judge(exercise, lambda case: answer(None, case), seed="a secret", variant="2031").earned == 0

    @pytest.mark.parametrize("exercise", exercises(assignment), ids=lambda each: each.name)
    def test_a_hint_is_not_the_answer(exercise: Exercise):
        assert len({mistake.name for mistake in exercise.mistakes}) == len(exercise.mistakes)
        for mistake in exercise.mistakes:
            assert len(mistake.hints) == len(set(mistake.hints)) == 3
            for words in (mistake.says, *mistake.hints):
                assert not CODE.search(words), f"{exercise.name}, {mistake.name}: {CODE.search(words)} in {words!r}"

    @pytest.mark.parametrize("exercise", exercises(assignment), ids=lambda each: each.name)
    def test_the_same_seed_draws_the_same(exercise: Exercise):
        first, again = (graded.__wrapped__(exercise, exercise.right, "a secret") for _ in range(2))
        assert first.earned == first.points and first == again

    return {name: test for name, test in locals().items() if name.startswith("test_")}
