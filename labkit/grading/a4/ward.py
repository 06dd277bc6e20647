"""The collapse clinic's ward: twelve runs, and what each of them has."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from labkit.grading.draw import Draw, given
from labkit.grading.exercise import Case, Mistake, exercise

BEDS = 12
# Two and two of the 32 patients have the same; a ward holds one of a pair at most, so that nobody meets a disease twice.
PAIRS: tuple[tuple[int, int], ...] = ((1, 24), (12, 8), (23, 14), (6, 28), (25, 27), (31, 9), (10, 19), (4, 22))
PAIRS += ((16, 15), (5, 11), (21, 0), (3, 13), (30, 7), (29, 20), (17, 26), (18, 2))
ALWAYS = ((6, 28), (29, 20))  # one of these is in every ward: their ranks lie above the band
# Who is missed by those who read only this, in the variant that the tests grade, "2031"; in others they lie in other beds.
MISSED = {
    "rank": ("bed 2", "bed 3", "bed 11"),
    "loss": ("bed 2", "bed 5", "bed 6", "bed 9", "bed 11"),
    "accuracy": ("bed 1", "bed 4", "bed 6"),
}
Run = dict[str, Any]


def drawn(draw: Draw) -> list[int]:
    """Who lies in beds 1 to 12, by their numbers among the 32."""
    sure = draw.pick(ALWAYS)
    rest = [pair for pair in PAIRS if pair != sure]
    ward = [draw.pick(pair) for pair in (sure, *(rest[k] for k in draw.permutation(len(rest))[: BEDS - 1]))]
    return [ward[k] for k in draw.permutation(BEDS)]


def cases(draw: Draw) -> list[Case]:
    """In the notebook only whether every bed has a diagnosis that there is; which are right is graded later."""
    from labkit.recipes.clinic import LABELS
    from labkit.recipes.course_collapse import beds

    def known(said: Any) -> bool | str:
        if isinstance(said, str) and said.strip().lower() in LABELS:
            return True
        return f"got {said!r}; it should be one of {', '.join(LABELS)}"[:400]

    runs = beds(given("a4", draw.variant).ward)
    asked = [
        Case("a diagnosis for every bed", {"bed": k, "run": run}, accepts=known, says=f"bed {k}") for k, run in runs.items()
    ]
    return asked + [Case(f"bed {k}", {"bed": k, "run": run}, only_graded=True) for k, run in runs.items()]


def has(run: Run) -> str:
    """What this patient has: found by the curves, wherever the patient lies."""
    from labkit.recipes.course_collapse import answer, patients

    for number, someone in enumerate(patients()):
        if someone["objective"] == run["objective"] and same(run["weights"], someone["weights"]):
            return answer(number)
    raise ValueError("nobody in the ward has such a run")


def same(curve: Tensor, stored: Any) -> bool:
    return all(a == b or (a != a and b != b) for a, b in zip(curve.tolist(), stored.tolist(), strict=True))


def otherwise(healthy: Callable[[Run], bool]) -> Callable[[int, Run], str]:
    """The right diagnosis, but for those who are taken to be healthy."""
    return lambda bed, run: "healthy" if healthy(run) else has(run)


def last(run: Run, meter: str) -> tuple[float, float, float]:
    """A meter at the last step, and the healthy band there."""
    return run[meter][-1].item(), run["low"][meter][-1].item(), run["high"][meter][-1].item()


def ranked(run: Run) -> bool:
    """Little spread at a high rank."""
    (rank, _, high), (spread, low, _) = last(run, "rank_z"), last(run, "spread")
    return rank > high and spread < low


def converged(run: Run) -> bool:
    value, _, high = last(run, "loss")
    return value <= high


def accurate(run: Run) -> bool:
    value, low, _ = last(run, "knn_unseen")
    return value >= low


@exercise(
    "a4.diagnosis",
    parts={"a diagnosis for every bed": 1.0, **{f"bed {k}": 1.0 for k in range(1, BEDS + 1)}},
    cases=cases,
    mistakes=(
        Mistake(
            "high-rank-is-healthy",
            "you call runs healthy whose rank is high, although their points have drawn together",
            (
                "Read the spread of those runs first, beside its band; for VICReg the length of the outputs.",
                "Lesson 03: which of two networks had the higher rank, the trained one or the collapsed one?",
                "Above its band is outside of it, too.",
            ),
            (otherwise(ranked),),
            MISSED["rank"],
            number=19,
        ),
        Mistake(
            "low-loss-is-healthy",
            "you call runs healthy whose loss is low enough; four diseases make it lower than any healthy run's",
            (
                "Hide the loss, and read the other ten meters.",
                "Which mistakes make the task easier, so that the loss falls further?",
                "A loss that is too good is a symptom. Where is the bottom of its band?",
            ),
            (otherwise(converged),),
            MISSED["loss"],
        ),
        Mistake(
            "accuracy-is-health",
            "you call runs healthy because neighbours name new images well enough",
            (
                "Which meters of those runs leave their bands, although accuracy does not?",
                "Some diseases do little harm to digits in 150 steps. Are they therefore absent?",
                "A diagnosis says what is, not how bad it is.",
            ),
            (otherwise(accurate),),
            MISSED["accuracy"],
        ),
    ),
)
def diagnosis(bed: int, run: Run) -> str:
    """What the run in this bed has: one of the twelve diseases of the clinic, or "healthy"."""
    return has(run)
