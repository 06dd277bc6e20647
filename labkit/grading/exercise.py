"""An exercise: what is asked, the right answer, the inputs it is tried on, and the mistakes that are known by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from labkit.grading import draw

Answerer = Callable[..., Any]


@dataclass(frozen=True, eq=False)
class Case:
    """One call of the student's function.

    Attributes:
        part: the part of the exercise whose points hang on it.
        inputs: arguments in their order: tensors, numbers, words, lists, tuples and dicts of these. None at all means that
            the answer is a value and no function.
        grads: the inputs whose gradient, of the sum of the value, has to be right as well.
        tolerance: relative and absolute.
        accepts: decides where more than one answer is right; it returns True, or False, or the reason why not.
        says: what is special about the input, for the one who reads the report.
        only_graded: not tried in the notebook: a value that could be found by trying until the check is content.
    """

    part: str
    inputs: dict[str, Any]
    grads: tuple[str, ...] = ()
    tolerance: float = 1e-5
    accepts: Callable[[Any], bool | str] | None = None
    says: str = ""
    only_graded: bool = False


@dataclass(frozen=True)
class Mistake:
    """A misconception, the wrong answers that come of it, and the way out in three steps.

    Attributes:
        name: such as "anchor-in-denominator".
        says: the effect, to the student: "your denominator includes the anchor itself".
        hints: what to look at; a thought or an experiment; nearly there. Never the line to write.
        mutants: answers as those write them who are mistaken so.
        loses: the parts that each of them loses.
        number: of the forty that the course is built on, 0 for others.
    """

    name: str
    says: str
    hints: tuple[str, str, str]
    mutants: tuple[Answerer, ...]
    loses: tuple[str, ...]
    number: int = 0


@dataclass(frozen=True, eq=False)
class Exercise:
    """What `@exercise` makes of a right answer; calling it gives the right answer."""

    name: str
    right: Answerer
    parts: Mapping[str, float]
    draws: Callable[[draw.Draw], list[Case]]
    mistakes: tuple[Mistake, ...]
    seconds: float

    @property
    def assignment(self) -> str:
        return self.name.partition(".")[0]

    @property
    def function(self) -> str:
        """The name that the student's answer has in the notebook."""
        return self.name.partition(".")[2]

    @property
    def grade_id(self) -> str:
        """The name of the cell whose points these are."""
        return f"check_{self.name.replace('.', '_')}"

    @property
    def points(self) -> float:
        return sum(self.parts.values())

    @property
    def asks(self) -> str:
        return (self.right.__doc__ or "").strip().partition("\n")[0]

    def cases(self, seed: int | str, variant: str = draw.PRACTICE) -> list[Case]:
        cases = self.draws(draw.Draw(seed, self.name, variant))
        strange = {case.part for case in cases} ^ set(self.parts)
        if strange:
            raise ValueError(f"{self.name}: parts and cases do not agree about {', '.join(sorted(strange))}")
        return cases

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        return self.right(*inputs, **named)


EXERCISES: dict[str, Exercise] = {}


def exercise(
    name: str,
    *,
    parts: Mapping[str, float],
    cases: Callable[[draw.Draw], list[Case]],
    mistakes: tuple[Mistake, ...] = (),
    seconds: float = 10,
) -> Callable[[Answerer], Exercise]:
    """Register the function below as the right answer to `name`, such as "a1.nt_xent".

    Args:
        name: assignment and function.
        parts: the points of each part.
        cases: draws the inputs.
        mistakes: what goes wrong, by name.
        seconds: how long one call of an answer may take when it is graded.
    """

    def register(function: Answerer) -> Exercise:
        EXERCISES[name] = Exercise(name, function, dict(parts), cases, tuple(mistakes), seconds)
        return EXERCISES[name]

    return register


def find(name: str) -> Exercise:
    """The exercise of this name.

    Raises:
        ValueError: there is none; says which there are.
    """
    assignment = str(name).partition(".")[0]
    draw.load(assignment)
    if name not in EXERCISES:
        known = [each for each in EXERCISES if each.startswith(f"{assignment}.")]
        raise ValueError(f"there is no exercise {name!r}; there are {', '.join(known) or 'none yet'}")
    return EXERCISES[name]
