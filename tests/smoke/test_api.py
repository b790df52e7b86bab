"""The API under the pages does as they rely on: it lists, keeps, changes, removes and refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.smoke.fleet_api import FULL_PAGE, Item, Listing, read_one, read_page, spread
from tests.smoke.own_things import OwnThings, not_tried, own_things, why_not_write
from tests.smoke.users import DISPATCHER, VIEWER, Users

from gonogo import EvidenceKeeper, Measure, Seen, Target, TargetError, at_least, empty, equals, is_true

if TYPE_CHECKING:
    from gonogo.probes.http import HttpFacts, HttpProbe

PAGE = 10
MOST_DETAILS = 300
"""Vehicles whose details are fetched one by one; a larger fleet is sampled evenly."""

SHOWN = 5
"""Examples named in a measurement; the evidence has them all."""

LASTING = ("id", "name", "plate", "type", "driver", "load")
"""Fields that do not move between two requests."""

CONTRACT = "API: lists are paged by limit and offset"
KEEPS = "API: what it says is kept is kept"
REFUSALS = "API: what can't be answered is refused with a JSON body"
ROLES = "API: reading takes a session, writing the right role"


@pytest.mark.gate("smoke.api")
def test_api(users: Users, target: Target, measure: Measure, seen: Seen, evidence: EvidenceKeeper) -> None:
    """The API lists, creates, changes, removes and refuses as promised, and only for those who may."""
    smoke = target.settings("smoke")
    reader = users.api(VIEWER)
    whole = _lists(reader, smoke.vehicles, users, measure, seen)
    evidence.json("vehicles.json", {"total": whole.total, "items": [_nameless(one) for one in whole.items[:PAGE]]})
    problems = _details(reader, smoke.vehicles, whole, measure)
    if problems:
        evidence.text("details.txt", "\n".join(problems) + "\n")
    _refusals(reader, smoke.vehicles, measure)
    _strangers(target, (smoke.vehicles, smoke.loads, smoke.records), measure)
    if why := why_not_write(users):
        raise not_tried("creating, changing and removing a load", why)
    with own_things(users, measure) as things:
        _keeping(things, users.api(DISPATCHER), smoke.loads, measure, seen)
        _nonsense(things, users.api(DISPATCHER), smoke.loads, measure, seen)
        _roles(things, target, users, measure)


def _lists(reader: HttpProbe, path: str, users: Users, measure: Measure, seen: Seen) -> Listing:
    """Lists and their pages; returns the whole list."""
    smoke = users.target.settings("smoke")
    whole = read_page(reader, path, FULL_PAGE)
    users.hide_people(list(whole.items))
    measure("list status", whole.status, equals(200, CONTRACT))
    measure("list content type", whole.content_type, equals("application/json", CONTRACT))
    least = users.target.source("smoke.min_vehicles")
    measure("vehicles", whole.total, at_least(smoke.min_vehicles, least))
    measure("vehicles listed", len(whole.items), equals(min(whole.total, FULL_PAGE), CONTRACT))
    measure(
        "vehicles listed twice", sorted({one for one in whole.ids if whole.ids.count(one) > 1}), empty(CONTRACT)
    )
    for offset in (0, PAGE):
        part = read_page(reader, path, PAGE, offset)
        expected = whole.ids[offset : offset + PAGE]
        rows = f"page from vehicle {offset + 1}"
        measure(f"{rows}: rows", len(part.ids), equals(len(expected), CONTRACT))
        measure(f"{rows}: strangers", [one for one in part.ids if one not in expected][:SHOWN], empty(CONTRACT))
    measure("rows beyond the last", len(read_page(reader, path, PAGE, whole.total).ids), equals(0, CONTRACT))
    seen(f"{whole.total} vehicles, in pages that fit together")
    return whole


def _nameless(vehicle: Item) -> Item:
    """A vehicle without who drives it."""
    return {name: value for name, value in vehicle.items() if name != "driver"}


def _details(reader: HttpProbe, path: str, whole: Listing, measure: Measure) -> list[str]:
    """Each vehicle for itself says what the list says."""
    asked = spread(list(whole.items), MOST_DETAILS)
    problems = [problem for listed in asked if (problem := _compare(reader, path, listed))]
    agree = f"API: {path} and {path}/ID agree"
    measure("details that differ from the list", len(problems), equals(0, agree), n=len(asked))
    if problems:
        measure("the first of them", problems[:SHOWN], empty(agree))
    return problems


def _compare(reader: HttpProbe, path: str, listed: Item) -> str:
    """What is wrong with one vehicle's details, in a few words; empty if nothing is."""
    status, found = read_one(reader, f"{path}/{listed.get('id')}")
    if status != 200:
        return f"{listed.get('id')}: HTTP {status}"
    if not found:
        return f"{listed.get('id')}: no object in JSON"
    differing = [
        field for field in LASTING if field not in found.keys() & listed.keys() or found[field] != listed[field]
    ]
    return f"{listed.get('id')}: {', '.join(differing)}" if differing else ""


