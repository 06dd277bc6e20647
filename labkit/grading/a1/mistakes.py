"""What goes wrong in NT-Xent: one function with every usual mistake as a switch, and what is said about each."""

from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import normalize

from labkit.grading.exercise import Mistake


def flawed(
    z1: Tensor,
    z2: Tensor,
    temperature: float,
    *,
    multiplied: bool = False,
    norm_dim: int = 1,
    own: str = "",
    positive_out: bool = False,
    same_view: str = "",
    target: str = "",
    detach: str = "",
    log: str = "",
    total: str = "mean",
) -> Tensor:
    """NT-Xent with every usual mistake as a switch."""
    n = len(z1)
    z = normalize(torch.cat([z1, z2]), dim=norm_dim) if norm_dim >= 0 else torch.cat([z1, z2])
    logits = z @ z.T * temperature if multiplied else z @ z.T / temperature
    self = torch.eye(2 * n, dtype=torch.bool)
    if own == "zeroed":
        logits = logits * ~self
    partner = torch.arange(2 * n).roll(n)
    if target == "own index":
        partner = torch.arange(2 * n)
    if target == "neighbour":
        partner = torch.arange(2 * n) ^ 1
    left_out = self & (own == "")
    if same_view == "missing":
        left_out = left_out | (torch.arange(2 * n) < n)[:, None].eq(torch.arange(2 * n) < n)
    if positive_out:
        left_out = left_out | self.roll(n, 1)
    positive = logits[torch.arange(2 * n), partner]
    positive = positive.detach() if detach in ("positive", "both") else positive
    candidates = logits.masked_fill(left_out, -torch.inf)
    candidates = candidates.detach() if detach in ("candidates", "both") else candidates
    if log == "first exp":
        each = torch.log(candidates.exp().sum(1)) - positive
    elif log == "ratio":
        each = -torch.log(positive.exp() / candidates.exp().sum(1))
    elif log == "capped":
        each = -torch.log((positive - torch.logsumexp(candidates, 1)).exp() + 1e-8)
    else:
        each = torch.logsumexp(candidates, 1) - positive
    each = each[:n] if total == "one way" else each
    return {"sum": each.sum(), "by n": each.sum() / n}.get(total, each.mean())


