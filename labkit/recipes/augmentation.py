"""How alike two views of a digit are to an encoder, by how strongly they were changed, before and after training.

"Alike" has a meaning only beside pairs that are no views of each other: so beside each pair stand the pairs of other images.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from labkit import data
from labkit.data.augment import build, to_float
from labkit.directions import unit
from labkit.progress import bar
from labkit.results import result
from labkit.training import Config, call, fit

TURNS = (0, 15, 30, 60, 90)  # degrees
SHIFTS = (0.0, 0.1, 0.2)  # of the width
NOISES = (0.0, 0.1, 0.2, 0.4)  # standard deviation; a white pixel is 1
IMAGES = 200  # unseen digits
DIGITS = (1, 3, 4, 6, 8, 9)  # the first of each is one that the reader can choose
EDGES = np.linspace(-1, 1, 65)  # of the histograms of cosines


def change(turn: float, shift: float, noise: float) -> tuple:
    """The steps of one view: turned and moved by up to so much, then noise."""
    return (call("affine", degrees=turn, translate=shift, scale=(1.0, 1.0), shear=0.0), call("noise", sigma=noise))


BASE = Config(loss=call("nt_xent", temperature=0.2), optimizer=call("adamw", lr=2e-3))
ENCODERS = {
    "untrained": BASE.replace(steps=0),
    "identical views": BASE,
    "turned views": BASE.replace(augment=change(60, 0.0, 0.0)[0]),
    "moved views": BASE.replace(augment=change(0, 0.2, 0.0)[0]),
    "noisy views": BASE.replace(augment=change(0, 0.0, 0.3)[1]),
    "a little of each": BASE.replace(augment=call("digits")),
}


def views(x: Tensor, turn: float, shift: float, noise: float) -> Tensor:
    """Two views of each image `(2, n, c, h, w)`. Draws are the same at every strength: a stronger view only goes further."""
    augment, draw = build(change(turn, shift, noise)), torch.Generator().manual_seed(0)
    return torch.stack([augment(x, draw) for _ in range(2)])


def images() -> tuple[Tensor, Tensor, list[int]]:
    """Unseen digits, their classes, and the first of each of DIGITS."""
    test = data.load("digits", "test").subset(slice(0, IMAGES))
    return test.x, test.y, [int((test.y == c).nonzero()[0, 0]) for c in DIGITS]


@torch.no_grad()
def compared(model: torch.nn.Module, pair: Tensor, labels: Tensor) -> dict[str, np.ndarray]:
    """Cosines of two views `(2, n, ...)`: of each image's own, and of all pairs of different images.

    own `(n,)`. above `(n,)`: the share of all pairs of different images that are less alike. others `(2, bins)`: shares of
    the pairs of different images, of another class and of the same, in each bin of EDGES; they add up to 1.
    """
    z1, z2 = (unit(model(to_float(x))).double() for x in pair)
    cosines, n = (z1 @ z2.T).clamp(-1, 1), len(labels)
    own, other = cosines.diagonal(), ~torch.eye(n, dtype=torch.bool)
    same = labels[:, None] == labels
    found = [np.histogram(cosines[other & which], EDGES)[0] / (n * (n - 1)) for which in (~same, same)]
    above = torch.searchsorted(cosines[other].sort().values, own.contiguous()) / (n * (n - 1))
    return {"own": own.numpy(), "above": above.numpy(), "others": np.stack(found)}


@result("augmentation")
def augmentation(
    encoders: Sequence[str] = tuple(ENCODERS),
    turns: Sequence[float] = TURNS,
    shifts: Sequence[float] = SHIFTS,
    noises: Sequence[float] = NOISES,
) -> dict[str, np.ndarray]:
    """Six encoders of digits, each asked about views of 60 strengths. Half a minute on two cores.

    `(encoders, turns, shifts, noises, ...)`: own and above of six digits, others, mean_above of all; views of the six as bytes.
    """
    x, labels, chosen = images()
    grid = torch.stack([torch.stack([torch.stack([views(x, t, s, n) for n in noises]) for s in shifts]) for t in turns])
    made: dict[str, list] = {"own": [], "above": [], "others": [], "mean_above": []}
    for name in bar(iterable=encoders, desc="encoders", unit="encoder"):
        model = fit(ENCODERS[name], progress=False).model()
        found = [compared(model, pair, labels) for pair in grid.flatten(0, 2)]
        columns = {key: np.stack([row[key] for row in found]) for key in ("own", "above", "others")}
        columns["mean_above"] = columns["above"].mean(1)
        columns |= {key: columns[key][:, chosen] for key in ("own", "above")}
        for key, values in columns.items():
            made[key].append(values.reshape(*grid.shape[:3], *values.shape[1:]))
    pixels = (grid[:, :, :, :, chosen, 0].clamp(0, 1) * 255).round().byte().numpy()
    about = {"encoders": np.array(encoders), "turns": np.array(turns), "shifts": np.array(shifts), "noises": np.array(noises)}
    return {**about, "pixels": pixels, **{key: np.stack(values).astype(np.float32) for key, values in made.items()}}
