"""Asks axe-core what of a page can't be used by everybody."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from playwright.sync_api import Locator, Page

from gonogo import ToolError

_RUN = """async (part) => {
  const found = await axe.run(part ?? document, { resultTypes: ["violations"], preload: false });
  return found.violations.map(({ id, impact, help, nodes }) => ({
    rule: id, impact: impact ?? "unknown", help, places: nodes.map(({ target }) => target.flat().join(" ")),
  }));
}"""


@dataclass(frozen=True)
class Violation:
    """One rule that a page breaks."""

    rule: str
    impact: str
    help: str
    """What the rule wants, in axe's words."""
    places: tuple[str, ...]
    """CSS selectors of the elements that break it."""


@cache
def axe_source() -> str:
    """axe-core as the package brings it.

    Raises:
        ToolError: the package is not installed.
    """
    try:
        return (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
    except (ModuleNotFoundError, OSError):
        raise ToolError("axe-core is missing; run scripts/setup, or install axe-playwright-python") from None


def axe_version() -> str:
    """The version of axe-core."""
    found = re.search(r"axe v([\d.]+)", axe_source()[:200])
    return found[1] if found else "unknown"


def violations(page: Page, part: Locator | None = None) -> list[Violation]:
    """What of a page breaks axe's rules now.

    The source is run by the browser's own debugger, so the page's policy for scripts need not allow it.

    Args:
        page: is open.
        part: what of it is looked at; the whole page if ``None``.
    """
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(axe_source() + "; undefined")
    found: list[dict[str, Any]] = part.first.evaluate(_RUN) if part else page.evaluate(_RUN)
    return [Violation(one["rule"], one["impact"], one["help"], tuple(one["places"])) for one in found]
