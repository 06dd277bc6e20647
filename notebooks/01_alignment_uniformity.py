# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Alignment and uniformity
#
# Perfect on both meters, chance on the task: what two famous numbers say about an embedding, and what they cannot say.
#
# **You will be able to** measure alignment and uniformity, say how low n points can go, build an embedding that is best on
# both and worthless, and tell what a plane of these two meters does and does not predict.
#
# **Before:** [00](00_start_here.ipynb); cosines, the log of a mean, what training a network means.
# **Reading:** 50 minutes; **computing:** under 100 seconds on two CPU cores.
# **Data:** points on the circle and handwritten digits, trained here and now; augmentations and Fashion-MNIST mostly from
# stored numbers.

# %%
try:
    import labkit
except ModuleNotFoundError:
    raise SystemExit("labkit is missing here: run  %pip install -e ..  in a cell, then restart the kernel") from None

# %%
import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import spearmanr

from labkit import call, claim, explorers, losses, metrics, predict, results, show
from labkit.data import augment
from labkit.figures import geometry as figures
from labkit.lessons import scaled, seed, seeds, smoke
from labkit.metrics import alignment, uniform_bound, uniform_limit, uniformity
from labkit.recipes import alignment_uniformity as recipe
from labkit.training import descend

# %% [markdown] tags=["notes"]
# **Fifteen minutes in a lecture.** Show the moving circles (3 min), the lookup table (6 min) and the plane with its honest
# counterpart (4 min); skip the bound and the real images.
#
# 1. *Circles.* Let them guess what alignment alone does. Expect "everything falls into one point". Free points do not: only
#    what shares a function is pulled together. The second row shows the network that does collapse.
# 2. *Lookup table.* Ask for hands: above 95 %, about 60 %, 10 %. Expect most of them in the middle, few at 10 %. Reveal.
# 3. *Plane.* Left panel: the sum ranks the runs. Right panel: the same runs, another question, and it does not.
# 4. *Discuss:* "Both meters perfect, features worthless: what does a network bring that the table has not?" (It is smooth, so
#    similar images get similar places; and views that overlap tie different images together.)
#
# Slides: each figure is one cell; `figure.savefig("circles.png", dpi=300)` before `show` writes it.

# %% [markdown]
# ## 1. Two wishes
#
# Contrastive learning makes two wishes. Two views of one picture should lie **together**; pictures should lie **all over the
# place**. Each wish has a meter, for unit rows $z$:
#
# $$\text{alignment} = \frac1n \sum_i \lVert z_i - z_i' \rVert^2 \qquad
# \text{uniformity} = \log \operatorname{mean}_{i<j} e^{-2 \lVert z_i - z_j \rVert^2}$$
#
# Both are better when smaller. Alignment is 0 at best. Uniformity is 0 at worst, when all points are one.
#
# **Predict.** 64 points move freely on a circle: two views each of 32 pictures, joined by a line. We lower the alignment and
# nothing else. Where do the points end?

# %%
predict("align-only", ["all in one point", "in pairs, wherever they met", "in pairs, evenly spread"])

# %%
generator = torch.Generator().manual_seed(seed())
start = F.normalize(torch.randn(2, 32, 2, generator=generator), dim=-1)  # view, picture, the plane
wishes = {
    "alignment only": lambda z: alignment(z[0], z[1]),
    "uniformity only": lambda z: (uniformity(z[0]) + uniformity(z[1])) / 2,
    "both": lambda z: losses.align_uniform(z[0], z[1]),
}
paths = {name: descend(start, wish, steps=200) for name, wish in wishes.items()}

# %%
stops = [0, 1, 2, 4, 8, 16, 32, 64, 128, 200]
movie = figures.descents({name: path.numpy() for name, path in paths.items()}, stops)
show(
    movie,
    "Three circles of 64 points with a slider over 200 steps. Alignment only: the lines between views shrink to nothing, the "
    "pairs stay where they met. Uniformity only: the points spread out, the lines stay long. Both: pairs, spread out.",
)

# %% [markdown]
# In pairs, wherever they met. Nothing ties one picture to another, so nothing pulls them together.
#
# Now the same three wishes for **one network** that places all the points: 64 inputs of four classes, noise makes the views.


