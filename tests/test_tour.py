"""The tour of two tiny lessons, one of which fails: pages that need no network, claims collected, an honest end."""

import json
import re
import subprocess
import sys
import time
from html.parser import HTMLParser

import pytest

from labkit import cli, pairs
from labkit.tour import markdown, walk
from labkit.tour.pages import code, plot, stream

GOOD = f"""# %% [markdown]
# # A good lesson
#
# It shows **two** figures.

# %%
{pairs.FIRST_CELL}

# %% [markdown]
# ## What a loss sees
# With $s_i^+$ and [the other lesson](02_bad.ipynb):
#
# $$-\\frac{{s_i^+}}{{\\tau}} + \\log \\sum_{{k \\ne i}} e^{{s_{{ik}}/\\tau}}$$

# %%
import plotly.graph_objects as go
from labkit import claim, predict, show
from labkit.figures import theme

predict("who", ["near", "far"])

# %%
figure, axes = theme.canvas()
axes.plot([0, 1], [1, 0])
show(figure, 'A "line" falls.')

# %%
steps = [{{"method": "animate", "label": str(k), "args": [[str(k)]]}} for k in range(3)]
frames = [go.Frame(name=str(k), data=[go.Bar(y=[k, 2])]) for k in range(3)]
show(go.Figure([go.Bar(y=[0, 2])], theme.layout(title="</script>", sliders=[{{"steps": steps}}]), frames), "Two bars.")

# %%
print("half done\\rdone <all>")
claim("small & sure", [1.0, 2.0], "<", 9)
claim("large", 1, ">", 9, kind="size")

# %% [markdown] tags=["notes"]
# Ask: who pushes?
"""
BAD = GOOD.replace("A good lesson", "A bad lesson") + '\n# %%\nclaim("never", 2, "<", 1)\n\n# %%\nprint("not reached")\n'


