"""What the displacement doctor shows: each step of a run, taken apart pair by pair, token by token, push by push."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from labkit import preferences
from labkit.data.preferences import PreferencePairs, load
from labkit.recipes import likelihood_displacement as small
from labkit.recipes import real_language_model as real
from labkit.registry import ENTRIES
from labkit.results import result
from labkit.training import Config
from labkit.training.account import Account, gradients, inner
from labkit.training.answers import answers
from labkit.training.loop import OPTIMIZERS, beginning

FRAMES = 13  # of a run: as many as the language model has states, so that each of them is seen
RECEIVERS = 6  # words that are named at each place
PARTS = ("own push", "rejected's push", "other pairs", "curvature")
SMALL = {
    "same ending, Adam": ("same suffix", "Adam"),
    "same ending, SGD": ("same suffix", "SGD"),
    "other ending, Adam": ("other suffix", "Adam"),
    "other ending, SGD": ("other suffix", "SGD"),
}
REAL = {"SmolLM2, near-duplicate": "near", "SmolLM2, opposite": "opposite", "SmolLM2, longer rejected": "late"}
STATEMENTS = ("lie-00", "cheat-00", "take-00", "harm-00")


class Ledger(Account):
    """An account in which every answer of the batch has a line of its own: who moved which chosen answer."""

    def __init__(self, parameters: Iterable[Tensor], optimizer: Optimizer, pairs: int):
        super().__init__(parameters, optimizer)
        self.moments = [[torch.zeros_like(p) for p in self.parameters] for _ in range(2 * pairs)]

    def moved(self, now: dict[str, Tensor], loss: Tensor, watched: Sequence[int]) -> np.ndarray:
        """One step; then, for each watched pair, what every chosen and then every rejected answer's push did to its chosen one.

        Returns:
            `(watched, 2 n)` in nats, to first order.
        """
        sides = [now["chosen_logps"], now["rejected_logps"]]
        weights = torch.autograd.grad(loss, sides, retain_graph=True)
        slopes = [gradients(logp, self.parameters) for side in sides for logp in side]
        scales = torch.cat([w.detach() for w in weights]).tolist()
        self.optimizer.zero_grad()
        loss.backward()
        fresh = [self.untouched(p) for p in self.parameters]
        self.optimizer.step()
        made = np.zeros((len(watched), len(slopes)))
        for source, (scale, slope) in enumerate(zip(scales, slopes, strict=True)):
            push = [None if g is None else scale * g for g in slope]
            share = self.share(source, push, 1.0, fresh)
            made[:, source] = [inner(slopes[pair], share) for pair in watched]
        return made


class Walk(NamedTuple):
    """A run, looked at before every step and after the last one.

    chosen, rejected: `(steps, pairs, t)` what each token gained since the start. margin: `(steps, pairs)`, of whole answers.
    pushes: `(steps, pairs, 2 n)` added up so far. spoken: `(steps, pairs, t, v)` log-probabilities of every word at each place
    of the chosen answer.
    """

    chosen: Tensor
    rejected: Tensor
    margin: Tensor
    pushes: np.ndarray
    spoken: list[Tensor]


def walk(config: Config, data: PreferencePairs, watched: Sequence[int]) -> Walk:
    """Train as `fit` does, on all pairs at once, and look at the watched ones at each step."""
    model, _ = beginning(config, data)
    entry, optimizer = (
        ENTRIES[config.loss.name],
        OPTIMIZERS[config.optimizer.name](model.parameters(), **config.optimizer.kwargs),
    )
    ledger, rows = Ledger(model.parameters(), optimizer, len(data)), torch.arange(len(data))
    start = {f"ref_{name}": x.detach() for name, x in answers(model, data, rows).items()}
    looks, pushes = [look(model, data, watched)], [np.zeros((len(watched), 2 * len(data)))]
    for _ in range(config.steps - 1):
        now = answers(model, data, rows)
        if config.until and mean_margin(now, start) >= config.until[1]:
            break
        given = {name: x for name, x in {**now, **start}.items() if name in entry.checker.parameters}
        made = ledger.moved(now, entry.fn(**given, **config.loss.kwargs), watched)
        looks.append(look(model, data, watched))
        pushes.append(pushes[-1] + made)
    chosen, rejected, sums, spoken = zip(*looks, strict=True)
    gained = [torch.stack(x) - x[0] for x in (chosen, rejected, sums)]
    return Walk(gained[0], gained[1], gained[2][..., 0] - gained[2][..., 1], np.stack(pushes), list(spoken))


def mean_margin(now: dict[str, Tensor], start: dict[str, Tensor]) -> float:
    gained = [now[f"{side}_logps"] - start[f"ref_{side}_logps"] for side in ("chosen", "rejected")]
    return (gained[0].mean() - gained[1].mean()).item()


@torch.no_grad()
def look(model: nn.Module, data: PreferencePairs, watched: Sequence[int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Both answers, token by token and whole, and every word at each place of the chosen one. In float64 from the logits on."""
    assert data.rejected is not None and data.rejected_mask is not None
    rows = list(watched)
    sides = [(data.chosen[rows], data.chosen_mask[rows]), (data.rejected[rows], data.rejected_mask[rows])]
    logits = [model(tokens).double() for tokens, _ in sides]
    tokens = [preferences.token_logps(x, *side) for x, side in zip(logits, sides, strict=True)]
    whole = [preferences.sequence_logps(x, *side) for x, side in zip(logits, sides, strict=True)]
    return *tokens, torch.stack(whole, dim=-1), logits[0].log_softmax(-1).float()  # type: ignore[return-value]


