"""Who lost, who gained, and what to call it: from the whole softmax before and after."""

import functools
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from labkit import metrics, results
from labkit.data.preferences import OPENERS
from labkit.grading.a8.inputs import only
from labkit.grading.compare import numbers
from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise

SHARES, RECEIVERS, VERDICT = "shares", "receivers", "verdict"
ROSE, FELL, OPPOSITE = "rose", "fell", "fell to the opposite"
# Probabilities of: chosen, rejected, opposite, a paraphrase, a steady word, a rare word. The rest is shared by the others.
FATES = {
    "fell, to the opposite": ([0.30, 0.15, 0.05, 0.02, 0.40, 1e-6], [0.04, 0.002, 0.24, 0.06, 0.41, 1e-3]),
    "fell, to a paraphrase": ([0.40, 0.30, 0.08, 0.05, 0.12, 1e-6], [0.20, 0.010, 0.10, 0.52, 0.11, 1e-3]),
    "rose, and gained most": ([0.20, 0.30, 0.10, 0.05, 0.25, 1e-6], [0.38, 0.020, 0.14, 0.11, 0.24, 1e-3]),
    "rose, while the opposite gained most": ([0.20, 0.45, 0.10, 0.05, 0.15, 1e-6], [0.30, 0.020, 0.38, 0.08, 0.14, 1e-3]),
}


def made(draw: Draw, before: list[float], after: list[float], places: list[int], v: int) -> tuple[Tensor, Tensor]:
    """Logits of three prompts with about these probabilities at these places, each row moved by a number of its own."""
    found = []
    for masses in (before, after):
        rest = (1 - sum(masses)) / (v - len(masses))
        p = torch.full((3, v), rest, dtype=torch.float64)
        p[:, places] = torch.tensor(masses, dtype=torch.float64)
        noise = torch.from_numpy(draw.rng.uniform(-0.08, 0.08, (3, v)))
        found.append(p.log() + noise + 2 * draw.rows(3, 1, torch.float64))
    return found[0], found[1]


def cases(draw: Draw) -> list[Case]:
    tried: list[tuple[str, tuple[Tensor, Tensor], list[int]]] = []
    for masses in FATES.values():
        v = draw.integer(10, 14)
        places = draw.permutation(v)[:6]
        tried.append((f"made up, {v} words", made(draw, *masses, places, v), [places[0], places[1], places[2]]))
    kept = results.load("course_displacement")
    openers = [OPENERS.index(word) for word in ("No", "Never", "Yes")]
    for optimizer in ("Adam", "SGD"):
        run = draw.pick([k for k, row in enumerate(kept["opened_run"]) if kept["optimizer"][row] == optimizer])
        rows = tuple(torch.tensor(kept[name][run], dtype=torch.float32) for name in ("opened", "closed"))
        tried.append((f"a run of ours under {optimizer}", rows, openers))  # type: ignore[arg-type]
    found = []
    for says, (before, after), (chosen, rejected, opposite) in tried:
        inputs = {"before": before, "after": after, "chosen": chosen, "rejected": rejected, "opposite": opposite}
        right = functools.cache(partial(fate, **inputs))
        ways = {SHARES: only(right, ("margin", "chosen", "rejected", "rest")), VERDICT: only(right, ("verdict",))}
        ways[RECEIVERS] = takers(before, after)
        found += [Case(part, inputs, accepts=accepts, says=says) for part, accepts in ways.items()]
    return found


def takers(before: Tensor, after: Tensor) -> Callable[[Any], bool | str]:
    """Accepts the three words that gained most, the first one first; words whose gains are the same may change places."""
    gained = (after.double().softmax(-1) - before.double().softmax(-1)).mean(0)
    most = gained.sort(descending=True).values[:3]

    def accepts(got: Any) -> bool | str:
        ids = numbers(got.get("receivers")) if isinstance(got, dict) else None
        if ids is None or ids.shape != (3,) or len(ids.unique()) != 3:
            return "'receivers' should be the numbers of three words"
        if bool(((ids != ids.round()) | (ids < 0) | (ids >= len(gained))).any()):
            return "'receivers' should be numbers of words"
        theirs = gained[ids.long()]
        return bool(torch.allclose(theirs, most, rtol=0, atol=1e-6)) or "other words gained more probability than these"

    return accepts


