"""The preference simplex: where a loss moves a policy over three to five answers, from any point, and where both answers fall.

Python takes the loss's slopes by autograd from labkit's own functions (`recipes.simplex`); the browser computes the same from
links and what goes into them (`simplex_terms`).
"""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from labkit.explorers.core import Control, Explorer, Model, Moved, Shown, State
from labkit.explorers.simplex_scene import ALT, BESIDE, ENDS, FIGURE, MORE_THAN_THE_MARGIN, SENTENCES, ending
from labkit.explorers.simplex_terms import LOSSES, TERMS, called
from labkit.figures.words import fill, said
from labkit.recipes import simplex as flows
from labkit.recipes import simplex_paths as paths
from labkit.recipes import simplex_plane as plane
from labkit.recipes.simplex import CHOSEN, NAMES, REJECTED, Flow, gathered, margin_alone, margin_of, spread

BETAS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
MARGINS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0)
LENGTHS = (1, 2, 4, 8)
WEIGHTS = (0.5, 1.0, 1.5, 2.0, 4.0)
ARROW, ROOT = 0.046, 1 / 4  # an arrow's length: that of the fastest, times the share of its speed to this power
GHOST = 40  # points on the line that the margin alone would draw


@dataclass(frozen=True)
class Simplex(State):
    """Which loss with which arguments, what the answers share, how far to walk, and from where."""

    loss: str = "DPO"
    beta: float = 0.1
    eta: float = 0.05
    lambda_: float = 5.0
    gamma: float = 1.0
    chosen_lengths: int = 1
    rejected_lengths: int = 1
    kl: float = 0.0
    desirable_weight: float = 1.0
    undesirable_weight: float = 1.0
    geometry: str = "alike"
    answers: int = 3
    reference: str = "start"
    margin: float = 0.5
    moved: Moved | None = None


CONTROLS = (
    Control("loss", "loss", tuple(LOSSES), kind="menu"),
    Control("beta", "β", BETAS),
    Control("eta", "SFT weight η", (0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0), when=("loss", ("RPO",))),
    Control("lambda_", "penalty λ", (0.0, 1.0, 5.0, 50.0, 500.0), when=("loss", ("DPOP",))),
    Control("gamma", "target γ", (0.0, 0.5, 1.0, 2.0, 4.0), when=("loss", ("SimPO",))),
    Control("chosen_lengths", "tokens, chosen", LENGTHS, when=("loss", ("SimPO",))),
    Control("rejected_lengths", "tokens, rejected", LENGTHS, when=("loss", ("SimPO",))),
    Control("kl", "reference point K (nats)", (0.0, 0.1, 0.2, 0.5, 1.0, 2.0), when=("loss", ("KTO",))),
    Control("desirable_weight", "desirable weight", WEIGHTS, when=("loss", ("KTO",))),
    Control("undesirable_weight", "undesirable weight", WEIGHTS, when=("loss", ("KTO",))),
    Control(
        "geometry",
        "what learns",
        flows.GEOMETRIES,
        kind="menu",
        words=("each answer's own logit", "a feature they share", "feature and logits", "a feature telling them apart"),
    ),
    Control("answers", "answers", (3, 4, 5)),
    Control(
        "reference", "reference", ("start", "uniform"), kind="toggle", when=("loss", tuple(x for x in LOSSES if x != "SimPO"))
    ),
    Control("margin", "walk to margin (nats)", MARGINS),
)


# ---------------------------------------------------------------- what is shown


def begins(state: Simplex) -> np.ndarray:
    """The policy `(answers,)` that the path starts from."""
    if state.moved is None:
        return spread(flows.opening(), state.answers)
    return spread(plane.inside(plane.mixture(*map(np.array, state.moved[1:]))), state.answers)


def flow(state: Simplex) -> Flow:
    start = begins(state)
    reference = np.full_like(start, 1 / state.answers) if state.reference == "uniform" else start
    return Flow(called(state.loss, state), flows.kernel(state.geometry, state.answers), np.log(reference))


