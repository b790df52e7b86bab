"""Loads of the embedded target: what can be done with them, and that the first of two dispatchers wins."""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest
from websockets.sync.client import ClientConnection

from fleetboard import seed
from fleetboard_target import Running, running, stream

LEAST = ("--without", "inboxes,cache,monitoring,source")


def ids(found: list[dict[str, Any]]) -> list[str]:
    return [one["vehicle"]["id"] for one in found]


@pytest.fixture(scope="module")
def target() -> Iterator[Running]:
    with running(*LEAST) as up:
        yield up


@pytest.fixture(scope="module")
def dispatcher(target: Running) -> Iterator[httpx.Client]:
    with target.signed_in("dispatcher") as ready:
        yield ready


def contents(target: Running, table: str) -> tuple[int, str]:
    """How many rows a table has, and a digest of all of them."""
    query = f"SELECT count(*), md5(string_agg(t::text, '|' ORDER BY id)) FROM {table} t"
    with psycopg.connect(target.info["database_url"]) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0], row[1]


@pytest.fixture
def unchanged(target: Running) -> Iterator[None]:
    """What a test makes it removes again: afterwards the tables hold what they held."""
    tables = ("loads", "vehicles", "assignments")
    before = [contents(target, table) for table in tables]
    yield
    assert [contents(target, table) for table in tables] == before


def load_body(**changes: Any) -> dict[str, Any]:
    due = (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="seconds")
    known = {"cargo": "textiles", "weightKg": 640, "origin": "Depot North", "destination": "Oulu", "dueAt": due}
    return {**known, **changes}


@contextlib.contextmanager
def created(client: httpx.Client, **changes: Any) -> Iterator[dict[str, Any]]:
    """A load, for as long as it is needed."""
    answer = client.post("/api/fleet/loads", json=load_body(**changes))
    assert answer.status_code == 201, answer.text
    load = answer.json()
    try:
        yield load
    finally:
        client.delete(f"/api/fleet/loads/{load['id']}")


@pytest.mark.slow
@pytest.mark.usefixtures("unchanged")
def test_a_load_from_its_beginning_to_its_end(dispatcher: httpx.Client) -> None:
    """Created, read, changed, found in its list and deleted; both instances say the same."""
    sent = load_body(reference="TEST 1")
    answer = dispatcher.post("/api/fleet/loads", json=sent)
    load = answer.json()
    path = answer.headers["location"]
    assert (answer.status_code, path) == (201, f"/api/fleet/loads/{load['id']}")
    assert load.items() >= {**sent, "vehicleId": None, "status": "planned", "priority": 2}.items()
    assert [dispatcher.get(path).json() for _ in range(2)] == [load] * 2
    changed = dispatcher.patch(path, json={"weightKg": 700, "destination": "Kotka"})
    assert (changed.status_code, changed.json()) == (200, {**load, "weightKg": 700, "destination": "Kotka"})
    pending = dispatcher.get("/api/fleet/loads?pending=true&limit=500").json()
    assert changed.json() in pending["items"]
    assert [item["dueAt"] for item in pending["items"]] == sorted(item["dueAt"] for item in pending["items"])
    assert dispatcher.delete(path).status_code == 204
    assert dispatcher.get(path).status_code == dispatcher.patch(path, json={"weightKg": 1}).status_code == 404
    assert dispatcher.delete(path).json() == {"error": f"there is no load {load['id']}"}


@pytest.mark.slow
def test_pending_and_the_rest_are_all(dispatcher: httpx.Client) -> None:
    def total(query: str) -> int:
        return int(dispatcher.get(f"/api/fleet/loads?limit=1&{query}").json()["total"])

    assert total("pending=true") + total("pending=false") == total("") == 420
    assert total("pending=true&status=planned") == total("status=planned") == total("pending=true") > 100
    assert total("pending=true&status=delivered") == 0
    assert dispatcher.get("/api/fleet/loads?pending=yes").status_code == 422


