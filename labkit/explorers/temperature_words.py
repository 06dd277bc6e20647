"""What the temperature explorer says of a change."""

from labkit.explorers.core import Sentence
from labkit.explorers.weighing import SEEDS_SD

SAME = "{before.push_same:.1%} → {after.push_same:.1%}"
NEAR = "{before.push_near:.1%} → {after.push_near:.1%}"
CLOSE = "same-class cosine {before.same_class:.3f} → {after.same_class:.3f}"
SEEDS = f"another seed alone may change that by {SEEDS_SD:g}"
WEIGHED = "{after.whose}, weighed at {after.temperature:g} instead of {before.temperature:g}: no point moved"
TRAINED = "Another model, trained at {after.trained:g} instead of {before.trained:g}"
OTHER = "Another model, trained with {after.loss_name} instead of {before.loss_name}"
EVEN = "of an anchor's push falls on its own class, which is {after.even:.0%} of those it can push."
SPAN = "Of the push the nearest twentieth gets {after.span_told}: that is where it goes, not which temperature learns best."
AGAIN, ANEW, OWN = {"mode": "re-weigh"}, {"mode": "re-train"}, {"data": "yours"}
TOLD = {"loss": "sup_con"}  # the classes

SENTENCES = (
    Sentence(
        f"{WEIGHED}. The own class are positives here; whoever of them takes more than an even share is pushed back: {SAME} of "
        f"the push, and {NEAR} falls on the nearest twentieth.",
        changed="temperature",
        when=AGAIN | TOLD,
    ),
    Sentence(
        f"{WEIGHED}, but small differences of cosine now count for more, and the push gathers on the nearest: {NEAR} on the "
        f"nearest twentieth, {SAME} on the own class.",
        changed="temperature",
        when=AGAIN,
        falls="temperature",
        rises="push_near",
    ),
    Sentence(
        f"{WEIGHED}, but small differences of cosine now count for less, and the push spreads out: {NEAR} on the nearest "
        f"twentieth, {SAME} on the own class.",
        changed="temperature",
        when=AGAIN,
        rises="temperature",
        falls="push_near",
    ),
    Sentence(
        f"{WEIGHED}. {NEAR} of the push on the nearest twentieth, {SAME} on the own class.", changed="temperature", when=AGAIN
    ),
    Sentence(
        f"{TRAINED} and told the classes: its own class is pulled in, and pushed back only where one takes more than an even "
        f"share: {SAME} of the push; {CLOSE}.",
        changed="temperature",
        when=ANEW | TOLD,
    ),
    Sentence(
        f"{TRAINED}: its classes spread out, {CLOSE}. {SAME} of its push falls on the own class.",
        changed="temperature",
        rises="apart",
        falls="closer",
    ),
    Sentence(
        f"{TRAINED}: its classes draw together, {CLOSE}. {SAME} of its push falls on the own class.",
        changed="temperature",
        rises="closer",
        falls="apart",
    ),
    *(
        Sentence(
            f"{TRAINED}: {CLOSE}, and {SEEDS}. {SAME} of its push falls on the own class.",
            changed="temperature",
            rises=up,
            falls=down,
        )
        for up, down in (("closer", ""), ("", "closer"), ("apart", ""), ("", "apart"))
    ),
    Sentence(
        f"{TRAINED}: its classes hardly move, {CLOSE}, and {SEEDS}. {SAME} of its push falls on the own class.",
        changed="temperature",
    ),
    Sentence(
        "Re-weigh: the model trained at {after.trained:g} stays, and no point moves. The slider now only changes how the push "
        "is shared out.",
        changed="mode",
        when=AGAIN,
    ),
    Sentence(
        "Re-train: every temperature is another model, really trained with it; this one at {after.trained:g}.", changed="mode"
    ),
    Sentence(
        f"{TRAINED}, and weighed at the same {{after.temperature:g}}: {SAME} of its push on the own class; {CLOSE}.",
        changed="trained",
    ),
    Sentence(
        "{after.whose}, under {after.loss_name} instead of {before.loss_name}: no point moved; "
        f"{SAME} of the push on the own class.",
        changed="loss",
        when=OWN,
    ),
    Sentence(
        f"{OTHER}, which is told the classes: they are positives, no longer negatives. {SAME} of its push on the own class; "
        f"{CLOSE}.",
        changed="loss",
        when=TOLD,
    ),
    Sentence(f"{OTHER}: {SAME} of its push on the own class; {CLOSE}.", changed="loss"),
    Sentence(
        "Another anchor, of class {after.anchor_class}: {after.anchor_same:.0%} of its push falls on its own class, "
        "{after.push_same:.0%} on average over all anchors.",
        changed="anchor",
    ),
    Sentence(
        f"{{after.whose}}, weighed at {{after.temperature:g}} with {{after.loss_name}}: {{after.push_same:.0%}} {EVEN} {SPAN}",
        when=OWN,
    ),
    Sentence(
        "{after.loss_name} on the {after.data} data, trained at {after.trained:g}, weighed at {after.temperature:g}: "
        f"{{after.push_same:.0%}} {EVEN}"
    ),
)

UNTOLD = (  # of embeddings without classes
    Sentence(
        f"{WEIGHED}, but small differences of cosine now count for more, and the push gathers on the nearest: {NEAR} on the "
        "nearest twentieth.",
        changed="temperature",
        falls="temperature",
        rises="push_near",
    ),
    Sentence(
        f"{WEIGHED}, but small differences of cosine now count for less, and the push spreads out: {NEAR} on the nearest "
        "twentieth.",
        changed="temperature",
        rises="temperature",
        falls="push_near",
    ),
    Sentence(f"{WEIGHED}. {NEAR} of the push on the nearest twentieth.", changed="temperature"),
    Sentence(
        "{after.whose}, under {after.loss_name} instead of {before.loss_name}: no point moved; "
        f"{NEAR} of the push on the nearest twentieth.",
        changed="loss",
    ),
    Sentence(
        "Another anchor; over all anchors {after.push_near:.0%} of the push falls on the nearest twentieth.", changed="anchor"
    ),
    Sentence(
        "{after.whose}, weighed at {after.temperature:g} with {after.loss_name}: {after.push_near:.0%} of the push falls on "
        f"the nearest twentieth. {SPAN} With labels it is told how much of it falls on the own class."
    ),
)
