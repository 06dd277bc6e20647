"""A noisy prompt must be answered as the clean one is, and not as another prompt is."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from labkit.checks import Reduction
from labkit.contrast import reduce
from labkit.registry import checked, preference


@preference("2603.03314", oracle="vegetable-yx/CoIPO kl_divergence", ranges={"matched": "[0, inf)", "mismatched": "[0, inf)"})
def coipo(
    matched: Float[Tensor, "n"],
    mismatched: Float[Tensor, "n"],
    *,
    form: Literal["code", "paper"] = "code",
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Divergences between clean and noisy prompts that mean the same go down, between those that do not they go up.

    .. math:: e^{\min(0,\ x)} \ \text{(code)} \qquad \text{or} \qquad x \ \text{(paper)}, \qquad
        x = \mathrm{KL}_{\text{matched}} - \mathrm{KL}_{\text{mismatched}}

    The form of the code has no gradient where `x > 0`, which is where the noisy prompt is nearer to the wrong clean one: it
    learns nothing from just the pairs that it is for, and its value there is 1 whatever happens. The form of the paper pushes
    every pair, and without end.

    Args:
        matched: >= 0, the KL between the answers' distributions under clean and noisy prompt, summed over the two prompts of a
            pair; `answer_kl` measures one.
        mismatched: the same with the two noisy prompts exchanged.
        form: "code" or "paper".
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, divergences below 0.

    Source: Yang et al. 2026 (CoIPO, arXiv 2603.03314); official code vegetable-yx/CoIPO `kl_divergence`, the same for each of
    its models. The code takes KL(clean || noisy) over both prompts, the paper KL(noisy || clean) of one.

    >>> coipo(torch.tensor([1.0, 3.0]), torch.tensor([2.0, 2.0]), reduction="none")     # exp(-1), and a dead 1
    tensor([0.3679, 1.0000])
    """
    x = matched - mismatched
    return reduce(x if form == "paper" else x.clamp(max=0).exp(), reduction)


@checked(sizes={"v": 2}, ranges={"floor": "[0, 1)", "temperature": "(0, inf)"})
def answer_kl(
    logits: Float[Tensor, "n t v"], other_logits: Float[Tensor, "n t v"], *, temperature: float = 1.0, floor: float = 1e-10
) -> Float[Tensor, "n"]:
    """`KL(softmax(logits) || softmax(other_logits))`, averaged over an answer's t tokens, all of which count.

    `floor` is added to the second probability, as the official code does, which keeps the KL below 23; 0 takes it off.

    >>> answer_kl(torch.tensor([[[0.0, 100.0]]]), torch.zeros(1, 1, 2))  # certain against one half: log 2
    tensor([0.6931])
    """
    p, q = (logits / temperature).log_softmax(-1), (other_logits / temperature).log_softmax(-1)
    q = torch.log(q.exp() + floor) if floor else q
    return (p.exp() * (p - q)).sum(-1).mean(-1)
