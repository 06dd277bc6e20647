"""The force microscope: a handful of points, one of which can be dragged, and the exact force of each on an anchor.

Two losses side by side. Python takes the forces from the losses themselves (`forces`); the browser computes the same from
masks, weights and a temperature policy.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from labkit.directions import unit
from labkit.explorers.core import Control, Explorer, Model, Moved, Shown, State
from labkit.explorers.forces import ALPHA, LOSSES, forces, push_shares, recipes
from labkit.explorers.ladder import APART, NAMED, RUNGS, TIP, hidden, rungs
from labkit.explorers.microscope_scene import ALT, CURVE, FIGURE, MORE, SENTENCES
from labkit.figures.words import said
from labkit.losses import nt_xent
from labkit.losses.temperature import followed

HALF = 6
LABELS = torch.tensor([0, 0, 0, 1, 1, 1])
NAMES = [letter + view for view in ("", "′") for letter in "abcxyz"]  # a, b, c are one class, x, y, z the other
ROLES = ("anchor", "its positive", "same class", "other class")
SEEDS = tuple(range(8))
TEMPERATURES = (0.02, 0.03, 0.05, 0.07, 0.1, 0.14, 0.2, 0.3, 0.5, 0.7, 1.0, 1.4, 2.0)
LONGEST = 0.62  # of an arrow, where the circle's radius is 1
FAINTEST = 1e-4  # forces below this are drawn no longer than they are beside it


@dataclass(frozen=True)
class Microscope(State):
    """Which points, which two losses, how cold, and on whom the forces are drawn."""

    scene: str = "a hard negative"
    left: str = "InfoNCE"
    right: str = "DCL"
    temperature: float = 0.2
    anchor: int = 0
    on: str = "the anchor"
    scale: str = "one scale"
    seed: int = 0
    moved: Moved | None = None


# ---------------------------------------------------------------- where the points are

# Angles in degrees of the first and the second views; how far a seed shakes each point, those of the anchor's pair less.
PLACES: dict[str, tuple[list[float], list[float], float]] = {
    "a hard negative": ([90, 152, 190, 72, 330, 250], [124, 170, 214, 20, 352, 282], 6),
    "a false negative": ([90, 74, 30, 200, 250, 300], [128, 8, 46, 216, 272, 322], 6),
    "an easy positive": ([90, 148, 205, 40, 340, 270], [100, 170, 228, 15, 318, 290], 6),
    "a hard positive": ([90, 130, 178, 52, 330, 268], [232, 150, 202, 20, 350, 296], 6),
    "a duplicate": ([90, 150, 190, 90, 330, 250], [116, 170, 214, 40, 352, 282], 6),
    "two classes": ([90, 60, 122, 270, 240, 302], [100, 48, 140, 262, 222, 314], 14),
}
RANDOM = ("random", "random, on a sphere", "two classes, on a sphere")
SCENES = (*PLACES, *RANDOM)


def on_circle(name: str, seed: int) -> np.ndarray:
    """The places of a scene, shaken; an anchor `a`, its positive and an exact duplicate of it stay where they are."""
    first, second, shake = PLACES[name]
    draw = np.random.default_rng(seed)
    noise = draw.uniform(-shake, shake, 2 * HALF) * (seed > 0)
    noise[[0, HALF]] = 0
    noise[3] *= name != "a duplicate"
    angles = np.deg2rad(np.array([*first, *second]) + noise)
    return np.stack([np.cos(angles), np.sin(angles)], 1)


def scattered(name: str, seed: int) -> np.ndarray:
    """Points drawn evenly, or around two centres; the anchor in front."""
    draw = np.random.default_rng(300 + seed)
    if name == "random":
        return draw.normal(size=(2 * HALF, 2))
    if name == "random, on a sphere":
        z = draw.normal(size=(2 * HALF, 3))
    else:
        centres = np.where(LABELS.numpy()[:, None] == 0, [-0.6, 0.3, 0.7], [0.7, -0.3, 0.5])
        instances = centres + draw.normal(size=(HALF, 3)) * 0.35
        z = np.concatenate([instances, instances]) + draw.normal(size=(2 * HALF, 3)) * 0.2
    z[0, 2] = abs(z[0, 2]) + 0.5
    return z


@functools.cache
def places(name: str, seed: int) -> np.ndarray:
    """Unit rows `(12, 2)` or `(12, 3)`, the first view's first; of a sphere the third coordinate points at the reader."""
    z = on_circle(name, seed) if name in PLACES else scattered(name, seed)
    return unit(torch.tensor(z)).numpy()


