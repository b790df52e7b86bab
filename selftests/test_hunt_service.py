"""What once was a wrong answer about processes, logs or services."""

from __future__ import annotations

import json
import os
import socket
import time
from datetime import UTC
from pathlib import Path

import pytest
from pydantic import ValidationError

from gonogo.errors import TargetError, ToolError
from gonogo.model import Outcome
from gonogo.probes.logs import read_files, read_journal
from gonogo.probes.runtime import by_pid_files, by_pm2, by_systemd, watch
from gonogo.probes.services import greet
from gonogo.redaction import redacted
from gonogo.tables.service import Logs
from gonogo.timestamps import stamp_of
from test_probe_logs import HOUR, clean, iso, rules, write
from test_probe_runtime import ENTRY, seen, unit, watched
from test_probe_services import BANNER, asked, lines, place, serving

NOW = 1795620600.0  # 2026-11-25 15:30:00 UTC
AS_OF = "Loaded vehicles as of 2026-01-20T00:00:00Z"


# Processes


def pid_file(folder: Path, name: str, pid: int) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(str(pid))
    return folder / name


def test_pid_files_of_one_name_in_two_folders_are_two(tmp_path: Path) -> None:
    files = [pid_file(tmp_path / "a", "app.pid", 4194303), pid_file(tmp_path / "b", "app.pid", os.getpid())]
    gone, there = watch(lambda: by_pid_files(files), 0.01, 0.01)

    assert gone.down == ["gone: there is no process 4194303"]
    assert (there.name, there.down) == (str(tmp_path / "b" / "app.pid"), [])


def test_one_process_does_not_stand_for_two(tmp_path: Path) -> None:
    files = [pid_file(tmp_path, f"{name}.pid", os.getpid()) for name in "ab"]
    first, second = by_pid_files(files)

    assert first.up
    assert (second.up, second.state) == (False, f"gone: {os.getpid()} is the process of a")


def test_odd_pid_files_are_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pid")
    (tmp_path / "long.pid").write_text("000000000001" + "9" * 30)

    with pytest.raises(ToolError, match="it is no file"):
        by_pid_files([tmp_path / "pipe.pid"])
    assert by_pid_files([tmp_path / "long.pid"])[0].state == "long.pid holds no number of a process"


@pytest.mark.parametrize("number", ["9" * 400, "1e999", "NaN", "-1e999"])
def test_numbers_that_are_none_are_unknown(number: str) -> None:
    text = json.dumps([{**ENTRY, "pid": "?", "monit": {"memory": "?"}}]).replace('"?"', number)
    (one,) = by_pm2(text, ["fleet"])

    assert (one.up, one.pid, one.memory_bytes) == (False, None, None)
    assert by_systemd(unit(MainPID="9" * 5000))[0].pid is None


def test_managers_that_print_rubbish_leave_no_traceback() -> None:
    with pytest.raises(TargetError, match="printed no list"):
        by_pm2("[" * 100_000, ["fleet"])
    with pytest.raises(ToolError, match="tells its times as"):
        by_systemd(unit(ExecMainStartTimestamp="Wed 2026-13-45 09:30:00 UTC"))


def test_a_moment_of_work_is_no_busy_process() -> None:
    loads = (99.0, 5.0, 95.0, 5.0, 5.0)  # the first tells what was before

    assert watched(*(seen(7, cpu_percent=load) for load in loads)).cpu_percent == 27.5


# Logs


def test_a_date_that_a_line_speaks_of_hides_no_error(tmp_path: Path) -> None:
    write(tmp_path, "app.log", "up", AS_OF, "ERROR cannot reach the database", AS_OF)

    assert clean(tmp_path)["error lines"].actual == ["app.log:3: ERROR cannot reach the database"]


def test_times_long_before_the_file_was_written_are_no_pass(tmp_path: Path) -> None:
    line = '{"level":"error","date":"2026-01-20T00:00:00Z","msg":"booking failed"}'
    write(tmp_path, "app.log", f"{iso(30 * HOUR)} INFO start", line)
    called = clean(tmp_path, min_lines=0)

    assert called.outcome is Outcome.INCONCLUSIVE
    assert "after the newest time that stands in it" in called.reason


