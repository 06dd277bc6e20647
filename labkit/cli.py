"""`python -m labkit ...`: everything that is done from a terminal. Nothing heavy is imported before it is needed."""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import labkit
from labkit.paths import PACKAGE, notebooks

EPILOG = "Each command explains itself: python -m labkit tour --help"


def main(argv: list[str] | None = None) -> int:
    """Run one command; 0 if all went well, 1 if something failed, 2 if the question made no sense."""
    top = parser()
    arguments, rest = top.parse_known_args(argv)
    if rest and arguments.run is not lab:
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
    sub.add_argument("--open", action="store_true", help="open the pages in the browser")

    sub = command("lab", lab, "JupyterLab on the lessons")
    sub.epilog = "Further options are handed on to JupyterLab: labkit lab --no-browser --port=8890"

    command("doctor", doctor, "is everything here that the lessons need?")

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
    sub.epilog = "Example: labkit train --loss nt_xent temperature=0.2 --model mlp width=128 --steps 300"
    for name in ("data", "model", "loss", "augment", "optimizer", "target"):
        sub.add_argument(f"--{name}", nargs="+", metavar=("NAME", "key=value"))
    for name in ("steps", "batch", "views", "seed"):
        sub.add_argument(f"--{name}", type=int, metavar="N")
    sub.add_argument("--device", metavar="NAME", help="cpu, cuda, mps or auto")


