"""What the assignment on labels is graded with: one toy on which InfoNCE loses the class, SupCon the colour, and both together
neither.

Every point has a class, which is hard to see, and a colour, which is easy: twelve bits that are loud. Both are in every view.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from labkit.losses import joint
from labkit.progress import bar
from labkit.results import load, result

CLASSES, BITS, LOUD, HALF, NOISE = 4, 12, 5.0, 16, 0.35
SHARES = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)  # of the term that knows no labels
TEMPERATURE, STEPS, BATCH, WIDTH, OUT = 0.2, 150, 128, 64, 8
ROWS = 160  # of the embeddings that are stored, for training a probe and for testing it, each


def points(split: str, seed: int = 0, n: int = 1024) -> dict[str, Tensor]:
    """`x (n, 32)`, "class" (0 to 3) and "colour" (0 to 3, two of the bits); the splits share the places of everything."""
    shared, own = np.random.default_rng([seed, 0]), np.random.default_rng([seed, 1 + (split != "train")])
    centers = shared.standard_normal((CLASSES, HALF))
    paint = LOUD * shared.standard_normal((BITS, HALF)) / BITS**0.5
    turn = np.linalg.qr(shared.standard_normal((2 * HALF, 2 * HALF)))[0]
    y, bits = own.permutation(np.arange(n) % CLASSES), own.integers(0, 2, (n, BITS))
    x = np.concatenate([centers[y], (2 * bits - 1) @ paint], axis=1) @ turn
    x = x + NOISE * own.standard_normal(x.shape)  # a view, as training sees it
    return {
        "x": torch.from_numpy(x).float(),
        "class": torch.from_numpy(y),
        "colour": torch.from_numpy(bits[:, 0] + 2 * bits[:, 1]),
    }


def train(share: float, seed: int = 0, steps: int = STEPS) -> tuple[nn.Module, float]:
    """A small network by the joint objective: SupCon on the classes where `share` is 0, InfoNCE where it is 1. And its loss."""
    data, draw = points("train", seed), torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(2 * HALF, WIDTH), nn.ReLU(), nn.Linear(WIDTH, OUT))
    optimizer, value = torch.optim.Adam(model.parameters(), lr=3e-3), float("nan")
    for _ in range(steps):
        rows = torch.randperm(len(data["x"]), generator=draw)[:BATCH]
        x = data["x"][rows]
        views = [model(x + NOISE * torch.randn(x.shape, generator=draw)) for _ in range(2)]
        loss = joint(torch.stack(views, 1), data["class"][rows], share=share, temperature=TEMPERATURE)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        value = loss.item()
    return model, value


@torch.no_grad()
def embedded(model: nn.Module, seed: int, split: str) -> Tensor:
    return F.normalize(model(points(split, seed)["x"][:ROWS]), dim=1)


@result("course_supervised")
def course_supervised(
    shares: Sequence[float] = SHARES, seeds: Sequence[int] = (10, 11, 12), steps: int = STEPS
) -> dict[str, np.ndarray]:
    """Embeddings `(seeds, shares, rows, 8)` for training and testing a probe, and the losses. A minute."""
    found: dict[str, list[Any]] = {"train": [], "test": [], "loss": []}
    for seed in bar(iterable=list(seeds), desc="supervised"):
        made = [train(share, seed, steps) for share in shares]
        for split in ("train", "test"):
            found[split].append([embedded(model, seed, split).numpy() for model, _ in made])
        found["loss"].append([loss for _, loss in made])
    arrays = {name: np.array(values, np.float32 if name == "loss" else np.float16) for name, values in found.items()}
    return {**arrays, "seeds": np.array(seeds), "shares": np.array(shares)}


def run(which: int, place: int) -> dict[str, Any]:
    """One stored run: "share", "loss", and for "train" and "test" each a dict of "x", "z", "class" and "colour"."""
    stored = load("course_supervised")
    seed = int(stored["seeds"][which])
    made: dict[str, Any] = {"share": float(stored["shares"][place]), "loss": float(stored["loss"][which, place])}
    for split in ("train", "test"):
        rows = {name: values[:ROWS] for name, values in points(split, seed).items()}
        made[split] = {**rows, "z": torch.tensor(stored[split][which, place], dtype=torch.float32)}
    return made
