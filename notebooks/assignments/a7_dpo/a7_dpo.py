# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # a7: Preferences, from tokens to a trained policy
#
# Somebody says of two answers which is better. How does a language model learn from that? In this assignment you take the whole
# way: from the logits of single tokens to the log-probability of an answer, from there to the losses DPO, IPO and KTO, and from a
# loss to a tiny transformer that has learned what to prefer.
#
# **You will be able to** score answers of unequal lengths without counting what is not theirs; derive what β means and see where it
# acts; tell by one glance at the first loss whether the reference is in order; take a training step by hand; and run one that
# works.
#
# **Before:** softmax and cross-entropy, next-token prediction, autograd, gradient descent. Assignment a1 helps; a2 to a6 are not
# needed. **Work:** about three hours (an estimate, not timed).
#
# | part | function | points |
# |---|---|---|
# | 1 the log-probability of an answer | `sequence_logps` | 9 |
# | 2 sum or mean, on your own pairs | `lengths` | 4 |
# | 3 what β is | `optimal_policy` | 3 |
# | 4 the DPO loss | `dpo` | 7 |
# | 5 implicit rewards | `implicit_rewards` | 3 |
# | 6 two other answers to the same question | `ipo`, `kto` | 11 |
# | 7 a training step by hand | `dpo_steps` | 5 |
# | 8 a tiny transformer learns to prefer | `train` | 8 |
#
# **Help.** Run the cell below each answer as often as you like. It says which parts are right, knows the usual mistakes by name,
# and has three hints for each, one after the other; reading them costs nothing. Your grade comes from the same checks at inputs
# that you have not seen. You may compare with `labkit.preferences` while you work; your answers themselves may not call it.

# %% nbgrader={"grade": false, "grade_id": "setup", "locked": true, "schema_version": 3, "solution": false, "task": false}
try:
    import labkit
except ModuleNotFoundError:
    raise SystemExit("labkit is missing here: install it as your course says, then restart the kernel") from None

# %% nbgrader={"grade": false, "grade_id": "given", "locked": true, "schema_version": 3, "solution": false, "task": false}
import torch
import torch.nn.functional as F

from labkit import grading

VARIANT = "practice"
given = grading.given("a7", VARIANT)

# %% [markdown]
# ## 1. The log-probability of an answer
#
# A language model reads tokens $y_1, y_2, \ldots, y_T$ and returns at each place $t$ one number for every word of its vocabulary,
# the logits $\ell_t$: its opinion about the token that comes *next*. The probability of an answer is the product of the
# probabilities of its tokens, each given all that came before, so its logarithm is a sum:
#
# $$\log \pi(\text{answer}) = \sum_{t \,:\, y_{t+1} \text{ belongs to the answer}} \log \operatorname{softmax}(\ell_t)_{y_{t+1}} .$$
#
# Three things make this harder than it looks. Rows of a batch have unequal lengths, so there is padding, on the right or on the
# left, and in front of each answer stands a prompt: neither counts. By a convention that PyTorch's `cross_entropy` shares, the label
# may be −100 wherever it does not count, and no word has that number. And logits often come in half precision, which is too coarse
# for what you do with them: later you will subtract sums over hundreds of tokens from each other.
#
# `mask` is True at the tokens of the answer, in the places of `labels`. The first place is never marked, since nothing predicts it.


