"""A report's page in a real browser, from a file, with networking off: light, dark, on a phone, on paper, and in a notebook."""

import io

import pytest
from handmade import CARDS, report
from PIL import Image

from labkit.report import paper, pieces

pytestmark = pytest.mark.browser

SEEN = """() => [...document.querySelectorAll("img")].map((i) => i.complete ? i.naturalWidth : 0)"""
CONTRAST = """() => {  // the least contrast of any words with what is behind them
  const light = (c) => c.slice(0, 3).map((v) => v / 255).map((v) => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, k) => sum + v * [.2126, .7152, .0722][k], 0);
  const color = (text) => { const c = text.match(/[\\d.]+/g).map(Number); return c.length < 4 || c[3] > 0 ? c : null; };
  const behind = (e) => color(getComputedStyle(e).backgroundColor) ?? behind(e.parentElement);
  const words = [...document.querySelectorAll("p, li, td, th, h1, h2, h3, code, summary, figcaption, dd, dt, b")]
    .filter((e) => e.offsetParent && [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()));
  return Math.min(...words.map((e) => {
    const [a, b] = [light(color(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
    return (a + .05) / (b + .05);
  }));
}"""
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
JUPYTER = """body { background: #111 }  /* what a dark JupyterLab wishes for tables, code and lists in outputs */
.jp-RenderedHTMLCommon { color: #fff }
.jp-RenderedHTMLCommon table { table-layout: fixed; margin: 0 auto 1em; color: #fff }
:not(.jp-RenderedMarkdown).jp-RenderedHTMLCommon :is(td, th, tr) { text-align: right; padding: .5em; border: none }
.jp-RenderedHTMLCommon tbody tr:nth-child(odd) { background: #111 }
.jp-RenderedHTMLCommon tbody tr:nth-child(even) { background: #333 }
.jp-RenderedHTMLCommon :not(pre) > code { background: #222; padding: 1px 5px }
.jp-RenderedHTMLCommon ul:not(.list-inline) { padding-left: 2em }"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        for key, card in CARDS.items():
            patch.setitem(pieces.CARDS, key, card)
        (folder / "report.html").write_text(paper.page(report()), encoding="utf-8")
        card_alone = f'<!doctype html><link rel="icon" href="data:,"><body style="background:#111">{paper.notebook(report())}'
        in_jupyter = f"<style>{JUPYTER}</style><div class='jp-RenderedHTMLCommon'>{paper.notebook(report())}</div>"
        (folder / "jupyter.html").write_text(
            f'<!doctype html><link rel="icon" href="data:,"><body>{in_jupyter}', encoding="utf-8"
        )
        (folder / "card.html").write_text(card_alone, encoding="utf-8")
    return folder


def opened(page, path, width=1280, scheme="light"):
    page.requests = []
    page.on("request", lambda request: page.requests.append(request.url))
    page.context.set_offline(True)
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    page.goto(path.as_uri())
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("name", ["report", "card"])
def test_everything_is_seen_and_nothing_is_fetched(page, files, name, width, scheme):
    opened(page, files / f"{name}.html", width, scheme)
    assert page.troubles == [] and page.evaluate(OVERFLOW) <= 0
    assert [url for url in page.requests if not url.startswith(("file:", "data:"))] == []
    assert min(page.evaluate(SEEN), default=100) > 50
    assert page.evaluate(CONTRAST) >= 4.5
    strips = page.locator("svg.lk-strip:visible")
    assert strips.count() >= 6 and all(box["width"] > 150 for box in (strips.nth(k).bounding_box() for k in range(6)))


def test_a_dark_jupyterlab_does_not_darken_the_card(page, files):
    opened(page, files / "jupyter.html")
    assert page.evaluate(CONTRAST) >= 4.5 and page.troubles == []
    cells = page.locator(".lk-rows td, .lk-rows th").evaluate_all("(all) => all.map((e) => getComputedStyle(e).textAlign)")
    assert set(cells) == {"left"}
    rows = page.locator(".lk-rows tr").evaluate_all("(all) => all.map((e) => getComputedStyle(e).backgroundColor)")
    assert set(rows) == {"rgba(0, 0, 0, 0)"}


def test_the_page_turns_dark(page, files):
    shots = [opened(page, files / "report.html", scheme=scheme).screenshot() for scheme in ("light", "dark")]
    light, dark = (sum(Image.open(io.BytesIO(shot)).convert("L").resize((8, 8)).tobytes()) / 64 for shot in shots)
    assert light > 200 and dark < 80


def test_sections_fold_without_a_script(page, files):
    opened(page, files / "report.html")
    meaning = page.get_by_text("Quality: features of a higher rank can be worse.")
    assert meaning.is_visible()  # without hovering
    page.locator("#spectrum > summary").click()
    assert not meaning.is_visible()


def test_what_is_folded_is_printed(page, files):
    opened(page, files / "report.html")
    assert not page.locator("#methods pre").is_visible()
    page.emulate_media(media="print")
    assert page.locator("#methods pre").is_visible() and page.get_by_text("z1, class 7").first.is_visible()
    assert not page.locator("nav").is_visible()
    assert page.pdf(format="A4").startswith(b"%PDF")
