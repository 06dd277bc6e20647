"""One view predicts the other, which stands still: no negatives, and the collapsed solution is a minimum."""

from jaxtyping import Float
from torch import Tensor

from labkit.checks import Reduction
from labkit.contrast import reduce
from labkit.directions import unit
from labkit.registry import EMBEDDINGS, objective


@objective(
    "2011.10566",
    oracle="lightly.loss.NegativeCosineSimilarity",
    unit="instance",
    invariant=EMBEDDINGS | {"view swap"},
    floor_at=-1.0,
)
def simsiam(
    p1: Float[Tensor, "n d"],
    z2: Float[Tensor, "n d"],
    p2: Float[Tensor, "n d"],
    z1: Float[Tensor, "n d"],
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Each view's prediction points where the other view's embedding does; the embedding is a constant for the gradient.

    .. math:: -\tfrac12 \cos(p_i, [z_i']) - \tfrac12 \cos(p_i', [z_i])

    -1 is its smallest value, and the value when every embedding is the same: what avoids collapse is the stopped gradient
    and the predictor, not the loss.

    Args:
        p1, z2: predictions from the first view, embeddings of the second; L2-normalised inside.
        p2, z1: predictions from the second view, embeddings of the first.
        reduction: "none" gives `(n,)`, one value per instance.

    Raises:
        ValueError, TypeError: shapes that differ, fewer than two rows, a row of zeros, NaN, integers.

    Source: Chen & He 2020 (arXiv 2011.10566), eqs. 1 to 4; official code facebookresearch/simsiam `main_simsiam.py`.

    >>> z = torch.eye(2)
    >>> simsiam(z, z, z, z)
    tensor(-1.)
    """
    return reduce(-(cosines(p1, z2.detach()) + cosines(p2, z1.detach())) / 2, reduction)


def cosines(p: Float[Tensor, "n d"], z: Float[Tensor, "n d"]) -> Float[Tensor, "n"]:
    return (unit(p) * unit(z)).sum(-1)
