"""The first-order account of a run: what every step did to both answers, by the optimiser's actual update, and whose push.

A step moves the parameters by `delta`. To first order the chosen answers' mean log-probability moves by `<g+, delta>`. The
update is linear in the gradients so far, given the optimiser's second moments: so it is the sum of what the chosen answers' own
push made of it, what the push on the rejected answers made of it (entanglement), and the rest: weight decay, other terms of the
loss, momentum from before the account was opened.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer, RMSprop

Gradients = list[Tensor | None]


class Parts(NamedTuple):
    """A first-order change in nats, and what it is the sum of."""

    total: float
    own: float
    entangled: float
    rest: float

    def __add__(self, other: "Parts") -> "Parts":  # type: ignore[override]
        return Parts(*(a + b for a, b in zip(self, other, strict=True)))


NOTHING = Parts(0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Line:
    """One step of the account.

    chosen, rejected: the change of the mean log-probability. For the rejected answers "own" is the push on them.
    ratio: `<g+, g-> / |g+|^2` for plain gradient descent, at this point; NaN where `g+` is 0.
    """

    chosen: Parts = NOTHING
    rejected: Parts = NOTHING
    ratio: float = float("nan")

    @property
    def row(self) -> dict[str, float]:
        """The line as columns of a history."""
        named = {"chosen": self.chosen._asdict(), "rejected": self.rejected._asdict()}
        parts = {(side, part): value for side, found in named.items() for part, value in found.items()}
        return {f"account_{s}" + ("" if p == "total" else f"_{p}"): v for (s, p), v in parts.items()}


class Account:
    """Takes an optimiser's steps, and writes down what each did to both answers.

    Args:
        parameters: what the optimiser moves.
        optimizer: SGD (with momentum, Nesterov, dampening), Adam or AdamW (with AMSGrad), RMSprop (centred, with momentum).
        clip: clip the gradients to this norm before the step, as trainers do.

    Raises:
        TypeError: another optimiser: how its update depends on the gradients is not known here.

    Source: the split is that of Yuan et al. 2024 (arXiv 2410.13828), who have it for plain gradient descent; here the update is
    the optimiser's, as each of torch.optim documents it.

    >>> theta = torch.zeros(3, dtype=torch.float64, requires_grad=True)       # logits of chosen, rejected and a third answer
    >>> account = Account([theta], torch.optim.SGD([theta], lr=0.1))
    >>> chosen, rejected, _ = theta.log_softmax(-1)
    >>> line = account.step(chosen, rejected, -torch.nn.functional.logsigmoid(chosen - rejected))
    >>> print(f"own {line.chosen.own:.4f}, entangled {line.chosen.entangled:.4f}, ratio {line.ratio:.2f}")
    own 0.0333, entangled 0.0167, ratio -0.50
    """

    def __init__(self, parameters: Iterable[Tensor], optimizer: Optimizer, *, clip: float | None = None):
        if not isinstance(optimizer, (SGD, Adam, RMSprop)):
            raise TypeError(f"optimizer must be SGD, Adam, AdamW or RMSprop of torch.optim, got {type(optimizer).__name__}")
        self.parameters = [p for p in parameters if p.requires_grad]
        if not self.parameters:
            raise ValueError("parameters holds nothing that learns")
        self.optimizer, self.clip = optimizer, clip
        self.moments: list[list[Tensor]] = [[torch.zeros_like(p) for p in self.parameters] for _ in ("chosen", "rejected")]
        self.total = Line()

    def step(self, chosen: Tensor, rejected: Tensor, loss: Tensor, *, watched: tuple[Tensor, Tensor] | None = None) -> Line:
        """Backward, and one step of the optimiser.

        Args:
            chosen, rejected: the log-probabilities that the loss was computed from, one for each pair or their means.
            loss: any function of them, and of anything else.
            watched: two numbers to keep the account of instead of the batch's own means: those of a fixed set, for example.

        Raises:
            ValueError: the loss was not computed from these tensors.
        """
        up, down = self.pushes(chosen, rejected, loss)
        means = watched or (chosen.mean(), rejected.mean())
        slopes = [gradients(mean, self.parameters) for mean in means]
        self.optimizer.zero_grad()
        loss.backward()
        scale = self.clipped()
        fresh = [self.untouched(p) for p in self.parameters]
        before = [p.detach().clone() for p in self.parameters]
        self.optimizer.step()
        moved = [p.detach() - b for p, b in zip(self.parameters, before, strict=True)]
        shares = [self.share(i, push, scale, fresh) for i, push in enumerate((up, down))]
        line = Line(parts(slopes[0], moved, shares), parts(slopes[1], moved, shares[::-1]), ratio(*slopes))
        self.total = Line(self.total.chosen + line.chosen, self.total.rejected + line.rejected, line.ratio)
        return line

    def pushes(self, chosen: Tensor, rejected: Tensor, loss: Tensor) -> list[Gradients]:
        """The loss's gradient through the chosen answers, and through the rejected ones."""
        for name, logps in (("chosen", chosen), ("rejected", rejected)):
            if not logps.requires_grad:
                raise ValueError(f"{name} has no gradient: hand over the log-probabilities that the loss was computed from")
        weights = torch.autograd.grad(loss, [chosen, rejected], retain_graph=True, allow_unused=True)
        if weights[0] is None and weights[1] is None:
            raise ValueError(
                "the loss does not depend on chosen or rejected: hand over the very tensors it was computed from, "
                "the log-probability of each pair and not their means"
            )
        pairs = zip((chosen, rejected), weights, strict=True)
        return [[None] * len(self.parameters) if w is None else gradients(x, self.parameters, w) for x, w in pairs]

    def clipped(self) -> float:
        """Clip, and say by which factor."""
        if self.clip is None:
            return 1.0
        norm = float(nn.utils.clip_grad_norm_(self.parameters, self.clip))
        return min(1.0, self.clip / (norm + 1e-6))

    def untouched(self, p: Tensor) -> bool:
        """Whether the optimiser has no momentum of this parameter yet: SGD's first is not dampened."""
        return self.optimizer.state.get(p, {}).get("momentum_buffer") is None

    def share(self, which: int, push: Gradients, scale: float, fresh: Sequence[bool]) -> list[Tensor]:
        """What this push made of the update, now that the optimiser's second moments are those of the step."""
        groups = {p: group for group in self.optimizer.param_groups for p in group["params"]}
        made = []
        for i, p in enumerate(self.parameters):
            g = push[i]
            if p.grad is None or p not in groups:
                made.append(torch.zeros_like(p))
                continue
            g = torch.zeros_like(p) if g is None else scale * g
            group, moment = groups[p], self.moments[which][i]
            g = -g if group["maximize"] else g
            made.append(-float(group["lr"]) * self.direction(group, self.optimizer.state[p], g, moment, fresh[i]))
        return made

    def direction(self, group: dict, state: dict, g: Tensor, moment: Tensor, fresh: bool) -> Tensor:
        """The update's direction for the part `g` of the gradient; `moment` is this part's first moment, moved on in place."""
        if isinstance(self.optimizer, Adam):
            first, second = group["betas"]
            moment.mul_(first).add_(g, alpha=1 - first)
            t = float(state["step"])
            v = state["max_exp_avg_sq"] if group["amsgrad"] else state["exp_avg_sq"]
            return moment / (1 - first**t) / ((v / (1 - second**t)).sqrt() + group["eps"])
        if isinstance(self.optimizer, RMSprop):
            v = state["square_avg"] - state["grad_avg"].square() if group["centered"] else state["square_avg"]
            g = g / (v.sqrt() + group["eps"])
            return moment.mul_(group["momentum"]).add_(g).clone() if group["momentum"] else g
        if not group["momentum"]:
            return g
        moment.mul_(group["momentum"]).add_(g, alpha=1.0 if fresh else 1 - group["dampening"])
        return g + group["momentum"] * moment if group["nesterov"] else moment.clone()

    def state_dict(self) -> dict[str, Any]:
        total = [list(self.total.chosen), list(self.total.rejected), self.total.ratio]
        return {"moments": self.moments, "total": total}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for kept, stored in zip(self.moments, state["moments"], strict=True):
            for moment, value in zip(kept, stored, strict=True):
                moment.copy_(value)
        chosen, rejected, last = state["total"]
        self.total = Line(Parts(*chosen), Parts(*rejected), last)


def gradients(x: Tensor, parameters: Sequence[Tensor], weights: Tensor | None = None) -> Gradients:
    return list(torch.autograd.grad(x, parameters, weights, retain_graph=True, allow_unused=True))


def inner(slopes: Gradients, others: Sequence[Tensor | None]) -> float:
    pairs = [(a, b) for a, b in zip(slopes, others, strict=True) if a is not None and b is not None]
    return float(sum((a * b).sum(dtype=torch.float64) for a, b in pairs))


def parts(slopes: Gradients, moved: Sequence[Tensor], shares: Sequence[Sequence[Tensor]]) -> Parts:
    """`<g, delta>` and its parts; `shares` has the answers' own first."""
    total, own, entangled = inner(slopes, moved), inner(slopes, shares[0]), inner(slopes, shares[1])
    return Parts(total, own, entangled, total - own - entangled)


def ratio(up: Gradients, down: Gradients) -> float:
    length = inner(up, up)
    return inner(up, down) / length if length else float("nan")