@pytest.mark.parametrize(
    "line",
    [
        r'{"log":"{\"level\":\"error\",\"msg\":\"x\"}\n","stream":"stdout","time":"2026-11-25T15:29:00Z"}',
        r'{"log":"{\"level\":50,\"msg\":\"x\"}\n","stream":"stdout"}',
        "[Wed Nov 25 15:29:00.123456 2026] [core:error] [pid 1:tid 2] no such file",
        "E1125 15:29:00.123456       1 main.go:12] failed",
        "[15:29:00 ERR] it broke",
        "ERRO[0001] it broke",
        "thread 'main' panicked at src/main.rs:1",
        "panic: assignment to entry in nil map",
        "fail: Microsoft.AspNetCore.Server.Kestrel[13]",
        '{"LogLevel":"Error","Category":"x"}',
        '{"@t":"2026-11-25T15:29:00Z","@l":"Error"}',
        "fleet.service: Failed with result 'exit-code'.",
    ],
)
def test_errors_of_other_loggers_are_found(line: str, tmp_path: Path) -> None:
    write(tmp_path, "app.log", line)
    (facts,) = read_files([tmp_path / "app.log"], rules(since=0.0))

    assert facts.errors == 1


@pytest.mark.parametrize(
    ("line", "ago_s"),
    [
        ("[Wed Nov 25 15:29:00.123456 2026] [core:error] x", 60),
        ("25-Nov-2026 15:29:00.123 SEVERE [main] x", 60),
        ('{"time":12,"timestamp":"2026-11-25T15:29:00Z"}', 60),
        ('{"time":1.2,"Timestamp":"2026-11-25T15:29:00Z"}', 60),
        ("ts: 2026-11-25T15:29:00Z", 60),
        ("expires 2026-11-25T15:29:00Z", None),
        ("until: 2026-11-25T15:29:00Z", None),
        ("[Wed Xyz 25 15:29:00 2026] x", None),
    ],
)
def test_times_of_other_loggers(line: str, ago_s: float | None) -> None:
    stamp = stamp_of(line, UTC, NOW)

    assert (None if stamp is None else NOW - stamp.at) == ago_s


def test_logs_of_one_name_in_two_folders_are_told_apart(tmp_path: Path) -> None:
    for folder in "ab":
        (tmp_path / folder).mkdir()
        write(tmp_path / folder, "app.log", f"{iso(9)} fine")
    files = sorted(tmp_path.glob("*/app.log"))

    assert [facts.name for facts in read_files(files, rules())] == [str(file) for file in files]


def test_a_log_of_errors_alone_may_be_empty_beside_another(tmp_path: Path) -> None:
    write(tmp_path, "app.log", f"{iso(9)} fine")
    write(tmp_path, "worse.err", "")
    errors = {"files": str(tmp_path / "*.err"), "errors_only": True}
    sources = [{"files": str(tmp_path / "*.log")}, errors]

    assert clean(tmp_path, sources=sources).outcome is Outcome.PASS
    write(tmp_path, "worse.err", "ERROR it broke")
    assert list(clean(tmp_path, sources=sources).bad) == ["worse.err: error lines"]
    (tmp_path / "worse.err").unlink()
    assert list(clean(tmp_path, sources=sources).bad) == [f"{tmp_path}/*.err: logs"]
    with pytest.raises(ValidationError, match="name it"):
        Logs(sources=(errors,))  # type: ignore[arg-type]


def test_lines_without_end_are_read_in_time(tmp_path: Path) -> None:
    (tmp_path / "app.log").write_bytes(f"{iso(9)} {'Ab ' * 20_000}\n".encode() * 150)

    assert "could not be read in time" in clean(tmp_path, timeout_s=0.05).reason
    started = time.monotonic()
    redacted("password" * 8000 + "a" * 60_000 + "a.b-" * 9000)
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("line", ['{"a":' * 100_000, '{"__REALTIME_TIMESTAMP":"1%s"}' % ("0" * 400)])
def test_a_journal_of_rubbish_leaves_no_traceback(line: str) -> None:
    with pytest.raises(TargetError, match="which is no entry"):
        read_journal("fleet", line, rules())


