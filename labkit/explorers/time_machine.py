"""The time machine: a run's snapshots as a film, one cursor for embedding, spectrum, meters and loss; two runs side by side."""

import functools
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from labkit.explorers.clouds import UNIT, cloud, dots, named
from labkit.explorers.core import Control, Explorer, Sentence, Shown, State, digest
from labkit.explorers.given import whole
from labkit.figures.scene import Axis, Mark, Panel, Scene, line, points, rule, text
from labkit.recipes.time_machine import METERS, Film, checked, film, films
from labkit.training import Run

NAMES = {"alignment": "Alignment", "uniformity": "Uniformity", "mean_norm": "Mean-vector norm", "rank": "Effective rank"}
NOTES = {
    "InfoNCE, temperature 0.2": "its negatives push, and the cone opens",
    "InfoNCE, temperature 0.03": "at so low a temperature the cone opens late",
    "SupCon, with labels": "labels gather each class, and push the classes apart",
    "alignment only": "nothing pushes, so everything meets in one point",
    "SimSiam without batch norm": "a stopped gradient alone does not hold the points apart here",
    "toy, little noise": "views agree along all sixteen directions, and all are kept",
    "toy, noise kills directions": "views disagree along eight directions, and these are given up",
}
DEFAULT = ("InfoNCE, temperature 0.2", "alignment only")
COLORS: dict[str, str] = {"a": "blue", "b": "vermilion"}
LEAST = 1e-5  # the smallest spread that is drawn
POINT, CONE, DEAD = -0.05, 0.8, 0.01  # a collapse of scale; of the mean; a direction beside the widest
ALT = (
    "A run at one of its snapshots: the embeddings in a plane inside the unit circle, the loss between its chance line and its "
    "floor, the spread along each direction, and four meters over the steps, all with one cursor; a second run beside it. "
    "A healthy run opens from a narrow cone; alignment alone shrinks to a point; noisy views make directions die."
)


@dataclass(frozen=True)
class TimeMachine(State):
    """Which run, which one beside it, and the number of the frame."""

    run: str
    other: str
    frame: int


@dataclass(frozen=True, eq=False)
class Reel:
    """A film cut to common steps, ready to be shown."""

    name: str
    film: Film
    steps: tuple[int, ...]
    width: int

    @functools.cached_property
    def places(self) -> np.ndarray:
        """At each of the steps, the frame of the film that is the latest."""
        return np.maximum(np.searchsorted(self.film.steps, self.steps, side="right") - 1, 0)

    @functools.cached_property
    def lines(self) -> Shown:
        """What stays while the cursor moves: loss and meters, over the number of the frame."""
        made = {
            name: np.where(np.array(self.steps) <= self.film.steps[-1], self.film.meters[name][self.places], np.nan)
            for name in METERS
        }
        step, loss = self.film.loss.T
        return made | {"loss_at": np.interp(step, self.steps, np.arange(len(self.steps))), "loss": loss}

    def show(self, frame: int) -> Shown:
        place = int(self.places[frame])
        spread = np.full(self.width, np.nan)
        spread[: self.film.spectrum.shape[1]] = np.maximum(self.film.spectrum[place], LEAST)
        now = {f"{name}_now": float(self.film.meters[name][place]) for name in METERS}
        chance, floor = self.film.chance, self.film.floor
        limits = {"chance": chance, "floor": floor, "axes": self.film.axes}
        limits |= {"chance_said": "" if np.isnan(chance) or chance == floor else "chance"}
        limits |= {"floor_said": "" if np.isnan(floor) else "floor, and chance" if chance == floor else "floor"}
        ends = np.array([chance, floor, *self.lines["loss"]])
        known = ends[np.isfinite(ends)] if np.isfinite(ends).any() else np.array([0.0, 1.0])
        low, high = float(known.min()), float(known.max())
        room = (high - low) or 1.0  # above it for the word at the chance line
        limits |= {"low": low - 0.06 * room, "high": high + 0.2 * room}
        words = {"word": self.word(place), "note": NOTES.get(self.name, "")}
        words["no_loss"] = "" if len(self.film.loss) else "no loss was given with these checkpoints"
        points = cloud(self.film.plane[place], self.film.labels)
        return {**self.lines, **points, **now, **limits, **words, "spread": spread}

    def word(self, place: int) -> str:
        """What the meters say of this frame, scale first and rank second."""
        spread, meters = self.film.spectrum[place], self.film.meters
        dead = int((spread < DEAD * spread[0]).sum())
        if meters["uniformity"][place] > POINT:
            return f"all rows nearly coincide (mean-vector norm {meters['mean_norm'][place]:.4f})"
        if dead >= len(spread) / 4:
            return f"{dead} of {len(spread)} directions have less than 1 % of the widest one's spread"
        if meters["mean_norm"][place] > CONE:
            return f"the rows form a narrow cone (mean-vector norm {meters['mean_norm'][place]:.2f})"
        return f"the rows are spread out (uniformity −{-meters['uniformity'][place]:.2f}, rank {meters['rank'][place]:.0f})"


