# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # a4: Collapse, and how to tell
#
# A run can end with all its points in one place, or with most of its directions dead, and its loss will not tell. In this
# assignment you build the meters, put them into the right order, see what holds two well-known methods up, examine a ward of
# twelve runs that went wrong or did not, and repair one.
#
# **You will be able to** compute a spectrum and an effective rank, and say of both what was done before: centred or not,
# squared or not; tell complete from dimensional collapse; say which side of a loss must stand still and along which axis a
# variance must be held; and diagnose a run from its meters.
#
# **Before:** singular values as axes and lengths; lessons `03_dimensional_collapse` and `03a_collapse_clinic`, whose explorer
# has other patients. **Work:** about two hours (an estimate, not timed).
#
# | part | function | points |
# |---|---|---|
# | 1 singular values and variances | `spectrum` | 3 |
# | 2 how many directions | `effective_rank` | 5 |
# | 3 complete, dimensional, or neither | `verdict` | 6 |
# | 4 which side stands still | `simsiam_loss` | 3 |
# | 5 which axis varies | `variance_term` | 3 |
# | 6 the ward: twelve beds | `diagnosis` | 13 |
# | 7 one repair | `repair` | 4 |
#
# **Help.** Run the cell below each answer as often as you like. It says which parts are right, knows the usual mistakes by
# name, and has three hints for each, one after the other; reading them costs nothing. Your grade comes from the same checks at
# inputs that you have not seen. You may compare with `labkit.metrics` while you work; your answers themselves may not call it.

# %% nbgrader={"grade": false, "grade_id": "setup", "locked": true, "schema_version": 3, "solution": false, "task": false}
try:
    import labkit
except ModuleNotFoundError:
    raise SystemExit("labkit is missing here: install it as your course says, then restart the kernel") from None

# %% nbgrader={"grade": false, "grade_id": "given", "locked": true, "schema_version": 3, "solution": false, "task": false}
import torch

from labkit import grading

VARIANT = "practice"
given = grading.given("a4", VARIANT)

# %% [markdown]
# ## 1. Singular values and variances
#
# $n$ points in $d$ dimensions are the rows of a matrix $Z$. Its singular values $\sigma_1 \ge \sigma_2 \ge \dots$ say how far
# the cloud reaches along each of its own axes; there are $\min(n, d)$ of them. Three things change what they say, and papers
# differ in all three:
#
# - **Centred or not.** With the mean row $\bar z$ taken away first, they describe the cloud about its centre. As given, a
#   cloud that lies far from the origin has one very large singular value, and that one says only where it lies.
# - **Lengths or squares.** The mean square along axis $k$ is $\sigma_k^2 / n$; of a centred cloud these are the variances, the
#   eigenvalues of the covariance (divided by $n$). Squares make every difference look larger.
# - **Rows as given, or of length one.** Here: as given.


# %% nbgrader={"grade": false, "grade_id": "spectrum", "locked": false, "schema_version": 3, "solution": true, "task": false}
def spectrum(z, centered, variances):
    """Of z (n, d): its min(n, d) singular values, the largest first; with variances=True the mean squares along the same axes.

    centered: whether the mean row is taken away first. Rows are used as given.
    """
    ### BEGIN SOLUTION
    if centered:
        z = z - z.mean(0)
    sigma = torch.linalg.svdvals(z)
    return sigma**2 / len(z) if variances else sigma
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a4_spectrum", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
grading.check("a4.spectrum", spectrum)

# %% [markdown]
# ## 2. How many directions
#
# Divide the singular values by their sum, so that they are shares $p_k$, and take the exponential of their entropy:
#
# $$\operatorname{rank}(Z) = \exp\Big( - \sum_k p_k \log p_k \Big), \qquad p_k = \frac{\sigma_k}{\sum_l \sigma_l} .$$
#
# (Roy and Vetterli, EUSIPCO 2007; RankMe, Garrido et al. 2022, arXiv 2210.02885, is the same with a small number added.) $k$
# equal axes give $k$; one axis gives 1. Dead directions have $p_k = 0$ and count nothing, since $p \log p$ tends to 0; a
# matrix of zeros has rank 0. The rank of a cloud that is a billion times smaller is the same: mind what you add, and where.


