"""DisCO: tell right answers from wrong ones, inside a trust region; no advantage and no clipping."""

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from labkit.checks import Scalar
from labkit.contrast import log_partition, share
from labkit.link import capped
from labkit.preferences.groups import log_ratios, token_mean
from labkit.registry import preference


@preference(
    "2505.12366",
    oracle="Optimization-AI/DisCO core_algos.py, gradients",
    ranges={"tau": "(0, inf)", "beta": "[0, inf)", "delta": "[0, inf)"},
    unit="batch",
)
def disco(
    logps: Float[Tensor, "n k t"],
    old_logps: Float[Tensor, "n k t"],
    correct_mask: Bool[Tensor, "n k"] | Int[Tensor, "n k"],
    mask: Bool[Tensor, "n k t"] | Int[Tensor, "n k t"],
    *,
    score: Literal["logp", "ratio"] = "logp",
    tau: Scalar | None = 10.0,
    beta: Scalar = 1e3,
    delta: Scalar = 1e-4,
    kl: Literal["k1", "k3"] = "k1",
) -> Tensor:
    r"""Right answers must score above wrong ones, the hardest wrong ones most; the policy may not leave a trust region.

    .. math:: -\frac{1}{n} \sum_q \left[\frac{1}{|P_q|} \sum_{i \in P_q} s_i - \tau \log \frac{1}{|N_q|} \sum_{j \in N_q}
        e^{s_j / \tau}\right] + \mathrm{sg}\!\left[\beta (D - \delta)\right]_+ D

    with s an answer's mean token log-probability, or its mean importance ratio, and D the KL from the policy that drew the
    answers. `tau=None` takes the plain mean of the wrong ones (DisCO-b). A question whose answers are all right or all wrong
    counts 0, but counts. One value for the batch, since D is the mean over all its tokens; its gradient treats the price
    of D as a constant. Exponents are cut off at 40 (350 in float64).

    Args:
        logps, old_logps: `(n, k, t)`, token log-probabilities of k answers to n questions, now and when they were drawn.
        correct_mask: `(n, k)`, True for right answers.
        mask: `(n, k, t)`, True at response tokens; every answer needs one.
        score: "logp" or "ratio".
        tau: > 0, how evenly the wrong answers share the push; None is evenly. The scripts have 10 for "logp", 1 for "ratio".
        beta: >= 0, price of leaving the trust region; delta: >= 0, its size.
        kl: "k1" is the mean of log old - log new, which may be negative; "k3" never is. The scripts use the first.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, log-probabilities above 0, an answer without a response token.

    Source: Li et al. 2025 (arXiv 2505.12366) and the official code, whose value differs while its gradient is this one's: it
    writes x / sg(x) where the log of the mean of exponentials stands. Its dispatcher hands the ratio variant to the DisCO-b
    function with one argument too many.

    >>> a, mask = torch.tensor([[[-1.0], [-3.0]]]), torch.ones(1, 2, 1, dtype=torch.bool)
    >>> disco(a, a, torch.tensor([[True, False]]), mask)      # -(-1 + 3)
    tensor(-2.)
    """
    moved = log_ratios(logps, old_logps, mask)
    near = capped(moved, 2)  # the price of the KL multiplies the KL
    scores = token_mean(logps if score == "logp" else near.exp(), mask)
    right, wrong = correct_mask.bool(), ~correct_mask.bool()
    compared = (right.any(-1) & wrong.any(-1))[:, None]
    wrong = wrong | ~compared  # a group without both sides is dropped below; an empty side has a NaN gradient
    soft = scores if tau is None else mean_exponential(scores, wrong, tau)
    gap = (share(right, scores) * scores).sum(-1) - (share(wrong, scores) * soft).sum(-1)
    drift = token_mean((-moved if kl == "k1" else near.expm1() - near).flatten(), mask.flatten())
    price = (beta * (drift - delta)).relu().detach()
    return price * drift - (gap * compared.squeeze(-1)).mean()


def mean_exponential(scores: Float[Tensor, "n k"], marks: Bool[Tensor, "n k"], tau: Scalar) -> Float[Tensor, "n k"]:
    """`tau log mean exp(scores / tau)` over the marked of each row, repeated along it."""
    count = marks.sum(-1, keepdim=True).to(scores)
    return (tau * (log_partition(scores / tau, marks) - torch.log(count))).expand_as(scores)
