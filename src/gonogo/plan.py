"""The plan: playbook and launch file as one value, and the digests that bind results to it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from gonogo.errors import PlanError
from gonogo.model import PHASES, Ask, BoxKind, Launch, Phase

PLAYBOOK = "PLAYBOOK.md"
LAUNCH_FILE = "launch.toml"
DEFAULT_TARGET = "rehearsal"


@dataclass(frozen=True)
class Plan:
    """What must hold for one launch on one target.

    ``extra`` are asks of gates that carry phase markers themselves and stand in no box.
    """

    launch: Launch
    target: str
    target_kind: str
    phases: tuple[Phase, ...]
    target_settings: Mapping[str, Any] = field(default_factory=dict)
    """The target's tables as plain data: what a result of this target was judged by."""
    companion_settings: Mapping[str, Any] = field(default_factory=dict)
    """The same of each companion that a box may send its gates to, by the word after ``on:``."""
    base_url: str = ""
    extra: tuple[Ask, ...] = ()

    @property
    def rehearsal(self) -> bool:
        """Whether a GO is a GO for practice only: true for every target that is not production."""
        return self.target_kind != "production"

    def asks(self) -> tuple[Ask, ...]:
        """Every gate asked for, in phase order and inside a phase in playbook order, each once."""
        return self._asks

    @cached_property
    def _asks(self) -> tuple[Ask, ...]:
        boxed = [
            Ask(gate, phase.id, box.on)
            for phase in self.phases
            for box in phase.boxes
            if box.kind is BoxKind.GATE
            for gate in box.gates
        ]
        return tuple(sorted(dict.fromkeys([*boxed, *self.extra]), key=lambda ask: PHASES.index(ask.phase)))

    def scopes_out(self, gate: str) -> bool:
        """Whether a box takes this gate out of scope with a reason, by its name or as one of ``area.*``."""
        return any(
            gate == named or (named.endswith(".*") and gate.startswith(named[:-1])) for named in self._scoped_out
        )

    @cached_property
    def _scoped_out(self) -> frozenset[str]:
        return frozenset(gate for p in self.phases for b in p.boxes if b.kind is BoxKind.SCOPE for gate in b.gates)

    def line_of(self, gate: str) -> int:
        """Line of the playbook that asks for a gate first; 0 if none does."""
        lines = [b.line for p in self.phases for b in p.boxes if gate in b.gates]
        return min(lines, default=0)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the machine part of the plan: phases, boxes, asks, target settings, release."""
        return digest(
            {
                "launch": [self.launch.project, self.launch.version],
                "target": [self.target, self.target_kind, self.target_settings],
                "phases": [
                    [p.id, p.within.total_seconds() if p.within else None]
                    + [[b.text, b.kind, b.gates, b.role, b.reason, b.on] for b in p.boxes]
                    for p in self.phases
                ],
                "extra": [ask.key for ask in self.extra],
                **({"companions": self.companion_settings} if self.companion_settings else {}),
            }
        )

    def ask_digest(self, ask: Ask) -> str:
        """SHA-256 of the part of the plan that a result of this ask answers.

        Changing the target's settings makes its results stale; adding a box elsewhere does not.
        """
        companion = [self.companion_settings.get(ask.on)] if ask.on else []
        return digest([ask.key, self.target, self.target_kind, self.target_settings, *companion])


def digest(value: Any) -> str:
    """SHA-256 over the canonical JSON of plain data."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()


def check_gates(plan: Plan, known: frozenset[str], playbook: str) -> None:
    """Refuse a playbook that names gates which no test carries.

    Raises:
        PlanError: names the first such gate, its line, and gates that look like it.
    """
    import difflib  # noqa: PLC0415 - only the error path needs it

    for ask in plan.asks():
        if ask.gate not in known:
            close = difflib.get_close_matches(ask.gate, known, n=3) or sorted(known)
            raise PlanError(
                f"{playbook}:{plan.line_of(ask.gate)}: no test carries the gate {ask.gate!r}; "
                f"known are {', '.join(close) or 'none'}; mark a test with @pytest.mark.gate({ask.gate!r}) "
                f"or mend the box"
            )