# %% nbgrader={"grade": false, "grade_id": "effective_rank", "locked": false, "schema_version": 3, "solution": true, "task": false}
def effective_rank(z, centered):
    """The effective rank of z (n, d), rows as given, about their mean if `centered`: a number; 0 for a matrix of zeros."""
    ### BEGIN SOLUTION
    sigma = spectrum(z, centered, variances=False)
    if not sigma.any():
        return torch.tensor(0.0)
    p = sigma / sigma.sum()
    return torch.special.entr(p).sum().exp()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a4_effective_rank", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
grading.check("a4.effective_rank", effective_rank)

# %% [markdown]
# Before you trust it, look at what it cannot know. Below, one cloud of directions is narrowed step by step around a common
# axis, until it is almost a point; and one and the same Gaussian is measured on more and more rows.

# %% tags=["demo"]
from labkit import show
from labkit.figures.theme import BLUE, MUTED, VERMILION, canvas

draw = torch.Generator().manual_seed(0)
noise, axis = torch.randn(400, 32, generator=draw), torch.nn.functional.one_hot(torch.tensor(0), 32)
widths = torch.logspace(1, -3, 25)
clouds = [torch.nn.functional.normalize(axis + width * noise / 32**0.5, dim=1) for width in widths]
rows = [24, 48, 96, 192, 400, 800, 1600]
gaussian = torch.randn(rows[-1], 96, generator=draw)
figure, (left, right) = canvas(2, width=11)
left.plot(widths, [float(effective_rank(z, True)) for z in clouds], color=BLUE, label="effective rank, centred")
left.plot(widths, [32 * float(1 - z.mean(0).square().sum()) for z in clouds], color=VERMILION, label="spread, times 32")
left.set(xscale="log", xlabel="width of the cone", ylim=(0, 34), title="The rank does not see scale")
left.invert_xaxis()
left.legend(loc="center right")
right.plot(rows, [float(effective_rank(gaussian[:n], True)) for n in rows], "o-", color=BLUE)
right.axhline(96, color=MUTED, linestyle="--")
right.set(xscale="log", xlabel="rows n", ylabel="effective rank, centred", ylim=(0, 102), title="Nor how few points there are")
right.set_xticks(rows[::2], [str(n) for n in rows[::2]])
right.minorticks_off()
show(figure, "Left: as a cone narrows its spread falls to nothing while its rank stays near 31. Right: the rank of a Gaussian in "
     "96 dimensions rises with the number of rows, from below 24 towards 96.")  # fmt: skip

# %% [markdown]
# *Questions to keep in mind.* At a width of 0.001, is this cloud healthy? Two groups report ranks of 45 and 90 for their
# embeddings of 96 dimensions; what do you ask first?
#
# ## 3. Complete, dimensional, or neither
#
# So two numbers, in this order, of rows of length one:
#
# 1. **Scale.** The spread is the total variance of the unit rows, $1 - \lVert \bar z \rVert^2$: 0 if all are the same, nearly
#    1 if they point everywhere. The norm of the mean vector and the spread are one number said twice.
# 2. **Rank.** The effective rank of the unit rows about their mean, since the scale has spoken about the mean.
#
# Neither has a bound of its own. An untrained network sends everything into a narrow cone; so you are given a second run of
# the same kind which is known to be healthy, with its own number of rows:
#
# | | verdict |
# |---|---|
# | spread less than a tenth of the healthy one's | `"complete"`: stop here, whatever the rank |
# | else: rank less than half of the healthy one's | `"dimensional"` |
# | else | `"neither"`: which says nothing about quality yet |
#
# Ranks are compared at equal numbers of rows: if one of the two clouds has more, use its first rows only.


# %% nbgrader={"grade": false, "grade_id": "verdict", "locked": false, "schema_version": 3, "solution": true, "task": false}
def verdict(z, healthy):
    """What has become of z (n, d), beside the outputs of a healthy run (m, d): "complete", "dimensional" or "neither"."""
    ### BEGIN SOLUTION
    z, healthy = (torch.nn.functional.normalize(x, dim=1) for x in (z, healthy))
    spreads = [1 - x.mean(0).square().sum() for x in (z, healthy)]
    if spreads[0] < spreads[1] / 10:
        return "complete"
    n = min(len(z), len(healthy))
    ranks = [effective_rank(x[:n], centered=True) for x in (z, healthy)]
    return "dimensional" if ranks[0] < ranks[1] / 2 else "neither"
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a4_verdict", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": false}
grading.check("a4.verdict", verdict)

