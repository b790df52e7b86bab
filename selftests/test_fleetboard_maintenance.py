"""Maintenance of the embedded target: scheduled, changed, filtered and called off."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest

from fleetboard_target import Running, running

pytestmark = pytest.mark.slow

PATH = "/api/fleet/maintenance"
TODAY = datetime.now(UTC).date()


@pytest.fixture(scope="module")
def target() -> Iterator[Running]:
    with running("--without", "inboxes,cache,monitoring,source") as up:
        yield up


@pytest.fixture(scope="module")
def workshop(target: Running) -> Iterator[httpx.Client]:
    with target.signed_in("workshop") as ready:
        yield ready


@pytest.fixture(scope="module")
def seeded(workshop: httpx.Client) -> list[dict[str, Any]]:
    """All records as they were in the beginning."""
    page = workshop.get(f"{PATH}?limit=500").json()
    assert len(page["items"]) == page["total"] == 320
    return list(page["items"])


@pytest.fixture
def unchanged(target: Running) -> Iterator[None]:
    """What a test makes it removes again: afterwards the table holds what it held."""
    query = "SELECT count(*), md5(string_agg(t::text, '|' ORDER BY id)) FROM maintenance_records t"
    with psycopg.connect(target.info["database_url"], autocommit=True) as connection:
        before = connection.execute(query).fetchone()
        yield
        assert connection.execute(query).fetchone() == before


def booking(**changes: Any) -> dict[str, Any]:
    day = (datetime.now(UTC) + timedelta(days=10)).date().isoformat()
    return {"vehicleId": "V-007", "kind": "service", "scheduledOn": day, "note": "Before the winter", **changes}


@pytest.mark.usefixtures("unchanged")
def test_a_service_from_its_booking_to_its_end(workshop: httpx.Client, seeded: list[dict[str, Any]]) -> None:
    """Booked, read, found by its vehicle, moved and called off; both instances say the same."""
    sent = booking()
    answer = workshop.post(PATH, json=sent)
    record = answer.json()
    path = answer.headers["location"]
    assert (answer.status_code, path) == (201, f"{PATH}/{record['id']}")
    planned = {"status": "planned", "openedOn": sent["scheduledOn"], "closedOn": None, "costCents": None}
    assert (
        record.items() >= {"vehicleId": "V-007", "kind": "service", "note": "Before the winter", **planned}.items()
    )
    assert record["odometerKm"] >= max(one["odometerKm"] for one in seeded if one["vehicleId"] == "V-007")
    assert [workshop.get(path).json() for _ in range(2)] == [record] * 2
    assert record in workshop.get(f"{PATH}?vehicle=V-007&limit=500").json()["items"]
    later = (TODAY + timedelta(days=20)).isoformat()
    moved = workshop.patch(path, json={"scheduledOn": later, "note": "", "kind": "tyres"})
    assert moved.json() == {**record, "openedOn": later, "note": "", "kind": "tyres"}
    assert workshop.delete(path).status_code == 204
    gone = {"error": f"there is no record {record['id']}"}
    assert [workshop.get(path).json(), workshop.patch(path, json={"note": ""}).json()] == [gone, gone]
    assert workshop.delete(path).status_code == 404


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"scheduledOn": (TODAY - timedelta(days=2)).isoformat()}, ["scheduledOn"]),
        ({"scheduledOn": None, "kind": "wash"}, ["kind", "scheduledOn"]),
        ({"vehicleId": "V-999"}, ["vehicleId"]),
        ({"vehicleId": "\x00"}, ["vehicleId"]),
        ({"note": "x" * 501}, ["note"]),
        ({"costCents": 1}, ["costCents"]),
    ],
)
def test_what_can_not_be_booked(workshop: httpx.Client, changes: dict[str, Any], names: list[str]) -> None:
    answer = workshop.post(PATH, json=booking(**changes))
    assert (answer.status_code, sorted(answer.json()["fields"])) == (422, names)


@pytest.mark.usefixtures("unchanged")
def test_what_was_begun_stays(workshop: httpx.Client, seeded: list[dict[str, Any]]) -> None:
    for status in ("open", "done"):
        record = next(one for one in seeded if one["status"] == status)
        said = {"error": f"the record {record['id']} is {status}, and no longer planned"}
        for answer in (
            workshop.delete(f"{PATH}/{record['id']}"),
            workshop.patch(f"{PATH}/{record['id']}", json={"note": "x"}),
        ):
            assert (answer.status_code, answer.json()) == (409, said)
    assert workshop.get(f"{PATH}/M-%00").status_code == 404


def test_each_filter_narrows_and_all_combine(workshop: httpx.Client, seeded: list[dict[str, Any]]) -> None:
    """What the API gives for any combination equals what one picks from the whole list by hand."""
    first, last = (TODAY - timedelta(days=400)).isoformat(), (TODAY + timedelta(days=30)).isoformat()
    done = [one["vehicleId"] for one in seeded if one["status"] == "done" and first <= one["openedOn"] <= last]
    often = max(sorted(set(done)), key=done.count)
    filters: dict[str, tuple[str, Callable[[dict[str, Any]], bool]]] = {
        "status": ("done", lambda one: one["status"] == "done"),
        "vehicle": (often.lower(), lambda one: one["vehicleId"] == often),
        "from": (first, lambda one: one["openedOn"] >= first),
        "to": (last, lambda one: one["openedOn"] <= last),
    }
    found: dict[tuple[str, ...], int] = {}
    for size in range(len(filters) + 1):
        for names in itertools.combinations(filters, size):
            query = {name: filters[name][0] for name in names}
            page = workshop.get(PATH, params={**query, "limit": 500}).json()
            picked = [one for one in seeded if all(filters[name][1](one) for name in names)]
            assert (page["items"], page["total"]) == (picked, len(picked)), query
            found[names] = len(picked)
    assert all(0 < found[name,] < found[()] for name in filters)
    assert 0 < found[tuple(filters)] <= found["vehicle",]


def test_both_ends_of_a_span_belong_to_it(workshop: httpx.Client, seeded: list[dict[str, Any]]) -> None:
    day = seeded[100]["openedOn"]
    found = workshop.get(f"{PATH}?from={day}&to={day}&limit=500").json()["items"]
    assert found == [one for one in seeded if one["openedOn"] == day]
    assert seeded[100] in found


def test_a_vehicle_is_found_by_plate_and_part_of_its_name(
    workshop: httpx.Client, seeded: list[dict[str, Any]]
) -> None:
    """Signs that mean something to a pattern mean themselves."""
    vehicle = workshop.get(f"/api/fleet/vehicles/{seeded[0]['vehicleId']}").json()
    own = [one for one in seeded if one["vehicleId"] == vehicle["id"]]
    for text in (vehicle["plate"], vehicle["plate"].lower(), vehicle["name"], f"  {vehicle['name'].upper()} "):
        assert workshop.get(PATH, params={"vehicle": text, "limit": 500}).json()["items"] == own
    model = vehicle["name"].split()[0].lower()
    assert workshop.get(PATH, params={"vehicle": model}).json()["total"] > len(own)
    for text in ("%", "_", "' OR true --", "V-999"):
        assert workshop.get(PATH, params={"vehicle": text}).json()["items"] == []


def test_newest_first_and_pages_fit_together(workshop: httpx.Client, seeded: list[dict[str, Any]]) -> None:
    days = [one["openedOn"] for one in seeded]
    assert days == sorted(days, reverse=True)
    pages = [workshop.get(f"{PATH}?limit=100&offset={offset}").json()["items"] for offset in range(0, 320, 100)]
    assert [one for page in pages for one in page] == seeded
