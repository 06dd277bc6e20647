"""Augmentations: seeded, a parameter for each sample, and exactly what their names say."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter

from labkit.data import augment, warp

IMAGES = [name for name in augment.AUGMENTATIONS if name != "dim_noise"]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def photos(n: int = 16, c: int = 3, size: int = 12) -> torch.Tensor:
    return torch.randint(0, 256, (n, c, size, size), dtype=torch.uint8, generator=seeded(9))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", IMAGES)
def test_every_augmentation_is_seeded_and_leaves_its_input_alone(name, channels):
    x = photos(c=channels)
    before, view = x.clone(), augment.build(name)
    one, again, other = view(x, seeded(1)), view(x, seeded(1)), view(x, seeded(2))
    assert one.shape == x.shape and one.dtype == torch.float32 and torch.isfinite(one).all()
    assert torch.equal(one, again) and torch.equal(x, before)
    assert name == "none" or (channels == 1 and name == "grey") or not torch.equal(one, other)
    if name not in ("noise", "digits"):
        assert one.min() >= 0 and one.max() <= 1 + 1e-6


@pytest.mark.parametrize("name", [n for n in IMAGES if n not in ("none", "grey")])
def test_every_sample_has_parameters_of_its_own(name):
    x = photos(1).expand(64, 3, 12, 12)
    views = augment.build(name)(x, seeded())
    assert len({v.numpy().tobytes() for v in views}) > (1 if name == "flip" else 20)


def test_calls_names_and_chains_are_the_same():
    x, call = photos(), SimpleNamespace(name="noise", kwargs={"sigma": 0.2})
    by_call, by_name = augment.build(call)(x, seeded()), augment.build("noise", sigma=0.2)(x, seeded())
    chained = augment.build((call,))(x, seeded())
    assert torch.equal(by_call, by_name) and torch.equal(by_call, chained)
    with pytest.raises(ValueError, match="no augmentation called 'blurr'; there are affine, blur"):
        augment.build("blurr")


def test_floats_and_points_pass_through():
    points = torch.randn(5, 3)
    assert torch.equal(augment.build("none")(points, None), points)
    assert augment.build("none")(photos(), None).max() <= 1


def test_noise_has_the_size_asked_for():
    x = torch.zeros(1000, 16)
    assert augment.build("noise", sigma=0.3)(x, seeded()).std().item() == pytest.approx(0.3, rel=0.02)
    noisy = augment.build("dim_noise", sigma=2.0, first=8)(x, seeded())
    assert noisy[:, :8].abs().max() == 0 and noisy[:, 8:].std().item() == pytest.approx(2.0, rel=0.02)


def test_flip_mirrors_about_half_of_them_exactly():
    x = photos(400).float() / 255
    views = augment.build("flip")(x, seeded())
    mirrored = (views - x.flip(-1)).abs().amax((1, 2, 3)) < 1e-5
    kept = (views - x).abs().amax((1, 2, 3)) < 1e-5
    assert (mirrored ^ kept).all() and 150 < mirrored.sum() < 250


def test_a_whole_crop_changes_nothing_and_a_quarter_is_enlarged():
    x = photos().float() / 255
    assert torch.allclose(augment.build("crop", scale=(1.0, 1.0), ratio=(1.0, 1.0))(x, seeded()), x, atol=1e-5)
    ramp = torch.linspace(0, 1, 64).expand(8, 1, 64, 64)
    views = augment.build("crop", scale=(0.25, 0.25), ratio=(1.0, 1.0))(ramp, seeded())
    span = views[:, 0, 0, -1] - views[:, 0, 0, 0]
    assert torch.allclose(span, torch.full((8,), 0.5), atol=0.01)  # half of the width, all of the view


def test_affine_turns_in_pixels_whatever_the_shape(monkeypatch):
    x = torch.rand(4, 1, 10, 10, generator=seeded())
    assert torch.allclose(warp.affine(degrees=0, translate=0, scale=(1, 1), shear=0)(x, seeded()), x, atol=1e-5)
    monkeypatch.setattr(warp, "uniform", lambda x, generator, low, high: torch.full((len(x),), float(high)))
    quarter = warp.affine(degrees=90, translate=0, scale=(1, 1), shear=0)
    assert torch.allclose(quarter(x), torch.rot90(x, -1, (2, 3)), atol=1e-4)
    wide = torch.zeros(1, 1, 9, 17)
    wide[0, 0, 4, 4:13] = 1  # a bar of 9 pixels, lying
    stood = quarter(wide)
    assert stood[0, 0, :, 8].sum().item() == pytest.approx(9, abs=0.01) and stood.sum().item() == pytest.approx(9, abs=0.1)
    doubled = warp.affine(degrees=0, translate=0, scale=(1, 2), shear=0)(wide)
    assert doubled.sum().item() == pytest.approx(2 * 17, abs=1)  # as long as the image, two pixels thick


def test_translation_is_a_share_of_the_image():
    x = torch.zeros(200, 1, 20, 20)
    x[:, :, 10, 10] = 1
    moved = augment.build("affine", degrees=0, translate=0.2, scale=(1.0, 1.0), shear=0)(x, seeded())
    columns = (moved.sum(2)[:, 0] * torch.arange(20)).sum(1) / moved.sum((1, 2, 3))
    assert (columns - 10).abs().max() <= 4 + 1e-3 and (columns - 10).abs().max() > 3.5


def test_chained_warps_equal_one_after_the_other():
    smooth = F.interpolate(torch.rand(6, 1, 4, 4, generator=seeded()), size=(64, 64), mode="bicubic").clamp(0, 1)
    first, second = warp.affine(10, 0.05, (0.9, 1.1), 5), warp.affine(10, 0.05, (0.9, 1.1), 5)
    once = augment.compose(first, second)(smooth, seeded())
    generator = seeded()
    twice = second(first(smooth, generator), generator)
    middle = (slice(None), slice(None), slice(16, 48), slice(16, 48))
    assert (once - twice)[middle].abs().max() < 0.02 < (once - smooth)[middle].abs().max()


def test_jitter_moves_what_it_says():
    x = 0.3 + 0.4 * torch.rand(300, 3, 6, 6, generator=seeded())
    light = augment.build("jitter", brightness=0.2, contrast=0)(x, seeded()).mean((1, 2, 3)) / x.mean((1, 2, 3))
    assert light.min() < 0.85 < 1.15 < light.max() and light.min() >= 0.799 and light.max() <= 1.201
    hard = augment.build("jitter", brightness=0, contrast=0.2)(x, seeded()).std((1, 2, 3)) / x.std((1, 2, 3))
    assert hard.min() < 0.85 < 1.15 < hard.max()
    grey = augment.build("jitter", brightness=0, contrast=0, saturation=0.9, hue=0.5)(
        x.mean(1, keepdim=True).expand_as(x), seeded()
    )
    assert torch.allclose(grey, x.mean(1, keepdim=True).expand_as(x), atol=1e-5)  # what has no colour gets none
    assert torch.equal(augment.build("jitter", p=0.0)(x, seeded()), x)


def test_hue_turns_red_into_green():
    red = torch.tensor([0.6, 0.3, 0.3]).view(1, 3, 1, 1)
    green = torch.einsum("nij,njhw->nihw", augment.about_grey(torch.tensor([2 * torch.pi / 3])), red)
    assert torch.allclose(green.flatten().sort().values, torch.tensor([0.3, 0.3, 0.6]), atol=1e-6)
    assert green.flatten().argmax() != 0


def test_grey_takes_the_colours_of_about_as_many_as_asked():
    views = augment.build("grey", p=0.5)(photos(400), seeded())
    without = (views - views.mean(1, keepdim=True)).abs().amax((1, 2, 3)) < 1e-6
    assert 150 < without.sum() < 250
    assert torch.allclose(augment.lightness(torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1)), torch.tensor(0.299))


def test_blur_is_a_gaussian():
    x = torch.rand(3, 2, 24, 24, generator=seeded())
    got = augment.build("blur", sigma=(1.5, 1.5), p=1.0)(x, seeded())
    expected = gaussian_filter(x.numpy(), 1.5, mode="mirror", axes=(2, 3), radius=3)
    assert np.abs(got.numpy() - expected).max() < 1e-5


def test_cutout_is_a_square_inside():
    views = augment.build("cutout", size=0.5)(torch.ones(200, 1, 8, 8), seeded())
    assert (views == 0).sum((1, 2, 3)).tolist() == [16] * 200
    assert ((views == 0).float().mean(0) > 0).all()  # every pixel is covered by some


def test_a_generator_of_the_same_state_gives_the_same_on_every_call_order():
    x, generator = photos(), seeded(5)
    view = augment.build("cifar")
    first, second = view(x, generator), view(x, generator)
    assert not torch.equal(first, second) and torch.equal(first, view(x, seeded(5)))
