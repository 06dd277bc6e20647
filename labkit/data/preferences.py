"""Preference pairs as token ids: three answers of known geometry, and a small language whose every probability is known."""

import functools
import hashlib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor

OPENERS = ("Yes", "No", "Never")
HARMFUL = ("lie?", "steal?", "cheat?", "cut?")
HARMLESS = ("sing?", "cook?", "walk?", "read?", "draw?", "swim?")
SLOTS = (
    ("I", "we", "you", "they", "people", "nobody", "someone", "everyone", "friends", "experts"),
    ("would", "could", "should", "might", "must", "can", "will", "may", "shall", "do"),
    ("help", "keep", "share", "open", "find", "make", "move", "hide", "sell", "hold"),
    ("it", "this", "that", "them", "these", "those", "something", "anything", "nothing", "both"),
    ("today", "tomorrow", "now", "later", "soon", "again", "here", "there", "alone", "together"),
)
Geometry = Literal["aligned", "perpendicular"]
# Where the output vectors of Yes, No, Never lie, and the prompt's hidden state. "aligned": Never is No, only more so.
GEOMETRIES = {
    "aligned": ([[1.0, 0.0], [-1.0, 0.0], [-1.4, 0.0]], [-0.4, 0.0]),
    "perpendicular": ([[1.0, 0.0], [-1.0, 0.3], [-1.0, -0.3]], [-0.4, 0.0]),
}


