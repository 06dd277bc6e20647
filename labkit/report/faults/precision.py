"""How finely the numbers were kept."""

from collections.abc import Iterator

from torch import Tensor

from labkit.report.faults.levels import Levels, eighths
from labkit.report.faults.look import Look, View
from labkit.report.faults.words import percent
from labkit.report.pieces import Finding

BITS = {"bfloat16": 8, "float16": 11}  # of the significand, the hidden one counted
LEVELS = 256  # different values up to which numbers are counts or pixels, not rounded reals
COARSE = 0.1  # of the spread: rounding that is no longer small


def rounded(look: Look) -> Iterator[Finding]:
    """Half precision or less, by type or in disguise."""
    for view in look.apart:
        few = eighths(view.rows, view.source.dtype)
        if few is not None:
            yield eight_bits(view, few)
            continue
        kind = kept_as(view)
        if kind is None:
            continue
        blur = blurred(view, kind)
        plain = view.source.dtype == kind
        yield Finding(
            "low-precision",
            blur > COARSE,
            view.name,
            "sanity",
            (
                f"Numbers are kept as {kind}"
                if plain
                else f"Numbers are kept as {view.source.dtype}, but every one fits {kind}: they were rounded"
            )
            + f", {BITS[kind]} significant bits: rounding is {percent(blur)} of the spread between rows.",
            "Cosines near 1 and distances between close rows are coarse. Save float32 before anything is compared"
            + (", and take the common mean away before rounding." if blur > COARSE else "."),
            {"bits": BITS[kind], "blur": blur},
        )


def eight_bits(view: View, few: Levels) -> Finding:
    came, known = view.source.dtype, f" ({few.kind})" if few.kind else ""
    how = f"Numbers are kept as {came}" if came == few.kind else f"Numbers came as {came}, but eight bits hold them{known}"
    return Finding(
        "low-precision",
        False,
        view.name,
        "sanity",
        f"{how}: {few.many:,} different values {few.among}, beside 0.",
        "Fine for a search; for a comparison save the embeddings as float32, before they are quantised. Distances between "
        "close rows are coarse.",
        {"bits": 8, "values": few.many},
    )


def kept_as(view: View) -> str | None:
    """The half precision that holds every number, if one does and the numbers are not merely few."""
    kind = view.source.dtype
    if kind in BITS:
        return kind
    halves = [name for name in view.scan.halves if name in BITS]
    if not kind.startswith("float") or kind.startswith("float8") or not halves or stepped(view.rows):
        return None
    return halves[0] if len(halves) == 1 else "bfloat16"


def stepped(rows: Tensor) -> bool:
    """Whether the numbers are few different ones, or lie on an even grid: counts, pixels, codes."""
    some = rows.flatten()
    values = some[:: max(len(some) // 2**16, 1)].unique()
    if len(values) <= min(LEVELS, len(some) // 4):
        return True
    step = values.diff().min()
    grid = values / step
    return bool((grid - grid.round()).abs().max() < 1e-6) and float(grid.abs().max()) < 2**12


def blurred(view: View, kind: str) -> float:
    """The usual rounding error over the usual spread of a column."""
    error = view.rows.abs().median(0).values * 2.0 ** -BITS[kind] / 12**0.5
    spread = view.rows.std(0)
    live = spread > 0
    return min(float((error[live] / spread[live]).median()), 1.0) if bool(live.any()) else 1.0


def mixed(look: Look) -> Iterator[Finding]:
    """Two views that were kept differently."""
    if len(look.apart) < 2:
        return
    one, other = (view.source.dtype for view in look.apart)
    if one != other:
        yield Finding(
            "mixed-dtypes",
            False,
            "z1, z2",
            "sanity",
            f"z1 came as {one}, z2 as {other}; all meters compute in float64.",
            "Save both alike: the coarser of the two decides how far alignment can be trusted.",
            {},
        )
