"""Numbers in sentences."""

from collections.abc import Iterable

import torch
from torch import Tensor

FEW = 5


def listed(what: str, numbers: Iterable[int] | Tensor, few: int = FEW) -> str:
    """The first of them by number: "columns 3, 17 and 40", "rows 0, 2, 4, 6, 8 and more".

    >>> listed("row", [7]), listed("row", range(9))
    ('row 7', 'rows 0, 1, 2, 3, 4 and more')
    """
    all_of_them = numbers.tolist() if isinstance(numbers, Tensor) else list(numbers)
    words = [f"{i:,}" for i in all_of_them[:few]]
    if len(all_of_them) == 1:
        return f"{what} {words[0]}"
    if len(all_of_them) > few:
        return f"{what}s {', '.join(words)} and more"
    return f"{what}s {', '.join(words[:-1])} and {words[-1]}"


def percent(share: float) -> str:
    """A share as one reads it, never rounded to none or to all of them.

    >>> percent(0.3), percent(0.004), percent(0.9996), percent(1.0)
    ('30 %', '0.4 %', '99.96 %', '100 %')
    """
    if share in (0.0, 1.0):
        return f"{share:.0%}".replace("%", " %")
    left = min(share, 1 - share)
    digits = 0 if left >= 0.0995 else 1 if left >= 0.00095 else 2 if left >= 0.000095 else 4
    return f"{100 * share:.{digits}f} %"


def times(value: float) -> str:
    """A ratio: "12", "1,000", "3.4e+06"."""
    return f"{value:,.2g}" if value < 10 else f"{value:,.0f}" if value < 1e6 else f"{value:.1e}"


def ranges(rows: Tensor) -> str:
    """Consecutive numbers as one: "rows 120 to 399", or the first few where they are scattered."""
    if len(rows) > 1 and int(rows[-1] - rows[0]) == len(rows) - 1:
        return f"rows {int(rows[0]):,} to {int(rows[-1]):,}"
    return listed("row", rows)


def counted(n: int, what: str) -> str:
    """How many of a thing.

    >>> counted(1, "row"), counted(3000, "row")
    ('1 row', '3,000 rows')
    """
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def columns_that(numbers: Tensor, d: int, one: str, more: str, how: str) -> str:
    """A sentence about some of d columns, its verb for one and for more of them.

    >>> columns_that(torch.tensor([7]), 32, "is", "are", "zero")
    '1 column of 32 is zero: column 7'
    """
    verb = one if len(numbers) == 1 else more
    return f"{counted(len(numbers), 'column')} of {d:,} {verb} {how}: {listed('column', numbers)}"


def median(values: Tensor) -> float:
    return float(values.double().quantile(0.5)) if len(values) < 10**6 else float(torch.median(values))
