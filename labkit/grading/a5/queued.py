"""A queue of old keys: who is in it when the loss is computed, and where the gradient ends."""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.directions import unit
from labkit.grading.a5.common import agrees
from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise
from labkit.losses import info_nce


def step(queries: Tensor, keys: Tensor, queue: Tensor, temperature: float) -> dict[str, Tensor]:
    keys, queue = keys.detach(), queue.detach()
    loss = info_nce(queries, keys, queue, temperature=temperature)
    return {"loss": loss, "queue": torch.cat([queue, unit(keys)])[-len(queue) :]}


def flawed(
    queries: Tensor,
    keys: Tensor,
    queue: Tensor,
    temperature: float,
    *,
    early: bool = False,
    reaches: str = "",
    drops: str = "oldest",
    raw_keys: bool = False,
    in_batch: bool = False,
    decoupled: bool = False,
    hot: bool = False,
    grows: bool = False,
    raw_queries: bool = False,
    stale: bool = False,
) -> dict[str, Tensor]:
    q = queries if raw_queries else F.normalize(queries, dim=1)
    k = F.normalize(keys if "keys" in reaches else keys.detach(), dim=1)
    kept = queue
    stored = keys.detach() if raw_keys else k
    size = len(queue)
    if stale:
        after = kept
    elif grows:
        after = torch.cat([kept, stored])
    elif drops == "oldest":
        after = torch.cat([kept, stored])[-size:]
    elif drops == "as many as enter":
        after = torch.cat([kept[len(stored) :], stored])
    elif drops == "those before":
        after = torch.cat([kept[: -len(stored)], stored])
    elif drops == "newest":
        after = torch.cat([stored, kept])[:size]
    else:
        after = torch.cat([stored, kept[len(stored) :]])[:size]
    others = torch.cat([queue, k])[-size:] if early else queue
    against = q @ others.T
    if in_batch:
        rest = (q @ k.T).masked_fill(torch.eye(len(q), dtype=torch.bool), -torch.inf)
        against = torch.cat([rest, against], 1)
    positive = (q * k).sum(1, keepdim=True)
    candidates = against if decoupled else torch.cat([positive, against], 1)
    scale = temperature if hot else 1 / temperature
    loss = (candidates * scale).logsumexp(1) - positive[:, 0] * scale
    return {"loss": loss.mean(), "queue": after}


def case(draw: Draw, part: str, dtype: torch.dtype, temperature: float, says: str, size: int = 0) -> Case:
    n, d = 4, 3
    queue = unit(draw.rows(size or draw.integer(6, 9), d, dtype))
    inputs: dict[str, Any] = {"queries": draw.rows(n, d, dtype), "keys": 2 * draw.rows(n, d, dtype)}
    inputs |= {"queue": queue, "temperature": temperature}
    tolerance = 1e-6 if dtype == torch.float64 else 1e-3 if temperature < 0.02 else 1e-4
    grads = ("queries", "keys") if part == "gradient" else ()
    accepts = None if grads else agrees("queue" if part == "queue" else "loss", step(*inputs.values()), tolerance)
    return Case(part, inputs, grads, tolerance, accepts, says)


def cases(draw: Draw) -> list[Case]:
    double = torch.float64
    return [
        case(draw, "loss", double, draw.numbers(0.2, 0.8), ""),
        case(draw, "loss", torch.float32, 0.01, "temperature 0.01, float32"),
        case(draw, "gradient", double, draw.numbers(0.2, 0.8), ""),
        case(draw, "gradient", double, draw.numbers(0.1, 0.3), ""),
        case(draw, "queue", double, draw.numbers(0.2, 0.8), ""),
        case(draw, "queue", torch.float32, draw.numbers(0.2, 0.8), "more keys than places", size=3),
    ]


