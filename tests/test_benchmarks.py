"""The benchmark compares like with like, says what it found, and needs no peer for that."""

import argparse
import json
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch
from benchmarks import environment, machine, run, table, worker
from benchmarks.cases import contrastive, meters, preference, spread
from benchmarks.meter import Meter
from benchmarks.registry import FILES, OURS, Case, Target, told

CASES = (*contrastive.CASES, *spread.CASES, *meters.CASES, *preference.CASES)
SIZES = {"dpo_logits": 50, "dpo_hidden": 50, "ches": 3, "knn": 200, "effective_rank": 300}
NAIVE = [(case, name) for case in CASES for name in case.contenders if name.startswith(("naive", "svdvals"))]


def found(case: Case, name: str, size: int) -> tuple[float, list[torch.Tensor]]:
    """A contender's value, and its gradients."""
    given = case.inputs(size, torch.Generator().manual_seed(3))
    value = case.contenders[name].run(*given)
    if value.requires_grad:
        value.backward()
    return float(value.detach()), [x.grad for x in given if x.grad is not None]


@pytest.mark.parametrize(("case", "name"), NAIVE, ids=lambda x: x if isinstance(x, str) else x.name)
def test_naive_code_computes_what_ours_does(case, name):
    size = SIZES.get(case.name, 40)
    ours, slopes = found(case, OURS, size)
    theirs, others = found(case, name, size)
    assert theirs == pytest.approx(ours, rel=1e-4)
    assert len(slopes) == len(others)
    for one, other in zip(slopes, others, strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-4 * float(one.abs().max()))


def test_every_contrastive_case_has_a_naive_form_or_the_official_one():
    for case in (*contrastive.CASES, *spread.CASES):
        assert next(iter(case.contenders)) == OURS
        assert any(name.startswith("naive") or name == "align_uniform" for name in case.contenders), case.name


def test_targets_name_contenders_and_sizes_that_are_measured():
    for case in CASES:
        for target in case.targets:
            assert target.peer is None or target.peer in case.contenders, (case.name, target)
            assert target.size is None or target.size in (*case.sizes, *case.large), (case.name, target)


def test_every_case_is_told_once_with_its_file():
    cases = told()
    assert [name for name in cases if cases[name]["file"] == "spread"] == [case.name for case in spread.CASES]
    assert len(cases) == sum(len(import_module(f"benchmarks.cases.{file}").CASES) for file in FILES)


def test_the_meter_sees_what_a_call_takes():
    with Meter() as meter:
        kept = torch.ones(2**24)  # 64 MiB
        kept.cos_()
    assert 60 < meter.mib < 90
    assert meter.seconds > 0


def row(seconds: float, mib: float = 10.0, **more: float) -> dict[str, float]:
    return {"seconds": seconds, "wall": seconds, "mib": mib, "value": 2.0, "slope": 1.0, **more}


CASE = Case(
    "toy", "A toy, rows", lambda: (), (4096, 8192), 8, growth=True,
    targets=(Target("seconds", 0.5, "peer"), Target("mib", 100, size=4096), Target("seconds", 0.1, "absent")),
)  # fmt: skip
ROWS = {
    OURS: [row(1.0, 40), row(1.2, 44)],
    "peer": [row(4.0, 400), row(3.0, 400)],
    "slow": [row(100.0, 80)],
    "scaled": [row(1.0, 80, value=4.0), row(1.0, 80, value=4.0)],
    "absent": [{"skip": "not installed"}],
}


def report(found: dict) -> list[str]:
    facts = machine.facts({"threads": 2, "gpu": "", "versions": {"torch": "2.13.0"}})
    told = {"toy": {**CASE.told("toys"), "contenders": dict.fromkeys(ROWS)}}
    return table.report(facts, told, found, argparse.Namespace(seed=0)).splitlines()


def cells(lines: list[str], start: str) -> list[str]:
    return [cell.strip() for cell in next(line for line in lines if line.startswith(f"| {start}")).split("|")[1:-1]]


