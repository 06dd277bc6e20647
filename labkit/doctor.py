"""Is everything here that the lessons need? If not, the one command that mends it."""

import html
import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from labkit.paths import PACKAGE, home, notebooks, shipped

PYTHON = sys.executable  # by its full name: the `python` of a terminal may be another one
PIP = f"{PYTHON} -m pip install"
GIB = 1 << 30


@dataclass(frozen=True)
class Finding:
    """One thing looked at; `cure` is the command that mends it, or "" where nothing is wrong."""

    what: str
    found: str
    cure: str = ""
    advice: bool = False  # the lessons run without it

    @property
    def fault(self) -> bool:
        return bool(self.cure) and not self.advice

    @property
    def mark(self) -> str:
        return "✗" if self.fault else "·" if self.cure else "✓"


@dataclass(frozen=True)
class Report:
    """What the doctor found; a table in a notebook and in a terminal."""

    findings: tuple[Finding, ...]

    @property
    def faults(self) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if f.fault)

    @property
    def verdict(self) -> str:
        n = len(self.faults)
        return "Everything the lessons need is here." if not n else f"{n} thing{'s' * (n > 1)} to mend:"

    def __str__(self) -> str:
        rows = [f"{f.mark} {f.what:20} {f.found}" for f in self.findings]
        cures = [f"  {f.what}: {f.cure}" for f in self.faults]
        return "\n".join([*rows, "", self.verdict, *cures])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        colors = {"✓": "#009E73", "✗": "#D55E00", "·": "#5F6470"}
        rows = "".join(
            f'<tr><td style="color:{colors[f.mark]}"><b>{f.mark}</b></td><td>{f.what}</td><td>{html.escape(f.found)}</td>'
            f"<td>{f'<code>{html.escape(f.cure)}</code>' if f.cure else ''}</td></tr>"
            for f in self.findings
        )
        return f"<p><b>{self.verdict}</b></p><table>{rows}</table>"


def doctor() -> Report:
    """Look at Python, the packages, the widgets, the kernel, the data, the device, memory, disk and labkit's folder.

    Never raises: an examination that fails is itself a finding.
    """
    found: list[Finding] = []
    for examine in EXAMINATIONS:
        try:
            found += examine()
        except Exception as error:  # the doctor must not need a doctor
            found.append(
                Finding(examine.__name__, f"could not be looked at: {error}", f"{PYTHON} -m labkit doctor", advice=True)
            )
    return Report(tuple(found))


def version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def numbers(text: str) -> tuple[int, ...]:
    """The leading numbers of a version.

    >>> numbers("2.13.0+cpu"), numbers("8.1rc1")
    ((2, 13, 0), (8, 1))
    """
    found = []
    for part in text.split("+")[0].split("."):
        digits = "".join(c for c in part[: next((i for i, c in enumerate(part) if not c.isdigit()), len(part))])
        if digits:
            found.append(int(digits))
        if digits != part:
            break
    return tuple(found)


def requirements() -> dict[str, str]:
    """What labkit asks for: package -> least version, from its own metadata or the checkout's `pyproject.toml`."""
    pyproject = PACKAGE.parent / "pyproject.toml"
    if pyproject.exists():
        import tomllib

        lines = tomllib.loads(pyproject.read_text("utf-8"))["project"]["dependencies"]
    else:
        lines = [line for line in metadata.requires("labkit") or [] if ";" not in line]
    return {name.strip(): least.strip() for name, _, least in (line.partition(">=") for line in lines)}


def python() -> Iterator[Finding]:
    old = sys.version_info < (3, 11)
    cure = "make tour PYTHON=python3.12" if old else ""
    yield Finding("Python", f"{platform.python_version()} in {sys.prefix}", cure)


def packages() -> Iterator[Finding]:
    wrong = []
    wanted = requirements()
    for name, least in wanted.items():
        have = version(name)
        if have is None or numbers(have) < numbers(least):
            wrong.append((name, least, have))
    if not wrong:
        yield Finding("packages", f"all {len(wanted)} are here; torch {version('torch')}, numpy {version('numpy')}")
        return
    said = ", ".join(f"{n} {h or 'is missing'} (needs {least})" for n, least, h in wrong)
    yield Finding("packages", said, f"{PIP} " + " ".join(f"'{n}>={least}'" for n, least, _ in wrong))


def widgets() -> Iterator[Finding]:
    """Sliders need three parts that fit: ipywidgets in the kernel, its manager in JupyterLab, and anywidget for plotly."""
    kernel, lab, any_ = (version(p) for p in ("ipywidgets", "jupyterlab_widgets", "anywidget"))
    cure = f"{PIP} --upgrade ipywidgets jupyterlab_widgets anywidget"
    if kernel is None or lab is None or any_ is None:
        missing = [n for n, v in (("ipywidgets", kernel), ("jupyterlab_widgets", lab), ("anywidget", any_)) if v is None]
        yield Finding("widgets", f"{' and '.join(missing)} missing: sliders will not show", cure)
        return
    fit = numbers(kernel)[:1] == (8,) and numbers(lab)[:1] == (3,)
    said = f"ipywidgets {kernel}, jupyterlab_widgets {lab}, anywidget {any_}"
    yield Finding("widgets", said if fit else f"{said} do not belong together: sliders will not show", "" if fit else cure)
    late = version("jupyter-server-documents")
    if late:
        said = f"jupyter-server-documents {late} is known to lose widgets"
        yield Finding("widgets", said, f"{PYTHON} -m pip uninstall -y jupyter-server-documents", advice=True)