def show(state: Simplex) -> Shown:
    f, start = flow(state), begins(state)
    x, _ = plane.columns()
    low, high = plane.region(f)
    path = walked(state, f, start)
    logps = np.log(start)
    side = 1 if f.on_kink(logps) else None
    up, down = f.slopes(logps, side)
    uniform = plane.place(gathered(np.full(state.answers, 1 / state.answers)))
    rest = "others" if state.answers > 3 else "Yes"
    return {
        **arrows(f, state.answers),
        **path,
        **labelled(path),
        "ended": fill(ending(path["outcome"], state.loss), {**path, "margin": state.margin}),
        "uniform_x": uniform[0],
        "uniform_y": uniform[1],
        "uniform_size": 11 if state.reference == "uniform" and state.loss != "SimPO" else 0,
        "both_x": x,
        "both_low": low[0],
        "both_high": high[0],
        "more_low": low[1],
        "more_high": high[1],
        "both_share": plane.share_of(low, high),
        "pull": float(up / -down),
        "pushed": as_hard(up / -down),
        "pace": float(margin_of(f.rates(logps, side))),
        "target": 0.5 / state.beta,
        "won_low": -state.margin if path["won"].min() < -0.02 * state.margin else 0,
        "rest": rest,
        "top": rest if rest == "Yes" else "all others",
    }


def as_hard(pull: float) -> str:
    """How hard the chosen answer is pushed, beside the rejected."""
    times = said(pull, ".3g")
    return "as hard as" if times == "1" else f"{times} times as hard as"


def labelled(path: Shown) -> Shown:
    """Both ends of the path, and what is written beside the second: on the side that the path does not come from."""
    (start, *_, x), (up, *_, y) = path["path_x"], path["path_y"]
    back = x <= start
    left = (back and x > 0.25) or x > 0.8
    words = f"margin {said(path['margin_won'], '.2g')}"
    return {
        "start_x": start,
        "start_y": up,
        "end_x": x,
        "end_y": y,
        "beside_x": x + (-0.03 if left else 0.03),
        "beside_y": y + (0.05 if back and not left else 0),
        "to_the_left": words if left else "",
        "to_the_right": "" if left else words,
    }


def arrows(f: Flow, answers: int) -> Shown:
    """The flow over the triangle, `(153, 3)` for chosen, rejected and the rest, and how it is drawn."""
    points = plane.grid()
    moved = gathered(f.field(spread(points, answers)))
    (x, y), (dx, dy) = plane.place(points), plane.place(moved)
    speed = np.hypot(dx, dy)
    with np.errstate(invalid="ignore", divide="ignore"):
        long = np.where(speed > 0, ARROW * (speed / speed.max()) ** ROOT / speed, 0.0)
    return {
        "flow": moved,
        "flow_points": points,
        "speed": speed,
        "arrow_x": x - dx * long / 2,
        "arrow_y": y - dy * long / 2,
        "arrow_dx": dx * long,
        "arrow_dy": dy * long,
    }


def walked(state: Simplex, f: Flow, start: np.ndarray) -> Shown:
    """The path to the margin, beside the line of all losses of the margin alone."""
    path = paths.walk(f, start, state.margin)
    along = np.linspace(0, state.margin, GHOST + 1)
    ghost = margin_alone(f.kernel, path.logps[0], along)
    change, other = (np.log(gathered(np.exp(rows))) for rows in (path.logps, ghost))
    change, other = change - change[0], other - other[0]
    (x, y), (by, up) = (plane.place(gathered(np.exp(rows))) for rows in (path.logps, ghost))
    won, alone = path.won, margin_alone(f.kernel, path.logps[0], path.won[-1])
    return {
        "path_x": x,
        "path_y": y,
        "ghost_x": by,
        "ghost_y": up,
        "won": won,
        "chosen_change": change[:, 0],
        "rejected_change": change[:, 1],
        "others_change": change[:, 2],
        "ghost_won": along,
        "ghost_change": other[:, 0],
        "end": path.end,
        "outcome": outcome(path.end, won[-1], change[-1, 0]),
        "margin_won": float(won[-1]),
        "walked": float(np.round(abs(won[-1]), 3)),
        "chosen_fall": float(change[-1, 0]),
        "rejected_fall": float(change[-1, 1]),
        **mass(np.exp(path.logps[0]), np.exp(path.logps[-1])),
        "chosen_alone": float(np.exp(alone[CHOSEN])),
    }


