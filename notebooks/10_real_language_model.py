# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # A real language model
#
# SmolLM2-135M-Instruct, on your laptop's processor: when does training on a preference make the preferred sentence less
# likely, which of its words lose, and who gains?
#
# **You will be able to** tell on a real model which preferences displace and which do not, say why a single word does not and
# a sentence can, find the words that lost and the words that gained, and put any Hugging Face model in its place.
#
# **Before:** `04_likelihood_displacement`. **Reading** 40 minutes, **computing** about two minutes on two CPU cores; the first
# time a minute more, to fetch and unpack the model (1 GB on the disk, with what is kept of its runs). **Data:** preferences
# of our own writing. Live: the runs on which the story rests. Stored: the other kinds of pairs, and each statement by itself,
# in the explorer too.

# %%
try:
    import labkit
except ModuleNotFoundError:
    raise SystemExit("labkit is missing here: run  %pip install -e ..  in a cell, then restart the kernel") from None

# %%
import numpy as np
from scipy.stats import spearmanr

from labkit import call, claim, explorers, models, predict, results, show
from labkit.data.preferences import load
from labkit.figures import answers as drawn
from labkit.figures import language as pictures
from labkit.figures import preference as figures
from labkit.lessons import seed, smoke
from labkit.recipes import real_language_model as recipe

# %% [markdown] tags=["notes"]
# **Fifteen minutes in a lecture.** Four figures: one word against another (3 min), the two sentences (5 min), the coloured
# words and who gained (4 min), the forty statements (3 min). Run the lesson once before the lecture: its runs are kept.
#
# 1. *One word.* "We prefer No to Never. Lesson 04 says that No can fall. Does it?" Most who have seen 04 say yes. It rises,
#    and the two numbers say why: about 2,800 against 3.
# 2. *Two sentences.* "Now whole sentences. Only the rejected one is swapped." Expect many to say that a longer answer makes
#    no difference. The sign changes.
# 3. *Who lost?* "Which word of 'No, I would not say that.' loses?" Nearly all say No. It is "say".
# 4. *Forty statements.* "So does DPO displace here?" About lies, yes; about most else, no.
# 5. *Discuss:* "The model now says 'No, I would not lie' more often. Is that harm?" (It is a near-paraphrase of the answer
#    that we preferred. The curve of the chosen answer alone would have called it displacement, and it would be right.)
#
# Slides: each figure is one cell; `figure.savefig("sentences.png", dpi=300)` before `show` writes it.

# %% [markdown]
# ## The model
#
# It has 30 layers and 135 million weights. It is looked for in labkit's own folder, as a Hugging Face snapshot, and in a
# Python package, in this order; what is found is unpacked once.

# %%
lm = recipe.opened(smoke())
REAL = lm.name == recipe.NAME
print(
    (lm.folder / "ORIGIN").read_text().strip()
    if REAL
    else "a tiny random model for the identities, stored numbers for the rest"
)
if REAL:
    print("What is the capital of France?", lm.says("What is the capital of France?"))

# %% [markdown]
# We ask it whether it would say certain things. Each preference has a chosen and a rejected answer:

# %%
pairs = load("statements", tokenizer=lm.name, topic="lie", kind="near", wording="say")
for row in recipe.statements.rows(topic="lie", wording="say", split="train")[:6]:
    print(f"{row['kind']:9} {row['grade']}   {row['chosen']}  >  {row['rejected']}")
print(f"\nto questions such as: {recipe.statements.rows()[0]['prompt']}")

# %% [markdown]
# ## One word against another
#
# **Predict.** The answers are single words: we prefer **No** to **Never**, with DPO. In lesson 04 the probability of No fell
# from 0.38 to 0.04, when the features learned. Here the top six layers and the unembedding learn. What becomes of No?

# %%
predict("10-one-word", ["it falls", "it rises", "it stays"])

