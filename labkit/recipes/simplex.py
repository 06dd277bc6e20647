"""One prompt, three to five answers, one preference: where a loss moves the policy from any point of the simplex.

The policy is a softmax of logits, and the logits move by plain gradient descent on what lies below them, in steps so small that
they are a flow: `d logits = K (-dL / d logits)`. K says what lies below: the identity where each answer has a logit of its
own, `W W^T` where the answers' output vectors W stand still and a feature that they share learns. K does not depend on where
the policy is, so the flow is exact everywhere. The loss enters by its two slopes, which autograd takes on labkit's own losses.
"""

import functools
import inspect
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from labkit import preferences
from labkit.data.preferences import OPENERS, load
from labkit.training import Call

CHOSEN, REJECTED = OPENERS.index("No"), OPENERS.index("Never")
NAMES = (*OPENERS, "OK", "Hm")
# Output vectors of the fourth and fifth answer, on the line from Yes to No: OK close to Yes, Hm in the middle.
MORE = ((0.8, 0.0), (0.0, 0.0))
OTHERS = (0.6, 0.3, 0.1)  # how Yes, OK and Hm share what the pair leaves, as far as they are there
GEOMETRIES = ("independent", "alike", "both", "apart")
NEAR = 1e-9  # a step this short (in logits) ends a path; a log-ratio this small is 0


def vectors(geometry: str = "alike", answers: int = 3) -> np.ndarray:
    """Output vectors `(answers, 2)`: No and Never alike, and Never more so; or told apart across the line from Yes to No."""
    name = "perpendicular" if geometry == "apart" else "aligned"
    head = load("three_answers", geometry=name).factors["head"].numpy()
    return np.concatenate([head, np.array(MORE)])[:answers]


def kernel(geometry: str, answers: int = 3) -> np.ndarray:
    """How logits answer a push on logits, `(answers, answers)`.

    "independent": only the head learns, and every answer has a logit of its own. "alike": only the feature learns that No and
    Never share, as set-up A1 of lesson 04. "both": both learn, as they do in the first step. "apart": only features learn, and
    one of them tells No from Never.
    """
    if geometry not in GEOMETRIES:
        raise ValueError(f"geometry must be one of {', '.join(GEOMETRIES)}; got {geometry!r}")
    own = np.eye(answers)
    if geometry == "independent":
        return own
    head = vectors(geometry, answers)
    shared = head @ head.T
    if geometry != "both":
        return shared
    state = load("three_answers").factors["features"][-1].numpy()
    return shared + float(state @ state) * own


@functools.cache
def opening() -> np.ndarray:
    """Where set-up A1 of lesson 04 starts: chosen, rejected and the rest, `(3,)`."""
    state = load("three_answers").factors["features"][-1].numpy()
    logits = vectors() @ state
    return gathered(np.exp(logits - logsumexp(logits)))


def others(answers: int) -> np.ndarray:
    """How the answers that no pair mentions share their probability: `(answers,)`, 0 for chosen and rejected."""
    rest = np.zeros(answers)
    rest[[k for k in range(answers) if k not in (CHOSEN, REJECTED)]] = OTHERS[: answers - 2]
    return rest / rest.sum()


def spread(point: np.ndarray, answers: int = 3) -> np.ndarray:
    """Policies `(..., answers)` from the probabilities `(..., 3)` of chosen, rejected and all others together."""
    one = np.eye(answers)
    return point[..., :1] * one[CHOSEN] + point[..., 1:2] * one[REJECTED] + point[..., 2:] * others(answers)


def gathered(p: np.ndarray) -> np.ndarray:
    """Chosen, rejected and all others together `(..., 3)`: also right for changes of probabilities."""
    pair = p[..., [CHOSEN, REJECTED]]
    return np.concatenate([pair, (p.sum(-1) - pair.sum(-1))[..., None]], -1)


