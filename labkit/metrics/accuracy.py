"""Is the preferred answer the more likely one, and how far must a loss fall before it is?"""

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from labkit.checks import Scalar
from labkit.link import ratios
from labkit.registry import meter

EACH = frozenset({"permutation"})
Lengths = Float[Tensor, "n"] | Int[Tensor, "n"]


@meter("2405.19534", invariant=EACH, sizes={"n": 1})
def ranking_accuracy(
    chosen_logps: Float[Tensor, "n"],
    rejected_logps: Float[Tensor, "n"],
    chosen_lengths: Lengths | None = None,
    rejected_lengths: Lengths | None = None,
) -> Float[Tensor, ""]:
    r"""The share of pairs whose chosen answer is the more likely one; with lengths, per token.

    .. math:: \frac{1}{n} \sum_i \mathbf{1}\left[ \log \pi(y_i^+) > \log \pi(y_i^-) \right]

    Says what the policy would rather say, and nothing of what training changed: that is `implicit_accuracy`.

    Args:
        chosen_logps, rejected_logps: summed log-probabilities of the answers.
        chosen_lengths, rejected_lengths: > 0, token counts; both or neither.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, integers, lengths of one side only.

    Source: Chen et al. 2024 (arXiv 2405.19534), definition of ranking accuracy, and its length-normalised form.

    >>> chosen, rejected = torch.tensor([-1.0, -9.0]), torch.tensor([-2.0, -8.0])
    >>> ranking_accuracy(chosen, rejected), ranking_accuracy(chosen, rejected, torch.tensor([1, 9]), torch.tensor([1, 4]))
    (tensor(0.5000), tensor(1.))
    """
    if (chosen_lengths is None) != (rejected_lengths is None):
        raise ValueError("chosen_lengths and rejected_lengths must both be given, or neither")
    if chosen_lengths is not None and rejected_lengths is not None:
        chosen_logps, rejected_logps = chosen_logps / chosen_lengths, rejected_logps / rejected_lengths
    return (chosen_logps > rejected_logps).to(chosen_logps.dtype).mean()


@meter("2409.03650", invariant=EACH, sizes={"n": 1})
def implicit_accuracy(
    chosen_logps: Float[Tensor, "n"],
    rejected_logps: Float[Tensor, "n"],
    ref_chosen_logps: Float[Tensor, "n"],
    ref_rejected_logps: Float[Tensor, "n"],
) -> Float[Tensor, ""]:
    r"""The share of pairs that the policy's implicit reward `log pi / ref` ranks rightly: TRL's `rewards/accuracies`.

    .. math:: \frac{1}{n} \sum_i \mathbf{1}\left[
        \log \frac{\pi(y_i^+)}{\rho(y_i^+)} > \log \frac{\pi(y_i^-)}{\rho(y_i^-)} \right]

    0 at the reference itself, where every pair is a tie. It is near 1 on training pairs soon, also when both answers fall: it
    sees the margin only.

    Args:
        chosen_logps, rejected_logps: summed log-probabilities under the policy.
        ref_chosen_logps, ref_rejected_logps: the same under the reference.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, integers.

    Source: Lin et al. 2024 (arXiv 2409.03650), who compare it with an explicit reward model's accuracy (`reward_accuracy`) on
    pairs that neither has seen.

    >>> implicit_accuracy(torch.tensor([-3.0]), torch.tensor([-9.0]), torch.tensor([-2.0]), torch.tensor([-5.0]))
    tensor(1.)
    """
    ratio = ratios(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps)
    return (ratio.chosen > ratio.rejected).to(chosen_logps.dtype).mean()


@meter("2009.01325", invariant=EACH, sizes={"n": 1})
def reward_accuracy(chosen_rewards: Float[Tensor, "n"], rejected_rewards: Float[Tensor, "n"]) -> Float[Tensor, ""]:
    r"""The share of pairs that an explicit reward model ranks rightly.

    .. math:: \frac{1}{n} \sum_i \mathbf{1}\left[ r(y_i^+) > r(y_i^-) \right]

    Args:
        chosen_rewards, rejected_rewards: one score for each answer.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, integers.

    Source: Stiennon et al. 2020 (arXiv 2009.01325), the reward model's validation accuracy.

    >>> reward_accuracy(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0]))
    tensor(0.5000)
    """
    return (chosen_rewards > rejected_rewards).to(chosen_rewards.dtype).mean()


@meter("2405.19534", unit="pair", invariant=frozenset(), sizes={"n": 1})
def ranking_difficulty(
    ref_chosen_logps: Float[Tensor, "n"], ref_rejected_logps: Float[Tensor, "n"], *, beta: Scalar = 0.1
) -> Float[Tensor, "n"]:
    r"""The DPO loss that a pair must fall below before its chosen answer is the more likely one; `log 2` for a tie.

    .. math:: \pi(y^+) > \pi(y^-) \iff \ell_{\mathrm{DPO}} < -\log \sigma(\beta c),
        \qquad c = \log \rho(y^-) - \log \rho(y^+)

    A pair that the reference ranks wrongly by c nats needs a loss of about `exp(-beta c)`: DPO has stopped pushing long before.

    Args:
        ref_chosen_logps, ref_rejected_logps: summed log-probabilities under the reference.
        beta: > 0, that of the loss.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, integers, `beta <= 0`.

    Source: Chen et al. 2024 (arXiv 2405.19534), theorem on the difficulty of flipping a ranking; it is exact algebra.

    >>> ranking_difficulty(torch.tensor([-40.0, -10.0]), torch.tensor([-10.0, -10.0]))      # behind by 30 nats; a tie
    tensor([0.0486, 0.6931])
    """
    return -F.logsigmoid(beta * (ref_rejected_logps - ref_chosen_logps))
