# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Dimensional collapse
#
# An embedding of 512 dimensions may live in 32 of them. No cosine can see it, training can cause it, and the number that is
# meant to detect it is blind to something worse.
#
# **You will be able to** say which losses can see dead dimensions, cause and prevent their death, tell complete from
# dimensional collapse by two numbers in the right order, and say what an effective rank does not tell you.
#
# **Before:** singular values as "axes and lengths"; uniformity (`01_alignment_uniformity`). **Reading** 55 minutes,
# **computing** about a minute and a half on two CPU cores. **Data:** a Gaussian toy, nested classes, digits; Fashion-MNIST from
# stored results.

# %%
try:
    import labkit
except ModuleNotFoundError:
    raise SystemExit("labkit is missing here: run  %pip install -e ..  in a cell, then restart the kernel") from None

# %%
from itertools import pairwise

import numpy as np
import torch

from labkit import claim, explorers, fit, metrics, predict, results, show
from labkit.data import load
from labkit.explorers import recompute
from labkit.figures import spectrum as figures
from labkit.lessons import scaled, seed, seeds
from labkit.recipes import dimensional_collapse as recipe
from labkit.recipes.time_machine import film, films

torch.set_num_threads(1)  # the models here are small: two threads would mostly wait for each other

# %% [markdown] tags=["notes"]
# **Fifteen minutes in a lecture.** Show *Blind* (4 min), *Noise kills directions* (5 min), *Scale first* (4 min).
#
# 1. *Blind.* Ask which of the four numbers move when 480 of 512 dimensions are dead. Expect half the room to say "uniformity".
#    Nothing that is made of cosines moves; then the figure with all losses.
# 2. *Noise kills directions.* Let them guess what noise does to directions 9 to 16: expect "less and less". Beyond a threshold
#    it is nothing at all. Drag the slider over the steps.
# 3. *Scale first.* Ask which has the higher effective rank: a network that puts all digits at one point, or InfoNCE's? Expect
#    nearly all hands for InfoNCE. Show the map.
# 4. *Discuss:* "Your colleague selects checkpoints by effective rank. What could go wrong?" (A collapse of scale scores high;
#    ranks at different n do not compare; the untrained network beats every trained one.)
#
# Slides: each figure is one cell; `figure.savefig("map.png", dpi=300)` on what the function returns writes it.

# %% [markdown]
# ## Blind
#
# 400 points of ten clusters on the sphere of $\mathbb R^{32}$, two views of each. We move them into $\mathbb R^{512}$ without
# changing a single distance: 480 zeros beside them, then a rotation, so that no coordinate looks dead.
#
# **Predict.** 480 of 512 dimensions are now dead. Which of these numbers can tell?

# %%
predict("blind", ["InfoNCE's loss", "uniformity", "kNN accuracy", "all of these", "none of these"])

# %%
toy = load("circle", n=400, classes=10, dim=32, concentration=40.0, seed=seed())
noise = torch.randn(400, 2, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(seed()))
views = toy.x.double()[:, None] + 0.05 * noise
wide = recipe.isometric(views, 512, seed=seed())


def four(z):
    nearest = metrics.knn_accuracy(z[:300, 0], toy.y[:300], z[300:, 0], toy.y[300:])
    rank = metrics.effective_rank(z[:, 0])
    return labkit.losses.info_nce(z[:, 0], z[:, 1]), metrics.uniformity(z[:, 0]), nearest, rank / z.shape[2]


for name, z in {"in R^32": views, "in R^512": wide}.items():
    print("{}: InfoNCE {:.10f}, uniformity {:.10f}, kNN {:.3f}, effective rank / width {:.3f}".format(name, *four(z)))

# %% [markdown]
# None of them. Whatever is made of cosines is made of the $n \times n$ matrix $Z Z^\top$, and that did not change. Here are all
# the losses of labkit that take two views, and three meters.

# %%
changes = recipe.blindness(views, toy.y, 512, seed=seed())
blind = {name: change for name, change in changes.items() if name not in ("barlow_twins", "vicreg")}
show(
    figures.blindness(changes),
    f"How much each of {len(changes)} numbers changes when 480 of 512 dimensions are dead. All that are made of cosines change "
    "by less than rounding; Barlow Twins and VICReg, which look at dimensions, change by a lot.",
)

# %%
claim(f"none of {len(blind)} that are made of cosines can see dead dimensions", max(blind.values()), "<", 1e-12, kind="exact")
claim("Barlow Twins can", changes["barlow_twins"], ">", 1)
claim("VICReg can", changes["vicreg"], ">", 1)