@dataclass(frozen=True)
class Projector:
    """The reels that there are, by name, and how they are shown."""

    reels: Mapping[str, Reel]
    pair: bool

    @property
    def steps(self) -> tuple[int, ...]:
        return next(iter(self.reels.values())).steps

    def show(self, state: TimeMachine) -> Shown:
        seen = {"a": self.reels[state.run].show(state.frame)}
        if self.pair:
            seen["b"] = self.reels[state.other].show(state.frame)
        shown = {key: value for side, found in seen.items() for key, value in named(side, found).items()}
        values = {name: [f"{side.upper()} {number(found[f'{name}_now'])}" for side, found in seen.items()] for name in METERS}
        words = {f"{name}_said": " · ".join(said) if self.pair else said[0][2:] for name, said in values.items()}
        return {**shown, **words, "step": self.steps[state.frame], "now": state.frame}


def number(value: float) -> str:
    return "not kept" if np.isnan(value) else f"{value:.3g}".replace("-", "−") if abs(value) >= 0.01 else f"{abs(value):.2f}"


# ---------------------------------------------------------------- how it is drawn


def embedding(side: str, at: tuple[float, float, float, float], pair: bool) -> Panel:
    """The unit circle's outline, and the points inside it."""
    angle, end = np.linspace(0, 2 * np.pi, 73), 1.04 * UNIT
    outline = line(UNIT * np.cos(angle), UNIT * np.sin(angle), color="grid", width=2)
    hidden = Axis("", -end, end, hidden=True)
    name = f"{side.upper()}: {{{'run' if side == 'a' else 'other'}}}" if pair else "{run}"
    return Panel(at, (outline, *dots(side, 6)), f"{name}\nstep {{step:d}} · {{{side}_axes}}", x=hidden, y=hidden, equal=True)


def clock(steps: tuple[int, ...], many: int) -> Axis:
    """The frames, one after the other, called by their steps."""
    ticks = sorted({round(place) for place in np.linspace(0, len(steps) - 1, min(many, len(steps)))})
    return Axis("step", -0.3, len(steps) - 0.7, ticks=ticks, words=[f"{steps[k]}" for k in ticks])


NOW = rule(x="$now", color="ink", dash="dot")


def loss(side: str, at: tuple[float, float, float, float], steps: tuple[int, ...], pair: bool) -> Panel:
    limits = (
        rule(y=f"${side}_chance", color="muted", label=f"{{{side}_chance_said}}"),
        rule(y=f"${side}_floor", color="green", label=f"{{{side}_floor_said}}"),
    )
    curve = line(f"${side}_loss_at", f"${side}_loss", color=COLORS[side], width=1.5)
    absent = text((len(steps) - 1) / 2, 0.5, f"{{{side}_no_loss}}", color="muted", anchor="middle")
    title, axis = f"Loss of {side.upper()}" if pair else "Loss", Axis("", f"${side}_low", f"${side}_high")
    return Panel(at, (*limits, NOW, curve, absent), title, x=clock(steps, 5), y=axis, cursor="frame")


def both(pair: bool, x: object, name: str, width: float = 2.2) -> tuple[Mark, ...]:
    """A line for each run, told apart by colour, dash and letter."""
    sides = [("a", "solid"), ("b", "dash")] if pair else [("a", "solid")]
    return tuple(
        line(x, f"${side}_{name}", color=COLORS[side], dash=dash, width=width, label=side.upper() if pair else "")
        for side, dash in sides
    )


def meter(name: str, at: tuple[float, float, float, float], steps: tuple[int, ...], most: float, pair: bool) -> Panel:
    """One of METERS over the frames; `most` is the end of its axis that lies away from 0."""
    over = np.arange(len(steps))
    dots = [points("$now", f"${side}_{name}_now", size=8, color=COLORS[side]) for side in ("a", "b")[: 1 + pair]]
    title = f"{NAMES[name]}\n{{{name}_said}}"
    axis = Axis("", min(-0.12 * most, 1.04 * most), max(-0.04 * most, 1.12 * most))
    return Panel(at, (NOW, *both(pair, over, name), *dots), title, x=clock(steps, 4), y=axis, cursor="frame")


