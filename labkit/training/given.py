"""What a run is made of, as objects: made from a Config, or handed over by the reader."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from labkit import models
from labkit.data import augment
from labkit.registry import ENTRIES, Entry
from labkit.training.config import Config
from labkit.training.run import load_data
from labkit.training.sources import Source, Stream


@dataclass(frozen=True)
class OwnLoss:
    """Somebody's loss, as much of a catalog's entry as a trainer asks for.

    fn: as it was given. calls: labkit's name of a tensor -> the function's name of it, "" where it goes by place.
    needed: those of them that it cannot do without.
    """

    function: Callable = field(repr=False)
    name: str
    calls: Mapping[str, str]
    needed: tuple[str, ...]
    kind = "loss"

    @property
    def tensors(self) -> tuple[str, ...]:
        return self.needed

    def of(self, module: nn.Module | None) -> "OwnLoss":
        """The same with this copy of its module."""
        return self if module is None else replace(self, function=module)

    def takes(self, name: str) -> bool:
        return name in self.calls

    def fn(self, **tensors: Any) -> Tensor:
        """One number with a gradient, or an error that says what came instead."""
        full = {
            n: x.float() if isinstance(x, Tensor) and x.dtype in (torch.float16, torch.bfloat16) else x
            for n, x in tensors.items()
        }
        placed = [full.pop(n) for n, own in self.calls.items() if not own and n in full]
        loss = self.function(*placed, **{self.calls.get(n, n): x for n, x in full.items()})
        if not isinstance(loss, Tensor):
            raise TypeError(f"loss must return a torch tensor, got {type(loss).__name__} from {self.name}")
        if loss.numel() != 1:
            raise ValueError(f"loss must return one number, got shape {tuple(loss.shape)} from {self.name}; take .mean()")
        if not loss.requires_grad:
            raise ValueError(f"loss has no gradient: {self.name} detaches it, or takes it through .item(); see check_objective")
        return loss.reshape(())


@dataclass(frozen=True, eq=False)
class Given:
    """Data, model, loss and augmentation of a run.

    data: what snapshots look at and, without a source, what batches are drawn from. size: how many instances there are.
    entry: of the catalog, or an OwnLoss. options: what it is called with. encoder: the reader's own, as it was handed over.
    objective: a loss that is a module: it is trained, too. source: where views come from that are there already.
    pair: two views of a few rows, for snapshots of such a source. labelled: whether the data has labels.
    kept: whether the run's name says all that decides its numbers, so that it can be taken up again.
    """

    data: Any
    entry: Entry | OwnLoss
    options: Mapping[str, Any]
    augment: Callable[..., Tensor] | None
    size: int | None = None
    encoder: nn.Module | None = None
    objective: nn.Module | None = None
    source: Source | None = None
    pair: Tensor | None = None
    labelled: bool = True
    kept: bool = True

    @property
    def own(self) -> bool:
        return isinstance(self.entry, OwnLoss)

    def flow(self) -> Source | None:
        """The source from its beginning."""
        return self.source.fresh() if isinstance(self.source, Stream) else self.source

    def begin(self, config: Config) -> tuple[nn.Module, Tensor]:
        """A copy of the reader's encoder, or the model that the Config names; and the random stream of layers that draw."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            model = models.build(config.model, self.data) if self.encoder is None else copy.deepcopy(self.encoder).cpu()
            return model, torch.get_rng_state()

    def model(self, config: Config) -> nn.Module:
        """Where trained weights are loaded into."""
        return models.build(config.model, self.data) if self.encoder is None else copy.deepcopy(self.encoder).cpu()


def made(config: Config) -> Given:
    """What a Config names."""
    data = load_data(config)
    return Given(data, ENTRIES[config.loss.name], config.loss.kwargs, augment.build(config.augment), len(data))
