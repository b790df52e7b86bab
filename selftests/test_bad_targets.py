"""A target that is down, hangs or talks nonsense: a sentence in time from every gate, and no gate left out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from gate_calls import call, gates, target_of
from gate_runs import GATES, WITH_LOAD, once, run_gates
from gonogo.model import Outcome
from servers import Handler, answer, drip, flood, free_port, garbage, hang, hang_up, serve

LIMIT_S = 0.5
"""Every time limit in the plan of these tests."""
SLACK_S = 9.0
"""What a gate may take beside its limits: several probes in a row on a busy machine, or a browser's start."""

OK_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{"
LOOKING = (
    "dns.", "tls.", "http.", "edge.", "health.", "stats.", "websocket.", "services.", "smoke.", "release.deployed",
    "deploy.", "database.", "backup.", "rollback.",
)  # fmt: skip
"""Beginnings of the ids of gates that look at the target itself."""
CALLED = {
    gate
    for gate in GATES
    if gate.startswith(LOOKING) and not gate.startswith(("database.", "backup.", "deploy.", "rollback.", "smoke."))
}
"""Those that look at its outer side; the others meet no more of a state than that it is down."""
READING = ("health.", "stats.", "websocket.", "release.deployed")
"""Beginnings of the ids of those that read the API or the live channel."""
STATES: dict[str, Handler | None] = {
    "refuses": None,
    "hangs": hang,
    "answers garbage": garbage,
    "hangs up": hang_up,
    "drips": drip(OK_HEAD),
    "redirects for ever": answer(b"", "302 Found", "Location: /again"),
    "sends 1 GB": flood,
    "answers HTML": answer(b"<html>parked</html>", headers="Content-Type: text/html"),
    "refuses everybody": answer(b'{"error": "forbidden"}', "403 Forbidden", "Content-Type: application/json"),
    "knows nobody": answer(b'{"error": "sign in first"}', "401 Unauthorized", "Content-Type: application/json"),
}
PLAN = """\
[launch]
project = "Bad target"
version = "1.0.0"

[targets.bad]
kind = "disposable"
staging = "bad-staging"
base_url = "http://127.0.0.1:{port}"
database_url = "postgresql://nobody:a-secret-word@127.0.0.1:{database_port}/fleet"
resolver = "127.0.0.1:{dns_port}"

[targets.bad.dns]
records = [{{ name = "app.fleet.test", type = "A", values = ["127.0.0.1"] }}]
timeout_s = {limit}

[targets.bad.tls]
timeout_s = {limit}

[targets.bad.http]
timeout_s = {limit}
truth = {{ database = "/api/fleet/vehicles" }}

[targets.bad.websocket]
timeout_s = {limit}
first_message_s = {limit}

[targets.bad.database]
migrate = ["true"]
timeout_s = {limit}

[targets.bad.backup]

[targets.bad.deploy]
dry_run = ["true"]
run = ["true"]
commit = "0123456789ab"
settle_s = 1.0

[targets.bad.rollback]
command = ["true"]
version = "0.9.0"
restores = "*.dump"

[targets.bad.load]
rps = 60.0
duration_s = 2.0
warmup_s = 0.0
timeout_s = {limit}

[targets.bad.smoke]
manager = {{ user = "mira", password = {{ env = "BAD_PASSWORD" }} }}
dispatcher = {{ user = "dan", password = {{ env = "BAD_PASSWORD" }} }}
viewer = {{ user = "vera", password = {{ env = "BAD_PASSWORD" }} }}
timeout_s = {limit}

[targets.bad.edge]
http_port = {port}
closed_ports = [{database_port}]
timeout_s = {limit}

[targets.bad.services]
needed = [
  {{ name = "cache", kind = "redis", address = "127.0.0.1:{port}" }},
  {{ name = "mail", kind = "smtp", address = "127.0.0.1:{port}" }},
  {{ name = "other", kind = "http", url = "http://127.0.0.1:{port}/" }},
]
timeout_s = {limit}

[targets.bad-staging]
kind = "staging"
like = "bad"
base_url = "http://127.0.0.1:{port}"
database_url = "postgresql://nobody:a-secret-word@127.0.0.1:{database_port}/fleet"
resolver = "127.0.0.1:{dns_port}"
"""


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[ExitStack]:
    monkeypatch.setenv("BAD_PASSWORD", "another-secret-word")
    with ExitStack() as stack:
        yield stack


def _plan(stack: ExitStack, handler: Handler | None) -> str:
    port = stack.enter_context(serve(handler)).port if handler else free_port()
    return PLAN.format(port=port, database_port=free_port(), dns_port=free_port(), limit=LIMIT_S)


def _arguments(folder: Path, plan: str) -> list[str]:
    (folder / "launch.toml").write_text(plan, encoding="utf-8")
    return [f"--gonogo-launch-file={folder / 'launch.toml'}", "--gonogo-target=bad"]


@pytest.mark.parametrize("state", STATES)
def test_each_gate_says_what_is_wrong_in_time(state: str, tmp_path: Path, stack: ExitStack) -> None:
    target = target_of(_plan(stack, STATES[state]), "bad", tmp_path)
    stack.callback(target.close)
    took: dict[str, float] = {}
    called = {}
    for gate in sorted(CALLED):
        begun = time.monotonic()
        called[gate] = call(gates()[gate], target)
        took[gate] = time.monotonic() - begun

    assert {gate: one.reason for gate, one in called.items() if one.outcome is not Outcome.FAIL} == {}
    assert all(one.reason and "Traceback" not in one.reason for one in called.values())
    assert {gate: seconds for gate, seconds in took.items() if seconds > LIMIT_S + SLACK_S} == {}


@pytest.mark.parametrize("gate", sorted(gate for gate in CALLED if gate.startswith(READING)))
def test_no_gate_that_reads_takes_a_401_for_an_answer(gate: str, tmp_path: Path, stack: ExitStack) -> None:
    target = target_of(_plan(stack, STATES["knows nobody"]), "bad", tmp_path)
    stack.callback(target.close)
    called = call(gates()[gate], target)

    assert called.outcome is Outcome.FAIL
    assert "401" in called.reason


@pytest.mark.slow
@pytest.mark.parametrize("state", ["refuses", "hangs"])
def test_in_a_session_no_gate_is_left_out(state: str, tmp_path: Path, stack: ExitStack) -> None:
    wanted = {gate for gate in GATES if gate.startswith(LOOKING)} - WITH_LOAD
    run = run_gates(tmp_path, *_arguments(tmp_path, _plan(stack, STATES[state])), *once(wanted))

    assert set(run.results) == wanted, run.output
    assert {g: r.outcome for g, r in run.results.items() if r.outcome is not Outcome.FAIL} == {}, run.output
    assert {g: r.duration_s for g, r in run.results.items() if r.duration_s > LIMIT_S + SLACK_S} == {}
    assert "Traceback" not in run.output
    assert run.status == 1
    stored = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file() and p.name != "launch.toml")
    assert b"a-secret-word" not in stored
    assert b"another-secret-word" not in stored


@pytest.mark.alone
@pytest.mark.parametrize("state", ["refuses", "hangs", "refuses everybody", "knows nobody"])
def test_load_on_such_a_target_fails_and_ends(state: str, tmp_path: Path, stack: ExitStack) -> None:
    run = run_gates(tmp_path, *_arguments(tmp_path, _plan(stack, STATES[state])), "-m", "load")

    (result,) = run.results.values()
    assert result.outcome is Outcome.FAIL, run.output
    assert run.status == 1
