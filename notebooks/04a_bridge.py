# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # A bridge: InfoNCE is DPO with more negatives
#
# Contrastive learning compares a positive with many negatives. DPO compares a chosen answer with one rejected one. Put K
# rejected answers into one softmax and the two losses are the same function.
#
# **You will be able to** translate every sentence about negatives into one about rejected answers and back; say what the
# chance line is for any K; and tell what a longer list buys and what it does not.
#
# **Before:** [02](02_temperature.ipynb) (who pushes), [04](04_likelihood_displacement.ipynb) (margins); softmax and logsumexp.
# **Reading** 15 minutes, **computing** about 20 seconds on two CPU cores. **Data:** digits, and a language of 63 words whose
# liked words are known. Four small policies are taught here; 108 others and the digits' network come from stored numbers
# (`python -m labkit results bridge`, about two minutes).

# %%
try:
    import labkit
except ModuleNotFoundError:
    raise SystemExit("labkit is missing here: run  %pip install -e ..  in a cell, then restart the kernel") from None

# %%
import math

import numpy as np
import torch

from labkit import claim, losses, predict, preferences, results, show
from labkit.explorers import bridge as explorer
from labkit.explorers.bridge import MANY, scores
from labkit.figures import preference_bridge as figures
from labkit.lessons import scaled, seed, seeds
from labkit.recipes import bridge as recipe

double = torch.float64
print("losses on lists in the catalog:", *(entry.name for entry in labkit.catalog() if entry.family == "listwise"))

# %% [markdown] tags=["notes"]
# **Fifteen minutes in a lecture.** Write both losses on the board (4 min), move the slider (6 min), the two panels (4 min).
#
# 1. *The board.* Let the room find the dictionary. "What is the anchor?" (the prompt) "What is the temperature?" (one over β)
# 2. *The slider.* At K = 1, "which loss is this?" Then K = 32: "how much of the push does the hardest of 32 carry?"
# 3. *The two panels.* Show the left one and ask which objective is best. Then show the right one.
# 4. *Discuss:* "Someone reports a lower loss with 4 rejected answers than with 8. Is that better?" (log 5, log 9.)
#
# Slides: each figure is one cell; `figure.savefig("lists.png", dpi=300)` before `show` writes it.

# %% [markdown]
# ## One formula
#
# $$\text{InfoNCE} = -\log \frac{e^{s^+/\tau}}{e^{s^+/\tau} + \sum_{j=1}^K e^{s_j/\tau}}
# \qquad\qquad
# \text{softmax DPO} = -\log \frac{e^{\beta h_w}}{e^{\beta h_w} + \sum_{j=1}^K e^{\beta h_j}}$$
#
# | embeddings | policies |
# |---|---|
# | anchor | prompt |
# | positive, negatives | chosen answer, rejected answers |
# | cosine $s$ | log-ratio $h$ to the reference: the implicit reward |
# | one over the temperature, $1/\tau$ | strength $\beta$ |
#
# It is one function of scores, so we can hand the log-ratios of answers to `info_nce` itself. It takes vectors, so we build
# some: an anchor, and one vector for each answer whose cosine to the anchor is $\beta h \tau$.

# %%
torch.manual_seed(seed())
beta, tau, h = 0.1, 0.01, 6 * torch.randn(50, 8, dtype=double)  # 50 prompts, each with 1 chosen and 7 rejected answers
cosines = (beta * tau * h).clamp(-1, 1)
vectors = torch.stack([cosines, (1 - cosines.square()).sqrt()], dim=-1)  # in the plane; the anchor is the first axis
anchors = torch.tensor([[1.0, 0.0]], dtype=double).expand(50, 2)
as_embeddings = losses.info_nce(anchors, vectors[:, 0], vectors[:, 1:], temperature=tau)
as_answers = preferences.softmax_dpo(beta * h[:, 0], beta * h[:, 1:])
claim("InfoNCE of beta h is softmax DPO", abs(as_embeddings - as_answers), "<", 1e-12, kind="exact")

zero = torch.zeros(50, dtype=double)
one_pair = preferences.softmax_dpo(beta * h[:, 0], beta * h[:, 1:2])
claim(
    "with one rejected answer it is DPO",
    abs(one_pair - preferences.dpo(h[:, 0] - 40, h[:, 1] - 40, zero - 40, zero - 40, beta=beta)),
    "<",
    1e-12,
    kind="exact",
)

