"""The load probe tells the truth about slow, failing and absent targets, and about its own failures."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

import servers
from gonogo.arrivals import Stretch
from gonogo.errors import ToolError
from gonogo.loadfacts import LoadFacts
from gonogo.loadrules import Limits, limited_by
from gonogo.probes.load import Plan, Request, Workers, run

T = TypeVar("T")

LOCUSTFILE = Path(__file__).parent.parent / "tests" / "load" / "locustfile.py"


def offer(
    base_url: str, *, rps: float = 50.0, duration_s: float = 3.0, warmup_s: float = 0.0, **options: Any
) -> LoadFacts:
    """A few seconds of load on two paths."""
    stretches = (Stretch("warm-up", rps, warmup_s), Stretch("steady", rps, duration_s))
    settings = {
        "requests": (Request("/a", 3), Request("/b")),
        "timeout_s": 4.0,
        "counts_from_s": warmup_s,
    } | options
    return run(Plan(base_url, stretches=tuple(s for s in stretches if s.duration_s), **settings), LOCUSTFILE)


def test_good_target_under_its_own_name_and_a_wrong_one(tmp_path: Path) -> None:
    """Every planned request is sent over verified TLS to a mapped name, by weight; another name's certificate is refused."""
    ca = servers.authority(tmp_path)
    with servers.serve(servers.answer(b"ok"), ca.context()) as server:
        hosts = {(name, 443): server.address for name in ("app.fleet.test", "other.fleet.test")}
        facts = offer("https://app.fleet.test", ca_file=ca.ca_file, hosts=hosts, warmup_s=1.0)
        wrong = offer("https://other.fleet.test", ca_file=ca.ca_file, hosts=hosts, duration_s=0.5)

    steady = facts.of("steady")
    assert facts.planned == {"warm-up": 50, "steady": 150}
    assert (len(facts.rows), steady.requests, steady.failures, steady.kinds) == (200, 150, 0, {})
    assert {one.name: one.requests for one in facts.by_request(1.0)} in (
        {"/a": 112, "/b": 38},
        {"/a": 113, "/b": 37},
    )
    assert facts.served_rps("steady") == pytest.approx(50, abs=5)
    assert 0 < steady.quantile_ms(0.5) <= steady.quantile_ms(0.95) <= steady.max_ms
    assert wrong.of("steady").failures == len(wrong.rows) == 25
    assert all("CERTIFICATE_VERIFY_FAILED" in kind for kind in wrong.of("steady").kinds)


def test_stall_is_seen_by_every_request_that_waited() -> None:
    """A stall of two seconds in four is in the p50 and p95, because latency counts from the due time."""
    stall = threading.Event()
    ready = threading.Lock()
    begin: list[float] = []

    def handler(connection: object, stopping: threading.Event) -> None:
        while servers.read_request(connection):  # type: ignore[arg-type]
            with ready:
                begin or begin.append(time.monotonic())
            # From 2 to 4 s after the first request nothing is answered.
            since = time.monotonic() - begin[0]
            if 2 <= since < 4:
                stall.wait(4 - since)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")  # type: ignore[attr-defined]

    with servers.serve(handler) as server:
        found = offer(server.url, duration_s=4.0).of("steady")

    # 100 of the 200 requests fell due in the stall and waited 0 to 2 s, evenly: the slowest tenth
    # of these, a twentieth of all, waited 1.8 s or more.
    assert found.failures == 0
    assert found.quantile_ms(0.95) == pytest.approx(1800, abs=150)
    assert found.max_ms == pytest.approx(2000, abs=200)
    assert sum(latency > 100 for latency in found.latencies_ms) == pytest.approx(95, abs=15)


def test_connections_are_opened_in_the_warm_up_with_a_few_to_spare() -> None:
    """Five requests wait at a time; those that count find enough connections, also if one or two more wait."""

    def handler(connection: socket.socket, stopping: threading.Event) -> None:
        while servers.read_request(connection):
            time.sleep(0.1)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with servers.serve(handler) as server:
        facts = offer(server.url, warmup_s=2.0, duration_s=2.0)

    assert facts.of("steady").failures == 0
    opened = [moment - server.accepted[0] for moment in server.accepted]
    assert sum(moment < 1.9 for moment in opened) >= 7
    assert sum(moment > 1.9 for moment in opened) <= 3  # this machine's own hiccups


