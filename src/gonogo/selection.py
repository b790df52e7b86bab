"""Which asks a ``-m`` expression speaks of.

pytest keeps its own evaluation private; the same language (and, or, not, parentheses, names) is read
here with Python's parser. An expression that goes beyond it selects everything, so that the verdict
speaks for more rather than for less.
"""

from __future__ import annotations

import ast
from collections.abc import Callable

Matcher = Callable[[frozenset[str]], bool]


def marker_matcher(expression: str) -> Matcher:
    """A function that tells whether a set of marker names matches the expression; empty matches all."""
    if not expression.strip():
        return lambda _names: True
    try:
        tree = ast.parse(expression.strip(), mode="eval").body
        _evaluate(tree, frozenset())
    except (SyntaxError, ValueError):
        return lambda _names: True
    return lambda names: _evaluate(tree, names)


def _evaluate(node: ast.expr, names: frozenset[str]) -> bool:
    # Every part is evaluated, so that a part which can't be read is never passed over.
    results = [_evaluate(value, names) for value in node.values] if isinstance(node, ast.BoolOp) else []
    match node:
        case ast.BoolOp(op=ast.And()):
            return all(results)
        case ast.BoolOp():
            return any(results)
        case ast.UnaryOp(op=ast.Not()):
            return not _evaluate(node.operand, names)
        case ast.Name():
            return node.id in names
    raise ValueError(ast.dump(node))
