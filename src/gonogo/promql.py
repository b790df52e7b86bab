"""Reads PromQL, so that an alert's expression can be understood instead of being compared as text.

The grammar is that of Prometheus 2 (https://prometheus.io/docs/prometheus/latest/querying/basics/ and
``.../operators/``): what binds how, what may follow a selector. Names of functions and types of values are not
checked, because Prometheus has loaded the rule already.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

COMPARISONS = ("==", "!=", "<=", "<", ">=", ">")
_BINDING = {
    "or": 1,
    "and": 2,
    "unless": 2,
    **dict.fromkeys(COMPARISONS, 3),
    "+": 4,
    "-": 4,
    "*": 5,
    "/": 5,
    "%": 5,
    "atan2": 5,
    "^": 7,
}
_UNARY_BINDING = 6
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0, "y": 31_536_000.0}
_DEEPEST = 100
"""Nesting beyond this is refused: no rule that a person wrote comes near it."""
_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)
    |(?P<duration>(?:\d+(?:ms|[smhdwy]))+(?![\w.]))
    |(?P<number>0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.])|(?i:\binf\b|\bnan\b))
    |(?P<name>[a-zA-Z_][\w:]*)
    |(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)
    |(?P<sign>==|!=|=~|!~|>=|<=|[-+*/%^<>=(){}\[\],@:])""",
    re.VERBOSE,
)


class PromqlError(ValueError):
    """An expression that can't be read; the message says where."""


@dataclass(frozen=True)
class Number:
    """A constant."""

    value: float
    text: str = ""


@dataclass(frozen=True)
class Text:
    """A string."""

    value: str
    text: str = ""


@dataclass(frozen=True)
class Selector:
    """Series by name and labels."""

    name: str
    matchers: tuple[tuple[str, str, str], ...] = ()
    range_s: float = 0.0
    """Length of the window in seconds; 0 for the newest sample alone."""
    offset_s: float = 0.0
    pinned: bool = False
    """It looks at one fixed moment (``@``), whatever the time is."""
    text: str = ""


@dataclass(frozen=True)
class Call:
    """A function or an aggregation."""

    name: str
    arguments: tuple[Node, ...]
    by: tuple[str, ...] = ()
    """Labels that an aggregation keeps apart."""
    without: tuple[str, ...] | None = None
    """Or those that it does not, all others being kept apart."""
    text: str = ""


@dataclass(frozen=True)
class Subquery:
    """An expression evaluated at many moments of a window."""

    inner: Node
    range_s: float
    offset_s: float = 0.0
    pinned: bool = False
    text: str = ""


@dataclass(frozen=True)
class Binary:
    """Two expressions with an operator between them."""

    operator: str
    left: Node
    right: Node
    returns_bool: bool = False
    matching: str = ""
    """``on (...)``, ``group_left`` and the like, as written."""
    text: str = ""


Node = Number | Text | Selector | Call | Subquery | Binary


def parse(expression: str) -> Node:
    """The syntax tree of an expression; each node keeps the text that it was read from.

    Raises:
        PromqlError: it is no PromQL.
    """
    parser = _Parser(expression)
    found = parser.binary(0, 0)
    if parser.kind != "end":
        raise parser.error("the end of the expression")
    return found


def selectors(node: Node) -> Iterator[Selector]:
    """All selectors of a tree, from left to right."""
    match node:
        case Selector():
            yield node
        case Call():
            for argument in node.arguments:
                yield from selectors(argument)
        case Subquery():
            yield from selectors(node.inner)
        case Binary():
            yield from selectors(node.left)
            yield from selectors(node.right)
        case _:
            return


