# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # a3: Alignment and uniformity
#
# Contrastive learning has two wishes: views of one image together, images all over the place. Each wish has a meter. You write
# both, follow them downhill, work out how low they can go, build an embedding that is perfect on both and knows nothing, and read
# a map of runs as carefully as it deserves.
#
# **You will be able to** compute both meters without the usual slips; move points on the sphere; say how even infinitely many
# points are, and how even $n$ points can be at best; explain why two perfect meters do not make a good embedding; and tell which
# sentence a collection of runs supports.
#
# **Before:** a1; lesson 01 helps. **Work:** about two hours (an estimate, not timed).
#
# | part | function | points |
# |---|---|---|
# | 1 the meter of evenness | `uniformity` | 4 |
# | 2 both wishes in one loss | `align_uniform` | 4 |
# | 3 downhill on the sphere | `descend` | 3 |
# | 4 infinitely many points | `limit` | 3 |
# | 5 n points | `bound` | 3 |
# | 6 a lookup table | `lookup_table` | 2 |
# | 7 who is who | `places` | 3 |
# | 8 what ranks what | `ranked` | 3 |
# | 9 five sentences | `sentences` | 2 |
# | 10 in words | half a page, read by a person | 4 |
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
given = grading.given("a3", VARIANT)

# %% [markdown]
# ## 1. The meter of evenness
#
# Put a Gaussian potential between any two points on the sphere: 1 if they coincide, nearly 0 if they are far apart. The fewer
# points crowd, the lower its mean. **Uniformity** is the logarithm of that mean (Wang & Isola 2020, arXiv 2005.10242, equation 4):
#
# $$U(z) = \log \operatorname*{mean}_{i < j} \; e^{-t \lVert z_i - z_j \rVert^2}, \qquad \lVert z_i \rVert = 1.$$
#
# It is 0 when all points coincide, and lower is more even. The rows that come in are not normalised. The value has to be right at
# $t = 200$ in float32 as well, and the gradient where two rows are the same.


# %% nbgrader={"grade": false, "grade_id": "uniformity", "locked": false, "schema_version": 3, "solution": true, "task": false}
def uniformity(z, t):
    """The uniformity of the directions of z (n, d): a number through which gradients flow."""
    ### BEGIN SOLUTION
    squared = torch.nn.functional.pdist(torch.nn.functional.normalize(z, dim=1)).square()
    return torch.logsumexp(-t * squared, dim=0) - math.log(len(squared))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a3_uniformity", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
grading.check("a3.uniformity", uniformity)

# %% [markdown]
# *Question:* two opposite points have the uniformity $-4t$. Can any arrangement have less?
#
# ## 2. Both wishes in one loss
#
# **Alignment** is the mean squared distance between the two views of an image, on the sphere. The loss of two views is
#
# $$\operatorname*{mean}_i \lVert z_i - z_i' \rVert^2 \; + \; w \cdot \tfrac12 \big( U(z) + U(z') \big).$$
#
# Mind who is compared with whom: alignment looks at the two views of one image, uniformity at the images of one view.


# %% nbgrader={"grade": false, "grade_id": "align_uniform", "locked": false, "schema_version": 3, "solution": true, "task": false}
def align_uniform(z1, z2, weight, t):
    """Alignment of z1 and z2 (n, d) plus weight times the mean of their uniformities; rows are not normalised."""
    ### BEGIN SOLUTION
    a, b = torch.nn.functional.normalize(z1, dim=1), torch.nn.functional.normalize(z2, dim=1)
    aligned = (a - b).square().sum(dim=1).mean()
    return aligned + weight * (uniformity(a, t) + uniformity(b, t)) / 2
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a3_align_uniform", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
grading.check("a3.align_uniform", align_uniform)

# %% [markdown]
# ## 3. Downhill on the sphere
#
# Now let points move freely. One step: take the gradient of the uniformity **of the directions**, so that it lies along the sphere;
# go against it, times the learning rate; bring every row back to length one. Plain gradient steps, no optimiser with a memory.


