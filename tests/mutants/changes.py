"""The changes that can be made to a module: each swaps, negates or leaves out one thing."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

_OTHER = {
    **{"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "in": "not in", "not in": "in"},
    **{"is": "is not", "is not": "is", "and": "or", "or": "and"},
    **{"+": "-", "-": "+", "*": "/", "/": "*", "//": "*", "%": "*", "|": "&", "&": "|", "**": "*"},
}
_SPELT: dict[type[ast.AST], str] = {
    **{ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="},
    **{ast.In: "in", ast.NotIn: "not in", ast.Is: "is", ast.IsNot: "is not", ast.And: "and", ast.Or: "or"},
    **{ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%"},
    **{ast.BitOr: "|", ast.BitAnd: "&", ast.Pow: "**"},
}
_LEFT_OUT = (ast.AugAssign, ast.Raise, ast.Continue, ast.Break, ast.Delete)


@dataclass(frozen=True)
class Change:
    """One change: the bytes from ``start`` to ``end`` of a module become ``new``."""

    module: str
    line: int
    start: int
    end: int
    new: str
    scope: str
    """The name that a module-level statement binds; empty in functions."""

    def apply(self, source: bytes) -> bytes:
        return source[: self.start] + self.new.encode() + source[self.end :]

    def lines(self, source: bytes) -> tuple[str, str]:
        """Return the lines as they were and as they are."""
        first = source.rfind(b"\n", 0, self.start) + 1
        last = source.find(b"\n", self.end)
        old = source[first:last].decode()
        return old.strip(), (source[first : self.start].decode() + self.new + source[self.end : last].decode()).strip()


def changes(module: str, source: bytes) -> Iterator[Change]:
    """Yield all changes of a module that are not to its types, imports, decorators, docstrings or texts for people."""
    return _Finder(module, source).found(ast.parse(source))


def is_python(source: bytes) -> bool:
    """Say whether a changed source is one."""
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True


class _Finder:
    def __init__(self, module: str, source: bytes) -> None:
        self._module, self._source = module, source
        lengths = [len(line) for line in source.splitlines(keepends=True)]
        self._starts = [sum(lengths[:number]) for number in range(len(lengths) + 1)]

    def found(self, tree: ast.Module) -> Iterator[Change]:
        for statement in tree.body:
            yield from self._visit(statement, _bound(statement))

    def _visit(self, node: ast.AST, scope: str) -> Iterator[Change]:
        if _is_left_alone(node):
            return
        for start, end, new in self._of(node):
            line = self._source.count(b"\n", 0, start) + 1
            yield Change(self._module, line, start, end, new, scope)
        for child in _children(node):
            yield from self._visit(child, "" if isinstance(node, ast.FunctionDef) else scope)

    def _at(self, node: ast.AST) -> tuple[int, int]:
        assert isinstance(node, ast.expr | ast.stmt)
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return (
            self._starts[node.lineno - 1] + node.col_offset,
            self._starts[node.end_lineno - 1] + node.end_col_offset,
        )

    def _text(self, node: ast.AST) -> str:
        start, end = self._at(node)
        return self._source[start:end].decode()

    def _of(self, node: ast.AST) -> Iterator[tuple[int, int, str]]:
        match node:
            case ast.Compare():
                for left, kind, right in zip([node.left, *node.comparators], node.ops, node.comparators, strict=False):
                    yield from self._swapped(left, kind, right)
            case ast.BoolOp():
                for left, right in pairwise(node.values):
                    yield from self._swapped(left, node.op, right)
            case ast.BinOp():
                yield from self._swapped(node.left, node.op, node.right)
            case ast.UnaryOp(op=ast.Not() | ast.USub()):
                yield *self._at(node), self._text(node.operand)
            case ast.Constant():
                yield from self._constant(node)
            case ast.JoinedStr() if not _is_sentence(node):
                yield *self._at(node), '"XX"'
            case ast.If() | ast.While() | ast.IfExp():
                yield *self._at(node.test), f"(not ({self._text(node.test)}))"
            case ast.comprehension():
                for test in node.ifs:
                    yield *self._at(test), f"(not ({self._text(test)}))"
            case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
                yield *self._at(value), "None"
            case ast.Expr(value=ast.Call()):
                yield *self._at(node), "pass"
            case ast.Assign(targets=[ast.Attribute() | ast.Subscript() | ast.Tuple()]):
                yield *self._at(node), "pass"
            case ast.Tuple(ctx=ast.Load()) | ast.List(ctx=ast.Load()) | ast.Set():
                yield from self._without_one(list(node.elts))
            case ast.Dict():
                yield from self._without_one([key or value for key, value in zip(node.keys, node.values, strict=True)])
            case ast.Call():
                for keyword in node.keywords:
                    if keyword.arg is not None:
                        yield from self._without_argument(keyword)
            case _ if isinstance(node, _LEFT_OUT):
                yield *self._at(node), "pass"

    def _swapped(self, left: ast.expr, kind: ast.AST, right: ast.expr) -> Iterator[tuple[int, int, str]]:
        if any(isinstance(side, ast.JoinedStr) or _is_text(side) for side in (left, right)) and type(kind) is ast.Add:
            return
        spelt = _SPELT.get(type(kind))
        start, end = self._at(left)[1], self._at(right)[0]
        word = re.search(re.escape(spelt).replace(r"\ ", r"\s+"), self._source[start:end].decode()) if spelt else None
        if word is not None and spelt is not None:
            yield start + word.start(), start + word.end(), _OTHER[spelt]

    def _constant(self, node: ast.Constant) -> Iterator[tuple[int, int, str]]:
        value = node.value
        if isinstance(value, bool):
            yield *self._at(node), repr(not value)
        elif isinstance(value, int | float):
            yield *self._at(node), repr(value + 1)
        elif isinstance(value, str) and not _is_sentence(node):
            yield *self._at(node), repr(f"XX{value}XX" if value else "XX")
        elif isinstance(value, bytes):
            yield *self._at(node), repr(b"XX" + value)

    def _without_one(self, items: list[ast.expr]) -> Iterator[tuple[int, int, str]]:
        if len(items) < 2:
            return
        starts = [self._at(item)[0] for item in items]
        for start, following in pairwise(starts):
            if self._source[:start].rstrip()[-2:] != b"**":
                yield start, following, ""

    def _without_argument(self, keyword: ast.keyword) -> Iterator[tuple[int, int, str]]:
        start = self._starts[keyword.lineno - 1] + keyword.col_offset
        end = self._at(keyword.value)[1]
        comma = re.match(rb"\s*,", self._source[end:])
        if comma is not None:
            yield start, end + comma.end(), ""
        else:
            before = re.search(rb",\s*$", self._source[:start])
            yield (before.start() if before else start), end, ""


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what of a node may be changed."""
    for name, value in ast.iter_fields(node) if not isinstance(node, ast.JoinedStr) else ():
        if name in ("annotation", "returns", "decorator_list", "bases", "type_params"):
            continue
        items = value if isinstance(value, list) else [value]
        if name == "elts" and isinstance(node, ast.Set):
            items = [item for item in items if not _is_text(item)]  # to leave one out is the same
        if isinstance(node, ast.Call) and name == "args" and _is_for_people(node):
            items = [item for item in items if not _is_text(item) and not isinstance(item, ast.JoinedStr)]
        yield from (item for item in items if isinstance(item, ast.AST))


