"""Where the probability is: both answers and everything else, the likeliest tokens, and which answer a loss pushes harder."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from labkit.registry import checked, meter


class Thirds(NamedTuple):
    """Log-probabilities of the chosen answer, the rejected one, and everything else that could have been said."""

    chosen: Float[Tensor, "*n"]
    rejected: Float[Tensor, "*n"]
    rest: Float[Tensor, "*n"]


@checked()
def three_parts(chosen_logps: Float[Tensor, "n"], rejected_logps: Float[Tensor, "n"]) -> Thirds:
    """All the probability, in three parts: when both answers fall, the third rises.

    For real sentences the two answers hold so little that the third part stays near log 1 = 0 whatever happens; ask `receivers`
    then. It is `-inf` where nothing else can be said.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, two answers with a probability above 1 together.

    >>> three_parts(torch.tensor([0.3]).log(), torch.tensor([0.5]).log()).rest.exp()
    tensor([0.2000])
    """
    both = torch.logaddexp(chosen_logps.double(), rejected_logps.double())
    if (both > 1e-6).any():
        raise ValueError(
            "chosen_logps and rejected_logps have a probability above 1 together; are they summed, and of two answers?"
        )
    rest = torch.log(-torch.expm1(both.clamp(max=0)))
    return Thirds(chosen_logps, rejected_logps, rest.to(chosen_logps.dtype))


@meter("2410.11677", unit="position", invariant=frozenset(), sizes={"n": 1}, status="reconstructed")
def top_k_mass(logps: Float[Tensor, "n v"], *, k: int = 10) -> Float[Tensor, "n"]:
    r"""How much probability the k likeliest tokens hold together. When it falls, the policy disperses.

    .. math:: \sum_{i \le k} p_{(i)}

    Args:
        logps: log-probabilities (or logits) of every token, one row a position.
        k: >= 1; all tokens if there are fewer.

    Raises:
        ValueError, TypeError: NaN, integers, `k < 1`.

    Source: Shi et al. 2024 (arXiv 2410.11677), an indicator of over-optimisation; from the abstract, which names no k.

    >>> top_k_mass(torch.tensor([[0.5, 0.3, 0.2]]).log(), k=2)
    tensor([0.8000])
    """
    return logps.softmax(-1).topk(min(k, logps.shape[-1]), dim=-1).values.sum(-1)


@meter("2410.11677", unit="position", invariant=frozenset(), sizes={"n": 1}, status="reconstructed")
def top_k_entropy(logps: Float[Tensor, "n v"], *, k: int = 10) -> Float[Tensor, "n"]:
    r"""The entropy among the k likeliest tokens, in nats. When it falls, the policy has fewer ways to go on.

    .. math:: -\sum_{i \le k} \tilde p_{(i)} \log \tilde p_{(i)}, \qquad \tilde p_{(i)} = p_{(i)} \Big/ \sum_{j \le k} p_{(j)}

    Args:
        logps: log-probabilities (or logits) of every token, one row a position.
        k: >= 1; all tokens if there are fewer.

    Raises:
        ValueError, TypeError: NaN, integers, `k < 1`.

    Source: Shi et al. 2024 (arXiv 2410.11677), an indicator of over-optimisation; from the abstract, which names neither k nor
    whether the k probabilities are made to sum to 1. Here they are.

    >>> top_k_entropy(torch.tensor([[0.4, 0.4, 0.2]]).log(), k=2)        # two equal ones: log 2
    tensor([0.6931])
    """
    top = logps.topk(min(k, logps.shape[-1]), dim=-1).values.log_softmax(-1)
    return -(top.exp() * top).sum(-1)


@meter("2406.07327", unit="pair", invariant=frozenset(), sizes={"n": 1})
def gradient_imbalance(chosen_logps: Float[Tensor, "n"], rejected_logps: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
    r"""How much harder a margin loss pushes the rejected probability down than the chosen one up: the log of the ratio.

    .. math:: \log \frac{\left| \partial \ell / \partial \pi(y^-) \right|}{\left| \partial \ell / \partial \pi(y^+) \right|}
        = \log \pi(y^+) - \log \pi(y^-)

    It grows as the rejected answer vanishes: the less there is of it, the more the loss cares. The ratio itself would overflow.

    Args:
        chosen_logps, rejected_logps: summed log-probabilities under the policy.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, integers.

    Source: Yan et al. 2024 (arXiv 2406.07327), the gradients of DPO in the probabilities; holds for any loss of the margin.

    >>> gradient_imbalance(torch.tensor([0.4]).log(), torch.tensor([0.1]).log()).exp()
    tensor([4.])
    """
    return chosen_logps - rejected_logps
