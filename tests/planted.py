"""Faults planted into good embeddings: each takes two views, labels and a generator, and gives what a report is then handed."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

Handed = dict[str, Any]


def draw(n: int, generator: Generator) -> Tensor:
    return torch.randperm(n, generator=generator)


def like(z: Tensor, generator: Generator) -> Tensor:
    return torch.randn(z.shape, generator=generator, dtype=z.dtype)


def healthy(n: int = 400, d: int = 32, classes: int = 5, *, seed: int = 0, noise: float = 0.5) -> Handed:
    """Two views of clustered rows, with their classes."""
    g = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (n,), generator=g)
    z = torch.randn(classes, d, generator=g)[labels] * 1.5 + torch.randn(n, d, generator=g)
    return {
        "z1": z + noise * like(z, g),
        "z2": z + noise * like(z, g),
        "labels": labels,
    }


def shuffled_pairs(z1: Tensor, z2: Tensor, labels: Tensor, g: Generator) -> Handed:
    return {"z1": z1, "z2": z2[draw(len(z2), g)], "labels": labels}


def part_shuffled(z1: Tensor, z2: Tensor, labels: Tensor, g: Generator) -> Handed:
    order, some = torch.arange(len(z2)), draw(len(z2), g)[: len(z2) * 3 // 10]
    order[some] = some[draw(len(some), g)]
    return {"z1": z1, "z2": z2[order], "labels": labels}


def shifted_pairs(z1: Tensor, z2: Tensor, labels: Tensor, g: Generator) -> Handed:
    return {"z1": z1, "z2": z2.roll(3, 0), "labels": labels}


def reversed_pairs(z1: Tensor, z2: Tensor, labels: Tensor, g: Generator) -> Handed:
    return {"z1": z1, "z2": z2.flip(0), "labels": labels}


def pairs_off_from_the_middle(z1: Tensor, z2: Tensor, labels: Tensor, g: Generator) -> Handed:
    half = len(z2) // 2
    return {"z1": z1, "z2": torch.cat([z2[:half], z2[half:].roll(1, 0)]), "labels": labels}


def duplicates(z1: Tensor, z2: Tensor, labels: Tensor, g: Generator, noise: float = 0.0) -> Handed:
    """30 % of the rows are copies of others."""
    order, many = draw(len(z1), g), len(z1) * 3 // 10
    copies, kept = order[:many], order[many:]
    source = kept[torch.randint(len(kept), (many,), generator=g)]
    z1, z2, labels = z1.clone(), z2.clone(), labels.clone()
    size = z1.std()
    z1[copies], z2[copies], labels[copies] = z1[source] + noise * size * like(z1[source], g), z2[source], labels[source]
    return {"z1": z1, "z2": z2, "labels": labels}


def near_duplicates(z1: Tensor, z2: Tensor, labels: Tensor, g: Generator) -> Handed:
    return duplicates(z1, z2, labels, g, noise=0.01)


def one_row_everywhere(z1: Tensor, z2: Tensor, labels: Tensor, g: Generator) -> Handed:
    z1 = z1.clone()
    z1[draw(len(z1), g)[: len(z1) * 3 // 10]] = z1[0].clone()
    return {"z1": z1, "z2": z2, "labels": labels}


def dead_dimensions(
    z1: Tensor, z2: Tensor, labels: Tensor, g: Generator, factor: float = 0.0, many: int | None = None
) -> Handed:
    """A quarter of the columns are zero (or `factor` of what they were)."""
    columns = draw(z1.shape[1], g)[: many or z1.shape[1] // 4]
    z1, z2 = z1.clone(), z2.clone()
    z1[:, columns] *= factor
    z2[:, columns] *= factor
    return {"z1": z1, "z2": z2, "labels": labels}


def faint_dimensions(z1: Tensor, z2: Tensor, labels: Tensor, g: Generator) -> Handed:
    return dead_dimensions(z1, z2, labels, g, factor=1e-4)


def one_dead_dimension(z1: Tensor, z2: Tensor, labels: Tensor, g: Generator) -> Handed:
    return dead_dimensions(z1, z2, labels, g, many=1)


def dead_directions(z1: Tensor, z2: Tensor, labels: Tensor, g: Generator) -> Handed:
    turn = torch.linalg.qr(torch.randn(z1.shape[1], z1.shape[1], generator=g, dtype=z1.dtype))[0]
    found = dead_dimensions(z1, z2, labels, g)
    return {"z1": found["z1"] @ turn, "z2": found["z2"] @ turn, "labels": labels}


def unnormalised(z1: Tensor, z2: Tensor, labels: Tensor, g: Generator) -> Handed:
    lengths = torch.randn(len(z1), 1, generator=g, dtype=z1.dtype).exp()
    return {"z1": z1 * lengths, "z2": z2 * lengths, "labels": labels}


def one_view_unnormalised(z1: Tensor, z2: Tensor, labels: Tensor, g: Generator) -> Handed:
    return {"z1": torch.nn.functional.normalize(z1, dim=1), "z2": 3 * z2, "labels": labels}


def ten_times(z1: Tensor, z2: Tensor, labels: Tensor, g: Generator) -> Handed:
    return {
        "z1": 10 * torch.nn.functional.normalize(z1, dim=1),
        "z2": 10 * torch.nn.functional.normalize(z2, dim=1),
        "labels": labels,
    }


def bf16(z1: Tensor, z2: Tensor, labels: Tensor, g: Generator) -> Handed:
    return {"z1": z1.bfloat16(), "z2": z2.bfloat16(), "labels": labels}


def rounded_to_bf16(z1: Tensor, z2: Tensor, labels: Tensor, g: Generator) -> Handed:
    return {"z1": z1.bfloat16().float(), "z2": z2.bfloat16().float(), "labels": labels}


def rounded_to_fp16(z1: Tensor, z2: Tensor, labels: Tensor, g: Generator) -> Handed:
    return {"z1": z1.half().float(), "z2": z2, "labels": labels}


def eight_bits(z1: Tensor, z2: Tensor, labels: Tensor, g: Generator) -> Handed:
    return {"z1": z1.to(torch.float8_e4m3fn), "z2": z2.to(torch.float8_e5m2), "labels": labels}


def rounded_to_eight_bits(z1: Tensor, z2: Tensor, labels: Tensor, g: Generator) -> Handed:
    return {"z1": z1.to(torch.float8_e4m3fn).float(), "z2": z2.to(torch.float8_e5m2).float(), "labels": labels}


def quantised(z1: Tensor, z2: Tensor, labels: Tensor, g: Generator) -> Handed:
    """To 255 levels: one scale for all of z1, for each column of z2."""
    one, each = z1.abs().max() / 127, z2.abs().amax(0) / 127
    return {"z1": (z1 / one).round() * one, "z2": (z2 / each).round() * each, "labels": labels}


def mixed_dtypes(z1: Tensor, z2: Tensor, labels: Tensor, g: Generator) -> Handed:
    return {"z1": z1.float(), "z2": z2.bfloat16(), "labels": labels}


def dominating_row(z1: Tensor, z2: Tensor, labels: Tensor, g: Generator, factor: float = 1e3) -> Handed:
    z1 = z1.clone()
    z1[len(z1) // 3] *= factor
    return {"z1": z1, "z2": z2, "labels": labels}


def huge_row(z1: Tensor, z2: Tensor, labels: Tensor, g: Generator) -> Handed:
    return dominating_row(z1, z2, labels, g, 1e6)


def dominating_row_of_z2(z1: Tensor, z2: Tensor, labels: Tensor, g: Generator) -> Handed:
    return {"z1": z1, "z2": dominating_row(z2, z1, labels, g)["z1"], "labels": labels}


def dominating_dimension(z1: Tensor, z2: Tensor, labels: Tensor, g: Generator) -> Handed:
    z1 = z1.clone()
    z1[:, z1.shape[1] // 2] *= 1e3
    return {"z1": z1, "z2": z2, "labels": labels}


def two_clusters(z1: Tensor, z2: Tensor, labels: Tensor, g: Generator, share: float = 0.5, antipodal: bool = False) -> Handed:
    """All rows at two points, but for a little noise; the labels know nothing of them."""
    side = (torch.rand(len(z1), 1, generator=g) < share).to(z1.dtype)
    points = torch.randn(2, z1.shape[1], generator=g, dtype=z1.dtype)
    points[1] = -points[0] if antipodal else points[1]
    z = side * points[:1] + (1 - side) * points[1:]
    return {"z1": z + 0.1 * like(z, g), "z2": z + 0.1 * like(z, g), "labels": labels}


def two_uneven_clusters(z1: Tensor, z2: Tensor, labels: Tensor, g: Generator) -> Handed:
    return two_clusters(z1, z2, labels, g, share=0.1)


def two_antipodal_clusters(z1: Tensor, z2: Tensor, labels: Tensor, g: Generator) -> Handed:
    return two_clusters(z1, z2, labels, g, antipodal=True)


def modalities(z1: Tensor, z2: Tensor, g: Generator, size: float = 1.0) -> tuple[Tensor, Tensor]:
    """The same rows as two modalities: each shifted its own way."""
    way = torch.randn(z1.shape[1], generator=g, dtype=z1.dtype)
    way = way / way.norm() * size * z1.norm(dim=1).mean()
    return z1 + way, z2 - way


def swapped_modalities(z1: Tensor, z2: Tensor, labels: Tensor, g: Generator, share: float = 0.5) -> Handed:
    z1, z2 = modalities(z1, z2, g)
    rows = draw(len(z1), g)[: round(share * len(z1))]
    a, b = z1.clone(), z2.clone()
    a[rows], b[rows] = z2[rows], z1[rows]
    return {"z1": a, "z2": b, "labels": labels}


def tenth_swapped(z1: Tensor, z2: Tensor, labels: Tensor, g: Generator) -> Handed:
    return swapped_modalities(z1, z2, labels, g, 0.1)


def most_swapped(z1: Tensor, z2: Tensor, labels: Tensor, g: Generator) -> Handed:
    return swapped_modalities(z1, z2, labels, g, 0.9)


def block_swapped(z1: Tensor, z2: Tensor, labels: Tensor, g: Generator) -> Handed:
    z1, z2 = modalities(z1, z2, g)
    third = len(z1) // 3
    return {"z1": torch.cat([z2[:third], z1[third:]]), "z2": torch.cat([z1[:third], z2[third:]]), "labels": labels}


def misaligned_labels(z1: Tensor, z2: Tensor, labels: Tensor, g: Generator) -> Handed:
    return {"z1": z1, "z2": z2, "labels": labels[draw(len(labels), g)]}


def rolled_labels(z1: Tensor, z2: Tensor, labels: Tensor, g: Generator) -> Handed:
    return {"z1": z1, "z2": z2, "labels": labels.roll(2)}


def labels_off_from_the_middle(z1: Tensor, z2: Tensor, labels: Tensor, g: Generator) -> Handed:
    half = len(labels) // 2
    return {"z1": z1, "z2": z2, "labels": torch.cat([labels[:half], labels[half:].roll(1)])}


def reversed_labels(z1: Tensor, z2: Tensor, labels: Tensor, g: Generator) -> Handed:
    return {"z1": z1, "z2": z2, "labels": labels.flip(0)}


def sorted_labels(z1: Tensor, z2: Tensor, labels: Tensor, g: Generator) -> Handed:
    return {"z1": z1, "z2": z2, "labels": labels.sort().values}


def sorted_and_rolled(z1: Tensor, z2: Tensor, labels: Tensor, g: Generator) -> Handed:
    """Rows and labels sorted together, then the labels moved by a few."""
    order = labels.argsort(stable=True)
    return {"z1": z1[order], "z2": z2[order], "labels": labels[order].roll(5)}


def constant_dimensions(z1: Tensor, z2: Tensor, labels: Tensor, g: Generator) -> Handed:
    z1, z2 = z1.clone(), z2.clone()
    z1[:, 7], z2[:, 7] = 0.5, 0.5
    return {"z1": z1, "z2": z2, "labels": labels}


def bad_rows(z1: Tensor, z2: Tensor, labels: Tensor, g: Generator) -> Handed:
    z1 = z1.clone()
    z1[5, 0], z1[9, 1] = torch.nan, torch.inf
    return {"z1": z1, "z2": z2, "labels": labels}


def zero_rows(z1: Tensor, z2: Tensor, labels: Tensor, g: Generator) -> Handed:
    z1 = z1.clone()
    z1[4:8] = 0
    return {"z1": z1, "z2": z2, "labels": labels}


def one_point(z1: Tensor, z2: Tensor, labels: Tensor, g: Generator) -> Handed:
    point = torch.randn(1, z1.shape[1], generator=g, dtype=z1.dtype)
    return {"z1": point + 1e-3 * z1, "z2": point + 1e-3 * z2, "labels": labels}


def twice_the_same(z1: Tensor, z2: Tensor, labels: Tensor, g: Generator) -> Handed:
    return {"z1": z1, "z2": z1.clone(), "labels": labels}


def the_same_in_another_order(z1: Tensor, z2: Tensor, labels: Tensor, g: Generator) -> Handed:
    return {"z1": z1, "z2": z1[draw(len(z1), g)], "labels": labels}


def one_class(z1: Tensor, z2: Tensor, labels: Tensor, g: Generator) -> Handed:
    return {"z1": z1, "z2": z2, "labels": torch.zeros_like(labels)}


# The code of the finding -> a fault that must be named so. The first ten are those that a report promises to name.
PLANTED: dict[str, Callable[[Tensor, Tensor, Tensor, Generator], Handed]] = {
    "shuffled-pairs": shuffled_pairs,
    "duplicate-rows": duplicates,
    "dead-dimensions": dead_dimensions,
    "unnormalised": unnormalised,
    "low-precision": bf16,
    "dominating-row": dominating_row,
    "two-clusters": two_clusters,
    "swapped-modalities": swapped_modalities,
    "misaligned-labels": misaligned_labels,
    "constant-dimensions": constant_dimensions,
    "shifted-pairs": shifted_pairs,
    "same-array-twice": twice_the_same,
    "bad-rows": bad_rows,
    "zero-rows": zero_rows,
    "complete-collapse": one_point,
    "dominating-dimension": dominating_dimension,
    "mixed-dtypes": mixed_dtypes,
    "single-class": one_class,
}
TEN = tuple(PLANTED)[:10]

# Other ways in which the same faults come.
VARIANTS: dict[Callable[[Tensor, Tensor, Tensor, Generator], Handed], str] = {
    part_shuffled: "shuffled-pairs",
    the_same_in_another_order: "shuffled-pairs",
    reversed_pairs: "shifted-pairs",
    pairs_off_from_the_middle: "shifted-pairs",
    near_duplicates: "duplicate-rows",
    one_row_everywhere: "duplicate-rows",
    faint_dimensions: "dead-dimensions",
    one_dead_dimension: "dead-dimensions",
    dead_directions: "dead-dimensions",
    one_view_unnormalised: "unnormalised",
    ten_times: "unnormalised",
    rounded_to_bf16: "low-precision",
    rounded_to_fp16: "low-precision",
    eight_bits: "low-precision",
    rounded_to_eight_bits: "low-precision",
    quantised: "low-precision",
    huge_row: "dominating-row",
    dominating_row_of_z2: "dominating-row",
    two_uneven_clusters: "two-clusters",
    two_antipodal_clusters: "two-clusters",
    tenth_swapped: "swapped-modalities",
    most_swapped: "swapped-modalities",
    block_swapped: "swapped-modalities",
    rolled_labels: "misaligned-labels",
    labels_off_from_the_middle: "misaligned-labels",
    reversed_labels: "misaligned-labels",
    sorted_labels: "misaligned-labels",
    sorted_and_rolled: "misaligned-labels",
}
# Named, but no alarm, as the layers may be made so.
NOTICED = {dead_directions}
# Named, but no alarm: what one may want to know, and nothing that is broken.
FACTS = {"unnormalised", "low-precision", "dominating-dimension", "mixed-dtypes", "single-class"}
