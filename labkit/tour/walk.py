"""The tour: every lesson is run through a kernel, its claims are collected, and pages are written that need neither.

Lessons run side by side, each in a kernel, a folder and a file of claims of its own, with its share of the cores. Each leaves
`NAME.json` beside its page, so that one lesson can be run again without losing the others.
"""

import asyncio
import json
import os
import platform
import re
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from datetime import date
from pathlib import Path
from typing import Any

from labkit import pairs
from labkit.paths import PACKAGE, notebooks
from labkit.tour import markdown
from labkit.tour.front import index_page
from labkit.tour.pages import ANSI, lesson_page, shared

MOST = 4  # lessons at once: a kernel that trains needs one to two gigabytes
LONGEST = ("10", "13", "03", "02")  # begin first, so that none of them is left to run alone at the end
KERNELS: set[Any] = set()  # that are running now, to be ended when the tour is


def lessons(only: list[str] | None = None) -> list[Path]:
    """The scripts of the lessons, or of those whose names begin with one of `only`.

    Raises:
        ValueError: a name that no lesson begins with.
    """
    every = sorted(notebooks().glob("[0-9][0-9]*_*.py"))
    for start in only or []:
        if not any(p.stem.startswith(start) for p in every):
            raise ValueError(f"no lesson begins with {start!r}; there are {', '.join(p.stem for p in every)}")
    return [p for p in every if not only or any(p.stem.startswith(start) for start in only)]


