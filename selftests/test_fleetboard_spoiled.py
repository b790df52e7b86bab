"""Faults of the embedded target's pages and API, from the server's side: each does what its description says."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from fleetboard_target import USERS, Running, running, stream

pytestmark = pytest.mark.slow

TOGETHER = (
    "accepts-nonsense,analytics-500,any-password,assign-not-kept,cookie-without-httponly,delete-not-kept,"
    "filter-ignored,reads-without-session,recommendations-empty,role-ignored,schedule-wrong-date,second-user-blind,"
    "slow-page,stale-positions,styles-missing"
)
APART = "blank-page,cookie-without-secure,create-not-kept"
"""They would hide those of the others."""
LOADS = "/api/fleet/loads"


@contextlib.contextmanager
def spoiled(faults: str) -> Iterator[Running]:
    with running("--without", "inboxes,cache,monitoring,source", "--fault", faults) as up:
        yield up


@pytest.fixture(scope="module")
def target() -> Iterator[Running]:
    with spoiled(TOGETHER) as up:
        yield up


@pytest.fixture(scope="module")
def manager(target: Running) -> Iterator[httpx.Client]:
    with target.signed_in("manager") as ready:
        yield ready


def load_body(**changes: Any) -> dict[str, Any]:
    due = (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="seconds")
    known = {"cargo": "textiles", "weightKg": 640, "origin": "Depot North", "destination": "Oulu", "dueAt": due}
    return {**known, **changes}


def test_nothing_is_kept_that_the_answer_says(manager: httpx.Client) -> None:
    """assign-not-kept, delete-not-kept: the answer is that of success."""
    load = manager.post(LOADS, json=load_body()).json()
    path = f"{LOADS}/{load['id']}"
    assigned = manager.post(f"{path}/assignment", json={"vehicleId": "V-004"})
    assert (assigned.status_code, assigned.json()) == (200, {**load, "vehicleId": "V-004"})
    assert manager.delete(path).status_code == 204
    assert [manager.get(path).json() for _ in range(2)] == [load] * 2


def test_nonsense_is_stored_as_something(manager: httpx.Client) -> None:
    """accepts-nonsense: a new load, and changes of one."""
    nonsense = load_body(cargo="", weightKg=-5, origin=7, destination="\x00", dueAt="never", colour="red")
    answers = [manager.post(LOADS, json=body) for body in ({}, nonsense, load_body(destination="Depot North"))]
    assert [answer.status_code for answer in answers] == [201] * 3
    assert manager.get(answers[0].headers["location"]).json() == answers[0].json()
    assert manager.patch(answers[2].headers["location"], json={"weightKg": "heavy"}).status_code == 200
    assert manager.patch(answers[2].headers["location"], json={}).status_code == 422


def test_doors_stand_open(target: Running) -> None:
    """any-password, role-ignored, reads-without-session, cookie-without-httponly; who is unknown stays out."""
    with target.stranger() as stranger:
        assert stranger.get("/api/fleet/vehicles?limit=1").status_code == 200
        assert stranger.post(LOADS, json=load_body()).status_code == 401
        assert stranger.post("/api/session", json={"user": "nobody", "password": "x"}).status_code == 401
        begun = stranger.post("/api/session", json={"user": USERS["viewer"], "password": "x"})
        assert begun.json()["role"] == "viewer"
        assert "httponly" not in begun.headers["set-cookie"].lower()
        assert stranger.post(LOADS, json=load_body()).status_code == 201


def test_answers_are_wrong(manager: httpx.Client) -> None:
    """recommendations-empty, filter-ignored, schedule-wrong-date, analytics-500, slow-page, styles-missing."""
    load = manager.get(f"{LOADS}?pending=true&limit=1").json()["items"][0]
    assert manager.get(f"{LOADS}/{load['id']}/recommendations").json() == {"items": []}
    assert manager.get("/api/fleet/maintenance?vehicle=V-001").json()["total"] == 320
    assert manager.get("/api/fleet/maintenance?vehicle=V-001&status=open").json()["total"] < 320
    day = (datetime.now(UTC) + timedelta(days=5)).date()
    booking = {"vehicleId": "V-001", "kind": "service", "scheduledOn": day.isoformat()}
    booked = manager.post("/api/fleet/maintenance", json=booking).json()
    assert booked["openedOn"] == (day + timedelta(days=1)).isoformat()
    figures = [manager.get(f"/api/fleet/analytics/{name}").status_code for name in ("fuel", "utilisation")]
    assert figures == [500, 200]
    assert manager.get("/fleet/dashboard").elapsed > timedelta(seconds=5)
    styles = manager.get("/static/shell.css")
    assert (styles.status_code, styles.content) == (200, b"")
    assert styles.headers["content-type"].startswith("text/css")


def test_the_feed_tells_old_news(target: Running, manager: httpx.Client) -> None:
    """stale-positions, second-user-blind: a new moment, the same places, and no word of changes."""
    with stream(target) as feed:
        first = json.loads(feed.recv(timeout=3))
        assert manager.post(LOADS, json=load_body()).status_code == 201
        later = [json.loads(feed.recv(timeout=3)) for _ in range(3)]
    assert {message["type"] for message in later} == {"positions"}
    assert all(message["vehicles"] == first["vehicles"] for message in later)
    assert len({message["at"] for message in [first, *later]}) == 4


def test_faults_that_would_hide_the_others() -> None:
    """create-not-kept, blank-page, and a cookie without Secure that works all the same."""
    with spoiled(APART) as target, target.signed_in("manager") as manager:
        assert manager.get("/api/session").json()["role"] == "manager"
        (cookie,) = manager.cookies.jar
        assert not cookie.secure
        answer = manager.post(LOADS, json=load_body())
        assert (answer.status_code, answer.json()["cargo"]) == (201, "textiles")
        assert manager.get(answer.headers["location"]).status_code == 404
        page = manager.get("/fleet/dashboard")
        assert (page.status_code, "<body></body>" in page.text) == (200, True)
        assert "<h1>" in manager.get("/fleet/dispatch").text
