"""Meters: what is measured and not trained. Pure functions of tensors, computed in float64."""

from labkit.metrics.accuracy import implicit_accuracy, ranking_accuracy, ranking_difficulty, reward_accuracy
from labkit.metrics.classes import class_separation, knn_leave_one_out, neural_collapse
from labkit.metrics.discriminant import discriminant_probe
from labkit.metrics.geometry import (
    alignment,
    mean_cosine,
    mean_norm,
    modality_gap,
    tolerance,
    uniform_bound,
    uniform_limit,
    uniformity,
)
from labkit.metrics.hardness import hardness, push_share
from labkit.metrics.interval import Estimate, interval
from labkit.metrics.likeness import linear_cka, neighbour_overlap
from labkit.metrics.mass import gradient_imbalance, three_parts, top_k_entropy, top_k_mass
from labkit.metrics.movement import ches, displacement, entanglement, first_order, predicting, receivers, sign_entanglement
from labkit.metrics.neighbours import antihubs, hubness, k_occurrence, robin_hood
from labkit.metrics.pairs import edit_distance, length_gap, token_attribution
from labkit.metrics.probes import clustering_accuracy, clustering_nmi, few_label_probe, few_labels, knn_accuracy, linear_probe
from labkit.metrics.retrieval import modality_auc, recall_at_k
from labkit.metrics.spectrum import (
    dead_directions,
    effective_rank,
    participation_ratio,
    rank_me,
    singular_spectrum,
    spectrum_decay,
    top_share,
)

__all__ = [
    "Estimate",
    "alignment",
    "antihubs",
    "ches",
    "class_separation",
    "clustering_accuracy",
    "clustering_nmi",
    "dead_directions",
    "discriminant_probe",
    "displacement",
    "edit_distance",
    "effective_rank",
    "entanglement",
    "few_label_probe",
    "few_labels",
    "first_order",
    "gradient_imbalance",
    "hardness",
    "hubness",
    "implicit_accuracy",
    "interval",
    "k_occurrence",
    "knn_accuracy",
    "knn_leave_one_out",
    "length_gap",
    "linear_cka",
    "linear_probe",
    "mean_cosine",
    "mean_norm",
    "modality_auc",
    "modality_gap",
    "neighbour_overlap",
    "neural_collapse",
    "participation_ratio",
    "predicting",
    "push_share",
    "rank_me",
    "ranking_accuracy",
    "ranking_difficulty",
    "recall_at_k",
    "receivers",
    "reward_accuracy",
    "robin_hood",
    "sign_entanglement",
    "singular_spectrum",
    "spectrum_decay",
    "three_parts",
    "token_attribution",
    "tolerance",
    "top_k_entropy",
    "top_k_mass",
    "top_share",
    "uniform_bound",
    "uniform_limit",
    "uniformity",
]
