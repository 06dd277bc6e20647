"""The explorers' JavaScript without a browser: in the node that playwright brings along, or any other on the path."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from labkit.explorers import page

MODELS = page.WEB / "models"
RUN = """
const input = decoded(JSON.parse(require("fs").readFileSync(0, "utf8")));
const plain = (v) => ArrayBuffer.isView(v) ? Array.from(v, plain) : Array.isArray(v) ? v.map(plain)
  : typeof v === "number" && !Number.isFinite(v) ? { $: "n", v: String(v) }
  : typeof v === "bigint" ? String(v)
  : v && typeof v === "object" ? Object.fromEntries(Object.entries(v).map(([k, w]) => [k, plain(w)])) : v;
const result = ((...given) => { BODY })(...input);
process.stdout.write(JSON.stringify(plain(result)));
"""


def node():
    """The path of a node, or a skipped test that says why."""
    playwright = pytest.importorskip("playwright", reason="playwright, whose node runs the scripts, is not installed")
    own = Path(playwright.__file__).parent / "driver" / "node"
    found = str(own) if own.exists() else shutil.which("node")
    if not found:
        pytest.skip("there is no node to run JavaScript with")
    return found


def run(body, *given):
    """What the JavaScript `body` returns for `given`, with everything of the explorers in scope.

    Arrays are sent in double precision and come back as lists.
    """
    models = "\n".join(path.read_text(encoding="utf-8") for path in sorted(MODELS.glob("*.js")))
    code = page.source() + models + RUN.replace("BODY", body)
    done = subprocess.run(
        [node(), "-e", code], input=json.dumps(exact(list(given))), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return back(json.loads(done.stdout))


def call(function, *given):
    """`function(...given)`, such as `call("cosines", z)`."""
    return run(f"return {function}(...given);", *given)


def shown(explorer, states):
    """What the browser's model, or its table, shows in each of these states; the data travel as they do on a page."""
    told = page.payload(explorer)
    names = [control.name for control in explorer.controls] + (["moved"] if hasattr(explorer.start, "moved") else [])
    plain = [{name: getattr(explorer.settled(state), name) for name in names} for state in states]
    made = "models[told.model.name](told.model.data)" if explorer.model else "tabled(told)"
    body = f"const [told, states] = given; const show = {made}; return states.map((s) => show(s));"
    return run(body, told, plain)


def exact(value):
    """As `page.sent`, but arrays in double precision."""
    import numpy as np

    if isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.ndim:
        return page.exact(value)
    if isinstance(value, dict):
        return {name: exact(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [exact(inner) for inner in value]
    return page.sent(value)


def back(value):
    if isinstance(value, dict):
        return float(value["v"].replace("Infinity", "inf")) if value.get("$") == "n" else {k: back(v) for k, v in value.items()}
    return [back(v) for v in value] if isinstance(value, list) else value
