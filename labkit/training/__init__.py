"""From a frozen Config to a Run: `fit(Config(...))`, deterministic, cached, resumable."""

from labkit.training.config import Call, Config, call
from labkit.training.descent import descend
from labkit.training.fitting import fit
from labkit.training.run import Run

__all__ = ["Call", "Config", "Run", "call", "descend", "fit"]
