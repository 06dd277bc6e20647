"""Objectives on embeddings: pure functions of tensors, one family a file."""

from labkit.losses.decoupled import dcl
from labkit.losses.softmax import nt_xent
from labkit.losses.supervised import sup_con
from labkit.losses.uniform import align_uniform

__all__ = ["align_uniform", "dcl", "nt_xent", "sup_con"]
