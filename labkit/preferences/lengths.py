"""The margin when answers differ in length: a sum of log-probabilities grows with the number of its tokens."""

from jaxtyping import Float
from torch import Tensor

from labkit import link
from labkit.checks import Reduction, Scalar
from labkit.contrast import reduce
from labkit.link import ratios
from labkit.preferences.logps import Lengths, per_token
from labkit.registry import preference


@preference("2310.12036", oracle="trl 1.16.0 DPOTrainer, ipo")
def ipo_norm(
    chosen_logps: Float[Tensor, "n"],
    rejected_logps: Float[Tensor, "n"],
    ref_chosen_logps: Float[Tensor, "n"],
    ref_rejected_logps: Float[Tensor, "n"],
    chosen_lengths: Lengths,
    rejected_lengths: Lengths,
    *,
    beta: Scalar = 0.1,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""IPO on log-ratios per token: what TRL and HALOs train when they are asked for "ipo".

    .. math:: \left(\frac{h_w}{|w|} - \frac{h_l}{|l|} - \frac{1}{2\beta}\right)^2

    At lengths 1 it is `ipo`. The same `beta` asks for a far larger change here, because the target is per token.

    Args:
        chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps: as in `dpo`, summed over tokens.
        chosen_lengths, rejected_lengths: > 0, the answers' numbers of tokens.
        beta: > 0, the paper's tau.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: as in `dpo`; lengths that are not > 0.

    Source: TRL's `loss_type="ipo"`, which says that the authors of Azar et al. 2023 (arXiv 2310.12036) confirmed it; the
    paper's eq. 17 has no lengths and is `ipo`.

    >>> two = torch.tensor([2])
    >>> ipo_norm(torch.tensor([-1.0]), torch.tensor([-3.0]), torch.tensor([-2.0]), torch.tensor([-2.0]), two, two)   # (1 - 5)^2
    tensor(16.)
    """
    r = ratios(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps)
    margin = per_token(r.chosen, chosen_lengths) - per_token(r.rejected, rejected_lengths)
    return reduce(link.squared(margin, 1 / (2 * beta)), reduction)


@preference("2405.14734", oracle="trl 1.16.0 DPOTrainer, sigmoid_norm")
def dpo_norm(
    chosen_logps: Float[Tensor, "n"],
    rejected_logps: Float[Tensor, "n"],
    ref_chosen_logps: Float[Tensor, "n"],
    ref_rejected_logps: Float[Tensor, "n"],
    chosen_lengths: Lengths,
    rejected_lengths: Lengths,
    *,
    beta: Scalar = 0.1,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""DPO on log-ratios per token.

    .. math:: -\log \sigma\!\left(\beta \left[\frac{h_w}{|w|} - \frac{h_l}{|l|}\right]\right)

    At lengths 1 it is `dpo`; with a uniform reference and `gamma=0` it is `simpo`.

    Args:
        chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps: as in `dpo`, summed over tokens.
        chosen_lengths, rejected_lengths: > 0, the answers' numbers of tokens.
        beta: > 0; values of SimPO's size, 2 and more, make up for the division.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: as in `dpo`; lengths that are not > 0.

    Source: TRL's `loss_type="sigmoid_norm"`, after the normalisation of Meng et al. 2024 (SimPO, arXiv 2405.14734).

    >>> two = torch.tensor([2])
    >>> dpo_norm(torch.tensor([-1.0]), torch.tensor([-3.0]), torch.tensor([-2.0]), torch.tensor([-2.0]), two, two)
    tensor(0.6444)
    """
    r = ratios(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps)
    margin = per_token(r.chosen, chosen_lengths) - per_token(r.rejected, rejected_lengths)
    return reduce(link.logistic(beta * margin), reduction)


@preference("2403.19159", oracle="HumainLab/Understand_MarginPO, rdpo", ranges={"alpha": "[0, inf)"})
def r_dpo(
    chosen_logps: Float[Tensor, "n"],
    rejected_logps: Float[Tensor, "n"],
    ref_chosen_logps: Float[Tensor, "n"],
    ref_rejected_logps: Float[Tensor, "n"],
    chosen_lengths: Lengths,
    rejected_lengths: Lengths,
    *,
    beta: Scalar = 0.1,
    alpha: Scalar = 0.2,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""DPO in which a longer answer owes its reward a price per token.

    .. math:: -\log \sigma\!\left(\beta (h_w - h_l) + \alpha (|w| - |l|)\right)

    The sign follows from the penalty: if the reward is the rated one minus `alpha` a token, the rating that explains a pair is
    `beta * h + alpha * length`. A pair whose chosen answer is the longer one counts as explained by that much, and pushes less.
    At equal lengths it is `dpo`.

    Args:
        chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps: as in `dpo`, summed over tokens.
        chosen_lengths, rejected_lengths: > 0, the answers' numbers of tokens.
        beta: > 0.
        alpha: >= 0, price of a token; the paper tries 0.005 and 0.01 on dialogues, 0.2 and 0.5 on summaries.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: as in `dpo`; lengths that are not > 0.

    Source: Park et al. 2024 (arXiv 2403.19159); sign and 0.2 as in HumainLab/Understand_MarginPO `rdpo`, which computes the
    price in float32 (4e-7).

    >>> a, b = torch.tensor([-1.0]), torch.tensor([-2.0])
    >>> r_dpo(a, b, a, b, torch.tensor([15]), torch.tensor([5]))         # -log sigmoid(0.2 * 10)
    tensor(0.1269)
    """
    margin = ratios(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps).margin
    longer = chosen_lengths.to(margin) - rejected_lengths.to(margin)
    return reduce(link.logistic(beta * margin + alpha * longer), reduction)


@preference(
    "2501.03884", oracle="trl 1.16.0 CPOTrainer, simpo with alpha", ranges={"gamma": "(-inf, inf)", "alpha": "(-inf, inf)"}
)
def alpha_po(
    chosen_logps: Float[Tensor, "n"],
    rejected_logps: Float[Tensor, "n"],
    chosen_lengths: Lengths,
    rejected_lengths: Lengths,
    *,
    beta: Scalar = 2.5,
    gamma: Scalar = 0.1,
    alpha: Scalar = 0.25,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""SimPO with a reward that is bent, so that an answer's own probability matters and not the margin alone.

    .. math:: -\log \sigma(\beta (r_w - r_l) - \gamma), \qquad r = \frac{1 - \bar\pi^{-\alpha}}{\alpha}, \quad
        \bar\pi = \pi^{1 / \text{length}}

    With `alpha > 0` a pair is the harder to settle the likelier both of its answers are. As `alpha` goes to 0 it is `simpo`.

    Args:
        chosen_logps, rejected_logps: summed log-probabilities of the answers under the policy.
        chosen_lengths, rejected_lengths: > 0, their numbers of tokens.
        beta: > 0.
        gamma: the distance, absolute as in `simpo`.
        alpha: how far the reward is bent, and to which side.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: as in `simpo`.

    Source: Gupta et al. 2025 (AlphaPO, arXiv 2501.03884), with its settings for Mistral-Instruct; TRL's CPOTrainer,
    `loss_type="alphapo"`. The reward is `link.score` of the alpha-divergence at 1 - alpha, without a reference.

    >>> one = torch.tensor([1])
    >>> alpha_po(torch.tensor([-1.0]), torch.tensor([-2.0]), one, one)   # rewards -1.1361 and -2.5949
    tensor(0.0284)
    """
    chosen, rejected = per_token(chosen_logps, chosen_lengths), per_token(rejected_logps, rejected_lengths)
    gap = link.score(chosen, "alpha", 1 - alpha) - link.score(rejected, "alpha", 1 - alpha)
    return reduce(link.logistic(beta * gap - gamma), reduction)
