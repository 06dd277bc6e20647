"""Models by name: encoders of inputs, and policies over answers. A model never knows its loss."""

import importlib
from typing import Any

from torch import nn

CATALOG = {
    **dict.fromkeys(("points", "linear", "mlp", "conv", "resnet"), "labkit.models.encoders"),
    "softmax_policy": "labkit.models.policies",
    "tiny_lm": "labkit.models.tiny_lm",
    **dict.fromkeys(("smollm2-135m", "pretrained"), "labkit.models.causal"),
}


def build(call_or_name: Any, data: Any, **options: Any) -> nn.Module:
    """A model by name, or by a call that has `.name` and `.kwargs`, in the sizes that `data` asks for.

    Its weights come from torch's global generator: seed that before the call.

    >>> import labkit.data
    >>> model = build("mlp", labkit.data.load("digits"), out=32)
    >>> sum(p.numel() for p in model.parameters())
    119456
    """
    if not isinstance(call_or_name, str):
        call_or_name, options = call_or_name.name, {**call_or_name.kwargs, **options}
    if call_or_name not in CATALOG:
        raise ValueError(f"there is no model called {call_or_name!r}; there are {', '.join(sorted(CATALOG))}")
    make = getattr(importlib.import_module(CATALOG[call_or_name]), call_or_name.replace("-", "_"))
    return make(data, **options)
