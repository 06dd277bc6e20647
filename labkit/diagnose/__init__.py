"""Why did the chosen answers fall, who took the probability, and what to try: the doctor for preference training."""

from labkit.diagnose.callback import DisplacementCallback
from labkit.diagnose.door import speaks_of
from labkit.diagnose.examine import diagnose
from labkit.diagnose.report import Diagnosis
from labkit.diagnose.scores import drop_random, drop_worst, scores

__all__ = ["Diagnosis", "DisplacementCallback", "diagnose", "drop_random", "drop_worst", "scores", "speaks_of"]
