"""What the temperature does, in two modes that answer opposite questions.

*re-train*: another really trained model for each temperature, from a stored grid.
*re-weigh*: the same embeddings, another temperature. Nothing moves but the shares of the push; exact.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from labkit import metrics
from labkit.directions import unit
from labkit.explorers.core import Control, Explorer, Model, State, digest, nearest
from labkit.explorers.given import embeddings, numbered
from labkit.explorers.temperature_scene import ALT, OWN_ALT, own_scene, scene
from labkit.explorers.temperature_words import SENTENCES, UNTOLD
from labkit.explorers.weighing import BOUNDS, METERS, NOTHING, WEIGHED, Grid, Models
from labkit.recipes import pushes
from labkit.recipes.temperature_grid import DATA, TEMPERATURES
from labkit.registry import checked
from labkit.results import load

UNTOLD_LOSSES = {"nt_xent": "NT-Xent", "dcl": "DCL", "dhel": "DHEL"}  # that need no classes
GATHERED, SPREAD = 0.9, 0.2  # of the push on the nearest 5 %: nearly all of it, and little more than an even share
LOSSES = UNTOLD_LOSSES | {"sup_con": "SupCon"}
MODES = {"re-train": "re-train: a model each", "re-weigh": "re-weigh: one model"}
MOST = 256  # rows of somebody's own; more are drawn from


@dataclass(frozen=True)
class Temperature(State):
    """Which models, which mode, the temperature, that of the model's training, and the instance whose push is drawn."""

    data: str = "circle"
    loss: str = "nt_xent"
    mode: str = "re-train"
    temperature: float = 0.5
    trained: float = 0.5
    anchor: int = 0


# ---------------------------------------------------------------- what is known


@functools.cache
def stored() -> Grid:
    """The models that ship with labkit."""
    kept, sets = load("temperature_grid"), {}
    for name in DATA:
        of = {meter: kept[f"{name}_{meter}"] for meter in (*METERS, *WEIGHED, "spectrum")}
        sets[name] = Models(
            name=name,
            labels=kept[f"{name}_labels"].astype(np.int32),
            z=kept[f"{name}_z"],
            meters={meter: of[meter][:, :-1] for meter in METERS},
            untrained={meter: of[meter][:, -1] for meter in METERS},
            weighed={meter: of[meter][:, :-1] for meter in WEIGHED},
            spectrum=of["spectrum"][:, :-1],
            bounds={bound: kept[f"{name}_{bound}"] for bound in BOUNDS},
            whose="The same embeddings",
        )
    return Grid(sets, LOSSES, TEMPERATURES)


@checked(sizes={"n": 2}, raw=False)
def yours(z1: Float[Tensor, "n d"], z2: Float[Tensor, "n d"], labels: Int[Tensor, "n"] | None = None, seed: int = 0) -> Models:
    """Somebody's own embeddings, as the only model of a data set: what nobody can know of them is NaN."""
    rows, whose = torch.arange(len(z1)), "Your embeddings"
    if len(rows) > MOST:
        rows = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))[:MOST].sort().values
        whose += f" ({MOST} of {len(z1)} rows, drawn with seed {seed})"
    z, y = torch.stack([single(z1[rows]), single(z2[rows])]), torch.zeros_like(rows) if labels is None else labels[rows]
    losses = LOSSES if labels is not None else UNTOLD_LOSSES
    first, second = unit(z[0].double()), unit(z[1].double())
    spectrum = metrics.singular_spectrum(first)
    measured = {
        "uniformity": float(metrics.uniformity(first)),
        "alignment": float(metrics.alignment(first, second)),
        "mean_norm": float(metrics.mean_norm(first)),
        "rank": float(metrics.effective_rank(first, center=True)) if spectrum[0] > NOTHING else 0.0,
    }
    weighed = [pushes.weighed(loss, first, second, y, TEMPERATURES) for loss in losses]
    many, spans = len(losses), [span(row["push_near"]) for row in weighed]
    return Models(
        name="yours",
        labels=y.numpy().astype(np.int32),
        z=np.stack([z.numpy()[None]] * many),
        meters={name: np.full((many, 1), measured.get(name, np.nan), np.float32) for name in METERS},
        untrained={name: np.full(many, np.nan, np.float32) for name in METERS},
        weighed={name: np.array([[row[name]] for row in weighed], np.float32) for name in WEIGHED},
        spectrum=np.stack([spectrum.numpy()[None]] * many).astype(np.float32),
        bounds={name: np.array(found, np.float32) for name, found in pushes.bounds(list(losses), y, TEMPERATURES).items()},
        whose=f"{whose}, which are not re-trained",
        span=np.array([ends for ends, _ in spans], np.float32),
        told=[words for _, words in spans],
    )


def single(z: Tensor) -> Tensor:
    """In single precision; rows too long for it are all shortened alike: only their direction counts."""
    longest = float(z.abs().max())
    return (z / longest if longest > 1e30 or longest < 1e-30 else z).float()


