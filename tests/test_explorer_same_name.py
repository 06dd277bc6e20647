"""Same name, different loss: every library's stored number is reached from ours by the rule that is stated."""

import ast
import re
from pathlib import Path

import numpy as np
import pytest

from labkit import explorers
from labkit.explorers.same_name import SLOTS, WIDE, SameName
from labkit.paths import shipped
from labkit.recipes import same_name as recipe
from labkit.recipes import same_name_rules as rules

ROWS = [(name, row) for name in recipe.NAMES for row in recipe.rows(name)]
PEERS = {"lightly", "pytorch_metric_learning", "trl", "sentence_transformers", "open_clip", "info_nce", "liger_kernel"}


@pytest.mark.parametrize(("name", "row"), ROWS, ids=[f"{name}: {row.library}" for name, row in ROWS])
def test_the_rule_leads_from_our_number_to_theirs(name, row):
    assert row.bridged == pytest.approx(row.value, rel=1e-6, abs=1e-6)
    if row.rule == recipe.SAME:
        assert recipe.ours(name) == pytest.approx(row.value, rel=1e-6, abs=1e-6)
    else:
        assert abs(recipe.ours(name) - row.value) > 1e-3  # or there would be nothing to explain


def test_there_are_many_of_them_and_none_is_left_out():
    stored = {(row["name"], row["library"]) for row in recipe.stored()["rows"]}
    told = {(name, library) for name, about in recipe.NAMES.items() for library in about.bridges}
    assert stored == told
    assert len(told) >= 12 and len(recipe.NAMES) >= 8
    assert sum(row.rule != recipe.SAME for _, row in ROWS) >= 12


def test_every_number_says_where_it_came_from():
    for row in recipe.stored()["rows"]:
        assert re.search(r" \d+\.\d+\.\d+$| at [0-9a-f]{12}$", row["source"]), row["source"]
        assert row["function"] and np.isfinite(row["value"])


def test_nobodys_code_is_imported():
    for module in (recipe, rules, __import__("labkit.explorers.same_name", fromlist=["show"])):
        tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
        names = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
        names |= {alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names}
        assert not {(name or "").split(".")[0] for name in names} & PEERS


def test_all_have_the_same_input():
    x = recipe.inputs()
    assert len(x["z1"]) == len(x["z2"]) == len(x["labels"]) == len(x["lonely"])
    assert (x["chosen_lengths"] != x["rejected_lengths"]).any(), "equal lengths would hide what is divided by them"
    assert x["labels"].long().bincount().unique().numel() > 1, "classes of one size would hide who averages over what"
    assert shipped("same_name.json").stat().st_size < 20_000


def test_what_is_shown_is_what_is_stored():
    explorer = explorers.same_name(name="SupCon")
    for state in explorer.states():
        shown, rows = explorer.seen(state), recipe.rows(state.name)
        assert len(rows) <= SLOTS
        np.testing.assert_allclose(shown["bridged"], shown["values"], rtol=1e-6, atol=1e-6)
        assert shown["low"] < min(0, *shown["values"], shown["ours"]) <= max(0, *shown["values"], shown["ours"]) < shown["high"]
        assert [bool(a) for a in shown["alike"]] == [row.rule == recipe.SAME for row in rows]
        assert max(map(len, shown["reasons"])) <= WIDE
        assert all(row.rule in " ".join(shown["reasons"]) for row in rows if row.rule != recipe.SAME)
        assert all((np.abs(shown["heights"] - head) > 0.12).all() for head in shown["heads"])  # no line lies over a name
        assert shown["differ"] == sum(row.rule != recipe.SAME for row in rows)


def test_what_is_said_holds():
    explorer = explorers.same_name()
    for state in explorer.states():
        said, rows = explorer.explain(explorer.start, state), recipe.rows(state.name)
        differ = [row for row in rows if row.rule != recipe.SAME]
        assert f"{len(differ)} of {len(rows)} answers are not labkit's" in said
        assert not differ or differ[0].rule in said


def test_a_name_that_nobody_looked_at():
    with pytest.raises(ValueError, match="name must be one of 'NT-Xent'"):
        explorers.same_name(name="triplet")
    assert explorers.same_name(name="IPO").start == SameName("IPO")
