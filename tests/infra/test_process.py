"""Processes: all of them run, none keeps restarting, none takes too much."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import asdict

import pytest

from gonogo import EvidenceKeeper, Measure, Target, TargetError, ToolError, at_least, at_most, below, empty, equals
from gonogo.probes.runtime import (
    UNIT_PROPERTIES,
    Seen,
    Watched,
    by_pid_files,
    by_pm2,
    by_systemd,
    machine_memory,
    watch,
)

MEGABYTE = 1_000_000


@pytest.mark.gate("process.running")
def test_running(target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """Every process is up through the window, is not started anew, and keeps to its memory and processor."""
    plan = target.settings("process")
    watched = watch(lambda: look(target), plan.window_s)
    now = time.time()
    evidence.json("processes.json", [asdict(one) for one in watched])
    count(target, measure, [seen for one in watched if (seen := one.looks[-1]) is not None])
    for one in watched:
        judge(target, measure, one)
    for one in watched:
        if any(seen is not None and seen.up for seen in one.looks):
            judge_use(target, measure, one, now)


def count(target: Target, measure: Measure, last: list[Seen]) -> None:
    """Holds the number of processes at the last look against the plan's: too many is an old one left behind."""
    plan = target.settings("process")
    source = target.source("process.instances")
    if plan.manager != "pm2":
        measure("processes", len(last), equals(plan.instances * max(1, len(plan.names)), source))
        return
    for name in plan.names:
        running = sum(seen.application == name for seen in last)
        measure(f"{name}: processes", running, equals(plan.instances, source))


def look(target: Target) -> Iterable[Seen]:
    """One look at all processes of the plan.

    Raises:
        TargetError: their manager does not answer as it should.
        ToolError: it can't be asked.
    """
    plan = target.settings("process")
    if plan.manager == "pidfile":
        return by_pid_files(target.files(plan.pid_files), plan.match)
    if plan.manager == "pm2":
        return by_pm2(ask(target, [*(plan.command or ["pm2"]), "jlist"]), plan.names)
    shown = f"--property={','.join(UNIT_PROPERTIES)}"
    return by_systemd(ask(target, [*(plan.command or ["systemctl"]), "show", shown, "--", *plan.names]))


def ask(target: Target, command: list[str]) -> str:
    """What the manager's program prints.

    Raises:
        TargetError: it fails, or takes too long.
        ToolError: there is no such program.
    """
    plan = target.settings("process")
    done = target.run(command, timeout_s=plan.timeout_s, environment={"TZ": "UTC", "LC_ALL": "C.UTF-8"})
    if done.status is None:
        raise TargetError(f"{done.command} did not end within {plan.timeout_s:g} s")
    if done.status != 0:
        raise TargetError(f"{done.command} failed with status {done.status}; try it by hand")
    return done.output


def judge(target: Target, measure: Measure, one: Watched) -> None:
    """Holds against the plan whether one process runs, and goes on."""
    plan, looks = target.settings("process"), len(one.looks)
    where = target.source("process.manager")
    measure(f"{one.name}: states other than running", one.down, empty(where), n=looks)
    restarts = equals(0, target.source("process.window_s"))
    measure(f"{one.name}: restarts in {plan.window_s:g} s", one.restarts, restarts, n=looks)


def judge_use(target: Target, measure: Measure, one: Watched, now: float) -> None:
    """Holds against the plan what one process takes, and how old it is.

    Raises:
        ToolError: the plan does not say how much memory there is.
    """
    plan, looks = target.settings("process"), len(one.looks)
    memory, cpu = one.memory_bytes, one.cpu_percent
    share = None if memory is None else round(memory / room(target) * 100, 2)
    little = below(plan.max_memory_percent, target.source("process.max_memory_percent"))
    measure(f"{one.name}: memory, of {room(target) / MEGABYTE:.0f} MB", share, little, unit="%", n=looks)
    busy = below(plan.max_cpu_percent, target.source("process.max_cpu_percent"))
    used = None if cpu is None else round(cpu / plan.cpus, 2)
    measure(f"{one.name}: processor, of {plan.cpus:g}", used, busy, unit="%", n=looks)
    uptime = one.uptime_s(now)
    uptime = None if uptime is None else round(uptime, 1)
    if plan.min_uptime_s > 0:
        lasts = at_least(plan.min_uptime_s, target.source("process.min_uptime_s"))
        measure(f"{one.name}: time since its start", uptime, lasts, unit="s")
    if plan.max_uptime_s is not None:
        fresh = at_most(plan.max_uptime_s, target.source("process.max_uptime_s"))
        measure(f"{one.name}: started by the deployment", uptime, fresh, unit="s")


def room(target: Target) -> float:
    """Bytes of memory that one process may take.

    Raises:
        ToolError: the plan does not say, and the process runs elsewhere.
    """
    plan = target.settings("process")
    if plan.memory_mb is not None:
        return float(plan.memory_mb * MEGABYTE)
    if plan.command is not None:
        raise ToolError(
            f"launch.toml: targets.{target.name}.process.memory_mb is missing; processes that process.command "
            "reaches may run on another machine, so say what each of them may take"
        )
    return float(machine_memory())
