"""Your own encoder, data and loss: read, checked, and named, so that they can be trained like anything else here."""

import copy
import functools
import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from labkit.data import augment
from labkit.data.augment import to_float
from labkit.registry import ENTRIES, Entry, catalog
from labkit.training.config import Call, Config
from labkit.training.feed import Feed, feed
from labkit.training.fingerprint import Unknown, fingerprint
from labkit.training.given import Given, OwnLoss
from labkit.training.sources import Augment
from labkit.training.views import embeddings

LABELS = ("labels", "label", "y", "targets", "target", "classes")
CARRIED = ("z1", "z2", "a", "b", "z", "views", "labels", "anchors", "positives", "p1", "p2", "scores1", "scores2")


class Names:
    """Calls for a Config out of objects: the name of each with a hash of what decides its numbers."""

    def __init__(self, name: str):
        self.name, self.unknown = name, list[str]()

    def call(self, argument: str, title: str, *objects: Any, sha256: str | None = "") -> Call:
        """`sha256`: of data, where it is known; None where nobody can know it."""
        try:
            if sha256 is None:
                raise Unknown("data that is read as it comes")
            return Call(title, (("sha256", (sha256 or fingerprint(*objects))[:16]),))
        except (Unknown, RecursionError) as what:
            self.unknown.append(f"{argument} ({what})")
            return Call(title, (("named", self.name),))


def own(
    encoder: Any, data: Any, loss: Any, *, augment: Any, optimizer: Any, lr: float | None, views: int, name: str, **plain: Any
) -> tuple[Config, Given]:
    """The Config and the objects of a run of the reader's own parts; see `labkit.fit`."""
    missing = [n for n, value in (("encoder", encoder), ("data", data), ("loss", loss)) if value is None]
    if missing:
        raise TypeError(f"fit needs a Config, or encoder=, data= and loss=; there is no {' and no '.join(missing)}")
    Config(views=views, **plain)  # refuses what cannot be, before anything is read
    names = Names(name)
    entry, options, objective, loss_call = read_loss(loss, names)
    fed = feed(data, plain["seed"], plain["batch"])
    change, change_call, views = read_augment(augment, fed, entry, views, names)
    model, model_call = read_encoder(encoder, names)
    if model is not None:
        tried(model, fed.data.x[:4])
    config = Config(
        data=names.call("data", "own", sha256=fed.sha256),
        model=model_call,
        loss=loss_call,
        augment=change_call,
        optimizer=read_optimizer(optimizer, lr),
        views=views,
        **plain,
    )
    kept = not names.unknown or bool(name)
    if not kept:
        warnings.warn(
            f"trained anew at every call: nobody can tell from {' and '.join(names.unknown)} whether it is what it was; "
            'give the run a name, name="...", and change it whenever you change that',
            stacklevel=3,
        )
    made = {f: getattr(fed, f) for f in ("data", "size", "source", "pair", "labelled")}
    return config, Given(**made, entry=entry, options=options, augment=change, encoder=model, objective=objective, kept=kept)


# ---------------------------------------------------------------- the loss


def read_loss(loss: Any, names: Names) -> tuple[Entry | OwnLoss, Mapping[str, Any], nn.Module | None, Call]:
    """An entry of the catalog by name, call or function, with its options; or somebody's own."""
    catalog()
    inner, options = (loss.func, dict(loss.keywords)) if isinstance(loss, functools.partial) and not loss.args else (loss, {})
    if isinstance(loss, Call):
        inner, options = loss.name, loss.kwargs
    entry = ENTRIES.get(inner if isinstance(inner, str) else getattr(inner, "__name__", ""))
    if isinstance(inner, str) and (entry is None or entry.kind != "loss"):
        there = ", ".join(sorted(e.name for e in ENTRIES.values() if e.kind == "loss"))
        raise ValueError(f"loss must be a function of tensors or one of {there}; got {inner!r}")
    if entry is not None and (isinstance(inner, str) or entry.fn is inner):
        if entry.kind != "loss":
            raise ValueError(f"loss must be one on embeddings, and {entry.name} is a {entry.kind}")
        try:
            return entry, options, None, Call(entry.name, tuple(sorted((k, plain_value(v)) for k, v in options.items())))
        except TypeError:
            return entry, options, None, names.call("loss", entry.name, options)
    if isinstance(loss, type) or not callable(loss):
        what = f"the class {loss.__name__}: make one of it first" if isinstance(loss, type) else type(loss).__name__
        raise TypeError(f"loss must be a function of tensors, an nn.Module or a name of the catalog, got {what}")
    told = understood(loss)
    objective = untouched(loss, "loss") if isinstance(loss, nn.Module) else None
    return told, {}, objective, names.call("loss", told.name, loss)


def plain_value(value: Any) -> Any:
    if not isinstance(value, (bool, int, float, str, type(None))):
        raise TypeError(type(value).__name__)
    return value


