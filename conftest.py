"""For tests and doctests alike: shapes and types enforced inside the friendly checks, and a cache of our own."""

import importlib.util
import os
import tempfile

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as labkit does, but torch is imported first here
os.environ.setdefault("LABKIT_TYPECHECK", "1")
os.environ.setdefault("LABKIT_HOME", tempfile.mkdtemp(prefix="labkit-test-"))
os.environ.setdefault("LABKIT_STUDY", f"{os.environ['LABKIT_HOME']}/results.json")  # the capstone's log

import pytest
import torch

# Parts of nbgrader by inheritance: without it there is nothing to import.
collect_ignore = [] if importlib.util.find_spec("nbgrader") else ["labkit/course/grader.py", "labkit/course/late.py"]


@pytest.fixture(autouse=True)
def _seeded(doctest_namespace):
    torch.manual_seed(0)
    doctest_namespace["torch"] = torch
