"""The map, the list beside it, and what is told of one vehicle."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import TimeoutError as RanOut
from tests.smoke.pages import places
from tests.smoke.pages.screen import Screen

from gonogo import TargetError

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
_CLICKABLE = """([map, selector, attribute, preferred]) => {
  const frame = map.getBoundingClientRect();
  const all = [...document.querySelectorAll(selector)].map((element) => {
    const { x, y, width, height } = element.getBoundingClientRect();
    return { element, x: x + width / 2, y: y + height / 2, id: element.getAttribute(attribute) };
  });
  const room = (one) => Math.min(...all.filter((o) => o !== one).map((o) => Math.hypot(o.x - one.x, o.y - one.y)));
  const hit = ({ element, x, y }) =>
    x > frame.left && x < frame.right && y > frame.top && y < frame.bottom &&
    document.elementFromPoint(x, y)?.closest(selector) === element;
  const liked = (one) => preferred.includes(one.id);
  const best = all.filter(hit).sort((a, b) => liked(b) - liked(a) || room(b) - room(a))[0];
  return best ? best.id : null;
}"""

_PLACES = """([map, selector, attribute]) => {
  const frame = map.getBoundingClientRect();
  return [...document.querySelectorAll(selector)].map((element) => {
    const { x, y, width, height } = element.getBoundingClientRect();
    return [element.getAttribute(attribute), x + width / 2 - frame.x, y + height / 2 - frame.y];
  });
}"""

_MOVED = """([selector, attribute, before, least, pixels]) => {
  const moved = [...document.querySelectorAll(selector)].filter((element) => {
    const old = before[element.getAttribute(attribute)];
    const { x, y, width, height } = element.getBoundingClientRect();
    return old && Math.hypot(x + width / 2 - old[0], y + height / 2 - old[1]) >= pixels;
  });
  return moved.length >= least;
}"""
_CENTRES = """([selector, attribute]) => Object.fromEntries(
  [...document.querySelectorAll(selector)].map((element) => {
    const { x, y, width, height } = element.getBoundingClientRect();
    return [element.getAttribute(attribute), [x + width / 2, y + height / 2]];
  }))"""

_FIELDS = """(panel, [vehicle, field]) => {
  const fields = [...panel.querySelectorAll(`[${field}]`)];
  const shown = Object.fromEntries(fields.map((one) => [one.getAttribute(field), one.innerText.trim()]));
  return { ...shown, vehicle: panel.getAttribute(vehicle) };
}"""

_STILL_PX = 2.0
"""Beyond this a marker has moved."""


@dataclass(frozen=True)
class MapPicture:
    """The base map as the eye sees it."""

    png: bytes
    colours: int
    """Colours that cover at least a thousandth of it each."""
    commonest: float
    """Share of the commonest colour, 0 to 1."""


@dataclass(frozen=True)
class Marker:
    """Where a vehicle is drawn."""

    vehicle: str
    x: float
    """Pixels from the map's left edge to the marker's middle."""
    y: float


@dataclass(frozen=True)
class Drawn:
    """All markers, and the size of the map that they are on."""

    markers: tuple[Marker, ...]
    width: float
    height: float


class Tracking(Screen):
    """The page with the map."""

    def stand_still(self) -> None:
        """Lets markers jump: they glide for everybody who does not ask for less motion."""
        self.page.emulate_media(reduced_motion="reduce")

    def basemap_layers(self) -> int:
        """How many drawn layers the map has under its markers."""
        return places.BASEMAP(self.page).count()

    def basemap(self) -> MapPicture:
        """Looks at the map with markers and controls taken off; without a map there is nothing to see.

        Raises:
            TargetError: there is no map.
        """
        if not self.shows(places.MAP, 1.0):
            raise TargetError(f"{self.page.url} shows no map{self.excuse()}")
        style = f"{places.OVER_BASEMAP} {{ visibility: hidden !important; }}"
        png = places.MAP(self.page).screenshot(style=style)
        seen = self.page.evaluate(_COLOURS, base64.b64encode(png).decode())
        return MapPicture(png, int(seen["colours"]), float(seen["commonest"]))

    def drawn(self) -> Drawn:
        """Where the markers are now."""
        box = places.MAP(self.page).bounding_box() or {"width": 0.0, "height": 0.0}
        frame = places.MAP(self.page).element_handle()
        found = self.page.evaluate(_PLACES, [frame, places.MARKER, places.VEHICLE])
        markers = tuple(Marker(str(vehicle), float(x), float(y)) for vehicle, x, y in found)
        return Drawn(markers, float(box["width"]), float(box["height"]))

    def centres(self) -> dict[str, list[float]]:
        """Middle of each marker on the screen, to be compared with later."""
        found: dict[str, list[float]] = self.page.evaluate(_CENTRES, [places.MARKER, places.VEHICLE])
        return found

    def moves(self, before: dict[str, list[float]], least: int, within_s: float) -> bool:
        """Whether so many markers are elsewhere in time."""
        told = [places.MARKER, places.VEHICLE, before, least, _STILL_PX]
        try:
            self.page.wait_for_function(_MOVED, arg=told, timeout=within_s * 1000)
        except RanOut:
            return False
        return True

    def click_a_marker(self, preferred: Sequence[str]) -> str | None:
        """Clicks a marker that a user could click, of a preferred vehicle if one is in reach.

        Returns:
            The vehicle whose marker was clicked, or ``None`` if there is none to click.
        """
        self.stand_still()
        frame = places.MAP(self.page).element_handle()
        told = [frame, places.MARKER, places.VEHICLE, list(preferred)]
        vehicle = self.page.evaluate(_CLICKABLE, told)
        if vehicle is None:
            return None
        try:
            places.marker(vehicle)(self.page).click()
        except RanOut:
            return None
        return str(vehicle)

    def choose(self, vehicle: str) -> bool:
        """Chooses a vehicle in the list; whether its row can be pressed."""
        try:
            places.vehicle_row(vehicle)(self.page).click()
        except RanOut:
            return False
        return True

    def choose_first(self) -> bool:
        """Chooses the first vehicle of the list; whether there is one."""
        ids = self.listed_ids()
        return bool(ids) and self.choose(ids[0])

    def listed_ids(self) -> list[str]:
        """Vehicles of the list, in its order."""
        found = places.ROWS(self.page).evaluate_all(
            "(rows, name) => rows.map((row) => row.getAttribute(name))", places.ROW
        )
        return [str(vehicle) for vehicle in found]

    def listed(self) -> int:
        """How many vehicles the list has."""
        return places.ROWS(self.page).count()

    def details(self, within_s: float) -> dict[str, Any]:
        """The fields of the details panel as they read, and its ``vehicle``; empty if it does not open in time."""
        if not self.shows(places.DETAILS, within_s):
            return {}
        panel = places.DETAILS(self.page).first
        found: dict[str, Any] = panel.evaluate(_FIELDS, [places.VEHICLE, places.FIELD])
        return found
