"""What an alert's expression means: which quantity it holds against which number, and how far back it looks."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Final

from gonogo.promql import COMPARISONS, Binary, Call, Node, Number, Selector, Subquery, parse, selectors

_MIRRORED: Final = {">": "<", "<": ">", ">=": "<=", "<=": ">=", "==": "==", "!=": "!="}
_OF_SERIES = ("absent", "count", "count_values", "group", "timestamp")
"""These look at which series there are, not at their values."""
_QUANTILES = ("histogram_quantile", "quantile_over_time", "quantile")


@dataclass(frozen=True)
class Meaning:
    """One comparison, brought into the form *quantity, operator, number*.

    Factors and summands that are constant are moved to the number: ``100 * a / b > 5``, ``5 < a / b * 100`` and
    ``a > 0.05 * b`` all mean that ``a / b`` is above 0.05.
    """

    text: str
    """The comparison as written."""
    operator: str
    """Empty if there is no comparison at all: such an alert fires as soon as its series exist."""
    threshold: float | None
    """``None`` if the quantity is not held against a constant."""
    metrics: tuple[str, ...]
    """Names of the series it reads, sorted."""
    watches: tuple[tuple[str, str], ...]
    """The same with what selects them: pairs of name and a query for the newest values."""
    quantiles: tuple[float, ...]
    ratio: bool
    """The quantity is one thing divided by another."""
    instant: tuple[str, ...]
    """Series of which it takes the newest value alone, with no window: for a counter that makes no sense."""
    lookback_s: float
    """How far back it looks: window and offset together, in seconds."""
    pinned: bool
    """It looks at a fixed moment, so that it never changes."""
    returns_bool: bool
    """``> bool`` gives 0 or 1, and an alert fires on either."""
    narrowed: str
    """What ``and`` or ``unless`` adds as a further condition, as written; empty if nothing does."""
    value: str
    """A query that gives the quantity's present value, or at least one sample for each series that is compared."""


def meanings(expression: str) -> list[Meaning]:
    """The comparisons that make the alert fire, one for each branch of ``or``.

    Raises:
        PromqlError: the expression can't be read.
    """
    return [_meaning(branch) for branch in _branches(parse(expression))]


def _branches(node: Node) -> list[Node]:
    if isinstance(node, Binary) and node.operator == "or":
        return [*_branches(node.left), *_branches(node.right)]
    return [node]


def _meaning(branch: Node) -> Meaning:
    node, conditions = branch, list[str]()
    while isinstance(node, Binary) and node.operator in {"and", "unless"}:
        conditions.insert(0, f"{node.operator} {node.right.text}")
        node = node.left
    compared = isinstance(node, Binary) and node.operator in COMPARISONS
    operator, threshold, ratio = _form(node) if isinstance(node, Binary) and compared else ("", None, False)
    found = list(selectors(node))
    return Meaning(
        text=node.text,
        operator=operator,
        threshold=threshold,
        metrics=tuple(sorted({one.name for one in found if one.name})),
        watches=tuple(dict.fromkeys((one.name, _selected(one)) for one in found if one.name)),
        quantiles=tuple(_quantiles(node)),
        ratio=ratio,
        instant=tuple(sorted({one.name for one in _instant(node)})),
        lookback_s=_lookback_s(node),
        pinned=_pinned(node),
        returns_bool=isinstance(node, Binary) and compared and node.returns_bool,
        narrowed=" ".join(conditions),
        value=_value(node) if isinstance(node, Binary) and compared else node.text,
    )


def _form(node: Binary) -> tuple[str, float | None, bool]:
    """Operator, number and whether it is a ratio, of one comparison."""
    left, right = _linear(node.left), _linear(node.right)
    operator = node.operator
    if left.core is None:
        left, right, operator = right, left, _MIRRORED[operator]
    if left.core is None or left.factor == 0:
        return operator, None, False
    if left.factor < 0:
        operator = _MIRRORED[operator]
    if right.core is None:
        return operator, (right.summand - left.summand) / left.factor, _is_ratio(left.core)
    if left.summand or right.summand:
        return operator, None, False
    return operator, right.factor / left.factor, True


@dataclass(frozen=True)
class _Linear:
    """``factor * core + summand``; without a core it is a constant."""

    factor: float
    summand: float
    core: Node | None


