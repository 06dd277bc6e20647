"""Pictures of a policy over three answers: curves, arrows in a plane, paths in a triangle, gains, and a slider."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from labkit.figures import theme
from labkit.figures.preference import spaced

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

# No is chosen, Never rejected, Yes is the one that nobody asked about; the same in every figure of this lesson.
ANSWERS = {"Yes": theme.VERMILION, "No": theme.BLUE, "Never": theme.MUTED}


@theme.styled
def answers(panels: Mapping[str, tuple[np.ndarray, np.ndarray]], names: Sequence[str] = tuple(ANSWERS)) -> "Figure":
    """Probabilities of all answers while the margin grows, one panel for each way of training.

    Args:
        panels: title -> (margins `(k,)`, probabilities `(k, answers)`).
        names: of the answers.
    """
    figure, axes = theme.canvas(len(panels), width=5.6 * len(panels), height=4.4, sharey=True, sharex=True, squeeze=False)
    furthest = max(margin[-1] for margin, _ in panels.values())
    for (title, (margin, p)), ax in zip(panels.items(), axes[0], strict=True):
        ends = spaced([(margin[-1], y) for y in p[-1]], 0, furthest, 0, 1)
        for name, line, (x, y) in zip(names, p.T, ends, strict=True):
            color = ANSWERS.get(name, theme.INK)
            ax.plot(margin, line, color=color, linewidth=3.2)
            ax.plot(margin[0], line[0], "o", color=color)
            ax.annotate(
                f"{name} {line[-1]:.2f}",
                (x, y),
                xytext=(8, 0),
                textcoords="offset points",
                va="center",
                color=color,
                weight="bold",
            )
        ax.set(title=title, xlabel="margin won so far (nats)", xlim=(-0.03 * furthest, furthest * 1.27), ylim=(0, 1))
    axes[0, 0].set_ylabel("probability")
    return figure


@theme.styled
def arrows(panels: Mapping[str, Mapping[str, np.ndarray]], names: Sequence[str] = tuple(ANSWERS)) -> "Figure":
    """Output vectors that lie on one axis, as arrows from the origin, and the hidden state as a dot: faint before, full after.

    Args:
        panels: title -> {"head": `(2, answers)`, "state": `(2,)`}, before and after, along the axis.
    """
    figure, axes = theme.canvas(len(panels), width=5.6 * len(panels), height=3.2, sharex=True, sharey=True, squeeze=False)
    for (title, moved), ax in zip(panels.items(), axes[0], strict=True):
        rows = [*zip(names, moved["head"].T, strict=True), ("hidden state", moved["state"])]
        for y, (name, (before, after)) in enumerate(rows):
            color = ANSWERS.get(name, theme.INK)
            if name in names:
                for x, strength in ((before, 0.28), (after, 1.0)):
                    style = {"arrowstyle": "-|>", "color": color, "linewidth": 4, "alpha": strength, "shrinkA": 0, "shrinkB": 0}
                    ax.annotate("", (x, y), (0, y), arrowprops=style)
            else:
                ax.plot(before, y, "o", color=color, alpha=0.28, markersize=11)
                ax.plot(after, y, "o", color=color, markersize=11)
                if abs(after - before) > 0.1:
                    ax.annotate("", (after, y), (before, y), arrowprops={"arrowstyle": "->", "color": color, "shrinkB": 8})
            ax.text(-3.25, y, name, color=color, va="center", ha="right", fontweight="bold")
        ax.axvline(0, color=theme.MUTED, linewidth=1)
        ax.set(title=title, xlim=(-3.1, 1.9), ylim=(len(rows) - 0.5, -0.5), xlabel="place on the axis", yticks=[])
        ax.spines["left"].set_visible(False)
        ax.grid(axis="y", visible=False)
    return figure


def ternary(p: np.ndarray) -> np.ndarray:
    """Probabilities `(..., 3)` as points of a triangle: first corner lower left, second lower right, third on top."""
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(3) / 2]])
    return p @ corners


@theme.styled
def triangles(panels: Mapping[str, np.ndarray], names: Sequence[str] = tuple(ANSWERS)) -> "Figure":
    """Every policy over three answers is a point of a triangle; its training is a path. The first policy is drawn bold.

    Args:
        panels: title -> probabilities `(steps, policies, 3)`.
    """
    figure, axes = theme.canvas(len(panels), width=5.2 * len(panels), height=4.7, squeeze=False)
    frame = ternary(np.eye(3)[[0, 1, 2, 0]])
    for (title, p), ax in zip(panels.items(), axes[0], strict=True):
        ax.plot(*frame.T, color=theme.MUTED, linewidth=1.2)
        paths = ternary(p).swapaxes(0, 1)
        for k, path in enumerate(paths[::-1]):
            bold = k == len(paths) - 1
            fell = p[-1, len(paths) - 1 - k, 1] < p[0, len(paths) - 1 - k, 1]
            color = theme.INK if bold else theme.VERMILION if fell else theme.BLUE
            ax.plot(*path.T, color=color, linewidth=3 if bold else 1, alpha=1 if bold else 0.45)
            ax.plot(*path[0], "o", color=color, markersize=6 if bold else 2.5, alpha=1 if bold else 0.45)
            ax.annotate(
                "",
                path[-1],
                path[-2] if np.ptp(path[-9:], 0).max() > 1e-3 else path[0],
                arrowprops={"arrowstyle": "-|>", "color": color, "alpha": 1 if bold else 0.45, "linewidth": 0, "shrinkB": 0},
            )
        for (x, y), name, (dx, dy) in zip(frame[:3], names, [(-0.02, -0.03), (0.02, -0.03), (0, 0.03)], strict=True):
            place = {"ha": "center", "va": "top" if dy < 0 else "bottom"}
            ax.text(x + dx, y + dy, name, color=ANSWERS.get(name, theme.INK), fontweight="bold", fontsize=14, **place)
        ax.set(title=title, aspect="equal", xlim=(-0.1, 1.1), ylim=(-0.12, 0.98))
        ax.axis("off")
    return figure


@theme.styled
def gains(panels: Mapping[str, Mapping[str, float]]) -> "Figure":
    """Who took the probability: each answer's gain or loss, one panel for each way of training.

    Args:
        panels: title -> answer -> change of its probability; a panel's changes add up to 0 if it names every answer.
    """
    figure, axes = theme.canvas(len(panels), width=4.6 * len(panels), height=3.4, sharex=True, squeeze=False)
    for (title, changes), ax in zip(panels.items(), axes[0], strict=True):
        for y, (name, change) in enumerate(changes.items()):
            ax.barh(y, change, color=ANSWERS.get(name, theme.SKY), height=0.62)
            ax.annotate(
                f"{name}  {change:+.2f}",
                (max(change, 0), y),
                xytext=(6, 0),
                textcoords="offset points",
                va="center",
                color=ANSWERS.get(name, theme.INK),
                fontweight="bold",
            )
        ax.axvline(0, color=theme.INK, linewidth=1)
        ax.set(title=title, xlabel="change of probability", yticks=[], ylim=(len(changes) - 0.4, -0.6))
        ax.spines["left"].set_visible(False)
        ax.grid(axis="y", visible=False)
        ax.locator_params(axis="x", nbins=5)
        low, high = ax.get_xlim()
        ax.set_xlim(low, high + 0.35 * (high - low))
    return figure


def turning(
    angles: np.ndarray, head: np.ndarray, curves: Mapping[str, tuple[np.ndarray, np.ndarray]], *, start: int = 0
) -> "go.Figure":
    """A slider that turns Never's output vector: the arrows on the left, what becomes of No on the right. Needs no kernel.

    Args:
        angles: between Never and No, in degrees `(k,)`.
        head: output vectors of the three answers for each angle, `(k, 3, 2)`.
        curves: name -> (margins, probabilities of No), each `(k, steps)`; a margin that was not reached is NaN.
        start: the angle that is shown first.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    def traces(k: int) -> list[Any]:
        drawn: list[Any] = [
            go.Scatter(
                x=[0, head[k, i, 0]],
                y=[0, head[k, i, 1]],
                mode="lines+markers+text",
                line={"color": color, "width": 4},
                marker={"size": [0, 12], "color": color},
                text=["", name],
                textposition="top center",
                textfont={"color": color, "size": 15},
                showlegend=False,
                hoverinfo="skip",
            )
            for i, (name, color) in enumerate(ANSWERS.items())
        ]
        for (name, (margin, p)), color in zip(curves.items(), (theme.VERMILION, theme.BLUE), strict=False):
            drawn.append(
                go.Scatter(
                    x=margin[k], y=p[k], mode="lines", name=name, line={"color": color, "width": 4}, xaxis="x2", yaxis="y2"
                )
            )
        return drawn

    figure = make_subplots(
        1, 2, column_widths=[0.42, 0.58], subplot_titles=("output vectors", "probability of No, the chosen answer")
    )
    for t in traces(start):
        figure.add_trace(t)
    figure.frames = [go.Frame(data=traces(k), name=f"{a:.0f}") for k, a in enumerate(angles)]
    steps = [
        {
            "label": f"{a:.0f}°",
            "method": "animate",
            "args": [
                [f"{a:.0f}"],
                {"mode": "immediate", "frame": {"duration": 0, "redraw": True}, "transition": {"duration": 0}},
            ],
        }
        for a in angles
    ]
    slider = {"active": start, "steps": steps, "currentvalue": {"prefix": "angle between No and Never: "}, "pad": {"t": 46}}
    figure.update_layout(theme.layout(sliders=[slider], height=460, legend={"x": 0.5, "y": 0.04, "bgcolor": "rgba(0,0,0,0)"}))
    figure.update_xaxes(range=[-1.8, 1.5], row=1, col=1)
    figure.update_yaxes(range=[-0.5, 1.7], scaleanchor="x", row=1, col=1)
    figure.update_xaxes(title_text="margin won so far (nats)", range=[0, 1.5], row=1, col=2)
    figure.update_yaxes(range=[0, 1], row=1, col=2)
    return figure
