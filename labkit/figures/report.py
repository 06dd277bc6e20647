"""Pictures of a report on somebody's embeddings: distributions, spectra, classes, and every number beside its null rows."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from labkit.figures import theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What is measured is blue or orange and solid; what it stands beside is grey or dashed, so that no colour is needed to tell.
MEASURED = ((theme.BLUE, "-"), (theme.ORANGE, "-"), (theme.GREEN, "-"), (theme.VERMILION, "-"))
BESIDE = ((theme.MUTED, "--"), (theme.PURPLE, (0, (1, 1.2))), (theme.INK, (0, (4, 1.5, 1, 1.5))), (theme.SKY, (0, (6, 2))))
LOOKS = (  # of null rows: the first is a diamond
    ("D", theme.ORANGE), ("^", theme.GREEN), ("s", theme.PURPLE), ("v", theme.MUTED), ("P", theme.SKY),
    ("o", theme.VERMILION), ("<", theme.INK), (">", theme.ORANGE), ("X", theme.GREEN), ("p", theme.PURPLE),
)  # fmt: skip


class Row(NamedTuple):
    """One number of the overview: its label, its value in words, value, low, high, and its null rows, the floor first."""

    label: str
    said: str
    value: float
    low: float
    high: float
    nulls: tuple[tuple[str, float], ...]


def styles(names: Sequence[str], beside: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Colour and dash of each curve."""
    plain = [name for name in names if name not in beside]
    ways = dict(zip(plain, MEASURED * len(plain), strict=False)) | dict(
        zip((name for name in names if name in beside), BESIDE * len(names), strict=False)
    )
    return {name: {"color": color, "linestyle": dash} for name, (color, dash) in ways.items()}


@theme.styled
def histogram(
    edges: np.ndarray,
    shares: Mapping[str, np.ndarray],
    *,
    xlabel: str,
    ylabel: str = "share of the rows",
    beside: Sequence[str] = (),
    peaks: bool = False,
) -> "Figure":
    """Distributions over the same bins, as outlines; the first is filled.

    Args:
        edges: `(b + 1,)`.
        shares: name -> `(b,)`.
        beside: which of the names are null rows.
        peaks: each over its own highest, so that a narrow one does not hide the wide ones.
    """
    figure, ax = theme.canvas(width=8, height=4.4)
    for k, (name, style) in enumerate(styles(list(shares), beside).items()):
        values = shares[name] / (shares[name].max() or 1.0) if peaks else shares[name]
        ax.stairs(values, edges, label=name, linewidth=2.2, **style)
        if k == 0:
            ax.stairs(values, edges, fill=True, color=style["color"], alpha=0.16, linewidth=0)
    ax.set(xlabel=xlabel, ylabel=ylabel, xlim=(edges[0], edges[-1]), ylim=(0, None))
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=min(len(shares), 4))
    return figure


@theme.styled
def histograms(panels: Mapping[str, tuple[np.ndarray, np.ndarray]], xlabel: str) -> "Figure":
    """Distributions side by side, each over its own bins.

    Args:
        panels: title -> edges `(b + 1,)`, shares `(b,)`.
    """
    figure, axes = theme.canvas(len(panels), width=8 if len(panels) == 1 else 10.5, height=3.9, squeeze=False)
    for (name, (edges, values)), (color, _), ax in zip(panels.items(), MEASURED, axes[0], strict=False):
        ax.stairs(values, edges, fill=True, color=color, alpha=0.16, linewidth=0)
        ax.stairs(values, edges, color=color, linewidth=2.2)
        middle = (edges[0] + edges[-1]) / 2
        near = edges[-1] - edges[0] < 0.01 * abs(middle)  # all alike: a spike, not a landscape of rounding
        ax.set(xlabel=xlabel, ylim=(0, None), title=name, xlim=(0.9 * middle, 1.1 * middle) if near else (edges[0], edges[-1]))
        ax.locator_params(axis="x", nbins=5)
        ax.ticklabel_format(axis="x", useOffset=False)
    axes[0][0].set_ylabel("share of the rows")
    return figure


@theme.styled
def tails(curves: Mapping[str, np.ndarray], xlabel: str, beside: Sequence[str] = ()) -> "Figure":
    """The share of rows that reach at least 0, 1, 2 ..., on a logarithmic axis: a straight fall is even, a long tail has hubs.

    Args:
        curves: name -> `(c,)`, falling from 1.
    """
    figure, ax = theme.canvas(width=8, height=4.4)
    for name, style in styles(list(curves), beside).items():
        ax.step(np.arange(len(curves[name])), curves[name], where="mid", label=name, **style)
    lowest = min(values[values > 0].min() for values in curves.values())
    ax.set(yscale="log", xlabel=xlabel, ylabel="share of the rows, at least", ylim=(lowest / 1.5, 1.4), xlim=(-0.5, None))
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=min(len(curves), 4))
    return figure


