"""Views agree through prototypes: each predicts the cluster that the other was assigned."""

from jaxtyping import Float
from torch import Tensor

from labkit.checks import Reduction, Scalar
from labkit.contrast import reduce
from labkit.registry import objective


@objective(
    "2006.09882",
    oracle="lightly.loss.SwaVLoss",
    unit="instance",
    invariant=frozenset({"permutation", "view swap"}),
    floor_at=0.0,
    raw=True,
)
def swav(
    scores1: Float[Tensor, "n k"],
    scores2: Float[Tensor, "n k"],
    *,
    temperature: Scalar = 0.1,
    epsilon: Scalar = 0.05,
    iterations: int = 3,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Each view predicts the other's code: a soft assignment to k prototypes that uses all of them equally.

    .. math:: -\tfrac12 \sum_k [q_{ik}'] \log \operatorname{softmax}_k(s_i/\tau)
        - \tfrac12 \sum_k [q_{ik}] \log \operatorname{softmax}_k(s_i'/\tau)

    where the codes :math:`q` are a few Sinkhorn steps from :math:`e^{s/\epsilon}` towards equal use of the prototypes, and
    constants for the gradient. `log k` when every score is the same; 0 is the smallest value, approached and never reached.

    Args:
        scores1, scores2: `(n, k)` products of each view's embedding with the k prototypes; both L2-normalised by the caller,
            as in the paper.
        temperature: > 0.
        epsilon: > 0; the smaller, the harder the codes.
        iterations: >= 1, Sinkhorn steps.
        reduction: "none" gives `(n,)`, one value per instance.

    Raises:
        ValueError, TypeError: shapes that differ, fewer than two rows or prototypes, NaN, integers, numbers out of range.

    Source: Caron et al. 2020 (arXiv 2006.09882), eqs. 1 to 5; official code facebookresearch/swav `main_swav.py`. It works with
    exponentials of scores / epsilon, which overflow in float32 from a score of 4.5 on; we with their logarithms.

    >>> scores = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> swav(scores, scores, temperature=1.0)       # codes are one-hot to 9 digits: log(1 + 1/e)
    tensor(0.3133)
    """
    first, second = ((s / temperature).log_softmax(-1) for s in (scores1, scores2))
    swapped = codes(scores2, epsilon, iterations) * first + codes(scores1, epsilon, iterations) * second
    return reduce(-swapped.sum(-1) / 2, reduction)


def codes(scores: Float[Tensor, "n k"], epsilon: Scalar, iterations: int) -> Float[Tensor, "n k"]:
    """Soft assignments: rows add up to 1, columns nearly to `n / k`."""
    log_q = scores.detach() / epsilon
    for _ in range(iterations):
        log_q = log_q.log_softmax(0)  # every prototype gets the same,
        log_q = log_q.log_softmax(1)  # every sample gives 1
    return log_q.exp()