def server() -> Iterator[Finding]:
    """The JupyterLab on the command line should be the one of this environment, or its widgets are not this kernel's."""
    have = version("jupyterlab")
    if have is None:
        yield Finding("JupyterLab", "missing", f"{PIP} jupyterlab")
        return
    from jupyter_core.paths import jupyter_path

    parts = ("@jupyter-widgets", "anywidget", "jupyterlab-plotly")
    missing = [n for n in parts if not any(Path(folder, n).exists() for folder in jupyter_path("labextensions"))]
    if missing:
        cure = f"{PIP} --force-reinstall --no-deps jupyterlab_widgets anywidget plotly"
        yield Finding("JupyterLab", f"{have} lacks the extensions {', '.join(missing)}", cure)
        return
    other = shutil.which("jupyter-lab")
    elsewhere = other is not None and Path(other).resolve().parent != Path(sys.executable).parent.resolve()
    said = f"{have}; the command jupyter lab starts another one, {other}" if elsewhere else have
    yield Finding("JupyterLab", said, f"{PYTHON} -m labkit lab" if elsewhere else "", advice=True)


def kernel() -> Iterator[Finding]:
    """The kernel called python3 must be this Python, or notebooks run where labkit is not."""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    cure = f"{PYTHON} -m ipykernel install --sys-prefix --name python3"
    if importlib.util.find_spec("ipykernel") is None:
        yield Finding("kernel", "ipykernel is missing", f"{PIP} ipykernel")
        return
    try:
        command = KernelSpecManager().get_kernel_spec("python3").argv[0]
    except NoSuchKernel:
        yield Finding("kernel", "there is no kernel called python3", cure)
        return
    # A bare "python" is replaced by the Python that runs the server, so it always fits.
    bare = Path(command).name == command
    same = bare or (
        Path(command).exists()
        and Path(command).samefile(sys.executable)
        and Path(command).parent == Path(sys.executable).parent
    )
    said = f"python3 is {sys.executable}" if same else f"python3 is {command}, but this is {sys.executable}"
    yield Finding("kernel", said, "" if same else cure)


def data() -> Iterator[Finding]:
    """What ships, the lessons, and Fashion-MNIST, which is looked for but not fetched here."""
    for what, find in (("shipped data", shipped), ("lessons", notebooks)):
        try:
            yield Finding(what, str(find()))
        except FileNotFoundError as error:
            yield Finding(what, str(error), f"{PIP} --force-reinstall labkit")
    from labkit.data.fetch import locate, sources

    source = sources()["fashion-mnist"]
    try:
        where = {str(locate(source, file.name, download=False).parent) for file in source.files}
        yield Finding("Fashion-MNIST", ", ".join(where))
    except FileNotFoundError:
        said = "not here yet: lessons fetch it (30 MB) when they first need it"
        yield Finding("Fashion-MNIST", said, f"{PYTHON} -m labkit data fetch fashion-mnist", advice=True)
    except ValueError as error:
        yield Finding("Fashion-MNIST", str(error), f"{PYTHON} -m labkit data fetch fashion-mnist")


def language_model() -> Iterator[Finding]:
    """What lesson 10 and the doctor of checkpoints need; every other lesson does without."""
    from labkit.data import weights

    lacking = [part for part in ("transformers", "accelerate", "gguf", "safetensors") if not importlib.util.find_spec(part)]
    if lacking:
        yield Finding("language model", f"without {', '.join(lacking)}", f'{PIP} "labkit[lm]"', advice=True)
    for name in weights.KNOWN:
        fetch = f"{PYTHON} -m labkit data fetch {name}"
        said = str(home() / "models" / name) if weights.cached(name) else "not here yet: lesson 10 fetches it (93 MB)"
        yield Finding(name, said, "" if weights.cached(name) else fetch, advice=True)


def device() -> Iterator[Finding]:
    import torch

    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        yield Finding("device", f"{torch.cuda.get_device_name()}, {free / GIB:.0f} of {total / GIB:.0f} GiB free")
    elif torch.backends.mps.is_available():
        yield Finding("device", "Apple GPU (MPS)")
    else:
        yield Finding("device", f"CPU, {torch.get_num_threads()} threads: enough for every lesson")


def free_memory() -> int | None:
    """Bytes that a new process could have, where the system says so."""
    try:
        import psutil
    except ModuleNotFoundError:
        return None
    return psutil.virtual_memory().available


def memory() -> Iterator[Finding]:
    free = free_memory()
    if free is None:
        return
    tight = free < 2 * GIB
    cure = "close other notebooks (Kernel, Shut Down All Kernels)" if tight else ""
    yield Finding("memory", f"{free / GIB:.1f} GiB free" + ", the lessons need up to 2" * tight, cure)


def disk() -> Iterator[Finding]:
    """Runs and downloads need a folder that can be written, with room in it."""
    move = "export LABKIT_HOME=/a/folder/with/room"
    try:
        folder = home()
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        wanted = os.environ.get("LABKIT_HOME") or "the cache folder"
        yield Finding("labkit's folder", f"{wanted} cannot be written: {error.strerror or error}", move)
        return
    free = shutil.disk_usage(folder).free
    tight = free < GIB // 2
    yield Finding("labkit's folder", f"{folder}, {free / GIB:.1f} GiB free" + ", too little" * tight, move if tight else "")


EXAMINATIONS: tuple[Callable[[], Iterator[Finding]], ...] = (
    python,
    packages,
    widgets,
    server,
    kernel,
    data,
    language_model,
    device,
    memory,
    disk,
)
