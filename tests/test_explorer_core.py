"""What every explorer has: codes that survive, sentences that are filled in alike, a page that knows what Python knows."""

import dataclasses
import itertools
import json
import random
import re
import subprocess
import sys
import zlib
from pathlib import Path

import javascript
import numpy as np
import pytest

import labkit
from labkit import explorers
from labkit.explorers import EXPLORERS, explorer
from labkit.explorers.codes import DIGITS
from labkit.explorers.core import Control, Explorer, Moved, Sentence, State, digest, jsonable
from labkit.explorers.page import payload, sent
from labkit.figures.scene import Axis, Panel, Scene, line, points
from labkit.figures.words import fill

on_each = pytest.mark.parametrize("name", EXPLORERS)


@dataclasses.dataclass(frozen=True)
class Toy(State):
    mode: str = "sine"
    waves: int = 2
    phase: int = 2
    moved: Moved | None = None


def show(state):
    x = np.linspace(0, 1, 9)
    y = {"sine": np.sin, "cosine": np.cos}[state.mode](state.waves * x + state.phase)
    place = state.moved[1:] if state.moved else (0.5, 0.5)
    return {"x": x, "y": y, "mean": float(y.mean()), "px": place[0], "py": place[1], "worst": float("nan")}


def toy(**start):
    return Explorer(
        name="toy",
        title="A toy",
        start=Toy(**start),
        controls=(
            Control("mode", "curve", ("sine", "cosine"), kind="toggle", resets=("moved",)),
            Control("waves", "waves", (1, 2, 3)),
            Control("phase", "phase", (1, 2, 3), when=("mode", ("cosine",)), follows="waves"),
        ),
        show=show,
        scene=Scene((Panel((0, 0, 1, 1), (line("$x", "$y"), points("$px", "$py", drag=True)), x=Axis("time, s", 0, 1)),)),
        sentences=(
            Sentence("up to {after.mean:.2f}", changed="waves", rises="mean"),
            Sentence("down to {after.mean:.2f}", changed="waves"),
            Sentence("now {after.mode}, was {before.mode}", when={"mode": "cosine"}),
            Sentence("{after.mean:+.3f} and {after.worst}"),
        ),
        alt="A curve over time.",
    )


# ---------------------------------------------------------------- states


def test_controls_that_are_not_seen_follow():
    made = toy()
    assert made.moved(made.start, waves=3) == Toy(waves=3, phase=3)
    assert made.moved(Toy("cosine", 3, 1), mode="sine") == Toy("sine", 3, 3)
    assert made.moved(Toy("cosine", 3, 1), waves=1) == Toy("cosine", 1, 1)
    assert len(list(made.states())) == 3 + 9


def test_a_moved_point_stays_until_a_control_resets_it():
    made, state = toy(), Toy(moved=(0, 0.1, 0.2))
    assert made.moved(state, waves=3).moved == (0, 0.1, 0.2)
    assert made.moved(state, mode="cosine").moved is None


def test_what_an_explorer_is_declared_with_must_fit():
    with pytest.raises(ValueError, match="waves must be one of 1, 2, 3; got 7"):
        toy(waves=7)
    with pytest.raises(ValueError, match="controls must be"):
        dataclasses.replace(toy(), controls=toy().controls[:2])
    with pytest.raises(ValueError, match="hide must name controls of toy: mode, waves, phase; got 'batch'"):
        toy().hidden("batch")
    assert [c.hidden for c in toy().hidden("waves").controls] == [False, True, False]
    assert toy().hidden(("mode", "waves")).hidden("phase").controls == toy().hidden("mode", "waves", "phase").controls
    with pytest.raises(ValueError, match="got None"):
        toy().hidden(None)


def test_an_instructor_sets_where_it_opens():
    assert toy().starting(mode="cosine", waves=3).start == Toy("cosine", 3, 2)
    assert toy().starting(waves=3).start == Toy(waves=3, phase=3)
    with pytest.raises(ValueError, match="toy has no control 'batch'; there are mode, waves, phase"):
        toy().starting(batch=1)
    with pytest.raises(ValueError, match="waves must be one of 1, 2, 3; got 5"):
        toy().starting(waves=5)


