"""What the means in a trainer's log can say, and what they cannot."""

from labkit.diagnose.beta import read_off
from labkit.diagnose.evidence import above, below, mean_of, nats
from labkit.diagnose.report import Diagnosis
from labkit.diagnose.tracks import Key, Track, told, tracks
from labkit.diagnose.verdicts import REMEDIES, decide
from labkit.metrics import Estimate

FREE = ("cpo", "simpo", "orpo", "slic", "rrhf", "alphapo")  # losses without a reference: their "rewards" are log-probabilities
SHARE = 5  # the last fifth of the rows is where the run ended
CALLBACK = (
    "Per token, per pair and who gained, on a fixed set of pairs, for about nothing:\n"
    "from labkit import DisplacementCallback\n"
    "trainer.add_callback(DisplacementCallback(probe_pairs, every=50))"
)
REWARDS = (
    "`rewards/chosen`, beta times the gain over the reference; TRL's DPOTrainer computes it by itself:\n"
    "args = DPOConfig(..., logging_steps=10)\n"
    'trainer.save_state()  # then: labkit.diagnose("OUTPUT_DIR/trainer_state.json")'
)
PROPORTIONAL = 1e-3
BROKE = ("Train again from the last checkpoint before that, with a smaller learning rate, and watch grad_norm.",)


def of_means(history: dict[str, list], beta: float | None = None, loss_type: str | None = None) -> Diagnosis:
    """L0: what `diagnose` says of a trainer's log."""
    found = tracks(history)
    said, means = told(found), averaged(history, loss_type)
    free = reference_free(found, loss_type)
    if free:
        said.append(
            f"These rewards are beta times the log-probabilities themselves ({free}): below 0 always, they are no displacement."
        )
    else:
        beta, sentence = which_beta(found, beta)
        said.append(sentence)
    of_gain = [("gain", 1.0), *([] if free else [("rewards", beta)])]
    known = [(what, held, scale) for held in (False, True) for what, scale in of_gain if (what, "chosen", held) in found]
    for what, held_out, scale in known:
        track = found[what, "chosen", held_out]
        if track.ended_broken:
            return broke(track, said)
        unit = "" if scale is None else " nats a token" if means else " nats"
        return of_rewards(found, what, held_out, scale or 1.0, unit, [*said, mean_or_sum(found, loss_type, means)])
    return of_logps(found, history, [*said, mean_or_sum(found, loss_type, means)], 0.01 if means else 0.1)


def which_beta(found: dict[Key, Track], given: float | None) -> tuple[float | None, str]:
    """The run's beta, as given or as the log tells it, and a sentence about that."""
    seen = read_off(found)
    if seen is None:
        return given, ""
    if given is None:
        return seen, f"beta is {seen:g}: on the held-out pairs, always the same, rewards change by that for each nat of logps."
    if abs(given - seen) > 0.05 * seen:
        return (
            given,
            f"beta={given:g} was given, but the held-out rows say {seen:g}: rewards change by that for each nat of logps.",
        )
    return given, ""


def broke(track: Track, said: list[str]) -> Diagnosis:
    """The run ended in NaN: what came before is not what it became."""
    text = (
        f"From step {track.broken[-1]:g} on there is no number: whatever was trained there, it is no language model any more."
    )
    return Diagnosis(
        "L0", "cannot tell", len(track.at), evidence=(*filter(None, said), text), remedies=BROKE, missing=(CALLBACK,)
    )


def of_rewards(found: dict[Key, Track], what: str, held_out: bool, scale: float, unit: str, before: list[str]) -> Diagnosis:
    """The gain over the reference was logged: its end decides. Without a unit, it is told in rewards."""
    known = bool(unit)
    ends = {}
    for side in ("chosen", "rejected"):
        track = found.get((what, side, held_out))
        ends[side] = ended([x / scale for x in track.values]) if track and track.at else None
    chosen, rejected, values = ends["chosen"], ends["rejected"], found[what, "chosen", held_out].values
    assert chosen is not None
    rows = len(values[-rows_at_the_end(len(values)) :])
    verdict = decide(chosen, rejected, 0.01 if known else 0.001) if len(values) > 1 else "cannot tell"
    name = f"{'eval ' if held_out else ''}{'rewards/chosen' if what == 'rewards' else 'gain of the chosen answers'}"
    said = [f"{name} is {nats(chosen, unit)} over the last {rows} of {len(values)} rows: {meaning(chosen)}"]
    if len(values) == 1:
        said.append("One row has no interval: nothing can be told from it alone.")
    if chosen.low <= 0 <= chosen.high and chosen.low < chosen.high:
        said.append("The rows scatter more than that: it is within the noise.")
    if rejected is not None:
        said.append(f"The rejected answers are at {nats(rejected, unit)}. Margin and accuracies tell the sign of neither.")
    if what == "rewards" and not known:
        said.append(
            "In rewards: they are beta times nats. diagnose(..., beta=...) tells nats; so do two evaluations on held-out pairs."
        )
    if len(values) > 2 and abs(values[0] / scale) > abs(chosen.value) / 2 > 0.005:
        said.append("The first row is far from 0 already: training did not start at the reference, or logging started late.")
    said += [*before, *drifts(found)]
    if (what, "chosen", True) in found and not held_out:
        said.append(f"On held-out pairs it ends at {found[what, 'chosen', True].values[-1] / scale:+.3g}{unit}.")
    if verdict == "fell":
        said.append("Who gained what they lost was not logged: whether this fall is harm cannot be told from means.")
    return Diagnosis(
        "L0",
        verdict,
        rows,
        chosen,
        rejected,
        evidence=tuple(s for s in said if s),
        remedies=REMEDIES[verdict],
        missing=(CALLBACK,),
    )


