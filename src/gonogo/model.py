"""The words of a launch as types: phases, boxes, asks, measurements, outcomes, verdicts.

Everything here is frozen data; nothing here knows of a clock, a file, the network or pytest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

PHASES: tuple[str, ...] = (
    "t7",
    "t3",
    "t1",
    "phase1",
    "phase2",
    "phase3",
    "phase4",
    "phase5",
    "hour1",
    "hours2_4",
    "hours4_24",
    "day1",
    "day2_7",
    "week2",
)
"""Points of the launch timeline, in order."""

KINDS: tuple[str, ...] = ("infra", "smoke", "load", "people")
"""Kinds of gates; each is a folder under the gates' tests and a marker."""


class Outcome(StrEnum):
    """What became of one gate in one phase.

    Only PASS proves something. Every other outcome keeps the launch from GO.
    """

    PASS = "PASS"  # noqa: S105 - an outcome, not a password
    FAIL = "FAIL"
    ERROR = "ERROR"
    INCONCLUSIVE = "INCONCLUSIVE"
    BLOCKED = "BLOCKED"
    MISSING = "MISSING"
    STALE = "STALE"
    PENDING = "PENDING"


class Verdict(StrEnum):
    """The answer for a phase or for the launch."""

    GO = "GO"
    NO_GO = "NO-GO"
    HOLD = "HOLD"
    ROLLBACK = "ROLLBACK"
    CONSIDER_ROLLBACK = "CONSIDER ROLLBACK"

    @property
    def exit_code(self) -> int:
        """Process exit status that states this verdict (design: contract of commands)."""
        return {"GO": 0, "NO-GO": 1, "HOLD": 20, "ROLLBACK": 30, "CONSIDER ROLLBACK": 31}[self.value]


class BoxKind(StrEnum):
    """How a box of the playbook is proven."""

    GATE = "gate"
    ATTEST = "attest"
    SCOPE = "scope"
    UNMAPPED = "unmapped"


@dataclass(frozen=True)
class Box:
    """One checklist item of the playbook."""

    text: str
    kind: BoxKind
    line: int
    gates: tuple[str, ...] = ()
    role: str | None = None
    """Who attests it (kind ``attest``)."""
    reason: str | None = None
    """Why it is out of scope (kind ``scope``)."""
    on: str | None = None
    """Companion target that its gates are sent to, e.g. ``staging``."""


@dataclass(frozen=True)
class Phase:
    """One phase of the playbook with its boxes."""

    id: str
    title: str
    line: int
    owner: str | None = None
    within: timedelta | None = None
    """Shelf life of this phase's results; ``None`` means that they don't age."""
    boxes: tuple[Box, ...] = ()


@dataclass(frozen=True, order=True)
class Ask:
    """One gate asked for in one phase, on the target itself or on a companion of it."""

    gate: str
    phase: str
    on: str | None = None

    @property
    def key(self) -> str:
        """Stable name, e.g. ``tls.certificate@t3`` or ``release.deployed@t1/staging``."""
        return f"{self.gate}@{self.phase}" + (f"/{self.on}" if self.on else "")

    @classmethod
    def parse(cls, key: str) -> Ask:
        """Read a key back.

        Raises:
            ValueError: the key has no ``@phase`` part.
        """
        gate, at, rest = key.partition("@")
        if not at:
            raise ValueError(f"{key!r} is not of the form gate@phase or gate@phase/companion")
        phase, _, on = rest.partition("/")
        return cls(gate, phase, on or None)


@dataclass(frozen=True)
class Measurement:
    """One fact, held against one bound."""

    name: str
    actual: Any
    """JSON-able: number, string, boolean, ``None``, or a flat list of these."""
    unit: str
    bound: str
    """The requirement in words, e.g. ``>= 21``."""
    source: str
    """Where the bound comes from, e.g. ``launch.toml: tls.min_days``."""
    ok: bool | None
    """``None``: too few samples to claim it either way."""
    n: int
    """How many samples stand behind ``actual``."""
    margin: float | None = None
    """Share of the bound still free, 0 at the bound, negative beyond it; ``None`` if not a number."""
    note: str = ""
    """What would make an undecided measurement decidable, or how ``actual`` was estimated."""

    @property
    def sentence(self) -> str:
        """The verdict line: what, actual, required, where the bound comes from, samples."""
        unit = f" {self.unit}" if self.unit and self.unit != "1" else ""
        said = "" if isinstance(self.actual, str) else unit  # words in place of a number have no unit
        samples = f", n={self.n}" if self.n != 1 else ""
        note = f"; {self.note}" if self.note else ""
        return f"{self.name}: {show(self.actual)}{said}; required {self.bound}{unit} ({self.source}{samples}){note}"


