# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Maps of embeddings: what to believe
#
# Every talk on embeddings shows one: coloured islands on a plane. What of it is in the data, and what was made by the map?
#
# **You will be able to** say what PCA, t-SNE and UMAP keep and what they make up, read trustworthiness and continuity, test a
# map against seeds, settings and noise, and write the sentence that belongs under such a figure.
#
# **Before:** [01](01_alignment_uniformity.ipynb); what a nearest neighbour is.
# **Reading:** 20 minutes; **computing:** under a minute on two CPU cores.
# **Data:** 300 unseen digits through a trained and through a random network, pure noise, and five blobs whose sizes are known.
# The maps are **stored** (`python -m labkit results maps`, two minutes); PCA is computed now.

# %%
try:
    import labkit
except ModuleNotFoundError:
    raise SystemExit("labkit is missing here: run  %pip install -e ..  in a cell, then restart the kernel") from None

# %%
import numpy as np

from labkit import claim, explorers, predict
from labkit.lessons import seed
from labkit.recipes import maps as recipe
from labkit.results import load

stored = load("maps")
METHOD, NEIGHBOURS = {"PCA": 0, "t-SNE": 1, "UMAP": 2}, {3: 0, 15: 1, 50: 2}


def kept(data, meter, method="UMAP"):
    """What one method's maps of these data keep: a row for each number of neighbours, a column for each seed."""
    return stored[f"{data}_{meter}"][METHOD[method]]


# %% [markdown] tags=["notes"]
# **Fifteen minutes in a lecture.** Show *Noise* (4 min), *Sizes and distances* (5 min), *What stays* (4 min); two for the list.
#
# 1. *Noise.* Open the explorer at "pure noise", 3 neighbours, and ask how many clusters there are before you say what it is.
#    Expect numbers from 3 to 12. Then move the slider to 15: they dissolve.
# 2. *Sizes and distances.* Tell them that one of five blobs is six times as wide as another. Let them point at it on UMAP's
#    map. Expect a guess at random; PCA shows it at once.
# 3. *What stays.* Change the seed. Islands trade places; the share of points with neighbours of their class hardly moves.
# 4. *Discuss:* "Your colleague's UMAP shows that model B separates the classes better. What do you ask for?" (The number
#    measured in the space itself, for both; other seeds; the same map of a random network.)
#
# Slides: `explorer.figure(state).savefig("maps.png", dpi=300)` writes any state.

# %% [markdown]
# ## 1. How many clusters?
#
# Below are three maps of 300 points, and nine small ones by UMAP, for 3, 15 and 50 neighbours and three seeds. (t-SNE calls
# its number of neighbours perplexity; PCA has neither number nor seed.)
#
# **Predict.** Look at UMAP with 3 neighbours. How many groups are in the data?

# %%
predict("how-many", ["none", "about five", "ten or more"])

# %%
labkit.show(explorers.maps(data="noise", neighbours=3))

# %% [markdown]
# None: it is noise, alike in all 32 directions. With 3 neighbours UMAP pulls each point to its nearest few, and strings and
# clumps appear; other seeds give others. **Smoothness** measures it: the distance to the fifth neighbour on the map, over that
# in a Gaussian cloud of the same shape; 1 has no clumps.

# %%
clumped = [kept("noise", "smoothness", method)[0] for method in ("UMAP", "t-SNE")]
claim("3 neighbours: UMAP makes clumps of noise", clumped[0], "<", 0.9)
claim("and t-SNE some", clumped[1], "<", 0.95)
claim("PCA makes none", abs(kept("noise", "smoothness", "PCA") - 1).max(), "<", 0.05)
claim("at 15 and 50 neighbours UMAP makes none here", kept("noise", "smoothness")[1:].min(), ">", 0.95)

# %% [markdown]
# So "UMAP makes clusters of noise" is true of few neighbours, and at this size (300 points, 32 dimensions) not of UMAP's own
# default of 15. But nobody tells you whether your setting is few. What tells is the map's **trustworthiness**: how rarely a
# point's neighbours on the map are strangers in space. 1 is perfect.

# %%
trust = {data: kept(data, "trustworthiness")[1] for data in ("noise", "trained")}
claim("maps of noise are not to be trusted", trust["noise"], "<", 0.8)
claim("those of a trained network's digits are", trust["trained"], ">", 0.95)

# %% [markdown]
# **Continuity** asks the other way round: are a point's neighbours in space still its neighbours on the map? It is the same
# number with map and space exchanged.

# %%
z, labels = recipe.points("noise")
flat = recipe.layout(z, "PCA", 15, seed())
there, back = recipe.measured(z, flat, labels), recipe.measured(flat, z, labels)
claim("continuity is trustworthiness the other way round", there["continuity"], "==", back["trustworthiness"], kind="exact")

# %% [markdown]
# ## 2. Sizes and distances
#
# Now five blobs. In space one is six times as wide as two others; and those two lie close together.
#
# **Predict.** On UMAP's map, can you tell the widest blob, and the two neighbours?

# %%
predict("widest", ["both", "the neighbours, not the width", "neither, reliably"])

# %% tags=["cover"]
labkit.show(explorers.maps(data="blobs"))

