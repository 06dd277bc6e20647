# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Large batches
#
# A contrastive loss compares every pair with every other one. So a batch cannot be cut into pieces like other batches, and much
# of what is done to it silently computes something else.
#
# **You will be able to** say what a batch costs before it runs, cut it among workers or into pieces and know that the gradient
# is still the right one, recognise three wrong ones, and say what a large batch buys and what it does not.
#
# **Before:** `02_temperature`; gradients as arrows. **Reading** 25 minutes, **computing** about a minute and a half on two CPU
# cores. **Data:** random points, digits. Memory and time of the large batches and a grid of trained models are stored, the rest
# is live.

# %%
try:
    import labkit
except ModuleNotFoundError:
    raise SystemExit("labkit is missing here: run  %pip install -e ..  in a cell, then restart the kernel") from None

# %%
import math

import numpy as np
import torch
import torch.nn.functional as F

from labkit import claim, data, fit, losses, metrics, predict, results, show
from labkit.explorers import recompute
from labkit.figures import large_batches as figures
from labkit.lessons import scaled, seed, seeds
from labkit.recipes import large_batches as recipe

torch.set_num_threads(1)  # the models here are small: two threads would mostly wait for each other

# %% [markdown] tags=["notes"]
# **Fifteen minutes in a lecture.** *What a batch costs* (3 min), *Four workers* (8 min), *What it buys* (4 min).
#
# 1. *Costs.* "8,192 pairs need how much more memory than 1,024?" Most hands for 64 times. That is the matrix, not the loss.
# 2. *Arrows on the circle.* "Which panel is wrong?" Let them find the reversed arrows. Then the question for the network:
#    nearly all expect local negatives to be the worse of the two. Show the second figure, then *Who lost the push?*
# 3. *What it buys.* "Which batch gives the best features?" Expect the largest. Show the grid.
# 4. *Discuss:* "Your code runs on 8 GPUs and the loss falls. How do you know that the gradient is right?" (Not from the loss:
#    each worker's chance line differs. Compare one step's gradient with that of a single process.)
#
# Slides: each figure is one cell; `figure.savefig("arrows.png", dpi=300)` on what the function returns writes it.

# %% [markdown]
# ## What a batch costs
#
# NT-Xent on $n$ pairs has $2n \times 2n$ logits. Twice the batch, four times the logits.
#
# **Predict.** How much more memory does the loss of 8,192 pairs need than that of 1,024?

# %%
predict("13-memory", ["8 times", "64 times", "less than 8 times"])

# %% [markdown]
# We count every byte that torch allocates beside the embeddings, forward and backward. *Whole*: the matrix is kept, as the
# equation is usually written down. *In tiles*: `block_size` rows and columns at a time; what a tile adds to its rows' sums is
# added, the tile is forgotten, and made once more for the gradient. `block_size=None`, the default, takes tiles where there are
# many logits.

# %%
now = {True: scaled([256, 512, 1024, 2048], [512, 1024]), False: scaled([256, 512, 1024, 2048, 4096], [256, 1024])}
recipe.cost(256, whole=True)  # the first call pays for what torch sets up
counted = {whole: np.array([recipe.cost(n, whole=whole)[0] for n in sizes]) for whole, sizes in now.items()}
stored = results.load("large_batches_cost")
NAMES = {True: "whole", False: "in tiles"}
ways = {name: [stored[c][stored["whole"] == w] for c in ("pairs", "bytes", "seconds")] for w, name in NAMES.items()}
live = {name: (np.array(now[w]), counted[w]) for w, name in NAMES.items()}
most = {name: f"{held[-1] / 2**20:,.0f} MiB for {pairs[-1]:,} pairs" for name, (pairs, held, _) in ways.items()}
show(
    figures.costs(ways, live),
    "Memory and time against the pairs in a batch, both axes logarithmic. Whole, memory rises with slope 2, to "
    f"{most['whole']}; in tiles with slope 1 at most, to {most['in tiles']}. Time rises with slope 2 either way.",
)

# %% [markdown]
# Dots were counted here and now, rings are **stored** (`python -m labkit results large_batches_cost`), with another machine's
# seconds. Bytes are the same everywhere.

