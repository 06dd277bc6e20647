"""What every registered entry must hold. It inherits these tests by being registered; its inputs come from `cases.py`."""

import inspect

import cases
import pytest
import torch
from cases import ENTRIES, LOSSES, NORMALISED, TRAINED, call, having, inputs, leaves, letters, unreduced

HALVES = (torch.float16, torch.bfloat16, torch.float32)


def over(entries):
    return pytest.mark.parametrize("entry", entries, ids=lambda e: e.name)


def close(got, expected, tolerance=1e-12):
    torch.testing.assert_close(got, expected, rtol=tolerance, atol=tolerance)


@over(ENTRIES)
def test_it_has_an_oracle(entry):
    assert entry.name in cases.with_oracle(), (
        "store a number of official code in oracles/*.json, or write a loop in oracles/*loops.py"
    )


@over(ENTRIES)
def test_its_docstring_says_what_one_needs(entry):
    text = inspect.getdoc(entry.fn) or ""
    assert entry.equation, "an equation in `.. math::`"
    for part in ("Args:", "Raises:", "Source: ", ">>> "):
        assert part in text, part
    arguments = text.partition("Args:")[2].partition("Raises:")[0]
    missing = [n for n in entry.checker.parameters if n not in arguments]
    assert not missing, f"said nothing about {missing}"


@over([e for e in TRAINED if e.name not in cases.STOPPED])
def test_its_gradient_is_the_derivative_of_its_value(entry):
    given = inputs(entry)
    names = list(leaves(entry, given))
    assert torch.autograd.gradcheck(
        lambda *x: call(entry, {**given, **dict(zip(names, x, strict=True))}), tuple(leaves(entry, given).values())
    )


@over([e for e in TRAINED if e.name in cases.STOPPED])
def test_its_gradient_is_stopped_somewhere(entry):
    given = inputs(entry)
    names = list(leaves(entry, given))
    assert not torch.autograd.gradcheck(
        lambda *x: call(entry, {**given, **dict(zip(names, x, strict=True))}),
        tuple(leaves(entry, given).values()),
        raise_exception=False,
    ), f"{entry.name} need not be in cases.STOPPED"


@over([e for e in ENTRIES if "permutation" in e.invariant])
def test_the_order_of_rows_does_not_matter(entry):
    given = inputs(entry)
    close(call(entry, cases.shuffled(entry, given)), call(entry, given))


@over(LOSSES)
def test_a_rotation_matters_unless_it_is_said_not_to(entry):
    given = inputs(entry)
    change = (call(entry, cases.turned(entry, given)) - call(entry, given)).abs().item()
    assert change < 1e-11 if "rotation" in entry.invariant else change > 1e-6


@over([e for e in ENTRIES if e.kind == "metric" and "rotation" in e.invariant])
def test_a_rotation_does_not_change_a_meter(entry):
    given = inputs(entry)
    close(call(entry, cases.turned(entry, given)), call(entry, given), 1e-6)


@over([e for e in ENTRIES if cases.swapped(e, inputs(e))])
def test_the_order_of_views_matters_unless_it_is_said_not_to(entry):
    given = inputs(entry)
    change = (call(entry, cases.swapped(entry, given)) - call(entry, given)).abs().max().item()
    assert change < 1e-12 if "view swap" in entry.invariant else change > 1e-6


@over([e for e in ENTRIES if "scale" in e.invariant])
def test_a_common_scale_does_not_matter(entry):
    given = inputs(entry)
    close(call(entry, cases.along(entry, given, "d", lambda x, axis: 3 * x)), call(entry, given), 1e-6)


@over(NORMALISED)
def test_the_length_of_a_row_does_not_matter(entry):
    given = inputs(entry)
    close(call(entry, cases.stretched(entry, given)), call(entry, given))


@over(TRAINED)
@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_half_precision_is_computed_in_single(entry, dtype):
    check_against_double(entry, dtype)


@over(having("temperature", TRAINED))
@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_a_temperature_of_a_thousandth(entry, dtype):
    check_against_double(entry, dtype, temperature=1e-3)


def check_against_double(entry, dtype, **options):
    """Within 1e-2 of float64 on the same rounded inputs, with a gradient without NaN."""
    given = inputs(entry, dtype=dtype)
    trained = leaves(entry, given)
    value = call(entry, {**given, **trained}, **options)
    exact = call(entry, {n: x.double() if x.is_floating_point() else x for n, x in given.items()}, **options)
    assert value.dtype == torch.float32
    assert exact.dtype == torch.float64
    assert (value.double() - exact).abs() <= 1e-2 * exact.abs().clamp(min=1)
    value.backward()
    assert all(torch.isfinite(x.grad).all() for x in trained.values() if x.grad is not None)
    assert any(x.grad is not None for x in trained.values())


@over(having("temperature", LOSSES))
def test_a_small_temperature_in_double(entry):
    """Where even float64 would overflow: exp(1 / 1e-3) is far beyond it, and the loss itself is not."""
    trained = leaves(entry, inputs(entry, n=8))
    value = call(entry, {**inputs(entry, n=8), **trained}, temperature=1e-3)
    value.backward()
    assert torch.isfinite(value)
    assert all(torch.isfinite(x.grad).all() for x in trained.values() if x.grad is not None)


