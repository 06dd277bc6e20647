"""The house plan: a room imports only from floors below it, and `import labkit` is cheap."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import labkit

HOUSE = Path(labkit.__file__).parent
FLOORS = [
    {"paths", "checks", "progress", "rows", "tiled"},
    {"gather", "directions"},
    {"registry", "energy", "link"},
    {"contrast", "forecast"},
    {"losses", "preferences", "metrics"},
    {"data"},
    {"models"},
    {"training"},
    {"diagnose", "battery", "sweep"},
    {"results"},
    {"recipes"},
    {"figures"},
    {"reader"},
    {"explorers", "grading", "lessons", "selfcheck"},
    {"doctor", "pairs", "report"},
    {"apps", "tour"},
    {"course"},
    {"cli"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
# Looking up a name by importing the rooms that register it, or the stored results' recipes: upward on purpose, when called.
UPWARD = {("registry", "losses"), ("registry", "metrics"), ("registry", "preferences")}
ROOMS = sorted(
    {p.stem if p.is_file() else p.name for p in HOUSE.iterdir() if p.suffix == ".py" or p.is_dir()} - {"__pycache__"}
)


def imports_of(path):
    """Rooms that this file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "labkit":
            names = [f"labkit.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            continue
        yield from (name.split(".")[1] for name in names if name.startswith("labkit."))


def test_every_room_stands_on_a_floor():
    assert set(ROOMS) - {"__init__", "__main__"} == set(FLOOR)


@pytest.mark.parametrize("room", sorted(FLOOR))
def test_a_room_imports_only_from_floors_below(room):
    files = [HOUSE / f"{room}.py"] if (HOUSE / f"{room}.py").exists() else sorted((HOUSE / room).rglob("*.py"))
    assert files
    for file in files:
        for other in imports_of(file):
            if other == room or other not in FLOOR or (room, other) in UPWARD:
                continue
            assert FLOOR[other] < FLOOR[room], (
                f"{file.relative_to(HOUSE)} (floor {FLOOR[room]}) imports {other} (floor {FLOOR[other]})"
            )


def test_files_are_read_in_one_sitting():
    for file in HOUSE.rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        assert len(file.read_text(encoding="utf-8").splitlines()) <= 300, f"{file.name} is two ideas"
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                documented = ast.get_docstring(node) or ""
                body = (node.end_lineno or 0) - node.lineno + 1 - documented.count("\n")
                assert body <= 60, f"{file.name}: {node.name} has {body} lines"


def test_the_version_is_one():
    """It is part of every run's name: numbers of an older version are not taken for those of a newer one."""
    written = (HOUSE.parent / "pyproject.toml").read_text(encoding="utf-8")
    assert f'\nversion = "{labkit.__version__}"\n' in written


def test_importing_labkit_loads_no_heavy_library():
    code = (
        "import sys, labkit; heavy = {'torch', 'plotly', 'matplotlib', 'umap', 'ipywidgets', 'sklearn', 'pandas'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
