"""Prompts and answers as token ids, with an exact border between them."""

import contextlib
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from labkit.data import weights


@contextlib.contextmanager
def quiet(library: Any) -> Iterator[None]:
    """Without transformers' progress bars: reading from the disk takes a second."""
    logging = library.utils.logging
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


@functools.lru_cache(maxsize=4)
def tokenizer(name: str, *, folder: Path | None = None) -> Any:
    """The tokenizer of a model: a short name of `weights.KNOWN`, an id on the Hugging Face Hub, or a folder."""
    return weights.transformers().AutoTokenizer.from_pretrained(folder or weights.locate(name))


def asked(name: str, tokenizer: Any, prompt: str) -> str:
    """The prompt in the model's chat format; an empty line stands for the format of models that have none."""
    if name in weights.KNOWN:
        return weights.KNOWN[name].prompt.format(prompt=prompt)
    if getattr(tokenizer, "chat_template", None):
        turn = [{"role": "user", "content": prompt}]
        return tokenizer.apply_chat_template(turn, add_generation_prompt=True, tokenize=False)
    return f"{tokenizer.bos_token or ''}{prompt}\n\n"


def encode(tokenizer: Any, text: str) -> list[int]:
    """Token ids, with no special token that the text does not hold."""
    return list(tokenizer.encode(text, add_special_tokens=False)) if text else []


class Encoded(NamedTuple):
    """Sequences padded on the right, and True at the tokens of the answers."""

    tokens: Int[Tensor, "n t"]
    mask: Bool[Tensor, "n t"]


def together(tokenizer: Any, prompts: Sequence[str], answers: Sequence[str]) -> Encoded:
    """Each prompt followed by its answer. The two are encoded apart, so that no token lies on both sides of the border.

    Args:
        tokenizer: anything with `encode(text, add_special_tokens=False)`, and a `pad_token_id` or an `eos_token_id`.
        prompts: as the model is asked.
        answers: none of them empty.
    """
    before = [encode(tokenizer, text) for text in prompts]
    after = [encode(tokenizer, text) for text in answers]
    for k, (head, tail) in enumerate(zip(before, after, strict=True)):
        if not head or not tail:
            raise ValueError(
                f"row {k} has an empty {'answer' if head else 'prompt'}: there is nothing to {'score' if head else 'ask'}"
            )
    length = max(len(head) + len(tail) for head, tail in zip(before, after, strict=True))
    pad = next((i for i in (tokenizer.pad_token_id, tokenizer.eos_token_id) if i is not None), 0)
    tokens = torch.full((len(before), length), pad)
    mask = torch.zeros(len(before), length, dtype=torch.bool)
    for row, (head, tail) in enumerate(zip(before, after, strict=True)):
        end = len(head) + len(tail)
        tokens[row, :end] = torch.tensor(head + tail)
        mask[row, len(head) : end] = True
    return Encoded(tokens, mask)


@functools.lru_cache(maxsize=4)
def vocabulary(tokenizer: Any) -> tuple[str, ...]:
    """Every token as it reads, by id."""
    return tuple(tokenizer.convert_ids_to_tokens(list(range(len(tokenizer)))))
