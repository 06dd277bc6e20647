# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # a6: Contrast with labels, and what it costs
#
# Labels can say who is a positive. That makes classes easy to tell apart, and can throw away everything else; without labels,
# the class itself may be what is thrown away. In this assignment you write the supervised loss in both of its forms, find out
# what its optimum does to a class, and measure what became of two factors of which every point has both.
#
# **You will be able to** write SupCon with the mean outside and inside the logarithm, for classes of any size, and say how
# they differ; give the value of its optimum; tell class collapse from feature suppression, and both from a factor that was
# never there; and choose a joint objective by evidence that can show what you care about.
#
# **Before:** assignment a1 (softmax, cosines, a loss that does not overflow); least squares; lesson `03_dimensional_collapse`,
# the section on labels. **Work:** about two hours (an estimate, not timed).
#
# | part | function | points |
# |---|---|---|
# | 1 the mean outside | `sup_con_out` | 8 |
# | 2 the mean inside | `sup_con_in` | 4 |
# | 3 what the optimum does to a class | `collapsed_loss` | 3 |
# | 4 a probe | `probe` | 3 |
# | 5 kept, lost, or never there | `fate` | 5 |
# | 6 two objectives in one | `joint_loss` | 4 |
# | 7 which share | `choose_share` | 4 |
# | 8 your own runs | `evidence` | 2 |
#
# **Help.** Run the cell below each answer as often as you like. It says which parts are right, knows the usual mistakes by
# name, and has three hints for each, one after the other; reading them costs nothing. Your grade comes from the same checks at
# inputs that you have not seen. You may compare with `labkit.losses` while you work; your answers themselves may not call it.

# %% nbgrader={"grade": false, "grade_id": "setup", "locked": true, "schema_version": 3, "solution": false, "task": false}
try:
    import labkit
except ModuleNotFoundError:
    raise SystemExit("labkit is missing here: install it as your course says, then restart the kernel") from None

# %% nbgrader={"grade": false, "grade_id": "given", "locked": true, "schema_version": 3, "solution": false, "task": false}
import torch

from labkit import grading

VARIANT = "practice"
given = grading.given("a6", VARIANT)

# %% [markdown]
# ## 1. The mean outside
#
# $n$ rows with labels. Anchor $i$ chooses among all others by the softmax of cosines over the temperature; candidate $a$ gets
# the share
#
# $$q_{ia} = \frac{e^{s_{ia}/\tau}}{\sum_{b \ne i} e^{s_{ib}/\tau}} .$$
#
# Its positives $P(i)$ are the *others* with its label. Each of them has a loss of its own, and the anchor's loss is their
# mean:
#
# $$L_{out} = \frac{1}{|A|} \sum_{i \in A} \; \frac{-1}{|P(i)|} \sum_{p \in P(i)} \log q_{ip},
# \qquad A = \{\, i : P(i) \text{ is not empty} \,\} .$$
#
# (Khosla et al. 2020, arXiv 2004.11362, equation 2.) An anchor without any positive is asked for a partner that is not there.
# It stays among the candidates of the others and is left out of the mean. (`labkit.losses.sup_con` lets it count as 0: look
# for such a convention before you compare two papers. Published code also multiplies by the temperature over a base
# temperature; here there is no such factor.)
#
# Rows come in any length; temperatures go down to 0.009.


# %% nbgrader={"grade": false, "grade_id": "sup_con_out", "locked": false, "schema_version": 3, "solution": true, "task": false}
def sup_con_out(z, labels, temperature):
    """SupCon of z (n, d) with labels (n,), the mean over positives outside the logarithm: a number through which gradients flow."""
    ### BEGIN SOLUTION
    z = torch.nn.functional.normalize(z, dim=1)
    itself = torch.eye(len(z), dtype=torch.bool)
    log_q = (z @ z.T / temperature).masked_fill(itself, -torch.inf).log_softmax(dim=1)
    positive = (labels[:, None] == labels) & ~itself
    each = -log_q.masked_fill(~positive, 0.0).sum(1) / positive.sum(1).clamp(min=1)
    return each[positive.any(1)].mean()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a6_sup_con_out", "locked": true, "points": 8, "schema_version": 3, "solution": false, "task": false}
grading.check("a6.sup_con_out", sup_con_out)

# %% [markdown]
# ## 2. The mean inside
#
# Mean and logarithm can change places (equation 3 of the same paper):
#
# $$L_{in} = \frac{1}{|A|} \sum_{i \in A} \; -\log \Big( \frac{1}{|P(i)|} \sum_{p \in P(i)} q_{ip} \Big) .$$
#
# Inside, an anchor is content with one near positive; outside, every positive has to be near.


