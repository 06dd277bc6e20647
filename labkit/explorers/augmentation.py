"""Augmentations: two views of a digit, and how alike they are to an encoder, before and after training, beside other pairs."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from labkit.explorers.core import Control, Explorer, Sentence, Shown, State, nearest
from labkit.figures.scene import Axis, Panel, Scene, bars, image, line, points, ramp, rects, rule, text
from labkit.figures.words import said
from labkit.recipes.augmentation import DIGITS, EDGES, ENCODERS, NOISES, SHIFTS, TURNS
from labkit.results import load

TRAINED = tuple(ENCODERS)[1:]
STRENGTHS = {"turn": TURNS, "shift": SHIFTS, "noise": NOISES}
MIDDLES = (EDGES[1:] + EDGES[:-1]) / 2
ALT = (
    "Two views of a handwritten digit. Below them the cosines of all pairs of different images, to an untrained and to a "
    "trained encoder, with a line at this pair's cosine: untrained, at least 85 % of them lie above 0.9. Curves "
    "show the share of other pairs that are less alike than two views, against their strength; a table, of six encoders."
)
EXTREMES = ((TURNS.index(60), 0, 0), (0, SHIFTS.index(0.2), 0), (0, 0, NOISES.index(0.4)))


@dataclass(frozen=True)
class Augmentation(State):
    """Which digit, how strongly its views differ, and what the encoder was trained on."""

    digit: int
    turn: int
    shift: float
    noise: float
    trained: str


def place(state: Augmentation) -> tuple[int, int, int]:
    """Where the state's strengths stand in the stored table."""
    return TURNS.index(state.turn), SHIFTS.index(state.shift), NOISES.index(state.noise)


def show(state: Augmentation) -> Shown:
    kept, at = load("augmentation"), place(state)
    pixels = kept["pixels"][at][:, DIGITS.index(state.digit)]
    shown: Shown = {"first": pixels[0], "second": pixels[1]}
    for side, encoder in (("before", 0), ("after", TRAINED.index(state.trained) + 1)):
        shown |= {f"{side}_{name}": value for name, value in read(kept, encoder, at, DIGITS.index(state.digit)).items()}
    table = [[float(rows[cell]) for cell in EXTREMES] for rows in kept["mean_above"]]
    shown |= {"shares": np.array(table, dtype=np.float32).ravel(), "said": [f"{share:.0%}" for row in table for share in row]}
    row = -float(TRAINED.index(state.trained)) - 1
    shown |= {"outline": row + 0.48 * np.array([-1, 1, 1, -1, -1], dtype=np.float32)}
    shown |= {f"{name}_here": float(getattr(state, name)) for name in STRENGTHS}
    return shown | {f"{name}_at": np.array(over, dtype=np.float32) for name, over in STRENGTHS.items()}


def worded(share: float) -> str:
    """A share in words: 100% and 0% only where that is so.

    >>> worded(0.99999), worded(1.0), worded(0.98765), worded(1e-4)
    ('> 99.9%', '100%', '98.8%', '< 0.1%')
    """
    edges = {0.0: "0%", 1.0: "100%"}
    return edges.get(share) or ("> 99.9%" if share >= 0.9995 else "< 0.1%" if share < 0.0005 else said(share, ".1%"))


def read(kept: dict[str, Any], encoder: int, at: tuple[int, int, int], digit: int) -> Shown:
    """What one encoder makes of this pair, and of the pairs of other images; and along each strength, of all pairs."""
    another, same = kept["others"][encoder][at]
    tall = (another + same).max()
    mean = kept["mean_above"][encoder]
    turn, shift, noise = at
    return {
        "cosine": float(kept["own"][encoder][at][digit]),
        "above": worded(float(kept["above"][encoder][at][digit])),
        "another": (another / tall).astype(np.float32),
        "same": (same / tall).astype(np.float32),
        "mean": float(mean[at]),
        "turn": mean[:, shift, noise],
        "shift": mean[turn, :, noise],
        "noise": mean[turn, shift],
    }


