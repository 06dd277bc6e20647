"""Similar submissions: a renamed copy is found among those who solved it alone; the usual ways to be right are nobody's own."""

import random
import re
import string

import pytest

from labkit.course.records import Answer, Record
from labkit.course.report.similarity import of_records, read, similar

STUB = 'def nt_xent(z1, z2, temperature):\n    """The loss of two views."""\n    raise NotImplementedError()\n'
STYLES = {
    "loop": """def nt_xent(z1, z2, temperature):
    z = torch.cat([z1, z2])
    z = z / z.norm(dim=1, keepdim=True)
    total = 0.0
    for i in range(len(z)):
        others = [z[i] @ z[j] / temperature for j in range(len(z)) if j != i]
        partner = z[i] @ z[(i + len(z1)) % len(z)] / temperature
        total = total - partner + torch.stack(others).logsumexp(0)
    return total / len(z)
""",
    "matrix": """def nt_xent(z1, z2, temperature):
    z = torch.nn.functional.normalize(torch.cat([z1, z2]), dim=1)
    logits = z @ z.T / temperature
    logits = logits.masked_fill(torch.eye(len(z), dtype=torch.bool), -torch.inf)
    targets = torch.arange(len(z)).roll(len(z1))
    return torch.nn.functional.cross_entropy(logits, targets)
""",
    "blocks": """def nt_xent(z1, z2, temperature):
    n = len(z1)
    a, b = (v / (v * v).sum(-1, keepdim=True).sqrt() for v in (z1, z2))
    ab, aa, bb = a @ b.T / temperature, a @ a.T / temperature, b @ b.T / temperature
    off = ~torch.eye(n, dtype=torch.bool)
    rows = [torch.cat([ab, aa[off].view(n, n - 1)], 1), torch.cat([ab.T, bb[off].view(n, n - 1)], 1)]
    return sum((r.logsumexp(1) - ab.diagonal()).sum() for r in rows) / (2 * n)
""",
    "own": """def nt_xent(z1, z2, temperature):
    both = torch.stack([z1, z2], 1).flatten(0, 1)
    both = both / torch.linalg.vector_norm(both, dim=-1)[:, None]
    s = torch.einsum("id,jd->ij", both, both).div(temperature)
    s.fill_diagonal_(float("-inf"))
    pair = torch.arange(len(both)) ^ 1
    top = s.amax(1, keepdim=True)
    lse = (s - top).exp().sum(1).log() + top.squeeze(1)
    return (lse - s[torch.arange(len(both)), pair]).mean()
""",
}


def renamed(source, seed=0):
    """The same code with other names, comments and layout."""
    draw = random.Random(seed)
    names = ["z", "both", "s", "pair", "top", "lse", "logits", "targets", "z1", "z2", "temperature", "n"]
    for name in names:
        new = "".join(draw.choices(string.ascii_lowercase, k=7))
        source = re.sub(rf"\b{name}\b(?!\s*=\s*(True|-1|1|0))", new, source)
    lines = [line.replace("    ", "\t") + f"  # step {k}" for k, line in enumerate(source.splitlines()) if line.strip()]
    return "# my own work\n" + "\n\n".join(lines) + "\n"


def classroom(n=24):
    """Most use one of the three usual ways, in their own words."""
    styles = ["loop", "matrix", "blocks"]
    return {f"s{k:02d}": {"a1.nt_xent": renamed(STYLES[styles[k % 3]], k)} for k in range(n)}


def test_a_renamed_copy_is_found():
    work = classroom() | {"ann": {"a1.nt_xent": STYLES["own"]}, "bob": {"a1.nt_xent": renamed(STYLES["own"], 99)}}
    pairs = similar(work, [STUB])
    assert [(p.first, p.second) for p in pairs] == [("ann", "bob")]
    (pair,) = pairs
    assert pair.score > 0.9 and pair.rare >= 8
    assert "einsum" in pair.passages[0].first and "einsum" in pair.passages[0].second
    assert "my own work" not in pair.passages[0].second


