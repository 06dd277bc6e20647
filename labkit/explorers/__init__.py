"""Explorers: a state, controls, what is shown and what is said; live in a notebook, and without a kernel on a page."""

from labkit.explorers.bridge import bridge
from labkit.explorers.core import Control, Explorer, State, Track
from labkit.explorers.recompute import recompute
from labkit.explorers.temperature import temperature

__all__ = ["Control", "Explorer", "State", "Track", "bridge", "recompute", "temperature"]
