"""`labkit report` and `labkit compare`: files in, words and a folder out."""

import argparse
import re
from pathlib import Path
from typing import Any

BOUND = re.compile(r"([\w ,.]+?)\s*(==|<=|>=|<|>)\s*(\S+)")


def report(arguments: argparse.Namespace) -> int:
    """0; 1 if a --check does not hold."""
    from labkit.diagnose import diagnose, speaks_of
    from labkit.report import report as examine

    if arguments.z2 is None and speaks_of(arguments.z1):
        print(diagnose(arguments.z1, beta=arguments.beta, loss_type=arguments.loss_type))
        return 0
    bounds = dict(map(bound, arguments.check))
    names = ("labels", "groups", "pairs", "untrained", "name", "sample", "seed")
    found = examine(arguments.z1, arguments.z2, **{name: getattr(arguments, name) for name in names})
    kept = found.save(arguments.out or Path("build/report") / slug(found.name), include_data=arguments.include_data)
    print(f"{found}\n\n{(kept / 'report.html').resolve().as_uri()}")
    return checked(found, bounds)


def checked(found: Any, bounds: dict[str, str]) -> int:
    from labkit.report import CheckFailed

    try:
        found.check(**bounds)
    except CheckFailed as failed:
        print(f"\n{failed}")
        return 1
    return 0


def compare(arguments: argparse.Namespace) -> int:
    from labkit.report import compare as beside

    names = ("labels", "names", "sample", "seed")
    found = beside(arguments.a, arguments.b, **{name: getattr(arguments, name) for name in names})
    kept = found.save(arguments.out or Path("build/compare"))
    print(f"{found}\n\n{(kept / 'compare.html').resolve().as_uri()}")
    return 0


def bound(text: str) -> tuple[str, str]:
    """`"uniformity<-2"` as a meter and what is asked of it.

    >>> bound("effective_rank > 20")
    ('effective_rank', '>20')
    """
    found = BOUND.fullmatch(text.strip())
    if found is None:
        raise ValueError(f'--check must be a meter and a bound, such as "uniformity<-2", got {text!r}')
    meter, sign, value = found.groups()
    return meter, sign + value


def slug(name: str) -> str:
    """A name that every file system takes.

    >>> slug("my run/z1.npy")
    'my-run-z1'
    """
    return re.sub(r"[^\w.-]+", "-", re.sub(r"\.\w+$", "", name)).strip("-.") or "report"


def report_parser(sub: argparse.ArgumentParser) -> None:
    sub.epilog = "Example: labkit report z1.npy z2.npy --labels y.npy; or of a preference run: labkit report trainer_state.json"
    sub.add_argument(
        "z1", metavar="FILE", help=".npy .npz .pt .safetensors .parquet .csv (FILE.npz:key for one array of several)"
    )
    sub.add_argument("z2", metavar="FILE", nargs="?", help="another view of the same rows, or another modality")
    sub.add_argument("--labels", metavar="FILE", help="a class for each row")
    sub.add_argument("--groups", metavar="FILE", help="rows of one group are not independent, and are drawn together")
    sub.add_argument("--pairs", metavar="FILE", help="which row of the first belongs to which of the second (m, 2)")
    sub.add_argument("--untrained", metavar="FILE", help="the same inputs through the model before training: a null row")
    sub.add_argument("--name", help="what the report is about (default: the file's name)")
    sub.add_argument("--sample", type=int, default=4096, metavar="N", help="rows that the meters see (default: %(default)s)")
    sub.add_argument("--seed", type=int, default=0, metavar="N", help="of every draw")
    sub.add_argument("--out", type=Path, metavar="FOLDER", help="default: build/report/NAME")
    sub.add_argument("--include-data", action="store_true", help="keep the sampled rows as well")
    sub.add_argument(
        "--check", nargs="+", default=[], metavar="BOUND", help='exit 1 unless these hold: "uniformity<-2" "alarms==0"'
    )
    sub.add_argument("--beta", type=float, help="of a preference run")
    sub.add_argument("--loss-type", metavar="NAME", help="of a preference run: TRL's name of its loss")


def compare_parser(sub: argparse.ArgumentParser) -> None:
    sub.epilog = "Example: labkit compare before.npy after.npy --labels y.npy"
    sub.add_argument("a", metavar="FILE", help="embeddings of one model")
    sub.add_argument("b", metavar="FILE", help="embeddings of the same rows by another; widths may differ")
    sub.add_argument("--labels", metavar="FILE", help="a class for each row")
    sub.add_argument("--names", nargs=2, metavar="NAME", help="what the two are called")
    sub.add_argument("--sample", type=int, default=4096, metavar="N", help="rows that the meters see (default: %(default)s)")
    sub.add_argument("--seed", type=int, default=0, metavar="N", help="of every draw")
    sub.add_argument("--out", type=Path, metavar="FOLDER", help="default: build/compare")
