"""Log-probabilities of many logits in parts, and of hidden states without logits: the plain values, gradients and errors."""

import math
import sys

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.utils._python_dispatch import TorchDispatchMode

from labkit import metrics
from labkit.preferences import head_logps, sequence_logps, token_logps

N, T, V, D = 3, 10, 17, 4


class Largest(TorchDispatchMode):
    """The most numbers in one tensor that anything in here made."""

    def __init__(self):
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        known = {t.untyped_storage().data_ptr() for t in args if isinstance(t, torch.Tensor)}
        for t in made if isinstance(made, (tuple, list)) else (made,):
            if isinstance(t, torch.Tensor) and t.untyped_storage().data_ptr() not in known:
                self.numbers = max(self.numbers, t.untyped_storage().nbytes() // t.element_size())
        return made


def drawn(*shape, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(sum(shape))).requires_grad_()


def asked(kind="some", n=N, t=T, v=V):
    lots = torch.Generator().manual_seed(1)
    mask = torch.rand(n, t, generator=lots) < 0.4
    mask[:, -1] = True
    if kind == "answers":
        mask[:, : t // 2], mask[:, t // 2 :] = False, True
    return torch.randint(v, (n, t), generator=lots), mask | (kind == "all")


def naive(logits, labels, mask):
    return (logits[:, :-1].log_softmax(-1).gather(-1, labels[:, 1:, None]).squeeze(-1) * mask[:, 1:]).sum(-1)


def slopes(value, inputs):
    return torch.autograd.grad((value * torch.linspace(-1, 2, len(value), dtype=value.dtype)).sum(), inputs)


@pytest.fixture
def in_parts(monkeypatch):
    def at(places):
        monkeypatch.setattr("labkit.preferences.logps.DENSE", 0)
        monkeypatch.setattr("labkit.preferences.chosen.PART", places * V)

    return at


@pytest.mark.parametrize("kind", ["some", "answers", "all"])
@pytest.mark.parametrize("places", [1, 4, 10, 25, 1000])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_parts_give_the_plain_values_and_gradients(in_parts, kind, places, dtype, tolerance):
    logits, (labels, mask) = drawn(N, T, V, dtype=dtype), asked(kind)
    exact = logits.detach().double().requires_grad_()
    in_parts(places)
    got, want = sequence_logps(logits, labels, mask), naive(exact, labels, mask)
    torch.testing.assert_close(got.double(), want, rtol=tolerance, atol=0)
    torch.testing.assert_close(*(g.double() for (g,) in (slopes(got, logits), slopes(want, exact))), rtol=0, atol=tolerance)


def test_logits_may_lie_in_memory_as_they_like_and_only_what_counts_has_a_gradient(in_parts):
    logits, (labels, mask) = drawn(T, N, V), asked()
    want = naive(logits.transpose(0, 1), labels, mask)
    (expected,) = slopes(want, logits)
    in_parts(4)
    got = sequence_logps(logits.transpose(0, 1), labels, mask)
    torch.testing.assert_close(slopes(got, logits)[0], expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(token_logps(logits.transpose(0, 1), labels, mask).sum(-1), want)


def test_suppressed_words_in_parts(in_parts):
    logits, (labels, mask) = drawn(N, T, V).detach(), asked()
    labels.clamp_(max=V - 2)
    logits[..., -1] = -math.inf
    low = logits.clamp(min=-1e4).requires_grad_()
    logits.requires_grad_()
    in_parts(4)
    got, want = sequence_logps(logits, labels, mask), naive(low, labels, mask)
    torch.testing.assert_close(got, want)
    torch.testing.assert_close(slopes(got, logits), slopes(want, low))
    for place in ((0, T - 2, int(labels[0, -1])), (0, 0)):
        said = logits.detach().clone()
        said[place] = -math.inf
        with pytest.raises(ValueError, match="logits are -inf at marked labels, or at all words"):
            sequence_logps(said, labels, mask)


def test_gradients_in_parts_are_right_and_have_none_themselves(in_parts):
    logits, (labels, mask) = drawn(N, T, V), asked()
    assert gradgradcheck(lambda x: sequence_logps(x, labels, mask), (logits,))  # few logits: as anybody would write it
    in_parts(4)
    assert gradcheck(lambda x: sequence_logps(x, labels, mask), (logits,))
    (slope,) = torch.autograd.grad(sequence_logps(logits, labels, mask).square().sum(), logits, create_graph=True)
    with pytest.raises(RuntimeError, match="log-probabilities of this many logits have no second derivative"):
        slope.square().sum().backward()


def test_of_many_logits_one_tensor_is_made_their_gradient(in_parts):
    labels, mask = asked("answers", n=8, t=64)
    logits = drawn(8, 64, V, dtype=torch.float32)
    in_parts(4)
    with Largest() as forward:
        value = sequence_logps(logits, labels, mask).sum()
    assert forward.numbers <= 8 * 64  # no more than one number for each place
    with Largest() as backward:
        value.backward()
    assert backward.numbers == logits.numel()


OPTIONS = [{}, {"average": True}, {"temperature": 0.7}, {"softcap": 1.5}, {"softcap": 1.5, "temperature": 2.0}]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("size", [1, 5, 16, 100])
def test_hidden_states_give_what_their_logits_give(options, biased, size):
    inputs = [drawn(N, T, D), drawn(V, D), drawn(V)][: 3 if biased else 2]
    labels, mask = asked()
    logits = inputs[0] @ inputs[1].T + (inputs[2] if biased else 0)
    cap = options.get("softcap")
    logits = (cap * torch.tanh(logits / cap) if cap else logits) / options.get("temperature", 1.0)
    want = naive(logits, labels, mask) / (mask[:, 1:].sum(-1) if options.get("average") else 1)
    bias = inputs[2] if biased else None
    got = head_logps(*inputs[:2], labels, mask, bias=bias, block_size=size, **options)
    torch.testing.assert_close(got, want, rtol=1e-12, atol=0)
    torch.testing.assert_close(slopes(got, inputs), slopes(want, inputs), rtol=0, atol=1e-12)


def test_a_frozen_head_and_frozen_states_have_no_gradient():
    labels, mask = asked()
    for frozen in (0, 1):
        inputs = [drawn(N, T, D), drawn(V, D)]
        want = slopes(naive(inputs[0] @ inputs[1].T, labels, mask), inputs[1 - frozen])
        inputs[frozen].requires_grad_(False)
        got = head_logps(*inputs, labels, mask, block_size=4)
        torch.testing.assert_close(slopes(got, inputs[1 - frozen]), want, rtol=0, atol=1e-12)


@pytest.mark.parametrize("scale", [1.0, 40.0])
def test_hidden_states_in_float32_are_as_exact_as_in_float64(scale):
    """Also where one word is nearly certain: the logits reach 500 then."""
    labels, mask = asked()
    inputs = [(scale * drawn(N, T, D, dtype=torch.float32)).detach().requires_grad_(), drawn(V, D, dtype=torch.float32)]
    exact = [x.detach().double().requires_grad_() for x in inputs]
    got, want = head_logps(*inputs, labels, mask, block_size=4), naive(exact[0] @ exact[1].T, labels, mask)
    torch.testing.assert_close(got.double(), want, rtol=1e-6, atol=0)
    for g, w in zip(slopes(got, inputs), slopes(want, exact), strict=True):
        torch.testing.assert_close(g.double(), w, rtol=0, atol=scale * 1e-6 * w.abs().max().item())


def test_gradients_of_tiles_are_right_and_have_none_themselves():
    labels, mask = asked()
    inputs = (drawn(N, T, D), drawn(V, D), drawn(V))
    assert gradcheck(lambda h, w, b: head_logps(h, w, labels, mask, bias=b, softcap=2.0, block_size=4), inputs)
    value = head_logps(*inputs[:2], labels, mask, block_size=4).square().sum()
    (slope,) = torch.autograd.grad(value, inputs[0], create_graph=True)
    with pytest.raises(RuntimeError, match="no second derivative; pass block_size=n"):
        slope.square().sum().backward()
    assert gradgradcheck(lambda h: head_logps(h, inputs[1], labels, mask, block_size=100), (inputs[0],))


def test_logits_of_hidden_states_are_never_all_there():
    labels, mask = asked("all", n=4, t=50, v=300)
    hidden, head = drawn(4, 50, D, dtype=torch.float32), drawn(300, D, dtype=torch.float32)
    with Largest() as made:
        head_logps(hidden, head, labels, mask, block_size=16).sum().backward()
    assert made.numbers <= max(hidden.numel(), head.numel())


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda h, w, y, m: (h, w[:, 1:], y, m), "head has d = 3, but hidden has d = 4"),
        (lambda h, w, y, m: (h, w * math.nan, y, m), "head holds 68 NaN or infinite values of 68"),
        (lambda h, w, y, m: (h, w, y + V, m), r"labels at marked positions must be in \[0, 17\)"),
        (lambda h, w, y, m: (h, w, y, m & False), r"mask marks no response token after position 0 in rows \[0, 1, 2\]"),
    ],
)
def test_hidden_states_that_cannot_be_scored_are_refused(spoil, message):
    with pytest.raises(ValueError, match=message):
        head_logps(*spoil(drawn(N, T, D), drawn(V, D), *asked()))


