"""The effective rank of Roy and Vetterli, where directions are dead and where points are close together."""

from functools import partial

import torch
from torch import Tensor

from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise

PARTS = {"rank": 2.0, "centred": 1.0, "dead directions": 1.0, "no cloud": 1.0}
ALL = ("rank", "centred", "dead directions")


def cases(draw: Draw) -> list[Case]:
    """Unequal directions and a mean; wide clouds that use three directions, close together; no cloud at all."""

    def cloud(n: int, d: int, dtype: torch.dtype, offset: float) -> Tensor:
        return draw.rows(n, d, dtype) * torch.linspace(3.0, 0.5, d, dtype=dtype) + offset * draw.rows(1, d, dtype)

    def dead(scale: float, dtype: torch.dtype) -> Tensor:
        z = torch.zeros(60, 48, dtype=dtype)
        z[:, :3] = scale * (draw.rows(60, 3, dtype) * torch.tensor([3.0, 1.0, 0.4], dtype=dtype) + 1)
        return z[:, draw.permutation(48)]

    def case(part: str, z: Tensor, centered: bool, says: str) -> Case:
        return Case(part, {"z": z, "centered": centered}, tolerance=1e-3, says=says)

    def weak() -> torch.Tensor:
        scales = torch.tensor([3.0, 2.0, 1.5, 1.0, 0.03, 0.005], dtype=torch.float64)
        return draw.rows(draw.integer(40, 60), 6, torch.float64) * scales + 1.0

    tiny = draw.numbers(1e-9, 2e-9)
    return [
        case("rank", cloud(draw.integer(30, 60), 6, torch.float32, 1.0), False, "float32"),
        case("rank", cloud(9, draw.integer(12, 16), torch.float64, 1.0), False, "fewer points than dimensions"),
        case("rank", weak(), False, "directions that hardly count, and do count"),
        case("centred", cloud(draw.integer(30, 60), 6, torch.float32, 3.0), True, "about the mean, float32"),
        case("centred", cloud(40, draw.integer(5, 8), torch.float64, 3.0), True, "about the mean"),
        case("dead directions", dead(1.0, torch.float64), False, "45 of 48 dimensions are zero"),
        case("dead directions", dead(tiny, torch.float64), False, f"the same, all of it {tiny:g} times as large"),
        case("no cloud", torch.zeros(5, 4), False, "a matrix of zeros"),
    ]


def flawed(
    z: Tensor,
    centered: bool,
    *,
    centre: str = "asked",
    squared: bool = False,
    before: float = 0.0,
    after: float = 0.0,
    bare: bool = False,
    ending: str = "exp",
    nothing: str = "zero",
    unit: bool = False,
    drop: float = 0.0,
    again: bool = False,
) -> Tensor:
    """The effective rank with its usual mistakes as switches."""
    if unit:
        z = torch.nn.functional.normalize(z, dim=1)
    if (centered or centre == "always") and centre != "never":
        z = z - z.mean(0)
    sigma = torch.linalg.svdvals(z) + before
    sigma = sigma.square() if squared else sigma
    p = sigma / sigma.sum().clamp(min=1e-300 if z.dtype == torch.float64 else 1e-30) + after
    if drop:
        p = p[p > drop]
        p = p / p.sum() if again else p
    if bare:
        p = sigma / sigma.sum()
        return (-(p * p.log()).sum()).exp()
    if not sigma.any() and not (before or after) and nothing == "zero":
        return torch.zeros(())
    entropy = torch.special.entr(p).sum()
    return {"exp": entropy.exp(), "none": entropy, "bits": (entropy / torch.log(torch.tensor(2.0))).exp()}[ending]


def counted(z: Tensor, centered: bool, share: float = 0.01) -> Tensor:
    sigma = torch.linalg.svdvals(z - z.mean(0) if centered else z)
    return (sigma > share * sigma[0]).sum()


def participation(z: Tensor, centered: bool, power: int = 2) -> Tensor:
    sigma = torch.linalg.svdvals(z - z.mean(0) if centered else z).double() ** power
    return sigma.sum() ** 2 / sigma.square().sum().clamp(min=1e-300)


