r"""One loss over several processes: with all their rows gathered, or with blocks of rows that go round in a ring.

Data-parallel training (DDP) averages over W processes the gradients of the weights. Let :math:`L` be the loss of all N rows
in one process and :math:`x_r` the rows that process r made with the weights :math:`\theta`. What has to come out is
:math:`\sum_r J_r^T \, \partial L / \partial x_r`, where :math:`J_r = \partial x_r / \partial \theta`. There are two ways:

**Gather, and compute everything everywhere.** `rows(x)` holds all N rows, so every process has the same value L. Its backward
*sums* what all W processes ask of my rows, which is :math:`W \, \partial L / \partial x_r`; the average over processes takes
the W away. This is right for any loss whatsoever, and for weights that are not behind the rows (a learned temperature).

**Own anchors against everyone.** Inside `across()` process r computes only its own anchors' part of the sum,

.. math:: L_r = \frac{W}{N} \sum_{i \in r} \ell_i, \qquad \frac1W \sum_r L_r = L,

with N counted over all processes, so that uneven numbers of rows weigh by what they are. What other processes' anchors ask of
my rows comes home in the backward pass, and the average of the gradients is exact again. The rows are never together: blocks
of them go round the ring, and with them their columns' sums (forward) and their gradients (backward).

**What is often done instead**, with the numbers of NT-Xent at temperature 0.5 for 32 pairs in 4 processes:

- Local rows alone: another loss. The gradient has a cosine of 0.92 to the right one.
- Others' rows detached, as `torch.distributed.all_gather` hands them over. The loss is right, its gradient is not. Computed on
  own anchors, my rows are never pushed as somebody else's negatives: cosine 0.996. Computed whole, the
  direction is right and the length a quarter, for DDP averages what should be summed.
- A backward that averages, or W forgotten or put in twice somewhere else: the right direction, W times too short or too long.
"""

from labkit.gather.processes import Group, across, active, members, reduced, rows, sizes
from labkit.gather.ring import alike, log_partitions, softplus_sums

__all__ = ["Group", "across", "active", "alike", "log_partitions", "members", "reduced", "rows", "sizes", "softplus_sums"]
