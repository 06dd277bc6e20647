# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # a5: Negatives
#
# A contrastive loss learns from what things are *not*. So it matters who the negatives are: some are of the anchor's own
# class, some fall silent when the positive has been found, some deserve more weight than others, some come out of a queue or
# from another machine. In this assignment you measure what false negatives cost, write four losses that treat negatives
# differently, follow a gradient across machines, and find out what is wrong with three losses that you can only call.
#
# **You will be able to** count false negatives and say what part of the push they take; derive the factor by which InfoNCE
# silences an anchor, and write the loss without it; correct a denominator for false negatives, with the floor that keeps it
# positive; weigh hard negatives and decide where the gradient goes; say who may be in a queue, and what a gather without
# gradient loses; and write a test that tells one fault from another.
#
# **Before:** a1 (a similarity table, a stable NT-Xent). Lesson 02a shows some of this under a microscope. **Work:** about two
# and a half hours (an estimate, not timed).
#
# | part | answer | points |
# |---|---|---|
# | 1 false negatives | `false_negatives` | 5 |
# | 2 the factor that silences an anchor | `log_coupling` | 3 |
# | 2 the loss without it | `dcl` | 4 |
# | 3 debiasing, down to a floor | `debiased` | 6 |
# | 4 hard negatives | `hard_negative` | 5 |
# | 5 your own batch | `my_batch` | 4 |
# | 6 old negatives | `queue_step` | 5 |
# | 7 negatives of other machines | `gathered` | 5 |
# | 8 three boxes: name the faults | `faults` | 3 |
# | 8 a test for each | `probe` | 6 |
# | 8 the loss that was meant | `caption_loss` | 6 |
#
# **Help.** Run the cell below each answer as often as you like. It says which parts are right, knows the usual mistakes by
# name, and has three hints for each, one after the other; reading them costs nothing. Your grade comes from the same checks
# at inputs that you have not seen. You may compare with `labkit.losses` while you work; your answers themselves may not call
# it.

# %% nbgrader={"grade": false, "grade_id": "setup", "locked": true, "schema_version": 3, "solution": false, "task": false}
try:
    import labkit
except ModuleNotFoundError:
    raise SystemExit("labkit is missing here: install it as your course says, then restart the kernel") from None

# %% nbgrader={"grade": false, "grade_id": "given", "locked": true, "schema_version": 3, "solution": false, "task": false}
import math

import torch
import torch.nn.functional as F

from labkit import grading

VARIANT = "practice"
given = grading.given("a5", VARIANT)

# %% [markdown]
# ## 1. False negatives
#
# A batch has $n$ instances in two views: `z1` and `z2`, row by row of the same instances, each of some class in `labels`. As
# in a1, each of the $2n$ rows is an anchor, its other view is its **positive**, and the remaining $N = 2n - 2$ rows are its
# **negatives**. The loss does not see the labels, and so some of the negatives are **false**: they have the anchor's class.
#
# How many is a matter of counting. What they cost is not: the gradient hands the push out among the negatives as a softmax,
#
# $$r_{ik} = \frac{e^{s_{ik}/\tau}}{\sum_{l \in N(i)} e^{s_{il}/\tau}}, \qquad s_{ik} = \text{the cosine of rows } i \text{ and } k,$$
#
# and it hands most of it to the near ones. A third number says what they do to the denominator. If $T(i)$ are the true
# negatives of $i$, then $N$ of *that* kind would add up to $\frac{N}{|T(i)|} \sum_{k \in T(i)} e^{s_{ik}/\tau}$. The **bias**
# is by how much the logarithm of the sum over all negatives exceeds the logarithm of that.
#
# **Predict,** before you compute: your batch is drawn such that classes form clusters, and about a quarter of the negatives
# are false. Which part of the push do they take?