def scene(reels: Collection[Film], steps: tuple[int, ...], pair: bool) -> Scene:
    """Embeddings on top, losses and spectrum below them, meters at the bottom."""
    width = max(film.spectrum.shape[1] for film in reels)
    far = max(float(np.nan_to_num(film.meters["alignment"]).max()) for film in reels)
    low = min(float(film.meters["uniformity"].min()) for film in reels)
    wide, most = np.arange(1, 1 + width), {"alignment": far or 1.0, "uniformity": low, "mean_norm": 1.0, "rank": float(width)}
    axis = Axis("spread", LEAST / 1.3, 1, log=True, ticks=[1e-4, 1e-2, 1])
    across = Axis("direction", 0, width + 1, ticks=sorted({max(1, width * k // 4) for k in range(5)}))
    spectrum = both(pair, wide, "spread")
    row, base = 0.40, 0.68
    if pair:
        top = [embedding("a", (0.0, 0.0, 0.5, row), pair), embedding("b", (0.5, 0.0, 1.0, row), pair)]
        top += [loss("a", (0.0, row, 0.33, base), steps, pair), loss("b", (0.33, row, 0.66, base), steps, pair)]
        top.append(Panel((0.66, row, 1.0, base), spectrum, "Spread by direction", x=across, y=axis))
    else:
        top = [embedding("a", (0.0, 0.0, 0.5, base), pair), loss("a", (0.5, 0.0, 1.0, base / 2), steps, pair)]
        top.append(Panel((0.5, base / 2, 1.0, base), spectrum, "Spread by direction", x=across, y=axis))
    quarter = [meter(name, (k / 4, base, (k + 1) / 4, 1.0), steps, most[name], pair) for k, name in enumerate(METERS)]
    return Scene((*top, *quarter), height=680 if pair else 600)


# ---------------------------------------------------------------- what is said

PAIR = (
    Sentence("Step {before.step:d} to {after.step:d}. A: {after.a_word}. B: {after.b_word}.", changed="frame", rises="step"),
    Sentence("Back from step {before.step:d} to {after.step:d}. A: {after.a_word}. B: {after.b_word}.", changed="frame"),
    Sentence("A is now {after.run}: {after.a_note}. At step {after.step:d} {after.a_word}.", changed="run"),
    Sentence("B is now {after.other}: {after.b_note}. At step {after.step:d} {after.b_word}.", changed="other"),
    Sentence("Step {after.step:d}. A, {after.run}: {after.a_word}. B, {after.other}: {after.b_word}."),
)
ALONE = (
    Sentence("Step {before.step:d} to {after.step:d}: {after.a_word}.", changed="frame", rises="step"),
    Sentence("Back from step {before.step:d} to {after.step:d}: {after.a_word}.", changed="frame"),
    Sentence("Step {after.step:d}: {after.a_word}."),
)


def found(run: Any, name: str, argument: str) -> tuple[str, Film]:
    """The film of a reader's run or checkpoints, or one that ships, by name."""
    if isinstance(run, Film):
        return name, run
    if not isinstance(run, str):
        checked(run, argument)
        return name, film(run)
    if run not in films():
        raise ValueError(f"{argument} must be a Run or one of {'; '.join(films())}, or a film of your own; got {run!r}")
    return run, films()[run]


def two_words(names: Any) -> tuple[str, str]:
    """What the two runs are called."""
    if not isinstance(names, (tuple, list)) or len(names) != 2 or names[0] == names[1]:
        raise ValueError(f"names must be two different words, got {names!r}")
    if not all(isinstance(name, str) for name in names):
        raise TypeError(f"names must be words, got {names!r}")
    return names[0], names[1]


def time_machine(
    run: Run | Film | str | None = None,
    other: Run | Film | str | None = None,
    *,
    step: int | None = None,
    names: tuple[str, str] = ("your run", "the other run"),
    hide: tuple[str, ...] = (),
) -> Explorer[TimeMachine]:
    """Scrub through a run's snapshots, alone or beside another run.

    Args:
        run: your own run of an encoder; a film of your own checkpoints, which `film(folder, encoder, inputs)` of
            `labkit.report.comparing` makes; the name of a run that ships; or nothing, for a menu of those that ship.
        other: the run beside it, or its name.
        step: where it opens: the last snapshot up to this step; the last of all without it.
        names: what your own runs are called.
        hide: names of controls that are not offered.

    Raises:
        ValueError: a run without snapshots of embeddings, an unknown name, a negative step, not two names, an unknown control.
        TypeError: a run that is neither Run nor film, a step that is no whole number.
    """
    step = None if step is None else whole(step, "step", 0)
    names = two_words(names)
    given = [found(r, n, a) for r, n, a in zip((run, other), names, ("run", "other"), strict=True) if r is not None]
    own = any(r is not None and not isinstance(r, str) for r in (run, other))
    reels = dict(given) if own else films()
    pair = not own or len(given) == 2
    first, second = (given[0][0], given[-1][0]) if own else (str(run or DEFAULT[0]), str(other or DEFAULT[1]))
    steps = tuple(sorted({int(s) for each in reels.values() for s in each.steps}))
    width = max(each.spectrum.shape[1] for each in reels.values())
    start = len(steps) - 1 if step is None else int(np.searchsorted(steps, step, side="right")) - 1
    projector = Projector({name: Reel(name, each, steps, width) for name, each in reels.items()}, pair)
    return Explorer(
        name="time_machine",
        title="Time machine",
        start=TimeMachine(first, second, start),
        controls=(
            Control("run", "run A" if pair else "run", tuple(reels), kind="menu"),
            Control("other", "run B", tuple(reels), kind="menu"),
            Control("frame", "step", tuple(range(len(steps))), kind="player", words=tuple(map(str, steps))),
        ),
        show=projector.show,
        scene=scene(reels.values(), steps, pair),
        sentences=PAIR if pair else ALONE,
        alt=ALT,
        mine=digest(*(each.plane for each in reels.values())) if own else "",
    ).hidden(("run", "other") if own else (), hide)
