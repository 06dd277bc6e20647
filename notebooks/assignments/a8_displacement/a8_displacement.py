# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # a8: Likelihood displacement
#
# You prefer *No* to *Never*, you train, the margin grows, the loss falls. And *No* has become less likely. In this assignment you
# make that happen, keep the books of it step by step, see two popular predictions fail, and compare cures without fooling
# yourself.
#
# **You will be able to** say what a margin leaves open; find out who took the probability; account for a run with the
# optimiser's own updates; test a prediction against runs you have not seen; and compare losses at equal margin.
#
# **Before:** a7 (log-probabilities of answers, DPO), gradients in PyTorch; lesson 04 tells the story. Reference answers to a7
# are at hand. **Work:** about three hours (an estimate, not timed).
#
# | part | | points |
# |---|---|---|
# | 1 make it happen | `descend` | 5 |
# | 2 what a margin leaves open | `possible` | 3 |
# | 3 who took it | `fate` | 5 |
# | 4 account for it | `account` | 7 |
# | 5 could one have known? | `ches`, `foretold` | 4 + 5 |
# | 6 cures, at equal margin | `at_equal_margin` | 5 |
# | 7 your own runs | `mine` | 5 |
# | 8 half a page | read by a person | 11 |
#
# **Help.** Run the cell below each answer as often as you like. It says which parts are right, knows the usual mistakes by name,
# and has three hints for each; reading them costs nothing. Your grade comes from the same checks at inputs that you have not
# seen. You may compare with the library while you work; your answers themselves may not call its losses and meters.

# %% nbgrader={"grade": false, "grade_id": "setup", "locked": true, "schema_version": 3, "solution": false, "task": false}
try:
    import labkit
except ModuleNotFoundError:
    raise SystemExit("labkit is missing here: install it as your course says, then restart the kernel") from None

# %% nbgrader={"grade": false, "grade_id": "given", "locked": true, "schema_version": 3, "solution": false, "task": false}
import numpy as np
import torch

from labkit import grading
from labkit.data.preferences import load
from labkit.models.policies import SoftmaxPolicy
from labkit.models.tiny_lm import TinyLM

VARIANT = "practice"
given = grading.given("a8", VARIANT)

# %% [markdown]
# ## 1. Make it happen
#
# One prompt, three answers: *Yes*, *No*, *Never*. The prompt is a hidden state $h$, every answer has an output vector $W_a$, and
# the policy is a softmax over all answers: $\log \pi(a) = W_a h - \log \sum_b e^{W_b h}$. DPO sees one preference, $w$ over $l$,
# and a reference $\rho$, the policy as it was at the start:
#
# $$\text{loss} = -\log \sigma\Big(\beta \Big[\log \frac{\pi(w)}{\rho(w)} - \log \frac{\pi(l)}{\rho(l)}\Big]\Big)$$
#
# The square brackets hold the **margin**: what the pair has gained on each other since the start. Write plain gradient descent on
# this loss. `learns` says what moves: `"features"` only $h$, `"head"` only $W$, `"both"` both, each by its own gradient at the
# same place. Any number of answers, any pair.


# %% nbgrader={"grade": false, "grade_id": "descend", "locked": false, "schema_version": 3, "solution": true, "task": false}
def descend(state, head, chosen, rejected, learns, beta, lr, steps):
    """The log-probabilities of all answers, (steps + 1, answers): at the start, and after each step.

    state (d,), head (answers, d): where they start. chosen, rejected: numbers of two answers. lr: the length of a step.
    """
    ### BEGIN SOLUTION
    h, w = state.clone().requires_grad_(), head.clone().requires_grad_()
    moving = {"features": [h], "head": [w], "both": [h, w]}[learns]
    path = [(w @ h).log_softmax(-1).detach()]
    for _ in range(steps):
        gained = (w @ h).log_softmax(-1) - path[0]
        loss = -torch.nn.functional.logsigmoid(beta * (gained[chosen] - gained[rejected]))
        slopes = torch.autograd.grad(loss, moving)
        with torch.no_grad():
            for x, slope in zip(moving, slopes, strict=True):
                x -= lr * slope
        path.append((w @ h).log_softmax(-1).detach())
    return torch.stack(path)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a8_descend", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
