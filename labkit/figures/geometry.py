"""Pictures of alignment and uniformity: circles with chords, the plane of the two meters, and how low n points can go."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from labkit.figures import theme

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

FAN = 0.16  # points that coincide are moved this far outwards, so that a heap looks like a heap


@theme.styled
def circles(
    rows: Mapping[str, Mapping[str, np.ndarray]],
    captions: Mapping[str, Mapping[str, str]],
    labels: Mapping[str, np.ndarray] | None = None,
) -> "Figure":
    """Points on the circle, one panel for each way of arranging them; a chord joins the two views of an instance.

    Args:
        rows: row title -> panel title -> points `(2, n, 2)`: two views of n instances in the plane.
        captions: the same keys -> a line under the panel.
        labels: row title -> classes `(n,)`, which colour its points.
    """
    first = next(iter(rows.values()))
    figure, axes = theme.canvas(len(first), len(rows), width=3.3 * len(first), height=3.5 * len(rows), squeeze=False)
    for (row, panels), across in zip(rows.items(), axes, strict=True):
        classes = (labels or {}).get(row)
        for (title, points), ax in zip(panels.items(), across, strict=True):
            circle(ax, points, classes)
            ax.set_title(title, loc="center")
            ax.text(0, -1.32, captions[row][title], ha="center", va="top", fontsize=11.5, color=theme.INK)
        across[0].text(-1.62, 0, row, rotation=90, ha="center", va="center", fontsize=13, fontweight="bold")
    return figure


def circle(ax: Any, points: np.ndarray, labels: np.ndarray | None) -> None:
    """One panel: the circle, chords from view to view, dots; dots that lie on each other fan out."""
    around = np.linspace(0, 2 * np.pi, 200)
    ax.plot(np.cos(around), np.sin(around), color=theme.GRID, linewidth=1.5, zorder=0)
    colors = theme.BLUE if labels is None else np.array(theme.CYCLE)[np.asarray(labels) % 6]
    for a, b in points.swapaxes(0, 1):
        ax.plot(*np.stack([a, b]).T, color=theme.VERMILION, alpha=0.45, linewidth=1, zorder=1)
    for view in points:
        ax.scatter(*(view * heap(view)[:, None]).T, c=colors, s=26, alpha=0.85, linewidths=0, zorder=2)
    ax.set(xlim=(-1.45, 1.45), ylim=(-1.65, 1.3), aspect="equal")
    ax.axis("off")


def heap(points: np.ndarray) -> np.ndarray:
    """How far out each point is drawn: 1, and a step further for each earlier point that it would hide."""
    angles = np.round(np.arctan2(points[:, 1], points[:, 0]) / 0.06).astype(int)
    seen: dict[int, int] = {}
    out = []
    for a in angles:
        seen[a] = seen.get(a, -1) + 1
        out.append(1 + FAN * (1 - 0.9 ** seen[a]))
    return np.array(out)


def descents(paths: Mapping[str, np.ndarray], steps: Sequence[int]) -> "go.Figure":
    """The same circles, moving: a slider over the steps of a descent, which needs no kernel.

    Args:
        paths: title -> points `(steps + 1, 2, n, 2)`, as `labkit.training.descend` gives them.
        steps: which steps the slider stops at; it opens at the last.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    figure = make_subplots(1, len(paths), subplot_titles=list(paths), horizontal_spacing=0.03)
    for column, path in enumerate(paths.values(), start=1):
        for trace in traces(path[steps[-1]]):
            figure.add_trace(trace, row=1, col=column)
    count = len(figure.data)
    figure.frames = [
        go.Frame(data=[t for path in paths.values() for t in traces(path[step])], traces=list(range(count)), name=str(step))
        for step in steps
    ]
    figure.update_layout(theme.layout(height=430, showlegend=False, margin={"l": 20, "r": 20, "t": 50, "b": 90}))
    figure.update_layout(sliders=[slider(steps)])
    figure.update_xaxes(visible=False, range=[-1.2, 1.2])
    for column in range(1, len(paths) + 1):
        axis = "x" if column == 1 else f"x{column}"
        figure.update_yaxes(visible=False, range=[-1.2, 1.2], scaleanchor=axis, row=1, col=column)
    return figure


