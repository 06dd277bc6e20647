"""From numbers to a verdict, its evidence in sentences, and the remedy to try next."""

from typing import Any

from labkit import metrics
from labkit.diagnose.evidence import FLAT, Movement, above, below, mean_of, nats
from labkit.diagnose.report import Diagnosis
from labkit.metrics import Estimate

WATCH = 0.02  # probability: so much for the contrary is worth a warning even where the answers rose
GAINED = 1e-3  # probability: a kind of word that gained less took nothing
REWARD = (
    "Add a term that rewards the chosen answer by itself: labkit's `rpo` or `dpop`; in TRL loss_type=['sigmoid', 'sft'] with a "
    "small weight for 'sft'. Another link (IPO, SimPO) moves the policy along the same line: compare at equal margin."
)
DROP = "Drop the worst 5 % of the pairs, `drop_worst(scores(pairs, model))`, and a random 5 % as control."
REMEDIES = {
    "no displacement": ("Nothing to mend. Keep watching a fixed set of pairs: a later stage of training can turn.",),
    "fell": (REWARD, DROP),
    "fell and the opposite gained": (
        "Act before this policy answers anyone: the contrary of what was preferred became likelier.",
        REWARD,
        "Where the two answers say nearly the same, put the contrary that gained in the rejected one's place.",
        DROP,
    ),
    "fell and near-paraphrases gained": (
        "Read what the policy says now: what gained says nearly the same as the chosen answers, and may be as good.",
        "If the very words matter: rejected answers that share less of the chosen one, or a term rewarding it (`rpo`, `dpop`).",
        DROP,
    ),
    "rejected rises": (
        "The rejected answers became likelier. Check that the two columns are not swapped and that the answers differ.",
        "If they are right: less weight on a term that rewards the chosen answer alone, more steps, or a larger beta.",
    ),
    "cannot tell": (),
}


def decide(chosen: Estimate, rejected: Estimate | None, flat: float = FLAT) -> str:
    """Did they fall, rise, or stay within the noise?"""
    if below(chosen, 0) and chosen.value < -flat:
        return "fell"
    if rejected is not None and above(rejected, flat):
        return "rejected rises"
    return "no displacement" if above(chosen, -flat) else "cannot tell"


def who(verdict: str, movement: Movement, gains: dict[str, Estimate]) -> str:
    """Of answers that fell: who has what they lost?

    What they lost after the fork with the rejected answer went to other endings of the same opening, by conservation. What they
    lost up to it went to other openings.
    """
    if verdict != "fell" or movement.received is None or movement.opening is None or movement.ending is None:
        return verdict
    if movement.ending.mean() < movement.opening.mean():
        return "fell and near-paraphrases gained"
    taken = {kind: gain for kind, gain in gains.items() if gain.value > GAINED and gain.low > 0}
    kind = max(taken, key=lambda k: taken[k].value, default="other")
    return {"opposite": "fell and the opposite gained", "similar": "fell and near-paraphrases gained"}.get(kind, "fell")


def judge(movement: Movement, **more: Any) -> Diagnosis:
    """The Diagnosis of a Movement; `more` are fields that were found elsewhere, and their sentences as `said`."""
    chosen = mean_of(movement.chosen, population=movement.population)
    rejected = margin = None
    if movement.rejected is not None:
        rejected = mean_of(movement.rejected, population=movement.population)
        margin = mean_of(movement.chosen - movement.rejected, population=movement.population)
    gains = (
        {}
        if movement.received is None
        else {k: mean_of(x, population=movement.population) for k, x in movement.received.kinds.items()}
    )
    verdict = who(decide(chosen, rejected), movement, gains)
    said = tuple(more.pop("said", ()))
    return Diagnosis(
        level=movement.level,
        verdict=verdict,
        n=len(movement.chosen),
        chosen=chosen,
        rejected=rejected,
        margin=margin,
        fallen=(movement.chosen < 0).double().mean().item(),
        opening=None if movement.opening is None else movement.opening.mean().item(),
        ending=None if movement.ending is None else movement.ending.mean().item(),
        gains=gains,
        receivers=() if movement.received is None else movement.received.top,
        curves=movement.curves,
        evidence=(*moved(movement, chosen, rejected, margin), *took(movement, gains), *said, *movement.notes),
        remedies=REMEDIES[verdict],
        **more,
    )


