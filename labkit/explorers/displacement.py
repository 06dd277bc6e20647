"""The displacement doctor: how a chosen answer moved, whose push it was, and who received what it lost, token by token."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labkit.explorers import cases
from labkit.explorers.cases import Case
from labkit.explorers.core import Control, Explorer, Shown, State
from labkit.explorers.displacement_scene import ALT, MEANINGS, NAMED, ROWS, SCENE, SENTENCES, compressed

COLORS = ("change", "contribution")
TOLD = 0.005  # nats or probability: what rounds to nothing is not told


@dataclass(frozen=True)
class Displacement(State):
    """Which policy, which of its pairs, how far into the run, and what the colours say."""

    policy: str = ""
    pair: int = 0
    frame: int = 0
    color: str = "change"


@dataclass(frozen=True)
class Ward:
    """The cases by policy, and what is shown of them."""

    cases: dict[str, list[Case]]

    def case(self, state: Displacement) -> Case:
        mine = self.cases[state.policy]
        return mine[min(state.pair, len(mine) - 1)]

    def show(self, state: Displacement) -> Shown:
        case, frame = self.case(state), min(state.frame, len(self.case(state).steps) - 1)
        chosen, rejected = case.chosen[frame], case.rejected[frame]
        sign = -1.0 if state.color == "contribution" else 1.0
        gained, given, margin = printed(case, frame)
        totals = {"gained": chosen.sum(), "lost": rejected.sum(), "given": -rejected.sum(), "margin": case.margin[frame]}
        return {
            **{name: float(value) for name, value in totals.items()},
            **row("chosen", case.chosen_words, chosen, gained),
            **row("rejected", case.rejected_words, sign * rejected, -sign * given),
            "sum": f"margin {margin:.2f} = {signed(gained)} from the chosen, {signed(given)} from the rejected".replace(
                "-", "−"
            ),
            **followers(case, frame),
            **split(case, frame),
            **receivers(case, frame),
            "asked": case.asked,
            "step": int(case.steps[frame]),
            "heading": heading(state.color, gained, given),
            "verdict": verdict(case, frame),
        }


# ------------------------------------------------------------------ what is shown


def row(side: str, words: Sequence[str], values: np.ndarray, total: float) -> Shown:
    """An answer's tokens side by side: where each begins and ends, what it is, and its number."""
    edges = np.linspace(0, 1, len(words) + 1)
    return {
        f"{side}_left": edges[:-1] + 0.004,
        f"{side}_right": edges[1:] - 0.004,
        f"{side}_middle": (edges[1:] + edges[:-1]) / 2,
        f"{side}_words": [word.strip() or "␣" for word in words],
        f"{side}_values": values,
        f"{side}_hues": compressed(values),
        f"{side}_numbers": [signed(v) for v in adding_up(values, total)],
    }


def signed(value: float, digits: int = 2) -> str:
    """A number with its sign; what rounds to nothing has none.

    >>> signed(-170073.452), signed(-0.001)
    ('−170\u2009073.45', '0.00')
    """
    text = f"{value:+,.{digits}f}"
    return text.replace("-", "−").replace(",", "\u2009") if re.search("[1-9]", text) else f"{0:.{digits}f}"


def adding_up(parts: np.ndarray, total: float) -> np.ndarray:
    """Parts in hundredths that add up to a total in hundredths; where rounding does not, those that it moved most give way.

    >>> adding_up(np.array([0.334, 0.333, 0.333]), 1.0).tolist()
    [0.34, 0.33, 0.33]
    """
    known = np.nan_to_num(parts) * 100
    whole = np.rint(known)
    missing = int(np.rint(total * 100) - whole.sum())
    way = 1 if missing > 0 else -1
    whole[np.argsort(-way * (known - whole), kind="stable")[: abs(missing)]] += way
    return np.where(np.isnan(parts), np.nan, whole / 100)