@pytest.mark.parametrize(
    ("handler", "kind"),
    [
        pytest.param(servers.answer(b"", "302 Found", "Location: /b"), "HTTP 302", id="redirect"),
        pytest.param(servers.answer(b"", "503 Busy"), "HTTP 503", id="503"),
        pytest.param(servers.drip(servers.HEAD + b"\r\n"), "timeout", id="drips"),
        pytest.param(servers.hang_up, "HTTPConnectionClosed", id="hangs-up"),
        pytest.param(servers.garbage, "HTTPParseError", id="garbage"),
        pytest.param(servers.flood, "more than 5000000 bytes", id="a gigabyte"),
    ],
)
def test_bad_server(handler: servers.Handler, kind: str) -> None:
    """Whatever the server does wrong is a counted failure with a name; nothing is tried over and over."""
    with servers.serve(handler) as server:
        facts = offer(server.url, rps=10.0, duration_s=0.6, timeout_s=1.0)

    found = facts.of("steady")
    assert (found.requests, found.failures, found.throttled) == (6, 6, 0)
    assert all(kind in one for one in found.kinds), found.kinds
    assert facts.served_rps("steady") == 0
    assert len(server.accepted) <= 6


@pytest.mark.parametrize(
    ("status", "headers"), [("429 Too Many Requests", ""), ("503 Busy", "Retry-After: 3")], ids=["429", "503"]
)
def test_throttled_is_not_broken_and_no_good_answer(status: str, headers: str) -> None:
    """429, and 503 that says when to come again, are counted apart, named, and speak of no latency."""
    with servers.serve(servers.answer(b"", status, headers)) as server:
        facts = offer(server.url, rps=20.0, duration_s=0.5)

    found = facts.of("steady")
    assert (found.failures, found.throttled, found.kinds) == (0, 10, {f"throttled: HTTP {status[:3]}": 10})
    assert found.latencies_ms == ()
    assert facts.served_rps("steady") == 0


def test_a_run_ends_once_its_answer_is_certain_and_says_why() -> None:
    """Nobody listens: of a planned minute a second is enough."""
    begun = time.monotonic()
    limits = {"steady": Limits(0, 0.001, 0.001, p95_ms=500.0)}
    facts = offer(f"http://127.0.0.1:{servers.free_port()}", duration_s=60.0, limits=limits)

    assert time.monotonic() - begun < 30
    assert facts.stopped.startswith("steady: ")
    assert facts.stopped.endswith("are too many for all 3,000, however good the others")
    assert facts.of("steady").failures == len(facts.rows) < 600


def test_whoever_is_told_how_it_goes_can_end_it() -> None:
    heard: list[Mapping[str, float]] = []

    def told(progress: Mapping[str, float]) -> str:
        heard.append(progress)
        return "enough" if progress["answered"] > 40 else ""

    with servers.serve(servers.answer(b"ok")) as server:
        plan = Plan(server.url, (Request("/"),), (Stretch("steady", 50, 60),))
        facts = run(plan, LOCUSTFILE, told)

    assert facts.stopped == "enough"
    assert 40 < len(facts.rows) < 600
    assert 0 < heard[-1]["rps"] <= 60
    assert 0 < heard[-1]["left_s"] < 60


def test_no_request_at_all_is_our_fault() -> None:
    """Zero requests prove nothing, and are no pass; a schedule above the cap is not begun."""
    with servers.serve(servers.answer(b"ok")) as server:
        with pytest.raises(ToolError, match="above the cap of 40; nothing sent"):
            offer(server.url, max_rps=40.0)
        with pytest.raises(ToolError, match="made no request"):
            run(
                Plan(server.url, (Request("/"),), (Stretch("steady", 0.0001, 0.2, to_rps=0.0001),), poisson=True),
                LOCUSTFILE,
            )

    assert server.accepted == []


