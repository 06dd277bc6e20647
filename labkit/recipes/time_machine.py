"""Runs as films: what a fixed set of instances looks like through a model, snapshot after snapshot, and what meters say.

A film holds what is shown of a run, not its embeddings: a plane, a spectrum, meters, the loss.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit.directions import unit
from labkit.metrics import alignment, effective_rank, mean_norm, singular_spectrum, uniformity
from labkit.progress import bar
from labkit.recipes.dimensional_collapse import linear
from labkit.recipes.planes import plane
from labkit.results import load, result
from labkit.training import Config, Run, call, fit

ROWS = 256  # ranks and uniformity compare at equal n only, so this many instances of every run
METERS = ("alignment", "uniformity", "mean_norm", "rank")
STEPS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384)
DIGITS = Config(data=call("digits"), augment=call("digits"), optimizer=call("adamw", lr=2e-3), steps=STEPS[-1])
RUNS = {
    "InfoNCE, temperature 0.2": DIGITS.replace(loss=call("nt_xent", temperature=0.2)),
    "InfoNCE, temperature 0.03": DIGITS.replace(loss=call("nt_xent", temperature=0.03)),
    "alignment only": DIGITS.replace(loss=call("align_uniform", weight=0.0)),
    "SupCon, with labels": DIGITS.replace(loss=call("sup_con", temperature=0.2)),
    "SimSiam without batch norm": DIGITS.replace(loss=call("simsiam"), model=call("mlp", predictor=True)),
    "toy, little noise": linear(0.1, steps=STEPS[-1]),
    "toy, noise kills directions": linear(2.0, steps=STEPS[-1]),
}


Shots = Mapping[int, Mapping[str, np.ndarray]]  # step -> what a snapshot holds


@dataclass(frozen=True, eq=False)
class Film:
    """A run, frame by frame.

    steps `(g,)`: when. plane `(g, n, 2)`: where n instances lie, turned so that neighbouring frames match; axes: which
    directions these are. labels `(n,)`.
    spectrum `(g, k)`: standard deviations of the unit rows along their own axes. meters: `(g,)` each of METERS, NaN where
    the run kept no views. loss `(m, 2)`: step and value, with m = 0 where nobody logged it. chance, floor: of the loss, NaN
    where they are not known.
    """

    steps: np.ndarray
    plane: np.ndarray
    axes: str
    labels: np.ndarray
    spectrum: np.ndarray
    meters: Mapping[str, np.ndarray]
    loss: np.ndarray
    chance: float
    floor: float


def film(run: Run, snapshots: Shots | None = None, *, narrow: bool = False) -> Film:
    """What there is to see of a run.

    Args:
        run: a run of an encoder, with snapshots.
        snapshots: more of them than the run has itself.
        narrow: show the widest direction and the narrowest, not the two widest: there it is seen when one dies.

    Raises:
        TypeError: it is no Run.
        ValueError: it has no snapshots of embeddings: made of somebody's numbers, or a policy.
    """
    shots = snapshots or checked(run)
    loss = np.stack([run.history["step"], run.history["loss"]], axis=1)
    return developed(shots, run.labels[:ROWS].cpu().numpy(), loss, run.chance, run.floor, narrow=narrow)


def developed(
    shots: Shots,
    labels: np.ndarray,
    loss: np.ndarray | None = None,
    chance: float | None = None,
    floor: float | None = None,
    *,
    narrow: bool = False,
) -> Film:
    """A film of snapshots: of each the rows "z" `(n, d)`, and where they are known two "views" `(2, m, d)`.

    labels: a class for each of the first ROWS rows. loss: `(m, 2)`, step and value, where it is known.
    """
    rows = {step: torch.from_numpy(np.asarray(shots[step]["z"][:ROWS])).double() for step in sorted(shots)}
    measured = [meters(z, shots[step].get("views")) for step, z in rows.items()]
    wide = next(iter(rows.values())).shape[1]
    return Film(
        steps=np.array(list(rows)),
        plane=plane(torch.stack([unit(z) for z in rows.values()]).numpy(), labels, axes=(0, -1) if narrow else (0, 1)),
        axes="the plane itself" if wide == 2 else "widest, narrowest axis" if narrow else "two widest axes",
        labels=labels,
        spectrum=np.stack([(singular_spectrum(unit(z)) / len(z) ** 0.5).numpy() for z in rows.values()]),
        meters={name: np.array([row[name] for row in measured]) for name in METERS},
        loss=np.empty((0, 2)) if loss is None else np.asarray(loss, float),
        chance=float("nan") if chance is None else float(chance),
        floor=float("nan") if floor is None else float(floor),
    )


def checked(run: Any, name: str = "run") -> Shots:
    """The run's snapshots of embeddings."""
    if not isinstance(run, Run):
        raise TypeError(
            f"{name} must be a labkit Run, such as fit(Config()) gives, or a film of somebody's checkpoints, such as "
            f"film of labkit.report.comparing gives, got {type(run).__name__}"
        )
    if run.folder is None:
        raise ValueError(f"{name} has no snapshots: it was made of somebody's numbers; train with labkit.fit to have some")
    shots = run.snapshots
    if not shots or not all("z" in shot for shot in shots.values()):
        raise ValueError(
            f"{name} has no snapshots of embeddings in {run.folder}: the time machine shows encoders, not policies"
        )
    return shots


