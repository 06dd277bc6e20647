"""What the clinic says: how each disease shows, and what gave a patient's away."""

from typing import Any

import numpy as np

from labkit.figures.words import fill

# Said of a diagnosis that is wrong: what one would see then. It must not tell what the patient has.
SIGNS = {
    "healthy": "A healthy run stays in the bands, or close to them, on every meter. At least one meter here does not.",
    "no stop-gradient": (
        "Without it the two sides of SimSiam meet: the loss reaches its floor while the spread leaves the band "
        "downwards, although weights and lengths stay."
    ),
    "temperature far too low": (
        "Then nearly all push falls on the single nearest image: InfoNCE's loss falls as it should, and the spread stays far "
        "below the band."
    ),
    "identical augmentations": "Two identical views have cosine 1 from the very first step on; look at the solid line.",
    "batch of duplicates": (
        "Then most other images are the same image again: the loss stays high, the nearest one is nearer than in "
        "healthy runs, and yet neighbours are nearly as good as theirs."
    ),
    "projector removed": "Then z is h: the two ranks are one, and that of h falls below its band.",
    "variance term removed": (
        "Then nothing keeps VICReg's outputs from shrinking: the loss reaches its floor, and the length of the "
        "outputs falls below its band."
    ),
    "false negatives": (
        "Then same-class images are pushed apart, and only they: the loss stays high and jumps, and neighbours get "
        "worse on seen and new images alike."
    ),
    "weight decay too high": "Then the weights shrink: look at their size.",
    "learning rate too high": "Then the weights are thrown far away within a few steps: look at their size.",
    "normalisation forgotten": "A loss of dot products can win by length: it falls below the floor that cosines have.",
    "label leak": (
        "Then the network reads a mark that new images lack: accuracy on seen images is far above that on new ones."
    ),
    "half precision": "Then exponentials overflow: the loss is infinite, or not a number at all.",
}
WHY = {
    "healthy": (
        "At the last step {inside:d} of {meters:d} meters lie in the bands of {objective}{others}. A look-alike: some "
        "healthy runs are narrow, some long; only runs like it can tell."
    ),
    "no stop-gradient": (
        "The loss is at its floor ({loss:.3f}) and looks best of all, while the spread sinks to {spread:.2g} "
        "(healthy: {spread_low:.2g} or more). The weights stay ({weights:.2f}): both sides simply walked to one "
        "point."
    ),
    "temperature far too low": (
        "The loss falls as if all were well ({loss:.2f}), but the spread stays at {spread:.2g} (healthy: "
        "{spread_low:.2g} or more). Nearly all push falls on the nearest image; a direction that all share is hardly "
        "pushed against. That is part of the reason; the rest is open."
    ),
    "identical augmentations": (
        "The cosine with the own view is 1 from the first step: both views are the same picture, so nothing had to be "
        "forgotten, and telling images apart is easy."
    ),
    "batch of duplicates": (
        "The loss stays at {loss:.2f} (healthy: {loss_high:.2f} or less) and the nearest image is at {nearest:.2f}: "
        "it is the same image again, pushed away as a stranger. Neighbours hardly suffer ({knn_unseen:.2f})."
    ),
    "projector removed": (
        "z and h have one rank, {rank_z:.0%} and {rank_h:.0%} of the width, and that of h is below its band (healthy: "
        "{rank_h_low:.0%} or more). Neighbours do not mind here ({knn_unseen:.2f}): a missing part, not yet an "
        "illness."
    ),
    "variance term removed": (
        "The loss is at its floor ({loss:.2g}) because the outputs shrink: length {length:.2g} (healthy: "
        "{length_low:.2g} or more). Nothing in it asks for any variance."
    ),
    "false negatives": (
        "The loss stays high and jumps ({loss:.2f}; each batch holds one class), and neighbours suffer, seen or new "
        "({knn_seen:.2f}, {knn_unseen:.2f}): only same-class images were pushed apart."
    ),
    "weight decay too high": (
        "The weights shrink to {weights:.2g} of what they were (healthy: {weights_low:.2f} or more), and the rank of "
        "h with them, to {rank_h:.0%}."
    ),
    "learning rate too high": (
        "The weights are {weights:.2g} times what they were (healthy: {weights_high:.2f} at most); it happened within "
        "the first steps, and the rank of h never came back ({rank_h:.0%})."
    ),
    "normalisation forgotten": (
        "The loss falls below its floor ({loss:.2f}): cosines cannot do that, dot products can. Neighbours "
        "hardly show it ({knn_unseen:.2f})."
    ),
    "label leak": (
        "Accuracy is {knn_seen:.2f} on images as in training and {knn_unseen:.2f} on new ones. The class was written "
        "into the training images. {calm} never leave{s} the bands{loud}."
    ),
    "half precision, infinite": (
        "The loss is infinite at every step: sums of exponentials exceed 65,504, float16's largest number. Their "
        "gradient is then zero, so only the pull is left, and the spread sinks to {spread:.2g}."
    ),
    "half precision, nothing": (
        "After step 0 nothing is a number: an exponential above 65,504 is infinite in float16, and infinity times "
        "zero in its gradient has no value. One step later it is in every weight."
    ),
}


NAMES = {
    "loss": "the loss",
    "spread": "the spread",
    "rank_z": "the rank of z",
    "rank_h": "the rank of h",
    "partner": "the cosine with the own view",
    "nearest": "that with the nearest image",
    "knn_seen": "accuracy on seen images",
    "knn_unseen": "accuracy on new ones",
    "length": "the length of the outputs",
    "weights": "the size of the weights",
    "gradient": "the gradient",
}
UNAWARE = ("loss", "spread", "rank_z", "rank_h")  # meters that know nothing of labels
Meters = dict[str, np.ndarray]


def why(label: str, curves: Meters, low: Meters, high: Meters, objective: str) -> str:
    """What gave it away, in this patient's numbers at the last snapshot, and which meters leave their bands."""
    last: dict[str, Any] = {name: float(values[-1]) for name, values in curves.items()}
    last |= {f"{name}_low": float(values[-1]) for name, values in low.items()}
    last |= {f"{name}_high": float(values[-1]) for name, values in high.items()}
    if label == "half precision":
        label += ", nothing" if np.isnan(last["spread"]) else ", infinite"
    return fill(WHY[label], {**last, **kept(outside(curves, low, high)), "objective": objective})


def outside(curves: Meters, low: Meters, high: Meters) -> Meters:
    """At which snapshots each meter is not within its band."""
    return {name: ~((values >= low[name]) & (values <= high[name])) for name, values in curves.items()}


def kept(beyond: Meters) -> dict[str, Any]:
    """Who stays in the bands, and who leaves them, in words."""
    now = [name for name, gone in beyond.items() if gone[-1]]
    calm, loud = ([name for name in UNAWARE if beyond[name].any() == out] for out in (False, True))
    return {
        "meters": len(beyond),
        "inside": len(beyond) - len(now),
        "others": f", and close to them {joined(now)}" if now else "",
        "calm": joined(calm).capitalize(),
        "s": "s" if len(calm) == 1 else "",
        "loud": f"; {joined(loud)} do{'es' if len(loud) == 1 else ''} at times" if loud else "",
    }


def joined(names: list[str]) -> str:
    """Meters in a sentence."""
    *first, last = [NAMES[name] for name in names] or ["nothing"]
    return f"{', '.join(first)} and {last}" if first else last
