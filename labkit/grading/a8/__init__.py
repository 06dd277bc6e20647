"""a8: likelihood displacement, made, accounted for, mispredicted and cured."""

from labkit.grading.a8 import account, ches, fate, foretold, margins, mine, possible, three

__all__ = ["account", "ches", "fate", "foretold", "margins", "mine", "possible", "three"]
