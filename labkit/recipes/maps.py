"""Maps of embeddings by PCA, t-SNE and UMAP: the same points by several seeds and neighbour settings, and what is kept of them.

Layouts of a reader's own embeddings are kept under `LABKIT_HOME`, by their content: the same tomorrow as today.
"""

import hashlib
import importlib.util
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from labkit import data
from labkit.directions import unit
from labkit.paths import home
from labkit.progress import bar
from labkit.results import result
from labkit.training import Config, call, fit
from labkit.training.run import write

METHODS = ("PCA", "t-SNE", "UMAP")
NEIGHBOURS, SEEDS = (3, 15, 50), (0, 1, 2)
ROWS, DIMENSIONS = 300, 32
NEAR = 10  # neighbours that trustworthiness, continuity and the vote look at
METERS = ("trustworthiness", "continuity", "vote", "distances", "sizes", "smoothness")
ENCODER = Config(loss=call("nt_xent", temperature=0.2), augment=call("digits"), optimizer=call("adamw", lr=2e-3))


# ---------------------------------------------------------------- points whose truth is known, and points as they come


def points(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Unit rows `(n, 32)` and their classes: "trained", "untrained" (unseen digits through a network), "noise", "blobs"."""
    if name in ("trained", "untrained"):
        run = fit(ENCODER if name == "trained" else ENCODER.replace(steps=0), progress=False)
        test = data.load("digits", "test").subset(slice(0, ROWS))
        return unit(run.embed(test.x)).numpy(), test.y.numpy()
    draw = np.random.default_rng(0)
    if name == "noise":
        return sphere(draw.standard_normal((ROWS, DIMENSIONS))), np.zeros(ROWS, dtype=np.int64)
    if name == "blobs":
        return blobs(draw)
    raise ValueError(f"name must be one of {', '.join(POINTS)}, got {name!r}")


POINTS = ("trained", "untrained", "noise", "blobs")
WIDTHS = (0.02, 0.02, 0.06, 0.06, 0.18)  # of the blobs, in each direction


def blobs(draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Five blobs of 60 points: two narrow ones close together, two wider, one six times as wide; random places otherwise."""
    centers = sphere(draw.standard_normal((len(WIDTHS), DIMENSIONS)))
    centers[1] = sphere((centers[0] + 0.3 * centers[1])[None])[0]
    labels = np.arange(ROWS) % len(WIDTHS)
    return sphere(centers[labels] + np.array(WIDTHS)[labels, None] * draw.standard_normal((ROWS, DIMENSIONS))), labels


def sphere(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


# ---------------------------------------------------------------- maps


def layout(z: np.ndarray, method: str, neighbours: int, seed: int) -> np.ndarray:
    """The rows in the plane `(n, 2)`, centred, the root mean square distance from the centre 1; PCA knows neither option.

    Raises:
        ModuleNotFoundError: umap-learn is not installed.
    """
    if method == "PCA":
        from sklearn.decomposition import PCA

        flat = PCA(2, svd_solver="full").fit_transform(z)
    elif method == "t-SNE":
        from sklearn.manifold import TSNE

        flat = TSNE(perplexity=neighbours, random_state=seed, init="random").fit_transform(z.astype(np.float32))
    else:
        flat = umap_layout(z, neighbours, seed)
    flat = flat - flat.mean(0)
    return (flat / np.sqrt((flat**2).sum(1).mean())).astype(np.float32)


def umap_layout(z: np.ndarray, neighbours: int, seed: int) -> np.ndarray:
    """UMAP as its authors set it; the first call of a process compiles for half a minute."""
    if importlib.util.find_spec("umap") is None:
        raise ModuleNotFoundError(
            "UMAP is not installed: pip install umap-learn. The maps of labkit's own data are stored and need nothing."
        )
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of numba and of spectral start-ups: nothing a reader could act on
        import umap

        return umap.UMAP(n_neighbors=neighbours, random_state=seed, n_jobs=1).fit_transform(z.astype(np.float32))


def kept_layout(z: np.ndarray, method: str, neighbours: int, seed: int) -> np.ndarray:
    """`layout`, from the disk if these very rows were laid out before; written beside and renamed."""
    content = np.ascontiguousarray(z, dtype=np.float32)
    name = f"{method}, {neighbours}, {seed}, {content.shape}"
    path = home() / "maps" / f"{hashlib.sha256(name.encode() + content.tobytes()).hexdigest()[:24]}.npy"
    if not path.exists():
        made = layout(content, method, neighbours, seed)
        write(path, lambda file: np.save(file, made))
    return np.load(path)


def settings(method: str) -> list[tuple[int, int]]:
    """Neighbours and seeds that make a difference."""
    return [(NEIGHBOURS[0], SEEDS[0])] if method == "PCA" else list(itertools.product(NEIGHBOURS, SEEDS))


def layouts(z: np.ndarray, methods: Sequence[str] = METHODS, *, cached: bool = True) -> dict[str, np.ndarray]:
    """method -> `(neighbours, seeds, n, 2)`; behind a progress bar, the quick ones first."""
    cells = [(method, *setting) for method in methods for setting in settings(method)]
    made = {}
    for method, neighbours, seed in (shown := bar(iterable=cells, desc="maps", unit="map")):
        shown.set_postfix_str(f"{method}, {neighbours} neighbours, seed {seed}")
        made[method, neighbours, seed] = (kept_layout if cached else layout)(z, method, neighbours, seed)
    return {
        method: np.stack([[made.get((method, k, s), made[method, *settings(method)[0]]) for s in SEEDS] for k in NEIGHBOURS])
        for method in methods
    }


# ---------------------------------------------------------------- what a map keeps


def measured(z: np.ndarray, flat: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """METERS of a map. Those that need classes are NaN without them.

    trustworthiness: how few strangers are among a point's neighbours in the map; continuity: how few of its neighbours in space
    the map tears away (the same number with map and space exchanged). vote: the share of points whose class their nearest
    others name. distances, sizes: rank correlations of the distances between class centres, and of the classes' radii, in the
    map and in space. smoothness: see `smoothness`.
    """
    from sklearn.manifold import trustworthiness

    near = min(NEAR, (len(z) - 1) // 2)
    classes = np.unique(labels)
    found = {
        "trustworthiness": trustworthiness(z, flat, n_neighbors=near),
        "continuity": trustworthiness(flat, z, n_neighbors=near),
        "smoothness": smoothness(flat),
        **dict.fromkeys(("vote", "distances", "sizes"), float("nan")),
    }
    if len(classes) > 1:
        found["vote"] = vote(flat, labels)
    if len(classes) > 2:
        found |= {"distances": order_kept(between, z, flat, labels), "sizes": order_kept(radii, z, flat, labels)}
    return {name: float(found[name]) for name in METERS}


def vote(rows: np.ndarray, labels: np.ndarray) -> float:
    """The share of points whose class most of their nearest others have."""
    from sklearn.neighbors import NearestNeighbors

    near = NearestNeighbors(n_neighbors=min(NEAR, len(rows) - 1)).fit(rows).kneighbors(return_distance=False)
    classes, mine = np.unique(labels, return_inverse=True)
    votes = F.one_hot(torch.from_numpy(mine[near]), len(classes)).sum(1)
    return float((votes.argmax(1).numpy() == mine).mean())


def in_space(z: np.ndarray, labels: np.ndarray) -> float:
    """The vote of the embeddings themselves, NaN without classes."""
    return vote(z, labels) if len(np.unique(labels)) > 1 else float("nan")


def order_kept(of: Any, z: np.ndarray, flat: np.ndarray, labels: np.ndarray) -> float:
    from scipy.stats import spearmanr

    return float(spearmanr(of(z, labels), of(flat, labels)).statistic)


def centers(rows: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.stack([rows[labels == c].mean(0) for c in np.unique(labels)])


def between(rows: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Distances between class centres, each pair once."""
    from scipy.spatial.distance import pdist

    return pdist(centers(rows, labels))


def radii(rows: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Root mean square distance of each class from its centre."""
    classes = [rows[labels == c] for c in np.unique(labels)]
    return np.array([np.sqrt(((mine - mine.mean(0)) ** 2).sum(1).mean()) for mine in classes])


def smoothness(flat: np.ndarray, *, fifth: int = 5) -> float:
    """The median distance to the fifth neighbour, over that in a Gaussian cloud of the same covariance: below 1 is clumped."""
    from sklearn.neighbors import NearestNeighbors

    cloud = np.random.default_rng(0).multivariate_normal(flat.mean(0), np.cov(flat.T), size=len(flat))
    mine, smooth = (np.median(NearestNeighbors(n_neighbors=fifth).fit(rows).kneighbors()[0][:, -1]) for rows in (flat, cloud))
    return float(mine / smooth)


def table(z: np.ndarray, labels: np.ndarray, made: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """meter -> `(methods, neighbours, seeds)`."""
    cells = [[[measured(z, flat, labels) for flat in row] for row in grid] for grid in made.values()]
    return {meter: np.array([[[cell[meter] for cell in row] for row in grid] for grid in cells]) for meter in METERS}


@result("maps")
def maps(names: Sequence[str] = POINTS, methods: Sequence[str] = METHODS) -> dict[str, np.ndarray]:
    """Four sets of 300 points in 19 maps each; about two minutes, a quarter of it UMAP's compilation."""
    stored: dict[str, np.ndarray] = {"names": np.array(names), "methods": np.array(methods)}
    for name in names:
        z, labels = points(name)
        made = layouts(z, methods, cached=False)
        flat = np.stack(list(made.values())).astype(np.float16)
        own: dict[str, np.ndarray] = {
            "labels": labels.astype(np.uint8),
            "layouts": flat,
            "space": np.array([in_space(z, labels)]),
        }
        own |= {meter: values.astype(np.float32) for meter, values in table(z, labels, made).items()}
        stored |= {f"{name}_{field}": values for field, values in own.items()}
    return stored