@pytest.mark.slow
@pytest.mark.usefixtures("unchanged")
def test_what_can_not_be_done_to_loads(dispatcher: httpx.Client) -> None:
    """A sentence each: taken references, loads under way, places that are one, unknown vehicles."""
    under_way = dispatcher.get("/api/fleet/loads?status=in_transit&limit=1").json()["items"][0]
    path = f"/api/fleet/loads/{under_way['id']}"
    taken = load_body(reference=under_way["reference"])
    with created(dispatcher) as load:
        own = f"/api/fleet/loads/{load['id']}"
        for answer, status, sentence in (
            (dispatcher.post("/api/fleet/loads", json=taken), 409, "another load has the reference"),
            (dispatcher.patch(own, json={"reference": under_way["reference"]}), 409, "another load has the reference"),
            (dispatcher.patch(path, json={"weightKg": 1}), 409, "is in transit"),
            (dispatcher.delete(path), 409, "is in transit"),
            (dispatcher.post(f"{path}/assignment", json={"vehicleId": "V-004"}), 409, "is in transit"),
            (dispatcher.delete(f"{path}/assignment"), 409, "is in transit"),
            (dispatcher.delete(f"{own}/assignment"), 409, "has no vehicle"),
            (dispatcher.post(f"{own}/assignment", json={"vehicleId": under_way["vehicleId"]}), 409, "has a load already"),
            (dispatcher.post(f"{own}/assignment", json={"vehicleId": "V-012"}), 409, "is in the workshop"),
            (dispatcher.post("/api/fleet/loads/L-0999/assignment", json={"vehicleId": "V-004"}), 404, "there is no load"),
            (dispatcher.get("/api/fleet/loads/L-0999/recommendations"), 404, "there is no load"),
            (dispatcher.get("/api/fleet/loads/%00"), 404, "there is no load"),
        ):  # fmt: skip
            assert (answer.status_code, sentence in answer.json()["error"]) == (status, True), answer.text
        for answer, name in (
            (dispatcher.post("/api/fleet/loads", json=load_body(destination="depot NORTH")), "destination"),
            (dispatcher.patch(own, json={"destination": "Depot North"}), "destination"),
            (dispatcher.patch(own, json={"status": "delivered"}), "status"),
            (dispatcher.post(f"{own}/assignment", json={"vehicleId": "V-999"}), "vehicleId"),
            (dispatcher.post(f"{own}/assignment", json={"vehicleId": "\x00"}), "vehicleId"),
            (dispatcher.post(f"{own}/assignment", json={}), "vehicleId"),
        ):
            assert (answer.status_code, list(answer.json()["fields"])) == (422, [name]), answer.text
        half = {"content": b'{"\\ud800": 1}', "headers": {"content-type": "application/json"}}
        assert dispatcher.post("/api/fleet/loads", **half).json() == {"error": "the body is not JSON"}  # type: ignore[arg-type]
        assert dispatcher.get(own).json() == load


@pytest.mark.slow
@pytest.mark.usefixtures("unchanged")
def test_the_best_vehicle_is_assigned_and_no_longer_recommended(dispatcher: httpx.Client) -> None:
    with created(dispatcher, cargo="dairy") as load:
        path = f"/api/fleet/loads/{load['id']}"
        found = dispatcher.get(f"{path}/recommendations").json()["items"]
        assert len(found) >= 2
        assert {one["vehicle"]["type"] for one in found} == {"reefer"}
        assert all(len(one["reasons"]) == 3 and "Depot North" in one["reasons"][0] for one in found)
        best = found[0]["vehicle"]["id"]
        assigned = dispatcher.post(f"{path}/assignment", json={"vehicleId": best})
        assert (assigned.status_code, assigned.json()) == (200, {**load, "vehicleId": best})
        assert [dispatcher.get(path).json()["vehicleId"] for _ in range(2)] == [best] * 2
        others = dispatcher.get("/api/fleet/loads?status=planned&pending=false").json()
        assert [one["id"] for one in others["items"]] == [load["id"]]
        assert best not in ids(dispatcher.get(f"{path}/recommendations").json()["items"])
        again = dispatcher.post(f"{path}/assignment", json={"vehicleId": found[1]["vehicle"]["id"]})
        assert again.json() == {"error": f"the load {load['id']} has the vehicle {best} already"}
        released = dispatcher.delete(f"{path}/assignment")
        assert (released.status_code, released.json()) == (200, load)


@pytest.mark.slow
def test_the_release_before_writes_loads_too() -> None:
    """On its own schema, which knows no priority."""
    with running(*LEAST, "--release", "0.9.0") as before, before.signed_in("dispatcher") as client:
        with created(client) as load:
            assert "priority" not in load
            path = f"/api/fleet/loads/{load['id']}"
            assert client.patch(path, json={"weightKg": 9}).json() == {**load, "weightKg": 9}
        assert client.get(path).status_code == 404


def at_once(calls: Sequence[Callable[[], httpx.Response]]) -> list[httpx.Response]:
    """The answers to requests that are sent in the same moment."""
    ready = threading.Barrier(len(calls))

    def sent(call: Callable[[], httpx.Response]) -> httpx.Response:
        ready.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(sent, calls))


