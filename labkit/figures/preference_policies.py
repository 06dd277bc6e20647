"""Pictures of whole policies: over a row of arms, against the best that can be had, in cycles, and on two peaks."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from labkit.figures import theme
from labkit.figures.preference import halo, spaced

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def hue(k: int) -> str:
    """Seven colours, so that no two methods share one."""
    return (theme.BLUE, theme.VERMILION, theme.GREEN, theme.PURPLE, theme.ORANGE, theme.SKY, theme.INK)[k % 7]


@theme.styled
def arms(reference: np.ndarray, reward: np.ndarray, policies: Mapping[str, np.ndarray], seen: np.ndarray) -> "Figure":
    """Where each policy puts its probability among arms in a row, one row a policy.

    Args:
        reference: probabilities `(arms,)`.
        reward: `(arms,)`, between 0 and 1.
        policies: name -> probabilities `(arms,)`.
        seen: `(arms,)`, True where the data has the arm.
    """
    figure, axes = theme.canvas(1, len(policies), width=10.5, height=1.12 * len(policies) + 0.9, sharex=True, squeeze=False)
    x = np.arange(len(reference))
    for k, ((name, p), ax) in enumerate(zip(policies.items(), axes[:, 0], strict=True)):
        ax.fill_between(x, reward, color=theme.GRID, linewidth=0)
        ax.fill_between(x, p / p.max(), color=hue(k), alpha=0.8, linewidth=0, step="mid")
        ax.plot(x, reference / reference.max(), color=theme.INK, linewidth=1.3, linestyle="--")
        ax.set(yticks=[], ylim=(0, 1.1), xlim=(0, len(x) * 1.42))
        ax.spines["left"].set_visible(False)
        ax.text(len(x) + 1, 0.72, name, color=hue(k), fontweight="bold", va="center")
        ax.text(len(x) + 1, 0.28, f"reward {float(p @ reward):.2f}", va="center")
        ax.grid(visible=False)
        ax.axvspan(x[seen].max(), x[seen].max() + 0.6, color=theme.MUTED, linewidth=0)
    axes[0, 0].text(x[seen].max() + 2, 0.9, "no data to the right", color=theme.MUTED, fontsize=11, va="center")
    axes[-1, 0].set(xlabel="arm (dashed: reference; grey: reward; each curve as a share of its peak)", xticks=range(0, 101, 20))
    return figure


@theme.styled
def frontier(best: tuple[np.ndarray, np.ndarray], paths: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> "Figure":
    """Expected reward against the distance from the reference: paths of training, below the best that any policy can do.

    Args:
        best: (KL, reward) of `ref exp(reward / beta)` for every beta.
        paths: name -> (KL, reward) step by step.
    """
    figure, ax = theme.canvas(width=9.6, height=4.9)
    ax.fill_between(best[0], best[1], 1.08, color=theme.GRID, alpha=0.6, linewidth=0)
    ax.plot(*best, color=theme.INK, linewidth=1.4)
    ends, widest = [], max(float(x.max()) for x, _ in paths.values())
    for k, (x, y) in enumerate(paths.values()):
        ax.plot(x, y, color=hue(k), linewidth=2.4)
        ax.plot(x[-1], y[-1], "o", color=hue(k), markersize=7)
        ends.append((float(x[-1]), float(y[-1])))
    ax.set(xlabel="KL from the reference, nats", ylabel="expected reward", xlim=(-0.2, 1.45 * widest), ylim=(0, 1.08))
    for k, (name, place) in enumerate(zip(paths, spaced(ends, 0, 1.45 * widest, 0, 1.08), strict=True)):
        ax.annotate(
            name,
            place,
            xytext=(10, 0),
            textcoords="offset points",
            va="center",
            color=hue(k),
            weight="bold",
            path_effects=halo(),
        )
    ax.text(0.02, 0.95, "no policy gets here", transform=ax.transAxes, color=theme.MUTED, va="top")
    return figure


@theme.styled
def coverage(panels: Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray]]]) -> "Figure":
    """Probability of an answer that no pair mentions, against the margin that was won: one line a starting probability.

    Args:
        panels: title -> name -> (margins, probabilities).
    """
    figure, axes = theme.canvas(len(panels), width=5.8 * len(panels), height=4.3, sharey=True, squeeze=False)
    furthest = 5.0  # nats: what follows is flat
    for (title, rows), ax in zip(panels.items(), axes[0], strict=True):
        for k, (name, (x, y)) in enumerate(rows.items()):
            ax.plot(x, y, color=hue(k), label=name)
            ax.plot(x[-1], y[-1], "o", color=hue(k), markersize=7)
        ax.set(title=title, xlabel="margin won so far, nats", ylim=(-0.02, 1.05), xlim=(-0.02 * furthest, 1.05 * furthest))
    axes[0, 0].set_ylabel("probability of the third answer")
    axes[0, -1].legend(title="third answer at the start", loc="upper right")
    return figure


@theme.styled
def cycle(vectors: np.ndarray, names: list[str], curves: Mapping[str, np.ndarray], chance: float) -> "Figure":
    """Left, answers as vectors, each of which beats the next one on the circle; right, losses while they are fitted.

    Args:
        vectors: `(answers, 2)`.
        names: of the answers, in the order in which each beats the next.
        curves: model -> losses `(steps,)`, in nats.
        chance: the loss of a model that tells nothing apart.
    """
    figure, (plane, ax) = theme.canvas(2, width=11, height=4.4, width_ratios=(1, 1.5))
    reach = 1.45 * np.abs(vectors).max()
    for k, (name, (x, y)) in enumerate(zip(names, vectors, strict=True)):
        plane.annotate("", (x, y), (0, 0), arrowprops={"arrowstyle": "-|>", "color": hue(k), "linewidth": 3, "shrinkB": 0})
        plane.text(1.17 * x, 1.17 * y, name, color=hue(k), ha="center", va="center", fontweight="bold", fontsize=13)
    for k in range(len(names)):
        start, end = 0.55 * vectors[k], 0.55 * vectors[(k + 1) % len(names)]
        bend = {"arrowstyle": "->", "color": theme.MUTED, "connectionstyle": "arc3,rad=0.28", "linewidth": 1.6}
        plane.annotate("", end, start, arrowprops=bend)
    plane.set(title="who beats whom", aspect="equal", xlim=(-reach, reach), ylim=(-reach, reach), xticks=[], yticks=[])
    for spine in plane.spines.values():
        spine.set_visible(False)
    ax.axhline(chance, color=theme.MUTED, linestyle="--", linewidth=1.2)
    for k, (name, loss) in enumerate(curves.items()):
        ax.plot(loss, color=hue(k))
        at = len(loss) // 3
        ax.annotate(
            f"{name}: {loss[-1]:.2f}",
            (at, loss[at]),
            xytext=(0, 12),
            textcoords="offset points",
            color=hue(k),
            weight="bold",
        )
    ax.set(title="fitted to the cycle", xlabel="step", ylabel="loss, nats", ylim=(0, 1.15))
    ax.text(len(loss) - 1, chance - 0.03, "chance", color=theme.MUTED, ha="right", va="top")
    return figure


@theme.styled
def peaks(target: np.ndarray, policies: Mapping[str, np.ndarray]) -> "Figure":
    """The one-peaked policy that each divergence likes best, over a target with two peaks.

    Args:
        target: probabilities `(answers,)`.
        policies: divergence -> probabilities `(answers,)`.
    """
    figure, axes = theme.canvas(len(policies), width=14.5, height=3.5, sharey=True, squeeze=False)
    for k, ((name, p), ax) in enumerate(zip(policies.items(), axes[0], strict=True)):
        ax.fill_between(np.arange(len(target)), target, color=theme.MUTED, alpha=0.35, linewidth=0)
        ax.plot(p, color=hue(k), linewidth=2.6)
        ax.set(title=name, xlabel="answer")
        ax._left_title.set_color(hue(k))
    axes[0, 0].set_ylabel("probability")
    return figure