def of_logps(found: dict[Key, Track], history: dict[str, list], said: list[str], flat: float) -> Diagnosis:
    """Only log-probabilities, or nothing, were logged; what moved by less than `flat` did not move."""
    track = found.get(("logps", "chosen", True))
    evaluated = track.values if track else []
    said = [*said, *drifts(found)]
    verdict, chosen = "cannot tell", None
    if len(evaluated) > 1:
        change = evaluated[-1] - evaluated[0]
        chosen = Estimate(change, change, change)
        said.append(
            f"On held-out pairs, always the same, logps/chosen moved by {change:+.2f} from the first evaluation to the last: "
            "what came before the first is not in it."
        )
        verdict = decide(chosen, None, flat)
    elif not found:
        said.append(f"No column tells about chosen answers. There are {', '.join(history)}.")
    missing = (CALLBACK, REWARDS) if not any(key[0] == "rewards" for key in found) else (CALLBACK,)
    return Diagnosis(
        "L0", verdict, len(evaluated), chosen, evidence=tuple(s for s in said if s), remedies=REMEDIES[verdict], missing=missing
    )


def rows_at_the_end(n: int) -> int:
    return min(n, max(3, n // SHARE))


def ended(values: list[float]) -> Estimate:
    """Where a column ended: the mean of its last rows, and how they scatter."""
    return mean_of(values[-rows_at_the_end(len(values)) :])


def meaning(chosen: Estimate) -> str:
    if below(chosen, 0):
        return "below 0 is displacement against the reference. On average the chosen answers became less likely."
    if above(chosen, 0):
        return "on average the chosen answers became likelier than under the reference. Single pairs may have fallen."
    return "neither above 0 nor below."


def reference_free(found: dict[Key, Track], loss_type: str | None) -> str:
    """Why the rewards are no gain over a reference, if so: the loss is known for it, or they are the log-probabilities."""
    if loss_type and any(name in loss_type.lower() for name in FREE):
        return f"{loss_type} has no reference"
    rewards, logps = found.get(("rewards", "chosen", False)), found.get(("logps", "chosen", False))
    if rewards is None or logps is None or rewards.at.keys() != logps.at.keys() or len(rewards.at) < 3 or 0 in logps.values:
        return ""
    if max(logps.values) - min(logps.values) < 1e-9:
        return ""
    shares = [r / p for r, p in zip(rewards.values, logps.values, strict=True)]
    same = min(shares) > 0 and max(shares) - min(shares) < PROPORTIONAL * max(shares)
    return f"rewards/chosen is {shares[0]:.3g} times logps/chosen in every row" if same else ""


def drifts(found: dict[Key, Track]) -> list[str]:
    track = found.get(("logps", "chosen", False))
    if track is None or len(track.at) < 2:
        return []
    went = f"logps/chosen went from {track.values[0]:.1f} to {track.values[-1]:.1f}"
    return [f"{went}; it drifts with what is in each batch, and alone proves nothing."]


def averaged(history: dict[str, list], loss_type: str | None) -> bool:
    """Whether this loss_type's log-probabilities, and with them its rewards, are means over an answer's tokens."""
    names = set((loss_type or "").lower().split("+"))
    new = any(name.endswith("num_tokens") for name in history)  # TRL counts tokens since 0.29, where "ipo" became a sum
    return bool(names & {"simpo", "orpo"}) or ("ipo" in names and not new)


def mean_or_sum(found: dict[Key, Track], loss_type: str | None, means: bool) -> str:
    """What `logps/*` are."""
    if not any(key[0] == "logps" for key in found):
        return ""
    if loss_type is None:
        return (
            "logps/* are sums over an answer's tokens for most losses, means for some: diagnose(..., loss_type=...) says which."
        )
    if means:
        since = " before TRL 0.29, and in CPOTrainer" if "ipo" in loss_type.lower() else ""
        return f"logps/* of loss_type={loss_type!r} are means over an answer's tokens{since}."
    return f"logps/* of loss_type={loss_type!r} are sums over an answer's tokens: long answers weigh more."
