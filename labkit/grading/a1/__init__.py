"""a1: InfoNCE from the inside: similarities, a loop, the loss in one go, its gradient by hand."""

from labkit.grading.a1 import gradient, loss, similarity
