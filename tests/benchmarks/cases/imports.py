"""What it costs to begin: CPU seconds of importing each library where torch is there already, and of asking for help."""

import subprocess
import sys
from importlib import import_module

import torch

from benchmarks.registry import OURS, Case, Skip, Target

LIBRARIES = {
    "labkit.losses, preferences and metrics": ("labkit.losses", "labkit.preferences", "labkit.metrics"),
    "pytorch-metric-learning": ("pytorch_metric_learning.losses",),
    "liger-kernel": ("liger_kernel.chunked_loss",),
    "lightly": ("lightly.loss",),
    "open_clip": ("open_clip",),
    "TRL's DPOTrainer": ("trl.trainer.dpo_trainer",),
    "sentence-transformers": ("sentence_transformers",),
}


def nothing(size: int, draw: torch.Generator) -> tuple:
    return ()


imports = Case(
    "imports", "Importing, beyond torch", nothing, (1,), 1, warm=None, again=False, targets=(Target("seconds", 0.3),)
)  # fmt: skip


def loading(modules: tuple[str, ...]) -> None:
    if already := [name for name in modules if name in sys.modules]:
        raise Skip(f"{already[0]} was imported before it was measured")
    for name in modules:
        import_module(name)


@imports.by(OURS)
def _():
    loading(("labkit",))


for library, modules in LIBRARIES.items():
    imports.by(library)(lambda modules=modules: loading(modules))

told = Case(
    "help", "python -m labkit --help, from nothing", nothing, (1,), 1, warm=None, again=False, targets=(Target("seconds", 1.0),)
)


@told.by(OURS)
def _():
    subprocess.run([sys.executable, "-m", "labkit", "--help"], check=True, stdout=subprocess.DEVNULL)


CASES = (imports, told)
