"""A policy over a pretrained causal language model: its top layers learn, what lies below is evaluated once and remembered."""

import copy
import hashlib
from collections import OrderedDict
from typing import Any, Literal, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.func import functional_call

from labkit.models.pretrained import load

Part = Literal["all", "head", "body"]
REMEMBERED = 1 << 30  # bytes of hidden states that are kept, the most recently used ones


class Read(NamedTuple):
    """Logits, and the last states, which they were read from."""

    logits: Tensor
    hidden: Tensor


class Frozen:
    """A pretrained model whose own weights never move. Policies that were copied from each other share it.

    Args:
        model: a Hugging Face causal language model.
        layers: how many of its top layers are not evaluated here; None if all learn, so that nothing can be remembered.
        limit: bytes of hidden states that are kept.
    """

    def __init__(self, model: nn.Module, layers: int | None, limit: int = REMEMBERED):
        self.layers, self.limit = layers, limit
        self.split = 0 if layers is None else len(blocks(model)) - layers
        self.states: OrderedDict[bytes, Any] = OrderedDict()
        self.held = 0
        # Two skeletons with the same weights; the lower layers of the second hand on what is put into `answer`.
        self.model, self.top = skeleton(model), skeleton(model)
        self.answer: Any = None
        for layer in list(blocks(self.top))[: self.split]:
            layer.forward = lambda *_, **__: self.answer
        self.head: nn.Module = self.top.get_output_embeddings()  # type: ignore[operator]

    def __deepcopy__(self, memo: dict) -> "Frozen":
        return self

    def moved(self, fn: Any) -> "Frozen":
        """On another device or in another precision this is another model; the one that others use stays where it is."""
        weight = next(self.model.parameters())
        there = fn(weight.detach().flatten()[:1])
        if (there.device, there.dtype) == (weight.device, weight.dtype):
            return self
        return Frozen(copy.deepcopy(self.model)._apply(fn), self.layers, self.limit)

    def read(self, learned: dict[str, Tensor], tokens: Tensor, places: Tensor | None = None) -> "Read":
        """What the model says with these weights in place of its own: everywhere, or at the places `(n, t)` that are True."""
        if self.split:
            self.answer = joined([self.below(row) for row in tokens.split(1)])
        seen: list[Tensor] = []

        def looked_at(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
            seen.append(inputs[0])
            return (inputs[0] if places is None else inputs[0][places],)

        hook = self.head.register_forward_pre_hook(looked_at)
        try:
            with torch.autocast(tokens.device.type, enabled=False):  # steps of 1e-6 are too fine for bfloat16 to see
                out = functional_call(self.top, learned, (tokens,), {"use_cache": False}, tie_weights=self.layers is None)
        finally:
            hook.remove()
            self.answer = None
        return Read(out.logits, seen[0])

    @torch.no_grad()
    def below(self, row: Tensor) -> Any:
        """What the lower layers make of one sequence. Row by row, so that no bit depends on which rows share a batch."""
        key = hashlib.sha256(row.cpu().numpy().tobytes()).digest()
        if key in self.states:
            self.states.move_to_end(key)
            return self.states[key]
        found: list[Any] = []
        hook = blocks(self.model)[self.split - 1].register_forward_hook(lambda _, __, out: found.append(out))
        try:
            with torch.autocast(row.device.type, enabled=False):  # what is remembered is exact
                self.model(row, use_cache=False)
        finally:
            hook.remove()
        self.states[key] = found[0]
        self.held += size(found[0])
        while self.held > self.limit and len(self.states) > 1:
            self.held -= size(self.states.popitem(last=False)[1])
        return found[0]


FROZEN: WeakKeyDictionary[nn.Module, dict[Any, Frozen]] = WeakKeyDictionary()


def frozen(model: nn.Module, layers: int | None, limit: int) -> Frozen:
    """One for all policies over the same model, so that what it remembers serves them all."""
    known = FROZEN.setdefault(model, {})
    if (layers, limit) not in known:
        known[layers, limit] = Frozen(model, layers, limit)
    return known[layers, limit]


def skeleton(model: nn.Module) -> nn.Module:
    """Modules of its own around the same tensors, in evaluation mode."""
    return copy.deepcopy(model, {id(t): t for t in (*model.parameters(), *model.buffers())}).eval()


def blocks(model: nn.Module) -> nn.ModuleList:
    """The list of a model's layers: the one that is as long as its configuration says."""
    depth = model.config.num_hidden_layers  # type: ignore[union-attr]
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == depth:
            return module
    raise ValueError(f"{type(model).__name__} has no list of {depth} layers: use the whole model with layers=None")


def size(out: Any) -> int:
    return sum(t.numel() * t.element_size() for t in (out if isinstance(out, tuple) else (out,)) if t is not None)


def joined(rows: list[Any]) -> Any:
    """One batch from single rows, whatever a layer returns: a tensor, or a tuple that starts with one."""
    if isinstance(rows[0], tuple):
        return tuple(None if parts[0] is None else torch.cat(parts) for parts in zip(*rows, strict=True))
    return torch.cat(rows)


class CausalPolicy(nn.Module):
    """Token ids `(n, t)` to logits `(n, t, vocabulary)`: a pretrained model of which only the top learns.

    The unembedding is a weight of its own, not the embeddings once more. `state_dict` holds only what can learn; the rest is
    shared by all copies of the policy, and never written to. Attention looks back only, so padding on the right is harmless.

    Args:
        model: a Hugging Face causal language model; it is not changed.
        layers: how many of its top layers learn, with the last norm and the unembedding; None for the whole model as it is.
        train: "all" of that, only the "head" (the unembedding), or only the "body".
        limit: bytes of hidden states that are remembered.
    """

    def __init__(self, model: nn.Module, layers: int | None = 6, train: Part = "all", limit: int = REMEMBERED):
        super().__init__()
        if layers is not None and not 1 <= layers <= len(blocks(model)):
            raise ValueError(f"layers must be in [1, {len(blocks(model))}] or None for the whole model, got {layers}")
        self.frozen = frozen(model, layers, limit)
        self.names, self.heads = upper(model, layers)
        found = dict(model.named_parameters(remove_duplicate=False))
        self.learned = nn.ParameterDict({slashed(name): found[name].detach().cpu().clone() for name in self.names})
        self.train_only(train)

    def train_only(self, part: Part) -> "CausalPolicy":
        """Let this part learn, and hold the rest of what could; "body" is all but the unembedding."""
        if part not in ("all", "head", "body"):
            raise ValueError(f"train must be 'all', 'head' or 'body', got {part!r}")
        for name in self.names:
            self.learned[slashed(name)].requires_grad_(part == "all" or (part == "head") == (name in self.heads))
        return self

    @property
    def unembedding(self) -> Tensor:
        """One output vector for each token, `(vocabulary, d)`."""
        return self.learned[slashed(self.heads[0])]

    def _apply(self, fn: Any, recurse: bool = True) -> "CausalPolicy":
        super()._apply(fn, recurse)
        self.frozen = self.frozen.moved(fn)
        return self

    def read(self, tokens: Tensor, places: Tensor | None = None) -> Read:
        return self.frozen.read({name: self.learned[slashed(name)] for name in self.names}, tokens, places)

    def hidden(self, tokens: Tensor) -> Tensor:
        """The states `(n, t, d)` that the unembedding reads: what CHES adds up."""
        return self.read(tokens).hidden

    def token_logps(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """As `preferences.token_logps` of the logits, but the unembedding is asked only where an answer is.

        Args:
            tokens: `(n, t)`.
            mask: `(n, t)`, True at the answers' tokens.
        """
        marked = mask.bool().clone()
        marked[:, 0] = False  # nothing predicts the first token
        places = marked.roll(-1, dims=1)
        logits = self.read(tokens, places).logits
        logits = logits if logits.dtype == torch.float64 else logits.float()
        chosen = logits.gather(-1, tokens[marked][:, None]).squeeze(-1)
        return logits.new_zeros(tokens.shape).masked_scatter(marked, chosen - logits.logsumexp(-1))

    def forward(self, tokens: Tensor) -> Tensor:
        return self.read(tokens).logits


def upper(model: nn.Module, layers: int | None) -> tuple[list[str], list[str]]:
    """The names of what can learn, and of the unembedding among them.

    Every weight, or those of the top layers, of what follows them, and of the unembedding.
    """
    read = {id(p) for p in model.get_output_embeddings().parameters()}  # type: ignore[operator]
    if layers is None:
        every = list(model.named_parameters())
        return [name for name, _ in every], [name for name, p in every if id(p) in read]
    rows = list(blocks(model))
    below = {id(p) for layer in rows[: len(rows) - layers] for p in layer.parameters()}
    tables = {name for name, m in model.named_modules() if isinstance(m, nn.Embedding)}
    every = [(n, p) for n, p in model.named_parameters(remove_duplicate=False) if n.rpartition(".")[0] not in tables]
    return [name for name, p in every if id(p) not in below], [name for name, p in every if id(p) in read]


def slashed(name: str) -> str:
    """A name that a ParameterDict takes."""
    return name.replace(".", "/")


def pretrained(data: Any, name: str, layers: int | None = 6, train: Part = "all") -> CausalPolicy:
    """A policy that starts where the pretrained model of this name is; its tokens must be `data`'s.

    Raises:
        ValueError: `data` has ids that the model does not know, or `layers` that it does not have.
    """
    model = load(name).model
    policy = CausalPolicy(model, layers, train)
    words = len(model.get_input_embeddings().weight)  # type: ignore[operator, arg-type]
    if data is not None and len(data.vocabulary) > words:
        raise ValueError(
            f"the data has {len(data.vocabulary)} token ids, {name} knows {words}: load it with tokenizer={name!r}"
        )
    return policy


def smollm2_135m(data: Any, layers: int | None = 6, train: Part = "all") -> CausalPolicy:
    """SmolLM2-135M-Instruct, 30 layers of 576 dimensions and 49,152 tokens."""
    return pretrained(data, "smollm2-135m", layers, train)
