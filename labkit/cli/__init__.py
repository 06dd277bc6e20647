"""`python -m labkit ...`: everything that is done from a terminal. Nothing heavy is imported before it is needed."""

import argparse
import sys
from pathlib import Path
from typing import Any

import labkit
from labkit.cli.commands import catalog, data, doctor, dpo_doctor, pair, results, tour, train
from labkit.cli.grade import grade, grade_parser
from labkit.cli.report import compare, compare_parser, report, report_parser
from labkit.cli.servers import apps, lab
from labkit.cli.sweep import sweep, sweep_parser

EPILOG = "Each command explains itself: python -m labkit tour --help"


def main(argv: list[str] | None = None) -> int:
    """Run one command; 0 if all went well, 1 if something failed, 2 if the question made no sense."""
    top = parser()
    arguments, rest = top.parse_known_args(argv)
    if rest and arguments.run not in (lab, apps):
        top.error(f"unrecognized arguments: {' '.join(rest)}")
    arguments.rest = rest
    try:
        return arguments.run(arguments)
    except (ValueError, TypeError) as error:
        print(f"labkit: {error}", file=sys.stderr)
        return 2
    except (OSError, FloatingPointError) as error:
        print(f"labkit: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("labkit: stopped", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="labkit", description=labkit.__doc__.splitlines()[0], epilog=EPILOG)
    top.add_argument("--version", action="version", version=f"labkit {labkit.__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Any, says: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=says, description=says)
        made.set_defaults(run=run)
        return made

    sub = command("tour", tour, "run the lessons and write pages that need no kernel and no network")
    sub.add_argument("--smoke", action="store_true", help="the short form: sizes are only measured")
    sub.add_argument("--only", nargs="+", metavar="NN", help="lessons whose names begin with these")
    sub.add_argument("--output", type=Path, default=Path("build/tour"), metavar="FOLDER", help="default: %(default)s")
    sub.add_argument("--timeout", type=float, default=900, metavar="SECONDS", help="for one cell (default: %(default)g)")
    sub.add_argument("--jobs", type=int, metavar="N", help="lessons at once (default: one for each core, at most four)")
    sub.add_argument("--open", action="store_true", help="open the pages in the browser")

    sub = command("lab", lab, "JupyterLab on the lessons, or on one explorer")
    sub.add_argument("--app", default="", metavar="NAME", help="one explorer, such as temperature")
    sub.add_argument("--code", default="", metavar="CODE", help="in the state of this code, such as temperature1-k3f9-8zqp")
    sub.epilog = "Further options are handed on to JupyterLab: labkit lab --no-browser --port=8890"

    sub = command("apps", apps, "all explorers as a dashboard in the browser (needs Voila)")
    sub.epilog = "Options are handed on to Voila: labkit apps --no-browser --port=8866"

    command("doctor", doctor, "is everything here that the lessons need?")

    report_parser(command("report", report, "what can be said of your embeddings, beside null rows and with intervals"))
    compare_parser(command("compare", compare, "two models' embeddings of the same rows: what differs, and what is noise"))

    doctor_parser(command("dpo-doctor", dpo_doctor, "why did the chosen answers fall? from two checkpoints, or from logs"))

    sub = command("catalog", catalog, "every objective and meter, with its paper")
    sub.add_argument("--json", action="store_true", help="everything that is known, as JSON")

    sub = command("data", data, "data sets and the language model: list, fetch, where")
    sub.add_argument("action", choices=["list", "fetch", "where"], nargs="?", default="list")
    sub.add_argument("names", nargs="*", metavar="NAME")

    sub = command("results", results, "compute stored numbers again (this can take long)")
    sub.add_argument("names", nargs="*", metavar="NAME", help="none: say which there are")

    sub = command("notebooks", pair, "write notebooks/*.ipynb from notebooks/*.py")
    sub.add_argument("--check", action="store_true", help="only say where they differ")
    sub.add_argument("--keep", nargs="+", default=[], metavar="NN", help="take the notebook's cells into the script")
    sub.add_argument("--overwrite", nargs="+", default=[], metavar="NN", help="drop what was edited in the notebook")

    grade_parser(command("grade", grade, "a course: hand out, collect, grade, give feedback (needs nbgrader)"))

    sweep_parser(command("sweep", sweep, "train every run of a grid, here or on a cluster; one table of what they gave"))
    train_parser(command("train", train, "train one model, or find it where it was trained before"))
    return top


def doctor_parser(sub: argparse.ArgumentParser) -> None:
    sub.epilog = "Example: labkit dpo-doctor --before REF --after CKPT --pairs pairs.jsonl, or --logs trainer_state.json"
    sub.add_argument("--before", metavar="REF", help="the model before: a Hugging Face folder or id")
    sub.add_argument("--after", metavar="CKPT", help="the model after preference training")
    sub.add_argument("--pairs", type=Path, metavar="FILE", help="id, prompt, chosen, rejected: .jsonl, .csv or .parquet")
    sub.add_argument("--opposites", nargs="+", default=[], metavar="WORD", help="what says the contrary of the chosen answers")
    sub.add_argument("--paraphrases", nargs="+", default=[], metavar="WORD", help="what says nearly the same")
    sub.add_argument(
        "--limit", type=int, default=256, metavar="N", help="compare a sample of so many pairs (default: %(default)s)"
    )
    sub.add_argument("--population", type=int, metavar="N", help="pairs that it was trained on (default: those in FILE)")
    sub.add_argument("--max-length", type=int, default=1024, metavar="TOKENS", help="cut longer records (default: %(default)s)")
    sub.add_argument("--gradients", action="store_true", help="entanglement of every pair, also where that takes long")
    sub.add_argument("--output", type=Path, default=Path("build/dpo-doctor"), metavar="FOLDER", help="default: %(default)s")
    sub.add_argument("--logs", metavar="FILE", help="without checkpoints: trainer_state.json, a table, a callback's folder")
    sub.add_argument("--beta", type=float, help="of the run whose logs these are")
    sub.add_argument("--loss-type", metavar="NAME", help="TRL's name of its loss")


def train_parser(sub: argparse.ArgumentParser) -> None:
    sub.epilog = (
        "Example: labkit train --loss nt_xent temperature=0.2 --model mlp width=128 --steps 300. On several GPUs or machines: "
        "torchrun --nproc_per_node=2 -m labkit train ...; --batch is then that of all processes together, and the run the same."
    )
    for name in ("data", "model", "loss", "augment", "optimizer", "target"):
        sub.add_argument(f"--{name}", nargs="+", metavar=("NAME", "key=value"))
    for name in ("steps", "batch", "views", "seed"):
        sub.add_argument(f"--{name}", type=int, metavar="N")
    sub.add_argument("--device", metavar="NAME", help="cpu, cuda, mps or auto")
