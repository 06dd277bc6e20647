"""Differences in words."""

from labkit.metrics import Estimate
from labkit.report.comparing.result import Difference
from labkit.report.paper.words import measured, shown, title, told

# meter -> what is said of the second model where its number is larger, and where it is smaller.
PHRASES = {
    "variance": ("has more variance", "has less variance"),
    "mean_norm": ("leans further to one side", "leans less to one side"),
    "effective_rank": ("uses more directions", "uses fewer directions"),
    "top_share": ("has more of its variance along one direction", "has less of its variance along one direction"),
    "uniformity": ("is less uniform", "is more uniform"),
    "alignment": ("holds pairs further apart", "holds pairs closer together"),
    "hubness": ("has stronger hubs", "has weaker hubs"),
    "tolerance": ("holds each class closer together", "holds each class less closely together"),
    "knn_accuracy": ("has more neighbours of the right class", "has fewer neighbours of the right class"),
    "modality_gap": ("has a wider gap between z1 and z2", "has a narrower gap between z1 and z2"),
    "retrieval": ("finds partners more often", "finds partners less often"),
}


def magnitude(change: Estimate) -> str:
    """How large it is, without its sign.

    >>> magnitude(Estimate(-0.31, -0.35, -0.28))
    '0.310 [0.280, 0.350]'
    """
    return measured(change if change.value >= 0 else Estimate(-change.value, -change.high, -change.low))


def signed(change: Estimate) -> str:
    """
    >>> signed(Estimate(0.01, -0.02, 0.04))
    '+0.010 [-0.020, +0.040]'
    """
    value, low, high = (("+" if x > 0 else "") + told(x, change) for x in change)
    return f"{value} [{low}, {high}]"


def says(found: Difference) -> str:
    """One sentence."""
    first, second = found.names
    what = title(found.meter) + ("" if found.of == "z1" else f" of {found.of}")
    if found.same:
        return f"no difference: {what} is {shown(found.a.value)} in both"
    values = f"{what} {shown(found.a.value)} in {first}, {shown(found.b.value)} in {second}"
    if found.noise:
        return f"difference within noise: {values}, {signed(found.change)}"
    more, less = PHRASES.get(found.meter, (f"has more {title(found.meter)}", f"has less {title(found.meter)}"))
    view = "" if found.of in ("z1", "z1, z2") else f" ({found.of})" if " among " in found.of else f" in {found.of}"
    phrase = more if found.change.value > 0 else less
    sentence = f"{second} {phrase}{view} by {magnitude(found.change)} ({values})"
    if not found.small:
        return sentence
    share = 100 * abs(found.change.value) / found.reach
    moves = f"{share:.2g} % of how far other rows would move the value itself (±{found.reach:.2g})"
    return f"beyond noise, but too small to matter: {sentence}, {moves}"