def placed(state: Microscope) -> np.ndarray:
    """The points, one of them where the reader put it: straight onto the circle, or onto its own half of the sphere."""
    z = places(state.scene, state.seed).copy()
    if state.moved is None:
        return z
    point, x, y = state.moved
    radius = math.hypot(x, y)
    if z.shape[1] == 3 and radius < 1:
        z[point] = [x, y, math.copysign(math.sqrt(1 - radius * radius), z[point, 2])]
    elif radius > 1e-6:
        z[point] = [x / radius, y / radius, 0][: z.shape[1]]
    return z


# ---------------------------------------------------------------- what is shown


def show(state: Microscope) -> Shown:
    z = torch.tensor(placed(state))
    cosines = (z @ z[state.anchor]).clamp(-1, 1)
    labels, partner = LABELS.repeat(2), (state.anchor + HALF) % (2 * HALF)
    role = torch.where(labels == labels[state.anchor], 2, 3)
    role[partner], role[state.anchor] = 1, 0
    angle = torch.rad2deg(cosines.acos())
    flat = z.shape[1] == 2
    behind = torch.zeros(len(z), dtype=torch.bool) if flat else z[:, 2] < 0
    alone = nt_xent(*z.chunk(2), temperature=state.temperature, reduction="none")[state.anchor]
    shown: Shown = {
        "x": z[:, 0].numpy(),
        "y": z[:, 1].numpy(),
        "size": np.where(behind, 11.0, 18.0),
        "opacity": np.where(behind, 0.45, 1.0),
        "role": role.numpy(),
        "role_name": [ROLES[r] for r in role],
        "names": NAMES,
        "letters": ["" if b else name for name, b in zip(NAMES, behind, strict=True)],
        "angle": angle.numpy(),
        "rest": float(-torch.expm1(-alone)),
        "rest_told": float(said(float(-torch.expm1(-alone)), ".2g")),
        **mover(state, partner),
        "anchor_name": NAMES[state.anchor],
        "anchor_x": float(z[state.anchor, 0]),
        "anchor_y": float(z[state.anchor, 1]),
        "tells": "force on" if state.on == "every point" else "force from",
        "equator": np.full(len(CURVE), np.nan) if flat else 0.28 * np.sqrt(1 - np.linspace(-1, 1, len(CURVE)) ** 2),
        **spine(z[state.anchor].numpy(), flat and state.on == "the anchor"),
    }
    sides = {side: seen(state, z, getattr(state, side)) for side in ("left", "right")}
    top = max(side["longest"] for side in sides.values())
    ends = torch.stack([found["share"] for found in sides.values()])
    shown |= {"share_low": min(-0.14, float(ends.min()) - 0.04), "share_high": max(1.06, float(ends.max()) + 0.04)}
    for side, found in sides.items():
        longest = top if state.scale == "one scale" else found["longest"]
        shown |= {f"{side}_{name}": value for name, value in drawn(state, z, angle, found, longest).items()}
    return shown


def mover(state: Microscope, partner: int) -> Shown:
    """Which point the reader moved, and what it is to the anchor."""
    if state.moved is None:
        return {"mover": "", "mover_name": ""}
    point = state.moved[0]
    what = "the anchor" if point == state.anchor else "its positive" if point == partner else "another"
    return {"mover": what, "mover_name": NAMES[point]}


def spine(anchor: np.ndarray, seen: bool) -> Shown:
    """From the anchor to the middle: where its arrows begin."""
    ends = np.array([1.0, 0.0]) if seen else np.full(2, np.nan)
    return {"spine_x": anchor[0] * ends, "spine_y": anchor[1] * ends}


def seen(state: Microscope, z: Tensor, name: str) -> Shown:
    """Forces and shares under one loss."""
    anchor, loss = state.anchor, LOSSES[name]
    pairwise = forces(loss, z, LABELS, state.temperature)
    negatives = torch.ones(len(z), dtype=torch.bool)
    negatives[anchor] = negatives[(anchor + HALF) % (2 * HALF)] = False
    if name == "SupCon":
        negatives &= LABELS.repeat(2) != LABELS.repeat(2)[anchor]
    drawn = pairwise.sum(1) if state.on == "every point" else pairwise[anchor]
    net = pairwise[anchor].sum(0)
    share = push_shares(loss, z, LABELS, state.temperature, anchor, negatives)
    longest = max(float(drawn.norm(dim=1).max()), float(net.norm()))
    acts = acting(name, z, state.temperature)
    return {"force": drawn, "net": net, "share": share, "longest": longest, "acts": acts}


def acting(name: str, z: Tensor, temperature: float) -> float:
    """The temperature that a loss acts at: MACL's follows alignment."""
    if name != "MACL":
        return temperature
    z1, z2 = z.chunk(2)
    return float(followed((z1 * z2).sum(1).mean(), temperature, ALPHA, 0.0))


