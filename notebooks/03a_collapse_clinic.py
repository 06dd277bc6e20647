# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Collapse clinic
#
# A run can be ill in a dozen ways, and the loss is the last to say so. Here are twelve diseases, healthy look-alikes, and
# eleven meters. You are the doctor.
#
# **You will be able to** read scale, rank and mean in the right order, name twelve common mistakes from a run's meters, and
# say which meter gives which of them away.
#
# **Before:** effective rank and collapse (`03_dimensional_collapse`). **Reading** 25 minutes, **computing** about 20 seconds
# on two CPU cores. **Data:** 360 small runs on digits, stored; six more are trained now.

# %%
try:
    import labkit
except ModuleNotFoundError:
    raise SystemExit("labkit is missing here: run  %pip install -e ..  in a cell, then restart the kernel") from None

# %%
import numpy as np
import torch

from labkit import claim, predict, show
from labkit.explorers import recompute
from labkit.figures import spectrum as figures
from labkit.lessons import scaled, seeds
from labkit.recipes import clinic, clinic_machine, clinic_runs

# %% [markdown] tags=["notes"]
# **Fifteen minutes in a lecture.** Show *The loss is no doctor* (3 min), *Scale first* (3 min), *The clinic* (9 min).
#
# 1. *The loss is no doctor.* Ask how many of twelve mistakes make the loss lower than any healthy run's. Expect "none" or
#    "one".
# 2. *Scale first.* Show the table and the map: the two most collapsed runs have the highest rank.
# 3. *The clinic.* Open patient A. Ask the room which panel leaves its band, then for a diagnosis, and only then choose it.
#    Good ones to go on with: N (the loss is well, the spread is not), J (only the new images), I (the loss is not there), Q
#    (better than healthy), and O, who is well.
# 4. *Discuss:* "Which single meter would you add to your own training script?" (For most rooms: the spread, beside a healthy
#    run's.)

# %% [markdown]
# ## The loss is no doctor
#
# Each disease is one mistake in an otherwise sound run: a network 64-96-96 with a projector on digits, 150 steps, by InfoNCE,
# SimSiam, VICReg or Barlow Twins. Temperatures, learning rates, batches and views differ from run to run, as between people.

# %%
print(*clinic.LABELS[1:], sep="\n")

# %% [markdown]
# All losses are drawn alike: 0 is the floor of the healthy loss, 1 is chance (for SimSiam, whose collapsed value *is* its
# floor, 1 is where predictions are random). **Predict.** How many of the twelve end with a *lower* loss than every healthy
# run with the same objective?

# %%
predict("better-than-healthy", ["none", "one or two", "four or more"])

# %%
lower = {label: clinic.beyond(label, "loss", "below") for label in clinic.LABELS[1:]}
for label, share in sorted(lower.items(), key=lambda each: -each[1]):
    print(f"{label:26} {share:4.0%} of its runs end below every healthy run")

# %%
for label in ("no stop-gradient", "identical augmentations", "variance term removed", "normalisation forgotten"):
    claim(f"{label}: lower than every healthy run", lower[label], "==", 1)
hidden = [
    clinic.middle("label leak", name)["loss"] - clinic.middle("healthy", name)["loss"] for name in ("InfoNCE", "Barlow Twins")
]
claim("label leak: the loss of a healthy run", max(map(abs, hidden)), "<", 0.05)

# %% [markdown]
# A loss that is too good is a symptom. A mistake often makes the task easier: nothing to forget, nothing that keeps points
# apart, a second way to win. So we need meters that the loss does not see.
#
# ## Scale first, rank second
#
# Three numbers describe how a cloud of unit rows lies: its total variance, its effective rank over the width, and the length
# of its mean vector. The first and the last are one: the variance is $1 - \lVert \bar z \rVert^2$. Read them in this order:
#
# | total variance | mean vector | rank over width | name |
# |---|---|---|---|
# | near 0 | near 1 | anything | **complete collapse**: one point; stop here |
# | small | long | not small | a **cone**: one direction is shared; compare with healthy runs |
# | not small | short | small | **dimensional collapse** |
# | not small | short | not small | neither; nothing is said about quality yet |
#
# "Small" has no threshold: a healthy SimSiam without batch norm at its output lies in a cone, a healthy InfoNCE does not.
#
# **Predict.** VICReg without its variance term shrinks to a point. Its effective rank is then ...

