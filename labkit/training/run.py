"""A Run: what was trained, how it went, and everything needed to look at it again."""

import copy
import json
import os
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from labkit import data, models
from labkit.data.augment import to_float
from labkit.registry import ENTRIES, Entry
from labkit.training.config import Call, Config

if TYPE_CHECKING:
    from labkit.training.given import Given, OwnLoss

PROBE = 2000  # a run's snapshots embed at most so many instances
VIEWED = 256  # and two views of so many of them
LARGEST = 1 << 28  # bytes of images that are kept for the next run
KEPT: dict[str, data.Dataset] = {}


def load_data(config: Config) -> Any:
    """The Dataset or PreferencePairs that a Config names."""
    if ENTRIES[config.loss.name].kind == "preference":
        from labkit.data import preferences

        return preferences.load(config.data.name, **config.data.kwargs)
    return remembered(config.data)


def remembered(asked: Call) -> data.Dataset:
    """The data set of the last run, as long as its bytes are those that were read; to read it takes ten times as long."""
    name = repr(asked)
    kept = KEPT.get(name)
    if kept is not None and (same := replace(kept)).sha256 == kept.sha256:  # a replica has not computed its sha256 yet
        return same
    found = data.load(asked.name, **asked.kwargs)
    KEPT.clear()
    if found.x.nbytes <= LARGEST:
        KEPT[name] = replace(found)
        KEPT[name].sha256  # noqa: B018, what it was when it was read
    return found