# %% [markdown]
# Four runs that are stored, measured by your functions: digits by InfoNCE, and by alignment with nothing against it; a linear
# map on a Gaussian whose views agree, and one whose views disagree in twelve of sixteen directions.

# %% tags=["demo"]
from labkit import results

stored = {name: torch.tensor(z[0]).float() for name, z in results.load("course_embeddings").items()}
for name, z in stored.items():
    rows = torch.nn.functional.normalize(z, dim=1)
    spread, rank = 1 - rows.mean(0).square().sum(), effective_rank(rows, centered=True)
    beside = stored[name.split(",")[0] + ", well"]
    print(f"{name:18} spread {spread:.4f}   rank {rank:5.1f} of {z.shape[1]}   verdict: {verdict(z, beside)}")

# %% [markdown]
# The run with the highest rank is not the one to be proud of. *Question:* the linear map with noisy
# views has lost most of its directions. Is that a fault? (What did its views say should be forgotten?)
#
# ## 4. Which side stands still
#
# Alignment alone is perfect where all points are one, and the second run above went there. SimSiam (Chen and He 2020, arXiv
# 2011.10566, equations 1 to 4) has no negatives either, and usually does not collapse. A predictor turns each embedding $z$ into
# a prediction $p$, and each view's prediction is compared with the embedding of the *other* view, which is a constant for the
# gradient (`stop`):
#
# $$L = -\frac{1}{2n} \sum_i \Big[ \cos\big(p_{1i}, \operatorname{stop}(z_{2i})\big)
# + \cos\big(p_{2i}, \operatorname{stop}(z_{1i})\big) \Big] .$$
#
# The value does not depend on where the stop stands. The gradient does, and the gradient is all that training sees.


# %% nbgrader={"grade": false, "grade_id": "simsiam_loss", "locked": false, "schema_version": 3, "solution": true, "task": false}
def simsiam_loss(p1, z2, p2, z1):
    """SimSiam's loss of predictions p1, p2 and embeddings z1, z2, all (n, d), rows of any length: a number."""
    ### BEGIN SOLUTION
    cosine = torch.nn.functional.cosine_similarity
    return -(cosine(p1, z2.detach()) + cosine(p2, z1.detach())).mean() / 2
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a4_simsiam_loss", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
grading.check("a4.simsiam_loss", simsiam_loss)

# %% [markdown]
# ## 5. Which axis varies
#
# VICReg (Bardes et al. 2021, arXiv 2105.04906) asks for variance outright: every dimension $a$ of the outputs should have,
# *from row to row*, a standard deviation of at least a floor $\gamma$. What is lacking is the loss:
#
# $$\frac1d \sum_a \max\Big(0,\; \gamma - \sqrt{\operatorname{Var}(z_{\cdot a}) + 10^{-4}}\Big),
# \qquad \operatorname{Var} \text{ with } n - 1 .$$
#
# Rows as given, not of length one. The $10^{-4}$ stands under the root, so that the slope stays finite when a dimension is
# dead: if all rows are the same, the term is $\gamma - 0.01$.


# %% nbgrader={"grade": false, "grade_id": "variance_term", "locked": false, "schema_version": 3, "solution": true, "task": false}
def variance_term(z, floor):
    """What the dimensions of z (n, d) lack, on average, of a standard deviation of `floor`: a number."""
    ### BEGIN SOLUTION
    width = (z.var(dim=0) + 1e-4).sqrt()
    return torch.relu(floor - width).mean()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a4_variance_term", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
grading.check("a4.variance_term", variance_term)

# %% tags=["demo"]
point = torch.randn(1, 16, generator=draw).repeat(64, 1)
print(f"64 rows, all the same: the term says {variance_term(point, 1.0):.2f}")
print(f"standard deviation along each row: {point.std(1).mean():.2f}; along each dimension: {point.std(0).mean():.2f}")

