# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Likelihood displacement
#
# Same chosen answer, same loss, same margin; opposite fate. Training on a preference can make the *preferred* answer less
# likely.
#
# **You will be able to** say what a preference loss sees and what it does not, predict when the chosen answer falls and who
# gets its probability, tell which popular explanations hold only for plain gradient descent, and compare remedies fairly.
#
# **Before:** softmax, next-token log-probabilities, gradient descent; `00_start_here` asks six questions about that.
# **Reading** 60 minutes, **computing** about a minute on two CPU cores. **Data:** three answers in a plane, and a language
# of 63 words whose every probability is known. All but three figures are trained here, in front of you; the runs of the
# doctor's explorer, the twelve seeds of the remedies and the 96 runs of the last part are stored, and the lesson says so
# where they come.

# %%
try:
    import labkit
except ModuleNotFoundError:
    raise SystemExit("labkit is missing here: run  %pip install -e ..  in a cell, then restart the kernel") from None

# %%
import numpy as np
import torch
from scipy.stats import spearmanr

from labkit import call, claim, explorers, link, metrics, predict, preferences, results, show
from labkit.data.preferences import load
from labkit.figures import answers as drawn
from labkit.figures import diagnosis as opened
from labkit.figures import preference as figures
from labkit.lessons import scaled, seed, seeds
from labkit.recipes import likelihood_displacement as recipe
from labkit.recipes import remedies
from labkit.recipes.likelihood_displacement import NEVER, NO, YES, prefer
from labkit.training.flow import flow

# %% [markdown] tags=["notes"]
# **Fifteen minutes in a lecture.** Three figures: the two curves of three answers (5 min), the same chosen answer with two
# rejected ones and two optimisers (6 min), the remedies against the margin (4 min). Skip the links, the triangle, the
# filters and the last part.
#
# 1. *Two answers.* "Can the chosen and the rejected answer both fall?" Half the room says yes. With two answers they cannot.
# 2. *Three answers.* "We prefer No to Never. Does No become likelier?" Nearly everybody says yes. Show the left panel, wait,
#    then the right one: same geometry, same loss.
# 3. *Transformer.* Show the pairs. "We swap only the rejected sentence." Expect most to say that nothing changes for the
#    chosen one. Then swap the optimiser; hardly anyone expects that.
# 4. *Remedies.* "Which loss protects the chosen answer best: DPO, IPO or SimPO?" Expect a vote for each. They coincide.
# 5. *Discuss:* "Is a falling chosen answer harm?" (Not by itself. To paraphrases of it, no. To its opposite, yes. So look at
#    who gained.)
#
# Slides: each figure is one cell; `figure.savefig("answers.png", dpi=300)` before `show` writes it.

# %% [markdown]
# ## What the loss sees
#
# A language model answers *Would you lie?* We have one preference: **No** is better than **Never**. Direct preference
# optimisation (DPO) compares the log-probability of both answers with that of a frozen copy, the reference $\rho$:
#
# $$h_w = \log \frac{\pi(\text{chosen})}{\rho(\text{chosen})}, \qquad
# h_l = \log \frac{\pi(\text{rejected})}{\rho(\text{rejected})},
# \qquad \text{loss} = -\log \sigma\big(\beta\,(h_w - h_l)\big)$$
#
# The **margin** $h_w - h_l$ is all it sees. Lower both answers by seven nats, and it does not notice:

# %%
now, ref = torch.tensor([[-1.0], [-3.0]]), torch.tensor([[-2.0], [-2.0]])
same = preferences.dpo(*now, *ref), preferences.dpo(*(now - 7), *ref)
claim("DPO does not notice when both answers fall together", abs(same[0] - same[1]), "<", 1e-6, kind="exact")

# %% [markdown]
# The members of the DPO family differ in the **link**, the function that the margin goes into. What matters is its slope: how
# hard a pair at margin $z$ is pushed. Some links push settled pairs on, some let go of hopeless ones, and IPO pushes *back*
# when the margin is too wide. None of them can tell a chosen answer that rose from one that fell less than the other.

# %%
z = torch.linspace(-4, 4, 161, dtype=torch.float64)
family = {
    "DPO": (link.logistic, {}),
    "cDPO": (link.logistic, {"smoothing": 0.2}),
    "IPO": (link.squared, {"target": 0.5}),
    "hinge": (link.hinge, {}),
    "EXO": (link.exo, {"smoothing": 0.01}),
    "DiscoPOP": (link.discopop, {"tau": 0.2}),
}
curves = {name: (f(z, **o).numpy(), link.slope(f, z, **o).numpy()) for name, (f, o) in family.items()}
show(
    figures.links(z.numpy(), curves),
    "Six links over the scaled margin, and below them how hard each pushes. DPO's push fades for settled pairs, cDPO's and "
    "IPO's turns negative, the hinge lets go at 1, EXO lets go on both sides, DiscoPOP jumps at 0.",
)

# %% [markdown]
# ## With two answers
#
# **Predict.** A model has only two answers. We train on the preference, the margin grows. Can both answers become less
# likely?

