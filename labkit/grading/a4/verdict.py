"""Complete collapse, dimensional collapse, or neither: scale first, rank second, beside a run that is well."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise

PARTS = {"complete": 2.0, "dimensional": 1.0, "neither": 1.0, "other n": 2.0}


def trained(fate: str, which: int) -> Tensor:
    """The outputs of a run whose fate is known."""
    from labkit.results import load

    return torch.tensor(load("course_embeddings")[fate][which], dtype=torch.float64)


def seen(draw: Draw, z: Tensor, rows: int, scale: float = 1.0, longer: int = 0) -> Tensor:
    """Some of the points, turned, and with other lengths: nothing of which a verdict on directions may notice."""
    turned = z[draw.permutation(len(z))[:rows]] @ torch.linalg.qr(draw.rows(z.shape[1], z.shape[1], torch.float64)).Q
    lengths = torch.full((rows, 1), scale, dtype=torch.float64)
    lengths[:longer] *= 1000
    return (lengths * turned)[draw.permutation(rows)]


def cone(draw: Draw, n: int, d: int, width: float, live: int = 0, fading: float = 1.0) -> Tensor:
    """Directions about a common one, spread over `live` dimensions, or over all; each `fading` times as far as the last."""
    reach = fading ** torch.arange(d, dtype=torch.float64)
    noise = draw.rows(n, d, torch.float64) * reach / reach.square().mean().sqrt()
    noise[:, (live or d) :] = 0
    axis = F.normalize(draw.rows(1, d, torch.float64), dim=1)
    return axis + width * noise / (live or d) ** 0.5


def thin(draw: Draw, few: int, more: int) -> Tensor:
    """Rows that use an eighth of 96 dimensions, and after them more that use all."""
    first = draw.rows(few, 96, torch.float64)
    first[:, 12:] = 0
    return torch.cat([8**0.5 * first, draw.rows(more, 96, torch.float64)])


def cases(draw: Draw) -> list[Case]:
    """Held-back runs on digits and on a toy, and clouds with a mean, with few points, with lengths of their own."""
    first, second, third = draw.permutation(3)
    rows = draw.integer(100, 120)

    def case(part: str, z: Tensor, healthy: Tensor, says: str) -> Case:
        return Case(part, {"z": z, "healthy": healthy}, says=says)

    well = [seen(draw, trained("digits, well", k), rows) for k in (first, second)]
    toy = [seen(draw, trained("toy, well", k), rows) for k in (first, second)]
    lost = [seen(draw, trained("digits, complete", k), rows, scale) for k, scale in ((first, 50.0), (third, 1.0))]
    flat = seen(draw, trained("toy, dimensional", first), rows, 0.01)
    wide = torch.float64
    return [
        case("complete", lost[0], well[0], "digits, a run that is held back, long outputs"),
        case("complete", lost[1], well[1], "digits, another"),
        case("complete", cone(draw, 90, 16, 0.06, live=3), cone(draw, 90, 16, 3.0), "a narrow cone in few dimensions"),
        case("complete", cone(draw, 90, 16, 0.2), cone(draw, 90, 16, 3.0), "a cone that is less narrow"),
        case("dimensional", flat, toy[0], "the toy, a run that is held back, short outputs"),
        case("dimensional", cone(draw, 90, 16, 2.0, live=5), cone(draw, 90, 16, 0.22), "the healthy run lies in a cone"),
        case("neither", seen(draw, well[1], 90, 1e-3), well[0], "digits, short outputs"),
        case("neither", seen(draw, toy[1], 90, longer=3), toy[0], "the toy, three outputs much longer than the others"),
        case("neither", cone(draw, 90, 16, 0.07), cone(draw, 90, 16, 0.1), "two narrow cones"),
        case("neither", cone(draw, 90, 16, 0.5), cone(draw, 90, 16, 3.0), "a fifth of the healthy spread"),
        case("neither", cone(draw, 90, 16, 3.0, live=11), cone(draw, 90, 16, 3.0), "two thirds of the healthy rank"),
        case(
            "neither", cone(draw, 90, 16, 3.0, fading=0.75), cone(draw, 90, 16, 3.0), "directions that fade one after the other"
        ),
        case("other n", thin(draw, 40, 0), thin(draw, 40, 360), "the first rows of the healthy run use few directions"),
        case("other n", thin(draw, 40, 360), draw.rows(40, 96, wide), "the first rows use few directions"),
        case("other n", draw.rows(40, 96, wide), draw.rows(400, 96, wide), "40 points beside 400"),
        case("other n", draw.rows(50, 96, wide), draw.rows(draw.integer(300, 500), 96, wide), "50 points beside many more"),
    ]


def flawed(
    z: Tensor,
    healthy: Tensor,
    *,
    scale: str = "directions",
    order: str = "scale first",
    reference: bool = True,
    equal: bool = True,
    centre: bool = True,
    unit: bool = True,
    squared: bool = False,
    picked: str = "first",
    width: bool = False,
) -> str:
    """The verdict with its usual mistakes as switches."""
    rows = min(len(z), len(healthy)) if equal else max(len(z), len(healthy))

    def spread(x: Tensor) -> float:
        if scale == "directions":
            return 1 - F.normalize(x, dim=1).mean(0).square().sum().item()
        return x.var(0, correction=0).sum().item() if scale == "lengths" else F.normalize(x, dim=1).std(1).mean().item()

    def rank(x: Tensor) -> float:
        x = F.normalize(x, dim=1) if unit else x
        x = x.flip(0) if picked == "last" else x
        sigma = torch.linalg.svdvals((x - x.mean(0) if centre else x)[:rows])
        sigma = sigma.square() if squared else sigma
        return torch.special.entr(sigma / sigma.sum()).sum().exp().item()

    small = spread(z) < (spread(healthy) / 10 if reference else 0.01)
    few = rank(z) < (z.shape[1] if width else rank(healthy)) / 2
    if order == "rank only":
        return "dimensional" if few else "neither"
    if order == "rank first" and few:
        return "dimensional"
    return "complete" if small else "dimensional" if few else "neither"


@exercise(
    "a4.verdict",
    parts=PARTS,
    cases=cases,
    mistakes=(
        Mistake(
            "high-rank-is-healthy",
            "you call a run healthy because its rank is high, although all its points are in one place",
            (
                "Print the spread of the runs in the part `complete`, beside that of the healthy run.",
                "A rank is made of shares. Shrink a cloud to a thousandth: what does its rank do?",
                "Before you ask how many directions are used, ask whether there is any cloud left.",
            ),
            (partial(flawed, order="rank only"), partial(flawed, scale="wrong axis")),
            ("complete",),
            number=19,
        ),
        Mistake(
            "rank-before-scale",
            "you read the rank first: a run whose points are all in one place is called dimensional",
            (
                "Look at a run that has both: few directions, and hardly any spread.",
                "Of what use is a count of directions when the cloud is a point?",
                "Two questions, and the first may end the examination.",
            ),
            (partial(flawed, order="rank first"),),
            ("complete",),
            number=19,
        ),
        Mistake(
            "ranks-at-different-n",
            "you compare ranks that were measured on different numbers of points",
            (
                "Look at the part `other n`: how many points do the two clouds have?",
                "Draw 40 and 400 points of the same Gaussian in 96 dimensions. Which has the higher rank?",
                "Forty points cannot use more than forty directions. Give both clouds the same chance.",
            ),
            (partial(flawed, equal=False),),
            ("other n",),
            number=19,
        ),
        Mistake(
            "other-rows-than-the-first",
            "you compare other rows than the first ones",
            (
                "Look at the part `other n`: which rows of the larger cloud did you use?",
                "Count directions among the first rows and among the last, where a cloud has more than the other.",
                "Any equal number is fair; the task says which rows, so that all get the same answer.",
            ),
            (partial(flawed, picked="last"),),
            ("other n",),
        ),
        Mistake(
            "half-the-width",
            "you compare the rank with the number of dimensions, and not with the rank of the healthy run",
            (
                "Does your verdict of dimensional collapse depend on the healthy run?",
                "Draw 40 points in 96 dimensions, of a Gaussian. How high can their rank be, and has anything collapsed?",
                "What is usual here is what the healthy run shows, with as many points.",
            ),
            (partial(flawed, width=True),),
            ("neither", "other n"),
            number=19,
        ),
        Mistake(
            "uncentred-rank",
            "the mean direction is counted among those that the cloud uses",
            (
                "Look at the case where the healthy run lies in a cone.",
                "A cone's largest singular value says where it points. What does that say about its width?",
                "The scale has already told you about the mean; the rank is asked about what is left.",
            ),
            (partial(flawed, centre=False),),
            ("dimensional",),
            number=17,
        ),
        Mistake(
            "squares-in-the-rank",
            "your rank is of the variances, which makes directions that fade look dead",
            (
                "Look at the case whose directions fade one after the other: is its rank that of part 2?",
                "Two axes of lengths 3 and 1: what are their shares, and what are the shares of their squares?",
                "Compare the rank inside your verdict with your own answer to part 2 on the same rows.",
            ),
            (partial(flawed, squared=True),),
            ("neither",),
            number=16,
        ),
        Mistake(
            "lengths-for-directions",
            "you measure how long the outputs are, where their directions count",
            (
                "Multiply all outputs by a thousand. Does your verdict change?",
                "A loss of cosines cannot see a length. Which rows does the spread speak of?",
                "All rows should be equally long before anything is measured.",
            ),
            (partial(flawed, scale="lengths", unit=False), partial(flawed, scale="lengths")),
            ("complete", "dimensional", "neither"),
        ),
        Mistake(
            "raw-rows-in-the-rank",
            "some rows are longer than others, and count more in your rank",
            (
                "Look at the toy three of whose outputs are much longer than the others.",
                "Make one single row a hundred times as long. What becomes of your rank?",
                "The rank is of the same rows as the spread.",
            ),
            (partial(flawed, unit=False),),
            ("neither",),
        ),
        Mistake(
            "no-reference",
            "your bound for the spread is a fixed number, whatever is healthy there",
            (
                "Look at the two narrow cones, and at the cone that is less narrow.",
                "An untrained network lies in a cone, and so do healthy runs of some objectives. Is 0.01 small there?",
                "You were given a healthy run: a tenth of what?",
            ),
            (partial(flawed, reference=False),),
            ("complete", "neither"),
        ),
    ),
)
def verdict(z: Tensor, healthy: Tensor) -> str:
    """What has become of a run, beside a healthy one: "complete" or "dimensional" collapse, or "neither"."""
    z, healthy = F.normalize(z, dim=1), F.normalize(healthy, dim=1)
    if 1 - z.mean(0).square().sum() < (1 - healthy.mean(0).square().sum()) / 10:
        return "complete"
    rows = min(len(z), len(healthy))
    return "dimensional" if centred_rank(z[:rows]) < centred_rank(healthy[:rows]) / 2 else "neither"


def centred_rank(z: Tensor) -> Tensor:
    sigma = torch.linalg.svdvals(z - z.mean(0))
    return torch.special.entr(sigma / sigma.sum()).sum().exp()
