"""How hard a negative pushes, by the angle at which it stands."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from labkit.figures import theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@theme.styled
def leverage(angles: np.ndarray, temperatures: Sequence[float], shares: np.ndarray, forces: np.ndarray) -> "Figure":
    """What one more negative gets of the push, and what of it moves the anchor, one line for each temperature.

    Args:
        angles: `(m,)` in degrees.
        shares, forces: `(temperatures, m)`, each relative to its greatest.
    """
    figure, axes = theme.canvas(2, height=3.6, sharey=True)
    for panel, curves, title in zip(axes, (shares, forces), ("its share of the push", "its force on the anchor"), strict=True):
        for temperature, curve, color in zip(temperatures, curves, theme.colors(len(temperatures)), strict=True):
            panel.plot(angles, curve, color=color, label=f"τ = {temperature:g}")
        panel.set(
            title=title, xlabel="angle from the anchor (degrees)", xlim=(0, 180), xticks=range(0, 181, 45), ylim=(0, 1.08)
        )
    for curve, color in zip(forces, theme.colors(len(temperatures)), strict=True):
        axes[1].plot(angles[curve.argmax()], 1, "o", color=color)
    axes[0].set_ylabel("relative to its greatest")
    axes[1].legend()
    return figure
