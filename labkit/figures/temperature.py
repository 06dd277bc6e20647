"""The figures of the lesson on temperature: who pushes, what training trades, and where the loss lies."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from labkit.figures import theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = Mapping[str, Any]


def temperature_axis(ax: Any, ticks: Sequence[float] = (0.03, 0.1, 0.3, 1, 2)) -> None:
    ax.set_xscale("log")
    ax.set_xticks(ticks, [f"{t:g}" for t in ticks])
    ax.minorticks_off()
    ax.set_xlabel("temperature")


@theme.styled
def rings(panels: Mapping[str, np.ndarray], labels: np.ndarray) -> "Figure":
    """Embeddings on the circle, a panel for each model, coloured by class.

    Args:
        panels: title -> points `(n, 2)` on the unit circle.
        labels: classes `(n,)`.
    """
    figure, axes = theme.canvas(len(panels), width=4.1 * len(panels), height=4.4, squeeze=False)
    turn = np.linspace(0, 2 * np.pi, 200)
    rng = np.random.default_rng(0)
    for (title, z), ax in zip(panels.items(), axes[0], strict=True):
        ax.plot(np.cos(turn), np.sin(turn), color=theme.GRID, linewidth=1.5, zorder=0)
        out = (1 + 0.16 * rng.random(len(z)))[:, None]  # a little outwards, so that points that coincide are seen
        ax.scatter(*(z * out).T, c=np.array(theme.CYCLE)[labels], s=22, alpha=0.8, linewidths=0)
        ax.set_title(title, loc="center")
        ax.set(aspect="equal", xlim=(-1.25, 1.25), ylim=(-1.25, 1.25))
        ax.axis("off")
    return figure


@theme.styled
def own_class(shares: Mapping[str, np.ndarray], names: Sequence[str], even: float) -> "Figure":
    """How much of an anchor's push falls on its own class, a bar for each class, a colour for each model.

    Args:
        shares: model -> share for each class `(classes,)`.
        names: of the classes.
        even: the share, were every negative pushed alike.
    """
    figure, ax = theme.canvas(width=8.6, height=4.4)
    colors, at, width = (theme.MUTED, theme.VERMILION, theme.BLUE), np.arange(len(names)), 0.8 / len(shares)
    for i, ((model, values), color) in enumerate(zip(shares.items(), colors, strict=False)):
        ax.bar(
            at + (i - (len(shares) - 1) / 2) * width, values, width * 0.92, color=color, label=f"{model}: {values.mean():.0%}"
        )
    ax.axhline(even, color=theme.INK, linestyle="--", linewidth=1.4)
    ax.text(1.01, even, f"even:\n{even:.0%}", transform=ax.get_yaxis_transform(), va="center", color=theme.INK)
    ax.set_xticks(at, names)
    ax.set(xlabel="class of the anchor", ylabel="push on its own class", ylim=(0, 1.12), xlim=(-0.6, len(names) - 0.4))
    ax.yaxis.set_major_formatter(lambda y, _: f"{y:.0%}")
    ax.grid(axis="x", visible=False)
    ax.legend(loc="upper left", ncols=len(shares), title=None)
    return figure


@theme.styled
def nearest(temperatures: Sequence[float], shares: Mapping[str, np.ndarray], even: Mapping[str, float]) -> "Figure":
    """The share of the push on the nearest negatives of one fixed embedding, against temperature.

    Args:
        shares: which negatives -> share at each temperature.
        even: which negatives -> their part of all negatives.
    """
    figure, ax = theme.canvas(width=8.2, height=4.4)
    for (which, values), color in zip(shares.items(), theme.colors(len(shares)), strict=True):
        ax.plot(temperatures, values, color=color, linewidth=2.6)
        ax.plot(temperatures[-1] * 1.02, even[which], marker="<", color=color, markersize=8, clip_on=False)
        ax.text(temperatures[-1] * 1.14, even[which], f"{which}", color=color, va="center")
    temperature_axis(ax, (0.01, 0.03, 0.1, 0.3, 1, 3, 10))
    ax.set(ylabel="share of the push", ylim=(0, 1.03), xlim=(temperatures[0], temperatures[-1]))
    ax.yaxis.set_major_formatter(lambda y, _: f"{y:.0%}")
    return figure


PANELS = (
    ("uniformity", "uniformity", "spread evenly ↓", theme.BLUE),
    ("same_class", "same-class cosine", "classes together ↑", theme.PURPLE),
    ("push_same", "push on the same class", "", theme.VERMILION),
)


@theme.styled
def trade_off(temperatures: np.ndarray, stored: Row, live: Mapping[float, Sequence[Row]]) -> "Figure":
    """Three meters of models that were trained at each temperature.

    Args:
        temperatures: of the stored models.
        stored: meter -> `(seeds, at least as many columns as temperatures)`; drawn as mean and range.
        live: temperature -> meters of the models trained just now; drawn as dots.
    """
    figure, axes = theme.canvas(3, width=13.2, height=4.0)
    for (meter, label, better, color), ax in zip(PANELS, axes, strict=True):
        values = np.asarray(stored[meter])[:, : len(temperatures)]
        ax.fill_between(temperatures, values.min(0), values.max(0), color=color, alpha=0.25, linewidth=0)
        ax.plot(temperatures, values.mean(0), color=color)
        for t, rows in live.items():
            ax.plot([t] * len(rows), [row[meter] for row in rows], "o", color=theme.INK, markersize=6, zorder=3)
        ax.axvspan(temperatures[0] * 0.9, 0.2, color=theme.GRID, alpha=0.45, linewidth=0, zorder=0)
        ax.set_title(label)
        if better:
            ax.text(0.98, 0.03, better, transform=ax.transAxes, ha="right", color=theme.MUTED)
        temperature_axis(ax)
        ax.set_xlim(temperatures[0] * 0.9, temperatures[-1] * 1.1)
    axes[0].text(0.14, 0.97, "below 0.2\nit turns round", transform=axes[0].transAxes, va="top", color=theme.MUTED)
    return figure


@theme.styled
def reversal(temperatures: np.ndarray, mean_norm: np.ndarray, uniformity: np.ndarray, without: np.ndarray) -> "Figure":
    """Length of the mean vector, and uniformity before and after the mean is taken away; `(temperatures,)` each."""
    figure, (left, right) = theme.canvas(2, width=10.6, height=4.0)
    left.plot(temperatures, mean_norm, color=theme.INK, marker="o")
    left.set(title="length of the mean vector", ylim=(0, 0.75))
    for values, color, words in ((uniformity, theme.BLUE, "as it is"), (without, theme.ORANGE, "mean taken away")):
        right.plot(temperatures, values, color=color, marker="o", label=words)
    right.set(title="uniformity (lower is more even)")
    right.legend(loc="lower right")
    for ax in (left, right):
        temperature_axis(ax)
    return figure


@theme.styled
def between(losses: Mapping[float, Sequence[float]], chance: float, floors: Mapping[float, float]) -> "Figure":
    """Training curves, each between its own chance line and its own floor.

    Args:
        losses: temperature -> loss at each step.
        floors: temperature -> the smallest value that this many pairs allow.
    """
    figure, axes = theme.canvas(len(losses), width=3.3 * len(losses), height=3.9, sharey=True)
    for (t, loss), ax, color in zip(losses.items(), axes, theme.colors(len(losses)), strict=True):
        ax.axhspan(floors[t], chance, color=theme.GRID, alpha=0.5, linewidth=0)
        ax.plot(loss, color=color)
        ax.axhline(chance, color=theme.MUTED, linestyle="--", linewidth=1.5)
        ax.axhline(floors[t], color=theme.MUTED, linestyle=":", linewidth=2)
        way = (chance - np.mean(loss[-20:])) / (chance - floors[t])
        ax.set(title=f"temperature {t:g}", xlabel="step", ylim=(-0.3, chance + 0.8))
        ax.text(0.97, 0.04 if floors[t] > 1 else 0.12, f"{way:.0%} of the way", transform=ax.transAxes, ha="right", color=color)
    axes[0].set_ylabel("loss")
    axes[0].text(2, chance + 0.12, "chance", color=theme.MUTED)
    axes[0].text(2, floors[next(iter(losses))] + 0.12, "floor", color=theme.MUTED)
    return figure


@theme.styled
def data_sets(grids: Mapping[str, tuple[np.ndarray, Row]], meters: Mapping[str, str]) -> "Figure":
    """Meters against temperature for several data sets, with the untrained network as a dashed line.

    Args:
        grids: data set -> (temperatures, meter -> `(seeds, temperatures + 1)` whose last column is the untrained network).
        meters: meter -> title of its panel.
    """
    figure, axes = theme.canvas(len(meters), width=4.4 * len(meters), height=4.0)
    for (meter, title), ax in zip(meters.items(), axes, strict=True):
        for (name, (temperatures, stored)), color in zip(grids.items(), theme.CYCLE, strict=False):
            values = np.asarray(stored[meter])
            ax.fill_between(temperatures, values[:, :-1].min(0), values[:, :-1].max(0), color=color, alpha=0.25, linewidth=0)
            ax.plot(temperatures, values[:, :-1].mean(0), color=color, label=name)
            ax.axhline(values[:, -1].mean(), color=color, linestyle="--", linewidth=1.2, alpha=0.8)
        ax.set_title(title)
        temperature_axis(ax)
    axes[0].legend(loc="upper right")
    axes[-1].text(0.03, 0.3, "dashed: untrained", transform=axes[-1].transAxes, color=theme.MUTED)
    return figure
