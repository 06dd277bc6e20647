# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # The preference landscape
#
# There are dozens of losses for learning from preferences. Nearly all differ in four choices: the link, how length is counted,
# what the policy is compared with, and whose answers are judged. This lesson takes them one at a time, on policies so small
# that nothing about them is hidden.
#
# **You will be able to** read a preference loss off its slope; say what it does to long and short answers; tell what comes
# from the loss from what comes from the data; and name three things that no loss of a margin can say.
#
# **Before:** [04](04_likelihood_displacement.ipynb); softmax, Kullback-Leibler divergence, expected values.
# **Reading** 70 minutes, **computing** under a minute on two CPU cores. **Data:** none but what is written here. Everything is
# computed here and now, and most of it is exact.

# %%
try:
    import labkit
except ModuleNotFoundError:
    raise SystemExit("labkit is missing here: run  %pip install -e ..  in a cell, then restart the kernel") from None

# %%
import itertools
import math

import numpy as np
import torch

from labkit import call, claim, link, predict, preferences, show
from labkit.explorers import simplex
from labkit.figures import preference_links as figures
from labkit.figures import preference_policies as drawn
from labkit.lessons import scaled, seed, seeds
from labkit.recipes import bandits
from labkit.recipes import preference_landscape as recipe
from labkit.recipes import simplex as flows
from labkit.recipes import simplex_plane as plane
from labkit.recipes.likelihood_displacement import prefer
from labkit.recipes.simplex_paths import walk
from labkit.training.flow import flow

double = torch.float64
print("losses for preferences in the catalog:", sum(entry.kind == "preference" for entry in labkit.catalog()))

# %% [markdown] tags=["notes"]
# **Fifteen minutes in a lecture.** Three figures: links and slopes (4 min), reward against distance (6 min), the cycle (3 min).
#
# 1. *Links.* Before you show the slopes: "One label in twenty is wrong, and the model is sure that it is. Which loss minds
#    least?" The room votes for the hinge, because SVMs are robust. The hinge pushes such a pair for ever.
# 2. *Reward against distance.* Show the axes and the grey wall first. "Where does offline DPO end, where RWR, where on-policy
#    training?" Most put DPO near the wall. Then say how many rewards each of them asked for.
# 3. *Cycle.* "A beats B, B beats C, C beats A. How many of these three can a reward model get right?" Two; and the best
#    fit by its own loss is to say nothing at all.
# 4. *Discuss:* "A paper reports that its new loss beats DPO. What would you ask to see?" (Equal margin or equal distance from
#    the reference; the same pairs; lengths; whether the pairs came from the policy.)
#
# Slides: each figure is one cell; `figure.savefig("frontier.png", dpi=300)` before `show` writes it.

# %% [markdown]
# ## 1. Links, and what each does to a pair
#
# Let $z$ be the scaled margin of a pair. The link $f(z)$ is the loss; minus its slope is the **push** on the pair. You need no
# formula for the slope, autograd has it. Read the columns from top to bottom: the loss, the push, and where pairs that start
# at −4, −2, 0, 2 and 4 end up when nothing else moves them.
#
# **Predict.** A label is wrong: the "chosen" answer is nonsense, and the model knows it, with margin −4. Which link pushes
# this pair *least*?

# %%
predict("09-wrong-label", ["logistic", "squared", "hinge", "falling"])

# %%
z, starts = torch.linspace(-5, 5, 201, dtype=double), torch.tensor([-4.0, -2.0, 0.0, 2.0, 4.0], dtype=double)
curves = {name: (f(z, **o).numpy(), link.slope(f, z, **o).numpy()) for name, (f, o) in recipe.LINKS.items()}
TIME = scaled(200, 50)  # steps, each of 10 / TIME
paths = {name: recipe.drift(name, starts, steps=TIME, lr=10 / TIME).numpy() for name in recipe.LINKS}
show(
    figures.atlas(z.numpy(), curves, paths, np.linspace(0, 10, TIME + 1)),
    "Eight links, their slopes, and where pairs go. Logistic pushes for ever but less and less; smoothed and squared draw all "
    "pairs to one margin; robust never lets go; the hinge stops at 1; EXO and falling leave a hopeless pair nearly alone.",
)


# %%
def push(name, at):
    f, options = recipe.LINKS[name]
    return -link.slope(f, torch.tensor([at], dtype=double), **options).item()