# %%
def circle_run(weight, steps=200, k=0):
    return labkit.fit(
        labkit.Config(
            data=call("circle", n=64, ambient=16),
            model=call("mlp", width=64, out=2, projector=False),
            augment=call("noise", sigma=0.3),
            loss=call("align_uniform", weight=weight),
            optimizer=call("adam", lr=0.01),
            steps=steps,
            batch=64,
            seed=seed(k),
        )
    )


# uniformity only: it weighs a thousand times what alignment does
runs = {
    "start": circle_run(1, steps=0),
    "alignment only": circle_run(0),
    "uniformity only": circle_run(1000),
    "both": circle_run(1),
}


# %%
def two_views(run):
    change, generator = augment.build(run.config.augment), torch.Generator().manual_seed(seed())
    return F.normalize(torch.stack([run.embed(change(run.data.x, generator)) for _ in range(2)]), dim=-1)


def caption(z):
    return f"alignment {alignment(*z):z.2f}, uniformity {uniformity(z[0]):z.2f}"


rows = {
    "free points": {"start": start, **{name: path[-1] for name, path in paths.items()}},
    "one network": {name: two_views(run) for name, run in runs.items()},
}
captions = {row: {name: caption(z) for name, z in panels.items()} for row, panels in rows.items()}

# %% tags=["cover"]
panels = {row: {name: z.numpy() for name, z in across.items()} for row, across in rows.items()}
figure = figures.circles(panels, captions, {"one network": runs["both"].labels.numpy()})
show(
    figure,
    "Two rows of four circles: start, alignment only, uniformity only, both. Free points end in scattered pairs, spread points "
    "with long lines, or spread pairs. The network falls into one point under alignment only, and spreads its classes in order "
    "under the other two.",
)

# %%
ends = {name: path[-1] for name, path in paths.items()}
collapsed = [uniformity(circle_run(0, k=k).embeddings).item() for k in range(3)]
claim("free points, alignment only: the views meet", alignment(*ends["alignment only"]), "<", 1e-3)
claim("free points, uniformity only: the views stay far apart", alignment(*ends["uniformity only"]), ">", 1.0)
claim("free points, both: the views meet", alignment(*ends["both"]), "<", 1e-3)
claim("one network, alignment only: one point for all", collapsed, ">", -0.1)

# %% [markdown]
# Three things to keep:
#
# - Alignment alone is satisfied by a collapse, but a collapse needs something that ties the points together. A network does: it
#   is one function for all, and the constant is a simple one.
# - Uniformity alone needs no views at all. A network under it keeps its classes in order, because it is smooth.
# - The lower right is a map: like is near like. The upper right is not, and its two meters are the better ones.

# %% [markdown]
# ## 2. Who is to be alike?
#
# Alignment is about *views*, so whoever makes the views decides what is to be alike. Here are two views of one unseen digit,
# turned, moved and dimmed by noise as much as you like; and how alike they are to an encoder, before and after training.
#
# **Predict.** Two views of a 3, turned by up to 60 degrees each, go through a network that was *never* trained. Their cosine?

# %%
predict("untrained-cosine", ["near 0: it knows nothing", "about 0.5", "above 0.9"])

# %%
show(explorers.augmentation(turn=60, trained="turned views"))

# %% [markdown]
# Above 0.9, and it means nothing: to an untrained network *most* pairs of digits are that alike, here all of them, and seven of
# eight under the strongest noise. So never read a cosine alone. Ask how many pairs of different images are less alike: for a
# coin, 50 %.
#
# Then take another encoder from the menu. All of them saw the same digits, the same loss (InfoNCE at temperature 0.2) and the
# same number of steps; only the views differed. **Predict** what the encoder that learned from turns makes of noise.

# %%
predict("other-changes", ["it resists noise as well", "a little better than untrained", "no better than untrained"])

# %%
alike = results.load("augmentation")  # python -m labkit results augmentation, half a minute
share = dict(zip(alike["encoders"].tolist(), alike["mean_above"], strict=True))
strong = {"turned views": (3, 0, 0), "moved views": (0, 2, 0), "noisy views": (0, 0, 3)}  # 60 degrees, 0.2, 0.4
own = [share[name][cell] for name, cell in strong.items()]
above = alike["others"][0].sum(-2)[..., -3:].sum(-1)  # untrained: which part of other pairs has a cosine above 0.906
fell = [share["untrained"][cell] for cell in strong.values()]
other = [share[name][cell] - share["untrained"][cell] for name in strong for key, cell in strong.items() if key != name]
print("beaten by strong views: untrained", np.round(fell, 2), "trained on the same kind", np.round(own, 2))