def flawed(
    before: Tensor,
    after: Tensor,
    chosen: int,
    rejected: int,
    opposite: int,
    *,
    over: str = "all",
    unit: str = "",
    ranked_by: str = "gain",
    verdict_by: str = "",
    rest: str = "",
) -> dict[str, Any]:
    """Every usual mistake as a switch."""
    pair = [chosen, rejected, opposite]
    margin = ((after - before)[:, chosen] - (after - before)[:, rejected]).mean().item()
    if over == "candidates":
        hidden = torch.full_like(before, -torch.inf)
        hidden[:, pair] = 0
        p, q = ((x + hidden).softmax(-1).mean(0) for x in (before, after))
    else:
        p, q = (x.softmax(-1).mean(0) for x in (before, after))
    gained = (after - before).mean(0) if over == "logits" else q - p
    told = {"nats": (q.clamp(min=1e-30) / p.clamp(min=1e-30)).log(), "sums": len(before) * gained}.get(unit, gained)
    growth = (q.clamp(min=1e-30) / p.clamp(min=1e-30)).log()
    others = gained.index_fill(0, torch.tensor(pair[:2]), -1.0)
    order = {"log": growth, "after": q, "size": gained.abs(), "others": others}.get(ranked_by, gained)
    top = order.topk(3).indices.tolist()
    up = {"margin": margin > 0, "level": bool(q[chosen] > q[rejected])}.get(verdict_by, bool(gained[chosen] >= 0))
    share = {"level": 1 - q[chosen] - q[rejected], "opposite": gained[opposite], "nothing": torch.tensor(0.0)}.get(
        rest, -(told[chosen] + told[rejected])
    )
    sides = {"chosen": told[chosen].item(), "rejected": told[rejected].item(), "rest": float(share)}
    verdict = ROSE if up else OPPOSITE if top[0] == opposite else FELL
    verdict = OPPOSITE if verdict_by == "first" and top[0] == opposite else verdict
    if not up and verdict_by in ("among", "any gain"):
        verdict = OPPOSITE if opposite in top or (verdict_by == "any gain" and gained[opposite] > 0) else FELL
    return {"margin": margin, **sides, "receivers": top, "verdict": verdict}