# %% nbgrader={"grade": false, "grade_id": "false_negatives", "locked": false, "schema_version": 3, "solution": true, "task": false}
def false_negatives(z1, z2, labels, temperature):
    """Three means over the 2n anchors, as a dict of numbers: "share" of the negatives that are false, "push" that falls on
    them, and "bias" of the denominator. z1, z2: (n, d), any length; labels: (n,). Every anchor has a true negative."""
    ### BEGIN SOLUTION
    z = F.normalize(torch.cat([z1, z2]), dim=1)
    classes = labels.repeat(2)
    negative = ~torch.eye(len(z1), dtype=torch.bool).repeat(2, 2)
    false = negative & (classes[:, None] == classes)
    logits = (z @ z.T / temperature).masked_fill(~negative, -torch.inf)
    every = logits.logsumexp(1)
    rest = logits.masked_fill(false, -torch.inf).logsumexp(1)
    count = negative.sum(1)
    scaled = rest + (count / (count - false.sum(1))).log()
    return {
        "share": (false.sum(1) / count).mean(),
        "push": (logits.softmax(1) * false).sum(1).mean(),
        "bias": (every - scaled).mean(),
    }
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a5_false_negatives", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
grading.check("a5.false_negatives", false_negatives)

# %% tags=["demo"]
from labkit import show
from labkit.figures.theme import BLUE, MUTED, ORANGE, VERMILION, canvas

temperatures = torch.logspace(-1.5, 1, 40).tolist()
counts = [false_negatives(given.z1, given.z2, given.labels, t) for t in temperatures]
figure, ax = canvas(width=7.6, height=4.2)
ax.plot(temperatures, [float(c["push"]) for c in counts], color=VERMILION, label="of the push")
ax.plot(temperatures, [float(c["share"]) for c in counts], "--", color=BLUE, label="of the negatives")
ax.axvline(given.temperature, color=MUTED, linewidth=1)
ax.text(given.temperature * 1.06, 0.03, "your temperature", color=MUTED)
ax.set(
    xscale="log", ylim=(0, 1.03), xlabel="temperature", ylabel="part that is false", title="False negatives, counted and felt"
)
ax.yaxis.set_major_formatter(lambda y, _: f"{y:.0%}")
ax.legend(loc="center right")
show(
    figure,
    alt="The share of false negatives is a flat line. The push on them lies far above it at low temperatures and comes down to it.",
)

# %% [markdown]
# The better a model is at bringing classes together, the more of its push goes into taking them apart again; a high
# temperature softens that. *Question:* at which temperature would the two lines meet, and what would the loss still learn
# there?
#
# ## 2. The factor that silences an anchor
#
# Take the loss of one anchor, $\ell_i = -s_i^+/\tau + \log\big(e^{s_i^+/\tau} + \sum_{k \in N(i)} e^{s_{ik}/\tau}\big)$, and
# differentiate with respect to the cosines. Both derivatives have a factor $q_i$ in common:
#
# $$\frac{\partial \ell_i}{\partial s_i^+} = -\frac{q_i}{\tau}, \qquad \frac{\partial \ell_i}{\partial s_{ik}} = \frac{q_i}{\tau}\, r_{ik} .$$
#
# Work out what $q_i$ is. An anchor that has found its positive gets a $q_i$ near zero, and then its negatives, however wrong
# they lie, feel nothing: positive and negatives are *coupled*. (Yeh et al. 2021, arXiv 2110.06848, call $q$ the
# negative-positive-coupling multiplier.) Factors go from 1 down to $10^{-15}$ and below, so give logarithms, and make sure
# that no factor rounds to zero in float32.


