"""a7: from log-probabilities of tokens to a policy that prefers."""

from labkit.grading.a7 import dpo, logps

__all__ = ["dpo", "logps"]
