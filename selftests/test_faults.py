"""Every gate turns red for its faults, says why, and stays green for the faults of others.

Faults of load are tried here, a whole session each; all others are tried one call each, in
``test_faults_*.py``, and a mixed handful of them here.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fleetboard.faults import FAULTS, Fault, load
from gate_runs import GATES, ROOT, run_gates
from gonogo.model import Outcome

SHORT_LOAD_S = 8.0


def changed(folder: Path, **seconds: float) -> str:
    """Argument for our own launch file with other times, each named as ``table__key``."""
    text = (ROOT / "launch.toml").read_text(encoding="utf-8")
    for name, value in seconds.items():
        table, key = name.split("__")
        head, found, rest = text.partition(f"[targets.rehearsal.{table}]\n")
        assert found, table
        rest = re.sub(rf"\A((?:(?!\[).*\n)*?){key} = .*\n", r"\1", rest)
        text = f"{head}{found}{key} = {value}\n{rest}"
    (folder / "launch.toml").write_text(text, encoding="utf-8")
    return f"--gonogo-launch-file={folder / 'launch.toml'}"


def short_load(folder: Path) -> list[str]:
    """Arguments that run the load gate for seconds: enough to see a fault, too little to prove health."""
    return ["-m", "load", changed(folder, load__duration_s=SHORT_LOAD_S)]


def test_every_gate_of_the_playbook_has_a_fault() -> None:
    assert {gate for fault in FAULTS.values() for gate in fault.gates} == GATES


def test_every_fault_names_gates_of_the_playbook_and_what_it_breaks() -> None:
    for fault in FAULTS.values():
        assert set(fault.gates) <= GATES
        assert fault.gates
        assert fault.description


def test_every_other_fault_is_tried_by_name_in_a_file_of_its_own() -> None:
    texts = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_faults_*.py"))
    elsewhere = [fault.name for fault in FAULTS.values() if fault not in load.FAULTS]

    assert len(elsewhere) > 100
    assert [name for name in elsewhere if f'"{name}"' not in texts] == []


@pytest.mark.alone
@pytest.mark.parametrize("fault", load.FAULTS, ids=lambda fault: fault.name)
def test_a_fault_under_load_turns_the_load_gate_red(fault: Fault, tmp_path: Path) -> None:
    run = run_gates(tmp_path, *short_load(tmp_path), "--gonogo-fault", fault.name)

    assert {g: r.outcome for g, r in run.results.items()} == {"load.throughput": Outcome.FAIL}, run.output
    assert run.status == 1


@pytest.mark.alone
def test_a_short_load_on_a_healthy_target_is_inconclusive_and_says_what_is_missing(tmp_path: Path) -> None:
    run = run_gates(tmp_path, *short_load(tmp_path))

    assert run.results["load.throughput"].outcome is Outcome.INCONCLUSIVE, run.output
    assert "more samples" in run.results["load.throughput"].reason
    assert run.status == 20


@pytest.mark.slow
def test_faults_of_database_backup_and_rollback_turn_a_whole_session_red(tmp_path: Path) -> None:
    """What the calls of ``test_faults_*.py`` leave out: the plugin, both targets, and faults side by side."""
    faults = ("missing-index", "disabled-trigger", "dump-lost-rows", "rollback-loses-rows", "idle-in-transaction")
    run = run_gates(
        tmp_path,
        *("-m", "t3 or phase1 or phase2", "-k", "database or backup or rollback or deploy"),
        *("--gonogo-fault", ",".join(faults)),
    )

    red = {gate for gate, result in run.results.items() if result.outcome is Outcome.FAIL}
    assert {gate for fault in faults for gate in FAULTS[fault].gates} <= red, run.output
    assert "loads_status_idx" in run.results["database.indexes"].reason
    assert {run.results[gate].outcome for gate in ("deploy.run", "release.deployed")} == {Outcome.PASS}, run.output
    assert run.status == 1