# %%
z, labels = recipe.points("blobs")
wide, gaps = recipe.radii(z, labels), recipe.between(z, labels)
print("radii", np.round(wide, 2), "distances between centres, from", round(gaps.min(), 2), "to", round(gaps.max(), 2))
claim("the widest is six times as wide as the two narrowest", (wide[4] / wide[:2]).min(), ">", 6)
claim("and these two are much the closest", gaps[0] / np.sort(gaps)[1], "<", 0.4)

# %%
order = {m: {what: kept("blobs", what, m) for what in ("sizes", "distances")} for m in METHOD}
for method, found in order.items():
    print(f"{method:6}", *(f"{what}: from {x.min():+.2f} to {x.max():+.2f}" for what, x in found.items()))

# %%
claim("PCA keeps the order of the sizes", order["PCA"]["sizes"].min(), ">", 0.99)
claim("and of the distances", order["PCA"]["distances"].min(), ">", 0.9)
claim("UMAP: some seed and setting turns the sizes round", order["UMAP"]["sizes"].min(), "<", 0)
claim("t-SNE: likewise", order["t-SNE"]["sizes"].min(), "<", 0)
claim("UMAP: no map has the order of the distances right", order["UMAP"]["distances"].max(), "<", 0.8)
claim("t-SNE: nor", order["t-SNE"]["distances"].max(), "<", 0.8)
for method in ("UMAP", "t-SNE"):
    claim(f"and yet on every map by {method} all neighbours are of one class", kept("blobs", "vote", method).min(), ">", 0.99)

# %% [markdown]
# The numbers are rank correlations: of the blobs' radii, and of the ten distances between their centres, in space and on the
# map. t-SNE and UMAP measure every neighbourhood by its own yardstick, and narrow and wide ones come out more alike: that is
# *how* they get so much onto a plane. So an island's size is no reliable word on how far apart its points are, nor is the gap
# between two islands on how far apart those lie.
#
# ## 3. What stays
#
# Digits through a network that was trained, by InfoNCE, without labels.
#
# **Predict.** You change the seed. The islands move. What about the share of points whose ten nearest on the map vote for
# their own class?

# %%
predict("seed", ["moves as much as the picture", "stays within a few percent"])

# %%
labkit.show(explorers.maps(data="trained"))

# %%
votes = kept("trained", "vote")
space = float(stored["trained_space"][0])
print(f"in space {space:.2f}; UMAP by neighbours and seeds:", *(" ".join(f"{v:.2f}" for v in row) + ";" for row in votes))
claim("15 neighbours: seeds move the vote by little", np.ptp(votes[1]), "<", 0.03)
claim("15 or 50: it is close to the vote in space", abs(votes[1:] - space).max(), "<", 0.04)
claim("3 neighbours: the map loses some of it", space - votes[0], ">", 0.03)
claim("PCA, in two of 32 dimensions, loses a third", space - kept("trained", "vote", "PCA").max(), ">", 0.3)

# %%
first, second = (stored["trained_layouts"][2, 1, k].astype(float) for k in (0, 1))
gaps = [recipe.between(flat, stored["trained_labels"]) for flat in (first, second)]
moved = abs(gaps[1] / gaps[0] - 1)
print(f"distances between the islands change by {np.median(moved):.0%} (median) and {moved.max():.0%} (most) with the seed")
claim("the seed moves some islands' distance by more than a quarter", moved.max(), ">", 0.25)

# %% [markdown]
# "Not reliably" does not mean never. Here the order of the ten classes' sizes is largely kept, and better than by PCA:

# %%
sizes, flat = kept("trained", "sizes"), kept("trained", "sizes", "PCA").max()
print("order of the sizes, UMAP by neighbours and seeds:", *(" ".join(f"{v:+.2f}" for v in row) + ";" for row in sizes))
claim("15 or 50: here UMAP keeps more of the order of the sizes than PCA", sizes[1:].min() - flat, ">", 0.05)
claim("3 neighbours: it keeps nothing of it", sizes[0].max(), "<", 0.1)

# %% [markdown]
# On the blobs, with the same settings, it was anything from right to turned round. A map does not tell you which case is yours.
#
# ## 4. Is it the training?
#
# Islands of one colour are often shown as proof that a network has learned. Choose "digits, random network".

# %%
random = {"vote": float(stored["untrained_space"][0]), "map": kept("untrained", "vote")[1]}
claim("a random network's digits have neighbours of their class, too", random["vote"], ">", 0.75)
claim("and so do UMAP's maps of them", random["map"], ">", 0.75)
claim("training adds to that in space", space - random["vote"], ">", 0.05)
tight = kept("trained", "smoothness")[1] - kept("untrained", "smoothness")[1]
claim("and makes UMAP's islands tighter", tight, "<", -0.2)

# %% [markdown]
# ## Your own
#
# `explorers.maps(z, labels)` makes the nineteen maps of your embeddings, in a minute or two. PCA's is there at once, the others
# follow behind a bar; all are kept by content, so tomorrow they are the same.
#
# ## What to remember
#
# A map may be trusted for *who is next to whom*, if its trustworthiness and continuity are high. It does not reliably show
#
# - **distances between islands**, nor which island lies between two others;
# - **sizes**: their order was kept on the digits, and turned round on the blobs;
# - **whether there are clusters**: few neighbours make them of noise; ask the space itself;
# - **what training did**: without the same map of a random network beside it.
#
# Under the figure write: method, neighbours, seed, trustworthiness, and the number measured in space. Then show the map.
#
# **Next:** [09](09_preference_landscape.ipynb), where the plane is the whole space.
