"""Objectives on log-probabilities and rewards: score, link, weight, term."""

from labkit.preferences.absolute import dpop, rpo
from labkit.preferences.logps import sequence_logps, token_logps
from labkit.preferences.margin import aot, discopop, dpo, exo, hinge, ipo, robust_dpo
from labkit.preferences.pointwise import apo_down, apo_zero, bco, kto, nca, sppo
from labkit.preferences.reference_free import cpo, orpo, sft, simpo, slic
from labkit.preferences.rewards import bradley_terry, lipo, plackett_luce

__all__ = [
    "aot",
    "apo_down",
    "apo_zero",
    "bco",
    "bradley_terry",
    "cpo",
    "discopop",
    "dpo",
    "dpop",
    "exo",
    "hinge",
    "ipo",
    "kto",
    "lipo",
    "nca",
    "orpo",
    "plackett_luce",
    "robust_dpo",
    "rpo",
    "sequence_logps",
    "sft",
    "simpo",
    "slic",
    "sppo",
    "token_logps",
]