def test_an_exception_for_each_and_every_line_is_refused() -> None:
    with pytest.raises(ValidationError, match="matches every line"):
        Logs(sources=({"files": "a"},), allow=({"pattern": ".", "reason": "all"},))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "line",
    [
        "Cookie: theme=dark; sid=hunter2",
        "map[Authorization:[Bearer hunter2]]",
        "Authorization: ApiKey hunter2",
        "DB_PASS=hunter2",
        r'{"body":"{\"password\":\"hunter2\"}"}',
        '{"password": "hun hunter2',
        "password=a,hunter2",
        "postgres://fleet:p@hunter2@db/fleet",
        "AccountKey=abc/hunter2==",
        "GET /files?sig=hunter2",
        "psql --password hunter2",
        "'token' => 'hunter2'",
    ],
)
def test_more_secrets_are_taken_out(line: str) -> None:
    assert "hunter2" not in redacted(line)
    assert redacted("passenger: 7 of 9 passed: yes") == "passenger: 7 of 9 passed: yes"


# Services


def test_what_accepts_and_hangs_up_is_not_reachable() -> None:
    with serving(socket.socket.close) as port, pytest.raises(TargetError, match="closed it at once"):
        greet("tcp", place(port))
    with serving(lines(greeting=b"hello")) as port:
        assert greet("tcp", place(port)).duration_ms < 150


def test_a_user_of_redis_without_administration_is_enough() -> None:
    refused = b"-NOPERM this user has no permissions to run the 'info' command\r\n"
    with serving(lines(b"+PONG\r\n", refused)) as port:
        assert greet("redis", place(port)).said == ("PONG",)
        with pytest.raises(TargetError, match="refused INFO: NOPERM"):
            greet("redis", place(port, writable=True))


def test_a_server_that_repeats_the_password_does_not_show_it() -> None:
    repeated = b"-ERR unknown command `AUTH`, with args beginning with: `hunter2`\r\n"
    with serving(lines(repeated)) as port, pytest.raises(TargetError, match=r"`\[redacted\]`") as failure:
        greet("redis", place(port, password="hunter2"))
    assert "hunter2" not in str(failure.value)


def test_a_mail_server_may_hang_up_instead_of_saying_bye() -> None:
    def talk(peer: socket.socket) -> None:
        peer.sendall(BANNER)
        peer.recv(999)
        peer.sendall(b"250 mail.fleet.test\r\n")
        peer.recv(999)

    with serving(talk) as port:
        assert greet("smtp", place(port)).said[-1] == "EHLO: 250 mail.fleet.test"


def test_half_a_body_is_no_answer() -> None:
    half = lines(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nx")
    with serving(lambda peer: half(_ended(peer))) as port, pytest.raises(TargetError, match="49 bytes of the body"):
        greet("http", place(port))


def _ended(peer: socket.socket) -> socket.socket:
    peer.settimeout(0.1)
    return peer


@pytest.mark.parametrize(
    ("kind", "address"),
    [
        ("http", "http://127.0.0.1:1/\u00fc"),
        ("http", "http://[::1"),
        ("http", "http://127.0.0.1:1/a b"),
        ("http", "http://127.0.0.1:0/"),
        ("http", "http://a..b/"),
        ("tcp", "[::1:6379"),
        ("tcp", f"{'x' * 70}:1"),
        ("tcp", "cache:6379/0"),
    ],
)
def test_addresses_that_are_none_are_our_fault(kind: str, address: str) -> None:
    called = asked({"name": "s", "kind": kind, "url" if kind == "http" else "address": address})

    assert called.outcome is Outcome.ERROR
    assert "of the service s is" in called.reason


def test_an_address_that_this_machine_has_no_way_to_is_no_finding() -> None:
    called = asked({"name": "far", "kind": "tcp", "address": "[ff0e::1]:25"})  # a group, to which nobody connects

    assert called.outcome is Outcome.INCONCLUSIVE
    assert "this machine has no way to IPv6" in called.reason
