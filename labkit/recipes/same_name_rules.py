"""Our losses on one input, and the rules that lead from them to what libraries compute under the same names."""

from collections.abc import Callable

import torch
from torch import Tensor

from labkit import losses, preferences
from labkit.contrast import contrast, log_partition, two_views
from labkit.directions import unit

X = dict[str, Tensor]
Rule = Callable[[X], Tensor]


def views(x: X) -> tuple[Tensor, Tensor]:
    return x["z1"], x["z2"]


def four(x: X) -> list[Tensor]:
    return [x[f"{ref}{side}_logps"] for ref in ("", "ref_") for side in ("chosen", "rejected")]


def two(x: X) -> list[Tensor]:
    return [*four(x)[:2], x["chosen_lengths"], x["rejected_lengths"]]


def own_partition(x: X) -> Tensor:
    """Every positive against itself and the negatives, never against the other positives; the mean over pairs."""
    z = unit(torch.cat(views(x)))
    ids, everyone = x["labels"].repeat(2), torch.arange(len(z))
    logits, same = z @ z.T / 0.1, ids[:, None] == ids
    against = torch.logaddexp(logits, log_partition(logits, ~same))
    positives = same & (everyone[:, None] != everyone)
    return contrast(logits, positives.double(), against, reduction="sum") / positives.sum()


def joint(x: X) -> Tensor:
    """One softmax over both directions' candidates, so the positive stands in it twice; anchors of the first view."""
    a, b = (unit(z) for z in views(x))
    logits = a @ b.T * 20
    both = torch.cat([logits, logits.T], 1)
    return contrast(logits, torch.eye(len(a), dtype=torch.bool), both.logsumexp(-1, keepdim=True))


def as_given(x: X) -> Tensor:
    """CLIP's two directions on dot products instead of cosines."""
    logits = x["z1"] @ x["z2"].T / 0.07
    itself = torch.eye(len(logits), dtype=torch.bool)
    both = [contrast(side, itself, side.logsumexp(-1, keepdim=True)) for side in (logits, logits.T)]
    return torch.stack(both).mean()


def first_view(loss: Callable[..., Tensor]) -> Rule:
    """Anchors of the first view only."""
    return lambda x: loss(*views(x), temperature=0.1, reduction="none")[: len(x["z1"])].mean()


def with_imitation(loss: Rule, weight: float = 1.0) -> Rule:
    return lambda x: loss(x) + weight * token_nll(x)


def weighted(z1: Tensor, z2: Tensor) -> Tensor:
    """DCLW whose weights take part in the gradient."""
    pairs = two_views(z1, z2)
    alike = pairs.positive.squeeze(-1)
    pull = 2 - len(alike) * (alike / 0.5).softmax(0)
    return (log_partition(pairs.similarity / 0.1, pairs.others).squeeze(-1) - pull * alike / 0.1).mean()


def slope(loss: Callable[[Tensor, Tensor], Tensor], x: X) -> Tensor:
    """The length of the gradient in the first view."""
    leaf = x["z1"].clone().requires_grad_()
    return torch.autograd.grad(loss(leaf, x["z2"]), leaf)[0].norm()


def token_nll(x: X) -> Tensor:
    """The mean over all tokens of all chosen answers: long answers count more."""
    return -x["chosen_logps"].sum() / x["chosen_lengths"].sum()


def of_those_with_positives(x: X) -> Tensor:
    values = losses.sup_con(x["z1"], x["lonely"].long(), temperature=0.1, reduction="none")
    return values.sum() / (values != 0).sum()


def shifted(x: X) -> Tensor:
    rewards = [0.1 * (now - ref) for now, ref in zip(four(x)[:2], four(x)[2:], strict=True)]
    return preferences.bco(*four(x), shift=torch.cat(rewards).mean().item())


# ------------------------------------------------------------------ ours, with the argument that libraries differ in


def nt_xent(temperature: float) -> Rule:
    return lambda x: losses.nt_xent(*views(x), temperature=temperature)


def info_nce(temperature: float) -> Rule:
    return lambda x: losses.info_nce(*views(x), temperature=temperature)


def clip(temperature: float) -> Rule:
    return lambda x: losses.clip_loss(*views(x), temperature=temperature)


def sup_con(x: X) -> Tensor:
    return losses.sup_con(torch.stack(views(x), 1), x["labels"].long(), temperature=0.1)


def lonely(x: X) -> Tensor:
    return losses.sup_con(x["z1"], x["lonely"].long(), temperature=0.1)


def dcl(x: X) -> Tensor:
    return losses.dcl(*views(x), temperature=0.1)


def dclw(x: X) -> Tensor:
    return losses.dclw(*views(x), temperature=0.1)


def dclw_slope(x: X) -> Tensor:
    return slope(lambda a, b: losses.dclw(a, b, temperature=0.1), x)


def debiased(x: X) -> Tensor:
    return losses.debiased(*views(x), temperature=0.1, tau_plus=0.1)


def align_uniform(t: float) -> Rule:
    return lambda x: losses.align_uniform(*views(x), t=t)


def dpo(label_smoothing: float) -> Rule:
    return lambda x: preferences.dpo(*four(x), label_smoothing=label_smoothing)


def ipo(x: X) -> Tensor:
    return preferences.ipo(*four(x))


def ipo_norm(x: X) -> Tensor:
    return preferences.ipo_norm(*four(x), *two(x)[2:])


def simpo(gamma: float) -> Rule:
    return lambda x: preferences.simpo(*two(x), beta=2.0, gamma=gamma)


def aot(x: X) -> Tensor:
    return preferences.aot(*four(x))


def aot_unpaired(x: X) -> Tensor:
    return preferences.aot_unpaired(*four(x))


def bco(x: X) -> Tensor:
    return preferences.bco(*four(x))


def rpo(x: X) -> Tensor:
    return preferences.rpo(*four(x), eta=0.5)


def cpo(sft: float) -> Rule:
    return lambda x: preferences.cpo(*four(x)[:2], sft=sft)


def orpo(sft: float) -> Rule:
    return lambda x: preferences.orpo(*two(x), sft=sft)
