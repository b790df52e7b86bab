"""Figures of the embedded target: equal to what one counts in the tables oneself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.rows import dict_row

from fleetboard import seed
from fleetboard.app.analytics import FIGURES, Figure, figure_of
from fleetboard_target import Running, running

PATH = "/api/fleet/analytics"
MILE_KM = 1.609344
Counted = tuple[dict[str, float], float]
Rows = list[dict[str, Any]]


def test_a_figure_of_nothing_is_nothing() -> None:
    """Neither divided by zero nor drawn as a zero."""
    figure = Figure("Rate", "%", "", 100)
    nothing = {"title": "Rate", "unit": "%", "labels": [], "values": [], "summary": 0.0}
    none: Rows = [{"label": None, "part": 0, "whole": 0}]
    assert figure_of(figure, none) == nothing
    assert figure_of(figure, []) == nothing
    rows: Rows = [{"label": "a", "part": 1, "whole": 3}, {"label": None, "part": 1, "whole": 3}]
    assert figure_of(figure, rows) == {**nothing, "labels": ["a"], "values": [33.3], "summary": 33.3}


def test_the_seed_has_something_to_show() -> None:
    """Deliveries of two weeks, most on time and none from the future; dates of a load in their order."""
    now = datetime(2026, 12, 1, 12, 30, tzinfo=UTC)
    loads: list[Any] = list(seed.Fleet(now).loads())
    delivered = [load for load in loads if load[7] == "delivered"]
    on_time = sum(load[10] <= load[8] for load in delivered) / len(delivered)
    assert 0.80 <= on_time <= 0.97
    assert len({load[8].date() for load in delivered}) >= 10
    assert all(load[9] <= load[10] <= now for load in loads)


@pytest.fixture(scope="module")
def target() -> Iterator[Running]:
    with running("--without", "inboxes,cache,monitoring,source") as up:
        yield up


@pytest.fixture(scope="module")
def client(target: Running) -> Iterator[httpx.Client]:
    with target.client() as ready:
        yield ready


def ratio(
    rows: Iterable[dict[str, Any]], label: str, part: Callable[[Any], float], whole: Callable[[Any], float]
) -> Counted:
    """The ratio of two sums, by label and for all."""
    parts: defaultdict[str, float] = defaultdict(float)
    wholes: defaultdict[str, float] = defaultdict(float)
    for row in rows:
        parts[str(row[label])] += part(row)
        wholes[str(row[label])] += whole(row)
    by_label = {name: parts[name] / wholes[name] for name in sorted(parts)}
    return by_label, sum(parts.values()) / sum(wholes.values())


def counted(name: str, vehicles: Rows, loads: Rows, records: Rows) -> Counted:
    """A figure, counted by hand."""
    if name == "utilisation":
        return ratio(vehicles, "type", lambda row: 100 * (row["status"] == "moving"), lambda _: 1)
    if name == "fuel":
        return ratio(vehicles, "type", lambda row: float(row["fuel_percent"]), lambda _: 1)
    if name == "on-time":
        delivered = [
            {**row, "day": row["due_at"].astimezone(UTC).date()} for row in loads if row["status"] == "delivered"
        ]
        return ratio(delivered, "day", lambda row: 100 * (row["updated_at"] <= row["due_at"]), lambda _: 1)
    euros: defaultdict[str, float] = defaultdict(float)
    for row in records:
        euros[row["vehicle_id"]] += (row["cost_cents"] or 0) / 100
    return ratio(vehicles, "type", lambda row: euros[row["id"]], lambda row: row["odometer_km"] / MILE_KM)


@pytest.mark.slow
@pytest.mark.parametrize("name", FIGURES)
def test_figures_equal_the_tables(target: Running, client: httpx.Client, name: str) -> None:
    with psycopg.connect(target.info["database_url"], row_factory=dict_row) as connection:
        tables = ("vehicles", "loads", "maintenance_records")
        rows = [connection.execute(f"SELECT * FROM {table}".encode()).fetchall() for table in tables]
    by_label, summary = counted(name, *rows)
    figure = client.get(f"{PATH}/{name}").json()
    assert figure["labels"] == list(by_label)
    rounding = 0.0006 if name == "cost-per-mile" else 0.06
    assert figure["values"] == pytest.approx(list(by_label.values()), abs=rounding)
    assert figure["summary"] == pytest.approx(summary, abs=rounding)
    assert len(set(figure["values"])) > 1
    assert figure["title"]
    assert figure["unit"] == ("EUR/mile" if name == "cost-per-mile" else "%")


@pytest.mark.slow
def test_they_are_of_this_moment(target: Running, client: httpx.Client) -> None:
    """A change in the database shows at the next request, on either instance."""
    before = client.get(f"{PATH}/fuel").json()
    with psycopg.connect(target.owner_url(), autocommit=True) as connection:
        connection.execute("UPDATE vehicles SET fuel_percent = fuel_percent / 2 WHERE type = 'van'")
    for _ in range(2):
        after = client.get(f"{PATH}/fuel").json()
        van = before["labels"].index("van")
        assert after["values"][van] == pytest.approx(before["values"][van] / 2, abs=0.2)
        assert after["summary"] < before["summary"]


@pytest.mark.slow
def test_all_of_them_are_promised(client: httpx.Client) -> None:
    """And so is every other path: the document and the application name the same ones."""
    paths = client.get("/openapi.json").json()["paths"]
    assert {f"{PATH}/{name}" for name in FIGURES} <= set(paths)
    for path, operations in paths.items():
        if "get" in operations and "{" not in path:
            assert client.get(path).status_code == 200, path
        for method in operations:
            asked = client.request(method.upper(), path.replace("{id}", "none"))
            assert asked.status_code in ((200, 404) if method == "get" else (204, 403, 415)), (method, path)
    assert client.get(f"{PATH}/nope").status_code == 404
