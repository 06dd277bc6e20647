"""The peers' own environment, `build/bench-env`: made once, and again when `peers.txt` changed. The standard library alone."""

import hashlib
import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FOLDER = ROOT / "build" / "bench-env"
PEERS, CONSTRAINTS = HERE / "peers.txt", ROOT / "constraints.txt"


def say(*words: Any) -> None:
    print("labkit bench:", *words, file=sys.stderr, flush=True)


def python(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def ready(folder: Path | None = None, *, torch_index: str | None = None) -> Path:
    """The environment's Python, with labkit as it stands in this checkout and every peer that could be installed."""
    folder = folder or FOLDER
    stamp = hashlib.sha256(PEERS.read_bytes() + CONSTRAINTS.read_bytes()).hexdigest()
    done, interpreter = folder / "installed.txt", python(folder)
    if done.exists() and done.read_text() == stamp and interpreter.exists():
        return interpreter
    say(f"making the peers' environment {folder} (some minutes, once)")
    if not interpreter.exists():
        venv.create(folder, with_pip=True)
    if torch_index:
        install(interpreter, "--index-url", torch_index, "torch", "torchvision")
    wanted = [line.partition("#")[0].strip() for line in PEERS.read_text().splitlines()]
    wanted = [line for line in wanted if line]
    if error := install(interpreter, "-e", str(ROOT)):
        raise SystemExit(f"labkit bench: labkit could not be installed into {folder}:\n{error}")
    if install(interpreter, *wanted):  # one that cannot be had must not keep out the others
        for line in wanted:
            if error := install(interpreter, line):
                say(f"{line} could not be installed, so its lines stay empty: {error.splitlines()[-1]}")
    gpu = run(interpreter, "-c", "import torch; assert torch.cuda.is_available()").returncode == 0
    if gpu and (error := install(interpreter, "inf-cl==1.2.1")):
        say(f"inf-cl could not be installed: {error.splitlines()[-1]}")
    done.write_text(stamp)
    return interpreter


def install(interpreter: Path, *what: str) -> str:
    """What pip said if it failed."""
    pip = ("-m", "pip", "--disable-pip-version-check", "install", "-q", "-c", str(CONSTRAINTS))
    found = run(interpreter, *pip, *what)
    return "" if found.returncode == 0 else found.stderr.strip() or "pip failed"


def run(interpreter: Path, *arguments: str, **options: Any) -> subprocess.CompletedProcess:
    return subprocess.run([str(interpreter), *arguments], capture_output=True, text=True, cwd=ROOT, check=False, **options)


def ask(interpreter: Path, *arguments: Any, gib: float | None = None, threads: int | None = None, timeout: float = 1200) -> Any:
    """What a worker answers; a worker that breaks answers with its last words."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", "TOKENIZERS_PARALLELISM": "false"}
    env |= {"HF_HUB_OFFLINE": "1", "LABKIT_BENCH_GIB": f"{gib:.1f}" if gib else ""}
    if threads:
        env["OMP_NUM_THREADS"] = str(threads)
    try:
        found = run(interpreter, str(HERE / "worker.py"), *map(str, arguments), env=env, timeout=timeout)
    except subprocess.TimeoutExpired:
        return {"skip": f"not done after {timeout / 60:.0f} minutes"}
    if found.returncode == 0:
        return json.loads(found.stdout.splitlines()[-1])
    last = found.stderr.strip().splitlines()[-1:] or [f"ended with {found.returncode}"]
    return {"skip": f"failed: {last[0][:160]}"}
