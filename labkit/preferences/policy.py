"""Objectives that see rewards, not preferences: policy gradients, regression on rewards, imitation of the best answers."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from labkit import link
from labkit.checks import Reduction, Scalar
from labkit.contrast import reduce
from labkit.link import capped, ratios
from labkit.preferences.groups import clipped
from labkit.registry import checked, preference


@preference("2404.14367", oracle="closed form: the gradient of the expected reward")
def reinforce(
    logps: Float[Tensor, "n"],
    rewards: Float[Tensor, "n"],
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""The policy gradient: answers drawn from the policy become likelier by as much as they were rewarded.

    .. math:: -R(y) \log \pi(y), \qquad y \sim \pi

    The value means nothing; on average its gradient is that of the expected reward. Off-policy it is not.

    Args:
        logps: log-probabilities of the answers, summed over their tokens.
        rewards: their rewards, as they are: subtract a baseline before.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, log-probabilities above 0.

    Source: Williams 1992; here as the on-policy end of the comparison of Tajwar et al. 2024 (arXiv 2404.14367), whose
    Pref-FT (imitation of the preferred answer) is `sft`.

    >>> reinforce(torch.tensor([-2.0]), torch.tensor([3.0]))
    tensor(6.)
    """
    return reduce(-rewards * logps, reduction)


