"""From the snapshots of a policy to how far both answers moved, and who gained."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from labkit import metrics
from labkit.diagnose.evidence import KINDS, Movement, Opening
from labkit.diagnose.receivers import ending, opening
from labkit.training.answers import places

Words = Iterable[int | str]
Shot = dict[str, Tensor]


def sorter(data: Any, rows: Tensor, **how: Any) -> Any:
    """`(before, after) -> Opening`, at the place of each pair where its chosen token lost more: the first, or the fork."""
    where, here = places(data, rows), torch.arange(len(rows))
    tokens = {name: (data.chosen[rows][here, place], data.rejected[rows][here, place]) for name, place in where.items()}

    def sort(before: Shot, after: Shot) -> Opening:
        lost = [(after[name].float() - before[name].float())[here, tokens[name][0]] for name in ("first", "fork")]
        late = (lost[1] < lost[0])[:, None]
        spoken = [torch.where(late, shot["fork"], shot["first"]) for shot in (before, after)]
        said = [
            torch.where(late[:, 0], at_fork, at_first)
            for at_first, at_fork in zip(tokens["first"], tokens["fork"], strict=True)
        ]
        return opening(spoken[0], spoken[1], said[0], said[1], data.vocabulary, **how)

    return sort


def movement_of(data: Any, rows: Tensor, shots: dict[int, Shot], population: int | None, **how: Any) -> Movement:
    """Level L3, from what `training.answers.picture` says of the pairs at these rows, by step.

    how: `opposites`, `paraphrases`, `vectors`, `k` of `receivers.opening`.
    """
    steps = sorted(shots)
    start, end, fork = shots[steps[0]], shots[steps[-1]], places(data, rows)["fork"]
    sort = sorter(data, rows, **how)
    found = [sort(start, shots[step]) for step in steps]
    sums = {side: [shots[step][side].double().sum(-1) for step in steps] for side in ("chosen", "rejected")}
    opened, closed = ending(start["chosen"], end["chosen"], fork)
    return Movement(
        level="L3",
        chosen=sums["chosen"][-1] - sums["chosen"][0],
        rejected=sums["rejected"][-1] - sums["rejected"][0],
        start=(sums["chosen"][0], sums["rejected"][0]),
        opening=opened,
        ending=closed,
        received=found[-1],
        population=population,
        curves=curves(steps, sums, found) | spread([shots[step]["first"] for step in steps]),
        notes=(*dispersed(start["first"], end["first"]), *later(data, rows, start, end, fork)),
    )


def curves(steps: list[int], sums: dict[str, list[Tensor]], found: list[Opening]) -> dict[str, list]:
    """By step: mean log-probabilities, mean probabilities in three parts, and what every kind of word gained."""
    made: dict[str, list] = {"step": steps}
    for side, logps in sums.items():
        made[side] = [x.mean().item() for x in logps]
    parts = [metrics.three_parts(w, lo) for w, lo in zip(*sums.values(), strict=True)]
    for name in ("chosen", "rejected", "rest"):
        made[f"p_{name}"] = [getattr(part, name).exp().mean().item() for part in parts]
    for kind in KINDS:
        made[f"gained_{kind}"] = [o.kinds[kind].mean().item() for o in found]
    return made


def spread(first: list[Tensor]) -> dict[str, list]:
    """By step: how much the ten likeliest openings hold, and the entropy among them."""
    meters = {"top_k_mass": metrics.top_k_mass, "top_k_entropy": metrics.top_k_entropy}
    return {name: [meter(logps.float()).mean().item() for logps in first] for name, meter in meters.items()}


def dispersed(before: Tensor, after: Tensor) -> tuple[str, ...]:
    """Whether the likeliest openings lost probability to all the others, or narrowed among themselves."""
    told = spread([before, after])
    mass, entropy = (" to ".join(f"{x:.2f}" for x in told[name]) for name in ("top_k_mass", "top_k_entropy"))
    return (f"The ten likeliest openings went from {mass} of the probability; the entropy among them from {entropy} nats.",)


def later(data: Any, rows: Tensor, start: Shot, end: Shot, fork: Tensor) -> tuple[str, ...]:
    """Who gained after the fork, where the whole softmax was kept."""
    if "logps" not in end:
        return ()
    gained = (end["logps"].double().exp() - start["logps"].double().exp())[:, :-1]
    tokens, mask = data.chosen[rows][:, 1:], data.chosen_mask[rows][:, 1:].bool()
    gained = gained.scatter(-1, tokens[..., None], 0.0)  # the chosen word is nobody's receiver
    after = mask & (torch.arange(1, mask.shape[1] + 1) > fork[:, None])
    if not after.any():
        return ()
    mean = gained[after].mean(0)
    top = mean.topk(min(3, len(mean)))
    names = [
        f"{data.vocabulary[i]!r} {g:+.3f}" for g, i in zip(top.values.tolist(), top.indices.tolist(), strict=True) if g > 0
    ]
    return (f"After the fork gained most, a place: {', '.join(names)}.",) if names else ()
