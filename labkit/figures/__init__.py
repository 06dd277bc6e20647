"""Figures are pure functions: arrays or Runs in, a matplotlib or plotly figure out. Nothing here trains."""

from labkit.figures import theme

__all__ = ["theme"]