@exercise(
    "a4.effective_rank",
    parts=PARTS,
    cases=cases,
    mistakes=(
        Mistake(
            "squares-for-singular-values",
            "your shares are of the variances, not of the singular values",
            (
                "Two axes of lengths 3 and 1: what are the two shares?",
                "Your rank is lower than asked for wherever the axes differ. Which shares exaggerate a difference?",
                "Roy and Vetterli take the entropy of the singular values themselves. A covariance knows their squares.",
            ),
            (partial(flawed, squared=True),),
            ALL,
            number=16,
        ),
        Mistake(
            "centring-ignored",
            "the mean is still in the cloud, and takes the first direction",
            (
                "Shift all points by the same large vector and ask for the centred rank again.",
                "Far from the origin every cloud looks like one direction: the way to it.",
                "The switch `centered` has to reach the points before they are decomposed.",
            ),
            (partial(flawed, centre="never"),),
            ("centred",),
            number=17,
        ),
        Mistake(
            "centred-uninvited",
            "you take the mean away where the rows are asked for as given",
            (
                "Look at the cases with `centered=False`.",
                "A common offset is a direction, too. When does the task want it counted?",
                "Only the switch may decide whether the mean goes.",
            ),
            (partial(flawed, centre="always"),),
            ("rank", "dead directions"),
            number=17,
        ),
        Mistake(
            "eps-before-normalising",
            "a small number that you add makes dead directions count",
            (
                "Take points that lie on one line in 2,048 dimensions. The rank is 1; what do you get?",
                "Make the whole cloud a million times smaller. A rank should not move. What becomes large beside it?",
                "A constant is small only beside something. Ask where a zero really does harm, and guard that place alone.",
            ),
            (partial(flawed, before=1e-5), partial(flawed, before=1e-7), partial(flawed, after=1e-5)),
            ("dead directions", "no cloud"),
            number=18,
        ),
        Mistake(
            "small-shares-dropped",
            "you leave small shares out, although they count",
            (
                "Look at the case whose last directions are weak.",
                "Ninety directions of a share of one hundredth each: what is the rank without them?",
                "Only a share of exactly zero has nothing to say.",
            ),
            (partial(flawed, drop=0.01), partial(flawed, drop=0.01, again=True)),
            ("rank",),
        ),
        Mistake(
            "zero-times-log-zero",
            "a direction without any share gives NaN",
            (
                "Which number in your sum is NaN when a singular value is exactly zero?",
                "p log p tends to 0 as p does. What does the computer say at p = 0?",
                "The limit is known: keep the two factors from meeting at zero. Of a matrix of zeros nobody can take shares.",
            ),
            (partial(flawed, bare=True),),
            ("dead directions", "no cloud"),
        ),
        Mistake(
            "nothing-counts-as-one",
            "a matrix of zeros has no direction, and you count one",
            (
                "What do you get for a matrix of zeros?",
                "The exponential of 0 is 1. Where does your 0 come from?",
                "Without any singular value above 0 there are no shares, and no entropy of them.",
            ),
            (partial(flawed, nothing="one"),),
            ("no cloud",),
        ),
        Mistake(
            "entropy-for-rank",
            "this is the entropy of the shares, not yet a number of directions",
            (
                "What do you get for k equal axes? A rank should say k.",
                "An entropy of k equal shares is log k.",
                "One step is missing that undoes a logarithm.",
            ),
            (partial(flawed, ending="none"),),
            ALL,
        ),
        Mistake(
            "two-bases",
            "your logarithm and your exponential have different bases",
            (
                "What do you get for four equal axes?",
                "Entropy in bits and the natural exponential do not undo each other.",
                "Whichever base the logarithm has, the last step has to have it as well.",
            ),
            (partial(flawed, ending="bits"),),
            ALL,
        ),
        Mistake(
            "counted-or-other-rank",
            "this is another rank: a count above a threshold, or a participation ratio",
            (
                "Axes of 3, 1 and 0.5: does your number move when the last becomes 0.6?",
                "Several numbers are called rank. Which of them has a logarithm in it?",
                "Shares of the singular values, their entropy, and back from the logarithm: in that order.",
            ),
            (counted, participation, partial(participation, power=1)),
            ALL,
        ),
        Mistake(
            "normalised-uninvited",
            "you scale the rows to length one first; they are asked for as given",
            (
                "Double one single point. Does your rank move?",
                "Directions alone are what a loss of cosines sees. What did the task ask about?",
                "Leave the lengths of the rows alone.",
            ),
            (partial(flawed, unit=True),),
            ALL,
        ),
    ),
)
def effective_rank(z: Tensor, centered: bool) -> Tensor:
    """How many directions a cloud uses: the exponential of the entropy of its singular values' shares; 0 for zeros."""
    sigma = torch.linalg.svdvals(z - z.mean(0) if centered else z)
    if not sigma.any():
        return torch.zeros(())
    return torch.special.entr(sigma / sigma.sum()).sum().exp()
