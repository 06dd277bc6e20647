"""Which array of a file is meant, when several are in it: by its name, or because no other could be."""

from collections.abc import Mapping

from labkit.report.rows.sniff import Unreadable
from labkit.report.rows.stores import Store

KNOWN = {
    "z1": ("z1", "z", "z_1", "za", "z_a", "view1", "embeddings", "embedding", "embeds", "features", "x", "arr_0", "columns"),
    "z2": ("z2", "z_2", "zb", "z_b", "view2", "embeddings2", "embedding2", "arr_1"),
    "labels": ("labels", "label", "y", "target", "targets", "class", "classes"),
    "groups": ("groups", "group"),
    "pairs": ("pairs", "pair"),
    "untrained": ("untrained", "random_init", "init"),
}
KNOWN["z1"] += ("image_embeds", "image_features", "image")
KNOWN["z2"] += ("text_embeds", "text_features", "text")
WANTED = {"rows": "rows of numbers, (n, d)", "classes": "one class for each row, (n,)", "pairs": "row numbers, (m, 2)"}
# What torch calls the parameters and buffers of its modules and optimizers, after the last point of "encoder.fc.weight".
PARAMETERS = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked", "weight_g", "weight_v", "in_proj_weight"}
PARAMETERS |= {"exp_avg", "exp_avg_sq", "momentum_buffer", "step"}
ROWS = ("z1", "z2", "untrained")
# Columns of a table that are no dimension of an embedding.
SERIAL = {"", "id", "index", "idx", "row numbers", "unnamed: 0", "__index_level_0__"}  # they count rows
APART = {*SERIAL, "split", *KNOWN["labels"], *KNOWN["groups"]}


def choose(arrays: Mapping[str, Store], argument: str, what: str, key: str | None, file: str) -> str:
    """The array for an argument: the one asked for by `file:key`, the only one, or the one that has its name.

    Raises:
        Unreadable: no such key, or several arrays that could be meant.
    """
    if key is not None:
        if key not in arrays:
            raise Unreadable(f"{file} holds no {key!r}; it holds {listed(arrays)}")
        return key
    if len(arrays) == 1:
        return next(iter(arrays))
    if what == "rows" and not any(k.lower() in KNOWN.get(argument, ()) for k in arrays) and (weight := weights(arrays)):
        raise Unreadable(
            f"{file} looks like a model's weights, not embeddings: it holds {listed(arrays)}; run the model and pass what it "
            f"gives for your inputs, (n, d), or '{file}:{weight}' if you mean that array; labkit.film takes checkpoints"
        )
    sides = 2 if what == "rows" else 1
    could = {k: store for k, store in arrays.items() if _sides(store) == sides or (what == "pairs" and _sides(store) == 2)}
    could = {k: store for k, store in could.items() if k.lower() not in SERIAL} or could
    named = [k for k in could if k.lower() == argument] or [k for k in KNOWN.get(argument, ()) if k in could]
    if len(could) == 1 or named:
        return named[0] if named else next(iter(could))
    if not could:
        raise Unreadable(f"{file} holds {listed(arrays)}: none could be {argument}, {WANTED[what]}")
    example = f"{file}:{next(iter(could))}"
    raise Unreadable(f"{file} holds {listed(arrays)}; say which: '{example}'")


def weights(arrays: Mapping[str, Store]) -> str | None:
    """A weight that could be taken for rows, where most arrays are called as a model's state dict calls them; else None."""
    called = [key for key in arrays if key.rpartition(".")[2] in PARAMETERS]
    could = [key for key in called if _sides(arrays[key]) == 2]
    return could[0] if could and 2 * len(called) > len(arrays) else None


def recognise(arrays: Mapping[str, Store]) -> dict[str, str]:
    """argument -> key for the arrays of a file that stands alone; a single array is z1 whatever it is called."""
    found = {}
    for argument, names in KNOWN.items():
        sides = (2,) if argument in ROWS else (1, 2) if argument == "pairs" else (1,)
        lower = {key.lower(): key for key, store in arrays.items() if _sides(store) in sides}
        key = next((lower[name] for name in names if name in lower), None)
        if key is not None:
            found[argument] = key
    return found


def listed(arrays: Mapping[str, Store]) -> str:
    shown = [f"{key} {store.shape}" for key, store in list(arrays.items())[:6]]
    return ", ".join(shown) + (f" and {len(arrays) - 6} more" if len(arrays) > 6 else "")


def _sides(store: Store) -> int:
    """1 for a vector (a column of labels is one, too), 2 for rows."""
    return 1 if len(store.shape) == 2 and store.shape[1] == 1 else len(store.shape)
