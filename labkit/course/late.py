"""Points that late work loses: a rule in one line, such as "10%/day", for nbgrader's `AssignLatePenalties`."""

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path

from nbgrader.plugins import LateSubmissionPlugin
from traitlets import Unicode

SECONDS = {"minute": 60, "hour": 3600, "day": 86400, "week": 604800}
RULE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(%|points?)\s*/\s*(minute|hour|day|week)\s*$")


@dataclass(frozen=True)
class Rule:
    """So many per cent of what was earned, or so many points, for each minute, hour, day or week begun."""

    amount: float
    percent: bool
    unit: str

    @classmethod
    def read(cls, text: str) -> "Rule":
        """
        >>> Rule.read("10%/day")
        Rule(amount=10.0, percent=True, unit='day')
        """
        found = RULE.match(text)
        if not found:
            raise ValueError(f"a rule for late work is like '10%/day' or '2 points/hour' or 'none', got {text!r}")
        return cls(float(found[1]), found[2] == "%", found[3])

    def penalty(self, score: float, late: float) -> float:
        """
        >>> Rule.read("10%/day").penalty(8, 90_000)
        1.6
        """
        begun = math.ceil(late / SECONDS[self.unit])
        lost = begun * (self.amount * score / 100 if self.percent else self.amount)
        return round(min(score, lost), 6)


class PerDay(LateSubmissionPlugin):
    """nbgrader's plugin with a rule: `c.PerDay.rule = "10%/day"`, or `python -m labkit grade run --late-penalty 10%/day`."""

    rule = Unicode("", help="such as '10%/day' or '2 points/hour'; empty: the course's own (course.json), 'none': none").tag(
        config=True
    )

    def late_submission_penalty(self, student_id: str, score: float, total_seconds_late: float) -> float | None:
        text = self.rule or self.remembered()
        if text == "none":
            return super().late_submission_penalty(student_id, score, total_seconds_late)
        return Rule.read(text).penalty(score, total_seconds_late)

    def remembered(self) -> str:
        path = Path(str(self.config.CourseDirectory.root or ".")) / "course.json"
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return known.get("late", "none")
