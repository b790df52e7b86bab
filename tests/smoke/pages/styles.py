"""Whether a page looks as its style sheets want it to."""

from __future__ import annotations

from dataclasses import dataclass

from playwright.sync_api import Page

# Takes all style sheets away for a moment and looks what that changes of the page's frame.
_STYLES = """() => {
  const sheets = [...document.styleSheets];
  const rules = (sheet) => { try { return sheet.cssRules.length; } catch { return 1; } };
  const links = [...document.querySelectorAll("link[rel~=stylesheet]")];
  const blank = links.filter(({ sheet }) => !sheet || rules(sheet) === 0).map(({ href }) => new URL(href).pathname);
  const frame = ["body", "header", "nav", "h1", "main"];
  const looked = frame.map((name) => document.querySelector(name)).filter(Boolean);
  const wanted = ["fontFamily", "color", "backgroundColor", "display", "marginTop", "paddingTop", "fontSize"];
  const looks = () => looked.map((element) => wanted.map((name) => getComputedStyle(element)[name]).join("|"));
  const before = looks();
  for (const sheet of sheets) sheet.disabled = true;
  const bare = looks();
  for (const sheet of sheets) sheet.disabled = false;
  const same = looked.filter((_, index) => before[index] === bare[index]);
  const plain = same.map(({ tagName }) => tagName.toLowerCase());
  return { sheets: links.length, blank, plain };
}"""


@dataclass(frozen=True)
class Styles:
    """What became of a page's style sheets."""

    sheets: int
    """How many the page names."""
    blank: tuple[str, ...]
    """Paths of those that did not come, or have no rule."""
    plain: tuple[str, ...]
    """Parts of the page's frame that look as if there were none."""


def styles_of(page: Page) -> Styles:
    """Looks at the style sheets of a page that is open."""
    found = page.evaluate(_STYLES)
    return Styles(int(found["sheets"]), tuple(found["blank"]), tuple(found["plain"]))
