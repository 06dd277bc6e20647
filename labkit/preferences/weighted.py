"""DPO that weighs its pairs by how likely the policy itself is to answer so: off-policy data, made to look on-policy."""

import math

import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from labkit import link
from labkit.checks import Reduction, Scalar
from labkit.contrast import reduce
from labkit.link import ratios
from labkit.preferences.logps import marked
from labkit.registry import checked, preference


@preference("2406.11827", oracle="wzhouad/WPO dpo_loss; trl 1.16.0 DPOTrainer, use_weighting", ranges={"most": "(0, inf)"})
def wpo(
    chosen_logps: Float[Tensor, "n"],
    rejected_logps: Float[Tensor, "n"],
    ref_chosen_logps: Float[Tensor, "n"],
    ref_rejected_logps: Float[Tensor, "n"],
    chosen_weights: Float[Tensor, "n"],
    rejected_weights: Float[Tensor, "n"],
    *,
    beta: Scalar = 0.1,
    label_smoothing: Scalar = 0.0,
    most: Scalar | None = 1.0,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""DPO in which a pair counts as much as the policy would have been likely to write both of its answers.

    .. math:: -\min(1,\ w_w w_l)\, \log \sigma(\beta (h_w - h_l)), \qquad
        w = \exp \frac{1}{T} \sum_t \left[\log \pi(y_t) - \log \sum_v \pi(v)^2\right]

    No gradient flows through the weights, which `likelihood_weights` computes. At weights 1 it is `dpo`.

    Args:
        chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps: as in `dpo`.
        chosen_weights, rejected_weights: >= 0, the two answers' weights under the policy as it is now.
        beta: > 0.
        label_smoothing: in [0, 0.5), as in `dpo`.
        most: > 0, what a pair's weight is cut off at, as the authors do; None for TRL's, which does not.
        reduction: "none" gives `(n,)`; "mean" divides by n, not by the sum of the weights.

    Raises:
        ValueError, TypeError: as in `dpo`; weights below 0.

    Source: Zhou et al. 2024 (arXiv 2406.11827), eq. 2 with its sampled alignment; official code wzhouad/WPO.

    >>> a, b, two = torch.tensor([-1.0]), torch.tensor([-3.0]), torch.tensor([-2.0])
    >>> wpo(a, b, two, two, torch.tensor([0.5]), torch.tensor([0.8]))    # 0.4 of dpo's 0.5981
    tensor(0.2393)
    """
    weight = (chosen_weights * rejected_weights).detach().clamp(max=math.inf if most is None else most)
    margin = ratios(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps).margin
    return reduce(weight * link.logistic(beta * margin, label_smoothing), reduction)


@checked()
def likelihood_weights(
    token_logps: Float[Tensor, "n t"], square_logps: Float[Tensor, "n t"], mask: Bool[Tensor, "n t"] | Int[Tensor, "n t"]
) -> Float[Tensor, "n"]:
    r"""WPO's weight of each answer: its probability per token, against that of an answer which the policy draws itself.

    `square_logps` is :math:`\log \sum_v \pi(v)^2`, the log of what a drawn token's probability is on average; from logits it is
    `collision_logps(logits)`. No gradient flows out.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, positive log-probabilities, a row of `mask` that marks no token.

    >>> half = torch.tensor([[0.5, 0.5]]).log()
    >>> likelihood_weights(half, half, torch.ones(1, 2).bool())          # two words of the same probability: as likely as any
    tensor([1.])
    """
    tokens = marked(mask, "mask")
    aligned = (token_logps - square_logps).masked_fill(~tokens, 0.0)
    return (aligned.sum(-1) / tokens.sum(-1)).exp().detach()


@checked(sizes={"v": 2})
def collision_logps(logits: Float[Tensor, "n t v"]) -> Float[Tensor, "n t"]:
    r"""`log sum_v pi(v)^2`: how likely two draws are to be the same token. In the place of the token that is predicted.

    >>> collision_logps(torch.zeros(1, 2, 8))         # log(1/8), after the first place, which nothing predicts
    tensor([[ 0.0000, -2.0794]])
    """
    logps = logits[:, :-1].log_softmax(-1)
    return F.pad((2 * logps).logsumexp(-1), (1, 0))
