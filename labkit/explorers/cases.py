"""Pairs that a policy was trained on, taken apart: what the displacement doctor looks at, stored or of the reader's own run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from labkit import results
from labkit.recipes.displacement import PARTS, RECEIVERS
from labkit.recipes.real_language_model import readable
from labkit.training.answers import places

HALVES = ("up to the fork", "after the fork")
MOST = 24  # pairs of the reader's own that are offered


@dataclass(frozen=True)
class Case:
    """One pair through a run; arrays begin with the frames, which begin with the start.

    chosen, rejected: what each token gained since the start. margin: of whole answers. parts: what the chosen answer's change
    is the sum of, named by `names`. gainers: who gained at each place of the chosen answer; gained: by how much, after the
    chosen word's own change; NaN where nobody looked.
    """

    policy: str
    asked: str
    steps: np.ndarray
    margin: np.ndarray
    chosen_words: list[str]
    rejected_words: list[str]
    chosen: np.ndarray
    rejected: np.ndarray
    parts: np.ndarray
    names: Sequence[str]
    gainers: np.ndarray
    gained: np.ndarray


def stored() -> list[Case]:
    """The small language's pairs and SmolLM2's, four for each policy."""
    found = []
    for name in ("displacement_doctor", "displacement_doctor_words"):
        table = results.load(name)
        for row in range(len(table["policy"])):
            found.append(one({column: values[row] for column, values in table.items()}))
    return found


def one(row: dict[str, np.ndarray]) -> Case:
    """A stored pair without its padding."""
    words = {side: [str(w) for w in row[f"{side}_words"] if w] for side in ("chosen", "rejected")}
    t, u = len(words["chosen"]), len(words["rejected"])
    return Case(
        str(row["policy"]),
        str(row["asked"]),
        row["steps"],
        row["margin"],
        words["chosen"],
        words["rejected"],
        row["chosen"][:, :t],
        row["rejected"][:, :u],
        row["parts"],
        PARTS,
        row["gainers"][:, :t],
        row["gained"][:, :t],
    )


def examined(found: Any) -> list[Case]:
    """The pairs that `examine` compared, those first whose chosen answer fell most.

    Raises:
        ValueError: it holds no log-probabilities of tokens; the message says how to get them.
    """
    looked = getattr(found, "looked", None)
    if looked is None:
        raise ValueError(
            "examined holds no log-probabilities of tokens: hand over what labkit.diagnose.checkpoints.examine(before, after, "
            f"pairs) returns, got {type(found).__name__}"
        )
    change = (looked.after["chosen"].double() - looked.before["chosen"].double()).sum(-1)
    return [own(looked, i) for i in change.argsort()[:MOST].tolist()]


def own(looked: Any, i: int) -> Case:
    """Before and after, of one pair. No update was seen, so the change is split by place and not by push."""
    row, data = int(looked.rows[i]), looked.data
    where = {name: int(x[i]) for name, x in places(data, looked.rows).items()}
    sides = {}
    for side in ("chosen", "rejected"):
        mask = getattr(data, f"{side}_mask")[row].bool()
        change = (looked.after[side][i].double() - looked.before[side][i].double())[mask].numpy()
        spoken = getattr(data, side)[row, mask].tolist()
        sides[side] = readable([data.vocabulary[t] for t in spoken]), np.stack([0 * change, change])
    begin = int(data.chosen_mask[row].int().argmax())
    early = np.arange(sides["chosen"][1].shape[1]) <= where["fork"] - begin
    chosen = sides["chosen"][1]
    gainers, gained = gained_there(looked, i, row, {place - begin: name for name, place in where.items()}, chosen.shape[1])
    return Case(
        "before and after",
        looked.names[row],
        np.array([0, 1]),
        chosen.sum(1) - sides["rejected"][1].sum(1),
        sides["chosen"][0],
        sides["rejected"][0],
        chosen,
        sides["rejected"][1],
        np.stack([chosen[:, early].sum(1), chosen[:, ~early].sum(1)], axis=1),
        HALVES,
        gainers,
        gained,
    )


def gained_there(looked: Any, i: int, row: int, where: dict[int, str], length: int) -> tuple[np.ndarray, np.ndarray]:
    """Who gained where the answer opens and where the two part; the other places were not looked at."""
    names = np.full((2, length, RECEIVERS), "", dtype=object)
    gains = np.full((2, length, 1 + RECEIVERS), np.nan)
    answer = looked.data.chosen[row][looked.data.chosen_mask[row].bool()]
    for place, name in where.items():
        before, after = (shot[name][i].double().exp() for shot in (looked.before, looked.after))
        change, word = after - before, int(answer[place])
        top = change.index_fill(0, torch.tensor([word]), -torch.inf).topk(RECEIVERS)
        gains[0, place] = 0.0
        gains[1, place] = np.array([change[word].item(), *top.values.tolist()])
        names[:, place] = readable([looked.data.vocabulary[t] for t in top.indices.tolist()])
    return names, gains
