"""Where runs are trained: joblib's own backends, opened for a sweep, and what they raise when a worker dies."""

import contextlib
import importlib
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import joblib

NAMES = ("loky", "dask", "ray", "sequential")


@dataclass(frozen=True)
class Place:
    """An opened backend: one of joblib's for each round, how many runs it is given at once, and what it raises when a worker
    dies, and all others with it."""

    backend: Callable[[], Any]
    at_once: Any
    deaths: tuple[type[BaseException], ...] = ()
    options: dict[str, Any] = field(default_factory=dict)

    def each(self, function: Callable, jobs: Sequence[Any], *, one_by_one: bool = False) -> Iterator[Any]:
        """Results as they come; or one by one, in order."""
        backend, order = self.backend(), "generator" if one_by_one else "generator_unordered"
        wide = 2 if self.at_once == "all" else max(2, self.at_once)  # joblib takes a single worker for the caller itself
        wide = 1 if backend == "sequential" else wide
        with joblib.parallel_config(backend=backend, n_jobs=wide, **self.options):
            parallel = joblib.Parallel(return_as=order, batch_size=1, pre_dispatch=1 if one_by_one else self.at_once)
            yield from parallel(joblib.delayed(function)(job) for job in jobs)


def needed(module: str, what: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{what} needs {module.partition('.')[0]}: pip install 'labkit[scale]' ({error})") from error


def known(name: str, jobs: int, threads: int, client: Any) -> None:
    """Refuse what no backend would understand."""
    if name not in NAMES:
        why = "; threads of one process would share its random stream" if name == "threading" else ""
        raise ValueError(f"backend must be one of {', '.join(NAMES)}, got {name!r}{why}")
    for what, value in (("jobs", jobs), ("threads", threads)):
        if isinstance(value, bool) or not isinstance(value, int) or not (value >= 1 or (what == "jobs" and value == -1)):
            also = ", or -1 for as many as there is room for" if what == "jobs" else ""
            raise ValueError(f"{what} must be a whole number >= 1{also}, got {value!r}")
    if client is not None and name not in ("dask", "ray"):
        raise ValueError(f"client is for the backends dask and ray, not for {name}")


def opened(name: str, *asked: Any) -> contextlib.AbstractContextManager[Place]:
    """The backend of this name, for the time of a sweep; an ImportError where its package is not installed."""
    return {"loky": loky, "dask": dask, "ray": ray, "sequential": sequential}[name](*asked)


@contextlib.contextmanager
def sequential(jobs: int, threads: int, client: Any, options: dict[str, Any]) -> Iterator[Place]:
    yield Place(lambda: "sequential", 1, options=options)


@contextlib.contextmanager
def loky(jobs: int, threads: int, client: Any, options: dict[str, Any]) -> Iterator[Place]:
    from joblib.externals.loky.process_executor import BrokenProcessPool

    workers = max(1, joblib.cpu_count() // threads) if jobs == -1 else jobs
    yield Place(lambda: "loky", workers, (BrokenProcessPool,), {"inner_max_num_threads": threads, **options})


# ------------------------------------------------------------------ Dask


@contextlib.contextmanager
def dask(jobs: int, threads: int, client: Any, options: dict[str, Any]) -> Iterator[Place]:
    """`client`, or its scheduler's address, or the client that is there already, or a cluster of this machine's cores."""
    distributed = needed("distributed", "backend='dask'")
    from joblib._dask import DaskDistributedBackend

    class Dask(DaskDistributedBackend):
        """joblib's, which waits forever for a task whose worker was killed, and keeps all at home where there is one worker.

        Here such a task has an answer, and the others go on.
        """

        def effective_n_jobs(self, n_jobs: int) -> int:
            return max(2, super().effective_n_jobs(n_jobs))

        def submit(self, func: Any, callback: Any = None) -> Any:
            def died(done: Any) -> None:
                if error := done.exception():
                    callback([{"name": func.items[0][1][0].name, "died": error}])

            future = super().submit(func, callback)
            future.add_done_callback(died)
            return future

    with contextlib.ExitStack() as stack:
        if client is None:
            with contextlib.suppress(ValueError):
                client = distributed.get_client()
        if client is None:
            client = stack.enter_context(local_dask(distributed, jobs, threads))
        elif isinstance(client, str):
            client = stack.enter_context(distributed.Client(client, set_as_default=False))
        client.wait_for_workers(1, timeout=options.get("wait_for_workers_timeout"))  # a queue of SLURM's may be long
        # Its scheduler is told of all runs: a cluster that grows with its work must see that there is some.
        yield Place(lambda: Dask(client=client, **options), "all" if jobs == -1 else jobs)


@contextlib.contextmanager
def local_dask(distributed: Any, jobs: int, threads: int) -> Iterator[Any]:
    config = importlib.import_module("dask.config")
    cores = max(1, joblib.cpu_count() // threads)
    # A run that kills its worker is not tried on three others: the sweep itself tries it once more, alone.
    with (
        config.set({"distributed.scheduler.allowed-failures": 0}),
        no_script(),
        distributed.LocalCluster(
            n_workers=cores if jobs == -1 else jobs,
            threads_per_worker=1,
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


@contextlib.contextmanager
def no_script() -> Iterator[None]:
    """Dask's local workers would run the caller's script a second time, as Python's own do where it lacks a main guard."""
    main = sys.modules["__main__"]
    kept = {name: getattr(main, name) for name in ("__file__", "__spec__") if hasattr(main, name)}
    try:
        main.__spec__ = None
        main.__dict__.pop("__file__", None)
        yield
    finally:
        for name, value in kept.items():
            setattr(main, name, value)


# ------------------------------------------------------------------ Ray


@contextlib.contextmanager
def ray(jobs: int, threads: int, client: Any, options: dict[str, Any]) -> Iterator[Place]:
    """`client` is an address ("auto", "HEAD:6379"); without one: Ray as it runs, `RAY_ADDRESS`, or this machine's cores."""
    engine = needed("ray", "backend='ray'")
    importlib.import_module("ray.util.joblib").register_ray()
    from ray.util.joblib.ray_backend import RayBackend

    class Ray(RayBackend):
        """Ray's, which deals tasks out in turn, also to an actor that is busy: here the next one goes to one that is free."""

        supports_return_generator = True

        def configure(self, *args: Any, **kwargs: Any) -> int:
            workers = super().configure(*args, **kwargs)
            self.free = list(range(workers))
            return workers

        def submit(self, func: Any, callback: Any = None) -> Any:
            actor = self.free.pop(0)
            self._pool._next_actor_index = lambda: actor

            def done(result: Any) -> None:
                self.free.append(actor)
                callback(result)

            return super().submit(func, done)

    ours = not engine.is_initialized()
    if ours:
        address = client or os.environ.get("RAY_ADDRESS") or "local"
        here = local_ray(jobs, threads) if address == "local" else {}
        start(engine, address=address, log_to_driver=False, logging_level="ERROR", **here)
    try:
        asked = {"num_cpus": threads, **options.pop("ray_remote_args", {})}
        workers = room(engine.cluster_resources(), asked)
        if workers == 1:  # there must be two actors: the second one waits, and takes nothing
            asked |= {name: asked[name] / 2 for name in ("num_cpus", "num_gpus") if name in asked}
        options = {"ray_remote_args": asked, **options}
        yield Place(lambda: Ray(**options), workers if jobs == -1 else min(jobs, workers), (engine.exceptions.RayError,))
    finally:
        if ours:
            engine.shutdown()


def room(there: dict[str, float], asked: dict[str, Any]) -> int:
    """How many actors of this kind a cluster has room for at once."""
    each = {"CPU": asked["num_cpus"], "GPU": asked.get("num_gpus", 0), **asked.get("resources", {})}
    found = min(int(there.get(name, 0) // number) for name, number in each.items() if number)
    if not found:
        raise ValueError(f"Ray's cluster has no room for one run: it has {there}, and a run asks for {each}")
    return found


def start(engine: Any, **asked: Any) -> None:
    """Ray gives its own processes half a minute to start, which a busy machine may need more than once."""
    for left in (2, 1, 0):
        try:
            engine.init(**asked)
            return
        except Exception as error:  # Ray raises nothing more special
            engine.shutdown()
            if not left or "timed out during startup" not in str(error):
                raise


def local_ray(jobs: int, threads: int) -> dict[str, Any]:
    cores = threads * (max(1, joblib.cpu_count() // threads) if jobs == -1 else jobs)
    return {"num_cpus": max(2 * threads, cores), "include_dashboard": False, "object_store_memory": 2**27}
