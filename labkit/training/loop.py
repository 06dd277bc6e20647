"""The trainer. It knows no loss: an entry is handed the batch's tensors by the names of its parameters."""

import contextlib
import copy
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from labkit import models, preferences
from labkit.data import augment
from labkit.models import heads
from labkit.paths import home
from labkit.progress import bar
from labkit.registry import ENTRIES, catalog
from labkit.training.config import Config
from labkit.training.run import Run, chance, embed, load_data, probe, probe_inputs, write

CHECKPOINT_SECONDS = 2.0
SENTENCES = 64  # a policy's snapshots hold so many answers: a full softmax for every token is large
OPTIMIZERS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "rmsprop": torch.optim.RMSprop}


def fit(config: Config, *, progress: bool = True) -> Run:
    """Train what the Config says, or return the run at once if it was trained before.

    On the CPU the same Config gives the same numbers, bit for bit, for the same torch version and number of threads: also when
    the process was killed half-way and `fit` is called again, and when two processes ask for the same run at once.

    Args:
        config: what to train; see `Config`.
        progress: a bar with the loss, its chance line and the time left, after two seconds.

    Returns:
        The Run, kept under `LABKIT_HOME` (default: the platform's cache folder).

    Raises:
        ValueError: an unknown loss, optimizer, data set or model; the message lists what there is.
        FloatingPointError: the loss became NaN or infinite; the message says at which step and what to try.
    """
    if not ENTRIES.get(config.loss.name):
        catalog()  # importing the rooms registers their objectives
    known(config.loss.name, "loss", [e.name for e in ENTRIES.values() if e.kind in ("loss", "preference")])
    known(config.optimizer.name, "optimizer", list(OPTIMIZERS))
    dataset = load_data(config)
    folder = home() / "runs" / config.key(dataset.sha256)
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):
        if not (folder / "history.json").exists():
            Trainer(config, dataset, folder).train(progress)
    return Run.open(config, folder)


def known(name: str, what: str, names: list[str]) -> None:
    if name not in names:
        raise ValueError(f"unknown {what} {name!r}; there are {', '.join(sorted(names))}")


def pick_device(name: str) -> torch.device:
    if name != "auto":
        return torch.device(name)
    return torch.device("cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu")


