"""Losses in tiles: the same values and gradients as with all logits at once, without holding them."""

import itertools

import pytest
import torch
from cases import LOSSES, STOPPED, call, having, inputs, leaves
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils import _pytree as tree
from torch.utils._python_dispatch import TorchDispatchMode

from labkit import losses
from labkit.contrast import partitions
from labkit.energy import log_mean_potential
from labkit.rows import in_turn

DOUBLE = torch.float64
TILED = having("block_size", LOSSES)
N = 9  # odd, and no multiple of a tile
LEARNED = {"temperature": 0.3, "bias": -1.5, "t": 1.5, "beta": 0.7, "tau_plus": 0.2, "alpha": 0.9, "sigma": 0.6, "share": 0.3}
COLD = {"temperature": 0.003, "t": 400.0}  # exponentials leave the range even of float64: the online maximum
WHOLE = 1000  # more than there are rows: dense, whatever the size


def over(entries):
    return pytest.mark.parametrize("entry", entries, ids=lambda e: e.name)


def settings(entry):
    """Every form of a loss, without and with optional arguments."""
    forms = [{"form": "in"}, {"form": "out"}] if entry.takes("form") else [{}]
    some = {"plain": inputs(entry, n=N, d=5), "optional": inputs(entry, n=N, d=5, optional=True)}
    given = [some["plain"]] if some["plain"].keys() == some["optional"].keys() else list(some.values())
    yield from itertools.product(given, forms)
    if entry.name == "sup_con":
        z, labels = inputs(entry, n=N, d=5)["z"], torch.arange(N)
        views = torch.stack([z, z.flip(0), z.roll(1, 1)], 1)
        hard = {"z": z, "labels": labels}, {"z": z, "labels": 0 * labels}, {"z": views, "labels": labels // 3 - 1}
        yield from itertools.product(hard, forms)  # nobody has a positive, everybody, several views


def slopes(entry, given, dtype=DOUBLE, **options):
    """Value and all gradients, those of learned numbers among them."""
    given = {n: x.to(dtype) if x.is_floating_point() else x for n, x in given.items()}
    trained = leaves(entry, given)
    numbers = {n: torch.tensor(x, dtype=DOUBLE, requires_grad=True) for n, x in LEARNED.items() if entry.takes(n)}
    numbers |= {n: torch.tensor(x, dtype=DOUBLE, requires_grad=True) for n, x in options.items() if n in COLD}
    rest = {n: x for n, x in options.items() if n not in COLD}
    value = call(entry, {**given, **trained}, **numbers, **rest)
    weights = torch.linspace(0.5, 1.5, value.numel(), dtype=value.dtype).view(value.shape)
    wanted = [*trained.values(), *numbers.values()]
    found = torch.autograd.grad((value * weights).sum(), wanted, allow_unused=True, materialize_grads=True)
    return [value.detach(), *found]


def agree(found, expected, tolerance):
    """As far apart as `tolerance` allows, by their norms."""
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape and one.dtype == other.dtype
        assert torch.isfinite(one).all()
        assert (one - other).double().norm() <= tolerance * max(other.double().norm(), 1e-3 if one.ndim else 1.0)


# ---------------------------------------------------------------- tiled against dense


@over(TILED)
@pytest.mark.parametrize("cold", [False, True], ids=["plain", "online"])
def test_tiles_change_nothing_in_double(entry, cold):
    options = {n: x for n, x in COLD.items() if entry.takes(n)} if cold else {}
    for given, form in settings(entry):
        dense = slopes(entry, given, block_size=WHOLE, **options, **form)
        for size in (1, 4):
            agree(slopes(entry, given, block_size=size, **options, **form), dense, 1e-12)


@over(TILED)
def test_tiles_change_nothing_in_single(entry):
    for given, form in settings(entry):
        dense = slopes(entry, given, torch.float32, block_size=WHOLE, **form)
        agree(slopes(entry, given, torch.float32, block_size=4, **form), dense, 1e-6)


@over([e for e in TILED if e.takes("reduction")])
def test_tiles_under_every_reduction(entry):
    given = inputs(entry, n=N)
    for reduction in ("none", "sum", "mean"):
        dense = slopes(entry, given, block_size=WHOLE, reduction=reduction)
        agree(slopes(entry, given, block_size=4, reduction=reduction), dense, 1e-12)


@over([e for e in TILED if e.name not in STOPPED])
@pytest.mark.parametrize("cold", [False, True], ids=["plain", "online"])
def test_the_gradient_through_tiles_is_the_derivative(entry, cold):
    given = inputs(entry, n=5, d=3)
    if cold:  # near each other, so that the loss is not all one pair
        given = {n: 1 + 0.02 * x if x.is_floating_point() else x for n, x in given.items()}
    names = {n: COLD.get(n, x) if cold else x for n, x in LEARNED.items() if entry.takes(n)}
    trained = leaves(entry, given)
    numbers = [torch.tensor(x, dtype=DOUBLE, requires_grad=True) for x in names.values()]
    step = {"eps": 1e-7, "atol": 1e-3, "rtol": 1e-4} if cold else {}

    def loss(*x):
        chosen = dict(zip([*trained, *names], x, strict=True))
        rows = {n: chosen[n] for n in trained}
        return call(entry, {**given, **rows}, block_size=2, **{n: chosen[n] for n in names})

    assert torch.autograd.gradcheck(loss, (*trained.values(), *numbers), **step)


@pytest.mark.parametrize("form", ["out", "in"])
def test_labels_may_be_any_whole_numbers(form):
    z, few = torch.randn(N, 4, dtype=DOUBLE), torch.arange(N) // 2
    odd = torch.tensor([-(2**62), 7, 2**62, -1, 0])[few]
    for size in (1, 4, WHOLE):
        assert losses.sup_con(z, odd, form=form, block_size=size) == pytest.approx(losses.sup_con(z, few, form=form).item())


@pytest.mark.parametrize(("n", "m"), [(7, 7), (7, 3), (3, 7), (8, 3), (1, 5), (5, 1)])
@pytest.mark.parametrize("skip", [(), (0,), (0, 2), (1, -1), (0, 100)])
def test_partitions_of_any_shape(n, m, skip):
    """Also where a row is left with nobody: -inf, and a gradient of zeros."""
    a, b = torch.randn(n, 4, dtype=DOUBLE), torch.randn(m, 4, dtype=DOUBLE)
    counted = torch.ones(n, m, dtype=torch.bool)
    for i, s in itertools.product(range(n), skip):
        counted[i, (i + s) % m] = False
    for temperature, size in itertools.product((0.5, 0.001), (1, 2, 4, WHOLE)):
        x, y = a.clone().requires_grad_(), b.clone().requires_grad_()
        found = partitions(x, y, temperature=temperature, skip=skip, block_size=size)
        logits = (a @ b.T / temperature).masked_fill(~counted, -torch.inf)
        for one, axis in zip(found, (1, 0), strict=True):
            torch.testing.assert_close(one.detach(), logits.logsumexp(axis), rtol=1e-12, atol=1e-12)
        sum(one[torch.isfinite(one)].sum() for one in found).backward()
        assert torch.isfinite(x.grad).all() and torch.isfinite(y.grad).all()


def test_tiles_of_other_classes_are_not_made():
    z, ids, made = torch.randn(64, 4), torch.arange(64) // 4, Counted()
    with made:
        partitions(z, temperature=0.5, ids=ids, block_size=4)
    assert made.count("addmm") + made.count("mm") == 16  # of the 136 of the upper half


@pytest.mark.parametrize("dtype", [torch.int8, torch.int16, torch.int64])
@pytest.mark.parametrize("form", ["out", "in"])
def test_ids_may_be_any_integers_in_any_order(dtype, form):
    most = torch.iinfo(dtype).max
    labels = torch.tensor([most, 0, most, 7, 0, most, 7, 9], dtype=dtype)
    z = torch.randn(8, 3, dtype=DOUBLE)
    expected = losses.sup_con(z, torch.tensor([3, 0, 3, 1, 0, 3, 1, 2]), form=form, block_size=WHOLE)
    for size in (2, 4, WHOLE):
        torch.testing.assert_close(losses.sup_con(z, labels, form=form, block_size=size), expected, rtol=1e-12, atol=1e-12)


# ---------------------------------------------------------------- derivatives, devices, precisions


@over(TILED)
def test_tiles_refuse_a_second_derivative_and_give_the_first(entry, monkeypatch):
    given = inputs(entry, n=N)
    dense = torch.autograd.grad(call(entry, (rows := {**given, **leaves(entry, given)}), block_size=WHOLE), leaf(rows))
    monkeypatch.setattr("labkit.tiled.plan.DENSE", 4)
    for chosen in ({"block_size": 4}, {}):  # asked for, and by itself
        rows = {**given, **leaves(entry, given)}
        first = torch.autograd.grad(call(entry, rows, **chosen), leaf(rows), create_graph=True)
        agree([x.detach() for x in first], dense, 1e-12)
        with pytest.raises(RuntimeError, match="no second derivative; pass block_size=n"):
            torch.autograd.grad(sum(x.square().sum() for x in first), leaf(rows))


def leaf(given):
    return [x for x in given.values() if x.requires_grad]


@over(TILED)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_goes_through_tiles_in_single(entry, dtype):
    given = inputs(entry, n=N, dtype=dtype)
    rows = {**given, **leaves(entry, given)}
    value = call(entry, rows, block_size=4)
    single = call(entry, {n: x.float() if x.is_floating_point() else x for n, x in given.items()}, block_size=4)
    assert value.dtype == torch.float32
    assert torch.equal(value, single)
    assert all(x.dtype == dtype for x in torch.autograd.grad(value, leaf(rows)))


@over(TILED)
def test_rows_need_not_lie_side_by_side_in_memory(entry):
    given = inputs(entry, n=N)
    apart = {n: x.T.contiguous().T if x.ndim == 2 else x.repeat_interleave(2, 0)[::2] for n, x in given.items()}
    assert not any(x.is_contiguous() for x in apart.values())
    agree(slopes(entry, apart, block_size=4), slopes(entry, given, block_size=4), 1e-14)


@over([e for e in TILED if len(e.tensors) == 2 and not e.takes("labels")])
def test_one_side_may_be_fixed(entry):
    given = inputs(entry, n=N)
    both = {**given, **leaves(entry, given)}
    expected = dict(zip(both, torch.autograd.grad(call(entry, both, block_size=4), leaf(both)), strict=True))
    for name in given:
        alone = given[name].clone().requires_grad_()
        (slope,) = torch.autograd.grad(call(entry, {**given, name: alone}, block_size=4), alone)
        agree([slope], [expected[name]], 1e-12)


def test_the_gradient_of_a_fixed_side_is_not_computed():
    a, b = torch.randn(2, 64, 8)
    count = {}
    for fixed in (False, True):
        x, y = a.clone().requires_grad_(), b.clone().requires_grad_(not fixed)
        loss = losses.clip_loss(x, y, block_size=16)
        with Counted() as made:
            loss.backward()
        count[fixed] = made.count("addmm_")
    assert count[True] == count[False] / 2 > 0


@over(TILED)
def test_without_gradients_the_value_is_the_same(entry):
    given = inputs(entry, n=N)
    rows = {**given, **leaves(entry, given)}
    with torch.no_grad():
        quiet = call(entry, rows, block_size=4)
    assert not quiet.requires_grad
    torch.testing.assert_close(quiet, call(entry, rows, block_size=4).detach(), rtol=1e-14, atol=1e-14)


@over(LOSSES)
def test_autocast_does_not_reach_a_loss(entry):
    """Products of rows in bfloat16 would be off by a percent."""
    given = inputs(entry, n=N, dtype=torch.float32)
    for option in ({"block_size": 4}, {"block_size": WHOLE}) if entry in TILED else ({},):
        found = []
        for enabled in (False, True):
            rows = {**given, **leaves(entry, given)}
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
                value = call(entry, rows, **option)
            found.append([value.detach(), *torch.autograd.grad(value, leaf(rows), allow_unused=True, materialize_grads=True)])
        assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@over(TILED)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_on_a_gpu(entry, dtype):
    """Within rounding of the CPU's float64; and between the checks of arguments and the value nobody waits for the device."""
    given = {n: x.cuda() for n, x in inputs(entry, n=N, d=8, dtype=dtype).items()}
    rows = {**given, **leaves(entry, given)}
    exact = call(entry, {n: x.cpu().double() if x.is_floating_point() else x.cpu() for n, x in given.items()})
    torch.testing.assert_close(call(entry, rows, block_size=4).cpu().double(), exact, rtol=1e-4, atol=1e-4)
    single = {n: x.detach().float().requires_grad_() if x.is_floating_point() else x for n, x in given.items()}
    if entry.takes("labels"):
        return  # how many classes there are is looked up
    torch.cuda.set_sync_debug_mode("error")
    try:
        entry.fn.__wrapped__(**single, block_size=4).mean().backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")


# ---------------------------------------------------------------- precision


def placed(n, d):
    """Partners that have nothing in common, nearly everything, everything, and those on the other side."""
    draw = torch.Generator().manual_seed(0)
    z1, z2 = torch.randn(2, n, d, generator=draw)
    yield from ((z1, z2), (z1, z1 + 1e-2 * z2), (z1, z1 + 1e-4 * z2), (z1, z1), (z1, -z1))


def check_precision(name, temperature, n, d, size):
    """Loss and gradient of rows in float32, against all of it in float64."""
    for z1, z2 in placed(n, d):
        found = []
        for dtype, block in ((torch.float32, size), (DOUBLE, 4 * n)):
            a, b = (z.to(dtype, copy=True).requires_grad_() for z in (z1, z2))
            given = (torch.stack([a, b], 1), torch.arange(n)) if name == "sup_con" else (a, b)
            value = getattr(losses, name)(*given, temperature=temperature, block_size=block)
            found.append([value.detach().double(), torch.cat(torch.autograd.grad(value, (a, b))).double()])
        (value, slope), (exact, truth) = found
        assert (value - exact).abs() <= 1e-6 * exact.abs().clamp(min=1)
        assert torch.isfinite(slope).all()
        assert (slope - truth).norm() <= 2e-6 * truth.norm() + 1e-35  # what float32 cannot hold


PRECISE = ["info_nce", "nt_xent", "clip_loss", "siglip", "sup_con", "dcl", "dhel"]


@pytest.mark.parametrize("name", PRECISE)
@pytest.mark.parametrize("temperature", [0.002, 0.04, 0.3, 1.0, 10.0])
@pytest.mark.parametrize("size", [48, WHOLE], ids=["tiles", "dense"])
def test_single_precision_is_exact_to_a_millionth(name, temperature, size):
    check_precision(name, temperature, n=96, d=32, size=size)


@pytest.mark.thorough
@pytest.mark.parametrize("name", PRECISE)
@pytest.mark.parametrize("temperature", [0.002, 0.039, 0.04, 0.07, 0.5, 1.0, 10.0])
def test_single_precision_of_many_rows(name, temperature):
    check_precision(name, temperature, n=2048, d=128, size=None)


@pytest.mark.parametrize("form", ["out", "in"])
@pytest.mark.parametrize("temperature", [0.002, 0.04, 0.1, 0.5, 1.0, 10.0])
@pytest.mark.parametrize("spread", [0.0, 1e-3, 0.03, 1.0, "apart"])
@pytest.mark.parametrize("size", [48, WHOLE], ids=["tiles", "dense"])
def test_single_precision_of_classes(form, temperature, spread, size):
    """Of one point, of points further and further from it, and of two opposite halves; one class has but one row."""
    n, d = 193, 32
    labels, draw = torch.arange(n) // 8, torch.Generator().manual_seed(0)
    centres = torch.randn(25, d, generator=draw)[labels]
    rows = (
        centres * (-1.0) ** torch.arange(n)[:, None]
        if spread == "apart"
        else centres + spread * torch.randn(n, d, generator=draw)
    )
    found = []
    for dtype, block in ((torch.float32, size), (DOUBLE, WHOLE)):
        z = rows.to(dtype, copy=True).requires_grad_()
        value = losses.sup_con(z, labels, temperature=temperature, form=form, block_size=block)
        found.append([value.detach().double(), torch.autograd.grad(value, z)[0].double()])
    (value, slope), (exact, truth) = found
    assert (value - exact).abs() <= 1e-6 * exact.abs().clamp(min=1)
    assert (slope - truth).norm() <= 2e-6 * truth.norm() + 1e-15 / temperature  # of what float64 holds where all is one point


# ---------------------------------------------------------------- memory


class Counted(TorchDispatchMode):
    """Which operations ran, and what they left alive: the bytes at the peak, and the largest tensor."""

    def __init__(self):
        super().__init__()
        self.ran, self.alive, self.peak, self.largest = [], {}, 0, 0

    def __torch_dispatch__(self, fn, types, args=(), kwargs=None):
        found = fn(*args, **(kwargs or {}))
        self.ran.append(fn.overloadpacket.__name__)
        for x in tree.tree_leaves(found):
            if isinstance(x, torch.Tensor):
                storage = x.untyped_storage()
                self.alive[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
                self.largest = max(self.largest, storage.nbytes())
        self.alive = {key: (ref, size) for key, (ref, size) in self.alive.items() if not ref.expired()}
        self.peak = max(self.peak, sum(size for _, size in self.alive.values()))
        return found

    def count(self, name):
        return sum(ran == name for ran in self.ran)


def allocated(entry, n, block_size=32):
    given = inputs(entry, n=n, d=8, v=2, dtype=torch.float32)
    if entry.takes("labels"):
        given["labels"] = torch.arange(n) // 8
    rows = {**given, **leaves(entry, given)}
    with Counted() as made:
        call(entry, rows, block_size=block_size).backward()
    return made


@over(TILED)
def test_no_matrix_of_all_pairs_is_made(entry):
    n = 192
    few, many = allocated(entry, n), allocated(entry, 2 * n)
    assert few.largest <= 2 * n * 16 * 8 < n * n * 2  # some rows in float64, never numbers for all pairs
    assert many.largest <= 2 * few.largest and many.peak <= 2.1 * few.peak
    assert allocated(entry, n, block_size=WHOLE).largest >= n * n  # at least a mask of them


def test_the_largest_batches_hold_few_copies_of_their_rows(monkeypatch):
    """NT-Xent at 65,536 pairs within 600 MiB: its rows are 64 MiB."""
    n, d = 2048, 128
    monkeypatch.setattr("labkit.rows.BLOCK_NUMBERS", 64 * d)
    z1, z2 = (torch.randn(n, d, requires_grad=True) for _ in range(2))
    with Counted() as made:
        losses.nt_xent(z1, z2, block_size=256).backward()
    assert made.peak <= 4.5 * 2 * n * d * 4


# ---------------------------------------------------------------- rows in turn, potentials, moments


def test_blocks_of_rows_in_turn_are_the_whole(monkeypatch):
    monkeypatch.setattr("labkit.rows.BLOCK_NUMBERS", 12)
    a, b = (torch.randn(N, 3, dtype=DOUBLE, requires_grad=True) for _ in range(2))

    def fn(x, y):
        return x.exp().sum(-1) * y.square().sum(-1)

    assert torch.equal(in_turn(fn, a, b), fn(a, b))
    assert torch.autograd.gradcheck(lambda x, y: in_turn(fn, x, y), (a, b))
    assert torch.autograd.gradgradcheck(lambda x, y: in_turn(fn, x, y), (a, b))
    fixed = b.detach()
    (slope,) = torch.autograd.grad(in_turn(fn, a, fixed).sum(), a)
    torch.testing.assert_close(slope, torch.autograd.grad(fn(a, fixed).sum(), a)[0])


@pytest.mark.parametrize("t", [0.1, 2.0, 500.0])
@pytest.mark.parametrize("spread", [1e-3, 1.0, 1e2])
def test_potentials_in_tiles_are_those_of_distances(t, spread):
    z = 1 + spread * torch.nn.functional.normalize(torch.randn(N, 4, dtype=DOUBLE), dim=-1)
    found = []
    for size in (4, WHOLE):
        x, width = z.clone().requires_grad_(), torch.tensor(t, dtype=DOUBLE, requires_grad=True)
        value = log_mean_potential(x, width, block_size=size)
        found.append([value.detach(), *torch.autograd.grad(value, (x, width))])
    agree(*found, 1e-10)


def test_potentials_of_many_points_have_a_second_derivative_where_they_are_whole(monkeypatch):
    monkeypatch.setattr("labkit.energy.FEW", 4)
    z = torch.randn(6, 3, dtype=DOUBLE, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: log_mean_potential(x, 0.5), z)


@pytest.mark.parametrize("mu", [0.5, 3])
def test_moments_of_many_rows_stand_for_their_products(mu):
    a, b = (torch.randn(N, 3, dtype=DOUBLE, requires_grad=True) for _ in range(2))
    x, y = (z * (mu**0.5 / z.norm(dim=-1, keepdim=True)).clamp(max=1) for z in (a, b))
    products = x @ y.T
    others = products.square().masked_fill(torch.eye(N, dtype=torch.bool), 0.0).sum(-1) / (N - 1)
    expected = ((others - 2 * products.diagonal()) / mu).mean()
    value = losses.spectral(a, b, mu=mu)
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-12)
    agree(torch.autograd.grad(value, (a, b)), torch.autograd.grad(expected, (a, b)), 1e-12)
    rows = [torch.randn(400, 4, requires_grad=True) for _ in range(2)]
    with Counted() as made:
        losses.spectral(*rows).backward()
    assert made.largest <= 400 * 4 * 4