# %%
claim("untrained, turned by up to 60 degrees: all other pairs are above 0.9", above[3, 0, 0], ">", 0.999)
claim("and whatever the views, most are", above.min(), ">", 0.85)
claim("untrained: strong views beat few of the other pairs", max(fell), "<", 0.75)
claim("an encoder overlooks the change that it was trained on", min(own), ">", 0.95)
claim("and no other change better than the untrained one does", max(other), "<", 0.05)
claim(
    "a little of each helps against each",
    min(share["a little of each"][c] - share["untrained"][c] for c in strong.values()),
    ">",
    0.1,
)

# %% [markdown]
# Nothing in the loss knows what a digit is. "Invariance" is what was asked for, view by view, and nothing more: choose
# augmentations as a list of what you want forgotten. (Turn a 6 far enough and you ask that it be a 9.)

# %% [markdown]
# ## 3. How even can n points be?
#
# Infinitely many points, spread evenly over the sphere of $\mathbb R^d$, have uniformity $\log(e^{-2t}\,{}_0F_1(d/2; t^2))$,
# often called the optimum. **Predict.** Can 64 points in 8 dimensions score *lower* (better) than infinitely many?

# %%
predict("finite", ["no, it is the optimum", "yes, a little", "yes, as low as they like"])


# %%
def lowest(n, d):
    """What descent finds for n points, and what the same points had at the start."""
    first = torch.randn(n, d, generator=torch.Generator().manual_seed(seed()))
    return uniformity(descend(first, uniformity, steps=scaled(400, 200), lr=0.1)[-1]).item(), uniformity(first).item()


sizes = {2: [8, 16, 64, 256], 8: [9, 16, 64, 256]}
found = {d: np.array([lowest(n, d) for n in ns]) for d, ns in sizes.items()}
grid = np.unique(np.geomspace(6, 400, 120).round())
curves = {f"d = {d}": (grid, np.array([uniform_bound(int(n), d) for n in grid]), uniform_limit(d)) for d in sizes}
dots = {f"d = {d}": (np.array(ns), *found[d].T) for d, ns in sizes.items()}

# %%
show(
    figures.finite(curves, dots),
    "Uniformity against the number of points, in 2 and in 8 dimensions. Points found by descent lie below the limit for many "
    "points and just above a bound that rises to the limit; random points scatter about the limit.",
)

# %%
gaps = [found[d][i, 0] - uniform_bound(n, d) for d, ns in sizes.items() for i, n in enumerate(ns)]
claim("nothing lies below the bound", min(gaps), ">=", -1e-6, kind="exact")
claim("64 points in 8 dimensions beat infinitely many", found[8][2, 0] - uniform_limit(8), "<", -0.2, kind="size")
claim("9 points in 8 dimensions reach the bound: the simplex", found[8][0, 0] - uniform_bound(9, 8), "<", 1e-3)
claim("16 points on the circle reach the bound", found[2][1, 0] - uniform_bound(16, 2), "<", 1e-3)

# %% [markdown]
# So the limit is a value for populations. n points can lie below it, never below $\log((nM-1)/(n-1))$, where $\log M$ is the
# limit: a lower uniformity than the limit in a batch is nothing to be proud of, and meters of different n do not compare.
#
# The bound is met by arrangements that *look* uneven: on the circle above, "both" reaches it without even spacing. A Gaussian
# of width $1/\sqrt{2t}$ does not see finer structure than its width.

# %% [markdown]
# ## 4. Perfect, perfect, chance
#
# Here is an embedding of 1,797 handwritten digits. **Predict.** It has the best possible alignment, and the uniformity of
# points spread evenly over the sphere of $\mathbb R^{32}$. How many digits do their 20 nearest neighbours name correctly?

# %%
predict("lookup", ["above 95 %", "about 60 %", "about 10 %"])

# %%
tables = [recipe.lookup_table("digits", seed=s) for s in seeds(5)]
untrained = recipe.measured(labkit.fit(recipe.real("digits", "untrained network", seed=seed())))
both = labkit.fit(recipe.small(call("align_uniform", weight=0.3), steps=scaled(300, 40), seed=seed()))
board = {"lookup table": tables[0], "untrained network": untrained, "network, both wishes": recipe.measured(both)}

