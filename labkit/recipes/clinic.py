"""The collapse clinic: twelve diseases of small runs, healthy look-alikes, and how well the meters tell them apart."""

import functools
import hashlib
import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np

from labkit.progress import bar
from labkit.recipes.clinic_runs import METERS, SNAPSHOTS, Patient, digits, train
from labkit.recipes.planes import turn
from labkit.results import load, result

OBJECTIVES: dict[str, dict[str, Any]] = {  # as healthy runs have them
    "InfoNCE": {"objective": "simclr"},
    "SimSiam": {"objective": "simsiam", "head": "batch norm", "lr": 1e-3},
    "VICReg": {"objective": "vicreg", "head": "batch norm"},
    "Barlow Twins": {"objective": "barlow", "head": "batch norm"},
}
DISEASES: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {  # which objectives have it, and what differs from healthy
    "healthy": (tuple(OBJECTIVES), {}),
    "no stop-gradient": (("SimSiam",), {"stop_gradient": False}),
    "temperature far too low": (("InfoNCE",), {"temperature": (0.007, 0.015)}),
    "identical augmentations": (("InfoNCE", "VICReg"), {"views": 0.0}),
    "batch of duplicates": (("InfoNCE",), {"loader": "copies"}),
    "projector removed": (("InfoNCE", "Barlow Twins"), {"head": "none"}),
    "variance term removed": (("VICReg",), {"variance": 0.0}),
    "false negatives": (("InfoNCE",), {"loader": "one class"}),
    "weight decay too high": (("InfoNCE", "SimSiam"), {"weight_decay": (15.0, 30.0)}),
    "learning rate too high": (("InfoNCE", "VICReg"), {"lr": (0.05, 0.2)}),
    "normalisation forgotten": (("InfoNCE",), {"normalize": False, "temperature": (0.5, 0.8)}),
    "label leak": (("InfoNCE", "Barlow Twins"), {"leak": True}),
    "half precision": (("InfoNCE",), {"half": True, "temperature": (0.075, 0.11)}),
}
LABELS = tuple(DISEASES)


def patient(label: str, seed: int, objective: str = "") -> Patient:
    """Someone with this disease: settings are drawn within their usual ranges, and the disease's within its own."""
    among, differs = DISEASES[label]
    draw = np.random.default_rng([seed, LABELS.index(label)])
    settings = OBJECTIVES[objective or among[seed % len(among)]]
    usual = {"temperature": (0.2, 0.4), "lr": tuple(settings.get("lr", 2e-3) * f for f in (0.75, 1.33)), "views": (0.8, 1.2)}
    drawn = {name: between(draw, each) for name, each in {**usual, **differs}.items()}
    if settings["objective"] == "simclr" and "head" not in differs:
        drawn["head"] = ("plain", "batch norm")[int(draw.integers(2))]
    return Patient(**{**settings, **drawn, "batch": int(draw.integers(96, 161)), "seed": seed})


def between(draw: np.random.Generator, value: Any) -> Any:
    """A number drawn from a range, evenly in its logarithm; what is not a range stays."""
    if not isinstance(value, tuple):
        return value
    low, high = np.log(value)
    return float(f"{np.exp(draw.uniform(low, high)):.3g}")


# ---------------------------------------------------------------- what is stored


def measured(patients: Iterable[Patient], desc: str, snapshots: tuple[int, ...] = SNAPSHOTS) -> dict[str, np.ndarray]:
    """Every patient's meters `(patients, meters, snapshots)` and planes `(patients, snapshots, images, 2)`."""
    curves, planes = [], []
    for someone in bar(iterable=list(patients), desc=desc, unit="run"):
        rows = list(train(someone, snapshots))
        curves.append([[row[meter] for row in rows] for meter in METERS])
        planes.append(flattened([row["z"].numpy() for row in rows]))
    return {"curves": shortened(np.array(curves)), "planes": np.array(planes, np.float16)}


def shortened(values: np.ndarray) -> np.ndarray:
    """Four digits of each number: more were never read, and fewer make the file small."""
    with np.errstate(all="ignore"):
        unit = 10.0 ** (np.floor(np.log10(np.abs(values))) - 3)
        rounded = np.round(values / unit) * unit
    return np.where(np.isfinite(rounded), rounded, values).astype(np.float32)


def flattened(embeddings: list[np.ndarray], points: int = 96) -> list[np.ndarray]:
    """The two widest directions at each snapshot, about the mean, without stretching; turned so that they follow each other."""
    path: list[np.ndarray] = []
    for z in embeddings:
        if not np.isfinite(z).all():
            path.append(np.full((points, 2), np.nan))
            continue
        centered = z - z.mean(0)
        plane = centered @ np.linalg.svd(centered, full_matrices=False)[2][:2].T
        if path and np.isfinite(path[-1]).all():
            plane = plane @ turn(plane[:points], path[-1])
        path.append(plane[:points])
    return path


