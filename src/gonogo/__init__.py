"""Launch gates for pytest: measure, hold against a bound, decide."""

from gonogo.bounds import (
    Bound,
    above,
    at_least,
    at_most,
    below,
    contains_all,
    empty,
    equals,
    is_true,
    one_of,
    quantile_below,
    rate_below,
)
from gonogo.errors import GonogoError, InconclusiveError, LedgerError, PlanError, TargetError, ToolError
from gonogo.model import Outcome, Verdict

__all__ = [
    "Bound",
    "GonogoError",
    "InconclusiveError",
    "LedgerError",
    "Outcome",
    "PlanError",
    "TargetError",
    "ToolError",
    "Verdict",
    "above",
    "at_least",
    "at_most",
    "below",
    "contains_all",
    "empty",
    "equals",
    "is_true",
    "one_of",
    "quantile_below",
    "rate_below",
]
