"""Collapse clinic: read the meters of a run that went wrong, name its disease, and learn what gave it away."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from labkit.explorers.clinic_words import SIGNS, why
from labkit.explorers.core import Control, Explorer, Model, Sentence, Shown, State
from labkit.figures.scene import Axis, Mark, Panel, Scene, area, categories, line, points, rule, text
from labkit.recipes.clinic import LABELS, OBJECTIVES, healthy
from labkit.recipes.clinic_runs import METERS, SNAPSHOTS
from labkit.results import load

OPEN = "not yet"
SETS = {"exercise": "clinic", "graded": "clinic_graded", "ward": "course_clinic"}
ALT = (
    "Nine small panels on one run of a network on digits, over twelve snapshots. The loss between its floor and chance; "
    "the spread of the directions; the effective rank of z and h; cosines with the own other view and with the nearest image; "
    "neighbours' accuracy on images as in training and on new ones; the length of the outputs; the size of the weights and of "
    "the gradient; the embeddings in a plane. Bands show what healthy runs with the same objective do."
)


@dataclass(frozen=True)
class Clinic(State):
    """Which patient lies there, which snapshot is looked at, and what the reader says it is."""

    patient: str = "A"
    snapshot: int = len(SNAPSHOTS) - 1
    diagnosis: str = OPEN


# ---------------------------------------------------------------- what is known of a ward


@functools.cache
def ward(name: str, beds: tuple[int, ...] = ()) -> dict[str, Any]:
    """Everything that the explorer knows of its patients; of those that are graded, not what they have.

    `beds` picks some of them, by their places in the set, in the order in which they are numbered.
    """
    stored, (low, high) = load(SETS[name]), healthy()
    lying = list(beds) or list(range(len(stored["curves"])))
    count, curves = len(lying), stored["curves"][lying]
    labels = [LABELS[place] for place in stored["label"][lying]] if "label" in stored else [""] * count
    objectives, kinds = list(OBJECTIVES), stored["objective"][lying].tolist()
    return {
        "patients": [chr(ord("A") + k) if name == "exercise" else str(k + 1) for k in range(count)],
        "objectives": objectives,
        "objective": kinds,
        "meters": list(METERS),
        "x": np.arange(len(SNAPSHOTS), dtype=np.float32),
        "steps": list(SNAPSHOTS),
        "curves": curves,
        "low": low,
        "high": high,
        "planes": stored["planes"][lying].astype(np.float32).transpose(0, 1, 3, 2),
        "labels": stored["digits"].tolist(),
        "answers": labels,
        "why": [explained(*each) for each in zip(labels, curves, low[kinds], high[kinds], kinds, strict=True)],
        "signs": SIGNS if name == "exercise" else {},
    }


def explained(label: str, curves: np.ndarray, low: np.ndarray, high: np.ndarray, kind: int) -> str:
    """Why it is this, in numbers: the meters `(meters, snapshots)` of the patient, and those of the band's two ends."""
    if not label:
        return ""
    patient, least, most = (dict(zip(METERS, each, strict=True)) for each in (curves, low, high))
    return why(label, patient, least, most, list(OBJECTIVES)[kind])


def show(state: Clinic, name: str = "exercise", beds: tuple[int, ...] = ()) -> Shown:
    """What `web/models/clinic.js` gives, in Python."""
    data, t = ward(name, beds), state.snapshot
    p = data["patients"].index(state.patient)
    kind = data["objective"][p]
    shown: Shown = {"x": data["x"], "now": t, "step": data["steps"][t], "labels": data["labels"]}
    shown["objective"] = data["objectives"][kind]
    for k, meter in enumerate(METERS):
        shown[meter], shown[f"now_{meter}"] = data["curves"][p, k], float(data["curves"][p, k, t])
        shown[f"{meter}_low"], shown[f"{meter}_high"] = data["low"][kind, k], data["high"][kind, k]
    shown["plane_x"], shown["plane_y"] = data["planes"][p, t]
    shown["missing"] = missing(shown["plane_x"][0])
    shown["loss_missing"] = missing(shown["now_loss"])
    return shown | verdict(data, p, "" if state.diagnosis == OPEN else state.diagnosis)


