"""Before an API that is closed to strangers no gate is green unless it says who it is, and strangers get nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from fleet import Fleet, fleet
from fleetboard_target import Running
from gate_calls import AUTHORIZATION, Called, call, gates, target_at
from gonogo.errors import TargetError
from gonogo.model import Outcome

QUICK: dict[str, dict[str, Any]] = {
    "http": {"endpoint_samples": 3, "samples": 3, "p95_ms": 5000.0, "figures_s": 0.5},
    "websocket": {"hold_s": 0.2, "min_messages": 1, "count_s": 0.5, "rounds": 1},
}
CHANNEL = "answered the WebSocket handshake with HTTP 403"
SAYS = {
    "health.endpoints-all": "GET /api/fleet/vehicles: answers that are not as planned: HTTP 401, planned 200 (3 of 3)",
    "health.truthful": "health says database healthy, yet GET /api/fleet/vehicles?limit=1: HTTP 401, planned 200",
    "stats.websocket": CHANNEL,
    "websocket.live": CHANNEL,
    "http.edge": "paths that are not 200 and JSON: /api/fleet/vehicles?limit=1: 401",
}
"""What each gate that reads what is closed says of a 401; the others read what is open to everybody."""


@pytest.fixture(scope="module")
def up() -> Iterator[Fleet]:
    with fleet() as running:
        yield running


def called(gate: str, info: dict[str, Any], *, who: str | None = None, **tables: dict[str, Any]) -> Called:
    """One gate; with another token than the target's, or without any header if ``who`` is empty."""
    given = info if who is None else {**info, "env": {**info["env"], AUTHORIZATION: who}}
    own = {**QUICK, **tables}
    if who == "":
        own["http"] = {**own["http"], "headers": None}
    with contextlib.closing(target_at(given, **own)) as target:
        return call(gates()[gate], target)


@pytest.mark.parametrize("gate", SAYS)
@pytest.mark.parametrize("who", ["", "Bearer of-somebody-else"], ids=["without headers", "with a wrong token"])
def test_without_credentials_the_gates_that_read_are_red(gate: str, who: str, up: Fleet) -> None:
    found = called(gate, up.info, who=who)

    assert found.outcome is Outcome.FAIL
    assert SAYS[gate] in found.reason
    assert "of-somebody-else" not in found.reason + repr(found.measurements) + repr(found.evidence)


def test_exposure_is_a_stranger_s_look(up: Fleet) -> None:
    """The plan's headers are there, and its writes are refused all the same: a machine's 403 would not be a 401."""
    found = called("edge.exposure", up.info)

    assert found.outcome is Outcome.PASS, found.reason
    told = found.evidence["exposure.json"].decode()
    assert '"POST https://app.fleet.test' in told
    assert '"status": 401' in told
    assert '"status": 403' not in told.partition('"POST ')[2]


def test_reads_without_session(up: Fleet) -> None:
    """What strangers may not read is asked for as they do."""
    with up.faults("reads-without-session") as info:
        found = called("edge.exposure", info)

    assert found.outcome is Outcome.FAIL
    assert "paths that are not refused: /api/fleet/vehicles?limit=1: 200" in found.reason


def test_a_signed_in_user_and_a_visitor(up: Fleet) -> None:
    """What gates of pages and API get: a session of its own each, and none of the machine's rights."""
    env = up.info["env"]
    with contextlib.closing(target_at(up.info)) as target:
        with target.session("vera", env["FLEETBOARD_VIEWER_PASSWORD"]) as vera, target.visitor() as nobody:
            assert vera.get("/api/session").json()["user"] == "vera"
            assert vera.get("/api/fleet/vehicles", params={"limit": 1}).status == 200
            assert vera.request("POST", "/api/fleet/loads", json={}).status == 403
            assert nobody.get("/api/session").status == 401
        assert target.http().get("/api/session").json()["user"] == "monitor"
        with pytest.raises(TargetError, match="signing vera in at /api/session was answered with HTTP 401 and no"):
            target.session("vera", env["FLEETBOARD_MANAGER_PASSWORD"])


def test_self_tests_have_a_machine_and_a_stranger(up: Fleet) -> None:
    target: Running = up.target
    with target.client() as machine, target.stranger() as stranger:
        statuses = [one.get("/api/fleet/drivers?limit=1").status_code for one in (machine, stranger)]

    assert statuses == [200, 401]
