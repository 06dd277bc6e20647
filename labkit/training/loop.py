"""The trainer. It knows no loss: an entry is handed the batch's tensors by the names of its parameters."""

import contextlib
import copy
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from labkit import models
from labkit.models import heads
from labkit.progress import bar
from labkit.registry import Entry
from labkit.training.account import Account, Line
from labkit.training.answers import ROWS, answers, beside, picture, reference, referred, standing
from labkit.training.config import Config
from labkit.training.foresight import foreseen
from labkit.training.given import Given, OwnLoss
from labkit.training.run import VIEWED, chance, embed, probe, probe_inputs, write
from labkit.training.sources import Stream
from labkit.training.views import drawn, tensors

CHECKPOINT_SECONDS = 2.0  # between two checkpoints, or
CHECKPOINT_SHARE = 20  # so many times what writing one takes, if that is longer: a language model's takes a second
UNTOUCHED = {**Line().row, "chosen_change": 0.0, "rejected_change": 0.0, "entanglement": float("nan")}  # no step was taken
OPTIMIZERS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "rmsprop": torch.optim.RMSprop}


def pick_device(name: str) -> torch.device:
    if name != "auto":
        device = torch.device(name)
        there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        if not there.get(device.type, True):
            raise ValueError(f"device {name!r} is not on this machine; 'auto' takes what is")
        return device
    return torch.device("cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu")