hopeless = {name: push(name, -4.0) for name in recipe.LINKS}
print("push on a pair at -4:", {name: round(p, 3) for name, p in sorted(hopeless.items(), key=lambda item: item[1])})
least = hopeless["falling (APO)"] / hopeless["logistic (DPO)"]
claim("falling pushes the hopeless pair less than a fiftieth as hard as logistic", least, "<", 0.02)
claim("the hinge pushes it harder than logistic does", hopeless["hinge (SLiC)"] - hopeless["logistic (DPO)"], ">", 0)
claim("squared pushes hardest", hopeless["squared (IPO)"] - sorted(hopeless.values())[-2], ">", 0)
turn = math.log(0.8 / 0.2)
claim("smoothed by e, the push vanishes where sigmoid(z) = 1 - e", abs(push("smoothed (cDPO)", turn)), "<", 1e-12, kind="exact")
claim("robust never lets go: far out it still pushes", push("robust (rDPO)", 30.0), ">=", 0.2 / 0.6 - 1e-9, kind="exact")

# %% [markdown]
# Three families:
#
# - **Ever onward**: logistic, robust, DiscoPOP. No margin is wide enough; only the learning rate or the clock stops them.
# - **This far**: smoothed, squared, hinge. There is a margin at which a pair is left alone, or pushed *back*.
# - **Lost causes are left**: EXO and falling. A pair that is ranked wrongly with confidence is taken for a wrong label. The
#   price is in the bottom row: a hard pair that is labelled *rightly* is learned late (EXO) or hardly at all (falling).
#
# A link decides how hard each pair is pushed and when it is left. It cannot decide *which of the two answers* moves: that is
# lesson [04](04_likelihood_displacement.ipynb).

# %% [markdown]
# ## 2. Sum or mean: who counts the tokens?
#
# The log-probability of an answer is a sum over its tokens, so longer answers have lower ones. Losses deal with that in four
# ways: take the sum (CPO), take the mean (SimPO), subtract a reference (DPO), or do both (the `ipo` of some libraries).
#
# **Predict.** Before training, with every token equally likely, we train on a pair whose chosen answer has 40 tokens and whose
# rejected one has 10. Under which of the four is *each rejected token* pushed harder than each chosen one?

# %%
predict("09-tokens", ["sum", "mean", "sum against the reference", "none: a pair is pushed as one"])

# %%
n = torch.arange(2, 41, dtype=double)
pushes = {name: tuple(x.numpy() for x in recipe.token_push(name, n, torch.full_like(n, 10.0))) for name in recipe.SCORES}
show(
    figures.tokens_pushed(n.numpy(), pushes, 10),
    "Push on each token against the length of the chosen answer. With a sum, chosen and rejected tokens are pushed alike; "
    "without a reference, the longer the chosen answer the harder. With a mean, tokens of the longer answer are pushed less.",
)

# %%
at = {length: int(length) - 2 for length in (5, 40)}
for name in recipe.SCORES:
    up, down = pushes[name]
    ratio = down[at[40]] / up[at[40]]
    wanted = 4.0 if name.startswith("mean") else 1.0
    claim(
        f"{name}: a rejected token is pushed {wanted:g} times as hard, but for", abs(ratio - wanted), "<", 1e-12, kind="exact"
    )
up = pushes["sum, no reference"][0]
claim("sum, no reference: the long chosen answer is pushed harder than the short one", up[at[40]] - up[at[5]], ">", 0.01)
up = pushes["sum, against the reference"][0]
claim("against the reference, length plays no part at the start", np.ptp(up), "<", 1e-12, kind="exact")

# %% [markdown]
# A sum without a reference takes a long chosen answer for one that is ranked wrongly, and a short one for one that is settled,
# before anything was learned. A mean shares its push among the tokens, so each token of the longer answer gets less.
#
# One trap is worth a line: `1 / (2β)` is the margin that IPO asks for. In the paper it is in nats; in libraries that divide by
# length it is in nats *per token*. With β = 0.1 and 40 tokens, that is 5 nats or 200.
#
# What does it come to? Here is a policy that says one of four words again and again, and after each word stops or goes on.
# Its only parameter is how soon it stops. We draw pairs from it and **label them by lot**, so that the labels say nothing about
# length, and minimise the exact mean of each loss.

# %%
predict(
    "09-by-lot",
    ["lengths stay as they are, whatever the loss", "a sum makes answers longer, a mean shorter", "the other way round"],
)

# %%
LONG = scaled((200, 400), (80, 150))  # the longest answer, and steps
grown = {name: recipe.lengths_after(name, longest=LONG[0], steps=LONG[1]).numpy() for name in recipe.SCORES}
show(
    figures.lengths(grown, 5.0),
    "Mean length against the step. Against a reference it stays at 20 tokens; with a mean and no reference it falls to 5; with "
    "a sum and no reference it grows without end.",
)

