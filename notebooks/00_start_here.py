# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Start here
#
# One slider shows what a contrastive loss does; then a map of the lessons, six questions, and a doctor for your tools.
#
# **You will be able to** say whom a contrastive loss pushes when its temperature falls, and which lesson to open next.
# **Before:** nothing but curiosity. **Reading:** 5 minutes; **computing:** a few seconds on two CPU cores.
# **Data:** a toy of five clusters, and handwritten digits.

# %%
try:
    import labkit
except ModuleNotFoundError:
    raise SystemExit("labkit is missing here: run  %pip install -e ..  in a cell, then restart the kernel") from None

# %%
import torch

from labkit import claim, predict, show
from labkit.explorers import temperature
from labkit.selfcheck import selfcheck

# %% [markdown]
# ## Sixty seconds: one slider
#
# A contrastive loss looks at one instance, the **anchor**, and pulls another view of it near, while it pushes everybody
# else, the **negatives**, away. How hard it pushes each of them depends on the cosine $s_j$ between that negative and the
# anchor, and on a number that looks harmless, the temperature $\tau$:
#
# $$\text{share of the push on } j = \frac{e^{s_j/\tau}}{\sum_k e^{s_k/\tau}}$$
#
# **Predict.** Lower the temperature from 0.5 to 0.05. Who is pushed harder than before?

# %%
guess = predict("00-who-is-pushed", ["the near ones", "the far ones", "everybody, alike"])

# %% [markdown]
# Now move the slider. The star is the anchor (click another dot to make that the anchor), and each dot is an instance, as
# large as its share of the push. First stay in *re-weigh*, where the dots stand still and only the shares change. Then choose
# *re-train*, where every temperature has a model of its own, really trained with it, and watch the dots move.

# %%
show(temperature(data="circle", mode="re-weigh", temperature=0.5))

# %% [markdown]
# Here is the same thing in a form you can check by hand: three negatives with cosines 0.9, 0.5 and 0.1 to the anchor.

# %%
cosines = torch.tensor([0.9, 0.5, 0.1])
shares = {t: (cosines / t).softmax(0) for t in (0.5, 0.05)}
for t, share in shares.items():
    print(f"temperature {t:<4}:", "  ".join(f"{s:7.2%}" for s in share.tolist()))
claim("at 0.5, the nearest of the three gets less than two thirds of the push", shares[0.5][0], "<", 2 / 3, kind="exact")
claim("at 0.05, it gets nearly all of it", shares[0.05][0], ">", 0.999, kind="exact")

# %% [markdown]
# A low temperature pushes the **near** ones. And who is near an anchor? Mostly others of its own class. That is where
# [lesson 02](02_temperature.ipynb) begins.
#
# You have just met the three habits of every lesson. You **predict**, before you are told. You **see** a figure, most of
# which move. And every sentence with a number is a **claim**: the code that computed the number asserts it, here and on
# your machine.

# %% [markdown]
# ## The map
#
# - [**01 Alignment and uniformity**](01_alignment_uniformity.ipynb). What do two famous meters measure?
#   You will build an embedding that is perfect on both, and at chance on the task.
# - [**02 Temperature**](02_temperature.ipynb). Who pushes whom?
#   You will see a loss spend its force on tearing its own classes apart.
# - [**03 Dimensional collapse**](03_dimensional_collapse.ipynb). Are all dimensions used?
#   You will see hundreds of dead dimensions that no cosine can see.
# - [**04 Likelihood displacement**](04_likelihood_displacement.ipynb). Why does the preferred answer become less likely?
#   You will see the same chosen answer, the same loss and the same margin come to opposite ends.
#
# They can be read in any order. If you work with images or embeddings, take 01, 02, 03. If you train language models on
# preferences, go straight to 04.

# %% [markdown]
# ## Six questions
#
# The lessons take these for granted. Choose an answer and you are told at once; nobody counts. If three or more surprise
# you, an hour with any introduction to PyTorch is well spent first.

# %%
selfcheck()

# %% [markdown]
# ## Do your tools work?
#
# The doctor looks at packages, sliders, kernel, data, memory and disk. For each fault it names the one command that mends it.

# %%
labkit.doctor()

# %% [markdown] tags=["notes"]
# **Fifteen minutes with this page.**
#
# 1. Write the share formula on the board (2 minutes). Ask what happens to it as $\tau \to \infty$ (all equal) and as
#    $\tau \to 0$ (the nearest takes all).
# 2. The guess, by show of hands (1 minute). "The far ones" is common: people think of repulsion between charges and forget
#    that a softmax weighs by similarity.
# 3. The slider in *re-weigh*, from 2 down to 0.02 (4 minutes). Stop at 0.1 and ask: of which class are the large dots?
# 4. The slider in *re-train* (4 minutes). Ask why nobody would see this from the loss curve alone: the losses of different
#    temperatures have different floors.
# 5. **To discuss** (4 minutes): if you had to separate two nearly identical products in a catalogue, would you lower the
#    temperature? And if you wanted all products of a kind together?
#
# For a slide: `temperature(data="circle", temperature=0.1).figure()` is a picture of one state. To show the class exactly what
# you see, paste them the short code that stands under the controls: `labkit.restore("...")` opens it.
