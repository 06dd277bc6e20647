# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Capstone: a small study
#
# You ask a question, say what you expect, run, and find out. What makes it a study and no demonstration: it could have come out
# the other way, you said beforehand how, and a reader can tell how sure you are.
#
# This notebook runs as it stands, on a worked example about digits. **Replace the example with your own study, part by part.** A
# checklist runs at the end: ten things that a study needs before anybody should believe it, each with what to do if it is
# missing.
#
# **You will be able to** turn a question into runs whose outcome was open; claim no more than they carry; and name what could
# still be wrong. **Before:** two of the assignments. **Work:** two weeks, about twelve hours (an estimate, not timed).
# **Hand in** this notebook *and* `results.json`, which it writes.
#
# | part | | points |
# |---|---|---|
# | 1 the question, and why it is one | text, read by a person | 4 |
# | 2 to 6 the study | the checklist, one point for each of ten things | 10 |
# | 7 what it means | one page of text, read by a person | 16 |
#
# Ideas: does a loss of lesson 12 keep what its paper claims, at our scale? Which augmentation does the temperature need? Does the
# gradient ratio foretell displacement with another optimiser, another learning rate? How few negatives are enough? Small is
# good: three conditions and three seeds, answered well.

# %% nbgrader={"grade": false, "grade_id": "setup", "locked": true, "schema_version": 3, "solution": false, "task": false}
try:
    import labkit
except ModuleNotFoundError:
    raise SystemExit("labkit is missing here: install it as your course says, then restart the kernel") from None

# %% nbgrader={"grade": false, "grade_id": "given", "locked": true, "schema_version": 3, "solution": false, "task": false}
import json
import os
from pathlib import Path

from labkit import grading

VARIANT = "practice"
given = grading.given("capstone", VARIANT)
FILE = Path(os.environ.get("LABKIT_STUDY", "results.json"))  # the log of your study: hand it in with this notebook

# %% [markdown]
# ## 1. The question
#
# One sentence, with what is compared, on which data, and how it is measured. Then your prediction, with a number that could turn
# out wrong. Write it *before* you run anything: the log below notes when, and a prediction that changes after the first run is
# kept beside the first one.

# %%
QUESTION = "Does contrastive training without labels help to classify digits when only two labels per digit are known?"
PREDICTION = "Yes: from about 60 % of test images right with an untrained network to 75 % or more; under 70 % I was wrong."

# %% tags=["demo"]
from labkit.grading.capstone import Study

study = Study(FILE)
study.predict(PREDICTION)

# %% [markdown]
# **Why is it a question?** In the next cell: what would you do differently, depending on the answer? Why is the answer not known
# already, from a theorem or from a lesson? What outcome would surprise you, and why is your prediction not a bet on both sides?
# About ten lines.

# %% [markdown] nbgrader={"grade": true, "grade_id": "why", "locked": false, "points": 4, "schema_version": 3, "solution": true, "task": false}
# ### BEGIN SOLUTION
# Labels are what costs. If training without them did not help, I would spend the time on labelling instead. No theorem says that
# it helps: a lookup table reaches the same loss and knows nothing (lesson 01), so the answer depends on what this network finds
# easy. The untrained network is the opponent to take seriously: on digits a random projection keeps much. I would be surprised by
# a fall, because the augmentations leave the digit readable. Below 70 % I was wrong, and 60 % (untrained) would mean no help at all.
# ### END SOLUTION

# %% [markdown]
# ## 2. The plan
#
# Conditions, seeds, the number you will look at, what guessing gives, and the baseline to beat. Your first seed belongs to your
# variant; three are the least. Decide now how many steps and which metric: choosing later is choosing the answer.

# %%
SEEDS = [given.seed + k for k in range(3)]
METRIC, UNIT, CHANCE, RANGE = "accuracy", "share of test images", 0.1, (0.0, 1.0)  # of a probe on two labels a digit
BASELINE = "untrained"
STEPS = {"untrained": 0, "trained": 60}  # the only thing in which the conditions differ

# %% [markdown]
# ## 3. The runs
#
# `study.run` trains with `labkit.fit` and notes the run's name (a hash of everything that decides its numbers), its settings, its
# seed and its date. For a loop of your own there is `study.ran(condition, seed=..., values=[...])`. Cells tagged `demo`, as this
# one, are yours to run; the grader reads `results.json` instead.

# %% tags=["demo"]
from labkit import call, metrics
from labkit.training import Config

base = Config(
    data=call("digits"),
    model=call("mlp"),
    loss=call("nt_xent", temperature=0.5),
    augment=call("digits"),
    optimizer=call("adamw", lr=2e-3),
)
runs = {name: [study.run(base.replace(steps=steps, seed=seed), name) for seed in SEEDS] for name, steps in STEPS.items()}

# %% tags=["demo"]
test = labkit.data.load("digits", split="test")


def accuracy(run):
    """Of a linear probe on two labels of each digit, drawn five times."""
    train = run.data
    return metrics.few_label_probe(run.embed(train.x), train.y, run.embed(test.x), test.y, per_class=2, seed=run.config.seed)


found = {name: [float(accuracy(run)) for run in each] for name, each in runs.items()}
study.measure(METRIC, found, unit=UNIT, chance=CHANCE, baseline=BASELINE, range=RANGE)