# %%
claim("no reference, sum: from 20 tokens to more than 100", grown["sum, no reference"][-1], ">", 100)
claim("no reference, mean: to 5 tokens", abs(grown["mean, no reference"][-1] - 5), "<", 0.05)
for name in ("sum, against the reference", "mean, against the reference"):
    claim(f"{name}: it stays at 20", abs(grown[name][-1] - 20), "<", 0.1)

# %% [markdown]
# Labels that say nothing ask for scores that are all equal, and each loss has its own idea of what equal means. Equal *sums*:
# long answers as likely as short ones, which no stopping policy can do, so it stops less and less. Equal *means*: stopping as
# likely as each of the four words, so one time in five. Equal *to the reference*: nothing changes. A reference-free loss has an
# opinion about length of its own, and every pair whose label is noise is a vote for it.

# %% [markdown]
# ## 3. Beta: when, and sometimes where
#
# $\beta$ multiplies the margin before the link. With one pair and a certain label it changes how fast the margin is won, and
# nothing else. **Predict.** Now four annotators in five prefer the first answer, and we train to the end. What does β do to
# where the policy ends?

# %%
predict("09-beta", ["nothing, as before", "a smaller beta: further from the reference", "a larger beta: further"])

# %%
table = torch.tensor([0.3, 0.3, 0.4], dtype=double).log()[None, :, None]
betas = (0.1, 0.3, 1.0)
panels = {"one certain pair": {}, "four annotators in five": {}}
for beta in betas:
    for title, noise in zip(panels, (0.0, 0.2), strict=True):
        loss = prefer(0, 1, loss=call("dpo", beta=beta, label_smoothing=noise))
        path = flow(torch.ones(1, 1, 1, dtype=double), table, loss, train="head", lr=0.2 / beta, steps=int(80 / beta))
        won = (path[..., 0] - path[..., 1])[:, 0, 0]
        panels[title][f"beta = {beta:g}"] = won.numpy(), path[:, 0, 0, 0].exp().numpy()
short = {name: (x[x < 3], y[x < 3]) for name, (x, y) in panels["one certain pair"].items()}
clock = {name: (np.linspace(0, 1, len(x)), x) for name, (x, _) in panels["four annotators in five"].items()}
show(
    figures.strengths(
        {"one certain pair": short, "four annotators in five": clock},
        (("margin won so far, nats", "probability of the chosen answer"), ("share of the steps", "margin, nats")),
    ),
    "Left: with a certain label three values of beta follow the same path. Right: with labels that disagree, each ends at "
    "its own margin, 14 nats for beta 0.1, 4.6 for 0.3 and 1.4 for 1.",
)

# %%
places = [np.interp(2.0, *panels["one certain pair"][f"beta = {b:g}"]) for b in betas]
claim("one certain pair: at margin 2 all three are the same policy", max(places) - min(places), "<", 1e-3, kind="exact")
for b in betas:
    end = panels["four annotators in five"][f"beta = {b:g}"][0][-1]
    claim(f"beta = {b:g}: four in five ends at log(4) / beta", abs(end * b / math.log(4) - 1), "<", 0.01)

# %% [markdown]
# With certain labels DPO has no end to reach: β says when. With labels that disagree it has one, at margin
# $\log\frac{0.8}{0.2} / \beta$: β says where. (Between many pairs that share parameters, β also says which of them is let go
# first; the paths then differ a little even with certain labels.)
#
# ## 4. DPO against a policy gradient
#
# A hundred arms in a row. The **reference** sits around arm 20, the **reward** peaks at arm 70, where the reference never goes.
# One fixed set of 200 pairs was drawn from the reference and ranked by reward. Four losses learn from it **offline**: imitate
# the chosen; imitate in proportion to exp(reward) (RWR); DPO; IPO. Three more learn **on-policy**, from what the policy itself
# says at each step: the policy gradient with a KL to the reference, and DPO on the policy's own pairs, both in exact
# expectation; and the policy gradient again from 200 draws a step (REINFORCE).
#
# How good can a policy be at a given distance from the reference? Exactly as good as $\rho\,e^{r/\beta}$, for one β or another:
# nothing lies above that line. **Predict.** Which of the four offline methods comes nearest to it?

# %%
predict("09-frontier", ["imitation", "RWR", "DPO", "IPO"])