# %% [markdown]
# Measured along the rows, that pile of equal points would look well: its numbers differ from each other, in every row alike.
#
# ## 6. The ward
#
# Twelve runs on digits lie in beds 1 to 12: a small network, 150 steps, by InfoNCE, SimSiam, VICReg or Barlow Twins. Each is
# healthy or has exactly one of the twelve diseases of lesson 03a; which runs, and in which beds, depends on your variant.
# Healthy runs differ, too: temperatures, learning rates and batches are drawn, so a healthy run may step out of a band a
# little. A band is the range of twenty healthy runs with the same objective.

# %% tags=["demo"]
from labkit import explorers
from labkit.recipes.clinic import LABELS
from labkit.recipes.course_collapse import beds

print(*LABELS, sep="\n")
show(explorers.clinic(set="ward", beds=given.ward))

# %% [markdown]
# Write down what each bed has, in the words above: as a table by bed, or as rules over the meters. Your function is handed the
# number of the bed and the run, a dict: `"objective"`, a word; `"steps"`; each meter as 12 numbers, one for each snapshot
# (`"loss"`, where 0 is the floor of a healthy loss and 1 is chance; `"spread"`; `"rank_z"` and `"rank_h"`, as shares of the
# width; `"partner"` and `"nearest"`, cosines; `"knn_seen"` and `"knn_unseen"`, accuracies on images as they are seen in
# training and on new ones; `"length"`; `"weights"`, where 1 is the start; `"gradient"`); and `"low"` and `"high"`, dicts of
# the same meters for the two ends of the band.
#
# The check below only sees to it that every bed has a diagnosis that exists. Which ones are right is graded after you hand in,
# one point for each bed.


# %% nbgrader={"grade": false, "grade_id": "diagnosis", "locked": false, "schema_version": 3, "solution": true, "task": false}
def diagnosis(bed, run):
    """What the run in this bed has: "healthy", or one of the twelve diseases."""
    ### BEGIN SOLUTION
    end = {name: values[-1].item() for name, values in run.items() if isinstance(values, torch.Tensor)}
    low, high = ({name: values[-1].item() for name, values in run[side].items()} for side in ("low", "high"))
    kind, small = run["objective"], end["spread"] < low["spread"] / 2
    rules = {  # in this order: each may rely on those before it
        "half precision": not abs(end["loss"]) < float("inf"),
        "weight decay too high": end["weights"] < 0.7 * low["weights"],
        "learning rate too high": end["weights"] > 1.5 * high["weights"],
        "identical augmentations": run["partner"][0] > 0.999,
        "projector removed": end["rank_h"] < low["rank_h"] and abs(end["rank_z"] - end["rank_h"]) < 0.02,
        "normalisation forgotten": kind == "InfoNCE" and end["loss"] < -0.02,
        "no stop-gradient": kind == "SimSiam" and small,
        "variance term removed": kind == "VICReg" and end["length"] < low["length"] / 2,
        "label leak": end["knn_seen"] - end["knn_unseen"] > 0.08,
        "temperature far too low": small,
        "false negatives": end["loss"] > 1.1 * high["loss"] and end["knn_seen"] < low["knn_seen"] - 0.05,
        "batch of duplicates": kind == "InfoNCE" and end["nearest"] > high["nearest"],
    }
    return next((label for label, fits in rules.items() if fits), "healthy")
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_a4_diagnosis", "locked": true, "points": 13, "schema_version": 3, "solution": false, "task": false}
grading.check("a4.diagnosis", diagnosis)

# %% [markdown]
# A second look. For each bed: what you say, what one should then see, and which meters are out of their bands at the last
# step. The machine does not know whether you are right; do the three agree?

# %% tags=["demo"]
from labkit.explorers.clinic_words import SIGNS
from labkit.recipes.clinic_runs import METERS

signs = {**SIGNS, "healthy": "Then the meters stay in their bands, or close to them."}
for bed, run in beds(given.ward).items():
    out = [m for m in METERS if not run["low"][m][-1] <= run[m][-1] <= run["high"][m][-1]]
    said = diagnosis(bed, run)
    print(f"bed {bed}, {run['objective']}: {said}. {signs.get(said, 'No such diagnosis.')}")
    print(f"    out of their bands: {', '.join(f'{m} {run[m][-1]:.3g}' for m in out) or 'none'}\n")

