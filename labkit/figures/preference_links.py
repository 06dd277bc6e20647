"""Pictures of preference losses by their own terms: links and where they lead, lengths, and the logic of what they ask for."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from labkit.figures import theme
from labkit.figures.preference import hue, spaced

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HUES = (theme.BLUE, theme.SKY, theme.PURPLE, theme.GREEN, theme.ORANGE, theme.VERMILION, theme.INK, theme.MUTED)


@theme.styled
def atlas(
    z: np.ndarray, curves: Mapping[str, tuple[np.ndarray, np.ndarray]], paths: Mapping[str, np.ndarray], time: np.ndarray
) -> "Figure":
    """Links, their slopes, and where pairs go that are pushed by nothing else: one column a link.

    Args:
        z: scaled margins `(k,)`.
        curves: name -> (values, slopes), each `(k,)`.
        paths: name -> margins `(steps, starts)` under gradient descent on the margin alone.
        time: `(steps,)`, steps times learning rate.
    """
    figure, axes = theme.canvas(len(curves), 3, width=17, height=7.6, sharey="row", squeeze=False)
    for (name, (value, slope)), (above, middle, below), color in zip(curves.items(), axes.T, HUES, strict=False):
        above.plot(z, value, color=color)
        middle.fill_between(z, -slope, color=color, alpha=0.25, linewidth=0)
        middle.plot(z, -slope, color=color)
        below.plot(time, paths[name], color=color, linewidth=1.8)
        title, _, of = name.partition(" (")
        above.set_title(f"{title}\n({of}" if of else f"{title}\n", loc="center", color=color, fontsize=13)
        for ax in (above, middle):
            ax.axvline(0, color=theme.MUTED, linewidth=0.8)
            ax.set_xticks([-4, 0, 4])
        for ax in (above, middle, below):
            ax.axhline(0, color=theme.MUTED, linewidth=0.8)
        middle.set_xlabel("margin z")
        below.set_xlabel("time")
    axes[0, 0].set(ylabel="loss", ylim=(-2, 5))
    axes[1, 0].set(ylabel="push on the margin", ylim=(-1.2, 2.2))
    axes[2, 0].set(ylabel="where pairs go: margin", ylim=(-5, 6))
    return figure


@theme.styled
def tokens_pushed(lengths: np.ndarray, pushes: Mapping[str, tuple[np.ndarray, np.ndarray]], fixed: int) -> "Figure":
    """How hard each token is pushed before any training, against the length of the chosen answer; one panel a loss.

    Args:
        lengths: of the chosen answer, in tokens `(k,)`.
        pushes: name -> (push up on each chosen token, push down on each rejected token), each `(k,)`.
        fixed: the length of the rejected answer.
    """
    figure, axes = theme.canvas(len(pushes), width=15, height=3.9, squeeze=False)
    for (name, (up, down)), ax in zip(pushes.items(), axes[0], strict=True):
        ax.axvline(fixed, color=theme.MUTED, linewidth=1, linestyle=":")
        ax.plot(lengths, down, color=theme.VERMILION, linewidth=6, alpha=0.45, label="each rejected token, down")
        ax.plot(lengths, up, color=theme.BLUE, linewidth=2.2, label="each chosen token, up")
        ax.set(title=name, xlabel="tokens of the chosen answer", ylim=(0, 1.2 * max(up.max(), down.max())))
        ax._left_title.set_fontsize(12)
    axes[0, 0].set_ylabel("push on one token")
    axes[0, 2].legend(loc="lower center")
    axes[0, 0].text(fixed + 0.6, axes[0, 0].get_ylim()[1] * 0.03, f"rejected: {fixed} tokens", color=theme.MUTED, fontsize=11)
    return figure


@theme.styled
def lengths(paths: Mapping[str, np.ndarray], level: float) -> "Figure":
    """Mean length of what a policy says while it is trained on labels that know nothing of length.

    Args:
        paths: loss -> mean lengths `(steps,)`, in tokens.
        level: a length to be marked: where a word is as likely as an end.
    """
    figure, ax = theme.canvas(width=8.6, height=4.3)
    ends = []
    for k, path in enumerate(paths.values()):
        ax.plot(path, color=hue(k), linewidth=7 - 2 * k if k > 1 else 2.6)
        ends.append((float(len(path)), float(np.log(min(path[-1], 300)))))
    ax.plot([0, len(path)], [level, level], color=theme.MUTED, linestyle=":", linewidth=1.2)
    ax.set(yscale="log", ylim=(3, 300), xlim=(0, 1.7 * len(path)), xlabel="step", ylabel="mean length, tokens")
    ax.set_yticks([3, 5, 10, 20, 50, 100, 300], labels=["3", "5", "10", "20", "50", "100", "300"])
    for k, (name, (x, y)) in enumerate(zip(paths, spaced(ends, 0, 1.7 * len(path), np.log(3), np.log(300)), strict=True)):
        ax.annotate(name, (x, np.exp(y)), xytext=(6, 0), textcoords="offset points", va="center", color=hue(k), weight="bold")
    return figure


@theme.styled
def strengths(
    panels: Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray]]], axes_named: Sequence[tuple[str, str]]
) -> "Figure":
    """Lines that differ by beta alone, one panel a question; drawn wider the earlier, so that lines that coincide are all seen.

    Args:
        panels: title -> name -> (x, y).
        axes_named: (xlabel, ylabel) of each panel.
    """
    figure, axes = theme.canvas(len(panels), width=5.2 * len(panels), height=4.1, squeeze=False)
    for (title, rows), ax, (xlabel, ylabel) in zip(panels.items(), axes[0], axes_named, strict=True):
        for k, (name, (x, y)) in enumerate(rows.items()):
            ax.plot(x, y, color=hue(k), linewidth=8 - 2.8 * k, label=name)
        ax.set(title=title, xlabel=xlabel, ylabel=ylabel)
    axes[0, 0].legend(loc="best")
    return figure


@theme.styled
def logic(panels: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]], log_odds: np.ndarray) -> "Figure":
    """Losses over how likely the chosen and the rejected answer are, with the way each pushes.

    Args:
        panels: name -> (loss, push on the chosen, push on the rejected), each `(k, k)`; rows are the rejected answer's odds.
        log_odds: of both axes `(k,)`, in nats.
    """
    figure, axes = theme.canvas(len(panels), width=16, height=3.9, sharey=True, squeeze=False)
    every = max(len(log_odds) // 8, 1)
    for (name, (loss, right, up)), ax in zip(panels.items(), axes[0], strict=True):
        shade = ax.contourf(log_odds, log_odds, np.minimum(loss, 6), levels=np.linspace(0, 6, 13), cmap="viridis_r")
        rows = slice(every // 2, None, every)
        size = np.hypot(right, up) + 1e-9
        x, y = np.meshgrid(log_odds[rows], log_odds[rows])
        ax.quiver(x, y, (right / size)[rows, rows], (up / size)[rows, rows], color="white", width=0.011, scale=13)
        ax.set(title=name, xlabel="chosen: log-odds", aspect="equal")
        ax._left_title.set_fontsize(12)
        ax.set_xticks([-5, 0, 5])
        ax.grid(visible=False)
    axes[0, 0].set_ylabel("rejected: log-odds")
    figure.colorbar(shade, ax=list(axes[0]), label="loss, nats (6 or more)", shrink=0.8, pad=0.01)
    return figure