MISTAKES = (
    Mistake(
        "margin-up-chosen-up",
        "you conclude from a grown margin that the chosen answer rose; here it fell",
        (
            "Compare your verdict with your own number for the chosen answer.",
            "Both answers lose, the rejected one more. What does the margin do? And what should the verdict be?",
            "A lead can grow while the leader falls. The verdict is about the leader, not about the lead.",
        ),
        (partial(flawed, verdict_by="margin"), partial(flawed, verdict_by="level")),
        (VERDICT,),
        36,
    ),
    Mistake(
        "receiver-before-fate",
        "your verdict looks at who gained most before it looks at the chosen answer: here that one rose, and for you it fell",
        (
            "Compare your verdict with your own number for the chosen answer.",
            "The rejected answer loses 0.43; the opposite gains 0.28 of it and the chosen answer 0.10. Did the latter fall?",
            "To whom it fell is worth asking only of an answer that fell.",
        ),
        (partial(flawed, verdict_by="first"),),
        (VERDICT,),
    ),
    Mistake(
        "opposite-not-first",
        "you say that it fell to the opposite because the opposite gained; somebody else gained more",
        (
            "Whom do you name in your verdict, and who is the first of your receivers?",
            "A chosen word loses 0.20. A paraphrase gains 0.47, the opposite 0.02. To whom did it fall?",
            "Nearly everybody gains a little when a pair loses. The verdict names the one who gained most.",
        ),
        (partial(flawed, verdict_by="among"), partial(flawed, verdict_by="any gain")),
        (VERDICT,),
    ),
    Mistake(
        "candidates-only",
        "you looked for receivers among the named answers only: others took the probability",
        (
            "Add up what you say everybody gained and lost. Over how many words does your sum run?",
            "If the chosen answer falls from 0.40 to 0.20 and both named rivals hardly gain, where is the rest?",
            "A softmax over three words hides every other one, and makes the three look larger than they are.",
        ),
        (partial(flawed, over="candidates"),),
        (SHARES, RECEIVERS, VERDICT),
        40,
    ),
    Mistake(
        "logits-for-probabilities",
        "you subtract logits: add 5 to each of them and nothing has happened, but your numbers change",
        (
            "What is conserved: the sum of the logits, or the sum of the probabilities?",
            "Add a constant to all logits of a row. Which of your numbers move?",
            "Go to probabilities first, within each row. Differences come after that.",
        ),
        (partial(flawed, over="logits"),),
        (SHARES, RECEIVERS, VERDICT),
        40,
    ),
    Mistake(
        "rare-word-wins",
        "you ranked receivers by the growth factor: a rare word that grew a thousandfold still holds next to nothing",
        (
            "How much probability does your first receiver hold at the end?",
            "One word goes from 0.000001 to 0.001, another from 0.05 to 0.24. Who took what the pair lost?",
            "Probability is what is conserved, so the accounts are kept in probability, not in its logarithm.",
        ),
        (partial(flawed, ranked_by="log"),),
        (RECEIVERS, VERDICT),
        40,
    ),
    Mistake(
        "largest-not-gained",
        "your receivers are the words that are likely now, and not those that gained",
        (
            "Was your first receiver likely before training, too?",
            "A word stands at 0.40 before and at 0.41 after. Did it receive much?",
            "Who received is a question about a difference.",
        ),
        (partial(flawed, ranked_by="after"),),
        (RECEIVERS, VERDICT),
    ),
    Mistake(
        "losers-as-receivers",
        "you ranked by the size of the change: those who lost most are among your receivers",
        (
            "Which sign has the change of your first receiver?",
            "Receivers are where the probability went. Could the rejected answer be one of them?",
            "A loss is a change as well. Only one direction was asked for.",
        ),
        (partial(flawed, ranked_by="size"),),
        (RECEIVERS, VERDICT),
    ),
    Mistake(
        "pair-left-out",
        "you left the pair out before you looked who gained: where the chosen word rose, it is a receiver itself",
        (
            "Who can be among the three words, and who cannot, in your function?",
            "A chosen word goes from 0.20 to 0.38, and nobody else gains so much. Who is first?",
            "Every word that can be said is looked at.",
        ),
        (partial(flawed, ranked_by="others"),),
        (RECEIVERS,),
    ),
    Mistake(
        "summed-over-prompts",
        "you add the gains of all prompts up where their mean is asked for: a probability could change by more than 1",
        (
            "How large can a change of a probability be at most? And yours, for three prompts?",
            "Put every prompt in twice. Your numbers should stay.",
            "Shares of a typical prompt are asked for, not of all of them together.",
        ),
        (partial(flawed, unit="sums"),),
        (SHARES,),
    ),
    Mistake(
        "gains-in-nats",
        "you report gains in nats: those of all words do not add up to 0, so nothing can be said about where the mass went",
        (
            "In which unit do the gains of all words add up to 0?",
            "Add up the gains of all words in your unit.",
            "Log-probabilities are for sequences; who took the mass is told in probability.",
        ),
        (partial(flawed, unit="nats"),),
        (SHARES,),
        40,
    ),
    Mistake(
        "rest-not-a-change",
        "your rest is not what all the others gained together",
        (
            "Add your three shares. What should their sum be?",
            "Is your rest a change or a level? And does it take in every word that was not named?",
            "Before and after, everything adds up to 1. So the changes add up to a number you know.",
        ),
        (partial(flawed, rest="level"), partial(flawed, rest="opposite"), partial(flawed, rest="nothing")),
        (SHARES,),
        40,
    ),
)


@exercise("a8.fate", parts={SHARES: 2, RECEIVERS: 2, VERDICT: 1}, cases=cases, mistakes=MISTAKES)
def fate(before: Tensor, after: Tensor, chosen: int, rejected: int, opposite: int) -> dict[str, Any]:
    """What each side gained in probability, the three words that received most, and a verdict on the chosen answer."""
    p, q = (x.softmax(-1).mean(0, keepdim=True) for x in (before, after))
    lead = before.log_softmax(-1), after.log_softmax(-1)
    gained = (q - p)[0]
    top = metrics.receivers(p.log(), q.log(), k=3).tokens[0].tolist()
    rose = bool(gained[chosen] >= 0)
    return {
        "margin": sum(((x[:, chosen] - x[:, rejected]).mean() * sign).item() for x, sign in zip(lead, (-1, 1), strict=True)),
        "chosen": gained[chosen].item(),
        "rejected": gained[rejected].item(),
        "rest": -(gained[chosen] + gained[rejected]).item(),
        "receivers": top,
        "verdict": ROSE if rose else OPPOSITE if top[0] == opposite else FELL,
    }
