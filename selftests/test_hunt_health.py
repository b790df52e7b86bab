"""What a hunt for wrong GOs found in the gates of health and statistics, before servers in chosen states."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from gate_calls import Called, call, target_at
from gate_runs import ROOT
from gonogo.errors import TargetError
from gonogo.model import Outcome
from gonogo.probes.http import HttpProbe
from servers import Handler, answer, read_request, serve

sys.path.append(str(ROOT))  # where the gates' own folder is a package

from tests.infra import test_health, test_stats

HEALTH = json.dumps({"status": "healthy", "version": "1.0.0", "checks": {"database": "ok"}})
LISTED = "/api/fleet/vehicles?limit=1"
QUICK = {"samples": 60, "figures_s": 0.2}


def turns(told: Callable[[int, str], tuple[str, str]]) -> Handler:
    """A server that answers each request by its number and path: further headers and a body, as JSON."""
    turn = itertools.count()

    def handler(connection: socket.socket, stopping: threading.Event) -> None:
        while request := read_request(connection):
            headers, body = told(next(turn), request.split(b" ")[1].decode())
            head = (
                f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
            )
            connection.sendall(head.encode() + body.encode())

    return handler


def called(gate: Callable[..., None], handler: Handler, **http: Any) -> Called:
    with serve(handler) as server:
        info = {"base_url": server.url}
        with contextlib.closing(target_at(info, http={**QUICK, **http})) as target:
            return call(gate, target)


@pytest.mark.parametrize("gate", [test_health.test_health, test_health.test_truthful])
def test_health_out_of_a_cache_is_found_in_every_answer(gate: Callable[..., None]) -> None:
    stale = turns(lambda n, path: ("Age: 600\r\n" if n and path == "/api/health" else "", HEALTH))
    found = called(gate, stale, truth={"database": LISTED})

    assert found.bad == {"longest time in a cache": 600}


def test_what_a_cache_shows_says_nothing_of_the_part_behind_it() -> None:
    cached = turns(lambda _, path: ("" if path == "/api/health" else "Age: 600\r\n", HEALTH))
    found = called(test_health.test_truthful, cached, truth={"database": LISTED})

    assert found.outcome is Outcome.INCONCLUSIVE
    assert found["database: health tells the truth"].n == 0


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("pool.usagePercent", {"poolingEnabled": True, "pool": {"usagePercent": 97}}),
        ("poolingEnabled", {"poolingEnabled": False, "pool": {"usagePercent": 1}}),
        ("pool.usagePercent", {"poolingEnabled": True}),
    ],
)
def test_the_pool_of_each_instance_is_looked_at(name: str, said: dict[str, Any]) -> None:
    good = {"poolingEnabled": True, "pool": {"usagePercent": 10}}
    found = called(test_stats.test_database, turns(lambda n, _: ("", json.dumps(said if n == 3 else good))))
    fine = called(test_stats.test_database, turns(lambda *_: ("", json.dumps(good))))

    assert list(found.bad) == [name]
    assert (fine.outcome, fine[name].n) == (Outcome.PASS, 7)


@pytest.mark.parametrize("gate", [test_stats.test_database, test_stats.test_performance, test_stats.test_websocket])
def test_the_reason_repeats_no_secret_however_it_is_cut(gate: Callable[..., None]) -> None:
    broken = turns(lambda *_: ("", f"postgresql://fleet_app:{'hunter2' * 9}@db.internal/fleet is down"))
    found = called(gate, broken)

    assert found.outcome is Outcome.FAIL
    assert "hunter2" not in found.reason + repr(found.measurements) + repr(found.evidence)


def test_no_cookie_is_kept_as_evidence() -> None:
    setting = turns(lambda *_: ("Set-Cookie: session=s3cret; HttpOnly\r\nSet-Cookie: b=s3cret\r\n", "{}"))
    found = called(test_health.test_endpoints, setting, endpoints=[{"path": "/x"}], openapi=None)

    assert found.outcome is Outcome.PASS
    assert "set-cookie: session=(hidden)\nset-cookie: b=(hidden)" in found.evidence["x.txt"].decode().lower()
    assert "s3cret" not in repr(found.evidence)


@pytest.mark.parametrize("there", ["ftp://127.0.0.1/x", "file://127.0.0.1/x"])
def test_a_redirect_out_of_the_web_is_a_sentence(there: str) -> None:
    moved = answer(b"", status="302 Found", headers=f"Location: {there}")
    with (
        serve(moved) as server,
        HttpProbe(server.url, timeout_s=2.0) as probe,
        pytest.raises(TargetError, match=there),
    ):
        probe.get("/")
