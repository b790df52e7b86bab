"""Logs: no error since the deployment, in any of them."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from gonogo import (
    EvidenceKeeper,
    GonogoError,
    InconclusiveError,
    Measure,
    Target,
    TargetError,
    at_least,
    empty,
)
from gonogo.probes.logs import LogFacts, Rules, compiled, read_files, read_journal, read_output

SHOWN = 5
"""Error lines of each log that the measurement names; more of them are evidence."""
CUT = "[the first "
"""How an output begins whose beginning was too much to keep."""


@pytest.mark.gate("logs.clean")
def test_clean(target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """No log has an error line since the deployment, and each of them has lines at all."""
    plan = target.settings("logs")
    now = time.time()
    rules = Rules(
        errors=compiled(plan.errors),
        allowed=compiled(one.pattern for one in plan.allow),
        since=now - plan.within_s,
        now=now,
        zone=UTC if plan.zone == "UTC" else ZoneInfo(plan.zone),
        max_bytes=int(plan.max_mb * 1e6),
        ends=time.monotonic() + plan.timeout_s,
    )
    logs: list[tuple[LogFacts, bool]] = []
    failed: list[GonogoError] = []
    for source in plan.sources:
        try:
            found = read(target, source, rules)
        except GonogoError as error:  # what can't be read must not hide what the others say
            failed.append(error)
            continue
        if source.files is not None:
            measure(f"{source.files}: logs", len(found), at_least(1, target.source("logs.sources")))
        logs += [(log, source.errors_only) for log in found]
    since = f"{datetime.fromtimestamp(rules.since, UTC):%Y-%m-%d %H:%M:%S} UTC"
    keep(evidence, [log for log, _ in logs], since)
    for log, errors_only in logs:
        judge(target, measure, log, since, errors_only=errors_only)
    if failed:
        raise failed[0]
    if doubts := [doubt for log, _ in logs for doubt in log.problems]:
        raise InconclusiveError("; ".join(doubts))


def read(target: Target, source: Any, rules: Rules) -> list[LogFacts]:
    """The logs of one source.

    Raises:
        TargetError: a command fails.
        ToolError: one can't be read, or a command can't be run.
    """
    if source.files is not None:
        return read_files(target.files(source.files), rules)
    if source.unit is not None:
        asked = ("--since", f"@{rules.since:.0f}", "--output=json", "--output-fields=MESSAGE,PRIORITY")
        program = source.command or ("journalctl",)
        text = printed(target, [*program, f"--unit={source.unit}", *asked, "--no-pager", "--quiet"])
        return [read_journal(source.unit, text, rules, whole=not text.startswith(CUT))]
    text = printed(target, list(source.command))
    return [read_output(source.command[0].rpartition("/")[2], text, rules, whole=not text.startswith(CUT))]


def printed(target: Target, command: list[str]) -> str:
    """The output of a command.

    Raises:
        TargetError: it fails, or takes too long.
        ToolError: there is no such program.
    """
    plan = target.settings("logs")
    done = target.run(command, timeout_s=plan.timeout_s)
    if done.status is None:
        raise TargetError(f"{done.command} did not end within {plan.timeout_s:g} s, so its log was not read")
    if done.status != 0:
        raise TargetError(f"{done.command} failed with status {done.status}, so its log was not read")
    return done.output


def judge(target: Target, measure: Measure, log: LogFacts, since: str, *, errors_only: bool) -> None:
    """Holds one log against the plan; one with nothing but errors may be empty."""
    plan = target.settings("logs")
    enough = at_least(0 if errors_only else plan.min_lines, target.source("logs.min_lines"))
    measure(f"{log.name}: lines since {since}", log.lines, enough)
    shown = log.kept[:SHOWN]
    if log.errors > len(shown):
        shown = [*shown, f"and {log.errors - len(shown)} more"]
    read_through = log.lines or log.older or int(errors_only)
    measure(f"{log.name}: error lines", shown, empty(target.source("logs.errors")), n=read_through)


def keep(evidence: EvidenceKeeper, logs: list[LogFacts], since: str) -> None:
    """What was read, and each error line that was found."""
    counts = [
        {
            "log": log.name,
            "lines": log.lines,
            "older": log.older,
            "errors": log.errors,
            "allowed": dict(log.allowed),
        }
        for log in logs
    ]
    evidence.json("logs.json", {"since": since, "logs": counts})
    evidence.text("error-lines.txt", "".join(f"{line}\n" for log in logs for line in log.kept))
