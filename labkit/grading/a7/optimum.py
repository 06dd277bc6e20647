"""Where it all comes from: the best policy for a reward that must not stray far from its reference."""

from functools import partial

import torch
from torch import Tensor

from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise


def cases(draw: Draw) -> list[Case]:
    def case(part: str, beta: float, dtype: torch.dtype = torch.float32) -> Case:
        reference = (1.5 * draw.rows(3, 5, torch.float64)).log_softmax(-1).to(dtype)
        inputs = {"ref_logps": reference, "rewards": draw.rows(3, 5, dtype), "beta": beta}
        # rewards of thousands of betas: whoever subtracts the normaliser at the end keeps three digits behind the point
        return Case(part, inputs, tolerance=1e-3 if part == "cold" else 1e-5, says=f"beta {beta:g}")

    found = [case("value", draw.numbers(0.4, 0.8)), case("value", draw.numbers(2, 6), torch.float64)]
    return [*found, case("cold", draw.numbers(0.0005, 0.002)), case("cold", draw.numbers(0.003, 0.005))]


def flawed(
    ref_logps: Tensor,
    rewards: Tensor,
    beta: float = 0.1,
    *,
    strength: str = "",
    reference: str = "",
    normalise: str = "",
    form: str = "",
) -> Tensor:
    """Every usual mistake, each behind a switch."""
    scaled = rewards * beta if strength == "multiplies" else rewards if strength == "none" else rewards / beta
    start = {"none": 0 * ref_logps, "log for probability": ref_logps, "subtracted": -ref_logps}.get(reference, ref_logps)
    start = start / beta if strength == "both" else start
    if form == "exp" or reference == "log for probability":
        weights = (start if reference == "log for probability" else start.exp()) * scaled.exp()
        return (weights / weights.sum(-1, keepdim=True)).log()
    scores = start + scaled
    if form == "log plus":
        return (scores.softmax(-1) + 1e-12).log()
    if normalise:
        return scores if normalise == "none" else scores.log_softmax(0)
    return scores.softmax(-1) if form == "probabilities" else scores.log_softmax(-1)


BOTH = ("value", "cold")
MISTAKES = (
    Mistake(
        "beta-multiplies-reward",
        "you multiply the reward by beta: a strong pull to the reference makes your policy chase the reward",
        (
            "Which policy should come out when beta is very large?",
            "Try beta 1000: staying close is all that counts, so the answer should be the reference. Is it?",
            "Reward is weighed against distance, and beta is the price of distance: measure the reward in units of that price.",
        ),
        (partial(flawed, strength="multiplies"), partial(flawed, strength="none")),
        BOTH,
        35,
    ),
    Mistake(
        "beta-on-reference",
        "the reference is sharpened by beta as well: with rewards of 0 your policy is not the reference",
        (
            "What should come out if all rewards are equal?",
            "Set all rewards to 0 and compare with the reference.",
            "Beta is a scale for the reward alone; the reference is where one starts from, as it is.",
        ),
        (partial(flawed, strength="both"),),
        BOTH,
        35,
    ),
    Mistake(
        "no-reference",
        "the reference does not enter: with rewards of 0 every answer becomes equally likely",
        (
            "What should come out if all rewards are equal?",
            "Make the reference very sure of one answer and the rewards tiny. Does your policy know?",
            "The best policy is the reference, tilted by the reward. It has to be among the factors.",
        ),
        (partial(flawed, reference="none"), partial(flawed, reference="subtracted")),
        BOTH,
        34,
    ),
    Mistake(
        "logs-and-probabilities",
        "you multiply a logarithm where a probability belongs: a product of factors is a sum of their logarithms",
        (
            "Is each thing you combine a probability or a logarithm?",
            "Set the rewards to 0. Your answer should be the reference's own log-probabilities.",
            "Stay with logarithms throughout: what is a product there is a sum here.",
        ),
        (partial(flawed, reference="log for probability"),),
        BOTH,
    ),
    Mistake(
        "not-normalised",
        "the probabilities do not add up to 1 for each prompt",
        (
            "Add up the probabilities of one prompt's answers.",
            "Add 3 to all rewards of one prompt. Nothing about its best policy changes. Does your answer?",
            "There is a constant for each prompt, the log of a sum over its answers, that makes the probabilities add up to "
            "1. It is the one thing that DPO never has to compute.",
        ),
        (partial(flawed, normalise="none"), partial(flawed, normalise="over prompts")),
        BOTH,
    ),
    Mistake(
        "probabilities-returned",
        "you hand back probabilities where their logarithms are asked for",
        (
            "Which sign should your numbers have?",
            "Compare your answer at a reward of 0 with the first argument.",
            "The reference came in as log-probabilities, and the answer leaves in the same form.",
        ),
        (partial(flawed, form="probabilities"),),
        BOTH,
    ),
    Mistake(
        "exp-first",
        "you take exp of a reward over a small beta: it overflows, and unlikely answers get a probability of exactly 0",
        (
            "How large is a reward of 1 at beta 0.001, before and after exp?",
            "What is the exponential of 1000 in float32? And infinity divided by infinity?",
            "Never leave the logarithms: the normalising sum can be taken there, with its largest term set aside first.",
        ),
        (partial(flawed, form="exp"), partial(flawed, form="log plus")),
        ("cold",),
        4,
    ),
)


@exercise("a7.optimal_policy", parts={"value": 2, "cold": 1}, cases=cases, mistakes=MISTAKES)
def optimal_policy(ref_logps: Tensor, rewards: Tensor, beta: float = 0.1) -> Tensor:
    """Log-probabilities of the policy of largest mean reward minus beta times its divergence from the reference."""
    return (ref_logps + rewards / beta).log_softmax(-1)
