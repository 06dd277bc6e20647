"""Encoders keep one interface, whatever is inside."""

from types import SimpleNamespace

import pytest
import torch

from labkit import data, models
from labkit.models.heads import Ema

DIGITS = data.load("digits").subset(slice(0, 12))
COLOUR = data.Dataset(torch.randint(0, 256, (6, 3, 32, 32), dtype=torch.uint8), torch.arange(6))
POINTS = data.load("circle", n=10, ambient=5)
WIDTHS = {"linear": 64, "mlp": 256, "conv": 128, "resnet": 64}


def build(name, dataset, **options):
    torch.manual_seed(0)
    return models.build(name, dataset, **options)


@pytest.mark.parametrize("name", WIDTHS)
def test_z_is_the_projection_of_h(name):
    model, x = build(name, DIGITS, projector=True, out=7), DIGITS.x.float() / 255
    h = model.features(x)
    assert h.shape == (12, WIDTHS[name]) if name != "linear" else h.shape == (12, 7)
    assert torch.equal(model(x), model.project(h)) and model(x).shape[0] == 12


@pytest.mark.parametrize("name", WIDTHS)
def test_without_a_projector_z_is_h(name):
    model, x = build(name, DIGITS, projector=False), DIGITS.x.float() / 255
    assert torch.equal(model(x), model.features(x)) and model(x).shape == (12, WIDTHS[name])


@pytest.mark.parametrize("name", ["conv", "resnet", "mlp", "linear"])
def test_every_number_of_an_image_reaches_z_and_every_weight_gets_a_gradient(name):
    model = build(name, COLOUR, **({} if name == "linear" else {"projector": 16}))
    x = (COLOUR.x.float() / 255).requires_grad_()
    model(x).square().sum().backward()
    assert (x.grad.abs().sum(0) > 0).float().mean() > 0.9
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


@pytest.mark.parametrize("name", ["conv", "resnet", "mlp"])
def test_an_embedding_does_not_depend_on_its_neighbours(name):
    model, x = build(name, COLOUR).train(), COLOUR.x.float() / 255
    assert torch.allclose(model(x)[:1], model(x[:1]), atol=1e-5)


def test_the_same_seed_gives_the_same_weights_and_options_come_from_the_call():
    call = SimpleNamespace(name="mlp", kwargs={"width": 8, "depth": 1, "out": 3})
    one, two = build(call, POINTS), build("mlp", POINTS, width=8, depth=1, out=3)
    assert (
        torch.equal(one(POINTS.x), two(POINTS.x)) and one(POINTS.x).shape == (10, 3) and one.features(POINTS.x).shape == (10, 8)
    )
    assert build("mlp", POINTS, projector=False, out=8)(POINTS.x).shape == (10, 8)


def test_points_are_a_table_looked_up_by_number():
    model = build("points", POINTS, out=2)
    assert model.by_index and model(torch.tensor([3, 3, 0])).shape == (3, 2)
    assert torch.equal(model(torch.tensor([3])), model.backbone.weight[3:4])


def test_a_predictor_and_prototypes_exist_when_asked_for():
    model, x = build("mlp", POINTS, out=8, predictor=True, prototypes=5), POINTS.x
    z = model(x)
    assert model.predict(z).shape == z.shape and model.predictor[0].out_features == 2
    assert model.scores(z).shape == (10, 5) and model.scores(z).abs().max() <= 1 + 1e-6
    plain = build("mlp", POINTS)
    with pytest.raises(RuntimeError, match="predictor=True"):
        plain.predict(plain(x))
    with pytest.raises(RuntimeError, match="prototypes"):
        plain.scores(plain(x))


def test_the_target_follows_slowly_and_gets_no_gradient():
    model = build("mlp", POINTS)
    target = Ema(model, decay=0.75)
    start = [p.clone() for p in model.parameters()]
    with torch.no_grad():
        for p in model.parameters():
            p += 1.0
    assert torch.equal(next(iter(target.parameters())), start[0])
    target.update(model)
    assert all(torch.allclose(p, s + 0.25, atol=1e-6) for p, s in zip(target.parameters(), start, strict=True))
    assert not target(POINTS.x).requires_grad
    with pytest.raises(ValueError, match="decay must be in"):
        Ema(model, decay=1.5)


def test_unknown_models_are_named():
    with pytest.raises(ValueError, match="no model called 'vit'; there are conv, linear, mlp"):
        models.build("vit", POINTS)


@pytest.mark.parametrize("name, most", [("mlp", 130_000), ("conv", 130_000), ("resnet", 110_000)])
def test_they_are_small_enough_for_two_cores(name, most):
    assert sum(p.numel() for p in build(name, COLOUR if name == "resnet" else DIGITS).parameters()) < most
