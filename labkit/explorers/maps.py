"""UMAP honesty: the same embeddings mapped by PCA, t-SNE and UMAP, by three neighbour settings and three seeds, with meters."""

import contextlib
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from labkit import reader
from labkit.explorers.clouds import UNIT, cloud, dots, named
from labkit.explorers.core import Control, Explorer, Sentence, Shown, State, digest
from labkit.explorers.given import rows_and_classes, whole
from labkit.figures import picture
from labkit.figures.scene import Axis, Panel, Scene, rects, rule, text
from labkit.recipes import maps as recipe
from labkit.recipes.maps import METERS, METHODS, NEIGHBOURS, SEEDS
from labkit.results import load

TITLES = {
    "trained": "digits, trained network",
    "untrained": "digits, random network",
    "noise": "pure noise",
    "blobs": "five blobs, sizes known",
}
KEYS = {"PCA": "p", "t-SNE": "t", "UMAP": "u"}
INKS = {"PCA": "muted", "t-SNE": "sky", "UMAP": "ink"}
ROWS = {
    "trustworthiness": "trustworthiness",
    "continuity": "continuity",
    "vote": "class vote",
    "distances": "distance order",
    "sizes": "size order",
    "smoothness": "smoothness",
}
PITCH, EDGE = 2300, 1060  # of the small maps; half a map with its margin
LEAST = 60  # rows: more than the largest number of neighbours
ALT = (
    "One set of embeddings on three maps, by PCA, t-SNE and UMAP; below them nine maps by one method, for three numbers of "
    "neighbours and three seeds; and bars of what each of the three maps keeps: neighbours, classes, the order of distances "
    "between classes and of their sizes. PCA's picture is the same for every seed; those of t-SNE and UMAP are not."
)


@dataclass(frozen=True)
class Maps(State):
    """Which embeddings, which method on the nine small maps, how many neighbours, which seed."""

    data: str
    method: str
    neighbours: int
    seed: int


@dataclass(frozen=True, eq=False)
class Atlas:
    """All maps of one set of embeddings: method -> `(neighbours, seeds, n, 2)`, meter -> `(methods, neighbours, seeds)`."""

    layouts: Mapping[str, np.ndarray]
    labels: np.ndarray
    meters: Mapping[str, np.ndarray]
    space: float

    def map(self, method: str, neighbours: int, seed: int) -> np.ndarray:
        """A map that fills its square."""
        flat = self.layouts[method][NEIGHBOURS.index(neighbours), SEEDS.index(seed)].astype(float)
        flat = flat - (flat.max(0) + flat.min(0)) / 2
        return flat / np.abs(flat).max()

    def read(self, meter: str, method: str, neighbours: int, seed: int) -> float:
        place = (METHODS.index(method), NEIGHBOURS.index(neighbours), SEEDS.index(seed))
        return float(self.meters[meter][place])

    def show(self, state: Maps) -> Shown:
        setting = (state.neighbours, state.seed)
        shown: Shown = {"space": self.space, "classes": len(np.unique(self.labels))}
        for method, key in KEYS.items():
            shown |= named(key, cloud(self.map(method, *setting), self.labels))
            shown |= {f"{key}_{meter}": self.read(meter, method, *setting) for meter in METERS}
        return {**shown, **named("g", self.grid(state.method)), **bars(shown), **frame(state)}

    def grid(self, method: str) -> Shown:
        """The nine small maps in one cloud: neighbours across, seeds down."""
        cells = [(k, s) for k in NEIGHBOURS for s in SEEDS]
        move = np.array([[NEIGHBOURS.index(k), -SEEDS.index(s)] for k, s in cells]) * PITCH / UNIT
        places = np.concatenate([self.map(method, *cell) + shift for cell, shift in zip(cells, move, strict=True)])
        return cloud(places, np.tile(self.labels, len(cells)))


def frame(state: Maps) -> Shown:
    """Around the small map that is also shown large."""
    x, y = PITCH * NEIGHBOURS.index(state.neighbours), -PITCH * SEEDS.index(state.seed)
    return {"left": x - EDGE, "right": x + EDGE, "bottom": y - EDGE, "top": y + EDGE}


def bars(shown: Shown) -> Shown:
    """Lengths of the bars, and a word where there is none."""
    made: Shown = {}
    for key in KEYS.values():
        made[f"{key}_bars"] = np.nan_to_num([shown[f"{key}_{meter}"] for meter in ROWS]).astype(np.float32)
    made["missing"] = ["" if np.isfinite(shown[f"p_{meter}"]) else "no classes" for meter in ROWS]
    return made


# ---------------------------------------------------------------- how it is drawn