def test_what_writes_made_is_taken_away_again_and_what_stays_is_told() -> None:
    """Bodies carry a number of their own; a DELETE follows each Location."""
    seen: list[bytes] = []

    def handler(connection: socket.socket, stopping: threading.Event) -> None:
        while head := servers.read_request(connection):
            seen.append(head)
            number = len(seen)
            if head.startswith(b"POST"):
                connection.sendall(b"HTTP/1.1 201 Made\r\nLocation: /made/%d\r\nContent-Length: 0\r\n\r\n" % number)
            else:
                status = b"409 No" if head.startswith(b"DELETE /made/1 ") else b"204 Gone"
                connection.sendall(b"HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n" % status)

    write = Request("/things", method="POST", body='{"reference": "LT-{n}"}', headers={"X-Who": "us"}, undo=True)
    with servers.serve(handler) as server:
        facts = offer(server.url, requests=(write,), rps=5.0, duration_s=1.0, headers={"Authorization": "Bearer x"})

    assert (facts.created, facts.left) == (5, ("/made/1: HTTP 409",))
    posts = [head for head in seen if head.startswith(b"POST")]
    assert {re.search(rb"LT-(\d)", head)[1] for head in posts} == {b"0", b"1", b"2", b"3", b"4"}  # type: ignore[index]
    assert all(b"Authorization: Bearer x" in head for head in seen)
    assert all(b"X-Who: us" in head for head in posts)
    assert sum(head.startswith(b"DELETE /made/") for head in seen) == 5


# ---------------------------------------------------------------------- several processes


def test_workers_share_the_schedule_and_their_figures_merge_exactly() -> None:
    """Three processes send what one would have: every due time once, nothing lost on the way."""
    with servers.serve(servers.answer(b"ok")) as server:
        facts = offer(server.url, duration_s=2.0, workers=Workers(local=3))

    assert facts.generators == 3
    assert [row.due_s for row in facts.rows] == pytest.approx([number / 50 for number in range(100)])
    assert facts.of("steady").failures == 0
    assert {one.name: one.requests for one in facts.by_request()} == {"/a": 75, "/b": 25}
    assert facts.generator.lost == ()


def test_a_remote_worker_that_falls_silent_is_missed_and_one_that_never_comes_is_waited_for() -> None:
    """Workers elsewhere are no children of ours; that they are gone is seen by their silence."""
    port = servers.free_port()
    command = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--worker", "--master-host", "127.0.0.1"]
    stopped: list[int] = []
    with (
        servers.serve(servers.answer(b"ok")) as server,
        subprocess.Popen(
            [*command, "--master-port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as remote,
    ):

        def told(progress: Mapping[str, float]) -> str:
            if progress["answered"] > 20 and not stopped:
                stopped.append(remote.pid)
                remote.send_signal(signal.SIGSTOP)
            return ""

        try:
            plan = Plan(server.url, (Request("/"),), (Stretch("steady", 40, 30),))
            facts = run(replace(plan, workers=Workers(remote=1, port=port)), LOCUSTFILE, told)
        finally:
            remote.kill()
        assert stopped
        assert limited_by(facts.generator, 1e9, 1e9) == ["worker 1 of 1 fell silent"]
        with pytest.raises(ToolError, match=r"left no result.*1 workers? .*|.*workers"):
            run(replace(plan, workers=Workers(remote=1, port=servers.free_port(), within_s=1.0)), LOCUSTFILE)


# ---------------------------------------------------------------------- our own end


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("x = 1\n", id="no-user"),
        pytest.param("import os, locust\nos._exit(7)\n", id="dies"),
    ],
)
def test_broken_locustfile_is_our_fault(tmp_path: Path, text: str) -> None:
    """A locustfile that crashes ends in a sentence, not in a pass."""
    file = tmp_path / "broken.py"
    file.write_text(text)
    plan = Plan("http://127.0.0.1:9", (Request("/"),), (Stretch("steady", 10, 1),))

    with pytest.raises(ToolError, match="left no result"):
        run(plan, file)


def test_killed_parent_takes_locust_along(tmp_path: Path) -> None:
    """After kill -9 of the asking process, Locust ends by itself."""
    program = (
        "from pathlib import Path; from gonogo.arrivals import Stretch; from gonogo.probes.load import *\n"
        f"run(Plan('http://127.0.0.1:9', (Request('/'),), (Stretch('a', 1, 60),)), Path({str(LOCUSTFILE)!r}))\n"
    )
    # Nobody is left to remove the killed process's working folder; it goes with this test's own.
    parent = subprocess.Popen([sys.executable, "-c", program], env=os.environ | {"TMPDIR": str(tmp_path)})
    child = wait_for(lambda: children(parent.pid), 10)
    time.sleep(3)  # Locust follows its parent once it has been imported
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()

    assert wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in child), 10)


def children(pid: int) -> list[int]:
    """Processes started by another, as the kernel lists them."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_for(condition: Callable[[], T], limit_s: float) -> T:
    """What the condition gives once it is true; the last thing it gave when time is up."""
    ends = time.monotonic() + limit_s
    while not (found := condition()) and time.monotonic() < ends:
        time.sleep(0.05)
    return found