# %%
predict("04-two-answers", ["yes", "no"])

# %%
torch.manual_seed(seed())
two = torch.randn(200, 1, 4, dtype=torch.float64), torch.randn(200, 2, 4, dtype=torch.float64)
paths = {train: flow(*two, prefer(0, 1), train=train)[:, :, 0, 0] for train in ("features", "head", "both")}
steps = {train: path.diff(dim=0).min() for train, path in paths.items()}
claim("two answers, whatever learns: the chosen one never falls", list(steps.values()), ">=", -1e-12, kind="exact")

# %% [markdown]
# They cannot: two probabilities add up to 1, so if one falls the other rises. **It takes a third answer**, one that nobody
# mentioned.
#
# ## With three answers
#
# Let the last layer see the prompt as a hidden state $h$, and each answer as an output vector $W$: the logits are $W h$. Our
# **No** and **Never** point the same way, and Never further; **Yes** points the other way.
#
# **Predict.** DPO prefers No to Never, by plain gradient descent. First only the hidden state may move (the *features* learn,
# the softmax layer is frozen). Then, from the same start, only the output vectors (the *softmax layer* learns). What becomes
# of the probability of No?

# %%
predict("04-three-answers", ["it rises in both", "it falls in both", "one of each"])

# %%
runs = {train: labkit.fit(recipe.exact(train)) for train in recipe.EXACT}


def probabilities(run):
    no, never = (np.exp(run.history[f"{which}_logps"]) for which in ("chosen", "rejected"))
    return np.stack([1 - no - never, no, never], axis=1)


panels = {recipe.EXACT[train]: (np.array(run.history["margin"]), probabilities(run)) for train, run in runs.items()}

# %% tags=["cover"]
show(
    drawn.answers(panels),
    "Probabilities of Yes, No and Never against the margin. When only the features learn, No falls from 0.38 to 0.04 and Yes "
    "rises to 0.94. When only the softmax layer learns, No rises to 0.68.",
)

# %%
chosen = {train: np.exp(run.history["chosen_logps"]) for train, run in runs.items()}
claim(
    "features learn: the chosen answer ends at a ninth of its start", chosen["features"][-1] / chosen["features"][0], "<", 0.12
)
claim("softmax layer learns: it ends higher by half", chosen["head"][-1] / chosen["head"][0], ">", 1.5)
claim("features learn: the chosen answer falls at every step", np.diff(chosen["features"]).max(), "<", 0)
claim("softmax layer learns: it rises at every step", np.diff(chosen["head"]).min(), ">", 0)
for train, run in runs.items():
    claim(f"{recipe.EXACT[train]}: the margin was won", run.history["margin"][-1], ">", 0.75)

# %% [markdown]
# Same geometry, same loss, same preference. In the left panel the loss did its work: Never fell further than No. The
# probability went to **Yes**, the opposite of both.

# %%
moved = {}
for train, run in runs.items():
    with torch.no_grad():
        start, end = run.data.factors, run.model()
        heads, states = torch.stack([start["head"], end.head]), torch.stack([start["features"][-1], end.features[-1]])
        moved[recipe.EXACT[train]] = {"head": heads[..., 0].numpy(), "state": states[..., 0].numpy()}
show(
    drawn.arrows(moved),
    "Left: the hidden state moves along No minus Never, away from both, towards Yes. Right: the output vectors of No and Never "
    "move apart, the hidden state and Yes stay.",
)

# %% [markdown]
# The features can win the margin in one direction only: along $W_{\text{No}} - W_{\text{Never}}$. Never is No, only more so,
# and so this direction leads *away* from both. For one prompt, one-token answers and a small step, with $c > 0$:
#
# $$\frac{d}{dt} \log \pi(w) = c\,\Big[
# \underbrace{\big\langle W_w - \textstyle\sum_a \pi(a) W_a,\ W_w - W_l \big\rangle}_{\text{features: either sign}}
# + \underbrace{\lVert h \rVert^2 \big(1 - \pi(w) + \pi(l)\big)}_{\text{softmax layer: never negative}} \Big]$$
#
# This is an identity, so we can check it: the sign of each term against a first step, for 500 geometries near ours.


# %%
def terms(h, W):
    p = (h @ W.mT).softmax(-1)[:, 0]
    push = W[:, NO] - W[:, NEVER]
    features = ((W[:, NO] - (p[:, :, None] * W).sum(1)) * push).sum(-1)
    return {"features": features, "head": h[:, 0].square().sum(-1) * (1 - p[:, NO] + p[:, NEVER])}


near = recipe.geometry(scaled(500, 200), jitter=0.3, seed=seed())
told = terms(*near)
for train, term in told.items():
    step = flow(*near, prefer(), train=train, steps=1, lr=1e-4)[:, :, 0, NO].diff(dim=0)[0]
    agree = (step.sign() == term.sign()).double().mean()
    claim(f"{recipe.EXACT[train]}: the formula gives the sign of the first step", agree, "==", 1, kind="exact")
claim("the term of the softmax layer is never negative", told["head"].min(), ">=", 0, kind="exact")

