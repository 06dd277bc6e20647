"""Losses of one name in several libraries: their numbers are stored, ours is computed, and a rule leads from ours to theirs.

The numbers come from other people's code (`tests/oracles/regenerate_names.py`); nobody's code is imported here.
"""

import functools
import json
from typing import Any, NamedTuple

import torch

from labkit import losses
from labkit.paths import shipped
from labkit.recipes import same_name_rules as rules
from labkit.recipes.same_name_rules import Rule, X


class Bridge(NamedTuple):
    """What one library does differently, the rule that leads there from our loss, and the rule carried out."""

    why: str
    rule: str
    fn: Rule


class Name(NamedTuple):
    """A name, what we compute under it, and what each library does."""

    call: str
    ours: Rule
    bridges: dict[str, Bridge]


class Row(NamedTuple):
    """One library's number and ours, before and after the rule."""

    library: str
    value: float
    bridged: float
    why: str
    rule: str
    source: str
    function: str


# ------------------------------------------------------------------ the names

SAME = "the same"
PML, ST = "pytorch-metric-learning", "sentence-transformers"
BASE = "multiplies by temperature / base_temperature, and the base stays 0.07"


def equal(ours: Rule, why: str = "computes what we compute") -> Bridge:
    return Bridge(why, SAME, ours)


def factor(ours: Rule, by: float, why: str, rule: str) -> Bridge:
    return Bridge(why, rule, lambda x: by * ours(x))


