"""One model's numbers with their null rows, the difference of two, and what two have in common."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from labkit.metrics import Estimate
from labkit.report.comparing.likeness import likeness
from labkit.report.comparing.models import Drawn
from labkit.report.comparing.profile import K, Marks, Readings, Seen, alone, of_classes, paired
from labkit.report.comparing.result import Difference
from labkit.report.drawing import around, halves
from labkit.report.meters import MEASURED, of
from labkit.report.pieces import Missing, Null, Number

FLOORS = 8  # halves of a null row: its interval is only looked at, never subtracted
HEAD = 1024  # rows of which CKA is taken between every two layers
SHARES = ("variance", "mean_norm", "top_share", "knn_accuracy", "retrieval", "neighbour_overlap")  # within 0 and 1
RANKS = ("effective_rank", "top_share")
CLASSED = ("tolerance", "knn_accuracy")
Key = tuple[str, str]  # ("z1", "uniformity")


@dataclass(eq=False)
class Profile:
    """What is known of one model.

    readings: every meter on the sample and on its halves. numbers: the same with intervals and null rows.
    seen: its rows with all their pairs, as long as they are needed; head: the first of its unit rows, which are kept.
    """

    drawn: Drawn
    marks: Marks
    readings: dict[Key, np.ndarray]
    numbers: dict[Key, Number]
    seen: dict[str, Seen]
    head: Tensor
    missing: list[Missing] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.drawn.model.name

    def forget(self) -> None:
        """Half a gigabyte less."""
        self.seen = {}


def profile(drawn: Drawn, seed: int, floors: dict[tuple[int, int], Readings], *, progress: bool = True) -> Profile:
    """Every meter that this model's rows allow. `floors` remembers null rows by n and d."""
    for section in MEASURED:
        of(section)  # what is said of its meters
    n, labels = len(drawn), drawn.labels
    marks = Marks.of(n, halves(n, drawn.groups, seed=seed))
    seen = {key: Seen.of(z, drawn.groups) for key, z in drawn.views.items()}
    readings: dict[Key, np.ndarray] = {}
    nulls: dict[Key, Null] = {}
    for key, each in seen.items():
        mine = alone(each, marks, labels, progress)
        readings |= {(key, meter): values for meter, values in mine.items()}
        nulls |= {(key, meter): null for meter, null in own_nulls(each, marks, labels, seed, floors).items()}
    if len(seen) > 1:
        mine = paired(seen["z1"].u, seen["z2"].u, marks)
        readings |= {of_pair(name): values for name, values in mine.items()}
        nulls |= {of_pair(name): null for name, null in pair_nulls(seen["z1"].u, seen["z2"].u, marks, seed).items()}
    collapsed = [(of, meter) for of, meter in readings if meter in RANKS and not readings[of, "effective_rank"].all()]
    readings = {key: values for key, values in readings.items() if key not in collapsed}
    lacking = [Missing(meter, f"rows of {drawn.model.name} that are not all alike") for _, meter in collapsed]
    numbers = {key: Number(key[1], key[0], measured(key[1], found), n, (nulls[key],)) for key, found in readings.items()}
    return Profile(drawn, marks, readings, numbers, seen, seen["z1"].u[:HEAD].clone(), lacking)


def of_pair(name: str) -> Key:
    of, _, meter = name.rpartition(".")
    return of or "z1, z2", meter


def measured(meter: str, found: np.ndarray) -> Estimate:
    """A meter's value with its interval; of a share it stays within 0 and 1."""
    value, low, high = estimated(found)
    return Estimate(value, max(low, 0.0), min(high, 1.0)) if meter in SHARES else Estimate(value, low, high)


def estimated(found: np.ndarray) -> Estimate:
    """A value, or a difference, with its interval."""
    return around(float(found[0]), found[1:].tolist())


# ---------------------------------------------------------------- null rows


