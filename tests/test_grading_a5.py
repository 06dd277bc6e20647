"""a5: right answers keep their points, wrong ones lose theirs and are known by name, and the boxes do what is said of them."""

from grading_cases import everything
from right.a5 import RIGHT

globals().update(everything("a5", RIGHT))
