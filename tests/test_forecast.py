"""A forecast is held against what a loss then really allocates."""

import sys

import pytest
import torch

import labkit
from labkit.forecast import Allocations, amount, cost, duration, forecast
from labkit.registry import ENTRIES
from labkit.tiled import TILE


def counted(name, n, d, dtype=torch.float32, **options):
    block_size = options.pop("block_size", None)
    return cost(ENTRIES[name], n, d, dtype=dtype, device="cpu", options=options, block_size=block_size)


@pytest.mark.parametrize(
    ("name", "n", "d", "block_size"),
    [
        ("nt_xent", 300, 24, None),
        ("nt_xent", 1024, 32, 128),
        ("nt_xent", 1500, 32, 256),
        ("clip_loss", 512, 64, 64),
        ("siglip", 400, 32, None),
        ("sup_con", 512, 16, 128),
        ("vicreg", 500, 96, None),
        ("barlow_twins", 5000, 32, None),
        ("align_uniform", 400, 32, None),
        ("hard_negative", 300, 32, None),
        ("dpo", 10_000, 8, None),
    ],
)
def test_memory_is_what_the_loss_then_takes(name, n, d, block_size):
    said = forecast(name, n, d, block_size=block_size)
    assert said.memory == pytest.approx(counted(name, n, d, block_size=said.block_size).peak, rel=0.15)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_kind_of_numbers_counts(dtype):
    assert forecast("nt_xent", 256, 64, dtype).memory == pytest.approx(counted("nt_xent", 256, 64, dtype).peak, rel=0.15)


def test_large_batches_go_in_tiles_and_memory_grows_with_the_rows_alone():
    small, large = (forecast("nt_xent", n) for n in (16_384, 65_536))
    assert small.block_size == large.block_size == TILE
    assert 3 < large.memory / small.memory < 4.1
    assert 15 < large.whole / small.whole < 17
    assert large.seconds == pytest.approx(16 * small.seconds, rel=0.9)
    assert forecast("nt_xent", 256).block_size is None


def test_it_says_whether_it_fits(monkeypatch):
    monkeypatch.setattr(sys.modules["labkit.forecast"], "free_memory", lambda _: 2**20)
    said = forecast("nt_xent", 512, 32)
    assert not said.fits
    assert "1 MiB free: IT DOES NOT FIT" in str(said)
    monkeypatch.setattr(sys.modules["labkit.forecast"], "free_memory", lambda _: None)
    assert forecast("nt_xent", 512, 32).fits


def test_a_loss_can_be_a_name_a_function_or_a_call():
    said = [forecast(loss, 64, 8) for loss in ("nt_xent", labkit.losses.nt_xent, labkit.call("nt_xent", temperature=0.4))]
    assert len({(f.loss, f.memory, f.whole) for f in said}) == 1
    assert "nt_xent of 64 x 8 in float32: about 0 MiB and" in str(said[0])


def test_what_is_wrong_is_named():
    with pytest.raises(ValueError, match=r"loss must be one of labkit\.catalog"):
        forecast("nt_xnet", 64)
    with pytest.raises(ValueError, match="n must be a whole number >= 2, got 1"):
        forecast("nt_xent", 1)
    with pytest.raises(ValueError, match=r"d must be a whole number >= 2, got 2\.5"):
        forecast("nt_xent", 4, 2.5)
    with pytest.raises(TypeError, match="dtype must be a floating"):
        forecast("nt_xent", 4, 4, torch.int64)


def test_allocations_are_counted_while_they_live():
    x = torch.ones(1000)
    with Allocations() as watch:
        y = x + 1
        z = (y * 2).sum()
        assert watch.live == 4000 + 4
        x[:10].add_(1)  # a view of what was there before
        del y
    assert (watch.live, watch.largest, watch.peak) == (4, 4000, 8004)
    assert z == 4000


def test_amounts_and_durations_read_as_people_say_them():
    assert [amount(b) for b in (5 * 2**20, 3 * 2**30)] == ["5 MiB", "3.0 GiB"]
    assert [duration(s) for s in (0.0123, 2.5, 600)] == ["12 ms", "2.5 s", "10 min"]


def test_fit_says_it_where_it_matters(monkeypatch, capsys):
    config = labkit.Config(
        data=labkit.call("circle", n=64), loss=labkit.call("nt_xent", temperature=0.5), steps=1, batch=64, augment="noise"
    )
    monkeypatch.delenv("LABKIT_SMOKE", raising=False)
    labkit.fit(config)
    assert "labkit:" not in "".join(capsys.readouterr())
    monkeypatch.setattr("labkit.training.foresight.LARGE", 64)
    labkit.fit(config.replace(seed=1))
    assert "labkit:" not in "".join(capsys.readouterr())
    monkeypatch.setattr("labkit.training.foresight.MINUTE", 0.0)
    labkit.fit(config.replace(seed=2))
    assert "labkit: nt_xent of 64 x" in "".join(capsys.readouterr())