# %% [markdown]
# So InfoNCE cannot *prefer* a full rank: it is as content in 32 dimensions. Does uniformity not ask for room, though? A little.
# Points of a Gaussian in 512 dimensions, of which ever more die:

# %%
living = np.array([512, 256, 128, 64, 32])
clouds = [recipe.alive(int(k), 512, n=scaled(1500, 600), seed=seed()) for k in living]
uniform, rank = (np.array([float(meter(z)) for z in clouds]) for meter in (metrics.uniformity, metrics.effective_rank))
show(
    figures.dying(living, uniform, rank, 512),
    f"Uniformity moves from {uniform[0]:.2f} to {uniform[-1]:.2f} while 480 of 512 dimensions die; effective rank falls from "
    f"{rank[0]:.0f} to {rank[-1]:.0f}.",
)

# %%
claim("half of the dimensions are worth next to nothing to uniformity", uniform[1] - uniform[0], "<", 0.03)
claim("the effective rank halves", rank[1] / rank[0], "<", 0.6)

# %% [markdown]
# ## Noise kills directions
#
# Nothing keeps a direction alive that the loss does not need. What makes it *want* one dead? Views that disagree there.
#
# A linear map of $\mathbb R^{16}$ sees Gaussian points. In every view, directions 9 to 16 carry noise of size $\sigma$ on top
# of a signal of size 1. InfoNCE on cosines, temperature 0.1.
#
# **Predict.** As $\sigma$ grows, how does the weight of those directions fall?

# %%
predict("threshold", ["it does not: InfoNCE keeps all 16", "ever less, never to nothing", "to nothing, beyond some noise"])

# %% tags=["cover"]
steps, sigmas = scaled(400, 120), scaled(recipe.SIGMAS, (0.1, 1.0, 2.0))
runs = {s: [fit(recipe.linear(s, seed=k, steps=steps)) for k in seeds(scaled(3, 1))] for s in sigmas}
gains = {s: np.stack([recipe.gains(run) for run in each]) for s, each in runs.items()}
words = "; ".join(f"noise {s:g}: {g[:, 8].mean():.2f}" for s, g in gains.items())
show(
    figures.thresholds(gains, 8),
    f"Left: singular values of the map for several sizes of noise. The first eight stay; from the ninth on they fall with the "
    f"noise, and above a threshold they are zero. Right: the ninth over the first. {words}.",
)

# %%
ninth = {s: g[:, 8] for s, g in gains.items()}
claim("noise 0.1: direction 9 lives", ninth[0.1], ">", 0.8, kind="size")
claim("noise 2: direction 9 is dead", ninth[2.0], "<", 0.02, kind="size")
claim("noise 0.1: direction 8 lives", gains[0.1][:, 7], ">", 0.8, kind="size")
claim("noise 2: direction 8 lives", gains[2.0][:, 7], ">", 0.8, kind="size")
rises = [max(ninth[b][k] - ninth[a][k] for a, b in pairwise(sigmas[:-1])) for k in range(len(ninth[0.1]))]
claim("below that, more noise always costs direction 9", rises, "<", 0)

# %% [markdown]
# Less and less, and beyond a noise between 1 and 2 nothing at all, although no threshold is written in the loss. Keeping a
# direction buys a place where negatives can differ, and costs positives that differ too. Once the price is higher, gradient
# descent multiplies the direction by a factor below 1, step after step. Watch it:

# %%
shown = {f"noise {s:g}": recipe.unfolding(runs[s][0]) for s in (0.1, 1.0, 2.0)}
show(
    figures.film(shown, list(runs[2.0][0].snapshots)),
    "Bars of sixteen singular values with a slider over the training steps, for noise 0.1, 1 and 2. At the start they are "
    "those of a random matrix; in the end all are alike, eight are small, or eight are gone.",
)

# %% [markdown]
# The views decide, not the data: all 16 directions of the data carry equally much. And often this is what we want:
# augmentations are how we say what should be forgotten.

# %% [markdown]
# ## Scale first, rank second
#
# Now digits and a small network, plain gradient descent, two losses: InfoNCE, and alignment with nothing against it. The second
# puts all digits at one point: **complete collapse**.
#
# **Predict.** We measure the effective rank of both (unit rows, mean taken away). Which is higher?

# %%
predict("rank-of-a-point", ["InfoNCE's, clearly", "about the same", "that of the collapsed network"])

