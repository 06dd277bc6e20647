"""Preferences as a game: no reward need exist, the best policy is the one that no other policy beats.

`ref_*` is the frozen reference, `old_*` the policy of the round before. On a table of answers every objective here has its
minimum at one step of mirror descent, so that repeating it leads to the (regularised) Nash policy.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from labkit import link
from labkit.checks import Reduction, Scalar
from labkit.contrast import reduce
from labkit.link import ratios
from labkit.registry import checked, preference

Rate = {"chosen_win_rates": "[0, 1]", "rejected_win_rates": "[0, 1]", "eta": "(0, inf)"}


@preference("2404.03715", oracle="closed form: one step of soft policy iteration", ranges=Rate)
def dno(
    chosen_logps: Float[Tensor, "n"],
    rejected_logps: Float[Tensor, "n"],
    old_chosen_logps: Float[Tensor, "n"],
    old_rejected_logps: Float[Tensor, "n"],
    chosen_win_rates: Float[Tensor, "n"],
    rejected_win_rates: Float[Tensor, "n"],
    *,
    eta: Scalar = 0.1,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""DPO against the last round's policy, with a soft label: how much more often one answer wins than the other.

    .. math:: -p \log \sigma(z) - (1 - p) \log \sigma(-z), \qquad p = \sigma(r_w - r_l),
        \quad z = \eta \left[\log \frac{\pi_w}{\pi^t_w} - \log \frac{\pi_l}{\pi^t_l}\right]

    where :math:`r` is an answer's win rate against :math:`\pi^t`. Smallest where :math:`\pi \propto \pi^t e^{r / \eta}`. The
    practical algorithm (DNO-Prct) keeps only pairs with a large gap and sets p = 1: it is `dpo` with the last round's policy
    as the reference. Win rates lie in [0, 1], so p itself stays within 0.27 and 0.73.

    Args:
        chosen_logps, rejected_logps: summed log-probabilities of two answers; which one is called chosen does not matter.
        old_chosen_logps, old_rejected_logps: the same under the policy of the last round.
        chosen_win_rates, rejected_win_rates: in [0, 1], how often each answer beats an answer of the last round's policy.
        eta: > 0, how strongly the last round's policy holds.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: as in `dpo`; win rates outside [0, 1].

    Source: Rosset et al. 2024 (arXiv 2404.03715), eq. 12 and algorithm 2, read in the paper. The authors published no code.

    >>> a, half = torch.tensor([-1.0]), torch.tensor([0.5])
    >>> dno(a, a, a, a, half, half)                   # log 2
    tensor(0.6931)
    """
    margin = ratios(chosen_logps, rejected_logps, old_chosen_logps, old_rejected_logps).margin
    wrong_way = torch.sigmoid(rejected_win_rates - chosen_win_rates)
    return reduce(link.logistic(eta * margin, wrong_way), reduction)


