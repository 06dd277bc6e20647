# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Who pushes? Losses under a force microscope
#
# A loss is a force on every point: minus its gradient. Every force can be taken apart into what each other point does. Then
# two losses can be laid side by side, and one sees whether they differ in *whom* they push or only in *how hard*.
#
# **You will be able to** take a gradient apart into forces between points; tell a share of the push from a force; and say for
# seven losses what each changes: the shares, the strength, the pull, or the temperature.
#
# **Before:** [02](02_temperature.ipynb), sections 1 and 2 (the push is a softmax).
# **Reading:** 10 minutes; **computing:** a few seconds. **Data:** twelve points on a circle; nothing is trained.

# %%
try:
    import labkit
except ModuleNotFoundError:
    raise SystemExit("labkit is missing here: run  %pip install -e ..  in a cell, then restart the kernel") from None

# %%
import numpy as np
import torch

from labkit import claim, losses, metrics, predict, show
from labkit.contrast import unit
from labkit.explorers import microscope
from labkit.explorers.forces import LOSSES, couplings, forces, push_shares
from labkit.explorers.microscope import LABELS, NAMES, places
from labkit.figures.forces import leverage
from labkit.lessons import seed

TAU = 0.2
ANYWHERE = unit(torch.randn(12, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed())))
SEVEN = ("nt_xent", "dcl", "macl", "dhel", "sup_con", "hard_negative", "align_uniform")
print("from the catalog:", *(f"{entry.name} ({entry.year})" for entry in labkit.catalog() if entry.name in SEVEN))
print("six instances in two views, rows of z1 then z2:", *NAMES, "| classes:", LABELS.tolist())

# %% [markdown] tags=["notes"]
# **Fifteen minutes in a lecture.** Three guesses, each at the microscope, and the table at the end.
#
# 1. *The duplicate (4 min).* Ask for the force of a point that lies on the anchor. Expect "the largest". Then drag x away from
#    a, slowly: the force rises, then falls. Write cos θ / τ and sin θ on the board.
# 2. *The easy positive (5 min).* InfoNCE left, DCL right. Drag a′ away and back. "Which arrows fade? Why do the bars stay?"
# 3. *The false negative (4 min).* InfoNCE left, SupCon right. Ask which way b's arrow points on the right. Expect "towards b".
#    Then raise the temperature to 2.
# 4. *The table (2 min).* "Which of these losses would you try first if half of your negatives were false?"
#
# *Discuss:* "Two papers report different losses with the same shares. What could still differ after training?"
#
# Slides: every state of the microscope has a short code under its controls; `labkit.restore("...")` opens it on any machine,
# and `labkit.restore("...").figure().savefig("state.png", dpi=200)` is a picture.

# %% [markdown]
# ## 1. A gradient, taken apart
#
# A contrastive loss only sees cosines $s_{ij}$. So its gradient at point $i$ is a sum over the other points,
#
# $$-\nabla_{z_i} L = \sum_j F_{ij}, \qquad F_{ij} = -c_{ij}\,\big(z_j - s_{ij} z_i\big), \qquad
# c_{ij} = \frac{\partial L}{\partial s_{ij}} + \frac{\partial L}{\partial s_{ji}},$$
#
# and $F_{ij}$ is the **force of $j$ on $i$**. What is in brackets is $z_j$ without its part along $z_i$, because a point on a
# circle can only move along the circle. `forces` reads $c_{ij}$ off autograd, for any loss of cosines.

# %%
z = ANYWHERE.clone().requires_grad_()
(gradient,) = torch.autograd.grad(losses.nt_xent(z[:6], z[6:], temperature=TAU), z)
between = forces(LOSSES["InfoNCE"], ANYWHERE, LABELS, TAU)  # [i, j]: the force of j on i
claim("the forces add up to minus autograd's gradient", (between.sum(1) + gradient).abs().max(), "<", 1e-12, kind="exact")
strength = between.norm(dim=-1)
claim("what j does to i, i does to j", (strength - strength.T).abs().max(), "<", 1e-12, kind="exact")

# %% [markdown]
# ## 2. A share is not a force
#
# In the scene below x, of the other class, lies exactly on the anchor a. Lesson 02 says that the nearest negative has the
# largest share of the push.
#
# **Predict.** How large is the force of x on a?

# %%
predict("02a-duplicate", ["the largest of all", "as large as its share says", "zero"])

# %% tags=["cover"]
show(microscope(scene="a duplicate", temperature=0.7))

# %%
on_a = torch.tensor(places("a duplicate", 0))
negatives = torch.tensor([name not in ("a", "a′") for name in NAMES])
share = push_shares(LOSSES["InfoNCE"], on_a, LABELS, TAU, 0, negatives)
force = forces(LOSSES["InfoNCE"], on_a, LABELS, TAU)[0].norm(dim=-1)
softmax = metrics.hardness((on_a @ on_a[0]).masked_fill(~negatives, -torch.inf), TAU)
x = NAMES.index("x")
print(f"x has {share[x]:.0%} of the push on a, and its force is {force[x]:.1g}")
claim("shares from autograd are the softmax of the cosines", (share - softmax).abs().max(), "<", 1e-9, kind="exact")
claim("no share is larger than that of the duplicate", share[x] - share.max(), "==", 0, kind="exact")
claim("the force of the duplicate is zero", force[x], "<", 1e-7, kind="exact")

