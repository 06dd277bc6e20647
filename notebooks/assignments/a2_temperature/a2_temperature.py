# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # a2: Temperature
#
# One number decides whom a contrastive loss pushes. In this assignment you compute that push, follow it to both ends of the
# temperature, find out what a value of the loss means, and then choose a temperature twice: for two data sets that want opposite
# ones. Your choice has to stand on numbers.
#
# **You will be able to** derive the push on each negative and check it against autograd; say what is left of it at temperature
# zero and infinity; tell re-weighing from re-training; read a loss between its chance line and its floor; learn a temperature
# without losing it; and choose one from held-back runs and defend the choice.
#
# **Before:** a1 (its reference is at hand as `grading.reference("a1.nt_xent")`); lesson 02 helps. **Work:** about an hour and
# a half (an estimate, not timed).
#
# | part | function | points |
# |---|---|---|
# | 1 shares of the push | `shares` | 3 |
# | 2 both ends of the temperature | `limit` | 3 |
# | 3 the push itself | `push` | 4 |
# | 4 what a loss can reach | `progress` | 3 |
# | 5 a temperature that learns | `learn_temperature` | 4 |
# | 6 re-weigh, re-train | `own_push` | 3 |
# | 7 choose a temperature | `choose_temperature` | 4 |
# | 8 your own evidence | `evidence` | 2 |
# | 9 your defence, in words | half a page, read by a person | 4 |
#
# **Help.** Run the cell below each answer as often as you like. It says which parts are right, knows the usual mistakes by name,
# and has three hints for each, one after the other; reading them costs nothing. Your grade comes from the same checks at inputs
# that you have not seen. You may compare with `labkit.metrics` while you work; your answers themselves may not call it.

# %% nbgrader={"grade": false, "grade_id": "setup", "locked": true, "schema_version": 3, "solution": false, "task": false}
try:
    import labkit
except ModuleNotFoundError:
    raise SystemExit("labkit is missing here: install it as your course says, then restart the kernel") from None

# %% nbgrader={"grade": false, "grade_id": "given", "locked": true, "schema_version": 3, "solution": false, "task": false}
import math

import torch

from labkit import grading

VARIANT = "practice"
given = grading.given("a2", VARIANT)
nt_xent = grading.reference("a1.nt_xent")  # nt_xent(z1, z2, temperature), the loss of a1

# %% [markdown]
# ## 1. Shares of the push
#
# An anchor has a positive, with cosine $s^+$, and negatives with cosines $s_j$. Its loss is
# $\ell = -s^+/\tau + \log\big(e^{s^+/\tau} + \sum_j e^{s_j/\tau}\big)$. Differentiate with respect to the cosine of one negative, and
# divide by the sum over all negatives. Everything that the negatives have in common cancels, and what is left is the share of the
# push that negative $j$ gets:
#
# $$r_j = \frac{e^{s_j/\tau}}{\sum_{k\ \text{negative}} e^{s_k/\tau}}.$$
#
# Rows are anchors, columns are candidates, and `negatives` says which candidates are negatives of which anchor: not the anchor
# itself, not its positive, and the number may differ from row to row. Temperatures down to 0.001 come up, in float32 too.