grading.check("a8.descend", descend)

# %% [markdown]
# Now lesson 04's geometry: *No* and *Never* point the same way, *Never* further, *Yes* the other way. We prefer *No* to *Never*.
# Before you run the next cell, commit to a guess for each panel: does *No* rise or fall?

# %% tags=["demo"]
from labkit import show
from labkit.figures.theme import BLUE, GREEN, MUTED, ORANGE, PURPLE, VERMILION, canvas

YES, NO, NEVER = (given.openers[word] for word in ("Yes", "No", "Never"))
start = load("three_answers").factors
figure, axes = canvas(2, sharey=True)
for ax, learns in zip(axes, ("features", "head"), strict=True):
    path = descend(start["features"][-1], start["head"], NO, NEVER, learns, 0.1, 0.25, 400)
    won = (path[:, NO] - path[:, NEVER]) - (path[0, NO] - path[0, NEVER])
    for answer, name, color, style in ((YES, "Yes", VERMILION, "--"), (NO, "No", BLUE, "-"), (NEVER, "Never", MUTED, ":")):
        ax.plot(won, path[:, answer].exp(), style, color=color, label=name)
    ax.set(title=f"learns: {learns}", xlabel="margin won (nats)", ylim=(0, 1))
axes[0].set_ylabel("probability")
axes[1].legend()
show(figure, alt="Three probabilities against the margin. Left, only the features learn; right, only the softmax layer.")

# %% [markdown]
# Same start, same loss, same preference. *Questions to keep:* in the left panel both answers of the pair lose. Along which line
# does $h$ move, and who else lives there? Why can nothing of the kind happen on the right?
#
# ## 2. What a margin leaves open
#
# Suppose that somebody tells you only this: a policy with these log-probabilities was trained, and the pair has won a margin of
# so many nats. Between which bounds may the probability of the chosen answer stand now? Bounds that it can come as near to as
# you like count. Think of two answers first, then of three.


# %% nbgrader={"grade": false, "grade_id": "possible", "locked": false, "schema_version": 3, "solution": true, "task": false}
def possible(logps, chosen, rejected, margin):
    """The lowest and the highest probability of the chosen answer, two numbers.

    logps (answers,): log-probabilities at the start; these are all the answers there are. margin: nats won since then.
    """
    ### BEGIN SOLUTION
    highest = torch.sigmoid(logps[chosen] - logps[rejected] + margin).item()
    return (highest, highest) if len(logps) == 2 else (0.0, highest)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a8_possible", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
grading.check("a8.possible", possible)

# %% [markdown]
# ## 3. Who took it
#
# Probability is conserved: what the pair loses, others have. Who they are, only the whole softmax can tell. Here are logits of
# every word at one place, for some prompts, before and after training. Report
#
# - `"margin"`: the mean over prompts of the margin won,
# - `"chosen"`, `"rejected"`, `"rest"`: what the chosen word, the rejected one and all others together gained **in probability**,
#   means over prompts (what is lost is negative),
# - `"receivers"`: the numbers of the three words that gained most, the first one first; a word of the pair may be among them,
# - `"verdict"`: `"rose"` if the chosen word did not lose; else `"fell to the opposite"` if nobody gained more than the word
#   `opposite`; else `"fell"`.


# %% nbgrader={"grade": false, "grade_id": "fate", "locked": false, "schema_version": 3, "solution": true, "task": false}
def fate(before, after, chosen, rejected, opposite):
    """What became of a pair of words: a dict of margin, chosen, rejected, rest, receivers and verdict.

    before, after (prompts, words): logits. chosen, rejected, opposite: numbers of words.
    """
    ### BEGIN SOLUTION
    p, q = before.softmax(-1), after.softmax(-1)
    gained = (q - p).mean(0)
    moved = after.log_softmax(-1) - before.log_softmax(-1)
    top = gained.topk(3).indices.tolist()
    fell = "fell to the opposite" if top[0] == opposite else "fell"
    return {
        "margin": (moved[:, chosen] - moved[:, rejected]).mean().item(),
        "chosen": gained[chosen].item(),
        "rejected": gained[rejected].item(),
        "rest": -(gained[chosen] + gained[rejected]).item(),
        "receivers": top,
        "verdict": "rose" if gained[chosen] >= 0 else fell,
    }
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a8_fate", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
grading.check("a8.fate", fate)

