"""a5, negatives: false ones, coupled ones, hard ones, old ones, those of other machines; and three boxes with a fault each."""

from labkit.grading.a5 import counting, coupling, debiased, decoupled, gathered, given, hard, probing, queued, repaired, yours
