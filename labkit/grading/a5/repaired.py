"""The loss that the three boxes were to be: graded on masks, several captions an image, and a low temperature."""

from functools import partial

import torch
from torch import Tensor

from labkit.directions import unit
from labkit.grading.a5.boxes import flawed, sound
from labkit.grading.a5.common import raw_rows_mistake
from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise


def inputs(draw: Draw, n: int, each: int, dtype: torch.dtype, temperature: float, *, whole: bool = False) -> dict[str, object]:
    """Images and captions; each image is compared with its own captions and, unless with all, with some of the others."""
    for _ in range(1000):
        images, captions = draw.rows(n, 4, dtype), 3 * draw.rows(n * each, 4, dtype)
        found = {"images": images, "captions": captions, "keep": kept(draw, n, each, whole), "temperature": temperature}
        if whole or shows(unit(images) @ unit(captions).T, found["keep"]):  # type: ignore[arg-type]
            return found
    raise AssertionError("no input on which a mask shows")


def cold(draw: Draw, each: int, temperature: float) -> dict[str, object]:
    """Two tight groups on opposite sides of the sphere: large logits, and at a very low temperature still several of a kind."""
    one = unit(draw.rows(1, 4))
    middle = torch.cat([one, -one]).repeat(3, 1)
    images, captions = middle + 0.1 * draw.rows(6, 4), middle.repeat_interleave(each, 0) + 0.1 * draw.rows(6 * each, 4)
    return {"images": images, "captions": 3 * captions, "keep": kept(draw, 6, each), "temperature": temperature}


def beyond(draw: Draw, temperature: float) -> dict[str, object]:
    """Every caption lies opposite its image, and what is masked lies right beside it."""
    one = unit(draw.rows(1, 4))
    middle = torch.cat([one, -one]).repeat(3, 1)
    images, captions = middle + 0.1 * draw.rows(6, 4), 0.1 * draw.rows(6, 4) - middle
    keep = torch.arange(6)[:, None] % 2 == torch.arange(6) % 2
    return {"images": images, "captions": captions, "keep": keep, "temperature": temperature}


def kept(draw: Draw, n: int, each: int, whole: bool = False) -> Tensor:
    own = torch.eye(n, dtype=torch.bool).repeat_interleave(each, 1)
    keep = own | torch.from_numpy(draw.rng.random((n, n * each)) < 0.6) | torch.tensor(whole)
    keep[0, -1] = keep[0, -1] & whole  # one masked for certain, between different groups
    return keep


def shows(cosines: Tensor, keep: Tensor) -> bool:
    """Whether something masked is far away, so that a large negative factor makes it large."""
    return bool((cosines[~keep] < -0.2).any())


def cases(draw: Draw) -> list[Case]:
    double, grads = torch.float64, ("images", "captions")
    warm = partial(draw.numbers, 0.2, 0.8)
    return [
        Case("plain", inputs(draw, 5, 1, double, warm(), whole=True), tolerance=1e-6, says="one caption each, nothing masked"),
        Case("plain", inputs(draw, 4, 1, torch.float32, warm(), whole=True), tolerance=1e-4, says="one caption each, float32"),
        Case("captions", inputs(draw, 4, 3, double, warm(), whole=True), grads, 1e-6, says="three captions each"),
        Case("captions", inputs(draw, 3, 2, double, warm(), whole=True), grads, 1e-6, says="two captions each"),
        Case("masked", inputs(draw, 5, 1, double, warm()), grads, 1e-6, says="one caption each, some masked"),
        Case("masked", inputs(draw, 4, 2, double, warm()), grads, 1e-6, says="two captions each, some masked"),
        Case("cold", cold(draw, 2, 0.01), tolerance=1e-3, says="temperature 0.01, float32"),
        Case("cold", beyond(draw, 0.01), tolerance=1e-3, says="temperature 0.01, positives opposite, float32"),
    ]


