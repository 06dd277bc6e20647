"""fit on somebody's own encoder, data and loss: the same Run, found again, taken up again, and never taken for another."""

import functools
import math
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from labkit import data as datasets
from labkit import losses
from labkit.explorers import time_machine
from labkit.training import Config, call, fit
from labkit.training.loop import Trainer

N, D = 96, 6


@pytest.fixture(autouse=True)
def _own_home(monkeypatch, tmp_path):
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))


class Net(nn.Module):
    def __init__(self, drop=0.0):
        super().__init__()
        self.body, self.head = nn.Linear(D, 16), nn.Sequential(nn.ReLU(), nn.Dropout(drop), nn.Linear(16, 4))

    def features(self, x):
        return self.body(x)

    def forward(self, x):
        return self.head(self.features(x))


def net(drop=0.0):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return Net(drop)


X = torch.randn(N, D, generator=torch.Generator().manual_seed(1))
Y = torch.arange(N) % 3


def mine(z1, z2, temperature=0.2):
    return F.cross_entropy(F.normalize(z1, dim=-1) @ F.normalize(z2, dim=-1).T / temperature, torch.arange(len(z1)))


def in_numpy(x):
    return x + torch.from_numpy(np.random.normal(0, 0.1, x.shape)).float() + 0.01 * torch.rand_like(x) + random.gauss(0, 0.1)


SHORT = {"steps": 6, "batch": 32, "lr": 1e-2, "device": "cpu", "progress": False}


def train(**changes):
    return fit(**{"encoder": net(), "data": (X, Y), "loss": mine, "augment": "noise", **SHORT, **changes})


def test_the_same_run_comes_out():
    encoder = net()
    before = {k: v.clone() for k, v in encoder.state_dict().items()}
    run = train(encoder=encoder, steps=20)
    assert run.history["step"] == list(range(20)) and run.history["loss"][-1] < run.history["loss"][0]
    assert list(run.snapshots) == [0, 1, 2, 4, 8, 16, 20] and run.snapshots[20]["views"].shape == (2, N, 4)
    assert run.embeddings.shape == (N, 4) and run.features.shape == (N, 16) and torch.equal(run.labels, Y)
    assert torch.equal(run.embeddings, torch.from_numpy(run.snapshots[20]["z"]))
    assert all(torch.equal(v, before[k]) for k, v in encoder.state_dict().items())  # the reader's own is left as it is
    assert all(torch.equal(v, before[k]) for k, v in run.start().state_dict().items())
    assert not torch.equal(run.model().body.weight, encoder.body.weight)
    assert run.chance is None and run.floor is None
    assert "mine(sha256=" in repr(run) and "Net(sha256=" in repr(run)
    assert time_machine(run).seen()["step"] == 20


def test_it_is_the_catalogs_loss_and_its_own_that_are_trained_alike():
    """The same numbers by a name, by a partial of the function, and by one's own copy of it."""
    by_name = train(loss=call("info_nce", temperature=0.2))
    by_function = train(loss=functools.partial(losses.info_nce, temperature=0.2))
    assert by_name.folder == by_function.folder and by_name.history["loss"] == pytest.approx(train().history["loss"], rel=1e-4)
    assert by_name.chance == pytest.approx(math.log(32)) and train(loss="nt_xent").chance == pytest.approx(math.log(63))


def test_names_alone_are_what_a_config_would_train():
    own = fit(encoder="mlp", data=datasets.load("digits"), loss="nt_xent", augment="digits", steps=2, batch=32, progress=False)
    same = fit(Config(augment="digits", loss="nt_xent", steps=2, batch=32), progress=False)
    assert own.history == same.history


# ---------------------------------------------------------------- found again, and not taken for another


def test_the_same_objects_are_trained_once(monkeypatch):
    first = train()
    monkeypatch.setattr("labkit.training.loop.Trainer.train", lambda *_: pytest.fail("trained again"))
    assert train().folder == first.folder and train(data=TensorDataset(X, Y)).history == first.history
    assert train(device="cpu").folder == first.folder


FACTOR = 1.0


def scaled(z1, z2):
    return FACTOR * mine(z1, z2)


class Other(Net):
    def forward(self, x):
        return super().forward(x).sin()


def other():
    encoder = Other()
    encoder.load_state_dict(net().state_dict())
    return encoder


