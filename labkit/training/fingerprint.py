"""What decides the numbers of somebody's function or module, as a hash: its code, what that refers to, its weights.

Where something cannot be told apart from something else that would give other numbers, `Unknown` is raised: such a run is
trained anew rather than taken for another.
"""

import functools
import hashlib
import sys
import sysconfig
import types
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

PLAIN = (type(None), bool, int, float, complex, str, bytes, torch.dtype, torch.device, Path, range, slice, type(...))
HEAP = 1 << 9  # the flag of a class that was written in Python: it keeps nothing beside what can be seen
FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, types.MethodDescriptorType, torch.jit.ScriptFunction)
SKIPPED = {"__dict__", "__weakref__", "__doc__", "__module__", "__annotations__", "__firstlineno__", "__parameters__"}
SKIPPED |= {"_abc_impl", "__abstractmethods__", "__orig_bases__", "__static_attributes__", "__annotate__"}
LIBRARIES = tuple({str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
OURS = str(Path(__file__).resolve().parents[1])


class Unknown(Exception):
    """Something that no hash can stand for; the message says what."""


def fingerprint(*objects: Any) -> str:
    """A hash of everything that decides what these do.

    Raises:
        Unknown: an object, somewhere among what they refer to, that has no code, no weights and no plain value.

    >>> def double(x, factor=2): return factor * x
    >>> def same(y, factor=2): return factor * y
    >>> fingerprint(double) == fingerprint(double), fingerprint(double) == fingerprint(lambda x: x)
    (True, False)
    """
    walk = Walk()
    for each in objects:
        walk.over(each)
    return walk.digest.hexdigest()[:16]


def tensor_bytes(x: Tensor) -> bytes:
    return x.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()


def library(module: str | None) -> bool:
    """Whether this is installed, and not the reader's own: it stands for itself, by name and version."""
    if module is None or module == "builtins":
        return True
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        return module != "__main__" and module.partition(".")[0] in sys.stdlib_module_names
    where = str(Path(file).resolve())
    return where.startswith((*LIBRARIES, OURS)) or module.partition(".")[0] in ("torch", "labkit", "numpy")


def version(module: str | None) -> str:
    return str(getattr(sys.modules.get((module or "").partition(".")[0]), "__version__", ""))


class Walk:
    """A digest, and the named things it has seen: they refer to each other in circles."""

    def __init__(self) -> None:
        self.digest, self.seen = hashlib.sha256(), dict[int, Any]()

    def say(self, *words: Any) -> None:
        self.digest.update(repr(words).encode())

    def over(self, x: Any) -> None:
        if isinstance(x, PLAIN):
            self.say(type(x).__name__, x)
        elif isinstance(x, (list, tuple)):
            self.each(type(x).__name__, x)
        elif isinstance(x, (set, frozenset)):
            self.each("set", sorted(x, key=repr))
        elif isinstance(x, dict):
            self.each("dict", [part for item in x.items() for part in item])
        elif isinstance(x, (Tensor, np.ndarray, np.generic)):
            self.numbers(torch.as_tensor(x))
        elif id(x) in self.seen:
            self.say("again", list(self.seen).index(id(x)))
        else:
            self.seen[id(x)] = x  # kept alive, so that no other object gets this id
            self.named(x)

    def each(self, kind: str, parts: Any) -> None:
        self.say(kind, len(parts))
        for part in parts:
            self.over(part)

    def numbers(self, x: Tensor) -> None:
        self.say("tensor", str(x.dtype), tuple(x.shape), x.requires_grad)
        self.digest.update(tensor_bytes(x))

    def named(self, x: Any) -> None:
        """Functions, modules, classes and their objects."""
        if isinstance(x, types.ModuleType):
            self.module(x, [])
        elif isinstance(x, functools.partial):
            self.each("partial", [x.func, list(x.args), x.keywords])
        elif isinstance(x, types.MethodType):
            self.each("method", [x.__func__, x.__self__])
        elif isinstance(x, FUNCTIONS):
            self.function(x) if isinstance(x, types.FunctionType) and not installed(x) else self.installed(x)
        elif isinstance(x, weakref.ref):
            self.say("weak")  # whatever it points to is somebody else's
        elif isinstance(x, type):
            self.klass(x)
        elif isinstance(x, nn.Module):
            self.network(x)
        elif hasattr(x, "__dict__") and all(c.__flags__ & HEAP for c in type(x).__mro__ if c is not object):
            self.each("object", [type(x), vars(x)])
        else:
            raise Unknown(f"a {type(x).__module__}.{type(x).__qualname__}".replace("builtins.", ""))

    def installed(self, x: Any) -> None:
        module = getattr(x, "__module__", None)
        self.say("installed", module, getattr(x, "__qualname__", type(x).__name__), version(module))

    def module(self, x: types.ModuleType, names: list[str]) -> None:
        """An installed one by its version; of the reader's own what is used of it."""
        self.say("module", x.__name__)
        if library(x.__name__):
            return self.say(version(x.__name__))
        for name in names:
            if name in vars(x):
                part = vars(x)[name]
                self.module(part, names) if isinstance(part, types.ModuleType) else self.over(part)
        return None

    def function(self, x: types.FunctionType) -> None:
        self.say("function")
        self.code(x.__code__)
        self.over([x.__defaults__, x.__kwdefaults__])
        for cell in x.__closure__ or ():
            try:
                self.over(cell.cell_contents)
            except ValueError:  # not filled yet
                self.say("empty")
        names = used(x.__code__)
        for name in names:
            if name in x.__globals__:
                self.say("global", name)
                part = x.__globals__[name]
                self.module(part, names) if isinstance(part, types.ModuleType) else self.over(part)

    def code(self, code: types.CodeType) -> None:
        """The instructions, not where they stand or what their comments say."""
        self.say(sys.version_info[:2], code.co_code, code.co_names, code.co_freevars, code.co_varnames[: code.co_argcount])
        for constant in code.co_consts:
            self.code(constant) if isinstance(constant, types.CodeType) else self.over(constant)

    def klass(self, x: type) -> None:
        if library(x.__module__):
            return self.installed(x)
        self.say("class", x.__qualname__)
        self.over(list(x.__bases__))
        for name, part in sorted(vars(x).items()):
            if name not in SKIPPED and not isinstance(part, (types.GetSetDescriptorType, types.MemberDescriptorType)):
                self.say("member", name)
                wrapped = part.__func__ if isinstance(part, (staticmethod, classmethod)) else part
                self.over([part.fget, part.fset] if isinstance(part, property) else wrapped)
        return None

    def network(self, x: nn.Module) -> None:
        """Its classes, its weights, and whatever else it keeps."""
        self.say("network", repr(x))
        if any(kept for part in x.modules() for name, kept in vars(part).items() if name.endswith("_hooks")):
            raise Unknown(f"a {type(x).__name__} with hooks")
        for part in x.modules():
            self.over(type(part))
            inside = {"_parameters", "_buffers", "_modules"}
            self.over({k: v for k, v in vars(part).items() if k not in inside and "_hooks" not in k})
        for name, tensor in [*x.named_parameters(), *x.named_buffers()]:
            self.say(name)
            self.numbers(tensor)


def used(code: types.CodeType) -> list[str]:
    """The names that this code looks up outside of itself, and those of attributes."""
    inner = [c for c in code.co_consts if isinstance(c, types.CodeType)]
    return sorted({*code.co_names, *(name for c in inner for name in used(c))})


def installed(x: types.FunctionType) -> bool:
    """Whether it is what an installed module calls by its name, and not something made by a function there."""
    return library(x.__module__) and getattr(sys.modules.get(x.__module__ or ""), x.__qualname__, None) is x
