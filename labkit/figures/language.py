"""Pictures of a real language model under preference training: many kinds of pairs, and many prompts, side by side."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from labkit.figures import theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@theme.styled
def strips(
    rows: Mapping[str, tuple[np.ndarray, tuple[float, float, float]]], *, xlabel: str = "change of log π(chosen), nats"
) -> "Figure":
    """One row for each kind of pair: every value as a dot, and the mean with its interval below them.

    Args:
        rows: name -> (values, (mean, low, high)); the first comes on top.
    """
    figure, ax = theme.canvas(width=9.5, height=0.72 * len(rows) + 1.1)
    ax.axvline(0, color=theme.INK, linewidth=1)
    for y, (values, (mean, low, high)) in enumerate(rows.values()):
        color = theme.VERMILION if high < 0 else theme.BLUE if low > 0 else theme.MUTED
        ax.scatter(values, np.full(len(values), y - 0.14), color=color, s=42, alpha=0.55, linewidths=0)
        ax.plot([low, high], [y + 0.2, y + 0.2], color=color, linewidth=3, solid_capstyle="round")
        ax.plot(mean, y + 0.2, "o", color=color, markersize=9)
        ax.annotate(
            f"{mean:+.2f}", (max(high, values.max()), y), xytext=(9, 0), textcoords="offset points", va="center", color=color
        )
    ax.set(xlabel=xlabel, ylim=(len(rows) - 0.4, -0.6))
    ax.set_yticks(range(len(rows)), list(rows))
    ax.grid(axis="y", visible=False)
    left, right = ax.get_xlim()
    ax.set_xlim(left, right + 0.12 * (right - left))
    return figure


@theme.styled
def prompts(
    groups: Mapping[str, tuple[np.ndarray, np.ndarray]], labels: Sequence[tuple[float, float, str]], *, xlabel: str
) -> "Figure":
    """Where the chosen answer went, statement by statement, against something that was known before training.

    Args:
        groups: name -> (known before, change), a dot for each statement.
        labels: (x, y, text) of the dots that are named.
    """
    figure, ax = theme.canvas(width=9.5, height=5.0)
    ax.axhline(0, color=theme.INK, linewidth=1)
    for (name, (x, y)), color in zip(groups.items(), theme.CYCLE, strict=False):
        ax.scatter(x, y, color=color, s=62, alpha=0.8, linewidths=0, label=name)
    for across, up, text in labels:
        ax.annotate(text, (across, up), xytext=(7, 3), textcoords="offset points", fontsize=10.5, color=theme.MUTED)
    ax.set(xlabel=xlabel, ylabel="change of log π(chosen), nats")
    ax.legend(loc="best")
    return figure