def test_whatever_decides_the_numbers_names_the_run(monkeypatch):
    weight = torch.ones(1)
    changes = [
        {},
        {"loss": lambda z1, z2: mine(z1, z2, 0.3)},
        {"loss": lambda z1, z2: mine(z1, z2, 0.4)},  # on another line or on the same: the code is read, not the text
        {"loss": functools.partial(mine, temperature=0.3)},
        {"loss": lambda z1, z2: mine(z1, z2) * weight.sum()},
        {"loss": scaled},
        {"data": (X + 1e-3, Y)},
        {"data": (X, (Y + 1) % 3)},
        {"encoder": other()},
        {"augment": call("noise", sigma=0.2)},
        {"augment": lambda x: x + 0.1 * torch.randn_like(x)},
        {"seed": 1},
        {"lr": 2e-2},
    ]
    folders = [train(steps=0, **change).folder for change in changes]
    monkeypatch.setattr(sys.modules[__name__], "FACTOR", 2.0)
    folders.append(train(steps=0, loss=scaled).folder)
    weight += 1
    folders.append(train(steps=0, **changes[4]).folder)
    encoder = net()
    encoder.body.weight.data[0, 0] += 1e-3
    folders.append(train(steps=0, encoder=encoder).folder)
    assert len(set(folders)) == len(folders)


class Handle:
    """Something that no hash can stand for."""

    __slots__ = ("factor",)

    def __init__(self, factor):
        self.factor = factor


def test_what_cannot_be_read_is_trained_anew_and_says_so():
    handle = Handle(1.0)
    with pytest.warns(UserWarning, match=r"trained anew at every call: .* loss \(a .*Handle\).*name="):
        first = train(loss=lambda z1, z2: handle.factor * mine(z1, z2))
    handle.factor = 2.0
    with pytest.warns(UserWarning):
        second = train(loss=lambda z1, z2: handle.factor * mine(z1, z2))
    assert first.folder != second.folder and second.history["loss"][0] == pytest.approx(2 * first.history["loss"][0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        named = train(loss=lambda z1, z2: handle.factor * mine(z1, z2), name="mine, factor 2")
        assert train(loss=lambda z1, z2: handle.factor * mine(z1, z2), name="mine, factor 2").folder == named.folder
    assert named.history == second.history


SCRIPT = """
    import random
    import numpy as np
    import torch, torch.nn.functional as F
    from torch import nn
    import labkit
    import labkit.training.loop as loop

    loop.CHECKPOINT_SECONDS, loop.CHECKPOINT_SHARE = 0.1, 1

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 8))
        def forward(self, x):
            return self.layers(x)

    class Sharp(nn.Module):
        def __init__(self):
            super().__init__()
            self.log_scale = nn.Parameter(torch.tensor(1.0))
        def forward(self, z1, z2):
            s = F.normalize(z1, dim=-1) @ F.normalize(z2, dim=-1).T
            return F.cross_entropy(s * self.log_scale.exp(), torch.arange(len(s)))

    class Forever(torch.utils.data.IterableDataset):
        def __iter__(self):
            while True:
                x = torch.randn(6)
                yield x + 0.1 * torch.randn(6), x + random.gauss(0, 0.1) + 0.1 * np.random.randn()

    torch.manual_seed(0)
    x = torch.randn(300, 6)
    noisy = lambda x: x + torch.from_numpy(np.random.randn(*x.shape)).float()
    data, augment = {{"stream": (Forever(), None), "table": (x, noisy)}}["{what}"]
    own = {{"encoder": Net(), "data": data, "loss": Sharp(), "augment": augment, "name": "again"}}
    run = labkit.fit(**own, steps={steps}, batch=32, progress=False)
    print(run.folder, run.history["loss"], run.history["loss.log_scale"][-1], run.embeddings.sum().item())
"""


def start(what, steps, where):
    environment = os.environ | {"LABKIT_HOME": str(where), "OMP_NUM_THREADS": "1"}
    code = textwrap.dedent(SCRIPT.format(what=what, steps=steps))
    script = where.with_suffix(".py")
    script.write_text(code)
    return subprocess.Popen([sys.executable, str(script)], env=environment, stdout=subprocess.PIPE, text=True)


def answer(process):
    out, _ = process.communicate(timeout=240)
    assert process.returncode == 0
    return out.split(maxsplit=1)[1]


@pytest.mark.thorough
@pytest.mark.parametrize("what", ["stream", "table"])
def test_killed_and_called_again_gives_the_numbers_of_an_uninterrupted_run(what, tmp_path):
    steps = 800
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = start(what, steps, killed)
    while not list(killed.glob("runs/*/checkpoint.pt")):
        assert process.poll() is None, "it finished before its first checkpoint: raise `steps`"
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not list(killed.glob("runs/*/history.json"))
    both = start(what, steps, killed), start(what, steps, whole)
    assert answer(both[0]) == answer(both[1])


class Interrupted(nn.Module):
    """A loss with a temperature of its own; its process dies in the middle, once."""

    def __init__(self):
        super().__init__()
        self.log_temperature = nn.Parameter(torch.tensor(0.0))

    def forward(self, z1, z2):
        return mine(z1, z2, self.log_temperature.exp())


@pytest.mark.parametrize("what", ["table", "items", "stream"])
def test_an_interrupted_run_goes_on_where_it_was(what, monkeypatch, tmp_path):
    data, augment = {"table": (X, in_numpy), "items": (Twice(), None), "stream": (Forever(), None)}[what]
    own = {"encoder": net(0.2), "data": data, "loss": Interrupted(), "augment": augment, "steps": 10, "name": "again"}
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path / "whole"))
    whole = train(**own)
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path / "broken"))
    monkeypatch.setattr("labkit.training.loop.CHECKPOINT_SECONDS", -1.0)
    monkeypatch.setattr("labkit.training.loop.CHECKPOINT_SHARE", 0)
    advance = Trainer.advance

    def killed(self):
        if self.step == 6 and not (tmp_path / "again").exists():
            (tmp_path / "again").touch()
            raise KeyboardInterrupt
        return advance(self)

    monkeypatch.setattr(Trainer, "advance", killed)
    with pytest.raises(KeyboardInterrupt):
        train(**own)
    again = train(**own)
    assert again.history == whole.history and torch.equal(again.embeddings, whole.embeddings)


