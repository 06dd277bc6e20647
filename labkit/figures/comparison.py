"""Pictures of two models on the same rows, and of layers: what differs, by how much, and what is noise."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from labkit.figures import theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Change(NamedTuple):
    """One difference: its label, what is said of it, value, low, high."""

    label: str
    said: str
    value: float
    low: float
    high: float

    @property
    def noise(self) -> bool:
        return self.low <= 0 <= self.high


class Curve(NamedTuple):
    """One meter over the layers: values with their intervals, and its null row where it has one."""

    title: str
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    null: np.ndarray
    null_name: str


@theme.styled
def differences(rows: Sequence[Change], names: tuple[str, str]) -> "Figure":
    """Each difference with its interval about 0, on a scale of its own; filled where the interval leaves 0 out."""
    figure, ax = theme.canvas(width=10.5, height=1.5 + 0.42 * len(rows))
    for y, row in enumerate(rows):
        reach = max(abs(row.low), abs(row.high)) or 1.0
        low, value, high = (x / reach for x in (row.low, row.value, row.high))
        color = theme.MUTED if row.noise else theme.BLUE
        ax.plot([low, high], [y, y], color=color, linewidth=6, alpha=0.45, solid_capstyle="butt", zorder=2)
        face = theme.PAPER if row.noise else color
        ax.scatter(value, y, s=70, facecolors=face, edgecolors=color, linewidths=2, zorder=4)
        ax.text(1.1, y, row.said.replace("-", "−"), va="center", fontsize=11.5)
    ax.axvline(0, color=theme.INK, linewidth=1.4, zorder=1)
    ax.set(xlim=(-1.08, 1.08), ylim=(len(rows) - 0.4, -0.6), xticks=[0])
    ax.set_xticklabels(["no difference"])
    ax.set_yticks(range(len(rows)), [row.label for row in rows])
    ax.tick_params(axis="y", length=0)
    ax.grid(visible=False)
    for side in ("left", "bottom"):
        ax.spines[side].set_visible(False)
    ax.set_title(f"{names[1]} minus {names[0]}, each on its own scale")
    ax.scatter([], [], s=70, color=theme.BLUE, label="beyond noise")
    ax.scatter([], [], s=70, facecolors=theme.PAPER, edgecolors=theme.MUTED, linewidths=2, label="within noise")
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


@theme.styled
def layers(curves: Sequence[Curve], names: Sequence[str], cka: np.ndarray | None = None) -> "Figure":
    """Every meter over the layers with its intervals and its null row; at the end CKA of every two layers."""
    panels = len(curves) + (cka is not None)
    wide = min(3, panels)
    figure, axes = theme.canvas(wide, -(-panels // wide), width=4.6 * wide, height=3.4 * -(-panels // wide), squeeze=False)
    over = np.arange(len(names))
    for ax, curve in zip(axes.flat, curves, strict=False):
        ax.fill_between(over, curve.low, curve.high, color=theme.BLUE, alpha=0.22, linewidth=0)
        ax.plot(over, curve.value, color=theme.BLUE, marker="o", markersize=5)
        if np.isfinite(curve.null).any():
            ax.plot(over, curve.null, color=theme.MUTED, linestyle="--", label=curve.null_name)
            ax.legend(fontsize=10)
        ax.set_title(curve.title)
        ticked(ax.xaxis, names)
    for ax in axes.flat[len(curves) :]:
        ax.set_visible(False)
    if cka is not None:
        matrix(axes.flat[len(curves)], cka, names)
    return figure


def matrix(ax: object, cka: np.ndarray, names: Sequence[str]) -> None:
    ax.set_visible(True)  # type: ignore[attr-defined]
    image = ax.imshow(cka, vmin=0, vmax=1, aspect="equal")  # type: ignore[attr-defined]
    ax.figure.colorbar(image, ax=ax, shrink=0.85)  # type: ignore[attr-defined]
    ax.set_title("linear CKA of every two")  # type: ignore[attr-defined]
    ax.grid(visible=False)  # type: ignore[attr-defined]
    for axis in (ax.xaxis, ax.yaxis):  # type: ignore[attr-defined]
        ticked(axis, names)


def ticked(axis: object, names: Sequence[str], most: int = 8) -> None:
    """Names of some of the layers, the first and the last among them."""
    places = sorted({round(x) for x in np.linspace(0, len(names) - 1, min(most, len(names)))})
    axis.set_ticks(places, [names[k] for k in places], rotation=35, ha="right", rotation_mode="anchor", fontsize=10)  # type: ignore[attr-defined]


def columns(rows: Sequence[Change]) -> Mapping[str, list[object]]:
    """The data of `differences`."""
    return {name: [getattr(row, name) for row in rows] for name in ("label", "value", "low", "high")}
