"""Whether a page fits on a narrow screen."""

from __future__ import annotations

from playwright.sync_api import Locator, Page
from playwright.sync_api import TimeoutError as RanOut
from tests.smoke.pages import places

_WIDTH = "() => Math.max(document.documentElement.scrollWidth, document.body?.scrollWidth ?? 0)"
_BROUGHT = """(element) => {
  element.scrollIntoView({ block: "nearest", inline: "nearest", behavior: "instant" });
  const { left, right, width, height } = element.getBoundingClientRect();
  const seen = getComputedStyle(element).visibility === "visible" && width > 0 && height > 0;
  return { left, right, seen };
}"""
_REACH_MS = 2000


def width(page: Page) -> int:
    """How wide the page is, in pixels; more than the window's width means that it scrolls sideways."""
    return int(page.evaluate(_WIDTH))


def out_of_reach(page: Page, most: int) -> list[str]:
    """Which parts that every page has can't be brought into a window of so many pixels.

    Args:
        page: is open.
        most: width of the window.
    """
    links = places.NAVIGATION(page)
    wanted: dict[str, Locator] = {
        **{f"link {name}": links.get_by_role("link", name=name, exact=True) for name in places.LINKS},
        "connection light": places.LIGHT(page),
        "account": places.ACCOUNT(page),
        "button Sign out": places.SIGN_OUT(page),
    }
    return [name for name, element in wanted.items() if not _reached(element.first, most)]


def _reached(element: Locator, most: int) -> bool:
    try:
        found = element.evaluate(_BROUGHT, timeout=_REACH_MS)
    except RanOut:
        return False
    return bool(found["seen"]) and found["left"] >= -1 and found["right"] <= most + 1
