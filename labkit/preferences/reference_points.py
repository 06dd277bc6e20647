"""What `kto` and `bco` compare an answer with: numbers measured on batches, which no gradient flows through."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from labkit.link import ratios
from labkit.preferences.logps import marked
from labkit.registry import checked


@checked()
def kl_estimate(logps: Float[Tensor, "n"], ref_logps: Float[Tensor, "n"]) -> Float[Tensor, ""]:
    r"""KTO's reference point K: what the policy puts above the reference on answers to other prompts, at least 0.

    .. math:: \max\left(0,\ \frac1n \sum_i \log \frac{\pi(y_{i-1} \mid x_i)}{\pi_{\mathrm{ref}}(y_{i-1} \mid x_i)}\right)

    Pair each prompt with the answer to another one before computing the log-probabilities: `mismatched` does. Of matched pairs,
    or of a batch of one, K would be the very log-ratio that it is compared with.

    Args:
        logps, ref_logps: summed log-probabilities of the mismatched answers.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, integers, log-probabilities above 0.

    Source: Ethayarajh et al. 2024 (arXiv 2402.01306), section 4.1; TRL's KTOTrainer cycles the answers by one.

    >>> kl_estimate(torch.tensor([-2.0, -5.0]), torch.tensor([-4.0, -4.0]))      # (2 - 1) / 2
    tensor(0.5000)
    """
    return (logps - ref_logps).mean().clamp(min=0).detach()


@checked(sizes={"n": 2})
def mismatched(
    tokens: Int[Tensor, "n t"], mask: Bool[Tensor, "n t"] | Int[Tensor, "n t"], *, padding: int = 0
) -> tuple[Int[Tensor, "n s"], Bool[Tensor, "n s"]]:
    """Each row's prompt with the answer of the row before, right-padded, and the answers' mask: `kl_estimate` is measured so.

    Args:
        tokens: token ids, prompt, response and padding together.
        mask: True (or 1) at the response tokens; what stands before the first of them is the prompt.
        padding: the id that fills the ends.

    Raises:
        ValueError, TypeError: shapes that differ, a single row, a row without a marked token.

    >>> tokens, mask = torch.tensor([[1, 2, 3, 4], [5, 6, 7, 0]]), torch.tensor([[0, 0, 1, 1], [0, 1, 1, 0]])
    >>> mismatched(tokens, mask)[0]
    tensor([[1, 2, 6, 7],
            [5, 3, 4, 0]])
    """
    answer = marked(mask, "mask")
    prompts = [row[: int(m.int().argmax())] for row, m in zip(tokens, answer, strict=True)]
    answers = [row[m] for row, m in zip(tokens.roll(1, 0), answer.roll(1, 0), strict=True)]
    rows = [torch.cat(pair) for pair in zip(prompts, answers, strict=True)]
    place = torch.arange(max(map(len, rows)), device=tokens.device)
    start, end = (torch.tensor([len(x) for x in side], device=tokens.device)[:, None] for side in (prompts, rows))
    return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=padding), (place >= start) & (place < end)


class RunningShift(nn.Module):
    """BCO's shift: the mean of all implicit rewards seen so far, chosen and rejected alike, each batch counting the same.

    Pass `read()` to `bco`, and call `write` with the batch afterwards. TRL counts the current batch before it uses the mean.

    >>> shift, batch = RunningShift(beta=0.1), {"chosen_logps": torch.tensor([-1.0]), "rejected_logps": torch.tensor([-2.0])}
    >>> shift.write({**batch, "ref_chosen_logps": torch.tensor([-5.0]), "ref_rejected_logps": torch.tensor([-4.0])})
    >>> shift.read()                                                             # (0.1 * 4 + 0.1 * 2) / 2
    {'shift': tensor(0.3000)}
    """

    mean: Tensor
    batches: Tensor

    def __init__(self, beta: float = 0.1):
        super().__init__()
        self.beta = beta
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))

    def read(self) -> dict[str, Tensor]:
        return {"shift": self.mean.clone()}

    @torch.no_grad()
    def write(self, batch: dict[str, Tensor]) -> None:
        names = ("chosen_logps", "rejected_logps", "ref_chosen_logps", "ref_rejected_logps")
        rewards = self.beta * torch.cat(ratios(*(batch[name] for name in names))).to(self.mean)
        if not rewards.isfinite().all():
            raise ValueError("batch holds log-probabilities that are NaN or infinite; the running mean would never recover")
        self.batches += 1
        self.mean += (rewards.mean() - self.mean) / self.batches


@checked(ranges={"low": "[0, inf)", "high": "(0, inf)"})
def desirability_weights(logits: Float[Tensor, "n"], *, low: float = 0.5, high: float = 10.0) -> Float[Tensor, "n"]:
    r"""BCO's `rejected_weights`: prompts of rejected answers count as often as they would among those of chosen answers.

    .. math:: \min(\max(p / (1 - p),\ \text{low}),\ \text{high}), \qquad p = \sigma(\text{logit})

    Args:
        logits: of a classifier, balanced, that tells prompts of chosen answers (1) from prompts of rejected ones (0), at the
            rejected answers' prompts; logistic regression on embeddings does. Pairs share their prompts: their weights are 1.
        low, high: bounds of the ratio.

    Raises:
        ValueError, TypeError: NaN, integers, bounds below 0 or in the wrong order.

    Source: Jung et al. 2024 (arXiv 2404.04656), section 4.2; TRL's BCOTrainer, with its bounds.

    >>> desirability_weights(torch.tensor([0.0, 1.0, -5.0, 5.0]))
    tensor([ 1.0000,  2.7183,  0.5000, 10.0000])
    """
    if low > high:
        raise ValueError(f"low must not be above high, got {low} and {high}")
    return logits.exp().clamp(low, high).detach()