def _linear(node: Node) -> _Linear:
    if isinstance(node, Number):
        return _Linear(0.0, node.value, None)
    if isinstance(node, Call) and node.name in {"vector", "scalar"} and len(node.arguments) == 1:
        inner = _linear(node.arguments[0])
        return inner if inner.core is None else _Linear(1.0, 0.0, node)
    if not isinstance(node, Binary):
        return _Linear(1.0, 0.0, node)
    left, right = _linear(node.left), _linear(node.right)
    if left.core is None and right.core is None:
        return _constant(node, left.summand, right.summand)
    match node.operator:
        case "+" | "-" if left.core is None or right.core is None:
            sign = 1.0 if node.operator == "+" else -1.0
            factor = left.factor if right.core is None else sign * right.factor
            return _Linear(factor, left.summand + sign * right.summand, left.core or right.core)
        case "*" if left.core is None or right.core is None:
            constant, other = (left, right) if left.core is None else (right, left)
            by = constant.summand
            return _Linear(other.factor * by, other.summand * by, other.core)
        case "/" if right.core is None and right.summand:
            return _Linear(left.factor / right.summand, left.summand / right.summand, left.core)
        case "/" if left.core and right.core and not left.summand and not right.summand and right.factor:
            return _Linear(left.factor / right.factor, 0.0, node)
        case _:
            return _Linear(1.0, 0.0, node)


def _constant(node: Binary, left: float, right: float) -> _Linear:
    try:
        value = {
            "+": lambda: left + right,
            "-": lambda: left - right,
            "*": lambda: left * right,
            "/": lambda: left / right,
            "%": lambda: math.fmod(left, right),
            "^": lambda: math.pow(left, right),
        }[node.operator]()
    except (KeyError, ArithmeticError, ValueError):
        return _Linear(1.0, 0.0, node)
    return _Linear(0.0, value, None)


def _is_ratio(core: Node) -> bool:
    return isinstance(core, Binary) and core.operator == "/"


def _value(node: Binary) -> str:
    sides = [side for side in (node.left, node.right) if _linear(side).core is not None]
    if len(sides) == 1:
        return sides[0].text
    # Both sides are series: 0 or 1 for each pair that Prometheus finds.
    matching = f" {node.matching}" if node.matching else ""
    return f"{node.left.text} >= bool{matching} {node.right.text}"


def _inner(node: Node) -> tuple[Node, ...]:
    match node:
        case Call():
            return node.arguments
        case Subquery():
            return (node.inner,)
        case Binary():
            return (node.left, node.right)
        case _:
            return ()


def _quantiles(node: Node) -> list[float]:
    own = []
    if isinstance(node, Call) and node.name in _QUANTILES and node.arguments:
        asked = _linear(node.arguments[0])
        own = [asked.summand] if asked.core is None else []
    return own + [one for inner in _inner(node) for one in _quantiles(inner)]


def _instant(node: Node) -> list[Selector]:
    if isinstance(node, Selector):
        return [] if node.range_s else [node]
    if isinstance(node, Subquery) and isinstance(node.inner, Selector):
        return []
    if isinstance(node, Call) and node.name in _OF_SERIES:
        return []
    if isinstance(node, Binary) and node.operator == "-" and _since_then(node):
        return []
    return [one for inner in _inner(node) for one in _instant(inner)]


def _since_then(node: Binary) -> bool:
    """Whether it is ``x - x offset 5m``, which is a growth."""
    left, right = node.left, node.right
    same = isinstance(left, Selector) and isinstance(right, Selector) and left.name == right.name
    return same and isinstance(right, Selector) and right.offset_s > 0


def _selected(one: Selector) -> str:
    inside = ",".join(f"{label}{operator}{json.dumps(value)}" for label, operator, value in one.matchers)
    if any(label == "__name__" for label, _, _ in one.matchers):
        return f"{{{inside}}}"
    return f"{one.name}{{{inside}}}" if inside else one.name


def _lookback_s(node: Node) -> float:
    own = node.range_s + max(0.0, node.offset_s) if isinstance(node, Selector | Subquery) else 0.0
    return own + max((_lookback_s(inner) for inner in _inner(node)), default=0.0)


def _pinned(node: Node) -> bool:
    own = isinstance(node, Selector | Subquery) and node.pinned
    return own or any(_pinned(inner) for inner in _inner(node))
