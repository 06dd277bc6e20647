"""Ours beside the libraries that a user would pick instead: `python tests/benchmarks/run.py`."""
