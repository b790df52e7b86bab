"""Logs: every kind of error line, which lines count, and what can't be claimed."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from gate_calls import Called, call, target_at
from gate_runs import ROOT
from gonogo.model import Outcome
from gonogo.probes.logs import Rules, compiled, read_files, read_journal
from gonogo.tables.service import ERRORS, Logs, LogSource

sys.path.append(str(ROOT))  # where the gates' own folder is a package

from tests.infra import test_logs as log_gates

HOUR = 3600.0


def iso(ago_s: float, now: float | None = None) -> str:
    return f"{datetime.fromtimestamp((now or time.time()) - ago_s, UTC):%Y-%m-%dT%H:%M:%S}Z"


def rules(**changed: Any) -> Rules:
    usual = {
        "errors": compiled(ERRORS),
        "allowed": (),
        "since": time.time() - HOUR,
        "now": time.time(),
        "zone": UTC,
        "max_bytes": 10**7,
        "ends": time.monotonic() + 30,
    }
    return Rules(**{**usual, **changed})


def clean(folder: Path, files: str = "*.log*", **keys: Any) -> Called:
    info = {"base_url": "https://127.0.0.1:1", "env": {}}
    logs = {"sources": [{"files": str(folder / files)}], "within_s": HOUR, **keys}
    return call(log_gates.test_clean, target_at(info, logs=logs))


def write(folder: Path, name: str, *lines: str, age_s: float = 0.0) -> Path:
    file = folder / name
    text = "".join(f"{line}\n" for line in lines).encode()
    packed = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}.get(file.suffix, bytes)
    file.write_bytes(packed(text))
    os.utime(file, (time.time() - age_s,) * 2)
    return file


# What is an error


@pytest.mark.parametrize(
    "line",
    [
        "ERROR it broke",
        "\x1b[31mERROR\x1b[0m it broke",
        "[CRITICAL] disk",
        "FATAL:  password authentication failed",
        "2026/11/25 15:29:00 [crit] 7#7: *1 connect() failed",
        "ts=1 level=error msg=broke",
        '{"level":"error","msg":"broke"}',
        '{"severity": "CRITICAL"}',
        '{"level":50,"msg":"broke"}',
        "Traceback (most recent call last):",
        "ValueError: bad",
        "TypeError: Cannot read properties of undefined",
        "java.lang.NullPointerException",
        "(node:1) UnhandledPromiseRejection: no",
        "Uncaught exception in worker",
        "npm error: code ELIFECYCLE",
        "Segmentation fault (core dumped)",
        "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory",
    ],
)
def test_error_lines_are_found(line: str, tmp_path: Path) -> None:
    write(tmp_path, "app.log", f"{iso(60)} start", line)
    (facts,) = read_files([tmp_path / "app.log"], rules())

    assert facts.errors == 1


@pytest.mark.parametrize(
    "line",
    [
        "INFO 0 errors so far",
        "GET /errors/none 200",
        '{"level":"info","msg":"no problem"}',
        '{"level":30,"time":1795620540250}',
        "WARN slow: 300 ms",
        "terror attack in the news",
        "level=info errors=0",
    ],
)
def test_other_lines_are_not(line: str, tmp_path: Path) -> None:
    write(tmp_path, "app.log", f"{iso(60)} start", line)
    (facts,) = read_files([tmp_path / "app.log"], rules())

    assert (facts.errors, facts.lines) == (0, 2)


# Which lines count


def test_only_lines_since_then_count_and_what_follows_a_line_goes_with_it(tmp_path: Path) -> None:
    old, new = iso(2 * HOUR), iso(60)
    write(
        tmp_path,
        "app.log",
        *(f"{old} ERROR before", "Traceback (most recent call last):", "ValueError: before"),
        *(f"{new} INFO start", "ValueError: now", f"{old} ERROR speaks of yesterday"),
    )
    called = clean(tmp_path)

    assert [line.partition(": ")[2] for line in called["error lines"].actual] == [
        "ValueError: now",
        f"{old} ERROR speaks of yesterday",
    ]
    assert called["lines since"].actual == 3
    assert called["error lines"].n == 3


@pytest.mark.parametrize(
    "name",
    [
        "app.log.1",
        "app.log.2.gz",
        "app.log-20261125",
        "app.log-20261125.xz",
        "app.log.2026-11-25",
        "app.log.1.bz2",
        "app-2026-11-25.log",
        "app.log.old",
    ],
)
def test_rotated_files_belong_to_their_log(name: str, tmp_path: Path) -> None:
    write(tmp_path, "app.log", f"{iso(10)} INFO fine")
    write(tmp_path, name, f"{iso(60)} ERROR rotated away")
    called = clean(tmp_path)

    assert [taken.name.partition(":")[0] for taken in called.measurements if "error lines" in taken.name] == [
        "app.log"
    ]
    assert called["error lines"].actual == [f"{name}:1: {iso(60)} ERROR rotated away"]


def test_instances_with_numbers_in_their_names_are_logs_of_their_own(tmp_path: Path) -> None:
    for name in ("app-1.log", "app-2.log"):
        write(tmp_path, name, f"{iso(10)} INFO fine")

    assert clean(tmp_path).outcome is Outcome.PASS
    assert [facts.name for facts in read_files(sorted(tmp_path.iterdir()), rules())] == ["app-1.log", "app-2.log"]


def test_a_log_without_any_time_counts_as_a_whole(tmp_path: Path) -> None:
    write(tmp_path, "app.log", "starting", "ERROR no time here")

    assert clean(tmp_path)["error lines"].actual == ["app.log:2: ERROR no time here"]


def test_what_was_last_written_before_then_is_not_read(tmp_path: Path) -> None:
    write(tmp_path, "app.log", f"{iso(10)} INFO fine")
    write(tmp_path, "app.log.7.gz", "ERROR long ago", age_s=2 * HOUR)

    assert clean(tmp_path).outcome is Outcome.PASS


# Absence


def test_an_empty_log_a_silent_log_and_no_log_are_red(tmp_path: Path) -> None:
    assert clean(tmp_path).bad == {f"{tmp_path}/*.log*: logs": 0}
    write(tmp_path, "app.log", "")
    assert clean(tmp_path)["lines since"].ok is False
    write(tmp_path, "app.log", f"{iso(HOUR + 9)} INFO fine", age_s=HOUR - 9)
    silent = clean(tmp_path)
    assert (silent.outcome, silent["lines since"].actual) == (Outcome.FAIL, 0)


def test_a_plan_may_ask_for_no_lines_but_nothing_is_still_no_pass(tmp_path: Path) -> None:
    write(tmp_path, "app.log", f"{iso(HOUR + 9)} INFO fine", age_s=HOUR - 9)
    assert clean(tmp_path, min_lines=0).outcome is Outcome.PASS
    write(tmp_path, "app.log")
    assert clean(tmp_path, min_lines=0).outcome is Outcome.INCONCLUSIVE


def test_one_silent_log_of_two_is_red(tmp_path: Path) -> None:
    write(tmp_path, "a.log", f"{iso(10)} INFO fine")
    write(tmp_path, "b.log", "")

    assert [name.partition(":")[0] for name in clean(tmp_path).bad] == ["b.log", "b.log"]


def test_a_log_that_is_closed_to_us_hides_no_other(tmp_path: Path) -> None:
    write(tmp_path, "a.log", f"{iso(10)} ERROR here")
    (tmp_path / "b.log.gz").write_bytes(b"\x1f\x8b broken")
    called = clean(tmp_path, sources=[{"files": str(tmp_path / "b*")}, {"files": str(tmp_path / "a*")}])

    assert called.outcome is Outcome.FAIL
    assert "b.log.gz can't be read" in called.reason
    assert called["error lines"].ok is False


# What can't be claimed


def test_times_in_another_zone_than_assumed_are_no_pass(tmp_path: Path) -> None:
    there = datetime.now(ZoneInfo("America/New_York"))
    write(tmp_path, "app.log", f"{there:%Y-%m-%d %H:%M:%S} ERROR hidden by five hours")
    hidden = clean(tmp_path, min_lines=0)
    right = clean(tmp_path, zone="America/New_York")

    assert hidden.outcome is Outcome.INCONCLUSIVE
    assert "say the zone of its times with logs.zone" in hidden.reason
    assert right["error lines"].ok is False


def test_times_ahead_of_the_clock_are_no_pass(tmp_path: Path) -> None:
    there = datetime.now(ZoneInfo("Asia/Tokyo"))
    write(tmp_path, "app.log", f"{there:%Y-%m-%d %H:%M:%S} INFO fine")

    assert clean(tmp_path).outcome is Outcome.INCONCLUSIVE


def test_lines_without_times_after_an_old_one_are_no_pass(tmp_path: Path) -> None:
    write(tmp_path, "app.log", f"{iso(5 * HOUR)} INFO fine", "TypeError: perhaps just now")
    called = clean(tmp_path, min_lines=0)

    assert called.outcome is Outcome.INCONCLUSIVE
    assert "log each line with the time of writing it" in called.reason


def test_a_huge_log_is_read_from_its_end_and_says_what_it_left_out(tmp_path: Path) -> None:
    lines = [f"{iso(HOUR - number / 4)} INFO request {number}" for number in range(13_000)]
    write(tmp_path, "app.log", f"{iso(HOUR - 1)} ERROR at the beginning", *lines)
    partly = clean(tmp_path, max_mb=0.1)
    write(
        tmp_path,
        "app.log",
        f"{iso(3 * HOUR)} ERROR long ago",
        *[f"{iso(2 * HOUR)} INFO x"] * 20_000,
        f"{iso(5)} up",
    )
    tail = clean(tmp_path, max_mb=0.1)

    assert partly.outcome is Outcome.INCONCLUSIVE
    assert "bytes were not read; raise logs.max_mb" in partly.reason
    assert clean(tmp_path, max_mb=10.0).outcome is Outcome.PASS
    assert (tail.outcome, tail["lines since"].actual) == (Outcome.PASS, 1)


def test_lines_of_any_length_and_any_bytes_are_read(tmp_path: Path) -> None:
    (tmp_path / "app.log").write_bytes(f"{iso(5)} ".encode() + b"\xff\xfe" + b"x" * 200_000 + b" ERROR far out\n")
    called = clean(tmp_path)
    (tmp_path / "app.log").write_bytes(b"\0\1\2" * 1000)

    assert called["error lines"].ok is False
    assert all(len(line) < 500 for line in called["error lines"].actual)
    assert "it is no text" in clean(tmp_path).reason


def test_reading_ends_in_time(tmp_path: Path) -> None:
    write(tmp_path, "app.log", *[f"{iso(5)} INFO x"] * 200_000)
    called = clean(tmp_path, timeout_s=0.01)

    assert called.outcome is Outcome.ERROR
    assert "could not be read in time" in called.reason


def test_a_flood_of_errors_is_counted_and_kept_in_bounds(tmp_path: Path) -> None:
    write(tmp_path, "app.log", *[f"{iso(5)} ERROR {'long ' * 500}"] * 5000)
    called = clean(tmp_path)

    assert called["error lines"].actual[-1] == "and 4995 more"
    assert len(called.evidence["error-lines.txt"]) < 100_000


# Exceptions


def test_an_exception_excuses_its_lines_and_no_others(tmp_path: Path) -> None:
    write(
        tmp_path,
        "app.log",
        f"{iso(9)} ERROR known trouble 7",
        f"{iso(8)} ERROR other",
        f"{iso(7)} ERROR known trouble 8",
    )
    called = clean(tmp_path, allow=[{"pattern": r"known trouble \d", "reason": "ticket 12"}])

    assert [line.rpartition(" ")[2] for line in called["error lines"].actual] == ["other"]
    (counted,) = json.loads(called.evidence["logs.json"])["logs"]
    assert counted["allowed"] == {r"known trouble \d": 2}


# Commands and journald


def from_command(code: str, timeout_s: float = 20.0, **source: Any) -> Called:
    info = {"base_url": "https://127.0.0.1:1", "env": {}}
    sources = [{"command": [sys.executable, "-c", code], **source}]
    return call(
        log_gates.test_clean, target_at(info, logs={"sources": sources, "within_s": HOUR, "timeout_s": timeout_s})
    )


def test_the_output_of_a_command_is_a_log() -> None:
    assert from_command(f"print('{iso(5)} fine')").outcome is Outcome.PASS
    assert from_command(f"print('{iso(5)} ERROR x')")["error lines"].ok is False
    assert from_command("pass").outcome is Outcome.FAIL
    assert "failed with status 3" in from_command("raise SystemExit(3)").reason
    assert "did not end within 1 s" in from_command("import time; time.sleep(9)", timeout_s=1.0).reason
    long = from_command(f"print('{iso(5)} ERROR first'); print('{iso(4)} fine\\n' * 60_000)")
    assert long.outcome is Outcome.INCONCLUSIVE
    assert "its beginning is lost" in long.reason


def entry(ago_s: float, message: Any, priority: int = 6) -> str:
    at = int((time.time() - ago_s) * 1e6)
    return json.dumps({"__REALTIME_TIMESTAMP": str(at), "PRIORITY": str(priority), "MESSAGE": message})


def test_a_journal_knows_severities_bytes_and_many_lines() -> None:
    text = "\n".join(
        [
            "Warning: Permanently added 'app1' to the list of known hosts.",
            entry(9 * HOUR, "ERROR long ago"),
            entry(60, "fine"),
            entry(50, "looks fine, is not", priority=3),
            entry(40, "one\nERROR two"),
            entry(30, list(b"ERROR \xff bytes")),
            entry(20, None),
        ]
    )
    facts = read_journal("fleet", text, rules())

    assert (facts.errors, facts.older) == (3, 1)
    assert [line.split(": ", 1)[1] for line in facts.kept] == [
        "looks fine, is not",
        "ERROR two",
        "ERROR \\xff bytes",
    ]


def test_the_gate_asks_journald_for_a_unit() -> None:
    # In the place of journalctl: prints an entry that holds its own arguments.
    code = f"import sys, json; e = json.loads({entry(5, 'x')!r}); e['MESSAGE'] = ' '.join(sys.argv[1:]); print(json.dumps(e))"
    called = from_command(code, unit="fleet")
    broken = from_command("print('{1')", unit="fleet")

    assert called.outcome is Outcome.PASS
    assert called["fleet: lines since"].actual == 1
    assert broken.outcome is Outcome.FAIL
    assert "which is no entry" in broken.reason


@pytest.mark.parametrize(
    "keys",
    [
        {"sources": []},
        {"sources": [{}]},
        {"sources": [{"files": "a", "unit": "b"}]},
        {"sources": [{"files": "a"}], "errors": []},
        {"sources": [{"files": "a"}], "errors": ["("]},
        {"sources": [{"files": "a"}], "allow": [{"pattern": ".*", "reason": "all"}]},
        {"sources": [{"files": "a"}], "allow": [{"pattern": "x", "reason": ""}]},
        {"sources": [{"files": "a"}], "zone": "Mars/Olympus"},
    ],
)
def test_plans_that_make_no_sense_are_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Logs(**keys)


def test_a_unit_may_name_its_program() -> None:
    assert LogSource(unit="fleet", command=("ssh", "app1", "journalctl")).files is None