@dataclass(frozen=True)
class Flow:
    """Where one loss moves a policy.

    Args:
        loss: an entry of `labkit.preferences` that takes a pair, with its options; `chosen_lengths` and `rejected_lengths` are
            options too (1 where they are not given).
        kernel: `(answers, answers)`.
        reference: log-probabilities `(answers,)`.
    """

    loss: Call
    kernel: np.ndarray
    reference: np.ndarray

    @property
    def bent(self) -> bool:
        """Whether the loss has a kink where the chosen answer stands as the reference has it, as DPOP has."""
        return bool(self.loss.kwargs.get("lambda_"))

    def on_kink(self, logps: np.ndarray) -> bool:
        return self.bent and bool(abs(logps[CHOSEN] - self.reference[CHOSEN]) < NEAR)

    def slopes(self, logps: np.ndarray, side: int | None = None) -> np.ndarray:
        """Minus the loss's slopes in the two log-probabilities, `(..., 2)`, by autograd on labkit's loss of this one pair.

        `side`: take the slopes above (1) or below (-1) the kink, for policies that stand on it.
        """
        flat = logps.reshape(-1, logps.shape[-1])
        pair = [torch.tensor(flat[:, k], dtype=torch.float64) for k in (CHOSEN, REJECTED)]
        if self.bent and side is not None:
            pair[0] = self.beside(pair[0], side)
        pair = [x.requires_grad_() for x in pair]
        values = self.value(*pair)
        found = torch.autograd.grad(values.sum(), pair, allow_unused=True)
        slopes = torch.stack([torch.zeros_like(x) if g is None else g for x, g in zip(pair, found, strict=True)], -1)
        return -slopes.numpy().reshape(*logps.shape[:-1], 2)

    def beside(self, chosen: Tensor, side: int) -> Tensor:
        known = float(self.reference[CHOSEN])
        return chosen.clamp(min=known) if side > 0 else chosen.clamp(max=known - 1e-12)

    def value(self, chosen: Tensor, rejected: Tensor) -> Tensor:
        """The loss of each of these pairs taken alone, as labkit's function gives it by default."""
        entry = getattr(preferences, self.loss.name)
        options = dict(self.loss.kwargs)
        known = {f"ref_{side}_logps": float(self.reference[k]) for side, k in (("chosen", CHOSEN), ("rejected", REJECTED))}
        known |= {name: float(options.pop(name, 1)) for name in ("chosen_lengths", "rejected_lengths")}
        needed = {name for name, p in inspect.signature(entry).parameters.items() if p.default is p.empty}
        rest = {name: torch.full_like(chosen, x) for name, x in known.items() if name in needed}
        values = entry(chosen, rejected, **rest, **options, reduction="none")
        return values * len(chosen) / len(values)  # a loss of single answers takes the mean of a pair's two

    # ------------------------------------------------------------------ the flow

    def drive(self, logps: np.ndarray, side: int | None = None) -> np.ndarray:
        """Minus the loss's gradient on the logits: `u_w (e_w - p) + u_l (e_l - p)`. Its components sum to 0."""
        slopes = self.slopes(logps, side)
        one = np.eye(logps.shape[-1])
        pushed = slopes[..., :1] * one[CHOSEN] + slopes[..., 1:] * one[REJECTED]
        return pushed - slopes.sum(-1, keepdims=True) * np.exp(logps)

    def logits(self, logps: np.ndarray, side: int | None = None) -> np.ndarray:
        """How fast the logits move."""
        return self.drive(logps, side) @ self.kernel

    def rates(self, logps: np.ndarray, side: int | None = None) -> np.ndarray:
        """How fast the log-probabilities move."""
        moved = self.logits(logps, side)
        return moved - (np.exp(logps) * moved).sum(-1, keepdims=True)

    def field(self, p: np.ndarray) -> np.ndarray:
        """How fast the probabilities move, `(..., answers)`. The components sum to 0: nothing is won that nobody lost."""
        return p * self.rates(np.log(p))

    def falling(self, p: np.ndarray) -> np.ndarray:
        """The faster of the two rates of chosen and rejected: below 0 where both fall."""
        return self.rates(np.log(p))[..., [CHOSEN, REJECTED]].max(-1)


def margin_of(logps: np.ndarray) -> np.ndarray:
    return logps[..., CHOSEN] - logps[..., REJECTED]


def margin_alone(kernel: np.ndarray, start: np.ndarray, won: np.ndarray) -> np.ndarray:
    """Log-probabilities `(..., answers)` where any loss of the margin alone has won these margins: a line in logits.

    Such a loss pushes as hard up as down, so the logits always move along `K (e_w - e_l)`, however fast.
    """
    along = kernel[CHOSEN] - kernel[REJECTED]
    x = start + np.asarray(won)[..., None] * along / margin_of(along)
    return x - logsumexp(x)


def logsumexp(x: np.ndarray) -> np.ndarray:
    most = x.max(-1, keepdims=True)
    return most + np.log(np.exp(x - most).sum(-1, keepdims=True))