def missing(value: float) -> str:
    """What is said in place of a value that cannot be drawn."""
    return "" if np.isfinite(value) else "not a number" if np.isnan(value) else "infinite"


def verdict(data: dict[str, Any], p: int, named: str) -> Shown:
    """Whether the diagnosis is right, and why; nothing before it is named."""
    found = "open" if not named else "right" if named == data["answers"][p] else "wrong"
    return {
        "verdict": found,
        "right": f"✓ Right: {named}" if found == "right" else "",
        "wrong": f"✗ Not this: {named}" if found == "wrong" else "",
        "why": {"open": "", "right": data["why"][p], "wrong": data["signs"].get(named, "")}[found],
    }


# ---------------------------------------------------------------- how it is drawn

PLACES = [
    (x / 3 + 0.01 * (x == 0), 0.08 + 0.92 * y / 3, (x + 1) / 3, 0.08 + 0.92 * (y + 1) / 3) for y in range(3) for x in range(3)
]
TIME = Axis(low=0, high=len(SNAPSHOTS) - 1, ticks=[0, 3, 7, 11], words=[str(SNAPSHOTS[k]) for k in (0, 3, 7, 11)])
SHARE = Axis(low=0, high=1.02, ticks=[0, 0.5, 1], format=".0%")
COLORS = ("blue", "vermilion", "green", "purple", "sky", "orange", "yellow", "ink", "muted", "dark")


def meter(place: int, title: str, axis: Axis, *names: str, missing: str = "") -> Panel:
    """A panel of one meter, or of two that are read against each other, each in front of its healthy band."""
    looks = (("blue", "solid"), ("vermilion", "dash"))
    marks: list[Mark] = []
    for name, (color, _) in zip(names, looks, strict=False):
        marks.append(area("$x", f"${name}_low", f"${name}_high", color=color, opacity=0.16))
    marks.append(rule(x="$now"))
    for name, (color, dash) in zip(names, looks, strict=False):
        marks += [
            line("$x", f"${name}", color=color, dash=dash),
            points("$now", f"$now_{name}", size=9, color=color),
        ]
    if missing:
        marks.append(text(5.5, 0.3, missing, anchor="middle", color="vermilion"))
    return Panel(PLACES[place], tuple(marks), title, TIME, axis, cursor="snapshot")


def logarithmic(low: int, high: int, every: int) -> Axis:
    powers = list(range(low, high + 1, every))
    return Axis(low=10.0**low, high=2 * 10.0**high, log=True, ticks=[10.0**k for k in powers], words=[power(k) for k in powers])