# %% [markdown]
# The other losses on lists are kin. **Plackett-Luce** takes a whole ranking: the best by a softmax over all, the second by a
# softmax over those that are left, and so on. **LiPO** takes all pairs of a graded list, weighted.

# %%
s = beta * h
best_first = torch.arange(8).expand(50, 8)
factors = [preferences.softmax_dpo(s[:, k], s[:, k + 1 :]) for k in range(7)]  # each chosen against all that follow
whole = preferences.plackett_luce(s, best_first)
claim("Plackett-Luce is a sum of softmax DPOs", abs(whole - sum(factors)), "<", 1e-12, kind="exact")
claim("its first factor is softmax DPO on the whole list", abs(factors[0] - as_answers), "<", 1e-12, kind="exact")
graded = preferences.lipo(s[:, :2], torch.tensor([[1.0, 0.0]], dtype=double).expand(50, 2))
weight = 1 / math.log(2) - 1 / math.log(3)
claim("LiPO on a pair is DPO times a constant", abs(graded - weight * one_pair), "<", 1e-12, kind="exact")

# %% [markdown]
# ## Chance depends on K
#
# **Predict.** A policy that has learned nothing yet is shown one chosen and 7 rejected answers. What is its loss?

# %%
predict("04a-chance", ["log 2, as for DPO", "log 7", "log 8"])

# %%
for k in (1, 7, 31):
    nothing = preferences.softmax_dpo(torch.zeros(1, dtype=double), torch.zeros(1, k, dtype=double))
    claim(f"K = {k}: chance is log {k + 1}", abs(nothing - math.log(k + 1)), "<", 1e-12, kind="exact")

# %% [markdown]
# A loss of 1 is poor for one pair, where chance is 0.69, and good for a list of eight, where it is 2.08. Whoever changes the
# number of negatives changes the scale. Here are both kinds of model, trained once and judged at every K: a network on digits
# (τ = 0.1, from lesson 02) and a policy taught with 8 rejected answers.

# %% tags=["cover"]
rows = {side: np.array([scores(side, k, 1.0).loss() for k in MANY]) for side in ("digits", "policy")}
show(
    figures.chance_lines(np.array(MANY), {"digits, InfoNCE": rows["digits"], "answers, softmax DPO": rows["policy"]}),
    "Two losses against K on a logarithmic axis, both rising with K and both below the chance line log(K + 1).",
)
for side, name in (("digits", "InfoNCE on digits"), ("policy", "softmax DPO on answers")):
    claim(f"{name}: the loss of one model rises with every K", np.diff(rows[side]).min(), ">", 0, kind="exact")
    claim(f"{name}: it stays below chance", (rows[side] - np.log1p(MANY)).max(), "<", 0, kind="exact")

# %% [markdown]
# ## One slider
#
# **Predict.** Among 32 rejected answers an even share of the push would be 3 % each. How much does the hardest carry?

# %%
predict("04a-hardest", ["about 3 %", "about 10 %", "more than a quarter"])

# %%
show(explorer())

# %% [markdown]
# Above, the negatives of an anchor among digits; below, the rejected answers to a prompt; in both, the hardest first. Red are
# those that one would rather not push away: the same digit, and answers that share at least three of five words with the
# chosen one.

# %%
hardest = {side: scores(side, 32, 1.0).share().max(1).values.mean().item() for side in ("digits", "policy")}
print("share of the hardest of 32:", {side: f"{share:.0%}" for side, share in hardest.items()})
claim("of 32 the hardest carries at least three even shares, on digits", hardest["digits"], ">", 3 / 32)
claim("of 32 the hardest carries at least three even shares, among answers", hardest["policy"], ">", 3 / 32)

# %% [markdown]
# The button *how strongly* turns the strength. The theorem of lesson 02 is about scores, so it holds for answers word for word:
# the share of the hardest never falls as β rises.

# %%
betas = np.geomspace(0.05, 20, 40)
share = {
    side: torch.stack([scores(side, 32, b).share().sort(1, descending=True).values.cumsum(1) for b in betas]) for side in rows
}
for side, shares in share.items():
    claim(f"{side}: no top-k share falls as the strength rises", shares.diff(dim=0).min(), ">", -1e-12, kind="exact")

# %%
alike = {}
for side in rows:
    found = scores(side, 32, 1.0)
    crowd = found.alike.double().mean().item()
    alike[side] = (found.share() * found.alike).sum(1).mean().item() / crowd
