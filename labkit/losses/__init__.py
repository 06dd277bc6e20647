"""Objectives on embeddings: pure functions of tensors, one family a file."""

from labkit.losses.clusters import swav
from labkit.losses.decoupled import dcl, dclw, dhel
from labkit.losses.multiview import mv_dhel, mv_info_nce
from labkit.losses.negatives import debiased, hard_negative
from labkit.losses.redundancy import barlow_twins, vicreg
from labkit.losses.regression import simsiam
from labkit.losses.sigmoid import siglip
from labkit.losses.softmax import clip_loss, info_nce, nt_xent
from labkit.losses.spectral import spectral
from labkit.losses.supervised import joint, sup_con
from labkit.losses.temperature import macl
from labkit.losses.uniform import align_uniform, decoupled_uniformity

__all__ = [
    "align_uniform",
    "barlow_twins",
    "clip_loss",
    "dcl",
    "dclw",
    "debiased",
    "decoupled_uniformity",
    "dhel",
    "hard_negative",
    "info_nce",
    "joint",
    "macl",
    "mv_dhel",
    "mv_info_nce",
    "nt_xent",
    "siglip",
    "simsiam",
    "spectral",
    "sup_con",
    "swav",
    "vicreg",
]