def traces(points: np.ndarray) -> list[Any]:
    """Chords as one line with gaps, and the dots of both views."""
    import plotly.graph_objects as go

    ends = np.concatenate([points, np.full((1, *points.shape[1:]), np.nan)]).transpose(1, 0, 2).reshape(-1, 2)
    chords = go.Scatter(
        x=ends[:, 0], y=ends[:, 1], mode="lines", line={"color": theme.VERMILION, "width": 1}, opacity=0.5, hoverinfo="skip"
    )
    dots = points.reshape(-1, 2)
    return [
        chords,
        go.Scatter(x=dots[:, 0], y=dots[:, 1], mode="markers", marker={"color": theme.BLUE, "size": 8}, hoverinfo="skip"),
    ]


def slider(steps: Sequence[int]) -> dict[str, Any]:
    """A slider whose stops show the frames of these names."""
    still = {"mode": "immediate", "frame": {"duration": 0, "redraw": True}, "transition": {"duration": 0}}
    return {
        "active": len(steps) - 1,
        "currentvalue": {"prefix": "step "},
        "pad": {"t": 20},
        "steps": [{"label": str(s), "method": "animate", "args": [[str(s)], still]} for s in steps],
    }


@theme.styled
def scoreboard(scores: Mapping[str, Mapping[str, float]], marks: Mapping[str, tuple[float, str]], title: str = "") -> "Figure":
    """One panel for each meter, one line for each model, with what is best or chance marked.

    Args:
        scores: model -> meter -> value.
        marks: meter -> (value, what it is), such as `(0.1, "chance")`.
    """
    meters = list(next(iter(scores.values())))
    figure, axes = theme.canvas(len(meters), sharey=True, height=1.3 + 0.55 * len(scores), squeeze=False)
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    places = np.arange(len(scores))[::-1]
    for meter, ax in zip(meters, axes[0], strict=True):
        values = np.array([row[meter] for row in scores.values()])
        value, name = marks[meter]
        ax.axvline(value, color=theme.MUTED, linestyle="--", linewidth=1.5)
        ax.text(value, len(scores) - 0.45, f" {name}", color=theme.MUTED, fontsize=11, va="bottom")
        ax.hlines(places, value, values, color=theme.GRID, linewidth=4)
        ax.scatter(values, places, s=90, color=theme.CYCLE[: len(values)], zorder=3)
        for v, y in zip(values, places, strict=True):
            ax.annotate(f"{v:z.2f}", (v, y), (9, 0), textcoords="offset points", va="center", fontsize=11)
        ax.set(xlabel=meter, yticks=places, yticklabels=list(scores), ylim=(-0.6, len(scores) - 0.2))
        low, high = min(value, values.min()), max(value, values.max())
        ax.set_xlim(low - 0.08 * (high - low), high + 0.3 * (high - low))  # room for the numbers
        ax.grid(axis="y", visible=False)
    return figure


