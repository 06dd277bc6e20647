"""Exact small policies: a softmax over answers, of which nothing is hidden."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from labkit.preferences import sequence_logps


class SoftmaxPolicy(nn.Module):
    """The last token's hidden state, times each answer's output vector: `tokens (n, t) -> logits (n, t, answers)`.

    features: one hidden state for each token, read after it. A language model computes it; here it is a free parameter.
    head: one output vector for each answer. Only answers can be said: ids from `len(head)` on are prompts.

    Args:
        features: `(tokens, d)` where the states start.
        head: `(answers, d)` where the output vectors start.
        train: which of the two learns; the other stays as it is.
    """

    def __init__(self, features: Tensor, head: Tensor, train: Literal["features", "head", "both"] = "both"):
        super().__init__()
        if train not in ("features", "head", "both"):
            raise ValueError(f"train must be 'features', 'head' or 'both', got {train!r}")
        self.features = nn.Parameter(features.clone(), requires_grad=train != "head")
        self.head = nn.Parameter(head.clone(), requires_grad=train != "features")

    def forward(self, tokens: Tensor) -> Tensor:
        return self.features[tokens] @ self.head.T


def softmax_policy(data: Any, train: Literal["features", "head", "both"] = "both") -> SoftmaxPolicy:
    """The policy that starts where the data's `factors` say.

    >>> from labkit.data import preferences
    >>> data = preferences.load("three_answers")
    >>> policy = softmax_policy(data, train="features")
    >>> policy(data.chosen)[0, 0].softmax(-1).detach()      # Yes, No, Never
    tensor([0.1713, 0.3813, 0.4474], dtype=torch.float64)
    """
    if not {"features", "head"} <= data.factors.keys():
        raise ValueError("softmax_policy needs data whose factors hold 'features' and 'head'; try 'three_answers', or tiny_lm")
    return SoftmaxPolicy(data.factors["features"], data.factors["head"], train)


def answer_gradients(policy: nn.Module, tokens: Tensor, mask: Tensor) -> Tensor:
    """The gradient of each answer's log-probability with respect to everything that learns, flattened: `(n, p)`.

    What `metrics.entanglement` compares. One row a backward pass: meant for small policies and few answers.
    """
    learned = [p for p in policy.parameters() if p.requires_grad]
    logps = sequence_logps(policy(tokens), tokens, mask)
    rows = [torch.autograd.grad(logp, learned, retain_graph=True, allow_unused=True) for logp in logps]
    flat = [[torch.zeros_like(p) if g is None else g for g, p in zip(row, learned, strict=True)] for row in rows]
    return torch.stack([nn.utils.parameters_to_vector(row) for row in flat])