def write(path: Path, save: Any) -> None:
    """`save(file)` into a temporary file, then rename: a reader sees the old file or the new one, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("wb") as file:
        save(file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


@dataclass(frozen=True)
class Run:
    """A trained model and its history. Numbers are read when they are asked for.

    history: column -> list, a value per step ("step", "loss"; of pairs also "chosen_logps", "rejected_logps", what each gained
        since the start "chosen_gain", "rejected_gain", their difference "margin", "ranking_accuracy", "reward_accuracy"; of a
        loss that learns single numbers "loss.NAME").
    folder: where it is kept; None for a run made of somebody's numbers, which has no config either.
    beta, loss_type: what is known of how somebody else's run was trained.
    given: the objects of a run of one's own encoder, data or loss; None where the Config names them all.
    """

    config: Config
    history: dict[str, list]
    folder: Path | None = field(default=None, repr=False)
    beta: float | None = None
    loss_type: str | None = None
    given: "Given | None" = field(default=None, repr=False, compare=False)

    @classmethod
    def open(cls, config: Config, folder: Path, given: "Given | None" = None) -> "Run":
        return cls(config, json.loads((folder / "history.json").read_text()), folder, given=given)

    @classmethod
    def from_logs(cls, records: Any, *, beta: float | None = None, loss_type: str | None = None) -> "Run":
        """A Run of numbers that somebody else's trainer wrote: a history, without config, model or snapshots.

        Args:
            records: TRL's trainer state (its `trainer_state.json`, what that holds, or the `log_history` in it); a table as a
                list of rows, a dict of columns, a pandas DataFrame, or a .csv, .json, .jsonl or .parquet file.
            beta: the run's beta, where it is known: rewards can then be told in nats.
            loss_type: TRL's name of its loss: what `logps/*` are depends on it.

        Raises:
            ValueError, TypeError: a file that is not there, something that is no table; the message says what is.

        >>> Run.from_logs([{"step": 1, "rewards/chosen": -0.2}, {"step": 2, "rewards/chosen": -0.4}]).history
        {'step': [1, 2], 'rewards/chosen': [-0.2, -0.4]}
        """
        from labkit.training.logs import columns

        if beta is not None and not beta > 0:
            raise ValueError(f"beta must be > 0, got {beta}")
        return cls(None, columns(records), None, beta, loss_type)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        if self.config is None:
            rows = len(next(iter(self.history.values()), []))
            return f"Run({rows} rows of somebody's numbers: {', '.join(self.history)})"
        end = (
            f"loss {self.history['loss'][-1]:.4g} after {self.history['step'][-1]} steps" if self.history["step"] else "no step"
        )
        return f"Run({end}; {self.config.text})"

    @property
    def entry(self) -> "Entry | OwnLoss":
        return self.given.entry if self.given else ENTRIES[self.config.loss.name]

    @cached_property
    def data(self) -> Any:
        return self.given.data if self.given else load_data(self.config)

    @cached_property
    def snapshots(self) -> dict[int, dict[str, np.ndarray]]:
        """step -> arrays of the probe set, at log-spaced steps; for policies see `answers.picture`.

        Of encoders "z (n, d)", and "views (2, m, d)": two views of the first of these instances, always the same two.
        """
        assert self.folder is not None, "this run was made of numbers: it has no snapshots"
        files = sorted((self.folder / "snapshots").glob("*.npz"))
        return {int(f.stem): dict(np.load(f)) for f in files}

    def model(self) -> nn.Module:
        """The trained model, in evaluation mode on the CPU."""
        assert self.folder is not None, "this run was made of numbers: it has no model"
        model = self.given.model(self.config) if self.given else models.build(self.config.model, self.data)
        model.load_state_dict(torch.load(self.folder / "model.pt", weights_only=True, map_location="cpu"))
        return model.eval()

    def objective(self) -> nn.Module:
        """The trained copy of a loss that is a module (a learned temperature, prototypes), in evaluation mode on the CPU."""
        if self.given is None or self.given.objective is None or self.folder is None:
            raise ValueError(
                f"the loss of this run, {self.config.loss}, is a function: it has nothing of its own that was trained"
            )
        objective = copy.deepcopy(self.given.objective).cpu()
        objective.load_state_dict(torch.load(self.folder / "objective.pt", weights_only=True, map_location="cpu"))
        return objective.eval()

    def start(self) -> nn.Module:
        """The model before its first step, in evaluation mode on the CPU."""
        from labkit.training.loop import beginning

        return (self.given.begin(self.config) if self.given else beginning(self.config, self.data))[0].eval()

    def embed(self, x: Tensor, *, features: bool = False) -> Tensor:
        """`z` (or `h`, before the projector) of raw inputs as the data set holds them, without augmentation, in blocks."""
        return embed(self.model(), x, features=features)

    @cached_property
    def probe(self) -> Tensor:
        return probe(self.data)

    @cached_property
    def embeddings(self) -> Tensor:
        """Final `z` of the probe set."""
        return self.embed(probe_inputs(self.model(), self.data, self.probe))

    @cached_property
    def features(self) -> Tensor:
        """Final `h`, before the projector, of the probe set."""
        return self.embed(probe_inputs(self.model(), self.data, self.probe), features=True)

    @property
    def labels(self) -> Tensor:
        return self.data.y[self.probe]

    @property
    def chance(self) -> float | None:
        """The loss of a model that tells nothing apart, for this batch size."""
        return chance(self.config, self.size, self.given)

    @property
    def size(self) -> int:
        """How many instances batches are drawn from; of a stream, as many as a batch."""
        return (self.given.size or self.config.batch) if self.given else len(self.data)

    @property
    def floor(self) -> float | None:
        """The smallest loss that this batch size allows, where it is known."""
        entry = self.entry
        if not isinstance(entry, Entry) or not entry.floor_at:
            return None
        return entry.floor(min(self.config.batch, self.size), **options(self.config, self.given))


def options(config: Config, given: "Given | None" = None) -> dict[str, Any]:
    kept = given.options if given else config.loss.kwargs
    return {k: v for k, v in kept.items() if k not in ("reduction", "block_size")}


def chance(config: Config, n: int, given: "Given | None" = None) -> float | None:
    entry = given.entry if given else ENTRIES[config.loss.name]
    if not isinstance(entry, Entry):
        return None  # nobody knows it of somebody's own loss
    if entry.kind == "preference" and "ref_chosen_logps" not in entry.tensors:
        return None  # without a reference there is no policy that has moved nowhere
    rows = min(config.batch, n) * (config.views if "z" in entry.tensors else 1)
    try:
        return entry.chance(rows, **options(config, given))
    except ValueError:  # a batch that the loss would refuse: fit says so itself, at the first step
        return None


def probe(dataset: Any) -> Tensor:
    """The instances that snapshots show: all, or a fixed sample of PROBE of them."""
    n = len(dataset)
    if n <= PROBE:
        return torch.arange(n)
    return torch.randperm(n, generator=torch.Generator().manual_seed(0))[:PROBE].sort().values


def probe_inputs(model: nn.Module, dataset: Any, index: Tensor) -> Tensor:
    """What the model takes for these instances: a table of free points takes their numbers."""
    return index if getattr(model, "by_index", False) else dataset.x[index.to(dataset.x.device)]


@torch.no_grad()
def embed(model: nn.Module, x: Tensor, *, features: bool = False, block: int = 1000) -> Tensor:
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    if features and not hasattr(model, "features"):
        raise AttributeError(f"{type(model).__name__} has no method features(x), so its z is all there is to see")
    through = model.features if features else model
    was_training = model.training
    model.eval()
    z = torch.cat([through(to_float(rows.to(device))).float().cpu() for rows in x.split(block)])  # type: ignore[operator]
    model.train(was_training)
    return z