# %% [markdown]
# ## 4. The figure
#
# Every seed is a point. Both axes say what they show and in which unit, in brackets. Chance and the baseline are drawn, because a
# number alone is neither high nor low. The words beside it are for those who cannot see it, and they are tested too.

# %% tags=["demo"]
from labkit import show
from labkit.figures.theme import BLUE, INK, MUTED, ORANGE, canvas

figure, ax = canvas(width=7.2, height=4.4)
for k, ((name, values), color) in enumerate(zip(found.items(), (ORANGE, BLUE), strict=False)):
    ax.scatter([k] * len(values), values, color=color, s=60, label=name, zorder=3)
levels = {f"{BASELINE}, mean": (sum(found[BASELINE]) / len(SEEDS), ORANGE), "chance": (CHANCE, MUTED)}
for name, (level, color) in levels.items():
    ax.axhline(level, color=color, linestyle="--", linewidth=1.4)
    ax.text(0.5, level + 0.015, name, color=INK, ha="center")
ax.set_xticks(range(len(found)), [f"{name}\n{steps} steps" for name, steps in STEPS.items()])
ax.set(xlim=(-0.6, len(found) - 0.4), ylim=(0, 1), xlabel="condition (steps of training)", ylabel=f"{METRIC} ({UNIT})")
words = "Accuracy with 20 labels, one point for each of three seeds: the trained networks lie well above the untrained ones."
show(study.figure(figure, words), words)

# %% [markdown]
# ## 5. The claims
#
# A claim is a sentence with a number that could fail. Give one value for each seed: every seed has to pass, and the mean has to
# lie two standard deviations from the bound. And say what the number would be if nothing were going on (`null`): there the claim
# must be false. "Accuracy is above 0" holds for a coin.

# %% tags=["demo"]
from labkit import claim
from labkit.lessons import CLAIMS

gain = [after - before for before, after in zip(found["untrained"], found["trained"], strict=True)]
claim("training without labels gains more than 5 points of accuracy", gain, ">", 0.05)
claim("the untrained network is far above chance", found["untrained"], ">", 0.25)
study.claims(
    CLAIMS[-2:],
    null={
        "training without labels gains more than 5 points of accuracy": 0.0,
        "the untrained network is far above chance": CHANCE,
    },
)

# %% [markdown]
# Seeds tell how much the answer depends on the run; an interval tells how much it depends on which images happened to be in the
# test set. You need both.

# %% tags=["demo"]
run = runs["trained"][0]
z, y = run.embed(run.data.x), run.data.y
known = metrics.few_labels(y, 2, seed=run.config.seed)


def right(test_z, test_y):
    return metrics.linear_probe(z[known], y[known], test_z, test_y)


estimate = metrics.interval(right, run.embed(test.x), test.y, draws=50)
study.interval(f"{METRIC}, trained, first seed", estimate, len(test.y))
print(estimate)

# %% [markdown]
# ## 6. The checklist
#
# What could make your conclusion wrong although every number is right? Three things or more, each in a sentence that says what you
# did about it, or why you could not. Then run the checklist.

# %% nbgrader={"grade": false, "grade_id": "checklist", "locked": false, "schema_version": 3, "solution": true, "task": false}
THREATS = []
### BEGIN SOLUTION
THREATS = [
    "One data set of small, centred digits: natural images might give another answer, and none was tried.",
    "The probe is linear; a nearest-neighbour vote could rank the two conditions differently, and I looked at one metric only.",
    "Sixty steps are few: the gain is a lower bound of what training gives, and its size should not be quoted as if it were final.",
]
### END SOLUTION
checklist = json.loads(FILE.read_text()) | {"question": QUESTION, "threats": THREATS}

# %% nbgrader={"grade": true, "grade_id": "check_capstone_checklist", "locked": true, "points": 10, "schema_version": 3, "solution": false, "task": false}
grading.check("capstone.checklist", checklist)

# %% [markdown]
# ## 7. What it means
#
# One page: your question and answer in the first two sentences; how the runs carry it, with numbers, seeds and intervals; what you
# predicted and where you were wrong; what the strongest threat could change; what one more week would be best spent on. Your
# reader has not seen this notebook.

# %% [markdown] nbgrader={"grade": true, "grade_id": "conclusion", "locked": false, "points": 16, "schema_version": 3, "solution": true, "task": false}
# ### BEGIN SOLUTION
# Training without labels helps when labels are scarce: on handwritten digits, sixty steps of NT-Xent raise the accuracy of a
# linear probe on twenty labels clearly above that of the same network untrained, for each of three seeds. The untrained network is
# no straw man; it is several times better than chance, because a random projection keeps most of what a picture shows.
#
# I had predicted 75 % or more, from 60 %. The starting point was right, and the trained networks came out above 80 %: I had taken
# the augmentations for less harmless than they are. The strongest threat is the single data set: digits are centred and clean,
# which is what makes the augmentations harmless and the random projection good. On photographs both could differ. One more week I
# would spend on a second data set and on the number of labels: the gain should shrink as labels are added, and where it
# vanishes is the number a practitioner wants.
# ### END SOLUTION

# %% [markdown]
# **Before you hand in:** *Kernel → Restart Kernel and Run All Cells*, then *Validate*. Hand in the notebook and `results.json`.
