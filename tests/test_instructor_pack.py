"""The instructor's pack: its commands exist, its code runs, its tables are those of the notebooks, its files can be read."""

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from labkit import cli, grading
from labkit.paths import notebooks

PACK = notebooks() / "assignments"
README = (PACK / "README.md").read_text(encoding="utf-8")
HUB = PACK / "hub"


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands():
    """Every `python -m labkit ...` and `labkit grade ...` of the README, code blocks and sentences alike."""
    lines = [line.partition("#")[0].strip() for block in blocks("") for line in block.splitlines()]
    lines += re.findall(r"`((?:python -m )?labkit grade [^`]+)`", README)
    found = [re.sub(r"^(python -m )?labkit ", "", line) for line in lines if "labkit grade" in line]
    return [line for line in dict.fromkeys(found) if "..." not in line]


@pytest.mark.parametrize("line", commands())
def test_its_commands_exist(line):
    words = shlex.split(line)
    if words in (["grade", "run"], ["grade", "report"]):
        words += ["a1"]
    cli.parser().parse_args(words)


def test_options_that_it_names_exist():
    parser = cli.parser()
    said = set(re.findall(r"(--[a-z][a-z-]+)", README))
    helps = "".join(help_of(parser, step) for step in ("release", "collect", "run", "feedback", "export", "report"))
    known = set(re.findall(r"(--[a-z][a-z-]+)", helps))
    assert said <= known, said - known


def help_of(parser, step):
    with pytest.raises(SystemExit), pytest.MonkeyPatch.context() as patch:
        out = []
        patch.setattr("argparse.ArgumentParser._print_message", lambda self, text, file=None: out.append(text))
        parser.parse_args(["grade", step, "--help"])
    return "".join(out)


def test_its_links_lead_somewhere():
    for target in re.findall(r"\]\((?!https?:)([^)#]*)(#[^)]*)?\)", README):
        assert (PACK / target[0]).exists(), target
    headings = {
        re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-") for h in re.findall(r"^## (.*)$", README, re.MULTILINE)
    }
    assert {anchor[1:] for _, anchor in re.findall(r"\]\(([^)#]*)(#[^)]*)\)", README)} <= headings


def test_every_assignment_is_in_the_table():
    there = {path.stem for path in PACK.glob("*/*.ipynb") if path.stem == path.parent.name}
    rows = re.findall(r"^\| `(\w+)` \|.+\|.+\| ([\d.]+) \|$", README, re.MULTILINE)
    assert len(rows) == 9 and there <= {name for name, _ in rows}
    assert "untimed estimates" in README


def test_its_own_exercise_runs_and_its_mistake_is_named():
    source = next(block for block in blocks("python") if "x1.mean_square" in block)
    space = {}
    exec(compile(source, "README.md", "exec"), space)
    try:
        exercise = grading.EXERCISES["x1.mean_square"]
        from labkit.grading.asking import answer

        right = grading.judge(exercise, lambda case: answer(lambda x: (x * x).sum() / len(x), case), seed="s")
        wrong = grading.judge(exercise, lambda case: answer(lambda x: (x * x).sum(), case), seed="s")
        assert right.passed and wrong.earned == 0 and [m.name for m in wrong.mistakes] == ["summed"]
    finally:
        grading.EXERCISES.pop("x1.mean_square", None)


def test_the_bridge_to_other_graders_runs():
    source = next(block for block in blocks("python") if "def test_nt_xent" in block)
    space = {"nt_xent": grading.reference("a1.nt_xent")}
    exec(compile(source, "README.md", "exec"), space)
    space["test_nt_xent"]()
    space["nt_xent"] = lambda z1, z2, temperature: z1.sum()
    with pytest.raises(AssertionError):
        space["test_nt_xent"]()


