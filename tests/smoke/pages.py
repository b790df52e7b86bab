"""Where things are on the fleet dashboard, and how a user's eye and hand reach them.

The one place that knows the page's structure: a page that is built differently needs a change here only.
Waits return what they found; a wait that runs out says so by its value and never raises.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import ConsoleMessage, Error, Page, Request, Response
from playwright.sync_api import TimeoutError as RanOut

from gonogo import TargetError

MAP = "[data-testid=map]"
MARKER = ".vehicle-marker"
LIGHT = "[data-testid=connection]"
DETAILS = "[data-testid=details]"
READY = "body[data-ready=true]"
BASEMAP = f"{MAP} canvas, {MAP} img.leaflet-tile-loaded"
OVER_BASEMAP = f"{MARKER}, {DETAILS}, .leaflet-control-container"
"""What may lie over the base map and must not be taken for it."""

# Counts the colours of a PNG; a colour counts if it covers at least a thousandth of the picture.
_COLOURS = """async (png) => {
  const bytes = Uint8Array.from(atob(png), (c) => c.charCodeAt(0));
  const image = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
  const context = new OffscreenCanvas(image.width, image.height).getContext("2d");
  context.drawImage(image, 0, 0);
  const pixels = new Uint32Array(context.getImageData(0, 0, image.width, image.height).data.buffer);
  const counts = new Map();
  for (const pixel of pixels) counts.set(pixel, (counts.get(pixel) ?? 0) + 1);
  const shares = [...counts.values()].map((count) => count / pixels.length);
  return { colours: shares.filter((share) => share >= 0.001).length, commonest: Math.max(...shares) };
}"""

# Among the markers whose centre a click would really hit: one of the preferred if possible, standing most alone.
_CLICKABLE = """([map, marker, preferred]) => {
  const frame = document.querySelector(map).getBoundingClientRect();
  const all = [...document.querySelectorAll(marker)].map((element) => {
    const { x, y, width, height } = element.getBoundingClientRect();
    return { element, x: x + width / 2, y: y + height / 2 };
  });
  const room = (one) => Math.min(...all.filter((o) => o !== one).map((o) => Math.hypot(o.x - one.x, o.y - one.y)));
  const hit = ({ element, x, y }) =>
    x > frame.left && x < frame.right && y > frame.top && y < frame.bottom &&
    document.elementFromPoint(x, y)?.closest(marker) === element;
  const liked = (one) => preferred.includes(one.element.dataset.vehicle);
  const best = all.filter(hit).sort((a, b) => liked(b) - liked(a) || room(b) - room(a))[0];
  return best ? best.element.dataset.vehicle : null;
}"""

_PLACES = """(marker) => Object.fromEntries([...document.querySelectorAll(marker)].map((element) => {
  const { x, y } = element.getBoundingClientRect();
  return [element.dataset.vehicle, [x, y]];
}))"""

_MOVED = """([marker, before]) => [...document.querySelectorAll(marker)].some((element) => {
  const old = before[element.dataset.vehicle];
  const { x, y } = element.getBoundingClientRect();
  return old && Math.hypot(x - old[0], y - old[1]) >= 2;
})"""

_FIELDS = """(details) => {
  const panel = document.querySelector(details);
  const fields = [...panel.querySelectorAll("[data-field]")];
  const shown = Object.fromEntries(fields.map((field) => [field.dataset.field, field.innerText.trim()]));
  return { ...shown, vehicle: panel.dataset.vehicle ?? null };
}"""


@dataclass(frozen=True)
class Opening:
    """What opening the dashboard showed."""

    status: int | None
    """HTTP status of the page itself."""
    title: str
    heading: str | None
    """Text of the first-level heading, if it is visible."""
    ready_s: float | None
    """Seconds until the map was drawn and the first positions were on it; ``None``: never in time."""


@dataclass(frozen=True)
class Picture:
    """The base map as the eye sees it."""

    png: bytes
    colours: int
    """Colours that cover at least a thousandth of it each."""
    commonest: float
    """Share of the commonest colour, 0 to 1."""


class Noise:
    """Everything on a page that speaks of trouble; listens from its creation on."""

    def __init__(self, page: Page) -> None:
        """Starts to listen; call before the page is opened."""
        self.page_errors: list[str] = []
        self.bad_answers: list[str] = []
        self._failures: dict[str, str] = {}
        self._bad_addresses: set[str] = set()
        self._console: list[tuple[str, str, str]] = []
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.page_errors.append(str(error)))
        page.on("requestfailed", self._fail)
        page.on("response", self._answer)

    @property
    def failed_requests(self) -> list[str]:
        """Requests without a usable answer; what was answered with an HTTP error is in ``bad_answers``."""
        return [f"{url}: {why}" for url, why in self._failures.items() if url not in self._bad_addresses]

    def console(self, allowed: Sequence[str] = ()) -> list[str]:
        """Errors and warnings of the console, without those that match an allowed pattern.

        The browser's own line about a request is left out: it is among ``bad_answers`` or
        ``failed_requests`` already.
        """
        told = self._bad_addresses | set(self._failures)
        return [
            f"{kind}: {text}"
            for kind, text, address in self._console
            if not (address in told and text.startswith("Failed to load resource"))
            and not any(re.search(pattern, text) for pattern in allowed)
        ]

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning", "assert"):
            self._console.append((message.type, message.text, str(message.location.get("url", ""))))

    def _fail(self, request: Request) -> None:
        self._failures[request.url] = request.failure or "failed"

    def _answer(self, response: Response) -> None:
        if response.status >= 400:
            self.bad_answers.append(f"{response.url}: HTTP {response.status}")
            self._bad_addresses.add(response.url)


class Dashboard:
    """The fleet dashboard in a browser."""

    def __init__(self, page: Page, url: str, timeout_s: float) -> None:
        """Prepares; nothing is opened yet.

        Args:
            page: the browser's page.
            url: address of the dashboard.
            timeout_s: limit in seconds for opening, and for any single step.
        """
        self.noise = Noise(page)
        self._page = page
        self._url = url
        self._timeout_ms = timeout_s * 1000
        page.set_default_timeout(self._timeout_ms)

    def open(self) -> Opening:
        """Opens the dashboard and waits until it is drawn and live.

        Raises:
            TargetError: the browser can't reach or does not trust it, or it is not answered in time.
        """
        started = time.perf_counter()
        try:
            response = self._page.goto(self._url, wait_until="load")
        except RanOut:
            raise TargetError(f"{self._url} did not load within {self._timeout_ms / 1000:g} s") from None
        except Error as error:
            said = re.search(r"net::\w+", error.message)
            why = said.group() if said else error.message.splitlines()[0]
            raise TargetError(f"{self._url} can't be opened in the browser: {why}") from None
        ready = self._appears(READY, self._timeout_ms - (time.perf_counter() - started) * 1000)
        ready_s = time.perf_counter() - started if ready else None
        heading = self._page.locator("h1").first
        return Opening(
            status=response.status if response else None,
            title=self._page.title(),
            heading=heading.inner_text().strip() if heading.is_visible() else None,
            ready_s=ready_s,
        )

    def screenshot(self) -> bytes:
        """What the user sees now, as PNG."""
        return self._page.screenshot()

    def basemap_layers(self) -> int:
        """How many drawn layers the map has under its markers."""
        return self._page.locator(BASEMAP).count()

    def basemap(self) -> Picture:
        """Looks at the map with markers and controls taken off."""
        style = f"{OVER_BASEMAP} {{ visibility: hidden !important; }}"
        png = self._page.locator(MAP).screenshot(style=style)
        seen = self._page.evaluate(_COLOURS, base64.b64encode(png).decode())
        return Picture(png, int(seen["colours"]), float(seen["commonest"]))

    def vehicles(self) -> list[str]:
        """Ids of the vehicles that have a marker, one entry a marker."""
        found = self._page.locator(MARKER).evaluate_all("all => all.map((one) => one.dataset.vehicle)")
        return [str(one) for one in found]

    def light(self, within_s: float) -> str | None:
        """State of the connection light: ``connected`` at once, anything else after the wait."""
        self._appears(f"{LIGHT}[data-state=connected]", within_s * 1000)
        light = self._page.locator(LIGHT)
        return light.get_attribute("data-state") if light.count() == 1 else None

    def something_moves(self, within_s: float) -> bool:
        """Whether any marker changes its place on the map in time."""
        before = self._page.evaluate(_PLACES, MARKER)
        return bool(before) and self._holds(_MOVED, [MARKER, before], within_s)

    def click_a_marker(self, preferred: Sequence[str]) -> str | None:
        """Clicks a marker that a user could click, of a preferred vehicle if one is in reach.

        Returns:
            The vehicle whose marker was clicked, or ``None`` if there is none to click.
        """
        # Gliding markers stand still for people who ask for less motion, and for a click.
        self._page.emulate_media(reduced_motion="reduce")
        vehicle = self._page.evaluate(_CLICKABLE, [MAP, MARKER, list(preferred)])
        if vehicle is None:
            return None
        try:
            self._page.locator(f'{MARKER}[data-vehicle="{vehicle}"]').click()
        except RanOut:
            return None
        return str(vehicle)

    def details(self, within_s: float) -> dict[str, Any]:
        """The fields of the details panel as they read, and its ``vehicle``; empty if it does not open in time."""
        if not self._appears(DETAILS, within_s * 1000):
            return {}
        found: dict[str, Any] = self._page.evaluate(_FIELDS, DETAILS)
        return found

    def _appears(self, selector: str, timeout_ms: float) -> bool:
        try:
            self._page.locator(selector).wait_for(state="visible", timeout=max(1.0, timeout_ms))
        except RanOut:
            return False
        return True

    def _holds(self, script: str, argument: Any, within_s: float) -> bool:
        try:
            self._page.wait_for_function(script, arg=argument, timeout=within_s * 1000)
        except RanOut:
            return False
        return True
