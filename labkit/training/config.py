"""What a run is, as plain values: a frozen dataclass of calls, whose text names the run."""

import dataclasses
import hashlib
from dataclasses import dataclass, field
from typing import Any

import labkit


@dataclass(frozen=True)
class Call:
    """A name and its keywords, printed as the call that it stands for."""

    name: str
    options: tuple[tuple[str, Any], ...] = ()

    @property
    def kwargs(self) -> dict[str, Any]:
        return dict(self.options)

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(f'{k}={v!r}' for k, v in self.options)})"


def call(name: str, /, **options: Any) -> Call:
    """`call("nt_xent", temperature=0.5)`: what to call and with which options, before anything is called.

    Raises:
        TypeError: an option that is not a number, a word, None, a Call or a tuple of these: it could not be written down.

    >>> call("mlp", width=256, out=32)
    mlp(out=32, width=256)
    """
    return Call(name, tuple(sorted((k, plain(k, v)) for k, v in options.items())))


def plain(name: str, value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(plain(name, v) for v in value)
    if value is None or isinstance(value, (bool, int, float, str, Call)):
        return value
    raise TypeError(f"{name} must be a number, a word, None, or a tuple of these, got {type(value).__name__}")


@dataclass(frozen=True)
class Config:
    """Everything that decides a run's numbers, and where it runs.

    Args:
        data: what `labkit.data.load` (or `labkit.data.preferences.load`) is called with.
        model: what `labkit.models.build` is called with.
        loss: an entry of the catalog with its options.
        augment: what `labkit.data.augment.build` is called with; each step draws `views` views of every instance.
        optimizer: "sgd", "adam", "adamw" or "rmsprop" of torch.optim with its options.
        steps, batch: optimiser steps, instances per step; a batch as large as the data is the whole data in order.
        seed: of the initial weights, the order of the data, the augmentations.
        start: begin from the final weights of this other run.
        target: `call("ema", decay=0.99)` compares with a slowly moving copy of the model (its z1, z2 are then the copy's).
        until: `("margin", 4.0)` stops as soon as this column of the history reaches this value.
        account: keep the first-order account of every step in the history (`labkit.training.account`): three backward passes
            more a step. The numbers of the run itself stay the same.
        device: "auto" (CUDA, then Apple's MPS, then the CPU), or a torch device; not part of what the run is.
    """

    data: Call = field(default_factory=lambda: call("digits"))
    model: Call = field(default_factory=lambda: call("mlp"))
    loss: Call = field(default_factory=lambda: call("nt_xent", temperature=0.5))
    augment: Call = field(default_factory=lambda: call("none"))
    optimizer: Call = field(default_factory=lambda: call("adam", lr=1e-3))
    steps: int = 300
    batch: int = 256
    views: int = 2
    seed: int = 0
    start: "Config | None" = None
    target: Call | None = None
    until: tuple[str, float] | None = None
    account: bool = False
    device: str = field(default="auto", compare=False)

    def __post_init__(self) -> None:
        for name in ("data", "model", "loss", "augment", "optimizer"):
            value = getattr(self, name)
            if isinstance(value, str):
                object.__setattr__(self, name, call(value))
            elif not isinstance(value, Call):
                raise TypeError(f'{name} must be a call such as call("digits"), got {type(value).__name__}')
        for name, least in (("steps", 0), ("batch", 1), ("views", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"{name} must be a whole number, got {value!r}")
            if value < least:
                raise ValueError(f"{name} must be >= {least}, got {value}")

    def replace(self, **changes: Any) -> "Config":
        return dataclasses.replace(self, **changes)

    @property
    def text(self) -> str:
        """Everything that decides the numbers, in words."""
        names = [f.name for f in dataclasses.fields(self) if f.compare and (f.name != "account" or self.account)]
        return ", ".join(f"{n}={v.text if isinstance(v := getattr(self, n), Config) else v!r}" for n in names)

    def key(self, data_sha256: str) -> str:
        """The name of the run's folder: a hash of the text, labkit's version and the data, without the device."""
        return hashlib.sha256(f"labkit {labkit.__version__}; data {data_sha256}; {self.text}".encode()).hexdigest()[:16]