print("push on one's like, in even shares:", {side: round(ratio, 2) for side, ratio in alike.items()})
claim("digits: their like are pushed more than an even share", alike["digits"], ">", 1.5)
claim("answers: near-duplicates of the chosen one get an even share, to within a third", abs(alike["policy"] - 1), "<", 1 / 3)

# %% [markdown]
# For digits, most of the push falls on the anchor's own class, as in lesson 02. For answers the like are not singled out: what
# makes a rejected answer hard is a high implicit reward, and a near-duplicate has that only if it kept the liked words.
# **The analogy is exact for the loss and ends at the scores.** A cosine measures likeness to the anchor; a log-ratio does not.
#
# ## What do more rejected answers buy?
#
# A policy is taught what people like: of the ten words of each slot, five. Each list has one prompt and K + 1 answers, ranked
# with noise. Three objectives see the same 240 lists: *one softmax*; *K pairs*, the mean of K DPO losses; *whole ranking*,
# Plackett-Luce. Four policies are taught now:

# %%
STEPS, LEARN = scaled((60, 400), (20, 200))
probe = recipe.lists(64, seed=77)
taught = {(k, s): recipe.teach(k, "one softmax", s, steps=STEPS, learned=LEARN) for k in (1, 8) for s in seeds(2)}
found = {key: recipe.measured(policy, key[1], probe)["worth"] for key, policy in taught.items()}
told = [recipe.worth(recipe.said(taught[1, s].reference, 1000, s)).double().mean().item() for s in seeds(2)]
untaught, pairs, lists = (np.array(each) for each in (told, *([found[k, s] for s in seeds(2)] for k in (1, 8))))
print("liked words in an answer: untaught", untaught.round(2), " K = 1", pairs.round(2), " K = 8", lists.round(2))
claim("taught with pairs, answers have more liked words than before", (pairs - untaught).mean(), ">", 0.1)
claim("eight rejected answers in a list teach more than one", (lists - pairs).mean(), ">", 0, kind="size")

# %% [markdown]
# And six seeds of every K and objective, stored. **Predict.** At the same number of lists, which objective teaches most?

# %%
predict("04a-objective", ["one softmax", "K pairs", "whole ranking", "no difference"])

# %%
stored = results.load("bridge")
made = {str(name): (stored["worth"][i], stored["kl"][i]) for i, name in enumerate(stored["objectives"])}
show(
    figures.bought(stored["numbers"], made, 2.5),
    "Left, liked words against K: all objectives rise; the whole ranking most, one softmax and K pairs are nearly the same. "
    "Right, the same against the distance from the start: the three lie on one curve.",
)

# %%
at = {int(k): i for i, k in enumerate(stored["numbers"])}
softmax, in_pairs, ranking = (made[name][0] for name in recipe.OBJECTIVES)
claim("one softmax: 8 rejected answers teach more than 1, in every seed", softmax[at[8]] - softmax[at[1]], ">", 0.1)
claim("8 rejected: the whole ranking teaches more than the best alone", ranking[at[8]] - softmax[at[8]], ">", 0.2)
claim("one softmax and K pairs differ by less than a tenth of a word", np.abs(softmax - in_pairs).mean(1).max(), "<", 0.1)


def at_distance(name, kl=1.0):
    worth, far = (x.mean(1) for x in made[name])
    order = far.argsort()
    return float(np.interp(kl, far[order], worth[order]))


level = [at_distance(name) for name in made]
print("liked words one nat from the start:", {name: round(at_distance(name), 3) for name in made})
claim("one nat from the start all three are worth the same, to a tenth of a word", max(level) - min(level), "<", 0.1)

# %% [markdown]
# More rejected answers teach more per list, with less gained from each: most of the way is made by K = 8. A ranking says more
# than its winner. But it all goes *further along the same path*: at equal distance from the start nothing is left of the
# difference. One softmax or K pairs makes none to speak of here. It is lesson 04's rule again: compare at equal margin, or at
# equal distance, and never at equal steps.
#
# (Here every list is fresh and the judge's noise is that of the model. With repeated lists, or with false negatives, the three
# need not agree.)
#
# ## What to remember
#
# - One positive and K negatives in a softmax: with cosines it is InfoNCE, with log-ratios it is DPO; DPO is K = 1.
# - Chance is log(K + 1). Losses at different K are on different scales.
# - Theorems about shares of the push carry over, because they are about scores. Who is hard does not.
#
# **Next:** [09](09_preference_landscape.ipynb), the other choices that make a preference loss.
