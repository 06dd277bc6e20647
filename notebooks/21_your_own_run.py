# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Your own run
#
# Three files become a report that you could show a colleague, a comparison, and an explorer on your own tensors.
#
# **You will be able to** get a report on any embeddings, read a number beside its null rows, know a broken input by its alarm,
# compare two models, check and train a loss of your own, and read the log of a preference run.
#
# **Before:** nothing. [01](01_alignment_uniformity.ipynb) and [03](03_dimensional_collapse.ipynb) explain the meters.
# **Reading:** 5 minutes; **computing:** about a minute on two CPU cores.
# **Data:** handwritten digits. A small encoder trained here stands for your model, and everything is live.

# %%
try:
    import labkit
except ModuleNotFoundError:
    raise SystemExit("labkit is missing here: run  %pip install -e ..  in a cell, then restart the kernel") from None

# %%
import json
import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from labkit import claim, data, explorers, predict, show
from labkit.data import augment
from labkit.lessons import scaled, seed, smoke
from labkit.recipes.likelihood_displacement import exact

# %% [markdown] tags=["notes"]
# **Fifteen minutes in a lecture.** Ask beforehand for somebody's files: two views, labels. Show them in place of the digits.
#
# 1. *The number alone* (4 min). "Effective rank 32 of 128. Good?" Take hands before you show the null rows. Expect half of
#    them at "lies idle". The untrained network has more.
# 2. *Broken on purpose* (5 min). Which number would have told you? Only those that read pairs, or labels.
# 3. *The log* (4 min). Accuracies 1.0 and a growing margin: nearly all say that the chosen answer became likelier.
# 4. *Discuss:* "Which of your published numbers had a null row beside it?"
#
# Slides: `report.save("report")` has every figure as SVG, PDF and PNG, with its data.

# %% [markdown]
# ## 1. What you have: files
#
# You have a model, and somewhere its embeddings. Here an encoder is trained for a few seconds, and leaves two views of each
# digit, their labels, and what it made of the first view *before* training.

# %%
digits = data.load("digits", split="train")
torch.manual_seed(seed())
encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 128))
run = labkit.fit(encoder=encoder, data=digits, loss="nt_xent", augment="digits", steps=scaled(300, 120), seed=seed())

# %%
folder, many = Path(tempfile.mkdtemp()), scaled(1437, 400)
view, draw = augment.digits(), torch.Generator().manual_seed(seed())
views = [view(digits.x[:many], generator=draw) for _ in range(2)]
with torch.no_grad():
    z1, z2, before = run.model()(views[0]), run.model()(views[1]), encoder(views[0])
y = digits.y[:many]
for name, array in {"z1": z1, "z2": z2, "y": y, "before": before}.items():
    np.save(folder / f"{name}.npy", array.numpy())

# %% [markdown]
# ## 2. One line
#
# In a terminal: `python -m labkit report z1.npy z2.npy --labels y.npy`. Here:

# %%
files = {"labels": folder / "y.npy", "untrained": folder / "before.npy"}
report = labkit.report(folder / "z1.npy", folder / "z2.npy", **files, name="digits")
rank = report["z1.effective_rank"]
print(f"effective rank {rank.estimate} of {z1.shape[1]} directions, from {rank.n:,} rows")

# %% [markdown]
# **Predict.** So the model uses well under half of its directions. Is that good?

# %%
predict("21-rank", ["yes, they suffice", "no, most lie idle", "this number does not say"])

# %%
nulls = {null.name: null.estimate.value for null in rank.nulls}
right = report["z1.knn_accuracy"]
untrained = {null.name: null.estimate.value for null in right.nulls}["untrained"]
print(f"effective rank: {rank.value:.1f}; untrained {nulls['untrained']:.1f}; random directions {nulls['isotropic']:.1f}")
print(f"right by its neighbours: {right.value:.0%}; untrained {untrained:.0%}")
claim("the encoder used more directions before it was trained", nulls["untrained"] - rank.value, ">", 0)
claim("and its neighbours were of the right class less often", right.value - untrained, ">", 0)
claim("random directions, which know nothing, have most", nulls["isotropic"] - nulls["untrained"], ">", 0)

