"""A step costs Python the same whatever the batch, and digits take few of them. Calls and steps are counted, never seconds."""

import gc
import sys
from pathlib import Path

import pytest
import torch

from labkit import call, data
from labkit.metrics import knn_accuracy
from labkit.training import Config, fit, fitting
from labkit.training.given import made
from labkit.training.loop import Trainer
from labkit.training.own import own
from labkit.training.run import embed


def calls(trainer: Trainer) -> int:
    """How many functions, of Python and of C, the second step calls; the first one makes what later ones find."""
    trainer.advance()
    count = 0

    def counted(frame: object, event: str, _: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    gc.disable()  # what it sweeps away may call something, too
    sys.setprofile(counted)
    try:
        trainer.advance()
    finally:
        sys.setprofile(before)
        gc.enable()
    return count


@pytest.mark.parametrize("augment", ["digits", "fashion", "cifar"])
def test_no_python_per_image_in_a_step(augment: str, tmp_path: Path) -> None:
    found = []
    for batch in (16, 64):
        config = Config(model=call("conv", widths=(8, 8)), augment=call(augment), batch=batch)
        fitting.catalog()
        found.append(calls(Trainer(config, made(config), tmp_path)))
    assert found[0] == found[1]


def test_no_python_per_row_where_data_encoder_and_loss_are_ones_own(tmp_path: Path) -> None:
    found = []
    for batch in (16, 64):
        x, y = torch.rand(80, 1, 8, 8), torch.arange(80) % 4
        encoder = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 8))
        options = {"optimizer": "adam", "lr": None, "steps": 2, "seed": 0, "device": "cpu"}
        parts = own(encoder, (x, y), "nt_xent", augment="noise", views=2, name="", batch=batch, **options)
        found.append(calls(Trainer(*parts, tmp_path)))
    assert found[0] == found[1]


def test_images_stay_bytes_until_they_are_in_a_batch(tmp_path: Path) -> None:
    config = Config(augment=call("digits"), batch=16)
    fitting.catalog()
    trainer = Trainer(config, made(config), tmp_path)
    trainer.advance()
    assert trainer.data.x.dtype == torch.uint8


def test_forty_steps_on_digits_bring_neighbours_well_over_ninety_percent() -> None:
    loss, optimizer = call("nt_xent", temperature=0.2), call("adam", lr=3e-3)
    run = fit(Config(data=call("digits"), augment=call("digits"), loss=loss, optimizer=optimizer, steps=40), progress=False)
    train, test = data.load("digits"), data.load("digits", "test")

    def knn(model: torch.nn.Module) -> float:
        return float(knn_accuracy(embed(model, train.x), train.y, embed(model, test.x), test.y))

    assert knn(run.model()) > 0.945
    assert knn(run.start()) < 0.93  # a random map keeps much of what pixels tell, but not this much