# %%
predict("rank-of-the-ill", ["lower than any healthy run's", "within theirs", "higher than any healthy run's"])

# %%
cases = [("healthy", "InfoNCE"), ("healthy", "SimSiam"), ("healthy", "VICReg"), ("projector removed", "InfoNCE")]
cases += [("no stop-gradient", "SimSiam"), ("variance term removed", "VICReg"), ("weight decay too high", "SimSiam")]
found = {f"{label}, {name}": clinic.middle(label, name) for label, name in cases}
show(
    figures.decisions({name: (row["spread"], row["rank_z"]) for name, row in found.items()}),
    "A map of medians. Healthy InfoNCE and VICReg lie far right at middle rank, healthy SimSiam in the middle at a high "
    "rank. No stop-gradient lies left at the highest rank of all; weight decay on SimSiam further left at a low rank.",
)

# %%
for name, row in found.items():
    mean = np.sqrt(1 - row["spread"])
    about = (
        f"variance {row['spread']:.4f}   mean vector {mean:.3f}   rank of z {row['rank_z']:4.0%}   length {row['length']:.2f}"
    )
    print(f"{name:32} {about}")
for label in ("no stop-gradient", "variance term removed"):
    claim(f"{label}: less variance than any healthy run", clinic.beyond(label, "spread", "below"), "==", 1)
    claim(f"{label}: and a higher rank than any", clinic.beyond(label, "rank_z", "above"), "==", 1)

# %% [markdown]
# A rank divides by the sum of the singular values, so it does not know how small they are. And know which scale your loss can
# see: SimSiam and InfoNCE see directions only, so theirs is the variance of unit rows. VICReg sees the outputs as they are;
# its collapse is one of *length*, and the directions follow later. Now, live: three VICReg runs, and three without the
# variance term.

# %%
keys = seeds(scaled(3, 1))
live = {
    label: [list(clinic_runs.train(clinic.patient(label, 4 * k + 2)))[-1] for k in keys]
    for label in ("healthy", "variance term removed")
}
for label, rows in live.items():
    print(
        label,
        *(f"   length {row['length']:.2f}, variance {row['spread']:.2f}, rank {row['rank_z']:.0%}" for row in rows),
        sep="\n",
    )
shrunk = [ill["length"] / well["length"] for well, ill in zip(*live.values(), strict=True)]
claim("now: without its variance term VICReg shrinks", shrunk, "<", 0.3)
raised = [ill["rank_z"] - well["rank_z"] for well, ill in zip(*live.values(), strict=True)]
claim("now: and its rank rises", raised, ">", 0)

# %% [markdown]
# ## The clinic
#
# Twenty-four patients, six of them well. Bands are the range of twenty healthy runs with the same objective. Look first, then
# name: a diagnosis tells you at once whether it is right, and what gave it away. Play through the steps: some diseases show
# at once, some at the end.

# %%
show(labkit.explorers.clinic())

# %% [markdown]
# Signs that are worth remembering, counted over twenty runs each:

# %%
low = [clinic.beyond("temperature far too low", meter, "below") for meter in ("spread", "loss")]
claim("temperature far too low: the spread stays below", low[0], "==", 1)
claim("temperature far too low: the loss does not", low[1], "<", 0.2)
claim("batch of duplicates: the loss stays above", clinic.beyond("batch of duplicates", "loss", "above"), ">", 0.9)
claim("weight decay too high: the weights are below", clinic.beyond("weight decay too high", "weights", "below"), "==", 1)
claim("learning rate too high: they are above", clinic.beyond("learning rate too high", "weights", "above"), "==", 1)
gaps = {label: np.median([run[6, -1] - run[7, -1] for run in clinic.stored_runs(label)]) for label in ("healthy", "label leak")}
claim("label leak: seen images are told better than new ones", gaps["label leak"] - gaps["healthy"], ">", 0.1)

