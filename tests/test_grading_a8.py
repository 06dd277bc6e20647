"""The eighth assignment: right answers keep their points, and each mistake loses exactly its own."""

from grading_cases import everything
from right.a8 import RIGHT

globals().update(everything("a8", RIGHT))
