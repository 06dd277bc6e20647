"""From pairs to lists, drawn: losses below their chance lines, and what more rejected answers buy."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from labkit.figures import theme
from labkit.figures.preference import halo, hue, spaced

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@theme.styled
def bought(numbers: np.ndarray, rows: Mapping[str, tuple[np.ndarray, np.ndarray]], start: float) -> "Figure":
    """What answers are worth after teaching with K rejected ones in each list: against K, and against the distance covered.

    Args:
        numbers: K `(k,)`.
        rows: objective -> (worth, KL from the start), each `(k, seeds)`.
        start: worth before any teaching.
    """
    figure, (ax, right) = theme.canvas(2, width=12.6, height=4.5, sharey=True, width_ratios=(1.25, 1))
    ends = []
    for k, (worth, kl) in enumerate(rows.values()):
        ax.fill_between(numbers, worth.min(1), worth.max(1), color=hue(k), alpha=0.18, linewidth=0)
        ax.plot(numbers, worth.mean(1), color=hue(k), marker="o", markersize=6)
        right.plot(kl.mean(1), worth.mean(1), color=hue(k), marker="o", markersize=6)
        ends.append((float(numbers[-1]), float(worth.mean(1)[-1])))
    for side in (ax, right):
        side.axhline(start, color=theme.MUTED, linestyle="--", linewidth=1.2)
    ax.text(numbers[0], start + 0.03, "untaught", color=theme.MUTED)
    ax.set(
        xscale="log",
        xlabel="K, rejected answers in a list",
        ylabel="liked words in an answer, of 5",
        title="equal number of lists",
    )
    ax.set_xticks(numbers, labels=[str(n) for n in numbers])
    ax.minorticks_off()
    ax.set_xlim(numbers[0] * 0.85, numbers[-1] * 4.2)
    right.set(xlabel="KL from the start, nats", title="equal distance", xlim=(0, None))
    for k, (name, place) in enumerate(zip(rows, spaced(ends, 0, float(numbers[-1]), *ax.get_ylim()), strict=True)):
        look = {"color": hue(k), "va": "center", "weight": "bold", "path_effects": halo()}
        ax.annotate(name, place, xytext=(10, 0), textcoords="offset points", **look)
    return figure


@theme.styled
def chance_lines(numbers: np.ndarray, rows: Mapping[str, np.ndarray]) -> "Figure":
    """Losses against K below the chance line log(K + 1).

    Args:
        numbers: K `(k,)`.
        rows: name -> losses `(k,)`, in nats.
    """
    figure, ax = theme.canvas(width=8.4, height=4.4)
    ax.plot(numbers, np.log1p(numbers), color=theme.MUTED, linestyle="--")
    ax.annotate(
        "chance, log(K + 1)",
        (numbers[-1], np.log1p(numbers[-1])),
        xytext=(8, 0),
        textcoords="offset points",
        va="center",
        color=theme.MUTED,
        path_effects=halo(),
    )
    ends = []
    for k, values in enumerate(rows.values()):
        ax.plot(numbers, values, color=hue(k), marker="o", markersize=5)
        ends.append((float(numbers[-1]), float(values[-1])))
    ax.set(xscale="log", xlabel="K, negatives or rejected answers", ylabel="loss, nats", ylim=(0, 4), xlim=(0.9, 32 * 4.5))
    ax.set_xticks([1, 2, 4, 8, 16, 32], labels=["1", "2", "4", "8", "16", "32"])
    ax.minorticks_off()
    for k, (name, place) in enumerate(zip(rows, spaced(ends, 0, 32, 0, 4), strict=True)):
        ax.annotate(name, place, xytext=(8, 0), textcoords="offset points", va="center", color=hue(k), weight="bold")
    return figure