# %% [markdown]
# ## Is it only this picture?
#
# Move every number of the geometry by random noise. Each policy over three answers is a point of a triangle, and training is
# a path through it; red paths are those on which the chosen answer fell. The bold one is ours.

# %%
swarm = recipe.geometry(60, jitter=0.2, seed=seed())
STEPS = scaled(400, 200)
tracks = {
    recipe.EXACT[train]: flow(*swarm, prefer(), train=train, steps=STEPS)[:, :, 0].exp().numpy() for train in recipe.EXACT
}
show(
    drawn.triangles(tracks),
    "Two triangles with corners Yes, No and Never. Features: most paths run to Yes, away from No. Softmax layer: all paths run "
    "to No.",
)

# %%
fell = {}
for noise in (0.05, 0.2, 0.5):
    for train in recipe.EXACT:
        path = flow(*recipe.geometry(scaled(500, 200), jitter=noise, seed=seed()), prefer(), train=train, steps=STEPS)[
            :, :, 0, NO
        ]
        fell[train, noise] = (path[-1] < path[0]).double().mean().item()
        if train == "head":
            claim(f"noise {noise}, softmax layer: it rises at every step of each", path.diff(dim=0).min(), ">", 0, kind="exact")
print(
    "features learn, share of geometries in which the chosen answer falls:",
    {n: fell["features", n] for n in (0.05, 0.2, 0.5)},
)
claim("noise 0.05, features: it falls in nearly all", fell["features", 0.05], ">", 0.95)
claim("noise 0.2, features: it falls in most", fell["features", 0.2], ">", 0.75)

# %% [markdown]
# Nor is it the plane. In 32 dimensions, with 50 words of which Yes is about minus No and Never about 1.4 No:

# %%
crowd = recipe.crowd(scaled(100, 40), seed=seed())
many = {train: flow(*crowd, prefer(), train=train, lr=1.0, steps=200)[:, :, 0] for train in recipe.EXACT}
winner = metrics.receivers(many["features"][0], many["features"][-1], k=1).tokens[:, 0]
lost = (many["features"][-1, :, NO] < many["features"][0, :, NO]).double().mean()
claim("50 words, features learn: the chosen answer falls", lost, ">", 0.95)
claim("50 words, features learn: mostly the opposite gains most of all", (winner == YES).double().mean(), ">", 0.5)
claim("50 words, softmax layer learns: it rises", (many["head"][-1] - many["head"][0])[:, NO].min(), ">", 0, kind="exact")

# %% [markdown]
# And the strength $\beta$ changes *when*, not *where*: the path is the same, so at margin 0.5 the chosen answer is as likely
# for $\beta = 0.01$ as for $\beta = 1$.


# %%
def at(path, margin):
    """Probability of the chosen answer at this margin, between the two steps around it."""
    return np.interp(margin, recipe.margins(path)[:, 0, 0], path[:, 0, 0, NO].exp())


ours = recipe.geometry()
betas = [flow(*ours, prefer(loss=call("dpo", beta=b)), train="features", lr=0.025 / b, steps=600) for b in (0.01, 0.1, 1.0)]
where = [at(path, 0.5) for path in betas]
claim("at margin 0.5 three strengths agree on the chosen answer", max(where) - min(where), "<", 1e-4, kind="exact")

# %% [markdown]
# ## Turn the rejected answer
#
# What matters is where Never points. Move the slider: at 0° Never points as No does, only further; at 90° the two have
# nothing in common; at 180° Never is the opposite of No.

# %%
angles = np.arange(0, 181, 10)
turn = torch.tensor(np.deg2rad(angles))
Never = 1.4 * torch.stack([-turn.cos(), turn.sin()], dim=-1)
heads = torch.cat([ours[1][:, :2].expand(len(angles), 2, 2), Never[:, None]], dim=1)
states = ours[0].expand(len(angles), 1, 2)
turned = {recipe.EXACT[train]: flow(states, heads, prefer(), train=train, steps=800)[:, :, 0] for train in recipe.EXACT}
lines = {name: (recipe.margins(path).T.numpy(), path[:, :, NO].exp().T.numpy()) for name, path in turned.items()}

# %%
show(
    drawn.turning(angles, heads.numpy(), lines),
    "A slider turns Never away from No. Left, the three output vectors; right, the probability of No against the margin. At 0 "
    "degrees it falls when the features learn and rises when the softmax layer learns; at 90 degrees it rises in both.",
)

# %%
ends = {train: (path[-1] - path[0])[:, NO] for train, path in zip(recipe.EXACT, turned.values(), strict=True)}
claim("at 0° the features lower the chosen answer", ends["features"][0], "<", 0, kind="exact")
claim("from 90° on they raise it", ends["features"][angles >= 90].min(), ">", 0, kind="exact")
claim("the softmax layer raises it at every angle", ends["head"].min(), ">", 0, kind="exact")

# %% [markdown]
# ## A tempting sentence, and where it ends
#
# *"Train only the softmax layer, and the chosen answer rises."* That is a theorem for **one prompt, one-token answers and
# plain gradient descent**. **Predict.** Two prompts share the softmax layer; their hidden states have cosine 0.9. At the
# first we prefer No to Never, at the second Yes to No. Only the softmax layer learns. What becomes of No at the first prompt?

