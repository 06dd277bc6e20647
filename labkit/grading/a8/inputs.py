"""What the exercises on displacement share: policies of weights, stored runs, and answers of which only some keys count."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from labkit import preferences, results
from labkit.data.preferences import GEOMETRIES, VOCABULARY
from labkit.grading.compare import difference
from labkit.grading.draw import Draw
from labkit.models.policies import SoftmaxPolicy
from labkit.models.tiny_lm import TinyLM

CONTEXT, WIDTH = 7, 32  # of the transformer whose weights are stored
SIDES = ("chosen", "rejected")
OPTIMIZERS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "rmsprop": torch.optim.RMSprop}
Pairs = dict[str, Tensor]
Weights = dict[str, Tensor]


def policy_of(weights: dict[str, Tensor]) -> nn.Module:
    """A fresh policy with these weights, in float64: of softmax answers, or a transformer."""
    if "features" in weights:
        return SoftmaxPolicy(weights["features"], weights["head"])
    (words, d), context = weights["tokens.weight"].shape, len(weights["positions.weight"])
    model = TinyLM(words, context, d, layers=len({name.split(".")[1] for name in weights if name.startswith("blocks.")}))
    model.double().load_state_dict(weights)
    return model


def learned(seed: int) -> dict[str, Tensor]:
    """The weights of a transformer that has learned the small language, as they were stored."""
    model = TinyLM(len(VOCABULARY), CONTEXT, WIDTH).double()
    row = torch.tensor(results.load("course_displacement")[f"weights_{seed}"], dtype=torch.float64)
    nn.utils.vector_to_parameters(row, model.parameters())
    return {name: x.detach().clone() for name, x in model.state_dict().items()}


def only(right: Callable[[], dict[str, Any]], keys: Sequence[str], tolerance: float = 1e-5) -> Callable[[Any], bool | str]:
    """Accepts an answer that is right at these keys; what is right is computed when somebody asks."""

    def accepts(got: Any) -> bool | str:
        if not isinstance(got, dict):
            return f"a dict is asked for, with the keys {', '.join(right())}"
        return difference(got, {key: right()[key] for key in keys}, tolerance) or True

    return accepts


def spoken(policy: nn.Module, pairs: Pairs) -> list[Tensor]:
    """The log-probabilities of the chosen answers, and of the rejected ones."""
    sides = [(pairs[side], pairs[f"{side}_mask"]) for side in SIDES]
    return [preferences.sequence_logps(policy(tokens), tokens, mask) for tokens, mask in sides]


def said(policy: Any, tokens: Tensor, mask: Tensor, masked: bool, averaged: bool) -> Tensor:
    each = policy(tokens)[:, :-1].log_softmax(-1).gather(-1, tokens[:, 1:, None]).squeeze(-1)
    counted = mask[:, 1:].double() if masked else torch.ones_like(each)
    return (each * counted).sum(1) / (counted.sum(1) if averaged else 1)


def gradients(x: Tensor, parameters: Sequence[Tensor]) -> list[Tensor]:
    return list(torch.autograd.grad(x, parameters, retain_graph=True, materialize_grads=True))


def three_answers(draw: Draw) -> tuple[Weights, Pairs]:
    """No against Never after one prompt, and Yes against Never after another."""
    head, state = (torch.tensor(x, dtype=torch.float64) for x in GEOMETRIES["aligned"])
    states = torch.stack([state, -state]) + 0.2 * draw.rows(2, 2, torch.float64)
    features = torch.cat([torch.zeros_like(head), states])
    chosen, rejected = torch.tensor([[3, 1], [4, 0]]), torch.tensor([[3, 2], [4, 2]])
    mask = torch.tensor([[False, True]]).repeat(2, 1)
    return {"features": features, "head": head + 0.2 * draw.rows(3, 2, torch.float64)}, {
        "chosen": chosen,
        "chosen_mask": mask,
        "rejected": rejected,
        "rejected_mask": mask,
    }


def sentences(draw: Draw, words: int = 11, n: int = 2) -> tuple[Weights, Pairs]:
    """A small random transformer, and pairs of unequal lengths with padding behind them."""
    model = TinyLM(words, 6, 4, layers=1)
    weights = {
        name: torch.from_numpy(draw.rng.normal(1.0 if "norm.weight" in name else 0.0, 0.3, tuple(x.shape)))
        for name, x in model.state_dict().items()
    }
    pairs: Pairs = {}
    for side, length in (("chosen", 6), ("rejected", 5)):
        tokens = torch.from_numpy(draw.rng.integers(1, words, (n, length)))
        ends = torch.tensor([draw.integer(3, length) for _ in range(n - 1)] + [length])[:, None]
        places = torch.arange(length)
        pairs |= {side: tokens.where(places < ends, 0), f"{side}_mask": (places >= 1 + (side == "chosen")) & (places < ends)}
    pairs["rejected"][:, :2] = pairs["chosen"][:, :2]
    return weights, pairs
