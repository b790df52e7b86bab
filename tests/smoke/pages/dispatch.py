"""Loads that wait for a vehicle, and the dialog that finds one."""

from __future__ import annotations

from dataclasses import dataclass

from playwright.sync_api import Locator
from playwright.sync_api import TimeoutError as RanOut
from tests.smoke.pages import places
from tests.smoke.pages.screen import Screen


@dataclass(frozen=True)
class Offer:
    """One vehicle that is recommended for a load."""

    vehicle: str
    distance: str
    hours: str
    reasons: tuple[str, ...]


class Dispatch(Screen):
    """The page with the loads."""

    def pending(self) -> list[str]:
        """Ids of the loads that are listed as waiting."""
        rows = places.PENDING_LOADS(places.PENDING(self.page))
        found = rows.evaluate_all("(rows, name) => rows.map((row) => row.getAttribute(name))", places.LOAD)
        return [str(load) for load in found]

    def first_reference(self) -> str:
        """Reference of the first load that is listed as waiting; empty if none is."""
        shown = places.field("reference")(places.PENDING_LOADS(places.PENDING(self.page)).first)
        return shown.first.inner_text().strip() if shown.count() else ""

    def pending_row(self, load: str) -> Locator:
        """The row of a load that waits."""
        return places.pending_load(load)(places.PENDING(self.page))

    def assigned_row(self, load: str) -> Locator:
        """The row of a load that has a vehicle."""
        return places.assigned_load(load)(places.ASSIGNED(self.page))

    def shows_pending(self, load: str, within_s: float | None = None) -> bool:
        """Whether a load is listed as waiting, in time."""
        return self.becomes(self.pending_row(load), "visible", within_s)

    def shows_assigned(self, load: str, within_s: float | None = None) -> bool:
        """Whether a load is listed with a vehicle, in time."""
        return self.becomes(self.assigned_row(load), "visible", within_s)

    def row_text(self, load: str) -> str:
        """What the row of a waiting load says."""
        return " ".join(self.pending_row(load).inner_text().split())

    def vehicle_of(self, load: str) -> str:
        """The vehicle that an assigned load is listed with."""
        return places.field("vehicle")(self.assigned_row(load)).inner_text().strip()

    def open_assignment(self, reference: str, within_s: float | None = None) -> bool:
        """Presses the load's button; whether the dialog opens in time."""
        try:
            places.open_assignment(reference)(self.page).click()
        except RanOut:
            return False
        return self.shows(places.assignment(reference), within_s)

    def offers(self, reference: str, within_s: float | None = None) -> list[Offer]:
        """The vehicles that the dialog recommends, best first; empty if there are none in time."""
        dialog = places.assignment(reference)(self.page)
        rows = places.RECOMMENDATIONS(dialog)
        self.becomes(rows.or_(places.NO_RECOMMENDATION(dialog)), "visible", within_s)
        return [self._offer(row) for row in rows.all()]

    def settles(self, reference: str) -> bool:
        """Whether the dialog shows recommendations, or that there are none, in time."""
        dialog = places.assignment(reference)(self.page)
        return self.becomes(places.RECOMMENDATIONS(dialog).or_(places.NO_RECOMMENDATION(dialog)), "visible")

    def _offer(self, row: Locator) -> Offer:
        def text(field: str) -> str:
            shown = places.field(field)(row)
            return " ".join(shown.first.inner_text().split()) if shown.count() else ""

        reasons = tuple(" ".join(one.split()) for one in places.REASONS(row).all_inner_texts() if one.strip())
        vehicle = row.get_attribute(places.RECOMMENDED) or ""
        return Offer(vehicle, text("distance"), text("hours"), reasons)

    def assign(self, reference: str, vehicle: str) -> bool:
        """Takes a recommended vehicle; whether the dialog closes in time."""
        dialog = places.assignment(reference)
        row = places.recommendation(vehicle)(dialog(self.page))
        try:
            places.ASSIGN(row).click()
        except RanOut:
            return False
        return self.hides(dialog)

    def leave_dialog(self, reference: str) -> bool:
        """Closes the dialog by the keyboard, without assigning anything; whether it closes in time."""
        self.page.keyboard.press("Escape")
        return self.hides(places.assignment(reference))