@pytest.mark.slow
@pytest.mark.usefixtures("unchanged")
def test_of_two_dispatchers_one_wins(target: Running, dispatcher: httpx.Client) -> None:
    """One load for several vehicles, and one vehicle for several loads: one is answered 200, all others 409."""
    free_ones = [f"V-{index + 1:03d}" for index in range(240) if seed.Fleet.status(index) == "idle"][:4]
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(target.signed_in("dispatcher")) for _ in range(4)]
        loads = [stack.enter_context(created(dispatcher))["id"] for _ in range(4)]

        def assigning(client: httpx.Client, load: str, vehicle: str) -> Callable[[], httpx.Response]:
            return lambda: client.post(f"/api/fleet/loads/{load}/assignment", json={"vehicleId": vehicle})

        for turn in range(6):
            one_load = [assigning(*both) for both in zip(clients, [loads[0]] * 4, free_ones, strict=True)]
            one_vehicle = [assigning(*both) for both in zip(clients, loads, [free_ones[0]] * 4, strict=True)]
            answers = at_once(one_vehicle if turn % 2 else one_load)
            assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
            (won,) = (answer.json() for answer in answers if answer.status_code == 200)
            kept = dispatcher.get("/api/fleet/loads?status=planned&pending=false").json()["items"]
            assert kept == [won]
            assert dispatcher.delete(f"/api/fleet/loads/{won['id']}/assignment").status_code == 200


@pytest.mark.slow
@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("same", ["load", "vehicle"])
def test_whoever_comes_second_waits_for_the_first(target: Running, dispatcher: httpx.Client, same: str) -> None:
    """The first has not finished yet; what it does is not seen before, and must not be overlooked."""
    with created(dispatcher) as first, created(dispatcher) as second, ThreadPoolExecutor(1) as pool:
        wanted = first if same == "load" else second
        path = f"/api/fleet/loads/{wanted['id']}/assignment"
        with psycopg.connect(target.owner_url()) as connection:
            connection.execute("SELECT id FROM vehicles WHERE id = 'V-004' FOR NO KEY UPDATE")
            connection.execute("UPDATE loads SET vehicle_id = 'V-004' WHERE id = %s", (first["id"],))
            vehicle = "V-008" if same == "load" else "V-004"
            answer = pool.submit(dispatcher.post, path, json={"vehicleId": vehicle})
            with pytest.raises(TimeoutError):
                answer.result(0.5)
        assert answer.result(5).status_code == 409
        assert dispatcher.get(f"/api/fleet/loads/{first['id']}").json()["vehicleId"] == "V-004"


@pytest.mark.slow
@pytest.mark.usefixtures("unchanged")
def test_ids_made_by_both_instances_never_meet(target: Running, dispatcher: httpx.Client) -> None:
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(target.signed_in("dispatcher")) for _ in range(4)]
        calls = [lambda client=client: client.post("/api/fleet/loads", json=load_body()) for client in clients]
        loads = [answer.json() for _ in range(10) for answer in at_once(calls)]
        assert len({load["id"] for load in loads}) == len({load["reference"] for load in loads}) == 40
        for load in loads:
            assert dispatcher.delete(f"/api/fleet/loads/{load['id']}").status_code == 204


def until_changed(feed: ClientConnection, timeout_s: float) -> dict[str, Any] | None:
    """The next message that something was changed; ``None`` if there is none in time."""
    end = time.monotonic() + timeout_s
    while (left := end - time.monotonic()) > 0:
        with contextlib.suppress(TimeoutError):
            message: dict[str, Any] = json.loads(feed.recv(timeout=left))
            if message["type"] == "changed":
                return message
    return None


@pytest.mark.slow
def test_everybody_hears_of_a_change(target: Running, dispatcher: httpx.Client) -> None:
    """Whichever instance made it and whichever they hang on to; the number grows each time, and then all is quiet."""
    with contextlib.ExitStack() as stack:
        feeds = [stack.enter_context(stream(target)) for _ in range(2)]
        assert set(dispatcher.get("/api/fleet/ws-stats").json()["instances"].values()) == {1}
        load = stack.enter_context(created(dispatcher))
        heard = [[until_changed(feed, 3) for feed in feeds]]
        path = f"/api/fleet/loads/{load['id']}/assignment"
        assert dispatcher.post(path, json={"vehicleId": "V-004"}).status_code == 200
        heard.append([until_changed(feed, 3) for feed in feeds])
        assert dispatcher.delete(path).status_code == 200
        heard.append([until_changed(feed, 3) for feed in feeds])
        assert [until_changed(feed, 1.3) for feed in feeds] == [None, None]
    for before, after in itertools.pairwise(heard):
        for old, new in zip(before, after, strict=True):
            assert old is not None
            assert new is not None
            assert old["what"] == new["what"] == "loads"
            assert old["revision"] < new["revision"]
