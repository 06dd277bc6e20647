"""Inputs for the tests that every registered entry inherits, made from its signature; the exceptions stand in tables on top."""

import importlib.util
import json
from collections.abc import Iterator
from math import inf
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from labkit.battery.inputs import (  # noqa: F401  (a function of somebody's own goes through the same)
    SIZES,
    along,
    inputs,
    leaves,
    letters,
    shuffled,
    stretched,
    swapped,
    turned,
)
from labkit.registry import Entry, catalog

# Options that an entry needs to make sense of inputs this small.
OPTIONS: dict[str, dict[str, Any]] = {
    "knn_accuracy": {"k": 2},
    "knn_leave_one_out": {"k": 2},
    "neighbour_overlap": {"k": 2},
    "hubness": {"k": 2},
    "antihubs": {"k": 2},
    "robin_hood": {"k": 2},
    "recall_at_k": {"k": 4},
    "few_label_probe": {"per_class": 1, "draws": 2},
    "push_share": {"fraction": 0.4},
    "spectrum_decay": {"first": 1, "last": 3},
    "disco": {"kl": "k3"},
}
# Entries whose gradient is not the derivative of their value, by design; what it is instead is tested where it says.
STOPPED = {
    "macl": "detached weight and temperature: test_gradients",
    "dclw": "detached weight: test_oracles, test_gradients",
    "simsiam": "stopped gradient: test_oracles, test_gradients",
    "swav": "detached codes: test_oracles, test_deviations",
    "mm_dpo": "detached reward margin: test_pairwise",
    "wpo": "detached weights: test_pairwise",
    "hypo": "score function of the drawn answers: test_pairwise",
    "dft": "detached weight: test_supervised",
    "multiplier_loss": "detached rewards: test_reward_models",
    "rwr": "detached rewards: test_policy, against a slow loop",
    "nash_md": "detached log-ratio: test_games",
    "cispo": "detached weight: test_policy, against TRL",
    "vespo": "detached weight: test_policy, against TRL",
    "disco": "detached price of the KL: test_policy, against the official code",
    "f_dpg": "detached pseudo-reward: test_policy, against each divergence",
    "pi_distill": "detached reward: test_policy, against both objectives",
    "opsd": "detached reward: test_policy, against its objective",
    "p3o": "detached ratio of the other answer: test_policy, against the policy gradient",
}
# Oracles computed where they are used, and the test that does it: what a library answers, an identity, a number of the authors.
ELSEWHERE = {
    "ches": "test_movement.py::test_ches_is_the_official_number",
    "displacement": "test_movement.py::test_entanglement_tells_the_sign_of_a_small_plain_step",
    "entanglement": "test_movement.py::test_entanglement_tells_the_sign_of_a_small_plain_step",
    "rank_me": "test_metrics.py::test_ranks_of_known_spectra",
    "singular_spectrum": "test_metrics.py::test_ranks_of_known_spectra",
    "linear_probe": "test_metrics.py::test_linear_probe_is_scikit_learns_and_does_not_see_scale_rotation_or_dead_columns",
    "few_label_probe": "test_metrics.py::test_few_label_probe_is_the_mean_over_draws",
    "clustering_accuracy": "test_metrics.py::test_clusters_and_classes",
    "clustering_nmi": "test_metrics.py::test_clusters_and_classes",
    "modality_auc": "test_report_neighbours.py::test_modality_auc_is_that_of_scipy_and_scikit_learn",
    "neural_collapse": "test_report_classes.py::test_neural_collapse_is_the_papers_formula",
    "discriminant_probe": "test_report_classes.py::test_discriminant_probe_is_scikit_learns",
}
ORACLES = Path(__file__).parent / "oracles"

ENTRIES = catalog()
LOSSES = [e for e in ENTRIES if e.kind == "loss"]
TRAINED = [e for e in ENTRIES if e.kind in ("loss", "preference")]
NORMALISED = [e for e in LOSSES if e.checker.directions]


def having(parameter: str, entries: list[Entry] = ENTRIES) -> list[Entry]:
    return [e for e in entries if parameter in e.checker.parameters]


