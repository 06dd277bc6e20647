"""The temperature as a policy: it follows what the model can already do."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from labkit.checks import Reduction, Scalar
from labkit.contrast import against_others, everyone, reduce
from labkit.directions import paired
from labkit.registry import EMBEDDINGS, objective


@objective(
    "2207.07874",
    oracle="chenhaoxing/MACL",
    invariant=EMBEDDINGS | {"view swap"},
    ranges={"alpha": "[0, 1]", "a0": "[0, 1]"},
)
def macl(
    z1: Float[Tensor, "n d"],
    z2: Float[Tensor, "n d"],
    *,
    temperature: Scalar = 0.1,
    alpha: Scalar = 0.5,
    a0: Scalar = 0.0,
    reduction: Reduction = "mean",
    block_size: int | None = None,
) -> Tensor:
    r"""NT-Xent at a temperature that rises with alignment, reweighted so that easy anchors keep their gradient.

    .. math:: -\Big[ \frac{1}{1 - p_i} \Big] \log p_i, \qquad
        p_i = \frac{e^{s_i^+/\tau}}{\sum_{k \ne i} e^{s_{ik}/\tau}}, \qquad \tau = \tau_0 \big(1 + \alpha ([A] - A_0)\big)

    where :math:`A` is the mean cosine of the pairs and what stands in :math:`[\,]` is a constant for the gradient. The factor
    cancels the `1 - p` of InfoNCE: the gradient is exactly DCL's at temperature :math:`\tau`.

    Args:
        z1, z2: two views, row by row of the same instances; L2-normalised inside.
        temperature: > 0, :math:`\tau_0`.
        alpha: in [0, 1], how much the temperature follows alignment.
        a0: in [0, 1], the alignment at which it is `temperature`.
        reduction: "none" gives `(2n,)`, `z1`'s rows first.
        block_size: rows and columns of a tile; None is dense up to 512 instances.

    Raises:
        ValueError, TypeError: shapes that differ, fewer than two rows, a row of zeros, NaN, integers, numbers out of range.
        ValueError: alpha and a0 so large that views this far apart would get a temperature <= 0.

    Source: Huang et al. 2022 (arXiv 2207.07874); official code chenhaoxing/MACL `macl.py`, with NT-Xent's pairs
    as in lightly. When p rounds to 1 the official code gives NaN and lightly 0; we give the limit, 1.

    >>> z = torch.eye(2)
    >>> macl(z, z, temperature=1.0)         # A = 1, so the temperature is 1.5
    tensor(1.3945)
    """
    u, v, alike = paired(z1, z2)
    temperature = followed(everyone(alike.detach()).mean(), temperature, alpha, a0)
    others = against_others(u, v, temperature=temperature, block_size=block_size)
    x = others - alike.repeat(2) / temperature  # DCL; p = sigmoid(-x)
    value = torch.where(x > -30, -F.logsigmoid(-x) / torch.sigmoid(x), 1.0)  # 0 / 0 further down
    return reduce(x + (value - x).detach(), reduction)


def followed(alignment: Tensor, temperature: Scalar, alpha: Scalar, a0: Scalar) -> Tensor:
    """The temperature at this alignment; it can only fail to be positive when `alpha * (1 + a0) >= 1`."""
    factor = 1 + alpha * (alignment - a0)
    if alpha * (1 + a0) >= 1 and factor <= 0:
        raise ValueError(
            f"alpha = {float(alpha):g} and a0 = {float(a0):g} need views of mean cosine > {a0 - 1 / alpha:g}, got {alignment:g}"
        )
    return temperature * factor