def outcome(end: str, won: float, change: float) -> str:
    """In a word, what became of the chosen answer."""
    if end == "cut" or (end == "stalls" and abs(won) < 1e-6):
        return "cut" if end == "cut" else "stays"
    if won < 0:
        return "backwards" if end == "given away" else "rests"
    if end == "stalls":
        return "stalls"
    return "rose" if change > 1e-6 else "fell" if change < -1e-6 else "held"


def mass(before: np.ndarray, after: np.ndarray) -> Shown:
    """Who received the probability."""
    gain, n = after - before, len(after)
    start, end = gathered(before), gathered(after)
    return {
        "chosen_start": float(start[0]),
        "rejected_start": float(start[1]),
        "chosen_end": float(end[0]),
        "rejected_end": float(end[1]),
        "gain": gain,
        "gain_words": [bare(said(g, "+.0%")) for g in gain],
        "gain_at": np.where(gain < 0, gain - 0.1, gain + 0.1),
        "names": list(NAMES[:n]),
        "bar": np.arange(n),
        "bar_high": n - 0.4,
        "role": np.array([0 if k == CHOSEN else 1 if k == REJECTED else 2 for k in range(n)]),
        "winner": NAMES[int(gain.argmax())],
        "winner_gain": float(gain.max()),
    }


def bare(words: str) -> str:
    """Nothing has no sign."""
    return "0%" if words == "+0%" else words


# ---------------------------------------------------------------- the explorer


@functools.cache
def told() -> dict[str, Any]:
    """What the browser computes with, in full precision."""
    return {
        "w": CHOSEN,
        "l": REJECTED,
        "names": list(NAMES),
        "terms": TERMS,
        "kernels": {name: flows.kernel(name, len(NAMES)).tolist() for name in flows.GEOMETRIES},
        "others": {n: flows.others(n).tolist() for n in (3, 4, 5)},
        "start": flows.opening().tolist(),
        "ends": ENDS,
        "beside": BESIDE,
        "wider": list(MORE_THAN_THE_MARGIN),
        "least": plane.LEAST,
        "sides": plane.SIDES,
        "arrow": ARROW,
        "root": ROOT,
        "ghost": GHOST,
        "region": {"columns": plane.COLUMNS, "samples": plane.SAMPLES, "halvings": plane.HALVINGS, "edge": plane.EDGE},
        "walk": {"steps": paths.STEPS, "short": paths.SHORT, "most": paths.MOST, "near": flows.NEAR},
    }


def simplex(
    *, loss: str = "DPO", geometry: str = "alike", answers: int = 3, beta: float = 0.1, hide: tuple[str, ...] = ()
) -> Explorer[Simplex]:
    """The preference simplex: the exact flow of a preference loss on all policies over three to five answers.

    Args:
        loss: "DPO", "IPO", "KTO", "SimPO", "DPOP" or "RPO".
        geometry: what learns: "independent" (each answer's own logit), "alike" (a feature that No and Never share), "both", or
            "apart" (a feature that tells them apart).
        answers: three to five; the pair is No and Never.
        beta: one of the slider's options.
        hide: controls that are not offered.

    Raises:
        ValueError: a value that a control does not have, naming the choices; an unknown control.

    >>> simplex(loss="RPO").start.loss
    'RPO'
    """
    return Explorer(
        name="simplex",
        title="Preference simplex",
        start=Simplex(loss=loss, geometry=geometry, answers=answers, beta=beta),
        controls=CONTROLS,
        show=show,
        scene=FIGURE,
        sentences=SENTENCES,
        alt=ALT,
        model=Model("simplex", told()),
    ).hidden(hide)
