"""A policy's batch: the log-probabilities of both answers now, and where they stood before training, computed once."""

import hashlib
from collections.abc import Collection
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor, nn

import labkit
from labkit import preferences
from labkit.paths import home
from labkit.training.run import write

SIDES = ("chosen", "rejected")
ROWS = 64  # a snapshot holds so many pairs, and a block without gradients so many sequences
LOGITS = 1 << 26  # and at most so many numbers: a real vocabulary times a few sentences
WHOLE = 1 << 22  # a snapshot of at most so many log-probabilities is kept whole, every token at every place


def sides(data: Any) -> list[str]:
    """Which answers there are: a corpus to imitate has no rejected ones."""
    return [side for side in SIDES if getattr(data, side) is not None]


def answers(model: nn.Module, data: Any, index: Tensor) -> dict[str, Tensor]:
    """Log-probabilities, token by token and summed, lengths and masks of the answers at these rows, as objectives call them."""
    tensors: dict[str, Tensor] = {}
    for side in sides(data):
        tokens, mask = getattr(data, side)[index], getattr(data, f"{side}_mask")[index]
        logps = spoken(model, tokens, mask)
        tensors |= {f"{side}_logps": logps.sum(-1), f"{side}_lengths": mask.sum(-1)}
        tensors |= {f"{side}_token_logps": logps, f"{side}_mask": mask}
    return tensors


def spoken(model: nn.Module, tokens: Tensor, mask: Tensor) -> Tensor:
    """The answers' log-probabilities `(n, t)`. A policy with a large vocabulary has a shorter way than all its logits."""
    shorter = getattr(model, "token_logps", None)
    return shorter(tokens, mask) if shorter else preferences.token_logps(model(tokens), tokens, mask)


def beside(model: nn.Module, data: Any, index: Tensor, wanted: Collection[str]) -> dict[str, Tensor]:
    """What else this objective wants and the data can give: its factors (rewards, weights, degrees), or whole logits."""
    found = {name: rows[index] for name, rows in data.factors.items() if name in wanted and len(rows) == len(data)}
    if "logits" in wanted:
        tokens = data.chosen[index]
        found |= {"logits": model(tokens), "labels": tokens, "mask": data.chosen_mask[index]}
    return found