def printed(case: Case, frame: int) -> tuple[float, float, float]:
    """The chosen answer's change, what the rejected gives, and the margin, in hundredths: the first two add up to the third."""
    gained, margin = (round(float(x), 2) for x in (case.chosen[frame].sum(), case.margin[frame]))
    return gained, round(margin - gained, 2), margin


def pushes(case: Case, frame: int) -> np.ndarray:
    """The parts of the chosen answer's change, in hundredths that add up to it."""
    return adding_up(case.parts[frame], printed(case, frame)[0])


def followers(case: Case, frame: int) -> Shown:
    """Under each token, who gained most in its place; more of them on hovering."""
    under, more = [], []
    for names, gains in zip(case.gainers[frame], case.gained[frame, :, 1:], strict=True):
        told = [(str(n).strip() or "␣", g) for n, g in zip(names, gains, strict=True) if g > TOLD]
        under.append(f"→ {told[0][0][:9]}" if told else "")
        more.append(", ".join(f"{n} {signed(g)}" for n, g in told[:3]) or "nobody gained half a percent")
    return {"followers": under, "followed": more}


def split(case: Case, frame: int) -> Shown:
    """The chosen answer's change and the margin, and what each is the sum of; drawn on the compressed scale."""
    chosen, rejected = case.chosen[frame], case.rejected[frame]
    each = (len(chosen) + len(rejected)) / 2 * (chosen.mean() - rejected.mean())  # what is left is due to unequal lengths
    length = (len(chosen) - len(rejected)) * (chosen.mean() + rejected.mean()) / 2
    parts = np.full(ROWS, np.nan)
    parts[: case.parts.shape[1]] = case.parts[frame]
    values = np.array([*parts, chosen.sum(), each, length, case.margin[frame]])
    gained, _, margin = printed(case, frame)
    numbers = [*adding_up(parts, gained), gained, *adding_up(np.array([each, length]), margin), margin]
    names = [*case.names, *[""] * (ROWS - len(case.names)), "= chosen moved", "token by token", "unequal length", "= margin"]
    return {
        "parts": values,
        "part_names": names,
        "part_meanings": [MEANINGS.get(name, "") for name in names],
        "part_numbers": [signed(v) if np.isfinite(v) else "" for v in numbers],
        "part_ends": np.nan_to_num(compressed(values)),
    }


def receivers(case: Case, frame: int) -> Shown:
    """Where the chosen answer lost most of what was looked at: who gained there, and everybody else."""
    seen = np.isfinite(case.gained[frame, :, 0])
    place = int(np.where(seen, case.chosen[frame], np.inf).argmin())
    own, *best = case.gained[frame, place, : 1 + NAMED]
    gains = np.array([own, *best, -own - sum(best)])
    word = case.chosen_words[place].strip()
    names = [word, *(str(n).strip() or "␣" for n in case.gainers[frame, place, :NAMED]), "all others"]
    told = np.abs(gains) > TOLD / 10
    return {
        "gains": gains,
        "gain_names": [name if t or k == 0 else "" for k, (name, t) in enumerate(zip(names, told, strict=True))],
        "gain_numbers": [signed(g, 3) if t else "" for g, t in zip(gains, told, strict=True)],
        **reach(case.gained[:, place, : 1 + NAMED]),
        "place": word,
        "place_left": (place + 0.0) / len(case.chosen_words),
        "place_right": (place + 1.0) / len(case.chosen_words),
        "place_change": float(case.chosen[frame, place]),
        "receiver": names[1],
        "received": float(gains[1]),
    }


def reach(gained: np.ndarray) -> Shown:
    """How far the axis of probability goes, the same in all frames; names and numbers stand at its ends."""
    most = float(max(np.abs(gained).max(), np.abs(gained.sum(-1)).max()))
    step = next((t for t in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if most <= 2 * t), 0.5)
    unit = 1.05 * max(most, step)
    return {"name_end": -1.15 * unit, "low": -2.6 * unit, "reach": 2.1 * unit, "gain_ticks": [-step, 0.0, step]}


