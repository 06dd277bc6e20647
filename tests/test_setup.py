"""What people install: the conda file and the pins agree with pyproject.toml, and the wheel carries everything."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONDA_NAMES = {"torch": "pytorch"}
DESIGN_CARD = {"jupyterlab", "torch", "matplotlib", "plotly", "ipywidgets", "umap-learn", "jupytext"}


def split(requirement):
    name, bound = re.fullmatch(r"([A-Za-z0-9_.-]+)(?:\[[^\]]*\])?(.*)", requirement.strip()).groups()
    return re.sub(r"[-_.]+", "-", name).lower(), bound


def bounds():
    return dict(map(split, PROJECT["project"]["dependencies"]))


def test_the_conda_environment_is_the_design_card_with_pyprojects_bounds():
    lines = (ROOT / "environment.yml").read_text(encoding="utf-8").splitlines()
    conda = dict(split(line.removeprefix("  - ")) for line in lines if re.match(r"  - [a-z]+.*>=", line))
    python = conda.pop("python")
    assert python == PROJECT["project"]["requires-python"]
    assert conda == {CONDA_NAMES.get(name, name): bounds()[name] for name in DESIGN_CARD}
    assert "      - -e .[lm]" in lines


def test_every_requirement_is_pinned_within_its_bound_in_the_tested_set():
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    pins = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pins.items()}
    assert pins["torch"] == "2.13.0"
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = bounds() | dict(map(split, [*extras["lm"], *extras["apps"], *extras["dev"]]))
    for name, bound in wanted.items():
        assert name in pins, f"{name} is not pinned in constraints.txt"
        least = [int(part) for part in re.fullmatch(r">=([0-9.]+)", bound)[1].split(".")]
        assert [int(part) for part in re.findall(r"\d+", pins[name])] >= least, f"{name} {pins[name]} is below {bound}"


@pytest.fixture(scope="module")
def wheel_folder(tmp_path_factory):
    """The wheel, built and unpacked away from the checkout."""
    built, folder = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("site")
    run = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(built), str(ROOT)]
    subprocess.run(run, check=True, capture_output=True)
    (wheel,) = built.glob("*.whl")
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", str(folder), str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    return folder


def test_the_wheel_carries_the_data_and_the_notebooks(wheel_folder):
    def names(folder):
        return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and "checkpoint" not in p.as_posix()}

    assert names(ROOT / "data") == names(wheel_folder / "labkit" / "_shipped")
    assert {n for n in names(wheel_folder / "labkit" / "_notebooks") if n.endswith(".ipynb")}
    assert (wheel_folder / "labkit" / "py.typed").exists()
    templates = Path("labkit", "apps", "templates")
    assert names(ROOT / templates) == names(wheel_folder / templates) != set()


@pytest.mark.kernel
def test_the_wheel_runs_the_tour_outside_the_checkout(wheel_folder, tmp_path):
    environment = os.environ | {"PYTHONPATH": str(wheel_folder), "LABKIT_HOME": str(tmp_path / "home")}
    environment.pop("LABKIT_TYPECHECK")
    where = subprocess.run(
        [sys.executable, "-P", "-c", "import labkit; print(labkit.__file__)"],
        env=environment, cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert where.stdout.startswith(str(wheel_folder))
    tour = [sys.executable, "-P", "-m", "labkit", "tour", "--smoke", "--only", "03a"]
    done = subprocess.run(tour, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "build" / "tour" / "index.html").exists()