# %% [markdown]
# Some of these "diseases" do little harm here: without a projector, or with identical views, neighbours name new digits as
# well as in healthy runs. At this scale they are facts about a run, not yet an illness. A diagnosis says what is, not how bad
# it is.

# %%
for label in ("projector removed", "identical augmentations"):
    claim(f"{label}: few are worse than every healthy run", clinic.beyond(label, "knn_unseen", "below"), "<=", 0.1)

# %% [markdown]
# ## How a number stops being one
#
# Half precision is the odd one out: nothing is wrong with the recipe. Computed as the formula stands, the sum of exponentials
# is too large for float16 when all points lie in a cone, as they do before the first step.
#
# **Predict.** The sum overflows, so the loss is infinite, but each exponential is still finite. The gradient is ...

# %%
predict("overflow", ["not a number", "infinite", "finite: the pull alone, without the push", "zero"])

# %%
z = torch.nn.functional.normalize(
    1 + 0.01 * torch.randn(64, 32, generator=torch.Generator().manual_seed(0)), dim=1
).requires_grad_()
partner = z.detach().roll(1, 0)
loss = clinic_runs.naive(z, partner, 0.14)
pull = torch.autograd.grad(-(z * partner).sum(1).mean() / 0.14, z)[0]
both = torch.autograd.grad(loss, z)[0]
along = torch.nn.functional.cosine_similarity(both.flatten(), (pull - (pull * z).sum(1, keepdim=True) * z).flatten(), dim=0)
print(f"loss {loss.item()}, gradient finite: {bool(both.isfinite().all())}, cosine with the pull alone {along.item():.4f}")
claim("the gradient of an infinite loss is the pull alone", along, ">", 0.99)

# %% [markdown]
# One over infinity is zero: every negative's share of the push is nothing. The run then trains alignment without uniformity,
# and collapses with an infinite loss on its log. With a temperature below 0.09 a single exponential overflows; its gradient
# is infinity times zero, and one step later nothing in the network is a number. `12_numbers_and_names` looks closer.

# %%
ends = clinic.stored_runs("half precision")[:, :, -1]
nothing, infinite = np.isnan(ends[:, 1]).sum(), np.isinf(ends[:, 0]).sum()
print(f"of {len(ends)} runs in half precision {nothing} end as NaN, {infinite} with an infinite loss")
claim("in none is the last loss a number", np.isfinite(ends[:, 0]).mean(), "==", 0, kind="exact")

# %% [markdown]
# ## Is it fair?
#
# A clinic may ask only what its meters can tell. So a machine (a random forest) reads the meters of ten runs of each disease,
# and names ten others of each; then the other way round. The runs are **stored** (`python -m labkit results clinic_seeds`,
# about five minutes on an idle machine).

# %%
recompute("clinic_seeds")

# %%
table = clinic_machine.confusion()
for label, row in zip(clinic.LABELS, table, strict=True):
    second = clinic.LABELS[int(np.argsort(row)[-2])] if row.max() < 1 else ""
    print(f"{label:26} {row[clinic.LABELS.index(label)]:4.0%}" + (f"   else mostly: {second}" if second else ""))
claim("every label is recovered, the worst of them in", table.diagonal().min(), ">=", 0.9)

# %% [markdown]
# ## What to remember
#
# - A loss can be ill by being too good. Draw its floor.
# - Scale first, rank second, and both beside healthy runs of the *same* objective.
# - The size of the weights names two diseases at once; seen against new images names the leak. No cosine shows them.
# - An infinite loss may still have a finite gradient, and it is the wrong one.
#
# **Next:** `04_likelihood_displacement`. For the assignment, `labkit.recipes.clinic.graded()` hands out other patients,
# without answers.