# %% nbgrader={"grade": false, "grade_id": "sup_con_in", "locked": false, "schema_version": 3, "solution": true, "task": false}
def sup_con_in(z, labels, temperature):
    """SupCon of z (n, d) with labels (n,), the mean over positives inside the logarithm: a number."""
    ### BEGIN SOLUTION
    z = torch.nn.functional.normalize(z, dim=1)
    itself = torch.eye(len(z), dtype=torch.bool)
    log_q = (z @ z.T / temperature).masked_fill(itself, -torch.inf).log_softmax(dim=1)
    positive = (labels[:, None] == labels) & ~itself
    paired = positive.any(1)
    log_sum = log_q[paired].masked_fill(~positive[paired], -torch.inf).logsumexp(dim=1)
    return (positive[paired].sum(1).log() - log_sum).mean()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a6_sup_con_in", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
grading.check("a6.sup_con_in", sup_con_in)

# %% [markdown]
# The logarithm is concave, so by Jensen's inequality the logarithm of a mean is at least the mean of the logarithms:
# $L_{in} \le L_{out}$, always, with equality where each anchor's positives are all equally near. On your own batch:

# %% tags=["demo"]
from labkit import show
from labkit.figures.theme import BLUE, GREEN, MUTED, ORANGE, VERMILION, canvas

temperatures = torch.logspace(-1.3, 1, 50).tolist()
figure, ax = canvas(width=7.5)
for name, loss, color, style in (("outside", sup_con_out, BLUE, "-"), ("inside", sup_con_in, ORANGE, "--")):
    ax.plot(temperatures, [float(loss(given.z, given.labels, t)) for t in temperatures], style, color=color, label=name)
ax.set(xscale="log", xlabel="temperature", ylabel="loss (nats)", title="The same batch, two places for the mean")
ax.legend()
show(figure, "Two curves over the temperature. The one with the mean inside lies below the other throughout; the gap shrinks as "
     "the temperature rises, and at a high temperature they meet.")  # fmt: skip

# %% [markdown]
# At a high temperature all shares are alike, and the order no longer matters. *Question to keep in mind:* in which of the two
# does a mislabelled image, far from everyone in its class, pull harder?
#
# ## 3. What the optimum does to a class
#
# Let there be $C$ classes of $m$ points each, in enough dimensions. Where is $L_{out}$ smallest? Where every class is *one
# point*, and the class points are as far apart as $C$ points can be: corners of a regular simplex about the origin (Graf et
# al. 2021, arXiv 2102.08817, show it for balanced classes). Everything that distinguishes two members of a class is then gone:
# **class collapse**.
#
# What is the loss there? Which cosine do two members of one class have, and which do two corners have that are all equally far
# apart and add up to zero? How many candidates of each kind does an anchor see? Temperatures go down to 0.0008.


# %% nbgrader={"grade": false, "grade_id": "collapsed_loss", "locked": false, "schema_version": 3, "solution": true, "task": false}
def collapsed_loss(classes, size, temperature):
    """L_out where each of `classes` classes of `size` points is one point, and these are as far apart as can be: a number."""
    ### BEGIN SOLUTION
    import math

    gap = (1 + 1 / (classes - 1)) / temperature  # between the cosine within a class and that between two
    return math.log(size - 1 + (classes - 1) * size * math.exp(-gap))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a6_collapsed_loss", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
grading.check("a6.collapsed_loss", collapsed_loss)

# %% [markdown]
# Does descent find it? Twelve free points of three classes on a circle, nothing but your loss:

# %% tags=["demo"]
from labkit.lessons import scaled

labels = torch.arange(3).repeat_interleave(4)
points = torch.randn(12, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64).requires_grad_()
optimizer, curve = torch.optim.Adam([points], lr=0.05), []
start = torch.nn.functional.normalize(points.detach().clone(), dim=1)
for _ in range(scaled(300, 150)):
    optimizer.zero_grad()
    loss = sup_con_out(points, labels, 0.5)
    loss.backward()
    optimizer.step()
    curve.append(loss.item() - collapsed_loss(3, 4, 0.5))
end = torch.nn.functional.normalize(points.detach(), dim=1)
figure, (left, middle, right) = canvas(3, width=12, height=3.9)
left.plot(curve, color=BLUE)
left.set(yscale="log", xlabel="step", ylabel="loss above the optimum (nats)")
for ax, z, title in ((middle, start, "start"), (right, end, "end: twelve points")):
    for k, (color, marker) in enumerate(zip((BLUE, ORANGE, GREEN), "os^", strict=True)):
        ax.scatter(*z[labels == k].T, color=color, marker=marker, s=110, alpha=0.6, linewidths=0, label=f"class {k}")
    ax.set(xlim=(-1.2, 1.2), ylim=(-1.2, 1.2), aspect="equal", xticks=[], yticks=[], title=title)
middle.legend(loc="center")
show(figure, "Left: the loss approaches the value of the optimum. Right: at the start twelve points lie anywhere on a circle; at the "
     "end only three places are left, at equal distances, four points in each.")  # fmt: skip

# %% [markdown]
# Nothing in the loss asks that members of a class stay different. Whether that is a fault depends on what you want to read
# later.
#
# ## 4. A probe
#
# To ask what an embedding holds, fit something simple on some rows and ask it about others. Here: least squares with a small
# penalty. Append a column of ones to the training rows (that is $A$); let $Y$ have one column for each class, 1 where the row
# is of it, else 0;
#
# $$W = (A^\top A + 0.1 \, I)^{-1} A^\top Y .$$
#
# The predicted class of a test row (with its one appended) is that of the largest score. Rows as given; the penalty is on the
# constant as well. Labels are names: they need not be 0, 1, 2.


# %% nbgrader={"grade": false, "grade_id": "probe", "locked": false, "schema_version": 3, "solution": true, "task": false}
def probe(train_z, train_y, test_z, test_y):
    """The accuracy, 0 to 1, on test_z (m, d) with test_y (m,), of a linear probe fitted on train_z (n, d) with train_y (n,)."""
    ### BEGIN SOLUTION
    names, places = train_y.unique(return_inverse=True)
    a, b = (torch.cat([z.double(), torch.ones(len(z), 1)], dim=1) for z in (train_z, test_z))
    target = torch.nn.functional.one_hot(places).double()
    weight = torch.linalg.solve(a.T @ a + 0.1 * torch.eye(a.shape[1]).double(), a.T @ target)
    return (names[(b @ weight).argmax(dim=1)] == test_y).double().mean().item()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a6_probe", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
grading.check("a6.probe", probe)

# %% [markdown]
# ## 5. Kept, lost, or never there
#
# Here is the toy for the rest of this assignment. Every point has a **class** (one of four) and a **colour** (one of four: two
# of twelve bits, all of them loud). Both are in all views of a point, both can be read from the inputs by a linear probe. A
# small network is trained by SupCon on the classes, or by InfoNCE, which knows no labels, or by something in between.
#
# - SupCon can lose the colour: *class collapse*.
# - InfoNCE only has to tell points apart, and the colour's twelve bits suffice for most. It can lose the class: *feature
#   suppression* (Chen et al. 2021, arXiv 2011.02803, saw it when easy bits were added to images).
#
# An accuracy says nothing by itself. Take off what guessing reaches, $1/k$ for $k$ classes, from the probe of the inputs and
# from that of the embeddings:
#
# | | verdict |
# |---|---|
# | of the *inputs*: accuracy minus $1/k$ is less than half of $1 - 1/k$ | `"absent"`: there was nothing to keep |
# | else, of the *embeddings*: accuracy minus $1/k$ is less than half of what it is for the inputs | `"lost"` |
# | else | `"kept"` |


# %% nbgrader={"grade": false, "grade_id": "fate", "locked": false, "schema_version": 3, "solution": true, "task": false}
def fate(train_x, train_z, train_y, test_x, test_z, test_y):
    """What became of a factor y on the way from inputs x to embeddings z: "kept", "lost" or "absent". k: classes in train_y."""
    ### BEGIN SOLUTION
    guess = 1 / len(train_y.unique())
    inputs = probe(train_x, train_y, test_x, test_y) - guess
    embeddings = probe(train_z, train_y, test_z, test_y) - guess
    if inputs < (1 - guess) / 2:
        return "absent"
    return "lost" if embeddings < inputs / 2 else "kept"
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a6_fate", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
grading.check("a6.fate", fate)

# %% [markdown]
# ## 6. Two objectives in one
#
# What if both are asked for? `views` holds $v$ views of each of $n$ instances, `(n, v, d)`. All $nv$ rows are anchors, and all
# others are candidates, in both terms. In the first the positives are those with the same label; in the second, those of the
# same instance:
#
# $$L = (1 - \beta) \, L_{out}(\text{labels}) + \beta \, L_{out}(\text{instances}), \qquad 0 \le \beta \le 1 .$$
#
# (In the spirit of Xue et al. 2023, arXiv 2305.16536, who analyse such a sum.) The share $\beta$ is that of the term that
# knows no labels.


# %% nbgrader={"grade": false, "grade_id": "joint_loss", "locked": false, "schema_version": 3, "solution": true, "task": false}
def joint_loss(views, labels, temperature, share):
    """The joint objective of views (n, v, d) with labels (n,): a number through which gradients flow."""
    ### BEGIN SOLUTION
    n, v = views.shape[:2]
    rows, instances = views.flatten(0, 1), torch.arange(n)
    supervised, alone = (sup_con_out(rows, ids.repeat_interleave(v), temperature) for ids in (labels, instances))
    return (1 - share) * supervised + share * alone
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a6_joint_loss", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
grading.check("a6.joint_loss", joint_loss)

# %% [markdown]
# ## 7. Which share
#
# The toy was trained with several shares; the runs are stored. Each is a dict: `"share"`, the last `"loss"`, and `"train"` and
# `"test"`, each a dict of `"z"`, `"class"` and `"colour"`. Both factors will be needed. Choose the run whose *worse*-read
# factor is read best, by your probe of `z`, fitted on `"train"` and asked about `"test"`.


# %% nbgrader={"grade": false, "grade_id": "choose_share", "locked": false, "schema_version": 3, "solution": true, "task": false}
def choose_share(runs):
    """The share of the run, in a list of runs, in which the worse of two accuracies (class, colour) is highest: a number."""

    ### BEGIN SOLUTION
    def worse(run):
        train, test = run["train"], run["test"]
        return min(probe(train["z"], train[factor], test["z"], test[factor]) for factor in ("class", "colour"))

    return max(runs, key=worse)["share"]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a6_choose_share", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
grading.check("a6.choose_share", choose_share)

# %% [markdown]
# Your own runs, `given.runs`, through your own probe:

# %% tags=["demo"]
shares, read = [run["share"] for run in given.runs], {}
for factor in ("class", "colour"):
    read[factor] = [probe(run["train"]["z"], run["train"][factor], run["test"]["z"], run["test"][factor]) for run in given.runs]
figure, (left, right) = canvas(2, width=11, height=4)
for factor, color, style in (("class", BLUE, "o-"), ("colour", VERMILION, "s--")):
    left.plot(shares, read[factor], style, color=color, label=factor)
left.axhline(0.25, color=MUTED, linestyle=":")
left.text(0.2, 0.24, "guessing", color=MUTED, va="top")
left.axvline(choose_share(given.runs), color=GREEN, linewidth=6, alpha=0.25)
left.set(xlabel="share of the term without labels", ylabel="accuracy of a probe", ylim=(0, 1.04))
left.legend(loc="lower center")
right.plot(shares, [run["loss"] for run in given.runs], "o-", color=MUTED)
right.set(xlabel="share of the term without labels", ylabel="last loss (nats)", ylim=(0, 4.6))
show(figure, "Left: the class is read perfectly at small shares and hardly at share 1; the colour hardly at share 0 and well at "
     "share 1; in between both are read. Right: the loss falls all the way.")  # fmt: skip

# %% [markdown]
# Who looks at class accuracy alone is content at once: it is perfect at a share of 0. Who looks at the loss goes to the other
# end. *Questions to keep in mind:* why are these losses not to be compared? And if nobody had told you about the colour, what
# would you have measured?
#
# ## 8. Your own runs
#
# Which share do *your* runs, `given.runs`, call for, and what is read there? A dict of three numbers, the accuracies to within
# 0.01.

# %% nbgrader={"grade": false, "grade_id": "evidence", "locked": false, "schema_version": 3, "solution": true, "task": false}
evidence = {"share": 0.0, "class": 0.0, "colour": 0.0}
### BEGIN SOLUTION
evidence["share"] = choose_share(given.runs)
chosen = next(run for run in given.runs if run["share"] == evidence["share"])
for factor in ("class", "colour"):
    train, test = chosen["train"], chosen["test"]
    evidence[factor] = probe(train["z"], train[factor], test["z"], test[factor])
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "check_a6_evidence", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
grading.check("a6.evidence", evidence)

# %% [markdown]
# **Before you hand in:** *Kernel → Restart Kernel and Run All Cells*, then *Validate*. Leave the cells with checks as they
# are; should one get lost, the grader puts it back.