def own_nulls(
    seen: Seen, marks: Marks, labels: Tensor | None, seed: int, floors: dict[tuple[int, int], Readings]
) -> dict[str, Null]:
    """Random directions at the same n and d; and the same rows with the labels permuted."""
    n, d = seen.u.shape
    if (n, d) not in floors:
        few = Marks(marks.on[:, : 1 + FLOORS])
        random = torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        floors[n, d] = alone(Seen.of(random), few, progress=False)
    says = f"random directions, n = {n:,}, d = {d:,}"
    found = {meter: Null("isotropic", says, estimated(values)) for meter, values in floors[n, d].items()}
    if labels is not None:
        order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
        permuted = of_classes(seen, Marks(marks.on[:, : 1 + FLOORS]), labels[order])
        found |= {meter: Null("permuted labels", "labels in random order", estimated(v)) for meter, v in permuted.items()}
    return found


def pair_nulls(u1: Tensor, u2: Tensor, marks: Marks, seed: int) -> dict[str, Null]:
    """Partners in random order; of the gap, z1 and z2 exchanged row by row where a coin says so."""
    draw = torch.Generator().manual_seed(seed)
    few = Marks(marks.on[:, : 1 + FLOORS])
    wrong = paired(u1, u2[torch.randperm(len(u2), generator=draw)], few)
    found = {meter: Null("shuffled pairs", "partners in random order", estimated(values)) for meter, values in wrong.items()}
    if found:
        coin = torch.rand(len(u1), 1, generator=draw) < 0.5
        mixed = paired(torch.where(coin, u1, u2), torch.where(coin, u2, u1), few)["modality_gap"]
        found["modality_gap"] = Null("exchanged", "z1 and z2 exchanged in a random half of the rows", estimated(mixed))
    return found


# ---------------------------------------------------------------- two of them


def step(a: Profile, b: Profile) -> list[Difference]:
    """Every meter that both have, half by half."""
    found = []
    for key in [key for key in a.readings if key in b.readings]:
        many = min(len(a.readings[key]), len(b.readings[key]))
        change = b.readings[key][:many] - a.readings[key][:many]
        found.append(Difference(key[1], key[0], (a.name, b.name), a.numbers[key], b.numbers[key], estimated(change)))
    return found


def common(a: Profile, b: Profile, seed: int) -> list[Number]:
    """CKA and shared neighbours of each view that both have."""
    found = []
    for key in [key for key in a.seen if key in b.seen]:
        both = likeness(a.seen[key], b.seen[key], a.marks, seed=seed)
        of = f"{a.name}, {b.name}" if key == "z1" else f"{a.name}.{key}, {b.name}.{key}"
        says = f"rows of {b.name} in random order, n = {len(a.marks):,}"
        for meter, values in both.found.items():
            null = Null("shuffled rows", says, estimated(both.shuffled[meter]))
            found.append(Number(meter, of, measured(meter, values), len(a.marks), (null,)))
    return found


def missing(profiles: list[Profile], apart: bool) -> list[Missing]:
    """Meters that could not be read, and what they need."""
    found = [each for one in profiles for each in one.missing]
    there = {meter for one in profiles for _, meter in one.readings}
    if "alignment" not in there:
        pairs = [one for one in profiles if len(one.drawn.views) > 1]
        needs = "z1 and z2 of one width" if pairs else "of each model a pair (z1, z2)"
        found += [Missing(meter, needs) for meter in ("alignment", "modality_gap", "retrieval")]
    least = min(one.marks.least for one in profiles)
    if least <= 2 * K:
        found += [Missing(meter, f"at least {4 * K + 2} rows") for meter in ("hubness", "neighbour_overlap")]
    for meter in CLASSED:
        if meter not in there:
            given = [one for one in profiles if one.drawn.labels is not None]
            found.append(Missing(meter, "two classes or more, and more rows of each" if given else "labels"))
    if apart:
        found += [Missing(meter, "the same rows in both") for meter in ("linear_cka", "neighbour_overlap")]
    return found
