"""The class as a whole, on the instructor's page: each part is a function of what was graded, and gives a piece of HTML.

Everything that came from a student, names as well, goes through `text`.
"""

import math
import statistics
from collections import Counter, defaultdict

from labkit.course.report.view import View, card, plural, table, text
from labkit.grading.report import STEPS


def alarm(view: View) -> str:
    """In plain sight: students' code that was not shut away."""
    bare = [r for r in view.records if "not isolated" in r.isolation]
    if not bare:
        return ""
    return (
        f'<div class="alarm" role="alert"><b>Not isolated:</b> the code of {plural(len(bare), "student")} ran in a process of '
        "its own, with limits on time and memory, but it could read the files that you can read. Install bubblewrap, or grade "
        "on Linux with Landlock, and run again.</div>"
    )


def tiles(view: View) -> str:
    """The numbers at a glance; those that ask for a look are marked."""
    shares = [earned / points if points else 0.0 for earned, points in map(view.score, view.records)]
    scores = [view.score(r)[0] for r in view.records]
    most = max(view.score(r)[1] for r in view.records)
    look = [
        (sum(1 for r in view.records if r.flags), "flagged"),
        (sum(1 for r in view.records if r.timeouts or r.kills), "with time outs or stopped processes"),
        (sum(map(view.waits, view.records)), "wait for a person"),
        (sum(1 for g in view.grades.values() if g.late > 0), "late"),
        (len(view.pairs), "similar pair" if len(view.pairs) == 1 else "similar pairs"),
    ]
    minutes = sum(r.seconds for r in view.records) / 60
    isolation = ", ".join(sorted({r.isolation or "nothing to run" for r in view.records}))
    items = [
        ("", str(len(view.records)), "submissions"),
        ("", f"{statistics.fmean(scores):.3g}", f"points on average, of {most:g}"),
        ("", f"{statistics.median(scores):g}", "median"),
        ("", str(sum(s >= 0.999 for s in shares)), "with every point"),
        *(("look" if n else "", str(n), name) for n, name in look),
        ("", f"{minutes:.1f} min", f"of grading, {isolation}"),
    ]
    return '<ul class="tiles">' + "".join(
        f'<li class="tile {kind}"><b>{text(number)}</b><span>{text(name)}</span></li>' for kind, number, name in items
    ) + "</ul>"  # fmt: skip


def histogram(view: View) -> str:
    """How many have how many points."""
    scores, most = [view.score(r)[0] for r in view.records], max(view.score(r)[1] for r in view.records) or 1.0
    step = next(s for s in (0.5, 1, 2, 2.5, 5, 10, 20, 25, 50, 100, 1e9) if most / s <= 12)
    bins, mean = max(1, math.ceil(most / step)), statistics.fmean(scores)
    counts = Counter(min(bins - 1, int(max(0.0, score) / step + 1e-9)) for score in scores)
    width, left, base = 640, 22, 288
    wide, tall = (width - 2 * left) / bins, 232 / max(counts.values())
    at = left + wide * mean / step
    shapes = [f'<line x1="{left}" x2="{width - left}" y1="{base}" y2="{base}"/>']
    for k in range(bins + 1):
        shapes.append(words(left + k * wide, base + 22, f"{k * step:g}", "faint"))
    for k, n in sorted(counts.items()):
        says = f"<title>{plural(n, 'submission')} with {k * step:g} to {(k + 1) * step:g} points</title>"
        size = f'width="{wide - 6:.1f}" height="{n * tall:.1f}"'
        box = f'<rect class="bar" x="{left + k * wide + 3:.1f}" y="{base - n * tall:.1f}" {size}/>'
        shapes.append(f"<g>{says}{box}{words(left + (k + 0.5) * wide, base - n * tall - 7, str(n))}</g>")
    shapes.append(f'<line class="mean" x1="{at:.1f}" x2="{at:.1f}" y1="24" y2="{base}"/>{words(at, 16, f"mean {mean:.3g}")}')
    shapes.append(words(width / 2, base + 46, "points", "faint"))
    said = (
        f"Histogram of points: {len(scores)} submissions, from {min(scores):g} to {max(scores):g} of {most:g}, mean {mean:.3g}"
    )
    drawn = "".join(shapes)
    svg = f'<svg class="histogram" viewBox="0 0 {width} 340" role="img" aria-label="{text(said)}">{drawn}</svg>'
    return card("five", "Points", svg)


