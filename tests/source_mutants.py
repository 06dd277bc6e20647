"""New wrong answers, made from right ones: one small change in the source of a function, of the kinds that people make."""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

OPPOSITE = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult}
COMPARED = {ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Gt: ast.LtE, ast.GtE: ast.Lt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}
RENAMED = {
    "mean": "sum",
    "sum": "mean",
    "amax": "amin",
    "max": "min",
    "min": "max",
    "log_softmax": "softmax",
    "softmax": "log_softmax",
    "logsumexp": "amax",
    "cumsum": "cumprod",
    "argmax": "argmin",
    "argmin": "argmax",
    "std": "var",
    "var": "std",
}
DROPPED = {
    "detach": 0,
    "log": 0,
    "exp": 0,
    "log1p": 0,
    "expm1": 0,
    "abs": 0,
    "sqrt": 0,
    "square": 0,
    "pow": 0,
    "clamp": 0,
    "clip": 0,
    "maximum": 0,
    "minimum": 0,
    "masked_fill": 0,
    "fill_diagonal_": 0,
    "normalize": 0,
    "softplus": 0,
    "logsigmoid": 0,
    "sigmoid": 0,
    "relu": 0,
    "roll": 0,
    "flip": 0,
    "cumsum": 0,
    "round": 0,
}


@dataclass(frozen=True)
class Change:
    """A wrong answer and, in words, what was changed where."""

    says: str
    right: Callable[..., Any]
    text: str

    @property
    def function(self) -> Callable[..., Any]:
        space = dict(self.right.__globals__)
        exec(compile(self.text, f"<changed {self.right.__name__}>", "exec"), space)
        made: Callable[..., Any] = space[self.right.__name__]
        return made


def changes(function: Callable[..., Any]) -> list[Change]:
    """All changes of a function; none if its source cannot be had, or if it is part of something larger."""
    function = inspect.unwrap(function)
    try:
        source = textwrap.dedent(inspect.getsource(function))
        tree = ast.parse(source)
    except (OSError, TypeError, SyntaxError):
        return []
    if not isinstance(tree.body[0], ast.FunctionDef) or function.__closure__:
        return []
    found, seen = [], {ast.unparse(tree)}
    for place, node in enumerate(ast.walk(tree.body[0])):
        for words, new in replacements(node):
            made = ast.parse(source)
            replace(made, place, new)
            text = ast.unparse(made)
            if text in seen:
                continue
            seen.add(text)
            line = f"line {node.lineno}" if hasattr(node, "lineno") else ""
            found.append(Change(f"{function.__name__}, {line}: {words}", function, text))
    return found


def replace(tree: ast.Module, place: int, new: Callable[[Any], Any]) -> None:
    """Put what `new` makes of the node at this place in its stead."""
    target = list(ast.walk(tree.body[0]))[place]
    made = new(target)
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            if value is target:
                setattr(parent, name, made)
            elif isinstance(value, list):
                setattr(parent, name, [made if item is target else item for item in value])
    ast.fix_missing_locations(tree)


def told(node: ast.AST) -> str:
    text = ast.unparse(node)
    return text if len(text) < 70 else f"{text[:67]}..."


def replacements(node: ast.AST) -> Iterator[tuple[str, Callable[[Any], Any]]]:
    """What may stand in a node's place: words, and a function that makes it from the node's copy."""
    if isinstance(node, ast.BinOp):
        if (other := OPPOSITE.get(type(node.op))) is not None:
            yield f"another operator in {told(node)}", lambda n, o=other: ast.BinOp(n.left, o(), n.right)
        if not isinstance(node.op, (ast.MatMult, ast.Mod)):
            yield f"only the left of {told(node)}", lambda n: n.left
        if isinstance(node.op, (ast.Add, ast.Mult, ast.BitAnd, ast.BitOr)):
            yield f"only the right of {told(node)}", lambda n: n.right
    elif isinstance(node, ast.UnaryOp) and not isinstance(node.operand, ast.Constant):
        yield f"no sign in {told(node)}", lambda n: n.operand
    elif isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in COMPARED:
        other = COMPARED[type(node.ops[0])]
        yield f"the opposite of {told(node)}", lambda n, o=other: ast.Compare(n.left, [o()], n.comparators)
    elif isinstance(node, (ast.If, ast.IfExp)):
        yield f"the condition turned round: {told(node.test)}", turned
    elif isinstance(node, ast.Call):
        yield from calls(node)
    elif isinstance(node, ast.Attribute) and node.attr in ("T", "mT"):
        yield f"not transposed: {told(node)}", lambda n: n.value
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float) and node.value not in (1e9,):
        for value in {0: (1,), 1: (0, 2), 2: (1,), -1: (0,)}.get(node.value, (node.value * 2,)):
            yield f"{value} for {node.value}", lambda n, v=value: ast.Constant(v)
    elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and tensor(node.value):
        yield f"detached: {told(node.value)}", detached


def tensor(node: ast.expr) -> bool:
    """Whether this may well be a tensor: arithmetic, or a call of something with a dot in its name."""
    return isinstance(node, ast.BinOp) or (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute))


def turned(node: Any) -> Any:
    node.test = ast.UnaryOp(ast.Not(), node.test)
    return node


def detached(node: Any) -> Any:
    node.value = ast.Call(ast.Attribute(node.value, "detach", ast.Load()), [], [])
    return node


def calls(node: ast.Call) -> Iterator[tuple[str, Callable[[Any], Any]]]:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id if isinstance(node.func, ast.Name) else ""
    module = isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name) and node.func.value.id in MODULES
    if name in RENAMED and isinstance(node.func, ast.Attribute):
        yield f"{RENAMED[name]} for {name} in {told(node)}", renamed
    first = module or isinstance(node.func, ast.Name)
    if name in DROPPED and (node.args or not first):
        yield f"no {name} in {told(node)}", (lambda n: n.args[0]) if first else (lambda n: n.func.value)
    for k, word in enumerate(node.keywords):
        if word.arg == "reduction" and isinstance(word.value, ast.Constant):
            yield f"another reduction in {told(node)}", lambda n, k=k: with_keyword(n, k, "sum")


MODULES = {"torch", "F", "np", "numpy", "math"}


def renamed(node: Any) -> Any:
    node.func.attr = RENAMED[node.func.attr]
    return node


def with_keyword(node: Any, k: int, value: Any) -> Any:
    node.keywords[k].value = ast.Constant(value)
    return node