def moved(movement: Movement, chosen: Estimate, rejected: Estimate | None, margin: Estimate | None) -> list[str]:
    """How far the answers moved, and how sure that is."""
    x, n = movement.chosen, len(movement.chosen)
    fell = int((x < 0).sum())
    found = [f"Chosen answers moved by {nats(chosen)} on average over {n} pair{'s' * (n > 1)}; {fell} of {n} fell."]
    if chosen.value > 0 and x.min() < -FLAT:
        found[0] += f" The mean hides those that fell, by up to {-x.min().item():.2f} nats."
    if chosen.low <= 0 <= chosen.high and chosen.low < chosen.high:
        found.append("That is within the noise: another sample of as many pairs could as well have moved the other way.")
    if n == 1:
        found.append("One pair: it says nothing about others.")
    elif movement.population is not None and n >= movement.population:
        spread = mean_of(x)
        found.append(f"These are all pairs of the run. Another set of {n} like them would have moved by {nats(spread)}.")
        if spread.low <= 0 <= spread.high and spread.low < spread.high:
            found.append("So for pairs that were not looked at this is within the noise.")
    if rejected is not None and margin is not None:
        found.append(
            f"Rejected answers moved by {nats(rejected)}; the margin by {nats(margin)}, which says nothing of the chosen ones."
        )
        if abs(chosen.value) < FLAT and abs(rejected.value) < FLAT:
            found.append("Neither answer moved: training did not reach these pairs, or their two answers are the same.")
        if below(margin, 0):
            found.append("The margin shrank: the columns are swapped, or a term that rewards the chosen answers lifts both.")
    if movement.start is not None and movement.rejected is not None:
        found.append(ranked(movement))
    if movement.opening is not None and movement.ending is not None:
        parts = f"{movement.opening.mean():+.2f} nats up to the first token that the rejected answer does not share"
        found.append(f"Of the chosen answers' change came {parts}, {movement.ending.mean():+.2f} after it.")
    return found


def ranked(movement: Movement) -> str:
    assert movement.start is not None and movement.rejected is not None
    w, lo = movement.start
    before, after = (float(metrics.ranking_accuracy(a, b)) for a, b in ((w, lo), (w + movement.chosen, lo + movement.rejected)))
    grew = (movement.chosen > movement.rejected).double().mean().item()
    shares = f"{before:.0%} of the pairs before, {after:.0%} after"
    told = f"The chosen answer is the likelier one in {shares}; the margin grew in {grew:.0%}."
    if movement.beta is not None and before < 1:
        hardest = metrics.ranking_difficulty(w, lo, beta=movement.beta).min().item()
        told += f" The hardest pair needs a DPO loss below {hardest:.2g} for that; at the start it is 0.69."
    return told


def took(movement: Movement, gains: dict[str, Estimate]) -> list[str]:
    """Who gained at the opening."""
    if movement.received is None:
        return []
    names = ", ".join(f"{r.word.strip()!r} {r.gained:+.3f} ({r.kind})" for r in movement.received.top if r.gained > GAINED)
    kinds = ", ".join(f"{kind} {gain.value:+.3f}" for kind, gain in gains.items())
    found = [f"Probability gained where the answers open: {kinds}.", f"Gained most: {names or 'nobody'}."]
    lost_late = (
        movement.opening is not None and movement.ending is not None and movement.ending.mean() < movement.opening.mean()
    )
    if lost_late and movement.chosen.mean() < -FLAT:
        found.append("What the chosen answers lost after that, other endings of the same opening gained, by conservation.")
    elif movement.received.top and movement.received.top[0].gained > GAINED and movement.received.top[0].kind == "other":
        found.append("If that word says the contrary, or nearly the same, say so: opposites=[...] or paraphrases=[...].")
    opposite = gains["opposite"]
    if opposite.value > WATCH and movement.chosen.mean() > 0:
        found.append("The answers as wholes rose, and yet the contrary gained where they open: watch what is said first.")
    return found