EVERYTHING = ("loss", "gradient", "queue")
MISTAKES = (
    Mistake(
        "queue-holds-this-batch",
        "your queue holds this batch's keys while its loss is computed, so every positive is a negative as well",
        (
            "Look at the order of the two things that a step does.",
            "Let the queries be equal to their keys, and the queue be far away. How low can the loss go, and how low does "
            "yours?",
            "A queue is there to hold the keys of batches that are over. If this batch enters before its loss is computed, "
            "then each query finds its own positive a second time, among those it is pushed away from.",
        ),
        (partial(flawed, early=True),),
        ("loss", "gradient"),
        25,
    ),
    Mistake(
        "gradient-reaches-the-keys",
        "your gradient reaches the keys",
        (
            "Look at which of your inputs gets a gradient.",
            "The keys come from an encoder that is a slow copy of the other one. Who moves that encoder: the optimiser, or "
            "the copying?",
            "Keys are targets. They are held, and only the queries learn; and a stored key that still had its history would "
            "keep the whole graph of an old batch alive. Something has to cut them off before they are used and before they "
            "are stored.",
        ),
        (partial(flawed, reaches="keys"),),
        ("gradient",),
        25,
    ),
    Mistake(
        "queue-forgets-the-newest",
        "your queue is in the wrong order, and lets go of the wrong keys sooner or later",
        (
            "Look at which keys are missing from your queue after a step, and where the new ones stand.",
            "Push ten batches through a queue with room for two. Whose keys should be left, and whose are left in yours?",
            "The rows stand in the order in which they came, the oldest first. The encoder moves, so the oldest keys fit it "
            "worst: they have to go, and the newest come last.",
        ),
        (
            partial(flawed, drops="newest"),
            partial(flawed, drops="those before"),
            partial(flawed, drops="oldest, and puts the new in front"),
        ),
        ("gradient", "queue"),
    ),
    Mistake(
        "queue-not-updated",
        "your queue is the same after the step as before",
        (
            "Look at the queue that you give back.",
            "What would the queue hold after a hundred steps of yours?",
            "The keys of this batch are the negatives of the next ones. They have to enter after the loss is computed, or "
            "the queue stays what it was at the start.",
        ),
        (partial(flawed, stale=True),),
        ("gradient", "queue"),
    ),
    Mistake(
        "queue-grows",
        "your queue grows with every step",
        (
            "Look at the number of rows in your queue after a step.",
            "How many rows would it have after a hundred steps, and how many should it have?",
            "A queue has a fixed number of places. As many as enter at one end have to leave at the other.",
        ),
        (partial(flawed, grows=True),),
        ("gradient", "queue"),
    ),
    Mistake(
        "more-keys-than-places",
        "your queue changes its size when a batch has more keys than the queue has places",
        (
            "Look at the number of rows in your queue after a step, for a queue of three and a batch of four.",
            "Which of four new keys belong in a queue with room for three?",
            "The size stays whatever enters, and the newest keys are the ones that stay.",
        ),
        (partial(flawed, drops="as many as enter"),),
        ("queue",),
    ),
    Mistake(
        "keys-stored-raw",
        "you stored keys that do not have length one",
        (
            "Look at the lengths of the rows of your queue after a step.",
            "The next step takes inner products with the rows of the queue. What are these, if a row has length three?",
            "The queue that was handed to you holds rows of length one, and it is used as it is. What you put in should be "
            "of the same kind.",
        ),
        (partial(flawed, raw_keys=True),),
        ("gradient", "queue"),
        13,
    ),
    Mistake(
        "batch-mates-as-negatives",
        "you took the other keys of the batch for negatives as well",
        (
            "Look at how many negatives one query has in your answer.",
            "Hand in an empty queue, or imagine one. How many candidates should a query have then?",
            "That would be another loss, and a possible one. The one asked for compares a query with its own key and with "
            "what is in the queue, and with nobody else.",
        ),
        (partial(flawed, in_batch=True),),
        ("loss", "gradient"),
    ),
    Mistake(
        "positive-left-out",
        "your positive is missing from the denominator",
        (
            "Look at what a query of yours is compared with.",
            "Let the query be equal to its key, and the queue be far away. Can the loss be negative?",
            "A softmax over the candidates has the positive as one of them. Leaving it out is another idea, that of DCL; "
            "here the loss is that of recognising the own key among all candidates.",
        ),
        (partial(flawed, decoupled=True),),
        ("loss", "gradient"),
        21,
    ),
    Mistake(
        "temperature-multiplies",
        "the temperature multiplies in your answer",
        (
            "Look at what the temperature does to the cosines.",
            "Lower the temperature towards zero. Does the nearest key of the queue take more and more of the push, or less?",
            "A low temperature stretches the differences between cosines until the nearest candidate has everything. In your "
            "answer it shrinks them. The two agree at temperature 1 and nowhere else.",
        ),
        (partial(flawed, hot=True),),
        ("loss", "gradient"),
        3,
    ),
    Mistake(
        "queries-not-normalised",
        "your queries do not have length one",
        (
            "Look at what goes into the similarities.",
            "Multiply one query by ten. Should the loss change?",
            "The length of an embedding means nothing here: the loss looks at directions. The queue has rows of length one "
            "already; queries and keys come as the encoders give them.",
        ),
        (partial(flawed, raw_queries=True),),
        ("loss", "gradient"),
        13,
    ),
)


@exercise("a5.queue_step", parts={"loss": 2, "gradient": 1, "queue": 2}, cases=cases, mistakes=MISTAKES, seconds=10)
def queue_step(queries: Tensor, keys: Tensor, queue: Tensor, temperature: float) -> dict[str, Tensor]:
    """InfoNCE of queries against their own keys and a queue of old ones, and the queue after the step."""
    return step(queries, keys, queue, temperature)