@theme.styled
def spectrum(curves: Mapping[str, np.ndarray], beside: Sequence[str] = (), floor: float = 1e-6) -> "Figure":
    """Singular values over the largest on a logarithmic axis, each with what random directions give at the same n and d.

    Args:
        curves: name -> singular values, the largest first.
        beside: which of the names are null rows.
        floor: the axis ends here, or above where nothing is so small.
    """
    figure, ax = theme.canvas(width=8, height=4.6)
    lowest = 1.0
    for name, style in styles(list(curves), beside).items():
        values = np.asarray(curves[name], dtype=float)
        share = values / values[0] if len(values) and values[0] > 0 else values
        kept = share > floor
        ax.plot(np.arange(1, len(share) + 1)[kept], share[kept], label=name, **style)
        lowest = min(lowest, share[kept].min(initial=1.0))
        if not kept.all() and kept.any():
            last = int(kept.sum())
            ax.plot(last, share[last - 1], "v", color=style["color"], markersize=9)
            below = f"{(~kept).sum():,} more are below"
            ax.annotate(below, (last, share[last - 1]), (8, 4), textcoords="offset points", color=theme.INK)
    ax.set(yscale="log", ylim=(max(min(lowest / 2, 0.08), floor), 1.6), xlabel="direction, the widest first")
    ax.set_ylabel("reach (singular value) over the widest")
    ax.set_xlim(left=0)
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=min(len(curves), 4))
    return figure


@theme.styled
def overview(rows: Sequence[Row]) -> "Figure":
    """Every number beside its null rows. Each row has an axis of its own, from its least to its greatest: what can be read
    off is whether a value stands apart from its null rows by more than its interval, not one row against another.
    """
    names = list(dict.fromkeys(name for row in rows for name, _ in row.nulls))
    looks = {name: LOOKS[k % len(LOOKS)] for k, name in enumerate(names)}
    figure, ax = theme.canvas(width=11, height=1.1 + 0.36 * len(rows))
    ax.hlines(range(len(rows)), 0, 1, color=theme.GRID, linewidth=1.2, zorder=0)
    for y, row in enumerate(rows):
        every = [row.value, row.low, row.high, *(value for _, value in row.nulls)]
        least, reach = min(every), (max(every) - min(every)) or 1.0
        place = {name: (value - least) / reach for name, value in row.nulls}
        low, value, high = ((x - least) / reach for x in (row.low, row.value, row.high))
        ax.plot([low, high], [y, y], color=theme.BLUE, linewidth=6, alpha=0.45, solid_capstyle="butt", zorder=2)
        for name, x in place.items():
            marker, color = looks[name]
            ax.scatter(x, y, marker=marker, s=72, facecolors=theme.PAPER, edgecolors=color, linewidths=2, zorder=3)
        ax.scatter(value, y, s=52, color=theme.BLUE, edgecolors=theme.PAPER, linewidths=0.8, zorder=4)
        ax.text(1.06, y, f"{row.said}  ", va="center", fontsize=11.5)
    ax.set(xlim=(-0.05, 1.05), ylim=(len(rows) - 0.4, -0.6), xticks=[])
    ax.set_yticks(range(len(rows)), [f"  {row.label}" for row in rows])
    ax.tick_params(axis="y", length=0)
    ax.grid(visible=False)
    for side in ("left", "bottom"):
        ax.spines[side].set_visible(False)
    ax.scatter([], [], s=52, color=theme.BLUE, label="measured, with its interval")
    for name, (marker, color) in looks.items():
        ax.scatter([], [], marker=marker, s=72, facecolors=theme.PAPER, edgecolors=color, linewidths=2, label=name)
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


@theme.styled
def bars(values: Mapping[str, tuple[float, float, float]], xlabel: str, floor: tuple[str, float] | None = None) -> "Figure":
    """One number of each class with its interval, the lowest first.

    Args:
        values: class -> value, low, high.
        floor: name and value of the null row.
    """
    ordered = sorted(values.items(), key=lambda item: item[1][0])
    figure, ax = theme.canvas(width=8, height=1.3 + 0.34 * max(len(ordered), 3))
    for y, (_, (value, low, high)) in enumerate(ordered):
        ax.plot([low, high], [y, y], color=theme.BLUE, linewidth=5, alpha=0.45, solid_capstyle="butt")
        ax.scatter(value, y, s=52, color=theme.BLUE, zorder=3)
    if floor is not None:
        ax.axvline(floor[1], color=theme.MUTED, linestyle="--", linewidth=1.6, label=floor[0])
        figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center")
    ax.set_yticks(range(len(ordered)), [name for name, _ in ordered])
    ax.set(xlabel=xlabel, ylim=(-0.6, len(ordered) - 0.4))
    ax.grid(axis="y", visible=False)
    return figure


@theme.styled
def matrix(values: np.ndarray, names: Sequence[str], label: str) -> "Figure":
    """Class against class: the diagonal is a class with itself.

    Args:
        values: `(c, c)`.
        names: of the classes.
        label: of the colour bar.
    """
    count = len(names)
    figure, ax = theme.canvas(width=7.2, height=6)
    reach = float(np.nanmax(np.abs(values))) or 1.0
    image = ax.imshow(values, cmap=theme.DIVERGING, vmin=-reach, vmax=reach)
    ax.grid(visible=False)
    step = max(1, -(-count // 20))
    ax.set_xticks(range(0, count, step), names[::step], rotation=90 if max(map(len, names)) > 3 else 0)
    ax.set_yticks(range(0, count, step), names[::step])
    ax.set(xlabel="class", ylabel="class")
    if count <= 12:
        for i in range(count):
            for j in range(count):
                ink = theme.PAPER if abs(values[i, j]) > 0.6 * reach else theme.INK
                ax.text(j, i, f"{values[i, j]:.2f}", ha="center", va="center", fontsize=9.5, color=ink)
    figure.colorbar(image, ax=ax, label=label, shrink=0.85)
    return figure