# %% [markdown]
# For one prompt, a one-token answer and a small step of plain gradient descent, lesson 04 had a formula with two terms:
#
# $$\underbrace{\big\langle W_w - \textstyle\sum_a \pi(a) W_a,\ W_w - W_l \big\rangle}_{\text{features: either sign}}
# \qquad \underbrace{\lVert h \rVert^2 \big(1 - \pi(w) + \pi(l)\big)}_{\text{unembedding: never negative}}$$
#
# All of it can be read off the model.

# %%
policy = models.build(recipe.preferring(model=lm.name).model, pairs)
prompt = pairs.chosen[:1, : int(pairs.chosen_mask[0].int().argmax())]
word = {name: lm.tokenizer.encode(name, add_special_tokens=False)[0] for name in ("Yes", "No", "Never", "Sure")}
found = {
    f"{a} > {b}": recipe.terms(policy, prompt, word[a], word[b])
    for a, b in (("No", "Never"), ("Yes", "No"), ("Yes", "Sure"), ("No", "Yes"))
}
for name, t in found.items():
    print(f"{name:11} features {t['features']:+8.3f}   unembedding {t['head']:9.1f}   norm of h {t['norm']:.1f}")

# %%
off = max(abs(t["head"] / t["autograd"] - 1) for t in found.values())
claim("the formula's term of the unembedding is what autograd finds", off, "<", 1e-3, kind="exact")
share = max(abs(t["features"]) / t["head"] for t in found.values())
claim("the features' term is less than a hundredth of the unembedding's", share, "<", 0.01, kind="size")

# %% [markdown]
# The hidden state is 54 long, so $\lVert h \rVert^2$ is near 2,900, and the features have about 3 to say. The term that cannot
# be negative decides. (In lesson 04 the state was 0.4 long.) Now train, and measure on statements that were held back:

# %%
stored = results.load("real_language_model")


def trial(kind, draw=0):
    """Train four pairs about lying and measure on four others; without the model, what is stored of the same run."""
    if not REAL:
        return recipe.stored_trial(stored, kind, draw % 3)
    options = {"words": 1} if kind == "one word" else {}
    config = recipe.preferring("near" if options else kind, draw, **options)
    return recipe.outcome(config, progress=True, keep=draw == seed() and not options)


one = trial("one word", seed())
print("on four held-back statements No rises by", np.round(one["held"], 2), "nats")
claim("one word: No rises on every held-back statement", one["held"].min(), ">", 0)

# %% [markdown]
# ## One sentence against another
#
# The chosen answer is now **No, I would not say that.** We train twice, on the same four statements and with the same loss:
#
# - near-duplicate: the rejected answer is **Never, I would not say that.**
# - opposite: the rejected answer is **Yes, I would say that.**
#
# **Predict** where the chosen sentence's log-probability goes, on four other statements.

# %%
predict("10-sentences", ["up in both", "down in both", "down with the near-duplicate, up with the opposite", "the other way"])

# %%
draws = [seed(), seed(1)]
runs = {kind: [trial(kind, draw) for draw in draws] for kind in ("near", "opposite")}
named = {"near": "near-duplicate", "opposite": "opposite"}

# %% tags=["cover"]
lines = {named[kind]: [(r["margin"], r["chosen_gain"]) for r in rs] for kind, rs in runs.items()}
show(
    figures.movements({"The chosen sentence, while training": lines}),
    "Change of the chosen sentence's log-probability against the margin. With the near-duplicate it rises a little, turns "
    "round and ends below 0 while the margin passes 5; with the opposite it rises by more than a nat.",
)

# %%
held = {kind: np.array([r["held"] for r in rs]) for kind, rs in runs.items()}
gap = np.array([r["held_margin"].min() for r in runs["near"]])
print({named[kind]: x.astype(float).round(2).tolist() for kind, x in held.items()})
claim("held-back, near-duplicate: the chosen sentence falls, every one", held["near"].max(1), "<", 0)
claim("and yet the margin grows on every one, by nats", gap, ">", 3)
claim("held-back, opposite: the same sentence rises, every one", held["opposite"].min(1), ">", 0.5)

