"""Files of weights: which there are, by step, what is in them, and whether they fit. No code in them is ever run."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

KINDS = (".pt", ".pth", ".ckpt", ".bin", ".safetensors")
INSIDE = ("model.safetensors", "pytorch_model.bin", "model.pt", "model.pth")  # of a folder for each checkpoint
NESTED = ("state_dict", "model_state_dict", "model", "module", "encoder", "net", "weights")
WRAPPED = ("module.", "_orig_mod.")  # what data-parallel and compiled modules put before each name
FEW = 5  # keys that an error names


def files_by_step(checkpoints: Any) -> dict[int, Path]:
    """step -> file, in the order of the steps.

    Raises:
        FileNotFoundError, ValueError, TypeError: nothing there, no numbers in the names, two files of one step.
    """
    if isinstance(checkpoints, (str, Path)):
        folder = Path(checkpoints)
        if folder.is_dir():
            found = listed(folder)
        elif folder.exists():
            found = [(folder, folder.stem)]
        else:
            raise FileNotFoundError(f"checkpoints: there is no {folder.name!r}; name the folder that holds ckpt-*.pt")
        where = folder.name
    elif isinstance(checkpoints, (list, tuple)) and all(isinstance(p, (str, Path)) for p in checkpoints):
        found = [(Path(p), Path(p).stem) for p in checkpoints]
        where = "the list"
        lost = [p.name for p, _ in found if not p.is_file()]
        if lost:
            raise FileNotFoundError(f"checkpoints: there is no {', '.join(lost[:FEW])}")
    else:
        raise TypeError(
            f"checkpoints must be a folder, a list of files, or a dict step -> embeddings, got {type(checkpoints).__name__}"
        )
    return by_step(found, where)


def listed(folder: Path) -> list[tuple[Path, str]]:
    """Files of weights in a folder, or one in each of its folders that has a number, with what they are called."""
    found = [(p, p.stem) for p in folder.iterdir() if p.is_file() and p.suffix in KINDS]
    for inner in (p for p in folder.iterdir() if p.is_dir()):
        found += [(inner / name, inner.name) for name in INSIDE if (inner / name).is_file()][:1]
    return found


def by_step(found: list[tuple[Path, str]], where: str) -> dict[int, Path]:
    numbered = [(step_of(name), path) for path, name in found]
    steps: dict[int, Path] = {}
    for step, path in sorted((s, p) for s, p in numbered if s is not None):
        if step in steps:
            raise ValueError(
                f"checkpoints: {steps[step].name} and {path.name} are both of step {step}; give a list of one each"
            )
        steps[step] = path
    if not steps:
        names = ", ".join(path.name for path, _ in found[:FEW]) or "no file of weights"
        raise ValueError(
            f"checkpoints: {where} holds {names}, and none with a step in its name, such as ckpt-100.pt ({', '.join(KINDS)})"
        )
    return steps


def step_of(name: str) -> int | None:
    """The number after "step", else the last one; None where there is none.

    >>> step_of("ckpt-0100"), step_of("epoch=3-step=1200-v1"), step_of("last")
    (100, 1200, None)
    """
    said = re.search(r"(?:step|iter(?:ation)?)[s_=\-]*(\d+)", name, re.IGNORECASE)
    numbers = re.findall(r"\d+", name)
    return int(said[1]) if said else int(numbers[-1]) if numbers else None


# ---------------------------------------------------------------- what is in a file


def states(path: Path) -> dict[str, Tensor]:
    """The state dict in a file, wherever in it.

    Raises:
        ValueError: it cannot be read as weights alone, or holds none.
    """
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except Exception as error:  # safetensors has an error of its own
            raise ValueError(f"{path.name} is no .safetensors file, or is cut short ({error})") from None
    try:
        found = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # whatever unpickling does to a file that lies
        raise ValueError(
            f"{path.name} cannot be read as weights alone: cut short, no checkpoint, or with Python objects in it, which would "
            f"run code ({type(error).__name__}); save model.state_dict() by itself"
        ) from None
    return weights_in(found, path.name)


def weights_in(found: Any, name: str) -> dict[str, Tensor]:
    if isinstance(found, Mapping):
        if found and all(isinstance(value, Tensor) for value in found.values()):
            return dict(found)
        for key in NESTED:
            if isinstance(found.get(key), Mapping):
                return weights_in(found[key], name)
        keys = ", ".join(map(str, list(found)[:FEW]))
        raise ValueError(f"{name} holds no state dict: its keys are {keys}; expected one under {', '.join(NESTED[:3])}")
    raise ValueError(f"{name} holds {type(found).__name__}, no state dict")


def fitted(state: Mapping[str, Tensor], encoder: nn.Module, name: str) -> dict[str, Tensor]:
    """The weights under the encoder's own names.

    Raises:
        ValueError: weights that are missing, unexpected or of another shape, by name.
    """
    wanted = {key: tuple(value.shape) for key, value in encoder.state_dict().items()}
    found = unwrapped(state)
    for start in ("", *sorted({key[: -len(end)] for key in found for end in list(wanted)[:1] if key.endswith(f".{end}")})):
        inner = {key.removeprefix(start): value for key, value in found.items() if key.startswith(start)}
        if set(inner) == set(wanted) or (start and set(wanted) <= set(inner)):
            found = {key: inner[key] for key in wanted}
            break
    missing, unexpected = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
    other = [
        f"{k} {tuple(found[k].shape)}, wants {shape}"
        for k, shape in wanted.items()
        if k in found and tuple(found[k].shape) != shape
    ]
    told = [
        f"{what} {some(keys)}"
        for what, keys in (("missing", missing), ("unexpected", unexpected), ("other shapes", other))
        if keys
    ]
    if told:
        raise ValueError(f"{name} does not fit the encoder: {'; '.join(told)}")
    return found


def unwrapped(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without what wrappers put before every name."""
    found = dict(state)
    while any(all(key.startswith(start) for key in found) for start in WRAPPED):
        start = next(start for start in WRAPPED if all(key.startswith(start) for key in found))
        found = {key.removeprefix(start): value for key, value in found.items()}
    return found


def some(keys: list[str]) -> str:
    return ", ".join(keys[:FEW]) + (f" and {len(keys) - FEW} more" if len(keys) > FEW else "")


@contextmanager
def kept(encoder: nn.Module) -> Iterator[None]:
    """The encoder gets its own weights and modes back, whatever happens."""
    own = {key: value.detach().clone() for key, value in encoder.state_dict().items()}
    modes = {module: module.training for module in encoder.modules()}
    try:
        yield
    finally:
        encoder.load_state_dict(own)
        for module, training in modes.items():
            module.training = training
