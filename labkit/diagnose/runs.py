"""A run of labkit: its snapshots, its models, its history."""

from dataclasses import replace
from typing import Any

import torch

from labkit.diagnose.foreseen import at_the_start, output_vectors
from labkit.diagnose.report import Diagnosis
from labkit.diagnose.snapshots import Words, movement_of
from labkit.diagnose.verdicts import judge
from labkit.training import Run
from labkit.training.answers import ROWS

SAID = {"own": "own push", "entangled": "entanglement with the rejected answers", "rest": "rest"}


def of_run(run: Run, *, opposites: Words = (), paraphrases: Words = (), k: int = 5, gradients: bool | None = None) -> Diagnosis:
    """L3: what `diagnose` says of a run that was trained here."""
    if run.entry.kind != "preference" or getattr(run.data, "rejected", None) is None:
        raise ValueError(
            f"{run.entry.name} was trained on {run.config.data}, which has no pairs: there is no chosen answer to look at"
        )
    shots = {step: {name: torch.from_numpy(x) for name, x in shot.items()} for step, shot in run.snapshots.items()}
    rows = run.probe[:ROWS]
    how: dict[str, Any] = {"opposites": opposites, "paraphrases": paraphrases, "k": k}
    model = run.start()
    movement = movement_of(run.data, rows, shots, len(run.data), vectors=output_vectors(model), **how)
    if run.entry.name == "dpo":
        movement = replace(movement, beta=run.config.loss.kwargs.get("beta", 0.1))
    about, said = at_the_start(model, run.data, rows, run.config.optimizer.name, gradients)
    account, sentence = booked(run.history)
    return judge(movement, account=account, said=[sentence, *said], **about)


# ------------------------------------------------------------------ why


def booked(history: dict[str, list]) -> tuple[dict[str, float] | None, str]:
    if "account_chosen" not in history:
        return None, "No first-order account was kept: train with Config(account=True) to learn whose push it was."
    account = {"true": sum(history["chosen_change"]), "total": sum(history["account_chosen"])}
    account |= {part: sum(history[f"account_chosen_{part}"]) for part in ("own", "entangled", "rest")}
    gap = abs(account["total"] - account["true"])
    trust = "" if gap <= 0.2 * abs(account["true"]) + 0.05 else " The steps were too long for that: do not lean on it."
    parts = ", ".join(f"{said} {account[part]:+.2f}" for part, said in SAID.items())
    return account, (
        f"First-order account of the updates really made: {account['total']:+.2f} of the true {account['true']:+.2f} nats = "
        f"{parts}.{trust}"
    )