# ---------------------------------------------------------------- what the data may be


class Twice(torch.utils.data.Dataset):
    """Items whose transform draws from all three generators."""

    def __init__(self, pair=False, label=True):
        self.pair, self.label = pair, label

    def __len__(self):
        return N

    def view(self, i):
        return X[i] + 0.1 * torch.randn(D) + random.gauss(0, 0.01) + np.random.normal(0, 0.01)

    def __getitem__(self, i):
        views = (self.view(i), self.view(i)) if self.pair else (self.view(i),)
        return (*views, int(Y[i])) if self.label else views if self.pair else views[0]


class Nested(Twice):
    def __getitem__(self, i):
        return [self.view(i), self.view(i)], torch.tensor(int(Y[i]))


class Forever(IterableDataset):
    def __iter__(self):
        while True:
            i = random.randrange(N)
            yield X[i] + 0.1 * torch.randn(D), X[i] + 0.1 * torch.randn(D), int(Y[i])


class Once(Forever):
    def __iter__(self):
        yield from ((x, x + 0.1 * torch.randn(D)) for x in X[:40])


KINDS = {
    "twice": Twice(),
    "pair": Twice(pair=True),
    "nested": Nested(),
    "no label": Twice(label=False),
    "pair, no label": Twice(True, False),
}


@pytest.mark.parametrize("data", KINDS.values(), ids=KINDS)  # the same names in every process
def test_a_dataset_that_draws_its_own_views(data):
    state = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    run, again = train(data=data, augment=None), train(data=data, augment=None, name="again")
    assert run.history == again.history and run.history["loss"][0] > 0.1  # the two views are not the same array
    assert run.embeddings.shape == (N, 4) and run.snapshots[6]["views"].shape == (2, N, 4)
    assert torch.equal(run.labels, Y if data.label else torch.zeros(N, dtype=torch.long))
    assert torch.equal(state[0], torch.get_rng_state()) and np.array_equal(state[1], np.random.get_state()[1])
    assert random.getstate() == state[2]


@pytest.mark.parametrize("data", [Forever(), Once()], ids=["forever", "once"])
def test_a_stream(data):
    with pytest.warns(UserWarning, match="data that is read as it comes"):
        run = train(data=data, augment=None)
    named = train(data=data, augment=None, name="stream")
    assert named.history == run.history and named.folder == train(data=data, augment=None, name="stream").folder
    assert run.embeddings.shape == (256 if isinstance(data, Forever) and not isinstance(data, Once) else 40, 4)


