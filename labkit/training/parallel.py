"""One run shared by several processes, as `torchrun` starts them: the numbers of one process up to rounding.

Every process draws the same batch and the same views, and embeds its own part of them; the parts may be uneven. A loss that is
made in tiles compares one's own part with everyone's, which go round (`labkit.gather.across`); any other loss gets all rows
gathered (`labkit.gather.rows`). The mean of all processes' gradients is then the gradient of the whole batch, and every process
takes the same step. Rank 0 writes what is kept, and reads it for all: a run can be taken up by another number of processes.

Rounding is all that differs, but a learning rate at the edge of what is stable doubles it at every step, as it would a change
of the first weights by 1e-7. Such a run is kept beside that of one process, which is exact to the bit. Across machines it lies
where rank 0's `LABKIT_HOME` is: let that be a folder they share, and every Run finds its weights.
"""

import atexit
import contextlib
import datetime
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from filelock import FileLock
from torch import Tensor, nn

from labkit import gather
from labkit.registry import Entry
from labkit.training.config import Config
from labkit.training.given import Given, OwnLoss
from labkit.training.loop import Trainer
from labkit.training.run import Run
from labkit.training.views import drawn, tensors

PATIENCE = datetime.timedelta(minutes=10)  # how long a process waits for the others before it fails
T = TypeVar("T")


def several(device: str) -> bool:
    """Whether there are other processes; those that torchrun started are joined.

    On machines with CUDA tensors there travel by NCCL and everything else by gloo. Whoever wants it otherwise calls
    `torch.distributed.init_process_group` before.
    """
    if not dist.is_available():
        return False
    if not dist.is_initialized() and int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ:
        on_gpu = torch.cuda.is_available() and not device.startswith("cpu")
        if on_gpu:
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo", timeout=PATIENCE)
        atexit.register(leave)
    return gather.members() is not None


def leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def first() -> bool:
    """Whether I am the process that writes, and speaks to people: always, where I am alone."""
    found = gather.members()
    return found is None or found.rank == 0


def told(value: T) -> T:
    """What rank 0 says."""
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def part(n: int) -> slice:
    """Which of n rows are mine: the first processes get one more where n does not divide.

    Raises:
        ValueError: fewer rows than processes.
    """
    me = gather.members()
    assert me is not None
    if n < me.size:
        raise ValueError(f"batch must be at least {me.size}, one row for each process, got {n}")
    each, more = divmod(n, me.size)
    start = me.rank * each + min(me.rank, more)
    return slice(start, start + each + (me.rank < more))


def average(parameters: Iterable[nn.Parameter]) -> None:
    """Replace gradients by their mean over the processes: one message for each precision."""
    found = [p.grad for p in parameters if p.grad is not None]
    for dtype in dict.fromkeys(g.dtype for g in found):
        some = [g for g in found if g.dtype == dtype]
        flat = torch.cat([g.flatten() for g in some])
        dist.all_reduce(flat)
        flat /= dist.get_world_size()
        for g, mean in zip(some, flat.split([g.numel() for g in some]), strict=True):
            g.copy_(mean.view_as(g))


def total(x: Tensor) -> Tensor:
    """The sum over processes, with its gradient."""
    return gather.rows(x[None]).sum(0)


class Synced(nn.modules.batchnorm._BatchNorm):
    """A BatchNorm whose statistics are those of the whole batch: exact, also where the parts are uneven."""

    def _check_input_dim(self, x: Tensor) -> None: ...

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        axes, shape = [0, *range(2, x.ndim)], [1, -1] + [1] * (x.ndim - 2)
        many = total(x.new_tensor(x.numel() / x.shape[1]))
        mean = total(x.sum(axes)) / many
        centred = x - mean.view(shape)
        variance = total(centred.square().sum(axes)) / many
        self.remember(mean.detach(), (variance * many / (many - 1)).detach())
        y = centred * (variance + self.eps).rsqrt().view(shape)
        return y if self.weight is None else y * self.weight.view(shape) + self.bias.view(shape)

    @torch.no_grad()
    def remember(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        momentum = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance, momentum)


