# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Numbers and names
#
# Two things that no equation shows: the type that a loss is computed in, and what a library means by its name.
#
# **You will be able to** say at which temperature a loss dies in each floating-point type, and why; tell a cure from a
# painkiller; and ask of any name the four questions that tell which loss it is.
#
# **Before:** `02_temperature`; for the second half also `04_likelihood_displacement`. **Reading** 25 minutes, **computing**
# a few seconds. **Data:** random points, and one fixed input. Live: every number of ours. Stored: what 43 functions of other
# people's libraries return for that input, with their versions (`tests/oracles/regenerate_names.py`).

# %%
try:
    import labkit
except ModuleNotFoundError:
    raise SystemExit("labkit is missing here: run  %pip install -e ..  in a cell, then restart the kernel") from None

# %%
import math

import torch
import torch.nn.functional as F

from labkit import claim, explorers, losses, predict, preferences, show
from labkit.lessons import seed
from labkit.recipes import precision as numbers
from labkit.recipes import same_name as names
from labkit.recipes import same_name_rules as rules

# %% [markdown] tags=["notes"]
# **Fifteen minutes in a lecture.** Two explorers: the precision lab (8 min), same name, different loss (7 min).
#
# 1. *Before the lab.* "Temperature 0.07 is CLIP's default. Does exp of a logit fit into float16?" Most say yes, it is what
#    everybody uses. 1 / 0.07 is 14.3, and the limit is 11.1.
# 2. *In the lab.* float16, naive; drag the temperature down from 1. "Which breaks first, the loss or its gradient?" Expect the
#    loss. Stop at 0.056: the loss looks healthy, the gradient is NaN.
# 3. *The painkiller.* Pairs opposite, float64, log(x + eps). "Cured?" The number is finite, and nothing learns.
# 4. *Names.* SupCon: "Two well-known libraries, the same tensors. Same number?" 11.2 against 7.8: a factor of 1.43.
# 5. *Discuss:* "A paper says: SupCon, temperature 0.1, learning rate 0.5. What do you have to ask?" (Whose SupCon.)
#
# Slides: `explorers.precision(temperature=0.056).figure().savefig("nan.png", dpi=300)` writes one state.

# %% [markdown]
# ## How large a number may be
#
# A contrastive loss raises cosines to the power of e: $e^{s/\tau}$. The largest cosine is 1, so the largest logit is
# $1/\tau$. Each type has a largest number, and $e^x$ fits only up to its logarithm.
#
# **Predict.** CLIP's temperature is 0.07. In which types does $e^{1/0.07}$ fit?

# %%
predict("12-fits", ["in all", "in all but float16", "in float32 and float64 only", "in float64 only"])

# %%
for name in numbers.TYPES:
    most = numbers.limit(name)
    print(f"{name:9} exp fits up to {most:6.1f}, so for a cosine of 1 down to temperature {1 / most:.4f}")
claim("1 / 0.07 is above what float16 can raise", 1 / 0.07, ">", numbers.limit("float16"), kind="exact")
claim("and far below bfloat16's limit, which is float32's", numbers.limit("bfloat16") - 1 / 0.07, ">", 70, kind="exact")

# %% [markdown]
# bfloat16 has float32's exponent and three digits: it overflows late and rounds early. float16 is the other way round.
#
# ## The NaN is born
#
# **Predict.** InfoNCE, written as in the equation: exp, then divide, then log. In float16 the temperature falls from 1. What
# breaks first?

# %%
predict("12-first", ["the value of the loss", "its gradient", "both at once"])

# %%
show(explorers.precision())

# %% [markdown]
# Drag the temperature, or click into a curve. Then try the other forms, and pairs that are opposite.
#
# The gradient breaks first. The backward pass of a quotient divides by the *square* of the sum, and the square overflows at
# half the exponent. At this temperature the loss looks healthy:

# %%
found = numbers.computed("float16", "naive", "random", 0.056)
true = numbers.exact("random", 0.056)
print(f"loss {found.value:.3f}, exactly {true.value:.3f}; length of the gradient {found.gradient.norm():.3g}")
claim("float16, temperature 0.056: the loss is right to half a percent", abs(found.value / true.value - 1), "<", 0.005)
claim("and its gradient is no number", found.gradient.norm().isnan(), "==", 1, kind="exact")

# %% [markdown]
# On other points it is the same. Here are 64 random ones, with a partner each that is nearly the point itself:

