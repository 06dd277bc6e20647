"""DPO with labels that are more than right or wrong: how consistent, how much better, how far degraded."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from labkit import link
from labkit.checks import Reduction, Scalar
from labkit.contrast import reduce
from labkit.link import ratios
from labkit.registry import checked, preference


@preference("2410.12735", oracle="Raibows/CREAM sft_dpo_trainer", ranges={"consistency": "[0, 1]"})
def cream(
    chosen_logps: Float[Tensor, "n"],
    rejected_logps: Float[Tensor, "n"],
    ref_chosen_logps: Float[Tensor, "n"],
    ref_rejected_logps: Float[Tensor, "n"],
    consistency: Float[Tensor, "n"],
    *,
    beta: Scalar = 0.1,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""DPO on labels that a model gave itself, each believed as far as its last two versions agree.

    .. math:: -C \log \sigma(\beta (h_w - h_l)) - (1 - C) \log \sigma(-\beta (h_w - h_l))

    It is cDPO with a label smoothing of its own, 1 - C, for each pair; below one half a pair is learned the other way round.

    Args:
        chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps: as in `dpo`.
        consistency: in [0, 1], C; `rank_consistency` measures it. The authors' main variant gives every pair the data's mean.
        beta: > 0.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: as in `dpo`; a consistency outside of [0, 1].

    Source: Wang et al. 2024 (arXiv 2410.12735); official code Raibows/CREAM.

    >>> a, b, two = torch.tensor([-1.0]), torch.tensor([-3.0]), torch.tensor([-2.0])
    >>> cream(a, b, two, two, torch.tensor([0.75]))   # 0.75 of 0.5981 and 0.25 of 0.7981
    tensor(0.6481)
    """
    margin = ratios(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps).margin
    return reduce(link.logistic(beta * margin, 1 - consistency), reduction)


@checked(sizes={"k": 2})
def rank_consistency(scores: Float[Tensor, "n k"], other_scores: Float[Tensor, "n k"]) -> Float[Tensor, "n"]:
    """How alike two judges rank k candidates: Kendall's tau, moved to [0, 1]. Of equal scores the later one ranks higher.

    >>> scores = torch.tensor([[0.1, 0.5, 0.9]])
    >>> rank_consistency(scores, torch.tensor([[3.0, 7.0, 5.0]]))        # two of three pairs in the same order
    tensor([0.6667])
    """
    mine, theirs = (x.argsort(dim=-1, stable=True).argsort(-1) for x in (scores, other_scores))
    first, second = torch.triu_indices(scores.shape[-1], scores.shape[-1], offset=1, device=scores.device)
    agree = (mine[:, first] < mine[:, second]) == (theirs[:, first] < theirs[:, second])
    return agree.to(scores.dtype).mean(-1)


