"""a5: right answers keep their points, wrong ones lose theirs and are known by name; and the boxes are what they are said to be."""

from grading_cases import everything
from right.a5 import RIGHT

globals().update(everything("a5", RIGHT))