# %%
torch.manual_seed(seed())
z1 = F.normalize(torch.randn(64, 32), dim=-1)
z2 = F.normalize(z1 + 0.05 * torch.randn(64, 32), dim=-1)
half = z1.half().requires_grad_(), z2.half()
naive = numbers.written("naive", *half, 0.07)
stable = losses.info_nce(*half, temperature=0.07)
exact = losses.info_nce(z1.double(), z2.double(), temperature=0.07)
print(f"float16 at 0.07: naive {naive.item()}, stable {stable.item():.6f}, float64 {exact:.6f}")
claim("CLIP's temperature, float16, written as in the equation: no number", naive.isnan(), "==", 1, kind="exact")
claim("the stable form, from the same float16 tensors, is right", abs(stable - exact), "<", 1e-3)

# %% [markdown]
# ## A painkiller
#
# The popular cure is to add something small before the logarithm: `log(p + 1e-8)`. **Predict** what that does in float16, where
# the loss was NaN.

# %%
predict("12-eps", ["it cures", "it makes the loss finite, but wrong", "nothing at all"])

# %%
added = torch.tensor(1e-8, dtype=torch.float16)
claim("in float16, 1e-8 is 0", added, "==", 0, kind="exact")
opposite = numbers.computed("float64", "log(x + eps)", "opposite", 0.01)
right = numbers.exact("opposite", 0.01)
lost = (opposite.gradient.norm() / right.gradient.norm()).item()
print(f"float64, opposite pairs, at 0.01: loss {opposite.value:.2f} instead of {right.value:.1f}, gradient × {lost:.0e}")
claim("in float64 the loss stops at -log(1e-8)", abs(opposite.value + math.log(1e-8)), "<", 1e-3)
claim("and the gradient is gone: the worst pairs teach nothing", lost, "<", 1e-6)

# %% [markdown]
# The NaN would have been noticed. A cap at 18.42 with no slope is not: the loss curve is flat and finite.
#
# The cure costs nothing. Nothing changes when a constant is taken out of every logit, so take out the largest $m$:
#
# $$\log \sum_j e^{L_j} = m + \log \sum_j e^{L_j - m}$$
#
# The largest term is then $e^0 = 1$, and what underflows would not have counted. That is `logsumexp`; every loss of labkit
# goes through it, and half precision is computed in float32. How far down does it hold?

# %%
worst = {}
for dtype in numbers.TYPES:
    pairs = [(numbers.computed(dtype, "stable", "random", t), numbers.exact("random", t)) for t in numbers.TEMPERATURES]
    worst[dtype] = max(abs(a.value / b.value - 1) for a, b in pairs)
print({dtype: f"{off:.1e}" for dtype, off in worst.items()})
claim("stable, down to temperature 0.001: off by less than half a percent in every type", max(worst.values()), "<", 0.005)
half_loss = losses.info_nce(half[0], half[1], temperature=0.001)
claim("and the loss of half-precision tensors comes in float32", half_loss.dtype == torch.float32, "==", 1, kind="exact")

# %% [markdown]
# ## Whose loss is it?
#
# Now leave types alone; all that follows is float64. One input, and functions of the same name in libraries that many people
# use.
#
# **Predict.** SupCon at temperature 0.1, the same embeddings and labels, in SupContrast (the authors' code) and in
# pytorch-metric-learning. The first is larger by

# %%
predict("12-supcon", ["nothing, they agree", "less than 1 %", "a factor of 1.43", "a factor of 2"])

# %%
show(explorers.same_name())

# %%
supcon = {row.library: row.value for row in names.rows("SupCon")}
ratio = supcon["SupContrast"] / supcon["pytorch-metric-learning"]
claim("stored: SupCon of two libraries differs by temperature / 0.07", abs(ratio - 0.1 / 0.07), "<", 1e-6, kind="exact")

# %% [markdown]
# Go through the names. Each bar is another library's number; the diamond is what *our* number becomes by the rule beside it,
# and it always lands on the end of the bar:

# %%
rows = {(name, row.library): row for name in names.NAMES for row in names.rows(name)}
differ = {key: row for key, row in rows.items() if row.rule != names.SAME}
apart = max(abs(row.bridged - row.value) for row in rows.values())
print(f"{len(rows)} functions under {len(names.NAMES)} names; {len(differ)} of them compute something else than we do")
claim("every rule leads from our number to theirs", apart, "<", 1e-6, kind="exact")
claim("more than half of them differ from ours", len(differ) / len(rows), ">", 0.5, kind="exact")