# %% nbgrader={"grade": false, "grade_id": "descend", "locked": false, "schema_version": 3, "solution": true, "task": false}
def descend(z, steps, lr, t):
    """Where the points z (n, d), of length one, come to after some steps: (n, d), of length one."""
    ### BEGIN SOLUTION
    for _ in range(steps):
        z = z.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(uniformity(z, t), z)
        z = torch.nn.functional.normalize(z.detach() - lr * gradient, dim=1)
    return z
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a3_descend", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
grading.check("a3.descend", descend)

# %% tags=["demo"]
from labkit import show
from labkit.figures import geometry as figures

panels, captions = {}, {}
for steps in (0, 10, 200):
    points = descend(given.start, steps, 1.0, 2.0)
    title = f"{steps} steps" if steps else "start"
    panels[title] = torch.stack([points, points]).numpy()
    captions[title] = f"uniformity {float(uniformity(points, 2.0)):.3f}"
show(
    figures.circles({"free points": panels}, {"free points": captions}),
    "Points on a circle at the start, after 10 and after 200 steps of descent: they spread, and uniformity falls.",
)

# %% [markdown]
# Look closely at the last circle: are the points evenly spaced? They need not be. A potential of this width does not see finer
# structure than its width, and several arrangements have the same value.
#
# ## 4. Infinitely many points
#
# How even can points be? Spread infinitely many of them evenly over the sphere of $\mathbb R^d$. The squared distance of two unit
# vectors is $2 - 2 \cos$, and the mean of $e^{2t\cos}$ over a sphere is a classical function:
#
# $$U_\infty = \log \Big( e^{-2t} \; {}_0F_1\big(\tfrac d2;\, t^2\big) \Big), \qquad
# {}_0F_1(a; x) = \sum_{k \ge 0} \frac{\Gamma(a)}{\Gamma(a + k)} \frac{x^k}{k!}.$$
#
# No distribution of points has less (Wang & Isola prove it). SciPy has the function as `scipy.special.hyp0f1`, which
# overflows at $t = 400$; your answer should be right there, too. (The series has positive terms only. Or find a name for what is
# left when you scale it: in two dimensions it is a Bessel function.)


# %% nbgrader={"grade": false, "grade_id": "limit", "locked": false, "schema_version": 3, "solution": true, "task": false}
def limit(d, t):
    """The uniformity of infinitely many points spread evenly over the sphere of R^d (d >= 2), for t up to 500: a number."""
    ### BEGIN SOLUTION
    k = torch.arange(int(3 * t) + 100, dtype=torch.float64)
    a = torch.tensor(d / 2, dtype=torch.float64)
    terms = torch.lgamma(a) - torch.lgamma(a + k) + 2 * k * math.log(t) - torch.lgamma(k + 1)
    return float(torch.logsumexp(terms, dim=0)) - 2 * t
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a3_limit", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
grading.check("a3.limit", limit)

# %% [markdown]
# Try your limit at $d = 2$ and a large $d$, with $t = 2$. Towards which number does it go as $d$ grows, and what does that say about
# the angle between two random directions in many dimensions?
#
# ## 5. n points
#
# Many texts call that limit "the optimum". But two opposite points have $-8$ at $t = 2$, far below $-1.575$, the limit on the
# circle. What is true is this. Let $M = e^{U_\infty}$.
#
# 1. The Gaussian kernel is positive definite, and it follows that the mean potential over **all** $n^2$ pairs, each point with
#    itself included, is at least $M$. Those $n$ pairs have potential 1, and uniformity leaves them out.
# 2. The squared distances of $n$ unit vectors average at most $2n/(n-1)$; and the log of a mean is at least the mean of the logs.
#
# Turn each into a lower bound for the uniformity of $n$ points; give the better of the two. (The first says nothing when
# $nM \le 1$.)


