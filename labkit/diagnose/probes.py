"""The files of a DisplacementCallback: a fixed set of pairs, looked at again and again."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit.data.preferences import PreferencePairs
from labkit.diagnose.evidence import KINDS, Movement, Opening, Receiver
from labkit.diagnose.receivers import ending
from labkit.diagnose.report import Diagnosis
from labkit.diagnose.verdicts import judge
from labkit.diagnose.words import bare, kind
from labkit.training.answers import places
from labkit.training.run import write

SIDES = ("chosen", "rejected")
Words = Iterable[int | str]


# ------------------------------------------------------------------ writing


def begin(folder: Path, data: PreferencePairs, names: list[str], *, rows: Tensor, **about: Any) -> None:
    """`probe.json`: which pairs these are, and where they open.

    Raises:
        ValueError: the folder holds looks at other pairs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    where = places(data, rows)
    tokens = {
        side: [getattr(data, side)[i][getattr(data, f"{side}_mask")[i]].tolist() for i in rows.tolist()] for side in SIDES
    }
    assert data.rejected is not None
    here = torch.arange(len(rows))
    spoken = {
        f"{name}_{side}": [data.vocabulary[t] for t in getattr(data, side)[rows][here, place].tolist()]
        for name, place in where.items()
        for side in SIDES
    }
    meta = {"version": 1, **about, "ids": [names[i] for i in rows.tolist()], "tokens": tokens, **spoken}
    meta |= {name: place.tolist() for name, place in where.items()}
    path = folder / "probe.json"
    if path.exists() and json.loads(path.read_text(encoding="utf-8"))["tokens"] != tokens and looks(folder):
        raise ValueError(f"{folder} holds looks at other pairs: give another folder=, or delete it")
    write(path, lambda file: file.write(json.dumps(meta).encode()))


def clear(folder: Path, after: int) -> None:
    """A run that goes on from `after` repeats the later steps; one that begins anew repeats them all."""
    for step, kinds in looks(folder).items():
        if step > after or after == 0:
            for path in kinds.values():
                path.unlink()
    if after == 0:
        (folder / "start.npz").unlink(missing_ok=True)


def looks(folder: Path) -> dict[int, dict[str, Path]]:
    """step -> {"tokens": file, "receivers": file}, in order; only whole ones."""
    found: dict[int, dict[str, Path]] = {}
    for path in folder.glob("*.parquet"):
        if match := re.fullmatch(r"(tokens|receivers)-(\d+)", path.stem):
            found.setdefault(int(match[2]), {})[match[1]] = path
    return {step: found[step] for step in sorted(found) if len(found[step]) == 2}


def save(folder: Path, step: int, shot: dict[str, np.ndarray], data: PreferencePairs, rows: Tensor, k: int) -> None:
    """Two tables of this look: a row for every token of every answer; a row for every token that gained or lost most."""
    with np.load(folder / "start.npz") as stored:
        start = {name: torch.from_numpy(stored[name]) for name in ("first", "fork")}
    table(folder / f"tokens-{step:07d}.parquet", per_token(step, shot, data, rows))
    table(folder / f"receivers-{step:07d}.parquet", gainers(step, shot, start, data, rows, k))


def table(path: Path, columns: dict[str, list]) -> None:
    import pyarrow
    import pyarrow.parquet

    write(path, lambda file: pyarrow.parquet.write_table(pyarrow.table(columns), file))


def per_token(step: int, shot: dict[str, np.ndarray], data: PreferencePairs, rows: Tensor) -> dict[str, list]:
    columns: dict[str, list] = {name: [] for name in ("step", "pair", "side", "place", "token", "logp")}
    for side in SIDES:
        mask, tokens = getattr(data, f"{side}_mask")[rows].cpu(), getattr(data, side)[rows].cpu()
        pair, place = mask.nonzero(as_tuple=True)
        n = len(pair)
        found = {"step": [step] * n, "pair": pair.tolist(), "side": [side] * n, "place": place.tolist()}
        found |= {"token": tokens[mask].tolist(), "logp": torch.from_numpy(shot[side])[mask].double().tolist()}
        for name, values in found.items():
            columns[name] += values
    return columns


def gainers(step: int, shot: dict, start: dict[str, Tensor], data: PreferencePairs, rows: Tensor, k: int) -> dict[str, list]:
    columns: dict[str, list] = {name: [] for name in ("step", "pair", "where", "token", "word", "gained", "after")}
    for where in ("first", "fork"):
        after = torch.from_numpy(shot[where]).float().exp()
        gained = after - start[where].float().exp()
        k = min(k, gained.shape[1])
        ids = torch.cat([gained.topk(k).indices, gained.topk(k, largest=False).indices], dim=1)
        columns["pair"] += [i for i in range(len(ids)) for _ in range(ids.shape[1])]
        columns["token"] += ids.flatten().tolist()
        columns["word"] += [data.vocabulary[i] for i in ids.flatten().tolist()]
        columns["gained"] += gained.gather(1, ids).flatten().tolist()
        columns["after"] += after.gather(1, ids).flatten().tolist()
        columns["where"] += [where] * ids.numel()
    columns["step"] = [step] * len(columns["pair"])
    return columns


