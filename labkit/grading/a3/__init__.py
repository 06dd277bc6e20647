"""Assignment 3: alignment and uniformity. Two meters, what they can reach, and what they cannot say."""

from labkit.grading.a3 import bounds, descent, meter, places, plane, table, wishes

__all__ = ["bounds", "descent", "meter", "places", "plane", "table", "wishes"]
