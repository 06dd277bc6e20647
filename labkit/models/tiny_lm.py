"""A GPT that fits on a page: two layers, 32 dimensions, four heads, an output layer of its own."""

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Part = Literal["all", "head", "body"]


class Block(nn.Module):
    """Look back at earlier tokens, then think about each by itself; both are added to what was there."""

    def __init__(self, d: int, heads: int):
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_mlp = nn.LayerNorm(d), nn.LayerNorm(d)
        self.queries_keys_values = nn.Linear(d, 3 * d)
        self.mix = nn.Linear(d, d)
        self.mlp = nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.before_attention(x))
        return x + self.mlp(self.before_mlp(x))

    def attention(self, x: Tensor) -> Tensor:
        n, t, d = x.shape
        split = self.queries_keys_values(x).view(n, t, 3, self.heads, d // self.heads)
        q, k, v = split.permute(2, 0, 3, 1, 4)  # each (n, heads, t, d / heads)
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)  # a token sees itself and what came before
        return self.mix(seen.transpose(1, 2).reshape(n, t, d))


class TinyLM(nn.Module):
    """Token ids `(n, t)` to logits `(n, t, vocabulary)`: the logits at t are for the token at t + 1.

    Args:
        vocabulary: how many token ids there are.
        context: the longest sequence.
        d: width; a multiple of `heads`.
        layers: blocks, one after the other.
        heads: of the attention.
    """

    def __init__(self, vocabulary: int, context: int, d: int = 32, layers: int = 2, heads: int = 4):
        super().__init__()
        if d % heads:
            raise ValueError(f"d must be a multiple of heads, got d = {d} and heads = {heads}")
        self.tokens, self.positions = nn.Embedding(vocabulary, d), nn.Embedding(context, d)
        self.blocks = nn.Sequential(*(Block(d, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(d)
        self.head = nn.Linear(d, vocabulary, bias=False)  # untied: its own vectors, not the embeddings once more

    def train_only(self, part: Part) -> "TinyLM":
        """Let this part learn, and hold the rest; "body" is all but the head."""
        if part not in ("all", "head", "body"):
            raise ValueError(f"train must be 'all', 'head' or 'body', got {part!r}")
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(part == "all" or (part == "head") == name.startswith("head."))
        return self

    def hidden(self, tokens: Tensor) -> Tensor:
        """The last layer's states `(n, t, d)`: what the output layer reads, and what CHES adds up."""
        t = tokens.shape[1]
        if t > len(self.positions.weight):
            raise ValueError(f"tokens has t = {t}, but this model was built for at most {len(self.positions.weight)}")
        x = self.tokens(tokens) + self.positions(torch.arange(t, device=tokens.device))
        return self.norm(self.blocks(x))

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.hidden(tokens))


def tiny_lm(data: Any, d: int = 32, layers: int = 2, heads: int = 4, train: Part = "all") -> TinyLM:
    """A TinyLM for the words and the length of `data`; `train` says which part learns.

    >>> from labkit.data import preferences
    >>> model = tiny_lm(preferences.load("grammar"))
    >>> sum(p.numel() for p in model.parameters())
    29728
    """
    return TinyLM(len(data.vocabulary), data.chosen.shape[1], d, layers, heads).train_only(train)
