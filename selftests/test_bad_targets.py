"""A target that is down, hangs or talks nonsense: a sentence in time from every gate, and no gate left out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from gate_runs import GATES, WITH_BROWSER, WITH_LOAD, once, run_gates
from gonogo.model import Outcome
from servers import Handler, answer, drip, flood, free_port, garbage, hang, hang_up, serve

LIMIT_S = 1.0
"""Every time limit in the plan of these tests."""
SLACK_S = 9.0
"""What a gate may take beside its limits: several probes in a row on a busy machine, or a browser's start."""

OK_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{"
STATES: dict[str, Handler | None] = {
    "refuses": None,
    "hangs": hang,
    "answers garbage": garbage,
    "hangs up": hang_up,
    "drips": drip(OK_HEAD),
    "redirects for ever": answer(b"", "302 Found", "Location: /again\r\n"),
    "sends 1 GB": flood,
    "answers HTML": answer(b"<html>parked</html>", headers="Content-Type: text/html\r\n"),
    "refuses everybody": answer(b'{"error": "forbidden"}', "403 Forbidden", "Content-Type: application/json\r\n"),
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
timeout_s = {limit}

[targets.bad-staging]
kind = "staging"
like = "bad"
base_url = "http://127.0.0.1:{port}"
database_url = "postgresql://nobody:a-secret-word@127.0.0.1:{database_port}/fleet"
resolver = "127.0.0.1:{dns_port}"
"""


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def _plan(folder: Path, stack: ExitStack, handler: Handler | None) -> list[str]:
    port = stack.enter_context(serve(handler)).port if handler else free_port()
    text = PLAN.format(port=port, database_port=free_port(), dns_port=free_port(), limit=LIMIT_S)
    (folder / "launch.toml").write_text(text, encoding="utf-8")
    return [f"--gonogo-launch-file={folder / 'launch.toml'}", "--gonogo-target=bad"]


@pytest.mark.slow
@pytest.mark.parametrize("state", STATES)
def test_each_gate_says_what_is_wrong_in_time_and_the_others_still_run(
    state: str, tmp_path: Path, stack: ExitStack
) -> None:
    gates = GATES - WITH_LOAD - (set() if state in ("refuses", "hangs") else WITH_BROWSER)
    run = run_gates(tmp_path, *_plan(tmp_path, stack, STATES[state]), *once(gates))

    assert set(run.results) == gates, run.output
    assert {g: r.outcome for g, r in run.results.items() if r.outcome is not Outcome.FAIL} == {}, run.output
    assert all(result.reason for result in run.results.values())
    assert {g: r.duration_s for g, r in run.results.items() if r.duration_s > LIMIT_S + SLACK_S} == {}
    assert "Traceback" not in run.output
    assert run.status == 1
    stored = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file() and p.name != "launch.toml")
    assert b"a-secret-word" not in stored


@pytest.mark.alone
@pytest.mark.parametrize("state", ["refuses", "hangs", "refuses everybody"])
def test_load_on_such_a_target_fails_and_ends(state: str, tmp_path: Path, stack: ExitStack) -> None:
    run = run_gates(tmp_path, *_plan(tmp_path, stack, STATES[state]), "-m", "load")

    (result,) = run.results.values()
    assert result.outcome is Outcome.FAIL, run.output
    assert run.status == 1
