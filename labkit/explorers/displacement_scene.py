"""How the displacement doctor is drawn, and what it says."""

from typing import Any

import numpy as np

from labkit.explorers.core import Sentence
from labkit.figures.scene import Axis, Panel, Scene, categories, points, ramp, rects, rule, text

ROWS, NAMED = 4, 5  # parts of the change, and receivers, that are drawn
BEND, SPAN = 0.1, 15.2  # the scale of the bars is even within a tenth of a nat, and compressed beyond
MEANINGS = {
    "own push": "what the push on this chosen answer alone would do to it, to first order along the whole path",
    "rejected's push": "what the push on its rejected answer did to it, through the weights that they share",
    "other pairs": "what the pushes on all other pairs did to it",
    "curvature": "what the steps did beyond the first order",
    "up to the fork": "the tokens up to the first that the rejected answer does not share",
    "after the fork": "the tokens after it",
    "= chosen moved": "the change of its log-probability, and the sum of the bars above",
    "token by token": "the difference of the mean changes per token, times the mean length",
    "unequal length": "the difference of the lengths, times the mean change per token",
    "= margin": "all that the loss sees, and the sum of the two bars above",
}
ALT = (
    "The chosen and the rejected answer as tokens, coloured by how much the log-probability of each changed, or by what it "
    "gives to the margin, with the number under each. Below, bars of what the chosen answer's change and the margin are sums "
    "of, and the words that gained probability where the chosen answer lost most. With the same ending and Adam its own push "
    "and the push on the rejected answer nearly cancel, and what little is left, of these and of other pairs' pushes, decides "
    "whether the chosen answer rises or falls."
)


def compressed(nats: Any) -> np.ndarray:
    return np.arcsinh(np.asarray(nats, dtype=float) / BEND)


DOWN = np.array([7.6, 6.6, 5.6, 4.6, 3.6, 2.1, 1.1, 0.1])  # where the bars of the two sums lie
MEANING = "{part_names}, {part_numbers} nats: {part_meanings}"
SUMS = np.array([3.6, 0.1])
LIST = np.arange(NAMED + 2)[::-1].astype(float)
HUE = float(compressed(40.0))  # no token is so dark that its word cannot be read
TICKS = (-1000, -1, 0, 1, 1000)
TICKED = [f"{t}".replace("-", "−") for t in TICKS]
SUMMED = categories(np.array([0] * ROWS + [1] + [0] * 2 + [1]), ("sky", "ink"))
GAINED = categories(np.array([0] + [1] * NAMED + [2]), ("vermilion", "green", "muted"))


def answer(side: str, top: float, hover: str) -> tuple:
    """A row of tokens under its heading."""
    middle = f"${side}_middle"
    return (
        rects(
            f"${side}_left",
            f"${side}_right",
            top - 0.22,
            top,
            color=ramp(f"${side}_hues", HUE, -HUE, "diverging"),  # what falls is red
            hover=hover,
        ),
        text(middle, top - 0.11, f"${side}_words", color="dark", anchor="middle"),
        text(middle, top - 0.28, f"${side}_numbers", anchor="middle", size=12),
    )


TOKENS = Panel(
    (0.0, 0.0, 1.0, 0.46),
    (
        text(np.zeros(2), np.array([0.95, 0.35]), "$heading", bold=True),
        rects("$place_left", "$place_right", 0.645, 0.655, color="ink"),
        *answer("chosen", 0.88, "{chosen_words} {chosen_numbers} nats; in its place gained: {followed}"),
        text("$chosen_middle", 0.53, "$followers", color="muted", anchor="middle", size=12),
        *answer("rejected", 0.28, "{rejected_words} {rejected_numbers} nats"),
    ),
    "“{asked}”, step {step:d}: {sum}",
    x=Axis("", 0, 1, hidden=True),
    y=Axis("", -0.04, 1, hidden=True),
)
SPLIT = Panel(
    (0.0, 0.46, 0.56, 1.0),
    (
        rule(x=0.0, color="muted", dash="solid", width=1),
        rects(
            0.0,
            "$part_ends",
            DOWN - 0.32,
            DOWN + 0.32,
            color=SUMMED,
            hover="{part_names}, {part_numbers} nats: {part_meanings}",
        ),
        points("$part_ends", DOWN, size=np.where(np.isin(DOWN, SUMS), 9.0, 0.0), color="ink", symbol="diamond"),
        text(-SPAN - 0.7, DOWN, "$part_names", anchor="end", size=12),
        text(SPAN + 17, DOWN, "$part_numbers", anchor="end", size=12),
    ),
    "Two exact sums",
    x=Axis("nats, compressed", -SPAN - 21, SPAN + 17.5, ticks=compressed(TICKS), words=TICKED),
    y=Axis("", -0.5, 8.2, hidden=True),
)
GAINS = Panel(
    (0.56, 0.46, 1.0, 1.0),
    (
        rule(x=0.0, color="muted", dash="solid", width=1),
        rects(0.0, "$gains", LIST - 0.32, LIST + 0.32, color=GAINED),
        text("$name_end", LIST, "$gain_names", anchor="end", size=12),
        text("$reach", LIST, "$gain_numbers", anchor="end", size=12),
    ),
    "Who gained in place of “{place}”",
    x=Axis("change of probability", "$low", "$reach", ticks="$gain_ticks"),
    y=Axis("", -0.6, NAMED + 1.6, hidden=True),
)
SCENE = Scene((TOKENS, SPLIT, GAINS), height=600)
STEP = "At step {after.step:d}, margin {after.margin:.2f}, the chosen answer stands "
SENTENCES = (
    Sentence(
        "Rejected tokens now count with the opposite sign: the numbers of both rows add up to the {after.sum}.",
        changed="color",
        when={"color": "contribution"},
    ),
    Sentence("The colours tell how each token's own log-probability changed since the start.", changed="color"),
    Sentence("Another policy, after {after.step:d} steps. {after.verdict}", changed="policy"),
    Sentence("Another pair. {after.verdict}", changed="pair"),
    Sentence(STEP + "lower than at step {before.step:d}. {after.verdict}", changed="frame", falls="gained"),
    Sentence(STEP + "higher than at step {before.step:d}. {after.verdict}", changed="frame", rises="gained"),
    Sentence("{after.verdict} The margin, all that the loss sees, is {after.margin:.2f}."),
)
