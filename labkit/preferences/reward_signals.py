"""Rewards that nobody trained: read off language models, counted in the text, or made of other rewards."""

from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from labkit.checks import Scalar
from labkit.preferences.logps import Lengths, per_token
from labkit.registry import checked, meter

reward = partial(meter, unit="example", invariant=frozenset(), sizes={"n": 1, "k": 1})


@reward("2009.01325", oracle="closed form: its optimum is the reference tilted by exp(r / beta)")
def kl_penalized_reward(
    rewards: Float[Tensor, "n"], logps: Float[Tensor, "n"], ref_logps: Float[Tensor, "n"], *, beta: Scalar = 0.05
) -> Float[Tensor, "n"]:
    r"""The reward less a price for leaving the reference: what RLHF maximises.

    .. math:: r - \beta \log \frac{\pi(y \mid x)}{\pi_{\mathrm{ref}}(y \mid x)}

    Its expectation is largest at :math:`\pi \propto \pi_{\mathrm{ref}}\, e^{r / \beta}`, where every answer earns the same.

    Args:
        rewards: a reward model's scores.
        logps, ref_logps: summed log-probabilities of the answers under the policy and the reference.
        beta: > 0.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, integers, log-probabilities above 0, `beta <= 0`.

    Source: Stiennon et al. 2020 (arXiv 2009.01325), section 3.4.

    >>> kl_penalized_reward(torch.tensor([1.0]), torch.tensor([-2.0]), torch.tensor([-4.0]))
    tensor([0.9000])
    """
    return rewards - beta * (logps - ref_logps)


@reward("2402.00742", oracle="closed form: the product of k probabilities")
def log_sigmoid_reward(rewards: Float[Tensor, "n k"], reference_rewards: Float[Tensor, "n k"]) -> Float[Tensor, "n"]:
    r"""Rewards in k respects as one: the log-probability that the answer is good in all of them.

    .. math:: \sum_{i=1}^{k} \log \sigma(r_i - r_i^{\mathrm{ref}})

    It is never above 0 and saturates, so that a poor respect weighs more than a splendid one, and an exploit gains little.

    Args:
        rewards: `(n, k)`, scores of k Bradley-Terry reward models.
        reference_rewards: `(n, k)`, the score in each respect of an answer to the same prompt that is just good enough.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, integers.

    Source: Wang et al. 2024 (arXiv 2402.00742), the log-sigmoid-centred transformation and its sum. They take for a reference a
    quantile of the rewards of the base model's answers.

    >>> log_sigmoid_reward(torch.zeros(1, 2), torch.zeros(1, 2))         # good with probability 1/4
    tensor([-1.3863])
    """
    return F.logsigmoid(rewards - reference_rewards).sum(-1)


@reward("2411.02481", status="reconstructed")
def density_ratio_reward(
    strong_logps: Float[Tensor, "n"], weak_logps: Float[Tensor, "n"], lengths: Lengths | None = None
) -> Float[Tensor, "n"]:
    r"""CDR: how much likelier a better aligned model finds the answer than a worse aligned one.

    .. math:: \log \frac{\pi_{\text{strong}}(y \mid x)}{\pi_{\text{weak}}(y \mid x)}

    With a DPO policy and its reference it is DPO's implicit reward at `beta=1`.

    Args:
        strong_logps, weak_logps: summed log-probabilities of the answers under the two models.
        lengths: numbers of response tokens, to compare answers per token; None compares sums.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, integers, log-probabilities above 0, lengths of 0.

    Source: Xu et al. 2024 (arXiv 2411.02481), from the abstract. `lengths` is ours.

    >>> density_ratio_reward(torch.tensor([-2.0]), torch.tensor([-3.0]))
    tensor([1.])
    """
    return per_token(strong_logps, lengths) - per_token(weak_logps, lengths)


@reward("2409.13948", status="reconstructed")
def follow_up_reward(positive_logps: Float[Tensor, "n k"], negative_logps: Float[Tensor, "n p"]) -> Float[Tensor, "n"]:
    r"""FLR: would a user go on with "That's what I needed", or with "That makes no sense"?

    .. math:: \frac1k \sum_{i=1}^{k} \log p(f_i^{+} \mid x, y) - \frac1p \sum_{j=1}^{p} \log p(f_j^{-} \mid x, y)

    Args:
        positive_logps: `(n, k)`, log-probabilities of k pleased follow-ups after each answer, averaged over their tokens.
        negative_logps: `(n, p)`, the same for p displeased ones.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, integers, log-probabilities above 0.

    Source: Zhang et al. 2024 (arXiv 2409.13948). The official code stores both means and does not subtract them, and what it
    averages are logits, not log-probabilities, read at the last positions of a sequence that ends in the template's own tokens;
    this follows the paper's words.

    >>> follow_up_reward(torch.tensor([[-1.0, -2.0]]), torch.tensor([[-3.0]]))
    tensor([1.5000])
    """
    return positive_logps.mean(-1) - negative_logps.mean(-1)


