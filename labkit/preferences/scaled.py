"""DPO with the scale taken apart: another one for each answer, for the reference, for each pair, for each divergence."""

from jaxtyping import Float
from torch import Tensor

from labkit import link
from labkit.checks import Reduction, Scalar
from labkit.contrast import reduce
from labkit.link import Divergence, ratios
from labkit.registry import preference


@preference(
    "2406.07327",
    oracle="closed form: dpo at equal betas",
    ranges={"beta_w": "(0, inf)", "beta_l": "[0, inf)"},
    status="reconstructed",
)
def flex_dpo(
    chosen_logps: Float[Tensor, "n"],
    rejected_logps: Float[Tensor, "n"],
    ref_chosen_logps: Float[Tensor, "n"],
    ref_rejected_logps: Float[Tensor, "n"],
    *,
    beta_w: Scalar = 0.1,
    beta_l: Scalar = 0.08,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""DPO that pushes the rejected answer down less hard than it pulls the chosen one up.

    .. math:: -\log \sigma(\beta_w h_w - \beta_l h_l)

    The two gradients stand to each other as `beta_w` to `beta_l`; at equal betas it is `dpo`. It no longer sees the margin
    alone: lowering both answers by the same amount costs `beta_w - beta_l` a nat.

    Args:
        chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps: as in `dpo`.
        beta_w: > 0, scale of the chosen answer's log-ratio.
        beta_l: >= 0, scale of the rejected answer's; the authors lower it from 0.1 and find 0.08 best.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: as in `dpo`.

    Source: Yan et al. 2024 (3D-properties, arXiv 2406.07327), Flex-DPO, from public reviews that describe its two fixed betas
    and their figure 4; there is no official code.

    >>> flex_dpo(torch.tensor([-1.0]), torch.tensor([-3.0]), torch.tensor([-2.0]), torch.tensor([-2.0]))   # 0.1 + 0.08
    tensor(0.6072)
    """
    r = ratios(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps)
    return reduce(link.logistic(beta_w * r.chosen - beta_l * r.rejected), reduction)


@preference("2405.19534", oracle="angie-chen55/pref-learning-ranking-acc dpo_loss, alpha_scaling", ranges={"alpha": "[0, inf)"})
def alpha_scaled_dpo(
    chosen_logps: Float[Tensor, "n"],
    rejected_logps: Float[Tensor, "n"],
    ref_chosen_logps: Float[Tensor, "n"],
    ref_rejected_logps: Float[Tensor, "n"],
    *,
    beta: Scalar = 0.1,
    alpha: Scalar = 0.1,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""DPO that trusts its reference only so far, so that a reference which ranks a pair wrongly is easier to overrule.

    .. math:: -\log \sigma\!\left(\beta \left[(\log \pi_w - \log \pi_l) - \alpha (\log \rho_w - \log \rho_l)\right]\right)

    where :math:`\rho` is the reference. At `alpha=1` it is `dpo`, at 0 `cpo` without its imitation term.

    Args:
        chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps: as in `dpo`.
        beta: > 0.
        alpha: >= 0, how much of the reference's own margin counts.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: as in `dpo`.

    Source: Chen et al. 2024 (arXiv 2405.19534); official code angie-chen55/pref-learning-ranking-acc, `alpha_scaling`.

    >>> alpha_scaled_dpo(torch.tensor([-1.0]), torch.tensor([-3.0]), torch.tensor([-5.0]), torch.tensor([-2.0]))   # 0.1 * 2.3
    tensor(0.5847)
    """
    r = ratios(chosen_logps, rejected_logps, alpha * ref_chosen_logps, alpha * ref_rejected_logps)
    return reduce(link.logistic(beta * r.margin), reduction)


@preference("2502.10391", oracle="Kwai-YuanQi/MM-RLHF dpo_loss", ranges={"k": "(0, inf)"})
def mm_dpo(
    chosen_logps: Float[Tensor, "n"],
    rejected_logps: Float[Tensor, "n"],
    ref_chosen_logps: Float[Tensor, "n"],
    ref_rejected_logps: Float[Tensor, "n"],
    reward_margin: Float[Tensor, "n"],
    *,
    beta: Scalar = 0.1,
    weight: Scalar = 0.5,
    k: Scalar = 0.5,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""DPO whose beta grows with how far a reward model holds the two answers apart.

    .. math:: -\log \sigma(\beta(\delta)\, (h_w - h_l)), \qquad
        \beta(\delta) = \max\!\left(10^{-3},\ \beta \left[1 + w (1 - e^{-k \delta})\right]\right)

    No gradient flows through the reward margin :math:`\delta`. At `weight=0` it is `dpo`.

    Args:
        chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps: as in `dpo`.
        reward_margin: the reward model's score of the chosen answer minus that of the rejected one; below 0 where it disagrees,
            and then beta is smaller than given.
        beta: > 0, for a margin of 0.
        weight: >= 0, the paper's w: beta never exceeds `beta * (1 + weight)`.
        k: > 0, how soon a margin counts in full.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: as in `dpo`.

    Source: Zhang et al. 2025 (MM-RLHF, arXiv 2502.10391), eq. 5, from public notes that quote it. The official `dpo_loss` takes
    `1 - exp(-k delta)` from the data as `ls_factor` and holds beta at 1e-3 and above, as here. With its default
    `implicit_beta=True` it uses other betas, from pairs drawn at random; this is the paper's formula, `implicit_beta=False`.

    >>> a, b, two = torch.tensor([-1.0]), torch.tensor([-3.0]), torch.tensor([-2.0])
    >>> mm_dpo(a, b, two, two, torch.tensor([4.0]))   # beta 0.1432 instead of 0.1
    tensor(0.5601)
    """
    sure = -(-k * reward_margin.detach()).clamp(max=80).expm1()  # cut off where beta has long reached its floor
    margin = ratios(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps).margin
    return reduce(link.logistic((beta * (1 + weight * sure)).clamp(min=1e-3) * margin), reduction)


@preference("2309.16240", oracle="trl 0.11.4 and 1.16.0 DPOTrainer, f_divergence_type", ranges={"alpha": "(-inf, inf)"})
def f_dpo(
    chosen_logps: Float[Tensor, "n"],
    rejected_logps: Float[Tensor, "n"],
    ref_chosen_logps: Float[Tensor, "n"],
    ref_rejected_logps: Float[Tensor, "n"],
    *,
    beta: Scalar = 0.1,
    divergence: Divergence = "reverse_kl",
    alpha: Scalar = 0.5,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""DPO for a policy that another divergence than the reverse KL holds to its reference.

    .. math:: -\log \sigma\!\left(\beta \left[f'(e^{h_w}) - f'(e^{h_l})\right]\right)

    With "reverse_kl", :math:`f'(e^h) = h`, it is `dpo`; the others are in `labkit.link.score`. They see more than the margin:
    "js" stops rewarding an answer that has risen far, "forward_kl" punishes without limit one that falls.

    Args:
        chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps: as in `dpo`.
        beta: > 0.
        divergence: "reverse_kl", "forward_kl", "js" or "alpha".
        alpha: of "alpha" alone; reverse_kl at 1, forward_kl at 0. It is TRL 1.16's, and 1 minus the paper's and TRL 0.11's.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: as in `dpo`; another divergence.

    Source: Wang et al. 2023 (f-DPO, arXiv 2309.16240); TRL's `f_divergence_type`. TRL 1.16 cuts the exponent of "alpha" off at
    80 and not that of "forward_kl"; here both are cut off, at 80 in single precision and 700 in double.

    >>> f_dpo(torch.tensor([-1.0]), torch.tensor([-3.0]), torch.tensor([-2.0]), torch.tensor([-2.0]), divergence="forward_kl")
    tensor(0.5825)
    """
    r = ratios(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps)
    gap = link.score(r.chosen, divergence, alpha) - link.score(r.rejected, divergence, alpha)
    return reduce(link.logistic(beta * gap), reduction)