# %% [markdown]
# x pushes a straight out of the circle, along the radius, and there is no way out. (In a network the two come apart only if
# something else moves them.) At an angle θ a negative weighs $e^{\cos\theta/\tau}$, and $\sin\theta$ of that acts along the
# circle. So there is an angle at which one more negative pushes hardest. Setting the derivative to zero gives
# $\cos\theta = \frac12\big(\sqrt{\tau^2 + 4} - \tau\big)$.

# %%
taus, angles = np.array([0.05, 0.2, 1.0]), np.linspace(0, 180, 3601)
radians = np.deg2rad(angles)
weight = np.exp((np.cos(radians) - 1) / taus[:, None])
along = weight * np.sin(radians)
along /= along.max(1, keepdims=True)
show(
    leverage(angles, taus, weight, along),
    "Two panels over the angle. The share of a negative is greatest at 0 degrees. Its force is zero there, has a peak, at 13 "
    "degrees for temperature 0.05, 25 for 0.2 and 52 for 1, and falls off beyond.",
)
peak = np.rad2deg(np.arccos((np.sqrt(taus**2 + 4) - taus) / 2))
print("one more negative pushes hardest at", *(f"{a:.1f}° (τ = {t:g})" for a, t in zip(peak, taus, strict=True)))
claim("the peaks stand where the formula says", np.abs(angles[along.argmax(1)] - peak).max(), "<", 0.051, kind="exact")

# %% [markdown]
# ## 3. InfoNCE and DCL: the same shares, another strength
#
# **Predict.** Below, the positive a′ stands right beside a. Beside InfoNCE stands DCL, which leaves the positive out of the
# denominator. How do the two differ in what they do to a?

# %%
predict("02a-easy", ["in whom they push", "in how hard they push", "in both"])

# %%
show(microscope(scene="an easy positive"))


# %%
def own(name, i, points=ANYWHERE, temperature=TAU):
    """How the loss of anchor i alone changes with its cosine to each point."""
    return couplings(LOSSES[name], points, LABELS, temperature, i)[i]


z1, z2 = ANYWHERE.chunk(2)
p = torch.exp(-losses.nt_xent(z1, z2, temperature=TAU, reduction="none"))  # of the positive, for each anchor
gap = max((own("InfoNCE", i) - (1 - p[i]) * own("DCL", i)).abs().max().item() for i in range(12))
claim("each anchor's own gradient: InfoNCE is DCL times 1 - p", gap, "<", 1e-12, kind="exact")
easy = torch.tensor(places("an easy positive", seed() % 8))
left = [own(name, 0, easy, 0.05).norm().item() for name in ("InfoNCE", "DCL")]
print(f"the easy positive at τ = 0.05: InfoNCE keeps {left[0] / left[1]:.2%} of DCL's force in the loss of a")
claim("with an easy positive and a low temperature InfoNCE keeps less than a twentieth", left[0] / left[1], "<", 0.05)

# %% [markdown]
# One number for each anchor, $1 - p^+$, and so the bars in the figure are the same. InfoNCE says of an anchor that has found
# its positive: *done*. DCL keeps spreading it. In a batch that is a difference in whom they push after all: under DCL easy
# anchors push as loudly as hard ones.
#
# **MACL** undoes the factor another way, by weighing each anchor by $1/(1 - p^+)$, and lets the temperature follow alignment.

# %%
aligned = (z1 * z2).sum(1).mean().item()
acts_at = TAU * (1 + 0.5 * aligned)
gap = (forces(LOSSES["MACL"], ANYWHERE, LABELS, TAU) - forces(LOSSES["DCL"], ANYWHERE, LABELS, acts_at)).abs().max()
print(f"mean cosine of the pairs {aligned:.2f}: the temperature is {acts_at:.3f} instead of {TAU}")
claim("MACL's forces are DCL's at MACL's temperature", gap, "<", 1e-12, kind="exact")

# %% [markdown]
# ## 4. Labels: does a false negative push?
#
# b is of a's class and nearer to a than a's own positive. InfoNCE does not know. SupCon does, and counts it as a positive.
#
# **Predict.** Under SupCon, at temperature 0.2, what does b do to a?

# %%
predict("02a-false-negative", ["it pulls: it is a positive", "it still pushes", "nothing"])

# %%
show(microscope(scene="a false negative", right="SupCon"))

# %%
scene, mates = torch.tensor(places("a false negative", seed() % 8)), [NAMES.index(name) for name in ("b", "c", "b′", "c′")]
pull = {(name, t): -couplings(LOSSES[name], scene, LABELS, t)[0] for t in (0.2, 2.0) for name in ("InfoNCE", "SupCon")}
for (name, t), found in pull.items():
    print(f"τ = {t:g}  {name:8} pull on a:", *(f"{NAMES[j]} {found[j]:+.3f}  " for j in mates))