def test_options_that_make_no_sense_are_refused():
    inputs = (drawn(N, T, D), drawn(V, D), *asked())
    with pytest.raises(ValueError, match="softcap must be > 0"):
        head_logps(*inputs, softcap=0.0)
    with pytest.raises(ValueError, match="temperature must be > 0"):
        head_logps(*inputs, temperature=0.0)


# ---------------------------------------------------------------- meters without copies


def test_ches_makes_no_copy_of_the_states(monkeypatch):
    hidden, mask = drawn(6, 20, 8, dtype=torch.float32), torch.ones(6, 20).bool()
    want = metrics.ches(hidden, hidden.flip(0), mask, mask)
    monkeypatch.setattr("labkit.metrics.movement.PART", 20 * 8)
    rejected = hidden.flip(0)
    with torch.no_grad(), Largest() as made:
        got = metrics.ches(hidden, rejected, mask, mask)
    torch.testing.assert_close(got, want.detach())
    assert made.numbers <= 20 * 8


@pytest.mark.parametrize("name", ["push_share", "k_occurrence"])
def test_neighbours_are_found_without_all_cosines_at_once(monkeypatch, name):
    z = drawn(64, 4).detach()
    want = getattr(metrics, name)(z)
    for room in ("hardness", "neighbours"):
        monkeypatch.setattr(sys.modules[f"labkit.metrics.{room}"], "BLOCK", 64 * 8)
    with Largest() as made:
        got = getattr(metrics, name)(z)
    torch.testing.assert_close(got, want)
    assert made.numbers <= 64 * 10  # eight rows of cosines, or all the neighbours' numbers


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("shape", [(300, 12), (12, 300), (40, 40)])
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("spectrum", ["full", "rank 3", "one tiny direction", "equal rows"])
def test_effective_rank_of_spectra_near_zero(shape, center, scale, spectrum):
    n, d = shape
    k = {"rank 3": 3, "equal rows": 1}.get(spectrum, min(n, d))
    sizes = torch.ones(k, dtype=torch.float64)
    if spectrum == "one tiny direction":
        sizes[-1] = 1e-9
    left = torch.ones(n, 1, dtype=torch.float64) if spectrum == "equal rows" else torch.linalg.qr(drawn(n, k).detach())[0]
    z = scale * (left * sizes) @ torch.linalg.qr(drawn(d, k).detach())[0].T
    sigma = torch.linalg.svdvals((z - z.mean(0)) if center else z)
    p = sigma[sigma > torch.finfo(z.dtype).eps * sigma[0]]
    p = p / p.sum()
    got = metrics.effective_rank(z, center=center)
    if spectrum == "equal rows" and center:
        assert 0 <= got <= min(n, d)  # rounding is all that is left
    else:
        torch.testing.assert_close(got, torch.special.entr(p).sum().exp(), rtol=1e-6, atol=0)