@reward(
    "2402.03469",
    oracle="naver-ai/rethinking-proxy-reward reward_model.py",
    ranges={"lengths": "[0, inf)", "diversity": "[0, 1]", "longest": "(0, inf)"},
)
def relevance_reward(
    relevance: Float[Tensor, "n"],
    lengths: Lengths,
    diversity: Float[Tensor, "n"],
    factual_mask: Bool[Tensor, "n"] | Int[Tensor, "n"] | None = None,
    *,
    longest: Scalar = 512,
) -> Float[Tensor, "n"]:
    r"""R3: no preferences at all. Be relevant and do not repeat yourself; if the question is open, also be long.

    .. math:: D \cdot \begin{cases} R \cdot L / 100 & \text{open question} \\
        R / 3.5 \cdot L_{\max} / 100 & \text{question with one answer} \end{cases}

    Args:
        relevance: R, similarity of the answer to the prompt, or to a known answer where there is one (0 to 3.5 is usual).
        lengths: >= 0, number of words of each answer.
        diversity: D in [0, 1], from `distinct_ngrams`.
        factual_mask: True where the question has one answer, so that length earns nothing; None is nowhere.
        longest: > 0, the number of words that an answer may have.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, integers, numbers out of range.

    Source: Kim and Seo 2024 (arXiv 2402.03469), official code `ReversedEngineeredRewardForInference`.

    >>> relevance_reward(torch.tensor([1.4, 1.4]), torch.tensor([50, 50]), torch.ones(2), torch.tensor([False, True]))
    tensor([0.7000, 2.0480])
    """
    worth = lengths.to(relevance) / 100
    if factual_mask is not None:
        worth = torch.where(factual_mask.bool(), longest / 350, worth)
    return relevance * worth * diversity


@checked(ranges={"k": "[1, inf)"})
def distinct_ngrams(
    tokens: Int[Tensor, "n t"], mask: Bool[Tensor, "n t"] | Int[Tensor, "n t"], *, k: int = 3
) -> Float[Tensor, "n"]:
    """The share of each answer's runs of k marked tokens that are not repeats; 1 where there are none.

    >>> distinct_ngrams(torch.tensor([[1, 2, 1, 2, 1]]), torch.ones(1, 5).bool(), k=2)       # 12 21 12 21
    tensor([0.5000])
    """
    answers = [row[marked].tolist() for row, marked in zip(tokens, mask.bool(), strict=True)]
    runs = [list(zip(*(answer[i:] for i in range(k)), strict=False)) for answer in answers]
    return torch.tensor([len(set(r)) / len(r) if r else 1.0 for r in runs], device=tokens.device)


@reward("2401.06080")
def preference_strength(
    chosen_rewards: Float[Tensor, "n k"], rejected_rewards: Float[Tensor, "n k"], *, form: Literal["mean", "std"] = "mean"
) -> Float[Tensor, "n"]:
    r"""What k reward models, trained alike but for chance, say of each comparison: how strong it is, and how sure they are.

    .. math:: \hat\mu = \frac1k \sum_{m=1}^{k} d_m, \quad \hat\sigma^2 = \frac1k \sum_{m=1}^{k} (d_m - \hat\mu)^2,
        \qquad d_m = r_m(x, y_w) - r_m(x, y_l)

    Below 0 the label is probably wrong: swap the answers, or smooth the label. Above 0 it is a `margin` for `bradley_terry`.

    Args:
        chosen_rewards, rejected_rewards: `(n, k)`, scores by k reward models.
        form: "mean" for the strength, "std" for the disagreement.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, integers.

    Source: Wang et al. 2024 (Secrets of RLHF II, arXiv 2401.06080), eq. 4, with k = 10.

    >>> preference_strength(torch.tensor([[1.0, 3.0]]), torch.zeros(1, 2))
    tensor([2.])
    """
    gaps = chosen_rewards - rejected_rewards
    return gaps.mean(-1) if form == "mean" else gaps.std(-1, correction=0)
