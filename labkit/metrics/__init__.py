"""Meters: what is measured and not trained. Pure functions of tensors, computed in float64."""

from labkit.metrics.geometry import alignment, mean_norm, modality_gap, tolerance, uniform_bound, uniform_limit, uniformity
from labkit.metrics.hardness import hardness, push_share
from labkit.metrics.interval import Estimate, interval
from labkit.metrics.movement import ches, displacement, entanglement, first_order, predicting, receivers
from labkit.metrics.probes import clustering_accuracy, clustering_nmi, few_label_probe, few_labels, knn_accuracy, linear_probe
from labkit.metrics.spectrum import effective_rank, rank_me, singular_spectrum

__all__ = [
    "Estimate",
    "alignment",
    "ches",
    "clustering_accuracy",
    "clustering_nmi",
    "displacement",
    "effective_rank",
    "entanglement",
    "few_label_probe",
    "few_labels",
    "first_order",
    "hardness",
    "interval",
    "knn_accuracy",
    "linear_probe",
    "mean_norm",
    "modality_gap",
    "predicting",
    "push_share",
    "rank_me",
    "receivers",
    "singular_spectrum",
    "tolerance",
    "uniform_bound",
    "uniform_limit",
    "uniformity",
]
