"""A file is a family of comparisons. A contender imports its library itself, so that a missing one costs one line."""
