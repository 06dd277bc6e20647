"""A report on paper: what is printed, shown, saved, cited and checked. The report is made by hand (`handmade.py`)."""

import csv
import hashlib
import html
import importlib
import io
import json
import re
import time
from dataclasses import replace
from html.parser import HTMLParser

import jsonschema
import numpy as np
import pytest
from handmade import CARDS, LONG, NASTY, clean, report
from PIL import Image

from labkit.metrics import Estimate
from labkit.paths import shipped
from labkit.report import meters, paper, pieces
from labkit.report.paper import bounds, drawings, folder, latex, plain, private, references, strip, words
from labkit.report.paper.folder import INDEX

FIGURES = {"overview", "norms", "spectrum", "cosines", "hubness", "classes"}
VOID = {"meta", "link", "img", "br", "hr"}


@pytest.fixture(autouse=True)
def cards(monkeypatch):
    for key, card in CARDS.items():
        monkeypatch.setitem(pieces.CARDS, key, card)


def draw_only(patch, *names):
    """A report has these figures and no other: each takes a second to save."""
    few = {name: drawings.FIGURES[name] for name in names}
    for user in (folder, importlib.import_module("labkit.report.paper.page")):
        patch.setattr(user, "figures", lambda report: {name: make(report) for name, make in few.items()})


@pytest.fixture
def no_figures(monkeypatch):
    draw_only(monkeypatch)


@pytest.fixture
def few_figures(monkeypatch):
    """Where it does not matter which figures there are, one that names classes."""
    draw_only(monkeypatch, "classes")


@pytest.fixture(
    scope="module", params=[("norms",), pytest.param(sorted(FIGURES), marks=pytest.mark.thorough)], ids=["one", "all"]
)
def drawn(request):
    """The figures of the saved report."""
    return request.param


@pytest.fixture(scope="module")
def saved(tmp_path_factory, drawn):
    with pytest.MonkeyPatch.context() as patch:
        draw_only(patch, *drawn)
        for key, card in CARDS.items():
            patch.setitem(pieces.CARDS, key, card)
        return paper.save(report(), tmp_path_factory.mktemp("saved") / "out")


# ---------------------------------------------------------------- words


@pytest.mark.parametrize(
    "value, low, high, said",
    [
        (39.04, 37.74, 40.31, "39.0 [37.7, 40.3]"),
        (-3.7104, -3.74, -3.68, "-3.710 [-3.740, -3.680]"),
        (12.0, 12.0, 12.0, "12"),
        (52341.2, 51000.0, 53000.0, "52,341 [51,000, 53,000]"),
        (3.2e-9, 3.1e-9, 3.3e-9, "3.2e-09 [3.1e-09, 3.3e-09]"),
        (-0.001, -0.2, 0.2, "0.00 [-0.20, 0.20]"),
    ],
)
def test_a_number_has_the_digits_that_its_interval_leaves_it(value, low, high, said):
    assert words.measured(Estimate(value, low, high)) == said


def test_text_puts_findings_first_and_fits_the_screen():
    said = paper.text(report())
    lines = said.splitlines()
    assert max(map(len, lines)) <= 100 and len(lines) <= 90
    assert said.index("ALARM") < said.index("notice") < said.index("Is the input sane?") < said.index("What the numbers say")
    assert "None in z1, z2: duplicate rows." in said and "hubness: needs at least 1,024 rows." in said
    row = next(line for line in lines if "effective rank" in line)
    assert row.split() == "effective rank z1 41.2 [40.1, 42.3] isotropic 61.3; untrained 22.5".split()
    assert "Useful features: a constant" in said  # what the number does not imply


def test_text_says_in_words_that_there_is_no_alarm():
    assert "No alarm; one thing to know." in paper.text(report(alarms=False))


def test_of_many_classes_the_lowest_and_the_highest_are_printed():
    said = paper.text(report(k=30))
    told = " ".join(said[said.index("tolerance, the two lowest") :].split()).partition("Not measured")[0]
    assert told.startswith(
        "tolerance, the two lowest and the two highest of 30 classes beside permuted labels 0.01: 0 0.100 [0.050"
    )
    assert [f" {k} " in told for k in (0, 1, 2, 27, 28, 29)] == [True, True, False, False, True, True]


