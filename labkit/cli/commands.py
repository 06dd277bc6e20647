"""What each command does: a question in words becomes a call, and its answer is printed."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any


def tour(arguments: argparse.Namespace) -> int:
    from labkit.tour import tour as walk

    ran = walk(arguments.output, only=arguments.only, smoke=arguments.smoke, timeout=arguments.timeout, jobs=arguments.jobs)
    failed = [lesson["name"] for lesson in ran if lesson["error"]]
    page = (arguments.output / "index.html").resolve()
    print(f"\n{page.as_uri() if not failed else page}")
    if arguments.open:
        import webbrowser

        webbrowser.open(page.as_uri())
    if failed:
        print(f"labkit: {len(failed)} of {len(ran)} lessons failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


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
    from labkit.training.parallel import first

    given = {name: value for name, value in vars(arguments).items() if name not in ("run", "rest") and value is not None}
    config = Config(**{name: spoken(value) if isinstance(value, list) else value for name, value in given.items()})
    run = fit(config)
    chance = f" (chance {run.chance:.4g})" if run.chance is not None else ""
    if first():
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