# %%
reward, reference = bandits.bandit()
better, worse = bandits.sampled_pairs(reference, reward, 200, seed=seed())
seen = torch.zeros(bandits.ARMS, dtype=torch.bool)
seen[torch.cat([better, worse])] = True
STEPS = scaled(1000, 400)
courses = {
    name: bandits.descend(reference, loss, steps=STEPS)
    for name, loss in (bandits.offline(reward, better, worse) | bandits.online(reward, seed=seed())).items()
}
scores = {name: (bandits.kl(path, reference).numpy(), (path.exp() @ reward).numpy()) for name, path in courses.items()}
print("pairs:", len(better), " arms seen:", int(seen.sum()), " best arm seen:", int(seen.nonzero().max()))
print("rewards asked for: offline", 2 * len(better), " on-policy with 200 draws a step", 200 * STEPS)

# %% tags=["cover"]
tilts = [bandits.tilted(reference, reward, b) for b in np.geomspace(0.0002, 100, 500)]
best = np.array([[bandits.kl(p, reference), p.exp() @ reward] for p in tilts]).T
show(
    drawn.frontier((best[0], best[1]), scores),
    "Expected reward against the KL from the reference. Imitation stops at once; RWR follows the frontier and stops where the "
    "data ends; DPO and IPO run below it. The exact on-policy methods go on to the peak, the sampled one gets stuck half-way.",
)

# %%
show(
    drawn.arms(reference.exp().numpy(), reward.numpy(), {n: p[-1].exp().numpy() for n, p in courses.items()}, seen.numpy()),
    "Where each method puts its probability at the end. Imitation stays with the reference, RWR moves to the edge of the data, "
    "DPO and IPO pick a few arms within it. The exact gradient covers the peak, on-policy DPO one arm of it; with 200 draws "
    "the gradient stops just outside the data.",
)


# %%
offline, exact = list(scores)[:4], list(scores)[4:6]


def end(name):
    return scores[name][1][-1]


def below(name):
    """How far under the frontier it ends."""
    return float(np.interp(scores[name][0][-1], *best[:, ::-1])) - end(name)


above = max((y - np.interp(x, *best[:, ::-1])).max() for x, y in scores.values())
claim("no policy on any path is above the frontier", above, "<", 1e-3, kind="exact")
claim("imitating the chosen is the weakest", min(map(end, list(scores)[1:])) - end(offline[0]), ">", 0)
claim("RWR ends nearer to the frontier than DPO", below("DPO") - below("reward-weighted (RWR)"), ">", 0)
claim("exact on-policy training beats every offline method", min(map(end, exact)) - max(map(end, offline)), ">", 0.2)
claim("the policy gradient ends on the frontier", below("policy gradient, exact"), "<", 0.01)
for name in offline:
    claim(f"{name}: it never leaves the data", courses[name][-1].exp()[~seen].sum(), "<", 0.05)

# %% [markdown]
# What reproduces of Tajwar et al. (2024), who ran this comparison with a network: what the policy itself says carries it out of
# the data, step by step, and losses that push *down* go further than imitation. What does not reproduce: here DPO is no better
# than RWR, but worse at any distance. RWR was told rewards and DPO only who won, and with one logit for each arm DPO fits the
# accidents of 200 pairs.
#
# And the third on-policy line says what "exact" hides. With 200 draws a step the gradient moves beyond the data and gets stuck:
# it hears only of arms that it draws, and in a table nothing is learned about an arm from its neighbour. A network does that,
# for better or worse.
#
# **Modes.** The exact policy gradient keeps a peak exactly as broad as its KL asks for. On-policy DPO, which sees certain
# labels, ends on one arm.

# %%
entropy = {name: float(-(path[-1].exp() * path[-1]).sum()) for name, path in courses.items()}
print("entropy at the end, nats:", {name: round(h, 2) for name, h in entropy.items()})
wide = bandits.tilted(reference, reward, 0.02)
claim("the policy gradient is as broad as its optimum", abs(entropy[exact[0]] + (wide.exp() * wide).sum()), "<", 0.1)
claim("on-policy DPO ends narrower, by nats", entropy[exact[0]] - entropy[exact[1]], ">", 1)

# %% [markdown]
# Is it the loss, then, or the data? Give DPO **every** pair of arms, with labels as uncertain as Bradley and Terry would have
# them. **Predict** how far its optimum is from that of the policy gradient with the same β.

# %%
predict("09-same", ["DPO is above", "DPO is below", "they are the same policy"])

# %%
for beta in (0.1, 0.5):
    dpo = bandits.solved(reference, bandits.population_dpo(reward, beta))
    gradient = bandits.tilted(reference, reward, beta)
    claim(
        f"beta = {beta}: the two optima differ nowhere by more",
        (dpo.exp() - gradient.exp()).abs().max(),
        "<",
        1e-8,
        kind="exact",
    )

