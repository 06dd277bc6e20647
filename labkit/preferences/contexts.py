"""The prompt is compared as well: one answer under two prompts, two prompts with their answers, one pair under two goals."""

from collections.abc import Sequence
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from labkit import link
from labkit.checks import Reduction, Scalar
from labkit.contrast import reduce
from labkit.link import ratios
from labkit.registry import preference


@preference("2404.00530", oracle="closed form: dpo for one instruction")
def dove(
    chosen_logps: Float[Tensor, "n"],
    rejected_logps: Float[Tensor, "n"],
    ref_chosen_logps: Float[Tensor, "n"],
    ref_rejected_logps: Float[Tensor, "n"],
    chosen_prompt_logps: Float[Tensor, "n"],
    rejected_prompt_logps: Float[Tensor, "n"],
    ref_chosen_prompt_logps: Float[Tensor, "n"],
    ref_rejected_prompt_logps: Float[Tensor, "n"],
    *,
    beta: Scalar = 0.1,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""DPO between an instruction with its answer and another instruction with another answer.

    .. math:: -\log \sigma\!\left(\beta \left[h(x_w, y_w) - h(x_l, y_l)\right]\right), \qquad
        h(x, y) = \log \frac{\pi(x)\, \pi(y \mid x)}{\rho(x)\, \rho(y \mid x)}

    The policy is trained to write the instructions, too. Where both are the same, they cancel, and it is `dpo`.

    Args:
        chosen_logps, rejected_logps: log-probabilities of the two answers, each given its own instruction.
        ref_chosen_logps, ref_rejected_logps: the same under the reference.
        chosen_prompt_logps, rejected_prompt_logps: log-probabilities of the two instructions.
        ref_chosen_prompt_logps, ref_rejected_prompt_logps: the same under the reference.
        beta: > 0.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: as in `dpo`.

    Source: Bansal et al. 2024 (DOVE, arXiv 2404.00530); the official trainer is DPO with the prompts' tokens left in the labels
    (`joint_distribution=True`), which gives these sums.

    >>> a, b = torch.tensor([-1.0]), torch.tensor([-2.0])
    >>> dove(a, b, b, b, a, b, b, b)                  # the answer gained a nat and the instruction gained one: 0.1 * 2
    tensor(0.5981)
    """
    answers = ratios(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps).margin
    prompts = ratios(chosen_prompt_logps, rejected_prompt_logps, ref_chosen_prompt_logps, ref_rejected_prompt_logps).margin
    return reduce(link.logistic(beta * (answers + prompts)), reduction)


@preference("2505.12845", oracle="closed form: dpo at gamma = 0", ranges={"gamma": "[0, inf)"}, status="reconstructed")
def mapl(
    chosen_logps: Float[Tensor, "n"],
    rejected_logps: Float[Tensor, "n"],
    ref_chosen_logps: Float[Tensor, "n"],
    ref_rejected_logps: Float[Tensor, "n"],
    crossed_logps: Float[Tensor, "n"],
    ref_crossed_logps: Float[Tensor, "n"],
    *,
    beta: Scalar = 0.1,
    gamma: Scalar = 1.0,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""DPO between two answers to a prompt, and between two prompts to an answer: one it follows, one it does not.

    .. math:: -\log \sigma\!\left(\beta \left[h(x, y_w) - h(x, y_l)\right]\right)
        - \gamma \log \sigma\!\left(\beta \left[h(x, y_w) - h(x', y_w)\right]\right)

    At `gamma=0` it is `dpo`. DPO's derivation does not carry over to the second term: the partition functions of two prompts do
    not cancel.

    Args:
        chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps: as in `dpo`.
        crossed_logps: log-probabilities of the chosen answers under prompts x' whose instructions they violate.
        ref_crossed_logps: the same under the reference.
        beta: > 0.
        gamma: >= 0, weight of the comparison of prompts. The default is ours.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: as in `dpo`.

    Source: Sun et al. 2025 (MAPL, arXiv 2505.12845), from its abstract: prompts with a preference relation for one response
    within a sample, pairs with several instructions between samples, integrated into DPO. The second kind is plain DPO on other
    data. There is no official code.

    >>> a, b = torch.tensor([-1.0]), torch.tensor([-2.0])
    >>> mapl(a, b, b, b, b, b)                        # both margins are 1
    tensor(1.2888)
    """
    within = ratios(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps).margin
    across = ratios(chosen_logps, crossed_logps, ref_chosen_logps, ref_crossed_logps).margin
    return reduce(link.logistic(beta * within) + gamma * link.logistic(beta * across), reduction)


@preference("2410.08067", oracle="shenao-zhang/reward-augmented-preference: dpo on both halves")
def reward_augmented_dpo(
    chosen_logps: Float[Tensor, "n"],
    rejected_logps: Float[Tensor, "n"],
    ref_chosen_logps: Float[Tensor, "n"],
    ref_rejected_logps: Float[Tensor, "n"],
    low_chosen_logps: Float[Tensor, "n"],
    low_rejected_logps: Float[Tensor, "n"],
    ref_low_chosen_logps: Float[Tensor, "n"],
    ref_low_rejected_logps: Float[Tensor, "n"],
    *,
    beta: Scalar = 0.1,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""DPO under two goals: asked for the chosen answer's score the policy prefers it, asked for the other's score, the other.

    .. math:: -\frac{1}{2} \log \sigma\!\left(\beta \left[h(x_{r_w}, y_w) - h(x_{r_w}, y_l)\right]\right)
        - \frac{1}{2} \log \sigma\!\left(\beta \left[h(x_{r_l}, y_l) - h(x_{r_l}, y_w)\right]\right)

    where :math:`x_r` is the prompt with the score r as its goal. It is the mean of `dpo` over the pairs of `with_goals`; what
    makes a rejected answer good of its kind is kept.

    Args:
        chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps: as in `dpo`, under the goal :math:`r_w`.
        low_chosen_logps, low_rejected_logps, ref_low_chosen_logps, ref_low_rejected_logps: of the same two answers, under the
            goal :math:`r_l`.
        beta: > 0.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: as in `dpo`.

    Source: Zhang et al. 2024 (arXiv 2410.08067); official data transform shenao-zhang/reward-augmented-preference.

    >>> a, b = torch.tensor([-1.0]), torch.tensor([-3.0])
    >>> reward_augmented_dpo(a, b, a, a, b, a, a, a)  # margin 2 under either goal
    tensor(0.5981)
    """
    high = ratios(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps).margin
    low = ratios(low_chosen_logps, low_rejected_logps, ref_low_chosen_logps, ref_low_rejected_logps).margin
    return reduce((link.logistic(beta * high) + link.logistic(-beta * low)) / 2, reduction)


class Pair(NamedTuple):
    """A prompt, and two answers to it of which the first is preferred."""

    prompt: str
    chosen: str
    rejected: str


def with_goals(
    pairs: Sequence[tuple[str, str, str]],
    chosen_rewards: Sequence[float],
    rejected_rewards: Sequence[float],
    *,
    goal: str = "Write an answer that deserves {:g} of 10 points.\n\n",
) -> list[Pair]:
    """Every pair twice: with the chosen answer's score as the goal, and, turned round, with the rejected answer's.

    Pairs (of a prompt, a chosen and a rejected answer) whose rejected answer has the higher score contradict it and are left
    out. The authors' wording of the goal is another, and stands in the system prompt.

    >>> twice = with_goals([("Hello", "Hi!", "What?")], [9.0], [3.5])
    >>> twice[1]
    Pair(prompt='Write an answer that deserves 3.5 of 10 points.\\n\\nHello', chosen='What?', rejected='Hi!')
    """
    scored = [(*p, up, low) for p, up, low in zip(pairs, chosen_rewards, rejected_rewards, strict=True) if up >= low]
    high = [Pair(goal.format(up) + prompt, chosen, rejected) for prompt, chosen, rejected, up, _ in scored]
    return high + [Pair(goal.format(low) + prompt, rejected, chosen) for prompt, chosen, rejected, _, low in scored]
