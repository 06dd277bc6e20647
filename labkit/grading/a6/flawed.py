"""SupCon with its usual mistakes as switches."""

import torch
import torch.nn.functional as F
from torch import Tensor


def sup_con(
    z: Tensor,
    labels: Tensor,
    temperature: float,
    *,
    form: str = "out",
    divide: str = "positives",
    lonely: str = "left out",
    own: bool = False,
    candidates: str = "others",
    multiplied: bool = False,
    stable: bool = True,
    floor: float = 0.0,
    capped: float = 0.0,
    scaled: bool = False,
    total: bool = False,
    unit: bool = True,
    constant: bool = False,
) -> Tensor:
    """The mean, over anchors that have a positive, of what it costs to find their positives among all others."""
    z = F.normalize(z, dim=1) if unit else z
    similarity = z @ (z.detach() if constant else z).T
    logits = similarity * temperature if multiplied else similarity / temperature
    itself = torch.eye(len(z), dtype=torch.bool)
    same = labels[:, None] == labels
    positive = same if own else same & ~itself
    alone = candidates == "strangers and one"  # every positive by itself among the strangers
    if alone:
        candidates = "strangers"
    if candidates == "zeroed":
        logits, candidates = logits.masked_fill(itself, 0.0), "everyone"
    among = {"others": ~itself, "everyone": torch.ones_like(itself), "strangers": ~same}[candidates]
    if stable:
        partition = logits.masked_fill(~among, -torch.inf).logsumexp(1, keepdim=True)
        if alone:
            partition = torch.logaddexp(partition, logits)
        log_p = logits - partition
        if capped:
            log_p = (log_p.exp() + capped).log()
    else:
        log_p = (logits.exp() / (logits.exp() * among).sum(1, keepdim=True) + floor).log()
    count = positive.sum(1)
    if form == "out":
        summed = (log_p * positive).sum(1)
        size = {"positives": count, "batch": torch.full_like(count, len(z)), "pairs": count, "nothing": torch.ones_like(count)}
    else:
        inside = log_p.masked_fill(~positive, -torch.inf).logsumexp(1)
        found = count > 0
        each = -torch.where(found, inside, 0.0) + (0 if divide == "nothing" else count.clamp(min=1).log())
        return ended(each, found, lonely, total, temperature, scaled)
    if divide == "pairs":
        return -summed.sum() / count.sum() * (temperature / 0.07 if scaled else 1)
    denominator = size[divide].clamp(min=1) if lonely != "nan" else size[divide]
    return ended(-summed / denominator, count > 0, lonely, total, temperature, scaled)


def ended(each: Tensor, found: Tensor, lonely: str, total: bool, temperature: float, scaled: bool) -> Tensor:
    """All anchors' values as one number."""
    if lonely == "nan":
        each = torch.where(found, each, torch.nan)
    kept = each[found] if lonely == "left out" else torch.where(found, each, 0.0) if lonely == "zero" else each
    return (kept.sum() if total else kept.mean()) * (temperature / 0.07 if scaled else 1)