# %%
wishes, steps = ("alignment only", "InfoNCE"), scaled(200, 40)
both = {w: [fit(recipe.together(seed=k, wish=w, steps=steps)) for k in seeds(scaled(3, 1))] for w in wishes}
fresh = fit(recipe.together(seed=seed(), steps=0))
found = {"untrained": [recipe.measured(fresh)], **{w: [recipe.measured(run) for run in each] for w, each in both.items()}}
for name, (row, *_) in found.items():
    print(f"{name:15} uniformity {row['uniformity']:7.4f}   rank of z {row['rank_z']:5.1f}   rank of h {row['rank_h']:5.1f}")

# %%
higher = [a["rank_z"] - b["rank_z"] for a, b in zip(found["alignment only"], found["InfoNCE"], strict=True)]
claim("the collapsed network has the higher rank", higher, ">", 0)
claim("it is collapsed: all digits at one point", [a["uniformity"] for a in found["alignment only"]], ">", -0.03, kind="size")
claim("InfoNCE is not", [a["uniformity"] for a in found["InfoNCE"]], "<", -1, kind="size")

# %% [markdown]
# The collapsed network wins. Effective rank divides by the sum of the singular values: it sees directions, not lengths.
# Gradient descent has shrunk the untrained cloud to a point and left its shape alone. So two numbers, in this order:
#
# | spread of the unit rows | rank over width | verdict |
# |---|---|---|
# | near 0 (compare with the untrained network) | anything | complete collapse: stop here |
# | not small | small | dimensional collapse |
# | not small | not small | neither; says nothing yet about quality |
#
# The spread is the total variance of unit rows, $1 - \lVert \bar z \rVert^2$: one minus the squared length of the mean vector.

# %%
points = {f"digits, {name}": recipe.lies(run.embed(run.data.x[: recipe.ROWS])) for name, run in
          {"untrained": fresh, **{w: each[0] for w, each in both.items()}}.items()}  # fmt: skip
points |= {f"linear map, noise {s:g}": recipe.lies(runs[s][0].embed(runs[s][0].data.x[: recipe.ROWS])) for s in (0.1, 2.0)}
show(
    figures.decisions(points),
    "A map of models. Alignment only lies far left, in the region of complete collapse, at a high rank. The linear map at "
    "noise 2 lies right and at half the height of the one at noise 0.1. The untrained network lies in between.",
)

# %% [markdown]
# The untrained network is always on the map: its embeddings form a cone, so *its* spread is small as well, and a spread means
# something only beside it. And "small" for the rank has no threshold: InfoNCE uses a third of the 32 dimensions here, no more
# than digits and their views seem to need. The rank asks the question, a probe answers it.

# %% [markdown]
# ## Watch it happen
#
# Every run keeps **snapshots** of the same images, at steps 0, 1, 2, 4, 8 and so on. Here are the two networks you have just
# trained, side by side, with one cursor for all panels.
#
# **Predict.** Of 200 steps, after how many is most of the collapsing network's spread gone?

# %%
predict("when-lost", ["about 16", "about 50", "about 150"])

# %%
show(explorers.time_machine(both["InfoNCE"][0], both["alignment only"][0], names=("InfoNCE", "alignment only")))

# %%
reels = [film(run) for run in both["alignment only"]]
spread = {step: [1 - f.meters["mean_norm"][f.steps == step].item() ** 2 for f in reels] for step in (0, 16)}
gone = [1 - late / early for early, late in zip(spread[0], spread[16], strict=True)]
claim("alignment only: most of the spread is gone after 16 steps", gone, ">", 0.5)
claim("the rank hardly notices", [f.meters["rank"][-1] / f.meters["rank"][0] for f in reels], ">", 0.8)

# %% [markdown]
# Press play and watch *spread by direction*: alignment alone lowers the whole curve and leaves its shape as it was. That is why
# the rank stays. A dimensional collapse is the opposite: scale stays, and the curve breaks. The same machine with runs that
# are **stored** (`python -m labkit results time_machine`, three minutes): noise kills eight of sixteen directions, seen along
# the widest and the narrowest; and SupCon, which has a reason to keep nine: ten classes.

# %%
show(explorers.time_machine("toy, noise kills directions", "SupCon, with labels"))