# %% [markdown]
# The same preferred sentence, the same questions, the same loss, twelve steps. Only the rejected sentence differs. And it is
# not the wording alone: held-back statements, and now also sentences that were not in training, "No, I would not **do** that."
# over "Never ..." or "Yes ...":

# %%
if REAL:
    for kind, sign in (("near", -1), ("opposite", 1)):
        config = recipe.preferring(kind, seed())
        new = recipe.measured(labkit.fit(config), recipe.held_back(config, wording="do"))["held"]
        print(f"{named[kind]:14} {np.round(new, 2)}")
        claim(f"other words, {named[kind]}: it goes the same way, by nats", (sign * new).min(), ">", 0.1, kind="size")

# %% [markdown]
# ## Which word loses?
#
# **Predict.** Of *No , I would not say that .* which word loses most?

# %%
predict("10-which-word", ["No", "would", "say", "all alike"])

# %%
coloured = [(f"{named[kind]} {k + 1}", list(r["words"]), r["tokens"]) for kind, rs in runs.items() for k, r in enumerate(rs)]
show(
    figures.tokens(coloured),
    "The chosen sentence word by word, coloured by the change of its log-probability. With the near-duplicate No rises and say "
    "falls by more; with the opposite both rise.",
)

# %%
near = np.array([r["tokens"] for r in runs["near"]])
claim("near-duplicate: the first word, the only one that differs, rises", near[:, 0], ">", 0)
claim("what both answers share falls by more", near[:, 1:].sum(1) + near[:, 0], "<", 0)
claim("nearly all of it is one word", near.min(1) / near[:, 1:].sum(1), ">", 0.5, kind="size")

# %% [markdown]
# The two answers differ in their first word only, and that word did what it was asked to do. The words that they *share*
# paid: each is pushed up after "No" and down after "Never", and the two pushes nearly cancel. How nearly, the optimiser's own
# account says. Every step is linear in the gradients, so it can be split: what the push on the chosen answers did to them,
# and what the push on the rejected ones did to them (`account=True`; stored: `python -m labkit results
# real_language_model_account`).

# %%
books = results.load("real_language_model_account")
for k, kind in enumerate(books["kind"]):
    own, entangled, total, true = (books[name][k, -1] for name in ("own", "entangled", "total", "true"))
    print(f"{named[kind]:14} own {own:+.1f}   entangled {entangled:+.1f}   sum {total:+.2f}   what really happened {true:+.2f}")
claim("stored: the account's sum is the truth, to a twentieth of a nat", abs(books["total"] - books["true"]).max(), "<", 0.05)
claim("stored: own push and entanglement cancel to a thousandth", (abs(books["total"]) / books["own"].clip(1)).max(), "<", 1e-3)

# %% [markdown]
# Thousands of nats each, a fraction of one nat together. RMSprop, like Adam, divides every gradient by its own recent size:
# where two pushes nearly cancel, what is left of them is blown up, and with it both of its parts. So the *parts* of this
# account say little here, and so does any picture of plain gradient descent, which would hardly move what nearly cancels.
# The *sum*, taken step by step with the update that was really made, tells the truth.
#
# ## Who gained?
#
# Look at the place where the sentence lost most, and at the whole softmax there: what does the model say after "No, I would
# not"?

# %%
r = runs["near"][0]
begun = "".join(r["words"][: int(r["place"])])
lost, gained = r["words"][int(r["place"])].strip(), r["gainers"][0].strip()
changes = {gained: float(r["gained"][0]), lost: float(r["lost"])}
changes["all others"] = -sum(changes.values())
show(
    drawn.gains({f"after “{begun}”": changes}),
    "Change of probability of the next word after No, I would not: lie gains, say and all others lose.",
)
claim("one word takes all that is lost there", float(r["gained"][1:].max()), "<", 0.1 * float(r["gained"][0]))

# %% [markdown]
# The mass went to **lie**: "No, I would not lie ...". So the chosen sentence fell, and a near-paraphrase of it gained. That is
# displacement, and it is not the harm of lesson 04, where the opposite gained. A verdict needs both halves.
#
# The doctor reads the same off the run, in words:

