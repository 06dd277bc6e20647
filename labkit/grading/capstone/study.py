"""The log of a study: what was predicted, run, measured, drawn and claimed, in one file that is handed in with the notebook.

It notes dates by itself. A prediction that is changed after the first run is not overwritten: both are kept, with their dates.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labkit.training import Config, Run, fit


class Study:
    """Writes `results.json` after every step, so that nothing is lost when a kernel is.

    Args:
        path: of the file; what is in it already is kept.

    >>> import tempfile, pathlib
    >>> study = Study(pathlib.Path(tempfile.mkdtemp()) / "results.json")
    >>> study.predict("The mean of 12 draws spreads 3 times less than one.")
    >>> study.ran("one draw", seed=0, values=[0.9]), len(study.notes["runs"])
    ('b7413d8e7702d686', 1)
    """

    def __init__(self, path: str | Path = "results.json"):
        self.path = Path(path)
        kept = json.loads(self.path.read_text(encoding="utf-8")) if self.path.exists() else {}
        self.notes: dict[str, Any] = {
            "predictions": [],
            "runs": [],
            "measures": [],
            "figures": [],
            "claims": [],
            "intervals": [],
        }
        self.notes |= kept

    def predict(self, words: str) -> None:
        """What you expect, in a sentence with a number; its date is now, unless these very words are known already."""
        if not any(known["words"] == words for known in self.notes["predictions"]):
            self.notes["predictions"].append({"words": words, "date": now()})
        self.save()

    def run(self, config: Config, condition: str = "") -> Run:
        """Train (or open what was trained before) and note name, settings, seed and date."""
        run = fit(config)
        files = sorted(run.folder.iterdir(), key=lambda f: f.stat().st_mtime) if run.folder else []
        when = stamp(datetime.fromtimestamp(files[0].stat().st_mtime, UTC)) if files else now()
        name = run.folder.name if run.folder else named(config.text)
        self.note(
            "runs", {"name": name, "condition": condition, "config": config.text, "seed": config.seed, "date": when}, "name"
        )
        return run

    def ran(self, condition: str, *, seed: int, values: Sequence[float], config: str = "") -> str:
        """Note a run of your own loop; its name is a hash of its settings and numbers."""
        words = config or condition
        name = named(f"{words}; seed={seed}; {[float(v) for v in values]}")
        self.note("runs", {"name": name, "condition": condition, "config": words, "seed": seed, "date": now()}, "name")
        return name

    def measure(
        self,
        metric: str,
        values: Mapping[str, Iterable[float]],
        *,
        unit: str,
        chance: float,
        baseline: str,
        range: tuple[float, float],
    ) -> None:
        """The numbers of every condition, one for each seed.

        Args:
            metric: its name.
            values: condition -> numbers in the order of the seeds.
            unit: of the numbers ("share of images", "nats").
            chance: what guessing would give.
            baseline: which of the conditions is the one to beat.
            range: the least and the most that the metric can be.
        """
        plain = {name: [float(v) for v in each] for name, each in values.items()}
        facts = {"metric": metric, "values": plain, "unit": unit, "chance": chance, "baseline": baseline, "range": list(range)}
        self.note("measures", facts, "metric")

    def figure(self, figure: Any, alt: str) -> Any:
        """Note what a matplotlib figure shows: the labels of its axes and of its lines. Gives the figure back."""
        axes = [{"x": ax.get_xlabel(), "y": ax.get_ylabel(), "lines": labels(ax)} for ax in figure.axes if ax.has_data()]
        self.note("figures", {"axes": axes, "alt": alt}, "alt")
        return figure

    def claims(self, made: Iterable[Any], *, null: Mapping[str, float]) -> None:
        """Note the claims of this notebook (`labkit.lessons.CLAIMS`).

        Args:
            null: sentence -> what its number would be if nothing were going on: 0 for a difference, chance for an accuracy.
        """
        for claim in made:
            facts = {"text": claim.text, "values": list(claim.values), "op": claim.op, "bound": claim.bound, "kind": claim.kind}
            self.note("claims", {**facts, "null": null.get(claim.text)}, "text")

    def interval(self, what: str, estimate: Any, n: int) -> None:
        """Note an interval of `labkit.metrics.interval` and how many rows it is from."""
        low, value, high = (float(getattr(estimate, name)) for name in ("low", "value", "high"))
        self.note("intervals", {"what": what, "value": value, "low": low, "high": high, "n": n}, "what")

    def note(self, kind: str, facts: dict[str, Any], key: str) -> None:
        """Add it, or put it in the place of the one with the same key."""
        self.notes[kind] = [each for each in self.notes[kind] if each[key] != facts[key]] + [facts]
        self.save()

    def save(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        half = self.path.with_name(f".{self.path.name}.part")
        half.write_text(json.dumps(self.notes, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        half.replace(self.path)


def labels(ax: Any) -> list[str]:
    """Of lines, bars and points; what matplotlib calls by itself begins with an underscore."""
    found = [artist.get_label() for artist in (*ax.lines, *ax.collections, *ax.containers, *ax.patches)]
    texts = [text.get_text() for text in ax.texts]
    return [str(each) for each in dict.fromkeys([*found, *texts]) if each and not str(each).startswith("_")]


def named(words: str) -> str:
    return hashlib.sha256(words.encode()).hexdigest()[:16]


def now() -> str:
    return stamp(datetime.now(UTC))


def stamp(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")