def test_ratios_are_taken_within_a_round_and_given_with_their_range():
    lines = report({("toy", 4096): ROWS})
    assert cells(lines, "peer")[5:] == ["0.32 (0.25 to 0.40)", "0.32 (0.25 to 0.40)", "0.11 (0.10 to 0.11)", "yes"]
    assert cells(lines, "slow")[5] == "0.011 (0.01 to 0.012)"  # asked once, it stands against both of ours
    assert cells(lines, "scaled")[8] == "value x 2, gradient x 1"
    assert cells(lines, "absent") == ["absent", "not installed", *[""] * 7]


def test_targets_are_judged_by_the_median():
    lines = report({("toy", 4096): ROWS})
    assert cells(lines, "A toy, rows, 4,096: CPU seconds over those of peer")[1:] == ["0.50", "0.32 (0.25 to 0.40)", "yes"]
    assert cells(lines, "A toy, rows, 4,096: peak")[1:] == ["100", "42.0 (40.0 to 44.0)", "yes"]
    assert cells(lines, "A toy, rows, 4,096: CPU seconds over those of absent")[1:] == ["0.10", "not measured", ""]
    slower = report({("toy", 8192): {**ROWS, OURS: [row(3.0)]}})
    assert cells(slower, "A toy, rows, 8,192: CPU seconds over those of peer")[3] == "NO"


def test_growth_is_an_exponent_between_sizes():
    lines = report({("toy", 4096): ROWS, ("toy", 8192): {**ROWS, OURS: [row(4.4, 84)]}})
    assert cells(lines, "A toy, rows, 4,096 to 8,192")[1:] == ["2.00", "1.00"]


def test_nothing_measured_is_still_a_report():
    lines = report({("toy", 4096): {name: [{"skip": "does not fit"}] for name in ROWS}})
    assert cells(lines, "labkit")[1] == "does not fit"


def test_one_case_from_the_command_line_without_peers(tmp_path, monkeypatch, capsys):
    """All of it but the processes, each of which would load torch."""

    def here(_, what, *words, **options):
        worker.main(what, *map(str, words))
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    monkeypatch.setattr(environment, "ask", here)
    monkeypatch.setattr(run, "BUILT", tmp_path)
    command = "run.py --quick --no-peers --only info_nce --size 40 --against naive --against nobody"
    monkeypatch.setattr(sys, "argv", [*command.split(), "--out", str(tmp_path / "R.md")])
    run.main()
    lines = (tmp_path / "R.md").read_text().splitlines()
    assert cells(lines, "naive torch")[8] == "yes"
    assert json.loads((tmp_path / "results.json").read_text())[0][:2] == ["info_nce", 40]


def test_a_measurement_in_a_process_of_its_own():
    found = environment.ask(Path(sys.executable), "measure", "meters", "ches", "naive torch", 8, 0, gib=4, threads=1)
    assert found["seconds"] > 0
    assert found["mib"] >= 8 * 256 * 1024 * 4 / 2**20  # the masked states of one side


def test_a_peer_that_is_missing_or_has_no_room_is_a_line(monkeypatch, capsys):
    case = Case("toy", "A toy", lambda n, draw: (torch.ones(n),), (8,), 8, warm=2)
    case.by("missing")(lambda z: __import__("no_such_library"))
    case.by("too large")(lambda z: (z if len(z) == 2 else torch.empty(2**45)).sum())
    monkeypatch.setattr(worker, "cases", lambda file: {"toy": case})
    said = []
    for name in case.contenders:
        worker.main("measure", "toy", "toy", name, "8", "0")
        said.append(json.loads(capsys.readouterr().out)["skip"])
    assert said[0] == "No module named 'no_such_library'"
    assert said[1].startswith("does not fit")


def test_a_worker_that_breaks_is_a_line(tmp_path):
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'ValueError: what it said' >&2\nexit 1\n")
    broken.chmod(0o755)
    assert environment.ask(broken, "about") == {"skip": "failed: ValueError: what it said"}
