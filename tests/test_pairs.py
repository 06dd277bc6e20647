"""Scripts and notebooks agree; an edit on either side is neither lost nor overlooked."""

import json

import nbformat
import pytest

from labkit import pairs

SCRIPT = f"""{pairs.HEADER}# %% [markdown]
# # A lesson
# With $x^2$.

# %%
{pairs.FIRST_CELL}

# %% tags=["hide"]
x = 1

# %%
x = 1
"""


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "05_try.py"
    path.write_text(SCRIPT)
    return path


def cell_edit(script, old, new):
    """Someone edits the notebook in JupyterLab, and runs it."""
    path = pairs.pair(script)
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        cell.source = cell.source.replace(old, new)
        if cell.cell_type == "code":
            cell.execution_count = 3
            cell.outputs = [nbformat.v4.new_output("stream", text="hello")]
    nbformat.write(notebook, path)


@pytest.mark.parametrize("script", pairs.scripts(), ids=lambda p: p.stem)
def test_every_lesson_and_its_notebook_agree(script):
    assert pairs.faults(script) == []


def test_generation_is_byte_identical_and_valid(script):
    assert pairs.write(script)
    first = pairs.pair(script).read_bytes()
    assert not pairs.write(script)
    pairs.pair(script).unlink()
    pairs.write(script)
    assert pairs.pair(script).read_bytes() == first
    notebook = json.loads(first)
    nbformat.validate(notebook)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert [c["cell_type"] for c in notebook["cells"]] == ["markdown", "code", "code", "code"]
    assert notebook["cells"][2]["metadata"] == {"tags": ["hide"]}
    assert all(not c.get("outputs") for c in notebook["cells"])


def test_ids_survive_a_cell_put_in_between(script):
    pairs.write(script)
    before = [c["id"] for c in json.loads(pairs.pair(script).read_text())["cells"]]
    script.write_text(SCRIPT.replace("# %% tags", "# %%\ny = 2\n\n# %% tags"))
    pairs.write(script)
    after = [c["id"] for c in json.loads(pairs.pair(script).read_text())["cells"]]
    assert len(set(after)) == len(after) == 5 and set(before) < set(after)


def test_an_old_notebook_is_made_anew(script):
    pairs.write(script)
    script.write_text(SCRIPT.replace("A lesson", "A better lesson"))
    assert "is older than its script" in pairs.faults(script)[0]
    assert pairs.write(script)
    assert pairs.faults(script) == []


def test_an_edited_notebook_stops_the_work_and_shows_the_edit(script):
    pairs.write(script)
    cell_edit(script, "A lesson", "A better lesson")
    before = pairs.pair(script).read_bytes()
    with pytest.raises(pairs.EditedNotebook, match=r"(?s)-# A lesson.*\+# A better lesson.*--keep 05_try"):
        pairs.write(script)
    assert pairs.pair(script).read_bytes() == before
    assert "holds edits that the script lacks" in pairs.faults(script)[0]


def test_edits_can_be_kept_or_dropped(script):
    pairs.write(script)
    cell_edit(script, "A lesson", "A better lesson")
    pairs.keep(script)
    assert "# # A better lesson" in script.read_text() and pairs.faults(script) == []
    assert script.read_text() == SCRIPT.replace("A lesson", "A better lesson")
    cell_edit(script, "A better lesson", "Nonsense")
    assert pairs.write(script, overwrite=True)
    assert "better" in pairs.pair(script).read_text() and pairs.faults(script) == []


def test_the_same_edit_on_both_sides_is_no_edit(script):
    pairs.write(script)
    cell_edit(script, "A lesson", "A better lesson")
    script.write_text(SCRIPT.replace("A lesson", "A better lesson"))
    assert pairs.write(script)
    assert pairs.faults(script) == []


def test_outputs_are_a_fault_but_no_edit(script):
    pairs.write(script)
    cell_edit(script, "nothing", "nothing")
    assert "has outputs" in pairs.faults(script)[0]
    assert pairs.write(script)
    assert pairs.faults(script) == []


def test_modification_times_mean_nothing(script):
    import os

    pairs.write(script)
    os.utime(script, (2e9, 2e9))
    assert pairs.faults(script) == [] and not pairs.write(script)
    os.utime(script, (1e9, 1e9))
    assert pairs.faults(script) == [] and not pairs.write(script)


def test_what_else_is_wrong_is_said(script):
    assert "is missing" in pairs.faults(script)[0]
    long = "\n".join(f"y{i} = {i}" for i in range(26))
    script.write_text(SCRIPT.removeprefix(pairs.HEADER).replace("import labkit", "import torch") + f"\n# %%\n{long}\n")
    pairs.write(script)
    head, first, second = pairs.faults(script)
    assert "05_try.py must begin with" in head and "jupytext" in head
    assert "the first code cell of 05_try.py must be" in first and "has 26 lines" in second