def meters(z: Tensor, views: Any = None) -> dict[str, float]:
    """METERS of unit rows; the rank with the mean taken away. Without two views nobody knows the alignment."""
    pair = None if views is None else torch.from_numpy(np.asarray(views)).double()
    return {
        "alignment": float("nan") if pair is None else float(alignment(pair[0], pair[1])),
        "uniformity": float(uniformity(z)),
        "mean_norm": float(mean_norm(z)),
        "rank": float(effective_rank(unit(z), center=True)),
    }


# ---------------------------------------------------------------- runs that ship


def shots(config: Config, steps: Sequence[int]) -> tuple[Run, dict[int, dict[str, np.ndarray]]]:
    """The run, and snapshots at these steps: a shorter run is the beginning of a longer one, number by number."""
    run = fit(config.replace(steps=max(steps)), progress=False)
    known = run.snapshots
    return run, {s: known[s] if s in known else fit(config.replace(steps=s), progress=False).snapshots[s] for s in steps}


@result("time_machine")
def time_machine(names: Sequence[str] = tuple(RUNS), steps: Sequence[int] = STEPS) -> dict[str, np.ndarray]:
    """Seven runs, good and bad, in 18 frames each. About three minutes on two cores."""
    stored: dict[str, np.ndarray] = {"names": np.array(names)}
    for place, name in enumerate(bar(iterable=names, desc="films", unit="run")):
        made = dataclasses.asdict(film(*shots(RUNS[name], steps), narrow=name.startswith("toy")))
        made |= {f"meter_{meter}": values for meter, values in made.pop("meters").items()}
        stored |= {f"{field}_{place}": small(value) for field, value in made.items()}
    return stored


def small(value: Any) -> np.ndarray:
    """Half precision is enough for places, single for numbers; whole numbers stay whole."""
    array = np.asarray(value)
    kinds = {"i": np.int16, "f": np.float16 if array.ndim == 3 else np.float32}
    return array.astype(kinds.get(array.dtype.kind, array.dtype))


def films(name: str = "time_machine") -> dict[str, Film]:
    """The runs that ship, by name."""
    kept = load(name)
    fields = [field.name for field in dataclasses.fields(Film) if field.name != "meters"]
    made = {}
    for place, title in enumerate(kept["names"]):
        values = {field: kept[f"{field}_{place}"] for field in fields}
        values |= {"chance": float(values["chance"]), "floor": float(values["floor"]), "axes": str(values["axes"])}
        found = {meter: kept[f"meter_{meter}_{place}"].astype(float) for meter in METERS}
        made[str(title)] = Film(**values, meters=found)
    return made
