"""The judge: ask an answer on every case, compare with the right one, give each part its points, name the mistakes."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from labkit.grading.asking import Asker, Outcome, answer
from labkit.grading.compare import difference, finite, shown
from labkit.grading.draw import PRACTICE
from labkit.grading.exercise import Case, Exercise, Mistake
from labkit.grading.report import Part, Report

UNKNOWN = (
    "None of the mistakes known here fits. Take a small input and work it out by hand: "
    'grading.example("{exercise}") gives you the first one that is tried.'
)
MORE = (
    "That explains a part of it; other inputs go wrong in a way that is not known here. "
    'Start with the mistake that is; grading.example("{exercise}") gives you an input to work through.'
)
PATIENCE = 2  # calls that may run out of time or die before the rest is not asked any more


@dataclass(frozen=True, eq=False)
class Seen:
    """A case, the right outcome, and the one under judgement."""

    case: Case
    right: Outcome
    got: Outcome

    @functools.cached_property
    def why(self) -> str:
        """What is wrong; empty if nothing is."""
        return told(self.got, self.right, self.case)


def judge(exercise: Exercise, asker: Asker, *, seed: int | str, variant: str = PRACTICE, graded: bool = True) -> Report:
    """Points by part, and the mistakes that were recognised.

    Args:
        exercise: what was asked.
        asker: takes a case and brings back the outcome: in this process, or out of a sandbox.
        seed: draws the inputs; an instructor's is secret.
        variant: of the assignment.
        graded: False in a student's notebook, where what could be found by trying is not tried.
    """
    worked = prepared(exercise, str(seed), variant)
    tried = [k for k, (case, _) in enumerate(worked) if graded or not case.only_graded]
    outcomes = asked(asker, [worked[k][0] for k in tried])
    seen = [Seen(*worked[k], got) for k, got in zip(tried, outcomes, strict=True)]
    parts = tuple(
        part(name, points, [each for each in seen if each.case.part == name]) for name, points in exercise.parts.items()
    )
    wrong = any(each.why and each.got.kind not in ("missing", "timeout", "killed") for each in seen)
    mistakes, left = recognised(exercise, seen, tried, str(seed), variant) if wrong else ([], 0)
    errors = {each.got.error for each in seen}
    note = errors.pop() if len(errors) == 1 else ""  # every call went wrong in the same way: that is said once
    if left and exercise.mistakes and not note:
        note = (MORE if mistakes else UNKNOWN).format(exercise=exercise.name)
    return Report(exercise.name, exercise.asks, parts, tuple(mistakes), note)


@functools.lru_cache(256)
def prepared(exercise: Exercise, seed: str, variant: str) -> list[tuple[Case, Outcome]]:
    """Each case with the right outcome."""
    return [(case, stated(exercise.right, case, variant)) for case in exercise.cases(seed, variant)]


def stated(function: Callable[..., Any], case: Case, variant: str) -> Outcome:
    """Where a value is asked for and no function, ours are functions of the variant."""
    return answer(function if case.inputs else function(variant), case)


@functools.lru_cache(4096)
def mistaken(exercise: Exercise, mutant: Callable[..., Any], seed: str, variant: str) -> list[Outcome]:
    """What a mutant answers to each case."""
    return [stated(mutant, case, variant) for case, _ in prepared(exercise, seed, variant)]


def asked(asker: Asker, cases: list[Case]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for case in cases:
        lost = [each for each in outcomes if each.kind in ("timeout", "killed")]
        if lost and (len(lost) >= PATIENCE or lost[0].kind == "killed"):
            outcomes.append(Outcome(error=f"not tried any more: {lost[0].error}", kind=lost[0].kind))
        elif outcomes and outcomes[0].kind == "missing":
            outcomes.append(outcomes[0])
        else:
            outcomes.append(asker(case))
    return outcomes


def told(got: Outcome, right: Outcome, case: Case) -> str:
    """How an outcome differs from the right one; empty if it does not."""
    if got.error:
        return got.error
    if case.accepts is not None:
        return refused(case.accepts, got.value)
    if why := difference(got.value, right.value, case.tolerance):
        return why
    for name, gradient in right.grads.items():
        if why := difference(got.grads.get(name), gradient, case.tolerance):
            still = name in got.grads and not bool(got.grads[name].any())
            return f"no gradient reaches {name}" if still else f"the gradient of {name}: {why}"
    return ""


def refused(accepts: Callable[[Any], bool | str], value: Any) -> str:
    """Why an answer is not among the right ones; whatever it is, the judge goes on."""
    try:
        verdict = accepts(value)
    except Exception:
        return f"got {shown(value)}, which is not the kind of answer that is asked for"
    return "" if verdict is True else verdict if isinstance(verdict, str) else "this is not right"


def part(name: str, points: float, seen: list[Seen]) -> Part:
    failed = [each for each in seen if each.why]
    whys = tuple(dict.fromkeys(f"{each.why}{f' ({each.case.says})' if each.case.says else ''}" for each in failed))
    return Part(name, points, None if not seen else 0.0 if failed else points, whys, len(seen), len(failed))


# ---------------------------------------------------------------- which mistake is it?


def recognised(exercise: Exercise, seen: list[Seen], tried: list[int], seed: str, variant: str) -> tuple[list[Mistake], int]:
    """The mistakes that explain the wrong cases, the best explanation first, and how many cases are left unexplained."""

    def explained(mutant: Callable[..., Any]) -> tuple[bool, set[int]]:
        outcomes = mistaken(exercise, mutant, seed, variant)
        return explains(seen, [outcomes[k] for k in tried])

    found: list[tuple[bool, set[int], tuple[Mistake, ...]]] = []
    for mistake in exercise.mistakes:
        found.append((*max(map(explained, mistake.mutants), key=rank), (mistake,)))
    numbers = any(each.why and sort(each.got) == "numbers" for each in seen)
    if numbers and not any(exact and cases for exact, cases, _ in found):
        found += [(*explained(mutant), pair) for pair, mutant in together(exercise.mistakes)]
    left, named = {k for k, each in enumerate(seen) if each.why}, list[Mistake]()
    for _, cases, mistakes in sorted(found, key=lambda each: (-rank(each[:2]), len(each[2]))):
        if cases & left:
            left -= cases
            named += [mistake for mistake in mistakes if mistake not in named]
    return named, len(left)


def rank(explanation: tuple[bool, set[int]]) -> int:
    """An explanation that contradicts nothing counts more than one of many cases."""
    return len(explanation[1]) + 1000 * explanation[0] * bool(explanation[1])


def explains(seen: list[Seen], outcomes: list[Outcome]) -> tuple[bool, set[int]]:
    """Whether a mutant's outcomes fit throughout, and the wrong cases that they explain; none if they contradict one."""
    cases, exact, in_numbers, elsewhere = set[int](), True, False, False
    for k, (each, theirs) in enumerate(zip(seen, outcomes, strict=True)):
        mine, wrong = sort(each.got), sort(theirs)
        if not told(theirs, each.right, each.case):
            exact &= not each.why or mine != "numbers"
            elsewhere |= mine == "not finite" != wrong
        elif mine == wrong:
            if wrong == "numbers" and not alike(each.got, theirs, each.case.tolerance):
                return False, set()
            in_numbers |= wrong == "numbers"
            cases |= {k} if each.why else set()
        else:
            exact &= mine == "not finite"
    if elsewhere and not in_numbers:  # NaN also where this mistake computes well: it is another one
        return False, set()
    return exact, cases


