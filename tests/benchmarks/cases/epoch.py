"""A part of a SimCLR epoch on Fashion-MNIST: all that `labkit.fit` does, and the same encoder through lightly's pipeline.

The size is the number of images, in batches of 256; 59,904 are the whole epoch. Twice as fast is said of the clock, with all
cores; CPU seconds stand beside it.
"""

import os
import tempfile
from pathlib import Path
from unittest.mock import patch

import torch
from torch.utils.data import DataLoader, Dataset

from benchmarks.registry import OURS, Case, Skip, Target

BATCH, TEMPERATURE, LR, MODEL = 256, 0.5, 1e-3, "conv"
RECOMMENDED, AS_OURS = "lightly, SimCLRTransform as it comes", "lightly, labkit's augmentation"
OURS_THERE = {  # SimCLRTransform, doing what labkit's "fashion" does: crop, mirror, brightness, contrast
    "cj_prob": 1.0, "cj_bright": 0.4, "cj_contrast": 0.4, "cj_sat": 0.0, "cj_hue": 0.0, "min_scale": 0.3,
    "random_gray_scale": 0.0, "gaussian_blur": 0.0,
}  # fmt: skip


def steps(images: int, draw: torch.Generator) -> tuple[int]:
    return (images // BATCH,)


epoch = Case(
    "epoch", "A SimCLR epoch on Fashion-MNIST, batches of 256, images", steps, (10240, 59904), 768, warm=512,
    again=False, targets=tuple(Target(what, 0.5, peer) for what in ("wall", "seconds") for peer in (RECOMMENDED, AS_OURS)),
)  # fmt: skip


def clothes():
    """The training images, uint8."""
    from labkit.data import load

    try:
        return load("fashion-mnist")
    except FileNotFoundError as error:
        raise Skip("Fashion-MNIST is not here and could not be fetched") from error


class Pictures(Dataset):
    """As torchvision hands them out: a PIL image, transformed, and its class."""

    def __init__(self, data):
        self.x, self.y, self.transform = data.x[:, 0].cpu(), data.y.tolist(), None

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        from PIL import Image

        image = Image.fromarray(self.x[i].numpy())
        return self.transform(image) if self.transform else image, self.y[i]


@epoch.by(OURS)
def _(many):
    """Augmentation of uint8 batches, steps, snapshots, history; in a folder of its own, so that no run is there yet."""
    from labkit import Config, call, fit, paths

    clothes()
    data, loss = call("fashion-mnist"), call("nt_xent", temperature=TEMPERATURE)
    optimizer, augment = call("adam", lr=LR), call("fashion")
    config = Config(data=data, model=MODEL, augment=augment, loss=loss, optimizer=optimizer, batch=BATCH, steps=many)
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / "data").symlink_to(paths.home() / "data")
        with patch.dict(os.environ, LABKIT_HOME=home):
            fit(config, progress=False)


def lightlys(many: int, workers: int, **options) -> None:
    """As lightly's guide to SimCLR has it: PIL images, SimCLRTransform, LightlyDataset, DataLoader, NTXentLoss."""
    from lightly.data import LightlyDataset
    from lightly.loss import NTXentLoss
    from lightly.transforms import SimCLRTransform

    from labkit import models

    data = clothes()
    torch.manual_seed(0)
    encoder = models.build(MODEL, data.subset(slice(0, 4)))
    criterion, optimizer = NTXentLoss(temperature=TEMPERATURE), torch.optim.Adam(encoder.parameters(), lr=LR)
    transform = SimCLRTransform(input_size=28, normalize=None, **options)
    views = LightlyDataset.from_torch_dataset(Pictures(data.subset(slice(0, many * BATCH))), transform=transform)
    for batch in DataLoader(views, batch_size=BATCH, shuffle=True, drop_last=True, num_workers=workers):
        x0, x1 = batch[0]
        loss = criterion(encoder(x0), encoder(x1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@epoch.by(RECOMMENDED)
def _(many):
    lightlys(many, 0)


@epoch.by(AS_OURS)
def _(many):
    lightlys(many, 0, **OURS_THERE)


@epoch.by("lightly, labkit's augmentation, in two workers")
def _(many):
    lightlys(many, 2, **OURS_THERE)


CASES = (epoch,)
