"""Watches a fixed set of pairs during anyone's training: `DisplacementCallback` for transformers' and TRL's trainers."""

import contextlib
import importlib.util
import logging
import math
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit.data.preferences import PreferencePairs
from labkit.diagnose import probes
from labkit.diagnose.tokens import WholeModel, tokenized
from labkit.training.answers import picture
from labkit.training.run import write

log = logging.getLogger("labkit")
PAIRS = 64
SHARE, OFTEN = 0.02, 50


class DisplacementCallback:
    """Writes down, every so many steps, every token's log-probability on a fixed set of pairs, and who gained probability.

    `trainer.add_callback(DisplacementCallback(pairs))`, and after or during the run `labkit.diagnose(folder)`. Only the first
    process of a distributed run writes; a run that is resumed goes on in the same files.

    Args:
        probe_pairs: records of `prompt`, `chosen`, `rejected` (texts or chats; a Dataset too), or PreferencePairs; of more than
            `pairs`, a fixed sample is taken.
        every: steps between two looks.
        folder: where to write; default: `displacement` in the trainer's `output_dir`.
        tokenizer: default: the trainer's own.
        pairs: how many pairs are looked at.
        k: how many tokens that gained or lost most are named, at each pair's opening.
        max_length: longer sequences are cut.
        share: of the training time that looking may take, the first look apart; one that would exceed it waits for the next
            turn. Looking costs as much as `pairs / 4` pairs of training; a step of 64 pairs every 50 steps is 0.5 %. None: 0.02
            from `every=50` on; whoever asks for closer looks gets all of them.

    Raises:
        ValueError: no pairs, a record without its parts, sharded parameters, no tokenizer.
    """

    def __init__(
        self,
        probe_pairs: Iterable[Mapping] | PreferencePairs,
        every: int = 50,
        *,
        folder: str | Path | None = None,
        tokenizer: Any = None,
        pairs: int = PAIRS,
        k: int = 10,
        max_length: int = 1024,
        share: float | None = None,
    ):
        if importlib.util.find_spec("pyarrow") is None:  # now, and not after the first hour of training
            raise ValueError("DisplacementCallback writes parquet: pip install pyarrow")
        for name, value in (("every", every), ("pairs", pairs), ("k", k), ("max_length", max_length)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a whole number >= 1, got {value!r}")
        if share is None:
            share = SHARE if every >= OFTEN else math.inf
        if not share > 0:
            raise ValueError(f"share must be > 0, got {share!r}")
        self.records = probe_pairs if isinstance(probe_pairs, PreferencePairs) else sample(list(probe_pairs), pairs)
        if not len(self.records):
            raise ValueError("probe_pairs is empty")
        self.every, self.k, self.max_length, self.share, self.tokenizer = every, k, max_length, share, tokenizer
        self.folder = None if folder is None else Path(folder)
        self.pairs, self.last = pairs, -1
        self.spent = self.cost = self.begun = 0.0  # seconds of looking in all, of one look, and when the run began
        self.data: PreferencePairs | None = None
        self.population: int | None = None

    def __getattr__(self, name: str) -> Any:
        """Trainers call many more events than this class listens to."""
        if name.startswith("on_"):
            return lambda *_, **__: None
        raise AttributeError(name)

    # ------------------------------------------------------------------ events

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **given: Any) -> None:
        if not state.is_world_process_zero:
            return
        if sharded(args):
            raise ValueError("DisplacementCallback reads whole models: parameters sharded by FSDP or ZeRO-3 are not supported")
        self.folder = self.folder or Path(args.output_dir) / "displacement"
        self.population = trained_on(given.get("train_dataloader"))
        self.prepare(model, self.tokenizer or given.get("processing_class") or given.get("tokenizer"))
        probes.clear(self.folder, after=state.global_step)
        if state.global_step == 0 or not (self.folder / "start.npz").exists():
            self.look(model, args, state.global_step, begin=True)
        self.begun, self.spent = time.perf_counter(), 0.0

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        if state.is_world_process_zero and state.global_step % self.every == 0 and self.affordable():
            self.look(model, args, state.global_step)

    def on_train_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        if state.is_world_process_zero and state.global_step != self.last:
            self.look(model, args, state.global_step)

    # ------------------------------------------------------------------ one look

    def affordable(self) -> bool:
        """Whether this look and the last one, at the end of the run, stay within their share of the time so far."""
        trained = time.perf_counter() - self.begun - self.spent
        return self.spent + 2 * self.cost <= self.share * trained

    def prepare(self, model: Any, tokenizer: Any) -> None:
        assert self.folder is not None
        if isinstance(self.records, PreferencePairs):
            self.data, pad = self.records, getattr(tokenizer, "pad_token_id", None)
            names = [str(i) for i in range(len(self.data))]
        else:
            tokenizer = getattr(tokenizer, "tokenizer", tokenizer)  # a processor for images holds one for texts
            if tokenizer is None:
                raise ValueError("the trainer has no processing_class: pass tokenizer=...")
            size = getattr(getattr(model, "config", None), "vocab_size", None)
            self.data, names = tokenized(self.records, tokenizer, max_length=self.max_length, size=size)
            pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
        self.pad = -1 if pad is None else pad
        about = {"every": self.every, "population": self.population}
        probes.begin(self.folder, self.data, names, rows=self.rows(), **about)

    def rows(self) -> Tensor:
        assert self.data is not None
        return torch.arange(min(self.pairs, len(self.data)))

    def look(self, model: Any, args: Any, step: int, *, begin: bool = False) -> None:
        assert self.data is not None and self.folder is not None
        model = getattr(model, "module", model)  # the model itself: the first process looks alone
        wait(model)
        started = time.perf_counter()
        device = next(model.parameters()).device
        data = self.data.to(device)
        training = model.training
        with precision(args, device):
            shot = picture(WholeModel(model, self.pad), data, self.rows().to(device))
        model.train(training)
        if begin:
            write(self.folder / "start.npz", lambda file: np.savez(file, first=shot["first"], fork=shot["fork"]))
        probes.save(self.folder, step, shot, self.data, self.rows(), self.k)
        self.last = step
        self.cost = time.perf_counter() - started
        self.spent += self.cost


def sample(records: list, n: int) -> list:
    """The same n records every time, the shorter ones first, so that little is padded."""
    if len(records) > n:
        chosen = torch.randperm(len(records), generator=torch.Generator().manual_seed(0))[:n].sort().values
        records = [records[i] for i in chosen.tolist()]
    return sorted(({"id": i, **record} for i, record in enumerate(records)), key=lambda r: len(str(r)))


def trained_on(loader: Any) -> int | None:
    """How many pairs there are to train on, if that can be told: of so many the probe pairs are a sample."""
    try:
        return len(loader.dataset)
    except (AttributeError, TypeError):
        return None


def sharded(args: Any) -> bool:
    """Whether the first process alone could not run the model."""
    plugin = getattr(getattr(args, "hf_deepspeed_config", None), "is_zero3", lambda: False)
    return bool(getattr(args, "fsdp", None)) or bool(plugin())


def precision(args: Any, device: torch.device) -> Any:
    for name, dtype in (("bf16", torch.bfloat16), ("fp16", torch.float16)):
        if getattr(args, name, False):
            return torch.autocast(device.type, dtype)
    return contextlib.nullcontext()


def wait(model: Any) -> None:
    """Let a GPU finish the training step, so that it is not counted as looking."""
    if next(model.parameters()).is_cuda:
        torch.cuda.synchronize()
