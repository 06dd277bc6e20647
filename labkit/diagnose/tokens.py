"""Preference records as token ids, cut into prompt and answers where trainers cut them, and any causal model as a policy."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from labkit.data.preferences import PreferencePairs

Ids = list[int]


class Vocabulary(Sequence):
    """A tokenizer's words by id, decoded when they are asked for."""

    def __init__(self, tokenizer: Any, size: int | None = None):
        self.tokenizer, self.size = tokenizer, size or len(tokenizer)

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, token: Any) -> Any:
        if not 0 <= token < self.size:
            raise IndexError(token)
        return self.tokenizer.convert_ids_to_tokens(int(token)) or f"<{token}>"


def tokenized(
    records: Iterable[Mapping], tokenizer: Any, *, max_length: int = 1024, size: int | None = None
) -> tuple[PreferencePairs, list[str]]:
    """Pairs padded on the right, and their ids, from records of `prompt`, `chosen`, `rejected`, as TRL reads them.

    Texts, or chats as lists of messages; without a prompt, it is what both answers begin with. An answer begins where the
    encoded prompt and the encoded whole part ways, so a token that lies across the border belongs to the answer. Texts get the
    token that ends an answer.

    Args:
        records: with an `id` each, if they are to be found again.
        tokenizer: Hugging Face's.
        max_length: longer sequences lose the beginning of their prompt first, then the end of the answer.
        size: of the model's vocabulary, where it is larger than the tokenizer's.

    Raises:
        ValueError: a record without its parts, an empty answer; the message names the record.
    """
    rows, names = [], []
    for i, record in enumerate(records):
        name = str(record.get("id", i))
        missing = [part for part in ("chosen", "rejected") if not record.get(part)]
        if missing:
            raise ValueError(f"record {name} has no {' and no '.join(missing)}; it has {', '.join(record)}")
        rows.append(cut(*parts(record, tokenizer), max_length, name))
        names.append(name)
    if not rows:
        raise ValueError("there are no pairs")
    pad = next(x for x in (tokenizer.pad_token_id, tokenizer.eos_token_id, 0) if x is not None)
    sides = [padded([(prompt, row[i]) for prompt, *row in rows], pad) for i in range(2)]
    words: Any = Vocabulary(tokenizer, size)
    return PreferencePairs(*sides[0], *sides[1], words), names


def parts(record: Mapping, tokenizer: Any) -> tuple[Ids, Ids, Ids]:
    """The encoded prompt, and it with either answer."""
    prompt, answers = record.get("prompt"), [record["chosen"], record["rejected"]]
    if not isinstance(answers[0], str):
        if prompt is None:
            prompt, answers = shared(*answers)
        prompt = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)
        asked = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, tokenize=False)
        texts = [tokenizer.apply_chat_template([*prompt, *answer], tokenize=False) for answer in answers]
        # the template has written the special tokens already
        return encoded(tokenizer, asked, False), encoded(tokenizer, texts[0], False), encoded(tokenizer, texts[1], False)
    end = tokenizer.eos_token or ""
    prompt = prompt or ""
    whole = [prompt + (answer if answer.endswith(end) else answer + end) for answer in answers]
    return encoded(tokenizer, prompt), encoded(tokenizer, whole[0]), encoded(tokenizer, whole[1])


def encoded(tokenizer: Any, text: str, special: bool = True) -> Ids:
    return list(tokenizer(text, add_special_tokens=special)["input_ids"])


def shared(chosen: list, rejected: list) -> tuple[list, list[list]]:
    """The messages that both chats begin with, and what is left of either."""
    n = common(chosen, rejected)
    return chosen[:n], [chosen[n:], rejected[n:]]


def common(a: Sequence, b: Sequence) -> int:
    """How many items two sequences share at their beginning."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def cut(prompt: Ids, chosen: Ids, rejected: Ids, max_length: int, name: str) -> tuple[Ids, Ids, Ids]:
    """Prompt, chosen answer, rejected answer, none of the sequences longer than `max_length`."""
    border = max(1, min(common(prompt, chosen), common(prompt, rejected)))  # nothing predicts the first token of a sequence
    prompt, answers = chosen[:border], [chosen[border:], rejected[border:]]
    if not all(answers):
        raise ValueError(f"record {name} has an empty {'chosen' if not answers[0] else 'rejected'} answer")
    keep = max(1, max_length - max(map(len, answers)))
    prompt = prompt[-keep:]
    return prompt, *(answer[: max_length - len(prompt)] for answer in answers)  # type: ignore[return-value]


def padded(rows: list[tuple[Ids, Ids]], pad: int) -> tuple[Tensor, Tensor]:
    """Tokens `(n, t)` and True at the answers."""
    length = max(len(a) + len(b) for a, b in rows)
    tokens = torch.full((len(rows), length), pad)
    mask = torch.zeros(len(rows), length, dtype=torch.bool)
    for i, (prompt, answer) in enumerate(rows):
        end = len(prompt) + len(answer)
        tokens[i, :end] = torch.tensor(prompt + answer)
        mask[i, len(prompt) : end] = True
    return tokens, mask


class WholeModel(nn.Module):
    """A Hugging Face causal model as `tokens (n, t) -> logits (n, t, vocabulary)`, with the padding on the right masked.

    It is only looked at, in whatever trainer it lives; `labkit.models.causal.CausalPolicy` is the one that `fit` trains.
    """

    def __init__(self, model: nn.Module, pad: int):
        super().__init__()
        self.model, self.pad = model, pad

    def seen(self, tokens: Tensor) -> Tensor:
        """The attention mask: everything up to the last token that is no padding."""
        return (tokens != self.pad).flip(-1).cummax(-1).values.flip(-1).long()

    def forward(self, tokens: Tensor) -> Tensor:
        return self.model(input_ids=tokens, attention_mask=self.seen(tokens), use_cache=False).logits

    def hidden(self, tokens: Tensor) -> Tensor:
        mask = self.seen(tokens)
        return self.model(input_ids=tokens, attention_mask=mask, use_cache=False, output_hidden_states=True).hidden_states[-1]

    def get_output_embeddings(self) -> Any:
        return self.model.get_output_embeddings()  # type: ignore[operator]