@preference("2407.00617", oracle="closed form: ipo at tau = eta", ranges={"eta": "(0, inf)", "tau": "[0, inf)"})
def inpo(
    chosen_logps: Float[Tensor, "n"],
    rejected_logps: Float[Tensor, "n"],
    ref_chosen_logps: Float[Tensor, "n"],
    ref_rejected_logps: Float[Tensor, "n"],
    old_chosen_logps: Float[Tensor, "n"],
    old_rejected_logps: Float[Tensor, "n"],
    *,
    eta: Scalar = 7.5e-3,
    tau: Scalar = 2.5e-3,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""IPO with two references: the frozen one and the policy of the last round, mixed in log space.

    .. math:: \left(\log \frac{\pi_w}{\pi_l} - \frac{\tau}{\eta} \log \frac{\pi^{\text{ref}}_w}{\pi^{\text{ref}}_l}
        - \frac{\eta - \tau}{\eta} \log \frac{\pi^t_w}{\pi^t_l} - \frac{1}{2 \eta}\right)^2

    At `tau = eta` it is `ipo` with `beta = eta`. The pairs must be drawn from the last round's policy: only then is its
    minimum the mirror-descent step, :math:`\pi \propto e^{P(y \succ \pi^t) / \eta} (\pi^{\text{ref}})^{\tau/\eta}
    (\pi^t)^{1 - \tau/\eta}`.

    Args:
        chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps: as in `dpo`.
        old_chosen_logps, old_rejected_logps: the answers' log-probabilities under the policy of the last round.
        eta: > 0, inverse step size of mirror descent.
        tau: in [0, eta], how strongly the frozen reference holds; 0 forgets it.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: as in `dpo`; `tau > eta`.

    Source: Zhang et al. 2024 (arXiv 2407.00617), eq. 8, read in the paper; the defaults are those of a public reproduction.

    >>> a = torch.tensor([-1.0])
    >>> inpo(a, a, a, a, a, a, eta=0.1, tau=0.05)     # (1 / 0.2)^2
    tensor(25.)
    """
    kept = share_of_reference(tau, eta)
    held_chosen = kept * ref_chosen_logps + (1 - kept) * old_chosen_logps
    held_rejected = kept * ref_rejected_logps + (1 - kept) * old_rejected_logps
    margin = ratios(chosen_logps, rejected_logps, held_chosen, held_rejected).margin
    return reduce(link.squared(margin, 1 / (2 * eta)), reduction)


def share_of_reference(tau: Scalar, eta: Scalar) -> Scalar:
    if tau > eta:
        raise ValueError(f"tau must be <= eta, got tau = {float(tau):g} and eta = {float(eta):g}; eta = 3 tau is usual")
    return tau / eta


def turn(v: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
    """Every pair of coordinates a quarter turn round: (x, y) becomes (-y, x). No vector has a component along its own turn."""
    if v.shape[-1] % 2:
        raise ValueError(
            f"embeddings must have an even number of dimensions, two for each preference axis, got d = {v.shape[-1]}"
        )
    x, y = v[..., 0::2], v[..., 1::2]
    return torch.stack([-y, x], dim=-1).flatten(-2)


@checked(sizes={"d": 2})
def preference_scores(chosen_embeddings: Float[Tensor, "n d"], rejected_embeddings: Float[Tensor, "n d"]) -> Float[Tensor, "n"]:
    r"""The score of the general preference model: the log-odds that the first answer beats the second.

    .. math:: s(a \succ b) = \langle R v_a, v_b \rangle = \sum_l \left(a_{2l-1}\, b_{2l} - a_{2l}\, b_{2l-1}\right)

    It changes its sign when the answers change places, and an answer ties with itself. With d = 2 and a constant second
    coordinate it is the Bradley-Terry model; with d = 2 it can already express a cycle.

    >>> v = torch.tensor([[1.0, 0.0], [-0.5, 0.8660], [-0.5, -0.8660]])          # a third of a turn apart
    >>> preference_scores(v, v.roll(-1, 0))                                       # each beats the next
    tensor([0.8660, 0.8660, 0.8660])
    """
    return (turn(chosen_embeddings) * rejected_embeddings).sum(-1)


@checked(sizes={"d": 2, "k": 2})
def mean_scores(embeddings: Float[Tensor, "n k d"]) -> Float[Tensor, "n k"]:
    """Each of k answers' mean preference score against all of them, itself included (with 0): what `gpo` regresses on."""
    return (turn(embeddings) @ embeddings.mT).mean(-1)


@preference("2410.02197", oracle="general-preference/general-preference-model, GeneralPreferenceLoss", sizes={"d": 2})
def gpm(
    chosen_embeddings: Float[Tensor, "n d"],
    rejected_embeddings: Float[Tensor, "n d"],
    *,
    temperature: Scalar = 0.1,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""A preference model that can hold a cycle: answers are points in the plane (or in k planes), not numbers on a line.

    .. math:: -\log \sigma(s(w \succ l) / \tau), \qquad s(w \succ l) = \langle R v_w, v_l \rangle

    Args:
        chosen_embeddings, rejected_embeddings: `(n, d)`, d = 2k even, used as given. The paper L2-normalises them; its scale
            for each prompt and axis is a factor to multiply both with.
        temperature: > 0; the paper has 1, the authors' training scripts 0.1.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, an odd number of dimensions.

    Source: Zhang et al. 2024 (arXiv 2410.02197), definition 4.3, and GeneralPreferenceLoss and HighDimGeneralPreferenceLoss
    of the official code. See `preference_scores`.

    >>> gpm(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), temperature=1.0)    # -log sigmoid(1)
    tensor(0.3133)
    """
    return reduce(link.logistic(preference_scores(chosen_embeddings, rejected_embeddings) / temperature), reduction)


@preference("2410.02197", oracle="closed form: pi_t exp(s / beta) / Z")
def gpo(
    logps: Float[Tensor, "n"],
    old_logps: Float[Tensor, "n"],
    scores: Float[Tensor, "n"],
    log_normalizers: Float[Tensor, "n"] | None = None,
    *,
    beta: Scalar = 0.1,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Each answer's log-ratio to the last round's policy is regressed on its mean preference score.

    .. math:: \left(\log \frac{\pi(y)}{\pi^t(y)} - \frac{s(y \succ \pi^t)}{\beta} + \log Z\right)^2

    It is `sppo` with a score that may be any number in place of a win rate. Zero at
    :math:`\pi = \pi^t e^{s / \beta} / Z`.

    Args:
        logps, old_logps: the answers' log-probabilities under the policy and under that of the last round.
        scores: their mean preference scores against the last round's answers, see `mean_scores`.
        log_normalizers: log Z of each answer's prompt; None is 0, as in the paper's practice.
        beta: > 0, how strongly the last round's policy holds.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, integers, numbers out of range.

    Source: Zhang et al. 2024 (arXiv 2410.02197), eq. 5.3, read in the paper. The authors' scripts have beta = 0.001 throughout.

    >>> a = torch.tensor([-1.0])
    >>> gpo(a, a, torch.tensor([0.5]))                # 5^2
    tensor(25.)
    """
    gap = logps - old_logps if log_normalizers is None else logps - old_logps + log_normalizers
    return reduce(link.squared(gap, scores / beta), reduction)


@checked(sizes={"v": 2}, ranges={"coefficient": "[0, 1]"})
def geometric_mixture(logits: Float[Tensor, "n v"], ref_logits: Float[Tensor, "n v"], *, coefficient: Scalar = 0.5) -> Tensor:
    """Logits of the policy that Nash-MD plays against: between the policy (coefficient 0) and the reference (1), in log space.

    >>> geometric_mixture(torch.tensor([[0.0, 2.0]]), torch.tensor([[0.0, 0.0]])).softmax(-1)
    tensor([[0.2689, 0.7311]])
    """
    return coefficient * ref_logits + (1 - coefficient) * logits


@preference("2312.00886", oracle="trl 1.10.0.dev0 NashMDTrainer", ranges={"win_rates": "[0, 1]"})
def nash_md(
    logps: Float[Tensor, "n t"],
    ref_logps: Float[Tensor, "n t"],
    win_rates: Float[Tensor, "n"],
    *,
    beta: Scalar = 0.1,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Policy gradient on the probability of beating the `geometric_mixture` policy, with the KL to the reference as a cost.

    .. math:: \sum_t \left(\beta\, \mathrm{sg}\!\left[\log \frac{\pi_t}{\pi^{\text{ref}}_t}\right]
        - \left(P - \tfrac{1}{2}\right)\right) \log \pi_t

    The value means nothing; its gradient does. With answers of one token it is the exact policy gradient on average; with
    longer ones each token is charged its own log-ratio only, where the KL's gradient would charge it all later ones too.

    Args:
        logps, ref_logps: `(n, t)`, log-probabilities of the tokens of answers drawn from the policy; 0 at padding.
        win_rates: in [0, 1], how probably each answer beats one drawn from the mixture.
        beta: > 0, price of the KL.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, log-probabilities above 0, win rates outside [0, 1].

    Source: Munos et al. 2023 (arXiv 2312.00886), as TRL's NashMDTrainer computes it, token by token.

    >>> nash_md(torch.tensor([[-1.0, -1.0]]), torch.tensor([[-1.0, -1.0]]), torch.tensor([1.0]))    # -(1 - 1/2) * (-2)
    tensor(1.)
    """
    charged = beta * (logps - ref_logps).detach() - (win_rates[:, None] - 0.5)
    return reduce((charged * logps).sum(-1), reduction)
