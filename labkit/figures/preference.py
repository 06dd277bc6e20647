"""Pictures of preference training: links, how far the chosen answer moved, and which token lost it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from labkit.figures import theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@theme.styled
def links(z: np.ndarray, curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> "Figure":
    """Link functions and, below them, their slopes: what a pair at margin z is pushed with.

    Args:
        z: scaled margins `(k,)`.
        curves: name -> (values, slopes), each `(k,)`.
    """
    figure, axes = theme.canvas(len(curves), 2, width=13.5, height=5.4, sharex=True, sharey="row", squeeze=False)
    for (name, (value, slope)), (above, below), color in zip(curves.items(), axes.T, colored(len(curves)), strict=True):
        above.plot(z, value, color=color)
        below.fill_between(z, -slope, color=color, alpha=0.25, linewidth=0)
        below.plot(z, -slope, color=color)
        above.set_title(name, loc="center", color=color)
        for ax in (above, below):
            ax.axvline(0, color=theme.MUTED, linewidth=0.8)
            ax.axhline(0, color=theme.MUTED, linewidth=0.8)
    axes[0, 0].set(ylabel="loss", ylim=(-0.8, 4))
    axes[1, 0].set(ylabel="push on the margin", ylim=(-1.2, 2.2))
    figure.supxlabel("scaled margin z: left ranked wrongly, right ranked rightly", fontsize=13)
    return figure


def colored(n: int) -> list[str]:
    hues = [theme.BLUE, theme.SKY, theme.PURPLE, theme.GREEN, theme.ORANGE, theme.VERMILION, theme.INK]
    return [hues[i % len(hues)] for i in range(n)]


@theme.styled
def movements(
    panels: Mapping[str, Mapping[str, Sequence[tuple[np.ndarray, np.ndarray]]]],
    *,
    nested: bool = False,
    ylabel: str = "change of log π(chosen), nats",
) -> "Figure":
    """How far the chosen answer moved, against the margin that was won: one line a run, one colour a way of training.

    Args:
        panels: title -> name -> runs, each (margins, changes).
        nested: draw earlier ways wider, so that lines that coincide can all be seen.
    """
    n = len(panels)
    figure, axes = theme.canvas(n, width=7.6 if n == 1 else 5.8 * n, height=4.6, sharey=True, squeeze=False)
    for (title, ways), ax in zip(panels.items(), axes[0], strict=True):
        ax.axhline(0, color=theme.INK, linewidth=1)
        for k, runs in enumerate(ways.values()):
            width = max(9.5 - 3.2 * k, 2) if nested else 2
            for x, y in runs:
                ax.plot(x, y, color=hue(k), alpha=0.85, linewidth=width, solid_capstyle="butt")
                ax.plot(x[-1], y[-1], "o", color=hue(k), markersize=5)
        furthest = max(x[-1] for runs in ways.values() for x, _ in runs)
        ax.set(title=title, xlabel="margin won so far (nats)", xlim=(-0.01 * furthest, furthest * 1.42))
    for ways, ax in zip(panels.values(), axes[0], strict=True):  # the heights are known once every panel is drawn
        ends = [tuple(np.mean([(x[-1], y[-1]) for x, y in runs], axis=0)) for runs in ways.values()]
        for k, (name, place) in enumerate(zip(ways, spaced(ends, *ax.get_xlim(), *ax.get_ylim()), strict=True)):
            look = {"color": hue(k), "va": "center", "fontweight": "bold", "path_effects": halo()}
            ax.annotate(name, place, xytext=(10, 0), textcoords="offset points", **look)
    axes[0, 0].set_ylabel(ylabel)
    return figure


def halo() -> list:
    """Paper around letters, so that they can be read where they lie on a line."""
    from matplotlib import patheffects

    return [patheffects.withStroke(linewidth=3, foreground=theme.PAPER)]


def hue(k: int) -> str:
    return (theme.BLUE, theme.VERMILION, theme.GREEN, theme.PURPLE, theme.ORANGE, theme.SKY)[k % 6]


def spaced(
    points: Sequence[tuple[float, float]], left: float, right: float, low: float, high: float, gap: float = 0.07
) -> list[tuple[float, float]]:
    """Where labels of these points go: as high as they are, but apart from each other where they are side by side.

    >>> spaced([(0.0, 0.5), (0.0, 0.5), (9.0, 0.5)], 0.0, 10.0, 0.0, 1.0)
    [(0.0, 0.465), (0.0, 0.535), (9.0, 0.5)]
    """
    heights = np.array([y for _, y in points], dtype=float)
    beside = [[abs(x - other) < 0.3 * (right - left) for other, _ in points] for x, _ in points]
    for _ in range(200):
        for i in range(len(points)):
            for j in range(i):
                short = gap * (high - low) - abs(heights[i] - heights[j])
                if beside[i][j] and short > 1e-9:
                    up = 1 if heights[i] >= heights[j] else -1
                    heights[[i, j]] += np.array([up, -up]) * short / 2
        heights = heights.clip(low + gap / 2 * (high - low), high - gap / 2 * (high - low))
    return [(float(x), round(float(y), 9)) for (x, _), y in zip(points, heights, strict=True)]


@theme.styled
def tokens(rows: Sequence[tuple[str, Sequence[str], np.ndarray]], *, limit: float | None = None) -> "Figure":
    """Sentences whose every token is coloured by how much its log-probability changed.

    Args:
        rows: (what was done, words, changes in nats; NaN where nothing is scored, as in a prompt).
        limit: the change that has the full colour.
    """
    import matplotlib

    limit = limit or max(np.nanmax(np.abs(changes)) for _, _, changes in rows)
    norm = matplotlib.colors.Normalize(-limit, limit)
    colormap = matplotlib.colormaps["RdBu"]
    figure, ax = theme.canvas(width=12.5, height=0.95 * len(rows) + 0.9)
    for y, (title, words, changes) in enumerate(rows):
        ax.text(-0.15, y, title, ha="right", va="center", fontsize=13)
        for x, (word, change) in enumerate(zip(words, changes, strict=True)):
            scored = np.isfinite(change)
            shade = colormap(norm(change)) if scored else theme.PAPER
            ink = "white" if scored and abs(norm(change) - 0.5) > 0.32 else theme.INK
            box = matplotlib.patches.FancyBboxPatch(
                (x + 0.05, y - 0.36), 0.9, 0.72, boxstyle="round,pad=0,rounding_size=0.08", color=shade, linewidth=0
            )
            ax.add_patch(box)
            ax.text(x + 0.5, y - 0.1, word, ha="center", va="center", color=ink, fontsize=13, fontweight="bold")
            ax.text(
                x + 0.5, y + 0.2, f"{change:+.2f}" if scored else "prompt", ha="center", va="center", color=ink, fontsize=10
            )
        total = np.nansum(changes)
        ax.text(len(words) + 0.15, y, f"= {total:+.2f}", va="center", fontsize=14, fontweight="bold")
    ax.set(xlim=(-3.4, len(rows[0][1]) + 1.0), ylim=(len(rows) - 0.45, -0.55))
    ax.axis("off")
    figure.supxlabel("change of each token's log-probability, nats: red fell, blue rose", fontsize=12)
    return figure


@theme.styled
def foretold(
    panels: Mapping[str, tuple[str, Mapping[str, tuple[np.ndarray, np.ndarray]]]], *, line: float | None = None
) -> "Figure":
    """What was computed before training, against what became of the chosen answer; a sign of trouble would fall to the right.

    Args:
        panels: title -> (name of the horizontal axis, group -> (values before, changes)).
        line: a vertical line in the last panel, where theory puts the border.
    """
    figure, axes = theme.canvas(len(panels), width=4.5 * len(panels), height=4.3, squeeze=False)
    for (title, (xlabel, groups)), ax in zip(panels.items(), axes[0], strict=True):
        ax.axhline(0, color=theme.INK, linewidth=1)
        for k, (name, (x, y)) in enumerate(groups.items()):
            ax.scatter(x, y, color=hue(k), s=34, alpha=0.75, linewidths=0, label=name)
        ax.set(title=title, xlabel=xlabel)
        ax.locator_params(axis="x", nbins=6)
        if len(groups) > 1:
            ax.legend(loc="lower left")
    if line is not None:
        axes[0, -1].axvline(line, color=theme.MUTED, linestyle="--")
    axes[0, 0].set_ylabel("change of log π(chosen), nats")
    return figure


@theme.styled
def intervals(rows: Mapping[str, Mapping[str, tuple[float, float]]], *, rules: Sequence[int] = ()) -> "Figure":
    """What became of chosen answers after each remedy: mean over seeds and its interval, one colour a group of pairs.

    Args:
        rows: remedy -> group -> (mean, half-width), in nats.
        rules: a line is drawn above these rows.
    """
    figure, ax = theme.canvas(width=9.6, height=0.42 * len(rows) + 1.5)
    groups = list(next(iter(rows.values())))
    ax.axvline(0, color=theme.INK, linewidth=1)
    for y, means in enumerate(rows.values()):
        for k, name in enumerate(groups):
            mean, half = means[name]
            ax.errorbar(mean, y, xerr=half, fmt="o", color=hue(k), markersize=7, linewidth=2.2, label=name if y == 0 else None)
    for row in rules:
        ax.axhline(row - 0.5, color=theme.MUTED, linewidth=1)
    ax.set_yticks(range(len(rows)), labels=list(rows))
    ax.set(ylim=(len(rows) - 0.5, -0.5), xlabel="change of log π(chosen) at margin 4, nats")
    ax.grid(axis="y", visible=False)
    figure.legend(loc="outside upper center", ncols=len(groups), title="mean over seeds and its 95 % interval")
    return figure