def begun(module: nn.Module) -> None:
    """Begin where rank 0 does, and let every BatchNorm see the whole batch; its weights and their names stay."""
    for x in module.state_dict().values():
        dist.broadcast(x, src=0)
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm) and not isinstance(layer, nn.SyncBatchNorm):
            layer.__class__ = Synced


class Shared(Trainer):
    """A Trainer that is one of several.

    Layers that draw for themselves (dropout) draw anew in each process: such a run is another draw of the same experiment.
    """

    def __init__(self, config: Config, given: Given, folder: Path):
        if config.account:
            raise ValueError("account=True keeps the books of one process: train without torchrun")
        super().__init__(config, given, folder)
        for module in (self.model, self.objective, self.target):
            if module is not None:
                begun(module)

    # ------------------------------------------------------------------ what is remembered

    def stored(self) -> dict[str, Any] | None:
        return told(super().stored() if first() else None)

    def resume(self) -> None:
        super().resume()
        if not first():
            mine = hash((self.config.seed, self.step, dist.get_rank()))
            self.dropout = torch.Generator().manual_seed(mine % (1 << 62)).get_state()

    def save(self) -> None:
        if first():
            super().save()

    def finish(self) -> None:
        if first():
            super().finish()

    def snapshot(self) -> int:
        return super().snapshot() if first() else 0

    # ------------------------------------------------------------------ one step

    def views(self, index: Tensor) -> dict[str, Tensor]:
        by_index = getattr(self.model, "by_index", False)
        x, y, many = drawn(self.given, self.data, self.source, index.to(self.device), self.config.views, self.noise, by_index)
        mine, self.many = part(len(x) // many), many
        x = x.unflatten(0, (many, -1))[:, mine].flatten(0, 1)
        return tensors(self.model, self.target, self.entry, (x, None if y is None else y[mine], many))

    def answers(self, index: Tensor) -> dict[str, Tensor]:
        found = super().answers(index[part(len(index))])
        whole = ("token", "mask", "logits")  # large, and needed by few
        return {n: gather.rows(x) for n, x in found.items() if self.entry.takes(n) or not any(w in n for w in whole)}

    def loss(self, asked: dict[str, Tensor]) -> Tensor:
        if self.policy:
            return super().loss(asked)
        if isinstance(self.entry, Entry) and self.entry.takes("block_size"):
            with gather.across():
                return super().loss(asked)
        folded = ("z", "labels") if isinstance(self.entry, OwnLoss) and "z" in asked else ()
        return super().loss({n: unfolded(x, self.many) if n in folded else gather.rows(x) for n, x in asked.items()})

    def value(self, loss: Tensor) -> float:
        mean = loss.detach().clone()
        dist.all_reduce(mean)
        return mean.item() / dist.get_world_size()

    def learn(self, loss: Tensor) -> None:
        self.optimizer.zero_grad()
        loss.backward()
        average(self.trained())
        self.optimizer.step()


def unfolded(x: Tensor, many: int) -> Tensor:
    """All rows of one view after the other, of which each process has some of every view."""
    return gather.rows(x.unflatten(0, (many, -1)).transpose(0, 1)).transpose(0, 1).flatten(0, 1)


def share(config: Config, parts: Given, given: Given | None, folder: Path | None, progress: bool) -> Run:
    """The run, trained by all processes together, or found. folder: rank 0's; given: of a run of the reader's own parts.

    Raises:
        ValueError: the processes ask for different runs.
    """
    if given is None and (asked := told(config.text)) != config.text:
        raise ValueError(f"all processes must ask for the same run; rank 0 asks for {asked}, and this one for {config.text}")
    if config.device == "auto" and not torch.cuda.is_available():
        config = config.replace(device="cpu")
    with FileLock(folder / "lock") if folder is not None else contextlib.nullcontext():
        there = told(folder)
        assert there is not None
        if not told(folder is not None and (folder / "history.json").exists()):
            Shared(config, parts, there).train(progress and first())
        history = told(Run.open(config, there).history if first() else None)
    assert history is not None
    return Run(config, history, there, given=given)
