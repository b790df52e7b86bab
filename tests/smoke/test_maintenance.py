"""Maintenance records can be found, and a service can be planned."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from tests.smoke.fleet_api import Item, read_all, read_page
from tests.smoke.own_things import OwnThings, not_tried, own_things, why_not_write
from tests.smoke.pages.maintenance import Maintenance, Service
from tests.smoke.users import MANAGER, Users, Window

from gonogo import Measure, Seen, Target, at_least, empty, equals, is_true

RECORDS = "playbook: maintenance records are shown"
FILTERS = "playbook: records can be filtered"
PLANNED = "playbook: a service can be planned"
DAYS_AHEAD = 9
SHOWN = 5


@pytest.mark.gate("smoke.maintenance")
def test_maintenance(users: Users, target: Target, measure: Measure, seen: Seen) -> None:
    """Records are shown, each filter narrows and clears, and a service that is scheduled is kept as it was told."""
    smoke = target.settings("smoke")
    window = users.at(MANAGER, smoke.maintenance)
    page = window.maintenance
    opening = page.opening(None, smoke.timeout_s)
    measure("the records are shown", opening.ready_s is not None, is_true(target.source("smoke.timeout_s")))
    why = why_not_write(users)
    if why:
        _see_records(page, users, measure, seen)
    else:
        with own_things(users, measure) as things:
            _see_records(page, users, measure, seen)
            _schedule(window, things, users, measure, seen)
    _filter(window, users, measure, seen)
    if why:
        raise not_tried("scheduling a service", why)


def _see_records(page: Maintenance, users: Users, measure: Measure, seen: Seen) -> None:
    """The table shows the API's first records, and says how many there are."""
    rows = page.rows()
    first = read_page(users.api(MANAGER), users.target.settings("smoke").records, max(1, len(rows)))
    measure("records in the table", len(rows), at_least(1, RECORDS))
    told = f"API: {users.target.settings('smoke').records}"
    measure("number of records", page.count(), equals(first.total, told))
    strange = [row["id"] for row in rows if row["id"] not in first.ids]
    measure("rows that are not the API's first", strange[:SHOWN], empty(told), n=max(1, len(rows)))
    seen(f"{page.count()} records, {len(rows)} of them in the table")


def _schedule(window: Window, things: OwnThings, users: Users, measure: Measure, seen: Seen) -> None:
    """Plans a service in the dialog; it shows up, is what was told, and is still so after reloading."""
    page, smoke = window.maintenance, users.target.settings("smoke")
    vehicle = str(read_page(users.api(MANAGER), smoke.vehicles, 1).ids[0])
    day = (datetime.now(UTC) + timedelta(days=DAYS_AHEAD)).date().isoformat()
    service = Service(vehicle, "service", day, things.name())
    opens = page.open_dialog()
    measure("the dialog opens", opens, is_true(PLANNED))
    if not opens:
        return
    sent = page.schedule(service)
    measure("the dialog closes once it is sent", sent, is_true(PLANNED))
    if not sent:
        window.picture("dialog.png")
        page.leave_dialog()
        return
    made = [
        one for one in read_all(things.client, smoke.records, status="planned") if one.get("note") == service.note
    ]
    measure("records with this note in the API", len(made), equals(1, PLANNED))
    for one in made[:1]:
        _compare(page, one, service, measure)
        window.picture("scheduled.png")
        page.enter()
        page.filter(vehicle=service.vehicle, status="planned")
        again = page.shows_record(str(one["id"]))
        measure("it is still there after reloading", again, is_true(PLANNED))
    seen(f"a service of {service.vehicle} planned for {service.day}")


def _compare(page: Maintenance, made: Item, service: Service, measure: Measure) -> None:
    """What was scheduled is kept and shown as it was told."""
    measure("it shows up without reloading", page.shows_record(str(made["id"])), is_true(PLANNED))
    shown = page.row(str(made["id"]))
    wanted = {"vehicle": service.vehicle, "kind": service.kind, "date": service.day, "note": service.note}
    kept = {"vehicle": "vehicleId", "kind": "kind", "date": "openedOn", "note": "note"}
    for field, expected in wanted.items():
        measure(f"{field} in the API", made.get(kept[field]), equals(expected, PLANNED))
        measure(f"{field} in the table", shown.get(field), equals(expected, PLANNED))


def _filter(window: Window, users: Users, measure: Measure, seen: Seen) -> None:
    """Each filter narrows the table to what fits, several together as well, and all can be cleared."""
    page = window.maintenance
    page.enter()  # without what was searched for before
    path = users.target.settings("smoke").records
    records = read_all(users.api(MANAGER), path)
    total = len(records)
    telling = _telling(records)
    measure("records that filters can be tried on", len(telling), at_least(1, FILTERS))
    if not telling:
        return
    one = telling[len(telling) // 2]
    status, vehicle, day = str(one["status"]), str(one["vehicleId"]), str(one["openedOn"])
    tried: list[tuple[str, dict[str, str], dict[str, str]]] = [
        ("status", {"status": status}, {"status": status}),
        ("vehicle", {"vehicle": vehicle}, {"vehicle": vehicle}),
        ("from", {"first": day}, {"from_": day}),
        ("to", {"last": day}, {"to": day}),
        (
            "all together",
            {"status": status, "vehicle": vehicle, "first": day, "last": day},
            {"status": status, "vehicle": vehicle, "from_": day, "to": day},
        ),
    ]
    for name, filled, asked in tried:
        fitting = [record for record in records if _fits(record, asked)]
        measure(f"filter {name}: can be set", page.filter(**filled), is_true(FILTERS))
        measure(f"filter {name}: number of records", page.counts(len(fitting)), equals(len(fitting), FILTERS))
        strange = [row["id"] for row in page.rows() if row["id"] not in {str(record["id"]) for record in fitting}]
        measure(f"filter {name}: rows that don't fit", strange[:SHOWN], empty(FILTERS), n=max(1, len(page.rows())))
        if name == "all together":
            window.picture("filtered.png")
        measure(f"filter {name}: can be cleared", page.clear(), is_true(FILTERS))
        cleared = page.counts(total)
        measure(f"filter {name}: records after clearing", cleared, equals(total, FILTERS))
        if cleared != total:
            return
    seen(f"filters narrow {total} records by status, vehicle and date, and clear again")


def _telling(records: list[Item]) -> list[Item]:
    """Records by which every filter leaves something out, and something in."""
    by = {field: Counter(record.get(field) for record in records) for field in ("status", "vehicleId")}
    days = sorted(str(record.get("openedOn")) for record in records)
    return [
        record
        for record in records
        if all(counts[record.get(field)] < len(records) for field, counts in by.items())
        and days[0] < str(record.get("openedOn")) < days[-1]
    ]


def _fits(record: Item, asked: dict[str, str]) -> bool:
    day = str(record.get("openedOn"))
    return (
        asked.get("status", record.get("status")) == record.get("status")
        and asked.get("vehicle", record.get("vehicleId")) == record.get("vehicleId")
        and asked.get("from_", day) <= day <= asked.get("to", day)
    )