def test_the_first_sentence_that_fits_is_said():
    made = toy()
    old, new = Toy(waves=2), Toy(waves=1)
    rises = made.seen(new)["mean"] > made.seen(old)["mean"]
    assert made.explain(old, new).startswith("up" if rises else "down")
    assert made.explain(new, old).startswith("down" if rises else "up")
    assert made.explain(made.start, made.moved(made.start, mode="cosine")) == "now cosine, was sine"
    assert made.explain(made.start, made.start).endswith(" and NaN")


# ---------------------------------------------------------------- codes


def somewhere(made, seed, n=12):
    draw = random.Random(zlib.crc32(f"{made.name}{seed}".encode()))
    for _ in range(n):
        state = made.moved(made.start, **{c.name: draw.choice(list(c.options)) for c in made.controls})
        if hasattr(state, "moved"):
            spot = (draw.randrange(8), round(draw.uniform(-2, 2), 3), round(draw.uniform(-2, 2), 3))
            state = dataclasses.replace(state, moved=draw.choice([None, spot]))
        yield state


@pytest.mark.parametrize("name", ["toy", *EXPLORERS])
def test_codes_survive_a_round_trip_here_and_in_the_browser(name):
    made = toy() if name == "toy" else explorer(name)
    told = {
        "name": made.name,
        "version": made.version,
        "signature": made.layout.signature,
        "controls": [{"name": c.name, "options": list(c.options)} for c in made.controls],
        "start": {c.name: getattr(made.start, c.name) for c in made.controls},
    }
    names = list(told["start"])
    if hasattr(made.start, "moved"):
        told["start"]["moved"] = None
        names.append("moved")
    states = list(somewhere(made, 0))
    codes = [made.code(state) for state in states]
    assert [made.opened(code).start for code in codes] == states
    assert max(map(len, codes)) <= 45
    plain = [{n: getattr(state, n) for n in names} for state in states]
    assert javascript.run("return given[1].map((s) => written(given[0], s));", told, plain) == codes
    read = javascript.run("return given[1].map((c) => read(given[0], c));", told, codes)
    assert json.loads(json.dumps(plain)) == read


def test_every_mistyped_letter_is_noticed():
    made = toy()
    for state in somewhere(made, 1, 20):
        code = made.code(state)
        begin = code.index("-") + 1
        for place, letter in itertools.product(range(begin, len(code)), DIGITS):
            wrong = code[:place] + letter + code[place + 1 :]
            if wrong == code or code[place] == "-":
                continue
            with pytest.raises(ValueError, match="damaged"):
                made.opened(wrong)


@pytest.mark.parametrize(
    "wrong, says",
    [
        ("", "must look like"),
        ("toy1", "must look like"),
        ("toy1-7-00000", "must look like"),
        (None, "must look like"),
        ("toy2-7-0000", "version 2"),
        ("temperature1-7-0000", "belongs to the explorer 'temperature'"),
        ("toy1-7-uuuu", "no letter u"),
    ],
)
def test_what_is_no_code_is_refused(wrong, says):
    with pytest.raises(ValueError, match=says):
        toy().opened(wrong)


def test_a_code_may_be_read_aloud_and_typed_in_capitals():
    made = toy(waves=3, mode="cosine")
    code = made.code()
    head, body, check = code.split("-")
    sloppy = "-".join([head.upper(), *(part.upper().replace("0", "O").replace("1", "I") for part in (body, check))])
    assert made.opened(f"  {sloppy} ").start == made.start


def test_codes_for_other_options_are_refused():
    made = toy()
    wider = dataclasses.replace(made, controls=(*made.controls[:1], Control("waves", "waves", (1, 2, 3, 4)), made.controls[2]))
    with pytest.raises(ValueError, match="other options"):
        wider.opened(made.code())