@pytest.mark.parametrize("file", sorted(HUB.rglob("*.py")), ids=lambda p: p.relative_to(HUB).as_posix())
def test_configuration_in_python(file):
    """It compiles, runs where only `get_config` is there, and sets what the hub's programs know."""
    from traitlets.config import Config

    c = Config()
    source = file.read_text(encoding="utf-8").replace("INSTRUCTOR_HOME", "/home/someone")
    exec(compile(source, file.name, "exec"), {"get_config": lambda: c})
    assert c
    assert set(c) <= {"CourseDirectory", "Exchange", "Execute", "NbGrader", "Spawner", "JupyterHub", "Autograde",
                      "GenerateFeedback", "AssignLatePenalties"}  # fmt: skip
    assert "Not run here" in file.read_text(encoding="utf-8")


def test_what_nbgrader_is_told_it_knows():
    pytest.importorskip("nbgrader")
    from nbgrader.apps.baseapp import NbGrader
    from nbgrader.coursedir import CourseDirectory
    from nbgrader.exchange.default import Exchange, ExchangeCollect
    from nbgrader.preprocessors import Execute
    from traitlets.config import Config

    c = Config()
    sources = [
        (HUB / "tljh" / "nbgrader_config.py").read_text(encoding="utf-8"),
        values()["singleuser"]["extraFiles"]["nbgrader"]["stringData"],
    ]
    for source in sources:
        exec(compile(source, "config", "exec"), {"get_config": lambda: c})
    kinds = {"NbGrader": NbGrader, "CourseDirectory": CourseDirectory, "Exchange": Exchange, "ExchangeCollect": ExchangeCollect}
    kinds["Execute"] = Execute
    for section, options in c.items():
        assert set(options) <= set(kinds[section].class_traits(config=True)), section


def values():
    return yaml.safe_load((HUB / "z2jh" / "values.yaml").read_text(encoding="utf-8"))


def test_values_for_the_cluster():
    """Keys as in the chart; the volume that is mounted is the one that is claimed; nbgrader looks where it is mounted."""
    found = values()
    assert set(found) == {"hub", "singleuser", "cull"}
    chart = {
        "image",
        "defaultUrl",
        "cpu",
        "memory",
        "extraEnv",
        "allowPrivilegeEscalation",
        "networkPolicy",
        "storage",
        "extraFiles",
    }
    assert set(found["singleuser"]) <= chart
    storage = found["singleuser"]["storage"]
    claim = yaml.safe_load((HUB / "z2jh" / "exchange.yaml").read_text(encoding="utf-8"))
    assert storage["extraVolumes"][0]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    (mount,) = storage["extraVolumeMounts"]
    assert mount["name"] == storage["extraVolumes"][0]["name"]
    assert f'c.Exchange.root = "{mount["mountPath"]}"' in found["singleuser"]["extraFiles"]["nbgrader"]["stringData"]
    compile(found["hub"]["extraConfig"]["10-own-numbers"], "extraConfig", "exec")


def test_scripts_parse_and_say_that_they_were_not_run():
    for file in (HUB / "tljh" / "install.sh", HUB / "z2jh" / "named.sh"):
        subprocess.run(["bash", "-n", str(file)], check=True)
    for file in (f for f in HUB.rglob("*") if f.is_file()):
        assert "Not run here" in file.read_text(encoding="utf-8"), file.name
    install = (HUB / "tljh" / "install.sh").read_text(encoding="utf-8")
    for name in re.findall(r'"\$here/([\w.]+)"', install):
        assert (HUB / "tljh" / name).exists()


def test_there_is_a_rubric_for_every_answer_in_words():
    for path in PACK.glob("*/*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        by_hand = [c for c in cells if c["metadata"].get("nbgrader", {}).get("grade") and c["cell_type"] == "markdown"]
        if by_hand:
            rubric = PACK / "rubrics" / f"{path.stem.partition('_')[0]}.md"
            total = sum(c["metadata"]["nbgrader"]["points"] for c in by_hand)
            assert rubric.exists() and f"({total:g} points)" in rubric.read_text(encoding="utf-8"), path.name
    assert Path(PACK / "rubrics" / "capstone.md").exists()