# %%
held = {name: dict(zip(pairs.tolist(), values.tolist(), strict=True)) for name, (pairs, values, _) in ways.items()}
claim("whole, eight times the pairs: so many times the bytes", held["whole"][8192] / held["whole"][1024], ">", 55)
claim("in tiles", held["in tiles"][8192] / held["in tiles"][1024], "<", 8)
claim("65,536 pairs in tiles, over 4,096 whole", held["in tiles"][65536] / held["whole"][4096], "<", 0.5)
claim("counted now, whole, twice the pairs: so many times the bytes", counted[True][-1] / counted[True][-2], ">", 3.5)
spent = {name: np.polyfit(np.log(pairs[-4:]), np.log(seconds[-4:]), 1)[0] for name, (pairs, _, seconds) in ways.items()}
claim("but time grows with the square even in tiles: the slope", abs(spent["in tiles"] - 2), "<", 0.3)

# %%
torch.manual_seed(seed())
rows = torch.randn(2, 300, 32, requires_grad=True)
both = {size: losses.nt_xent(*rows, block_size=size) for size in (600, 128)}  # 600 rows: whole
whole, tiled = (recipe.gradient(value, [rows]) for value in both.values())
claim("the loss is the same", abs(both[600] - both[128]) / both[600], "<", 1e-6, kind="exact")
claim("so is the gradient: length of the difference", (whole - tiled).norm() / whole.norm(), "<", 1e-5, kind="exact")

# %% [markdown]
# Nothing is approximated. Tiles cost nothing but care: they are a property of the sum over negatives, not of the loss.
# Before you run, ask; on *this* machine, as it is now:

# %%
for n in (1024, 8192, 65536):
    print(labkit.forecast("nt_xent", n, 128))

# %% [markdown]
# ## Four workers
#
# One batch of 8 pairs on the circle, two pairs on each of four workers. After the backward pass the workers average their
# gradients, as DistributedDataParallel does. With a loss that is a mean over examples that average *is* the gradient of the
# whole batch. Here, who are a worker's negatives, and who feels them?

# %%
WORKERS, TAU = 4, 0.5


def loss(z1, z2, **more):
    return losses.nt_xent(z1, z2, temperature=TAU, **more)


