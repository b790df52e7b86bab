"""Maintenance records, their filters, and the dialog that schedules a service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from playwright.sync_api import Locator
from playwright.sync_api import TimeoutError as RanOut
from tests.smoke.pages import places
from tests.smoke.pages.places import Place
from tests.smoke.pages.screen import Screen

_ROWS = """(rows, [id, field, value]) => rows.map((row) => Object.fromEntries([
  ["id", row.getAttribute(id)],
  ...[...row.querySelectorAll(`[${field}]`)].map((cell) => [
    cell.getAttribute(field), cell.getAttribute(value) ?? cell.innerText.trim(),
  ]),
]))"""
_COUNT_IS = "([element, count]) => parseInt(element.textContent.replace(/\\D/g, ''), 10) === count"


@dataclass(frozen=True)
class Service:
    """What is written into the dialog."""

    vehicle: str
    kind: str
    day: str
    """As ISO 8601."""
    note: str


class Maintenance(Screen):
    """The page with the maintenance records."""

    def rows(self) -> list[dict[str, str]]:
        """The records on this page of the table: ``id``, and each cell by its field."""
        found = places.RECORDS(self.page).evaluate_all(_ROWS, [places.RECORD, places.FIELD, places.CELL_VALUE])
        return [{key: str(value) for key, value in row.items()} for row in found]

    def count(self) -> int | None:
        """How many records the page says there are."""
        shown = places.RECORD_COUNT(self.page)
        digits = "".join(filter(str.isdigit, shown.first.inner_text())) if shown.count() else ""
        return int(digits) if digits else None

    def counts(self, expected: int, within_s: float | None = None) -> int | None:
        """How many records the page says there are: the expected number at once, another one after the wait."""
        limit_ms = (self.timeout_s if within_s is None else within_s) * 1000
        try:
            element = places.RECORD_COUNT(self.page).first.element_handle(timeout=limit_ms)
            self.page.wait_for_function(_COUNT_IS, arg=[element, expected], timeout=limit_ms)
        except RanOut:
            pass
        return self.count()

    def filter(self, **values: str) -> bool:
        """Sets filters (``status``, ``vehicle``, ``first``, ``last``); whether all of them can be set."""
        filters: Mapping[str, Place] = {
            "status": places.STATUS_FILTER,
            "vehicle": places.VEHICLE_FILTER,
            "first": places.FROM_FILTER,
            "last": places.TO_FILTER,
        }
        form = places.FILTERS(self.page)
        return all(self._write(filters[name](form), value) for name, value in values.items())

    def clear(self) -> bool:
        """Presses the button that clears all filters; whether it can be pressed."""
        try:
            places.CLEAR(self.page).click()
        except RanOut:
            return False
        return True

    def open_dialog(self) -> bool:
        """Presses the button that schedules a service; whether the dialog opens in time."""
        try:
            places.SCHEDULE(self.page).click()
        except RanOut:
            return False
        return self.shows(places.SCHEDULING)

    def leave_dialog(self) -> bool:
        """Closes the dialog by the keyboard, without scheduling anything; whether it closes in time."""
        self.page.keyboard.press("Escape")
        return self.hides(places.SCHEDULING)

    def schedule(self, service: Service) -> bool:
        """Fills the dialog and sends it; whether it closes in time."""
        dialog = places.SCHEDULING(self.page)
        told: list[tuple[Place, str]] = [
            (places.VEHICLE_FIELD, service.vehicle),
            (places.KIND_FIELD, service.kind),
            (places.DATE_FIELD, service.day),
            (places.NOTE_FIELD, service.note),
        ]
        if not all(self._write(place(dialog), value) for place, value in told):
            return False
        try:
            places.SEND(dialog).click()
        except RanOut:
            return False
        return self.hides(places.SCHEDULING)

    def shows_record(self, record: str, within_s: float | None = None) -> bool:
        """Whether a record is in the table, in time."""
        return self.becomes(places.record(record)(self.page), "visible", within_s)

    def row(self, record: str) -> dict[str, str]:
        """One record as the table shows it; empty if it does not."""
        return next((row for row in self.rows() if row["id"] == record), {})

    def _write(self, field: Locator, value: str) -> bool:
        """Writes into a field, or chooses from a list the entry that has this value or this text."""
        try:
            if field.evaluate("(element) => element.tagName") == "SELECT":
                field.select_option(value)
            else:
                field.fill(value)
        except RanOut:
            return False
        return True
