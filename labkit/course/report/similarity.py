"""Submissions that share what is unusual, found on this machine and shown side by side: a reason to look, never a verdict.

A short exercise has few ways to be right, and a class that sits together talks. So what counts is not how much two answers have
in common but how much of that hardly anybody else has: names, comments and layout are put aside, what the release gives and
what many share is taken off, and of the rest every piece weighs by how rare it is.
"""

import ast
import builtins
import io
import keyword
import math
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any
from zlib import crc32

GRAM, WINDOW = 10, 4  # a shared run of GRAM + WINDOW - 1 tokens is never missed, one below GRAM never seen
WORDS = 6  # in a row, for answers in prose
KEPT = {*keyword.kwlist, *keyword.softkwlist, *dir(builtins)}


@dataclass(frozen=True)
class Passage:
    """What two answers to one exercise share: the lines of each, how many pieces, and how many of them nobody else has."""

    exercise: str
    first: str
    second: str
    shared: int
    rare: int


@dataclass(frozen=True)
class Pair:
    """Two submissions that share what is unusual.

    score: of the unusual in the shorter work, the share that the other has as well, 0 to 1.
    rare: shared pieces that nobody else in the class has.
    """

    first: str
    second: str
    score: float
    rare: int
    passages: tuple[Passage, ...]


@dataclass(frozen=True)
class Token:
    text: str
    line: int


@dataclass(frozen=True)
class Answer:
    """One student's answer to one exercise, as fingerprints: hash -> where in the tokens it begins."""

    source: str
    tokens: tuple[Token, ...]
    gram: int

    @cached_property
    def prints(self) -> dict[int, int]:
        return winnowed([token.text for token in self.tokens], self.gram)

    def lines(self, starts: Iterable[int]) -> str:
        """The lines that these pieces lie on."""
        found: set[int] = set()
        for start in starts:
            found.update(range(self.tokens[start].line, self.tokens[min(start + self.gram, len(self.tokens)) - 1].line + 1))
        text = self.source.splitlines()
        return "\n".join(text[k - 1] for k in sorted(found) if k <= len(text) and text[k - 1].strip())


def similar(
    work: Mapping[str, Mapping[str, str]],
    released: Iterable[str] = (),
    *,
    threshold: float = 0.6,
    least: float = 4.0,
    common: float = 0.2,
) -> list[Pair]:
    """Pairs that share what is unusual in this class, the most unusual first.

    Args:
        work: student -> exercise -> source of the answer (Python; prose where it is not).
        released: what everybody was given, cell by cell.
        threshold: the share of the unusual, of one exercise or of everything, from which a pair is named.
        least: how much of it there must be, in pieces that nobody else has (others count less).
        common: what more than this part of the class has (and more than three) is nobody's own.

    Of the pieces of a token sequence those are kept that winnowing keeps (Schleimer, Wilkerson & Aiken 2003, SIGMOD): the
    least hash of every window, so that the same passage leaves the same marks wherever it stands.

    What it does not see: what the whole class copied, an answer rewritten from scratch, and who wrote it first.
    """
    given = {mark for source in released for mark in read(source).prints}
    answers = {student: {name: read(source) for name, source in mine.items()} for student, mine in work.items()}
    holders: dict[tuple[str, int], set[str]] = defaultdict(set)
    for student, mine in answers.items():
        for name, answer in mine.items():
            for mark in answer.prints:
                holders[name, mark].add(student)
    most = max(3, common * len(answers))
    weights = {key: weight(len(who), most) for key, who in holders.items() if key[1] not in given and len(who) <= most}
    meetings: dict[tuple[str, str], set[tuple[str, int]]] = defaultdict(set)
    for key in weights:
        for pair in combinations(sorted(holders[key]), 2):
            meetings[pair].add(key)
    pairs = [compared(a, b, keys, answers, weights, holders, threshold, least) for (a, b), keys in meetings.items()]
    return sorted((p for p in pairs if p), key=lambda p: (-p.rare, -p.score, p.first, p.second))


def of_records(records: Iterable[Any], released: Iterable[str] = (), **options: Any) -> list[Pair]:
    """`similar` for graded submissions (`labkit.course.records`): every answer that the student changed."""
    work = {
        record.student: {a.exercise or a.cell: a.source for a in record.answers if a.changed and a.source} for record in records
    }
    return similar(work, released, **options)


def weight(holders: int, most: float) -> float:
    """1 for what two have or one alone, falling to 0 for what is as common as it may be.

    >>> [round(weight(k, 6), 2) for k in (1, 2, 4, 6)]
    [1.0, 1.0, 0.45, 0.12]
    """
    return 1.0 if holders <= 2 else math.log((most + 1) / holders) / math.log((most + 1) / 2)