@preference(
    "2407.12164",
    oracle="andrew-miao/RPO train.py",
    ranges={"preferred": "[0, 1]"},
)
def harmonic_rpo(
    chosen_errors: Float[Tensor, "n"],
    rejected_errors: Float[Tensor, "n"],
    ref_chosen_errors: Float[Tensor, "n"],
    ref_rejected_errors: Float[Tensor, "n"],
    preferred: Float[Tensor, "n"],
    *,
    sft: Scalar = 1.0,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""DPO for a diffusion model: denoising errors take the place of log-probabilities, and the label is a probability.

    .. math:: e_w - p \log \sigma(z) - (1 - p) \log \sigma(-z), \qquad z = (e^\rho_w - e_w) - (e^\rho_l - e_l)

    with the error e of the model and :math:`e^\rho` of its reference. The first term is imitation of the chosen picture.

    Args:
        chosen_errors, rejected_errors: >= 0, the model's denoising errors of the subject's own and of the generated picture.
        ref_chosen_errors, ref_rejected_errors: the same of the frozen model.
        preferred: in [0, 1], the probability p that the first picture is the better one, `sigmoid` of the difference of their
            `harmonic_reward`s. The official code draws a label of 0 or 1 with this probability.
        sft: >= 0, weight of the imitation.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, errors below 0, a probability outside of [0, 1].

    Source: Miao et al. 2024 (RPO with the lambda-harmonic reward, arXiv 2407.12164); official code andrew-miao/RPO. It has no
    beta, and is not the RPO of arXiv 2405.16436.

    >>> one = torch.tensor([1.0])
    >>> harmonic_rpo(0.5 * one, one, one, one, one)   # 0.5 - log sigmoid(0.5)
    tensor(0.9741)
    """
    gained = ratios(-chosen_errors, -rejected_errors, -ref_chosen_errors, -ref_rejected_errors).margin
    return reduce(sft * chosen_errors + link.logistic(gained, 1 - preferred), reduction)


@checked(ranges={"image_similarity": "[0, inf)", "text_similarity": "[0, inf)", "lambda_": "[0, 1]"})
def harmonic_reward(
    image_similarity: Float[Tensor, "n"], text_similarity: Float[Tensor, "n"], *, lambda_: Scalar = 0.3, epsilon: Scalar = 1e-8
) -> Float[Tensor, "n"]:
    """The weighted harmonic mean of two similarities: low where either is low, so that none can be bought with the other.

    Args:
        image_similarity: >= 0, of the picture to the subject; from a cosine it is `(1 + cosine) / 2`.
        text_similarity: >= 0, of the picture to the prompt.
        lambda_: in [0, 1], weight of the subject.
        epsilon: > 0, added to both as in the official code.

    >>> harmonic_reward(torch.tensor([0.9]), torch.tensor([0.1]), lambda_=0.5)
    tensor([0.1800])
    """
    return 1 / (lambda_ / (image_similarity + epsilon) + (1 - lambda_) / (text_similarity + epsilon))


@preference("2409.17791", oracle="closed form: dpo plus a cross-entropy", ranges={"gamma": "[0, inf)"}, status="reconstructed")
def spo(
    chosen_logps: Float[Tensor, "n"],
    rejected_logps: Float[Tensor, "n"],
    ref_chosen_logps: Float[Tensor, "n"],
    ref_rejected_logps: Float[Tensor, "n"],
    degree_logits: Float[Tensor, "n k"],
    degrees: Int[Tensor, "n"],
    *,
    beta: Scalar = 0.1,
    gamma: Scalar = 0.1,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""DPO, while a head on the policy must tell how much of an answer's key content was taken out.

    .. math:: -\log \sigma(\beta (h_w - h_l)) - \gamma \log \mathrm{softmax}(q)_c

    At `gamma=0` it is `dpo`.

    Args:
        chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps: as in `dpo`.
        degree_logits: `(n, k)`, q, what a classifier on the policy's states says of a degraded answer.
        degrees: in 0 ... k - 1, c, how much was really removed.
        beta: > 0.
        gamma: >= 0, weight of the classification. The default is ours.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: as in `dpo`; degrees that `degree_logits` has no column for.

    Source: Li et al. 2024 (Self-supervised Preference Optimization, arXiv 2409.17791), from its abstract: responses with
    selected content removed are classified by degree, and that loss is added to the alignment loss. The official repository
    holds no code. Two other losses are called SPO.

    >>> a = torch.tensor([-1.0])
    >>> spo(a, a, a, a, torch.zeros(1, 4), torch.tensor([2]))            # log 2 + 0.1 log 4
    tensor(0.8318)
    """
    if degrees.min() < 0 or degrees.max() >= degree_logits.shape[-1]:
        raise ValueError(f"degrees must be in [0, {degree_logits.shape[-1]}), got {degrees.min()} to {degrees.max()}")
    margin = ratios(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps).margin
    told = F.cross_entropy(degree_logits, degrees.long(), reduction="none")
    return reduce(link.logistic(beta * margin) + gamma * told, reduction)