# %% nbgrader={"grade": false, "grade_id": "shares", "locked": false, "schema_version": 3, "solution": true, "task": false}
def shares(similarities, negatives, temperature):
    """Each negative's share of its anchor's push.

    similarities: (n, m) cosines. negatives: (n, m), True where a candidate is a negative; every row has at least one.
    Gives (n, m): rows add up to 1, and who is no negative has 0.
    """
    ### BEGIN SOLUTION
    return torch.softmax((similarities / temperature).masked_fill(~negatives, -torch.inf), dim=1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a2_shares", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
grading.check("a2.shares", shares)

# %% [markdown]
# ## 2. Both ends of the temperature
#
# What becomes of the shares as $\tau \to 0$, and as $\tau \to \infty$? Do not put in a small or a large number: think about
# which negatives are left, and what each of them has. Mind that several negatives can be *equally* near: a batch may hold an image
# twice.


# %% nbgrader={"grade": false, "grade_id": "limit", "locked": false, "schema_version": 3, "solution": true, "task": false}
def limit(similarities, negatives, towards):
    """What `shares` tends to as the temperature goes towards "zero" or towards "infinity": (n, m), rows add up to 1."""
    ### BEGIN SOLUTION
    if towards == "zero":
        cosines = similarities.masked_fill(~negatives, -torch.inf)
        pushed = cosines == cosines.amax(dim=1, keepdim=True)
    else:
        pushed = negatives
    return pushed / pushed.sum(dim=1, keepdim=True)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a2_limit", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
grading.check("a2.limit", limit)

# %% tags=["demo"]
from labkit import show
from labkit.figures import temperature as figures

z = torch.nn.functional.normalize(torch.cat([given.z1, given.z2]), dim=1)
rows = torch.arange(len(z))
negatives = (rows[:, None] % len(given.z1)) != (rows % len(given.z1))  # everyone of another image
nearest_first = (z @ z.T).masked_fill(~negatives, -2).argsort(dim=1, descending=True)
taus = torch.logspace(-2, 1.5, 60).tolist()
held = [shares(z @ z.T, negatives, t).gather(1, nearest_first).cumsum(1).mean(0) for t in taus]
parts = {"nearest 1": 1, "nearest 3": 3, "nearest 5": 5}
show(
    figures.nearest(
        taus,
        {name: [float(row[k - 1]) for row in held] for name, k in parts.items()},
        {name: k / 10 for name, k in parts.items()},
    ),
    "The share of the push on the nearest 1, 3 and 5 of ten negatives, against temperature: all of it, or nearly, on the left, "
    "and on the right what an even push would give.",
)

# %% [markdown]
# Your two limits are the two ends of these curves. No curve ever rises with the temperature: for a **fixed** embedding the share
# of the $k$ nearest can only fall. (Its logarithm has the derivative *mean cosine of the $k$ nearest minus mean cosine of all*
# with respect to $1/\tau$, both weighted by the shares, and that is never negative.) *Question:* does the theorem say what
# happens to an embedding that is **trained** at a lower temperature?
#
# ## 3. The push itself
#
# Shares say how the push is divided, not how strong it is. Now take the derivative itself: for every anchor $i$ of both views, how
# much does its own loss $\ell_i$ change with its cosine to each negative? The table is $(2N, 2N)$, first views before second ones.
# In it stand the negatives only: 0 for the anchor itself, and 0 for its positive (whose derivative is a pull).
#
# Work it out on paper. Your rows, times the temperature, should add up to $1 - p_i^+$, one minus the probability of the positive.
# Then let autograd check you; but the answer itself should be your closed form.


# %% nbgrader={"grade": false, "grade_id": "push", "locked": false, "schema_version": 3, "solution": true, "task": false}
def push(z1, z2, temperature):
    """How much each anchor's own loss changes with its cosine to each negative.

    z1, z2: (N, d), two views of N images, rows not normalised. Gives (2N, 2N), 0 where there is no negative.
    """
    ### BEGIN SOLUTION
    z, n = torch.nn.functional.normalize(torch.cat([z1, z2]), dim=1), len(z1)
    logits = z @ z.T / temperature
    logits = logits.masked_fill(torch.eye(2 * n, dtype=torch.bool), -torch.inf)
    p = torch.softmax(logits, dim=1)
    partner = torch.eye(2 * n, dtype=torch.bool).roll(n, dims=1)
    return p.masked_fill(partner, 0) / temperature
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a2_push", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
grading.check("a2.push", push)

# %% tags=["demo"]
cosines = (z @ z.T).requires_grad_()
logits = (cosines / 0.2).masked_fill(torch.eye(len(z), dtype=torch.bool), -torch.inf)
partner = rows.roll(len(given.z1))
loss_of_each = torch.nn.functional.cross_entropy(logits, partner, reduction="none")
(by_autograd,) = torch.autograd.grad(loss_of_each.sum(), cosines)  # entry (i, j) is about anchor i alone
mine = push(given.z1, given.z2, 0.2)
print(f"largest difference from autograd, over negatives: {(mine - by_autograd)[negatives].abs().max():.1e}")
for t in (1.0, 0.2, 0.05):
    strength = t * push(given.z1, given.z2, t).sum(1)
    print(f"temperature {t:<4g}  1 - p+ of the most and the least satisfied anchor: {strength.min():.3f}, {strength.max():.3f}")

# %% [markdown]
# *Question:* which anchors push hardest at a low temperature, and which hardly at all? (That the positive stands in its own
# denominator does this; assignment a5 takes it out.)
#
# ## 4. What a loss can reach
#
# NT-Xent of $N$ pairs lies between two lines. **Chance**: all embeddings are the same, and every candidate is as likely as every
# other. **Floor**: the two views of an image coincide, and the $N$ images are as far from each other as $N$ points can be, at the
# corners of a simplex, where any two have the cosine $-1/(N-1)$. Put these cosines into the loss and you have the floor. (It takes
# at least $N-1$ dimensions to get there. That nothing lies below follows from two facts: the loss is convex in the cosines, and the
# sum of all $2N$ unit vectors has a squared length that is not negative.)
#
# Write a function that says how far a loss has come on its way: 0 at chance, 1 at the floor. It takes a number, or a whole training
# curve as a tensor.


# %% nbgrader={"grade": false, "grade_id": "progress", "locked": false, "schema_version": 3, "solution": true, "task": false}
def progress(loss, n, temperature):
    """How far the loss of n pairs has come from chance (0) to the lowest value possible (1); loss is a number or a tensor."""
    ### BEGIN SOLUTION
    chance = math.log(2 * n - 1)
    floor = math.log1p((2 * n - 2) * math.exp(-n / (n - 1) / temperature))
    return (chance - loss) / (chance - floor)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a2_progress", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
grading.check("a2.progress", progress)

# %% [markdown]
# `given.digits` and `given.nested` are **held-back runs**: a small network really trained on a data set with NT-Xent, at five
# temperatures and three seeds each, batches of 256 pairs. A run is a dict:
#
# | key | what it holds |
# |---|---|
# | `temperature`, `seed` | what it was trained with |
# | `loss` | the mean loss of its last 20 steps |
# | `z` | the embeddings of 80 test points, unit rows; `labels` their classes |
# | `labelled` | (12, classes): twelve times, which one point of each class we are told the label of |
#
# `digits` are images of handwritten digits, ten classes. `nested` is a toy of points in 32 dimensions: four classes, each made of
# four subclasses. Their order in the list means nothing.

# %% tags=["demo"]
from labkit.figures.theme import BLUE, VERMILION, canvas, styled


@styled
def two_ways(runs):
    """The runs' losses, and how far they have come."""
    figure, axes = canvas(2, height=3.8)
    for ax, value, label in (
        (axes[0], lambda r: r["loss"], "loss"),
        (axes[1], lambda r: progress(r["loss"], 256, r["temperature"]), "chance 0, floor 1"),
    ):
        for (name, each), color, marker in zip(runs.items(), (BLUE, VERMILION), "os", strict=True):
            ax.plot([r["temperature"] for r in each], [value(r) for r in each], marker, color=color, alpha=0.7, label=name)
        figures.temperature_axis(ax, (0.05, 0.1, 0.2, 0.5, 1))
        ax.set_title(label)
    axes[0].legend()
    return figure


# %% tags=["demo"]
show(
    two_ways({"digits": given.digits, "nested": given.nested}),
    "Left: the loss of each run against its temperature; it rises with it for both data sets. Right: the way from chance to "
    "floor, which is longest at temperature 1 for both.",
)

# %% [markdown]
# Read from the left, a temperature of 0.05 looks best; read from the right, 1 does. *Question:* what have both pictures in common?
# (Neither has asked what the embeddings are for.)
#
# ## 5. A temperature that learns
#
# CLIP and its kin train the temperature along with the weights. Three things go wrong when one does that carelessly: the number
# runs through zero, weight decay drags it about, and on easy data nothing stops it. Do it carefully:
#
# - The embeddings are `z1 @ W` and `z2 @ W`. `W` starts as the identity, and is trained as well.
# - The optimiser holds the **logarithm** of the temperature (or of its inverse: the steps are the same).
# - One learning rate for both, `torch.optim.AdamW`, no other options than its usual ones. `weight_decay` is for `W` only.
# - The temperature never falls below 0.01.
#
# The loss is `nt_xent`, in each of `steps` steps on all rows. Give back the last temperature.


# %% nbgrader={"grade": false, "grade_id": "learn_temperature", "locked": false, "schema_version": 3, "solution": true, "task": false}
def learn_temperature(z1, z2, start, steps, lr, weight_decay):
    """Train W (d, d) and the temperature for some steps; gives the temperature that comes out.

    z1, z2: (N, d) float64. start: the temperature to start from. steps, lr, weight_decay: of AdamW.
    """
    ### BEGIN SOLUTION
    W = torch.eye(z1.shape[1], dtype=z1.dtype, requires_grad=True)
    log_temperature = torch.tensor(math.log(start), dtype=z1.dtype, requires_grad=True)
    groups = [{"params": [W], "weight_decay": weight_decay}, {"params": [log_temperature], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        nt_xent(z1 @ W, z2 @ W, log_temperature.exp()).backward()
        optimizer.step()
        log_temperature.data.clamp_(min=math.log(0.01))
    return math.exp(log_temperature.item())
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a2_learn_temperature", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
grading.check("a2.learn_temperature", learn_temperature)

# %% tags=["demo"]
for start in (0.05, 0.2, 1.0):
    with_data = [learn_temperature(given.z1, given.z2, start, steps, 0.05, 0.1) for steps in (0, 20, 60)]
    print(f"from {start:<4g}: after 0, 20, 60 steps", *(f"{t:.3f}" for t in with_data))

# %% [markdown]
# *Question:* the temperature goes where the loss falls. Does that make it the right one for a task? Keep section 4 in mind.
#
# ## 6. Re-weigh, re-train
#
# Two sliders look alike. **Re-weigh**: one fixed embedding; only the temperature in the shares is turned. **Re-train**: for each
# temperature the embedding that was trained with it. The theorem of section 2 is about the first; what you want to know before you
# choose a temperature is the second.
#
# Measure, for each run in the list, how much of the push falls on the anchor's **own class**: every point is an anchor, all other
# points are its negatives, its shares at the run's temperature are added up over its class, and the mean is taken over all anchors
# (who has no class mates has 0).
#
# - `how="re-train"`: each run's own embedding, at its own temperature.
# - `how="re-weigh"`: always the embedding (and labels) of the **first** run of the list, at each run's temperature.


# %% nbgrader={"grade": false, "grade_id": "own_push", "locked": false, "schema_version": 3, "solution": true, "task": false}
def own_push(runs, how):
    """For each run, in their order, the share of the push that falls on the anchor's own class: a list of numbers.

    runs: dicts with "temperature", "z" (points, d; rows need not be normalised) and "labels" (points,).
    how: "re-train" or "re-weigh".
    """
    ### BEGIN SOLUTION
    found = []
    for run in runs:
        embedding = run if how == "re-train" else runs[0]
        z, labels = torch.nn.functional.normalize(embedding["z"], dim=1), embedding["labels"]
        others = ~torch.eye(len(z), dtype=torch.bool)
        share = shares(z @ z.T, others, run["temperature"])
        found.append((share * (labels[:, None] == labels)).sum(1).mean())
    return torch.stack(found)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a2_own_push", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
grading.check("a2.own_push", own_push)


# %% tags=["demo"]
@styled
def both_ways(data):
    """Push on the own class by temperature: models trained anew, and the one trained at 0.5 weighed anew."""
    figure, axes = canvas(len(data), height=3.8, sharey=True)
    for ax, (name, runs) in zip(axes, data.items(), strict=True):
        ordered = sorted(runs, key=lambda r: (r["seed"], abs(r["temperature"] - 0.5)))  # the one at 0.5 comes first
        one_seed = ordered[:5]
        weighed = sorted((r["temperature"], float(p)) for r, p in zip(one_seed, own_push(one_seed, "re-weigh"), strict=True))
        ax.plot(*zip(*weighed, strict=True), color=BLUE, label="re-weigh: trained at 0.5")
        ax.plot(
            [r["temperature"] for r in runs],
            list(map(float, own_push(runs, "re-train"))),
            "o",
            color=VERMILION,
            label="re-train",
        )
        figures.temperature_axis(ax, (0.05, 0.1, 0.2, 0.5, 1))
        ax.set_title(name)
    axes[0].set(ylim=(0, 1), ylabel="push on the own class")
    axes[0].legend(loc="lower left")
    return figure


# %% tags=["demo"]
show(
    both_ways({"digits": given.digits, "nested": given.nested}),
    "The push on the own class against temperature, re-weighed and re-trained. Both fall as the temperature rises. On digits, "
    "re-weighing exaggerates the push at low temperature; on the toy the two nearly agree.",
)

# %% [markdown]
# Below 0.5, models trained on digits at a low temperature push their own class *less* than re-weighing foretells: training
# answers the push, the class spreads, and less of the push finds it. On the toy, nearly all of the push at 0.05 falls on the own class. Lesson 02 calls
# that tearing the class apart. **Predict**, before you go on: how good will the toy's classes be at 0.05?
#
# ## 7. Choose a temperature
#
# What are the embeddings for? Say: to sort test points into their classes when only **one labelled point of each class** is known.
# The next cell measures that: each of the other points takes the label of the labelled point with the largest cosine, and the share
# of right ones is averaged over the twelve draws of labelled points.


# %% nbgrader={"grade": false, "grade_id": "few_label_accuracy", "locked": true, "schema_version": 3, "solution": false, "task": false}
def few_label_accuracy(z, labels, labelled):
    """The share of the other points that lie nearest to the labelled point of their own class, averaged over draws."""
    z, found = torch.nn.functional.normalize(z, dim=1), []
    for rows in labelled:
        others = torch.ones(len(z), dtype=torch.bool)
        others[rows] = False
        nearest = (z[others] @ z[rows].T).argmax(dim=1)
        found.append((labels[rows][nearest] == labels[others]).double().mean())
    return float(torch.stack(found).mean())


# %% [markdown]
# Write a function that looks at a list of runs and chooses: the temperature whose runs have the best accuracy **on average over its
# seeds**. It will be tried on runs that you have not seen, on these two data sets and on others; there, a temperature may have a
# run less than the rest.


# %% nbgrader={"grade": false, "grade_id": "choose_temperature", "locked": false, "schema_version": 3, "solution": true, "task": false}
def choose_temperature(runs):
    """The temperature that is best for one labelled point a class, on average over its seeds: a number."""
    ### BEGIN SOLUTION
    accuracies = {}
    for run in runs:
        found = few_label_accuracy(run["z"], run["labels"], run["labelled"])
        accuracies.setdefault(run["temperature"], []).append(found)
    return max(accuracies, key=lambda temperature: sum(accuracies[temperature]) / len(accuracies[temperature]))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a2_choose_temperature", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
grading.check("a2.choose_temperature", choose_temperature)

# %% tags=["demo"]
for name, runs in (("digits", given.digits), ("nested", given.nested)):
    print(f"{name}: your choice is {choose_temperature(runs):g}")
    for temperature in sorted({run["temperature"] for run in runs}):
        here = [each for each in runs if each["temperature"] == temperature]
        found = [few_label_accuracy(each["z"], each["labels"], each["labelled"]) for each in here]
        loss = sum(each["loss"] for each in here) / len(here)
        print(f"  {temperature:<5g} loss {loss:.2f}   accuracy at each seed", *(f"{a:.2f}" for a in found))

# %% [markdown]
# ## 8. Your own evidence
#
# What would it cost to carry one data set's temperature over to the other? For each of *your* data sets give its temperature, its
# mean accuracy there, and its mean accuracy at the temperature chosen for the **other** data set:
#
# `{"digits": {"temperature": ..., "accuracy": ..., "swapped": ...}, "nested": {...}}`
#
# Compute it with what you have; your numbers differ from your neighbour's if your course gives each student a variant.

# %% nbgrader={"grade": false, "grade_id": "evidence", "locked": false, "schema_version": 3, "solution": true, "task": false}
evidence = {}


### BEGIN SOLUTION
def mean_accuracy(runs, temperature):
    mine = [run for run in runs if run["temperature"] == temperature]
    return sum(few_label_accuracy(run["z"], run["labels"], run["labelled"]) for run in mine) / len(mine)


for name, runs, others in (("digits", given.digits, given.nested), ("nested", given.nested, given.digits)):
    chosen, swapped = choose_temperature(runs), choose_temperature(others)
    evidence[name] = {
        "temperature": chosen,
        "accuracy": mean_accuracy(runs, chosen),
        "swapped": mean_accuracy(runs, swapped),
    }
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "check_a2_evidence", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
grading.check("a2.evidence", evidence)

# %% [markdown]
# ## 9. Your defence
#
# A colleague writes: *"Use 0.05 everywhere. It has the lowest loss, and with our trained model the push on hard negatives grows
# when I lower the temperature."* Answer in half a page, with your numbers:
#
# 1. Which temperature do you recommend for each data set? Give the accuracy, its spread over the seeds, and the runner-up; say
#    where the difference is clear and where it is not.
# 2. Why does neither the loss nor the colleague's experiment with a trained model support the advice?
# 3. On the toy, 0.05 is right after all, although nearly all of the push there falls on the own class. What does that say about
#    "low temperature tears classes apart"? What would you measure, to learn more?

# %% [markdown] nbgrader={"grade": true, "grade_id": "defence", "locked": false, "points": 4, "schema_version": 3, "solution": true, "task": false}
# ### BEGIN SOLUTION
# For digits I recommend 0.5: mean accuracy 0.87 with one label a class (0.86 to 0.87 over three seeds), best at all three. The
# runner-up is 1.0 with 0.84 (0.84 to 0.85): close, and with other seeds or labelled points the two could change places. At
# 0.05 it is 0.71, and that difference is clear: 0.15, where seeds differ by 0.03 at most. For the nested toy I recommend 0.05: 0.92 (0.90 to
# 0.94), against 0.56 for 0.1, whose seeds range from 0.42 to 0.64. Swapping the two temperatures costs 0.15 on digits, 0.55 on the toy.
#
# The loss falls with the temperature on both data sets, because its floor does: at 1 no model can go below 5.2, at 0.05 the
# floor is practically 0. So the lowest loss names 0.05 whatever the data are. The colleague's experiment re-weighs one fixed
# embedding. That the nearest negatives gain share there is a theorem, true of every embedding, and says nothing about which
# embedding training at 0.05 would produce. Each temperature needs a model of its own, and several seeds.
#
# On the toy 99.9 % of the push at 0.05 falls on the own class, and yet one labelled point finds 92 % of its class. So a push is
# not a displacement: it says where force goes, not where points end up; the class is also held together by the positives and
# by the smoothness of the network. "Tears apart" is a guess until the accuracy, or the cosines within the class, have been
# measured. I would next measure cosines within and between subclasses for each temperature, with more seeds, and a second
# task: telling the subclasses apart.
# ### END SOLUTION

# %% [markdown]
# **Before you hand in:** *Kernel → Restart Kernel and Run All Cells*, then *Validate*. Leave the cells with checks as they are;
# should one get lost, the grader puts it back.
