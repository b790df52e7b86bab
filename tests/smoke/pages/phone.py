"""Whether a page fits on a narrow screen."""

from __future__ import annotations

from playwright.sync_api import Locator, Page
from playwright.sync_api import TimeoutError as RanOut
from tests.smoke.pages import places

_WIDTH = "() => Math.max(document.documentElement.scrollWidth, document.body?.scrollWidth ?? 0)"
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
        element.scroll_into_view_if_needed(timeout=_REACH_MS)
        box = element.bounding_box(timeout=_REACH_MS)
    except RanOut:
        return False
    return box is not None and box["width"] > 0 and box["x"] >= -1 and box["x"] + box["width"] <= most + 1