# %% [markdown]
# None of them is wrong, and ours is not right: a name is not a definition. The reasons are few. Ask four questions:
#
# 1. **Which temperature, and does it scale the loss?** Defaults are 0.07, 0.1, 0.5, or given as 20. SupContrast multiplies by
#    $\tau / 0.07$, MoCo v3 by $2\tau$.
# 2. **Who is in the denominator?** One view or both, other positives or not, one softmax for two directions or two.
# 3. **What is averaged?** Anchors, pairs, tokens of an answer, tokens of a batch; and does an anchor without positives count?
# 4. **What was done before?** Normalised by whom, divided by length, sorted, shifted by a running mean.
#
# ## Does it matter?
#
# **Predict.** A constant factor, such as MoCo v3's $2\tau$: for which optimiser is it another learning rate?

# %%
predict("12-factor", ["for SGD and for Adam", "for SGD only", "for Adam only", "for neither"])


# %%
def first_step(optimizer, factor, lr):
    z = torch.nn.Parameter(z1.double())
    step = optimizer([z], lr=lr)
    (factor * losses.info_nce(z, z2.double(), temperature=0.1)).backward()
    step.step()
    return z.detach() - z1.double()


moved = {o: [first_step(getattr(torch.optim, o), f, 0.1).norm() for f in (1.0, 0.2)] for o in ("SGD", "Adam")}
shares = {o: (b / a).item() for o, (a, b) in moved.items()}
print({o: f"length of the step with the factor 0.2: {share:.3f} of that without" for o, share in shares.items()})
claim("SGD's step shrinks with the factor", abs(shares["SGD"] - 0.2), "<", 1e-9, kind="exact")
claim("Adam's does not", shares["Adam"], ">", 0.99)

# %% [markdown]
# So a learning rate travels from one library to another only together with the loss, unless the optimiser divides by the size
# of the gradient. Other differences do not cancel. IPO pushes a pair by how far its margin is from the target; divided by
# lengths, it pushes others:

# %%
x = names.inputs()
push = {}
for name, loss, more in (("IPO", preferences.ipo, []), ("length-normalised", preferences.ipo_norm, rules.two(x)[2:])):
    chosen, *others = rules.four(x)
    chosen = chosen.clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss(chosen, *others, *more, reduction="sum"), chosen)
    push[name] = (slope.abs() / slope.abs().sum()).tolist()
for name, shares in push.items():
    print(f"{name:18} share of the push on each pair: {'  '.join(f'{s:.0%}' for s in shares)}")
apart = max(abs(a - b) for a, b in zip(*push.values(), strict=True))
claim("the share of the push on one pair changes by more than a tenth", apart, ">", 0.1, kind="exact")

# %% [markdown]
# And one difference cannot be seen in any value: DCLW's weights are constants in lightly, and take part in the gradient in the
# code that it cites. The numbers agree, the models that come of it need not:

# %%
slopes = {row.library: row.value for row in names.rows("DCLW, its gradient")}
print({library: f"{value:.4f}" for library, value in slopes.items()})
claim("stored: one value, two gradients", abs(slopes["lightly"] / slopes["raminnakhli"] - 1), ">", 0.02, kind="exact")

# %% [markdown]
# ## What to remember
#
# - exp overflows where the logit passes the logarithm of the type's largest number: 11.1 in float16, 88.7 in bfloat16 and
#   float32, 709.8 in float64. The gradient breaks before the loss does.
# - An eps inside the logarithm hides the damage: the loss stops, and so does learning. Take the maximum out instead.
# - A name is not a definition. Ask for the temperature, the denominator, the average, and what was done before.
# - A factor is a learning rate for SGD and nothing for Adam. Another denominator is another loss.
# - Compare a new implementation with one that you trust on ten rows, value *and* gradient, before you train.
#
# **Next:** the catalog says of every loss here which equation it computes, and what its numbers were checked against.

# %%
entries = [entry for entry in labkit.catalog() if entry.kind in ("loss", "preference")]
own = sum(entry.oracle.startswith(("closed form", "a slow loop", "enumeration")) for entry in entries if entry.oracle)
others = sum(bool(entry.oracle) for entry in entries) - own
print(f"{len(entries)} losses: {others} checked against other people's code, {own} against closed forms and slow loops")