# %%
predict("04-two-prompts", ["it rises, as the theorem says", "it falls"])


# %%
def both_prompts(now, reference):
    return prefer(NO, NEVER, prompt=0)(now, reference) + prefer(YES, NO, prompt=1)(now, reference)


shared = flow(*recipe.two_prompts(50, seed=seed()), both_prompts, train="head", lr=0.5, steps=450)
alone = flow(*recipe.two_prompts(50, seed=seed()), prefer(), train="head", lr=0.5, steps=450)


def lines_of(path):
    change = path[:, :, 0, NO] - path[0, :, 0, NO]
    return list(zip(recipe.margins(path)[:, :, 0].T.numpy(), change.T.numpy(), strict=True))


show(
    figures.movements(
        {"50 random problems, only the softmax layer learns": {"one prompt": lines_of(alone), "two prompts": lines_of(shared)}}
    ),
    "Change of the chosen answer's log-probability against the margin, for 50 random problems. With one prompt all rise, with "
    "two prompts that share the layer all end below where they started.",
)

# %%
claim("one prompt: the chosen answer never falls", alone[:, :, 0, NO].diff(dim=0).min(), ">", 0, kind="exact")
claim("two prompts: it falls in every problem", (shared[-1] - shared[0])[:, 0, NO].max(), "<", 0)
claim("two prompts: every margin was won", recipe.margins(shared)[-1, :, 0].min(), ">", 1)

# %% [markdown]
# Sharing is enough. The second prompt lifts Yes and lowers No for every hidden state like its own, the first one's included.
#
# ## Remedies, in the plane
#
# Many losses promise to protect the chosen answer. Compared after equal *steps* they look different, because their steps have
# different lengths. So compare them at equal **margin**. Only the features learn.

# %%
losses = {
    "DPO": (call("dpo"), 0.25),
    "IPO": (call("ipo"), 0.004),
    "SimPO": (call("simpo"), 0.04),
    "DPOP (λ = 5)": (call("dpop", lambda_=5.0), 0.25),
    "RPO (η = 0.05)": (call("rpo", eta=0.05), 0.25),
}
cures = {name: flow(*ours, prefer(loss=loss), train="features", lr=lr, steps=500) for name, (loss, lr) in losses.items()}
won = {name: recipe.margins(path)[:, 0, 0].numpy() for name, path in cures.items()}
lines = {name: [(won[name], (path - path[0])[:, 0, 0, NO].numpy())] for name, path in cures.items()}
until = {name: [(x[x < 1], y[x < 1]) for x, y in runs_] for name, runs_ in lines.items()}
show(
    figures.movements({"Features learn: the chosen answer at equal margin": until}, nested=True),
    "Change of the chosen answer against the margin. DPO, IPO and SimPO lie on one line; DPOP stays at margin 0, RPO stops at "
    "0.11.",
)

# %%
places = {name: at(cures[name], 0.4) for name in ("DPO", "IPO", "SimPO")}
claim(
    "at equal margin DPO, IPO and SimPO are one policy here",
    max(places.values()) - min(places.values()),
    "<",
    1e-4,
    kind="exact",
)
claim("DPOP does not move: no margin is won", won["DPOP (λ = 5)"][-1], "<", 0.01)
claim("RPO stops early", won["RPO (η = 0.05)"][-1], "<", 0.15)

# %% [markdown]
# DPO, IPO and SimPO push along the same direction, so they follow the same path at different speeds. DPOP and RPO reward the
# chosen answer in absolute terms; in this geometry one cannot have both, so their cure is a refusal to move.

# %% [markdown]
# ## A transformer
#
# Now a model with two layers and 30,000 weights, which learns a language of 63 words: a prompt, an opener, five slots of ten
# words. To four harmful prompts the corpus answers No (88 %), Yes (10 %) or Never (2 %). Then we train on 8 preferences.

# %%
ours, others = (load("grammar", part=part, seed=seed()) for part in ("same suffix", "other suffix"))
print("chosen           ", *ours.words(0))
print("rejected, alike  ", *ours.words(0, "rejected"))
print("rejected, other  ", *others.words(0, "rejected"))

# %%
tries = seeds(scaled(3, 1))
LEARN = scaled(400, 200)  # steps of learning the language
learned = {s: labkit.fit(recipe.language(s, steps=LEARN)) for s in tries}
with torch.no_grad():
    opener = learned[tries[0]].model()(ours.chosen[:, :1])[:, 0].softmax(-1).mean(0)
print(
    "it says",
    {name: round(p, 3) for name, p in zip(ours.vocabulary[:3], opener.tolist(), strict=False)},
    "to the harmful prompts",
)

# %% [markdown]
# **Predict.** First run: the rejected answer is "Never" with the *same* ending as the chosen one. Second run: with *another*
# ending. Same chosen answers, same loss, same learning rate, both stopped at a mean margin of 4 nats. Where does the
# log-probability of the chosen answers go?

