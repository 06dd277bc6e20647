"""Every comparison in one go: `python tests/benchmarks/run.py` from any Python 3.11. Writes `RESULTS.md` beside this file.

Each measurement is one call in a process of its own; rounds alternate between ours and the peers; ratios are taken within a
round. The peers live in their own environment (`build/bench-env`), which this makes. The standard library alone.
"""

import argparse
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[0] = str(HERE.parent)  # tests/, where this is the package `benchmarks`

from benchmarks import environment, machine, table  # noqa: E402
from benchmarks.environment import ROOT, say  # noqa: E402

LONG = 60.0  # CPU seconds after which one round is enough
BUILT = ROOT / "build" / "bench"
OURS = "labkit"


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run.py", description="labkit beside the libraries that one would pick instead.")
    parser.add_argument("--only", action="append", metavar="NAME", help="this comparison alone; may be given again")
    parser.add_argument("--against", action="append", metavar="PEER", help="labkit and the peers whose name holds this, alone")
    parser.add_argument("--size", action="append", type=int, metavar="N", help="at this size instead; may be given again")
    parser.add_argument("--quick", action="store_true", help="small sizes, one round, as many at once as there are cores")
    parser.add_argument("--large", action="store_true", help="the largest sizes, too: 65,536 pairs")
    parser.add_argument("--rounds", type=int, default=3, help="of ours and the peers in turn (3)")
    parser.add_argument("--seed", type=int, default=0, help="of the inputs (0)")
    parser.add_argument("--threads", type=int, help="of every process; as many as torch takes, if not given")
    parser.add_argument("--memory", type=float, metavar="GIB", help="what a call may take; three quarters of what is free")
    parser.add_argument("--no-peers", action="store_true", help="in this Python, without the peers' environment")
    parser.add_argument("--env", type=Path, help="the peers' environment, where it is another")
    parser.add_argument(
        "--torch-index", metavar="URL", default=os.environ.get("TORCH_INDEX"), help="where torch for CPUs is had"
    )
    parser.add_argument("--out", type=Path, help="the report; RESULTS.md for a full run, build/bench/RESULTS.md otherwise")
    return parser.parse_args()


class Bench:
    """One run: what is asked, and what came out so far."""

    def __init__(self, asked: argparse.Namespace, interpreter: Path):
        self.asked, self.interpreter = asked, interpreter
        self.threads = asked.threads or (1 if asked.quick else None)  # several processes share the cores there
        self.gib = asked.memory or machine.free_gib() * 0.75
        self.found: dict[tuple[str, int], dict[str, list[dict[str, Any]]]] = {}

    def measure(self, case: dict[str, Any], size: int) -> None:
        """All contenders in turn, round after round; one that cannot, or takes long, is asked once."""
        rows = self.found[case["name"], size] = {name: [] for name in self.contenders(case, size)}
        for turn in range(1 if self.asked.quick else self.asked.rounds):
            names = [name for name, seen in rows.items() if not seen or not done(seen[-1])]
            names = names[turn % len(names) :] + names[: turn % len(names)] if names else []
            with ThreadPoolExecutor((os.cpu_count() or 1) if self.asked.quick else 1) as pool:
                for name, one in zip(names, pool.map(lambda name: self.ask(case, name, size), names), strict=True):
                    rows[name].append(one)
                    say(f"{case['name']} {size:,} round {turn + 1}, {name}: {one.get('skip') or brief(one)}")

    def ask(self, case: dict[str, Any], name: str, size: int) -> dict[str, Any]:
        words = ("measure", case["file"], case["name"], name, size, self.asked.seed)
        return environment.ask(self.interpreter, *words, gib=self.gib, threads=self.threads)

    def contenders(self, case: dict[str, Any], size: int) -> list[str]:
        wanted = self.asked.against
        return [
            name
            for name, up_to in case["contenders"].items()
            if (up_to is None or size <= up_to) and (not wanted or name == OURS or any(part in name for part in wanted))
        ]

    def sizes(self, case: dict[str, Any]) -> list[int]:
        if self.asked.size:
            return self.asked.size
        return [case["quick"]] if self.asked.quick else [*case["sizes"], *(case["large"] if self.asked.large else [])]


def done(one: dict[str, Any]) -> bool:
    return "skip" in one or one["seconds"] > LONG


def brief(one: dict[str, Any]) -> str:
    return f"{one['seconds']:.3f} s, {one['mib']:.0f} MiB"


def main() -> None:
    asked = options()
    interpreter = Path(sys.executable) if asked.no_peers else environment.ready(asked.env, torch_index=asked.torch_index)
    about = environment.ask(interpreter, "about")
    if "skip" in about:
        raise SystemExit(f"labkit bench: {interpreter} cannot: {about['skip']}")
    cases = about["cases"]
    if unknown := set(asked.only or []) - set(cases):
        raise SystemExit(f"--only: no comparison is called {', '.join(sorted(unknown))}; there are {', '.join(cases)}")
    for name, why in ({} if asked.no_peers else environment.ask(interpreter, "fetch")).items():
        say(f"{name}: {why}")
    bench, facts = Bench(asked, interpreter), machine.facts(about)
    for case in cases.values():
        if asked.only and case["name"] not in asked.only:
            continue
        for size in bench.sizes(case):
            bench.measure(case, size)
            written(BUILT / "RESULTS.md", table.report(facts, cases, bench.found, asked))
            written(BUILT / "results.json", json.dumps([[*key, rows] for key, rows in bench.found.items()], indent=1))
    report = (BUILT / "RESULTS.md").read_text(encoding="utf-8")
    part = asked.quick or asked.only or asked.against or asked.size or asked.no_peers
    written(out := asked.out or (BUILT if part else HERE) / "RESULTS.md", report)
    print(report)
    say(f"written to {out}")


def written(path: Path, text: str) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


if __name__ == "__main__":
    main()