# %%
noisy, gathered = (films()[name] for name in ("toy, noise kills directions", "SupCon, with labels"))
ninth = noisy.spectrum[:, 8] / noisy.spectrum[:, 7]
claim("noise 2: the ninth direction is nearly dead after 16 steps", ninth[noisy.steps == 16].item(), "<", 0.02)
claim("while the scale stays: uniformity", noisy.meters["uniformity"].max(), "<", -2.9)
claim("SupCon: a tenth direction is small beside the ninth", gathered.spectrum[-1, 9] / gathered.spectrum[-1, 8], "<", 0.2)

# %% [markdown]
# ## Ranks need equal n
#
# One more trap before we compare ranks. An isotropic Gaussian in 128 dimensions has rank 128. Measured on n rows:

# %%
rows = np.array([64, 128, 256, 512, 2048, 8192])
cloud = recipe.alive(128, 128, n=8192, seed=seed())
measured = np.array([float(metrics.effective_rank(cloud[:n])) for n in rows])
show(
    figures.growth(rows, measured, 128),
    "Effective rank of the same Gaussian against the number of rows: "
    + ", ".join(f"{r:.0f} at {n}" for n, r in zip(rows, measured, strict=True)),
)
claim("as many rows as dimensions: a fifth of the rank is missing", measured[1] / 128, "<", 0.85)
claim("64 rows for each dimension are enough", measured[-1] / 128, ">", 0.98)

# %% [markdown]
# ## Does rank measure quality?
#
# It is often used so. We train on digits (an MLP) and on Fashion-MNIST (a small convolutional net) with four losses, each
# *with* a projector between features h and loss, and *without*; h is measured, always on the same 1,400 images.
#
# **Predict.** The projector is said to protect the features. With it, h has ...

# %%
predict("projector", ["higher rank, better probe", "higher rank, no better probe", "lower rank, better probe"])

# %% [markdown]
# These 50 runs are **stored** (`python -m labkit results collapse_spectra`, about half an hour; three seeds of digits, two of
# clothes). Two runs on digits, and a very short one on Fashion-MNIST if it is here, are trained **now**.

# %%
recompute("collapse_spectra")

# %%
stored = results.load("collapse_spectra")
NAMES = {"digits": "digits", "fashion-mnist": "Fashion-MNIST"}


def pick(name, loss, projector, column):
    same = (stored["data"] == name) & (stored["loss"] == loss) & (stored["projector"] == projector)
    return stored[column][same]


for name, title in NAMES.items():
    panels = {
        f"{title}, {word} projector": {loss: pick(name, loss, on, "spectrum") for loss in recipe.LOSSES}
        for on, word in ((True, "with"), (False, "without"))
    }
    show(
        figures.spectra(panels),
        f"Singular values of h on {title}, with and without a projector, for four losses and the untrained network, whose fall "
        "is the slowest.",
    )

# %%
pairs = {
    title: {
        loss: np.stack([np.stack([pick(name, loss, on, c) for c in ("rank_h", "probe")], axis=1) for on in (False, True)])
        for loss in recipe.LOSSES
    }
    for name, title in NAMES.items()
}
show(
    figures.arrows(pairs, ("effective rank of h", "probe with two labels a class")),
    "Arrows from each loss without a projector to the same loss with one. On digits all point right, to higher rank, and down, "
    "to no better probe. On Fashion-MNIST most point up, some right and some left. The untrained network lies low and far "
    "right in both.",
)

# %%
trained = [loss for loss in recipe.LOSSES if loss != "untrained"]
gains = {n: {c: [pick(n, x, 1, c) - pick(n, x, 0, c) for x in trained] for c in ("rank_h", "probe")} for n in NAMES}
claim("digits: each loss has the higher rank with a projector", np.min(gains["digits"]["rank_h"], 0), ">", 10)
claim("digits: and, on average, not the better probe", np.mean(gains["digits"]["probe"], 0), "<", 0)
claim("Fashion-MNIST: on average the better probe", np.mean(gains["fashion-mnist"]["probe"], 0), ">", 0)
claim("Fashion-MNIST: but not always the higher rank", np.min(gains["fashion-mnist"]["rank_h"], 0), "<", 0)
for name, title in NAMES.items():
    most = np.max([pick(name, loss, True, "rank_h") for loss in trained], 0)
    claim(f"{title}: none has the untrained network's rank", pick(name, "untrained", True, "rank_h") - most, ">", 0)
    least = np.min([pick(name, loss, True, "probe") for loss in trained], 0)
    claim(f"{title}: and none so poor a probe", least - pick(name, "untrained", True, "probe"), ">", 0)

