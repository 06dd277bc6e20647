"""Reward models with a structure: a goal in feature space, users with tastes of their own, a teacher that is weaker."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from labkit.checks import Reduction, Scalar
from labkit.contrast import reduce
from labkit.directions import unit
from labkit.link import logistic
from labkit.registry import preference


@preference("2407.13887", oracle="vaskarnathscale/goal-conditioned-rm ContrastiveGoalLoss")
def goal_conditioned(
    chosen_rewards: Float[Tensor, "n"],
    rejected_rewards: Float[Tensor, "n"],
    states: Float[Tensor, "n s d"],
    goals: Float[Tensor, "n t d"],
    rejected_goals: Float[Tensor, "n p d"],
    *,
    weight: Scalar = 0.5,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""A reward model whose features on the way resemble where the chosen answer ends, not where the rejected one does.

    .. math:: -\log \sigma(r_w - r_l) - \beta \left[\log A(h, g_w) + \log (1 - A(h, g_l))\right],
        \qquad A(h, g) = \frac{1}{st} \sum_{i, j} \sigma(\cos(h_i, g_j))

    Args:
        chosen_rewards, rejected_rewards: a reward model's scores.
        states: `(n, s, d)`, features at s tokens of each chosen answer; L2-normalised inside.
        goals: `(n, t, d)`, features at later tokens of the same answer.
        rejected_goals: `(n, p, d)`, features at tokens of the rejected one.
        weight: >= 0, the paper's beta.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, integers, `weight < 0`.

    Source: Nath et al. 2024 (arXiv 2407.13887). The official code draws 16 tokens of each kind by chance, other `states` for
    the second term, and averages A over a batch, which is one answer in its script; here they are given, and A is per answer.

    >>> zero, h = torch.zeros(1), torch.ones(1, 1, 2)
    >>> goal_conditioned(zero, zero, h, h, -h)        # log 2 - 0.5 * 2 log sigmoid(1)
    tensor(1.0064)
    """
    own, other = agreement(states, goals), agreement(states, rejected_goals)
    return reduce(logistic(chosen_rewards - rejected_rewards) - weight * (own.log() + torch.log1p(-other)), reduction)


def agreement(a: Float[Tensor, "n s d"], b: Float[Tensor, "n t d"]) -> Float[Tensor, "n"]:
    return torch.sigmoid(unit(a) @ unit(b).mT).mean((-1, -2))


@preference(
    "2406.08469", oracle="RamyaLab/pluralistic-alignment learner.py", sizes={"k": 1}, ranges={"temperature": "(0, inf)"}
)
def pal(
    chosen_features: Float[Tensor, "n d"],
    rejected_features: Float[Tensor, "n d"],
    user_logits: Float[Tensor, "n k"],
    prototypes: Float[Tensor, "k d"] | Float[Tensor, "n k d"],
    *,
    form: Literal["distance", "angle"] = "distance",
    temperature: Scalar = 1.0,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Each user has an ideal point, a mixture of k prototypes, and prefers the answer that is nearer to it.

    .. math:: -\log \sigma\!\left(\frac{c(f_w, a) - c(f_l, a)}{\tau}\right), \qquad a = \sum_{k} \mathrm{softmax}(u)_k\, p_k

    with :math:`c(f, a) = -\lVert f - a \rVert` ("distance", PAL-A) or :math:`\cos(f, a)` ("angle", PAL-B). One prototype is one
    taste for all: it is right on exactly half of what two opposite users say.

    Args:
        chosen_features, rejected_features: `(n, d)`, of the answer that this user chose, and of the other.
        user_logits: `(n, k)`, learned for each user: row i is that of the user who made comparison i.
        prototypes: `(k, d)`; or `(n, k, d)` where they depend on the prompt, as in PAL-B.
        form: how nearness is measured.
        temperature: > 0; the official angle form learns it, from 0.07 on and never below 0.01.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, integers, `temperature <= 0`.

    Source: Chen et al. 2024 (arXiv 2406.08469). The official code has this logistic link among others (hinge is the default of
    its distance form) and can weight each user by one over their number of comparisons: weight what reduction="none" returns.

    >>> chosen, rejected = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 0.0]])
    >>> pal(chosen, rejected, torch.zeros(1, 1), torch.tensor([[1.0, 0.0]]))      # distances 0 and 1
    tensor(0.3133)
    """
    ideal = (user_logits.softmax(-1)[..., None] * prototypes).sum(-2)
    return reduce(
        logistic((near(chosen_features, ideal, form) - near(rejected_features, ideal, form)) / temperature), reduction
    )


def near(features: Float[Tensor, "n d"], ideal: Float[Tensor, "n d"], form: str) -> Float[Tensor, "n"]:
    return -(features - ideal).norm(dim=-1) if form == "distance" else (unit(features) * unit(ideal)).sum(-1)


@preference(
    "2406.11431",
    oracle="keven980716/weak-to-strong-deception logconf_loss_fn",
    ranges=dict.fromkeys(("confidence", "progress", "warmup"), "[0, 1]"),
)
def weak_to_strong(
    logits: Float[Tensor, "n"],
    weak_logits: Float[Tensor, "n"],
    *,
    confidence: Scalar = 0.5,
    progress: Scalar = 1.0,
    warmup: Scalar = 0.1,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""A strong model learns from a weak one's labels, and in part from its own mind made up.

    .. math:: -t \log \sigma(z) - (1 - t) \log \sigma(-z), \qquad t = (1 - c)\, \sigma(w) + c\, [\sigma(z) \ge q]

    where q is the quantile of the batch's :math:`\sigma(z)` that leaves as many "yes" as the weak model says on average. The
    values depend on the batch through it; no gradient flows through it.

    Args:
        logits: the strong model's z, how sure it is that the first of two answers is the better one.
        weak_logits: the weak teacher's w.
        confidence: in [0, 1], the weight c of the model's own hardened answers.
        progress: in [0, 1], the share of training that is done. Up to `warmup`, c is `confidence * progress`.
        warmup: in [0, 1]; beyond it c is `confidence`, in one step, as in the official code.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, integers, numbers out of range.

    Source: Yang et al. 2024 (arXiv 2406.11431), which takes the loss and its code from Burns et al. 2023 (arXiv 2312.09390).

    >>> weak_to_strong(torch.tensor([2.0, -2.0]), torch.zeros(2), confidence=0.5)     # its own answers count for half
    tensor(0.6269)
    """
    weak, strong = torch.sigmoid(weak_logits), torch.sigmoid(logits.detach())
    certain = (strong >= torch.quantile(strong, 1 - weak.mean().detach())).to(logits)
    own = confidence * (1 if progress > warmup else progress)
    return reduce(logistic(logits, 1 - ((1 - own) * weak + own * certain)), reduction)