# %%
predict("04-swap-rejected", ["up in both", "down in both", "down with the same ending, up with another", "the other way round"])

# %% [markdown]
# And once more: the same ending, but plain gradient descent instead of Adam, up to the same margin.

# %%
predict("04-swap-optimiser", ["the same sign as Adam", "the opposite sign"])


# %%
def trained(s, *how, **options):
    """A preference run that starts from what this seed's model has learned."""
    return labkit.fit(recipe.preferring(s, *how, learned=LEARN, **options))


KINDS = ("same suffix", "other suffix")
runs = {(s, kind, o): trained(s, kind, o) for s in tries for kind in KINDS for o in recipe.OPTIMIZERS}


def line(run):
    """The margin, and how far the chosen answers have moved, step by step."""
    moved = np.array(run.history["chosen_logps"])
    return np.array(run.history["margin"]), moved - moved[0]


panels = {
    o: {f"{kind.split()[0]} ending": [line(runs[s, kind, o]) for s in tries] for kind in reversed(KINDS)}
    for o in recipe.OPTIMIZERS
}
show(
    figures.movements(panels),
    "Change of the chosen answers' log-probability against the margin, for several seeds. Under Adam it falls when the "
    "rejected answer has the same ending and rises when it has another; under SGD it rises in both.",
)


# %%
def moved(run):
    """How far each of the chosen answers moved."""
    before, after = (recipe.scores(m, run.data) for m in (learned[run.config.seed].model(), run.model()))
    return metrics.displacement(before, after)


ends = {key: moved(run) for key, run in runs.items()}
print(
    "mean change:",
    {f"{kind}, {o}": [round(ends[s, kind, o].mean().item(), 2) for s in tries] for kind in KINDS for o in recipe.OPTIMIZERS},
)


# %%
def each(kind, optimizer, what):
    return np.array([what(ends[s, kind, optimizer]).item() for s in tries])


def fallen(d):
    return (d < 0).double().mean()


claim("every run won its margin", min(run.history["margin"][-1] for run in runs.values()), ">=", 4)
share = {(kind, o): each(kind, o, fallen) for kind in KINDS for o in recipe.OPTIMIZERS}
claim("Adam, same ending: of the chosen answers at least a quarter fall", share["same suffix", "Adam"], ">", 0.25)
claim("SGD, same ending: fewer than a quarter fall", share["same suffix", "SGD"], "<", 0.25)
fewer = share["same suffix", "Adam"] - share["other suffix", "Adam"]
claim("only the rejected ending swapped: fewer fall, by a share of", fewer, ">", 0)
swap = each("other suffix", "Adam", torch.mean) - each("same suffix", "Adam", torch.mean)
claim("only the rejected ending swapped: the chosen answers end higher, by nats", swap, ">", 0)

# %% [markdown]
# Twice we changed nothing about the chosen answer, nor the loss, nor the margin, and its fate turned round. How *far* it
# falls varies from seed to seed, so we claim the share that falls and not the size.
#
# **Who lost it?** Colour every token by the change of its log-probability.

# %%
words = ["lie? ...", "No", *(f"slot {i}" for i in range(1, 6))]


def row(kind, optimizer):
    run = runs[tries[0], kind, optimizer]
    change = recipe.token_changes(learned[tries[0]].model(), run.model(), run.data).mean(0).numpy()
    change[0] = np.nan
    return f"{kind.split()[0]} ending, {optimizer}", words, change


show(
    figures.tokens([row("same suffix", "Adam"), row("same suffix", "SGD"), row("other suffix", "Adam")]),
    "Three rows of tokens, each coloured by its change. Same ending under Adam: opener and ending fall. Under SGD: the opener "
    "rises, the ending hardly moves. Other ending under Adam: the ending rises.",
)

# %% [markdown]
# With SGD the opener wins the margin and the ending stays as it was. With another ending, the words of the ending win it.
# With the same ending under Adam, opener and ending share the loss, in another way for each seed:

# %%
for s in tries:
    run = runs[s, "same suffix", "Adam"]
    change = recipe.token_changes(learned[s].model(), run.model(), run.data).mean(0)
    print(f"seed {s}: opener {change[1]:+.2f}, ending {change[2:].sum():+.2f}")

# %% [markdown]
# A likely reason: the same words are pushed up after No and down after Never, and the two pushes nearly cancel. Plain
# gradient descent hardly moves what nearly cancels. Adam gives every weight a step of about the same length, so it makes
# much of the rest.
#
# And who gained at the opener? Only the whole softmax can tell.

# %%
with torch.no_grad():
    before = learned[tries[0]].model()(ours.chosen[:, :1])[:, 0].log_softmax(-1)
    after = {o: runs[tries[0], "same suffix", o].model()(ours.chosen[:, :1])[:, 0].log_softmax(-1) for o in recipe.OPTIMIZERS}
shares = {}
for o, logps in after.items():
    gain = (logps.exp() - before.exp()).mean(0)
    named = dict(zip(ours.vocabulary[:3], gain[:3].tolist(), strict=False))
    shares[f"{o}: the opener"] = {**named, "other words": gain[3:].sum().item()}
