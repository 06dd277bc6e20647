"""Classes: do neighbours and a linear map tell them, how far apart do they lie, and which of them stray."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from labkit.metrics import Estimate
from labkit.metrics.classes import within
from labkit.report.meters.labelled import Labelled, labelled
from labkit.report.meters.members import Members, Moments
from labkit.report.meters.probing import ENOUGH, FEW, probed
from labkit.report.meters.shares import about, share
from labkit.report.meters.voting import Votes
from labkit.report.pieces import Measured, Missing, Null, Number, Sample, card

card(
    "tolerance",
    "tolerance",
    "classes",
    means="the mean cosine of two rows of one class: 1 when every class is a point",
    implies_not="high where everything is near everything: read it beside the mean cosine of any two rows, which is its floor",
    sources=("2012.09740",),
)
card(
    "class_separation",
    "between-class share of the variance",
    "classes",
    unit="of the variance",
    means="how much of the spread of the unit rows is spread of the classes' centres; the rest is inside the classes",
    implies_not="a small share does not mean that classes cannot be told: a few directions suffice, the others count as spread",
    sources=("pearson1905",),
)
card(
    "neural_collapse",
    "within over between (NC1)",
    "classes",
    means="how wide classes are along the directions in which their centres differ: 0 when every class is one point",
    implies_not="small is what long training on these labels does, no sign that the features serve other labels",
    sources=("2008.08186",),
)
card(
    "knn_accuracy",
    "kNN accuracy",
    "classes",
    unit="of the rows",
    means="the share of rows whose class their nearest other rows vote for (rows of one group never vote for each other)",
    implies_not="high is not learned: random features score high too (0.96 on the digits); what counts is the untrained row",
    sources=("1805.01978",),
)
card(
    "linear_probe",
    "linear probe",
    "classes",
    unit="of held-back rows",
    means="the share of rows that a linear discriminant of unit rows gets right, fitted on one half, judged on the other",
    implies_not="neither rank nor uniformity orders it; and it is no logistic regression: compare probes of one kind only",
    sources=("1610.01644", "ledoit2004"),
)
card(
    "few_label_probe",
    "few-label probe",
    "classes",
    unit="of held-back rows",
    means=f"the same probe given {FEW} labels of each class: what lies at hand, not what many labels can dig out",
    implies_not="need not order models as the full probe does; and it is about these labels, no others",
    sources=("1610.01644", "ledoit2004"),
)
card(
    "class_cosine",
    "mean cosine within the class",
    "classes",
    means="how close two rows of this class are; beside it any two rows, and the class nearest to this one",
    implies_not="a wide class is not a bad one: it may hold subclasses, which a single mean cosine cannot show",
    sources=("2012.09740",),
)
card(
    "class_recall",
    "kNN recall of the class",
    "classes",
    unit="of its rows",
    means="the share of this class's rows that their neighbours put into it",
    implies_not="low for a small class whatever the features are, since it is outvoted: read it beside permuted labels",
    sources=("1805.01978",),
)
WHOLE = ("tolerance", "class_separation", "neural_collapse", "knn_accuracy", "linear_probe", "few_label_probe")
EACH = ("class_cosine", "class_recall")
SLOW = 10  # halves for what is slow
COLLAPSING = 16  # rows of a class, on average, from which its centre is more than noise
SHOWN = 30  # classes with numbers of their own
LEAST = 8  # rows of such a class
Found = dict[str, Estimate | None]  # "z1" and the nulls, by name; None where too few halves say something


def measure(sample: Sample) -> Measured:
    """Numbers of the whole, then two for each of the largest classes; beside permuted labels, the largest class, others."""
    told = labelled(sample)
    if isinstance(told, str):
        return Measured(missing=tuple(Missing(meter, told) for meter in (*WHOLE, *EACH)))
    votes = {name: Votes(told, cloud, told.y, None if name == "z1" else SLOW) for name, cloud in told.clouds.items()}
    votes["permuted labels"] = votes["z1"].again(told.permuted)
    moments = spread(told)
    found = {
        "tolerance": {name: values(*read["tolerance"]) for name, read in moments.items() if "tolerance" in read},
        "class_separation": {name: values(*read["between"]) for name, read in moments.items() if "between" in read},
        "neural_collapse": collapse(told),
        "knn_accuracy": {name: vote.accuracy() for name, vote in votes.items()} | largest(told),
        "linear_probe": probes(told, few=False) | largest(told),
        "few_label_probe": probes(told, few=True),
    }
    said = {meter: {name: e for name, e in estimates.items() if e is not None} for meter, estimates in found.items()}
    there = [meter for meter in said if {"z1", "permuted labels"} <= set(said[meter])]
    numbers = [number(told, meter, said[meter]) for meter in there]
    missing = [Missing(meter, needed(told, meter)) for meter in said if meter not in there]
    more, lacking, arrays = one_by_one(told, votes, moments)
    return Measured((*numbers, *more), (*missing, *lacking), arrays)


def spread(told: Labelled) -> dict[str, dict[str, tuple[Tensor, Tensor]]]:
    """What the sums of the classes say, of z1, of the nulls, and of any two rows; on all rows and on the halves."""

    def read(cloud: str, y: Tensor, **meters: Callable[[Moments], Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
        drawn = told.drawn if cloud == "z1" and y is told.y else told.drawn[:SLOW]
        return Members(told.clouds[cloud].points, y, told.groups, int(y.max()) + 1).read(drawn, meters)

    both = {"tolerance": Moments.tolerance, "between": Moments.between}
    across = Members(told.clouds["z1"].points, told.y, told.groups, len(told.names)).of(torch.arange(len(told.y))).across()
    nearest = across.argmax(1)
    found = {name: read(name, told.y, **both) for name in told.clouds if name != "z1"}
    found["z1"] = read("z1", told.y, **both, cosines=Moments.cosines, towards=lambda m: m.towards(nearest))
    found["z1"] |= {"across": (across, across[:0])}
    any_two = read("z1", torch.zeros_like(told.y), tolerance=Moments.tolerance)
    return found | {"permuted labels": any_two | read("z1", told.permuted, between=Moments.between)}


def values(value: Tensor, drawn: Tensor) -> Estimate | None:
    return about(value.item(), drawn.tolist())


def largest(told: Labelled) -> Found:
    """The share of the largest class: what is right without looking."""
    right = (told.y == told.sizes.argmax()).double()
    return {"largest class": share(right.mean().item(), [right[rows].mean().item() for rows in told.drawn], len(right))}


def collapse(told: Labelled) -> Found:
    """NC1 of z1, of permuted labels and of untrained rows, where classes have rows enough."""
    if len(told.y) < COLLAPSING * len(told.names):
        return {}
    of = {"z1": ("z1", told.y), "permuted labels": ("z1", told.permuted)} | {
        name: (name, told.y) for name in told.clouds if name == "untrained"
    }
    found = {}
    for name, (cloud, y) in of.items():
        members = Members(told.clouds[cloud].points, y, told.groups, len(told.names))
        rows = [torch.arange(len(y)), *told.drawn[:SLOW]]
        value, *drawn = (within(members.points, y, (m := members.of(some)).sums, m.sizes, some) for some in rows)
        found[name] = values(value, torch.stack(drawn))
    return found


def probes(told: Labelled, *, few: bool) -> Found:
    """The probe of z1, with its own labels and permuted ones, and of untrained rows."""
    if few and int((told.sizes >= ENOUGH).sum()) < 2:
        return {}
    found = {name: probed(told, cloud.points, told.y, few=few) for name, cloud in told.clouds.items() if name != "isotropic"}
    return found | {"permuted labels": probed(told, told.clouds["z1"].points, told.permuted, few=few, draws=0)}


def needed(told: Labelled, meter: str) -> str:
    """Why a meter said nothing."""
    if meter == "few_label_probe":
        return f"two classes of at least {ENOUGH} rows in the sample" + (
            ", in several groups" if told.units == "groups" else ""
        )
    if meter == "neural_collapse":
        return f"at least {COLLAPSING} rows of a class on average, got {len(told.y) / len(told.names):.1f}"
    return f"more {told.units} of every class: half of the sample has no two of one class"


def number(told: Labelled, meter: str, found: dict[str, Estimate]) -> Number:
    """With its nulls in order: labels that mean nothing first."""
    n, d = told.clouds["isotropic"].points.shape
    voters = f", k = {told.k}" if meter == "knn_accuracy" else ""
    what = "any two rows" if meter == "tolerance" else f"the same {len(told.names):,} classes on the wrong {told.units}"
    words = {
        "permuted labels": f"{what}, n = {n:,}{voters}",
        "largest class": f"always {told.names[int(told.sizes.argmax())]}",
        "isotropic": f"random directions, n = {n:,}, d = {d:,}",
        "untrained": "the same inputs before training",
    }
    nulls = tuple(Null(name, says, found[name]) for name, says in words.items() if name in found)
    return Number(meter, "z1", found["z1"], n, nulls)


def one_by_one(
    told: Labelled, votes: dict[str, Votes], moments: dict
) -> tuple[list[Number], list[Missing], dict[str, np.ndarray]]:
    """Mean cosine and recall of each of the classes with most rows; of all of them in arrays."""
    order = told.sizes.argsort(descending=True, stable=True)
    numbers = [one for c in order[:SHOWN].tolist() if told.spread[c] >= LEAST for one in of_class(told, c, votes, moments)]
    recall, (across, _) = votes["z1"].recall()[0], moments["z1"]["across"]
    top = order[:SHOWN]
    arrays = {
        "classes.name": np.array(told.names),
        "classes.n": told.sizes.numpy(),
        "classes.cosine": moments["z1"]["cosines"][0].numpy(),
        "classes.recall": recall.numpy(),
        "classes.nearest": across.argmax(1).numpy(),
        "classes.shown": top.numpy(),
        "classes.confusion": votes["z1"].confusion()[top][:, top].numpy(),
        "classes.across": across[top][:, top].fill_diagonal_(0).add(moments["z1"]["cosines"][0][top].diag()).numpy(),
    }
    return numbers, left_out(told, len({one.of for one in numbers})), arrays


def of_class(told: Labelled, c: int, votes: dict[str, Votes], moments: dict) -> Iterator[Number]:
    """Its mean cosine, beside any two rows and beside the class nearest to it; its recall, beside permuted labels."""
    of, n, z1 = f"z1, class {told.names[c]}", int(told.sizes[c]), moments["z1"]
    near = told.names[int(z1["across"][0][c].argmax())]
    cosine, any_two, nearest = (
        column(z1["cosines"], c),
        values(*moments["permuted labels"]["tolerance"]),
        column(z1["towards"], c),
    )
    if cosine and any_two:
        nulls = [Null("permuted labels", f"any two rows, n = {len(told.y):,}", any_two)]
        nulls += [Null("nearest class", f"its rows and those of {near}", nearest)] if nearest else []
        yield Number("class_cosine", of, cosine, n, tuple(nulls))
    recall, lots = (column(votes[name].recall(), c, n) for name in ("z1", "permuted labels"))
    if recall and lots:
        null = Null("permuted labels", f"classes of these sizes on the wrong {told.units}, k = {told.k}", lots)
        yield Number("class_recall", of, recall, n, (null,))


def column(found: tuple[Tensor, Tensor], c: int, n: int = 0) -> Estimate | None:
    """The value of one class; a share where n is given."""
    value, drawn = found[0][c].item(), found[1][:, c].tolist()
    return share(value, drawn, n) if n else about(value, drawn)


def left_out(told: Labelled, shown: int) -> list[Missing]:
    """Classes without numbers, and why."""
    found, others = list[Missing](), len(told.names) - shown
    if others:
        why = f"{LEAST} {told.units} of a class that is among the {SHOWN} largest: {others} of {len(told.names)} are left out"
        found += [Missing(meter, why) for meter in EACH]
    if told.left_out:
        what = "rows in a single group" if told.units == "groups" else "a single row"
        found.append(
            Missing(
                "knn_accuracy", f"two {told.units} of every class: {told.left_out} with {what} are left out of this section"
            )
        )
    return found
