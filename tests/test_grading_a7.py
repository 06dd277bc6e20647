"""a7: right answers keep their points, wrong ones lose theirs and are known by name."""

from grading_cases import everything
from right.a7 import RIGHT

globals().update(everything("a7", RIGHT))
