"""A report made by hand: every kind of number, finding and gap that a page must be able to show. The numbers mean nothing."""

import hashlib
from dataclasses import replace

import numpy as np
import torch

from labkit.metrics import Estimate
from labkit.report.pieces import Card, Finding, Missing, Null, Number, Sample
from labkit.report.result import Described, Report, Sampled, Section

NASTY = 'runs & <b>"50 %"</b> of_x'  # a name as somebody may give it

CARDS = {
    key: Card(key, title, section, unit, means, implies_not, tuple(sources))
    for key, title, section, unit, means, implies_not, *sources in (
        ("duplicate_rows", "duplicate rows", "sanity", "rows", "Rows equal to an earlier one.", "That they are a mistake."),
        ("norm", "median length", "sanity", "", "Half of the rows are longer.", "Anything about directions."),
        ("variance", "variance", "scale", "of 1", "How far unit rows lie from their mean.", "That directions are used evenly."),
        ("effective_rank", "effective rank", "spectrum", "of d directions", "Directions in use, counted softly; grows with n.",
         "Quality: features of a higher rank can be worse.", "roy2007", "2210.02885"),
        ("alignment", "alignment", "geometry", "", "Mean squared distance of paired unit rows.",
         "Useful features: a constant has 0.", "2005.10242"),
        ("uniformity", "uniformity", "geometry", "", "How evenly unit rows cover the sphere; lower is more even.",
         "Classes that are apart.", "2005.10242"),
        ("tolerance", "tolerance", "classes", "", "Mean cosine of rows of a class.", "Classes that are apart.", "2012.09740"),
    )
}  # fmt: skip


def number(meter, of, value, reach, n, *nulls):
    estimate = Estimate(value, value - reach, value + reach)
    return Number(meter, of, estimate, n, tuple(Null(name, says, Estimate(x, x, x)) for name, says, x in nulls))


def clean(meter, of, n):
    return number(meter, of, 0.0, 0.0, n, ("clean", "a clean input", 0.0))


ISOTROPIC = ("isotropic", "random directions, n = 512, d = 64")
SHUFFLED = ("shuffled pairs", "partners drawn anew")


def lengths(of, z):
    counts, edges = np.histogram(z.norm(dim=1).numpy(), 40)
    return {f"{of}.norms": counts, f"{of}.norms_edges": edges}


SHUFFLE = Finding(
    "shuffled-pairs", True, "z1, z2", "sanity", "Paired rows are as far apart as strangers: 1.98 against 1.99.",
    "Sort both by the same key & try again.", {"paired": 1.98, "shuffled": 1.99},
)  # fmt: skip
LONG = Finding("unnormalised", False, "z1", "sanity", "Lengths run from 6.1 to 10.2 <as given>.", "Divide by them.")


def report(*, alarms=True, labels=True, name="healthy run", words=(), seed=0, k=12):
    """What `labkit.report` could give for two views of 512 of 2,000 rows of 64 numbers."""
    rng = np.random.default_rng(seed)
    z1, z2 = (torch.from_numpy(rng.normal(size=(512, 64))) for _ in range(2))
    classes = torch.arange(512) % k if labels else None
    sanity = Section(
        "sanity", "Is the input sane?",
        (clean("duplicate_rows", "z1", 2000), clean("duplicate_rows", "z2", 2000),
         number("norm", "z1", 8.01, 0.03, 2000, (*ISOTROPIC, 7.97))),
        (SHUFFLE,) * alarms + (LONG,),
        (), lengths("z1", z1) | lengths("z2", 2 * z2),
    )  # fmt: skip
    scale = Section("scale", "Complete collapse", (number("variance", "z1", 0.998, 0.001, 512, (*ISOTROPIC, 0.998)),))
    spectrum = Section(
        "spectrum", "Directions that are used",
        (number("effective_rank", "z1", 41.2, 1.1, 512, (*ISOTROPIC, 61.3), ("untrained", "fresh weights, same inputs", 22.5)),
         number("effective_rank", "z2", 39.0, 1.3, 512, (*ISOTROPIC, 61.3))),
        arrays={"spectrum.z1": np.geomspace(9, 1e-4, 64), "spectrum.z1.isotropic": np.linspace(6, 4, 64)},
    )  # fmt: skip
    geometry = Section(
        "geometry", "Alignment and uniformity",
        (number("alignment", "z1, z2", 0.42, 0.02, 512, (*SHUFFLED, 1.99)),
         number("uniformity", "z1", -3.71, 0.03, 512, (*ISOTROPIC, -3.84), ("uniform limit", "n without end", -3.87)),
         number("uniformity", "z2", -3.65, 0.04, 512, (*ISOTROPIC, -3.84))),
        arrays={"cosines.pairs": rng.beta(8, 2, 512), "cosines.shuffled pairs": rng.normal(0, 0.12, 512)},
    )  # fmt: skip
    neighbours = Section(
        "neighbours", "Neighbours and hubs", missing=(Missing("hubness", "at least 1,024 rows"),),
        arrays={f"z1.k_occurrence{null}": np.bincount(rng.poisson(rate, 512)) for null, rate in (("", 10), (" isotropic", 9))},
    )  # fmt: skip
    each = [words[c] if words else str(c) for c in range(k)]
    tolerance = [number("tolerance", "z1", 0.31, 0.01, 512, ("permuted labels", "classes drawn anew", 0.01))] if labels else []
    tolerance += [
        number("tolerance", f"z1, class {c}", 0.1 + 0.04 * i, 0.05, 512 // k, ("permuted labels", "classes drawn anew", 0.01))
        for i, c in enumerate(each if labels else ())
    ]
    if words:  # sentences that name a class
        tolerance[0] = replace(
            tolerance[0], nulls=(*tolerance[0].nulls, Null("largest class", f"always {words[0]}", Estimate(0, 0, 0)))
        )
    by_class = Section("classes", "Classes", tuple(tolerance), missing=() if labels else (Missing("tolerance", "labels"),))
    given = tuple(Described(n, f"{n}.npy", (2000, 64), "float32", hashlib.sha256(n.encode()).hexdigest()) for n in ("z1", "z2"))
    rows = Sample(z1, z2, classes, None, None, torch.arange(512), 2000, seed, tuple(each))
    sections = (sanity, scale, spectrum, geometry, neighbours, by_class)
    return Report(name, given, sections, Sampled(512, 2000, seed, "pairs"), seed, rows)
