"""`python -m labkit grade ...`: a course from hand-out to grades. Thin over `labkit.course`, which is thin over nbgrader."""

import argparse
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

STEPS = "release -> collect -> run -> feedback -> export; report is for you. Each explains itself: labkit grade run --help"


def grade_parser(sub: argparse.ArgumentParser) -> None:
    sub.epilog = STEPS
    steps = sub.add_subparsers(required=True, metavar="STEP")

    def step(name: str, run: Any, says: str, assignments: str = "") -> argparse.ArgumentParser:
        made = steps.add_parser(name, help=says, description=says)
        made.set_defaults(step=run)
        made.add_argument("--course", type=Path, default=Path("course"), metavar="FOLDER", help="default: %(default)s")
        if assignments:
            made.add_argument("assignments", nargs="*", metavar="ASSIGNMENT", help=assignments)
        return made

    made = step("release", release, "hand assignments out, without their solutions", "such as a1; none: all")
    made.add_argument("--variant", metavar="NAME", help="seeds the numbers in the assignments (default: the year)")
    made.add_argument(
        "--students", nargs="+", metavar="ID", help="one copy for each, with numbers of its own; or a file of ids"
    )
    made.add_argument("--due", metavar="WHEN", help="for late penalties, such as '2026-10-12 23:59 UTC'")
    made.add_argument("--force", action="store_true", help="replace what you edited in source/")
    made.add_argument("--exchange", action="store_true", help="also put it into nbgrader's exchange")

    made = step("collect", collect, "bring submissions in: from a folder of zips, or from nbgrader's exchange")
    made.add_argument("assignments", nargs=1, metavar="ASSIGNMENT")
    made.add_argument("folder", nargs="?", type=Path, help="what you downloaded, a folder or a zip; none: nbgrader's exchange")
    made.add_argument("--roster", type=Path, metavar="CSV", help="the LMS's list of students")

    made = step("run", run, "grade what was handed in; again only what has changed", "none: all that were handed in")
    made.add_argument("--students", nargs="+", metavar="ID", help="only these")
    made.add_argument(
        "--jobs", type=int, default=min(8, os.cpu_count() or 2), metavar="N", help="at a time (default: %(default)s)"
    )
    made.add_argument("--force", action="store_true", help="also what has not changed; grades and comments by hand stay")
    made.add_argument("--late-penalty", metavar="RULE", help="such as 10%%/day, '2 points/hour' or none; kept for the course")
    made.add_argument("--extension", nargs="+", default=[], metavar="ID=DAYS", help="students who have longer")

    made = step("feedback", feedback, "write a page for each student", "none: all that were graded")
    made.add_argument("--students", nargs="+", metavar="ID", help="only these")
    made.add_argument("--exchange", action="store_true", help="also give them out by nbgrader's exchange")

    made = step("export", export, "write all grades as a CSV")
    made.add_argument("path", type=Path, nargs="?", default=Path("grades.csv"), help="default: %(default)s")
    systems = ["nbgrader", "plain", "canvas", "moodle", "blackboard", "gradescope"]
    made.add_argument("--system", choices=systems, default="nbgrader", help="whose columns (default: %(default)s)")
    made.add_argument("--roster", type=Path, metavar="CSV", help="the LMS's own list, which is then filled in")
    made.add_argument("--scale", action="store_true", help="turn points into the LMS's, where those differ")

    made = step("report", report, "a page for you: scores, misconceptions, time outs, similar submissions", "none: all")
    made.add_argument("--output", type=Path, metavar="FILE", help="default: COURSE/report.html")


def grade(arguments: argparse.Namespace) -> int:
    """One step; 0 if all went well, 1 if something failed."""
    try:
        from labkit.course.settings import opened

        course = opened(arguments.course, create=arguments.step is release)
        from labkit.course.nb import Failed

        try:
            return arguments.step(course, arguments)
        except Failed as error:
            print(f"labkit: {error}", file=sys.stderr)
            return 1
    except ModuleNotFoundError as error:
        print(f"labkit: {error}", file=sys.stderr)
        return 1


def release(course: Any, arguments: argparse.Namespace) -> int:
    from labkit.course.office import exchange
    from labkit.course.release import release as hand_out

    ids = named_students(arguments.students)
    if ids and arguments.exchange:
        raise ValueError("nbgrader's exchange gives everybody the same notebook: leave out --students or --exchange")
    made = hand_out(
        course, arguments.assignments or None, variant=arguments.variant, students=ids, due=arguments.due, force=arguments.force
    )
    for each in made:
        own = f", and {each.students} copies in {course.root / 'release_by_student'}" if each.students else ""
        kept = "  (your own source was kept)" if each.kept else ""
        print(f"{each.assignment:26} {each.points:5g} points  variant {each.variant}  {each.file}{own}{kept}")
        if arguments.exchange:
            exchange(course, "release_assignment", each.assignment)
    return 0