@dataclass(frozen=True)
class Evidence:
    """A file kept so that another can judge."""

    name: str
    path: str
    """Relative to the ledger folder."""
    sha256: str


@dataclass(frozen=True)
class Result:
    """What one run found out about one ask."""

    ask: Ask
    outcome: Outcome
    reason: str
    run: str
    target: str
    version: str
    """Release under launch when this was measured."""
    ask_digest: str
    """Digest of the part of the plan that this result answers."""
    started_at: datetime
    finished_at: datetime
    duration_s: float
    title: str = ""
    measurements: tuple[Measurement, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class GateState:
    """The state of one ask, as judged from the whole ledger."""

    ask: Ask
    title: str
    outcome: Outcome
    reason: str
    waived: bool = False
    result: Result | None = None
    failed_tries: int = 0
    """How often it failed in this launch before ``result``: a pass after failures is shown as such."""


@dataclass(frozen=True)
class PhaseState:
    """One phase with its verdict."""

    phase: Phase
    verdict: Verdict
    gates: tuple[GateState, ...]
    holds: tuple[str, ...] = ()
    """Sentences about boxes that hold the phase beside its gates (unmapped, pending)."""


@dataclass(frozen=True)
class Launch:
    """What is launched, and when."""

    project: str
    version: str
    at: datetime | None


@dataclass(frozen=True)
class RunInfo:
    """Provenance of one run, for the report."""

    id: str
    started_at: datetime
    finished_at: datetime | None
    """``None``: the run never finished."""
    target: str
    faults: tuple[str, ...] = ()
    scope: str = ""
    commit: str = ""
    dirty: bool = False
    plan_digest: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    host: str = ""


@dataclass(frozen=True)
class LaunchState:
    """Everything a report says; computed from plan and ledger, never from a running session."""

    launch: Launch
    target: str
    target_kind: str
    rehearsal: bool
    verdict: Verdict
    generated_at: datetime
    phases: tuple[PhaseState, ...]
    plan_digest: str
    problems: tuple[str, ...] = ()
    """What is wrong with the ledger itself; any of these holds the launch."""
    runs: tuple[RunInfo, ...] = ()
    base_url: str = ""

    @property
    def blockers(self) -> tuple[GateState, ...]:
        """Gates that keep the launch from GO, the failed ones first."""
        open_gates = [g for p in self.phases for g in p.gates if g.outcome is not Outcome.PASS and not g.waived]
        rank = {Outcome.FAIL: 0, Outcome.ERROR: 1, Outcome.INCONCLUSIVE: 2}
        return tuple(sorted(open_gates, key=lambda g: rank.get(g.outcome, 3)))


def show(value: Any) -> str:
    """A value as people read it: numbers without noise, lists with commas."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, list | tuple):
        return ", ".join(show(v) for v in value) or "none"
    return "none" if value is None else str(value)


@dataclass(frozen=True)
class GateInfo:
    """What the collected test says of its gate."""

    title: str
    markers: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunRecord:
    """One run as the ledger holds it."""

    info: RunInfo
    version: str
    planned: tuple[Ask, ...]
    """What the run set out to do; an ask without a result was never finished."""
    asked: tuple[Ask, ...] = ()
    """Everything that the plan asked for when the run began."""
    extra: tuple[Ask, ...] = ()
    """Those of ``asked`` that stand in no box: gates that carry the phase themselves."""
    results: tuple[Result, ...] = ()
    gates: Mapping[str, GateInfo] = field(default_factory=dict)


@dataclass(frozen=True)
class Records:
    """The whole ledger, and what is wrong with it."""

    runs: tuple[RunRecord, ...] = ()
    problems: tuple[str, ...] = ()