# %% [markdown]
# They are one policy; that is the theorem on which DPO rests. So the whole difference above is data: which pairs, from whom,
# with what labels. Ivison et al. (2024) compared DPO and PPO on real models and found the preference data to matter most, then
# the algorithm, with PPO ahead.
#
# ## 5. The answer that no pair mentions
#
# Now the other side of coverage. One pair, and a third answer that no pair mentions. As in lesson 04 the three share a feature,
# and only that feature learns. The third answer starts with probability $\varepsilon$. **Predict.** How much can it gain?

# %%
predict("09-unmentioned", ["nothing: no pair mentions it", "at most as much as the rejected answer loses", "everything"])

# %%
panels = {"DPO alone": 0.0, "DPO and a KL over all answers": 0.1}
ends, lines = {}, {}
for title, weight in panels.items():
    lines[title] = {}
    for share in (0.1, 0.01, 0.0001):
        ends[title, share] = path = bandits.unmentioned(share, weight, steps=scaled(800, 400))
        won = ((path - path[0])[:, 0] - (path - path[0])[:, 1]).numpy()
        lines[title][f"{share:g}"] = won, path[:, 2].exp().numpy()
show(
    drawn.coverage(lines),
    "Probability of the third answer against the margin. Under DPO alone it goes to 1 however small it began. With a KL over "
    "all answers it stops at once.",
)

# %%
for share in (0.1, 0.01, 0.0001):
    alone, held = ends["DPO alone", share], ends["DPO and a KL over all answers", share]
    claim(f"DPO alone, from {share:g}: the third answer ends with all", alone[-1, 2].exp(), ">", 0.999)
    far = bandits.kl(alone[-1], alone[0])
    claim(
        f"from {share:g}: the policy ends log(1/share) nats from its reference",
        abs(far + math.log(share)),
        "<",
        1e-3,
        kind="exact",
    )
    claim(f"with the KL, from {share:g}: it stays below", held[-1, 2].exp(), "<", 0.2)
    gained = held[-1, 0] - held[0, 0]
    claim(f"with the KL, from {share:g}: the chosen answer moves by less than", gained.abs(), "<", 0.5)

sampled = bandits.unmentioned(0.01, 0.1, draws=64, seed=seed(), steps=scaled(800, 400))
claim("HyPO, the same KL from 64 draws a step: the third answer stays below", sampled[-1, 2].exp(), "<", 0.2)

# %% [markdown]
# Everything, and all the while the loss falls and the margin grows: the pair is ranked better and better. The distance from the
# reference at the end is $\log(1/\varepsilon)$, so it has no bound. The pairs cannot see it, because they do not mention that
# answer; a KL term can, because it asks about *all* answers that the policy might give, and that needs draws from the policy
# (HyPO, Song et al. 2024). DPO's own β is no such term: it holds the two answers of the pair, and nothing else.
#
# ## 6. The whole triangle
#
# All that a policy over three answers can be fits into a triangle. Gradient descent in small steps is a **flow** on it, with an
# arrow at every point. The loss gives two pushes, on $\log\pi$ of the chosen and of the rejected answer; what lies below the
# logits says who moves along with whom. "A feature they share" is the set-up of lesson 04: No and Never lie on one side of it,
# Never further out, and Yes on the other.
#
# **Predict.** DPO, No preferred to Never, and the shared feature is all that learns. In how much of the triangle do the
# log-probabilities of No and Never **both** fall?

# %%
predict("09-both-fall", ["nowhere: No is the chosen answer", "a fifth", "half", "more than three quarters"])

# %%
show(simplex())

# %% [markdown]
# Shaded: both fall. Drag the start. Then change *what learns* to "each answer's own logit": the shade is gone. "Feature and
# logits" is the case between, with an edge in the middle of the triangle: a path may leave the shade, or enter it.

# %%
grid, start = flows.spread(plane.grid()), flows.spread(flows.opening())
shared = flows.Flow(call("dpo"), flows.kernel("alike"), np.log(start))
yes, never = grid[:, 0], grid[:, flows.REJECTED]
wrong = ((shared.falling(grid) < -1e-12) != (yes - never / 5 > 1e-12)).sum()
claim("both fall where Yes has more than a fifth of what Never has; points where not so", wrong, "==", 0, kind="exact")
share = plane.share_of(*plane.region(shared))
claim("that is five sixths of the triangle, but for", abs(share - 5 / 6), "<", 0.005, kind="exact")
claim("nothing is won that nobody lost", abs(shared.field(grid).sum(1)).max(), "<", 1e-15, kind="exact")
own = flows.Flow(call("dpo"), flows.kernel("independent"), np.log(start)).rates(np.log(grid))
claim("own logits: under DPO the chosen answer rises everywhere", own[:, flows.CHOSEN].min(), ">", 0, kind="exact")
kto = flows.Flow(call("kto", beta=5.0), flows.kernel("independent"), np.log(start))
claim("own logits under KTO: somewhere both fall", (kto.falling(grid) < 0).sum(), ">", 0, kind="exact")