# %% nbgrader={"grade": false, "grade_id": "bound", "locked": false, "schema_version": 3, "solution": true, "task": false}
def bound(n, limit, t):
    """What the uniformity of n >= 2 points can never fall below; limit is that of infinitely many points, U_inf."""
    ### BEGIN SOLUTION
    simplex = -2 * t * n / (n - 1)
    left = n * math.exp(limit) - 1
    return max(simplex, math.log(left / (n - 1))) if left > 0 else simplex
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a3_bound", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
grading.check("a3.bound", bound)

# %% tags=["demo"]
import numpy as np

sizes = [6, 16, 64]
grid = np.unique(np.geomspace(5, 100, 80).round())
curves, dots = {}, {}
for d in (2, 3):
    random = [torch.nn.functional.normalize(torch.randn(n, d, dtype=torch.float64), dim=1) for n in sizes]
    found = [descend(z, 150, 1.0, 2.0) for z in random]
    curves[f"d = {d}"] = (grid, np.array([bound(int(n), limit(d, 2.0), 2.0) for n in grid]), limit(d, 2.0))
    dots[f"d = {d}"] = (np.array(sizes), *(np.array([float(uniformity(z, 2.0)) for z in each]) for each in (found, random)))
show(
    figures.finite(curves, dots),
    "Uniformity against the number of points on the circle and on the sphere. The points that descent found lie below the limit "
    "for infinitely many, and on the bound or above it; random points scatter about the limit.",
)

# %% [markdown]
# *Question:* a paper reports the uniformity of a batch of 64 and finds it "beyond the optimum". What do you ask?
#
# ## 6. A lookup table
#
# Here is an embedding that needs no network. Every image gets one random direction, and all its views get the same. Alignment is
# perfect by construction, and random directions are even.
#
# `images` says for each view which image it shows; `directions` holds one row for each image, not yet of length one.


# %% nbgrader={"grade": false, "grade_id": "lookup_table", "locked": false, "schema_version": 3, "solution": true, "task": false}
def lookup_table(images, directions):
    """The embedding of each view, (views, d), of length one. images: (views,) row numbers of directions (images, d)."""
    ### BEGIN SOLUTION
    return torch.nn.functional.normalize(directions, dim=1)[images]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a3_lookup_table", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
grading.check("a3.lookup_table", lookup_table)

# %% [markdown]
# **Predict.** We give each of 1,797 handwritten digits such a direction in 32 dimensions. How often is the nearest neighbour of a
# digit the same digit? The next cell holds the measure, the one after it the answer.


# %% nbgrader={"grade": false, "grade_id": "neighbour_accuracy", "locked": true, "schema_version": 3, "solution": false, "task": false}
def neighbour_accuracy(z, labels):
    """How often the point with the largest cosine, other than the point itself, has the same label."""
    z = torch.nn.functional.normalize(z, dim=1)
    cosines = (z @ z.T).fill_diagonal_(-2)
    return float((labels[cosines.argmax(dim=1)] == labels).double().mean())


# %% tags=["demo"]
from labkit import data

digits = data.load("digits", "all").y
images = torch.arange(len(digits))
table = lookup_table(images, torch.randn(len(digits), 32, dtype=torch.float64))
print(f"alignment of two views: {float((table - lookup_table(images, table)).square().sum(1).mean()):.1e}")
print(f"uniformity {float(uniformity(table, 2.0)):.3f}; infinitely many points: {limit(32, 2.0):.3f}")
print(f"nearest neighbour of the same digit: {neighbour_accuracy(table, digits):.1%}")