b, c = mates[:2]
claim("InfoNCE pushes every class-mate away", max(pull["InfoNCE", t][mates].max() for t in (0.2, 2.0)), "<", 0)
claim("at 0.2 SupCon pulls c, which is farther", pull["SupCon", 0.2][c], ">", 0)
claim("and pushes b, though b is a positive", pull["SupCon", 0.2][b], "<", 0)
claim("at 2 it pulls b as well", pull["SupCon", 2.0][b], ">", 0)

# %% [markdown]
# SupCon asks every one of the $|P|$ positives for the same part of the softmax, $1/|P|$. Who has less is pulled, who has more
# is pushed. Here there are five positives, so whoever has more than a fifth is too near for SupCon's taste; and the lower the
# temperature, the more the nearest has. As a whole the class has less than all of the softmax, and is pulled.

# %%
positives = (LABELS.repeat(2) == LABELS[0]) & (torch.arange(12) != 0)
everyone = metrics.hardness((scene @ scene[0]).masked_fill(torch.arange(12) == 0, -torch.inf), 0.1)
expected = (everyone - positives.double() / positives.sum()) / 0.1
claim("SupCon: softmax less 1/|P|", (own("SupCon", 0, scene, 0.1) - expected).abs().max(), "<", 1e-9, kind="exact")
claim("in the loss of a the class as a whole is pulled", own("SupCon", 0, scene, 0.1)[positives].sum(), "<", 0, kind="exact")

# %% [markdown]
# ## 5. Seven losses in one table
#
# For twelve points anywhere: how far each loss's shares are from InfoNCE's, the strength of the push in the loss of an
# anchor (InfoNCE's is 1), and the share of the push that comes from a's own class and from the other view. The last four rows
# change *whom*; the first three only *how hard*, or at which temperature.

# %%
table, mine, other_view = {}, LABELS.repeat(2) == LABELS[0], torch.arange(12) >= 6
print(f"{'':16} shares differ   strength   own class   other view")
for name in ("InfoNCE", "DCL", "MACL", "DHEL", "SupCon", "HCL", "align + uniform"):
    pushed = negatives & ~mine if name == "SupCon" else negatives
    share = push_shares(LOSSES[name], ANYWHERE, LABELS, TAU, 0, pushed)
    table[name] = share
    push = (own(name, 0) * pushed).sum() / (own("InfoNCE", 0) * negatives).sum()
    differ = (share - table["InfoNCE"]).abs().max()
    print(f"{name:16} {differ:13.3f} {push:10.2f} {share[mine].sum():11.0%} {share[other_view].sum():12.0%}")
claim("DCL has InfoNCE's shares", (table["DCL"] - table["InfoNCE"]).abs().max(), "<", 1e-9, kind="exact")
claim("DHEL takes no push from the other view", table["DHEL"][other_view].abs().max(), "==", 0, kind="exact")

# %% [markdown]
# And what the shares are, where they are not InfoNCE's:


# %%
def softmax_over(these, temperature=TAU):
    """Each point's share, were the push a softmax over these negatives of the first anchor."""
    return metrics.hardness((ANYWHERE @ ANYWHERE[0]).masked_fill(~these, -torch.inf), temperature)


expected = {
    "SupCon": softmax_over(negatives & ~mine),
    "DHEL": softmax_over(negatives & ~other_view),
    "align + uniform": softmax_over(negatives & ~other_view),  # with t = 1 / (2 tau)
    "HCL": 2 * softmax_over(negatives, TAU / 2) - softmax_over(negatives),
}
within, twice = "a softmax within the view", "twice the softmax at half the temperature, less the softmax"
says = ("a softmax over the other class", within, within, twice)
for (name, shares), words in zip(expected.items(), says, strict=True):
    claim(f"{name}: {words}", (table[name] - shares).abs().max(), "<", 1e-9, kind="exact")
claim("so under HCL some easy negatives are pulled", table["HCL"].min(), "<", 0)

# %% [markdown]
# ## What to remember
#
# - A gradient of cosines is a sum of forces between points. The share of a negative says how much of the push it gets; what
#   acts along the sphere is that times the sine of the angle. The nearest has the largest share, a duplicate has no force.
# - InfoNCE, DCL and MACL push the same points in the same proportion (MACL's at its own temperature). They differ in how
#   loudly easy anchors speak.
# - SupCon, DHEL, HCL and alignment + uniformity change whom an anchor is pushed by.
# - Being a positive does not mean pulling: SupCon wants equal parts of the softmax, and pushes the nearest of the class.
#
# **Try it:** the scene *two classes*, every point, InfoNCE beside SupCon; then *a duplicate* under HCL, where bars go below
# zero. **Next:** [03](03_dimensional_collapse.ipynb), what no force between pairs can see.