# %% [markdown]
# ## 7. One repair
#
# One more patient, small enough to be trained again and again: a linear map of 16 dimensions to 8, by VICReg. Its views agree
# in the first dimension and disagree more and more towards the last. A run has five settings: the weights of the three terms
# (`"alignment"`, `"variance"`, `"covariance"`), the `"weight_decay"` of AdamW and its learning rate `"lr"`. `given.sick` has a
# fault in *one* of them. Healthy runs differ a little in all.
#
# It is called well if, on points that it has not seen, an output has a *variance* of at least 0.5 on average, the eight
# outputs have an effective *rank* of at least 7 about their mean, and two views of a point *agree*, a mean cosine of at least
# 0.7. The first two are what parts 3 and 5 are about. The third is what it was trained for: without it, an untrained map would
# be called well.

# %% tags=["demo"]
from labkit.recipes.course_repair import HEALTHY, lacks, train

print("sick:   ", given.sick)
for name, settings in {"sick": given.sick, "a healthy run": HEALTHY}.items():
    found = train(settings, seed=0)
    print(f"{name:14}", *(f"{key} {value:.3f}" for key, value in found.items()), sep="   ")
    print(f"{'':14}   lacks: {lacks(found) or 'nothing'}")

# %% [markdown]
# Diagnose first: which of the three numbers fails, and which setting does that? Then change that one setting, in a dict such
# as `{"lr": 0.08}`, and try it: `train({**given.sick, **repair}, seed=1)`. The check trains it from other seeds, and so does
# the grade.

# %% nbgrader={"grade": false, "grade_id": "repair", "locked": false, "schema_version": 3, "solution": true, "task": false}
repair = {}
### BEGIN SOLUTION
usual = {"alignment": 1.0, "variance": 1.0, "covariance": 1.0, "weight_decay": 0.03, "lr": 0.08}
distance = {name: max(value / usual[name], usual[name] / value) for name, value in given.sick.items()}
fault = max(distance, key=distance.get)
repair = {fault: usual[fault]}
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "check_a4_repair", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
grading.check("a4.repair", repair)

# %% [markdown]
# Before and after, and what a run looks like that has each of the four faults. The shaded region is where a run is called
# well.

# %% tags=["demo"]
faults = {"variance": 0.02, "covariance": 0.005, "weight_decay": 12.0, "alignment": 80.0}
runs = {"sick": given.sick, "repaired": {**given.sick, **repair}, "untrained": {**HEALTHY, "lr": 0.0}}
runs |= {f"{name} {value:g}": {**HEALTHY, name: value} for name, value in faults.items()}
figure, ax = canvas(width=9.5, height=4.6)
ax.axvspan(0.5, 3, 7 / 9, color=BLUE, alpha=0.12, linewidth=0)
for name, settings in runs.items():
    found = train(settings, seed=2)
    color = {"sick": VERMILION, "repaired": BLUE}.get(name, MUTED)
    ax.scatter(found["variance"], found["rank"], s=90, color=color, zorder=3)
    word = f"{name}, agreement {found['agreement']:.2f}"
    offset = (0, -16) if name in ("sick", "untrained") else (0, 9)
    ax.annotate(word, (found["variance"], found["rank"]), offset, textcoords="offset points", ha="center", color=color)
ax.set(xscale="log", xlim=(0.003, 3), ylim=(0, 9), xlabel="variance of an output", ylabel="effective rank of eight outputs")
show(figure, "Runs by variance and rank. The repaired run lies in the shaded region at upper right; the untrained one as well, or "
     "nearby, but its views do not agree. Faults lie to the left, where the variance is gone, or below, where the rank is.")  # fmt: skip

# %% [markdown]
# *Questions to keep in mind.* Which faults would you miss if you logged the rank alone? Which if you logged the variance
# alone? And which of them has a *lower* loss than the healthy run, so that the log looks better than ever?
#
# **Before you hand in:** *Kernel → Restart Kernel and Run All Cells*, then *Validate*. Leave the cells with checks as they
# are; should one get lost, the grader puts it back.
