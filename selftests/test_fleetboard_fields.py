"""What clients of the embedded target send: the fields of bodies, ids in paths, filters in queries."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException

from fleetboard.app import paging
from fleetboard.app.bodies import InvalidError
from fleetboard.app.fields import Fields
from fleetboard.app.maintenance import wanted_records

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)


def read(body: dict[str, Any], *, change: bool = False, accepts_all: bool = False) -> dict[str, Any]:
    """What is taken of a body with one field of each kind."""
    fields = Fields(body, NOW, change=change, accepts_all=accepts_all)
    fields.text("line", 10)
    fields.text("maybe", 10, optional=True)
    fields.text("note", 10, optional=True, note=True)
    fields.whole("count", 1, 4000)
    fields.choice("kind", ("a", "b"))
    fields.moment("at")
    fields.day("on")
    return fields.values()


GOOD = {"line": " x ", "count": 7, "kind": "b", "at": "2026-12-02T00:00:00+02:00", "on": "2026-12-01"}


def test_good_fields_are_taken() -> None:
    taken = read({**GOOD, "note": " one\ntwo ", "maybe": None})
    assert taken.pop("at") == datetime(2026, 12, 1, 22, tzinfo=UTC)
    assert str(taken.pop("on")) == "2026-12-01"
    assert taken == {"line": "x", "count": 7, "kind": "b", "note": "one\ntwo"}
    assert read({"count": 1}, change=True) == {"count": 1}
    assert read({"note": " "}, change=True) == {"note": ""}


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("line", None, "is missing"),
        ("line", " ", "must not be empty"),
        ("line", 7, "must be text"),
        ("line", "x" * 11, "must not be longer than 10 characters"),
        ("line", "a\nb", "must be plain text"),
        ("line", "a\x00b", "must be plain text"),
        ("line", "a\ud800b", "must be plain text"),
        ("maybe", "", "must not be empty"),
        ("note", "a\x00b", "must be plain text"),
        ("note", ["x"], "must be text"),
        ("count", 0, "must be a whole number from 1 to 4,000"),
        ("count", 4001, "must be a whole number from 1 to 4,000"),
        ("count", True, "must be a whole number from 1 to 4,000"),
        ("count", 1.5, "must be a whole number from 1 to 4,000"),
        ("count", "7", "must be a whole number from 1 to 4,000"),
        ("kind", "c", "must be one of a, b"),
        ("kind", ["a"], "must be one of a, b"),
        ("at", "2026-12-02T00:00:00", "must be a time like 2027-01-31T08:00:00Z, with its zone"),
        ("at", "soon", "must be a time like 2027-01-31T08:00:00Z, with its zone"),
        ("at", 1_800_000_000, "must be a time like 2027-01-31T08:00:00Z, with its zone"),
        ("at", "2026-12-01T12:00:00Z", "must be still to come, within two years"),
        ("at", "2029-01-01T12:00:00Z", "must be still to come, within two years"),
        ("at", "0001-01-01T00:00:00+23:59", "must be still to come, within two years"),
        ("at", "9999-12-31T23:59:59-23:59", "must be still to come, within two years"),
        ("on", "2026-11-30", "must not be in the past, nor more than two years ahead"),
        ("on", "9999-12-31", "must not be in the past, nor more than two years ahead"),
        ("on", "20261202", "must be a date like 2027-01-31"),
        ("on", "2026-02-30", "must be a date like 2027-01-31"),
        ("on", "\uff12026-12-02", "must be a date like 2027-01-31"),
        ("more", 1, "there is no such field"),
    ],
)
def test_each_bad_field_gets_its_sentence(name: str, value: object, sentence: str) -> None:
    """And as a fault something else is stored that the database takes."""
    with pytest.raises(InvalidError) as caught:
        read({**GOOD, name: value})
    assert caught.value.fields == {name: sentence}
    assert set(read({**GOOD, name: value}, accepts_all=True)) >= set(GOOD)


def test_all_bad_fields_are_told_at_once() -> None:
    with pytest.raises(InvalidError) as caught:
        read({})
    assert set(caught.value.fields) == set(GOOD)
    with pytest.raises(InvalidError) as caught:
        read({}, change=True)
    assert set(caught.value.fields) == {*GOOD, "maybe", "note"}
    with pytest.raises(InvalidError, match="must not be empty"):
        read({"line": None}, change=True)


@settings(suppress_health_check=[HealthCheck.too_slow])  # all of Unicode takes a moment
@given(
    st.dictionaries(
        st.sampled_from([*GOOD, "maybe", "note", "more"]),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text(), max_size=2),
    ),
    st.booleans(),
    st.booleans(),
)
def test_whatever_is_sent_is_taken_or_complained_of(body: dict[str, Any], change: bool, accepts_all: bool) -> None:
    """Never anything else; with the fault a new load is always taken whole."""
    try:
        taken = read(body, change=change, accepts_all=accepts_all)
    except InvalidError as error:
        assert change or not accepts_all
        assert error.fields
    else:
        assert set(taken) <= {*GOOD, "maybe", "note"}
        assert change or set(taken) >= set(GOOD)


@pytest.mark.parametrize(
    ("text", "might_be"),
    [
        *(
            ("L-0001", True),
            ("L-483920", True),
            ("L-", False),
            ("L-1", False),
            ("M-0001", False),
            ("L-0001 ", False),
        ),
        *(("L-0001\n", False), ("L-\x00001", False), ("L-\u0661\u0661\u0661", False), ("L-" + "1" * 13, False)),
    ],
)
def test_what_can_be_an_id(text: str, might_be: bool) -> None:
    assert paging.is_id("L", text) is might_be


def test_a_filter_without_a_known_value_is_refused() -> None:
    assert paging.one_of(QueryParams("status=open"), "status", ("open", "done")) == "open"
    assert paging.one_of(QueryParams(""), "status", ("open", "done")) is None
    for text in ("status=", "status=OPEN", "status=open,done"):
        with pytest.raises(HTTPException, match="status must be one of open, done; it was"):
            paging.one_of(QueryParams(text), "status", ("open", "done"))


@pytest.mark.parametrize(
    ("query", "conditions", "values"),
    [
        ("", 0, {}),
        ("status=open", 1, {"status": "open"}),
        ("vehicle= V-001 ", 1, {"vehicle": "V-001"}),
        ("vehicle=&from=&to=", 0, {}),
        ("from=2026-12-01&to=2026-12-01", 2, {"first": date(2026, 12, 1), "last": date(2026, 12, 1)}),
        (
            "status=done&vehicle=x&from=2026-01-01&to=2026-12-31",
            4,
            {"status": "done", "vehicle": "x", "first": date(2026, 1, 1), "last": date(2026, 12, 31)},
        ),
    ],
)
def test_filters_of_maintenance_combine(query: str, conditions: int, values: dict[str, Any]) -> None:
    """A filter without a value is none; as a fault the vehicle is left aside."""
    wanted = wanted_records(QueryParams(query))
    assert len(wanted.conditions) == conditions
    assert wanted.values == values
    values.pop("vehicle", None)
    assert wanted_records(QueryParams(query), any_vehicle=True).values == values


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("status=late", "status must be one of planned, open, done; it was 'late'"),
        ("from=1.12.2026", "from must be a date like 2027-01-31; it was '1.12.2026'"),
        ("to=2026-13-01", "to must be a date like 2027-01-31; it was '2026-13-01'"),
        ("from=2026-12-02&to=2026-12-01", "from must not be after to; it was 2026-12-02, and to was 2026-12-01"),
        ("vehicle=%00", "vehicle must be the id, the plate or a part of the name of a vehicle"),
        ("vehicle=" + "x" * 61, "vehicle must be the id, the plate or a part of the name of a vehicle"),
    ],
)
def test_filters_that_can_not_be_meant_are_refused(query: str, sentence: str) -> None:
    with pytest.raises(HTTPException) as caught:
        wanted_records(QueryParams(query))
    assert (caught.value.status_code, caught.value.detail) == (422, sentence)