def named_students(words: list[str] | None) -> list[str] | None:
    """Ids as they are, or those in a file: one on each line, or a CSV with a column `id` or `student_id`."""
    if not words or len(words) > 1 or not Path(words[0]).is_file():
        return words
    if words[0].endswith(".csv"):
        from labkit.course.desk.lms import read

        return sorted(set(read(words[0]).known.values()))
    return [line.strip() for line in Path(words[0]).read_text(encoding="utf-8").splitlines() if line.strip()]


def wanted(course: Any, names: list[str], there: Any) -> list[str]:
    """Full names of assignments; all for which something is there, if none was named."""
    from labkit.course.release import matching

    known = course.assignments()
    return matching(names, known, "released") if names else [each for each in known if there(each)]


def collect(course: Any, arguments: argparse.Namespace) -> int:
    from labkit.course.office import collect as bring_in

    (assignment,) = wanted(course, arguments.assignments, bool)
    found = bring_in(course, assignment, arguments.folder, arguments.roster)
    for each in found:
        if each.status in ("refused", "ignored", "aside"):
            print(f"{each.status:8} {each.student or '?':20} {each.source}  {each.note}".rstrip())
    for (status, note), count in Counter(
        (each.status, each.note) for each in found if each.status in ("taken", "same")
    ).items():
        print(f"{status:8} {count:4}  {note}".rstrip())
    print(f"{len(course.students(assignment))} students have handed in {assignment}")
    return 1 if any(each.status == "refused" for each in found) else 0


def run(course: Any, arguments: argparse.Namespace) -> int:
    from labkit.course.machine import run as grade_all

    extensions = {}
    for each in arguments.extension:
        student, _, days = each.rpartition("=")
        if not student or not days.replace(".", "", 1).isdigit():
            raise ValueError(f"an extension is like ada=2 (days), got {each!r}")
        extensions[student] = float(days)
    names = wanted(course, arguments.assignments, course.students)
    if not names:
        raise ValueError(
            f"nothing was handed in: put notebooks into {course.submitted}, or  labkit grade collect ASSIGNMENT FOLDER"
        )
    failed = 0
    for name in names:
        try:
            batch = grade_all(
                course, name, arguments.students, jobs=arguments.jobs, force=arguments.force,
                late=arguments.late_penalty, extensions=extensions,
            )  # fmt: skip
        except KeyboardInterrupt:
            print("labkit: what was graded so far is kept; the same command goes on from there", file=sys.stderr)
            raise
        tell(batch)
        failed += len(batch.failed)
    return 1 if failed else 0


def tell(batch: Any) -> None:
    """What a run did: a line for each who was graded, and what a person should look at."""
    for each in sorted(batch.graded, key=lambda record: record.student):
        words = list(dict.fromkeys(name for answer in each.answers for name in answer.mistakes))
        words += [f"{count} {what}" for count, what in ((each.timeouts, "timed out"), (each.kills, "killed")) if count]
        print(f"{each.student:20} {each.earned:5g} of {each.points:g}  {', '.join(words)}".rstrip())
        for flag in each.flags:
            print(f"{'':20} ! {flag}")
    for student, why in sorted(batch.failed.items()):
        print(f"{student:20} could not be graded: {why}", file=sys.stderr)
    kept = f", {len(batch.kept)} had not changed" if batch.kept else ""
    print(f"{batch.assignment}: {len(batch.graded)} graded{kept}, {batch.seconds:.0f} s, {batch.isolation or 'nothing to run'}")
    if "not isolated" in batch.isolation:
        print(
            "labkit: students' code was NOT ISOLATED: it could read your files. Install bubblewrap, or grade in a container.",
            file=sys.stderr,
        )


def feedback(course: Any, arguments: argparse.Namespace) -> int:
    from labkit.course.office import exchange
    from labkit.course.office import feedback as write_pages

    for name in wanted(course, arguments.assignments, course.students):
        pages = write_pages(course, name, arguments.students)
        print(f"{name}: {len(pages)} pages in {course.root / 'feedback'}")
        if arguments.exchange:
            exchange(course, "release_feedback", name)
    return 0


def export(course: Any, arguments: argparse.Namespace) -> int:
    from labkit.course.office import export as write_table

    written = write_table(course, arguments.path, arguments.system, arguments.roster, scale=arguments.scale)
    print(f"{written.path}: {written.grades} grades")
    for says, names in (("no row for", written.homeless), ("no grade for", written.ungraded)):
        if names:
            print(f"{says} {', '.join(names)}")
    return 0


def report(course: Any, arguments: argparse.Namespace) -> int:
    from labkit.course.report.page import write

    print(write(course.root, wanted(course, arguments.assignments, course.students), arguments.output))
    return 0
