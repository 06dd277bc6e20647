"""Real language models, small enough for a laptop: `load(name)` finds the weights, wherever they lie."""

import functools
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from labkit.data import texts, weights
from labkit.paths import home


@dataclass(frozen=True, eq=False)
class Pretrained:
    """A causal language model and its tokenizer, each read when it is asked for.

    name: what it was asked for by.
    folder: where its files lie.
    """

    name: str
    folder: Path

    @cached_property
    def tokenizer(self) -> Any:
        return texts.tokenizer(self.name, folder=self.folder)

    @cached_property
    def model(self) -> nn.Module:
        """The Hugging Face model in float32, in evaluation mode, on the CPU. It is shared: copy it before you change it."""
        library = weights.transformers()
        with texts.quiet(library):
            model = library.AutoModelForCausalLM.from_pretrained(self.folder, dtype=torch.float32)
        return model.eval().requires_grad_(False)

    def asked(self, prompt: str) -> str:
        """The prompt as this model wants to be asked."""
        return texts.asked(self.name, self.tokenizer, prompt)

    @torch.no_grad()
    def says(self, prompt: str, tokens: int = 24) -> str:
        """The likeliest continuation, token by token."""
        ids = torch.tensor([texts.encode(self.tokenizer, self.asked(prompt))], device=self.model.device)  # type: ignore[arg-type]
        out = self.model.generate(ids, max_new_tokens=tokens, do_sample=False, pad_token_id=0)  # type: ignore[operator]
        return self.tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True).strip()

    @torch.no_grad()
    def next_word(self, prompt: str, begun: str = "") -> Tensor:
        """Probabilities of every token after the prompt and the beginning of an answer: `(vocabulary,)`."""
        ids = texts.encode(self.tokenizer, self.asked(prompt)) + texts.encode(self.tokenizer, begun)
        return self.model(torch.tensor([ids])).logits[0, -1].softmax(-1)


def load(name: str = "smollm2-135m", *, download: bool = True) -> Pretrained:
    """A pretrained causal language model.

    Args:
        name: "smollm2-135m" (SmolLM2-135M-Instruct, Apache-2.0, 540 MB on the disk), an id on the Hugging Face Hub, or
            a folder.
        download: whether files that are not there may be fetched.

    Raises:
        ModuleNotFoundError, FileNotFoundError, ValueError: as in `labkit.data.weights.locate`.
    """
    return opened(name, weights.locate(name, download=download), home())


@functools.lru_cache(maxsize=2)
def opened(name: str, folder: Path, _: Path) -> Pretrained:
    return Pretrained(name, folder)
