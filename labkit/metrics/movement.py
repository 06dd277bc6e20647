"""What preference training moved: did the chosen answer fall, could one have known, and who took the probability?"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from labkit.registry import checked, meter

PART = 2**16  # numbers of states at a time: half a MiB in float64, which the cache holds


@meter(
    "2410.08847", oracle="princeton-nlp/unintentional-unalignment ches.py", unit="pair", invariant=frozenset(), sizes={"n": 1}
)
def ches(
    chosen_hidden: Float[Tensor, "n t d"],
    rejected_hidden: Float[Tensor, "n s d"],
    chosen_mask: Bool[Tensor, "n t"] | Int[Tensor, "n t"],
    rejected_mask: Bool[Tensor, "n s"] | Int[Tensor, "n s"],
    *,
    length_normalized: bool = False,
) -> Float[Tensor, "n"]:
    r"""The centred hidden-embedding similarity of two answers: larger when the rejected one looks like the chosen one.

    .. math:: \langle S^+, S^- \rangle - \lVert S^+ \rVert^2, \qquad S^\pm = \sum_{k\ \text{marked}} h_k^\pm

    With `length_normalized`, sums become means (ln-CHES). 0 for equal answers, and for every pair of single-token answers to
    one prompt: it says nothing about "No" against "Never". The raw score grows with the difference in length, so it compares
    pairs of equal lengths only.

    Two conventions are published, and the masks decide between them: `predicting(mask)` marks the states that predict the
    answer's tokens, from the prompt's last one on, as the official `ches.py` does; `predicting(mask, last=True)` adds the
    answer's last state, as the script behind the paper's numbers does.

    Args:
        chosen_hidden, rejected_hidden: last-layer states; half precision is summed in float64.
        chosen_mask, rejected_mask: True (or 1) at the states that are summed.
        length_normalized: divide each sum by its number of states.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, a row without a marked state.

    Source: Razin et al. 2024 (arXiv 2410.08847), definition 2; computed as the inner product of `S+` with `S- - S+`, which does
    not cancel for similar answers.

    >>> h = torch.tensor([[[1.0, 0.0], [2.0, 0.0]]])
    >>> ches(h, -h, torch.ones(1, 2).bool(), torch.ones(1, 2).bool())    # sums 3 and -3: -9 - 9
    tensor([-18.])
    """
    chosen = summed(chosen_hidden, chosen_mask.bool(), "chosen_mask", mean=length_normalized)
    rejected = summed(rejected_hidden, rejected_mask.bool(), "rejected_mask", mean=length_normalized)
    return (chosen * (rejected - chosen)).sum(-1).to(chosen_hidden.dtype)


def summed(hidden: Float[Tensor, "n t d"], mask: Bool[Tensor, "n t"], name: str, *, mean: bool) -> Float[Tensor, "n d"]:
    counts = mask.sum(-1, keepdim=True)
    if (counts == 0).any():
        raise ValueError(f"{name} marks no state in row {int((counts == 0).flatten().nonzero()[0])}")
    some = max(1, PART // hidden[0].numel())  # in float64, but never a copy of all states
    pairs = zip(hidden.split(some), mask.split(some), strict=True)
    total = torch.cat([torch.einsum("ntd,nt->nd", h.double(), m.double()) for h, m in pairs])
    return total / counts if mean else total


def predicting(mask: Bool[Tensor, "n t"], *, last: bool = False) -> Bool[Tensor, "n t"]:
    """From the mask of an answer's tokens to the mask of the states that predict them: one place to the left.

    `last=True` adds the state of the answer's last token, which predicts what comes after it.

    >>> answer = torch.tensor([[False, False, True, True]])
    >>> predicting(answer)
    tensor([[False,  True,  True, False]])
    >>> predicting(answer, last=True)
    tensor([[False,  True,  True,  True]])
    """
    states = F.pad(mask[:, 1:].bool(), (0, 1))
    return states | mask.bool() if last else states


@meter("2410.08847", unit="pair", invariant=frozenset(), sizes={"n": 1})
def displacement(before: Float[Tensor, "n"], after: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
    r"""How far each chosen answer's log-probability moved. Below 0 it was displaced: training on it made it less likely.

    .. math:: \log \pi_{\text{after}}(y^+) - \log \pi_{\text{before}}(y^+)

    A fall is not harm by itself: what matters is who gained (`receivers`).

    Args:
        before, after: the chosen answers' summed log-probabilities under two policies.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, integers.

    Source: Razin et al. 2024 (arXiv 2410.08847), definition 1.

    >>> displacement(torch.tensor([-1.0]), torch.tensor([-3.0]))
    tensor([-2.])
    """
    return after - before


@meter("2410.13828", unit="pair", invariant=frozenset(), sizes={"n": 1})
def entanglement(
    grad_chosen: Float[Tensor, "p"] | Float[Tensor, "n p"], grad_rejected: Float[Tensor, "p"] | Float[Tensor, "n p"]
) -> Float[Tensor, ""] | Float[Tensor, "n"]:
    r"""How much of a step that raises the chosen answer also raises the rejected one.

    .. math:: \frac{\langle g^+, g^- \rangle}{\lVert g^+ \rVert^2}, \qquad g^\pm = \nabla_\theta \log \pi(y^\pm)

    Above 1, an infinitesimal step of plain gradient descent on any loss of the margin lowers the chosen answer. That is a
    statement about plain gradient descent, at this point: Adam and RMSprop rescale each coordinate, and later points differ.
    For a step that was really taken, ask `first_order`.

    Args:
        grad_chosen, grad_rejected: gradients of the two log-probabilities with respect to all parameters, flattened: `(p,)` for
            one pair, `(n, p)` for n.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, integers, a chosen gradient that is 0.

    Source: Yuan et al. 2024 (arXiv 2410.13828), the gradient condition for DPO's equal weights.

    >>> entanglement(torch.tensor([1.0, 0.0]), torch.tensor([2.0, 5.0]))
    tensor(2.)
    """
    chosen, rejected = grad_chosen.double(), grad_rejected.double()
    length = chosen.square().sum(-1)
    if (length == 0).any():
        raise ValueError("grad_chosen is 0: the chosen answer's probability does not depend on these parameters")
    return ((chosen * rejected).sum(-1) / length).to(grad_chosen.dtype)


@meter("2410.13828", unit="pair", invariant=frozenset(), sizes={"n": 1})
def sign_entanglement(
    grad_chosen: Float[Tensor, "p"] | Float[Tensor, "n p"], grad_rejected: Float[Tensor, "p"] | Float[Tensor, "n p"]
) -> Float[Tensor, ""] | Float[Tensor, "n"]:
    r"""`entanglement` for optimisers that rescale every coordinate, taken at their word: a first step of Adam goes by signs.

    .. math:: 1 - \frac{\langle g^+, \operatorname{sign}(g^+ - g^-) \rangle}{\lVert g^+ \rVert_1},
        \qquad g^\pm = \nabla_\theta \log \pi(y^\pm)

    Above 1, an infinitesimal step of one length in every coordinate, along the sign of the margin's gradient, lowers the chosen
    answer. That is Adam's and RMSprop's first step, nearly; later ones remember more than one gradient. Between 0 and 2.

    Args:
        grad_chosen, grad_rejected: as in `entanglement`.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, integers, a chosen gradient that is 0.

    Source: the condition of Yuan et al. 2024 (arXiv 2410.13828) for plain gradient descent, with the sign step in place of the
    gradient; ours.

    >>> sign_entanglement(torch.tensor([1.0, 3.0]), torch.tensor([0.0, 4.0]))       # up by 1, down by 3
    tensor(1.5000)
    """
    chosen, rejected = grad_chosen.double(), grad_rejected.double()
    length = chosen.abs().sum(-1)
    if (length == 0).any():
        raise ValueError("grad_chosen is 0: the chosen answer's probability does not depend on these parameters")
    return (1 - (chosen * torch.sign(chosen - rejected)).sum(-1) / length).to(grad_chosen.dtype)


@checked()
def first_order(gradient: Float[Tensor, "p"], update: Float[Tensor, "p"]) -> Float[Tensor, ""]:
    r"""What a step does to a log-probability, to first order: `<gradient, update>` with the optimiser's actual update.

    Added up over a run's steps it should come near the true change; if it does not, the steps are too long for it to say
    anything.

    >>> first_order(torch.tensor([1.0, -1.0]), torch.tensor([0.5, 0.5]))
    tensor(0.)
    """
    return (gradient.double() * update.double()).sum().to(gradient.dtype)


class Receivers(NamedTuple):
    """Tokens and how much probability each gained, the largest gain first."""

    tokens: Int[Tensor, "n k"]
    gained: Float[Tensor, "n k"]


@checked(sizes={"v": 2}, ranges={"k": "[1, inf)"})
def receivers(before: Float[Tensor, "n v"], after: Float[Tensor, "n v"], *, k: int = 5) -> Receivers:
    """Who took the probability: the tokens that gained most between two full distributions.

    Probability is conserved, so whatever the pair lost is here. Needs the whole softmax: the gains of a few candidates do not
    add up to anything.

    Args:
        before, after: log-probabilities (or logits) of every token, one row a position.
        k: how many tokens to name; all of them if there are fewer.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, `k < 1`.

    >>> before, after = torch.tensor([[0.5, 0.4, 0.1]]).log(), torch.tensor([[0.2, 0.1, 0.7]]).log()
    >>> receivers(before, after, k=1)
    Receivers(tokens=tensor([[2]]), gained=tensor([[0.6000]]))
    """
    gained = after.softmax(-1) - before.softmax(-1)
    top = gained.topk(min(k, gained.shape[-1]), dim=-1)
    return Receivers(top.indices, top.values)
