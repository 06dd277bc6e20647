"""Paths along the flow of `labkit.recipes.simplex`, walked until a margin is won and not for a number of steps.

Losses differ in how fast they go, so a path is walked at unit speed (in logits), by Runge-Kutta steps of fourth order. A step
that would pass the margin, a point of rest or a kink of the loss is made shorter, down to a billionth: there the path ends, or
goes on beyond the kink. Where a kink is pushed at from both sides, the policy slides along it: the limit of gradient descent
in ever smaller steps, which would zigzag about it.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from labkit.recipes.simplex import CHOSEN, NEAR, REJECTED, Flow, logsumexp, margin_of

STEPS = 48.5  # that many to the margin, for a loss of the margin alone: the end lies within a step
SHORT = 0.0313  # and none shorter than this in logits, unless something is in the way
MOST = 1000
End = Literal["reached", "stalls", "given away", "cut"]


@dataclass(frozen=True)
class Path:
    """Log-probabilities `(points, answers)` from the start on, and why it ends there.

    "reached": the margin is won. "stalls": nothing moves any more, or nothing ever did. "given away": the loss has lowered the
    margin by as much as was to be won. "cut": it is longer than MOST steps.
    """

    logps: np.ndarray
    end: End

    @property
    def won(self) -> np.ndarray:
        return margin_of(self.logps) - margin_of(self.logps[0])


def stride(kernel: np.ndarray, margin: float) -> float:
    """The length of a step in logits."""
    along = kernel[CHOSEN] - kernel[REJECTED]
    return max(SHORT, float(margin * np.linalg.norm(along - along.mean()) / margin_of(along) / STEPS))


@dataclass
class Walk:
    """One path in the making.

    `mode`: 1 above the kink, -1 below it, 0 along it; always 1 where the loss has none.
    """

    flow: Flow
    at: np.ndarray
    margin: float
    mode: int = 1

    def __post_init__(self) -> None:
        self.began = margin_of(self.at)
        if self.flow.bent:
            self.mode = self.standing(self.at)

    # ------------------------------------------------------------------ the kink

    def ratio(self, logps: np.ndarray) -> float:
        return float(logps[CHOSEN] - self.flow.reference[CHOSEN])

    def standing(self, logps: np.ndarray) -> int:
        return self.choice(logps) if self.flow.on_kink(logps) else int(np.sign(self.ratio(logps)))

    def slides(self, logps: np.ndarray) -> tuple[float, float]:
        """How fast the chosen answer moves just above the kink, and just below it."""
        above, below = (float(self.flow.rates(logps, side)[CHOSEN]) for side in (1, -1))
        return above, below

    def choice(self, logps: np.ndarray) -> int:
        """What becomes of a policy on the kink: 0, it stays, pushed at from both sides; 1 or -1, it goes where it is pushed."""
        above, below = self.slides(logps)
        return 0 if above < 0 < below else 1 if above >= 0 else -1

    def speed(self, logps: np.ndarray) -> np.ndarray:
        """How the logits move, up to a constant in time: centred, and of length one unless they do not move."""
        above = self.flow.logits(logps, self.mode or 1)
        moved, most = above, np.linalg.norm(above)
        if self.mode == 0:
            below = self.flow.logits(logps, -1)
            up, down = self.slides(logps)
            moved, most = above + (below - above) * up / (up - down), most + np.linalg.norm(below)
        moved = moved - moved.mean()
        length = np.linalg.norm(moved)
        return moved / length if length > NEAR * most else np.zeros_like(moved)

    # ------------------------------------------------------------------ steps

    def tried(self, size: float) -> tuple[np.ndarray, str]:
        """Where a step of this size leads, and what speaks against it."""
        slopes = [self.speed(self.at)]
        for part in (0.5, 0.5, 1.0):
            slopes.append(self.speed(normal(self.at + part * size * slopes[-1])))
        weighted = (slopes[0] + 2 * slopes[1] + 2 * slopes[2] + slopes[3]) / 6
        new = normal(self.at + size * weighted)
        if any(slope @ slopes[0] <= 0 for slope in slopes):
            return new, "at rest"
        if self.left(new) < 0:
            return new, "beyond"
        if self.flow.bent and self.mode == 0:
            return new, "" if self.choice(new) == 0 else "left"
        if self.flow.bent and self.mode * self.ratio(new) < -NEAR:
            return new, "crossed"
        return new, ""

    def path(self) -> Path:
        full = stride(self.flow.kernel, self.margin)
        points, size, why = [self.at], full, ""
        while len(points) < MOST:
            left = self.left(self.at)
            new, against = self.tried(size)
            if against == "beyond" and left > NEAR:
                size *= (1 - 1e-12) * left / (left - self.left(new))  # what is left, as if the margin grew evenly
                continue
            if not against:
                self.at = new
                points += [new] if size == full else []
                continue
            why, size = against, size / 2
            if against != "beyond" and size > NEAR:
                continue
            points.append(self.at)
            if why not in ("crossed", "left"):
                break
            self.turn(why)
            size = full
        return Path(np.stack(points), self.ended(why if len(points) < MOST else "cut"))

    def left(self, logps: np.ndarray) -> float:
        """How much margin there is still to win, or to lose."""
        return float(self.margin - abs(margin_of(logps) - self.began))

    def turn(self, why: str) -> None:
        """Go on beyond the kink, or along it."""
        self.mode = 1 if why == "left" else self.choice(self.at)
        if self.mode:
            self.at = normal(self.at + 4 * NEAR * self.speed(self.at))

    def ended(self, why: str) -> End:
        if why == "beyond":
            return "reached" if margin_of(self.at) > self.began else "given away"
        return "stalls" if why == "at rest" else "cut"


def normal(logits: np.ndarray) -> np.ndarray:
    return logits - logsumexp(logits)


def walk(flow: Flow, start: np.ndarray, margin: float) -> Path:
    """The path from these probabilities until `margin` nats are won (or lost) since the start, or nothing more is won."""
    return Walk(flow, normal(np.log(start)), margin).path()
