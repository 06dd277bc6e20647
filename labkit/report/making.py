"""`report`: from whatever one has to a Report."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from labkit.explorers.given import whole
from labkit.progress import bar
from labkit.report.pieces import SECTIONS, Finding, Given, Measured, Missing, Sample
from labkit.report.result import Described, Report, Sampled, Section
from labkit.report.runs import of_run
from labkit.training import Run

NOTED = "If this is not what you meant, name the array, as in file.npz:key, or save the rows alone."
SHARED = (
    "A row seen twice would be its own neighbour. To see all pairs, each row's kept together: groups=numpy.arange(len(z1))."
)
SAMPLE = 4096  # rows that the meters see: uniformity and neighbours look at every pair of them
LEAST = 16  # rows below which no meter says anything


def report(
    z1: Any,
    z2: Any = None,
    *,
    labels: Any = None,
    groups: Any = None,
    pairs: Any = None,
    name: str | None = None,
    model: nn.Module | None = None,
    inputs: Tensor | None = None,
    untrained: Any = None,
    sample: int = SAMPLE,
    seed: int = 0,
    progress: bool = True,
) -> Any:
    """What can be said of somebody's embeddings: is the input sane, has it collapsed and how, and what do the meters say beside
    null rows at the same n and d. Nothing is trained, and nothing leaves the machine.

    Args:
        z1: embeddings `(n, d)`, rows as they are: a tensor, an array, or a file (.npy, .npz, .pt, .safetensors, .parquet, .csv;
            `"file.npz:key"` for one of several arrays). A .npz that holds z1, z2 and labels can stand alone. What a preference
            run logged goes to `labkit.diagnose`. A Run of `labkit.fit` brings all that it has: views, labels, the rows before
            training.
        z2: another view of the same rows, or another modality; row i belongs to row i of z1 unless `pairs` says otherwise.
        labels: `(n,)`, a class for each row of z1.
        groups: `(n,)`, rows that are not independent (frames of one video, sentences of one text): they are drawn together, and
            never vote for each other.
        pairs: `(m, 2)`, which row of z1 belongs to which row of z2 (of z1 itself, where there is no z2).
        name: what the report is about; the file's name without it.
        model, inputs: the module that made z1 and what it was given: a copy with fresh weights gives the null row "untrained".
        untrained: or its embeddings, if you have them.
        sample: rows (or pairs) that the meters see, drawn without replacement; sanity is checked on all.
        seed: of every draw.
        progress: a bar after two seconds.

    Returns:
        A Report (print it, or `save` it); of a preference run a Diagnosis.

    Raises:
        ValueError, TypeError: something that cannot be read as embeddings; the message names the argument and what to do.

    >>> z = torch.randn(200, 8, generator=torch.Generator().manual_seed(0))
    >>> found = report(z, z + 0.1)
    >>> [finding.code for finding in found.alarms], found["alignment"].n
    ([], 200)
    """
    from labkit.diagnose import diagnose, speaks_of

    if z2 is None and speaks_of(z1):
        return diagnose(z1)
    if isinstance(z1, Run):
        return report(**of_run(z1) | named(name), groups=groups, pairs=pairs, sample=sample, seed=seed, progress=progress)
    steps = bar(total=3 + len(SECTIONS), desc="report", disable=not progress)
    with steps:
        given = read(z1, z2, labels, groups, pairs, name, seed)
        given = scanned(given, beginning(given, model, inputs, untrained), progress)
        steps.update(2)
        return made(given, sample, steps.update)


def named(name: str | None) -> dict[str, str]:
    return {} if name is None else {"name": name}


def read(z1: Any, z2: Any, labels: Any, groups: Any, pairs: Any, name: str | None, seed: int) -> Given:
    """Everything that was handed over, checked, but not yet in memory."""
    from labkit.report import rows

    if z2 is None and (bundle := rows.read_bundle(z1)):
        z1, z2 = bundle["z1"], bundle.get("z2")
        labels, groups, pairs = (
            bundle.get(k) if v is None else v for k, v in (("labels", labels), ("groups", groups), ("pairs", pairs))
        )
    first = rows.read(z1, "z1")
    second = None if z2 is None else rows.read(z2, "z2")
    known = {k: None if v is None else rows.read_classes(v, k, first.n) for k, v in (("labels", labels), ("groups", groups))}
    linked = None if pairs is None else rows.read_pairs(pairs, first.n, (second or first).n)
    called = name or first.source.rpartition(":")[0] or first.source
    seed = whole(seed, "seed", 0)
    return Given(first, second, known["labels"], known["groups"], linked, name=called, seed=seed)


def beginning(given: Given, model: nn.Module | None, inputs: Tensor | None, untrained: Any) -> Any:
    """Embeddings of the same inputs before training, if they can be had."""
    if (model is None) != (inputs is None):
        raise ValueError("model and inputs belong together: the module that made z1, and what it was given")
    if model is not None and untrained is not None:
        raise ValueError("give model and inputs, or untrained, not both")
    if model is None or inputs is None:
        return untrained
    if len(inputs) != given.z1.n:
        raise ValueError(f"inputs must be those of z1's {given.z1.n} rows, got {len(inputs)}")
    return afresh(model, inputs, given.seed)


@torch.no_grad()
def afresh(model: nn.Module, inputs: Tensor, seed: int, block: int = 256) -> Tensor:
    """What a copy of the model with fresh weights makes of the inputs.

    Raises:
        ValueError: no layer of it knows how to begin anew (`reset_parameters`).
    """
    fresh = copy.deepcopy(model).cpu().eval()
    layers = [layer for layer in fresh.modules() if callable(getattr(layer, "reset_parameters", None))]
    if not layers:
        raise ValueError("model has no layer with reset_parameters(): give the untrained model's embeddings as untrained")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for layer in layers:
            layer.reset_parameters()  # type: ignore[operator]
    return torch.cat([fresh(rows).float() for rows in inputs.cpu().split(block)])


def scanned(given: Given, untrained: Any, progress: bool) -> Given:
    """With one pass over every input."""
    from dataclasses import replace

    from labkit.report import rows

    before = None if untrained is None else rows.read(untrained, "untrained")
    if before is not None and before.n != given.z1.n:
        raise ValueError(f"untrained must have a row for each of the {given.z1.n} rows of z1, got {before.n}")
    scans = {each.name: rows.scan(each, progress=progress) for each in (given.z1, given.z2, before) if each is not None}
    return replace(given, untrained=before, scans=scans)


def made(given: Given, size: int, tick: Any) -> Report:
    """The report on what was read."""
    from labkit.report import rows

    sample = rows.draw(given, whole(size, "sample", LEAST))
    tick()
    measured, findings = {}, look(given, sample)
    for key in SECTIONS:
        measured[key] = measure(key, given, sample)
        tick()
    sections = tuple(
        Section(key, title, m.numbers, tuple(f for f in findings if f.section == key), m.missing, m.arrays)
        for key, title in SECTIONS.items()
        for m in (measured[key],)
    )
    sampled = Sampled(len(sample), sample.total, given.seed, "rows" if sample.z2 is None else "pairs")
    return Report(given.name, described(given), sections, sampled, given.seed, sample if len(sample) else None)


def look(given: Given, sample: Sample) -> list[Finding]:
    """What must be known before the numbers, and what of a file was not read."""
    from labkit.report import faults, rows

    read = [each for each in (given.z1, given.z2, given.untrained) if each is not None]
    notes = [Finding("left-out", False, each.name, "sanity", f"{note}.", NOTED) for each in read for note in each.notes]
    if told := rows.shared(given):
        notes.append(Finding("left-out", False, "pairs", "sanity", f"{told}.", SHARED))
    return notes + faults.find(given, sample)


def measure(key: str, given: Given, sample: Sample) -> Measured:
    """The numbers of one section."""
    from labkit.report import faults, meters

    if key == "sanity":
        return faults.counts(given, sample)
    if len(sample) < LEAST:
        return Measured(missing=(Missing(SECTIONS[key].lower(), f"at least {LEAST} usable rows, and there are {len(sample)}"),))
    return meters.of(key)(sample)


def described(given: Given) -> tuple[Described, ...]:
    found = [
        Described(each.name, each.source, (each.n, each.d), each.dtype, given.scans[each.name].sha256)
        for each in (given.z1, given.z2, given.untrained)
        if each is not None
    ]
    classes = [each for each in (given.labels, given.groups) if each is not None]
    return (*found, *(Described(c.name, c.source, (len(c.values),), "classes", c.sha256) for c in classes))
