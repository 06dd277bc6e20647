"""`compare`: two models on the same rows, or the layers of one."""

from collections.abc import Mapping
from typing import Any

from labkit.explorers.given import whole
from labkit.progress import bar
from labkit.report.comparing import findings as faults
from labkit.report.comparing.models import Drawn, Model, called, model, scanned, together
from labkit.report.comparing.profile import Readings
from labkit.report.comparing.profiles import Profile, common, missing, profile, step
from labkit.report.comparing.result import Comparison
from labkit.report.making import LEAST, SAMPLE
from labkit.report.pieces import Finding
from labkit.report.result import Described, Sampled
from labkit.report.rows import Classes, read_classes


def compare(
    a: Any,
    b: Any = None,
    *,
    labels: Any = None,
    groups: Any = None,
    names: Any = None,
    sample: int = SAMPLE,
    seed: int = 0,
    progress: bool = True,
) -> Comparison:
    """What differs between two models on the same rows, and what is noise; or from layer to layer of one.

    Every meter of a report is read off both, on the same rows and on the same halves of them, so that the interval is that of
    the difference: most of what moves a meter from sample to sample moves it in both, and cancels. It speaks of these models
    on other rows of this kind, not of other training seeds. Beside it stands what the two have in common: linear CKA and
    shared neighbours, with shuffled rows as their floor.

    Args:
        a, b: embeddings of the same inputs in the same order by two models, as `report` takes them (tensor, array, file); or of
            each a pair `(z1, z2)` of views or modalities; or two Reports. Widths may differ. Without b, a dict of layers
            `{"layer1": z, "layer2": z}`, each beside the one before and the first.
        labels: `(n,)`, a class for each row.
        groups: `(n,)`, rows that are not independent: they are drawn together, and are no neighbours of each other.
        names: what the two are called; their files' names, or "a" and "b".
        sample: rows that are seen, the same of every model, drawn without replacement from those that all can use.
        seed: of every draw.
        progress: a bar after two seconds.

    Returns:
        A Comparison: print it, `save` it, ask it for `["uniformity"]`.

    Raises:
        ValueError, TypeError: what cannot be read as embeddings, by the name of the argument; a single layer.

    >>> import torch
    >>> z = torch.randn(400, 8, generator=torch.Generator().manual_seed(0))
    >>> found = compare(z, z * torch.tensor([9.0, 9, 1, 1, 1, 1, 1, 1]))
    >>> found["effective_rank"].noise, found["linear_cka"].value < 1
    (False, True)
    """
    models = read(a, b, names)
    classes = {key: joined(value, key, models) for key, value in (("labels", labels), ("groups", groups))}
    with bar(total=2 * len(models), desc="compare", disable=not progress) as steps:
        models = [ticked(steps, scanned(each, progress)) for each in models]
        seen = together(models, classes["labels"], classes["groups"], whole(sample, "sample", LEAST), whole(seed, "seed", 0))
        if len(seen[0]) < LEAST:
            raise ValueError(f"a and b must share {LEAST} rows that are finite and not zero in both, and share {len(seen[0])}")
        return made(seen, classes, seed, steps)


def read(a: Any, b: Any, names: Any) -> list[Model]:
    """The models, in order."""
    if b is not None:
        two = called((a, b), names)
        return [model(value, argument, name) for value, argument, name in zip((a, b), ("a", "b"), two, strict=True)]
    if not isinstance(a, Mapping):
        raise TypeError('compare needs a and b, or a dict of layers {"layer1": z, "layer2": z} as its only argument')
    if len(a) < 2:
        raise ValueError(f"a dict of layers must hold at least two, got {', '.join(map(str, a)) or 'none'}")
    if names is not None:
        raise ValueError("names are the keys of the dict of layers: leave names out")
    layers = [model(value, f"a[{key!r}]", str(key)) for key, value in a.items()]
    lengths = {each.name: each.n for each in layers}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {n:,}" for name, n in lengths.items())
        raise ValueError(f"layers must be of the same rows, in the same order; their numbers of rows are {told}")
    return layers


def joined(value: Any, name: str, models: list[Model]) -> Classes | None:
    """Labels or groups, which must fit one of the models at least."""
    if value is None:
        return None
    fitting = [each.n for each in models if hasattr(value, "__len__") and not isinstance(value, str) and len(value) == each.n]
    return read_classes(value, name, (fitting or [models[0].n])[0])


def made(seen: list[Drawn], classes: Mapping[str, Classes | None], seed: int, steps: Any) -> Comparison:
    """Profile after profile; of the layers only the first and the two at hand are held with all their pairs of rows."""
    apart, layered = len({each.model.n for each in seen}) > 1, len(seen) > 2
    floors: dict[tuple[int, int], Readings] = {}
    profiles: list[Profile] = []
    differences, from_first, likeness = [], [], []
    found: list[Finding] = []
    for place, each in enumerate(seen):
        here = ticked(steps, profile(each, seed + place * apart, floors))
        profiles.append(here)
        if place and not apart:
            before = profiles[place - 1]
            likeness += common(before, here, seed)
            found += faults.unrelated(before, here, likeness) if layered else []
        if place:
            differences += step(profiles[place - 1], here)
        if place > 1:
            from_first += step(profiles[0], here)
            likeness += common(profiles[0], here, seed)
            profiles[place - 1].forget()
    found += faults.of_layers(profiles) if layered else faults.find(profiles, likeness, classes["labels"], seed)
    return Comparison(
        names=tuple(each.name for each in profiles),
        given=given(seen, classes),
        differences=tuple(differences),
        from_first=tuple(from_first),
        likeness=tuple(likeness),
        findings=tuple(sorted(found, key=lambda f: not f.alarm)),
        missing=tuple(missing(profiles, apart)),
        sampled=Sampled(len(seen[0]), seen[0].total, seed),
        seed=seed,
        arrays={"cka": faults.cka_of(profiles)} if layered else {},
    )


def given(seen: list[Drawn], classes: Mapping[str, Classes | None]) -> tuple[Described, ...]:
    read = [d for each in seen for d in each.model.described()]
    return (*read, *(Described(c.name, c.source, (len(c),), "classes", c.sha256) for c in classes.values() if c is not None))


def ticked(steps: Any, value: Any) -> Any:
    """The value, after the bar moved."""
    steps.update(1)
    return value