def sort(outcome: Outcome) -> str:
    if outcome.error:
        return outcome.kind
    return "numbers" if finite(outcome.value) and all(map(finite, outcome.grads.values())) else "not finite"


def alike(got: Outcome, theirs: Outcome, tolerance: float) -> bool:
    loose = max(2 * tolerance, 1e-5)  # two ways to compute the same wrong number
    return not difference(got.value, theirs.value, loose) and not any(
        difference(got.grads.get(name), gradient, loose) for name, gradient in theirs.grads.items()
    )


def together(mistakes: tuple[Mistake, ...]) -> list[tuple[tuple[Mistake, ...], Callable[..., Any]]]:
    """Pairs of mistakes whose mutants are switches of one function, with both switches on."""
    pairs: list[tuple[tuple[Mistake, ...], Callable[..., Any]]] = []
    for one, other in combinations(mistakes, 2):
        for a, b in ((a, b) for a in one.mutants for b in other.mutants):
            if isinstance(a, functools.partial) and isinstance(b, functools.partial) and a.func is b.func:
                pairs.append(((one, other), both(a, b)))
    return pairs


@functools.lru_cache(4096)
def both(a: functools.partial[Any], b: functools.partial[Any]) -> functools.partial[Any]:
    return functools.partial(a.func, *a.args, **{**a.keywords, **b.keywords})