def beginning(config: Config, dataset: Any) -> tuple[nn.Module, Tensor]:
    """The model before its first step, and the random stream of layers that draw for themselves."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = models.build(config.model, dataset)
        stream = torch.get_rng_state()
    if config.start is not None:
        from labkit.training.fitting import fit

        model.load_state_dict(fit(config.start).model().state_dict())
    return model, stream


class Trainer:
    """One run being trained: model, optimiser, random streams and history, all of which a checkpoint holds."""

    def __init__(self, config: Config, given: Given, folder: Path):
        self.config, self.given, self.folder, self.step = config, given, folder, 0
        self.device = pick_device(config.device)
        self.data, self.source = given.data.to(self.device), given.flow()
        self.objective = copy.deepcopy(given.objective).to(self.device).train() if given.objective is not None else None
        self.entry = given.entry.of(self.objective) if isinstance(given.entry, OwnLoss) else given.entry
        self.model, self.dropout = given.begin(config) if given.encoder is not None else beginning(config, given.data)
        self.model.to(self.device).train()
        if self.device.type == "cuda":
            self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.policy = self.entry.kind == "preference"
        self.reference: dict[str, Tensor] = {}
        if self.policy and self.data.rejected is not None:  # a corpus to imitate has no margin, so no reference to ask
            with self.precision():
                self.reference = reference(self.model, repr(config.model), self.data)
        self.target = heads.Ema(self.model, **config.target.kwargs) if config.target else None
        self.augment = given.augment
        self.optimizer = OPTIMIZERS[config.optimizer.name](self.trained(), **config.optimizer.kwargs)
        self.account = Account(self.model.parameters(), self.optimizer) if config.account else None
        self.order = torch.Generator().manual_seed(config.seed)
        self.noise = torch.Generator(self.device).manual_seed(config.seed + 1)
        self.history: dict[str, list] = {"step": [], "loss": []}
        self.probe = probe(given.data)

    def trained(self) -> list[nn.Parameter]:
        """The model's weights, and those of a loss that has some."""
        found = [*self.model.parameters(), *(self.objective.parameters() if self.objective is not None else ())]
        if not any(p.requires_grad for p in found):
            raise ValueError(f"encoder has no weights to train: {self.config.model}")
        return found

    # ------------------------------------------------------------------ what is remembered

    def parts(self) -> dict[str, Any]:
        every = {"model": self.model, "optimizer": self.optimizer, "target": self.target, "account": self.account}
        every |= {"objective": self.objective}
        return {name: part for name, part in every.items() if part is not None}

    def save(self) -> None:
        state = {name: part.state_dict() for name, part in self.parts().items()}
        state |= {"step": self.step, "history": self.history, "dropout": self.dropout}
        state |= {"order": self.order.get_state(), "noise": self.noise.get_state()}
        write(self.folder / "checkpoint.pt", lambda file: torch.save(state, file))

    def stored(self) -> dict[str, Any] | None:
        path = self.folder / "checkpoint.pt"
        return torch.load(path, weights_only=True, map_location="cpu") if path.exists() else None

    def resume(self) -> None:
        if (state := self.stored()) is None:
            return
        for name, part in self.parts().items():
            part.load_state_dict(state[name])
        self.step, self.history, self.dropout = state["step"], state["history"], state["dropout"]
        self.order.set_state(state["order"])
        self.noise.set_state(state["noise"])
        if isinstance(self.source, Stream):
            self.source.skip(self.step)

    def finish(self) -> None:
        write(self.folder / "model.pt", lambda file: torch.save(self.model.cpu().state_dict(), file))
        if (objective := self.objective) is not None:
            write(self.folder / "objective.pt", lambda file: torch.save(objective.cpu().state_dict(), file))
        write(self.folder / "config.txt", lambda file: file.write(self.config.text.encode()))
        write(self.folder / "history.json", lambda file: file.write(json.dumps(self.history).encode()))
        (self.folder / "checkpoint.pt").unlink(missing_ok=True)

    @torch.no_grad()
    def snapshot(self) -> int:
        """Keeps what the probe looks like now; how wide its embeddings are, or how long its answers."""
        arrays: dict[str, Any]
        if self.policy:
            arrays = picture(self.model, self.data, self.probe[:ROWS])
        else:
            arrays = {"z": embed(self.model, probe_inputs(self.model, self.data, self.probe)).numpy(), **self.twice()}
        save = np.savez_compressed if self.policy else np.savez  # embeddings' digits are noise: they do not get smaller
        write(self.folder / "snapshots" / f"{self.step:07d}.npz", lambda file: save(file, **arrays))
        return next(iter(arrays.values())).shape[-1]

    def twice(self) -> dict[str, np.ndarray]:
        """Two views of the first instances of the probe, the same views at every snapshot: what alignment is measured on."""
        if getattr(self.model, "by_index", False):
            return {}
        if self.source is not None:
            pair = self.given.pair
            return {} if pair is None else {"views": torch.stack([embed(self.model, x) for x in pair]).numpy()}
        x, draw = self.data.x[self.probe[:VIEWED].to(self.device)], torch.Generator(self.device).manual_seed(0)
        assert self.augment is not None
        return {"views": torch.stack([embed(self.model, self.augment(x, draw)) for _ in range(2)]).numpy()}

    # ------------------------------------------------------------------ one step

    def batch(self) -> Tensor:
        n, size = self.given.size or self.config.batch, self.config.batch
        return torch.arange(n) if size >= n else torch.randperm(n, generator=self.order)[:size]

    def views(self, index: Tensor) -> dict[str, Tensor]:
        """The tensors of an encoder's batch, under every name that an objective may call them."""
        by_index = getattr(self.model, "by_index", False)
        batch = drawn(self.given, self.data, self.source, index.to(self.device), self.config.views, self.noise, by_index)
        return tensors(self.model, self.target, self.entry, batch)

    def answers(self, index: Tensor) -> dict[str, Tensor]:
        """The tensors of a policy's batch: what it and the reference say of both answers, and what the data knows of them."""
        index = index.to(self.device)
        known = answers(self.model, self.data, index) | referred(self.reference, index)
        assert isinstance(self.entry, Entry)
        return known | beside(self.model, self.data, index, self.entry.checker.parameters)

    def asked(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Those tensors that the objective takes; or an error that says which of them a batch does not have."""
        missing = [name for name in self.entry.tensors if name not in tensors]
        if missing:
            raise ValueError(f"{self.entry.name} needs {', '.join(missing)}; these batches carry {', '.join(tensors)}")
        return {name: x for name, x in tensors.items() if self.entry.takes(name)}

    def precision(self) -> Any:
        return torch.autocast("cuda", torch.bfloat16) if self.device.type == "cuda" else contextlib.nullcontext()

    def advance(self) -> dict[str, float]:
        """One optimiser step; what goes into the history."""
        with self.precision():
            index = self.batch()
            tensors = (self.answers if self.policy else self.views)(index)
        loss = self.loss(self.asked(tensors))
        row = {"loss": self.value(loss), **self.learned()}
        if not np.isfinite(row["loss"]):
            raise FloatingPointError(
                f"the loss became {row['loss']} at step {self.step}; try a smaller learning rate than {self.config.optimizer}"
            )
        if self.policy:
            row |= standing(tensors)
        if self.config.until and row[self.config.until[0]] >= self.config.until[1]:
            return row | (UNTOUCHED if self.account else {})
        if self.account:
            row |= self.booked(tensors, loss, index)
        else:
            self.learn(loss)
        if self.target:
            self.target.update(self.model)
        return row

    def loss(self, asked: dict[str, Tensor]) -> Tensor:
        return self.entry.fn(**asked, **self.given.options)

    def value(self, loss: Tensor) -> float:
        return loss.item()

    def learn(self, loss: Tensor) -> None:
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def learned(self) -> dict[str, float]:
        """The single numbers that the loss learns: its temperature."""
        named = [] if self.objective is None else list(self.objective.named_parameters())
        return {f"loss.{name}": p.item() for name, p in named if p.numel() == 1}

    def booked(self, tensors: dict[str, Tensor], loss: Tensor, index: Tensor) -> dict[str, float]:
        """The same step, with its account, and what it really did to the batch's answers."""
        assert self.account is not None
        if "rejected_logps" not in tensors:
            raise ValueError("account=True needs pairs: a chosen and a rejected answer")
        line = self.account.step(tensors["chosen_logps"], tensors["rejected_logps"], loss)
        with torch.no_grad(), self.precision():
            after = self.answers(index)
        change = {f"{s}_change": (after[f"{s}_logps"] - tensors[f"{s}_logps"]).mean().item() for s in ("chosen", "rejected")}
        return line.row | change | {"entanglement": line.ratio}

    # ------------------------------------------------------------------ all steps

    def train(self, progress: bool) -> None:
        self.resume()
        config, line = self.config, chance(self.config, self.given.size or self.config.batch, self.given)
        saved, pause = time.monotonic(), CHECKPOINT_SECONDS
        with (
            torch.random.fork_rng(devices=[]),
            bar(total=config.steps, initial=self.step, desc=config.loss.name, disable=not progress) as shown,
        ):
            torch.set_rng_state(self.dropout)
            while self.step < config.steps:
                if self.step == 0 or self.step.bit_count() == 1:  # 0, 1, 2, 4, 8, ...
                    width = self.snapshot()
                    if self.step == 0 and progress and (said := foreseen(config, self.entry, width)):
                        shown.write(said)
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
                if time.monotonic() - saved > pause:
                    begun = time.monotonic()
                    self.save()
                    saved = time.monotonic()
                    pause = max(CHECKPOINT_SECONDS, CHECKPOINT_SHARE * (saved - begun))
            self.snapshot()
        self.finish()
