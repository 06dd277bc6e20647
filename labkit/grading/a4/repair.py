"""One setting of a sick run is wrong: which, and what should it be? Judged by training the run again, from other seeds."""

from collections.abc import Callable
from typing import Any

from labkit.grading.draw import Draw, given, givens
from labkit.grading.exercise import Case, Mistake, exercise

WELL = {"alignment": 1.0, "variance": 1.0, "covariance": 1.0, "weight_decay": 0.03, "lr": 0.08}
USUAL = {"alignment": (0.7, 1.4), "variance": (1, 2), "covariance": (0.7, 1.4), "weight_decay": (0.01, 0.1), "lr": (0.06, 0.1)}
ILL = {"alignment": (60, 120), "variance": (0.01, 0.03), "covariance": (0.002, 0.01), "weight_decay": (9, 16)}


def sick(draw: Draw) -> dict[str, float]:
    """Settings as healthy runs have them, no two alike, but for one by which this run falls ill."""
    settings = {name: draw.numbers(*ends) for name, ends in USUAL.items()}
    wrong = draw.pick(list(ILL))
    return {**settings, wrong: draw.numbers(*ILL[wrong])}


@givens("a4")
def gives(draw: Draw) -> dict[str, Any]:
    """Who lies in which bed of the ward, and the run that is to be repaired."""
    from labkit.grading.a4.ward import drawn

    return {"ward": drawn(draw), "sick": sick(draw)}


def asked(variant: str) -> dict[str, float]:
    settings: dict[str, float] = given("a4", variant).sick
    return settings


def cases(draw: Draw) -> list[Case]:
    settings, seeds = asked(draw.variant), [draw.integer(1000, 10**6) for _ in range(2)]
    return [
        Case("one change", {}, accepts=lambda answer: single(plain(answer), settings)),
        *(Case("recovers", {}, accepts=recovers(settings, seed), says=f"trained from seed {seed}") for seed in seeds),
    ]


def single(answer: Any, settings: dict[str, float]) -> bool | str:
    """Whether the answer is one setting with a new value; else why not."""
    if not isinstance(answer, dict) or len(answer) != 1:
        return "the answer should be a dict with one setting and its new value"
    ((name, value),) = answer.items()
    if name not in settings:
        return f"there is no setting {name!r}; there are {', '.join(settings)}"
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
        return f"{name} should be a number, 0 or more"
    return True if value != settings[name] else f"{name} is {value:g} already: nothing was changed"


def recovers(settings: dict[str, float], seed: int) -> Callable[[Any], bool | str]:
    def judged(answer: Any) -> bool | str:
        from labkit.recipes.course_repair import lacks, train

        if isinstance(why := single(plain(answer), settings), str):
            return f"not trained: {why}"
        found = lacks(train({**settings, **plain(answer)}, seed))
        return f"it does not recover: {found}" if found else True

    return judged


def plain(answer: Any) -> Any:
    """Numbers of one-number tensors too."""
    if not isinstance(answer, dict):
        return answer
    return {name: value.item() if hasattr(value, "item") and value.numel() == 1 else value for name, value in answer.items()}


def wrong_place(variant: str) -> str:
    """The one setting that makes this run ill."""
    return next(name for name, value in asked(variant).items() if not USUAL[name][0] <= value <= USUAL[name][1])


def unpulled(variant: str) -> dict[str, float]:
    return {"alignment": 0.0}


def everything(variant: str) -> dict[str, float]:
    return dict(WELL)


def untouched(variant: str) -> dict[str, float]:
    name = wrong_place(variant)
    return {name: asked(variant)[name]}


@exercise(
    "a4.repair",
    parts={"one change": 1.0, "recovers": 3.0},
    cases=cases,
    mistakes=(
        Mistake(
            "rank-and-scale-of-nothing-learned",
            "scale and rank look well because the run has learned nothing: its views do not agree",
            (
                "Print the agreement of the run that you have repaired, beside that of the healthy one.",
                "An untrained network has a high rank, too. What is a run trained for?",
                "Keep what the run is to learn, and find what pushes it over.",
            ),
            (unpulled,),
            ("recovers",),
            number=19,
        ),
        Mistake(
            "everything-at-once",
            "you replaced several settings: the run may recover, and nobody knows of what",
            (
                "How many entries has your answer?",
                "A diagnosis names one cause. Which of your changes made the difference? Try them one at a time.",
                "Start from the sick settings, and change one.",
            ),
            (everything,),
            ("one change", "recovers"),
        ),
        Mistake(
            "nothing-changed",
            "the setting that you name has this value already",
            (
                "Print the settings of the sick run beside yours.",
                "You have found the place. Which value do healthy runs have there?",
                "Train it with some values of this setting, and look at all three numbers.",
            ),
            (untouched,),
            ("one change", "recovers"),
        ),
    ),
    seconds=60,
)
def repair(variant: str) -> dict[str, float]:
    """One setting of the sick run and its new value, with which it recovers from seeds that you have not seen."""
    name = wrong_place(variant)
    return {name: WELL[name]}