# %% nbgrader={"grade": false, "grade_id": "sequence_logps", "locked": false, "schema_version": 3, "solution": true, "task": false}
def sequence_logps(logits, labels, mask, average=False):
    """The log-probability of each row's answer, (n,).

    logits (n, t, v), of any precision; half precision is computed in float32.
    labels (n, t), the token ids that went in. mask (n, t), True at the answer's tokens.
    With average=True, the mean over the answer's tokens instead of their sum.
    """
    ### BEGIN SOLUTION
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()
    counts = mask[:, 1:]
    words = labels[:, 1:].masked_fill(~counts, 0)
    logps = logits[:, :-1].log_softmax(-1).gather(-1, words[..., None])[..., 0] * counts
    return logps.sum(-1) / counts.sum(-1) if average else logps.sum(-1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a7_sequence_logps", "locked": true, "points": 9, "schema_version": 3, "solution": false, "task": false}
grading.check("a7.sequence_logps", sequence_logps)

# %% [markdown]
# *Think about it:* in bfloat16 the numbers next to 256 are 255 and 258. What does that mean for the margin of two answers whose
# log-probabilities are about −256 each?
#
# ## 2. Sum or mean?
#
# The sum is the logarithm of the answer's probability, and long answers have smaller ones. Some losses (SimPO is the best known)
# divide by the number of tokens. DPO does not: it is derived for the probability of whole answers. If all answers have the same
# length, nobody can tell the two apart: dividing both sides of a comparison by one number changes nothing. So a mean in the wrong
# place is a bug that waits for unequal lengths.
#
# `given` holds twelve pairs of yours, scored by some model token by token: `given.chosen_tokens` (12, 24) and
# `given.chosen_mask` (12, 24), and the same for `rejected`. The numbers are log-probabilities of single tokens, and outside the
# masks stand those of prompts and padding.
#
# Fill in three entries: `by_sum`, the share of pairs whose chosen answer has the larger summed log-probability; `by_mean`, the same
# for the mean over the answer's tokens; and `flipped`, a list of the pairs (counted from 0) on which the two disagree.

# %% nbgrader={"grade": false, "grade_id": "lengths", "locked": false, "schema_version": 3, "solution": true, "task": false}
lengths = {"by_sum": None, "by_mean": None, "flipped": None}
### BEGIN SOLUTION
chosen_sum = (given.chosen_tokens * given.chosen_mask).sum(-1)
rejected_sum = (given.rejected_tokens * given.rejected_mask).sum(-1)
sums = chosen_sum > rejected_sum
means = chosen_sum / given.chosen_mask.sum(-1) > rejected_sum / given.rejected_mask.sum(-1)
lengths = {
    "by_sum": sums.float().mean().item(),
    "by_mean": means.float().mean().item(),
    "flipped": (sums != means).nonzero().flatten().tolist(),
}
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "check_a7_lengths", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
grading.check("a7.lengths", lengths)

# %% tags=["demo"]
from labkit import show
from labkit.figures.theme import BLUE, GREEN, MUTED, ORANGE, VERMILION, canvas

sides = {s: (getattr(given, f"{s}_tokens"), getattr(given, f"{s}_mask")) for s in ("chosen", "rejected")}
total = {s: (x * m).sum(-1) for s, (x, m) in sides.items()}
count = {s: m.sum(-1) for s, (_, m) in sides.items()}
by_sum = total["chosen"] - total["rejected"]
by_mean = total["chosen"] / count["chosen"] - total["rejected"] / count["rejected"]
figure, ax = canvas(width=6.4, height=4.6)
longer = count["chosen"] > count["rejected"]
ax.scatter(by_sum[longer], by_mean[longer], color=BLUE, s=60, label="chosen is longer")
ax.scatter(by_sum[~longer], by_mean[~longer], color=ORANGE, marker="s", s=60, label="rejected is longer, or as long")
for k in lengths["flipped"] or []:
    ax.annotate(str(int(k)), (by_sum[int(k)], by_mean[int(k)]), textcoords="offset points", xytext=(7, 5), color=VERMILION)
ax.axhline(0, color=MUTED, linewidth=1)
ax.axvline(0, color=MUTED, linewidth=1)
ax.set(xlabel="chosen minus rejected, sums (nats)", ylabel="means (nats per token)", title="Which pairs change their order?")
ax.legend()
show(
    figure, alt="Your twelve pairs: difference of sums against difference of means. Numbered pairs lie in the two odd quarters."
)

# %% [markdown]
# The numbered pairs lie where the signs differ. Look at their markers: in every one of them, the mean prefers the *longer* of the
# two answers. *Question to think about:* must that be so? (All log-probabilities are negative. Write the two inequalities below each
# other.)
#
# ## 3. What β is
#
# Let $r(x, y)$ be a reward and $\rho$ the model you start from, the **reference**. You look for a policy with much reward that does
# not stray far:
#
# $$\max_\pi \;\; \mathbb{E}_{y \sim \pi}\big[r(x, y)\big] - \beta \, \mathrm{KL}\big(\pi(\cdot \mid x) \,\|\, \rho(\cdot \mid x)\big) .$$
#
# So β is a price, reward per nat of distance. The best policy is known in closed form (DPO's paper, Rafailov et al. 2023, arXiv
# 2305.18290, equation 4): it is the reference, tilted by the reward,
#
# $$\pi^*(y \mid x) = \frac{1}{Z(x)} \, \rho(y \mid x) \, e^{r(x, y) / \beta} .$$
#
# Write it for tables: $n$ prompts with $k$ possible answers each. Log-probabilities come in and log-probabilities go out, at small β
# too, where $e^{r/\beta}$ is too large for any computer.


# %% nbgrader={"grade": false, "grade_id": "optimal_policy", "locked": false, "schema_version": 3, "solution": true, "task": false}
def optimal_policy(ref_logps, rewards, beta):
    """Log-probabilities of the best policy, (n, k).

    ref_logps (n, k), the reference's log-probabilities of k answers to n prompts.
    rewards (n, k). beta > 0, a number.
    """
    ### BEGIN SOLUTION
    return (ref_logps + rewards / beta).log_softmax(-1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a7_optimal_policy", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
grading.check("a7.optimal_policy", optimal_policy)

# %% tags=["demo"]
prices = torch.logspace(-1.3, 1.7, 60)
start, reward = torch.tensor([[0.6, 0.3, 0.09, 0.01]]).log(), torch.tensor([[0.0, 0.5, -1.0, 1.0]])
paths = torch.cat([optimal_policy(start, reward, float(price)) for price in prices]).exp()
figure, ax = canvas()
for k, (color, style) in enumerate(zip((BLUE, ORANGE, MUTED, GREEN), ("-", "--", ":", "-."), strict=True)):
    ax.plot(prices, paths[:, k], style, color=color, label=f"reward {reward[0, k]:+.1f}, reference {start[0, k].exp():.2f}")
ax.set(xscale="log", ylim=(-0.02, 1.02), xlabel="β", ylabel="probability", title="The best policy, from greedy to faithful")
ax.legend()
show(figure, alt="Four answers. At small beta all probability is on the best reward, at large beta it is the reference's.")
back = 0.1 * (optimal_policy(start, reward, 0.1) - start)
print("β log π*/ρ:      ", [f"{x:.3f}" for x in back[0]])
print("minus the reward:", [f"{x:.3f}" for x in (back - reward)[0]])

# %% [markdown]
# The last line is the whole idea of DPO. Solve the formula for the reward:
#
# $$r(x, y) = \beta \log \frac{\pi^*(y \mid x)}{\rho(y \mid x)} + \beta \log Z(x) .$$
#
# $Z(x)$ is a sum over all possible answers, which nobody can compute for a language model. But it is *the same for both answers to
# one prompt*, and so it cancels when two of them are compared.
#
# ## 4. The DPO loss
#
# Suppose people prefer the chosen answer with probability $\sigma(r_w - r_l)$, the model of Bradley and Terry, where
# $\sigma(z) = 1/(1 + e^{-z})$. Put the reward of the last line into it, and what is left to maximise is a likelihood of labels. Its
# negative logarithm, averaged over pairs, is the loss (equation 7 of the same paper), with the log-ratios
# $h_w = \log \pi(y_w \mid x) - \log \rho(y_w \mid x)$ of the chosen and $h_l$ of the rejected answer:
#
# $$L = \frac{1}{n} \sum -\log \sigma\big(\beta \, (h_w - h_l)\big).$$
#
# With `label_smoothing` $= \varepsilon$ one believes that a share ε of the labels is the wrong way round (cDPO, a note by one of the
# authors): each pair then costs $-(1 - \varepsilon) \log \sigma(z) - \varepsilon \log \sigma(-z)$, where $z = \beta (h_w - h_l)$.
#
# Before you write it: what must the loss be when the policy is still its reference? You will see that number in the first line of
# every training log. And which steps would break at a margin of −800 nats?


# %% nbgrader={"grade": false, "grade_id": "dpo", "locked": false, "schema_version": 3, "solution": true, "task": false}
def dpo(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps, beta=0.1, label_smoothing=0.0):
    """The DPO loss, a mean over pairs: a number through which gradients flow to the policy.

    Four tensors (n,): summed log-probabilities of the answers under policy and reference.
    """
    ### BEGIN SOLUTION
    margin = (chosen_logps - ref_chosen_logps) - (rejected_logps - ref_rejected_logps)
    right, reversed_ = -F.logsigmoid(beta * margin), -F.logsigmoid(-beta * margin)
    return ((1 - label_smoothing) * right + label_smoothing * reversed_).mean()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a7_dpo", "locked": true, "points": 7, "schema_version": 3, "solution": false, "task": false}
grading.check("a7.dpo", dpo)

# %% [markdown]
# *Think about it:* what becomes of this loss if somebody passes the policy's own numbers as the reference's? Which number would
# their training log show, and would the policy learn anything? (Two answers are possible; it depends on whether a gradient flows
# through the second pair.)
#
# ## 5. Implicit rewards
#
# The reward that would make your policy the best one is, up to the constant, $\beta h$. So every policy brings a judge along with it,
# and the judge can be asked how often it agrees with the labels: for how many pairs has the chosen answer the higher reward? (Count
# ties as wrong.) This **reward accuracy** is not the share of pairs in which the chosen answer is the likelier one; that share is
# called ranking accuracy, and the two can be far apart.


# %% nbgrader={"grade": false, "grade_id": "implicit_rewards", "locked": false, "schema_version": 3, "solution": true, "task": false}
def implicit_rewards(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps, beta=0.1):
    """A dict: "chosen" (n,) and "rejected" (n,), implicit rewards; "accuracy", from 0 to 1."""
    ### BEGIN SOLUTION
    chosen = beta * (chosen_logps - ref_chosen_logps)
    rejected = beta * (rejected_logps - ref_rejected_logps)
    return {"chosen": chosen, "rejected": rejected, "accuracy": (chosen > rejected).float().mean()}
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a7_implicit_rewards", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
grading.check("a7.implicit_rewards", implicit_rewards)

# %% [markdown]
# *Think about it:* does the accuracy depend on β? And what is it before the first step?
#
# ## 6. Two other answers to the same question
#
# DPO's loss falls for ever: no margin is wide enough. **IPO** (Azar et al. 2023, arXiv 2310.12036, equation 17; their τ is our β)
# keeps the margin $h_w - h_l$ and asks it to have one certain width:
#
# $$L = \frac{1}{n} \sum \Big(h_w - h_l - \frac{1}{2 \beta}\Big)^2 .$$
#
# (Some libraries divide the log-ratios by the answers' lengths here. The paper does not, and neither do we.)


# %% nbgrader={"grade": false, "grade_id": "ipo", "locked": false, "schema_version": 3, "solution": true, "task": false}
def ipo(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps, beta=0.1):
    """The IPO loss, a mean over pairs. Arguments as in `dpo`."""
    ### BEGIN SOLUTION
    margin = (chosen_logps - ref_chosen_logps) - (rejected_logps - ref_rejected_logps)
    return (margin - 1 / (2 * beta)).square().mean()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a7_ipo", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
grading.check("a7.ipo", ipo)


# %% tags=["demo"]
def slope(loss, margin, beta):
    """How hard a loss pushes a pair of this margin: minus its derivative."""
    now, zero = torch.tensor([float(margin)], requires_grad=True), torch.zeros(1)
    loss(now, zero, zero, zero, beta).backward()
    return -now.grad.item()


margins = torch.linspace(-10, 20, 121)
figure, axes = canvas(2, width=9.6)
for ax, (name, loss) in zip(axes, {"DPO": dpo, "IPO": ipo}.items(), strict=True):
    for beta, color, style in ((0.05, BLUE, "-"), (0.1, ORANGE, "--"), (0.5, GREEN, ":")):
        push = torch.tensor([slope(loss, m, beta) for m in margins])
        ax.plot(margins, push / slope(loss, 0.0, beta), style, color=color, label=f"β = {beta}")
    ax.axhline(0, color=MUTED, linewidth=1)
    ax.set(title=name, xlabel="margin (nats)", ylabel="push, as a share of the first" if loss is dpo else "")
    ax.set(ylim=(-2.2, 3.2))
    ax.legend()
show(figure, alt="Push against margin for three betas. DPO's fades to 0; IPO's is a line that crosses 0 at 1 / (2 beta).")

# %% [markdown]
# Both start with a push and both let go, at a margin that β sets: the larger β, the sooner. Beyond it DPO goes on pushing a little,
# and IPO pulls back. *Question:* at the width that IPO asks for, what share of its first push has DPO left? (It is the same for
# every β. Why?)
#
# **KTO** (Ethayarajh et al. 2024, arXiv 2402.01306) needs no pairs. Every answer is desirable or undesirable by itself, and its
# log-ratio $h$ is compared with a point $z_0$ that stands for what *any* answer has gained: an estimate of
# $\mathrm{KL}(\pi \,\|\, \rho)$ from **mismatched** answers, each one to another prompt than its own,
#
# $$z_0 = \max\Big(0, \; \frac{1}{m} \sum_{j} \log \frac{\pi(y_j')}{\rho(y_j')}\Big), \qquad
# v = \begin{cases} \sigma\big(\beta (h - z_0)\big) & \text{desirable} \\ \sigma\big(\beta (z_0 - h)\big) & \text{undesirable,} \end{cases}
# \qquad L = \frac{1}{n} \sum w \, (1 - v) .$$
#
# The weight $w$ is `desirable_weight` or `undesirable_weight`; it makes up for the one kind being rarer than the other. No gradient
# flows through $z_0$: it is measured, and not to be optimised.


# %% nbgrader={"grade": false, "grade_id": "kto", "locked": false, "schema_version": 3, "solution": true, "task": false}
def kto(
    logps,
    ref_logps,
    desirable,
    mismatched_logps,
    ref_mismatched_logps,
    beta=0.1,
    desirable_weight=1.0,
    undesirable_weight=1.0,
):
    """The KTO loss, a mean over all n answers.

    logps, ref_logps (n,), summed log-probabilities under policy and reference.
    desirable (n,), True or False.
    mismatched_logps, ref_mismatched_logps (m,), the same of answers to other prompts.
    """
    ### BEGIN SOLUTION
    point = (mismatched_logps - ref_mismatched_logps).mean().clamp(min=0).detach()
    gain = beta * (logps - ref_logps - point)
    value = torch.where(desirable, torch.sigmoid(gain), torch.sigmoid(-gain))
    weight = torch.where(desirable, desirable_weight, undesirable_weight)
    return (weight * (1 - value)).mean()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a7_kto", "locked": true, "points": 7, "schema_version": 3, "solution": false, "task": false}
grading.check("a7.kto", kto)

# %% [markdown]
# *Think about it:* in DPO a wrong label that the model is sure about is pushed with full force. What does KTO do with an undesirable
# answer that lies 200 nats above $z_0$?
#
# ## 7. A training step by hand
#
# Take the smallest policy there is, a table: for each of $n$ prompts one row of $k$ logits, $\log \pi = \log \operatorname{softmax}$
# of the row. Row $i$ has one pair, `chosen[i]` and `rejected[i]`. The table that comes in is the policy's start and, from then on,
# the reference.
#
# Find the gradient of DPO's loss with respect to the logits on paper first. Two things will surprise you: how many entries of a row
# it touches, and what is left of the softmax. Then take `steps` steps of plain gradient descent, with your formula and not with
# autograd (which you may use beside your answer, to compare). Note the loss *before* each step.


# %% nbgrader={"grade": false, "grade_id": "dpo_steps", "locked": false, "schema_version": 3, "solution": true, "task": false}
def dpo_steps(logits, chosen, rejected, beta, lr, steps):
    """A dict: "logits" (n, k) after the last step, and "losses" (steps,), before each step.

    logits (n, k), the policy's start and the reference. chosen, rejected (n,), columns.
    The loss is a mean over prompts.
    """
    ### BEGIN SOLUTION
    start, policy, losses = logits.clone(), logits.clone(), []
    rows = torch.arange(len(logits))
    for _ in range(steps):
        gained = policy - start
        z = beta * (gained[rows, chosen] - gained[rows, rejected])
        losses.append(-F.logsigmoid(z).mean())
        push = lr * beta * torch.sigmoid(-z) / len(logits)
        policy[rows, chosen] += push
        policy[rows, rejected] -= push
    return {"logits": policy, "losses": torch.stack(losses)}
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a7_dpo_steps", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
grading.check("a7.dpo_steps", dpo_steps)

# %% tags=["demo"]
table = torch.tensor([[1.0, 0.5, 0.0, -1.0]])
run = dpo_steps(table, torch.tensor([0]), torch.tensor([1]), beta=0.5, lr=2.0, steps=40)
before, after = table.softmax(-1)[0], run["logits"].softmax(-1)[0]
print("losses:       ", [f"{float(x):.3f}" for x in run["losses"][:4]], "...", f"{float(run['losses'][-1]):.3f}")
for name, row in {"logits before": table[0], "logits after": run["logits"][0], "before": before, "after": after}.items():
    print(f"{name:14s}", [f"{float(x):.3f}" for x in row])

# %% [markdown]
# Answers that the pair does not mention keep their logits and still change their probabilities. *Question:* here the chosen answer
# became likelier. In a table of logits it always does. What is different in a transformer, where answers share weights? (Assignment
# a8 is about that.)
#
# ## 8. A tiny transformer learns to prefer
#
# Now everything together. `built(weights)` makes a transformer of two layers from a dict of weights; `model(tokens)` takes ids
# (n, t) and returns logits (n, t, v).

# %% nbgrader={"grade": false, "grade_id": "built", "locked": true, "schema_version": 3, "solution": false, "task": false}
from labkit.models.tiny_lm import TinyLM


def built(weights):
    """A tiny transformer with these weights; each call makes a new one."""
    model = TinyLM(len(weights["tokens.weight"]), len(weights["positions.weight"]))
    model.load_state_dict(weights)
    return model


# %% [markdown]
# Write the run. The policy starts at the weights `start`, and so does the reference, which then stays as it is. In each step: score
# all pairs with policy and reference, compute the DPO loss, note it, and take one step of **plain gradient descent**
# (`torch.optim.SGD` without anything else) on all of the policy's parameters. After the last step look once more at all pairs, and
# return these entries in a dict:
#
# | key | what |
# |---|---|
# | `losses` | (steps,), the loss before each step |
# | `chosen_logps`, `rejected_logps` | (n,), summed log-probabilities under the policy, after the last step |
# | `ref_chosen_logps`, `ref_rejected_logps` | (n,), the same under the reference, after the last step |
# | `margin` | the mean of $h_w - h_l$ over pairs, in nats, after the last step |
# | `accuracy` | the reward accuracy after the last step |
#
# The answers have unequal lengths, and the masks say where they are. There is no chance in it, so the judge, who runs the same at
# other weights, pairs, β and rates, knows the numbers that must come out.


# %% nbgrader={"grade": false, "grade_id": "train", "locked": false, "schema_version": 3, "solution": true, "task": false}
def train(start, chosen, chosen_mask, rejected, rejected_mask, beta, lr, steps):
    """A DPO run from the weights `start`, on pairs (n, t) with masks: a dict of the entries above."""
    ### BEGIN SOLUTION
    policy, reference, losses = built(start), built(start), []
    optimizer = torch.optim.SGD(policy.parameters(), lr=lr)

    def four():
        pairs = ((chosen, chosen_mask), (rejected, rejected_mask))
        with torch.no_grad():
            ref = [sequence_logps(reference(x), x, mask) for x, mask in pairs]
        return [sequence_logps(policy(x), x, mask) for x, mask in pairs] + ref

    for _ in range(steps):
        losses.append(dpo(*four(), beta))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    names = ("chosen_logps", "rejected_logps", "ref_chosen_logps", "ref_rejected_logps")
    found = dict(zip(names, (x.detach() for x in four()), strict=True))
    rewards = implicit_rewards(*found.values(), beta)
    margin = (rewards["chosen"] - rewards["rejected"]).mean() / beta
    return {**found, "losses": torch.stack(losses).detach(), "margin": margin, "accuracy": rewards["accuracy"]}
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a7_train", "locked": true, "points": 8, "schema_version": 3, "solution": false, "task": false}
grading.check("a7.train", train)

# %% [markdown]
# Your run on a model that knows something. The cell below teaches a fresh transformer a small language of 63 words (a prompt, then
# *Yes*, *No* or *Never*, then five words), and then prefers "*No* …" to "*Never* …" for four prompts. In one set of pairs the
# rejected answer ends in the same five words as the chosen one, in the other set in five other words. The chosen answers are the
# same.

# %% tags=["demo"]
from labkit.data.preferences import load
from labkit.lessons import scaled

corpus = load("grammar", part="corpus", n=scaled(12800, 1280)).chosen
torch.manual_seed(0)
model = TinyLM(63, corpus.shape[1])
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
for batch in corpus.split(64):
    guess = model(batch)[:, :-1]
    loss = F.cross_entropy(guess.flatten(0, 1), batch[:, 1:].flatten())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
language = {name: x.clone() for name, x in model.state_dict().items()}
print(f"cross-entropy of the last batch: {loss.item():.2f} nats for each token")

# %% tags=["demo"]
ends = scaled((1, 2, 4, 8, 16, 32), (1, 4))
figure, axes = canvas(2, width=9.6, sharey=True)
for ax, (ending, name) in zip(axes, {"same suffix": "the same", "other suffix": "other"}.items(), strict=True):
    data = load("grammar", part=ending)
    pairs = (data.chosen, data.chosen_mask, data.rejected, data.rejected_mask)
    runs = [train(language, *pairs, beta=given.beta, lr=0.05, steps=k) for k in ends]
    for side, color, style in (("chosen", BLUE, "-"), ("rejected", VERMILION, "--")):
        gains = [float((r[f"{side}_logps"] - r[f"ref_{side}_logps"]).mean()) for r in runs]
        ax.plot([0, *ends], [0, *gains], style, color=color, marker="o", label=side)
    ax.axhline(0, color=MUTED, linewidth=1)
    ax.set(xlabel="steps", title=f"Rejected ends in {name} words")
    print(f"{ending}: margin {runs[-1]['margin']:.1f}, accuracy {float(runs[-1]['accuracy']):.2f}")
axes[0].set(ylabel="log-ratio, mean over pairs (nats)")
axes[0].legend()
show(figure, alt="Log-ratios of chosen and rejected answers by step, for both sets of pairs: most of the margin is a fall.")

# %% [markdown]
# Both margins grow and every pair is won. Now look at what the margin is made of: the rejected answers fall by far more than the
# chosen ones rise, and when the two answers share all words but one, the chosen ones hardly gain anything. The loss cannot see the
# difference: it is a function of the margin alone.
#
# *Questions to think about:* Which number of a training log would have told you? And what do you expect with Adam in place of plain
# gradient descent? (Do not guess too long. Assignment a8 tries it.)
#
# **Before you hand in:** *Kernel → Restart Kernel and Run All Cells*, then *Validate*. Leave the cells with checks as they are;
# should one get lost, the grader puts it back.