# %% [markdown]
# The last one surprises many. KTO judges each answer by itself and lets go of one that has gone far enough. Where it still
# pushes Never down and no longer lifts No, the freed probability goes to whoever has most already.
#
# **Predict.** From one start, each loss goes on until the margin is 0.5. Which of DPO, IPO and SimPO leaves No most?

# %%
predict("09-same-margin", ["DPO", "IPO", "SimPO", "they end in the same policy"])

# %%
alone = [call("dpo", beta=0.02), call("dpo", beta=2.0), call("ipo"), call("simpo", beta=2.0)]
for geometry in scaled(("both", "alike"), ("both",)):
    flown = [walk(flows.Flow(c, flows.kernel(geometry), np.log(start)), start, 0.5) for c in alone]
    ends = np.exp([path.logps[-1] for path in flown])
    print(geometry, "Yes, No, Never:", ends[0].round(3))
    claim(f"{geometry}: DPO at two betas, IPO, SimPO: one policy, but for", np.ptp(ends, axis=0).max(), "<", 1e-8, kind="exact")

# %% [markdown]
# A loss of the margin alone lifts No as hard as it presses Never, so in logits it walks a straight line, and at equal margin
# all of them are one policy. β and the link say how fast, and where to stop. (That holds for one pair, answers of equal length,
# and small steps of plain gradient descent.) Only a loss that looks at more can leave the line, and only if there is somewhere
# else to go:

# %%
more = {"RPO": call("rpo", eta=0.05), "DPOP": call("dpop", lambda_=5.0)}
ends = {
    (name, g): walk(flows.Flow(c, flows.kernel(g), np.log(start)), start, 0.5)
    for name, c in more.items()
    for g in ("alike", "both")
}
for (name, geometry), path in ends.items():
    print(f"{name}, {geometry}: {path.end}, margin {path.won[-1]:.3f}, No {np.exp(path.logps[-1, flows.CHOSEN]):.3f}")
claim("one shared feature: RPO stops below margin", ends["RPO", "alike"].won[-1], "<", 0.11, kind="exact")
claim("one shared feature: DPOP wins a margin of", ends["DPOP", "alike"].won[-1], "<", 1e-9, kind="exact")
dpo = np.exp(flows.margin_alone(flows.kernel("both"), np.log(start), np.array(0.5)))[flows.CHOSEN]
rpo = np.exp(ends["RPO", "both"].logps[-1, flows.CHOSEN])
claim("feature and logits: at margin 0.5 RPO has more of No than DPO, by", rpo - dpo, ">", 0.05, kind="exact")

# %% [markdown]
# With one shared feature there is one line, and a cure is a refusal to go on: DPOP does not move, RPO stops early. Where each
# answer also has something of its own, imitation of the chosen answer leaves the line, and the margin is won without losing No.
# Compare losses at equal margin; at equal steps a slower one looks like a cure.
#
# ## 7. Cycles
#
# All losses so far assume that each answer has a worth. **Predict.** People prefer rock to scissors, scissors to paper, paper
# to rock. A reward model is fitted to these three pairs. How many does it get right, and what is its loss?

# %%
predict("09-cycle", ["three", "two, with a loss near 0", "two at best, and its loss is chance"])

# %%
beats = bandits.cycle(3)
fits = {s: {d: bandits.fitted(beats, d, s) for d in (1, 2)} for s in seeds(scaled(5, 2))}
one, plane = fits[seed()][1], fits[seed()][2]
turned = plane[0].numpy()
curves = {"a reward": one[1].numpy(), "a point in the plane": plane[1].numpy()}
show(
    drawn.cycle(turned, ["rock", "scissors", "paper"], curves, math.log(2)),
    "Left: three vectors that the fit has placed a third of a turn apart, each beating the next. Right: the loss of a reward "
    "model stops at log 2, which is chance; that of the vectors goes to 0.",
)

# %%
orders = [sum(order.index(a) > order.index(b) for a, b in beats.tolist()) for order in itertools.permutations(range(3))]
claim("of all orders of three answers the best gets two pairs of three", max(orders), "==", 2, kind="exact")
claim("the reward model's loss ends at chance", [abs(f[1][1][-1] - math.log(2)) for f in fits.values()], "<", 1e-6)
claim("points in the plane get all three right", [f[2][2][-1] for f in fits.values()], "==", 1.0)
claim("and their loss is near 0", [f[2][1][-1] for f in fits.values()], "<", 0.01)
five = [bandits.fitted(bandits.cycle(5), 2, s)[2][-1] for s in seeds(scaled(5, 2))]
claim("five answers, each of which beats the next two: the plane still holds them all", five, "==", 1.0)

