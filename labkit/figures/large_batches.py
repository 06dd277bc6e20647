"""Pictures of large batches: what they cost, what workers make of them, and what they buy."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from labkit.figures import theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARKERS = ("o", "s", "^", "D")
LINES = ("-", "--", ":")


def powers(ax: Any, values: Iterable[int]) -> None:
    """A logarithmic axis that names these values, and every other one where they are many."""
    values = [int(v) for v in values]
    shown = values[:: 2 if len(values) > 7 else 1]
    ax.set_xscale("log")
    ax.set_xticks(shown, [f"{v:,}" for v in shown])
    ax.minorticks_off()


@theme.styled
def costs(
    ways: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]], live: Mapping[str, tuple[np.ndarray, np.ndarray]]
) -> "Figure":
    """Memory and time of a loss against the batch, on logarithmic axes, with lines of slope 1 and 2 to compare with.

    Args:
        ways: name -> pairs, bytes at the peak, CPU seconds (rings).
        live: name -> pairs and bytes that were counted just now (dots).
    """
    figure, (left, right) = theme.canvas(2, width=12, height=4.8)
    for (name, (pairs, held, seconds)), color, marker in zip(
        ways.items(), (theme.VERMILION, theme.BLUE), MARKERS, strict=False
    ):
        open_marks = {"marker": marker, "markerfacecolor": theme.PAPER, "markersize": 8, "color": color}
        left.plot(pairs, held / 2**20, label=name, **open_marks)
        right.plot(pairs, seconds, label=name, **open_marks)
        now, counted = live[name]
        left.plot(now, counted / 2**20, marker, color=color, markersize=8)
        slope = 2 if name == next(iter(ways)) else 1
        guide(left, pairs, held / 2**20, slope)
    longest = max(ways.values(), key=lambda way: len(way[0]))
    guide(right, longest[0], longest[2], 2)
    for ax in (left, right):
        ax.set(yscale="log", xlabel="pairs in the batch")
        powers(ax, longest[0])
    left.set(title="memory", ylabel="MiB beside the embeddings")
    right.set(title="time", ylabel="CPU seconds, loss and gradient")
    left.legend(loc="upper left")
    return figure


def guide(ax: Any, x: np.ndarray, y: np.ndarray, slope: int) -> None:
    """A dashed line of this slope under the last points of a curve."""
    x = x[-4:].astype(float)
    line = 0.45 * y[-1] * (x / x[-1]) ** slope
    ax.plot(x, line, color=theme.MUTED, linewidth=1.5, linestyle="--")
    ax.annotate(f"slope {slope}", (x[0], line[0]), (8, -1), textcoords="offset points", va="top", color=theme.MUTED)


@theme.styled
def circle(points: np.ndarray, workers: np.ndarray, ways: Mapping[str, tuple[np.ndarray, str]]) -> "Figure":
    """Where each way to compute one batch's gradient moves its points: the circle, and unrolled, a row for each way.

    Args:
        points: `(2n, 2)` on the unit circle, the second views last.
        workers: `(2n,)`: which worker holds the point.
        ways: name -> (steps `(2n, 2)`, words at its row's end); the first are the true ones, which stand in grey on every row.
    """
    figure, (left, right) = theme.canvas(2, width=13.4, height=1.2 + 0.85 * len(ways), width_ratios=[1, 2.6])
    angles = np.degrees(np.arctan2(points[:, 1], points[:, 0]))
    along = np.stack([-points[:, 1], points[:, 0]], 1)
    turns = {name: (steps * along).sum(1) for name, (steps, _) in ways.items()}
    truth = next(iter(turns.values()))
    scale = 30 / np.abs(truth).max()  # degrees of the axis, not of the step
    side = np.where(np.arange(len(points)) < len(points) // 2, 0.14, -0.14)
    for row, (name, turn) in enumerate(turns.items()):
        right.axhline(-row, color=theme.GRID, linewidth=1)
        for x, dy, true, step, worker in zip(angles, side, truth, turn, workers, strict=True):
            color, marker, turned = theme.CYCLE[worker], MARKERS[worker % 4], true * step < 0
            arrow(right, (x, -row + dy), (x + scale * true, -row + dy), "#C9C4B6", 5)
            arrow(right, (x, -row + dy), (x + scale * step, -row + dy), color, 1.8)
            right.plot(x, -row + dy, marker, color=color, markersize=6, zorder=4)
            if turned:
                right.annotate(
                    "✗", (x, -row + dy), (0, 9 if dy > 0 else -9), textcoords="offset points", ha="center", va="center"
                )
        right.text(188, -row, ways[name][1], va="center", fontsize=11.5)
    right.set_yticks(-np.arange(len(ways)), list(ways))
    right.set(xlim=(-180, 180), ylim=(0.45 - len(ways), 0.5), xticks=range(-180, 181, 90), xlabel="angle (degrees)")
    right.grid(visible=False)
    right.set_title("unrolled: grey is true, ✗ the wrong way")
    turn = np.linspace(0, 2 * np.pi, 200)
    left.plot(np.cos(turn), np.sin(turn), color=theme.GRID)
    for worker in np.unique(workers):
        some = workers == worker
        left.plot(*points[some].T, MARKERS[worker % 4], color=theme.CYCLE[worker], markersize=8, label=f"worker {worker + 1}")
    for point, tangent, true, worker in zip(points, along, truth, workers, strict=True):
        arrow(left, point, point + np.radians(scale) * true * tangent, theme.CYCLE[worker], 1.8)
    left.set(xlim=(-1.4, 1.4), ylim=(-1.4, 1.4), aspect="equal", xticks=[], yticks=[], title="one process: the truth")
    left.spines[:].set_visible(False)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def arrow(ax: Any, start: Sequence[float], end: Sequence[float], color: str, width: float) -> None:
    """From a point to a point; very short ones are left to the marker at their start."""
    if np.hypot(end[0] - start[0], end[1] - start[1]) > 0.004 * np.ptp(ax.get_xlim()):
        look = {"arrowstyle": "-|>", "color": color, "lw": width, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 6 + 2.2 * width}
        ax.annotate("", end, start, arrowprops=look, zorder=2 if width > 3 else 3, annotation_clip=False)


@theme.styled
def seen_from_the_truth(panels: Mapping[str, Mapping[str, np.ndarray]]) -> "Figure":
    """Gradients of very many weights as arrows in a plane: along the true gradient, and across it, in its lengths.

    Args:
        panels: title -> way -> `(seeds, 2)`: cosine with the true gradient, length over the true one's. A line for each seed.
    """
    figure, axes = theme.canvas(len(panels), width=6 * len(panels), height=5.4, sharey=True, squeeze=False)
    for ax, (title, ways) in zip(axes[0], panels.items(), strict=True):
        for i, (name, values) in enumerate(ways.items()):
            cosine, length = np.clip(values[:, 0], -1, 1), values[:, 1]
            tips = np.stack([length * cosine, length * np.sqrt(1 - cosine**2)], 1)
            for k, tip in enumerate(tips):
                look = {"arrowstyle": "-|>", "color": theme.CYCLE[i], "lw": 2.4, "shrinkA": 0, "shrinkB": 0, "alpha": 0.8}
                ax.annotate("", tip, (0, 0), arrowprops=look)
                ax.plot(*tip, MARKERS[i % 4], color=theme.CYCLE[i], markersize=6, label=name if k == 0 else None)
        ax.axhline(0, color=theme.MUTED, linewidth=1)
        ax.set(title=title, xlabel="along the true gradient, whose length is 1", aspect="equal")
        ax.set(xlim=(-0.35, 1.25), ylim=(-0.1, 1.0), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
    axes[0][0].set_ylabel("across it")
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=len(next(iter(panels.values()))))
    return figure


@theme.styled
def accumulated(sizes: np.ndarray, ways: Mapping[str, np.ndarray], whole: int) -> "Figure":
    """How near each way comes to the gradient of one batch of `whole` pairs, against the size of its pieces.

    Args:
        sizes: `(k,)` pairs in a piece.
        ways: name -> cosines with the gradient of the whole batch `(seeds, k)`.
    """
    figure, ax = theme.canvas(width=9, height=4.8)
    for i, (name, values) in enumerate(ways.items()):
        color = theme.CYCLE[(0, 3, 2)[i % 3]]
        ax.plot(sizes, values.mean(0), LINES[i % 3], marker=MARKERS[i % 4], color=color, markersize=7, label=name)
        ax.fill_between(sizes, values.min(0), values.max(0), color=color, alpha=0.2, linewidth=0)
    powers(ax, sizes)
    ax.set(xlabel="pairs in a piece", ylabel=f"cosine with the gradient of {whole:,} pairs", ylim=(0, 1.06))
    ax.legend(loc="lower right")
    return figure


@theme.styled
def bound(
    sizes: np.ndarray, estimates: Mapping[float, np.ndarray], truths: Mapping[float, float], gaps: Mapping[float, np.ndarray]
) -> "Figure":
    """Left: what a batch says of the information between partners. Right: by how much it misses the mean over all negatives.

    Args:
        sizes: `(k,)` pairs in the batch.
        estimates: temperature -> log n minus the loss `(k,)`, in nats.
        truths: temperature -> the information.
        gaps: temperature -> the log of the true mean minus the mean log of the batch's `(k,)`.
    """
    figure, (left, right) = theme.canvas(2, width=12, height=4.8)
    for i, (tau, color) in enumerate(zip(estimates, theme.colors(len(estimates)), strict=True)):
        left.axhline(truths[tau], color=color, linewidth=1.3, linestyle="--")
        left.plot(sizes, estimates[tau], marker=MARKERS[i], color=color, markersize=7)
        left.annotate(f"τ = {tau:g}", (sizes[-1], truths[tau]), (2, 5), textcoords="offset points", ha="right", color=color)
        right.plot(sizes, gaps[tau], marker=MARKERS[i], color=color, markersize=7, label=f"τ = {tau:g}")
    left.plot(sizes, np.log(sizes), color=theme.VERMILION, label="log n: no batch can say more")
    left.set(
        title="what it says", xlabel="pairs n in the batch", ylabel="information (nats)", ylim=(0, max(truths.values()) + 1.6)
    )
    left.legend(loc="lower right")
    right.set(title="what it misses", xlabel="negatives n", ylabel="bias of the log (nats)", yscale="log")
    right.legend(loc="lower left", title="temperature")
    for ax in (left, right):
        powers(ax, sizes)
    return figure


@theme.styled
def bought(batches: np.ndarray, panels: Mapping[str, Mapping[str, np.ndarray]], untrained: Mapping[str, float]) -> "Figure":
    """What models are worth that saw equally many images in batches of several sizes: a panel for each measure.

    Args:
        batches: `(k,)` pairs in a batch.
        panels: measure -> loss -> values `(seeds, k)`.
        untrained: measure -> its value before training (grey line); left out where it lies below the others by far.
    """
    figure, axes = theme.canvas(len(panels), width=4.5 * len(panels), height=4.6, squeeze=False)
    for ax, (title, curves) in zip(axes[0], panels.items(), strict=True):
        for i, (name, values) in enumerate(curves.items()):
            look = {"color": theme.CYCLE[(0, 3)[i % 2]], "marker": MARKERS[i]}
            ax.plot(batches, values.mean(0), LINES[i % 2], markersize=8, label=name, **look)
            for row in values:
                ax.plot(batches * (0.95, 1.05)[i % 2], row, linestyle="", markersize=4, alpha=0.6, **look)
        low, high = (f(v.min() if f is min else v.max() for v in curves.values()) for f in (min, max))
        if untrained[title] > low - 3 * (high - low):
            ax.axhline(untrained[title], color=theme.MUTED, linestyle=":", label="untrained")
        ax.set(title=title, xlabel="pairs in the batch")
        powers(ax, batches)
        ax.margins(y=0.15)
    axes[0][0].set_ylabel("share of 360 unseen digits")
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure
