# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # a1: InfoNCE from the inside
#
# Nearly every contrastive loss is one question, asked of every row of a table: *which of these is your partner?* In this
# assignment you build the table, write the loss as its formula reads, write it again so that it is fast and cannot overflow, and
# work out its gradient by hand.
#
# **You will be able to** write NT-Xent in a few lines; say what each candidate in its denominator is for; keep it finite at any
# temperature; and read its gradient as pushes and a pull.
#
# **Before:** softmax and cross-entropy, matrix products and broadcasting, autograd. **Work:** about an hour and a half (an
# estimate, not timed).
#
# | part | function | points |
# |---|---|---|
# | 1 the table of cosines | `similarity` | 3 |
# | 2 the loss as a loop | `loop` | 3 |
# | 3 what it costs to know nothing | `chance` | 1 |
# | 4 the loss in one go | `nt_xent` | 8 |
# | 5 the gradient by hand | `similarity_gradient` | 4 |
# | 6 your own number | `my_loss` | 1 |
#
# **Help.** Run the cell below each answer as often as you like. It says which parts are right, knows the usual mistakes by name,
# and has three hints for each, one after the other; reading them costs nothing. Your grade comes from the same checks at inputs
# that you have not seen. You may compare with `labkit.losses` while you work; your answers themselves may not call it.

# %% nbgrader={"grade": false, "grade_id": "setup", "locked": true, "schema_version": 3, "solution": false, "task": false}
try:
    import labkit
except ModuleNotFoundError:
    raise SystemExit("labkit is missing here: install it as your course says, then restart the kernel") from None

# %% nbgrader={"grade": false, "grade_id": "given", "locked": true, "schema_version": 3, "solution": false, "task": false}
import torch

from labkit import grading

VARIANT = "practice"
given = grading.given("a1", VARIANT)

# %% [markdown]
# ## 1. The table of cosines
#
# A batch holds $N$ images in two views each. `z1` holds the embeddings of the first views, `z2` those of the second, both of
# shape $(N, d)$: row $i$ of `z1` and row $i$ of `z2` belong to the same image. All $2N$ rows are compared with all $2N$ by the
# cosine of their angle:
#
# $$s_{ij} = \frac{z_i \cdot z_j}{\lVert z_i \rVert \, \lVert z_j \rVert}.$$
#
# Rows $0 \ldots N-1$ of the table are the first views, rows $N \ldots 2N-1$ the second ones. Parts 2 and 4 build on this table:
# go on when its check is content.


# %% nbgrader={"grade": false, "grade_id": "similarity", "locked": false, "schema_version": 3, "solution": true, "task": false}
def similarity(z1, z2):
    """The table of cosines, (2N, 2N), of z1 (N, d) and z2 (N, d)."""
    ### BEGIN SOLUTION
    rows = torch.nn.functional.normalize(torch.cat([z1, z2]), dim=1)
    return rows @ rows.T
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a1_similarity", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
grading.check("a1.similarity", similarity)

# %% tags=["demo"]
from labkit import show
from labkit.figures.theme import BLUE, MUTED, ORANGE, canvas

table = similarity(given.z1, given.z2)
figure, ax = canvas(width=5.4, height=4.4)
ax.grid(False)
image = ax.imshow(table, cmap="RdBu_r", vmin=-1, vmax=1)
ax.set(xlabel="candidate (row number)", ylabel="anchor (row number)", title="Cosines of all pairs")
figure.colorbar(image, label="cosine")
show(figure, alt="A symmetric table of cosines: ones on the diagonal, and two lines beside it where partners meet.")

# %% [markdown]
# Find the partners in the picture: they stand on two lines beside the diagonal. *Question to keep in mind:* which entries of a
# row may the anchor choose from?
#
# ## 2. The loss as its formula reads
#
# Anchor $i$ has the partner $p(i)$, the other view of the same image. It chooses among everything but itself:
#
# $$\ell_i = -\log \frac{e^{s_{i\,p(i)}/\tau}}{\sum_{k \ne i} e^{s_{ik}/\tau}}, \qquad L = \frac{1}{2N} \sum_{i=1}^{2N} \ell_i .$$
#
# ($N$, $\tau$ and the mean over both directions as in SimCLR, Chen et al. 2020, arXiv 2002.05709, equation 1.) Write it as a
# loop over the anchors, as slowly and as plainly as you like.


# %% nbgrader={"grade": false, "grade_id": "loop", "locked": false, "schema_version": 3, "solution": true, "task": false}
def loop(z1, z2, temperature):
    """NT-Xent of two views, one anchor after the other: a number."""
    ### BEGIN SOLUTION
    table = similarity(z1, z2) / temperature
    size, total = len(table), 0.0
    for i in range(size):
        choices = torch.stack([table[i, k] for k in range(size) if k != i])
        total = total + choices.exp().sum().log() - table[i, (i + size // 2) % size]
    return total / size
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a1_loop", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
grading.check("a1.loop", loop)

# %% [markdown]
# ## 3. What it costs to know nothing
#
# If all embeddings are the same point, every candidate looks alike. What is the loss then, for a batch of $N$ images? A training
# curve should be read against this line: it is where a collapsed model stands.


# %% nbgrader={"grade": false, "grade_id": "chance", "locked": false, "schema_version": 3, "solution": true, "task": false}
def chance(n):
    """The loss of n images in two views when all embeddings are equal: a number."""
    ### BEGIN SOLUTION
    import math

    return math.log(2 * n - 1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a1_chance", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
grading.check("a1.chance", chance)

# %% [markdown]
# ## 4. The loss in one go
#
# A loop of Python is slow, and there is a worse trouble. At a temperature of 0.01 a cosine of 1 becomes a logit of 100, and in
# float32 $e^{100}$ is infinite; $e^{-100}$, the term of a candidate on the far side, has hardly a digit left, and a little colder
# it is zero. The formula is harmless, but the order of the steps is not.
#
# Write the loss without a loop, so that value *and* gradient are right at temperature 0.3 and at 0.01, in float32 and in float64.
# Adding a small number inside a logarithm does not help: it only hides the trouble.


# %% nbgrader={"grade": false, "grade_id": "nt_xent", "locked": false, "schema_version": 3, "solution": true, "task": false}
def nt_xent(z1, z2, temperature):
    """NT-Xent of two views, finite at any temperature: a number through which gradients flow."""
    ### BEGIN SOLUTION
    table = similarity(z1, z2) / temperature
    size = len(table)
    table = table.masked_fill(torch.eye(size, dtype=torch.bool), -torch.inf)
    partner = torch.arange(size).roll(size // 2)
    return torch.nn.functional.cross_entropy(table, partner)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a1_nt_xent", "locked": true, "points": 8, "schema_version": 3, "solution": false, "task": false}
grading.check("a1.nt_xent", nt_xent)

# %% tags=["demo"]
temperatures = torch.logspace(-2.5, 1, 60).tolist()
figure, ax = canvas()
for name, loss, color, style in (("in one go", nt_xent, BLUE, "-"), ("as a loop", loop, ORANGE, "--")):
    values = [float(loss(given.z1, given.z2, t)) for t in temperatures]
    ax.plot(temperatures, values, style, color=color, label=name)
ax.axhline(chance(len(given.z1)), color=MUTED, linestyle=":", label="knows nothing")
ax.set(xscale="log", yscale="log", xlabel="temperature", ylabel="loss (nats)", title="The same loss, written twice")
ax.legend()
show(
    figure,
    alt="Loss against temperature. Both curves agree where the temperature is high; a naive loop ends where it overflows.",
)

# %% [markdown]
# If your loop is naive, its curve ends on the left, where it becomes infinite. On the right both approach the dotted line: a hot
# loss hardly distinguishes the candidates. *Question:* does a lower loss at another temperature mean a better embedding?
# (Assignment a2 is about that.)
#
# ## 5. The gradient by hand
#
# Take the table of cosines as the variable, every entry by itself, and differentiate the loss. Write
# $q_{ik} = e^{s_{ik}/\tau} / \sum_{m \ne i} e^{s_{im}/\tau}$ for the share of candidate $k$ in the choice of anchor $i$, and find
# $\partial L / \partial s_{ik}$ for $k \ne i$, for the partner as well as for the others. The answer contains only the shares, $\tau$
# and $N$. No autograd in your answer; use it beside your answer, to compare.


# %% nbgrader={"grade": false, "grade_id": "similarity_gradient", "locked": false, "schema_version": 3, "solution": true, "task": false}
def similarity_gradient(similarity, temperature):
    """The derivative of NT-Xent with respect to each entry of the table of cosines, (2N, 2N)."""
    ### BEGIN SOLUTION
    size = len(similarity)
    logits = (similarity / temperature).masked_fill(torch.eye(size, dtype=torch.bool), -torch.inf)
    share = torch.softmax(logits, dim=1)
    partner = torch.eye(size, dtype=share.dtype).roll(size // 2, dims=1)
    return (share - partner) / (size * temperature)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a1_similarity_gradient", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
grading.check("a1.similarity_gradient", similarity_gradient)

# %% tags=["demo"]
table = similarity(given.z1, given.z2).requires_grad_()
logits = (table / given.temperature).masked_fill(torch.eye(len(table), dtype=torch.bool), -torch.inf)
partner = torch.arange(len(table)).roll(len(given.z1))
(by_autograd,) = torch.autograd.grad(torch.nn.functional.cross_entropy(logits, partner), table)
push = similarity_gradient(table.detach(), given.temperature)
print(f"largest difference between your hand and autograd: {(push - by_autograd).abs().max():.1e}")
print(f"each row adds up to {push.sum(1).abs().max():.1e}: what the partner is pulled, the others are pushed")
print(f"the partner's pull, mean over anchors: {-push.diagonal(len(given.z1)).mean():.4f}")

# %% [markdown]
# Each row of the gradient adds up to zero: the pull of the partner is exactly as strong as all pushes together. The pushes are
# shares of a softmax, so the nearest candidates get most of them, the more so the lower the temperature.
#
# ## 6. Your own number
#
# `given` holds a small batch and a temperature that are yours alone: `given.z1`, `given.z2`, `given.temperature`. What is their
# NT-Xent? Give a number, to four digits behind the point.

# %% nbgrader={"grade": false, "grade_id": "my_loss", "locked": false, "schema_version": 3, "solution": true, "task": false}
my_loss = 0.0
### BEGIN SOLUTION
my_loss = round(float(nt_xent(given.z1, given.z2, given.temperature)), 4)
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "check_a1_my_loss", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
grading.check("a1.my_loss", my_loss)

# %% [markdown]
# **Before you hand in:** *Kernel → Restart Kernel and Run All Cells*, then *Validate*. Leave the cells with checks as they are;
# should one get lost, the grader puts it back.
