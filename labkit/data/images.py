"""Images, kept as one uint8 tensor: augmented in batches on the device, turned into numbers of [0, 1] there."""

from pathlib import Path

import numpy as np
import torch

from labkit.data import Dataset, Split

DIGITS_TEST = 360


def digits(split: Split, *, root: Path | None = None, download: bool = True) -> Dataset:
    """1,797 handwritten digits of 8 x 8 pixels, inside scikit-learn: 1,437 to train and 360 to test, always the same ones.

    Their 17 grey levels are spread over 0..255, so that a pixel means the same here as in every other image set.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    order = np.random.RandomState(0).permutation(len(bunch.target))  # a stream that numpy promises never to change
    mine = order[:-DIGITS_TEST] if split == "train" else order[-DIGITS_TEST:]
    levels = np.rint(bunch.images[mine] * 255 / 16).astype(np.uint8)
    return Dataset(
        x=torch.from_numpy(levels)[:, None],
        y=torch.from_numpy(bunch.target[mine].astype(np.int64)),
        names=tuple("0123456789"),
        license="CC BY 4.0",
        citation="Alpaydin & Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine Learning Repository",
    )