# %%
live = {on: fit(recipe.encoder("digits", "InfoNCE", projector=on, seed=seed(), steps=scaled(200, 40))) for on in (True, False)}
now = {on: (recipe.measured(run)["rank_h"], recipe.probe(run)) for on, run in live.items()}
for on, (rank, accuracy) in now.items():
    print(f"InfoNCE {'with' if on else 'without'} projector: rank of h {rank:.0f}, probe {accuracy:.3f}")
claim("now: the projector keeps the rank of h up", now[True][0] - now[False][0], ">", 10)

# %%
try:
    short = fit(recipe.encoder("fashion-mnist", "InfoNCE", seed=seed(), steps=scaled(20, 0)))
    print(f"Fashion-MNIST after {short.config.steps} steps: rank of h {recipe.measured(short)['rank_h']:.0f}")
except FileNotFoundError as missing:
    print(f"Fashion-MNIST is not here, so only the stored results are shown. {missing}")

# %% [markdown]
# On digits rank and probe are ordered the *other* way round: the projector keeps h diverse, as the story says, and h is none
# the better for it. On clothes, with another network, the probe gains and the rank goes either way. One thing holds in both:
# the untrained network has a higher rank than every trained one, and a worse probe than every one with a projector.
#
# So a rank can warn (nothing can be read from a rank of 2). It cannot tell which of two networks is better.

# %% [markdown]
# ## Labels collapse classes
#
# Supervised contrast pulls a whole class together. Two classes, each of four subclasses that the labels do not mention, a small
# MLP onto the sphere of $\mathbb R^8$. SupCon, InfoNCE without labels, and the sum of both (`joint`).
#
# **Predict.** All three name the two *classes* perfectly. After SupCon, how well can a probe name the eight *subclasses*?

# %%
predict("subclasses", ["as well as after InfoNCE", "a little worse", "about as badly as without any training"])

# %%
kinds, steps = tuple(recipe.SUPERVISED), scaled(100, 60)
nets = {kind: [fit(recipe.nested(kind, seed=k, steps=steps)) for k in seeds(scaled(3, 1))] for kind in kinds}
left = {kind: [recipe.kept(run) for run in each] for kind, each in nets.items()}

# %%
panels = {}
for kind, (first, *_) in left.items():
    caption = f"class {first['class']:.2f}, subclass {first['subclass of z']:.2f}\nspread {first['spread within a class']:.4f}"
    panels[kind] = (first["z"].numpy(), first["subclasses"].numpy(), caption)
show(
    figures.subclasses(panels),
    "Embeddings of two classes, shaded by subclass. SupCon: two points. Joint and InfoNCE: two groups of four clusters each. "
    + "; ".join(f"{kind}: subclass accuracy {rows[0]['subclass of z']:.2f}" for kind, rows in left.items()),
)


# %%
def column(kind, name):
    return np.array([row[name] for row in left[kind]])


claim("SupCon names the classes", column("SupCon", "class"), ">", 0.99)
lost = column("InfoNCE", "subclass of z") - column("SupCon", "subclass of z")
saved = column("SupCon", "subclass of h") - column("SupCon", "subclass of z")
claim("SupCon loses the subclasses that InfoNCE keeps", lost, ">", 0.2)
claim("SupCon: little more than the class tells (0.25)", column("SupCon", "subclass of z"), "<", 0.45, kind="size")
claim("SupCon: a class is a point", column("SupCon", "spread within a class"), "<", 0.01, kind="size")
claim("joint names the classes", column("joint", "class"), ">", 0.99)
claim("joint names the subclasses", column("joint", "subclass of z"), ">", 0.8, kind="size")
claim("SupCon: h keeps more than z", saved, ">", 0)

# %% [markdown]
# SupCon did what it was asked: within a class hardly anything is left to tell apart, and a view's noise is larger than that.
# Class accuracy cannot show it: it is perfect throughout. The cure is to ask for instances as well (`joint`). Throwing z away
# helps half-way: here the projector does protect, h keeps what the untrained network knew, and no more.
#
# ## What to remember
#
# - Cosines do not see dead dimensions. Only losses that look at dimensions can ask for all of them.
# - Directions on which views disagree die, at a threshold. Choose augmentations as what you want forgotten.
# - Scale first, rank second, both beside the untrained network, at equal n, and say how: centred or not, unit rows or not.
# - Rank is not quality. Class accuracy is not subclass accuracy. Measure what you will use.
#
# **Next:** `04_likelihood_displacement`, where the loss goes down and so does the answer it was to raise.
