"""Headers that say who we are: refused when they are nonsense, sent where the target is read, stored nowhere."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.server import ServerConnection, serve

import servers
from gate_calls import call, gates, target_of
from gate_runs import once, run_gates
from gonogo.arrivals import Stretch
from gonogo.errors import PlanError, ToolError
from gonogo.launchfile import load_launch_file
from gonogo.ledger import Redactor
from gonogo.loading import load_plan
from gonogo.probes.load import Plan, Request, run
from gonogo.scratching import secrets_of
from gonogo.target import Target
from plugin_example import SETTINGS, Launch
from test_probe_load import LOCUSTFILE

VALUE = "s3cr3t-v4lu3-0f-th3-h34d3r"
PLAN = """\
launch = {{ project = "p", version = "1" }}
[targets.t]
kind = "disposable"
base_url = "{url}"
{tables}
"""


def plan(headers: str, url: str = "http://127.0.0.1:9", more: str = "") -> str:
    """A launch.toml with one target that wants these headers."""
    return PLAN.format(url=url, tables=f"http.headers = {headers}\n{more}")


@pytest.fixture(autouse=True)
def _variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLEET_WHO", raising=False)
    monkeypatch.setenv("FLEET_VALUE", f"{VALUE}\n")


def target(headers: str, folder: Path, url: str = "http://127.0.0.1:9", more: str = "") -> Target:
    return target_of(plan(headers, url, more), "t", folder)


@pytest.mark.parametrize(
    ("headers", "sentence"),
    [
        ('{ "X Who" = "a" }', "headers: the name that begins with 'X' can't be a header's; write letters"),
        ('{ "" = "a" }', "headers: the name that begins with '' can't be a header's; write letters"),
        (f'{{ "Authorization: {VALUE}" = "a" }}', "headers: the name that begins with 'Authorization' can't be a"),
        ('{ Host = "a" }', "headers: Host is set by the client itself, as each request needs it; take it out"),
        ('{ content-LENGTH = "1" }', "headers: content-LENGTH is set by the client itself"),
        ('{ Connection = "close" }', "headers: Connection is set by the client itself"),
        ('{ Sec-WebSocket-Key = "a" }', "headers: Sec-WebSocket-Key is set by the client itself"),
        ('{ X-Who = "a", x-who = "b" }', "headers: x-who is there twice, in other capitals; write it once"),
        (f'{{ X-Who = "{VALUE}\\nX: y" }}', "headers: the value of X-Who has a line break; correct it"),
        (f'{{ X-Who = "{VALUE}\\r" }}', "headers: the value of X-Who has a line break; correct it"),
        (f'{{ X-Who = "{VALUE}\\u00e9" }}', "headers: the value of X-Who has characters that no header may hold"),
        (f'{{ X-Who = " {VALUE}" }}', "headers: the value of X-Who begins or ends with a space; correct it"),
        ('{ X-Who = "" }', "headers: the value of X-Who is empty; correct it"),
        ("{ X-Who = 5 }", 'headers.X-Who: write a text or { env = "NAME" }'),
        (f'{{ X-Who = ["{VALUE}"] }}', 'headers.X-Who: write a text or { env = "NAME" }'),
        (f'{{ X-Who = {{ envy = "{VALUE}" }} }}', "headers.X-Who.env is missing; add it"),
        (f'"Authorization: {VALUE}"', "headers: input should be a table, e.g. { key = value }"),
    ],
)
def test_nonsense_is_one_sentence_without_the_value(headers: str, sentence: str, tmp_path: Path) -> None:
    file = tmp_path / "launch.toml"
    file.write_text(plan(headers))

    with pytest.raises(PlanError) as caught:
        load_launch_file(file)

    assert str(caught.value).startswith(f"launch.toml: targets.t.http.{sentence}")
    assert VALUE not in str(caught.value)


def test_a_key_beside_env_is_told_what_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "launch.toml").write_text(plan('{ X-Who = { env = "A", file = "b" } }'))

    with pytest.raises(PlanError, match=r"headers\.X-Who\.file is no known key; allowed are env$"):
        load_launch_file(tmp_path / "launch.toml")


@pytest.mark.parametrize(
    ("headers", "sentence"),
    [
        (
            '{ X-Who = { env = "FLEET_WHO" } }',
            "http.headers.X-Who is read from FLEET_WHO, which is not set; export",
        ),
        (
            f'{{ X-Who = "{VALUE} $FLEET_WHO" }}',
            "http.headers.X-Who names a variable that is not set ('FLEET_WHO')",
        ),
    ],
)
def test_an_unset_variable_is_said_by_every_gate_that_reads(headers: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ToolError) as caught:
        target(headers, tmp_path).http()
    called = call(gates()["health.endpoint"], target(headers, tmp_path))

    assert str(caught.value).startswith(f"launch.toml: {sentence}")
    assert (called.outcome, called.reason) == ("ERROR", str(caught.value))
    assert VALUE not in called.reason


@pytest.mark.parametrize("bad", ["a\nb", "a\u20ac", "  "])
def test_a_variable_that_no_header_can_hold_is_said(
    bad: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEET_WHO", f"{VALUE}{bad}" if bad.strip() else bad)

    with pytest.raises(
        ToolError, match=r"^launch.toml: what http.headers.X-Who stands for \w+ .*set its"
    ) as caught:
        target('{ X-Who = { env = "FLEET_WHO" } }', tmp_path).http()

    assert VALUE not in str(caught.value)


def test_values_are_filled_in(tmp_path: Path) -> None:
    """The line break at the end of a variable is that of the file it was read from."""
    headers = '{ Authorization = "Bearer $FLEET_VALUE", X-Key = { env = "FLEET_VALUE" }, X-Plain = "a $$ b" }'

    found = target(headers, tmp_path).credentials

    assert found == {"Authorization": f"Bearer {VALUE}", "X-Key": VALUE, "X-Plain": "a $ b"}


def test_a_digest_of_the_plan_knows_names_and_variables_alone(tmp_path: Path) -> None:
    def digest(headers: str) -> str:
        (tmp_path / "launch.toml").write_text(plan(headers))
        return load_plan(tmp_path, "t").plan.digest

    one = digest('{ X-Who = "one-value" }')
    assert digest('{ X-Who = "other-value" }') == one
    assert len({one, digest('{ X-Other = "one-value" }'), digest('{ X-Who = { env = "A" } }'), digest("{}")}) == 4


def test_gonogo_plan_lists_variables_that_are_not_set(
    pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = SETTINGS.replace('"disposable"', '"staging"\nbase_url = "https://app.example.test"')
    who = '{ Authorization = { env = "FLEET_WHO" }, X-Key = "k $FLEET_KEY", X-Set = { env = "FLEET_VALUE" } }'
    launch = Launch(pytester, settings.replace("[targets.rehearsal]", "[targets.production]"))
    launch.write("launch.toml", settings.replace("targets.rehearsal", "targets.far") + f"http.headers = {who}\n")
    launch.playbook(t3="health.endpoint")

    out = launch.gonogo(capsys, "plan", "--target", "far").out

    assert [line.strip() for line in out.splitlines() if "variable" in line] == [
        "the environment variable FLEET_WHO (http.headers.Authorization) is not set",
        "the environment variable FLEET_KEY (http.headers.X-Key) is not set",
    ]


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (f"Bearer {VALUE}", f"said {VALUE}"),
        (f"Bearer {VALUE}", f"said Bearer {VALUE}!"),
        ("Basic " + base64.b64encode(f"ada:{VALUE}".encode()).decode(), f"signed in with {VALUE}"),
        (f"theme=dark; session={VALUE}", f"cookie {VALUE}"),
        (f'Digest username="ada", response="{VALUE}"', f"digest {VALUE}"),
    ],
)
def test_a_value_is_hidden_in_each_form_that_an_answer_may_repeat(written: str, shown: str, tmp_path: Path) -> None:
    redact = Redactor()
    for secret in secrets_of(target(f"{{ X-Who = '{written}' }}", tmp_path)):
        redact.add(secret)

    assert VALUE not in redact.text(shown)
    assert "[redacted]" in redact.text(shown)


def test_a_load_carries_them_and_no_process_shows_them() -> None:
    """Neither the arguments of any process nor the log hold the value."""
    requests: list[bytes] = []
    arguments: list[bytes] = []

    def handler(connection: socket.socket, stopping: threading.Event) -> None:
        while request := servers.read_request(connection):
            requests.append(request)
            if len(requests) == 1:
                arguments.extend(_command_lines())
            connection.sendall(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno")

    with servers.serve(handler) as server:
        asked = Plan(server.url, (Request("/a"),), (Stretch("steady", 10, 1),), headers={"X-Who": VALUE})
        facts = run(asked, LOCUSTFILE)

    assert len(requests) == len(facts.rows) == facts.of("steady").kinds["HTTP 401"] == 10
    assert all(VALUE.encode() in request for request in requests)
    assert any(b"locust" in line for line in arguments)
    assert VALUE.encode() not in b"".join(arguments)
    assert VALUE not in facts.log + json.dumps(facts.document()) + repr(facts) + repr(asked)


def _command_lines() -> Iterator[bytes]:
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield process.read_bytes()
        except OSError:  # it has just ended
            continue


@pytest.mark.parametrize(
    ("own", "sent"), [("", {"X-Who": VALUE}), ('x-WHO = "channel"', {"X-Who": "channel"})], ids=["plan", "own"]
)
def test_a_handshake_carries_them_unless_the_channel_has_its_own(
    own: str, sent: dict[str, str], tmp_path: Path
) -> None:
    seen: list[str] = []

    def greet(connection: ServerConnection) -> None:
        assert connection.request is not None
        seen.extend(connection.request.headers.get_all("X-Who"))
        connection.send('{"connections": 1}')
        connection.recv(5)

    with serve(greet, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.socket.getsockname()[1]}"
        limits = "hold_s = 0.1\ntimeout_s = 2.0"
        more = f"websocket.headers = {{ {own} }}\n" + "\n".join(f"websocket.{line}" for line in limits.splitlines())
        called = call(gates()["websocket.live"], target('{ X-Who = { env = "FLEET_VALUE" } }', tmp_path, url, more))
        server.shutdown()

    assert called["first connection: handshake"].ok
    assert set(seen) == set(sent.values())


def echo(connection: socket.socket, stopping: threading.Event) -> None:
    """Answers each request with everything that was sent, as some pages for finding faults do."""
    while request := servers.read_request(connection):
        told = {"status": "healthy", "version": "1", "items": [{"id": request.decode()}], "total": 1}
        body = json.dumps(told).encode()
        lines = request.split(b"\r\n")
        mine = next((line for line in lines if line.lower().startswith(b"authorization")), b"nothing")
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-You-Sent: %s\r\n" % mine
        connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)


def test_a_session_stores_and_prints_no_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a target that repeats whatever it is sent, in bodies, headers and messages."""
    monkeypatch.setenv("FLEET_WHO", f"Bearer {VALUE}")
    wanted = {"health.endpoint", "health.endpoints-all", "stats.database", "smoke.api", "websocket.live"}
    headers = '{ Authorization = { env = "FLEET_WHO" }, X-Plain = "plain-v4lu3-in-the-file" }'
    more = (
        'http.samples = 5\nhttp.endpoint_samples = 5\nwebsocket = { timeout_s = 1.0 }\nsmoke = {}\nstaging = "s"\n'
    )
    with servers.serve(echo) as server:
        file = tmp_path / "launch.toml"
        companion = f'[targets.s]\nkind = "staging"\nlike = "t"\nbase_url = "{server.url}"\n'
        file.write_text(plan(headers, server.url, more) + companion)
        found = run_gates(
            tmp_path / "reports", f"--gonogo-launch-file={file}", "--gonogo-target=t", "-s", "-vv", *once(wanted)
        )

    assert set(found.results) == wanted, found.output
    kept = [path for path in (tmp_path / "reports").rglob("*") if path.is_file()]
    stored = b"".join(path.read_bytes() for path in kept)
    assert b"[redacted]" in stored
    for secret in (VALUE, "plain-v4lu3-in-the-file"):
        assert [path.name for path in kept if secret.encode() in path.read_bytes()] == []
        assert secret not in found.output