# %% tags=["demo"]
for learns in ("features", "head"):
    path = descend(start["features"][-1], start["head"], NO, NEVER, learns, 0.1, 0.25, 400)
    print(f"{learns:9}", fate(path[:1], path[-1:], NO, NEVER, YES))

# %% [markdown]
# A fall is not harm by itself. If paraphrases of the chosen answer gained, little was lost; if its opposite gained, much. That
# is why the verdict asks who gained, and not only who fell.
#
# ## 4. Account for it
#
# From here on the policy is a transformer with two layers and 30,000 weights. It has learned a language of 63 words: a prompt, an
# opener, five slots. You hold four pairs, one for each harmful prompt: *No* with an ending, preferred to *Never* with the **same**
# ending.
#
# A step of the optimiser moves the weights by $\Delta\theta_t$. To first order the chosen answers move by
#
# $$\langle g^+_t, \Delta\theta_t \rangle, \qquad g^+_t = \nabla_\theta\, \tfrac{1}{n} \textstyle\sum_i \log \pi(y^+_i)
# \ \text{ at } \theta_t .$$
#
# $\Delta\theta_t$ is what the optimiser **really did**, read off the weights; only for plain gradient descent is it the gradient
# times a learning rate. Added up over the run, this is the account of the chosen answers, and it can be held against what became
# of them.

# %% nbgrader={"grade": false, "grade_id": "policies", "locked": true, "schema_version": 3, "solution": false, "task": false}
sequence_logps = grading.reference("a7.sequence_logps")  # (logits, tokens, mask) -> one number for each answer
dpo = grading.reference("a7.dpo")  # (chosen, rejected, ref_chosen, ref_rejected, beta) -> the mean loss


def policy_of(weights):
    """A fresh policy with these weights, in float64: tokens (n, t) -> logits (n, t, words)."""
    if "features" in weights:  # three answers, as in part 1
        return SoftmaxPolicy(weights["features"], weights["head"])
    (words, d), context = weights["tokens.weight"].shape, len(weights["positions.weight"])
    blocks = {name.split(".")[1] for name in weights if name.startswith("blocks.")}
    policy = TinyLM(words, context, d, layers=len(blocks)).double()
    policy.load_state_dict(weights)
    return policy


for side in ("chosen", "rejected"):
    print(side, *(given.words[token] for token in given.pairs[side][0]))

# %% [markdown]
# Train the policy, on all pairs at every step, with `torch.optim.SGD`, `Adam` or `RMSprop` at their defaults and this learning
# rate. The loss is DPO's, and for later use a second term: $\text{dpo} - \eta \cdot \tfrac1n \sum_i \log \pi(y^+_i)$, which rewards
# the chosen answers in absolute terms. With $\eta = 0$ it is plain DPO. The reference is the policy at its start. Put the trained
# weights (`policy.state_dict()`) beside the numbers, under the key `"weights"`, if you like: no check looks at them, and part 7
# can then tell who received.


# %% nbgrader={"grade": false, "grade_id": "account", "locked": false, "schema_version": 3, "solution": true, "task": false}
def account(weights, pairs, optimizer, lr, steps, beta, eta):
    """A dict of "margin", "chosen" and "account", each (steps + 1,): at the start, where all are 0, and after each step.

    weights: for `policy_of`. pairs: "chosen", "chosen_mask", "rejected", "rejected_mask", tokens and masks (n, t).
    optimizer: "sgd", "adam" or "rmsprop". margin: mean over pairs of what the chosen answer gained on the rejected one.
    chosen: mean over pairs of what the chosen answer gained. account: its first-order account, added up.
    """
    ### BEGIN SOLUTION
    policy = policy_of(weights)
    theta = list(policy.parameters())
    kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "rmsprop": torch.optim.RMSprop}[optimizer]
    stepper, path = kind(theta, lr=lr), [(0.0, 0.0, 0.0)]
    now = both(policy, pairs)
    start = [logps.detach() for logps in now]
    for _ in range(steps):
        loss = dpo(*now, *start, beta) - eta * now[0].mean()
        slopes = torch.autograd.grad(now[0].mean(), theta, retain_graph=True)
        before = [p.detach().clone() for p in theta]
        stepper.zero_grad()
        loss.backward()
        stepper.step()
        first_order = sum(((p.detach() - b) * g).sum().item() for p, b, g in zip(theta, before, slopes, strict=True))
        now = both(policy, pairs)
        up, down = ((logps.detach() - ref).mean().item() for logps, ref in zip(now, start, strict=True))
        path.append((up - down, up, path[-1][2] + first_order))
    margin, chosen, added = torch.tensor(path, dtype=torch.float64).T
    return {"margin": margin, "chosen": chosen, "account": added, "weights": policy.state_dict()}