def large(method: str, place: int) -> Panel:
    """One of the three maps side by side."""
    key, hidden = KEYS[method], Axis("", -1.08 * UNIT, 1.08 * UNIT, hidden=True)
    below = "no settings, no seed" if method == "PCA" else "{neighbours:d} neighbours, seed {seed:d}"
    return Panel((place / 3, 0.0, (place + 1) / 3, 0.42), dots(key, 6), f"{method}\n{below}", x=hidden, y=hidden, equal=True)


def small() -> Panel:
    """Nine maps by one method; a frame around the one that is shown large."""
    low, ticks = -2.75 * UNIT, [PITCH * k for k in range(3)]
    x = Axis("neighbours", low, 2 * PITCH + 1.1 * UNIT, ticks=ticks, words=list(map(str, NEIGHBOURS)))
    y = Axis("", -2 * PITCH - 1.1 * UNIT, 1.1 * UNIT, hidden=True)
    rows = text(low, [-k for k in ticks], [f"seed {s}" for s in SEEDS], size=12, color="muted")
    middles = np.array([(PITCH * k, -PITCH * row) for k in range(3) for row in range(3)], dtype=float)
    cells = rects(*(m + e for m in middles.T for e in (-EDGE, EDGE)), color="grid", opacity=0.35)
    around = rects("$left", "$right", "$bottom", "$top", color="blue", opacity=0.16)
    return Panel((0.0, 0.42, 0.5, 1.0), (cells, around, rows, *dots("g", 3)), "Nine maps by {method}", x=x, y=y, equal=True)


def kept() -> Panel:
    """What the three maps keep, in bars; the methods' names stand beside the first three."""
    place, marks = (
        -np.arange(len(ROWS), dtype=float),
        [rule(x=0, color="muted", dash="solid"), rule(x=1, color="grid", dash="solid")],
    )
    for k, (method, key) in enumerate(KEYS.items()):
        high = place + 0.39 - 0.26 * k
        hover = f"{method}: {{{key}_bars:.2f}}"
        marks.append(rects(0, f"${key}_bars", high - 0.2, high, color=INKS[method], hover=hover))
        marks.append(text(1.05, 0.36 - 0.36 * k, method, size=12, color=INKS[method], halo=True))
    marks.append(text(0.05, place, "$missing", color="muted", size=12))
    x = Axis("", -1, 1.7, ticks=[-1, 0, 1], words=["−1", "0", "1"])
    y = Axis("", -len(ROWS) + 0.4, 0.6, ticks=list(place), words=list(ROWS.values()))
    return Panel((0.5, 0.42, 1.0, 1.0), tuple(marks), "What the maps keep", x=x, y=y)


SCENE = Scene((*(large(method, place) for place, method in enumerate(METHODS)), small(), kept()), height=620)

# ---------------------------------------------------------------- what is said

ABOUT = {
    "trained": "Unseen digits through a trained network: {after.space:.0%} have neighbours of their class in space, "
    "{after.u_vote:.0%} on UMAP, {after.p_vote:.0%} on PCA.",
    "untrained": "The same digits through a network that never learned: UMAP groups them as well, and {after.u_vote:.0%} still "
    "have neighbours of their class. Groups on a map do not prove that anything was learned.",
    "noise": "Noise, alike in all 32 directions: whatever groups you see are the map's. Smoothness is 1 for a cloud without "
    "clumps: PCA {after.p_smoothness:.2f}, t-SNE {after.t_smoothness:.2f}, UMAP {after.u_smoothness:.2f}.",
    "blobs": "One of five blobs is six times as wide as two others, and those two are neighbours. The order of the sizes: PCA "
    "{after.p_sizes:+.2f}, t-SNE {after.t_sizes:+.2f}, UMAP {after.u_sizes:+.2f}; of the distances: {after.p_distances:+.2f}, "
    "{after.t_distances:+.2f}, {after.u_distances:+.2f}.",
}
SENTENCES = (
    *(Sentence(words, changed="data", when={"data": name}) for name, words in ABOUT.items()),
    Sentence(
        "Only the seed changed: the places are different, the trustworthiness of UMAP is {after.u_trustworthiness:.2f} after "
        "{before.u_trustworthiness:.2f}. What moves with the seed is not in the data.",
        changed="seed",
    ),
    Sentence(
        "Each point is now held by {after.neighbours:d} neighbours, not {before.neighbours:d}. UMAP's smoothness went from "
        "{before.u_smoothness:.2f} to {after.u_smoothness:.2f}, and the noise did not change.",
        changed="neighbours",
        when={"data": "noise"},
    ),
    Sentence(
        "Each point is now held by {after.neighbours:d} neighbours, not {before.neighbours:d}: UMAP's trustworthiness went "
        "from {before.u_trustworthiness:.2f} to {after.u_trustworthiness:.2f}, and the data did not change.",
        changed="neighbours",
    ),
    Sentence(
        "Nine maps of the same points by {after.method}: what differs among them comes from the settings.", changed="method"
    ),
    *(Sentence(words, when={"data": name}) for name, words in ABOUT.items()),
    Sentence(
        "Your embeddings: trustworthiness {after.p_trustworthiness:.2f} by PCA, {after.t_trustworthiness:.2f} by t-SNE, "
        "{after.u_trustworthiness:.2f} by UMAP. Trust neighbours on a map, not distances between groups, nor their sizes."
    ),
)