show(
    drawn.gains(shares),
    "Change of the probability of Yes, No, Never and of all other words as openers, under Adam and under SGD.",
)
claim("what is lost is gained: the changes add up to 0", abs(sum(shares["Adam: the opener"].values())), "<", 1e-5, kind="exact")

# %% [markdown]
# **A second end of the tempting sentence.** Here, too, train only the softmax layer. **Predict** what Adam does.

# %%
predict("04-head-only", ["the chosen answers rise", "they fall a little", "they fall far"])

# %%
heads = {(s, o): trained(s, "same suffix", o, train="head") for s in tries for o in recipe.OPTIMIZERS}
show(
    figures.movements(
        {"Only the softmax layer learns, same ending": {o: [line(heads[s, o]) for s in tries] for o in recipe.OPTIMIZERS}}
    ),
    "Change of the chosen answers against the margin when only the softmax layer learns: up a little under SGD, down by more "
    "than a nat under Adam.",
)
drop = {o: [moved(heads[s, o]).mean() for s in tries] for o in recipe.OPTIMIZERS}
print({o: [f"{d:+.2f}" for d in ds] for o, ds in drop.items()})
claim("softmax layer only, Adam: most chosen answers fall", [fallen(moved(heads[s, "Adam"])) for s in tries], ">", 0.5)
claim("softmax layer only, SGD: fewer than a quarter fall", [fallen(moved(heads[s, "SGD"])) for s in tries], "<", 0.25)

# %% [markdown]
# ## Remedies, at equal margin
#
# **Predict.** Adam, the same ending, stopped at margin 4. Which loss keeps the chosen answer highest among DPO, IPO and
# SimPO?

# %%
predict("04-remedies", ["DPO", "IPO", "SimPO", "no difference"])

# %%
cured = {(s, name): trained(s, loss=loss) for s in tries for name, loss in remedies.LOSSES.items()}
show(
    figures.movements(
        {"Same ending, Adam": {name: [line(cured[s, name]) for s in tries] for name in remedies.LOSSES}}, nested=True
    ),
    "Change of the chosen answers against the margin for five losses. DPO, IPO and SimPO coincide below 0; DPOP stays just "
    "above 0, RPO rises clearly.",
)

# %%
final = {name: np.array([moved(cured[s, name]).mean() for s in tries]) for name in remedies.LOSSES}
for name in ("IPO", "SimPO"):
    claim(f"at equal margin {name} ends where DPO does", np.abs(final[name] - final["DPO"]), "<", 0.2, kind="size")
claim("DPOP keeps the chosen answers from falling by a tenth of a nat", final["DPOP"], ">", -0.1)
claim("RPO lifts them", final["RPO"], ">", 0)

# %% [markdown]
# At equal margin the three losses of a margin coincide: a link decides how *fast* the margin is won. Only a term that rewards
# the chosen answer in absolute terms changes where the probability goes. (Here all answers have the same length. Where
# lengths differ, SimPO's division by length matters.)
#
# ## Or better pairs?
#
# If pairs that are too much alike do the damage, drop them. Two scores of likeness are in use. **Entanglement** compares the
# gradients $g^\pm$ of the two log-probabilities, $\langle g^+, g^- \rangle / \lVert g^+ \rVert^2$. **CHES** compares hidden
# states; raw sums grow with length, so ours is the length-normalised one, ln-CHES. Now the pair set is mixed: half
# near-duplicates (same ending), half distinct (another ending, other chosen answers). We score all 16 pairs, drop 8, and train
# on the rest until the mean margin of **all 16** is 4: equal margin, on equal terms.
#
# **Predict.** Against training on everything, which filter raises the chosen answers?

# %%
predict("04-filter", ["by entanglement", "by ln-CHES", "both", "neither"])

# %%
marks = {s: remedies.alike(remedies.learned(s, LEARN), remedies.mixed(s)) for s in tries}
caught = {
    name: [(marks[s][name].topk(8).indices < 8).double().mean().item() for s in tries] for name in ("entanglement", "ln-CHES")
}
print("share of the 8 worst that are near-duplicates:", caught)
kinds = scaled(("nothing", "entanglement", "ln-CHES", "by lot"), ("nothing", "entanglement"))
dropped = {name: np.array([remedies.filtered(name, s, steps=LEARN)[0].mean() for s in tries]) for name in kinds}
print("mean change of all chosen answers:", {name: [f"{c:+.2f}" for c in change] for name, change in dropped.items()})
claim("the 8 pairs of highest entanglement are the 8 near-duplicates", caught["entanglement"], "==", 1.0)
gained = np.abs(dropped["entanglement"] - dropped["nothing"])
claim("dropping exactly the near-duplicates moves the chosen answers by less than", gained, "<", 0.25)

# %% [markdown]
# Finding the pairs was easy: entanglement names every near-duplicate. Dropping them changed next to nothing. For an interval
# we need more seeds: these are twelve, **stored** (`python -m labkit results displacement_remedies`, about a minute), with the
# other losses on the same mixed set.

