"""Who gained at the opening of the answers, sorted into the contrary, the nearly same, the rejected word and all others."""

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.diagnose.evidence import KINDS, Opening, Receiver
from labkit.diagnose.words import kind, matching

ALIKE = 0.7  # output vectors with a cosine above this say nearly the same, below minus this the contrary
NAMED = 1e-4  # a word that gained less is not looked up


def opening(
    before: Tensor,
    after: Tensor,
    chosen: Tensor,
    rejected: Tensor | None,
    vocabulary: Sequence[str],
    *,
    opposites: Iterable[int | str] = (),
    paraphrases: Iterable[int | str] = (),
    vectors: Tensor | None = None,
    k: int = 5,
) -> Opening:
    """Sort what every word gained between two distributions `(n, v)` of log-probabilities, one row a pair.

    Args:
        chosen, rejected: `(n,)` the token that each answer has there.
        vocabulary: the words, by token id.
        opposites, paraphrases: token ids or words that the user calls so.
        vectors: the model's output vectors `(v, d)`: the last resort, where no list knows a word.
        k: how many of the words that gained most are named.
    """
    gained = after.double().exp() - before.double().exp()
    kinds = sorted_out(
        gained, chosen, rejected, vocabulary, matching(opposites, vocabulary), matching(paraphrases, vocabulary), vectors
    )
    sums = {name: torch.where(kinds == i, gained, 0.0).sum(-1) for i, name in enumerate(KINDS)}
    mean = torch.where(kinds >= 0, gained, 0.0).mean(0)  # the chosen word is nobody's receiver
    top = mean.topk(min(k, len(mean)))
    named = [
        Receiver(vocabulary[i], i, g, KINDS[int(kinds[:, i].clamp(min=0).mode().values)])
        for g, i in zip(top.values.tolist(), top.indices.tolist(), strict=True)
        if g > NAMED
    ]
    return Opening(sums, tuple(named))


def sorted_out(
    gained: Tensor,
    chosen: Tensor,
    rejected: Tensor | None,
    vocabulary: Sequence[str],
    opposites: set[int],
    paraphrases: set[int],
    vectors: Tensor | None,
) -> Tensor:
    """The kind of every word for every pair, as an index into KINDS; -1 for the chosen word itself."""
    kinds = torch.full_like(gained, KINDS.index("other"), dtype=torch.long)
    moved = (gained.abs().amax(0) > NAMED).nonzero().flatten().tolist()
    for row, word in enumerate(chosen.tolist()):
        for v in moved:
            found = "opposite" if v in opposites else "similar" if v in paraphrases else kind(vocabulary[v], vocabulary[word])
            found = found or by_vector(vectors, v, word)
            kinds[row, v] = KINDS.index(found or "other")
    rows = torch.arange(len(kinds))
    if rejected is not None:
        kinds[rows, rejected] = KINDS.index("rejected")
    kinds[rows, chosen] = -1
    return kinds


def by_vector(vectors: Tensor | None, v: int, word: int) -> str | None:
    if vectors is None or max(v, word) >= len(vectors):
        return None
    cosine = F.cosine_similarity(vectors[v].double(), vectors[word].double(), dim=0).item()
    return "similar" if cosine > ALIKE else "opposite" if cosine < -ALIKE else None


def ending(before: Tensor, after: Tensor, fork: Tensor) -> tuple[Tensor, Tensor]:
    """Of the change of every token's log-probability `(n, t)`, the sums up to the fork, and after it."""
    change = after.double() - before.double()
    opened = torch.arange(change.shape[1]) <= fork[:, None]
    return (change * opened).sum(-1), (change * ~opened).sum(-1)
