"""Several processes on this machine, and what they find when each has some of the rows; `ranks.py FOLDER` is one of them."""

import functools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

SIZES = {"float32": [(5, 3), (4, 4, 4)], "float64": [(5, 1, 3), (4, 6, 2, 1)]}  # rows of each process
D = 6


def launch(script, world, folder, *words, timeout=240):
    """`world` processes of a script, with the variables that torchrun gives its processes."""
    env = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "WORLD_SIZE": str(world),
        "PYTHONWARNINGS": "error::FutureWarning",
        "LABKIT_TYPECHECK": "0",
    }
    env |= {"GLOO_SOCKET_IFNAME": "lo"} if sys.platform == "linux" else {}
    command = [sys.executable, str(script), str(folder), *words]
    with tempfile.TemporaryFile("w+") as log:
        ranks = [subprocess.Popen(command, env=env | {"RANK": str(r)}, stdout=log, stderr=log) for r in range(world)]
        try:
            codes = [rank.wait(timeout) for rank in ranks]
        finally:
            for rank in ranks:
                rank.kill()
        log.seek(0)
        assert not any(codes), log.read()


def main(folder):
    import torch
    import torch.distributed as dist

    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=world)
    groups = {w: dist.new_group(range(w)) for w in (2, 3, 4)}
    found = {}
    for check in (tiled, temperatures, others, rows, wrong, ddp, narrow, refusals):
        found[check.__name__] = check(rank, groups)
    if rank == 0:
        (folder / "found.json").write_text(json.dumps(found))
    dist.barrier()
    dist.destroy_process_group()


# ---------------------------------------------------------------- one loss, alone and shared


def tensors(arguments, dtype=None):
    """The same with leaves that ask for a gradient."""
    import torch

    return {
        n: x.detach().clone().to(dtype or x.dtype).requires_grad_() if torch.is_tensor(x) and x.is_floating_point() else x
        for n, x in arguments.items()
    }


def gradients(fn, arguments):
    """The value, and the gradients of all that has one."""
    import torch

    leaves = tensors(arguments)
    value = fn(**leaves)
    value.backward()
    return value.detach(), {
        n: x.grad for n, x in leaves.items() if torch.is_tensor(x) and x.requires_grad and x.grad is not None
    }


def own(arguments, sizes, rank):
    """This process's rows; what has no rows stays."""
    import torch

    start = sum(sizes[:rank])
    return {n: x[start : start + sizes[rank]] if torch.is_tensor(x) and x.ndim else x for n, x in arguments.items()}


def mean(x, group):
    import torch.distributed as dist

    x = x.clone()
    dist.all_reduce(x, group=group)
    return x / dist.get_world_size(group)


def compared(fn, shared, arguments, sizes, rank, group):
    """How far value and gradients of the processes, averaged as DDP does, lie from those of one process."""
    import torch

    from labkit import gather

    value, whole = gradients(fn, arguments)
    part, mine = gradients(shared, own(arguments, sizes, rank))
    joined = {n: mean(g, group) if not g.ndim else gather.rows(g, group) / len(sizes) for n, g in mine.items()}
    one, all_ = (torch.cat([gs[n].flatten().double() for n in sorted(whole) if gs[n].ndim]) for gs in (whole, joined))
    scale = one.norm().clamp(min=1e-6)
    told = {"value": abs(mean(part, group) - value).item() / max(1.0, abs(value.item()))}
    told |= {"gradient": ((all_ - one).norm() / scale).item()}
    told |= {"cosine": torch.cosine_similarity(one, all_, dim=0).item(), "ratio": (all_.norm() / scale).item()}
    told |= {n: (joined[n] - g).abs().item() / max(1.0, g.abs().item()) for n, g in whole.items() if not g.ndim}
    return told


def within(fn, group):
    from labkit import gather

    def shared(**leaves):
        with gather.across(group):
            return fn(**leaves)

    return shared


def losses(in_tiles):
    from labkit import catalog

    return [e for e in catalog() if e.kind == "loss" and e.takes("block_size") == in_tiles]