# %%
marks = {"alignment": (0, "best"), "uniformity": (uniform_limit(32), "even"), "kNN": (0.1, "chance"), "probe": (0.1, "chance")}
show(
    figures.scoreboard(board, marks),
    "Alignment, uniformity, kNN and few-label accuracy of three embeddings of digits. The lookup table is best on both meters "
    "and at chance on both accuracies; the trained network is worse on both meters and accurate.",
)

# %%
off = [abs(t["uniformity"] - uniform_limit(32)) for t in tables]
claim("lookup table: the views coincide", [t["alignment"] for t in tables], "<", 1e-12, kind="exact")
claim("lookup table: even, to a hundredth of the closed form", off, "<", 0.01, kind="exact")
claim("lookup table: its neighbours know nothing", [t["kNN"] for t in tables], "<", 0.16, kind="exact")
claim("the trained network's neighbours do", board["network, both wishes"]["kNN"] - tables[0]["kNN"], ">", 0.5)

# %% [markdown]
# It is a **lookup table**: each image has one random direction of its own, shared by all its views. Alignment is zero by
# construction, random directions are even, and no two images have anything to do with each other.
#
# Both meters are about *views and places*, not about classes. That trained networks are useful although a lookup table is as
# good on both meters is due to what the meters do not see: a network is smooth, so like images land near each other, and views
# of different images overlap. (The probe: a linear classifier that is shown two labels of each class.)

# %% [markdown]
# ## 5. Does the plane predict anything, then?
#
# Among *networks* trained on the same views, it may. 44 runs on digits, each a dot: NT-Xent at six temperatures and the two
# wishes at five weights, 100 or 300 steps, two seeds, all with the same views. These are **stored**
# (`python -m labkit results alignment_uniformity_plane`, about ten minutes); three are trained **now**, and ringed.

# %%
stored = results.load("alignment_uniformity_plane")
same_views = stored["strength"] == 1.0
chosen = {name: stored[name][same_views] for name in stored}
now = [call("nt_xent", temperature=0.1), call("nt_xent", temperature=1.0), call("align_uniform", weight=3.0)][: scaled(3, 1)]
fresh = [recipe.measured(labkit.fit(recipe.small(loss, steps=scaled(300, 40), seed=seed()))) for loss in now]

# %%
show(
    figures.plane(
        chosen["alignment"],
        chosen["uniformity"],
        chosen["kNN"],
        name="kNN accuracy of z",
        groups=chosen["loss"],
        live=None if smoke() else recipe.table(fresh),
    ),
    "44 runs in the plane of uniformity and alignment, coloured by kNN accuracy. Runs trade one for the other along a curve; "
    "the least accurate have poor uniformity.",
)

# %% [markdown]
# **Predict.** We add runs with gentler and with harder views, and ask another question of the same embeddings: a linear probe
# with two labels of each class. Does the sum of the two meters still rank them?

# %%
predict("probe", ["yes, as well", "less well", "hardly at all"])


# %%
def against(part, quality):
    """Spearman's correlation of minus the sum of the meters with a quality, over some of the runs."""
    rows = {name: torch.from_numpy(stored[name][part]) for name in ("alignment", "uniformity", quality)}
    total = -(rows["alignment"] + rows["uniformity"])
    return metrics.interval(lambda x, y: spearmanr(x, y).statistic, total, rows[quality])


three_views = stored["steps"] == 300
rank = {
    (quality, many): against(three_views if many else same_views, quality) for quality in ("kNN", "probe") for many in (0, 1)
}
for (quality, many), estimate in rank.items():
    print(f"{quality:5} {'views of three strengths' if many else 'the same views':24} {estimate}")


# %%
def panel(part, quality):
    rows = {name: stored[name][part] for name in stored}
    return -(rows["alignment"] + rows["uniformity"]), rows[quality], [f"strength {s:g}" for s in rows["strength"]]


show(
    figures.rankings(
        {
            "kNN of z, the same views": panel(same_views, "kNN"),
            "two labels a class, three strengths of views": panel(three_views, "probe"),
        },
        xlabel="minus (alignment + uniformity)",
    ),
    "Left: kNN accuracy rises with minus the sum of alignment and uniformity. Right: the few-label probe does not once views "
    "of three strengths are mixed; under gentle views it even falls.",
)

