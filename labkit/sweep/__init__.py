"""Many runs at once, on this machine's cores or on a cluster's: `sweep(grid) -> Sweep`, one table with a row for each run."""

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from labkit.paths import home
from labkit.sweep.backends import Place, known, opened
from labkit.sweep.book import Book
from labkit.sweep.grid import axes, configs
from labkit.sweep.table import Sweep, pyarrow
from labkit.sweep.worker import Job, usable, work
from labkit.training import Config, Run
from labkit.training.fingerprint import Unknown, fingerprint

__all__ = ["Sweep", "sweep"]

Meter = Callable[[Run], Any] | str


def sweep(
    grid: Config | Iterable[Config],
    over: Mapping[str, Iterable[Any]] | None = None,
    *,
    meters: Mapping[str, Meter] | Iterable[Meter] | Meter | None = None,
    backend: str = "loky",
    jobs: int = -1,
    threads: int = 1,
    name: str = "",
    retry: bool = False,
    client: Any = None,
    progress: bool = True,
    **options: Any,
) -> Sweep:
    """Train every Config of a grid, measure each run, and give back one table; on a cluster by changing one word.

    Killed at any moment and called again, it goes on: finished runs are not repeated, half-trained ones go on from their
    checkpoints. A run that fails (its loss became NaN, its worker ran out of memory) is a row of the table that says why, and
    the others go on. A worker that died is tried once more, alone; if it dies again, that run has failed.

    Args:
        grid: a Config, or a list of them.
        over: what to vary, by dotted names, as a product: `{"loss.temperature": [0.1, 0.5], "seed": range(3)}`.
        meters: what to measure on each run: names of the catalog (`"knn_accuracy"`, on the test split; `"uniformity"`,
            `"alignment"`, `"effective_rank"`, of the final snapshot), and functions of a Run to a number or a dict of
            numbers; or a dict of these, whose keys are then the columns. Changed meters are measured again, without training.
        backend: "loky" (processes of this machine), "dask", "ray", or "sequential" (in this process, to debug).
        jobs: how many runs at once; -1 takes all cores, or all workers of the cluster. Runs on one GPU share its memory.
        threads: of each run. On the CPU the bits of a run depend on this number, and on nothing else that is asked here: the
            numbers are the same on every backend, with any `jobs`. (`labkit.fit` by itself takes all cores, and what it trained
            before is taken as it is.)
        name: of the sweep's folder, `LABKIT_HOME/sweeps/NAME`; without one it is named after the grid.
        retry: try failed runs again; otherwise they stay failed, since most would fail in the same way.
        client: for "dask" a `distributed.Client` or a scheduler's address, for "ray" a cluster's address. Without one: the
            client that is there, an initialised Ray, `RAY_ADDRESS`; or else this machine's cores, for the time of the call.
        progress: a bar over the runs, with the failures counted, after two seconds.
        options: handed on to joblib's backend: `ray_remote_args={"num_gpus": 1}`, `resources={"GPU": 1}` of Dask.

    Returns:
        A Sweep: `.table` (pyarrow), `.frame()` (pandas), `.path` (parquet), `.rows`, `.failed`, `.runs()`.

    Raises:
        ValueError, TypeError: no Config, an axis that a Config does not have, an unknown backend or meter.
        ImportError: a backend that is not installed; `pip install 'labkit[scale]'`.

    Workers of a cluster need labkit in the same version. Where they see the caller's `LABKIT_HOME` (a shared folder) they
    train there, and every run can be opened; where not, each keeps its runs in its own home, and what was measured and the
    histories come back. On SLURM, with Dask-Jobqueue (one process for each core: two runs never share a process)::

        cluster = dask_jobqueue.SLURMCluster(
            cores=8, processes=8, memory="32GB", walltime="04:00:00",
            job_script_prologue=["export LABKIT_HOME=/shared/labkit"],
        )
        cluster.scale(jobs=4)
        labkit.sweep(config, over, backend="dask", client=cluster.get_client())

    On Kubernetes, a KubeRay cluster whose image has labkit: hand the script in as a job, and it finds the cluster by itself
    (`ray job submit --address http://HEAD:8265 -- python script.py`).

    >>> from labkit.training import call
    >>> base = Config(data=call("gaussian", n=64), model=call("linear", out=4), augment="noise", steps=3, batch=16)
    >>> found = sweep(base, {"loss.temperature": [0.1, 1.0]}, meters="uniformity", backend="sequential")
    >>> found["loss.temperature"], found["status"], len(found["uniformity"])
    ([0.1, 1.0], ['done', 'done'], 2)
    """
    pyarrow()
    known(backend, jobs, threads, client)
    every, asked = configs(grid, over), named(meters)
    columns = axes(every, over)
    if clash := sorted(set(asked) & set(columns)):
        raise ValueError(f"meters: {clash[0]!r} is an axis of this grid; give the meter another name")
    folder = place(name, every)
    told: dict[str, Any] = {"meters": asked, "measures": stands_for(asked), "threads": threads, "parent": os.getpid()}
    every_job = [Job(config, home=str(home().resolve()), folder=str(folder), **told) for config in every]
    book = Book(folder, every_job, columns, retry)
    if book.todo:
        with opened(backend, jobs, threads, client, options) as where, book.open(progress):
            spread(book, where)
    else:
        book.store()
    return Sweep(folder.name, folder, book.rows, every_job, columns)


