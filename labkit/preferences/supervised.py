"""Learning from demonstrations, token by token: with each token's weight its own probability, and with a teacher's doubts."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from labkit.checks import Reduction, Scalar
from labkit.contrast import reduce
from labkit.preferences.logps import marked, token_logps
from labkit.registry import preference


def per_answer(tokens: Float[Tensor, "n t"], counted: Bool[Tensor, "n t"]) -> Float[Tensor, "n"]:
    """Sums over each answer's tokens that count, in units in which their mean is the mean over all such tokens of the batch."""
    return torch.where(counted, tokens, 0.0).sum(-1) * len(counted) / counted.sum()


def predicted(mask: Bool[Tensor, "n t"] | Int[Tensor, "n t"], name: str = "mask") -> Bool[Tensor, "n t"]:
    """The tokens that count: marked, and not at position 0, which nothing predicts."""
    return marked(F.pad(mask[:, 1:].bool(), (1, 0)), name)


@preference("2508.05629", oracle="fsdp_dft_trainer.py; trl 1.16.0 SFTTrainer, dft", sizes={"t": 2, "vocab": 2})
def dft(
    logits: Float[Tensor, "n t vocab"],
    labels: Int[Tensor, "n t"],
    mask: Bool[Tensor, "n t"] | Int[Tensor, "n t"],
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Supervised fine-tuning that lets go of tokens the model finds unlikely: each token's loss times its own probability.

    .. math:: -\frac{1}{|m|} \sum_{t \in m} \mathrm{sg}(p_t) \log p_t, \qquad p_t = \pi(y_t \mid x, y_{<t})

    The gradient is that of :math:`-\frac{1}{|m|} \sum_t p_t`: it raises probability where SFT raises log-probability, so it
    no longer pushes hardest where the model is most wrong. No gradient flows through the weight.

    Args:
        logits: what the policy returns; `logits[:, t]` predicts `labels[:, t + 1]`. Half precision is computed in float32.
        labels: the token ids that went in, prompt, response and padding together.
        mask: True (or 1) at the response tokens of `labels`.
        reduction: "none" gives `(n,)`: each answer's sum, divided by the batch's mean number of tokens. So the mean is the mean
            over all tokens of the batch, as in the official code.

    Raises:
        ValueError, TypeError: as in `sequence_logps`.

    Source: Wu et al. 2025 (arXiv 2508.05629), eq. 9; official code and TRL's `loss_type="dft"`.

    >>> labels, mask = torch.tensor([[0, 1]]), torch.tensor([[False, True]])
    >>> dft(torch.zeros(1, 2, 4), labels, mask)                          # 1/4 log 4
    tensor(0.3466)
    """
    logps = token_logps(logits, labels, mask)
    return reduce(per_answer(-logps.exp().detach() * logps, predicted(mask)), reduction)


@preference(
    "2505.24461",
    oracle="dvlab-research/Logits-Based-Finetuning trainer.py",
    sizes={"t": 2, "vocab": 2, "k": 1},
    ranges={"alpha": "[0, 1]", "progress": "[0, 1]"},
)
def logits_finetuning(
    logits: Float[Tensor, "n t vocab"],
    labels: Int[Tensor, "n t"],
    mask: Bool[Tensor, "n t"] | Int[Tensor, "n t"],
    top_ids: Int[Tensor, "n t k"],
    top_logps: Float[Tensor, "n t k"],
    *,
    alpha: Scalar = 0.9,
    progress: Scalar = 1.0,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Supervised fine-tuning, softened by what else a teacher would have said: the KL to its k likeliest tokens.

    .. math:: \alpha\,(-\log p_{y_t}) + (1 - \alpha) \sum_v \tilde q_v \log \frac{\tilde q_v}{p_v},
        \qquad \tilde q = \delta\, q + (1 - \delta)\, p

    where q is the teacher's distribution, renormalised over the tokens that were kept. Averaged over tokens like `dft`.

    Args:
        logits, labels, mask: as in `dft`.
        top_ids: `(n, t, k)`, the teacher's likeliest tokens in place of `labels[:, t]`.
        top_logps: `(n, t, k)`, their log-probabilities.
        alpha: in [0, 1], the weight of the labels.
        progress: in [0, 1], delta: the share of training that is done, to trust the teacher gradually; 1 trusts it at once.
        reduction: "none" gives `(n,)`, as in `dft`.

    Raises:
        ValueError, TypeError: as in `sequence_logps`; a marked token id outside the vocabulary, log-probabilities above 0.

    Source: Li et al. 2025 (arXiv 2505.24461); official code `compute_loss`. That averages the KL over each answer first, and
    leaves out the first token of each; for one answer and the same tokens the values agree.

    >>> logits, labels, mask = torch.zeros(1, 2, 4), torch.tensor([[0, 1]]), torch.tensor([[False, True]])
    >>> sure = torch.tensor([[[0], [1]]]), torch.zeros(1, 2, 1)
    >>> logits_finetuning(logits, labels, mask, *sure)                   # both say the same: log 4
    tensor(1.3863)
    """
    counted, logp = predicted(mask), shifted(logits).log_softmax(-1)
    teacher = spread(top_ids, top_logps, counted, logits.shape[-1])
    target = torch.lerp(logp.exp(), teacher, torch.as_tensor(progress, dtype=logp.dtype, device=logp.device))
    distance = (target * (target.clamp(min=torch.finfo(target.dtype).tiny).log() - logp)).sum(-1)  # 0 log 0 is 0
    return reduce(per_answer(-alpha * token_logps(logits, labels, mask) + (1 - alpha) * distance, counted), reduction)


def shifted(logits: Float[Tensor, "n t vocab"]) -> Float[Tensor, "n t vocab"]:
    """In the place of each token the logits that predict it; nothing predicts the first."""
    return logits.roll(1, dims=1)


def spread(
    top_ids: Int[Tensor, "n t k"], top_logps: Float[Tensor, "n t k"], counted: Bool[Tensor, "n t"], vocabulary: int
) -> Float[Tensor, "n t vocab"]:
    """A distribution over the whole vocabulary from the tokens that were kept of it."""
    kept = top_ids[counted]
    if kept.min() < 0 or kept.max() >= vocabulary:
        raise ValueError(f"top_ids at marked positions must be in [0, {vocabulary}), got {kept.min()} to {kept.max()}")
    ids = top_ids.masked_fill(~counted[..., None], 0).long()
    return top_logps.new_zeros(*ids.shape[:2], vocabulary).scatter_add(-1, ids, top_logps.softmax(-1))
