"""Pictures of directions that are used and directions that are dead: spectra, ranks, and what does or does not see them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from labkit.figures import theme

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

NOTHING = 1e-17  # where a change of exactly 0 is drawn on a logarithmic axis


@theme.styled
def blindness(changes: Mapping[str, float], boundary: float = 1e-12) -> "Figure":
    """How much each number moved when most dimensions died: dots on a logarithmic axis, the blind ones left of `boundary`.

    Args:
        changes: name -> absolute change.
        boundary: what rounding in double precision amounts to at most.
    """
    ordered = sorted(changes.items(), key=lambda item: item[1])
    values = np.maximum([v for _, v in ordered], NOTHING)
    sees = values > boundary
    figure, ax = theme.canvas(width=9, height=1.2 + 0.27 * len(ordered))
    ax.axvspan(NOTHING / 3, boundary, color=theme.GRID, alpha=0.6, linewidth=0)
    ax.text(boundary / 3, -1.1, "rounding", ha="right", va="center", color=theme.MUTED, fontsize=11)
    ax.hlines(range(len(ordered)), NOTHING / 3, values, color=theme.GRID, linewidth=3)
    ax.scatter(values, range(len(ordered)), s=70, color=np.where(sees, theme.VERMILION, theme.BLUE), zorder=3)
    for i, (value, seen) in enumerate(zip(values, sees, strict=True)):
        if seen:
            ax.annotate(f"{value:.3g}", (value, i), (9, 0), textcoords="offset points", va="center", fontsize=11)
    ax.set(xscale="log", xlim=(NOTHING / 3, values.max() * 100), ylim=(-1.7, len(ordered) - 0.3))
    ax.set_yticks(range(len(ordered)), [name for name, _ in ordered])
    ax.set_xlabel("change when 480 of 512 dimensions are dead")
    ax.grid(axis="y", visible=False)
    return figure


@theme.styled
def dying(alive: np.ndarray, uniformity: np.ndarray, rank: np.ndarray, width: int) -> "Figure":
    """What uniformity and effective rank say while ever more of `width` dimensions die.

    Args:
        alive, uniformity, rank: one value for each number of living dimensions.
    """
    figure, axes = theme.canvas(2, width=11)
    for ax, values, name, best in ((axes[0], uniformity, "uniformity", -4.0), (axes[1], rank, "effective rank", float(width))):
        ax.plot(alive, values, "o-", color=theme.BLUE if ax is axes[0] else theme.VERMILION, markersize=8)
        ax.set(xscale="log", xlabel=f"living dimensions of {width}", ylabel=name, ylim=(min(0, best), max(0, best)))
        ax.set_xlim(alive.min() / 1.3, alive.max() * 1.3)
        ax.set_xticks(alive, [str(k) for k in alive])
        ax.minorticks_off()
        for k, v in zip(alive, values, strict=True):
            text = f"{v:.2f}" if ax is axes[0] else f"{v:.0f}"
            ax.annotate(text, (k, v), (0, 10), textcoords="offset points", ha="center", fontsize=11)
    axes[0].set_title("hardly moves")
    axes[1].set_title("falls in step")
    return figure


@theme.styled
def thresholds(spectra: Mapping[float, np.ndarray], noisy: int) -> "Figure":
    """The linear map at several sizes of noise: left all its singular values, right the first noisy one against the noise.

    Args:
        spectra: noise -> singular values over the largest `(seeds, d)`.
        noisy: how many of the d directions are not noisy in the views.
    """
    figure, (left, right) = theme.canvas(2, width=12, height=4.6, width_ratios=[1.5, 1])
    for (sigma, values), color in zip(spectra.items(), theme.colors(len(spectra)), strict=True):
        x = np.arange(1, values.shape[1] + 1)
        left.plot(x, values.mean(0), "o-", color=color, markersize=5, label=f"{sigma:g}")
    left.axvline(noisy + 0.5, color=theme.MUTED, linestyle="--", linewidth=1.5)
    left.text(noisy + 0.6, 1.07, "the views disagree", color=theme.MUTED, va="bottom")
    left.text(noisy + 0.4, 1.07, "the views agree", color=theme.MUTED, va="bottom", ha="right")
    left.set(xlabel="singular value, the largest first", ylabel="over the largest", ylim=(-0.04, 1.18))
    left.legend(title="noise", loc="lower left")
    sigmas = np.array(list(spectra))
    kept, first = (np.stack([v[:, k] for v in spectra.values()]) for k in (noisy - 1, noisy))
    for values, color, name in ((kept, theme.BLUE, f"number {noisy}"), (first, theme.VERMILION, f"number {noisy + 1}")):
        right.plot(sigmas, values.mean(1), "o-", color=color, markersize=5)
        right.fill_between(sigmas, values.min(1), values.max(1), color=color, alpha=0.2, linewidth=0)
        right.annotate(name, (sigmas[2], values[2].mean()), (10, 8), textcoords="offset points", color=color)
    right.set(xlabel="noise in the last directions", ylabel="over the largest", ylim=(-0.04, 1.18))
    return figure


def film(paths: Mapping[str, np.ndarray], steps: Sequence[int]) -> "go.Figure":
    """Singular values while a model is trained: bars with a slider over the steps, which needs no kernel.

    Args:
        paths: panel title -> singular values over the largest `(steps, d)`.
        steps: what the slider's stops are called; it opens at the last.
    """
    from plotly.subplots import make_subplots

    figure = make_subplots(1, len(paths), subplot_titles=list(paths), shared_yaxes=True, horizontal_spacing=0.04)
    for column, path in enumerate(paths.values(), start=1):
        figure.add_trace(bars(path[-1]), row=1, col=column)
    figure.frames = [
        {"data": [bars(path[i]) for path in paths.values()], "traces": list(range(len(paths))), "name": str(step)}
        for i, step in enumerate(steps)
    ]
    still = {"mode": "immediate", "frame": {"duration": 0, "redraw": True}, "transition": {"duration": 0}}
    stops = [{"label": str(s), "method": "animate", "args": [[str(s)], still]} for s in steps]
    slider = {"active": len(steps) - 1, "currentvalue": {"prefix": "step "}, "pad": {"t": 45}, "steps": stops}
    figure.update_layout(theme.layout(height=420, showlegend=False, margin={"l": 60, "r": 20, "t": 50, "b": 100}))
    figure.update_layout(sliders=[slider], bargap=0.15)
    figure.update_xaxes(title_text="singular value")
    figure.update_yaxes(range=[0, 1.05])
    figure.update_yaxes(title_text="over the largest", row=1, col=1)
    return figure


def bars(values: np.ndarray) -> Any:
    import plotly.graph_objects as go

    x = np.arange(1, len(values) + 1)
    colors = [theme.BLUE if k <= len(values) // 2 else theme.VERMILION for k in x]
    return go.Bar(x=x, y=values, marker_color=colors, hovertemplate="number %{x}: %{y:.3f}<extra></extra>")


@theme.styled
def decisions(points: Mapping[str, tuple[float, float]], collapsed: float = 0.01) -> "Figure":
    """Scale first, rank second: where models lie by the spread of their unit rows and the share of dimensions they use.

    Args:
        points: model -> (variance of its unit rows in all, effective rank over width).
        collapsed: below this spread the rank says nothing.
    """
    figure, ax = theme.canvas(width=10, height=5.4)
    low = min(1e-4, min(s for s, _ in points.values()) / 3)
    ax.axvspan(low, collapsed, color=theme.VERMILION, alpha=0.13, linewidth=0)
    ax.text(low * 1.15, 1.1, "complete collapse:\nall points at one place,\nwhatever the rank", va="top", color=theme.VERMILION)
    ax.axvline(collapsed, color=theme.VERMILION, linewidth=1.5, linestyle="--")
    for i, (name, (spread, rank)) in enumerate(points.items()):
        ax.scatter(spread, rank, s=110, color=theme.CYCLE[i % len(theme.CYCLE)], edgecolors=theme.PAPER, zorder=3)
        right = spread < 0.2
        offset = (10, 0) if right else (-10, 0)
        ax.annotate(
            name, (spread, rank), offset, textcoords="offset points", va="center", ha="left" if right else "right", fontsize=12
        )
    ax.set(xscale="log", xlim=(low, 1.35), ylim=(0, 1.13))
    ax.set(xlabel="spread: variance of the unit rows (1 at most)", ylabel="effective rank / width")
    return figure


@theme.styled
def spectra(panels: Mapping[str, Mapping[str, np.ndarray]], floor: float = 1e-4) -> "Figure":
    """Singular values of features over the largest, on a logarithmic axis: a panel for each kind of model.

    Args:
        panels: title -> loss -> singular values `(seeds, k)`, zeros are left out; "untrained" is drawn in grey.
        floor: the axis ends here.
    """
    figure, axes = theme.canvas(len(panels), width=6 * len(panels), height=4.8, sharey=True, squeeze=False)
    colors: dict[str, str] = {}
    for (title, curves), ax in zip(panels.items(), axes[0], strict=True):
        for name, values in curves.items():
            grey = name == "untrained"
            color = theme.MUTED if grey else colors.setdefault(name, theme.CYCLE[len(colors)])
            share = values[:, values.max(0) > 0] / values[:, :1]
            middle = np.exp(np.log(np.maximum(share, 1e-12)).mean(0))
            ax.plot(np.arange(1, len(middle) + 1), middle, color=color, label=name, linestyle="--" if grey else "-")
        ax.set(yscale="log", ylim=(floor, 1.3), title=title, xlabel="singular value of h, the largest first")
    axes[0][0].set_ylabel("over the largest")
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    return figure


@theme.styled
def arrows(
    panels: Mapping[str, Mapping[str, np.ndarray]], names: tuple[str, str] = ("effective rank of h", "probe")
) -> "Figure":
    """From each loss without a projector (ring) to the same loss with one (dot): two numbers, a panel for each data set.

    Args:
        panels: title -> loss -> `(2, seeds, 2)`: without and with, one row of the two numbers for each seed.
        names: what the two numbers are.
    """
    figure, axes = theme.canvas(len(panels), width=6.3 * len(panels), height=5, squeeze=False)
    for (title, rows), ax in zip(panels.items(), axes[0], strict=True):
        for i, (name, values) in enumerate(rows.items()):
            color = theme.MUTED if name == "untrained" else theme.CYCLE[i]
            (x0, y0), (x1, y1) = values.mean(1)
            ax.scatter(*values[0].T, s=26, facecolors="none", edgecolors=color, alpha=0.6)
            ax.scatter(*values[1].T, s=26, color=color, alpha=0.6, linewidths=0)
            ax.annotate("", (x1, y1), (x0, y0), arrowprops={"arrowstyle": "-|>", "color": color, "lw": 2})
            ax.plot([], [], color=color, label=name)
        ax.set(title=title, xlabel=names[0])
        ax.margins(x=0.12, y=0.14)
    axes[0][0].set_ylabel(names[1])
    title = "ring: without a projector, dot: with one"
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=len(rows), title=title)
    return figure


@theme.styled
def growth(n: np.ndarray, rank: np.ndarray, width: int) -> "Figure":
    """Effective rank of the same distribution, measured on ever more rows."""
    figure, ax = theme.canvas(width=7.5)
    ax.axhline(width, color=theme.MUTED, linestyle="--", linewidth=1.5)
    ax.text(n[-1], width, "the truth ", color=theme.MUTED, va="bottom", ha="right")
    ax.plot(n, rank, "o-", color=theme.VERMILION, markersize=8)
    for x, y in zip(n, rank, strict=True):
        ax.annotate(f"{y:.0f}", (x, y), (0, -18), textcoords="offset points", ha="center", fontsize=11)
    ax.set(xscale="log", xlabel="rows n", ylabel="effective rank", ylim=(0, width * 1.12))
    ax.set_xticks(n, [f"{k:,}" for k in n])
    ax.minorticks_off()
    return figure


@theme.styled
def subclasses(panels: Mapping[str, tuple[np.ndarray, np.ndarray, str]], per_class: int = 4) -> "Figure":
    """Embeddings along their two widest directions: colours are classes, shades are subclasses.

    Args:
        panels: title -> (z `(n, d)`, subclass of each row, a line under the panel).
        per_class: subclasses of each class.
    """
    figure, axes = theme.canvas(len(panels), width=3.5 * len(panels), height=4.1, squeeze=False)
    shades = [theme.colors(per_class, name) for name in ("Blues_r", "Oranges_r", "Greens_r", "Purples_r")]
    for (title, (z, labels, caption)), ax in zip(panels.items(), axes[0], strict=True):
        centered = z - z.mean(0)
        flat = centered @ np.linalg.svd(centered, full_matrices=False)[2][:2].T
        ax.scatter(*flat.T, s=7, linewidths=0, c=[shades[k // per_class][k % per_class] for k in labels])
        reach = 1.08 * np.abs(flat).max()
        ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=[], yticks=[])
        ax.set_title(title, loc="center")
        ax.set_xlabel(caption, fontsize=11.5)
    return figure
