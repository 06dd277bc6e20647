"""Which rows are equal: 128 bits of each row, then a sort."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

WORDS = {2: torch.int16, 4: torch.int32, 8: torch.int32}  # by bytes of a number


def fingerprints(rows: Tensor) -> Tensor:
    r"""(k, 2) whole numbers, the same for equal rows of floats.

    .. math:: f_c(x) = \sum_j a_{jc} w_j \bmod 2^{64}, \quad c = 1, 2

    with w the row's bits in words of at most 32 bits and a odd numbers of 64 random bits: two given rows that differ get the
    same pair with probability at most 2^-66 (Carter & Wegman 1979), any two of a million with less than 1e-8.
    """
    bits = (rows + 0.0).view(WORDS[rows.element_size()]).long()  # 0.0 for -0.0: they are equal, and their bits are not
    factors = _factors(bits.shape[1]).numpy()
    return torch.from_numpy(np.stack([np.einsum("ij,j->i", bits.numpy(), a) for a in factors], 1))  # wraps, and quickly


_FACTORS: dict[int, Tensor] = {}


def _factors(width: int) -> Tensor:
    if width not in _FACTORS:
        generator = torch.Generator().manual_seed(0)
        _FACTORS[width] = torch.randint(-(2**63), 2**63 - 1, (2, width), generator=generator) | 1
    return _FACTORS[width]


class Equal(NamedTuple):
    """later: rows equal to an earlier row, in order. largest: (how many, the first) of the largest set of equal rows."""

    later: Tensor
    largest: tuple[int, int]

    @classmethod
    def among(cls, prints: Tensor, norms: Tensor) -> "Equal":
        """From fingerprints; rows that are bad or zero are nobody's equal."""
        rows = (norms > 0).nonzero().squeeze(1)
        if not len(rows):
            return cls(rows, (0, -1))
        found = prints[rows].numpy()
        order = np.lexsort((found[:, 1], found[:, 0]))  # stable: among equal rows, the first comes first
        begins = np.append(True, (np.diff(found[order], axis=0) != 0).any(1))
        if begins.all():
            return cls(rows[:0], (0, -1))
        starts = np.flatnonzero(begins)
        sizes, firsts = np.diff(starts, append=len(order)), order[starts]
        largest = np.lexsort((firsts, -sizes))[0]  # of sets of one size, the one that begins first
        later = rows[torch.from_numpy(np.sort(order[~begins]))]
        return cls(later, (int(sizes[largest]), int(rows[firsts[largest]])))
