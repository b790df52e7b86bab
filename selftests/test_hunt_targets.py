"""A target that answers cleverly: with a good-looking answer that proves nothing."""

from __future__ import annotations

import json
import socket
import threading
import time
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from gate_calls import call, gates, target_of
from gate_runs import run_gates
from gonogo.bounds import below, measurement
from gonogo.errors import TargetError
from gonogo.model import Outcome
from gonogo.probes.http import HttpProbe
from servers import Handler, answer, read_request, serve

PLAN = """\
[launch]
project = "Clever target"
version = "1.0.0"

[targets.clever]
kind = "disposable"
staging = "clever-staging"
base_url = "http://127.0.0.1:{port}"

[targets.clever-staging]
kind = "staging"

[targets.clever.http]
timeout_s = 5.0
"""
HEALTHY = {"status": "healthy"}
DATABASE: dict[str, Any] = {"poolingEnabled": True, "pool": {"usagePercent": 10.0}}


def says(*documents: object, headers: str = "", delay_s: float = 0.0) -> Handler:
    """Answers with one document after the other, over all connections."""
    number = count()

    def handler(connection: socket.socket, stopping: threading.Event) -> None:
        while read_request(connection):
            time.sleep(delay_s)
            body = json.dumps(documents[next(number) % len(documents)]).encode()
            head = (
                f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
            )
            connection.sendall(head.encode() + body)

    return handler


def counting(**figures: float) -> list[dict[str, Any]]:
    """Statistics whose count of requests moves from answer to answer."""
    return [{"metrics": {"requests": 1000 + n, **figures}, "errors": []} for n in range(500)]


def outcome(folder: Path, gate: str, handler: Handler, plan: str = PLAN) -> tuple[Outcome, str]:
    """Run one gate against such a target."""
    with serve(handler) as server:
        target = target_of(plan.format(port=server.port), "clever", folder)
        try:
            called = call(gates()[gate], target)
        finally:
            target.close()
    return called.outcome, called.reason


@pytest.mark.parametrize(
    ("gate", "handler", "why"),
    [
        pytest.param(
            "health.endpoint", says(HEALTHY, HEALTHY, {"status": "degraded"}), "status: degraded", id="an-instance"
        ),
        pytest.param(
            "health.endpoint", says(HEALTHY, headers="Age: 3600\r\n"), "time in a cache: 3600 s", id="a-cache"
        ),
        pytest.param("health.endpoint", says({"status": ["healthy"]}), "status: healthy;", id="a-list"),
        pytest.param(
            "stats.database",
            says({**DATABASE, "pool": {"usagePercent": -1}}),
            "pool.usagePercent: -1, which can't be",
            id="unknown-usage",
        ),
        pytest.param(
            "stats.database", says({**DATABASE, "poolingEnabled": "true"}), "poolingEnabled: true", id="a-string"
        ),
        pytest.param(
            "stats.database", says(DATABASE, headers="Age: soon\r\n"), "time in a cache: none", id="an-odd-age"
        ),
        pytest.param(
            "stats.performance",
            says(*counting(errorRate=-1, p95Ms=-1)),
            "metrics.errorRate: -1, which can't be",
            id="unknown-rate",
        ),
        pytest.param(
            "stats.performance",
            says(*counting(errorRate=0, p95Ms=float("nan"))),
            "metrics.p95Ms: nan",
            id="not-a-number",
        ),
        pytest.param(
            "stats.performance",
            says(*counting(errorRate=0, p95Ms=10**400)),
            "metrics.p95Ms: 1000",
            id="beyond-all-numbers",
        ),
    ],
)
def test_a_good_looking_answer_is_no_proof(gate: str, handler: Handler, why: str, tmp_path: Path) -> None:
    found, reason = outcome(tmp_path, gate, handler)

    assert found is Outcome.FAIL
    assert why in reason


def test_a_target_within_its_bound_gets_the_time_to_prove_it(tmp_path: Path) -> None:
    """100 answers of 30 ms take longer than the limit for one, and prove a p95 below 500 ms."""
    found = outcome(tmp_path, "health.endpoint", says(HEALTHY, delay_s=0.03), PLAN.replace("= 5.0", "= 2.0"))

    assert found == (Outcome.PASS, "")


def test_another_hosts_answer_is_not_the_targets() -> None:
    """A proxy that sends everybody to a status page is not healthy because that page is."""
    with (
        serve(answer(b'{"status": "healthy"}')) as elsewhere,
        serve(answer(b"", "302 Found", f"Location: http://localhost:{elsewhere.port}/api/health")) as target,
        HttpProbe(target.url) as probe,
        pytest.raises(TargetError, match="redirected to another host: http://localhost"),
    ):
        probe.get("/api/health")


def test_a_number_beyond_all_numbers_is_measured_as_bad() -> None:
    assert measurement("p95", 10**400, below(500.0, "here")).ok is False


@pytest.mark.parametrize("expect", ["health_expect", "database_expect"])
def test_expecting_nothing_is_refused(expect: str, tmp_path: Path) -> None:
    (tmp_path / "launch.toml").write_text(PLAN.format(port=1) + f"{expect} = {{}}\n", encoding="utf-8")

    run = run_gates(
        tmp_path, f"--gonogo-launch-file={tmp_path / 'launch.toml'}", "--gonogo-target=clever", "-m", "t3"
    )

    assert run.status == 4
    assert f"targets.clever.http.{expect}" in run.output