def understood(loss: Callable) -> OwnLoss:
    """Which tensors of a batch the function's arguments are.

    Raises:
        ValueError: arguments that no batch carries.
    """
    inner = loss.func if isinstance(loss, functools.partial) else loss
    name = getattr(inner, "__name__", type(inner).__name__)
    try:
        parameters = inspect.signature(loss.forward if isinstance(loss, nn.Module) else loss).parameters
    except (TypeError, ValueError):
        raise TypeError(f"loss has no signature that Python can read: wrap {name} in a function of your own") from None
    if any(p.kind is p.VAR_POSITIONAL for p in parameters.values()) and not required(parameters):
        return OwnLoss(loss, name, {"z1": "", "z2": ""}, ("z1", "z2"))
    needed = required(parameters)
    calls = {meaning(n): n for n in parameters if meaning(n) and parameters[n].kind is not inspect.Parameter.VAR_KEYWORD}
    strange = [n for n in needed if not meaning(n)]
    if len(strange) == 2 and not set(calls) - {"labels"}:
        calls = {"z1": strange[0], "z2": strange[1], **calls}
    elif len(strange) == 1 and set(calls) == {"labels"}:
        calls = {"z": strange[0], **calls}
    elif strange:
        raise ValueError(
            f"loss asks for {', '.join(strange)}, which no batch carries; it carries {', '.join(CARRIED)} by these names. "
            "Give what is no tensor by functools.partial"
        )
    placed = {r: "" if parameters[n].kind is inspect.Parameter.POSITIONAL_ONLY else n for r, n in calls.items()}
    return OwnLoss(loss, name, placed, tuple(r for r, n in calls.items() if n in needed))


def required(parameters: Mapping[str, inspect.Parameter]) -> list[str]:
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [n for n, p in parameters.items() if p.default is p.empty and p.kind not in variable]


def meaning(name: str) -> str:
    return "labels" if name in LABELS else name if name in CARRIED else ""


# ---------------------------------------------------------------- the encoder, the augmentation, the optimizer


def untouched(module: nn.Module, argument: str) -> nn.Module:
    """A copy: the reader's own keeps its weights."""
    try:
        return copy.deepcopy(module)
    except (RuntimeError, TypeError) as error:
        raise TypeError(
            f"{argument} cannot be copied ({error}); it is trained as a copy, so that yours stays as it is"
        ) from None


def read_encoder(encoder: Any, names: Names) -> tuple[nn.Module | None, Call]:
    if isinstance(encoder, (str, Call)):
        return None, encoder if isinstance(encoder, Call) else Call(encoder)
    if not isinstance(encoder, nn.Module):
        what = f"the class {encoder.__name__}: make one of it first" if isinstance(encoder, type) else type(encoder).__name__
        raise TypeError(
            f"encoder must be an nn.Module that maps a batch of inputs to (n, d), or a name of labkit's, got {what}"
        )
    if any(isinstance(p, nn.UninitializedParameter) for p in encoder.parameters()):
        raise ValueError("encoder has layers without weights yet: call it once on a batch before you hand it over")
    return untouched(encoder, "encoder"), names.call("encoder", type(encoder).__name__, encoder)


@torch.no_grad()
def tried(encoder: nn.Module, x: Tensor) -> None:
    """
    Raises:
        ValueError: the encoder does not take such inputs, or does not give embeddings.
    """
    probe = copy.deepcopy(encoder).cpu().eval()
    x = to_float(x)
    try:
        z = probe(x)
    except Exception as error:
        at = {p.dtype for p in probe.parameters() if p.is_floating_point()} - {x.dtype} if x.is_floating_point() else set()
        hint = f"; its weights are {at.pop()}, and inputs come as {x.dtype}: encoder.float()" if at else ""
        raise ValueError(
            f"encoder fails on a batch of shape {tuple(x.shape)}, {x.dtype}{hint}; {type(error).__name__}: {error}"
        ) from error
    embeddings(z, x)


def read_augment(
    change: Any, fed: Feed, entry: Entry | OwnLoss, views: int, names: Names
) -> tuple[Callable[..., Tensor] | None, Call, int]:
    """The augmentation, what it is called, and how many views there will be."""
    if fed.source is not None:
        if change is not None:
            raise ValueError("augment must be None: this data yields its own views")
        return None, Call("own"), views
    if change is None:
        if not {"z", "views"} & set(entry.tensors):
            raise ValueError(
                'augment is needed: without one both views are the same input. Give a name such as "digits" or "noise", a '
                'function of a batch, or data that yields (view1, view2); augment="none" if it is meant (dropout)'
            )
        return augment.build("none"), Call("none"), 1
    if isinstance(change, (str, Call)):
        return augment.build(change), change if isinstance(change, Call) else Call(change), views
    if not callable(change):
        raise TypeError(f"augment must be a function of a batch, or a name of labkit's, got {type(change).__name__}")
    return Augment(change), names.call("augment", getattr(change, "__name__", type(change).__name__), change), views


def read_optimizer(optimizer: Any, lr: float | None) -> Call:
    if isinstance(optimizer, Call):
        if lr is not None:
            raise TypeError(f"lr is given twice: {optimizer} and lr={lr}")
        return optimizer
    if not isinstance(optimizer, str):
        raise TypeError(f'optimizer must be a name such as "adam", or call("adamw", lr=1e-3), got {type(optimizer).__name__}')
    lr = 1e-3 if lr is None else lr
    if isinstance(lr, bool) or not isinstance(lr, (int, float)):
        raise TypeError(f"lr must be a number, got {lr!r}")
    if not 0 < lr < float("inf"):
        raise ValueError(f"lr must be > 0, got {lr}")
    return Call(optimizer, (("lr", float(lr)),))