def test_a_stream_is_skipped_to_where_it_was():
    from labkit.training.sources import Stream

    whole, later = Stream(Forever(), 5, 8), Stream(Forever(), 5, 8)
    batches = [whole.batch(torch.tensor([]), None)[0][0] for _ in range(3)]
    torch.rand(7), random.random()  # what is drawn in between does not matter
    later.skip(2)
    assert torch.equal(later.batch(torch.tensor([]), None)[0][0], batches[2]) and not torch.equal(batches[0], batches[1])


def test_arrays_of_many_kinds():
    first = train()
    assert train(data=(X.numpy().astype(np.float64), Y.numpy())).folder == first.folder
    assert train(data=DataLoader(TensorDataset(X, Y), batch_size=7)).folder == first.folder
    assert train(data=[(x, int(y)) for x, y in zip(X, Y, strict=True)]).history == first.history
    words = np.array(["b", "a", "c"])[Y.numpy()]
    assert train(data=(X.numpy(), words)).labels.tolist() == np.unique(words, return_inverse=True)[1].tolist()
    assert train(data=X).labels.tolist() == [0] * N
    pairs = train(data=(X, X + 0.01), augment=None)
    assert pairs.snapshots[6]["views"].shape == (2, N, 4)
    pictures = (torch.rand(N, 1, 2, 3) * 255).to(torch.uint8)
    assert train(data=pictures, encoder=nn.Sequential(nn.Flatten(), nn.Linear(6, 4))).embeddings.shape == (N, 4)


# ---------------------------------------------------------------- what the loss may be


class Learned(nn.Module):
    def __init__(self):
        super().__init__()
        self.log_temperature = nn.Parameter(torch.tensor(0.0))
        self.prototypes = nn.Parameter(torch.randn(5, 4, generator=torch.Generator().manual_seed(0)))

    def forward(self, a, b):
        return mine(a, b, self.log_temperature.exp()) + (a @ self.prototypes.T).square().mean()


def test_a_loss_that_learns_is_trained_along():
    loss = Learned()
    run = train(loss=loss, steps=30)
    column = run.history["loss.log_temperature"]
    assert column[0] == 0 and column[-1] < -0.01 and loss.log_temperature.item() == 0
    trained = run.objective()
    assert trained.log_temperature.item() < column[-1] and not torch.equal(trained.prototypes, loss.prototypes)
    with pytest.raises(ValueError, match="is a function"):
        train().objective()


def test_tensors_come_by_their_names():
    seen = {}

    def look(z, views, z1, z2, a, b, labels=None, y=None):
        seen.update(z=z, views=views, z1=z1, z2=z2, a=a, b=b, labels=labels)
        return z.square().mean()

    def rows(z, labels):
        seen.update(alone=z, of=labels)
        return losses.sup_con(z, labels)

    train(loss=look, steps=1)
    assert seen["views"].shape == (32, 2, 4) and torch.equal(seen["z"], torch.cat([seen["z1"], seen["z2"]]))
    assert torch.equal(seen["views"][:, 0], seen["z1"]) and torch.equal(seen["a"], seen["z1"])
    train(loss=rows, steps=1, augment=None)
    assert seen["alone"].shape == (32, 4) and seen["of"].shape == (32,)  # one view is enough for labels
    plain = train(loss=lambda q, k: mine(q, k)).history["loss"]
    assert plain == train(loss=lambda *z: mine(*z)).history["loss"] == train().history["loss"]


def test_dropout_alone_can_make_the_views():
    run = train(encoder=net(0.2), augment="none")
    assert run.history["loss"][0] > 0.1


# ---------------------------------------------------------------- what cannot be


def nothing(z1, z2):
    return torch.tensor(1.0)