def both(policy, pairs):
    """The log-probabilities of the chosen answers, and of the rejected ones."""
    sides = [(pairs[side], pairs[f"{side}_mask"]) for side in ("chosen", "rejected")]
    return [sequence_logps(policy(tokens), tokens, mask) for tokens, mask in sides]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a8_account", "locked": true, "points": 7, "schema_version": 3, "solution": false, "task": false}
grading.check("a8.account", account)

# %% tags=["demo"]
from labkit.lessons import scaled

figure, axes = canvas(2)
for ax, optimizer in zip(axes, ("sgd", "adam"), strict=True):
    steps = scaled(given.steps[optimizer], 5)
    run = account(given.weights, given.pairs, optimizer, given.rates[optimizer], steps, given.beta, 0.0)
    shown = run["margin"] <= 5
    ax.axhline(0, color=MUTED, linewidth=0.8)
    ax.plot(run["margin"][shown], run["chosen"][shown], color=BLUE, label="what became of them")
    ax.plot(run["margin"][shown], run["account"][shown], ":", color=ORANGE, label="the account")
    ax.set(title=optimizer, xlabel="margin won (nats)")
axes[0].set_ylabel("chosen answers (nats)")
axes[1].legend()
show(figure, alt="The chosen answers' change and its account against the margin, for two optimisers.")

# %% [markdown]
# Same pairs, same loss, same margins; only the optimiser differs. *Questions:* what would the account of Adam's run look like if
# you put the gradient times the learning rate in place of the update? And if you took $g^+$ at the start only?
#
# ## 5. Could one have known?
#
# Two numbers are quoted as predictions. The **ratio** $\langle g^+, g^- \rangle / \lVert g^+ \rVert^2$ compares the gradients of
# the mean chosen and the mean rejected log-probability before training. Plain gradient descent moves along $g^+ - g^-$ at
# first, so above 1 an infinitesimal step lowers the chosen answers. **CHES** compares hidden states. With
# $S^\pm = \sum_k h^\pm_k$ over the marked states of the chosen and of the rejected answer,
#
# $$\text{CHES} = \langle S^+, S^- \rangle - \lVert S^+ \rVert^2 ,$$
#
# and the higher it is, the more displacement is to be feared. Raw sums grow with the length, so for pairs of different lengths
# each sum is divided by its own number of marked states (`normalized`). States may come in half precision; the score must not
# overflow for that.


