"""Something is known in training that will not be there later: feedback, a hint, an annotated solution."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from labkit.checks import Reduction, Scalar
from labkit.contrast import reduce
from labkit.directions import unit
from labkit.link import capped
from labkit.preferences.groups import marked
from labkit.preferences.logps import Lengths, per_token
from labkit.preferences.policy import reinforce
from labkit.preferences.reward_signals import kl_penalized_reward
from labkit.registry import checked, preference


@preference("2602.02482", oracle="lili-chen/rltf, first-turn baseline: closed form", unit="list")
def rltf_sd(
    logps: Float[Tensor, "n k"],
    rewards: Float[Tensor, "n k"],
    first_rewards: Float[Tensor, "n k"],
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Learn to give at once the answer that feedback led to: second attempts are taught to the policy that saw no feedback.

    .. math:: -\frac{1}{k} \sum_{i=1}^{k} \left(R(y^1_i) - \frac{1}{k} \sum_j R(y^0_j)\right) \log \pi(y^1_i \mid x)

    The baseline is the mean reward of the first attempts: with that of the second ones nothing would be left to learn as soon
    as feedback always helps.

    Args:
        logps: `(n, k)`, log-probabilities of the second attempts given the prompt alone.
        rewards: `(n, k)`, their rewards.
        first_rewards: `(n, k)`, the rewards of the first attempts.
        reduction: "none" gives `(n,)`, one value for each prompt; each depends on all attempts at it.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, log-probabilities above 0.

    Source: Song et al. 2026 (arXiv 2602.02482), RLTF-SD, and the official code with `use_first_turn_baseline`: no importance
    ratio between the two prompts, as the authors found best. Their code also drops tokens of log-probability below -5.

    >>> rltf_sd(torch.tensor([[-2.0, -2.0]]), torch.tensor([[1.0, 1.0]]), torch.tensor([[0.0, 1.0]]))
    tensor(1.)
    """
    return reduce(-((rewards - first_rewards.mean(-1, keepdim=True)) * logps).mean(-1), reduction)