# %% [markdown]
# Both meters are about views and places. Neither has seen a class, and neither asks whether *different* images that look alike lie
# near each other. A network is not free to be a lookup table: it is smooth, so what looks alike lands alike.
#
# ## 7. Who is who
#
# `given.places` holds five embeddings of the same 60 test digits under the letters A to E; each is a dict with `z1`, `z2` (two views,
# rows of length one) and `labels`. They are, in an order of their own:
#
# - `"untrained"`: a network before training,
# - `"alignment only"`: trained for alignment and nothing else,
# - `"uniformity only"`: trained for uniformity, with hardly any weight on alignment,
# - `"both"`: trained for both,
# - `"lookup table"`: no network at all.
#
# Measure, then tell them apart. This answer is graded when you hand it in; here you only see that it was taken.

# %% nbgrader={"grade": false, "grade_id": "places", "locked": false, "schema_version": 3, "solution": true, "task": false}
places = {"A": "", "B": "", "C": "", "D": "", "E": ""}
### BEGIN SOLUTION
for name, views in given.places.items():
    apart, even = float((views["z1"] - views["z2"]).square().sum(dim=1).mean()), float(uniformity(views["z1"], 2.0))
    if even > -1:
        places[name] = "alignment only" if even > -0.01 else "untrained"
    else:
        places[name] = "lookup table" if apart < 1e-9 else "both" if apart < 0.8 else "uniformity only"
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "check_a3_places", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
grading.check("a3.places", places)

# %% tags=["demo"]
print("     alignment  uniformity  nearest neighbour of the same digit")
for letter, each in given.places.items():
    aligned = float((each["z1"] - each["z2"]).square().sum(dim=1).mean())
    even, right = float(uniformity(each["z1"], 2.0)), neighbour_accuracy(each["z1"], each["labels"])
    print(f"{letter}    {aligned:9.4f}  {even:10.3f}  {right:.0%}   {places[letter]}")

# %% [markdown]
# ## 8. What ranks what
#
# `given.runs` is a list of 39 small runs on digits, drawn from 54: nine losses, two seeds, and views of three strengths (how hard
# the images are changed). A run is a dict with `alignment`, `uniformity`, two qualities of the embedding, and the `strength` of its views. The
# qualities are `kNN` (do neighbours share a class?) and `probe` (a linear classifier that was shown two labels of each class).
#
# "The lower the meter, the better the quality" is a statement about order, so use **rank correlation** (Spearman's; equal values
# share the mean of their ranks; `scipy.stats.spearmanr` does that), between *minus* the meter and the quality. Give two numbers:
#
# - `"pooled"`: over all runs of the list,
# - `"lowest"`: for each strength of views by itself, the lowest of them. A sentence that is to hold whatever the views must survive
#   this one.
#
# `meter` is `"alignment"`, `"uniformity"` or `"sum"` (of the two); `quality` is `"kNN"` or `"probe"`.


# %% nbgrader={"grade": false, "grade_id": "ranked", "locked": false, "schema_version": 3, "solution": true, "task": false}
def ranked(runs, meter, quality):
    """How well a low meter foretells a high quality: {"pooled": ..., "lowest": ...}, rank correlations."""
    ### BEGIN SOLUTION
    from scipy.stats import spearmanr

    def among(some):
        meters = [run["alignment"] + run["uniformity"] if meter == "sum" else run[meter] for run in some]
        return float(spearmanr([-value for value in meters], [run[quality] for run in some]).statistic)

    strengths = {run["strength"] for run in runs}
    return {"pooled": among(runs), "lowest": min(among([run for run in runs if run["strength"] == s]) for s in strengths)}
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a3_ranked", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
grading.check("a3.ranked", ranked)


# %% tags=["demo"]
def panel(quality):
    return (
        np.array([-(run["alignment"] + run["uniformity"]) for run in given.runs]),
        np.array([run[quality] for run in given.runs]),
        [f"strength {run['strength']:g}" for run in given.runs],
    )


show(
    figures.rankings({"kNN": panel("kNN"), "probe": panel("probe")}, xlabel="minus (alignment + uniformity)"),
    "Accuracy against minus the sum of both meters, one colour for each strength of views. kNN rises with it over all runs, but "
    "hardly within the gentle views; the probe does not rise over all runs, and under gentle views it falls.",
)

