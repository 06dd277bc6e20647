"""The same question asked twice: of one embedding weighed anew, and of models trained anew."""

from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import normalize

from labkit.grading.a2.runs import KINDS, Run, held_back
from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise
from labkit.metrics.hardness import push_share


def cases(draw: Draw) -> list[Case]:
    def toy() -> list[Run]:
        """Five models of seven points, not normalised, in classes of one, two and four."""
        labels, rows = draw.labels(), draw.rows(7, 3, torch.float64)
        temperatures = [draw.numbers(low, 2 * low) for low in (0.05, 0.1, 0.2, 0.4, 0.8)]
        wander = [draw.rows(7, 3, torch.float64) for _ in temperatures]
        pairs = zip(temperatures, wander, strict=True)
        runs = [{"temperature": t, "z": 2 * rows + t * more, "labels": labels} for t, more in pairs]
        return [runs[k] for k in draw.permutation(5)]

    def real(kind: str) -> list[Run]:
        return [{name: run[name] for name in ("temperature", "z", "labels")} for run in held_back(draw, kind, seeds=1)]

    return [
        Case(how, {"runs": runs, "how": how}, says=says)
        for how in ("re-weigh", "re-train")
        for runs, says in ((toy(), "seven points"), (real(draw.pick(KINDS)), "held-back runs"))
    ]


def flawed(
    runs: list[Run],
    how: str,
    *,
    always: str = "",
    itself: bool = False,
    singles: bool = True,
    raw: bool = False,
    one_temperature: bool = False,
    others: bool = False,
    counted: bool = False,
) -> list[float]:
    """Each run's push on the own class, with switches for what goes wrong."""
    found = []
    for run in runs:
        weighed = runs[0] if (always or how) == "re-weigh" else run
        z = weighed["z"] if raw else normalize(weighed["z"], dim=1)
        temperature = runs[0]["temperature"] if one_temperature else run["temperature"]
        own = weighed["labels"][:, None] == weighed["labels"]
        eye = torch.eye(len(z), dtype=torch.bool)
        logits = z @ z.T / temperature
        shares = (logits if itself else logits.masked_fill(eye, -torch.inf)).softmax(1)
        own = own if itself else own & ~eye
        if counted:
            shares = torch.ones_like(shares).masked_fill(eye, 0) / (len(z) - 1)
        mine = (shares * own).sum(1)
        mine = 1 - mine if others else mine
        found.append(float(mine.mean() if singles else mine[own.any(1)].mean()))
    return found


MISTAKES = (
    Mistake(
        "reweighed-not-retrained",
        "you turned the temperature on one fixed embedding where the question was about models trained at each temperature",
        (
            "How many different embeddings went into your answer about re-training?",
            "Mix the rows of all runs but the first. Does your answer change? It should.",
            "Each run brings both: the temperature it was trained at, and the embedding that came of it.",
        ),
        (partial(flawed, always="re-weigh"),),
        ("re-train",),
        6,
    ),
    Mistake(
        "retrained-not-reweighed",
        "you changed the embedding along with the temperature: that answers what training does, not what the weights do",
        (
            "The theorem about the nearest negatives is about a fixed embedding. Is yours fixed?",
            "Give it five times the same temperature. Should five numbers of re-weighing differ?",
            "One embedding, that of the first run, and five temperatures.",
        ),
        (partial(flawed, always="re-train"),),
        ("re-weigh",),
        6,
    ),
    Mistake(
        "one-temperature",
        "you weighed every run at the same temperature",
        (
            "Which temperature goes into your shares, for the last run?",
            "Which number of a run did you never read?",
            "The push of a loss is measured at the temperature of that loss.",
        ),
        (partial(flawed, one_temperature=True),),
        ("re-weigh", "re-train"),
    ),
    Mistake(
        "anchor-in-own-class",
        "the anchor counts as a member of its own class, and takes most of the push at low temperature",
        (
            "What do you find at temperature 0.01, and why is it nearly 1?",
            "A class with a single member: how much of its push can fall on its own class?",
            "Nobody pushes himself. Strike the anchor out before shares are formed, not only afterwards.",
        ),
        (partial(flawed, itself=True),),
        ("re-weigh", "re-train"),
        1,
    ),
    Mistake(
        "lonely-anchors-left-out",
        "anchors without class mates drop out of your mean; nothing of their push falls on their class, and that counts",
        (
            "Over how many anchors do you average?",
            "Take a class with a single member. How much of its push falls on its own class?",
            "None of it is a number, too.",
        ),
        (partial(flawed, singles=False),),
        ("re-weigh", "re-train"),
    ),
    Mistake(
        "raw-products",
        "your shares come from dot products, not from cosines",
        (
            "Are the rows of a run of length one?",
            "Multiply an embedding by ten. Does your number change?",
            "The loss saw cosines; so must the shares.",
        ),
        (partial(flawed, raw=True),),
        ("re-weigh", "re-train"),
        5,
    ),
    Mistake(
        "on-the-others",
        "your number is the push on the other classes",
        (
            "Which part of a row did you add up?",
            "In an untrained network, with ten classes of equal size: should your number be near 0.1, or near 0.9?",
            "Asked for is what falls on the anchor's own class.",
        ),
        (partial(flawed, others=True),),
        ("re-weigh", "re-train"),
    ),
    Mistake(
        "heads-counted",
        "you counted class mates instead of weighing them: that is what an even push would be",
        (
            "Does your number depend on the temperature?",
            "Move one class mate far away: it is pushed less. Does your number fall?",
            "Each negative counts with its share of the push.",
        ),
        (partial(flawed, counted=True),),
        ("re-weigh", "re-train"),
    ),
)


@exercise("a2.own_push", parts={"re-weigh": 1, "re-train": 2}, cases=cases, mistakes=MISTAKES)
def own_push(runs: list[Run], how: str) -> list[float]:
    """For each run, how much of the push falls on the anchor's own class: one embedding weighed anew, or each run's own."""

    def share(run: Run, at: float) -> float:
        z: Tensor = run["z"]
        return float(push_share(z, run["labels"], temperature=at))

    return [share(runs[0] if how == "re-weigh" else run, run["temperature"]) for run in runs]