def _refusals(reader: HttpProbe, path: str, measure: Measure) -> None:
    """What can't be answered."""
    for name, bad, status in (
        ("unknown vehicle", f"{path}/no-such-vehicle", 404),
        ("page of no rows", f"{path}?limit=0", 422),
        ("page of words", f"{path}?limit=many", 422),
    ):
        _judge_refusal(name, reader.get(bad), status, measure)


def _strangers(target: Target, paths: tuple[str, ...], measure: Measure) -> None:
    """Nobody reads without a session."""
    with target.visitor() as stranger:
        for path in paths:
            _judge_refusal(f"{path} without a session", stranger.get(f"{path}?limit=1"), 401, measure, ROLES)


def _judge_refusal(name: str, answer: HttpFacts, status: int, measure: Measure, source: str = REFUSALS) -> None:
    measure(f"{name}: status", answer.status, equals(status, source))
    measure(f"{name}: content type", answer.content_type, equals("application/json", REFUSALS))
    measure(f"{name}: a sentence says why", _says_why(answer), is_true(REFUSALS))


def _says_why(answer: HttpFacts) -> bool:
    try:
        document = answer.json()
    except TargetError:
        return False
    return isinstance(document, dict) and isinstance(document.get("error"), str) and bool(document["error"].strip())


def _keeping(things: OwnThings, client: HttpProbe, path: str, measure: Measure, seen: Seen) -> None:
    """A load that is created is there, one that is changed is changed, one that is removed is gone."""
    sent = things.load(things.name())
    answer = client.request("POST", path, json=sent)
    made = things.remember(answer, path)
    measure("create: status", answer.status, equals(201, KEEPS))
    if not made:
        return
    own = f"{path}/{made['id']}"
    measure("create: Location", answer.headers.get("location", ""), equals(own, KEEPS))
    status, found = read_one(client, own)
    measure("read what was created: status", status, equals(200, KEEPS))
    measure("created otherwise than sent", _differing(sent, found), empty(KEEPS))

    changed = {"weightKg": sent["weightKg"] + 111, "destination": "Hakaniemi"}
    measure("change: status", client.request("PATCH", own, json=changed).status, equals(200, KEEPS))
    _, found = read_one(client, own)
    measure("changed otherwise than sent", _differing({**sent, **changed}, found), empty(KEEPS))

    measure("remove: status", client.request("DELETE", own).status, equals(204, KEEPS))
    measure("read what was removed: status", client.get(own).status, equals(404, KEEPS))
    seen(f"load {sent['reference']} created, read, changed and removed")


def _differing(sent: dict[str, Any], found: Item) -> list[str]:
    return [name for name, value in sent.items() if not _same(value, found.get(name))]


def _same(sent: Any, found: Any) -> bool:
    """Whether both are one value; a time may be written with ``Z`` or with ``+00:00``."""
    if isinstance(sent, str) and isinstance(found, str):
        return sent.replace("Z", "+00:00") == found.replace("Z", "+00:00")
    return bool(sent == found)


def _nonsense(things: OwnThings, client: HttpProbe, path: str, measure: Measure, seen: Seen) -> None:
    """What makes no sense is refused, and nothing of it is kept."""
    for name, wrong in (
        ("no weight at all", {"weightKg": None}),
        ("a weight below zero", {"weightKg": -5}),
        ("a weight in words", {"weightKg": "heavy"}),
        ("no cargo", {"cargo": ""}),
        ("due long ago", {"dueAt": "2001-01-01T08:00:00Z"}),
        ("due some time", {"dueAt": "soon"}),
    ):
        sent = things.load(things.name(), **wrong)
        answer = client.request("POST", path, json={key: value for key, value in sent.items() if value is not None})
        things.remember(answer, path)
        measure(f"{name}: refused", 400 <= answer.status < 500, is_true(REFUSALS))
        measure(f"{name}: a sentence says why", _says_why(answer), is_true(REFUSALS))
    answer = client.request("POST", path, content=b"{", headers={"Content-Type": "application/json"})
    measure("half a document: refused", 400 <= answer.status < 500, is_true(REFUSALS))
    seen("loads that make no sense are refused")


def _roles(things: OwnThings, target: Target, users: Users, measure: Measure) -> None:
    """Who may not write does not."""
    smoke = target.settings("smoke")
    day = things.load("")["dueAt"][:10]
    record = {"vehicleId": "V-001", "kind": "service", "scheduledOn": day, "note": things.name()}
    tried = [
        ("the viewer creates a load", users.api(VIEWER), smoke.loads, things.load(things.name()), 403),
        (
            "the dispatcher plans a service",
            users.api(DISPATCHER),
            smoke.records,
            {**record, "note": things.name()},
            403,
        ),
    ]
    with target.visitor() as stranger:
        tried.append(("nobody creates a load", stranger, smoke.loads, things.load(things.name()), 401))
        for name, client, path, sent, status in tried:
            answer = client.request("POST", path, json=sent)
            things.remember(answer, path)
            _judge_refusal(name, answer, status, measure, ROLES)
