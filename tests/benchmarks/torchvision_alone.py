"""torchvision as the registry ships it, beside a torch for CPUs.

Its compiled operators are linked against CUDA and do not load there, and then its Python part does not import either: two
names are missing that it annotates. We declare them. Nobody here calls them; images are decoded and transformed without.
"""

import importlib.util
from pathlib import Path

import torch

BOXES = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
KEPT = []  # a library's declarations live as long as it does


def let_it_load() -> None:
    found = importlib.util.find_spec("torchvision")
    if found is None or found.origin is None or torch.cuda.is_available() or KEPT:
        return
    try:
        for library in Path(found.origin).parent.glob("_C*"):
            torch.ops.load_library(library)
    except OSError:
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}{BOXES}")
        KEPT.append(library)
