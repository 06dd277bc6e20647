"""Bring your own loss: the checks that every objective here inherits by being registered, for a function of yours."""

from labkit.battery.asking import check_objective
from labkit.battery.card import ObjectiveCard
from labkit.battery.trials import Check

__all__ = ["Check", "ObjectiveCard", "check_objective"]
