"""Objectives on log-probabilities and rewards: score, link, weight, term."""

from labkit.preferences.absolute import dpop, rpo
from labkit.preferences.candidates import pu_distillation, self_contrast
from labkit.preferences.confidence import cream, harmonic_reward, harmonic_rpo, rank_consistency, spo
from labkit.preferences.constrained import mixed_advantage, multiplier_loss
from labkit.preferences.contexts import dove, mapl, reward_augmented_dpo, with_goals
from labkit.preferences.distillation import adpa, dckd
from labkit.preferences.lengths import dpo_norm, ipo_norm, r_dpo
from labkit.preferences.listwise import info_nca, lipo, plackett_luce, softmax_dpo
from labkit.preferences.logps import discounted_sum, sequence_logps, token_logps
from labkit.preferences.margin import discopop, dpo, exo, hinge, ipo, robust_dpo
from labkit.preferences.noise import answer_kl, coipo
from labkit.preferences.pointwise import apo_down, apo_zero, bco, kto, nca, sppo
from labkit.preferences.quantiles import aot, aot_unpaired
from labkit.preferences.reference_free import cpl, cpo, orpo, rrhf, sft, simpo, slic
from labkit.preferences.reference_points import RunningShift, desirability_weights, kl_estimate
from labkit.preferences.reward_models import goal_conditioned, pal, weak_to_strong
from labkit.preferences.reward_signals import (
    density_ratio_reward,
    distinct_ngrams,
    follow_up_reward,
    kl_penalized_reward,
    log_sigmoid_reward,
    preference_strength,
    relevance_reward,
)
from labkit.preferences.rewards import bradley_terry, context_reward, contrastive_reward, reward_chain
from labkit.preferences.sampled import hypo, selm, xpo
from labkit.preferences.scaled import alpha_scaled_dpo, f_dpo, flex_dpo, mm_dpo
from labkit.preferences.supervised import dft, logits_finetuning
from labkit.preferences.tokenwise import fdpo, ld_dpo, sparse_po, token_kl
from labkit.preferences.weighted import collision_logps, likelihood_weights, wpo

__all__ = [
    "RunningShift",
    "adpa",
    "alpha_scaled_dpo",
    "answer_kl",
    "aot",
    "aot_unpaired",
    "apo_down",
    "apo_zero",
    "bco",
    "bradley_terry",
    "coipo",
    "collision_logps",
    "context_reward",
    "contrastive_reward",
    "cpl",
    "cpo",
    "cream",
    "dckd",
    "density_ratio_reward",
    "desirability_weights",
    "dft",
    "discopop",
    "discounted_sum",
    "distinct_ngrams",
    "dove",
    "dpo",
    "dpo_norm",
    "dpop",
    "exo",
    "f_dpo",
    "fdpo",
    "flex_dpo",
    "follow_up_reward",
    "goal_conditioned",
    "harmonic_reward",
    "harmonic_rpo",
    "hinge",
    "hypo",
    "info_nca",
    "ipo",
    "ipo_norm",
    "kl_estimate",
    "kl_penalized_reward",
    "kto",
    "ld_dpo",
    "likelihood_weights",
    "lipo",
    "log_sigmoid_reward",
    "logits_finetuning",
    "mapl",
    "mixed_advantage",
    "mm_dpo",
    "multiplier_loss",
    "nca",
    "orpo",
    "pal",
    "plackett_luce",
    "preference_strength",
    "pu_distillation",
    "r_dpo",
    "rank_consistency",
    "relevance_reward",
    "reward_augmented_dpo",
    "reward_chain",
    "robust_dpo",
    "rpo",
    "rrhf",
    "self_contrast",
    "selm",
    "sequence_logps",
    "sft",
    "simpo",
    "slic",
    "softmax_dpo",
    "sparse_po",
    "spo",
    "sppo",
    "token_kl",
    "token_logps",
    "weak_to_strong",
    "with_goals",
    "wpo",
    "xpo",
]