def power(k: int) -> str:
    return {0: "1", 1: "10", 2: "100", -1: "0.1"}.get(k, "10" + str(k).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")))


HEAD = Panel(
    (0.01, 0, 1, 0.08),
    (
        text(0, 0.5, "{objective}, step {step:d}", size=15, bold=True),
        text(1, 0.5, "$right", size=15, anchor="end", color="green", bold=True),
        text(1, 0.5, "$wrong", size=15, anchor="end", color="vermilion", bold=True),
    ),
    x=Axis(low=0, high=1, hidden=True),
    y=Axis(low=0, high=1, hidden=True),
)
TURN = np.linspace(0, 2 * np.pi, 73)
PLANE = Panel(
    PLACES[8],
    (
        line(np.cos(TURN), np.sin(TURN), color="grid", width=1),
        points("$plane_x", "$plane_y", size=6, color=categories("$labels", COLORS), opacity=0.8, hover="a {labels:d}"),
        text(0, 0, "$missing", anchor="middle", color="muted"),
    ),
    "embeddings in a plane\nabout their mean",
    Axis(low=-1.12, high=1.12, hidden=True),
    Axis(low=-1.12, high=1.12, hidden=True),
    equal=True,
)
FLOORED = Axis(low=-1.2, high=1.2, ticks=[-1, 0, 1], words=["below", "floor", "chance"])
SCENE = Scene(
    (
        HEAD,
        meter(0, "loss\n━ {now_loss:.2f}", FLOORED, "loss", missing="$loss_missing"),
        meter(1, "spread of directions\n━ {now_spread:.2g}", logarithmic(-6, 0, 2), "spread"),
        meter(2, "rank over width: z, h\n━ {now_rank_z:.0%}  ┅ {now_rank_h:.0%}", SHARE, "rank_z", "rank_h"),
        meter(
            3,
            "cosine: own, nearest\n━ {now_partner:.2f}  ┅ {now_nearest:.2f}",
            Axis(low=0, high=1.02, ticks=[0, 0.5, 1]),
            "partner",
            "nearest",
        ),
        meter(4, "kNN: seen, new images\n━ {now_knn_seen:.0%}  ┅ {now_knn_unseen:.0%}", SHARE, "knn_seen", "knn_unseen"),
        meter(5, "length of outputs\n━ {now_length:.3g}", logarithmic(-3, 5, 2), "length"),
        meter(6, "weights, start = 1\n━ {now_weights:.2g}", logarithmic(-2, 2, 1), "weights"),
        meter(7, "gradient\n━ {now_gradient:.3g}", logarithmic(-5, 3, 2), "gradient"),
        PLANE,
    ),
    height=680,
)
MOVED, BACK = "Step {before.step:d} to {after.step:d}: ", "Back from step {before.step:d} to {after.step:d}: "
SPREAD = "{before.now_spread:.2g} to {after.now_spread:.2g}"
GONE = {"missing": "not a number"}
SENTENCES = (
    Sentence("Right. {after.why}", when={"verdict": "right"}),
    Sentence("Not {after.diagnosis}. {after.why}", when={"verdict": "wrong"}),
    Sentence(
        "Patient {after.patient}, trained with {after.objective}. Which meters leave the bands of healthy runs like it?",
        changed="patient",
    ),
    Sentence(BACK + "there, too, nothing in this network is a number.", changed="snapshot", when=GONE, falls="snapshot"),
    Sentence(
        BACK + "there the total variance of the directions was {after.now_spread:.2g}.", changed="snapshot", falls="snapshot"
    ),
    Sentence(MOVED + "nothing in this network is a number any more.", changed="snapshot", when=GONE),
    Sentence(MOVED + f"the directions spread out, total variance {SPREAD}.", changed="snapshot", rises="now_spread"),
    Sentence(MOVED + f"the directions draw together, total variance {SPREAD}.", changed="snapshot", falls="now_spread"),
    Sentence("Step {after.step:d}: the total variance of the directions is {after.now_spread:.2g}.", changed="snapshot"),
    Sentence(
        "Patient {after.patient}, trained with {after.objective}: read scale first, rank second, then the rest. "
        "What leaves the bands of the healthy runs?"
    ),
)


def clinic(
    *, set: str = "exercise", beds: Sequence[int] = (), patient: str = "", hide: tuple[str, ...] = ()
) -> Explorer[Clinic]:
    """The collapse clinic: twelve diseases of small runs on digits, and healthy look-alikes.

    Args:
        set: "exercise", where naming a diagnosis shows whether it is right and why; "graded" and "ward", which do not know the
            answers.
        beds: who of the set lies in beds 1, 2 and so on, by their places in it; everybody unless it says otherwise.
        patient: who is looked at first; the first of the set unless it says otherwise.
        hide: controls that are not offered.

    Raises:
        ValueError: there is no such set, bed, patient or control.
    """
    if set not in SETS:
        raise ValueError(f"set must be one of {', '.join(SETS)}, got {set!r}")
    if not all(place in range(len(load(SETS[set])["curves"])) for place in beds):
        raise ValueError(f"beds must be places in the set, got {list(beds)}")
    data = ward(set, tuple(beds))
    start = Clinic(patient or data["patients"][0])
    made = Explorer(
        name="clinic",
        title="Collapse clinic",
        start=start,
        controls=(
            Control("patient", "patient", data["patients"], kind="menu", resets=("diagnosis",)),
            Control("snapshot", "step", tuple(range(len(SNAPSHOTS))), kind="player", words=tuple(map(str, SNAPSHOTS))),
            Control("diagnosis", "diagnosis", (OPEN, *LABELS) if set == "exercise" else (OPEN,), kind="menu"),
        ),
        show=functools.partial(show, name=set, beds=tuple(beds)),
        scene=SCENE,
        sentences=SENTENCES,
        alt=ALT,
        model=Model("clinic", data),
    )
    if set != "exercise":
        made = replace(made, title="Collapse clinic: the assignment").hidden("diagnosis")
    return made.hidden(hide)