# %% nbgrader={"grade": false, "grade_id": "ches", "locked": false, "schema_version": 3, "solution": true, "task": false}
def ches(chosen_hidden, rejected_hidden, chosen_mask, rejected_mask, normalized):
    """CHES of each pair, (n,).

    chosen_hidden (n, t, d), rejected_hidden (n, s, d): hidden states. chosen_mask (n, t), rejected_mask (n, s): which count.
    """
    ### BEGIN SOLUTION
    sums = []
    for hidden, mask in ((chosen_hidden, chosen_mask), (rejected_hidden, rejected_mask)):
        total = (hidden.double() * mask[:, :, None]).sum(1)
        sums.append(total / mask.sum(1, keepdim=True) if normalized else total)
    return (sums[0] * (sums[1] - sums[0])).sum(-1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a8_ches", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
grading.check("a8.ches", ches)

# %% [markdown]
# `given.runs` holds runs of ours that no lesson shows: the transformer, pairs with the same ending or with another one, all of it
# learning or a part, two optimisers, each stopped once its margin had passed 4. Of each run you have the ratio and CHES (normalised, mean over
# pairs), which were known before, and what became of it: the margin, and the change of the chosen answers. Find, **for each
# optimiser by itself**,
#
# - `"right"`: the share of runs in which "the ratio is above 1" and "the chosen answers fell" are both true or both false,
# - `"baseline"`: the share that somebody gets right who always foretells the fate that is more common among these runs,
# - `"warned"`: of the runs whose chosen answers fell, the share with a ratio above 1 (`None` if none fell),
# - `"holds"`: whether `"right"` is at least `demanded`,
# - `"ratio rank"`, `"ches rank"`: Spearman's rank correlation of each score with the change (equal scores share the mean of their
#   places; `scipy.stats.spearmanr` does that).


# %% tags=["demo"]
print(len(given.runs), "runs, such as", given.runs[0])


# %% nbgrader={"grade": false, "grade_id": "foretold", "locked": false, "schema_version": 3, "solution": true, "task": false}
def foretold(runs, demanded):
    """For each optimiser's name a dict of right, baseline, warned, holds, ratio rank and ches rank.

    runs: a list of dicts with "optimizer" (a name), "ratio", "ches", "margin", "change" (numbers). demanded: a share.
    """
    ### BEGIN SOLUTION
    from scipy.stats import spearmanr

    found = {}
    for name in {run["optimizer"] for run in runs}:
        mine = [run for run in runs if run["optimizer"] == name]
        ratio, ches_, change = (np.array([run[key] for run in mine]) for key in ("ratio", "ches", "change"))
        fell, called = change < 0, ratio > 1
        right = (fell == called).mean()
        found[name] = {"right": right, "baseline": max(fell.mean(), 1 - fell.mean()), "holds": right >= demanded}
        found[name]["warned"] = called[fell].mean() if fell.any() else None
        found[name]["ratio rank"] = spearmanr(ratio, change).statistic
        found[name]["ches rank"] = spearmanr(ches_, change).statistic
    return found
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a8_foretold", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
grading.check("a8.foretold", foretold)

# %% tags=["demo"]
for name, row in foretold(given.runs, 0.9).items():
    print(name, {key: value if value is None else round(float(value), 2) for key, value in row.items()})

# %% [markdown]
# Is a ratio that ranks the runs well a verdict? Read `"right"` beside `"baseline"`, and `"warned"` beside both.
#
# And CHES? There is a place where it ranks well. In the next cell your `ches` scores exact policies with answers of two tokens,
# "a c" preferred to "b c", of which only the softmax layer learns. Look at three numbers: after equal steps, at equal margin,
# and then the ones above.

# %% tags=["demo"]
from scipy.stats import spearmanr

from labkit.recipes import likelihood_displacement as toy
from labkit.training.flow import flow

states = toy.two_tokens()  # (problems, 3, 3): after the prompt, after "a", after "b"
everywhere = torch.ones(len(states), 2, dtype=torch.bool)
alike = ches(states[:, :2], states[:, [0, 2]], everywhere, everywhere, False)
path = flow(states, torch.zeros_like(states), toy.two_token_dpo, train="head")
chosen, rejected = toy.two_token_scores(path)
change, lead = chosen - chosen[0], chosen - rejected
won = lead[-1] >= 1
level = [np.interp(1, lead[:, i], change[:, i]) for i in won.nonzero()[:, 0]]
print(f"rank correlation with the change, equal steps: {spearmanr(alike, change[-1]).statistic:+.2f}")
print(f"rank correlation with the change, equal margin: {spearmanr(alike[won], level).statistic:+.2f}")

# %% [markdown]
# ## 6. Cures, at equal margin
#
# Many losses promise to protect the chosen answer. Compared after equal *steps* the slowest one looks best: what has won nothing
# has displaced nothing. So compare at equal **margin**. `courses` holds, for each loss, some runs; run number $k$ of every loss
# started from the same policy. For each loss report
#
# - `"change"`: the mean over its runs of the chosen answers' change at the place where the run **first** wins `margin`, between
#   the two steps around it in a straight line; `None` if one of its runs never wins it,
# - `"cure"`: whether in **every** run that change is more than `least` nats above that of DPO's run from the same start (`False`
#   where there is no change to compare).


# %% nbgrader={"grade": false, "grade_id": "at_equal_margin", "locked": false, "schema_version": 3, "solution": true, "task": false}
def at_equal_margin(courses, margin, least):
    """For each loss a dict of "change" (a number, or None) and "cure" (True or False).

    courses: for each loss, one of them "DPO", a list of runs; a run is a dict of "margin" and "chosen", (steps + 1,) each.
    """
    ### BEGIN SOLUTION
    found = {}
    for name, runs in courses.items():
        found[name] = []
        for run in runs:
            lead, fate_ = run["margin"].tolist(), run["chosen"].tolist()
            after = next((k for k, won in enumerate(lead) if won >= margin), None)
            if after is not None:
                share = (margin - lead[after - 1]) / (lead[after] - lead[after - 1])
            found[name].append(None if after is None else (1 - share) * fate_[after - 1] + share * fate_[after])
    answer = {}
    for name, changes in found.items():
        pairs = list(zip(changes, found["DPO"], strict=True))
        helps = all(None not in pair and pair[0] - pair[1] > least for pair in pairs)
        answer[name] = {"change": None if None in changes else sum(changes) / len(changes), "cure": helps}
    return answer
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a8_at_equal_margin", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
grading.check("a8.at_equal_margin", at_equal_margin)

# %% [markdown]
# `given.courses` are runs of ours under Adam, on pairs with the same ending, each loss at a learning rate of its own, as papers
# set them.

# %% tags=["demo"]
drawn = zip(given.courses.items(), (MUTED, BLUE, GREEN, ORANGE, PURPLE), ("-", "--", ":", "-", "-."), strict=True)
figure, axes = canvas(2, sharey=True)
for (name, runs), color, style in drawn:
    for k, run in enumerate(runs):
        axes[0].plot(run["chosen"][:41], style, color=color, linewidth=1.2)
        axes[1].plot(run["margin"], run["chosen"], style, color=color, linewidth=1.2, label=name if k == 0 else None)
axes[0].set(title="at equal steps", xlabel="step", ylabel="chosen answers (nats)", ylim=(-1, 1))
axes[1].set(title="at equal margin", xlabel="margin won (nats)")
axes[1].legend()
show(figure, alt="Change of the chosen answers for five losses: they part by steps; by margin three of them coincide.")
for margin in (1, 2, 4):
    print(margin, {name: round(row["change"], 2) for name, row in at_equal_margin(given.courses, margin, 0.2).items()})

# %% [markdown]
# Which losses differ on the left and not on the right? What do the others reward that these do not?
#
# ## 7. Your own runs
#
# Three runs of **your** policy on **your** pairs, each with `given.beta`: Adam for `given.steps["adam"]` steps at
# `given.rates["adam"]`; plain gradient descent for `given.steps["sgd"]` steps at `given.rates["sgd"]`; and the cure, Adam again at
# the same rate, with `given.eta` for the absolute term, for `given.steps["cured"]` steps. Report the chosen answers' change where
# each run first wins `given.margin`, between two steps as in part 6, as `"adam"`, `"sgd"` and `"cured"`. Report as `"ratio"` the ratio of
# part 5 for your four pairs before training. Three digits behind the point are enough.

# %% nbgrader={"grade": false, "grade_id": "mine", "locked": false, "schema_version": 3, "solution": true, "task": false}
mine = {"adam": 0.0, "sgd": 0.0, "cured": 0.0, "ratio": 0.0}
### BEGIN SOLUTION
plans = {"adam": ("adam", 0.0), "sgd": ("sgd", 0.0), "cured": ("adam", given.eta)}
for name, (optimizer, eta) in plans.items():
    how = (optimizer, given.rates[optimizer], given.steps[name], given.beta, eta)
    run = account(given.weights, given.pairs, *how)
    mine[name] = at_equal_margin({"DPO": [run]}, given.margin, 0.2)["DPO"]["change"]
policy = policy_of(given.weights)
up, down = (
    torch.cat([g.flatten() for g in torch.autograd.grad(logps.mean(), policy.parameters())])
    for logps in both(policy, given.pairs)
)
mine["ratio"] = (up @ down / (up @ up)).item()
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "check_a8_mine", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
grading.check("a8.mine", mine)

# %% [markdown]
# Who received, at the opener, where your margin was won? (If your `account` returns the weights.)

# %% tags=["demo"]
prompts, eta = given.pairs["chosen"][:, :1], {"adam": 0.0, "cured": given.eta}
for name in scaled(("adam", "cured"), ("adam",)):
    how = (given.weights, given.pairs, "adam", given.rates["adam"])
    won = account(*how, given.steps[name], given.beta, eta[name])["margin"]
    run = account(*how, int((torch.as_tensor(won) >= given.margin).nonzero()[0]), given.beta, eta[name])
    if "weights" in run:
        before, after = (policy_of(weights)(prompts)[:, 0].detach() for weights in (given.weights, run["weights"]))
        for when, logits in (("before", before), ("after", after)):
            print(
                f"{name:7}{when:7}", {word: round(float(logits.softmax(-1).mean(0)[k]), 3) for word, k in given.openers.items()}
            )
        print(f"{name:7}{'':7}", fate(before, after, NO, NEVER, YES))

# %% [markdown]
# *A question for the next part.* In the mean over prompts the opener *No* had a probability above 0.8 from the beginning. How
# many nats can it have gained at most? Compare with `mine["cured"]`: which words must have gained the rest, and is that what
# you wanted?
#
# ## 8. Half a page
#
# A colleague writes: *"Our reward accuracy is 1 and the margin is wide, so the model says the chosen answers more often. The
# gradient ratio was below 1 beforehand, so that was to be expected. And after the same number of steps IPO had displaced less than
# DPO, so we take IPO."* Answer in half a page, at most 350 words, with numbers that **your** code computed. It is read for:
#
# - **evidence** (3): what happened to the chosen answers of your run, at which margin, and who received the probability or could
#   have; every number comes from a cell above,
# - **mechanism** (2): why a margin cannot tell, what two answers forbid and a third one allows,
# - **prediction** (2): what the ratio is a statement about, how often it was right for each optimiser and beside which baseline,
#   and what you would log instead,
# - **cure** (2): a comparison at equal margin, what kind of term makes the difference, and who pays for it,
# - **limits** (2): something that your evidence cannot show, and a result that would change your mind.

# %% [markdown] nbgrader={"grade": true, "grade_id": "essay", "locked": false, "points": 11, "schema_version": 3, "solution": true, "task": false}
# *Your half page:*
#
# ### BEGIN SOLUTION
# (With the numbers of the variant "practice".) Your margin is wide and your accuracy 1: both are about a difference. My four
# pairs won a margin of 2.64 nats under Adam, and the chosen answers *lost* 0.27 nats. At the opener *No* went from 0.85 to 0.72
# and *Yes*, its opposite, from 0.14 to 0.28.
#
# Nothing in the loss forbids it. With two answers the margin fixes both probabilities; with a third one it fixes only how the
# pair divides what it keeps, and that may be anything down to nothing. *Never* lost faster than *No*, so the loss was content.
#
# Your ratio is about an infinitesimal step of plain gradient descent. Mine was 0.89, and plain gradient descent raised the chosen
# answers (+0.11), but Adam lowered them. Over sixty held-back runs "above 1" was right in 97 % under gradient descent (always
# saying "it rises": 87 %), in 60 % under Adam (baseline 50 %), and it had warned of one in five of the falls there. It ranks runs
# well (rank correlation -0.78), but its border is not Adam's. I would log the chosen log-probabilities of a fixed set of pairs,
# the account with the real updates, and the whole softmax where the answers open.
#
# After equal steps IPO had won less margin, and so had displaced less. At margin 4 DPO, IPO and SimPO lost the same: 0.53, 0.53
# and 0.55 nats. What helps is a term that rewards the chosen answer itself: in my run +2.83 nats at the same margin. But No could
# gain 0.17 nats at most, so nearly all of that is the endings of four sentences, learned by heart.
#
# All this is one small transformer, four pairs and a toy language; how large the effect is elsewhere I cannot say. If the chosen
# answers of a fixed probe set rose in your run, at the margin you report, I would take it back.
# ### END SOLUTION

# %% [markdown]
# **Before you hand in:** *Kernel → Restart Kernel and Run All Cells*, then *Validate*. Leave the cells with checks as they are;
# should one get lost, the grader puts it back.