# %% nbgrader={"grade": false, "grade_id": "log_coupling", "locked": false, "schema_version": 3, "solution": true, "task": false}
def log_coupling(z1, z2, temperature):
    """The logarithm of each anchor's factor, (2n,), first the rows of z1, then those of z2."""
    ### BEGIN SOLUTION
    z = F.normalize(torch.cat([z1, z2]), dim=1)
    logits = (z @ z.T / temperature).masked_fill(torch.eye(len(z), dtype=torch.bool), -torch.inf)
    negatives = logits.masked_fill(torch.eye(len(z1), dtype=torch.bool).repeat(2, 2), -torch.inf)
    return negatives.logsumexp(1) - logits.logsumexp(1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a5_log_coupling", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
grading.check("a5.log_coupling", log_coupling)

# %% tags=["demo"]
generator = torch.Generator().manual_seed(0)
one = F.normalize(torch.randn(128, 64, generator=generator), dim=1)
two = F.normalize(torch.randn(128, 64, generator=generator), dim=1)
mixes = [F.normalize(a * one + (1 - a) * two, dim=1) for a in torch.linspace(0, 1, 40)]
figure, ax = canvas(width=7.6, height=4.2)
for t, color in ((0.2, BLUE), (0.1, ORANGE), (0.05, VERMILION)):
    factors = [float(log_coupling(one, mix, t).exp().mean()) for mix in mixes]
    ax.plot([float((one * mix).sum(1).mean()) for mix in mixes], factors, color=color, label=f"temperature {t}")
ax.set(yscale="log", xlabel="mean cosine of the positives", ylabel="mean factor", title="What is left of the gradient")
ax.legend(loc="lower left")
show(
    figure,
    alt="The factor against the cosine of the positives: near one while they are unlike; at low temperatures it falls off.",
)

# %% [markdown]
# These are 128 random directions in two views, from unrelated to equal. At temperature 0.2 most of the gradient stays: 254
# negatives outweigh any one positive. At 0.05 the factor falls by orders of magnitude as the views agree, and the negatives
# are let go. *Question:* what does a larger batch do to the factor, and what does that say about training with small ones?
#
# **DCL**, the decoupled contrastive loss, has the same pull and the same shares of the push, without the factor. Find the
# loss whose derivatives are those above with $q_i = 1$. It is a small change, and there are two wrong places for it.


# %% nbgrader={"grade": false, "grade_id": "dcl", "locked": false, "schema_version": 3, "solution": true, "task": false}
def dcl(z1, z2, temperature):
    """The decoupled contrastive loss, its mean over all 2n anchors: a number through which gradients flow."""
    ### BEGIN SOLUTION
    z = F.normalize(torch.cat([z1, z2]), dim=1)
    logits = z @ z.T / temperature
    positive = logits.diagonal(len(z1)).repeat(2)
    negatives = logits.masked_fill(torch.eye(len(z1), dtype=torch.bool).repeat(2, 2), -torch.inf)
    return (negatives.logsumexp(1) - positive).mean()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a5_dcl", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
grading.check("a5.dcl", dcl)

# %% [markdown]
# What DCL says of a collapsed batch is $\log(2n - 2)$, and it has no zero to stop at: it goes below zero and on.
#
# ## 3. Debiasing
#
# Nobody knows which negatives are false. But suppose that a share $\tau^+$ of them is, on average. Then the sum over $N$
# negatives holds about $\tau^+ N$ terms that look like the positive's, and $N$ true negatives would add up to
#
# $$G_i = \frac{1}{1 - \tau^+}\Big(\sum_{k \in N(i)} e^{s_{ik}/\tau} - \tau^+ N\, e^{s_i^+/\tau}\Big).$$
#
# That is right on average, and for a single anchor it can fall below anything $N$ negatives can add up to; below zero, even.
# Find the smallest value that a sum over $N$ negatives can have at temperature $\tau$, wherever they lie, and let $G_i$ go no
# lower. The loss is NT-Xent with $G_i$ in place of the sum: $-\log \frac{e^{s_i^+/\tau}}{e^{s_i^+/\tau} + G_i}$, averaged
# over the $2n$ anchors. (Chuang et al. 2020, arXiv 2007.00224. Their code takes exponentials first; yours should bear a
# temperature of 0.01 in float32, as long as positives and negatives are not far apart.)


# %% nbgrader={"grade": false, "grade_id": "debiased", "locked": false, "schema_version": 3, "solution": true, "task": false}
def debiased(z1, z2, temperature, tau_plus):
    """The debiased loss, its mean over all 2n anchors: a number through which gradients flow. tau_plus: between 0 and 1."""
    ### BEGIN SOLUTION
    z = F.normalize(torch.cat([z1, z2]), dim=1)
    logits = z @ z.T / temperature
    count = 2 * len(z1) - 2
    neither = torch.eye(len(z1), dtype=torch.bool).repeat(2, 2)
    top = logits.masked_fill(torch.eye(len(z), dtype=torch.bool), -torch.inf).amax(1).detach()
    positive = logits.diagonal(len(z1)).repeat(2) - top  # everything relative to the largest from here on
    negatives = (logits - top[:, None]).masked_fill(neither, -torch.inf).exp().sum(1)
    corrected = (negatives - tau_plus * count * positive.exp()) / (1 - tau_plus)
    corrected = torch.maximum(corrected, count * (-1 / temperature - top).exp())
    return ((positive.exp() + corrected).log() - positive).mean()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a5_debiased", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": false}
