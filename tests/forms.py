"""What the tests of closed forms share."""

import torch

DOUBLE = torch.float64


def randn(*shape):
    return torch.randn(*shape, dtype=DOUBLE)


def close(got, expected, tolerance=1e-11):
    torch.testing.assert_close(got, torch.as_tensor(expected, dtype=got.dtype), rtol=tolerance, atol=tolerance)


def gradients(loss, *leaves):
    leaves = [x.detach().clone().requires_grad_() for x in leaves]
    return torch.autograd.grad(loss(*leaves), leaves)