@preference("2404.14367", oracle="a slow loop", unit="list")
def rwr(
    logps: Float[Tensor, "n k"],
    rewards: Float[Tensor, "n k"],
    *,
    beta: Scalar = 1.0,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Reward-weighted regression: imitate all answers, the better ones more. No gradient is negative.

    .. math:: -\sum_{i=1}^{k} \mathrm{softmax}(R / \beta)_i \log \pi(y_i)

    Args:
        logps: `(n, k)`, log-probabilities of k answers to one prompt.
        rewards: `(n, k)`; no gradient is taken through them.
        beta: > 0; towards 0 only the best answer counts (best of k), at large beta all count the same.
        reduction: "none" gives `(n,)`, one value for each group: an answer's weight depends on the others of its group.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, fewer than two answers, log-probabilities above 0.

    Source: Peters and Schaal 2007, as in Tajwar et al. 2024 (arXiv 2404.14367).

    >>> rwr(torch.tensor([[-1.0, -3.0]]), torch.tensor([[0.0, 0.0]]))
    tensor(2.)
    """
    return reduce(-((rewards.detach() / beta).softmax(-1) * logps).sum(-1), reduction)


@preference("2406.19185", oracle="closed form: beta^2 / 2 times ipo at rewards of +-1/4")
def copg(
    chosen_logps: Float[Tensor, "n"],
    rejected_logps: Float[Tensor, "n"],
    ref_chosen_logps: Float[Tensor, "n"],
    ref_rejected_logps: Float[Tensor, "n"],
    chosen_rewards: Float[Tensor, "n"],
    rejected_rewards: Float[Tensor, "n"],
    *,
    beta: Scalar = 0.1,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Two answers' log-ratios must differ by as much as their rewards do: a policy gradient that may be off-policy.

    .. math:: \frac{1}{2} \left[(R_w - R_l) - \beta (h_w - h_l)\right]^2

    Its gradient is beta times a policy gradient in which each answer is the other's baseline. Zero for all pairs exactly
    where :math:`\pi \propto \pi^{\text{ref}} e^{R / \beta}`, whoever drew the answers. Rewards of 1/4 and -1/4 give
    :math:`\beta^2 / 2` times `ipo`.

    Args:
        chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps: as in `dpo`; which is called chosen does not matter.
        chosen_rewards, rejected_rewards: the answers' rewards.
        beta: > 0, how strongly the reference holds.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: as in `dpo`.

    Source: Flet-Berliac et al. 2024 (arXiv 2406.19185), eq. 7 to 9 and theorem 1, read in the paper, which maximises
    :math:`(R_w - R_l - \tfrac{\beta}{2} (h_w - h_l)) (h_w - h_l)`: ours is beta times its negative plus a constant.

    >>> a = torch.tensor([-1.0])
    >>> copg(a, a, a, a, torch.tensor([1.0]), torch.tensor([0.0]))
    tensor(0.5000)
    """
    margin = ratios(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps).margin
    return reduce(link.squared(beta * margin, chosen_rewards - rejected_rewards) / 2, reduction)


@preference(
    "2310.00212",
    oracle="closed form: the pairwise policy gradient, on and off policy",
    ranges={"epsilon": "(0, 1]"},
    status="reconstructed",
)
def p3o(
    chosen_logps: Float[Tensor, "n"],
    rejected_logps: Float[Tensor, "n"],
    old_chosen_logps: Float[Tensor, "n"],
    old_rejected_logps: Float[Tensor, "n"],
    chosen_rewards: Float[Tensor, "n"],
    rejected_rewards: Float[Tensor, "n"],
    *,
    epsilon: Scalar = 0.2,
    clip: Literal["separate", "joint"] = "separate",
    reduction: Reduction = "mean",
) -> Tensor:
    r"""PPO on differences of rewards: adding anything to a prompt's rewards changes nothing.

    .. math:: \tfrac{1}{2} \left(\mathrm{sg}[\rho_l]\, \ell(\rho_w, \Delta) + \mathrm{sg}[\rho_w]\, \ell(\rho_l, -\Delta)\right)
        \ \text{ or } \ -\tfrac{1}{2}\, \mathrm{sg}[\rho_w \rho_l] \min(\Delta u, \Delta\,
        \mathrm{clip}(u, -\epsilon, \epsilon)), \qquad \Delta = R_w - R_l, \quad u = \log \frac{\rho_w}{\rho_l}

    with :math:`\rho = \pi / \pi^{\text{old}}` of a whole answer and
    :math:`\ell(\rho, A) = -\min(\rho A, \mathrm{clip}(\rho, 1 - \epsilon, 1 + \epsilon) A)`. Inside the clip both have the
    gradient :math:`-\tfrac{1}{2} \rho_w \rho_l \Delta\, \nabla \log (\pi_w / \pi_l)`: on average over the old policy's pairs,
    that of the expected reward. The value means nothing. Exponents are cut off at 80 in sum (700 in float64).

    Args:
        chosen_logps, rejected_logps: summed log-probabilities of two answers; which is called chosen does not matter.
        old_chosen_logps, old_rejected_logps: the same under the policy that drew them.
        chosen_rewards, rejected_rewards: their rewards, the KL's price already taken off.
        epsilon: in (0, 1], how far a ratio may move.
        clip: "separate" clips each answer's ratio (V1), "joint" the pair's (V2).
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: as in `dpo`; an unknown clip.

    Source: Wu et al. 2023 (arXiv 2310.00212). The pairwise gradient (theorem 1) and that V1 clips separately and V2 jointly
    are the paper's, as summaries of it report; we could not read section 4.2, so where exactly the clip stands is ours.

    >>> a, b = torch.tensor([-1.0]), torch.tensor([-2.0])
    >>> p3o(a, a, a, a, torch.tensor([1.0]), torch.tensor([0.0]))         # -(1 - 1) / 2
    tensor(0.)
    >>> p3o(a, b, a, a, torch.tensor([1.0]), torch.tensor([0.0]), clip="joint")      # u = 1, clipped: -0.2 / (2 e)
    tensor(-0.0368)
    """
    moved = ratios(chosen_logps, rejected_logps, old_chosen_logps, old_rejected_logps)
    gap = chosen_rewards - rejected_rewards
    if clip == "joint":
        pushed = torch.minimum(gap * moved.margin, gap * moved.margin.clamp(min=-epsilon).clamp(max=epsilon))
        return reduce(-capped(moved.chosen + moved.rejected).exp().detach() * pushed / 2, reduction)
    chosen, rejected = (capped(x, 2).exp() for x in moved)
    both = rejected.detach() * clipped(chosen, gap, epsilon) + chosen.detach() * clipped(rejected, -gap, epsilon)
    return reduce(both / 2, reduction)


@checked(sizes={"k": 2}, ranges={"beta": "(0, inf)"})
def sharpened(base_logps: Float[Tensor, "n k"], *, beta: Scalar = 1.0) -> Float[Tensor, "n k"]:
    r"""Where self-reward leads: log-probabilities of :math:`\pi_0^{1 + 1/\beta}`, if the k answers are all there are.

    >>> sharpened(torch.tensor([[0.25, 0.75]]).log()).exp()               # 1/16 and 9/16, normalised
    tensor([[0.1000, 0.9000]])
    """
    return (base_logps * (1 + 1 / beta)).log_softmax(-1)


@preference("2412.01951", oracle="closed form: sft on the likeliest answer", unit="list")
def sharpening(
    logps: Float[Tensor, "n k"],
    base_logps: Float[Tensor, "n k"],
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Self-improvement without a judge: of k own answers, imitate the one that the model itself finds likeliest.

    .. math:: -\log \pi(y_{i^*}), \qquad i^* = \arg\max_i \log \pi_0(y_i), \quad y_i \sim \pi_0

    This is SFT-Sharpening. The RL form rewards with :math:`\log \pi_0`: it is `copg` with `base_logps` as rewards and as
    reference, and ends at :math:`\pi_0^{1 + 1/\beta}`, see `sharpened`.

    Args:
        logps: `(n, k)`, log-probabilities of k answers drawn from the base policy, under the policy that is trained.
        base_logps: `(n, k)`, the same under the base policy; no gradient is taken through them.
        reduction: "none" gives `(n,)`, one value for each group.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, fewer than two answers, log-probabilities above 0.

    Source: Huang et al. 2024 (arXiv 2412.01951), SFT-Sharpening with self-reward log pi_0; the closed form is elementary.

    >>> sharpening(torch.tensor([[-1.0, -2.0]]), torch.tensor([[-3.0, -0.5]]))
    tensor(2.)
    """
    best = base_logps.argmax(-1, keepdim=True)
    return reduce(-logps.gather(-1, best).squeeze(-1), reduction)


@preference(
    "2403.16843", oracle="closed form: regret of known strategies", ranges={"smoothing": "[0, inf)"}, status="reconstructed"
)
def regret_loss(
    logits: Float[Tensor, "n t k"],
    losses: Float[Tensor, "n t k"],
    *,
    smoothing: Scalar = 0.0,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""How much more a player lost in t rounds than the best single action would have.

    .. math:: \sum_t \langle \ell_t, \pi_t \rangle - \min_a \sum_t \ell_t(a), \qquad \pi_t = \mathrm{softmax}(z_t)

    No label says which action was right. It can be negative: a player may change its action, the best action in hindsight
    may not. With smoothing the minimum becomes :math:`-\tau \log \sum_a e^{-L_a / \tau}`, at most :math:`\tau \log k` lower.

    Args:
        logits: `(n, t, k)`, what the player chooses by in each round; they may depend on the losses of earlier rounds only.
        losses: `(n, t, k)`, what each of the k actions costs in each round.
        smoothing: >= 0, the tau above; 0 is the minimum itself.
        reduction: "none" gives `(n,)`, one value for each game.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, fewer than two actions, negative smoothing.

    Source: Park et al. 2024 (arXiv 2403.16843). The regret is the paper's metric; its training loss puts more weight on the
    games with more regret, in a form we could not read: here all games count the same, and the minimum may be smoothed.

    >>> regret_loss(torch.zeros(1, 2, 2), torch.tensor([[[1.0, 0.0], [1.0, 0.0]]]))      # half of 2, against 0
    tensor(1.)
    """
    suffered = (logits.softmax(-1) * losses).sum((-1, -2))
    totals = losses.sum(-2)
    if smoothing == 0:
        return reduce(suffered - totals.amin(-1), reduction)
    return reduce(suffered + smoothing * torch.logsumexp(-totals / smoothing, -1), reduction)
