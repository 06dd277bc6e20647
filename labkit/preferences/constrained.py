"""Several reward models, none of which may be pushed beyond the point up to which it can be trusted: constrained RLHF."""

import torch
from jaxtyping import Float
from torch import Tensor

from labkit.checks import Reduction
from labkit.contrast import reduce
from labkit.registry import meter, preference


@meter(
    "2310.04373",
    oracle="tedmoskovitz/ConstrainedRL4LMs constrained_ppo.py",
    unit="example",
    invariant=frozenset(),
    sizes={"n": 1, "k": 1},
)
def mixed_advantage(
    kl_advantages: Float[Tensor, "n"], advantages: Float[Tensor, "n k"], multipliers: Float[Tensor, "k"]
) -> Float[Tensor, "n"]:
    r"""What a policy gradient should follow: each reward as much as its constraint still asks for, the reference otherwise.

    .. math:: \left(k - \sum_i \sigma(\lambda_i)\right) A_{\mathrm{KL}} + \sum_i \sigma(\lambda_i)\, A_i

    No gradient flows to the multipliers; they learn by `multiplier_loss`. At rest the policy is the reference tilted by
    :math:`\sum_i \mu_i r_i` with :math:`\mu_i = \sigma(\lambda_i) / (k - \sum_j \sigma(\lambda_j))`.

    Args:
        kl_advantages: advantages of the reward `-log(policy / reference)`.
        advantages: `(n, k)`, of each of the k rewards.
        multipliers: `(k,)`, any number; the sigmoid keeps each weight between 0 and 1.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, integers.

    Source: Moskovitz et al. 2023 (arXiv 2310.04373), official code with `squash_lagrange`; it can standardise each kind of
    advantage over the batch first.

    >>> mixed_advantage(torch.tensor([1.0]), torch.tensor([[3.0]]), torch.zeros(1))
    tensor([2.])
    """
    share = torch.sigmoid(multipliers.detach())
    return (len(share) - share.sum()) * kl_advantages + advantages @ share


@preference("2310.04373", oracle="tedmoskovitz/ConstrainedRL4LMs constrained_ppo.py", sizes={"k": 1})
def multiplier_loss(
    multipliers: Float[Tensor, "k"],
    rewards: Float[Tensor, "n k"],
    thresholds: Float[Tensor, "k"],
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Moves each multiplier until its reward sits at its threshold: up while the reward is below, down once it is above.

    .. math:: \sum_{i=1}^{k} \sigma(\lambda_i)\, (r_i - \theta_i)

    No gradient flows to the rewards.

    Args:
        multipliers: `(k,)`, what is learned; the official code starts them near 0.
        rewards: `(n, k)`, of n answers of the current policy.
        thresholds: `(k,)`, how far each reward model can be trusted.
        reduction: "none" gives `(n,)`; the official loss is the mean.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, integers.

    Source: Moskovitz et al. 2023 (arXiv 2310.04373), official code with `squash_lagrange`, stepped by SGD at rate 0.01.

    >>> multiplier_loss(torch.zeros(1), torch.tensor([[3.0]]), torch.tensor([1.0]))
    tensor(1.)
    """
    return reduce((rewards.detach() - thresholds.detach()) @ torch.sigmoid(multipliers), reduction)