@preference("2602.02482", oracle="closed form: reinforce plus sft", ranges={"weight": "[0, inf)"})
def rltf_fm(
    logps: Float[Tensor, "n"],
    advantages: Float[Tensor, "n"],
    feedback_logps: Float[Tensor, "n"],
    feedback_lengths: Lengths | None = None,
    *,
    weight: Scalar = 0.1,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""The policy gradient, plus learning to predict what the critic will say about the answer.

    .. math:: -A \log \pi(y \mid x) - \lambda \log \pi(c \mid x, y)

    Args:
        logps: log-probabilities of the answers.
        advantages: the answers' advantages.
        feedback_logps: log-probabilities of the critic's words, given prompt and answer.
        feedback_lengths: their numbers of tokens; given, the second term is per token.
        weight: >= 0, the lambda; the official runs have 0.1.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, log-probabilities above 0, lengths that are not > 0.

    Source: Song et al. 2026 (arXiv 2602.02482), RLTF-FM: an added cross-entropy on the critique, as in the official code.

    >>> rltf_fm(torch.tensor([-2.0]), torch.tensor([1.0]), torch.tensor([-5.0]))
    tensor(2.5000)
    """
    return reduce(-advantages * logps - weight * per_token(feedback_logps, feedback_lengths), reduction)


@preference(
    "2602.04942",
    oracle="closed form: gradients of the enumerated objectives",
    status="reconstructed",
    ranges={"alpha": "[0, 1]"},
)
def pi_distill(
    teacher_logps: Float[Tensor, "n"],
    student_logps: Float[Tensor, "n"],
    rewards: Float[Tensor, "n"],
    *,
    alpha: Scalar = 0.5,
    beta: Scalar = 0.1,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""One model twice: with a hint it is the teacher and draws the answers, without it is the student that learns from them.

    .. math:: -\alpha\, \mathrm{sg}\!\left[R - \beta \log \frac{\pi_T}{\pi_S}\right] \log \pi_T
        - (1 - \alpha) \left(\frac{\pi_S}{\mathrm{sg}[\pi_T]} R + \beta \log \pi_S\right), \qquad y \sim \pi_T

    On average the first part climbs :math:`E_T[R] - \beta\, \mathrm{KL}(\pi_T, \mathrm{sg}[\pi_S])`, the second
    :math:`E_S[R] - \beta\, \mathrm{KL}(\mathrm{sg}[\pi_T], \pi_S)`: the teacher may not run ahead of what the student can
    follow. The value means nothing. The ratio's exponent is cut off at 80 (700 in float64).

    Args:
        teacher_logps: log-probabilities of answers drawn from the teacher, given the prompt and the privileged information.
        student_logps: of the same answers, given the prompt alone.
        rewards: their rewards, or advantages.
        alpha: in [0, 1]; 1 trains the teacher only, 0 the student only.
        beta: > 0, price of the KL.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, log-probabilities above 0.

    Source: Penaloza et al. 2026 (arXiv 2602.04942), eq. 2 to 4 as quoted in reading notes on the paper; no code is published.
    The KL is taken over whole answers here, over tokens there.

    >>> a = torch.tensor([-1.0])
    >>> pi_distill(a, a, torch.tensor([1.0]))         # -0.5 * (-1) - 0.5 * (1 - 0.1)
    tensor(0.0500)
    """
    teacher = kl_penalized_reward(rewards, teacher_logps, student_logps, beta=beta).detach() * teacher_logps
    student = capped(student_logps - teacher_logps.detach()).exp() * rewards + beta * student_logps
    return reduce(-alpha * teacher - (1 - alpha) * student, reduction)


@preference("2602.04942", oracle="closed form: gradient of the enumerated objective", status="reconstructed")
def opsd(
    student_logps: Float[Tensor, "n"],
    teacher_logps: Float[Tensor, "n"],
    rewards: Float[Tensor, "n"],
    *,
    beta: Scalar = 0.1,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""RL with the hinted model in the place of the reference: the student draws the answers and pays for leaving the teacher.

    .. math:: -\mathrm{sg}\!\left[R - \beta \log \frac{\pi_S}{\pi_T}\right] \log \pi_S, \qquad y \sim \pi_S

    On average it climbs :math:`E_S[R] - \beta\, \mathrm{KL}(\pi_S, \mathrm{sg}[\pi_T])`, whose top is
    :math:`\pi_S \propto \pi_T e^{R / \beta}`. The value means nothing.

    Args:
        student_logps: log-probabilities of answers drawn from the student, given the prompt alone.
        teacher_logps: of the same answers, given the prompt and the privileged information; no gradient is taken through them.
        rewards: their rewards, or advantages.
        beta: > 0, price of the KL.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, log-probabilities above 0.

    Source: Penaloza et al. 2026 (arXiv 2602.04942), eq. 5 as quoted in reading notes on the paper, and its abstract. The KL is
    taken over whole answers here, over tokens there.

    >>> opsd(torch.tensor([-1.0]), torch.tensor([-2.0]), torch.tensor([1.0]))     # -(1 - 0.1) * (-1)
    tensor(0.9000)
    """
    earned = kl_penalized_reward(rewards, student_logps, teacher_logps, beta=beta).detach()
    return reinforce(student_logps, earned, reduction=reduction)


@checked(sizes={"t": 1})
def cot_embeddings(
    hidden: Float[Tensor, "n t d"], values: Float[Tensor, "n t"], mask: Bool[Tensor, "n t"] | Int[Tensor, "n t"]
) -> Float[Tensor, "n d"]:
    """One vector for each chain of thought: its tokens' states, weighted by the softmax of the critic's values over them."""
    weights = values.masked_fill(~marked(mask), -float("inf")).softmax(-1)
    return (weights[..., None] * hidden).sum(-2)


def capped_info_nce(anchors, partners, columns, marks, temperature: Scalar, ceiling: Scalar) -> Tensor:
    """The mean over marked anchors; the cap ends the pull on a partner that is similar enough, never the push of a column."""
    pulled = (unit(anchors) * unit(partners)).sum(-1).clamp(max=ceiling) / temperature
    each = torch.logsumexp(unit(anchors) @ unit(columns).T / temperature, -1) - pulled
    return (each * marks.bool()).sum() / marks.bool().sum().clamp(min=1)


@preference("2508.15868", oracle="WNQzhu/CARFT my_cl_trainer_v4", ranges={"ceiling": "(-1, 1]"}, unit="batch")
def carft(
    annotated: Float[Tensor, "n d"],
    sampled: Float[Tensor, "n d"],
    correct_mask: Bool[Tensor, "n"] | Int[Tensor, "n"],
    *,
    temperature: Scalar = 0.2,
    ceiling: Scalar = 0.9,
) -> Tensor:
    r"""InfoNCE between annotated chains of thought and the policy's own, where the policy got it right.

    .. math:: -\frac{1}{|C|} \sum_{i \in C} \log \frac{e^{\min(s_{ii}, c) / \tau}}{\sum_j e^{s_{ij} / \tau}}, \qquad
        s_{ij} = \cos(a_i, z_j)

    Added to PPO's loss, with a small weight. Past the cap c a pair is no longer pulled together, while its own place in the
    denominator still pushes it apart. One value for the batch: every sampled chain is a negative for all others.

    Args:
        annotated: `(n, d)`, embeddings of the annotated solutions, see `cot_embeddings`.
        sampled: `(n, d)`, embeddings of the policy's own.
        correct_mask: `(n,)`, True where the policy's answer is right; without any the loss is 0.
        temperature: > 0.
        ceiling: in (-1, 1], the cap on a pair's cosine.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, `temperature <= 0`.

    Source: Zhu et al. 2025 (arXiv 2508.15868), its positive signal, as the official `my_cl_trainer_v4` computes it but for the
    mask. There the mask has shape (n, 1) and the losses (n,), so that their product lets every answer count, right or wrong,
    and sums instead of averaging; here the mask does what the paper says.

    >>> e = torch.eye(2)
    >>> carft(e, e, torch.tensor([True, True]), temperature=1.0)          # log(e + 1) - 0.9
    tensor(0.4133)
    """
    return capped_info_nce(annotated, sampled, sampled, correct_mask, temperature, ceiling)


@preference("2508.15868", oracle="WNQzhu/CARFT my_cl_trainer", ranges={"ceiling": "(-1, 1]"}, unit="batch")
def carft_wrong(
    common: Float[Tensor, "n d"],
    annotated_rest: Float[Tensor, "n d"],
    sampled_rest: Float[Tensor, "n d"],
    wrong_mask: Bool[Tensor, "n"] | Int[Tensor, "n"],
    *,
    temperature: Scalar = 0.2,
    ceiling: Scalar = 0.9,
) -> Tensor:
    r"""What a wrong chain of thought shares with the annotated one is drawn to the rest of the annotation, not to its own rest.

    .. math:: -\frac{1}{|W|} \sum_{i \in W} \log \frac{e^{\min(\cos(m_i, a_i), c) / \tau}}
        {\sum_j e^{\cos(m_i, m_j) / \tau} + \sum_j e^{\cos(m_i, z_j) / \tau}}

    The shared part m is the longest common subsequence of the two chains. One value for the batch, as in `carft`.

    Args:
        common: `(n, d)`, embeddings of the sampled chains' tokens that the annotated ones have too, in this order.
        annotated_rest: `(n, d)`, embeddings of what is left of the annotated chains; the a above.
        sampled_rest: `(n, d)`, embeddings of what is left of the sampled ones; the z above.
        wrong_mask: `(n,)`, True where the policy's answer is wrong; without any the loss is 0.
        temperature: > 0.
        ceiling: in (-1, 1], the cap on a pair's cosine.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, `temperature <= 0`.

    Source: Zhu et al. 2025 (arXiv 2508.15868), its negative signal, as the official `my_cl_trainer` computes it but for the
    mask, see `carft`.

    >>> e = torch.eye(2)
    >>> carft_wrong(e, e, -e, torch.tensor([True, False]), temperature=1.0)      # log(e + 1 + 1/e + 1) - 0.9
    tensor(0.7265)
    """
    return capped_info_nce(common, annotated_rest, torch.cat([common, sampled_rest]), wrong_mask, temperature, ceiling)