EVERYTHING = ("plain", "captions", "masked", "cold")
MASKED, SEVERAL = ("masked", "cold"), ("captions", "masked", "cold")
MISTAKES = (
    Mistake(
        "masked-with-zero",
        "you masked by multiplying the logits with zero, and what is masked still counts",
        (
            "Look at what stands in your sums in the place of a masked candidate.",
            "Mask all candidates of one image but its own captions. What should the other terms of its sum be, and what are "
            "they?",
            "A logit of zero is that of a candidate at a right angle: its exponential is one, and it pushes. To take a "
            "candidate out of a sum of exponentials, its exponential has to be zero, whatever its cosine was.",
        ),
        (partial(flawed, mask="times zero"),),
        MASKED,
        2,
    ),
    Mistake(
        "masked-with-a-large-factor",
        "you masked by multiplying the logits with a large negative number, and some of what is masked becomes the largest "
        "of all",
        (
            "Look at the masked candidates whose cosine is negative.",
            "What is minus one times a hundred thousand times a negative number? Which candidate wins the softmax then?",
            "A factor turns the sign round as well as making a number large, so it hides a candidate on the near side of the "
            "sphere and puts one on the far side first. To take a candidate out of a sum of exponentials, its exponential "
            "has to be zero, whatever its cosine was.",
        ),
        (partial(flawed, mask="times a large negative number"),),
        MASKED,
        2,
    ),
    Mistake(
        "mask-not-deep-enough",
        "you took a number off the masked logits that is not large enough at temperature 0.01",
        (
            "Look at what is left of a masked logit when the temperature is very low.",
            "At temperature 0.01, take a masked candidate right beside an anchor, and a kept one opposite to it. Which of "
            "the two has the larger logit after your mask?",
            "A finite amount taken off is a mask only as long as logits are small beside it, and at this temperature they "
            "reach from minus a hundred to a hundred. What is masked should have no weight at any temperature.",
        ),
        (partial(flawed, mask="less a hundred"),),
        ("cold",),
        2,
    ),
    Mistake(
        "cross-entropy-of-cells",
        "your softmax is followed by a binary cross-entropy, averaged over all cells",
        (
            "Look at how many numbers your mean goes over.",
            "Put all embeddings in one point, with nothing masked. The loss of an anchor is then the logarithm of a number "
            "you can count. What does yours say?",
            "A softmax has settled already that a candidate's gain is another's loss, so the term of the positive is all "
            "there is. The terms of the other cells say the same thing once more, and a mean over cells shrinks the loss as "
            "the batch grows.",
        ),
        (partial(flawed, softmax="cells"),),
        EVERYTHING,
    ),
    Mistake(
        "captions-divided-twice",
        "in your answer the direction from captions to images is divided by the number of captions an image has",
        (
            "Look at how much each of your two directions weighs.",
            "Hand in every caption twice. Each of the two means is over twice as many anchors or positives; should either of "
            "them shrink?",
            "An image has K captions and so K positives, and its term is the mean over them. A caption has one image: there "
            "is nothing left to divide by when the mean over the captions has been taken.",
        ),
        (partial(flawed, reduction="captions"),),
        SEVERAL,
    ),
    Mistake(
        "captions-added-up",
        "in your answer an image with more captions has a larger loss",
        (
            "Look at what is done with the several captions of one image.",
            "Hand in every caption twice. What becomes of the loss of an image?",
            "An image has K positives, and its term is their mean. You have their sum, so the direction from images to "
            "captions weighs K times as much as the other one.",
        ),
        (partial(flawed, reduction="images"),),
        SEVERAL,
    ),
    Mistake(
        "mask-ignored",
        "you compare with captions that the mask has ruled out",
        (
            "Look at where the mask comes into your answer.",
            "Hand in a mask that leaves each image only its own captions. How large should the loss be, with one caption each?",
            "What the mask rules out must not stand in any of the sums: neither among the captions of an image nor among the "
            "images of a caption.",
        ),
        (partial(flawed, mask="none"), partial(flawed, mask="images only")),
        MASKED,
    ),
    Mistake(
        "captions-of-another-image",
        "you took the captions in the wrong order: some are not those of their image",
        (
            "Look at which captions you take for those of the second image.",
            "With two images and three captions each, write down whose each of the six rows is.",
            "The captions of an image stand next to each other, all of the first image's before all of the second's. With "
            "one caption each you do not see the difference.",
        ),
        (partial(flawed, interleaved=True),),
        SEVERAL,
    ),
    Mistake(
        "log-outside-the-mean",
        "you averaged the shares of an image's captions and took the logarithm afterwards",
        (
            "Look at which comes first in your answer, the logarithm or the mean over an image's captions.",
            "Let one caption of an image have nearly all of the softmax and its others nothing. Is that a good state of "
            "affairs? What does your loss say?",
            "A logarithm of a mean is content when one caption is found; a mean of logarithms asks for every one of them. "
            "The loss asked for takes the mean last.",
        ),
        (partial(flawed, inside=True),),
        SEVERAL,
        26,
    ),
    Mistake(
        "one-direction-only",
        "only one of the two directions is in your loss",
        (
            "Look at who the anchors of your loss are.",
            "Take a caption that fits several images equally well. Which of the two directions notices?",
            "Images choose among captions, and captions choose among images. With one of them alone, a candidate that "
            "everybody is near to goes unnoticed.",
        ),
        (partial(flawed, direction="images"), partial(flawed, direction="captions")),
        EVERYTHING,
        5,
    ),
    Mistake(
        "directions-added",
        "you added the two directions where their mean is asked for",
        (
            "Look at the last thing your code does.",
            "Put all embeddings in one point, one caption each, nothing masked. The loss is the logarithm of what?",
            "Each direction is a mean over its anchors, and the loss is the mean of the two. A sum trains with twice the "
            "learning rate.",
        ),
        (partial(flawed, direction="sum"),),
        EVERYTHING,
    ),
    Mistake(
        "positive-left-out",
        "your positives are missing from the denominator",
        (
            "Look at what an anchor of yours is compared with.",
            "Put all embeddings in one point, one caption each, nothing masked. The loss is the logarithm of what?",
            "A softmax over the candidates has the positive as one of them. Leaving it out is another idea, that of DCL; "
            "here the loss is that of recognising one's own among all that the mask allows.",
        ),
        (partial(flawed, decoupled=True),),
        EVERYTHING,
        21,
    ),
    Mistake(
        "exp-first",
        "you take the exponential before the largest is taken off, and at temperature 0.01 that is infinite",
        (
            "Look at the largest number that your code ever holds.",
            "What is the exponential of 100 in float32? And infinity divided by infinity?",
            "The logarithm of a share can be had without the share: it is a logit less the logarithm of a sum of "
            "exponentials, and there are functions that compute both without ever holding a large number.",
        ),
        (partial(flawed, exp_first=True),),
        ("cold",),
        4,
    ),
    Mistake(
        "temperature-multiplies",
        "the temperature multiplies in your answer",
        (
            "Look at what the temperature does to the cosines.",
            "Lower the temperature towards zero. Does the nearest candidate take more and more of the softmax, or less?",
            "A low temperature stretches the differences between cosines until the nearest candidate has everything. In your "
            "answer it shrinks them. The two agree at temperature 1 and nowhere else.",
        ),
        (partial(flawed, hot=True),),
        EVERYTHING,
        3,
    ),
    raw_rows_mistake((partial(flawed, raw=True),), EVERYTHING),
)


@exercise(
    "a5.caption_loss",
    parts={"plain": 1, "captions": 2, "masked": 2, "cold": 1},
    cases=cases,
    mistakes=MISTAKES,
    seconds=10,
)
def caption_loss(images: Tensor, captions: Tensor, keep: Tensor, temperature: float) -> Tensor:
    """The loss that the boxes were to be: both directions, each the mean over its anchors of the mean over their positives."""
    return sound(images, captions, keep, temperature)
