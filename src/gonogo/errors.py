"""What can go wrong, by whose fault it is.

GonogoError
├── PlanError          PLAYBOOK.md or launch.toml is wrong; a usage error, before any network
├── LedgerError        the ledger can't be written or read
├── TargetError        the target refused, hung or answered nonsense; a finding: FAIL
├── ToolError          we could not measure, through our own fault: ERROR
└── InconclusiveError  measured, but too little to claim anything: INCONCLUSIVE

Every message is one sentence that says what, where, what was found, and what to do.
"""

from __future__ import annotations


class GonogoError(Exception):
    """Base of all errors that carry a sentence for people."""


class PlanError(GonogoError):
    """PLAYBOOK.md or launch.toml can't be used as a plan."""


class LedgerError(GonogoError):
    """The ledger can't be written or read."""


class TargetError(GonogoError):
    """The target itself misbehaved while it was looked at."""


class ToolError(GonogoError):
    """Something on our side kept us from measuring (tool missing, wrong setting)."""


class InconclusiveError(GonogoError):
    """Too little was measured to claim anything."""