# ---------------------------------------------------------------- how it is drawn


def view(name: str, title: str, at: tuple[float, float, float, float]) -> Panel:
    hidden = Axis("", 0, 1, hidden=True)
    return Panel(at, (image(f"${name}", (0, 1, 0, 1), map="gray", high=255),), title, x=hidden, y=hidden, equal=True)


def others(side: str, title: str, at: tuple[float, float, float, float]) -> Panel:
    """How alike different images are, those of the same class on top of those of another; and this pair."""
    wide = float(EDGES[1] - EDGES[0])
    marks = (
        bars(MIDDLES, f"${side}_another", width=wide, color="sky", opacity=0.9),
        bars(MIDDLES, f"${side}_same", base=f"${side}_another", width=wide, color="orange"),
        rule(x=f"${side}_cosine", color="ink", width=2.5, dash="solid"),
    )
    legend = (text(-0.97, 1.0, "another class", size=12, color="sky"), text(-0.97, 0.86, "same class", size=12, color="orange"))
    words = f"{title}: cosine {{{side}_cosine:.2f}}\nabove {{{side}_above}} of other pairs"
    return Panel(
        at, (*marks, *legend), words, x=Axis("cosine", -1, 1.04, ticks=[-1, -0.5, 0, 0.5, 1]), y=Axis("", 0, 1.08, hidden=True)
    )


def table() -> Panel:
    """Every encoder, asked about one strong change at a time; a line around the row of the chosen one."""
    rows, columns = np.repeat(-np.arange(len(ENCODERS), dtype=float), len(EXTREMES)), np.tile(np.arange(3.0), len(ENCODERS))
    marks = (
        rects(
            columns - 0.46, columns + 0.46, rows - 0.44, rows + 0.44, color=ramp("$shares", 0.4, 1.15, "viridis"), opacity=0.45
        ),
        line(np.array([-0.49, -0.49, 2.49, 2.49, -0.49]), "$outline", color="ink", width=2.5),
        text(columns, rows, "$said", anchor="middle", size=12),
    )
    x = Axis("", -0.5, 2.5, ticks=[0, 1, 2], words=["turn", "move", "noise"])
    y = Axis("", 0.5 - len(ENCODERS), 0.5, ticks=[-k for k in range(len(ENCODERS))], words=list(ENCODERS))
    return Panel((0.5, 0.0, 1.0, 0.29), marks, "Other pairs that strong views beat", x=x, y=y)


def curve(name: str, label: str, at: tuple[float, float, float, float]) -> Panel:
    """Against one strength, while the others stay: the share of other pairs that are less alike than two views, on average."""
    over = np.array(STRENGTHS[name], dtype=float)
    last, first = name == "noise", name == "turn"
    marks = (
        rule(y=0.5, color="muted", dash="dot"),
        rule(x=f"${name}_here", color="ink", dash="dot"),
        line(over, f"$before_{name}", color="muted", dash="dash", label="untrained" if last else ""),
        points(over, f"$before_{name}", color="muted", size=5, hover=f"{{{name}_at:g}}, untrained: {{before_{name}:.0%}}"),
        line(over, f"$after_{name}", color="blue", width=2.5, label="trained" if last else ""),
        points(
            over,
            f"$after_{name}",
            color="blue",
            size=7,
            symbol="square",
            hover=f"{{{name}_at:g}}, trained on {{trained}}: {{after_{name}:.0%}}",
        ),
    )
    room = 0.06 * over[-1]
    y = Axis("views beat others" if first else "", 0.4, 1.03, ticks=[0.5, 0.75, 1], format=".0%")
    return Panel(at, marks, "", x=Axis(label, -room, over[-1] + room, ticks=list(over)), y=y, cursor=name)