grading.check("a5.debiased", debiased)

# %% [markdown]
# Where the floor holds, the negatives of that anchor get no gradient at all, and what is left is the pull. *Question:* which
# anchors reach the floor first when $\tau^+$ is set too high: those that have found their positive, or those that have not?
#
# ## 4. Hard negatives
#
# The opposite idea: negatives that look like the anchor teach the most, so let them weigh more. Each negative gets a weight
# $w_{ik} \propto e^{\beta s_{ik}/\tau}$, whose **mean over the anchor's negatives is one**, and the sum becomes
# $\sum_k w_{ik} e^{s_{ik}/\tau}$. (Robinson et al. 2020, arXiv 2010.04592, here with $\tau^+ = 0$.) With $\beta = 0$ this is
# NT-Xent.
#
# The weights are functions of the embeddings. Should the optimiser know that? In the code of this paper the gradient goes
# *through* the weights. Other losses with weights, such as the weighted DCL in lightly, hold them *constant*. The value is
# the same, the gradient is not; so a source has to be read for this. Write both.


# %% nbgrader={"grade": false, "grade_id": "hard_negative", "locked": false, "schema_version": 3, "solution": true, "task": false}
def hard_negative(z1, z2, temperature, beta, through):
    """NT-Xent with weighted negatives, its mean over all 2n anchors. through: whether the gradient goes through the weights
    (True), or takes them for constants (False). Right at temperature 0.01 in float32 as well."""
    ### BEGIN SOLUTION
    z = F.normalize(torch.cat([z1, z2]), dim=1)
    logits = z @ z.T / temperature
    positive = logits.diagonal(len(z1)).repeat(2)
    neither = torch.eye(len(z1), dtype=torch.bool).repeat(2, 2)
    weights = (beta * logits).masked_fill(neither, -torch.inf).log_softmax(1) + math.log(2 * len(z1) - 2)
    if not through:
        weights = weights.detach()
    return (torch.logaddexp((logits + weights).logsumexp(1), positive) - positive).mean()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a5_hard_negative", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
grading.check("a5.hard_negative", hard_negative)

# %% [markdown]
# *Question:* in your batch, who are the hard negatives? Look at your push from part 1 again before you raise $\beta$.
#
# ## 5. Your own batch
#
# `given` holds a batch and two numbers that are yours alone: `given.z1`, `given.z2`, `given.labels`, `given.temperature` and
# `given.tau_plus`. Give four numbers about them, to four digits behind the point:
#
# - `"share"` and `"push"` of the false negatives;
# - `"coupling"`: the mean of the factor $q_i$ over the 64 anchors (the factor, not its logarithm);
# - `"floored"`: for how many anchors the floor holds in the debiased loss with your `tau_plus`. (This one is graded after you
#   hand in.)