EVERY = ("value", "gradient", "cold", "cold gradient")
MISTAKES = (
    Mistake(
        "anchor-in-denominator",
        "your denominator includes the anchor itself: its cosine with itself, the largest there is, is among the candidates",
        (
            "Call it on embeddings that are all the same. The loss should be your answer to part 3. Is it?",
            "Which entry of a row of the table can never be a wrong answer that the anchor might choose?",
            "The diagonal has to contribute nothing at all to the sum of exponentials.",
        ),
        (partial(flawed, own="kept"),),
        EVERY,
        1,
    ),
    Mistake(
        "masked-by-multiplying",
        "you masked the anchor by multiplying its logit with 0, and a logit of 0 still adds 1 to the sum of exponentials",
        (
            "What does a masked entry of your table contribute to the denominator?",
            "Compute exp(0) by hand. Then ask which logit would contribute nothing.",
            "A candidate that does not exist needs the logit whose exponential is zero.",
        ),
        (partial(flawed, own="zeroed"),),
        EVERY,
        2,
    ),
    Mistake(
        "temperature-multiplies",
        "the temperature multiplies your logits, so a low temperature makes them soft instead of sharp",
        (
            "Compare your loss at temperatures 0.1 and 10. Which should be the more decided one?",
            "At temperature 1 you are right, whatever you do with it. Try 0.5 by hand on a single row.",
            "As the temperature falls, differences between logits have to grow.",
        ),
        (partial(flawed, multiplied=True),),
        EVERY,
        3,
    ),
    Mistake(
        "exp-first",
        "exp before the maximum of the candidates is subtracted: at temperature 0.01 it overflows or vanishes, "
        "and the loss is NaN or infinite",
        (
            "Call it at temperature 0.01 in float32, with one image twice in the batch.",
            "What is exp(100) in float32? And what is the logarithm of a sum that was rounded to zero?",
            "Logarithm and sum of exponentials belong into one step, which takes out the largest logit first.",
        ),
        (partial(flawed, log="first exp"), partial(flawed, log="ratio")),
        ("cold", "cold gradient"),
        4,
    ),
    Mistake(
        "capped-logarithm",
        "a small number inside the logarithm caps your loss: at low temperature, hard rows cost too little and get no gradient",
        (
            "Compare your largest row at temperature 0.01 with what the cosines say it should be.",
            "What is -log(1e-8)? Can any row of yours cost more than that?",
            "If nothing is exponentiated before it has to be, no logarithm needs protection.",
        ),
        (partial(flawed, log="capped"),),
        ("cold", "cold gradient"),
        4,
    ),
    Mistake(
        "wrong-partner",
        "the positives are on the wrong rows: with all first views before all second ones, the partner stands N rows away",
        (
            "For four images, write down the row of each row's partner.",
            "Use embeddings in which both views are the same, so that the positive is always the largest. Is your loss small?",
            "The list of right answers is a list of row numbers of the 2N rows, shifted by half its length.",
        ),
        (partial(flawed, target="own index", own="kept"), partial(flawed, target="neighbour")),
        EVERY,
        5,
    ),
    Mistake(
        "normalised-columns",
        "you normalised each column instead of each row: the vectors of different images were mixed",
        (
            "Add an image to the batch. Does the cosine between two others change?",
            "Print the length of every row after you normalised.",
            "A vector is a row here. Along which dimension are its squares added up?",
        ),
        (partial(flawed, norm_dim=0),),
        EVERY,
        5,
    ),
    Mistake(
        "not-normalised",
        "your logits are dot products, not cosines: long embeddings push the loss about",
        (
            "Multiply z1 by ten and call it again: directions did not change, so the loss should not.",
            "What is the largest value a cosine can have? What is the largest entry of your table, times the temperature?",
            "Every row needs length one before rows are multiplied with each other.",
        ),
        (partial(flawed, norm_dim=-1),),
        EVERY,
        5,
    ),
    Mistake(
        "one-direction",
        "only one direction: first views look for their partners, second ones never do",
        (
            "Swap z1 and z2. The loss should stay the same. Does it?",
            "How many terms does your mean run over, and how many rows are there?",
            "Every one of the 2N rows is an anchor once.",
        ),
        (partial(flawed, total="one way"),),
        EVERY,
        5,
    ),
    Mistake(
        "positive-left-out",
        "your denominator leaves the positive out: that is another loss (DCL), which can be negative",
        (
            "Can your loss be negative? NT-Xent is the logarithm of a probability, with its sign turned.",
            "The probability of the right candidate is its share of all candidates. Is it itself in your sum?",
            "From the candidates of an anchor only the anchor itself is missing.",
        ),
        (partial(flawed, positive_out=True),),
        EVERY,
    ),
    Mistake(
        "only-across-views",
        "you compare the two views only across: other images of the anchor's own view are candidates, too",
        (
            "Count the candidates of one anchor in a batch of four images. There should be seven.",
            "For embeddings that are all the same, the loss should be your answer to part 3. How many images would give yours?",
            "Image and caption are compared across only, because they are different things; two views of an image are not.",
        ),
        (partial(flawed, same_view="missing"), partial(flawed, same_view="missing", total="one way")),
        EVERY,
        5,
    ),
    Mistake(
        "summed-not-averaged",
        "you added the rows up where their mean is asked for: the loss grows with the batch",
        (
            "Put every image into the batch twice. Should the loss double?",
            "For embeddings that are all the same the loss should be your answer to part 3. How many times that is yours?",
            "There are 2N rows, not one and not N.",
        ),
        (partial(flawed, total="sum"), partial(flawed, total="by n")),
        EVERY,
    ),
    Mistake(
        "positive-detached",
        "you detached the positive: the value is right, but nothing pulls the two views together any more",
        (
            "Values agree and gradients do not. Through which terms does your gradient flow?",
            "Minimise your loss for some steps on a small batch and watch the cosine of partners: does it rise?",
            "The positive's logit is part of what is differentiated, not a constant.",
        ),
        (partial(flawed, detach="positive"),),
        ("gradient", "cold gradient"),
    ),
    Mistake(
        "denominator-detached",
        "you detached the denominator: the value is right, but nothing pushes the negatives away",
        (
            "Values agree and gradients do not. Through which terms does your gradient flow?",
            "Minimise your loss for some steps on a small batch and watch the mean cosine of all pairs.",
            "The sum over candidates is part of what is differentiated, not a constant.",
        ),
        (partial(flawed, detach="candidates"),),
        ("gradient", "cold gradient"),
    ),
    Mistake(
        "no-gradient",
        "no gradient flows at all: the value is right, but it has forgotten how it was computed",
        (
            "Ask your result whether it requires a gradient, when the embeddings do.",
            "Look for a step that leaves tensors behind: a Python number, a NumPy array, a block that records nothing.",
            "Everything from the embeddings to the loss has to stay a tensor whose history is kept.",
        ),
        (partial(flawed, detach="both"),),
        ("gradient", "cold gradient"),
    ),
)