SCENE = Scene(
    (
        view("first", "One view", (0.0, 0.0, 0.25, 0.29)),
        view("second", "Another view", (0.25, 0.0, 0.5, 0.29)),
        table(),
        others("before", "Untrained", (0.0, 0.29, 0.5, 0.65)),
        others("after", "Trained", (0.5, 0.29, 1.0, 0.65)),
        curve("turn", "turn, up to (degrees)", (0.0, 0.65, 0.34, 1.0)),
        curve("shift", "move, up to (of width)", (0.34, 0.65, 0.62, 1.0)),
        curve("noise", "noise (sd)", (0.62, 0.65, 1.0, 1.0)),
    ),
    height=640,
)

# ---------------------------------------------------------------- what is said

WHY = {
    "identical views": "It was trained on two identical views, so nothing asked it to overlook a change",
    "turned views": "Its training asked that turns of up to 60 degrees be overlooked, and nothing else",
    "moved views": "Its training asked that moves of up to a fifth of the width be overlooked, and nothing else",
    "noisy views": "Its training asked that noise of 0.3 be overlooked, and nothing else",
    "a little of each": "Its training asked that small turns, moves, changes of size and noise be overlooked",
}
NUMBERS = (
    "Two views of this strength beat {after.before_mean:.0%} of other pairs before training, and {after.after_mean:.0%} after."
)
SENTENCES = (
    *(Sentence(f"{why}. {NUMBERS}", changed="trained", when={"trained": name}) for name, why in WHY.items()),
    *(
        Sentence(
            f"{words}: two views beat {{after.before_mean:.0%}} of other pairs untrained and {{after.after_mean:.0%}} trained "
            f"({{before.after_mean:.0%}} a moment ago). {why}.",
            changed=name,
            when={"trained": trained},
        )
        for name, words in {
            "turn": "Turned by up to {after.turn:d} degrees",
            "shift": "Moved by up to {after.shift:g} of the width",
            "noise": "Noise of {after.noise:g}",
        }.items()
        for trained, why in WHY.items()
    ),
    Sentence(
        "Another digit, a {after.digit:d}: its two views have cosine {after.before_cosine:.2f} untrained, above "
        "{after.before_above} of other pairs, and {after.after_cosine:.2f} trained, above {after.after_above}.",
        changed="digit",
    ),
    Sentence(
        "Untrained, the two views have cosine {after.before_cosine:.2f}, which is above {after.before_above} of other "
        "pairs; trained, {after.after_cosine:.2f}, above {after.after_above}. High is not alike: others may be as high.",
    ),
)


def augmentation(
    *,
    digit: int = 3,
    turn: float = 60,
    shift: float = 0.0,
    noise: float = 0.0,
    trained: str = "turned views",
    hide: tuple[str, ...] = (),
) -> Explorer[Augmentation]:
    """Two views of a digit, and how alike they are, before and after training.

    Args:
        digit: 1, 3, 4, 6, 8 or 9.
        turn: up to how many degrees, 0 to 90.
        shift: up to which share of the width, 0 to 0.2.
        noise: its standard deviation, 0 to 0.4; a white pixel is 1.
        trained: "identical views", "turned views", "moved views", "noisy views" or "a little of each".
        hide: names of controls that are not offered.

    Raises:
        ValueError: a start that does not exist, or an unknown control.
    """
    begins = (nearest(TURNS, turn, "turn"), nearest(SHIFTS, shift, "shift"), nearest(NOISES, noise, "noise"))
    return Explorer(
        name="augmentation",
        title="Augmentations: what is to be alike",
        start=Augmentation(digit, int(begins[0]), *begins[1:], trained),
        controls=(
            Control("digit", "digit", DIGITS, kind="menu"),
            Control("turn", "turn, degrees", TURNS),
            Control("shift", "move, share of width", SHIFTS),
            Control("noise", "noise", NOISES),
            Control("trained", "encoder trained on", TRAINED, kind="menu"),
        ),
        show=show,
        scene=SCENE,
        sentences=SENTENCES,
        alt=ALT,
    ).hidden(hide)
