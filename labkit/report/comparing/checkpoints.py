"""Somebody's own run as a film: a folder of checkpoints, the module they belong to, and inputs; or embeddings by step."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from labkit.progress import bar
from labkit.recipes.time_machine import ROWS, Film, developed
from labkit.report.comparing.weights import files_by_step, fitted, kept, states
from labkit.report.rows import read, read_classes
from labkit.training import Run

FRAMES = 100  # of more checkpoints, so many are shown
LEAST = 8  # rows of a frame
BLOCK = 256  # inputs that go through the encoder at a time


def film(
    checkpoints: Any,
    encoder: nn.Module | None = None,
    inputs: Any = None,
    *,
    z2_inputs: Any = None,
    labels: Any = None,
    history: Any = None,
    seed: int = 0,
    progress: bool = True,
) -> Film:
    """Your own training run, for `explorers.time_machine(film)`: a fixed set of inputs, checkpoint after checkpoint.

    Args:
        checkpoints: a folder (`ckpt-*.pt`, .pth, .ckpt, .bin, .safetensors, or `checkpoint-500/` folders), a list of such
            files, or a dict step -> embeddings `(n, d)` (or step -> a pair of them, two views). The step is the number in the
            name. A file holds a state dict, itself or under "state_dict", "model" or "model_state_dict"; nothing in it is run.
            Of more than 100, 100 are shown, evenly spread.
        encoder: the module that the weights belong to, which gives `(n, d)`; it is used in evaluation mode and gets its own
            weights back.
        inputs: what it is given: a tensor `(n, ...)`, or a dict of them, which it is then called with by name. Of more than 256
            inputs, 256 are drawn.
        z2_inputs: the second views of the same inputs; without them nobody knows the alignment.
        labels: `(n,)`, a class for each input.
        history: the loss over steps: `{"step": [...], "loss": [...]}`, a Run, or a file that `Run.from_logs` reads.
        seed: of the inputs that are drawn.
        progress: a bar after two seconds.

    Raises:
        ValueError, TypeError: no checkpoints, two of one step, one that does not fit the encoder (with the keys) or holds more
            than weights, embeddings that are no `(n, d)` or hold NaN (with the step); arguments that do not go together.

    >>> z = torch.randn(40, 8, generator=torch.Generator().manual_seed(0))
    >>> film({0: z, 100: 2 * z + 1}).steps
    array([  0, 100])
    """
    curve = losses(history)
    if isinstance(checkpoints, Mapping):
        if encoder is not None or inputs is not None or z2_inputs is not None:
            raise ValueError("checkpoints are embeddings by step already: leave encoder, inputs and z2_inputs out")
        shots = given(checkpoints, seed)
        n = len(first(next(iter(checkpoints.values()))))
    else:
        if not isinstance(encoder, nn.Module) or inputs is None:
            raise TypeError(f"encoder must be a torch module and inputs what it takes, got {kind(encoder)} and {kind(inputs)}")
        n = count(inputs)
        if z2_inputs is not None and count(z2_inputs) != n:
            raise ValueError(f"z2_inputs must be second views of the {n} inputs, got {count(z2_inputs)}")
        rows = chosen(n, seed)
        views = [part(inputs, rows)] + ([] if z2_inputs is None else [part(z2_inputs, rows)])
        shots = exposed(spread(files_by_step(checkpoints)), encoder, views, progress)
    classes = np.zeros(n, np.int64) if labels is None else read_classes(labels, "labels", n).values.numpy()
    return developed(shots, classes[chosen(n, seed).numpy()], curve)


def kind(value: Any) -> str:
    return "none" if value is None else type(value).__name__


def losses(history: Any) -> np.ndarray | None:
    """`(m, 2)`: steps and losses, without those that are not finite."""
    if history is None:
        return None
    if isinstance(history, Mapping):
        found = history
    else:
        found = (history if isinstance(history, Run) else Run.from_logs(history)).history
    if not {"step", "loss"} <= set(found):
        raise ValueError(f'history must have "step" and "loss", got {", ".join(map(str, found)) or "nothing"}')
    steps, values = (np.array([np.nan if x is None else x for x in found[name]], dtype=float) for name in ("step", "loss"))
    if steps.shape != values.shape or steps.ndim != 1:
        raise ValueError(f"history must have a loss for each step, got {steps.shape} and {values.shape}")
    whole = np.stack([steps, values], 1)
    return whole[np.isfinite(whole).all(1)]


def spread(found: Mapping[int, Any]) -> dict[int, Any]:
    """All steps, or FRAMES of them, the first and the last among them."""
    steps = sorted(found)
    places = sorted({round(x) for x in np.linspace(0, len(steps) - 1, min(FRAMES, len(steps)))})
    return {steps[k]: found[steps[k]] for k in places}


def chosen(n: int, seed: int) -> Tensor:
    """Which instances are shown: all, or ROWS of them."""
    if n < LEAST:
        raise ValueError(f"a film needs at least {LEAST} inputs, got {n}")
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed))[:ROWS].sort().values


# ---------------------------------------------------------------- embeddings by step


def first(value: Any) -> Any:
    return value[0] if isinstance(value, (tuple, list)) else value


def given(embeddings: Mapping[Any, Any], seed: int) -> dict[int, dict[str, np.ndarray]]:
    """Snapshots of embeddings, or of pairs of them, by step."""
    steps = [step for step in embeddings if isinstance(step, bool) or not isinstance(step, (int, np.integer)) or step < 0]
    if steps or not embeddings:
        raise TypeError(
            f"checkpoints must be a dict step -> embeddings with whole numbers for steps, got {steps[:1] or 'none'}"
        )
    shots: dict[int, dict[str, np.ndarray]] = {}
    shapes = set()
    for step, value in spread({int(step): z for step, z in embeddings.items()}).items():
        views = [read(z, f"checkpoints[{step}]") for z in (value if isinstance(value, (tuple, list)) else [value])]
        shapes |= {(each.n, each.d) for each in views}
        if len(shapes) > 1:
            raise ValueError(
                f"checkpoints must be embeddings of the same inputs at one width, got {' and '.join(map(str, sorted(shapes)))}"
            )
        shots[step] = shot([each.take(chosen(each.n, seed)) for each in views], f"checkpoints[{step}]")
    return shots


def shot(views: Sequence[Tensor], name: str) -> dict[str, np.ndarray]:
    """One frame; what no meter could read is named.

    Raises:
        ValueError: NaN, infinity, or a row of zeros.
    """
    for z in views:
        if not torch.isfinite(z).all():
            raise ValueError(
                f"{name} gives NaN or infinite embeddings: the run broke down before it; leave it and later ones out"
            )
        if not (z != 0).any(1).all():
            raise ValueError(
                f"{name} gives a row of zeros, which has no direction: leave it out, or give what comes before the ReLU"
            )
    made = {"z": views[0].numpy()}
    return made if len(views) == 1 else made | {"views": np.stack([v.numpy() for v in views])}


# ---------------------------------------------------------------- checkpoints of a module


def exposed(
    files: Mapping[int, Path], encoder: nn.Module, views: Sequence[Any], progress: bool
) -> dict[int, dict[str, np.ndarray]]:
    """Snapshots of each checkpoint: its weights in the encoder, the views through it."""
    shots = {}
    with kept(encoder):
        encoder.eval()
        for step, path in bar(iterable=files.items(), total=len(files), desc="checkpoints", disable=not progress):
            encoder.load_state_dict(fitted(states(path), encoder, path.name))
            shots[step] = shot([embedded(encoder, x) for x in views], path.name)
    return shots


@torch.no_grad()
def embedded(encoder: nn.Module, inputs: Any) -> Tensor:
    """`(n, d)` in float64, block by block, on the device where the encoder is.

    Raises:
        TypeError: it gives something else.
    """
    device = next((p.device for p in (*encoder.parameters(), *encoder.buffers())), torch.device("cpu"))
    found = []
    for rows in torch.arange(count(inputs)).split(BLOCK):
        block = part(inputs, rows, device)
        try:
            z = encoder(**block) if isinstance(block, dict) else encoder(block)
        except (RuntimeError, TypeError, IndexError) as error:
            raise ValueError(f"encoder cannot take these inputs: {error}") from error
        if not isinstance(z, Tensor) or z.ndim != 2 or len(z) != len(rows):
            what = f"shape {tuple(z.shape)}" if isinstance(z, Tensor) else type(z).__name__
            raise TypeError(
                f"encoder must give embeddings (n, d), one row for each input, got {what}: wrap it in a module that does"
            )
        found.append(z.detach().double().cpu())
    return torch.cat(found)


def count(inputs: Any) -> int:
    """How many inputs there are.

    Raises:
        TypeError, ValueError: no tensors, or of different lengths.
    """
    tensors: Iterable[Any] = inputs.values() if isinstance(inputs, Mapping) else [inputs]
    lengths = {len(x) for x in tensors if hasattr(x, "__len__") and hasattr(x, "shape")}
    if len(lengths) != 1:
        raise TypeError(
            f"inputs must be a tensor (n, ...) or a dict of such tensors of one length, got {type(inputs).__name__}"
        )
    return lengths.pop()


def part(inputs: Any, rows: Tensor, device: torch.device | None = None) -> Any:
    """These inputs, by name where they have names."""
    if isinstance(inputs, Mapping):
        return {name: part(x, rows, device) for name, x in inputs.items()}
    x = torch.as_tensor(inputs)
    return x[rows.to(x.device)].to(device or x.device)