def test_what_is_asked_for_twice_is_asked_once():
    given = report()
    twice = type(given)(
        given.name, given.given, (replace(given.sections[0], findings=(LONG, replace(LONG, of="z2"))),), given.sampled, 0
    )
    said = paper.text(twice)
    assert said.count("unnormalised") == 2 and said.count("Try:") == 1 and "2 things to know" in said
    assert paper.notebook(twice).count("<b>Try:</b>") == 1


# ---------------------------------------------------------------- HTML


class Reader(HTMLParser):
    """Tags that fit, everything that is seen, everything that would be fetched."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.fetched, self.alts = [], [], [], []

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.fetched += [v for k, v in attributes if k in ("src", "href", "srcset", "data", "action") and not v.startswith("#")]
        self.alts += [found.get("alt", "")] if tag == "img" else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.seen += [] if self.open and self.open[-1] in ("style", "title") else [data]


def read(source):
    reader = Reader()
    reader.feed(source)
    assert reader.open == []
    return reader


def test_the_page_fetches_nothing_and_runs_nothing(saved, drawn):
    source = (saved / "report.html").read_text()
    reader = read(source)
    assert all(address.startswith("data:") for address in reader.fetched) and len(reader.fetched) == 1 + len(drawn)
    assert "://" not in source and "<script" not in source and "@import" not in source and "url(" not in source
    assert "default-src 'none'" in source and all(len(alt) > 40 for alt in reader.alts)


def test_the_page_shows_every_number_with_its_meaning(few_figures):
    given = report(name=NASTY)
    source = paper.page(given)
    seen = " ".join(" ".join(read(source).seen).split())
    assert NASTY in seen and f"<b>{'50'}" not in source
    for number in given.numbers:
        assert words.title(number.meter) in seen and f"{number.n:,}" in seen
        assert words.is_clean(number) or parts_of(number) <= set(seen.replace(",", " ").split())
        assert words.is_clean(number) or (number.card.means in seen and number.card.implies_not in seen)
    for found in given.findings:
        assert found.says in seen and found.try_next in seen
    assert "needs at least 1,024 rows" in seen and "@article{politis1994subsamples," in seen


def parts_of(number):
    """The numbers of a row as they stand on the page, without commas and brackets around them."""
    said = [words.measured(number.estimate), *(words.shown(null.estimate.value) for null in number.nulls)]
    return set(" ".join(said).replace("-", "−").replace(",", " ").split())


def test_the_notebook_card_has_the_same_parts():
    given = report(name=NASTY)
    source = paper.notebook(given)
    seen = " ".join(" ".join(read(source).seen).split())
    assert source.startswith('<div class="labkit-report lk-card">') and "<script" not in source and "<img" not in source
    for word in (
        NASTY,
        "One alarm",
        "shuffled-pairs",
        "effective rank",
        "needs at least 1,024 rows",
        "Useful features: a constant",
    ):
        assert word in seen


def test_a_strip_places_value_interval_and_null_rows_on_one_axis():
    found = report()["z1.effective_rank"]
    on = strip.axis([found])
    assert on.low < 22.5 < 61.3 < on.high
    drawn = strip.strip(found, on)
    assert html.unescape(re.search('aria-label="([^"]*)"', drawn)[1]) == "z1: 41.2 [40.1, 42.3]; isotropic 61.3; untrained 22.5"
    dot, floor = float(re.search('cx="([^"]*)"', drawn)[1]), float(re.search(r"translate\(([\d.]+)", drawn)[1])
    assert (floor - dot) / (on.place(22.5) - dot) == pytest.approx((61.3 - 41.2) / (22.5 - 41.2), abs=1e-3)


def test_a_strip_needs_more_than_one_place():
    assert strip.axis([clean("duplicate_rows", "z1", 20)]) is None
    assert all(2 <= len(strip.Axis(a, b).ticks()) <= 5 for a, b in ((0, 1), (-3.9, -3.6), (0, 2e-7), (1, 99_000), (-0.1, 1.04)))


# ---------------------------------------------------------------- JSON and tables


def test_json_is_what_its_schema_says(saved):
    schema = json.loads(shipped("report.schema.json").read_text(encoding="utf-8"))
    found = json.loads((saved / INDEX).read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(found, schema)
    assert schema["properties"]["schema"]["const"] == found["schema"] == plain.SCHEMA == schema["title"]
    given = report()
    assert [n["name"] for s in found["sections"] for n in s["numbers"]] == [n.name for n in given.numbers]
    assert found["inputs"][0]["sha256"] == given.given[0].sha256 and found["sample"]["n"] == 512
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(found | {"saved_at": time.time()}, schema)


def test_json_knows_every_file_beside_it(saved):
    files = json.loads((saved / INDEX).read_text())["files"]
    there = {p.relative_to(saved).as_posix() for p in saved.rglob("*") if p.is_file()}
    assert there == {INDEX, *files}
    assert all(hashlib.sha256((saved / name).read_bytes()).hexdigest() == sha for name, sha in files.items())


def test_json_has_ten_digits_and_no_number_that_is_none():
    assert plain.rounded(0.1 + 0.2) == 0.3 and plain.rounded(np.float64(1 / 3)) == 0.3333333333
    assert plain.rounded(float("inf")) is None and str(plain.rounded(-0.0)) == "0.0"


def test_the_tidy_table_has_a_row_for_each_number_and_each_null_row(saved):
    rows = list(csv.DictReader(io.StringIO((saved / "numbers.csv").read_text())))
    given = report()
    assert tuple(rows[0]) == plain.COLUMNS and len(rows) == sum(1 + len(n.nulls) for n in given.numbers)
    mine = [r for r in rows if r["meter"] == "effective_rank" and r["of"] == "z1"]
    assert [(r["role"], r["row"], float(r["value"])) for r in mine] == [
        ("measured", "measured", 41.2), ("floor", "isotropic", 61.3), ("null", "untrained", 22.5),
    ]  # fmt: skip
    assert (mine[0]["low"], mine[0]["high"], mine[0]["n"]) == ("40.1", "42.3", "512")


# ---------------------------------------------------------------- figures


def test_every_figure_brings_its_data_and_says_what_it_shows():
    found = paper.figures(report())
    assert set(found) == FIGURES
    for drawn in found.values():
        assert len(drawn.alt) > 40 and drawn.figure.axes
        assert len({len(column) for column in drawn.data.values()}) == 1
    shares = found["cosines"].data
    assert shares["pairs"].sum() == pytest.approx(1) == shares["shuffled pairs"].sum()
    assert sum(
        s for s, of in zip(found["norms"].data["share"], found["norms"].data["of"], strict=True) if of == "z2"
    ) == pytest.approx(1)
    assert found["spectrum"].data["z1"][0] == 9 and found["hubness"].data["z1"][0] == pytest.approx(1)


def test_a_figure_without_its_arrays_is_left_out():
    given = report(labels=False)
    bare = [pieces_without_arrays(section) for section in given.sections]
    assert set(paper.figures(type(given)(given.name, given.given, tuple(bare), given.sampled, 0))) == {"overview"}


def pieces_without_arrays(section):
    return type(section)(section.key, section.title, section.numbers, section.findings, section.missing)


# ---------------------------------------------------------------- the folder


def test_the_folder_holds_everything(saved, drawn):
    names = {p.relative_to(saved).as_posix() for p in saved.rglob("*") if p.is_file()}
    plain_files = {"report.html", INDEX, "numbers.csv", "methods.txt", "references.bib", "table.tex"}
    assert names == plain_files | {f"figures/{name}.{kind}" for name in drawn for kind in ("svg", "pdf", "png", "csv")}
    assert (saved / "figures/norms.png").read_bytes().startswith(b"\x89PNG")
    with Image.open(saved / "figures/norms.png") as image:
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_the_same_report_gives_the_same_bytes(saved, drawn, tmp_path, monkeypatch):
    draw_only(monkeypatch, *drawn)
    monkeypatch.setattr(time, "time", lambda: 2e9)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    again = paper.save(report(), tmp_path / "elsewhere")
    for name in sorted(p.relative_to(saved) for p in saved.rglob("*") if p.is_file()):
        assert (again / name).read_bytes() == (saved / name).read_bytes(), name


def test_nothing_saved_holds_a_path_a_row_or_the_name_of_a_class(tmp_path, few_figures):
    secrets = [f"patient {k:c}zyx" for k in range(ord("a"), ord("m"))]
    given = report(words=secrets)
    out = paper.save(given, tmp_path / "out")
    text = "".join(p.read_text() for p in out.rglob("*") if p.is_file() and p.suffix not in (".png", ".pdf"))
    assert not any(secret in text for secret in secrets) and str(tmp_path) not in text
    assert "z1, class 11" in text and "The names are part of the data" in (out / "report.html").read_text()
    assert f"{float(given.rows.z1[0, 0]):.6g}"[:7] not in text
    assert "patient azyx 0.100" in " ".join(paper.text(given).split())  # on the user's own screen they stay


def test_whole_numbers_for_classes_stay_as_they_are():
    given = report()
    assert private.public(given) == (given, "")
    assert private.without("all 9 labels are cat; always cat, those of cat: category", {"cat": "0"}).count("cat") == 1


def test_data_is_kept_where_it_is_asked_for(tmp_path, no_figures):
    given = report(words=[f"class-{k}" for k in range(12)])
    out = paper.save(given, tmp_path, include_data=True)
    with np.load(out / "sample.npz", allow_pickle=False) as kept:
        assert np.array_equal(kept["z1"], given.rows.z1.numpy()) and kept["class_names"][3] == "class-3"
        assert set(kept) == {"z1", "z2", "labels", "rows", "class_names"}
    assert "z1, class class-3" in (out / INDEX).read_text()


def test_a_folder_that_holds_other_things_is_kept(tmp_path, monkeypatch):
    (tmp_path / "notes.md").write_text("mine")
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures/mine.svg").write_text("mine")
    draw_only(monkeypatch, "norms")
    paper.save(report(), tmp_path)
    assert (tmp_path / "figures/norms.svg").exists()
    draw_only(monkeypatch, "hubness")
    paper.save(report(labels=False), tmp_path)  # an earlier report is replaced, with what only it had
    assert (tmp_path / "notes.md").read_text() == (tmp_path / "figures/mine.svg").read_text() == "mine"
    assert not (tmp_path / "figures/norms.svg").exists() and not list(tmp_path.rglob(".*"))


@pytest.mark.parametrize("name", [INDEX, "report.html", "figures", "table.tex", "figures/norms.csv"])
def test_what_is_not_ours_is_never_overwritten(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(FileExistsError, match="another folder"):
        paper.save(report(), tmp_path)
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == [(tmp_path / name).name]
    assert (tmp_path / name).read_text() == "mine"


def test_a_file_in_the_way_is_an_error(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(FileExistsError, match="is a file"):
        paper.save(report(), tmp_path / "out")


def test_an_index_that_lies_removes_nothing(tmp_path, no_figures):
    (tmp_path / "mine.txt").write_text("mine")
    sha = hashlib.sha256(b"mine").hexdigest()
    out = tmp_path / "out"
    out.mkdir()
    (out / INDEX).write_text(json.dumps({"schema": plain.SCHEMA, "files": {"../mine.txt": sha, "gone.svg": sha}}))
    paper.save(report(), out)
    assert (tmp_path / "mine.txt").read_text() == "mine"


# ---------------------------------------------------------------- LaTeX, methods, references


def test_latex_escapes_and_balances():
    table = paper.to_latex(report(name=NASTY))
    assert r"runs \& \textless{}b\textgreater{}" in table and r"50 \%" in table and r"of\_x" in table
    assert table.count(r"\begin{") == table.count(r"\end{") == 2
    assert all(len(re.findall(r"(?<!\\)&", row)) == 6 for row in table.splitlines() if row.endswith(r"\\"))
    assert r"effective rank & z1 & $41.2$ & [$40.1$, $42.3$] & $512$ & isotropic & $61.3$ \\" in table
    assert "class 3" not in table


def test_methods_name_what_was_computed_and_only_that():
    said = paper.methods(report())
    paragraph, _, entries = said.partition("\n\n")
    for word in (
        "512 of 2,000 pairs",
        "seed 0",
        "40 random halves",
        "shuffled pairs (partners drawn anew)",
        "Wang and Isola 2020",
    ):
        assert word in paragraph
    assert "no duplicate rows" in paragraph and "hubness (needs at least 1,024 rows)" in paragraph
    used = ["roy2007effective", "garrido2023rankme", "wang2020alignment", "wang2021behaviour"]
    assert re.findall(r"@\w+\{(\w+)", entries) == [*used, "politis1994subsamples", "tukey1958bias", "labkit"]


def test_every_entry_of_the_bibliography_can_be_cited():
    keys = [entry["key"] for entry in references.bibliography().values()]
    assert len(set(keys)) == len(keys)
    for source, entry in references.bibliography().items():
        assert {"title", "author", "year"} <= set(entry["fields"]), source
        assert references.entry(entry).count("{") == references.entry(entry).count("}")
        assert references.entry(entry).isascii(), source
        assert entry["fields"].get("eprint", source) == source


def test_every_source_of_a_card_is_in_the_bibliography():
    for name in meters.MEASURED:
        meters.of(name)
    sources = {source for card in pieces.CARDS.values() for source in card.sources}
    assert sources and sources <= set(references.bibliography())


def test_a_source_that_nobody_wrote_an_entry_for_is_cited_from_the_catalog():
    assert references.known("2110.06848")["fields"]["title"] == "Decoupled Contrastive Learning"


# ---------------------------------------------------------------- checks


def test_bounds_that_hold_return_the_report():
    given = report(alarms=False)
    assert given.check(uniformity="<-3", effective_rank=" >= 20 ", alarms="==0", alignment="0.2..0.5") is given
    assert given.check(**{"z1.uniformity": "<-3.7", "z1, class 3.tolerance": "<1", "notices": "==1"}) is given


def test_every_bound_that_fails_is_told_with_its_interval():
    with pytest.raises(paper.CheckFailed) as failed:
        report().check(uniformity="<-3.68", effective_rank=">=100", alarms="==0", tolerance="0.3..0.4")
    assert isinstance(failed.value, AssertionError)
    told = str(failed.value).splitlines()
    assert len(told) == 5 and "healthy run: 4 bounds do not hold" in told[0]
    assert "z2.uniformity is -3.650 [-3.690, -3.610] (n = 512), must be < -3.68: the interval crosses the bound" in told[1]
    assert "z1.effective_rank is 41.2" in told[2] and "lies wholly outside" in told[2]
    assert "alarms (shuffled-pairs) is 1, must be == 0" in told[4]


def test_single_classes_are_checked_by_their_own_name_only():
    given = report()
    given.check(tolerance=">0.3")  # class 0 has 0.1
    with pytest.raises(paper.CheckFailed, match=r"class 0\.tolerance"):
        given.check(**{"z1, class 0.tolerance": ">0.3"})


@pytest.mark.parametrize(
    "bound", ["", "-2", "<", "< x", "<>2", "<-2 or >3", "5..2", "2..", "=2", "<1e", "<nan", -2, None, ("<", 2)]
)
def test_a_bound_that_is_none_says_what_one_looks_like(bound):
    with pytest.raises(ValueError, match=r'the bound of uniformity must be like "<-2".*got'):
        report().check(uniformity=bound)


@pytest.mark.parametrize("bound", ["<1e3", "< .5", "<=+0.5", ">-1.5E-3", "==0", "-1 .. 0.5", "-1e2..1e2"])
def test_bounds_may_be_written_as_numbers_are(bound):
    assert bounds.parsed("uniformity", bound).parts


def test_an_unknown_meter_names_those_that_there_are():
    with pytest.raises(ValueError, match=r"no 'uniformty'; there are duplicate_rows, norm, variance.*z1\.uniformity"):
        report().check(uniformty="<-2")
    with pytest.raises(ValueError, match="hubness could not be measured here: it needs at least 1,024 rows"):
        report().check(hubness="<2")
    with pytest.raises(ValueError, match="say what must hold"):
        report().check()


def test_latex_numbers():
    assert latex.number(-1e-9) == r"$-1 \times 10^{-9}$" and latex.number(-0.0) == "$0$"
