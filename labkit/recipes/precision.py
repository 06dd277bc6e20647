"""InfoNCE in four types and three forms, as it is often written and as it is here, and what becomes of it."""

import functools
import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.losses import info_nce

TYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32, "float64": torch.float64}
FORMS = ("naive", "log(x + eps)", "stable")
INPUTS = ("aligned", "random", "opposite")
TEMPERATURES = tuple(float(f"{10 ** (k / 8 - 3):.2g}") for k in range(25))
EPS = 1e-8
NOTHING = 1e-3  # a loss or a slope of this size is nothing to train with
TOLERATED = 0.01  # a value or a gradient that is off by more is called wrong
FINE, OFF, STUCK, BROKEN = range(4)


class Computed(NamedTuple):
    """The loss, its gradient in the first view, and the largest logit."""

    value: float
    gradient: Tensor
    logit: float


@functools.cache
def views(inputs: str, n: int = 16, d: int = 16) -> tuple[Tensor, Tensor]:
    """Two views of n points, unit rows in float64; partners have cosine 0.95, nothing in common, or cosine -0.95."""
    generator = torch.Generator().manual_seed(0)
    a, b, c = (F.normalize(torch.randn(n, d, generator=generator, dtype=torch.float64), dim=-1) for _ in range(3))
    if inputs == "random":
        return a, c
    across = F.normalize(b - (a * b).sum(-1, keepdim=True) * a, dim=-1)
    cosine = 0.95 if inputs == "aligned" else -0.95
    return a, cosine * a + math.sqrt(1 - cosine**2) * across


def written(form: str, z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    """InfoNCE as it is written in many places, and as it is here."""
    if form == "stable":
        return info_nce(z1, z2, temperature=temperature)
    z1, z2 = F.normalize(z1, dim=-1), F.normalize(z2, dim=-1)
    raised = ((z1 @ z2.T) / temperature).exp()
    share = raised.diagonal() / raised.sum(-1)
    return -(share + EPS if form == "log(x + eps)" else share).log().mean()


@functools.cache
def computed(dtype: str, form: str, inputs: str, temperature: float) -> Computed:
    z1, z2 = (z.to(TYPES[dtype]) for z in views(inputs))
    z1 = z1.clone().requires_grad_()
    loss = written(form, z1, z2, temperature)
    (slope,) = torch.autograd.grad(loss, z1)
    return Computed(loss.item(), slope.double(), ((z1 @ z2.T) / temperature).max().item())


def limit(dtype: str) -> float:
    """The logarithm of the type's largest number: exp of more is infinite."""
    return math.log(torch.finfo(TYPES[dtype]).max)


def exact(inputs: str, temperature: float) -> Computed:
    return computed("float64", "stable", inputs, temperature)


def far(found: Tensor, true: Tensor) -> float:
    """The relative error, of a number or of a gradient as a whole, on the scale of what counts at least."""
    return float((found - true).norm() / true.norm().clamp(min=NOTHING))


def judged(found: Computed, true: Computed) -> int:
    """Whether one could train with this value and this gradient."""
    if not (math.isfinite(found.value) and found.gradient.isfinite().all()):
        return BROKEN
    size = found.gradient.norm() / true.gradient.norm().clamp(min=NOTHING)
    if true.gradient.norm() > NOTHING and size < TOLERATED:
        return STUCK
    value = far(torch.tensor(found.value), torch.tensor(true.value))
    return OFF if max(value, far(found.gradient, true.gradient)) > TOLERATED else FINE


@functools.cache
def blamed(dtype: str, form: str, inputs: str, temperature: float) -> str:
    """Where a naive form is off: by "eps", because a part of its slope has become "zero", or by "rounding" alone."""
    plain, found = computed(dtype, "naive", inputs, temperature), computed(dtype, form, inputs, temperature)
    felt = plain.value != found.value or not torch.equal(plain.gradient, found.gradient)  # in float16 eps is zero
    if felt and judged(computed("float64", form, inputs, temperature), exact(inputs, temperature)) != FINE:
        return "eps"
    return "zero" if thinnest(dtype, inputs, temperature) < thinner(dtype) else "rounding"


def thinnest(dtype: str, inputs: str, temperature: float) -> float:
    """The slope of a share in the sum below it, share / sum, where it is smallest: its logarithm, in float64."""
    z1, z2 = (z.to(TYPES[dtype]).double() for z in views(inputs))
    logits = (z1 @ z2.T) / temperature
    return float((logits.diagonal() - 2 * logits.logsumexp(-1)).min())


def thinner(dtype: str) -> float:
    """The logarithm of what is rounded to zero: half of the type's smallest number."""
    info = torch.finfo(TYPES[dtype])
    return math.log(info.smallest_normal) + math.log(info.eps / 2)