# %% nbgrader={"grade": false, "grade_id": "my_batch", "locked": false, "schema_version": 3, "solution": true, "task": false}
my_batch = {"share": 0.0, "push": 0.0, "coupling": 0.0, "floored": 0}
### BEGIN SOLUTION
counted = false_negatives(given.z1, given.z2, given.labels, given.temperature)
both = F.normalize(torch.cat([given.z1, given.z2]).double(), dim=1)
terms, size = (both @ both.T / given.temperature).exp(), len(given.z1)
total = terms.masked_fill(torch.eye(size, dtype=torch.bool).repeat(2, 2), 0).sum(1)
corrected = total - given.tau_plus * (2 * size - 2) * terms.diagonal(size).repeat(2)
my_batch = {
    "share": round(float(counted["share"]), 4),
    "push": round(float(counted["push"]), 4),
    "coupling": round(float(log_coupling(given.z1, given.z2, given.temperature).exp().mean()), 4),
    "floored": int((corrected / (1 - given.tau_plus) < (2 * size - 2) * math.exp(-1 / given.temperature)).sum()),
}
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "check_a5_my_batch", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
grading.check("a5.my_batch", my_batch)

# %% [markdown]
# ## 6. Old negatives: a queue
#
# Negatives need not come from this batch. MoCo (He et al. 2019, arXiv 1911.05722) keeps the *keys* of past batches in a
# queue. A query meets its own key, the positive, and every key in the queue, the negatives; it meets nobody else:
#
# $$\ell_i = -\log \frac{e^{q_i \cdot k_i/\tau}}{e^{q_i \cdot k_i/\tau} + \sum_{u \in \text{queue}} e^{q_i \cdot u/\tau}} .$$
#
# Keys come from a slow copy of the encoder, and are targets: only the queries learn. One training step computes the loss, and
# then puts this batch's keys into the queue, which keeps its number of rows.


# %% nbgrader={"grade": false, "grade_id": "queue_step", "locked": false, "schema_version": 3, "solution": true, "task": false}
def queue_step(queries, keys, queue, temperature):
    """{"loss": the mean over queries, "queue": the queue after the step}. queries, keys: (n, d), of any length; queue: (m, d),
    rows of length one, the oldest first. n may be larger than m."""
    ### BEGIN SOLUTION
    queries, keys, queue = F.normalize(queries, dim=1), F.normalize(keys.detach(), dim=1), queue.detach()
    logits = torch.cat([(queries * keys).sum(1, keepdim=True), queries @ queue.T], 1) / temperature
    loss = F.cross_entropy(logits, torch.zeros(len(queries), dtype=torch.long))
    return {"loss": loss, "queue": torch.cat([queue, keys])[-len(queue) :]}
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a5_queue_step", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
grading.check("a5.queue_step", queue_step)

# %% [markdown]
# ## 7. Negatives of other machines
#
# Large batches are spread over machines: with $W$ of them each computes the embeddings of $n/W$ pairs, the first the first
# rows, and so on. Before the loss, everybody's rows are *gathered*, so that every machine holds all of them. Then each
# machine computes a loss and calls `backward`, and the wrapper around the model *averages* the machines' gradients.
#
# Two choices are left, and the value of the loss depends on neither:
#
# - **gather with gradient** or without: without, a machine knows the history of its own rows only, and takes the others' for
#   constants;
# - **own anchors** or all: a machine takes the mean over its own anchors, or over everybody's.
#
# Write what the machines together call backward on: the mean over the machines of their losses, with the gradients that each
# choice lets through. The loss is InfoNCE from `a` to `b` in one direction: row $i$ of `a` has its positive in row $i$ of
# `b`, and meets all rows of `b`.


# %% nbgrader={"grade": false, "grade_id": "gathered", "locked": false, "schema_version": 3, "solution": true, "task": false}
def gathered(a, b, machines, temperature, with_gradient, own_anchors):
    """The mean of the machines' losses: a number whose gradient in a and b is what reaches the rows in the end.
    a, b: (n, d), of any length; n is a multiple of machines."""
    ### BEGIN SOLUTION
    a, b, losses = F.normalize(a, dim=1), F.normalize(b, dim=1), []
    for rows in torch.arange(len(a)).chunk(machines):
        mine = torch.zeros(len(a), 1, dtype=torch.bool)
        mine[rows] = True
        x, y = (z if with_gradient else torch.where(mine, z, z.detach()) for z in (a, b))
        anchors = rows if own_anchors else torch.arange(len(a))
        losses.append(F.cross_entropy(x[anchors] @ y.T / temperature, anchors))
    return torch.stack(losses).mean()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a5_gathered", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
