"""Whether label i belongs to row i."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from labkit.report.faults import order
from labkit.report.faults.clumps import separation
from labkit.report.faults.look import Look, View
from labkit.report.faults.words import counted, percent
from labkit.report.pieces import Finding

SURE = 4.0  # standard deviations of permuted labels
CLUSTERED = 4.5  # separation above which there are clusters: see `separations`
AXES = 32
ROWS = 64  # below which clusters are not told from chance
MERGED = 8  # classes are thrown together into so many when all shifts are looked at
MIXES = 12  # directions of the rows, then
SHUFFLES = 60
KNOWN = 3  # rows of a class from which on its mean is asked
SHARE = 0.5  # of what rows gain that lie where the moved class is
MOST = 0.7  # of few such runs of rows gain as much
RUNS = 4.0  # standard errors, with runs of rows whose label changes in one way as the cases


def labelled(look: Look) -> Iterator[Finding]:
    """Too few classes; labels some rows off; labels that have nothing to do with clusters that are there."""
    classes = look.given.labels
    if classes is None:
        return
    sizes = classes.values.bincount()
    if len(classes.names) < 2:
        yield single(len(classes))
        return
    alone = int((sizes == 1).sum())
    if alone:
        yield lone(alone, len(sizes))
    if len(look) < 32 or alone == len(sizes) or look.sample.labels is None or look.views[0].variance < 1e-12:
        return
    moved = shifted(look)
    if moved:
        yield moved
    else:
        yield from unrelated(look, look.views[0], look.sample.labels)


def single(n: int) -> Finding:
    return Finding(
        "single-class",
        False,
        "labels",
        "classes",
        f"All {n:,} labels are the same class: nothing can be told apart.",
        "Check which column was read as labels; or leave labels out.",
        {"classes": 1},
    )


def lone(alone: int, classes: int) -> Finding:
    every = alone == classes
    return Finding(
        "one-row-classes",
        False,
        "labels",
        "classes",
        f"{'Every class has' if every else f'{alone:,} of {classes:,} classes have'} a single row: nobody to agree with.",
        "Row numbers or file names read as labels? Classes need several rows."
        if every
        else "Leave these classes out, or merge them.",
        {"alone": alone, "classes": classes},
    )


def unrelated(look: Look, view: View, labels: Tensor) -> Iterator[Finding]:
    agreement, score = agreeing(view, labels, look.generator())
    if score > SURE or decodable(view, labels, look.generator()) > SURE:
        return
    classes = int((labels.bincount() > 0).sum())
    clear = clustered(view, classes, look.generator())
    in_order = bool((look.given.labels.values.diff() >= 0).all()) if look.given.labels is not None else False
    chance = float((labels.bincount().double() / len(labels)).square().sum())
    sorted_too = " The labels are sorted, so perhaps they were sorted without the rows." if in_order else ""
    explained = classes > 2 and bool(look.alarms & {"two-clusters", "swapped-modalities"})  # clusters that no label could name
    alarm = clear > CLUSTERED and not explained
    if alarm:
        says = (
            f"Labels have nothing to do with the rows: {percent(agreement)} of a row's nearest neighbours share its label, as "
            f"with shuffled labels ({percent(chance)}), although the rows lie in clear clusters.{sorted_too}"
        )
    else:
        says = (
            "Labels are at chance, so they are misaligned, or about something that these rows do not hold: "
            f"{percent(agreement)} of a row's nearest neighbours share its label ({percent(chance)} with shuffled labels), "
            f"and no linear map finds them either.{sorted_too}"
        )
    yield Finding(
        "misaligned-labels",
        alarm,
        "labels",
        "classes",
        says,
        "Check a few rows by hand: were the labels shuffled, sorted, or are they of another split? If they are right, this "
        "embedding does not hold them.",
        {"agreement": agreement, "chance": chance, "separation": clear, "score": score},
    )


def clustered(view: View, classes: int, generator: torch.Generator) -> float:
    """How clear clusters are, as many as there are classes: on the sphere and in the rows as given, whichever is less.

    On the sphere alone rows spread along one line are two clusters. 0 where there are too few rows to tell.
    """
    if len(view.distinct) < ROWS:
        return 0.0
    k = max(min(classes, 64, len(view.distinct) // 20), 2)
    norms = view.rows.norm(dim=1, keepdim=True)
    kept = view.rows * (3 * norms.median() / norms).clamp(max=1)  # no row drowns the others
    flat = (kept - kept.mean(0)) @ view.spectrum[1][:, :AXES]
    return min(separation(x[view.distinct], k, generator) for x in (view.coordinates(AXES), flat))


def agreeing(view: View, labels: Tensor, generator: torch.Generator) -> tuple[float, float]:
    """(share of near rows with the same label, how many standard deviations above that of permuted labels)."""
    mine, index = labels[view.distinct], view.near.who

    def share(y: Tensor) -> float:
        return float((y[index] == y[:, None]).double().mean())

    chance = torch.tensor([share(mine[torch.randperm(len(mine), generator=generator)]) for _ in range(SHUFFLES)])
    found = share(mine)
    return found, (found - float(chance.mean())) / max(float(chance.std()), 1e-9)


def decodable(view: View, labels: Tensor, generator: torch.Generator) -> float:
    """How many standard deviations above chance a linear map, fitted on half of the rows, finds the other half's labels."""
    rows = view.distinct[torch.randperm(len(view.distinct), generator=generator)]
    axes = view.spectrum[0] > 1e-8 * view.spectrum[0][0]
    x = view.coordinates(len(axes))[rows][:, axes] / view.spectrum[0][axes].sqrt()
    x, y = x[:, : max(len(rows) // 4, 2)], torch.nn.functional.one_hot(labels[rows]).double()
    half = len(rows) // 2
    gram = x[:half].T @ x[:half] + 0.1 * half * torch.eye(x.shape[1], dtype=x.dtype)
    scores = x[half:] @ torch.linalg.solve(gram, x[:half].T @ (y[:half] - y[:half].mean(0)))
    truth = y[half:] - y[half:].mean(0)
    spread = (scores.square().sum() * truth.square().sum() / max(len(truth) * truth.shape[1], 1)).sqrt()
    return float((scores * truth).sum() / spread.clamp(min=1e-300))


def shifted(look: Look) -> Finding | None:
    """Labels that fit some rows further on, for all rows or from one row on; or backwards."""
    classes, view = look.given.labels, look.views[0]
    assert classes is not None
    index = look.given.scans["z1"].good[: order.WINDOW]
    x, y = coordinates(view, index), classes.values[index]
    n, count = len(x), len(classes.names)

    def found(other: Tensor, also: list[int]) -> order.Shift | None:
        shifts = list(dict.fromkeys([*also, *order.candidates(agreement_by_shift(x, other, look.generator()))]))
        return order.best_shift(n, shifts, lambda by: gained(x, y, other.roll(-by), count), refit(other))

    def refit(other: Tensor) -> Callable[[int, slice], Tensor]:
        return lambda by, rows: fits(x, y, other.roll(-by), rows, count)

    straight, backwards = found(y, []), found(y.flip(0), [0])
    if backwards and (not straight or backwards.gain > straight.gain) and backwards.stop - backwards.start > 0.9 * n:
        return moved_labels(backwards, n, reverse=True)
    return moved_labels(straight, n) if straight else None


def coordinates(view: View, index: Tensor) -> Tensor:
    """These rows along the leading axes, each of spread one."""
    values, axes = view.spectrum
    live = values[:AXES] > 1e-8 * values[0]
    basis = axes[:, :AXES][:, live] / values[:AXES][live].sqrt()
    return view.along(index, basis)


def agreement_by_shift(x: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
    """Between-class scatter of the rows under labels moved by 0, 1, 2 ... rows (circular); many classes are merged."""
    count = int(labels.max()) + 1
    groups = torch.arange(count) if count <= MERGED else torch.randint(MERGED, (count,), generator=generator)
    member = torch.nn.functional.one_hot(groups[labels]).float()
    member = (member - member.mean(0)) / member.sum(0).clamp(min=1).sqrt()
    mixes = torch.randn(x.shape[1], min(MIXES, x.shape[1]), generator=generator, dtype=x.dtype)
    rows = torch.fft.rfft((x @ mixes).float(), dim=0).conj()
    moved = torch.fft.rfft(member, dim=0)
    curve = torch.zeros(len(x))
    for column in moved.unbind(1):
        curve += torch.fft.irfft(rows * column[:, None], len(x), dim=0).square().sum(1)
    return curve.double()


def gained(x: Tensor, labels: Tensor, moved: Tensor, count: int) -> Tensor:
    """How much better each row fits its moved label's class than its own label's; classes are where either puts them."""

    centre = centres(x, labels, count)[0] + centres(x, moved, count)[0]
    return (x * (centre[moved] - centre[labels])).sum(1)


def centres(x: Tensor, labels: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Mean row and number of rows of each class."""
    sizes = labels.bincount(minlength=count)
    return x.new_zeros(count, x.shape[1]).index_add_(0, labels, x) / sizes.clamp(min=1)[:, None], sizes


def fits(x: Tensor, labels: Tensor, moved: Tensor, rows: slice, count: int) -> Tensor:
    """The same on a stretch of rows, with classes as the rest of the rows has them (as the moved labels, if all are moved).

    Only of rows whose label changes, and whose two classes are known there; a row has no say in its own class. Nothing
    where this is no evidence of a shift, though the rows fit better: see `moves`.
    """
    part = torch.zeros(len(x), dtype=torch.bool)
    part[rows] = True
    whole = bool(part.all())
    mean, sizes = centres(x, moved, count) if whole else centres(x[~part], labels[~part], count)
    known = sizes >= KNOWN
    if not whole:  # a class that is nearly all in the stretch is known by its mislabelled rows alone
        known &= sizes >= 0.5 * float((~part).double().mean()) * labels.bincount(minlength=count)
    ask = (part & (labels != moved) & known[labels] & known[moved]).nonzero().squeeze(1)
    here, mine, own = x[ask], moved[ask], labels[ask]
    left = sizes[mine] - 1.0 if whole else sizes[mine].double()
    right = (mean[mine] * sizes[mine, None] - here) / left[:, None] if whole else mean[mine]
    wrong = mean[own]
    # the squared length of a mean of few rows is too large by their spread over their number
    spread = within(x, moved, mean, sizes) if whole else within(x[~part], labels[~part], mean, sizes)
    chance = spread * (1 / left - 1 / sizes[own])
    gains = (here * (right - wrong)).sum(1) - (right.square() - wrong.square()).sum(1) / 2 + chance / 2
    between = (right - wrong).square().sum(1) - spread * (1 / left + 1 / sizes[own])
    return gains if moves(gains, between / 2, own * count + mine, ask, part) else gains[:0]


def within(x: Tensor, labels: Tensor, mean: Tensor, sizes: Tensor) -> float:
    """Squared distance of a row from its class's mean, about which it is free to vary."""
    free = int((sizes - 1).clamp(min=0).sum())
    return float((x - mean[labels]).square().sum()) / max(free, 1)


def moves(gains: Tensor, expected: Tensor, change: Tensor, ask: Tensor, part: Tensor) -> bool:
    """Whether better fitting labels are a shift, not a class that differs along its rows or two classes that are alike.

    A shift moves boundaries: rows go from class to class in more than one way (`change`), and, if only some rows are
    shifted, again and again, not in a few long runs of one such change. And rows lie where the moved class is (`expected` is
    what they gain there), rather than a little nearer to it.
    """
    if len(gains) < order.LEAST or len(change.unique()) < 2 or float(gains.sum()) < SHARE * float(expected.sum()):
        return False
    n, whole = len(part), bool(part.all())
    runs = torch.cat([ask.new_zeros(1), ((ask.diff() > 1) | (change.diff() != 0)).long().cumsum(0)])
    won, fair = (gains.new_zeros(int(runs[-1]) + 1).index_add_(0, runs, each) for each in (gains, expected))
    if len(won) <= 2 and len(ask) > 0.2 * n:  # two halves, cut elsewhere: parts of one class will do that
        return False
    if len(won) < order.LEAST:
        return whole and float((won > SHARE * fair).double().mean()) > MOST
    return whole or order.sureness(won) > RUNS


def moved_labels(shift: order.Shift, n: int, reverse: bool = False) -> Finding:
    rows = shift.stop - shift.start
    whole = rows > 0.9 * n
    if reverse:
        says = "Labels run backwards: row i fits label n - 1 - i, not label i."
    elif whole:
        says = f"Labels are {counted(abs(shift.by), 'row')} off: row i fits label i {shift.by:+,}, not label i."
    else:
        until = "" if shift.stop > 0.98 * n else f" up to row {shift.stop - 1:,}"
        says = f"Labels come off at row {shift.start:,}: from there on{until} row i fits label i {shift.by:+,}, not label i."
    return Finding(
        "misaligned-labels",
        True,
        "labels",
        "classes",
        says,
        "Flip the labels, or write both in one pass over the data."
        if reverse
        else "Look for a row that was dropped or doubled in one of the two files, or a header that was read as a row; until "
        "then no number with labels holds.",
        {"by": shift.by, "from": shift.start, "rows": rows},
    )
