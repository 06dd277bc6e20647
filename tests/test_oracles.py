"""Embedding objectives against other people's code (`oracles/vision.json`) and against slow loops from the papers."""

import importlib.util
import inspect
import json
from pathlib import Path

import pytest
import torch

from labkit.registry import ENTRIES, catalog

FOLDER = Path(__file__).parent / "oracles"
STORED = json.loads((FOLDER / "vision.json").read_text(encoding="utf-8"))


def loops(name="loops"):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


LOOPS = loops()
# What a loop is tried with beside its defaults; (n, d) inputs are drawn, see `drawn`.
OPTIONS = {
    "sup_con": [{"form": "in"}, {"form": "out", "temperature": 0.4}],
    "joint": [{"share": 0.2, "temperature": 0.5}],
    "dclw": [{"sigma": 0.2}],
    "align_uniform": [{"alpha": 1.5, "t": 3, "weight": 0.5}],
    "hard_negative": [{"beta": 0.5, "tau_plus": 0.1}, {"beta": 2.0, "tau_plus": 0.4, "temperature": 0.2}],
    "debiased": [{"tau_plus": 0.3, "temperature": 0.2}],
    "macl": [{"alpha": 1.0, "a0": 0.2, "temperature": 0.5}],
    "siglip": [{"bias": 1.0, "temperature": 0.5}],
    "vicreg": [{"similarity": 1, "variance": 2, "covariance": 3}],
    "swav": [{"temperature": 0.2, "epsilon": 0.5, "iterations": 2}],
    "spectral": [{"mu": 3.0}],
}


def tensor(name):
    return torch.tensor(STORED["inputs"][name], dtype=None if name in ("labels", "lonely") else torch.float64)


def made(arguments):
    return {k: tensor(n) if isinstance(n, str) else torch.stack([tensor(m) for m in n], 1) for k, n in arguments.items()}


@pytest.mark.parametrize("row", STORED["values"], ids=lambda r: f"{r['entry']}-{r['function']}-{r['options']}")
def test_value_of_official_code(row):
    value = ENTRIES[row["entry"]].fn(**made(row["arguments"]), **row["options"])
    assert value.item() == pytest.approx(row["value"], rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("row", [r for r in STORED["values"] if "gradient" in r], ids=lambda r: f"{r['entry']}-{r['function']}")
def test_gradient_of_official_code(row):
    given = made(row["arguments"])
    leaves = {name: x.requires_grad_() for name, x in given.items() if x.is_floating_point()}
    ENTRIES[row["entry"]].fn(**given, **row["options"]).backward()
    assert {name for name, x in leaves.items() if x.grad is not None} == set(row["gradient"])
    for name, expected in row["gradient"].items():
        torch.testing.assert_close(leaves[name].grad, torch.tensor(expected, dtype=torch.float64), rtol=1e-10, atol=1e-12)


def test_the_rows_cite_a_version_or_a_commit():
    assert all(row["source"].split()[-1].strip(".0123456789abcdef") == "" and row["function"] for row in STORED["values"])


def drawn(name):
    """Inputs for a loop: five instances, four dimensions, three views; one label without a partner."""
    draw = torch.Generator().manual_seed(1)
    entry = ENTRIES[name]
    made = entry.arguments(lambda shape: torch.randn(shape, generator=draw, dtype=torch.float64), 5, 4, v=3, k=4)
    return {**made, "labels": torch.tensor([0, 1, 0, 2, 0])} if "labels" in made else made


CASES = [
    (name, options)
    for name, _ in inspect.getmembers(LOOPS, inspect.isfunction)
    if name in {e.name for e in catalog()}
    for options in [{}, *OPTIONS.get(name, [])]
]


@pytest.mark.parametrize(("name", "options"), CASES)
def test_value_of_the_loop_from_the_paper(name, options):
    entry, given = ENTRIES[name], drawn(name)
    slow = getattr(LOOPS, name)(**{k: x.tolist() for k, x in given.items()}, **options)
    fast = entry.fn(**given, **options, **({} if entry.unit == "batch" else {"reduction": "none"}))
    torch.testing.assert_close(fast, torch.tensor(slow, dtype=torch.float64), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", [(3, 4), (5, 3, 4)])
def test_info_nce_with_negatives_of_its_own(shape):
    given = {**drawn("info_nce"), "negatives": torch.randn(shape, dtype=torch.float64)}
    slow = LOOPS.info_nce(**{k: x.tolist() for k, x in given.items()})
    fast = ENTRIES["info_nce"].fn(**given, reduction="none")
    torch.testing.assert_close(fast, torch.tensor(slow, dtype=torch.float64), rtol=1e-12, atol=1e-12)


def test_sup_con_with_views_side_by_side():
    z, labels = torch.randn(4, 3, 5, dtype=torch.float64), torch.tensor([0, 1, 1, 2])
    for form in ("out", "in"):
        slow = LOOPS.sup_con(z.tolist(), labels.tolist(), form=form)
        fast = ENTRIES["sup_con"].fn(z, labels, form=form, reduction="none")
        torch.testing.assert_close(fast, torch.tensor(slow, dtype=torch.float64), rtol=1e-12, atol=1e-12)
