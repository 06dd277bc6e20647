"""A picture of a diagnosis: how far both answers moved, and who gained where they open, step by step."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from labkit.figures import theme
from labkit.figures.preference import halo, spaced

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = {
    "chosen": theme.BLUE,
    "rejected": theme.ORANGE,
    "opposite": theme.VERMILION,
    "similar": theme.GREEN,
    "other": theme.MUTED,
}
SIDES = ("chosen", "rejected")
OTHERS = ("rejected", "opposite", "similar", "other")


@theme.styled
def course(curves: Mapping[str, Sequence[float]]) -> "Figure":
    """Left, the whole answers' log-probabilities; right, every kind of word's probability at the first token that counts.

    On the right the changes add up to 0 at every step: the chosen word, the rejected one, and everything else in three kinds.

    Args:
        curves: `Diagnosis.curves` of level L2 or L3.
    """
    missing = [name for name in ("step", *SIDES, *(f"gained_{kind}" for kind in OTHERS)) if name not in curves]
    if missing:
        raise ValueError(f"curves lacks {', '.join(missing)}: a diagnosis of level L2 or L3 has them")
    steps = np.asarray(curves["step"], dtype=float)
    moved = {side: np.asarray(curves[side]) - curves[side][0] for side in SIDES}
    gained = {kind: np.asarray(curves[f"gained_{kind}"]) for kind in OTHERS}
    gained = {"chosen": -np.sum(list(gained.values()), axis=0), **gained}
    figure, axes = theme.canvas(2, width=11.6, height=4.4)
    drawn(axes[0], steps, moved, "the whole answers", "change of log π, nats")
    drawn(axes[1], steps, gained, "the word where they open", "change of probability")
    return figure


def drawn(ax: "Axes", steps: np.ndarray, lines: Mapping[str, np.ndarray], title: str, ylabel: str) -> None:
    """Lines that are named at their ends; steps on a scale that shows the first as well as the last."""
    ax.axhline(0, color=theme.INK, linewidth=1)
    place = np.log2(1 + steps)
    for name, y in lines.items():
        ax.plot(place, y, color=COLORS[name], marker="o", markersize=4)
    ticks = sorted({0, *np.unique(np.linspace(0, len(steps) - 1, 6).astype(int))})
    ax.set(title=title, ylabel=ylabel, xlabel="step", xlim=(0, place[-1] * 1.3 + 0.1))
    ax.set_xticks(place[ticks], [f"{steps[i]:g}" for i in ticks])
    ends = spaced([(place[-1], y[-1]) for y in lines.values()], *ax.get_xlim(), *ax.get_ylim())
    for name, end in zip(lines, ends, strict=True):
        look: dict[str, Any] = {"color": COLORS[name], "va": "center", "fontweight": "bold", "path_effects": halo()}
        ax.annotate(name, end, xytext=(8, 0), textcoords="offset points", **look)