def compared(
    a: str,
    b: str,
    keys: set[tuple[str, int]],
    answers: Mapping[str, Mapping[str, Answer]],
    weights: Mapping[tuple[str, int], float],
    holders: Mapping[tuple[str, int], set[str]],
    threshold: float,
    least: float,
) -> Pair | None:
    """The pair, if what they share is enough of something unusual, in one exercise or in all."""
    shared: dict[str, float] = defaultdict(float)
    for key in keys:
        shared[key[0]] += weights[key]
    own = {who: {n: total(n, answers[who][n], weights) for n in answers[who]} for who in (a, b)}
    scores = {n: shared[n] / max(min(own[a][n], own[b][n]), 1e-9) for n in shared}
    every = sum(shared.values()) / max(min(sum(own[a].values()), sum(own[b].values())), 1e-9)
    telling = [n for n in shared if scores[n] >= threshold and shared[n] >= least]
    if not telling and (every < threshold or sum(shared.values()) < least):
        return None
    passages = []
    for name in sorted(shared, key=lambda n: -shared[n]):
        marks = [mark for n, mark in keys if n == name]
        rare = sum(len(holders[name, mark]) == 2 for mark in marks)
        mine, theirs = (answers[who][name] for who in (a, b))
        lines = [each.lines(each.prints[mark] for mark in marks) for each in (mine, theirs)]
        passages.append(Passage(name, lines[0], lines[1], len(marks), rare))
    score = min(1.0, max([every, *(scores[n] for n in telling)]))
    return Pair(a, b, round(score, 3), sum(p.rare for p in passages), tuple(passages))


def total(name: str, answer: Answer, weights: Mapping[tuple[str, int], float]) -> float:
    return sum(weights.get((name, mark), 0.0) for mark in answer.prints)


# ---------------------------------------------------------------- from text to fingerprints


def read(source: str) -> Answer:
    """An answer's tokens, of Python or of prose.

    >>> [t.text for t in read("def f(a):\\n    return torch.exp(a)  # e").tokens]
    ['def', '_', '(', '_', ')', ':', 'return', 'torch', '.', 'exp', '(', '_', ')']
    """
    code = code_tokens(source)
    if code is not None:
        return Answer(source, tuple(code), GRAM)
    words = [Token(m[0].lower(), k) for k, line in enumerate(source.splitlines(), 1) for m in re.finditer(r"\w+", line)]
    return Answer(source, tuple(words), WORDS)


def code_tokens(source: str) -> list[Token] | None:
    """Without comments, docstrings and layout, and with every name that the cell makes up itself as `_`; None for prose."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        tree = None
    if tree is None and not re.search(r"^\s*(def |return\b|import |for .*:|\w+ = )", source, re.MULTILINE):
        return None
    own, texts = made_up(tree) if tree else None, docstrings(tree) if tree else set()
    found: list[Token] = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type in (tokenize.NAME, tokenize.OP, tokenize.NUMBER, tokenize.STRING) and token.start[0] not in texts:
                attribute = bool(found) and found[-1].text == "."
                found.append(Token(plain(token, own, attribute), token.start[0]))
    except (tokenize.TokenError, SyntaxError, IndentationError):
        pass  # the rest of a cell that does not parse
    return found


def plain(token: tokenize.TokenInfo, own: set[str] | None, attribute: bool) -> str:
    if token.type == tokenize.STRING:
        return "text"
    if token.type != tokenize.NAME or attribute or token.string in KEPT:
        return token.string
    return "_" if own is None or token.string in own else token.string


def made_up(tree: ast.AST) -> set[str]:
    """Names that the cell itself gives: to variables, arguments, functions and imports."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).split(".")[0])
    return names - KEPT


def docstrings(tree: ast.AST) -> set[int]:
    """Lines of strings that stand alone."""
    alone = [n.value for n in ast.walk(tree) if isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)]
    return {line for node in alone if isinstance(node.value, str) for line in range(node.lineno, (node.end_lineno or 0) + 1)}


def winnowed(tokens: list[str], gram: int, window: int = WINDOW) -> dict[int, int]:
    """The least hash of every window of runs of `gram` tokens, and where it first begins.

    >>> a = winnowed(list("the quick brown fox jumps"), 6)
    >>> b = winnowed(list("and a quick brown fox sleeps"), 6)
    >>> len(set(a) & set(b)) >= 2
    True
    """
    hashes = [crc32("\0".join(tokens[k : k + gram]).encode()) for k in range(len(tokens) - gram + 1)]
    kept: dict[int, int] = {}
    for k in range(max(len(hashes) - window + 1, min(len(hashes), 1))):
        chosen = min(range(k, min(k + window, len(hashes))), key=lambda j: (hashes[j], -j))
        kept.setdefault(hashes[chosen], chosen)
    return kept
