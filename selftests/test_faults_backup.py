"""Every fault of the target's backup job turns its gates red, by name, and a healthy job is green."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleetboard.faults import FAULTS
from fleetboard_target import Running, running
from gate_calls import Called, call, scratch_for, target_at
from gate_runs import ROOT
from gonogo.model import Outcome
from postgres_server import PostgresServer

sys.path.append(str(ROOT))  # where the gates' own folder is a package

from tests.infra import test_backup as gates

GATES = {"backup.created": gates.test_created, "backup.restore": gates.test_restore}
JOB = ["{python}", "-m", "fleetboard", "backup"]

WORDS = {
    "dump-truncated": {
        "backup.created": "could not read from input file: end of file",
        "backup.restore": "errors while it was restored: pg_restore:",
    },
    "dump-of-other-database": {"backup.created": "database it was made of: "},
    "dump-too-old": {"backup.created": "required <= 7200 s (default: backup.max_age_s)"},
    "dump-without-triggers": {"backup.restore": "trigger loads.loads_audit"},
    "dump-empty": {
        "backup.created": "tables that are not in it: assignments, audit_log",
        "backup.restore": "table vehicles",
    },
    "dump-zero-bytes": {
        "backup.created": "size: 0 B; required > 0 B",
        "backup.restore": "pg_restore: error: input file is too short",
    },
    "dump-older-client": {"backup.created": "major version of the pg_dump it was made by: 12; required >= 17"},
    "dump-lost-rows": {"backup.restore": "maintenance_records: "},
}
"""What each gate's reason says of each fault."""


@pytest.fixture(scope="module")
def up() -> Iterator[Running]:
    with running() as target:
        yield target


@pytest.fixture
def backups(up: Running) -> Iterator[Path]:
    """The folder of the target's dumps, as it was found."""
    folder = Path(up.info["env"]["FLEETBOARD_BACKUPS"])
    before = set(folder.iterdir())
    yield folder
    for path in set(folder.iterdir()) - before:
        path.unlink() if path.is_file() else shutil.rmtree(path)


def both(up: Running, server: PostgresServer, root: Path, fault: str = "", **backup: Any) -> dict[str, Called]:
    """Both gates, one after the other, with one fault of the job."""
    job = [*JOB, "--fault", fault] if fault else JOB
    target = target_at(up.info, root=root, backup={"command": job, **backup})
    scratch = scratch_for(target, server)
    return {name: call(gate, target, scratch=scratch) for name, gate in GATES.items()}


def test_a_healthy_job_is_green(up: Running, postgres: PostgresServer, backups: Path, tmp_path: Path) -> None:
    called = both(up, postgres, tmp_path)

    assert {name: gate.reason for name, gate in called.items() if gate.outcome is not Outcome.PASS} == {}
    assert called["backup.created"]["dumps that it wrote"].actual == 1
    assert called["backup.restore"]["other rows than around the dump"].n > 500
    assert called["backup.restore"]["differences"].n > 50
    assert called["backup.restore"]["sequences"].n >= 2


def test_a_dump_of_the_gates_own_is_green(
    up: Running, postgres: PostgresServer, backups: Path, tmp_path: Path
) -> None:
    called = both(up, postgres, tmp_path, command=None, files=None)

    assert {name: gate.reason for name, gate in called.items() if gate.outcome is not Outcome.PASS} == {}
    assert called["backup.created"]["encrypted"].ok
    # Both see one snapshot, so that even what is written every second must be equal.
    own = both(up, postgres, tmp_path, command=None, files=None, volatile=[])["backup.restore"]
    assert own.outcome is Outcome.PASS, own.reason
    assert not [gate for gate in own.measurements if "did not change" in gate.name and "10 of 10" not in gate.name]


def test_every_fault_of_the_backup_is_tried_here() -> None:
    named = {name for name, fault in FAULTS.items() if set(fault.gates) & set(GATES)}

    assert named == set(WORDS)


@pytest.mark.parametrize("fault", WORDS)
def test_a_fault_turns_its_gates_red_and_says_why(
    fault: str, up: Running, postgres: PostgresServer, backups: Path, tmp_path: Path
) -> None:
    called = both(up, postgres, tmp_path, fault)

    for gate, words in WORDS[fault].items():
        assert called[gate].outcome is Outcome.FAIL, (gate, called[gate].reason)
        assert words in called[gate].reason, called[gate].reason
    green = {gate: called[gate].reason for gate in GATES if gate not in WORDS[fault]}
    assert set(green.values()) <= {""}, green
    assert set(FAULTS[fault].gates) & set(GATES) <= set(WORDS[fault])