# %% [markdown]
# ## 9. Five sentences
#
# Which of these do *your* runs support? Say a sentence is supported if its rank correlation is above 0.4. For each give the number
# behind it and the verdict.
#
# | key | sentence |
# |---|---|
# | `"sum, kNN, pooled"` | Over all of these runs: the lower the sum of both meters, the better kNN. |
# | `"sum, kNN, any views"` | Whatever the strength of the views: the lower the sum, the better kNN. |
# | `"sum, probe, pooled"` | Over all of these runs: the lower the sum, the better the probe. |
# | `"alignment, kNN, pooled"` | Over all of these runs: the lower the alignment, the better kNN. |
# | `"uniformity, kNN, pooled"` | Over all of these runs: the lower the uniformity, the better kNN. |
#
# `{"sum, kNN, pooled": {"number": ..., "supported": True or False}, ...}`

# %% nbgrader={"grade": false, "grade_id": "sentences", "locked": false, "schema_version": 3, "solution": true, "task": false}
sentences = {}
### BEGIN SOLUTION
for sentence in (
    "sum, kNN, pooled",
    "sum, kNN, any views",
    "sum, probe, pooled",
    "alignment, kNN, pooled",
    "uniformity, kNN, pooled",
):
    meter, quality, over = sentence.split(", ")
    number = ranked(given.runs, meter, quality)["pooled" if over == "pooled" else "lowest"]
    sentences[sentence] = {"number": number, "supported": number > 0.4}
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "check_a3_sentences", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
grading.check("a3.sentences", sentences)

# %% [markdown]
# ## 10. In words
#
# A reviewer writes: *"The authors' embedding is better aligned and more uniform than ours. So its features are better."* Answer in
# half a page, with your numbers:
#
# 1. Give a counterexample to the second sentence, with three numbers.
# 2. Which of your five sentences could the reviewer use, and with which words would you limit it? Why can a sentence be true of all
#    runs together and fail in one of the parts?
# 3. What else would you want to know about how the two meters were measured before you compare them across papers?

# %% [markdown] nbgrader={"grade": true, "grade_id": "answer", "locked": false, "points": 4, "schema_version": 3, "solution": true, "task": false}
# ### BEGIN SOLUTION
# A lookup table gives every digit one random direction for all its views. Its alignment is 0, its uniformity in 32 dimensions is
# -3.75, as even as infinitely many points; and the nearest neighbour of a digit is the same digit in about one case in ten, which
# is chance. Trained networks are worse on both meters and far better on the task. Both meters only know which views belong
# together and where points lie. That similar images of one class come to lie together is due to the network and to the views.
#
# Over all of my 39 runs the sum ranks kNN (rank correlation 0.74), and uniformity alone does so at least as well (0.79). I would
# write: "among these small networks on digits, with views of three strengths pooled". It does not hold whatever the views: under
# gentle views (lowest, -0.20) all runs have a kNN accuracy between 0.97 and 0.99, a few test images apart, and their order is noise
# or has other causes. The pooled number lives in part on differences between the strengths and on a few nearly collapsed runs
# (without the seven whose uniformity is above -1.2 it is 0.55). And it is about kNN: with the probe from two labels a class the
# pooled correlation is about 0 (-0.02).
#
# I would ask for the number of points, because n points can lie below the limit and batches of different sizes do not compare; for
# t and the dimension; for the views, since alignment is measured on them, and gentler views make it smaller for nothing; and
# whether rows were normalised and the pairs of a point with itself left out. And for seeds, and a row for the untrained network.
# ### END SOLUTION

# %% [markdown]
# **Before you hand in:** *Kernel → Restart Kernel and Run All Cells*, then *Validate*. Leave the cells with checks as they are;
# should one get lost, the grader puts it back.
