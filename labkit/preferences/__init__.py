"""Objectives on log-probabilities and rewards: score, link, weight, term."""

from labkit.preferences.absolute import dpop, rpo
from labkit.preferences.candidates import pu_distillation, self_contrast
from labkit.preferences.confidence import cream, harmonic_reward, harmonic_rpo, rank_consistency, spo
from labkit.preferences.constrained import mixed_advantage, multiplier_loss
from labkit.preferences.contexts import dove, mapl, reward_augmented_dpo, with_goals
from labkit.preferences.discriminative import disco
from labkit.preferences.distillation import adpa, dckd
from labkit.preferences.divergences import f_dpg
from labkit.preferences.games import dno, geometric_mixture, gpm, gpo, inpo, mean_scores, nash_md, preference_scores
from labkit.preferences.gates import cispo, sapo, vespo
from labkit.preferences.groups import dapo, dr_grpo, group_advantages, grpo, gspo, luspo
from labkit.preferences.heads import head_logps
from labkit.preferences.lengths import alpha_po, dpo_norm, ipo_norm, r_dpo
from labkit.preferences.listwise import info_nca, lipo, plackett_luce, softmax_dpo
from labkit.preferences.logps import discounted_sum, sequence_logps, token_logps
from labkit.preferences.margin import discopop, dpo, exo, hinge, ipo, robust_dpo
from labkit.preferences.noise import answer_kl, coipo
from labkit.preferences.pointwise import apo_down, apo_zero, bco, kto, nca, sppo
from labkit.preferences.policy import copg, p3o, regret_loss, reinforce, rwr, sharpened, sharpening
from labkit.preferences.privileged import carft, carft_wrong, cot_embeddings, opsd, pi_distill, rltf_fm, rltf_sd
from labkit.preferences.quantiles import aot, aot_unpaired
from labkit.preferences.reference_free import cpl, cpo, orpo, rrhf, sft, simpo, slic
from labkit.preferences.reference_points import RunningShift, desirability_weights, kl_estimate, mismatched
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
from labkit.preferences.tokenwise import damped_sum, fdpo, ld_dpo, sparse_po, token_kl
from labkit.preferences.weighted import collision_logps, likelihood_weights, wpo

__all__ = [
    "RunningShift",
    "adpa",
    "alpha_po",
    "alpha_scaled_dpo",
    "answer_kl",
    "aot",
    "aot_unpaired",
    "apo_down",
    "apo_zero",
    "bco",
    "bradley_terry",
    "carft",
    "carft_wrong",
    "cispo",
    "coipo",
    "collision_logps",
    "context_reward",
    "contrastive_reward",
    "copg",
    "cot_embeddings",
    "cpl",
    "cpo",
    "cream",
    "dapo",
    "dckd",
    "density_ratio_reward",
    "desirability_weights",
    "dft",
    "disco",
    "damped_sum",
    "discopop",
    "discounted_sum",
    "distinct_ngrams",
    "dno",
    "dove",
    "dpo",
    "dpo_norm",
    "dpop",
    "dr_grpo",
    "exo",
    "f_dpg",
    "f_dpo",
    "fdpo",
    "flex_dpo",
    "follow_up_reward",
    "geometric_mixture",
    "goal_conditioned",
    "gpm",
    "gpo",
    "group_advantages",
    "grpo",
    "gspo",
    "harmonic_reward",
    "harmonic_rpo",
    "head_logps",
    "hinge",
    "hypo",
    "info_nca",
    "inpo",
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
    "luspo",
    "mapl",
    "mean_scores",
    "mismatched",
    "mixed_advantage",
    "mm_dpo",
    "multiplier_loss",
    "nash_md",
    "nca",
    "opsd",
    "orpo",
    "p3o",
    "pal",
    "pi_distill",
    "plackett_luce",
    "preference_scores",
    "preference_strength",
    "pu_distillation",
    "r_dpo",
    "rank_consistency",
    "regret_loss",
    "reinforce",
    "relevance_reward",
    "reward_augmented_dpo",
    "reward_chain",
    "rltf_fm",
    "rltf_sd",
    "robust_dpo",
    "rpo",
    "rrhf",
    "rwr",
    "sapo",
    "self_contrast",
    "selm",
    "sequence_logps",
    "sft",
    "sharpened",
    "sharpening",
    "simpo",
    "slic",
    "softmax_dpo",
    "sparse_po",
    "spo",
    "sppo",
    "token_kl",
    "token_logps",
    "vespo",
    "weak_to_strong",
    "with_goals",
    "wpo",
    "xpo",
]
