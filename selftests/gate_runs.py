"""Runs the project's own gates in a process of their own, for end-to-end tests."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from gonogo.ledger import read_ledger
from gonogo.model import Result
from gonogo.playbook import parse_playbook

ROOT = Path(__file__).parent.parent
PHASES = parse_playbook((ROOT / "PLAYBOOK.md").read_text(encoding="utf-8"))
GATES = {gate for phase in PHASES for box in phase.boxes for gate in box.gates}
WITH_LOAD = {"load.throughput"}


@dataclass(frozen=True)
class Run:
    """What one run of the gates printed, recorded and returned."""

    status: int
    output: str
    results: dict[str, Result]


def command(reports: Path, *arguments: str) -> list[str]:
    """The command line: everything that a run writes goes below ``reports``."""
    own = [f"--gonogo-reports={reports}", f"--output={reports}/playwright", "-o", f"cache_dir={reports}/cache"]
    return [sys.executable, "-m", "pytest", "--gonogo-keep-going", *own, *arguments]


def environment() -> dict[str, str]:
    """Ours, without what the outer pytest put there."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "GONOGO_", "COV_"))}


def run_gates(reports: Path, *arguments: str) -> Run:
    """Run gates to their end and read back what the ledger holds."""
    done = subprocess.run(
        command(reports, *arguments),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
        env=environment(),
    )
    records = read_ledger(reports / "ledger")
    assert records.problems == (), records.problems
    results = {result.ask.gate: result for run in records.runs for result in run.results}
    return Run(done.returncode, done.stdout + done.stderr, results)


def once(gates: set[str]) -> list[str]:
    """Arguments that run these gates once each: in the last of the phases that ask for them."""
    phase_of = {gate: phase.id for phase in PHASES for box in phase.boxes for gate in box.gates}
    return ["-k", " or ".join(f"({_alone(gate)} and {phase_of[gate]})" for gate in sorted(gates))]


def _alone(gate: str) -> str:
    """What ``-k`` takes for this gate and for none whose id begins with the same words."""
    return " and not ".join([gate, *sorted(other for other in GATES if gate in other and gate != other)])
