"""Many dimensions in a plane, frame after frame, without spinning."""

import numpy as np


def plane(z: np.ndarray, labels: np.ndarray, *, axes: tuple[int, int] = (0, 1)) -> np.ndarray:
    """`(g, n, 2)`: each frame on two of its axes, turned (and mirrored) to match the frame after it.

    Args:
        z: `(g, n, d)`; points of a plane are shown as they are.
        labels: `(n,)`.
        axes: which of the frame's axes, from the widest to the narrowest: (0, 1) are the widest two, -1 is the narrowest.
    """
    flat = np.stack([rows @ widest(rows, labels)[:, axes] for rows in z]) if z.shape[-1] > 2 else np.array(z)
    for here in range(len(flat) - 2, -1, -1):
        flat[here] = flat[here] @ turn(flat[here], flat[here + 1])
    return flat


def widest(z: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """`(d, k)`: orthogonal directions, the class centres vary most along the first; without three classes, the points do."""
    classes = np.unique(labels)
    rows = np.stack([z[labels == c].mean(0) for c in classes]) if len(classes) > 2 else z
    return np.linalg.svd(rows - rows.mean(0), full_matrices=False)[2].T


def turn(points: np.ndarray, onto: np.ndarray) -> np.ndarray:
    """The rotation or reflection that brings `points` closest to `onto` (orthogonal Procrustes)."""
    u, _, v = np.linalg.svd(points.T @ onto)
    return u @ v