# %% [markdown]
# It does not say. The rank fell and the neighbours became better; noise has the highest rank of all. That is why each number
# of a report stands beside **null rows**: the same meter on random directions at the same n and d, on shuffled pairs, on
# permuted labels, on the untrained model. First its alarms, then the numbers, and of each what it does *not* imply:

# %%
report

# %% tags=["cover"]
drawn = report.figures()["spectrum"]
show(drawn.figure, drawn.alt)
claim("a sound input raises no alarm", len(report.alarms), "==", 0, kind="exact")
claim("partners lie closer than shuffled pairs", report["alignment"].floor.estimate.value - report["alignment"].value, ">", 0)

# %% [markdown]
# ## 3. Broken on purpose
#
# **Predict.** Somebody sorts `z2.npy` in another order. Which numbers of the report change?

# %%
predict("21-shuffled", ["all of them", "those that read pairs", "none"])

# %%
order = torch.randperm(many, generator=torch.Generator().manual_seed(seed()))
twice = torch.arange(many) % (2 * many // 3)  # the last third repeats the first rows, with their labels
broken = {
    "shuffled-pairs": labkit.report(z1, z2[order], labels=y),
    "misaligned-labels": labkit.report(z1, z2, labels=y.roll(1)),
    "duplicate-rows": labkit.report(z1[twice], labels=y[twice]),
}
said = {code: [f.says for f in found.findings if f.code == code] for code, found in broken.items()}
for code, sentences in said.items():
    print(f"{code}: {' '.join(sentences)}\n")

# %%
named = [code for code, sentences in said.items() if sentences]
claim("each of the three is named", len(named), "==", 3, kind="exact")
moved = broken["shuffled-pairs"]["z2.uniformity"].value - report["z2.uniformity"].value
claim("out of order, the uniformity of z2 is what it was", abs(moved), "<", 1e-9, kind="exact")
pairing = broken["shuffled-pairs"]["alignment"]
claim("and the alignment is that of strangers, to a tenth", abs(pairing.value / pairing.floor.estimate.value - 1), "<", 0.1)

# %% [markdown]
# Only what reads pairs can see the pairs. Uniformity, rank and hubs are the same in any order, so a table of these would have
# gone to print.
#
# ## 4. Did it help? Compare
#
# Two models on the same rows, before and after training. The interval is that of the *difference*: what moves both from sample
# to sample cancels. Where it holds 0, the comparison says so: within noise.

# %%
change = labkit.compare(before, z1, labels=y, names=("before", "after"))
for meter in ("uniformity", "effective_rank", "knn_accuracy"):
    print(change[meter].says)
claim("training made it more uniform, beyond noise", change["uniformity"].change.high, "<", 0)
claim("and its neighbours better, beyond noise", change["knn_accuracy"].change.low, ">", 0)

# %% [markdown]
# ## 5. Your own loss
#
# A loss from a notebook, as one writes it. `check_objective` puts it through what every loss of labkit has to pass.


# %%
def mine(z1, z2, temperature=0.2):
    s = F.normalize(z1, dim=-1) @ F.normalize(z2, dim=-1).T / temperature
    return (s.exp().sum(1).log() - s.diagonal()).mean()


card = labkit.check_objective(mine)


# %% [markdown]
# It works at 0.2, where one would try it, and is infinite at a low temperature. Mended, and trained on the same digits with the
# same line as above:


# %%
def mended(z1, z2, temperature=0.2):
    s = F.normalize(z1, dim=-1) @ F.normalize(z2, dim=-1).T / temperature
    return (s.logsumexp(1) - s.diagonal()).mean()


again = labkit.check_objective(mended, quiet=True)
print(again["catalog"].says)
yours = labkit.fit(encoder=encoder, data=digits, loss=mended, augment="digits", steps=scaled(100, 30), seed=seed())
claim("the overflow is found", card["low temperature"].verdict == "failed", "==", 1, kind="exact")
claim("mended, nothing is wrong", len(again.failed), "==", 0, kind="exact")
claim("and it trains", yours.history["loss"][0] - yours.history["loss"][-1], ">", 0)

# %% [markdown]
# ## 6. Explore
#
# Any explorer that can, takes your tensors. Nothing is trained: move the temperature, and see whom a loss *would* push, were
# these embeddings its batch.

# %%
own = explorers.temperature(z1, z2, y, temperature=0.1)
show(own)

# %%
seen = own.seen(own.start)
nearest = dict(zip(seen["taus"], seen["near_all"], strict=True))  # of the push, what falls on the nearest 5 %, by temperature
print({f"{t:.2g}": f"{share:.0%}" for t, share in list(nearest.items())[::6]})
claim(
    "the lower the temperature, the more of the push falls on the nearest",
    np.diff(seen["near_all"]).max(),
    "<=",
    0,
    kind="exact",
)

# %% [markdown]
# ## 7. A preference run
#
# The same door takes the log of somebody's DPO. This one has one prompt and three answers, Yes, No and Never; No is preferred
# to Never, and the rows are as TRL's trainer writes them.
#
# **Predict.** `rewards/accuracies` is 1.0, and the margin has grown with every row. The probability of the chosen answer has

# %%
predict("21-chosen", ["risen", "fallen", "stayed"])

# %%
told = labkit.fit(exact("features")).history
rows = [
    {
        "step": told["step"][k],
        "loss": told["loss"][k],
        "rewards/chosen": 0.1 * told["chosen_gain"][k],
        "rewards/rejected": 0.1 * told["rejected_gain"][k],
        "rewards/accuracies": told["reward_accuracy"][k],
    }
    for k in range(10, 401, 10)
]
(folder / "trainer_state.json").write_text(json.dumps({"log_history": rows}))
diagnosis = labkit.report(folder / "trainer_state.json")
print(diagnosis)
claim("rewards/accuracies ends at", rows[-1]["rewards/accuracies"], "==", 1, kind="exact")
claim("and the chosen answer lost, in rewards", diagnosis.chosen.high, "<", 0)

# %% [markdown]
# It has fallen: the rejected one fell faster, and a third answer has what both lost. Lesson
# [04](04_likelihood_displacement.ipynb) shows how; `labkit.diagnose(..., beta=0.1)` tells the fall in nats.
#
# ## 8. Keep it, and keep it true
#
# `save` writes a page that needs no network, JSON with hashes of the inputs, a CSV of every number, and figures for a paper.
# `check` is for your own tests: it raises when a number is not what it was.

# %%
report.check(uniformity="<-1", alignment="<1", alarms="==0")
if not smoke():
    page = report.save(folder / "report") / "report.html"
    print(f"{page.stat().st_size / 1e6:.1f} MB: {page.as_uri()}")
print(report.methods()[:300], "...")

# %% [markdown]
# ## Now yours
#
# Three lines, on your files: `.npy`, `.npz`, `.pt`, `.safetensors`, `.parquet` or `.csv`; rows need not be normalised, and a
# million of them are sampled. Put their names here and set `RUN = True`:

# %%
RUN = False
if RUN:
    theirs = labkit.report("z1.npy", "z2.npy", labels="y.npy")  # or only "z1.npy"
    theirs.save("report")
    show(theirs.explore("temperature"))

# %% [markdown]
# ## What to remember
#
# - A number without a null row says nothing: random directions have the best rank and the best uniformity.
# - Alarms come first. Shuffled pairs change no number that does not read pairs.
# - A difference without the interval of the difference is an opinion.
# - Accuracies and margins of a preference run tell the sign of neither answer. Look at `rewards/chosen`.
#
# **What this does not show.** One data set, one small encoder, one seed: that rank and accuracy go opposite ways here is no
# rule either.