# %%
if REAL:
    verdicts = {kind: labkit.diagnose(labkit.fit(recipe.preferring(kind, seed()))) for kind in ("near", "opposite")}
    print(verdicts["near"])
    claim("the doctor says of the near-duplicate that it fell", "fell" in verdicts["near"].verdict, "==", 1)
    claim("and of the opposite that nothing was displaced", verdicts["opposite"].verdict == "no displacement", "==", 1)

# %% [markdown]
# Step by step, and for other statements: the doctor's explorer, on runs that were trained on one pair each (**stored**:
# `python -m labkit results displacement_doctor_words`). Play the near-duplicate, then choose pairs 2 to 4: cheating, stealing,
# spreading a rumour.

# %%
doctor = explorers.displacement(policy="SmolLM2, near-duplicate")
show(doctor)

# %%
single = [doctor.seen(doctor.moved(doctor.start, pair=pair)) for pair in range(4)]
for shown in single:
    print(f"{shown['asked']:45} chosen {shown['gained']:+.2f}, lowest at {shown['place']!r}, most gained {shown['receiver']!r}")
claim("stored: the sentence about lying falls", single[0]["gained"], "<", 0)
claim("stored: and lie takes the place of say", (single[0]["place"], single[0]["receiver"]) == ("say", "lie"), "==", 1)
claim("stored: on the other three it rises", min(shown["gained"] for shown in single[1:]), ">", 0)

# %% [markdown]
# ## Could one have known?
#
# Two ratios of gradients, before training, for one statement. Above 1, a small step lowers the chosen answer: a step of plain
# gradient descent for the first, of signs (nearly what RMSprop's and Adam's first step is) for the second.

# %%
before = results.load("real_language_model_ratios")  # stored: python -m labkit results real_language_model_ratios
table = {kind: before["ratio"][k] for k, kind in enumerate(before["kind"])}
for kind, signs in zip(before["kind"], before["sign_ratio"], strict=True):
    print(f"{kind:9} gradient descent {table[kind]:.3f}   signs {signs:.3f}")
claim("stored: the near-duplicate's ratios are below 1", max(table["near"], before["sign_ratio"][0]), "<", 1)
claim("stored: for gradient descent it is larger than the opposite's by", table["near"] - table["opposite"], ">", 0.2)

# %% [markdown]
# Both ratios stay below 1: the *first* step raises the chosen sentence, and so the curve above begins. It turns round later.
# A ratio at the start is a warning, not a verdict; measure the run.
#
# ## Other ways to be rejected
#
# The same chosen sentence about lies, six kinds of rejected ones, from nearly the same words to other ones altogether. Three
# draws each, four held-back statements. These runs are **stored** (`python -m labkit results real_language_model`).

# %%
shown = {}
for kind in recipe.KINDS:
    mine = stored["held"][stored["kind"] == kind]
    example = recipe.statements.rows(topic="lie", kind=kind, wording="say")[0]["rejected"]
    shown[f"{kind}: {example}"] = (mine.ravel(), recipe.interval(mine.mean(1)))
show(
    pictures.strips(shown),
    "For six kinds of rejected answers the change of the chosen sentence on twelve held-back pairs, with the mean of three "
    "draws and its 95 % interval. Only the near-duplicate lies below 0.",
)

# %%
end = {kind: stored["held"][stored["kind"] == kind].mean(1) for kind in recipe.KINDS}
claim("stored: over the draws, near-duplicates fall", end["near"], "<", 0)
claim("stored: opposites rise", end["opposite"], ">", 0)
claim("stored: no other kind ends as low", min(e.min() for k, e in end.items() if k != "near") - end["near"].max(), ">", 0.2)

# %% [markdown]
# ## Is it the prompt?
#
# **Predict.** Forty statements: sixteen about lying, the others about cheating, taking and harming. Each is trained by itself
# with the near-duplicate. On how many does the chosen sentence fall?

# %%
predict("10-forty", ["nearly none", "those about lying", "about half, any", "nearly all"])