def averaged(one, n):
    """The mean over workers of what `one` of them computes, given the slice of its own rows."""
    return sum(one(slice(w * n // WORKERS, (w + 1) * n // WORKERS)) for w in range(WORKERS)) / WORKERS


def own(z1, z2, mine):
    """My anchors only, of both views, among everyone's rows."""
    return loss(z1, z2, reduction="none").view(2, -1)[:, mine].mean()


def constant(z, mine):
    """Everyone's rows as a gather without gradient brings them: numbers, except for my own."""
    rows = z.detach().clone()
    rows[mine] = z[mine]
    return rows


# %% [markdown]
# Five ways to put these together. The formulas are all the algebra there is:

# %%
WAYS = {
    "one process": loss,
    "gathered": lambda a, b: averaged(lambda m: own(a, b, m), len(a)),
    "local negatives": lambda a, b: averaged(lambda m: loss(a[m], b[m]), len(a)),
    "others constant": lambda a, b: averaged(lambda m: own(constant(a, m), constant(b, m), m), len(a)),
    "constant, whole loss": lambda a, b: averaged(lambda m: loss(constant(a, m), constant(b, m)), len(a)),
    "gathered, added up": lambda a, b: WORKERS * averaged(lambda m: own(a, b, m), len(a)),
}
draw = torch.Generator().manual_seed(seed())
angles = (torch.randperm(8, generator=draw) + 0.6 * torch.rand(8, generator=draw)) * math.pi / 4
first, second = (torch.stack([t.cos(), t.sin()], 1).double() for t in (angles, angles + 0.3 * torch.randn(8, generator=draw)))
pairs = [first.requires_grad_(), second.requires_grad_()]
slopes = {name: recipe.gradient(way(*pairs), pairs).view(16, 2) for name, way in WAYS.items()}
fits = {name: recipe.against(slope, slopes["one process"]) for name, slope in slopes.items()}

# %% [markdown]
# **Predict.** Which of the five moves some points in the *wrong direction*?

# %%
predict("13-arrows", ["local negatives", "others constant", "gathered, added up", "none: only lengths differ"])

# %% tags=["cover"]
words = {name: f"cosine {cosine:.3f}\nlength × {length:.2f}" for name, (cosine, length) in fits.items()}
where = torch.cat(pairs).detach().numpy()
show(
    figures.circle(where, np.arange(16) % 8 // 2, {name: (-slopes[name].numpy(), words[name]) for name in WAYS}),
    "16 points of four workers on a circle, and below each other where six ways would move them, over the true arrows in grey. "
    "Gathered is right. Local negatives turn some arrows round. "
    + "; ".join(f"{n}: cosine {c:.2f}, length × {r:.2f}" for n, (c, r) in fits.items()),
)

# %%
turned = ((slopes["local negatives"] * slopes["one process"]).sum(1) < 0).sum()
claim("local negatives: points that are moved the wrong way", turned, ">", 0)
exact = (slopes["gathered"] - slopes["one process"]).abs().max()
claim("gathered with its gradient, it is the gradient of one process", exact, "<", 1e-12, kind="exact")
claim("others constant: the direction is off", fits["others constant"][0], "<", 0.9999)
claim(
    "the whole loss everywhere, others constant: a quarter of the length, off by",
    abs(fits["constant, whole loss"][1] - 1 / 4),
    "<",
    1e-12,
    kind="exact",
)
claim(
    "added up instead of averaged: four times the length, off by",
    abs(fits["gathered, added up"][1] - 4),
    "<",
    1e-12,
    kind="exact",
)

# %% [markdown]
# The last two have the right direction and a length that is wrong by the number of workers. To SGD that is another learning
# rate; Adam does not notice (`12_numbers_and_names`). The two in the middle compute another gradient.
#
# ## And the weights of a network?
#
# Free points are kind: each answers for itself. A network's weights answer for all of them at once. Now 256 digits, 64 on each
# worker, and the gradient of all weights of a small network.
#
# **Predict.** Which is further from the truth?

# %%
predict("13-weights", ["local negatives", "gathered, others constant", "both about the same"])

# %%
TAU = 0.1  # what the network is trained with
COMPARED = ("gathered", "local negatives", "others constant")
STAGES = {"before training": 0, f"after {(late := scaled(300, 60))} steps": late}
far = {title: {name: [] for name in COMPARED} for title in STAGES}
for title, steps in STAGES.items():
    for k in seeds(scaled(3, 1)):
        model, views = recipe.trained(steps, seed=k, n=256)
        z = [model(view) for view in views]
        truth = recipe.gradient(loss(*z), model.parameters())
        for name in COMPARED:
            far[title][name].append(recipe.against(recipe.gradient(WAYS[name](*z), model.parameters()), truth))
far = {title: {name: np.array(rows) for name, rows in each.items()} for title, each in far.items()}
said = "; ".join(f"{name} {rows[:, 0].mean():.2f}" for name, rows in far["before training"].items())
show(
    figures.seen_from_the_truth(far),
    "Gradients of all weights as arrows, along the true gradient and across it, before and after training. Gathered and local "
    f"lie along it; with others constant the gradient stands across it. Cosines before training: {said}.",
)

# %%
fresh, old = far.values()
claim("gathered: cosine 1", abs(fresh["gathered"][:, 0] - 1).max(), "<", 1e-5, kind="exact")
claim("gathered: length 1", abs(fresh["gathered"][:, 1] - 1).max(), "<", 1e-5, kind="exact")
claim("before training, local negatives are nearly right", fresh["local negatives"][:, 0], ">", 0.95)
claim("before training, others constant: hardly any of the true direction is left", fresh["others constant"][:, 0], "<", 0.5)
claim("after training, local is still the nearer", old["local negatives"][:, 0] - old["others constant"][:, 0], ">", 0)

# %% [markdown]
# Gathering *without* a gradient is worse than not gathering at all, and it is the easier one to write: `all_gather` of
# `torch.distributed` returns tensors without a gradient.
#
# ## Who lost the push?
#
# Partners pull each other, others push. A pair of partners lives on one worker, so every pull is felt at both ends. A pair of
# others mostly does not: of four workers, three quarters of what pushes me is a constant that feels nothing. Own quarter whole,
# the rest by half, that makes $\frac14 + \frac34 \cdot \frac12 = \frac58$ of the push.

# %%
parts = []
for k in seeds(3):
    model, views = recipe.trained(0, seed=k, n=256)
    z = [model(view) for view in views]
    weights = list(model.parameters())
    pull = recipe.gradient(-F.cosine_similarity(*z).mean() / TAU, weights)
    truth, wrong = (recipe.gradient(WAYS[name](*z), weights) for name in ("one process", "others constant"))
    kept = recipe.against(wrong - pull, truth - pull)
    parts.append((*kept, recipe.against(truth, pull)[0], recipe.against(wrong, pull)[0], recipe.against(truth - pull, pull)[0]))
alike, share, right_pull, wrong_pull, opposed = np.array(parts).T
print(f"pull and push oppose each other: cosine {opposed.mean():.2f}; of the push is left: {share.mean():.3f}")

# %%
claim("what is left of the push has its direction", alike, ">", 0.99)
claim("and five eighths of its length: off by", abs(share - 5 / 8), "<", 0.03)
claim("the true gradient goes against the pull: points move apart", right_pull, "<", 0)
claim("the wrong one goes with it: points move together", wrong_pull, ">", 0)

# %% [markdown]
# In an untrained network all points lie in one cone, pull and push nearly cancel, and the sign of what is left is decided by
# the missing three eighths. Does training recover from it?

# %%
test = data.load("digits", "test")
runs = {name: [] for name in ("one process", "local negatives", "others constant")}
for name, each in runs.items():
    for k in seeds(scaled(3, 1)):
        known = {"data": "digits", "augment": "digits", "batch": 128, "steps": scaled(150, 40), "seed": k}
        each.append(fit(encoder=recipe.trained(0, seed=k)[0], loss=WAYS[name], **known))
spread = {name: np.array([metrics.uniformity(run.embed(test.x)).item() for run in each]) for name, each in runs.items()}
ended = {name: np.array([np.mean(run.history["loss"][-10:]) for run in each]) for name, each in runs.items()}
for name in runs:
    print(f"{name:16} uniformity of unseen digits {spread[name].mean():.2f}, its own loss at the end {ended[name].mean():.2f}")

# %%
claim("others constant: less spread out in the end", spread["others constant"] - spread["one process"], ">", 0)
claim("local negatives: the loss ends far lower", ended["one process"] - ended["local negatives"], ">", 0.5)
print(f"chance: log(255) = {math.log(255):.2f} for 128 pairs, log(63) = {math.log(63):.2f} for 32")

# %% [markdown]
# It learns, and worse; nothing in the loss curve says so. And the *lower* loss of local negatives is no success: it answers an
# easier question, with 63 candidates instead of 255. Losses compare at equal batch only.
#
# ## Really two processes
#
# So far one process played four. Here is a script for two real ones. It is what you would start with
# `torchrun --nproc-per-node 2 script.py`; on a GPU `nccl` takes the place of `gloo`, nothing else changes.

# %%
SCRIPT = """
import json, sys, torch, torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from labkit import gather
from labkit.losses import nt_xent

dist.init_process_group("gloo")
torch.manual_seed(int(sys.argv[1]))                                    # the same weights and data everywhere
net = torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 32)).double()
x = torch.randn(32, 64).double()
views = [x + 0.5 * torch.randn_like(x) for _ in range(2)]
"""

# %% [markdown]
# `gather.rows(z)` holds the rows of all workers and brings their gradients home. Inside `gather.across()` a worker keeps to its
# own anchors, and blocks of rows go round in a ring: the rows are never all in one place.

# %%
SCRIPT += """
def across(z1, z2):
    with gather.across():
        return nt_xent(z1, z2, temperature=0.1)

def local(z1, z2):
    return nt_xent(z1, z2, temperature=0.1)

def rows(z1, z2):
    return local(gather.rows(z1), gather.rows(z2))

def gradient(model, loss, views):
    net.zero_grad()
    loss(*model(torch.cat(views)).chunk(2)).backward()
    return torch.cat([p.grad.flatten() for p in net.parameters()])
"""

# %%
SCRIPT += """
truth = gradient(net, local, views)                                    # the whole batch, in this process alone
model = DistributedDataParallel(net)
mine = [v.chunk(dist.get_world_size())[dist.get_rank()] for v in views]
found = {}
for loss in (local, rows, across):
    g = gradient(model, loss, mine)                                    # averaged over the workers by DDP
    found[loss.__name__] = [float(g @ truth / g.norm() / truth.norm()), float(g.norm() / truth.norm())]
print(json.dumps(found))
dist.barrier()                                                         # nobody leaves before the other is done
dist.destroy_process_group()
"""
found = recipe.processes(SCRIPT, seed(), workers=2)
for name, (cosine, length) in found.items():
    print(f"{name:7} cosine {cosine:.6f}, length × {length:.6f}")

# %%
claim("two processes, gather.rows: cosine with one process, off by", abs(found["rows"][0] - 1), "<", 1e-9, kind="exact")
claim("its length, off by", abs(found["rows"][1] - 1), "<", 1e-9, kind="exact")
claim("gather.across: cosine off by", abs(found["across"][0] - 1), "<", 1e-9, kind="exact")
claim("gather.across: length off by", abs(found["across"][1] - 1), "<", 1e-9, kind="exact")
claim("local negatives are not the same", found["local"][0], "<", 0.999)

# %% [markdown]
# ## One worker, many pieces
#
# The batch does not fit, so you cut it into pieces, add up their gradients and step once. For cross-entropy this is exact.
#
# **Predict.** For NT-Xent, 16 pieces of 64 pairs instead of 1,024 at once?

# %%
predict("13-pieces", ["exact as well", "right direction, wrong length", "another gradient"])

# %% [markdown]
# It is *local negatives* again, with pieces for workers. The cure needs two passes (GradCache; Gao et al. 2021): embed all
# pieces without a graph; take the gradient of the whole loss at the *embeddings*, which are small; then embed each piece again,
# and send its part of that gradient back.


# %%
def cached(model, views, size):
    with torch.no_grad():
        z = [torch.cat([model(piece) for piece in view.split(size)]).requires_grad_() for view in views]
    loss(*z).backward()
    model.zero_grad()
    for view, rows in zip(views, z, strict=True):
        for piece, slope in zip(view.split(size), rows.grad.split(size), strict=True):
            model(piece).backward(slope)
    return torch.cat([p.grad.flatten() for p in model.parameters()])


def pieces(z, size):
    return [loss(a, b) for a, b in zip(*(rows.split(size) for rows in z), strict=True)]


# %%
whole, sizes = scaled(1024, 256), np.array(scaled([16, 32, 64, 128, 256, 512, 1024], [16, 64, 256]))
near = {name: [] for name in ("one piece", "all pieces, added up", "cached")}
for k in seeds(scaled(3, 1)):
    model, views = recipe.trained(late, seed=k, n=whole)
    z, weights = [model(view) for view in views], list(model.parameters())
    truth = recipe.gradient(loss(*z), weights)
    grads = {
        "one piece": [recipe.gradient(pieces(z, int(size))[0], weights) for size in sizes],
        "all pieces, added up": [recipe.gradient(torch.stack(pieces(z, int(size))).mean(), weights) for size in sizes],
        "cached": [cached(model, views, int(size)) for size in sizes],
    }
    for name, each in grads.items():
        near[name].append([recipe.against(g, truth)[0] for g in each])
near = {name: np.array(rows) for name, rows in near.items()}

# %%
added = near["all pieces, added up"].mean(0)
show(
    figures.accumulated(sizes, near, whole),
    f"Cosine with the gradient of {whole:,} pairs against the size of a piece. One piece: {near['one piece'][:, 0].mean():.2f} "
    f"at {sizes[0]} pairs. All pieces added up: {added[0]:.2f} at {sizes[0]}, {added[-2]:.3f} at {sizes[-2]}. Cached: 1.",
)
claim("cached, it is the gradient of the whole batch: cosine off by", abs(near["cached"] - 1).max(), "<", 1e-4, kind="exact")
claim("added up, pieces of 16 are another gradient", near["all pieces, added up"][:, 0], "<", 0.98)
claim("adding up beats one piece", near["all pieces, added up"][:, 0] - near["one piece"][:, 0], ">", 0)
claim("and larger pieces are nearer", near["all pieces, added up"][:, -2] - near["all pieces, added up"][:, 0], ">", 0)

# %% [markdown]
# Two things separate a small batch from a large one. **Noise**: another piece, another gradient; adding up removes it, as with
# any loss. **Bias**: fewer negatives ask another question, and no adding up removes that. Here the bias is large for pieces of
# 16 and small from a few hundred on. That is a fact about *this* temperature and these data, and leads to the last question.
#
# ## What does a large batch buy?
#
# ### A better estimate
#
# $\log n$ minus InfoNCE's loss estimates how many nats partners tell of each other, and it can never say more than $\log n$. We
# take pairs on a sphere whose information is known in closed form: a partner's density is $e^{\cos/\tau}$, so that cosine over
# $\tau$ is the best critic there is.
#
# **Predict.** The truth at $\tau = 0.005$ is 5 nats. A batch of 64 could say $\log 64 = 4.2$. What does it say?

# %%
predict("13-nats", ["4.2", "about 4.1", "3.9 or less"])

# %%
temperatures, batches = (0.1, 0.02, 0.005), np.array(scaled([16, 64, 256, 1024, 4096], [16, 64, 256]))


def says(n, tau):
    def once(draw):
        x = recipe.sphere(n, draw)
        return math.log(n) - losses.info_nce(x, recipe.partners(x, tau, draw), temperature=tau)

    return recipe.repeated(once, scaled(8192, 2048) // n, seed())


def misses(n, tau):
    def once(draw):
        logits = recipe.sphere(n, draw) @ recipe.sphere(n, draw).T / tau
        return recipe.log_mean(tau) + math.log(n) - logits.logsumexp(1).mean()

    return recipe.repeated(once, scaled(8192, 2048) // n, seed())


# %%
told, gaps = ({tau: np.array([f(int(n), tau) for n in batches]) for tau in temperatures} for f in (says, misses))
truths = {tau: recipe.information(tau) for tau in temperatures}
show(
    figures.bound(batches, told, truths, gaps),
    "Left: the estimate rises with the batch towards the true information, and never above log n. Right: what the log of a "
    "mean over n negatives misses falls with n, and is the larger the lower the temperature. "
    + "; ".join(f"temperature {tau:g}: truth {truths[tau]:.2f}, 64 pairs say {told[tau][1]:.2f}" for tau in temperatures),
)

# %%
claim("no estimate is above log n", max((told[tau] - np.log(batches)).max() for tau in temperatures), "<", 0, kind="exact")
claim("64 pairs, truth 5 nats: short by more than the ceiling explains", math.log(64) - told[0.005][1], ">", 0.2)
claim("temperature 0.1: 256 pairs know the truth, to", abs(told[0.1][2] - truths[0.1]), "<", 0.1)
claim("the lower the temperature, the more negatives it takes: bias at 256", gaps[0.005][2] / gaps[0.1][2], ">", 5)

# %% [markdown]
# The log of a mean of few terms lies too low. At a high temperature all negatives count alike, and a hundred are enough. At a
# low one only the nearest count, and a small batch has none that is near. *How many negatives* is a question about temperature.
#
# ### Better features?
#
# **Predict.** Digits, batches of 16 to 1,024, every model sees the same 65,536 images, each batch at its best learning rate.
# Which has the best features?

# %%
predict("13-features", ["16", "256", "1,024", "no difference beyond the seeds"])

# %% [markdown]
# These models are **stored** (`python -m labkit results large_batches`): four batches, four learning rates, NT-Xent and DCL
# (which takes the positive out of the denominator, and is said to need smaller batches) at temperature 0.1, several seeds.

# %%
recompute("large_batches")

# %%
stored = results.load("large_batches")
LOSSES, BATCHES = ("nt_xent", "dcl"), np.array(recipe.BATCHES)


def pick(measure, loss, batch):
    """Of the models that did not choose the learning rate, one for each seed."""
    return stored[measure][(stored["loss"] == loss) & (stored["batch"] == batch) & (stored["seed"] > 0)]


TITLES = {"knn": "right by their neighbours", "probe": "right by two labels a class", "recall": "find their other view"}
panels = {t: {loss: np.stack([pick(m, loss, b) for b in BATCHES], 1) for loss in LOSSES} for m, t in TITLES.items()}
before = {t: pick(m, "", 0).mean() for m, t in TITLES.items()}
ranges = {t: f"{curves['nt_xent'].mean(0).min():.2f} to {curves['nt_xent'].mean(0).max():.2f}" for t, curves in panels.items()}
show(
    figures.bought(BATCHES, panels, before),
    "What models that saw equally many digits are worth, against the batch, NT-Xent and DCL. Neighbours and probe hardly "
    "depend on it; finding one's other view does, and is best in the middle. "
    + "; ".join(f"{t}: {r}" for t, r in ranges.items()),
)

# %%
knn, probe, recall = panels.values()
middle = {loss: pick("recall", loss, 256) for loss in LOSSES}
claim("neighbours: from the worst batch to the best", np.ptp(knn["nt_xent"].mean(0)), "<", 0.02)
claim("two labels a class: from the worst batch to the best", np.ptp(probe["nt_xent"].mean(0)), "<", 0.05)
claim("finding one's other view: 256 beats 1,024", middle["nt_xent"] - pick("recall", "nt_xent", 1024), ">", 0)
claim("finding one's other view: 256 beats 16", middle["nt_xent"] - pick("recall", "nt_xent", 16), ">", 0)
rates = {loss: [float(pick("rate", loss, b)[0]) for b in BATCHES] for loss in LOSSES}
print({loss: dict(zip(BATCHES.tolist(), each, strict=True)) for loss, each in rates.items()})

# %% [markdown]
# Neighbours and a probe hardly care at our scale. Papers that report a gain from thousands of pairs train on a million
# photographs: that we cannot show here. What the loss itself asks, to find the other view among all, does care, and is best in
# the *middle*. Small batches see few negatives that are near; large ones make few steps: 64 with 1,024 pairs, 4,096 with 16.
#
# Is DCL the better loss for small batches?

# %%
gain = {int(b): pick("recall", "dcl", b) - pick("recall", "nt_xent", b) for b in BATCHES}
for batch, each in gain.items():
    print(f"{batch:5} pairs: DCL − NT-Xent {each.mean():+.3f}, seed by seed {np.round(each, 3).tolist()}")
claim("at any batch, the two differ by less than batches do", max(abs(g.mean()) for g in gain.values()), "<", 0.03)

# %% [markdown]
# Not here: with the learning rate tuned for each, nothing is left of a difference. One of these models again, **now**:

# %%
rate = pick("rate", "nt_xent", 1024)[0]
again = recipe.measured(fit(recipe.training(1024, float(rate), seed=1, seen=scaled(recipe.SEEN, 2048))))
kept = pick("recall", "nt_xent", 1024)[0]
print(f"finds its other view: stored {kept:.3f}, now {again['recall']:.3f}")
claim("trained here, it is the stored model: recall off by", abs(again["recall"] - kept), "<", 0.03, kind="size")

# %% [markdown]
# ## What to remember
#
# - The matrix of logits grows with the square of the batch, the loss need not: in tiles it is the same number in memory that
#   grows with the batch. Time still grows with the square.
# - Gathering needs a gradient. Without one the pull stays and up to half of the push is gone, and a network feels that more
#   than having local negatives only. No loss curve shows it: compare one step's gradient with one process.
# - Factors of the number of workers are learning rates: SGD feels them, Adam does not.
# - Adding up pieces removes noise, not bias. GradCache removes both, for a second forward pass.
# - How many negatives are enough depends on the temperature. A better bound is not a better feature.
#
# **Next:** in the command line, `torchrun --nproc-per-node 2 -m labkit train ...` does all this for a whole training.
