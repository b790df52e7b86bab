"""The load probe tells the truth about slow, failing and absent targets, and about its own failures."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

import servers
from gonogo.errors import ToolError
from gonogo.probes.load import LoadFacts, Plan, run

T = TypeVar("T")

LOCUSTFILE = Path(__file__).parent.parent / "tests" / "load" / "locustfile.py"


def offer(base_url: str, **options: object) -> LoadFacts:
    """Ten seconds' worth in four: 50 requests a second after one second of warm-up."""
    settings = {"requests": (("/a", 3), ("/b", 1)), "rps": 50.0, "duration_s": 4.0, "warmup_s": 1.0}
    settings |= {"timeout_s": 4.0} | options
    return run(Plan(base_url, **settings), LOCUSTFILE)  # type: ignore[arg-type]


def test_good_target(tmp_path: Path) -> None:
    """Every planned request is sent over verified TLS to a mapped name, by weight, on time."""
    ca = servers.authority(tmp_path)
    with servers.serve(servers.answer(b"ok"), ca.context()) as server:
        facts = offer(
            "https://app.fleet.test",
            ca_file=ca.ca_file,
            hosts={("app.fleet.test", 443): server.address},
        )

    assert (facts.planned, facts.sent, facts.failures) == (200, 200, 0)
    assert len(facts.latencies_ms) == 200
    assert facts.warmup_requests == 50
    assert {one.path: one.requests for one in facts.paths} == {"/a": 150, "/b": 50}
    assert facts.achieved_rps == pytest.approx(50, abs=3)
    assert 0 < facts.p50_ms <= facts.p95_ms <= facts.p99_ms <= facts.max_ms < 1000


def test_certificates_are_verified(tmp_path: Path) -> None:
    """Under another name than the certificate's, every request fails."""
    ca = servers.authority(tmp_path)
    with servers.serve(servers.answer(b"ok"), ca.context("other.fleet.test")) as server:
        facts = offer(
            "https://app.fleet.test",
            ca_file=ca.ca_file,
            hosts={("app.fleet.test", 443): server.address},
            duration_s=1.0,
        )

    assert facts.failures == facts.sent == 50
    assert all("CERTIFICATE_VERIFY_FAILED" in kind for kind in facts.kinds)


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
        facts = offer(server.url)

    # 100 of the 200 requests fell due in the stall and waited 0 to 2 s, evenly: the slowest tenth
    # of these, a twentieth of all, waited 1.8 s or more.
    assert facts.failures == 0
    assert facts.p95_ms == pytest.approx(1800, abs=150)
    assert facts.max_ms == pytest.approx(2000, abs=200)
    assert sum(latency > 20 for latency in facts.latencies_ms) == pytest.approx(100, abs=10)


@pytest.mark.parametrize(
    ("handler", "kind"),
    [
        pytest.param(servers.answer(b"", "500 Broken"), "HTTP 500", id="500"),
        pytest.param(servers.answer(b"", "302 Found", "Location: /b"), "HTTP 302", id="redirect"),
        pytest.param(servers.hang, "timeout", id="hangs"),
        pytest.param(servers.drip(servers.HEAD + b"\r\n"), "timeout", id="drips"),
        pytest.param(servers.hang_up, "HTTPConnectionClosed", id="hangs-up"),
        pytest.param(servers.garbage, "HTTPParseError", id="garbage"),
    ],
)
def test_bad_server(handler: servers.Handler, kind: str) -> None:
    """Whatever the server does wrong is a counted failure with a name."""
    with servers.serve(handler) as server:
        facts = offer(server.url, rps=10.0, duration_s=1.0, warmup_s=0.0, timeout_s=1.0)

    assert (facts.sent, facts.failures) == (10, 10)
    assert all(kind in one for one in facts.kinds)
    assert facts.achieved_rps == 0


def test_dropped_connections_are_not_tried_over_and_over() -> None:
    """A target that hangs up is asked twice at most for each request."""
    with servers.serve(servers.hang_up) as server:
        facts = offer(server.url, rps=10.0, duration_s=1.0, warmup_s=0.0, timeout_s=2.0)

    assert facts.failures == 10
    assert len(server.accepted) <= 20


def test_one_gigabyte_is_not_read() -> None:
    """Bodies are cut at their limit."""
    with servers.serve(servers.flood) as server:
        facts = offer(server.url, rps=2.0, duration_s=1.0, warmup_s=0.0)

    assert facts.kinds == {"more than 5000000 bytes": 2}


def test_closed_port() -> None:
    """Nobody listens: every request fails, none is lost."""
    facts = offer(f"http://127.0.0.1:{servers.free_port()}", duration_s=1.0)

    assert facts.failures == facts.sent == 50


def test_no_request_at_all_is_our_fault() -> None:
    """Zero requests prove nothing, and are no pass."""
    with servers.serve(servers.answer(b"ok")) as server, pytest.raises(ToolError, match="made no request"):
        offer(server.url, rps=1.0, duration_s=0.2, warmup_s=0.0)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("import locust\nraise RuntimeError('broken on purpose')\n", id="import"),
        pytest.param("x = 1\n", id="no-user"),
        pytest.param("import os, locust\nos._exit(7)\n", id="dies"),
    ],
)
def test_broken_locustfile_is_our_fault(tmp_path: Path, text: str) -> None:
    """A locustfile that crashes ends in a sentence, not in a pass."""
    file = tmp_path / "broken.py"
    file.write_text(text)
    plan = Plan("http://127.0.0.1:9", (("/", 1),), rps=10.0, duration_s=1.0)

    with pytest.raises(ToolError, match="left no result"):
        run(plan, file)


def test_killed_parent_takes_locust_along(tmp_path: Path) -> None:
    """After kill -9 of the asking process, Locust ends by itself."""
    program = (
        "from pathlib import Path; from gonogo.probes.load import Plan, run\n"
        f"run(Plan('http://127.0.0.1:9', (('/', 1),), rps=1.0, duration_s=60.0), Path({str(LOCUSTFILE)!r}))\n"
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