# %% [markdown]
# A score that changes its sign when the answers are swapped, $a_1 b_2 - a_2 b_1$, needs no worth: it is the turn from one
# answer to the other (Zhang et al. 2024). It says who wins; it does not say what to *say*. For rock, paper and scissors the
# best policy is to mix all three, and no single answer is the chosen one.
#
# ## 8. What a loss asks for, in logic
#
# Read a pair as two propositions: $w$, "the chosen answer is right", and $l$, "the rejected one is", true with their
# probabilities and independent. (In one softmax they are not; it is a reading, not a model.) There are four cases. A loss
# counts some **for** itself and some **against**, and takes the logistic link of the log-odds (Richardson et al. 2024).
#
# | loss | for | against |
# |---|---|---|
# | imitation | $w$ | not $w$ |
# | CPO | $w$ | $l$ (the case of both counts on both sides) |
# | ORPO's comparison | $w$ and not $l$ | $l$ and not $w$ |
# | "if $l$ then $w$" | all but the next | $l$ and not $w$ |
# | "$w$ and not $l$" | this case alone | all others |

# %%
p, q = (
    torch.rand(1000, generator=torch.Generator().manual_seed(seed()), dtype=double),
    torch.linspace(0.01, 0.99, 1000, dtype=double),
)
one_token = torch.ones(1000)
known = {
    "imitation: w": -p.log(),
    "CPO: w against l": preferences.cpo(p.log(), q.log(), beta=1.0, sft=0.0, reduction="none"),
    "ORPO: w and not l, against l and not w": preferences.orpo(
        p.log(), q.log(), one_token, one_token, beta=1.0, sft=0.0, reduction="none"
    ),
    "w and not l": -p.log() - (1 - q).log(),  # imitation plus unlikelihood
}
for name, value in known.items():
    gap = (recipe.semantic(*recipe.LOGIC[name], p, q) - value).abs().max()
    claim(f"counting cases gives the loss itself: {name}", gap, "<", 1e-12, kind="exact")

# %% [markdown]
# **Predict.** Both answers die: the chosen one falls to $10^{-4}$, the rejected one to $10^{-9}$. Which of the five losses
# objects?

# %%
predict("09-both-dead", ["all", "CPO and ORPO", "imitation and 'w and not l'", "none"])

# %%
odds = torch.linspace(-7, 7, 81, dtype=double)
up, right = (x.clone().requires_grad_() for x in torch.meshgrid(odds, odds, indexing="ij"))
maps = {}
for name, (good, bad) in recipe.LOGIC.items():
    loss = recipe.semantic(good, bad, right.sigmoid(), up.sigmoid())
    across, along = torch.autograd.grad(loss.sum(), (right, up), allow_unused=True)
    along = torch.zeros_like(across) if along is None else along
    maps[name.replace(", against", "\nagainst")] = loss.detach().numpy(), -across.numpy(), -along.numpy()
show(
    figures.logic(maps, odds.numpy()),
    "Five losses over the log-odds of both answers. Imitation pushes right only; CPO, ORPO and the implication are content "
    "along a diagonal that runs down to where both answers are dead; 'w and not l' is content in one corner only.",
)

# %%
dead = torch.tensor([1e-4], dtype=double), torch.tensor([1e-9], dtype=double)
minded = {name: recipe.semantic(*sides, *dead).item() for name, sides in recipe.LOGIC.items()}
print("loss when both are dead:", {name: round(v, 5) for name, v in minded.items()})
content = ("CPO: w against l", "ORPO: w and not l, against l and not w", "if l then w")
claim(
    "CPO, ORPO and the implication are content with two dead answers",
    max(minded[name] for name in content),
    "<",
    1e-3,
    kind="exact",
)
claim("imitation and 'w and not l' object", min(minded[n] for n in ("imitation: w", "w and not l")), ">", 9, kind="exact")

# %% [markdown]
# That is likelihood displacement, read off a truth table: a loss that does not count "neither" against itself has no quarrel
# with it. There are 225 losses of this form. How many are losses of a preference at all, in that they never push the chosen
# answer down nor the rejected one up? And how many of those object when both die?

