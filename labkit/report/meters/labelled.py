"""A sample with labels, made ready: classes that can be told, who may vote for whom, and labels that mean nothing."""

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from labkit.report.drawing import halves
from labkit.report.meters.neighbourhood import Neighbourhood, kin, neighbourhood
from labkit.report.pieces import Sample

K = 20  # neighbours that vote, as in Wu et al. 2018; fewer where classes are smaller


@dataclass(frozen=True)
class Labelled:
    """Rows of classes that have members in at least two groups; without groups every row is one.

    rows: which rows of the sample. y: (n,) classes 0 ... C-1. permuted: (n,) the same classes given to the wrong rows.
    groups: (n,) 0 ... G-1. clouds: "z1", "isotropic", and "untrained" where it was given, each of these rows.
    drawn: halves of the rows, whole groups at a time. spread: (C,) in how many groups
    a class has rows. left_out: classes with rows in a single one.
    """

    rows: Int[Tensor, "n"]
    y: Int[Tensor, "n"]
    permuted: Int[Tensor, "n"]
    names: tuple[str, ...]
    groups: Int[Tensor, "n"]
    clouds: dict[str, Neighbourhood]
    drawn: list[Tensor]
    spread: Int[Tensor, "c"]
    left_out: int
    seed: int

    @property
    def sizes(self) -> Tensor:
        return torch.bincount(self.y, minlength=len(self.names))

    @property
    def units(self) -> str:
        """What is drawn, and what does not vote for itself."""
        return "rows" if self.clouds["z1"].groups is None else "groups"

    @property
    def k(self) -> int:
        """How many neighbours vote: 20, or one fewer than the middle class has rows."""
        return max(1, min(K, int(self.sizes.median()) - 1, min(len(rows) for rows in self.drawn) - 1))


def labelled(sample: Sample) -> Labelled | str:
    """The sample made ready, or what it would need."""
    if sample.labels is None:
        return "labels"
    together = kin(sample)
    several, groups = together is not None, torch.arange(len(sample)) if together is None else together
    values, y = sample.labels.unique(return_inverse=True)
    names = [sample.class_names[v] if 0 <= v < len(sample.class_names) else str(v) for v in values.tolist()]
    if len(values) < 2:
        return f"two classes: all {len(y):,} labels are {names[0]}"
    spread = torch.bincount(torch.stack([y, groups], 1).unique(dim=0)[:, 0], minlength=len(values))  # groups of each class
    rows = (spread[y] > 1).nonzero().squeeze(1)
    kept, y = y[rows].unique(return_inverse=True)
    what = "two groups" if several else "two rows"
    if len(kept) < 2:
        return f"two classes of at least {what}, got {len(kept)} of {len(values)}"
    groups = groups[rows].unique(return_inverse=True)[1]
    if int(groups.max()) < 7:
        return f"at least 8 {'groups' if several else 'rows'} of such classes, got {int(groups.max()) + 1}"
    clouds = {of: chosen(neighbourhood(sample, name), rows, groups if several else None) for of, name in asked(sample).items()}
    if clouds["z1"].collapsed:
        return "rows that differ: those of z1 all point the same way"
    drawn = halves(len(rows), groups if several else None, seed=sample.seed)
    wrong = shuffled(y, groups, sample.seed)
    left = len(values) - len(kept)
    return Labelled(
        rows, y, wrong, tuple(names[c] for c in kept.tolist()), groups, clouds, drawn, spread[kept], left, sample.seed
    )


def asked(sample: Sample) -> dict[str, str]:
    """The clouds that classes are looked for in."""
    found = {"z1": "z1", "isotropic": f"isotropic {sample.z1.shape[1]}"}
    return found | ({"untrained": "untrained"} if sample.untrained is not None else {})


def chosen(whole: Neighbourhood, rows: Tensor, groups: Tensor | None) -> Neighbourhood:
    """The cloud itself where all of its rows are asked for, so that its neighbours are found once."""
    return whole if groups is None and len(rows) == len(whole.points) else Neighbourhood(whole.points[rows], groups=groups)


def shuffled(y: Tensor, groups: Tensor, seed: int) -> Tensor:
    """The same labels on the wrong rows; where a group has one label, on the wrong groups, which keep together."""
    lots = torch.Generator().manual_seed(seed)
    many = int(groups.max()) + 1
    of_group = y.new_empty(many).scatter(0, groups, y)
    if bool((of_group[groups] == y).all()):
        return of_group[torch.randperm(many, generator=lots)][groups]
    return y[torch.randperm(len(y), generator=lots)]
