"""What the registry knows of every entry, and where it knows it from."""

import re

import pytest

import labkit
from labkit.registry import ENTRIES, catalog, papers

LOSSES = """info_nce nt_xent clip_loss siglip sup_con dcl dclw dhel mv_info_nce mv_dhel align_uniform debiased hard_negative
    macl decoupled_uniformity barlow_twins vicreg spectral simsiam swav""".split()
PREFERENCES = """dpo ipo hinge robust_dpo dpop rpo exo nca sppo aot apo_zero apo_down discopop kto bco simpo orpo cpo slic
    bradley_terry lipo plackett_luce""".split()
METERS = """alignment uniformity tolerance effective_rank rank_me singular_spectrum knn_accuracy linear_probe ches
    displacement entanglement""".split()


@pytest.mark.parametrize(
    ("room", "names"),
    [("losses", LOSSES), ("preferences", [*PREFERENCES, "sequence_logps"]), ("metrics", [*METERS, "interval"])],
)
def test_the_names_that_others_call(room, names):
    module = __import__(f"labkit.{room}", fromlist=["_"])
    assert set(names) <= set(module.__all__)
    assert all(callable(getattr(module, name)) for name in module.__all__)


@pytest.mark.parametrize("name", [e.name for e in catalog()])
def test_every_entry_has_its_paper_its_equation_and_its_family(name):
    entry = ENTRIES[name]
    assert entry.arxiv in papers(), f"{name}: {entry.arxiv} is not in data/papers.csv"
    assert entry.paper and entry.year and entry.authors, f"{name}: fill in the row of {entry.arxiv} in data/papers.csv"
    assert entry.equation
    assert entry.status in ("verified", "reconstructed")
    assert re.fullmatch(r"[a-z_]+", entry.family)


def test_catalog_is_what_the_package_offers():
    assert labkit.catalog() == catalog()
    assert {e.name for e in catalog() if e.kind == "loss"} >= set(LOSSES)
    assert ENTRIES["nt_xent"].seeds == (222,)
    assert ENTRIES["dpo"].seeds == ()


def test_papers_csv_has_the_294_papers_and_no_key_twice():
    import csv

    from labkit.paths import shipped

    with shipped("papers.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    numbers = [int(n) for row in rows for n in row["seeds"].split()]
    assert sorted(numbers) == list(range(1, 295))
    keys = [row["arxiv"] for row in rows if row["arxiv"]]
    assert len(keys) == len(set(keys))
