"""a7: from log-probabilities of tokens to a policy that prefers."""

from labkit.grading.a7 import dpo, ipo, kto, lengths, logps, optimum, rewards, steps, train

__all__ = ["dpo", "ipo", "kto", "lengths", "logps", "optimum", "rewards", "steps", "train"]