def blocks(data: Any, index: Tensor) -> tuple[Tensor, ...]:
    """Rows in blocks whose size the data alone decides, so that every run that shares a reference has the same bits."""
    per_row = data.chosen.shape[1] * max(1, len(data.vocabulary))
    return index.split(min(ROWS, max(1, LOGITS // per_row)))


def standing(tensors: dict[str, Tensor]) -> dict[str, float]:
    """A row of the history: where the batch's answers stand, and what each gained since the start."""
    row = {f"{side}_logps": tensors[f"{side}_logps"].mean().item() for side in SIDES if f"{side}_logps" in tensors}
    if "ref_rejected_logps" not in tensors:
        return row
    chosen, rejected = (tensors[f"{side}_logps"].detach() - tensors[f"ref_{side}_logps"] for side in SIDES)
    row["margin"] = (chosen.mean() - rejected.mean()).item()
    row |= {"chosen_gain": chosen.mean().item(), "rejected_gain": rejected.mean().item()}
    row["ranking_accuracy"] = (tensors["chosen_logps"] > tensors["rejected_logps"]).float().mean().item()
    row["reward_accuracy"] = (chosen > rejected).float().mean().item()
    return row


# ------------------------------------------------------------------ the reference


def referred(reference: dict[str, Tensor], index: Tensor) -> dict[str, Tensor]:
    """The reference's rows, token by token and summed; also as the old policy, of methods that go in rounds of one run each."""
    tokens = {name: logps[index] for name, logps in reference.items()}
    sums = {name.replace("_token", ""): logps.sum(-1) for name, logps in tokens.items()}
    return tokens | sums | {name.replace("ref_", "old_"): logps for name, logps in sums.items()}


@torch.no_grad()
def reference(model: nn.Module, name: str, data: Any) -> dict[str, Tensor]:
    """`ref_chosen_token_logps` and `ref_rejected_token_logps`, from the disk if these weights were asked before.

    Args:
        model: the policy at its start.
        name: the call that built it; with the weights that it may save, it says which model this is.
        data: the pairs, on the model's device.
    """
    device = data.chosen.device
    path = home() / "references" / f"{fingerprint(model, name, data)}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            everyone = torch.arange(len(data), device=device)
            was_training = model.training
            model.eval()
            parts = [answers(model, data, rows) for rows in blocks(data, everyone)]
            model.train(was_training)
            names = [f"{side}_token_logps" for side in sides(data)]
            found = {f"ref_{name}": torch.cat([p[name] for p in parts]) for name in names}
            arrays: dict[str, Any] = {column: x.cpu().numpy() for column, x in found.items()}
            write(path, lambda file: np.savez(file, **arrays))
    with np.load(path) as stored:
        return {column: torch.from_numpy(stored[column]).to(device) for column in stored.files}


def fingerprint(model: nn.Module, name: str, data: Any) -> str:
    """A hash of starting weights and data; of the kind of device too, because a GPU rounds otherwise."""
    of = f"labkit {labkit.__version__}; by token; {name}; {data.sha256}; {data.chosen.device.type}"
    digest = hashlib.sha256(of.encode())
    for key, value in model.state_dict().items():
        digest.update(f"{key}{value.dtype}{tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()[:32]


# ------------------------------------------------------------------ snapshots


@torch.no_grad()
def picture(model: nn.Module, data: Any, index: Tensor) -> dict[str, np.ndarray]:
    """What a snapshot of a policy holds of the pairs at these rows.

    "chosen", "rejected": the log-probability of every token in its place, 0 at the prompt's `(n, t)`. "first", "fork": of every
    word of the vocabulary, where the answer begins, and where the rejected one takes another way `(n, v)`. "logps": of every
    word at every place of the chosen sequence `(n, t, v)`, for small vocabularies.
    """
    was_training = model.training
    model.eval()
    parts = [looked_at(model, data, rows.to(data.chosen.device)) for rows in blocks(data, index)]
    model.train(was_training)
    whole = {name: torch.cat([p[name] for p in parts]) for name in parts[0]}
    return {name: x.cpu().numpy() for name, x in whole.items()}


def looked_at(model: nn.Module, data: Any, rows: Tensor) -> dict[str, Tensor]:
    opened, here = places(data, rows), torch.arange(len(rows), device=rows.device)
    found: dict[str, Tensor] = {}
    for side in sides(data):
        tokens, mask = getattr(data, side)[rows], getattr(data, f"{side}_mask")[rows].bool()
        width = reach(mask)
        behind = (0, tokens.shape[1] - width)
        if side == "rejected" and hasattr(model, "token_logps"):  # only its own words are kept: there is a shorter way
            found[side] = nn.functional.pad(spoken(model, tokens[:, :width], mask[:, :width]), behind)
            continue
        logits = model(tokens[:, :width]).float()
        found[side] = nn.functional.pad(preferences.token_logps(logits, tokens[:, :width], mask[:, :width]), behind)
        if side == "rejected":
            continue
        small = ROWS * tokens.shape[1] * logits.shape[-1] <= WHOLE
        for name, place in opened.items():
            logps = logits[here, (place - 1).clamp(min=0)].log_softmax(-1)
            found[name] = logps if small else logps.half()
        if small:
            found["logps"] = model(tokens).float().log_softmax(-1)
    return found


def reach(mask: Tensor) -> int:
    """How far the longest of these answers reaches: what lies behind is padding."""
    return max(2, int((torch.arange(1, mask.shape[1] + 1, device=mask.device) * mask).max()))


def places(data: Any, rows: Tensor) -> dict[str, Tensor]:
    """Where each chosen answer begins, and the first place at which its rejected one differs (its last, if none does)."""
    mask = data.chosen_mask[rows].bool()
    first = mask.int().argmax(-1)
    if data.rejected is None:
        return {"first": first}
    t = min(data.chosen.shape[1], data.rejected.shape[1])
    differ = (data.chosen[rows, :t] != data.rejected[rows, :t]) & mask[:, :t]
    last = mask.shape[1] - 1 - mask.flip(-1).int().argmax(-1)
    return {"first": first, "fork": torch.where(differ.any(-1), differ.int().argmax(-1), last)}
