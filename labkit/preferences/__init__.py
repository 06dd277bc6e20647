"""Objectives on log-probabilities and rewards: score, link, weight, term."""

from labkit.preferences.absolute import dpop, rpo
from labkit.preferences.listwise import info_nca, lipo, plackett_luce, softmax_dpo
from labkit.preferences.logps import sequence_logps, token_logps
from labkit.preferences.margin import aot, discopop, dpo, exo, hinge, ipo, robust_dpo
from labkit.preferences.pointwise import apo_down, apo_zero, bco, kto, nca, sppo
from labkit.preferences.reference_free import cpo, orpo, sft, simpo, slic
from labkit.preferences.rewards import bradley_terry, context_reward, contrastive_reward, reward_chain

__all__ = [
    "aot",
    "apo_down",
    "apo_zero",
    "bco",
    "bradley_terry",
    "context_reward",
    "contrastive_reward",
    "cpo",
    "discopop",
    "dpo",
    "dpop",
    "exo",
    "hinge",
    "info_nca",
    "ipo",
    "kto",
    "lipo",
    "nca",
    "orpo",
    "plackett_luce",
    "reward_chain",
    "robust_dpo",
    "rpo",
    "sequence_logps",
    "sft",
    "simpo",
    "slic",
    "softmax_dpo",
    "sppo",
    "token_logps",
]
