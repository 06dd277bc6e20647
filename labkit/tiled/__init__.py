"""Sums over all pairs in O(n * block) memory: a tile of the n x m products at a time, made again for the gradient.

`x` and `y` bring their temperature along: `x @ y.T` are the logits, so autograd carries the gradient on to the temperature.
Without `y` the rows are compared among themselves, and of the symmetric tiles only one half is made.
"""

from labkit.tiled.ahead import Recognised
from labkit.tiled.gradients import Kinship, log_partitions, logs, once, softplus_sums, whole_logits, whole_partitions
from labkit.tiled.plan import DENSE, TILE, Tiles, free_memory, in_tiles, wide
from labkit.tiled.sums import (
    EXP,
    SMALL_SOFTPLUS,
    SOFTPLUS,
    Kernel,
    partitions,
    partitions_slopes,
    plain,
    sums,
    sums_slopes,
)