def heading(color: str, gained: float, given: float) -> list[str]:
    if color == "contribution":
        return [f"chosen, gives {signed(gained)} of the margin", f"rejected, gives {signed(given)} of it"]
    return [f"chosen, moved by {signed(gained)} nats", f"rejected, moved by {signed(-given)} nats"]


def verdict(case: Case, frame: int) -> str:
    """What became of the chosen answer, and why, in a sentence that holds in every state."""
    change = float(case.chosen[frame].sum())
    if not case.steps[frame]:
        return "Before the first step nothing has moved."
    went = "falls" if change < -TOLD else "rises" if change > TOLD else "stays where it was"
    size = f" by {abs(change):.2f} nats" if abs(change) > TOLD else ""
    return f"Since the start the chosen answer {went}{size}: {because(case, frame)}."


def because(case: Case, frame: int) -> str:
    parts = pushes(case, frame)
    if len(case.names) != ROWS:
        opening, ending = map(signed, parts)
        return f"{opening} up to the fork with the rejected answer, {ending} after it"
    own, against, others, _ = parts
    if own > 10 and abs(own + against) < 0.1 * own:
        shared, whole = sum(word in case.rejected_words for word in case.chosen_words), len(case.chosen_words)
        left = (
            f"its own push alone, to first order along the whole path, adds up to {signed(own)}; the push on the rejected "
            f"answer, which has {shared} of its {whole} words, leaves {signed(own + against)} of that"
        )
        return left + (f", and other pairs' add {signed(others)}" if abs(others) > TOLD else "")
    rest = f", other pairs' {signed(others)}" if abs(others) > TOLD else ""
    return f"its own push gives {signed(own)}, the push on the rejected answer {signed(against)}{rest}"


def displacement(
    examined: Any = None,
    *,
    policy: str | None = None,
    pair: int = 1,
    color: str = "change",
    hide: tuple[str, ...] = (),
) -> Explorer[Displacement]:
    """The displacement doctor: a policy, a pair, and where its chosen answer went.

    Args:
        examined: what `labkit.diagnose.checkpoints.examine` returned of your own checkpoints; default: stored runs of a small
            language and of SmolLM2.
        policy: of the stored runs, which to begin with.
        pair: which of its pairs, from 1 on.
        color: by "change" of the log-probability, or by "contribution" to the margin.
        hide: names of controls that are not offered.

    Raises:
        ValueError: a start that does not exist, an unknown control, or `examined` without log-probabilities of tokens.
    """
    found = cases.stored() if examined is None else cases.examined(examined)
    ward = Ward({})
    for case in found:
        ward.cases.setdefault(case.policy, []).append(case)
    policies, frames = tuple(ward.cases), len(found[0].steps)
    pairs = max(map(len, ward.cases.values()))
    names = [str(i + 1) for i in range(pairs)] if examined is None else [case.asked for case in found]
    progress = ["start", *(f"{k}/{frames - 1}" for k in range(1, frames - 1)), "end"]
    controls = (
        Control("policy", "policy", policies, kind="menu"),
        Control("pair", "pair", tuple(range(pairs)), kind="toggle" if pairs < 5 else "menu", words=tuple(names)),
        Control("frame", "how far into the run", tuple(range(frames)), kind="player", words=tuple(progress)),
        Control("color", "colour by", COLORS, kind="toggle", words=("change of log-probability", "contribution to the margin")),
    )
    if isinstance(pair, bool) or not isinstance(pair, int) or not 1 <= pair <= pairs:
        raise ValueError(f"pair must be a whole number from 1 to {pairs}, got {pair!r}")
    return Explorer(
        name="displacement",
        title="Displacement doctor",
        start=Displacement(policies[0] if policy is None else policy, pair - 1, frames - 1, color),
        controls=controls,
        show=ward.show,
        scene=SCENE,
        sentences=SENTENCES,
        alt=ALT,
    ).hidden(hide, ["policy"] if len(policies) == 1 else [])