# %%
claim("same views: the sum ranks kNN", rank["kNN", 0].value, ">", 0.4, kind="size")
claim("views of three strengths: the sum ranks kNN", rank["kNN", 1].value, ">", 0.4, kind="size")
claim("views of three strengths: it does not rank the probe", rank["probe", 1].value, "<", 0.4, kind="size")
claim("the probe is ranked worse than kNN", rank["kNN", 1].value - rank["probe", 1].value, ">", 0.2)

# %% [markdown]
# So name the quality before you draw the plane. kNN on z asks whether neighbours share a class; a few-label probe asks whether
# a class is *one* place, and gentle views leave a class in many. Neither meter saw the classes.
#
# We claim only the sum. Here are its parts, over the runs with the same views: with kNN, alignment alone has the wrong sign,
# and uniformity alone does better than the sum *in this collection of runs*. The collection is made of losses that we chose,
# and in four of these runs the embedding has all but collapsed; without them the ranks are weaker, as the last line says.

# %%
for name in ("alignment", "uniformity"):
    scores = [spearmanr(-stored[name][same_views], stored[q][same_views]).statistic for q in ("kNN", "probe")]
    print(f"minus {name:10} with kNN {scores[0]:+.2f}, with the probe {scores[1]:+.2f}")
alive = same_views & (stored["uniformity"] < -1)
print(f"the sum with kNN, without collapsed runs: {against(alive, 'kNN')}")

# %% [markdown]
# ## 6. Real images
#
# Five embeddings of digits and of Fashion-MNIST, means of three seeds, **stored**
# (`python -m labkit results alignment_uniformity_real`). If the images are at hand, a short run on Fashion-MNIST is trained
# **now**.

# %%
kept = results.load("alignment_uniformity_real")
kinds = list(dict.fromkeys(kept["kind"].tolist()))


def average(data):
    here = kept["data"] == data
    return {k: {m: kept[m][here & (kept["kind"] == k)].mean() for m in recipe.METERS} for k in kinds}


boards = {data: average(data) for data in ("digits", "fashion-mnist")}

# %%
for data, board in boards.items():
    words = "; ".join(f"{kind}: kNN {row['kNN']:.2f}, probe {row['probe']:.2f}" for kind, row in board.items())
    show(figures.scoreboard(board, marks, title=data), f"{data}: alignment, uniformity and two accuracies. {words}.")

# %%
try:
    if not smoke():
        short = labkit.fit(recipe.real("fashion-mnist", "both", seed=seed(), steps=60))
        print("60 steps on Fashion-MNIST, now:", *(f"{name} {value:.2f}" for name, value in recipe.measured(short).items()))
except FileNotFoundError as missing:
    print(f"Fashion-MNIST is not here, so only the stored results are shown. {missing}")


# %%
def per_seed(data, kind, meter):
    return kept[meter][(kept["data"] == data) & (kept["kind"] == kind)]


for data in boards:
    gain = per_seed(data, "both", "probe") - per_seed(data, "untrained network", "probe")
    claim(f"{data}: both wishes beat the untrained network's probe", gain, ">", 0)
    claim(f"{data}: and uniformity only", per_seed(data, "both", "probe") - per_seed(data, "uniformity only", "probe"), ">", 0)
    claim(f"{data}: alignment only collapses", per_seed(data, "alignment only", "uniformity"), ">", -0.1)
    claim(f"{data}: the lookup table stays at chance", per_seed(data, "lookup table", "kNN"), "<", 0.16)

# %% [markdown]
# Two surprises. The collapsed network (alignment only) keeps good neighbours: kNN ranks cosines, and does not see that all of
# them are 1 to five digits. Read the scale first. And uniformity alone, which knows no views, has neighbours as good as both
# wishes together; what alignment adds shows in the probe: a class becomes one place.

# %% [markdown]
# ## 7. What to remember
#
# - Alignment and uniformity measure the two wishes, exactly and separately. They do not measure features.
# - A collapse needs something shared. A lookup table cannot collapse, cannot fail the meters, and cannot generalise.
# - The uniformity of n points has a bound of its own, below the limit. Compare at equal n, d and t.
# - "The sum predicts quality" is true of *some* networks, with the same views, for *some* qualities. Name all three.
#
# **Next:** [02](02_temperature.ipynb) turns the one number that trades the two wishes, and asks who is pushed.