def drawn(state: Microscope, z: Tensor, angle: Tensor, found: Shown, longest: float) -> Shown:
    """Forces as arrows, on the circle one below the other; and shares as bars."""
    factor, anchor = LONGEST / max(longest, FAINTEST), state.anchor
    force, share, every = found["force"], found["share"], state.on == "every point"
    at = z if every else z[anchor] * rungs(angle, anchor, z.shape[1] == 2)[:, None]
    arrow = factor * force
    length = arrow[:, :2].norm(dim=1)
    told = (length > NAMED) & (not every)
    beside = arrow[:, :2] / length.clamp(min=NAMED)[:, None] * TIP
    name_at = at[:, :2] + (-beside if z.shape[1] == 2 else arrow[:, :2] + beside)  # on a circle behind the arrow, else ahead
    told &= ~hidden(name_at, length, told)
    top = int((share > share.max() - 1e-9).int().argmax())
    return {
        "x": at[:, 0].numpy(),
        "y": at[:, 1].numpy(),
        "dx": arrow[:, 0].numpy(),
        "dy": arrow[:, 1].numpy(),
        "name_x": name_at[:, 0].numpy(),
        "name_y": name_at[:, 1].numpy(),
        "told": [name if t else "" for name, t in zip(NAMES, told, strict=True)],
        "net_dx": 0.0 if every else float(factor * found["net"][0]),
        "net_dy": 0.0 if every else float(factor * found["net"][1]),
        "force": force.norm(dim=1).numpy(),
        "net": float(found["net"].norm()),
        "longest": found["longest"] if found["longest"] > 1e-9 else 0.0,
        "share": share.numpy(),
        "top": float(share.max()),
        "top_told": float(said(float(share.max()), ".2f")),
        "more": MORE if share.max() > 1.005 else "",
        "top_name": NAMES[top],
        "same": float(share[LABELS.repeat(2) == LABELS[anchor % HALF]].sum()),
        "temperature": found["acts"],
        "curve": curve(found["acts"], angle, share != 0),
    }


def curve(temperature: float, angle: Tensor, counted: Tensor) -> np.ndarray:
    """The softmax over the negatives that count, as a function of the angle; missing where it leaves the figure."""
    whole = (torch.deg2rad(angle[counted]).cos() / temperature).logsumexp(0)
    height = (torch.deg2rad(torch.tensor(CURVE)).cos() / temperature - whole).exp().numpy()
    return np.where(height > 1.05, np.nan, height)


# ---------------------------------------------------------------- the explorer


@functools.cache
def data() -> dict:
    """What the browser has to know."""
    return {
        "scenes": {name: [places(name, seed).tolist() for seed in SEEDS] for name in SCENES},
        "labels": LABELS.repeat(2).tolist(),
        "names": NAMES,
        "roles": list(ROLES),
        "recipes": recipes(LABELS),
        "curve": CURVE.tolist(),
        "more": MORE,
        "sizes": {"longest": LONGEST, "faintest": FAINTEST, "rungs": RUNGS, "apart": APART, "named": NAMED, "tip": TIP},
    }


def microscope(
    *,
    scene: str = "a hard negative",
    left: str = "InfoNCE",
    right: str = "DCL",
    temperature: float = 0.2,
    hide: tuple[str, ...] = (),
) -> Explorer[Microscope]:
    """The force microscope: drag a point, and see how hard every other pushes or pulls it under two losses.

    Args:
        scene: where the points begin.
        left, right: the losses.
        temperature: of both.
        hide: names of controls that are not offered.

    Raises:
        ValueError: a scene, loss or temperature that the controls do not have.
    """
    return Explorer(
        name="microscope",
        title="Force microscope",
        start=Microscope(scene=scene, left=left, right=right, temperature=temperature),
        controls=(
            Control("scene", "points", SCENES, kind="menu", resets=("moved",)),
            Control("left", "left loss", tuple(LOSSES), kind="menu"),
            Control("right", "right loss", tuple(LOSSES), kind="menu"),
            Control("temperature", "temperature", TEMPERATURES),
            Control("anchor", "anchor (or click a point)", tuple(range(2 * HALF)), words=NAMES),
            Control("on", "forces on", ("the anchor", "every point"), kind="toggle"),
            Control("scale", "arrows", ("one scale", "each its own"), kind="toggle"),
            Control("seed", "shake the points", SEEDS, resets=("moved",)),
        ),
        show=show,
        scene=FIGURE,
        sentences=SENTENCES,
        alt=ALT,
        model=Model("microscope", data()),
    ).hidden(hide)