class _Parser:
    """Precedence climbing over the tokens of one expression."""

    def __init__(self, expression: str) -> None:
        self._source = expression
        self._tokens = list(self._read(expression))
        self._at = 0

    @staticmethod
    def _read(source: str) -> Iterator[tuple[str, str, int]]:
        at = 0
        while at < len(source):
            found = _TOKEN.match(source, at)
            if found is None:
                raise PromqlError(f"no PromQL at character {at + 1}: {source[at : at + 20]!r}")
            if found.lastgroup != "space":
                yield found.lastgroup or "", found.group(), at
            at = found.end()
        yield "end", "", at

    @property
    def kind(self) -> str:
        return self._tokens[self._at][0]

    @property
    def word(self) -> str:
        """The token's text; keywords of PromQL are the same in any case."""
        text = self._tokens[self._at][1]
        return text.lower() if self.kind == "name" else text

    def error(self, expected: str) -> PromqlError:
        _, text, at = self._tokens[self._at]
        return PromqlError(f"{expected} expected at character {at + 1}, found {text or 'the end'!r}")

    def _take(self, expected: str | None = None) -> str:
        if expected is not None and self.word != expected:
            raise self.error(repr(expected))
        text = self._tokens[self._at][1]
        if self.kind == "end":
            raise self.error("more")
        self._at += 1
        return text

    def _since(self, start: int) -> str:
        """What was read since a position of the source."""
        _, text, at = self._tokens[self._at - 1]
        return self._source[start : at + len(text)]

    @property
    def _start(self) -> int:
        return self._tokens[self._at][2]

    def binary(self, weakest: int, depth: int) -> Node:
        if depth > _DEEPEST:
            raise PromqlError(f"nested more than {_DEEPEST} deep")
        start = self._start
        left = self._unary(depth)
        while (binding := _BINDING.get(self.word, 0)) > weakest and self.kind != "text":
            operator = self._take().lower()
            returns_bool = self._skip("bool")
            matching = self._matching()
            # The power alone binds to the right.
            right = self.binary(binding - 1 if operator == "^" else binding, depth + 1)
            left = Binary(operator, left, right, returns_bool, matching, self._since(start))
        return left

    def _unary(self, depth: int) -> Node:
        start = self._start
        if self.kind == "sign" and self.word in {"-", "+"}:
            sign = self._take()
            inner = self.binary(_UNARY_BINDING, depth + 1)
            return inner if sign == "+" else Binary("*", Number(-1.0, "-1"), inner, text=self._since(start))
        return self._postfix(self._primary(depth), start)

    def _primary(self, depth: int) -> Node:
        start = self._start
        if self._skip("("):
            inner = self.binary(0, depth + 1)
            self._take(")")
            return replace(inner, text=self._since(start))
        if self.kind == "number":
            text = self._take()
            return Number(float(int(text, 16)) if text[:2].lower() == "0x" else float(text), text)
        if self.kind == "duration":  # newer versions take a duration for a number of seconds
            return Number(self._duration(), self._since(start))
        if self.kind == "text":
            text = self._take()
            return Text(_unquoted(text), text)
        if self.kind == "name":
            name = self._take()
            calls = self.word == "(" or (self.word in {"by", "without"} and self.kind == "name")
            return self._call(name, start, depth) if calls else self._selector(name, start)
        if self.word == "{":
            return self._selector("", start)
        raise self.error("a value")

    def _call(self, name: str, start: int, depth: int) -> Node:
        grouping = self._grouping()
        self._take("(")
        arguments: list[Node] = []
        while not self._skip(")"):
            arguments.append(self.binary(0, depth + 1))
            if self.word != ")":
                self._take(",")
        grouping = self._grouping() or grouping
        by, without = grouping.get("by", ()), grouping.get("without")
        return Call(name.lower(), tuple(arguments), by, without, self._since(start))

    def _selector(self, name: str, start: int) -> Selector:
        matchers: list[tuple[str, str, str]] = []
        if self._skip("{"):
            while not self._skip("}"):
                label = _unquoted(self._take())
                if self.word in {",", "}"}:  # newer versions let the metric's name stand in quotes here
                    name = label
                else:
                    operator = self._take()
                    matchers.append((label, operator, _unquoted(self._take())))
                if self.word != "}":
                    self._take(",")
        named = [value for label, operator, value in matchers if (label, operator) == ("__name__", "=")]
        return Selector(name or (named[0] if named else ""), tuple(matchers), text=self._since(start))

    def _postfix(self, node: Node, start: int) -> Node:
        while self.word in {"[", "offset", "@"} and self.kind != "text":
            if self._skip("["):
                window_s = self._duration()
                if self._skip(":"):
                    if self.word != "]":
                        self._duration()
                    node = Subquery(node, window_s)
                elif isinstance(node, Selector):
                    node = replace(node, range_s=window_s)
                else:
                    raise self.error("':' of a subquery")
                self._take("]")
            elif not isinstance(node, Selector | Subquery):
                raise self.error("a selector before it")
            elif self._skip("@"):
                if self._take() in {"start", "end"} and self._skip("("):
                    self._take(")")
                node = replace(node, pinned=True)
            else:
                self._take("offset")
                sign = -1.0 if self._skip("-") else 1.0
                node = replace(node, offset_s=sign * self._duration())
            node = replace(node, text=self._since(start))
        return node

    def _duration(self) -> float:
        if self.kind == "number":
            return float(self._take())
        if self.kind != "duration":
            raise self.error("a duration such as 5m")
        return seconds(self._take())

    def _grouping(self) -> dict[str, tuple[str, ...]]:
        if self.word in {"by", "without"} and self.kind == "name":
            return {self._take().lower(): self._names()}
        return {}

    def _matching(self) -> str:
        start = self._start
        found = False
        while self.word in {"on", "ignoring", "group_left", "group_right"} and self.kind == "name":
            needed = self._take().lower() in {"on", "ignoring"}
            if needed or self.word == "(":
                self._names()
            found = True
        return self._since(start) if found else ""

    def _names(self) -> tuple[str, ...]:
        self._take("(")
        names = []
        while not self._skip(")"):
            names.append(_unquoted(self._take()))
        return tuple(names)

    def _skip(self, word: str) -> bool:
        if self.word != word or self.kind == "text":
            return False
        self._at += 1
        return True


def seconds(text: str) -> float:
    """A duration as Prometheus writes it, ``1m30s``, in seconds.

    Raises:
        PromqlError: it is none.
    """
    parts = re.findall(r"(\d+)(ms|[smhdwy])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise PromqlError(f"{text!r} is no duration such as 1m30s")
    return sum(int(number) * _UNITS_S[unit] for number, unit in parts)


def _unquoted(text: str) -> str:
    if text[:1] == "`":
        return text[1:-1]
    if text[:1] not in {'"', "'"}:
        return text
    simple = {"n": "\n", "t": "\t", "r": "\r"}
    return re.sub(r"\\(.)", lambda found: simple.get(found.group(1), found.group(1)), text[1:-1])
