"""The fleet that the target starts with: generated, plausible, the same every time."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import cast

import psycopg

VEHICLES = 240
DRIVERS = 220
LOADS = 420
MAINTENANCE = 320

_SEED = 20260101
_FIRST = (
    "Aino Eero Helmi Onni Lumi Elias Venla Oliver Siiri Leo Ella Väinö Isla Toivo Aada Niilo Sofia Emil "
    "Olivia Oskari"
)
_LAST = (
    "Korhonen Virtanen Mäkinen Nieminen Mäkelä Hämäläinen Laine Heikkinen Koskinen Järvinen Lehtonen Lehtinen "
    "Saarinen Salminen Heinonen Niemi Heikkilä Kinnunen Salonen Turunen"
)
_MODELS = {"van": "Sprinter", "truck": "Actros", "reefer": "FrigoLine", "flatbed": "Carrier"}
_CARGO = "groceries|furniture|paper rolls|machine parts|medicine|timber|textiles|electronics|dairy|steel coils"
_PLACES = "Helsinki|Espoo|Vantaa|Tampere|Turku|Oulu|Lahti|Kuopio|Jyväskylä|Pori|Kotka|Hanko|Porvoo|Hämeenlinna"
_KINDS = ("service", "inspection", "tyres", "brakes", "repair")
_LOAD = "id, reference, vehicle_id, cargo, weight_kg, origin, destination, status, due_at"
_LATE = 0.1
"""Share of the delivered loads that came after they were due."""
_PLATE_LETTERS = "ABCEFGHIJKLMNOPRSTUVXYZ"

Row = tuple[object, ...]


def seed(connection: psycopg.Connection[tuple[object, ...]], now: datetime | None = None) -> None:
    """Fill an empty schema, in one transaction.

    Args:
        connection: the owner's.
        now: the moment that due times and records are placed around; the clock's if ``None``.
    """
    fleet = Fleet(now or datetime.now(UTC))
    tables: dict[str, tuple[str, Iterable[Row]]] = {
        "drivers": ("id, name, phone, licence_class, status, hired_on", fleet.drivers()),
        "vehicles": ("id, name, plate, type, status, fuel_percent, odometer_km, slot", fleet.vehicles()),
        "assignments": ("vehicle_id, driver_id, started_at, ended_at", fleet.assignments()),
        "loads": (
            f"{_LOAD}, created_at, updated_at",
            fleet.loads(),
        ),
        "maintenance_records": (
            "id, vehicle_id, kind, status, odometer_km, cost_cents, opened_on, closed_on, note",
            fleet.maintenance(),
        ),
        "geofences": ("id, name, lat, lon, radius_m", fleet.geofences()),
    }
    with connection.transaction(), connection.cursor() as cursor:
        for table, (columns, rows) in tables.items():
            with cursor.copy(f"COPY {table} ({columns}) FROM STDIN".encode()) as copy:
                for row in rows:
                    copy.write_row(row)
        cursor.execute("ANALYZE")


class Fleet:
    """Generated rows; every method gives the same rows each time for the same ``now``."""

    def __init__(self, now: datetime) -> None:
        self._now = now.replace(minute=0, second=0, microsecond=0)

    def drivers(self) -> Iterator[Row]:
        """220 people, each name once."""
        names = [f"{first} {last}" for first in _FIRST.split() for last in _LAST.split()]
        rng = _rng("drivers")
        driving = {row[1] for row in self.assignments() if row[3] is None}
        for number, name in enumerate(rng.sample(names, DRIVERS), 1):
            driver = f"D-{number:03d}"
            status = "driving" if driver in driving else rng.choice(("available", "off_duty"))
            phone = f"+358 40 {rng.randrange(100, 1000)} {rng.randrange(1000, 10_000)}"
            hired = self._today() - timedelta(days=rng.randrange(30, 6000))
            yield driver, name, phone, rng.choice(("B", "C", "CE")), status, hired

    def vehicles(self) -> Iterator[Row]:
        """240 vehicles: two thirds on the move, some at rest, a few in the workshop."""
        rng = _rng("vehicles")
        plates: set[str] = set()
        while len(plates) < VEHICLES:
            plates.add("".join(rng.choices(_PLATE_LETTERS, k=3)) + f"-{rng.randrange(100, 1000)}")
        ordered = sorted(plates)
        rng.shuffle(ordered)
        slots = rng.sample(range(VEHICLES), VEHICLES)
        for index in range(VEHICLES):
            kind = rng.choices(list(_MODELS), weights=(5, 3, 2, 1))[0]
            fuel = round(rng.uniform(12, 100), 1)
            odometer = rng.randrange(2_000, 96_000)
            name = f"{_MODELS[kind]} {index + 1:03d}"
            yield _vehicle(index), name, ordered[index], kind, self.status(index), fuel, odometer, slots[index]

    @staticmethod
    def status(index: int) -> str:
        """Status of the vehicle with this index, counted from 0."""
        return "maintenance" if index % 17 == 11 else "idle" if index % 4 == 3 else "moving"

    def assignments(self) -> Iterator[Row]:
        """An open one for every moving vehicle, a closed one from yesterday for most."""
        rng = _rng("assignments")
        today = rng.sample(range(1, DRIVERS + 1), DRIVERS)
        moving = [index for index in range(VEHICLES) if self.status(index) == "moving"]
        for driver, index in zip(today, moving, strict=False):
            yield _vehicle(index), f"D-{driver:03d}", self._now - timedelta(hours=rng.randrange(1, 8)), None
        for driver in range(1, DRIVERS + 1):
            start = self._now - timedelta(hours=30)
            yield _vehicle(driver - 1), f"D-{driver:03d}", start, start + timedelta(hours=8)

    def loads(self) -> Iterator[Row]:
        """420 consignments; most moving vehicles carry one right now, and one in ten came too late."""
        rng, places, arrivals = _rng("loads"), _rng("pick-ups"), _rng("deliveries")
        pick_ups = [row[1] for row in self.geofences()]
        carrying = [index for index in range(VEHICLES) if self.status(index) == "moving" and index % 8 != 6]
        for number in range(1, LOADS + 1):
            status = "in_transit" if number <= len(carrying) else rng.choice(("planned", "delivered"))
            index = carrying[number - 1] if status == "in_transit" else rng.randrange(VEHICLES)
            vehicle = None if status == "planned" else _vehicle(index)
            destination = rng.choice(_PLACES.split("|"))
            hours = rng.randrange(-330, -2) if status == "delivered" else rng.randrange(2, 72)
            due = self._now + timedelta(hours=hours)
            ordered = min(due, self._now) - timedelta(hours=48)
            late = arrivals.randrange(10, 120) if arrivals.random() < _LATE else -arrivals.randrange(5, 240)
            changed = due + timedelta(minutes=late) if status == "delivered" else ordered
            cargo, weight = rng.choice(_CARGO.split("|")), rng.randrange(80, 18_000, 20)
            what = (f"FB{100_000 + number * 37}", vehicle, cargo, weight, places.choice(pick_ups), destination)
            yield f"L-{number:04d}", *what, status, due, ordered, changed

    def maintenance(self) -> Iterator[Row]:
        """320 records; each vehicle in the workshop has an open one."""
        rng = _rng("maintenance")
        odometers = [cast("int", row[6]) for row in self.vehicles()]
        workshop = [index for index in range(VEHICLES) if self.status(index) == "maintenance"]
        for number in range(1, MAINTENANCE + 1):
            is_open = number <= len(workshop)
            index = workshop[number - 1] if is_open else rng.randrange(VEHICLES)
            status = "open" if is_open else rng.choices(("done", "planned"), weights=(5, 1))[0]
            days = rng.randrange(3, 700) if status == "done" else -rng.randrange(5, 60)
            opened = self._today() - timedelta(days=1 if is_open else days)
            closed = opened + timedelta(days=rng.randrange(1, 3)) if status == "done" else None
            cost = rng.randrange(9_000, 420_000) if status == "done" else None
            kind = rng.choice(_KINDS)
            note = f"{kind.capitalize()} at {rng.choice(('Depot North', 'Depot Harbour', 'partner workshop'))}"
            odometer = round(odometers[index] * rng.uniform(0.3, 1.0))
            yield f"M-{number:04d}", _vehicle(index), kind, status, odometer, cost, opened, closed, note

    @staticmethod
    def geofences() -> Sequence[Row]:
        """Places the fleet serves, in central Helsinki."""
        return (
            ("G-01", "Depot Harbour", 60.1676, 24.9560, 250),
            ("G-02", "Depot North", 60.1760, 24.9500, 200),
            ("G-03", "Central Station yard", 60.1710, 24.9414, 180),
        )

    def _today(self) -> date:
        return self._now.date()


def _vehicle(index: int) -> str:
    return f"V-{index + 1:03d}"


def _rng(topic: str) -> random.Random:
    # One stream a topic: a change to one table leaves the others as they were.
    return random.Random(f"{_SEED}:{topic}")  # noqa: S311 - made-up data, no secret