def place(name: str, every: list[Config]) -> Path:
    """The sweep's folder; without a name, one for this very grid."""
    if name and not re.fullmatch(r"\w[\w.-]*", name):
        raise ValueError(f"name must be a word of letters, digits, '.', '_' and '-', got {name!r}")
    text = "\n".join(config.text for config in every)
    return home().resolve() / "sweeps" / (name or hashlib.sha256(text.encode()).hexdigest()[:16])


def named(meters: Mapping[str, Meter] | Iterable[Meter] | Meter | None) -> dict[str, Meter]:
    """Column -> meter."""
    if isinstance(meters, str) or callable(meters):
        meters = [meters]
    if not isinstance(meters, Mapping):
        meters = {each if isinstance(each, str) else getattr(each, "__name__", str(each)): each for each in meters or ()}
    for name, meter in meters.items():
        if isinstance(meter, str) and meter not in usable():
            raise ValueError(f"meters: there is no meter {meter!r} to read off a run; there are {', '.join(usable())}")
        if not (isinstance(meter, str) or callable(meter)):
            raise TypeError(f"meters: {name} must be a function of a Run, or a meter's name, got {type(meter).__name__}")
    return dict(meters)


def stands_for(meters: Mapping[str, Meter]) -> str:
    """Another text where other things are measured; where code cannot be read, the columns' names must do."""
    try:
        return fingerprint(*meters.items())
    except Unknown:
        return ", ".join(meters)


def spread(book: Book, place: Place) -> None:
    """Train what is left. Whoever a dead worker took along is trained once more, alone: then it is known who killed it."""
    while book.todo:
        suspects = [job for job, _ in lost(book, place, book.todo)]
        for job, death in lost(book, place, suspects, one_by_one=True) if suspects else ():
            book.enter(job, killed(job, death))


def lost(book: Book, place: Place, jobs: list[Job], *, one_by_one: bool = False) -> list[tuple[Job, BaseException]]:
    """Train these, and give back those that may have killed their worker."""
    by_name, taken = {job.name: job for job in jobs}, []
    try:
        for row in place.each(work, jobs, one_by_one=one_by_one):
            if "died" in row:
                taken.append((by_name[row["name"]], row["died"]))
            else:
                book.enter(by_name[row["name"]], row)
    except place.deaths as death:  # of all workers: they were at the first of those that are left, since none waits in a queue
        if "un-serialize" in str(death):
            raise TypeError("meters: a worker cannot import what they are made of; write them where it can") from death
        left = [job for job in jobs if job.name not in book.kept]
        return [(job, death) for job in left[: 1 if one_by_one else place.at_once]]
    return taken


def killed(job: Job, death: BaseException) -> dict[str, Any]:
    said = (str(death).strip().splitlines() or [""])[0]
    row = {"name": job.name, "status": "failed", "measures": job.measures, "config": job.config.text}
    return row | {"error": f"its worker died, twice: {type(death).__name__}: {said}", "traceback": str(death)}