def span(shares: Sequence[float]) -> tuple[tuple[float, float], str]:
    """Between which temperatures the share of the nearest falls from GATHERED to SPREAD, and that in words.

    >>> span([0.95, 0.9] + [0.5] * 21 + [0.2, 0.1])[1]
    '90% at 0.024, 20% at 1.7'
    """
    ends, words = [], []
    for level, edge in ((GATHERED, 0), (SPREAD, -1)):
        below = [k for k, share in enumerate(shares) if share <= level]
        if not below or (below[0] == 0 and shares[0] < level):  # it is not reached between the slider's ends
            ends.append(TEMPERATURES[edge])
            words.append(f"{shares[edge]:.0%} at {TEMPERATURES[edge]:g}")
            continue
        k = max(below[0], 1)
        part = (shares[k - 1] - level) / max(shares[k - 1] - shares[k], 1e-12)
        at = np.exp(np.log(TEMPERATURES[k - 1]) + part * np.log(TEMPERATURES[k] / TEMPERATURES[k - 1]))
        ends.append(float(at))
        words.append(f"{level:.0%} at {at:.2g}")
    return (ends[0], ends[1]), f"{words[0]}, {words[1]}"


# ---------------------------------------------------------------- the explorer


def explorer(grid: Grid, start: Temperature, *, own: bool, classes: bool = True) -> Explorer[Temperature]:
    modes = ("re-weigh",) if own else tuple(MODES)
    numbers = range(len(next(iter(grid.sets.values())).labels))
    again = ("mode", ("re-weigh",))
    made = Explorer(
        name="temperature",
        title="Temperature, re-weighed on your embeddings" if own else "Temperature",
        start=start,
        controls=(
            Control("data", "data", tuple(grid.sets), kind="toggle"),
            Control("loss", "loss", tuple(grid.losses), kind="menu", words=tuple(grid.losses.values())),
            Control("mode", "mode", modes, kind="toggle", words=tuple(MODES[mode] for mode in modes)),
            Control("temperature", "temperature", TEMPERATURES),
            Control("trained", "trained at", TEMPERATURES, when=again, follows="temperature"),
            Control("anchor", "anchor", tuple(numbers), words=tuple(f"instance {i}" for i in numbers)),
        ),
        show=grid.show,
        scene=own_scene(classes=classes) if own else scene(),
        sentences=SENTENCES if classes else UNTOLD,
        alt=OWN_ALT if own else ALT,
        model=Model("temperature", grid.plain()),
    )
    return made.hidden("data", "mode", "trained") if own else made


def asked(mode: str | None, trained: float | None, *, own: bool) -> str:
    """The mode that was meant; what could not be done in it is refused, not passed over.

    Raises:
        ValueError: re-training somebody's own embeddings, or one temperature of training for models that each have their own.
    """
    mode = mode or ("re-weigh" if own else "re-train")
    if own and mode == "re-train":
        raise ValueError("mode must be 're-weigh' for your own z1, z2 and labels: labkit cannot train their model again")
    if own and trained is not None:
        raise ValueError("trained is of the models that ship: leave it out with your own z1, z2 and labels")
    if mode == "re-train" and trained is not None:
        raise ValueError("trained needs mode='re-weigh': in re-train mode each temperature has the model trained at it")
    return mode


def temperature(
    z1: Any = None,
    z2: Any = None,
    labels: Any = None,
    *,
    data: str = "circle",
    loss: str = "nt_xent",
    mode: str | None = None,
    temperature: float = 0.5,
    trained: float | None = None,
    seed: int = 0,
    hide: tuple[str, ...] = (),
) -> Explorer[Temperature]:
    """The temperature explorer, on models that ship with labkit, or on your own embeddings.

    Args:
        z1, z2: two views `(n, d)` of your instances, tensors or arrays, of any length; your model is not re-trained, its
            embeddings are only re-weighed. Of more than 256 rows, 256 are drawn. Shaded is where the push goes from the nearest
            to everybody: that says who is pushed, and promises no accuracy.
        labels: `(n,)`, their classes, numbers or words; without them what speaks of classes is left out.
        data: "circle" or "digits", where no embeddings are given.
        loss: "nt_xent", "dcl", "dhel" or "sup_con".
        mode: "re-train" (each temperature has a model of its own) or "re-weigh" (one model, whose push is shared out anew);
            None is "re-train" for the models that ship, and "re-weigh" for yours.
        temperature: where the slider begins, at the nearest there is, 0.02 to 2.
        trained: in re-weigh mode, the temperature that the model was trained with; None is `temperature`.
        seed: of the rows that are drawn.
        hide: names of controls that are not offered.

    Raises:
        ValueError, TypeError: an unknown data set, loss, mode or control; a temperature out of range; `trained` in re-train
            mode; only one of `z1, z2`, labels without them, or shapes that do not go together.
    """
    at = nearest(TEMPERATURES, temperature, "temperature")
    own = z1 is not None and z2 is not None
    mode = asked(mode, trained, own=own)
    before = at if trained is None else nearest(TEMPERATURES, trained, "trained")
    if own:
        classes = labels is not None
        if loss == "sup_con" and not classes:
            raise ValueError("loss='sup_con' needs labels: it pulls all of a class together")
        models = yours(embeddings(z1, "z1"), embeddings(z2, "z2"), numbered(labels) if classes else None, seed=seed)
        grid = Grid({"yours": models}, LOSSES if classes else UNTOLD_LOSSES, TEMPERATURES)
        made = explorer(grid, Temperature("yours", loss, mode, at, at), own=True, classes=classes)
        return replace(made, mine=digest(models.z, models.labels)).hidden(hide)
    if not (z1 is z2 is labels is None):
        raise ValueError("z1, z2 and labels belong together: give both views and, if you have them, labels; or none of them")
    return explorer(stored(), Temperature(data, loss, mode, at, before), own=False).hidden(hide)