# ------------------------------------------------------------------ reading


def of_probes(
    folder: Path, *, opposites: Words = (), paraphrases: Words = (), population: int | None = None, k: int = 5
) -> Diagnosis:
    """L2: what `diagnose` says of such a folder."""
    import pyarrow.parquet

    folder = folder.expanduser()
    meta, files = json.loads((folder / "probe.json").read_text(encoding="utf-8")), looks(folder)
    if len(files) < 2:
        raise ValueError(
            f"{folder} holds {len(files)} look{'s' * (len(files) != 1)} at the pairs: two are needed, a start and an end"
        )
    steps = list(files)
    logps = [of_tokens(pyarrow.parquet.read_table(files[s]["tokens"]).to_pydict(), len(meta["ids"])) for s in steps]
    sums = {side: torch.stack([look[side].sum(-1) for look in logps]) for side in SIDES}
    fork = torch.tensor(meta["fork"])
    opened, closed = ending(logps[0]["chosen"], logps[-1]["chosen"], fork)
    named = {"opposites": words(opposites), "paraphrases": words(paraphrases)}
    found = [received(pyarrow.parquet.read_table(files[s]["receivers"]).to_pylist(), meta, logps[0], look, k, **named)
             for s, look in zip(steps, logps, strict=True)]  # fmt: skip
    curves: dict[str, list] = {"step": steps, **{side: x.mean(-1).tolist() for side, x in sums.items()}}
    curves |= {f"gained_{name}": [o.kinds[name].mean().item() for o in found] for name in KINDS}
    movement = Movement(
        level="L2",
        chosen=sums["chosen"][-1] - sums["chosen"][0],
        rejected=sums["rejected"][-1] - sums["rejected"][0],
        start=(sums["chosen"][0], sums["rejected"][0]),
        opening=opened,
        ending=closed,
        received=found[-1],
        population=population or meta.get("population"),
        curves=curves,
        ids=tuple(meta["ids"]),
        notes=(f"Looked at {len(steps)} times, from step {steps[0]} to step {steps[-1]}.",),
    )
    return judge(movement, missing=(WHY,))


WHY = "Whose push it was: labkit.training.account.Account keeps the account of an optimiser's steps; or give both checkpoints."


def of_tokens(rows: dict[str, list], n: int) -> dict[str, Tensor]:
    """side -> `(n, t)`, 0 where there is no token of an answer."""
    width = max(rows["place"]) + 1
    found = {side: torch.zeros(n, width, dtype=torch.float64) for side in SIDES}
    for pair, side, place, logp in zip(rows["pair"], rows["side"], rows["place"], rows["logp"], strict=True):
        found[side][pair, place] = logp
    return found


def words(given: Words) -> set[int | str]:
    return {w if isinstance(w, int) else bare(w) for w in ([given] if isinstance(given, (int, str)) else given)}


def received(
    rows: list[dict],
    meta: dict,
    before: dict[str, Tensor],
    after: dict[str, Tensor],
    k: int,
    *,
    opposites: set,
    paraphrases: set,
) -> Opening:
    """Who gained at each pair's opening, from the tokens that were named; at the place where the chosen token lost more."""
    n = len(meta["ids"])
    here, change = torch.arange(n), after["chosen"] - before["chosen"]
    lost = {where: change[here, torch.tensor(meta[where])] for where in ("first", "fork")}
    late = (lost["fork"] < lost["first"]).tolist()
    kinds = {name: torch.zeros(n, dtype=torch.float64) for name in KINDS}
    total: dict[tuple[int, str, str], float] = {}
    for row in rows:
        i, where = row["pair"], "fork" if late[row["pair"]] else "first"
        if row["where"] != where or row["token"] == token_at(meta, "chosen", i, where):
            continue
        if row["token"] == token_at(meta, "rejected", i, where):
            name = "rejected"
        elif {row["token"], bare(row["word"])} & opposites:
            name = "opposite"
        elif {row["token"], bare(row["word"])} & paraphrases:
            name = "similar"
        else:
            name = kind(row["word"], meta[f"{where}_chosen"][i]) or "other"
        kinds[name][i] += row["gained"]
        key = (row["token"], row["word"], name)
        total[key] = total.get(key, 0.0) + row["gained"] / n
    top = sorted(total.items(), key=lambda item: -item[1])[:k]
    return Opening(kinds, tuple(Receiver(word, token, gain, name) for (token, word, name), gain in top if gain > 1e-4))


def token_at(meta: dict, side: str, pair: int, where: str) -> int | None:
    """The token that an answer has at a place of its sequence; the answers' tokens begin at `first`."""
    at = meta[where][pair] - meta["first"][pair]
    tokens: list[Any] = meta["tokens"][side][pair]
    return tokens[at] if at < len(tokens) else None