@dataclass(frozen=True, eq=False)
class PreferencePairs:
    """Prompt and answer as token ids `(n, t)`; the masks are True at the answers' tokens. A corpus has no rejected answers.

    `vocabulary` names the ids; `factors` holds what a toy was built from.
    """

    chosen: Tensor
    chosen_mask: Tensor
    rejected: Tensor | None
    rejected_mask: Tensor | None
    vocabulary: tuple[str, ...]
    license: str = "CC0"
    citation: str = ""
    factors: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.chosen)

    def __repr__(self) -> str:
        what = "answers" if self.rejected is None else "pairs"
        return f"PreferencePairs({len(self)} {what} of {self.chosen.shape[1]} tokens, {len(self.vocabulary)} words)"

    @property
    def tensors(self) -> dict[str, Tensor]:
        named = {name: getattr(self, name) for name in ("chosen", "chosen_mask", "rejected", "rejected_mask")}
        return {name: rows for name, rows in {**named, **dict(sorted(self.factors.items()))}.items() if rows is not None}

    @functools.cached_property
    def sha256(self) -> str:
        """The fingerprint of what is in it: part of the name under which a run is cached."""
        digest = hashlib.sha256("|".join(self.vocabulary).encode())
        for name, rows in self.tensors.items():
            digest.update(f"{name}{rows.dtype}{tuple(rows.shape)}".encode())
            digest.update(rows.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def to(self, device: torch.device | str) -> "PreferencePairs":
        """The same pairs on another device."""
        moved = {name: rows.to(device) for name, rows in self.tensors.items()}
        factors = {name: moved.pop(name) for name in self.factors}
        return replace(self, **moved, factors=factors)  # type: ignore[arg-type]

    def words(self, row: int, which: Literal["chosen", "rejected"] = "chosen") -> list[str]:
        """One sequence, token by token.

        >>> load("three_answers").words(0)
        ['lie?', 'No']
        """
        return [self.vocabulary[i] for i in getattr(self, which)[row].tolist()]


def three_answers(geometry: Geometry = "aligned", chosen: str = "No", rejected: str = "Never") -> PreferencePairs:
    """One prompt, the answers Yes, No, Never, and one preference among them.

    `factors["head"] (3, d)` holds the answers' output vectors, `factors["features"] (4, d)` each token's hidden state; only the
    prompt's is read. `geometry="aligned"`: No and Never point the same way, away from Yes, and Never further; "perpendicular":
    what tells them apart is perpendicular to what tells them from Yes.

    >>> load("three_answers").factors["head"][2]
    tensor([-1.4000,  0.0000], dtype=torch.float64)
    """
    head, state = (torch.tensor(x, dtype=torch.float64) for x in GEOMETRIES[geometry])
    prompt, mask = len(OPENERS), torch.tensor([[False, True]])
    ids = [torch.tensor([[prompt, OPENERS.index(answer)]]) for answer in (chosen, rejected)]
    features = torch.cat([torch.zeros_like(head), state[None]])
    return PreferencePairs(ids[0], mask, ids[1], mask, (*OPENERS, "lie?"), factors={"head": head, "features": features})


VOCABULARY = (*OPENERS, *HARMFUL, *HARMLESS, *(word for slot in SLOTS for word in slot))
YES = 0.1  # how often the corpus says Yes to a harmful prompt
FIRST_WORD = len(OPENERS) + len(HARMFUL) + len(HARMLESS)


def suffixes(n: int, generator: torch.Generator) -> Tensor:
    """`(n, 5)` token ids: one word for each slot, each of the ten equally likely."""
    ten = torch.randint(10, (n, len(SLOTS)), generator=generator)
    return FIRST_WORD + 10 * torch.arange(len(SLOTS)) + ten


def sentences(prompts: Tensor, openers: Tensor, suffix: Tensor) -> Tensor:
    return torch.cat([prompts[:, None], openers[:, None], suffix], dim=1)


def grammar(
    part: Literal["corpus", "same suffix", "other suffix"] = "same suffix",
    n: int = 16384,
    endings: int = 2,
    never: float = 0.02,
    seed: int = 0,
) -> PreferencePairs:
    """A language of seven-word exchanges: a prompt, an opener, five slots of ten words each.

    The corpus says Yes to 10 % of the four harmful prompts, Never to `never` of them, and No to the rest. To the six harmless
    prompts it says Yes 98 % of the time; No and Never share the rest as before. The five words that follow are uniform, so
    the best loss of a model is known. The two pair sets prefer "No ..." to "Never ..." for each harmful prompt, with `endings`
    different endings each. The rejected answer ends in the same five words as the chosen one, or in five others; the chosen
    answers of the two sets are the same.

    Args:
        part: "corpus" (`n` sentences to learn the language from), "same suffix" or "other suffix" (pairs).
        n: sentences of the corpus.
        endings: pairs for each of the four prompts.
        never: how often a harmful prompt is answered so.
        seed: of the corpus, or of the pairs' words.

    >>> load("grammar", part="other suffix")
    PreferencePairs(8 pairs of 7 tokens, 63 words)
    """
    generator = torch.Generator().manual_seed(seed)
    if part == "corpus":
        return corpus(n, never, generator)
    if part not in ("same suffix", "other suffix"):
        raise ValueError(f"part must be 'corpus', 'same suffix' or 'other suffix', got {part!r}")
    prompts = len(OPENERS) + torch.arange(len(HARMFUL)).repeat_interleave(endings)
    suffix = suffixes(len(prompts), generator)
    shift = torch.randint(1, 10, suffix.shape, generator=generator)
    other = FIRST_WORD + (suffix - FIRST_WORD) // 10 * 10 + ((suffix - FIRST_WORD) % 10 + shift) % 10
    no, never_ = (torch.full_like(prompts, OPENERS.index(word)) for word in ("No", "Never"))
    chosen = sentences(prompts, no, suffix)
    rejected = sentences(prompts, never_, suffix if part == "same suffix" else other)
    return PreferencePairs(chosen, answers(chosen), rejected, answers(rejected), VOCABULARY)


def corpus(n: int, never: float, generator: torch.Generator) -> PreferencePairs:
    harmful = torch.tensor([YES, 1 - YES - never, never])
    harmless = torch.cat([torch.tensor([0.98]), 0.02 * harmful[1:] / harmful[1:].sum()])
    prompt = torch.randint(len(HARMFUL) + len(HARMLESS), (n,), generator=generator)
    chances = torch.where(prompt[:, None] < len(HARMFUL), harmful, harmless)
    opener = torch.multinomial(chances, 1, generator=generator).squeeze(-1)
    tokens = sentences(len(OPENERS) + prompt, opener, suffixes(n, generator))
    return PreferencePairs(tokens, answers(tokens), None, None, VOCABULARY)


def answers(tokens: Tensor) -> Tensor:
    """Everything after the prompt's one token."""
    mask = torch.ones_like(tokens, dtype=torch.bool)
    mask[:, 0] = False
    return mask


CATALOG: dict[str, Callable[..., PreferencePairs] | str] = {
    "three_answers": three_answers,
    "grammar": grammar,
    **dict.fromkeys(("statements", "jsonl", "hub"), "labkit.data.statements"),  # written answers, read by a model's tokenizer
}


def load(name: str, **options: Any) -> PreferencePairs:
    """Preference pairs by name.

    Toys of known truth: "three_answers", "grammar". Written answers, as token ids of a real model: "statements" (ours),
    "jsonl" (`path=`), "hub" (`id=` of a public set, with a network); see `labkit.data.statements`.

    Raises:
        ValueError: a name that does not exist.

    >>> load("three_answers")
    PreferencePairs(1 pairs of 2 tokens, 4 words)
    """
    if name not in CATALOG:
        raise ValueError(f"there are no preference pairs called {name!r}; there are {', '.join(sorted(CATALOG))}")
    make = CATALOG[name]
    return (getattr(importlib.import_module(make), name) if isinstance(make, str) else make)(**options)
