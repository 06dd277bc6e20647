"""Points of classes on a plane: the first five classes as circles, the next five as diamonds, in five colours."""

import numpy as np

from labkit.explorers.core import Shown
from labkit.figures.scene import Mark, categories, points

PALETTE = ("blue", "vermilion", "green", "purple", "orange")
SYMBOLS = ("circle", "diamond")
UNIT = 1000  # places are sent as whole thousandths


def cloud(places: np.ndarray, labels: np.ndarray) -> Shown:
    """What `dots` draws: of either group of classes, places `x, y` in thousandths, class numbers `c`, labels `k`."""
    known, classes = np.unique(labels, return_inverse=True)
    made: Shown = {}
    for group in range(len(SYMBOLS)):
        mine = (classes // len(PALETTE) % len(SYMBOLS)) == group
        x, y = np.rint(UNIT * places[mine].astype(float)).astype(np.int16).T
        made |= {f"x{group}": x, f"y{group}": y}
        made |= {f"c{group}": classes[mine].astype(np.int16), f"k{group}": known[classes[mine]].astype(np.int16)}
    return made


def named(prefix: str, shown: Shown) -> Shown:
    """The same under names of their own."""
    return {f"{prefix}_{name}": value for name, value in shown.items()}


def dots(prefix: str, size: float) -> tuple[Mark, ...]:
    """The marks of a `cloud` that is shown under `prefix`."""
    return tuple(
        points(
            f"${prefix}_x{group}",
            f"${prefix}_y{group}",
            size=size,
            color=categories(f"${prefix}_c{group}", PALETTE),
            symbol=symbol,
            opacity=0.85,
            hover=f"class {{{prefix}_k{group}:d}}",
        )
        for group, symbol in enumerate(SYMBOLS)
    )
