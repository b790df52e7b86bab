"""``go-no-go.json``: the launch state for machines, and the digest that people sign."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from gonogo.model import Box, GateState, LaunchState, Measurement, PhaseState, RunInfo
from gonogo.report.text import encodable, span, stamp

SCHEMA = 1
"""Version of the report's shape; it moves when a key changes its meaning."""


def render(state: LaunchState) -> str:
    """The report as strict JSON text, indented, with a final newline."""
    return json.dumps(document(state), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def state_digest(state: LaunchState) -> str:
    """SHA-256 (hex) of the canonical report without ``generated_at``.

    Rendering the same state again, later, gives the same digest: it names what was signed.
    """
    content = document(state)
    del content["generated_at"]
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def document(state: LaunchState) -> dict[str, Any]:
    """The report as plain JSON values (design, contract of reports)."""
    content = {
        "schema": SCHEMA,
        # Early, so that a person who opens the file reads it before the verdict.
        "rehearsal": state.rehearsal,
        "launch": {
            "project": state.launch.project,
            "version": state.launch.version,
            "at": stamp(state.launch.at),
        },
        "target": state.target,
        "verdict": state.verdict.value,
        "generated_at": stamp(state.generated_at),
        "plan_digest": state.plan_digest,
        "problems": list(state.problems),
        "phases": [_phase(phase) for phase in state.phases],
        "runs": [_run(run) for run in state.runs],
    }
    safe: dict[str, Any] = strict(content)
    return safe


def strict(value: Any) -> Any:
    """The value as strict JSON can hold it.

    NaN and the infinities become the strings ``NaN``, ``Infinity``, ``-Infinity``; lone surrogates
    become U+FFFD; what JSON has no type for becomes its text.
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else _odd(value)
    if isinstance(value, Mapping):
        return {encodable(str(key)): strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = [strict(item) for item in value]
        # A set has no order of its own, and the digest must not depend on the run of the process.
        return sorted(items, key=str) if isinstance(value, set | frozenset) else items
    return stamp(value) if isinstance(value, datetime) else encodable(str(value))


def _odd(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _number(value: float | None) -> float | None:
    """A number that is one; everything else is null, so that readers can do sums."""
    return value if value is not None and math.isfinite(value) else None


def _phase(state: PhaseState) -> dict[str, Any]:
    phase = state.phase
    return {
        "id": phase.id,
        "title": phase.title,
        "owner": phase.owner,
        "within": span(phase.within) if phase.within is not None else None,
        "verdict": state.verdict.value,
        "holds": list(state.holds),
        "boxes": [_box(box) for box in phase.boxes],
        "gates": [_gate(gate) for gate in state.gates],
    }


def _box(box: Box) -> dict[str, Any]:
    return {"text": box.text, "kind": box.kind.value, "gates": list(box.gates)}


def _gate(gate: GateState) -> dict[str, Any]:
    result = gate.result
    return {
        "id": gate.ask.gate,
        "on": gate.ask.on,
        "title": gate.title,
        "outcome": gate.outcome.value,
        "waived": gate.waived,
        "reason": gate.reason,
        "duration_s": _number(result.duration_s) if result else None,
        "finished_at": stamp(result.finished_at) if result else None,
        "run": result.run if result else None,
        "failed_tries": gate.failed_tries,
        "measurements": [_measurement(m) for m in result.measurements] if result else [],
        "evidence": (
            [{"name": e.name, "path": e.path, "sha256": e.sha256} for e in result.evidence] if result else []
        ),
    }


def _measurement(item: Measurement) -> dict[str, Any]:
    return {
        "name": item.name,
        "actual": item.actual,
        "unit": item.unit,
        "bound": item.bound,
        "source": item.source,
        "ok": item.ok,
        "n": item.n,
        "margin": _number(item.margin),
    }


def _run(run: RunInfo) -> dict[str, Any]:
    return {
        "id": run.id,
        "started_at": stamp(run.started_at),
        "finished_at": stamp(run.finished_at),
        "target": run.target,
        "faults": list(run.faults),
        "scope": run.scope,
        "commit": run.commit,
        "dirty": run.dirty,
        "plan_digest": run.plan_digest,
        "versions": dict(run.versions),
        "host": run.host,
    }
