"""Find the fault: a test for each that a sound loss passes and a faulty one does not; and the names of the boxes' faults."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from labkit.grading.a5.boxes import KINDS, faults, faulty, flawed, owners, sound
from labkit.grading.compare import numbers
from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise

Test = tuple[Tensor, Tensor, Tensor, float, float]  # images, captions, keep, temperature, the value expected
ROWS = 64  # of captions, at most
OTHERS = {"mask": ("reduction",), "softmax": ("mask", "reduction"), "reduction": ("mask",)}
CALLED = {
    "mask": "the box whose mask leaks",
    "softmax": "the box with the binary cross-entropy",
    "reduction": "the lopsided box",
}


def accepts(fault: str, variant: str, others: tuple[str, ...]) -> Callable[[Any], bool | str]:
    """Whether a test is right about the sound loss, fails the faulty one, and passes these others."""

    def verdict(got: Any) -> bool | str:
        test = read(got)
        if isinstance(test, str):
            return test
        inputs, expected = test[:4], test[4]
        right, losses = float(sound(*inputs)), faulty(variant)
        if not close(right, expected):
            return "the value you expect is not that of a sound loss on your input"
        if close(float(losses[fault](*inputs)), expected):
            return f"{CALLED[fault]} passes your test"
        seen = [CALLED[other] for other in others if not close(float(losses[other](*inputs)), expected)]
        return f"{' and '.join(seen)} fails your test as well, so it does not tell which fault it has found" if seen else True

    return verdict


def close(value: float, expected: float) -> bool:
    return math.isfinite(value) and abs(value - expected) <= 1e-3 * (1 + abs(expected))


def read(got: Any) -> Test | str:
    """The five things of a test, or in words what is wrong with them."""
    if not isinstance(got, (list, tuple)) or len(got) != 5:
        return "a test has five entries: images, captions, keep, temperature, and the value you expect"
    images, captions, keep, temperature, expected = map(numbers, got)
    if any(each is None for each in (images, captions, keep, temperature, expected)):
        return "a test is made of tensors and numbers"
    assert images is not None and captions is not None and keep is not None and temperature is not None and expected is not None
    if images.ndim != 2 or captions.ndim != 2 or images.shape[1] != captions.shape[1] or not images.numel():
        return "images and captions have to be tables with rows of one width"
    if len(captions) % len(images) or not len(images) <= len(captions) <= ROWS or images.shape[1] > 4 * ROWS:
        return f"each image needs the same number of captions, and {ROWS} captions are enough"
    if keep.shape != (len(images), len(captions)) or not bool(((keep == 0) | (keep == 1)).all()):
        return "keep has to be a table of True and False, images by captions"
    if not bool(keep[owners(images, captions)].all()):
        return "keep must not rule out an image's own captions"
    if temperature.numel() != 1 or expected.numel() != 1 or not 1e-3 <= float(temperature) <= 1e3:
        return "temperature and the value you expect have to be single numbers, and the temperature between 0.001 and 1000"
    if not all(bool(torch.isfinite(each).all()) for each in (images, captions, expected)):
        return "a test must not hold infinite numbers"
    if not bool((images.norm(dim=1) > 0).all() & (captions.norm(dim=1) > 0).all()):
        return "a row of zeros has no direction"
    return images, captions, keep.bool(), float(temperature), float(expected)


def cases(draw: Draw) -> list[Case]:
    found = [
        Case(fault, {"fault": fault}, accepts=accepts(fault, draw.variant, OTHERS[fault]), says=CALLED[fault])
        for fault in OTHERS
    ]
    both = accepts("mask", draw.variant, ("reduction", "softmax"))
    return [*found, Case("sharp", {"fault": "mask"}, accepts=both, says="a mask's test that the other two boxes pass")]


def together(n: int, each: int, temperature: float = 0.5) -> Test:
    """All embeddings in one point: what everybody is compared with can be counted."""
    expected = (math.log(n * each) + math.log(n)) / 2
    return torch.ones(n, 3), torch.ones(n * each, 3), torch.ones(n, n * each, dtype=torch.bool), temperature, expected


def right_test(fault: str) -> Test:
    if fault == "reduction":
        return together(3, 2)
    if fault == "softmax":
        return together(4, 1)
    images, captions = torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    return images, captions, torch.eye(2, dtype=torch.bool), 1.0, 0.0


def unmasked(fault: str) -> Test:
    return together(4, 1) if fault == "mask" else right_test(fault)


def two_by_two(fault: str) -> Test:
    return together(2, 1) if fault == "softmax" else right_test(fault)


def one_caption(fault: str) -> Test:
    return together(4, 1) if fault == "reduction" else right_test(fault)


def all_at_once(fault: str) -> Test:
    images, captions = torch.eye(3), torch.eye(3).repeat_interleave(2, 0)
    keep = torch.eye(3, dtype=torch.bool).repeat_interleave(2, 1)
    keep[0, 2] = True
    return images, captions, keep, 0.5, float(sound(images, captions, keep, 0.5))


def believing(fault: str) -> Test:
    """Expects what the box says."""
    inputs = right_test(fault)[:4]
    return (*inputs, float(flawed(*inputs, **{fault: KINDS[fault][-1]})))  # type: ignore[arg-type]


MISTAKES = (
    Mistake(
        "nothing-masked",
        "your test of the mask masks nothing",
        (
            "Look at the table that says who is compared with whom.",
            "What do a sound mask and a leaking one do to a candidate that nobody wants to hide?",
            "A mask can only be seen at work where something is masked. Rule somebody out, and choose the rest such that you "
            "know without a computer what is left.",
        ),
        (unmasked,),
        ("mask", "sharp"),
    ),
    Mistake(
        "two-candidates",
        "your test of the cross-entropy has two candidates, and with two of them nothing shows",
        (
            "Look at how many candidates your anchors have.",
            "Write down the terms of the binary cross-entropy for the two cells of a softmax. What is the one cell's gain to "
            "the other?",
            "With two candidates the second cell repeats the term of the first, and the mean over two equal terms is the "
            "term. A fault that a batch of two cannot show needs a larger batch.",
        ),
        (two_by_two,),
        ("softmax",),
    ),
    Mistake(
        "one-caption-each",
        "your test of the reduction has one caption for each image",
        (
            "Look at the number of captions an image has in your test.",
            "By how much do a sum and a mean differ, when there is one thing to add?",
            "The lopsided box treats several captions of an image wrongly. Give every image more than one, and take an input "
            "for which you can count what each direction should say.",
        ),
        (one_caption,),
        ("reduction",),
    ),
    Mistake(
        "everything-at-once",
        "your tests show that something is wrong, and not what",
        (
            "Look at which of the boxes pass which of your tests.",
            "If a test has a mask and several captions each, and it fails: which of the faults has it found?",
            "A test that tells faults apart leaves out all that the others need to show: no mask where the cross-entropy is "
            "tested, one caption each where the mask is tested, and so on.",
        ),
        (all_at_once,),
        ("mask", "softmax", "reduction", "sharp"),
    ),
    Mistake(
        "expects-what-the-box-says",
        "you expect what the faulty box says",
        (
            "Look at where the value you expect comes from.",
            "Would your test ever fail the code that you took its value from?",
            "A test needs a value from somewhere else than the code it tests: from a count, a symmetry, a case in which "
            "everything cancels. Choose the input such that there is one.",
        ),
        (believing,),
        ("mask", "softmax", "reduction", "sharp"),
    ),
)


@exercise("a5.probe", parts={"mask": 2, "softmax": 1, "reduction": 2, "sharp": 1}, cases=cases, mistakes=MISTAKES, seconds=10)
def probe(fault: str) -> Test:
    """For each fault a test: an input, and the value of a sound loss there, that a loss with this fault does not have."""
    return right_test(fault)


def named(draw: Draw) -> list[Case]:
    right = {box: fault for box, (fault, _) in faults(draw.variant).items()}

    def one(box: str) -> Callable[[Any], bool | str]:
        def verdict(got: Any) -> bool | str:
            if not isinstance(got, dict) or not isinstance(got.get(box), str):
                return f"the fault of box {box} is missing"
            return got[box].strip().lower() == right[box] or "it has another fault"

        return verdict

    return [Case(f"box {box}", {}, accepts=one(box), only_graded=True) for box in "ABC"]


@exercise("a5.faults", parts={"box A": 1, "box B": 1, "box C": 1}, cases=named, mistakes=(), seconds=10)
def named_faults(variant: str) -> dict[str, str]:
    """Which fault each of your three boxes has."""
    return {box: fault for box, (fault, _) in faults(variant).items()}