@over(LOSSES)
@pytest.mark.parametrize("how", ["two rows", "identical", "identical views", "opposite views", "one dimension"])
def test_points_in_special_places(entry, how):
    given = inputs(entry, n=2 if how == "two rows" else 6, d=1 if how == "one dimension" else 4)
    for name, x in given.items():
        if x.is_floating_point() and how == "identical":
            given[name] = torch.ones_like(x)
        elif name in ("z2", "b", "p2", "positives", "scores2") and how.endswith("views"):
            given[name] = next(iter(given.values())) * (-1 if how.startswith("opposite") else 1)
    trained = leaves(entry, given)
    value = call(entry, {**given, **trained})
    value.backward()
    assert torch.isfinite(value)
    assert all(torch.isfinite(x.grad).all() for x in trained.values() if x.grad is not None)


@over([e for e in ENTRIES if e.kind == "metric"])
@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_a_meter_takes_half_precision(entry, dtype):
    given = inputs(entry, dtype=dtype)
    exact = call(entry, {n: x.double() if x.is_floating_point() else x for n, x in given.items()})
    value = call(entry, given)
    assert torch.isfinite(value).all()
    assert ((value.double() - exact).abs() <= 1e-2 * exact.abs().clamp(min=1)).all()


@over(having("reduction"))
def test_mean_and_sum_are_those_of_none(entry):
    given = inputs(entry)
    each = call(entry, given, reduction="none")
    assert each.shape == (expected_length(entry),)
    close(call(entry, given), each.mean())
    close(call(entry, given, reduction="mean"), each.mean())
    close(call(entry, given, reduction="sum"), each.sum())


def expected_length(entry):
    """How many values `unit` promises: one for each embedding, instance, example ..."""
    given = inputs(entry)
    n, m = cases.SIZES["n"], cases.SIZES["m"]
    if entry.unit == "anchor":
        pairs = {"z1", "z2"} <= set(given) or {"a", "b"} <= set(given)
        return n * (2 if pairs else cases.SIZES["v"] if "views" in given else 1)
    assert entry.unit in ("instance", "example", "rank", "list", "pair")
    return n + m if any("m" in letters(entry, name) for name in given) else n


@over(ENTRIES)
def test_what_depends_on_the_batch_takes_no_reduction(entry):
    if entry.kind in ("loss", "preference"):
        assert ("reduction" in entry.checker.parameters) == (entry.unit != "batch")


@over([e for e in TRAINED if e.unit in ("instance", "example")])
def test_values_follow_their_rows(entry):
    given = inputs(entry, m=6)
    back = cases.along(entry, given, "n", lambda x, axis: x.flip(axis))
    back = cases.along(entry, back, "m", lambda x, axis: x.flip(axis))
    each, other = unreduced(entry, given), unreduced(entry, back)
    close(other, torch.cat([half.flip(0) for half in each.split(cases.SIZES["n"])]))


@over(having("block_size"))
@pytest.mark.parametrize("block_size", [1, 4, 100])
def test_blocks_of_rows_change_nothing(entry, block_size):
    for optional in (False, True):
        given = inputs(entry, n=9, optional=optional)
        options = [{"form": "in"}, {"form": "out"}] if "form" in entry.checker.parameters else [{}]
        for option in options:
            found = []
            for size in (None, block_size):
                trained = leaves(entry, given)
                value = call(entry, {**given, **trained}, block_size=size, **option)
                found.append([value.detach(), *torch.autograd.grad(value, list(trained.values()))])
            for dense, tiled in zip(*found, strict=True):
                close(tiled, dense)


@over(ENTRIES)
def test_calling_it_changes_nothing(entry):
    given = inputs(entry)
    before, state = {n: x.clone() for n, x in given.items()}, torch.get_rng_state()
    first = call(entry, given)
    assert torch.equal(first, call(entry, given))
    assert all(torch.equal(given[n], before[n]) for n in given)
    assert torch.equal(torch.get_rng_state(), state)


@over([e for e in TRAINED if any(p.is_number for p in e.checker.parameters.values())])
def test_a_number_may_be_a_tensor(entry):
    """So that a temperature can be learned."""
    for name, p in entry.checker.parameters.items():
        default = entry.checker.signature.parameters[name].default
        if p.is_number and float in p.options and default is not None:
            number = torch.tensor(float(default), dtype=torch.float64, requires_grad=True)
            value = call(entry, inputs(entry), **{name: number})
            close(value.detach(), call(entry, inputs(entry)))
            if name == "temperature":
                (slope,) = torch.autograd.grad(value, number)
                assert torch.isfinite(slope)
                assert slope != 0


@pytest.mark.parametrize(
    ("entry", "what", "name", "given"),
    [pytest.param(e, what, name, given, id=f"{e.name}-{name}-{what}") for e in ENTRIES for what, name, given in cases.wrong(e)],
)
def test_a_wrong_argument_is_named(entry, what, name, given):
    with pytest.raises((ValueError, TypeError)) as caught:
        call(entry, given)
    assert name in str(caught.value)


@over([e for e in LOSSES if e.floor(4) is not None])
def test_nothing_lies_below_the_floor(entry):
    for seed in range(5):
        given = inputs(entry, n=4, seed=seed)
        aligned = {**given, **{b: given[a] for a, b in (("z1", "z2"), ("a", "b")) if {a, b} <= set(given)}}
        for chosen in (given, aligned):
            assert call(entry, chosen).item() >= entry.floor(4) - 1e-9


@over(TRAINED)
def test_its_chance_line_is_a_number(entry):
    assert torch.isfinite(torch.tensor(entry.chance(8)))