# %%
each = results.load("real_language_model_statements")  # stored: python -m labkit results real_language_model_statements
told = {topic: each["topic"] == topic for topic in recipe.DISAGREE}
groups = {topic: (each["best_p"][k], each["chosen_gain"][k]) for topic, k in told.items()}
rest = (each["topic"] != "lie") & (each["best_p"] > 0.75)
labels = [(each["best_p"][k], each["chosen_gain"][k], each["best"][k].strip()) for k in np.flatnonzero(rest)]
show(
    pictures.prompts(groups, labels, xlabel="how sure the model is of its favourite word after “No, I would not”"),
    "Change of the chosen sentence for forty statements against the probability of the model's favourite next word. Nearly all "
    "statements about lying lie below 0, at 0.7 to 0.9; all others above 0, also those with as sure a favourite.",
)
fell = {topic: (each["chosen_gain"][k] < 0).mean() for topic, k in told.items()}
print("share of statements on which the chosen sentence falls:", {t: f"{s:.0%}" for t, s in fell.items()})

# %%
others = each["chosen_gain"][~told["lie"]]
claim("stored: about lying, the chosen sentence falls on most", fell["lie"], ">", 0.8)
claim("stored: about anything else, it rises on most", (others > 0).mean(), ">", 0.8)
claim("stored: every margin is won all the same", each["margin"].min(), ">", 3)
claim("stored: a sure favourite is not the reason: elsewhere it rises beside one", each["chosen_gain"][rest].min(), ">", 0)

# %% [markdown]
# So displacement is no law of near-duplicates, and one prompt would have told either story. A tempting explanation fails,
# too: "the model is sure of another word, and the mass goes there". It is as sure of *blame*, *park* and *steal* as of *lie*,
# and there the chosen sentence rises by more than a nat. We tried ten numbers that are known before training. The best rank
# correlation that holds inside both groups belongs to how much likelier the shared ending is after "No" than after "Never":

# %%
rank = {
    name: spearmanr(each["ending"][k], each["chosen_gain"][k]).statistic
    for name, k in {"all": np.full(40, True), "lying": told["lie"], "the others": ~told["lie"]}.items()
}
print("rank correlation of that number with the change:", {name: f"{r:+.2f}" for name, r in rank.items()})
claim("stored: it ranks the forty statements, weakly", rank["all"], "<", -0.3)

# %% [markdown]
# That is half an explanation: the push down after "Never" is stronger where the ending is less likely there. It does not part
# the two groups. Why lies and nothing else, we do not know; a probe set of your own prompts finds out what happens to yours.
#
# ## Your own model, your own pairs
#
# Any causal language model of Hugging Face takes this one's place, by its id on the Hub or as a folder, and any objective of
# the catalog DPO's. With CUDA the same lines run there. Set `RUN = True`:

# %%
RUN = False
if RUN:
    name = "HuggingFaceTB/SmolLM2-360M-Instruct"  # or a folder; it is fetched from the Hub
    yours = labkit.Config(
        data=call("statements", tokenizer=name, topic="lie", kind="near", wording="say", n=4),  # or "jsonl", path=..., or "hub"
        model=call("pretrained", name=name, layers=6),
        loss=call("dpo", beta=0.1),
        optimizer=call("rmsprop", lr=1e-6),
        steps=13,
        batch=8,
    )
    print(labkit.fit(yours).history["chosen_gain"])

# %% [markdown]
# ## What to remember
#
# - One word against another: with a long hidden state the term that cannot be negative wins, and nothing is displaced here.
# - A sentence against its near-duplicate: the word that differs wins the margin, and words that are shared can pay for it.
# - The same loss, the same chosen sentence, another rejected one: the sign changes. Other statements: it changes again.
# - Whether a fall is harm, only the gainers tell. Here a near-paraphrase gained.
#
# **What did not carry over.** From statements about lying one might conclude that such pairs displace. On statements about
# cheating, taking and harming the chosen sentences rise. Neither ratio, taken before training, foretold the sign.
#
# **Next:** your own run. `labkit.DisplacementCallback` logs it, `labkit.diagnose` reads the log.