class Outline(HTMLParser):
    """Which elements a page has, and what they point at."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def all(self, tag):
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture(scope="module")
def tour(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tour")
    (folder / "notebooks").mkdir()
    (folder / "notebooks" / "01_good.py").write_text(GOOD)
    (folder / "notebooks" / "02_bad.py").write_text(BAD)
    output = folder / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(walk, "notebooks", lambda: folder / "notebooks")
        patch.delenv("LABKIT_SEED", raising=False)
        rc = cli.main(["tour", "--smoke", "--output", str(output)])
    return rc, output


@pytest.mark.kernel
def test_a_failing_lesson_ends_in_1_but_has_its_page(tour):
    rc, output = tour
    page = (output / "02_bad.html").read_text()
    assert rc == 1
    assert "This lesson failed.</b> ClaimError: never: 1 of 1 values are not &lt; 1 (seed 0: 2)" in page
    assert 'class="error"' in page and "\x1b" not in page and "not reached</pre>" not in page


@pytest.mark.kernel
def test_a_lesson_page_is_complete(tour):
    page = (tour[1] / "01_good.html").read_text()
    outline = Outline(page)
    (image,) = outline.all("img")
    assert image["alt"] == 'A "line" falls.' and (tour[1] / image["src"]).stat().st_size > 5000
    assert page.count("<math") == 2 and '<code class="tex">' not in page
    assert {"class": "code"} in outline.all("details") and {"class": "notes"} in outline.all("details")
    assert '<input type="radio"' in page and 'href="02_bad.html"' in page
    assert "done &lt;all&gt;" in page and ">half done" not in page
    assert "import labkit\nexcept" not in page  # the cell that is the same everywhere is left out
    (drawn,) = [a for a in outline.all("div") if a.get("class") == "plot"]
    assert drawn["aria-label"] == "Two bars. Arrow keys move the slider." and drawn["tabindex"] == "0"
    content = re.search(rf'<script type="application/json" id="{drawn["data-figure"]}">(.*?)</script>', page, re.DOTALL)
    assert json.loads(content[1])["layout"]["title"]["text"] == "</script>"


@pytest.mark.kernel
@pytest.mark.parametrize("name", ["index", "01_good", "02_bad"])
def test_pages_need_no_network_and_have_no_dead_ends(tour, name):
    outline = Outline((tour[1] / f"{name}.html").read_text())
    targets = [a.get("href", a.get("src")) for _, a in outline.found if "href" in a or "src" in a]
    ids = {a["id"] for _, a in outline.found if "id" in a}
    assert targets
    for target in targets:
        if target.startswith("#"):
            assert target[1:] in ids
        elif target != "data:,":
            assert "://" not in target and (tour[1] / target).exists(), target
    assert outline.all("html") == [{"lang": "en"}] and len(outline.all("main")) == 1 and len(outline.all("h1")) == 1


@pytest.mark.kernel
def test_the_index_tells_claims_numbers_and_verdicts(tour):
    page = (tour[1] / "index.html").read_text()
    text = re.sub(r"<[^>]+>", " ", page)
    assert "small &amp; sure" in text and "1.5 ± 0.71 (2 seeds)" in text and "&lt; 9" in text
    assert text.count("✓ holds") == 2 and text.count("✗ fails") == 1 and text.count("· measured") == 2
    assert "2 of 3 asserted claims hold" in text and "✗ ClaimError: never" in text
    assert 'id="hero"' in page  # the first figure that moves


@pytest.mark.kernel
def test_one_lesson_can_be_run_again_without_losing_the_others(tour, monkeypatch, capsys):
    _, output = tour
    monkeypatch.setattr(walk, "notebooks", lambda: output.parent / "notebooks")
    assert cli.main(["tour", "--smoke", "--only", "01", "--output", str(output)]) == 0
    assert (output / "index.html").resolve().as_uri() in capsys.readouterr().out
    index = (output / "index.html").read_text()
    assert 'href="02_bad.html"' in index and index.count("✗ fails") == 1


@pytest.mark.kernel
def test_a_cell_that_takes_too_long_is_stopped(tmp_path, monkeypatch):
    (tmp_path / "01_slow.py").write_text("# %% [markdown]\n# # Slow\n\n# %%\nimport time\n\ntime.sleep(60)\n")
    monkeypatch.setattr(walk, "notebooks", lambda: tmp_path)
    (lesson,) = walk.tour(tmp_path / "out", timeout=1)
    assert lesson["error"] == "a cell took longer than 1 s" and lesson["seconds"] < 30


@pytest.mark.kernel
def test_a_tour_that_is_given_up_ends_its_kernels(tmp_path, monkeypatch):
    (tmp_path / "01_quick.py").write_text("# %% [markdown]\n# # Quick\n\n# %%\nx = 1\n")
    (tmp_path / "02_slow.py").write_text("# %% [markdown]\n# # Slow\n\n# %%\nimport time\n\ntime.sleep(100)\n")
    monkeypatch.setattr(walk, "notebooks", lambda: tmp_path)

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(walk, "write", interrupt)  # when the quick one is done, the slow one sleeps
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        walk.tour(tmp_path / "out", jobs=2)
    assert time.monotonic() - begun < 80 and not walk.KERNELS


def test_lessons_share_the_cores(tmp_path, monkeypatch):
    monkeypatch.setattr(walk, "cores", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    seen = {}

    def noted(script, *, threads, **_):
        seen[script.stem] = walk.environment(script.stem, tmp_path, True, threads).get("OMP_NUM_THREADS")
        return None, {"name": script.stem}

    monkeypatch.setattr(walk, "run", noted)
    for jobs, share in ((1, None), (3, "2"), (16, "1")):
        scripts = walk.lessons()
        assert sorted(lesson["name"] for _, lesson in walk.side_by_side(scripts, jobs, None)) == [p.stem for p in scripts]
        assert set(seen.values()) == {share}
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert walk.environment("x", tmp_path, True, 2)["OMP_NUM_THREADS"] == "5"  # what a user says goes first
    with pytest.raises(ValueError, match="jobs must be at least 1, got 0"):
        walk.tour(tmp_path, jobs=0)


@pytest.mark.kernel
def test_the_tour_of_the_front_door_in_smoke_mode(tmp_path):
    command = [sys.executable, "-m", "labkit", "tour", "--smoke", "--only", "00", "--output", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    page = (tmp_path / "00_start_here.html").read_text()
    assert "ran " in page and '<code class="tex">' not in page


FORMULAS = [
    (r"\log \sum_{k \ne i} e^{s}", "<mi>log</mi><mspace"),  # TeX's thin space
    (r"\log(x)", "<mi>log</mi><mo"),
    (r"-t\lVert z \rVert^2", '<mo lspace="0" rspace="0">‖</mo>'),
    (r"\begin{aligned} a &= b \\ c &= d\end{aligned}", "<mtable"),
    (r"\big\langle a, b \big\rangle", "⟨"),
    (r"{}_0F_1(d/2; t^2)", "<mi>F</mi>"),
    (r"\operatorname{softmax}(x)_i \propto e^{x_i}", "softmax"),
]


@pytest.mark.parametrize("tex, part", FORMULAS)
def test_formulas_become_mathml(tex, part):
    assert part in markdown.formula(tex, block=True)


@pytest.mark.parametrize("tex", [r"\frac{a}{", r"\nosuchthing{x}"])
def test_a_formula_that_cannot_be_shown_is_not_shown_wrong(tex):
    with pytest.raises(ValueError, match="cannot be shown"):
        markdown.formula(tex)
    assert f'<code class="tex">{tex}</code>' in markdown.render(f"See ${tex}$.")


@pytest.mark.parametrize(
    "source, formulas",
    [
        ("$$a = b\n+ c\n- d$$", 1),  # lines that begin like a list
        ("$$\na = b\n$$", 1),
        ("so $a +\nb$ and $c$", 2),
        ("`$a$` costs \\$5, or\n\n```\n$$x$$\n```", 0),
    ],
)
def test_formulas_are_found_wherever_they_stand(source, formulas):
    made = markdown.render(source)
    assert made.count("<math") == formulas and "<ul>" not in made and 'class="tex"' not in made


@pytest.mark.parametrize("script", pairs.scripts(), ids=lambda p: p.stem)
def test_every_formula_of_the_lessons_can_be_shown(script):
    text = "".join(markdown.render(c.source) for c in pairs.read(script).cells if c.cell_type == "markdown")
    assert re.findall(r'<code class="tex">.*?</code>', text) == []
    assert "$$" not in text


@pytest.mark.parametrize("script", walk.lessons(), ids=lambda p: p.stem)
def test_every_lesson_has_a_title_and_says_what_it_is_about(script):
    title, lede = walk.heading(script)
    assert title != script.stem and 20 < len(lede) < 400


def test_a_plot_cannot_end_its_own_script():
    assert "</script>" not in plot({"layout": {"title": "</script>"}}, "x", "k").removesuffix("</script>")


def test_progress_bars_leave_only_their_last_word():
    class Output:
        name, text = "stderr", "\x1b[31m 10%\r 50%\r100% done\x1b[0m\n"

    assert stream(Output) == '<pre class="stderr">100% done</pre>'
    Output.text = " 10%\r"
    assert stream(Output) == ""


def test_code_is_folded_behind_its_first_telling_line():
    assert "<summary>Code: <code>x = 1 &lt; 2</code>" in code("import os\n# why\nx = 1 < 2\ny = 3")
    assert code(pairs.FIRST_CELL) == "" and code("") == ""
