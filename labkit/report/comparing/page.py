"""A Comparison as HTML: one page that needs no network, and a card in a notebook."""

import base64
from collections.abc import Sequence
from typing import cast

from labkit.report.comparing.result import Comparison, Difference
from labkit.report.comparing.text import kinds, largest_steps, sampling, verdict
from labkit.report.comparing.words import signed
from labkit.report.drawing import exact
from labkit.report.paper import parts
from labkit.report.paper.methods import versions
from labkit.report.paper.page import POLICY
from labkit.report.paper.strip import Axis, strip
from labkit.report.paper.words import listed, title
from labkit.report.pieces import CARDS, Null, Number
from labkit.report.result import Report

SCHEMA = "labkit-comparison/1"


def page(found: Comparison, svg: bytes, alt: str) -> str:
    """The whole page, with its figure in it."""
    name = parts.words(" and ".join(found.names) if not found.layered else f"{found.names[0]} to {found.names[-1]}")
    picture = f'<img src="data:image/svg+xml;base64,{base64.b64encode(svg).decode()}" alt="{parts.words(alt)}">'
    made = " · ".join(f"{tool} {version}" for tool, version in versions().items())
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="referrer" content="no-referrer">
<title>{name} · labkit compare</title><link rel="icon" href="data:,">
<style>{parts.style()}</style></head>
<body class="labkit-report lk-page"><a class="lk-skip" href="#main">To the numbers</a>
<header><p class="lk-over">labkit compare</p><h1>{name}</h1>
{top(found)}<p class="lk-lead">{parts.words(sampling(found))}</p>{parts.inputs(like_a_report(found))}</header>
<main id="main"><figure>{picture}<figcaption>{parts.words(alt.partition(".")[0])}.</figcaption></figure>
{body(found)}{missing(found)}{meaning(found)}</main>
<footer>{parts.words(made)} · seed {found.seed} · {SCHEMA}. Nothing on this page is fetched, and none of the input's rows are
in it.</footer></body></html>
"""


def notebook(found: Comparison) -> str:
    """What `_repr_html_` gives."""
    return (
        f'<div class="labkit-report lk-card"><style>{parts.style()}</style>'
        f'<p class="lk-name"><b>{parts.words(listed(found.names))}</b></p>{top(found)}{body(found)}'
        f'{meaning(found)}<p class="lk-says">{parts.words(sampling(found))} Keep it: <code>comparison.save("folder")</code>; '
        "its figure: <code>comparison.figure()</code>.</p></div>"
    )


def like_a_report(found: Comparison) -> Report:
    """For the parts of a page that read nothing but `given` and `findings`, which both have."""
    return cast(Report, found)


def top(found: Comparison) -> str:
    """The verdict and the findings."""
    kind, sign = ("bad", "!") if found.alarms else ("good", "✓")
    banner = f'<p class="lk-verdict lk-{kind}"><span aria-hidden="true">{sign}</span> {parts.words(verdict(found))}</p>'
    return banner + parts.findings(like_a_report(found))


def body(found: Comparison) -> str:
    """The differences in words, then in numbers, then what is shared."""
    steps = largest_steps(found) if found.layered else list(found.differences)
    if found.layered:
        told = told_as("The largest step of each meter", steps)
    else:
        told = "".join(told_as(heading, some) for heading, some in kinds(found).items())
    names = ("from", "to") if found.layered else found.names
    columns = ("", *names, "the difference, and none", "difference")
    head = "".join(f'<th scope="col">{parts.words(name)}</th>' for name in columns)
    table = f'<table class="lk-rows"><thead><tr>{head}</tr></thead><tbody>{"".join(map(row, steps))}</tbody></table>'
    return told + f"<h2>In numbers</h2>{table}" + shared(found) + (layer_table(found) if found.layered else "")


def told_as(heading: str, differences: Sequence[Difference]) -> str:
    items = "".join(f"<li>{parts.true(each.says)}</li>" for each in differences)
    return f"<h2>{heading}</h2><ul>{items}</ul>" if items else ""


def row(each: Difference) -> str:
    as_number = Number(each.meter, each.of, each.change, each.a.n, (Null("no difference", "0", exact(0)),))
    low, high = min(0.0, each.change.low), max(0.0, each.change.high)
    room = 0.06 * (high - low)
    drawn = strip(as_number, Axis(low - room, high + room)) if room > 0 else ""
    of = f' <span class="lk-of">{parts.words(each.of)}</span>' if each.of != "z1" else ""
    return (
        f'<tr><th scope="row">{parts.words(title(each.meter))}{of}</th>{side(each.a)}{side(each.b)}'
        f'<td>{drawn}</td><td><b class="lk-value">{parts.true(signed(each.change))}</b></td></tr>'
    )


def shared(found: Comparison) -> str:
    """CKA and neighbours, a row for each two."""
    if not found.likeness:
        return ""
    meters = list(dict.fromkeys(number.meter for number in found.likeness))
    head = "".join(f'<th scope="col">{parts.words(name)}</th>' for name in ("", *map(title, meters)))
    lines = ""
    for of in dict.fromkeys(number.of for number in found.likeness):
        mine = {number.meter: number for number in found.likeness if number.of == of}
        cells = "".join(side(mine[meter]) if meter in mine else "<td>–</td>" for meter in meters)
        lines += f'<tr><th scope="row">{parts.words(of)}</th>{cells}</tr>'
    table = f'<table class="lk-rows"><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>'
    return f"<h2>What they have in common</h2>{table}"


def side(number: Number) -> str:
    return f"<td>{parts.value(number)}{parts.nulls(number, brief=True)}</td>"


def layer_table(found: Comparison) -> str:
    """Every meter of every layer."""
    keys, numbers = list(dict.fromkeys(each.name for each in found.differences)), found.numbers
    head = "".join(f'<th scope="col">{parts.words(title(key.rpartition(".")[2]))}</th>' for key in ("", *keys))
    lines = ""
    for name in found.names:
        cells = "".join(f"<td>{parts.value(numbers[name][key]) if key in numbers[name] else '–'}</td>" for key in keys)
        lines += f'<tr><th scope="row">{parts.words(name)}</th>{cells}</tr>'
    return f'<h2>Layer by layer</h2><table class="lk-rows"><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>'


def missing(found: Comparison) -> str:
    items = "".join(f"<li>{parts.words(title(m.meter))}: <b>needs {parts.words(m.needs)}</b></li>" for m in found.missing)
    return f'<h2>Not measured, and what it needs</h2><ul class="lk-missing">{items}</ul>' if items else ""


def meaning(found: Comparison) -> str:
    every = [each.meter for each in found.differences] + [each.meter for each in found.likeness]
    meters = [meter for meter in dict.fromkeys(every) if meter in CARDS]
    inner = parts.meaning(meters)
    return f"<details><summary>What the numbers say, and what they do not</summary>{inner}</details>"
