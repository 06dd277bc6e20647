"""A run of labkit: its snapshots, its models, its history."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from labkit import metrics
from labkit.diagnose.evidence import KINDS, Movement, Opening
from labkit.diagnose.receivers import ending, opening
from labkit.diagnose.report import Diagnosis
from labkit.diagnose.verdicts import judge
from labkit.preferences import sequence_logps
from labkit.training import Run
from labkit.training.answers import ROWS, places

CHEAP = 2e10  # parameters that learn, times tokens: gradients of so much take seconds
SAID = {"own": "own push", "entangled": "entanglement with the rejected answers", "rest": "rest"}
ADAPTIVE = ("adam", "adamw", "rmsprop")
Words = Iterable[int | str]


def of_run(run: Run, *, opposites: Words = (), paraphrases: Words = (), k: int = 5, gradients: bool | None = None) -> Diagnosis:
    """L3: what `diagnose` says of a run that was trained here."""
    if run.entry.kind != "preference" or getattr(run.data, "rejected", None) is None:
        raise ValueError(
            f"{run.entry.name} was trained on {run.config.data}, which has no pairs: there is no chosen answer to look at"
        )
    shots = {step: {name: torch.from_numpy(x) for name, x in shot.items()} for step, shot in run.snapshots.items()}
    steps = sorted(shots)
    rows = run.probe[:ROWS]
    sort = sorter(run, rows, opposites, paraphrases, k)
    found = [sort(shots[steps[0]], shots[step]) for step in steps]
    movement = movement_of(run, rows, shots, steps, found)
    about, said = at_the_start(run, rows, gradients)
    account, sentence = booked(run.history)
    return judge(movement, account=account, said=[sentence, *said], **about)


def sorter(run: Run, rows: Tensor, opposites: Words, paraphrases: Words, k: int) -> Any:
    """`(before, after) -> Opening`, at the place of each pair where its chosen token lost more: the first, or the fork."""
    data, where, here = run.data, places(run.data, rows), torch.arange(len(rows))
    vectors = output_vectors(run.model())
    tokens = {name: (data.chosen[rows][here, place], data.rejected[rows][here, place]) for name, place in where.items()}

    def sort(before: dict[str, Tensor], after: dict[str, Tensor]) -> Opening:
        lost = [(after[name].float() - before[name].float())[here, tokens[name][0]] for name in ("first", "fork")]
        late = (lost[1] < lost[0])[:, None]
        spoken = [torch.where(late, shot["fork"], shot["first"]) for shot in (before, after)]
        said = [
            torch.where(late[:, 0], at_fork, at_first)
            for at_first, at_fork in zip(tokens["first"], tokens["fork"], strict=True)
        ]
        words: dict[str, Any] = {"opposites": opposites, "paraphrases": paraphrases, "vectors": vectors, "k": k}
        return opening(spoken[0], spoken[1], said[0], said[1], data.vocabulary, **words)

    return sort


def movement_of(
    run: Run, rows: Tensor, shots: dict[int, dict[str, Tensor]], steps: list[int], found: list[Opening]
) -> Movement:
    start, end, fork = shots[steps[0]], shots[steps[-1]], places(run.data, rows)["fork"]
    sums = {side: [shots[step][side].double().sum(-1) for step in steps] for side in ("chosen", "rejected")}
    opened, closed = ending(start["chosen"], end["chosen"], fork)
    curves: dict[str, list] = {"step": steps}
    for side, logps in sums.items():
        curves[side] = [x.mean().item() for x in logps]
    parts = [metrics.three_parts(w, lo) for w, lo in zip(*sums.values(), strict=True)]
    for name in ("chosen", "rejected", "rest"):
        curves[f"p_{name}"] = [getattr(part, name).exp().mean().item() for part in parts]
    for kind in KINDS:
        curves[f"gained_{kind}"] = [o.kinds[kind].mean().item() for o in found]
    return Movement(
        level="L3",
        chosen=sums["chosen"][-1] - sums["chosen"][0],
        rejected=sums["rejected"][-1] - sums["rejected"][0],
        start=(sums["chosen"][0], sums["rejected"][0]),
        opening=opened,
        ending=closed,
        received=found[-1],
        population=len(run.data),
        curves=curves,
        notes=later(run, rows, start, end, fork),
    )


def later(run: Run, rows: Tensor, start: dict[str, Tensor], end: dict[str, Tensor], fork: Tensor) -> tuple[str, ...]:
    """Who gained after the fork, where the whole softmax was kept."""
    if "logps" not in end:
        return ()
    gained = (end["logps"].double().exp() - start["logps"].double().exp())[:, :-1]
    tokens, mask = run.data.chosen[rows][:, 1:], run.data.chosen_mask[rows][:, 1:].bool()
    gained = gained.scatter(-1, tokens[..., None], 0.0)  # the chosen word is nobody's receiver
    after = mask & (torch.arange(1, mask.shape[1] + 1) > fork[:, None])
    if not after.any():
        return ()
    mean = gained[after].mean(0)
    top = mean.topk(min(3, len(mean)))
    names = [
        f"{run.data.vocabulary[i]!r} {g:+.3f}" for g, i in zip(top.values.tolist(), top.indices.tolist(), strict=True) if g > 0
    ]
    return (f"After the fork gained most, a place: {', '.join(names)}.",) if names else ()


# ------------------------------------------------------------------ why


def booked(history: dict[str, list]) -> tuple[dict[str, float] | None, str]:
    if "account_chosen" not in history:
        return None, "No first-order account was kept: train with Config(account=True) to learn whose push it was."
    account = {"true": sum(history["chosen_change"]), "total": sum(history["account_chosen"])}
    account |= {part: sum(history[f"account_chosen_{part}"]) for part in ("own", "entangled", "rest")}
    gap = abs(account["total"] - account["true"])
    trust = (
        ""
        if gap <= 0.2 * abs(account["true"]) + 0.05
        else " The steps were too long for a first-order account: do not lean on it."
    )
    parts = ", ".join(f"{said} {account[part]:+.2f}" for part, said in SAID.items())
    return account, (
        f"First-order account of the updates really made: {account['total']:+.2f} of the true {account['true']:+.2f} nats = "
        f"{parts}.{trust}"
    )


def at_the_start(run: Run, rows: Tensor, wanted: bool | None) -> tuple[dict[str, float], list[str]]:
    """Entanglement and CHES before the first step: what could have been known, and how little it may mean."""
    model, about = run.start(), {}
    data = run.data
    size = sum(p.numel() for p in model.parameters() if p.requires_grad) * data.chosen_mask[rows].sum().item()
    said = []
    if wanted or (wanted is None and size < CHEAP):
        up, down = (
            mean_gradient(model, getattr(data, side)[rows], getattr(data, f"{side}_mask")[rows])
            for side in ("chosen", "rejected")
        )
        about = {"ratio": float(metrics.entanglement(up, down)), "sign_ratio": float(metrics.sign_entanglement(up, down))}
        said.append(foretold(about, run.config.optimizer.name))
    if hasattr(model, "hidden"):
        about |= similarity(model, data, rows)
        scores = f"length-normalised {about['ln_ches']:+.3g}, raw {about['ches']:+.3g}"
        said.append(f"CHES at the start: {scores}. No verdict rests on it; raw CHES cannot rank pairs of unequal lengths.")
    return about, said


def foretold(about: dict[str, float], optimizer: str) -> str:
    side, fate = ("above", "fall") if about["ratio"] > 1 else ("below", "rise")
    text = (
        f"For plain gradient descent, at this point: <g+, g->/|g+|^2 = {about['ratio']:.2f} at the start, {side} 1: the chosen "
        f"answers would {fate}."
    )
    if optimizer in ADAPTIVE:
        text += (
            f" This run used {optimizer}, for which that is a poor guide; with signs in place of the gradient it is "
            f"{about['sign_ratio']:.2f}. The account of the updates really made decides."
        )
    return text


def mean_gradient(model: nn.Module, tokens: Tensor, mask: Tensor) -> Tensor:
    """Of the mean log-probability, with respect to everything that learns; a row at a time."""
    learned = [p for p in model.parameters() if p.requires_grad]
    total = [torch.zeros_like(p) for p in learned]
    for row, marked in zip(tokens.split(1), mask.split(1), strict=True):
        found = torch.autograd.grad(sequence_logps(model(row), row, marked).sum(), learned, allow_unused=True)
        for t, g in zip(total, found, strict=True):
            if g is not None:
                t += g / len(tokens)
    return nn.utils.parameters_to_vector(total)


@torch.no_grad()
def similarity(model: nn.Module, data: Any, rows: Tensor) -> dict[str, float]:
    sides = ("chosen", "rejected")
    hidden = [model.hidden(getattr(data, side)[rows]) for side in sides]  # type: ignore[operator]
    masks = [metrics.predicting(getattr(data, f"{side}_mask")[rows]) for side in sides]
    scores = {name: metrics.ches(*hidden, *masks, length_normalized=ln) for name, ln in (("ln_ches", True), ("ches", False))}
    return {name: float(x.double().mean()) for name, x in scores.items()}


def output_vectors(model: Any) -> Tensor | None:
    """The vectors that the last states are multiplied with, if they can be found."""
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else getattr(model, "head", None)
    head = getattr(head, "weight", head)
    return head.detach().cpu() if isinstance(head, Tensor) and head.ndim == 2 else None