def test_codes_made_on_other_data_are_refused():
    made, other = (dataclasses.replace(toy(), mine=digest(np.full(3, value))) for value in (1.0, 2.0))
    assert made.opened(made.code()).start == made.start
    with pytest.raises(ValueError, match="options or data"):
        other.opened(made.code())


def test_restore_works_in_a_new_process():
    made = explorers.precision()
    state = list(somewhere(made, 2))[-1]
    code = f"import labkit; made = labkit.restore({made.code(state)!r}); print(made.start); print(made.code())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split("\n")[:2] == [repr(state), made.code(state)], done.stderr
    with pytest.raises(ValueError, match="no explorer 'nothing'"):
        labkit.restore("nothing1-0-0000")


def test_the_codes_in_the_readme_are_good():
    found = re.findall(
        r"[a-z_]+1-[0-9a-z]+-[0-9a-z]{4}\b", (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    )
    assert found and all(labkit.restore(code).code() == code for code in found)


# ---------------------------------------------------------------- words and numbers


def test_templates_are_filled_in_alike():
    draw = random.Random(0)
    numbers = [
        0.0,
        -0.0,
        0.5,
        0.125,
        2.5,
        -2.5,
        1e-5,
        123456.7,
        1234567.8,
        1e21,
        -3.0,
        0.1 + 0.2,
        1 / 3,
        float("inf"),
        -float("inf"),
    ]
    numbers += [float("nan"), True, False, "word", 7, *(draw.gauss(0, 1) * 10 ** draw.randint(-8, 8) for _ in range(200))]
    specs = ["", ":g", ":.3g", ":+.2g", ":.2f", ":+.1f", ":.0%", ":.1%", ":d"]
    pairs = [(f"x = {{x{spec}}}", x) for x, spec in itertools.product(numbers, specs) if not (spec == ":d" and x != x)]
    pairs = [(t, x) for t, x in pairs if not (":d" in t and not isinstance(x, str) and abs(x) > 1e15)]
    here = [fill(template, {"x": x}) for template, x in pairs]
    there = javascript.run("return given[0].map(([t, x]) => fill(t, () => x));", pairs)
    wrong = [(p, a, b) for p, a, b in zip(pairs, here, there, strict=True) if a != b and not half(p, a, b)]
    assert not wrong, wrong[:5]


def half(pair, here, there):
    """Where a whole number lies between two, rounded to even here and up there."""
    return pair[0].endswith(":d}") and abs(pair[1] % 1 - 0.5) < 1e-12


def test_templates_that_a_browser_would_not_know_are_refused():
    with pytest.raises(ValueError, match="names 'y'; there are x"):
        fill("{y}", {"x": 1})
    with pytest.raises(ValueError, match="format '>8' is not one of"):
        fill("{x:>8}", {"x": 1})


def test_arrays_arrive_as_they_were_sent():
    draw = np.random.default_rng(0)
    given = {
        "floats": draw.normal(size=(3, 4)).astype(np.float32),
        "bytes": draw.integers(-128, 127, (2, 5)).astype(np.int8),
        "places": np.arange(300, dtype=np.uint16),
        "deep": draw.normal(size=(2, 3, 4)).astype(np.float32),
        "odd": [float("nan"), float("inf"), -1.5, "word", None, True],
        "none": np.zeros((0, 3), np.float32),
    }
    there = javascript.run("return given[0];", given)
    for name in ("floats", "bytes", "places", "deep"):
        assert np.array_equal(np.array(there[name]), given[name]), name
    assert str(there["odd"]) == str(given["odd"])
    assert json.dumps(sent(given), allow_nan=False)


def test_an_axis_has_two_ticks_at_least_and_not_too_many():
    draw = random.Random(0)
    ends = [
        (low, low + 10 ** draw.uniform(-6, 6)) for low in (draw.gauss(0, 1) * 10 ** draw.uniform(-4, 4) for _ in range(300))
    ]
    ends += [(-1.575, 1.6), (0, 0.5), (0.9, 2.2), (-0.04, 6.3)]
    found = javascript.run("return given[0].map(([low, high]) => [2, 3, 5].map((n) => even(low, high, n)));", ends)
    for (low, high), rows in zip(ends, found, strict=True):
        for wish, ticks in zip((2, 3, 5), rows, strict=True):
            assert 2 <= len(ticks) <= 2 * wish + 2, (low, high, wish, ticks)
            room = 1e-6 * max(abs(low), abs(high))
            assert all(low - room <= t <= high + room for t in ticks)


# ---------------------------------------------------------------- every explorer


@on_each
def test_the_browser_shows_what_python_shows_and_says_the_same(name):
    made = explorer(name)
    states = [made.start, *somewhere(made, 3, 10)]
    states = [dataclasses.replace(s, moved=None) if hasattr(s, "moved") else s for s in states]
    for state, there in zip(states, javascript.shown(made, states), strict=True):
        here = jsonable(made.seen(state))
        assert there.keys() == here.keys()
        for key, value in here.items():
            assert alike(value, there[key]), (key, state)
    pairs = list(itertools.pairwise(states))
    here = [made.explain(a, b) for a, b in pairs]
    there = said(made, pairs)
    for a, b in zip(here, there, strict=True):
        assert NUMBER.sub("#", a) == NUMBER.sub("#", b)
        for x, y in zip(NUMBER.findall(a), NUMBER.findall(b), strict=True):
            assert float(x.replace("−", "-")) == pytest.approx(float(y.replace("−", "-")), rel=0.02, abs=1.01e-2)


NUMBER = re.compile(r"−?\d+(?:\.\d+)?(?:e[+-]\d+)?")


def said(made, pairs):
    """What the page says of each change."""
    told = payload(made)
    names = [c.name for c in made.controls] + (["moved"] if hasattr(made.start, "moved") else [])
    plain = [[{n: getattr(s, n) for n in names} for s in pair] for pair in pairs]
    show = "models[told.model.name](told.model.data)" if made.model else "tabled(told)"
    body = f"const [told, pairs] = given; const show = {show}; const at = (state) => ({{ state, shown: show(state) }});"
    return javascript.run(body + "return pairs.map(([a, b]) => sentence(told, at(a), at(b)));", told, plain)


def alike(here, there):
    if isinstance(here, (list, tuple)):
        return len(here) == len(there) and all(alike(a, b) for a, b in zip(here, there, strict=True))
    if isinstance(here, (bool, str)) or here is None:
        return here == there
    return bool(np.isclose(here, there, rtol=1e-3, atol=1e-5, equal_nan=True))


@on_each
def test_its_page_is_whole_and_light(name):
    made = explorer(name)
    page = made.page()
    assert len(page.encode()) < 8e6
    assert not re.search(r"""(?:src|href)=["']https?:""", page), "a page needs no network"
    assert len(made.alt) > 100 and made.alt.rstrip().endswith(".")
    assert made.html() == made.html(), "the same explorer gives the same page"


@on_each
def test_a_state_is_a_picture_too(name):
    made = explorer(name)
    figure = made.figure()
    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3]
    assert pixels.std() > 3 and labkit.figures.theme.alt(figure) == made.alt


@on_each
def test_start_and_hidden_controls_are_the_instructors(name):
    control = explorer(name).controls[-1]
    made = explorer(name, hide=(control.name,))
    assert [c.name for c in made.controls if c.hidden] == [control.name]
    assert explorer(name, hide=control.name).controls == made.controls
    for wrong in (("nothing",), None):
        with pytest.raises(ValueError, match="hide must name controls"):
            explorer(name, hide=wrong)


def test_the_widget_knows_its_state_and_takes_another():
    made = toy()
    widget = made.widget()
    assert widget.state == made.start and widget.code == made.code()
    widget.state = Toy("cosine", 3, 1)
    assert widget.code == made.code(Toy("cosine", 3, 1)) and widget.state == Toy("cosine", 3, 1)
    with pytest.raises(ValueError, match="damaged"):
        widget.code = widget.code[:-1] + ("0" if widget.code[-1] != "0" else "1")
    assert widget.state == Toy("cosine", 3, 1)
