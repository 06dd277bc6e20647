"""`labkit sweep`: the runs of a grid, from the words of a command line."""

import argparse
import ast
from typing import Any

FIELDS = ("data", "model", "loss", "augment", "optimizer", "target", "steps", "batch", "views", "seed", "device")
OPTIONS = ("backend", "jobs", "threads", "name", "retry", "client")


def sweep(arguments: argparse.Namespace) -> int:
    from labkit.cli.commands import spoken
    from labkit.sweep import sweep as train
    from labkit.training import Config

    given = {name: value for name in FIELDS if (value := getattr(arguments, name)) is not None}
    config = Config(**{name: spoken(value) if isinstance(value, list) else value for name, value in given.items()})
    over = dict(axis(words) for words in arguments.over)
    options = {name: getattr(arguments, name) for name in OPTIONS}
    try:
        found = train(config, over, meters=arguments.meters, **options)
    except ImportError as error:
        raise ValueError(error) from error
    print(found)
    return 1 if found.failed else 0


def axis(words: str) -> tuple[str, list[Any]]:
    """`loss.temperature=0.1,0.5` is a name and its values.

    >>> axis("loss.temperature=0.1,0.5"), axis("loss=nt_xent,dcl"), axis("augment.scale=(0.2,1),(0.5,1)")
    (('loss.temperature', [0.1, 0.5]), ('loss', ['nt_xent', 'dcl']), ('augment.scale', [(0.2, 1), (0.5, 1)]))
    """
    name, equals, values = words.partition("=")
    if not (name and equals and values):
        raise ValueError(f"--over takes NAME=VALUE,VALUE..., such as loss.temperature=0.1,0.5; got {words!r}")
    try:
        return name, list(ast.literal_eval(f"[{values}]"))
    except (ValueError, SyntaxError):
        return name, values.split(",")  # words, such as loss=nt_xent,dcl


def sweep_parser(sub: argparse.ArgumentParser) -> None:
    from labkit.cli import train_parser

    train_parser(sub)
    sub.epilog = (
        "Example: labkit sweep --loss nt_xent --over loss.temperature=0.1,0.2,0.5 --over seed=0,1,2 --meters knn_accuracy. "
        "Stopped, and given again, it goes on where it was. On a cluster: --backend dask --client tcp://HEAD:8786."
    )
    sub.add_argument("--over", action="append", default=[], metavar="NAME=VALUES", help="an axis: loss.temperature=0.1,0.5")
    sub.add_argument("--meters", nargs="+", default=[], metavar="NAME", help="what to measure: knn_accuracy, uniformity, ...")
    sub.add_argument("--backend", default="loky", metavar="NAME", help="loky (default), dask, ray or sequential")
    sub.add_argument("--client", metavar="ADDRESS", help="of Dask's scheduler or of Ray (default: this machine's cores)")
    sub.add_argument("--jobs", type=int, default=-1, metavar="N", help="how many runs at once (default: as there are cores)")
    sub.add_argument("--threads", type=int, default=1, metavar="N", help="of each run (default: %(default)s)")
    sub.add_argument("--name", default="", metavar="NAME", help="of the sweep's folder (default: named after the grid)")
    sub.add_argument("--retry", action="store_true", help="try runs that failed again")
