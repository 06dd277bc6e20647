"""What the means in a trainer's log can say, and what they cannot."""

import math
import re

from labkit.diagnose.evidence import above, below, mean_of, nats
from labkit.diagnose.report import Diagnosis
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


def role(column: str) -> tuple[str, str, bool] | None:
    """A column as (what, side, evaluated on held-out pairs), whatever trainer named it; None for something else.

    >>> role("eval_rewards/chosen"), role("logps_train/rejected"), role("train/rewards/margins")
    (('rewards', 'chosen', True), ('logps', 'rejected', False), None)
    """
    words = set(re.split(r"[^a-z]+", re.sub(r"log_?p(rob)?s?(?![a-z])", "logps", column.lower())))
    side = "chosen" if "chosen" in words else "rejected" if words & {"rejected", "reject"} else None
    what = "rewards" if words & {"reward", "rewards"} else "gain" if "gain" in words else "logps" if "logps" in words else None
    if side is None or what is None or words & {"accuracy", "accuracies", "margin", "margins", "std", "max", "min"}:
        return None
    return ("ref" if words & {"ref", "reference"} else what), side, bool(words & {"eval", "val", "validation", "test"})


def series(history: dict[str, list]) -> dict[tuple[str, str, bool], list[float]]:
    """(what, side, held out) -> the numbers that were logged, in order."""
    found: dict[tuple[str, str, bool], list[float]] = {}
    for name, values in history.items():
        numbers = [float(x) for x in values if isinstance(x, (int, float)) and not isinstance(x, bool) and math.isfinite(x)]
        if (key := role(name)) and numbers:
            found.setdefault(key, numbers)
    for side in ("chosen", "rejected"):
        now, then = found.get(("logps", side, False)), found.get(("ref", side, False))
        if now and then and len(now) == len(then):  # whoever logs the reference too has logged the gain
            found.setdefault(("gain", side, False), [a - b for a, b in zip(now, then, strict=True)])
    return found


def of_means(history: dict[str, list], beta: float | None = None, loss_type: str | None = None) -> Diagnosis:
    """L0: what `diagnose` says of a trainer's log."""
    found, said = series(history), []
    free = reference_free(found, loss_type)
    for held_out in (False, True):
        for what, scale in (("gain", 1.0), ("rewards", beta)):
            if (what, "chosen", held_out) in found and not (free and what == "rewards"):
                return of_rewards(found, what, held_out, 1.0 if scale is None else scale, scale is not None, loss_type)
    if free:
        said.append(
            f"These rewards are beta times the log-probabilities themselves ({free}): below 0 always, they are no displacement."
        )
    return of_logps(found, history, said, loss_type)


def of_rewards(found: dict, what: str, held_out: bool, scale: float, known: bool, loss_type: str | None) -> Diagnosis:
    """The gain over the reference was logged: its end decides."""
    unit = " nats" if known else ""
    ends = {}
    for side in ("chosen", "rejected"):
        values = [x / scale for x in found.get((what, side, held_out), [])]
        ends[side] = ended(values) if values else None
    chosen, rejected, values = ends["chosen"], ends["rejected"], found[what, "chosen", held_out]
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
        said.append("In rewards: they are beta times nats. diagnose(..., beta=...) tells nats.")
    if len(values) > 2 and abs(values[0] / scale) > abs(chosen.value) / 2 > 0.005:
        said.append("The first row is far from 0 already: training did not start at the reference, or logging started late.")
    said += [mean_or_sum(found, loss_type), *drifts(found)]
    if (what, "chosen", True) in found and not held_out:
        said.append(f"On held-out pairs it ends at {found[what, 'chosen', True][-1] / scale:+.3g}{unit}.")
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


def of_logps(found: dict, history: dict[str, list], said: list[str], loss_type: str | None) -> Diagnosis:
    """Only log-probabilities, or nothing, were logged."""
    evaluated = found.get(("logps", "chosen", True), [])
    said += [mean_or_sum(found, loss_type), *drifts(found)]
    verdict, chosen = "cannot tell", None
    if len(evaluated) > 1:
        change = evaluated[-1] - evaluated[0]
        chosen = Estimate(change, change, change)
        said.append(
            f"On held-out pairs, always the same, logps/chosen moved by {change:+.2f} from the first evaluation to the last: "
            "what came before the first is not in it."
        )
        verdict = decide(chosen, None, 0.1)
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


def reference_free(found: dict, loss_type: str | None) -> str:
    """Why the rewards are no gain over a reference, if so: the loss is known for it, or they are the log-probabilities."""
    if loss_type and any(name in loss_type.lower() for name in FREE):
        return f"{loss_type} has no reference"
    rewards, logps = found.get(("rewards", "chosen", False), []), found.get(("logps", "chosen", False), [])
    if len(rewards) < 3 or len(rewards) != len(logps) or max(logps) - min(logps) < 1e-9 or 0 in logps:
        return ""
    shares = [r / p for r, p in zip(rewards, logps, strict=True)]
    same = min(shares) > 0 and max(shares) - min(shares) < PROPORTIONAL * max(shares)
    return f"rewards/chosen is {shares[0]:.3g} times logps/chosen in every row" if same else ""


def drifts(found: dict) -> list[str]:
    logps = found.get(("logps", "chosen", False), [])
    if len(logps) < 2:
        return []
    went = f"logps/chosen went from {logps[0]:.1f} to {logps[-1]:.1f}"
    return [f"{went}; it drifts with what is in each batch, and alone proves nothing."]


def mean_or_sum(found: dict, loss_type: str | None) -> str:
    """What `logps/*` are."""
    if not any(key[0] == "logps" for key in found):
        return ""
    if loss_type is None:
        return (
            "logps/* are sums over an answer's tokens for most losses, means for some: diagnose(..., loss_type=...) says which."
        )
    name = loss_type.lower()
    if name == "ipo":
        return "logps/* of loss_type='ipo' are means over tokens in TRL before 1.0 and in CPOTrainer, sums in DPOTrainer since."
    if name in ("simpo", "orpo"):
        return f"logps/* of {loss_type} are means over tokens."
    return f"logps/* of loss_type={loss_type!r} are sums over an answer's tokens: long answers weigh more."