def _is_left_alone(node: ast.AST) -> bool:
    match node:
        case ast.Import() | ast.ImportFrom() | ast.Assert() | ast.FormattedValue():
            return True
        case ast.Expr(value=ast.Constant() | ast.Call(func=ast.Attribute(value=ast.Name(id="logger"), attr="debug"))):
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case ast.Call(func=ast.Name(id="TypeVar" | "cast" | "getLogger")):
            return True
        case ast.Assign(value=ast.BinOp() | ast.Subscript()):
            return _is_type(node)
    return False


def _is_type(node: ast.Assign) -> bool:
    """Say whether an assignment gives a type a name: in capitals, not all of them."""
    name = node.targets[0]
    return isinstance(name, ast.Name) and name.id.lstrip("_")[:1].isupper() and not name.id.isupper()


def _is_for_people(call: ast.Call) -> bool:
    """Say whether a call's texts are a log line or an error's message."""
    match call.func:
        case ast.Attribute(value=ast.Name(id="logger")):
            return True
        case ast.Name(id=name):
            return name.endswith("Error")
    return False


def _is_sentence(node: ast.Constant | ast.JoinedStr) -> bool:
    """Say whether a text is words for people, which are nobody's to assert."""
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    texts = [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
    return any(re.search(r"[A-Za-z],? [A-Za-z]|: ", text) for text in texts)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _bound(statement: ast.stmt) -> str:
    match statement:
        case (
            ast.Assign(targets=[ast.Name(id=name) | ast.Tuple(elts=[ast.Name(id=name), *_])])
            | ast.AnnAssign(target=ast.Name(id=name))
        ):
            return name
        case ast.ClassDef(name=name):  # what is in it and in none of its functions
            return name
    return "" if isinstance(statement, ast.FunctionDef) else "?"