def call(entry: Entry, given: dict[str, Tensor], **options: Any) -> Tensor:
    return entry.fn(**given, **{**OPTIONS.get(entry.name, {}), **options})


def unreduced(entry: Entry, given: dict[str, Tensor], **options: Any) -> Tensor:
    return call(entry, given, **options, **({"reduction": "none"} if "reduction" in entry.checker.parameters else {}))


def with_oracle() -> set[str]:
    """What a number in `oracles/*.json`, a function in `oracles/*loops.py` or a test of ELSEWHERE stands for."""
    found: set[str] = set()
    for file in ORACLES.glob("*.json"):
        found |= {row.get("entry", row.get("meter")) for row in json.loads(file.read_text(encoding="utf-8"))["values"]}
    for file in ORACLES.glob("*loops.py"):
        found |= set(vars(loops(file.stem)))
    for name, test in ELSEWHERE.items():
        file, function = test.split("::")
        body = (ORACLES.parent / file).read_text(encoding="utf-8").partition(f"def {function}(")[2].partition("\ndef ")[0]
        found |= {name} if f"{name}(" in body else set()
    return found


def loops(name: str) -> Any:
    """`oracles/NAME.py` as a module."""
    spec = importlib.util.spec_from_file_location(name, ORACLES / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def outside(interval: Any) -> Iterator[tuple[str, float]]:
    """Numbers just outside an interval, where it has an end."""
    if interval and interval.low > -inf:
        yield "too small", interval.low - 1
    if interval and interval.high < inf:
        yield "too large", interval.high + 1
    if interval and interval.low > -inf and interval.text.startswith("("):
        yield "the limit", interval.low


def wrong(entry: Entry) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """What a call may be given wrongly: what is wrong, the argument that the error must name, the arguments."""
    given, parameters = inputs(entry, optional=True), entry.checker.parameters
    floating = [n for n in given if parameters[n].floating]
    for name, x in given.items():
        yield "a list", name, {**given, name: x.tolist()}
        yield "four more axes", name, {**given, name: x[None, None, None, None]}
        yield "nothing", name, {**given, name: x[:0]}
        if parameters[name].required:
            yield "missing", name, {n: y for n, y in given.items() if n != name}
        if parameters[name].integral:
            yield "fractions", name, {**given, name: x.double()}
        if name in floating:
            yield "whole numbers", name, {**given, name: x.round().long()}
            for what, bad in (("NaN", float("nan")), ("infinity", float("inf"))):
                yield what, name, {**given, name: torch.where(torch.arange(len(x)).view(-1, *[1] * (x.ndim - 1)) == 1, bad, x)}
        for what, value in outside(parameters[name].interval):
            yield what, name, {**given, name: torch.full_like(x.long() if name.endswith("mask") else x, value)}
        if name in entry.checker.directions:
            yield "a row of zeros", name, {**given, name: torch.cat([x[:1] * 0, x[1:]])}
        if any(set(letters(entry, n)) & set(letters(entry, name)) for n in given if n != name):
            yield "a size of its own", name, {**given, name: x[tuple(slice(1, None) for _ in x.shape)]}
        if len(given) > 1:
            yield "another device", name, {**given, name: x.to("meta")}
        if len(floating) > 1 and name in floating:
            yield "another precision", name, {**given, name: x.half()}
    needed = inputs(entry)
    first = next((n for n in needed if "n" in letters(entry, n)), None)
    if first and entry.checker.sizes.get("n", 1) > 1:
        yield "one row", first, along(entry, needed, "n", lambda x, axis: x.narrow(axis, 0, 1))
    for name, p in parameters.items():
        if p.is_number:
            yield "a word", name, {**given, name: "much"}
            yield "not a number", name, {**given, name: float("nan")}
            for what, value in outside(p.interval):
                yield what, name, {**given, name: value if float in p.options else int(value)}
        elif p.is_switch:
            yield "a word", name, {**given, name: "no"}
        elif p.words:
            yield "an unknown word", name, {**given, name: "average"}
    yield "an unknown argument", "tau", {**given, "tau_of_mine": 1.0}