@theme.styled
def plane(
    alignment: np.ndarray,
    uniformity: np.ndarray,
    quality: np.ndarray,
    *,
    name: str,
    groups: Sequence[str],
    live: Mapping[str, np.ndarray] | None = None,
) -> "Figure":
    """Runs in the plane of the two meters, coloured by a named quality; lines join points of equal alignment + uniformity.

    Args:
        alignment, uniformity, quality: one value for each run.
        name: what the quality is.
        groups: a word for each run (its loss), which gives the marker.
        live: "alignment" and "uniformity" of runs that were just trained, drawn as rings.
    """
    figure, ax = theme.canvas(width=9, height=5.4)
    for total in np.arange(-6, 2, 0.5):
        ax.axline((total, 0), slope=-1, color=theme.GRID, linewidth=1, zorder=0)
    worst = np.quantile(quality, 0.1)  # a run or two that failed must not take the colours of all others
    for group, marker in zip(sorted(set(groups)), "osD^v", strict=False):
        mine = np.array([g == group for g in groups])
        ax.scatter([], [], marker=marker, s=75, color=theme.MUTED, label=group)
        dots = ax.scatter(
            uniformity[mine], alignment[mine], c=quality[mine], marker=marker, s=75, vmin=worst, vmax=quality.max(),
            cmap=theme.SEQUENTIAL, edgecolors=theme.MUTED, linewidths=0.5,
        )  # fmt: skip
    if live:
        ax.scatter(
            live["uniformity"],
            live["alignment"],
            s=230,
            facecolors="none",
            edgecolors=theme.VERMILION,
            label="trained just now",
        )
    figure.colorbar(dots, ax=ax, label=name, pad=0.02, extend="min").outline.set_visible(False)
    margin = 0.08 * (alignment.max() - alignment.min())
    ax.set(xlim=(uniformity.min() - 0.15, uniformity.max() + 0.15), ylim=(-margin, alignment.max() + margin))
    ax.set(xlabel="uniformity (left: more even)", ylabel="alignment (down: views closer)")
    ax.grid(visible=False)
    ax.legend(loc="upper right", title="lines: equal sums", alignment="left")
    return figure


@theme.styled
def rankings(panels: Mapping[str, tuple[np.ndarray, np.ndarray, Sequence[Any]]], xlabel: str) -> "Figure":
    """Quality against one score, a panel for each quality; colours say which group a run belongs to.

    Args:
        panels: title -> (score, quality, group of each run).
        xlabel: what the score is.
    """
    figure, axes = theme.canvas(len(panels), width=6 * len(panels), height=4.6, squeeze=False)
    for (title, (score, quality, groups)), ax in zip(panels.items(), axes[0], strict=True):
        names = sorted(set(groups))
        for group, color in zip(names, theme.colors(len(names)) if len(names) > 1 else [theme.BLUE], strict=True):
            mine = np.array([g == group for g in groups])
            ax.scatter(score[mine], quality[mine], s=42, alpha=0.85, color=color, linewidths=0, label=str(group))
        if len(names) > 1:
            ax.legend(loc="best", fontsize=11)
        ax.set(title=title, xlabel=xlabel, ylabel="accuracy")
    return figure


@theme.styled
def finite(
    curves: Mapping[str, tuple[np.ndarray, np.ndarray, float]], dots: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]]
) -> "Figure":
    """How low the uniformity of n points can go: the bound, the limit, what descent found and where random points lie.

    Args:
        curves: title -> (n, bound at n, limit).
        dots: title -> (n, found by descent, of random points).
    """
    figure, axes = theme.canvas(len(curves), width=6 * len(curves), height=5, squeeze=False)
    for (title, (n, bound, limit)), ax in zip(curves.items(), axes[0], strict=True):
        sizes, found, random = dots[title]
        low = min(found.min(), limit) - 0.5
        ax.fill_between(n, bound, min(bound.min(), low), color=theme.GRID, linewidth=0, label="no arrangement lies here")
        ax.plot(n, bound, color=theme.INK, label="bound for n points")
        ax.axhline(limit, color=theme.MUTED, linestyle="--", label="limit for many points")
        ax.plot(sizes, random, "o", color=theme.SKY, markersize=7, label="random points")
        ax.plot(sizes, found, "o", color=theme.VERMILION, markersize=9, label="found by descent")
        ax.set(xscale="log", title=title, xlabel="points n", ylabel="uniformity")
        ax.set(ylim=(low, max(random.max(), limit) + 0.2), xlim=(n.min(), n.max()))
        ax.set_xticks(sizes, [str(k) for k in sizes])
        ax.minorticks_off()
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    return figure
