"""What an alert's expression means: which quantity it holds against which number, and how far back it looks."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from gonogo.promql import COMPARISONS, Binary, Call, Node, Number, PromqlError, Selector, Subquery, parse, selectors

_MIRRORED: Final = {">": "<", "<": ">", ">=": "<=", "<=": ">=", "==": "==", "!=": "!="}
_ABSENT = ("absent", "absent_over_time")
_OF_SERIES = (*_ABSENT, "present_over_time", "count_over_time", "count", "count_values", "group", "timestamp")
"""These look at which series there are, not at their values."""
_RATES = ("rate", "irate", "increase")
_OF_CHANGES = (*_RATES, "changes", "resets", "delta", "idelta", "deriv")
_SCALED = ("avg", "max", "min", "sum", "avg_over_time", "max_over_time", "min_over_time", "last_over_time")
"""A factor within them is a factor of what they give."""
_LABELLED = ("label_replace", "label_join")
_TURNED: Final = str.maketrans("<>", "><")
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
    """Series whose values it takes as they are, under no rate: for a counter that makes no sense."""
    rated: tuple[str, ...]
    """Series that it takes the rate of: for a gauge that makes no sense."""
    through: tuple[str, ...]
    """What makes another quantity of it, or hides some: functions by name, conditions within it as written."""
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
    return [_meaning(node, conditions) for node, conditions in _branches(parse(expression))]


def _branches(node: Node, conditions: tuple[str, ...] = ()) -> list[tuple[Node, tuple[str, ...]]]:
    """Comparisons, each with the conditions that ``and`` and ``unless`` add to it."""
    if isinstance(node, Binary) and node.operator == "or":
        return [*_branches(node.left, conditions), *_branches(node.right, conditions)]
    if isinstance(node, Binary) and node.operator in {"and", "unless"}:
        matching = f"{node.matching} " if node.matching else ""
        return _branches(node.left, (f"{node.operator} {matching}{node.right.text}", *conditions))
    return [(node, conditions)]


def _meaning(node: Node, conditions: tuple[str, ...]) -> Meaning:
    if isinstance(node, Call) and node.name in _ABSENT:  # it gives 1 or nothing
        node = Binary("==", node, Number(1.0, "1"), text=node.text)
    compared = isinstance(node, Binary) and node.operator in COMPARISONS
    operator, threshold, ratio = _form(node) if isinstance(node, Binary) and compared else ("", None, False)
    found = list(selectors(node))
    return Meaning(
        text=node.text,
        operator=operator,
        threshold=threshold,
        metrics=tuple(sorted({one.name for one in found if one.name})),
        watches=tuple(dict.fromkeys((one.name, query_for(one)) for one in found if one.name)),
        quantiles=tuple(_quantiles(node)),
        ratio=ratio,
        instant=tuple(sorted({one.name for one in _instant(node)})),
        rated=tuple(sorted({one.name for one in _rated(node)})),
        through=tuple(dict.fromkeys(_bent(node))),
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
    if isinstance(node, Call):
        return _aggregated(node)
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


def _aggregated(node: Call) -> _Linear:
    labelled = node.name in _LABELLED and node.arguments
    if not labelled and not (node.name in _SCALED and len(node.arguments) == 1):
        return _Linear(1.0, 0.0, node)
    argument = node.arguments[0]
    inner = _linear(argument.inner if isinstance(argument, Subquery) else argument)
    if inner.core is None or (node.name == "sum" and inner.summand):
        return _Linear(1.0, 0.0, node)
    return _Linear(inner.factor, inner.summand, node if node.name == "sum" else inner.core)


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
    sides = [side for side in (node.left, node.right) if not _is_scalar(side)]
    if len(sides) == 1:
        return sides[0].text
    # Both sides are series, ``vector(1)`` too: 0 or 1 for each pair that Prometheus finds.
    matching = f" {node.matching}" if node.matching else ""
    return f"{node.left.text} >= bool{matching} {node.right.text}"


def _is_scalar(node: Node) -> bool:
    if isinstance(node, Binary):
        return _is_scalar(node.left) and _is_scalar(node.right)
    return isinstance(node, Number) or (isinstance(node, Call) and node.name in {"scalar", "time", "pi"})


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
    own = list[float]()
    if isinstance(node, Selector):  # of a summary
        with contextlib.suppress(ValueError):
            own = [
                float(value) for label, operator, value in node.matchers if (label, operator) == ("quantile", "=")
            ]
    if isinstance(node, Call) and node.name in _QUANTILES and node.arguments:
        asked = _linear(node.arguments[0])
        own = [asked.summand] if asked.core is None else []
    return own + [one for inner in _inner(node) for one in _quantiles(inner)]


def _instant(node: Node) -> list[Selector]:
    if isinstance(node, Selector):
        return [node]
    if isinstance(node, Call) and (node.name in _OF_SERIES or (node.name in _OF_CHANGES and _series(node))):
        return []
    if isinstance(node, Binary) and node.operator == "-" and _since_then(node):
        return []
    return [one for inner in _inner(node) for one in _instant(inner)]


def _series(node: Call) -> list[Selector]:
    """What stands directly in a function of a window."""
    inner = [one.inner if isinstance(one, Subquery) else one for one in node.arguments]
    return [one for one in inner if isinstance(one, Selector)]


def _rated(node: Node) -> list[Selector]:
    own = _series(node) if isinstance(node, Call) and node.name in _RATES else []
    return own + [one for inner in _inner(node) for one in _rated(inner)]


_BENDING: Final = frozenset(
    f"""{" ".join(_OF_SERIES)} clamp sgn scalar stddev stdvar stddev_over_time stdvar_over_time sum_over_time
    mad_over_time changes resets delta idelta deriv predict_linear holt_winters double_exponential_smoothing
    ceil floor round exp ln log2 log10 sqrt minute hour day_of_week day_of_month day_of_year days_in_month
    month year""".split()
)


def _through(node: Node, side: str) -> Iterator[str]:
    """What bends a quantity.

    Args:
        node: the quantity, or a part of it.
        side: ``>``, ``<`` or ``==``, how it is compared; empty for what it is only divided by or held against.
    """
    if isinstance(node, Binary) and node.operator in {*COMPARISONS, "and", "unless"}:
        yield node.text
    if isinstance(node, Binary) and node.operator == "/" and _uneven(node):
        yield node.text
    if isinstance(node, Call) and (node.name in _BENDING or _hides(node, side)):
        yield node.name
    sides = [side] * len(_inner(node))
    if isinstance(node, Binary):
        negative = side.translate(_TURNED)
        sides[1] = {"/": "", "-": negative}.get(node.operator, side)
        if node.operator in {"*", "/"}:
            turned = [one.core is None and one.summand < 0 for one in (_linear(node.left), _linear(node.right))]
            sides = [negative if other else own for own, other in zip(sides, reversed(turned), strict=True)]
    for inner, inner_side in zip(_inner(node), sides, strict=True):
        yield from _through(inner, inner_side)


def _bent(node: Node) -> Iterator[str]:
    """As :func:`_through`, of a comparison."""
    if not isinstance(node, Binary) or node.operator not in COMPARISONS:
        yield from _through(node, "")
        return
    if _uneven(node):
        yield node.text
    mirrored = _is_scalar(node.left)
    operator = _MIRRORED[node.operator] if mirrored else node.operator
    yield from _through(node.left, "" if mirrored else operator[:1])
    yield from _through(node.right, operator[:1] if mirrored else "")


def _hides(node: Call, side: str) -> bool:
    """Whether one of several series that crosses the threshold stays unseen among the others."""
    if not side:
        return False
    if node.name in {"clamp_min", "clamp_max"}:
        return (node.name == "clamp_max") == (side == ">")
    apart = {"instance", "pod"} & set(node.by) or (node.without is not None and "instance" not in node.without)
    names = {">": {"min", "bottomk"}, "<": {"max", "topk"}, "=": {"max", "topk", "sum", "avg"}}.get(side, set())
    # That all of them together have no rate any more may be meant; that all are down may not.
    summed = node.name in {"sum", "avg"} and _rated(node)
    return node.name in names and not apart and not summed


def _uneven(node: Binary) -> bool:
    """Whether one side is a rate a second and the other a growth, or both are growths of different windows."""
    left, right = (set(_paces(side)) for side in (node.left, node.right))
    return bool(left and right and left != right)


def _paces(node: Node) -> Iterator[float]:
    if isinstance(node, Call) and node.name in _RATES and node.arguments:
        window = node.arguments[0]
        growth = node.name == "increase" and isinstance(window, Selector | Subquery)
        yield window.range_s if growth and isinstance(window, Selector | Subquery) else 0.0
    for inner in _inner(node):
        yield from _paces(inner)


def _since_then(node: Binary) -> bool:
    """Whether it is ``x - x offset 5m``, which is a growth."""
    left, right = node.left, node.right
    same = isinstance(left, Selector) and isinstance(right, Selector) and left.name == right.name
    return same and isinstance(right, Selector) and right.offset_s > 0


def reads(meaning: Meaning, wanted: str) -> list[str]:
    """Queries of those series that a comparison reads and that were asked for.

    Args:
        meaning: the comparison.
        wanted: a name, or a selector whose conditions must all be among those of the rule.

    Raises:
        PromqlError: ``wanted`` can't be read.
    """
    sought = selector(wanted)
    found = [(query, selector(query)) for name, query in meaning.watches if name == sought.name]
    return [query for query, one in found if set(sought.matchers) <= set(one.matchers)]


def selector(text: str) -> Selector:
    """A name with or without conditions, read.

    Raises:
        PromqlError: it is something else.
    """
    found = parse(text)
    if isinstance(found, Selector) and found.name and not found.range_s:
        return found
    raise PromqlError(f"{text!r} is no series such as requests_total{{code=~'5..'}}")


def query_for(one: Selector, **more: str) -> str:
    """A query for the newest values of some series, with the further labels."""
    one = replace(one, matchers=(*one.matchers, *((label, "=", value) for label, value in more.items())))
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