def tour(arguments: argparse.Namespace) -> int:
    from labkit.tour import tour as walk

    ran = walk(arguments.output, only=arguments.only, smoke=arguments.smoke, timeout=arguments.timeout)
    failed = [lesson["name"] for lesson in ran if lesson["error"]]
    page = (arguments.output / "index.html").resolve()
    print(f"\n{page.as_uri() if not failed else page}")
    if arguments.open:
        import webbrowser

        webbrowser.open(page.as_uri())
    if failed:
        print(f"labkit: {len(failed)} of {len(ran)} lessons failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def lab(arguments: argparse.Namespace) -> int:
    folder = workplace(notebooks(), Path("labkit-notebooks"))
    start = folder / "00_start_here.ipynb"
    path = os.pathsep.join(p for p in (str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")) if p)
    env = {**os.environ, "PYTHONPATH": path}  # the kernels find this labkit, installed or not
    return subprocess.call(
        [sys.executable, "-m", "jupyterlab", str(start if start.exists() else folder), *arguments.rest], env=env
    )


def workplace(source: Path, copy: Path) -> Path:
    """The lessons of a checkout themselves; from an installed wheel, a copy to work on, where nobody's work is overwritten."""
    if source.parent != PACKAGE:
        return source
    new = 0
    for file in sorted(p for p in source.rglob("*") if p.is_file()):
        target = copy / file.relative_to(source)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
            new += 1
    print(f"labkit: the lessons are in {copy.resolve()} ({new} new files; what was there stays as it is)")
    return copy.resolve()


def doctor(_: argparse.Namespace) -> int:
    from labkit.doctor import doctor as examine

    report = examine()
    print(report)
    return 1 if report.faults else 0


def dpo_doctor(arguments: argparse.Namespace) -> int:
    if arguments.logs is not None:
        from labkit.diagnose import diagnose

        print(diagnose(arguments.logs, beta=arguments.beta, loss_type=arguments.loss_type))
        return 0
    missing = [name for name in ("before", "after", "pairs") if getattr(arguments, name) is None]
    if missing:
        raise ValueError(f"give --{', --'.join(missing)}; or --logs, of a run without checkpoints")
    from labkit.diagnose.checkpoints import examine, report

    names = ("opposites", "paraphrases", "limit", "max_length", "population")
    options = {name: getattr(arguments, name) for name in names} | {"gradients": arguments.gradients or None}
    found = examine(arguments.before, arguments.after, arguments.pairs, **options)
    print(found.diagnosis)
    print("\n" + "\n".join(str(path) for path in report(found, arguments.output)))
    return 0


def catalog(arguments: argparse.Namespace) -> int:
    from labkit.registry import catalog as entries

    fields = ("name", "kind", "family", "paper", "arxiv", "year", "seeds", "equation", "oracle", "status", "lessons")
    rows = [{f: getattr(entry, f) for f in fields} for entry in entries()]
    if arguments.json:
        print(json.dumps(rows, ensure_ascii=False, indent=1))
        return 0
    for row in rows:
        print(f"{row['name']:22} {row['kind']:11} {row['family']:14} {row['year'] or '':4} {row['paper']}")
    print(f"\n{len(rows)} entries; labkit catalog --json says everything")
    return 0


def data(arguments: argparse.Namespace) -> int:
    from labkit.data import CATALOG, weights
    from labkit.data.fetch import sources

    every = [*CATALOG, *weights.KNOWN]
    names = arguments.names or every
    unknown = [n for n in names if n not in every]
    if unknown:
        raise ValueError(f"there is nothing called {unknown[0]!r}; there are {', '.join(every)}")
    if arguments.action == "fetch" and not arguments.names:
        raise ValueError("say which: labkit data fetch fashion-mnist")
    for name in names:
        if name not in sources():
            print(f"{name:15} always here: nothing to fetch")
            continue
        source = sources()[name]
        paths = weights.files(name, fetch=arguments.action == "fetch")
        if not paths:
            size = sum(file.size for file in source.files) / 1e6
            print(f"{name:15} not here, {size:,.0f} MB: labkit data fetch {name}")
            continue
        where = f"in {paths[0].parent}" if arguments.action == "list" else "\n".join(["", *map(str, paths)])
        print(f"{name:15} {where}" + (f"; licence: {source.license}" if arguments.action == "list" else ""))
    return 0


def results(arguments: argparse.Namespace) -> int:
    from labkit import results as stored

    if not arguments.names:
        print("\n".join(stored.names()))
        return 0
    known = stored.names()
    for name in arguments.names:
        if name not in known:
            raise ValueError(f"there is no result called {name!r}; there are {', '.join(known) or 'none yet'}")
    for name in arguments.names:
        print(f"{name}: {stored.run(name)}")
    return 0


def pair(arguments: argparse.Namespace) -> int:
    from labkit import pairs

    every = pairs.scripts()
    for script in chosen(every, arguments.keep):
        pairs.keep(script)
        print(f"{script.name} now has the cells of its notebook")
    if arguments.check:
        faults = [fault for script in every for fault in pairs.faults(script)]
        print("\n\n".join(faults) or f"{len(every)} pairs agree")
        return 1 if faults else 0
    overwritten, stopped = chosen(every, arguments.overwrite), 0
    for script in every:
        try:
            if pairs.write(script, overwrite=script in overwritten):
                print(f"wrote {pairs.pair(script).name}")
        except pairs.EditedNotebook as error:
            stopped += 1
            print(f"labkit: {error}", file=sys.stderr)
    return 1 if stopped else 0


def chosen(scripts: list[Path], names: list[str]) -> list[Path]:
    for name in names:
        if not any(p.stem.startswith(name) for p in scripts):
            raise ValueError(f"no notebook begins with {name!r}; there are {', '.join(p.stem for p in scripts)}")
    return [p for p in scripts if any(p.stem.startswith(n) for n in names)]


def train(arguments: argparse.Namespace) -> int:
    from labkit.training import Config, fit

    given = {name: value for name, value in vars(arguments).items() if name not in ("run", "rest") and value is not None}
    config = Config(**{name: spoken(value) if isinstance(value, list) else value for name, value in given.items()})
    run = fit(config)
    chance = f" (chance {run.chance:.4g})" if run.chance is not None else ""
    print(f"{config.text}\nloss {run.history['loss'][-1]:.4g}{chance}\n{run.folder}")
    return 0


def spoken(words: list[str]) -> Any:
    """A call from the words of a command line: `nt_xent temperature=0.2`."""
    import ast

    from labkit.training import call

    name, *options = words
    kwargs = {}
    for option in options:
        key, equals, value = option.partition("=")
        if not (equals and key.isidentifier()):
            raise ValueError(f"after {name} there must be key=value, got {option!r}")
        try:
            kwargs[key] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            kwargs[key] = value  # a word, such as form=in
    return call(name, **kwargs)
