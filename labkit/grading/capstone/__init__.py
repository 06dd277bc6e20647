"""The capstone: a small study of one's own, its log, and the checklist that runs."""

from labkit.grading.capstone import checklist
from labkit.grading.capstone.study import Study

__all__ = ["Study", "checklist"]
