"""Labels: SupCon two ways, what its optimum does to a class, what InfoNCE overlooks, and both objectives at once."""

from labkit.grading.a6 import choice, collapsed, fate, joint, probe, supcon

__all__ = ["choice", "collapsed", "fate", "joint", "probe", "supcon"]
