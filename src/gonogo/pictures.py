"""Pictures of a page that can be kept: what is personal is covered, and a small copy is made for reports."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gonogo.errors import ToolError

if TYPE_CHECKING:
    from playwright.sync_api import Page

PERSONAL = "[data-personal]"
COVERED = (PERSONAL, "input[type=password]")
"""What no picture shows, whatever the plan says."""
SMALL = ".preview.jpg"
"""End of the name of a picture's small copy."""
_SMALL_SIZE = (400, 260)

# One rule each: a selector that a browser does not know would take all others with it.
_COVER = """{0}, {0} * {{
  color: transparent !important; -webkit-text-fill-color: transparent !important; text-shadow: none !important;
  text-decoration-color: transparent !important; caret-color: transparent !important;
}}
{0} {{ background: #9aa3ad !important; border-radius: 3px; }}
{0}::before, {0}::after, {0} ::before, {0} ::after {{ color: transparent !important; }}
{0} img, {0} svg, {0} canvas {{ visibility: hidden !important; }}
"""

_SHRINK = """async ([png, [width, height]]) => {
  const bytes = Uint8Array.from(atob(png), (c) => c.charCodeAt(0));
  const whole = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
  const scale = Math.min(1, width / whole.width, height / whole.height);
  const canvas = new OffscreenCanvas(Math.round(whole.width * scale), Math.round(whole.height * scale));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(whole, 0, 0, canvas.width, canvas.height);
  const small = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.72 });
  const codes = new Uint8Array(await small.arrayBuffer());
  let text = "";
  for (let i = 0; i < codes.length; i += 8192) text += String.fromCharCode(...codes.subarray(i, i + 8192));
  return btoa(text);
}"""

_UNKNOWN = """(selectors) => selectors.filter((one) => {
  try { document.querySelector(one); return false; } catch { return true; }
})"""

_PERSONAL_TEXTS = """(selectors) => selectors.flatMap((one) => [...document.querySelectorAll(one)]).slice(0, 2000)
  .flatMap((one) => [one.value, one.textContent, ...[...one.childNodes].map((part) => part.textContent)])"""


@dataclass(frozen=True)
class Picture:
    """What a page looked like."""

    png: bytes
    preview: bytes
    """A small copy as JPEG for reports; empty if the browser could make none."""


def take_picture(page: Page, mask: Sequence[str] = ()) -> Picture:
    """What the user sees of a page, without what is personal.

    Args:
        page: what is looked at.
        mask: CSS selectors of what is covered, beside ``COVERED``.

    Raises:
        ToolError: a selector is none, so that nothing would be covered.
        playwright.sync_api.Error: the browser could not do it.
    """
    covered = (*COVERED, *mask)
    if unknown := page.evaluate(_UNKNOWN, list(mask)):
        raise ToolError(f"launch.toml: smoke.mask: {unknown[0]!r} is no CSS selector, so no picture was taken")
    png = page.screenshot(style="".join(map(_COVER.format, covered)), animations="disabled")
    return Picture(png, shrunk(page, png))


def shrunk(page: Page, png: bytes) -> bytes:
    """A small copy of a picture as JPEG, made in the page; empty if the browser can't."""
    from playwright.sync_api import Error  # noqa: PLC0415 - 0.2 s that only gates with a browser need

    with contextlib.suppress(Error):
        return base64.b64decode(page.evaluate(_SHRINK, [base64.b64encode(png).decode(), list(_SMALL_SIZE)]))
    return b""


def preview_name(name: str) -> str:
    """What the small copy of a picture is called."""
    return name.removesuffix(".png") + SMALL


def personal_texts(page: Page, mask: Sequence[str] = ()) -> list[str]:
    """Texts of a page that are personal, to be kept out of everything else that is stored."""
    found = page.evaluate(_PERSONAL_TEXTS, [*COVERED, *mask])
    return sorted({text.strip() for text in found if isinstance(text, str) and len(text.strip()) >= 3})
