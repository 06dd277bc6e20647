"""a3: right answers keep their points, wrong ones lose theirs and are known by name."""

from grading_cases import everything
from right.a3 import RIGHT

globals().update(everything("a3", RIGHT))