ABSENT = "cuda" if torch.backends.mps.is_available() else "mps"
CASES = [
    ({"encoder": None}, TypeError, "there is no encoder"),
    ({"encoder": Net}, TypeError, "encoder must be an nn.Module .* the class Net: make one of it first"),
    ({"encoder": "mpl"}, ValueError, "no model called 'mpl'"),
    ({"encoder": nn.LazyLinear(4)}, ValueError, "encoder has layers without weights yet"),
    ({"encoder": nn.Linear(7, 4)}, ValueError, r"encoder fails on a batch of shape \(4, 6\), torch.float32; RuntimeError"),
    ({"encoder": nn.Linear(6, 4).double()}, ValueError, r"its weights are torch.float64, .* encoder.float\(\)"),
    ({"encoder": nn.LSTM(6, 4)}, ValueError, "floating numbers, got tuple"),
    ({"device": ABSENT}, ValueError, f"device '{ABSENT}' is not on this machine"),
    ({"encoder": nn.Identity()}, ValueError, "encoder has no weights to train"),
    ({"encoder": nn.Linear(D, 4).requires_grad_(False)}, ValueError, "encoder has no weights to train"),
    (
        {"encoder": nn.Sequential(nn.Linear(D, 6), nn.Unflatten(1, (2, 3)))},
        ValueError,
        r"encoder must map a batch of 4 inputs to \(4, d\) floating numbers, got \(4, 2, 3\)",
    ),
    ({"data": 3}, TypeError, "data must be arrays x or .* got int"),
    ({"data": "digitz"}, ValueError, "no data set called 'digitz'"),
    ({"data": (x for x in X)}, TypeError, "generator, which can be read only once"),
    ({"data": (X, Y[1:])}, ValueError, "different lengths: 96, 95"),
    ({"data": X[:0]}, ValueError, "data is empty"),
    ({"data": torch.full((8, D), math.nan)}, ValueError, "data holds 48 NaN or infinite values"),
    ({"data": np.array([object()] * 4)}, TypeError, "data must hold numbers"),
    ({"data": [{"x": 1}] * 4}, TypeError, "an item holds dict"),
    ({"data": [torch.ones(2)] * 3 + [torch.ones(3)]}, ValueError, "items of different shapes"),
    ({"data": (X, X[:, :3]), "augment": None}, ValueError, "views of different shapes"),
    ({"data": (X, X)}, ValueError, "augment must be None: this data yields its own views"),
    ({"augment": None}, ValueError, "both views are the same input"),
    ({"augment": "nois"}, ValueError, "no augmentation called 'nois'"),
    ({"augment": lambda x: x[:3]}, ValueError, "augment must give a tensor of 96 rows for a batch of 96"),
    ({"augment": 3}, TypeError, "augment must be a function of a batch"),
    ({"loss": "nt_xnet"}, ValueError, "loss must be a function of tensors or one of align_uniform"),
    ({"loss": "dpo"}, ValueError, "loss must be a function of tensors or one of align_uniform"),
    ({"loss": Learned}, TypeError, "the class Learned: make one of it first"),
    ({"loss": lambda queue, z1, z2: 0}, ValueError, "loss asks for queue, which no batch carries"),
    ({"loss": lambda p1, z2: p1.mean()}, ValueError, r"needs an encoder with a method predict\(z\); Net has none"),
    ({"loss": lambda z1, z2: 1.0}, TypeError, "loss must return a torch tensor, got float"),
    ({"loss": lambda z1, z2: z1}, ValueError, r"loss must return one number, got shape \(32, 4\)"),
    ({"loss": nothing}, ValueError, "loss has no gradient"),
    ({"loss": lambda z1, z2: (z1 * math.nan).sum()}, FloatingPointError, "the loss became nan at step 0; try a smaller"),
    ({"data": X, "loss": "sup_con"}, ValueError, "sup_con needs labels"),
    ({"data": X, "loss": lambda z, y: z.sum()}, ValueError, "needs labels"),
    ({"optimizer": "adagrand"}, ValueError, "unknown optimizer 'adagrand'"),
    ({"optimizer": call("sgd", lr=0.1)}, TypeError, "lr is given twice"),
    ({"lr": 0.0}, ValueError, "lr must be > 0"),
    ({"steps": 1.5}, TypeError, "steps must be a whole number"),
    ({"config": Config()}, TypeError, "got a Config and .*encoder"),
    ({"config": 3, "encoder": None, "data": None, "loss": None, "augment": None}, TypeError, "got int"),
]


@pytest.mark.parametrize(("change", "error", "message"), CASES)
@pytest.mark.filterwarnings("ignore:trained anew", "ignore:Lazy")
def test_what_cannot_be_is_named(change, error, message):
    with pytest.raises(error, match=message):
        train(**change)
