"""Loads of the embedded target: who is recommended, what can be done, and that the first of two dispatchers wins."""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import httpx
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.sync.client import ClientConnection

from fleetboard import seed
from fleetboard.app import recommending
from fleetboard.app.recommending import Candidate, Place, hours_left, recommend
from fleetboard_target import Running, running, stream

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
LEAST = ("--without", "inboxes,cache,monitoring,source")
NEAR, FAR = Place("Depot Harbour", 60.1676, 24.9560), Place("Depot North", 60.1760, 24.9500)


def free(number: int = 1, **changes: Any) -> Candidate:
    """A van in the middle of town whose driver has just begun."""
    known = Candidate(
        f"V-{number:03d}", f"Van {number}", "ABC-123", "van", "D-001", "Aino Laine", 0.5, 60.17, 24.95
    )
    return replace(known, **changes)


def ids(found: list[dict[str, Any]]) -> list[str]:
    return [one["vehicle"]["id"] for one in found]


@pytest.mark.parametrize(
    ("on_duty_h", "left"),
    [(0, 9), (-0.01, 9), (1.5, 7.5), (8.99, 0.01), (9, 0), (20, 0), (24, 9), (25, 8), (33, 0), (49, 8)],
)
def test_hours_of_driving_that_are_left(on_duty_h: float, left: float) -> None:
    """Nine a day since the driver began; the day after begins anew."""
    assert hours_left(on_duty_h) == pytest.approx(left)


@pytest.mark.parametrize(
    ("cargo", "weight_kg", "able"),
    [
        ("dairy", 1_000, ["reefer"]),
        ("Medicine ", 18_000, ["reefer"]),
        ("medicine", 18_001, []),
        ("groceries", 1_400, ["reefer", "truck", "van"]),
        ("groceries", 1_401, ["reefer", "truck"]),
        ("steel coils", 20_000, ["flatbed"]),
        ("steel coils", 18_000, ["flatbed", "truck"]),
        ("furniture", 900, ["truck", "van"]),
        ("something new", 900, ["truck", "van"]),
        ("timber", 24_001, []),
    ],
)
def test_what_carries_a_cargo(cargo: str, weight_kg: int, able: list[str]) -> None:
    """Only types that take it, up to their payload; all else being equal, the one made for it comes first."""
    kinds = ("van", "truck", "reefer", "flatbed")
    found = recommend(cargo, weight_kg, [NEAR], [free(n, type=kind) for n, kind in enumerate(kinds, 1)])
    assert [one["vehicle"]["type"] for one in found] == able


def test_recommendations_have_their_reasons() -> None:
    (found,) = recommend("textiles", 1200, [FAR, NEAR], [free(on_duty_h=2.25)])
    assert found == {
        "vehicle": {"id": "V-001", "name": "Van 1", "plate": "ABC-123", "type": "van"},
        "driver": {"id": "D-001", "name": "Aino Laine"},
        "distanceKm": 0.4,
        "hoursLeft": 6.8,
        "score": pytest.approx(86.0, abs=0.5),
        "reasons": [
            "0.4 km from the pick-up at Depot Harbour",
            "6.8 of 9 hours of driving left today",
            "a van is made for textiles and carries up to 1,400 kg",
        ],
    }


def test_tired_drivers_are_left_alone_and_five_are_enough() -> None:
    tired = [free(n, on_duty_h=hours) for n, hours in enumerate((8.4, 8.6, 12.0), 1)]
    assert ids(recommend("furniture", 100, [NEAR], tired)) == ["V-001"]
    many = [free(n, lat=60.17 + n / 1000) for n in range(9, 0, -1)]
    assert ids(recommend("furniture", 100, [NEAR], many)) == [f"V-00{n}" for n in range(1, 6)]
    assert recommend("furniture", 100, [], many) == []


PLACED = st.builds(
    free,
    st.integers(1, 999),
    type=st.sampled_from(sorted(recommending.CARRIES_KG)),
    on_duty_h=st.floats(0, 60),
    lat=st.floats(60.15, 60.19),
    lon=st.floats(24.92, 24.97),
)


@given(st.lists(PLACED, max_size=12, unique_by=lambda one: one.vehicle_id), st.integers(1, 40_000))
def test_nobody_is_recommended_before_a_better_one(candidates: list[Candidate], weight_kg: int) -> None:
    """Any order gives the same; scores fall and lie in 0 to 100; who could and is left out scores no better."""
    found = recommend("groceries", weight_kg, [NEAR, FAR], candidates)
    assert found == recommend("groceries", weight_kg, [FAR, NEAR], candidates[::-1])
    scores = [one["score"] for one in found]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 100 for score in scores)
    assert all(one["hoursLeft"] >= 0.5 and one["vehicle"]["type"] != "flatbed" for one in found)
    assert len({one["vehicle"]["id"] for one in found}) == len(found) <= 5
    alone = {one.vehicle_id: recommend("groceries", weight_kg, [NEAR, FAR], [one]) for one in candidates}
    left_out = [single[0]["score"] for name, single in alone.items() if single and name not in ids(found)]
    assert not left_out or (len(found) == 5 and max(left_out) <= min(scores))


@given(PLACED, st.floats(0, 8), st.floats(0, 8))
def test_nearer_and_fresher_is_never_worse(one: Candidate, shorter: float, longer: float) -> None:
    shorter, longer = sorted((shorter, longer))
    fresh = recommend("groceries", 100, [NEAR], [replace(one, type="van", on_duty_h=shorter)])[0]
    tired = recommend("groceries", 100, [NEAR], [replace(one, type="van", on_duty_h=longer)])[0]
    there = recommend("groceries", 100, [NEAR], [replace(one, type="van", on_duty_h=shorter, lat=NEAR.lat, lon=NEAR.lon)])[0]  # fmt: skip
    assert there["score"] >= fresh["score"] >= tired["score"]


def test_pick_ups_are_our_places() -> None:
    assert recommending.pick_ups(" depot north", [NEAR, FAR]) == [FAR]
    assert recommending.pick_ups("Oulu", [NEAR, FAR]) == [NEAR, FAR]


def test_every_pending_load_of_the_seed_has_a_choice() -> None:
    """At any minute of the first hour, whatever the traffic: two vehicles or more can take each."""
    fleet = seed.Fleet(NOW)
    busy = {row[2] for row in fleet.loads()}
    began = {row[0]: row[2] for row in fleet.assignments() if row[3] is None}
    kinds = {row[0]: row[3] for row in fleet.vehicles()}
    hours = {
        vehicle: (NOW - cast("datetime", start)).total_seconds() / 3600
        for vehicle, start in began.items()
        if vehicle not in busy
    }
    assert max(hours.values()) <= 7
    candidates = [
        free(vehicle_id=vehicle, type=kinds[vehicle], on_duty_h=on_duty_h + 0.99)
        for vehicle, on_duty_h in hours.items()
    ]
    places = [Place(str(row[1]), float(str(row[2])), float(str(row[3]))) for row in fleet.geofences()]
    pending = [row for row in fleet.loads() if row[7] == "planned"]
    assert len(pending) > 100
    for load in pending:
        assert load[5] in {place.name for place in places}
        assert len(recommend(str(load[3]), int(str(load[4])), places, candidates)) >= 2, load


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
