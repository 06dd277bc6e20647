"""Can a machine tell the diseases apart by the meters that the clinic shows? Only then is it fair to ask a student."""

from typing import Any

import numpy as np

from labkit.recipes.clinic import LABELS, OBJECTIVES
from labkit.recipes.clinic_runs import METERS
from labkit.results import load

LOGS = ("spread", "length", "weights", "gradient")  # meters that are read in powers of ten
READ = (1, 4, 8, 11)  # the snapshots that the machine reads


def features(curves: np.ndarray, objective: np.ndarray) -> np.ndarray:
    """What the machine is shown of each run: the objective, and every meter at four snapshots; what is no number is -9 or 9."""
    logs = np.array([meter in LOGS for meter in METERS])[:, None]
    with np.errstate(all="ignore"):
        values = np.where(logs, np.log10(curves), curves)[:, :, list(READ)]
    numbers = np.nan_to_num(values, nan=-9, posinf=9, neginf=-9).reshape(len(curves), -1)
    return np.hstack([numbers, np.eye(len(OBJECTIVES))[objective]])


def machine(rows: np.ndarray) -> Any:
    """A random forest that has seen these of the stored runs; `.predict(features(...))` gives places in LABELS."""
    from sklearn.ensemble import RandomForestClassifier

    stored = load("clinic_seeds")
    shown = features(stored["curves"][rows], stored["objective"][rows])
    return RandomForestClassifier(200, class_weight="balanced", random_state=0).fit(shown, stored["label"][rows])


def confusion() -> np.ndarray:
    """How often a run with disease i is called j, `(13, 13)` in shares.

    Taught with half of the seeds, asked about the other half; both ways.
    """
    stored, table = load("clinic_seeds"), np.zeros((len(LABELS), len(LABELS)))
    for taught in (stored["seed"] < 10, stored["seed"] >= 10):
        asked = ~taught
        said = machine(taught).predict(features(stored["curves"][asked], stored["objective"][asked]))
        np.add.at(table, (stored["label"][asked], said), 1)
    return table / table.sum(1, keepdims=True)
