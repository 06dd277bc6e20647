"""DPO, forward and backward: from logits of 8 rows and 256 tokens, and from hidden states and the head.

The size is the vocabulary. Every token after the first counts. Four rows are chosen, four rejected; the reference gives each
of them 0.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.registry import OURS, Case, Target
from labkit import preferences

ROWS, TOKENS, WIDTH, BETA = 8, 256, 256, 0.1
NAIVE, TRL, FUSED, LIGER = "naive torch", "TRL selective_log_softmax", "TRL fused head", "liger-kernel fused DPO"


def marked(vocabulary: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    return torch.randint(vocabulary, (ROWS, TOKENS), generator=draw), torch.ones(ROWS, TOKENS, dtype=torch.bool)


def from_logits(vocabulary: int, draw: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    return torch.randn(ROWS, TOKENS, vocabulary, generator=draw).requires_grad_(), *marked(vocabulary, draw)


def from_hidden(vocabulary: int, draw: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    hidden = torch.randn(ROWS, TOKENS, WIDTH, generator=draw).requires_grad_()
    head = (torch.randn(vocabulary, WIDTH, generator=draw) / WIDTH**0.5).requires_grad_()
    return hidden, head, *marked(vocabulary, draw)


def dpo(logps: Tensor) -> Tensor:
    """The formula alone: it is a handful of numbers, and the same for all."""
    chosen, rejected = logps.chunk(2)
    return -F.logsigmoid(BETA * (chosen - rejected)).mean()


def added_up(token_logps: Tensor, mask: Tensor) -> Tensor:
    return dpo((token_logps * mask[:, 1:]).sum(-1))


logits = Case("dpo_logits", "DPO from logits, 8 x 256 x vocabulary", from_logits, (32000,), 4000, warm=100, targets=(
    Target("seconds", 0.8, NAIVE), Target("mib", 0.4, NAIVE),
))  # fmt: skip


@logits.by(OURS)
def _(x, labels, mask):
    return dpo(preferences.sequence_logps(x, labels, mask))


@logits.by(NAIVE)
def naive_logps(x, labels, mask):
    return added_up(x[:, :-1].log_softmax(-1).gather(-1, labels[:, 1:, None]).squeeze(-1), mask)


@logits.by(TRL)
def _(x, labels, mask):
    from trl.trainer.utils import selective_log_softmax

    return added_up(selective_log_softmax(x[:, :-1], labels[:, 1:]), mask)


hidden = Case(
    "dpo_hidden", "DPO from hidden states (256 wide) and the head, 8 x 256 x vocabulary", from_hidden, (32000,), 4000, warm=100,
    targets=(
        Target("seconds", 1.2, NAIVE), Target("mib", 0.1, NAIVE), Target("seconds", 1, LIGER), Target("mib", 1, LIGER),
        Target("seconds", 1, FUSED), Target("mib", 1, FUSED),
    ),
)  # fmt: skip


@hidden.by(OURS)
def _(h, head, labels, mask):
    return dpo(preferences.head_logps(h, head, labels, mask))


@hidden.by(NAIVE)
def naive_hidden(h, head, labels, mask):
    return naive_logps(h @ head.T, labels, mask)


@hidden.by(TRL)
def _(h, head, labels, mask):
    from trl.trainer.utils import selective_log_softmax

    return added_up(selective_log_softmax((h @ head.T)[:, :-1], labels[:, 1:]), mask)


@hidden.by(FUSED)
def _(h, head, labels, mask):
    from trl.kernels import ChunkedLogProbFunction
    from trl.trainer.utils import _CHUNKED_LOGPROB_CHUNK_SIZE as chunk

    states, wanted = h[:, :-1].reshape(-1, WIDTH), labels[:, 1:].reshape(-1)
    logps = ChunkedLogProbFunction.apply(states, head, None, wanted, 1.0, chunk, None, 1.0, ("log_probs",))[0]
    return added_up(logps.view(ROWS, -1), mask)


@hidden.by(LIGER)
def _(h, head, labels, mask):
    """Not compiled: a compiler's start-up is no loss."""
    from liger_kernel.chunked_loss import LigerFusedLinearDPOLoss

    loss = LigerFusedLinearDPOLoss(beta=BETA, compiled=False, use_ref_model=False)
    return loss(head, h[:, :-1], labels[:, 1:].masked_fill(~mask[:, 1:], -100))[0]


CASES = (logits, hidden)