# %%
a, b = (x.clone().requires_grad_() for x in torch.meshgrid(odds.sigmoid()[::4], odds.sigmoid()[::4], indexing="ij"))
sane, object_ = [], []
for good, bad in recipe.every_loss():
    slopes = torch.autograd.grad(recipe.semantic(good, bad, a, b).sum(), (a, b), allow_unused=True)
    if any(s is None for s in slopes) or (slopes[0] > 1e-9).any() or (slopes[1] < -1e-9).any():
        continue
    if min(s.abs().max() for s in slopes) > 1e-6:
        sane.append((good, bad))
        object_.append(recipe.semantic(good, bad, *dead).item() > math.log(2) + 1e-3)
print(
    f"{len(recipe.every_loss())} losses; {len(sane)} push both answers, and never the wrong way; {sum(object_)} of them object"
)
claim(
    "fewer than half of the losses that push rightly object when both answers die",
    sum(object_) / len(sane),
    "<",
    0.5,
    kind="exact",
)

# %% [markdown]
# ## 9. Which divergence, which mode
#
# "Stay near the target" needs a measure of near. The target here has a broad peak with 70 % and a narrow one with 30 %. The
# policy can say only "about here, this broad": one peak. For each divergence we look through all such policies and take the
# best. **Predict.** Which divergences cover both peaks?

# %%
predict("09-divergence", ["all of them", "KL(target, policy) only", "KL(policy, target) only", "none"])

# %%
target = bandits.two_peaks()
nearest = bandits.closest(target)
show(
    drawn.peaks(target.exp().numpy(), {name: p.exp().numpy() for name, p in nearest.items()}),
    "A target with two peaks and the best one-peaked policy for four divergences. KL(target, policy) covers both peaks and the "
    "valley between; the other three sit on the larger peak.",
)

# %%
valley = {name: float(p.exp()[50:60].sum()) for name, p in nearest.items()}
wasted = float(target.exp()[50:60].sum())
print("probability of the valley between the peaks:", {name: round(v, 3) for name, v in valley.items()}, f"target {wasted:.3f}")
claim("KL(target, policy) puts more than a tenth into the valley", valley["KL(target, policy)"], ">", 0.1, kind="exact")
claim("KL(policy, target) less than a twentieth", valley["KL(policy, target)"], "<", 0.05, kind="exact")
left = {name: float(p.exp()[:51].sum()) for name, p in nearest.items()}
claim("KL(policy, target) is on the larger peak alone", left["KL(policy, target)"], ">", 0.98, kind="exact")

# %% [markdown]
# The direction is a choice of mistake: say what the target never says (cover), or never say what it sometimes says (seek). The
# KL of every method in section 4 is KL(policy, reference), the seeking kind. **f-DPG** (Go et al. 2023) makes the choice free:
# a policy gradient whose reward is minus the slope of any of these divergences. It is exactly that:

# %%
logits = torch.randn(bandits.ARMS, generator=torch.Generator().manual_seed(seed()), dtype=double)
official = {
    "KL(target, policy)": ("kl", 1),
    "Jensen-Shannon": ("js", 2),
    "total variation": ("tv", 1),
    "KL(policy, target)": ("reverse_kl", 1),
}
for name, (called, times) in official.items():
    free = logits.clone().requires_grad_()
    (down,) = torch.autograd.grad(times * bandits.DIVERGENCES[name](free.log_softmax(-1), target), free)
    gap = (bandits.pulled(logits, target, called) - down).abs().max()
    claim(f"f-DPG descends {name}", gap, "<", 1e-12, kind="exact")

# %% [markdown]
# But look at where the choice comes from. A policy that can hold *both* peaks has no mistake to choose:

# %%
for name, divergence in bandits.DIVERGENCES.items():
    claim(
        f"{name}: a policy with a logit for each answer has the target itself as its optimum",
        divergence(target, target).abs(),
        "<",
        1e-12,
        kind="exact",
    )
free = {
    n: bandits.solved(bandits.two_peaks(0.5), lambda p, _, d=d: d(p, target), steps=200)
    for n, d in bandits.DIVERGENCES.items()
    if n != "total variation"
}
reached = max(float((p.exp() - target.exp()).abs().max()) for p in free.values())
claim("and descent finds it, whatever the direction", reached, "<", 1e-4)

# %% [markdown]
# ## What to remember
#
# - A link says how hard each pair is pushed and when it is left. It does not say which answer moves.
# - Sum, mean and reference are three opinions about length. Labels without information are votes for them.
# - With full coverage and honest labels DPO and a policy gradient are one policy. What differs in practice is whose answers
#   were judged.
# - At equal margin, losses of the margin alone are one policy. What learns decides whether the chosen answer falls on the way.
# - Three things no loss of a margin can say: what becomes of the chosen answer itself, what becomes of answers that no pair
#   mentions, and who wins in a cycle.
#
# **Next:** [10](10_real_language_model.ipynb), the same on a real language model.
