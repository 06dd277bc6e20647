"""One student after the other, on the instructor's page: points, what waits, what went wrong, who shares what.

Everything that came from a student, names as well, goes through `text`.
"""

from collections import defaultdict
from collections.abc import Iterable

from labkit.course.records import Answer, Record
from labkit.course.report.similarity import Pair
from labkit.course.report.view import View, card, plural, table, text

PAIRS = 40  # are shown


def waiting(view: View) -> str:
    """What a person has to grade."""
    cells: dict[str, list[str]] = defaultdict(list)
    for record in view.records:
        if not view.waits(record):
            continue
        for answer in record.answers:
            if answer.by_hand and answer.changed:
                cells[answer.cell].append(record.student)
    if not cells:
        return ""
    rows = "".join(
        f'<tr><th scope="row"><code>{text(cell)}</code></th><td class="n">{len(who)}</td>'
        f"<td>{', '.join(view.link(s) for s in who)}</td></tr>"
        for cell, who in cells.items()
    )
    says = "Grade them in nbgrader's formgrader; the rubric lies beside the assignments (<code>rubrics/</code>)."
    return card("", "Waits for you", table([("Answer", ""), ("Waiting", "n"), ("Of", "")], rows), says)


def students(view: View) -> str:
    """Everybody in one table that can be sorted."""
    names = list(dict.fromkeys((a.exercise or a.cell) for r in view.records for a in r.answers))
    short = [name.partition(".")[2] or name for name in names]
    head = [("Student", ""), ("Points", "n"), *((name, "n") for name in short)]
    head += [("Handed in", ""), ("Seconds", "n"), ("To look at", "")]
    rows, name = "".join(student(view, record, names) for record in view.records), f"a{view.number}-table"
    tools = (
        f'<div class="tools"><label>Find <input type="search" data-table="{name}" placeholder="a name, a flag, late"></label>'
        '<span class="muted">Press the name of a column to sort by it.</span></div>'
    )
    shown = table(head, rows, name=name, tall="Points of every student", sorts=True)
    return card("", "Student by student", tools + shown)


def student(view: View, record: Record, names: Iterable[str]) -> str:
    earned, most = view.score(record)
    by_name = {(a.exercise or a.cell): a for a in record.answers}
    cells = "".join(mark(by_name.get(name)) for name in names)
    page, when = view.pages.get(record.student), record.submitted.removesuffix(" UTC")[:16]
    feedback = f' <a href="{text(page)}" class="muted">feedback</a>' if page else ""
    return (
        f'<tr><th scope="row">{view.link(record.student)}{feedback}</th>{points(earned, most)}{cells}'
        f'<td class="when" data-value="{text(record.submitted)}">{text(when) or "unknown"}</td>'
        f'<td class="n" data-value="{record.seconds:.3f}">{record.seconds:.1f}</td><td>{badges(view, record)}</td></tr>'
    )


def points(earned: float, most: float) -> str:
    part = min(1.0, earned / most) if most else 0.0
    zero = "" if earned else " zero"
    return (
        f'<td class="score{zero}" style="--p:{part:.1%}" data-value="{earned:.4f}">{earned:.3g} <small>of {most:g}</small></td>'
    )


def mark(answer: Answer | None) -> str:
    if answer is None or answer.earned is None:
        return '<td class="n" data-value="-1">…</td>'
    return (
        points(answer.earned, answer.points) if answer.changed or answer.earned else '<td class="n" data-value="0">blank</td>'
    )


def badges(view: View, record: Record) -> str:
    grade = view.grades.get(record.student)
    found = [
        ("look", plural(len(record.flags), "flag") if record.flags else ""),
        ("look", plural(record.timeouts, "time out") if record.timeouts else ""),
        ("look", f"stopped {plural(record.kills, 'time')}" if record.kills else ""),
        ("look", "not isolated" if "not isolated" in record.isolation else ""),
        ("", f"late {lateness(grade.late)}, −{grade.penalty:.3g}" if grade and grade.late > 0 else ""),
        ("", "waits for you" if view.waits(record) else ""),
        ("", plural(len(record.repairs), "repair") if record.repairs else ""),
    ]
    return "".join(f'<span class="badge {kind}">{text(words)}</span>' for kind, words in found if words)


def lateness(hours: float) -> str:
    """
    >>> lateness(0.5), lateness(30), lateness(75)
    ('30 min', '30 h', '3.1 days')
    """
    return f"{hours * 60:.0f} min" if hours < 1 else f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.1f} days"