@result("clinic_seeds")
def seeds(numbers: Iterable[int] = range(20), labels: Iterable[str] = LABELS) -> dict[str, np.ndarray]:
    """Meters of 20 runs with each disease, and of 20 healthy ones with each objective; about five minutes."""
    cells = [
        (label, seed, objective)
        for label, seed in itertools.product(labels, numbers)
        for objective in (OBJECTIVES if label == "healthy" else [DISEASES[label][0][seed % len(DISEASES[label][0])]])
    ]
    made = measured((patient(*cell) for cell in cells), "seeds")
    return {
        "curves": made["curves"],
        "label": np.array([LABELS.index(label) for label, _, _ in cells], np.uint8),
        "seed": np.array([seed for _, seed, _ in cells], np.uint8),
        "objective": np.array([list(OBJECTIVES).index(objective) for *_, objective in cells], np.uint8),
    }


def admitted(first: int, twice: Iterable[str], healthy: int, order: int) -> list[tuple[str, int]]:
    """Who lies in a ward: every disease once, some twice, so many healthy ones; shuffled."""
    ward = [(label, first) for label in LABELS[1:]] + [(label, first + 1) for label in twice]
    ward += [("healthy", first + k) for k in range(healthy)]
    return [ward[i] for i in np.random.default_rng(order).permutation(len(ward))]


TWICE = (*(label for label, (among, _) in DISEASES.items() if len(among) == 2), "half precision")
EXERCISE = admitted(100, TWICE, 6, 4)
GRADED = admitted(200, (), 4, 11)


def ward(patients: list[tuple[str, int]], desc: str) -> dict[str, np.ndarray]:
    people = [patient(*someone) for someone in patients]
    names = [each["objective"] for each in OBJECTIVES.values()]
    made = measured(people, desc)
    shown = digits("train").y[: made["planes"].shape[2]].numpy().astype(np.uint8)
    return {**made, "objective": np.array([names.index(p.objective) for p in people], np.uint8), "digits": shown}


@result("clinic")
def exercise(count: int = len(EXERCISE)) -> dict[str, np.ndarray]:
    """The patients of the exercise, with what they have; half a minute."""
    found = ward(EXERCISE[:count], "patients")
    return {**found, "label": np.array([LABELS.index(label) for label, _ in EXERCISE[:count]], np.uint8)}


@result("clinic_graded")
def graded_ward(count: int = len(GRADED)) -> dict[str, np.ndarray]:
    """The patients of the assignment, of other seeds and settings; what they have is stored as a fingerprint only."""
    found = ward(GRADED[:count], "graded patients")
    prints = [fingerprint(number, label) for number, (label, _) in enumerate(GRADED[:count], start=1)]
    return {**found, "answers": np.array(prints)}


# ---------------------------------------------------------------- what is usual


def stored_runs(label: str, objective: str = "") -> np.ndarray:
    """The meters `(runs, meters, snapshots)` of the stored seeds with this disease, with one objective or with all."""
    stored = load("clinic_seeds")
    kinds = [list(OBJECTIVES).index(objective)] if objective else list(range(len(OBJECTIVES)))
    return stored["curves"][(stored["label"] == LABELS.index(label)) & np.isin(stored["objective"], kinds)]


@functools.cache
def healthy() -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest of the healthy runs with each objective, `(objectives, meters, snapshots)`."""
    well = [stored_runs("healthy", objective) for objective in OBJECTIVES]
    return np.stack([each.min(0) for each in well]), np.stack([each.max(0) for each in well])


def middle(label: str, objective: str) -> dict[str, float]:
    """Every meter at the end, the median of the stored runs whose numbers are numbers."""
    last = stored_runs(label, objective)[:, :, -1]
    return {meter: float(np.median(values[np.isfinite(values)])) for meter, values in zip(METERS, last.T, strict=True)}


def beyond(label: str, meter: str, side: str) -> float:
    """The share of runs that end "below" the lowest, or "above" the highest, of the healthy runs with their objective."""
    (low, high), place = healthy(), METERS.index(meter)
    found = []
    for kind, objective in enumerate(OBJECTIVES):
        last = stored_runs(label, objective)[:, place, -1]
        found.append(last < low[kind, place, -1] if side == "below" else last > high[kind, place, -1])
    return float(np.concatenate(found).mean())


# ---------------------------------------------------------------- the assignment


def graded() -> dict[int, dict[str, Any]]:
    """The patients of the assignment, without what they have: objective, and each meter over the snapshots."""
    found = load("clinic_graded")
    names = list(OBJECTIVES)
    return {
        number: {"objective": names[kind], **dict(zip(METERS, curves, strict=True))}
        for number, (kind, curves) in enumerate(zip(found["objective"], found["curves"], strict=True), start=1)
    }


def check(number: int, label: str) -> bool:
    """Whether this is what a patient of the assignment has.

    Answers are kept as fingerprints, so that nobody reads them by accident; who tries all labels finds them.

    Raises:
        ValueError: no such patient, or no such diagnosis.
    """
    answers = load("clinic_graded")["answers"]
    if number not in range(1, len(answers) + 1):
        raise ValueError(f"number must be 1 to {len(answers)}, got {number!r}")
    if label not in LABELS:
        raise ValueError(f"label must be one of {', '.join(LABELS)}; got {label!r}")
    return bool(answers[number - 1] == fingerprint(number, label))


def fingerprint(number: int, label: str) -> str:
    return hashlib.sha256(f"labkit clinic, patient {number}: {label}".encode()).hexdigest()[:16]