grading.check("a5.gathered", gathered)


# %% tags=["demo"]
def reaching(with_gradient, own_anchors):
    """The loss, and the gradient that reaches the rows of b, on four machines."""
    a, b = given.z1[:32].clone(), given.z2[:32].clone().requires_grad_()
    loss = gathered(a, b, 4, given.temperature, with_gradient, own_anchors)
    return loss.item(), torch.autograd.grad(loss, b)[0].flatten()


_, true = reaching(True, True)
print("gather              anchors   loss     length   direction")
for with_gradient in (True, False):
    for own_anchors in (True, False):
        loss, found = reaching(with_gradient, own_anchors)
        length, direction = float(found.norm() / true.norm()), float(torch.cosine_similarity(found, true, dim=0))
        words = f"{'with' if with_gradient else 'without'} gradient", "own" if own_anchors else "all"
        print(f"{words[0]:20}{words[1]:9}{loss:.4f}{length:9.3f}{direction:11.3f}")

# %% [markdown]
# Length and direction are those of the gradient that reaches `b`, compared with the gradient of the whole batch on one
# machine. With gradient both choices of anchors give exactly that. Without it, and with all anchors, the direction is right
# and the length is $1/W$: a learning rate, which Adam hardly notices. Without gradient and with own anchors, `b` hears of its
# positives and of the anchors of its own machine, and of nobody else, so the direction is another one. The loss prints the
# same number four times.
#
# ## 8. Three boxes
#
# Losses are often published as code, and code can differ from what was meant without ever failing. You have three boxes,
# `given.boxes["A"]`, `["B"]` and `["C"]`, that you can call and not open: `box(images, captions, keep, temperature)` is a
# number. All three were to be the same loss. There are $n$ images and $K$ captions for each, the first $K$ rows of `captions`
# for the first image, and so on. `keep` (images by captions, True or False) says who is compared with whom; an image's own
# captions are always kept. With cosines $s_{ij}$, the captions $C(i)$ of image $i$ and the image $o(j)$ of caption $j$,
#
# $$L = \frac12 \Big[ \frac1n \sum_i \frac1K \sum_{j \in C(i)}
# -\log \frac{e^{s_{ij}/\tau}}{\sum_{m:\,\text{keep}_{im}} e^{s_{im}/\tau}}
# \; + \; \frac{1}{nK} \sum_j -\log \frac{e^{s_{o(j)j}/\tau}}{\sum_{m:\,\text{keep}_{mj}} e^{s_{mj}/\tau}} \Big] .$$
#
# Each box has one fault, and the three are different. These are the ones to choose from:

# %% tags=["demo"]
for word, means in given.names.items():
    print(f"{word:12} {means}")
equal = torch.ones(2, 3), torch.ones(2, 3), torch.ones(2, 2, dtype=torch.bool), 0.5
print("\ntwo images and two captions in one point, nothing masked: a sound loss says log 2 =", round(math.log(2), 4))
for box in given.boxes.values():
    print(box, "says", round(float(box(*equal)), 4))

# %% [markdown]
# Do not compare values on random input: there all three differ from a sound loss, and nothing tells you why. Choose inputs on
# which you *know* the answer: everybody in one point, cosines of 1 and −1 only, nobody left to compare with. Then change one
# thing at a time.
#
# Name the faults: one of the words above for each box. (Graded after you hand in.)

# %% nbgrader={"grade": false, "grade_id": "faults", "locked": false, "schema_version": 3, "solution": true, "task": false}
faults = {"A": "", "B": "", "C": ""}