# ------------------------------------------------------------------ what is kept of it


def kept(made: Walk, data: PreferencePairs, watched: Sequence[int], frames: int = FRAMES) -> list[dict[str, Any]]:
    """Of every watched pair: words, what they gained, whose push it was, and who received, at some steps of the run."""
    steps = spread(made.margin.mean(-1).numpy(), frames)
    return [
        {
            "steps": np.array(steps),
            "margin": made.margin[steps, i].numpy(),
            **side_of(data, row, made.chosen[steps, i], "chosen"),
            **side_of(data, row, made.rejected[steps, i], "rejected"),
            "parts": parts(made.pushes[steps, i], made.chosen[steps, i].sum(-1).numpy(), row),
            **receivers(data, row, [made.spoken[0][i]] + [made.spoken[s][i] for s in steps]),
        }
        for i, row in enumerate(watched)
    ]


def spread(margin: np.ndarray, frames: int) -> list[int]:
    """Steps at which the margin is nearest to equal shares of where it ends; no step twice, where there are enough."""
    last = len(margin) - 1
    if last < frames:
        return [min(k, last) for k in range(frames)]
    wanted = np.linspace(0, margin[-1], frames)
    found = [int(np.abs(margin - m).argmin()) for m in wanted]
    for k in range(1, frames):
        found[k] = min(max(found[k], found[k - 1] + 1), last - frames + 1 + k)
    return [*found[:-1], last]


def side_of(data: PreferencePairs, row: int, gained: Tensor, side: str) -> dict[str, Any]:
    """The words of one answer, and what each of them gained `(frames, t)`."""
    mask = getattr(data, f"{side}_mask")[row].bool()
    words = real.readable(np.array(data.words(row, side))[mask.numpy()].tolist())  # type: ignore[arg-type]
    return {f"{side}_words": np.array(words), side: gained[:, mask].numpy()}


def parts(pushes: np.ndarray, change: np.ndarray, row: int) -> np.ndarray:
    """`(frames, 4)`: PARTS, which add up to the change of this chosen answer."""
    n = pushes.shape[1] // 2
    own, against = pushes[:, row], pushes[:, n + row]
    others = pushes.sum(1) - own - against
    return np.stack([own, against, others, change - own - against - others], axis=1)


def receivers(data: PreferencePairs, row: int, spoken: Sequence[Tensor]) -> dict[str, Any]:
    """Who gained most at each place of the chosen answer; `spoken` is the start, and then every frame.

    "gained" has the chosen word's own change first: `(frames, t, 1 + RECEIVERS)`.
    """
    places = data.chosen_mask[row].nonzero().flatten()
    before, *after = (x[places - 1].double().exp() for x in spoken)
    own = data.chosen[row, places][:, None]
    names, gains = [], []
    for then in after:
        change = then - before
        top = change.scatter(1, own, -torch.inf).topk(RECEIVERS, dim=1)
        names.append([real.readable([data.vocabulary[i] for i in line]) for line in top.indices.tolist()])
        gains.append(torch.cat([change.gather(1, own), top.values], dim=1).numpy())
    return {"gainers": np.array(names), "gained": np.stack(gains)}


def padded(cases: Sequence[dict[str, Any]]) -> dict[str, np.ndarray]:
    """One array of each, shorter answers padded with empty words and NaN."""
    return {name: stacked([np.asarray(case[name]) for case in cases]) for name in cases[0]}


def stacked(arrays: list[np.ndarray]) -> np.ndarray:
    shape = tuple(max(a.shape[axis] for a in arrays) for axis in range(arrays[0].ndim))
    kind = max((a.dtype for a in arrays), key=lambda d: d.itemsize)
    whole = np.full((len(arrays), *shape), "" if kind.kind == "U" else np.nan if kind.kind == "f" else 0, dtype=kind)
    for row, a in enumerate(arrays):
        place: Any = (row, *map(slice, a.shape))
        whole[place] = a
    return whole


# ------------------------------------------------------------------ what is stored


@result("displacement_doctor")
def small_language(policies: Sequence[str] = tuple(SMALL), seed: int = 0, frames: int = FRAMES) -> dict[str, np.ndarray]:
    """The small language: two endings, two optimisers, one pair for each of the four prompts; half a minute."""
    cases = []
    for name in policies:
        config = small.preferring(seed, *SMALL[name])
        data = load("grammar", **config.data.kwargs)
        watched = range(0, len(data), 2)
        found = kept(walk(config, data, watched), data, watched, frames)
        cases += [{"policy": name, "asked": data.words(row)[0], **case} for row, case in zip(watched, found, strict=True)]
    return padded(cases)


@result("displacement_doctor_words")
def real_words(kinds: Sequence[str] = tuple(REAL), statements: Sequence[str] = STATEMENTS) -> dict[str, np.ndarray]:
    """SmolLM2, trained on one pair of sentences at a time: 12 runs, some minutes."""
    cases = []
    for name, statement in itertools.product(kinds, statements):
        kind = REAL[name]
        (row,) = [r for r in real.statements.rows(kind=kind, wording="say") if r["id"] == f"{statement}-{kind}-say"]
        config = real.preferring(kind, id=row["id"], n=1, topic=row["topic"], split=row["split"])
        data = load("statements", **config.data.kwargs)
        (found,) = kept(walk(config, data, [0]), data, [0])
        cases.append({"policy": name, "asked": row["statement"], **found})
    return padded(cases)
