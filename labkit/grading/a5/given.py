"""What each variant of the assignment gives to its reader: a batch with classes, a temperature, and three faulty boxes."""

from typing import Any

from labkit.directions import unit
from labkit.grading.a5 import boxes
from labkit.grading.a5.debiased import floored
from labkit.grading.draw import Draw, givens

SIZES = ((2, 4, 6, 8, 12), (3, 3, 6, 8, 12), (2, 3, 5, 8, 14), (1, 5, 6, 8, 12))


@givens("a5")
def given(draw: Draw) -> dict[str, Any]:
    labels = draw.labels(draw.pick(SIZES))
    instances = unit(draw.rows(5, 16))[labels] + 0.13 * draw.rows(len(labels), 16)
    z1, z2 = (unit(instances + 0.08 * draw.rows(len(labels), 16)) for _ in range(2))
    temperature = draw.pick((0.15, 0.2, 0.25))
    shares = [share for share in (0.05, 0.06, 0.08, 0.1, 0.15, 0.2) if floored(z1, z2, temperature, share) > 1]
    return {
        "z1": z1,
        "z2": z2,
        "labels": labels,
        "temperature": temperature,
        "tau_plus": draw.pick(shares[:3]),
        "boxes": boxes.boxed(draw.variant),
        "names": dict(boxes.NAMES),
    }