def words(x: float, y: float, said: str, kind: str = "") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="middle">{text(said)}</text>'


def exercises(view: View) -> str:
    """For each part of each exercise, how many earned it."""
    parts: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for record in view.records:
        for answer in record.answers:
            for part in answer.parts:
                parts[answer.exercise, part.name].append((part.earned, part.points))
    rows, last, n = [], "", len(view.records)
    for (exercise, name), found in parts.items():
        full = sum(earned >= points for earned, points in found)
        some = sum(0 < earned < points for earned, points in found)
        first = f"<code>{text(exercise)}</code>" if exercise != last else ""
        rows.append(
            f'<tr><th scope="row">{first}</th><td>{text(name)}</td><td class="n">{found[0][1]:g}</td>'
            f'<td class="n" data-value="{full}">{full} of {n}</td><td>{share(full / n, some / n)}</td></tr>'
        )
        last = exercise
    head = [("Exercise", ""), ("Part", ""), ("Points", "n"), ("Earned by", "n"), ("Share", "")]
    return card("seven", "Exercise by exercise", table(head, "".join(rows)))


def share(full: float, some: float = 0.0) -> str:
    striped = f'<i class="some" style="--p:{some:.1%}"></i>' if some else ""
    return f'<div class="share" role="img" aria-label="{full:.0%}"><i style="--p:{full:.1%}"></i>{striped}</div>'


def mistakes(view: View) -> str:
    """Which misconceptions, how many have them, who, and the hints that each of them can open."""
    who: dict[tuple[str, str], list[str]] = defaultdict(list)
    says: dict[tuple[str, str], str] = {}
    for record in view.records:
        for answer in record.answers:
            for name, words in zip(answer.mistakes, (*answer.says, *answer.mistakes), strict=False):
                who[answer.exercise, name].append(record.student)
                says[answer.exercise, name] = words
    items: dict[bool, list[str]] = {True: [], False: []}
    for key, students in sorted(who.items(), key=lambda item: (-len(item[1]), item[0])):
        exercise, name = key
        hints, number = ladder(exercise, name)
        forty = f", number {number} of the forty" if number else ""
        items[len(students) > 1].append(
            f'<li><div class="count">{len(students)}<small>of {len(view.records)}</small></div>'
            f'<div><b>{sentence(says[key])}</b> <span class="muted"><code>{text(exercise)}</code> {text(name)}{forty}</span>'
            f'<div class="who">{", ".join(view.link(s) for s in students)}</div>{hints}</div></li>'
        )
    often, once = (f'<ol class="mistakes">{"".join(items[key])}</ol>' if items[key] else "" for key in (True, False))
    if often and once:
        once = f"<details><summary>and {plural(len(items[False]), 'mistake')} of one student each</summary>{once}</details>"
    inside = often + once or "<p>None was recognised.</p>"
    return card(
        "", "What was misunderstood", inside, "A mistake is named where an answer behaves exactly as that mistake does."
    )


def sentence(words: str) -> str:
    words = words[:1].upper() + words[1:]
    return text(words if words.endswith((".", "?", "!")) else f"{words}.")


def ladder(exercise: str, name: str) -> tuple[str, int]:
    """The hints of a mistake as they open in the notebook, and its number among the forty."""
    from labkit.grading.exercise import find

    try:
        mistake = next(m for m in find(exercise).mistakes if m.name == name)
    except (ValueError, StopIteration, ImportError):
        return "", 0
    steps = "".join(f"<li><b>{step}.</b> {text(hint)}</li>" for step, hint in zip(STEPS, mistake.hints, strict=True))
    return f'<details class="hint"><summary>The hints they get</summary><div><ol>{steps}</ol></div></details>', mistake.number
