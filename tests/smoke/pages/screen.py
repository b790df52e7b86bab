"""What all pages have, and how a user opens one and moves on.

Waits return what they found; a wait that runs out says so by its value and never raises. What a gate can't go on
without raises a sentence that says what the user would see.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Literal

from playwright.sync_api import Error, Locator, Page
from playwright.sync_api import TimeoutError as RanOut
from tests.smoke.pages import places
from tests.smoke.pages.places import Place, Scope

from gonogo import TargetError

State = Literal["visible", "hidden", "attached", "detached"]
_TIMES = "() => [performance.now(), performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null]"
_TEXT_IS_NOT = "([element, text]) => element.isConnected && element.textContent.trim() !== text"


@dataclass(frozen=True)
class Opening:
    """What opening a page showed."""

    status: int | None
    """HTTP status of the page itself."""
    url: str
    """Where the browser ended up."""
    title: str
    heading: str | None
    """Text of the first-level heading, if it is visible."""
    ready_s: float | None
    """Seconds from asking for the page until its first data was drawn; ``None``: never in time."""
    paint_s: float | None
    """Seconds until the first text or picture was drawn; ``None``: never."""


class Screen:
    """One page in a browser, as a user meets it."""

    def __init__(self, page: Page, url: str, timeout_s: float) -> None:
        """Prepares; nothing is opened yet.

        Args:
            page: the browser's page.
            url: address of the page.
            timeout_s: limit in seconds for opening, and for any single step.
        """
        self.page = page
        self.url = url
        self.timeout_s = timeout_s
        page.set_default_timeout(timeout_s * 1000)

    # ------------------------------------------------------------------ opening

    def goto(self, url: str | None = None, until: Literal["load", "commit"] = "load") -> int | None:
        """Opens the page and waits until it is loaded.

        Args:
            url: another page than this one.
            until: ``commit`` does not wait for more than the beginning of the answer.

        Returns:
            HTTP status of the page itself.

        Raises:
            TargetError: the browser can't reach or does not trust it, or it is not answered in time.
        """
        try:
            response = self.page.goto(url or self.url, wait_until=until)
        except RanOut:
            raise TargetError(f"{url or self.url} did not load within {self.timeout_s:g} s") from None
        except Error as error:
            said = re.search(r"\b(?:net::|NS_ERROR_)\w+", error.message)
            why = said.group() if said else error.message.splitlines()[0]
            raise TargetError(f"{url or self.url} can't be opened in the browser: {why}") from None
        return response.status if response else None

    def open(self) -> Opening:
        """Opens the page and waits until its first data is drawn.

        Raises:
            TargetError: as ``goto`` does.
        """
        started = time.perf_counter()
        status = self.goto()
        return self.opening(status, self.timeout_s - (time.perf_counter() - started))

    def opening(self, status: int | None, within_s: float) -> Opening:
        """What the page shows once its first data is drawn, however the user came here.

        Args:
            status: HTTP status of the page itself.
            within_s: how long to wait for the data.
        """
        ready = self.shows(places.READY, within_s)
        since_ms, painted_ms = self.page.evaluate(_TIMES)
        heading = self.page.get_by_role("heading", level=1).first
        return Opening(
            status=status,
            url=self.page.url,
            title=self.page.title(),
            heading=heading.inner_text().strip() if heading.is_visible() else None,
            ready_s=since_ms / 1000 if ready else None,
            paint_s=painted_ms / 1000 if painted_ms is not None else None,
        )

    def enter(self) -> None:
        """Opens the page, which must show its data.

        Raises:
            TargetError: it does not.
        """
        opening = self.open()
        if opening.ready_s is None:
            raise TargetError(f"{self.url} is open, but shows no data within {self.timeout_s:g} s{self.excuse()}")

    def follow(self, link: str) -> bool:
        """Goes on by a link of the navigation; whether the page behind it shows its data in time."""
        started = time.perf_counter()
        try:
            places.NAVIGATION(self.page).get_by_role("link", name=link, exact=True).click()
        except RanOut:
            return False
        heading = places.role("heading", places.HEADINGS[link], level=2)
        left_s = self.timeout_s - (time.perf_counter() - started)
        return self.shows(heading, left_s) and self.shows(places.READY, left_s)

    # ------------------------------------------------------------------ looking

    def shows(self, place: Place, within_s: float | None = None, scope: Scope | None = None) -> bool:
        """Whether something is visible in time, the default being a step's."""
        return self.becomes(place(scope or self.page), "visible", within_s)

    def hides(self, place: Place, within_s: float | None = None) -> bool:
        """Whether something is gone in time."""
        return self.becomes(place(self.page), "hidden", within_s)

    def becomes(self, what: Locator, state: State, within_s: float | None = None) -> bool:
        """Whether the first of some elements gets into a state in time."""
        limit_ms = max(1.0, (self.timeout_s if within_s is None else within_s) * 1000)
        try:
            what.first.wait_for(state=state, timeout=limit_ms)
        except RanOut:
            return False
        return True

    def alerts(self) -> list[str]:
        """What the page says of trouble."""
        shown = [one for one in places.ALERTS(self.page).all() if one.is_visible()]
        return [text for one in shown if (text := " ".join(one.inner_text().split()))]

    def press_retry(self) -> bool:
        """Presses the button that tries again what went wrong; whether there is one."""
        button = places.RETRY(self.page).first
        if not button.is_visible():
            return False
        try:
            button.click()
        except RanOut:
            return False
        return True

    def excuse(self) -> str:
        """The same as the end of a sentence; empty if it says nothing."""
        said = self.alerts()
        return f"; it says: {' '.join(said)}" if said else ""

    def account(self) -> str | None:
        """Whose name the page shows."""
        shown = places.ACCOUNT(self.page)
        return shown.first.inner_text().strip() if shown.count() else None

    # ------------------------------------------------------------------ the light

    def light(self, state: str, within_s: float) -> str | None:
        """The light's state: the one that is waited for at once, another one after the wait."""
        light = places.LIGHT(self.page)
        wanted = light.and_(self.page.locator(f"[{places.LIGHT_STATE}={state}]"))
        self.becomes(wanted, "visible", within_s)
        return light.first.get_attribute(places.LIGHT_STATE) if light.count() else None

    def light_text(self) -> str:
        """What is written at the light."""
        light = places.LIGHT(self.page)
        return light.first.inner_text().strip() if light.count() else ""

    def updates(self, within_s: float) -> bool:
        """Whether newer positions come in time, by the time that the page shows."""
        shown = places.UPDATED(self.page).first
        try:
            element = shown.element_handle(timeout=within_s * 1000)
            before = shown.inner_text().strip()
            self.page.wait_for_function(_TEXT_IS_NOT, arg=[element, before], timeout=within_s * 1000)
        except RanOut:
            return False
        return True