NAMES: dict[str, Name] = {
    "NT-Xent": Name(
        "nt_xent(z1, z2, temperature=0.1)",
        rules.nt_xent(0.1),
        {
            "lightly": equal(rules.nt_xent(0.1)),
            "SupContrast": factor(rules.nt_xent(0.1), 0.1 / 0.07, BASE, "× 0.1 / 0.07"),
            "lightly, as it comes": Bridge("its default temperature is 0.5", "temperature 0.5", rules.nt_xent(0.5)),
            f"{PML}, as it comes": Bridge("its default temperature is 0.07", "temperature 0.07", rules.nt_xent(0.07)),
        },
    ),
    "InfoNCE": Name(
        "info_nce(z1, z2, temperature=0.1)",
        rules.info_nce(0.1),
        {
            "info-nce-pytorch": equal(rules.info_nce(0.1)),
            f"{ST}, as it comes": Bridge("scale=20 is one over the temperature", "temperature 1 / 20", rules.info_nce(0.05)),
            "MoCo v3": factor(rules.info_nce(0.1), 0.2, "multiplies by 2 T, against the 1 / T in the gradient", "× 2 × 0.1"),
            PML: Bridge(
                "its NTXentLoss, which it calls InfoNCE too, also compares within a view and both ways",
                "nt_xent at the same temperature",
                rules.nt_xent(0.1),
            ),
        },
    ),
    "SupCon": Name(
        "sup_con(z, labels, temperature=0.1), two views",
        rules.sup_con,
        {
            PML: equal(rules.sup_con),
            "SupContrast": factor(rules.sup_con, 0.1 / 0.07, BASE, "× 0.1 / 0.07"),
            f"{PML}, NTXentLoss": Bridge(
                "with labels, each positive is compared with itself and the negatives, not with other positives",
                "own partition for each pair, mean over pairs",
                rules.own_partition,
            ),
        },
    ),
    "SupCon, a class of one": Name(
        "sup_con(z1, labels, temperature=0.1), one view",
        rules.lonely,
        {
            PML: Bridge(
                "its reducer leaves out losses of 0: anchors without positives",
                "÷ 7 anchors, not 8",
                rules.of_those_with_positives,
            ),
            "SupContrast": factor(rules.lonely, 0.1 / 0.07, f"counts the lonely anchor as 0, as we do; {BASE}", "× 0.1 / 0.07"),
        },
    ),
    "CLIP": Name(
        "clip_loss(a, b, temperature=0.07)",
        rules.clip(0.07),
        {
            "open_clip, unit rows": equal(rules.clip(0.07)),
            "open_clip, rows as given": Bridge("normalising is the caller's duty", "dot products, no cosines", rules.as_given),
            f"{ST}, both directions": Bridge("scale=20 is one over the temperature", "temperature 1 / 20", rules.clip(0.05)),
            f"{ST}, joint": Bridge(
                "one softmax over both directions: the positive is in it twice",
                "one partition over 2 n, 1 / 20",
                rules.joint,
            ),
        },
    ),
    "DCL": Name(
        "dcl(z1, z2, temperature=0.1)",
        rules.dcl,
        {
            "lightly": equal(rules.dcl),
            "raminnakhli": Bridge(
                "one direction, and it does not normalise (we did)",
                "anchors of z1 only",
                rules.first_view(losses.dcl),
            ),
            "chingyaoc/DCL": Bridge(
                "another paper: there DCL is debiased, here decoupled",
                "debiased(tau_plus=0.1)",
                rules.debiased,
            ),
        },
    ),
    "DCLW": Name(
        "dclw(z1, z2, temperature=0.1)",
        rules.dclw,
        {
            "lightly": equal(rules.dclw),
            "raminnakhli": Bridge("one direction, on unit rows", "anchors of z1 only", rules.first_view(losses.dclw)),
        },
    ),
    "DCLW, its gradient": Name(
        "length of dclw's gradient in z1",
        rules.dclw_slope,
        {
            "lightly": equal(rules.dclw_slope, "takes the weights as constants"),
            "raminnakhli": Bridge(
                "both ways its value is the same, but the weights take part in the gradient",
                "gradient through the weights",
                lambda x: rules.slope(rules.weighted, x),
            ),
        },
    ),
    "align + uniform": Name(
        "align_uniform(z1, z2), t = 2",
        rules.align_uniform(2),
        {
            "align_uniform": equal(rules.align_uniform(2)),
            "lightly, as it comes": Bridge("its HypersphereLoss has t = 1, the paper t = 2", "t = 1", rules.align_uniform(1)),
        },
    ),
    "cDPO": Name(
        "dpo(..., label_smoothing=0.1)",
        rules.dpo(0.1),
        {
            "direct-preference-optimization": equal(rules.dpo(0.1)),
            "TRL 0.11": equal(rules.dpo(0.1)),
            "TRL 1.16": Bridge("its sigmoid loss no longer reads label_smoothing", "label_smoothing 0", rules.dpo(0.0)),
        },
    ),
    "IPO": Name(
        "ipo(...), beta = 0.1",
        rules.ipo,
        {
            "direct-preference-optimization": equal(rules.ipo, "sums over tokens, as the paper"),
            "TRL 1.16": Bridge(
                "divides each log-ratio by its answer's length",
                "length-normalised",
                rules.ipo_norm,
            ),
        },
    ),
    "SimPO": Name(
        "simpo(..., beta=2, gamma=1)",
        rules.simpo(1.0),
        {
            "TRL 1.16, cpo_alpha=0": equal(rules.simpo(1.0), "simpo_gamma is our gamma"),
            "princeton-nlp/SimPO": Bridge("gamma_beta_ratio=1 is gamma / beta", "gamma = beta × 1", rules.simpo(2.0)),
            "TRL 1.16, as it comes": Bridge(
                "cpo_alpha=1 adds the imitation of CPO",
                "+ mean over tokens of −log p",
                rules.with_imitation(rules.simpo(1.0)),
            ),
        },
    ),
    "CPO": Name(
        "cpo(..., beta=0.1, sft=1)",
        rules.cpo(1.0),
        {
            "TRL 1.16": Bridge(
                "imitates per token of the batch; the paper per answer",
                "imitation per token",
                rules.with_imitation(rules.cpo(0.0)),
            ),
        },
    ),
    "RPO": Name(
        "rpo(..., beta=0.1, eta=0.5)",
        rules.rpo,
        {
            "TRL 0.11": Bridge(
                "imitates per token of the batch; we take the answer's sum",
                "imitation per token",
                rules.with_imitation(rules.dpo(0.0), 0.5),
            ),
        },
    ),
    "ORPO": Name(
        "orpo(..., beta=0.1)",
        rules.orpo(1.0),
        {
            "TRL 0.11": Bridge(
                "averages −log p over the batch's tokens; we within each answer first",
                "imitation over all tokens",
                rules.with_imitation(rules.orpo(0.0)),
            ),
        },
    ),
    "AOT": Name(
        "aot(..., beta=0.1)",
        rules.aot,
        {
            "TRL 1.16, aot": equal(rules.aot),
            "TRL 0.11, aot": equal(rules.aot),
            "TRL 0.11, aot_pair": Bridge("what is called aot_unpaired today", "aot_unpaired", rules.aot_unpaired),
            "TRL 1.16, aot_unpaired": Bridge("sorts each side's log-ratios by themselves", "aot_unpaired", rules.aot_unpaired),
        },
    ),
    "BCO": Name(
        "bco(..., beta=0.1), shift = 0",
        rules.bco,
        {
            "TRL 1.16": equal(rules.bco),
            "TRL 0.11": Bridge("subtracts the running mean of all rewards", "shift = mean reward", rules.shifted),
        },
    ),
}


# ------------------------------------------------------------------ both sides


@functools.cache
def stored() -> dict[str, Any]:
    """The input and the libraries' numbers."""
    return json.loads(shipped("same_name.json").read_text(encoding="utf-8"))


def inputs() -> X:
    return {name: torch.tensor(value, dtype=torch.float64) for name, value in stored()["inputs"].items()}


@functools.cache
def ours(name: str) -> float:
    """What labkit computes under this name."""
    return float(NAMES[name].ours(inputs()))


@functools.cache
def rows(name: str) -> tuple[Row, ...]:
    """What the libraries compute under this name, in the order in which we tell it."""
    found = {row["library"]: row for row in stored()["rows"] if row["name"] == name}
    made = []
    for library, bridge in NAMES[name].bridges.items():
        row = found[library]
        bridged = float(bridge.fn(inputs()))
        made.append(Row(library, row["value"], bridged, bridge.why, bridge.rule, row["source"], row["function"]))
    return tuple(made)
