"""The singular values of a cloud of points, about its mean or not, and the variances that they stand for."""

from functools import partial

import torch
from torch import Tensor

from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise

PARTS = {"as given": 1.0, "centred": 1.0, "variances": 1.0}


def cases(draw: Draw) -> list[Case]:
    """Clouds with a mean of their own, some with fewer points than dimensions."""

    def case(part: str, n: int, d: int, centered: bool, variances: bool, dtype: torch.dtype = torch.float64) -> Case:
        stretch = torch.linspace(2.0, 0.5, d, dtype=dtype)
        z = draw.rows(n, d, dtype) * stretch + 1 + draw.rows(1, d, dtype)
        tolerance = 1e-6 if dtype == torch.float64 else 1e-4
        says = f"{n} points in {d} dimensions, {str(dtype).removeprefix('torch.')}"
        return Case(part, {"z": z, "centered": centered, "variances": variances}, tolerance=tolerance, says=says)

    more, fewer = draw.integer(7, 12), draw.integer(3, 5)
    return [
        case("as given", more, 4, False, False, torch.float32),
        case("as given", fewer, 6, False, False),
        case("centred", more, 4, True, False, torch.float32),
        case("centred", fewer, 6, True, False),
        case("variances", more, 4, True, True),
        case("variances", fewer, 6, False, True),
    ]


def flawed(
    z: Tensor,
    centered: bool,
    variances: bool,
    *,
    squared: bool = False,
    never_squared: bool = False,
    centre: str = "asked",
    axis: int = 0,
    divide: int = 0,
    ascending: bool = False,
    unit: bool = False,
) -> Tensor:
    """The spectrum with its usual mistakes as switches."""
    if unit:
        z = z / z.norm(dim=1, keepdim=True)
    if (centered or centre == "always") and centre != "never":
        z = z - z.mean(axis, keepdim=True)
    sigma = torch.linalg.svdvals(z)
    if variances and not never_squared:
        sigma = sigma.square() / (len(z) + divide)
    elif squared:
        sigma = sigma.square()
    return sigma.flip(0) if ascending else sigma


@exercise(
    "a4.spectrum",
    parts=PARTS,
    cases=cases,
    mistakes=(
        Mistake(
            "eigenvalues-for-singular-values",
            "these are squares: eigenvalues where singular values are asked for",
            (
                "Compare your largest number with the length of the longest row.",
                "Double every point. A singular value is a length: by which factor should it grow? By which does yours?",
                "Z times its transpose holds products of two lengths, so what comes out of it is in squared units.",
            ),
            (partial(flawed, squared=True),),
            ("as given", "centred"),
            number=16,
        ),
        Mistake(
            "lengths-for-variances",
            "these are lengths where variances are asked for",
            (
                "Look at the cases where variances are asked for.",
                "Add up your numbers and compare them with the total variance of the points, dimension by dimension.",
                "A variance is a mean of squares: two steps lead there from a singular value.",
            ),
            (partial(flawed, never_squared=True),),
            ("variances",),
            number=16,
        ),
        Mistake(
            "centring-ignored",
            "the mean is still in the cloud, and takes the first direction",
            (
                "Shift all points by the same vector. Does your centred spectrum move?",
                "A cloud far from the origin has one very large singular value that says only where it lies.",
                "The switch `centered` has to reach the points before anything is decomposed.",
            ),
            (partial(flawed, centre="never"),),
            ("centred", "variances"),
            number=17,
        ),
        Mistake(
            "centred-uninvited",
            "you take the mean away where the rows are asked for as given",
            (
                "Look at the cases with `centered=False`.",
                "Some decompositions for statistics centre by themselves. Does yours?",
                "As given means as given: a common offset belongs into that spectrum.",
            ),
            (partial(flawed, centre="always"),),
            ("as given", "variances"),
            number=17,
        ),
        Mistake(
            "centred-along-rows",
            "you take away each point's own average, not the average point",
            (
                "Which of the two axes of Z counts points?",
                "After centring, add up all points: what should the sum be? Try it on yours.",
                "The mean of a cloud is a point: it has as many numbers as there are dimensions.",
            ),
            (partial(flawed, axis=1),),
            ("centred", "variances"),
            number=17,
        ),
        Mistake(
            "one-less-than-n",
            "your variances are for n - 1 points; the mean over all n is asked for",
            (
                "Your variances are off by the same factor everywhere. Which?",
                "Try 2 points and 200: the factor tends to 1.",
                "The task says mean square. Statistics' correction for a mean that was estimated is not asked for.",
            ),
            (partial(flawed, divide=-1),),
            ("variances",),
        ),
        Mistake(
            "ascending",
            "the smallest comes first",
            (
                "Print the first two numbers.",
                "Which end do plots of spectra begin at?",
                "Solvers for symmetric matrices order the other way round than those for singular values.",
            ),
            (partial(flawed, ascending=True),),
            ("as given", "centred", "variances"),
        ),
        Mistake(
            "normalised-uninvited",
            "you scale the rows to length one first; they are asked for as given",
            (
                "Double one single point. Does your spectrum move?",
                "Directions alone are what a loss of cosines sees. What did the task ask about?",
                "Leave the lengths of the rows alone.",
            ),
            (partial(flawed, unit=True),),
            ("as given", "centred", "variances"),
        ),
    ),
)
def spectrum(z: Tensor, centered: bool, variances: bool) -> Tensor:
    """The singular values of a cloud of points, the largest first; or the variances along the same axes."""
    sigma = torch.linalg.svdvals(z - z.mean(0) if centered else z)
    return sigma.square() / len(z) if variances else sigma
