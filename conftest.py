"""Joins the gates with the embedded target: the only module that knows both."""

from __future__ import annotations

import json
import selectors
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

import pytest

from fleetboard.faults import FAULTS
from gonogo import ToolError
from gonogo.options import fault_names

EMBEDDED = ("rehearsal", "rehearsal-staging")
"""The target and its staging companion: two instances of the same application, each with everything of its own."""
RELEASE_BEFORE = "0.9.0"
DEPLOYS = "deploy.run"
BEFORE_DEPLOYMENT = {"database.migrations-tested", "deploy.dry-run"}
"""Gates that are about what a deployment is going to do."""
AFTER_DEPLOYMENT = {
    "database.indexes",
    "database.schema",
    "database.tables",
    "database.triggers",
    "release.deployed",
}
"""Gates that find the new release, or are red."""
PARTS = {
    "inboxes": ("announce.", "services.", "plan."),
    "cache": ("services.", "plan."),
    "monitoring": ("monitoring.", "ramp.", "plan."),
    "source": ("release.freeze", "release.tests", "release.audit", "plan."),
}
"""Parts of the embedded target that only some gates need, and the beginnings of these gates' ids. That of the plan
wants every variable that launch.toml names to be there."""
RAMP = "ramp."
"""Beginning of the ids of the gates that move traffic from the earlier release to the new one: both must run."""
UP_WITHIN_S = 60.0
DOWN_WITHIN_S = 20.0


def pytest_configure(config: pytest.Config) -> None:
    """Refuse faults that do not exist, or that would be injected into a real target."""
    faults = fault_names(config)
    target = config.getoption("gonogo_target") or EMBEDDED[0]
    if faults and target not in EMBEDDED:
        raise pytest.UsageError(f"--gonogo-fault is for the embedded target {EMBEDDED[0]!r}; {target!r} is not it")
    for fault in faults:
        if fault not in FAULTS:
            raise pytest.UsageError(
                f"--gonogo-fault: there is no fault {fault!r}; there are {', '.join(sorted(FAULTS))}"
            )


def pytest_gonogo_provide_target(
    target: str, faults: tuple[str, ...], gates: tuple[str, ...]
) -> AbstractContextManager[Mapping[str, str]] | None:
    """Bring up the Fleet Manager Dashboard for the target ``rehearsal`` and its staging companion."""
    return _embedded(faults, gates) if target in EMBEDDED else None


def pytest_gonogo_provide_scratch(programs: str) -> AbstractContextManager[str]:
    """Start a scratch server with the programs of the version that is needed."""
    return _scratch(programs)


@contextmanager
def _embedded(faults: tuple[str, ...], gates: tuple[str, ...]) -> Iterator[Mapping[str, str]]:
    command = ["up", "--json"]
    if DEPLOYS in gates or (BEFORE_DEPLOYMENT.intersection(gates) and not AFTER_DEPLOYMENT.intersection(gates)):
        command += ["--release", RELEASE_BEFORE]
    idle = [part for part, users in PARTS.items() if not any(gate.startswith(users) for gate in gates)]
    if idle:
        command += ["--without", ",".join(idle)]
    if any(gate.startswith(RAMP) for gate in gates):
        command += ["--earlier"]
    if faults:
        command += ["--fault", ",".join(faults)]
    with _fleetboard(command) as line:
        told = json.loads(line)
        yield {**told, **{f"env.{name}": value for name, value in told.pop("env", {}).items()}}


@contextmanager
def _scratch(programs: str) -> Iterator[str]:
    with _fleetboard(["scratch", "--bin", programs]) as line:
        yield json.loads(line)["database_url"]


@contextmanager
def _fleetboard(arguments: list[str]) -> Iterator[str]:
    """Run one of its servers as a child that stops when its standard input closes, however we end."""
    command = [sys.executable, "-m", "fleetboard", *arguments, "--stop-on-eof"]
    with subprocess.Popen(  # noqa: S603 - our own module
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None
        try:
            yield _first_line(child)
        finally:
            child.stdin.close()
            try:
                child.wait(timeout=DOWN_WITHIN_S)
            except subprocess.TimeoutExpired:
                child.kill()


def _first_line(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    assert child.stderr is not None
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        ready = selector.select(timeout=UP_WITHIN_S)
    line = child.stdout.readline() if ready else ""
    if line:
        return line
    if ready:
        child.wait(timeout=DOWN_WITHIN_S)
        raise ToolError(f"the embedded target did not come up: {child.stderr.read().strip()}")
    child.kill()
    raise ToolError(f"the embedded target was not up within {UP_WITHIN_S:.0f} s")
