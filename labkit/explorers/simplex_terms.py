"""Six losses as data: what goes into which link. The browser computes their slopes from this and knows no loss by name.

A loss is a sum of terms `weight * link(z)` with

    z = chosen * h_w + rejected * h_l + offset - charge * max(0, -h_w)

where h is the log-ratio to the reference, or the log-probability itself where a term takes no reference. Each of these amounts
is a number times powers of the loss's own arguments.
"""

from typing import Any

from labkit.training import Call, call

Amount = dict[str, Any]
# Each loss's function in `labkit.preferences`, and the controls that are its arguments.
LOSSES: dict[str, tuple[str, tuple[str, ...]]] = {
    "DPO": ("dpo", ("beta",)),
    "IPO": ("ipo", ("beta",)),
    "KTO": ("kto", ("beta", "kl", "desirable_weight", "undesirable_weight")),
    "SimPO": ("simpo", ("beta", "gamma", "chosen_lengths", "rejected_lengths")),
    "DPOP": ("dpop", ("beta", "lambda_")),
    "RPO": ("rpo", ("beta", "eta")),
}


def called(loss: str, state: Any) -> Call:
    """The loss with its arguments as the controls stand."""
    name, arguments = LOSSES[loss]
    return call(name, **{argument: getattr(state, argument) for argument in arguments})


def of(times: float, **powers: int) -> Amount:
    """A number times powers of arguments: `of(0.5, beta=-1)` is `1 / (2 beta)`."""
    return {"times": times, "powers": powers}


def term(link: str, *, weight: Amount | None = None, reference: bool = True, options: Any = None, **amounts: Amount) -> Any:
    told = {name: amounts.get(name, of(0)) for name in ("chosen", "rejected", "offset", "charge")}
    return {"link": link, "weight": weight or of(1), "reference": reference, "options": options or {}, **told}


DPO = term("logistic", chosen=of(1, beta=1), rejected=of(-1, beta=1))
TERMS: dict[str, list[Any]] = {
    "DPO": [DPO],
    "IPO": [term("squared", chosen=of(1), rejected=of(-1), options={"target": of(0.5, beta=-1)})],
    "KTO": [  # the mean of its two answers
        term("falling", weight=of(0.5, desirable_weight=1), chosen=of(1, beta=1), offset=of(-1, beta=1, kl=1)),
        term("falling", weight=of(0.5, undesirable_weight=1), rejected=of(-1, beta=1), offset=of(1, beta=1, kl=1)),
    ],
    "SimPO": [
        term(
            "logistic",
            chosen=of(1, beta=1, chosen_lengths=-1),
            rejected=of(-1, beta=1, rejected_lengths=-1),
            offset=of(-1, gamma=1),
            reference=False,
        )
    ],
    "DPOP": [{**DPO, "charge": of(1, beta=1, lambda_=1)}],
    "RPO": [DPO, term("linear", weight=of(1, eta=1), chosen=of(-1), reference=False)],
}