def trouble(view: View) -> str:
    """What went wrong while grading, and what was mended."""
    rows = []
    for record in sorted(view.records, key=lambda r: (-len(r.flags), -r.kills, -r.timeouts, r.student)):
        kinds = {"look": record.flags, "": (*record.errors, *record.repairs)}
        if not any(kinds.values()) and not record.timeouts and not record.kills:
            continue
        words = [f"<li><b>{text(each)}</b></li>" for each in record.flags]
        words += [f"<li>cells: {text(each)}</li>" for each in record.errors[:5]]
        words += folded([f"<li>repaired: {text(each)}</li>" for each in record.repairs])
        rows.append(
            f'<tr><th scope="row">{view.link(record.student)}</th><td class="n">{record.timeouts or ""}</td>'
            f'<td class="n">{record.kills or ""}</td><td><ul class="plain">{"".join(words)}</ul></td></tr>'
        )
    if not rows:
        return ""
    head = [("Student", ""), ("Time outs", "n"), ("Stopped", "n"), ("What happened", "")]
    says = "Bold: work that could not be read, or code that reached for what is not its own. Repairs cost no points."
    return card("", "What happened on the way", table(head, "".join(rows), tall="What happened on the way"), says)


def folded(items: list[str], shown: int = 3) -> list[str]:
    """The first few, and the rest to open."""
    if len(items) <= shown + 1:
        return items
    rest = f"<summary>and {len(items) - shown} more</summary><ul class='plain'>{''.join(items[shown:])}</ul>"
    return [*items[:shown], f"<li><details>{rest}</details></li>"]


def pairs(view: View) -> str:
    """Submissions that share what is unusual, side by side."""
    says = (
        "A reason to look, never a verdict: these share passages that hardly anybody else in this class has, once names, "
        "comments, what was given and what many share are put aside. Short exercises have few ways to be right, and two people "
        "may have learnt from the same source."
    )
    if not view.pairs:
        return card("", "Similar submissions", "<p>No two share what is unusual.</p>", says)
    return card("", "Similar submissions", "".join(pair(view, each) for each in view.pairs[:PAIRS]) + more(view), says)


def more(view: View) -> str:
    rest = len(view.pairs) - PAIRS
    return f"<p>and {plural(rest, 'pair')} more, less unusual.</p>" if rest > 0 else ""


def pair(view: View, found: Pair) -> str:
    passages = "".join(
        f"<h4><code>{text(p.exercise)}</code>: {plural(p.shared, 'piece')} shared, {p.rare} of them with nobody else</h4>"
        f'<div class="sides"><pre>{text(p.first)}</pre><pre>{text(p.second)}</pre></div>'
        for p in found.passages
    )
    alone = f"{plural(found.rare, 'piece')} that nobody else has" if found.rare else "which a few others have as well"
    return (
        f'<div class="pair"><b>{view.link(found.first)}</b> and <b>{view.link(found.second)}</b>: {found.score:.0%} of what is '
        f"unusual in the shorter one, {alone}"
        f"<details><summary>Compare</summary>{passages}</details></div>"
    )


def details(view: View) -> str:
    """Everybody's answers, one below the other."""
    return card("", "One by one", "".join(one(view, record) for record in view.records))


def one(view: View, record: Record) -> str:
    earned, most = view.score(record)
    rows = "".join(answer(each) for each in record.answers)
    notes = [*(f"<b>{text(f)}</b>" for f in record.flags), *map(text, record.repairs), *map(text, record.errors)]
    listed = f"<ul>{''.join(f'<li>{note}</li>' for note in notes)}</ul>" if notes else ""
    head = [("Answer", ""), ("Points", "n"), ("What stood in the way", "")]
    facts = (
        f"variant {text(record.variant)}, {text(record.file or 'no notebook')}, {text(record.isolation or 'nothing to run')}"
    )
    return (
        f'<details class="student" id="{view.anchor(record.student)}"><summary><b>{text(record.student)}</b> '
        f'<span class="muted">{earned:.3g} of {most:g}</span> {badges(view, record)}</summary>'
        f'<p class="muted">{facts}</p>{listed}{table(head, rows)}</details>'
    )


def answer(found: Answer) -> str:
    parts = "".join(
        f"<li>{'✓' if p.earned >= p.points else '✗'} {text(p.name)} ({p.earned:g} of {p.points:g})"
        f"{': ' + text('; '.join(p.why[:2])) if p.why and p.earned < p.points else ''}</li>"
        for p in found.parts
    )
    said = "".join(f"<b>{text(words)}</b><br>" for words in found.says)
    source = f"<details><summary>the answer</summary><pre>{text(found.source)}</pre></details>" if found.source else ""
    given = "waits" if found.earned is None else f"{found.earned:.3g}"
    return (
        f'<tr><th scope="row"><code>{text(found.exercise or found.cell)}</code></th>'
        f'<td class="n">{given} of {found.points:g}</td><td>{said}<ul class="plain">{parts}</ul>{source}</td></tr>'
    )