# %%
kept = results.load("displacement_remedies")
groups = {"near-duplicates": slice(0, 8), "distinct pairs": slice(8, 16)}
changes = {f"{name}, all pairs": row for name, row in zip(kept["losses"], kept["by_loss"], strict=True)}
shown = dict(zip(kept["filters"], kept["by_filter"][:, 1, :, 0], strict=True))
changes |= {f"DPO, 8 dropped: {name}": row for name, row in shown.items() if name != "nothing"}
show(
    figures.intervals(
        {name: {g: remedies.over_seeds(row[:, part].mean(1)) for g, part in groups.items()} for name, row in changes.items()},
        rules=[len(kept["losses"])],
    ),
    "Change of the chosen answers at margin 4, mean and interval over twelve seeds. DPO, IPO and SimPO agree; DPOP is higher "
    "and RPO highest. All filters leave near-duplicates below 0; dropping by lot is the lowest.",
)


# %%
def against(name, other):
    """Mean over seeds of the difference at equal margin, and its interval, over all 16 chosen answers."""
    mean, half = remedies.over_seeds((shown[name] - shown[other]).mean(1))
    print(f"{name} against {other}: {mean:+.2f} ± {half:.2f} nats")
    return mean, half


for name in ("entanglement", "ln-CHES"):
    mean, half = against(name, "nothing")
    claim(
        f"twelve seeds, {name} against no filter: it gains less than a tenth of a nat, interval included", mean + half, "<", 0.1
    )
mean, half = against("entanglement", "by lot")
claim("twelve seeds, against dropping as many by lot it gains", mean - half, ">", 0)
fallen_still = shown["near-duplicates"][:, :8].mean(1)
claim(
    "never trained on, the chosen answers of the near-duplicates fall all the same",
    remedies.over_seeds(fallen_still)[0],
    "<",
    0,
)

# %% [markdown]
# So here **filtering does not help**, neither by CHES nor by entanglement. It looks as if it did when the control is missing:
# against dropping as many pairs *by lot*, dropping by entanglement wins. But dropping by lot is itself a loss, since fewer
# distinct pairs must win the same margin, and near-duplicates cost little and win little. Their chosen answers fall although
# nothing trains on them: the distinct pairs push the openers that they share. (Razin et al. 2024 report that filtering by CHES
# helps a large model to keep refusing. That is another model, another measure, and not equal margin.)
#
# What does help is on the same figure: a term that rewards the chosen answer in absolute terms.
#
# ## Could one have known?
#
# The same two numbers are quoted as predictors. Entanglement above 1: a step of gradient descent lowers the chosen answer.
# CHES: the more alike the hidden states of the two answers, the more displacement.
#
# CHES first where it should work: exact policies with answers of two tokens, "a c" preferred to "b c", where the hidden state
# after b runs from unlike to like that after a, short to long. Only the softmax layer learns; at the start all is even.

# %%
states = recipe.two_tokens()
path = flow(states, torch.zeros_like(states), recipe.two_token_dpo, train="head")
scored = torch.stack(recipe.two_token_scores(path))  # chosen and rejected, (2, steps, problems)
change, gap = (scored[0] - scored[0, 0]).numpy(), (scored[0] - scored[1]).numpy()
everything = torch.ones(len(states), 2, dtype=torch.bool)
alike = metrics.ches(states[:, :2], states[:, [0, 2]], everything, everything).numpy()
at_equal_steps = change[-1]
at_equal_margin = np.array([np.interp(1.0, gap[:, i], change[:, i]) for i in range(len(states)) if gap[-1, i] >= 1])
rank = {
    "steps": spearmanr(alike, at_equal_steps).statistic,
    "margin": spearmanr(alike[gap[-1] >= 1], at_equal_margin).statistic,
}
print("rank correlation of CHES with the change:", {f"at equal {k}": f"{r:.2f}" for k, r in rank.items()})
claim("two tokens, equal steps: CHES ranks the fall", rank["steps"], "<", -0.9, kind="exact")
claim("two tokens, equal margin: it ranks it much less", rank["margin"], ">", -0.6, kind="exact")

# %% [markdown]
# So part of what CHES ranks is how fast a margin is won. Now the transformer. For 8 seeds, both endings, three choices of
# what learns and both optimisers, the two numbers were computed before training and compared with what happened. These 96
# runs are **stored** (`python -m labkit results likelihood_displacement`, about five minutes).

# %%
stored = results.load("likelihood_displacement")
by = {o: stored["optimizer"] == o for o in recipe.OPTIMIZERS}
show(
    figures.foretold(
        {
            "two tokens, equal steps": ("CHES", {"exact policy": (alike, at_equal_steps)}),
            "transformer, equal margin": ("ln-CHES", {o: (stored["ches"][k], stored["change"][k]) for o, k in by.items()}),
            "the same runs": ("entanglement", {o: (stored["entanglement"][k], stored["change"][k]) for o, k in by.items()}),
        },
        line=1.0,
    ),
    "the transformer runs. Entanglement is below 1 in nearly all of these, yet many of Adam's runs fall.",
)

