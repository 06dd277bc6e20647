"""Who is who: five embeddings of the same images, to be told apart by two meters and a neighbour."""

from functools import partial
from typing import Any

import torch

from labkit import results
from labkit.directions import unit
from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise

NAMES = {  # as the reader is told them, and as they are stored; nobody trained the table
    "untrained": "untrained network",
    "alignment only": "alignment only",
    "uniformity only": "uniformity only",
    "both": "both",
    "lookup table": "",
}


def embeddings(variant: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Two views of the same test images under letters, and the letter of each name."""
    draw, stored = Draw(variant, "places/a3", variant), results.load("course_places")
    labels, kinds = torch.from_numpy(stored["labels"].astype("int64")), stored["kinds"].tolist()
    seed = draw.integer(0, len(stored["seeds"]) - 1)
    letters = [chr(ord("A") + k) for k in draw.permutation(len(NAMES))]
    table = draw.rows(len(labels), stored["z"].shape[-1], torch.float64)
    found = {}
    for letter, kind in zip(letters, NAMES.values(), strict=True):
        z = torch.tensor(stored["z"][kinds.index(kind), seed], dtype=torch.float64) if kind else torch.stack([table, table])
        found[letter] = {"z1": unit(z[0]), "z2": unit(z[1]), "labels": labels}
    return dict(sorted(found.items())), dict(sorted(zip(letters, NAMES, strict=True)))


PARTS = {"lookup table": ("lookup table",), "collapsed": ("untrained", "alignment only"), "spread": ("uniformity only", "both")}


def cases(draw: Draw) -> list[Case]:
    right = embeddings(draw.variant)[1]

    def case(part: str) -> Case:
        mine = {letter: name for letter, name in right.items() if name in PARTS[part]}

        def accepts(answer: Any) -> bool | str:
            if not isinstance(answer, dict):
                return "this should be a dict from letters to names"
            said = {str(letter).strip().upper(): str(name).strip().lower() for letter, name in answer.items()}
            if len(set(said.values())) < len(said):
                return "the same name stands at two letters"
            return all(said.get(letter) == name for letter, name in mine.items()) or "not these letters"

        return Case(part, {}, accepts=accepts, only_graded=True)

    return [case(part) for part in PARTS]


def swapped(variant: str, one: str, other: str) -> dict[str, str]:
    """The right answer with two names in each other's place."""
    turn = {one: other, other: one}
    return {letter: turn.get(name, name) for letter, name in embeddings(variant)[1].items()}


MISTAKES = (
    Mistake(
        "best-meters-best-network",
        "you took the embedding that is best on both meters for the trained network",
        (
            "Which of the five is perfectly aligned and perfectly even? Could a network be?",
            "Look at the nearest neighbours of that embedding: how often are they of the same digit?",
            "Neither meter sees a class. Look at one that does.",
        ),
        (partial(swapped, one="lookup table", other="both"),),
        ("lookup table", "spread"),
        15,
    ),
    Mistake(
        "aligned-means-trained",
        "you took the untrained network and the one trained for alignment alone for each other",
        (
            "Which of the two has the smaller alignment, and by how much?",
            "An untrained network puts everything into a narrow cone. What does training for alignment alone do to the cone?",
            "One of the two is a single point to many digits.",
        ),
        (partial(swapped, one="untrained", other="alignment only"),),
        ("collapsed",),
    ),
    Mistake(
        "even-means-both",
        "you took the network that knows no views for the one with both wishes",
        (
            "Which wish does the most even network neglect?",
            "Compare the alignment of the two with that of two random directions, which is 2.",
            "Whoever was never asked for alignment has little of it.",
        ),
        (partial(swapped, one="uniformity only", other="both"),),
        ("spread",),
        15,
    ),
)


@exercise("a3.places", parts={"lookup table": 1, "collapsed": 1, "spread": 1}, cases=cases, mistakes=MISTAKES)
def places(variant: str) -> dict[str, str]:
    """Which letter is which embedding."""
    return embeddings(variant)[1]