def made(entry, n, dtype):
    import torch

    torch.manual_seed(n)
    return entry.arguments(lambda shape: torch.randn(shape, dtype=dtype), n, D, 3)


def tiled(rank, groups):
    """Every loss that is made in tiles, in both precisions, whole blocks and tiles of two rows in turn."""
    import torch

    found = {}
    for entry in losses(True):
        for dtype, several in SIZES.items():
            for sizes, options in zip(several, ({}, {"block_size": 2}), strict=True):
                for form in [{"form": "in"}, {"form": "out"}] if entry.name == "sup_con" else [{}]:
                    if rank < len(sizes):
                        fn, group = functools.partial(entry.fn, **options, **form), groups[len(sizes)]
                        arguments = made(entry, sum(sizes), getattr(torch, dtype))
                        told = compared(fn, within(fn, group), arguments, sizes, rank, group)
                        found[f"{entry.name} {dtype} {sizes} {options | form}"] = told
    return found


def temperatures(rank, groups):
    """Its gradient, and losses at the ends of what it may be."""
    import torch

    found = {}
    for entry in losses(True):
        if not entry.takes("temperature"):
            continue
        for temperature, sizes in ((0.005, (5, 1, 3)), (0.1, (5, 3)), (5.0, (4, 6, 2, 1))):
            if rank < len(sizes):
                group, arguments = groups[len(sizes)], made(entry, sum(sizes), torch.float64)
                arguments["temperature"] = torch.tensor(temperature, dtype=torch.float64)
                told = compared(entry.fn, within(entry.fn, group), arguments, sizes, rank, group)
                found[f"{entry.name} {temperature} {sizes}"] = told
    return found


def others(rank, groups):
    """Every other loss on rows, with all of them gathered."""
    import torch

    from labkit import gather

    found = {}
    for entry in losses(False):
        sizes = (4, 6, 2, 1)
        arguments = made(entry, sum(sizes), torch.float64)
        if not entry.tensors or any(len(x) != sum(sizes) for x in arguments.values()):
            continue

        def shared(entry=entry, **leaves):
            return entry.fn(**{n: gather.rows(x) for n, x in leaves.items()})

        found[entry.name] = compared(entry.fn, shared, arguments, sizes, rank, groups[4])
    return found


def rows(rank, groups):
    """Kinds of numbers, uneven rows, none at all; the gradient, and the gradient's."""
    import torch

    from labkit import gather

    counts = [3, 0, 1, 2]
    every = torch.arange(12.0, dtype=torch.float64).reshape(6, 2)
    mine = every.split(counts)[rank]
    same = all(
        torch.equal(gather.rows(mine.to(t)), every.to(t)) for t in (torch.float32, torch.bfloat16, torch.int64, torch.bool)
    )
    flat = torch.equal(gather.rows(mine[:, 0].long()), every[:, 0].long())
    leaf = mine.clone().requires_grad_()
    (slope,) = torch.autograd.grad((gather.rows(leaf) ** 3).sum() * (rank + 1), leaf, create_graph=True)
    first = torch.equal(slope, 3 * mine**2 * (1 + 2 + 3 + 4))
    (bend,) = torch.autograd.grad((slope**2).sum(), leaf)
    second = torch.allclose(bend, 2 * 30 * mine**2 * 6 * mine * 10)
    pair = torch.equal(gather.rows(mine[:1] * 0 + rank, groups[2]), torch.tensor([[0.0, 0.0]])) if rank < 2 else True
    return {"same": same, "flat": flat, "first": first, "second": second, "pair": pair}