class Trainer:
    """One run being trained: model, optimiser, random streams and history, all of which a checkpoint holds."""

    def __init__(self, config: Config, dataset: Any, folder: Path):
        self.config, self.folder, self.step = config, folder, 0
        self.entry, self.device = ENTRIES[config.loss.name], pick_device(config.device)
        self.data = dataset.to(self.device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.model = models.build(config.model, dataset)
            self.dropout = torch.get_rng_state()  # the stream of layers that draw for themselves
        if config.start is not None:
            self.model.load_state_dict(fit(config.start).model().state_dict())
        self.model.to(self.device).train()
        if self.device.type == "cuda":
            self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.reference = copy.deepcopy(self.model).eval().requires_grad_(False) if self.entry.kind == "preference" else None
        self.target = heads.Ema(self.model, **config.target.kwargs) if config.target else None
        self.augment = augment.build(config.augment)
        self.optimizer = OPTIMIZERS[config.optimizer.name](self.model.parameters(), **config.optimizer.kwargs)
        self.order = torch.Generator().manual_seed(config.seed)
        self.noise = torch.Generator(self.device).manual_seed(config.seed + 1)
        self.history: dict[str, list] = {"step": [], "loss": []}
        self.probe = probe(dataset)

    # ------------------------------------------------------------------ what is remembered

    def parts(self) -> dict[str, Any]:
        return {"model": self.model, "optimizer": self.optimizer} | ({"target": self.target} if self.target else {})

    def save(self) -> None:
        state = {name: part.state_dict() for name, part in self.parts().items()}
        state |= {"step": self.step, "history": self.history, "dropout": self.dropout}
        state |= {"order": self.order.get_state(), "noise": self.noise.get_state()}
        write(self.folder / "checkpoint.pt", lambda file: torch.save(state, file))

    def resume(self) -> None:
        path = self.folder / "checkpoint.pt"
        if not path.exists():
            return
        state = torch.load(path, weights_only=True, map_location="cpu")
        for name, part in self.parts().items():
            part.load_state_dict(state[name])
        self.step, self.history, self.dropout = state["step"], state["history"], state["dropout"]
        self.order.set_state(state["order"])
        self.noise.set_state(state["noise"])

    def finish(self) -> None:
        write(self.folder / "model.pt", lambda file: torch.save(self.model.cpu().state_dict(), file))
        write(self.folder / "config.txt", lambda file: file.write(self.config.text.encode()))
        write(self.folder / "history.json", lambda file: file.write(json.dumps(self.history).encode()))
        (self.folder / "checkpoint.pt").unlink(missing_ok=True)

    @torch.no_grad()
    def snapshot(self) -> None:
        if self.reference is not None:
            arrays = {"logps": self.model(self.data.chosen[self.probe[:SENTENCES]]).log_softmax(-1).float().cpu().numpy()}
        else:
            arrays = {"z": embed(self.model, probe_inputs(self.model, self.data, self.probe)).numpy()}
        write(self.folder / "snapshots" / f"{self.step:07d}.npz", lambda file: np.savez_compressed(file, **arrays))

    # ------------------------------------------------------------------ one step

    def batch(self) -> Tensor:
        n, size = len(self.data), self.config.batch
        return torch.arange(n) if size >= n else torch.randperm(n, generator=self.order)[:size]

    def views(self, index: Tensor) -> dict[str, Tensor]:
        """The tensors of an encoder's batch, under every name that an objective may call them."""
        index = index.to(self.device)
        if getattr(self.model, "by_index", False):
            x = index.repeat(self.config.views)
        else:
            x = torch.cat([self.augment(self.data.x[index], self.noise) for _ in range(self.config.views)])
        z = self.model(x)
        tensors = {"z": z.unflatten(0, (self.config.views, -1)).transpose(0, 1), "labels": self.data.y[index]}
        tensors["views"] = tensors["z"]
        wanted = self.entry.tensors
        if {"p1", "p2"} & set(wanted):
            p = self.model.predict(z).chunk(self.config.views)  # type: ignore[operator]
            tensors |= {"p1": p[0], "p2": p[1 % len(p)]}
        if {"scores1", "scores2"} & set(wanted):
            scores = self.model.scores(z).chunk(self.config.views)  # type: ignore[operator]
            tensors |= {"scores1": scores[0], "scores2": scores[1 % len(scores)]}
        z = (self.target(x) if self.target else z).chunk(self.config.views)
        first, second = z[0], z[1 % len(z)]
        return tensors | {"z1": first, "z2": second, "a": first, "b": second, "anchors": first, "positives": second}

    def answers(self, index: Tensor) -> dict[str, Tensor]:
        """The tensors of a policy's batch: summed log-probabilities of both answers, under the policy and its reference."""
        index = index.to(self.device)
        tensors: dict[str, Tensor] = {}
        for which in ("chosen", "rejected"):
            tokens, mask = getattr(self.data, which), getattr(self.data, f"{which}_mask")
            if tokens is None:
                continue
            tokens, mask = tokens[index], mask[index]
            tensors[f"{which}_logps"] = preferences.sequence_logps(self.model(tokens), tokens, mask)
            tensors[f"{which}_lengths"] = mask.sum(-1)
            if self.data.rejected is None:
                continue  # a corpus to imitate: no margin, so no reference to ask
            with torch.no_grad():
                assert self.reference is not None
                tensors[f"ref_{which}_logps"] = preferences.sequence_logps(self.reference(tokens), tokens, mask)
        return tensors

    def advance(self) -> dict[str, float]:
        """One optimiser step; what goes into the history."""
        autocast = torch.autocast("cuda", torch.bfloat16) if self.device.type == "cuda" else contextlib.nullcontext()
        with autocast:
            tensors = (self.answers if self.reference is not None else self.views)(self.batch())
        known_names = self.entry.checker.parameters
        loss = self.entry.fn(**{k: v for k, v in tensors.items() if k in known_names}, **self.config.loss.kwargs)
        row = {"loss": loss.item()}
        if not np.isfinite(row["loss"]):
            raise FloatingPointError(
                f"the loss became {row['loss']} at step {self.step}; try a smaller learning rate than {self.config.optimizer}"
            )
        if "chosen_logps" in tensors:
            row["chosen_logps"] = tensors["chosen_logps"].mean().item()
        if "rejected_logps" in tensors:
            row["rejected_logps"] = tensors["rejected_logps"].mean().item()
            ratios = [tensors[f"{w}_logps"] - tensors[f"ref_{w}_logps"] for w in ("chosen", "rejected")]
            row["margin"] = (ratios[0].mean() - ratios[1].mean()).item()
        if self.config.until and row[self.config.until[0]] >= self.config.until[1]:
            return row
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        if self.target:
            self.target.update(self.model)
        return row

    # ------------------------------------------------------------------ all steps

    def train(self, progress: bool) -> None:
        self.resume()
        config, line, saved = self.config, chance(self.config, len(self.data)), time.monotonic()
        with (
            torch.random.fork_rng(devices=[]),
            bar(total=config.steps, initial=self.step, desc=config.loss.name, disable=not progress) as shown,
        ):
            torch.set_rng_state(self.dropout)
            while self.step < config.steps:
                if self.step == 0 or self.step.bit_count() == 1:  # 0, 1, 2, 4, 8, ...
                    self.snapshot()
                row = self.advance()
                for column, value in {"step": self.step, **row}.items():
                    self.history.setdefault(column, []).append(value)
                if config.until and row[config.until[0]] >= config.until[1]:
                    break
                self.step += 1
                self.dropout = torch.get_rng_state()
                shown.update()
                shown.set_postfix(
                    loss=f"{row['loss']:.3f}", **({} if line is None else {"chance": f"{line:.3f}"}), refresh=False
                )
                if time.monotonic() - saved > CHECKPOINT_SECONDS:
                    self.save()
                    saved = time.monotonic()
            self.snapshot()
        self.finish()
