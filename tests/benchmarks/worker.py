"""One measurement in a fresh process, as a line of JSON: `worker.py measure FILE CASE CONTENDER SIZE SEED`.

`worker.py about` tells versions and cases; `worker.py fetch` brings the two files that are no packages.
"""

import gc
import json
import os
import statistics
import sys
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])  # tests/, where this is the package `benchmarks`

import torch  # noqa: E402

from benchmarks import sources  # noqa: E402
from benchmarks.meter import Meter, at_most  # noqa: E402
from benchmarks.registry import Case, Skip, cases, told  # noqa: E402
from benchmarks.torchvision_alone import let_it_load  # noqa: E402

SHORT, MORE = 0.2, 15  # a call shorter than this many CPU seconds is repeated so many times
PEERS = (
    "pytorch-metric-learning", "lightly", "sentence-transformers", "open_clip_torch", "trl", "liger-kernel", "gradcache",
    "inf-cl", "torchvision", "transformers", "numpy",
)  # fmt: skip


def device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def drawn(case: Case, size: int, seed: int) -> tuple:
    """The inputs: the same for everyone, on the device, leaves of the graph."""
    made = case.inputs(size, torch.Generator().manual_seed(seed))
    there = [x.to(device()) if isinstance(x, torch.Tensor) else x for x in made]
    return tuple(
        x.detach().requires_grad_(asked.requires_grad) if isinstance(x, torch.Tensor) else x
        for x, asked in zip(there, made, strict=True)
    )


def passes(run: Any, given: tuple) -> float:
    """Forward and, where there is something to differentiate, backward."""
    value = run(*given)
    if isinstance(value, torch.Tensor) and value.requires_grad:
        value.backward()
    return float(value.detach()) if isinstance(value, torch.Tensor) else float("nan")


def slope(given: tuple) -> float:
    """The length of the gradient over all inputs."""
    squares = [x.grad.double().square().sum().item() for x in given if isinstance(x, torch.Tensor) and x.grad is not None]
    return sum(squares) ** 0.5


def measure(file: str, name: str, contender: str, size: int, seed: int) -> dict[str, Any]:
    case = cases(file)[name]  # and no other file: its imports would be paid for in advance
    run, given = case.contenders[contender].run, drawn(case, size, seed)
    let_it_load()
    if case.warm is not None:
        passes(run, drawn(case, case.warm, seed))
    if limit := os.environ.get("LABKIT_BENCH_GIB"):
        at_most(float(limit))
    gc.collect()
    with Meter(device()) as meter:
        value = passes(run, given)
    found = {"seconds": meter.seconds, "wall": meter.wall, "mib": meter.mib, "value": value, "slope": slope(given)}
    if case.again and case.warm is not None and meter.seconds < SHORT:
        found["again"] = statistics.median(timed(run, given) for _ in range(MORE))
    return found


def timed(run: Any, given: tuple) -> float:
    with Meter(device()) as meter:
        passes(run, given)
    return meter.seconds


def versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {"labkit": __import__("labkit").__version__, "torch": torch.__version__}
    for name in PEERS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return {**found, **sources.commits()}


def about() -> dict[str, Any]:
    """Versions, threads and the device."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    return {"versions": versions(), "threads": torch.get_num_threads(), "gpu": gpu}


def main(what: str, *arguments: str) -> None:
    if what == "about":
        found = {**about(), "cases": told()}
    elif what == "fetch":
        found = sources.fetch()
    else:
        file, name, contender, size, seed = arguments
        try:
            found = measure(file, name, contender, int(size), int(seed))
        except (Skip, ImportError) as error:
            found = {"skip": str(error) or type(error).__name__}
        except (RuntimeError, MemoryError) as error:
            if not any(word in str(error).lower() for word in ("allocate", "memory")) and not isinstance(error, MemoryError):
                raise
            found = {"skip": f"does not fit into {os.environ.get('LABKIT_BENCH_GIB', 'the memory there is')} GiB"}
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