# ---------------------------------------------------------------- embeddings that ship, and the reader's own


@functools.cache
def stored() -> dict[str, Atlas]:
    """The atlases that ship."""
    kept = load("maps")
    made = {}
    for name in map(str, kept["names"]):
        layouts = dict(zip(METHODS, kept[f"{name}_layouts"], strict=True))
        meters = {meter: kept[f"{name}_{meter}"] for meter in METERS}
        made[name] = Atlas(layouts, kept[f"{name}_labels"], meters, float(kept[f"{name}_space"][0]))
    return made


@contextlib.contextmanager
def at_once(z: np.ndarray, labels: np.ndarray) -> Iterator[None]:
    """In a notebook, PCA's map while the others are computed; it makes room for the explorer when they are."""
    if not reader.live():
        yield
        return
    from IPython.display import display

    flat = recipe.kept_layout(z, "PCA", NEIGHBOURS[0], SEEDS[0])
    hidden = Axis(hidden=True)
    panel = Panel((0, 0, 1, 1), dots("p", 6), "PCA, while t-SNE and UMAP are on their way", x=hidden, y=hidden, equal=True)
    figure = picture.drawn(Scene((panel,), height=360), named("p", cloud(flat / np.abs(flat).max(), labels)), width=480)
    bundle, metadata = reader.png_bundle(figure, "The embeddings on the two widest directions, by PCA.")
    handle = display(bundle, metadata=metadata, raw=True, display_id=True)
    try:
        yield
    finally:
        handle.update(reader.Html(""))


def atlas(z: np.ndarray, labels: np.ndarray) -> Atlas:
    with at_once(z, labels):
        layouts = recipe.layouts(z)
    return Atlas(layouts, labels, recipe.table(z, labels, layouts), recipe.in_space(z, labels))


def maps(
    z: Any = None,
    labels: Any = None,
    *,
    data: str = "trained",
    method: str = "UMAP",
    neighbours: int = 15,
    seed: int = 0,
    rows: int = 500,
    hide: tuple[str, ...] = (),
) -> Explorer[Maps]:
    """PCA, t-SNE and UMAP of the same embeddings, side by side, with what each of them keeps.

    Your own are laid out once, nineteen times; that takes a minute or two, and is kept under `LABKIT_HOME` by content. In a
    notebook PCA's map is there at once.

    Args:
        z, labels: your own embeddings `(n, d)`, L2-normalised inside, and their classes; without them, what ships.
        data: of what ships, "trained", "untrained", "noise" or "blobs".
        method: of the nine small maps, "t-SNE" or "UMAP".
        neighbours, seed: 3, 15 or 50; 0, 1 or 2.
        rows: at most so many of your own rows, 60 or more, the same ones each time.
        hide: names of controls that are not offered.

    Raises:
        ValueError, TypeError: a start that does not exist, too few rows, rows of zeros, NaN, labels that do not fit, or that
            come without z.
        ModuleNotFoundError: your own embeddings, and umap-learn is not installed.
    """
    atlases = dict(stored())
    rows = whole(rows, "rows", LEAST)
    if z is None and labels is not None:
        raise ValueError("labels are those of z: give both, or none for the embeddings that ship")
    if z is not None:
        own, classes = rows_and_classes(z, labels, LEAST)
        pick = np.sort(np.random.default_rng(0).permutation(len(own))[:rows])
        data, atlases = "yours", {"yours": atlas(own[pick], classes[pick])}
    words = [TITLES.get(name, "your embeddings") for name in atlases]
    return Explorer(
        name="maps",
        title="UMAP honesty",
        start=Maps(data, method, neighbours, seed),
        controls=(
            Control("data", "embeddings", tuple(atlases), kind="menu", words=words),
            Control("method", "nine maps by", ("t-SNE", "UMAP"), kind="toggle"),
            Control("neighbours", "neighbours", NEIGHBOURS),
            Control("seed", "seed", SEEDS),
        ),
        show=lambda state: atlases[state.data].show(state),
        scene=SCENE,
        sentences=SENTENCES,
        alt=ALT,
        mine="" if z is None else digest(own, classes),
    ).hidden(("data",) if z is not None else (), hide)