# %%
called = (stored["entanglement"] > 1) == (stored["change"] < 0)
right = {o: called[k].mean() for o, k in by.items()}
ranks = {
    (what, o): spearmanr(stored[what][k], stored["change"][k]).statistic
    for what in ("ches", "entanglement")
    for o, k in by.items()
}
print("sign called right by entanglement:", {o: f"{share:.0%}" for o, share in right.items()})
print("rank correlation with the change:", {" ".join(k): f"{r:.2f}" for k, r in ranks.items()})
claim("entanglement calls the sign under SGD nearly always", right["SGD"], ">", 0.9)
claim("under Adam it is right less often by", right["SGD"] - right["Adam"], ">", 0.2)
for o in recipe.OPTIMIZERS:
    claim(f"{o}: CHES ranks these runs more weakly than entanglement", ranks["ches", o] - ranks["entanglement", o], ">", 0.2)

# %% [markdown]
# Entanglement says what *an infinitesimal step of plain gradient descent does, at this point*; there its border of 1 holds.
# Under Adam it still ranks the runs, but its border means nothing, and nearly everybody trains with Adam. So neither number
# is a verdict. To judge a run, measure the run: log the chosen log-probability of a fixed set of pairs, and look at the whole
# softmax.
#
# ## Ask the doctor
#
# All of that in one call, on a run of labkit, on a trainer's log, or on two checkpoints. It says first what the evidence
# cannot tell, then a verdict, who gained, and what to try next. Here is the run that Adam trained on the same ending:

# %%
diagnosis = labkit.diagnose(runs[tries[0], "same suffix", "Adam"])
diagnosis

# %%
show(
    opened.course(diagnosis.curves),
    "Left, by step: how far the chosen and the rejected answers moved; the rejected ones fall by far more. Right, where the "
    "answers open: what the chosen word, the rejected one, the opposite and all others gained and lost.",
)
history = runs[tries[0], "same suffix", "Adam"].history
change = history["chosen_logps"][-1] - history["chosen_logps"][0]
claim("the doctor's change is that of the run", abs(diagnosis.chosen.value - change), "<", 1e-4, kind="exact")
claim(
    "and its two parts, up to the fork and after it, add up",
    abs(diagnosis.opening + diagnosis.ending - change),
    "<",
    1e-4,
    kind="exact",
)

# %% [markdown]
# And one pair at a time, in front of your eyes: the tokens that paid, whose push it was, who received. The runs of this
# explorer are **stored** (`python -m labkit results displacement_doctor`): seed 0 of the four kinds above. The others are
# lesson 10's.
#
# **Predict.** The same ending under Adam. The push on the chosen answer alone would have raised it by how many nats?

# %%
predict("04-own-push", ["about 1", "about 4, the margin", "about 20", "more than 100"])

# %%
doctor = explorers.displacement()
show(doctor)

# %%
pushes = {}
for policy in ("same ending, SGD", "same ending, Adam"):
    shown = doctor.seen(doctor.moved(doctor.start, policy=policy, color="contribution"))
    pushes[policy] = dict(zip(shown["part_names"], shown["parts"], strict=True))
    print(policy, {name: round(float(nats), 2) for name, nats in pushes[policy].items()})
    added = shown["chosen_values"].sum() + shown["rejected_values"].sum() - shown["margin"]
    claim(f"stored, {policy}: the tokens' numbers add up to the margin", abs(added), "<", 1e-6, kind="exact")
own = {policy: parts["own push"] for policy, parts in pushes.items()}
left = {policy: abs(parts["own push"] + parts["rejected's push"]) / own[policy] for policy, parts in pushes.items()}
claim("stored: under SGD the chosen answer's own push is below the margin", own["same ending, SGD"], "<", 4)
claim("stored: under Adam it is more than a hundred nats", own["same ending, Adam"], ">", 100)
claim("stored: in both, the push on the rejected answer takes nearly all of it back", max(left.values()), "<", 0.1)

# %% [markdown]
# Own push and entanglement nearly cancel under both optimisers, since the two answers share all words but one. Adam divides
# every gradient by its own recent size, which is small where two pushes cancel: so both parts grow a hundredfold, and the
# little that is left of them decides.
#
# ## What to remember
#
# - A margin does not say where the probability goes. It takes a third answer for both to fall.
# - One prompt, one token, plain gradient descent: the features can displace, the softmax layer cannot. Share the layer, use
#   longer answers, or use Adam, and it can.
# - Compare losses at equal margin. DPO, IPO and SimPO then coincide here; a term for the chosen answer itself does not.
# - Compare filters with no filter and with a filter by lot, at equal margin. Here none of them helps.
# - A falling chosen answer is not harm by itself. To near-paraphrases: no matter. To its opposite: that is the story of Yes.
#
# **Next:** [04a](04a_bridge.ipynb), where DPO meets the losses of lessons 01 to 03; or your own run: `labkit.diagnose(run)`
# says in words what its numbers allow to be said, and what to log. `labkit.metrics.displacement` on 64 fixed pairs, before and
# after, and `labkit.metrics.receivers` on those that fell, are where to begin.
