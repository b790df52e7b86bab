"""Calls a real gate on a real target without a pytest session: one gate, one fault, a fraction of a second."""

from __future__ import annotations

import importlib
import inspect
import json
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from gate_runs import ROOT
from gonogo.bounds import Bound, measurement
from gonogo.errors import InconclusiveError, TargetError, ToolError
from gonogo.model import Measurement, Outcome
from gonogo.pgtools import clients_for, find_programs
from gonogo.scratch import Scratch, look_at
from gonogo.settings import LaunchFile
from gonogo.target import Target
from gonogo.verdict import outcome_of
from postgres_server import PostgresServer

AUTHORIZATION = "FLEETBOARD_AUTHORIZATION"
"""Variable of the header that launch.toml sends to the embedded target."""


@dataclass
class Called:
    """What one gate found."""

    outcome: Outcome = Outcome.ERROR
    reason: str = ""
    measurements: list[Measurement] = field(default_factory=list)
    evidence: dict[str, bytes] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    """What it said on its way."""

    @property
    def bad(self) -> dict[str, Any]:
        """Name and value of each measurement that does not hold."""
        return {taken.name: taken.actual for taken in self.measurements if taken.ok is not True}

    def __getitem__(self, name: str) -> Measurement:
        """The one measurement whose name contains this."""
        found = [taken for taken in self.measurements if name in taken.name]
        assert len(found) == 1, (name, [taken.name for taken in self.measurements])
        return found[0]


class _Evidence:
    """The fixture ``evidence``, in memory."""

    def __init__(self, kept: dict[str, bytes]) -> None:
        self._kept = kept

    def bytes(self, name: str, data: bytes) -> None:
        self._kept[name] = data

    def text(self, name: str, text: str) -> None:
        self.bytes(name, text.encode())

    def json(self, name: str, value: Any) -> None:
        self.text(name, json.dumps(value, indent=2, default=str))


def call(gate: Callable[..., None], target: Target, **fixtures: Any) -> Called:
    """Run one gate's body and judge it as the plugin does; ``fixtures`` are those beside target, measure, evidence."""
    called = Called()

    def measure(name: str, actual: Any, bound: Bound, *, unit: str = "", n: int = 1) -> Measurement:
        called.measurements.append(measurement(name, actual, bound, unit=unit, n=n))
        return called.measurements[-1]

    given = {
        "target": target,
        "measure": measure,
        "evidence": _Evidence(called.evidence),
        "seen": called.seen.append,
        **fixtures,
    }
    try:
        gate(**{name: given[name] for name in inspect.signature(gate).parameters})
    except (TargetError, ToolError, InconclusiveError) as error:
        outcomes = {TargetError: Outcome.FAIL, ToolError: Outcome.ERROR, InconclusiveError: Outcome.INCONCLUSIVE}
        called.outcome = next(outcome for kind, outcome in outcomes.items() if isinstance(error, kind))
        called.reason = str(error)
        measured = outcome_of(called.measurements)
        if measured[0] is Outcome.FAIL:
            called.outcome, called.reason = Outcome.FAIL, f"{measured[1]}; then: {called.reason}"
    else:
        called.outcome, called.reason = outcome_of(called.measurements)
    return called


@cache
def gates() -> dict[str, Callable[..., None]]:
    """The functions of all gates below ``tests/infra``, ``tests/smoke`` and ``tests/load``, by id."""
    found = {}
    if str(ROOT) not in sys.path:
        sys.path.append(str(ROOT))  # where the gates' own folder is a package
    for path in (
        path for folder in ("infra", "smoke", "load") for path in (ROOT / "tests" / folder).glob("test_*.py")
    ):
        module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        for function in vars(module).values():
            for mark in getattr(function, "pytestmark", ()):
                if mark.name == "gate":
                    found[mark.args[0]] = function
    return found


_KEPT: list[Target] = []


def kept(target: Target) -> Target:
    """The same target, which :func:`closed` closes after the test."""
    _KEPT.append(target)
    return target


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Closes the connections of every target that was :func:`kept`; for each test of a module that imports it."""
    yield
    while _KEPT:
        _KEPT.pop().close()


def target_of(plan: str, name: str, root: Path) -> Target:
    """A target of a launch.toml that is given as text."""
    launch = LaunchFile.model_validate(tomllib.loads(plan))
    return Target(name, launch.targets[name], {}, launch.launch.version, root=root, plan=launch)


def target_at(
    info: dict[str, Any], *, root: Path = ROOT, name: str = "rehearsal", **tables: dict[str, Any] | None
) -> Target:
    """The target of launch.toml at the addresses that ``python -m fleetboard up --json`` told.

    Args:
        info: the line of JSON, read.
        root: folder of the plan.
        name: which target.
        tables: keys that differ from the file's, by table; a key or a table that is ``None`` is left out.
    """
    raw = tomllib.loads((ROOT / "launch.toml").read_text(encoding="utf-8"))
    described = raw["targets"][name]
    for table, keys in tables.items():
        if keys is None:
            described.pop(table, None)
            continue
        merged = {**described.get(table, {}), **keys}
        described[table] = {key: value for key, value in merged.items() if value is not None}
    if AUTHORIZATION not in info.get("env", {}):  # what was told is a server of the test's own
        described.get("http", {}).pop("headers", None)
    launch = LaunchFile.model_validate(raw)
    provided = {key: value for key, value in info.items() if isinstance(value, str)}
    provided |= {f"env.{key}": value for key, value in info.get("env", {}).items()}
    return Target(name, launch.targets[name], provided, launch.launch.version, root=root, plan=launch)


def scratch_for(target: Target, server: PostgresServer) -> Scratch:
    """A scratch server for a target's gates: the one that self-tests share."""
    origin = look_at(target.database_url, 10.0)
    return Scratch(server.admin_url, origin.major, origin.roles, clients_for(origin.major, find_programs()))


def load_run(target: Target, *wanted: str, **options: Any) -> Any:
    """The fixture of that name: one run for these gates, without pytest."""
    gates()  # puts the gates' folder on the path
    return importlib.import_module("tests.load.loading").LoadRun(target, wanted, **options)