def heading(script: Path) -> tuple[str, str]:
    """A lesson's title and its first paragraph, from its first cell."""
    first = pairs.read(script).cells[0].source
    found = re.search(r"^# +(.+)$", first, re.MULTILINE)
    title = found[1].strip() if found else script.stem
    paragraphs = [p.strip() for p in first.split("\n\n") if p.strip() and not p.lstrip().startswith("#")]
    return title, markdown.render(paragraphs[0]).strip().removeprefix("<p>").removesuffix("</p>") if paragraphs else ""


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def environment(name: str, claims: Path, smoke: bool, threads: int | None = None) -> dict[str, str]:
    """What the kernel of a lesson is told: where its claims go, that its page is static, where labkit lies, and its threads."""
    path = os.pathsep.join(p for p in (str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")) if p)
    mode = {"LABKIT_SMOKE": "1"} if smoke else {}
    told = {"LABKIT_STATIC": "1", "LABKIT_CLAIMS": str(claims), "LABKIT_LESSON": name, "PYTHONPATH": path, "MPLBACKEND": "agg"}
    share = {"OMP_NUM_THREADS": str(threads)} if threads else {}  # one's own OMP_NUM_THREADS goes before it
    return {**share, **os.environ, **told, **mode}


def execute(notebook: Any, env: dict[str, str], *, folder: Path, timeout: float, tick: Callable[[], None]) -> str:
    """Run all cells in a fresh kernel; what went wrong, in a line, or "". Outputs stay in the notebook either way."""
    from jupyter_client.kernelspec import NoSuchKernel
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    client = NotebookClient(
        notebook,
        timeout=int(timeout),
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        extra_arguments=["--log-level=40"],  # errors; the kernel's advice about transports is not for readers
        on_cell_complete=lambda **_: tick(),
    )
    KERNELS.add(client)
    try:
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as loop:  # one for each thread; what kernels speak needs it
            loop.run(client.async_execute(env=env))
    except CellExecutionError as error:
        return f"{error.ename}: {ANSI.sub('', error.evalue)}"
    except CellTimeoutError:
        return f"a cell took longer than {timeout:.0f} s"
    except DeadKernelError:
        return "the kernel died; was there enough memory?"
    except NoSuchKernel:
        return "there is no Python kernel: run  python -m pip install ipykernel"
    finally:
        KERNELS.discard(client)
        notebook.metadata.pop("widgets", None)  # megabytes of state that no page uses
    return ""


def end_kernels() -> None:
    """End every kernel that is running; what waits for one of them goes on at once."""
    for client in list(KERNELS):
        process = getattr(getattr(client.km, "provisioner", None), "process", None)
        if process is not None:
            process.kill()


def run(
    script: Path, *, smoke: bool, timeout: float, tick: Callable[[], None], threads: int | None = None
) -> tuple[Any, dict[str, Any]]:
    """One lesson: its executed notebook, and what is to be remembered of it."""
    import nbformat

    notebook = nbformat.reads(pairs.generate(script), as_version=4)
    title, lede = heading(script)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="labkit-tour-") as folder:
        claims = Path(folder) / "claims.jsonl"
        env = environment(script.stem, claims, smoke, threads)
        error = execute(notebook, env, folder=Path(folder), timeout=timeout, tick=tick)
        stated = [json.loads(line) for line in claims.read_text("utf-8").splitlines()] if claims.exists() else []
    lesson = {"name": script.stem, "title": title, "lede": lede, "error": error, "smoke": smoke, "claims": stated}
    return notebook, {**lesson, "seconds": time.perf_counter() - start, "date": date.today().isoformat(), "figures": []}


def about() -> dict[str, str]:
    """On what the tour was run."""
    from importlib.metadata import version

    import labkit

    return {
        "labkit": labkit.__version__,
        "torch": version("torch"),
        "Python": platform.python_version(),
        "seed": os.environ.get("LABKIT_SEED") or "0",
        "CPU cores": str(os.cpu_count()),
    }


def tour(
    output: Path, *, only: list[str] | None = None, smoke: bool = False, timeout: float = 900, jobs: int | None = None
) -> list[dict[str, Any]]:
    """Run lessons, write their pages and the index; what is known of every lesson that was run.

    Args:
        output: the folder of the pages.
        only: beginnings of lesson names; default all.
        smoke: the short form that tests use: identities and orderings are asserted, sizes only measured.
        timeout: seconds that one cell may take.
        jobs: lessons at once, each with its share of the cores; default one for each core, four at most.

    Raises:
        ValueError: a name that no lesson begins with, or `jobs` below 1.
    """
    from tqdm import tqdm

    if jobs is not None and jobs < 1:
        raise ValueError(f"jobs must be at least 1, got {jobs}")
    scripts = lessons(only)
    jobs = min(jobs or min(cores(), MOST), len(scripts))
    shared(output)
    every = {p.stem: heading(p)[0] for p in lessons()}
    ran = []
    total = sum(1 for p in scripts for c in pairs.read(p).cells if c.cell_type == "code")
    with tqdm(total=total, unit="cell", disable=None, leave=False, file=sys.stderr) as bar:
        for notebook, lesson in side_by_side(scripts, jobs, bar, smoke=smoke, timeout=timeout):
            write(notebook, lesson, list(every.items()), output)
            bar.write(line(lesson))
            ran.append(lesson)
    known = [json.loads(p.read_text("utf-8")) for p in sorted(output.glob("*.json")) if p.stem in every]
    put(output / "index.html", index_page(known, about()))
    return sorted(ran, key=lambda lesson: lesson["name"])


def side_by_side(scripts: list[Path], jobs: int, bar: Any, **options: Any) -> Iterator[tuple[Any, dict[str, Any]]]:
    """The lessons as they end, so many at a time; where the tour is given up, so are the kernels that still run."""
    one_by_one, threads = threading.Lock(), max(1, cores() // jobs) if jobs > 1 else None

    def tick() -> None:
        with one_by_one:
            bar.update()

    waiting = sorted(scripts, key=lambda p: LONGEST.index(n) if (n := p.stem.partition("_")[0]) in LONGEST else len(LONGEST))
    with ThreadPoolExecutor(jobs) as pool:
        running: list[Future] = [pool.submit(run, p, tick=tick, threads=threads, **options) for p in waiting]
        try:
            for done in as_completed(running):
                yield done.result()
        except BaseException:  # Ctrl-C too
            pool.shutdown(wait=False, cancel_futures=True)
            end_kernels()
            raise


def write(notebook: Any, lesson: dict[str, Any], every: list[tuple[str, str]], output: Path) -> None:
    """The page of a lesson, and what the index needs to know of it."""
    place = [name for name, _ in every].index(lesson["name"])
    around = [{"name": n, "title": t} for n, t in every]
    before, after = (around[i] if 0 <= i < len(around) else None for i in (place - 1, place + 1))
    for old in (output / "figures").glob(f"{lesson['name']}-*.png"):
        old.unlink()
    put(output / f"{lesson['name']}.html", lesson_page(notebook, lesson, before, after, output))
    put(output / f"{lesson['name']}.json", json.dumps(lesson, ensure_ascii=False))


def put(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def line(lesson: dict[str, Any]) -> str:
    """How a lesson went, for the terminal."""
    asserted = [c for c in lesson["claims"] if c["asserted"]]
    held = sum(c["passed"] for c in asserted)
    said = f"{held}/{len(asserted)} claims hold" + (f"  FAILED: {lesson['error']}" if lesson["error"] else "")
    return f"{lesson['name']:28} {lesson['seconds']:6.1f} s  {said}"
