"""Launch gates for pytest: measure, hold against a bound, decide."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gonogo.bounds import (
    Bound,
    Judgement,
    above,
    at_least,
    at_most,
    below,
    contains_all,
    empty,
    equals,
    interval_below,
    is_true,
    no_slower,
    one_of,
    quantile_below,
    rate_below,
    rate_not_above,
    share_near,
)
from gonogo.errors import GonogoError, InconclusiveError, LedgerError, PlanError, TargetError, ToolError
from gonogo.model import Outcome, Verdict
from gonogo.statistics import quantile

if TYPE_CHECKING:
    from gonogo.fixtures import EvidenceKeeper, Hide, Measure, Seen
    from gonogo.inventory import PlanFacts, read_plan
    from gonogo.outbox import Letter, Outbox
    from gonogo.pictures import preview_name, shrunk, take_picture
    from gonogo.scratch import Scratch
    from gonogo.target import Target

__all__ = [
    "Bound",
    "EvidenceKeeper",
    "GonogoError",
    "Hide",
    "InconclusiveError",
    "Judgement",
    "LedgerError",
    "Letter",
    "Measure",
    "Outbox",
    "Outcome",
    "PlanError",
    "PlanFacts",
    "Scratch",
    "Seen",
    "Target",
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
    "interval_below",
    "is_true",
    "no_slower",
    "one_of",
    "preview_name",
    "quantile",
    "quantile_below",
    "rate_below",
    "rate_not_above",
    "read_plan",
    "share_near",
    "shrunk",
    "take_picture",
]

# What only annotations of gates need, and what brings pytest or pydantic along, is imported when it is used.
_LAZY = {
    "EvidenceKeeper": "gonogo.fixtures",
    "Hide": "gonogo.fixtures",
    "Letter": "gonogo.outbox",
    "Measure": "gonogo.fixtures",
    "Outbox": "gonogo.outbox",
    "PlanFacts": "gonogo.inventory",
    "Scratch": "gonogo.scratch",
    "Seen": "gonogo.fixtures",
    "Target": "gonogo.target",
    "preview_name": "gonogo.pictures",
    "read_plan": "gonogo.inventory",
    "shrunk": "gonogo.pictures",
    "take_picture": "gonogo.pictures",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'gonogo' has no attribute {name!r}")