def test_part_of_a_copy_is_found():
    """Half of it rewritten, one statement put in between."""
    half = STYLES["own"].replace(
        's = torch.einsum("id,jd->ij", both, both).div(temperature)', "s = (both @ both.T) / temperature"
    )
    half = half.replace("    top =", "    print(s.shape)\n    top =")
    work = classroom() | {"ann": {"a1.nt_xent": STYLES["own"]}, "bob": {"a1.nt_xent": renamed(half, 5)}}
    assert [(p.first, p.second) for p in similar(work, [STUB], threshold=0.4)] == [("ann", "bob")]


@pytest.mark.parametrize("n", [3, 4])
def test_independent_right_answers_are_not_similar(n):
    work = {name: {"a1.nt_xent": source} for name, source in list(STYLES.items())[:n]}
    assert similar(work, [STUB]) == []


def test_three_ways_to_be_right_accuse_nobody():
    """Eight students each found the usual way: common in the class, so nobody's own."""
    assert similar(classroom(), [STUB]) == []


def test_the_release_is_nobodys_own():
    given = STYLES["matrix"].replace("nt_xent", "helper")
    work = {"ann": {"x": given + "\nA = 1"}, "bob": {"x": given + "\nB = [2, 3]"}}
    assert similar(work) and similar(work, [given]) == []
    assert similar({"ann": {"x": STUB}, "bob": {"x": STUB}}, [STUB]) == []


def test_one_copied_exercise_of_several():
    """The rest of their work differs."""
    tail = {"a1.loop": "loop", "a1.rest": "matrix"}
    ann = {"a1.nt_xent": STYLES["own"], **{name: STYLES[style] for name, style in tail.items()}}
    bob = {"a1.nt_xent": renamed(STYLES["own"], 3), "a1.loop": STYLES["blocks"], "a1.rest": STYLES["loop"]}
    (pair,) = similar({**classroom(), "ann": ann, "bob": bob}, [STUB])
    assert (pair.first, pair.second) == ("ann", "bob") and pair.passages[0].exercise == "a1.nt_xent"


def test_prose_and_code_that_does_not_parse():
    essay = (
        "A lower temperature spends its force on the nearest negatives, and those are mostly of the same class as the anchor."
    )
    other = "Half of what I expected came true: uniformity rose, though not where the lesson had said that it would."
    work = {"ann": {"essay": essay}, "bob": {"essay": "I think that " + essay.lower()}, "cyd": {"essay": other}}
    assert [(p.first, p.second) for p in similar(work)] == [("ann", "bob")]
    broken = STYLES["own"].replace("return (lse", "return ((lse")
    assert [(p.first, p.second) for p in similar({"ann": {"x": broken}, "bob": {"x": renamed(broken, 2)}})] == [("ann", "bob")]


@pytest.mark.parametrize("source", ["", "\0", "def", "x" * 10_000, "(" * 5000, "'''", "\ud800"[:0] + "é = 1"])
def test_whatever_they_wrote_is_read(source):
    assert read(source).prints is not None
    assert similar({"a": {"x": source}, "b": {"x": "pass"}}) == []


def test_records_are_read():
    def record(student, source, changed=True):
        answer = Answer("check_a1_nt_xent", "a1.nt_xent", 1.0, 5.0, source=source, changed=changed)
        return Record(student, "a1_infonce", "practice", answers=(answer,))

    copied = [
        record("ann", STYLES["own"]),
        record("bob", renamed(STYLES["own"], 1)),
        record("cyd", STYLES["own"], changed=False),
    ]
    assert [(p.first, p.second) for p in of_records(copied)] == [("ann", "bob")]


def test_a_large_class_takes_seconds():
    import time

    began = time.monotonic()
    similar({f"s{k}": {f"e{j}": renamed(STYLES[s], k * 7 + j) for j, s in enumerate(STYLES)} for k in range(100)}, [STUB])
    assert time.monotonic() - began < 20