### BEGIN SOLUTION
def found(box):
    x, y = torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), torch.ones(4, 2)
    if abs(float(box(x, x, torch.eye(2, dtype=torch.bool), 1.0))) > 1e-3:
        return "mask"  # nobody is left to be compared with
    one = float(box(y, y, torch.ones(4, 4, dtype=torch.bool), 1.0))
    return "softmax" if abs(one - math.log(4)) > 1e-3 else "reduction"


faults = {name: found(box) for name, box in given.boxes.items()}
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "check_a5_faults", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
grading.check("a5.faults", faults)

# %% [markdown]
# A fault that was found once will come back, unless a test stands in its way. Write one test for each of the words `"mask"`,
# `"softmax"` and `"reduction"`: an input, and the value that a sound loss has there. A test is good if a sound loss passes
# it, the box with that fault fails it, and the others do not get in the way:
#
# - the box with the reduction passes your test of the mask (for a last point, so does the box with the cross-entropy);
# - the two others pass your test of the softmax;
# - the box with the mask passes your test of the reduction. (The one with the cross-entropy cannot help failing.)


# %% nbgrader={"grade": false, "grade_id": "probe", "locked": false, "schema_version": 3, "solution": true, "task": false}
def probe(fault):
    """A test for "mask", "softmax" or "reduction": (images, captions, keep, temperature, expected), with at most 64 captions.
    expected: the value of a sound loss, within a thousandth."""
    ### BEGIN SOLUTION
    if fault == "mask":  # two images, nobody to be compared with: no loss at all
        x = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
        return x, x, torch.eye(2, dtype=torch.bool), 1.0, 0.0
    n, each = (4, 1) if fault == "softmax" else (3, 2)  # everybody in one point: logarithms of how many there are
    expected = (math.log(n * each) + math.log(n)) / 2
    return torch.ones(n, 2), torch.ones(n * each, 2), torch.ones(n, n * each, dtype=torch.bool), 0.5, expected
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a5_probe", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": false}
grading.check("a5.probe", probe)

# %% [markdown]
# At last, the loss itself, without any of the faults, finite at temperature 0.01 in float32.


# %% nbgrader={"grade": false, "grade_id": "caption_loss", "locked": false, "schema_version": 3, "solution": true, "task": false}
def caption_loss(images, captions, keep, temperature):
    """The loss that the boxes were to be: a number through which gradients flow.
    images: (n, d), captions: (n K, d), of any length; keep: (n, n K), True or False."""
    ### BEGIN SOLUTION
    n, each = len(images), len(captions) // len(images)
    logits = F.normalize(images, dim=1) @ F.normalize(captions, dim=1).T / temperature
    logits = logits.masked_fill(~keep, -torch.inf)
    owner = torch.arange(n).repeat_interleave(each)
    there = -logits.log_softmax(1)[owner, torch.arange(n * each)].mean()  # K each, so the mean of means is the mean
    return (there + F.cross_entropy(logits.T, owner)) / 2
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a5_caption_loss", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": false}
grading.check("a5.caption_loss", caption_loss)

# %% [markdown]
# **Where the faults come from.** We wrote the boxes ourselves, after what published code does. The code of DCLR (arXiv
# 2205.00656) and of MultiCSR (2310.10962) masks by multiplying logits with 0, and averages a binary cross-entropy over all
# cells of the softmax. CompA's (2310.08753) multiplies by −100,000, so that a masked candidate with a negative cosine becomes
# the largest of all. In 1-to-K's (2406.18254) the direction from captions to images is divided by $K$ once more. Such a fault
# rarely shows in a curve: the loss goes down, the model learns, and what it learns is something else.
#
# *Question:* with two candidates the binary cross-entropy of a softmax *is* the loss. Work out why, and what that says about
# the size of test inputs.
#
# **Before you hand in:** *Kernel → Restart Kernel and Run All Cells*, then *Validate*. Leave the cells with checks as they
# are; should one get lost, the grader puts it back.