def wrong(rank, groups):
    """What is often done instead: NT-Xent against local rows, with others' rows detached, with a backward that averages."""
    import torch

    from labkit import gather
    from labkit.losses import nt_xent

    sizes, n, found = (8, 8, 8, 8), 32, {}
    torch.manual_seed(0)
    arguments = {"z1": torch.randn(n, D, dtype=torch.float64)}
    arguments["z2"] = arguments["z1"] + 0.5 * torch.randn(n, D, dtype=torch.float64)
    start = 8 * rank

    def beside(z):
        whole = gather.rows(z.detach())
        return torch.cat([whole[:start], z, whole[start + 8 :]])

    def detached(z1, z2):
        return nt_xent(beside(z1), beside(z2))

    def anchors(z1, z2):
        return nt_xent(beside(z1), beside(z2), reduction="none").unflatten(0, (2, n))[:, start : start + 8].mean()

    def averaged(z1, z2):
        return nt_xent(*(gather.rows(z / 4 + (z - z / 4).detach()) for z in (z1, z2)))

    for name, shared in (("local", nt_xent), ("detached", detached), ("anchors", anchors), ("averaged", averaged)):
        found[name] = compared(nt_xent, shared, arguments, sizes, rank, groups[4])
    return found


def ddp(rank, groups):
    """torch's own DistributedDataParallel in two processes, over an encoder and a temperature, against one process."""
    import torch
    from torch.nn.parallel import DistributedDataParallel

    from labkit import gather
    from labkit.losses import clip_loss

    if rank > 1:
        return None

    class Two(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = (torch.nn.Linear(5, 4, dtype=torch.float64) for _ in range(2))
            self.logs = torch.nn.Parameter(torch.tensor(-1.0, dtype=torch.float64))

        def forward(self, x):
            return self.one(x), self.two(x.roll(1, 1)), self.logs.exp()

    torch.manual_seed(0)
    alone, x, found = Two(), torch.randn(9, 5, dtype=torch.float64), {}
    a, b, temperature = alone(x)
    clip_loss(a, b, temperature=temperature).backward()
    for way in ("across", "rows"):
        torch.manual_seed(0)
        model = DistributedDataParallel(Two(), process_group=groups[2])
        a, b, temperature = model(own({"x": x}, (7, 2), rank)["x"])
        if way == "across":
            with gather.across(groups[2]):
                loss = clip_loss(a, b, temperature=temperature)
        else:
            loss = clip_loss(gather.rows(a, groups[2]), gather.rows(b, groups[2]), temperature=temperature)
        loss.backward()
        pairs = zip(model.module.parameters(), alone.parameters(), strict=True)
        found[way] = max(((p.grad - q.grad).norm() / q.grad.norm()).item() for p, q in pairs)
    return found


def narrow(rank, groups):
    """The most rows of any tensor that is made while a loss goes round the ring: never everyone's."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    from labkit import gather
    from labkit.losses import nt_xent

    class Longest(TorchDispatchMode):
        rows = 0

        def __torch_dispatch__(self, fn, types, args=(), kwargs=None):
            made = fn(*args, **(kwargs or {}))
            for x in made if isinstance(made, (tuple, list)) else [made]:
                if torch.is_tensor(x) and x.ndim > 1:
                    self.rows = max(self.rows, *x.shape)
            return made

    with Longest() as longest, gather.across():
        nt_xent(*(torch.randn(40, D).requires_grad_() for _ in range(2)), block_size=16).backward()
    return {"rows": longest.rows, "everyone": 2 * 40 * 4}


def refusals(rank, groups):
    import torch

    from labkit import gather, losses, preferences

    def said(ask):
        try:
            ask()
        except (ValueError, RuntimeError) as error:
            return f"{type(error).__name__}: {error}"
        return "nothing"

    z = torch.randn(3, D, dtype=torch.float64).requires_grad_()

    def inside(ask):
        with gather.across():
            return said(ask)

    def twice():
        with gather.across():
            loss = losses.nt_xent(z, z.flip(1))
        (slope,) = torch.autograd.grad(loss, z, create_graph=True)
        torch.autograd.grad(slope.square().sum(), z)

    found = {
        "batch": inside(lambda: losses.vicreg(z, z)),
        "pairs": inside(lambda: preferences.cpo(-torch.ones(2), -torch.ones(2))),
    }
    found |= {"kinds": said(lambda: gather.rows(torch.zeros(2, 3 + rank % 2))), "twice": said(twice)}
    found["outside"] = said(lambda: gather.rows(z, groups[2])) if rank > 1 else ""
    every = [None] * 4
    torch.distributed.all_gather_object(every, found)
    return every


if __name__ == "__main__":
    main(Path(sys.argv[1]))
